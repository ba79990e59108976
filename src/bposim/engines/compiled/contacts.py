"""Contacts of the compiled engine: arriving, leaving, ending; the stack of tasks that stands for recursion."""

from __future__ import annotations

import numpy as np

from bposim.engines import records as fate
from bposim.engines.compiled import table as f
from bposim.engines.compiled.agents import freed
from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.choices import choose_agent, expected_wait
from bposim.engines.compiled.heaps import ID_BITS, push
from bposim.engines.compiled.service import become, put_down, serve, wait
from bposim.engines.compiled.table import (
    able_to_take,
    agent_at,
    complete_at,
    draining,
    give_line_back,
    group_at,
    pair_at,
    row,
    take_line,
    task,
    type_at,
    unqueue,
    work_ms,
)
from bposim.engines.life import CALLBACK as FROM_CALLBACK
from bposim.engines.life import REDIAL as FROM_REDIAL
from bposim.engines.life import TRANSFER as FROM_TRANSFER


@jit
def enter(m, i, line):  # type: ignore[no-untyped-def]
    """Serve, block, turn away or queue a contact (M2)."""
    k = m[row(i) + f.KIND]
    m[row(i) + f.ARRIVED] = m[f.NOW]
    m[row(i) + f.OUTCOME] = fate.OPEN
    m[row(i) + f.HAS_LINE] = line
    if m[type_at(m, k) + f.LIVE] and not line and m[row(i) + f.ORIGIN] != FROM_CALLBACK:
        if m[f.LINES] >= m[f.TRUNKS]:
            leave(m, i, fate.BLOCKED)
            return
        take_line(m, i)
    g, a = choose_agent(m, i)
    if g >= 0:
        serve(m, i, g, a)
    elif m[type_at(m, k) + f.N_WAITING] >= m[type_at(m, k) + f.TYPE_LIMIT] or m[f.TOTAL] >= m[f.QUEUE_LIMIT]:
        leave(m, i, fate.BLOCKED)
    elif (
        m[f.HAS_BALKING]
        and m[f.TOTAL if m[type_at(m, k) + f.BALK_ALL] else type_at(m, k) + f.N_WAITING] >= m[row(i) + f.BALK_AT]
    ):
        leave(m, i, fate.ABANDONED)
    elif (
        m[f.HAS_LIFE]
        and m[row(i) + f.ORIGIN] != FROM_CALLBACK
        and m[row(i) + f.CALLBACK_U] < m[type_at(m, k) + f.ACCEPTED]
        and expected_wait(m, k) >= m[type_at(m, k) + f.CALLBACK_MS]
    ):
        j = become(m, i, m[type_at(m, k) + f.CALLBACK_TO], FROM_CALLBACK)
        if j >= 0:
            task(m, f.ENTER, j)
        leave(m, i, fate.CALLED_BACK)
    else:
        wait(m, i, k)
        cut_off(m, k)


@jit
def leave(m, i, outcome):  # type: ignore[no-untyped-def]
    """Let a contact go without service (M5)."""
    m[row(i) + f.OUTCOME] = outcome
    m[row(i) + f.ENDED] = m[f.NOW]
    give_line_back(m, i)
    if m[f.HAS_LIFE] and (outcome == fate.ABANDONED or outcome == fate.BLOCKED):
        t = type_at(m, m[row(i) + f.KIND])
        chance = m[t + f.AGAIN_BLOCKED] if outcome == fate.BLOCKED else m[t + f.AGAIN_ABANDONED]
        if m[t + f.AT_MOST] > m[row(i) + f.TRIES] and m[row(i) + f.REDIAL_U] < chance:
            j = become(m, i, m[t + f.REDIAL_TO], FROM_REDIAL)
            if j >= 0:
                when = m[f.NOW] + m[row(i) + f.GAP]
                m[f.N_CALLS] = push(m, m[f.CALLS], m[f.N_CALLS], (when << ID_BITS) | j)
    held = m[row(i) + f.HOLDER]
    m[row(i) + f.HOLDER] = -1
    if held >= 0:
        task(m, f.END_CONTACT, held)


@jit
def end_talk(m, i):  # type: ignore[no-untyped-def]
    """End the talk; a transferred contact goes on before its agent is freed (M7)."""
    m[row(i) + f.ENDED] = m[f.NOW]
    onward = np.int64(-1)
    if m[f.HAS_LIFE]:
        for c in range(m[f.N_ONWARD]):
            at = m[f.ONWARD] + (m[row(i) + f.KIND] * m[f.N_ONWARD] + c) * 4
            if m[row(i) + f.TRANSFER_U] < m[at]:
                onward = at
                break
    if onward < 0:
        give_line_back(m, i)
        end_contact(m, i)
        return
    to = m[onward + 1]
    j = become(m, i, to, FROM_TRANSFER)
    if j < 0:
        return
    m[row(j) + f.HANDOVER_MS] = m[onward + 3]
    line = m[row(i) + f.HAS_LINE] != 0
    m[row(i) + f.HAS_LINE] = False
    if line and not m[type_at(m, to) + f.LIVE]:
        m[f.LINES] -= 1
        line = False
    if m[onward + 2] == 1:
        m[row(j) + f.HOLDER] = i
        m[row(i) + f.STAGE] = f.HELD
        m[group_at(m, m[row(i) + f.GROUP]) + f.HELD_UP] += 1
        task(m, f.CUT_OFF_TYPES, m[row(i) + f.GROUP])
    else:
        task(m, f.END_CONTACT, i)
    task(m, f.ENTER_WITH_LINE if line else f.ENTER, j)


@jit
def end_contact(m, i):  # type: ignore[no-untyped-def]
    """Begin the after-contact work, or free the agent (M8)."""
    g = m[row(i) + f.GROUP]
    if m[row(i) + f.STAGE] == f.HELD:
        m[group_at(m, g) + f.HELD_UP] -= 1
    after = np.int64(0)
    if m[f.HAS_AFTER] and m[group_at(m, g) + f.SLOTS] == 1:
        after = work_ms(m, i, m[row(i) + f.AFTER_MS])
    if after > 0:
        m[row(i) + f.STAGE] = f.AFTER
        complete_at(m, i, m[f.NOW] + after)
    else:
        release(m, i)


@jit
def release(m, i):  # type: ignore[no-untyped-def]
    """Free the agent of a contact."""
    g, a = m[row(i) + f.GROUP], m[row(i) + f.AGENT]
    m[row(i) + f.STAGE] = f.DONE
    m[row(i) + f.RELEASED] = m[f.NOW]
    if m[group_at(m, g) + f.SLOTS] > 1:
        put_down(m, i, g, a)
    else:
        m[agent_at(m, g, a) + f.WORKED] += m[f.NOW] - max(m[row(i) + f.ANSWERED], m[f.BEGIN])
        m[group_at(m, g) + f.BUSY] -= 1
    freed(m, g, a)


@jit
def cut_off(m, k):  # type: ignore[no-untyped-def]
    """While the doors are closed, cut live contacts off: all, or those whom nobody is left to take (T10)."""
    if m[f.CLOSED] == 0 or not m[type_at(m, k) + f.LIVE] or m[type_at(m, k) + f.N_WAITING] == 0:
        return
    if m[f.DRAIN] == f.DRAIN_DISCONNECT:
        task(m, f.DISCONNECT, k)
    elif m[f.DRAIN] == f.DRAIN_SERVE:
        for c in range(m[f.N_GROUPS]):
            g = m[pair_at(m, k, c) + f.GROUP_ORDER]
            if g < 0:
                break
            if able_to_take(m, g) > 0:
                return
        task(m, f.DISCONNECT, k)


@jit
def cut_off_types(m, g):  # type: ignore[no-untyped-def]
    """Where nobody of a group is left to take contacts, cut off those of its types that nobody else takes."""
    if draining(m) and able_to_take(m, g) == 0:
        n = 0
        while n < m[f.N_TYPES] and m[pair_at(m, n, g) + f.TYPE_ORDER] >= 0:
            n += 1
        for c in range(n - 1, -1, -1):
            task(m, f.CUT_OFF, m[pair_at(m, c, g) + f.TYPE_ORDER])


@jit
def disconnect(m, k):  # type: ignore[no-untyped-def]
    """Cut off the first waiting contact of a type; the others follow when all that comes of it is done."""
    i = m[type_at(m, k) + f.HEAD]
    if i >= 0:
        task(m, f.DISCONNECT, k)
        unqueue(m, i)
        leave(m, i, fate.DISCONNECTED)


@jit
def settle(m):  # type: ignore[no-untyped-def]
    """Do all tasks, the latest first."""
    while m[f.N_TASKS] > 0:
        n = m[f.N_TASKS] - 1
        m[f.N_TASKS] = n
        what, number = m[m[f.TASKS] + 2 * n + 0], m[m[f.TASKS] + 2 * n + 1]
        if what == f.ENTER:
            enter(m, number, False)
        elif what == f.ENTER_WITH_LINE:
            enter(m, number, True)
        elif what == f.END_CONTACT:
            end_contact(m, number)
        elif what == f.CUT_OFF:
            cut_off(m, number)
        elif what == f.CUT_OFF_TYPES:
            cut_off_types(m, number)
        else:
            disconnect(m, number)
