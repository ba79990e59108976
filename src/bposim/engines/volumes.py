"""Volumes from outside, a forecast's or a frame's, laid over a scenario's grid."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.schema import VOLUMES

if TYPE_CHECKING:
    from bposim.scenario import Scenario


def read_volumes(volumes: Any, scenario: Scenario) -> tuple[np.ndarray, bool]:
    """Return volumes over the scenario's grid, shape (n_samples, n_intervals, n_types), and whether they are counts."""
    if isinstance(getattr(volumes, "array", None), np.ndarray):
        return _paths(volumes, scenario)
    frame = getattr(volumes, "volumes", volumes)
    if not isinstance(frame, pd.DataFrame):
        raise ParameterError(f"volumes must be a Forecast or a Volumes frame. Got {type(volumes).__name__}.")
    VOLUMES.check(frame, caller="simulate()")
    types = tuple(scenario.contact_types)
    grid = scenario.grid
    stamps = pd.DatetimeIndex(frame["interval_start"])
    if stamps.tz is None:
        raise ParameterError("volumes have times without a zone. Localise interval_start first.")
    named = frame["contact_type"].astype(str).to_numpy()
    problems = [
        f"volumes hold the contact type {name!r}, which the scenario lacks. Known: {', '.join(types)}."
        for name in dict.fromkeys(named)
        if name not in types
    ]
    problems += [
        f"volumes hold nothing for contact type {t!r}. Forecast it, or drop it." for t in types if t not in set(named)
    ]
    index = pd.DatetimeIndex(grid.starts.tz_convert("UTC")).as_unit("ns")
    place = index.get_indexer(stamps.tz_convert("UTC").as_unit("ns"))
    contacts = frame["contacts"].to_numpy()
    if not problems and (place >= 0).sum() == 0:
        problems.append(
            f"volumes from {stamps.min()} to {stamps.max()} share no interval with the scenario ({grid.starts[0]} to "
            f"{grid.starts[-1]}). Write scenario.replace(start=…, days=…, interval=…) to match."
        )
    lost = (place < 0) & (stamps >= grid.starts[0]) & (stamps <= grid.starts[-1]) & (contacts > 0)
    if lost.any():
        problems.append(
            f"{int(lost.sum())} rows of volumes lie in closed hours of the scenario (first {stamps[lost][0]}). Widen its "
            f"opening_hours or its interval to match the volumes."
        )
    bad = ~(contacts.astype(float) >= 0)
    if bad.any():
        problems.append(
            f"{int(bad.sum())} rows of volumes are negative or missing (first row {int(np.flatnonzero(bad)[0])})."
        )
    if problems:
        raise ParameterError(problems)
    sample = frame["sample"].to_numpy() if "sample" in frame else np.zeros(len(frame), dtype=int)
    labels, code = np.unique(sample, return_inverse=True)
    counts = contacts.dtype.kind in "iu"
    result = np.zeros((len(labels), len(grid), len(types)), dtype=np.int64 if counts else float)
    inside = place >= 0
    kind = pd.Index(types).get_indexer(named)
    np.add.at(result, (code[inside], place[inside], kind[inside]), contacts[inside])
    return result, counts


def _paths(forecast: Any, scenario: Scenario) -> tuple[np.ndarray, bool]:
    """Read a Forecast's array without the detour of a frame with a row for each path and interval."""
    types, grid = tuple(scenario.contact_types), scenario.grid
    named = tuple(forecast.contact_types)
    problems = [
        f"the forecast holds nothing for contact type {t!r}. Forecast it, or drop it." for t in types if t not in named
    ]
    problems += [
        f"the forecast holds the contact type {n!r}, which the scenario lacks. Known: {', '.join(types)}."
        for n in named
        if n not in types
    ]
    index = pd.DatetimeIndex(grid.starts.tz_convert("UTC")).as_unit("ns")
    stamps = pd.DatetimeIndex(forecast.starts)
    place = index.get_indexer(stamps.tz_convert("UTC").as_unit("ns"))
    array = forecast.array
    lost = (place < 0) & (array.max(axis=(0, 2), initial=0) > 0)
    if lost.any():
        problems.append(
            f"the forecast has contacts in {int(lost.sum())} intervals outside the scenario's open ones (first "
            f"{stamps[lost][0]}). Write scenario.replace(start=forecast.start, days=forecast.days), and give both the same "
            f"opening hours and interval."
        )
    if problems:
        raise ParameterError(problems)
    result = np.zeros((array.shape[0], len(grid), len(types)), dtype=np.int64)
    inside = place >= 0
    result[:, place[inside]] = array[:, inside][:, :, [named.index(t) for t in types]]
    return result, True
