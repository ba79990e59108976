"""Binary heaps of whole numbers, for the compiled engine.

A key is (instant << ID_BITS) | id, so that one comparison gives the written order of simultaneous events.
"""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled.cache import jit

ID_BITS = 26
ID_MASK = (1 << ID_BITS) - 1

#: Indices that cannot be negative spare the processor the question whether they count from the end.
U = np.uint64


#: Stands behind the last key of every heap, so that each node has two children to compare.
END = np.iinfo(np.int64).max


@jit
def push(heap: np.ndarray, base: int, size: int, key: int) -> int:
    """Add a key to the heap that begins at ``base``, which has room for one more than its keys; returns the new size."""
    at = size
    while at > 0:
        up = (at - 1) >> 1
        if heap[U(base + up)] <= key:
            break
        heap[U(base + at)] = heap[U(base + up)]
        at = up
    heap[U(base + at)] = key
    heap[U(base + size + 1)] = END
    return size + 1


@jit
def pop(heap: np.ndarray, base: int, size: int) -> int:
    """Remove the top, which the caller has read; returns the new size."""
    size -= 1
    key = heap[U(base + size)]
    heap[U(base + size)] = END
    if size > 0:
        sift(heap, base, size, key)
    return size


@jit
def sift(heap, base, size, key):  # type: ignore[no-untyped-def]
    """Put a key in the place of the top of a heap of ``size``.

    The lesser child is found by arithmetic: which of two it is cannot be guessed, and a wrong guess costs the processor
    more than the rest of the step.
    """
    at = 0
    while True:
        child = 2 * at + 1
        if child >= size:
            break
        child += np.int64(heap[U(base + child + 1)] < heap[U(base + child)])
        least = heap[U(base + child)]
        if least >= key:
            break
        heap[U(base + at)] = least
        at = child
    heap[U(base + at)] = key
