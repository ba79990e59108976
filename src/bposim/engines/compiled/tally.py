"""Records of one replication → counts by interval: compiled, for both engines."""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit
from bposim.engines.compiled.heaps import U
from bposim.engines.draws import Draws
from bposim.engines.model import Model
from bposim.engines.records import ABANDONED, ANSWERED, BLOCKED, CALLED_BACK, DISCONNECTED, OPEN, Records

#: Layout of the tallies before the thresholds' columns.
COUNTS = ("offered", "answered", "abandoned", "blocked", "disconnected", "callback", "open", "fresh")
SUMS = ("wait_sum", "wait_answered_sum", "wait_abandoned_sum", "handle_sum", "talk_sum", "turnaround_sum", "max_wait")
PER_THRESHOLD_COUNTS = ("answered_within", "abandoned_within", "callback_within", "completed_within")
AGENTS = ("busy", "working", "contact")


@jit
def _place(start: np.ndarray, at: int) -> int:
    """Return the last interval that has begun."""
    low, high = 0, len(start)
    while low < high:
        middle = (low + high) >> 1
        if start[middle] <= at:
            low = middle + 1
        else:
            high = middle
    return max(low - 1, 0)


@jit
def _slice(out, column, group, start, end, i, low, high, times):  # type: ignore[no-untyped-def]
    """Add a stretch of time to the intervals that it covers, the first of them i or later; other time is not booked."""
    while i + 1 < len(start) and start[i + 1] <= low:
        i += 1
    while i < len(start) and start[i] < high:
        covered = min(high, end[i]) - max(low, start[i])
        if covered > 0:
            out[column, i, group] += covered * times
        i += 1


@jit
def _tally(
    arrival, kind, answered, ended, released, group, outcome, origin, in_service, begin, start, end, thresholds,
    many, presence_ms, presence_group, presence, engaged_group, engaged_from, engaged_to, n_groups, last_ms,
    counts, sums, agents,
):  # type: ignore[no-untyped-def]  # fmt: skip
    n_base, n_sums, n_t = 8, 7, len(thresholds)
    i = 0
    for c in range(len(arrival)):
        at = arrival[c]
        o = outcome[c]
        if i > 0 and at < start[i]:
            i = _place(start, at)
        while i + 1 < len(start) and start[i + 1] <= at:
            i += 1
        answer, finish = answered[c], ended[c]
        if o == ANSWERED:
            g = group[c]
            column = 2 if many[g] else 0
            low, high = max(answer, begin), released[c]
            if low >= start[i] and high <= end[i]:
                agents[column, U(i), U(g)] += high - low
            else:
                _slice(agents, column, g, start, end, i, low, high, 1)
        if c < len(in_service) and in_service[c] >= 0:
            continue  # was answered before the run began: its agent is busy, the contact is counted elsewhere
        k, j = U(kind[c]), U(i)
        wait = (answer if o == ANSWERED else finish) - at
        counts[0, j, k] += 1
        if origin[c] == 0:
            counts[7, j, k] += 1
        sums[0, j, k] += wait
        sums[6, j, k] = max(sums[6, j, k], wait)
        if o == ANSWERED:
            counts[1, j, k] += 1
            sums[1, j, k] += wait
            sums[3, j, k] += released[c] - answer
            sums[4, j, k] += finish - answer
            sums[5, j, k] += finish - at
        elif o == ABANDONED:
            counts[2, j, k] += 1
            sums[2, j, k] += wait
        elif o == BLOCKED:
            counts[3, j, k] += 1
        elif o == DISCONNECTED:
            counts[4, j, k] += 1
        elif o == CALLED_BACK:
            counts[5, j, k] += 1
        elif o == OPEN:
            counts[6, j, k] += 1
        for t in range(n_t):
            limit = thresholds[t]
            if wait <= limit:
                if o == ANSWERED:
                    counts[n_base + 4 * t, j, k] += 1
                elif o == ABANDONED:
                    counts[n_base + 4 * t + 1, j, k] += 1
                elif o == CALLED_BACK:
                    counts[n_base + 4 * t + 2, j, k] += 1
            else:
                sums[n_sums + t, j, k] += wait - limit
            if o == ANSWERED and finish - at <= limit:
                counts[n_base + 4 * t + 3, j, k] += 1
    for r in range(len(engaged_from)):
        _slice(
            agents, 0, engaged_group[r], start, end, _place(start, engaged_from[r]), engaged_from[r], engaged_to[r], 1
        )
    for g in range(n_groups):
        if not many[g]:
            for i in range(len(start)):
                agents[2, i, g] = agents[0, i, g]
    since = np.zeros(n_groups, np.int64)
    there = np.zeros(n_groups, np.int64)
    for r in range(len(presence_ms)):
        g = presence_group[r]
        if there[g] > 0 and presence_ms[r] > since[g]:
            _slice(agents, 1, g, start, end, _place(start, since[g]), since[g], presence_ms[r], there[g])
        since[g] = presence_ms[r]
        there[g] = presence[r]
    for g in range(n_groups):
        if there[g] > 0:
            _slice(agents, 1, g, start, end, _place(start, since[g]), since[g], last_ms, there[g])


def tally(
    model: Model, draws: Draws, records: Records, thresholds_ms: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count one replication.

    Returns
    -------
    counts : ndarray of int32, shape (8 + 4 n_thresholds, n_intervals, n_types)
        ``COUNTS``, then ``PER_THRESHOLD_COUNTS`` of each threshold.
    sums : ndarray of int64, shape (7 + n_thresholds, n_intervals, n_types)
        ``SUMS`` in ms, then the wait beyond each threshold.
    agents : ndarray of int64, shape (3, n_intervals, n_groups)
        ``AGENTS`` in agent-ms, booked by slices of time inside the open intervals; ``contact`` adds the time of each
        contact in hand, ``busy`` counts an agent with several once.
    """
    n, k, g, t = len(model.start_ms), len(model.types), len(model.groups), len(thresholds_ms)
    counts = np.zeros((len(COUNTS) + len(PER_THRESHOLD_COUNTS) * t, n, k), dtype=np.int32)
    sums = np.zeros((len(SUMS) + t, n, k), dtype=np.int64)
    agents = np.zeros((len(AGENTS), n, g), dtype=np.int64)
    r = records
    _tally(
        r.arrived_ms, r.kind, r.answered_ms, r.ended_ms, r.released_ms, r.group, r.outcome, r.origin, draws.in_service,
        draws.begin_ms, model.start_ms, model.end_ms, thresholds_ms.astype(np.int64), model.slots > 1,
        r.presence_ms, r.presence_group, r.presence, r.engaged_group, r.engaged_from_ms, r.engaged_to_ms,
        g, model.horizon_ms, counts, sums, agents,
    )  # fmt: skip
    return counts, sums, agents
