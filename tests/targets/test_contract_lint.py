"""Every fault of good practice is found in the contract that has it, and none in the clean ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from contract_worlds import days, table

import bposim as bp
from bposim.errors import ScenarioError
from bposim.targets.lint import FAULTS

ROOT = Path(__file__).parents[2]
CONTRACTS = ROOT / "scenarios" / "contracts"
CLEAN = {
    "name": "clean", "currency": "USD", "margin": "15%", "at_risk": "12%", "interval": "30min",
    "hours": {"mon-fri": "08:00-20:00"}, "volumes": {"calls": 20000}, "pricing": {"fixed": 100000},
    "clauses": {
        "speed": {"metric": "service_level", "counting": "offered", "within": "20s", "window": "month", "levels": {"expected": "80%"},
                  "missing": "exclude", "relief": [{"volume": {"by": "day", "above": "110%"}}],
                  "bands": [{"to": "expected", "credit": "100%"}], "weight": "60%"},
        "lost": {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude"},
        "accuracy": {"metric": "accuracy", "window": "month", "levels": {"expected": "97%"}, "sample": {"size": 400},
                     "missing": "exclude", "bands": [{"to": "expected", "credit": "100%"}], "weight": "40%"},
    },
}  # fmt: skip
PENALTY = {"missing": "exclude", "window": "month", "bands": [{"from": "expected", "credit": "50%"}], "weight": "5%",
           "relief": [{"volume": {"by": "day", "above": "110%"}}]}  # fmt: skip
FCR = {"metric": "fcr", "levels": {"expected": "70%"}, "missing": "exclude", "window": "month",
       "bands": [{"to": "expected", "credit": "100%"}], "weight": "5%"}  # fmt: skip


def contract(changes):
    return bp.load_contract(CLEAN).replace(changes)


#: Changes to the clean contract that give it one fault each.
FAULTY = {
    "abandons-undefined": {"clauses.speed.counting": None},
    "window-absent": {"clauses.speed.window": None},
    "too-many-targets": {f"clauses.fcr{k}": FCR for k in range(4)} | {"clauses.speed.weight": "40%"},
    "no-quality": {"clauses.accuracy": None, "clauses.speed.weight": "100%"},
    "interval-noise": {"volumes.calls": 5000, "clauses.speed.aggregation": "share_of_intervals", "clauses.speed.pass_level": "80%"},
    "no-tail": {"clauses.lost": None},
    "handle-time-against-resolution": {
        "clauses.length": PENALTY | {"metric": "aht", "comparison": "<=", "levels": {"expected": "300s"}}, "clauses.fcr": FCR,
        "clauses.speed.weight": "50%"},
    "sample-absent": {"clauses.accuracy.sample": None},
    "small-sample": {"clauses.accuracy.levels.expected": "98%", "clauses.accuracy.sample.size": 100},
    "credits-above-margin": {"margin": "10%"},
    "one-driver": {"clauses.speed.weight": "95%", "clauses.accuracy.bands": None, "clauses.accuracy.weight": None,
                   "clauses.wait": PENALTY | {"metric": "wait_p95", "levels": {"expected": "90s"}, "relief": [
                       {"volume": {"above": "110%"}, "effect": "waive"}]}},
    "ratchet-without-cap": {"clauses.speed.ratchet": {"every": 12, "by": "1%"}},
    "glide-off-target": {"clauses.speed.glide": {1: "70%", 3: "75%"}},
    "band-hole": {"clauses.speed.bands": [{"to": "60%", "credit": "100%"}, {"from": "70%", "to": "expected", "credit": "50%"}]},
    "credit-above-allocation": {"clauses.speed.bands": [{"to": "expected", "credit": "150%"}]},
    "weights-below-pool": {"clauses.speed.weight": "20%"},
    "cap-below-risk": {"cap": {"share": "8%"}},
    "redundant-speed": {"clauses.speed.weight": "55%",
                        "clauses.answer": PENALTY | {"metric": "asa", "levels": {"expected": "30s"}}},
    "no-corridor": {"clauses.speed.relief": None},
    "no-missing-rule": {"clauses.speed.missing": None},
}  # fmt: skip


def test_every_fault_has_its_contract():
    assert set(FAULTY) | {"beyond-capability"} == set(FAULTS)


@pytest.mark.parametrize("fault", FAULTY)
def test_each_fault_is_found_alone(fault):
    found = contract(FAULTY[fault]).lint()
    assert found.ids == (fault,), found
    assert found.frame["sentence"].str.endswith(".").all() and (found.frame["way_out"].str.len() > 10).all()
    assert fault in repr(found) and not found.ok


def test_the_clean_ones_have_none():
    assert bp.load_contract(CLEAN).lint().ok
    for name in ("bank_line", "claims"):
        found = bp.load_contract(CONTRACTS / f"{name}.yaml").lint()
        assert found.ok, found


def test_public_clauses_have_what_they_are_known_for():
    found = {p.stem: set(bp.load_contract(p).lint().ids) for p in CONTRACTS.glob("*.yaml")}
    assert found["city_line"] == {
        "no-quality",
        "credits-above-margin",
        "one-driver",
        "redundant-speed",
        "no-corridor",
        "no-missing-rule",
    }
    assert found["state_exchange"] == {"abandons-undefined", "credits-above-margin", "no-corridor", "no-missing-rule"}
    assert found["capped_volume"] == {"no-quality", "no-tail"}


def test_where_names_the_line():
    found = bp.load_contract(CONTRACTS / "city_line.yaml").lint().frame.set_index("id")
    assert found.loc["no-missing-rule", "where"].iloc[0].startswith("clauses.answer (")
    assert found.loc["no-missing-rule", "where"].iloc[0].endswith("city_line.yaml:9)")
    assert bp.load_contract(CLEAN).replace({"clauses.speed.missing": None}).lint().frame["where"].tolist() == [
        "clauses.speed"
    ]


def test_a_target_above_capability():
    # Twenty months around 75 %, the best but one 78.5 %: 80 % is above what 95 of 100 showed, 78 % is not.
    values = np.linspace(0.71, 0.79, 20)
    speed = {k: v for k, v in CLEAN["clauses"]["speed"].items() if k != "relief"} | {
        "relief": [{"volume": {"above": "110%"}}]
    }
    base = bp.load_contract(CLEAN).replace({"clauses.speed": speed})
    assert base.lint(table(speed=values)).ids == ("beyond-capability",)
    assert base.replace({"clauses.speed.levels.expected": "78%"}).lint(table(speed=values)).ok
    assert base.lint(table(speed=values[:7])).ok  # too few windows to say anything


def test_capability_and_contacts_per_interval_from_counts():
    # Eight months of days with 85 of 100 in time; 90 % was never shown.
    n = 243
    source = days("2026-01-01", [100] * n, [85] * n)
    found = contract({"clauses.speed.levels.expected": "90%"}).lint(source)
    assert found.ids == ("beyond-capability",)
    # By interval, without volumes in the contract, the counts tell: 10 contacts an interval.
    small = days("2026-01-01", [10] * 48, [8] * 48, freq="30min", hours=0.5)
    noisy = contract(
        {"volumes": None, "clauses.speed.aggregation": "mean_of_intervals", "clauses.speed.levels.expected": "70%"}
    )
    assert noisy.lint().ok
    assert noisy.lint(small).ids == ("interval-noise",)


def test_margin_given_at_the_call():
    assert bp.load_contract(CLEAN).lint(margin=0.11).ids == ("credits-above-margin",)
    assert bp.load_contract(CLEAN).replace(margin=None).lint().ok
    assert bp.load_contract(CLEAN).replace(
        at_risk=None, clauses__speed__weight=None, clauses__accuracy__weight=None
    ).lint().ids == ("credits-above-margin",)


# Glide paths ---------------------------------------------------------------------------------------------------------


def test_a_glide_path_that_ends_elsewhere_holds_for_good():
    change = {"clauses.speed.glide": {1: "70%", 3: "75%"}}
    said = contract(change).lint().frame["sentence"][0]
    assert (
        "from month 3 on its glide path holds 75 % for good, easier than the expected 80 %, which never applies" in said
    )
    harder = contract({"clauses.speed.glide": {1: "70%", 3: "85%"}}).lint()
    assert "holds 85 % for good, harder" in harder.frame["sentence"][0]
    assert contract({"clauses.speed.glide": {1: "70%", 3: "80%"}}).lint().ok
    low = contract({"clauses.lost.glide": {1: "8%", 3: "6%"}}).lint()  # low is good
    assert "holds 6 % for good, easier" in low.frame["sentence"][0]


def test_a_glide_path_that_moves_a_level_out_of_range_is_refused():
    # 80 to 20 % takes 60 points off: a minimum of 50 % becomes -10 %; 80 to 95 % lifts a stretch of 90 % to 105 %.
    with pytest.raises(
        ScenarioError, match=r"from month 1 on 20 % instead of 80 %, so that the minimum level 50 % becomes -10 %"
    ):
        contract({"clauses.speed.levels.minimum": "50%", "clauses.speed.glide": {1: "20%", 3: "80%"}})
    with pytest.raises(
        ScenarioError, match=r"stretch level 90 % becomes 105 %, outside 0 and 100 %. Bring the step nearer"
    ):
        contract({"clauses.speed.levels.stretch": "90%", "clauses.speed.glide": {4: "95%"}})
    contract({"clauses.speed.levels.stretch": "90%", "clauses.speed.glide": {4: "90%"}})


def test_sentences_say_what_holds_after_a_glide_path_and_what_a_miss_is():
    told = contract({
        "months": 24, "clauses.speed.glide": {1: "72%", 7: "80%"}, "clauses.speed.levels.minimum": "75%",
        "clauses.speed.repeat": {"misses": 3, "in_months": 6, "multiplier": 2},
    }).describe()  # fmt: skip
    assert (
        "Glide path: 72 % from month 1, 80 % from month 7; from then on 80 % holds; the other levels move along."
        in told
    )
    assert "A missed month is a month below the minimum level (75 %)." in told
    assert "A missed month" not in contract({}).describe()
    left = contract({"termination": {"misses": 3, "in_months": 6}}).describe()
    assert "A missed month is a month below the expected level (80 %)." in left
    assert "A missed month is a month above the expected level (5 %)." in left
