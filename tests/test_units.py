"""Durations, rates, shares, clock times, weekdays, zones and the interval grid across clock changes."""

from __future__ import annotations

from datetime import date, time, timedelta

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bposim.errors import UnitError
from bposim.units import (
    clock,
    clock_text,
    format_seconds,
    hours_text,
    make_grid,
    milliseconds,
    per_second,
    seconds,
    share,
    weekdays,
    zone,
)

ALL_DAY = {d: ((0, 1440),) for d in range(7)}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20s", 20),
        ("2min", 120),
        ("1.5h", 5400),
        ("1 day", 86400),
        ("3 days", 259200),
        ("250ms", 0.25),
        ("0", 0),
        (0, 0),
        ("1e2s", 100),
        ("2 weeks", 1209600),
        (timedelta(minutes=2), 120),
        (".5h", 1800),
    ],
)
def test_durations(text, expected):
    assert seconds(text) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(
    "bad", [20, 20.0, "20", "-5s", "s", "", None, True, "20 s s", "infs", "nan", "1:30", float("inf"), [20]]
)
def test_durations_without_a_sound_unit_are_refused(bad):
    with pytest.raises(UnitError, match="patience"):
        seconds(bad, what="patience")


def test_messages_name_the_way_out():
    with pytest.raises(UnitError, match=r'mean=120 has no unit\. Write "120s" or "2min"\.'):
        seconds(120, what="mean")
    with pytest.raises(UnitError, match=r"unknown unit 'minn'.*Did you mean 'min'"):
        seconds("2minn", what="mean")
    with pytest.raises(UnitError, match=r'Write 0\.8 or "80%"'):
        share(80)


@given(st.floats(0, 1e7).map(lambda x: round(x, 3)))
def test_formatted_durations_read_back(value):
    assert seconds(format_seconds(value)) == pytest.approx(value, abs=5e-4, rel=1e-9)


@given(st.integers(0, 10**9))
def test_formatted_whole_seconds_read_back_exactly(value):
    assert milliseconds(seconds(format_seconds(float(value)))) == 1000 * value


def test_milliseconds_round_halves_up():
    assert [milliseconds(x) for x in (0.0004, 0.0005, 0.0015, 1.2344999)] == [0, 1, 2, 1234]


@pytest.mark.parametrize(
    ("text", "expected"), [("120/h", 120 / 3600), ("4.2/min", 0.07), ("1500/day", 1500 / 86400), ("2/s", 2)]
)
def test_rates(text, expected):
    assert per_second(text) == pytest.approx(expected)


@pytest.mark.parametrize("bad", ["120", 120, "120h", "-1/h", "5/fortnight", None])
def test_bad_rates(bad):
    with pytest.raises(UnitError, match="arrivals"):
        per_second(bad, what="arrivals")


@pytest.mark.parametrize(
    ("value", "expected"), [("80%", 0.8), ("80 %", 0.8), (0.8, 0.8), (1, 1.0), (0, 0.0), ("0.05", 0.05)]
)
def test_shares(value, expected):
    assert share(value) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [80, "120%", -0.1, "most", None, 1.0001, "nan"])
def test_bad_shares(bad):
    with pytest.raises(UnitError):
        share(bad)


@pytest.mark.parametrize(
    ("value", "expected"),
    [("07:30", 450), ("24:00", 1440), ("00:00", 0), (450, 450), (time(7, 30), 450), ("7:05", 425)],
)
def test_clock_times(value, expected):
    assert clock(value) == expected


@pytest.mark.parametrize("bad", ["24:01", "7:60", "7.30", "noon", -1, 1441, True, None])
def test_bad_clock_times(bad):
    with pytest.raises(UnitError):
        clock(bad)


@given(st.integers(0, 1440))
def test_clock_text_reads_back(minute):
    assert clock(clock_text(minute)) == minute


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("mon", (0,)),
        ("sun-thu", (6, 0, 1, 2, 3)),
        ("mon,wed", (0, 2)),
        ("mon, wed-fri", (0, 2, 3, 4)),
        ("daily", tuple(range(7))),
        ("Monday-Friday", (0, 1, 2, 3, 4)),
        ("fri-mon", (4, 5, 6, 0)),
        ("mon mon", (0,)),
    ],
)
def test_weekdays(text, days):
    assert weekdays(text) == days


@pytest.mark.parametrize("bad", ["mox", "", "mon-tue-wed", "1"])
def test_bad_weekdays(bad):
    with pytest.raises(UnitError):
        weekdays(bad)


def test_zones_name_the_nearest():
    assert zone("Asia/Manila").key == "Asia/Manila"
    with pytest.raises(UnitError, match="Did you mean 'Asia/Manila'"):
        zone("Asia/Manilla")
    with pytest.raises(UnitError, match="Did you mean 'Asia/Manila'"):
        zone("manila")


def test_hours_in_one_line():
    spans = dict.fromkeys(range(5), ((480, 1080),)) | {5: ((540, 720), (780, 900)), 6: ()}
    assert hours_text(spans) == "mon-fri 08:00-18:00; sat 09:00-12:00, 13:00-15:00; sun closed"


# The grid ------------------------------------------------------------------------------------------------------------


def grid_of(start, days, tz, *, interval="30min", spans=ALL_DAY, closed=()):
    return make_grid(start, days, zone(tz), seconds(interval), spans, closed)


@pytest.mark.parametrize(
    ("day", "tz", "hours"),
    [
        (date(2026, 3, 8), "America/New_York", 23),
        (date(2026, 11, 1), "America/New_York", 25),
        (date(2026, 3, 29), "Europe/Berlin", 23),
        (date(2026, 10, 25), "Europe/Berlin", 25),
        (date(2026, 4, 5), "Australia/Lord_Howe", 24.5),
        (date(2026, 10, 4), "Australia/Lord_Howe", 23.5),
        (date(2026, 6, 1), "America/New_York", 24),
        (date(1999, 4, 2), "Asia/Jerusalem", 23),
    ],
)
def test_length_of_days_with_clock_changes(day, tz, hours):
    grid = grid_of(day, 1, tz)
    assert len(grid) == 2 * hours
    assert grid.hours.sum() == hours
    assert (grid.hours == 0.5).all()
    assert len(set(grid.starts)) == len(grid), "a repeated hour has two different instants"
    assert set(grid.starts.tz_localize(None).normalize()) == {pd.Timestamp(day)}


def test_wall_clock_stays_on_either_side_of_a_clock_change():
    spans = {d: ((540, 1020),) for d in range(7)}
    grid = grid_of(date(2026, 3, 7), 3, "America/New_York", spans=spans)
    local = grid.starts.tz_localize(None)
    assert len(grid) == 3 * 16
    assert [f"{t:%H:%M}" for t in local[::16]] == ["09:00"] * 3
    gap = np.diff(grid.start_ms[::16]) / 3.6e6
    assert gap.tolist() == [23, 24]


def test_the_hour_that_comes_twice_keeps_its_slot():
    grid = grid_of(date(2026, 11, 1), 1, "America/New_York")
    twice = grid.minute == 60
    assert twice.sum() == 2
    assert len(set(grid.slot[twice])) == 1
    missing = grid_of(date(2026, 3, 8), 1, "America/New_York")
    assert not ((missing.minute >= 120) & (missing.minute < 180)).any()
    assert missing.slot[missing.minute == 180][0] == 6, "slots are those of a whole day"


def test_intervals_that_do_not_divide_the_span_end_short():
    grid = grid_of(date(2026, 6, 1), 1, "UTC", spans={0: ((480, 530),)})
    assert (grid.end_ms - grid.start_ms).tolist() == [1_800_000, 1_200_000]
    assert grid.closings().tolist() == [530 * 60000]


def test_closed_days_and_never_open():
    spans = {0: ((480, 540),), 1: ((480, 540),)}
    grid = grid_of(date(2026, 6, 1), 7, "UTC", spans=spans, closed=[date(2026, 6, 2), date(2030, 1, 1)])
    assert grid.day.tolist() == [0, 0]
    empty = grid_of(date(2026, 6, 3), 2, "UTC", spans=spans)
    assert len(empty) == 0
    assert len(empty.closings()) == 0


def test_midnight_that_does_not_exist():
    # Beirut moves its clocks at midnight: 29 March 2026 begins at 01:00.
    grid = grid_of(date(2026, 3, 29), 1, "Asia/Beirut")
    assert len(grid) == 46
    assert grid.minute[0] == 60


def test_midnight_that_comes_twice_begins_the_day_the_first_time():
    # Havana moves its clocks from 01:00 back to midnight: 1 November 2026 has midnight twice.
    grid = grid_of(date(2026, 11, 1), 1, "America/Havana")
    assert len(grid) == 50
    assert str(grid.starts[0]) == "2026-11-01 00:00:00-04:00"
    before = grid_of(date(2026, 10, 31), 1, "America/Havana")
    assert len(before) == 48


def test_locate_and_closings():
    grid = grid_of(date(2026, 6, 1), 2, "UTC", spans={d: ((480, 540), (600, 660)) for d in range(7)})
    minute = np.array([480, 509, 510, 599, 600, 659]) * 60000
    assert grid.locate(minute).tolist() == [0, 0, 1, 1, 2, 3]
    assert (grid.closings() / 60000).tolist() == [540, 660, 540 + 1440, 660 + 1440]


@settings(max_examples=40, deadline=None)
@given(
    start=st.dates(date(2025, 1, 1), date(2027, 12, 31)),
    days=st.integers(1, 5),
    tz=st.sampled_from(
        ["UTC", "America/New_York", "Europe/London", "Asia/Kolkata", "Australia/Lord_Howe", "America/Sao_Paulo"]
    ),
    interval=st.sampled_from(["5min", "15min", "30min", "1h"]),
    begin=st.integers(0, 22),
    length=st.integers(1, 24),
)
def test_grid_covers_the_open_hours_once(start, days, tz, interval, begin, length):
    end = min(begin + length, 24)
    grid = grid_of(start, days, tz, interval=interval, spans={d: ((60 * begin, 60 * end),) for d in range(7)})
    local = grid.starts.tz_localize(None)
    assert (np.diff(grid.start_ms) > 0).all()
    assert (grid.start_ms[1:] >= grid.end_ms[:-1]).all(), "no two intervals overlap"
    assert ((grid.end_ms - grid.start_ms) <= seconds(interval) * 1000).all()
    # Every minute of the horizon whose wall clock is inside the hours, and no other: counted by hand.
    first, last = (
        pd.Timestamp(d).tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
        for d in (start, start + timedelta(days=days))
    )
    minutes = pd.date_range(first, last, freq="1min", inclusive="left")
    inside = (minutes.hour >= begin) & (minutes.hour < end)
    assert int((grid.end_ms - grid.start_ms).sum() / 60000) == int(inside.sum())
    assert ((local.hour >= begin) & (local.hour < end)).all()
    assert np.array_equal(grid.weekday, local.day_of_week)


@pytest.mark.parametrize(
    ("value", "way"), [(1.2, ""), (1.99, ""), (2, 'Write 0.02 or "2%"'), (80, 'Write 0.8 or "80%"')]
)
def test_a_number_just_above_one_is_no_percentage(value, way):
    with pytest.raises(UnitError) as caught:
        share(value)
    assert ("Write" in str(caught.value)) == bool(way) and way in str(caught.value)
