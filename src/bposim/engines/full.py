"""The compiled engine with every mechanic: the reference engine function by function, the same records bit for bit.

All of a run lies in one table of whole numbers ``m``, as it would in C: settings and counters first, then a record for
each contact, agent, group, type and pair of the two, then heaps and logs. One argument instead of a hundred is what makes
it compile in seconds. ``m[_row(i) + ARRIVED]`` reads: of contact i, the arrival.

What the reference does by calling itself (a contact that is cut off frees an agent, who leaves, whereupon others are cut
off) stands here on a stack of tasks, last in, first out. Paragraph numbers as in ``reference.py``.
"""

from __future__ import annotations

import numpy as np

from bposim.engines import records as fate
from bposim.engines.heaps import ID_BITS, ID_MASK, jit, pop, push
from bposim.engines.life import CALLBACK as FROM_CALLBACK
from bposim.engines.life import REDIAL as FROM_REDIAL
from bposim.engines.life import TRANSFER as FROM_TRANSFER
from bposim.engines.model import FOREVER, PACE_UNIT
from bposim.scenario.mechanics import AGENT_CHOICES, CONTACT_CHOICES

_NEVER = np.int64(1) << 62
_FOREVER = np.int64(FOREVER)
_PACE = np.int64(PACE_UNIT)
TALK, HELD, HANDOVER, AFTER, DONE = range(5)
ENTER, ENTER_WITH_LINE, END_CONTACT, CUT_OFF, DISCONNECT = range(5)
_SERVE, _DISCONNECT = 0, 1
_SKILL, _WEIGHTED, _QUEUE, _FIFO = 1, 2, 3, 4
assert CONTACT_CHOICES == ("longest-wait", "skill-order", "weighted-wait", "longest-queue", "fifo")
_PREFERENCE, _MOST_FREE, _LEAST_OCCUPIED, _RANDOM = 1, 2, 3, 4
assert AGENT_CHOICES == ("longest-idle", "preference", "most-free", "least-occupied", "random")

#: Settings and counters, the first places of the table.
HEADER_NAMES = (
    # counters
    "NOW", "CLOSED", "LINES", "TOTAL", "EPOCH", "N_BREAKS", "N_COMPLETIONS", "N_HANGUPS", "N_RETURNS", "N_DELAYS",
    "N_CALLS", "N_TASKS", "LOG", "SPANS", "SPOT", "EXHAUSTED",
    # settings
    "QUEUE_LIMIT", "TRUNKS", "CHOICE", "AGENT_CHOICE", "DRAIN", "HAS_AFTER", "HAS_BALKING", "HAS_LIFE",
    # sizes
    "N_ROWS", "N_FIRST", "N_TYPES", "N_GROUPS", "N_INTERVALS", "N_STEPS", "MOST_SLOTS", "CAP", "HORIZON",
    "N_ONWARD", "N_DAYS", "N_SLOTS",
    # where each region begins
    "AGENTS", "GROUPS", "TYPES", "PAIRS", "HANDS", "FREE_NUMBERS", "SPEEDS", "PACES", "STEPS", "HOURS", "COMPLETIONS",
    "HANGUPS", "RETURNS", "DELAYS", "CALLS", "BREAKS", "TASKS", "LOG_BASE", "SPAN_BASE",
    "ONWARD", "POOLS", "POOL_OF", "DRIFT",
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
    "PRESENT", "BUSY", "LEAVING", "IDLE_FIRST", "N_IDLE", "PENDING_FIRST", "N_PENDING", "N_RESTING", "N_FREE",
    "NEXT_NUMBER", "SLOTS", "N_NAMED",
)  # fmt: skip
TYPE_NAMES = ("HEAD", "TAIL", "N_WAITING", "PRIORITY", "CREDIT", "LIVE", "TYPE_LIMIT", "CALLBACK_MS", "MEAN_HANDLE",
              "ACCEPTED", "CALLBACK_TO", "AGAIN_ABANDONED", "AGAIN_BLOCKED", "REDIAL_TO", "AT_MOST")  # fmt: skip
PAIR_NAMES = ("GROUP_RANK", "DELAY", "WEIGHT", "RESERVE", "MULTIPLIER", "TYPE_RANK", "GROUP_ORDER", "TYPE_ORDER")
(
    NOW, CLOSED, LINES, TOTAL, EPOCH, N_BREAKS, N_COMPLETIONS, N_HANGUPS, N_RETURNS, N_DELAYS, N_CALLS, N_TASKS, LOG,
    SPANS, SPOT, EXHAUSTED, QUEUE_LIMIT, TRUNKS, CHOICE, AGENT_CHOICE, DRAIN, HAS_AFTER, HAS_BALKING, HAS_LIFE,
    N_ROWS, N_FIRST, N_TYPES, N_GROUPS, N_INTERVALS, N_STEPS, MOST_SLOTS, CAP, HORIZON, N_ONWARD, N_DAYS, N_SLOTS,
    AGENTS, GROUPS, TYPES, PAIRS, HANDS, FREE_NUMBERS, SPEEDS, PACES, STEPS, HOURS, COMPLETIONS, HANGUPS, RETURNS,
    DELAYS, CALLS, BREAKS, TASKS, LOG_BASE, SPAN_BASE, ONWARD, POOLS, POOL_OF, DRIFT,
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
    PRESENT, BUSY, LEAVING, IDLE_FIRST, N_IDLE, PENDING_FIRST, N_PENDING, N_RESTING, N_FREE, NEXT_NUMBER, SLOTS,
    N_NAMED,
) = range(len(GROUP_NAMES))  # fmt: skip
(
    HEAD, TAIL, N_WAITING, PRIORITY, CREDIT, LIVE, TYPE_LIMIT, CALLBACK_MS, MEAN_HANDLE, ACCEPTED, CALLBACK_TO,
    AGAIN_ABANDONED, AGAIN_BLOCKED, REDIAL_TO, AT_MOST,
) = range(len(TYPE_NAMES))  # fmt: skip
(
    GROUP_RANK, DELAY, WEIGHT, RESERVE, MULTIPLIER, TYPE_RANK, GROUP_ORDER, TYPE_ORDER,
) = range(len(PAIR_NAMES))  # fmt: skip
HEADER, ROW, AGENT_SIZE, GROUP_SIZE, TYPE_SIZE, PAIR_SIZE = (
    len(names) for names in (HEADER_NAMES, ROW_NAMES, AGENT_NAMES, GROUP_NAMES, TYPE_NAMES, PAIR_NAMES)
)


# Where a record begins ---------------------------------------------------------------------------------------------


@jit
def _row(i):  # type: ignore[no-untyped-def]
    return HEADER + i * ROW


@jit
def _agent(m, g, a):  # type: ignore[no-untyped-def]
    return m[AGENTS] + (g * m[CAP] + a) * AGENT_SIZE


@jit
def _group(m, g):  # type: ignore[no-untyped-def]
    return m[GROUPS] + g * GROUP_SIZE


@jit
def _type(m, k):  # type: ignore[no-untyped-def]
    return m[TYPES] + k * TYPE_SIZE


@jit
def _pair(m, k, g):  # type: ignore[no-untyped-def]
    """Of a type and a group; as orders, ``GROUP_ORDER`` of (k, c) is the c-th group, ``TYPE_ORDER`` of (c, g) the c-th type."""
    return m[PAIRS] + (k * m[N_GROUPS] + g) * PAIR_SIZE


@jit
def _hand(m, g, a):  # type: ignore[no-untyped-def]
    return m[HANDS] + (g * m[CAP] + a) * m[MOST_SLOTS]


@jit
def _break(m, n):  # type: ignore[no-untyped-def]
    return m[BREAKS] + 3 * n


# Small steps -------------------------------------------------------------------------------------------------------


@jit
def _task(m, what, number):  # type: ignore[no-untyped-def]
    n = m[N_TASKS]
    m[m[TASKS] + 2 * n + 0] = what
    m[m[TASKS] + 2 * n + 1] = number
    m[N_TASKS] = n + 1


@jit
def _complete_at(m, i, when):  # type: ignore[no-untyped-def]
    m[_row(i) + DUE] = when
    m[N_COMPLETIONS] = push(m, m[COMPLETIONS], m[N_COMPLETIONS], (when << ID_BITS) | i)


@jit
def _set_present(m, g, number):  # type: ignore[no-untyped-def]
    r = m[LOG]
    m[_group(m, g) + PRESENT] = number
    m[m[LOG_BASE] + 3 * r + 0] = m[NOW]
    m[m[LOG_BASE] + 3 * r + 1] = g
    m[m[LOG_BASE] + 3 * r + 2] = number
    m[LOG] = r + 1


@jit
def _draining(m):  # type: ignore[no-untyped-def]
    return m[CLOSED] == 1 and m[DRAIN] == _SERVE


@jit
def _personal(m, g):  # type: ignore[no-untyped-def]
    return m[_group(m, g) + N_NAMED] > 0 or m[_group(m, g) + SLOTS] > 1


@jit
def _give_line_back(m, i):  # type: ignore[no-untyped-def]
    if m[_row(i) + HAS_LINE]:
        m[_row(i) + HAS_LINE] = False
        m[LINES] -= 1


@jit
def _take_line(m, i):  # type: ignore[no-untyped-def]
    if m[_type(m, m[_row(i) + KIND]) + LIVE]:
        m[_row(i) + HAS_LINE] = True
        m[LINES] += 1


@jit
def _unqueue(m, i):  # type: ignore[no-untyped-def]
    k = m[_row(i) + KIND]
    if m[_row(i) + BEFORE] >= 0:
        m[_row(m[_row(i) + BEFORE]) + FOLLOW] = m[_row(i) + FOLLOW]
    else:
        m[_type(m, k) + HEAD] = m[_row(i) + FOLLOW]
    if m[_row(i) + FOLLOW] >= 0:
        m[_row(m[_row(i) + FOLLOW]) + BEFORE] = m[_row(i) + BEFORE]
    else:
        m[_type(m, k) + TAIL] = m[_row(i) + BEFORE]
    m[_row(i) + WAITING] = False
    m[_type(m, k) + N_WAITING] -= 1
    m[TOTAL] -= 1


@jit
def _work_ms(m, i, duration):  # type: ignore[no-untyped-def]
    """Return a duration of a contact as its agent takes it."""
    r = _row(i)
    g = m[r + GROUP]
    speed = np.int64(m[m[SPEEDS] + g * m[CAP] + m[r + AGENT]]).view(np.float64) if m[_group(m, g) + N_NAMED] > 0 else 1.0
    return np.int64(np.floor(duration * (np.int64(m[_pair(m, m[r + KIND], g) + MULTIPLIER]).view(np.float64) * speed) + 0.5))


# Who is free -------------------------------------------------------------------------------------------------------


@jit
def _takes_more(m, g, a):  # type: ignore[no-untyped-def]
    """Whether an agent of a group with several contacts in hand is on the floor and stays there."""
    return m[_agent(m, g, a) + LOAD] >= 0 and not m[_agent(m, g, a) + MUST_LEAVE] and m[_agent(m, g, a) + PAUSE] == 0


@jit
def _numbers(m, g):  # type: ignore[no-untyped-def]
    return m[_group(m, g) + N_NAMED] if m[_group(m, g) + N_NAMED] > 0 else m[_group(m, g) + NEXT_NUMBER]


@jit
def _free(m, g):  # type: ignore[no-untyped-def]
    if m[_group(m, g) + SLOTS] == 1:
        return m[_group(m, g) + N_IDLE]
    total = np.int64(0)
    for a in range(_numbers(m, g)):
        if _takes_more(m, g, a):
            total += m[_group(m, g) + SLOTS] - m[_agent(m, g, a) + LOAD]
    return total


@jit
def _free_agent_at(m, g, index):  # type: ignore[no-untyped-def]
    """Return the index-th free agent of a group, −1 beyond the last."""
    if m[_group(m, g) + SLOTS] == 1:
        if index >= m[_group(m, g) + N_IDLE]:
            return np.int64(-1)
        return m[_agent(m, g, (m[_group(m, g) + IDLE_FIRST] + index) % m[CAP]) + IDLE_AGENT]
    for a in range(_numbers(m, g)):
        if _takes_more(m, g, a) and m[_agent(m, g, a) + LOAD] < m[_group(m, g) + SLOTS]:
            if index == 0:
                return np.int64(a)
            index -= 1
    return np.int64(-1)


@jit
def _candidate(m, g):  # type: ignore[no-untyped-def]
    """Return (since, agent) of whom a contact goes to."""
    if m[_group(m, g) + SLOTS] == 1:
        spot = m[_group(m, g) + IDLE_FIRST]
        return m[_agent(m, g, spot) + IDLE_SINCE], m[_agent(m, g, spot) + IDLE_AGENT]
    best = np.int64(-1)
    for a in range(_numbers(m, g)):
        if _takes_more(m, g, a) and m[_agent(m, g, a) + LOAD] < m[_group(m, g) + SLOTS]:
            if (
                best < 0
                or m[_agent(m, g, a) + LOAD] < m[_agent(m, g, best) + LOAD]
                or (
                    m[_agent(m, g, a) + LOAD] == m[_agent(m, g, best) + LOAD]
                    and m[_agent(m, g, a) + SINCE] < m[_agent(m, g, best) + SINCE]
                )
            ):
                best = np.int64(a)
    return m[_agent(m, g, best) + SINCE], best


@jit
def _eligible(m, k, g, waited, free):  # type: ignore[no-untyped-def]
    """Whether a group that has the skill may take a contact that has waited so long, with so many agents free (M9)."""
    p = _pair(m, k, g)
    return _draining(m) or (waited >= m[p + DELAY] and free > m[p + RESERVE])


@jit
def _choose_agent(m, i):  # type: ignore[no-untyped-def]
    """Return (group, agent) for a contact, −1 if nobody takes it (M10)."""
    k = m[_row(i) + KIND]
    waited = m[NOW] - m[_row(i) + ARRIVED]
    least = _NEVER
    for c in range(m[N_GROUPS]):
        g = m[_pair(m, k, c) + GROUP_ORDER]
        if g < 0:
            break
        free = _free(m, g)
        if free > 0 and _eligible(m, k, g, waited, free) and m[_pair(m, k, g) + GROUP_RANK] < least:
            least = m[_pair(m, k, g) + GROUP_RANK]
    if least == _NEVER:
        return np.int64(-1), np.int64(-1)
    best_group = best_agent = np.int64(-1)
    best_key = _NEVER
    best_worked, best_span = np.int64(0), np.int64(1)
    total = np.int64(0)
    for c in range(m[N_GROUPS]):
        g = m[_pair(m, k, c) + GROUP_ORDER]
        if g < 0:
            break
        free = _free(m, g)
        if free <= 0 or m[_pair(m, k, g) + GROUP_RANK] != least or not _eligible(m, k, g, waited, free):
            continue
        if m[AGENT_CHOICE] == _RANDOM:
            n = np.int64(0)
            while _free_agent_at(m, g, n) >= 0:
                n += 1
            total += n
        elif m[AGENT_CHOICE] == _LEAST_OCCUPIED:
            n = np.int64(0)
            a = _free_agent_at(m, g, n)
            while a >= 0:
                worked = m[_agent(m, g, a) + WORKED]
                span = max(m[NOW] - m[_agent(m, g, a) + JOINED], np.int64(1))
                if best_group < 0 or worked * best_span < best_worked * span:
                    best_group, best_agent, best_worked, best_span = np.int64(g), a, worked, span
                n += 1
                a = _free_agent_at(m, g, n)
        elif m[AGENT_CHOICE] == _MOST_FREE:
            if -free < best_key:
                best_key = -free
                best_group = np.int64(g)
                best_agent = _candidate(m, g)[1]
        elif m[AGENT_CHOICE] == _PREFERENCE:
            return np.int64(g), _candidate(m, g)[1]
        else:
            since, a = _candidate(m, g)
            if since < best_key:
                best_key = since
                best_group, best_agent = np.int64(g), a
    if m[AGENT_CHOICE] == _RANDOM:
        index = (m[_row(i) + PICK] * total) >> 32
        for c in range(m[N_GROUPS]):
            g = m[_pair(m, k, c) + GROUP_ORDER]
            if g < 0:
                break
            free = _free(m, g)
            if free <= 0 or m[_pair(m, k, g) + GROUP_RANK] != least or not _eligible(m, k, g, waited, free):
                continue
            a = _free_agent_at(m, g, index)
            if a >= 0:
                return np.int64(g), a
            n = np.int64(0)
            while _free_agent_at(m, g, n) >= 0:
                n += 1
            index -= n
    return best_group, best_agent


@jit
def _choose_contact(m, g, free, live_only):  # type: ignore[no-untyped-def]
    """Return the waiting contact that an agent of a group takes, −1 if there is none (M11)."""
    best = np.int64(-1)
    if m[TOTAL] == 0:
        return best
    p1 = p2 = p3 = np.int64(0)
    for c in range(m[N_TYPES]):
        k = m[_pair(m, c, g) + TYPE_ORDER]
        if k < 0:
            break
        i = m[_type(m, k) + HEAD]
        if (
            i < 0
            or (live_only and not m[_type(m, k) + LIVE])
            or not _eligible(m, k, g, m[NOW] - m[_row(i) + ARRIVED], free)
        ):
            continue
        credited = m[_row(i) + ARRIVED] - m[_type(m, k) + CREDIT]
        q1, q2, q3 = m[_type(m, k) + PRIORITY], np.int64(0), credited
        if m[CHOICE] == _SKILL:
            q2 = m[_pair(m, k, g) + TYPE_RANK]
        elif m[CHOICE] == _WEIGHTED:
            q2 = -m[_pair(m, k, g) + WEIGHT] * (m[NOW] - credited)
        elif m[CHOICE] == _QUEUE:
            q2 = -m[_type(m, k) + N_WAITING]
        elif m[CHOICE] == _FIFO:
            q1, q3 = np.int64(0), m[_row(i) + ARRIVED]
        if best < 0 or q1 < p1 or (q1 == p1 and (q2 < p2 or (q2 == p2 and (q3 < p3 or (q3 == p3 and i < best))))):
            best, p1, p2, p3 = i, q1, q2, q3
    return best


# Contacts ----------------------------------------------------------------------------------------------------------


@jit
def _await_delay(m, i):  # type: ignore[no-untyped-def]
    waited = m[NOW] - m[_row(i) + ARRIVED]
    k = m[_row(i) + KIND]
    for c in range(m[N_STEPS]):
        delay = m[m[STEPS] + k * m[N_STEPS] + c]
        if delay < 0:
            break
        if delay > waited:
            m[N_DELAYS] = push(m, m[DELAYS], m[N_DELAYS], ((m[_row(i) + ARRIVED] + delay) << ID_BITS) | i)
            return


@jit
def _wait(m, i, k):  # type: ignore[no-untyped-def]
    m[_row(i) + OUTCOME] = fate.OPEN
    m[_row(i) + BEFORE] = m[_type(m, k) + TAIL]
    m[_row(i) + FOLLOW] = -1
    if m[_type(m, k) + TAIL] >= 0:
        m[_row(m[_type(m, k) + TAIL]) + FOLLOW] = i
    else:
        m[_type(m, k) + HEAD] = i
    m[_type(m, k) + TAIL] = i
    m[_row(i) + WAITING] = True
    m[_type(m, k) + N_WAITING] += 1
    m[TOTAL] += 1
    if m[_row(i) + PATIENCE] < _FOREVER:
        when = max(m[_row(i) + ARRIVED] + m[_row(i) + PATIENCE], m[NOW])
        m[N_HANGUPS] = push(m, m[HANGUPS], m[N_HANGUPS], (when << ID_BITS) | i)
    _await_delay(m, i)


@jit
def _spot(m):  # type: ignore[no-untyped-def]
    """Return the last interval that has begun; instants come in order."""
    while m[SPOT] + 1 < m[N_INTERVALS] and m[m[HOURS] + (m[SPOT] + 1) * (4 + m[N_TYPES])] <= m[NOW]:
        m[SPOT] += 1
    return m[SPOT]


@jit
def _is_open(m, k):  # type: ignore[no-untyped-def]
    """Whether a type takes contacts now."""
    at = m[HOURS] + _spot(m) * (4 + m[N_TYPES])
    return m[NOW] < m[at + 1] and m[at + 4 + k] == 1


@jit
def _expected_wait(m, k):  # type: ignore[no-untyped-def]
    there = np.int64(0)
    for c in range(m[N_GROUPS]):
        g = m[_pair(m, k, c) + GROUP_ORDER]
        if g < 0:
            break
        there += m[_group(m, g) + PRESENT]
    if there == 0:
        return _FOREVER
    return (m[_type(m, k) + N_WAITING] + 1) * m[_type(m, k) + MEAN_HANDLE] // there


@jit
def _enter(m, i, line):  # type: ignore[no-untyped-def]
    """Serve, block, turn away or queue a contact (M2)."""
    k = m[_row(i) + KIND]
    m[_row(i) + ARRIVED] = m[NOW]
    m[_row(i) + OUTCOME] = fate.OPEN
    m[_row(i) + HAS_LINE] = line
    if m[_type(m, k) + LIVE] and not line and m[_row(i) + ORIGIN] != FROM_CALLBACK:
        if m[LINES] >= m[TRUNKS]:
            _leave(m, i, fate.BLOCKED)
            return
        _take_line(m, i)
    g, a = _choose_agent(m, i)
    if g >= 0:
        _serve(m, i, g, a)
    elif m[_type(m, k) + N_WAITING] >= m[_type(m, k) + TYPE_LIMIT] or m[TOTAL] >= m[QUEUE_LIMIT]:
        _leave(m, i, fate.BLOCKED)
    elif m[HAS_BALKING] and m[_type(m, k) + N_WAITING] >= m[_row(i) + BALK_AT]:
        _leave(m, i, fate.ABANDONED)
    elif (
        m[HAS_LIFE]
        and m[_row(i) + ORIGIN] != FROM_CALLBACK
        and m[_row(i) + CALLBACK_U] < m[_type(m, k) + ACCEPTED]
        and _expected_wait(m, k) >= m[_type(m, k) + CALLBACK_MS]
    ):
        j = _become(m, i, m[_type(m, k) + CALLBACK_TO], FROM_CALLBACK)
        if j >= 0:
            _task(m, ENTER, j)
        _leave(m, i, fate.CALLED_BACK)
    else:
        _wait(m, i, k)
        _cut_off(m, k)


@jit
def _leave(m, i, outcome):  # type: ignore[no-untyped-def]
    """Let a contact go without service (M5)."""
    m[_row(i) + OUTCOME] = outcome
    m[_row(i) + ENDED] = m[NOW]
    _give_line_back(m, i)
    if m[HAS_LIFE] and (outcome == fate.ABANDONED or outcome == fate.BLOCKED):
        t = _type(m, m[_row(i) + KIND])
        chance = m[t + AGAIN_BLOCKED] if outcome == fate.BLOCKED else m[t + AGAIN_ABANDONED]
        if m[t + AT_MOST] > m[_row(i) + TRIES] and m[_row(i) + REDIAL_U] < chance:
            j = _become(m, i, m[t + REDIAL_TO], FROM_REDIAL)
            if j >= 0:
                when = m[NOW] + m[_row(i) + GAP]
                m[N_CALLS] = push(m, m[CALLS], m[N_CALLS], (when << ID_BITS) | j)
    held = m[_row(i) + HOLDER]
    m[_row(i) + HOLDER] = -1
    if held >= 0:
        _task(m, END_CONTACT, held)


@jit
def _serve(m, i, g, a):  # type: ignore[no-untyped-def]
    """Give a contact to an agent who is free."""
    m[_row(i) + OUTCOME] = fate.ANSWERED
    m[_row(i) + GROUP] = g
    m[_row(i) + AGENT] = a
    m[_row(i) + ANSWERED] = m[NOW]
    work = _work_ms(m, i, m[_row(i) + HANDLE])
    held = m[_row(i) + HOLDER]
    if held >= 0:
        work += m[_row(i) + HANDOVER_MS]
    m[_row(i) + STAGE] = TALK
    if m[_group(m, g) + SLOTS] > 1:
        if m[HAS_AFTER]:
            work += _work_ms(m, i, m[_row(i) + AFTER_MS])
        _pick_up(m, i, g, a, work)
    else:
        if m[_group(m, g) + N_IDLE] > 0 and m[_agent(m, g, m[_group(m, g) + IDLE_FIRST]) + IDLE_AGENT] == a:
            m[_group(m, g) + IDLE_FIRST] = (m[_group(m, g) + IDLE_FIRST] + 1) % m[CAP]
            m[_group(m, g) + N_IDLE] -= 1
        else:
            _drop_idle(m, g, a)
        m[_group(m, g) + BUSY] += 1
        _complete_at(m, i, m[NOW] + work)
    if held >= 0:
        m[_row(i) + HOLDER] = -1
        m[_row(held) + STAGE] = HANDOVER
        _complete_at(m, held, m[NOW] + m[_row(i) + HANDOVER_MS])


@jit
def _end_talk(m, i):  # type: ignore[no-untyped-def]
    """End the talk; a transferred contact goes on before its agent is freed (M7)."""
    m[_row(i) + ENDED] = m[NOW]
    onward = np.int64(-1)
    if m[HAS_LIFE]:
        for c in range(m[N_ONWARD]):
            at = m[ONWARD] + (m[_row(i) + KIND] * m[N_ONWARD] + c) * 4
            if m[_row(i) + TRANSFER_U] < m[at]:
                onward = at
                break
    if onward < 0:
        _give_line_back(m, i)
        _end_contact(m, i)
        return
    to = m[onward + 1]
    j = _become(m, i, to, FROM_TRANSFER)
    if j < 0:
        return
    m[_row(j) + HANDOVER_MS] = m[onward + 3]
    line = m[_row(i) + HAS_LINE] != 0
    m[_row(i) + HAS_LINE] = False
    if line and not m[_type(m, to) + LIVE]:
        m[LINES] -= 1
        line = False
    if m[onward + 2] == 1:
        m[_row(j) + HOLDER] = i
        m[_row(i) + STAGE] = HELD
    else:
        _task(m, END_CONTACT, i)
    _task(m, ENTER_WITH_LINE if line else ENTER, j)


@jit
def _become(m, i, to, origin):  # type: ignore[no-untyped-def]
    """Take a spare row for what a contact becomes; −1 ends the run, which is played again with more (M1)."""
    at = m[HOURS] + _spot(m) * (4 + m[N_TYPES])
    pool = m[m[POOL_OF] + to * m[N_SLOTS] + m[at + 3]]
    p = m[POOLS] + 2 * pool
    j = m[p]
    if j == m[p + 1]:
        m[EXHAUSTED] = pool
        return np.int64(-1)
    m[p] = j + 1
    r, q = _row(i), _row(j)
    m[q + CLIENT] = m[r + CLIENT]
    m[q + ORIGIN] = origin
    m[q + ATTEMPT] = m[r + ATTEMPT]
    m[q + TRIES] = 0
    if origin == FROM_REDIAL:
        m[q + ATTEMPT] += 1
        m[q + TRIES] = m[r + TRIES] + 1
    if origin == FROM_REDIAL and to == m[r + KIND]:
        m[q + HANDLE] = m[r + HANDLE]
        m[q + AFTER_MS] = m[r + AFTER_MS]
    elif m[N_DAYS] > 0:
        factor = np.int64(m[m[DRIFT] + to * m[N_DAYS] + m[at + 2]]).view(np.float64)
        m[q + HANDLE] = np.int64(np.floor(m[q + HANDLE] * factor + 0.5))
        if m[HAS_AFTER]:
            m[q + AFTER_MS] = np.int64(np.floor(m[q + AFTER_MS] * factor + 0.5))
    return j


@jit
def _end_contact(m, i):  # type: ignore[no-untyped-def]
    """Begin the after-contact work, or free the agent (M8)."""
    g = m[_row(i) + GROUP]
    after = np.int64(0)
    if m[HAS_AFTER] and m[_group(m, g) + SLOTS] == 1:
        after = _work_ms(m, i, m[_row(i) + AFTER_MS])
    if after > 0:
        m[_row(i) + STAGE] = AFTER
        _complete_at(m, i, m[NOW] + after)
    else:
        _release(m, i)


@jit
def _release(m, i):  # type: ignore[no-untyped-def]
    """Free the agent of a contact."""
    g, a = m[_row(i) + GROUP], m[_row(i) + AGENT]
    m[_row(i) + STAGE] = DONE
    m[_row(i) + RELEASED] = m[NOW]
    m[_agent(m, g, a) + WORKED] += m[NOW] - m[_row(i) + ANSWERED]
    if m[_group(m, g) + SLOTS] > 1:
        _put_down(m, i, g, a)
    else:
        m[_group(m, g) + BUSY] -= 1
    _freed(m, g, a)


@jit
def _cut_off(m, k):  # type: ignore[no-untyped-def]
    """While the doors are closed, cut live contacts off: all, or those whom nobody is left to take (T10)."""
    if m[CLOSED] == 0 or not m[_type(m, k) + LIVE] or m[_type(m, k) + N_WAITING] == 0:
        return
    if m[DRAIN] == _DISCONNECT:
        _task(m, DISCONNECT, k)
    elif m[DRAIN] == _SERVE:
        for c in range(m[N_GROUPS]):
            g = m[_pair(m, k, c) + GROUP_ORDER]
            if g < 0:
                break
            if m[_group(m, g) + BUSY] > 0:
                return
        _task(m, DISCONNECT, k)


@jit
def _disconnect(m, k):  # type: ignore[no-untyped-def]
    """Cut off the first waiting contact of a type; the others follow when all that comes of it is done."""
    i = m[_type(m, k) + HEAD]
    if i >= 0:
        _task(m, DISCONNECT, k)
        _unqueue(m, i)
        _leave(m, i, fate.DISCONNECTED)


@jit
def _settle(m):  # type: ignore[no-untyped-def]
    """Do all tasks, the latest first."""
    while m[N_TASKS] > 0:
        n = m[N_TASKS] - 1
        m[N_TASKS] = n
        what, number = m[m[TASKS] + 2 * n + 0], m[m[TASKS] + 2 * n + 1]
        if what == ENTER:
            _enter(m, number, False)
        elif what == ENTER_WITH_LINE:
            _enter(m, number, True)
        elif what == END_CONTACT:
            _end_contact(m, number)
        elif what == CUT_OFF:
            _cut_off(m, number)
        else:
            _disconnect(m, number)


# Agents ------------------------------------------------------------------------------------------------------------


@jit
def _drop_idle(m, g, a):  # type: ignore[no-untyped-def]
    """Take an agent out of the idle ones, wherever it stands; tell whether it was one of them."""
    cap = m[CAP]
    for n in range(m[_group(m, g) + N_IDLE]):
        if m[_agent(m, g, (m[_group(m, g) + IDLE_FIRST] + n) % cap) + IDLE_AGENT] == a:
            for later in range(n, m[_group(m, g) + N_IDLE] - 1):
                here, there = (
                    (m[_group(m, g) + IDLE_FIRST] + later) % cap,
                    (m[_group(m, g) + IDLE_FIRST] + later + 1) % cap,
                )
                m[_agent(m, g, here) + IDLE_AGENT] = m[_agent(m, g, there) + IDLE_AGENT]
                m[_agent(m, g, here) + IDLE_SINCE] = m[_agent(m, g, there) + IDLE_SINCE]
            m[_group(m, g) + N_IDLE] -= 1
            return True
    return False


@jit
def _first_idle(m, g):  # type: ignore[no-untyped-def]
    a = m[_agent(m, g, m[_group(m, g) + IDLE_FIRST]) + IDLE_AGENT]
    m[_group(m, g) + IDLE_FIRST] = (m[_group(m, g) + IDLE_FIRST] + 1) % m[CAP]
    m[_group(m, g) + N_IDLE] -= 1
    return a


@jit
def _is_leaving(m, g, a):  # type: ignore[no-untyped-def]
    return m[_agent(m, g, a) + MUST_LEAVE] != 0 if _personal(m, g) else m[_group(m, g) + LEAVING] > 0


@jit
def _freed(m, g, a):  # type: ignore[no-untyped-def]
    """Let an agent leave, pause, or take the next contact (M16)."""
    if _is_leaving(m, g, a):
        if _draining(m) and _take_next(m, g, a, True):
            return
        if m[_group(m, g) + SLOTS] > 1 and m[_agent(m, g, a) + LOAD] > 0:
            return
        if _personal(m, g):
            m[_agent(m, g, a) + MUST_LEAVE] = False
            m[_agent(m, g, a) + PAUSE] = 0
        else:
            m[_group(m, g) + LEAVING] -= 1
        _depart(m, g, a)
        if _draining(m) and m[_group(m, g) + BUSY] == 0:
            n = 0
            while n < m[N_TYPES] and m[_pair(m, n, g) + TYPE_ORDER] >= 0:
                n += 1
            for c in range(n - 1, -1, -1):
                _task(m, CUT_OFF, m[_pair(m, c, g) + TYPE_ORDER])
    elif _personal(m, g) and m[_agent(m, g, a) + PAUSE] > 0:
        if not (m[_group(m, g) + SLOTS] > 1 and m[_agent(m, g, a) + LOAD] > 0):
            away = m[_agent(m, g, a) + PAUSE]
            m[_agent(m, g, a) + PAUSE] = 0
            _go_on_break(m, g, a, away)
    elif m[_group(m, g) + N_PENDING] > 0:
        away = m[_agent(m, g, m[_group(m, g) + PENDING_FIRST]) + PENDING]
        m[_group(m, g) + PENDING_FIRST] = (m[_group(m, g) + PENDING_FIRST] + 1) % m[CAP]
        m[_group(m, g) + N_PENDING] -= 1
        _go_on_break(m, g, a, away)
    else:
        _work_on(m, g, a)


@jit
def _work_on(m, g, a):  # type: ignore[no-untyped-def]
    """Take waiting contacts, as many as the agent can, or turn idle."""
    if m[_group(m, g) + SLOTS] == 1:
        if not _take_next(m, g, a, False):
            spot = (m[_group(m, g) + IDLE_FIRST] + m[_group(m, g) + N_IDLE]) % m[CAP]
            m[_agent(m, g, spot) + IDLE_AGENT] = a
            m[_agent(m, g, spot) + IDLE_SINCE] = m[NOW]
            m[_group(m, g) + N_IDLE] += 1
        return
    while m[_agent(m, g, a) + LOAD] < m[_group(m, g) + SLOTS] and _take_next(m, g, a, False):
        pass


@jit
def _take_next(m, g, a, live_only):  # type: ignore[no-untyped-def]
    """Take one waiting contact, if there is any for this agent."""
    if m[TOTAL] == 0:
        return False
    free = _free(m, g) + (1 if m[_group(m, g) + SLOTS] == 1 else 0)
    i = _choose_contact(m, g, free, live_only)
    if i < 0:
        return False
    _unqueue(m, i)
    _serve(m, i, g, a)
    return True


@jit
def _progress(m, g, a):  # type: ignore[no-untyped-def]
    done = (m[NOW] - m[_agent(m, g, a) + TOUCHED]) * m[m[PACES] + g * (m[MOST_SLOTS] + 1) + m[_agent(m, g, a) + LOAD]]
    for h in range(m[_agent(m, g, a) + LOAD]):
        m[_row(m[_hand(m, g, a) + h]) + REST] -= done
    m[_agent(m, g, a) + TOUCHED] = m[NOW]


@jit
def _reschedule(m, g, a):  # type: ignore[no-untyped-def]
    pace = m[m[PACES] + g * (m[MOST_SLOTS] + 1) + m[_agent(m, g, a) + LOAD]]
    for h in range(m[_agent(m, g, a) + LOAD]):
        i = m[_hand(m, g, a) + h]
        _complete_at(m, i, m[NOW] + max(-((-m[_row(i) + REST]) // pace), np.int64(0)))


@jit
def _pick_up(m, i, g, a, work):  # type: ignore[no-untyped-def]
    """Add a contact to those in hand; all go on at the new pace (M19)."""
    _progress(m, g, a)
    if m[_agent(m, g, a) + LOAD] == 0:
        m[_group(m, g) + BUSY] += 1
        m[_agent(m, g, a) + ENGAGED_SINCE] = m[NOW]
    m[_hand(m, g, a) + m[_agent(m, g, a) + LOAD]] = i
    m[_agent(m, g, a) + LOAD] += 1
    m[_agent(m, g, a) + SINCE] = m[NOW]
    m[_row(i) + REST] = work * _PACE
    _reschedule(m, g, a)


@jit
def _put_down(m, i, g, a):  # type: ignore[no-untyped-def]
    """Take a completed contact out of those in hand."""
    _progress(m, g, a)
    at = 0
    while m[_hand(m, g, a) + at] != i:
        at += 1
    for h in range(at, m[_agent(m, g, a) + LOAD] - 1):
        m[_hand(m, g, a) + h] = m[_hand(m, g, a) + h + 1]
    m[_agent(m, g, a) + LOAD] -= 1
    m[_agent(m, g, a) + SINCE] = m[NOW]
    if m[_agent(m, g, a) + LOAD] == 0:
        m[_group(m, g) + BUSY] -= 1
        n = m[SPANS]
        m[m[SPAN_BASE] + 3 * n + 0] = g
        m[m[SPAN_BASE] + 3 * n + 1] = m[_agent(m, g, a) + ENGAGED_SINCE]
        m[m[SPAN_BASE] + 3 * n + 2] = m[NOW]
        m[SPANS] = n + 1
    _reschedule(m, g, a)


@jit
def _number(m, g):  # type: ignore[no-untyped-def]
    if m[_group(m, g) + N_FREE] > 0:
        a = m[m[FREE_NUMBERS] + g * m[CAP]]
        m[_group(m, g) + N_FREE] = pop(m, m[FREE_NUMBERS] + g * m[CAP], m[_group(m, g) + N_FREE])
        return a
    m[_group(m, g) + NEXT_NUMBER] += 1
    return m[_group(m, g) + NEXT_NUMBER] - 1


@jit
def _give_number_back(m, g, a):  # type: ignore[no-untyped-def]
    if m[_group(m, g) + N_NAMED] == 0:
        m[_group(m, g) + N_FREE] = push(m, m[FREE_NUMBERS] + g * m[CAP], m[_group(m, g) + N_FREE], a)


@jit
def _start(m, g, a):  # type: ignore[no-untyped-def]
    m[_agent(m, g, a) + THERE] = True
    if m[_group(m, g) + SLOTS] > 1:
        m[_agent(m, g, a) + LOAD] = 0
        m[_agent(m, g, a) + SINCE] = m[NOW]
        m[_agent(m, g, a) + TOUCHED] = m[NOW]
    _work_on(m, g, a)


@jit
def _grow(m, g, k, named, numbers):  # type: ignore[no-untyped-def]
    """Let k agents join, or one by name (T9, M14)."""
    if named >= 0:
        if m[_agent(m, g, named) + THERE]:
            m[_agent(m, g, named) + MUST_LEAVE] = False
            return
        numbers[0] = named
    else:
        for n in range(k):
            numbers[n] = _number(m, g)
    _set_present(m, g, m[_group(m, g) + PRESENT] + k)
    for n in range(k):
        m[_agent(m, g, numbers[n]) + JOINED] = m[NOW]
        m[_agent(m, g, numbers[n]) + WORKED] = 0
        _start(m, g, numbers[n])


@jit
def _least_in_hand(m, g, pausing):  # type: ignore[no-untyped-def]
    """Return the staying agent with nothing in hand for the longest, else the one with the fewest contacts."""
    best = np.int64(-1)
    for a in range(_numbers(m, g)):
        if (
            m[_agent(m, g, a) + LOAD] < 0
            or m[_agent(m, g, a) + MUST_LEAVE]
            or (pausing and m[_agent(m, g, a) + PAUSE] > 0)
        ):
            continue
        if (
            best < 0
            or m[_agent(m, g, a) + LOAD] < m[_agent(m, g, best) + LOAD]
            or (
                m[_agent(m, g, a) + LOAD] == 0
                and m[_agent(m, g, best) + LOAD] == 0
                and m[_agent(m, g, a) + SINCE] < m[_agent(m, g, best) + SINCE]
            )
        ):
            best = np.int64(a)
    return best


@jit
def _shrink(m, g, k, named):  # type: ignore[no-untyped-def]
    """Send k agents home, or one by name (T9, M14, M19)."""
    if named >= 0:
        if m[_agent(m, g, named) + THERE]:
            _send_home(m, g, named)
        return
    for _ in range(k):
        if _personal(m, g):
            a = _least_in_hand(m, g, False)
            if a >= 0:
                _send_home(m, g, a)
            else:
                away = np.int64(-1)
                for n in range(m[_group(m, g) + N_RESTING]):
                    b = m[_agent(m, g, n) + RESTING]
                    if not m[_agent(m, g, b) + MUST_LEAVE] and (away < 0 or b < away):
                        away = b
                if away >= 0:
                    m[_agent(m, g, away) + MUST_LEAVE] = True
        elif m[_group(m, g) + N_IDLE] > 0:
            _depart(m, g, _first_idle(m, g))
        else:
            m[_group(m, g) + LEAVING] += 1


@jit
def _send_home(m, g, a):  # type: ignore[no-untyped-def]
    if m[_group(m, g) + SLOTS] > 1:
        if m[_agent(m, g, a) + LOAD] == 0:
            m[_agent(m, g, a) + PAUSE] = 0
            _depart(m, g, a)
        else:
            m[_agent(m, g, a) + MUST_LEAVE] = True
    elif _drop_idle(m, g, a):
        _depart(m, g, a)
    else:
        m[_agent(m, g, a) + MUST_LEAVE] = True


@jit
def _depart(m, g, a):  # type: ignore[no-untyped-def]
    m[_agent(m, g, a) + THERE] = False
    m[_agent(m, g, a) + LOAD] = -1
    _give_number_back(m, g, a)
    _set_present(m, g, m[_group(m, g) + PRESENT] - 1)


@jit
def _send_on_break(m, g, k, named, away):  # type: ignore[no-untyped-def]
    """Send k agents, or one by name, on a break (M15)."""
    for _ in range(k):
        if named >= 0:
            _send_person(m, g, named, away)
        elif m[_group(m, g) + SLOTS] > 1:
            a = _least_in_hand(m, g, True)
            if a >= 0:
                _send_person(m, g, a, away)
        elif m[_group(m, g) + N_IDLE] > 0:
            _go_on_break(m, g, _first_idle(m, g), away)
        elif m[_group(m, g) + BUSY] - m[_group(m, g) + LEAVING] > m[_group(m, g) + N_PENDING]:
            m[_agent(m, g, (m[_group(m, g) + PENDING_FIRST] + m[_group(m, g) + N_PENDING]) % m[CAP]) + PENDING] = away
            m[_group(m, g) + N_PENDING] += 1


@jit
def _send_person(m, g, a, away):  # type: ignore[no-untyped-def]
    if not m[_agent(m, g, a) + THERE] or m[_agent(m, g, a) + MUST_LEAVE]:
        return
    for n in range(m[_group(m, g) + N_RESTING]):
        if m[_agent(m, g, n) + RESTING] == a:
            return
    if _drop_idle(m, g, a) or (m[_group(m, g) + SLOTS] > 1 and m[_agent(m, g, a) + LOAD] == 0):
        _go_on_break(m, g, a, away)
    else:
        m[_agent(m, g, a) + PAUSE] = away


@jit
def _go_on_break(m, g, a, away):  # type: ignore[no-untyped-def]
    m[_agent(m, g, a) + LOAD] = -1
    m[_agent(m, g, m[_group(m, g) + N_RESTING]) + RESTING] = a
    m[_group(m, g) + N_RESTING] += 1
    _set_present(m, g, m[_group(m, g) + PRESENT] - 1)
    n = m[N_BREAKS] + 1
    m[N_BREAKS] = n
    m[_break(m, n) + 0] = g
    m[_break(m, n) + 1] = a
    m[_break(m, n) + 2] = m[EPOCH]
    m[N_RETURNS] = push(m, m[RETURNS], m[N_RETURNS], ((m[NOW] + away) << ID_BITS) | n)


@jit
def _come_back(m, n):  # type: ignore[no-untyped-def]
    """End a break, unless the shift or the day ended meanwhile."""
    g, a = m[_break(m, n) + 0], m[_break(m, n) + 1]
    if m[_break(m, n) + 2] != m[EPOCH]:
        return
    at = 0
    while m[_agent(m, g, at) + RESTING] != a:
        at += 1
    for r in range(at, m[_group(m, g) + N_RESTING] - 1):
        m[_agent(m, g, r) + RESTING] = m[_agent(m, g, r + 1) + RESTING]
    m[_group(m, g) + N_RESTING] -= 1
    if _is_leaving(m, g, a):
        if _personal(m, g):
            m[_agent(m, g, a) + MUST_LEAVE] = False
        else:
            m[_group(m, g) + LEAVING] -= 1
        m[_agent(m, g, a) + THERE] = False
        _give_number_back(m, g, a)
        return
    _set_present(m, g, m[_group(m, g) + PRESENT] + 1)
    _start(m, g, a)


@jit
def _close(m):  # type: ignore[no-untyped-def]
    """Close the doors: end all breaks, send the idle home, tell the others to leave after their contacts (T10)."""
    m[CLOSED] = 1
    m[EPOCH] += 1
    for g in range(m[N_GROUPS]):
        m[_group(m, g) + N_PENDING] = 0
        for n in range(m[_group(m, g) + N_RESTING]):
            a = m[_agent(m, g, n) + RESTING]
            m[_agent(m, g, a) + THERE] = False
            m[_agent(m, g, a) + MUST_LEAVE] = False
            _give_number_back(m, g, a)
        m[_group(m, g) + N_RESTING] = 0
        while m[_group(m, g) + N_IDLE] > 0:
            _depart(m, g, _first_idle(m, g))
        if not _personal(m, g):
            m[_group(m, g) + LEAVING] = m[_group(m, g) + BUSY]
            continue
        for a in range(_numbers(m, g)):
            m[_agent(m, g, a) + PAUSE] = 0
            if m[_group(m, g) + SLOTS] > 1 and m[_agent(m, g, a) + LOAD] == 0:
                m[_agent(m, g, a) + MUST_LEAVE] = False
                _depart(m, g, a)
            if m[_agent(m, g, a) + THERE]:
                m[_agent(m, g, a) + MUST_LEAVE] = True
    for k in range(m[N_TYPES] - 1, -1, -1):
        _task(m, CUT_OFF, k)


# The run -----------------------------------------------------------------------------------------------------------


@jit
def play(m, begin, in_service, change_ms, change_group, leave, join, change_agent, away,
         openings, closings):  # type: ignore[no-untyped-def]  # fmt: skip
    """Play one replication in a table that ``layout.py`` has laid out; returns the pool that was exhausted, or −1."""
    m[NOW] = begin
    numbers = np.empty(max(join.max() if len(join) else 0, 1), np.int64)
    for i in range(len(in_service)):
        g = in_service[i]
        if g >= 0:
            a = _number(m, g)
            _set_present(m, g, m[_group(m, g) + PRESENT] + 1)
            m[_agent(m, g, a) + JOINED] = begin
            m[_agent(m, g, a) + WORKED] = 0
            m[_group(m, g) + BUSY] += 1
            m[_row(i) + OUTCOME] = fate.ANSWERED
            m[_row(i) + ANSWERED] = m[_row(i) + ARRIVED]
            m[_row(i) + GROUP] = g
            m[_row(i) + AGENT] = a
            _take_line(m, i)
            m[_row(i) + STAGE] = TALK
            _complete_at(m, i, begin + m[_row(i) + HANDLE])
        else:
            _take_line(m, i)
            _wait(m, i, m[_row(i) + KIND])
    next_arrival = len(in_service)
    next_change = next_opening = next_closing = 0
    while next_opening < len(openings) and openings[next_opening] < begin:
        next_opening += 1
    while next_closing < len(closings) and closings[next_closing] <= begin:
        next_closing += 1
    n_changes, n_openings, n_closings = len(change_ms), len(openings), len(closings)
    while True:
        now, event = _NEVER, -1
        if m[N_COMPLETIONS] > 0:
            now, event = m[m[COMPLETIONS]] >> ID_BITS, 0
        if next_change < n_changes and change_ms[next_change] < now:
            now, event = change_ms[next_change], 1
        if next_opening < n_openings and openings[next_opening] < now:
            now, event = openings[next_opening], 1
        if m[N_HANGUPS] > 0 and (m[m[HANGUPS]] >> ID_BITS) < now:
            now, event = m[m[HANGUPS]] >> ID_BITS, 2
        if m[N_RETURNS] > 0 and (m[m[RETURNS]] >> ID_BITS) < now:
            now, event = m[m[RETURNS]] >> ID_BITS, 3
        if m[N_DELAYS] > 0 and (m[m[DELAYS]] >> ID_BITS) < now:
            now, event = m[m[DELAYS]] >> ID_BITS, 4
        if next_closing < n_closings and closings[next_closing] < now:
            now, event = closings[next_closing], 5
        if next_arrival < m[N_FIRST] and m[_row(next_arrival) + ARRIVED] < now:
            now, event = m[_row(next_arrival) + ARRIVED], 6
        if m[N_CALLS] > 0 and (m[m[CALLS]] >> ID_BITS) < now:
            now, event = m[m[CALLS]] >> ID_BITS, 7
        if event < 0 or m[EXHAUSTED] >= 0:
            break
        m[NOW] = now
        if event == 0:
            i = m[m[COMPLETIONS]] & ID_MASK
            m[N_COMPLETIONS] = pop(m, m[COMPLETIONS], m[N_COMPLETIONS])
            if m[_row(i) + DUE] == now:
                if m[_row(i) + STAGE] == TALK:
                    _end_talk(m, i)
                elif m[_row(i) + STAGE] == HANDOVER:
                    _end_contact(m, i)
                elif m[_row(i) + STAGE] == AFTER:
                    _release(m, i)
        elif event == 1:
            if next_opening < n_openings and openings[next_opening] == now:
                m[CLOSED] = 0
                next_opening += 1
            first = next_change
            while next_change < n_changes and change_ms[next_change] == now:
                r = next_change
                if leave[r] > 0:
                    named = change_agent[r] if len(change_agent) else np.int64(-1)
                    if len(away) > 0 and away[r] > 0:
                        _send_on_break(m, change_group[r], leave[r], named, away[r])
                    else:
                        _shrink(m, change_group[r], leave[r], named)
                next_change += 1
            for r in range(first, next_change):
                if join[r] > 0:
                    named = change_agent[r] if len(change_agent) else np.int64(-1)
                    _grow(m, change_group[r], join[r], named, numbers)
        elif event == 2:
            i = m[m[HANGUPS]] & ID_MASK
            m[N_HANGUPS] = pop(m, m[HANGUPS], m[N_HANGUPS])
            if m[_row(i) + WAITING]:
                _unqueue(m, i)
                _leave(m, i, fate.ABANDONED)
        elif event == 3:
            n = m[m[RETURNS]] & ID_MASK
            m[N_RETURNS] = pop(m, m[RETURNS], m[N_RETURNS])
            _come_back(m, n)
        elif event == 4:
            i = m[m[DELAYS]] & ID_MASK
            m[N_DELAYS] = pop(m, m[DELAYS], m[N_DELAYS])
            if m[_row(i) + WAITING]:
                g, a = _choose_agent(m, i)
                if g >= 0:
                    _unqueue(m, i)
                    _serve(m, i, g, a)
                else:
                    _await_delay(m, i)
        elif event == 5:
            next_closing += 1
            _close(m)
        elif event == 6:
            _enter(m, np.int64(next_arrival), False)
            next_arrival += 1
        else:
            j = m[m[CALLS]] & ID_MASK
            m[N_CALLS] = pop(m, m[CALLS], m[N_CALLS])
            if _is_open(m, m[_row(j) + KIND]):
                _enter(m, j, False)
        _settle(m)
    for i in range(m[N_ROWS]):
        if m[_row(i) + OUTCOME] == fate.OPEN:
            m[_row(i) + ENDED] = max(m[HORIZON], m[_row(i) + ARRIVED])
            if m[_row(i) + HOLDER] >= 0:
                m[_row(m[_row(i) + HOLDER]) + RELEASED] = m[_row(i) + ENDED]
    return m[EXHAUSTED]
