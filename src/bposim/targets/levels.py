"""Staffing plans from lean to lavish: the same operation planned for ever higher service."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.optimise import optimise_shifts, required_agents
from bposim.scenario import Scenario, Target
from bposim.scenario.target import make_target
from bposim.simulate import SimulationResult, simulate


@dataclass(frozen=True, eq=False)
class Level:
    """One staffing plan.

    Attributes
    ----------
    share : float
        Expected service level that every interval was planned for; nan for a plan given from outside.
    staffing : DataFrame
        Staffing frame.
    agent_hours, cost : float
        On the basis named by ``basis``.
    plan : ShiftPlan or None
        None where the scenario has no shifts.
    """

    share: float
    staffing: pd.DataFrame
    agent_hours: float
    cost: float
    plan: Any = None

    @property
    def basis(self) -> str:
        """What ``agent_hours`` and ``cost`` count: the paid hours of shifts, or scheduled heads, in which no break is."""
        return "paid hours" if self.plan is not None else "scheduled hours"


@dataclass(eq=False)
class Planner:
    """Makes staffing plans of one scenario, each once.

    Attributes
    ----------
    scenario : Scenario
    volumes : Forecast, Volumes frame or None
    within_s : float
        Acceptable waiting time to plan with.
    """

    scenario: Scenario
    volumes: Any
    within_s: float
    _made: dict[float, Level] = field(default_factory=dict)
    _runs: dict[tuple[int, int], SimulationResult] = field(default_factory=dict)
    _played: dict[tuple[float, int, int], SimulationResult] = field(default_factory=dict)

    def play(self, share: float, term: Target, *, replications: int, seed: int) -> SimulationResult:
        """Play the plan of a planned share; all plans meet the same contacts, which are drawn once.

        Paths that a proof needs are held out.
        """
        key = (round(share, 5), replications, seed)
        if key not in self._played:
            level = self.level(share)
            first = self._runs.get((replications, seed))
            if first is None:
                within = [w for w in (term.within_s, self.within_s) if w is not None]
                self._runs[replications, seed] = self._played[key] = simulate(
                    self.scenario, volumes=self.volumes, staffing=level.staffing, replications=replications, seed=seed,
                    progress=False, within=within, hold_out=True,
                )  # fmt: skip
            else:
                self._played[key] = first.restaffed(level.staffing)
        return self._played[key]

    def level(self, share: float) -> Level:
        """Plan every interval for an expected service level."""
        share = round(share, 5)
        if share not in self._made:
            target = planning_target(share, self.within_s)
            need = required_agents(self.scenario, self.volumes, target=target)
            if self.scenario.shifts:
                plan = optimise_shifts(need, self.scenario, validate=False, gap=0.01, time_limit=20.0)
                if plan.status in ("infeasible",):
                    self._made[share] = Level(share, plan.staffing, np.nan, np.nan, plan)
                else:
                    hours = float(plan.shifts["paid_hours"].sum())
                    self._made[share] = Level(share, plan.staffing, hours, float(plan.cost), plan)
            else:
                self._made[share] = cost_staffing(self.scenario, need.staffing(), share)
        return self._made[share]


def planning_target(share: float, within_s: float) -> Target:
    """Return the service level that an interval is planned for."""
    return make_target("service_level", {"share": share, "within": f"{within_s:g}s"}, caller="planning")


def hours_a_month(scenario: Scenario) -> float:
    """Return the scheduled agent-hours of a calendar month that the scenario's horizon touches."""
    hours = sum(float((scenario.scheduled_heads(g) * scenario.grid.hours).sum()) for g in scenario.agent_groups)
    return hours / int(scenario.grid.starts.tz_localize(None).to_period("M").nunique())


def left_out_note(scenario: Scenario, staffing: Any) -> str | None:
    """Return a sentence where a staffing leaves out groups that the scenario staffs: they have nobody."""
    if staffing is None:
        return None
    given = set(staffing["agent_group"] if isinstance(staffing, pd.DataFrame) else staffing)
    left = [g for g in scenario.agent_groups if g not in given and scenario.scheduled_heads(g).sum() > 0]
    if not left:
        return None
    return (
        f"The staffing given leaves out {', '.join(left)}, which the scenario staffs: taken as nobody there. "
        "Give their heads too, or 0 where that is meant."
    )


def cost_staffing(scenario: Scenario, staffing: Any = None, share: float = np.nan) -> Level:
    """Return a staffing (the scenario's own by default) with its agent-hours and cost."""
    staffed = scenario if staffing is None else scenario.with_staffing(staffing)
    hours = cost = 0.0
    for name, group in scenario.agent_groups.items():
        mine = float((staffed.scheduled_heads(name) * scenario.grid.hours).sum())
        hours += mine
        cost += mine * group.cost_per_hour
    return Level(share, staffed.staffing_frame(), hours, cost)
