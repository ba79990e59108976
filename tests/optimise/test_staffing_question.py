"""What a search for staffing refuses, and how it says so."""

from __future__ import annotations

import pytest

import bposim as bp
from bposim.errors import OptimiseError, ParameterError
from bposim.optimise import optimise_staffing
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
