"""The redial share from an interval report alone: do more contacts come after more abandonments than the day explains?"""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.errors import CalibrationError

#: Intervals after an abandonment in which its redial is looked for.
LAGS = 2
#: Half-width of the interval above which the report does not tell.
WIDEST = 0.25
FEWEST_DAYS = 20
WHAT = "redials in the next two intervals per abandonment"


def day_blocks(table: pd.DataFrame) -> list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Return ``(day, slot, offered, abandoned)`` of each unbroken run of intervals, from rows of one contact type."""
    at = pd.DatetimeIndex(table["interval_start"])
    order = np.argsort(at.asi8, kind="stable")
    at, offered, left = at[order], table["offered"].to_numpy(float)[order], table["abandoned"].to_numpy(float)[order]
    local = at.tz_localize(None) if at.tz is not None else at
    day = local.normalize()
    slot = ((local - day) / pd.Timedelta("1min")).to_numpy().astype(int)
    step = np.median(np.diff(at.as_unit("s").asi8)) if len(at) > 1 else 0
    new = np.append(True, (np.diff(at.as_unit("s").asi8) != step) | (day[1:] != day[:-1]))
    runs = np.split(np.arange(len(at)), np.flatnonzero(new)[1:])
    return [(day[r], slot[r], offered[r], left[r]) for r in runs if len(r) > 2 * LAGS + 2]


def fit_redials_from_report(history: Any) -> tuple[Estimate, ...]:
    """Estimate, for every contact type, how many of the abandonments come back one or two intervals later.

    Parameters
    ----------
    history : History
        Interval report with ``offered`` and ``abandoned``, or a contact log, which is counted.

    Returns
    -------
    tuple of Estimate
        A lower bound of the redial share: redials in the interval of the abandonment itself cannot be told from first
        attempts, nor can those that come later. Where the interval is wider than ± 0.25 it is not identifiable.

    Raises
    ------
    CalibrationError
        The report has no counts of abandonments.

    Notes
    -----
    Counts less their mean by weekday and slot are regressed on those of abandonments one and two intervals before, on
    offered contacts one and two before (busyness that lasts makes both), and on the profile times a factor of the day, which
    is projected out. The covariance is a sandwich over days, Student's quantile on the days. What makes abandonments
    alone vary, given the contacts, is staffing and handle times: that is what tells. In an overload a redial makes others
    abandon and redial: the estimate holds these too, and the lower end of its interval leaves them out.
    """
    table = history.intervals
    if "abandoned" not in table or table["abandoned"].notna().sum() == 0:
        raise CalibrationError("the report counts no abandonments: redials cannot be told from it.")
    return tuple(
        _one_type(str(t), rows.dropna(subset=["offered", "abandoned"]))
        for t, rows in table.groupby("contact_type", observed=True)
    )


def _one_type(name: str, table: pd.DataFrame) -> Estimate:
    from scipy.special import stdtrit

    blocks = day_blocks(table)
    n_days = len({d[0] for d, *_ in blocks})
    if n_days < FEWEST_DAYS:
        return Estimate(WHAT, name, np.nan, n=n_days, source="assumed", detail=f"not identifiable: only {n_days} days")
    frame = pd.DataFrame(
        {"run": np.repeat(np.arange(len(blocks)), [len(b[1]) for b in blocks]), "day": np.concatenate([b[0] for b in blocks]),
         "slot": np.concatenate([b[1] for b in blocks]), "n": np.concatenate([b[2] for b in blocks]),
         "a": np.concatenate([b[3] for b in blocks])}
    )  # fmt: skip
    cell = frame.groupby([frame["day"].dt.day_of_week, "slot"])
    size = cell["n"].transform("size").to_numpy()
    m = cell["n"].transform("mean").to_numpy()
    y, a = frame["n"].to_numpy() - m, (frame["a"] - cell["a"].transform("mean")).to_numpy()
    columns, seen = [], np.ones(len(frame), dtype=bool)
    run = frame["run"].to_numpy()
    for lag in range(1, LAGS + 1):
        for series in (a, y):
            moved = np.full(len(frame), np.nan)
            moved[lag:] = np.where(run[lag:] == run[:-lag], series[:-lag], np.nan)
            columns.append(moved)
        seen &= ~np.isnan(columns[-1])
    use = seen & (size > 2) & (m > 0)
    x = np.stack(columns, axis=1)[use]
    day = pd.factorize(frame["day"][use])[0]
    weight = 1 / m[use]  # Poisson counts: variance in proportion to the mean
    profile = m[use]

    def without_day(v: np.ndarray) -> np.ndarray:
        top, bottom = np.bincount(day, weight * profile * v), np.bincount(day, weight * profile**2)
        return v - profile * (top / bottom)[day]

    target = without_day(y[use])
    design = np.stack([without_day(x[:, k]) for k in range(x.shape[1])], axis=1)
    inverse = np.linalg.pinv(design.T @ (weight[:, None] * design))
    beta = inverse @ (design.T @ (weight * target))
    # The day's factor is a mean of errors that the lagged counts are made of: what that takes off the coefficients, to the
    # first order in 1 ÷ intervals a day, is put back (Nickell 1981).
    rest = target - design @ beta
    before = pd.Series(rest).groupby(day).cumsum().to_numpy() - rest
    beta = beta + inverse @ (x * (before / np.bincount(day, profile)[day])[:, None]).sum(axis=0)
    # Each further contact makes further abandonments in its own interval, and they redial as well: up to so much may the
    # coefficients lie above the share itself.
    induced = float(np.clip((weight * a[use] * y[use]).sum() / (weight * y[use] ** 2).sum(), 0.0, 1.0))
    score = design * (weight * (target - design @ beta))[:, None]
    by_day = np.stack([np.bincount(day, score[:, k]) for k in range(score.shape[1])])
    k = by_day.shape[1]
    covariance = inverse @ (by_day @ by_day.T) @ inverse * k / max(k - 1, 1)
    pick = np.zeros(len(beta))
    pick[0::2] = 1.0
    value, half = float(pick @ beta), float(stdtrit(max(k - 1, 1), 0.975) * np.sqrt(pick @ covariance @ pick))
    low, high = value - half, value + half
    low = low / (1 + induced) if low > 0 else low
    if half > WIDEST:
        text = f"not identifiable: ± {half:.2f}; abandonments vary too little for their own reasons"
    elif low > 0:
        text = f"more contacts follow more abandonments; {induced:.2f} abandonments per further contact are in the lower end"
    else:
        text = "no clear sign of redials in the next two intervals"
    return Estimate(WHAT, name, value, low, high, n_days, "share", "estimated", text)
