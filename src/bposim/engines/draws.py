"""The luck: scenario + seed + replication → table of contacts and table of staffing changes.

See ``docs/design/random-streams.md``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.engines.life import Chunks, spare_rows
from bposim.engines.shifts import staffing_changes
from bposim.engines.source import Source, by_name, day_factors, stream

if TYPE_CHECKING:
    from bposim.engines.state import Start


def _none() -> np.ndarray:
    return np.empty(0, dtype=np.int64)


@dataclass(frozen=True, eq=False)
class Draws:
    """One replication's luck.

    The first ``n_first`` rows are contacts in order of arrival; the others are *spare rows*, taken one by one for what
    contacts become: redials, call-backs, transferred contacts (``docs/design/mechanics.md``). Optional columns are empty
    where the scenario has no use for them.

    Attributes
    ----------
    arrival_ms, handle_ms, patience_ms : ndarray of int64, shape (n_rows,)
        A contact's id is its row; the arrival of a spare row is −1.
    kind : ndarray of int16, shape (n_rows,)
        Contact type.
    change_ms, change_group, leave, join, change_agent, away_ms : ndarray of int64, shape (n_changes,)
        Staffing changes in order of time: so many leave or join; ``change_agent`` names one, −1 for any;
        ``away_ms`` above 0 is a break after which they come back.
    scheduled : ndarray of float, shape (n_intervals, n_groups)
        Agents present by plan.
    n_first : int
    after_ms : ndarray of int64
        After-contact work apart from the talk.
    balk_at : ndarray of int64
        Queue that the contact does not join.
    pick : ndarray of int64
        Uniform among 2³² numbers, for a random agent.
    redial_u, callback_u, transfer_u : ndarray of int64
        Uniforms among 2³² numbers: whether it tries again, accepts a call-back, is transferred.
    gap_ms : ndarray of int64
        From its failure to its next attempt.
    pool_ends : ndarray of int64, shape (n_pools + 1,)
        Rows at which each pool of spare rows begins, and the last ends.
    pool_of : ndarray of int64, shape (n_types, n_slots)
    drift : ndarray of float, shape (n_types, n_days)
        Factor on the handle time of spare rows; no columns where there is none.
    begin_ms : int
        Where the run begins; later than 0 with a given state.
    in_service : ndarray of int64
        Of the first rows, with a given state: the group that serves it, −1 where it waits.
    """

    arrival_ms: np.ndarray
    kind: np.ndarray
    handle_ms: np.ndarray
    patience_ms: np.ndarray
    change_ms: np.ndarray
    change_group: np.ndarray
    leave: np.ndarray
    join: np.ndarray
    scheduled: np.ndarray
    change_agent: np.ndarray = field(default_factory=_none)
    away_ms: np.ndarray = field(default_factory=_none)
    after_ms: np.ndarray = field(default_factory=_none)
    balk_at: np.ndarray = field(default_factory=_none)
    pick: np.ndarray = field(default_factory=_none)
    redial_u: np.ndarray = field(default_factory=_none)
    callback_u: np.ndarray = field(default_factory=_none)
    transfer_u: np.ndarray = field(default_factory=_none)
    gap_ms: np.ndarray = field(default_factory=_none)
    pool_ends: np.ndarray = field(default_factory=_none)
    pool_of: np.ndarray = field(default_factory=lambda: np.empty((0, 0), dtype=np.int64))
    drift: np.ndarray = field(default_factory=lambda: np.empty((0, 0)))
    in_service: np.ndarray = field(default_factory=_none)
    begin_ms: int = 0
    spare: int = 0
    again: Callable[[int], Draws] | None = None

    def __len__(self) -> int:
        return len(self.arrival_ms)

    @property
    def n_first(self) -> int:
        """Number of contacts that arrive by themselves."""
        return len(self.arrival_ms) - self.spare

    @property
    def plain(self) -> bool:
        """Whether contacts wait and are served and nothing else: no spare rows, breaks, names or given state."""
        return not (
            self.spare
            or len(self.after_ms)
            or len(self.balk_at)
            or len(self.pick)
            or len(self.in_service)
            or self.begin_ms
            or self.away_ms.any()
            or (self.change_agent >= 0).any()
        )

    def frame(self, types: tuple[str, ...]) -> pd.DataFrame:
        """Return the contacts as a frame: ``contact_id, contact_type, arrived_ms, handle_ms, patience_ms``."""
        return pd.DataFrame(
            {
                "contact_id": np.arange(len(self)),
                "contact_type": pd.Categorical.from_codes(self.kind, list(types)),
                "arrived_ms": self.arrival_ms,
                "handle_ms": self.handle_ms,
                "patience_ms": self.patience_ms,
            }
        )


#: The columns of Draws that belong to contacts, not to staffing.
Contacts = dict[str, Any]


def nbytes(contacts: Contacts) -> int:
    """Return the memory that drawn contacts take."""
    return sum(v.nbytes for v in contacts.values() if isinstance(v, np.ndarray))


def draw(
    source: Source, seed: int, replication: int, contacts: Contacts | None = None, start: Start | None = None,
    kept: Chunks | None = None,
) -> Draws:  # fmt: skip
    """Draw one replication.

    Parameters
    ----------
    source : Source
    seed : int
    replication : int
        Names the streams: the same number gives the same luck in any run.
    contacts : mapping, optional
        What :func:`draw_contacts` gave for the same seed and replication: staffing enters no stream of contacts, so
        plans that are compared need them drawn once.
    start : Start, optional
        The state in which the run begins.
    kept : mapping, optional
        Spare rows of the same seed and replication, drawn before; filled with those drawn now.
    """
    found = contacts if contacts is not None else draw_contacts(source, seed, replication, start)
    if source.branches:
        drawn = source.chunks.copy()  # others may draw longer pools meanwhile
        found = found | _with_spares(source, seed, replication, found, kept)

        def again(pool: int) -> Draws:
            source.lengthen(pool, int(drawn[pool]))
            return draw(source, seed, replication, contacts, start, kept)

        found["again"] = again
    changes = staffing_changes(source, seed, replication, start)
    columns: dict[str, Any] = found | changes.columns
    return Draws(**columns, scheduled=changes.scheduled, begin_ms=0 if start is None else start.at_ms)


def _with_spares(source: Source, seed: int, replication: int, first: Contacts, kept: Chunks | None) -> Contacts:
    """Return the columns with the spare rows behind the first contacts."""
    chunks = tuple(source.chunks.tolist())  # others may draw longer pools meanwhile
    if kept is not None and kept.joined is not None and kept.joined[0] == chunks:
        return kept.joined[1]
    spares, ends = spare_rows(source, seed, replication, kept, chunks)
    n_first = len(first["arrival_ms"])
    joined: Contacts = {name: np.concatenate([first[name], values]) for name, values in spares.items()}
    joined["arrival_ms"] = np.concatenate([first["arrival_ms"], np.full(int(ends[-1]), -1)])
    if kept is not None:  # what is kept lies in memory once
        first.update({name: joined[name][:n_first] for name in (*spares, "arrival_ms")})
        kept.lie_in({name: joined[name][n_first:] for name in spares}, chunks)
    joined |= {
        "pool_ends": n_first + ends,
        "pool_of": source.pool_of,
        "drift": source.drift(seed, replication),
        "spare": int(ends[-1]),
    }
    if kept is not None:
        kept.joined = chunks, joined
    return joined


def draw_contacts(source: Source, seed: int, replication: int, start: Start | None = None) -> Contacts:
    """Draw the contacts of one replication, in order of arrival."""
    from bposim.engines.compiled.kernels import gather, merge_order, place

    n_days = source.n_days
    common = day_factors(source.common_factor, n_days, seed, replication, "day_factor")
    path = source.expected[replication % source.samples]
    length = source.end_ms - source.start_ms
    drift = source.drift(seed, replication)
    parts: list[dict[str, np.ndarray]] = []
    for k, name in enumerate(source.types):
        rng = stream(seed, replication, f"arrivals/{name}")
        if source.counts:
            count = path[:, k]
        else:
            busy = common * day_factors(source.factors[k], n_days, seed, replication, f"day_factor/{name}")
            count = rng.poisson(path[:, k] * busy[source.day])
        n = int(count.sum())
        at, interval = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
        place(rng.standard_exponential(n + len(count)), count, source.start_ms, length, at, interval)
        columns = {"arrival_ms": at}
        if start is not None:
            later = at >= start.at_ms
            columns["arrival_ms"], interval = at[later], interval[later]
        drifts = drift.shape[1] > 0 and source.kinds[k].handle_day_factor is not None
        by, factor = (source.day[interval], drift[k]) if drifts else (None, None)
        if source.handle_factor is not None:
            factor = source.handle_factor[:, k] * (factor[source.day] if factor is not None else 1.0)
            by = interval
        columns |= source.attributes(k, source.slot[interval], by_name(seed, replication, name), by, factor)
        parts.append(columns)
    if len(parts) == 1:
        merged = parts[0] | {"kind": np.zeros(len(parts[0]["arrival_ms"]), dtype=np.int16)}
    else:
        sizes = np.array([len(p["arrival_ms"]) for p in parts])
        whole = {name: np.concatenate([p[name] for p in parts]) for name in parts[0]}
        whole["kind"] = np.repeat(np.arange(len(parts), dtype=np.int16), sizes)
        order = np.empty(int(sizes.sum()), dtype=np.int64)
        merge_order(whole["arrival_ms"], np.append(0, np.cumsum(sizes)), order)
        merged = {name: gather(values, order) for name, values in whole.items()}
    return merged if start is None else start.rows(source, seed, replication, merged, drift)
