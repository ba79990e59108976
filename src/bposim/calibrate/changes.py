"""Days on which a daily share changed for good: binary segmentation with a permutation test."""

from __future__ import annotations

import numpy as np

#: Risk of a change that is none, for each stretch that is searched.
RISK = 0.01
#: Permutations of the days.
SHUFFLES = 400
#: Days on either side of a change.
FEWEST_DAYS = 3


def _gain(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    """Return the squared standardised difference of the shares before and from each day on, shape (…, n_days − 1)."""
    up, down = np.cumsum(hits, axis=-1), np.cumsum(n, axis=-1)
    total_up, total = up[..., -1:], down[..., -1:]
    left, right = down[..., :-1], total - down[..., :-1]
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = up[..., :-1] / left - (total_up - up[..., :-1]) / right
        gain = gap**2 * left * right / total
    return np.where((left > 0) & (right > 0), gain, 0.0)


def change_points(hits: np.ndarray, n: np.ndarray, *, least: float, seed: int = 1) -> list[int]:
    """Return the days from which a share is another, in order.

    Parameters
    ----------
    hits, n : ndarray, shape (n_days,)
    least : float
        A smaller difference between the shares is no change.
    seed : int
        Of the permutations.

    Notes
    -----
    The day with the largest standardised difference of the shares before it and from it on is a change if its statistic
    is among the largest 1 % of those of permuted days (whole days, so spread between days is in the test). Both sides
    are then searched in turn (Vostrikova 1981). A change of a trend or a season is found too: it says that, not why.
    """
    rng = np.random.default_rng((seed, 44))
    found: list[int] = []
    stack = [(0, len(hits))]
    while stack:
        a, b = stack.pop()
        if b - a < 2 * FEWEST_DAYS or n[a:b].sum() <= 0:
            continue
        up, down = hits[a:b], n[a:b]
        inner = slice(FEWEST_DAYS - 1, b - a - FEWEST_DAYS)
        gain = _gain(up, down)[inner]
        if not len(gain):
            continue
        k = int(np.argmax(gain)) + FEWEST_DAYS
        before, after = up[:k].sum() / max(down[:k].sum(), 1), up[k:].sum() / max(down[k:].sum(), 1)
        if abs(before - after) < least:
            continue
        shuffled = np.argsort(rng.random((SHUFFLES, b - a)), axis=1)
        chance = _gain(up[shuffled], down[shuffled])[:, inner].max(axis=1)
        if (1 + (chance >= gain.max() - 1e-12).sum()) / (SHUFFLES + 1) <= RISK:
            found.append(a + k)
            stack += [(a, a + k), (a + k, b)]
    return sorted(found)
