"""What days and their hours have in common: correlation of day factors between queues, and within the day."""

from __future__ import annotations

from collections.abc import Callable
from itertools import combinations

import numpy as np

from bposim.calibrate.estimates import Estimate

#: Risk of taking chance for a factor.
RISK = 0.01
#: Degrees of freedom (days less weekdays) below which nothing is said.
FEWEST = 10


def _jackknife(sums: np.ndarray, value: Callable[[np.ndarray], np.ndarray], freedom: int) -> tuple[float, float, float]:
    """Return a function of sums over days with its delete-one-day interval; ``sums`` has shape (n_parts, n_days)."""
    from scipy.special import stdtrit

    total = sums.sum(axis=1)
    n = sums.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        at = float(value(total[:, None])[0])
        out = value(total[:, None] - sums)
    if not np.isfinite(at) or not np.isfinite(out).all():
        return np.nan, np.nan, np.nan
    half = float(stdtrit(max(freedom, 1), 0.975) * np.sqrt((n - 1) / n * ((out - out.mean()) ** 2).sum()))
    return at, at - half, at + half


def _clip(value: float, low: float, high: float) -> tuple[float, float, float]:
    """Return a correlation with its interval, both cut to what a correlation can be."""
    a, b, c = np.clip([value, low, high], -1.0, 1.0).tolist()
    return a, b, c


def _scale(weekday: np.ndarray) -> np.ndarray:
    """Return n ÷ (n − 1) of each day's weekday, for means that were taken out; 0 for a weekday seen once."""
    count = np.bincount(weekday, minlength=7)[weekday]
    return np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)


def _expected(counts: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """Return the weekday mean of every row of ``counts``, which has days first."""
    mean = np.zeros_like(counts)
    for d in np.unique(weekday):
        mean[weekday == d] = counts[weekday == d].mean(axis=0)
    return mean


def _parts(x: np.ndarray, y: np.ndarray, mx: np.ndarray, my: np.ndarray, scale: np.ndarray) -> np.ndarray:
    """Return, by day, the parts of a correlation of latent factors: variances and covariance of counts less Poisson noise."""
    seen = scale > 0
    rx, ry = x - mx, y - my
    return np.stack(
        [
            rx * ry * scale,
            mx * my * seen,
            rx**2 * scale - mx * seen,
            mx**2 * seen,
            ry**2 * scale - my * seen,
            my**2 * seen,
        ]
    )


def _correlation(s: np.ndarray) -> np.ndarray:
    cov, xx, yy = s[0] / s[1], s[2] / s[3], s[4] / s[5]
    return np.where((xx > 0) & (yy > 0), cov / np.sqrt(np.maximum(xx * yy, 1e-300)), np.nan)


def overdispersed(
    counts: np.ndarray, expected: np.ndarray, scale: np.ndarray, freedom: int
) -> tuple[bool, float, float]:
    """Tell whether counts vary more than Poisson's (chi-square, 1 %), by how much, and p."""
    from scipy.stats import chi2

    seen = scale > 0
    statistic = float(
        ((counts - expected) ** 2 / np.maximum(expected, 1e-9) * scale)[seen].sum() * freedom / max(seen.sum(), 1)
    )
    p = float(chi2.sf(statistic, freedom))
    return p <= RISK, statistic / freedom, p


def between_queues(totals: np.ndarray, weekday: np.ndarray, types: tuple[str, ...]) -> list[Estimate]:
    """Estimate the correlation of the day factors of every pair of types.

    Parameters
    ----------
    totals : ndarray, shape (n_days, n_types)
    weekday : ndarray, shape (n_days,)
    types : tuple of str

    Notes
    -----
    Given the factors a day's counts are independent Poisson, so Cov(N_a, N_b) = m_a m_b cov and Var(N_a) = m_a + m_a² cv_a².
    The correlation is cov ÷ (cv_a cv_b), with the weekday means taken out; interval by the jackknife over days. A type
    without over-dispersion has no factor, and nothing to be correlated.
    """
    what = "correlation of day factors"
    n = len(totals)
    freedom = n - len(np.unique(weekday))
    result = []
    scale, expected = _scale(weekday), _expected(totals, weekday)
    judged = (
        {k: overdispersed(totals[:, k], expected[:, k], scale, freedom) for k in range(len(types))}
        if freedom >= FEWEST
        else {}
    )
    for a, b in combinations(range(len(types)), 2):
        name = f"{types[a]} and {types[b]}"
        if freedom < FEWEST:
            result.append(Estimate(what, name, np.nan, n=n, source="assumed", detail=f"only {n} days: too few to tell"))
            continue
        flat = [types[k] for k in (a, b) if not judged[k][0]]
        if flat:
            said = " and ".join(f"{t!r}" for t in flat)
            result.append(
                Estimate(
                    what,
                    name,
                    0.0,
                    np.nan,
                    np.nan,
                    n,
                    "",
                    "estimated",
                    f"none: days of {said} vary no more than by chance",
                )
            )
            continue
        sums = _parts(totals[:, a], totals[:, b], expected[:, a], expected[:, b], scale)
        value, low, high = _clip(*_jackknife(sums, _correlation, freedom))
        if not np.isfinite(value):
            result.append(Estimate(what, name, np.nan, n=n, detail="not identifiable: too little spread beyond chance"))
            continue
        if low > 0:
            said = "a busy day of one is a busy day of the other"
        elif high < 0:
            said = "a busy day of one is a quiet day of the other; the scenario cannot play that"
        else:
            said = "no clear connection"
        result.append(Estimate(what, name, value, low, high, n, "", "estimated", said))
    return result


def within_day(
    counts: np.ndarray, weekday: np.ndarray, n_slots: np.ndarray, name: str
) -> tuple[list[Estimate], list[str]]:
    """Estimate how far the two halves of a day go together, and what is left from interval to interval.

    Parameters
    ----------
    counts : ndarray, shape (n_days, n_slots)
    weekday, n_slots : ndarray, shape (n_days,)
        ``n_slots``: open intervals of the day; the halves are of these.
    name : str
        Contact type, or ``all``.

    Notes
    -----
    With a factor for each half of the day, X and Y, the correlation of X and Y is estimated as that of two queues. It is 1
    where one factor for the whole day explains all. What is left: given the day's total N and the profile p the counts of
    its intervals are multinomial, so E(e_k e_{k+1}) = −N p_k p_{k+1} for e_k = N_k − N p_k. The sum of e_k e_{k+1} + N p_k p_{k+1}
    over that of N² p_k p_{k+1} is the covariance of neighbouring intervals relative to their means, 0 where intervals are
    independent given the day. It is set against the same sum of squares less N p_k (1 − p_k), and what the day's total takes
    out of both is put back (:func:`_without_the_day`): a factor of each interval's own that lasts φ from one to the next.
    """
    n = len(counts)
    freedom = n - len(np.unique(weekday))
    what, serial = "correlation within the day", "correlation of neighbouring intervals"
    if freedom < FEWEST:
        return [Estimate(what, name, np.nan, n=n, source="assumed", detail=f"only {n} days: too few to tell")], []
    scale, mean = _scale(weekday), _expected(counts, weekday)
    half = np.arange(counts.shape[1]) < (n_slots / 2)[:, None]
    x, y = (counts * half).sum(axis=1), (counts * ~half).sum(axis=1)
    mx, my = (mean * half).sum(axis=1), (mean * ~half).sum(axis=1)
    estimates: list[Estimate] = []
    notes: list[str] = []
    spread = [overdispersed(v, m, scale, freedom) for v, m in ((x, mx), (y, my))]
    if not all(s[0] for s in spread):
        text = f"none: half days vary {spread[0][1]:.2f} and {spread[1][1]:.2f} times as much as Poisson"
        estimates.append(Estimate(what, name, 0.0, np.nan, np.nan, n, "", "estimated", text))
    else:
        value, low, high = _clip(*_jackknife(_parts(x, y, mx, my, scale), _correlation, freedom))
        if high >= 0.999:
            said = "a busy morning means a busy afternoon: one factor for the whole day explains it"
        elif low > 0:
            said = (
                f"a busy morning means a busy afternoon in part: {100 * value:.0f} % of the half days' spread is common"
            )
        else:
            said = "morning and afternoon go their own ways; a factor for the whole day overstates how much days differ"
        estimates.append(Estimate(what, name, value, low, high, n, "", "estimated", said))
        if np.isfinite(high) and high < 0.999:
            notes.append(
                f"Half days of {name!r} go together with correlation {value:.2f} [{low:.2f}, {high:.2f}]; the scenario draws one "
                "factor for the whole day."
            )
    estimates.append(_neighbours(counts, mean, scale, freedom, serial, name))
    last = estimates[-1]
    if last.low > 0 and last.value >= 0.05:
        notes.append(
            f"Beyond the day factor, neighbouring intervals of {name!r} go together (correlation {last.value:.2f}): the scenario "
            "draws intervals on their own given the day."
        )
    return estimates, notes


def _neighbours(
    counts: np.ndarray, mean: np.ndarray, scale: np.ndarray, freedom: int, what: str, name: str
) -> Estimate:
    """Return the correlation of what neighbouring intervals have beyond the day's total, taken as 0 without spread."""
    from scipy.stats import chi2

    n = len(counts)
    total = counts.sum(axis=1, keepdims=True)
    level = mean.sum(axis=1, keepdims=True)
    p = np.divide(mean, level, out=np.zeros_like(mean), where=level > 0)
    rest = counts - total * p
    seen = (scale > 0)[:, None]
    s = scale[:, None]
    own = (rest**2 * s - total * p * (1 - p) * seen).sum(axis=1)
    own_base = (total**2 * p**2 * seen).sum(axis=1)
    beside = (rest[:, :-1] * rest[:, 1:] * s + total * p[:, :-1] * p[:, 1:] * seen).sum(axis=1)
    beside_base = (total**2 * p[:, :-1] * p[:, 1:] * seen).sum(axis=1)
    sums = np.stack([beside, beside_base, own, own_base])
    # Each day gives its intervals less one, and of the days of a weekday one goes to the profile.
    freedom_here = float((np.maximum((mean > 0).sum(axis=1) - 1, 0) / np.where(scale > 0, scale, np.inf)).sum())
    if not freedom_here > 0:
        return Estimate(what, name, np.nan, n=n, detail="not identifiable: too few contacts")
    with np.errstate(divide="ignore", invalid="ignore"):
        chi = float(np.nansum(np.where((mean > 0) & seen, rest**2 * s / np.maximum(total * p, 1e-9), 0.0)))
    # Few contacts an interval make the statistic skewed, not biased: its mean is the degrees of freedom (Cochran 1954).
    chi *= freedom_here / max(float((np.maximum((mean > 0).sum(axis=1) - 1, 0) * (scale > 0)).sum()), 1.0)
    dispersion = chi / freedom_here
    if chi2.sf(chi, freedom_here) > RISK:
        text = f"none: given the day, intervals vary {dispersion:.2f} times as much as by chance"
        return Estimate(what, name, 0.0, np.nan, np.nan, n, "", "estimated", text)
    ratio = _jackknife(
        sums, lambda v: np.where(v[2] > 0, (v[0] / v[1]) / np.maximum(v[2] / v[3], 1e-300), np.nan), freedom
    )
    if not np.isfinite(ratio).all():
        return Estimate(what, name, np.nan, n=n, detail="not identifiable: too little spread beyond chance")
    value, low, high = _without_the_day(np.array(ratio), mean.mean(axis=0))
    extra = float(np.sqrt(max(own.sum() / own_base.sum(), 0.0)))
    said = f"given the day, intervals vary {dispersion:.2f} times as much as by chance (cv {extra:.3f} of their own)"
    return Estimate(what, name, value, low, high, n, "", "estimated", said)


def _without_the_day(ratio: np.ndarray, mean: np.ndarray) -> tuple[float, float, float]:
    """Return the correlations φ whose covariances, once the day's total is taken out, have these ratios of lag 1 to lag 0.

    Notes
    -----
    Factors G_k with covariances v φ^|k − l| and the day's weighted mean taken out: M = A C Aᵀ, A = I − 1 pᵀ. The total takes
    part of the covariance with it, the more the longer it lasts, so the ratio of M is inverted.
    """
    p = mean[mean > 0] / mean.sum()
    k = np.arange(len(p))
    grid = np.concatenate([np.linspace(-0.95, 0.9, 75), np.linspace(0.91, 0.995, 18)])
    out = np.eye(len(p)) - p
    matrices = [out @ phi ** np.abs(k[:, None] - k) @ out.T if phi else out @ out.T for phi in grid]
    ratios = np.array(
        [
            (p[:-1] * p[1:] * np.diag(m, 1)).sum() / (p[:-1] * p[1:]).sum() / ((p**2 * np.diag(m)).sum() / (p**2).sum())
            for m in matrices
        ]
    )
    a, b, c = np.interp(ratio, np.maximum.accumulate(ratios), grid).tolist()
    return a, b, c


def fit_correlation(
    counts: np.ndarray, weekday: np.ndarray, n_slots: np.ndarray, types: tuple[str, ...]
) -> tuple[list[Estimate], list[str]]:
    """Return estimates and notes on the correlation between queues and within the day.

    Parameters
    ----------
    counts : ndarray, shape (n_days, n_slots, n_types)
        Of the days that the profile rests on.
    """
    estimates = between_queues(counts.sum(axis=1), weekday, types) if len(types) > 1 else []
    notes: list[str] = []
    blocks = [(counts.sum(axis=2), "all")] if len(types) > 1 else []
    for table, name in [*blocks, *((counts[:, :, k], t) for k, t in enumerate(types))]:
        found, told = within_day(table, weekday, n_slots, name)
        estimates += found
        notes += told if name == "all" or len(types) == 1 else []
    return estimates, notes
