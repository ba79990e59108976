"""Slopes of few replications: noise, which a search for the cheapest shifts would make use of, is taken out."""

from __future__ import annotations

import numpy as np

#: Neighbours on either side that a slope is compared with.
REACH = 4


def calmed(
    cell: np.ndarray, group: np.ndarray, interval: np.ndarray, slope: np.ndarray, noise: np.ndarray, day: np.ndarray
) -> np.ndarray:
    """Draw each slope towards those of the intervals around it, by the share of its distance that is noise.

    Parameters
    ----------
    cell, group, interval : ndarray of int, shape (n,)
        Of each slope.
    slope, noise : ndarray, shape (n,)
        Its value, and the variance of its error; NaN where that is not known.
    day : ndarray of int, shape (n_intervals,)

    Returns
    -------
    ndarray, shape (n,)

    Notes
    -----
    Empirical Bayes (Efron & Morris 1973), for one cell, group and day together: the mean square of the distances is that of
    the true distances and of the errors, which the replications tell. With many replications nothing is moved.
    """
    result = slope.copy()
    order = np.lexsort((interval, day[interval], group, cell))
    keys = np.stack([cell, group, day[interval]])[:, order]
    edges = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
    for mine in np.split(order, edges):
        if len(mine) < 3 or not np.isfinite(noise[mine]).all():
            continue
        weight = _weights(interval[mine])
        near = weight @ slope[mine]
        rest = np.eye(len(mine)) - weight
        error = (rest**2) @ noise[mine]
        apart = float(((slope[mine] - near) ** 2).mean())
        kept = max(0.0, 1.0 - float(error.mean()) / apart) if apart > 0 else 0.0
        result[mine] = near + kept * (slope[mine] - near)
    return result


def _weights(interval: np.ndarray) -> np.ndarray:
    """Return the share of each neighbour in a local mean, which falls with the distance; rows add up to 1."""
    apart = np.abs(interval[:, None] - interval[None, :])
    shares = np.maximum(1.0 - apart / (REACH + 1), 0.0)
    weights: np.ndarray = shares / shares.sum(axis=1, keepdims=True)
    return weights
