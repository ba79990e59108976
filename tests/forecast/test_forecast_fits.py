"""Day forecasts remembered by content, gone on with after an interruption, the same on one process or two."""

from dataclasses import replace
from datetime import date

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import nhpp

from bposim.forecast import Event, _fits, forecast
from bposim.forecast._calendar import Holidays
from bposim.forecast._counts import read_counts
from bposim.forecast._days import Inputs


def test_the_key_is_of_all_that_a_fit_depends_on():
    history = nhpp(84, 1)
    counts, inputs = read_counts(history), Inputs("prophet", Holidays(), None, 1)
    days = pd.date_range("2023-01-02", periods=120)
    own = _fits.task(counts, 0, inputs, 7).key
    assert own == _fits.task(read_counts(history.copy()), 0, replace(inputs), 7).key
    known = pd.DataFrame({"x": np.arange(120.0)}, index=days)
    others = [
        _fits.task(counts, 0, replace(inputs, holidays=Holidays({date(2023, 2, 1): "Feast"})), 7),
        _fits.task(counts, 0, replace(inputs, events=(Event("mail", "2023-02-01"),)), 7),
        _fits.task(counts, 0, replace(inputs, regressors=known), 7),
        _fits.task(counts, 0, replace(inputs, regressors=known + 1), 7),
        _fits.task(counts, 0, replace(inputs, seed=2), 7),
        _fits.task(counts, 0, replace(inputs, method="level"), 7),
        _fits.task(counts, 0, inputs, 8),
        _fits.task(read_counts(history, {"mon-sun": "08:00-15:00"}), 0, inputs, 7),
    ]
    assert len({own, *(t.key for t in others)}) == len(others) + 1


def test_an_interrupted_call_goes_on(monkeypatch):
    counts, inputs = read_counts(nhpp(84, 2)), Inputs("mean-4", Holidays(), None, 1)
    tasks = [_fits.task(counts, 0, inputs, k) for k in (5, 6, 7)]
    _fits.forget()

    def stop(done, total, name):
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        _fits.made(tasks, 1, stop)
    fresh, whole = [], _fits._one
    monkeypatch.setattr(_fits, "_one", lambda t: fresh.append(t.ahead) or whole(t))
    _fits.made(tasks, 1)
    assert fresh == [7]
    _fits.made(tasks, 1)
    assert fresh == [7]


def test_one_process_and_two_agree():
    two = pd.concat([nhpp(84, k, kind=f"q{k}") for k in range(2)])
    arrays = []
    for workers in (1, 2):
        _fits.forget()
        arrays.append(forecast(two, days=7, samples=20, method="prophet", workers=workers).array)
    assert (arrays[0] == arrays[1]).all()
