"""Metrics of a history or a simulation, by any stretch of time, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics.counts import MAXIMA, Counts
from bposim.metrics.glossary import DEFAULT_METRICS
from bposim.metrics.intervals import extreme_share, pool_batches
from bposim.metrics.pooling import (
    STRETCHES,
    Ask,
    Source,
    Sums,
    aggregate,
    codes_of,
    divide,
    group,
    resolve,
    sums,
    tell_unknown,
)

#: What a summary can be split by.
BY = (
    "contact_type",
    "agent_group",
    "interval",
    "time_of_day",
    "weekday",
    "day",
    "week",
    "month",
    "quarter",
    "replication",
)
AGGREGATIONS = ("pooled", "mean_of_intervals", "share_of_intervals", "share_of_days")


def summary(
    source: Source,
    by: str | Iterable[str] | None = None,
    metrics: str | Iterable[str] | None = None,
    within: Any = None,
    counting: str | None = None,
    confidence: float = 0.95,
    *,
    short: Any = None,
    strict: bool = False,
    aggregation: str = "pooled",
    pass_level: float | None = None,
) -> pd.DataFrame:
    """Measure a history or a simulation.

    Parameters
    ----------
    source : History or SimulationResult
    by : str or list of str, optional
        Any of ``contact_type, agent_group, interval, time_of_day, weekday, day, week, month, quarter, replication``.
    metrics : str or list of str, optional
        Ids of the glossary; ``service_level[excl_T]`` names a rule.
    within : str, optional
        Acceptable waiting time, ``"20s"``; None takes the scenario's first target, 20 s without one.
    counting : str, optional
        Service-level counting rule, ``offered`` by default.
    confidence : float
        Of the intervals: ratio estimators over replications (over days, for a history) by the delta method; Wilson's
        over days where a share is exactly 0 or 1.
    short : str, optional
        Short-abandon limit; None means 5 s.
    strict : bool
        Whether a wait equal to the threshold misses it.
    aggregation : str
        ``pooled`` (sum counts, divide last), ``mean_of_intervals``, ``share_of_intervals`` or ``share_of_days``.
    pass_level : float, optional
        Level that an interval or day must reach, for the share-of aggregations.

    Returns
    -------
    DataFrame
        Columns ``…by…, metric, value, ci_low, ci_high, n``. A metric without data is missing, never 0 or 100 %.

    Raises
    ------
    ParameterError
        Unknown metric, rule or stretch; all at once.

    Warns
    -----
    DataQualityWarning
        Cells of an interval report are not known: ratios are of the others, sums are too low by what they hold.
    """
    keys = [by] if isinstance(by, str) else list(by or ())
    names = [metrics] if isinstance(metrics, str) else list(metrics or DEFAULT_METRICS)
    problems = [parameter("by", "summary()", f"any of {', '.join(BY)}", k) for k in keys if k not in BY]
    if not 0 < confidence < 1:
        problems.append(parameter("confidence", "summary()", "between 0 and 1", confidence))
    if aggregation not in AGGREGATIONS:
        problems.append(parameter("aggregation", "summary()", f"one of {', '.join(AGGREGATIONS)}", aggregation))
    if len([k for k in keys if k in STRETCHES]) > 1:
        problems.append(f"by={keys} names two stretches of time; choose one.")
    require(problems, ParameterError)
    asks = [resolve(source, n, within, counting, short, strict) for n in names]
    if metrics is None:
        per_agent, per_type = "agent_group" in keys, "contact_type" in keys
        asks = [
            a
            for a in asks
            if not ((a.metric.table == "agents" and per_type) or (a.metric.table != "agents" and per_agent))
        ]
    wanted = [t for a in asks for t in (a.within_s, a.short_s) if t is not None]
    counts = source.counts(wanted)
    if metrics is None and not counts.agents:  # asked for by name it is refused, not left out
        asks = [a for a in asks if a.metric.table != "agents"]
    given: list[tuple[Ask, Sums]] = []
    parts = []
    for a in asks:
        if a.metric.table == "waits":
            parts.append(_waits(source, counts, a, keys, confidence))
            continue
        terms = terms_of(counts, a, keys, aggregation, pass_level)
        given.append((a, terms.given))
        parts.append(_one(counts, terms, a, keys, confidence))
    tell_unknown(given, stacklevel=3)
    columns = [*keys, "metric", "value", "ci_low", "ci_high", "n"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


@dataclass(frozen=True)
class TermsByBatch:
    """Numerator and denominator of a metric by independent repetition, shape (n_batches, n_labels, n_names).

    Attributes
    ----------
    labels : Index
        Stretches of time.
    names : tuple of str
        Contact types or agent groups, or ``all``.
    top : ndarray
    bottom : ndarray or None
    days : ndarray, shape (n_labels, n_names)
        Days, over all independent repetitions (replications that share a volume path are one), on which the denominator
        was not zero.
    given : Sums
        What they were grouped from.
    """

    labels: pd.Index
    names: tuple[str, ...]
    top: np.ndarray
    bottom: np.ndarray | None
    days: np.ndarray
    given: Sums


def _frame_of(counts: Counts, ask: Ask, keys: list[str]) -> tuple[str, bool, tuple[str, ...], pd.Index, np.ndarray]:
    """Return the key that splits, whether it does, the names, and the stretches of time."""
    agents = ask.metric.table == "agents"
    split_key, wrong = ("agent_group", "contact_type") if agents else ("contact_type", "agent_group")
    if wrong in keys:
        raise ParameterError(f"metric {ask.metric.id!r} cannot be split by {wrong}. Leave one of them out.")
    split = split_key in keys
    names = (counts.groups if agents else counts.types) if split else ("all",)
    labels, codes = codes_of(counts.starts, next((k for k in keys if k in STRETCHES), "all"))
    return split_key, split, names, labels, codes


def terms_of(
    counts: Counts, ask: Ask, keys: list[str], aggregation: str = "pooled", pass_level: float | None = None
) -> TermsByBatch:
    """Return numerator and denominator of a metric by repetition, stretch of time and type."""
    _, split, names, labels, codes = _frame_of(counts, ask, keys)
    given = sums(counts, ask, split=split)
    top, bottom = aggregate(given.top, given.bottom, counts, ask, aggregation, pass_level)
    maxima = ask.metric.numerator[0][0] in MAXIMA
    day = codes_of(counts.starts, "day")[1]
    batches = day if counts.batches == "day" else None
    numerator = group(top, codes, len(labels), batches, maxima)
    denominator = None if bottom is None else group(bottom, codes, len(labels), batches, False)
    days = np.zeros(numerator.shape[1:])
    if bottom is not None and ask.metric.unit == "share":
        cell = np.unique(np.stack([codes, day]), axis=1, return_inverse=True)
        by_day = group(bottom, cell[1].reshape(-1), cell[0].shape[1], None, False)
        np.add.at(days, cell[0][0], (pool_batches(by_day, counts.paths) > 0).sum(axis=0))
    return TermsByBatch(labels, names, numerator, denominator, days, given)


def _waits(source: Source, counts: Counts, ask: Ask, keys: list[str], confidence: float) -> pd.DataFrame:
    split_key, split, names, labels, codes = _frame_of(counts, ask, keys)
    values = source.wait_quantiles(float(ask.metric.quantile or 0.5), codes, split)
    return _rows(_over_replications(values, confidence, keys, counts.paths), keys, labels, names, ask, split_key)


def _one(counts: Counts, terms: TermsByBatch, ask: Ask, keys: list[str], confidence: float) -> pd.DataFrame:
    split_key, _, names, labels, _ = _frame_of(counts, ask, keys)
    maxima = ask.metric.numerator[0][0] in MAXIMA
    by_day = counts.batches == "day"
    numerator, denominator = terms.top, terms.bottom
    if "replication" in keys:
        if by_day:
            raise ParameterError("a history has no replications. Split it by day, week or month.")
        plain = numerator if denominator is None else divide(numerator, denominator)
        return _rows(plain, keys, labels, names, ask, split_key)
    if denominator is None:
        if not by_day:
            return _rows(
                _over_replications(numerator, confidence, keys, counts.paths), keys, labels, names, ask, split_key
            )
        # The sum (the longest wait) of a history is what it is; no interval is claimed for it.
        known = ~np.isnan(numerator)
        value = np.fmax.reduce(numerator, axis=0) if maxima else np.nansum(numerator, axis=0)
        value = np.where(known.any(axis=0), value, np.nan)
        n = known.any(axis=0) if maxima else known.sum(axis=0)
        nothing = np.full(value.shape, np.nan)
        return _rows((value, nothing, nothing, n), keys, labels, names, ask, split_key)
    value, low, high, n = ratio_interval(numerator, denominator, confidence, counts.paths)
    share = ask.metric.unit == "share"
    low, high = np.clip(low, 0, 1 if share else np.inf), np.clip(high, 0, 1 if share else np.inf)
    if share:
        low, high = extreme_share(value, low, high, np.where(n > 1, terms.days, 0), confidence)
    return _rows((value, low, high, n), keys, labels, names, ask, split_key)


def t_quantile(confidence: float, n: np.ndarray) -> np.ndarray:
    """Return the two-sided Student quantile with n − 1 degrees of freedom."""
    from scipy.special import stdtrit

    return stdtrit(np.maximum(n - 1, 1), 0.5 + confidence / 2)


def ratio_interval(
    top: np.ndarray, bottom: np.ndarray, confidence: float, batch: np.ndarray | None = None
) -> tuple[np.ndarray, ...]:
    """Return value, ends and n of a ratio of means over axis 0 by the delta method; missing repetitions are left out.

    Rows of one ``batch`` (None: each its own) are pooled first: n is the number of independent repetitions.

    Notes
    -----
    With R = Σ N / Σ D the variance is Σ (N_k − R D_k)² / (n (n − 1) mean(D)²), Student's quantile with n − 1 degrees
    of freedom (Law 2015, section 9.3; Asmussen & Glynn 2007, III.3).
    """
    seen = ~(np.isnan(top) | np.isnan(bottom))
    top, bottom = (pool_batches(np.where(seen, x, np.nan), batch) for x in (top, bottom))
    seen = ~np.isnan(top)
    n = seen.sum(axis=0)
    total_top, total_bottom = np.nansum(top, axis=0), np.nansum(bottom, axis=0)
    value = divide(total_top, total_bottom)
    rest = np.nansum((top - value * bottom) ** 2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(rest / (n * (n - 1))) / (total_bottom / n)
    error = np.where((n > 1) & (total_bottom > 0), error, np.nan)
    half = t_quantile(confidence, n) * error
    return value, value - half, value + half, n


def _over_replications(values: np.ndarray, confidence: float, keys: list[str], batch: np.ndarray | None = None) -> Any:
    """Return mean, ends and n over axis 0; missing replications are left out."""
    if "replication" in keys:
        return values
    ones = np.where(np.isnan(values), np.nan, 1.0)
    return ratio_interval(values, ones, confidence, batch)


def _rows(
    result: Any, keys: list[str], labels: pd.Index, names: tuple[str, ...], ask: Ask, split_key: str
) -> pd.DataFrame:
    """Lay arrays out as tidy rows."""
    per_replication = isinstance(result, np.ndarray)
    if per_replication:
        nothing = np.full(result.shape, np.nan)
        parts = [(r, result[r], nothing[r], nothing[r], np.ones(result.shape[1:])) for r in range(result.shape[0])]
    else:
        parts = [(0, *result)]
    frames = []
    for r, value, low, high, n in parts:
        table: dict[str, Any] = {}
        shape = value.shape
        for key in keys:
            if key == "replication":
                table[key] = np.full(value.size, r)
            elif key == split_key:
                table[key] = np.tile(np.array(names, dtype=object), shape[0])
            else:
                table[key] = labels.repeat(shape[1])
        table |= {
            "metric": ask.label, "value": value.reshape(-1), "ci_low": low.reshape(-1), "ci_high": high.reshape(-1),
            "n": np.asarray(n).reshape(-1).astype(int),
        }  # fmt: skip
        frames.append(pd.DataFrame(table, index=range(value.size)))
    return pd.concat(frames, ignore_index=True)
