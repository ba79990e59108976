"""Does the mean handle time move over the day or the week? Judged on days held out, told by interval."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bposim.calibrate.estimates import Estimate

#: Standard errors by which means by interval must be better on days held out than one mean, and the spread that matters.
CLEARLY, MATTERS = 3.0, 0.02
FOLDS = 5
FEWEST_DAYS, FEWEST_CONTACTS = 20, 500


def handle_profile(
    values: np.ndarray, days: np.ndarray, part: np.ndarray, name: str, over: str
) -> tuple[Estimate, pd.DataFrame | None]:
    """Tell whether the mean handle time varies over parts of the day or of the week.

    Parameters
    ----------
    values : ndarray of float
        Handle times in seconds.
    days : ndarray
        Local day of each.
    part : ndarray of int
        Interval of the day or weekday of each; below 0 is left out.
    name : str
        The contact type.
    over : str
        What the parts are of: ``day`` or ``week``.

    Returns
    -------
    (Estimate, DataFrame or None)
        The spread (standard deviation over contacts) of the factors, and ``slot, n, mean_s, factor, error``; None where
        means by part are not clearly better than one mean on days held out.

    Notes
    -----
    A mean μ is judged by the likelihood of an exponential, −n log μ − Σ/μ, which any law's mean maximises. Factors are
    drawn towards 1 by what they err by: f = 1 + τ²/(τ² + e²)·(r − 1).
    """
    what = f"handle time spread over the {over}"
    use = part >= 0
    _, day = np.unique(np.asarray(days)[use], return_inverse=True)
    n_days, slots = int(day.max(initial=-1)) + 1, int(part.max(initial=0)) + 1
    if n_days < FEWEST_DAYS or use.sum() < FEWEST_CONTACTS or slots < 2:
        few = f"not estimated: {n_days} days with {int(use.sum())} contacts are too few"
        return Estimate(what, name, np.nan, n=int(use.sum()), source="assumed", detail=few), None
    code = day * slots + part[use]
    count = np.bincount(code, minlength=n_days * slots).reshape(n_days, slots).astype(float)
    total = np.bincount(code, values[use], minlength=n_days * slots).reshape(n_days, slots)
    cv = float(values[use].std() / values[use].mean())
    gain = np.zeros(n_days)
    for fold in range(FOLDS):
        held = np.arange(n_days) % FOLDS == fold
        factor, _, _, mean = _factors(count[~held], total[~held], cv)
        gain[held] = (-count[held] * np.log(factor) - total[held] / mean * (1 / factor - 1)).sum(axis=1)
    error = float(gain.std(ddof=1) * np.sqrt(n_days))
    factor, errors, spread2, mean = _factors(count, total, cv)
    spread = float(np.sqrt(max(spread2, 0.0)))
    without = np.array([_factors(np.delete(count, d, 0), np.delete(total, d, 0), cv)[2] for d in range(n_days)])
    half = float(stdtrit(n_days - 1, 0.975)) * np.sqrt((n_days - 1) / n_days * ((without - without.mean()) ** 2).sum())
    high = float(np.sqrt(max(spread2 + half, 0.0)))
    n = int(use.sum())
    if gain.sum() <= CLEARLY * error or spread < MATTERS:
        said = (
            f"none: means by {'interval' if over == 'day' else 'weekday'} are no better on days held out than one mean"
        )
        return Estimate(what, name, 0.0, 0.0, high, n, "share", "estimated", said), None
    low = float(np.sqrt(max(spread2 - half, 0.0)))
    said = f"factors from {factor.min():.2f} to {factor.max():.2f}, clearly better on days held out than one mean"
    frame = pd.DataFrame({"slot": np.arange(slots), "n": count.sum(0).astype(int), "mean_s": mean * factor,
                          "factor": factor, "error": errors})  # fmt: skip
    return Estimate(what, name, spread, low, high, n, "share", "estimated", said), frame


def _factors(count: np.ndarray, total: np.ndarray, cv: float) -> tuple[np.ndarray, np.ndarray, float, float]:
    """Return factors drawn towards 1, the errors of the raw ones, their variance beyond error, and the mean."""
    n, s = count.sum(0), total.sum(0)
    mean = float(s.sum() / n.sum())
    raw = np.divide(s, n * mean, out=np.ones(len(n)), where=n > 0)
    # Days within a slot are independent; the day's own level is common to its slots.
    level = total.sum(1, keepdims=True) / np.maximum(count.sum(1, keepdims=True) * mean, 1e-9)
    rest = total - count * mean * raw * level
    k = count.shape[0]
    errors = np.sqrt((rest**2).sum(0) * k / max(k - 1, 1)) / np.maximum(n * mean, 1e-9)
    # A slot seen on few days looks surer than single contacts can make it.
    errors = np.maximum(errors, cv / np.sqrt(np.maximum(n, 1)))
    weight = n / n.sum()
    variance = float(weight @ ((raw - 1) ** 2 - errors**2))
    kept = max(variance, 0.0)
    factor = np.where(n > 0, 1 + (raw - 1) * kept / np.maximum(kept + errors**2, 1e-12), 1.0).clip(0.05)
    return factor / float(weight @ factor), errors, variance, mean
