"""How many agents each interval needs for a target."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, ParameterError, StabilityWarning, parameter, require
from bposim.optimise._levels import METHODS, METRICS, RULES, Cases, Goal, least
from bposim.optimise._rates import Rates
from bposim.optimise._skills import JOIN, able_groups, at_slots, components, groups_of, type_sets
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target

#: Occupancy at which deferred work is planned when no cap is given.
DEFERRED_OCCUPANCY = 0.9
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Requirement:
    """Agents needed in every interval, for every set of contact types that shares agents.

    Attributes
    ----------
    frame : DataFrame
        ``interval_start``; ``contact_types`` (joined by ``+``); ``agent_groups`` that count for them; ``contacts``
        expected; ``workload_erlangs``; ``required`` agents present, net of shrinkage, whole; ``scheduled`` =
        required / (1 − shrinkage), real.
    target : Target or mapping of contact type to Target
    method : str
    provenance : Provenance
    """

    frame: pd.DataFrame
    scenario: Scenario
    target: Any
    method: str
    provenance: Provenance
    volumes: Any = field(default=None, repr=False)

    def summary(self) -> pd.DataFrame:
        """Return one row per set of contact types: peak, agent-hours, contacts and mean workload."""
        hours = dict(zip(self.scenario.grid.starts, self.scenario.grid.hours, strict=True))
        frame = self.frame.assign(hours=self.frame["interval_start"].map(hours))
        rows = []
        for name, part in frame.groupby("contact_types", sort=False):
            rows.append({
                "contact_types": name, "agent_groups": part["agent_groups"].iloc[0],
                "contacts": part["contacts"].sum(),
                "workload_hours": float((part["workload_erlangs"] * part["hours"]).sum()),
                "required_peak": int(part["required"].max()),
                "required_hours": float((part["required"] * part["hours"]).sum()),
                "scheduled_hours": float((part["scheduled"] * part["hours"]).sum()),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def staffing(self, *, solver: str | None = None) -> pd.DataFrame:
        """Return the fewest whole scheduled heads by group and interval that meet every row: a Staffing frame.

        Heads are scheduled heads: those present are heads × (1 − shrinkage). Shifts are not considered. Where a
        component has several groups a small integer program chooses among them, at each group's cost per hour.
        """
        scenario, grid = self.scenario, self.scenario.grid
        able = able_groups(scenario)
        wide = self.frame.pivot(index="interval_start", columns="contact_types", values="required")
        wide = wide.reindex(grid.starts)
        heads = {g: np.zeros(len(grid), dtype=int) for g in scenario.agent_groups}
        for part in components(able):
            groups = groups_of(part, able)
            sets = [s for s in type_sets(able) if set(s) <= set(part)]
            need = wide[[JOIN.join(s) for s in sets]].to_numpy(float)
            if len(groups) == 1:
                stay = 1 - scenario.agent_groups[groups[0]].shrinkage
                heads[groups[0]] += np.ceil(need.max(axis=1) / stay - _TINY).astype(int)
                continue
            patterns, back = np.unique(need, axis=0, return_inverse=True)
            found = np.array([_fewest(scenario, able, groups, sets, row, solver) for row in patterns])
            for k, g in enumerate(groups):
                heads[g] += found[back.ravel(), k]
        parts = [pd.DataFrame({"agent_group": g, "interval_start": grid.starts, "heads": h}) for g, h in heads.items()]
        return pd.concat(parts, ignore_index=True)

    def plot(self, ax: Any = None) -> Any:
        """Draw the requirement of every set of contact types over time; return the axes."""
        from bposim.optimise._figures import draw_requirement

        return draw_requirement(self, ax)

    def __repr__(self) -> str:
        peaks = ", ".join(f"{r.contact_types} {r.required_peak}" for r in self.summary().itertuples())
        return f"Requirement({self.target}, {self.method}: {len(self.scenario.grid)} intervals, peaks {peaks})"

    def _repr_html_(self) -> str:
        return f"<p>Requirement for <b>{self.target}</b> ({self.method})</p>{self.summary().to_html(index=False)}"


def required_agents(
    scenario: Scenario,
    volumes: Any = None,
    *,
    target: Target | Mapping[str, Target],
    method: str = "erlang-a",
    max_occupancy: float | None = None,
    min_heads: int = 0,
    day_factor: bool = True,
) -> Requirement:
    """Find the least agents that reach a target in expectation, interval by interval.

    The expectation is over the day's busyness or the forecast's paths: Σ answered within / Σ offered. Intervals are
    taken as queues in steady state. ``docs/design/optimise.md`` numbers every decision.

    Parameters
    ----------
    scenario : Scenario
    volumes : Forecast, Volumes frame or None
        None for the scenario's own expected contacts. With a column ``sample``, the paths are the uncertainty and the
        day factor is not applied again. Without it, real numbers are expectations with the day factor around them, and
        whole numbers one known future with nothing around it, as in :func:`bposim.simulate`.
    target : Target or mapping of contact type to Target
        One target is asked of every contact type (of its own, if it names one).
    method : {"erlang-a", "erlang-c", "square-root"}
    max_occupancy : float, optional
        Most of the agents' time on contacts; deferred work is planned at it, at 0.9 if None.
    min_heads : int
        Least agents present for each contact type while contacts of it come.
    day_factor : bool
        False takes the expected rate as certain.

    Returns
    -------
    Requirement
        ``.frame`` with ``interval_start, contact_types, agent_groups, contacts, workload_erlangs, required,
        scheduled``; ``.staffing()``, ``.summary()``, ``.plot()``.

    Raises
    ------
    ParameterError, OptimiseError
        An argument breaks its rule, a type has no group, a metric has no formula. All problems at once.

    Warns
    -----
    StabilityWarning
        With ``erlang-c``, where the scenario's own heads are fewer than the workload.

    References
    ----------
    Palm (1957); Halfin and Whitt (1981); Garnett, Mandelbaum and Reiman (2002).
    """
    problems = _check_arguments(method, max_occupancy, min_heads)
    goals = _goals(scenario, target, method, problems)
    able = able_groups(scenario)
    problems += [
        f"contact type {t!r} can be taken by no agent group. Give one the skill, or list it in routing.preference."
        for t, groups in able.items()
        if not groups
    ]
    require(problems, OptimiseError)
    rates = Rates(scenario, volumes, day_factor)
    table = _Work(scenario, rates, able)
    found = {}
    for members in type_sets(able):
        found[members] = _required(members, table, rates, goals, method, max_occupancy, min_heads)
    if method == "erlang-c":
        _warn_unstable(scenario, able, table)
    frame = _frame(scenario, able, table, found)
    inputs = {
        "scenario": scenario.hash, "target": str(target), "method": method, "max_occupancy": max_occupancy,
        "min_heads": min_heads, "day_factor": day_factor, "rates": rates.source,
    }  # fmt: skip
    parents = tuple(p for p in (getattr(volumes, "provenance", None),) if isinstance(p, Provenance))
    return Requirement(frame, scenario, target, method, Provenance("required_agents", inputs, parents), volumes)


def _check_arguments(method: str, max_occupancy: Any, min_heads: Any) -> list[str]:
    problems = []
    caller = "required_agents()"
    if method not in METHODS:
        problems.append(parameter("method", caller, f"one of {', '.join(METHODS)}", method))
    if max_occupancy is not None and not (isinstance(max_occupancy, int | float) and 0 < max_occupancy <= 1):
        problems.append(parameter("max_occupancy", caller, "a share above 0 and at most 1", max_occupancy))
    if not (isinstance(min_heads, int | np.integer) and min_heads >= 0):
        problems.append(parameter("min_heads", caller, "a whole number of at least 0", min_heads))
    return problems


def _goals(scenario: Scenario, target: Any, method: str, problems: list[str]) -> dict[str, Goal]:
    """Return what each contact type must reach; types without a target are left out."""
    types = scenario.contact_types
    if isinstance(target, Target):
        asked = {target.contact_type: target} if target.contact_type else dict.fromkeys(types, target)
    elif isinstance(target, Mapping) and all(isinstance(t, Target) for t in target.values()) and target:
        asked = dict(target)
    else:
        way = 'Write ServiceLevel(0.80, within="20s"), or a mapping of contact type to such.'
        raise ParameterError(parameter("target", "required_agents()", "a Target or a mapping to Targets", target, way))
    goals = {}
    metrics = ("service_level", "asa", "mean_wait") if method == "square-root" else METRICS
    for t, one in asked.items():
        if t not in types:
            problems.append(f"target names {t!r}, which is no contact type. Known: {', '.join(types)}.")
            continue
        if types[t].deferred:
            continue
        level = one.pass_level if one.aggregation.startswith("share_of") and one.pass_level is not None else one.level
        if one.metric not in metrics:
            problems.append(
                f"target '{one}' has no formula with method {method!r}. Known: {', '.join(metrics)}. "
                f"Staff by one of them, then simulate."
            )
        elif one.metric == "service_level" and one.counting not in RULES:
            problems.append(
                f"target '{one}' counts by {one.counting!r}, for which there is no formula. Known: {', '.join(RULES)}. "
                f"Staff by one of them, then simulate."
            )
        elif one.metric == "service_level" and not level < 1:
            problems.append(f"target '{one}' asks for everybody: no finite number of agents reaches it. Ask for 0.999.")
        elif one.metric != "service_level" and not level > 0:
            problems.append(f"target '{one}' asks for {one.metric} of 0, which no finite number of agents reaches.")
        else:
            goals[t] = Goal(one.metric, level, one.within_s, one.counting, one.sense)
    return goals


class _Work:
    """Handle time, patience and workload of each contact type over the grid."""

    def __init__(self, scenario: Scenario, rates: Rates, able: dict[str, tuple[str, ...]]) -> None:
        grid = scenario.grid
        self.seconds = grid.hours * 3600
        self.deferred = {t for t, c in scenario.contact_types.items() if c.deferred}
        self.handle, self.patience, self.contacts, self.load = {}, {}, {}, {}
        for t, c in scenario.contact_types.items():
            slower = np.mean([scenario.agent_groups[g].skills[t] for g in able[t]])
            after = at_slots(c.after_contact_work, grid.slot) if c.after_contact_work else 0.0
            self.handle[t] = (at_slots(c.handle_time, grid.slot) + after) * slower
            self.patience[t] = at_slots(c.patience, grid.slot)
            self.contacts[t] = rates.mean[t]
            work = rates.mean[t] * self.handle[t]
            if t in self.deferred:
                mask = scenario.open_mask(t)
                width = int(grid.day.max(initial=0)) + 1
                done = np.bincount(grid.day, work, width)
                open_s = np.bincount(grid.day, self.seconds * mask, width)
                level = np.divide(done, open_s, out=np.zeros(width), where=open_s > 0)
                self.load[t] = np.where(mask, level[grid.day], 0.0)
            else:
                self.load[t] = work / self.seconds

    def pool(self, members: tuple[str, ...], rates: Rates) -> Cases:
        """Return the pooled queue of some types in every interval."""
        total = sum(self.contacts[t] for t in members)
        safe = np.where(total > 0, total, 1.0)
        handle = sum(self.contacts[t] * self.handle[t] for t in members) / safe
        hazard = sum(self.contacts[t] / self.patience[t] for t in members) / safe
        first = self.handle[members[0]]
        patience = np.divide(1.0, hazard, out=np.full(len(first), math.inf), where=hazard > 0)
        classes = rates.classes(members) / self.seconds[:, None]
        return Cases(classes, np.where(total > 0, handle, first), patience)


def _required(
    members: tuple[str, ...], table: _Work, rates: Rates, goals: dict[str, Goal], method: str, cap: float | None,
    floor: int,
) -> np.ndarray:  # fmt: skip
    live = tuple(t for t in members if t not in table.deferred)
    result = np.zeros(len(table.seconds), dtype=int)
    if live:
        cases = table.pool(live, rates)
        asked: list[Goal | None] = list(dict.fromkeys(goals[t] for t in live if t in goals)) or [None]
        for goal in asked:
            result = np.maximum(result, least(cases, goal, method, cap))
    if len(live) < len(members):
        load = sum(table.load[t] for t in members)
        result = np.maximum(result, np.ceil(load / (cap or DEFERRED_OCCUPANCY) - _TINY).astype(int))
    if floor and len(members) == 1:
        comes = table.load[members[0]] > 0
        result = np.where(comes, np.maximum(result, floor), result)
    return result


def _frame(
    scenario: Scenario, able: dict[str, tuple[str, ...]], table: _Work, found: dict[tuple[str, ...], np.ndarray]
) -> pd.DataFrame:
    parts = []
    for members, need in found.items():
        groups = groups_of(members, able)
        shrinkage = max(scenario.agent_groups[g].shrinkage for g in groups)
        parts.append(pd.DataFrame({
            "interval_start": scenario.grid.starts,
            "contact_types": JOIN.join(members),
            "agent_groups": JOIN.join(groups),
            "contacts": sum(table.contacts[t] for t in members),
            "workload_erlangs": sum(table.load[t] for t in members),
            "required": need,
            "scheduled": need / (1 - shrinkage),
        }))  # fmt: skip
    order = np.concatenate([np.arange(len(scenario.grid))] * len(parts))
    frame = pd.concat(parts, ignore_index=True)
    return frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _warn_unstable(scenario: Scenario, able: dict[str, tuple[str, ...]], table: _Work) -> None:
    said, more = "", 0
    for members in type_sets(able):
        if set(members) & table.deferred:
            continue
        stay = {g: 1 - scenario.agent_groups[g].shrinkage for g in groups_of(members, able)}
        here = np.sum([scenario.scheduled_heads(g) * s for g, s in stay.items()], axis=0)
        load = np.sum([table.load[t] for t in members], axis=0)
        bad = np.flatnonzero((here > 0) & (load >= here))
        if not len(bad):
            continue
        k = bad[0]
        more += len(bad)
        said = said or (
            f"{scenario.grid.starts[k]:%a %H:%M} {JOIN.join(members)!r} offers {load[k]:.1f} Erlangs to {here[k]:g} "
            f'agents; with Erlang C the queue has no steady state. Use method="erlang-a" or simulate.'
        )
    if said:
        others = f" (The same holds for {more - 1} other intervals.)" if more > 1 else ""
        warnings.warn(said + others, StabilityWarning, stacklevel=3)


def _fewest(
    scenario: Scenario, able: dict[str, tuple[str, ...]], groups: tuple[str, ...], sets: list[tuple[str, ...]],
    need: np.ndarray, solver: str | None,
) -> list[int]:  # fmt: skip
    """Return the cheapest whole heads per group for one interval."""
    from bposim.optimise._lp import Model

    if not need.any():
        return [0] * len(groups)
    model = Model()
    prices = [scenario.agent_groups[g].cost_per_hour for g in groups]
    # The small addition makes fewer heads win between equal costs.
    column = {g: model.column((p if any(prices) else 1.0) + 1e-6) for g, p in zip(groups, prices, strict=True)}
    for members, wanted in zip(sets, need, strict=True):
        able_here = groups_of(members, able)
        stay = [1 - scenario.agent_groups[g].shrinkage for g in able_here]
        model.row([column[g] for g in able_here], stay, ">=", wanted - _TINY)
    found = model.solve(solver=solver, gap=1e-9)
    if found.values is None:
        raise OptimiseError(f"No heads found for the requirement {need.tolist()} of {', '.join(groups)}.")
    return [int(found.values[column[g]]) for g in groups]
