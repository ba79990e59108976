"""How many agents, on which shifts: requirement, shift plans and the bare cover model."""

from bposim.optimise.cover import CoverResult, cover
from bposim.optimise.requirement import Requirement, required_agents

__all__ = ["CoverResult", "Requirement", "cover", "required_agents"]
