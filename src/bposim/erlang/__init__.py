"""Exact queue formulas: Erlang B, C and A, M/M/n+G, M/M/n/K+M, the offered load of a varying rate, and the least number of agents for a target.

All arguments of a call share one time unit. Scalars give floats, arrays broadcast. Agents may be fractional. Any number
of agents and any load is answered without overflow; a queue without a steady state raises ``StabilityError``.
"""

from bposim.erlang._formulas import erlang_a, erlang_b, erlang_c, mmng, mmnkm
from bposim.erlang._measures import QueueMeasures
from bposim.erlang._offered import offered_load
from bposim.erlang._staffing import (
    allen_cunneen,
    least_agents,
    square_root_beta,
    square_root_p_wait,
    square_root_staffing,
)

__all__ = [
    "QueueMeasures",
    "allen_cunneen",
    "erlang_a",
    "erlang_b",
    "erlang_c",
    "least_agents",
    "mmng",
    "mmnkm",
    "offered_load",
    "square_root_beta",
    "square_root_p_wait",
    "square_root_staffing",
]
