"""Counts added up by day: what a clause needs that looks at nothing shorter, at a fraction of the work."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import pandas as pd

from bposim.metrics import Counts
from bposim.metrics.counts import MAXIMA
from bposim.metrics.pooling import codes_of
from bposim.targets.clauses import Clause


class _Columns(Mapping[str, np.ndarray]):
    """Columns added up by day when they are first asked for."""

    def __init__(self, whole: Mapping[str, np.ndarray], first: np.ndarray) -> None:
        self._whole, self._first = whole, first
        self._made: dict[str, np.ndarray] = {}
        self.unknown = False

    def __getitem__(self, name: str) -> np.ndarray:
        if name not in self._made:
            values = self._whole[name]
            add = np.fmax if name in MAXIMA else np.add
            self._made[name] = add.reduceat(values, self._first, axis=1) if values.shape[1] else values
            self.unknown |= values.dtype.kind == "f" and bool(np.isnan(self._made[name]).any())
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._whole)

    def __len__(self) -> int:
        return len(self._whole)

    def __contains__(self, name: object) -> bool:
        return name in self._whole


def days_of(counts: Counts) -> Counts:
    """Return counts by local day; columns are added up when they are asked for.

    Examples
    --------
    >>> hours = pd.date_range("2026-05-30 22:00", periods=4, freq="h", tz="UTC")
    >>> halves = Counts(hours, np.ones(4), ("a",), {"offered": np.arange(4.0).reshape(1, 4, 1)})
    >>> days_of(halves).contacts["offered"][0, :, 0].tolist()
    [1.0, 5.0]
    """
    codes = codes_of(counts.starts, "day")[1]
    first = np.flatnonzero(np.diff(codes, prepend=-1))
    if len(first) == len(codes):
        return counts
    return replace(
        counts, starts=counts.starts[first], hours=np.add.reduceat(counts.hours, first), days=counts.days or _ends(counts.starts),
        contacts=_Columns(counts.contacts, first), agents=_Columns(counts.agents, first) if counts.agents else counts.agents,
    )  # fmt: skip


def _ends(starts: pd.DatetimeIndex) -> tuple[pd.Timestamp, pd.Timestamp]:
    ends = starts[[0, -1]].tz_localize(None).normalize()
    return ends[0], ends[1]


def known(counts: Counts) -> bool:
    """Tell whether every cell that was asked for is known: what is not must be left out interval by interval."""
    parts = (counts.contacts, counts.agents)
    return not any(isinstance(p, _Columns) and p.unknown for p in parts)


def by_days_alone(clause: Clause, events: pd.DataFrame) -> bool:
    """Tell whether a clause looks at nothing shorter than a day."""
    shorter = (
        clause.hours is not None
        or clause.settled_window == "interval"
        or clause.aggregation in ("mean_of_intervals", "share_of_intervals")
        or clause.definition.table == "waits"
        or clause.metric == "queue_mean"
        or any(r.volume is not None for r in clause.relief)  # forecasts are compared interval by interval
        or any(r.corridor is not None and r.corridor.by == "interval" for r in clause.relief)
        or (len(events) > 0 and any(r.cause is not None for r in clause.relief))
    )
    return not shorter
