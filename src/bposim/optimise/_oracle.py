"""The simulator as an oracle: what a plan yields on common draws, and what one more head would."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.special import ndtri

from bposim.optimise._goals import Goal
from bposim.optimise._slopes import calmed
from bposim.scenario import Scenario
from bposim.simulate import SimulationResult, simulate

Heads = dict[str, np.ndarray]
Parts = list[tuple[np.ndarray, np.ndarray]]
#: Cell, group, interval, slope and variance of slopes.
Told = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray]
#: Memory that what was played may take.
KEPT_BYTES = 256 << 20
#: Time after which the queue has nearly forgotten one more head.
MEMORY_S = 3600.0
#: What a replication that told slopes of the plan before counts for the present one.
KEPT = 0.75


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
    least : list of ndarray, one per goal, shape (n_cells,)
        Expected value of the worst interval with contacts of each cell, as far as it is a share that should be high.
    shapes : list, one per goal, of two ndarray, shape (n_intervals,)
        Weight of each interval in its cell, and its own value.
    steady : list like ``slopes``, or None
        The slopes with those of the plans before in them.
    draws : int or None
        Seed of the replications that it was played on.
    luck : list of ndarray, one per goal, shape (n_replications, n_cells), or None
        What each replication adds to the error of the values, of expected values.
    """

    heads: Heads
    values: list[np.ndarray]
    errors: list[np.ndarray]
    slopes: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]
    least: list[np.ndarray]
    shapes: list[tuple[np.ndarray, np.ndarray]]
    steady: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] | None = None
    draws: int | None = None
    luck: list[np.ndarray] | None = None


@dataclass(eq=False)
class Oracle:
    """Plays plans of one scenario on the same draws.

    Attributes
    ----------
    scenario : Scenario
    volumes : Any
    goals : sequence of Goal
    replications, seed : int
    few : int, optional
        Replications, the first of all, that slopes are told from; None takes all.
    asked : sequence of Goal, optional
        The same targets as they were asked for, where the search aims higher.
    apart : bool
        Whether tangents keep what each replication adds to their errors.
    played : int
        Plans played so far.
    pace : float
        Seconds that a replication of the last in full took.
    """

    scenario: Scenario
    volumes: Any
    goals: Sequence[Goal]
    replications: int
    seed: int
    options: dict[str, Any] = field(default_factory=dict)
    asked: Sequence[Goal] | None = None
    few: int | None = None
    apart: bool = False
    tick: Callable[[], None] | None = None
    played: int = 0
    pace: float = 0.0
    _first: dict[int, SimulationResult] = field(default_factory=dict)
    _told: dict[int, tuple[Told, float]] = field(default_factory=dict)
    _known: dict[bytes, Parts] = field(default_factory=dict)

    def key(self, heads: Heads) -> bytes:
        """Name a plan."""
        return b"".join(np.ascontiguousarray(h, dtype=np.int32).tobytes() for h in heads.values())

    def parts(self, heads: Heads) -> Parts:
        """Return numerator and denominator of each goal."""
        key = self.key(heads)
        if key not in self._known:
            found = self._play(heads, self.replications)
            if (len(self._known) + 1) * sum(top.nbytes + bottom.nbytes for top, bottom in found) > KEPT_BYTES:
                self._known.clear()
            self._known[key] = found
        return self._known[key]

    def _play(self, heads: Heads, replications: int) -> Parts:
        began = time.monotonic()
        staffing = {g: h.tolist() for g, h in heads.items()}
        if replications not in self._first:
            within = sorted({g.target.within_s for g in self.goals if g.target.within_s is not None})
            runs = self._first[replications] = simulate(
                self.scenario, volumes=self.volumes, staffing=staffing, replications=replications, seed=self.seed,
                within=within, progress=False, **self.options,
            )  # fmt: skip
        else:
            runs = self._first[replications].restaffed(staffing)
        self.played += 1
        if replications == self.replications:
            self.pace = (time.monotonic() - began) / replications
        if self.tick is not None:
            self.tick()
        return [goal.parts(runs) for goal in self.goals]

    def values(self, heads: Heads) -> list[np.ndarray]:
        """Return the value of each cell of each goal."""
        return [g.values(p) for g, p in zip(self.goals, self.parts(heads), strict=True)]

    def luck(self, heads: Heads, goals: Sequence[Goal]) -> list[np.ndarray] | None:
        """Return what each replication adds to the error of expected values; None where a probability is asked for."""
        if any(g.confidence is not None for g in goals):
            return None
        found = []
        for goal, parts in zip(goals, self.parts(heads), strict=True):
            top, bottom = goal.by_window(parts)
            below = np.maximum(bottom.sum(axis=0), 1e-12)
            found.append((top - top.sum(axis=0) / below * bottom) / below)
        return found

    def tangent(self, heads: Heads) -> Tangent:
        """Return values and slopes of the goals that are searched for."""
        return self.tangents(heads)[0]

    def tangents(self, heads: Heads) -> tuple[Tangent, Tangent]:
        """Return values and slopes of the goals that are searched for, and of those that were asked.

        Notes
        -----
        One more head in every m-th interval at once, m intervals making up an hour: a change in an interval is put down
        to the head of its own or of the latest interval before it, or of the one after it, whose agents still meet those
        who wait. So a group's slopes need m runs instead of one for each interval.
        """
        base = self.parts(heads)
        few = self.replications if self.few is None else min(self.few, self.replications)
        first = [(top[:few], bottom[:few]) for top, bottom in base]
        n = len(self.scenario.grid)
        width = max(2, min(n, math.ceil(MEMORY_S / self.scenario.grid.hours.min() / 3600)))
        moves: list[tuple[int, np.ndarray, Parts]] = []
        for k, name in enumerate(heads):
            for r in range(width):
                at = np.arange(r, n, width)
                more = {g: h.copy() for g, h in heads.items()}
                more[name][at] += 1
                moves.append((k, self._owner(at, width), self._play(more, few)))
        starts = self.scenario.grid.starts
        minute = np.asarray(starts.hour * 60 + starts.minute, dtype=float)
        due = [_due(g, base[j], heads) for j, g in enumerate(self.goals)]
        told = [
            self._slopes(j, g, first[j], [(k, o, p[j]) for k, o, p in moves], due[j]) for j, g in enumerate(self.goals)
        ]
        found = _tangent(heads, self.goals, base, told, due, minute)
        if self.asked is None:
            return found, found
        told = [_slopes_of(g, first[j], [(k, o, p[j]) for k, o, p in moves]) for j, g in enumerate(self.asked)]
        due = [_due(g, base[j], heads) for j, g in enumerate(self.asked)]
        luck = self.luck(heads, self.asked) if self.apart else None
        own = replace(_tangent(heads, self.asked, base, told, due, minute), draws=self.seed, luck=luck)
        same = all(a is b for a, b in zip(self.goals, self.asked, strict=True))
        return found, replace(own, steady=found.slopes) if same else own

    def _slopes(
        self, j: int, goal: Goal, first: tuple[np.ndarray, np.ndarray], moves: list[Any], due: np.ndarray
    ) -> Told:
        """Return the slopes of a goal; where few replications tell them, most of them is what the plans before told.

        What is kept is how many times what is ``due`` a slope is, which plans share where their heads differ little. The
        errors of two plans are taken as independent: which contact meets which agent changes with every head.
        """
        now = _slopes_of(goal, first, moves)
        if self.few is None or self.few >= self.replications:
            return now
        scale = np.where(due > 0, due, 1.0)[now[2]]
        rate, noise, n = now[3] / scale, now[4] / scale**2, float(self.few)
        before = self._told.get(j)
        if before is not None and all(np.array_equal(x, y) for x, y in zip(before[0][:3], now[:3], strict=True)):
            (*_, rates, noises), past = before
            n += KEPT * past
            new = self.few / n
            rate, noise = new * rate + (1 - new) * rates, new**2 * noise + (1 - new) ** 2 * noises
        self._told[j] = (*now[:3], rate, noise), n
        return (*now[:3], rate * scale, noise * scale**2)

    def _owner(self, at: np.ndarray, width: int) -> np.ndarray:
        """Return for each interval the one of ``at`` whose head it owes its change to, −1 for none."""
        n = len(self.scenario.grid)
        owner = np.full(n, -1, dtype=np.int64)
        day = self.scenario.grid.day
        for i in at:
            reach = np.arange(max(i - 1, 0), min(i + width - 1, n))
            owner[reach[day[reach] == day[i]]] = i
        return owner


def _slopes_of(goal: Goal, first: tuple[np.ndarray, np.ndarray], moves: Sequence[tuple[int, np.ndarray, Any]]) -> Told:
    """Return the slopes that runs with a head more of a group in some intervals tell."""
    rows = []
    for k, owner, played in moves:
        cell, interval, slope, variance = goal.slopes(first, played, owner)
        rows.append((cell, np.full(len(cell), k), interval, goal.sign * slope, variance))
    cells, group, at, rise, noise = (np.concatenate(c) for c in zip(*rows, strict=True))
    return cells, group, at, rise, noise


def _due(goal: Goal, parts: tuple[np.ndarray, np.ndarray], heads: Heads) -> np.ndarray:
    """Return what slopes are taken to be proportional to, shape (n_intervals,).

    A head moves most where many come, as many are late as not, and few heads are there: by the square root of them all, as a
    probit of service does in heavy traffic (Halfin & Whitt 1981).
    """
    weight, share = goal.shape(parts)
    few = weight / np.sqrt(np.maximum(sum(heads.values()), 1.0))
    return few * np.exp(-(ndtri(np.clip(share, 0.02, 0.98)) ** 2) / 2) if goal.is_share else few


def _tangent(
    heads: Heads, goals: Sequence[Goal], base: Parts, told: Sequence[Told], due: Sequence[np.ndarray],
    minute: np.ndarray,
) -> Tangent:  # fmt: skip
    """Put values and slopes together."""
    slopes = []
    shapes = [g.shape(p) for g, p in zip(goals, base, strict=True)]
    for likely, (cells, group, at, rise, noise) in zip(due, told, strict=True):
        rise = calmed(cells, group, at, rise, noise, likely[at], minute)
        keep = rise > 0
        slopes.append((cells[keep], group[keep], at[keep], rise[keep]))
    pairs = list(zip(goals, base, strict=True))
    return Tangent(
        heads, [g.values(p) for g, p in pairs], [g.errors(p) for g, p in pairs], slopes, [g.least(p) for g, p in pairs],
        shapes,
    )  # fmt: skip
