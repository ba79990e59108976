"""Durations and rates with units, clock times, time zones, and the interval grid of a scenario.

Inside bposim time is an integer number of milliseconds since the scenario's start, counted in UTC
(``docs/design/time-and-ties.md``); this module is where a planner's words become such numbers and back.
"""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import cached_property
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import pandas as pd

from bposim.errors import UnitError

SECONDS: dict[str, float] = {
    "ms": 1e-3, "s": 1.0, "sec": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0, "hour": 3600.0, "d": 86400.0, "day": 86400.0,
    "week": 604800.0,
}  # fmt: skip
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_NUMBER = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*([A-Za-z]*)\s*$")
_RATE = re.compile(r"^\s*([-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)\s*/\s*([A-Za-z]+)\s*$")
_CLOCK = re.compile(r"^(\d{1,2}):(\d{2})$")


def seconds(value: object, *, what: str = "duration") -> float:
    """Return a duration in seconds.

    Parameters
    ----------
    value : str, datetime.timedelta or number
        ``"20s"``, ``"2min"``, ``"1.5h"``, ``"1 day"``; a bare number has no unit and is refused, except zero.
    what : str
        What the duration is, for the message.

    Raises
    ------
    UnitError
        There is no unit, the unit does not exist, or the duration is negative or not finite.

    Examples
    --------
    >>> seconds("2min")
    120.0
    """
    if isinstance(value, timedelta):
        result = value.total_seconds()
    elif isinstance(value, bool) or value is None:
        raise UnitError(f'{what}={value!r} is no duration. Write it with a unit: "20s", "2min", "1.5h".')
    elif isinstance(value, int | float):
        if value != 0:
            raise UnitError(f'{what}={value:g} has no unit. Write "{value:g}s"{_or_minutes(value)}.')
        return 0.0
    else:
        match = _NUMBER.match(str(value))
        if not match:
            raise UnitError(f'{what}={value!r} is no duration. Write it with a unit: "20s", "2min", "1.5h".')
        number, unit = float(match[1]), match[2]
        if not unit:
            if number != 0:
                raise UnitError(f'{what}={value!r} has no unit. Write "{match[1]}s"{_or_minutes(number)}.')
            return 0.0
        result = number * _unit(unit, what=what, value=value)
    if not math.isfinite(result) or result < 0:
        raise UnitError(f"{what}={value!r} must be a finite duration of at least 0.")
    return result


def _or_minutes(number: float) -> str:
    return f' or "{number / 60:g}min"' if number >= 60 and number % 30 == 0 else ""


def _unit(unit: str, *, what: str, value: object) -> float:
    singular = unit if unit in SECONDS else unit.removesuffix("s")
    if singular in SECONDS:
        return SECONDS[singular]
    near = difflib.get_close_matches(unit, SECONDS, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise UnitError(f"{what}={value!r} has the unknown unit {unit!r}.{hint} Known: {', '.join(SECONDS)}.")


def per_second(value: object, *, what: str = "rate") -> float:
    """Return a rate per second from ``"120/h"``, ``"4.2/min"`` or ``"1500/day"``.

    Raises
    ------
    UnitError
        There is no ``/unit``, or the rate is negative or not finite.

    Examples
    --------
    >>> per_second("90/h")
    0.025
    """
    match = _RATE.match(str(value))
    if not match:
        raise UnitError(f'{what}={value!r} is no rate. Write a number and a unit: "120/h", "4.2/min", "1500/day".')
    result = float(match[1]) / _unit(match[2], what=what, value=value)
    if not math.isfinite(result) or result < 0:
        raise UnitError(f"{what}={value!r} must be a finite rate of at least 0.")
    return result


def format_seconds(value: float) -> str:
    """Write a duration as a planner would: the largest unit that leaves a short number.

    Examples
    --------
    >>> format_seconds(20), format_seconds(90), format_seconds(1800), format_seconds(27000)
    ('20s', '90s', '30min', '7.5h')
    """
    if math.isinf(value):
        return "infinite"
    for unit, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if value >= size and abs(value / size * 4 - round(value / size * 4)) < 1e-9 and (value % 60 == 0):
            if unit == "d" and value % 86400:
                continue
            if unit == "h" and value % 900:
                continue
            if unit == "min" and value < 120:
                continue
            return f"{value / size:g}{unit}"
    return f"{value:.10g}s"


def rough_time(value: float) -> str:
    """Write a duration roughly, for a message: the largest unit of which it holds two.

    Examples
    --------
    >>> rough_time(239_879), rough_time(857_018), rough_time(1713), rough_time(12)
    ('67 h', '9.9 days', '29 min', '12 s')
    """
    for unit, size, most in (("days", 86400, 3.0), ("h", 3600, 2.0), ("min", 60, 2.0)):
        if value >= most * size:
            return f"{value / size:,.2g} {unit}" if value < 100 * size else f"{value / size:,.0f} {unit}"
    return f"{value:,.0f} s"


def milliseconds(value: float) -> int:
    """Round seconds to integer milliseconds, halves up."""
    return math.floor(value * 1000 + 0.5)


def share(value: object, *, what: str = "share") -> float:
    """Return a share of one from ``0.8`` or ``"80%"``; anything outside [0, 1] is refused.

    Examples
    --------
    >>> share("80 %"), share("0.7%")
    (0.8, 0.007)
    """
    text = str(value).strip()
    percent = text.endswith("%")
    try:  # "0.7%" is the number nearest to 0.007, which 0.7 / 100 is not
        number = float(Decimal(text.rstrip("% ")) / 100) if percent else float(text)
    except (ValueError, InvalidOperation):
        raise UnitError(f'{what}={value!r} is no share. Write 0.80 or "80%".') from None
    if not 0 <= number <= 1:
        hint = f' Write {number / 100:g} or "{number:g}%".' if 2 <= number <= 100 and not percent else ""
        raise UnitError(f"{what}={value!r} must lie between 0 and 1 (0 % and 100 %).{hint}")
    return number


def zone(name: object) -> ZoneInfo:
    """Return the IANA time zone of that name.

    Raises
    ------
    UnitError
        There is none.
    """
    if isinstance(name, ZoneInfo):
        return name
    try:
        return ZoneInfo(str(name))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        import zoneinfo

        known = zoneinfo.available_timezones()
        city = "/" + str(name).strip().lower().replace(" ", "_")
        near = [z for z in sorted(known) if z.lower().endswith(city)] or difflib.get_close_matches(
            str(name), known, n=1
        )
        hint = f" Did you mean {near[0]!r}?" if near else ' Write an IANA name such as "Asia/Manila".'
        raise UnitError(f"time zone {name!r} does not exist.{hint}") from None


def clock(value: object, *, what: str = "time of day") -> int:
    """Return minutes since midnight from ``"07:30"``; ``"24:00"`` is the end of the day.

    Examples
    --------
    >>> clock("07:30")
    450
    """
    if isinstance(value, time):
        return value.hour * 60 + value.minute
    # YAML 1.1 reads an unquoted 07:30 as the number 450 (base 60).
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= 1440:
        return value
    match = _CLOCK.match(str(value).strip())
    if match:
        minutes = int(match[1]) * 60 + int(match[2])
        if int(match[2]) < 60 and minutes <= 1440:
            return minutes
    raise UnitError(f'{what}={value!r} is no time of day. Write "07:30", from "00:00" to "24:00".')


def clock_text(minutes: float) -> str:
    """Write minutes since midnight as ``HH:MM``."""
    return f"{int(minutes) // 60:02d}:{int(minutes) % 60:02d}"


def weekdays(value: object, *, what: str = "weekdays") -> tuple[int, ...]:
    """Return weekday numbers (Monday 0) from ``"mon"``, ``"sun-thu"``, ``"mon, wed"``, ``"daily"``.

    Examples
    --------
    >>> weekdays("sun-thu")
    (6, 0, 1, 2, 3)
    """
    text = str(value).strip().lower()
    if text in ("daily", "all"):
        return tuple(range(7))
    result: list[int] = []
    for part in re.split(r"[,\s]+", text):
        ends = [_weekday(day, what=what, value=value) for day in part.split("-")]
        if len(ends) == 1:
            result.append(ends[0])
        elif len(ends) == 2:
            result.extend((ends[0] + k) % 7 for k in range((ends[1] - ends[0]) % 7 + 1))
        else:
            raise UnitError(f'{what}={value!r} is no range of weekdays. Write "mon-fri" or "daily".')
    return tuple(dict.fromkeys(result))


def _weekday(day: str, *, what: str, value: object) -> int:
    short = day[:3]
    if short in WEEKDAYS and ("monday tuesday wednesday thursday friday saturday sunday".find(day) >= 0):
        return WEEKDAYS.index(short)
    raise UnitError(f"{what}={value!r} has the unknown weekday {day!r}. Known: {', '.join(WEEKDAYS)}, daily.")


def weekdays_text(days: Iterable[int]) -> str:
    """Write weekday numbers as short names, runs joined.

    Examples
    --------
    >>> weekdays_text((0, 1, 2, 3, 4)), weekdays_text((5, 0, 2)), weekdays_text(range(7))
    ('mon-fri', 'mon, wed, sat', 'daily')
    """
    found = sorted(set(days))
    if len(found) == 7:
        return "daily"
    runs: list[list[int]] = []
    for d in found:
        if runs and d == runs[-1][-1] + 1:
            runs[-1].append(d)
        else:
            runs.append([d])
    return ", ".join(
        ", ".join(WEEKDAYS[d] for d in run) if len(run) < 3 else f"{WEEKDAYS[run[0]]}-{WEEKDAYS[run[-1]]}"
        for run in runs
    )


def hours_text(spans: Mapping[int, Iterable[tuple[int, int]]]) -> str:
    """Write opening spans by weekday as one short line."""
    days = [", ".join(f"{clock_text(a)}-{clock_text(b)}" for a, b in spans.get(d, ())) or "closed" for d in range(7)]
    parts: list[str] = []
    first = 0
    for d in range(1, 8):
        if d == 7 or days[d] != days[first]:
            name = WEEKDAYS[first] if d - first == 1 else f"{WEEKDAYS[first]}-{WEEKDAYS[d - 1]}"
            parts.append(f"{name} {days[first]}")
            first = d
    return "; ".join(parts)


@dataclass(frozen=True, eq=False)
class Grid:
    """The open intervals of a scenario's horizon, in order.

    Built from local wall-clock times, so that "09:00" is 09:00 on either side of a clock change: on a day that loses
    an hour the intervals of that hour are missing, on a day that gains one they stand twice.

    Attributes
    ----------
    start_ms, end_ms : ndarray of int64, shape (n,)
        Milliseconds since ``origin``.
    day : ndarray of int64, shape (n,)
        Index of the local day in the horizon.
    slot : ndarray of int64, shape (n,)
        Index of the interval among the open ones of its weekday (wall clock), the index into per-interval lists.
    weekday : ndarray of int64, shape (n,)
    minute : ndarray of int64, shape (n,)
        Wall-clock minute of the day at which the interval starts.
    """

    origin: pd.Timestamp
    zone: ZoneInfo
    interval_s: float
    start_ms: np.ndarray
    end_ms: np.ndarray
    day: np.ndarray
    slot: np.ndarray
    weekday: np.ndarray
    minute: np.ndarray

    def __len__(self) -> int:
        return len(self.start_ms)

    @cached_property
    def starts(self) -> pd.DatetimeIndex:
        """Zone-aware start of every interval."""
        stamps = self.origin.tz_convert("UTC") + pd.to_timedelta(self.start_ms, unit="ms")
        return pd.DatetimeIndex(stamps).tz_convert(self.zone)

    @cached_property
    def hours(self) -> np.ndarray:
        """Length of every interval in hours."""
        return (self.end_ms - self.start_ms) / 3.6e6

    def locate(self, ms: np.ndarray) -> np.ndarray:
        """Return the interval in which each instant lies; an instant in a closed hour belongs to the one before."""
        return np.maximum(np.searchsorted(self.start_ms, ms, side="right") - 1, 0)

    def openings(self) -> np.ndarray:
        """Instants (ms) at which an open stretch begins."""
        if not len(self):
            return np.empty(0, dtype=np.int64)
        return self.start_ms[np.append(True, self.start_ms[1:] != self.end_ms[:-1])]

    def closings(self) -> np.ndarray:
        """Instants (ms) at which an open stretch ends."""
        if not len(self):
            return np.empty(0, dtype=np.int64)
        last = np.append(self.end_ms[:-1] != self.start_ms[1:], True)
        return self.end_ms[last]


def wall_slots(spans: Iterable[tuple[int, int]], interval_s: float) -> list[tuple[int, int]]:
    """Cut the open spans of a day, minutes since midnight, into intervals (begin, end) by the wall clock; a last one may be shorter."""
    length = round(interval_s / 60)
    return [(b, min(b + length, high)) for low, high in sorted(spans) for b in range(low, high, length)]


def make_grid(
    start: date,
    days: int,
    tz: ZoneInfo,
    interval_s: float,
    spans: Mapping[int, Iterable[tuple[int, int]]],
    closed: Iterable[date] = (),
) -> Grid:
    """Lay the interval grid over the open hours of a horizon.

    Parameters
    ----------
    start : date
        First local day.
    days : int
        Number of local days.
    tz : ZoneInfo
    interval_s : float
        Length of an interval in seconds; divides a day.
    spans : mapping of weekday (Monday 0) to (from, to) in minutes since midnight
    closed : iterable of date
        Days on which nobody opens.

    Returns
    -------
    Grid
    """
    origin = pd.Timestamp(datetime.combine(start, time())).tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
    end = pd.Timestamp(datetime.combine(start + timedelta(days=days), time()))
    end = end.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
    # Every minute of the horizon, in order, with its wall-clock day and minute: a gap leaves minutes out, a repeated
    # hour brings them twice, and an interval is a run of minutes that share day and slot.
    n = int((end - origin) / pd.Timedelta(minutes=1))
    local = (origin.tz_convert("UTC") + pd.to_timedelta(np.arange(n), unit="min")).tz_convert(tz).tz_localize(None)
    date_of = local.normalize()
    day = ((date_of - pd.Timestamp(start)) // pd.Timedelta(days=1)).to_numpy().astype(np.int64)
    minute = (local.hour * 60 + local.minute).to_numpy().astype(np.int64)
    weekday = local.day_of_week.to_numpy().astype(np.int64)
    slot_of = np.full((7, 1440), -1, dtype=np.int64)
    slot_start = np.zeros((7, 1440), dtype=np.int64)
    for d in range(7):
        for slot, (begin, until) in enumerate(wall_slots(spans.get(d, ()), interval_s)):
            slot_of[d, begin:until] = slot
            slot_start[d, begin:until] = begin
    for shut in closed:
        k = (shut - start).days
        if 0 <= k < days:
            weekday[day == k] = -1
    in_slot = np.where(weekday >= 0, slot_of[weekday, minute], -1)
    open_minutes = np.flatnonzero(in_slot >= 0)
    if not len(open_minutes):
        empty = np.empty(0, dtype=np.int64)
        return Grid(origin, tz, interval_s, empty, empty, empty, empty, empty, empty)
    key = day[open_minutes] * 10000 + in_slot[open_minutes]
    at = minute[open_minutes]
    # The hour that comes twice begins its interval again where the clock jumps back to the interval's start.
    again = (np.diff(at) < 0) & (at[1:] == slot_start[weekday[open_minutes], at][1:])
    breaks = (np.diff(key) != 0) | (np.diff(open_minutes) != 1) | again
    first = open_minutes[np.insert(breaks, 0, True)]
    last = open_minutes[np.append(breaks, True)]
    return Grid(
        origin, tz, interval_s, first * 60000, (last + 1) * 60000, day[first], in_slot[first], weekday[first],
        slot_start[weekday[first], minute[first]],
    )  # fmt: skip
