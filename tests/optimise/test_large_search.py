"""What the search of a large problem rests on: a kept relaxation, curves by half hour, slopes that plans share, margins from a proof."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy.optimize import linprog
from scipy.stats import norm

import bposim as bp
from bposim.errors import SolverError
from bposim.optimise._bound import anchored
from bposim.optimise._goals import goals_of
from bposim.optimise._lp import Model
from bposim.optimise._margins import ROOM, WORTH, off_by, search_goal, worth_a_proof
from bposim.optimise._master import ALONE, Master
from bposim.optimise._oracle import KEPT, Oracle
from bposim.optimise._relaxed import Relaxation
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._tours import tours

TARGET = bp.ServiceLevel(0.80, within="20s", window="week")


def desk(days=1, interval="15min"):
    """One type, nine hours of quarter hours a day, shifts of a quarter hour each."""
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "desk", "time_zone": "UTC", "start": "2026-03-02", "days": days,
        "interval": interval, "opening_hours": {"daily": "09:00-18:00"},
        "contact_types": {"calls": {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "180s"}},
                                    "patience": {"exponential": {"mean": "120s"}}}},
        "agent_groups": {"desk": {"skills": ["calls"], "heads": 4, "cost_per_hour": 10}},
        "shifts": {"piece": {"start": ["09:00", "17:45"], "step": "15min", "paid": "15min"}},
    })  # fmt: skip


def model_of(world):
    every = tours(world, ("desk",), keep_all=True)
    return ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, None), free=False)


def relaxed(rng, limits):
    model = Model()
    for cost in rng.uniform(1, 9, 30):
        model.column(cost, high=20.0)
    for limit, row in zip(limits, rng.uniform(0, 1, (8, 30)), strict=True):
        model.row(list(range(30)), list(row), ">=", limit)
    model.row([0, 1, 2], [1.0, 1.0, 1.0], "<=", 2.0)
    model.row([3, 4], [1.0, -1.0], "==", 0.5)
    return model


@pytest.mark.parametrize("value", [False, True])
def test_a_kept_relaxation_has_the_optimum_of_a_new_one_after_each_move(value):
    first, later = np.full(8, 5.0), np.array([5, 9, 5, 12, 5, 5, 30, 5.0])
    kept = Relaxation(relaxed(np.random.default_rng(1), first), 1, value=value)
    for limits in (first, later, first):
        for row, limit in enumerate(limits):
            kept.ask(row, limit)
        found, model = kept.solve(None), relaxed(np.random.default_rng(1), limits)
        table = np.zeros((len(model.rows), 30))
        for k, (columns, factors, *_) in enumerate(model.rows):
            table[k, columns] = factors
        other = linprog(
            model.cost, np.concatenate([-table[:8], table[8:9]]), [*-limits, 2.0], table[9:], [0.5], bounds=(0, 20)
        )
        assert found.status == "optimal" and found.objective == pytest.approx(other.fun)
        assert found.values @ np.array(model.cost) == pytest.approx(other.fun)


def test_a_relaxation_says_that_there_is_no_solution_and_that_time_ran_out():
    hopeless = Relaxation(relaxed(np.random.default_rng(1), np.full(8, 5000.0)), 1)
    assert hopeless.solve(None).status == "infeasible"
    rng, model = np.random.default_rng(1), Model()
    for cost in rng.uniform(1, 9, 300):
        model.column(cost, high=20.0)
    for row in rng.uniform(0, 1, (300, 300)):
        model.row(list(range(300)), list(row), ">=", 50.0)
    kept = Relaxation(model, 1)
    late = kept.solve(0.0)
    assert (late.status, late.values) == ("stopped", None)
    assert kept.solve(None).status == "optimal", "more time helps"


def test_a_relaxation_that_fails_is_left_to_the_solvers_by_name(monkeypatch):
    def failing(self, time_limit):
        raise SolverError("no")

    monkeypatch.setattr("bposim.optimise._lp.LARGE", 1)
    monkeypatch.setattr(Relaxation, "solve", failing)
    master, n = Master(model_of(desk())), 36
    master.cut({"desk": np.full(n, 3)}, ["desk"] * n, np.arange(n), np.full(n, 0.01), 0.1, 1e6)
    found = master.solve({})
    assert found is not None and [s.status for s in master.solved] == ["optimal"]


@pytest.mark.parametrize("days", [1, 7])
def test_a_quarter_hour_makes_up_for_the_other_of_its_half_hour_only_where_they_share_a_curve(days):
    """Heads are dearer in every second quarter hour; intervals of a long week share a curve by half hours, of a day they do not."""
    world = desk(days)
    model = model_of(world)
    n = len(world.grid)
    dear = np.arange(n) % 2 == 1
    model.model.cost[:] = [2.6 if dear[t.core[0]] else 2.5 for t in model.tours]
    master = Master(model)
    weight, share = np.full(n, 1 / n), np.full(n, 0.8)
    here = {"desk": np.full(n, 10)}
    master.curve(here, ["desk"] * n, np.arange(n), np.full(n, 0.03 / n), weight, share, 0.0, 1e6)
    heads = model.staffed(master.solve({"gap": 1e-6})[: len(model.model.cost)])["desk"]
    assert heads.sum() == pytest.approx(10 * n, rel=0.02)
    apart = heads[~dear].mean() - heads[dear].mean()
    assert apart > 10 if n > ALONE else apart < 3
    halves = heads.reshape(-1, 2).sum(axis=1)
    assert halves.max() - halves.min() <= 6, "half hours do not make up for each other"


def test_slopes_of_few_replications_keep_what_plans_before_told_of_their_rate(monkeypatch):
    """Two plans with slopes 1 and 3 times what is due: the second has the mean, weighted by replications, times its own due."""
    world = desk()
    goals = goals_of(world, TARGET, None, "horizon")
    oracle = Oracle(world, None, goals, 40, 1, few=4)
    keys = np.zeros(2, dtype=int), np.zeros(2, dtype=int), np.array([0, 1])
    due = {1: np.array([0.1, 0.4, *[0.0] * 34]), 2: np.array([0.2, 0.2, *[0.0] * 34])}
    said = []
    for k, times in ((1, 1.0), (2, 3.0)):
        now = (*keys, times * due[k][:2], np.full(2, 0.01))
        monkeypatch.setattr("bposim.optimise._oracle._slopes_of", lambda *a, now=now: now)
        said.append(oracle._slopes(0, goals[0], (np.zeros(0), np.zeros(0)), [], due[k]))
    np.testing.assert_allclose(said[0][3], due[1][:2])
    rate = (3.0 + KEPT * 1.0) / (1 + KEPT)
    np.testing.assert_allclose(said[1][3], rate * due[2][:2])
    old, new = 0.01 / due[1][:2] ** 2, 0.01 / due[2][:2] ** 2
    np.testing.assert_allclose(said[1][4], (KEPT**2 * old + new) / (1 + KEPT) ** 2 * due[2][:2] ** 2)


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_margins_are_what_draws_promise_above_the_proof_and_the_room_of_a_full_proof(confidence):
    goals = goals_of(desk(), TARGET, confidence, "horizon")
    aims = [search_goal(g, 100) for g in goals]
    proof = SimpleNamespace(reached=((np.array([0.81]), np.array([0.01])),), shortfall=(np.zeros(1),), replications=100)
    (margin,) = off_by(goals, aims, [np.array([0.84])], proof, 400)
    half = norm.ppf(0.975) * 0.01 / 2 / norm.pdf(norm.ppf(0.81))  # of four times the replications
    room = 1.5 * half
    if confidence is not None:  # the aim lies half the width of 100 windows higher, which is twice that of 400
        room -= 2 * half
    assert margin[0] == pytest.approx(norm.ppf(0.84) - norm.ppf(0.81) + room)


@pytest.mark.parametrize("confidence", [None, 0.9])
def test_a_refused_plan_lacks_on_the_draws_what_it_lacked_in_the_proof(confidence):
    goals = goals_of(desk(), TARGET, confidence, "horizon")
    aims = [search_goal(g, 100) for g in goals]
    proof = SimpleNamespace(
        reached=((np.array([0.83]), np.array([1e-4])),), shortfall=(np.array([0.02]),), replications=400
    )
    (margin,) = off_by(goals, aims, [np.array([0.85])], proof, 400)
    assert norm.ppf(0.85) - norm.ppf(0.80) - margin[0] == pytest.approx(-0.02)


@pytest.mark.parametrize(("n_cells", "ratio"), [(1, 1), (2, 1), (3, 1), (1, 16), (2, 4)])
def test_a_plan_that_just_has_the_room_is_proven_one_time_in_four(n_cells, ratio):
    """A proof told of a plan, with its error; changed plans that on the search's draws just have the room are proven anew."""
    rng, half = np.random.default_rng(3), norm.ppf(0.975)
    told, fresh = rng.normal(0.0, 1.0, (2, 20_000, n_cells))  # in standard errors of a full proof
    truth = worth_a_proof(n_cells, ratio) * half - told * np.sqrt(ratio)
    held = (truth + fresh - half >= 0).all(axis=1).mean()
    assert held == pytest.approx(WORTH, abs=4 * np.sqrt(WORTH * (1 - WORTH) / 20_000))
    assert worth_a_proof(72, ratio) == ROOM


def test_values_of_the_bound_are_anchored_in_the_proof_and_keep_what_common_draws_tell_apart():
    """Thirty lucky replications: the proof's value and error for its own plan, and nearly its error for a plan with a head more."""
    world = desk()
    (goal,) = goals = goals_of(world, TARGET, None, "horizon")
    oracle = Oracle(world, None, goals, 30, 5, asked=goals, apart=True)
    plan, more = ({"desk": np.full(36, n)} for n in (4, 5))
    tangents = [oracle.tangents(h)[1] for h in (plan, more)]
    truth = Oracle(world, None, goals, 3000, 77)
    mean, error = float(truth.values(plan)[0][0]), float(goal.errors(truth.parts(plan)[0])[0])
    proof = SimpleNamespace(reached=((np.array([mean]), np.array([error])),))
    other = Oracle(world, None, goals, 30, 6, asked=goals, apart=True).tangents(plan)[1]
    first, second, third = anchored([*tangents, other], oracle, goals, plan, proof)
    assert first.values[0][0] == pytest.approx(mean) and first.errors[0][0] == pytest.approx(error, rel=1e-3)
    assert second.values[0][0] - mean == pytest.approx(tangents[1].values[0][0] - tangents[0].values[0][0])
    assert second.errors[0][0] < 0.8 * tangents[1].errors[0][0]
    assert abs(second.values[0][0] - float(truth.values(more)[0][0])) < 4 * second.errors[0][0]
    assert third is other, "other draws"
