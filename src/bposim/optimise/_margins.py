"""By how much more than was asked for a search aims, so that a proof on other replications holds."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from bposim.optimise._goals import Goal, level_of
from bposim.optimise._oracle import Heads, Oracle
from bposim.optimise.validate import Validation

#: Half width of a 95 % interval in standard errors.
HALF = float(ndtri(0.975))
#: Room above the level, in half widths of a full proof's interval: one brings its end to the level in half of the proofs, and
#: many cells have to be there at once.
ROOM = 1.5
#: A plan is worth a proof which holds so often where all its cells just have their room, once a dearer plan is proven.
WORTH = 0.25


def room_of(oracle: Oracle, heads: Heads, proof: int) -> list[np.ndarray]:
    """Return by how much each cell must exceed its level for the interval of a proof of so many replications to reach it."""
    result = []
    for goal, parts in zip(oracle.goals, oracle.parts(heads), strict=True):
        if goal.confidence is not None:  # its own probability is set higher
            result.append(np.zeros(1))
            continue
        error = goal.errors(parts) * math.sqrt(oracle.replications / proof)
        level = np.full(goal.n_cells, goal.target.level)
        result.append(np.nan_to_num(HALF * error * np.abs(goal.steepness(level))))
    return result


def worth_a_proof(n_cells: int, ratio: float) -> float:
    """Return the room, as of :data:`ROOM`, at which one proof in four of so many cells holds, at most ``ROOM``.

    Parameters
    ----------
    n_cells : int
    ratio : float
        Replications of the proof to come over those of the one that told, whose error is larger by the root of it.
    """
    each = float(ndtri(WORTH ** (1 / n_cells)))
    return min(1 + math.sqrt(1 + ratio) * each / HALF, ROOM)


def off_by(
    goals: Sequence[Goal], aims: Sequence[Goal], values: Sequence[np.ndarray], proof: Validation, full: int,
    room: float = ROOM,
) -> list[np.ndarray]:  # fmt: skip
    """Return by how much each cell must exceed its level on the draws of a search, as the proof of one plan tells.

    What a few changed shifts add is known much better on common draws than the level itself, which the proof tells.

    Parameters
    ----------
    goals, aims : sequence of Goal
        As they were asked for, and as the search aims at them.
    values : list of ndarray, one per goal, shape (n_cells,)
        Of the plan on the search's draws: what they are above its value in the proof they are for any plan near it.
    proof : Validation
    full : int
        Replications of a proof that goes to the end, for whose interval there must be room.
    room : float
        As of :data:`ROOM`; an aim above the probability asked for is part of it.

    Returns
    -------
    list of ndarray, one per goal, shape (n_cells,)
        On the straight scale. Where the proof refused a cell, at least what leaves the plan itself short by what it lacked.
    """
    result = []
    told = zip(goals, aims, values, proof.reached, proof.shortfall, strict=True)
    for goal, aim, value, (reached, error), lack in told:
        half = HALF * error * math.sqrt(proof.replications / full) * np.abs(aim.steepness(reached))
        own = room
        if goal.confidence is not None and aim.confidence is not None:
            own -= (aim.confidence - goal.confidence) / _half(goal, full)
        margin = np.nan_to_num(aim.straight(value) - aim.straight(reached) + own * half)
        least = np.nan_to_num(aim.straight(value) - level_of(aim) + lack)
        result.append(np.where(lack > 0, np.maximum(margin, least), margin))
    return result


def search_goal(goal: Goal, validation: int) -> Goal:
    """Return the goal that the search aims at: a probability high enough for its interval to reach the confidence."""
    if goal.confidence is None:
        return goal
    p = goal.confidence
    return replace(goal, confidence=min(p + _half(goal, validation), 1 - (1 - p) / 3))


def _half(goal: Goal, replications: int) -> float:
    """Return half the width of a probability's interval; windows of one replication count as four at most."""
    assert goal.confidence is not None
    p, windows = goal.confidence, int(goal.codes.max()) + 1
    return HALF * math.sqrt(p * (1 - p) / (replications * min(windows, 4)))
