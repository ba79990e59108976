"""Deliver or pay: the table's own arithmetic, the turning point of the credits, and gaming against brute counts."""

from __future__ import annotations

import numpy as np
import pytest
from test_assess_contract import CONTRACT, world

import bposim as bp
from bposim.errors import ParameterError


def contract(credit, **more):
    speed = {"metric": "service_level", "counting": "offered", "within": "20s", "window": "month", "missing": "exclude",
             "levels": {"expected": "85%"}, "bands": [{"to": "expected", "credit": credit}]}  # fmt: skip
    training = {"name": "training", "amount": 2000, "months": [1]}
    return {"name": "one", "pricing": [{"fixed": 30000}], "surcharges": [training], "clauses": {"speed": speed | more}}


@pytest.fixture(scope="module")
def low():
    return bp.best_response(world(8), contract(1500), replications=60, seed=3, levels=10, progress=False)


def test_the_table_adds_up(low):
    f = low.frame
    assert f["cost"].is_monotonic_increasing
    assert f["margin"].to_numpy() == pytest.approx((f["invoice"] - f["cost"]).to_numpy())
    parts = f["fee"] + f["surcharges"] - f["credit"] + f["bonus"] + f["earn_back"]
    assert f["invoice"].to_numpy() == pytest.approx(parts.to_numpy())
    assert f["surcharges"].tolist() == pytest.approx([2000 / 3] * len(f)), "once in three months"
    assert f["cost"].to_numpy() == pytest.approx(20 * f["agent_hours"].to_numpy())
    assert f["best"].sum() == 1
    assert f.loc[f["best"], "margin"].iloc[0] == f["margin"].max()
    assert f["probability"].iloc[0] < 0.05
    assert f["probability"].iloc[-1] > 0.95
    assert low.best.ledger.cents("margin").mean() / 100 == pytest.approx(f["margin"].max())


def test_small_credits_are_paid_and_large_ones_avoided(low):
    """The factor told is where the choice turns: a tenth above it delivering pays, a tenth below it does not."""
    row = low.clauses.iloc[0]
    assert "paying is cheaper" in row["verdict"]
    assert row["factor"] > 1
    assert row["gain"] == pytest.approx(row["credit_saved"] + row["more_fee"] - row["more_cost"])
    for times, said in ((1.1, "deliver"), (0.9, "paying is cheaper")):
        again = bp.best_response(
            world(8), contract(round(1500 * row["factor"] * times)), replications=60, seed=3, levels=10, progress=False
        )
        assert said in again.clauses.iloc[0]["verdict"]
    high = bp.best_response(world(8), contract(20000), replications=60, seed=3, levels=10, progress=False)
    assert high.frame.loc[high.frame["best"], "probability"].iloc[0] > 0.9
    assert low.frame.loc[low.frame["best"], "probability"].iloc[0] < 0.1


def test_late_contacts_are_counted_and_a_tail_clause_silences_it():
    staffed = world(10)
    found = bp.best_response(staffed, contract(500), replications=30, seed=3, levels=2, progress=False)
    runs = bp.simulate(staffed, replications=30, seed=3, within="20s", progress=False)
    late = np.concatenate([runs.contacts(k)["wait_s"].to_numpy() for k in range(30)])
    row = found.gaming.set_index("kind").loc["late contacts"]
    assert row["figure"] == pytest.approx((late[late > 20] - 20).mean(), rel=0.01)
    assert f"{100 * (late > 20).mean():.1f} %" in row["sentence"]
    two = contract(500)
    two["clauses"]["tail"] = {**two["clauses"]["speed"], "within": "60s"}
    again = bp.best_response(staffed, two, replications=30, seed=3, levels=2, progress=False).gaming
    assert "late contacts" not in again[again["clause"] == "speed"]["kind"].tolist()
    assert "late contacts" in again[again["clause"] == "tail"]["kind"].tolist()


def test_heads_taken_from_the_peak_are_played():
    found = bp.best_response(world(12), contract(500), replications=40, seed=3, levels=2, progress=False)
    row = found.gaming.set_index("kind").loc["off-peak"]
    assert 0.05 <= row["figure"] <= 0.5
    assert 12 * row["figure"] == pytest.approx(round(12 * row["figure"])), "whole heads of the twelve"
    assert "share of intervals" in row["sentence"]
    day = contract(500, aggregation="share_of_intervals", pass_level="80%", levels={"expected": "50%"})
    other = bp.best_response(world(12), day, replications=40, seed=3, levels=2, progress=False)
    assert "off-peak" not in other.gaming["kind"].tolist()


def test_pictures_and_sentences(low):
    assert low.plot().get_legend() is not None
    assert low.sentences()[0].startswith("The margin is highest")
    assert "deliver or pay" in low.plot().get_title()


def test_what_is_refused():
    with pytest.raises(ParameterError) as caught:
        bp.best_response(world().replace({"agent_groups.g.cost_per_hour": 0}), CONTRACT, levels=1)
    assert "wages" in str(caught.value)
    assert "levels" in str(caught.value)
