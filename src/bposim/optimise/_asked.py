"""The question of a search for staffing, and the model and the first shifts that it leads to."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._skills import able_groups, groups_of
from bposim.optimise._start import free_heads, nearest_cover
from bposim.optimise._tours import tours
from bposim.optimise.plan import CONFLICTS, ShiftPlan
from bposim.optimise.requirement import required_agents
from bposim.optimise.shifts import plan_frames
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target

#: The solver may take ten seconds, and one more for so many columns (a step of a small problem less, ``STEP_S``).
COLUMNS_A_SECOND = 300


class Asked:
    """The question and the model it leads to."""

    def __init__(
        self, scenario: Scenario, target: Target | Mapping[str, Target], volumes: Any, confidence: float | None, each: str,
        max_heads: int | Mapping[str, int] | None, seed: int, solver: str | None, gap: float, until: float,
    ) -> None:  # fmt: skip
        self.scenario, self.target, self.volumes, self.confidence, self.each = (
            scenario, target, volumes, confidence, each,
        )  # fmt: skip
        self.max_heads, self.seed, self.until = max_heads, seed, until
        self.solver: dict[str, Any] = {"solver": solver, "gap": gap, "time_limit": 10.0, "seed": seed}
        self.able = able_groups(scenario)
        groups = groups_of(tuple(scenario.contact_types), self.able)
        self.tours = tours(scenario, groups, keep_all=True) if scenario.shifts else free_heads(scenario, groups)
        self.free = all(t.cost == 0 for t in self.tours)
        self.need: Any = None
        self.start: np.ndarray | None = None
        self.table: dict[tuple[str, ...], np.ndarray] = {}

    def model(self, *, elastic: bool = False) -> ShiftModel:
        """Return the model of the shifts and their limits; ``elastic`` ones give way at a price."""
        limits = Limits({}, None, 0.0, self.max_heads)
        return ShiftModel(self.scenario, self.able, self.tours, limits, free=self.free, elastic=elastic)

    def begin(self) -> None:
        """Find the requirement by formula, and the cover that comes nearest to it within the limits.

        It is only where the search begins: finite lines, which may put any level out of reach, are left to the simulation.
        """
        lines = {
            f"contact_types.{k}.queue_limit": None for k, t in self.scenario.contact_types.items() if t.queue_limit
        }
        endless = self.scenario.replace(lines | ({"trunks": None} if self.scenario.trunks else {}))
        self.need = required_agents(endless, self.volumes, target=self.target)
        dear = 50.0 * max((t.cost or t.paid_hours) for t in self.tours)
        self.table = self.need.by_set()
        shifts = self.model()
        self.solver["time_limit"] += len(shifts.model.cost) / COLUMNS_A_SECOND
        self.start = nearest_cover(shifts, self.table, dear, self.solver)

    def limited(self) -> bool:
        """Whether limits other than the shifts themselves bind."""
        return self.max_heads is not None or any(
            p.max_heads is not None or p.min_heads is not None for p in self.scenario.shifts.values()
        )

    def plan(self, model: ShiftModel, values: np.ndarray | None, status: str, **more: Any) -> ShiftPlan:
        """Return columns as a plan."""
        shifts, staffing, coverage = plan_frames(model, values, self.table)
        cost = math.nan if values is None else float(shifts["cost"].sum())
        value = math.nan if values is None else float(values @ np.array(model.model.cost))
        inputs = {"scenario": self.scenario.hash, "confidence": self.confidence, "each": self.each, "seed": self.seed}
        return ShiftPlan(
            status=status, cost=cost, objective="paid_hours" if self.free else "cost", value=value,
            bound=math.nan, gap=math.nan, shifts=shifts, staffing=staffing, coverage=coverage,
            conflicts=pd.DataFrame(columns=list(CONFLICTS)), need=self.need, solver=str(self.solver["solver"] or "highs"),
            provenance=Provenance("optimise_staffing", inputs, (self.need.provenance,)),
        ).replace(**more)  # fmt: skip
