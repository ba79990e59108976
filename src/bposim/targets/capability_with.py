"""A scenario and a history together: of each metric that both know, the more careful level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from bposim.errors import ParameterError
from bposim.scenario import Target
from bposim.targets.candidates import alike
from bposim.targets.capability import Capability, recommend_from_history, said, same_metric


def history_of(history: Any, past: dict[str, Any], *, confidence: float, window: str, seed: int) -> Capability | None:
    """Return what the history beside a scenario lets promise, None where there is none.

    Raises
    ------
    ParameterError
        Arguments about a history are given without one, or it is wrong.
    """
    if history is None:
        stray = [n for n, value in past.items() if value is not None]
        if stray:
            raise ParameterError(
                [f"{n}= of recommend_targets() is about a history, and none is given. Give history=, or leave it out."
                 for n in stray]
            )  # fmt: skip
        return None
    return recommend_from_history(history, confidence=confidence, window=window, seed=seed, **past)


#: A probability with its 95 % range.
Chance = tuple[float, float, float]


def more_careful(
    chosen: Sequence[Target], shown: Capability | None
) -> tuple[list[Target], list[Chance | None], list[str]]:
    """Return the targets with the more careful of the simulated and the demonstrated level, and a sentence for each.

    With them the probability that the history alone gives each level taken, None where it does not tell the metric.

    The demonstrated level is the one figure for the year. It is not averaged with the simulated one: a scenario that
    promises more than was ever kept has left something out, and a history that was better knows another operation.
    """
    if shown is None:
        return list(chosen), [None] * len(chosen), []
    found: list[Target] = []
    told: list[Chance | None] = []
    notes: list[str] = []
    for target in chosen:
        one = next((e for e in shown._expected if same_metric(e.history, target)), None)
        if one is None:
            notes.append(f"{target}: simulated only; the history does not tell this metric.")
            found.append(target)
            told.append(None)
            continue
        level = float(one.levels(shown.confidence, pooled=True)[0])
        kept = float(one.told(np.full(len(one.starts), target.level))[0])
        worse = level < target.level if one.history.higher else level > target.level
        both = f"the simulation allows {said(one.history, target.level)}, the history {said(one.history, level)}"
        if worse:
            notes.append(
                f"{target.metric.replace('_', ' ')}: {both}; the history's is taken. What the simulation allows would be met "
                f"with probability {kept:.2f} by what was shown so far."
            )
            found.append(target.replace(level=level))
        else:
            notes.append(
                f"{target.metric.replace('_', ' ')}: {both}; the simulation's is taken, met with probability {kept:.2f} by what "
                "was shown so far."
            )
            found.append(target)
        told.append(one.told(np.full(len(one.starts), found[-1].level)))
    left = [t for t in shown.targets if not any(alike(t) == alike(c) for c in chosen)]
    notes += [f"{t}: the history's alone; the scenario holds no such contacts, or there are five others." for t in left]
    notes += [n for n in shown.notes if n.startswith("The world changed")]
    return found, told, notes


def less_sure(simulated: Chance, told: Chance | None) -> Chance:
    """Return the lower of the simulation's and the history's probability, the simulation's where the history has none.

    Examples
    --------
    >>> less_sure((1.0, 0.97, 1.0), (0.9, 0.85, 0.94)), less_sure((0.8, 0.7, 0.9), None)
    ((0.9, 0.85, 0.94), (0.8, 0.7, 0.9))
    """
    return simulated if told is None or simulated[0] <= told[0] else told


def joint_note(targets: Sequence[Target], simulated: Sequence[Chance], told: Sequence[Chance | None]) -> list[str]:
    """Say that the joint probability is the simulation's, where the history is less sure of a target."""
    fewer = [
        f"{t} ({p[0]:.3f})" for t, s, p in zip(targets, simulated, told, strict=True) if p is not None and p[0] < s[0]
    ]
    if not fewer:
        return []
    return [
        f"The joint probability is the simulation's alone. The history is less sure of {'; '.join(fewer)}: that lower "
        "probability is the one shown."
    ]
