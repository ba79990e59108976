"""The scenario as arrays: what both engines read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bposim.errors import ParameterError, parameter

if TYPE_CHECKING:
    from bposim.scenario import Scenario

DRAIN = ("serve", "disconnect", "leave")
CHOICES = ("longest-wait", "skill-order")
#: Patience of a contact that never hangs up, in ms.
FOREVER = np.int64(1) << 60
NO_LIMIT = np.int64(1) << 40


@dataclass(frozen=True, eq=False)
class Model:
    """Routing, limits and calendar of a scenario.

    Attributes
    ----------
    types, groups : tuple of str
    multiplier : ndarray of float, shape (n_types, n_groups)
        Handle-time multiplier, 0 where the group lacks the skill.
    group_order : ndarray of int64, shape (n_types, n_groups)
        Groups able to take a type, best first, padded with −1.
    by_preference : ndarray of bool, shape (n_types,)
        Whether the order decides before idle time does.
    skill_rank : ndarray of int64, shape (n_groups, n_types)
        Place of a type in the group's order of skills; n_types where it lacks it.
    priority : ndarray of int64, shape (n_types,)
    live : ndarray of bool, shape (n_types,)
        Whether waiting contacts are settled at closing (voice, chat).
    type_limit : ndarray of int64, shape (n_types,)
    queue_limit : int
    choice, drain : int
        Index into ``CHOICES`` and ``DRAIN``.
    start_ms, end_ms, closings_ms : ndarray of int64
        Open intervals and the ends of open stretches.
    """

    types: tuple[str, ...]
    groups: tuple[str, ...]
    multiplier: np.ndarray
    group_order: np.ndarray
    by_preference: np.ndarray
    skill_rank: np.ndarray
    priority: np.ndarray
    live: np.ndarray
    type_limit: np.ndarray
    queue_limit: int
    choice: int
    drain: int
    start_ms: np.ndarray
    end_ms: np.ndarray
    closings_ms: np.ndarray

    @property
    def horizon_ms(self) -> int:
        """End of the last open interval."""
        return int(self.end_ms[-1]) if len(self.end_ms) else 0


def build_model(scenario: Scenario, *, drain: str = "serve") -> Model:
    """Lay a scenario out as arrays.

    Raises
    ------
    ParameterError
        ``drain`` is unknown.
    """
    if drain not in DRAIN:
        raise ParameterError(parameter("drain", "simulate()", f"one of {', '.join(DRAIN)}", drain))
    types, groups = tuple(scenario.contact_types), tuple(scenario.agent_groups)
    multiplier = np.zeros((len(types), len(groups)))
    skill_rank = np.full((len(groups), len(types)), len(types), dtype=np.int64)
    for g, name in enumerate(groups):
        for rank, (skill, factor) in enumerate(scenario.agent_groups[name].skills.items()):
            multiplier[types.index(skill), g] = factor
            skill_rank[g, types.index(skill)] = rank
    group_order = np.full((len(types), len(groups)), -1, dtype=np.int64)
    by_preference = np.zeros(len(types), dtype=bool)
    for t, name in enumerate(types):
        listed = scenario.routing.preference.get(name)
        by_preference[t] = listed is not None or scenario.routing.agent_choice == "preference"
        able = [groups.index(g) for g in listed] if listed is not None else list(np.flatnonzero(multiplier[t]))
        group_order[t, : len(able)] = able
        unlisted = [g for g in np.flatnonzero(multiplier[t]) if g not in able]
        multiplier[t, unlisted] = 0.0  # groups off the preference list never take the type
        skill_rank[unlisted, t] = len(types)
    kinds = scenario.contact_types.values()
    return Model(
        types=types,
        groups=groups,
        multiplier=multiplier,
        group_order=group_order,
        by_preference=by_preference,
        skill_rank=skill_rank,
        priority=np.array([k.priority for k in kinds], dtype=np.int64),
        live=np.array([not k.deferred for k in kinds], dtype=bool),
        type_limit=np.array([NO_LIMIT if k.queue_limit is None else k.queue_limit for k in kinds], dtype=np.int64),
        queue_limit=int(NO_LIMIT if scenario.queue_limit is None else scenario.queue_limit),
        choice=CHOICES.index(scenario.routing.contact_choice),
        drain=DRAIN.index(drain),
        start_ms=scenario.grid.start_ms,
        end_ms=scenario.grid.end_ms,
        closings_ms=scenario.grid.closings(),
    )
