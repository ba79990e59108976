"""Day totals: the forecast of each method, and how far it errs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date

import numpy as np
import pandas as pd

from bposim.forecast import _methods, _prophet
from bposim.forecast._calendar import COMMON, MONTH_NEEDS, Holidays, columns
from bposim.forecast._components import EFFECTS, log_effects
from bposim.forecast._counts import Counts
from bposim.forecast._errors import (
    DRIFT_PRIOR,
    DRIFT_WEIGHT,
    FACTOR_PRIOR,
    FACTOR_WEIGHT,
    LEVEL_FREEDOM,
    LEVEL_PRIOR,
    Error,
    Missed,
    cautious,
    fit_error,
    missed,
)  # fmt: skip
from bposim.forecast._events import Event, event_columns, event_notes, event_words
from bposim.forecast._profile import ShapeNoise, fit_profile, half_life, shape_noise
from bposim.forecast._regressors import prepare, recorded
from bposim.forecast._twin import BUSY, counting, screen, smearing

METHODS = ("prophet", "seasonal-naive", "mean-4")
#: Days from which a year shows.
YEAR_NEEDS = 475
#: Days below which a history is thin.
THIN_DAYS = 56
#: Share of Poisson variance below which counts are taken as regular.
REGULAR = 0.5
#: Weight of the latest residual in their running mean, and the share of that mean that is left an open day later.
SMOOTH, FADE = 0.3, 0.9
#: Earlier origins at which the forecast is tried, and the days from each.
_ORIGINS, TRIED_DAYS = 13, 56


@dataclass(frozen=True, eq=False)
class Outlook:
    """The forecast of one contact type: expected day totals, profile, residuals, error, days masked, and effects by day."""

    expected: np.ndarray
    share: np.ndarray
    residual: pd.Series
    error: Error
    effects: tuple[str, ...]
    n_days: int
    masked: tuple[date, ...]
    notes: tuple[str, ...]
    parts: pd.DataFrame | None = None
    method: str = ""


@dataclass(frozen=True, eq=False)
class Inputs:
    """What is known in advance: holidays, regressors, events, the method and its seed."""

    method: str
    holidays: Holidays
    regressors: pd.DataFrame | None
    seed: int
    events: tuple[Event, ...] = ()


def central(counts: Counts, inputs: Inputs, ahead: int) -> Outlook:
    """Forecast the one contact type of a history for every calendar day after it; the error is that of its own residuals.

    Parameters
    ----------
    counts : Counts
        History of one contact type, all of it before the horizon.
    ahead : int
        Calendar days.
    """
    future = pd.date_range(counts.dates[-1] + pd.Timedelta(days=1), periods=ahead)
    if not counts.totals[0].any():
        share = fit_profile(counts, 0, np.ones(len(counts.dates), dtype=bool))
        none = Error(0.0, 0.0, 0.0, shape_noise(counts, 0, share, np.zeros(len(counts.dates), dtype=bool)), True, True)
        return Outlook(
            np.zeros(len(future)), share, pd.Series(0.0, index=counts.dates), none, (), len(counts.dates), (),
            (f"{counts.types[0]!r} had no contacts in the history; its forecast is zero.",), method=inputs.method,
        )  # fmt: skip
    if inputs.method == "prophet":
        view = _by_prophet(counts, 0, future, inputs)
    else:
        view = _by_baseline(counts, 0, future, inputs.method)
    return replace(view, method=inputs.method)


def on_days(view: Outlook, last: pd.Timestamp, days: pd.DatetimeIndex) -> Outlook:
    """Return a forecast, made for every calendar day after the last of the history, on some of them."""
    return replace(view, expected=view.expected[(days - last).days.to_numpy() - 1])


def _outages(counts: Counts, kind: int, totals: np.ndarray) -> tuple[np.ndarray, float]:
    """Return the days that are not to be learnt, without contacts or broken, and the constant of log(y + c)."""
    whole = counts.heard(kind)
    busy = np.median(totals[whole] if whole.any() else totals) >= BUSY
    return (totals == 0) & busy | ~whole, 0.0 if busy else 1.0


def _by_prophet(counts: Counts, kind: int, future: pd.DatetimeIndex, inputs: Inputs) -> Outlook:
    counts, notes = recorded(counts, inputs.regressors)
    totals = counts.totals[kind].astype(float)
    outage, c = _outages(counts, kind, totals)
    weeks = half_life(counts, kind, ~outage)
    share = fit_profile(counts, kind, ~outage, weeks)
    covered = (share[counts.dates.day_of_week] * counts.times).sum(axis=1)
    totals = totals / np.where(covered > 0.5, covered, 1.0)
    with np.errstate(divide="ignore"):
        logs = np.where(outage, np.nan, np.log(totals + c))
    past, n = counts.dates, len(counts.dates)
    span = (past[-1] - past[0]).days + 1
    yearly = 0 if span < YEAR_NEEDS else (4 if span < 730 else 10)
    open_weekdays, quiet = _weekdays(past, logs)
    days = past.append(future)
    table, groups, freedom = columns(days, inputs.holidays, open_weekdays, quiet, n, span >= MONTH_NEEDS)
    given = pd.DataFrame(index=days)
    if inputs.regressors is not None:
        found = prepare(inputs.regressors, past, future, logs, table.iloc[:n].to_numpy(dtype=float), yearly)
        given = found.table
        notes += found.notes
    moved = event_columns(inputs.events, counts.types[kind], days, np.isfinite(logs))
    extra = pd.concat([given, moved], axis=1)
    kept, masked, words = screen(past, logs, table.iloc[:n], groups, yearly, extra.iloc[:n].to_numpy(), totals)
    names = [c for g in kept for c in groups[g]]
    table = pd.concat([table[names], extra], axis=1)
    freedom = freedom | {str(k): COMMON for k in extra}
    words += [*(found.words if inputs.regressors is not None else ()), *event_words(inputs.events, moved, days, n)]
    outlying, masked = masked, masked | outage
    y = np.where(masked, np.nan, logs)
    fit = _prophet.fit_days(past, y, future, table, freedom, yearly=yearly, seed=inputs.seed)
    residual = np.where(masked, np.nan, logs - fit.fitted)
    notes += event_notes(moved, fit.effects, n)
    groups_of = {"weekday": ["weekly"], "season": ["yearly"], "month": groups.get("month", ())}
    groups_of["holiday"] = [c for c in names if c not in groups_of["month"]]
    parts = log_effects(fit.effects, groups_of | {"events": list(moved), "regressors": list(given)}, n)
    surprise = _persistent(residual)
    worked = np.cumsum([bool(counts.spans.get(d)) for d in future.day_of_week])
    ahead = fit.ahead + surprise[0] * surprise[1] ** worked
    ok = np.isfinite(residual)
    recent = ok & np.asarray(past >= past[-1] - pd.Timedelta(days=364))
    smear = smearing(totals[recent], fit.fitted[recent], c) if recent.any() else 1.0
    expected = np.maximum(np.exp(np.minimum(ahead, np.nanmax(logs) + 3.0)) * smear - c, 0.0)
    fitted = np.maximum(np.exp(fit.fitted) * (smear if c else 1.0) - c, 0.0)
    level = pd.Series(np.where(ok, logs - fit.calendar, np.nan), index=past)
    parameters = 7 + len(kept) * 2 + 2 * yearly + min(n // 15, 20)
    series = pd.Series(residual, index=past)
    steady = not outlying.any() and (span >= THIN_DAYS or _repeats(counts, kind))
    error = _error(series, fitted, level, parameters, shape_noise(counts, kind, share, ok, weeks), steady, c)
    effects = ("day of the week", *(("time of the year",) if yearly else ()), *words)
    return Outlook(expected, share, series, error, effects, int(ok.sum()), _named(counts, masked), tuple(notes), parts)


def _named(counts: Counts, masked: np.ndarray) -> tuple[date, ...]:
    return tuple(counts.dates[masked].date)


def _by_baseline(counts: Counts, kind: int, future: pd.DatetimeIndex, method: str) -> Outlook:
    totals = counts.totals[kind].astype(float)
    outage, c = _outages(counts, kind, totals)
    broken = ~counts.heard(kind)
    found = _methods.baseline(method, counts, kind, future, outage, c)
    frame = pd.Series(totals, index=counts.dates)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(frame.mask(broken) + c)
        residual = logs - np.log(found.before + c)
    residual = residual.where(np.isfinite(residual))
    logs = logs.where(np.isfinite(logs))
    level = logs - logs.groupby(counts.dates.day_of_week).transform("mean")
    shape = shape_noise(counts, kind, fit_profile(counts, kind, ~broken), ~broken).times(1 + found.excess)
    error = _error(residual, np.nan_to_num(found.before), level, found.parameters, shape, c=c)
    parts = pd.DataFrame(0.0, index=future, columns=list(EFFECTS))
    usual = pd.Series(found.expected).groupby(future.day_of_week).mean()
    seen = usual[usual > 0].mean() if (usual > 0).any() else 1.0
    parts["weekday"] = np.log(np.maximum(usual, 1e-9) / seen).reindex(future.day_of_week).to_numpy()
    return Outlook(
        found.expected,
        found.share,
        residual,
        error,
        (found.effect,),
        int((~broken).sum()),
        _named(counts, broken),
        (),
        parts,
    )


def _repeats(counts: Counts, kind: int) -> bool:
    """Return whether days of a weekday hardly differ: a fit to two weeks leaves little of any series."""
    totals = pd.Series(counts.totals[kind].astype(float))
    groups = totals.groupby(counts.dates.day_of_week)
    freedom = len(totals) - groups.ngroups
    if freedom < 1 or totals.sum() == 0:
        return True
    return float(((totals - groups.transform("mean")) ** 2).sum()) / freedom < 0.05 * float(totals.mean())


def _weekdays(past: pd.DatetimeIndex, logs: np.ndarray) -> tuple[set[int], set[int]]:
    """Return the weekdays of the history, and those with less than 60 % of the busiest one's contacts."""
    median = pd.Series(np.exp(logs)).groupby(past.day_of_week.to_numpy()).median().dropna()
    quiet = set(median.index[median < 0.6 * median.max()])
    return set(past.day_of_week), quiet


def _persistent(residual: np.ndarray) -> tuple[float, float]:
    """Return the smoothed latest residual and the factor by which it fades per open day.

    Nothing is carried over where residuals alternate instead of persisting.
    """
    r = residual[np.isfinite(residual)]
    if len(r) < 20 or (r[1:] * r[:-1]).sum() <= 0:
        return 0.0, FADE
    weight = SMOOTH * (1 - SMOOTH) ** np.arange(len(r))
    return float(weight @ r[::-1]), FADE


def _error(
    residual: pd.Series,
    fitted: np.ndarray,
    level: pd.Series,
    parameters: int,
    shape: ShapeNoise,
    steady: bool = True,
    c: float = 0.0,
) -> Error:
    r = residual.to_numpy()
    ok = np.isfinite(r) & (fitted > 0)
    n = int(ok.sum())
    if n < 3:
        return Error(FACTOR_PRIOR, 0.0, DRIFT_PRIOR, shape, False, False)
    r, mean = r[ok], fitted[ok]
    freedom = n / max(n - parameters, n / 3)
    square = float((r**2).mean()) * freedom
    poisson = float(counting(mean, c).mean())
    apparent = square / poisson if c else float((r**2 * mean).mean()) * freedom
    regular = steady and apparent < REGULAR
    # A factor moves log(y + c) by less than itself; days that hardly show one say little of it.
    shown = float(((mean / (mean + c)) ** 2).mean())
    factor = square if regular else max(square - poisson, 0.0) / shown
    weeks = max(len(residual) / 5, 1.0)
    drift = _drift(level)
    if not regular:
        told = n * shown**2
        factor = (told * factor + FACTOR_WEIGHT * FACTOR_PRIOR) / (told + FACTOR_WEIGHT)
        drift = (weeks * drift + DRIFT_WEIGHT * DRIFT_PRIOR) / (weeks + DRIFT_WEIGHT)
    near = float((r[1:] * r[:-1]).mean())
    persistence = float(np.clip(near / factor, 0.0, 0.95)) if factor > 1e-12 else 0.0
    return Error(factor, persistence, drift, shape, regular, shape.dispersion < REGULAR)


def _drift(level: pd.Series) -> float:
    """Return the variance per day of the level's random walk, from weekly means at lags of one to eight weeks."""
    week = -((level.index[-1] - level.index).days // 7)
    weekly = level.groupby(np.asarray(week)).mean().dropna()
    if len(weekly) < 5:
        return DRIFT_PRIOR if level.std() > 1e-9 else 0.0
    lags = np.arange(1, min(8, len(weekly) // 2) + 1)
    values = weekly.reindex(range(int(weekly.index[0]), 1))
    squares = np.array([float(((values - values.shift(int(k))) ** 2).mean()) for k in lags])
    good = np.isfinite(squares)
    if good.sum() < 2:
        return DRIFT_PRIOR
    slope = np.polyfit(lags[good], squares[good], 1)[0]
    return float(max(slope / 7, 0.0))


def earlier_origins(counts: Counts) -> list[date]:
    """Return the first days of the horizons at which a forecast is tried, the latest first: up to thirteen, weeks apart.

    A forecast from less than half of the history would be worse than the one that is asked for.
    """
    dates = counts.dates
    span = (dates[-1] - dates[0]).days + 1
    step = 28 if span >= _ORIGINS * 28 else 14 if span >= 112 else 7
    found = []
    for k in range(1, _ORIGINS + 1):
        past = counts.until((dates[-1] + pd.Timedelta(days=1 - k * step)).date())
        if not len(past.dates) or (past.dates[-1] - past.dates[0]).days + 1 < max(21, span // 2):
            break
        found.append((dates[-1] + pd.Timedelta(days=1 - k * step)).date())
    return found


def with_error(counts: Counts, kind: int, view: Outlook, tried: list[tuple[date, Outlook]]) -> Outlook:
    """Tell the error of a forecast from what forecasts at earlier origins missed.

    Parameters
    ----------
    counts : Counts
        All of the history.
    view : Outlook
    tried : list of (date, Outlook)
        First day and forecast of every calendar day from it.
    """
    if view.error.regular:
        return view
    dates = counts.dates
    span = (dates[-1] - dates[0]).days + 1
    found: list[Missed] = []
    for _, then in tried:
        last = then.residual.index[-1]
        ahead = np.asarray((dates > last) & (dates <= last + pd.Timedelta(days=len(then.expected))))
        actual = counts.totals[kind][ahead].astype(float)
        outage, _ = _outages(counts.only(ahead), kind, actual)
        lead = (dates[ahead] - last).days.to_numpy()
        gap = missed(actual[~outage], then.expected[lead - 1][~outage], lead[~outage])
        if len(gap.gap):
            found.append(gap)
    if not found:
        error = replace(view.error, level=LEVEL_PRIOR * view.error.factor, tail=10.0, level_tail=LEVEL_FREEDOM)
        note = "too little history to test the error on earlier origins; the bands are those of an operation that is little known."
        return replace(view, error=cautious(error, span), notes=(*view.notes, note))
    error = fit_error(view.error, found)
    if span < THIN_DAYS:
        # So few origins can flatter; a thin history does not get narrower bands for luck.
        own = view.error
        error = replace(error, factor=max(error.factor, own.factor), drift=max(error.drift, own.drift))
    return replace(view, error=cautious(error, span))
