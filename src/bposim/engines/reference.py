"""The SimPy engine: readable, and the definition of what is right.

Every rule here is written in ``docs/design/time-and-ties.md`` (T) and ``docs/design/mechanics.md`` (M); paragraph
numbers stand beside the code.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator
from typing import Any, cast

import numpy as np
import simpy
from simpy.core import EventPriority

from bposim.engines.draws import Draws
from bposim.engines.floor import Floor
from bposim.engines.life import CALLBACK, REDIAL, TRANSFER, Exhausted
from bposim.engines.model import DRAIN, FOREVER, Model
from bposim.engines.policies import PolicyFault, View
from bposim.engines.records import (
    ABANDONED,
    ANSWERED,
    BLOCKED,
    CALLED_BACK,
    DISCONNECTED,
    OPEN,
    UNUSED,
    Records,
)
from bposim.scenario.mechanics import AGENT_CHOICES, CONTACT_CHOICES

# Order of simultaneous events (T3).
COMPLETION, STAFFING, ABANDONMENT, TIMER, CLOSING, ARRIVAL = range(6)
_CLASS = 1 << 40
#: Timers: ends of breaks before ends of delays.
_DELAY = 1 << 39
# What an agent does with a contact after the answer (M7, M8).
TALK, HELD, HANDOVER, AFTER, DONE = range(5)
_NOBODY = (-1, -1)


class Centre:
    """Queues and agents of one replication."""

    def __init__(self, model: Model, draws: Draws) -> None:
        self.model, self.draws = model, draws
        self.env = simpy.Environment(initial_time=draws.begin_ms)
        n, n_types = len(draws), len(model.types)
        self.arrived = draws.arrival_ms.copy()
        self.answered, self.ended, self.released = (np.full(n, -1, dtype=np.int64) for _ in range(3))
        self.group, self.agent = (np.full(n, -1, dtype=np.int64) for _ in range(2))
        self.outcome = np.full(n, UNUSED, dtype=np.int64)
        self.queue: list[deque[int]] = [deque() for _ in range(n_types)]
        self.n_waiting = [0] * n_types
        self.waiting = [False] * n
        self.stage = [DONE] * n
        self.holder = [-1] * n  # the contact whose agent waits for this one to be answered (a warm transfer)
        self.has_line = [False] * n
        self.lines = 0
        self.closed = False
        self.serve_on = DRAIN[model.drain] == "serve"
        self.choice, self.agent_choice = CONTACT_CHOICES[model.choice], AGENT_CHOICES[model.agent_choice]
        self.floor = Floor(self)
        # What a contact comes from; spare rows get theirs when they are used (M1).
        self.handle, self.after = draws.handle_ms.copy(), draws.after_ms.copy()
        self.client, self.attempt = np.full(n, -1, dtype=np.int64), np.zeros(n, dtype=np.int64)
        self.client[: draws.n_first], self.attempt[: draws.n_first] = np.arange(draws.n_first), 1
        self.origin = np.zeros(n, dtype=np.int64)
        self.tries, self.handover = [0] * n, [0] * n
        self.next_spare = draws.pool_ends[:-1].tolist()

    @property
    def now(self) -> int:
        """Milliseconds since the scenario's start."""
        return int(self.env.now)

    @property
    def draining(self) -> bool:
        """Whether the doors are closed and the queue is being served."""
        return self.closed and self.serve_on

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
        self.begin()
        self.env.process(self.arrivals())
        self.env.process(self.staffing())
        self.env.process(self.closings())
        self.env.run()
        horizon = self.model.horizon_ms
        for i in np.flatnonzero(self.outcome == OPEN):
            self.ended[i] = max(horizon, self.arrived[i])
            if self.holder[i] >= 0:
                self.released[self.holder[i]] = self.ended[i]
        unanswered = self.answered < 0
        self.released[unanswered] = self.ended[unanswered]
        presence = np.array(self.floor.presence, dtype=np.int64).reshape(-1, 3).T
        engaged = np.array(self.floor.engaged, dtype=np.int64).reshape(-1, 3).T
        return Records(
            self.arrived, self.answered, self.ended, self.released, self.group, self.agent, self.outcome,
            self.draws.kind, self.client, self.attempt, self.origin, *presence, *engaged,
        )  # fmt: skip

    def begin(self) -> None:
        """Set up a given state: who is being served, who waits (M20)."""
        d = self.draws
        for i, g in enumerate(d.in_service.tolist()):
            kind = int(d.kind[i])
            if g >= 0:
                self.outcome[i], self.answered[i] = ANSWERED, self.arrived[i]
                self.group[i], self.agent[i] = g, self.floor.hire(g)
                self.take_line(i)
                self.stage[i] = TALK
                self.go_on_at(self.now + int(self.handle[i]), i)
            else:
                self.take_line(i)
                self.wait(i, kind)

    def arrivals(self) -> Generator[simpy.Event, None, None]:
        """Let contacts arrive."""
        known = len(self.draws.in_service)
        for i, when in enumerate(self.draws.arrival_ms[: self.draws.n_first].tolist()):
            if i >= known:
                yield self.at(when, ARRIVAL, i)
                self.enter(i)

    def staffing(self) -> Generator[simpy.Event, None, None]:
        """Open the doors; change the number of agents: all leave, then all join, then breaks begin (T3, T9)."""
        d, floor = self.draws, self.floor
        openings = self.model.openings_ms[self.model.openings_ms >= d.begin_ms]
        for when in np.union1d(d.change_ms, openings).tolist():
            yield self.at(when, STAFFING, 0)
            if when in openings:
                self.closed = False
            begin, end = np.searchsorted(d.change_ms, [when, when + 1]).tolist()
            rows = [
                (
                    int(d.change_group[r]), int(d.leave[r]), int(d.join[r]),
                    int(d.change_agent[r]) if len(d.change_agent) else -1, int(d.away_ms[r]) if len(d.away_ms) else 0,
                )
                for r in range(begin, end)
            ]  # fmt: skip
            for g, leave, _, named, away in rows:
                if leave and away == 0:
                    floor.shrink(g, leave, named)
            for g, _, join, named, _ in rows:
                if join:
                    floor.grow(g, join, named)
            for g, leave, _, named, away in rows:
                if leave and away:
                    floor.send_on_break(g, leave, named, away)

    def closings(self) -> Generator[simpy.Event, None, None]:
        """Close at the end of every open stretch (T10)."""
        for when in self.model.closings_ms[self.model.closings_ms > self.draws.begin_ms].tolist():
            yield self.at(when, CLOSING, 0)
            self.close()

    # A contact's arrival -------------------------------------------------------------------------------------------

    def enter(self, i: int, *, line: bool = False) -> None:
        """Serve, block, turn away or queue a contact (M2); ``line`` tells that it brings a line of its own."""
        m, d, kind = self.model, self.draws, int(self.draws.kind[i])
        self.arrived[i], self.outcome[i] = self.now, OPEN
        self.has_line[i] = line
        if m.live[kind] and not line and self.origin[i] != CALLBACK:
            if self.lines >= m.trunks:
                self.leave(i, BLOCKED)
                return
            self.take_line(i)
        group, agent = self.choose_agent(i)
        if group >= 0:
            self.serve(i, group, agent)
        elif self.n_waiting[kind] >= m.type_limit[kind] or sum(self.n_waiting) >= m.queue_limit:
            self.leave(i, BLOCKED)
        elif len(d.balk_at) and (sum(self.n_waiting) if m.balk_all[kind] else self.n_waiting[kind]) >= d.balk_at[i]:
            self.leave(i, ABANDONED)
        elif (
            m.callback_ms[kind] < FOREVER
            and self.origin[i] != CALLBACK
            and d.callback_u[i] < m.callback[kind, 0]
            and self.expected_wait(kind) >= m.callback_ms[kind]
        ):
            self.leave(i, CALLED_BACK)
            self.enter(self.become(i, int(m.callback[kind, 1]), CALLBACK))
        else:
            self.wait(i, kind)
            self.cut_off(kind)

    def take_line(self, i: int) -> None:
        """Let a live contact hold a line (M3)."""
        if self.model.live[int(self.draws.kind[i])]:
            self.has_line[i] = True
            self.lines += 1

    def wait(self, i: int, kind: int) -> None:
        """Queue a contact."""
        self.outcome[i] = OPEN
        self.queue[kind].append(i)
        self.n_waiting[kind] += 1
        self.waiting[i] = True
        patience, entered = int(self.draws.patience_ms[i]), int(self.arrived[i])
        if patience < FOREVER:
            self.call(max(entered + patience, self.now), ABANDONMENT, i, lambda _: self.abandon(i))
        self.await_delay(i)

    def expected_wait(self, kind: int) -> int:
        """Return the wait that an arriving contact must expect, in ms (M6)."""
        there = sum(self.floor.present[g] for g in self.model.group_order[kind].tolist() if g >= 0)
        if there == 0:
            return int(FOREVER)
        return (self.n_waiting[kind] + 1) * int(self.model.mean_handle_ms[kind]) // there

    def await_delay(self, i: int) -> None:
        """Set a timer for the next group that becomes eligible for a waiting contact (M9, M12)."""
        waited = self.now - int(self.arrived[i])
        for delay in self.model.delays[int(self.draws.kind[i])].tolist():
            if delay > waited:
                self.call(int(self.arrived[i]) + delay, TIMER, _DELAY + i, lambda _: self.delay_ended(i))
                return

    def delay_ended(self, i: int) -> None:
        """Offer a waiting contact to the groups that have become eligible."""
        if not self.waiting[i]:
            return
        group, agent = self.choose_agent(i)
        if group >= 0:
            self.unqueue(i)
            self.serve(i, group, agent)
        else:
            self.await_delay(i)

    # Choices -------------------------------------------------------------------------------------------------------

    def eligible(self, kind: int, group: int, waited: int, free: int) -> bool:
        """Tell whether a group may take a contact that has waited so long, with so many agents free (M9)."""
        m = self.model
        if m.multiplier[kind, group] <= 0:
            return False
        return self.draining or (waited >= m.delay_ms[kind, group] and free > m.reserve[kind, group])

    def choose_agent(self, i: int) -> tuple[int, int]:
        """Return the group and agent that take a contact now, (−1, −1) if none does (M10)."""
        m, floor, kind = self.model, self.floor, int(self.draws.kind[i])
        if m.policies is not None and m.policies.choose_group is not None:
            return self.ask_for_agent(kind)
        waited = self.now - int(self.arrived[i])
        able = [
            g
            for g in m.group_order[kind].tolist()
            if g >= 0 and floor.free(g) > 0 and self.eligible(kind, g, waited, floor.free(g))
        ]
        if not able:
            return _NOBODY
        least = min(m.group_rank[kind, g] for g in able)
        able = [g for g in able if m.group_rank[kind, g] == least]
        if self.agent_choice == "random":
            agents = [(g, a) for g in able for a in floor.free_agents(g)]
            return agents[int(self.draws.pick[i]) * len(agents) >> 32]
        if self.agent_choice == "least-occupied":
            agents = [(g, a) for g in able for a in floor.free_agents(g)]
            return min(agents, key=lambda agent: floor.busy_share(*agent))  # the first among equals
        if self.agent_choice == "most-free":
            group = max(able, key=floor.free)  # max and min keep the first among equals
        elif self.agent_choice == "preference":
            group = able[0]
        else:
            group = min(able, key=lambda g: floor.candidate(g)[0])
        return group, floor.candidate(group)[1]

    def choose_contact(self, group: int, free: int, *, live_only: bool) -> int:
        """Return the waiting contact that an agent of a group takes, −1 if there is none (M11)."""
        m = self.model
        if m.policies is not None and m.policies.choose_type is not None and not self.draining:
            return self.ask_for_contact(group)
        best, best_key = -1, None
        for kind in m.type_order[group].tolist():
            if kind < 0 or (live_only and not m.live[kind]):
                continue
            i = self.first(kind)
            if i < 0 or not self.eligible(kind, group, self.now - int(self.arrived[i]), free):
                continue
            credited = int(self.arrived[i] - m.credit_ms[kind])
            key = {
                "longest-wait": (m.priority[kind], 0, credited, i),
                "skill-order": (m.priority[kind], m.type_rank[group, kind], credited, i),
                "weighted-wait": (m.priority[kind], -int(m.weight[kind, group]) * (self.now - credited), credited, i),
                "longest-queue": (m.priority[kind], -self.n_waiting[kind], credited, i),
                "fifo": (0, 0, int(self.arrived[i]), i),
            }[self.choice]
            if best_key is None or key < best_key:
                best, best_key = i, key
        return best

    def look(self) -> View:
        """Return what a user's rule sees."""
        m, floor = self.model, self.floor
        firsts = [self.first(k) for k in range(len(m.types))]
        groups = range(len(m.groups))
        free = [floor.free(g) for g in groups]

        def column(values: Any) -> np.ndarray:
            return np.array(values, dtype=np.int64)

        waits = [self.now - int(self.arrived[i]) if i >= 0 else -1 for i in firsts]
        since = [floor.candidate(g)[0] if free[g] else -1 for g in groups]
        return View(
            self.now, column(self.n_waiting), column(waits), column(free), column(floor.present), column(floor.busy),
            column(since), column(m.multiplier > 0),
        )  # fmt: skip

    def ask(self, rule: Callable[[View, int], int], number: int) -> int:
        """Ask a user's rule."""
        try:
            return int(rule(self.look(), number))
        except Exception as error:
            raise PolicyFault(2, -1, self.now, f": {type(error).__name__}: {error}") from error

    def ask_for_agent(self, kind: int) -> tuple[int, int]:
        """Ask the user's rule who takes a contact."""
        assert self.model.policies is not None and self.model.policies.choose_group is not None
        g = self.ask(self.model.policies.choose_group, kind)
        if g < 0:
            return _NOBODY
        if g >= len(self.model.groups) or self.model.multiplier[kind, g] <= 0 or self.floor.free(g) == 0:
            raise PolicyFault(0, g, self.now)
        return g, self.floor.candidate(g)[1]

    def ask_for_contact(self, group: int) -> int:
        """Ask the user's rule which type an agent takes."""
        assert self.model.policies is not None and self.model.policies.choose_type is not None
        if not any(self.n_waiting):
            return -1
        k = self.ask(self.model.policies.choose_type, group)
        if k < 0:
            return -1
        if k >= len(self.model.types) or self.model.multiplier[k, group] <= 0 or self.first(k) < 0:
            raise PolicyFault(1, k, self.now)
        return self.first(k)

    def first(self, kind: int) -> int:
        """Return the first waiting contact of a type, −1 if none waits."""
        queue = self.queue[kind]
        while queue and not self.waiting[queue[0]]:
            queue.popleft()
        return queue[0] if queue else -1

    # Service -------------------------------------------------------------------------------------------------------

    def serve(self, i: int, group: int, agent: int) -> None:
        """Give a contact to an agent who is free."""
        self.outcome[i], self.group[i], self.agent[i], self.answered[i] = ANSWERED, group, agent, self.now
        work = self.work_ms(i, self.handle)
        held = self.holder[i]
        if held >= 0:
            work += self.handover[i]
        self.stage[i] = TALK
        self.floor.take(i, group, agent, work)
        if held >= 0:
            self.holder[i] = -1
            self.stage[held] = HANDOVER
            self.floor.held[self.group[held]] -= 1
            self.go_on_at(self.now + self.handover[i], held)

    def work_ms(self, i: int, column: np.ndarray) -> int:
        """Return a duration of a contact as its agent takes it."""
        m, kind, group, agent = self.model, int(self.draws.kind[i]), int(self.group[i]), int(self.agent[i])
        speed = m.speeds[group, agent] if m.n_named[group] else 1.0
        return int(np.floor(column[i] * (m.multiplier[kind, group] * speed) + 0.5))

    def go_on_at(self, when: int, i: int) -> None:
        """Set the end of a stage of an agent's work on a contact."""
        self.call(when, COMPLETION, i, lambda _: self.go_on(i))

    def go_on(self, i: int) -> None:
        """End a stage of an agent's work on a contact."""
        if self.stage[i] == TALK:
            self.end_talk(i)
        elif self.stage[i] == HANDOVER:
            self.end_contact(i)
        elif self.stage[i] == AFTER:
            self.release(i)

    def end_talk(self, i: int) -> None:
        """End the talk; a transferred contact goes on before its agent is freed (M7)."""
        self.ended[i] = self.now
        m, kind = self.model, int(self.draws.kind[i])
        onward = [t for t in m.transfers[kind].tolist() if self.draws.transfer_u[i] < t[0]]
        if not onward:
            self.give_line_back(i)
            self.end_contact(i)
            return
        _, to, warm, handover = onward[0]
        j = self.become(i, to, TRANSFER)
        self.handover[j] = handover
        line, self.has_line[i] = self.has_line[i], False
        if line and not m.live[to]:  # goes on as a message: the line is free
            self.lines, line = self.lines - 1, False
        if not warm:
            self.enter(j, line=line)
            self.end_contact(i)
            return
        group = int(self.group[i])
        self.holder[j], self.stage[i] = i, HELD
        self.floor.held[group] += 1
        self.enter(j, line=line)
        if self.draining and self.floor.able_to_take(group) == 0:
            for kind in m.type_order[group].tolist():
                if kind >= 0:
                    self.cut_off(kind)

    def end_contact(self, i: int) -> None:
        """Begin the after-contact work, or free the agent (M8)."""
        group = int(self.group[i])
        if self.stage[i] == HELD:
            self.floor.held[group] -= 1
        after = self.work_ms(i, self.after) if len(self.after) and self.model.slots[group] == 1 else 0
        if after > 0:
            self.stage[i] = AFTER
            self.go_on_at(self.now + after, i)
        else:
            self.release(i)

    def release(self, i: int) -> None:
        """Free the agent of a contact."""
        self.stage[i], self.released[i] = DONE, self.now
        self.floor.free_agent(i, int(self.group[i]), int(self.agent[i]))

    # Leaving -------------------------------------------------------------------------------------------------------

    def abandon(self, i: int) -> None:
        """Let a contact hang up, unless it was reached before."""
        if self.waiting[i]:
            self.unqueue(i)
            self.leave(i, ABANDONED)

    def unqueue(self, i: int) -> None:
        """Take a contact out of its queue; its place is skipped when the queue is read."""
        self.waiting[i] = False
        self.n_waiting[int(self.draws.kind[i])] -= 1

    def leave(self, i: int, outcome: int) -> None:
        """Let a contact go without service; whoever kept it company is freed, and it may try again (M5)."""
        self.outcome[i], self.ended[i] = outcome, self.now
        self.give_line_back(i)
        redial = self.model.redial[int(self.draws.kind[i])].tolist()
        if (
            outcome in (ABANDONED, BLOCKED)
            and self.tries[i] < redial[3]
            and self.draws.redial_u[i] < redial[int(outcome == BLOCKED)]
        ):
            j = self.become(i, redial[2], REDIAL)
            self.call(self.now + int(self.draws.gap_ms[i]), ARRIVAL, j, lambda _: self.call_again(j))
        held, self.holder[i] = self.holder[i], -1
        if held >= 0:
            self.end_contact(held)

    def become(self, i: int, to: int, origin: int) -> int:
        """Take a spare row for what a contact becomes (M1)."""
        m, d = self.model, self.draws
        spot = m.spot(self.now)
        pool = int(d.pool_of[to, m.slot[spot]])
        j = self.next_spare[pool]
        if j == d.pool_ends[pool + 1]:
            raise Exhausted(pool)
        self.next_spare[pool] = j + 1
        self.client[j], self.origin[j] = self.client[i], origin
        self.attempt[j] = self.attempt[i] + (origin == REDIAL)
        self.tries[j] = self.tries[i] + 1 if origin == REDIAL else 0
        if origin == REDIAL and to == d.kind[i]:
            self.handle[j] = self.handle[i]
            if len(self.after):
                self.after[j] = self.after[i]
        elif d.drift.shape[1]:
            factor = d.drift[to, m.day[spot]]
            self.handle[j] = int(np.floor(self.handle[j] * factor + 0.5))
            if len(self.after):
                self.after[j] = int(np.floor(self.after[j] * factor + 0.5))
        return j

    def give_line_back(self, i: int) -> None:
        """Free the line that a contact holds."""
        if self.has_line[i]:
            self.has_line[i] = False
            self.lines -= 1

    def call_again(self, j: int) -> None:
        """Let a redial arrive, unless its type is closed then (M5)."""
        m = self.model
        spot = m.spot(self.now)
        if self.now < m.end_ms[spot] and m.open[spot, int(self.draws.kind[j])]:
            self.enter(j)

    # Closing -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Close the doors (T10)."""
        self.closed = True
        self.floor.close()
        for kind in range(len(self.model.types)):
            self.cut_off(kind)

    def cut_off(self, kind: int) -> None:
        """While the doors are closed, cut live contacts off: all of them, or those whom nobody is left to take (T10)."""
        m = self.model
        if not (self.closed and m.live[kind] and self.n_waiting[kind]):
            return
        drain = DRAIN[m.drain]
        if drain == "disconnect" or (
            drain == "serve" and not any(self.floor.able_to_take(g) for g in m.group_order[kind].tolist() if g >= 0)
        ):
            self.disconnect(kind)

    def disconnect(self, kind: int) -> None:
        """Cut off all waiting contacts of a type."""
        for i in self.waiting_of(kind):
            self.unqueue(i)
            self.leave(i, DISCONNECTED)

    def waiting_of(self, kind: int) -> Iterator[int]:
        """Yield the waiting contacts of a type, first to last, while they are taken out."""
        while (i := self.first(kind)) >= 0:
            yield i


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
