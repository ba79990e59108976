"""Agents for a rate that varies: published tables, closed forms, and what simulation says of the promise."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from scipy import integrate, stats

import bposim as bp
from bposim.distributions import deterministic, exponential, gamma, lognormal
from bposim.erlang import offered_load
from bposim.errors import OptimiseError, ParameterError
from bposim.optimise._demand import DEMANDS, Demand, Followed

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from staffing_varying import delayed, fast_cycle, second_day, small_swing, small_swing_load, waiting

DAY = [10, 20, 60, 0, 30, 30]
#: Agents at t = 6, 8, …, 22 and their mean over [6, 24] (Feldman et al. 2008, computed exactly).
LISTED = {
    0.1: (114.61, [101, 126, 116, 99, 124, 120, 99, 120, 124]),
    0.5: (101.51, [89, 113, 103, 87, 110, 107, 87, 107, 110]),
}


def world(handle="30min", law="exponential", days=1, **kind):
    body = {"arrivals": {"per_interval": DAY}, "handle_time": {law: {"mean": handle}}, **kind}
    if law == "lognormal":
        body["handle_time"][law]["cv"] = 1.0
    body.setdefault("patience", {"exponential": {"mean": "10min"}})
    return bp.load_scenario({
        "name": "w", "interval": "1h", "days": days, "opening_hours": {"daily": "08:00-14:00"},
        "contact_types": {"q": body}, "agent_groups": {"g": {"skills": ["q"]}},
    })  # fmt: skip


def wanted(scenario, demand, mean=1800.0):
    n = len(scenario.grid)
    contacts = scenario.expected_contacts("q")[:, None]
    return 3600 * Demand(demand, scenario.grid).rates(contacts, [exponential(mean)] * n, np.full(n, mean))[:, :, 0]


# The offered load -------------------------------------------------------------------------------------------------------


def test_offered_load_of_the_published_sine_is_the_closed_form():
    edges = np.linspace(-30, 24, 5401)
    rate = 100 - 20 * np.diff(np.cos(edges)) / np.diff(edges)
    hour = np.arange(6, 24, 0.05)
    assert offered_load(edges, rate, 1.0, at=hour) == pytest.approx(small_swing_load(hour), abs=2e-4)


@pytest.mark.parametrize("law", [lognormal(mean=3.0, cv=1.2), gamma(mean=2.0, cv=0.5), deterministic(2.5)])
def test_offered_load_is_the_integral_over_the_law_of_the_handle_time(law):
    edges, rate = np.array([0.0, 1, 4, 5, 9]), np.array([3.0, 0, 7, 2])
    for t in (0.5, 2.0, 4.6, 9.0, 12.0):
        by_hand = sum(
            r * integrate.quad(lambda u, t=t: float(law.sf(t - u)), a, min(b, t), points=[t - 2.5], limit=200)[0]
            for a, b, r in zip(edges[:-1], edges[1:], rate, strict=True)
            if a < t
        )
        assert offered_load(edges, rate, law, at=t) == pytest.approx(by_hand, abs=1e-6)


def test_each_piece_has_its_own_handle_time_and_none_is_lost():
    edges, rate = np.array([0.0, 1, 2]), np.array([5.0, 8.0])
    both = offered_load(edges, rate, [deterministic(0.5), deterministic(3.0)], at=[0.9, 1.2, 3.5])
    assert both == pytest.approx([2.5, 5 * 0.3 + 8 * 0.2, 8.0])
    hours = np.linspace(0, 60, 6001)
    total = integrate.trapezoid(offered_load(edges, rate, [1.0, 2.0], at=hours), hours)
    assert total == pytest.approx(5 * 1 + 8 * 2, rel=1e-3), "all work is done some time"


def test_offered_load_names_every_fault():
    with pytest.raises(ParameterError) as caught:
        offered_load([0, 2, 1], [1.0, -1.0], float("inf"), at=0)
    assert len(caught.value.problems) == 3


def test_talk_and_work_after_it_keep_the_agent_one_after_the_other():
    both = Followed(exponential(100.0), exponential(50.0))
    x = np.array([20.0, 100.0, 400.0])
    # E[min(T + A, x)] of a hypoexponential law.
    by_hand = [integrate.quad(lambda t: 2 * np.exp(-t / 100) - np.exp(-t / 50), 0, v)[0] for v in x]
    assert both.limited_mean(x) == pytest.approx(by_hand, rel=3e-3) and both.mean == 150


# Which rate an interval is staffed for ----------------------------------------------------------------------------------


def test_the_rules_for_a_varying_rate_worked_by_hand():
    assert wanted(world(), "sipp").ravel().tolist() == DAY
    assert wanted(world(), "lag").ravel().tolist() == [5, 15, 40, 30, 15, 30]
    # The line passes 15, 40 and 0 at the ends of the hours and keeps their means: 60 has its middle at 100.
    assert wanted(world(), "sipp-max").ravel().round(6).tolist() == [15, 40, 100, 0, 45, 30]
    assert wanted(world(), "lag-max").ravel().round(6).tolist() == [10, 15, 100, 100, 45, 45]
    built = wanted(world(), "mol")
    assert built[0] == pytest.approx(10 * -np.expm1(-(np.arange(8) + 0.5) / 8 / 0.5))
    assert (built[3] > 0).all() and (np.diff(built[3]) < 0).all(), "an hour without arrivals works off the one before"


def test_lag_moves_contacts_and_loses_only_what_is_served_after_closing():
    for demand in ("lag", "mol"):
        two = wanted(world(days=2), demand)
        assert two[:6] == pytest.approx(two[6:], abs=1e-6), "a night of 18 hours forgets half-hour calls"
    # Calls of ten hours are still there in the morning.
    slow = wanted(world(days=2), "mol", mean=36_000.0)
    assert (slow[6:].mean(axis=1) > slow[:6].mean(axis=1) + 1).all()


def test_under_a_constant_rate_with_short_calls_every_rule_agrees():
    scenario = world("60s").replace({"contact_types.q.arrivals": {"rate": "200/h"}})
    goal = bp.ServiceLevel(0.8, within="20s")
    found = [bp.required_agents(scenario, target=goal, demand=d).frame["required"].to_numpy()[1:] for d in DEMANDS]
    assert all(set(f - found[0]) <= {0} for f in found)


def test_workload_not_served_yet_is_staffed_where_nobody_comes():
    goal = bp.ServiceLevel(0.8, within="20s")
    plain, mol = (
        bp.required_agents(world(), target=goal, demand=d).frame["required"].tolist() for d in ("sipp", "mol")
    )
    assert plain[3] == 0 and mol[3] >= 8 and mol[0] < plain[0]


@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_the_published_agents_of_the_offered_load(alpha):
    need = bp.required_agents(small_swing(), target=bp.ServiceLevel(1 - alpha, within="0s"), demand="mol")
    here, mean = second_day(need)[60:], LISTED[alpha][0]
    load = small_swing_load(np.arange(60, 240) * 0.1 + 0.05)
    assert here.mean() == pytest.approx(mean, abs=0.05)
    assert np.abs(here[::20] - LISTED[alpha][1]).max() <= 1
    exact = stats.poisson.sf(here - 1, load)
    # The least whole number: one agent is worth 0.017 at 0.1 and 0.042 at 0.5.
    assert exact.max() < alpha + 0.002 and exact.min() > alpha - {0.1: 0.02, 0.5: 0.043}[alpha]
    nearest = stats.poisson.sf(np.round(second_day(need, "fractional")[60:]) - 1, load)
    assert np.abs(nearest - alpha).max() < {0.1: 0.01, 0.5: 0.0225}[alpha], "half an agent is worth so much"


@pytest.mark.parametrize("demand", ["sipp", "sipp-max", "lag", "lag-max"])
def test_stationary_rules_fail_the_same_check(demand):
    need = bp.required_agents(small_swing(), target=bp.ServiceLevel(0.9, within="0s"), demand=demand)
    load = small_swing_load(np.arange(60, 240) * 0.1 + 0.05)
    exact = stats.poisson.sf(second_day(need)[60:] - 1, load)
    assert exact.max() > 0.25 and exact.min() < 0.03


def test_simulation_holds_the_delay_at_every_instant_and_shows_where_sipp_does_not():
    scenario, alpha = small_swing(), 0.1
    goal = bp.ServiceLevel(1 - alpha, within="0s")
    mol, sipp = (
        bp.required_agents(scenario, target=goal, demand=d).frame["required"].to_numpy() for d in ("mol", "sipp")
    )
    share, error = (x[60:] for x in delayed(scenario, mol, replications=2000, seed=11))
    # 180 intervals; 4.5 errors leave a chance of 1e-3 that a true 0.02 is called a miss. The whole day's mean is tight.
    assert (np.abs(share - alpha) < 0.02 + 4.5 * error).all() and error.max() < 0.008
    assert abs(share.mean() - alpha) < 0.012
    share, error = (x[60:] for x in delayed(scenario, sipp, replications=200, seed=11))
    assert (share - alpha > 0.02 + 10 * error).sum() > 20 and (alpha - share > 0.02 + 10 * error).sum() > 20


def test_the_contrast_of_stationary_staffing_and_offered_load():
    scenario, goal = fast_cycle(), bp.ServiceLevel(0.8, within="0s")
    said = {}
    for demand in ("sipp", "mol"):
        need = bp.required_agents(scenario, target=goal, method="erlang-c", demand=demand)
        here = second_day(need)[:720]
        # Every fifth minute is enough for the equations: agents change by less than one in between.
        p = waiting(lambda t: 100 * (1 + 0.5 * np.sin(2 * np.pi * t / 20)), here, 20 / 720, cycles=2)
        said[demand] = here.mean(), p.min(), p.max()
    assert said["sipp"][0] == pytest.approx(111.27, abs=0.1) and said["mol"][0] == pytest.approx(111.32, abs=0.1)
    assert said["sipp"][1:] == pytest.approx((0.013, 0.886), abs=0.01)
    assert said["mol"][1:] == pytest.approx((0.179, 0.202), abs=0.02)


def test_wrong_words_are_named_at_once():
    with pytest.raises(OptimiseError) as caught:
        bp.required_agents(
            world(), target=bp.ServiceLevel(0.8, within="20s"), demand="peak", confidence=95, replications=0
        )
    text = str(caught.value)
    assert len(caught.value.problems) == 3 and "sipp-max" in text and "Write 0.95" in text
