"""Random rates of every interval: day factors or forecast paths, made into classes of equal probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, require
from bposim.scenario import Scenario
from bposim.schema import VOLUMES

#: Classes of equal probability for the law of a rate, and the points from which they are made.
CLASSES = 12
POINTS = 256


class Rates:
    """Expected contacts of each type in each interval, over equally likely states of the world.

    Attributes
    ----------
    mean : mapping of contact type to ndarray, shape (n_intervals,)
    source : str
        ``"day-factor"``, ``"paths"`` or ``"fixed"``.
    """

    def __init__(self, scenario: Scenario, volumes: Any, day_factor: bool) -> None:
        self.scenario = scenario
        types = scenario.contact_types
        frame = getattr(volumes, "volumes", volumes)
        self._paths: dict[str, np.ndarray] = {}
        if frame is None:
            self.mean = {t: scenario.expected_contacts(t) for t in types}
        else:
            if not isinstance(frame, pd.DataFrame):
                raise OptimiseError(
                    f"volumes of required_agents() must be a forecast or a frame with columns "
                    f"{', '.join(VOLUMES.names)}. Got {type(volumes).__name__}."
                )
            VOLUMES.check(frame, caller="required_agents()", error=OptimiseError)
            self.mean = self._read(frame)
        laws = [scenario.day_factor, *(c.day_factor for c in types.values())]
        random = day_factor and not self._paths and any(law is not None for law in laws)
        self.source = "paths" if self._paths else "day-factor" if random else "fixed"
        self._factors = _lattice(laws) if random else None

    def _read(self, frame: pd.DataFrame) -> dict[str, np.ndarray]:
        grid, types = self.scenario.grid, list(self.scenario.contact_types)
        starts = pd.DatetimeIndex(frame["interval_start"])
        if starts.tz is None:
            raise OptimiseError("volumes of required_agents() have times without a zone. Localise interval_start.")
        problems = []
        unknown = sorted({str(t) for t in frame["contact_type"].unique()} - set(types))
        if unknown:
            problems.append(f"volumes name {unknown[0]!r}, which is no contact type. Known: {', '.join(types)}.")
        contacts = frame["contacts"].to_numpy(float)
        if not (np.isfinite(contacts).all() and (contacts >= 0).all()):
            problems.append("column 'contacts' of volumes must be finite and at least 0.")
        place = pd.Index(grid.starts.tz_convert("UTC")).get_indexer(starts.tz_convert("UTC"))
        outside = (place < 0) & (contacts > 0)
        if outside.any():
            problems.append(
                f"volumes have {int(outside.sum())} rows with contacts outside the scenario's open intervals (first "
                f"{starts[outside][0]}). Give the scenario the start, days and interval of the forecast."
            )
        require(problems, OptimiseError)
        kind = frame["contact_type"].to_numpy()
        inside = place >= 0
        if "sample" not in frame.columns:
            mean = {t: np.zeros(len(grid)) for t in types}
            for t in types:
                rows = inside & (kind == t)
                np.add.at(mean[t], place[rows], contacts[rows])
            return mean
        number, path = np.unique(frame["sample"].to_numpy(), return_inverse=True)
        for t in types:
            rows = inside & (kind == t)
            table = np.zeros((len(grid), len(number)))
            np.add.at(table, (place[rows], path[rows]), contacts[rows])
            if (contacts[rows] == np.round(contacts[rows])).all():
                table = _without_poisson(table)
            self._paths[t] = table
        return {t: table.mean(axis=1) for t, table in self._paths.items()}

    def classes(self, members: Sequence[str]) -> np.ndarray:
        """Return the pooled contacts of some types in equally likely classes, shape (n_intervals, n_classes)."""
        total = sum(self.mean[t] for t in members)
        if self.source == "fixed":
            return np.asarray(total)[:, None]
        if self._paths:
            states = sum(self._paths[t] for t in members)
        else:
            assert self._factors is not None
            order = list(self.scenario.contact_types)
            states = sum(self.mean[t][:, None] * self._factors[order.index(t)][None, :] for t in members)
        states = np.sort(np.asarray(states), axis=1)
        parts = np.array_split(states, min(CLASSES, states.shape[1]), axis=1)
        means = np.column_stack([p.mean(axis=1) for p in parts])
        if len({p.shape[1] for p in parts}) > 1:
            # Unequal parts: give every class the same weight and keep the mean.
            some = means.sum(axis=1) > 0
            scale = np.divide(states.mean(axis=1), means.mean(axis=1), out=np.ones(len(means)), where=some)
            means = means * scale[:, None]
        return means


def _lattice(laws: list[Any]) -> np.ndarray:
    """Return common × own factor of each type at the points of a rank-1 lattice, mean 1, shape (n_types, POINTS)."""
    k = np.arange(POINTS)
    rows = []
    for d, law in enumerate(laws):
        # Powers of an odd multiplier (Korobov) keep every single coordinate evenly spread.
        u = ((k * pow(75, d, POINTS)) % POINTS + 0.5) / POINTS
        values = np.ones(POINTS) if law is None else np.asarray(law.quantile(u), dtype=float)
        rows.append(values / values.mean())
    joint = np.array([rows[0] * own for own in rows[1:]])
    return joint / joint.mean(axis=1, keepdims=True)


def _without_poisson(table: np.ndarray) -> np.ndarray:
    """Shrink counts towards their mean by the share of their variance that a Poisson count explains."""
    if table.shape[1] < 2:
        return table
    mean = table.mean(axis=1, keepdims=True)
    variance = table.var(axis=1, ddof=1, keepdims=True)
    keep = np.sqrt(np.clip(variance - mean, 0.0, None) / np.where(variance > 0, variance, 1.0))
    return mean + (table - mean) * keep
