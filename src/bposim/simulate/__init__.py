"""Replications of a scenario, and what they say."""

from bposim.simulate.compare import compare
from bposim.simulate.result import SimulationResult, contact_log
from bposim.simulate.run import Recipe, count, parallel, simulate, workers_of

__all__ = ["Recipe", "SimulationResult", "compare", "contact_log", "count", "parallel", "simulate", "workers_of"]
