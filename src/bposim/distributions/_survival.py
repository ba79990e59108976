"""The Kaplan–Meier estimate of a duration that is often cut short (patience of the contacts that were answered)."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy import special

from bposim.errors import CalibrationError, ParameterError, parameter, require


def checked(durations: Any, observed: Any, caller: str) -> tuple[np.ndarray, np.ndarray]:
    """Return durations and flags as arrays, or raise one error that counts the bad rows."""
    t = np.array(durations, dtype=float).ravel()
    if observed is None:
        seen = np.ones(len(t), dtype=bool)
    else:
        flags = np.asarray(observed).ravel()
        if flags.dtype != bool and not np.all(np.isin(flags, (0, 1))):
            rule = "True (the end was seen) or False (cut short)"
            raise ParameterError(parameter("observed", caller, rule, flags[~np.isin(flags, (0, 1))][0]))
        seen = flags.astype(bool)
    problems = []
    if len(seen) != len(t):
        problems.append(f"{caller} got {len(t):,} durations and {len(seen):,} observed flags: give one flag each.")
    bad = np.flatnonzero(~(np.isfinite(t) & (t >= 0)))
    if len(bad):
        rows = ", ".join(f"{row:,}" for row in bad[:3]) + (", …" if len(bad) > 3 else "")
        problems.append(
            f"{len(bad):,} of {len(t):,} durations of {caller} are negative, missing or infinite (rows {rows}). "
            "Drop them; a duration that was cut short goes in with observed=False."
        )
    if not len(t):
        problems.append(f"{caller} got no durations.")
    require(problems, CalibrationError)
    return t, seen


def kaplan_meier(durations: Any, observed: Any = None, *, confidence: float = 0.95) -> pd.DataFrame:
    """Estimate P(duration > t) from durations of which some were cut short.

    Parameters
    ----------
    durations : array
        Seconds until the end, or until the observation stopped.
    observed : array of bool, optional
        False where the end was not seen (right-censored); None: all were seen. At equal times an end is taken to come
        before a cut.
    confidence : float
        Level of the interval.

    Returns
    -------
    DataFrame
        One row per distinct time: ``time, at_risk, events, survival, ci_low, ci_high``. The interval is pointwise,
        Greenwood's on the log(−log) scale; it is missing where survival is 0 or 1.

    Examples
    --------
    >>> km = kaplan_meier([1, 2, 3, 4, 5], [True, False, True, True, False])
    >>> km["survival"].round(4).tolist()
    [0.8, 0.8, 0.5333, 0.2667, 0.2667]
    >>> round(restricted_mean(km, 5), 6), km_median(km)
    (3.4, 4.0)
    """
    t, seen = checked(durations, observed, "kaplan_meier()")
    time, at_risk, events, survival = product_limit(t, seen)
    left = at_risk - events
    with np.errstate(divide="ignore", invalid="ignore"):
        spread = np.sqrt(np.cumsum(np.where(left > 0, events / (at_risk * left), np.inf))) / np.abs(np.log(survival))
        z = special.ndtri(0.5 + confidence / 2)
        inside = (survival > 0) & (survival < 1)
        low = np.where(inside, survival ** np.exp(z * spread), np.nan)
        high = np.where(inside, survival ** np.exp(-z * spread), np.nan)
    return pd.DataFrame(
        {"time": time, "at_risk": at_risk, "events": events, "survival": survival, "ci_low": low, "ci_high": high}
    )


def product_limit(t: np.ndarray, seen: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return distinct times, numbers at risk, events and the product-limit estimate."""
    time, index, counts = np.unique(t, return_inverse=True, return_counts=True)
    events = np.bincount(index, weights=seen, minlength=len(time)).astype(np.int64)
    at_risk = len(t) - np.cumsum(counts) + counts
    return time, at_risk, events, np.cumprod(1.0 - events / at_risk)


def restricted_mean(km: pd.DataFrame, until: float) -> float:
    """Return the mean of min(duration, until): the area under a Kaplan–Meier curve up to ``until`` seconds.

    Raises
    ------
    CalibrationError
        The curve ends, above 0, before ``until``: the data say nothing about the rest.
    """
    time, survival = km["time"].to_numpy(), km["survival"].to_numpy()
    if until > time[-1] and survival[-1] > 0:
        raise CalibrationError(
            f"The curve is known to {time[-1]:g} s and until={until:g} asks for more. Give until={time[-1]:g} or less."
        )
    inside = time < until
    edges = np.concatenate([[0.0], time[inside], [until]])
    return float(np.diff(edges) @ np.concatenate([[1.0], survival[inside]]))


def km_median(km: pd.DataFrame) -> float:
    """Return the smallest time at which survival is at most one half; ``nan`` when the curve stays above it."""
    reached = np.flatnonzero(km["survival"].to_numpy() <= 0.5 + 1e-12)
    return float(km["time"].to_numpy()[reached[0]]) if len(reached) else float("nan")
