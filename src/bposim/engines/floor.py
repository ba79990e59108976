"""The agents of the SimPy engine: who is there, free, on a contact, on a break, or about to leave.

Groups are of three kinds: counted by heads, of named agents, and of agents with several contacts in hand. Paragraph
numbers refer to ``docs/design/mechanics.md``.
"""

from __future__ import annotations

import heapq
from collections import deque
from typing import TYPE_CHECKING

from bposim.engines.model import PACE_UNIT, SHARE_UNIT

if TYPE_CHECKING:
    from bposim.engines.reference import Centre

Agent = tuple[int, int]


class Floor:
    """Agents of all groups in one replication."""

    def __init__(self, centre: Centre) -> None:
        model = centre.model
        n = len(model.groups)
        self.centre, self.model = centre, model
        self.slots = model.slots.tolist()
        #: Whether agents are followed one by one: told to leave or to pause in person.
        self.personal = [bool(model.n_named[g]) or self.slots[g] > 1 for g in range(n)]
        self.present, self.busy, self.leaving = [0] * n, [0] * n, [0] * n
        self.held = [0] * n  # agents who wait with a warm transfer
        self.idle: list[deque[tuple[int, int]]] = [deque() for _ in range(n)]  # (idle since, agent), one contact each
        self.hands: list[dict[int, list[int]]] = [{} for _ in range(n)]  # contacts in hand, several contacts each
        self.since: dict[Agent, int] = {}
        self.touched: dict[Agent, int] = {}
        self.engaged_since: dict[Agent, int] = {}
        self.rest: dict[int, int] = {}  # work left on a contact, in parts of PACE_UNIT
        self.token: dict[int, int] = {}
        self.joined: dict[Agent, int] = {}
        self.worked: dict[Agent, int] = {}
        self.there: set[Agent] = set()
        self.must_leave: set[Agent] = set()
        self.pause: dict[Agent, int] = {}
        self.pending: list[deque[int]] = [deque() for _ in range(n)]  # breaks that wait for running contacts
        self.resting: list[list[int]] = [[] for _ in range(n)]
        self.free_numbers: list[list[int]] = [[] for _ in range(n)]
        self.next_number = [0] * n
        self.epoch = self.n_breaks = 0
        self.presence: list[tuple[int, int, int]] = []
        self.engaged: list[tuple[int, int, int]] = []

    @property
    def now(self) -> int:
        """Milliseconds since the scenario's start."""
        return self.centre.now

    # Who is free ---------------------------------------------------------------------------------------------------

    def free(self, g: int) -> int:
        """Return how many contacts a group could take now."""
        if self.slots[g] == 1:
            return len(self.idle[g])
        return sum(self.slots[g] - len(hand) for a, hand in self.hands[g].items() if self.takes_more(g, a))

    def takes_more(self, g: int, a: int) -> bool:
        """Tell whether an agent with contacts in hand is neither leaving nor about to pause."""
        return (g, a) not in self.must_leave and (g, a) not in self.pause

    def free_agents(self, g: int) -> list[int]:
        """Return the free agents: the longest idle first, or by number where they take several contacts."""
        if self.slots[g] == 1:
            return [a for _, a in self.idle[g]]
        hands = self.hands[g]
        return [a for a in sorted(hands) if len(hands[a]) < self.slots[g] and self.takes_more(g, a)]

    def busy_share(self, g: int, a: int) -> int:
        """Return the share of its time since it joined that an agent was on contacts, in parts of SHARE_UNIT."""
        ongoing = self.now - self.engaged_since[g, a] if self.slots[g] > 1 and self.hands[g][a] else 0
        return (self.worked[g, a] + ongoing) * SHARE_UNIT // max(self.now - self.joined[g, a], 1)

    def candidate(self, g: int) -> tuple[int, int]:
        """Return the agent whom a contact goes to, and the instant since when it has been as it is (M10, M19)."""
        if self.slots[g] == 1:
            return self.idle[g][0]
        a = min(self.free_agents(g), key=lambda a: (len(self.hands[g][a]), self.since[g, a], a))
        return self.since[g, a], a

    def able_to_take(self, g: int) -> int:
        """Return the agents who will take contacts after closing: those on one, and not waiting with a transfer (T10)."""
        return self.busy[g] - self.held[g]

    # Contacts ------------------------------------------------------------------------------------------------------

    def take(self, i: int, g: int, a: int, work: int) -> None:
        """Begin the work on a contact."""

        if self.slots[g] > 1:
            if len(self.centre.after):
                work += self.centre.work_ms(i, self.centre.after)
            self.pick_up(i, g, a, work)
            return
        if self.idle[g] and self.idle[g][0][1] == a:
            self.idle[g].popleft()
        else:
            self.drop_idle(g, a)
        self.busy[g] += 1
        self.centre.go_on_at(self.now + work, i)

    def drop_idle(self, g: int, a: int) -> bool:
        """Take an agent out of the idle ones, wherever it stands; tell whether it was one of them."""
        for entry in self.idle[g]:
            if entry[1] == a:
                self.idle[g].remove(entry)
                return True
        return False

    def free_agent(self, i: int, g: int, a: int) -> None:
        """Free an agent from a contact (M16)."""
        if self.slots[g] > 1:
            self.put_down(i, g, a)
        else:
            self.worked[g, a] += self.now - max(int(self.centre.answered[i]), self.centre.draws.begin_ms)
            self.busy[g] -= 1
        self.freed(g, a)

    def freed(self, g: int, a: int) -> None:
        """Let an agent leave, pause, or take the next contact (M16)."""
        if self.is_leaving(g, a):
            if self.centre.draining and self.take_next(g, a, live_only=True):
                return
            if self.slots[g] > 1 and self.hands[g][a]:
                return
            if self.personal[g]:
                self.must_leave.discard((g, a))
                self.pause.pop((g, a), None)
            else:
                self.leaving[g] -= 1
            self.depart(g, a)
            if self.centre.draining and self.able_to_take(g) == 0:
                for kind in self.model.type_order[g].tolist():
                    if kind >= 0:
                        self.centre.cut_off(kind)
        elif self.personal[g] and (g, a) in self.pause:
            if not (self.slots[g] > 1 and self.hands[g][a]):
                self.go_on_break(g, a, self.pause.pop((g, a)))
        elif self.pending[g]:
            self.go_on_break(g, a, self.pending[g].popleft())
        else:
            self.work_on(g, a)

    def is_leaving(self, g: int, a: int) -> bool:
        """Tell whether an agent who completes a contact goes home."""
        return (g, a) in self.must_leave if self.personal[g] else self.leaving[g] > 0

    def work_on(self, g: int, a: int) -> None:
        """Take waiting contacts, as many as the agent can, or turn idle."""
        if self.slots[g] == 1:
            if not self.take_next(g, a, live_only=False):
                self.idle[g].append((self.now, a))
            return
        while len(self.hands[g][a]) < self.slots[g] and self.take_next(g, a, live_only=False):
            pass

    def take_next(self, g: int, a: int, *, live_only: bool) -> bool:
        """Take one waiting contact, if there is any for this agent."""
        free = self.free(g) + (self.slots[g] == 1)
        i = self.centre.choose_contact(g, free, live_only=live_only)
        if i < 0:
            return False
        self.centre.unqueue(i)
        self.centre.serve(i, g, a)
        return True

    # Several contacts in hand (M19) --------------------------------------------------------------------------------

    def pick_up(self, i: int, g: int, a: int, work: int) -> None:
        """Add a contact to those in hand; all go on at the new pace."""
        self.progress(g, a)
        if not self.hands[g][a]:
            self.busy[g] += 1
            self.engaged_since[g, a] = self.now
        self.hands[g][a].append(i)
        self.since[g, a] = self.now
        self.rest[i], self.token[i] = work * PACE_UNIT, 0
        self.reschedule(g, a)

    def put_down(self, i: int, g: int, a: int) -> None:
        """Take a completed contact out of those in hand."""
        self.progress(g, a)
        self.hands[g][a].remove(i)
        self.since[g, a] = self.now
        self.token[i] += 1
        if not self.hands[g][a]:
            self.busy[g] -= 1
            self.engaged.append((g, self.engaged_since[g, a], self.now))
            self.worked[g, a] += self.now - self.engaged_since[g, a]
        self.reschedule(g, a)

    def progress(self, g: int, a: int) -> None:
        """Book the work done since the number in hand last changed."""
        hand = self.hands[g][a]
        done = (self.now - self.touched[g, a]) * int(self.model.pace[g, len(hand)])
        for i in hand:
            self.rest[i] -= done
        self.touched[g, a] = self.now

    def reschedule(self, g: int, a: int) -> None:
        """Set the ends of all contacts in hand by the present pace."""
        from bposim.engines.reference import COMPLETION

        hand = self.hands[g][a]
        pace = int(self.model.pace[g, len(hand)])
        for i in hand:
            self.token[i] += 1
            due = self.now + max(-(-self.rest[i] // pace), 0)

            def end(_: object, i: int = i, token: int = self.token[i]) -> None:
                if self.token[i] == token:
                    self.centre.go_on(i)

            self.centre.call(due, COMPLETION, i, end)

    # Staffing ------------------------------------------------------------------------------------------------------

    def hire(self, g: int) -> int:
        """Add an agent who is on a contact already, and return its number (a given state)."""
        a = self.number(g)
        self.set_present(g, self.present[g] + 1)
        self.joined[g, a], self.worked[g, a] = self.now, 0
        self.busy[g] += 1
        return a

    def number(self, g: int) -> int:
        """Return the lowest free number."""
        if self.free_numbers[g]:
            return heapq.heappop(self.free_numbers[g])
        self.next_number[g] += 1
        return self.next_number[g] - 1

    def grow(self, g: int, k: int, named: int) -> None:
        """Let k agents join, or one by name (T9, M14)."""
        if named >= 0:
            if (g, named) in self.there:
                self.must_leave.discard((g, named))
                return
            joined = [named]
        else:
            joined = [self.number(g) for _ in range(k)]
        self.set_present(g, self.present[g] + len(joined))
        for a in joined:
            self.joined[g, a], self.worked[g, a] = self.now, 0
            self.start(g, a)

    def start(self, g: int, a: int) -> None:
        """Let an agent begin to work, after joining or a break."""
        self.there.add((g, a))
        if self.slots[g] > 1:
            self.hands[g][a] = []
            self.since[g, a] = self.touched[g, a] = self.now
        self.work_on(g, a)

    def shrink(self, g: int, k: int, named: int) -> None:
        """Send k agents home, or one by name: idle ones now, others after their contacts (T9, M14, M19)."""
        if named >= 0:
            if (g, named) in self.there:
                self.send_home(g, named)
            return
        for _ in range(k):
            if self.personal[g]:
                staying = [a for a in self.hands[g] if (g, a) not in self.must_leave]
                if staying:
                    self.send_home(g, self.least_in_hand(g, staying))
                elif away := [a for a in self.resting[g] if (g, a) not in self.must_leave]:
                    self.must_leave.add((g, min(away)))
            elif self.idle[g]:
                self.depart(g, self.idle[g].popleft()[1])
            else:
                self.leaving[g] += 1
                while len(self.pending[g]) > max(self.busy[g] - self.leaving[g], 0):
                    self.pending[g].pop()  # nobody is left to take it

    def least_in_hand(self, g: int, agents: list[int]) -> int:
        """Return the agent with nothing in hand for the longest, else the one with the fewest contacts."""
        hands = self.hands[g]
        return min(agents, key=lambda a: (len(hands[a]), 0 if hands[a] else self.since[g, a], a))

    def send_home(self, g: int, a: int) -> None:
        """Let a certain agent leave now, or after its contacts or its break."""
        if self.slots[g] > 1 and a in self.hands[g] and not self.hands[g][a]:
            self.pause.pop((g, a), None)
            self.depart(g, a)
        elif self.slots[g] == 1 and self.drop_idle(g, a):
            self.depart(g, a)
        else:
            self.must_leave.add((g, a))

    def depart(self, g: int, a: int) -> None:
        """Take an agent off the floor."""
        self.there.discard((g, a))
        self.hands[g].pop(a, None)
        if not self.model.n_named[g]:
            heapq.heappush(self.free_numbers[g], a)
        self.set_present(g, self.present[g] - 1)

    def set_present(self, g: int, number: int) -> None:
        """Note how many agents of a group are present."""
        self.present[g] = number
        self.presence.append((self.now, g, number))

    def close(self) -> None:
        """End all breaks, send the idle home, and tell the others to leave after their contacts (T10)."""
        self.epoch += 1
        self.pause.clear()
        for g in range(len(self.present)):
            self.pending[g].clear()
            for a in self.resting[g]:
                self.there.discard((g, a))
                self.must_leave.discard((g, a))
                if not self.model.n_named[g]:
                    heapq.heappush(self.free_numbers[g], a)
            self.resting[g].clear()
            idle, self.idle[g] = self.idle[g], deque()
            for _, a in idle:
                if not (self.centre.draining and self.take_next(g, a, live_only=True)):
                    self.depart(g, a)
            for a in sorted(self.hands[g]):
                while self.centre.draining and len(self.hands[g][a]) < self.slots[g]:
                    if not self.take_next(g, a, live_only=True):
                        break
                if not self.hands[g][a]:
                    self.must_leave.discard((g, a))
                    self.depart(g, a)
            if self.personal[g]:
                self.must_leave |= {agent for agent in self.there if agent[0] == g}
            else:
                self.leaving[g] = self.busy[g]

    # Breaks (M15) --------------------------------------------------------------------------------------------------

    def send_on_break(self, g: int, k: int, named: int, away: int) -> None:
        """Send k agents, or one by name, on a break: idle ones now, others after their contacts."""
        for _ in range(k):
            if named >= 0:
                self.send_person(g, named, away)
            elif self.slots[g] > 1:
                able = [a for a in self.hands[g] if self.takes_more(g, a)]
                if able:
                    self.send_person(g, self.least_in_hand(g, able), away)
            elif self.idle[g]:
                self.go_on_break(g, self.idle[g].popleft()[1], away)
            elif self.busy[g] - self.leaving[g] > len(self.pending[g]):
                self.pending[g].append(away)

    def send_person(self, g: int, a: int, away: int) -> None:
        """Send a certain agent on a break, if it is at work and stays."""
        if (g, a) not in self.there or a in self.resting[g] or (g, a) in self.must_leave:
            return
        if self.drop_idle(g, a) or (self.slots[g] > 1 and not self.hands[g][a]):
            self.go_on_break(g, a, away)
        else:
            self.pause[g, a] = away

    def go_on_break(self, g: int, a: int, away: int) -> None:
        """Begin a break."""
        from bposim.engines.reference import TIMER

        self.hands[g].pop(a, None)
        self.resting[g].append(a)
        self.set_present(g, self.present[g] - 1)
        epoch, self.n_breaks = self.epoch, self.n_breaks + 1
        self.centre.call(self.now + away, TIMER, self.n_breaks, lambda _: self.come_back(g, a, epoch))

    def come_back(self, g: int, a: int, epoch: int) -> None:
        """End a break: back to work, unless the shift or the day ended meanwhile."""
        if epoch != self.epoch:
            return
        self.resting[g].remove(a)
        if self.is_leaving(g, a):
            if self.personal[g]:
                self.must_leave.discard((g, a))
            else:
                self.leaving[g] -= 1
            self.there.discard((g, a))
            if not self.model.n_named[g]:
                heapq.heappush(self.free_numbers[g], a)
            return
        self.set_present(g, self.present[g] + 1)
        self.start(g, a)
