"""Slopes of few replications: noise, which a search for the cheapest shifts would make use of, is taken out."""

from __future__ import annotations

import numpy as np

#: Minutes of the day within which slopes are compared, on every day.
REACH_MIN = 120.0


def calmed(
    cell: np.ndarray, group: np.ndarray, interval: np.ndarray, slope: np.ndarray, noise: np.ndarray, due: np.ndarray,
    minute: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """Draw each slope towards what those around its time of day make likely, by the share of its distance that is noise.

    Parameters
    ----------
    cell, group, interval : ndarray of int, shape (n,)
        Of each slope.
    slope, noise : ndarray, shape (n,)
        Its value, and the variance of its error; NaN where that is not known.
    due : ndarray, shape (n,)
        What slopes of a cell and group are taken to be proportional to.
    minute : ndarray, shape (n_intervals,)
        Time of day.

    Returns
    -------
    ndarray, shape (n,)

    Notes
    -----
    Empirical Bayes (Efron & Morris 1973), for one cell and group together. What is likely is ``due`` times the ratio of sums
    of slopes and of ``due`` over the same time of every day, near ones counting more. The mean square of the distances from it
    is that of the true distances and of the errors, which the replications tell: with many replications nothing is moved.
    """
    result = slope.copy()
    order = np.lexsort((interval, group, cell))
    keys = np.stack([cell, group])[:, order]
    edges = np.flatnonzero((np.diff(keys, axis=1) != 0).any(axis=0)) + 1
    for mine in np.split(order, edges):
        if len(mine) < 3 or not np.isfinite(noise[mine]).all() or not due[mine].sum() > 0:
            continue
        clock = minute[interval[mine]]
        apart = np.abs(clock[:, None] - clock[None, :])
        near = np.maximum(1.0 - np.minimum(apart, 1440.0 - apart) / (REACH_MIN + 1e-9), 0.0)
        total = near @ due[mine]
        weight = near * np.divide(due[mine], total, out=np.zeros(len(mine)), where=total > 0)[:, None]
        likely = weight @ slope[mine]
        rest = np.eye(len(mine)) - weight
        error = float(((rest**2) @ noise[mine]).mean())
        distance = float(((slope[mine] - likely) ** 2).mean())
        kept = max(0.0, 1.0 - error / distance) if distance > 0 else 0.0
        result[mine] = likely + kept * (slope[mine] - likely)
    return result
