"""How many agents each interval needs for a target."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, ParameterError, StabilityWarning, parameter, require
from bposim.optimise._demand import DEMANDS
from bposim.optimise._formulas import Goal
from bposim.optimise._levels import METHODS, METRICS, RULES
from bposim.optimise._rates import Rates
from bposim.optimise._skills import JOIN, able_groups, components, groups_of, type_sets
from bposim.optimise._work import Work
from bposim.optimise.validate import check_confidence
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target

#: Replications of the methods that simulate.
REPLICATIONS = 500
_TINY = 1e-9


@dataclass(frozen=True, eq=False)
class Requirement:
    """Agents needed in every interval, for every set of contact types that shares agents.

    Attributes
    ----------
    frame : DataFrame
        ``interval_start``; ``contact_types`` (joined by ``+``); ``agent_groups`` that count for them; ``contacts``
        expected; ``workload_erlangs`` that come; ``required`` agents present, net of shrinkage, whole; ``fractional``,
        the real number above required − 1 at which the target begins to be met; ``scheduled`` = required /
        (1 − shrinkage), real.
    target : Target or mapping of contact type to Target
    method, demand : str
    proof : DataFrame or None
        With ``confidence``: ``contact_types, contact_type, target, confidence, probability, ci_low, ci_high, status`` of
        each set on fresh replications, and how many.
    rounds : DataFrame or None
        With ``method="simulation"``: ``contact_types, round, largest_change, settled``.
    provenance : Provenance
    """

    frame: pd.DataFrame
    scenario: Scenario
    target: Any
    method: str
    provenance: Provenance
    volumes: Any = field(default=None, repr=False)
    demand: str = "sipp"
    proof: pd.DataFrame | None = field(default=None, repr=False)
    rounds: pd.DataFrame | None = field(default=None, repr=False)

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
                "fractional_hours": float((part["fractional"] * part["hours"]).sum()),
                "scheduled_hours": float((part["scheduled"] * part["hours"]).sum()),
            })  # fmt: skip
        return pd.DataFrame(rows)

    def by_set(self) -> dict[tuple[str, ...], np.ndarray]:
        """Return the agents required of each set of contact types over the grid."""
        names = self.frame.groupby("contact_types", sort=False)["required"]
        return {tuple(str(k).split(JOIN)): v.to_numpy(dtype=float) for k, v in names}

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
        from bposim.optimise.plots import plot_requirement

        return plot_requirement(self, ax)

    def __repr__(self) -> str:
        peaks = ", ".join(f"{r.contact_types} {r.required_peak}" for r in self.summary().itertuples())
        how = self.method if self.demand == "sipp" else f"{self.method}, {self.demand}"
        said = f"Requirement({self.target}, {how}: {len(self.scenario.grid)} intervals, peaks {peaks})"
        return "\n".join([said, *(f"  {line}" for line in self.notes)])

    @property
    def notes(self) -> tuple[str, ...]:
        """What simulation said of it, in sentences."""
        lines = []
        for row in () if self.rounds is None else self.rounds.groupby("contact_types", sort=False).tail(1).itertuples():
            what = "settled" if row.settled else "did not settle"
            lines.append(
                f"{row.contact_types}: {what} after {row.round} rounds, last change {row.largest_change} agents."
            )
        for row in () if self.proof is None else self.proof.itertuples():
            lines.append(
                f"{row.contact_types}: P({row.target}) {row.probability:.3f} ({row.ci_low:.3f} to {row.ci_high:.3f}) on "
                f"{row.replications} fresh replications: {row.status}."
            )
        return tuple(lines)

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
    demand: str | None = None,
    confidence: float | None = None,
    replications: int = REPLICATIONS,
    seed: int = 1,
) -> Requirement:
    """Find the least agents that reach a target, interval by interval.

    In expectation, over the day's busyness or the forecast's paths: Σ answered within / Σ offered; with ``confidence``
    so surely in its window. ``docs/design/optimise.md`` numbers every decision.

    Parameters
    ----------
    scenario : Scenario
    volumes : Forecast, Volumes frame or None
        None for the scenario's own expected contacts. With a column ``sample``, the paths are the uncertainty and the
        day factor is not applied again. Without it, real numbers are expectations with the day factor around them, and
        whole numbers one known future with nothing around it, as in :func:`bposim.simulate`.
    target : Target or mapping of contact type to Target
        One target is asked of every contact type (of its own, if it names one). ``ServiceLevel(0.9, within="0s")`` asks
        for a probability of delay of at most 0.1.
    method : {"erlang-a", "erlang-c", "mmng", "square-root", "simulation"}
        Exponential patience; none; each type's own law; the large-group limit of no abandonment; iterative staffing by
        simulation. Erlang A and C know ``queue_limit`` and ``trunks``, blocked contacts counting as missed.
    max_occupancy : float, optional
        Most of the agents' time on contacts; deferred work is planned at it, at 0.9 if None.
    min_heads : int
        Least agents present for each contact type while contacts of it come.
    day_factor : bool
        False takes the expected rate as certain.
    demand : {"sipp", "sipp-max", "lag", "lag-max", "mol"}, optional
        Which rate an interval is staffed for: its own mean or largest one; that of an interval earlier by the mean handle
        time; that of the offered load, which remembers the contacts that came before and, past the closing, the gap.
        None takes ``"mol"`` with ``method="simulation"``, where it is the beginning only, and ``"sipp"`` otherwise.
    confidence : float, optional
        Wanted probability that a window of the target meets it: ever higher expected levels are simulated until it is
        reached, and proven on fresh replications (``proof``).
    replications, seed : int
        For ``method="simulation"`` and ``confidence``.

    Returns
    -------
    Requirement
        ``.frame`` with ``interval_start, contact_types, agent_groups, contacts, workload_erlangs, required, fractional,
        scheduled``; ``.staffing()``, ``.summary()``, ``.plot()``.

    Raises
    ------
    ParameterError, OptimiseError
        An argument breaks its rule, a type has no group, a metric has no formula. All problems at once.

    Warns
    -----
    StabilityWarning
        With ``erlang-c``, where the scenario's own heads are fewer than the workload.
    SimulationWarning
        The iteration did not settle, or a confidence was not proven.

    References
    ----------
    Palm (1957); Halfin and Whitt (1981); Jennings, Mandelbaum, Massey and Whitt (1996); Green, Kolesar and Soares (2001);
    Garnett, Mandelbaum and Reiman (2002); Zeltyn and Mandelbaum (2005); Feldman, Mandelbaum, Massey and Whitt (2008).
    """
    if demand is None:
        demand = "mol" if method == "simulation" else "sipp"
    problems = _check_arguments(method, max_occupancy, min_heads, demand, confidence, replications)
    goals = _goals(scenario, target, method, problems)
    able = able_groups(scenario)
    problems += [
        f"contact type {t!r} can be taken by no agent group. Give one the skill, or list it in routing.preference."
        for t, groups in able.items()
        if not groups
    ]
    require([*dict.fromkeys(problems)], OptimiseError)  # types that share a target share what is wrong with it
    work = Work(scenario, Rates(scenario, volumes, day_factor), able, method=method, demand=demand)
    sets = type_sets(able)
    require(_limit_problems(work, sets), OptimiseError)
    proof = rounds = None
    if method == "simulation" or confidence is not None:
        from bposim.optimise._played import Played

        played = Played(work, volumes, goals, max_occupancy, min_heads, replications, seed, day_factor)
        found = {members: played.required(members, _asked(scenario, target), confidence) for members in sets}
        proof, rounds = played.proof, played.rounds
    else:
        found = {members: work.required(members, goals, max_occupancy, min_heads) for members in sets}
    if method == "erlang-c":
        _warn_unstable(scenario, able, work)
    frame = _frame(scenario, able, work, found)
    inputs = {
        "scenario": scenario.hash, "target": str(target), "method": method, "max_occupancy": max_occupancy,
        "min_heads": min_heads, "day_factor": day_factor, "rates": work.rates.source, "demand": demand,
    }  # fmt: skip
    if method == "simulation" or confidence is not None:
        inputs |= {"confidence": confidence, "replications": replications, "seed": seed}
    parents = tuple(p for p in (getattr(volumes, "provenance", None),) if isinstance(p, Provenance))
    provenance = Provenance("required_agents", inputs, parents)
    return Requirement(frame, scenario, target, method, provenance, volumes, demand, proof, rounds)


def _check_arguments(
    method: str, max_occupancy: Any, min_heads: Any, demand: str, confidence: Any, replications: Any
) -> list[str]:
    problems = []
    caller = "required_agents()"
    if method not in METHODS:
        problems.append(parameter("method", caller, f"one of {', '.join(METHODS)}", method))
    if max_occupancy is not None and not (isinstance(max_occupancy, int | float) and 0 < max_occupancy <= 1):
        problems.append(parameter("max_occupancy", caller, "a share above 0 and at most 1", max_occupancy))
    if not (isinstance(min_heads, int | np.integer) and min_heads >= 0):
        problems.append(parameter("min_heads", caller, "a whole number of at least 0", min_heads))
    if demand not in DEMANDS:
        problems.append(parameter("demand", caller, f"one of {', '.join(DEMANDS)}", demand))
    if isinstance(replications, bool) or not isinstance(replications, int | np.integer) or replications < 10:
        problems.append(parameter("replications", caller, "a whole number of at least 10", replications))
    return problems + check_confidence(confidence, caller)


def _limit_problems(work: Work, sets: list[tuple[str, ...]]) -> list[str]:
    """M/M/n+G has no formula for a limited queue."""
    live = [tuple(t for t in s if t not in work.deferred) for s in sets]
    if work.method != "mmng" or not any(s and work.limited(s) for s in live):
        return []
    return [
        "method 'mmng' knows no queue_limit and no trunks, which the scenario has. Write method=\"erlang-a\" for "
        'exponential patience, or method="simulation".'
    ]


def _asked(scenario: Scenario, target: Target | Mapping[str, Target]) -> dict[str, Target]:
    """Return the target that each contact type is asked."""
    if isinstance(target, Target):
        return {target.contact_type: target} if target.contact_type else dict.fromkeys(scenario.contact_types, target)
    return dict(target)


def _goals(scenario: Scenario, target: Any, method: str, problems: list[str]) -> dict[str, Goal]:
    """Return what each contact type must reach; types without a target are left out."""
    types = scenario.contact_types
    if not isinstance(target, Target) and not (
        isinstance(target, Mapping) and all(isinstance(t, Target) for t in target.values()) and target
    ):
        way = 'Write ServiceLevel(0.80, within="20s"), or a mapping of contact type to such.'
        raise ParameterError(parameter("target", "required_agents()", "a Target or a mapping to Targets", target, way))
    asked, goals = _asked(scenario, target), {}
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


def _frame(
    scenario: Scenario,
    able: dict[str, tuple[str, ...]],
    table: Work,
    found: dict[tuple[str, ...], tuple[np.ndarray, np.ndarray]],
) -> pd.DataFrame:
    parts = []
    for members, (need, real) in found.items():
        groups = groups_of(members, able)
        shrinkage = max(scenario.agent_groups[g].shrinkage for g in groups)
        parts.append(pd.DataFrame({
            "interval_start": scenario.grid.starts,
            "contact_types": JOIN.join(members),
            "agent_groups": JOIN.join(groups),
            "contacts": sum(table.contacts[t] for t in members),
            "workload_erlangs": sum(table.load[t] for t in members),
            "required": need,
            "fractional": real,
            "scheduled": need / (1 - shrinkage),
        }))  # fmt: skip
    order = np.concatenate([np.arange(len(scenario.grid))] * len(parts))
    frame = pd.concat(parts, ignore_index=True)
    return frame.iloc[np.argsort(order, kind="stable")].reset_index(drop=True)


def _warn_unstable(scenario: Scenario, able: dict[str, tuple[str, ...]], table: Work) -> None:
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
