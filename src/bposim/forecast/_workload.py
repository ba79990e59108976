"""Handle time and workload of a forecast: expectation, paths beside those of the volume, and windows."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ForecastError, ParameterError, UnitError, require
from bposim.forecast._build import Parts, Settings
from bposim.forecast._counts import Counts
from bposim.forecast._days import THIN_DAYS
from bposim.forecast._handle import Handled, HandleOutlook, handle_outlook, thinned
from bposim.forecast._paths import BLOCK, CORRELATION_NEEDS, CORRELATION_WEIGHT, correlation
from bposim.forecast._prophet import untouched
from bposim.units import seconds

if TYPE_CHECKING:
    from bposim.forecast._result import Forecast

#: Most by which a correlation grows when the noise of few contacts is taken out.
MOST_CLEARER = 2.0
#: Keeps the streams of handle times apart from those of volumes.
_OWN = zlib.crc32(b"handle_time")


@dataclass(frozen=True, eq=False)
class HandleForecast:
    """Handle times of every open interval.

    Attributes
    ----------
    outlooks : tuple of HandleOutlook or None
        None for a type without contacts to come and without handle times.
    expected : ndarray, shape (n_intervals, n_types)
        Mean handle seconds.
    load : ndarray, shape (n_intervals, n_types)
        Expected handle seconds of all contacts of an interval.
    together : ndarray, shape (n_types,)
        Correlation of the day's handle-time factor with the day's volume.
    """

    outlooks: tuple[HandleOutlook | None, ...]
    expected: np.ndarray
    load: np.ndarray
    together: np.ndarray


def build_handle(counts: Counts, handled: Handled, settings: Settings, parts: Parts) -> HandleForecast:
    """Forecast the handle time of every contact type of a forecast.

    Parameters
    ----------
    counts, handled : Counts, Handled
        Days on and after ``settings.start`` are cut off first.

    Raises
    ------
    ForecastError
        A type with contacts to come has no known handle time before the horizon.
    """
    past = counts.until(settings.start)
    seen = handled.known_to(past)
    grid = parts.grid
    open_days, of_day = np.unique(grid.day, return_inverse=True)
    future = pd.DatetimeIndex([pd.Timestamp(settings.start) + pd.Timedelta(days=int(d)) for d in open_days])
    slot = np.minimum(np.searchsorted(past.minutes, grid.minute), len(past.minutes) - 1)
    known = past.minutes[slot] == grid.minute
    with untouched():
        made = [
            None if t in settings.analogies else handle_outlook(past, seen, k, future, settings.method, settings.seed)
            for k, t in enumerate(counts.types)
        ]
    made = [
        v if t not in settings.analogies else made[counts.types.index(settings.analogies[t].like)]
        for t, v in zip(counts.types, made, strict=True)
    ]
    lacking = [t for t, v, e in zip(counts.types, made, parts.expected.T, strict=True) if v is None and e.any()]
    require(
        [
            f"contact type {t!r} has no known handle time before {settings.start}: none can be forecast. Forecast the other "
            "types apart, or read a history with its handle times."
            for t in lacking
        ],
        ForecastError,
    )
    if (past.dates[-1] - past.dates[0]).days + 1 < THIN_DAYS:
        made = [None if v is None else thinned(v) for v in made]
    expected = np.column_stack(
        [
            np.full(len(grid), np.nan) if v is None else v.expected[of_day] * np.where(known, v.profile[slot], 1.0)
            for v in made
        ]
    )
    for j, name in enumerate(counts.types):
        analogy, view = settings.analogies.get(name), made[j]
        if analogy is not None and analogy.handle_time is not None and view is not None:
            usual = np.average(expected[:, j], weights=_prior(parts)[:, j] + 1e-12)
            ratio = seconds(analogy.handle_time) / usual
            expected[:, j] *= ratio
            made[j] = replace(view, expected=view.expected * ratio)
    together = np.array([_together(o.residual, v) for o, v in zip(parts.outlooks, made, strict=True)])
    load = np.zeros(expected.shape)
    for j, v in enumerate(made):
        if v is None:
            continue
        load[:, j] = parts.expected[:, j] * expected[:, j] * _moved(parts, j, of_day, together[j], np.sqrt(v.factor))
    for values in (expected, load):
        values.setflags(write=False)
    return HandleForecast(tuple(made), expected, load, together)


def _together(volume: pd.Series, view: HandleOutlook | None) -> float:
    """Return the correlation of a day's handle-time factor with its volume, drawn towards none (Efron & Morris).

    The noise of few contacts in a day's mean handle time hides part of it and is taken out (Spearman's correction), at most
    by doubling.
    """
    if view is None:
        return 0.0
    both = pd.concat([volume, view.residual], axis=1, sort=True).dropna()
    n = len(both)
    if n < CORRELATION_NEEDS or not (both.std() > 1e-9).all():
        return 0.0
    r = float(both.corr().iloc[0, 1])
    r *= max(1 - 1 / max(n * r * r, 1e-9), 0.0) * n / (n + CORRELATION_WEIGHT)
    clearer = min(np.sqrt(1 + view.noise / max(view.factor, 1e-12)), MOST_CLEARER)
    return float(np.clip(r * clearer, -0.9, 0.9))


def _prior(parts: Parts) -> np.ndarray:
    """Return the expected contacts before any of them came, shape (n_intervals, n_types)."""
    return parts.expected if parts.update is None else parts.update.prior


def _moved(parts: Parts, j: int, of_day: np.ndarray, rho: float, sd: float) -> np.ndarray:
    """Return by how much the handle seconds of an interval are more than contacts × handle time, shape (n_intervals,).

    Notes
    -----
    Of two lognormal factors that move together, ``E[XY] = E[X] E[Y] exp(covariance of the logs)``. After an update the log of a day's
    volume is normal around what came and is to come; the handle-time factor follows it, ``exp(ρ sd z − ρ² sd² / 2)``, and intervals
    that are over do not move any more.
    """
    spread = _day_spread(parts, j, of_day)
    if parts.update is None:
        return np.asarray(np.exp(rho * spread * sd)[of_day])
    state, n = parts.update, len(parts.update.known)
    before, after = (np.bincount(of_day, v[:, j]) + 0.5 for v in (state.prior, parts.expected))
    left = state.left[:, j]
    noise = 0.0 if parts.outlooks[j].error.regular else left / after
    rest = np.where(
        left > 0, state.variance[:, j] + np.divide(noise, left**2, out=np.zeros(len(left)), where=left > 0), 0.0
    )
    variance = left**2 * rest
    slope = np.where(spread > 1e-6, rho * sd / np.maximum(spread, 1e-9), 0.0)
    z = np.log(after / before) - variance / 2 + spread**2 / 2
    same = np.exp(slope * z + slope**2 * variance / 2 - (slope * spread) ** 2 / 2)
    to_come = np.exp(slope * left * rest)
    return np.where(np.arange(len(of_day)) < n, same[of_day], (same * to_come)[of_day])


def _day_spread(parts: Parts, j: int, of_day: np.ndarray) -> np.ndarray:
    """Return the standard deviation of the log of each open day's volume before it began, counting noise included."""
    error = parts.outlooks[j].error
    day = np.bincount(of_day, _prior(parts)[:, j])
    noise = 0.0 if error.regular else 1 / (day + 0.5)
    return np.asarray(np.sqrt(error.level + error.factor + error.drift * parts.leads + noise))


def draw_handle_times(
    handle: HandleForecast, types: tuple[str, ...], parts: Parts, seed: int, first_sample: int
) -> np.ndarray:
    """Draw the mean handle seconds of the contacts of each interval, shape (samples, n_intervals, n_types).

    Beside the volume paths that ``parts`` holds: a path's busy day has the handle time of a busy day. Path k is the same
    however many are drawn at once. Means of few contacts scatter by ``cv² / n`` (lognormal); an interval without contacts has
    what a single one would have.

    Notes
    -----
    ``log factor = ρ z + √(1 − ρ²) ε + level``: z the standardised log of the path's own day volume, ε an AR(1).
    """
    array, grid = parts.array, parts.grid
    samples, n, k = array.shape
    days, first, of_day = np.unique(grid.day, return_index=True, return_inverse=True)
    widths = (len(days), len(days), 1, n)
    normals = [_normals(seed, name, first_sample, samples, widths) for name in types]
    shocks, steps, starts = (np.stack([z[i] for z in normals], axis=2) for i in range(3))
    views = handle.outlooks
    if k > 1:
        none = pd.Series(dtype=float)
        mix = np.linalg.cholesky(correlation([none if v is None else v.residual for v in views])).T
        shocks, steps, starts = shocks @ mix, steps @ mix, starts @ mix
    width = np.sqrt(np.diff(parts.leads, prepend=0))
    result = np.empty((samples, n, k))
    for j, view in enumerate(views):
        if view is None:
            result[:, :, j] = np.nan
            continue
        rho, keep = handle.together[j], np.sqrt(1 - view.persistence**2)
        state, chain = shocks[:, 0, j], np.empty((samples, len(days)))
        for d in range(len(days)):
            state = state if d == 0 else view.persistence * state + keep * shocks[:, d, j]
            chain[:, d] = state
        factor = rho * _busy(parts, j, first, of_day) + np.sqrt(1 - rho**2) * chain
        level = np.sqrt(view.level) * starts[:, :, j] + np.sqrt(view.drift) * np.cumsum(steps[:, :, j] * width, axis=1)
        spread = view.factor + view.level + view.drift * parts.leads
        log_factor = np.sqrt(view.factor) * factor + level - spread / 2
        number = array[:, :, j]
        alone = np.sqrt(np.log1p(view.cv**2 / np.maximum(number, 1)))
        result[:, :, j] = handle.expected[:, j] * np.exp(log_factor[:, of_day] + alone * normals[j][3] - alone**2 / 2)
    result.setflags(write=False)
    return result


def _normals(seed: int, name: str, first_sample: int, samples: int, widths: tuple[int, ...]) -> list[np.ndarray]:
    """Return standard normals of some widths for the paths from ``first_sample`` on; each block of paths has its stream."""
    blocks = range(first_sample // BLOCK, (first_sample + samples - 1) // BLOCK + 1)
    begin = first_sample - blocks[0] * BLOCK
    drawn = []
    for b in blocks:
        entropy = [seed, zlib.crc32(name.encode()), _OWN, b + 1]
        rng = np.random.default_rng(np.random.SeedSequence(entropy))
        drawn.append([rng.standard_normal((BLOCK, w)) for w in widths])
    return [np.concatenate(v)[begin : begin + samples] for v in zip(*drawn, strict=True)]


def _busy(parts: Parts, j: int, first: np.ndarray, of_day: np.ndarray) -> np.ndarray:
    """Return the log of each path's day volume in standard deviations of its law."""
    expected = np.bincount(of_day, _prior(parts)[:, j]) + 0.5
    spread = _day_spread(parts, j, of_day)
    came = np.add.reduceat(parts.array[:, :, j], first, axis=1) + 0.5
    z = (np.log(came / expected) + spread**2 / 2) / np.maximum(spread, 1e-9)
    return np.where(spread > 1e-6, np.clip(z, -4.0, 4.0), 0.0)


def window_mean(load: np.ndarray, contacts: np.ndarray, first: np.ndarray, axis: int, spare: np.ndarray) -> np.ndarray:
    """Return Σ handle seconds / Σ contacts of each window; where nobody comes, ``spare``."""
    top, bottom = np.add.reduceat(load, first, axis=axis), np.add.reduceat(contacts, first, axis=axis)
    return np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), spare)


def plain_mean(values: np.ndarray, first: np.ndarray, axis: int) -> np.ndarray:
    """Return the plain mean over the intervals of each window, for windows in which nobody comes."""
    length = np.diff(np.append(first, values.shape[axis]))
    shape = [1] * values.ndim
    shape[axis] = len(length)
    return np.asarray(np.add.reduceat(values, first, axis=axis) / length.reshape(shape))


def handle_factors(forecast: Forecast, handle: HandleForecast, means: Any) -> np.ndarray:
    """Return expected handle times relative to those of a scenario, shape (n_intervals, n_types).

    Parameters
    ----------
    means : Scenario, or mapping of contact type to mean handle time
    """
    types, caller = forecast.contact_types, "with_handle_times()"
    result = np.empty(handle.expected.shape)
    scenario = means if hasattr(means, "contact_types") else None
    known = scenario.contact_types if scenario is not None else means
    if not hasattr(known, "keys"):
        raise ParameterError(
            f'means of {caller} must be a Scenario or a mapping such as {{"{types[0]}": "4min"}}. Got {type(means).__name__}.'
        )
    problems = [
        f"means of {caller} lack contact type {t!r}. Known: {', '.join(map(str, known))}."
        for t in types
        if t not in known
    ]
    require(problems, ParameterError)
    for j, name in enumerate(types):
        if scenario is None:
            try:
                value = np.full(len(result), seconds(means[name], what=f"means[{name!r}]"))
            except UnitError as error:
                problems += error.problems
                continue
        else:
            value = _scenario_means(scenario, name, forecast.starts)
        if not (value > 0).all():
            problems.append(f"means of {caller} must be above 0 s. {name!r} has {value.min():g} s.")
        else:
            result[:, j] = np.where(np.isfinite(handle.expected[:, j]), handle.expected[:, j] / value, 1.0)
    require(problems, ParameterError)
    return result


def _scenario_means(scenario: Any, name: str, starts: pd.DatetimeIndex) -> np.ndarray:
    """Return the mean of the scenario's law in each interval: its own there, or its mean over the day where it has none."""
    kind = scenario.contact_types[name]
    grid = scenario.grid

    def of(laws: Any) -> np.ndarray:
        each = np.array([law.mean for law in laws or ()] or [0.0])
        return np.asarray(each[np.minimum(grid.slot, len(each) - 1)])

    mean = of(kind.handle_time) + of(kind.after_contact_work)
    index = pd.DatetimeIndex(grid.starts.tz_convert("UTC")).as_unit("ns")
    at = index.get_indexer(starts.tz_convert("UTC").as_unit("ns"))
    return np.where(at >= 0, mean[np.maximum(at, 0)], mean.mean())
