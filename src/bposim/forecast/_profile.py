"""The within-day profile: shares of the wall-clock intervals by weekday, recency-weighted and shrunk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bposim.forecast._counts import Counts
from bposim.forecast._errors import NORMAL, tail_of

#: Weeks in which the weight of a day halves.
HALF_LIFE = 8.0
#: Days that the variance of all intervals is worth beside an interval's own, and where deviations are clipped.
SLOT_WEIGHT, CLIP = 20.0, 3.5


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


@dataclass(frozen=True, eq=False)
class ShapeNoise:
    """How the split of a day over its intervals varies.

    Attributes
    ----------
    variance : float
        Relative, beyond Poisson, of an average contact's interval.
    rho : float
        Correlation of neighbouring intervals.
    dispersion : float
        Mean squared deviation over its Poisson expectation given the day's total.
    by_slot : ndarray, shape (n_slots,)
        Variance of each wall-clock interval.
    tail : float
        Degrees of freedom of Student's t.
    """

    variance: float
    rho: float
    dispersion: float
    by_slot: np.ndarray
    tail: float

    def times(self, factor: float) -> ShapeNoise:
        """Return the noise with another variance."""
        return replace(self, variance=self.variance * factor, by_slot=self.by_slot * factor)


def shape_noise(counts: Counts, kind: int, share: np.ndarray, use: np.ndarray) -> ShapeNoise:
    """Return the noise within the day, from the last 120 days that may be learnt from.

    Notes
    -----
    An interval's variance is drawn towards that of all by what twenty days are worth: how regular the morning's rush is says little of
    the evening. Deviations are clipped at 3.5 standard deviations; the tails are told from what is left by likelihood.
    """
    n_all = len(counts.minutes)
    none = ShapeNoise(0.0, 0.0, 1.0, np.zeros(n_all), NORMAL)
    if n_all == 1:
        return none
    use = use & counts.normal & (counts.totals[kind] > 0)
    rows = np.flatnonzero(use)[-120:]
    if len(rows) < 5:
        return none
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
        return ShapeNoise(variance, 0.0, dispersion, np.full(n_all, variance), NORMAL)
    own, weight = np.full(n_all, variance), np.zeros(n_all)
    for _ in range(2):
        spread = np.sqrt(poisson + own * mean**2)
        near = np.clip(deviation, -CLIP * spread, CLIP * spread)
        square = (mean**2).sum(axis=0)
        found = ((near**2).sum(axis=0) / freedom - poisson.sum(axis=0)) / np.maximum(square, 1e-12)
        # Of a slot with few contacts counting noise hides the variance: its days count by what they can show.
        told = (own * mean**2 / np.maximum(poisson + own * mean**2, 1e-12)).sum(axis=0) * np.sqrt(freedom)
        weight = told / (told + SLOT_WEIGHT)
        own = np.maximum(weight * found + (1 - weight) * variance, 0.0)
    spread = np.sqrt(poisson + own * mean**2)
    busy = mean >= 5
    z = (deviation / np.maximum(spread, 1e-9))[busy]
    tail, ratio = tail_of(z[:: max(len(z) // 4000, 1)]) if busy.sum() >= 50 else (NORMAL, 1.0)
    own = np.minimum(np.maximum(own * ratio, 0.0), 1.0)
    scale = np.sqrt(np.maximum(own, 1e-12)) * mean
    product = (scale[:, 1:] * scale[:, :-1]).sum()
    rho = float(np.clip((near[:, 1:] * near[:, :-1]).sum() / max(product, 1e-12), 0.0, 0.97))
    return ShapeNoise(min(variance, 1.0), rho, dispersion, own, tail)
