"""Replications on all cores: draws, engine, tallies."""

from __future__ import annotations

import os
import sys
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.engines import (
    ENGINES,
    Draws,
    Model,
    Policies,
    Records,
    State,
    build_model,
    build_source,
    draw,
    lay_state,
    play,
)
from bposim.engines.chunks import rows_in
from bposim.engines.draws import Contacts, draw_contacts, nbytes
from bposim.engines.life import Chunks
from bposim.engines.volumes import load_volumes
from bposim.errors import EngineWarning, ParameterError, parameter, require
from bposim.metrics import Counts, threshold_column
from bposim.simulate.paths import Paths, paths_of
from bposim.simulate.paths import hold_out as keep_half
from bposim.units import milliseconds, seconds

if TYPE_CHECKING:
    from bposim.engines.source import Source
    from bposim.engines.state import Start
    from bposim.scenario import Scenario
    from bposim.simulate.result import SimulationResult

#: Acceptable waiting time when neither the call nor the scenario names one.
DEFAULT_WITHIN_S = 20.0
#: Memory that contacts kept for another staffing may take.
LUCK_BYTES = 400 << 20


@dataclass(frozen=True, eq=False)
class Recipe:
    """A simulation that can be played again: everything it depends on.

    Attributes
    ----------
    offset : int
        Number of the first replication; fresh ones begin elsewhere.
    luck, spares : dict or None
        Contacts, and spare rows, of replications that several plans meet, drawn once.
    start : Start or None
        The given state in which every replication begins.
    paths : Paths or None
        Which volume path each replication plays; None where the volumes are no paths.
    volumes_hash : str or None
        Names the content of the volumes; None until asked for.
    """

    scenario: Scenario
    model: Model
    source: Source
    replications: int
    seed: int
    engine: str
    workers: int
    warm_up_ms: int
    offset: int = 0
    progress: bool | None = None
    luck: dict[int, Contacts] | None = None
    spares: dict[int, Chunks] | None = None
    start: Start | None = None
    paths: Paths | None = None
    volumes_hash: str | None = None

    @property
    def batch(self) -> np.ndarray | None:
        """Number of the path that each replication plays, None where each is its own observation."""
        return None if self.paths is None else self.paths.batch(self.offset, self.replications)

    def draws(self, replication: int) -> Draws:
        """Draw one replication, or take its contacts from the luck that was kept."""
        number = self.offset + replication
        if self.luck is None:
            return draw(self.source, self.seed, number, start=self.start)
        contacts = self.luck.get(number)
        if contacts is None:
            contacts = draw_contacts(self.source, self.seed, number, self.start)
            spare = sum(map(rows_in, self.source.chunks.tolist()))
            size = nbytes(contacts) * (1 + spare / max(len(contacts["arrival_ms"]), 1))
            if (len(self.luck) + 1) * size <= LUCK_BYTES:
                self.luck[number] = contacts
        kept = None if self.spares is None or number not in self.luck else self.spares.setdefault(number, Chunks())
        return draw(self.source, self.seed, number, contacts, self.start, kept)

    def records(self, replication: int) -> tuple[Draws, Records]:
        """Draw and play one replication."""
        draws = self.draws(replication)
        return draws, play(self.model, draws, self.engine)


def workers_of(workers: int | None) -> int:
    """Resolve the number of workers: all cores this process may use."""
    if workers is not None:
        return workers
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def show_progress(progress: bool | None) -> bool:
    """Resolve whether to show a bar: by default only where a person watches."""
    if progress is not None:
        return progress
    return "ipykernel" in sys.modules or sys.stderr.isatty()


def parallel(
    work: Callable[[int], None], numbers: Iterable[int], *, workers: int, progress: bool | None, title: str
) -> None:
    """Call ``work`` for every number, on threads, with a bar; an interrupt stops between two calls."""
    from concurrent.futures import ThreadPoolExecutor

    numbers = list(numbers)
    bar: Any = None
    if show_progress(progress) and len(numbers) > 1:
        from tqdm.auto import tqdm

        bar = tqdm(total=len(numbers), desc=title, leave=False, delay=1.0)
    try:
        if workers <= 1 or len(numbers) < 2:
            for k in numbers:
                work(k)
                if bar:
                    bar.update(1)
            return
        stop = threading.Event()

        def guarded(k: int) -> None:
            if not stop.is_set():
                work(k)
                if bar:
                    bar.update(1)

        with ThreadPoolExecutor(workers) as pool:
            try:
                for future in [pool.submit(guarded, k) for k in numbers]:
                    future.result()
            except BaseException:
                stop.set()
                raise
    finally:
        if bar:
            bar.close()


def count(recipe: Recipe, thresholds_s: Sequence[float], *, title: str = "simulating") -> Counts:
    """Play every replication of a recipe and keep its counts only.

    Memory grows with replications × intervals × types, not with contacts.
    """
    from bposim.engines.compiled.tally import AGENTS, COUNTS, PER_THRESHOLD_COUNTS, SUMS, tally

    thresholds = np.array(sorted({milliseconds(t) for t in thresholds_s}), dtype=np.int64)
    model, r = recipe.model, recipe.replications
    n, k, g, t = len(model.start_ms), len(model.types), len(model.groups), len(thresholds)
    counts = np.zeros((len(COUNTS) + len(PER_THRESHOLD_COUNTS) * t, r, n, k), dtype=np.int32)
    sums = np.zeros((len(SUMS) + t, r, n, k))  # in seconds, from here on
    agents = np.zeros((len(AGENTS), r, n, g))
    scheduled = np.zeros((r, n, g), dtype=np.float32)

    def one(replication: int) -> None:
        draws, records = recipe.records(replication)
        c, s, a = tally(model, draws, records, thresholds)
        counts[:, replication], sums[:, replication], agents[:, replication] = c, s / 1000, a / 1000
        scheduled[replication] = draws.scheduled

    numbers = range(r)
    if recipe.engine == "reference" and recipe.workers > 1 and r > 1:
        _on_processes(recipe, thresholds, counts, sums, agents, scheduled)
    else:
        if recipe.engine == "fast":
            one(0)  # compiles, once, before threads start
            numbers = range(1, r)
        parallel(one, numbers, workers=recipe.workers, progress=recipe.progress, title=title)
    keep = slice(int(np.searchsorted(model.start_ms, recipe.warm_up_ms)), None)  # a view: nothing is copied
    length = (model.end_ms - model.start_ms) / 1000
    columns: dict[str, np.ndarray] = {name: counts[c][:, keep] for c, name in enumerate(COUNTS)}
    for j, ms in enumerate(thresholds):
        for c, stem in enumerate(PER_THRESHOLD_COUNTS):
            columns[threshold_column(stem, ms / 1000)] = counts[len(COUNTS) + len(PER_THRESHOLD_COUNTS) * j + c][
                :, keep
            ]
        columns[threshold_column("excess_sum", ms / 1000)] = sums[len(SUMS) + j][:, keep]
    columns |= {f"{name}_s": sums[c][:, keep] for c, name in enumerate(SUMS)}
    # A call-back is accepted on arrival and blocked contacts never wait, so the sum of all waits is that of the queued.
    columns["wait_left_sum_s"] = np.broadcast_to(np.zeros(1), columns["wait_sum_s"].shape)
    scenario = recipe.scenario
    first, warm_days = pd.Timestamp(scenario.start), -(-recipe.warm_up_ms // 86_400_000)
    return Counts(
        starts=recipe.scenario.grid.starts[keep],
        hours=recipe.scenario.grid.hours[keep],
        types=model.types,
        contacts=columns,
        groups=model.groups,
        agents={
            "scheduled_s": (scheduled * length[None, :, None])[:, keep],
            "working_s": agents[1][:, keep],
            "busy_s": agents[0][:, keep],
            "contact_s": agents[2][:, keep],
        },
        days=(first + pd.Timedelta(days=warm_days), first + pd.Timedelta(days=scenario.days - 1)),
        paths=recipe.batch,
    )


def _on_processes(recipe: Recipe, thresholds: np.ndarray, counts: Any, sums: Any, agents: Any, scheduled: Any) -> None:
    """Play SimPy replications on processes: pure Python holds the interpreter lock."""
    from joblib import Parallel, delayed

    bare = replace(recipe, paths=None, luck=None, spares=None)  # a forecast need not travel
    jobs = (delayed(_one_process)(bare, k, thresholds) for k in range(recipe.replications))
    done = Parallel(n_jobs=recipe.workers, return_as="generator")(jobs)
    for k, (c, s, a, plan) in enumerate(done):
        counts[:, k], sums[:, k], agents[:, k], scheduled[k] = c, s / 1000, a / 1000, plan


def _one_process(recipe: Recipe, replication: int, thresholds: np.ndarray) -> tuple[np.ndarray, ...]:
    from bposim.engines.compiled.tally import tally

    draws, records = recipe.records(replication)
    return (*tally(recipe.model, draws, records, thresholds), draws.scheduled)


def simulate(
    scenario: Scenario,
    *,
    volumes: Any = None,
    staffing: Any = None,
    replications: int = 100,
    seed: int = 1,
    engine: str = "fast",
    workers: int | None = None,
    log: bool = False,
    warm_up: str | None = None,
    drain: str = "serve",
    progress: bool | None = None,
    within: Any = None,
    hold_out: bool = False,
    state: State | None = None,
    policies: Policies | None = None,
) -> SimulationResult:
    """Play a scenario many times.

    Parameters
    ----------
    scenario : Scenario
    volumes : Forecast, DataFrame or None
        Take the place of the scenario's arrivals, in every open interval. Integer ``contacts`` are counts: exactly so
        many contacts arrive and no day factor is added; real ones are expectations, with the day factor where there is
        no ``sample``. Replication k takes sample k modulo the number of samples; those that share one count as one
        observation in every interval.
    staffing : DataFrame, mapping or None
        Takes the place of the scenario's heads.
    replications : int
        How often the horizon is played. Replication k is the same whatever the number.
    seed : int
        Names the luck; two scenarios under one seed meet the same contacts.
    engine : "fast" or "reference"
        Compiled, or SimPy: same draws, same records.
    workers : int, optional
        None means every core. The answer never depends on it.
    log : bool
        Keep every contact of every replication; otherwise ``contacts(k)`` plays replication k again.
    warm_up : str, optional
        Leave out contacts and agents' time of intervals that begin before this long after the start.
    drain : "serve", "disconnect" or "leave"
        What becomes of the queue at closing.
    progress : bool, optional
        None shows a bar where a person watches.
    within : str or list of str, optional
        Further acceptable waiting times to count; others are counted on demand, by playing the same draws again.
    hold_out : bool
        Keep at least half of the volumes' paths for :meth:`SimulationResult.fresh`. A Forecast needs none kept: it
        draws further ones.
    state : State, optional
        A moment to begin from: who waits since when, who is being served. Contacts that arrived before it count in the
        interval of their arrival, unless they were being served.
    policies : Policies, optional
        Rules of one's own for who takes whom. Those that numba cannot compile run in the reference engine.

    Returns
    -------
    SimulationResult

    Raises
    ------
    ParameterError
        An argument is outside its rule; all at once.

    Warns
    -----
    EngineWarning
        A policy cannot be compiled: the reference engine runs instead.
    SimulationWarning
        The volumes hold few paths, fewer than replications.

    Examples
    --------
    >>> import bposim as bp
    >>> line = bp.load_scenario({
    ...     "contact_types": {"billing": {"arrivals": {"rate": "100/h"}, "handle_time": {"exponential": {"mean": "3min"}}}},
    ...     "agent_groups": {"tellers": {"skills": ["billing"], "heads": 8}}})
    >>> runs = bp.simulate(line, replications=5, seed=7)
    >>> list(runs.summary(metrics="service_level").columns)
    ['metric', 'value', 'ci_low', 'ci_high', 'n']
    """
    from bposim.simulate.result import SimulationResult

    problems = []
    if not hasattr(scenario, "grid"):
        way = "Write bp.load_scenario(…) first."
        raise ParameterError(parameter("scenario", "simulate()", "a Scenario", type(scenario).__name__, way))
    if not isinstance(replications, int | np.integer) or isinstance(replications, bool) or replications < 1:
        problems.append(parameter("replications", "simulate()", "a whole number of at least 1", replications))
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or seed < 0:
        problems.append(parameter("seed", "simulate()", "a whole number of at least 0", seed))
    if engine not in ENGINES:
        problems.append(parameter("engine", "simulate()", f"one of {', '.join(ENGINES)}", engine))
    if workers is not None and (not isinstance(workers, int) or workers < 1):
        problems.append(parameter("workers", "simulate()", "None or a whole number of at least 1", workers))
    warm_up_ms = 0
    if warm_up is not None:
        try:
            warm_up_ms = milliseconds(seconds(warm_up, what="warm_up"))
        except ValueError as error:
            problems.append(str(error))
    asked: list[float] = []
    for w in [within] if isinstance(within, str | float) else within or ():
        try:
            asked.append(w if isinstance(w, float) else seconds(w, what="within"))
        except ValueError as error:
            problems.append(str(error))
    require(problems, ParameterError)
    if staffing is not None:
        scenario = scenario.with_staffing(staffing)
    if not len(scenario.grid):
        raise ParameterError(
            "the scenario has no open interval in its horizon. Check opening_hours, closed, start and days."
        )
    if warm_up_ms >= int(scenario.grid.end_ms[-1]):
        raise ParameterError(parameter("warm_up", "simulate()", "shorter than the horizon", warm_up))
    if policies is not None and engine == "fast" and policies.why_not_compiled:
        engine = "reference"
        warnings.warn(
            f"{policies.why_not_compiled} The reference engine runs instead, many times slower. Write the policy with "
            f"numbers, loops and the view's arrays only.",
            EngineWarning,
            stacklevel=2,
        )
    start = None if state is None else lay_state(state, scenario)
    found = None if volumes is None else load_volumes(volumes, scenario)
    source, paths = paths_of(volumes, found, build_source(scenario, found), int(replications))
    recipe = Recipe(
        scenario, build_model(scenario, drain=drain, policies=policies), source, int(replications), int(seed), engine,
        workers_of(workers), warm_up_ms, progress=progress, paths=paths, start=start,
    )  # fmt: skip
    if hold_out:
        recipe = keep_half(recipe)
    targets = [*scenario.targets, *(t for kind in scenario.contact_types.values() for t in kind.targets)]
    named = [t.within_s for t in targets if t.within_s is not None]
    first = asked[0] if asked else named[0] if named else DEFAULT_WITHIN_S
    thresholds = sorted({*asked, *named, first})
    return SimulationResult.make(recipe, count(recipe, thresholds), first, keep_log=log)
