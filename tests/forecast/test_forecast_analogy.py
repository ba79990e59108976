"""New contact types by analogy."""

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import nhpp

from bposim.errors import ParameterError
from bposim.forecast import Analogy, Event, forecast


@pytest.fixture(scope="module")
def voice():
    return nhpp(168, 3, kind="voice", scale=4.0)


@pytest.fixture(scope="module")
def pair(voice):
    return forecast(voice, days=28, samples=500, analogies={"chat": Analogy("voice", 0.4, uncertainty=0.25)})


def test_expectation_is_the_share_of_its_model(pair):
    assert pair.contact_types == ("voice", "chat")
    assert np.allclose(pair.expected[:, 1], 0.4 * pair.expected[:, 0])
    assert any(n.startswith("'chat': has no history of its own: 0.4 times 'voice'") for n in pair.notes)
    assert not any("no contacts in the history" in n for n in pair.notes)
    row = pair.summary().set_index("contact_type").loc["chat"]
    assert row["effects"] == "like voice times 0.4 (given)"


def test_the_known_type_is_forecast_as_without(voice, pair):
    alone = forecast(voice, days=28, samples=5)
    assert np.allclose(alone.expected[:, 0], pair.expected[:, 0])


def test_paths_share_the_errors_and_add_a_level_of_their_own(pair):
    total = pair.array.sum(axis=1).astype(float)
    relative = total / pair.expected.sum(axis=0)
    # 500 lognormal levels with a deviation of 0.25, on top of what voice itself errs.
    assert abs(relative[:, 1].mean() - 1) < 0.05
    own = np.log(relative[:, 1]) - np.log(relative[:, 0])
    assert 0.2 < own.std() < 0.29
    assert abs(np.corrcoef(own, relative[:, 0])[0, 1]) < 0.25
    # Within a path, days go together once its level is taken out.
    day = pair.array.reshape(500, 28, 8, 2).sum(axis=2) / pair.expected.reshape(28, 8, 2).sum(axis=1)
    within = np.log(day) - np.log(day).mean(axis=1, keepdims=True)
    assert np.mean([np.corrcoef(w.T)[0, 1] for w in within]) > 0.7


def test_further_paths_have_levels_too(pair):
    more = pair.more(300).array[:, :, 1].sum(axis=1) / pair.expected[:, 1].sum()
    assert 0.18 < np.log(more).std() < 0.36


def test_a_few_days_of_its_own_are_not_used_and_many_refuse_the_analogy(voice):
    cut = voice["interval_start"] >= voice["interval_start"].max() - pd.Timedelta(days=9)
    few = pd.concat([voice, voice[cut].assign(contact_type="chat")])
    ahead = forecast(few, days=7, samples=5, analogies={"chat": Analogy("voice", 0.4)})
    assert np.allclose(ahead.expected[:, 1], 0.4 * ahead.expected[:, 0])
    assert any("'chat': its own 10 days" in n for n in ahead.notes)
    many = pd.concat([voice, voice.assign(contact_type="chat")])
    with pytest.raises(ParameterError, match="history has 168 days with contacts"):
        forecast(many, days=7, analogies={"chat": Analogy("voice", 0.4)})


def test_events_reach_new_types(voice):
    first = (voice["interval_start"].max() + pd.Timedelta(days=3)).date()
    like = {"chat": Analogy("voice", 0.4)}
    calm = forecast(voice, days=7, samples=5, analogies=like)
    event = Event("launch", first, contacts=70, contact_types="chat")
    moved = forecast(voice, days=7, samples=5, analogies=like, events=[event])
    assert np.allclose((moved.expected - calm.expected).sum(axis=0), [0, 70])


def test_a_backtest_is_of_what_has_a_history(pair):
    cells = pair.backtest(origins=1, days=7).cells
    assert set(cells["contact_type"]) == {"voice"}


def test_mistakes(voice):
    with pytest.raises(ParameterError, match="history of its own \\(voice\\) for 'chat'"):
        forecast(voice, days=7, analogies={"chat": Analogy("mail", 0.4)})
    with pytest.raises(ParameterError, match="a mapping such as"):
        forecast(voice, days=7, analogies={"chat": 0.4})
    with pytest.raises(ParameterError, match="above 0"):
        Analogy("voice", 0.0)


@pytest.mark.parametrize(("name", "value"), [("share", 20), ("share", 40.0), ("uncertainty", 30)])
def test_a_percentage_is_no_share(name, value):
    with pytest.raises(ParameterError, match=f"{value:g} % is {value / 100:g}"):
        Analogy(**{"like": "voice", "share": 0.2} | {name: value})
    assert Analogy(like="voice", share=1.5).share == 1.5


def test_a_lift_in_per_cent_is_refused_too():
    with pytest.raises(ParameterError, match=r"20 % is lift=0\.2"):
        Event("sale", "2024-03-04", lift=20)


def test_the_sentence_says_whose_days_were_used():
    ahead = forecast(
        nhpp(84, 3, kind="voice"), days=7, samples=10, method="mean-4", analogies={"chat": Analogy("voice", 0.4)}
    )
    told = ahead.summary().set_index("contact_type")["sentence"]
    assert "from 84 days of 'voice';" in told["chat"] and "from 84 days;" in told["voice"]
