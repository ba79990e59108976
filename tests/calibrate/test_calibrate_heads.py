"""The day factor of heads: planted ones come back, none is found where there is none, rounding is no factor."""

from __future__ import annotations

import warnings
from dataclasses import replace
from datetime import date, timedelta

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.heads import (
    HeadsFit,
    RoundedHeads,
    _common_to_weeks,
    fit_heads,
    heads_changes,
    heads_factors,
    replay_errors,
)
from bposim.errors import ParameterError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
HISTORIES = 20


def centre(cv=0.0, days=35, heads=(6, 9, 11, 9, 11, 7)):
    """Return a small centre: one queue, one group, six open hours on every day."""
    factor = {"gamma": {"cv": cv}} if cv else None
    return bp.load_scenario(
        {
            "name": "small", "time_zone": "UTC", "start": "2026-01-05", "days": days, "interval": "1h",
            "opening_hours": {"daily": "09:00-15:00"}, "day_factor": {"gamma": {"cv": 0.08}},
            "contact_types": {"a": {"arrivals": {"per_interval": {"daily": [60, 95, 110, 95, 110, 70]}},
                                    "handle_time": {"exponential": {"mean": "5min"}},
                                    "patience": {"exponential": {"mean": "3min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": {"daily": list(heads)}, "day_factor": factor}},
        }
    )  # fmt: skip


def factor_of(log, truth):
    """Return the estimates and notes about heads alone: what calibrate() does, without fitting the rest."""
    estimates, notes = [], []
    last = truth.start + timedelta(days=truth.days - 1)
    fit = fit_heads(log, truth, truth.start, last, set(), None, [], notes)
    steady = truth.replace(heads_changes(fit, DAYS))
    busy = pd.Series(1.0, index=fit.days["date"])
    heads_factors(fit, replay_errors(fit, steady, log), busy, estimates, notes)
    return next(e for e in estimates if e.parameter == "day factor of heads cv"), notes


@pytest.mark.parametrize("cv", [0.0, 0.12])
def test_a_planted_day_factor_of_heads_comes_back(cv):
    """Over 20 histories: none in at least 95 % where there is none, else the interval holds the truth in 87 % or more."""
    truth = centre(cv)
    found = [factor_of(datasets.draw_history(truth, seed=300 + k), truth)[0] for k in range(HISTORIES)]
    values = np.array([e.value for e in found])
    assert all(e.source == "estimated" and e.n == truth.days for e in found)
    if cv == 0:
        none = [e.value == 0 and e.low == 0 and 0 < e.high < 0.1 and e.detail.startswith("none") for e in found]
        assert np.mean(none) >= 0.95
        return
    held = np.mean([e.low <= cv <= e.high for e in found])
    assert held >= 0.87
    assert np.mean([e.high - e.low for e in found]) < 0.1, "an interval from 0 to 1 would hold it too"
    assert abs(values.mean() / cv - 1) < 0.08
    assert np.mean([e.low > 0 for e in found]) > 0.9, "an interval that reaches 0 would always hold the truth"


def test_the_factor_enters_the_scenario_and_the_summary():
    truth = datasets.voice_truth(days=84, heads_cv=0.15)
    log = datasets.draw_history(truth, seed=4).drop(columns="replication")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cal = bp.calibrate(datasets.base_scenario(truth), bp.History.from_contacts(log, tz=truth.time_zone))
    table = cal.summary().set_index(["parameter", "subject"])
    for g, group in cal.scenario.agent_groups.items():
        row = table.loc[("day factor of heads cv", g)]
        assert row["source"] == "estimated"
        assert row["ci_low"] <= 0.15 <= row["ci_high"]
        assert group.day_factor.cv == pytest.approx(row["value"], rel=1e-4)
        assert ("correlation of a day's heads and contacts", g) in table.index
    assert bp.load_scenario(cal.scenario.to_yaml()) == cal.scenario
    axes = cal.plot()
    assert len(axes) == 4
    assert axes[3].get_legend_handles_labels()[1][0].startswith("billing_team: day factor cv 0.1")


def test_steady_heads_have_no_factor_and_a_bound():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        cal = bp.calibrate(datasets.base_scenario(), datasets.load("voice"))
    assert all(g.day_factor is None for g in cal.scenario.agent_groups.values())
    found = [e for e in cal.estimates if e.parameter == "day factor of heads cv"]
    assert len(found) == 3
    assert all(e.detail.startswith("none") and 0 < e.high < 0.05 for e in found)


def test_few_days_tell_nothing_about_staffing():
    truth = centre(0.3, days=14)
    found, _ = factor_of(datasets.draw_history(truth, seed=1), truth)
    assert (found.value, found.source) == (0.0, "assumed")


def test_without_agents_the_base_keeps_its_factor():
    truth = centre(0.2)
    log = datasets.draw_history(truth, seed=1).drop(columns=["replication", "agent", "agent_group"])
    with pytest.warns(bp.errors.CalibrationWarning, match="heads on duty"):
        cal = bp.calibrate(truth, bp.History.from_contacts(log, tz="UTC"))
    assert cal.scenario.agent_groups["g"].day_factor.cv == pytest.approx(0.2)
    (told,) = [e for e in cal.estimates if e.parameter == "day factor of heads cv"]
    assert (told.source, told.value) == ("assumed", pytest.approx(0.2))


def test_rounding_by_hand():
    """Two and a half heads: two or three, each half the time, so a variance of 1/4 over 2.5²; whole heads have none."""
    assert RoundedHeads({0: [2.5]}, np.eye(7)[0]).of(0.0) == pytest.approx(0.25 / 2.5**2)
    assert RoundedHeads({0: [3.0, 5.0]}, np.eye(7)[0]).of(0.0) == 0
    # Spread over many levels a head rounds like a uniform variable: 1/12.
    wide = RoundedHeads({0: [40.0]}, np.eye(7)[0])
    assert wide.of(0.2) == pytest.approx(1 / 6 / 40**2, rel=0.2)  # E f(1 − f) of a uniform fraction
    assert wide.cv(0.04 + wide.of(0.2)) == pytest.approx(0.2, rel=0.01)


def test_rounding_is_no_day_factor():
    """Heads of one and a half are two on one day and one on the next in a simulation: the same spread without a factor."""
    truth = centre(heads=(6.5, 9.5, 11.5, 9.5, 11.5, 7.5))
    found = [factor_of(datasets.draw_history(truth, seed=k), truth)[0].value for k in range(10)]
    assert max(found) == 0


def test_replays_tell_the_noise_of_inference():
    """Heads are known here, so what inference gets wrong is known too: replays find its size, and more where it is quiet."""
    sizes = []
    for share in (1.0, 0.35):
        busy = centre(days=56)
        calls = [round(n * share) for n in (60, 95, 110, 95, 110, 70)]
        truth = busy.replace({"contact_types.a.arrivals": {"per_interval": {"daily": calls}}})
        told, wrong = [], []
        for seed in range(1, 6):  # a few bad days make most of the size: one history's own varies by a half
            log = datasets.draw_history(truth, seed=seed)
            fit = fit_heads(log, truth, truth.start, truth.start + timedelta(days=55), set(), None, [], [])
            wrong.append(fit.days["hours"].to_numpy() - 53.0)
            told.append(replay_errors(fit, truth.replace(heads_changes(fit, DAYS)), log)["g"])
            assert told[-1].shape == (4, 56)
        assert np.std(told) == pytest.approx(np.std(wrong), rel=0.35)
        sizes.append(np.std(told))
    assert sizes[1] > 1.7 * sizes[0]


def test_noise_of_inference_is_no_day_factor():
    rng = np.random.default_rng(4)
    dates = pd.date_range("2026-01-05", periods=56)
    hours = 60 * (1 + rng.normal(0, 0.06, 56))
    table = pd.DataFrame({"date": dates, "weekday": dates.day_of_week, "agent_group": "g", "hours": hours,
                          "expected": 60.0, "ratio": hours / 60})  # fmt: skip
    fit = HeadsFit({"g": {d: [10.0] * 6 for d in range(7)}}, table, {"g": 0.0}, None, True)
    busy = pd.Series(rng.normal(1, 0.1, 56), index=dates)
    assert heads_factors(fit, {"g": np.zeros((4, 56))}, busy, [], [])["g"] == pytest.approx(0.06, abs=0.02)
    assert heads_factors(fit, {"g": rng.normal(0, 3.6, (4, 56))}, busy, [], [])["g"] == 0


def test_weeks_that_hang_together_are_told():
    rng = np.random.default_rng(3)
    weeks = np.repeat(np.arange(12), 5)
    apart = [_common_to_weeks(rng.normal(0, 0.1, 60), weeks) > 0 for _ in range(300)]
    assert np.mean(apart) < 0.04  # 1 %; 12 or more of 300 have probability 1e-4
    alike = _common_to_weeks(rng.normal(0, 0.1, 12)[weeks] + rng.normal(0, 0.05, 60), weeks)
    assert 0.5 < alike < 0.95
    assert _common_to_weeks(np.ones(10), np.repeat([0, 1], 5)) == 0


def test_staffing_that_moves_by_weeks_is_noted():
    level = np.random.default_rng(8).normal(1, 0.15, 8)
    parts = []
    for k, up in enumerate(level):
        heads = tuple(np.round(np.array([12, 18, 22, 18, 22, 14]) * up))
        week = centre(days=7, heads=heads).replace(start=date(2026, 1, 5) + timedelta(days=7 * k))
        parts.append(datasets.draw_history(week, seed=k))
    found, notes = factor_of(pd.concat(parts, ignore_index=True), centre(days=56, heads=(12, 18, 22, 18, 22, 14)))
    assert found.low <= 0.15 <= found.high
    assert "common to the days of a week" in found.detail
    assert any("differs from week to week" in n and "steadier" in n for n in notes)


# The back-test -------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def changed():
    """A calibration on steady heads, and weeks with a third fewer."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        truth = centre(days=42)
        log = datasets.draw_history(truth, seed=2).drop(columns="replication")
        cal = bp.calibrate(truth, bp.History.from_contacts(log, tz="UTC"))
        later = centre(days=14, heads=(4, 6, 7, 6, 7, 5)).replace(start=date(2026, 2, 16))
        short = datasets.draw_history(later, seed=3).drop(columns="replication")
        return cal, bp.History.from_contacts(short, tz="UTC")


def test_the_backtest_shows_what_the_promise_rests_on(changed):
    cal, short = changed
    done = cal.backtest(short, replications=30)
    assert done.heads == "observed"
    assert done.verdict == "pass", done
    assert done.profile.verdict == "fail"
    assert "service_level" in done.profile.reason
    assert done.beside.startswith("With the heads that the scenario expects instead of those on duty: fail. ")
    assert done.beside in repr(done)
    table = done.summary().set_index(["heads", "metric"])
    assert (
        table.loc[("profile", "service_level 20s"), "simulated"]
        > table.loc[("observed", "service_level 20s"), "simulated"] + 0.2
    )
    assert table.loc[("profile", "asa"), "observed"] == table.loc[("observed", "asa"), "observed"]
    alone = cal.backtest(short, replications=30, heads="profile")
    pd.testing.assert_frame_equal(alone.frame, done.profile.frame)
    assert (alone.verdict, alone.profile, alone.heads) == ("fail", None, "profile")
    with pytest.raises(ParameterError, match="'observed' or 'profile'"):
        cal.backtest(short, heads="planned")


def test_the_profile_view_draws_the_day_factor(changed):
    cal, short = changed
    wide = cal.scenario.replace({"agent_groups.g.day_factor": {"gamma": {"cv": 0.3}}})
    steady = cal.backtest(short, replications=40, heads="profile").frame
    spread = replace(cal, scenario=wide).backtest(short, replications=40, heads="profile").frame
    assert ((spread["high"] - spread["low"]) > 1.5 * (steady["high"] - steady["low"])).all()
