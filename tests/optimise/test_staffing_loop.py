"""Simulation in the loop: goals and their slopes, the search against enumeration, proofs, and what stands in the way."""

from itertools import product
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError
from bposim.optimise import optimise_staffing
from bposim.optimise._goals import goals_of
from bposim.optimise._obstacles import out_of_reach
from bposim.optimise._oracle import Oracle, Tangent
from bposim.optimise._search import Search, lower_bound
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._start import rounded
from bposim.optimise._tours import tours
from bposim.simulate import simulate

TARGET = bp.ServiceLevel(0.80, within="20s", window="day")


def line(**changes):
    """One type for two hours, quarter hours, two shifts of one hour."""
    spec = {
        "schema": "bposim/scenario/1",
        "name": "line",
        "time_zone": "UTC",
        "start": "2026-03-02",
        "days": 1,
        "interval": "15min",
        "opening_hours": {"daily": "09:00-11:00"},
        "contact_types": {
            "calls": {
                "arrivals": {"per_interval": [12, 15, 18, 15, 10, 8, 8, 6]},
                "day_factor": {"gamma": {"cv": 0.15}},
                "handle_time": {"exponential": {"mean": "180s"}},
                "patience": {"exponential": {"mean": "120s"}},
            }
        },
        "agent_groups": {"desk": {"skills": ["calls"], "heads": 4, "cost_per_hour": 10}},
        "shifts": {"early": {"start": "09:00", "paid": "1h"}, "late": {"start": "10:00", "paid": "1h"}},
    }
    return bp.load_scenario(spec | changes)


def mixed():
    """Two types, three groups; heads are free in four half hours."""
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "mixed", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "interval": "30min", "opening_hours": {"daily": "09:00-11:00"},
        "contact_types": {
            "a": {"arrivals": {"rate": "40/h"}, "handle_time": {"exponential": {"mean": "180s"}},
                  "patience": {"exponential": {"mean": "300s"}}},
            "b": {"arrivals": {"rate": "25/h"}, "handle_time": {"exponential": {"mean": "180s"}},
                  "patience": {"exponential": {"mean": "300s"}}},
        },
        "agent_groups": {"one": {"skills": ["a"], "heads": 2, "cost_per_hour": 10},
                         "two": {"skills": ["b"], "heads": 2, "cost_per_hour": 10},
                         "both": {"skills": ["a", "b"], "heads": 2, "cost_per_hour": 11}},
    })  # fmt: skip


def plan_of(world, target, **options):
    """A search of few replications, which the proof makes up for."""
    return optimise_staffing(world, target, **{"replications": 600, "validation": 1000} | options)


def model_of(world, max_heads=None):
    """The shifts of a line and their limits."""
    every = tours(world, ("desk",), keep_all=True)
    return ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, max_heads), free=False)


def played(scenario, heads, replications=2000, seed=77):
    return simulate(
        scenario, staffing={"desk": heads}, replications=replications, seed=seed, within="20s", progress=False
    )


def heads_of(early, late):
    return [early] * 4 + [late] * 4


# Goals ---------------------------------------------------------------------------------------------------------------


def test_a_goal_has_the_values_that_the_metrics_say():
    world = line()
    runs = played(world, heads_of(6, 4), replications=300)
    (whole,) = goals_of(world, TARGET, None, "horizon")
    assert whole.values(whole.parts(runs))[0] == pytest.approx(
        runs.summary(metrics="service_level", within="20s")["value"][0]
    )
    (cells,) = goals_of(world, TARGET, None, "interval")
    told = runs.summary(by="interval", metrics="service_level", within="20s")["value"]
    np.testing.assert_allclose(cells.values(cells.parts(runs)), told)
    (chance,) = goals_of(world, TARGET, 0.9, "horizon")
    days = runs.windows("service_level", "day", within="20s")["value"]
    assert chance.values(chance.parts(runs))[0] == np.quantile(days, 0.1, method="lower")
    assert chance.probability(chance.parts(runs)) == np.mean(days >= 0.80)


def test_a_low_target_turns_the_scale():
    world = line()
    (goal,) = goals_of(world, bp.AtMost("abandonment", 0.05, window="day"), 0.9, "horizon")
    days = (runs := played(world, heads_of(6, 4), replications=300)).windows("abandonment", "day")["value"]
    assert goal.values(goal.parts(runs))[0] == np.quantile(days, 0.9, method="higher")
    assert goal.straight(np.array(0.04)) > goal.straight(np.array(0.06))


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_slopes_taken_together_agree_with_those_of_one_head_at_a_time(confidence):
    """Each by a run of its own in which only one interval of one group has one head more, on the same draws."""
    world = mixed()
    target = bp.ServiceLevel(0.80, within="20s", window="day")
    goals = goals_of(world, target, confidence, "horizon")
    oracle = Oracle(world, None, goals, 800, 5)
    heads = {"one": np.full(4, 2), "two": np.full(4, 1), "both": np.full(4, 2)}
    tangent = oracle.tangent(heads)
    cell, group, interval, slope = tangent.slopes[0]
    assert (cell == 0).all()
    told = {(int(g), int(i)): s for g, i, s in zip(group, interval, slope, strict=True)}
    base = oracle.parts(heads)[0]
    for k, i in product(range(3), range(4)):
        more = {g: h.copy() for g, h in heads.items()}
        more[list(heads)[k]][i] += 1
        parts = oracle.parts(more)[0]
        alone = goals[0].slopes(base, parts, np.full(4, i))[2]
        assert told[k, i] == pytest.approx(float(alone.sum()), rel=0.15, abs=0.002)


def test_a_quantile_moves_as_its_slopes_say():
    """The tangent of the 10 % quantile against the quantile itself with one more head all morning."""
    world = line()
    goals = goals_of(world, TARGET, 0.9, "horizon")
    oracle = Oracle(world, None, goals, 2000, 3)
    heads = {"desk": np.array(heads_of(7, 5))}
    tangent = oracle.tangent(heads)
    rise = tangent.slopes[0][3].sum()
    after = oracle.values({"desk": np.array(heads_of(8, 6))})[0][0]
    assert after - tangent.values[0][0] == pytest.approx(rise, rel=0.35)


# The search against enumeration --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("confidence", "each"), [(None, "horizon"), (None, "interval"), (0.9, "horizon")])
def test_no_plan_of_a_small_world_is_cheaper(confidence, each):
    """All pairs of heads on the two shifts, each on 2,000 replications that the search has not seen."""
    world = line()
    plan = plan_of(world, TARGET, confidence=confidence, each=each, seed=2)
    assert plan.status == "met" and plan.validation.met
    (goal,) = goals_of(world, TARGET, confidence, each)
    costs = []
    for early, late in product(range(3, 12), range(2, 10)):
        cost = 10 * (early + late)
        if cost < plan.cost:
            values = goal.values(goal.parts(played(world, heads_of(early, late))))
            if (values >= 0.80 + (0.01 if confidence is None else 0.02)).all():
                costs.append(cost)
    assert not costs, f"{min(costs)} would do; the plan costs {plan.cost}"
    assert plan.bound <= plan.cost + 1e-6


@pytest.mark.parametrize(("patience", "expected", "surely"), [(None, 24, 25), ("120s", 22, 23)])
def test_fewest_agents_for_a_day_of_roubos_koole_and_stolletz(patience, expected, surely):
    """Roubos, Koole & Stolletz (2012): 200 contacts per half hour, handle time 180 s, a day of ten hours."""
    calls = {"arrivals": {"rate": "400/h"}, "handle_time": {"exponential": {"mean": "180s"}}}
    if patience:
        calls["patience"] = {"exponential": {"mean": patience}}
    world = line(
        opening_hours={"daily": "08:00-20:00"}, interval="30min", contact_types={"calls": calls},
        shifts={"day": {"start": "08:00", "paid": "12h"}},
    )  # fmt: skip
    options = {"warm_up": "2h", "seed": 4, "validation": 2000}
    mean = plan_of(world, TARGET, **options)
    assert (mean.status, int(mean.shifts["heads"].sum())) == ("met", expected)
    sure = plan_of(world, TARGET, confidence=0.95, **options)
    assert (sure.status, int(sure.shifts["heads"].sum())) == ("met", surely)
    assert sure.validation.frame["probability"][0] > 0.95


def test_heads_are_free_where_there_are_no_shifts_and_both_solvers_agree():
    world = mixed()
    target = {
        "a": bp.ServiceLevel(0.80, within="20s", window="day"),
        "b": bp.ServiceLevel(0.70, within="30s", window="day"),
    }
    plans = [plan_of(world, target, solver=s, seed=3, gap=1e-4) for s in ("highs", "cbc")]
    assert [p.status for p in plans] == ["met", "met"]
    assert plans[0].cost == pytest.approx(plans[1].cost, rel=0.04)
    assert list(plans[0].validation.frame["target"].str[:1]) == ["a", "b"]


def test_a_plan_keeps_the_least_heads_of_a_pattern():
    shifts = {"early": {"start": "09:00", "paid": "1h"}, "late": {"start": "10:00", "paid": "1h", "min_heads": 9}}
    plan = plan_of(line(shifts=shifts), TARGET, seed=1)
    heads = plan.shifts.groupby("shift")["heads"].sum()
    assert plan.status == "met" and heads["late"] >= 9 and not plan.bound > plan.value + 1e-6


def test_a_plan_that_breaks_a_limit_is_never_the_best():
    shifts = {"early": {"start": "09:00", "paid": "1h", "max_heads": 6}, "late": {"start": "10:00", "paid": "1h"}}
    world = line(shifts=shifts)
    search = Search(model_of(world), Oracle(world, None, goals_of(world, TARGET, None, "horizon"), 100, 1), {}, np.inf)
    broken = search.point(np.array([12.0, 8.0]))
    assert broken.worst >= 0 and search.best is None and search.merit(broken) == np.inf
    kept = search.point(np.array([6.0, 8.0]))
    assert search.best in (None, kept) and search.nearest is kept


# The bound -----------------------------------------------------------------------------------------------------------


def toy(total, least=0.9):
    """Tangent of a service 0.5 + 0.005 × heads, added over the eight intervals of a line, where they are so many."""
    heads = {"desk": np.full(8, total // 8)}
    at = np.arange(8)
    slopes = np.zeros(8, dtype=int), np.zeros(8, dtype=int), at, np.full(8, 0.005)
    return Tangent(heads, [np.array([0.5 + 0.005 * total])], [np.zeros(1)], [slopes], [np.array([least])])


@pytest.mark.parametrize("total", [40, 96])
def test_the_bound_of_a_straight_service_is_not_above_its_optimum(total):
    """80 % takes 60 heads: 15 shifts of four intervals at 10."""
    world = line()
    goals = goals_of(world, TARGET, None, "horizon")
    bound = lower_bound(model_of(world), goals, [toy(total)], {"gap": 1e-9})
    assert 130 <= bound <= 150 + 1e-6


def test_small_slopes_count_in_the_bound():
    """Early heads, which matter most, are at their cap: a late one more, at 0.02, brings the 0.01 that is missing."""
    shifts = {"early": {"start": "09:00", "paid": "1h", "max_heads": 5}, "late": {"start": "10:00", "paid": "1h"}}
    world = line(shifts=shifts)
    here = toy(40)
    slopes = (*here.slopes[0][:3], np.array([0.3, *[0.005] * 7]))
    tangent = Tangent(here.heads, [np.array([0.79])], here.errors, [slopes], here.least)
    goals = goals_of(world, TARGET, None, "horizon")
    assert lower_bound(model_of(world), goals, [tangent], {"gap": 1e-9}) == pytest.approx(110)


def test_a_tangent_with_an_overwhelmed_interval_bounds_nothing():
    world = line()
    goals = goals_of(world, TARGET, None, "horizon")
    assert np.isnan(lower_bound(model_of(world), goals, [toy(40, least=0.69)], {}))
    parts = np.array([[8.0, 1.0, 0, 0, 0, 0, 0, 0]]), np.array([[10.0, 2.0, 0, 0, 0, 0, 0, 0]])
    assert goals[0].least(parts) == [0.5]
    assert goals_of(world, TARGET, None, "interval")[0].least(parts)[:3].tolist() == [0.8, 0.5, np.inf]


def test_the_bound_is_of_the_probability_asked_for_and_not_of_the_one_searched_for():
    world = line()
    asked, higher = (goals_of(world, TARGET, p, "horizon") for p in (0.8, 0.95))
    search = Search(model_of(world), Oracle(world, None, higher, 200, 1, asked=asked), {}, np.inf)
    search.descend(np.array([8.0, 6.0]))
    first = search.tangents[0]
    days = played(world, heads_of(8, 6), replications=200, seed=1).windows("service_level", "day", within="20s")[
        "value"
    ]
    assert first.values[0][0] == np.quantile(days, 0.2, method="lower") > np.quantile(days, 0.05, method="lower")


def test_rounding_keeps_the_heads_of_a_day_though_each_shift_has_a_third_of_one():
    spans = {"first": "09:00", "second": "09:15", "third": "09:30"}
    world = line(shifts={name: {"start": at, "paid": "1h"} for name, at in spans.items()})
    every = tours(world, ("desk",), keep_all=True)
    model = ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, None), free=False)
    assert rounded(model, np.full(len(model.model.cost), 1 / 3)).sum() == 1
    assert rounded(model, np.full(len(model.model.cost), 2.4)).sum() == 7


# Proof ---------------------------------------------------------------------------------------------------------------


def test_a_plan_that_a_small_sample_accepts_is_refused_by_the_proof():
    """Three replications of the search say yes to almost anything; the proof has its own."""
    world = line()
    for seed in range(6):
        plan = plan_of(world, TARGET, confidence=0.95, replications=3, seed=seed, time_limit=60)
        days = played(world, plan.staffing.sort_values("interval_start")["heads"].tolist())
        met = (days.windows("service_level", "day", within="20s")["value"] >= 0.80).mean()
        assert (plan.status == "met") <= (met > 0.935)
        assert plan.validation.seed != seed and plan.validation.replications >= 1000


def test_the_same_question_has_the_same_answer_and_leaves_numpys_generator_alone():
    before = np.random.get_state()[1].copy()
    one, two = (plan_of(line(), TARGET, seed=9) for _ in range(2))
    pd.testing.assert_frame_equal(one.shifts, two.shifts)
    assert (np.random.get_state()[1] == before).all()


def test_the_trail_and_the_lines_of_progress_say_what_was_tried():
    said = []
    plan = plan_of(line(), TARGET, seed=1, progress=said.append)
    assert list(plan.trail.columns) == ["cost", "worst", "plans", "at"]
    assert (plan.trail["at"].diff().dropna() >= 0).all() and plan.trail["cost"].min() > 0
    assert any("best" in s for s in said) and any(s.startswith("proof: met") for s in said)


def test_an_interrupt_returns_the_best_plan_that_was_proven(monkeypatch):
    import bposim.optimise.staffing as module

    real, seen = module.prove_plan, []

    def failing_once(*args, **options):
        seen.append(real(*args, **options))
        if len(seen) == 1:
            return seen[0].replace(status="stopped")
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "prove_plan", failing_once)
    plan = plan_of(line(), TARGET, seed=1)
    assert plan.validation is not None and plan.cost == seen[0].cost


# What stands in the way ----------------------------------------------------------------------------------------------


def test_an_hour_that_no_shift_covers_is_named_and_a_shift_there_helps():
    world = line(shifts={"early": {"start": "09:00", "paid": "1h"}})
    plan = plan_of(world, TARGET, each="interval", seed=1)
    assert plan.status == "infeasible" and list(plan.conflicts["kind"]) == ["no_shift"]
    assert "10:00 to 11:00" in plan.conflicts["message"][0]
    assert plan_of(line(), TARGET, each="interval", seed=1).status == "met"


def test_a_target_that_no_number_of_agents_reaches_is_named():
    """An oracle that says 50 % whatever the heads."""
    world = line()
    every = tours(world, ("desk",), keep_all=True)
    model = ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, None), free=False)
    goals = goals_of(world, TARGET, None, "horizon")
    always = SimpleNamespace(goals=goals, values=lambda heads: [np.array([0.5])])
    need = pd.DataFrame({"interval_start": world.grid.starts, "required": 4})
    found = out_of_reach(model, always, need)
    assert list(found["kind"]) == ["target"] and "50.0 % is the most" in found["message"][0]


@pytest.mark.parametrize("confidence", [None, 0.95])
def test_a_cap_on_heads_is_named_and_raising_it_helps(confidence):
    world = line()
    plan = plan_of(world, TARGET, confidence=confidence, max_heads=4, seed=1)
    assert plan.status == "infeasible" and list(plan.conflicts["kind"]) == ["head_cap"]
    by = int(plan.conflicts["by_how_much"][0])
    again = plan_of(world, TARGET, confidence=confidence, max_heads=4 + by + 1, seed=1)
    assert again.status == "met"


def test_a_cap_on_a_pattern_is_named_and_raising_it_helps():
    shifts = {"early": {"start": "09:00", "paid": "1h", "max_heads": 2}, "late": {"start": "10:00", "paid": "1h"}}
    plan = plan_of(line(shifts=shifts), TARGET, each="interval", seed=1)
    assert plan.status == "infeasible" and list(plan.conflicts["kind"]) == ["pattern_cap"]
    shifts["early"]["max_heads"] = 2 + int(plan.conflicts["by_how_much"][0]) + 1
    assert plan_of(line(shifts=shifts), TARGET, each="interval", seed=1).status == "met"


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        plan_of(line(), TARGET, confidence=95, each="hour", validation=0, time_limit=0)
    said = str(caught.value)
    assert all(word in said for word in ("confidence", "each", "validation", "time_limit"))
    with pytest.raises(ParameterError, match="cannot be searched for"):
        plan_of(line(), TARGET.replace(metric="wait_p95", level=60.0, sense="<=", within_s=None))
