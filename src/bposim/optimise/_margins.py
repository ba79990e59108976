"""By how much more than was asked for a search aims, so that a proof on other replications holds."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from scipy.special import ndtri

from bposim.optimise._goals import Goal
from bposim.optimise._oracle import Heads, Oracle


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


def search_goal(goal: Goal, validation: int) -> Goal:
    """Return the goal that the search aims at: a probability high enough for its interval to reach the confidence."""
    if goal.confidence is None:
        return goal
    p = goal.confidence
    windows = int(goal.codes.max()) + 1
    spread = float(ndtri(0.975)) * math.sqrt(p * (1 - p) / (validation * min(windows, 4)))
    return replace(goal, confidence=min(p + spread, 1 - (1 - p) / 3))
