"""Does the level move over the history? Straight lines through weekly means, as a diagnosis."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate

#: Weeks below which a trend is not told from chance.
FEWEST_WEEKS = 6
#: Risk of a sentence about a trend that is none.
RISK = 0.01


def weekly_trend(day: pd.DatetimeIndex, top: np.ndarray, bottom: np.ndarray) -> tuple[float, float, float, float, int]:
    """Return the relative change per week of Σ top / Σ bottom, in per cent, with interval, p and number of weeks.

    Parameters
    ----------
    day : DatetimeIndex
    top, bottom : ndarray
        By day; ``bottom`` is what the level is relative to, and its weight.

    Notes
    -----
    A weighted straight line through the logarithm of the weekly ratios, Student's interval with n − 2 degrees of
    freedom. Weeks are taken as independent, days of a week are not. A level that wanders rather than trends makes the
    interval too narrow.
    """
    from scipy.special import stdtr, stdtrit

    code = pd.factorize(day.to_period("W"), sort=True)[0]
    up, down = np.bincount(code, top), np.bincount(code, bottom)
    at = np.bincount(code, day.to_julian_date().to_numpy() * bottom) / np.where(down > 0, down, 1) / 7
    use = (up > 0) & (down > 0)
    n = int(use.sum())
    if n < FEWEST_WEEKS:
        return np.nan, np.nan, np.nan, np.nan, n
    x, y, w = at[use], np.log(up[use] / down[use]), down[use]
    x = x - (w @ x) / w.sum()
    slope = (w * x) @ y / ((w * x) @ x)
    rest = y - (w @ y) / w.sum() - slope * x
    error = np.sqrt((w @ rest**2) / (n - 2) / (w @ x**2))
    half = float(stdtrit(n - 2, 0.975) * error)
    flat = abs(slope) < 1e-12  # the same every week, but for the last digit
    p = 1.0 if flat else float(2 * stdtr(n - 2, -abs(slope) / error)) if error > 0 else 0.0
    value, low, high = (float(100 * np.expm1(v)) for v in (slope, slope - half, slope + half))
    return value, low, high, p, n


def drift_rows(
    days: pd.DataFrame, handled: Mapping[str, tuple[np.ndarray, np.ndarray]], heads: pd.DataFrame | None
) -> tuple[list[Estimate], list[str]]:
    """Return a trend per week of the contacts and the mean handle time of every type and of the agent-hours of every group.

    Parameters
    ----------
    days : DataFrame
        ``date, contact_type, contacts, expected, used``.
    handled : mapping of type to (days, handle times)
        Local day as nanoseconds or any datetime-like, and seconds, one of each per answered contact.
    heads : DataFrame or None
        ``date, agent_group, hours, expected``.
    """
    series: list[tuple[str, str, pd.DatetimeIndex, np.ndarray, np.ndarray]] = []
    for t, rows in days[days["used"]].groupby("contact_type", sort=False):
        when = pd.DatetimeIndex(rows["date"])
        series.append(("trend of contacts", str(t), when, rows["contacts"].to_numpy(), rows["expected"].to_numpy()))
    for t, (when, seconds) in handled.items():
        table = pd.DataFrame({"day": when, "s": seconds}).groupby("day")["s"].agg(["sum", "count"])
        index = pd.DatetimeIndex(table.index)
        series.append(("trend of mean handle time", t, index, table["sum"].to_numpy(), table["count"].to_numpy(float)))
    for g, rows in heads.groupby("agent_group", sort=False) if heads is not None else ():
        when = pd.DatetimeIndex(rows["date"])
        series.append(("trend of agent-hours", str(g), when, rows["hours"].to_numpy(), rows["expected"].to_numpy()))
    estimates, notes = [], []
    for what, name, when, top, bottom in series:
        value, low, high, p, n = weekly_trend(when, top, bottom)
        if not np.isfinite(value):
            continue
        clear = p < RISK
        said = f"straight line through {n} weekly levels; {'clear' if clear else 'no clear trend'} (p = {p:.2g})"
        estimates.append(Estimate(what, name, value, low, high, n, "% a week", "estimated", said))
        if clear:
            over = 100 * ((1 + value / 100) ** (n - 1) - 1)
            notes.append(
                f"The level drifts: {what.removeprefix('trend of ')} of {name!r} changed by {value:+.1f} % a week [{low:+.1f}, "
                f"{high:+.1f}], {over:+.0f} % over the history. The scenario holds the mean of the whole stretch, and intervals "
                "that take days as independent are too narrow."
            )
    return estimates, notes
