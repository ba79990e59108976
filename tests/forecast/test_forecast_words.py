"""What a forecast says of itself: the method taken, days masked, weeks, and holidays in the picture."""

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from forecast_worlds import day_counts, nhpp

from bposim.forecast import forecast

mpl.use("Agg")


def test_the_summary_tells_the_method_that_auto_took():
    rng = np.random.default_rng(1)
    # A level that jumps every few weeks is repeated better than smoothed.
    days = pd.date_range("2023-01-02", periods=250)
    steps = np.repeat(rng.uniform(100, 900, 50), 5)[:250]
    jumps = day_counts(pd.Series(rng.poisson(steps), index=days), "UTC", "jumps")
    ahead = forecast(jumps, days=7, method="auto", samples=5)
    table = ahead.summary().set_index("contact_type")
    note = next(n for n in ahead.notes if "auto" in n)
    assert table.loc["jumps", "method"] in note and table.loc["jumps", "method"] != "auto"
    assert forecast(jumps, days=7, method="mean-4", samples=5).summary()["method"].tolist() == ["mean-4"]


def test_outlying_days_are_named():
    history = nhpp(168, 5, cv=0.03)
    wild = history["interval_start"].dt.date.astype(str) == "2023-05-10"
    history.loc[wild, "contacts"] *= 5
    ahead = forecast(history, days=7, samples=20)
    assert any("1 outlying days were masked and not learnt (2023-05-10)" in n for n in ahead.notes)
    assert ahead.summary()["masked"].tolist() == ["2023-05-10"]


def test_weeks_are_said_to_begin_where_they_do():
    ahead = forecast(nhpp(112, 3), start="2023-04-19", days=14, samples=20, method="mean-4")
    assert ahead.mean("week")["week"].dt.day_of_week.eq(0).all()
    test = ahead.backtest(origins=["2023-04-05"], days=14)
    assert test.cells.loc[test.cells["by"] == "week", "window_start"].dt.day_of_week.eq(2).all()
    assert "weeks and months begin at the origin" in repr(test)


@pytest.mark.parametrize("by", ["interval", "day"])
def test_the_picture_names_public_holidays(by):
    ahead = forecast(nhpp(112, 3), days=14, samples=20, method="mean-4", country="PH")
    ax = ahead.plot(by=by)
    assert [t.get_text() for t in ax.texts] == ["Labor Day"]  # 1 May 2023, the horizon begins on 24 April
    assert "public holiday" in [t.get_text() for t in ax.get_legend().get_texts()]
    ax.set_xlim(ax.get_xlim()[0], ax.get_xlim()[0] + 0.5)  # names out of view do not stretch the figure
    ax.figure.canvas.draw()
    assert ax.figure.get_tightbbox().width < 1.1 * ax.figure.get_figwidth()
    bare = forecast(nhpp(112, 3), days=14, samples=20, method="mean-4").plot(by=by)
    assert not bare.texts and "public holiday" not in [t.get_text() for t in bare.get_legend().get_texts()]
