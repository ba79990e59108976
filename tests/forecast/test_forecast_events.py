"""Events: shapes, effects of past ones, sizes of coming ones."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import HOURS, WEEK, nhpp, volumes

from bposim.errors import ParameterError
from bposim.forecast import Event, forecast

START = "2023-01-02"
DAYS = pd.date_range(START, periods=196)
AHEAD = pd.date_range(DAYS[-1] + pd.Timedelta(days=1), periods=28)


def on(k: int) -> date:
    return (DAYS[0] + pd.Timedelta(days=k)).date()


def world(factor: np.ndarray, *, seed: int = 1, level: float = 600.0) -> pd.DataFrame:
    """Poisson day totals with a weekly pattern and a small day factor, times a planted factor."""
    rng = np.random.default_rng(seed)
    rate = level * WEEK[DAYS.day_of_week] * factor * rng.lognormal(0, 0.03, size=len(DAYS))
    return volumes(rng.poisson(rate)[:, None].astype(float), START, minutes=[0])


def means(ahead) -> np.ndarray:
    return ahead.mean("day")["contacts"].to_numpy()


@pytest.fixture(scope="module")
def quiet():
    """A world without events and its forecast."""
    history = world(np.ones(len(DAYS)))
    return history, forecast(history, days=28, samples=400)


@pytest.mark.parametrize(
    "event, want",
    [
        (Event("e", "2023-01-03", days=2), [0, 1, 1, 0, 0, 0, 0]),
        (Event("e", "2023-01-03", shape="step"), [0, 1, 1, 1, 1, 1, 1]),
        (Event("e", "2023-01-03", days=2, shape="delayed", delay=2), [0, 0, 0, 1, 1, 0, 0]),
        (Event("e", "2023-01-03", shape="delayed", delay=1, half_life=1), [0, 0, 1, 0.5, 0.25, 0.125, 0.0625]),
        (Event("e", "2023-01-03", shape="decayed", half_life=2), [0, 1, 2**-0.5, 0.5, 2**-1.5, 0.25, 2**-2.5]),
    ],
)
def test_shapes(event, want):
    assert np.allclose(event.height(pd.date_range(START, periods=7)), want)


def test_a_tail_ends_and_its_span_holds_all_of_it():
    event = Event("e", START, days=2, shape="decayed", half_life=3)
    long = pd.date_range(START, periods=60)
    assert (event.height(event.span()) > 0).all()
    assert np.isclose(event.height(event.span()).sum(), event.height(long).sum())


@pytest.mark.parametrize(
    "kind", [{"days": 3}, {"shape": "delayed", "days": 3, "delay": 2}, {"shape": "decayed", "half_life": 2.0}]
)
def test_the_effect_of_past_events_is_found_and_repeated(kind):
    events = [Event("mail", on(k), **kind) for k in (20, 61, 95, 138, 170, 201)]
    planted = np.exp(0.4 * sum(e.height(DAYS) for e in events))
    history = world(planted)
    ahead = forecast(history, days=28, events=events, samples=5)
    calm = means(forecast(world(np.ones(len(DAYS))), days=28, samples=5))
    truth = np.exp(0.4 * events[-1].height(AHEAD))
    # Day factor 3 % and Poisson 4 % on about fifteen days of events: a standard error of 0.015.
    assert np.allclose(means(ahead) / calm, truth, rtol=0.07)
    assert "mail (event, estimated from 5 past cases)" in ahead.summary()["effects"][0]
    assert any("event 'mail' moves a day by +" in n for n in ahead.notes)
    # What the event explains is not masked as an outlier, and does not raise the level of calm days.
    assert ahead.summary()["days_masked"][0] <= 1


def test_a_step_of_the_past_lasts():
    step = Event("tariff", on(180), shape="step")
    factor = np.exp(0.5 * step.height(DAYS))
    ahead = means(forecast(world(factor), days=28, events=[step], samples=5))
    assert np.allclose(ahead / (600 * WEEK[AHEAD.day_of_week] * np.exp(0.5)), 1, rtol=0.06)


def test_a_coming_lift_is_applied_as_given(quiet):
    history, calm = quiet
    event = Event("launch", AHEAD[3].date(), days=2, lift=0.5, uncertainty=0.2)
    ahead = forecast(history, days=28, events=[event], samples=400)
    want = np.ones(28)
    want[3:5] = 1.5
    assert np.allclose(means(ahead) / means(calm), want, rtol=1e-9)
    assert any("'launch'" in n and "+50% at its peak" in n and "assumed" in n for n in ahead.notes)


@pytest.mark.parametrize("kind", [{}, {"shape": "decayed", "half_life": 3.0}, {"shape": "delayed", "days": 9}])
def test_coming_contacts_come_in_all_and_in_shape(quiet, kind):
    history, calm = quiet
    event = Event("letter", AHEAD[2].date(), contacts=900, **kind)
    ahead = forecast(history, days=28, events=[event], samples=400)
    added = means(ahead) - means(calm)
    height = event.height(AHEAD)
    assert np.allclose(added, 900 * height / event.height(event.span()).sum(), atol=1e-6)
    assert np.isclose(added.sum(), 900, rtol=0.03)


def test_contacts_beyond_the_horizon_are_not_squeezed_into_it(quiet):
    history, calm = quiet
    event = Event("late", AHEAD[26].date(), days=4, contacts=400)
    added = means(forecast(history, days=28, events=[event], samples=5)) - means(calm)
    assert np.allclose(added[-2:], 100)


def test_contacts_skip_closed_days():
    history = nhpp(140, 1)
    history = history[history["interval_start"].dt.day_of_week < 5]
    # From Friday to Monday; the week-end is closed.
    event = Event("letter", "2023-05-26", days=4, contacts=200)
    shut = Event("sunday", "2023-05-28", contacts=60)
    calm = means(forecast(history, days=14, samples=5))
    one = forecast(history, days=14, events=[event], samples=5)
    added = means(one) - calm
    stamps = one.mean("day")["day"]
    assert np.allclose(added[stamps.dt.date.isin([date(2023, 5, 26), date(2023, 5, 29)])], 100)
    two = forecast(history, days=14, events=[shut], samples=5)
    assert np.allclose((means(two) - calm)[stamps.dt.date == date(2023, 5, 29)], 60)
    assert any("closed days only" in n for n in two.notes)


def test_paths_carry_the_uncertainty_of_a_coming_event(quiet):
    history, calm = quiet
    event = Event("launch", AHEAD[7].date(), days=14, contacts=14 * 600, uncertainty=0.5)
    ahead = forecast(history, days=28, events=[event], samples=400)
    moved = event.height(AHEAD) > 0
    added = ahead.array[:, moved, 0].sum(axis=1) - calm.array[:, moved, 0].sum(axis=1).mean()
    # 400 draws of a relative error of 0.5: the mean has a standard error of 2.5 %, the deviation of about 6 %.
    assert abs(added.mean() / 8400 - 1) < 0.12
    assert 0.38 < added.std() / 8400 < 0.66
    # One error for the whole event: its days go together, the others know nothing of it.
    first, last = ahead.array[:, moved, 0][:, :7].sum(axis=1), ahead.array[:, moved, 0][:, 7:].sum(axis=1)
    assert np.corrcoef(first, last)[0, 1] > 0.85
    assert np.isclose(ahead.array[:, :7, 0].std(), calm.array[:, :7, 0].std(), rtol=0.02)
    sure = forecast(history, days=28, events=[Event("launch", AHEAD[7].date(), days=14, contacts=8400, uncertainty=0)], samples=400)  # fmt: skip
    assert sure.array[:, moved, 0].sum(axis=1).std() < 0.4 * added.std()
    more = ahead.more(300).array[:, moved, 0].sum(axis=1)
    assert 0.35 < more.std() / 8400 < 0.7
    assert not np.isin(more, ahead.array[:, moved, 0].sum(axis=1)).all()


def test_only_the_contact_types_named_move():
    history = pd.concat([nhpp(84, 1, kind="a"), nhpp(84, 2, kind="b", scale=3.0)])
    first = "2023-03-29"
    calm = forecast(history, days=7, samples=5)
    one = forecast(history, days=7, events=[Event("x", first, contacts=100, contact_types="b")], samples=5)
    both = forecast(history, days=7, events=[Event("x", first, contacts=100)], samples=5)
    change = [f.expected.sum(axis=0) - calm.expected.sum(axis=0) for f in (one, both)]
    assert np.allclose(change[0], [0, 100])
    assert np.isclose(change[1].sum(), 100) and 2 < change[1][1] / change[1][0] < 4
    # Spread over the day by the profile.
    day = one.starts.date == date(2023, 3, 29)
    before, after = calm.expected[day, 1], one.expected[day, 1]
    assert np.allclose(after / after.sum(), before / before.sum())


def test_a_coming_event_that_nothing_is_known_of_is_refused(quiet):
    history, _ = quiet
    with pytest.raises(ParameterError, match=r"'promo' of 2023-07-20 has neither contacts nor lift.*contacts=.*lift="):
        forecast(history, days=28, events=[Event("promo", "2023-07-20")])
    with pytest.raises(ParameterError, match="method='mean-4', which estimates nothing"):
        forecast(history, days=28, method="mean-4", events=[Event("promo", "2023-02-20"), Event("promo", "2023-07-20")])
    with pytest.raises(ParameterError, match="known contact types"):
        forecast(history, days=28, events=[Event("promo", "2023-07-20", lift=0.1, contact_types=["mail"])])
    with pytest.raises(ParameterError, match="a list of Event"):
        forecast(history, days=28, events=["promo"])
    # Past the horizon nothing need be known.
    forecast(history, days=7, events=[Event("promo", "2023-08-20")], samples=5)


def test_what_an_event_says_of_itself_goes_before_what_its_past_says():
    past = Event("mail", on(60), days=3)
    coming = Event("mail", AHEAD[5].date(), days=3, lift=0.1)
    history = world(np.exp(0.6 * past.height(DAYS)))
    calm = means(forecast(history, days=28, events=[past], samples=5))
    ratio = means(forecast(history, days=28, events=[past, coming], samples=5)) / calm
    assert np.allclose(ratio, np.where(coming.height(AHEAD) > 0, 1.1, 1.0))


def test_baselines_take_given_events_too(quiet):
    history, _ = quiet
    event = Event("launch", AHEAD[3].date(), lift=0.5)
    plain = means(forecast(history, days=7, method="mean-4", samples=5))
    ratio = means(forecast(history, days=7, method="mean-4", events=[event], samples=5)) / plain
    assert np.allclose(ratio, [1, 1, 1, 1.5, 1, 1, 1])


def test_a_backtest_knows_only_the_events_before_its_origins():
    events = [Event("mail", on(k)) for k in (20, 50, 80, 110, 150, 186)]
    history = world(np.exp(0.8 * sum(e.height(DAYS) for e in events)))
    ahead = forecast(history, days=14, events=events, samples=50)
    cells = ahead.backtest(origins=[on(15), on(180)], days=14).cells
    cells = cells[(cells["method"] == "prophet") & (cells["by"] == "day")]
    hit = cells[[d.date() in (on(20), on(186)) for d in cells["window_start"]]].set_index("origin")
    assert hit.loc[on(180), "expected"] / hit.loc[on(180), "actual"] > 0.8
    # Two weeks of history before it and no case of its name: what follows is not known, and not leaked.
    assert hit.loc[on(15), "expected"] / hit.loc[on(15), "actual"] < 0.75


def test_every_mistake_of_an_event_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        Event("", "soon", days=0, shape="decaied", contacts=-1, uncertainty=-1, contact_types=())
    assert len(caught.value.problems) == 7 and "Did you mean 'decayed'" in str(caught.value)
    for wrong, what in (
        ({"contacts": 5, "lift": 0.1}, "None where lift is given"),
        ({"contacts": 5, "shape": "step"}, "no end to add up to"),
        ({"lift": -1}, "above -1"),
        ({"delay": 2}, "None for shape='pulse'"),
        ({"shape": "decayed", "half_life": 0}, "above 0"),
        ({"shape": "delayed", "delay": 1.5}, "whole number of days"),
    ):
        with pytest.raises(ParameterError, match=what):
            Event("e", START, **wrong)


def test_events_on_intervals_keep_days_and_intervals_together():
    ahead = forecast(nhpp(84, 1), days=7, events=[Event("x", "2023-03-29", contacts=80)], samples=20)
    assert len(ahead.starts) == 7 * len(list(HOURS))
    assert np.isclose(ahead.mean("day")["contacts"].sum(), ahead.expected.sum())
    assert (ahead.array >= 0).all()


def test_an_event_of_given_size_does_not_widen_the_error():
    days = pd.date_range("2023-01-02", periods=196)
    factor = np.where(np.isin(np.arange(196), np.arange(70, 196, 9)), 3.0, 1.0)
    mails = [Event(f"mail {k}", str(days[k].date()), lift=2.0) for k in range(70, 196, 9)]
    plain = forecast(world(np.ones(196)), days=7, samples=5)._parts.outlooks[0].error
    told = forecast(world(factor), days=7, samples=5, events=mails)._parts.outlooks[0].error
    assert told.factor < 3 * plain.factor + 0.001


def test_an_event_after_the_horizon_is_named():
    late = Event("letter", "2023-09-05", contacts=600)
    ahead = forecast(nhpp(140, 1), days=14, samples=20, method="mean-4", events=[late])
    assert any("begins after the horizon, which ends on 2023-06-04" in n for n in ahead.notes)
