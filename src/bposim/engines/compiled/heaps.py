"""Binary heaps of whole numbers, for the compiled engine.

A key is (instant << ID_BITS) | id, so that one comparison gives the written order of simultaneous events.
"""

from __future__ import annotations

import numpy as np
from numba import njit

ID_BITS = 26
ID_MASK = (1 << ID_BITS) - 1

jit = njit(cache=True, nogil=True, boundscheck=False)


@jit
def push(heap: np.ndarray, base: int, size: int, key: int) -> int:
    """Add a key to the heap that begins at ``base``; returns the new size."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[base + up] <= key:
            break
        heap[base + at] = heap[base + up]
        at = up
    heap[base + at] = key
    return size + 1


@jit
def pop(heap: np.ndarray, base: int, size: int) -> int:
    """Remove the top, which the caller has read; returns the new size."""
    size -= 1
    if size > 0:
        sift(heap, base, size, heap[base + size])
    return size


@jit
def sift(heap: np.ndarray, base: int, size: int, key: int) -> None:
    """Put a key in the place of the top of a heap of ``size``.

    The hole is led down to the bottom along the lesser children, then the key climbs from there: a key that belongs near
    the bottom, as most do, costs one comparison a level (Wegener 1993).
    """
    at = 0
    child = 1
    while child + 1 < size:
        if heap[base + child + 1] < heap[base + child]:
            child += 1
        heap[base + at] = heap[base + child]
        at = child
        child = 2 * at + 1
    if child < size:
        heap[base + at] = heap[base + child]
        at = child
    while at > 0:
        up = (at - 1) >> 1
        if heap[base + up] <= key:
            break
        heap[base + at] = heap[base + up]
        at = up
    heap[base + at] = key
