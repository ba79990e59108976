"""Relief laid over intervals: which stretches leave the metric, how many contacts a cap leaves out, how far targets scale."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, require
from bposim.metrics import Counts
from bposim.metrics.pooling import codes_of, group
from bposim.scenario.check import nearest
from bposim.targets.clauses import CAUSES, Clause, Relief
from bposim.targets.contract import Contract
from bposim.targets.foreseen import Expected, foresee


def read_events(events: Any, zone: Any, types: Sequence[str] = ()) -> pd.DataFrame:
    """Return events as ``cause, start, end, contact_type``; the end is not included. Without ``types`` any contact type will do.

    Raises
    ------
    ParameterError
        A cause or contact type is unknown, a time is lacking or an end is not after its start; all at once.
    """
    frame = pd.DataFrame(events if events is not None else [], columns=None)
    problems: list[str] = []
    rows = []
    for k, row in enumerate(frame.to_dict("records"), 1):
        cause = str(row.get("cause"))
        if cause not in CAUSES:
            problems.append(f"event {k} has cause {row.get('cause')!r}. Known: {', '.join(CAUSES)}.")
        try:
            start, end = (_stamp(row[key], zone) for key in ("start", "end"))
        except (KeyError, ValueError, TypeError) as error:
            problems.append(f"event {k} needs start and end, the end not included: {error}. Write 2026-03-01 09:00.")
            continue
        if pd.isna(start) or pd.isna(end):
            which = "start" if pd.isna(start) else "end"
            problems.append(f"event {k} has no {which}. Write 2026-03-01 09:00; one that lasts ends with the term.")
            continue
        if end <= start:
            problems.append(f"event {k}: end {row['end']} must be after start {row['start']}; it is not included.")
        kind = row.get("contact_type")
        kind = None if kind is None or kind != kind else str(kind)
        if kind is not None and types and kind not in types:
            problems.append(
                f"event {k} is of {kind!r}, which is no contact type.{nearest(kind, types)} Known: {', '.join(types)}."
            )
        rows.append((cause, start, end, kind))
    require(problems, ParameterError)
    return pd.DataFrame(rows, columns=["cause", "start", "end", "contact_type"])


def _stamp(value: Any, zone: Any) -> pd.Timestamp:
    stamp = pd.Timestamp(value)
    if stamp.tzinfo is None:
        return stamp.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    return stamp.tz_convert(zone)


@dataclass(frozen=True, eq=False)
class Reliefs:
    """Everything that relief does to a clause.

    Attributes
    ----------
    out : ndarray of bool, shape (n_replications or 1, n_intervals)
        Intervals left out of the metric.
    caps : list of (unit, codes, ndarray)
        Whole contacts above the corridor by stretch: its unit, each interval's stretch, excess of shape (n_replications, n_stretches).
    factor : ndarray, shape (n_replications, n_windows)
    waived : ndarray of bool, shape (n_replications, n_windows)
    """

    out: np.ndarray
    caps: list[tuple[str, np.ndarray, np.ndarray]]
    factor: np.ndarray
    waived: np.ndarray


def lay_relief(
    clause: Clause, name: str, contract: Contract, counts: Counts, types: Sequence[int], inside: np.ndarray,
    expected: Expected | None, events: pd.DataFrame,
) -> Reliefs:  # fmt: skip
    """Lay a clause's relief over the intervals and windows of a source.

    Parameters
    ----------
    inside : ndarray of bool, shape (n_intervals,)
        Intervals that the clause is about (its hours).

    Raises
    ------
    ParameterError
        A corridor needs a forecast that is not there.
    """
    window = clause.settled_window
    labels, codes = codes_of(counts.starts, window)
    rep, n = counts.replications, len(counts.starts)
    out = np.zeros((1, n), dtype=bool)
    caps: list[tuple[str, np.ndarray, np.ndarray]] = []
    factor, waived = np.ones((rep, len(labels))), np.zeros((rep, len(labels)), dtype=bool)
    for relief in sorted(clause.relief, key=lambda r: r.effect == "cap"):  # caps see what the others left
        if relief.corridor is None:
            hit = _covered(relief, counts, types, events)
            if relief.effect == "exclude":
                out = out | hit[None, :]
            else:
                waived |= np.bincount(codes, hit & inside, minlength=len(labels))[None, :] > 0
            continue
        unit = window if relief.corridor.by == "window" else relief.corridor.by
        stretch, place = codes_of(counts.starts, unit)
        actual, base = _actual_and_base(
            relief, name, contract, counts, types, inside, unit, stretch, place, expected, clause.hours is not None
        )
        high = np.inf if relief.corridor.above is None else relief.corridor.above * base
        low = -np.inf if relief.corridor.below is None else relief.corridor.below * base
        over, under = actual > high * (1 + 1e-12), actual < low * (1 - 1e-12)
        if relief.effect == "exclude":
            out = out | (over | under)[:, place]
        elif relief.effect == "cap":
            above = np.where(over, np.floor(actual - high + 1e-6), 0.0)
            offered = np.nan_to_num(np.asarray(counts.column("offered"), dtype=float)[:, :, list(types)].sum(axis=2))
            gone = group(np.where(inside & out, offered, 0.0)[:, :, None], place, len(stretch), None, False)[:, :, 0]
            caps.append((unit, place, np.maximum(above - gone, 0.0)))  # what is left out already is not above any more
        elif relief.effect == "waive":
            waived |= over | under
        else:
            with np.errstate(invalid="ignore", divide="ignore"):
                factor = factor * np.where(over, high / actual, 1.0)
    return Reliefs(out, caps, factor, waived)


def _covered(relief: Relief, counts: Counts, types: Sequence[int], events: pd.DataFrame) -> np.ndarray:
    """Tell which intervals overlap an event of the relief's cause."""
    starts = counts.starts.tz_convert("UTC")
    ends = starts + pd.to_timedelta(counts.hours, unit="h")
    names = {counts.types[k] for k in types}
    hit = np.zeros(len(starts), dtype=bool)
    for row in events[events["cause"] == relief.cause].itertuples():
        if row.contact_type is None or row.contact_type in names:
            hit |= np.asarray((starts < row.end) & (ends > row.start))
    return hit


def _actual_and_base(
    relief: Relief, name: str, contract: Contract, counts: Counts, types: Sequence[int], inside: np.ndarray, unit: str,
    stretch: pd.Index, place: np.ndarray, expected: Expected | None, clause_hours: bool,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return what was and what was foreseen by stretch: contacts against forecast, or handle time against its baseline."""

    def total(column: str) -> np.ndarray:
        values = np.asarray(counts.column(column), dtype=float)[:, :, list(types)].sum(axis=2) * inside
        return group(values[:, :, None], place, len(stretch), None, False)[:, :, 0]

    if relief.handle_time is not None:
        answered, handled = total("answered"), total("handle_sum_s")
        if "answered_handle_unknown" in counts.contacts:
            answered = answered - total("answered_handle_unknown")
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = np.where(answered > 0, handled / answered, relief.handle_time.baseline)
        return mean, np.array(relief.handle_time.baseline)
    names = [counts.types[k] for k in types]
    said = f"clause {name!r} has a volume corridor by {unit}"
    if expected is not None:
        return foresee(expected, counts, types, inside, unit, stretch, place, said)
    if unit == "month" and all(t in contract.volumes for t in names):
        if clause_hours:
            raise ParameterError(
                f"{said} and hours of its own; the contract's volumes are of whole months. Give forecast= by interval."
            )
        return total("offered"), np.full(len(stretch), sum(contract.volumes[t] for t in names))
    raise ParameterError(
        f"{said}, and there is no forecast to lay it around. Give forecast=, a Forecast or a frame of interval_start, "
        "contact_type and contacts."
    )
