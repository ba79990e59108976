"""Leaving early because many wait."""

from __future__ import annotations

import numpy as np
import pytest

import bposim as bp
from bposim.calibrate.balking import balking_changes, fit_balking, fit_queues, queue_met


def test_the_queue_that_a_contact_meets_counts_those_who_still_wait():
    arrived = np.array([0, 10, 20, 30, 100])
    left = np.array([50, 15, 60, 40, 100])
    waited = np.array([True, True, True, True, False])
    # at 10 the first waits; at 20 too, the second has gone at 15; at 30 two wait; at 100 nobody
    assert queue_met(arrived, left, waited).tolist() == [0, 1, 1, 2, 0]


def sample(rng, n, deters):
    """Waits of contacts with exponential patience (300 s), of whom a share leaves within a minute where many wait."""
    queue = rng.poisson(4, n)
    patience = rng.exponential(300.0, n)
    if deters:
        chance = np.select([queue >= 6, queue >= 3], [0.35, 0.15], 0.0)
        early = rng.random(n) < chance
        patience = np.where(early, np.minimum(patience, rng.uniform(0, 40, n)), patience)
    offered = rng.exponential(120.0, n) * (1 + queue) / 5
    return np.minimum(patience, offered), patience <= offered, queue


def test_planted_steps_come_back():
    waits, left, queue = sample(np.random.default_rng(1), 20_000, deters=True)
    fit = fit_balking(waits, left, queue, "a")
    steps = dict(fit.steps)
    assert min(steps) == 3
    assert steps[3] == pytest.approx(0.15, abs=0.03)
    assert steps[max(steps)] == pytest.approx(0.35, abs=0.04)
    assert fit.patience is not None and fit.patience.mean == pytest.approx(300, rel=0.12)
    inside = fit.table[(fit.table["queue"] >= 6)]
    assert ((inside["ci_low"] <= 0.36) & (inside["ci_high"] >= 0.34)).mean() > 0.5


def test_who_leaves_later_than_at_once_is_told_for_the_rules_of_short_abandons():
    """Those deterred hang up at any time of 40 s alike: an eighth has gone by 5 s, a quarter by 10 s."""
    rng = np.random.default_rng(4)
    waits, left, queue = sample(rng, 40_000, deters=True)
    fit = fit_balking(waits, left, queue, "a")
    deterred = np.select([queue >= 6, queue >= 3], [0.35, 0.15], 0.0).mean()
    assert fit.moved[5][0] == pytest.approx(deterred * 7 / 8, rel=0.1)
    assert fit.moved[10][0] == pytest.approx(deterred * 3 / 4, rel=0.1)
    assert (
        f"{100 * fit.moved[5][0]:.1f} % of all contacts for a limit of 5 s and {100 * fit.moved[10][0]:.1f} %"
        in fit.note("a")
    )


def test_where_the_deterred_leave_at_once_nothing_is_said_of_the_rules_of_short_abandons():
    """At three standard errors a sample, one or two limits each, more than two alarms of 30 have probability below 1e-4."""
    rng = np.random.default_rng(4)
    alarms, z = 0, []
    for _ in range(30):
        queue = rng.poisson(4, 20_000)
        chance = np.select([queue >= 6, queue >= 3], [0.35, 0.15], 0.0)
        patience, offered = rng.exponential(300.0, 20_000), rng.exponential(120.0, 20_000) * (1 + queue) / 5
        patience = np.where(rng.random(20_000) < chance, 0.5, patience)
        fit = fit_balking(np.minimum(patience, offered), patience <= offered, queue, "a")
        assert fit.steps and fit.note("a").startswith("'a' leaves early")
        alarms += "excl_short" in fit.note("a")
        z.append(fit.moved[5][0] / fit.moved[5][1])
    assert alarms <= 2
    assert max(z) > 0.2  # the standard error is of the size of what chance moves, not far above it


def test_no_queue_deters_where_patience_does_not_know_the_queue():
    """At a risk of 0.001 a sample, five or more of 300 false alarms have probability below 1e-4."""
    rng = np.random.default_rng(2)
    alarms = sum(bool(fit_balking(*sample(rng, 2000, deters=False), "a").steps) for _ in range(300))
    assert alarms < 5


def test_a_hazard_that_rises_within_the_minute_is_no_queue_that_deters():
    """Those who meet long queues wait longer, so that they reach the dangerous seconds more often; 200 samples as above."""
    rng = np.random.default_rng(12)
    alarms = 0
    for _ in range(200):
        queue = rng.poisson(4, 2000)
        calm = rng.exponential(2000.0, 2000)
        patience = np.where(calm > 40, 40 + rng.exponential(60.0, 2000), calm)
        offered = rng.exponential(15.0, 2000) * (1 + queue)
        alarms += bool(fit_balking(np.minimum(patience, offered), patience <= offered, queue, "a").steps)
    assert alarms < 5


def test_few_contacts_tell_nothing():
    waits, left, queue = sample(np.random.default_rng(3), 200, deters=True)
    assert fit_balking(waits, left, queue, "a").steps == ()


@pytest.fixture(scope="module")
def world():
    return bp.load_scenario(
        {
            "name": "line", "time_zone": "UTC", "start": "2026-01-05", "days": 20, "opening_hours": {"daily": "08:00-18:00"},
            "contact_types": {
                "a": {
                    "arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "5min"}},
                    "patience": {"exponential": {"mean": "400s"}},
                    "balking": [{"queue": 2, "probability": 0.2}, {"queue": 4, "probability": 0.5}], "balking_queue": "all",
                },
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 5}},
        }
    )  # fmt: skip


def test_a_simulated_operation_gives_its_steps_back(world):
    """The class of two and three waiting, and of four and more, of some 9,000 contacts that waited."""
    contacts = bp.simulate(world, replications=1, seed=4, progress=False).contacts()
    found = fit_queues(contacts, ["a"], 30)
    table = found["a"].table.set_index("queue")
    assert table.loc[2, "ci_low"] <= 0.2 <= table.loc[2, "ci_high"]
    deep = table[table.index >= 4]
    assert ((deep["ci_low"] <= 0.5) & (deep["ci_high"] >= 0.5)).any()
    changed = world.replace(balking_changes(found))
    assert changed.contact_types["a"].balking_queue == "all"
    assert changed.contact_types["a"].patience[0].mean == pytest.approx(400, rel=0.15)
