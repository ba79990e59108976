"""Two engines, one answer: draws in, records out."""

from __future__ import annotations

from bposim.engines.draws import Draws, build_source, draw, read_volumes, stream
from bposim.engines.model import Model, build_model
from bposim.engines.reference import Records
from bposim.errors import ParameterError, parameter

ENGINES = ("fast", "reference")

__all__ = [
    "ENGINES",
    "Draws",
    "Model",
    "Records",
    "build_model",
    "build_source",
    "draw",
    "play",
    "read_volumes",
    "stream",
]


def play(model: Model, draws: Draws, engine: str = "fast") -> Records:
    """Play one replication.

    Parameters
    ----------
    engine : "fast" or "reference"
        Compiled, or SimPy; the records are the same.
    """
    if engine == "fast":
        from bposim.engines.fast import run

        return run(model, draws)
    if engine == "reference":
        from bposim.engines.reference import run as run_reference

        return run_reference(model, draws)
    raise ParameterError(parameter("engine", "simulate()", f"one of {', '.join(ENGINES)}", engine))
