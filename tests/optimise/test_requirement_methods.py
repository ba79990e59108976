"""Other formulas of the requirement, fractional agents, and requirements that simulation decides."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import bposim as bp
from bposim.distributions import distribution, mixture
from bposim.erlang import erlang_a, least_agents, mmng, mmnkm
from bposim.erlang._lines import many_lines
from bposim.errors import OptimiseError, SimulationWarning
from bposim.optimise import _played, required_agents

SL = bp.ServiceLevel(0.80, within="20s")
PLAN = [30, 60, 120, 240]


def world(types=None, **more):
    body = {"arrivals": {"per_interval": PLAN}, "handle_time": {"exponential": {"mean": "4min"}},
            "patience": {"exponential": {"mean": "3min"}}}  # fmt: skip
    filled = {name: body | own for name, own in (types or {"q": {}}).items()}
    spec = {"name": "w", "interval": "1h", "opening_hours": {"daily": "08:00-12:00"}, "contact_types": filled,
            "agent_groups": {"g": {"skills": list(filled)}}}  # fmt: skip
    return bp.load_scenario(spec | more)


def required(need, name="q", column="required"):
    return need.frame.loc[need.frame["contact_types"] == name, column].to_numpy()


def test_mmng_is_erlang_a_for_exponential_patience_and_the_law_itself_otherwise():
    rate = np.array(PLAN) / 3600
    assert required(required_agents(world(), target=SL, method="mmng")).tolist() == (
        required(required_agents(world(), target=SL)).tolist()
    )
    for spec in ({"deterministic": {"value": "3min"}}, {"exponential": {"mean": "200s", "zero": 0.1}}):
        law = distribution(spec)
        need = required_agents(world({"q": {"patience": spec}}), target=SL, method="mmng")
        by_hand = least_agents(rate, 240.0, target=0.8, within=20.0, patience=law)
        assert required(need).tolist() == by_hand.tolist()
    balks = required_agents(world({"q": {"patience": {"exponential": {"mean": "200s", "zero": 0.5}}}}), target=SL,
                            method="mmng")  # fmt: skip
    mean = required_agents(world({"q": {"patience": {"exponential": {"mean": "200s", "zero": 0.5}}}}), target=SL)
    assert (required(balks) != required(mean)).any(), "a mass at zero is not its mean"


def test_a_pool_of_two_laws_has_their_mixture():
    spec = {"deterministic": {"value": "5min"}}
    need = required_agents(world({"a": {}, "b": {"patience": spec}}), target=SL, method="mmng")
    law = mixture([0.5, 0.5], [distribution({"exponential": {"mean": "3min"}}), distribution(spec)])
    for n, rate in zip(required(need, "a+b"), 2 * np.array(PLAN) / 3600, strict=True):
        level = [mmng(rate, 240.0, k, patience=law, within=20.0).service_level["offered"] for k in (n - 1, n)]
        assert level[0] < 0.8 <= level[1]


def test_many_lines_are_the_queue_of_each():
    rng = np.random.default_rng(3)
    rate, service, n = rng.uniform(0.01, 2, 200), rng.uniform(10, 300, 200), rng.integers(1, 200, 200).astype(float)
    patience = np.where(rng.random(200) < 0.3, np.inf, rng.uniform(10, 1000, 200))
    lines, within = n + rng.integers(0, 60, 200), rng.uniform(0, 60, 200)
    one = mmnkm(rate, service, n, patience=patience, lines=lines, within=within)
    for name, value in many_lines(rate, service, n, patience, lines, within).items():
        assert value == pytest.approx(
            one.service_level[name] if name in one.service_level else getattr(one, name), rel=1e-9
        )


@pytest.mark.parametrize(("more", "places"), [({"queue_limit": 3}, lambda n: n + 3), ({"trunks": 24}, lambda n: 24)])
def test_a_limit_counts_the_blocked_as_missed(more, places):
    need = required(required_agents(world(**more), target=SL))
    for n, rate in zip(need, np.array(PLAN) / 3600, strict=True):
        q = [mmnkm(rate, 240.0, k, patience=180.0, lines=places(k), within=20.0) for k in (n - 1, n)]
        assert q[0].service_level["offered"] < 0.8 <= q[1].service_level["offered"]
    lost = required(required_agents(world(**more), target=bp.AtMost("abandonment", 0.05)))
    for n, rate in zip(lost, np.array(PLAN) / 3600, strict=True):
        q = [mmnkm(rate, 240.0, k, patience=180.0, lines=places(k)) for k in (n - 1, n)]
        assert q[0].p_abandon + q[0].p_block > 0.05 >= q[1].p_abandon + q[1].p_block


def test_too_few_lines_and_laws_without_a_formula_say_so():
    with pytest.raises(OptimiseError, match="raise the scenario's trunks"):
        required_agents(world(trunks=10), target=SL)
    with pytest.raises(OptimiseError, match="knows no queue_limit and no trunks"):
        required_agents(world(queue_limit=3), target=SL, method="mmng")


def test_fractional_agents_lie_below_the_whole_ones_and_reach_the_target():
    for target, level in ((SL, lambda q: q.service_level["offered"]), (bp.AtMost("asa", "15s"), lambda q: q.asa)):
        need = required_agents(world(), target=target)
        whole, real = required(need), required(need, column="fractional")
        assert (real <= whole).all() and (real > whole - 1).all() and (real % 1 > 0.01).any()
        # The formula's own continuation between whole agents, against the straight line.
        value = level(erlang_a(np.array(PLAN) / 3600, 240.0, real, patience=180.0, within=20.0))
        assert value == pytest.approx({0.8: 0.8, 15.0: 15.0}[target.level], rel=0.03)
    capped = required_agents(world(), target=bp.ServiceLevel(0.1, within="20s"), max_occupancy=0.7)
    real = required(capped, column="fractional")
    busy = erlang_a(np.array(PLAN) / 3600, 240.0, real, patience=180.0).occupancy
    assert busy[1:] == pytest.approx(0.7, abs=0.005)
    assert required(required_agents(world(), target=SL, min_heads=9), column="fractional").min() == 9


def test_iterative_staffing_finds_what_no_formula_here_knows_and_fresh_days_agree():
    types = {
        "q": {
            "handle_time": {"lognormal": {"mean": "4min", "cv": 1.5}},
            "patience": {"deterministic": {"value": "1min"}},
        }
    }
    scenario = world(types)
    need = required_agents(scenario, target=SL, method="simulation", replications=400, seed=5)
    assert need.rounds["settled"].iloc[-1] and "settled after" in repr(need) and need.demand == "mol"
    for shift, side in ((0, 1), (-1, -1)):
        heads = {"g": np.maximum(required(need) + shift, 1)}
        runs = bp.simulate(scenario, staffing=heads, replications=1500, seed=99, within="20s", progress=False)
        found = runs.summary(by="interval", metrics="service_level", within="20s")
        error = (found["ci_high"] - found["ci_low"]) / 3.92
        # The search itself had an error of twice that; five of the two together.
        gap = side * (found["value"] - 0.8)
        assert (gap > -5 * np.hypot(error, 2 * error)).all()


def test_iterative_staffing_that_cannot_settle_says_so(monkeypatch):
    monkeypatch.setattr(_played, "ROUNDS", 1)
    swings = {"q": {"arrivals": {"per_interval": [400, 0, 400, 0]}, "handle_time": {"deterministic": {"value": "55min"}},
                    "patience": "infinite"}}  # fmt: skip
    with pytest.warns(SimulationWarning, match="did not settle in 1 rounds"):
        need = required_agents(world(swings), target=SL, method="simulation", demand="sipp", replications=50)
    assert not need.rounds["settled"].iloc[-1] and "did not settle" in repr(need)


@pytest.mark.parametrize(
    ("patience", "mean", "sure"), [("infinite", 24, 25), ({"exponential": {"mean": "120s"}}, 22, 23)]
)
def test_agents_for_nineteen_of_twenty_days_are_one_more_than_for_the_expectation(patience, mean, sure):
    """Roubos, Koole and Stolletz (2012): 200 contacts a half hour of 180 s, ten hours."""
    scenario = bp.load_scenario({
        "name": "day", "interval": "30min", "opening_hours": {"daily": "08:00-18:00"},
        "contact_types": {"q": {"arrivals": {"rate": "400/h"}, "handle_time": {"exponential": {"mean": "180s"}},
                                "patience": patience}},
        "agent_groups": {"g": {"skills": ["q"]}},
    })  # fmt: skip
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    assert set(required(required_agents(scenario, target=term))) == {mean}
    need = required_agents(scenario, target=term, confidence=0.95, replications=800)
    assert set(required(need)) == {sure} and need.proof["status"].tolist() == ["met"]
    assert need.proof["ci_low"].min() >= 0.95 and "fresh replications: met" in repr(need)


def test_a_confidence_that_is_not_proven_warns_and_a_set_is_played_as_a_pool():
    scenario = world({"a": {}, "b": {"handle_time": {"exponential": {"mean": "2min"}}}})
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        need = required_agents(scenario, target=term, confidence=0.8, replications=300)
    assert list(zip(need.proof["contact_types"], need.proof["contact_type"], strict=True)) == [
        ("a", "a"), ("b", "b"), ("a+b", "a"), ("a+b", "b"),
    ]  # fmt: skip
    assert (required(need, "a+b") <= required(need, "a") + required(need, "b")).all()
    with pytest.warns(SimulationWarning, match="not proven"):
        required_agents(world(), target=term, confidence=0.999, replications=20)
