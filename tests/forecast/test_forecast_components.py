"""Level and effects: their product is the expectation, and each is what was planted."""

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import WEEK, day_counts, nhpp, volumes

from bposim.errors import ParameterError
from bposim.forecast import Analogy, Event, forecast
from bposim.forecast._components import log_effects

EFFECTS = ("weekday", "season", "month", "holiday", "events", "regressors", "clock", "update")


def product(table: pd.DataFrame) -> np.ndarray:
    value = table["level"].to_numpy()
    for effect in EFFECTS:
        value = value * (1 + table[f"{effect}_percent"].to_numpy() / 100)
    return value


@pytest.fixture(scope="module")
def rich():
    """Two and a half years with a season, a regressor, holidays, events, and a clock change in the horizon."""
    rng = np.random.default_rng(4)
    days = pd.date_range("2021-10-04", periods=900)
    mail = rng.binomial(1, 0.1, size=940).astype(float)
    season = 0.2 * np.cos(2 * np.pi * np.arange(900) / 365.25)
    events = [Event("bill", days[k].date(), days=2) for k in (100, 300, 500, 700, 880)]
    events += [Event("bill", "2024-04-10"), Event("launch", "2024-04-02", contacts=500)]
    logs = season + 0.3 * mail[:900] + 0.5 * sum(e.height(days) for e in events)
    rate = 500 * WEEK[days.day_of_week] * np.exp(logs)
    rate = np.where((days.month == 12) & (days.day == 25), 0.4 * rate, rate)
    history = volumes(rng.poisson(np.tile(rate[:, None] / 24, 24)).astype(float), "2021-10-04",
                      minutes=range(0, 1440, 60), tz="Asia/Manila")  # fmt: skip
    history["interval_start"] = (
        history["interval_start"]
        .dt.tz_localize(None)
        .dt.tz_localize("Europe/Berlin", ambiguous="NaT", nonexistent="NaT")
    )
    extra = pd.DataFrame({"date": pd.date_range("2021-10-04", periods=940), "mail": mail})
    return forecast(
        history.dropna(), days=40, country="DE", regressors=extra, events=events, samples=5,
        analogies={"chat": Analogy("calls", 0.5)},
    ), mail  # fmt: skip


def test_the_product_is_the_expectation(rich):
    ahead, _ = rich
    table = ahead.components()
    assert np.allclose(product(table), table["expected"], rtol=1e-12)
    assert np.allclose(table["expected"], ahead.mean("day")["contacts"])
    assert list(table["contact_type"].unique()) == ["calls", "chat"]


def test_effects_are_those_planted(rich):
    ahead, mail = rich
    table = ahead.components()
    calls = table[table["contact_type"] == "calls"].set_index("date")
    week = calls.groupby(calls.index.day_of_week)["weekday_percent"].first()
    logs = np.log(WEEK)
    assert np.allclose(week, 100 * (np.exp(logs - logs.mean()) - 1), atol=4)
    sent = mail[900:][: len(calls)] == 1
    gap = np.log1p(calls["regressors_percent"] / 100)
    assert np.isclose(gap[sent].mean() - gap[~sent].mean(), 0.3, atol=0.05)
    assert np.isclose(calls.loc["2024-04-10", "events_percent"], 100 * np.expm1(0.5), atol=12)
    assert calls.loc["2024-04-02", "events_percent"] > 50
    assert calls.loc["2024-04-03", "events_percent"] == 0
    assert np.isclose(calls.loc["2024-03-31", "clock_percent"], -100 / 24, atol=0.5)
    assert (calls["clock_percent"].drop(pd.Timestamp("2024-03-31")) == 0).all()
    # One level for the whole horizon but for the fading latest surprise.
    assert calls["level"].std() / calls["level"].mean() < 0.02


def test_a_new_type_has_the_effects_of_its_model(rich):
    table = rich[0].components()
    a, b = (table[table["contact_type"] == t].reset_index(drop=True) for t in ("calls", "chat"))
    assert np.allclose(a["weekday_percent"], b["weekday_percent"]) and np.allclose(0.5 * a["level"], b["level"])


def test_an_update_is_an_effect_of_its_own():
    ahead = forecast(nhpp(140, 2, cv=0.25), days=4, samples=20, method="mean-4")
    seen = pd.DataFrame(
        {"contact_type": "calls", "interval_start": ahead.starts, "contacts": np.rint(1.5 * ahead.expected[:, 0])}
    )
    later = ahead.update(seen.iloc[:11])
    before, after = ahead.components(), later.components()
    assert (before["update_percent"] == 0).all()
    assert (after["clock_percent"] == 0).all()
    assert np.allclose(product(after), after["expected"]) and np.allclose(
        after["expected"], later.mean("day")["contacts"]
    )
    assert np.isclose(after["update_percent"].iloc[0], 50, atol=1.5) and (after["update_percent"].iloc[1:] > 0).all()
    same = [c for c in before if c not in ("update_percent", "expected")]
    pd.testing.assert_frame_equal(before[same], after[same])
    nobody = ahead.update(seen.assign(contacts=0).iloc[:8]).components()
    assert np.isclose(nobody["level"].iloc[0], before["level"].iloc[0]) and nobody["update_percent"].iloc[0] == -100


@pytest.mark.parametrize("method", ["prophet", "mean-4"])
def test_small_and_empty_operations(method):
    rng = np.random.default_rng(1)
    few = nhpp(84, 1, kind="few", scale=0.02)
    none = few.assign(contact_type="none", contacts=0)
    table = forecast(pd.concat([few, none]), days=10, method=method, samples=int(rng.integers(3, 6))).components()
    assert np.allclose(product(table), table["expected"])
    assert (table.loc[table["contact_type"] == "none", "expected"] == 0).all()
    assert np.isfinite(table.drop(columns=["date", "contact_type"]).to_numpy()).all()


def test_a_closed_weekday_does_not_bend_the_others():
    days = pd.date_range("2023-01-02", periods=140)
    days = days[days.day_of_week < 6]
    history = day_counts(pd.Series(np.where(days.day_of_week < 5, 400, 200), index=days), "Asia/Manila")
    table = forecast(history, days=14, samples=5).components()
    logs = np.log([400] * 5 + [200])
    assert np.allclose(table["level"], np.exp(logs.mean()), rtol=0.02)
    first = table.groupby(table["date"].dt.day_of_week)["weekday_percent"].first()
    assert np.allclose(first, 100 * np.expm1(logs - logs.mean()), atol=2)


def test_the_weekday_is_told_against_the_open_weekdays():
    days = pd.date_range("2023-01-02", periods=21)
    days = days[days.day_of_week < 5]
    effects = pd.DataFrame({"weekly": 0.1 * days.day_of_week + 0.3, "other": 1.0}, index=days)
    logs = log_effects(effects, {"weekday": ["weekly"], "holiday": ["other", "absent"]}, 10)
    assert np.allclose(logs["weekday"], [-0.2, -0.1, 0, 0.1, 0.2]) and (logs["holiday"] == 1).all()
    assert (logs["events"] == 0).all() and list(logs.index) == list(days[10:])


def test_they_are_drawn(rich):
    pytest.importorskip("matplotlib").use("Agg")
    axes = rich[0].plot_components()
    titles = [ax.get_title(loc="left") for ax in axes[1:]]
    assert {"day of the week", "time of the year", "events", "regressors", "clock change"} <= set(titles)
    with pytest.raises(ParameterError, match="one of calls, chat"):
        rich[0].plot_components("mail")
