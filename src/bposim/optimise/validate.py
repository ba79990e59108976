"""A plan proves itself on replications that no search has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.scenario import Scenario, Target
from bposim.scenario.target import scope
from bposim.simulate import simulate

if TYPE_CHECKING:
    from bposim.optimise.plan import ShiftPlan

#: Replications of a validation.
REPLICATIONS = 500


@dataclass(frozen=True, eq=False)
class Validation:
    """What simulation says of a plan.

    Attributes
    ----------
    frame : DataFrame
        ``target, confidence, probability, ci_low, ci_high, mean, met``; without a confidence the mean of the metric
        over the horizon has to reach the level, with its whole interval.
    met : bool
    replications, seed : int
    """

    frame: pd.DataFrame
    met: bool
    replications: int
    seed: int

    def __repr__(self) -> str:
        return f"Validation({'met' if self.met else 'not met'} on {self.replications} fresh replications)\n{self.frame.to_string(index=False)}"


def validate_plan(
    plan: ShiftPlan,
    scenario: Scenario,
    target: Target | Mapping[str, Target],
    *,
    confidence: float | None = None,
    volumes: Any = None,
    seed: int = 1,
    replications: int = REPLICATIONS,
) -> ShiftPlan:
    """Return the plan with its validation, and status ``met`` where simulation on fresh seeds agrees.

    Parameters
    ----------
    plan : ShiftPlan
    scenario : Scenario
    target : Target or mapping of contact type to Target
    confidence : float, optional
        Wanted probability that a window meets the target. None asks for the expected metric only: its interval must
        lie on the good side of the level.
    volumes : Forecast, Volumes frame or None
    seed, replications : int
        The seed is moved away from the one of the search.
    """
    from bposim.metrics import ratio_interval, windows
    from bposim.metrics.intervals import probability

    asked = {None: target} if isinstance(target, Target) else dict(target)
    fresh = seed + 1_000_003
    thresholds = sorted({t.within_s for t in asked.values() if t.within_s is not None})
    runs = simulate(
        scenario,
        volumes=volumes,
        staffing=plan.staffing,
        replications=replications,
        seed=fresh,
        within=thresholds,
        progress=False,
    )
    rows: list[tuple[Any, ...]] = []
    for contact_type, t in asked.items():
        kind = t.contact_type or contact_type
        options: dict[str, Any] = {
            "within": t.within_s, "counting": t.counting, "short": t.short_s, "strict": t.strict,
            "aggregation": t.aggregation, "pass_level": t.pass_level,
            "contact_type": scope(scenario, t.replace(contact_type=kind) if kind else t),
        }  # fmt: skip
        whole = windows(runs, t.metric, "all", **options)
        top, bottom = (whole[c].to_numpy()[:, None] for c in ("numerator", "denominator"))
        if np.isnan(top).all():  # a percentile has no numerator: the mean of the replications' values
            top, bottom = whole["value"].to_numpy()[:, None], np.ones((len(whole), 1))
        mean, low, high, _ = (float(v[0]) for v in ratio_interval(top, bottom, 0.95))
        if confidence is None:
            met = bool(low >= t.level if t.sense == ">=" else high <= t.level)
            rows.append((str(t), None, None, None, None, mean, met))
            continue
        values = windows(runs, t.metric, t.window, **options)
        values = values[values["value"].notna()]
        p, p_low, p_high = probability(values["value"].map(t.met), values["replication"])
        rows.append((str(t), confidence, p, p_low, p_high, mean, p >= confidence))
    frame = pd.DataFrame(rows, columns=["target", "confidence", "probability", "ci_low", "ci_high", "mean", "met"])
    met = bool(frame["met"].all())
    return plan.replace(status="met" if met else plan.status, validation=Validation(frame, met, replications, fresh))
