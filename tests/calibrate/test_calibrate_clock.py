"""Weeks with a clock change: the hour that spring takes and the one that autumn brings twice."""

from __future__ import annotations

import warnings
from datetime import date

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.arrivals import fit_arrivals
from bposim.calibrate.slots import heads_by_weekday
from bposim.errors import CalibrationWarning
from bposim.units import make_grid, zone

TZ = "Europe/Berlin"
SLOTS = [6.0, 4.0, 3.0, 2.0, 5.0, 8.0]  # 00:00 to 06:00


def base():
    return bp.load_scenario({
        "name": "night", "time_zone": TZ, "start": date(2025, 3, 1), "days": 7, "interval": "1h",
        "opening_hours": {d: "00:00-06:00" for d in ("mon", "tue", "wed", "thu", "fri", "sat", "sun")},
        "contact_types": {"a": {"arrivals": {"rate": "4/h"}, "handle_time": {"exponential": {"mean": "300s"}},
                                "patience": {"exponential": {"mean": "300s"}}}},
        "agent_groups": {"g": {"skills": ["a"], "heads": 2, "cost_per_hour": 20}},
    })  # fmt: skip


def planted(first, days, times=5):
    """Contacts of exactly the planned number in every interval that the clock brings, so that means must be exact."""
    scenario = base()
    grid = make_grid(first, days, zone(TZ), 3600, scenario.opening_hours)
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    n = np.array(SLOTS)[grid.slot].astype(int) * times
    at = np.concatenate([s + (np.arange(k) + 0.5) * (3_600_000 / k) for s, k in zip(start, n, strict=True)])
    arrived = pd.to_datetime(at.astype(np.int64), unit="ms", utc=True).tz_convert(TZ)
    return pd.DataFrame({"contact_type": "a", "arrived": arrived}), scenario


@pytest.mark.parametrize(
    ("first", "change"), [(date(2025, 3, 3), date(2025, 3, 30)), (date(2025, 10, 6), date(2025, 10, 26))]
)
def test_the_profile_of_weeks_with_a_clock_change_is_that_of_the_others(first, change):
    contacts, scenario = planted(first, 28)
    fit = fit_arrivals(contacts, scenario, first, first + pd.Timedelta(days=27), set())
    for values in fit.per_interval["a"].values():
        assert values == pytest.approx(5 * np.array(SLOTS))
    day = fit.days.set_index("date").loc[pd.Timestamp(change)]
    assert day["contacts"] != 5 * sum(SLOTS)  # the day did have an hour less, or more
    assert day["expected"] == pytest.approx(day["contacts"])


def spring_week():
    """The week before the change alone, at a place open 24 h: no Sunday has the hour from 02:00."""
    kind = {
        "arrivals": {"rate": "12/h"}, "handle_time": {"exponential": {"mean": "300s"}},
        "patience": {"exponential": {"mean": "300s"}},
    }  # fmt: skip
    return bp.load_scenario({
        "name": "always", "time_zone": TZ, "start": date(2025, 3, 24), "days": 7, "interval": "30min",
        "opening_hours": {"mon-sun": "00:00-24:00"}, "contact_types": {"a": kind},
        "agent_groups": {"g": {"skills": ["a"], "heads": 3, "cost_per_hour": 20}},
    })  # fmt: skip


def no_hour_without_heads(cal):
    """The hour that spring takes has contacts and heads as its neighbours have; a note says that nobody saw it."""
    spec = cal.scenario.canonical
    heads = np.array(spec["agent_groups"]["g"]["heads"]["sun"], dtype=float)
    came = np.array(spec["contact_types"]["a"]["arrivals"]["per_interval"]["sun"], dtype=float)
    assert len(heads) == len(came) == 48
    for values in (heads, came):
        assert values[4:6] == pytest.approx(values[3] + (values[6] - values[3]) * np.array([1, 2]) / 3, abs=1e-3)
        assert values[4:6].min() > 0
    told = [n for n in cal.notes if "sun 02:00, sun 02:30" in n]
    assert len(told) == 2 and "contacts there" in told[0] and "heads on duty there" in told[1]


def test_a_spring_week_alone_leaves_no_hour_of_contacts_without_heads():
    truth = spring_week()
    log = bp.simulate(truth, replications=1, seed=1, progress=False).contacts()
    keep = ["contact_type", "arrived", "answered", "ended", "outcome", "agent", "agent_group"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = bp.calibrate(truth, bp.History.from_contacts(log[keep], tz=TZ))
    no_hour_without_heads(cal)


def test_redials_of_the_hour_that_spring_takes_are_taken_off_too():
    again = {"after_abandonment": 0.6, "delay": {"exponential": {"mean": "30min"}}}
    truth = spring_week().replace({"contact_types.a.redial": again, "agent_groups.g.heads": 1})
    log = bp.simulate(truth, replications=1, seed=1, progress=False).contacts()
    keep = ["contact_type", "arrived", "answered", "ended", "outcome", "agent", "agent_group"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = bp.calibrate(truth, bp.History.from_contacts(log[keep], tz=TZ))
    came = np.array(cal.scenario.canonical["contact_types"]["a"]["arrivals"]["per_interval"]["sun"], dtype=float)
    assert came[3] > 0 and came[6] > 0  # nothing was cut at 0: what is left is linear as both parts are
    assert came[4:6] == pytest.approx(came[3] + (came[6] - came[3]) * np.array([1, 2]) / 3, abs=1e-3)


def test_nor_does_a_report_of_that_week():
    truth = spring_week()
    columns = ["offered", "answered", "abandoned", "answered_within_s20", "wait_answered_sum_s", "handle_sum_s"]
    counts = bp.simulate(truth, replications=1, seed=1, within=["20s"], progress=False).counts([20.0]).frame()
    past = bp.History.from_contacts(counts[["interval_start", "contact_type", *columns]], tz=TZ, profile="intervals")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        cal = bp.calibrate(truth, past)
    no_hour_without_heads(cal)


def test_scheduled_heads_of_a_spring_week_have_the_hour_too():
    scenario = spring_week()
    grid = make_grid(date(2025, 3, 24), 7, zone(TZ), 1800, scenario.opening_hours)
    found, notes = heads_by_weekday(np.full(len(grid), 4.0), grid, scenario, "scheduled heads")
    assert all(len(v) == 48 and v == pytest.approx(4.0) for v in found.values())
    assert len(notes) == 1 and "scheduled heads there" in notes[0]


@pytest.mark.parametrize(("zone_name", "day", "gone"), [("America/Godthab", date(2023, 3, 25), 22), ("Asia/Beirut", date(2025, 3, 30), 0)])  # fmt: skip
def test_the_hour_may_be_the_last_of_the_day_or_the_first(zone_name, day, gone):
    scenario = spring_week().replace(time_zone=zone_name, interval="1h", start=day, days=1)
    grid = make_grid(day, 1, zone(zone_name), 3600, scenario.opening_hours)
    assert len(grid) == 23 and gone not in grid.slot
    found, notes = heads_by_weekday(np.arange(23.0) + 1, grid, scenario, "heads on duty")
    (values,) = found.values()
    assert len(values) == 24 and values.min() > 0
    assert f"{gone:02d}:00" in notes[0]
