"""Days that the quality rules call broken, an outage or a cut last day: not learnt by any method, not scored, and named."""

from datetime import date

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import nhpp

from bposim.forecast import forecast
from bposim.history import History

OUT = date(2023, 6, 7)


def half_days(frame, *days, hours=(11, 12, 13, 14)):
    """The history with no contacts in some hours of some days."""
    local = frame["interval_start"].dt
    hole = local.date.isin(days)
    return frame.assign(contacts=frame["contacts"].where(~(hole & local.hour.isin(hours)), 0))


def series_of(frame):
    return frame.set_index("interval_start")["contacts"]


def steady():
    return nhpp(168, 5, cv=0.03)  # to 2023-06-18, a Sunday


METHODS = ("prophet", "seasonal-naive", "mean-4", "level")


@pytest.mark.parametrize("method", METHODS)
def test_an_outage_is_not_learnt(method):
    good = steady()
    last = date(2023, 6, 14)
    mine, clean = (forecast(f, days=7, samples=200, method=method) for f in (half_days(good, last), good))
    wednesday = [f.mean("day")["contacts"].iloc[2] for f in (mine, clean)]
    assert wednesday[0] == pytest.approx(wednesday[1], rel=0.12)
    noon = [f.mean()["contacts"].iloc[16:24].to_numpy()[3:7].sum() for f in (mine, clean)]
    assert noon[0] == pytest.approx(noon[1], rel=0.15)
    assert any("an outage: 2023-06-14" in n for n in mine.notes)
    assert mine.summary()["days_masked"].iloc[0] >= 1


@pytest.mark.parametrize("method", METHODS)
def test_bands_do_not_learn_from_outages(method):
    good = steady()
    holes = [date(2023, 3, 8), date(2023, 4, 3), date(2023, 4, 27), date(2023, 5, 16), date(2023, 6, 9)]
    mine, clean = (forecast(f, days=7, samples=400, method=method).summary()["day_cv"].iloc[0]
                   for f in (half_days(good, *holes), good))  # fmt: skip
    assert mine == pytest.approx(clean, rel=0.15)


@pytest.mark.parametrize("method", METHODS)
def test_a_cut_last_day_is_not_learnt(method):
    good = steady()
    cut = good[~((good["interval_start"].dt.date == date(2023, 6, 18)) & (good["interval_start"].dt.hour > 9))]
    mine, clean = (forecast(f, days=7, samples=50, method=method) for f in (cut, good))
    assert mine.start == clean.start
    sunday = [f.mean("day")["contacts"].iloc[-1] for f in (mine, clean)]
    assert sunday[0] == pytest.approx(sunday[1], rel=0.15)
    assert any("cut off at the edge of the data: 2023-06-18" in n for n in mine.notes)


def test_a_broken_day_is_scored_on_neither_side_and_named():
    good = steady()
    test = forecast(half_days(good, OUT), days=7, samples=50, method="mean-4").backtest(origins=["2023-06-05"])
    for method, part in test.cells[test.cells["measure"] == "volume"].groupby("method"):
        days, week = part[part["by"] == "day"], part[part["by"] == "week"]
        assert len(days) == 6 and OUT not in set(days["window_start"].dt.date), method
        assert week["expected"].iloc[0] == pytest.approx(days["expected"].sum())
        assert week["actual"].iloc[0] == days["actual"].sum()
    assert [n for n in test.notes if "2023-06-07" in n and "Not scored" in n]
    assert not any("have no counts" in n for n in test.notes)


def test_masks_at_an_origin_see_nothing_after_it():
    # The last day before the origin is no edge of the file, and later Wednesdays tell nothing of it.
    history = half_days(steady(), OUT, date(2023, 5, 10))
    later = history["interval_start"].dt.date >= date(2023, 5, 29)
    altered = history.copy()
    altered.loc[later, "contacts"] = altered.loc[later, "contacts"] * 3 + 7
    for method in ("mean-4", "level"):
        a, b, then = (
            forecast(h, start="2023-05-29", days=7, samples=40, method=method)
            for h in (history, altered, history[~later])
        )
        assert (a.array == b.array).all() and (a.array == then.array).all()
        assert a.notes == b.notes == then.notes
        assert any("2023-05-10" in n for n in a.notes) and not any(str(OUT) in n for n in a.notes)


def test_a_day_accepted_as_it_is_is_learnt_and_scored():
    frame = half_days(steady(), OUT)
    history = History.from_counts(series_of(frame), tz="Asia/Manila")
    assert history.check().count("outage_day") == 1
    plain, trusted = (forecast(h, days=7, samples=20, method="mean-4") for h in (history, history.accept("outage_day")))
    assert any(str(OUT) in n for n in plain.notes) and not any(str(OUT) in n for n in trusted.notes)
    assert trusted.mean("day")["contacts"].iloc[2] < 0.95 * plain.mean("day")["contacts"].iloc[2]
    cells = trusted.backtest(origins=["2023-06-05"]).cells
    assert OUT in set(cells.loc[cells["by"] == "day", "window_start"].dt.date)


def test_auto_does_not_judge_methods_by_broken_days():
    from bposim.forecast._auto import trial
    from bposim.forecast._calendar import Holidays
    from bposim.forecast._counts import read_counts
    from bposim.forecast._days import Inputs

    counts = read_counts(half_days(steady(), date(2023, 6, 14)))
    found = trial(counts, 0, Inputs("auto", Holidays(), None, 1), 7)
    assert [len(c) for c in found.came][:2] == [6, 7]


def test_the_forecast_and_the_report_name_the_same_days():
    rng = np.random.default_rng(11)
    days = sorted(rng.choice(pd.date_range("2023-01-10", "2023-06-10").date, 6, replace=False))
    frame = half_days(steady(), *days)
    told = History.from_counts(series_of(frame), tz="Asia/Manila").check()
    assert told.count("outage_day") == 6
    ahead = forecast(frame, days=7, samples=5, method="mean-4")
    note = next(n for n in ahead.notes if "an outage" in n)
    assert all(str(d) in note for d in days)


def test_broken_days_are_told_once_for_each_origin(monkeypatch):
    from bposim.history import days

    seen, told = [], days.broken_days
    monkeypatch.setattr(days, "broken_days", lambda panel: seen.append(len(panel.day)) or told(panel))
    forecast(steady(), days=7, samples=5, method="level").backtest(origins=3, days=7)
    assert seen and len(seen) == len(set(seen))


def two_types(*days):
    """The steady type beside one of twice its size that falls silent for some hours of some days."""
    good = steady().assign(contact_type="calls")
    rng = np.random.default_rng(3)
    chats = good.assign(contact_type="chats", contacts=rng.poisson(2 * good["contacts"]))
    return pd.concat([good, half_days(chats, *days)], ignore_index=True)


@pytest.mark.parametrize("method", METHODS)
def test_an_outage_of_one_type_while_others_run_is_not_learnt(method):
    last = date(2023, 6, 14)
    mine, clean = (forecast(two_types(*d), days=7, samples=200, method=method) for d in ((last,), ()))
    for name, within in (("calls", 1e-9), ("chats", 0.12)):
        days = [f.mean("day") for f in (mine, clean)]
        wednesday = [d.loc[d["contact_type"] == name, "contacts"].iloc[2] for d in days]
        assert wednesday[0] == pytest.approx(wednesday[1], rel=within)
    assert any("'chats': not learnt, an outage while other types ran: 2023-06-14" in n for n in mine.notes)
    assert not any("an outage" in n for n in clean.notes)
