"""The within-day profile: shares of the wall-clock intervals by weekday, recency-weighted and shrunk."""

from __future__ import annotations

import numpy as np

from bposim.forecast._counts import Counts

#: Weeks in which the weight of a day halves.
HALF_LIFE = 8.0


def fit_profile(counts: Counts, kind: int, use: np.ndarray) -> np.ndarray:
    """Return shares by weekday and wall-clock interval, shape (7, n_slots); each open weekday sums to one.

    Parameters
    ----------
    counts : Counts
    kind : int
        Index of the contact type.
    use : ndarray of bool, shape (n_days,)
        Days that may be learnt from; days with a clock change are left out anyway.
    """
    is_open = counts.open_slots
    n_slots = len(counts.minutes)
    flat = is_open / np.maximum(is_open.sum(axis=1, keepdims=True), 1)
    if n_slots == 1:
        return flat
    use = use & counts.normal
    age = (counts.dates[-1] - counts.dates).days.to_numpy() / 7
    weight = np.where(use, 0.5 ** (age / HALF_LIFE), 0.0)
    x = counts.table[kind].astype(float)
    weekday = counts.dates.day_of_week.to_numpy()
    # The pooled profile is a rate per open day, so that a weekday with fewer hours does not thin the rest.
    seen = (weight[:, None] * is_open[weekday]).sum(axis=0)
    pooled_rate = np.divide((weight[:, None] * x).sum(axis=0), seen, out=np.zeros(n_slots), where=seen > 0)
    result = np.zeros((7, n_slots))
    for day in range(7):
        mask = is_open[day]
        if not mask.any():
            continue
        pooled = pooled_rate * mask
        pooled = pooled / pooled.sum() if pooled.sum() > 0 else flat[day]
        rows = weekday == day
        w = weight[rows]
        total = w @ x[rows].sum(axis=1)
        if total <= 0:
            result[day] = pooled
            continue
        own = (w @ x[rows]) * mask
        own = own / max(own.sum(), 1e-300)
        # Variance of `own` around the truth: Poisson counts under weights w, with a margin for real shape noise.
        noise = own.sum() * 1.5 * (w**2 @ x[rows].sum(axis=1)) / total**2
        apparent = float(((own - pooled) ** 2 / np.maximum(pooled, 1e-12))[pooled > 0].sum())
        expected_noise = noise * max(mask.sum() - 1, 1)
        trust = max(0.0, 1.0 - expected_noise / apparent) if apparent > 0 else 0.0
        mixed = pooled + trust * (own - pooled)
        result[day] = mixed / mixed.sum()
    return result


def shape_noise(counts: Counts, kind: int, share: np.ndarray, use: np.ndarray) -> tuple[float, float, float]:
    """Return the within-day noise: its variance (relative, beyond Poisson), its lag-one correlation, the dispersion.

    The dispersion is the mean squared deviation over its Poisson expectation given the day's total.
    """
    if len(counts.minutes) == 1:
        return 0.0, 0.0, 1.0
    use = use & counts.normal & (counts.totals[kind] > 0)
    rows = np.flatnonzero(use)[-120:]
    if len(rows) < 5:
        return 0.0, 0.0, 1.0
    x = counts.table[kind][rows].astype(float)
    p = share[counts.dates.day_of_week[rows]]
    mean = x.sum(axis=1, keepdims=True) * p
    deviation = x - mean
    poisson = mean * (1 - p)
    n_slots = (p > 0).sum(axis=1).mean()
    # The profile was fitted to these days: each weekday gives up one day's worth of freedom.
    freedom = max(1 - 5 / len(rows), 0.5)
    dispersion = float((deviation**2).sum() / max(poisson.sum(), 1e-12) / freedom)
    variance = max(0.0, float(((deviation**2).sum() / freedom - poisson.sum()) / max((mean**2).sum(), 1e-12)))
    if variance <= 0 or n_slots < 3:
        return variance, 0.0, dispersion
    near = (deviation[:, 1:] * deviation[:, :-1]).sum()
    product = (mean[:, 1:] * mean[:, :-1]).sum()
    rho = float(np.clip(near / max(product, 1e-12) / variance, 0.0, 0.97))
    return min(variance, 1.0), rho, dispersion
