"""What contacts may become, drawn before the run: pools of spare rows, taken one by one as they are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.engines.chunks import chunk_size, rows_in
from bposim.engines.source import always, stream

if TYPE_CHECKING:
    from bposim.engines.source import Source

#: Where a row comes from.
ORIGINS = ("fresh", "redial", "callback", "transfer")
FRESH, REDIAL, CALLBACK, TRANSFER = range(4)


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

    def lie_in(self, spares: dict[str, np.ndarray], chunks: tuple[int, ...]) -> None:
        """Let the chunks be views of the columns that hold them all."""
        at = 0
        for p, count in enumerate(chunks):
            for chunk in range(count):
                end = at + chunk_size(chunk)
                self[p, chunk] = {name: column[at:end] for name, column in spares.items()}
                at = end


def spare_rows(
    source: Source, seed: int, replication: int, kept: Chunks | None = None, counts: tuple[int, ...] | None = None
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
        name, chunks = source.types[k], int(source.chunks[p] if counts is None else counts[p])
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
        sizes.append(rows_in(chunks))
    columns = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    return columns, np.append(0, np.cumsum(sizes)).astype(np.int64)
