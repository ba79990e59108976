"""Days beside a holiday: what was pushed there by a closed holiday does not come where the holiday is open."""

import holidays
import numpy as np
import pandas as pd
import pytest
from forecast_worlds import day_counts

from bposim.forecast import forecast


def closed_on_holidays(end, seed=3):
    """Weekdays from 2018 on, closed on US holidays; the next weekday has 40 % more."""
    rng = np.random.default_rng(seed)
    off = set(holidays.country_holidays("US", years=range(2017, 2023)))
    days = pd.bdate_range("2018-12-03", end)
    worked = pd.DatetimeIndex([d for d in days if d.date() not in off])
    after = np.array([(d - pd.tseries.offsets.BDay(1)).date() in off for d in worked])
    return day_counts(pd.Series(rng.poisson(400 * np.where(after, 1.4, 1.0)), index=worked), "America/New_York")


def test_the_day_after_a_holiday_that_is_open_has_no_effect_of_closed_ones():
    # Juneteenth is new in 2021, on a Saturday: its substitute, Friday the 18th, is none that the history holds.
    history = closed_on_holidays("2021-06-11")
    taken, closed = (forecast(history, days=14, country="US", samples=5, closed=c) for c in ((), ["2021-06-18"]))
    assert any("2021-06-18" in n and "taken as open" in n for n in taken.notes)
    days = [f.mean("day").set_index("day")["contacts"] for f in (taken, closed)]
    monday, usual = pd.Timestamp("2021-06-21", tz="America/New_York"), pd.Timestamp("2021-06-14", tz="America/New_York")
    assert days[0][monday] == pytest.approx(days[0][usual], rel=0.05)
    assert days[1][monday] == pytest.approx(1.4 * days[1][usual], rel=0.08)


def test_the_effect_after_closed_holidays_stays_after_one_that_will_be_closed():
    history = closed_on_holidays("2021-05-21")
    days = forecast(history, days=14, country="US", samples=5).mean("day").set_index("day")["contacts"]
    after = pd.Timestamp("2021-06-01", tz="America/New_York")  # Memorial Day is 31 May
    assert days[after] == pytest.approx(1.4 * days[after - pd.Timedelta(days=7)], rel=0.08)
