"""The scenario as arrays: what both engines read."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from bposim.engines.policies import Policies
from bposim.errors import ParameterError, parameter
from bposim.scenario.mechanics import AGENT_CHOICES, CONTACT_CHOICES

if TYPE_CHECKING:
    from bposim.scenario import Scenario
    from bposim.scenario.models import ContactType

DRAIN = ("serve", "disconnect", "leave")
#: Patience of a contact that never hangs up, in ms.
FOREVER = np.int64(1) << 60
NO_LIMIT = np.int64(1) << 40
#: Work and delays are shorter than this (397 days).
LONGEST_MS = 1 << 35
#: Weights and paces are whole numbers of these parts.
WEIGHT_UNIT = 1000
PACE_UNIT = 1_000_000
#: Busy shares are compared in these parts.
SHARE_UNIT = 1 << 20
#: Uniforms that decide in a run are whole numbers below this.
UNIT = 1 << 32


@dataclass(frozen=True, eq=False)
class Model:
    """Routing, limits and calendar of a scenario.

    Attributes
    ----------
    types, groups : tuple of str
    multiplier : ndarray of float, shape (n_types, n_groups)
        Handle-time multiplier, 0 where the group does not take the type.
    group_order : ndarray of int64, shape (n_types, n_groups)
        Groups able to take a type, best first, padded with −1.
    group_rank : ndarray of int64, shape (n_types, n_groups)
    type_order : ndarray of int64, shape (n_groups, n_types)
        Types that a group takes, in the scenario's order, padded with −1.
    type_rank : ndarray of int64, shape (n_groups, n_types)
        Under ``skill-order``; n_types where the group lacks the skill.
    priority, credit_ms : ndarray of int64, shape (n_types,)
    weight : ndarray of int64, shape (n_types, n_groups)
        In parts of ``WEIGHT_UNIT``.
    delay_ms : ndarray of int64, shape (n_types, n_groups)
    delays : tuple of ndarray of int64, one for each type
        The distinct delays above 0, ascending.
    reserve : ndarray of int64, shape (n_types, n_groups)
    live : ndarray of bool, shape (n_types,)
        Whether waiting contacts are settled at closing (voice, chat).
    balk_all : ndarray of bool, shape (n_types,)
        Whether the queue of all types deters from joining, not that of the type alone.
    type_limit : ndarray of int64, shape (n_types,)
    queue_limit, trunks : int
    redial : ndarray of int64, shape (n_types, 4)
        Probability of another attempt after abandonment and after blocking, in parts of ``UNIT``; type of the next
        attempt; most attempts.
    callback_ms : ndarray of int64, shape (n_types,)
        Expected wait from which a call-back is offered; ``FOREVER`` for never.
    callback : ndarray of int64, shape (n_types, 2)
        Probability that it is accepted, in parts of ``UNIT``; type of the call-back.
    transfers : tuple of ndarray of int64, shape (n_transfers, 4), one for each type
        Upper end of the uniform, type that follows, whether warm, handover in ms.
    mean_handle_ms : ndarray of int64, shape (n_types,)
    open : ndarray of bool, shape (n_intervals, n_types)
        Whether a type takes contacts in an interval.
    slots : ndarray of int64, shape (n_groups,)
        Contacts that an agent may have in hand.
    pace : ndarray of int64, shape (n_groups, most slots + 1)
        Speed with 0, 1, … contacts in hand, in parts of ``PACE_UNIT``.
    speeds : ndarray of float, shape (n_groups, most agents)
        Speed of named agents; ``n_named`` of them in each group, 0 where agents are counted.
    choice, agent_choice, drain : int
        Index into ``CONTACT_CHOICES``, ``AGENT_CHOICES`` and ``DRAIN``.
    start_ms, end_ms, closings_ms, openings_ms : ndarray of int64
        Open intervals, and the ends and starts of open stretches.
    day, slot : ndarray of int64, shape (n_intervals,)
    policies : Policies or None
        A user's own rules.
    """

    types: tuple[str, ...]
    groups: tuple[str, ...]
    multiplier: np.ndarray
    group_order: np.ndarray
    group_rank: np.ndarray
    type_order: np.ndarray
    type_rank: np.ndarray
    priority: np.ndarray
    credit_ms: np.ndarray
    weight: np.ndarray
    delay_ms: np.ndarray
    delays: tuple[np.ndarray, ...]
    reserve: np.ndarray
    live: np.ndarray
    balk_all: np.ndarray
    type_limit: np.ndarray
    queue_limit: int
    trunks: int
    redial: np.ndarray
    callback_ms: np.ndarray
    callback: np.ndarray
    transfers: tuple[np.ndarray, ...]
    mean_handle_ms: np.ndarray
    open: np.ndarray
    slots: np.ndarray
    pace: np.ndarray
    speeds: np.ndarray
    n_named: np.ndarray
    choice: int
    agent_choice: int
    drain: int
    start_ms: np.ndarray
    end_ms: np.ndarray
    closings_ms: np.ndarray
    openings_ms: np.ndarray
    day: np.ndarray
    slot: np.ndarray
    policies: Policies | None = None

    @property
    def horizon_ms(self) -> int:
        """End of the last open interval."""
        return int(self.end_ms[-1]) if len(self.end_ms) else 0

    def spot(self, now: int) -> int:
        """Return the last interval that has begun."""
        return max(int(np.searchsorted(self.start_ms, now, side="right")) - 1, 0)

    @cached_property
    def plain(self) -> bool:
        """Whether waiting, serving and changes of staffing by number are all that can happen.

        The compiled engine has a shorter loop for that; breaks, a given state and spare rows show in the draws.
        """
        return self.policies is None and bool(
            (self.type_limit >= NO_LIMIT).all()
            and self.queue_limit >= NO_LIMIT
            and self.trunks >= NO_LIMIT
            and not self.delay_ms.any()
            and not self.reserve.any()
            and (self.callback_ms >= FOREVER).all()
            and (self.slots == 1).all()
            and not self.n_named.any()
            and CONTACT_CHOICES[self.choice] in ("longest-wait", "skill-order", "fifo")
            and AGENT_CHOICES[self.agent_choice] in ("longest-idle", "preference")
        )


def build_model(scenario: Scenario, *, drain: str = "serve", policies: Policies | None = None) -> Model:
    """Lay a scenario out as arrays.

    Raises
    ------
    ParameterError
        ``drain`` is unknown.
    """
    if drain not in DRAIN:
        raise ParameterError(parameter("drain", "simulate()", f"one of {', '.join(DRAIN)}", drain))
    types, groups = tuple(scenario.contact_types), tuple(scenario.agent_groups)
    kinds, bodies = tuple(scenario.contact_types.values()), tuple(scenario.agent_groups.values())
    n_types, n_groups = len(types), len(groups)
    routing = scenario.routing
    multiplier = np.zeros((n_types, n_groups))
    type_rank = np.full((n_groups, n_types), n_types, dtype=np.int64)
    reserve = np.zeros((n_types, n_groups), dtype=np.int64)
    for g, (name, body) in enumerate(zip(groups, bodies, strict=True)):
        for rank, (skill, factor) in enumerate(body.skills.items()):
            multiplier[types.index(skill), g] = factor
            type_rank[g, types.index(skill)] = routing.type_rank.get(name, {}).get(skill, rank)
        for skill, free in body.reserve.items():
            reserve[types.index(skill), g] = free
    group_order = np.full((n_types, n_groups), -1, dtype=np.int64)
    group_rank = np.zeros((n_types, n_groups), dtype=np.int64)
    delay = np.zeros((n_types, n_groups), dtype=np.int64)
    weight = np.full((n_types, n_groups), WEIGHT_UNIT, dtype=np.int64)
    for t, name in enumerate(types):
        listed = routing.preference.get(name)
        able = [groups.index(g) for g in listed] if listed is not None else np.flatnonzero(multiplier[t]).tolist()
        group_order[t, : len(able)] = able
        if listed is not None or routing.agent_choice == "preference":
            group_rank[t, able] = np.arange(len(able))
        for group, rank in routing.group_rank.get(name, {}).items():
            group_rank[t, groups.index(group)] = rank
        unlisted = [g for g in np.flatnonzero(multiplier[t]) if g not in able]
        multiplier[t, unlisted] = 0.0  # groups off the preference list never take the type
        type_rank[unlisted, t] = n_types
        for group, seconds in routing.delay.get(name, {}).items():
            delay[t, groups.index(group)] = round(seconds * 1000)
        given = routing.weight.get(name, {})
        for g, group in enumerate(groups):
            weight[t, g] = round(given.get(group, given.get("", 1.0)) * WEIGHT_UNIT)
    type_order = np.full((n_groups, n_types), -1, dtype=np.int64)
    for g in range(n_groups):
        able_types = np.flatnonzero(multiplier[:, g])
        type_order[g, : len(able_types)] = able_types
    slots = np.array([1 if b.concurrency is None else b.concurrency.contacts for b in bodies], dtype=np.int64)
    pace = np.full((n_groups, int(slots.max()) + 1), PACE_UNIT, dtype=np.int64)
    for g, body in enumerate(bodies):
        if body.concurrency is not None:
            pace[g, 1 : slots[g] + 1] = np.maximum(np.round(np.array(body.concurrency.pace) * PACE_UNIT), 1)
    n_named = np.array([len(b.agents) for b in bodies], dtype=np.int64)
    speeds = np.ones((n_groups, max(int(n_named.max()), 1)))
    for g, body in enumerate(bodies):
        speeds[g, : n_named[g]] = [a.speed for a in body.agents.values()]
    callback = [FOREVER if k.callback is None else round(k.callback.expected_wait * 1000) for k in kinds]
    accepted = [
        (0, 0) if k.callback is None else (_parts(k.callback.acceptance), types.index(k.callback.to)) for k in kinds
    ]
    redial = [
        (0, 0, 0, 0)
        if (r := k.redial) is None
        else (_parts(r.after_abandonment), _parts(r.after_blocking), types.index(r.to or name), r.at_most)
        for name, k in zip(types, kinds, strict=True)
    ]
    return Model(
        types=types,
        groups=groups,
        multiplier=multiplier,
        group_order=group_order,
        group_rank=group_rank,
        type_order=type_order,
        type_rank=type_rank,
        priority=np.array([k.priority for k in kinds], dtype=np.int64),
        credit_ms=np.array([round(k.credit * 1000) for k in kinds], dtype=np.int64),
        weight=weight,
        delay_ms=delay,
        delays=tuple(_distinct(delay[t], multiplier[t]) for t in range(n_types)),
        reserve=reserve,
        live=np.array([not k.deferred for k in kinds], dtype=bool),
        balk_all=np.array([k.balking_queue == "all" for k in kinds]),
        type_limit=np.array([NO_LIMIT if k.queue_limit is None else k.queue_limit for k in kinds], dtype=np.int64),
        queue_limit=int(NO_LIMIT if scenario.queue_limit is None else scenario.queue_limit),
        trunks=int(NO_LIMIT if scenario.trunks is None else scenario.trunks),
        redial=np.array(redial, dtype=np.int64),
        callback_ms=np.array(callback, dtype=np.int64),
        callback=np.array(accepted, dtype=np.int64),
        transfers=tuple(_transfers(k, types) for k in kinds),
        mean_handle_ms=np.array([_mean_ms(k) for k in kinds], dtype=np.int64),
        open=np.stack([scenario.open_mask(t) for t in types], axis=1),
        slots=slots,
        pace=pace,
        speeds=speeds,
        n_named=n_named,
        choice=CONTACT_CHOICES.index(routing.contact_choice),
        agent_choice=AGENT_CHOICES.index(routing.agent_choice),
        drain=DRAIN.index(drain),
        start_ms=scenario.grid.start_ms,
        end_ms=scenario.grid.end_ms,
        closings_ms=scenario.grid.closings(),
        openings_ms=scenario.grid.openings(),
        day=scenario.grid.day,
        slot=scenario.grid.slot,
        policies=policies,
    )


def _distinct(delay: np.ndarray, multiplier: np.ndarray) -> np.ndarray:
    found = np.unique(delay[multiplier > 0])
    return found[found > 0].astype(np.int64)


def _parts(probability: float) -> int:
    return round(probability * UNIT)


def _transfers(kind: ContactType, types: tuple[str, ...]) -> np.ndarray:
    below = np.cumsum([t.probability for t in kind.transfers])
    rows = [
        (_parts(float(b)), types.index(t.to), t.mode == "warm", round(t.handover * 1000))
        for b, t in zip(below, kind.transfers, strict=True)
    ]
    return np.array(rows, dtype=np.int64).reshape(-1, 4)


def _mean_ms(kind: ContactType) -> int:
    laws = (kind.handle_time, kind.after_contact_work or ())
    return round(sum(float(np.mean([d.mean for d in listed])) for listed in laws if listed) * 1000)
