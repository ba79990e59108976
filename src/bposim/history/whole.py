"""What can only be said of a history as a whole: which days are missing, odd, cut off, shifted or copied."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.history.hours import Spans, load_centre, local_slots, open_minutes, ranges_text, weekday_of
from bposim.history.quality import Finding, finding

if TYPE_CHECKING:
    from bposim.history.core import History

#: Rules about a history as a whole, judged anew for a part of it.
WHOLE = (
    "missing_days", "outside_hours", "missing_intervals", "zone_slip", "outage_day", "holiday_day", "outlier_day",
    "truncated_day", "censored_edge", "zone_shift", "unit_shift", "level_shift", "repeated_day",
)  # fmt: skip
#: A weekday usually has an interval that this share of its other days have.
MOST_DAYS = 0.8
#: Contacts that must have been due before a day's first row, or after its last, in a report that leaves out zeros.
DUE = 30.0


@dataclass(frozen=True, eq=False)
class Slots:
    """Contacts of all types by day and slot.

    Attributes
    ----------
    day : ndarray of int, shape (n_days,)
        Observed local days, since 1970.
    total : ndarray, shape (n_days, n_slots)
        Contacts of all types.
    known : ndarray of bool, shape (n_days, n_slots)
        Whether the source tells the count: always of a log.
    hours : mapping of weekday to spans in minutes
    """

    day: np.ndarray
    total: np.ndarray
    known: np.ndarray
    hours: Spans

    @property
    def slots(self) -> int:
        """Number of slots of a day."""
        return self.total.shape[1]

    @cached_property
    def weekday(self) -> np.ndarray:
        """Weekday of each day, Monday 0."""
        return weekday_of(self.day)

    @cached_property
    def open(self) -> np.ndarray:
        """Whether each slot of each weekday is open, shape (7, n_slots)."""
        return np.asarray(open_minutes(self.hours).reshape(7, self.slots, -1).any(axis=2))


@dataclass(frozen=True, eq=False)
class Panel(Slots):
    """A history as arrays of days by slots.

    Attributes
    ----------
    row_day, row_type : ndarray of int, shape (n_rows,)
        Day (−1 where its count is not known) and type of each row of the frame.
    source_row : ndarray of int, shape (n_rows,)
    by_type : ndarray, shape (n_types, n_days)
    dated : bool
        Whether the dates are the source's own: what was made up has no weekdays.
    """

    row_day: np.ndarray
    row_type: np.ndarray
    source_row: np.ndarray
    by_type: np.ndarray
    types: tuple[str, ...]
    frame: pd.DataFrame
    is_log: bool
    dated: bool = True

    def rows(self, days: np.ndarray) -> np.ndarray:
        """Return the source rows of the days that a mask marks."""
        return np.sort(self.source_row[(self.row_day >= 0) & days[self.row_day]])

    def names(self, days: np.ndarray) -> str:
        """Write the days that a mask marks."""
        marked = self.day[days].astype("datetime64[D]")
        # Neighbours among the observed days make a stretch, weekends between them or not.
        runs = np.split(marked, np.flatnonzero(np.diff(np.flatnonzero(days)) > 1) + 1)
        texts = [str(r[0]) if len(r) == 1 else f"{r[0]} to {r[-1]}" for r in runs]
        return ", ".join(texts[:4]) + (f" and {len(texts) - 4} more" if len(texts) > 4 else "")

    def found(self, rule: str, days: np.ndarray, detail: str = "") -> list[Finding]:
        """Return the finding of a rule on the days that a mask marks, none if there are none."""
        if not days.any():
            return []
        text = f" ({self.names(days)}{detail})"
        return [finding(rule, count=int(days.sum()), total=len(self.source_row), rows=self.rows(days), detail=text)]


def panel_of(history: History) -> Panel:
    """Lay a history out as a panel."""
    day, slot = history._day_slot
    weight = history._weight
    days, types = history._days, history.contact_types
    n, k, slots = len(days), len(types), 1440 // history._slot_min
    told = ~np.isnan(weight)
    d = np.where(told, np.minimum(np.searchsorted(days, day), max(n - 1, 0)), -1)
    kind = pd.Index(types).get_indexer(history._frame["contact_type"])
    w = np.nan_to_num(weight)
    cell = d[told] * slots + slot[told]
    total = np.bincount(cell, w[told], n * slots).reshape(n, slots)
    is_log = history._contacts is not None
    known = np.ones((n, slots), bool) if is_log else np.bincount(cell, minlength=n * slots).reshape(n, slots) > 0
    by_type = np.bincount(kind[told] * n + d[told], w[told], k * n).reshape(k, n)
    return Panel(
        days, total, known, history.opening_hours, d, kind, history._frame["source_row"].to_numpy(), by_type, types,
        history._frame, is_log, not history.quality.count("dates_invented"),
    )  # fmt: skip


def whole_findings(history: History) -> tuple[Finding, ...]:
    """Return the findings about the history as a whole."""
    from bposim.history.days import country_of, day_findings
    from bposim.history.shifts import shift_findings

    panel = panel_of(history) if np.nansum(history._weight) > 0 else None
    found = _of_hours(history, panel)
    if panel is not None:
        found += [*day_findings(panel, country_of(history.zone.key)), *shift_findings(panel)]
    return tuple(found)


def _of_hours(history: History, panel: Panel | None) -> list[Finding]:
    """Return missing days and intervals, contacts outside the hours, a probable slip of the zone."""
    from bposim.history.days import country_of, public_holidays, truncated_days

    found = []
    rows = history.quality.kept
    if history.missing_days:
        country = country_of(history.zone.key)
        missing = np.array(history.missing_days, dtype="datetime64[D]").astype(np.int64)
        known = public_holidays(missing, country).sum()
        detail = f" ({ranges_text(history.missing_days)}{f'; {known:,} of them public holidays, {country}' if known else ''})"
        found.append(finding("missing_days", count=len(history.missing_days), total=rows, detail=detail))
    day, slot = history._day_slot
    slots = 1440 // history._slot_min
    if history._contacts is not None:
        local, minute = local_slots(history._times, 1)
        out = ~open_minutes(history.opening_hours)[weekday_of(local), minute]
        if out.any():
            late = history._frame["source_row"].to_numpy()[out]
            found.append(finding("outside_hours", count=len(late), total=rows, rows=np.sort(late)))
    elif slots > 1:
        cut = panel.day[truncated_days(panel)] if panel is not None else np.empty(0, dtype=np.int64)
        gaps, first = _gaps(day, slot, history._weight, history.zone, history._slot_min, cut)
        if gaps:
            found.append(finding("missing_intervals", count=gaps, total=rows, detail=f", the first on {first}"))
    if slots > 1 and np.nansum(history._weight) >= 100:
        load = np.bincount(slot, np.nan_to_num(history._weight), slots)
        hour, strength = load_centre(load)
        if strength > 0.3 and (hour >= 22 or hour < 6):
            clock = f"{int(hour):02d}:{int(hour % 1 * 60):02d}"
            found.append(finding("zone_slip", count=rows, total=rows, detail=clock))
    return found


def _gaps(
    day: np.ndarray, slot: np.ndarray, weight: np.ndarray, zone: ZoneInfo, slot_min: int, cut: np.ndarray
) -> tuple[int, str]:
    """Return how many slots of its days the report has not, and the day of the first of them.

    Those between a day's first row and its last, and those before and after that the other days of its weekday have.
    Slots that the clock skips in spring are none, nor the missing end of a day of ``cut``, which another rule names.
    """
    days, d = np.unique(day, return_inverse=True)
    has = np.zeros((len(days), 1440 // slot_min), dtype=bool)
    has[d, slot] = True
    begun = np.logical_or.accumulate(has, axis=1)
    ahead = np.logical_or.accumulate(has[:, ::-1], axis=1)[:, ::-1]
    usual = _usual(days, has, np.bincount(d * has.shape[1] + slot, np.nan_to_num(weight), has.size).reshape(has.shape))
    gap = ~has & begun & ahead
    for edge, at in ((~begun, 0), (~ahead, -1)):
        late = edge & usual[0]
        # Where no zeros are written a missing row may be a zero, unless contacts were due.
        late &= (np.where(late, usual[1], 0.0).sum(axis=1) >= DUE)[:, None] | bool((weight == 0).any())
        late[at] &= days[at] not in cut
        gap |= late
    for k in np.flatnonzero(gap.any(axis=1) & _short_days(days, zone)):
        missing = np.flatnonzero(gap[k])
        local = pd.DatetimeIndex(np.datetime64(int(days[k]), "D") + (missing * slot_min).astype("timedelta64[m]"))
        there = local.tz_localize(zone, ambiguous=np.ones(len(local), bool), nonexistent="NaT").notna()
        gap[k, missing[~there]] = False
    some = np.flatnonzero(gap.any(axis=1))
    return int(gap.sum()), str(np.datetime64(int(days[some[0]]), "D")) if len(some) else ""


def _usual(days: np.ndarray, has: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return which slots most of the other days of a day's weekday have, two of them at least, and their mean count."""
    usual, mean = np.zeros(has.shape, dtype=bool), np.zeros(has.shape)
    for w in range(7):
        mine = weekday_of(days) == w
        others = mine.sum() - 1
        if others >= 2:
            usual[mine] = has[mine].sum(axis=0) - has[mine] >= MOST_DAYS * others
            mean[mine] = (count[mine].sum(axis=0) - count[mine]) / others
    return usual, mean


def _short_days(day: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    """Return which days are shorter than 24 hours."""

    def begin(days: np.ndarray) -> pd.DatetimeIndex:
        local = pd.DatetimeIndex(days.astype("datetime64[D]").astype("datetime64[s]"))
        return local.tz_localize(zone, ambiguous=np.ones(len(days), bool), nonexistent="shift_forward")

    return np.asarray(begin(day + 1) - begin(day) < pd.Timedelta(days=1))
