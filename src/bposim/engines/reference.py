"""The SimPy engine: readable, and the definition of what is right.

Every rule here is written in ``docs/design/time-and-ties.md``; paragraph numbers stand beside the code.
"""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import simpy
from simpy.core import EventPriority

from bposim.engines.draws import Draws
from bposim.engines.model import CHOICES, DRAIN, FOREVER, Model
from bposim.schema import OUTCOMES

# Order of simultaneous events (paragraph 3).
COMPLETION, STAFFING, ABANDONMENT, CLOSING, ARRIVAL = range(5)
ANSWERED, ABANDONED, BLOCKED, DISCONNECTED, OPEN = (
    OUTCOMES.index(o) for o in ("answered", "abandoned", "blocked", "disconnected", "open")
)
_CLASS = 1 << 40


@dataclass(frozen=True, eq=False)
class Records:
    """What became of each contact, and who was present when.

    Attributes
    ----------
    answered_ms, ended_ms : ndarray of int64, shape (n_contacts,)
        −1 where never answered.
    group, agent : ndarray of int64
        −1 where nobody answered.
    outcome : ndarray of int64
        Index into ``schema.OUTCOMES``.
    presence_ms, presence_group, presence : ndarray of int64, shape (n_changes,)
        From this instant on so many agents of the group are present.
    """

    answered_ms: np.ndarray
    ended_ms: np.ndarray
    group: np.ndarray
    agent: np.ndarray
    outcome: np.ndarray
    presence_ms: np.ndarray
    presence_group: np.ndarray
    presence: np.ndarray


class Centre:
    """Queues and agents of one replication."""

    def __init__(self, model: Model, draws: Draws) -> None:
        self.model, self.draws = model, draws
        self.env = simpy.Environment()
        n, n_groups = len(draws), len(model.groups)
        self.answered = np.full(n, -1, dtype=np.int64)
        self.ended = np.full(n, -1, dtype=np.int64)
        self.group = np.full(n, -1, dtype=np.int64)
        self.agent = np.full(n, -1, dtype=np.int64)
        self.outcome = np.full(n, OPEN, dtype=np.int64)
        self.waiting: list[deque[int]] = [deque() for _ in model.types]
        self.n_waiting = [0] * len(model.types)
        self.is_waiting = [False] * n
        self.idle: list[deque[tuple[int, int]]] = [deque() for _ in range(n_groups)]  # (idle since, agent)
        self.busy = [0] * n_groups
        self.leaving = [0] * n_groups
        self.present = [0] * n_groups
        self.free_numbers: list[list[int]] = [[] for _ in range(n_groups)]
        self.next_number = [0] * n_groups
        self.closed = False
        self.presence: list[tuple[int, int, int]] = []

    @property
    def now(self) -> int:
        """Milliseconds since the scenario's start."""
        return int(self.env.now)

    # Time ----------------------------------------------------------------------------------------------------------

    def at(self, when: int, kind: int, number: int) -> simpy.Event:
        """Return an event of a class and id at an instant; simultaneous events keep the written order."""
        event = self.env.event()
        event._ok, event._value = True, None
        self.env.schedule(event, priority=cast(EventPriority, kind * _CLASS + number), delay=int(when) - self.now)
        return event

    def call(self, when: int, kind: int, number: int, action: Callable[[Any], None]) -> None:
        """Run an action at an instant."""
        callbacks = self.at(when, kind, number).callbacks
        assert callbacks is not None
        callbacks.append(action)

    def run(self) -> Records:
        """Play the replication to its end."""
        self.env.process(self.arrivals())
        self.env.process(self.staffing())
        self.env.process(self.closings())
        self.env.run()
        horizon = self.model.horizon_ms
        for i in np.flatnonzero(self.outcome == OPEN):
            self.ended[i] = max(horizon, self.draws.arrival_ms[i])
        when, group, number = np.array(self.presence, dtype=np.int64).reshape(-1, 3).T
        return Records(self.answered, self.ended, self.group, self.agent, self.outcome, when, group, number)

    def arrivals(self) -> Generator[simpy.Event, None, None]:
        """Let contacts arrive."""
        for i, when in enumerate(self.draws.arrival_ms.tolist()):
            yield self.at(when, ARRIVAL, i)
            self.arrive(i)

    def staffing(self) -> Generator[simpy.Event, None, None]:
        """Change the number of agents: all leave before any join (paragraphs 3 and 9)."""
        d = self.draws
        instants, first = np.unique(d.change_ms, return_index=True)
        edges = [*first.tolist(), len(d.change_ms)]
        for when, begin, end in zip(instants.tolist(), edges[:-1], edges[1:], strict=True):
            yield self.at(when, STAFFING, 0)
            self.closed = False
            rows = range(begin, end)
            for r in rows:
                self.shrink(int(d.change_group[r]), int(d.leave[r]))
            for r in rows:
                self.grow(int(d.change_group[r]), int(d.join[r]))

    def closings(self) -> Generator[simpy.Event, None, None]:
        """Close at the end of every open stretch (paragraph 10)."""
        for when in self.model.closings_ms.tolist():
            yield self.at(when, CLOSING, 0)
            self.close()

    # Contacts ------------------------------------------------------------------------------------------------------

    def arrive(self, i: int) -> None:
        """Serve, block or queue an arriving contact (paragraphs 5 and 6)."""
        m = self.model
        kind = int(self.draws.kind[i])
        group = self.choose_group(kind)
        if group >= 0:
            self.serve(i, group, self.idle[group].popleft()[1])
        elif self.n_waiting[kind] >= m.type_limit[kind] or sum(self.n_waiting) >= m.queue_limit:
            self.outcome[i], self.ended[i] = BLOCKED, self.now
        else:
            self.waiting[kind].append(i)
            self.n_waiting[kind] += 1
            self.is_waiting[i] = True
            patience = int(self.draws.patience_ms[i])
            if patience < FOREVER:
                self.call(self.now + patience, ABANDONMENT, i, lambda _: self.abandon(i))

    def choose_group(self, kind: int) -> int:
        """Return the group whose agent takes an arriving contact, −1 if nobody is idle (paragraph 5)."""
        able = [g for g in self.model.group_order[kind].tolist() if g >= 0 and self.idle[g]]
        if not able:
            return -1
        if self.model.by_preference[kind]:
            return able[0]
        return min(able, key=lambda g: self.idle[g][0][0])  # min keeps the first among equals

    def serve(self, i: int, group: int, agent: int) -> None:
        """Give a contact to an agent."""
        kind = int(self.draws.kind[i])
        handle = int(np.floor(self.draws.handle_ms[i] * self.model.multiplier[kind, group] + 0.5))
        self.outcome[i], self.group[i], self.agent[i] = ANSWERED, group, agent
        self.answered[i], self.ended[i] = self.now, self.now + handle
        self.busy[group] += 1
        self.call(self.now + handle, COMPLETION, i, lambda _: self.complete(i))

    def abandon(self, i: int) -> None:
        """Let a contact hang up, unless it was reached before."""
        if self.is_waiting[i]:
            self.unqueue(i)
            self.outcome[i], self.ended[i] = ABANDONED, self.now

    def unqueue(self, i: int) -> None:
        """Take a contact out of its queue; its place is skipped when the queue is read."""
        self.is_waiting[i] = False
        self.n_waiting[int(self.draws.kind[i])] -= 1

    # Agents --------------------------------------------------------------------------------------------------------

    def complete(self, i: int) -> None:
        """Free the agent: leave, take the next contact, or turn idle (paragraphs 7 and 10)."""
        group, agent = int(self.group[i]), int(self.agent[i])
        self.busy[group] -= 1
        draining = self.closed and DRAIN[self.model.drain] == "serve"
        if self.leaving[group] > 0 and not (draining and self.choose_contact(group, live_only=True) >= 0):
            self.leaving[group] -= 1
            self.depart(group, agent)
        else:
            self.next_contact(group, agent, live_only=self.leaving[group] > 0)

    def next_contact(self, group: int, agent: int, *, live_only: bool = False) -> None:
        """Take a waiting contact or turn idle."""
        i = self.choose_contact(group, live_only=live_only)
        if i >= 0:
            self.unqueue(i)
            self.serve(i, group, agent)
        else:
            self.idle[group].append((self.now, agent))

    def choose_contact(self, group: int, *, live_only: bool) -> int:
        """Return the waiting contact that a freed agent takes, −1 if there is none (paragraph 8)."""
        m = self.model
        best, best_key = -1, None
        for kind, queue in enumerate(self.waiting):
            if m.multiplier[kind, group] <= 0 or (live_only and not m.live[kind]):
                continue
            while queue and not self.is_waiting[queue[0]]:
                queue.popleft()
            if queue:
                i = queue[0]
                rank = m.skill_rank[group, kind] if CHOICES[m.choice] == "skill-order" else 0
                key = (m.priority[kind], rank, i)  # ids are in order of arrival
                if best_key is None or key < best_key:
                    best, best_key = i, key
        return best

    def shrink(self, group: int, k: int) -> None:
        """Send k agents home: idle ones now, the rest when they complete (paragraph 9)."""
        for _ in range(k):
            if self.idle[group]:
                self.depart(group, self.idle[group].popleft()[1])
            else:
                self.leaving[group] += 1

    def grow(self, group: int, k: int) -> None:
        """Let k agents join, under the lowest free numbers (paragraph 9)."""
        joined = []
        for _ in range(k):
            if self.free_numbers[group]:
                joined.append(heapq.heappop(self.free_numbers[group]))
            else:
                joined.append(self.next_number[group])
                self.next_number[group] += 1
        if k:
            self.set_present(group, self.present[group] + k)
        for agent in joined:
            self.next_contact(group, agent)

    def depart(self, group: int, agent: int) -> None:
        """Take an agent off the floor."""
        heapq.heappush(self.free_numbers[group], agent)
        self.set_present(group, self.present[group] - 1)

    def set_present(self, group: int, number: int) -> None:
        """Note how many agents of a group are present."""
        self.present[group] = number
        self.presence.append((self.now, group, number))

    def close(self) -> None:
        """Close the doors (paragraph 10)."""
        self.closed = True
        for group in range(len(self.model.groups)):
            while self.idle[group]:
                self.depart(group, self.idle[group].popleft()[1])
            self.leaving[group] = self.busy[group]
        if DRAIN[self.model.drain] == "disconnect":
            for kind, queue in enumerate(self.waiting):
                if self.model.live[kind]:
                    for i in queue:
                        if self.is_waiting[i]:
                            self.unqueue(i)
                            self.outcome[i], self.ended[i] = DISCONNECTED, self.now
                    queue.clear()


def run(model: Model, draws: Draws) -> Records:
    """Play one replication in SimPy.

    Parameters
    ----------
    model : Model
    draws : Draws

    Returns
    -------
    Records
    """
    return Centre(model, draws).run()
