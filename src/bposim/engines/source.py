"""What draws need of a scenario, laid over the grid once; streams by name."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.engines.chunks import chunks_for
from bposim.engines.model import LONGEST_MS, NO_LIMIT, UNIT
from bposim.engines.volumes import VolumePaths, load_volumes
from bposim.errors import ParameterError

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.engines.shifts import Changes
    from bposim.scenario import Scenario
    from bposim.scenario.models import AgentGroup, ContactType

#: Spare rows that are drawn at first: so large a share of the contacts that may come to need one.
SPARE = 0.1

Laws = tuple["Distribution", ...]


def stream(seed: int, replication: int, name: str) -> np.random.Generator:
    """Return the generator of a named stream: the same wherever and whenever it is asked for."""
    return np.random.Generator(np.random.SFC64(np.random.SeedSequence((seed, replication, zlib.crc32(name.encode())))))


def always(rng: np.random.Generator) -> Callable[[str], np.random.Generator]:
    """Return one generator for every kind of variate."""
    return lambda _: rng


def by_name(seed: int, replication: int, name: str) -> Callable[[str], np.random.Generator]:
    """Return the stream of each kind of variate of a contact type."""
    return lambda what: stream(seed, replication, f"{what}/{name}")


def day_factors(dist: Distribution | None, n_days: int, seed: int, replication: int, name: str) -> np.ndarray:
    """Return one factor for each day, 1 where there is no law."""
    if dist is None:
        return np.ones(n_days)
    return np.asarray(dist.sample(stream(seed, replication, name), n_days), dtype=float)


def sample_ms(
    laws: Laws, slot: np.ndarray, rng: np.random.Generator, day: np.ndarray | None = None, factor: Any = None
) -> np.ndarray:
    """Draw durations in ms: one law, or one for each slot of the day; times the factor of each contact's day."""
    from bposim.engines.compiled.kernels import to_ms, to_ms_by_day

    if len(laws) == 1:
        seconds = laws[0].sample(rng, len(slot))
    else:
        seconds = np.empty(len(slot))
        for k, law in enumerate(laws):
            mask = slot == k
            seconds[mask] = law.sample(rng, int(mask.sum()))
    return to_ms(seconds, 1.0) if factor is None else to_ms_by_day(seconds, day, factor)


@dataclass(eq=False)
class Source:
    """Everything of a scenario that draws need, laid over the grid once.

    Attributes
    ----------
    expected : ndarray, shape (n_samples, n_intervals, n_types)
        Expected contacts, or counts.
    counts : bool
        Whether ``expected`` are counts: exactly so many contacts arrive.
    kinds, bodies : tuple
        Contact types and agent groups of the scenario.
    net_heads : ndarray, shape (n_intervals, n_groups)
        Scheduled heads after shrinkage; of named agents, those whose schedule covers the interval.
    handle_factor : ndarray, shape (n_intervals, n_types), or None
        Handle time of an interval's contacts relative to their law, as volumes from outside tell it. Spare rows keep the law.
    head_factors : tuple of Distribution or None
        The day's staffing relative to ``net_heads``, by group; None where a plan fixes the heads.
    chunks : ndarray of int64, shape (n_pools,)
        Chunks of spare rows to draw for each pool; grows where a run needed more, for every plan of the same contacts. The answer
        does not depend on it.
    """

    scenario: Scenario
    types: tuple[str, ...]
    groups: tuple[str, ...]
    expected: np.ndarray
    counts: bool
    day: np.ndarray
    slot: np.ndarray
    start_ms: np.ndarray
    end_ms: np.ndarray
    kinds: tuple[ContactType, ...]
    bodies: tuple[AgentGroup, ...]
    common_factor: Distribution | None
    factors: tuple[Distribution | None, ...]
    net_heads: np.ndarray
    head_factors: tuple[Distribution | None, ...]
    handle_factor: np.ndarray | None = None
    chunks: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int64))
    #: Staffing changes where they are the same in every replication, once made.
    fixed_changes: Changes | None = field(default=None, init=False)

    def __post_init__(self) -> None:
        if self.branches and not len(self.chunks):
            self.chunks = np.array([chunks_for(SPARE * rows) for rows in self.comes], dtype=np.int64)

    @property
    def samples(self) -> int:
        """Number of volume paths."""
        return self.expected.shape[0]

    @cached_property
    def n_days(self) -> int:
        """Number of days in the horizon."""
        return int(self.day.max(initial=-1)) + 1

    @cached_property
    def branches(self) -> bool:
        """Whether contacts may become others: redials, call-backs, transfers."""
        return any(k.redial or k.callback or k.transfers for k in self.kinds)

    @cached_property
    def after(self) -> bool:
        """Whether any type has after-contact work apart from the talk."""
        return any(k.after_contact_work is not None for k in self.kinds)

    @cached_property
    def balking(self) -> bool:
        """Whether contacts of any type may refuse to join a queue."""
        return any(k.balking for k in self.kinds)

    @cached_property
    def random_agent(self) -> bool:
        """Whether an arriving contact goes to a random agent."""
        return self.scenario.routing.agent_choice == "random"

    @cached_property
    def pools(self) -> list[tuple[int, int]]:
        """Pools of spare rows: (type, slot), for every type that a contact may become."""
        into: set[str] = set()
        for name, kind in zip(self.types, self.kinds, strict=True):
            into |= {kind.redial.to or name} if kind.redial else set()
            into |= {kind.callback.to} if kind.callback else set()
            into |= {t.to for t in kind.transfers}
        found = []
        for k, name in enumerate(self.types):
            if name in into:
                kind = self.kinds[k]
                laws = (kind.handle_time, kind.patience, kind.after_contact_work or ())
                varies = any(len(listed) > 1 for listed in laws)
                found += [(k, s) for s in range(int(self.slot.max()) + 1 if varies else 1)]
        return found

    @cached_property
    def pool_of(self) -> np.ndarray:
        """Pool of each type and slot, −1 for none, shape (n_types, n_slots)."""
        result = np.full((len(self.types), int(self.slot.max(initial=0)) + 1), -1, dtype=np.int64)
        for p, (k, slot) in enumerate(self.pools):
            result[k, slot if any(kk == k and ss for kk, ss in self.pools) else slice(None)] = p
        return result

    @cached_property
    def comes(self) -> np.ndarray:
        """Expected contacts that may come to need a spare row of each pool, shape (n_pools,)."""
        mean = self.expected.mean(axis=0)
        comes = np.zeros((len(self.types), int(self.slot.max(initial=0)) + 1))
        for k, (name, kind) in enumerate(zip(self.types, self.kinds, strict=True)):
            into = [kind.redial.to or name] if kind.redial else []
            into += [kind.callback.to] if kind.callback else []
            for to in dict.fromkeys(into + [t.to for t in kind.transfers]):
                np.add.at(comes[self.types.index(to)], self.slot, mean[:, k])
        varies = {k for k, slot in self.pools if slot > 0}
        return np.array([comes[k, slot] if k in varies else comes[k].sum() for k, slot in self.pools])

    def lengthen(self, pool: int, drawn: int) -> None:
        """Draw twice the rows of a pool from now on, and in its type's other hours as many, up to those who may need one.

        Where one ran short the others will, each for a run of its own.
        """
        for p, (k, _) in enumerate(self.pools):
            if p == pool:
                self.chunks[p] = max(self.chunks[p], drawn + 1)
            elif k == self.pools[pool][0]:
                self.chunks[p] = max(self.chunks[p], min(drawn + 1, chunks_for(self.comes[p])))

    @cached_property
    def random_staffing(self) -> bool:
        """Whether who is there differs from replication to replication."""
        whole = np.abs(self.net_heads - np.floor(self.net_heads + 1e-9)) < 1e-9
        counted = np.array([not body.agents for body in self.bodies])
        sites = (self.scenario.sites[b.site] for b in self.bodies if b.site is not None)
        return bool(
            not whole[:, counted].all()
            or any(law is not None for law in self.head_factors)
            or any(b.absence > 0 or b.adherence < 1 for b in self.bodies)
            or any(site.outages for site in sites)
        )

    def drift(self, seed: int, replication: int) -> np.ndarray:
        """Return each type's handle-time factor by day, shape (n_types, n_days); no columns where no type drifts."""
        laws = [k.handle_day_factor for k in self.kinds]
        if all(law is None for law in laws):
            return np.empty((len(laws), 0))
        names = [f"handle_day_factor/{t}" for t in self.types]
        return np.stack(
            [day_factors(law, self.n_days, seed, replication, n) for law, n in zip(laws, names, strict=True)]
        )

    @cached_property
    def slowest(self) -> float:
        """The largest multiplier of a handle time: a group's, times an agent's speed."""
        return max(
            m * max((a.speed for a in b.agents.values()), default=1.0) for b in self.bodies for m in b.skills.values()
        )

    def bounded(self, ms: np.ndarray, k: int, what: str) -> np.ndarray:
        """Return durations, refused where one is longer than an engine can count (a contact never ended, say)."""
        longest = int(ms.max(initial=0))
        if longest >= LONGEST_MS or longest * self.slowest >= LONGEST_MS:
            raise ParameterError(
                f"{what} of contact type {self.types[k]!r} drew a duration of {longest / 8.64e7:,.0f} days, times a multiplier of "
                f"up to {self.slowest:g}; the engines take {LONGEST_MS / 8.64e7:.0f} days. Use a law with a lighter tail."
            )
        return ms

    def attributes(
        self, k: int, slot: np.ndarray, rng: Callable[[str], np.random.Generator], day: Any = None, factor: Any = None
    ) -> dict[str, np.ndarray]:
        """Draw handle time, patience and whatever else contacts of a type carry.

        Parameters
        ----------
        k : int
            Contact type.
        slot : ndarray of int64, shape (n,)
            Slot of the day whose laws hold for each.
        rng : callable
            Gives the generator of a kind of variate.
        day, factor : ndarray, optional
            Drift of the handle time: the day (or interval) of each contact, and the factor of each day (or interval).
        """
        kind, n = self.kinds[k], len(slot)
        columns = {
            "handle_ms": self.bounded(
                sample_ms(kind.handle_time, slot, rng("handle_time"), day, factor), k, "handle_time"
            ),
            "patience_ms": sample_ms(kind.patience, slot, rng("patience")),
        }
        if self.after:
            work = kind.after_contact_work
            columns["after_ms"] = (
                np.zeros(n, dtype=np.int64)
                if work is None
                else self.bounded(
                    sample_ms(work, slot, rng("after_contact_work"), day, factor), k, "after_contact_work"
                )
            )
        if self.balking:
            columns["balk_at"] = np.full(n, NO_LIMIT, dtype=np.int64)
            u = rng("balking").random(n) if kind.balking else np.ones(n)
            for step in reversed(kind.balking):
                columns["balk_at"][u < step.probability] = step.queue
        if self.random_agent:
            columns["pick"] = rng("pick").integers(0, UNIT, n)
        if self.branches:
            nothing = np.zeros(n, dtype=np.int64)
            redial = kind.redial
            columns["redial_u"] = rng("redial").integers(0, UNIT, n) if redial else nothing
            columns["gap_ms"] = (
                self.bounded(sample_ms((redial.delay,), slot, rng("redial_delay")), k, "redial.delay")
                if redial
                else nothing
            )
            columns["callback_u"] = rng("callback").integers(0, UNIT, n) if kind.callback else nothing
            columns["transfer_u"] = rng("transfer").integers(0, UNIT, n) if kind.transfers else nothing
        return columns


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
        counts, factor = False, None
    else:
        found = volumes if isinstance(volumes, VolumePaths) else load_volumes(volumes, scenario)
        expected, counts, factor = found.array, found.counts, found.handle_factor
    kinds = tuple(scenario.contact_types.values())
    return Source(
        scenario, types, groups, expected, counts, grid.day, grid.slot, grid.start_ms, grid.end_ms, kinds,
        tuple(scenario.agent_groups.values()), scenario.day_factor, tuple(k.day_factor for k in kinds),
        **staffing_of(scenario), handle_factor=factor,
    )  # fmt: skip


def staffing_of(scenario: Scenario) -> dict[str, Any]:
    """Return the fields of a Source that staffing decides: net heads, and how much they vary from day to day.

    A plan (``scenario.staffing``) says who is scheduled, so the day factor of the heads does not apply to it.
    """
    bodies = scenario.agent_groups.items()
    net = [scenario.scheduled_heads(g) * (1 - body.shrinkage) for g, body in bodies]
    factors = [body.day_factor if scenario.staffing is None else None for _, body in bodies]
    return {"net_heads": np.stack(net, axis=1), "head_factors": tuple(factors)}
