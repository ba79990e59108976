"""Two engines, one answer: draws in, records out."""

from __future__ import annotations

from bposim.engines.draws import Draws, draw
from bposim.engines.life import ORIGINS, Exhausted
from bposim.engines.model import Model, build_model
from bposim.engines.policies import Policies, PolicyFault, View
from bposim.engines.records import Records
from bposim.engines.source import build_source, stream
from bposim.engines.state import State, lay_state
from bposim.errors import ParameterError, parameter

ENGINES = ("fast", "reference")

__all__ = [
    "ENGINES",
    "ORIGINS",
    "Draws",
    "Model",
    "Policies",
    "Records",
    "State",
    "View",
    "build_model",
    "build_source",
    "draw",
    "lay_state",
    "play",
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
    elif engine == "reference":
        from bposim.engines.reference import run
    else:
        raise ParameterError(parameter("engine", "simulate()", f"one of {', '.join(ENGINES)}", engine))
    while True:
        try:
            return run(model, draws).used()
        except PolicyFault as fault:
            assert model.policies is not None
            raise ParameterError(fault.sentence(model.policies)) from None
        except Exhausted as short:
            assert draws.again is not None
            draws = draws.again(short.pool)
