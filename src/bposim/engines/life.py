"""What contacts may become, drawn before the run: pools of spare rows, taken one by one as they are needed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.engines.source import always, stream

if TYPE_CHECKING:
    from bposim.engines.source import Source

#: Where a row comes from.
ORIGINS = ("fresh", "redial", "callback", "transfer")
FRESH, REDIAL, CALLBACK, TRANSFER = range(4)
#: Rows of a pool's first two chunks; every later one is as long as all before it. Each has a stream of its own, so that a longer
#: pool begins like a shorter one.
CHUNK = 64


def chunk_size(chunk: int) -> int:
    """Return the rows of a pool's chunk."""
    return CHUNK << max(chunk - 1, 0)


def chunks_for(rows: float) -> int:
    """Return the chunks that hold so many rows, at least one.

    Examples
    --------
    >>> [chunks_for(n) for n in (0, 64, 65, 128, 129)]
    [1, 1, 2, 2, 3]
    """
    return 1 + max(math.ceil(math.log2(max(rows, 1) / CHUNK)), 0)


class Exhausted(Exception):
    """A run needs more spare rows of a pool than were drawn; it is played again with more."""

    def __init__(self, pool: int) -> None:
        super().__init__(pool)
        self.pool = pool


class Chunks(dict[tuple[int, int], dict[str, np.ndarray]]):
    """Drawn chunks by pool and number, where the same replication is played under several plans.

    ``joined``: chunks of each pool, and the contacts with those behind them.
    """

    joined: tuple[tuple[int, ...], dict[str, Any]] | None = None


def spare_rows(
    source: Source, seed: int, replication: int, kept: Chunks | None = None
) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Draw the pools of spare rows: one for each type that a contact may become, and slot of the day if its laws vary.

    The handle time of a spare row does not hold the drift of its day: when it will be needed is not known. Chunks in ``kept``
    are taken from there, and those drawn are put there.

    Returns
    -------
    columns : dict
        As :meth:`Source.attributes` gives them, with ``kind``.
    ends : ndarray of int64, shape (n_pools + 1,)
        Where each pool begins, and the last ends, counted from the first spare row.
    """
    parts: list[dict[str, np.ndarray]] = []
    sizes = []
    for p, (k, slot) in enumerate(source.pools):
        name, chunks = source.types[k], int(source.chunks[p])
        for chunk in range(chunks):
            size = chunk_size(chunk)
            part = None if kept is None else kept.get((p, chunk))
            if part is None:
                rng = stream(seed, replication, f"spare/{name}/{slot}/{chunk}")
                part = source.attributes(k, np.full(size, slot), always(rng)) | {
                    "kind": np.full(size, k, dtype=np.int16)
                }
                if kept is not None:
                    kept[p, chunk] = part
            parts.append(part)
        sizes.append(sum(map(chunk_size, range(chunks))))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return columns, np.append(0, np.cumsum(sizes)).astype(np.int64)
