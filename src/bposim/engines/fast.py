"""The compiled engine: the reference engine's rules in numba, the same records bit for bit.

It releases the interpreter lock, so that replications run on threads. Paragraph numbers refer to
``docs/design/time-and-ties.md``; the structure follows ``reference.py`` function by function.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from bposim.engines.draws import Draws
from bposim.engines.model import FOREVER, Model
from bposim.engines.reference import ABANDONED, ANSWERED, BLOCKED, DISCONNECTED, OPEN, Records
from bposim.errors import ParameterError

#: Heap keys are (instant << ID_BITS) | contact id.
ID_BITS = 26
_MASK = (1 << ID_BITS) - 1
_NEVER = np.int64(1) << 62
_FOREVER = np.int64(FOREVER)
_SERVE, _DISCONNECT = 0, 1

_jit = njit(cache=True, nogil=True, boundscheck=False)


@_jit
def _push(heap: np.ndarray, size: int, key: int) -> int:
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[up] <= key:
            break
        heap[at] = heap[up]
        at = up
    heap[at] = key
    return size + 1


@_jit
def _pop(heap: np.ndarray, size: int) -> int:
    """Remove the top; the caller has read it. Returns the new size."""
    size -= 1
    key = heap[size]
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        if child + 1 < size and heap[child + 1] < heap[child]:
            child += 1
        if heap[child] >= key:
            break
        heap[at] = heap[child]
        at = child
    heap[at] = key
    return size


@_jit
def _play(
    arrival, kind, handle, patience,
    change_ms, change_group, leave, join, closings,
    multiplier, group_order, by_preference, skill_rank, priority, live, type_limit, queue_limit, choice, drain, horizon,
    answered, ended, group_of, agent_of, outcome, presence_ms, presence_group, presence,
):  # fmt: skip
    """Play one replication into the output arrays; returns the number of presence rows."""
    n = len(arrival)
    n_types, n_groups = multiplier.shape
    # Waiting contacts: a doubly linked list for each type, so that hanging up is one step.
    head = np.full(n_types, -1, np.int64)
    tail = np.full(n_types, -1, np.int64)
    follow = np.full(n, -1, np.int64)
    before = np.full(n, -1, np.int64)
    waiting = np.zeros(n, np.bool_)
    n_waiting = np.zeros(n_types, np.int64)
    total_waiting = 0
    # Agents: for each group a ring of idle ones and a heap of free numbers.
    joins = np.zeros(n_groups, np.int64)
    for c in range(len(change_ms)):
        joins[change_group[c]] += join[c]
    capacity = max(1, joins.max())
    idle_agent = np.empty((n_groups, capacity), np.int64)
    idle_since = np.empty((n_groups, capacity), np.int64)
    idle_first = np.zeros(n_groups, np.int64)
    n_idle = np.zeros(n_groups, np.int64)
    free = np.empty((n_groups, capacity), np.int64)
    n_free = np.zeros(n_groups, np.int64)
    next_number = np.zeros(n_groups, np.int64)
    busy = np.zeros(n_groups, np.int64)
    leaving = np.zeros(n_groups, np.int64)
    present = np.zeros(n_groups, np.int64)
    completions = np.empty(joins.sum() + 1, np.int64)
    n_completions = 0
    hangups = np.empty(n + 1, np.int64)
    n_hangups = 0
    closed = False
    rows = 0
    next_arrival = next_change = next_closing = 0
    n_changes, n_closings = len(change_ms), len(closings)

    while True:
        # The next event: least instant, then least class (paragraph 3).
        now = _NEVER
        event = -1
        if n_completions > 0:
            now = completions[0] >> ID_BITS
            event = 0
        if next_change < n_changes and change_ms[next_change] < now:
            now = change_ms[next_change]
            event = 1
        if n_hangups > 0 and (hangups[0] >> ID_BITS) < now:
            now = hangups[0] >> ID_BITS
            event = 2
        if next_closing < n_closings and closings[next_closing] < now:
            now = closings[next_closing]
            event = 3
        if next_arrival < n and arrival[next_arrival] < now:
            now = arrival[next_arrival]
            event = 4
        if event < 0:
            break

        first_agent_group = -1  # a freed agent to be given work: group, number, or −1
        first_agent = -1
        live_only = False
        if event == 4:
            i = next_arrival
            next_arrival += 1
            k = kind[i]
            g = -1
            for c in range(n_groups):
                candidate = group_order[k, c]
                if candidate < 0:
                    break
                if n_idle[candidate] == 0:
                    continue
                if g < 0 or idle_since[candidate, idle_first[candidate]] < idle_since[g, idle_first[g]]:
                    g = candidate
                if by_preference[k]:
                    break
            if g >= 0:
                a = idle_agent[g, idle_first[g]]
                idle_first[g] = (idle_first[g] + 1) % capacity
                n_idle[g] -= 1
                busy[g] += 1
                end = now + np.int64(np.floor(handle[i] * multiplier[k, g] + 0.5))
                outcome[i] = ANSWERED
                group_of[i] = g
                agent_of[i] = a
                answered[i] = now
                ended[i] = end
                n_completions = _push(completions, n_completions, (end << ID_BITS) | i)
            elif n_waiting[k] >= type_limit[k] or total_waiting >= queue_limit:
                outcome[i] = BLOCKED
                ended[i] = now
            else:
                before[i] = tail[k]
                if tail[k] >= 0:
                    follow[tail[k]] = i
                else:
                    head[k] = i
                tail[k] = i
                waiting[i] = True
                n_waiting[k] += 1
                total_waiting += 1
                if patience[i] < _FOREVER:
                    n_hangups = _push(hangups, n_hangups, ((now + patience[i]) << ID_BITS) | i)
            continue
        if event == 2:
            i = hangups[0] & _MASK
            n_hangups = _pop(hangups, n_hangups)
            if waiting[i]:
                k = kind[i]
                if before[i] >= 0:
                    follow[before[i]] = follow[i]
                else:
                    head[k] = follow[i]
                if follow[i] >= 0:
                    before[follow[i]] = before[i]
                else:
                    tail[k] = before[i]
                waiting[i] = False
                n_waiting[k] -= 1
                total_waiting -= 1
                outcome[i] = ABANDONED
                ended[i] = now
            continue
        if event == 3:
            next_closing += 1
            closed = True
            for g in range(n_groups):
                while n_idle[g] > 0:
                    a = idle_agent[g, idle_first[g]]
                    idle_first[g] = (idle_first[g] + 1) % capacity
                    n_idle[g] -= 1
                    n_free[g] = _push(free[g], n_free[g], a)
                    present[g] -= 1
                    presence_ms[rows] = now
                    presence_group[rows] = g
                    presence[rows] = present[g]
                    rows += 1
                leaving[g] = busy[g]
            if drain == _DISCONNECT:
                for k in range(n_types):
                    if live[k]:
                        i = head[k]
                        while i >= 0:
                            waiting[i] = False
                            outcome[i] = DISCONNECTED
                            ended[i] = now
                            i = follow[i]
                        head[k] = -1
                        tail[k] = -1
                        total_waiting -= n_waiting[k]
                        n_waiting[k] = 0
            continue

        # Completion or staffing change: agents to be given work follow.
        joiners = 0
        if event == 0:
            i = completions[0] & _MASK
            n_completions = _pop(completions, n_completions)
            first_agent_group = group_of[i]
            first_agent = agent_of[i]
            busy[first_agent_group] -= 1
            live_only = leaving[first_agent_group] > 0
            begin = end_row = 0
        else:
            closed = False
            begin = next_change
            while next_change < n_changes and change_ms[next_change] == now:
                g = change_group[next_change]
                for _ in range(leave[next_change]):
                    if n_idle[g] > 0:
                        a = idle_agent[g, idle_first[g]]
                        idle_first[g] = (idle_first[g] + 1) % capacity
                        n_idle[g] -= 1
                        n_free[g] = _push(free[g], n_free[g], a)
                        present[g] -= 1
                        presence_ms[rows] = now
                        presence_group[rows] = g
                        presence[rows] = present[g]
                        rows += 1
                    else:
                        leaving[g] += 1
                next_change += 1
            end_row = next_change
        row = begin
        numbers_left = 0
        while True:
            if event == 0:
                if joiners == 1:
                    break
                joiners = 1
                g = first_agent_group
                a = first_agent
            else:
                while numbers_left == 0 and row < end_row:
                    g = change_group[row]
                    numbers_left = join[row]
                    if numbers_left > 0:
                        # All numbers are given out before the first of them takes a contact.
                        for s in range(numbers_left):
                            if n_free[g] > 0:
                                number = free[g, 0]
                                n_free[g] = _pop(free[g], n_free[g])
                            else:
                                number = next_number[g]
                                next_number[g] += 1
                            # Parked behind the idle ring's end; read again below, in order.
                            spot = (idle_first[g] + n_idle[g] + s) % capacity
                            idle_agent[g, spot] = number
                        present[g] += numbers_left
                        presence_ms[rows] = now
                        presence_group[rows] = g
                        presence[rows] = present[g]
                        rows += 1
                    row += 1
                if numbers_left == 0:
                    break
                numbers_left -= 1
                a = -1
            # Choice of contact (paragraph 8).
            best = -1
            best_priority = best_rank = np.int64(0)
            if total_waiting > 0 and (not live_only or (closed and drain == _SERVE)):
                for k in range(n_types):
                    i = head[k]
                    if i < 0 or multiplier[k, g] <= 0 or (live_only and not live[k]):
                        continue
                    rank = skill_rank[g, k] if choice == 1 else np.int64(0)
                    if (
                        best < 0
                        or priority[k] < best_priority
                        or (priority[k] == best_priority and (rank < best_rank or (rank == best_rank and i < best)))
                    ):
                        best = i
                        best_priority = priority[k]
                        best_rank = rank
            if best >= 0:
                if a < 0:  # the first parked joiner: close the gap it leaves
                    spot = (idle_first[g] + n_idle[g]) % capacity
                    a = idle_agent[g, spot]
                    for s in range(numbers_left):
                        here = (spot + s) % capacity
                        idle_agent[g, here] = idle_agent[g, (here + 1) % capacity]
                i = best
                k = kind[i]
                head[k] = follow[i]
                if follow[i] >= 0:
                    before[follow[i]] = -1
                else:
                    tail[k] = -1
                waiting[i] = False
                n_waiting[k] -= 1
                total_waiting -= 1
                busy[g] += 1
                end = now + np.int64(np.floor(handle[i] * multiplier[k, g] + 0.5))
                outcome[i] = ANSWERED
                group_of[i] = g
                agent_of[i] = a
                answered[i] = now
                ended[i] = end
                n_completions = _push(completions, n_completions, (end << ID_BITS) | i)
            elif live_only:
                leaving[g] -= 1
                n_free[g] = _push(free[g], n_free[g], a)
                present[g] -= 1
                presence_ms[rows] = now
                presence_group[rows] = g
                presence[rows] = present[g]
                rows += 1
            else:
                spot = (idle_first[g] + n_idle[g]) % capacity
                if a >= 0:
                    idle_agent[g, spot] = a
                idle_since[g, spot] = now
                n_idle[g] += 1
    for i in range(n):
        if outcome[i] == OPEN:
            ended[i] = max(horizon, arrival[i])
    return rows


def run(model: Model, draws: Draws) -> Records:
    """Play one replication in compiled code; the same records as ``reference.run``.

    Raises
    ------
    ParameterError
        More than 67 million contacts, or more than two years, in one replication.
    """
    n = len(draws)
    if n >= _MASK or model.horizon_ms >= 1 << 36:
        raise ParameterError(
            f"one replication holds {n:,} contacts over {model.horizon_ms / 8.64e7:.0f} days; the fast engine takes "
            f"{_MASK:,} contacts and 795 days. Split the horizon, or use engine='reference'."
        )
    answered, ended, group, agent = (np.full(n, -1, dtype=np.int64) for _ in range(4))
    outcome = np.full(n, OPEN, dtype=np.int64)
    most = 2 * int(draws.join.sum()) + len(draws.change_ms) + 1
    when, who, number = (np.empty(most, dtype=np.int64) for _ in range(3))
    rows = _play(
        draws.arrival_ms, draws.kind, draws.handle_ms, draws.patience_ms,
        draws.change_ms, draws.change_group, draws.leave, draws.join, model.closings_ms,
        model.multiplier, model.group_order, model.by_preference, model.skill_rank, model.priority, model.live,
        model.type_limit, model.queue_limit, model.choice, model.drain, model.horizon_ms,
        answered, ended, group, agent, outcome, when, who, number,
    )  # fmt: skip
    return Records(answered, ended, group, agent, outcome, when[:rows].copy(), who[:rows].copy(), number[:rows].copy())
