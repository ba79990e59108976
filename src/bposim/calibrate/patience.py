"""Handle time and patience: chosen among candidates, with intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.distributions import (
    Distribution,
    Fit,
    empirical,
    fit_best,
    kaplan_meier,
    km_median,
    piecewise_hazard,
    restricted_mean,
    with_zero,
)

HANDLE_KINDS = ("lognormal", "gamma", "weibull", "exponential", "hyperexponential")
PATIENCE_KINDS = ("exponential", "weibull", "lognormal", "gamma")
#: Kolmogorov–Smirnov distance above which no parametric law is taken for a handle time.
POOR_FIT = 0.03
#: AIC by which each further degree of complexity must be better.
CLEARLY = 6.0
#: Times the waiting per abandonment beyond which a law's mean is no estimate but a guess about its tail.
ABSURD = 5.0
#: Share of a mean that may come from beyond the waits seen before the estimate says so.
BEYOND = 0.20
#: Contacts that must have waited so long for the data to tell anything about patience there.
REACHED = 10
#: Abandonments below which a type's patience is taken from all types together.
FEW = 30


@dataclass(frozen=True, eq=False)
class DurationFit:
    """A fitted duration of one contact type.

    Attributes
    ----------
    distribution : Distribution
    candidates : DataFrame
        ``kind, aic, ks, mean_s, chosen``, for patience also ``mean_plausible``.
    estimates : tuple of Estimate
    data : ndarray
        Durations in seconds; for patience the waits.
    observed : ndarray of bool or None
        Whether a wait ended in abandonment; False is censored by an answer.
    """

    distribution: Distribution
    candidates: pd.DataFrame
    estimates: tuple[Estimate, ...]
    data: np.ndarray
    observed: np.ndarray | None = None


def _clustered_interval(values: np.ndarray, days: np.ndarray, statistic: str) -> tuple[float, float, float]:
    """Return a mean or cv with its interval by the delete-one jackknife over days, which keeps drift between days in."""
    from scipy.special import stdtrit

    _, code = np.unique(days, return_inverse=True)
    n = np.bincount(code)
    s1, s2 = np.bincount(code, values), np.bincount(code, values**2)

    def of(count: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        mean = first / count
        if statistic == "mean":
            return np.log(mean)
        return np.log(np.sqrt(np.maximum(second / count - mean**2, 1e-12)) / mean)

    value = float(of(n.sum(), s1.sum(), s2.sum()))
    if len(n) < 3:
        return float(np.exp(value)), np.nan, np.nan
    without = of(n.sum() - n, s1.sum() - s1, s2.sum() - s2)
    k = len(n)
    error = np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
    half = float(stdtrit(k - 1, 0.975) * error)
    return float(np.exp(value)), float(np.exp(value - half)), float(np.exp(value + half))


def fit_handle_time(values: np.ndarray, days: np.ndarray, name: str) -> DurationFit:
    """Fit the handle time of a type.

    The best of the candidate laws by AIC, unless it lies further than ``POOR_FIT`` from the data or misses their mean
    by more than 2 %: then the empirical law (501 quantiles). Zeros are a mass of their own.

    Parameters
    ----------
    values : ndarray of float
        Handle times in seconds, answered contacts only.
    days : ndarray
        Local day of each, for the interval.
    """
    zero = float((values <= 0).mean())
    positive = values[values > 0]
    sample = positive if len(positive) <= 40_000 else np.random.default_rng(0).choice(positive, 40_000, replace=False)
    fits = fit_best(sample, kinds=HANDLE_KINDS)
    best = fits[0]
    observed_mean = float(positive.mean())
    fine = best.ks <= POOR_FIT and abs(best.distribution.mean / observed_mean - 1) <= 0.02
    if fine:
        law = best.distribution.scaled(observed_mean / best.distribution.mean)
        said = f"{best.kind}, KS distance {best.ks:.3f}"
    else:
        law = empirical(_quantiles(positive).tolist())
        law = law.scaled(observed_mean / law.mean)
        said = f"empirical: the best law ({best.kind}) is off by KS {best.ks:.3f}, mean {best.distribution.mean:.0f} s"
    if zero > 0:
        said += f"; {100 * zero:.1f} % last 0 s"
        law = with_zero(zero, law)
    rows = [(f.kind, f.aic, f.ks, f.distribution.mean, fine and f is best) for f in fits]
    rows.append(("empirical", np.nan, 0.0, observed_mean, not fine))
    mean, low, high = _clustered_interval(values, days, "mean")
    cv, cv_low, cv_high = _clustered_interval(values, days, "cv")
    if fine and zero == 0:  # the chosen law's own cv, which a heavy tail makes far surer than the sample's
        cv, cv_low, cv_high = _cv_of_fit(best, positive)
    n = len(values)
    return DurationFit(
        law,
        pd.DataFrame(rows, columns=["kind", "aic", "ks", "mean_s", "chosen"]),
        (
            Estimate("mean handle time", name, mean, low, high, n, "s", "estimated", said),
            Estimate("handle time cv", name, cv, cv_low, cv_high, n, "", "estimated", said),
        ),
        values,
    )


def _cv_of_fit(best: Fit, values: np.ndarray) -> tuple[float, float, float]:
    """Return the fitted cv with its interval: exact for the lognormal's sigma, by bootstrap of moments otherwise."""
    law = best.distribution
    n = len(values)
    if best.kind == "lognormal":
        from scipy.special import chdtri

        s2 = float(np.var(np.log(values), ddof=1))
        low, high = ((n - 1) * s2 / chdtri(n - 1, q) for q in (0.025, 0.975))
        value, low, high = (float(np.sqrt(np.expm1(v))) for v in (s2, low, high))
        return value, low, high
    rng = np.random.default_rng(0)
    part = values if n <= 5000 else rng.choice(values, 5000, replace=False)
    draws = part[rng.integers(0, len(part), (200, len(part)))]
    cvs = draws.std(axis=1) / draws.mean(axis=1)
    half = 1.96 * float(cvs.std()) * np.sqrt(len(part) / n)
    return float(law.cv), float(law.cv) - half, float(law.cv) + half


def _quantiles(values: np.ndarray) -> np.ndarray:
    return np.maximum(np.quantile(values, (np.arange(501) + 0.5) / 501), 1e-3)


def fit_patience(waits: np.ndarray, abandoned: np.ndarray, name: str, *, pooled: bool = False) -> DurationFit:
    """Fit patience under censoring: those answered were at least as patient as they waited.

    Candidates are the parametric laws and a piecewise-constant hazard, compared by AIC; one whose mean is infinite or
    more than ``ABSURD`` times the waiting time per abandonment is not taken, and the estimate says so. Contacts answered
    at once say nothing about patience; those that left at once are a mass at zero.

    Parameters
    ----------
    waits : ndarray of float
        Seconds waited.
    abandoned : ndarray of bool
    """
    said_pool = " (all types together: too few abandonments)" if pooled else ""
    waits = _off_the_clock(waits, abandoned)
    reached = waits > 0
    zero_left = int((abandoned & ~reached).sum())
    t, left = waits[reached], abandoned[reached]
    # One who finds an agent free cannot show impatience: the share that balks is of those who had to wait.
    zero = zero_left / max(zero_left + len(t), 1)
    fits = fit_best(t, left, kinds=PATIENCE_KINDS)
    pieces, piece_aic = _pieces(t, left)
    # Fewer parameters win unless more of them are clearly better: a choice made on noise makes intervals too narrow.
    order = {"exponential": 0, "weibull": 1, "gamma": 1, "lognormal": 1}
    scores = {f.kind: f.aic + CLEARLY * order[f.kind] for f in fits}
    scores["piecewise_hazard"] = piece_aic + 2 * CLEARLY
    means = {f.kind: f.distribution.mean for f in fits} | {"piecewise_hazard": pieces.mean}
    usual = float(t.sum() / left.sum())
    sane = {k: bool(np.isfinite(m) and m <= ABSURD * usual) for k, m in means.items()}
    kind = min((k for k in scores if sane[k]), key=lambda k: scores[k])  # the exponential's mean is the usual one
    wanted = min(scores, key=lambda k: scores[k])
    by_pieces = kind == "piecewise_hazard"
    best = min((f for f in fits if f.kind == kind or by_pieces), key=lambda f: scores[f.kind])
    rows = [(f.kind, f.aic, f.ks, f.distribution.mean, f.kind == kind, sane[f.kind]) for f in fits]
    rows.append(("piecewise_hazard", piece_aic, np.nan, pieces.mean, by_pieces, sane["piecewise_hazard"]))
    candidates = pd.DataFrame(rows, columns=["kind", "aic", "ks", "mean_s", "chosen", "mean_plausible"])
    km = kaplan_meier(t, left)
    median = km_median(km)
    median_said = f"Kaplan–Meier median {median:.0f} s" if np.isfinite(median) else "more than half never hung up"
    if by_pieces:
        law: Distribution = pieces
        said = f"piecewise hazard (AIC {best.aic - piece_aic:,.0f} better than {best.kind}); {median_said}"
        n_left = int(left.sum())
        # The mean beyond what was seen rests on the last hazard: the interval is that of the pooled hazard's mean.
        spread = 1.96 / np.sqrt(max(int((left & (t > np.quantile(t, 0.9))).sum()), 1))
        mean, low, high = law.mean, law.mean * np.exp(-spread), law.mean * np.exp(spread)
    else:
        law, said, n_left = best.distribution, f"{best.kind}; {median_said}", int(left.sum())
        mean = law.mean
        low, high = best.mean_interval(0.95)
    longest = float(np.sort(t)[-min(REACHED, len(t))])
    beyond = 1 - float(law.limited_mean(longest)) / law.mean
    if beyond > BEYOND:
        said += f"; {100 * beyond:.0f} % of this mean is extrapolated: fewer than {REACHED} waited longer than {longest:.0f} s"
    if wanted != kind:
        said += (
            f"; {wanted} fits the waits better, but its mean ({_told(means[wanted])}) rests on a tail that nobody saw"
        )
    if zero_left:
        said += f"; {100 * zero:.1f} % of those who must wait leave at once"
        law = with_zero(zero, law)
    hazard = left.sum() / t.sum()
    z = 1.96 / np.sqrt(max(n_left, 1))
    return DurationFit(
        law,
        candidates,
        (
            Estimate("mean patience", name, float(mean), float(low), float(high), n_left, "s", "estimated", said + said_pool),
            _restricted(km, longest, name, n_left),
            Estimate("abandonments per waiting hour", name, hazard * 3600, hazard * 3600 * np.exp(-z),
                     hazard * 3600 * np.exp(z), n_left, "1/h", "estimated", "abandonments over total waiting time"),
        ),
        waits,
        abandoned,
    )  # fmt: skip


def _told(mean: float) -> str:
    return f"{mean:,.0f} s" if np.isfinite(mean) and mean < 1e9 else "without bound"


def _restricted(km: pd.DataFrame, until: float, name: str, n: int) -> Estimate:
    """Return the mean patience up to a wait: the area under Kaplan–Meier, with Greenwood's variance."""
    time, survival = km["time"].to_numpy(), km["survival"].to_numpy()
    at_risk, events = km["at_risk"].to_numpy(), km["events"].to_numpy()
    value = restricted_mean(km, until)
    time = np.minimum(time, until)
    steps = np.diff(np.append(time, until)) * survival
    area = np.cumsum(steps[::-1])[::-1]  # from each time to the end
    left = at_risk - events
    variance = float((area**2 * np.where(left > 0, events / np.maximum(at_risk * left, 1), 0.0)).sum())
    half = 1.96 * np.sqrt(variance)
    said = f"patience cut at {until:.0f} s, the longest wait that {REACHED} contacts reached; from the data alone, no law assumed"
    return Estimate(
        "restricted mean patience", name, value, max(value - half, 0.0), value + half, n, "s", "estimated", said
    )


def _off_the_clock(waits: np.ndarray, abandoned: np.ndarray) -> np.ndarray:
    """Undo a log's rounding to whole seconds: 0 s may be an abandonment within half a second, no balking.

    Zeros that are about as many as the following seconds lead one to expect are set to a quarter of a second; clearly
    more of them stay zero: those contacts would not wait at all.
    """
    if len(waits) == 0 or not np.all(waits == np.round(waits)):
        return waits
    zeros = abandoned & (waits == 0)
    expected = (abandoned & (waits >= 1) & (waits <= 5)).sum() / 10
    if zeros.sum() > 3 * expected + 3:
        return waits
    return np.where(zeros, 0.25, waits)


def _pieces(t: np.ndarray, left: np.ndarray) -> tuple[Distribution, float]:
    """Fit a hazard that is constant between breaks: events over exposure, breaks at quantiles of the abandonments."""
    events = np.sort(t[left])
    n_pieces = int(np.clip(len(events) // 25, 1, 12))
    inner = (
        np.unique(np.round(np.quantile(events, np.arange(1, n_pieces) / n_pieces), 3)) if n_pieces > 1 else np.array([])
    )
    breaks = np.concatenate([[0.0], inner[inner > 0]])
    upper = np.append(breaks[1:], np.inf)
    exposure = np.array([np.clip(t - a, 0, b - a).sum() for a, b in zip(breaks, upper, strict=True)])
    count = np.array([((events > a) & (events <= b)).sum() for a, b in zip(breaks, upper, strict=True)], dtype=float)
    keep = exposure > 0
    rate = np.where(keep, count / np.where(keep, exposure, 1), 0.0)
    rate = np.maximum(rate, 1e-9)
    likelihood = float((count * np.log(rate) - rate * exposure).sum())
    # A break chosen at a quantile of the data costs a parameter as its rate does.
    return piecewise_hazard(breaks.tolist(), rate.tolist()), 2 * (2 * len(breaks) - 1) - 2 * likelihood
