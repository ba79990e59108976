"""Regressors that nobody recorded in the early days, and the form in which they enter."""

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import WEEK, volumes

from bposim.errors import ParameterError
from bposim.forecast import Event, forecast

N, AHEAD, SINCE = 600, 28, 200
DAYS = pd.date_range("2022-01-03", periods=N + AHEAD)


def world(form, *, seed: int = 5, effect: float = 0.5):
    """Day totals whose log moves with a form of a regressor; the regressor is lognormal with a yearly season."""
    rng = np.random.default_rng(seed)
    year = np.sin(2 * np.pi * np.arange(N + AHEAD) / 365.25)
    value = np.exp(7 + 0.3 * year + 0.5 * rng.standard_normal(N + AHEAD))
    x = form(value)
    x = (x - x.mean()) / x.std()
    rate = 800 * WEEK[DAYS.day_of_week] * np.exp(effect * 0.4 * x + 0.1 * year)
    history = volumes(rng.poisson(rate[:N])[:, None].astype(float), "2022-01-03", minutes=[0])
    return history, pd.DataFrame({"date": DAYS, "booked": value}), rate[N:]


def wape(ahead, rate) -> float:
    return float(np.abs(ahead.mean("day")["contacts"].to_numpy() - rate).sum() / rate.sum())


@pytest.mark.parametrize("form, word", [(np.log, "; logarithm"), (lambda v: v, "")])
def test_the_form_that_explains_better_is_taken_and_named(form, word):
    history, known, rate = world(form)
    ahead = forecast(history, days=AHEAD, regressors=known, samples=5)
    assert f"booked (regressor, given{word})" in ahead.summary()["effects"][0]
    assert wape(ahead, rate) < 0.04


def test_zeros_take_the_logarithm_of_one_more_and_indicators_none():
    history, known, _ = world(np.log)
    known["booked"] = np.where(np.arange(len(known)) % 50 == 3, 0.0, known["booked"])
    known["flag"] = (np.arange(len(known)) % 9 == 0).astype(float)
    rng = np.random.default_rng(1)
    x = np.log1p(known["booked"].to_numpy()[:N])
    history["contacts"] = rng.poisson(800 * np.exp(0.3 * (x - x.mean())))
    effects = forecast(history, days=7, regressors=known, samples=5).summary()["effects"][0]
    assert "booked (regressor, given; logarithm of 1 + the value)" in effects and "flag (regressor, given)" in effects


def test_early_days_without_the_regressor_are_still_learnt_from():
    history, known, rate = world(np.log)
    late = known.copy()
    late.loc[: SINCE - 1, "booked"] = np.nan
    rows_missing = known.iloc[SINCE:]
    a = forecast(history, days=AHEAD, regressors=late, samples=5)
    b = forecast(history, days=AHEAD, regressors=rows_missing, samples=5)
    assert (a.expected == b.expected).all()
    assert any(f"known from {DAYS[SINCE].date()}; on the {SINCE} days of history before" in n for n in a.notes)
    # All days are learnt from, and the regressor still tells the days of the horizon apart.
    assert a.summary()["days_used"][0] + a.summary()["days_masked"][0] == N
    plain = forecast(history, days=AHEAD, samples=5)
    assert wape(a, rate) < 0.06 < 0.5 * wape(plain, rate)


def test_a_record_shorter_than_a_year_cuts_the_history():
    history, known, rate = world(np.log)
    ahead = forecast(history, days=AHEAD, regressors=known.iloc[N - 120 :], samples=5)
    assert any(f"is used from {DAYS[N - 120].date()}" in n and "480 days before are left out" in n for n in ahead.notes)
    assert ahead.summary()["days_used"][0] + ahead.summary()["days_masked"][0] == 120
    assert wape(ahead, rate) < 0.06


def test_an_event_whose_past_is_left_out_is_told():
    history, known, _ = world(np.log)
    events = [Event("mail", DAYS[100].date()), Event("mail", DAYS[N + 3].date())]
    ahead = forecast(history, days=7, regressors=known.iloc[N - 120 :], events=events, samples=5)
    assert any("event 'mail' has no past day to learn from" in n for n in ahead.notes)


def test_holes_later_and_short_records_are_refused():
    history, known, _ = world(np.log)
    hole = known.copy()
    hole.loc[: SINCE - 1, "booked"] = np.nan
    hole.loc[SINCE + 40, "booked"] = np.nan
    with pytest.raises(
        ParameterError, match=f"from the first on which it is.*1 days without .{DAYS[SINCE + 40].date()}"
    ):
        forecast(history, days=AHEAD, regressors=hole)
    with pytest.raises(ParameterError, match=r"at least 56 days of the history in 'booked'.*20 days"):
        forecast(history, days=AHEAD, regressors=known.iloc[N - 20 :])
    with pytest.raises(ParameterError, match="every day of the horizon"):
        forecast(history, days=AHEAD, regressors=known.iloc[: N + 3])


def test_nothing_of_the_horizon_decides_the_form_or_the_scale():
    history, known, _ = world(np.log)
    other = known.copy()
    other.loc[N + 9, "booked"] = 1e6
    a = forecast(history, days=10, regressors=known, samples=5)
    b = forecast(history, days=10, regressors=other, samples=5)
    assert (a.expected[:9] == b.expected[:9]).all() and b.expected[9] > 1.5 * a.expected[9]


def test_a_backtest_before_the_regressor_is_known_goes_without_it():
    history, known, _ = world(np.log)
    ahead = forecast(history, days=14, regressors=known.iloc[SINCE:], samples=20)
    cells = ahead.backtest(origins=[DAYS[SINCE + 10].date(), DAYS[500].date()], days=14).cells
    days = cells[(cells["method"] == "prophet") & (cells["by"] == "day")]
    gap = (days["expected"] - days["actual"]).abs().groupby(days["origin"]).sum()
    assert gap.iloc[1] < 0.6 * gap.iloc[0]
