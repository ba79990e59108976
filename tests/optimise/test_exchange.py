"""Exchanges of shifts against every plan there is."""

from itertools import product

import numpy as np
import pytest

import bposim as bp
from bposim.optimise._exchange import HOPELESS, effects, exchanges
from bposim.optimise._goals import goals_of
from bposim.optimise._oracle import Oracle
from bposim.optimise._search import Search
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._tours import tours

GROUPS = ("one", "two", "both")


def centre(interval="30min", **shift):
    """Two types, three groups, an hour of half hours; generalists are dearer and slower in one type."""
    kind = {"handle_time": {"exponential": {"mean": "180s"}}, "patience": {"exponential": {"mean": "300s"}}}
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "centre", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "interval": interval, "opening_hours": {"daily": "09:00-10:00"},
        "contact_types": {"a": {"arrivals": {"rate": "60/h"}, **kind}, "b": {"arrivals": {"rate": "40/h"}, **kind}},
        "agent_groups": {
            "one": {"skills": ["a"], "heads": 0, "cost_per_hour": 10},
            "two": {"skills": ["b"], "heads": 0, "cost_per_hour": 10},
            "both": {"skills": {"a": 1.0, "b": 1.1}, "heads": 0, "cost_per_hour": 13},
        },
        "shifts": {"all": {"start": "09:00", "paid": "1h", **shift}},
    })  # fmt: skip


def model_of(world, max_heads=None):
    every = tours(world, GROUPS, keep_all=True)
    able = {t: tuple(g for g in GROUPS if t in world.agent_groups[g].skills) for t in world.contact_types}
    return ShiftModel(world, able, every, Limits({}, None, 0.0, max_heads), free=False)


@pytest.mark.parametrize(("cap", "spare"), [(None, 0.0), (8, 0.0), (None, 11.0)])
def test_every_cheaper_plan_within_a_few_heads_comes_in_the_order_of_what_it_lacks(cap, spare):
    model = model_of(centre(), cap)
    here, gaps = np.array([3.0, 2.0, 3.0]), np.array([0.1, -0.1, np.nan])
    effect = np.array([[0.2, 0.0, 0.1], [0.0, 0.15, 0.12], [9.0, 9.0, 9.0]])
    cost = np.array(model.model.cost)
    below = here @ cost + spare
    found = list(exchanges(model, here, gaps, effect, below))

    wanted = {}
    for plan in product(range(7), repeat=3):
        move = np.array(plan) - here
        gone, come = -move[move < 0].sum(), move[move > 0].sum()
        lack = np.maximum(-(gaps[:2] + effect[:2] @ move), 0).sum()
        near = (gone, come) in {(1, 0), (0, 1), (1, 1), (2, 1), (1, 2)} and (cap is None or sum(plan) <= cap)
        if near and move @ cost < spare - 1e-9 and lack <= HOPELESS:
            wanted[plan] = lack
    assert len(wanted) > 5
    assert {tuple(p.astype(int)) for p in found} >= set(wanted)
    lacks = [np.maximum(-(gaps[:2] + effect[:2] @ (p - here)), 0).sum() for p in found]
    assert lacks == pytest.approx(sorted(lacks)), "those first that lack least"
    assert ((4.0, 2.0, 3.0) in wanted) == (spare > 10), "a head alone where there is room for it"
    assert all(p @ cost < below and model.model.keeps(p) and (p >= 0).all() for p in found)


def test_effects_are_those_of_heads_one_by_one():
    world = centre(breaks=[{"after": ["10min", "30min"], "length": "30min"}], break_step="30min")
    model = model_of(world)
    goals = goals_of(world, bp.ServiceLevel(0.8, within="20s", window="all"), None, "horizon")
    oracle = Oracle(world, None, goals, 50, 1)
    tangent = oracle.tangent({g: np.array([4, 4]) for g in GROUPS})
    found = effects(model, goals, tangent)
    _, group, interval, slope = tangent.slopes[0]
    steep = float(np.abs(goals[0].steepness(tangent.values[0]))[0])
    for column in range(len(model.model.cost)):
        one = np.zeros(len(model.model.cost))
        one[column] = 1.0
        heads = model.staffed(one)
        by_hand = sum(s * steep * heads[GROUPS[g]][i] for g, i, s in zip(group, interval, slope, strict=True))
        assert found[0, column] == pytest.approx(by_hand)


@pytest.mark.parametrize("breaks", [None, [{"after": ["10min", "30min"], "length": "10min", "paid": True}]])
def test_exchanges_lead_from_a_dear_plan_to_the_cheapest(breaks):
    """Without breaks, where each shift is played on its own, the cheapest of all; with them, by the tangent, 5 % less at least."""
    world = centre(**({} if breaks is None else {"interval": "10min", "breaks": breaks, "break_step": "10min"}))
    model = model_of(world)
    goals = goals_of(world, bp.ServiceLevel(0.8, within="20s", window="all"), None, "horizon")
    search = Search(model, Oracle(world, None, goals, 40, 1), {"gap": 1e-6}, np.inf)
    start = np.zeros(len(model.model.cost))
    for column, choices, n in zip(model.heads, model.choices, (6, 5, 1), strict=True):
        start[column] = n
        for chosen in choices:  # half of the heads take the first break, the others the last
            start[chosen[0]], start[chosen[-1]] = n - n // 2, n // 2
    first = search.point(start)
    assert first.holds
    best = search.squeeze(first)
    assert best.holds and model.model.keeps(best.columns)
    if breaks is None:
        plans = [np.array(p, dtype=float) for p in product(range(8), repeat=3)]
        cost = np.array(model.model.cost)
        least = min(p @ cost for p in plans if p @ cost <= best.cost and search.point(p).holds)
        assert best.cost == pytest.approx(least)
    assert best.cost < 0.95 * first.cost


def test_exchanges_go_from_a_plan_that_misses_to_one_below_what_was_proven():
    """The walk begins at the start that misses; where nothing between them holds, the proven plan stays."""
    model = model_of(centre())
    goals = goals_of(centre(), bp.ServiceLevel(0.8, within="20s", window="all"), None, "horizon")
    search = Search(model, Oracle(centre(), None, goals, 40, 1), {"gap": 1e-6}, np.inf)
    cost = np.array(model.model.cost)
    plans = sorted((np.array(p, dtype=float) for p in product(range(8), repeat=3)), key=lambda p: float(p @ cost))
    holding = [p for p in plans if p @ cost <= 110 and search.point(p).holds]
    least, proven = holding[0], search.proven(holding[-1])
    start = least - [0, 1, 0] if least[1] else least - [1, 0, 0]
    assert not search.point(start).holds
    found = search.squeeze(proven, search.point(start))
    assert found.holds and found.cost < proven.cost and found.cost == pytest.approx(least @ cost, abs=10)
    dearest = search.proven(least)
    assert search.squeeze(dearest, search.point(start)) is dearest
