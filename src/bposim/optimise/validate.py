"""A plan proves itself on replications that no search has seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pandas as pd

from bposim.scenario import Scenario, Target
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
    # Imported here: targets lies above, but what a window's probability is, is written once.
    from bposim.metrics import summary
    from bposim.metrics.summary import windows

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
        options: dict[str, Any] = {"within": t.within_s, "counting": t.counting, "short": t.short_s, "strict": t.strict,
                   "aggregation": t.aggregation, "pass_level": t.pass_level}  # fmt: skip
        by = "contact_type" if kind is not None and t.metric != "occupancy" else None
        table = summary(runs, by, t.metric, **options)
        row = table[table["contact_type"] == kind].iloc[0] if by else table.iloc[0]
        if confidence is None:
            met = bool(row.ci_low >= t.level if t.sense == ">=" else row.ci_high <= t.level)
            rows.append((str(t), None, None, None, None, row.value, met))
            continue
        values = windows(runs, t.metric, t.window, contact_type=kind, **options)
        values = values[values["value"].notna()]
        per = values["value"].map(t.met).groupby(values["replication"]).mean()
        p, error = float(per.mean()), float(per.std() / len(per) ** 0.5)
        rows.append((str(t), confidence, p, p - 1.96 * error, min(p + 1.96 * error, 1.0), row.value, p >= confidence))
    frame = pd.DataFrame(rows, columns=["target", "confidence", "probability", "ci_low", "ci_high", "mean", "met"])
    met = bool(frame["met"].all())
    return plan.replace(status="met" if met else plan.status, validation=Validation(frame, met, replications, fresh))
