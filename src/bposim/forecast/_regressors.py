"""Regressors: what is known in advance for each day, from which day it is known, and in which form it enters."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import parameter
from bposim.forecast._counts import Counts
from bposim.forecast._twin import base_design

#: Days of history on which a regressor must be known for its effect to be learnt.
KNOWN_DAYS = 56
#: Calendar days of record from which what is usual for the time of the year can be told.
SEASON_DAYS = 330
#: Distinct values from which a regressor that is never negative may enter by its logarithm.
LOG_NEEDS = 6
_CALLER = "forecast()"


@dataclass(frozen=True, eq=False)
class Given:
    """Regressors as columns of the day model.

    Attributes
    ----------
    table : DataFrame
        Centred and scaled columns, one row per day of history and then of the horizon, without gaps.
    words, notes : tuple of str
        Each regressor's effect in words; what is to be known of it.
    """

    table: pd.DataFrame
    words: tuple[str, ...]
    notes: tuple[str, ...]


def read_regressors(
    frame: pd.DataFrame, counts: Counts, start: date | None, days: int
) -> tuple[pd.DataFrame | None, list[str]]:
    """Return a frame of regressors by day, and what is wrong with it.

    Parameters
    ----------
    frame : DataFrame
        ``date`` and one numeric column per regressor.
    start : date or None
        First day of the horizon.
    days : int
        Days of the horizon.
    """
    if not isinstance(frame, pd.DataFrame) or "date" not in frame.columns or frame.shape[1] < 2:
        rule = "a frame with the column 'date' and at least one numeric column"
        got = list(frame.columns) if isinstance(frame, pd.DataFrame) else type(frame).__name__
        return None, [parameter("regressors", _CALLER, rule, got)]
    try:
        dates = pd.DatetimeIndex(pd.to_datetime(frame["date"]))
        unread = frame["date"][np.asarray(dates.isna())]
    except (ValueError, TypeError, OverflowError):
        found = [as_stamp(v) for v in frame["date"]]
        unread = frame["date"][np.array([pd.isna(v) for v in found], dtype=bool)]
        dates = pd.DatetimeIndex([])
    if len(unread) or len(dates) != len(frame):
        got = ", ".join(map(repr, unread[:3])) or "dates of several kinds or zones"
        return None, [parameter("regressors", _CALLER, "a frame with days such as \"2024-12-01\" in 'date'", got)]
    if dates.tz is not None:
        dates = dates.tz_convert(counts.zone).tz_localize(None)
    table = frame.drop(columns="date").set_axis(dates.normalize(), axis=0)
    problems = []
    for name in table:
        if table[name].dtype.kind not in "iufb":
            problems.append(parameter("regressors", _CALLER, f"numeric in {name!r}", str(table[name].dtype)))
        elif (endless := np.isinf(table[name].to_numpy(dtype=float, na_value=np.nan))).any():
            on = table.index[endless][0].date()
            rule = f"finite in {name!r}; leave out what is not known"
            problems.append(
                parameter("regressors", _CALLER, rule, f"{int(endless.sum())} infinite values (first {on})")
            )
    if table.index.has_duplicates:
        twice = table.index[table.index.duplicated()][0].date()
        problems.append(parameter("regressors", _CALLER, "a frame with each date once", f"{twice} twice"))
    if problems or start is None:
        return None, problems
    past = counts.dates[counts.dates < pd.Timestamp(start)]
    horizon = pd.date_range(start, periods=max(days, 1))
    horizon = horizon[[bool(counts.spans.get(d)) for d in horizon.day_of_week]]
    for what, need in (("history", past), ("horizon", horizon)):
        gaps = table.reindex(need).isna()
        if what == "history":
            # What was not recorded in the early days is not known there; a hole later is a mistake.
            early = gaps.cumprod().astype(bool)
            short = [n for n in gaps if 0 <= (~early[n]).sum() < min(KNOWN_DAYS, len(need))]
            for name in short:
                rule = f"known on at least {KNOWN_DAYS} days of the history in {name!r}"
                problems.append(parameter("regressors", _CALLER, rule, f"{int((~early[name]).sum())} days"))
            gaps = (gaps & ~early).drop(columns=short)
        lacking = need[gaps.any(axis=1).to_numpy()]
        if len(lacking):
            some = ", ".join(str(d.date()) for d in lacking[:3])
            got = f"{len(lacking)} days without ({some})"
            rule = "known on every day of the horizon"
            if what == "history":
                rule = "known on every day of the history from the first on which it is"
            problems.append(parameter("regressors", _CALLER, rule, got))
    return table, problems


def as_stamp(value: Any) -> pd.Timestamp:
    """Return a time, NaT where it cannot be read."""
    stamp: pd.Timestamp = pd.to_datetime(value, errors="coerce")
    return stamp


def recorded(counts: Counts, known: pd.DataFrame | None) -> tuple[Counts, list[str]]:
    """Return the history from which regressors can be learnt with, and a note on days left out.

    Notes
    -----
    A regressor recorded for less than about a year has no value usual for the time of the year: the days before its
    record would teach the season what is the regressor's, and are left out.
    """
    if known is None:
        return counts, []
    gaps = known.reindex(counts.dates).isna()
    n = len(counts.dates)
    first = 0
    for name in gaps:
        since = int(gaps[name].to_numpy().argmin()) if not gaps[name].all() else n
        if n - since < min(KNOWN_DAYS, n):
            continue
        if (counts.dates[-1] - counts.dates[since]).days + 1 < SEASON_DAYS:
            first = max(first, since)
    if not first:
        return counts, []
    day = counts.dates[first]
    return counts.since(day), [
        f"the history is used from {day.date()}, from where the regressors are known; {first} days before are left out."
    ]


def prepare(
    known: pd.DataFrame, past: pd.DatetimeIndex, future: pd.DatetimeIndex, logs: np.ndarray, calendar: np.ndarray,
    yearly: int,
) -> Given:  # fmt: skip
    """Return regressors as columns of the day model, each in the form that explains the history better.

    Parameters
    ----------
    known : DataFrame
        Values by day; missing on early days of the history where nobody recorded them.
    logs : ndarray, shape (n_past,)
        Log day totals, NaN where masked.
    calendar : ndarray, shape (n_past, n_columns)
        Candidate columns of the calendar.
    yearly : int
        Harmonics of the year in the model.
    """
    days = past.append(future)
    table = known.reindex(days).astype(float)
    n = len(past)
    out: dict[str, np.ndarray] = {}
    words, notes = [], []
    forms: dict[str, str] = {}
    for name in table:
        values = table[name].to_numpy().copy()
        since = int(np.argmax(np.isfinite(values[:n]))) if np.isfinite(values[:n]).any() else n
        if n - since < min(KNOWN_DAYS, n):
            notes.append(
                f"regressor {name!r} is known on {n - since} days of the history: too few to learn its effect."
            )
            continue
        if since:
            notes.append(
                f"regressor {name!r} is known from {past[since].date()}; on the {since} days of history before, the value "
                "usual for the weekday and the time of the year is taken for it."
            )
        # Beyond the days asked for nothing need be known.
        values[n:] = pd.Series(values[n:]).ffill().fillna(values[n - 1]).to_numpy()
        forms[str(name)] = "plain"
        out[str(name)] = values
    columns = {name: _filled(out[name], days, n) for name in out}
    for name, values in out.items():
        seen = values[np.isfinite(values)]
        if seen.min() < 0 or len(np.unique(values[:n][np.isfinite(values[:n])])) < LOG_NEEDS:
            continue
        curved = _filled(np.log(values) if seen.min() > 0 else np.log1p(values), days, n)
        use = np.isfinite(logs) & np.isfinite(values[:n])
        others = [c[:n, None] for k, c in columns.items() if k != name]
        base = np.column_stack([base_design(past, yearly), *others])
        if use.sum() > base.shape[1] + calendar.shape[1] + 20:
            base = np.column_stack([base, calendar])
        if use.sum() <= base.shape[1] + 3:
            continue
        left = [_unexplained(np.column_stack([base, c[:n]])[use], logs[use]) for c in (columns[name], curved)]
        if left[1] < left[0]:
            columns[name] = curved
            forms[name] = "logarithm" if seen.min() > 0 else "logarithm of 1 + the value"
    for name in columns:
        words.append(f"{name} (regressor, given{'' if forms[name] == 'plain' else '; ' + forms[name]})")
    return Given(pd.DataFrame(columns, index=days), tuple(words), tuple(notes))


def _filled(values: np.ndarray, days: pd.DatetimeIndex, n: int) -> np.ndarray:
    """Centre and scale a regressor by its known past; unknown early days take what is usual for their date."""
    good = np.isfinite(values)
    if not good[:n].all():
        span = (days[n - 1] - days[int(np.argmax(good))]).days + 1
        harmonics = 0 if span < SEASON_DAYS else 4
        t = (days - days[0]).days.to_numpy() / 365.25
        parts = [(days.day_of_week.to_numpy()[:, None] == np.arange(7)).astype(float)]
        parts += [f(2 * np.pi * j * t)[:, None] for j in range(1, harmonics + 1) for f in (np.sin, np.cos)]
        design = np.column_stack(parts)
        rows = good & (np.arange(len(days)) < n)
        usual = design @ np.linalg.lstsq(design[rows], values[rows], rcond=None)[0]
        values = np.where(good, values, np.clip(usual, values[rows].min(), values[rows].max()))
        known = values[:n][good[:n]]
    else:
        known = values[:n]
    spread = float(known.std())
    return np.asarray((values - known.mean()) / (spread if spread > 0 else 1.0))


def _unexplained(design: np.ndarray, y: np.ndarray) -> float:
    return float(((y - design @ np.linalg.lstsq(design, y, rcond=None)[0]) ** 2).sum())
