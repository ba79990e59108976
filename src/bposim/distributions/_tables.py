"""Distributions given by a table: observed values, quantiles, or a hazard by pieces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, ClassVar

import numpy as np
from scipy import special

from bposim.distributions._base import Distribution, Floats, text
from bposim.errors import ParameterError, parameter, require


@dataclass(frozen=True, repr=False)
class _Empirical(Distribution):
    values: tuple[float, ...]
    kind: ClassVar[str] = "empirical"
    _continuous: ClassVar[bool] = False

    @cached_property
    def _sorted(self) -> Floats:
        return np.asarray(self.values)

    @cached_property
    def _sums(self) -> Floats:
        return np.concatenate([[0.0], np.cumsum(self._sorted)])

    @cached_property
    def mean(self) -> float:  # type: ignore[override]
        return float(self._sorted.mean())

    @cached_property
    def variance(self) -> float:  # type: ignore[override]
        return float(self._sorted.var())

    @cached_property
    def zero(self) -> float:  # type: ignore[override]
        return float(np.mean(self._sorted == 0))

    @cached_property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return tuple(np.unique(self._sorted).tolist())

    def _cdf(self, v: Floats) -> Floats:
        return np.searchsorted(self._sorted, v, side="right") / len(self.values)

    def _sf(self, v: Floats) -> Floats:
        return (len(self.values) - np.searchsorted(self._sorted, v, side="right")) / len(self.values)

    def _quantile(self, p: Floats) -> Floats:
        n = len(self.values)
        # k/n as the cdf computes it must come back as the k-th value, whatever p·n rounds to.
        rank = np.ceil(p * n * (1 - 4e-16)).astype(int)
        return self._sorted[np.clip(rank, 1, n) - 1]

    def _shortfall(self, v: Floats) -> Floats:
        below = np.searchsorted(self._sorted, v, side="right")
        return (below * v - self._sums[below]) / len(self.values)

    def _limited(self, v: Floats) -> Floats:
        below = np.searchsorted(self._sorted, v, side="right")
        return (self._sums[below] + (len(self.values) - below) * v) / len(self.values)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return self._sorted[rng.integers(0, len(self.values), size)]

    def _scaled(self, factor: float) -> Distribution:
        return _Empirical(tuple((self._sorted * factor).tolist()))

    def to_spec(self) -> Any:
        return {"empirical": {"values": [text(value) for value in self.values]}}


@dataclass(frozen=True, repr=False)
class _QuantileTable(Distribution):
    quantiles: tuple[float, ...]
    kind: ClassVar[str] = "empirical"

    @cached_property
    def _q(self) -> Floats:
        return np.asarray(self.quantiles)

    @property
    def _m(self) -> int:
        return len(self.quantiles) - 1

    @cached_property
    def _areas(self) -> Floats:
        """E[(q_i − X)⁺] at each quantile."""
        return np.concatenate([[0.0], np.cumsum(np.diff(self._q) * (np.arange(self._m) + 0.5) / self._m)])

    @property
    def mean(self) -> float:  # type: ignore[override]
        return float(np.mean((self._q[1:] + self._q[:-1]) / 2))

    @property
    def variance(self) -> float:  # type: ignore[override]
        a, b = self._q[:-1], self._q[1:]
        return float(np.mean(((a + b) / 2 - self.mean) ** 2 + (b - a) ** 2 / 12))

    @property
    def zero(self) -> float:  # type: ignore[override]
        return max(int(np.sum(self._q == 0)) - 1, 0) / self._m

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return tuple(np.unique(self._q).tolist())

    def _place(self, v: Floats) -> tuple[Floats, Floats]:
        i = np.clip(np.searchsorted(self._q, v, side="right") - 1, 0, self._m)
        step = np.append(np.diff(self._q), 1.0)[i]
        part = np.where(v > self._q[i], (v - self._q[i]) / np.where(step > 0, step, 1.0), 0.0)
        return i, np.where(i == self._m, 0.0, part)

    def _cdf(self, v: Floats) -> Floats:
        i, part = self._place(v)
        return np.where(v < self._q[0], 0.0, (i + part) / self._m)

    def _density(self, v: Floats) -> Floats:
        i, _ = self._place(v)
        step = np.append(np.diff(self._q), np.inf)[i]
        with np.errstate(divide="ignore"):
            return np.where((v < self._q[0]) | (v >= self._q[-1]), 0.0, 1.0 / (self._m * step))

    def _quantile(self, p: Floats) -> Floats:
        return np.interp(p * self._m, np.arange(self._m + 1.0), self._q)

    def _shortfall(self, v: Floats) -> Floats:
        i, part = self._place(v)
        extra = np.maximum(v - self._q[i], 0.0)
        return np.where(v < self._q[0], 0.0, self._areas[i] + extra * (i + part / 2) / self._m)

    def _scaled(self, factor: float) -> Distribution:
        return _QuantileTable(tuple((self._q * factor).tolist()))

    def to_spec(self) -> Any:
        return {"empirical": {"quantiles": [text(value) for value in self.quantiles]}}


@dataclass(frozen=True, repr=False)
class _PiecewiseHazard(Distribution):
    breaks: tuple[float, ...]
    rates: tuple[float, ...]
    kind: ClassVar[str] = "piecewise_hazard"

    @cached_property
    def _b(self) -> Floats:
        return np.asarray(self.breaks)

    @cached_property
    def _r(self) -> Floats:
        return np.asarray(self.rates)

    @cached_property
    def _risk(self) -> Floats:
        """Cumulative hazard at each break."""
        return np.concatenate([[0.0], np.cumsum(np.diff(self._b) * self._r[:-1])])

    @cached_property
    def _areas(self) -> Floats:
        """E[(b_i − X)⁺] at each break."""
        steps = self._piece(np.arange(len(self._b) - 1), np.diff(self._b))
        return np.concatenate([[0.0], np.cumsum(steps)])

    def _piece(self, i: Floats, width: Floats) -> Floats:
        """Return ∫ P(X ≤ x) dx over ``width`` seconds from the i-th break on."""
        left, rate = np.exp(-self._risk[i]), self._r[i]
        safe = np.where(rate > 0, rate, 1.0)
        bend = width * -np.expm1(-rate * width) - special.gammainc(2.0, rate * width) / safe
        return width * -np.expm1(-self._risk[i]) + left * np.where(rate > 0, bend, 0.0)

    @property
    def never(self) -> float:  # type: ignore[override]
        return float(np.exp(-self._risk[-1])) if self.rates[-1] == 0 else 0.0

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return self.breaks[1:]

    @cached_property
    def mean(self) -> float:  # type: ignore[override]
        if self.rates[-1] == 0:
            return float("inf")
        return float(self._b[-1] - self._areas[-1] + np.exp(-self._risk[-1]) / self._r[-1])

    @cached_property
    def variance(self) -> float:  # type: ignore[override]
        if self.rates[-1] == 0:
            return float("nan")
        # E X² = 2 ∫ x P(X > x) dx, by parts over each piece.
        left = np.exp(-self._risk)
        total = 2 * left[-1] * (self._b[-1] / self._r[-1] + 1 / self._r[-1] ** 2)
        for i, width in enumerate(np.diff(self._b)):
            rate, start = self._r[i], self._b[i]
            if rate == 0:
                total += 2 * left[i] * (start * width + width**2 / 2)
            else:
                ends = -np.expm1(-rate * width)
                total += 2 * left[i] * (start * ends / rate + special.gammainc(2.0, rate * width) / rate**2)
        return float(total - self.mean**2)

    def _at(self, v: Floats) -> Floats:
        return np.clip(np.searchsorted(self._b, v, side="right") - 1, 0, len(self._b) - 1)

    def _cumulative(self, v: Floats) -> Floats:
        i = self._at(v)
        # 0 · ∞ after a last rate of 0.
        with np.errstate(invalid="ignore"):
            return self._risk[i] + np.where(self._r[i] > 0, self._r[i] * (v - self._b[i]), 0.0)

    def _cdf(self, v: Floats) -> Floats:
        return -np.expm1(-self._cumulative(v))

    def _sf(self, v: Floats) -> Floats:
        return np.exp(-self._cumulative(v))

    def _density(self, v: Floats) -> Floats:
        return self._hazard(v) * self._sf(v)

    def _hazard(self, v: Floats) -> Floats:
        return self._r[self._at(v)]

    def _from_risk(self, risk: Floats) -> Floats:
        i = np.clip(np.searchsorted(self._risk, risk, side="left") - 1, 0, len(self._b) - 1)
        with np.errstate(divide="ignore", invalid="ignore"):
            more = np.where(risk > self._risk[i], (risk - self._risk[i]) / self._r[i], 0.0)
        return np.where(risk <= 0, 0.0, self._b[i] + more)

    def _quantile(self, p: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return self._from_risk(-np.log1p(-p))

    def _shortfall(self, v: Floats) -> Floats:
        i = self._at(v)
        return self._areas[i] + self._piece(i, v - self._b[i])

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return self._from_risk(rng.exponential(1.0, size))

    def _scaled(self, factor: float) -> Distribution:
        return _PiecewiseHazard(tuple((self._b * factor).tolist()), tuple((self._r / factor).tolist()))

    def to_spec(self) -> Any:
        rates = [f"{rate!r}/s" for rate in self.rates]
        return {"piecewise_hazard": {"breaks": [text(value) for value in self.breaks], "rates": rates}}


def empirical(values: Sequence[float] | None = None, *, quantiles: Sequence[float] | None = None) -> Distribution:
    """Return the law of observed values (seconds), or of quantiles at equal steps from 0 to 1, joined by lines."""
    if (values is None) == (quantiles is None):
        raise ParameterError("empirical() must be given values or quantiles, one of the two.")
    name, given = ("values", values) if quantiles is None else ("quantiles", quantiles)
    array = np.asarray(given, dtype=float).ravel()
    problems = []
    if len(array) < (1 if quantiles is None else 2):
        problems.append(f"empirical() must be given at least {1 if quantiles is None else 2} {name}. Got {len(array)}.")
    bad = np.flatnonzero(~(np.isfinite(array) & (array >= 0)))
    if len(bad):
        where = ", ".join(str(i) for i in bad[:3]) + (", …" if len(bad) > 3 else "")
        problems.append(
            f"The {name} parameter of empirical() must be finite and at least 0. {len(bad):,} of {len(array):,} are "
            f"not (positions {where}). Drop or correct them."
        )
    if quantiles is not None and np.any(np.diff(array) < 0):
        problems.append(parameter("quantiles", "empirical()", "in rising order", list(quantiles)))
    require(problems, ParameterError)
    if quantiles is None:
        return _Empirical(tuple(np.sort(array).tolist()))
    if array[0] == array[-1]:
        return _Empirical((float(array[0]),))
    return _QuantileTable(tuple(array.tolist()))


def piecewise_hazard(breaks: Sequence[float], rates: Sequence[float]) -> Distribution:
    """Return the law whose hazard is rates[k] per second from breaks[k] on; the last rate holds for ever.

    Examples
    --------
    >>> d = piecewise_hazard([0.0, 10.0], [0.01, 0.002])
    >>> round(d.sf(10.0), 6), round(d.mean, 4)
    (0.904837, 461.935)
    """
    b, r = np.asarray(breaks, dtype=float), np.asarray(rates, dtype=float)
    problems = []
    if len(b) != len(r) or len(b) == 0:
        problems.append(f"piecewise_hazard() must be given a rate for each break. Got {len(b)} breaks, {len(r)} rates.")
    if len(b) and (b[0] != 0 or np.any(np.diff(b) <= 0) or not np.all(np.isfinite(b))):
        problems.append(parameter("breaks", "piecewise_hazard()", "rising from 0", list(breaks)))
    if np.any(~np.isfinite(r)) or np.any(r < 0):
        problems.append(parameter("rates", "piecewise_hazard()", "finite and at least 0", list(rates)))
    require(problems, ParameterError)
    return _PiecewiseHazard(tuple(b.tolist()), tuple(r.tolist()))
