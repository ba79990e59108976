"""A history as day × wall-clock-interval tables of counts: what every method of forecasting learns from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cached_property
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import ForecastError
from bposim.provenance import Provenance
from bposim.schema import VOLUMES

#: Days of history used.
RECENT_DAYS = 913
Spans = Mapping[int, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, eq=False)
class Counts:
    """Contacts by type, day and wall-clock interval.

    Attributes
    ----------
    dates : DatetimeIndex, shape (n_days,)
        Local days with data, without a time zone, ascending.
    minutes : ndarray of int, shape (n_slots,)
        Wall-clock minutes at which intervals start.
    table : ndarray of int, shape (n_types, n_days, n_slots)
        A repeated hour is added to its first passage.
    times : ndarray of int, shape (n_days, n_slots)
        How often the interval occurred on the day: 0 closed, 1, or 2 in a repeated hour.
    """

    zone: ZoneInfo
    interval_s: float
    spans: Spans
    types: tuple[str, ...]
    dates: pd.DatetimeIndex
    minutes: np.ndarray
    table: np.ndarray
    times: np.ndarray
    notes: tuple[str, ...] = ()
    provenance: Provenance | None = None

    @cached_property
    def totals(self) -> np.ndarray:
        """Contacts by type and day, shape (n_types, n_days)."""
        return self.table.sum(axis=2)

    @cached_property
    def normal(self) -> np.ndarray:
        """Whether the day has no clock change (no interval missing or repeated), shape (n_days,)."""
        usual = self.times.max(axis=1) <= 1
        open_minutes = self.open_slots[self.dates.day_of_week]
        return usual & ((self.times > 0) | ~open_minutes).all(axis=1)

    @cached_property
    def open_slots(self) -> np.ndarray:
        """Whether the wall-clock interval is open on the weekday, shape (7, n_slots)."""
        result = np.zeros((7, len(self.minutes)), dtype=bool)
        for day, spans in self.spans.items():
            for low, high in spans:
                result[day] |= (self.minutes >= low) & (self.minutes < high)
        return result

    def until(self, day: date) -> Counts:
        """Return the history strictly before a day."""
        keep = np.asarray(self.dates < pd.Timestamp(day))
        return replace(self, dates=self.dates[keep], table=self.table[:, keep], times=self.times[keep])

    def recent(self) -> Counts:
        """Return the days that are learnt from, the last two and a half years."""
        return self.since(self.dates[-1] - pd.Timedelta(days=RECENT_DAYS - 1))

    def since(self, day: pd.Timestamp) -> Counts:
        """Return the history from a day on."""
        keep = np.asarray(self.dates >= day)
        return replace(self, dates=self.dates[keep], table=self.table[:, keep], times=self.times[keep])


def read_counts(source: Any, opening_hours: Any = None) -> Counts:
    """Return the counts of a History, or of a Volumes frame (zone, interval and hours inferred unless given)."""
    if isinstance(source, pd.DataFrame):
        frame, given = source, None
    elif hasattr(source, "volumes"):
        own = opening_hours is None or getattr(source, "contacts", None) is None
        frame, given = source.volumes() if own else source.volumes(hours=opening_hours), source
    else:
        raise ForecastError(
            f"forecast() takes a History or a Volumes frame. Got {type(source).__name__}. "
            "Read one with bposim.read_history() or bposim.History.from_counts()."
        )
    VOLUMES.check(frame, caller="forecast()", error=ForecastError)
    if not len(frame):
        raise ForecastError("the history given to forecast() has no volumes: there is nothing to forecast from.")
    if "sample" in frame.columns:
        raise ForecastError(
            "the Volumes frame given to forecast() holds forecast paths (column 'sample'). Give a history of counts."
        )
    stamps = pd.DatetimeIndex(frame["interval_start"])
    contacts = frame["contacts"].to_numpy(dtype=float)
    problems = []
    if stamps.tz is None:
        problems.append(
            "column 'interval_start' given to forecast() has no time zone. "
            'Localise it: frame["interval_start"].dt.tz_localize("Asia/Manila").'
        )
    if stamps.isna().any():
        problems.append(f"{int(stamps.isna().sum())} rows given to forecast() have no 'interval_start'. Drop them.")
    bad = ~(np.isfinite(contacts) & (contacts >= 0))
    if bad.any():
        rows = ", ".join(map(str, np.flatnonzero(bad)[:3]))
        problems.append(f"{bad.sum()} rows given to forecast() have missing or negative 'contacts' (rows {rows}, …).")
    if problems:
        raise ForecastError(problems)
    zone = given.zone if given is not None else _zone(stamps)
    local = stamps.tz_convert(zone)
    minute = (local.hour * 60 + local.minute).to_numpy()
    days = local.tz_localize(None).normalize()
    types = tuple(given.contact_types) if given is not None else tuple(dict.fromkeys(frame["contact_type"].astype(str)))
    interval_s = float(given.interval_s) if given is not None else _interval(stamps)
    if interval_s >= 86400:
        minute = np.zeros_like(minute)
    dates = pd.DatetimeIndex(np.unique(days.to_numpy()))
    minutes = np.unique(minute)
    code = {t: k for k, t in enumerate(types)}
    which = frame["contact_type"].astype(str).map(code).to_numpy()
    at = dates.get_indexer(days)
    slot = np.searchsorted(minutes, minute)
    table = np.zeros((len(types), len(dates), len(minutes)))
    np.add.at(table, (which, at, slot), contacts)
    passes = np.zeros((len(dates), len(minutes)), dtype=np.int64)
    seen = pd.DataFrame({"stamp": stamps.tz_convert("UTC"), "at": at, "slot": slot}).drop_duplicates("stamp")
    np.add.at(passes, (seen["at"].to_numpy(), seen["slot"].to_numpy()), 1)
    spans: Spans
    if opening_hours is not None:
        from bposim.scenario.fields import parse_hours

        try:
            spans = parse_hours(opening_hours)
        except ValueError as error:
            raise ForecastError(f"forecast(): {error}") from None
    elif given is not None:
        hours = given.opening_hours
        spans = {d: tuple((int(a), int(b)) for a, b in hours.get(d, ())) for d in range(7)}
    else:
        spans = _infer_spans(dates, minutes, passes, interval_s)
    if interval_s >= 86400:
        spans = {d: (((0, 1440),) if s else ()) for d, s in spans.items()}
    spans, notes = _drop_rare_weekdays(spans, dates)
    if given is None:
        # A frame may leave zero intervals out; on a day with data every open interval was observed, except those
        # that the clock change skipped.
        passes = _fill(passes, dates, minutes, spans, zone)
    result = Counts(
        zone, interval_s, spans, types, dates, minutes, table, passes, (), getattr(given, "provenance", None)
    )  # fmt: skip
    is_open = result.open_slots[dates.day_of_week]
    outside = float((table * ~is_open).sum())
    if outside:
        notes.append(f"{outside:,.0f} contacts ({outside / table.sum():.1%}) outside the opening hours are left out.")
    worked = is_open.any(axis=1)
    return replace(
        result,
        dates=dates[worked],
        table=np.where(is_open, table, 0.0)[:, worked],
        times=np.where(is_open, passes, 0)[worked],
        notes=tuple(notes),
    )


def _zone(stamps: pd.DatetimeIndex) -> ZoneInfo:
    key = getattr(stamps.tz, "key", None) or getattr(stamps.tz, "zone", None) or str(stamps.tz)
    try:
        return ZoneInfo(key)
    except (KeyError, ValueError, OSError):
        raise ForecastError(
            f"column 'interval_start' given to forecast() has the offset {key!r} and no time zone. "
            'Convert it to an IANA zone: .dt.tz_convert("Asia/Manila").'
        ) from None


def _interval(stamps: pd.DatetimeIndex) -> float:
    steps = np.diff(np.unique(stamps.tz_convert("UTC").tz_localize(None).to_numpy().astype("datetime64[s]")))
    if not len(steps):
        return 86400.0
    step = float(steps.astype(np.int64).min())
    # Days around a clock change are 23 or 25 hours apart.
    return 86400.0 if step >= 82800 else step


def _infer_spans(dates: pd.DatetimeIndex, minutes: np.ndarray, passes: np.ndarray, interval_s: float) -> Spans:
    length = round(interval_s / 60)
    spans: dict[int, tuple[tuple[int, int], ...]] = {}
    for day in range(7):
        rows = passes[dates.day_of_week == day]
        found: list[tuple[int, int]] = []
        for m in minutes[(rows > 0).any(axis=0)] if len(rows) else ():
            if found and found[-1][1] >= m:
                found[-1] = (found[-1][0], int(m) + length)
            else:
                found.append((int(m), int(m) + length))
        spans[day] = tuple((a, min(b, 1440)) for a, b in found)
    return spans


def _drop_rare_weekdays(spans: Spans, dates: pd.DatetimeIndex) -> tuple[Spans, list[str]]:
    """Close the weekdays on which hardly any recent day has data."""
    since = max(dates[0], dates[-1] - timedelta(weeks=12))
    every = pd.date_range(since, dates[-1])
    kept, notes = dict(spans), []
    for day in range(7):
        possible = int((every.day_of_week == day).sum())
        got = int(((dates >= since) & (dates.day_of_week == day)).sum())
        if spans.get(day) and possible and got < 0.25 * possible:
            kept[day] = ()
            name = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")[day]
            notes.append(f"{name} are taken as closed: {got} of the last {possible} have data.")
    return kept, notes


def _fill(passes: np.ndarray, dates: pd.DatetimeIndex, minutes: np.ndarray, spans: Spans, zone: ZoneInfo) -> np.ndarray:
    result = passes.copy()
    for day, parts in spans.items():
        rows = np.flatnonzero(dates.day_of_week == day)
        for low, high in parts:
            cols = np.flatnonzero((minutes >= low) & (minutes < high))
            result[np.ix_(rows, cols)] = np.maximum(result[np.ix_(rows, cols)], 1)
    offset = (dates + pd.Timedelta(days=1)).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    start = dates.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    change = np.asarray((offset - start) != pd.Timedelta(days=1))
    result[change] = passes[change]
    return result
