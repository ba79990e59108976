"""The event loop of the compiled engine with every mechanic."""

from __future__ import annotations

import numpy as np

from bposim.engines import records as fate
from bposim.engines.compiled import table as f
from bposim.engines.compiled.agents import close, come_back, grow, number, send_on_break, shrink
from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.choices import choose_agent
from bposim.engines.compiled.contacts import end_contact, end_talk, enter, leave, release, settle
from bposim.engines.compiled.heaps import ID_BITS, ID_MASK, pop
from bposim.engines.compiled.native import data_of
from bposim.engines.compiled.service import await_delay, is_open, serve, wait
from bposim.engines.compiled.table import agent_at, complete_at, group_at, row, set_present, take_line, unqueue


@jit
def play(table, begin, in_service, change_ms, change_group, leaves, joins, change_agent, away,
         openings, closings):  # type: ignore[no-untyped-def]  # fmt: skip
    """Play one replication in a table that ``layout.py`` has laid out; returns the pool that was exhausted, or −1."""
    m = data_of(table)
    m[f.NOW] = begin
    numbers = np.empty(max(joins.max() if len(joins) else 0, 1), np.int64)
    for i in range(len(in_service)):
        g = in_service[i]
        if g >= 0:
            a = number(m, g)
            set_present(m, g, m[group_at(m, g) + f.PRESENT] + 1)
            m[agent_at(m, g, a) + f.JOINED] = begin
            m[agent_at(m, g, a) + f.WORKED] = 0
            m[group_at(m, g) + f.BUSY] += 1
            m[row(i) + f.OUTCOME] = fate.ANSWERED
            m[row(i) + f.ANSWERED] = m[row(i) + f.ARRIVED]
            m[row(i) + f.GROUP] = g
            m[row(i) + f.AGENT] = a
            take_line(m, i)
            m[row(i) + f.STAGE] = f.TALK
            complete_at(m, i, begin + m[row(i) + f.HANDLE])
        else:
            take_line(m, i)
            wait(m, i, m[row(i) + f.KIND])
    next_arrival = len(in_service)
    next_change = next_opening = next_closing = 0
    while next_opening < len(openings) and openings[next_opening] < begin:
        next_opening += 1
    while next_closing < len(closings) and closings[next_closing] <= begin:
        next_closing += 1
    n_changes, n_openings, n_closings = len(change_ms), len(openings), len(closings)
    while True:
        now, event = f.NEVER, -1
        if m[f.N_COMPLETIONS] > 0:
            now, event = m[m[f.COMPLETIONS]] >> ID_BITS, 0
        if next_change < n_changes and change_ms[next_change] < now:
            now, event = change_ms[next_change], 1
        if next_opening < n_openings and openings[next_opening] < now:
            now, event = openings[next_opening], 1
        if m[f.N_HANGUPS] > 0 and (m[m[f.HANGUPS]] >> ID_BITS) < now:
            now, event = m[m[f.HANGUPS]] >> ID_BITS, 2
        if m[f.N_RETURNS] > 0 and (m[m[f.RETURNS]] >> ID_BITS) < now:
            now, event = m[m[f.RETURNS]] >> ID_BITS, 3
        if m[f.N_DELAYS] > 0 and (m[m[f.DELAYS]] >> ID_BITS) < now:
            now, event = m[m[f.DELAYS]] >> ID_BITS, 4
        if next_closing < n_closings and closings[next_closing] < now:
            now, event = closings[next_closing], 5
        if next_arrival < m[f.N_FIRST] and m[row(next_arrival) + f.ARRIVED] < now:
            now, event = m[row(next_arrival) + f.ARRIVED], 6
        if m[f.N_CALLS] > 0 and (m[m[f.CALLS]] >> ID_BITS) < now:
            now, event = m[m[f.CALLS]] >> ID_BITS, 7
        if event < 0 or m[f.EXHAUSTED] >= 0 or m[f.FAULT] >= 0:
            break
        m[f.NOW] = now
        if event == 0:
            i = m[m[f.COMPLETIONS]] & ID_MASK
            m[f.N_COMPLETIONS] = pop(m, m[f.COMPLETIONS], m[f.N_COMPLETIONS])
            if m[row(i) + f.DUE] == now:
                if m[row(i) + f.STAGE] == f.TALK:
                    end_talk(m, i)
                elif m[row(i) + f.STAGE] == f.HANDOVER:
                    end_contact(m, i)
                elif m[row(i) + f.STAGE] == f.AFTER:
                    release(m, i)
        elif event == 1:
            if next_opening < n_openings and openings[next_opening] == now:
                m[f.CLOSED] = 0
                next_opening += 1
            first = next_change
            while next_change < n_changes and change_ms[next_change] == now:
                next_change += 1
            for r in range(first, next_change):
                if leaves[r] > 0 and (len(away) == 0 or away[r] == 0):
                    shrink(m, change_group[r], leaves[r], change_agent[r] if len(change_agent) else np.int64(-1))
            for r in range(first, next_change):
                if joins[r] > 0:
                    grow(m, change_group[r], joins[r], change_agent[r] if len(change_agent) else np.int64(-1), numbers)
            for r in range(first, next_change):
                if leaves[r] > 0 and len(away) > 0 and away[r] > 0:
                    send_on_break(m, change_group[r], leaves[r], change_agent[r], away[r])
        elif event == 2:
            i = m[m[f.HANGUPS]] & ID_MASK
            m[f.N_HANGUPS] = pop(m, m[f.HANGUPS], m[f.N_HANGUPS])
            if m[row(i) + f.WAITING]:
                unqueue(m, i)
                leave(m, i, fate.ABANDONED)
        elif event == 3:
            n = m[m[f.RETURNS]] & ID_MASK
            m[f.N_RETURNS] = pop(m, m[f.RETURNS], m[f.N_RETURNS])
            come_back(m, n)
        elif event == 4:
            i = m[m[f.DELAYS]] & ID_MASK
            m[f.N_DELAYS] = pop(m, m[f.DELAYS], m[f.N_DELAYS])
            if m[row(i) + f.WAITING]:
                g, a = choose_agent(m, i)
                if g >= 0:
                    unqueue(m, i)
                    serve(m, i, g, a)
                else:
                    await_delay(m, i)
        elif event == 5:
            next_closing += 1
            close(m)
        elif event == 6:
            enter(m, np.int64(next_arrival), False)
            next_arrival += 1
        else:
            j = m[m[f.CALLS]] & ID_MASK
            m[f.N_CALLS] = pop(m, m[f.CALLS], m[f.N_CALLS])
            if is_open(m, m[row(j) + f.KIND]):
                enter(m, j, False)
        settle(m)
    for i in range(m[f.N_ROWS]):
        if m[row(i) + f.OUTCOME] == fate.OPEN:
            m[row(i) + f.ENDED] = max(m[f.HORIZON], m[row(i) + f.ARRIVED])
            if m[row(i) + f.HOLDER] >= 0:
                m[row(m[row(i) + f.HOLDER]) + f.RELEASED] = m[row(i) + f.ENDED]
        if m[row(i) + f.ANSWERED] < 0:
            m[row(i) + f.RELEASED] = m[row(i) + f.ENDED]
    return m[f.EXHAUSTED]
