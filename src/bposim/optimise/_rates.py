"""Random rates of every interval: day factors or forecast paths, made into classes of equal probability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.engines.volumes import load_volumes
from bposim.errors import OptimiseError
from bposim.scenario import Scenario

#: Classes of equal probability for the law of a rate, and the points from which they are made.
CLASSES = 12
POINTS = 256


class Rates:
    """Expected contacts of each type in each interval, over equally likely states of the world.

    What is uncertain depends on what was given, as in the simulation: nothing, or real numbers, are expectations, with
    the day factor around them; whole numbers without ``sample`` are one known future, with nothing around it; paths are
    all the uncertainty there is.

    Attributes
    ----------
    mean : mapping of contact type to ndarray, shape (n_intervals,)
    source : str
        ``"day-factor"``, ``"paths"`` or ``"fixed"``.
    """

    def __init__(self, scenario: Scenario, volumes: Any, day_factor: bool) -> None:
        self.scenario = scenario
        types = scenario.contact_types
        self._paths: dict[str, np.ndarray] = {}
        known = False
        if volumes is None:
            self.mean = {t: scenario.expected_contacts(t) for t in types}
        else:
            found = load_volumes(volumes, scenario, caller="required_agents()", error=OptimiseError)
            if found.handle_factor is not None:
                raise OptimiseError(
                    "volumes of required_agents() have a column handle_factor, which the formulas do not know. Drop it, or "
                    "scale the scenario's handle times."
                )
            _within(volumes, scenario)
            known = found.counts and not found.sampled
            tables = {t: found.array[:, :, k].T.astype(float) for k, t in enumerate(types)}
            self.mean = {t: table.mean(axis=1) for t, table in tables.items()}
            if found.sampled:
                self._paths = {t: _without_poisson(x) if found.counts else x for t, x in tables.items()}
        laws = [scenario.day_factor, *(c.day_factor for c in types.values())]
        random = day_factor and not known and not self._paths and any(law is not None for law in laws)
        self.source = "paths" if self._paths else "day-factor" if random else "fixed"
        self._factors = _lattice(laws) if random else None

    def states(self, contact_type: str) -> np.ndarray:
        """Return the contacts of a type in every interval, over equally likely states: (n_intervals, n_states)."""
        if self._paths:
            return self._paths[contact_type]
        mean, factors = self.mean[contact_type][:, None], self.factors(contact_type)
        return mean if factors is None else mean * factors[None, :]

    def factors(self, contact_type: str) -> np.ndarray | None:
        """Return what multiplies the mean of a type in each state, None where that is not what is uncertain."""
        if self._factors is None:
            return None
        return np.asarray(self._factors[list(self.scenario.contact_types).index(contact_type)])


def in_classes(rate: np.ndarray, weight: np.ndarray, most: int = CLASSES) -> tuple[np.ndarray, np.ndarray]:
    """Sort states by rate into classes of equal probability; return the mean rate and the mean weight of each.

    Both arrays have the shape (n_rows, n_states); so have the results, with at most so many columns.
    """
    if rate.shape[1] == 1:
        return rate, weight
    order = np.argsort(rate, axis=1, kind="stable")
    ordered = [np.take_along_axis(x, order, axis=1) for x in (rate, weight)]
    return _means(ordered[0], most), _means(ordered[1], most)


def _means(states: np.ndarray, most: int) -> np.ndarray:
    parts = np.array_split(states, min(most, states.shape[1]), axis=1)
    means = np.column_stack([p.mean(axis=1) for p in parts])
    if len({p.shape[1] for p in parts}) > 1:
        # Unequal parts: give every class the same weight and keep the mean.
        some = means.sum(axis=1) > 0
        scale = np.divide(states.mean(axis=1), means.mean(axis=1), out=np.ones(len(means)), where=some)
        means = means * scale[:, None]
    return means


def _within(volumes: Any, scenario: Scenario) -> None:
    """Refuse contacts outside the horizon: nobody would be planned for them."""
    if not isinstance(volumes, pd.DataFrame):
        return
    starts = pd.DatetimeIndex(volumes["interval_start"])
    place = pd.Index(scenario.grid.starts.tz_convert("UTC")).get_indexer(starts.tz_convert("UTC"))
    outside = (place < 0) & (volumes["contacts"].to_numpy(float) > 0)
    if outside.any():
        raise OptimiseError(
            f"volumes have {int(outside.sum())} rows with contacts outside the scenario's open intervals (first "
            f"{starts[outside][0]}). Give the scenario the start, days and interval of the forecast."
        )


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
