"""A shift plan: what was found, or why nothing can be."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pandas as pd

from bposim.provenance import Provenance

if TYPE_CHECKING:
    from bposim.optimise.requirement import Requirement

SHIFTS = ("shift", "agent_group", "day", "date", "start", "end", "breaks", "heads", "paid_hours", "cost")
COVERAGE = ("interval_start", "contact_types", "required", "covered", "under", "over")
CONFLICTS = (
    "kind", "limit", "shift", "contact_type", "interval_start", "day", "agent_groups", "by_how_much", "message",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class ShiftPlan:
    """Heads on shifts, and what they cover.

    Attributes
    ----------
    status : "met", "optimal", "infeasible" or "stopped"
        ``met`` only after validation by simulation.
    cost : float
        Of the shifts, in the scenario's currency; nan without a plan.
    objective : str
        What was minimised: ``"cost"``, or ``"paid_hours"`` where every shift is free; prices of shortage and excess
        are added.
    value, bound, gap : float
        The objective's value, the least it can be, and their relative distance.
    shifts : DataFrame
        ``shift, agent_group, day`` (−1: the evening before), ``date, start, end, breaks, heads, paid_hours, cost``.
    staffing : DataFrame
        A Staffing frame: scheduled heads present during the whole interval, before shrinkage.
    coverage : DataFrame
        ``interval_start, contact_types, required, covered`` (net of shrinkage), ``under, over``. Of
        :func:`optimise_staffing` against the requirement by formula, where its search began and which binds nothing.
    conflicts : DataFrame
        Why it is infeasible: which limits, where, by how much.
    validation : object or None
        What simulation said; None until validated.
    trail : DataFrame or None
        Of :func:`optimise_staffing`: ``cost, worst, probability, plans, at`` of each plan played; ``worst`` is what the worst
        cell has beyond its level on the scale of the search, ``probability`` the share of windows that met the target on
        its draws (the least of several; nan without a confidence), ``at`` the seconds since its beginning.
    proofs : DataFrame or None
        Of :func:`optimise_staffing`: what each proof said, one row per target: ``proof, cost, replications`` and the columns
        of ``validation.frame``.
    notes : tuple of str
        What to know beside the figures: that the horizon holds no whole window of the target, why a search proved no plan, or
        that its time cut it.
    """

    status: str
    cost: float
    objective: str
    value: float
    bound: float
    gap: float
    shifts: pd.DataFrame
    staffing: pd.DataFrame
    coverage: pd.DataFrame
    conflicts: pd.DataFrame
    need: Any
    solver: str
    provenance: Provenance
    validation: Any = None
    trail: pd.DataFrame | None = None
    proofs: pd.DataFrame | None = None
    notes: tuple[str, ...] = ()

    def replace(self, **changes: Any) -> ShiftPlan:
        """Return a copy with other values."""
        return replace(self, **changes)

    def summary(self) -> pd.DataFrame:
        """Return one row: status, cost, bound, gap, heads, paid hours, shortage and excess, notes."""
        row = {
            "status": self.status, "cost": self.cost, "objective": self.objective, "value": self.value,
            "bound": self.bound, "gap": self.gap, "heads": int(self.shifts["heads"].sum()),
            "paid_hours": float(self.shifts["paid_hours"].sum()), "under": float(self.coverage["under"].sum()),
            "over": float(self.coverage["over"].sum()), "conflicts": len(self.conflicts), "solver": self.solver,
            "notes": " ".join(self.notes),
        }  # fmt: skip
        return pd.DataFrame([row])

    def plot(self, ax: Any = None, *, need: Requirement | None = None) -> Any:
        """Draw requirement and scheduled agents over time, shortage and excess shaded; return the axes.

        Parameters
        ----------
        need : Requirement, optional
            Another one to hold the schedule against, of the same scenario's intervals; None for that of ``coverage``.

        Raises
        ------
        ParameterError
            The requirement is of other groups or intervals.
        """
        from bposim.optimise.plots import plot_coverage

        return plot_coverage(self, ax, need)

    def plot_service(self, ax: Any = None, *, target: str | None = None) -> Any:
        """Draw a target's metric by interval, as the proof's replications had it; return the axes.

        Parameters
        ----------
        target : str, optional
            As ``validation.intervals`` names it; None for the first.

        Raises
        ------
        ParameterError
            The plan was not proven, or not against such a target.
        """
        from bposim.optimise.plots import plot_service

        return plot_service(self, ax, target)

    def plot_cost(self, ax: Any = None) -> Any:
        """Draw cost against probability: the plans played and proven, the confidence, the bound; return the axes.

        Raises
        ------
        ParameterError
            The plan comes from no search for a probability.
        """
        from bposim.optimise.plots import plot_cost

        return plot_cost(self, ax)

    def plot_shifts(self, ax: Any = None, *, day: int | None = None) -> Any:
        """Draw the shifts of a day as bars, their breaks as gaps, their heads as numbers; return the axes.

        Parameters
        ----------
        day : int, optional
            As in ``shifts``; None for the first of those with most agents.

        Raises
        ------
        ParameterError
            The plan has no such day.
        """
        from bposim.optimise.plots import plot_shifts

        return plot_shifts(self, ax, day)

    def __repr__(self) -> str:
        if self.status == "infeasible":
            first = self.conflicts["message"].iloc[0] if len(self.conflicts) else "no relaxation was found in time"
            return f"ShiftPlan(infeasible, {len(self.conflicts)} conflicts: {first})"
        heads = int(self.shifts["heads"].sum())
        gap = "no gap known" if math.isnan(self.gap) else f"gap {self.gap:.2%}"
        lines = [
            f"ShiftPlan({self.status}: cost {self.cost:,.2f}, {heads} shifts worked, "
            f"{self.shifts['paid_hours'].sum():,.1f} paid hours, {gap}, {self.solver})"
        ]
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        body = self.conflicts if self.status == "infeasible" else self.shifts
        return f"{self.summary().to_html(index=False)}{body.head(50).to_html(index=False)}"
