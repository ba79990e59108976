"""Estimates and how they are told: value, interval, n, estimated or assumed."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class Estimate:
    """One number of a calibration.

    Attributes
    ----------
    parameter : str
    subject : str
        Contact type or agent group, ``all`` where it is common.
    value, low, high : float
        Estimate and its 95 % interval; missing where none can be given.
    n : int
        Observations behind it.
    unit : str
    source : "estimated" or "assumed"
    detail : str
        How, and how well it fits, in plain words.
    """

    parameter: str
    subject: str
    value: float
    low: float = np.nan
    high: float = np.nan
    n: int = 0
    unit: str = ""
    source: str = "estimated"
    detail: str = ""


COLUMNS = ["parameter", "subject", "value", "ci_low", "ci_high", "n", "unit", "source", "detail"]


def estimate_frame(estimates: Iterable[Estimate]) -> pd.DataFrame:
    """Return estimates as a tidy frame."""
    rows = [(e.parameter, e.subject, e.value, e.low, e.high, e.n, e.unit, e.source, e.detail) for e in estimates]
    return pd.DataFrame(rows, columns=COLUMNS)


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return mean and Student's interval."""
    from scipy.special import stdtrit

    n = len(values)
    mean = float(np.mean(values)) if n else np.nan
    if n < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half
