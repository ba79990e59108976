"""The within-day profile: shares of the wall-clock intervals by weekday, recency-weighted and shrunk."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bposim.forecast._counts import Counts
from bposim.forecast._errors import NORMAL, tail_of

#: Weeks in which the weight of a day halves, and those that are tried instead.
HALF_LIFE = 8.0
TRIED = (3.0, 26.0)
#: Weeks before the end from which the next two are foretold to choose between them, and the days' history that it takes.
_BACK, _NEEDS = (2, 4, 6, 8), 120
#: Days that the variance of all intervals is worth beside an interval's own, and where deviations are clipped.
SLOT_WEIGHT, CLIP = 20.0, 3.5


def half_life(counts: Counts, kind: int, use: np.ndarray) -> float:
    """Return in how many weeks a day's weight in the profile should halve: eight, unless another foretells recent days better.

    The profile of the days before two, four, six and eight weeks ago is scored on the two weeks after, by the logarithm of the shares
    of the contacts that came; another half-life is taken where its mean gain by day is above two standard errors.
    """
    dates = counts.dates
    if len(counts.minutes) == 1 or (dates[-1] - dates[0]).days < _NEEDS:
        return HALF_LIFE
    usable = use & counts.normal & (counts.totals[kind] > 0)
    gains: dict[float, list[np.ndarray]] = {h: [] for h in TRIED}
    for back in _BACK:
        edge = dates[-1] - pd.Timedelta(weeks=back)
        known = usable & np.asarray(dates <= edge)
        later = np.flatnonzero(usable & np.asarray((dates > edge) & (dates <= edge + pd.Timedelta(weeks=2))))
        if not known.any() or not len(later):
            continue
        x = counts.table[kind][later].astype(float)
        logs = {}
        for h in (HALF_LIFE, *TRIED):
            share = fit_profile(counts, kind, known, h)[dates.day_of_week[later]]
            logs[h] = (x * np.log(np.maximum(share, 1e-6))).sum(axis=1) / x.sum(axis=1)
        for h in TRIED:
            gains[h].append(logs[h] - logs[HALF_LIFE])
    best, chosen = 0.0, HALF_LIFE
    for h, parts in gains.items():
        if not parts:
            continue
        gain = np.concatenate(parts)
        mean, error = float(gain.mean()), float(gain.std() / np.sqrt(max(len(gain), 1)))
        if mean > 2 * error and mean > best:
            best, chosen = mean, h
    return chosen


def fit_profile(counts: Counts, kind: int, use: np.ndarray, weeks: float = HALF_LIFE) -> np.ndarray:
    """Return shares by weekday and wall-clock interval, shape (7, n_slots); each open weekday sums to one.

    Parameters
    ----------
    counts : Counts
    kind : int
        Index of the contact type.
    use : ndarray of bool, shape (n_days,)
        Days that may be learnt from; days with a clock change are left out anyway.
    weeks : float
        In which the weight of a day halves.
    """
    is_open = counts.open_slots
    n_slots = len(counts.minutes)
    flat = is_open / np.maximum(is_open.sum(axis=1, keepdims=True), 1)
    if n_slots == 1:
        return flat
    use = use & counts.normal
    age = (counts.dates[-1] - counts.dates).days.to_numpy() / 7
    weight = np.where(use, 0.5 ** (age / weeks), 0.0)
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
    profile : ndarray, shape (n_slots,)
        Relative variance of the profile itself, the same on every day of a path.
    """

    variance: float
    rho: float
    dispersion: float
    by_slot: np.ndarray
    tail: float
    profile: np.ndarray

    def times(self, factor: float) -> ShapeNoise:
        """Return the noise with another variance."""
        return replace(self, variance=self.variance * factor, by_slot=self.by_slot * factor)


def shape_noise(counts: Counts, kind: int, share: np.ndarray, use: np.ndarray, weeks: float = HALF_LIFE) -> ShapeNoise:
    """Return the noise within the day, from the last 120 days that may be learnt from.

    Notes
    -----
    An interval's variance is drawn towards that of all by what twenty days are worth: how regular the morning's rush is says little of
    the evening. Deviations are clipped at 3.5 standard deviations; the tails are told from what is left by likelihood.
    """
    n_all = len(counts.minutes)
    none = ShapeNoise(0.0, 0.0, 1.0, np.zeros(n_all), NORMAL, np.zeros(n_all))
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
        own = np.full(n_all, variance)
        return ShapeNoise(variance, 0.0, dispersion, own, NORMAL, _profile_error(counts, kind, use, own, weeks))
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
    return ShapeNoise(min(variance, 1.0), rho, dispersion, own, tail, _profile_error(counts, kind, use, own, weeks))


def _profile_error(counts: Counts, kind: int, use: np.ndarray, own: np.ndarray, weeks: float) -> np.ndarray:
    """Return how far the profile may be off: what counting and the days' own shapes leave of a weighted mean, shape (n_slots,)."""
    weight = np.where(use, 0.5 ** ((counts.dates[-1] - counts.dates).days.to_numpy() / 7 / weeks), 0.0)
    x = counts.table[kind]
    contacts = (weight @ x) ** 2 / np.maximum(weight**2 @ x, 1e-12)
    days = weight.sum() ** 2 / max(float((weight**2).sum()), 1e-12)
    return np.asarray(np.minimum(np.where(contacts > 0, 1 / np.maximum(contacts, 1e-12), 0.0) + own / days, 1.0))
