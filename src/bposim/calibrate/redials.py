"""Who calls again: after hanging up (redial) and after an answer (repeat), beyond those who would have called anyway."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.distributions import distribution, empirical
from bposim.metrics.intervals import wilson
from bposim.units import make_grid, zone

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.scenario import Scenario

#: Longest time after an abandonment in which another attempt is looked for, in seconds.
FOLLOW_S = 7200.0
#: After an answer, in seconds.
REPEAT_S = 86400.0
#: Abandonments of named customers, and re-contacts after them, below which nothing is said.
FEWEST, FEWEST_BACK = 200, 20
#: Days by which windows are moved to see how often the same customers call anyway.
SHIFTS = (-14, -7, 7, 14)
#: A customer with more than this share of the contacts is a code that stands for many.
PLACEHOLDER = 0.02
#: Share of redials that makes no difference, where fewer than these came back.
NEGLIGIBLE = 0.05
#: Share of the redials within the look-out from which on the law is taken as it is.
REACHED = 0.95
#: What a law with one more parameter must gain in AIC.
BETTER = 6.0
WHAT = "redial share of abandonments"
DAY_MS = 86_400_000


@dataclass(frozen=True, eq=False)
class RedialFit:
    """Redials as the customers of a log show them.

    Attributes
    ----------
    probability : float
        That an abandonment is followed by another attempt; 0 where there is none beyond chance.
    delay : Distribution or None
        From the abandonment to the next attempt.
    known : bool
        Whether the log can tell.
    estimates, notes : tuple
    """

    probability: float
    delay: Distribution | None
    known: bool
    estimates: tuple[Estimate, ...] = ()
    notes: tuple[str, ...] = ()
    candidates: pd.DataFrame = field(default_factory=pd.DataFrame)


@dataclass(frozen=True, eq=False)
class _Cases:
    """What followed contacts of named customers: times in seconds, one row each, and the same in moved windows."""

    after_s: np.ndarray  # to the next contact, or the end of the look-out
    back: np.ndarray  # whether there was one
    day: np.ndarray
    chance: np.ndarray  # moved windows with a contact
    moved: np.ndarray  # moved windows within the log
    exposure_s: np.ndarray  # time looked at in them


def _ms(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8


def named_customers(contacts: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Return a number for each contact's customer, −1 where it has none, and what was left out."""
    if "customer" not in contacts:
        return np.full(len(contacts), -1), []
    code, names = pd.factorize(contacts["customer"])
    count = np.bincount(code[code >= 0], minlength=len(names))
    many = count > max(PLACEHOLDER * len(contacts), 50)
    notes = []
    if many.any():
        listed = ", ".join(repr(str(n)) for n in names[many][:4])
        notes.append(
            f"customer {listed} stands for more than {100 * PLACEHOLDER:.0f} % of the contacts and was taken as unknown."
        )
        code = np.where((code >= 0) & many[code], -1, code)
    gone = int((code < 0).sum())
    if gone and (code >= 0).any():
        notes.append(
            f"{gone:,} of {len(contacts):,} contacts name no customer; redials are estimated on the others and held for all."
        )
    return code, notes


def follow(contacts: pd.DataFrame, which: np.ndarray, until_ms: np.ndarray, customer: np.ndarray) -> _Cases:
    """Look for the next contact of the same customer after each contact ``which``, and at the same times of other days.

    Parameters
    ----------
    contacts : DataFrame
    which : ndarray of bool
    until_ms : ndarray of int64
        End of the look-out of every contact.
    customer : ndarray of int

    Notes
    -----
    The moved windows are those of a case-crossover design (Maclure 1991): customers are compared with themselves, so
    that frequent callers, who are over-represented among those who hang up, do not look like redialers.
    """
    arrived = _ms(contacts["arrived"])
    left = _ms(contacts["ended"])
    first, last = arrived.min(), max(arrived.max(), left[which].max(initial=0))
    rows = np.flatnonzero(which & (customer >= 0) & (until_ms > left))
    span = np.int64(last - first + 60 * DAY_MS)
    base = first - 30 * DAY_MS
    known = customer >= 0
    keys = np.sort(customer[known] * span + (arrived[known] - base))

    def next_after(begin: np.ndarray, end: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        at = customer[rows] * span + (begin - base)
        k = np.searchsorted(keys, at, side="left")
        reach = np.append(keys, np.iinfo(np.int64).max)[k] - at
        return np.minimum(reach, end - begin), reach < end - begin

    end = np.minimum(until_ms[rows], last)
    after, back = next_after(left[rows], end)
    chance, exposure, moved = np.zeros(len(rows)), np.zeros(len(rows)), np.zeros(len(rows))
    for days in SHIFTS:
        move = np.int64(days) * DAY_MS
        inside = (left[rows] + move >= first) & (end + move <= last)
        seen, hit = next_after(left[rows] + move, end + move)
        chance += inside & hit
        moved += inside
        exposure += np.where(inside, seen, 0) / 1000
    day = pd.DatetimeIndex(contacts["arrived"]).tz_localize(None).normalize().asi8[rows]
    return _Cases(np.maximum(after / 1000, 0.5), back, day, chance, moved, exposure)


def closing_ms(contacts: pd.DataFrame, base: Scenario, at_ms: np.ndarray) -> np.ndarray:
    """Return the end of the open hours in which each instant lies; the instant itself outside them."""
    local = pd.DatetimeIndex(contacts["arrived"]).tz_convert(base.time_zone)
    first = local.min().date()
    days = (local.max().date() - first).days + 2
    grid = make_grid(first, days, zone(base.time_zone), base.interval, base.opening_hours, base.closed)
    begin = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    end = begin + (grid.end_ms - grid.start_ms)
    last = np.append(begin[1:] > end[:-1], True) | (np.append(grid.day[1:], -1) != grid.day)
    close = end[last][np.searchsorted(np.flatnonzero(last), np.arange(len(end)))]
    k = np.searchsorted(begin, at_ms, side="right") - 1
    inside = (k >= 0) & (at_ms < end[np.maximum(k, 0)])
    return np.where(inside, close[np.maximum(k, 0)], at_ms)


def _law(kind: str, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log density and cdf; ``theta`` is the log scale and, but for the exponential, the log shape."""
    from scipy.special import ndtr

    scale = np.exp(theta[0])
    if kind == "exponential":
        return -theta[0] - x / scale, -np.expm1(-x / scale)
    shape = np.exp(theta[1])
    if kind == "weibull":
        z = np.exp(np.minimum(shape * np.log(x / scale), 700.0))
        return theta[1] - theta[0] + (shape - 1) * np.log(x / scale) - z, -np.expm1(-z)
    z = (np.log(x) - theta[0]) / shape
    return -np.log(x) - theta[1] - 0.9189385332046727 - z**2 / 2, ndtr(z)


def _rows(kind: str, theta: np.ndarray, cases: _Cases) -> np.ndarray:
    """Return the log-likelihood of every case: θ = (logit r, log h₀, law)."""
    r, h0 = 1 / (1 + np.exp(-theta[0])), np.exp(theta[1])
    log_f, cdf = _law(kind, theta[2:], cases.after_s)
    stays = np.maximum(1 - r * cdf, 1e-300)
    own = (
        np.where(cases.back, np.log(np.maximum(r * np.exp(log_f) + stays * h0, 1e-300)), np.log(stays))
        - h0 * cases.after_s
    )
    return own + cases.chance * theta[1] - h0 * cases.exposure_s


def fit_law(kind: str, cases: _Cases) -> tuple[np.ndarray, float, np.ndarray]:
    """Return the maximum-likelihood θ, its log-likelihood, and its covariance with whole days as the units.

    Notes
    -----
    After an abandonment the hazard of another contact is r f(t) ÷ (1 − r F(t)) + h₀, in the moved windows it is h₀. So a
    case adds log(r f + (1 − r F) h₀) − h₀ t where the customer came back at t, log(1 − r F) − h₀ t where it did not within
    t, and the moved windows n log h₀ − h₀ T. The covariance is the sandwich of the scores summed by day.
    """
    from scipy.optimize import minimize

    n = len(cases.after_s)
    h0 = max(cases.chance.sum(), 0.1) / max(cases.exposure_s.sum(), cases.after_s.sum())
    seen = cases.after_s[cases.back]
    excess = np.clip(cases.back.mean() - h0 * cases.after_s.mean(), 0.01, 0.98)
    start = [np.log(excess / (1 - excess)), np.log(h0), np.log(np.median(seen) + 1)]
    start += [] if kind == "exponential" else [0.0]
    theta0 = np.array(start)

    def down(theta: np.ndarray) -> float:
        return -float(_rows(kind, np.clip(theta, -40, 40), cases).sum()) / n

    done = minimize(down, theta0, method="BFGS", options={"gtol": 1e-7})
    theta = np.clip(done.x, -40, 40)
    m = len(theta)
    step = 1e-4
    score = np.stack(
        [(_rows(kind, theta + step * e, cases) - _rows(kind, theta - step * e, cases)) / (2 * step) for e in np.eye(m)]
    )
    units = pd.factorize(cases.day)[0]
    by_day = np.stack([np.bincount(units, s) for s in score])

    def gradient(t: np.ndarray) -> np.ndarray:
        return np.array(
            [
                (_rows(kind, t + step * e, cases).sum() - _rows(kind, t - step * e, cases).sum()) / (2 * step)
                for e in np.eye(m)
            ]
        )

    information = -np.stack([(gradient(theta + 1e-3 * e) - gradient(theta - 1e-3 * e)) / 2e-3 for e in np.eye(m)])
    inverse = np.linalg.pinv((information + information.T) / 2)
    days = by_day.shape[1]
    by_day = by_day - by_day.mean(axis=1, keepdims=True)
    meat = by_day @ by_day.T * days / max(days - 1, 1)
    return theta, -done.fun * n, inverse @ meat @ inverse


def _distribution(kind: str, theta: np.ndarray) -> Distribution:
    if kind == "exponential":
        return distribution({"exponential": {"mean": f"{np.exp(theta[0]):.6g}s"}})
    shape = float(np.exp(theta[1]))
    if kind == "weibull":
        return distribution({"weibull": {"scale": f"{np.exp(theta[0]):.6g}s", "shape": round(shape, 6)}})
    mean, cv = float(np.exp(theta[0] + shape**2 / 2)), float(np.sqrt(np.expm1(shape**2)))
    return distribution({"lognormal": {"mean": f"{mean:.6g}s", "cv": round(cv, 6)}})


def fit_redials(contacts: pd.DataFrame, base: Scenario) -> RedialFit:
    """Estimate the redial share and delay after abandonment, and the repeat share after an answer.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog with ``customer``; contacts without one are left out, which is told.
    base : Scenario
        Its open hours: nobody is seen to redial when the doors are closed, so the look-out ends at closing, or after
        two hours, or at the end of the log.

    Returns
    -------
    RedialFit
        ``known`` is false where the log names no customers or too few came back.
    """
    from scipy.special import expit, logit, stdtrit

    if "customer" not in contacts or contacts["customer"].notna().sum() == 0:
        text = "not identifiable from this log: it names no customers"
        return RedialFit(0.0, None, False, (Estimate(WHAT, "all", np.nan, source="assumed", detail=text),))
    customer, notes = named_customers(contacts)
    left = _ms(contacts["ended"])
    ended = contacts["ended"].notna().to_numpy()
    hung_up = (contacts["outcome"] == "abandoned").to_numpy() & ended
    until = np.minimum(closing_ms(contacts, base, left), left + np.int64(FOLLOW_S * 1000))
    cases = follow(contacts, hung_up, until, customer)
    repeat = _repeat(contacts, customer, ended)
    n, came = len(cases.after_s), int(cases.back.sum())
    most = wilson(came, n)[1] if n else 1.0
    if n >= FEWEST and came < FEWEST_BACK and most < NEGLIGIBLE:
        text = f"none: {came} of {n:,} abandonments of named customers were followed by another contact in time"
        return RedialFit(
            0.0,
            None,
            True,
            (Estimate(WHAT, "all", 0.0, 0.0, most, n, "share", "estimated", text), *repeat),
            tuple(notes),
        )
    if n < FEWEST or came < FEWEST_BACK:
        text = (
            f"not identifiable from this log: {n:,} abandonments of named customers, {came} of them came back in time"
        )
        return RedialFit(
            0.0, None, False, (Estimate(WHAT, "all", np.nan, n=n, source="assumed", detail=text), *repeat), tuple(notes)
        )
    fits = {kind: fit_law(kind, cases) for kind in ("exponential", "weibull", "lognormal")}
    aic = {kind: 2 * len(f[0]) - 2 * f[1] for kind, f in fits.items()}
    two = min(("weibull", "lognormal"), key=lambda k: aic[k])
    chosen = two if aic[two] < aic["exponential"] - BETTER else "exponential"
    theta, _, covariance = fits[chosen]
    freedom = max(len(np.unique(cases.day)) - len(theta), 1)

    def interval(value: Callable[[np.ndarray], float]) -> tuple[float, float, float]:
        """Return a function of θ with its interval by the delta method."""
        slope = np.array([(value(theta + 1e-4 * e) - value(theta - 1e-4 * e)) / 2e-4 for e in np.eye(len(theta))])
        half = float(stdtrit(freedom, 0.975) * np.sqrt(max(slope @ covariance @ slope, 0.0)))
        middle = value(theta)
        return middle, middle - half, middle + half

    def within(theta: np.ndarray) -> float:
        """Return the logit of the share that redials within the look-out."""
        return float(logit(expit(theta[0]) * _law(chosen, theta[2:], np.array([FOLLOW_S]))[1][0]))

    q, low, high = (float(expit(v)) for v in interval(within))
    share = float(cases.back.mean())
    by_chance = -float(np.expm1(-np.exp(theta[1]) * cases.after_s).mean())
    table = pd.DataFrame({"kind": list(aic), "aic": list(aic.values()), "chosen": [k == chosen for k in aic]})
    hours = f"{FOLLOW_S / 3600:.0f} h"
    said = (
        f"{100 * share:.1f} % called again within {hours} or until closing, {100 * by_chance:.1f} % would have anyway"
    )
    if not _beyond_chance(cases):
        most = share + 1.96 * float(np.sqrt(share * (1 - share) / n))
        estimates = (Estimate(WHAT, "all", 0.0, 0.0, most, n, "share", "estimated", f"none: {said}"), *repeat)
        return RedialFit(0.0, None, True, estimates, tuple(notes), table)
    reached = float(_law(chosen, theta[2:], np.array([FOLLOW_S]))[1][0])
    if reached >= REACHED:
        delay, probability = _distribution(chosen, theta[2:]), float(expit(theta[0]))
    else:
        delay, probability = _cut(chosen, theta[2:]), q
        notes.append(
            f"Redials go on after {hours}: the scenario makes those that were seen until then, {100 * q:.0f} % of the abandonments, "
            "and no later ones, which count as first attempts."
        )
    at, lower, upper = (float(np.exp(v)) for v in interval(lambda t: _log_median(chosen, t[2:])))
    delayed = f"median of the {chosen} law; the scenario's delays have mean {delay.mean:.0f} s"
    estimates = (
        Estimate(WHAT, "all", q, low, high, n, "share", "estimated", f"within {hours}: {said}"),
        Estimate("redial delay", "all", at, lower, upper, came, "s", "estimated", delayed),
        *repeat,
    )
    return RedialFit(probability, delay, True, estimates, tuple(notes), table)


def _log_median(kind: str, theta: np.ndarray) -> float:
    if kind == "lognormal":
        return float(theta[0])
    return float(theta[0] + np.log(np.log(2.0)) / (1.0 if kind == "exponential" else np.exp(theta[1])))


def _cut(kind: str, theta: np.ndarray) -> Distribution:
    """Return the law given that it is within the look-out, as 200 quantiles."""
    x = np.geomspace(0.5, FOLLOW_S, 4000)
    cdf = _law(kind, theta, x)[1]
    quantiles = np.interp((np.arange(200) + 0.5) / 200, cdf / cdf[-1], x)
    return empirical(np.round(quantiles, 1).tolist())


def _beyond_chance(cases: _Cases) -> bool:
    """Tell whether more came back than chance explains: by day, against the moved windows, 1 % one-sided."""
    rate = cases.chance.sum() / max(cases.exposure_s.sum(), 1.0)
    day = pd.factorize(cases.day)[0]
    rest = np.bincount(day, cases.back - rate * cases.after_s)
    error = np.sqrt(len(rest) * rest.var(ddof=1)) if len(rest) > 1 else np.inf
    return bool(rest.sum() > 2.33 * error)


def _repeat(contacts: pd.DataFrame, customer: np.ndarray, ended: np.ndarray) -> tuple[Estimate, ...]:
    """Return the share of answered contacts followed by another within a day beyond chance, and in all."""
    left = _ms(contacts["ended"])
    served = (contacts["outcome"] == "answered").to_numpy() & ended
    arrived = _ms(contacts["arrived"])
    end = arrived.max() if len(arrived) else 0
    until = left + np.int64(REPEAT_S * 1000)
    cases = follow(contacts, served & (until <= end), until, customer)
    n = len(cases.after_s)
    if n < FEWEST or cases.exposure_s.sum() <= 0:
        return ()
    day, names = pd.factorize(cases.day)
    all_in, low, high = jackknife_ratio(
        np.bincount(day, cases.back), np.bincount(day).astype(float), None, len(names) - 1
    )
    value, lo, hi = _excess(
        np.bincount(day, cases.back), np.bincount(day), np.bincount(day, cases.chance), np.bincount(day, cases.moved)
    )
    said = f"within {REPEAT_S / 3600:.0f} h of an answer, whatever the reason"
    beyond = (
        f"within {REPEAT_S / 3600:.0f} h of an answer, beyond what the same customers do a week or two before and after"
    )
    return (
        Estimate("re-contact share of answered", "all", all_in, low, min(high, 1.0), n, "share", "estimated", said),
        Estimate("repeat share of answered", "all", value, lo, hi, n, "share", "estimated", beyond),
    )


def _excess(back: np.ndarray, n: np.ndarray, chance: np.ndarray, moved: np.ndarray) -> tuple[float, float, float]:
    """Return 1 − (1 − p₁) ÷ (1 − p₀) with the interval of a jackknife over days."""
    from scipy.special import stdtrit

    def of(b: Any, m: Any, c: Any, w: Any) -> Any:
        return 1 - (1 - b / m) / (1 - c / np.maximum(w, 1))

    value = float(of(back.sum(), n.sum(), chance.sum(), moved.sum()))
    out = of(back.sum() - back, n.sum() - n, chance.sum() - chance, moved.sum() - moved)
    days = len(n)
    half = float(stdtrit(max(days - 1, 1), 0.975) * np.sqrt((days - 1) / days * ((out - out.mean()) ** 2).sum()))
    return value, value - half, value + half
