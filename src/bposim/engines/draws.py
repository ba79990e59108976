"""The luck: scenario + seed + replication → table of contacts and table of staffing changes.

See ``docs/design/random-streams.md``.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.engines.model import FOREVER
from bposim.engines.volumes import read_volumes

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.scenario import Scenario


def stream(seed: int, replication: int, name: str) -> np.random.Generator:
    """Return the generator of a named stream: the same wherever and whenever it is asked for."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, replication, zlib.crc32(name.encode())))))


@dataclass(frozen=True, eq=False)
class Draws:
    """One replication's luck.

    Attributes
    ----------
    arrival_ms, handle_ms, patience_ms : ndarray of int64, shape (n_contacts,)
        In order of arrival; a contact's id is its row.
    kind : ndarray of int64, shape (n_contacts,)
        Contact type.
    change_ms, change_group, leave, join : ndarray of int64, shape (n_changes,)
        Staffing changes in order of time.
    scheduled : ndarray of int64, shape (n_intervals, n_groups)
        Agents present by plan.
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

    def __len__(self) -> int:
        return len(self.arrival_ms)

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


Contacts = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True, eq=False)
class Source:
    """Everything of a scenario that draws need, laid over the grid once.

    Attributes
    ----------
    expected : ndarray, shape (n_samples, n_intervals, n_types)
        Expected contacts, or counts.
    counts : bool
        Whether ``expected`` are counts: exactly so many contacts arrive.
    net_heads : ndarray, shape (n_intervals, n_groups)
        Scheduled heads after shrinkage.
    head_factors : tuple of Distribution or None
        The day's staffing relative to ``net_heads``, by group; None where a plan fixes the heads.
    """

    types: tuple[str, ...]
    groups: tuple[str, ...]
    expected: np.ndarray
    counts: bool
    day: np.ndarray
    slot: np.ndarray
    start_ms: np.ndarray
    end_ms: np.ndarray
    handle: tuple[tuple[Distribution, ...], ...]
    patience: tuple[tuple[Distribution, ...], ...]
    common_factor: Distribution | None
    factors: tuple[Distribution | None, ...]
    net_heads: np.ndarray
    head_factors: tuple[Distribution | None, ...]

    @property
    def samples(self) -> int:
        """Number of volume paths."""
        return self.expected.shape[0]


def build_source(scenario: Scenario, volumes: Any = None) -> Source:
    """Lay a scenario, and volumes that take the place of its arrivals, over the grid.

    Parameters
    ----------
    scenario : Scenario
    volumes : Forecast, DataFrame or None
        A Volumes frame, or anything with one in ``.volumes``. Integer ``contacts`` are counts, real ones expectations.

    Raises
    ------
    ParameterError
        The volumes miss a contact type or fit no interval of the scenario.
    """
    grid = scenario.grid
    types, groups = tuple(scenario.contact_types), tuple(scenario.agent_groups)
    if volumes is None:
        expected = np.stack([scenario.expected_contacts(t) for t in types], axis=1)[None]
        counts = False
    else:
        expected, counts = read_volumes(volumes, scenario)
    kinds = scenario.contact_types.values()
    return Source(
        types, groups, expected, counts, grid.day, grid.slot, grid.start_ms, grid.end_ms,
        tuple(k.handle_time for k in kinds), tuple(k.patience for k in kinds), scenario.day_factor,
        tuple(k.day_factor for k in kinds), **staffing_of(scenario),
    )  # fmt: skip


def staffing_of(scenario: Scenario) -> dict[str, Any]:
    """Return the fields of a Source that staffing decides: net heads, and how much they vary from day to day.

    A plan (``scenario.staffing``) says who is scheduled, so the day factor of the heads does not apply to it.
    """
    bodies = scenario.agent_groups.items()
    net = [scenario.scheduled_heads(g) * (1 - body.shrinkage) for g, body in bodies]
    factors = [body.day_factor if scenario.staffing is None else None for _, body in bodies]
    return {"net_heads": np.stack(net, axis=1), "head_factors": tuple(factors)}


#: Longer than any horizon (13 months, in ms): such a patience never ends.
_LONGEST = 1 << 35


def _milliseconds(values: np.ndarray) -> np.ndarray:
    result = np.full(len(values), FOREVER, dtype=np.int64)
    finite = values < _LONGEST / 1000
    result[finite] = np.floor(values[finite] * 1000 + 0.5)
    return result


def _sample(listed: tuple[Distribution, ...], slot: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if len(listed) == 1:
        return _milliseconds(np.asarray(listed[0].sample(rng, len(slot)), dtype=float))
    result = np.empty(len(slot), dtype=np.int64)
    for k, dist in enumerate(listed):
        mask = slot == k
        result[mask] = _milliseconds(np.asarray(dist.sample(rng, int(mask.sum())), dtype=float))
    return result


def draw(source: Source, seed: int, replication: int, contacts: Contacts | None = None) -> Draws:
    """Draw one replication.

    Parameters
    ----------
    source : Source
    seed : int
    replication : int
        Names the streams: the same number gives the same luck in any run.
    contacts : tuple of ndarray, optional
        What :func:`draw_contacts` gave for the same seed and replication: staffing enters no stream of contacts, so
        plans that are compared need them drawn once.
    """
    n_days = int(source.day.max(initial=-1)) + 1
    scheduled = _scheduled(source, n_days, seed, replication)
    found = contacts if contacts is not None else draw_contacts(source, seed, replication)
    arrival, kind, handle, patience = found
    when, group, leave, join = _changes(source, scheduled)
    return Draws(arrival, kind, handle, patience, when, group, leave, join, scheduled)


def draw_contacts(source: Source, seed: int, replication: int) -> Contacts:
    """Draw the contacts of one replication: arrival, type, handle time, patience, in order of arrival."""
    n_days = int(source.day.max(initial=-1)) + 1
    common = _factor(source.common_factor, n_days, seed, replication, "day_factor")
    parts: list[tuple[np.ndarray, ...]] = []
    path = source.expected[replication % source.samples]
    for k, name in enumerate(source.types):
        rng = stream(seed, replication, f"arrivals/{name}")
        if source.counts:
            count = path[:, k]
        else:
            busy = common * _factor(source.factors[k], n_days, seed, replication, f"day_factor/{name}")
            count = rng.poisson(path[:, k] * busy[source.day])
        n = int(count.sum())
        interval = np.repeat(np.arange(len(count)), count)
        length = source.end_ms - source.start_ms
        at = source.start_ms[interval] + (rng.random(n) * length[interval]).astype(np.int64)
        at.sort()  # uniform instants within ascending intervals: sorting never crosses an interval
        slot = source.slot[interval]
        handle = _sample(source.handle[k], slot, stream(seed, replication, f"handle_time/{name}"))
        patience = _sample(source.patience[k], slot, stream(seed, replication, f"patience/{name}"))
        parts.append((at, np.full(n, k, dtype=np.int64), handle, patience))
    merged = parts[0] if len(parts) == 1 else tuple(np.concatenate(c) for c in zip(*parts, strict=True))
    if len(parts) > 1:
        order = np.argsort(merged[0], kind="stable")
        merged = tuple(c[order] for c in merged)
    return merged  # type: ignore[return-value]


def _factor(dist: Distribution | None, n_days: int, seed: int, replication: int, name: str) -> np.ndarray:
    if dist is None:
        return np.ones(n_days)
    return np.asarray(dist.sample(stream(seed, replication, name), n_days), dtype=float)


def _scheduled(source: Source, n_days: int, seed: int, replication: int) -> np.ndarray:
    """Round net heads to whole agents: one uniform a day and group keeps the mean and stays calm within the day."""
    result = np.empty(source.net_heads.shape, dtype=np.int64)
    for g, name in enumerate(source.groups):
        net = source.net_heads[:, g]
        law = source.head_factors[g]
        if law is not None:
            net = net * _factor(law, n_days, seed, replication, f"heads_factor/{name}")[source.day]
        whole = np.floor(net + 1e-9)
        if np.all(np.abs(net - whole) < 1e-9):
            result[:, g] = whole
        else:
            u = stream(seed, replication, f"heads/{name}").random(n_days)
            result[:, g] = np.floor(net + u[source.day] + 1e-9)
    return result


def _changes(source: Source, scheduled: np.ndarray) -> tuple[np.ndarray, ...]:
    """Return times, groups, leavers and joiners; closings themselves are events of the engine."""
    n = len(scheduled)
    if not n:
        return tuple(np.empty(0, dtype=np.int64) for _ in range(4))
    opening = np.append(True, source.start_ms[1:] != source.end_ms[:-1])
    before = np.where(opening[:, None], 0, np.vstack([np.zeros((1, scheduled.shape[1]), np.int64), scheduled[:-1]]))
    delta = scheduled - before
    interval, group = np.nonzero(delta)
    step = delta[interval, group]
    return (
        source.start_ms[interval].astype(np.int64),
        group.astype(np.int64),
        np.maximum(-step, 0).astype(np.int64),
        np.maximum(step, 0).astype(np.int64),
    )
