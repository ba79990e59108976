"""Figures by month that can be none are refused, all at once; what was not read or not judged is told."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, counts_table, days, deal, table

import bposim as bp
from bposim.errors import ParameterError

LOST = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude"}
AUDIT = {
    "metric": "accuracy",
    "window": "month",
    "levels": {"expected": "97%"},
    "sample": {"size": 400},
    "missing": "exclude",
}
TWO = deal({"speed": SPEED, "lost": LOST})


@pytest.mark.parametrize(
    ("frame", "said"),
    [
        (table(speed=[0.8, 81.0], lost=[0.04, 0.04]), r"'speed': service_level must be a share between 0 and 1. Got 81 in 2026-02"
                                                      r"\. Divide percentages by 100\."),
        (table(speed=[-0.1], lost=[0.04]), r"'speed': .* Got -0.1 in 2026-01\. Correct it\."),
        (table(speed=["81%"], lost=[0.04]), r"'speed': value by month must be numbers. Got '81%' \(row 1\)"),
        (table(speed=[np.inf], lost=[0.04]), r"must be numbers. Got inf"),
        (counts_table("speed", [(180, 100)]), r"numerator 180 of denominator 100 in 2026-01 is no share between 0 and 1"),
        (counts_table("speed", [(-5, 100)]), r"'speed': numerator must be at least 0. Got -5 in 2026-01"),
        (counts_table("speed", [(5, 100)], excluded=-3), r"'speed': excluded must be at least 0. Got -3"),
        (table(speed=[0.8], lost=[0.04], answered=[-4000]), r"column answered must be at least 0. Got -4,000"),
        (table(speed=[0.8], losst=[0.04]), r"column 'losst' is not known. Did you mean 'lost'\? Rename it"),
        (table(speed=[0.8], lost=[0.04], answerd=[4000]), r"column 'answerd' is not known. Did you mean 'answered'\?"),
    ],
)  # fmt: skip
def test_figures_that_can_be_none_are_refused(frame, said):
    with pytest.raises(ParameterError, match=said):
        bp.settle(TWO, frame)


def test_all_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        bp.settle(
            TWO, table(speed=[81.0, 0.8], lost=[0.04, -0.2], handle_time_s=[-1, 300]),
            quantities={"answerd": 4000, "offered": -4000, "agents": 3},
        )  # fmt: skip
    said = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 6, said
    for part in (
        "Got 81",
        "Got -0.2",
        "handle_time_s",
        "mean 'answered'",
        "offered must be at least 0",
        "'agents' is not",
    ):
        assert part in said


def test_other_units_and_metrics_keep_their_own_range():
    asa = {"metric": "asa", "levels": {"expected": "30s"}, "missing": "exclude", "window": "month"}
    busy = {
        "metric": "utilisation",
        "comparison": "<=",
        "levels": {"expected": "90%"},
        "missing": "exclude",
        "window": "month",
    }
    contract = deal({"asa": asa, "busy": busy})
    assert bp.settle(contract, table(asa=[45.0], busy=[1.02])).lines["status"].tolist() == ["missed", "missed"]
    with pytest.raises(ParameterError, match="'asa': asa must be at least 0") as caught:
        bp.settle(contract, table(asa=[-1.0], busy=[95.0]))
    assert len(caught.value.problems) == 2
    edge = bp.settle(TWO, table(speed=[0.0, 1.0], lost=[1.0, 0.0]))
    assert edge.lines["status"].tolist() == ["missed", "missed", "met", "met"]


def test_audits_beside_a_source():
    source = days("2026-01-01", [100.0] * 31, 85.0)
    contract = deal({"speed": SPEED, "accuracy": AUDIT})
    with pytest.raises(ParameterError, match=r"numerator 405 of denominator 400 in 2026-01") as caught:
        bp.settle(contract, source, audits=counts_table("accuracy", [(405, 400)]), quantities={"answered": -4000})
    assert len(caught.value.problems) == 2
    whole = bp.settle(contract, source, audits=counts_table("accuracy", [(398, 400)]))
    assert whole.notes == ()
    small = bp.settle(contract, source, audits=counts_table("accuracy", [(39, 40)]))
    assert any("'accuracy' asks for 400 audits a month; 1 of 1 windows hold fewer (fewest: 40 in 2026-01): they are judged" in n
               for n in small.notes), small.notes  # fmt: skip
    ruled = deal({"speed": SPEED, "accuracy": AUDIT | {"minimum_sample": 100}})
    found = bp.settle(ruled, source, audits=counts_table("accuracy", [(39, 40)]))
    assert found.lines["status"].tolist() == ["met", "small sample"]
    assert any("below minimum_sample 100 are not judged" in n for n in found.notes)


def test_what_could_not_be_judged_is_noted():
    found = bp.settle(TWO, table(speed=[0.8, np.nan, 0.8], note=["a", "b", "c"]))
    assert found.notes == (
        "Columns of the table that name no clause and no figure are not read: note.",
        "Clause 'speed' has no data in 1 of 3 windows (2026-02): not judged, as it says (missing: exclude).",
        "Clause 'lost' has no data in any window: not judged, as it says (missing: exclude).",
    )
    assert bp.settle(TWO, table(speed=[0.8], lost=[0.04], answered=[4000])).notes == ()


def test_quantities_that_nobody_needs_are_noted():
    found = bp.settle(TWO, table(speed=[0.8], lost=[0.04]), quantities={"answered": 4000})
    assert found.notes == ("quantities= gives answered, which the pricing does not use.",)
    hourly = deal({"speed": SPEED}, pricing={"per_hour": {"rate": 20}})
    frame = pd.DataFrame({"month": ["2026-01"], "paid_hours": ["4,200"]})
    with pytest.raises(ParameterError, match=r"paid_hours must be numbers. Got '4,200'"):
        bp.settle(hourly, table(speed=[0.8]), quantities=frame)


@pytest.mark.parametrize("costs", [-1, [-1.0]])
def test_costs_below_nought(costs):
    with pytest.raises(ParameterError, match="costs parameter of settle"):
        bp.settle(deal({"speed": SPEED}), table(speed=[0.8]), costs=costs)
