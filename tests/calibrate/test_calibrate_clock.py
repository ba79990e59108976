"""Weeks with a clock change: the hour that spring takes and the one that autumn brings twice."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.arrivals import fit_arrivals
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
