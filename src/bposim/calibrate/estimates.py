"""Estimates and how they are told: value, interval, n, estimated or assumed."""

from __future__ import annotations

import shutil
import textwrap
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
        Estimate and its 95 % interval; missing where none can be given. A lower bound has an interval without upper end (inf).
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


class EstimateTable(pd.DataFrame):
    """A frame of estimates that prints whole: a line for each, its detail beneath. What is made from it is a plain frame."""

    def __repr__(self) -> str:
        if list(self.columns) != COLUMNS:
            return super().__repr__()
        rows = [
            (e.parameter, e.subject, _number(e.value), _interval(e.ci_low, e.ci_high), e.unit, f"{e.n:,}", e.source)
            for e in self.itertuples()
        ]
        head = ("parameter", "subject", "value", "95 % interval", "unit", "n", "source")
        wide = [max(len(r[k]) for r in [head, *rows]) for k in range(len(head))]
        right = (2, 3, 5)
        lines = [
            "  ".join(v.rjust(w) if k in right else v.ljust(w) for k, (v, w) in enumerate(zip(r, wide, strict=True))).rstrip()
            for r in [head, *rows]
        ]  # fmt: skip
        width = max(shutil.get_terminal_size((120, 24)).columns, 60)
        told = [textwrap.wrap(d, width, initial_indent="    ", subsequent_indent="    ") for d in self["detail"]]
        return "\n".join([lines[0], *(x for line, t in zip(lines[1:], told, strict=True) for x in (line, *t))])

    __str__ = __repr__

    def _repr_html_(self) -> str:
        with pd.option_context("display.max_colwidth", None, "display.max_rows", None):
            return pd.DataFrame(self).to_html(index=False, float_format=_number, na_rep="")


def _number(value: float) -> str:
    return f"{value:,.4g}" if np.isfinite(value) else ""


def _interval(low: float, high: float) -> str:
    if np.isfinite(low) and high == np.inf:
        return f"[{_number(low)}, ∞)"
    return f"[{_number(low)}, {_number(high)}]" if np.isfinite(low) and np.isfinite(high) else ""


def estimate_frame(estimates: Iterable[Estimate]) -> EstimateTable:
    """Return estimates as a tidy frame."""
    rows = [(e.parameter, e.subject, e.value, e.low, e.high, e.n, e.unit, e.source, e.detail) for e in estimates]
    return EstimateTable(rows, columns=COLUMNS)


def mean_interval(values: np.ndarray, confidence: float = 0.95) -> tuple[float, float, float]:
    """Return mean and Student's interval."""
    from scipy.special import stdtrit

    n = len(values)
    mean = float(np.mean(values)) if n else np.nan
    if n < 2:
        return mean, np.nan, np.nan
    half = float(stdtrit(n - 1, 0.5 + confidence / 2) * np.std(values, ddof=1) / np.sqrt(n))
    return mean, mean - half, mean + half


def jackknife_ratio(
    top: np.ndarray, bottom: np.ndarray, clusters: np.ndarray | None, freedom: int
) -> tuple[float, float, float]:
    """Return Σ top / Σ bottom with its interval by the delete-one jackknife on the logarithm.

    Parameters
    ----------
    top, bottom : ndarray, shape (n_days,)
    clusters : ndarray of int, optional
        What hangs together and is left out together; None leaves out one day at a time.
    freedom : int
        Degrees of freedom for Student's quantile where days are left out.

    Returns
    -------
    (float, float, float)
        ``(0, nan, nan)`` where the sum is not positive.
    """
    from scipy.special import stdtrit

    value = float(top.sum() / bottom.sum())
    if value <= 0:
        return 0.0, np.nan, np.nan
    if clusters is not None:
        top, bottom = np.bincount(clusters, top), np.bincount(clusters, bottom)
        freedom = len(top) - 1
    left_out = (top.sum() - top) / (bottom.sum() - bottom)
    spread = np.log(np.maximum(left_out, value * 1e-3))
    error = np.sqrt((len(top) - 1) / len(top) * ((spread - spread.mean()) ** 2).sum())
    width = float(stdtrit(max(freedom, 1), 0.975) * error)
    return value, float(value * np.exp(-width)), float(value * np.exp(width))


def correlation_interval(pairs: np.ndarray) -> tuple[float, float, float]:
    """Return the correlation of two columns with Fisher's interval."""
    n = len(pairs)
    if n < 5 or np.any(pairs.std(axis=0) == 0):
        return np.nan, np.nan, np.nan
    value = float(np.corrcoef(pairs.T)[0, 1])
    z, half = np.arctanh(np.clip(value, -0.999999, 0.999999)), 1.96 / np.sqrt(n - 3)
    return value, float(np.tanh(z - half)), float(np.tanh(z + half))
