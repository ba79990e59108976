"""The history of a metric by month or quarter: read from a History, or from a table of counts or values."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import BposimError, DataQualityWarning, ParameterError, parameter, require
from bposim.history import History
from bposim.metrics import whole_windows, windows
from bposim.scenario.check import nearest
from bposim.scenario.target import SENSES
from bposim.targets.figures import numbers

#: Metrics that are shares; the others are waits in seconds.
SHARES = ("service_level", "turnaround", "abandonment", "occupancy")
#: What each metric keeps in sight.
COVERS = {
    "service_level": "speed", "abandonment": "access", "turnaround": "turnaround", "occupancy": "workload",
    "asa": "mean wait", "mean_wait": "mean wait", "wait_p95": "tail of the wait", "max_wait": "tail of the wait",
    "mean_excess": "tail of the wait",
}  # fmt: skip
#: Tried in this order where the caller names none; at most five are recommended.
ORDER = ("service_level", "abandonment", "asa", "turnaround", "occupancy")
#: Months of a window, and the fewest windows from which anything is promised: a year.
MONTHS = {"month": 1, "quarter": 3}
FEWEST = {"month": 12, "quarter": 4}
_TIMES = ("month", "quarter", "window_start", "date", "day", "interval_start", "time")
_CALLER = "recommend_targets()"


@dataclass(frozen=True, eq=False)
class MetricHistory:
    """One metric, window by window.

    Attributes
    ----------
    metric, counting : str
    within_s : float or None
    window : {"month", "quarter"}
    frame : DataFrame
        ``window_start`` (zone-free first day), ``value``, ``volume`` (contacts behind it, nan where not known), ascending;
        windows without a value are left out.
    origin : Timestamp
        First day after what is known.
    """

    metric: str
    counting: str
    within_s: float | None
    window: str
    frame: pd.DataFrame
    origin: pd.Timestamp

    @property
    def share(self) -> bool:
        """Whether the metric is a share."""
        return self.metric in SHARES

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return SENSES[self.metric] == ">="

    @property
    def step(self) -> float:
        """Step to which levels are rounded, to the safe side."""
        return step_of(self.metric)

    @property
    def centre(self) -> float:
        """Mean log of a wait, around which the model's first level lies; 0 for a share."""
        return 0.0 if self.share else float(np.log(np.maximum(self.frame["value"], 0.5)).mean())

    def scaled(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the values on the model's scale, and the variance that their counts of contacts explain.

        A share of n contacts is taken as (k + ½) / (n + 1), so that 0 and 1 are finite; where n is not known, off the
        ends by a tenth of a percent.
        """
        value = self.frame["value"].to_numpy(dtype=float)
        n = self.frame["volume"].to_numpy(dtype=float)
        if not self.share:
            return np.log(np.maximum(value, 0.5)) - self.centre, np.zeros(len(value))
        known = np.isfinite(n) & (n > 0)
        safe = np.where(known, n, 1.0)
        p = np.where(known, (value * safe + 0.5) / (safe + 1), np.clip(value, 0.001, 0.999))
        return np.log(p / (1 - p)), np.where(known, 1 / (safe * p * (1 - p)), 0.0)

    def natural(self, scaled: np.ndarray) -> np.ndarray:
        """Return values of the model's scale as shares or seconds."""
        return np.asarray(1 / (1 + np.exp(-scaled)) if self.share else np.exp(scaled + self.centre))

    def to_scale(self, level: float) -> float:
        """Return a level on the model's scale; the ends are infinite."""
        with np.errstate(divide="ignore"):
            return float(np.log(level) - np.log1p(-level)) if self.share else float(np.log(level)) - self.centre

    def before(self, origin: pd.Timestamp) -> MetricHistory:
        """Return what was known before an origin."""
        frame = self.frame[self.frame["window_start"] + pd.DateOffset(months=MONTHS[self.window]) <= origin]
        return MetricHistory(
            self.metric, self.counting, self.within_s, self.window, frame.reset_index(drop=True), origin
        )


def step_of(metric: str) -> float:
    """Return the step to which levels of a metric are rounded.

    Examples
    --------
    >>> step_of("asa"), step_of("abandonment"), step_of("service_level")
    (1.0, 0.005, 0.01)
    """
    if metric not in SHARES:
        return 1.0
    return 0.005 if metric == "abandonment" else 0.01


def is_history(source: Any) -> bool:
    """Tell whether a source is a history of metrics."""
    return isinstance(source, History | pd.DataFrame | pd.Series)


def read_metrics(
    source: Any,
    *,
    metrics: Any,
    within: Any,
    counting: str | None,
    window: str,
    until: Any,
    problems: Iterable[str] = (),
) -> tuple[list[MetricHistory], list[str]]:
    """Return the metrics of a source before ``until``, and notes on those that were left out.

    ``problems`` were found before; they are raised with those found here.

    Raises
    ------
    ParameterError
        An argument or the source is wrong; all problems at once.
    """
    problems = list(problems)
    if window not in MONTHS:
        problems.append(
            parameter("window", _CALLER, "month or quarter where the source is a history", window,
                      "Shorter windows are promised from a scenario.")
        )  # fmt: skip
    asked = None if metrics is None else [metrics] if isinstance(metrics, str) else list(metrics)
    for name in asked or ():
        if name not in SENSES:
            problems.append(
                f"metric {name!r} cannot be promised.{nearest(str(name), tuple(SENSES))} Known: {', '.join(SENSES)}."
            )
    if asked is not None and not 1 <= len(asked) <= 5:
        problems.append(parameter("metrics", _CALLER, "one to five metrics", asked))
    origin = None
    if until is not None:
        try:
            origin = pd.Timestamp(until)
            origin = origin.tz_localize(None) if origin.tzinfo is not None else origin
        except (ValueError, TypeError):
            problems.append(parameter("until", _CALLER, "a date", until, 'Write "2026-01-01".'))
    within_s = None
    if within is not None:
        try:
            from bposim.units import seconds

            within_s = float(within) if isinstance(within, float) else seconds(within, what="within")
        except BposimError as error:
            problems += error.problems
    if isinstance(source, History):
        if source.kind == "counts":
            problems.append(
                f"{source.source} holds counts of contacts and nothing of what became of them, so no target can be recommended "
                f"to {_CALLER}. Give a contact log, an interval report, or a table of the metric by month."
            )
        require(problems, ParameterError)
        return _of_history(source, asked, within_s, counting, window, origin)
    if not isinstance(source, pd.DataFrame | pd.Series):
        problems.append(
            parameter("source", _CALLER, "a Scenario, a History, or a table of metrics by month or day", type(source).__name__)
        )  # fmt: skip
        require(problems, ParameterError)
    table = source if isinstance(source, pd.DataFrame) else source.rename("value").to_frame()
    if isinstance(source, pd.Series) and source.name in SENSES and asked is not None and asked != [source.name]:
        problems.append(
            f"the Series given to {_CALLER} is named {source.name!r}, and metrics={metrics!r} asks for another. Rename it, or leave metrics out."
        )
    if isinstance(source, pd.Series) and asked is None:
        asked = [str(source.name)] if source.name in SENSES else None
    long = _tidy(table, asked, problems)
    require(problems, ParameterError)
    assert long is not None
    names = asked or [m for m in ORDER if m in set(long["metric"])] or sorted(set(long["metric"]) & set(SENSES))[:5]
    problems += [f"the table has no metric {m!r}. It has {', '.join(sorted(set(long['metric'])))}." for m in names if m not in set(long["metric"])]  # fmt: skip
    for m in names:
        if m in ("service_level", "turnaround", "mean_excess") and within_s is None:
            problems.append(f'{_CALLER} needs the threshold of {m}, which the table does not tell. Write within="60s".')
    require(problems, ParameterError)
    notes: list[str] = []
    found = [
        _pooled(long[long["metric"] == m], m, counting or "offered", within_s if m in ("service_level", "turnaround", "mean_excess") else None, window, origin,
                notes)
        for m in names
    ]  # fmt: skip
    kept, left = _enough(found, named=True)
    return kept, [*notes, *left]


def _of_history(
    history: History, asked: list[str] | None, within_s: float | None, counting: str | None, window: str,
    origin: pd.Timestamp | None,
) -> tuple[list[MetricHistory], list[str]]:  # fmt: skip
    if origin is not None:
        history = history.between(history.days[0], origin)
    after = pd.Timestamp(history.days[1]) + pd.Timedelta(days=1)
    found: list[MetricHistory] = []
    notes: list[str] = []
    problems: list[str] = []
    for name in asked or ORDER:
        rule = (counting or history.counting or "offered") if name == "service_level" else None
        options: dict[str, Any] = {"within": within_s, "counting": rule, "short": history.short_abandon_s}
        try:
            with warnings.catch_warnings(record=True) as heard:
                warnings.simplefilter("always", DataQualityWarning)
                table = whole_windows(windows(history, name, window, **options))
        except BposimError as error:
            if asked is not None:
                problems += error.problems
            continue
        notes += [str(w.message) for w in heard]
        table = table[table["share"] == 1]
        bottom = table["denominator"].to_numpy(dtype=float)
        counted = name in SHARES and name != "occupancy"
        frame = pd.DataFrame({
            "window_start": pd.DatetimeIndex(table["window_start"]).tz_localize(None),
            "value": table["value"].to_numpy(dtype=float), "volume": bottom if counted else np.full(len(bottom), np.nan),
        })  # fmt: skip
        frame = frame[frame["value"].notna()].sort_values("window_start", ignore_index=True)
        if frame.empty and asked is None:
            continue
        timed = name in ("service_level", "turnaround", "mean_excess")
        threshold = (history.default_within_s if within_s is None else within_s) if timed else None
        found.append(MetricHistory(name, rule or "offered", threshold, window, frame, origin or after))
    require(problems, ParameterError)
    kept, left = _enough(found, named=asked is not None)
    return kept, [*dict.fromkeys(notes), *left]


def _tidy(table: pd.DataFrame, asked: list[str] | None, problems: list[str]) -> pd.DataFrame | None:
    """Return ``time, metric, value, top, bottom, volume`` of a caller's table."""
    where = "the table given to " + _CALLER
    name = next((c for c in _TIMES if c in table.columns), None)
    times: Any = table[name] if name is not None else table.index
    if isinstance(times, pd.PeriodIndex) or isinstance(getattr(times, "dtype", None), pd.PeriodDtype):
        times = pd.PeriodIndex(times).to_timestamp()
    numeric = pd.api.types.is_numeric_dtype(times)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # of a form that pandas has to guess row by row; checked below
            stamps = pd.DatetimeIndex(pd.to_datetime(times)) if not numeric else None
    except (ValueError, TypeError):
        stamps = None
    if stamps is not None:
        # "Jan" is read as January of the year 1: a time without its year.
        lost = stamps.isna() | np.asarray(stamps.year < 1900)
    if stamps is None or lost.any():
        got = (
            f" Row {int(lost.argmax())} has {pd.Series(times).iloc[int(lost.argmax())]!r}."
            if stamps is not None
            else ""
        )
        problems.append(
            f"{where} tells no time of each row.{got} Give a column month or date (or such an index), with its year: 2026-03."
        )
        return None
    counts = {"numerator", "denominator"} <= set(table.columns)
    if not counts and "value" not in table:
        problems.append(
            f"{where} has columns {', '.join(map(str, table.columns))}. Give numerator and denominator, or value and volume."
        )
        return None
    stamps = stamps.tz_localize(None) if stamps.tz is not None else stamps
    if "metric" in table:
        kind = table["metric"].astype(str).to_numpy(dtype=object)
    elif asked is not None and len(asked) == 1:
        kind = np.full(len(table), asked[0], dtype=object)
    else:
        problems.append(
            f'{where} does not say which metric it holds. Add a column metric, or write metrics="abandonment".'
        )
        return None  # fmt: skip

    def told(column: str) -> np.ndarray:
        if column not in table:
            return np.full(len(table), np.nan)
        return numbers(table[column], f"column {column} of {where}", problems)

    volume = told("denominator" if counts else "volume")
    with np.errstate(divide="ignore", invalid="ignore"):
        value = told("numerator") / volume if counts else told("value")
    long = pd.DataFrame({"time": stamps, "metric": kind, "value": value, "volume": volume})
    if asked is not None:
        long = long[long["metric"].isin(asked)]
    long = long[long["metric"].isin(SENSES)].reset_index(drop=True)
    if long.empty:
        problems.append(f"{where} has no metric that can be promised. Known: {', '.join(SENSES)}.")
        return None
    share = long["metric"].isin(SHARES).to_numpy()
    bad = np.flatnonzero((long["value"] < 0) | (share & (long["value"] > 1)) | (long["volume"] < 0))
    if len(bad):
        row = long.iloc[bad[0]]
        problems.append(
            f"{len(bad)} rows of {where} are no {'share between 0 and 1' if share[bad[0]] else 'seconds of at least 0'} "
            f"(the first: {row['metric']} {row['value']:.4g} of {row['time']:%Y-%m-%d}, volume {row['volume']:.4g}). "
            "Divide percentages by 100, and correct counts."
        )
    twice = long.duplicated(["time", "metric"])
    if twice.any():
        row = long[twice].iloc[0]
        problems.append(
            f"{where} has {int(twice.sum())} rows more than one for a time and metric (the first: {row['metric']} of "
            f"{row['time']:%Y-%m-%d}). Pool contact types first."
        )
    return long


def _pooled(
    long: pd.DataFrame, metric: str, counting: str, within_s: float | None, window: str, origin: pd.Timestamp | None,
    notes: list[str],
) -> MetricHistory:  # fmt: skip
    """Add rows up into windows: values weighted by their volumes, alike where none is known.

    Single volumes that are not known are taken as the mean of the others of their window, else of all.
    """
    long = long.sort_values("time")
    month = long["time"].dt.to_period("M")
    daily = bool(month.duplicated().any())
    length = pd.DateOffset(days=1) if daily else pd.DateOffset(months=1)
    if not daily and (long["time"].dt.month.sub(1) % 3 == 0).all() and window == "quarter":
        length = pd.DateOffset(months=3)
    time = long["time"] if daily else month.dt.to_timestamp()
    if origin is not None:
        use = time + length <= origin
        long, time = long[use], time[use]
    if long.empty:
        empty = pd.DataFrame({"window_start": pd.DatetimeIndex([]), "value": [], "volume": []})
        return MetricHistory(metric, counting, within_s, window, empty, origin or pd.Timestamp("2000-01-01"))
    first, after = time.min(), time.max() + length
    start = time.dt.to_period("M" if window == "month" else "Q").dt.to_timestamp()
    weight = long["volume"].to_numpy(dtype=float)
    valued = long["value"].notna().to_numpy()
    dark = ~np.isfinite(weight) & valued
    known = bool((np.isfinite(weight) & valued).any())
    if known and dark.any():
        notes.append(
            f"{metric}: {int(dark.sum())} of {len(weight)} volumes are not known (the first of {time[dark].iloc[0]:%Y-%m-%d}): the mean of the "
            f"others of the {window} is taken, else of all."
        )
        others = pd.Series(np.where(valued, weight, np.nan)).groupby(start.to_numpy()).transform("mean")
        weight = np.where(dark, others.fillna(np.nanmean(weight[valued])), weight)
    weight = np.where(valued, weight if known else 1.0, 0.0)
    parts = (
        pd.DataFrame({"top": long["value"].fillna(0.0).to_numpy() * weight, "bottom": weight})
        .groupby(start.to_numpy())
        .sum()
    )
    frame = pd.DataFrame({
        "window_start": pd.DatetimeIndex(parts.index), "value": (parts["top"] / parts["bottom"].where(parts["bottom"] > 0)).to_numpy(),
        "volume": parts["bottom"].to_numpy() if known else np.nan,
    })  # fmt: skip
    ends = frame["window_start"] + pd.DateOffset(months=MONTHS[window])
    whole = (frame["window_start"] >= first) & (ends <= after)
    frame = frame[whole & frame["value"].notna()].reset_index(drop=True)
    return MetricHistory(metric, counting, within_s, window, frame, origin or pd.Timestamp(after))


def _enough(found: Iterable[MetricHistory], *, named: bool) -> tuple[list[MetricHistory], list[str]]:
    """Leave out metrics with too few windows, or refuse where they were asked for or none is left."""
    few, kept = [], []
    for one in found:
        n = len(one.frame)
        if n < FEWEST[one.window]:
            few.append(
                f"{one.metric} is known in {n} whole {one.window}s before {one.origin:%Y-%m-%d}; at least "
                f"{FEWEST[one.window]} are needed."
            )
        else:
            kept.append(one)
    if (few and named) or not kept:
        say = few or ["the history tells no metric that can be promised: neither waits nor outcomes."]
        raise ParameterError([f"{s} Give a longer history, or recommend from a scenario." for s in say])
    return kept[:5], few
