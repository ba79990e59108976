"""Packages that no side can better: by brute force over the frame, and against the settlement of each by itself."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_assess_contract import world

import bposim as bp
from bposim.errors import ParameterError, ScenarioError
from bposim.targets.packages import efficient

DEAL = {
    "name": "line", "pricing": [{"fixed": 30000}], "surcharges": [{"name": "training", "amount": 1500, "months": [1]}],
    "clauses": {"speed": {"metric": "service_level", "counting": "offered", "within": "20s", "window": "month", "missing": "exclude",
                          "levels": {"expected": "80%"}, "bands": [{"to": "expected", "credit": 6000}]}},
}  # fmt: skip
RELIEF = [{"volume": {"by": "day", "above": "110%"}, "effect": "exclude"}]
OPTIONS = {
    "clauses.speed.levels.expected": ["70%", "80%", "85%"],
    "credit": {str(c): {"clauses.speed.bands": [{"to": "expected", "credit": c}]} for c in (2000, 6000, 12000)},
    "corridor": {"none": {}, "110 %": {"clauses.speed.relief": RELIEF}},
    "fee": {"30k": {}, "31k": {"pricing": [{"fixed": 31000}]}},
}
FEW = {k: OPTIONS[k] for k in ("clauses.speed.levels.expected", "credit")}
SIZE = {"levels": 3, "replications": 30, "seed": 3, "progress": False}


@pytest.fixture(scope="module")
def table():
    return bp.negotiate(world(9, 61), DEAL, options=OPTIONS, **SIZE)


@pytest.fixture(scope="module")
def moving():
    return bp.negotiate(world(9, 61), DEAL, options=OPTIONS, fee_moves=True, **SIZE)


def betters(a, b, low=0.0, high=0.0):
    """Tell whether package a, with some payment between low and high of the client, is as good as b for both and better for one."""
    least = max(b["margin"] - a["margin"], b["worst"] - a["worst"], low)
    most = min(b["invoice"] - a["invoice"], high)
    if round(least - most, 2) > 0 or a["risk"] > b["risk"]:
        return False
    some = any(
        round(x, 2) > 0
        for d in (least, most)
        for x in (a["margin"] + d - b["margin"], a["worst"] + d - b["worst"], b["invoice"] - a["invoice"] - d)
    )
    return some or a["risk"] < b["risk"]


@pytest.mark.parametrize("which", ["table", "moving"])
def test_nothing_left_is_bettered_and_all_else_is_by_one_that_is_left(which, request):
    found = request.getfixturevalue(which)
    span = (-1e9, 1e9) if which == "moving" else (0.0, 0.0)
    rows = found.frame.to_dict("records")
    left = {r["package"]: r for r in rows if r["efficient"]}
    assert len(rows) == 36
    for r in rows:
        if r["efficient"]:
            assert not any(betters(other, r, *span) for other in rows)
            assert r["dominated_by"] == ""
        else:
            assert betters(left[r["dominated_by"]], r, *span)


def test_a_fee_that_moves_leaves_fewer(table, moving):
    fixed, free = (set(t.efficient["package"]) for t in (table, moving))
    assert free < fixed
    assert any(f"{len(free)} would be left" in n for n in table.notes)
    assert not any("would be left" in n for n in moving.notes)


def test_a_higher_fee_moves_money_from_client_to_provider_one_to_one(table):
    f = table.frame.set_index("package")
    for low in f.index[f.index.str.endswith("fee 30k")]:
        high = low.replace("fee 30k", "fee 31k")
        for item in ("margin", "worst", "invoice"):
            assert f.loc[high, item] - f.loc[low, item] == pytest.approx(1000)
        assert f.loc[high, "plan"] == f.loc[low, "plan"]
        assert f.loc[high, "risk"] == f.loc[low, "risk"]


@pytest.mark.parametrize(
    "package",
    [
        "speed.levels.expected 80%, credit 6000, corridor none, fee 30k",
        "speed.levels.expected 85%, credit 12000, corridor 110 %, fee 31k",
    ],
)
def test_each_package_is_what_it_comes_to_by_itself(table, package):
    """Shared windows and one simulation for all give what each contract gives alone."""
    alone = bp.best_response(world(9, 61), table.contracts[package], **SIZE)
    mine = table.choices[table.choices["package"] == package].set_index("plan")
    other = alone.frame.set_index("plan")
    assert set(mine.index) == set(other.index)
    for item, theirs in (*((i, i) for i in ("agent_hours", "fee", "surcharges", "credit", "invoice", "cost", "margin")), ("kept", "probability"),
                         ("margin_low", "margin_low")):  # fmt: skip
        assert mine[item].to_numpy() == pytest.approx(other.loc[mine.index, theirs].to_numpy()), item
    parts = mine["fee"] + mine["surcharges"] - mine["credit"] + mine["bonus"] + mine["earn_back"]
    assert mine["invoice"].to_numpy() == pytest.approx(parts.to_numpy()) and mine["surcharges"].iloc[0] == 750, (
        "1,500 in two months"
    )
    answer = table.frame.set_index("package").loc[package]
    assert answer["margin"] == pytest.approx(other["margin"].max())
    margins = alone.best.ledger.cents("margin").mean(axis=1) / 100
    if answer["plan"] == other["margin"].idxmax():
        assert answer["worst"] == pytest.approx(np.sort(margins)[:2].mean())


def test_the_yardstick_is_the_contract_as_it_stands(table):
    plain = bp.best_response(world(9, 61), DEAL, **SIZE).frame.set_index("plan")["probability"]
    c = table.choices
    assert c["risk"].to_numpy() == pytest.approx(1 - plain.loc[c["plan"]].to_numpy())
    assert (
        table.now == table.frame.loc[0, "package"] == "speed.levels.expected 80%, credit 6000, corridor none, fee 30k"
    )
    assert (table.frame.loc[0, ["provider_than_now", "client_than_now"]] == "same").all()
    eased = bp.negotiate(world(9, 61), {**DEAL, "clauses": {"speed": DEAL["clauses"]["speed"] | {"relief": RELIEF}}},
                         options={"clauses.speed.relief": [None]}, **SIZE)  # fmt: skip
    assert eased.choices["risk"].to_numpy() == pytest.approx(1 - plain.loc[eased.choices["plan"]].to_numpy())


def test_the_provider_takes_the_plan_that_is_worth_most(table):
    careful = bp.negotiate(world(9, 61), DEAL, options=FEW, risk_aversion=1.0, **SIZE)
    for found, item in ((table, "margin"), (careful, "worst")):
        for _, part in found.choices.groupby("package"):
            best = part[part["best"]]
            assert len(best) == 1
            assert best[item].iloc[0] == pytest.approx(part[item].max())
            tied = part[np.isclose(part[item], part[item].max(), atol=0.005)]
            assert best["cost"].iloc[0] == tied["cost"].min()
    both = careful.frame.set_index("package"), table.frame.set_index("package")
    pairs = [(both[0].loc[p], both[1].loc[f"{p}, corridor none, fee 30k"]) for p in both[0].index]
    assert all(c["worst"] >= t["worst"] and c["margin"] <= t["margin"] for c, t in pairs)
    assert any(c["plan"] != t["plan"] for c, t in pairs)


def test_higher_credits_buy_service_and_never_less_of_it(table):
    """The dearer a miss, the less of it the provider chooses: same level, no relief, same fee."""
    f = table.frame.set_index("package")
    for level in ("70%", "80%", "85%"):
        risk = [
            f.loc[f"speed.levels.expected {level}, credit {c}, corridor none, fee 30k", "agent_hours"]
            for c in (2000, 6000, 12000)
        ]
        assert risk == sorted(risk)
    assert f["agent_hours"].nunique() > 1


def test_concessions_lead_through_what_is_left(moving, table):
    for found in (moving, table):
        f, c = found.frame.set_index("package"), found.concessions
        assert c["from"].tolist()[1:] == c["to"].tolist()[:-1]
        names = [c["from"].iloc[0], *c["to"]]
        for item in ("margin", "worst", "invoice", "risk", "kept", "service", "agent_hours"):
            assert c[item].to_numpy() == pytest.approx(np.diff(f.loc[names, item].to_numpy()))
        assert f.loc[names, "efficient"].all()
        assert (c["margin"] >= 0).all()
        assert ((c["margin_low"] <= c["margin"] + 1e-9) & (c["margin"] <= c["margin_high"] + 1e-9)).all()
        came = {tuple(r) for r in f.loc[f["efficient"], ["margin", "worst", "invoice", "risk"]].round(2).to_numpy()}
        assert len(names) == len(came)
    only = moving.concessions[moving.concessions["changes"] == "fee: 30k → 31k"]
    assert len(only)
    assert (
        only["said"]
        .iloc[0]
        .endswith(
            "fee: 30k → 31k: the provider gets 1,000 EUR of margin more (1,000 EUR more in the worst terms) with the same staff; the client pays 1,000 "
            "EUR more for the same service, and falls short in as many of the months."
        )
    )


def test_with_a_value_of_service_the_client_has_one_criterion(table):
    valued = bp.negotiate(world(9, 61), DEAL, options=FEW, value_per_point=250.0, **SIZE)
    f = valued.frame
    assert f["value"].to_numpy() == pytest.approx(250 * 100 * f["service"].to_numpy() - f["invoice"].to_numpy())
    kept = f[f["efficient"]]
    for r in f.itertuples():
        better = (kept["margin"] >= r.margin) & (kept["worst"] >= r.worst) & (kept["value"] >= r.value)
        strict = (
            (kept["margin"] > r.margin + 0.006) | (kept["worst"] > r.worst + 0.006) | (kept["value"] > r.value + 0.006)
        )
        assert (better & strict).any() != r.efficient
    joint = kept["margin"] + kept["value"]
    assert any(
        s.startswith(f"Both together gain most with {f.loc[joint.idxmax(), 'package']}") for s in valued.sentences()
    )
    assert table.frame["value"].isna().all()


money = st.integers(min_value=-6, max_value=6)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(money, money, money, st.integers(0, 2)), min_size=1, max_size=9), st.booleans())
def test_the_set_by_brute_force(rows, moves):
    """Whole numbers: a payment that betters exists iff one on the grid of halves does."""
    a = np.array(rows, dtype=float)
    keep, by = efficient(a[:, :2], a[:, 2], a[:, 3], moves)

    def good(j, i):
        for d in np.arange(-30, 30.5, 0.5) if moves else (0.0,):
            gaps = [a[j, 0] + d - a[i, 0], a[j, 1] + d - a[i, 1], a[j, 2] - d - a[i, 2], a[i, 3] - a[j, 3]]
            if min(gaps) >= 0 and max(gaps) > 0:
                return True
        return False

    for i in range(len(a)):
        assert keep[i] == (not any(good(j, i) for j in range(len(a))))
        if not keep[i]:
            assert keep[by[i]]
            assert good(by[i], i)
    assert keep.any()


def test_a_contract_that_no_option_writes_is_a_package_too():
    found = bp.negotiate(world(9, 31), DEAL, options={"clauses.speed.levels.expected": ["75%"]}, **SIZE | {"levels": 2})
    assert found.frame["package"].tolist() == ["as it stands", "speed.levels.expected 75%"]
    assert found.terms.loc["speed.levels.expected 75%", "speed.levels.expected"] == "75%"
    assert found.contracts["speed.levels.expected 75%"].clauses["speed"].levels.expected.value == 0.75


def test_pictures_and_sentences(table, moving):
    assert "packages are left" in repr(table)
    assert "As it stands: speed.levels.expected 80%, credit 6000" in repr(table)
    assert "fee changed by" in repr(moving) or "is one of those left" in repr(moving)
    assert table.summary().equals(table.efficient)
    assert "<table" in table._repr_html_()
    ax = table.plot()
    assert ax.get_xlabel() == "the client pays (EUR a month)"
    assert len(ax.collections) == 3


def test_sentences_say_only_what_is_so(table):
    # The same step under several other options is told with them.
    steps = table.concessions
    assert not steps["said"].duplicated().any()
    for changes, part in steps.groupby("changes"):
        assert len(part) == 1 or part["said"].str.startswith("With ").all(), changes
    # Nothing is said of others where there are none, and what gains most is one of those left.
    some = dataclasses.replace(table, frame=table.efficient.assign(efficient=True))
    assert "none betters another" in some.sentences()[0] and "for each of the others" not in some.sentences()[0]
    frame = table.frame.copy()
    k = int(np.flatnonzero(~frame["efficient"])[0])
    frame["value"] = -frame["margin"]
    frame.loc[k, "value"] += 1e6
    said = dataclasses.replace(table, frame=frame, value_per_point=1.0).sentences()[-1]
    assert frame["package"][k] not in said and said.startswith("Both together gain most")


def test_months_not_simulated_are_told():
    small = {"options": {"clauses.speed.levels.expected": ["75%"]}, **SIZE | {"levels": 2, "replications": 4}}
    year = {**DEAL, "start": "2026-06-01", "months": 12}
    found = bp.negotiate(world(9, 30), year, **small)
    assert any("1 of 12 months was simulated" in n for n in found.notes)


def test_every_wrong_argument_is_told():
    with pytest.raises(ParameterError) as caught:
        bp.negotiate(world(), DEAL, options={"clauses.speed.within": ["20s"]}, levels=1, replications=0, risk_aversion=3,
                     value_per_point=-5, seed=-1)  # fmt: skip
    assert len(caught.value.problems) == 5


def test_what_is_refused():
    with pytest.raises(ParameterError) as caught:
        bp.negotiate(world().replace({"agent_groups.g.cost_per_hour": 0}), DEAL, options={"fee": "high"}, levels=1, risk_aversion=-1,
                     value_per_point="much")  # fmt: skip
    assert len(caught.value.problems) == 5
    with pytest.raises(ParameterError, match="at most 2,000"):
        bp.negotiate(world(), DEAL, options={"clauses.speed.levels.expected": list(np.arange(2001) / 4000 + 0.4)})
    with pytest.raises(ParameterError, match="values that differ"):
        bp.negotiate(world(), DEAL, options={"clauses.speed.within": ["20s", "20s"]})
    with pytest.raises(ScenarioError) as wrong:
        bp.negotiate(world(), DEAL, options={"clauses.speed.levels.expected": ["80%", "180%", "190%"]})
    assert len(wrong.value.problems) >= 2
    assert "package 'speed.levels.expected 180%'" in str(wrong.value)
    other = {**DEAL, "clauses": {"speed": DEAL["clauses"]["speed"] | {"scope": {"contact_types": ["z"]}}}}
    with pytest.raises(ParameterError, match="names contact type 'z'"):
        bp.negotiate(world(), other, options={"clauses.speed.within": ["20s"]})
