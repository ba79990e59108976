"""What a search for staffing refuses, what it says of its own end and of its windows."""

from __future__ import annotations

import math

import pytest

import bposim as bp
from bposim.errors import OptimiseError, ParameterError
from bposim.optimise import optimise_staffing
from bposim.optimise._notes import cut_windows
from bposim.optimise.validate import check_confidence

TARGET = bp.ServiceLevel(0.80, within="20s", window="day")
CALLS = {"arrivals": {"rate": "40/h"}, "handle_time": {"exponential": {"mean": "180s"}}, "patience": {"exponential": {"mean": "300s"}}}  # fmt: skip


def line(**changes):
    spec = {
        "schema": "bposim/scenario/1", "name": "line", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "opening_hours": {"daily": "09:00-11:00"}, "contact_types": {"calls": CALLS, "chats": CALLS},
        "agent_groups": {"desk": {"skills": ["calls", "chats"], "heads": 4, "cost_per_hour": 10}},
        "shifts": {"early": {"start": "09:00", "paid": "1h"}, "late": {"start": "10:00", "paid": "1h"}},
    }  # fmt: skip
    return bp.load_scenario(spec | changes)


def plan_of(world, target, **options):
    return optimise_staffing(world, target, **{"replications": 600, "validation": 1000} | options)


def test_all_that_is_wrong_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        plan_of(line(), TARGET, confidence=95, each="hour", validation=0, time_limit=0)
    said = str(caught.value)
    assert all(word in said for word in ("confidence", "each", "validation", "time_limit"))
    with pytest.raises(ParameterError) as caught:
        plan_of(line(), {"mails": TARGET}, gap=0, solver="gurobi", max_heads=-1)
    said = str(caught.value)
    assert all(word in said for word in ("'mails'", "gap", "'gurobi'", "max_heads", "optimise_staffing()"))
    with pytest.raises(ParameterError, match=r"target parameter .* Got 0\.8"):
        plan_of(line(), 0.8)
    with pytest.raises(ParameterError, match="cannot be searched for"):
        plan_of(line(), TARGET.replace(metric="wait_p95", level=60.0, sense="<=", within_s=None))


@pytest.mark.parametrize("scenario", ["x.yaml", {"name": "line"}], ids=["path", "mapping"])
def test_a_path_or_a_mapping_is_no_scenario_and_the_rest_is_told_with_it(scenario):
    with pytest.raises(ParameterError) as caught:
        plan_of(scenario, TARGET, seed=-1, drain="hang up", confidence=95)
    said = caught.value.problems
    assert len(said) == 4 and any("must be a Scenario" in p and "Write load_scenario" in p for p in said)
    assert any("seed" in p and "at least 0" in p for p in said)
    assert any("'hang up'" in p and "serve, disconnect, leave" in p for p in said)


@pytest.mark.parametrize("seed", [1.5, True, -1, "7"])
def test_a_seed_is_a_whole_number(seed):
    with pytest.raises(ParameterError, match=r"seed parameter of optimise_staffing\(\)"):
        plan_of(line(), TARGET, seed=seed)


def test_a_metric_that_is_not_searched_for_is_told_once_with_those_that_are():
    with pytest.raises(ParameterError) as caught:
        plan_of(line(), bp.AtMost("occupancy", 0.80))
    (said,) = caught.value.problems
    assert "service_level, abandonment, asa, mean_wait" in said and "erlang" not in said
    with pytest.raises(OptimiseError) as refused:  # one target of two types, one problem
        plan_of(line(), TARGET.replace(counting="flow"))
    assert len(refused.value.problems) == 1


@pytest.mark.parametrize(("given", "way"), [(1.5, None), (1, None), (2, "0.02"), (95, "0.95"), (100, None)])
def test_a_confidence_is_divided_by_100_only_where_that_may_be_meant(given, way):
    (said,) = check_confidence(given, "f()")
    assert said.endswith(f"Write {way}." if way else "instead.")


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": ["11:00"]}, "start must be one value, or a pair .* Got \\['11:00'\\]. Write '11:00' without"),
        ({"start": ["11:00", "12:00", "13:00"]}, "Write \\['11:00', '13:00'\\]"),
        ({"start": []}, "Fill it in"),
        ({"breaks": [{"after": ["2h"], "length": "30min"}]}, "breaks.0.after must be .* Write '2h' without"),
    ],
    ids=["one", "three", "none", "break"],
)
def test_a_range_of_starts_is_a_pair(changes, said):
    with pytest.raises(bp.errors.ScenarioError, match=said) as caught:
        line(shifts={"mid": {"start": "09:00", "paid": "2h"} | changes})
    assert len(caught.value.problems) == 1 and "Add" not in str(caught.value)


# Notes ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("window", "days", "words"),
    [
        ("month", 1, "1 day holds no whole month"),
        ("week", 3, "3 days holds no whole week"),
        ("day", 1, None),
        ("week", 7, None),
    ],
)
@pytest.mark.parametrize("confidence", [None, 0.9])
def test_a_horizon_without_a_whole_window_is_told(window, days, words, confidence):
    notes = cut_windows(line(days=days), [TARGET.replace(window=window)], confidence)
    assert len(notes) == (words is not None)
    for note in notes:
        assert words in note and ("the probability is that of" if confidence else "does not say how surely") in note
        assert f"02 Mar to {1 + days:02d} Mar" in note  # 2 March 2026 is a Monday


def test_a_validated_plan_carries_the_note_and_shows_it():
    world, monthly = line(), TARGET.replace(window="month", level=0.5)
    need = bp.required_agents(world, target=monthly)
    plan = bp.optimise_shifts(need, world, target=monthly, confidence=0.5)
    assert plan.validation is not None and len(plan.notes) == 1
    assert "no whole month" in repr(plan) and "no whole month" in plan.summary()["notes"].item()


def test_a_search_without_time_says_why_it_proved_nothing_and_what_came_nearest():
    plan = plan_of(line(), TARGET.replace(level=0.999), max_heads=8, time_limit=0.001)
    assert plan.status == "stopped" and plan.conflicts.empty
    (note,) = plan.notes
    reached = plan.validation.frame["mean"].item()
    assert "No plan was proven: the search was cut by its time limit after" in note and "longer time_limit" in note
    assert f"at {plan.cost:,.2f}, reached {100 * reached:.1f} %" in note and ": not met" in note
    assert note in repr(plan) and "nan%" not in repr(plan) and note in plan.summary()["notes"].item()


def test_a_proven_plan_says_that_its_search_was_cut_and_one_that_ended_says_nothing():
    cut = plan_of(line(), TARGET.replace(level=0.3), time_limit=0.001)
    assert cut.status == "met" and len(cut.notes) == 1 and "cut by its time limit" in cut.notes[0]
    assert "gap is to an estimate" in cut.notes[0] or math.isnan(cut.gap)
    ended = plan_of(
        line(contact_types={"calls": CALLS}, agent_groups={"desk": {"skills": ["calls"], "heads": 4}}), TARGET
    )
    assert ended.status == "met" and ended.notes == ()


def test_what_a_search_for_a_probability_came_to_is_told_as_one():
    plan = plan_of(line(), TARGET, confidence=0.99, max_heads=3, time_limit=0.001)
    row = plan.validation.frame.iloc[0]
    assert plan.status == "stopped"
    assert f"probability {row['probability']:.3f} [" in plan.notes[0] and "where 0.99 is asked" in plan.notes[0]
