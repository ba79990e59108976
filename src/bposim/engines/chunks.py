"""How many rows the chunks of a pool of spare rows have."""

from __future__ import annotations

import math

#: Rows of a pool's first two chunks; every later one is as long as all before it. Each has a stream of its own, so that a longer
#: pool begins like a shorter one.
CHUNK = 64


def chunk_size(chunk: int) -> int:
    """Return the rows of a pool's chunk."""
    return CHUNK << max(chunk - 1, 0)


def rows_in(chunks: int) -> int:
    """Return the rows of a pool of so many chunks."""
    return chunk_size(chunks) if chunks else 0


def chunks_for(rows: float) -> int:
    """Return the chunks that hold so many rows, at least one.

    Examples
    --------
    >>> [chunks_for(n) for n in (0, 64, 65, 128, 129)]
    [1, 1, 2, 2, 3]
    """
    return 1 + max(math.ceil(math.log2(max(rows, 1) / CHUNK)), 0)
