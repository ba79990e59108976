"""When an operation was open, as its contacts tell: opening hours, missing days, the grid of observed intervals."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.units import Grid, make_grid

Spans = dict[int, tuple[tuple[int, int], ...]]
#: A slot is open with at least this share of its weekday's busiest slots, contacts per day …
SHARE_OF_PEAK = 0.05
#: … on at least this share of the days on which the weekday's steadiest slot has contacts.
SHARE_OF_DAYS = 0.25
#: A weekday is open with at least this share of the busiest weekday's contacts per week.
SHARE_OF_WEEKDAY = 0.02
ALL_DAY: Spans = {d: ((0, 1440),) for d in range(7)}


def local_slots(times: pd.Series, slot_min: int) -> tuple[np.ndarray, np.ndarray]:
    """Return local day (days since 1970) and slot of the day of zone-aware times."""
    local = times.dt.tz_localize(None)
    seconds = local.to_numpy().astype("datetime64[s]").astype(np.int64)
    return seconds // 86400, seconds % 86400 // (60 * slot_min)


def weekday_of(day: np.ndarray) -> np.ndarray:
    """Return the weekday (Monday 0) of days since 1970."""
    return (day + 3) % 7


def infer_hours(day: np.ndarray, slot: np.ndarray, weight: np.ndarray, slot_min: int) -> Spans:
    """Return open spans by weekday in minutes.

    Parameters
    ----------
    day, slot : ndarray of int, shape (n,)
        Local day and slot of contacts, or of intervals with ``weight`` contacts.
    weight : ndarray, shape (n,)
    slot_min : int
        Length of a slot in minutes.

    Notes
    -----
    A few stray contacts open nothing: a slot needs both a share of its weekday's peak and a share of its days, a
    weekday a share of the busiest one's contacts per week. A single closed slot between two open ones is open.
    """
    slots = 1440 // slot_min
    spans: Spans = {d: () for d in range(7)}
    if not len(day) or not weight.sum():
        return spans
    weekday = weekday_of(day)
    weeks = len(np.unique((day + 3) // 7))
    volume = np.bincount(weekday, weight, 7) / weeks
    some = weight > 0
    cell = np.unique(np.stack([day[some], slot[some]]), axis=1)
    for d in np.flatnonzero(volume >= SHARE_OF_WEEKDAY * volume.max()):
        days = len(np.unique(day[some & (weekday == d)]))
        if days < SHARE_OF_DAYS * weeks and volume[d] < 0.5 * volume.max():
            continue
        mine = weekday == d
        mean = np.bincount(slot[mine], weight[mine], slots) / days
        present = np.bincount(cell[1][weekday_of(cell[0]) == d], minlength=slots) / days
        peak = np.quantile(mean[mean > 0], 0.9)
        is_open = (mean >= SHARE_OF_PEAK * peak) & (present >= SHARE_OF_DAYS * present.max())
        is_open[1:-1] |= is_open[:-2] & is_open[2:]
        edges = np.flatnonzero(np.diff(np.concatenate([[0], is_open.astype(int), [0]])))
        spans[int(d)] = tuple((int(a) * slot_min, int(b) * slot_min) for a, b in edges.reshape(-1, 2))
    return spans


def missing_days(days: np.ndarray, hours: Spans) -> tuple[date, ...]:
    """Return the days between the first and the last that have no contacts although their weekday is open."""
    if not len(days):
        return ()
    present = np.unique(days)
    absent = np.setdiff1d(np.arange(present[0], present[-1] + 1), present)
    is_open = np.array([bool(hours.get(d)) for d in range(7)])
    return tuple(date(1970, 1, 1) + timedelta(days=int(k)) for k in absent[is_open[weekday_of(absent)]])


def ranges_text(days: tuple[date, ...], most: int = 4) -> str:
    """Write days as ranges: ``"1999-01-11 to 1999-01-12, 1999-02-03"``."""
    if not days:
        return ""
    numbers = np.array([d.toordinal() for d in days])
    parts = np.split(numbers, np.flatnonzero(np.diff(numbers) > 3) + 1)
    names = [
        f"{date.fromordinal(int(p[0]))}" + (f" to {date.fromordinal(int(p[-1]))}" if len(p) > 1 else "") for p in parts[:most]
    ]
    return ", ".join(names) + (f" and {len(parts) - most} more stretches" if len(parts) > most else "")


def observed_grid(
    days: np.ndarray, zone: ZoneInfo, interval_s: float, hours: Spans, missing: tuple[date, ...]
) -> Grid:
    """Return the open intervals from the first observed day to the last, the missing days left out."""
    first = date(1970, 1, 1) + timedelta(days=int(days.min()))
    return make_grid(first, int(days.max() - days.min()) + 1, zone, interval_s, hours, missing)


def place(grid: Grid, times: Any) -> np.ndarray:
    """Return the index of the grid's interval in which each time lies, −1 outside."""
    stamps = pd.DatetimeIndex(times).tz_convert("UTC").as_unit("us").asi8
    # Floor, so that the last millisecond of an interval stays within it.
    ms = (stamps - grid.origin.tz_convert("UTC").as_unit("us").value) // 1000
    if not len(grid):
        return np.full(len(ms), -1, dtype=np.int64)
    k = grid.locate(ms)
    inside = (ms >= grid.start_ms[k]) & (ms < grid.end_ms[k])
    return np.where(inside, k, -1)


def load_centre(slot: np.ndarray, slots: int) -> tuple[float, float]:
    """Return the hour about which the day's contacts are centred, and how strongly (0 none to 1 all at once)."""
    angle = 2 * np.pi * (slot + 0.5) / slots
    x, y = np.cos(angle).mean(), np.sin(angle).mean()
    return float(np.arctan2(y, x) / (2 * np.pi) * 24 % 24), float(np.hypot(x, y))
