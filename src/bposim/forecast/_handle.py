"""Handle time: what a history tells of it, its forecast by day and interval, and how far that errs."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd
from scipy.optimize import minimize

from bposim.errors import ForecastError
from bposim.forecast import _prophet
from bposim.forecast._counts import Counts
from bposim.forecast._days import YEAR_NEEDS
from bposim.forecast._methods import smoothed_level, weeks_of
from bposim.forecast._twin import screen

#: Contacts below which a day is not learnt, as a number and as a share of the median day.
FEWEST, SCANTY = 5, 0.1
#: Weeks of the weekday pattern, and weeks in which the weight of a day in the profile halves.
PATTERN_WEEKS, HALF_LIFE = 26, 13.0
#: Harmonics of the year.
_YEARLY = 4
#: Variances in logs expected of the day, of the level at once, of its drift per day; the standard deviation of their logs; and
#: the days that the first is worth where no forecast was tried.
FACTOR_PRIOR, LEVEL_PRIOR, DRIFT_PRIOR = 0.05**2, 0.03**2, 1e-5
_TRUST, _FACTOR_WEIGHT = np.array([1.0, 1.0, 1.5]), 10.0
#: Earlier origins at most, the days tried from each, and the days of history that one needs.
_ORIGINS, HORIZON, _NEEDS = 8, 56, 21

#: Fits remembered, by a digest of what they were made from.
KEPT = 1024
_kept: OrderedDict[bytes, tuple[np.ndarray, np.ndarray, np.ndarray]] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Handled:
    """Handle times by type, day and wall-clock interval, of the contacts whose handle time is known.

    Attributes
    ----------
    dates : DatetimeIndex, shape (n_days,)
    total : ndarray, shape (n_types, n_days, n_slots)
        Seconds.
    number : ndarray, shape (n_types, n_days, n_slots)
    square : ndarray or None
        Sums of squares, where single contacts are known.
    """

    dates: pd.DatetimeIndex
    total: np.ndarray
    number: np.ndarray
    square: np.ndarray | None

    def of(self, types: Sequence[str], wanted: Sequence[str]) -> Handled:
        """Return some of its contact types."""
        at = [list(types).index(t) for t in wanted]
        square = None if self.square is None else self.square[at]
        return Handled(self.dates, self.total[at], self.number[at], square)

    def known_to(self, counts: Counts) -> Handled:
        """Return the days and open intervals of a history: hours that opened later tell nothing of it."""
        at = self.dates.get_indexer(counts.dates)
        is_open = (counts.times > 0) & (at >= 0)[:, None]
        total, number, square = (
            None if v is None else np.where(is_open, v[:, at], 0.0) for v in (self.total, self.number, self.square)
        )
        assert total is not None and number is not None
        return Handled(counts.dates, total, number, square)

    def between(self, low: date | None, high: date | None) -> Handled:
        """Return the days from ``low`` until before ``high``."""
        keep = np.ones(len(self.dates), dtype=bool)
        if low is not None:
            keep &= np.asarray(self.dates >= pd.Timestamp(low))
        if high is not None:
            keep &= np.asarray(self.dates < pd.Timestamp(high))
        square = None if self.square is None else self.square[:, keep]
        return Handled(self.dates[keep], self.total[:, keep], self.number[:, keep], square)


@dataclass(frozen=True, eq=False)
class HandleOutlook:
    """The handle time of one contact type: mean by day, profile, and error (variances of logs).

    Attributes
    ----------
    expected : ndarray, shape (n_open_days,)
        Seconds.
    profile : ndarray, shape (n_slots,)
        Relative to the day, 1 on average over contacts.
    residual : Series
        Of past days, in logs.
    noise : float
        Part of the variance of ``residual`` that the number of contacts alone explains.
    factor, persistence : float
        Variance and lag-one correlation of a day's factor.
    level, drift : float
        Variance of the level at once, and per day of lead.
    cv : float
        Coefficient of variation of one contact's handle time.
    """

    expected: np.ndarray
    profile: np.ndarray
    residual: pd.Series
    noise: float
    factor: float
    persistence: float
    level: float
    drift: float
    cv: float


def read_handled(source: Any, counts: Counts) -> Handled:
    """Return the handle times of a History on all days and intervals with data, whatever its opening hours.

    Raises
    ------
    ForecastError
        The history has no handle times.
    """
    way = "Give forecast() a History of contacts with 'handle_s', or of a report with 'handle_sum_s' and 'answered'."
    if source is None:
        raise ForecastError(f"the forecast was made from a Volumes frame, which holds no handle times. {way}")
    contacts = source.contacts
    if contacts is not None:
        known = contacts["handle_s"].notna().to_numpy()
        frame = contacts.loc[known, ["contact_type", "arrived", "handle_s"]]
        stamps, total = frame["arrived"], frame["handle_s"].to_numpy(dtype=float)
        number, square = np.ones(len(frame)), total**2
    else:
        table = source.intervals if source.kind == "intervals" else pd.DataFrame()
        if not {"handle_sum_s", "answered"} <= set(table.columns):
            raise ForecastError(f"{source.source} holds no handle times, only contacts per interval. {way}")
        total = table["handle_sum_s"].to_numpy(dtype=float, na_value=np.nan)
        number = table["answered"].to_numpy(dtype=float, na_value=np.nan)
        if "answered_handle_unknown" in table:
            number = number - table["answered_handle_unknown"].to_numpy(dtype=float, na_value=0.0)
        good = np.isfinite(total) & (number > 0)
        frame, total, number, square = table[good], total[good], number[good], None
        stamps = frame["interval_start"]
    if not total.sum() > 0:
        raise ForecastError(f"{source.source} holds no known handle time. {way}")
    local = pd.DatetimeIndex(stamps).tz_convert(counts.zone).tz_localize(None)
    length = min(round(counts.interval_s / 60), 1440)
    minute = (local.hour * 60 + local.minute).to_numpy() // length * length
    slot = np.minimum(np.searchsorted(counts.minutes, minute), len(counts.minutes) - 1)
    dates = counts.dates if counts.source is None else counts.source.dates
    day = dates.get_indexer(local.normalize())
    kind = pd.Index(counts.types).get_indexer(frame["contact_type"].astype(str))
    use = (day >= 0) & (kind >= 0) & (counts.minutes[slot] == minute)
    at = kind[use], day[use], slot[use]
    tables = []
    for values in (total, number, square):
        made = np.zeros((len(counts.types), len(dates), len(counts.minutes)))
        if values is not None:
            np.add.at(made, at, values[use])
        tables.append(made)
    return Handled(dates, tables[0], tables[1], tables[2] if square is not None else None)


def handle_outlook(
    counts: Counts, handled: Handled, kind: int, future: pd.DatetimeIndex, method: str, seed: int
) -> HandleOutlook | None:
    """Forecast the mean handle time of one contact type; None without a single known handle time.

    Parameters
    ----------
    counts, handled : Counts, Handled
        All of it before the horizon.
    future : DatetimeIndex
        Open days of the horizon, without a time zone.
    method : str
        Repeating methods repeat handle times too; all others share one model.

    Notes
    -----
    ``log m(day, interval) = level + weekday + season + profile(interval) + error``. Weekday and profile are drawn towards
    none by the ratio of real to apparent variance (empirical Bayes); the sampling variance of a day's mean is ``cv² / n``.
    The error is told from forecasts made at earlier origins.

    References
    ----------
    Ibrahim, L'Ecuyer, Shen & Thiongane (2016), Inter-dependent, heterogeneous, and time-varying service-time distributions
    in call centers, European Journal of Operational Research 250; Efron & Morris (1975), Data analysis using Stein's
    estimator and its generalizations, JASA 70.
    """
    total, number = handled.total[kind].sum(axis=1), handled.number[kind].sum(axis=1)
    if not total.sum() > 0:
        return None
    cv = _spread_of_one(handled, kind)
    expected, fitted, _ = _day_means(handled, kind, future, method, seed, cv)
    profile = np.ones(len(counts.minutes)) if weeks_of(method) else _profile(handled, kind, fitted, cv)
    learnt = _learnt(total, number) & np.isfinite(fitted)
    with np.errstate(divide="ignore", invalid="ignore"):
        residual = np.where(learnt, np.log(total / np.maximum(number, 1)) - np.log(fitted), np.nan)
    noise = float((cv**2 / number[learnt]).mean()) if learnt.any() else 0.0
    tried = _tried(handled, kind, method, seed, cv)
    factor, persistence, level, drift = _errors(tried, _step(handled.dates), residual, noise)
    return HandleOutlook(
        expected, profile, pd.Series(residual, index=handled.dates), noise, factor, persistence, level, drift, cv
    )


def _learnt(total: np.ndarray, number: np.ndarray) -> np.ndarray:
    """Return which days have contacts enough to be learnt."""
    some = number[number > 0]
    least = min(max(FEWEST, SCANTY * float(np.median(some))), float(some.max())) if len(some) else 1.0
    return np.asarray((number >= least) & (total > 0))


def _day_means(
    handled: Handled, kind: int, future: pd.DatetimeIndex, method: str, seed: int, cv: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return mean handle times of the days to come, of those past by the same model, and the days learnt; made once."""
    total, number = handled.total[kind].sum(axis=1), handled.number[kind].sum(axis=1)
    digest = blake2b(repr((method, seed, cv, len(total))).encode(), digest_size=16)
    for values in (handled.dates.as_unit("s").asi8, future.as_unit("s").asi8, total, number):
        digest.update(np.ascontiguousarray(values).data)
    key = digest.digest()
    if key not in _kept:
        _kept[key] = _fit_means(handled.dates, total, number, future, method, seed, cv)
        for values in _kept[key]:
            values.setflags(write=False)
    _kept.move_to_end(key)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return _kept[key]


def forget() -> None:
    """Drop what is remembered."""
    _kept.clear()


def _fit_means(
    dates: pd.DatetimeIndex, total: np.ndarray, number: np.ndarray, future: pd.DatetimeIndex, method: str, seed: int,
    cv: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    use = _learnt(total, number)
    back = weeks_of(method)
    if back is not None:
        return *_repeated(dates, total, number, future, back), use
    noise = cv**2 / np.maximum(number, 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.where(use, np.log(total / np.maximum(number, 1)), np.nan)
    believed = np.minimum((FACTOR_PRIOR + np.median(noise[use])) / (FACTOR_PRIOR + noise), 1.0)
    if (dates[-1] - dates[0]).days + 1 >= YEAR_NEEDS:
        _, masked, _ = screen(dates, logs, pd.DataFrame(index=dates), {}, _YEARLY)
        use = use & ~masked
        days = dates.append(future)
        y = np.where(use, logs, np.nan)
        fit = _prophet.fit_days(dates, y, future, pd.DataFrame(index=days), {}, yearly=_YEARLY, seed=seed)
        gap = np.where(use, y - fit.fitted, 0.0)
        weight = np.where(use, believed * 0.5 ** ((dates[-1] - dates).days.to_numpy() / 14), 0.0)
        # The latest residuals move the level by as much as two weeks of them are worth against a prior of none.
        ahead, past = fit.ahead + float(weight @ gap) / (weight.sum() + 5.0), fit.fitted
    else:
        ahead, past = smoothed_level(dates, logs, future, believed, PATTERN_WEEKS)
    past = np.exp(past)
    recent = use & np.isfinite(past) & np.asarray(dates > dates[-1] - pd.Timedelta(days=365))
    smear = total[recent].sum() / max(float((number * past)[recent].sum()), 1e-9) if recent.any() else 1.0
    return np.exp(ahead) * float(np.clip(smear, 0.8, 1.25)), past, use


def _repeated(
    dates: pd.DatetimeIndex, total: np.ndarray, number: np.ndarray, future: pd.DatetimeIndex, back: int
) -> tuple[np.ndarray, np.ndarray]:
    """Average over the contacts of the last same weekdays."""
    weekday = dates.day_of_week.to_numpy()
    whole = total.sum() / number.sum()
    ahead, before = np.full(7, whole), np.full(len(dates), np.nan)
    for day in range(7):
        rows = np.flatnonzero((weekday == day) & (number > 0))
        if not len(rows):
            continue
        t, n = np.append(0, np.cumsum(total[rows])), np.append(0, np.cumsum(number[rows]))
        low = np.maximum(np.arange(len(rows) + 1) - back, 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            mean = (t - t[low]) / (n - n[low])
        before[rows] = mean[:-1]
        ahead[day] = mean[-1]
    return ahead[future.day_of_week], before


def _spread_of_one(handled: Handled, kind: int) -> float:
    """Return the coefficient of variation of one contact's handle time, given its day and interval."""
    total, number = handled.total[kind], handled.number[kind]
    mean = total.sum() / number.sum()
    if handled.square is not None:
        within = handled.square[kind] - np.divide(total**2, number, out=np.zeros_like(total), where=number > 0)
        freedom = np.maximum(number - 1, 0).sum()
        if freedom >= 10:
            return float(np.clip(np.sqrt(max(within.sum(), 0.0) / freedom) / mean, 0.0, 5.0))
        return 1.0
    # Of sums alone: means of intervals scatter around their day's by the variance of one contact over their number.
    seen = number > 0
    day = np.divide(total.sum(axis=1), number.sum(axis=1), out=np.zeros(len(total)), where=number.sum(axis=1) > 0)
    square = np.where(
        seen, number * (np.divide(total, number, out=np.zeros_like(total), where=seen) - day[:, None]) ** 2, 0
    )
    freedom = np.maximum(seen.sum(axis=1) - 1, 0).sum()
    return float(np.clip(np.sqrt(square.sum() / freedom) / mean, 0.0, 5.0)) if freedom >= 10 else 1.0


def _profile(handled: Handled, kind: int, fitted: np.ndarray, cv: float) -> np.ndarray:
    """Return the handle time of each interval relative to its day, drawn towards one."""
    n_slots = handled.number.shape[2]
    if n_slots == 1:
        return np.ones(1)
    age = (handled.dates[-1] - handled.dates).days.to_numpy() / 7
    ok = np.isfinite(fitted)
    weight = np.where(ok, 0.5 ** (age / HALF_LIFE), 0.0)
    base = weight @ (handled.number[kind] * np.where(ok, fitted, 0.0)[:, None])
    if not base.sum() > 0:
        return np.ones(n_slots)
    own = weight @ handled.total[kind]
    ratio = np.divide(own / own.sum(), base / base.sum(), out=np.ones(n_slots), where=base > 0)
    volume = base / base.sum()
    contacts = (weight @ handled.number[kind]) ** 2 / np.maximum(weight**2 @ handled.number[kind], 1e-9)
    noise = np.where(base > 0, cv**2 / np.maximum(contacts, 1e-9), 0.0)
    real = max(float(volume @ ((ratio - 1) ** 2 - noise)), 0.0)
    trust = np.divide(real, real + noise, out=np.zeros(n_slots), where=(base > 0) & (real + noise > 0))
    mixed = 1 + trust * (ratio - 1)
    return np.asarray(mixed / (volume @ mixed))


def _tried(
    handled: Handled, kind: int, method: str, seed: int, cv: float
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Return gaps (log of actual over expected), leads and sampling variances of forecasts made ``_step`` days apart."""
    dates = handled.dates
    step = _step(dates)
    found = []
    for k in range(1, _ORIGINS + 1):
        origin = dates[-1] + pd.Timedelta(days=1 - k * step)
        past = handled.between(None, origin)
        if not len(past.dates) or (past.dates[-1] - past.dates[0]).days + 1 < _NEEDS or not past.total[kind].sum() > 0:
            break
        then = handled.between(origin, origin + pd.Timedelta(days=HORIZON))
        total, number = then.total[kind].sum(axis=1), then.number[kind].sum(axis=1)
        use = (number >= FEWEST) & (total > 0)
        if not use.any():
            continue
        expected = _day_means(past, kind, then.dates[use], method, seed, cv)[0]
        lead = (then.dates[use] - past.dates[-1]).days.to_numpy().astype(float)
        found.append((np.log(total[use] / number[use] / expected), lead, cv**2 / number[use]))
    return found


def _step(dates: pd.DatetimeIndex) -> int:
    """Return the days between the origins tried."""
    span = (dates[-1] - dates[0]).days + 1
    return 28 if span >= 13 * 28 else 14 if span >= 112 else 7


def _errors(
    tried: list[tuple[np.ndarray, np.ndarray, np.ndarray]], step: int, residual: np.ndarray, noise: float
) -> tuple[float, float, float, float]:
    """Return the variance of a day's factor, its persistence, the variance of the level, and its drift per day.

    The mode of a posterior in logs: the gaps of an origin are normal with covariance ``level + drift · min(lead) + factor ·
    persistence^distance`` plus sampling variance, and the prior keeps a variance that nothing tells of off zero. Horizons that
    overlap count as fewer.
    """
    prior = np.log([FACTOR_PRIOR, LEVEL_PRIOR, DRIFT_PRIOR])
    if not tried:
        r = residual[np.isfinite(residual)]
        own = max(float((r**2).mean()) - noise, 0.0) if len(r) else FACTOR_PRIOR
        factor = (len(r) * own + _FACTOR_WEIGHT * FACTOR_PRIOR) / (len(r) + _FACTOR_WEIGHT)
        return 1.5 * factor, 0.0, 1.5 * LEVEL_PRIOR, 1.5 * DRIFT_PRIOR
    every = np.concatenate([g for g, _, _ in tried])
    limit = 4 * max(1.4826 * float(np.median(np.abs(every))), 1e-6)
    gaps = [np.clip(g, -limit, limit) for g, _, _ in tried]
    pairs = np.concatenate([(g[1:] - g.mean()) * (g[:-1] - g.mean()) for g in gaps])
    spread = float(np.mean([((g - g.mean()) ** 2).mean() for g in gaps]))
    hidden = float(np.mean([v.mean() for _, _, v in tried]))
    # Neighbouring days share the factor and not the sampling noise; what noise leaves of it is uncertain where it is small.
    real = max(spread - hidden, FACTOR_PRIOR)
    rho, weight = 0.0, min(step / HORIZON, 1.0)
    if len(pairs) > 2 and pairs.mean() > 0:
        unsure = float(pairs.var()) / (len(pairs) * weight) / float(pairs.mean()) ** 2
        rho = min(float(pairs.mean()) / real, 0.9) * max(1 - unsure, 0.0)
    near = [(np.minimum.outer(lead, lead), rho ** np.abs(np.subtract.outer(lead, lead))) for _, lead, _ in tried]

    def loss(x: np.ndarray) -> float:
        factor, level, drift = np.exp(x)
        told = 0.0
        for g, (low, apart), (_, _, sampling) in zip(gaps, near, tried, strict=True):
            root = np.linalg.cholesky(level + drift * low + factor * apart + np.diag(sampling + 1e-8))
            z = np.linalg.solve(root, g)
            told += 0.5 * float(z @ z) + float(np.log(np.diag(root)).sum())
        return weight * told + 0.5 * float((((x - prior) / _TRUST) ** 2).sum())

    bounds = [(np.log(1e-7), 0.0), (np.log(1e-7), 0.0), (np.log(1e-9), np.log(0.01))]
    factor, level, drift = np.exp(minimize(loss, prior, method="L-BFGS-B", bounds=bounds, options={"maxiter": 40}).x)
    return float(factor), rho, float(level), float(drift)


def thinned(view: HandleOutlook) -> HandleOutlook:
    """Return the outlook of a thin history: few origins can flatter, so its variances are half as large again."""
    return replace(view, factor=1.5 * view.factor, level=1.5 * view.level, drift=1.5 * view.drift)
