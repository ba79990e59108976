"""Other methods than Prophet in the same interface, and the one that a back-test chooses."""

import importlib.util
from datetime import date

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import CURVE, HOURS, WEEK, bank, nhpp, volumes

from bposim.errors import ForecastError, ParameterError
from bposim.forecast import _auto, _methods, forecast
from bposim.forecast._methods import smoothed_level, weeks_of

EXTRA = pytest.mark.skipif(
    importlib.util.find_spec("statsforecast") is None,
    reason='statsforecast is not installed: pip install "bposim[forecast]"',
)
OWN = ("level", "mean-1", "mean-8", "auto")
FROM_EXTRA = [pytest.param(m, marks=EXTRA) for m in ("ets", "mstl")]


@pytest.mark.parametrize("method", [*OWN, *FROM_EXTRA])
def test_a_constant_history_stays_constant(method):
    history = volumes(np.full((70, 8), 30.0), "2023-01-02", minutes=HOURS)
    ahead = forecast(history, days=10, method=method, samples=20)
    assert np.allclose(ahead.mean()["contacts"], 30, rtol=1e-3)
    assert (ahead.array == 30).all()


@pytest.mark.parametrize("method", ["level", "mean-8", *FROM_EXTRA])
def test_the_truth_is_recovered_and_bands_hold(method):
    # Known rate times a gamma day factor of 12 %. Three histories × 28 days: a band of 80 % must hold 68 to 94 %; with 84
    # days the standard error is 4.4 %.
    inside, gaps = [], []
    for seed in range(3):
        whole = nhpp(168, 300 + seed, cv=0.12, scale=4.0)
        cut = pd.Timestamp("2023-05-22", tz="Asia/Manila")
        ahead = forecast(whole[whole["interval_start"] < cut], days=28, method=method, samples=300)
        truth = 20 * WEEK[ahead.starts.day_of_week] * np.tile(CURVE, 28)
        gaps.append(np.abs(ahead.expected[:, 0] - truth).sum() / truth.sum())
        q = ahead.quantiles([0.1, 0.9], by="day").pivot_table(index="day", columns="quantile", values="contacts")
        later = whole[whole["interval_start"] >= cut]
        came = later.groupby(later["interval_start"].dt.normalize())["contacts"].sum()
        inside += list((came >= q[0.1]) & (came <= q[0.9]))
    assert np.mean(gaps) < 0.08
    assert 0.68 <= np.mean(inside) <= 0.94


def test_mean_n_is_the_mean_of_the_last_n_same_weekdays():
    history = nhpp(84, 4)
    for n in (1, 3, 8):
        ahead = forecast(history, days=7, method=f"mean-{n}", samples=5)
        table = history["contacts"].to_numpy().reshape(12, 56)
        assert np.allclose(ahead.expected[:, 0], table[-n:].mean(axis=0))
    naive = forecast(history, days=7, method="seasonal-naive", samples=20)
    assert (naive.array == forecast(history, days=7, method="mean-1", samples=20).array).all()
    assert (weeks_of("mean-12"), weeks_of("seasonal-naive"), weeks_of("level")) == (12, 1, None)


def test_the_level_follows_a_step_that_the_mean_of_eight_weeks_does_not():
    rng = np.random.default_rng(3)
    rate = 400 * np.where(np.arange(140) < 120, 1.0, 1.4)
    history = volumes(rng.poisson(rate)[:, None].astype(float), "2023-01-02", minutes=[0])
    level, mean = (forecast(history, days=14, method=m, samples=5).expected.mean() for m in ("level", "mean-8"))
    assert abs(level / 560 - 1) < 0.04
    assert mean / 560 - 1 < -0.1


def test_one_wild_day_hardly_moves_the_level():
    rng = np.random.default_rng(5)
    calm = rng.poisson(400, size=140).astype(float)
    wild = calm.copy()
    wild[-2] = 4000
    a, b = (
        forecast(volumes(x[:, None], "2023-01-02", minutes=[0]), days=14, method="level", samples=5)
        for x in (calm, wild)
    )
    assert abs(b.expected.sum() / a.expected.sum() - 1) < 0.06


def test_each_week_is_fitted_by_the_weeks_before_it(monkeypatch):
    monkeypatch.setattr(_methods, "_ALPHAS", (0.3,))  # which is chosen on the whole history
    dates = pd.date_range("2023-01-02", periods=112)
    logs = np.random.default_rng(7).normal(5, 0.1, size=112)
    later = logs.copy()
    later[91:] += 1.0
    _, a = smoothed_level(dates, logs, dates[:1])
    _, b = smoothed_level(dates, later, dates[:1])
    assert np.isnan(a[:14]).all() and np.isfinite(a[14:]).all()
    assert (a[14:92] == b[14:92]).all() and (b - a)[105:].min() > 0.5


@pytest.mark.parametrize("method", ["level", *FROM_EXTRA])
def test_closed_weekdays_and_missing_days_are_bridged(method):
    table = np.random.default_rng(1).poisson(50, size=(112, 8)).astype(float)
    days = pd.date_range("2023-01-02", periods=112)
    table[days.day_of_week >= 5] = np.nan
    table[[30, 31, 59]] = np.nan
    ahead = forecast(volumes(table, "2023-01-02", minutes=HOURS), days=14, method=method, samples=5)
    assert set(ahead.starts.day_of_week) == {0, 1, 2, 3, 4}
    assert np.allclose(ahead.mean("day")["contacts"], 400, rtol=0.1)


def test_a_missing_extra_names_the_way_out(monkeypatch):
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda n, *a: None if n == "statsforecast" else real(n, *a))
    with pytest.raises(ParameterError, match=r'pip install "bposim\[forecast\]"'):
        forecast(nhpp(84, 1), method="mstl")


@pytest.mark.parametrize("method", FROM_EXTRA)
def test_too_few_weeks_for_smoothing_are_refused(method):
    with pytest.raises(ForecastError, match="needs 3 weeks"):
        forecast(nhpp(18, 1), method=method)


@pytest.mark.parametrize("name", ["mean-0", "mean-", "mean-1000", "means-4", None])
def test_names_that_are_no_method_are_refused(name):
    with pytest.raises(ParameterError, match="mean-N for any N"):
        forecast(nhpp(84, 1), method=name)


def note(ahead):
    return next(n for n in ahead.notes if "auto " in n)


def shifting(seed: int) -> pd.DataFrame:
    """Weeks whose pattern of the week is drawn afresh every four weeks and changes least by repetition of the last."""
    rng = np.random.default_rng(seed)
    weeks = np.repeat(np.exp(0.5 * rng.standard_normal((40, 7))), 8, axis=0)[:24]
    return volumes(rng.poisson(2000 * weeks.reshape(-1))[:, None].astype(float), "2023-01-02", minutes=[0])


def test_auto_takes_what_earlier_origins_prefer_and_says_so():
    history = shifting(2)
    ahead = forecast(history, days=7, method="auto", samples=20)
    assert note(ahead).startswith("'calls': auto took ") and "over 6 origins of 7 days" in note(ahead)
    took = note(ahead).split("auto took ")[1].split(":")[0]
    own = forecast(history, days=7, method=took, samples=20)
    assert (own.array == ahead.array).all() and (own.expected == ahead.expected).all()
    assert ahead.method == "auto"


def test_auto_keeps_prophet_where_no_other_is_clearly_better():
    ahead = forecast(nhpp(168, 3), days=14, method="auto", samples=20)
    assert "auto kept prophet: WAPE" in note(ahead)
    assert (ahead.array == forecast(nhpp(168, 3), days=14, samples=20).array).all()
    with pytest.warns(UserWarning):
        short = forecast(nhpp(35, 3), days=14, method="auto", samples=5)
    assert "fewer than 3" in note(short)


def test_auto_chooses_for_each_contact_type():
    a, b = shifting(2), nhpp(168, 3, kind="other")
    b = b.groupby(b["interval_start"].dt.normalize(), as_index=False)["contacts"].sum().assign(contact_type="other")
    notes = [n for n in forecast(pd.concat([a, b]), days=7, method="auto", samples=5).notes if "auto " in n]
    assert len(notes) == 2 and "'calls': auto took" in notes[0] and "'other': auto kept" in notes[1]


def test_auto_sees_nothing_of_the_horizon():
    history = shifting(2)
    cut = pd.Timestamp("2023-05-29", tz="Asia/Manila")
    altered = history.copy()
    later = altered["interval_start"] >= cut
    altered.loc[later, "contacts"] = altered.loc[later, "contacts"] * 5 + 9
    a, b = (forecast(h, start="2023-05-29", days=7, method="auto", samples=10) for h in (history, altered))
    assert later.any() and note(a) == note(b) and (a.array == b.array).all()
    test = forecast(altered, days=7, method="auto", samples=10).backtest(origins=["2023-05-29"], days=7)
    mine = test.cells[(test.cells["method"] == "auto") & (test.cells["by"] == "day")]
    assert np.allclose(mine["expected"], a.mean("day")["contacts"]) and test.origins == (date(2023, 5, 29),)


def test_auto_overturns_prophet_only_beyond_the_standard_error(monkeypatch):
    # The same misses at every origin overturn; misses that differ more than they gain do not.
    from types import SimpleNamespace

    from bposim.forecast._calendar import Holidays
    from bposim.forecast._counts import read_counts
    from bposim.forecast._days import Inputs

    history = read_counts(volumes(np.full((112, 1), 100.0), "2023-01-02", minutes=[0]))
    inputs = Inputs("auto", Holidays(), None, 1)
    miss = {"prophet": lambda k: 10.0, "level": lambda k: 8.0}

    def view(t):
        k = (history.dates[-1] - t.counts.dates[-1]).days // 7 - 1
        return SimpleNamespace(expected=100.0 + np.full(t.ahead, miss.get(t.inputs.method, lambda k: 20.0)(k)))

    monkeypatch.setattr(_auto, "made", lambda tasks: [view(t) for t in tasks])
    assert _auto.choose(history, 0, inputs, 7) == (
        "level", "auto took level: WAPE 8.0% against 10.0% of prophet over 6 origins of 7 days."
    )  # fmt: skip
    miss["level"] = lambda k: 28.0 if k == 1 else 4.0
    method, why = _auto.choose(history, 0, inputs, 7)
    assert method == "prophet" and "within the standard error of the difference, 4.0%" in why


def test_the_bank_is_forecast_better_by_its_level_than_by_four_weeks():
    days = bank()["interval_start"].dt.date.unique()
    wape = {}
    for method in ("level", "mean-4"):
        ahead = forecast(bank(), start=str(days[134]), days=14, method=method, samples=5)
        both = ahead.mean().merge(bank(), on="interval_start")
        wape[method] = (both["contacts_x"] - both["contacts_y"]).abs().sum() / both["contacts_y"].sum()
    assert wape["level"] < wape["mean-4"]


def test_auto_takes_events_that_are_to_be_learnt():
    from bposim.forecast import Event

    days = pd.date_range("2023-01-02", periods=160)
    mail = [Event("mail", str(days[k].date())) for k in (20, 50, 80, 110, 145)]
    ahead = forecast(nhpp(140, 1), days=14, samples=5, method="auto", events=mail)
    assert any("auto kept prophet: no other method estimates the event 'mail'" in n for n in ahead.notes)
