"""One line of agents in six programs: what ``speed.py`` times.

Every program plays days of M/M/n+M that start empty, draws included, and returns how many contacts arrived and how many
of them were answered within 20 seconds. Times are minutes.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit

import bposim as bp
from bposim import erlang

#: Acceptable waiting time, minutes.
WITHIN = 1 / 3
DAY = 1440.0


@dataclass(frozen=True)
class Line:
    """M/M/n+M, or M/M/n where ``patience`` is None, over days of 24 hours.

    Attributes
    ----------
    spread : float
        Standard deviation of one day's service level: what a check of few days must allow for.
    """

    name: str
    per_minute: float
    agents: int
    handle: float
    patience: float | None
    spread: float

    def contacts(self, days: float) -> float:
        """Return the expected contacts."""
        return self.per_minute * DAY * days

    def level(self) -> float:
        """Return the steady state's share of the offered that is answered within 20 s: Erlang A, or Erlang C."""
        if self.patience is None:
            found = erlang.erlang_c(self.per_minute, self.handle, self.agents, within=WITHIN)
        else:
            found = erlang.erlang_a(self.per_minute, self.handle, self.agents, patience=self.patience, within=WITHIN)
        return float(found.service_level["offered"])

    def scenario(self, days: int = 1) -> Any:
        """Return the line as a scenario."""
        call: dict[str, Any] = {
            "arrivals": {"rate": f"{self.per_minute!r}/min"},
            "handle_time": {"exponential": {"mean": f"{self.handle!r}min"}},
        }
        if self.patience is not None:
            call["patience"] = {"exponential": {"mean": f"{self.patience!r}min"}}
        return world({"call": call}, {"agents": {"skills": ["call"], "heads": self.agents}}, days=days)


def world(types: dict[str, Any], groups: dict[str, Any], *, days: int = 1, hours: str = "00:00-24:00") -> Any:
    """Return a scenario of given contact types and agent groups."""
    return bp.load_scenario(
        {
            "name": "speed", "start": "2024-01-01", "days": days, "time_zone": "UTC", "interval": "30min",
            "opening_hours": {"daily": hours}, "contact_types": types, "agent_groups": groups,
        }
    )  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    """What a program must say beside its time."""

    contacts: int
    within: int


Program = Callable[[Line, int, int, int], Outcome]


def simpy_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """SimPy as a user would write it: a process for each call, a resource, ``request | timeout``."""
    import random

    import simpy

    rng = random.Random(seed)
    offered, waits = 0, []

    def call(env: Any, agents: Any) -> Any:
        arrived = env.now
        with agents.request() as request:
            if line.patience is None:
                yield request
            else:
                found = yield request | env.timeout(rng.expovariate(1 / line.patience))
                if request not in found:
                    return
            waits.append(env.now - arrived)
            yield env.timeout(rng.expovariate(1 / line.handle))

    def arrivals(env: Any, agents: Any) -> Any:
        nonlocal offered
        while True:
            yield env.timeout(rng.expovariate(line.per_minute))
            offered += 1
            env.process(call(env, agents))

    for _ in range(days):
        env = simpy.Environment()
        env.process(arrivals(env, simpy.Resource(env, line.agents)))
        env.run(until=DAY)
    return Outcome(offered, sum(w <= WITHIN for w in waits))


def ciw_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """Ciw: a network of one node with reneging."""
    import ciw

    reneging = (
        {} if line.patience is None else {"reneging_time_distributions": [ciw.dists.Exponential(1 / line.patience)]}
    )
    network = ciw.create_network(
        arrival_distributions=[ciw.dists.Exponential(line.per_minute)],
        service_distributions=[ciw.dists.Exponential(1 / line.handle)],
        number_of_servers=[line.agents],
        **reneging,
    )
    ciw.seed(seed)
    offered = within = 0
    for _ in range(days):
        play = ciw.Simulation(network)
        play.simulate_until_max_time(DAY)
        records = play.get_all_records(only=["service", "renege"], include_incomplete=True)
        offered += len(records)
        # A contact whose service still runs at the end of the day has been answered.
        within += sum(
            r.record_type != "renege" and bool(r.service_start_date) and r.waiting_time <= WITHIN for r in records
        )
    return Outcome(offered, within)


def cimba_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """Cimba: arrivals put their time into a store, a process for each agent takes them; no patience.

    The fastest of the forms that its documentation offers: a process for each contact is five times slower, sampling
    through declared inputs or a container without times no faster.
    """
    import cimba as cb
    from speed_cimba import queue_model

    model = queue_model(line.agents)()
    model.gap, model.handle, model.limit = 1 / line.per_minute, line.handle, WITHIN
    found = cb.Experiment(model, replications=days, window=cb.Window(duration=DAY), seed=seed).run(
        workers=workers, on_failure="raise"
    )[model]
    return Outcome(int(found.offered.values.sum()), int(found.within.values.sum()))


def _bposim(line: Line, days: int, seed: int, workers: int, engine: str) -> Outcome:
    runs = bp.simulate(line.scenario(), replications=days, seed=seed, engine=engine, workers=workers, within="20s")
    return outcome_of(runs)


def outcome_of(runs: Any) -> Outcome:
    """Return the counts of a simulation."""
    table = runs.intervals
    return Outcome(int(table["offered"].sum()), int(table["answered_within_s20"].sum()))


def fast_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """The compiled engine; a day is a replication."""
    return _bposim(line, days, seed, workers, "fast")


def reference_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """The reference engine on the same draws."""
    return _bposim(line, days, seed, workers, "reference")


_jit = njit(cache=True, nogil=True)


@_jit
def _replace(free: np.ndarray, value: float) -> None:
    """Put a later time in place of the heap's least."""
    n, at = len(free), 0
    while True:
        child = 2 * at + 1
        if child >= n:
            break
        if child + 1 < n and free[child + 1] < free[child]:
            child += 1
        if free[child] >= value:
            break
        free[at] = free[child]
        at = child
    free[at] = value


@_jit
def _bare_day(rng, gap, handle, patience, agents, length, within):  # type: ignore[no-untyped-def]
    """First come, first served: a contact waits for the agent who is free first, unless it hangs up before."""
    free = np.zeros(agents)
    now = 0.0
    offered = answered_within = 0
    while True:
        now += gap * rng.standard_exponential()
        if now >= length:
            return offered, answered_within
        offered += 1
        work = handle * rng.standard_exponential()
        wait = max(0.0, free[0] - now)
        if wait <= patience * rng.standard_exponential():
            answered_within += wait <= within
            _replace(free, now + wait + work)


@_jit
def _bare_draws(rng, gap, length):  # type: ignore[no-untyped-def]
    """The same draws, nothing done with them."""
    now = total = 0.0
    offered = 0
    while True:
        now += gap * rng.standard_exponential()
        if now >= length:
            return offered, total
        offered += 1
        total += rng.standard_exponential() + rng.standard_exponential()


@_jit
def _bare_events(rng, gap, handle, patience, agents, length, within):  # type: ignore[no-untyped-def]
    """The draws and the rest of the loop; the one agent's clock stands for the heap."""
    free = now = 0.0
    offered = answered_within = 0
    while True:
        now += gap * rng.standard_exponential()
        if now >= length:
            return offered, answered_within
        offered += 1
        work = handle * rng.standard_exponential() / agents
        wait = max(0.0, free - now)
        if wait <= patience * rng.standard_exponential():
            answered_within += wait <= within
            free = now + wait + work


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.SFC64(seed))


def bare_program(line: Line, days: int, seed: int, workers: int = 1) -> Outcome:
    """A bare compiled loop that knows this one case only: the upper bound."""
    rng = _generator(seed)
    patience = math.inf if line.patience is None else line.patience
    offered = within = 0
    for _ in range(days):
        n, k = _bare_day(rng, 1 / line.per_minute, line.handle, patience, line.agents, DAY, WITHIN)
        offered, within = offered + n, within + k
    return Outcome(offered, within)


def bare_parts(line: Line, days: int, rounds: int) -> dict[str, float]:
    """Return nanoseconds a contact of the bare loop: draws, heap and rest."""
    import time

    patience = math.inf if line.patience is None else line.patience
    usual = (1 / line.per_minute, line.handle, patience, line.agents, DAY, WITHIN)
    found: dict[str, list[float]] = {"whole": [], "draws": [], "no heap": []}
    for k in range(rounds + 1):
        for name, play, arguments in (
            ("whole", _bare_day, usual),
            ("draws", _bare_draws, (usual[0], DAY)),
            ("no heap", _bare_events, usual),
        ):
            rng = _generator(k)
            begin = time.perf_counter()
            contacts = sum(play(rng, *arguments)[0] for _ in range(days))
            if k:  # the first round compiles
                found[name].append(1e9 * (time.perf_counter() - begin) / contacts)
    whole, draws, no_heap = (float(np.median(found[name])) for name in ("whole", "draws", "no heap"))
    return {"whole": whole, "draws": draws, "heap": whole - no_heap, "rest": no_heap - draws}


#: Programs by name, with the distribution each needs beyond the package's own requirements.
PROGRAMS: dict[str, Program] = {
    "SimPy, plain": simpy_program,
    "bposim reference": reference_program,
    "bposim fast": fast_program,
    "Ciw": ciw_program,
    "cimba": cimba_program,
    "bare loop": bare_program,
}
_NEEDS = {"Ciw": "ciw", "cimba": "cimba"}


def missing(name: str) -> bool:
    """Say whether a program's package is not installed."""
    return name in _NEEDS and importlib.util.find_spec(_NEEDS[name]) is None
