"""What a history counts and measures: counts per interval, waits, KPIs by the source's own settings."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import DataQualityWarning, HistoryError, ParameterError
from bposim.history.hours import open_minutes
from bposim.schema import QUEUED_OUTCOMES

if TYPE_CHECKING:
    from bposim.history.core import History
    from bposim.metrics import Counts

THRESHOLDS_S = (5.0, 20.0, 60.0)


def counts_of(history: History, thresholds_s: Sequence[float] = ()) -> Counts:
    """Return counts per interval; see :meth:`History.counts`."""
    from bposim.metrics import counts_of_contacts, counts_of_intervals

    hours = history.interval_s / 3600
    days = (pd.Timestamp(history.days[0]), pd.Timestamp(history.days[1]))
    if history._contacts is None:
        absent = history._lacking
        table = absent.with_unknown(history._frame).drop(columns="source_row", errors="ignore")
        return replace(counts_of_intervals(table, hours=hours, complete=absent.nobody), days=days)
    every = tuple(sorted({*THRESHOLDS_S, *map(float, thresholds_s)}))
    if every not in history._cache:
        counted = counts_of_contacts(
            history._contacts,
            starts=history._counted_grid,
            hours=hours,
            thresholds_s=every,
            types=history.contact_types,
        )
        history._cache[every] = replace(counted, days=days)
    found: Counts = history._cache[every]
    return found


def counted_grid(history: History) -> pd.DatetimeIndex:
    """Return the starts of the open intervals, and of those outside the hours in which contacts arrived all the same."""
    everything = history._grid(history.interval_s, "all")
    used = np.zeros(len(everything), dtype=bool)
    k = everything.place(history._times)
    used[k[k >= 0]] = True
    is_open = open_minutes(history.opening_hours)[everything.weekday, everything.minute]
    return everything.starts[used | is_open]


def wait_quantiles(history: History, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
    """Return quantiles of the waits; see :meth:`History.wait_quantiles`."""
    if history._contacts is None:
        raise ParameterError("quantiles of the wait need a contact log; this history holds counts per interval.")
    frame = history._contacts
    starts = history._counted_grid.tz_convert("UTC").as_unit("us").asi8
    stamps = pd.DatetimeIndex(frame["arrived"]).tz_convert("UTC").as_unit("us").asi8
    label = labels[np.maximum(np.searchsorted(starts, stamps, side="right") - 1, 0)]
    kind = (
        pd.Index(history.contact_types).get_indexer(frame["contact_type"]) if types else np.zeros(len(frame), dtype=int)
    )
    use = frame["outcome"].isin(QUEUED_OUTCOMES).to_numpy() & frame["wait_s"].notna().to_numpy() & (label >= 0)
    n_types = len(history.contact_types) if types else 1
    result = np.full((1, int(labels.max(initial=-1)) + 1, n_types), np.nan)
    waits = pd.DataFrame({"cell": label[use] * n_types + kind[use], "w": frame["wait_s"].to_numpy()[use]})
    found = waits.groupby("cell")["w"].quantile(q)
    result.reshape(-1)[found.index.to_numpy()] = found.to_numpy()
    return result


def metrics_of(
    history: History, by: Any, metrics: Any, within: Any, counting: str | None, confidence: float, options: dict[str, Any]
) -> pd.DataFrame:  # fmt: skip
    """Return KPIs by the source's own settings where none are given; see :meth:`History.metrics`."""
    from bposim.metrics import DEFAULT_METRICS, summary

    if history.kind == "counts":
        asked = [metrics] if isinstance(metrics, str) else list(metrics or ["offered"])
        if asked != ["offered"]:
            raise HistoryError(
                f"{history.source} holds counts of contacts and nothing of what became of them: its only metric is "
                f"'offered'. Got {', '.join(map(repr, asked))}. Read a contact log or an interval report."
            )
        metrics = asked
    rule = counting if counting is not None else history.counting
    if history.short_abandon_s is not None:
        options = {"short": history.short_abandon_s} | options
    if metrics is None and history.kind == "intervals":
        metrics = _counted(history, DEFAULT_METRICS, within, rule, insist=bool(within or counting))
    return summary(history, by, metrics, within, rule, confidence, **options)


def _counted(history: History, ids: Iterable[str], within: Any, counting: str | None, *, insist: bool) -> list[str]:
    """Return the metrics whose columns the report has: by default no more is asked of it."""
    from bposim.metrics import summary

    found, refusal = [], None
    with warnings.catch_warnings():  # what is not known is told once, by the summary of all
        warnings.simplefilter("ignore", DataQualityWarning)
        for name in ids:
            try:
                summary(history, None, name, within, counting)
            except ParameterError as error:
                refusal = refusal or error
            else:
                found.append(name)
    if refusal is not None and not {"service_level"} & set(found) and insist:
        raise refusal
    return found
