"""Replications on a fine grid, counted on a coarse one: a replay by the minute that fits into memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.errors import ParameterError
from bposim.metrics import Counts
from bposim.metrics.counts import MAXIMA

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Cells of counts that replications of one batch may take.
CELLS = 20_000_000
_COLUMNS = 24


@dataclass(frozen=True, eq=False)
class Coarse:
    """Counts of replications as something that can be measured."""

    made: Counts
    default_within_s: float = 20.0

    def counts(self, thresholds_s: Sequence[float] = ()) -> Counts:
        """Return the counts, whatever thresholds they hold."""
        return self.made

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Refuse: sums of intervals tell no quantile."""
        raise ParameterError("quantiles of the wait are not kept in a replay.")


def play_coarse(
    world: Scenario, own: Scenario, *, volumes: Any, staffing: Any, replications: int, seed: int, within: Sequence[str]
) -> Coarse:
    """Simulate on the grid of ``world`` and return counts on the grid of ``own``.

    Parameters
    ----------
    world, own : Scenario
        The same horizon; every interval of ``own`` is made of whole intervals of ``world``.
    volumes, staffing
        As for :func:`bposim.simulate`, on the grid of ``world``.
    replications, seed : int
        Batches of replications have seeds of their own: seed, seed + 1, …
    within : list of str
    """
    from bposim.simulate import simulate

    place = np.searchsorted(own.grid.start_ms, world.grid.start_ms, side="right") - 1
    most = CELLS // max(len(world.grid) * len(world.contact_types) * _COLUMNS, 1)
    batch = int(np.clip(most, 1, replications)) if world is not own else replications
    parts, done = list[Counts](), 0
    while done < replications:
        n = min(batch, replications - done)
        runs = simulate(
            world,
            volumes=volumes,
            staffing=staffing,
            replications=n,
            seed=seed + len(parts),
            within=list(within),
            progress=False,
        )
        counts = runs.counts()
        parts.append(counts if world is own else coarsened(counts, place, own))
        done += n
    return Coarse(joined(parts))


def coarsened(counts: Counts, place: np.ndarray, own: Scenario) -> Counts:
    """Return counts summed into the intervals that ``place`` names, shape (n_fine,), ascending."""
    n = len(own.grid)
    first = np.searchsorted(place, np.arange(n))

    def sums(name: str, values: np.ndarray) -> np.ndarray:
        return (np.maximum if name in MAXIMA else np.add).reduceat(values, first, axis=1)

    return replace(
        counts, starts=own.grid.starts, hours=own.grid.hours,
        contacts={c: sums(c, v) for c, v in counts.contacts.items()}, agents={c: sums(c, v) for c, v in counts.agents.items()},
    )  # fmt: skip


def joined(parts: Sequence[Counts]) -> Counts:
    """Return the replications of several counts as one."""
    if len(parts) == 1:
        return parts[0]
    columns = [c for c in parts[0].contacts if all(c in p.contacts for p in parts)]
    return replace(
        parts[0], paths=None,
        contacts={c: np.concatenate([p.contacts[c] for p in parts]) for c in columns},
        agents={c: np.concatenate([p.agents[c] for p in parts]) for c in parts[0].agents},
    )  # fmt: skip
