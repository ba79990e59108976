"""How many agents, on which shifts: requirement, shift plans and the bare cover model."""

from bposim.optimise.cover import CoverResult, cover
from bposim.optimise.plan import ShiftPlan
from bposim.optimise.requirement import Requirement, required_agents
from bposim.optimise.shifts import optimise_shifts
from bposim.optimise.staffing import optimise_staffing

__all__ = [
    "CoverResult",
    "Requirement",
    "ShiftPlan",
    "cover",
    "optimise_shifts",
    "optimise_staffing",
    "required_agents",
]
