"""Hours of a staffing on three bases, so that a plan and today's agents are compared like with like."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bposim.scenario import Scenario
from bposim.targets.levels import Level


@dataclass(frozen=True)
class Hours:
    """Hours of a staffing over the horizon.

    Attributes
    ----------
    on_duty : float
        Net: heads × (1 − shrinkage) × length of the interval. What the simulation works with.
    scheduled : float
        Gross of shrinkage: on duty / (1 − shrinkage), group by group. Breaks are not in it.
    paid : float
        With breaks that are paid, and whatever of a shift lies outside the open intervals or the horizon.
    cost : float
        Of the paid hours, in the scenario's currency.
    breaks : float
        paid / scheduled.
    """

    on_duty: float
    scheduled: float
    paid: float
    cost: float

    @property
    def breaks(self) -> float:
        """Paid hours for each scheduled hour; nan where nobody is scheduled."""
        return self.paid / self.scheduled if self.scheduled else float("nan")


def hours_of(scenario: Scenario, level: Level, *, like: Hours | None = None, priced: Level | None = None) -> Hours:
    """Return the hours of a staffing; one that has shifts brings its own paid hours.

    Parameters
    ----------
    scenario : Scenario
    level : Level
        A staffing plan, or heads from outside.
    like, priced : Hours and its Level, optional
        A plan whose paid hours and cost for each scheduled hour are taken over where ``level`` has no shifts: heads on
        duty do not show which breaks were paid. None takes paid = scheduled.
    """
    on_duty, scheduled, wages = _present(scenario, level)
    if level.plan is not None:
        return Hours(on_duty, scheduled, level.agent_hours, level.cost)
    if like is None or priced is None or priced.plan is None or not like.scheduled:
        return Hours(on_duty, scheduled, scheduled, wages)
    their_wages = _present(scenario, priced)[2]
    return Hours(on_duty, scheduled, scheduled * like.breaks, wages * like.cost / their_wages if their_wages else wages)


def _present(scenario: Scenario, level: Level) -> tuple[float, float, float]:
    """Return hours on duty, scheduled hours and the wages of the scheduled hours."""
    staffed = scenario.with_staffing(level.staffing)
    on_duty = scheduled = wages = 0.0
    for name, group in scenario.agent_groups.items():
        mine = float(np.sum(staffed.scheduled_heads(name) * scenario.grid.hours))
        on_duty += mine * (1 - group.shrinkage)
        scheduled += mine
        wages += mine * group.cost_per_hour
    return on_duty, scheduled, wages


def compare_hours(today: Hours, plan: Hours, currency: str) -> list[str]:
    """Return sentences that put a staffing and a plan on one basis, and name it."""
    if not (today.paid and plan.paid):
        return []
    ratio = plan.paid / plan.on_duty if plan.on_duty else float("nan")
    return [
        f"like with like: the plan has {plan.paid:,.0f} paid hours ({plan.on_duty:,.0f} on duty) for {plan.cost:,.0f} {currency}, "
        f"this staffing {today.paid:,.0f} ({today.on_duty:,.0f} on duty) for {today.cost:,.0f} {currency}: "
        f"{plan.paid / today.paid - 1:+.1%}",
        explain_hours(ratio),
    ]


def explain_hours(ratio: float) -> str:
    """Return what the two kinds of hours are and how one becomes the other."""
    return (
        "on duty: agents present and available. Paid = on duty / (1 − shrinkage), and with paid breaks and what of a shift "
        f"lies outside the open hours: {ratio:.3f} paid hours for each hour on duty in the plan. Breaks and rates of the plan "
        "are taken for the other staffing too, whose heads do not show them."
    )
