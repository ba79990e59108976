"""The cheapest shifts with which the simulation keeps a target, found with the simulator in the loop."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ndtri

from bposim.errors import ParameterError, parameter, require
from bposim.optimise._conflicts import relaxed
from bposim.optimise._goals import EACH, Goal, goals_of
from bposim.optimise._obstacles import out_of_reach
from bposim.optimise._oracle import Heads, Oracle
from bposim.optimise._search import Point, Search, lower_bound
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._skills import JOIN, able_groups, groups_of
from bposim.optimise._start import free_heads, nearest_cover
from bposim.optimise._tours import tours
from bposim.optimise.plan import CONFLICTS, ShiftPlan
from bposim.optimise.proof import prove_plan
from bposim.optimise.requirement import required_agents
from bposim.optimise.shifts import check_limits, plan_frames
from bposim.optimise.validate import check_confidence
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.simulate.proof import PATIENCE

#: Contacts that one look at a plan plays, in the first descent and in the last.
ROUGH, FINE = 150_000, 600_000
#: Contacts that take the time of one replication's overhead.
OVERHEAD = 400
#: Replications of a look, at least (for an expected value, for a probability) and at most.
FEWEST, FEWEST_WINDOWS, MOST = 4, 100, 4_000
#: A step of the solver may take ten seconds, and one more for so many columns.
COLUMNS_A_SECOND = 300
#: Rounds of search and validation.
ROUNDS = 6


def optimise_staffing(
    scenario: Scenario,
    target: Target | Mapping[str, Target],
    *,
    volumes: Any = None,
    confidence: float | None = None,
    each: str = "horizon",
    max_heads: int | Mapping[str, int] | None = None,
    replications: int | None = None,
    validation: int = 2000,
    seed: int = 1,
    warm_up: str | None = None,
    drain: str = "serve",
    solver: str | None = None,
    gap: float = 1e-2,
    time_limit: float = 300.0,
    progress: Callable[[str], None] | bool | None = None,
) -> ShiftPlan:
    """Find the cheapest shifts with which the simulation keeps a target, and prove them on fresh replications.

    Parameters
    ----------
    scenario : Scenario
        Its ``shifts`` are the patterns; without any, heads are free in every interval.
    target : Target or mapping of contact type to Target
        Pooled service level, abandonment, ASA or mean wait.
    volumes : Forecast, Volumes frame or None
    confidence : float, optional
        Wanted probability that a window meets the target, over the days and paths of the scenario; None asks for the
        expected value.
    each : "horizon", "day" or "interval"
        Without a confidence: whether the expected value must reach the level over the horizon, or in every day or
        interval on its own.
    max_heads : int or mapping of agent group to int, optional
        Most heads present in any interval, in total or per group.
    replications : int, optional
        Played for each plan in the last descent; None takes what a few seconds allow.
    validation : int
        Fresh replications to begin the proof with; up to four times as many while the answer is open.
    seed : int
        Of the search; the proof moves away from it.
    warm_up, drain
        As in :func:`bposim.simulate`.
    solver : {"highs", "cbc"}, optional
    gap : float
        Relative gap at which a step's shifts count as optimal.
    time_limit : float
        Seconds after which the search stops with the best plan that it has.
    progress : callable or bool, optional
        Called with a line after each plan played; True prints; None prints where a person watches.

    Returns
    -------
    ShiftPlan
        ``status`` "met" where the proof holds, "stopped" where no plan was proven in time, "infeasible" where the limits
        exclude it. ``bound`` is the least cost under the tangents of all plans played: true as far as service is
        concave in heads, as it is above its inflection. ``trail`` holds each plan that was played. An interrupt returns the best plan
        so far, proven.

    Raises
    ------
    ParameterError
        An argument is outside its rule.

    Notes
    -----
    The loop of Atlason, Epelman & Henderson (2008) and Cezik & L'Ecuyer (2008), with tangents on a scale on which service
    is nearly straight in heads; with a confidence the tangent is that of the quantile of the windows (Hong 2009). The
    proof never uses the replications that the search has seen; where it fails, the cells that fell short are asked for
    more and the search goes on.
    """
    problems = check_limits(None, 0.0, max_heads, scenario, "optimise_staffing()")
    problems += check_confidence(confidence, "optimise_staffing()")
    if each not in EACH:
        problems.append(parameter("each", "optimise_staffing()", f"one of {', '.join(EACH)}", each))
    if confidence is not None and each != "horizon":
        problems.append("optimise_staffing(): with a confidence the target's window is the stretch. Leave out each.")
    asked_counts = {"validation": validation} | ({} if replications is None else {"replications": replications})
    for name, value in asked_counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 2:
            problems.append(parameter(name, "optimise_staffing()", "a whole number of at least 2", value))
    if not time_limit > 0:
        problems.append(parameter("time_limit", "optimise_staffing()", "seconds above 0", time_limit))
    require(problems, ParameterError)
    until = time.monotonic() + time_limit
    goals = goals_of(scenario, target, confidence, each)
    asked = _Asked(scenario, target, volumes, confidence, each, max_heads, seed, solver, gap, until)
    asked.begin()
    options = {"warm_up": warm_up, "drain": drain}
    return _rounds(asked, goals, options, replications, validation, _speaker(progress))


class _Asked:
    """The question and the model it leads to."""

    def __init__(
        self, scenario: Scenario, target: Target | Mapping[str, Target], volumes: Any, confidence: float | None, each: str,
        max_heads: int | Mapping[str, int] | None, seed: int, solver: str | None, gap: float, until: float,
    ) -> None:  # fmt: skip
        self.scenario, self.target, self.volumes, self.confidence, self.each = (
            scenario, target, volumes, confidence, each,
        )  # fmt: skip
        self.max_heads, self.seed, self.until = max_heads, seed, until
        self.solver: dict[str, Any] = {"solver": solver, "gap": gap, "time_limit": 10.0, "seed": seed}
        self.able = able_groups(scenario)
        groups = groups_of(tuple(scenario.contact_types), self.able)
        self.tours = tours(scenario, groups, keep_all=True) if scenario.shifts else free_heads(scenario, groups)
        self.free = all(t.cost == 0 for t in self.tours)
        self.need: Any = None

    def model(self, *, elastic: bool = False) -> ShiftModel:
        """Return the model of the shifts and their limits; ``elastic`` ones give way at a price."""
        limits = Limits({}, None, 0.0, self.max_heads)
        return ShiftModel(self.scenario, self.able, self.tours, limits, free=self.free, elastic=elastic)

    def begin(self) -> None:
        """Find the requirement by formula, and the cover that comes nearest to it within the limits.

        It is only where the search begins: finite lines, which may put any level out of reach, are left to the simulation.
        """
        lines = {
            f"contact_types.{k}.queue_limit": None for k, t in self.scenario.contact_types.items() if t.queue_limit
        }
        endless = self.scenario.replace(lines | ({"trunks": None} if self.scenario.trunks else {}))
        self.need = required_agents(endless, self.volumes, target=self.target)
        dear = 50.0 * max((t.cost or t.paid_hours) for t in self.tours)
        names = self.need.frame.groupby("contact_types", sort=False)["required"]
        table = {tuple(str(k).split(JOIN)): v.to_numpy(dtype=float) for k, v in names}
        shifts = self.model()
        self.solver["time_limit"] += len(shifts.model.cost) / COLUMNS_A_SECOND
        self.start = nearest_cover(shifts, table, dear, self.solver)

    def limited(self) -> bool:
        """Whether limits other than the shifts themselves bind."""
        return self.max_heads is not None or any(
            p.max_heads is not None or p.min_heads is not None for p in self.scenario.shifts.values()
        )

    def plan(self, model: ShiftModel, values: np.ndarray | None, status: str, **more: Any) -> ShiftPlan:
        """Return columns as a plan."""
        shifts, staffing, coverage = plan_frames(model, values)
        cost = math.nan if values is None else float(shifts["cost"].sum())
        value = math.nan if values is None else float(values @ np.array(model.model.cost))
        inputs = {"scenario": self.scenario.hash, "confidence": self.confidence, "each": self.each, "seed": self.seed}
        return ShiftPlan(
            status=status, cost=cost, objective="paid_hours" if self.free else "cost", value=value,
            bound=math.nan, gap=math.nan, shifts=shifts, staffing=staffing, coverage=coverage,
            conflicts=pd.DataFrame(columns=list(CONFLICTS)), need=self.need, solver=str(self.solver["solver"] or "highs"),
            provenance=Provenance("optimise_staffing", inputs, (self.need.provenance,)),
        ).replace(**more)  # fmt: skip


def _rounds(
    asked: _Asked, goals: list[Goal], options: dict[str, Any], replications: int | None, validation: int,
    say: Callable[[str], None] | None,
) -> ShiftPlan:  # fmt: skip
    """Search on draws of growing number, prove, and ask for more where the proof fails."""
    model = asked.model()
    contacts = OVERHEAD + _contacts(asked.need)
    fewest = FEWEST if asked.confidence is None else FEWEST_WINDOWS
    rough, fine = (int(np.clip(n / contacts, fewest, MOST)) for n in (ROUGH, FINE))
    if replications is not None:
        rough, fine = min(rough, replications), replications
    conflicts = out_of_reach(
        model, Oracle(asked.scenario, asked.volumes, goals, rough, asked.seed, options), asked.need.frame
    )
    if len(conflicts):
        return asked.plan(model, None, "infeasible").replace(conflicts=conflicts)
    start = np.zeros(len(model.model.cost)) if asked.start is None else asked.start[: len(model.model.cost)]
    margins = [np.full(g.n_cells, 0.0) for g in goals]
    wanted = [_search_goal(g, validation) for g in goals]
    trail: list[dict[str, Any]] = []
    best: ShiftPlan | None = None
    tangents: list[Any] = []
    began = time.monotonic()
    try:
        for k in range(ROUNDS):
            size = rough if k == 0 else fine
            oracle = Oracle(asked.scenario, asked.volumes, wanted, size, asked.seed + 7919 * k, options, goals)
            room = (
                [np.zeros(g.n_cells) for g in wanted]
                if k == 0
                else _room(oracle, model.staffed(start), PATIENCE * validation)
            )
            asked_for = [np.maximum(m, r) for m, r in zip(margins, room, strict=True)]
            search = Search(model, oracle, asked.solver, asked.until, asked_for, trail)
            search.report = None if say is None else _line(say, trail, began)
            found = search.descend(start)
            tangents += search.tangents
            start = (found or search.nearest).columns
            if k == 0 and found is None and asked.limited() and not search.out_of_time:
                conflicts = _in_the_way(asked, oracle, start)
                if len(conflicts):
                    return asked.plan(model, start, "infeasible").replace(
                        conflicts=conflicts, trail=pd.DataFrame(trail)
                    )
            if k == 0 and not search.out_of_time:
                continue  # the rough draws only bring it near
            candidate = found or search.nearest
            if found is not None:
                candidate = search.drop(found)
            proven = prove_plan(
                asked.plan(model, candidate.columns, "stopped"), asked.scenario, goals, volumes=asked.volumes,
                seed=asked.seed + 104_729 * k, replications=validation, options=options,
            )  # fmt: skip
            start = candidate.columns
            if best is None or _lack(proven) < _lack(best):
                best = proven
            if say is not None:
                say(f"proof: {proven.validation.status} at {proven.cost:,.2f}")
            if proven.status == "met" or search.out_of_time:
                break
            for m, asked_of, short in zip(margins, asked_for, proven.validation.shortfall, strict=True):
                m[:] = np.where(short > 0, asked_of + short, m)
    except KeyboardInterrupt:
        if best is None:
            raise
    plan = best or asked.plan(model, start, "stopped")
    bound = lower_bound(model, goals, tangents, asked.solver)
    gap = max(plan.value - bound, 0.0) / max(abs(plan.value), 1e-9) if math.isfinite(bound) else math.nan
    frame = pd.DataFrame(trail)
    if len(frame):
        frame["at"] = (frame["at"] - began).round(2)
    return plan.replace(bound=bound, gap=gap, trail=frame)


def _in_the_way(asked: _Asked, oracle: Oracle, start: np.ndarray) -> pd.DataFrame:
    """Return the fewest limits whose relaxing lets a plan hold in simulation; empty where none needs to give way."""
    elastic = asked.model(elastic=True)
    columns = np.zeros(len(elastic.model.cost))
    columns[: len(start)] = start[: len(columns)]
    search = Search(elastic, oracle, asked.solver, asked.until)
    held = search.descend(columns)
    return pd.DataFrame(columns=list(CONFLICTS)) if held is None else relaxed(elastic, held.columns)


def _lack(plan: ShiftPlan) -> float:
    """Return what the cells of a proven plan lack; nothing where the proof holds."""
    return 0.0 if plan.status == "met" else sum(float(s.sum()) for s in plan.validation.shortfall)


def _contacts(need: Any) -> float:
    """Return the contacts of a replication; each is counted once, with its own type."""
    frame = need.frame
    return float(frame.loc[~frame["contact_types"].astype(str).str.contains(JOIN, regex=False), "contacts"].sum())


def _room(oracle: Oracle, heads: Heads, proof: int) -> list[np.ndarray]:
    """Return by how much each cell must exceed its level for the interval of a proof of so many replications to reach it."""
    result = []
    for goal, parts in zip(oracle.goals, oracle.parts(heads), strict=True):
        if goal.confidence is not None:  # its own probability is set higher
            result.append(np.zeros(1))
            continue
        error = goal.errors(parts) * math.sqrt(oracle.replications / proof)
        level = np.full(goal.n_cells, goal.target.level)
        result.append(np.nan_to_num(float(ndtri(0.975)) * error * np.abs(goal.steepness(level))))
    return result


def _search_goal(goal: Goal, validation: int) -> Goal:
    """Return the goal that the search aims at: a probability high enough for its interval to reach the confidence."""
    if goal.confidence is None:
        return goal
    from dataclasses import replace

    p = goal.confidence
    windows = int(goal.codes.max()) + 1
    spread = float(ndtri(0.975)) * math.sqrt(p * (1 - p) / (validation * min(windows, 4)))
    return replace(goal, confidence=min(p + spread, 1 - (1 - p) / 3))


def _speaker(progress: Callable[[str], None] | bool | None) -> Callable[[str], None] | None:
    from bposim.simulate.run import show_progress

    if callable(progress):
        return progress
    return print if show_progress(progress) else None


def _line(say: Callable[[str], None], trail: list[dict[str, Any]], began: float) -> Callable[[Point | None], None]:
    def tell(best: Point | None) -> None:
        last = trail[-1]
        held = "none yet" if best is None else f"{best.cost:,.2f}"
        say(
            f"{time.monotonic() - began:6.1f} s  plan {last['plans']:4d}  cost {last['cost']:,.2f}  "
            f"{'holds' if last['worst'] >= 0 else 'misses'} ({last['worst']:+.3f})  best {held}"
        )

    return tell
