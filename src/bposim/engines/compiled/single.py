"""The compiled engine's shortest loop: one contact type, one agent group, otherwise as ``plain.py``.

Who waits is then a stretch of the table of contacts: from the first not yet taken to the last that arrived. Whenever an
agent is idle nobody waits, so the stretch begins anew.
"""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.heaps import END, ID_BITS, ID_MASK, U, pop, push, sift
from bposim.engines.model import FOREVER
from bposim.engines.records import ABANDONED, ANSWERED, DISCONNECTED, OPEN

_FOREVER = np.int64(FOREVER)
_SERVE, _DISCONNECT = 0, 1


@jit
def _cut_off(ended, outcome, first, last, now, more):  # type: ignore[no-untyped-def]
    """Cut off those from ``first`` to ``last`` whose patience lasts ``more`` ms from now."""
    for i in range(first, last):
        if ended[i] >= now + more:
            outcome[i] = DISCONNECTED
            ended[i] = now


@jit
def play(
    arrival, handle, patience, change_ms, leave, join, openings, closings, multiplier, live, drain, horizon,
    answered, ended, agent_of, outcome, presence_ms, presence,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Play one replication into the output arrays; returns the number of presence rows."""
    n = len(arrival)
    n_changes, n_closings, n_openings = len(change_ms), len(closings), len(openings)
    joins = np.int64(0)
    for c in range(n_changes):
        joins += join[c]
    capacity = np.int64(1)
    while capacity < joins:
        capacity *= 2
    ring = capacity - 1
    idle = np.empty(capacity, np.int64)  # agents, the longest idle at ``idle_first``
    free = np.empty(capacity + 1, np.int64)
    completions = np.empty(joins + 2, np.int64)
    idle_first = n_idle = n_free = next_number = busy = leaving = present = n_completions = rows = np.int64(0)
    first = last = next_change = next_closing = next_opening = np.int64(0)
    closed = False
    staff_ms = min(change_ms[0] if n_changes else END, openings[0] if n_openings else END)
    close_ms = closings[0] if n_closings else END
    while True:
        complete_ms = completions[0] >> ID_BITS if n_completions > 0 else END
        limit = min(complete_ms, min(staff_ms, close_ms))
        while last < n:  # arrivals (T5)
            now = arrival[U(last)]
            if now >= limit:
                break
            i = U(last)
            last += 1
            if n_idle > 0:
                a = idle[U(idle_first)]
                idle_first = (idle_first + 1) & ring
                n_idle -= 1
                busy += 1
                first = last
                end = now + np.int64(np.floor(handle[i] * multiplier + 0.5))
                answered[i] = now
                ended[i] = end
                agent_of[i] = a
                outcome[i] = ANSWERED
                n_completions = push(completions, 0, n_completions, (end << ID_BITS) | (last - 1))
                limit = min(limit, end)
            else:
                patient = patience[i]
                answered[i] = -1
                agent_of[i] = -1
                ended[i] = now + patient if patient < _FOREVER else END
                outcome[i] = ABANDONED if patient < _FOREVER else OPEN
        complete_ms = completions[0] >> ID_BITS if n_completions > 0 else END
        if complete_ms <= staff_ms and complete_ms <= close_ms and complete_ms < END:
            now = complete_ms
            a = np.int64(agent_of[U(completions[0] & ID_MASK)])
            if leaving == 0 or (closed and drain == _SERVE and live):
                while first < last and ended[U(first)] < now:
                    first += 1
                if first < last:
                    i = U(first)
                    end = now + np.int64(np.floor(handle[i] * multiplier + 0.5))
                    answered[i] = now
                    ended[i] = end
                    agent_of[i] = a
                    outcome[i] = ANSWERED
                    sift(completions, 0, n_completions, (end << ID_BITS) | first)
                    first += 1
                    continue
            busy -= 1
            n_completions = pop(completions, 0, n_completions)
            if leaving == 0:
                idle[U((idle_first + n_idle) & ring)] = a
                n_idle += 1
                continue
            leaving -= 1
            n_free = push(free, 0, n_free, a)
            present -= 1
            presence_ms[rows] = now
            presence[rows] = present
            rows += 1
            if closed and drain == _SERVE and live and busy == 0:
                _cut_off(ended, outcome, first, last, now, 0)
                first = last
            continue
        if staff_ms < END and staff_ms <= close_ms:  # T9
            now = staff_ms
            if next_opening < n_openings and openings[next_opening] == now:
                closed = False
                next_opening += 1
            begin = next_change
            while next_change < n_changes and change_ms[next_change] == now:
                for _ in range(leave[next_change]):
                    if n_idle > 0:
                        n_free = push(free, 0, n_free, idle[idle_first])
                        idle_first = (idle_first + 1) & ring
                        n_idle -= 1
                        present -= 1
                        presence_ms[rows] = now
                        presence[rows] = present
                        rows += 1
                    else:
                        leaving += 1
                next_change += 1
            for row in range(begin, next_change):
                k = join[row]
                if k == 0:
                    continue
                present += k
                presence_ms[rows] = now
                presence[rows] = present
                rows += 1
                for _ in range(k):  # the lowest free numbers, in order; whoever joins takes a contact or turns idle
                    if n_free > 0:
                        a = free[0]
                        n_free = pop(free, 0, n_free)
                    else:
                        a = next_number
                        next_number += 1
                    while first < last and ended[first] < now:
                        first += 1
                    if first < last:
                        end = now + np.int64(np.floor(handle[first] * multiplier + 0.5))
                        answered[first] = now
                        ended[first] = end
                        agent_of[first] = a
                        outcome[first] = ANSWERED
                        busy += 1
                        n_completions = push(completions, 0, n_completions, (end << ID_BITS) | first)
                        first += 1
                    else:
                        idle[(idle_first + n_idle) & ring] = a
                        n_idle += 1
            staff_ms = min(
                change_ms[next_change] if next_change < n_changes else END,
                openings[next_opening] if next_opening < n_openings else END,
            )
            continue
        if close_ms == END:
            break
        now = close_ms  # T10
        next_closing += 1
        close_ms = closings[next_closing] if next_closing < n_closings else END
        closed = True
        while n_idle > 0:
            n_free = push(free, 0, n_free, idle[idle_first])
            idle_first = (idle_first + 1) & ring
            n_idle -= 1
            present -= 1
            presence_ms[rows] = now
            presence[rows] = present
            rows += 1
        leaving = busy
        if live and (drain == _DISCONNECT or (drain == _SERVE and busy == 0)):
            # Patience that ends now has ended before the doors close.
            _cut_off(ended, outcome, first, last, now, 1)
            first = last
    for i in range(first, last):
        if ended[i] == END:
            ended[i] = max(horizon, arrival[i])
    return rows
