"""Patience under censoring: Kaplan–Meier, laws, hazards, balking, whole seconds, aggregates against contacts."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bposim.calibrate.durations import fit_patience
from bposim.calibrate.patience import BREAKS, _counted, _product_limit, aggregate_patience
from bposim.distributions import exponential, piecewise_hazard, weibull, with_zero

PEAKS = piecewise_hazard([0, 5, 10, 45, 60], [0.002, 0.010, 0.003, 0.008, 0.004])


def draw(law, seed, n=8000, wait=90.0):
    rng = np.random.default_rng(seed)
    offered = np.where(rng.random(n) < 0.3, 0.0, rng.exponential(wait, n))
    patience = law.sample(rng, n)
    return np.minimum(patience, offered), patience < offered


def told(fit, name, subject="a"):
    (found,) = [e for e in fit.estimates if e.parameter == name and e.subject == subject]
    return found


# By hand -------------------------------------------------------------------------------------------------------------


def test_counts_and_exposure_by_hand():
    """Waits 2, 7 (hung up), 12 (hung up), 20 s: between 0, 5, 10: 0, 1, 1 abandonments in 17, 12, 12 s."""
    t, left = np.array([2.0, 7.0, 12.0, 20.0]), np.array([False, True, True, False])
    count, exposure = _counted(t, left, False, np.array([0.0, 5.0, 10.0]))
    assert count.tolist() == [0, 1, 1]
    assert exposure.tolist() == [17.0, 12.0, 12.0]


def test_abandonments_in_the_second_around_a_break_are_shared_out():
    """Nobody hangs up before second 5 or after it: those at 5 cannot be told apart and go half and half."""
    t = np.repeat([5.0, 10.0], [10, 10])
    left = t == 5
    count, _ = _counted(t, left, True, np.array([0.0, 5.0]))
    assert count.sum() == pytest.approx(10)
    rng = np.random.default_rng(1)
    law = piecewise_hazard([0.0, 5.0], [0.001, 0.02])
    patience = law.sample(rng, 200_000)
    waits = np.round(np.minimum(patience, 12.3))
    count, exposure = _counted(waits, patience < 12.3, True, np.array([0.0, 5.0]))
    # 200 × 5 s × 0.001/s and about 27,000 abandonments: five errors.
    assert count[0] / exposure[0] == pytest.approx(0.001, rel=5 / np.sqrt(count[0]) + 0.1)
    assert count[1] / exposure[1] == pytest.approx(0.02, rel=0.05)


def test_product_limit_by_hand():
    """Waits 1 (hung up), 2 (answered), 3 (hung up): 2/3, then 0; in whole seconds the one cut at 2 counts half there."""
    t, left = np.array([1.0, 2.0, 3.0]), np.array([True, False, True])
    assert _product_limit(t, left, False)["survival"].tolist() == pytest.approx([2 / 3, 2 / 3, 0.0])
    t, left = np.array([1.0, 1.0, 3.0]), np.array([True, False, False])
    assert _product_limit(t, left, False)["survival"].iloc[0] == pytest.approx(2 / 3)
    assert _product_limit(t, left, True)["survival"].iloc[0] == pytest.approx(1 - 1 / 2.5)


def test_aggregates_by_hand():
    one = aggregate_patience(np.array([30]), np.array([3600.0]), "a")
    assert one.value == pytest.approx(30.0)
    assert "120 s" in one.detail
    assert one.low < 30 < one.high
    by_day = aggregate_patience(np.arange(10, 40), np.full(30, 3600.0), "a")
    assert by_day.value == pytest.approx(24.5)
    assert by_day.high - by_day.low > 2 * 1.96 * np.sqrt(24.5 / 30), "days that differ make it wider than Poisson"
    nothing = aggregate_patience(np.array([0]), np.array([100.0]), "a")
    assert (nothing.value, nothing.low) == (0.0, 0.0)
    assert np.isfinite(nothing.high)


# Recovery ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("law", "kind"),
    [
        (exponential(240.0), "exponential"),
        (weibull(mean=240.0, shape=0.7), "weibull"),
        (weibull(mean=200.0, shape=1.5), "weibull"),
        (PEAKS, "piecewise_hazard"),
    ],
)
@pytest.mark.parametrize("rounded", [False, True])
def test_planted_patience_comes_back(law, kind, rounded):
    """Twelve histories: survival, shape and restricted mean are within their 95 % intervals in at least 75 % of 48 cases.

    Independent intervals of 92 % and more fail this with probability below 1e-4 (binomial); those of a history hang
    together, and the seeds are fixed.
    """
    hits, kinds = [], []
    for seed in range(12):
        waits, left = draw(law, seed)
        fit = fit_patience(np.round(waits) if rounded else waits, left, "a")
        kinds.append(fit.candidates.loc[fit.candidates["chosen"], "kind"].item())
        for s in (20, 60, 180):
            e = told(fit, f"still patient at {s} s")
            hits.append(e.low <= float(law.sf(float(s))) <= e.high)
        e = told(fit, "restricted mean patience")
        hits.append(e.low <= float(law.limited_mean(float(e.detail.split(" cut at ")[1].split(" s")[0]))) <= e.high)
        if kind == "weibull":
            e = told(fit, "Weibull shape of patience")
            hits.append(e.low <= law.shape <= e.high)
        assert told(fit, "balking share").value == 0
    assert np.mean(hits) >= 0.75
    assert kinds.count(kind) >= 10, kinds


def test_the_hazard_follows_its_peaks():
    waits, left = draw(PEAKS, 1, n=40_000)
    fit = fit_patience(np.round(waits), left, "a")
    hazard = {e.subject: e for e in fit.estimates if e.parameter == "hazard of patience"}
    for where, true in (("a, 0-5 s", 0.12), ("a, 5-10 s", 0.6), ("a, 30-45 s", 0.18), ("a, 45-60 s", 0.48)):
        e = hazard[where]
        assert e.value == pytest.approx(true, abs=5 * (e.high - e.low) / 3.92)
        assert e.high < 1.5 * true, "a hazard so uncertain tells nothing"
    law = fit.distribution
    assert law.kind == "piecewise_hazard"
    assert float(law.pdf(7.0) / law.sf(7.0)) > 2 * float(law.pdf(2.0) / law.sf(2.0))
    assert np.abs(np.asarray(law.sf(np.arange(1.0, 300))) - np.asarray(PEAKS.sf(np.arange(1.0, 300)))).max() < 0.02
    assert set(law.breaks) <= set(BREAKS)


def test_balking_beside_rounding():
    """10 % leave at once in a log of whole seconds, where a few more are rounded down to 0 s."""
    waits, left = draw(with_zero(0.10, exponential(60.0)), 3, n=20_000)
    share = told(fit_patience(np.round(waits), left, "a"), "balking share")
    assert share.value == pytest.approx(0.10, abs=5 * (share.high - share.low) / 3.92)
    none = told(fit_patience(np.round(draw(exponential(60.0), 3, n=20_000)[0]), draw(exponential(60.0), 3, n=20_000)[1],
                             "a"), "balking share")  # fmt: skip
    assert none.value == 0
    assert none.high < 0.001


def test_days_that_differ_widen_the_interval():
    """Half the days with patience 100 s, half with 300 s: by day the interval is half as wide again."""
    rng = np.random.default_rng(4)
    day = rng.integers(0, 40, 12_000)
    patience = rng.exponential(np.where(day % 2, 100.0, 300.0))
    offered = rng.exponential(60, 12_000)
    waits, left = np.minimum(patience, offered), patience < offered
    shape = [told(fit_patience(waits, left, "a", days=d), "Weibull shape of patience") for d in (None, day)]
    assert shape[1].value == shape[0].value
    mean = [fit_patience(waits, left, "a", days=d).estimates[0] for d in (None, day)]
    assert (mean[1].high - mean[1].low) > 1.5 * (mean[0].high - mean[0].low)


# What cannot be known ------------------------------------------------------------------------------------------------


def test_a_tail_that_nobody_saw_is_told():
    waits, left = draw(exponential(600.0), 5, wait=15.0)
    mean = fit_patience(waits, left, "a").estimates[0]
    assert mean.low < 600 < mean.high
    assert mean.high / mean.low > 1.6, "most of it is extrapolated: the interval must say so"
    assert "extrapolated" in mean.detail
    assert "at least" in mean.detail


def test_aggregates_that_mislead_are_warned_of_and_others_not():
    """Exponential patience: no warning in 30 worlds (each has less than 1 %). Weibull 0.6 and peaks: always."""
    noisy = [fit_patience(*draw(exponential(240.0), seed), "a").notes for seed in range(30)]
    assert sum(map(len, noisy)) <= 1
    for seed in range(5):
        (note,) = fit_patience(*draw(weibull(mean=240.0, shape=0.6), seed), "a").notes
        assert "heavy tail" in note
        assert "Trust the contacts" in note
    (note,) = fit_patience(*draw(with_zero(0.15, exponential(300.0)), 1), "a").notes
    assert "balking" in note
    (note,) = fit_patience(*draw(weibull(mean=200.0, shape=2.5), 1), "a").notes
    assert "sooner" in note


def test_laws_are_compared_with_all_contacts():
    waits, left = draw(PEAKS, 2)
    table = fit_patience(waits, left, "a").candidates
    assert list(table.columns) == ["kind", "aic", "ks", "mean_s", "chosen", "mean_plausible"]
    assert table["chosen"].sum() == 1
    best = table.set_index("kind")
    assert best.loc["piecewise_hazard", "ks"] < best.loc["exponential", "ks"]
    assert isinstance(table, pd.DataFrame)
