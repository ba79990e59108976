"""Special days: found with their effect, kept out of the profile where it is clear, told alone where there is one."""

from __future__ import annotations

import warnings
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.short_abandons import fit_short_abandons
from bposim.calibrate.special_days import AFTER, BEFORE, around_closed, fit_special_days, read_special_days
from bposim.errors import CalibrationError

FIRST = date(2026, 1, 5)


def frame(rng, named, effect, cv=0.1, days=98, level=400):
    dates = [FIRST + timedelta(days=k) for k in range(days)]
    weekday = {d: d.weekday() for d in dates}
    mean = np.array([1.3, 1.1, 1.0, 1.0, 0.9, 0.5, 0.4])[[weekday[d] for d in dates]] * level
    special = np.isin(np.array(dates), [d for v in named.values() for d in v])
    busy = rng.gamma(cv**-2, cv**2, days) * np.where(special, effect, 1.0)
    table = pd.DataFrame(
        {
            "date": pd.to_datetime(dates),
            "contact_type": "a",
            "contacts": rng.poisson(mean * busy).astype(float),
            "used": True,
        }
    )
    return table, weekday


def test_intervals_cover_and_effects_are_found():
    """Three paydays with 1.3 times the contacts: 95 % intervals over 200 histories, and 1 % of false alarms without."""
    named = {"payday": tuple(FIRST + timedelta(days=k) for k in (25, 53, 88))}
    covered, sure, values = 0, 0, []
    for seed in range(200):
        (e,), _, clear = fit_special_days(*frame(np.random.default_rng(seed), named, 1.3), named)
        covered += e.low <= 1.3 <= e.high
        sure += bool(clear)
        values.append(e.value)
    assert 0.88 * 200 < covered <= 200
    assert sure > 110
    assert abs(np.mean(values) - 1.3) < 5 * np.std(values) / 200**0.5
    false = sum(
        bool(fit_special_days(*frame(np.random.default_rng(seed), named, 1.0), named)[2]) for seed in range(200)
    )
    assert false <= 12


def test_one_day_is_told_without_an_interval():
    named = {"strike": (FIRST + timedelta(days=30),)}
    (e,), notes, clear = fit_special_days(*frame(np.random.default_rng(1), named, 3.0), named)
    assert e.value == pytest.approx(3, rel=0.4)
    assert np.isnan(e.low)
    assert "one day only (2026-02-04)" in e.detail
    assert clear == set()
    assert notes == []


def test_days_around_closed_ones_by_hand():
    every = [FIRST + timedelta(days=k) for k in range(60)]
    closed = [date(2026, 1, 20)]
    missing = [date(2026, 2, 2), date(2026, 2, 3), *[date(2026, 2, 10) + timedelta(days=k) for k in range(6)]]
    open_days = [d for d in every if d not in {*closed, *missing}]
    found = around_closed(open_days, closed, missing)
    assert found[BEFORE] == (date(2026, 1, 19), date(2026, 2, 1))
    assert found[AFTER] == (date(2026, 1, 21), date(2026, 2, 4)), "six missing days in a row are a gap, no holiday"
    assert around_closed([], closed, missing) == {}


def test_names_and_dates_are_read_or_refused():
    assert read_special_days(["2026-03-31", date(2026, 2, 27)]) == {
        "special day": (date(2026, 2, 27), date(2026, 3, 31))
    }
    assert read_special_days({"payday": "2026-03-31"}) == {"payday": (date(2026, 3, 31),)}
    assert read_special_days(None) == {}
    with pytest.raises(CalibrationError, match="which is no date") as caught:
        read_special_days({"payday": ["soon", "2026-03-31"], "x": ["later"]})
    assert len(caught.value.problems) == 2


def test_clear_special_days_stay_out_of_the_profile():
    rng = np.random.default_rng(5)
    days = pd.bdate_range("2026-01-05", periods=60)
    paydays = [days[k] for k in (15, 35, 55)]  # Mondays
    counts = rng.poisson(np.where(days.isin(paydays), 600, 300))
    at = (
        np.repeat(days.to_numpy(), counts)
        + pd.to_timedelta(rng.integers(8 * 3600, 18 * 3600, counts.sum()), unit="s").to_numpy()
    )
    log = pd.DataFrame({"contact_type": "a", "arrived": np.sort(at)})
    log = log.assign(
        answered=log["arrived"],
        ended=log["arrived"] + pd.Timedelta("2min"),
        outcome="answered",
        contact_id=range(len(log)),
    )
    history = bp.History.from_contacts(log, tz="UTC")
    base = bp.load_scenario(
        {
            "opening_hours": {"mon-fri": "08:00-18:00"},
            "contact_types": {"a": {"arrivals": {"rate": "1/h"}, "handle_time": {"exponential": {"mean": "100s"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 5}},
        }
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cal = bp.calibrate(base, history, special_days={"payday": paydays})
        plain = bp.calibrate(base, history)
    effect = next(e for e in cal.estimates if e.parameter == "special day")
    assert effect.subject == "a, payday"
    assert effect.low < 2 < effect.high
    assert cal.arrivals.special == tuple(d.date() for d in paydays)
    monday = sum(cal.scenario.contact_types["a"].arrivals.per_interval[0])
    assert monday == pytest.approx(300, abs=25)
    assert sum(plain.scenario.contact_types["a"].arrivals.per_interval[0]) > 320 or len(plain.arrivals.unusual) == 3
    assert any("payday of 'a'" in n for n in cal.notes)


def test_short_abandons_by_hand():
    at = pd.date_range("2026-03-02 09:00", periods=80, freq="30min", tz="UTC")
    log = pd.DataFrame(
        {"contact_type": "a", "arrived": at, "outcome": ["abandoned", "answered"] * 40, "wait_s": np.arange(80) / 2}
    )
    five, ten = fit_short_abandons(log, ("a", "b"))
    assert five.parameter == "short abandons within 5s"
    assert (five.value, ten.value) == (6 / 40, 11 / 40), "waits 0, 1, 2, … s of those who hung up"
    assert five.low < 6 / 40 < five.high
    assert "7.5 % of all contacts" in five.detail
    none = fit_short_abandons(log.assign(wait_s=99.0), ("a",))[0]
    assert (none.value, none.low) == (0.0, 0.0)
    assert 0 < none.high < 0.1
