"""Volumes from outside, a forecast's or a frame's, laid over a scenario's grid."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import BposimError, ParameterError, require
from bposim.schema import VOLUMES

if TYPE_CHECKING:
    from bposim.scenario import Scenario


@dataclass(frozen=True, eq=False)
class VolumePaths:
    """Volumes over the open intervals of a scenario.

    Attributes
    ----------
    array : ndarray, shape (n_samples, n_intervals, n_types)
        int64 where whole numbers were given, float where real ones were.
    counts : bool
        Whole numbers: exactly so many contacts come. Real numbers are expectations.
    sampled : bool
        Whether they came as paths (column ``sample``): the paths are then all that is uncertain about the rate.
    labels : ndarray of int64, shape (n_samples,)
        Number of each path.
    handle_factor : ndarray, shape (n_intervals, n_types), or None
        Handle time of the contacts that come in an interval, relative to the scenario's law; the same on every path.
    """

    array: np.ndarray
    counts: bool
    sampled: bool
    labels: np.ndarray
    handle_factor: np.ndarray | None = None


def load_volumes(
    volumes: Any,
    scenario: Scenario,
    *,
    caller: str = "simulate()",
    error: type[BposimError] = ParameterError,
) -> VolumePaths:
    """Lay volumes over the scenario's grid; every open interval must be covered.

    Parameters
    ----------
    volumes : Forecast or DataFrame
        A Forecast covers its horizon: a day that it holds as closed brings nobody. A Volumes frame must have a row for
        every contact type in every interval in which that type is open, on every path.
    scenario : Scenario
    caller : str
        Named in messages.
    error : type
        Raised with every problem found.

    Raises
    ------
    BposimError
        A type or an interval is missing or unknown, a number is no volume; all at once.
    """
    if isinstance(getattr(volumes, "array", None), np.ndarray):
        return _forecast(volumes, scenario, error)
    frame = getattr(volumes, "volumes", volumes)
    if not isinstance(frame, pd.DataFrame):
        raise error(
            f"volumes of {caller} must be a Forecast or a Volumes frame with columns {', '.join(VOLUMES.names)}. "
            f"Got {type(volumes).__name__}."
        )
    VOLUMES.check(frame, caller=caller, error=error)
    types, grid = tuple(scenario.contact_types), scenario.grid
    stamps = pd.DatetimeIndex(frame["interval_start"])
    if stamps.tz is None:
        raise error("volumes have times without a zone. Localise interval_start first.")
    stamps = stamps.tz_convert(grid.starts.tz)
    named = frame["contact_type"].astype(str).to_numpy()
    problems = _names(set(named), types, list(dict.fromkeys(named)), "volumes hold")
    place = _place(stamps, scenario)
    contacts = frame["contacts"].to_numpy()
    if not problems and (place >= 0).sum() == 0:
        problems.append(
            f"volumes from {stamps.min()} to {stamps.max()} share no interval with the scenario ({grid.starts[0]} to "
            f"{grid.starts[-1]}). Write scenario.replace(start=…, days=…, interval=…) to match."
        )
    day = stamps.tz_localize(None).normalize()
    last = pd.Timestamp(scenario.start) + pd.Timedelta(days=scenario.days - 1)
    lost = (place < 0) & (day >= pd.Timestamp(scenario.start)) & (day <= last) & (contacts > 0)
    if lost.any():
        problems.append(
            f"{int(lost.sum())} rows of volumes lie in closed hours of the scenario (first {stamps[lost][0]}). Widen its "
            f"opening_hours or its interval to match the volumes."
        )
    values = contacts.astype(float)
    bad = ~(np.isfinite(values) & (values >= 0))
    if bad.any():
        problems.append(
            f"{int(bad.sum())} rows of volumes are negative or missing (first row {int(np.flatnonzero(bad)[0])})."
        )
    require(problems, error)
    sampled = "sample" in frame
    sample = frame["sample"].to_numpy() if sampled else np.zeros(len(frame), dtype=int)
    labels, code = np.unique(sample, return_inverse=True)
    counts = contacts.dtype.kind in "iu"
    shape = (len(labels), len(grid), len(types))
    result = np.zeros(shape, dtype=np.int64 if counts else float)
    held = np.zeros(shape, dtype=bool)
    inside = place >= 0
    cell = (code[inside], place[inside], pd.Index(types).get_indexer(named)[inside])
    np.add.at(result, cell, contacts[inside])
    held[cell] = True
    require(_holes(held, scenario), error)
    factor = _handle_factor(frame, cell, inside, shape[1:], error) if "handle_factor" in frame else None
    return VolumePaths(result, counts, sampled, labels.astype(np.int64), factor)


def _handle_factor(
    frame: pd.DataFrame,
    cell: tuple[np.ndarray, ...],
    inside: np.ndarray,
    shape: tuple[int, int],
    error: type[BposimError],
) -> np.ndarray:
    """Return the column ``handle_factor`` over intervals and types, 1 where no row is."""
    values = frame["handle_factor"].to_numpy(dtype=float, na_value=np.nan)
    result = np.ones(shape)
    result[cell[1:]] = values[inside]
    wrong = ~(np.isfinite(values) & (values > 0))
    differs = np.abs(result[cell[1:]] - values[inside]) > 1e-9
    problems = []
    if wrong.any():
        problems.append(
            f"handle_factor of volumes must be above 0. {int(wrong.sum())} rows are not (first row {int(np.flatnonzero(wrong)[0])})."
        )
    elif differs.any():
        problems.append("handle_factor of volumes must be the same on every path of an interval and contact type.")
    require(problems, error)
    return result


def _forecast(forecast: Any, scenario: Scenario, error: type[BposimError]) -> VolumePaths:
    """Read a Forecast's array without the detour of a frame with a row for each path and interval."""
    types, grid = tuple(scenario.contact_types), scenario.grid
    named = tuple(forecast.contact_types)
    problems = _names(set(named), types, list(named), "the forecast holds")
    stamps = pd.DatetimeIndex(forecast.starts)
    place = _place(stamps, scenario)
    array = forecast.array
    lost = (place < 0) & (array.max(axis=(0, 2), initial=0) > 0)
    if lost.any():
        problems.append(
            f"the forecast has contacts in {int(lost.sum())} intervals outside the scenario's open ones (first "
            f"{stamps[lost][0]}). Write scenario.replace(start=forecast.start, days=forecast.days), and give both the same "
            f"opening hours and interval."
        )
    require(problems, error)
    result = np.zeros((array.shape[0], len(grid), len(types)), dtype=np.int64)
    inside = place >= 0
    result[:, place[inside]] = array[:, inside][:, :, [named.index(t) for t in types]]
    # A day of its horizon on which the forecast is closed is known to bring nobody; it says so in its notes.
    day = grid.starts.tz_convert(stamps.tz).tz_localize(None).normalize()
    last = forecast.start + timedelta(days=forecast.days - 1)
    within = (day >= pd.Timestamp(forecast.start)) & (day <= pd.Timestamp(last))
    held = within & ~day.isin(stamps.tz_localize(None).normalize())
    held[place[inside]] = True
    require(_holes(np.broadcast_to(held[None, :, None], (1, len(grid), len(types))), scenario, forecast), error)
    labels = np.arange(array.shape[0], dtype=np.int64) + int(getattr(forecast, "first_sample", 0))
    return VolumePaths(result, True, True, labels)


def _place(stamps: pd.DatetimeIndex, scenario: Scenario) -> np.ndarray:
    index = pd.DatetimeIndex(scenario.grid.starts.tz_convert("UTC")).as_unit("ns")
    return index.get_indexer(stamps.tz_convert("UTC").as_unit("ns"))


def _names(given: set[str], types: tuple[str, ...], order: list[str], what: str) -> list[str]:
    problems = [
        f"{what} the contact type {name!r}, which the scenario lacks. Known: {', '.join(types)}."
        for name in order
        if name not in types
    ]
    return problems + [
        f"{what} nothing for contact type {t!r}. Forecast it, or drop it." for t in types if t not in given
    ]


def _holes(held: np.ndarray, scenario: Scenario, forecast: Any = None) -> list[str]:
    """Return a sentence for each contact type that has open intervals without a volume."""
    starts = scenario.grid.starts
    problems = []
    for k, name in enumerate(scenario.contact_types):
        missing = ~held[:, :, k] & scenario.open_mask(name)
        where = np.flatnonzero(missing.any(axis=0))
        if not len(where):
            continue
        whole = missing.all(axis=0)[where].all()
        some = "" if whole else f" on {int(missing.any(axis=1).sum())} of {len(missing)} paths"
        if forecast is not None:
            way = (
                "Write scenario.replace(start=forecast.start, days=forecast.days), or forecast with "
                "opening_hours=scenario.opening_hours."
            )
        else:
            way = (
                "Write scenario.replace(start=…, days=…) to match, closed=[…] for days without service, or add rows with "
                "0 contacts."
            )
        problems.append(
            f"volumes hold nothing for {name!r} in {len(where)} of {len(starts)} open intervals{some} (first "
            f"{starts[where[0]]}): what is not given is not 0. {way}"
        )
    return problems
