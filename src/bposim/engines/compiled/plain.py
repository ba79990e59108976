"""The compiled engine's short loop: contacts that wait and are served, agents who come and go by number.

Nobody asks how long a queue is here, so hanging up need not be an event: whoever reads a queue skips those whose patience
is over. A queue is then a list of ids in order of entry, and most of the work is one heap of completions. The records
are those of ``run.py`` and ``reference.py``, bit for bit.
"""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.heaps import ID_BITS, ID_MASK, U, pop, push, sift
from bposim.engines.model import FOREVER
from bposim.engines.records import ABANDONED, ANSWERED, DISCONNECTED, OPEN

_NEVER = np.int64(1) << 62
_FOREVER = np.int64(FOREVER)
_SERVE, _DISCONNECT = 0, 1
_SKILL, _FIFO = 1, 4


@jit
def _first(waiting, first, n_queued, ended, k, now):  # type: ignore[no-untyped-def]
    """Return the first contact of a queue whose patience lasts to this instant, −1 if none waits."""
    while n_queued[U(k)] > 0:
        i = waiting[first[U(k)]]
        if ended[U(i)] >= now:
            return i
        first[U(k)] += 1
        n_queued[U(k)] -= 1
    return np.int64(-1)


@jit
def _choose(
    g, now, live_only, waiting, first, n_queued, ended, arrival, type_order, type_rank, priority, credit, live, choice
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Return the waiting contact that an agent of a group takes, −1 if there is none, and how many were skipped."""
    best = np.int64(-1)
    skipped = p1 = p2 = p3 = np.int64(0)
    for c in range(type_order.shape[1]):
        k = type_order[U(g), U(c)]
        if k < 0:
            break
        if n_queued[U(k)] == 0 or (live_only and not live[U(k)]):
            continue
        queued = n_queued[U(k)]
        i = _first(waiting, first, n_queued, ended, k, now)
        skipped += queued - n_queued[U(k)]
        if i < 0:
            continue
        q1, q2, q3 = priority[U(k)], np.int64(0), arrival[U(i)] - credit[U(k)]
        if choice == _SKILL:
            q2 = type_rank[U(g), U(k)]
        elif choice == _FIFO:
            q1, q3 = np.int64(0), arrival[U(i)]
        if best < 0 or q1 < p1 or (q1 == p1 and (q2 < p2 or (q2 == p2 and (q3 < p3 or (q3 == p3 and i < best))))):
            best, p1, p2, p3 = i, q1, q2, q3
    return best, skipped


@jit
def play(
    arrival, kind, handle, patience, change_ms, change_group, leave, join, openings, closings,
    multiplier, group_order, group_rank, type_order, type_rank, priority, credit, live, choice, drain, horizon,
    answered, ended, group_of, agent_of, outcome, presence_ms, presence_group, presence,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Play one replication into the output arrays; returns the number of presence rows."""
    n = len(arrival)
    n_types, n_groups = multiplier.shape
    size = np.zeros(n_types, np.int64)
    if n_types == 1:
        size[0] = n
    else:
        for i in range(n):
            size[kind[U(i)]] += 1
    waiting = np.empty(n, np.int64)  # a stretch for each type
    first = np.cumsum(size) - size
    n_queued = np.zeros(n_types, np.int64)
    total = np.int64(0)  # queued, those whose patience is over included until they are skipped
    joins = np.zeros(n_groups, np.int64)
    for c in range(len(change_ms)):
        joins[change_group[c]] += join[c]
    capacity = np.int64(1)
    while capacity < joins.max():
        capacity *= 2
    ring = capacity - 1
    idle_agent = np.empty((n_groups, capacity), np.int64)
    idle_since = np.empty((n_groups, capacity), np.int64)
    idle_first = np.zeros(n_groups, np.int64)
    n_idle = np.zeros(n_groups, np.int64)
    free = np.empty(n_groups * (capacity + 1), np.int64)
    n_free = np.zeros(n_groups, np.int64)
    next_number = np.zeros(n_groups, np.int64)
    joined = np.empty(capacity, np.int64)
    busy = np.zeros(n_groups, np.int64)
    leaving = np.zeros(n_groups, np.int64)
    present = np.zeros(n_groups, np.int64)
    completions = np.empty(joins.sum() + 2, np.int64)
    n_completions = np.int64(0)
    closed = False
    rows = np.int64(0)
    next_arrival = next_change = next_closing = next_opening = np.int64(0)
    n_changes, n_closings, n_openings = len(change_ms), len(closings), len(openings)
    one_group = n_groups == 1
    staff_ms = min(change_ms[0] if n_changes else _NEVER, openings[0] if n_openings else _NEVER)
    close_ms = closings[0] if n_closings else _NEVER
    while True:
        now = arrival[U(next_arrival)] if next_arrival < n else _NEVER
        complete_ms = completions[U(0)] >> ID_BITS if n_completions > 0 else _NEVER
        if now < complete_ms and now < staff_ms and now < close_ms:  # an arrival (paragraph 5)
            i = next_arrival
            next_arrival += 1
            k = kind[U(i)]
            g = np.int64(-1)
            if one_group:
                if n_idle[U(0)] > 0:
                    g = np.int64(0)
            else:
                least, since = _NEVER, _NEVER
                for c in range(n_groups):
                    candidate = group_order[U(k), U(c)]
                    if candidate < 0:
                        break
                    if n_idle[U(candidate)] == 0:
                        continue
                    rank = group_rank[U(k), U(candidate)]
                    idle = idle_since[U(candidate), U(idle_first[U(candidate)])]
                    if rank < least or (rank == least and idle < since):
                        g, least, since = candidate, rank, idle
            if g >= 0:
                a = idle_agent[U(g), U(idle_first[U(g)])]
                idle_first[U(g)] = (idle_first[U(g)] + 1) & ring
                n_idle[U(g)] -= 1
                busy[U(g)] += 1
                end = now + np.int64(np.floor(handle[U(i)] * multiplier[U(k), U(g)] + 0.5))
                answered[U(i)] = now
                ended[U(i)] = end
                group_of[U(i)] = g
                agent_of[U(i)] = a
                outcome[U(i)] = ANSWERED
                n_completions = push(completions, 0, n_completions, (end << ID_BITS) | i)
            else:
                until = now + patience[U(i)] if patience[U(i)] < _FOREVER else _NEVER
                waiting[first[U(k)] + n_queued[U(k)]] = i
                n_queued[U(k)] += 1
                total += 1
                answered[U(i)] = -1
                group_of[U(i)] = -1
                agent_of[U(i)] = -1
                ended[U(i)] = until
                outcome[U(i)] = ABANDONED if until < _NEVER else OPEN
            continue
        if complete_ms <= staff_ms and complete_ms <= close_ms and complete_ms < _NEVER:
            now = complete_ms
            done = completions[U(0)] & ID_MASK
            g, a = group_of[U(done)], agent_of[U(done)]
            busy[U(g)] -= 1
            going = leaving[U(g)] > 0
            best = np.int64(-1)
            if total > 0 and (not going or (closed and drain == _SERVE)):
                best, skipped = _choose(
                    g, now, going, waiting, first, n_queued, ended, arrival, type_order, type_rank, priority, credit,
                    live, choice,
                )  # fmt: skip
                total -= skipped
            if best >= 0:
                k = kind[U(best)]
                first[U(k)] += 1
                n_queued[U(k)] -= 1
                total -= 1
                busy[U(g)] += 1
                end = now + np.int64(np.floor(handle[U(best)] * multiplier[U(k), U(g)] + 0.5))
                answered[U(best)] = now
                ended[U(best)] = end
                group_of[U(best)] = g
                agent_of[U(best)] = a
                outcome[U(best)] = ANSWERED
                sift(completions, 0, n_completions, (end << ID_BITS) | best)
                continue
            n_completions = pop(completions, 0, n_completions)
            if not going:
                spot = (idle_first[U(g)] + n_idle[U(g)]) & ring
                idle_agent[U(g), U(spot)] = a
                idle_since[U(g), U(spot)] = now
                n_idle[U(g)] += 1
                continue
            leaving[U(g)] -= 1
            n_free[U(g)] = push(free, g * (capacity + 1), n_free[U(g)], a)
            present[U(g)] -= 1
            presence_ms[rows] = now
            presence_group[rows] = g
            presence[rows] = present[U(g)]
            rows += 1
            if closed and drain == _SERVE and busy[U(g)] == 0:
                for c in range(n_types):
                    k = type_order[U(g), U(c)]
                    if k < 0:
                        break
                    total -= _cut_off(
                        waiting, first, n_queued, ended, k, now, 0, live, group_order, busy, drain, outcome
                    )
            continue
        if staff_ms < _NEVER and staff_ms <= close_ms:  # paragraph 9
            now = staff_ms
            if next_opening < n_openings and openings[next_opening] == now:
                closed = False
                next_opening += 1
            begin = next_change
            while next_change < n_changes and change_ms[next_change] == now:
                g = change_group[next_change]
                for _ in range(leave[next_change]):
                    if n_idle[U(g)] > 0:
                        a = idle_agent[U(g), U(idle_first[U(g)])]
                        idle_first[U(g)] = (idle_first[U(g)] + 1) & ring
                        n_idle[U(g)] -= 1
                        n_free[U(g)] = push(free, g * (capacity + 1), n_free[U(g)], a)
                        present[U(g)] -= 1
                        presence_ms[rows] = now
                        presence_group[rows] = g
                        presence[rows] = present[U(g)]
                        rows += 1
                    else:
                        leaving[U(g)] += 1
                next_change += 1
            for row in range(begin, next_change):
                g = change_group[row]
                if join[row] == 0:
                    continue
                for m in range(join[row]):  # all numbers are given out before the first takes a contact
                    if n_free[U(g)] > 0:
                        joined[m] = free[U(g * (capacity + 1))]
                        n_free[U(g)] = pop(free, g * (capacity + 1), n_free[U(g)])
                    else:
                        joined[m] = next_number[g]
                        next_number[g] += 1
                present[U(g)] += join[row]
                presence_ms[rows] = now
                presence_group[rows] = g
                presence[rows] = present[U(g)]
                rows += 1
                for m in range(join[row]):
                    a = joined[m]
                    best = np.int64(-1)
                    if total > 0:
                        best, skipped = _choose(
                            g, now, False, waiting, first, n_queued, ended, arrival, type_order, type_rank, priority,
                            credit, live, choice,
                        )  # fmt: skip
                        total -= skipped
                    if best >= 0:
                        k = kind[U(best)]
                        first[U(k)] += 1
                        n_queued[U(k)] -= 1
                        total -= 1
                        busy[U(g)] += 1
                        end = now + np.int64(np.floor(handle[U(best)] * multiplier[U(k), U(g)] + 0.5))
                        answered[U(best)] = now
                        ended[U(best)] = end
                        group_of[U(best)] = g
                        agent_of[U(best)] = a
                        outcome[U(best)] = ANSWERED
                        n_completions = push(completions, 0, n_completions, (end << ID_BITS) | best)
                    else:
                        spot = (idle_first[U(g)] + n_idle[U(g)]) & ring
                        idle_agent[U(g), U(spot)] = a
                        idle_since[U(g), U(spot)] = now
                        n_idle[U(g)] += 1
            staff_ms = min(
                change_ms[next_change] if next_change < n_changes else _NEVER,
                openings[next_opening] if next_opening < n_openings else _NEVER,
            )
            continue
        if close_ms < _NEVER:  # paragraph 10
            now = close_ms
            next_closing += 1
            close_ms = closings[next_closing] if next_closing < n_closings else _NEVER
            closed = True
            for g in range(n_groups):
                while n_idle[U(g)] > 0:
                    a = idle_agent[U(g), U(idle_first[U(g)])]
                    idle_first[U(g)] = (idle_first[U(g)] + 1) & ring
                    n_idle[U(g)] -= 1
                    n_free[U(g)] = push(free, g * (capacity + 1), n_free[U(g)], a)
                    present[U(g)] -= 1
                    presence_ms[rows] = now
                    presence_group[rows] = g
                    presence[rows] = present[U(g)]
                    rows += 1
                leaving[U(g)] = busy[U(g)]
            for k in range(n_types):
                # Patience that ends now has ended before the doors close: those who wait have patience for 1 ms more.
                total -= _cut_off(waiting, first, n_queued, ended, k, now, 1, live, group_order, busy, drain, outcome)
            continue
        break
    for k in range(n_types):
        for q in range(first[U(k)], first[U(k)] + n_queued[U(k)]):
            i = waiting[U(q)]
            if ended[U(i)] == _NEVER:
                ended[U(i)] = max(horizon, arrival[U(i)])
    return rows


@jit
def _cut_off(waiting, first, n_queued, ended, k, now, more, live, group_order, busy, drain, outcome):  # type: ignore[no-untyped-def]
    """Cut off the waiting contacts of a live type at a closing, or when nobody is left to take them; returns how many
    places that frees in the queue."""
    if not live[U(k)] or n_queued[U(k)] == 0:
        return np.int64(0)
    if drain == _SERVE:
        for c in range(group_order.shape[1]):
            g = group_order[U(k), U(c)]
            if g < 0:
                break
            if busy[U(g)] > 0:
                return np.int64(0)
    elif drain != _DISCONNECT:
        return np.int64(0)
    freed = n_queued[U(k)]
    for q in range(first[U(k)], first[U(k)] + n_queued[U(k)]):
        i = waiting[U(q)]
        if ended[U(i)] >= now + more:
            outcome[U(i)] = DISCONNECTED
            ended[U(i)] = now
    first[U(k)] += n_queued[U(k)]
    n_queued[U(k)] = 0
    return freed
