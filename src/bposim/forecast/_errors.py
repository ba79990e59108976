"""How far day totals err: level, drift, day factor and tails, told from forecasts made at earlier origins."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
from scipy import optimize, stats
from scipy.linalg.lapack import dpotrf, dtrtri
from scipy.special import gammaln

if TYPE_CHECKING:
    from bposim.forecast._profile import ShapeNoise

#: Drift of the level per day (variance in logs), variance of the day factor, and the weeks and days they are worth.
DRIFT_PRIOR, DRIFT_WEIGHT = 1e-4, 6.0
FACTOR_PRIOR, FACTOR_WEIGHT = 0.08**2, 10.0
#: Variance of the level on the first day, as a share of the day factor's, before any forecast was tried.
LEVEL_PRIOR = 0.15
#: Least variance of day factor and level of a history of two weeks, which knows neither month nor season nor drift; what is
#: left of it falls evenly and is nothing at fourteen weeks.
THIN_FACTOR, THIN_LEVEL, THIN_UNTIL = 0.15**2, 0.12**2, 98
#: What the history says of itself, in standard deviations of the logarithm of (level, drift, factor) and of the logit of persistence.
_TRUST = np.array([1.0, 1.0, 0.5, 1.0])
#: Degrees of freedom of the tails: as good as normal, the heaviest, and of the level before any forecast was tried.
NORMAL, HEAVIEST, LEVEL_FREEDOM = 60.0, 4.0, 5.0
#: Standard deviations beyond which a missed day counts no further.
_CLIP = 2.5


@dataclass(frozen=True, eq=False)
class Error:
    """How far day totals and their shape err around the expectation (variances of logs).

    Attributes
    ----------
    factor, persistence : float
        Variance and lag-one correlation of the day factor.
    drift : float
        Variance of the level per day of lead.
    shape : ShapeNoise
        Noise along the intervals of a day.
    regular, regular_shape : bool
        Day totals (their split over the day) vary much less than Poisson.
    level : float
        Variance of the level on the first day.
    tail, level_tail : float
        Degrees of freedom of Student's t for the day factor and for the level.
    """

    factor: float
    persistence: float
    drift: float
    shape: ShapeNoise
    regular: bool
    regular_shape: bool
    level: float = 0.0
    tail: float = NORMAL
    level_tail: float = NORMAL


@dataclass(frozen=True, eq=False)
class Missed:
    """One earlier forecast beside what came.

    Attributes
    ----------
    gap : ndarray, shape (n_days,)
        Log of actual over expected.
    lead : ndarray, shape (n_days,)
        Calendar days after the last day known.
    noise : ndarray, shape (n_days,)
        Variance of the gap that counting alone gives.
    """

    gap: np.ndarray
    lead: np.ndarray
    noise: np.ndarray


def missed(actual: np.ndarray, expected: np.ndarray, lead: np.ndarray) -> Missed:
    """Compare day totals with their expectation; days of zero expectation tell nothing."""
    good = expected > 0
    m = expected[good] + 0.5
    return Missed(np.log((actual[good] + 0.5) / m), lead[good].astype(float), 1 / m)


def fit_error(own: Error, tried: list[Missed]) -> Error:
    """Return the error that earlier forecasts made, drawn towards what the history's own residuals say.

    Parameters
    ----------
    own : Error
        From residuals within the fit.
    tried : list of Missed
        At least one, with at least one day.

    Notes
    -----
    The gaps of an origin are normal with covariance ``level + drift · min(lead) + factor · persistence^distance`` and the counting noise;
    the posterior mode over all origins. Gaps beyond 2.5 standard deviations count as that, and raise the tails instead.
    The level is seen about once per origin: its law is Student's, with as many degrees of freedom as origins and five more.
    """
    centre = np.array(
        [
            np.log(max(own.factor * LEVEL_PRIOR, 1e-7)), np.log(max(own.drift, 1e-8)), np.log(max(own.factor, 1e-6)),
            float(np.log((own.persistence + 0.05) / (1.0 - own.persistence))),
        ]
    )  # fmt: skip
    gap, lead, noise = (np.concatenate([getattr(t, name) for t in tried]) for name in ("gap", "lead", "noise"))
    ends = np.cumsum([len(t.gap) for t in tried])[:-1]
    first = [np.minimum.outer(t.lead, t.lead) for t in tried]
    spread = 1.4826 * float(np.median(np.abs(gap)))

    def marginal(x: np.ndarray) -> np.ndarray:
        level, drift, factor = np.exp(x[:3])
        return np.asarray(np.sqrt(level + drift * lead + factor + noise))

    x = centre
    bounds = [(np.log(1e-8), 0.5), (np.log(1e-9), np.log(0.01)), (np.log(1e-7), 0.5), (-3.0, 3.0)]
    x = np.clip(x, [b[0] for b in bounds], [b[1] for b in bounds])
    for _ in range(2):
        limit = _CLIP * np.maximum(marginal(x), spread)
        y = np.split(np.clip(gap, -limit, limit), ends)
        x = optimize.minimize(
            _loss,
            x,
            args=(tried, y, first, centre),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 60},
        ).x
    level, drift, factor = np.exp(x[:3])
    tail, ratio = tail_of(gap / marginal(x))
    return replace(
        own, level=float(level), drift=float(drift), factor=float(factor * ratio), persistence=_rho(float(x[3])),
        tail=tail, level_tail=LEVEL_FREEDOM + len(tried),
    )  # fmt: skip


def _loss(
    x: np.ndarray, tried: list[Missed], gaps: list[np.ndarray], first: list[np.ndarray], centre: np.ndarray
) -> tuple[float, np.ndarray]:
    """Return minus the log posterior of level, drift, factor (logs) and persistence (logit), and its gradient.

    Parameters
    ----------
    gaps : list of ndarray
        Those of ``tried``, clipped.
    first : list of ndarray, shape (n_days, n_days)
        The smaller lead of each pair of days.

    Notes
    -----
    With ``α = C⁻¹ y`` the derivative by a parameter is ``½ tr((C⁻¹ − α αᵀ) ∂C)``.
    """
    day = np.arange(max(len(y) for y in gaps))
    apart = np.abs(day[:, None] - day)
    level, drift, factor = np.exp(x[:3])
    rho = _rho(x[3])
    power = rho**apart
    steeper = _rho_slope(x[3]) * apart * rho ** np.maximum(apart - 1, 0)
    told, gradient = 0.0, np.zeros(4)
    for t, y, low in zip(tried, gaps, first, strict=True):
        n = len(y)
        covariance = drift * low + factor * power[:n, :n]
        covariance += level
        covariance[day[:n], day[:n]] += t.noise
        root, broken = dpotrf(covariance, lower=1)
        if broken:
            return np.inf, gradient
        half, _ = dtrtri(root, lower=1)
        half = np.tril(half)
        inverse = half.T @ half
        alpha = inverse @ y
        told += 0.5 * float(alpha @ y) + float(np.log(root[day[:n], day[:n]]).sum())
        left = inverse - np.outer(alpha, alpha)
        gradient += left.sum(), np.vdot(left, low), np.vdot(left, power[:n, :n]), np.vdot(left, steeper[:n, :n])
    away = (x - centre) / _TRUST
    scale = 0.5 * np.array([level, drift, factor, factor])
    return told + 0.5 * float((away**2).sum()), scale * gradient + away / _TRUST


def cautious(error: Error, span: int) -> Error:
    """Return the error of a history of so many days, no smaller than what such a history cannot know of itself.

    A fit to two weeks follows them closely, and there is no earlier forecast to be wrong: bands from it held 45 % of the days where
    they said 80 % (daily and half-hourly records of three operations, windows of two weeks).
    """
    left = min(max((THIN_UNTIL - span) / (THIN_UNTIL - 14), 0.0), 1.0)
    if error.regular or left == 0.0:
        return error
    return replace(error, factor=max(error.factor, left * THIN_FACTOR), level=max(error.level, left * THIN_LEVEL))


def _rho(x: float) -> float:
    """Return a correlation of 0 to 0.95 from its logit."""
    return float(np.clip(1.05 / (1 + np.exp(-x)) - 0.05, 0.0, 0.95))


def _rho_slope(x: float) -> float:
    """Return by how much that correlation grows with its logit."""
    share = 1 / (1 + np.exp(-x))
    return float(1.05 * share * (1 - share)) if 0.0 < 1.05 * share - 0.05 < 0.95 else 0.0


def tail_of(z: np.ndarray) -> tuple[float, float]:
    """Return the degrees of freedom of standardised gaps by likelihood, drawn towards a normal law, and their variance."""
    if len(z) < 20:
        return 10.0, 1.0
    grid = np.array([HEAVIEST, 5.0, 6.0, 8.0, 10.0, 15.0, 30.0, NORMAL])
    square, told, variance = z**2, [], []
    for nu in grid:
        found = optimize.minimize_scalar(
            lambda s, nu=nu: float((nu + 1) / 2 * np.log1p(square / (nu * s * s)).sum() + len(z) * np.log(s)),
            bounds=(0.2, 3.0), method="bounded",
        )  # fmt: skip
        of_nu = gammaln((nu + 1) / 2) - gammaln(nu / 2) - np.log(nu * np.pi) / 2
        told.append(len(z) * float(of_nu) - found.fun)
        variance.append(found.x**2 * nu / (nu - 2))
    weight = np.exp(np.array(told) - max(told))
    weight /= weight.sum()
    return float(1 / (weight / grid).sum()), float(weight @ np.array(variance))


@lru_cache(maxsize=256)
def _table(freedom: float) -> tuple[np.ndarray, np.ndarray]:
    grid = np.linspace(-4.5, 4.5, 721)
    return grid, stats.t.ppf(stats.norm.cdf(grid), freedom) * np.sqrt((freedom - 2) / freedom)


def heavier(z: np.ndarray, freedom: float) -> np.ndarray:
    """Return standard normal draws as Student's t of unit variance, rank by rank; cut at 4.5 standard deviations of the normal."""
    if freedom >= NORMAL:
        return z
    grid, values = _table(round(freedom, 1))
    return np.interp(z, grid, values)


def log_mean(spread: np.ndarray, freedom: float) -> np.ndarray:
    """Return ``log E exp(spread · T)`` for such a T: what an exponent has to give up so that its mean is one."""
    if freedom >= NORMAL:
        return np.asarray(spread) ** 2 / 2
    grid, values = _table(round(freedom, 1))
    p = stats.norm.pdf(grid)
    p /= p.sum()
    return np.log((np.exp(np.multiply.outer(np.asarray(spread), values)) * p).sum(axis=-1))
