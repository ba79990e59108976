"""Replications on a fine grid, counted on a coarse one: a replay by the minute that fits into memory."""

from __future__ import annotations

import zlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import date
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.metrics import Counts
from bposim.metrics.counts import MAXIMA

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Cells of counts that replications of one batch may take.
CELLS = 20_000_000
_COLUMNS = 24


@dataclass(frozen=True, eq=False)
class Spread:
    """Volumes of a coarse grid as they are played on a fine one: batch by batch, for a path by the minute takes room.

    Attributes
    ----------
    paths : VolumePaths
        Whole numbers or expectations on the coarse grid, ``array`` of shape (n_samples, n_coarse, n_types).
    own, world : Scenario
    handle_factor : ndarray, shape (n_types, n_fine), or None
    seed : int
    """

    paths: Any
    own: Scenario
    world: Scenario
    handle_factor: np.ndarray | None
    seed: int

    @classmethod
    def of(cls, volumes: Any, own: Scenario, world: Scenario, came: pd.DataFrame, seed: int) -> Spread:
        """Lay volumes over the coarse grid; they have the paces of ``came``, the contacts that came, unless they tell theirs."""
        from bposim.engines.volumes import load_volumes

        paths = load_volumes(volumes, own, caller="backtest()")
        place = places(own, world)
        types = list(world.contact_types)
        factor = None
        if paths.handle_factor is not None:
            factor = paths.handle_factor[place].T
        elif "handle_factor" in came:
            factor = np.stack([came.loc[came["contact_type"] == t, "handle_factor"].to_numpy() for t in types])
        return cls(paths, own, world, factor, seed)

    def frame(self, first: int, n: int) -> pd.DataFrame:
        """Return the Volumes of ``n`` replications from the ``first`` on, paths as ``sample`` 0 to n - 1 in that order.

        Replication k of all plays path k modulo their number, however many are played at once.
        Whole numbers come at times of their own: each contact in one of the fine intervals, in proportion to their lengths.
        Expectations are divided in that proportion.
        """
        some = (first + np.arange(n)) % len(self.paths.labels) if self.paths.sampled else np.zeros(1, dtype=int)
        place, fine = places(self.own, self.world), self.world.grid
        length = (fine.end_ms - fine.start_ms).astype(float)
        edges = np.searchsorted(place, np.arange(len(self.own.grid) + 1))
        rng = np.random.default_rng((self.seed, zlib.crc32(b"volumes within intervals"), first))
        types = list(self.world.contact_types)
        made = np.zeros((len(some), len(types), len(fine)), dtype=self.paths.array.dtype)
        for i, (begin, end) in enumerate(pairwise(edges)):
            share = length[begin:end] / length[begin:end].sum()
            for k in range(len(types)):
                contacts = self.paths.array[some, i, k]
                made[:, k, begin:end] = (
                    rng.multinomial(contacts, share) if self.paths.counts else contacts[:, None] * share
                )
        cells = len(some) * len(types)
        table = pd.DataFrame({
            "contact_type": np.tile(np.repeat(np.array(types, dtype=object), len(fine)), len(some)),
            "interval_start": fine.starts[np.tile(np.arange(len(fine)), cells)], "contacts": made.reshape(-1),
        }).astype({"contact_type": "str"})  # fmt: skip
        if self.paths.sampled:
            table["sample"] = np.repeat(np.arange(n), len(types) * len(fine))
        if self.handle_factor is not None:
            table["handle_factor"] = np.tile(self.handle_factor.reshape(-1), len(some))
        return table


@dataclass(frozen=True, eq=False)
class _Part:
    """Some intervals of a Forecast, as volumes."""

    contact_types: tuple[str, ...]
    starts: pd.DatetimeIndex
    array: np.ndarray
    start: date
    days: int
    first_sample: int


def held_volumes(
    volumes: Any, own: Scenario, shut: Collection[date], to_end: bool
) -> tuple[Any, tuple[date, ...]]:  # fmt: skip
    """Return volumes without the days of which a history holds nothing, and such days for which they expect somebody.

    Parameters
    ----------
    volumes : Forecast or DataFrame
        What is neither is returned as it is: :func:`bposim.engines.volumes.load_volumes` says what is wrong with it.
    own : Scenario
        Of the stretch that is played; days of a Forecast outside of it are left out too.
    shut : collection of date
        Days of the stretch that are not played since the history holds nothing of them.
    to_end : bool
        Whether the stretch reaches to the end of the history, so that later days are among those it does not hold.

    Raises
    ------
    ParameterError
        Nothing is left.
    """
    frame = (
        getattr(volumes, "volumes", volumes) if not isinstance(getattr(volumes, "array", None), np.ndarray) else None
    )
    if frame is None:
        stamps, busy = pd.DatetimeIndex(volumes.starts), volumes.array.max(axis=(0, 2), initial=0) > 0
    elif _readable(frame):
        stamps, busy = pd.DatetimeIndex(frame["interval_start"]), (frame["contacts"] > 0).to_numpy()
    else:
        return volumes, ()
    first, last = pd.Timestamp(own.start), pd.Timestamp(own.start) + pd.Timedelta(days=own.days - 1)
    day = stamps.tz_convert(own.grid.starts.tz).tz_localize(None).normalize()
    gone = day.isin(pd.DatetimeIndex(sorted(shut))) | ((day > last) & to_end)
    lost = tuple(t.date() for t in day[gone & busy].unique().sort_values())
    if frame is None:
        gone = gone | (day < first) | (day > last)
    if gone.any() and gone.all():
        raise ParameterError(
            f"volumes of backtest() hold only days from {day.min().date()} to {day.max().date()}, of which the history holds no "
            f"contact that is played ({first.date()} to {last.date()}). Forecast the days that are played, or change start and end."
        )
    if not gone.any():
        return volumes, ()
    if frame is not None:
        return frame[~gone], lost
    first_sample = int(getattr(volumes, "first_sample", 0))
    part = _Part(
        tuple(volumes.contact_types), stamps[~gone], volumes.array[:, ~gone], volumes.start, volumes.days, first_sample
    )
    return part, lost


def _readable(frame: Any) -> bool:
    """Return whether the days of a frame of volumes can be told."""
    return (
        isinstance(frame, pd.DataFrame)
        and {"interval_start", "contacts"} <= set(frame)
        and isinstance(frame["interval_start"].dtype, pd.DatetimeTZDtype)
        and frame["contacts"].dtype.kind in "iuf"
    )


def places(own: Scenario, world: Scenario) -> np.ndarray:
    """Return the index of the coarse interval in which each fine one lies."""
    return np.searchsorted(own.grid.start_ms, world.grid.start_ms, side="right") - 1


@dataclass(frozen=True, eq=False)
class Coarse:
    """Counts of replications as something that can be measured."""

    made: Counts
    default_within_s: float = 20.0

    def counts(self, thresholds_s: Sequence[float] = ()) -> Counts:
        """Return the counts, whatever thresholds they hold."""
        return self.made

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Refuse: sums of intervals tell no quantile."""
        raise ParameterError("quantiles of the wait are not kept in a replay.")


def play_coarse(
    world: Scenario, own: Scenario, *, volumes: Any, staffing: Any, replications: int, seed: int, within: Sequence[str]
) -> Coarse:
    """Simulate on the grid of ``world`` and return counts on the grid of ``own``.

    Parameters
    ----------
    world, own : Scenario
        The same horizon; every interval of ``own`` is made of whole intervals of ``world``.
    volumes, staffing
        As for :func:`bposim.simulate`, on the grid of ``world``; volumes also as :class:`Spread`.
    replications, seed : int
        Batches of replications have seeds of their own: seed, seed + 1, …
    within : list of str
    """
    from bposim.simulate import simulate

    place = places(own, world)
    most = CELLS // max(len(world.grid) * len(world.contact_types) * _COLUMNS, 1)
    batch = int(np.clip(most, 1, replications)) if world is not own else replications
    parts, done = list[Counts](), 0
    while done < replications:
        n = min(batch, replications - done)
        runs = simulate(
            world,
            volumes=volumes.frame(done, n) if isinstance(volumes, Spread) else volumes,
            staffing=staffing,
            replications=n,
            seed=seed + len(parts),
            within=list(within),
            progress=False,
        )
        counts = runs.counts()
        parts.append(counts if world is own else coarsened(counts, place, own))
        done += n
    return Coarse(joined(parts))


def coarsened(counts: Counts, place: np.ndarray, own: Scenario) -> Counts:
    """Return counts summed into the intervals that ``place`` names, shape (n_fine,), ascending."""
    n = len(own.grid)
    first = np.searchsorted(place, np.arange(n))

    def sums(name: str, values: np.ndarray) -> np.ndarray:
        return (np.maximum if name in MAXIMA else np.add).reduceat(values, first, axis=1)

    return replace(
        counts, starts=own.grid.starts, hours=own.grid.hours,
        contacts={c: sums(c, v) for c, v in counts.contacts.items()}, agents={c: sums(c, v) for c, v in counts.agents.items()},
    )  # fmt: skip


def joined(parts: Sequence[Counts]) -> Counts:
    """Return the replications of several counts as one."""
    if len(parts) == 1:
        return parts[0]
    columns = [c for c in parts[0].contacts if all(c in p.contacts for p in parts)]
    return replace(
        parts[0], paths=None,
        contacts={c: np.concatenate([p.contacts[c] for p in parts]) for c in columns},
        agents={c: np.concatenate([p.agents[c] for p in parts]) for c in parts[0].agents},
    )  # fmt: skip
