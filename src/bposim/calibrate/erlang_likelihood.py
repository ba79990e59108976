"""How heads and patience show in an interval's counts: Erlang A's answer for real heads, and the scores made of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bposim.erlang._special import inverse_b

if TYPE_CHECKING:
    from bposim.calibrate.report_cells import Columns, ReportCells
    from bposim.distributions import Distribution

#: Ends of the panels over which the virtual wait is integrated, in seconds.
_PANELS = (0, 2, 5, 10, 20, 40, 60, 90, 120, 180, 240, 360, 480, 600, 900, 1200, 1800, 2700, 3600, 7200)
_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(8)
#: Loads of the table.
LOADS = 64
#: Least share of a class of contacts in a score, so that one contact in a class that Erlang A rules out decides nothing.
RARE = 0.005


class QueueTable:
    """Expected moments of a contact in M/M/n+G, by load and heads.

    Heads between two whole numbers are a mixture of both, as in the engines, which round the heads of a day at random.

    Parameters
    ----------
    handle_s : float
        Mean handle time.
    patience : Distribution
    columns : Columns
        Which moments.
    most_load, most_heads : float
        Up to where the table goes.

    Notes
    -----
    The virtual wait V has, relative to the probability of n − 1 busy agents, the density λ exp(λ H(x) − n μ x) with
    H(x) = ∫ sf up to x, beside the mass 1/B(n − 1) of an idle agent (Baccelli & Hebuterne 1981; Zeltyn & Mandelbaum 2005).
    """

    def __init__(self, handle_s: float, patience: Distribution, columns: Columns, most_load: float, most_heads: float):
        load = np.geomspace(0.02, max(most_load, 0.1) * 1.05, LOADS)
        heads = np.arange(0.0, min(most_heads, 40.0) + 2)
        while heads[-1] < most_heads:
            heads = np.append(heads, np.ceil(heads[-1] * 1.03))
        ends = np.array(sorted({*map(float, _PANELS), *columns.thresholds}))
        half = np.diff(ends) / 2
        x = (ends[:-1, None] + half[:, None] * (1 + _NODES)).ravel()
        weight = (half[:, None] * _WEIGHTS).ravel()
        sf, mean = np.asarray(patience.sf(x)), np.asarray(patience.limited_mean(x))
        rate = load / handle_s
        peak = np.empty((len(load), len(heads)))
        density = rate[:, None, None] * mean - heads[:, None] / handle_s * x
        peak = np.maximum(density.max(axis=2), 0.0)
        mass = np.exp(density - peak[:, :, None]) * (rate[:, None, None] * weight)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            idle = inverse_b(np.maximum(heads - 1, 0), load[:, None]) * np.exp(-peak)
        idle = np.where(heads == 0, 0.0, np.minimum(idle, 1e300))
        total = idle + mass.sum(axis=2)
        mass /= total[:, :, None]
        free = idle / total
        stay, gone = mass * sf, mass * (1 - sf)
        parts = [gone.sum(axis=2)]
        parts += [free + stay[:, :, x < t].sum(axis=2) for t in columns.answered_within]
        if columns.wait_answered:
            parts.append(stay @ x)
        parts += [
            gone[:, :, x < t].sum(axis=2) + float(patience.cdf(t)) * mass[:, :, x >= t].sum(axis=2)
            for t in columns.abandoned_within
        ]
        if columns.wait_abandoned:
            parts.append(mass @ (mean - x * sf))
        self.values = np.stack(parts, axis=-1)
        self.values[:, heads == 0] = _unstaffed(patience, columns)
        self._load, self._heads = np.log(load), heads
        self._limits = load[0], load[-1]

    def at(self, load: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Return the moments of a contact at loads and real heads, shape (…, n_moments)."""
        i = np.interp(np.log(np.clip(load, *self._limits)), self._load, np.arange(len(self._load)))
        j = np.interp(heads, self._heads, np.arange(len(self._heads)))
        i0, j0 = np.minimum(i.astype(int), len(self._load) - 2), np.minimum(j.astype(int), len(self._heads) - 2)
        a, b = (i - i0)[..., None], (j - j0)[..., None]
        v = self.values
        low = v[i0, j0] * (1 - b) + v[i0, j0 + 1] * b
        high = v[i0 + 1, j0] * (1 - b) + v[i0 + 1, j0 + 1] * b
        return low * (1 - a) + high * a

    def slope(self, load: np.ndarray, heads: np.ndarray) -> np.ndarray:
        """Return the derivative of the moments by the logarithm of heads, over at least a whole head."""
        step = np.maximum(0.5, 0.08 * heads)
        low = np.maximum(heads - step, 0.0)
        change = self.at(load, heads + step) - self.at(load, low)
        return change * (heads / (heads + step - low))[..., None]


def _unstaffed(patience: Distribution, columns: Columns) -> np.ndarray:
    """Return the moments of a contact whom nobody will ever answer."""
    parts = [1.0, *[0.0] * len(columns.answered_within), *[0.0] * columns.wait_answered]
    parts += [float(patience.cdf(t)) for t in columns.abandoned_within]
    return np.array(parts + [float(patience.limited_mean(float(_PANELS[-1])))] * columns.wait_abandoned)


def classes(moments: np.ndarray, settled: np.ndarray, n_within: int) -> np.ndarray:
    """Return counts by class, shape (…, n_within + 2): answered within each threshold but not the one before, later, never."""
    left = moments[..., 0]
    ladder = np.concatenate([moments[..., 1 : 1 + n_within], (settled - left)[..., None]], axis=-1)
    first = ladder[..., :1]
    return np.concatenate([first, np.diff(ladder, axis=-1), left[..., None]], axis=-1)


@dataclass(frozen=True, eq=False)
class Scores:
    """Direction in which each interval's counts pull the logarithm of its heads.

    Attributes
    ----------
    weight : ndarray, shape (n_intervals, n_classes)
        Derivative of the log-probability of each class.
    info : ndarray, shape (n_intervals,)
        Fisher information of independent contacts.
    """

    weight: np.ndarray
    info: np.ndarray
    n_within: int

    def of(self, moments: np.ndarray, settled: np.ndarray) -> np.ndarray:
        """Return scores without their expectation, shape (…, n_intervals)."""
        return (classes(moments, settled, self.n_within) * self.weight).sum(axis=-1)


def scores(table: QueueTable, cells: ReportCells, heads: np.ndarray, n_within: int) -> Scores:
    """Return scores by the logarithm of heads at given heads, shape (n_intervals,)."""
    one = np.ones(len(heads))
    p = np.clip(classes(table.at(cells.load, heads), one, n_within), RARE, 1)
    change = classes_slope(table.slope(cells.load, heads), n_within)
    return Scores(change / p, cells.settled * (change**2 / p).sum(axis=-1), n_within)


def classes_slope(slope: np.ndarray, n_within: int) -> np.ndarray:
    """Return the derivative of the classes of the one of the moments."""
    ladder = np.concatenate([slope[..., 1 : 1 + n_within], -slope[..., :1]], axis=-1)
    return np.concatenate([ladder[..., :1], np.diff(ladder, axis=-1), slope[..., :1]], axis=-1)
