"""Mixtures: hyperexponential phases, a mass at zero, and any weighted set of distributions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar

import numpy as np

from bposim.distributions._base import Distribution, Floats, bisect, text
from bposim.distributions._kinds import (
    Written,
    _body,
    _Deterministic,
    _Exponential,
    _one_form,
    _positive,
    _rewritten,
)
from bposim.errors import ParameterError, parameter, require


@dataclass(frozen=True, repr=False)
class _Mixture(Distribution):
    weights: tuple[float, ...]
    components: tuple[Distribution, ...]
    kind: ClassVar[str] = "mixture"

    def _sum(self, values: Sequence[Any]) -> Any:
        return sum(weight * value for weight, value in zip(self.weights, values, strict=True) if weight > 0)

    @property
    def mean(self) -> float:  # type: ignore[override]
        return float(self._sum([c.mean for c in self.components]))

    @property
    def variance(self) -> float:  # type: ignore[override]
        if not np.isfinite(self.mean):
            return float("nan")
        return float(self._sum([c.variance + (c.mean - self.mean) ** 2 for c in self.components]))

    @property
    def zero(self) -> float:  # type: ignore[override]
        return float(self._sum([c.zero for c in self.components]))

    @property
    def never(self) -> float:  # type: ignore[override]
        return float(self._sum([c.never for c in self.components]))

    @cached_property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return tuple(sorted({kink for c in self.components for kink in c.kinks}))

    @property
    def _has_density(self) -> bool:
        return any(c._has_density for c in self.components)

    def _cdf(self, v: Floats) -> Floats:
        return self._sum([c._cdf(v) for c in self.components])

    def _sf(self, v: Floats) -> Floats:
        return self._sum([c._sf(v) for c in self.components])

    def _density(self, v: Floats) -> Floats:
        return self._sum([c._density(v) for c in self.components])

    def _quantile(self, p: Floats) -> Floats:
        inner = [c._quantile(p) for c in self.components]
        low, high = np.min(inner, axis=0), np.max(inner, axis=0)
        endless = p > 1.0 - self.never
        # A bound at infinity is drawn in until the cdf reaches p there.
        wide = np.isinf(high) & ~endless
        top = np.where(np.isinf(high), np.maximum(np.where(np.isinf(low), 1.0, low), 1.0), high)
        for _ in range(1100):
            short = wide & (self._cdf(top) < p)
            if not np.any(short) or np.all(top[short] > 1e300):
                break
            top = np.where(short, top * 2, top)
        low = np.where(np.isinf(low), 0.0, low)
        found = bisect(self._cdf, p, np.where(p > self._cdf(low), low, 0.0), top)
        found = np.where(p <= self.zero, 0.0, found)
        reached = self._cdf(low) >= p
        found = np.where(reached & (low < found), bisect(self._cdf, p, np.zeros_like(low), low), found)
        return np.where(endless, np.inf, np.where((p >= 1.0) & np.isinf(high), np.inf, found))

    def _shortfall(self, v: Floats) -> Floats:
        return self._sum([c._shortfall(v) for c in self.components])

    def _limited(self, v: Floats) -> Floats:
        return self._sum([c._limited(v) for c in self.components])

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        edges = np.cumsum(self.weights)
        which = np.minimum(np.searchsorted(edges, rng.random(size), side="right"), len(edges) - 1)
        values = np.empty(size)
        for index, component in enumerate(self.components):
            mine = which == index
            values[mine] = component._sample(rng, int(mine.sum()))
        return values

    def _scaled(self, factor: float) -> Distribution:
        return _Mixture(self.weights, tuple(c.scaled(factor) for c in self.components))

    def to_spec(self) -> Any:
        parts = []
        for weight, component in zip(self.weights, self.components, strict=True):
            spec = component.to_spec()
            parts.append({"weight": weight, **({spec: {}} if isinstance(spec, str) else spec)})
        return {"mixture": parts}


@dataclass(frozen=True, repr=False)
class _HyperExponential(_Mixture):
    written: Written = field(default=(), compare=False)
    kind: ClassVar[str] = "hyperexponential"

    @property
    def probabilities(self) -> tuple[float, ...]:
        return self.weights

    @property
    def means(self) -> tuple[float, ...]:
        return tuple(c.mean for c in self.components)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        edges = np.cumsum(self.weights)
        which = np.minimum(np.searchsorted(edges, rng.random(size), side="right"), len(edges) - 1)
        return rng.exponential(1.0, size) * np.asarray(self.means)[which]

    def _scaled(self, factor: float) -> Distribution:
        written = _rewritten(self.written, factor)
        if written:
            return hyperexponential(**dict(written))
        return hyperexponential(probabilities=self.weights, means=[m * factor for m in self.means])

    def to_spec(self) -> Any:
        if self.written:
            return {"hyperexponential": _body(self.written)}
        means = [text(mean) for mean in self.means]
        return {"hyperexponential": {"probabilities": list(self.weights), "means": means}}


@dataclass(frozen=True, repr=False)
class _WithZero(_Mixture):
    """A mass at zero beside another law; it keeps that law's kind."""

    @property
    def kind(self) -> str:  # type: ignore[override]
        return self.components[1].kind

    @property
    def rest(self) -> Distribution:
        return self.components[1]

    def _quantile(self, p: Floats) -> Floats:
        above = np.clip((p - self.weights[0]) / self.weights[1], 0.0, 1.0)
        return np.where(p <= self.weights[0], 0.0, self.rest._quantile(above))

    def _scaled(self, factor: float) -> Distribution:
        return _WithZero(self.weights, (self.components[0], self.rest.scaled(factor)))

    def to_spec(self) -> Any:
        spec = self.rest.to_spec()
        if isinstance(spec, str) or not isinstance(next(iter(spec.values())), dict):
            return _Mixture.to_spec(self)
        (kind, body), *_ = spec.items()
        return {kind: {**body, "zero": self.weights[0]}}


def hyperexponential(
    *,
    probabilities: Sequence[float] | None = None,
    means: Sequence[float] | None = None,
    mean: float | None = None,
    cv: float | None = None,
) -> Distribution:
    """Return a mixture of exponentials by its phases, or with two phases of balanced means by mean and cv above 1.

    Notes
    -----
    Balanced means (Morse, 1958): p1 = (1 + sqrt((c² − 1)/(c² + 1)))/2, mean1 = mean/(2 p1), mean2 = mean/(2 p2).
    """
    given = {"probabilities": probabilities, "means": means, "mean": mean, "cv": cv}
    form = _one_form("hyperexponential()", given, ("probabilities", "means"), ("mean", "cv"))
    if "cv" in form:
        _positive("hyperexponential()", mean=mean, cv=cv)  # type: ignore[arg-type]
        if cv <= 1:  # type: ignore[operator]
            rule = "above 1; at 1 it is exponential, below it use gamma"
            raise ParameterError(parameter("cv", "hyperexponential()", rule, cv))
        p = (1 + float(np.sqrt((cv**2 - 1) / (cv**2 + 1)))) / 2  # type: ignore[operator]
        parts = (_Exponential(mean / (2 * p)), _Exponential(mean / (2 * (1 - p))))  # type: ignore[operator]
        return _HyperExponential((p, 1 - p), parts, (("mean", float(mean)), ("cv", float(cv))))  # type: ignore[arg-type]
    weights, scales = [float(p) for p in probabilities], [float(m) for m in means]  # type: ignore[union-attr]
    _check_weights("probabilities", "hyperexponential()", weights, len(scales))
    for value in scales:
        _positive("hyperexponential()", means=value)
    return _HyperExponential(tuple(weights), tuple(_Exponential(m) for m in scales))


def mixture(weights: Sequence[float], components: Sequence[Distribution]) -> Distribution:
    """Return the law that is component k with probability weights[k]; the weights add up to 1."""
    values = [float(weight) for weight in weights]
    _check_weights("weights", "mixture()", values, len(components))
    for component in components:
        if not isinstance(component, Distribution):
            raise ParameterError(parameter("components", "mixture()", "distributions", component))
    return _Mixture(tuple(values), tuple(components))


def with_zero(share: float, rest: Distribution) -> Distribution:
    """Return ``rest`` with probability 1 − share, and 0 with probability ``share``.

    Examples
    --------
    >>> from bposim.distributions import exponential
    >>> d = with_zero(0.1, exponential(1000.0))
    >>> d, d.mean, d.zero
    (Distribution(exponential: mean=1000s, zero=0.1), 900.0, 0.1)
    """
    if not 0 <= share < 1:
        raise ParameterError(parameter("zero", "with_zero()", "a share of at least 0 and below 1", share))
    if share == 0:
        return rest
    return _WithZero((float(share), 1.0 - float(share)), (_Deterministic(0.0), rest))


def _check_weights(name: str, caller: str, values: list[float], count: int) -> None:
    problems = []
    if len(values) != count or not values:
        problems.append(f"{caller} must be given as many {name} as parts. Got {len(values)} for {count} parts instead.")
    if not all(0 <= value <= 1 for value in values) or abs(sum(values) - 1) > 1e-9:
        problems.append(parameter(name, caller, "shares that add up to 1", values))
    require(problems, ParameterError)
