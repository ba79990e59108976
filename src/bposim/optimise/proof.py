"""Every cell of a plan's goals proves itself on replications that no search has seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics import ratio_interval
from bposim.metrics.intervals import extreme_share, probability
from bposim.optimise._goals import Goal, level_of
from bposim.optimise._margins import HALF
from bposim.optimise.plan import ShiftPlan
from bposim.optimise.validate import EXPECTED, PROBABILITY, proven
from bposim.scenario import Scenario
from bposim.simulate import SimulationResult
from bposim.simulate.proof import PATIENCE, verdict

COLUMNS = (
    "target", "cell", "validated", "confidence", "probability", "ci_low", "ci_high", "mean", "status", "met",
)  # fmt: skip
#: Status of a cell in which no replication had a contact: nothing to keep, and nothing proven.
NOBODY = "no contacts"
#: Where a quantile falls short by nothing but is not proven, so much more is asked for, on the straight scale.
_NUDGE = 0.01


def prove_plan(
    plan: ShiftPlan, scenario: Scenario, goals: Sequence[Goal], *, volumes: Any, seed: int, replications: int,
    options: dict[str, Any], patience: int = PATIENCE, aims: Sequence[Goal] | None = None,
) -> ShiftPlan:  # fmt: skip
    """Return the plan with its validation, ``met`` where the interval of every cell reaches its level.

    Parameters
    ----------
    goals : sequence of Goal
        With the confidence that was asked for.
    seed : int
        Moved away from the one of the search.
    replications : int
        To begin with.
    patience : int
        Up to so many times as many while the answer is open.
    aims : sequence of Goal, optional
        What a search aims at, if not at the goals themselves: ``validation.reached`` is of these.

    Returns
    -------
    ShiftPlan
        ``validation.shortfall`` holds what each cell lacks on the straight scale, the interval's end included, and
        ``validation.reached`` what it came to.
    """
    lacks: list[np.ndarray] = []
    reached: list[tuple[np.ndarray, np.ndarray]] = []

    def judge(played: Sequence[SimulationResult]) -> list[tuple[Any, ...]]:
        lacks.clear()
        reached.clear()
        rows = []
        batch = np.concatenate([r.batch for r in played])
        for goal, aim in zip(goals, aims or goals, strict=True):
            pieces = [goal.parts(r) for r in played]
            parts = (np.concatenate([p[0] for p in pieces]), np.concatenate([p[1] for p in pieces]))
            judged = _windows if goal.confidence is not None else _cells
            found, lack, error = judged(goal, aim, parts, batch, scenario)
            rows += found
            lacks.append(lack)
            reached.append((aim.values(parts), error))
        return rows

    checked = proven(
        plan, scenario, goals, judge, COLUMNS,
        volumes=volumes, seed=seed, replications=replications, options=options, patience=patience,
    )  # fmt: skip
    return checked.replace(validation=replace(checked.validation, shortfall=tuple(lacks), reached=tuple(reached)))


def _cells(
    goal: Goal, aim: Goal, parts: tuple[np.ndarray, np.ndarray], batch: np.ndarray, scenario: Scenario
) -> tuple[list[tuple[Any, ...]], np.ndarray, np.ndarray]:
    """Judge the expected value of each cell; return rows, what each lacks, and its standard error."""
    n = goal.n_cells
    inside = np.zeros((len(goal.codes), n))
    inside[np.arange(len(goal.codes)), goal.codes] = 1.0
    top, bottom = (part @ inside for part in parts)
    mean, low, high, n_runs = ratio_interval(top, bottom, 0.95, batch)
    if goal.is_share:  # a share of exactly 0 or 1 has no spread, which proves nothing
        runs_seen = np.array([len(np.unique(batch[bottom[:, c] > 0])) for c in range(n)])
        low, high = extreme_share(mean, low, high, np.where(n_runs > 1, runs_seen, 0), 0.95)
    t = goal.target
    starts = scenario.grid.starts[np.unique(goal.codes, return_index=True)[1]]
    seen = np.isfinite(mean)
    rows: list[tuple[Any, ...]] = []
    for c in range(n):
        said = verdict(float(low[c]), float(high[c]), t.level, t.sense) if seen[c] else NOBODY
        cell = "" if n == 1 else f"{starts[c]:%Y-%m-%d %H:%M}"
        rows.append((goal.label, cell, EXPECTED, None, None, float(low[c]), float(high[c]), float(mean[c]), said, said in ("met", NOBODY)))  # fmt: skip
    end = low if goal.sign > 0 else high
    lack = np.where(seen, level_of(goal) - goal.straight(np.where(seen, end, t.level)), 0.0)
    return rows, np.maximum(lack, 0.0), np.where(seen, (high - low) / (2 * HALF), np.nan)


def _windows(
    goal: Goal, aim: Goal, parts: tuple[np.ndarray, np.ndarray], batch: np.ndarray, scenario: Scenario
) -> tuple[list[tuple[Any, ...]], np.ndarray, np.ndarray]:
    """Judge the probability that a window meets the target; return its row, what it lacks, and the error of the aim's quantile.

    Where replications share a path the error grows as the probability's interval does.
    """
    top, bottom = goal.by_window(parts)
    seen = bottom > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = top / bottom
    rep, _ = np.nonzero(seen)
    met = pd.Series((goal.sign * (ratio[seen] - goal.target.level)) >= 0)
    p, low, high = probability(met, pd.Series(batch[rep]))
    assert goal.confidence is not None
    said = verdict(low, high, goal.confidence)
    mean = float(top.sum() / bottom.sum()) if bottom.sum() else np.nan
    row = (goal.label, "", PROBABILITY, goal.confidence, p, low, high, mean, said, said == "met")
    short = np.zeros(1)
    if said != "met":
        short = np.maximum(level_of(goal) - goal.straight(goal.values(parts)), 0.0) + _NUDGE
    _, alone_low, alone_high = probability(met, pd.Series(rep))
    wider = (high - low) / (alone_high - alone_low) if alone_high > alone_low else 1.0
    return [row], short, wider * aim.errors(parts)
