"""What counts as one independent observation, and confidence intervals of probabilities and shares."""

from __future__ import annotations

import numpy as np
import pandas as pd


def pool_batches(values: np.ndarray, batch: np.ndarray | None) -> np.ndarray:
    """Add the rows (axis 0) that share a batch; where all rows of a batch are missing the sum is.

    Replications that play the same volume path share its luck: for a confidence interval they are one observation, as
    windows of one replication are.

    Parameters
    ----------
    values : ndarray, shape (n_replications, …)
    batch : ndarray, shape (n_replications,), or None
        Label of each row's batch; None where every row is its own.

    Examples
    --------
    >>> pool_batches(np.array([1.0, 2.0, 4.0]), np.array([0, 1, 0])).tolist()
    [5.0, 2.0]
    """
    if batch is None:
        return values
    order = np.argsort(batch, kind="stable")
    edges = np.flatnonzero(np.diff(batch[order], prepend=batch[order][:1] - 1))
    if len(edges) == len(batch):
        return values
    seen = ~np.isnan(values)
    total = np.add.reduceat(np.where(seen, values, 0.0)[order], edges, axis=0)
    return np.where(np.logical_or.reduceat(seen[order], edges, axis=0), total, np.nan)


def wilson(successes: float, n: float, confidence: float = 0.95) -> tuple[float, float]:
    """Return Wilson's interval of a proportion (Wilson 1927).

    Examples
    --------
    >>> low, high = wilson(98, 100)
    >>> round(low, 3), round(high, 3)
    (0.93, 0.994)
    """
    from scipy.special import ndtri

    if n <= 0:
        return np.nan, np.nan
    z = float(ndtri(0.5 + confidence / 2))
    p = successes / n
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * float(np.sqrt(p * (1 - p) / n + z * z / (4 * n * n)))
    return max(0.0, middle - half), min(1.0, middle + half)


def extreme_share(
    value: np.ndarray, low: np.ndarray, high: np.ndarray, n: np.ndarray, confidence: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the intervals of shares, those of a share of exactly 0 or 1 by Wilson with ``n`` observations.

    Where every observation says the same their variance is 0, which is no proof that the next will say it too.

    Examples
    --------
    >>> low, high = extreme_share(np.array([0.0, 0.4]), np.array([0.0, 0.3]), np.array([0.0, 0.5]), np.array([98, 98]), 0.95)
    >>> low.tolist(), high.round(3).tolist()
    ([0.0, 0.3], [0.038, 0.5])
    """
    from scipy.special import ndtri

    z2 = float(ndtri(0.5 + confidence / 2)) ** 2
    seen = n > 0
    return (
        np.where(seen & (value == 1), n / (n + z2), low),
        np.where(seen & (value == 0), z2 / (n + z2), high),
    )


def probability(met: pd.Series, batch: pd.Series, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the share of windows met and its interval; windows of one batch share their luck.

    Parameters
    ----------
    met : Series of bool
    batch : Series
        The independent repetition that each window belongs to: its replication, or the volume path that several
        replications share.
    confidence : float

    Notes
    -----
    Wilson's interval with the effective number of windows: p (1 − p) over the variance of the batches' mean, never
    more than the windows; where no batch differs from another, the number of batches.
    """
    per = met.groupby(batch.to_numpy()).agg(["mean", "size"])
    n = len(per)
    p = float(met.mean())
    if n == 0:
        return np.nan, np.nan, np.nan
    variance = float(((per["size"] / per["size"].mean() * (per["mean"] - p)) ** 2).sum() / max(n - 1, 1) / n)
    effective = p * (1 - p) / variance if variance > 0 else n
    effective = float(np.clip(effective, 1, len(met)))
    low, high = wilson(p * effective, effective, confidence)
    return p, low, high
