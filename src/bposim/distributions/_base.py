"""What every distribution of a duration can be asked; all values are seconds unless the caller says otherwise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np

from bposim.errors import ParameterError

Floats = np.ndarray


class Distribution:
    """A non-negative random duration, as a frozen value: equal by its numbers, hashable, never changed.

    Make one with :func:`distribution` from a scenario's words, or with a function of its kind
    (:func:`exponential`, :func:`gamma`, …). Methods take a float or an array of any shape and return the same.

    Attributes
    ----------
    kind : str
        ``"exponential"``, ``"gamma"``, …, the word of the scenario file.
    mean, variance, std, cv : float
        Moments in seconds (cv: std / mean); infinite where some wait for ever.
    zero : float
        P(X = 0), the mass at zero: contacts that hang up as soon as they would have to wait.
    never : float
        P(X = ∞).
    kinks : tuple of float
        Points where the cdf jumps or bends; quadrature should not step over them.
    """

    kind: ClassVar[str] = ""
    mean: float
    variance: float
    zero: float = 0.0
    never: float = 0.0
    kinks: tuple[float, ...] = ()

    @property
    def std(self) -> float:
        return float(np.sqrt(self.variance))

    @property
    def cv(self) -> float:
        if not np.isfinite(self.mean):
            return float("nan")
        return self.std / self.mean if self.mean > 0 else float("nan")

    def cdf(self, x: Any) -> Any:
        """Return P(X ≤ x); 0 below 0."""
        return _apply(lambda v: np.where(v < 0, 0.0, self._cdf(np.maximum(v, 0.0))), x)

    def sf(self, x: Any) -> Any:
        """Return P(X > x), with its own digits where it is tiny."""
        return _apply(lambda v: np.where(v < 0, 1.0, self._sf(np.maximum(v, 0.0))), x)

    def pdf(self, x: Any) -> Any:
        """Return the density of the continuous part (masses at points are left out).

        Raises
        ------
        ParameterError
            The law has points only (deterministic, empirical values, infinite).
        """
        self._need_density("pdf")
        return _apply(lambda v: np.where(v < 0, 0.0, self._density(np.maximum(v, 0.0))), x)

    def hazard(self, x: Any) -> Any:
        """Return pdf(x) / P(X > x) per second; ``nan`` where nobody is left."""
        self._need_density("hazard")

        def ratio(v: Floats) -> Floats:
            with np.errstate(divide="ignore", invalid="ignore"):
                left = self._sf(np.maximum(v, 0.0))
                return np.where(v < 0, 0.0, np.where(left > 0, self._hazard(np.maximum(v, 0.0)), np.nan))

        return _apply(ratio, x)

    def quantile(self, p: Any) -> Any:
        """Return the smallest x with P(X ≤ x) ≥ p; ``inf`` beyond the share that ever ends."""

        def inverse(v: Floats) -> Floats:
            if not np.all((v >= 0) & (v <= 1)):
                raise ParameterError("The p parameter of quantile() must be between 0 and 1.")
            return self._quantile(v)

        return _apply(inverse, p)

    def limited_mean(self, x: Any) -> Any:
        """Return E[min(X, x)] in seconds: the mean time until x or the end, whichever comes first."""
        return _apply(lambda v: np.where(np.isinf(v), self.mean, self._limited(np.where(np.isinf(v), 0.0, v))), x)

    def shortfall(self, x: Any) -> Any:
        """Return E[(x − X)⁺] in seconds, without the cancellation of x − limited_mean(x)."""
        return _apply(lambda v: self._shortfall(np.maximum(v, 0.0)), x)

    def sample(self, rng: np.random.Generator, size: int) -> Floats:
        """Draw ``size`` values in seconds from ``rng``, as one float array."""
        if not isinstance(rng, np.random.Generator):
            raise ParameterError("The rng parameter of sample() must be numpy's default_rng(seed).")
        return np.asarray(self._sample(rng, int(size)), dtype=float)

    def scaled(self, factor: float) -> Distribution:
        """Return the distribution of ``factor`` · X; ``factor`` above 0."""
        if not (np.isfinite(factor) and factor > 0):
            raise ParameterError(f"The factor parameter of scaled() must be a finite number above 0. Got {factor!r}.")
        return self if factor == 1 else self._scaled(float(factor))

    def to_spec(self) -> Any:
        """Return the words of the scenario file; ``distribution(d.to_spec()) == d``."""
        raise NotImplementedError

    @staticmethod
    def from_spec(spec: Any) -> Distribution:
        """Return the distribution that a scenario's words describe; see :func:`distribution`."""
        from bposim.distributions._spec import distribution

        return distribution(spec)

    def __repr__(self) -> str:
        spec = self.to_spec()
        if isinstance(spec, str):
            return f"Distribution({spec})"
        (kind, body), *_ = spec.items()
        if isinstance(body, dict):
            inside = ", ".join(f"{name}={_brief(value)}" for name, value in body.items())
            return f"Distribution({kind}: {inside})"
        return f"Distribution({kind} of {len(body)})"

    # What each kind supplies. ``v`` is a float array of values ≥ 0.

    def _cdf(self, v: Floats) -> Floats:
        raise NotImplementedError

    def _sf(self, v: Floats) -> Floats:
        return 1.0 - self._cdf(v)

    def _density(self, v: Floats) -> Floats:
        return np.zeros_like(v)

    def _hazard(self, v: Floats) -> Floats:
        return self._density(v) / self._sf(v)

    def _quantile(self, p: Floats) -> Floats:
        raise NotImplementedError

    def _shortfall(self, v: Floats) -> Floats:
        raise NotImplementedError

    def _limited(self, v: Floats) -> Floats:
        return v - self._shortfall(v)

    def _sample(self, rng: np.random.Generator, size: int) -> Floats:
        return self._quantile(rng.random(size))

    def _scaled(self, factor: float) -> Distribution:
        raise NotImplementedError

    _continuous: ClassVar[bool] = True

    @property
    def _has_density(self) -> bool:
        return self._continuous

    def _need_density(self, method: str) -> None:
        if not self._has_density:
            raise ParameterError(f"A law of kind {self.kind!r} consists of points: it has no {method}(). Use cdf().")


def _apply(function: Callable[[Floats], Floats], x: Any) -> Any:
    v = np.asarray(x, dtype=float)
    result = function(np.atleast_1d(v))
    return float(result[0]) if v.ndim == 0 else result


def text(value: float) -> str:
    """Write seconds so that reading them back gives the very same number."""
    return f"{int(value)}s" if value == int(value) and abs(value) < 1e15 else f"{float(value)!r}s"


def _brief(value: Any) -> str:
    if isinstance(value, list):
        shown = ", ".join(str(item) for item in value[:4])
        return f"[{shown}{', …' if len(value) > 4 else ''}]"
    return str(value)


def bisect(cdf: Callable[[Floats], Floats], p: Floats, low: Floats, high: Floats) -> Floats:
    """Return the smallest x in [low, high] with cdf(x) ≥ p, by halving (generalised inverse, jumps allowed)."""
    low, high = np.array(low, dtype=float), np.array(high, dtype=float)
    for _ in range(200):
        mid = low + (high - low) / 2
        if np.all((mid <= low) | (mid >= high)):
            break
        enough = cdf(mid) >= p
        high = np.where(enough, mid, high)
        low = np.where(enough, low, mid)
    return high
