"""Days beside a holiday: what a closed one pushes to them, and what is said where nobody knows whether it will be closed."""

import holidays
import numpy as np
import pandas as pd
import pytest
from forecast_worlds import day_counts

from bposim.forecast import forecast
from bposim.forecast._calendar import country_problems


def closed_on_holidays(end, seed=3):
    """Weekdays from 2018 on, closed on US holidays; the next weekday has 40 % more."""
    rng = np.random.default_rng(seed)
    off = set(holidays.country_holidays("US", years=range(2017, 2023)))
    days = pd.bdate_range("2018-12-03", end)
    worked = pd.DatetimeIndex([d for d in days if d.date() not in off])
    after = np.array([(d - pd.tseries.offsets.BDay(1)).date() in off for d in worked])
    return day_counts(pd.Series(rng.poisson(400 * np.where(after, 1.4, 1.0)), index=worked), "America/New_York")


def test_beside_a_holiday_that_the_history_does_not_hold_the_note_says_what_is_assumed():
    # Juneteenth is new in 2021, on a Saturday: its substitute, Friday the 18th, is none that the history holds.
    ahead = forecast(closed_on_holidays("2021-06-11"), days=14, country="US", samples=5)
    note = next(n for n in ahead.notes if "2021-06-18" in n and "taken as open" in n)
    assert "like those beside the holidays of the history" in note


def test_the_effect_after_closed_holidays_comes_after_the_next_one():
    history = closed_on_holidays("2021-05-21")
    days = forecast(history, days=14, country="US", samples=5).mean("day").set_index("day")["contacts"]
    after = pd.Timestamp("2021-06-01", tz="America/New_York")  # Memorial Day is 31 May
    assert days[after] == pytest.approx(1.4 * days[after - pd.Timedelta(days=7)], rel=0.08)


@pytest.mark.parametrize(
    ("given", "meant"), [("Britain", "GB"), ("england", "GB"), ("Holland", "NL"), ("Germny", "DE")]
)
def test_a_country_by_another_name_gets_its_code(given, meant):
    (problem,) = country_problems(given, None, "forecast()")
    assert f"Did you mean {meant!r}" in problem
