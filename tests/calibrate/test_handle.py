"""Handle time: the law by held-out likelihood, short calls beside it, contacts cut short, the course over the day."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.durations import fit_handle_time, fit_patience
from bposim.calibrate.grouped import Model, cells, fit_cells
from bposim.calibrate.handle_profile import handle_profile
from bposim.calibrate.handled import _with_open
from bposim.distributions import exponential, fit, gamma, hyperexponential, lognormal, mixture, weibull
from bposim.errors import CalibrationError


def told(fitted, name):
    (found,) = [e for e in fitted.estimates if e.parameter == name]
    return found


# Counts in cells -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "law"),
    [
        ("exponential", exponential(200.0)),
        ("weibull", weibull(shape=1.4, scale=150.0)),
        ("gamma", gamma(shape=0.6, scale=300.0)),
        ("lognormal", lognormal(mean=200.0, cv=1.1)),
    ],
)
def test_cells_give_what_the_durations_themselves_give(kind, law):
    """Estimates and errors from counts agree with those from every single censored duration."""
    rng = np.random.default_rng(3)
    patience, cut = law.sample(rng, 4000), rng.exponential(250, 4000)
    t, seen = np.minimum(patience, cut), patience <= cut
    single = fit(kind, t, seen)
    grouped = fit_cells(Model(kind), cells(t, seen, np.zeros(4000, dtype=int)))
    assert grouped.law.mean == pytest.approx(single.distribution.mean, rel=3e-3)
    assert np.sqrt(np.diag(grouped.covariance)) == pytest.approx(np.sqrt(np.diag(single._information)), rel=0.03)
    assert grouped.ks == pytest.approx(single.ks, abs=0.02)


def test_rounding_to_seconds_does_not_move_short_laws():
    """Mean 3 s in whole seconds: counted as what lies around each second, within 2 % (five errors of 50,000)."""
    rng = np.random.default_rng(4)
    t = np.round(rng.exponential(3.0, 50_000))
    grouped = fit_cells(Model("exponential"), cells(t, np.ones(len(t), dtype=bool), np.zeros(len(t), dtype=int)))
    assert grouped.law.mean == pytest.approx(3.0, rel=0.022)
    assert t[t > 0].mean() > 3.3, "what leaving the zeros out would say"


# The law -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        (lognormal(mean=300.0, cv=1.0), "lognormal"),
        (gamma(mean=300.0, cv=0.6), "gamma"),
        (weibull(mean=200.0, shape=1.6), "weibull"),
        (exponential(200.0), "exponential"),
        (hyperexponential(probabilities=[0.3, 0.7], means=[60.0, 600.0]), "hyperexponential"),
        (mixture([0.94, 0.06], [lognormal(mean=200.0, cv=1.1), exponential(5.0)]), "lognormal + short"),
    ],
)
def test_the_law_is_found(law, kind):
    """Five histories of 8,000 with fixed seeds: the true kind wins at least four times."""
    found = []
    for seed in range(5):
        rng = np.random.default_rng(seed)
        fitted = fit_handle_time(law.sample(rng, 8000), np.arange(8000) % 60, "a")
        table = fitted.candidates
        assert table["chosen"].sum() == 1
        found.append(table.loc[table["chosen"], "kind"].item())
        assert fitted.distribution.mean == pytest.approx(told(fitted, "mean handle time").value, rel=1e-9)
    assert found.count(kind) >= 4, found


def test_short_calls_are_found_and_not_invented():
    """6 % of mean 5 s come back within their interval; without any, the answer is none with a bound."""
    rng = np.random.default_rng(1)
    main, n = lognormal(mean=200.0, cv=1.1).sample(rng, 12_000), 12_000
    values = np.round(np.where(rng.random(n) < 0.06, rng.exponential(5.0, n), main))
    fitted = fit_handle_time(values, np.arange(n) % 60, "a")
    share, mean = told(fitted, "share of short calls"), told(fitted, "mean of short calls")
    assert share.low < 0.06 < share.high < 0.08
    assert mean.low < 5.0 < mean.high
    assert 8 < fitted.short_below_s < 25
    assert "mixture" in fitted.distribution.to_spec()
    assert bp.distributions.distribution(fitted.distribution.to_spec()).mean == pytest.approx(values.mean(), rel=1e-6)
    plain = fit_handle_time(np.round(main), np.arange(n) % 60, "a")
    none = told(plain, "share of short calls")
    assert (none.value, none.low) == (0.0, 0.0)
    assert none.high < 0.005
    assert none.detail.startswith("none")
    assert plain.short_below_s == 0


def test_planted_handle_times_come_back():
    """Ten histories, 40 intervals of 95 %: at least 33 hold the truth (independent ones fail with 0.005; seeds are fixed)."""
    law, hits = mixture([0.94, 0.06], [lognormal(mean=200.0, cv=1.1), exponential(5.0)]), 0
    true = {
        "mean handle time": law.mean,
        "handle time cv": law.cv,
        "share of short calls": 0.06,
        "mean of short calls": 5.0,
    }
    for seed in range(10):
        rng = np.random.default_rng((seed, 9))
        fitted = fit_handle_time(np.round(law.sample(rng, 6000)), rng.integers(0, 50, 6000), "a")
        for name, value in true.items():
            e = told(fitted, name)
            hits += e.low <= value <= e.high
            assert (e.high - e.low) / value < 0.8, f"{name}: an interval so wide tells nothing"
    assert hits >= 33


def test_zeros_beyond_rounding_are_a_mass():
    rng = np.random.default_rng(2)
    values = np.where(rng.random(6000) < 0.08, 0.0, np.round(rng.lognormal(5.3, 0.7, 6000)))
    fitted = fit_handle_time(values, np.arange(6000) % 40, "a")
    assert fitted.distribution.zero == pytest.approx((values == 0).mean())
    assert fitted.distribution.mean == pytest.approx(values.mean(), rel=1e-9)


def test_a_cap_is_censoring():
    """Handle times cut at 10 min: the law's mean is that of the uncut ones (five errors); the file's is far below."""
    rng = np.random.default_rng(5)
    whole = lognormal(mean=300.0, cv=1.0).sample(rng, 12_000)
    values = np.minimum(np.round(whole), 600.0)
    fitted = fit_handle_time(values, np.arange(12_000) % 60, "a")
    mean = told(fitted, "mean handle time")
    assert abs(mean.value - 300) < 5 * (mean.high - mean.low) / 3.92
    assert values.mean() < 0.95 * 300
    assert not mean.low < values.mean() < mean.high
    assert (~fitted.observed).sum() == (values == 600).sum()
    assert "cap" in fitted.notes[0]


def test_contacts_still_open_are_cut_short_and_forgotten_ones_left_out():
    at = pd.Timestamp("2026-03-02 09:00", tz="UTC")
    log = pd.DataFrame(
        {
            "arrived": [at] * 4,
            "answered": [at, at + pd.Timedelta("50min"), at - pd.Timedelta("10h"), pd.NaT],
            "ended": [at + pd.Timedelta("60min"), pd.NaT, pd.NaT, at],
            "outcome": ["answered", "open", "open", "abandoned"],
        }
    )
    seconds, seen, notes = _with_open(log, np.array([3600.0, np.nan, np.nan, np.nan]))
    assert seconds[:2].tolist() == [3600.0, 600.0]
    assert np.isnan(seconds[2:]).all()
    assert seen.tolist() == [True, False, False, False]
    assert "1 contacts were answered and never closed" in notes[0]


def test_nothing_completed_is_refused():
    with pytest.raises(CalibrationError, match="no contact of type 'a' was completed"):
        fit_handle_time(np.array([0.0, 0.0, 5.0]), np.arange(3), "a", observed=np.array([True, True, False]))


def test_heavy_tails_are_told():
    rng = np.random.default_rng(6)
    heavy = fit_handle_time(rng.lognormal(5, 1.2, 8000), np.arange(8000) % 40, "a")
    light = fit_handle_time(rng.gamma(4, 60, 8000), np.arange(8000) % 40, "a")
    assert "heavier than exponential" in told(heavy, "handle time in the longest 1 %").detail
    assert "heavier" not in told(light, "handle time in the longest 1 %").detail


# Over the day --------------------------------------------------------------------------------------------------------


def test_a_course_over_the_day_is_found_and_not_invented():
    """Amplitude 20 %: found; none: no false find in 40 worlds (each has less than 0.2 %)."""
    slots, n = np.arange(12), 12_000
    true = 1 + 0.2 * np.sin(slots / 12 * 2 * np.pi)
    for seed in range(40):
        rng = np.random.default_rng(seed)
        day, slot = rng.integers(0, 60, n), rng.integers(0, 12, n)
        values = rng.lognormal(5, 0.8, n) * np.exp(rng.normal(0, 0.05, 60))[day]
        flat, frame = handle_profile(values, day, slot, "a", "day")
        assert frame is None
        assert flat.value == 0
        assert flat.high < 0.08
        if seed < 5:
            found, frame = handle_profile(values * true[slot], day, slot, "a", "day")
            assert found.low < 0.2 / np.sqrt(2) < found.high
            assert frame["factor"].to_numpy() == pytest.approx(true, abs=0.09)


def world(hours):
    return bp.load_scenario(
        {
            "interval": "1h",
            "opening_hours": hours,
            "contact_types": {
                "a": {
                    "arrivals": {"rate": "40/h"},
                    "handle_time": [{"exponential": {"mean": f"{m}s"}} for m in (100, 100, 200, 200)],
                    "patience": {"exponential": {"mean": "5min"}},
                }
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 4}},
            "start": "2026-03-02",
            "days": 40,
        }
    )


@pytest.mark.filterwarnings("ignore::bposim.errors.CalibrationWarning")
def test_the_scenario_holds_the_course_where_it_can():
    truth = world({"daily": "08:00-12:00"})
    log = bp.simulate(truth, replications=1, seed=3).contacts().drop(columns=["replication", "agent", "agent_group"])
    history = bp.History.from_contacts(log, tz="UTC")
    base = truth.replace({"contact_types.a.handle_time": {"exponential": {"mean": "60s"}}})
    cal = bp.calibrate(base, history)
    means = [law.mean for law in cal.scenario.contact_types["a"].handle_time]
    assert means == pytest.approx([100, 100, 200, 200], rel=0.12)
    other = base.replace({"opening_hours": {"mon-fri": "08:00-12:00", "sat-sun": "08:00-11:00"}})
    cal = bp.calibrate(other, history)
    assert len(cal.scenario.contact_types["a"].handle_time) == 1
    (course,) = [e for e in cal.estimates if e.parameter == "handle time spread over the day"]
    assert course.value > 0.1
    assert "not in the scenario" in course.detail


# A bank, 1999 --------------------------------------------------------------------------------------------------------

LOG = Path(__file__).parents[3] / "shared" / "data" / "anonbank" / "calls_1999_jan_feb_aug.csv.gz"


@pytest.mark.skipif(not LOG.exists(), reason="the anonbank data set is not in ../shared/data")
def test_the_bank_is_as_its_documentation_says():
    """Short calls of agents who hang up, a lognormal beside them, hazard peaks, Kaplan–Meier mean about 585 s, cv of agents."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        log = bp.read_history(LOG, profile="anonbank").contacts
    day = log["arrived"].dt.tz_localize(None).dt.normalize().astype("int64").to_numpy()
    done = ((log["outcome"] == "answered") & log["handle_s"].notna()).to_numpy()
    regular = done & (log["contact_type"] == "PS").to_numpy()
    fitted = fit_handle_time(log["handle_s"].to_numpy(dtype=float)[regular], day[regular], "PS")
    best = fitted.candidates[fitted.candidates["chosen"]].iloc[0]
    assert best["kind"] == "lognormal + short"
    assert best["ks"] < 0.03
    assert told(fitted, "share of short calls").value == pytest.approx(0.05, abs=0.01)
    assert float(fitted.distribution.cdf(9.5)) == pytest.approx((fitted.data < 10).mean(), abs=0.005)
    left = (log["outcome"] == "abandoned").to_numpy()
    patience = fit_patience(log["wait_s"].to_numpy(dtype=float), left, "all", days=day)
    assert patience.estimates[0].value == pytest.approx(585, rel=0.05)
    hazard = {e.subject: e.value for e in patience.estimates if e.parameter == "hazard of patience"}
    assert hazard["all, 5-10 s"] > 1.5 * hazard["all, 0-5 s"]
    assert hazard["all, 45-60 s"] > 1.3 * hazard["all, 30-45 s"]
    assert hazard["all, 45-60 s"] > 1.8 * hazard["all, 90-120 s"]
    assert "heavy tail" in patience.notes[0]
