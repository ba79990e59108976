"""What a reader of a plan must know beside its figures: what its windows are, and how its search ended."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics import Counts, no_whole_window
from bposim.optimise._goals import Goal
from bposim.optimise.plan import ShiftPlan
from bposim.optimise.validate import PROBABILITY
from bposim.scenario import Scenario, Target


def cut_windows(scenario: Scenario, targets: Iterable[Target], confidence: float | None) -> tuple[str, ...]:
    """Return a sentence for each kind of window of which the horizon holds no whole one."""
    grid = scenario.grid
    first, last = (pd.Timestamp(scenario.start + timedelta(days=d)) for d in (0, scenario.days - 1))
    horizon = Counts(grid.starts, grid.hours, (), {}, days=(first, last))
    said = (
        no_whole_window(horizon, window, scenario.days, sure=confidence is not None)
        for window in dict.fromkeys(t.window for t in targets)
    )
    return tuple(s for s in said if s is not None)


def how_it_ended(
    plan: ShiftPlan, goals: Sequence[Goal], *, played: int, proofs: int, cut: bool, interrupted: bool
) -> tuple[str, ...]:
    """Return why a search has no proven plan, or why there may be a cheaper one."""
    spent = f"{_count(played, 'plan')} played and {_count(proofs, 'proof')}"
    why = "was interrupted" if interrupted else "was cut by its time limit" if cut else "came to its end"
    if plan.status == "met":
        if not (cut or interrupted):
            return ()
        gap = "; gap is to an estimate" if np.isfinite(plan.gap) else ""
        return (f"The search {why} after {spent}: a cheaper plan may keep the target{gap}.",)
    way = "Give it more time" if interrupted else "Give it a longer time_limit" if cut else "Ask for less"
    return (f"No plan was proven: the search {why} after {spent}. {_nearest(plan, goals)}{way}, or raise the limits.",)


def _nearest(plan: ShiftPlan, goals: Sequence[Goal]) -> str:
    """Say what the plan that came nearest reached."""
    checked = plan.validation
    if checked is None:
        return ""
    if checked.met:
        return f"The nearest, at {plan.cost:,.2f}, keeps the target but not the limits on heads. "
    missed = checked.frame[~checked.frame["met"].astype(bool)]
    goal_of = {g.label: g for g in goals}
    told = [(*_lacking(row, goal_of[row.target]), row) for row in missed.itertuples()]
    _, said, worst = max(told, key=lambda t: t[0])
    where = f" at {worst.cell}" if worst.cell else ""
    others = f" (and {_count(len(told) - 1, 'other')} missed)" if len(told) > 1 else ""
    return f"The nearest, at {plan.cost:,.2f}, reached {said} of {worst.target}{where}: {worst.status}{others}. "


def _lacking(row: Any, goal: Goal) -> tuple[float, str]:
    """Return how far a row of a validation is from what was asked, and what it reached in words."""
    if row.validated == PROBABILITY:
        ends = f"[{row.ci_low:.3f}, {row.ci_high:.3f}]"
        return (
            row.confidence - row.ci_low,
            f"probability {row.probability:.3f} {ends} where {row.confidence:g} is asked",
        )
    factor, unit, digits = (100, " %", 1) if goal.is_share else (1, " s", 1)
    mean, low, high = (f"{factor * x:.{digits}f}" for x in (row.mean, row.ci_low, row.ci_high))
    end = row.ci_low if goal.sign > 0 else row.ci_high
    return goal.sign * (goal.target.level - end), f"{mean}{unit} [{low}, {high}]"


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'s' * (n != 1)}"
