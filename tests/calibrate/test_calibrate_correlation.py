"""Correlations of days and of their hours come back, and there is none where days are under-dispersed.

Means over simulated worlds are held to five standard errors, counts to binomial tails below 1e-6, unless said otherwise.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from bposim.calibrate.correlation import between_queues, fit_correlation, within_day

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recovery_flows import day_counts

SLOTS = np.full(102, 24)
HOURLY = np.array([101.05, 151.05, 150.19, 177.95, 198.02, 149.55, 149.28, 150.47, 120.73, 100.14, 79.62, 69.25, 60.0])


def drawn(seed, days=102, **factors):
    return day_counts(np.random.default_rng(seed), days, **({"common": 0, "own": 0, "half": 0} | factors))


def test_correlation_of_queues_comes_back():
    """Common cv 0.10 and own cv 0.08: correlation 0.01 ÷ (1.01 × 1.0064 − 1) = 0.607."""
    truth = 0.01 / (1.01 * 1.0064 - 1)
    found = []
    for seed in range(100):
        totals, weekday = drawn(seed, common=0.10, own=0.08)
        found.append(between_queues(totals[:, 10:14].sum(axis=1), weekday, ("a", "b"))[0])  # few: much of it is Poisson
    values = np.array([e.value for e in found])
    assert abs(values.mean() - truth) < 5 * values.std() / 10
    assert sum(e.low <= truth <= e.high for e in found) > 78
    assert found[0].subject == "a and b"


def test_queues_of_one_factor_go_together_and_of_two_do_not():
    same = between_queues(*_totals(drawn(1, common=0.15)), ("a", "b"))[0]
    assert same.value > 0.9
    assert same.detail == "a busy day of one is a busy day of the other"
    apart = [between_queues(*_totals(drawn(seed, own=0.15)), ("a", "b"))[0] for seed in range(60)]
    assert sum(e.low <= 0 <= e.high for e in apart) > 44
    assert abs(np.mean([e.value for e in apart])) < 0.08


def _totals(drawing):
    counts, weekday = drawing
    return counts.sum(axis=1), weekday


def test_opposite_queues():
    counts, weekday = drawn(3, days=300)
    rng = np.random.default_rng(3)
    busy = rng.gamma(25, 1 / 25, 300)
    totals = rng.poisson(np.stack([500 * busy, 500 * (2 - busy).clip(0)], axis=1)).astype(float)
    found = between_queues(totals, weekday, ("a", "b"))[0]
    assert found.high < -0.8
    assert "the scenario cannot play that" in found.detail
    assert counts.shape == (300, 24, 2)


def test_half_days_of_one_factor_are_explained_by_it():
    clear = []
    for seed in range(60):
        counts, weekday = drawn(seed, common=0.12)
        (half, _), notes = within_day(counts.sum(axis=2), weekday, SLOTS, "all")
        clear.append(half.high >= 0.999)
        if half.high >= 0.999:
            assert "one factor for the whole day explains it" in half.detail
            assert notes == []
    assert sum(clear) > 44, "95 % of the intervals reach 1"


def test_half_days_with_factors_of_their_own():
    """Day cv 0.12 and half-day cv 0.10: correlation 0.0144 ÷ (1.0144 × 1.01 − 1) = 0.587."""
    truth = 0.0144 / (1.0144 * 1.01 - 1)
    found = [within_day(*_all(drawn(seed, common=0.12, half=0.10)), SLOTS, "all") for seed in range(60)]
    values = np.array([f[0][0].value for f in found])
    assert abs(values.mean() - truth) < 5 * values.std() / 60**0.5
    assert sum(f[0][0].low <= truth <= f[0][0].high for f in found) > 44
    assert any("Half days of 'all'" in n for _, notes in found for n in notes)


def _all(drawing):
    counts, weekday = drawing
    return counts.sum(axis=2), weekday


@pytest.mark.parametrize("phi", [0.0, 0.6])
def test_neighbouring_intervals(phi):
    found = [within_day(*_all(drawn(seed, common=0.1, slot=0.15, phi=phi)), SLOTS, "all")[0][1] for seed in range(40)]
    values = np.array([e.value for e in found])
    assert abs(values.mean() - phi) < 0.05
    assert sum(e.low <= phi <= e.high for e in found) > 27


def test_no_intervals_of_their_own_are_told_as_none():
    """Risk 1 % each: 7 or more of 60 have probability below 1e-5. A short weekday must not look steadier than it is."""
    busy = 0
    for seed in range(60):
        counts, weekday = drawn(seed, common=0.1)
        table = counts.sum(axis=2)
        table[weekday == 5, 12:] = 0
        found = within_day(table, weekday, np.where(weekday == 5, 12, 24), "all")[0][1]
        busy += not found.detail.startswith("none")
        if found.detail.startswith("none"):
            assert 0.85 < float(found.detail.split("vary ")[1].split(" times")[0]) < 1.15
    assert busy < 7


def test_under_dispersed_days_have_nothing_to_correlate():
    """Day totals of variance half their mean, as in the reference's data (ratio 0.879): none, and no error."""
    rng = np.random.default_rng(9)
    counts = rng.binomial((2 * HOURLY).astype(int), 0.5, (100, 13)).astype(float)
    table = np.stack([counts, rng.binomial((2 * HOURLY).astype(int), 0.5, (100, 13))], axis=2)
    estimates, notes = fit_correlation(table, np.arange(100) % 7, np.full(100, 13), ("a", "b"))
    assert notes == []
    assert {e.value for e in estimates} == {0.0}
    assert all(e.detail.startswith("none") for e in estimates)
    assert {e.parameter for e in estimates} == {
        "correlation of day factors",
        "correlation within the day",
        "correlation of neighbouring intervals",
    }


def test_few_days_tell_nothing():
    counts, weekday = drawn(1, days=12, common=0.3)
    estimates, _ = fit_correlation(counts, weekday, np.full(12, 24), ("a", "b"))
    assert all(e.source == "assumed" and np.isnan(e.value) for e in estimates)
