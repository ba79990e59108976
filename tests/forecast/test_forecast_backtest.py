"""Back-tests: no leakage, the noise floor, and the real series."""

from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import bank, day_counts, nhpp, vancouver, volumes
from scipy import stats

from bposim.errors import ForecastError, ParameterError
from bposim.forecast import Backtest, forecast
from bposim.forecast._backtest import poisson_deviation
from bposim.provenance import Provenance


def test_nothing_after_the_origin_is_seen():
    history = nhpp(112, 3)
    later = history["interval_start"] >= pd.Timestamp("2023-04-10", tz="Asia/Manila")
    altered = history.copy()
    altered.loc[later, "contacts"] = altered.loc[later, "contacts"] * 3 + 7
    a, b = (
        forecast(h, days=7, samples=20, country="PH").backtest(origins=["2023-04-10"], days=7).cells
        for h in (history, altered)
    )
    assert (a["expected"] == b["expected"]).all()
    assert (a["actual"] != b["actual"]).any()
    earlier = altered.copy()
    earlier.loc[~later, "contacts"] += 1
    c = forecast(earlier, days=7, samples=20, country="PH").backtest(origins=["2023-04-10"], days=7).cells
    assert (a["expected"] != c["expected"]).any()


def test_a_backtest_equals_a_forecast_made_then():
    history = nhpp(112, 3)
    cells = forecast(history, days=7, samples=20).backtest(origins=["2023-04-10"], days=7).cells
    then = forecast(history, start="2023-04-10", days=7, samples=20)
    mine = cells[(cells["method"] == "prophet") & (cells["by"] == "interval")]
    assert np.allclose(mine["expected"], then.expected[:, 0])


def test_the_table_holds_every_method_and_window():
    test = forecast(nhpp(112, 3), days=14, samples=50).backtest(origins=2, days=14)
    table = test.summary()
    assert len(table) == 9
    assert set(table["method"]) == {"prophet", "seasonal-naive", "mean-4"}
    assert (table["noise_floor"] > 0).all() and table["coverage_80"].between(0, 1).all()
    assert set(test.summary("day", lead=True)["lead_week"]) == {1, 2}
    assert len(test.origins) == 2 and test.origins[-1] == date(2023, 4, 10)
    assert "WAPE" in test.verdict and "Backtest of prophet" in repr(test) and "<table" in test._repr_html_()


@pytest.mark.parametrize(
    ("misses", "others", "says"),
    [
        ([10, 12, 9, 11, 10, 12], [12, 14, 11, 13, 12, 14], "beats"),
        ([12, 14, 11, 13, 12, 14], [10, 12, 9, 11, 10, 12], "does not beat"),
        # Better by 1 in the mean, and by 19 or worse by 17 at single origins.
        ([10, 30, 10, 30, 10, 30], [29, 13, 29, 13, 29, 13], "are level on days"),
    ],
)
def test_a_gain_within_chance_is_not_called_one(misses, others, says):
    origins = tuple(date(2023, 1, 2) + timedelta(days=7 * k) for k in range(6))
    cells = pd.DataFrame(
        [
            {"measure": "volume", "method": method, "origin": o, "contact_type": "calls", "by": "day", "lead_week": 1,
             "expected": 100.0 + miss, "actual": 100.0, "pinball": 0.0, "in_50": 1.0, "in_80": 1.0, "in_95": 1.0,
             "floor": 8.0, "weight": 1.0}
            for method, gaps in (("prophet", misses), ("mean-4", others))
            for o, miss in zip(origins, gaps, strict=True)
        ]
    )  # fmt: skip
    verdict = Backtest(cells, origins, 7, "prophet", Provenance("backtest", {})).verdict
    assert says in verdict
    assert ("standard error of the difference" in verdict) == (says == "are level on days")


@pytest.mark.parametrize("mean", [0.3, 1.0, 4.5, 20.0, 100.0])
def test_the_noise_floor_is_the_mean_deviation_of_poisson(mean):
    n = np.arange(0, 400)
    exact = (np.abs(n - mean) * stats.poisson.pmf(n, mean)).sum()
    assert np.isclose(poisson_deviation(np.array([mean]))[0], exact, rtol=1e-9)
    if mean >= 20:
        assert np.isclose(exact / mean, np.sqrt(2 / (np.pi * mean)), rtol=0.02)


def test_origins_that_cannot_be_are_refused():
    ahead = forecast(nhpp(84, 3), days=7, samples=5)
    with pytest.raises(ParameterError, match="at most 2023-03-26"):
        ahead.backtest(origins=["2024-01-01", "x"])
    with pytest.raises(ForecastError, match="too short"):
        ahead.backtest(origins=["2023-01-05"])


def test_the_bank_is_forecast_better_than_by_last_week():
    # 30-minute counts, ten open days ahead, origins after days 124, 134, 144 and 154.
    ahead = forecast(bank(), country="US", samples=100)
    days = bank()["interval_start"].dt.date.unique()
    misses = {}
    for n in (124, 134, 144, 154):
        span = (days[n + 9] - days[n]).days + 1
        cells = ahead.backtest(origins=[days[n]], days=span).cells
        for method, part in cells[cells["by"] == "interval"].groupby("method"):
            gap, total = misses.get(method, (0.0, 0.0))
            misses[method] = (gap + (part["expected"] - part["actual"]).abs().sum(), total + part["actual"].sum())
    wape = {m: g / t for m, (g, t) in misses.items()}
    assert wape["prophet"] <= 0.057
    assert wape["prophet"] < wape["mean-4"] and wape["prophet"] < wape["seasonal-naive"]


def test_vancouver_is_forecast_better_than_by_last_week():
    history = day_counts(vancouver(), "America/Vancouver")
    ahead = forecast(history, days=56, country="CA", subdivision="BC", samples=100)
    origins = pd.date_range("2022-05-21", periods=2, freq="308D").strftime("%Y-%m-%d")
    table = ahead.backtest(origins=origins, days=56).summary("day").set_index("method")
    assert table.loc["prophet", "wape"] <= 0.105
    assert table.loc["prophet", "wape"] < table.loc["seasonal-naive", "wape"]
    assert 0.65 <= table.loc["prophet", "coverage_80"] <= 0.92


def moving_hours():
    """Evenings open and Saturdays close from day 140 of 220."""
    table = np.random.default_rng(3).poisson(40, (220, 12)).astype(float)
    days = pd.date_range("2023-01-02", periods=220)
    table[:140, 8:] = np.nan
    table[140:][np.asarray(days[140:].day_of_week == 5)] = np.nan
    return volumes(table, "2023-01-02", minutes=range(480, 1200, 60)), days[133].date()


@pytest.mark.parametrize("hours", [None, {"mon-sun": "08:00-16:00"}])
def test_hours_that_change_after_the_origin_are_not_seen(hours):
    whole, day = moving_hours()
    cut = whole[whole["interval_start"].dt.date < day]
    a, b = (forecast(h, start=day, days=7, samples=20, method="mean-4", opening_hours=hours) for h in (whole, cut))
    assert a.starts.equals(b.starts) and (a.expected == b.expected).all() and (a.array == b.array).all()
    assert a.notes == b.notes
    test = a.backtest(origins=[day], days=7)
    mine = test.cells[(test.cells["method"] == "mean-4") & (test.cells["by"] == "day")]
    assert np.allclose(mine["expected"], b.mean("day")["contacts"])


def test_hours_of_a_contact_log_that_change_after_the_origin_are_not_seen():
    from bposim.history import History

    whole, day = moving_hours()
    at = whole["interval_start"].repeat(whole["contacts"]) + pd.Timedelta(minutes=7)
    log = pd.DataFrame({"contact_type": "calls", "arrived": at.reset_index(drop=True), "wait_s": 1.0, "handle_s": 9.0})
    a, b = (
        forecast(History.from_contacts(f, tz="Asia/Manila"), start=day, days=7, samples=20, method="mean-4")
        for f in (log, log[log["arrived"].dt.tz_convert("Asia/Manila").dt.date < day])
    )
    assert a.starts.equals(b.starts) and (a.expected == b.expected).all() and (a.array == b.array).all()


def test_open_days_without_counts_are_left_out_on_both_sides_and_named():
    history = nhpp(168, 1)
    history = history[history["interval_start"].dt.date != date(2023, 6, 12)]
    test = forecast(history, days=7, samples=20, method="mean-4").backtest(origins=["2023-06-12"])
    cells = test.cells[test.cells["method"] == "mean-4"]
    days, week = cells[cells["by"] == "day"], cells[cells["by"] == "week"]
    assert len(days) == 6 and len(week) == 1
    assert week["expected"].iloc[0] == pytest.approx(days["expected"].sum())
    assert any("forecast as open have no counts (2023-06-12)" in n for n in test.notes)
