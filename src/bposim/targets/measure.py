"""A clause measured on a history or a simulation: numerator, denominator and what relief left out, window by window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.metrics import Counts, window_shares
from bposim.metrics.counts import MAXIMA
from bposim.metrics.glossary import QUEUED
from bposim.metrics.pooling import Ask, Sums, aggregate, codes_of, divide, group, resolve, sums, time_labels
from bposim.scenario.check import nearest
from bposim.scenario.fields import Hours
from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.core import Windows
from bposim.targets.foreseen import Expected
from bposim.targets.relief import Reliefs, lay_relief


@dataclass(frozen=True, eq=False)
class Measured:
    """A clause's windows, what of the counts behind them was not known, and weeks and quarters that the source cuts."""

    windows: Windows
    ask: Ask
    given: Sums | None
    cut: pd.DatetimeIndex


def question(clause: Clause, source: Any) -> Ask:
    """Return a clause's metric with its thresholds."""
    return resolve(source, clause.metric, clause.within, clause.counting, clause.short, clause.strict)


def scope_types(clause: Clause, name: str, counts: Counts) -> list[int]:
    """Return the contact types that a clause is about.

    Raises
    ------
    ParameterError
        The source has no such type.
    """
    unknown = [t for t in clause.scope.contact_types if t not in counts.types]
    if unknown:
        raise ParameterError(
            f"clause {name!r} is about contact type {unknown[0]!r}, which the source lacks.{nearest(unknown[0], counts.types)} "
            f"Known: {', '.join(counts.types)}."
        )
    return [counts.types.index(t) for t in clause.scope.contact_types] or list(range(len(counts.types)))


def month_of(starts: pd.DatetimeIndex, window: str) -> pd.DatetimeIndex:
    """Return the month in which each window ends: weeks on Sunday, quarters in their third month."""
    last = starts
    if window == "week":
        last = starts + pd.Timedelta(days=6)
    elif window == "quarter":
        last = starts + pd.DateOffset(months=2)
    return pd.DatetimeIndex(last.tz_localize(None).to_period("M").to_timestamp())


def measure(
    clause: Clause, name: str, contract: Contract, source: Any, counts: Counts, months: pd.DatetimeIndex,
    expected: Expected | None, events: pd.DataFrame, *, parts: bool = False,
) -> Measured:  # fmt: skip
    """Measure a clause in every window that ends in one of the months; a month without any interval has no data.

    Parameters
    ----------
    source : History or SimulationResult
    counts : Counts
        The source's, with every threshold that the contract needs.
    months : DatetimeIndex
        Zone-free first days.
    parts : bool
        Whether windows cut by the ends of the source count: where it holds no whole month.

    Raises
    ------
    ParameterError
        The metric, scope or relief asks for what the source does not hold.
    """
    ask = question(clause, source)
    window = clause.settled_window
    types = scope_types(clause, name, counts)
    inside = _within_hours(clause.hours, clause.closed, f"clause {name!r} has hours of its own", counts)
    if window == "all":
        inside = inside & np.asarray(time_labels(counts.starts, "month").isin(months))
    relief = lay_relief(clause, name, contract, counts, types, inside, expected, events)
    labels, codes = codes_of(counts.starts, window)
    given: Sums | None = None
    if ask.metric.table == "waits":
        value, top, bottom, sample, left = _percentile(
            ask, clause, name, source, counts, types, inside, relief, codes, len(labels)
        )
    else:
        pick = _groups(clause, name, counts) if ask.metric.table == "agents" else types
        given = sums(counts, ask, split=False, types=pick)
        value, top, bottom, sample, left = _pooled(
            ask, clause, counts, types, inside, relief, given, codes, len(labels)
        )
    starts = pd.DatetimeIndex(labels)
    whole = window_shares(counts, window).to_numpy() == 1
    ends = month_of(starts, window)
    if window == "all":
        ends = pd.DatetimeIndex([months[-1]] * len(starts))
    if parts:
        whole[:] = True
    touches = (ends >= months[0]) & (starts.tz_localize(None) < months[-1] + pd.DateOffset(months=1))
    cut = starts[~whole & np.asarray(touches)] if window in ("week", "quarter") else starts[:0]
    place = months.get_indexer(ends)
    use = (place >= 0) & whole
    found = Windows(
        value[:, use], top[:, use], bottom[:, use], sample[:, use], left[:, use], relief.factor[:, use],
        relief.waived[:, use], place[use], starts[use],
    )  # fmt: skip
    return Measured(_complete(found, window, months), ask, given, cut)


def laid_clauses(contract: Contract, counts: Counts) -> dict[str, Clause]:
    """Return the clauses as they are measured: without hours of their own within the contract's, on none of its closed days.

    Counts by day cannot tell hours, so that those of the contract do not cut them.
    """
    hours = contract.hours
    if hours is not None and any(c.hours is None and not c.audited for c in contract.clauses.values()):
        by_day = bool((np.asarray(counts.hours) >= 23).any())
        if by_day or _within_hours(hours, (), "the contract has hours", counts).all():
            hours = None
    return {
        name: clause.model_copy(update={
            "hours": hours if clause.hours is None else clause.hours, "closed": (*clause.closed, *contract.closed),
        })
        for name, clause in contract.clauses.items()
    }  # fmt: skip


def _within_hours(hours: Hours | None, closed: tuple[date, ...], said: str, counts: Counts) -> np.ndarray:
    """Tell which intervals lie in the hours and on none of the closed days."""
    local = counts.starts.tz_localize(None)
    inside = np.ones(len(local), dtype=bool)
    if hours is not None:
        table = np.zeros((7, 1440), dtype=bool)
        for d, spans in hours.items():
            for begin, end in spans:
                table[d, begin:end] = True
        inside = table[local.day_of_week, local.hour * 60 + local.minute]
        open_until = np.append(0, np.cumsum(np.tile(table.ravel(), 2)))
        first = (local.day_of_week * 1440 + local.hour * 60 + local.minute).to_numpy()
        length = np.minimum(np.round(np.asarray(counts.hours) * 60).astype(int), table.size)
        share = (open_until[first + length] - open_until[first]) / np.maximum(length, 1)
        cut = np.flatnonzero((share > 0) & (share < 1))
        if len(cut):
            raise ParameterError(
                f"{said}, and the counts' interval of {counts.starts[cut[0]]:%Y-%m-%d %H:%M} lies "
                "partly within them. Give counts by shorter intervals, or hours that begin and end with one."
            )
    if closed:
        inside = inside & ~local.normalize().isin(pd.DatetimeIndex(closed))
    return inside


def _groups(clause: Clause, name: str, counts: Counts) -> list[int] | None:
    unknown = [g for g in clause.scope.agent_groups if g not in counts.groups]
    if unknown:
        raise ParameterError(
            f"clause {name!r} is about agent group {unknown[0]!r}, which the source lacks. Known: "
            f"{', '.join(counts.groups) or 'none: a history holds no agents'}."
        )
    return [counts.groups.index(g) for g in clause.scope.agent_groups] or None


Parts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]


def _pooled(
    ask: Ask, clause: Clause, counts: Counts, types: Sequence[int], inside: np.ndarray, relief: Reliefs, given: Sums,
    codes: np.ndarray, n: int,
) -> Parts:  # fmt: skip
    """Return value, numerator, denominator, sample and what was left out, shape (n_replications, n_windows)."""
    maxima = ask.metric.numerator[0][0] in MAXIMA
    use = inside[None, :] & ~relief.out
    top = given.top[:, :, 0]
    bottom = None if given.bottom is None else given.bottom[:, :, 0]
    behind = _queued(counts, types) if bottom is None else bottom
    left = _by_window(np.where(inside[None, :] & ~use, behind, 0.0), codes, n)
    top = np.where(use, top, np.nan if maxima else 0.0)
    behind = np.where(use, behind, 0.0)
    if bottom is not None:
        bottom = np.where(use, bottom, 0.0)
        for _, place, excess in relief.caps:
            before = bottom
            # Contacts that the rule does not count are above the corridor first: leaving them out changes nothing.
            offered = np.asarray(counts.column("offered"), dtype=float)[:, :, list(types)].sum(axis=2)
            beside = _by_window(np.where(use, np.nan_to_num(offered), 0.0) - bottom, place, excess.shape[1])
            excess = np.maximum(excess - np.maximum(beside, 0.0), 0.0)
            top, bottom = _capped(top, bottom, place, excess, clause.higher)
            left = left + _by_window(before - bottom, codes, n)
        behind = bottom
    pass_level = None if clause.pass_level is None else clause.pass_level.value
    top3, bottom3 = aggregate(
        top[:, :, None], None if bottom is None else bottom[:, :, None], counts, ask, clause.aggregation, pass_level
    )
    above = group(top3, codes, n, None, maxima)[:, :, 0]
    if bottom3 is None:
        sample = _by_window(behind, codes, n)
        return above, above, np.full_like(above, np.nan), sample, left
    below = group(bottom3, codes, n, None, False)[:, :, 0]
    sample = below if clause.counts_stretches else _by_window(behind, codes, n)
    return divide(above, below), above, below, sample, left


def _by_window(values: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    return group(values[:, :, None], codes, n, None, False)[:, :, 0]


def _queued(counts: Counts, types: Sequence[int]) -> np.ndarray:
    total: Any = 0
    for name, sign in QUEUED:
        total = total + sign * np.asarray(counts.column(name), dtype=float)[:, :, list(types)].sum(axis=2)
    return np.asarray(total)


def _capped(
    top: np.ndarray, bottom: np.ndarray, place: np.ndarray, excess: np.ndarray, higher: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Leave the contacts above the corridor out, the worst served first: a stretch's counts stand in its first interval."""
    n = excess.shape[1]
    high, low = (_by_window(x, place, n) for x in (top, bottom))
    kept = np.maximum(low - excess, 0.0)
    high = np.minimum(high, kept) if higher else np.minimum(np.maximum(high - excess, 0.0), kept)
    first = np.unique(place, return_index=True)[1]
    top, bottom = np.zeros_like(top, dtype=float), np.zeros_like(bottom, dtype=float)
    top[:, first], bottom[:, first] = high, kept
    return top, bottom


def _percentile(
    ask: Ask, clause: Clause, name: str, source: Any, counts: Counts, types: Sequence[int], inside: np.ndarray,
    relief: Reliefs, codes: np.ndarray, n: int,
) -> Parts:  # fmt: skip
    if len(relief.out) > 1 and (relief.out != relief.out[:1]).any():
        raise ParameterError(
            f"clause {name!r}: a corridor excludes other stretches in every replication, and {ask.metric.id} needs each "
            "contact's wait. Write effect: waive, or settle replications one by one."
        )
    use = inside & ~relief.out[0]
    some = len(types) < len(counts.types)
    if some and len(types) > 1:
        raise ParameterError(
            f"clause {name!r}: {ask.metric.id} takes one contact type, or all. Got {', '.join(clause.scope.contact_types)}."
        )
    value = np.full((counts.replications, n), np.nan)
    labels = np.where(use, codes, -1)
    if use.any():
        found = source.wait_quantiles(float(ask.metric.quantile or 0.5), labels, some)
        value[:, : found.shape[1]] = found[:, :, types[0] if some else 0]
    queued = _queued(counts, types)
    sample = _by_window(queued * use, codes, n)
    left = _by_window(queued * (inside & ~use), codes, n)
    nothing = np.full_like(value, np.nan)
    return value, nothing, nothing, sample, left


def _complete(w: Windows, window: str, months: pd.DatetimeIndex) -> Windows:
    """Add the months and quarters of which the source holds no interval, as windows without data."""
    step = {"month": 1, "quarter": 3}.get(window)
    if step is None:
        return w
    ends = np.arange(len(months)) if step == 1 else np.flatnonzero(months.month % 3 == 0)
    lacking = np.setdiff1d(ends, w.month)
    lacking = lacking[lacking >= step - 1]
    if not len(lacking):
        return w
    order = np.argsort(np.append(w.month, lacking), kind="stable")
    starts = pd.DatetimeIndex([months[k - step + 1] for k in lacking])
    rep = len(w.value)

    def wide(values: np.ndarray, fill: Any) -> np.ndarray:
        return np.concatenate([values, np.full((rep, len(lacking)), fill, dtype=values.dtype)], axis=1)[:, order]

    return Windows(
        wide(w.value, np.nan), wide(w.top, np.nan), wide(w.bottom, np.nan), wide(w.sample, np.nan), wide(w.excluded, 0.0),
        wide(w.factor, 1.0), wide(w.waived, False), np.append(w.month, lacking)[order],
        pd.DatetimeIndex(np.append(w.starts.tz_localize(None), starts)[order]),
    )  # fmt: skip
