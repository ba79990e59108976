"""What could be promised, against what it costs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import parameter
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.simulate.run import show_progress
from bposim.targets.assess import check_question, planning_threshold
from bposim.targets.levels import Level, Planner
from bposim.targets.probability import attainable, probability, window_values

#: Expected service levels at which plans are made, lean to lavish.
SHARES = (0.50, 0.62, 0.72, 0.80, 0.86, 0.90, 0.94, 0.97, 0.985, 0.995)


@dataclass(frozen=True, eq=False)
class Frontier:
    """Plans from lean to lavish with what each could promise.

    Attributes
    ----------
    frame : DataFrame
        ``planned_share, agent_hours, cost, mean, attainable, attainable_low, attainable_high, probability, ci_low,
        ci_high``, by cost.
    levels : tuple of Level
    """

    term: Target
    confidence: float
    frame: pd.DataFrame
    levels: tuple[Level, ...]
    currency: str
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the frontier's frame."""
        return self.frame

    @property
    def bracket(self) -> tuple[float, float] | None:
        """Planned shares next to each other of which the leaner fails the term and the dearer one meets it."""
        good = self.frame["probability"] >= self.confidence
        if not good.any() or good.iloc[0]:
            return None
        k = int(good.to_numpy().argmax())
        return float(self.frame["planned_share"].iloc[k - 1]), float(self.frame["planned_share"].iloc[k])

    def plot(self, ax: Any = None) -> Any:
        """Draw attainable level and probability against cost; returns ``ax``."""
        from bposim.targets.plots import plot_frontier

        return plot_frontier(self, ax)

    def __repr__(self) -> str:
        shown = self.frame.to_string(index=False, float_format=lambda x: f"{x:,.3f}")
        return f"Frontier of {self.term} at {100 * self.confidence:.4g} %\n{shown}"

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def levels_rule(levels: Any, caller: str, *, none: bool = False) -> list[str]:
    """Return what is wrong with a number of plans; ``none`` allows None."""
    if (none and levels is None) or (
        isinstance(levels, int) and not isinstance(levels, bool) and 2 <= levels <= len(SHARES)
    ):
        return []
    return [parameter("levels", caller, f"{'None or ' if none else ''}between 2 and {len(SHARES)}", levels)]


def attainable_frontier(
    scenario: Scenario,
    term: Target,
    *,
    volumes: Any = None,
    confidence: float = 0.95,
    levels: int = 8,
    replications: int = 300,
    seed: int = 1,
    progress: bool | None = None,
    _planner: Planner | None = None,
) -> Frontier:
    """Return what could be promised at each of several staffing levels.

    Parameters
    ----------
    scenario : Scenario
    term : Target
        Its metric, threshold, counting rule and window; its level is what ``probability`` refers to.
    volumes : Forecast, Volumes frame or None
    confidence : float
        At which a level counts as attainable.
    levels : int
        Number of plans, 2 to 10.
    replications, seed : int
        Every plan meets the same luck.
    progress : bool, optional

    Returns
    -------
    Frontier

    Raises
    ------
    ParameterError
        An argument is outside its rule.
    """
    caller = "attainable_frontier()"
    check_question(caller, scenario, confidence, replications, term, seed=seed, more=levels_rule(levels, caller))
    planner = _planner or Planner(scenario, volumes, planning_threshold(scenario, term))
    chosen = [SHARES[round(k)] for k in np.linspace(0, len(SHARES) - 1, levels)]
    bar: Any = chosen
    if show_progress(progress):
        from tqdm.auto import tqdm

        bar = tqdm(chosen, desc="frontier", leave=False, delay=1.0)
    rows, plans = [], []
    for share in bar:
        level = planner.level(share)
        if np.isnan(level.cost):
            continue
        values = window_values(planner.play(share, term, replications=replications, seed=seed), term)
        p, low, high = probability(values["value"].map(term.met), values["batch"])
        best = attainable(values, term, confidence, seed=seed)
        rows.append((share, level.agent_hours, level.cost, float(values["value"].mean()), *best, p, low, high))
        plans.append(level)
    frame = pd.DataFrame(
        rows,
        columns=["planned_share", "agent_hours", "cost", "mean", "attainable", "attainable_low", "attainable_high",
                 "probability", "ci_low", "ci_high"],
    ).sort_values("cost", ignore_index=True)  # fmt: skip
    made = Provenance(
        "attainable_frontier",
        {
            "scenario": scenario.hash,
            "term": term.to_spec(),
            "confidence": confidence,
            "replications": replications,
            "seed": seed,
        },
    )
    return Frontier(term, confidence, frame, tuple(plans), scenario.currency, made)
