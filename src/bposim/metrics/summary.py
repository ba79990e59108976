"""Metrics of a history or a simulation, by any stretch of time, with confidence intervals."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics.counts import MAXIMA, SHARED, Counts
from bposim.metrics.glossary import DEFAULT_METRICS, Metric, Terms, metric
from bposim.schema import WINDOWS
from bposim.units import seconds

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
_TIME = ("interval", "time_of_day", "weekday", "day", "week", "month", "quarter")
AGGREGATIONS = ("pooled", "mean_of_intervals", "share_of_intervals", "share_of_days")


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
    raise ParameterError(f"stretch of time {unit!r} is unknown. Known: {', '.join((*_TIME, 'all'))}.")


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
    return float(value) if isinstance(value, float | np.floating) else seconds(value, what=what)


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
        Of the intervals: ratio estimators over replications (over days, for a history) by the delta method.
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
    """
    keys = [by] if isinstance(by, str) else list(by or ())
    names = [metrics] if isinstance(metrics, str) else list(metrics or DEFAULT_METRICS)
    problems = [parameter("by", "summary()", f"any of {', '.join(BY)}", k) for k in keys if k not in BY]
    if not 0 < confidence < 1:
        problems.append(parameter("confidence", "summary()", "between 0 and 1", confidence))
    if aggregation not in AGGREGATIONS:
        problems.append(parameter("aggregation", "summary()", f"one of {', '.join(AGGREGATIONS)}", aggregation))
    if len([k for k in keys if k in _TIME]) > 1:
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
    parts = [_one(source, counts, a, keys, confidence, aggregation, pass_level) for a in asks]
    columns = [*keys, "metric", "value", "ci_low", "ci_high", "n"]
    if not parts:
        return pd.DataFrame(columns=columns)
    return pd.concat(parts, ignore_index=True)[columns]


def sums(counts: Counts, ask: Ask, *, split: bool) -> tuple[np.ndarray, np.ndarray | None]:
    """Return numerator and denominator, shape (n_replications, n_intervals, n_types or 1); maxima pool by max."""
    agents = ask.metric.table == "agents"

    def side(terms: Terms) -> np.ndarray | None:
        if not terms:
            return None
        total: Any = 0
        for column, sign in ask.terms(terms):
            values = counts.agents.get(column) if agents else counts.column(column)
            if values is None:
                return None
            once = column in MAXIMA or column in SHARED
            pooled = (
                values if split else values.max(axis=2, keepdims=True) if once else values.sum(axis=2, keepdims=True)
            )
            total = total + sign * pooled
        return np.asarray(total, dtype=float)

    top = side(ask.metric.numerator)
    if top is None:
        raise ParameterError(
            f"metric {ask.metric.id!r} needs agents' time, which this history does not hold. Calibrate it, or simulate."
        )
    return top, side(ask.metric.denominator)


def _one(
    source: Source,
    counts: Counts,
    ask: Ask,
    keys: list[str],
    confidence: float,
    aggregation: str,
    pass_level: float | None,
) -> pd.DataFrame:
    agents = ask.metric.table == "agents"
    split_key = "agent_group" if agents else "contact_type"
    wrong = "contact_type" if agents else "agent_group"
    if wrong in keys:
        raise ParameterError(f"metric {ask.metric.id!r} cannot be split by {wrong}. Leave one of them out.")
    split = split_key in keys
    unit = next((k for k in keys if k in _TIME), "all")
    labels, codes = _codes(counts.starts, unit)
    names = (counts.groups if agents else counts.types) if split else ("all",)
    if ask.metric.table == "waits":
        values = source.wait_quantiles(float(ask.metric.quantile or 0.5), codes, split)
        return _rows(_over_replications(values, confidence, keys), keys, labels, names, ask, split_key)
    top, bottom = sums(counts, ask, split=split)
    top, bottom = aggregate(top, bottom, counts, ask, aggregation, pass_level)
    maxima = ask.metric.numerator[0][0] in MAXIMA
    stretch_days = counts.batches == "day"
    batch_codes = _codes(counts.starts, "day")[1] if stretch_days else None
    numerator = _group(top, codes, len(labels), batch_codes, maxima)
    denominator = None if bottom is None else _group(bottom, codes, len(labels), batch_codes, False)
    if "replication" in keys or maxima:
        plain = numerator if denominator is None else _divide(numerator, denominator)
        if "replication" in keys:
            if stretch_days:
                raise ParameterError("a history has no replications. Split it by day, week or month.")
            return _rows(plain, keys, labels, names, ask, split_key)
        if stretch_days:  # the longest wait of the history; no interval is claimed for it
            value = np.nanmax(np.where(np.isnan(plain), -np.inf, plain), axis=0)
            nothing = np.full(value.shape, np.nan)
            return _rows((value, nothing, nothing, np.ones(value.shape)), keys, labels, names, ask, split_key)
        return _rows(_over_replications(plain, confidence, keys), keys, labels, names, ask, split_key)
    if denominator is None:
        if stretch_days:
            value = np.nansum(numerator, axis=0)
            nothing = np.full(value.shape, np.nan)
            n = np.sum(~np.isnan(numerator), axis=0)
            return _rows((value, nothing, nothing, n), keys, labels, names, ask, split_key)
        return _rows(_over_replications(numerator, confidence, keys), keys, labels, names, ask, split_key)
    value, low, high, n = ratio_interval(numerator, denominator, confidence)
    top_end = 1.0 if ask.metric.unit == "share" else np.inf
    return _rows((value, np.clip(low, 0, top_end), np.clip(high, 0, top_end), n), keys, labels, names, ask, split_key)


def aggregate(
    top: np.ndarray, bottom: np.ndarray | None, counts: Counts, ask: Ask, aggregation: str, pass_level: float | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Turn counts by interval into the numerator and denominator of the aggregation.

    An interval (day) without contacts has no ratio: it is left out of both sides.
    """
    if aggregation == "pooled" or bottom is None:
        return top, bottom
    if aggregation == "share_of_days":
        codes = _codes(counts.starts, "day")[1]
        first = np.zeros(len(codes), dtype=bool)
        first[np.unique(codes, return_index=True)[1]] = True
        days = int(codes.max(initial=-1)) + 1
        top_day, bottom_day = (_group(x, codes, days, None, False) for x in (top, bottom))
        top, bottom = np.zeros_like(top), np.zeros_like(bottom)
        top[:, first], bottom[:, first] = top_day, bottom_day
    full = bottom > 0
    ratio = _divide(top, bottom)
    if aggregation == "mean_of_intervals":
        return np.where(full, ratio, 0.0), full.astype(float)
    if pass_level is None:
        raise ParameterError(
            f"aggregation {aggregation!r} needs pass_level, the level each stretch must reach. Give 0.80."
        )
    good = ratio <= pass_level if ask.metric.better == "low" else ratio >= pass_level
    return (full & good).astype(float), full.astype(float)


def _codes(starts: pd.DatetimeIndex, unit: str) -> tuple[pd.Index, np.ndarray]:
    codes, labels = pd.factorize(time_labels(starts, unit), sort=unit != "weekday")
    return pd.Index(labels), codes.astype(np.int64)


def _group(values: np.ndarray, codes: np.ndarray, n: int, batches: np.ndarray | None, maxima: bool) -> np.ndarray:
    """Add (or take the largest of) intervals with the same label, shape (n_batches, n_labels, n_names).

    Without ``batches`` a batch is a replication. With them a batch is a day: a day that has no interval under a label
    is missing there.
    """
    r, _, k = values.shape
    if batches is None:
        result = np.zeros((r, n, k))
        if maxima:
            for batch, given in zip(result, values, strict=True):
                np.maximum.at(batch, codes, given)
        elif len(codes) == n and np.array_equal(codes, np.arange(n)):
            result = values.astype(float)
        else:
            order = np.argsort(codes, kind="stable")
            edges = np.flatnonzero(np.diff(codes[order], prepend=-1))
            result[:, codes[order][edges]] = np.add.reduceat(values[:, order], edges, axis=1)
        return result
    n_batches = int(batches.max(initial=-1)) + 1
    result = np.zeros((n_batches, n, k))
    seen = np.zeros((n_batches, n), dtype=bool)
    seen[batches, codes] = True
    if maxima:
        np.maximum.at(result, (batches, codes), values[0])
    else:
        np.add.at(result, (batches, codes), values[0])
    return np.where(seen[:, :, None], result, np.nan)


def _divide(top: np.ndarray, bottom: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where(bottom > 0, top / bottom, np.nan)


def t_quantile(confidence: float, n: np.ndarray) -> np.ndarray:
    """Return the two-sided Student quantile with n − 1 degrees of freedom."""
    from scipy.special import stdtrit

    return stdtrit(np.maximum(n - 1, 1), 0.5 + confidence / 2)


def ratio_interval(top: np.ndarray, bottom: np.ndarray, confidence: float) -> tuple[np.ndarray, ...]:
    """Return value, ends and n of a ratio of means over axis 0 by the delta method.

    Notes
    -----
    With R = Σ N / Σ D the variance is Σ (N_k − R D_k)² / (n (n − 1) mean(D)²), Student's quantile with n − 1 degrees
    of freedom (Law 2015, section 9.3; Asmussen & Glynn 2007, III.3).
    """
    seen = ~np.isnan(top)
    n = seen.sum(axis=0)
    total_top, total_bottom = np.nansum(top, axis=0), np.nansum(bottom, axis=0)
    value = _divide(total_top, total_bottom)
    rest = np.nansum((top - value * bottom) ** 2, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        error = np.sqrt(rest / (n * (n - 1))) / (total_bottom / n)
    error = np.where((n > 1) & (total_bottom > 0), error, np.nan)
    half = t_quantile(confidence, n) * error
    return value, value - half, value + half, n


def _over_replications(values: np.ndarray, confidence: float, keys: list[str]) -> Any:
    """Return mean, ends and n over axis 0; missing replications are left out."""
    if "replication" in keys:
        return values
    ones = np.where(np.isnan(values), np.nan, 1.0)
    return ratio_interval(values, ones, confidence)


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


def windows(
    source: Source,
    metric_name: str,
    window: str = "day",
    within: Any = None,
    counting: str | None = None,
    *,
    contact_type: str | Sequence[str] | None = None,
    short: Any = None,
    strict: bool = False,
    aggregation: str = "pooled",
    pass_level: float | None = None,
) -> pd.DataFrame:
    """Return one row per replication and window: ``replication, window_start, value, numerator, denominator``.

    Parameters
    ----------
    source : History or SimulationResult
    metric_name : str
        A ratio or sum of the glossary (percentiles have no numerator: use ``summary(by=…)``).
    window : str
        ``interval``, ``day``, ``week``, ``month``, ``quarter`` or ``all``.
    contact_type : str or list of str, optional
        One type, or several pooled; all pooled otherwise.

    Raises
    ------
    ParameterError
        Unknown window, metric, rule or contact type.
    """
    if window not in WINDOWS:
        raise ParameterError(parameter("window", "windows()", f"one of {', '.join(WINDOWS)}", window))
    ask = resolve(source, metric_name, within, counting, short, strict)
    counts = source.counts([t for t in (ask.within_s, ask.short_s) if t is not None])
    labels, codes = _codes(counts.starts, window)
    kinds = [contact_type] if isinstance(contact_type, str) else list(contact_type or ())
    unknown = [k for k in kinds if k not in counts.types]
    if unknown:
        raise ParameterError(f"contact type {unknown[0]!r} is unknown. Known: {', '.join(counts.types)}.")
    if kinds and ask.metric.table == "agents":
        raise ParameterError(
            f"metric {ask.metric.id!r} cannot be split by contact_type: agents' time belongs to groups. Leave it out."
        )
    if ask.metric.table == "waits":
        if len(kinds) > 1:
            raise ParameterError(f"metric {ask.metric.id!r} takes one contact type, or all. Got {', '.join(kinds)}.")
        values = source.wait_quantiles(float(ask.metric.quantile or 0.5), codes, bool(kinds))
        value = values[:, :, counts.types.index(kinds[0]) if kinds else 0]
        top = bottom = np.full(value.shape, np.nan)
    else:
        split = bool(kinds)
        maxima = ask.metric.numerator[0][0] in MAXIMA
        top3, bottom3 = sums(counts, ask, split=split)
        if split:
            pick = [counts.types.index(k) for k in kinds]
            top3 = (
                top3[:, :, pick].max(axis=2, keepdims=True) if maxima else top3[:, :, pick].sum(axis=2, keepdims=True)
            )
            if bottom3 is not None:
                once = ask.metric.denominator[0][0] in SHARED
                bottom3 = bottom3[:, :, pick[:1]] if once else bottom3[:, :, pick].sum(axis=2, keepdims=True)
        top3, bottom3 = aggregate(top3, bottom3, counts, ask, aggregation, pass_level)
        top = _group(top3, codes, len(labels), None, maxima)[:, :, 0]
        bottom = np.ones_like(top) if bottom3 is None else _group(bottom3, codes, len(labels), None, False)[:, :, 0]
        value = _divide(top, bottom)
    r = len(top)
    return pd.DataFrame(
        {
            "replication": np.repeat(np.arange(r), len(labels)),
            "window_start": labels[np.tile(np.arange(len(labels)), r)],
            "value": value.reshape(-1),
            "numerator": top.reshape(-1),
            "denominator": bottom.reshape(-1),
        }
    )
