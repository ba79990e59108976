"""Day totals without Prophet: repeated weeks, a level-adjusted profile, exponential smoothing and MSTL."""

from __future__ import annotations

import difflib
import importlib.util
import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bposim.errors import ForecastError, parameter
from bposim.forecast._counts import Counts
from bposim.forecast._profile import fit_profile
from bposim.forecast._twin import OUTLIER, smearing, strange

#: Methods by name; ``mean-N`` takes any number of weeks.
NAMES = ("prophet", "auto", "level", "seasonal-naive", "mean-4", "ets", "mstl")
#: Those that need the extra "forecast".
EXTRA = ("ets", "mstl")
_MEAN = re.compile(r"mean-([1-9]\d{0,2})")
#: Weeks of the weekday pattern of ``level``, and the weeks in which the weight of a day halves.
PATTERN_WEEKS, PATTERN_HALF_LIFE = 8, 4.0
#: Weights of the latest day tried for the level, and the robust standard deviations beyond which a day moves it no further.
_ALPHAS, _LIMIT = (0.05, 0.1, 0.2, 0.3, 0.5), 2.5
#: Open weeks that exponential smoothing needs, and the days from which MSTL takes a year's season.
_WEEKS_NEEDED, _TWO_YEARS = 3, 2 * 366


@dataclass(frozen=True, eq=False)
class Baseline:
    """What a method says of the days to come and would have said of those that came.

    Attributes
    ----------
    expected : ndarray, shape (n_future,)
    before : ndarray, shape (n_days,)
        Its forecast of each past day a step ahead; NaN where there was none.
    share : ndarray, shape (7, n_slots)
    effect : str
    parameters : int
        Parameters fitted to the days of ``before``.
    excess : float
        Variance of its profile over that of a day's own shape.
    """

    expected: np.ndarray
    before: np.ndarray
    share: np.ndarray
    effect: str
    parameters: int = 0
    excess: float = 0.0


def weeks_of(method: str) -> int | None:
    """Return how many of the last same weekdays a repeating method averages, None for other methods."""
    if method == "seasonal-naive":
        return 1
    found = _MEAN.fullmatch(method)
    return int(found[1]) if found else None


def method_problems(method: object, caller: str) -> list[str]:
    """Return what is wrong with the name of a method, or with what is installed for it."""
    if not isinstance(method, str) or (method not in NAMES and weeks_of(method) is None):
        near = difflib.get_close_matches(str(method), NAMES, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else ""
        rule = f"one of {', '.join(NAMES)} (mean-N for any N of weeks)"
        return [parameter("method", caller, rule, method, hint)]
    if method in EXTRA and importlib.util.find_spec("statsforecast") is None:
        return [
            f"method={method!r} of {caller} needs statsforecast, which is not installed. "
            'Install it: pip install "bposim[forecast]".'
        ]
    return []


def baseline(
    method: str, counts: Counts, kind: int, future: pd.DatetimeIndex, outage: np.ndarray, c: float
) -> Baseline:
    """Forecast the day totals of one contact type without Prophet.

    Parameters
    ----------
    outage : ndarray of bool, shape (n_days,)
        Days not to be learnt; the methods that repeat do repeat days without contacts, but none that is broken.
    c : float
        Constant of the logarithm log(y + c).

    References
    ----------
    Hyndman & Athanasopoulos (2021), Forecasting: Principles and Practice, 3rd ed., ch. 5 and 8; Gelper, Fried & Croux
    (2010), Robust forecasting with exponential and Holt–Winters smoothing, Journal of Forecasting 29; Bandara, Hyndman &
    Bergmeir (2021), MSTL, arXiv:2107.13462.
    """
    back = weeks_of(method)
    if back is not None:
        return _repeated(counts, kind, future, back)
    totals = counts.totals[kind].astype(float)
    with np.errstate(divide="ignore"):
        logs = np.where(outage, np.nan, np.log(totals + c))
    logs = np.where(np.isfinite(logs), logs, np.nan)
    share = fit_profile(counts, kind, ~outage)
    if method == "level":
        ahead, fitted = smoothed_level(counts.dates, logs, future)
        effect, parameters = "the week's pattern of the last eight weeks times a smoothed level", 0
    else:
        ahead, fitted, parameters = _by_statsforecast(method, counts, logs, future)
        effect = "exponential smoothing (ETS)" if method == "ets" else "seasonal decomposition (MSTL)"
    before = np.maximum(np.exp(fitted) - c, 0.0)
    gap = np.abs(logs - fitted)
    usual = gap <= OUTLIER * max(1.4826 * float(np.nanmedian(gap)), 0.01) if np.isfinite(gap).any() else gap < 0
    usual |= np.isfinite(gap) & ~strange(totals, logs, logs - fitted)
    known = usual & np.asarray(counts.dates > counts.dates[-1] - pd.Timedelta(days=365))
    smear = smearing(totals[known], fitted[known], c) if known.any() else 1.0
    expected = np.maximum(np.exp(np.minimum(ahead, np.nanmax(logs) + 3.0)) * smear - c, 0.0)
    if c:
        before = np.where(np.isfinite(fitted), np.maximum(np.exp(fitted) * smear - c, 0.0), np.nan)
    return Baseline(expected, before, share, effect, parameters)


def _repeated(counts: Counts, kind: int, future: pd.DatetimeIndex, back: int) -> Baseline:
    """Average the last days of the same weekday, interval by interval."""
    totals = counts.totals[kind].astype(float)
    weekday = counts.dates.day_of_week.to_numpy()
    heard = counts.heard(kind)
    usable = next(u for u in (counts.normal & heard, heard, np.ones_like(counts.normal)) if u.any())
    day_total, share = np.zeros(7), np.zeros((7, len(counts.minutes)))
    flat = counts.open_slots / np.maximum(counts.open_slots.sum(axis=1, keepdims=True), 1)
    for day in range(7):
        own = weekday == day
        rows = np.flatnonzero(own & (usable if (own & usable).any() else counts.normal))[-back:]
        mean = counts.table[kind][rows].mean(axis=0) if len(rows) else np.zeros(len(counts.minutes))
        day_total[day] = mean.sum()
        share[day] = mean / mean.sum() if mean.sum() > 0 else flat[day]
    series = pd.Series(np.where(heard, totals, np.nan), index=counts.dates)
    before = series.groupby(weekday).transform(
        lambda s: s.dropna().rolling(back, min_periods=1).mean().reindex(s.index).ffill().shift()
    )
    what = "the last same weekday" if back == 1 else f"the mean of the last {back} same weekdays"
    # Around its own past mean the shape is measured by what the mean of `back` days left unexplained.
    return Baseline(day_total[future.day_of_week], before.to_numpy(), share, what, 0, 1 / back)


def smoothed_level(
    dates: pd.DatetimeIndex,
    logs: np.ndarray,
    future: pd.DatetimeIndex,
    precision: np.ndarray | None = None,
    weeks: int = PATTERN_WEEKS,
) -> tuple[np.ndarray, np.ndarray]:
    """Forecast logs by the weekday pattern of the weeks before and an exponentially smoothed level.

    Parameters
    ----------
    logs : ndarray, shape (n_days,)
        NaN on days not to be learnt.
    precision : ndarray, shape (n_days,), optional
        In (0, 1]: how much a day is to be believed; None believes all alike.
    weeks : int
        Of the pattern; the weight of a day halves in half as many.

    Returns
    -------
    ahead : ndarray, shape (n_future,)
    fitted : ndarray, shape (n_days,)
        Each day a step ahead, its pattern from earlier weeks alone; NaN in the first two weeks.
    """
    believed = np.ones(len(logs)) if precision is None else precision
    week = -((dates[-1] - dates).days.to_numpy() // 7)
    weekday = dates.day_of_week.to_numpy()
    ok = np.isfinite(logs)
    patterns = {w: _pattern(logs, weekday, week, ok, w, believed, weeks) for w in range(int(week[0]) + 2, 2)}
    begin = int(np.searchsorted(week, int(week[0]) + 2))
    last = patterns[1] if 1 in patterns else _pattern(logs, weekday, week, ok, 1, believed, weeks)
    first = patterns.get(int(week[0]) + 2, last)
    pattern = np.array([patterns.get(int(w), first)[d] for w, d in zip(week, weekday, strict=True)])
    rest = logs - pattern
    early = rest[: max(begin, 1)]
    start = float(np.nanmedian(early if np.isfinite(early).any() else rest))
    best: tuple[float, np.ndarray, float] | None = None
    for alpha in _ALPHAS:
        level, loss = _smooth(rest, ok, begin, start, alpha, believed)
        if best is None or loss < best[0]:
            best = loss, level[:-1], float(level[-1])
    assert best is not None
    fitted = np.where(np.arange(len(logs)) >= begin, best[1] + pattern, np.nan)
    return best[2] + last[future.day_of_week], fitted


def _pattern(
    logs: np.ndarray,
    weekday: np.ndarray,
    week: np.ndarray,
    ok: np.ndarray,
    before: int,
    believed: np.ndarray,
    weeks: int,
) -> np.ndarray:
    """Return the effect of each weekday (mean 0 over those seen) from the weeks before week number ``before``.

    By robust least squares beside one level per week, then drawn towards none by the ratio of real to apparent variance.
    """
    rows = np.flatnonzero(ok & (week < before) & (week >= before - weeks))
    effect = np.zeros(7)
    seen = np.unique(weekday[rows])
    if len(seen) < 2:
        return effect
    x = np.column_stack([weekday[rows, None] == seen, week[rows, None] == np.unique(week[rows])]).astype(float)
    weight = believed[rows] * 0.5 ** ((before - 1 - week[rows]) / (weeks / 2))
    y, robust = logs[rows], np.ones(len(rows))
    for _ in range(3):
        root = np.sqrt(weight * robust)
        beta = np.linalg.lstsq(x * root[:, None], y * root, rcond=None)[0]
        miss = np.abs(y - x @ beta)
        robust = np.minimum(1.0, 1.5 * max(1.4826 * float(np.median(miss)), 1e-6) / np.maximum(miss, 1e-9))
    own = beta[: len(seen)] - beta[: len(seen)].mean()
    w = weight * robust
    spare = max(len(rows) - x.shape[1] + 1, 1) / len(rows)
    noise = float(weight @ (robust * miss) ** 2) / w.sum() / spare
    error = np.array([noise * (w[weekday[rows] == d] ** 2).sum() / w[weekday[rows] == d].sum() ** 2 for d in seen])
    real = max(float((own**2).sum()) / (len(seen) - 1) - float(error.mean()), 0.0)
    own = own * np.divide(real, real + error, out=np.zeros(len(seen)), where=real + error > 0)
    effect[seen] = own - own.mean()
    return effect


def _smooth(
    rest: np.ndarray, ok: np.ndarray, begin: int, start: float, alpha: float, believed: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the level before each day and after the last, and the mean squared step, both with steps cut at a limit."""
    level, now, steps, loss = np.empty(len(rest) + 1), start, [], 0.0
    limit = np.inf
    for t in range(len(rest)):
        level[t] = now
        if not ok[t]:
            continue
        step = rest[t] - now
        cut = float(np.clip(step, -limit, limit))
        now += alpha * believed[t] * cut
        if t >= begin:
            loss += believed[t] * cut * cut
            steps.append(abs(step))
            if len(steps) >= 14 and len(steps) % 7 == 0:
                limit = _LIMIT * max(1.4826 * float(np.median(steps[-PATTERN_WEEKS * 7 :])), 1e-6)
    level[-1] = now
    return level, loss


def _by_statsforecast(
    method: str, counts: Counts, logs: np.ndarray, future: pd.DatetimeIndex
) -> tuple[np.ndarray, np.ndarray, int]:
    """Forecast the series of open days; missing days are filled from the same weekdays around them."""
    from statsforecast.models import MSTL, AutoETS

    is_open = [bool(counts.spans.get(d)) for d in range(7)]
    period = sum(is_open)
    every = pd.date_range(counts.dates[0], max(counts.dates[-1], future[-1]))
    every = every[[is_open[d] for d in every.day_of_week]]
    n = int((every <= counts.dates[-1]).sum())
    series = pd.Series(logs, index=counts.dates).reindex(every[:n])
    if n < _WEEKS_NEEDED * period:
        raise ForecastError(
            f"method={method!r} needs {_WEEKS_NEEDED} weeks of open days before the horizon. The history has {n} such days. "
            'Give more history, or take method="mean-4".'
        )
    filled = series.groupby(every[:n].day_of_week, group_keys=False).apply(
        lambda s: s.interpolate(limit_direction="both")
    )
    y = filled.reindex(every[:n]).fillna(float(series.mean())).to_numpy(dtype=float)
    model: AutoETS | MSTL
    if method == "ets":
        model = AutoETS(season_length=period, model="AZA" if period > 1 else "AZN")
    else:
        seasons = [period] if period > 1 else []
        if (every[n - 1] - every[0]).days >= _TWO_YEARS:
            seasons.append(round(365.25 * period / 7))
        model = MSTL(season_length=seasons or [1], trend_forecaster=AutoETS(season_length=1, model="AZN"))
    steps = max(len(every) - n, 1)
    if np.ptp(y) < 1e-9:
        ahead, fitted = np.full(steps, y[0]), y
    else:
        made = model.forecast(y=y, h=steps, fitted=True)
        ahead, fitted = np.asarray(made["mean"]), np.asarray(made["fitted"])
    back = pd.Series(fitted, index=every[:n]).reindex(counts.dates).to_numpy()
    return (
        pd.Series(ahead, index=every[n : n + steps] if len(every) > n else future[:1]).reindex(future).to_numpy(),
        back,
        period + 3,
    )
