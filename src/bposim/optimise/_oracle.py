"""The simulator as an oracle: what a plan yields on common draws, and what one more head would."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from bposim.optimise._goals import Goal
from bposim.scenario import Scenario
from bposim.simulate import SimulationResult, simulate

Heads = dict[str, np.ndarray]
Parts = list[tuple[np.ndarray, np.ndarray]]
#: Time after which the queue has nearly forgotten one more head.
MEMORY_S = 3600.0


@dataclass(frozen=True, eq=False)
class Tangent:
    """A plan's values, and how each of its goals' cells rises with heads.

    Attributes
    ----------
    heads : mapping of group to ndarray, shape (n_intervals,)
    values, errors : list of ndarray, one per goal, shape (n_cells,)
        Of each cell, with its standard error.
    slopes : list, one per goal, of (cell, group, interval, slope) arrays
        In the metric's own unit, with the sign of what is better.
    """

    heads: Heads
    values: list[np.ndarray]
    errors: list[np.ndarray]
    slopes: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]


@dataclass(eq=False)
class Oracle:
    """Plays plans of one scenario on the same draws.

    Attributes
    ----------
    scenario : Scenario
    volumes : Any
    goals : sequence of Goal
    replications, seed : int
    played : int
        Plans played so far.
    """

    scenario: Scenario
    volumes: Any
    goals: Sequence[Goal]
    replications: int
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    tick: Callable[[], None] | None = None
    played: int = 0
    _first: SimulationResult | None = None
    _known: dict[bytes, Parts] = field(default_factory=dict)

    def key(self, heads: Heads) -> bytes:
        """Name a plan."""
        return b"".join(np.ascontiguousarray(h, dtype=np.int32).tobytes() for h in heads.values())

    def parts(self, heads: Heads) -> Parts:
        """Return numerator and denominator of each goal."""
        key = self.key(heads)
        if key not in self._known:
            if len(self._known) > 64:
                self._known.clear()
            self._known[key] = self._play(heads)
        return self._known[key]

    def _play(self, heads: Heads) -> Parts:
        staffing = {g: h.tolist() for g, h in heads.items()}
        if self._first is None:
            within = sorted({g.target.within_s for g in self.goals if g.target.within_s is not None})
            self._first = simulate(
                self.scenario, volumes=self.volumes, staffing=staffing, replications=self.replications, seed=self.seed,
                within=within, progress=False, **self.options,
            )  # fmt: skip
            runs = self._first
        else:
            runs = self._first.restaffed(staffing)
        self.played += 1
        if self.tick is not None:
            self.tick()
        return [goal.parts(runs) for goal in self.goals]

    def values(self, heads: Heads) -> list[np.ndarray]:
        """Return the value of each cell of each goal."""
        return [g.values(p) for g, p in zip(self.goals, self.parts(heads), strict=True)]

    def tangent(self, heads: Heads) -> Tangent:
        """Return values and slopes.

        Notes
        -----
        One more head in every m-th interval at once, m intervals making up an hour: a change in an interval is put down
        to the head of its own or of the latest interval before it, or of the one after it, whose agents still meet those
        who wait. So a group's slopes need m runs instead of one for each interval.
        """
        base = self.parts(heads)
        n = len(self.scenario.grid)
        width = max(2, min(n, math.ceil(MEMORY_S / self.scenario.grid.hours.min() / 3600)))
        found: list[list[tuple[np.ndarray, ...]]] = [[] for _ in self.goals]
        for k, name in enumerate(heads):
            for r in range(width):
                at = np.arange(r, n, width)
                more = {g: h.copy() for g, h in heads.items()}
                more[name][at] += 1
                played = self._play(more)
                owner = self._owner(at, width)
                for j, goal in enumerate(self.goals):
                    cell, interval, slope = goal.slopes(base[j], played[j], owner)
                    found[j].append((cell, np.full(len(cell), k), interval, goal.sign * slope))
        slopes = []
        for rows in found:
            cell, group, interval, slope = (np.concatenate(c) for c in zip(*rows, strict=True))
            keep = slope > 0
            slopes.append((cell[keep], group[keep], interval[keep], slope[keep]))
        pairs = list(zip(self.goals, base, strict=True))
        return Tangent(heads, [g.values(p) for g, p in pairs], [g.errors(p) for g, p in pairs], slopes)

    def _owner(self, at: np.ndarray, width: int) -> np.ndarray:
        """Return for each interval the one of ``at`` whose head it owes its change to, −1 for none."""
        n = len(self.scenario.grid)
        owner = np.full(n, -1, dtype=np.int64)
        day = self.scenario.grid.day
        for i in at:
            reach = np.arange(max(i - 1, 0), min(i + width - 1, n))
            owner[reach[day[reach] == day[i]]] = i
        return owner
