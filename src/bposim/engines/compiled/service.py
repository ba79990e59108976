"""Waiting and serving in the compiled engine: queues, several contacts in hand, what a contact becomes."""

from __future__ import annotations

import numpy as np

from bposim.engines import records as fate
from bposim.engines.compiled import table as f
from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.choices import choose_contact, free_in
from bposim.engines.compiled.heaps import ID_BITS, push
from bposim.engines.compiled.table import (
    agent_at,
    around,
    complete_at,
    group_at,
    hand_at,
    row,
    spot,
    type_at,
    unqueue,
    work_ms,
)
from bposim.engines.life import REDIAL as FROM_REDIAL


@jit
def await_delay(m, i):  # type: ignore[no-untyped-def]
    waited = m[f.NOW] - m[row(i) + f.ARRIVED]
    k = m[row(i) + f.KIND]
    for c in range(m[f.N_STEPS]):
        delay = m[m[f.STEPS] + k * m[f.N_STEPS] + c]
        if delay < 0:
            break
        if delay > waited:
            m[f.N_DELAYS] = push(m, m[f.DELAYS], m[f.N_DELAYS], ((m[row(i) + f.ARRIVED] + delay) << ID_BITS) | i)
            return


@jit
def wait(m, i, k):  # type: ignore[no-untyped-def]
    m[row(i) + f.OUTCOME] = fate.OPEN
    m[row(i) + f.BEFORE] = m[type_at(m, k) + f.TAIL]
    m[row(i) + f.FOLLOW] = -1
    if m[type_at(m, k) + f.TAIL] >= 0:
        m[row(m[type_at(m, k) + f.TAIL]) + f.FOLLOW] = i
    else:
        m[type_at(m, k) + f.HEAD] = i
    m[type_at(m, k) + f.TAIL] = i
    m[row(i) + f.WAITING] = True
    m[type_at(m, k) + f.N_WAITING] += 1
    m[f.TOTAL] += 1
    if m[row(i) + f.PATIENCE] < f.NO_END:
        when = max(m[row(i) + f.ARRIVED] + m[row(i) + f.PATIENCE], m[f.NOW])
        m[f.N_HANGUPS] = push(m, m[f.HANGUPS], m[f.N_HANGUPS], (when << ID_BITS) | i)
    await_delay(m, i)


@jit
def drop_idle(m, g, a):  # type: ignore[no-untyped-def]
    """Take an agent out of the idle ones, wherever it stands; tell whether it was one of them."""
    for n in range(m[group_at(m, g) + f.N_IDLE]):
        if m[agent_at(m, g, around(m, m[group_at(m, g) + f.IDLE_FIRST] + n)) + f.IDLE_AGENT] == a:
            for later in range(n, m[group_at(m, g) + f.N_IDLE] - 1):
                here, there = (
                    around(m, m[group_at(m, g) + f.IDLE_FIRST] + later),
                    around(m, m[group_at(m, g) + f.IDLE_FIRST] + later + 1),
                )
                m[agent_at(m, g, here) + f.IDLE_AGENT] = m[agent_at(m, g, there) + f.IDLE_AGENT]
                m[agent_at(m, g, here) + f.IDLE_SINCE] = m[agent_at(m, g, there) + f.IDLE_SINCE]
            m[group_at(m, g) + f.N_IDLE] -= 1
            return True
    return False


@jit
def first_idle(m, g):  # type: ignore[no-untyped-def]
    a = m[agent_at(m, g, m[group_at(m, g) + f.IDLE_FIRST]) + f.IDLE_AGENT]
    m[group_at(m, g) + f.IDLE_FIRST] = around(m, m[group_at(m, g) + f.IDLE_FIRST] + 1)
    m[group_at(m, g) + f.N_IDLE] -= 1
    return a


@jit
def progress(m, g, a):  # type: ignore[no-untyped-def]
    done = (m[f.NOW] - m[agent_at(m, g, a) + f.TOUCHED]) * m[
        m[f.PACES] + g * (m[f.MOST_SLOTS] + 1) + m[agent_at(m, g, a) + f.LOAD]
    ]
    for h in range(m[agent_at(m, g, a) + f.LOAD]):
        m[row(m[hand_at(m, g, a) + h]) + f.REST] -= done
    m[agent_at(m, g, a) + f.TOUCHED] = m[f.NOW]


@jit
def reschedule(m, g, a):  # type: ignore[no-untyped-def]
    pace = m[m[f.PACES] + g * (m[f.MOST_SLOTS] + 1) + m[agent_at(m, g, a) + f.LOAD]]
    for h in range(m[agent_at(m, g, a) + f.LOAD]):
        i = m[hand_at(m, g, a) + h]
        complete_at(m, i, m[f.NOW] + max(-((-m[row(i) + f.REST]) // pace), np.int64(0)))


@jit
def pick_up(m, i, g, a, work):  # type: ignore[no-untyped-def]
    """Add a contact to those in hand; all go on at the new pace (M19)."""
    progress(m, g, a)
    if m[agent_at(m, g, a) + f.LOAD] == 0:
        m[group_at(m, g) + f.BUSY] += 1
        m[agent_at(m, g, a) + f.ENGAGED_SINCE] = m[f.NOW]
    m[hand_at(m, g, a) + m[agent_at(m, g, a) + f.LOAD]] = i
    m[agent_at(m, g, a) + f.LOAD] += 1
    m[agent_at(m, g, a) + f.SINCE] = m[f.NOW]
    m[row(i) + f.REST] = work * f.PACE
    reschedule(m, g, a)


@jit
def put_down(m, i, g, a):  # type: ignore[no-untyped-def]
    """Take a completed contact out of those in hand."""
    progress(m, g, a)
    at = 0
    while m[hand_at(m, g, a) + at] != i:
        at += 1
    for h in range(at, m[agent_at(m, g, a) + f.LOAD] - 1):
        m[hand_at(m, g, a) + h] = m[hand_at(m, g, a) + h + 1]
    m[agent_at(m, g, a) + f.LOAD] -= 1
    m[agent_at(m, g, a) + f.SINCE] = m[f.NOW]
    if m[agent_at(m, g, a) + f.LOAD] == 0:
        m[group_at(m, g) + f.BUSY] -= 1
        n = m[f.SPANS]
        m[m[f.SPAN_BASE] + 3 * n + 0] = g
        m[m[f.SPAN_BASE] + 3 * n + 1] = m[agent_at(m, g, a) + f.ENGAGED_SINCE]
        m[m[f.SPAN_BASE] + 3 * n + 2] = m[f.NOW]
        m[f.SPANS] = n + 1
        m[agent_at(m, g, a) + f.WORKED] += m[f.NOW] - m[agent_at(m, g, a) + f.ENGAGED_SINCE]
    reschedule(m, g, a)


@jit
def serve(m, i, g, a):  # type: ignore[no-untyped-def]
    """Give a contact to an agent who is free."""
    m[row(i) + f.OUTCOME] = fate.ANSWERED
    m[row(i) + f.GROUP] = g
    m[row(i) + f.AGENT] = a
    m[row(i) + f.ANSWERED] = m[f.NOW]
    work = work_ms(m, i, m[row(i) + f.HANDLE])
    held = m[row(i) + f.HOLDER]
    if held >= 0:
        work += m[row(i) + f.HANDOVER_MS]
    m[row(i) + f.STAGE] = f.TALK
    if m[group_at(m, g) + f.SLOTS] > 1:
        if m[f.HAS_AFTER]:
            work += work_ms(m, i, m[row(i) + f.AFTER_MS])
        pick_up(m, i, g, a, work)
    else:
        if m[group_at(m, g) + f.N_IDLE] > 0 and m[agent_at(m, g, m[group_at(m, g) + f.IDLE_FIRST]) + f.IDLE_AGENT] == a:
            m[group_at(m, g) + f.IDLE_FIRST] = around(m, m[group_at(m, g) + f.IDLE_FIRST] + 1)
            m[group_at(m, g) + f.N_IDLE] -= 1
        else:
            drop_idle(m, g, a)
        m[group_at(m, g) + f.BUSY] += 1
        complete_at(m, i, m[f.NOW] + work)
    if held >= 0:
        m[row(i) + f.HOLDER] = -1
        m[row(held) + f.STAGE] = f.HANDOVER
        m[group_at(m, m[row(held) + f.GROUP]) + f.HELD_UP] -= 1
        complete_at(m, held, m[f.NOW] + m[row(i) + f.HANDOVER_MS])


@jit
def take_next(m, g, a, live_only):  # type: ignore[no-untyped-def]
    """Take one waiting contact, if there is any for this agent."""
    if m[f.TOTAL] == 0:
        return False
    free = free_in(m, g) + (1 if m[group_at(m, g) + f.SLOTS] == 1 else 0)
    i = choose_contact(m, g, free, live_only)
    if i < 0:
        return False
    unqueue(m, i)
    serve(m, i, g, a)
    return True


@jit
def work_on(m, g, a):  # type: ignore[no-untyped-def]
    """Take waiting contacts, as many as the agent can, or turn idle."""
    if m[group_at(m, g) + f.SLOTS] == 1:
        if not take_next(m, g, a, False):
            spot = around(m, m[group_at(m, g) + f.IDLE_FIRST] + m[group_at(m, g) + f.N_IDLE])
            m[agent_at(m, g, spot) + f.IDLE_AGENT] = a
            m[agent_at(m, g, spot) + f.IDLE_SINCE] = m[f.NOW]
            m[group_at(m, g) + f.N_IDLE] += 1
        return
    while m[agent_at(m, g, a) + f.LOAD] < m[group_at(m, g) + f.SLOTS] and take_next(m, g, a, False):
        pass


@jit
def become(m, i, to, origin):  # type: ignore[no-untyped-def]
    """Take a spare row for what a contact becomes; −1 ends the run, which is played again with more (M1)."""
    at = m[f.HOURS] + spot(m) * (4 + m[f.N_TYPES])
    pool = m[m[f.POOL_OF] + to * m[f.N_SLOTS] + m[at + 3]]
    p = m[f.POOLS] + 2 * pool
    j = m[p]
    if j == m[p + 1]:
        m[f.EXHAUSTED] = pool
        return np.int64(-1)
    m[p] = j + 1
    r, q = row(i), row(j)
    m[q + f.CLIENT] = m[r + f.CLIENT]
    m[q + f.ORIGIN] = origin
    m[q + f.ATTEMPT] = m[r + f.ATTEMPT]
    m[q + f.TRIES] = 0
    if origin == FROM_REDIAL:
        m[q + f.ATTEMPT] += 1
        m[q + f.TRIES] = m[r + f.TRIES] + 1
    if origin == FROM_REDIAL and to == m[r + f.KIND]:
        m[q + f.HANDLE] = m[r + f.HANDLE]
        m[q + f.AFTER_MS] = m[r + f.AFTER_MS]
    elif m[f.N_DAYS] > 0:
        factor = np.int64(m[m[f.DRIFT] + to * m[f.N_DAYS] + m[at + 2]]).view(np.float64)
        m[q + f.HANDLE] = np.int64(np.floor(m[q + f.HANDLE] * factor + 0.5))
        if m[f.HAS_AFTER]:
            m[q + f.AFTER_MS] = np.int64(np.floor(m[q + f.AFTER_MS] * factor + 0.5))
    return j


@jit
def is_open(m, k):  # type: ignore[no-untyped-def]
    """Whether a type takes contacts now."""
    at = m[f.HOURS] + spot(m) * (4 + m[f.N_TYPES])
    return m[f.NOW] < m[at + 1] and m[at + 4 + k] == 1
