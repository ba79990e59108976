"""Distributions of durations: how they are written, asked, drawn, and fitted to censored data.

Values are seconds (floats). A distribution is a frozen value: equal by its numbers and hashable.
"""

from bposim.distributions._base import Distribution
from bposim.distributions._fit import Fit, fit, fit_best
from bposim.distributions._kinds import (
    deterministic,
    exponential,
    gamma,
    infinite,
    lognormal,
    uniform,
    weibull,
)
from bposim.distributions._mixtures import hyperexponential, mixture, with_zero
from bposim.distributions._spec import KINDS, day_factor, distribution
from bposim.distributions._survival import kaplan_meier, km_median, restricted_mean
from bposim.distributions._tables import empirical, piecewise_hazard

__all__ = [
    "KINDS",
    "Distribution",
    "Fit",
    "day_factor",
    "deterministic",
    "distribution",
    "empirical",
    "exponential",
    "fit",
    "fit_best",
    "gamma",
    "hyperexponential",
    "infinite",
    "kaplan_meier",
    "km_median",
    "lognormal",
    "mixture",
    "piecewise_hazard",
    "restricted_mean",
    "uniform",
    "weibull",
    "with_zero",
]
