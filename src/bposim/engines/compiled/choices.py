"""Who is free, who takes whom: the choices of the compiled engine."""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled import table as f
from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.native import call_native
from bposim.engines.compiled.table import agent_at, around, draining, group_at, pair_at, row, type_at
from bposim.engines.model import SHARE_UNIT


@jit
def takes_more(m, g, a):  # type: ignore[no-untyped-def]
    """Whether an agent of a group with several contacts in hand is on the floor and stays there."""
    return (
        m[agent_at(m, g, a) + f.LOAD] >= 0
        and not m[agent_at(m, g, a) + f.MUST_LEAVE]
        and m[agent_at(m, g, a) + f.PAUSE] == 0
    )


@jit
def numbers(m, g):  # type: ignore[no-untyped-def]
    return m[group_at(m, g) + f.N_NAMED] if m[group_at(m, g) + f.N_NAMED] > 0 else m[group_at(m, g) + f.NEXT_NUMBER]


@jit
def free_in(m, g):  # type: ignore[no-untyped-def]
    if m[group_at(m, g) + f.SLOTS] == 1:
        return m[group_at(m, g) + f.N_IDLE]
    total = np.int64(0)
    for a in range(numbers(m, g)):
        if takes_more(m, g, a):
            total += m[group_at(m, g) + f.SLOTS] - m[agent_at(m, g, a) + f.LOAD]
    return total


@jit
def free_agent_at(m, g, index):  # type: ignore[no-untyped-def]
    """Return the index-th free agent of a group, −1 beyond the last."""
    if m[group_at(m, g) + f.SLOTS] == 1:
        if index >= m[group_at(m, g) + f.N_IDLE]:
            return np.int64(-1)
        return m[agent_at(m, g, around(m, m[group_at(m, g) + f.IDLE_FIRST] + index)) + f.IDLE_AGENT]
    for a in range(numbers(m, g)):
        if takes_more(m, g, a) and m[agent_at(m, g, a) + f.LOAD] < m[group_at(m, g) + f.SLOTS]:
            if index == 0:
                return np.int64(a)
            index -= 1
    return np.int64(-1)


@jit
def candidate(m, g):  # type: ignore[no-untyped-def]
    """Return (since, agent) of whom a contact goes to."""
    if m[group_at(m, g) + f.SLOTS] == 1:
        spot = m[group_at(m, g) + f.IDLE_FIRST]
        return m[agent_at(m, g, spot) + f.IDLE_SINCE], m[agent_at(m, g, spot) + f.IDLE_AGENT]
    best = np.int64(-1)
    for a in range(numbers(m, g)):
        if not takes_more(m, g, a) or m[agent_at(m, g, a) + f.LOAD] >= m[group_at(m, g) + f.SLOTS]:
            continue
        load, least = m[agent_at(m, g, a) + f.LOAD], m[agent_at(m, g, max(best, 0)) + f.LOAD]
        since = m[agent_at(m, g, a) + f.SINCE]
        if best < 0 or load < least or (load == least and since < m[agent_at(m, g, best) + f.SINCE]):
            best = np.int64(a)
    return m[agent_at(m, g, best) + f.SINCE], best


@jit
def eligible(m, k, g, waited, free):  # type: ignore[no-untyped-def]
    """Whether a group that has the skill may take a contact that has waited so long, with so many agents free (M9)."""
    p = pair_at(m, k, g)
    return draining(m) or (waited >= m[p + f.DELAY] and free > m[p + f.RESERVE])


@jit
def look(m):  # type: ignore[no-untyped-def]
    """Write down what a user's rule sees (``policies.View``)."""
    types, groups = m[f.N_TYPES], m[f.N_GROUPS]
    at = m[f.VIEW]
    for k in range(types):
        i = m[type_at(m, k) + f.HEAD]
        m[at + k] = m[type_at(m, k) + f.N_WAITING]
        m[at + types + k] = m[f.NOW] - m[row(i) + f.ARRIVED] if i >= 0 else np.int64(-1)
    at += 2 * types
    for g in range(groups):
        free = free_in(m, g)
        m[at + g] = free
        m[at + groups + g] = m[group_at(m, g) + f.PRESENT]
        m[at + 2 * groups + g] = m[group_at(m, g) + f.BUSY]
        m[at + 3 * groups + g] = candidate(m, g)[0] if free > 0 else np.int64(-1)


@jit
def view_end(m):  # type: ignore[no-untyped-def]
    """Return where what a rule sees ends, which is as much of the table as a rule may read."""
    return m[f.VIEW] + 2 * m[f.N_TYPES] + 4 * m[f.N_GROUPS] + m[f.N_TYPES] * m[f.N_GROUPS]


@jit
def ask_for_agent(m, i):  # type: ignore[no-untyped-def]
    """Ask the user's rule who takes a contact; an answer outside the rules ends the run."""
    k = m[row(i) + f.KIND]
    look(m)
    g = call_native(m[f.CHOOSE_GROUP], m, view_end(m), k)
    if g < 0 or m[f.FAULT] >= 0:
        return np.int64(-1), np.int64(-1)
    if g >= m[f.N_GROUPS] or m[pair_at(m, k, g) + f.MULTIPLIER] == 0 or free_in(m, g) == 0:
        m[f.FAULT], m[f.ANSWER] = 0, g
        return np.int64(-1), np.int64(-1)
    return g, candidate(m, g)[1]


@jit
def ask_for_contact(m, g):  # type: ignore[no-untyped-def]
    """Ask the user's rule which type an agent takes; an answer outside the rules ends the run."""
    look(m)
    k = call_native(m[f.CHOOSE_TYPE], m, view_end(m), g)
    if k < 0 or m[f.FAULT] >= 0:
        return np.int64(-1)
    if k >= m[f.N_TYPES] or m[pair_at(m, k, g) + f.MULTIPLIER] == 0 or m[type_at(m, k) + f.HEAD] < 0:
        m[f.FAULT], m[f.ANSWER] = 1, k
        return np.int64(-1)
    return m[type_at(m, k) + f.HEAD]


@jit
def choose_agent(m, i):  # type: ignore[no-untyped-def]
    """Return (group, agent) for a contact, −1 if nobody takes it (M10)."""
    if m[f.CHOOSE_GROUP] != 0:
        return ask_for_agent(m, i)
    k = m[row(i) + f.KIND]
    waited = m[f.NOW] - m[row(i) + f.ARRIVED]
    least = f.NEVER
    for c in range(m[f.N_GROUPS]):
        g = m[pair_at(m, k, c) + f.GROUP_ORDER]
        if g < 0:
            break
        free = free_in(m, g)
        if free > 0 and eligible(m, k, g, waited, free) and m[pair_at(m, k, g) + f.GROUP_RANK] < least:
            least = m[pair_at(m, k, g) + f.GROUP_RANK]
    if least == f.NEVER:
        return np.int64(-1), np.int64(-1)
    best_group = best_agent = np.int64(-1)
    best_key = f.NEVER
    total = np.int64(0)
    for c in range(m[f.N_GROUPS]):
        g = m[pair_at(m, k, c) + f.GROUP_ORDER]
        if g < 0:
            break
        free = free_in(m, g)
        if free <= 0 or m[pair_at(m, k, g) + f.GROUP_RANK] != least or not eligible(m, k, g, waited, free):
            continue
        if m[f.AGENT_CHOICE] == f.BY_CHANCE:
            n = np.int64(0)
            while free_agent_at(m, g, n) >= 0:
                n += 1
            total += n
        elif m[f.AGENT_CHOICE] == f.BY_OCCUPANCY:
            n = np.int64(0)
            a = free_agent_at(m, g, n)
            while a >= 0:
                worked = m[agent_at(m, g, a) + f.WORKED]
                if m[group_at(m, g) + f.SLOTS] > 1 and m[agent_at(m, g, a) + f.LOAD] > 0:
                    worked += m[f.NOW] - m[agent_at(m, g, a) + f.ENGAGED_SINCE]
                share = worked * SHARE_UNIT // max(m[f.NOW] - m[agent_at(m, g, a) + f.JOINED], np.int64(1))
                if best_group < 0 or share < best_key:
                    best_group, best_agent, best_key = np.int64(g), a, share
                n += 1
                a = free_agent_at(m, g, n)
        elif m[f.AGENT_CHOICE] == f.BY_MOST_FREE:
            if -free < best_key:
                best_key = -free
                best_group = np.int64(g)
                best_agent = candidate(m, g)[1]
        elif m[f.AGENT_CHOICE] == f.BY_PREFERENCE:
            return np.int64(g), candidate(m, g)[1]
        else:
            since, a = candidate(m, g)
            if since < best_key:
                best_key = since
                best_group, best_agent = np.int64(g), a
    if m[f.AGENT_CHOICE] == f.BY_CHANCE:
        index = (m[row(i) + f.PICK] * total) >> 32
        for c in range(m[f.N_GROUPS]):
            g = m[pair_at(m, k, c) + f.GROUP_ORDER]
            if g < 0:
                break
            free = free_in(m, g)
            if free <= 0 or m[pair_at(m, k, g) + f.GROUP_RANK] != least or not eligible(m, k, g, waited, free):
                continue
            a = free_agent_at(m, g, index)
            if a >= 0:
                return np.int64(g), a
            n = np.int64(0)
            while free_agent_at(m, g, n) >= 0:
                n += 1
            index -= n
    return best_group, best_agent


@jit
def choose_contact(m, g, free, live_only):  # type: ignore[no-untyped-def]
    """Return the waiting contact that an agent of a group takes, −1 if there is none (M11)."""
    best = np.int64(-1)
    if m[f.TOTAL] == 0:
        return best
    if m[f.CHOOSE_TYPE] != 0 and not draining(m):
        return ask_for_contact(m, g)
    p1 = p2 = p3 = np.int64(0)
    for c in range(m[f.N_TYPES]):
        k = m[pair_at(m, c, g) + f.TYPE_ORDER]
        if k < 0:
            break
        i = m[type_at(m, k) + f.HEAD]
        if (
            i < 0
            or (live_only and not m[type_at(m, k) + f.LIVE])
            or not eligible(m, k, g, m[f.NOW] - m[row(i) + f.ARRIVED], free)
        ):
            continue
        credited = m[row(i) + f.ARRIVED] - m[type_at(m, k) + f.CREDIT]
        q1, q2, q3 = m[type_at(m, k) + f.PRIORITY], np.int64(0), credited
        if m[f.CHOICE] == f.BY_SKILL:
            q2 = m[pair_at(m, k, g) + f.TYPE_RANK]
        elif m[f.CHOICE] == f.BY_WEIGHT:
            q2 = -m[pair_at(m, k, g) + f.WEIGHT] * (m[f.NOW] - credited)
        elif m[f.CHOICE] == f.BY_QUEUE:
            q2 = -m[type_at(m, k) + f.N_WAITING]
        elif m[f.CHOICE] == f.BY_ENTRY:
            q1, q3 = np.int64(0), m[row(i) + f.ARRIVED]
        if best < 0 or q1 < p1 or (q1 == p1 and (q2 < p2 or (q2 == p2 and (q3 < p3 or (q3 == p3 and i < best))))):
            best, p1, p2, p3 = i, q1, q2, q3
    return best


@jit
def expected_wait(m, k):  # type: ignore[no-untyped-def]
    there = np.int64(0)
    for c in range(m[f.N_GROUPS]):
        g = m[pair_at(m, k, c) + f.GROUP_ORDER]
        if g < 0:
            break
        there += m[group_at(m, g) + f.PRESENT]
    if there == 0:
        return f.NO_END
    return (m[type_at(m, k) + f.N_WAITING] + 1) * m[type_at(m, k) + f.MEAN_HANDLE] // there


@jit
def least_in_hand(m, g, pausing):  # type: ignore[no-untyped-def]
    """Return the staying agent with nothing in hand for the longest, else the one with the fewest contacts."""
    best = np.int64(-1)
    for a in range(numbers(m, g)):
        if (
            m[agent_at(m, g, a) + f.LOAD] < 0
            or m[agent_at(m, g, a) + f.MUST_LEAVE]
            or (pausing and m[agent_at(m, g, a) + f.PAUSE] > 0)
        ):
            continue
        if (
            best < 0
            or m[agent_at(m, g, a) + f.LOAD] < m[agent_at(m, g, best) + f.LOAD]
            or (
                m[agent_at(m, g, a) + f.LOAD] == 0
                and m[agent_at(m, g, best) + f.LOAD] == 0
                and m[agent_at(m, g, a) + f.SINCE] < m[agent_at(m, g, best) + f.SINCE]
            )
        ):
            best = np.int64(a)
    return best
