"""The compiled engine with every mechanic: the reference engine function by function, the same records bit for bit.

All of a run lies in one table of whole numbers ``m``, as it would in C: settings and counters first, then a record for
each contact, agent, group, type and pair of the two, then heaps and logs. One argument instead of a hundred is what makes
it compile in seconds. ``m[row(i) + ARRIVED]`` reads: of contact i, the arrival.

What the reference does by calling itself (a contact that is cut off frees an agent, who leaves, whereupon others are cut
off) stands here on a stack of tasks, last in, first out. Paragraph numbers as in ``reference.py``.
"""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.heaps import ID_BITS, push
from bposim.engines.model import FOREVER, PACE_UNIT
from bposim.scenario.mechanics import AGENT_CHOICES, CONTACT_CHOICES

NEVER = np.int64(1) << 62
NO_END = np.int64(FOREVER)
PACE = np.int64(PACE_UNIT)
TALK, HELD, HANDOVER, AFTER, DONE = range(5)
#: Faults of a user's rule: an answer outside the rules (0 choose_group, 1 choose_type), an exception.
RAISED = 2
ENTER, ENTER_WITH_LINE, END_CONTACT, CUT_OFF, CUT_OFF_TYPES, DISCONNECT = range(6)
DRAIN_SERVE, DRAIN_DISCONNECT = 0, 1
BY_SKILL, BY_WEIGHT, BY_QUEUE, BY_ENTRY = 1, 2, 3, 4
assert CONTACT_CHOICES == ("longest-wait", "skill-order", "weighted-wait", "longest-queue", "fifo")
BY_PREFERENCE, BY_MOST_FREE, BY_OCCUPANCY, BY_CHANCE = 1, 2, 3, 4
assert AGENT_CHOICES == ("longest-idle", "preference", "most-free", "least-occupied", "random")

#: Settings and counters, the first places of the table.
HEADER_NAMES = (
    # counters
    "NOW", "CLOSED", "LINES", "TOTAL", "EPOCH", "N_BREAKS", "N_COMPLETIONS", "N_HANGUPS", "N_RETURNS", "N_DELAYS",
    "N_CALLS", "N_TASKS", "LOG", "SPANS", "SPOT", "EXHAUSTED", "FAULT", "ANSWER",
    # settings
    "QUEUE_LIMIT", "TRUNKS", "CHOICE", "AGENT_CHOICE", "DRAIN", "HAS_AFTER", "HAS_BALKING", "HAS_LIFE", "CHOOSE_GROUP",
    "CHOOSE_TYPE",
    # sizes
    "N_ROWS", "N_FIRST", "N_TYPES", "N_GROUPS", "N_INTERVALS", "N_STEPS", "MOST_SLOTS", "CAP", "HORIZON", "BEGIN",
    "N_ONWARD", "N_DAYS", "N_SLOTS",
    # where each region begins
    "AGENTS", "GROUPS", "TYPES", "PAIRS", "HANDS", "FREE_NUMBERS", "SPEEDS", "PACES", "STEPS", "HOURS", "COMPLETIONS",
    "HANGUPS", "RETURNS", "DELAYS", "CALLS", "BREAKS", "TASKS", "LOG_BASE", "SPAN_BASE",
    "ONWARD", "POOLS", "POOL_OF", "DRIFT", "VIEW",
)  # fmt: skip
#: Fields of each record. Those of a contact that an engine reports come first, in the order of ``Records``.
ROW_NAMES = (
    "ARRIVED", "ANSWERED", "ENDED", "RELEASED", "GROUP", "AGENT", "OUTCOME", "KIND", "CLIENT", "ATTEMPT",
    "ORIGIN", "HANDLE", "PATIENCE", "FOLLOW",
    "BEFORE", "WAITING", "STAGE", "HOLDER", "HAS_LINE", "REST", "DUE", "TRIES", "HANDOVER_MS", "AFTER_MS", "BALK_AT",
    "PICK", "REDIAL_U", "CALLBACK_U", "TRANSFER_U", "GAP",
)  # fmt: skip
AGENT_NAMES = (
    "IDLE_AGENT", "IDLE_SINCE", "THERE", "MUST_LEAVE", "PAUSE", "LOAD", "SINCE", "TOUCHED", "ENGAGED_SINCE", "JOINED",
    "WORKED", "PENDING", "RESTING",
)  # fmt: skip
GROUP_NAMES = (
    "PRESENT", "BUSY", "HELD_UP", "LEAVING", "IDLE_FIRST", "N_IDLE", "PENDING_FIRST", "N_PENDING", "N_RESTING", "N_FREE",
    "NEXT_NUMBER", "SLOTS", "N_NAMED",
)  # fmt: skip
TYPE_NAMES = ("HEAD", "TAIL", "N_WAITING", "PRIORITY", "CREDIT", "LIVE", "TYPE_LIMIT", "CALLBACK_MS", "MEAN_HANDLE",
              "ACCEPTED", "CALLBACK_TO", "AGAIN_ABANDONED", "AGAIN_BLOCKED", "REDIAL_TO", "AT_MOST",
              "BALK_ALL")  # fmt: skip
PAIR_NAMES = ("GROUP_RANK", "DELAY", "WEIGHT", "RESERVE", "MULTIPLIER", "TYPE_RANK", "GROUP_ORDER", "TYPE_ORDER")
(
    NOW, CLOSED, LINES, TOTAL, EPOCH, N_BREAKS, N_COMPLETIONS, N_HANGUPS, N_RETURNS, N_DELAYS, N_CALLS, N_TASKS, LOG,
    SPANS, SPOT, EXHAUSTED, FAULT, ANSWER, QUEUE_LIMIT, TRUNKS, CHOICE, AGENT_CHOICE, DRAIN, HAS_AFTER, HAS_BALKING,
    HAS_LIFE, CHOOSE_GROUP, CHOOSE_TYPE, N_ROWS, N_FIRST, N_TYPES, N_GROUPS, N_INTERVALS, N_STEPS, MOST_SLOTS, CAP,
    HORIZON, BEGIN, N_ONWARD, N_DAYS, N_SLOTS, AGENTS, GROUPS, TYPES, PAIRS, HANDS, FREE_NUMBERS, SPEEDS, PACES,
    STEPS, HOURS, COMPLETIONS, HANGUPS, RETURNS, DELAYS, CALLS, BREAKS, TASKS, LOG_BASE, SPAN_BASE, ONWARD, POOLS,
    POOL_OF, DRIFT, VIEW,
) = range(len(HEADER_NAMES))  # fmt: skip
(
    ARRIVED, ANSWERED, ENDED, RELEASED, GROUP, AGENT, OUTCOME, KIND, CLIENT, ATTEMPT, ORIGIN, HANDLE, PATIENCE,
    FOLLOW, BEFORE, WAITING, STAGE, HOLDER, HAS_LINE, REST, DUE, TRIES, HANDOVER_MS, AFTER_MS, BALK_AT, PICK,
    REDIAL_U, CALLBACK_U, TRANSFER_U, GAP,
) = range(len(ROW_NAMES))  # fmt: skip
(
    IDLE_AGENT, IDLE_SINCE, THERE, MUST_LEAVE, PAUSE, LOAD, SINCE, TOUCHED, ENGAGED_SINCE, JOINED, WORKED, PENDING,
    RESTING,
) = range(len(AGENT_NAMES))  # fmt: skip
(
    PRESENT, BUSY, HELD_UP, LEAVING, IDLE_FIRST, N_IDLE, PENDING_FIRST, N_PENDING, N_RESTING, N_FREE, NEXT_NUMBER, SLOTS,
    N_NAMED,
) = range(len(GROUP_NAMES))  # fmt: skip
(
    HEAD, TAIL, N_WAITING, PRIORITY, CREDIT, LIVE, TYPE_LIMIT, CALLBACK_MS, MEAN_HANDLE, ACCEPTED, CALLBACK_TO,
    AGAIN_ABANDONED, AGAIN_BLOCKED, REDIAL_TO, AT_MOST, BALK_ALL,
) = range(len(TYPE_NAMES))  # fmt: skip
(
    GROUP_RANK, DELAY, WEIGHT, RESERVE, MULTIPLIER, TYPE_RANK, GROUP_ORDER, TYPE_ORDER,
) = range(len(PAIR_NAMES))  # fmt: skip
HEADER, ROW, AGENT_SIZE, GROUP_SIZE, TYPE_SIZE, PAIR_SIZE = (
    len(names) for names in (HEADER_NAMES, ROW_NAMES, AGENT_NAMES, GROUP_NAMES, TYPE_NAMES, PAIR_NAMES)
)


@jit
def row(i):  # type: ignore[no-untyped-def]
    return HEADER + i * ROW


@jit
def agent_at(m, g, a):  # type: ignore[no-untyped-def]
    return m[AGENTS] + (g * m[CAP] + a) * AGENT_SIZE


@jit
def group_at(m, g):  # type: ignore[no-untyped-def]
    return m[GROUPS] + g * GROUP_SIZE


@jit
def type_at(m, k):  # type: ignore[no-untyped-def]
    return m[TYPES] + k * TYPE_SIZE


@jit
def pair_at(m, k, g):  # type: ignore[no-untyped-def]
    """Of a type and a group; as orders, ``GROUP_ORDER`` of (k, c) is the c-th group, ``TYPE_ORDER`` of (c, g) the c-th type."""
    return m[PAIRS] + (k * m[N_GROUPS] + g) * PAIR_SIZE


@jit
def around(m, place):  # type: ignore[no-untyped-def]
    """Return a place in a ring of ``CAP`` agents that lies at most once around, without a division."""
    return place - m[CAP] if place >= m[CAP] else place


@jit
def hand_at(m, g, a):  # type: ignore[no-untyped-def]
    return m[HANDS] + (g * m[CAP] + a) * m[MOST_SLOTS]


@jit
def break_at(m, n):  # type: ignore[no-untyped-def]
    return m[BREAKS] + 3 * n


@jit
def task(m, what, number):  # type: ignore[no-untyped-def]
    n = m[N_TASKS]
    m[m[TASKS] + 2 * n + 0] = what
    m[m[TASKS] + 2 * n + 1] = number
    m[N_TASKS] = n + 1


@jit
def complete_at(m, i, when):  # type: ignore[no-untyped-def]
    m[row(i) + DUE] = when
    m[N_COMPLETIONS] = push(m, m[COMPLETIONS], m[N_COMPLETIONS], (when << ID_BITS) | i)


@jit
def set_present(m, g, number):  # type: ignore[no-untyped-def]
    r = m[LOG]
    m[group_at(m, g) + PRESENT] = number
    m[m[LOG_BASE] + 3 * r + 0] = m[NOW]
    m[m[LOG_BASE] + 3 * r + 1] = g
    m[m[LOG_BASE] + 3 * r + 2] = number
    m[LOG] = r + 1


@jit
def draining(m):  # type: ignore[no-untyped-def]
    return m[CLOSED] == 1 and m[DRAIN] == DRAIN_SERVE


@jit
def able_to_take(m, g):  # type: ignore[no-untyped-def]
    """Agents who will take contacts after closing: those on one, and not waiting with a transfer (T10)."""
    return m[group_at(m, g) + BUSY] - m[group_at(m, g) + HELD_UP]


@jit
def personal(m, g):  # type: ignore[no-untyped-def]
    return m[group_at(m, g) + N_NAMED] > 0 or m[group_at(m, g) + SLOTS] > 1


@jit
def give_line_back(m, i):  # type: ignore[no-untyped-def]
    if m[row(i) + HAS_LINE]:
        m[row(i) + HAS_LINE] = False
        m[LINES] -= 1


@jit
def take_line(m, i):  # type: ignore[no-untyped-def]
    if m[type_at(m, m[row(i) + KIND]) + LIVE]:
        m[row(i) + HAS_LINE] = True
        m[LINES] += 1


@jit
def unqueue(m, i):  # type: ignore[no-untyped-def]
    k = m[row(i) + KIND]
    if m[row(i) + BEFORE] >= 0:
        m[row(m[row(i) + BEFORE]) + FOLLOW] = m[row(i) + FOLLOW]
    else:
        m[type_at(m, k) + HEAD] = m[row(i) + FOLLOW]
    if m[row(i) + FOLLOW] >= 0:
        m[row(m[row(i) + FOLLOW]) + BEFORE] = m[row(i) + BEFORE]
    else:
        m[type_at(m, k) + TAIL] = m[row(i) + BEFORE]
    m[row(i) + WAITING] = False
    m[type_at(m, k) + N_WAITING] -= 1
    m[TOTAL] -= 1


@jit
def work_ms(m, i, duration):  # type: ignore[no-untyped-def]
    """Return a duration of a contact as its agent takes it."""
    r = row(i)
    g = m[r + GROUP]
    speed = (
        np.int64(m[m[SPEEDS] + g * m[CAP] + m[r + AGENT]]).view(np.float64) if m[group_at(m, g) + N_NAMED] > 0 else 1.0
    )
    return np.int64(
        np.floor(duration * (np.int64(m[pair_at(m, m[r + KIND], g) + MULTIPLIER]).view(np.float64) * speed) + 0.5)
    )


@jit
def spot(m):  # type: ignore[no-untyped-def]
    """Return the last interval that has begun; instants come in order."""
    while m[SPOT] + 1 < m[N_INTERVALS] and m[m[HOURS] + (m[SPOT] + 1) * (4 + m[N_TYPES])] <= m[NOW]:
        m[SPOT] += 1
    return m[SPOT]
