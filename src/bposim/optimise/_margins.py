"""By how much more than was asked for a search aims, so that a proof on other replications holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from bposim.optimise._goals import Goal
from bposim.optimise._oracle import Heads, Oracle
from bposim.optimise.validate import Validation


def room_of(oracle: Oracle, heads: Heads, proof: int) -> list[np.ndarray]:
    """Return by how much each cell must exceed its level for the interval of a proof of so many replications to reach it."""
    result = []
    for goal, parts in zip(oracle.goals, oracle.parts(heads), strict=True):
        if goal.confidence is not None:  # its own probability is set higher
            result.append(np.zeros(1))
            continue
        error = goal.errors(parts) * math.sqrt(oracle.replications / proof)
        level = np.full(goal.n_cells, goal.target.level)
        result.append(np.nan_to_num(float(ndtri(0.975)) * error * np.abs(goal.steepness(level))))
    return result


#: Room above the level, in half widths of a full proof's interval: one brings its end to the level in half of the proofs, and
#: many cells have to be there at once.
ROOM = 1.5


#: A plan is worth a proof which holds so often where all its cells just have their room, once a dearer plan is proven.
WORTH = 0.25


def worth_a_proof(n_cells: int) -> float:
    """Return the room, as of :data:`ROOM`, at which one proof in four of so many cells holds.

    Both the proof that told and the one to come are off by an error of the same size.
    """
    return min(1 + math.sqrt(2) * float(ndtri(WORTH ** (1 / n_cells)) / ndtri(0.975)), ROOM)


def off_by(
    goals: Sequence[Goal], values: Sequence[np.ndarray], proof: Validation, full: int, room: float = ROOM
) -> list[np.ndarray]:
    """Return by how much each cell must exceed its level on the draws of a search, as the proof of one plan tells.

    What a few changed shifts add is known much better on common draws than the level itself, which the proof tells.

    Parameters
    ----------
    goals : sequence of Goal
        As the search aims at them.
    values : list of ndarray, one per goal, shape (n_cells,)
        Of the plan on the search's draws: what they are above its value in the proof they are for any plan near it.
    proof : Validation
    full : int
        Replications of a proof that goes to the end, for whose interval there must be room; a quantile that is aimed at has its
        room already, of one half width.
    room : float
        As of :data:`ROOM`.
    """
    result = []
    for goal, value, (reached, error) in zip(goals, values, proof.reached, strict=True):
        half = float(ndtri(0.975)) * error * math.sqrt(proof.replications / full) * np.abs(goal.steepness(reached))
        own = room if goal.confidence is None else room - 1
        result.append(np.nan_to_num(goal.straight(value) - goal.straight(reached) + own * half))
    return result


def search_goal(goal: Goal, validation: int) -> Goal:
    """Return the goal that the search aims at: a probability high enough for its interval to reach the confidence."""
    if goal.confidence is None:
        return goal
    p = goal.confidence
    windows = int(goal.codes.max()) + 1
    spread = float(ndtri(0.975)) * math.sqrt(p * (1 - p) / (validation * min(windows, 4)))
    return replace(goal, confidence=min(p + spread, 1 - (1 - p) / 3))
