"""Windows of time of a forecast, and what its methods take to name them."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require

WINDOWS = ("interval", "day", "week", "month", "all")


def window_codes(stamps: pd.DatetimeIndex, by: str) -> tuple[np.ndarray, pd.DatetimeIndex]:
    """Return the first interval of each window and its zone-aware start (local midnight; Monday for a week)."""
    if by == "interval":
        return np.arange(len(stamps)), stamps
    day = stamps.tz_localize(None).normalize()
    if by == "week":
        key = day - pd.to_timedelta(day.day_of_week, unit="D")
    elif by == "month":
        key = day - pd.to_timedelta(day.day - 1, unit="D")
    else:
        key = day if by == "day" else pd.DatetimeIndex([day[0]] * len(day))
    change = np.insert(np.asarray(key[1:] != key[:-1]), 0, True)
    first = np.flatnonzero(change)
    starts = pd.DatetimeIndex(key[first]).tz_localize(stamps.tz, ambiguous=True, nonexistent="shift_forward")
    return first, starts


def read_by(by: str, caller: str) -> None:
    """Refuse a window that there is not."""
    if by not in WINDOWS:
        raise ParameterError(parameter("by", caller, f"one of {', '.join(WINDOWS)}", by))


def read_levels(q: float | Iterable[float], caller: str) -> list[float]:
    """Return the levels of quantiles, each between 0 and 1."""
    levels = [float(v) for v in (q if isinstance(q, Iterable) else [q])]
    bad = [v for v in levels if not 0 <= v <= 1]
    require([parameter("q", caller, "between 0 and 1", v) for v in bad], ParameterError)
    return levels
