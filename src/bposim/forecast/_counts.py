"""A history as day × wall-clock-interval tables of counts: what every method of forecasting learns from."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property, lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import ForecastError
from bposim.provenance import Provenance
from bposim.schema import VOLUMES

#: Days of history used.
RECENT_DAYS = 913
#: Median contacts a day up to which a day without any is no wonder.
FEW = 10
#: Rules of data quality whose days are not the demand, in words.
OUTAGE = "outage_day"
BROKEN = {OUTAGE: "an outage", "truncated_day": "cut off at the edge of the data"}
Spans = Mapping[int, tuple[tuple[int, int], ...]]


@dataclass(frozen=True, eq=False)
class Source:
    """What was counted, before opening hours are told from it.

    Attributes
    ----------
    dates, table, passes
        As in :class:`Counts`, of all days and intervals with data.
    hours : callable
        Returns the opening hours that the first so many days show.
    gaps : bool
        Whether an open interval without a row had no contacts, rather than being unknown.
    trusted : frozenset of str
        Rules of data quality whose days the caller has accepted as they are.
    told : dict of int to (dict, dict)
        Broken and silent days among the first so many, once they have been told; shared by all that is cut from the same counts.
    """

    dates: pd.DatetimeIndex
    table: np.ndarray
    passes: np.ndarray
    hours: Callable[[int], Spans]
    gaps: bool
    trusted: frozenset[str] = frozenset()
    told: dict[int, tuple[dict[pd.Timestamp, str], dict[str, frozenset[pd.Timestamp]]]] = field(default_factory=dict)


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
    broken : dict of Timestamp to str
        Days whose counts are not the demand, as the quality rules tell from these days alone, with the rule.
    silent : dict of contact type to set of Timestamp
        Days with an outage of that type alone: the counts of all together show none.
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
    source: Source | None = None
    holes: str = ""
    broken: Mapping[pd.Timestamp, str] = field(default_factory=dict)
    silent: Mapping[str, frozenset[pd.Timestamp]] = field(default_factory=dict)

    @cached_property
    def whole(self) -> np.ndarray:
        """Whether the day's counts are the demand: no outage, not cut off, shape (n_days,)."""
        return ~np.asarray(self.dates.isin(list(self.broken)))

    def heard(self, kind: int) -> np.ndarray:
        """Return whether a day's counts of one type are its demand, shape (n_days,)."""
        return self.whole & ~np.asarray(self.dates.isin(list(self.silent.get(self.types[kind], ()))))

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
        """Return the history strictly before a day; opening hours and rare weekdays are told from those days alone."""
        if self.source is not None:
            n = int((self.source.dates < pd.Timestamp(day)).sum())
            return self if n == len(self.source.dates) else _laid(self, n)
        return self.only(np.asarray(self.dates < pd.Timestamp(day)))

    def came(self, day: date, end: date) -> Counts:
        """Return what came from one day until before another, in the opening hours of then or of all of the history."""
        source = self.source
        if source is None:
            return self.since(pd.Timestamp(day)).until(end)
        is_open = (self.open_slots | self.until(day).open_slots)[source.dates.day_of_week]
        times = source.passes
        if source.gaps:
            times = _fill(times, source.dates, is_open, self.zone)
        use = is_open.any(axis=1) & np.asarray((source.dates >= pd.Timestamp(day)) & (source.dates < pd.Timestamp(end)))
        table, times = np.where(is_open, source.table, 0.0)[:, use], np.where(is_open, times, 0)[use]
        return replace(self, dates=source.dates[use], table=table, times=times, source=None)

    def of_types(self, types: tuple[str, ...]) -> Counts:
        """Return the counts of some contact types; one that the history lacks has no contacts."""
        if types == self.types:
            return self
        at = pd.Index(self.types).get_indexer(list(types))

        def taken(table: np.ndarray) -> np.ndarray:
            return np.where((at >= 0)[:, None, None], table[np.maximum(at, 0)], 0)

        source = None if self.source is None else replace(self.source, table=taken(self.source.table), told={})
        return replace(self, types=types, table=taken(self.table), source=source)

    def without(self, names: Collection[str]) -> Counts:
        """Return counts in which some contact types have no contacts."""
        keep = np.array([t not in names for t in self.types])[:, None, None]
        source = None if self.source is None else replace(self.source, table=self.source.table * keep, told={})
        return replace(self, table=self.table * keep, source=source)

    def recent(self) -> Counts:
        """Return the days that are learnt from, the last two and a half years."""
        return self.since(self.dates[-1] - pd.Timedelta(days=RECENT_DAYS - 1))

    def since(self, day: pd.Timestamp) -> Counts:
        """Return the history from a day on."""
        return self.only(np.asarray(self.dates >= day))

    def only(self, keep: np.ndarray) -> Counts:
        """Return the days that a mask keeps."""
        return replace(self, dates=self.dates[keep], table=self.table[:, keep], times=self.times[keep], source=None)


def read_counts(source: Any, opening_hours: Any = None) -> Counts:
    """Return the counts of a History, or of a Volumes frame (zone, interval and hours inferred unless given)."""
    if isinstance(source, pd.DataFrame):
        frame, given = source, None
    elif hasattr(source, "volumes"):
        log = getattr(source, "contacts", None) is not None
        frame, given = source.volumes(hours="all") if log else source.volumes(), source
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
    hours = _hours(given, opening_hours, dates, minutes, passes, interval_s)
    whole = Counts(
        zone, interval_s, {}, types, dates, minutes, table, passes, (), getattr(given, "provenance", None),
        Source(dates, table, passes, hours, given is None, _trusted(given)),
    )  # fmt: skip
    return replace(_laid(whole, len(dates)), holes=_holes(whole) if given is None else "")


def _holes(counts: Counts) -> str:
    """Say that a frame seems to leave out the days without contacts: few a day are usual, and many open days have no row."""
    source = counts.source
    assert source is not None
    dates, daily = source.dates, source.table.sum(axis=(0, 2))
    every = pd.date_range(dates[0], dates[-1])
    every = every[every.day_of_week.isin(np.unique(dates.day_of_week))]
    lacking = len(every) - len(dates)
    if np.median(daily) > FEW or not daily.all() or lacking < max(5, 0.1 * len(every)):
        return ""
    return (
        f"{lacking} of {len(every)} open days have no row, none of the others is 0, and {np.median(daily):g} contacts a day are "
        "usual: days without contacts seem to be left out, and the forecast is too high. Give them as zeros "
        "(reindex each contact type to all open days, fill_value=0), or read the counts with History.from_counts()."
    )


def _laid(counts: Counts, n: int) -> Counts:
    """Return the first days of what was counted, within the opening hours that these days show."""
    source = counts.source
    assert source is not None
    dates, table, passes = source.dates[:n], source.table[:, :n], source.passes[:n]
    before = replace(source, dates=dates, table=table, passes=passes)
    if not n:
        return replace(counts, dates=dates, table=table, times=passes, notes=(), source=before)
    spans = source.hours(n)
    if counts.interval_s >= 86400:
        spans = {d: (((0, 1440),) if s else ()) for d, s in spans.items()}
    spans, notes = _drop_rare_weekdays(spans, dates)
    result = replace(counts, spans=spans, dates=dates, table=table, times=passes)
    is_open = result.open_slots[dates.day_of_week]
    if source.gaps:
        # A frame may leave zero intervals out; on a day with data every open interval was observed, except those
        # that the clock change skipped.
        passes = _fill(passes, dates, is_open, counts.zone)
    outside = float((table * ~is_open).sum())
    if outside:
        notes.append(f"{outside:,.0f} contacts ({outside / table.sum():.1%}) outside the opening hours are left out.")
    worked = is_open.any(axis=1)
    broken, silent = _broken(before, counts.types, counts.minutes, spans, counts.interval_s)
    return replace(
        result,
        dates=dates[worked],
        table=np.where(is_open, table, 0.0)[:, worked],
        times=np.where(is_open, passes, 0)[worked],
        notes=tuple(notes),
        source=before,
        broken=broken,
        silent=silent,
    )


def _hours(
    given: Any, opening_hours: Any, dates: pd.DatetimeIndex, minutes: np.ndarray, passes: np.ndarray, interval_s: float
) -> Callable[[int], Spans]:
    """Return the opening hours that are known after the first so many days."""
    if opening_hours is not None:
        from bposim.scenario.fields import parse_hours

        try:
            always: Spans = parse_hours(opening_hours)
        except ValueError as error:
            raise ForecastError(f"forecast(): {error}") from None
        return lambda n: always
    if given is not None:
        return _history_hours(given, dates)
    return lambda n: _infer_spans(dates[:n], minutes, passes[:n], interval_s)


def _trusted(history: Any) -> frozenset[str]:
    report = getattr(history, "quality", None)
    return report.accept if report is not None else frozenset()


def _broken(
    source: Source, types: tuple[str, ...], minutes: np.ndarray, spans: Spans, interval_s: float
) -> tuple[dict[pd.Timestamp, str], dict[str, frozenset[pd.Timestamp]]]:
    """Return the days that the rules of data quality call an outage, or cut off at the edge, and outages of one type alone."""
    from bposim.history.days import broken_days
    from bposim.history.whole import Slots

    n, length = len(source.dates), round(interval_s / 60)
    if n in source.told:
        return source.told[n]
    if interval_s >= 86400 or length < 1 or 1440 % length or (minutes % length).any():
        return {}, {}
    at = minutes // length
    day = source.dates.to_numpy().astype("datetime64[D]").astype(np.int64)
    known = np.full((n, 1440 // length), source.gaps)
    known[:, at] |= source.passes > 0

    def judged(counts: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        total = np.zeros(known.shape)
        total[:, at] = counts
        return broken_days(Slots(day, total, known, {d: tuple(spans.get(d, ())) for d in range(7)}))

    found: dict[pd.Timestamp, str] = {}
    for rule, days in zip(BROKEN, judged(source.table.sum(axis=0)), strict=True):
        if rule not in source.trusted:
            found |= dict.fromkeys(source.dates[days], rule)
    silent = {}
    if len(types) > 1 and OUTAGE not in source.trusted:
        for name, counts in zip(types, source.table, strict=True):
            if alone := frozenset(source.dates[judged(counts)[0]]) - found.keys():
                silent[name] = alone
    source.told[n] = found, silent
    return source.told[n]


def _history_hours(history: Any, dates: pd.DatetimeIndex) -> Callable[[int], Spans]:
    """Return the opening hours that the first so many days of a History show."""
    day, slot = history._day_slot
    size = int(slot.max()) + 1
    cell, at = np.unique(day * size + slot, return_inverse=True)
    weight = np.bincount(at, np.nan_to_num(history._weight))
    day, slot = cell // size, cell % size
    ends = (dates.to_numpy().astype("datetime64[D]").astype(np.int64)) + 1

    @lru_cache(maxsize=256)
    def hours(n: int) -> Spans:
        from bposim.history.hours import infer_hours

        use = day < ends[n - 1]
        found = infer_hours(day[use], slot[use], weight[use], history._slot_min)
        return {d: tuple((int(a), int(b)) for a, b in found.get(d, ())) for d in range(7)}

    return hours


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


def _fill(passes: np.ndarray, dates: pd.DatetimeIndex, is_open: np.ndarray, zone: ZoneInfo) -> np.ndarray:
    result = np.where(is_open, np.maximum(passes, 1), passes)
    offset = (dates + pd.Timedelta(days=1)).tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    start = dates.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
    change = np.asarray((offset - start) != pd.Timedelta(days=1))
    result[change] = passes[change]
    return result
