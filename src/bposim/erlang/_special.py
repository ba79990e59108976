"""Mills-like ratios of the Poisson law: all that the Erlang formulas need, without overflow at any size or load."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import special

Floats = np.ndarray


def poisson_density(k: Floats, mean: Floats) -> Floats:
    """Return e^-m m^k / Γ(k+1) for real k ≥ 0 with an error of a few units in the last place (Loader, 2000)."""
    k, mean = np.broadcast_arrays(np.asarray(k, dtype=float), np.asarray(mean, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore", under="ignore"):
        small = np.exp(special.xlogy(k, mean) - mean - special.gammaln(k + 1))
        kk = np.maximum(k, 15.0)
        inverse = 1.0 / (kk * kk)
        series = 1 / 1188
        for coefficient in (-1 / 1680, 1 / 1260, -1 / 360, 1 / 12):
            series = series * inverse + coefficient
        large = np.exp(-series / kk - _deviance(kk, mean)) / np.sqrt(2 * np.pi * kk)
    return np.where(k < 15.0, small, large)


def _deviance(k: Floats, mean: Floats) -> Floats:
    """Return k log(k/m) + m − k without cancellation near k = m."""
    v = (k - mean) / (k + mean)
    near = np.abs(v) < 0.1
    v = np.where(near, v, 0.0)
    v2 = v * v
    total = np.zeros_like(v)
    for j in range(10, 0, -1):
        total = (total + 1.0 / (2 * j + 1)) * v2
    close = (k - mean) * v + 2 * k * v * total
    return np.where(near, close, special.xlogy(k, k / mean) + mean - k)


def inverse_b(agents: Any, load: Any) -> Floats:
    """Return 1 / B(n, a) for real n ≥ 0, where B is the Erlang loss probability; ``inf`` where B is below 1e-308.

    1/B = Q(n+1, a) / (e^-a a^n / Γ(n+1)), the analytic continuation of Jagerman (1974); far above n, where both
    parts vanish, the continued fraction of the incomplete gamma function gives their ratio directly.
    """
    n, a = np.broadcast_arrays(np.asarray(agents, dtype=float), np.asarray(load, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result = special.gammaincc(n + 1, a) / poisson_density(n, a)
    result = np.where(a <= 0, np.where(n > 0, np.inf, 1.0), result)
    far = a > n + 4 * np.sqrt(n + 1) + 30
    if np.any(far):
        result = np.array(result)
        result[far] = a[far] * _upper_fraction(n[far] + 1, a[far])
    return result


def _upper_fraction(s: Floats, x: Floats) -> Floats:
    """Return Γ(s, x) e^x x^-s by the modified Lentz method; quick for x well above s."""
    b = x + 1 - s
    c = np.full_like(b, 1e300)
    d = 1 / b
    h = d
    for i in range(1, 2000):
        an = -i * (i - s)
        b = b + 2
        d = an * d + b
        d = np.where(np.abs(d) < 1e-300, 1e-300, d)
        c = b + an / c
        c = np.where(np.abs(c) < 1e-300, 1e-300, c)
        d = 1 / d
        step = c * d
        h = h * step
        if np.all(np.abs(step - 1) < 4e-16):
            break
    return h


def below_all_busy(agents: Any, load: Any) -> Floats:
    """Return P(fewer than n in a loss system) / P(n in it), real n ≥ 0."""
    n, a = np.asarray(agents, dtype=float), np.asarray(load, dtype=float)
    whole = np.maximum(n, 1.0)
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        upper = np.where(a > 0, n / a * inverse_b(whole - 1, a), np.where(n > 0, np.inf, 0.0))
    return np.where(n >= 1, upper, np.where(n > 0, inverse_b(n, a) - 1, 0.0))


def lower_ratio(c: Floats, z: Floats) -> Floats:
    """Return P(c, z) / (e^-z z^c / Γ(c+1)) = Σ z^k / ((c+1)…(c+k)); ``nan`` where neither branch can be trusted."""
    c, z = np.broadcast_arrays(np.asarray(c, dtype=float), np.asarray(z, dtype=float))
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        result = np.array(special.gammainc(c, z) / poisson_density(c, z))
    far = z < c - 4 * np.sqrt(c) - 1
    if np.any(far):
        cc, zz = c[far], z[far]
        term = np.ones_like(cc)
        total = np.ones_like(cc)
        for k in range(1, 3000):
            term = term * (zz / (cc + k))
            total = total + term
            if np.all(term < 1e-17 * total):
                break
        else:
            total = np.where(term < 1e-15 * total, total, np.nan)
        result[far] = total
    return result
