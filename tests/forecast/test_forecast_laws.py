"""What holds for every forecast, and the closed cases."""

import subprocess
import sys
from datetime import date

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import HOURS, day_counts, nhpp, volumes

from bposim.errors import ForecastError, ForecastWarning, ParameterError
from bposim.forecast import forecast
from bposim.schema import VOLUMES

METHODS = ("prophet", "seasonal-naive", "mean-4")


@pytest.fixture(scope="module")
def usual():
    return forecast(nhpp(140, 1), days=14, samples=200)


@pytest.mark.parametrize("method", METHODS)
def test_a_constant_history_stays_constant(method):
    history = volumes(np.full((70, 8), 30.0), "2023-01-02", minutes=HOURS)
    ahead = forecast(history, days=10, method=method, samples=50)
    assert np.allclose(ahead.mean()["contacts"], 30, rtol=1e-3)
    assert (ahead.array == 30).all()


def test_exact_weeks_are_repeated_without_error():
    week = np.arange(1, 57).reshape(7, 8) * 3.0
    history = volumes(np.tile(week, (10, 1)), "2023-01-02", minutes=HOURS)
    ahead = forecast(history, days=14, method="seasonal-naive", samples=20)
    want = np.tile(week, (2, 1)).reshape(-1)
    assert np.allclose(ahead.mean()["contacts"], want, rtol=1e-12)
    assert (ahead.array[:, :, 0] == want).all()
    errors = ahead.backtest(origins=3, days=7).summary("interval").set_index("method")
    assert errors.loc["seasonal-naive", "wape"] < 1e-15


def test_closed_hours_weekdays_and_days_carry_nothing():
    table = np.random.default_rng(1).poisson(20, size=(91, 8)).astype(float)
    table[pd.date_range("2023-01-02", periods=91).day_of_week == 6] = np.nan
    ahead = forecast(volumes(table, "2023-01-02", minutes=HOURS), days=14, closed=["2023-04-05"], samples=20)
    starts = ahead.starts
    assert set(starts.hour) == set(range(8, 16))
    assert 6 not in set(starts.day_of_week)
    assert date(2023, 4, 5) not in set(starts.date)
    assert len(starts) == 11 * 8


def test_holidays_on_which_nobody_worked_are_closed_again_and_unseen_ones_are_named():
    days = pd.date_range("2022-11-01", periods=400)
    table = np.random.default_rng(2).poisson(100, size=(400, 1)).astype(float)
    table[(days.month == 12) & (days.day == 25)] = np.nan
    table[(days.month == 11) & (days.day == 24)] = np.nan
    history = volumes(table, "2022-11-01", minutes=[0], tz="America/New_York")
    ahead = forecast(history, days=30, country="US", samples=10)
    assert ahead.start == date(2023, 12, 6)
    assert date(2023, 12, 25) not in set(ahead.starts.date)
    assert any("2023-12-25 is closed: Christmas Day, closed on 1 of 1" in n for n in ahead.notes)
    early = forecast(history, start="2023-02-15", days=10, method="mean-4", country="US", samples=10)
    assert date(2023, 2, 20) in set(early.starts.date)
    assert any("2023-02-20" in n and "is taken as open" in n for n in early.notes)


def test_a_holiday_without_contacts_to_answer_is_learnt():
    days = pd.date_range("2021-01-04", periods=900)
    rate = np.where((days.month == 7) & (days.day == 4), 60.0, 300.0)
    history = day_counts(pd.Series(np.random.default_rng(3).poisson(rate), index=days), "America/New_York")
    ahead = forecast(history, start="2023-06-20", days=21, country="US", samples=10)
    mean = ahead.mean(by="day").set_index("day")["contacts"]
    fourth = mean[mean.index.date == date(2023, 7, 4)].iloc[0]
    assert 40 < fourth < 120
    assert mean.drop(mean.index[mean.index.date == date(2023, 7, 4)]).min() > 240


def test_counts_are_whole_and_days_are_the_sums_of_their_intervals(usual):
    frame = usual.volumes
    VOLUMES.check(frame, caller="test")
    assert frame["contacts"].dtype.kind == "i" and frame["contacts"].min() >= 0
    assert len(frame) == 200 * 14 * 8
    assert frame["interval_start"].dt.tz is not None
    one = frame[frame["sample"] == 7]
    assert (one["contacts"].to_numpy() == usual.array[7, :, 0]).all()
    by_day = one.groupby(one["interval_start"].dt.date)["contacts"].sum()
    assert (by_day.to_numpy() == usual.array[7, :, 0].reshape(14, 8).sum(axis=1)).all()


@pytest.mark.parametrize("by", ["interval", "day", "week", "month", "all"])
def test_means_add_up_and_agree_with_the_paths(usual, by):
    mean = usual.mean(by)
    assert np.isclose(mean["contacts"].sum(), usual.expected.sum())
    wide = usual.quantiles([0.1, 0.5, 0.9], by).pivot_table(
        index=list(mean.columns[:-1]), columns="quantile", values="contacts"
    )
    assert (wide[0.1] <= wide[0.5]).all() and (wide[0.5] <= wide[0.9]).all()
    # 200 paths: the standard error of the total is below 1 %.
    assert abs(usual.array.sum() / 200 / usual.expected.sum() - 1) < 0.04


def test_the_truth_is_recovered():
    history = nhpp(280, 5, cv=0.05, scale=4.0)
    ahead = forecast(history, days=7, samples=10)
    from forecast_worlds import CURVE, WEEK

    truth = 20 * WEEK[ahead.starts.day_of_week] * np.tile(CURVE, 7)
    assert np.abs(ahead.expected[:, 0] - truth).sum() / truth.sum() < 0.04


def test_bands_hold_on_days_of_a_poisson_history_with_a_day_factor():
    # 6 histories × 28 days under the known truth; a band of 80 % must hold 70 to 90 %. With 168 days the standard
    # error is 3 %; a band of half the width would hold 48 %.
    inside = []
    for seed in range(6):
        whole = nhpp(168, 100 + seed, cv=0.12)
        cut = pd.Timestamp("2023-01-02", tz="Asia/Manila") + pd.Timedelta(days=140)
        past, later = whole[whole["interval_start"] < cut], whole[whole["interval_start"] >= cut]
        ahead = forecast(past, days=28, samples=300)
        q = ahead.quantiles([0.1, 0.9], by="day").pivot_table(index="day", columns="quantile", values="contacts")
        came = later.groupby(later["interval_start"].dt.normalize())["contacts"].sum()
        inside += list((came >= q[0.1]) & (came <= q[0.9]))
    assert 0.70 <= np.mean(inside) <= 0.90


def test_day_variance_exceeds_that_of_independent_intervals(usual):
    per_day = usual.array[:, :, 0].reshape(200, 14, 8)
    ratio = per_day.sum(axis=2).var(axis=0).mean() / per_day.var(axis=0).sum(axis=1).mean()
    assert ratio > 1.5


def test_the_same_seed_gives_the_same_paths_and_another_one_does_not():
    history = nhpp(84, 4)
    a, b, c = (forecast(history, days=7, samples=20, seed=s) for s in (3, 3, 4))
    assert (a.array == b.array).all() and (a.expected == b.expected).all()
    assert (a.array != c.array).any()


def test_global_generator_and_caller_frames_are_untouched():
    history = nhpp(84, 4)
    dates = pd.date_range("2023-01-02", periods=120)
    extra = pd.DataFrame({"date": dates, "mail": (np.arange(120) % 10 == 0).astype(float)})
    before_history, before_extra = history.copy(deep=True), extra.copy(deep=True)
    np.random.seed(77)
    want = np.random.random(3)
    np.random.seed(77)
    forecast(history, days=7, regressors=extra, country="PH", samples=5)
    assert (np.random.random(3) == want).all()
    pd.testing.assert_frame_equal(history, before_history)
    pd.testing.assert_frame_equal(extra, before_extra)


def test_importing_loads_neither_prophet_nor_matplotlib():
    code = "import sys, bposim.forecast; assert not {'prophet', 'matplotlib', 'holidays'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_regressor_moves_the_days_it_names():
    rng = np.random.default_rng(8)
    mail = (np.arange(133) % 9 == 0).astype(float)
    history = volumes(rng.poisson(200 * np.exp(0.4 * mail[:126]))[:, None].astype(float), "2023-01-02", minutes=[0])
    extra = pd.DataFrame({"date": pd.date_range("2023-01-02", periods=133), "mail": mail})
    ahead = forecast(history, days=7, regressors=extra, samples=5)
    ratio = ahead.expected[mail[126:] == 1, 0].mean() / ahead.expected[mail[126:] == 0, 0].mean()
    assert abs(ratio - np.exp(0.4)) < 0.15


def test_types_that_move_together_are_forecast_together():
    rng = np.random.default_rng(9)
    factor = rng.lognormal(0, 0.15, size=140)
    a, b, c = (rng.poisson(400 * f)[:, None].astype(float) for f in (factor, factor, rng.lognormal(0, 0.15, size=140)))
    history = pd.concat([volumes(x, "2023-01-02", minutes=[0], kind=k) for x, k in ((a, "a"), (b, "b"), (c, "c"))])
    ahead = forecast(history, days=14, samples=400)
    assert ahead.contact_types == ("a", "b", "c")
    r = np.mean([np.corrcoef(ahead.array[:, d].T) for d in range(14)], axis=0)
    assert r[0, 1] > 0.5 and abs(r[0, 2]) < 0.3


@pytest.mark.parametrize(
    "first, day, halves", [("2024-01-20", date(2024, 3, 31), 46), ("2024-08-25", date(2024, 10, 27), 50)]
)
def test_clock_changes_drop_and_repeat_an_hour(first, day, halves):
    table = np.random.default_rng(2).poisson(20, size=(60, 48)).astype(float)
    history = volumes(table, first, minutes=range(0, 1440, 30), tz="Europe/London")
    history["interval_start"] = history["interval_start"].dt.tz_localize(None).dt.tz_localize("Europe/Berlin")
    ahead = forecast(history, days=14, samples=5)
    on = ahead.starts[ahead.starts.date == day]
    assert len(on) == halves and (on.hour == 2).sum() == (0 if halves == 46 else 4)
    mean = ahead.mean("day").set_index("day")["contacts"]
    assert abs(mean[mean.index.date == day].iloc[0] / mean.median() - halves / 48) < 0.03


@pytest.mark.parametrize("n_days", [14, 35])
def test_a_thin_history_is_forecast_wider_and_says_so(n_days, usual):
    with pytest.warns(ForecastWarning, match=f"spans {n_days} days"):
        ahead = forecast(nhpp(n_days, 1), days=14, samples=200)
    assert ahead.summary()["day_cv"][0] > usual.summary()["day_cv"][0]
    assert any("less than 8 weeks" in n for n in ahead.notes)


def test_three_months_are_enough():
    assert forecast(nhpp(91, 1), days=14, samples=5).expected.sum() > 0


def test_thirteen_days_are_not():
    with pytest.raises(ForecastError, match="13 days with data"):
        forecast(nhpp(13, 1))


def test_an_outage_is_masked():
    table = np.random.default_rng(4).poisson(300, size=(112, 1)).astype(float)
    table[50], table[105] = 0, 8
    ahead = forecast(volumes(table, "2023-01-02", minutes=[0]), days=7, samples=5)
    assert np.allclose(ahead.expected, 300, rtol=0.06)
    assert ahead.summary()["days_masked"][0] == 2


def test_a_month_cycle_is_found_only_where_there_is_one():
    days = pd.date_range("2023-01-02", periods=200)
    rng = np.random.default_rng(6)
    plain = day_counts(pd.Series(rng.poisson(400, size=200), index=days), "Asia/Manila")
    rate = 400 * np.exp(0.3 * np.cos(2 * np.pi * (days.day - 0.5) / days.days_in_month))
    waved = day_counts(pd.Series(rng.poisson(rate), index=days), "Asia/Manila")
    assert "month" not in forecast(plain, days=7, samples=5).summary()["effects"][0]
    assert "month (F test" in forecast(waved, days=7, samples=5).summary()["effects"][0]


def test_every_bad_argument_is_reported_at_once():
    bad = pd.DataFrame({"date": pd.date_range("2023-01-02", periods=84), "mail": 1.0})
    with pytest.raises(ParameterError) as caught:
        forecast(nhpp(84, 1), days=0, samples=-1, country="Kanada", closed=["soon"], regressors=bad)
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    assert "Did you mean 'CA'?" in text and "horizon" in text and "'soon'" in text
    with pytest.raises(ParameterError, match="Did you mean 'prophet'"):
        forecast(nhpp(84, 1), method="profet")


def test_a_frame_without_a_zone_is_refused():
    history = nhpp(84, 1)
    history["interval_start"] = history["interval_start"].dt.tz_localize(None)
    with pytest.raises(ForecastError, match="no time zone"):
        forecast(history)


def test_it_shows_itself(usual):
    pytest.importorskip("matplotlib").use("Agg")
    assert "Forecast of 14 days from 2023-05-22" in repr(usual) and "calls" in usual._repr_html_()
    assert usual.provenance.step == "forecast" and usual.provenance.inputs["seed"] == 1
    ax = usual.plot()
    assert ax.get_ylabel() == "contacts per day" and len(ax.collections) == 3
    with pytest.raises(ValueError):
        usual.array[0, 0, 0] = 1


def test_pictures_stop_where_nobody_is_open(usual):
    pytest.importorskip("matplotlib").use("Agg")
    for by, n in (("day", len(usual.mean("day"))), ("interval", len(usual.starts))):
        ax = usual.plot(by=by)
        line = ax.lines[0]
        drawn = np.asarray(line.get_ydata(), dtype=float)
        assert np.isfinite(drawn).sum() == 2 * n and np.isnan(drawn).any() == (by == "interval")
        top = np.nanmax(ax.collections[0].get_datalim(ax.transData).get_points()[:, 1])
        assert ax.get_legend() is not None and ax.get_ylim()[1] > 1.2 * top, "the legend has its own room"


def test_a_history_and_its_volumes_give_the_same_forecast():
    from bposim.history import History

    frame = nhpp(84, 2)
    series = frame.groupby(frame["interval_start"].dt.normalize())["contacts"].sum()
    history = History.from_counts(series, contact_type="calls", freq="D")
    a = forecast(history, days=7, samples=5)
    b = forecast(history.volumes(), days=7, samples=5)
    assert (a.array == b.array).all() and a.interval_s == 86400 and a.zone.key == "Asia/Manila"
    assert a.provenance.parents == (history.provenance,)


def test_a_rare_weekday_is_closed_and_its_contacts_are_named():
    history = nhpp(91, 2)
    sunday = history["interval_start"].dt.day_of_week == 6
    first = history["interval_start"] < pd.Timestamp("2023-01-09", tz="Asia/Manila")
    ahead = forecast(history[~sunday | first], days=14, samples=5)
    assert 6 not in set(ahead.starts.day_of_week)
    assert any(n.startswith("Sundays are taken as closed") for n in ahead.notes)
    assert any("outside the opening hours are left out" in n for n in ahead.notes)
