"""Counts added up: a question resolved, its numerator and denominator over stretches of time, unknown cells left out."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bposim.errors import DataQualityWarning, ParameterError
from bposim.metrics.counts import MAXIMA, SHARED, Counts, gaps_of
from bposim.metrics.glossary import QUEUED, Metric, Terms, metric
from bposim.schema import INTERVAL_TABLE
from bposim.units import seconds

#: Stretches of time that a summary can be split by.
STRETCHES = ("interval", "time_of_day", "weekday", "day", "week", "month", "quarter")


class Source(Protocol):
    """Whatever can be measured: a history or a simulation."""

    @property
    def default_within_s(self) -> float:
        """Acceptable waiting time when none is given."""

    def counts(self, thresholds_s: Sequence[float] = ()) -> Counts:
        """Counts that hold at least these thresholds."""

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Quantile of the waits: shape (n_replications, n_labels, n_types or 1)."""


@dataclass(frozen=True)
class Ask:
    """A question with every default resolved."""

    metric: Metric
    within_s: float | None
    short_s: float | None
    label: str = ""

    def terms(self, terms: Terms) -> list[tuple[str, int]]:
        """Fill the thresholds into column names."""
        t = f"{self.within_s:.10g}" if self.within_s is not None else ""
        s = f"{self.short_s:.10g}" if self.short_s is not None else ""
        return [(column.replace("{T}", t).replace("{s}", s), sign) for column, sign in terms]


def time_labels(starts: pd.DatetimeIndex, unit: str) -> pd.Index:
    """Return the local stretch of time in which each interval lies.

    Weeks begin on Monday; ``time_of_day`` is text ``HH:MM``, ``weekday`` ``mon`` … ``sun``, others are local dates.
    """
    local = starts.tz_localize(None)
    if unit == "interval":
        return starts
    if unit == "time_of_day":
        return pd.Index(local.strftime("%H:%M"))
    if unit == "weekday":
        return pd.Index([["mon", "tue", "wed", "thu", "fri", "sat", "sun"][d] for d in local.day_of_week])
    if unit == "all":
        return pd.DatetimeIndex([local[0].normalize()] * len(local)) if len(local) else local
    day = local.normalize()
    if unit == "day":
        return day
    if unit == "week":
        return day - pd.to_timedelta(day.day_of_week, unit="D")
    if unit in ("month", "quarter"):
        return day.to_period("M" if unit == "month" else "Q").to_timestamp()
    raise ParameterError(f"stretch of time {unit!r} is unknown. Known: {', '.join((*STRETCHES, 'all'))}.")


def resolve(source: Source, name: str, within: Any, counting: str | None, short: Any, strict: bool) -> Ask:
    """Resolve every None of a question, in one place."""
    found = metric(name, counting)
    within_s = short_s = None
    if found.needs_within:
        within_s = source.default_within_s if within is None else _seconds(within, "within")
        if strict:  # in whole milliseconds "less than T" is "at most T − 1 ms"
            within_s = round(within_s - 0.001, 3)
    if found.needs_short:
        short_s = 5.0 if short is None else _seconds(short, "short")
    return Ask(found, within_s, short_s, name)


def _seconds(value: Any, what: str) -> float:
    # Waits are counted in whole milliseconds, and thresholds with them.
    return round(float(value) if isinstance(value, float | np.floating) else seconds(value, what=what), 3)


@dataclass(frozen=True)
class Sums:
    """Numerator and denominator of a metric, shape (n_replications, n_intervals, n_types or 1), NaN where not known.

    Attributes
    ----------
    top : ndarray
    bottom : ndarray or None
        None for a plain sum or a maximum.
    unknown, cells : int
        Cells (interval and contact type) of which a term is not known, and all cells.
    """

    top: np.ndarray
    bottom: np.ndarray | None
    unknown: int
    cells: int


def sums(counts: Counts, ask: Ask, *, split: bool, types: Sequence[int] | None = None) -> Sums:
    """Return numerator and denominator by cell, pooled over types unless ``split``; maxima pool by the largest.

    A cell counts only where every term of both sides is known, and a contact only where what the metric needs of it is
    known: the others are left out of numerator and denominator alike.
    """
    agents = ask.metric.table == "agents"
    pick: Any = slice(None) if types is None else list(types)
    above, below = ask.terms(ask.metric.numerator), ask.terms(ask.metric.denominator)
    maxima, shared = above[0][0] in MAXIMA, bool(below) and below[0][0] in SHARED
    gaps = {} if agents else gaps_of(counts, [column for column, _ in (*above, *below)])

    if lacking := [name for name in ask.metric.needs if name not in counts.contacts]:
        words = "; ".join(f"{n!r} ({INTERVAL_TABLE.meaning(n)})" for n in lacking)
        raise ParameterError(
            f"metric {ask.metric.id!r} needs what was not counted here: {words}. A simulation counts it; leave it out for "
            f"a history that does not hold it."
        )

    def column(name: str) -> np.ndarray:
        values = counts.agents.get(name) if agents else counts.column(name)
        if values is None:
            raise ParameterError(
                f"metric {ask.metric.id!r} needs agents' time, which this history does not hold. Calibrate it, or "
                "simulate."
            )
        return np.asarray(values)[:, :, pick]

    def side(terms: list[tuple[str, int]]) -> np.ndarray:
        total: Any = 0
        for name, sign in terms:
            values = column(name)
            if name in gaps:
                values = values - gaps[name][:, :, pick]
            total = total + sign * values
        return np.asarray(total, dtype=float)

    top, bottom = side(above), side(below) if below else None
    if shared:  # time cannot leave a contact out, so the cell is not known
        for missing in gaps.values():
            top = np.where(missing[:, :, pick] > 0, np.nan, top)
    unknown = np.isnan(top) if bottom is None else np.isnan(top) | np.isnan(bottom)
    found, cells = int(unknown.sum()), unknown.size
    if found:
        if shared and not split:
            unknown = np.broadcast_to(unknown.any(axis=2, keepdims=True), unknown.shape)
        top = np.where(unknown, np.nan, top)
        bottom = None if bottom is None else np.where(unknown, np.nan, bottom)
    if maxima:  # nobody queued: there is no longest wait
        top = np.where(side(list(QUEUED)) <= 0, np.nan, top)
    if not split:
        top = np.fmax.reduce(top, axis=2, keepdims=True) if maxima else _add(top)
        if bottom is not None:
            bottom = bottom[:, :, :1] if shared else _add(bottom)
    return Sums(top, bottom, found, cells)


def _add(values: np.ndarray) -> np.ndarray:
    """Add over types; missing where no type is known."""
    total = values.sum(axis=2, keepdims=True)
    if np.isnan(total).any():
        known = ~np.isnan(values)
        total = np.where(known.any(axis=2, keepdims=True), np.nansum(values, axis=2, keepdims=True), np.nan)
    return total


def tell_unknown(found: list[tuple[Ask, Sums]], *, stacklevel: int) -> None:
    """Warn of the cells that were left out because they are not known, once for all metrics of a question."""
    parts = [
        f"{ask.label}: {given.unknown:,} of {given.cells:,}"
        + ("" if given.bottom is not None or ask.metric.numerator[0][0] in MAXIMA else ", so the sum is too low")
        for ask, given in found
        if given.unknown
    ]
    if parts:
        warnings.warn(
            f"cells (interval and contact type) that are not known were left out, of numerator and denominator alike. "
            f"{'; '.join(parts)}. Complete the report, or take them for what is known.",
            DataQualityWarning, stacklevel=stacklevel + 1,
        )  # fmt: skip


def aggregate(
    top: np.ndarray, bottom: np.ndarray | None, counts: Counts, ask: Ask, aggregation: str, pass_level: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn counts by interval into the numerator and denominator of the aggregation.

    An interval (day) without contacts has no ratio: it is left out of both sides.
    """
    if aggregation == "pooled" or bottom is None:
        return top, bottom
    if aggregation == "share_of_days":
        codes = codes_of(counts.starts, "day")[1]
        first = np.zeros(len(codes), dtype=bool)
        first[np.unique(codes, return_index=True)[1]] = True
        days = int(codes.max(initial=-1)) + 1
        top_day, bottom_day = (group(x, codes, days, None, False) for x in (top, bottom))
        top, bottom = np.zeros_like(top), np.zeros_like(bottom)
        top[:, first], bottom[:, first] = top_day, bottom_day
    full = bottom > 0
    ratio = divide(top, bottom)
    if aggregation == "mean_of_intervals":
        return np.where(full, ratio, 0.0), full.astype(float)
    if pass_level is None:
        raise ParameterError(
            f"aggregation {aggregation!r} needs pass_level, the level each stretch must reach. Give 0.80."
        )
    good = ratio <= pass_level if ask.metric.better == "low" else ratio >= pass_level
    return (full & good).astype(float), full.astype(float)


def codes_of(starts: pd.DatetimeIndex, unit: str) -> tuple[pd.Index, np.ndarray]:
    codes, labels = pd.factorize(time_labels(starts, unit), sort=unit != "weekday")
    return pd.Index(labels), codes.astype(np.int64)


def group(values: np.ndarray, codes: np.ndarray, n: int, batches: np.ndarray | None, maxima: bool) -> np.ndarray:
    """Add (or take the largest of) intervals with the same label, shape (n_batches, n_labels, n_names).

    Without ``batches`` a batch is a replication. With them a batch is a day. Where a batch has no known interval under
    a label it is missing there.
    """
    r, _, k = values.shape
    if batches is None:
        if maxima:
            largest = np.full((r, n, k), np.nan)
            for batch, given in zip(largest, values, strict=True):
                np.fmax.at(batch, codes, given)
            return largest
        unknown = np.isnan(values)
        if not unknown.any():
            return _by_label(values, codes, n)
        total = _by_label(np.where(unknown, 0.0, values), codes, n)
        return np.where(_by_label(~unknown, codes, n) > 0, total, np.nan)
    shape = (int(batches.max(initial=-1)) + 1, n, k)
    if maxima:
        largest = np.full(shape, np.nan)
        np.fmax.at(largest, (batches, codes), values[0])
        return largest
    total, known = np.zeros(shape), np.zeros(shape)
    np.add.at(total, (batches, codes), np.nan_to_num(values[0]))
    np.add.at(known, (batches, codes), ~np.isnan(values[0]))
    return np.where(known > 0, total, np.nan)


def _by_label(values: np.ndarray, codes: np.ndarray, n: int) -> np.ndarray:
    if len(codes) == n and np.array_equal(codes, np.arange(n)):
        return values.astype(float)
    result = np.zeros((values.shape[0], n, values.shape[2]))
    order = np.argsort(codes, kind="stable")
    edges = np.flatnonzero(np.diff(codes[order], prepend=-1))
    result[:, codes[order][edges]] = np.add.reduceat(values[:, order].astype(float, copy=False), edges, axis=1)
    return result


def divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)
