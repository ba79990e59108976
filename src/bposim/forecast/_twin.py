"""The least-squares twin of the day model: fast enough to test effects and to find days not to be learnt."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import pandas as pd
from scipy import stats

#: Share of false alarms per tested group of calendar effects.
LEVEL = 0.01
#: Robust standard deviations beyond which a day is masked.
OUTLIER = 4.5
#: Median contacts a day from which a day without contacts is taken for an outage.
BUSY = 50
#: Days, and share of days, from which days of many contacts in a quiet operation belong to it.
AGAIN, AGAIN_SHARE = 5, 0.02


def base_design(days: pd.DatetimeIndex, yearly: int) -> np.ndarray:
    """Return weekday, trend and season columns: what is always in the model."""
    t = ((days - days[0]).days.to_numpy()).astype(float)
    span = max(t[-1], 1.0)
    parts = [(days.day_of_week.to_numpy()[:, None] == np.unique(days.day_of_week)).astype(float)]
    knots = np.linspace(0, span * 0.9, int(np.clip(span // 42, 1, 30)) + 1)[:-1]
    parts.append(np.maximum(t[:, None] - knots, 0.0) / span)
    for j in range(1, yearly + 1):
        angle = 2 * np.pi * j * t / 365.25
        parts.append(np.column_stack([np.sin(angle), np.cos(angle)]))
    return np.column_stack(parts)


def screen(
    days: pd.DatetimeIndex,
    log_total: np.ndarray,
    candidates: pd.DataFrame,
    groups: dict[str, list[str]],
    yearly: int,
    given: np.ndarray | None = None,
    totals: np.ndarray | None = None,
) -> tuple[list[str], np.ndarray, list[str]]:
    """Return the groups of effects that the data show, the days to mask, and the tests in words.

    Parameters
    ----------
    log_total : ndarray, shape (n_days,)
        NaN on days masked already.
    candidates : DataFrame
        Candidate columns on ``days``.
    groups : dict of group to its columns
    given : ndarray, shape (n_days, n_given), optional
        Columns that the planner gave: kept without a test, and no day that they explain is masked.
    totals : ndarray, shape (n_days,), optional
        Contacts, where ``log_total`` is their logarithm: a day within what counting alone leaves is no outlier.
    """
    base = base_design(days, yearly)
    if given is not None:
        base = np.column_stack([base, given])
    ok = np.isfinite(log_total)
    every = {g: candidates[c].to_numpy() for g, c in groups.items()}
    for _ in range(3):
        design = np.column_stack([base, *every.values()]) if every else base
        if ok.sum() <= design.shape[1] + 3:
            design = base
        residual = log_total - design @ np.linalg.lstsq(design[ok], log_total[ok], rcond=None)[0]
        centre = np.median(residual[ok])
        spread = 1.4826 * np.median(np.abs(residual[ok] - centre))
        wild = np.isfinite(residual) & (np.abs(residual - centre) > OUTLIER * max(spread, 0.01))
        if totals is not None:
            wild &= strange(totals, log_total, residual)
        # A day that a fitted column of its own explains is no outlier; what is left is. At most one day in ten goes.
        if wild.sum() > 0.1 * len(days):
            wild &= np.abs(residual - centre) >= np.sort(np.abs(residual[wild] - centre))[-max(len(days) // 10, 1)]
        new = np.isfinite(log_total) & ~wild
        if (new == ok).all():
            break
        ok = new
    kept, words = list(groups), []
    # What is always in the model is projected out once; groups are then compared on a small Gram matrix.
    basis, diagonal = np.linalg.qr(base[ok])
    basis = basis[:, np.abs(np.diag(diagonal)) > 1e-9 * np.abs(diagonal).max()]
    names = [(g, c) for g in groups for c in groups[g]]
    owner = np.array([g for g, _ in names], dtype=object)
    x = candidates[[c for _, c in names]].to_numpy(dtype=float)[ok]
    x = x - basis @ (basis.T @ x)
    y = log_total[ok] - basis @ (basis.T @ log_total[ok])
    norm = np.sqrt((x**2).sum(axis=0))
    x = np.where(norm > 1e-6, x / np.maximum(norm, 1e-6), 0.0)
    gram, cross, square = x.T @ x, x.T @ y, float(y @ y)
    # One group at a time leaves, the least needed first.
    while kept:
        rss, rank = _explain(gram, cross, square, np.isin(owner, kept))
        df = len(y) - basis.shape[1] - rank
        p = {}
        for g in kept:
            rss0, rank0 = _explain(gram, cross, square, np.isin(owner, [k for k in kept if k != g]))
            extra = rank - rank0
            if extra < 1 or df < 3 or rss <= 1e-12 * square:
                p[g] = 1.0
            else:
                p[g] = float(stats.f.sf((rss0 - rss) / extra / (rss / df), extra, df))
        worst = max(p, key=lambda g: p[g])
        if p[worst] <= LEVEL:
            words = [f"{g} (F test, p {'< 0.001' if p[g] < 1e-3 else f'= {p[g]:.3f}'})" for g in kept]
            break
        kept.remove(worst)
    return kept, np.isfinite(log_total) & ~ok, words


def strange(totals: np.ndarray, logs: np.ndarray, residual: np.ndarray) -> np.ndarray:
    """Return the days whose contacts lie beyond what counting leaves of their fit.

    Notes
    -----
    ``2 √(y + 3/8)`` of a Poisson count has a standard deviation of about one (Anscombe 1948). Where few contacts a day are usual,
    days of many that come again and again are how such contacts come, and none is strange.
    """
    c = 1.0 if np.median(totals) < BUSY else 0.0
    mean = np.maximum(np.exp(np.nan_to_num(logs - residual)) - c, 0.0)
    gap = 2 * np.abs(np.sqrt(totals + 0.375) - np.sqrt(mean + 0.375))
    found = np.isfinite(residual) & (gap > OUTLIER)
    if c and found.sum() >= max(AGAIN, AGAIN_SHARE * len(totals)):
        return np.zeros_like(found)
    return np.asarray(found)


def smearing(totals: np.ndarray, fitted: np.ndarray, c: float) -> float:
    """Return Duan's smearing estimate for logs of (contacts + c): what makes an expectation of a median.

    Where days of few contacts are usual their spread is that of the operation, and the estimate is not limited.
    """
    ratio = float((totals + c).sum() / max(np.exp(fitted).sum(), 1e-9))
    return float(np.clip(ratio, 0.8, np.inf if c else 1.5))


@lru_cache(maxsize=4)
def _log_variances() -> tuple[np.ndarray, np.ndarray]:
    mean = np.geomspace(1e-3, 200, 120)
    y = np.arange(400)
    p = stats.poisson.pmf(y, mean[:, None])
    first = p @ np.log1p(y)
    return mean, p @ np.log1p(y) ** 2 - first**2


def counting(mean: np.ndarray, c: float) -> np.ndarray:
    """Return the variance of log(y + c) that Poisson counting alone gives."""
    if not c:
        return np.asarray(1 / np.maximum(mean, 0.5))
    grid, values = _log_variances()
    return np.where(mean > grid[-1], 1 / np.maximum(mean, 1.0), np.interp(mean, grid, values))


def _explain(gram: np.ndarray, cross: np.ndarray, square: float, use: np.ndarray) -> tuple[float, int]:
    """Return the residual sum of squares and the rank of a least-squares fit on some columns."""
    if not use.any():
        return square, 0
    values, vectors = np.linalg.eigh(gram[np.ix_(use, use)])
    good = values > 1e-8
    along = vectors[:, good].T @ cross[use]
    return max(square - float((along**2 / values[good]).sum()), 0.0), int(good.sum())
