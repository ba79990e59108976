"""The kinds of distribution, each a private frozen class behind a public function."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np
from scipy import optimize, special

from bposim.distributions._base import Distribution, Floats, text
from bposim.errors import ParameterError, parameter, require

Written = tuple[tuple[str, Any], ...]


def _positive(caller: str, **values: Any) -> None:
    problems = []
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int | float | np.number):
            problems.append(parameter(name, caller, "a number above 0", value))
        elif not (np.isfinite(value) and value > 0):
            problems.append(parameter(name, caller, "a finite number above 0", float(value)))
    require(problems, ParameterError)


def _one_form(caller: str, given: dict[str, Any], *forms: tuple[str, ...]) -> tuple[str, ...]:
    """Return the set of parameters that was given, or raise the sentence that lists the sets."""
    names = {name for name, value in given.items() if value is not None}
    for form in forms:
        if names == set(form):
            return form
    known = " or ".join("(" + ", ".join(form) + ")" for form in forms)
    got = ", ".join(sorted(names)) or "nothing"
    raise ParameterError(f"{caller} must be given {known}. Got {got} instead.")


def _body(written: Written) -> dict[str, Any]:
    return {name: text(value) if name in ("mean", "scale") else value for name, value in written}


def _rewritten(written: Written, factor: float) -> Written:
    """Return the words for ``factor`` times the law; none where they hold no time (a day factor's)."""
    if not any(name in ("mean", "scale") for name, _ in written):
        return ()
    return tuple((name, value * factor if name in ("mean", "scale") else value) for name, value in written)


@dataclass(frozen=True, repr=False)
class _Exponential(Distribution):
    mean: float
    kind: ClassVar[str] = "exponential"

    @property
    def variance(self) -> float:  # type: ignore[override]
        return self.mean**2

    def _cdf(self, v: Floats) -> Floats:
        return -np.expm1(-v / self.mean)

    def _sf(self, v: Floats) -> Floats:
        return np.exp(-v / self.mean)

    def _density(self, v: Floats) -> Floats:
        return np.exp(-v / self.mean) / self.mean

    def _hazard(self, v: Floats) -> Floats:
        return np.full_like(v, 1 / self.mean)

    def _quantile(self, p: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return -self.mean * np.log1p(-p)

    def _shortfall(self, v: Floats) -> Floats:
        return v * self._cdf(v) - self.mean * special.gammainc(2.0, v / self.mean)

    def _limited(self, v: Floats) -> Floats:
        return self.mean * self._cdf(v)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.exponential(self.mean, size)

    def _scaled(self, factor: float) -> Distribution:
        return _Exponential(self.mean * factor)

    def to_spec(self) -> Any:
        return {"exponential": {"mean": text(self.mean)}}


@dataclass(frozen=True, repr=False)
class _Gamma(Distribution):
    shape: float
    scale: float
    written: Written = field(default=(), compare=False)
    kind: ClassVar[str] = "gamma"

    @property
    def mean(self) -> float:  # type: ignore[override]
        return self.shape * self.scale

    @property
    def variance(self) -> float:  # type: ignore[override]
        return self.shape * self.scale**2

    def _cdf(self, v: Floats) -> Floats:
        return special.gammainc(self.shape, v / self.scale)

    def _sf(self, v: Floats) -> Floats:
        return special.gammaincc(self.shape, v / self.scale)

    def _density(self, v: Floats) -> Floats:
        z = v / self.scale
        with np.errstate(divide="ignore"):
            return np.exp(special.xlogy(self.shape - 1, z) - z - special.gammaln(self.shape)) / self.scale

    def _quantile(self, p: Floats) -> Floats:
        return self.scale * special.gammaincinv(self.shape, p)

    def _shortfall(self, v: Floats) -> Floats:
        return v * self._cdf(v) - self.mean * special.gammainc(self.shape + 1, v / self.scale)

    def _limited(self, v: Floats) -> Floats:
        return self.mean * special.gammainc(self.shape + 1, v / self.scale) + v * self._sf(v)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.gamma(self.shape, self.scale, size)

    def _scaled(self, factor: float) -> Distribution:
        written = _rewritten(self.written, factor)
        return gamma(**dict(written)) if written else _Gamma(self.shape, self.scale * factor)

    def to_spec(self) -> Any:
        return {"gamma": _body(self.written or (("shape", self.shape), ("scale", self.scale)))}


@dataclass(frozen=True, repr=False)
class _LogNormal(Distribution):
    mu: float
    sigma: float
    written: Written = field(default=(), compare=False)
    kind: ClassVar[str] = "lognormal"

    @property
    def mean(self) -> float:  # type: ignore[override]
        return float(np.exp(self.mu + self.sigma**2 / 2))

    @property
    def variance(self) -> float:  # type: ignore[override]
        return float(np.expm1(self.sigma**2)) * self.mean**2

    def _z(self, v: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return (np.log(v) - self.mu) / self.sigma

    def _cdf(self, v: Floats) -> Floats:
        return special.ndtr(self._z(v))

    def _sf(self, v: Floats) -> Floats:
        return special.ndtr(-self._z(v))

    def _density(self, v: Floats) -> Floats:
        z = self._z(v)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(v > 0, np.exp(-z * z / 2) / (v * self.sigma * np.sqrt(2 * np.pi)), 0.0)

    def _quantile(self, p: Floats) -> Floats:
        return np.exp(self.mu + self.sigma * special.ndtri(p))

    def _shortfall(self, v: Floats) -> Floats:
        return v * self._cdf(v) - self.mean * special.ndtr(self._z(v) - self.sigma)

    def _limited(self, v: Floats) -> Floats:
        return self.mean * special.ndtr(self._z(v) - self.sigma) + v * self._sf(v)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.lognormal(self.mu, self.sigma, size)

    def _scaled(self, factor: float) -> Distribution:
        written = _rewritten(self.written, factor)
        if written:
            return lognormal(**dict(written))
        return _LogNormal(self.mu + float(np.log(factor)), self.sigma)

    def to_spec(self) -> Any:
        return {"lognormal": _body(self.written or (("mu", self.mu), ("sigma", self.sigma)))}


@dataclass(frozen=True, repr=False)
class _Weibull(Distribution):
    shape: float
    scale: float
    written: Written = field(default=(), compare=False)
    kind: ClassVar[str] = "weibull"

    @property
    def mean(self) -> float:  # type: ignore[override]
        return float(self.scale * special.gamma(1 + 1 / self.shape))

    @property
    def variance(self) -> float:  # type: ignore[override]
        log1, log2 = special.gammaln(1 + 1 / self.shape), special.gammaln(1 + 2 / self.shape)
        return float(self.scale**2 * np.exp(2 * log1) * np.expm1(log2 - 2 * log1))

    def _power(self, v: Floats) -> Floats:
        return (v / self.scale) ** self.shape

    def _cdf(self, v: Floats) -> Floats:
        return -np.expm1(-self._power(v))

    def _sf(self, v: Floats) -> Floats:
        return np.exp(-self._power(v))

    def _density(self, v: Floats) -> Floats:
        return self._hazard(v) * self._sf(v)

    def _hazard(self, v: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return self.shape / self.scale * (v / self.scale) ** (self.shape - 1)

    def _quantile(self, p: Floats) -> Floats:
        with np.errstate(divide="ignore"):
            return self.scale * (-np.log1p(-p)) ** (1 / self.shape)

    def _shortfall(self, v: Floats) -> Floats:
        return v * self._cdf(v) - self.mean * special.gammainc(1 + 1 / self.shape, self._power(v))

    def _limited(self, v: Floats) -> Floats:
        return self.mean * special.gammainc(1 / self.shape, self._power(v))

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return self.scale * rng.weibull(self.shape, size)

    def _scaled(self, factor: float) -> Distribution:
        written = _rewritten(self.written, factor)
        if written:
            return weibull(**dict(written))
        return _Weibull(self.shape, self.scale * factor)

    def to_spec(self) -> Any:
        return {"weibull": _body(self.written or (("shape", self.shape), ("scale", self.scale)))}


@dataclass(frozen=True, repr=False)
class _Uniform(Distribution):
    low: float
    high: float
    kind: ClassVar[str] = "uniform"

    @property
    def mean(self) -> float:  # type: ignore[override]
        return (self.low + self.high) / 2

    @property
    def variance(self) -> float:  # type: ignore[override]
        return (self.high - self.low) ** 2 / 12

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return (self.low, self.high)

    def _cdf(self, v: Floats) -> Floats:
        return np.clip((v - self.low) / (self.high - self.low), 0.0, 1.0)

    def _sf(self, v: Floats) -> Floats:
        return np.clip((self.high - v) / (self.high - self.low), 0.0, 1.0)

    def _density(self, v: Floats) -> Floats:
        return np.where((v >= self.low) & (v <= self.high), 1 / (self.high - self.low), 0.0)

    def _quantile(self, p: Floats) -> Floats:
        return self.low + p * (self.high - self.low)

    def _shortfall(self, v: Floats) -> Floats:
        inside = np.clip(v, self.low, self.high) - self.low
        return inside**2 / (2 * (self.high - self.low)) + np.maximum(v - self.high, 0.0)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return rng.uniform(self.low, self.high, size)

    def _scaled(self, factor: float) -> Distribution:
        return _Uniform(self.low * factor, self.high * factor)

    def to_spec(self) -> Any:
        return {"uniform": {"low": text(self.low), "high": text(self.high)}}


@dataclass(frozen=True, repr=False)
class _Deterministic(Distribution):
    value: float
    written: Written = field(default=(), compare=False)
    kind: ClassVar[str] = "deterministic"
    _continuous: ClassVar[bool] = False

    @property
    def mean(self) -> float:  # type: ignore[override]
        return self.value

    @property
    def variance(self) -> float:  # type: ignore[override]
        return 0.0

    @property
    def zero(self) -> float:  # type: ignore[override]
        return 1.0 if self.value == 0 else 0.0

    @property
    def kinks(self) -> tuple[float, ...]:  # type: ignore[override]
        return (self.value,)

    def _cdf(self, v: Floats) -> Floats:
        return np.where(v >= self.value, 1.0, 0.0)

    def _quantile(self, p: Floats) -> Floats:
        return np.full_like(p, self.value)

    def _shortfall(self, v: Floats) -> Floats:
        return np.maximum(v - self.value, 0.0)

    def _limited(self, v: Floats) -> Floats:
        return np.minimum(v, self.value)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return np.full(size, self.value)

    def _scaled(self, factor: float) -> Distribution:
        return _Deterministic(self.value * factor)

    def to_spec(self) -> Any:
        return "none" if self.written else {"deterministic": {"value": text(self.value)}}


@dataclass(frozen=True, repr=False)
class _Infinite(Distribution):
    kind: ClassVar[str] = "infinite"
    mean: ClassVar[float] = float("inf")  # type: ignore[misc]
    variance: ClassVar[float] = float("nan")  # type: ignore[misc]
    never: ClassVar[float] = 1.0  # type: ignore[misc]
    _continuous: ClassVar[bool] = False

    def _cdf(self, v: Floats) -> Floats:
        return np.where(np.isposinf(v), 1.0, 0.0)

    def _sf(self, v: Floats) -> Floats:
        return np.ones_like(v)

    def _quantile(self, p: Floats) -> Floats:
        return np.where(p > 0, np.inf, 0.0)

    def _shortfall(self, v: Floats) -> Floats:
        return np.zeros_like(v)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return np.full(size, np.inf)

    def _scaled(self, factor: float) -> Distribution:
        return self

    def to_spec(self) -> Any:
        return "infinite"


def exponential(mean: float) -> Distribution:
    """Return the exponential distribution with this mean (seconds).

    Examples
    --------
    >>> exponential(420.0)
    Distribution(exponential: mean=420s)
    >>> round(exponential(420.0).cdf(60.0), 6)
    0.133122
    """
    _positive("exponential()", mean=mean)
    return _Exponential(float(mean))


def gamma(
    *, mean: float | None = None, cv: float | None = None, shape: float | None = None, scale: float | None = None
) -> Distribution:
    """Return a gamma distribution by (mean, cv), (mean, shape) or (shape, scale); mean and scale in seconds."""
    given: dict[str, Any] = {"mean": mean, "cv": cv, "shape": shape, "scale": scale}
    form = _one_form("gamma()", given, ("mean", "cv"), ("shape", "scale"), ("mean", "shape"))
    _positive("gamma()", **{name: given[name] for name in form})
    written = tuple((name, float(given[name])) for name in form)
    k = float(shape) if shape is not None else 1.0 / float(cv) ** 2  # type: ignore[arg-type]
    return _Gamma(k, float(scale) if scale is not None else float(mean) / k, written)  # type: ignore[arg-type]


def lognormal(
    *, mean: float | None = None, cv: float | None = None, mu: float | None = None, sigma: float | None = None
) -> Distribution:
    """Return a lognormal distribution by (mean, cv), or by mu and sigma of the logarithm of seconds.

    Examples
    --------
    >>> d = lognormal(mean=180.0, cv=1.2)
    >>> round(d.mean, 9), round(d.cv, 9), round(d.quantile(0.5), 3)
    (180.0, 1.2, 115.233)
    """
    given: dict[str, Any] = {"mean": mean, "cv": cv, "mu": mu, "sigma": sigma}
    form = _one_form("lognormal()", given, ("mean", "cv"), ("mu", "sigma"))
    _positive("lognormal()", **{name: given[name] for name in form if name != "mu"})
    if mu is not None and not np.isfinite(mu):
        raise ParameterError(parameter("mu", "lognormal()", "a finite number, the mean of the log of seconds", mu))
    if mean is not None:
        variance = float(np.log1p(float(cv) ** 2))  # type: ignore[arg-type]
        written = (("mean", float(mean)), ("cv", float(cv)))  # type: ignore[arg-type]
        return _LogNormal(float(np.log(mean)) - variance / 2, float(np.sqrt(variance)), written)
    return _LogNormal(float(mu), float(sigma))  # type: ignore[arg-type]


def weibull(
    *, mean: float | None = None, cv: float | None = None, shape: float | None = None, scale: float | None = None
) -> Distribution:
    """Return a Weibull distribution by (mean, cv), (mean, shape) or (shape, scale); mean and scale in seconds."""
    given: dict[str, Any] = {"mean": mean, "cv": cv, "shape": shape, "scale": scale}
    form = _one_form("weibull()", given, ("mean", "cv"), ("shape", "scale"), ("mean", "shape"))
    _positive("weibull()", **{name: given[name] for name in form})
    written = tuple((name, float(given[name])) for name in form)
    if shape is None:

        def gap(log_shape: float) -> float:
            inverse = np.exp(-log_shape)
            return float(special.gammaln(1 + 2 * inverse) - 2 * special.gammaln(1 + inverse) - np.log1p(cv**2))  # type: ignore[operator]

        if not (gap(-4.0) > 0 > gap(9.0)):
            raise ParameterError(parameter("cv", "weibull()", "between 0.0002 and 1e20", cv))
        shape = float(np.exp(optimize.brentq(gap, -4.0, 9.0, xtol=1e-14, rtol=1e-14)))
    if scale is None:
        scale = float(mean) / float(special.gamma(1 + 1 / shape))  # type: ignore[arg-type]
    return _Weibull(float(shape), float(scale), written)


def uniform(low: float, high: float) -> Distribution:
    """Return the uniform distribution on [low, high] (seconds)."""
    if not (np.isfinite(low) and np.isfinite(high) and 0 <= low < high):
        raise ParameterError(f"uniform() must be given 0 ≤ low < high. Got low={low!r}, high={high!r} instead.")
    return _Uniform(float(low), float(high))


def deterministic(value: float) -> Distribution:
    """Return the constant ``value`` (seconds, at least 0)."""
    if not (np.isfinite(value) and value >= 0):
        raise ParameterError(parameter("value", "deterministic()", "a finite number of at least 0", value))
    return _Deterministic(float(value))


def infinite() -> Distribution:
    """Return the patience that never ends."""
    return _Infinite()
