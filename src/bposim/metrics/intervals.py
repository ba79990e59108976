"""Confidence intervals of probabilities and shares."""

from __future__ import annotations

import numpy as np
import pandas as pd


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


def probability(met: pd.Series, replication: pd.Series, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return the share of windows met and its interval; windows of one replication share their luck.

    Notes
    -----
    Wilson's interval with the effective number of windows: p (1 − p) over the variance of the replications' mean,
    never more than the windows and never fewer than the replications warrant.
    """
    per = met.groupby(replication.to_numpy()).agg(["mean", "size"])
    n = len(per)
    p = float(met.mean())
    if n == 0:
        return np.nan, np.nan, np.nan
    variance = float(((per["size"] / per["size"].mean() * (per["mean"] - p)) ** 2).sum() / max(n - 1, 1) / n)
    effective = p * (1 - p) / variance if variance > 0 else n
    effective = float(np.clip(effective, 1, len(met)))
    low, high = wilson(p * effective, effective, confidence)
    return p, low, high
