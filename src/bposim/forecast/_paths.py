"""Sample paths: level drift, day factor, shape noise and counts around an expectation."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pandas as pd

from bposim.forecast._days import Outlook
from bposim.forecast._errors import heavier, log_mean
from bposim.forecast._events import Extra, wobble
from bposim.forecast._profile import ShapeNoise
from bposim.units import Grid

#: Common days from which residuals of two contact types are correlated, and the days that "no correlation" is worth.
CORRELATION_NEEDS, CORRELATION_WEIGHT = 30, 15.0
#: Paths beyond those first asked for are drawn in blocks of so many, so that path k is the same whatever the number.
BLOCK = 256


def stream(seed: int, name: str, block: int | None = None) -> np.random.Generator:
    """Return the generator of a contact type; each block of further paths has its own."""
    entropy = [seed, zlib.crc32(name.encode())]
    return np.random.default_rng(np.random.SeedSequence(entropy if block is None else [*entropy, block + 1]))


def correlation(residuals: list[pd.Series]) -> np.ndarray:
    """Return the shrunk correlation of the day errors of several contact types."""
    k = len(residuals)
    result = np.eye(k)
    for i in range(k):
        for j in range(i):
            both = pd.concat([residuals[i], residuals[j]], axis=1, sort=True).dropna()
            n = len(both)
            if n >= CORRELATION_NEEDS and (both.std() > 1e-9).all():
                r = float(both.corr().iloc[0, 1]) * n / (n + CORRELATION_WEIGHT)
                result[i, j] = result[j, i] = r
    values, vectors = np.linalg.eigh(result)
    result = (vectors * np.maximum(values, 1e-6)) @ vectors.T
    d = np.sqrt(np.diag(result))
    return np.asarray(result / d[:, None] / d)


def draw_paths(
    outlooks: Sequence[Outlook],
    names: tuple[str, ...],
    expected: np.ndarray,
    grid: Grid,
    leads: np.ndarray,
    samples: int,
    seed: int,
    slots: np.ndarray,
    block: int | None = None,
    extras: Sequence[Extra] = (),
) -> np.ndarray:
    """Draw counts, shape (samples, n_intervals, n_types).

    Parameters
    ----------
    expected : ndarray, shape (n_intervals, n_types)
    leads : ndarray, shape (n_open_days,)
        Calendar days from the end of the history to each open day.
    slots : ndarray of int, shape (n_intervals,)
        Wall-clock interval of the history, −1 for one that it lacks.
    block : int, optional
        Number of a block of further paths; None for those first asked for.
    extras : sequence of Extra, optional
        What is uncertain beyond the day errors: sizes of coming events, levels of new contact types.
    """
    n, k = expected.shape
    days, first = np.unique(grid.day, return_index=True)
    streams = [stream(seed, name, block) for name in names]
    shock = np.stack([g.standard_normal((samples, len(days))) for g in streams], axis=2)
    step = np.stack([g.standard_normal((samples, len(days))) for g in streams], axis=2)
    start = np.stack([g.standard_normal((samples, 1)) for g in streams], axis=2)
    if k > 1:
        mix = np.linalg.cholesky(correlation([o.residual for o in outlooks])).T
        shock, step, start = shock @ mix, step @ mix, start @ mix
    off = None
    if extras:
        off = wobble(extras, [stream(seed, e.name, block).standard_normal(samples) for e in extras])
    counts = np.zeros((samples, n, k), dtype=np.int32)
    width = np.sqrt(np.diff(leads, prepend=0))
    for j, (view, generator) in enumerate(zip(outlooks, streams, strict=True)):
        error = view.error
        factor = np.empty((samples, len(days)))
        state = shock[:, 0, j]
        keep = np.sqrt(1 - error.persistence**2)
        for d in range(len(days)):
            state = state if d == 0 else error.persistence * state + keep * shock[:, d, j]
            factor[:, d] = state
        begin = np.sqrt(error.level) * start[:, :, j]
        level = begin + np.sqrt(error.drift) * np.cumsum(step[:, :, j] * width, axis=1)
        spread = np.sqrt(error.level + error.drift * leads)
        level = spread * heavier(level / np.maximum(spread, 1e-12), error.level_tail)
        log_factor = np.sqrt(error.factor) * heavier(factor, error.tail) + level
        log_factor -= log_mean(np.sqrt(error.factor), error.tail) + log_mean(spread, error.level_tail)
        still = (
            replace(error.shape, variance=0.0, profile=np.zeros_like(error.shape.profile))
            if error.regular_shape
            else error.shape
        )
        shape = shape_factor(generator, samples, grid, first, still, slots, expected[:, j])
        of_day = np.searchsorted(days, grid.day)
        rate = expected[:, j] * np.exp(log_factor)[:, of_day] * shape
        if off is not None:
            rate *= off[:, of_day, j]
        if not error.regular:
            counts[:, :, j] = generator.poisson(rate)
        elif error.regular_shape:
            counts[:, :, j] = _round(generator, rate, first)
        else:
            counts[:, :, j] = _split(generator, rate, first)
    return counts


def shape_factor(
    generator: np.random.Generator,
    samples: int,
    grid: Grid,
    first: np.ndarray,
    law: ShapeNoise,
    slots: np.ndarray,
    expected: np.ndarray,
) -> np.ndarray:
    """Return a noise along the intervals of each day that leaves the day's expectation alone, shape (samples or 1, n_intervals)."""
    n = len(grid)
    if len(first) == n or not (law.variance > 0 or law.profile.any()):
        return np.ones((1, n))
    spread = np.sqrt(np.log1p(np.where(slots >= 0, law.by_slot[slots], law.variance)))[:, None]
    rho = law.rho
    wrong = np.sqrt(np.log1p(np.where(slots >= 0, law.profile[slots], 0.0)))[:, None]
    # One draw for each interval of the horizon: intervals that it lacks do not shift the stream.
    used, at = np.unique(np.maximum(slots, 0), return_inverse=True)
    once = generator.standard_normal((len(used), samples))
    noise = generator.standard_normal((n, samples))
    starts = set(first.tolist())
    keep = np.sqrt(1 - rho**2)
    for i in range(n):
        if i not in starts:
            noise[i] = rho * noise[i - 1] + keep * noise[i]
    log_factor = spread * heavier(noise, law.tail) - spread**2 / 2 + wrong * once[at] - wrong**2 / 2
    factor = np.exp(log_factor).T
    weight = np.add.reduceat(expected, first)
    moved = np.add.reduceat(expected * factor, first, axis=1)
    ratio = np.divide(weight, moved, out=np.ones_like(moved), where=moved > 0)
    length = np.diff(np.append(first, n))
    return np.asarray(factor * np.repeat(ratio, length, axis=1))


def _round(generator: np.random.Generator, rate: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Round rates to counts whose running sum within a day never strays by one."""
    out = np.empty(rate.shape, dtype=np.int32)
    for low, high in zip(first, np.append(first[1:], rate.shape[1]), strict=True):
        start = generator.uniform(1e-4, 1 - 1e-4, size=(len(rate), 1))
        total = np.floor(np.cumsum(rate[:, low:high], axis=1) + start)
        out[:, low:high] = np.diff(total, axis=1, prepend=0)
    return out


def _split(generator: np.random.Generator, rate: np.ndarray, first: np.ndarray) -> np.ndarray:
    """Round the day's total and split it at random."""
    out = np.zeros(rate.shape, dtype=np.int32)
    for low, high in zip(first, np.append(first[1:], rate.shape[1]), strict=True):
        total = rate[:, low:high].sum(axis=1)
        whole = np.floor(total + generator.uniform(1e-4, 1 - 1e-4, size=len(rate))).astype(np.int64)
        part = rate[:, low:high] / np.where(total > 0, total, 1.0)[:, None]
        part[total <= 0] = 1.0 / (high - low)
        out[:, low:high] = generator.multinomial(whole, part / part.sum(axis=1, keepdims=True))
    return out
