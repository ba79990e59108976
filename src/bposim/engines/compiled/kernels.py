"""Compiled loops of the draws: seconds to milliseconds, instants within intervals, merging of sorted types."""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit
from bposim.engines.model import FOREVER

#: Longer than any horizon (795 days, in ms): such a duration never ends.
_LONGEST = float(1 << 36)
_FOREVER = np.int64(FOREVER)


@jit
def to_ms(values, factor):  # type: ignore[no-untyped-def]
    """Return seconds × factor in whole milliseconds, halves up; what outlasts any horizon is ``FOREVER``."""
    out = np.empty(len(values), np.int64)
    for i in range(len(values)):
        ms = values[i] * factor * 1000.0
        out[i] = np.int64(np.floor(ms + 0.5)) if ms < _LONGEST else _FOREVER
    return out


@jit
def to_ms_by_day(values, day, factor):  # type: ignore[no-untyped-def]
    """Return seconds × the factor of each contact's day in whole milliseconds."""
    out = np.empty(len(values), np.int64)
    for i in range(len(values)):
        ms = values[i] * factor[day[i]] * 1000.0
        out[i] = np.int64(np.floor(ms + 0.5)) if ms < _LONGEST else _FOREVER
    return out


@jit
def place(gaps, count, start, length, at, interval):  # type: ignore[no-untyped-def]
    """Place each interval's contacts at the order statistics of uniform instants.

    ``gaps`` are standard exponentials, one more than contacts for each interval: their partial sums over their total are
    distributed as sorted uniforms (Devroye 1986, theorem V.2.2), so nothing needs sorting.
    """
    n = 0
    g = 0
    for j in range(len(count)):
        c = count[j]
        if c == 0:
            g += 1
            continue
        total = 0.0
        for i in range(c + 1):
            total += gaps[g + i]
        scale = length[j] / total
        partial = 0.0
        for i in range(c):
            partial += gaps[g + i]
            at[n + i] = start[j] + min(np.int64(partial * scale), length[j] - 1)
            interval[n + i] = j
        n += c
        g += c + 1


@jit
def merge_order(at, edges, order):  # type: ignore[no-untyped-def]
    """Fill ``order`` with the rows of several sorted stretches in ascending order, ties by stretch.

    ``edges[k]`` to ``edges[k + 1]`` is stretch k; a heap holds the first open row of each.
    """
    k = len(edges) - 1
    heap = np.empty(k, np.int64)
    head = np.empty(k, np.int64)
    size = 0
    for s in range(k):
        head[s] = edges[s]
        if edges[s] < edges[s + 1]:
            key = at[edges[s]] * k + s
            spot = size
            while spot > 0 and heap[(spot - 1) >> 1] > key:
                heap[spot] = heap[(spot - 1) >> 1]
                spot = (spot - 1) >> 1
            heap[spot] = key
            size += 1
    for n in range(len(order)):
        s = heap[0] % k
        order[n] = head[s]
        head[s] += 1
        if head[s] < edges[s + 1]:
            key = at[head[s]] * k + s
        else:
            size -= 1
            key = heap[size]
        spot = 0
        while True:
            child = 2 * spot + 1
            if child >= size:
                break
            if child + 1 < size and heap[child + 1] < heap[child]:
                child += 1
            if heap[child] >= key:
                break
            heap[spot] = heap[child]
            spot = child
        if size > 0:
            heap[spot] = key


@jit
def gather(values, order):  # type: ignore[no-untyped-def]
    """Return ``values[order]``."""
    out = np.empty(len(order), values.dtype)
    for i in range(len(order)):
        out[i] = values[order[i]]
    return out
