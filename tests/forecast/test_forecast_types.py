"""Contact types that begin or end within the history, and rare ones."""

import warnings

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import volumes

from bposim.errors import ForecastError, ForecastWarning
from bposim.forecast import Analogy, forecast


def pair(days: int, *, first: bool = False) -> pd.DataFrame:
    """Three hundred days of voice at 500, and chat at 200 on so many of them, the last or the first."""
    rng = np.random.default_rng(0)
    begin = pd.Timestamp("2023-01-02") + pd.Timedelta(days=0 if first else 300 - days)
    voice = volumes(rng.poisson(500, (300, 1)).astype(float), "2023-01-02", minutes=[0], kind="voice")
    chat = volumes(rng.poisson(200, (days, 1)).astype(float), str(begin.date()), minutes=[0], kind="chat")
    return pd.concat([voice, chat])


@pytest.mark.parametrize("method", ["prophet", "level", "mean-8"])
def test_a_young_type_is_learnt_from_its_first_day(method):
    with pytest.warns(ForecastWarning, match="history of 'chat' spans 20 days"):
        ahead = forecast(pair(20), days=14, method=method, samples=50)
    assert ahead.expected[:, 1].mean() == pytest.approx(200, rel=0.08)
    assert ahead.expected[:, 0].mean() == pytest.approx(500, rel=0.05)


def test_a_type_of_a_few_days_is_refused_with_the_ways_out():
    with pytest.raises(ForecastError, match=r"'chat' begins on .* 10 days of its own.*analogies=.*or leave it out"):
        forecast(pair(10), days=7, method="mean-4")
    ahead = forecast(pair(40), days=7, method="mean-4", samples=5, analogies={"chat": Analogy("voice", 0.4)})
    assert np.allclose(ahead.expected[:, 1], 0.4 * ahead.expected[:, 0])


def test_a_type_that_ended_is_zero_and_named():
    ahead = forecast(pair(150, first=True), days=7, method="level", samples=20)
    assert not ahead.array[:, :, 1].any() and any("'chat': had no contacts since" in n for n in ahead.notes)


def test_a_backtest_leaves_out_a_type_that_was_not_there_yet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        test = forecast(pair(40), days=7, method="mean-4", samples=20).backtest(origins=3, days=14)
    scored = test.cells.groupby("origin")["contact_type"].unique().map(sorted).tolist()
    assert scored == [["voice"], ["voice"], ["chat", "voice"]] and any("leaves out chat" in n for n in test.notes)


def test_open_intervals_never_seen_are_named():
    history = volumes(np.full((70, 4), 20.0), "2023-01-02", minutes=range(480, 720, 60))
    ahead = forecast(history, days=7, method="mean-4", samples=5, opening_hours={"mon-sun": "08:00-13:00"})
    assert any("7 open intervals of the horizon (from 12:00) were never open" in n for n in ahead.notes)


def ratio(draw, method: str, seeds: int = 12) -> float:
    """Expected contacts over those of the law, the mean over seeds."""
    found = []
    for seed in range(seeds):
        counts, mean = draw(np.random.default_rng(100 + seed))
        history = volumes(counts[:, None].astype(float), "2023-01-02", minutes=[0])
        found.append(forecast(history, days=28, samples=5, method=method).expected.mean() / mean)
    return float(np.mean(found))


@pytest.mark.parametrize("rate", [0.05, 0.3])
def test_rare_contacts_are_unbiased(rate):
    assert ratio(lambda rng: (rng.poisson(rate, 280), rate), "prophet") == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize("method", ["prophet", "level"])
def test_bursts_are_expected(method):
    def draw(rng):
        x = np.where(rng.random(280) < 0.1, rng.poisson(100, 280), rng.poisson(1, 280))
        return x, x.mean()

    assert ratio(draw, method) == pytest.approx(1, abs=0.15)


def test_a_frame_without_its_zero_days_is_warned_of():
    history = volumes(np.random.default_rng(1).poisson(1.0, (280, 1)).astype(float), "2023-01-02", minutes=[0])
    with pytest.warns(ForecastWarning, match=r"97 of .* open days have no row.*reindex.*History.from_counts"):
        forecast(history[history["contacts"] > 0], days=7, method="mean-4", samples=5)
