"""Trends of the level, and patience whose mean lies beyond the waits seen."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.drift import drift_rows, weekly_trend
from bposim.calibrate.durations import fit_patience
from bposim.distributions import lognormal

DAYS = pd.date_range("2026-01-05", periods=70)


def test_a_trend_without_noise_is_exact():
    week = np.arange(70) // 7
    level = np.where(DAYS.day_of_week < 5, 100.0, 40.0)
    value, low, high, p, n = weekly_trend(DAYS, level * 1.03**week, level)
    assert (value, low, high) == pytest.approx((3, 3, 3))
    assert p < 1e-6
    assert n == 10
    assert np.isnan(weekly_trend(DAYS[:35], level[:35], level[:35])[0]), "five weeks are too few"


def test_trends_come_back_and_are_seldom_seen_where_there_is_none():
    """Over 400 histories of ten weeks: 95 % intervals hold the truth (380 expected, 5 errors are 22), 1 % false alarms."""
    rng = np.random.default_rng(2)
    held, alarms, seen = 0, 0, 0
    for _ in range(400):
        busy = rng.gamma(100, 0.01, 70)
        flat = rng.poisson(500 * busy).astype(float)
        value, low, high, p, _ = weekly_trend(DAYS, flat, np.full(70, 500.0))
        alarms += p < 0.01
        rising = rng.poisson(500 * busy * 1.02 ** (np.arange(70) / 7)).astype(float)
        value, low, high, p, _ = weekly_trend(DAYS, rising, np.full(70, 500.0))
        held += low <= 2 <= high
        seen += p < 0.01
        assert low < value < high
    assert 358 <= held <= 396
    assert alarms < 16
    assert seen > 200


def test_only_clear_trends_become_a_sentence():
    days = pd.DataFrame({"date": DAYS, "contact_type": "a", "expected": 500.0, "used": True})
    rng = np.random.default_rng(3)
    days["contacts"] = rng.poisson(500 * 1.04 ** (np.arange(70) / 7))
    handled = {"a": (pd.DatetimeIndex(np.repeat(DAYS, 50)), np.tile([200.0, 400.0], 1750))}
    heads = pd.DataFrame({"date": DAYS, "agent_group": "g", "hours": rng.normal(60, 2, 70), "expected": 60.0})
    estimates, notes = drift_rows(days, handled, heads)
    assert [(e.parameter, e.subject) for e in estimates] == [
        ("trend of contacts", "a"), ("trend of mean handle time", "a"), ("trend of agent-hours", "g")
    ]  # fmt: skip
    assert estimates[0].low < 4 < estimates[0].high
    assert (estimates[1].value, "no clear trend" in estimates[1].detail) == (pytest.approx(0, abs=1e-9), True)
    assert all(e.unit == "% a week" and e.n == 10 for e in estimates)
    (note,) = notes
    assert note.startswith("The level drifts: contacts of 'a' changed by +")
    # A day that was left out of the profile is left out of the trend.
    days.loc[60:, "contacts"] = 20
    days.loc[60:, "used"] = False
    assert drift_rows(days, {}, None)[0][0].value > 2


def test_handle_times_that_grow_are_noted():
    truth = datasets.voice_truth(days=70)
    log = datasets.draw_history(truth, seed=9).drop(columns="replication")
    week = (log["arrived"].dt.tz_localize(None) - pd.Timestamp("2026-01-05")).dt.days / 7
    longer = pd.to_timedelta(log["handle_s"] * 1.05**week, unit="s")
    log["ended"] = (log["answered"] + longer).where(log["outcome"] == "answered", log["ended"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bp.History.from_contacts(log.drop(columns="handle_s"), tz=truth.time_zone)
        cal = bp.calibrate(datasets.base_scenario(truth), history)
    table = cal.summary().set_index(["parameter", "subject"])
    for t in truth.contact_types:
        row = table.loc[("trend of mean handle time", t)]
        assert row["ci_low"] <= 5 <= row["ci_high"]
        assert any(f"mean handle time of {t!r} changed by +" in n for n in cal.notes)
    assert not any("drifts: contacts" in n for n in cal.notes)


# Patience beyond what was seen ---------------------------------------------------------------------------------------


def waits_of(patience, mean_wait, rng):
    wait = rng.exponential(mean_wait, len(patience))
    return np.minimum(patience, wait), patience < wait


def named(fit, what):
    return next(e for e in fit.estimates if e.parameter == what)


def test_a_mean_from_beyond_the_data_says_so():
    rng = np.random.default_rng(5)
    waits, left = waits_of(rng.exponential(300, 4000), 30, rng)
    mean = named(fit_patience(waits, left, "a"), "mean patience")
    cut = np.sort(waits)[-10]
    told = f"{100 * np.exp(-cut / mean.value):.0f} % of this mean is extrapolated: fewer than 10 waited longer than {cut:.0f} s"
    assert np.exp(-cut / mean.value) > 0.3
    assert told in mean.detail
    waits, left = waits_of(rng.exponential(60, 4000), 200, rng)
    assert "extrapolated" not in named(fit_patience(waits, left, "a"), "mean patience").detail


def test_the_restricted_mean_holds_the_truth():
    """Of 200 samples of lognormal patience 190 intervals are expected to hold E[min(X, cut)]; five errors are 16."""
    rng, law, held = np.random.default_rng(6), lognormal(mean=200, cv=1.5), 0
    for _ in range(200):
        waits, left = waits_of(law.sample(rng, 1500), 80, rng)
        found = named(fit_patience(waits, left, "a"), "restricted mean patience")
        cut = float(found.detail.split(" cut at ")[1].split(" s")[0])
        held += found.low <= float(law.limited_mean(cut)) <= found.high
        assert 50 <= (waits >= cut).sum() < 400, "a round wait that 50 contacts reached, and not much less"
    assert 174 <= held <= 200


def test_an_absurd_mean_does_not_enter_silently():
    """Half of the callers leave soon and the rest almost never: a lognormal fits, with a mean of hours or days."""
    rng = np.random.default_rng(7)
    patience = lognormal(mu=5.5, sigma=3.5).sample(rng, 20000)
    waits, left = waits_of(patience, 60, rng)
    fit = fit_patience(waits, left, "a")
    table = fit.candidates.set_index("kind")
    usual = waits.sum() / left.sum()
    assert table.loc["lognormal", "mean_s"] > 5 * usual
    assert table["aic"].idxmin() == "lognormal"
    assert not table.loc["lognormal", "mean_plausible"]
    assert not table.loc["lognormal", "chosen"]
    assert table.loc["piecewise_hazard", "chosen"], "its last hazard was seen"
    assert fit.distribution.mean < 10 * usual
    assert "lognormal fits the waits better, but its mean (" in named(fit, "mean patience").detail
    # What was taken instead follows the data as far as they go.
    for x in (10.0, 60.0, 200.0):
        assert float(fit.distribution.sf(x)) == pytest.approx(np.mean(patience > x), abs=0.03)
