"""The cheapest shifts that cover a requirement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, ParameterError, parameter, require
from bposim.optimise._conflicts import explain
from bposim.optimise._lp import check_solver
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._skills import JOIN, able_groups, groups_of
from bposim.optimise._tours import Tour, tours
from bposim.optimise.plan import CONFLICTS, COVERAGE, SHIFTS, ShiftPlan
from bposim.optimise.requirement import Requirement
from bposim.optimise.validate import check_confidence
from bposim.provenance import Provenance, content_hash
from bposim.scenario import Scenario, Target


def optimise_shifts(
    need: Requirement | pd.DataFrame,
    scenario: Scenario,
    *,
    target: Target | Mapping[str, Target] | None = None,
    confidence: float | None = None,
    validate: bool = True,
    under_cost: float | None = None,
    over_cost: float = 0.0,
    max_heads: int | Mapping[str, int] | None = None,
    seed: int = 1,
    solver: str | None = None,
    gap: float = 1e-4,
    time_limit: float | None = 60.0,
    progress: Callable[[int, int], Any] | None = None,
) -> ShiftPlan:
    """Find the cheapest heads on the scenario's shifts that cover a requirement.

    Parameters
    ----------
    need : Requirement or DataFrame
        Columns ``interval_start, contact_types, required`` (agents present, net of shrinkage).
    scenario : Scenario
        Its ``shifts`` are the patterns; its groups give skills, shrinkage and cost.
    target : Target or mapping, optional
        With ``validate``, the plan is simulated against it on fresh seeds, and only then may be ``met``.
    confidence : float, optional
        Wanted probability that a window meets the target; None validates the expected value only.
    validate : bool
    under_cost : float, optional
        Price of a missing agent-hour; None forbids shortage.
    over_cost : float
        Price of an agent-hour beyond the requirement.
    max_heads : int or mapping of agent group to int, optional
        Most heads present in any interval, in total or per group.
    seed : int
        Of the solver and of the validation.
    solver : {"highs", "cbc"}, optional
        None tries HiGHS, then CBC.
    gap : float
        Relative gap at which a plan counts as optimal.
    time_limit : float or None
        Seconds for the whole plan.
    progress : callable, optional
        Called with blocks done and blocks in all.

    Returns
    -------
    ShiftPlan
        An infeasible problem is a result: ``.status == "infeasible"`` and ``.conflicts`` names the limits.

    Raises
    ------
    OptimiseError, ParameterError
        The problem cannot be posed; all reasons at once.
    SolverError
        No solver is there.

    References
    ----------
    Dantzig (1954), set covering; Aykin (1996), breaks chosen implicitly.
    """
    problems = check_shifts(scenario) + check_limits(under_cost, over_cost, max_heads, scenario, "optimise_shifts()")
    problems += check_confidence(confidence, "optimise_shifts()")
    require(check_solver(solver, "optimise_shifts()"), ParameterError)
    able = able_groups(scenario)
    table = _read_need(need, scenario, able, problems)
    require(problems, OptimiseError)
    limits = Limits(table, under_cost, over_cost, max_heads)
    groups = groups_of(tuple(dict.fromkeys(t for members in table for t in members)), able)
    every = tours(scenario, groups, keep_all=max_heads is not None or over_cost > 0)
    free = all(t.cost == 0 for t in every)
    options: dict[str, Any] = {"solver": solver, "gap": gap, "time_limit": time_limit, "seed": seed}
    model = ShiftModel(scenario, able, every, limits, free=free)
    found = model.model.solve(**options, progress=progress)
    inputs = {
        "scenario": scenario.hash, "need": content_hash({JOIN.join(m): v.tolist() for m, v in table.items()}),
        "under_cost": under_cost, "over_cost": over_cost, "max_heads": max_heads, "seed": seed,
        "solver": found.solver, "gap": gap, "time_limit": time_limit,
    }  # fmt: skip
    parents = (need.provenance,) if isinstance(need, Requirement) else ()
    conflicts = pd.DataFrame(columns=list(CONFLICTS))
    if found.status == "infeasible":
        conflicts = explain(ShiftModel(scenario, able, every, limits, free=free, elastic=True), options)
    shifts, staffing, coverage = plan_frames(model, found.values)
    plan = ShiftPlan(
        status=found.status,
        cost=float("nan") if found.values is None else float(shifts["cost"].sum()),
        objective="paid_hours" if free else "cost",
        value=found.objective,
        bound=found.bound,
        gap=found.gap,
        shifts=shifts,
        staffing=staffing,
        coverage=coverage,
        conflicts=conflicts,
        need=need,
        solver=found.solver,
        provenance=Provenance("optimise_shifts", inputs, parents),
    )
    if target is None or not validate or found.values is None:
        return plan
    from bposim.optimise.validate import validate_plan

    volumes = need.volumes if isinstance(need, Requirement) else None
    return validate_plan(plan, scenario, target, confidence=confidence, volumes=volumes, seed=seed)


def check_shifts(scenario: Scenario) -> list[str]:
    """Return what is wrong with a scenario of which shifts are wanted."""
    if scenario.shifts:
        return []
    return [f"scenario {scenario.name!r} has no shifts. Add a section shifts: with at least one pattern."]


def check_limits(under_cost: Any, over_cost: Any, max_heads: Any, scenario: Scenario, caller: str) -> list[str]:
    """Return what is wrong with prices and caps."""
    problems = []
    if under_cost is not None and not under_cost >= 0:
        problems.append(parameter("under_cost", caller, "None or a price of at least 0", under_cost))
    if not over_cost >= 0:
        problems.append(parameter("over_cost", caller, "a price of at least 0", over_cost))
    caps = max_heads.values() if isinstance(max_heads, Mapping) else [] if max_heads is None else [max_heads]
    if not all(isinstance(c, int | np.integer) and not isinstance(c, bool) and c >= 0 for c in caps):
        problems.append(parameter("max_heads", caller, "whole numbers of at least 0", max_heads))
    for g in max_heads if isinstance(max_heads, Mapping) else ():
        if g not in scenario.agent_groups:
            known = ", ".join(scenario.agent_groups)
            problems.append(f"max_heads names {g!r}, which is no agent group. Known: {known}.")
    return problems


def _read_need(
    need: Any, scenario: Scenario, able: dict[str, tuple[str, ...]], problems: list[str]
) -> dict[tuple[str, ...], np.ndarray]:
    """Return the requirement of every set of contact types over the grid."""
    frame = need.frame if isinstance(need, Requirement) else need
    columns = ("interval_start", "contact_types", "required")
    if not isinstance(frame, pd.DataFrame):
        rule = f"a Requirement or a frame with columns {', '.join(columns)}"
        raise ParameterError(parameter("need", "optimise_shifts()", rule, type(need).__name__))
    if "contact_types" not in frame.columns and len(scenario.contact_types) == 1:
        frame = frame.assign(contact_types=next(iter(scenario.contact_types)))
    missing = [c for c in columns if c not in frame.columns]
    if missing:
        has = ", ".join(map(str, frame.columns))
        raise OptimiseError(f"need of optimise_shifts() has no column {missing[0]!r}. It has: {has}.")
    starts = pd.DatetimeIndex(frame["interval_start"])
    if starts.tz is None:
        raise OptimiseError("need of optimise_shifts() has times without a zone. Localise interval_start first.")
    required = frame["required"].to_numpy(float)
    if not (np.isfinite(required).all() and (required >= 0).all()):
        problems.append("column 'required' of need must be finite and at least 0.")
    place = pd.Index(scenario.grid.starts.tz_convert("UTC")).get_indexer(starts.tz_convert("UTC"))
    outside = (place < 0) & (required > 0)
    if outside.any():
        problems.append(
            f"need has {int(outside.sum())} rows outside the scenario's open intervals (first {starts[outside][0]}). "
            f"Give the scenario the start, days and interval of the requirement."
        )
    table: dict[tuple[str, ...], np.ndarray] = {}
    text = frame["contact_types"].astype(str).to_numpy()
    for name in dict.fromkeys(text):
        members = (name,) if name in able else tuple(name.split(JOIN))
        unknown = [t for t in members if t not in able]
        if unknown:
            problems.append(f"need names {unknown[0]!r}, which is no contact type. Known: {', '.join(able)}.")
            continue
        if not groups_of(members, able):
            problems.append(f"{name!r} can be taken by no agent group. Give one the skill.")
            continue
        rows = (text == name) & (place >= 0)
        values = np.zeros(len(scenario.grid))
        np.maximum.at(values, place[rows], required[rows])
        table[members] = values
    return table


def plan_frames(
    model: ShiftModel, values: np.ndarray | None, need: Mapping[tuple[str, ...], np.ndarray] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return shifts, staffing and coverage of a solution; empty frames without one.

    Coverage is of ``need``, None for that of the model.
    """
    scenario, grid = model.scenario, model.grid
    if values is None:
        staffing = pd.DataFrame({"agent_group": [], "interval_start": grid.starts[:0], "heads": np.empty(0, dtype=int)})
        return pd.DataFrame(columns=list(SHIFTS)), staffing, pd.DataFrame(columns=list(COVERAGE))
    rows = [_shift_row(scenario, tour, breaks, heads) for tour, breaks, heads in model.worked(values)]
    shifts = pd.DataFrame(rows, columns=list(SHIFTS))
    heads = model.staffed(values)
    staffing = pd.concat(
        [pd.DataFrame({"agent_group": g, "interval_start": grid.starts, "heads": h}) for g, h in heads.items()],
        ignore_index=True,
    )
    return shifts, staffing, coverage_of(scenario, heads, model.limits.need if need is None else need)


def coverage_of(
    scenario: Scenario, heads: Mapping[str, np.ndarray], need: Mapping[tuple[str, ...], np.ndarray]
) -> pd.DataFrame:
    """Return what scheduled heads, net of shrinkage, cover of the requirement of each set of contact types."""
    able, parts = able_groups(scenario), []
    for members, wanted in need.items():
        here = sum(
            (heads[g] * (1 - scenario.agent_groups[g].shrinkage) for g in groups_of(members, able)),
            np.zeros(len(scenario.grid)),
        )
        gap = np.round(here - wanted, 9)
        parts.append(pd.DataFrame({
            "interval_start": scenario.grid.starts, "contact_types": JOIN.join(members), "required": wanted,
            "covered": here, "under": np.maximum(-gap, 0.0), "over": np.maximum(gap, 0.0),
        }))  # fmt: skip
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COVERAGE))


def _shift_row(scenario: Scenario, tour: Tour, breaks: tuple[tuple[int, int], ...], heads: int) -> dict[str, Any]:
    def stamp(ms: int) -> pd.Timestamp:
        utc = scenario.grid.origin.tz_convert("UTC") + pd.Timedelta(milliseconds=ms)
        return utc.tz_convert(scenario.grid.zone)

    return {
        "shift": tour.pattern, "agent_group": tour.group, "day": tour.day,
        "date": scenario.start + timedelta(days=tour.day), "start": stamp(tour.begins), "end": stamp(tour.ends),
        "breaks": ", ".join(f"{stamp(a):%H:%M}-{stamp(b):%H:%M}" for a, b in breaks), "heads": heads,
        "paid_hours": heads * tour.paid_hours, "cost": heads * tour.cost,
    }  # fmt: skip
