"""When an operation was open, as its contacts tell: opening hours, missing days, the grid of observed intervals."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.units import make_grid

Spans = dict[int, tuple[tuple[int, int], ...]]
#: A slot is open with at least this share of its weekday's busiest slots, contacts per day …
SHARE_OF_PEAK = 0.05
#: … on at least this share of the days on which the weekday's steadiest slot has contacts.
SHARE_OF_DAYS = 0.25
#: A weekday is open with at least this share of the busiest weekday's contacts per week.
SHARE_OF_WEEKDAY = 0.02
#: An empty hole between open slots is believed to be closed if more than this many contacts were due in it.
ENOUGH = 6.0
#: Days without data after which a new stretch begins; more than a week, so that closed weekdays lie within one.
LONG_GAP = 10
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
    A few stray contacts open nothing: a slot needs a share of its weekday's peak and a share of its days, more than one
    day of them unless it is half as busy as the peak; a weekday needs a share of the busiest one's contacts per week.
    A hole between open slots is open if its contacts are not far fewer than were due at half the peak; an empty one, if
    fewer than six were due.
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
        # One day of several tells nothing of the weekday, unless the slot is as busy as the others.
        is_open &= (days == 1) | (present * days > 1.5) | (mean >= 0.5 * peak)
        runs = _runs(is_open)
        for (_, begin), (end, _) in pairwise(runs):
            # A hole is a closure only if its contacts are too few for half the peak: chance leaves holes as well.
            due = 0.5 * peak * days * (end - begin)
            is_open[begin:end] |= mean[begin:end].sum() * days >= due - np.sqrt(ENOUGH * due)
        spans[int(d)] = tuple((a * slot_min, b * slot_min) for a, b in _runs(is_open))
    return spans


def _runs(mask: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.astype(int), [0]])))
    return [(int(a), int(b)) for a, b in edges.reshape(-1, 2)]


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
        f"{date.fromordinal(int(p[0]))}" + (f" to {date.fromordinal(int(p[-1]))}" if len(p) > 1 else "")
        for p in parts[:most]
    ]
    return ", ".join(names) + (f" and {len(parts) - most} more" if len(parts) > most else "")


@dataclass(frozen=True, eq=False)
class Observed:
    """The intervals of the observed days, in order.

    Attributes
    ----------
    start_us, end_us : ndarray of int64, shape (n,)
        Microseconds since 1970, UTC.
    weekday, minute : ndarray of int64, shape (n,)
        Local weekday (Monday 0) and wall-clock minute of the start.
    """

    zone: ZoneInfo
    start_us: np.ndarray
    end_us: np.ndarray
    weekday: np.ndarray
    minute: np.ndarray

    def __len__(self) -> int:
        return len(self.start_us)

    @property
    def starts(self) -> pd.DatetimeIndex:
        """Zone-aware starts."""
        return pd.DatetimeIndex(self.start_us.astype("datetime64[us]")).tz_localize("UTC").tz_convert(self.zone)

    def place(self, times: pd.Series) -> np.ndarray:
        """Return the index of the interval in which each time lies, −1 outside."""
        if not len(self):
            return np.full(len(times), -1, dtype=np.int64)
        us = pd.DatetimeIndex(times).tz_convert("UTC").as_unit("us").asi8
        k = np.maximum(np.searchsorted(self.start_us, us, side="right") - 1, 0)
        return np.where((us >= self.start_us[k]) & (us < self.end_us[k]), k, -1)


def observed_grid(
    days: np.ndarray, zone: ZoneInfo, interval_s: float, hours: Spans, missing: tuple[date, ...]
) -> Observed:
    """Return the intervals of ``hours`` from the first observed day to the last, the missing days left out.

    Long stretches without data are stepped over, so that a single date of another century costs nothing.
    """
    grids = []
    for block in np.split(days, np.flatnonzero(np.diff(days) > LONG_GAP) + 1):
        first = date(1970, 1, 1) + timedelta(days=int(block[0]))
        grid = make_grid(first, int(block[-1] - block[0]) + 1, zone, interval_s, hours, missing)
        grids.append((grid, round(grid.origin.timestamp()) * 1_000_000))
    return Observed(
        zone,
        np.concatenate([g.start_ms * 1000 + origin for g, origin in grids]),
        np.concatenate([g.end_ms * 1000 + origin for g, origin in grids]),
        np.concatenate([g.weekday for g, _ in grids]),
        np.concatenate([g.minute for g, _ in grids]),
    )


def open_minutes(hours: Spans) -> np.ndarray:
    """Return whether each minute of each weekday is open, bool, shape (7, 1440)."""
    result = np.zeros((7, 1440), dtype=bool)
    for d, spans in hours.items():
        for begin, end in spans:
            result[d, begin:end] = True
    return result


def load_centre(load: np.ndarray) -> tuple[float, float]:
    """Return the hour about which the contacts of the slots are centred, and how strongly (0 none to 1 all at once)."""
    slots = len(load)
    angle = 2 * np.pi * (np.arange(slots) + 0.5) / slots
    x, y = (load * np.cos(angle)).sum() / load.sum(), (load * np.sin(angle)).sum() / load.sum()
    return float(np.arctan2(y, x) / (2 * np.pi) * 24 % 24), float(np.hypot(x, y))
