"""Integrals of exp φ over the virtual wait, where φ(x) = (λ − nμ) x − λ E[(x − patience)⁺].

In M/M/n+G the virtual wait has density λ π(n−1) e^φ(x) (Baccelli & Hebuterne 1981), and every measure is an integral
of a smooth function against it. φ is concave, so each half-line around its peak is cut into panels on which φ moves by
at most 3; breaks, jumps and quantiles of the patience are panel ends, and each panel gets 20 Gauss–Legendre nodes.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special

_NODES, _WEIGHTS = np.polynomial.legendre.leggauss(20)
_DROP = 50.0
_QUANTILES = np.array(
    [1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 0.01, 0.03, 0.1, 0.25, 0.4, 0.6, 0.75, 0.9, 0.97, 0.99, 0.999,
     1 - 1e-4, 1 - 1e-6, 1 - 1e-8, 1 - 1e-10, 1 - 1e-13]
)  # fmt: skip


class ExponentialPatience:
    """The exponential law, as far as the integrals ask."""

    never = 0.0
    zero = 0.0
    kinks: tuple[float, ...] = ()

    def __init__(self, mean: float) -> None:
        self.mean = mean

    def cdf(self, x: Any) -> Any:
        return -np.expm1(-x / self.mean)

    def sf(self, x: Any) -> Any:
        return np.exp(-x / self.mean)

    def quantile(self, p: Any) -> Any:
        return -self.mean * np.log1p(-np.asarray(p, dtype=float))

    def limited_mean(self, x: Any) -> Any:
        return self.mean * self.cdf(x)

    def shortfall(self, x: Any) -> Any:
        return x * self.cdf(x) - self.mean * special.gammainc(2.0, x / self.mean)


@dataclass(frozen=True)
class Region:
    """Nodes ``x`` and weights of one part of the half-line; the integral of g·e^φ is e^scale · Σ weights·g(x)."""

    scale: float
    x: np.ndarray
    weights: np.ndarray


def regions(arrival_rate: float, drift: float, patience: Any, within: float | None) -> list[Region]:
    """Return the parts [0, within] and [within, ∞), or [0, ∞) alone without a threshold."""

    def phi(x: np.ndarray) -> np.ndarray:
        return drift * x - arrival_rate * patience.shortfall(x)

    service = arrival_rate - drift
    share = drift / arrival_rate
    peak = float(patience.quantile(share)) if share > patience.zero else 0.0
    marks = np.asarray(patience.quantile(_QUANTILES), dtype=float)
    marks = np.concatenate([marks[np.isfinite(marks)], np.asarray(patience.kinks, dtype=float), [peak]])
    if within is None:
        return [_region(phi, 0.0, np.inf, peak, marks, 1 / service)]
    return [
        _region(phi, 0.0, within, min(peak, within), marks, 1 / service),
        _region(phi, within, np.inf, max(peak, within), marks, 1 / service),
    ]


def _region(
    phi: Callable[[np.ndarray], np.ndarray], low: float, high: float, top: float, marks: np.ndarray, unit: float
) -> Region:
    scale = float(phi(np.array([top]))[0])
    steps = unit * 2.0 ** np.arange(-60, 100)
    right = high
    if top < high:
        falls = top + steps
        fallen = np.flatnonzero(phi(falls) < scale - _DROP)
        right = min(high, falls[fallen[0]]) if len(fallen) else falls[-1]
    left = low
    if top > low:
        falls = top - steps[steps < top - low]
        fallen = np.flatnonzero(phi(falls) < scale - _DROP)
        left = falls[fallen[0]] if len(fallen) else low
    if right <= left:
        return Region(scale, np.zeros(0), np.zeros(0))
    span = right - left
    ends = np.concatenate([marks, [left, top, right], left + span * 4.0 ** -np.arange(1.0, 24.0)])
    ends = np.unique(ends[(ends >= left) & (ends <= right)])
    for _ in range(40):
        moves = np.abs(np.diff(phi(ends)))
        if moves.max() <= 3.0:
            break
        parts = np.clip(np.ceil(moves / 3.0), 1, 64).astype(int)
        starts = np.repeat(ends[:-1], parts)
        widths = np.repeat(np.diff(ends) / parts, parts)
        index = np.arange(len(starts)) - np.repeat(np.cumsum(parts) - parts, parts)
        ends = np.unique(np.append(starts + index * widths, right))
    half = np.diff(ends) / 2
    keep = half > 0
    half, mid = half[keep], (ends[:-1] + np.diff(ends) / 2)[keep]
    x = (mid[:, None] + half[:, None] * _NODES).ravel()
    return Region(scale, x, (half[:, None] * _WEIGHTS).ravel() * np.exp(phi(x) - scale))
