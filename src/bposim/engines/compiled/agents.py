"""Agents of the compiled engine: leaving, pausing, joining, closing."""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled import table as f
from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.choices import least_in_hand, numbers
from bposim.engines.compiled.heaps import ID_BITS, pop, push
from bposim.engines.compiled.service import drop_idle, first_idle, take_next, work_on
from bposim.engines.compiled.table import agent_at, around, break_at, draining, group_at, personal, set_present, task


@jit
def is_leaving(m, g, a):  # type: ignore[no-untyped-def]
    return m[agent_at(m, g, a) + f.MUST_LEAVE] != 0 if personal(m, g) else m[group_at(m, g) + f.LEAVING] > 0


@jit
def freed(m, g, a):  # type: ignore[no-untyped-def]
    """Let an agent leave, pause, or take the next contact (M16)."""
    if is_leaving(m, g, a):
        if draining(m) and take_next(m, g, a, True):
            return
        if m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] > 0:
            return
        if personal(m, g):
            m[agent_at(m, g, a) + f.MUST_LEAVE] = False
            m[agent_at(m, g, a) + f.PAUSE] = 0
        else:
            m[group_at(m, g) + f.LEAVING] -= 1
        depart(m, g, a)
        task(m, f.CUT_OFF_TYPES, g)
    elif personal(m, g) and m[agent_at(m, g, a) + f.PAUSE] > 0:
        if not (m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] > 0):
            away = m[agent_at(m, g, a) + f.PAUSE]
            m[agent_at(m, g, a) + f.PAUSE] = 0
            go_on_break(m, g, a, away)
    elif m[group_at(m, g) + f.N_PENDING] > 0:
        away = m[agent_at(m, g, m[group_at(m, g) + f.PENDING_FIRST]) + f.PENDING]
        m[group_at(m, g) + f.PENDING_FIRST] = around(m, m[group_at(m, g) + f.PENDING_FIRST] + 1)
        m[group_at(m, g) + f.N_PENDING] -= 1
        go_on_break(m, g, a, away)
    else:
        work_on(m, g, a)


@jit
def number(m, g):  # type: ignore[no-untyped-def]
    if m[group_at(m, g) + f.N_FREE] > 0:
        a = m[m[f.FREE_NUMBERS] + g * (m[f.CAP] + 1)]
        m[group_at(m, g) + f.N_FREE] = pop(m, m[f.FREE_NUMBERS] + g * (m[f.CAP] + 1), m[group_at(m, g) + f.N_FREE])
        return a
    m[group_at(m, g) + f.NEXT_NUMBER] += 1
    return m[group_at(m, g) + f.NEXT_NUMBER] - 1


@jit
def give_number_back(m, g, a):  # type: ignore[no-untyped-def]
    if m[group_at(m, g) + f.N_NAMED] == 0:
        m[group_at(m, g) + f.N_FREE] = push(m, m[f.FREE_NUMBERS] + g * (m[f.CAP] + 1), m[group_at(m, g) + f.N_FREE], a)


@jit
def start(m, g, a):  # type: ignore[no-untyped-def]
    m[agent_at(m, g, a) + f.THERE] = True
    if m[group_at(m, g) + f.SLOTS] > 1:
        m[agent_at(m, g, a) + f.LOAD] = 0
        m[agent_at(m, g, a) + f.SINCE] = m[f.NOW]
        m[agent_at(m, g, a) + f.TOUCHED] = m[f.NOW]
    work_on(m, g, a)


@jit
def grow(m, g, k, named, numbers):  # type: ignore[no-untyped-def]
    """Let k agents join, or one by name (T9, M14)."""
    if named >= 0:
        if m[agent_at(m, g, named) + f.THERE]:
            m[agent_at(m, g, named) + f.MUST_LEAVE] = False
            return
        numbers[0] = named
    else:
        for n in range(k):
            numbers[n] = number(m, g)
    set_present(m, g, m[group_at(m, g) + f.PRESENT] + k)
    for n in range(k):
        m[agent_at(m, g, numbers[n]) + f.JOINED] = m[f.NOW]
        m[agent_at(m, g, numbers[n]) + f.WORKED] = 0
        start(m, g, numbers[n])


@jit
def shrink(m, g, k, named):  # type: ignore[no-untyped-def]
    """Send k agents home, or one by name (T9, M14, M19)."""
    if named >= 0:
        if m[agent_at(m, g, named) + f.THERE]:
            send_home(m, g, named)
        return
    for _ in range(k):
        if personal(m, g):
            a = least_in_hand(m, g, False)
            if a >= 0:
                send_home(m, g, a)
            else:
                away = np.int64(-1)
                for n in range(m[group_at(m, g) + f.N_RESTING]):
                    b = m[agent_at(m, g, n) + f.RESTING]
                    if not m[agent_at(m, g, b) + f.MUST_LEAVE] and (away < 0 or b < away):
                        away = b
                if away >= 0:
                    m[agent_at(m, g, away) + f.MUST_LEAVE] = True
        elif m[group_at(m, g) + f.N_IDLE] > 0:
            depart(m, g, first_idle(m, g))
        else:
            m[group_at(m, g) + f.LEAVING] += 1
            staying = max(m[group_at(m, g) + f.BUSY] - m[group_at(m, g) + f.LEAVING], np.int64(0))
            m[group_at(m, g) + f.N_PENDING] = min(m[group_at(m, g) + f.N_PENDING], staying)


@jit
def send_home(m, g, a):  # type: ignore[no-untyped-def]
    if m[group_at(m, g) + f.SLOTS] > 1:
        if m[agent_at(m, g, a) + f.LOAD] == 0:
            m[agent_at(m, g, a) + f.PAUSE] = 0
            depart(m, g, a)
        else:
            m[agent_at(m, g, a) + f.MUST_LEAVE] = True
    elif drop_idle(m, g, a):
        depart(m, g, a)
    else:
        m[agent_at(m, g, a) + f.MUST_LEAVE] = True


@jit
def depart(m, g, a):  # type: ignore[no-untyped-def]
    m[agent_at(m, g, a) + f.THERE] = False
    m[agent_at(m, g, a) + f.LOAD] = -1
    give_number_back(m, g, a)
    set_present(m, g, m[group_at(m, g) + f.PRESENT] - 1)


@jit
def send_on_break(m, g, k, named, away):  # type: ignore[no-untyped-def]
    """Send k agents, or one by name, on a break (M15)."""
    for _ in range(k):
        if named >= 0:
            send_person(m, g, named, away)
        elif m[group_at(m, g) + f.SLOTS] > 1:
            a = least_in_hand(m, g, True)
            if a >= 0:
                send_person(m, g, a, away)
        elif m[group_at(m, g) + f.N_IDLE] > 0:
            go_on_break(m, g, first_idle(m, g), away)
        elif m[group_at(m, g) + f.BUSY] - m[group_at(m, g) + f.LEAVING] > m[group_at(m, g) + f.N_PENDING]:
            m[
                agent_at(m, g, around(m, m[group_at(m, g) + f.PENDING_FIRST] + m[group_at(m, g) + f.N_PENDING]))
                + f.PENDING
            ] = away
            m[group_at(m, g) + f.N_PENDING] += 1


@jit
def send_person(m, g, a, away):  # type: ignore[no-untyped-def]
    if not m[agent_at(m, g, a) + f.THERE] or m[agent_at(m, g, a) + f.MUST_LEAVE]:
        return
    for n in range(m[group_at(m, g) + f.N_RESTING]):
        if m[agent_at(m, g, n) + f.RESTING] == a:
            return
    if drop_idle(m, g, a) or (m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] == 0):
        go_on_break(m, g, a, away)
    else:
        m[agent_at(m, g, a) + f.PAUSE] = away


@jit
def go_on_break(m, g, a, away):  # type: ignore[no-untyped-def]
    m[agent_at(m, g, a) + f.LOAD] = -1
    m[agent_at(m, g, m[group_at(m, g) + f.N_RESTING]) + f.RESTING] = a
    m[group_at(m, g) + f.N_RESTING] += 1
    set_present(m, g, m[group_at(m, g) + f.PRESENT] - 1)
    n = m[f.N_BREAKS] + 1
    m[f.N_BREAKS] = n
    m[break_at(m, n) + 0] = g
    m[break_at(m, n) + 1] = a
    m[break_at(m, n) + 2] = m[f.EPOCH]
    m[f.N_RETURNS] = push(m, m[f.RETURNS], m[f.N_RETURNS], ((m[f.NOW] + away) << ID_BITS) | n)


@jit
def come_back(m, n):  # type: ignore[no-untyped-def]
    """End a break, unless the shift or the day ended meanwhile."""
    g, a = m[break_at(m, n) + 0], m[break_at(m, n) + 1]
    if m[break_at(m, n) + 2] != m[f.EPOCH]:
        return
    at = 0
    while m[agent_at(m, g, at) + f.RESTING] != a:
        at += 1
    for r in range(at, m[group_at(m, g) + f.N_RESTING] - 1):
        m[agent_at(m, g, r) + f.RESTING] = m[agent_at(m, g, r + 1) + f.RESTING]
    m[group_at(m, g) + f.N_RESTING] -= 1
    if is_leaving(m, g, a):
        if personal(m, g):
            m[agent_at(m, g, a) + f.MUST_LEAVE] = False
        else:
            m[group_at(m, g) + f.LEAVING] -= 1
        m[agent_at(m, g, a) + f.THERE] = False
        give_number_back(m, g, a)
        return
    set_present(m, g, m[group_at(m, g) + f.PRESENT] + 1)
    start(m, g, a)


@jit
def close(m):  # type: ignore[no-untyped-def]
    """Close the doors: end all breaks, send the idle home, tell the others to leave after their contacts (T10)."""
    m[f.CLOSED] = 1
    m[f.EPOCH] += 1
    for g in range(m[f.N_GROUPS]):
        m[group_at(m, g) + f.N_PENDING] = 0
        for n in range(m[group_at(m, g) + f.N_RESTING]):
            a = m[agent_at(m, g, n) + f.RESTING]
            m[agent_at(m, g, a) + f.THERE] = False
            m[agent_at(m, g, a) + f.MUST_LEAVE] = False
            give_number_back(m, g, a)
        m[group_at(m, g) + f.N_RESTING] = 0
        for _ in range(m[group_at(m, g) + f.N_IDLE]):
            a = first_idle(m, g)
            if not (draining(m) and take_next(m, g, a, True)):
                depart(m, g, a)
        if not personal(m, g):
            m[group_at(m, g) + f.LEAVING] = m[group_at(m, g) + f.BUSY]
            continue
        for a in range(numbers(m, g)):
            m[agent_at(m, g, a) + f.PAUSE] = 0
            if m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] >= 0 and draining(m):
                while m[agent_at(m, g, a) + f.LOAD] < m[group_at(m, g) + f.SLOTS] and take_next(m, g, a, True):
                    pass
            if m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] == 0:
                m[agent_at(m, g, a) + f.MUST_LEAVE] = False
                depart(m, g, a)
            if m[agent_at(m, g, a) + f.THERE]:
                m[agent_at(m, g, a) + f.MUST_LEAVE] = True
    for k in range(m[f.N_TYPES] - 1, -1, -1):
        task(m, f.CUT_OFF, k)
