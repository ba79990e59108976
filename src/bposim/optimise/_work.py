"""The queues of a scenario as the formulas want them: rates, handle times, patience and limits of each set of types."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bposim.distributions import Distribution, mixture
from bposim.optimise._demand import Demand, Followed
from bposim.optimise._levels import Cases, Goal, fraction, least
from bposim.optimise._rates import Rates, in_classes
from bposim.optimise._skills import at_slots
from bposim.scenario import Scenario

#: Occupancy at which deferred work is planned when no cap is given.
DEFERRED_OCCUPANCY = 0.9
#: Most classes of an interval; fewer where each takes milliseconds.
_MANY, _FEW = 24, 6
_TINY = 1e-9


class Work:
    """Handle time, patience, workload and demand of each contact type over the grid.

    Attributes
    ----------
    handle, patience, contacts, load : mapping of contact type to ndarray, shape (n_intervals,)
        Mean seconds, expected contacts, Erlangs of the contacts that come in the interval.
    deferred : set of str
    slower : mapping of contact type to float
        Mean handle-time multiplier of the groups that can take it.
    """

    def __init__(
        self, scenario: Scenario, rates: Rates, able: dict[str, tuple[str, ...]], *, method: str, demand: str
    ) -> None:
        grid = scenario.grid
        self.scenario, self.rates, self.method = scenario, rates, method
        self.seconds = grid.hours * 3600
        self.deferred = {t for t, c in scenario.contact_types.items() if c.deferred}
        self.handle, self.patience, self.contacts, self.load, self.slower = {}, {}, {}, {}, {}
        self._wanted: dict[str, np.ndarray] = {}
        for t, c in scenario.contact_types.items():
            slower = self.slower[t] = float(np.mean([scenario.agent_groups[g].skills[t] for g in able[t]]))
            after = at_slots(c.after_contact_work, grid.slot) if c.after_contact_work else 0.0
            self.handle[t] = (at_slots(c.handle_time, grid.slot) + after) * slower
            self.patience[t] = at_slots(c.patience, grid.slot)
            self.contacts[t] = rates.mean[t]
            work = rates.mean[t] * self.handle[t]
            if t in self.deferred:
                mask = scenario.open_mask(t)
                width = int(grid.day.max(initial=0)) + 1
                done = np.bincount(grid.day, work, width)
                open_s = np.bincount(grid.day, self.seconds * mask, width)
                level = np.divide(done, open_s, out=np.zeros(width), where=open_s > 0)
                self.load[t] = np.where(mask, level[grid.day], 0.0)
            else:
                self.load[t] = work / self.seconds
        lengths = [float(self.handle[t].min(initial=math.inf)) for t in self.handle if t not in self.deferred]
        self.demand = Demand(demand, grid, min(lengths, default=0.0))

    def wanted(self, contact_type: str) -> np.ndarray:
        """Return contacts per second to staff for, shape (n_intervals, n_points, n_states)."""
        if contact_type not in self._wanted:
            laws = self._handle_laws(contact_type) if self.demand.name == "mol" else []
            given, means = self.rates.states(contact_type), self.handle[contact_type]
            factors = self.rates.factors(contact_type)
            if factors is None:
                found = self.demand.rates(given, laws, means)
            else:  # every rule is linear in a factor that is common to the horizon
                found = self.demand.rates(self.rates.mean[contact_type][:, None], laws, means) * factors
            self._wanted[contact_type] = found
        return self._wanted[contact_type]

    def pool(self, members: tuple[str, ...]) -> Cases:
        """Return the pooled queue of some live types in every interval."""
        wanted = {t: self.wanted(t) for t in members}
        share = {t: w.mean(axis=(1, 2)) for t, w in wanted.items()}
        total = sum(share.values())
        safe = np.where(total > 0, total, 1.0)
        handle = sum(share[t] * self.handle[t] for t in members) / safe
        handle = np.where(total > 0, handle, self.handle[members[0]])
        hazard = sum(share[t] / self.patience[t] for t in members) / safe
        patience = np.divide(1.0, hazard, out=np.full(len(handle), math.inf), where=hazard > 0)
        come = sum(self.rates.states(t) for t in members) / self.seconds[:, None]
        if self.demand.name == "mol":
            rate = sum(w * self.handle[t][:, None, None] for t, w in wanted.items()) / handle[:, None, None]
        else:
            rate = sum(wanted.values())
        n, _, states = rate.shape
        weight = np.broadcast_to(come[:, None, :], rate.shape).reshape(-1, states)
        rates, weights = (x.reshape(n, -1) for x in in_classes(rate.reshape(-1, states), weight))
        # Where nobody comes, those who are still being served count.
        weights = np.where(weights.sum(axis=1, keepdims=True) > 0, weights, rates)
        laws = self._laws(members, share)
        most = _FEW if laws is not None else _MANY
        if rates.shape[1] > most:  # states and instants of the interval together
            rates, weights = in_classes(rates, weights, most)
        come_so = None if self.demand.name == "sipp" else weights
        return Cases(rates, handle, patience, come_so, laws, *self._limits(members))

    def required(
        self, members: tuple[str, ...], goals: dict[str, Goal], cap: float | None, floor: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the least whole agents of a set in every interval, and the real number that would do."""
        live = tuple(t for t in members if t not in self.deferred)
        whole, real = np.zeros(len(self.seconds), dtype=int), np.zeros(len(self.seconds))
        method = "erlang-a" if self.method in ("mmng", "simulation") else self.method
        if live:
            cases = self.pool(live)
            asked: list[Goal | None] = list(dict.fromkeys(goals[t] for t in live if t in goals)) or [None]
            for goal in asked:
                need = least(cases, goal, method, cap)
                whole = np.maximum(whole, need)
                real = np.maximum(real, fraction(cases, need, goal, method, cap))
        return self.with_floors(members, whole, real, cap, floor)

    def with_floors(
        self, members: tuple[str, ...], whole: np.ndarray, real: np.ndarray, cap: float | None, floor: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the agents with what deferred work and minimum heads ask beside."""
        live = tuple(t for t in members if t not in self.deferred)
        if len(live) < len(members):
            load = sum(self.load[t] for t in members) / (cap or DEFERRED_OCCUPANCY)
            whole = np.maximum(whole, np.ceil(load - _TINY).astype(int))
            real = np.maximum(real, load)
        least_here = np.zeros(len(whole), dtype=int)
        if live:  # where the load of earlier contacts is asked for, somebody still takes those who come
            least_here += sum(self.contacts[t] for t in live) > 0
        if floor and len(members) == 1:
            least_here = np.where(self.load[members[0]] > 0, np.maximum(least_here, floor), least_here)
        raised = least_here > whole
        return np.maximum(whole, least_here), np.where(raised, np.maximum(real, least_here), real)

    def limited(self, members: tuple[str, ...]) -> bool:
        """Tell whether a set of live types has a limit on its queue or its lines."""
        types = self.scenario.contact_types
        own = all(types[t].queue_limit is not None for t in members)
        return own or self.scenario.queue_limit is not None or self.scenario.trunks is not None

    def _limits(self, members: tuple[str, ...]) -> tuple[np.ndarray | None, np.ndarray | None]:
        if not self.limited(members) or self.method == "square-root":
            return None, None
        own = [self.scenario.contact_types[t].queue_limit for t in members]
        all_own = sum(v for v in own if v is not None) if None not in own else math.inf
        common = math.inf if self.scenario.queue_limit is None else self.scenario.queue_limit
        trunks = math.inf if self.scenario.trunks is None else self.scenario.trunks
        return np.full(len(self.seconds), float(min(all_own, common))), np.full(len(self.seconds), float(trunks))

    def _handle_laws(self, contact_type: str) -> list[Any]:
        """Return the law of the time that a contact keeps an agent, one an interval."""
        c, slow = self.scenario.contact_types[contact_type], self.slower[contact_type]
        made: dict[tuple[Distribution, Distribution | None], Any] = {}
        laws = []
        for slot in self.scenario.grid.slot:
            talk = _at(c.handle_time, slot)
            work = _at(c.after_contact_work, slot) if c.after_contact_work else None
            if (talk, work) not in made:
                own = talk.scaled(slow)
                made[talk, work] = Followed(own, work.scaled(slow)) if work is not None and work.mean > 0 else own
            laws.append(made[talk, work])
        return laws

    def _laws(self, members: tuple[str, ...], share: dict[str, np.ndarray]) -> np.ndarray | None:
        """Return the patience law of the pooled contacts of each interval; None where exponential ones say it all."""
        if self.method != "mmng":
            return None
        types = self.scenario.contact_types
        if len(members) == 1 and all(_memoryless(law) for law in types[members[0]].patience):
            return None
        result = np.empty(len(self.seconds), dtype=object)
        made: dict[Any, Distribution] = {}
        for k, slot in enumerate(self.scenario.grid.slot):
            laws = tuple(_at(types[t].patience, slot) for t in members)
            parts = np.array([share[t][k] for t in members])
            # To a hundredth, so that intervals with nearly the same mix are solved once.
            parts = np.round(100 * parts / parts.sum()) if parts.sum() > 0 else np.ones(len(members))
            key = (laws, tuple(parts))
            if key not in made:
                some = parts > 0
                chosen = [law for law, here in zip(laws, some, strict=True) if here]
                made[key] = chosen[0] if len(chosen) == 1 else mixture(list(parts[some] / parts.sum()), chosen)
            result[k] = made[key]
        return result


def _at(values: tuple, slot: int) -> Any:
    return values[0] if len(values) == 1 else values[min(int(slot), len(values) - 1)]


def _memoryless(law: Any) -> bool:
    return law.kind == "infinite" or (law.kind == "exponential" and not law.zero)
