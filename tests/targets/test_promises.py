"""Probability, attainable level, cheapest plan, recommendation: against brute force, exact values and fresh luck."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

import bposim as bp
from bposim.errors import BposimError, ParameterError, ScenarioError
from bposim.optimise.validate import validate_plan
from bposim.simulate.proof import verdict
from bposim.targets import attainable, probability, wilson
from bposim.targets.probability import window_values

DAY = bp.ServiceLevel(0.80, within="20s", window="day")


def line(**changes):
    scenario = bp.load_scenario(
        {
            "name": "line",
            "start": "2026-06-01",
            "days": 5,
            "opening_hours": {"mon-fri": "09:00-13:00"},
            "contact_types": {
                "a": {
                    "arrivals": {"per_interval": [30, 45, 60, 60, 55, 50, 40, 30]},
                    "day_factor": {"gamma": {"cv": 0.08}},
                    "handle_time": {"exponential": {"mean": "3min"}},
                    "patience": {"exponential": {"mean": "3min"}},
                }
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": [5, 6, 8, 8, 7, 7, 6, 5], "cost_per_hour": 20}},
        }
    )
    return scenario.replace(changes) if changes else scenario


@pytest.fixture(scope="module")
def deal():
    return bp.assess_target(line(), DAY, replications=300, seed=5, progress=False)


# Probability ---------------------------------------------------------------------------------------------------------


def brute_values(runs, within_s, replications):
    rows = []
    for k in range(replications):
        log = runs.contacts(k)
        day = log["arrived"].dt.date
        good = ((log["outcome"] == "answered") & (log["wait_s"] <= within_s)).groupby(day).sum()
        rows += [(k, *pair) for pair in (good / log.groupby(day).size()).items()]
    return pd.DataFrame(rows, columns=["replication", "day", "value"])


def test_probability_against_brute_force(deal):
    brute = brute_values(deal.runs, 20.0, 300)
    assert len(brute) == 1500
    assert np.allclose(brute["value"], deal.values["value"])
    met = brute["value"] >= 0.80
    assert deal.probability == pytest.approx(met.mean())
    assert deal.probability_low < met.mean() < deal.probability_high
    per = met.groupby(brute["replication"]).mean()
    error = per.std() / np.sqrt(len(per))
    assert (deal.probability_high - deal.probability_low) / 3.92 == pytest.approx(error, rel=0.1)
    assert deal.attainable_share == np.sort(brute["value"])[int(0.05 * 1499)]
    assert deal.mean == pytest.approx(brute["value"].mean())


def test_assessment_says_what_it_may(deal):
    assert 0.2 < deal.probability < 0.95
    assert deal.status == "not met"
    lower = bp.assess_target(
        line(), DAY.replace(level=round(deal.attainable_low - 0.02, 2)), replications=300, seed=5, progress=False
    )
    assert lower.status == "met"
    assert lower.probability_low >= 0.95
    assert lower.attainable_share == deal.attainable_share, "what can be promised does not depend on what is asked"
    row = deal.summary().iloc[0]
    assert (row["probability"], row["status"], row["n"]) == (deal.probability, "not met", 300)
    hours = 52 / 2 * 5
    assert row["agent_hours"] == pytest.approx(hours)
    assert row["cost"] == pytest.approx(20 * hours)
    fresh = bp.assess_target(line(), DAY, replications=300, seed=6, progress=False)
    assert fresh.probability != deal.probability
    assert fresh.probability_low < deal.probability_high
    assert deal.probability_low < fresh.probability_high


@given(st.lists(st.floats(0, 1), min_size=2, max_size=8))
def test_a_lower_target_is_never_less_probable(levels):
    values = pd.DataFrame({"replication": np.arange(40) // 2, "value": np.linspace(0.3, 1, 40) ** 2})
    found = [
        probability(values["value"].map(DAY.replace(level=x).met), values["replication"])[0] for x in sorted(levels)
    ]
    assert found == sorted(found, reverse=True)


def test_a_lower_target_is_never_less_probable_on_the_same_draws(deal):
    levels = (0.5, 0.7, 0.75, 0.8, 0.85, 0.95, 1.0)
    p = [probability(deal.values["value"].map(DAY.replace(level=x).met), deal.values["replication"])[0] for x in levels]
    assert p == sorted(p, reverse=True)
    assert p[0] > 0.97
    assert p[-1] < 0.1
    longer = [window_values(deal.runs, DAY.replace(within_s=t))["value"].to_numpy() for t in (5.0, 20.0, 60.0)]
    assert (longer[0] <= longer[1]).all()
    assert (longer[1] <= longer[2]).all()


@pytest.mark.parametrize(("good", "n"), [(0, 20), (1, 20), (10, 20), (98, 100), (100, 100), (950, 1000)])
def test_wilson(good, n):
    exact = binomtest(good, n).proportion_ci(0.95, method="wilson")
    assert wilson(good, n) == pytest.approx((exact.low, exact.high), abs=1e-12)
    wide = wilson(good, n, 0.999)
    assert wide[0] <= exact.low
    assert wide[1] >= exact.high - 1e-12
    assert all(np.isnan(wilson(0, 0)))


def test_windows_that_share_their_luck_count_for_less():
    """Ten windows of a replication that always agree are one observation: 1,000 worlds, coverage within 95 ± 3 %."""
    rng = np.random.default_rng(21)
    inside = naive = 0
    replication = pd.Series(np.repeat(np.arange(60), 10))
    for _ in range(1000):
        met = pd.Series(np.repeat(rng.random(60) < 0.8, 10))
        p, low, high = probability(met, replication)
        inside += low <= 0.8 <= high
        a, b = wilson(p * 600, 600)
        naive += a <= 0.8 <= b
    assert 0.92 < inside / 1000 < 0.98
    assert naive / 1000 < 0.6, "taking the windows for independent would be caught"


def test_probability_of_certainties():
    replication = pd.Series(np.arange(100))
    p, low, high = probability(pd.Series([True] * 100), replication)
    assert (p, high) == (1, 1)
    assert 0.95 < low < 0.97, "a hundred hits in a hundred are no proof of certainty"
    assert probability(pd.Series([False] * 100), replication)[0] == 0


@given(
    st.lists(st.floats(0, 1).map(lambda x: round(x, 2)), min_size=1, max_size=60),
    st.sampled_from([0.5, 0.8, 0.9, 0.95]),
    st.sampled_from([">=", "<="]),
)
def test_attainable_is_the_best_level_that_is_safe(values, confidence, sense):
    frame = pd.DataFrame({"replication": range(len(values)), "value": values})
    term = DAY if sense == ">=" else DAY.replace(metric="abandonment", sense=sense, within_s=None)
    level, low, high = attainable(frame, term, confidence, resamples=20)
    assert level in values, "a simulated value, nothing between two"
    assert np.mean([term.replace(level=level).met(v) for v in values]) >= confidence - 1e-9
    better = [v for v in values if (v > level if sense == ">=" else v < level)]
    if better:  # the next better value would be met too seldom, or just as the quantile's definition has it
        nearest = min(better) if sense == ">=" else max(better)
        assert np.mean([term.replace(level=nearest).met(v) for v in values]) < confidence + 1 / len(values) + 1e-9
    assert low <= high


# The exact case of a window's service level --------------------------------------------------------------------------


def stationary(agents, patience, replications):
    """Windows of 10 h of a stationary queue: 24-hour days, the first two left out, from a run's intervals."""
    spec = {
        "name": "stationary",
        "days": 7,
        "contact_types": {
            "a": {
                "arrivals": {"per_interval": 200},
                "handle_time": {"exponential": {"mean": "180s"}},
                "patience": {"exponential": {"mean": patience}} if patience else "infinite",
            }
        },
        "agent_groups": {"g": {"skills": ["a"], "heads": agents}},
    }
    runs = bp.simulate(
        bp.load_scenario(spec), replications=replications, seed=31, warm_up="48h", drain="leave", progress=False
    )
    table = runs.intervals
    n = 12 * 20  # the last interval's contacts may still wait when the horizon ends: they are counted as not met
    cell = table.groupby("replication")[["answered_within_s20", "offered"]]
    good, offered = (np.stack([part[c].to_numpy()[:n] for _, part in cell]) for c in ("answered_within_s20", "offered"))
    return good.reshape(replications, 12, 20).sum(2) / offered.reshape(replications, 12, 20).sum(2)


@pytest.mark.parametrize(
    ("agents", "patience", "mean", "sd", "p"),
    [(24, None, 0.8100, 0.0536, 0.602), (22, "120s", 0.8287, 0.0273, 0.852)],
    ids=["M/M/24", "M/M/22+M"],
)
def test_service_level_of_a_ten_hour_day(agents, patience, mean, sd, p):
    """Roubos, Koole & Stolletz (2012), recomputed: three standard errors, windows of one run taken as one draw."""
    level = stationary(agents, patience, 100)

    def agrees(each, expected):
        per = each.mean(axis=1)
        return abs(per.mean() - expected) <= 3 * per.std(ddof=1) / np.sqrt(len(per)) + 0.0005

    assert agrees(level, mean)
    assert agrees(level >= 0.80, p)
    assert agrees((level - mean) ** 2, sd**2)
    assert not agrees(level, mean - 0.02)
    assert not agrees(level >= 0.80, p - 0.12)


def test_fewest_agents_for_a_sure_day():
    """25 agents keep 80 % in 95 of 100 days where 24 meet it in expectation; the mean alone is a coin-flip."""
    level = stationary(25, None, 40)
    assert (level >= 0.80).mean() >= 0.95 - 3 * np.sqrt(0.05 * 0.95 / level.size)


# The cheapest plan ---------------------------------------------------------------------------------------------------


def test_cheapest_plan_is_met_on_fresh_luck(deal):
    plan = deal.cheapest_plan
    assert plan.status == "met"
    assert plan.low >= 0.95, "met means the whole interval"
    assert plan.cost > 0.9 * deal.current.cost
    assert plan is deal.cheapest_plan, "searched once"
    judged = plan.tried[plan.tried["fresh"]]
    assert judged["probability"].iloc[-1] == plan.probability
    assert judged["replications"].iloc[-1] == plan.replications >= 300
    # Luck that neither the search nor the validation has seen.
    other = bp.assess_target(line(), DAY, staffing=plan.staffing, replications=400, seed=987, progress=False)
    error = (other.probability_high - other.probability_low) / 3.92
    assert other.probability >= 0.95 - 3.5 * error
    assert other.current.cost == pytest.approx(plan.cost)
    # And it is no lavish plan: an agent fewer all day long breaks the promise.
    fewer = plan.staffing.assign(heads=plan.staffing["heads"] - 1)
    assert bp.assess_target(line(), DAY, staffing=fewer, replications=200, seed=987, progress=False).status == "not met"


def test_plans_that_fresh_luck_refuses_are_left_for_dearer_ones():
    plan = bp.assess_target(line(), DAY, replications=300, seed=1, progress=False).cheapest_plan
    judged = plan.tried[plan.tried["fresh"]]
    refused = judged.iloc[:-1]
    assert len(refused) >= 1, "another seed is wanted: nothing was refused"
    assert (refused["cost"] < plan.cost).all() and (refused["ci_low"] < 0.95).all()
    dropped = refused["ci_high"] < 0.95
    assert (dropped | (refused["replications"] == 1200)).all(), (
        "none was dropped before it was decided or had its replications"
    )
    assert plan.status == "met" and judged["ci_low"].iloc[-1] >= 0.95


def test_no_plan_can_do_what_work_does_not_allow():
    """Completed within a minute, where each contact takes three: no staffing helps."""
    term = bp.Turnaround(0.9, within="1min", window="day")
    scenario = line(**{"contact_types.a.handle_time": {"deterministic": {"value": "3min"}}})
    deal = bp.assess_target(scenario, term, replications=50, seed=1, progress=False)
    assert deal.probability == 0
    plan = deal.cheapest_plan
    assert plan.status == "infeasible"
    assert plan.probability == 0


@pytest.mark.parametrize("term", [DAY.replace(level=0.999), DAY.replace(level=0.9999, within_s=1.0)], ids=str)
def test_a_hard_promise_is_dear_and_not_infeasible(term):
    deal = bp.assess_target(line(), term, replications=100, seed=1, progress=False)
    plan = deal.cheapest_plan
    assert plan.status == "met"
    assert plan.low >= 0.95
    assert plan.cost < 3 * deal.current.cost


def test_limits_that_forbid_the_lavish_plan_still_allow_the_lean_one():
    """Nine heads at most: 99.5 % in every interval is out of reach, 50 % a day is not."""
    scenario = line(shifts={"whole": {"start": "09:00", "paid": "4h", "max_heads": 9}})
    easy = DAY.replace(level=0.5)
    plan = bp.assess_target(scenario, easy, replications=100, seed=1, progress=False).cheapest_plan
    assert plan.status == "met"
    assert plan.staffing["heads"].max() <= 9
    hard = bp.assess_target(scenario, DAY.replace(level=0.97), replications=100, seed=1, progress=False).cheapest_plan
    assert hard.status == "infeasible"
    assert hard.staffing["heads"].max() == 9, "the best that the limit allows is shown"


def test_no_plan_can_do_what_shifts_do_not_allow():
    """Two hours of shift for four hours of opening."""
    scenario = line(shifts={"early": {"start": "09:00", "paid": "2h"}})
    deal = bp.assess_target(scenario, DAY, replications=20, seed=1, progress=False)
    assert deal.cheapest_plan.status == "infeasible"
    assert deal.cheapest_plan.level.plan.status == "infeasible"
    assert len(deal.cheapest_plan.level.plan.conflicts)


def test_frontier_rises_with_cost():
    frontier = bp.attainable_frontier(line(), DAY, levels=5, replications=100, seed=3, progress=False)
    frame = frontier.frame
    assert frame["cost"].is_monotonic_increasing
    assert frame["mean"].is_monotonic_increasing
    assert (frame["attainable"].diff().dropna() >= -1e-9).all()
    assert (frame["probability"].diff().dropna() >= -1e-9).all()
    assert frame["probability"].iloc[0] < 0.1
    assert frame["probability"].iloc[-1] > 0.95
    low, high = frontier.bracket
    shares = frame.set_index("planned_share")["probability"]
    assert shares[low] < 0.95 <= shares[high]
    with pytest.raises(ParameterError, match="levels"):
        bp.attainable_frontier(line(), DAY, levels=1)


# Shift plans ---------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def planned():
    scenario = line(
        shifts={
            "whole": {"start": "09:00", "paid": "4h"},
            "half": {"start": ["09:00", "11:00"], "step": "30min", "paid": "2h"},
        }
    )
    need = bp.required_agents(scenario, target=bp.ServiceLevel(0.85, within="20s"))
    return scenario, bp.optimise_shifts(need, scenario, validate=False)


def test_met_is_said_only_where_simulation_agrees(planned):
    scenario, plan = planned
    assert plan.status == "optimal"
    assert plan.validation is None
    good = validate_plan(plan, scenario, bp.ServiceLevel(0.80, within="20s", window="all"), replications=150, seed=4)
    assert good.status == "met"
    assert good.validation.frame["met"].all()
    bad = validate_plan(plan, scenario, bp.ServiceLevel(0.97, within="20s", window="all"), replications=150, seed=4)
    assert bad.status == "optimal"
    assert not bad.validation.met
    assert plan.validation is None, "the plan given is not changed"
    sure = validate_plan(
        plan, scenario, bp.ServiceLevel(0.80, within="20s", window="day"), confidence=0.999, replications=150, seed=4
    )
    assert sure.status == "optimal", "met in expectation is not met nearly always"
    row = sure.validation.frame.iloc[0]
    runs = bp.simulate(
        scenario, staffing=plan.staffing, replications=150, seed=sure.validation.seed, within="20s", progress=False
    )
    assert row["probability"] == pytest.approx((brute_values(runs, 20.0, 150)["value"] >= 0.8).mean())
    assert sure.validation.seed != 4


def test_a_validation_that_straddles_is_undecided_and_plays_on(planned):
    """A confidence that lies at the plan's own probability: half of the point estimates would call it met."""
    scenario, plan = planned
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    runs = bp.simulate(scenario, staffing=plan.staffing, replications=1000, seed=99, progress=False)
    p = float((window_values(runs, term)["value"] >= 0.8).mean())
    checked = validate_plan(plan, scenario, term, confidence=p, replications=50, seed=4)
    row = checked.validation.frame.iloc[0]
    assert row["ci_low"] < p < row["ci_high"]
    assert (row["status"], checked.validation.status, checked.status) == ("undecided", "undecided", "optimal")
    assert checked.validation.replications == 200, "four times as many, then it stays open"
    sure = validate_plan(plan, scenario, term, confidence=p - 0.15, replications=50, seed=4).validation
    assert (sure.status, sure.met) == ("met", True)
    assert sure.frame["ci_low"].item() >= p - 0.15
    failed = validate_plan(plan, scenario, term, confidence=min(p + 0.2, 0.9999), replications=50, seed=4).validation
    assert (failed.status, failed.replications) == ("not met", 50)


def test_a_validation_says_what_it_validated(planned):
    scenario, plan = planned
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    only = validate_plan(plan, scenario, term, replications=50, seed=4).validation
    assert only.frame["validated"].tolist() == ["expected value"]
    assert "Only the expected value was validated" in repr(only)
    assert only.frame["ci_low"].item() < only.frame["mean"].item() < only.frame["ci_high"].item()
    both = validate_plan(plan, scenario, term, confidence=0.5, replications=50, seed=4).validation
    assert both.frame["validated"].tolist() == ["probability of a window"]
    assert "Only the expected" not in repr(both)


@pytest.mark.parametrize("confidence", [95, 0, 1, -0.1, float("nan"), "0.95", True])
def test_a_confidence_outside_its_range_is_refused(planned, confidence):
    scenario, plan = planned
    with pytest.raises(ParameterError, match=r"confidence parameter of validate_plan\(\)"):
        validate_plan(plan, scenario, DAY, confidence=confidence)
    with pytest.raises(BposimError, match=r"confidence parameter of optimise_shifts\(\)"):
        bp.optimise_shifts(plan.need, scenario, target=DAY, confidence=confidence)


def uncertain(scenario, n, seed=1):
    """Paths whose level alone is uncertain, 15 % up or down for the whole horizon."""
    rng = np.random.default_rng(seed)
    expected = scenario.expected_contacts("a")
    counts = rng.poisson(expected[None, :] * rng.gamma(44, 1 / 44, n)[:, None])
    return pd.DataFrame(
        {"contact_type": "a", "interval_start": np.tile(scenario.grid.starts, n), "contacts": counts.ravel(),
         "sample": np.repeat(np.arange(n), len(expected))}
    )  # fmt: skip


def test_a_validation_on_paths_that_the_requirement_saw_says_so(planned):
    scenario, plan = planned
    frame = uncertain(scenario, 60)
    with pytest.warns(bp.errors.SimulationWarning, match=r"requirement has seen all 60 paths.*Give the Forecast"):
        p = validate_plan(plan, scenario, DAY, confidence=0.5, volumes=frame, replications=60).validation.frame
    open_at = float(p["probability"].item())
    with pytest.warns(bp.errors.SimulationWarning) as said:
        straddling = validate_plan(plan, scenario, DAY, confidence=open_at, volumes=frame, replications=60).validation
    assert len(said) == 1, "said once, however long the proof plays on"
    assert straddling.replications == 240
    row = straddling.frame.iloc[0]
    naive = wilson(row["probability"] * 1200, 1200)
    assert row["ci_high"] - row["ci_low"] > 1.5 * (naive[1] - naive[0]), "sixty paths stay sixty"


def test_the_proof_plays_other_paths_than_the_search():
    """Of 200 paths the search may play a hundred; the proof counts the others, and only so many."""
    scenario = line(**{"contact_types.a.day_factor": None})
    deal = bp.assess_target(scenario, DAY, volumes=uncertain(scenario, 200), replications=200, seed=3, progress=False)
    plan = deal.cheapest_plan
    search = deal._planner.play(plan.level.share, DAY, replications=300, seed=4)
    assert len(set(search.batch)) == 100
    proof = search.fresh(300)
    assert len(set(proof.batch)) == 100
    assert not set(proof.batch) & set(search.batch)
    values = window_values(proof, DAY)
    met = values["value"].map(DAY.met)
    found = probability(met, values["batch"])
    if plan.replications == 300:
        assert (plan.probability, plan.low, plan.high) == found
    wide, narrow = found, probability(met, values["replication"])
    assert wide[2] - wide[1] > 1.2 * (narrow[2] - narrow[1])


def test_a_plan_that_cannot_be_proven_is_undecided():
    """Twenty paths can never prove 95 %: twenty hits in twenty leave the interval's end at 0.84."""
    scenario = line(**{"contact_types.a.day_factor": None})
    term = DAY.replace(level=0.5, window="all")
    with pytest.warns(bp.errors.SimulationWarning, match="paths"):
        deal = bp.assess_target(scenario, term, volumes=uncertain(scenario, 20), replications=100, progress=False)
        plan = deal.cheapest_plan
    assert plan.status == "undecided"
    assert plan.low < 0.95 <= plan.high
    assert "undecided" in repr(plan)


def test_validation_uses_the_plans_own_staffing(planned):
    scenario, plan = planned
    none = plan.replace(staffing=plan.staffing.assign(heads=1))
    assert not validate_plan(none, scenario, bp.ServiceLevel(0.5, within="20s"), replications=20).validation.met


def test_cut_windows_do_not_vote_in_a_validation():
    """Twelve days from a Monday: one whole week, and the working days of a second, understaffed one that goes on."""
    scenario = line(days=12)
    term = bp.ServiceLevel(0.88, within="20s", window="week")
    plan = bp.optimise_shifts(
        bp.required_agents(scenario, target=term),
        scenario.replace({"shifts": {"half": {"start": ["09:00", "11:00"], "paid": "2h"}}}),
        validate=False,
    )
    later = plan.staffing["interval_start"] >= pd.Timestamp("2026-06-08", tz=scenario.time_zone)
    plan = plan.replace(staffing=plan.staffing.assign(heads=plan.staffing["heads"].mask(later, 1)))
    found = validate_plan(plan, scenario, term, confidence=0.5, replications=60, seed=4).validation
    runs = bp.simulate(scenario, staffing=plan.staffing, replications=60, seed=found.seed, within="20s", progress=False)
    table = runs.windows("service_level", "week", "20s")
    first, second = (
        (table["value"][table["window_start"] == w] >= 0.88).mean() for w in table["window_start"].unique()
    )
    assert found.replications == 60
    assert (first > 0.9, second) == (True, 0)
    assert found.frame["probability"].item() == pytest.approx(first)


def test_an_expected_share_of_1_is_not_proven_beyond_its_days(planned):
    scenario, plan = planned
    lavish = plan.replace(staffing=plan.staffing.assign(heads=80))
    row = validate_plan(lavish, scenario, DAY, replications=20, seed=4).validation.frame.iloc[0]
    assert (row["mean"], row["ci_high"], row["status"]) == (1.0, 1.0, "met")
    assert row["ci_low"] == pytest.approx(100 / (100 + 1.959964**2)), "20 replications of 5 days"
    strict = validate_plan(lavish, scenario, DAY.replace(level=0.999), replications=20, seed=4).validation
    assert (strict.status, strict.replications) == ("undecided", 80)


# Recommended targets -------------------------------------------------------------------------------------------------

DRAFT = [
    bp.ServiceLevel(0.40, within="60s", window="day"),
    DAY,
    bp.ServiceLevel(0.99, within="5s", window="day"),
    bp.AtMost("abandonment", 0.9, window="day"),
]


@pytest.fixture(scope="module")
def advice():
    return bp.recommend_targets(line(), contract=DRAFT, window="day", replications=600, seed=8, progress=False)


def test_three_to_five_targets_that_hold_together(advice):
    assert 3 <= len(advice.targets) <= 5
    assert len(advice.frame) == len(advice.targets)
    assert {"service_level", "abandonment", "occupancy"} <= {t.metric for t in advice.targets}
    assert abs(advice.joint_probability - 0.95) < 0.03
    assert (advice.frame["probability"] >= advice.joint_probability - 1e-9).all()
    # Replications that neither the choice nor the figures have seen.
    runs = bp.simulate(line(), replications=400, seed=4321, progress=False)
    met = np.ones(2000, dtype=bool)
    for t in advice.targets:
        met &= window_values(runs, t)["value"].map(t.met).to_numpy()
    p, low, high = probability(pd.Series(met), pd.Series(np.arange(2000) // 5))
    assert abs(p - 0.95) < 0.03
    assert low < advice.joint_high
    assert advice.joint_low < high


def test_the_advice_says_whether_it_keeps_its_confidence():
    """Chosen on few replications, levels fit their luck: fresh ones reach the confidence all the same, or the advice says so."""
    found = [
        bp.recommend_targets(line(), confidence=0.9, window="day", replications=60, seed=s, progress=False)
        for s in range(8)
    ]
    for one in found:
        assert one.status == verdict(one.joint_low, one.joint_high, 0.9)
        assert f"for 90 %: {one.status}, all together" in repr(one)
        assert any("Take more replications: replications=240" in n for n in one.notes) == (one.status != "met")
    # 8 times 30 days of 5: a standard error of 0.01 where the joint probability is at least 0.9.
    assert np.mean([one.joint_probability for one in found]) > 0.91
    assert not any(one.status == "not met" for one in found)


def test_levels_are_not_given_away(advice):
    """Each target three or four points harder, all together are met too seldom: there is little slack."""
    runs = bp.simulate(line(), replications=400, seed=4321, progress=False)
    step = {"service_level": 0.04, "abandonment": -0.03, "occupancy": -0.03}
    met = np.ones(2000, dtype=bool)
    for t in advice.targets:
        met &= window_values(runs, t)["value"].map(t.replace(level=t.level + step[t.metric]).met).to_numpy()
    assert met.mean() < 0.93


def test_clauses_of_a_draft_are_judged(advice):
    clauses = advice.clauses
    assert clauses["target"].tolist() == [str(t) for t in DRAFT]
    assert clauses["verdict"].tolist()[0] == "sign"
    assert clauses["verdict"].tolist()[2] == "do not sign"
    assert clauses["verdict"].tolist()[3] == "sign"
    assert clauses["verdict"].iloc[1] in ("a coin-flip", "do not sign")
    runs = bp.simulate(line(), replications=300, seed=77, progress=False)
    p, low, high = probability(window_values(runs, DAY)["value"].map(DAY.met), pd.Series(np.arange(1500) // 5))
    assert clauses["ci_low"].iloc[1] < high
    assert low < clauses["ci_high"].iloc[1]
    assert abs(clauses["probability"].iloc[1] - p) < 0.08


def test_contracts_are_read_like_scenarios(tmp_path):
    path = tmp_path / "draft.yaml"
    path.write_text("name: draft\ntargets:\n  - service_level: {share: 0.8, within: 20s, window: day}\n")
    options = {"replications": 40, "seed": 1, "window": "day", "progress": False}
    assert bp.recommend_targets(line(), contract=path, **options).clauses["target"].tolist() == [str(DAY)]
    assert bp.recommend_targets(line(), **options).clauses.empty
    with pytest.raises(ScenarioError, match="has no targets"):
        bp.recommend_targets(line(), contract={"name": "x"}, **options)
    path.write_text("targets:\n  - service_level: {share: 80, within: 20}\n  - asa: {at_most: 20s, contact_type: b}\n")
    with pytest.raises(ScenarioError) as caught:
        bp.recommend_targets(line(), contract=path, **options)
    assert len(caught.value.problems) == 3
    assert all("draft.yaml:" in p for p in caught.value.problems)


def test_work_that_never_comes_is_no_reason_for_a_target():
    spec = line().canonical
    mail = {"channel": "email", "arrivals": {"rate": "0/h"}, "handle_time": {"exponential": {"mean": "5min"}}}
    both = bp.load_scenario(spec | {
        "contact_types": spec["contact_types"] | {"mail": mail},
        "agent_groups": spec["agent_groups"] | {"m": {"skills": ["mail"], "heads": 3}},
    })  # fmt: skip
    found = bp.recommend_targets(both, window="day", replications=20, seed=1, progress=False)
    assert {t.contact_type for t in found.targets} == {"a", None}
    assert any("no window holds a contact" in n for n in found.notes)


def test_targets_follow_the_work():
    """Deferred work is promised by turnaround, callers by wait; a mixed house gets both."""
    spec = line().canonical
    mail = {"channel": "email", "arrivals": {"rate": "20/h"}, "handle_time": {"exponential": {"mean": "5min"}}}
    both = bp.load_scenario(
        spec
        | {
            "contact_types": spec["contact_types"] | {"mail": mail},
            "agent_groups": spec["agent_groups"] | {"m": {"skills": ["mail"], "heads": 3}},
        }
    )
    mixed = bp.recommend_targets(both, window="day", replications=60, seed=1, progress=False)
    assert 3 <= len(mixed.targets) <= 5
    assert any(t.metric == "turnaround" and t.contact_type == "mail" for t in mixed.targets)
    assert any(t.metric == "service_level" and t.contact_type == "a" for t in mixed.targets)
    only = bp.load_scenario(
        spec | {"contact_types": {"mail": mail}, "agent_groups": {"m": {"skills": ["mail"], "heads": 3}}}
    )
    desk = bp.recommend_targets(only, window="day", replications=60, seed=1, progress=False)
    assert 3 <= len(desk.targets) <= 5
    assert {t.metric for t in desk.targets} == {"turnaround", "occupancy"}


# Bad questions -------------------------------------------------------------------------------------------------------


def test_bad_questions_all_at_once():
    with pytest.raises(ParameterError) as caught:
        bp.assess_target("line.yaml", 0.8, confidence=95, replications=1)
    assert len(caught.value.problems) == 4
    with pytest.raises(ParameterError, match="names contact type 'b', which scenario 'line' lacks"):
        bp.assess_target(line(), DAY.replace(contact_type="b"))


def test_every_problem_of_a_question_is_told():
    with pytest.raises(ParameterError) as caught:
        bp.assess_target(line(), DAY, confidence=1.2, replications=0, seed=-1, staffing={"s9": 2, "g": -3})
    said = str(caught.value)
    for words in ("confidence", "replications", "seed", "'s9'", "'g'"):
        assert words in said
    assert len(caught.value.problems) == 5
    with pytest.raises(ParameterError) as caught:
        bp.recommend_targets(
            line(),
            window="fortnight",
            confidence=2,
            replications=1,
            levels=99,
            ramp=-1,
            metrics="xx",
            within="-3s",
            counting="q",
        )
    assert len(caught.value.problems) == 8
    with pytest.raises(ScenarioError, match="names 's9'"):  # alone it stays what it is
        bp.assess_target(line(), DAY, staffing={"s9": 2})


def test_groups_that_a_staffing_leaves_out_are_named():
    spec = line().canonical
    group = next(iter(spec["agent_groups"]))
    two = bp.load_scenario(spec | {"agent_groups": spec["agent_groups"] | {"night": {"skills": ["a"], "heads": 3}}})
    options = {"replications": 4, "progress": False}
    deal = bp.assess_target(two, DAY, staffing={group: 9}, **options)
    assert any("leaves out night" in n for n in deal.notes)
    advice = bp.recommend_targets(two, staffing={group: 9}, window="day", **options)
    assert any("leaves out night" in n for n in advice.notes)
    assert not any(
        "leaves out" in n for n in bp.assess_target(two, DAY, staffing={group: 9, "night": 0}, **options).notes
    )


def test_a_share_answered_in_time_is_not_promised_from_above():
    with pytest.raises(ParameterError, match="promise it from below, with share: "):
        bp.AtMost("service_level", 0.8, within="20s")
    with pytest.raises(ParameterError, match="promised from below"):
        DAY.replace(sense="<=")
    assert bp.AtMost("abandonment", 0.05).sense == "<="


def test_a_window_longer_than_the_horizon_is_told():
    deal = bp.assess_target(line(), DAY.replace(window="month"), replications=5, progress=False)
    assert any("holds no whole month" in n for n in deal.notes)
    assert not bp.assess_target(line(), DAY, replications=5, progress=False).notes


def test_windows_cut_by_the_horizon_do_not_vote():
    """17 days from Friday 5 June: 3 days, two weeks and, of the last week, nothing; then 9 days with no whole week."""
    base = line(opening_hours={"daily": "09:00-13:00"}, start="2026-06-05", days=17)
    term = DAY.replace(window="week")
    deal = bp.assess_target(base, term, replications=5, progress=False)
    assert sorted({f"{d:%d}" for d in deal.values["window_start"]}) == ["08", "15"]
    assert not deal.notes
    cut = bp.assess_target(base.replace({"days": 9}), term, replications=5, progress=False)
    assert sorted({f"{d:%d}" for d in cut.values["window_start"]}) == ["01", "08"]
    assert any("9 days holds no whole week: the probability is that of 2 parts" in n for n in cut.notes)


def test_a_target_on_agents_time_of_one_type_is_refused():
    with pytest.raises(BposimError, match="cannot be split by contact_type"):
        bp.assess_target(line(), bp.AtMost("occupancy", 0.8, contact_type="a"), replications=5, progress=False)
