"""Requirements: the published plan, the laws, the sets of contact types."""

from __future__ import annotations

import warnings
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.erlang import erlang_a, least_agents
from bposim.errors import OptimiseError, ParameterError, StabilityWarning
from bposim.optimise import required_agents
from bposim.optimise._levels import Cases, Goal, least
from bposim.optimise._rates import _lattice, _without_poisson
from bposim.optimise._skills import able_groups, components, type_sets
from bposim.scenario import AtMost, ServiceLevel, load_scenario

PLAN = [12, 8, 6, 5, 5, 8, 20, 45, 70, 85, 90, 88, 80, 78, 82, 80, 70, 60, 48, 40, 32, 26, 20, 15]
SL = ServiceLevel(0.80, within="20s")


def world(types=None, groups=None, **more):
    types = types or {"q": {}}
    filled = {
        name: {
            "arrivals": {"per_interval": PLAN}, "handle_time": {"exponential": {"mean": "4min"}},
            "patience": {"exponential": {"mean": "8min"}}, **body,
        }
        for name, body in types.items()
    }  # fmt: skip
    groups = groups or {"g": {"skills": list(filled), "shrinkage": 0.3}}
    return load_scenario({"name": "w", "interval": "1h", "contact_types": filled, "agent_groups": groups, **more})


def required(need, name="q"):
    return need.frame.loc[need.frame["contact_types"] == name, "required"].to_numpy()


@pytest.mark.parametrize(
    ("method", "positions"),
    [
        ("erlang-c", [5, 3, 3, 3, 3, 3, 5, 8, 12, 13, 13, 13, 12, 12, 12, 12, 12, 10, 9, 8, 6, 6, 5, 5]),
        ("erlang-a", [3, 3, 3, 3, 3, 3, 5, 8, 10, 12, 13, 13, 12, 12, 12, 12, 10, 9, 8, 8, 6, 6, 5, 5]),
    ],
)
def test_the_published_interval_plan(method, positions):
    need = required_agents(world(), target=SL, method=method, max_occupancy=0.85)
    assert np.ceil(need.frame["scheduled"] - 1e-9).astype(int).tolist() == positions
    assert need.staffing()["heads"].tolist() == positions
    assert sum(positions) == {"erlang-c": 193, "erlang-a": 184}[method]


def test_scheduled_is_net_over_one_minus_shrinkage_never_times_one_plus():
    frame = required_agents(world(), target=SL).frame
    assert np.allclose(frame["scheduled"], frame["required"] / 0.7)
    assert not np.allclose(frame["scheduled"], frame["required"] * 1.3)
    assert (frame["scheduled"] % 1 > 0.01).any(), "shrinkage must not be rounded up per queue"


@pytest.mark.parametrize(("method", "patience"), [("erlang-a", 480.0), ("erlang-c", None)])
def test_without_a_day_factor_it_is_the_formula_itself(method, patience):
    need = required_agents(world(), target=SL, method=method)
    exact = least_agents(np.array(PLAN) / 3600, 240.0, target=0.8, within=20.0, patience=patience)
    assert required(need).tolist() == exact.tolist()


def test_the_expected_level_is_just_reached_under_the_day_factor():
    scenario = world({"q": {"day_factor": {"gamma": {"cv": 0.25}}, "arrivals": {"rate": "300/h"}}})
    n = required(required_agents(scenario, target=SL))[0]
    # Fresh numerical integration over 20,000 quantiles of the gamma law, coarse classes notwithstanding.
    u = (np.arange(2000) + 0.5) / 2000
    factor = np.asarray(scenario.contact_types["q"].day_factor.quantile(u))
    rate = 300 / 3600 * factor / factor.mean()

    def level(agents):
        q = erlang_a(rate, 240.0, float(agents), patience=480.0, within=20.0)
        return float((rate * q.service_level["offered"]).sum() / rate.sum())

    assert level(n) >= 0.8 - 1e-3 and level(n - 1) < 0.8


def test_busyness_asks_for_no_fewer_agents_where_the_target_is_high():
    """Level as a function of the rate is concave near a high target, so spread can only lower its mean there."""
    busy = {"per_interval": [4 * x for x in PLAN]}
    scenario = world({"q": {"day_factor": {"gamma": {"cv": 0.15}}, "arrivals": busy}})
    spread, certain = (required(required_agents(scenario, target=SL, day_factor=f)) for f in (True, False))
    assert (spread >= certain).all() and (spread > certain).any()


def test_a_higher_target_never_lowers_the_requirement():
    scenario = world({"q": {"day_factor": {"gamma": {"cv": 0.1}}}})
    for method in ("erlang-a", "erlang-c", "square-root"):
        found = [
            required(required_agents(scenario, target=ServiceLevel(s, within="20s"), method=method))
            for s in (0.5, 0.7, 0.8, 0.9, 0.97)
        ]
        assert all((b >= a).all() for a, b in pairwise(found))
        assert found[-1].sum() > found[0].sum()


@pytest.mark.parametrize(
    ("target", "value"),
    [
        (AtMost("abandonment", 0.03), lambda q: q.p_abandon <= 0.03),
        (AtMost("asa", "10s"), lambda q: q.asa <= 10),
        (AtMost("mean_wait", "10s"), lambda q: q.mean_wait <= 10),
        (ServiceLevel(0.8, within="20s", counting="excl_T"), lambda q: q.service_level["excl_T"] >= 0.8),
        (ServiceLevel(0.8, within="20s", counting="credit_T"), lambda q: q.service_level["credit_T"] >= 0.8),
        (ServiceLevel(0.8, within="20s", counting="answered"), lambda q: q.service_level["answered"] >= 0.8),
    ],
)
def test_every_metric_is_reached_and_not_by_one_agent_less(target, value):
    n = required(required_agents(world(), target=target)).astype(float)
    rate = np.array(PLAN) / 3600
    assert np.all(value(erlang_a(rate, 240.0, n, patience=480.0, within=20.0)))
    fewer = n > 1
    assert not np.any(value(erlang_a(rate[fewer], 240.0, n[fewer] - 1, patience=480.0, within=20.0)))


def test_share_of_intervals_asks_its_pass_level_of_each():
    clause = ServiceLevel(0.9, within="20s", aggregation="share_of_intervals", pass_level=0.8)
    one, other = (required(required_agents(world(), target=t)).tolist() for t in (clause, SL))
    assert one == other


TWO = {"a": {}, "b": {"handle_time": {"exponential": {"mean": "6min"}}, "patience": {"exponential": {"mean": "4min"}}}}


def test_sets_of_types_follow_the_shared_groups():
    groups = {"g1": {"skills": ["a", "b"]}, "g2": {"skills": ["b", "c"]}, "g3": {"skills": ["d"]}}
    able = able_groups(world({t: {} for t in "abcd"}, groups))
    assert components(able) == [("a", "b", "c"), ("d",)]
    assert set(type_sets(able)) == {("a",), ("b",), ("c",), ("a", "b"), ("b", "c"), ("a", "b", "c"), ("d",)}


def test_more_than_five_types_keep_singles_skill_sets_and_the_whole():
    names = list("abcdef")
    groups = {f"g{k}": {"skills": names[k : k + 2]} for k in range(5)}
    sets = type_sets(able_groups(world({t: {} for t in names}, groups)))
    assert len(sets) == 6 + 5 + 1 and tuple(names) in sets


def test_routing_preference_takes_a_group_away_from_a_type():
    groups = {"g1": {"skills": ["a", "b"]}, "g2": {"skills": ["b"]}}
    scenario = world(TWO, groups, routing={"preference": {"b": ["g2"]}})
    assert type_sets(able_groups(scenario)) == [("a",), ("b",)]


def test_a_pool_adds_rates_weighs_times_and_saves_agents():
    need = required_agents(world(TWO), target=SL)
    a, b, pool = (required(need, n) for n in ("a", "b", "a+b"))
    assert (pool <= a + b).all() and pool.sum() < (a + b).sum() and (pool >= np.maximum(a, b)).all()
    rate = 2 * np.array(PLAN) / 3600
    by_hand = least_agents(rate, 300.0, target=0.8, within=20.0, patience=1 / (0.5 / 480 + 0.5 / 240))
    assert pool.tolist() == by_hand.tolist()


def test_handle_time_multiplier_of_the_only_group_counts():
    plain = required_agents(world(), target=SL).frame
    slow = required_agents(world(groups={"g": {"skills": {"q": 1.5}}}), target=SL).frame
    assert np.allclose(slow["workload_erlangs"], 1.5 * plain["workload_erlangs"])
    assert slow["required"].sum() > plain["required"].sum()


def test_a_mapping_of_targets_and_the_strictest_in_a_pool():
    easy, hard = ServiceLevel(0.5, within="60s"), ServiceLevel(0.95, within="10s")
    for first, second in ((easy, hard), (hard, easy)):
        need = required_agents(world(TWO), target={"a": first, "b": second})
        assert required(need, "a").tolist() == required(required_agents(world(TWO), target=first), "a").tolist()
        assert required(need, "a+b").tolist() == required(required_agents(world(TWO), target=hard), "a+b").tolist()


@pytest.mark.parametrize(("method", "patience"), [("erlang-a", 480.0), ("erlang-c", None)])
def test_the_occupancy_cap_is_on_carried_load(method, patience):
    easy = ServiceLevel(0.1, within="20s")
    need = required_agents(world(), target=easy, method=method, max_occupancy=0.6)
    exact = least_agents(np.array(PLAN) / 3600, 240.0, target=0.1, within=20.0, patience=patience, max_occupancy=0.6)
    assert required(need).tolist() == exact.tolist()
    loose = required(required_agents(world(), target=easy, method=method))
    assert (required(need) > loose).any()


def test_a_type_without_target_needs_its_workload():
    need = required_agents(world(TWO), target=ServiceLevel(0.8, within="20s", contact_type="a"))
    assert required(need, "b").tolist() == np.ceil(np.array(PLAN) / 10).tolist()


def test_deferred_work_is_spread_over_the_open_day():
    types = {"q": {}, "mail": {"channel": "email", "arrivals": {"per_interval": PLAN}, "patience": "infinite"}}
    need = required_agents(world(types), target=SL)
    level = sum(PLAN) * 240 / 3600 / 24
    assert set(required(need, "mail")) == {int(np.ceil(level / 0.9))}
    load = np.array(PLAN) * 240 / 3600 + level
    pool = required(need, "q+mail")
    assert pool.tolist() == np.maximum(required(need, "q"), np.ceil(load / 0.9)).astype(int).tolist()


def test_min_heads_is_a_floor_only_while_contacts_come():
    scenario = world({"q": {"arrivals": {"per_interval": [0, 1] * 12}}})
    need = required(required_agents(scenario, target=SL, min_heads=4))
    assert need[::2].tolist() == [0] * 12 and need[1::2].tolist() == [4] * 12


def paths(scenario, table):
    starts = scenario.grid.starts
    return pd.DataFrame({
        "contact_type": "q", "interval_start": np.tile(starts, len(table)), "contacts": np.concatenate(table),
        "sample": np.repeat(np.arange(len(table)), len(starts)),
    })  # fmt: skip


def test_forecast_paths_are_the_uncertainty_and_counts_lose_their_poisson_noise():
    busy = {"per_interval": [10 * x for x in PLAN]}
    scenario = world({"q": {"arrivals": busy, "day_factor": {"gamma": {"cv": 0.3}}}})
    mean = 10.0 * np.array(PLAN)
    rng = np.random.default_rng(11)
    sure = required(required_agents(scenario, target=SL, day_factor=False))
    # Real numbers, all paths equal: certain, and the day factor is not laid over them.
    assert required(required_agents(scenario, paths(scenario, [mean] * 20), target=SL)).tolist() == sure.tolist()
    # Pure Poisson counts hold no uncertainty of the rate.
    counts = [rng.poisson(mean) for _ in range(400)]
    assert np.abs(required(required_agents(scenario, paths(scenario, counts), target=SL)) - sure).max() <= 1
    # Busy and quiet days do.
    busy = [mean * f for f in rng.gamma(16, 1 / 16, 400)]
    assert required(required_agents(scenario, paths(scenario, busy), target=SL)).sum() > sure.sum() + 20


def test_poisson_noise_is_taken_out_of_counts_and_only_that():
    rng = np.random.default_rng(4)
    rate = 40 * rng.gamma(25, 1 / 25, (3, 20_000))
    kept = _without_poisson(rng.poisson(rate).astype(float))
    # The spread of the rate is 8; of the counts √(64 + 40) = 10.2. The estimate's own error is about 0.06.
    assert np.allclose(kept.std(axis=1), 8.0, atol=0.4) and np.allclose(kept.mean(axis=1), 40.0, atol=0.5)
    pure = _without_poisson(rng.poisson(40, (3, 20_000)).astype(float))
    assert (pure.std(axis=1) < 1.6).all()


def test_whole_paths_are_counts_and_real_ones_are_rates():
    scenario = world({"q": {"arrivals": {"per_interval": PLAN}}})
    rng = np.random.default_rng(11)
    counts = [rng.poisson(np.array(PLAN)) for _ in range(400)]
    hard = ServiceLevel(0.95, within="20s")
    sure = required(required_agents(scenario, target=hard)).sum()
    assert abs(required(required_agents(scenario, paths(scenario, counts), target=hard)).sum() - sure) <= 2
    rates = [c + 1e-6 for c in counts]
    assert required(required_agents(scenario, paths(scenario, rates), target=hard)).sum() > sure + 4


def test_a_volumes_frame_replaces_the_contacts_and_is_not_changed():
    scenario = world()
    twice = 2.0 * np.array(PLAN)
    frame = pd.DataFrame({"contact_type": "q", "interval_start": scenario.grid.starts, "contacts": twice})
    before = frame.copy()
    need = required_agents(scenario, frame, target=SL)
    assert need.frame["contacts"].tolist() == frame["contacts"].tolist()
    pd.testing.assert_frame_equal(frame, before)


def test_whole_numbers_are_one_known_future_and_real_ones_expectations():
    scenario = world({"q": {"arrivals": {"per_interval": PLAN}, "day_factor": {"gamma": {"cv": 0.3}}}})
    starts = scenario.grid.starts
    whole = pd.DataFrame({"contact_type": "q", "interval_start": starts, "contacts": 10 * np.array(PLAN, dtype=int)})
    real = whole.assign(contacts=whole["contacts"].astype(float))
    known, expected = (required_agents(scenario, v, target=SL) for v in (whole, real))
    sure = required_agents(scenario, real, target=SL, day_factor=False)
    assert required(known).tolist() == required(sure).tolist(), "nothing is uncertain about a count"
    assert required(expected).sum() > required(known).sum() + 20
    assert [n.provenance.inputs["rates"] for n in (known, expected)] == ["fixed", "day-factor"]
    # The simulation reads both in the same way.
    spread = [
        bp.simulate(scenario, volumes=v, staffing={"g": 9}, replications=200, progress=False)
        .windows("offered", "all")["numerator"].std()
        for v in (whole, real)
    ]  # fmt: skip
    mean = float(whole["contacts"].sum())
    assert spread[0] == 0
    assert abs(spread[1] / np.hypot(0.3 * mean, np.sqrt(mean)) - 1) < 0.3


def test_lattice_factors_have_mean_one_and_the_right_spread():
    law = world({"q": {"day_factor": {"gamma": {"cv": 0.2}}}}).contact_types["q"].day_factor
    joint = _lattice([law, law, None])
    assert np.allclose(joint.mean(axis=1), 1.0)
    assert joint[1].std() == pytest.approx(0.2, rel=0.03)
    assert joint[0].std() == pytest.approx(np.sqrt(1.04**2 - 1), rel=0.06)


def test_erlang_c_without_steady_state_warns_with_day_and_way_out():
    scenario = world(groups={"g": {"skills": ["q"], "heads": 4}})
    said = r"Mon 08:00 'q' offers 4\.7 Erlangs to 4 agents; .* Use method=\"erlang-a\""
    with pytest.warns(StabilityWarning, match=said):
        required_agents(scenario, target=SL, method="erlang-c")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        required_agents(scenario, target=SL, method="erlang-a")


def test_a_class_without_steady_state_counts_as_level_zero():
    rates = np.array([[0.5, 0.5, 0.5, 2.0]])
    goal = Goal("service_level", 0.5, 1.0, "offered", ">=")
    cases = Cases(rates, np.array([1.0]), np.array([np.inf]))
    assert least(cases, goal, "erlang-c", None)[0] == 3


def test_every_fault_is_reported_at_once():
    scenario = world(TWO, {"g": {"skills": ["a"]}, "h": {"skills": ["b"]}}, routing={"preference": {"b": ["h"]}})
    with pytest.raises(OptimiseError) as caught:
        target = {"a": AtMost("wait_p95", "60s"), "z": SL}
        required_agents(scenario, target=target, method="erlang-x", max_occupancy=1.2)
    text = str(caught.value)
    assert len(caught.value.problems) == 4
    assert "has no formula with method" in text and "then simulate" in text
    assert "'z', which is no contact type. Known: a, b" in text and "erlang-x" in text and "1.2" in text
    with pytest.raises(ParameterError, match="ServiceLevel"):
        required_agents(scenario, target=0.8)


def test_staffing_of_several_groups_counts_no_agent_twice():
    groups = {
        "g1": {"skills": ["a"], "cost_per_hour": 10},
        "both": {"skills": ["a", "b"], "cost_per_hour": 12, "shrinkage": 0.2},
    }
    need = required_agents(world(TWO, groups), target=SL)
    heads = need.staffing().pivot(index="interval_start", columns="agent_group", values="heads").to_numpy()
    cols = sorted(groups)
    net = dict(zip(cols, (heads * [1 - groups[c].get("shrinkage", 0) for c in cols]).T, strict=True))
    assert (net["both"] + 1e-9 >= required(need, "b")).all()
    assert (net["both"] + net["g1"] + 1e-9 >= required(need, "a+b")).all()
    # Agents of one skill are cheaper: those of two stand only where type b, alone or rounded, asks for them.
    assert (heads[:, cols.index("both")] <= np.ceil(required(need, "b") / 0.8) + 1).all()


def test_pictures_and_words():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    need = required_agents(world(TWO), target=SL)
    ax = need.plot()
    assert len(ax.lines) == 3
    assert "a+b" in repr(need) and "80 %" in need._repr_html_()
    assert need.provenance.inputs["rates"] == "fixed"
