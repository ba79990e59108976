"""Contract files: read, read back, written again; contradictions refused all at once, with line and way out."""

from __future__ import annotations

import re
from decimal import Decimal
from pathlib import Path

import pytest
import yaml
from contract_worlds import SPEED, deal

import bposim as bp
from bposim.errors import ParameterError, ScenarioError
from bposim.targets.terms import read_amount, read_level, read_money, read_ratio

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "scenarios" / "contracts").glob("*.yaml"))
TEXT = """\
name: line
currency: USD
months: 24
volumes: {calls: 4000}
pricing:
  - fixed: 100000
at_risk: 12%
clauses:
  speed:
    metric: service_level
    counting: offered
    within: 20s
    window: month
    levels: {minimum: 75%, expected: 80%, stretch: 88%}
    missing: exclude
    minimum_sample: 200
    relief:
      - {volume: {by: day, above: 110%}}
    bands:
      - {to: 75%, credit: 100%}
      - {from: 75%, to: 80%, credit: 50%}
    weight: 60%
    repeat: {misses: 3, in_months: 6, multiplier: 2}
  accuracy:
    metric: accuracy
    window: month
    levels: {expected: 98%}
    sample: {size: 400, per: month}
    missing: exclude
    bands: [{to: expected, credit: 100%}]
    weight: 40%
"""


def load(*changes, text=TEXT):
    """Load the contract with parts of its text replaced."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new, 1)
    return bp.load_contract(text)


def refused(*changes):
    with pytest.raises(ScenarioError) as error:
        load(*changes)
    return error.value.problems


# Reading -------------------------------------------------------------------------------------------------------------


def test_contract_is_frozen_and_replaced():
    contract = load()
    assert contract.clauses["speed"].levels.minimum.value == 0.75
    assert contract.pricing[0].fixed == Decimal("100000")
    with pytest.raises(AttributeError, match=r"contract.replace\(name="):
        contract.name = "other"
    with pytest.raises(Exception, match="frozen"):
        contract.clauses["speed"].weight = 0.5
    changed = contract.replace({"clauses.speed.levels.expected": "85%"}, months=36)
    assert changed.clauses["speed"].levels.expected.value == 0.85 and changed.months == 36
    assert contract.clauses["speed"].levels.expected.value == 0.80
    assert changed.hash != contract.hash and contract == load() and hash(contract) == hash(load())
    with pytest.raises(ScenarioError, match=r"minimum level 90 % must be at most the expected level 80 %"):
        contract.replace(clauses__speed__levels__minimum="90%")


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_catalogue_loads_round_trips_and_says_where_it_comes_from(path):
    head = "".join(line for line in path.read_text().splitlines(keepends=True) if line.startswith("#"))
    for word in ("Purpose:", "Source:", "Assumes:"):
        assert re.search(rf"^# {word} \S.{{10,}}", head, re.M), f"{path.name} lacks '# {word} …'"
    contract = bp.load_contract(path)
    assert bp.load_contract(contract.to_yaml()) == contract
    assert bp.load_contract(yaml.safe_load(path.read_text())) == contract
    assert bp.load_contract(contract) is contract
    assert path.name in (ROOT / "scenarios" / "README.md").read_text()


def test_there_are_contracts_after_public_clauses():
    assert len(FILES) >= 8


def test_extends_lays_a_contract_over_another(tmp_path):
    (tmp_path / "base.yaml").write_text(TEXT)
    (tmp_path / "mine.yaml").write_text("extends: base.yaml\nname: mine\nclauses: {speed: {levels: {expected: 82%}}}\n")
    contract = bp.load_contract(tmp_path / "mine.yaml")
    assert contract.clauses["speed"].levels.expected.value == 0.82 and "accuracy" in contract.clauses


@pytest.mark.parametrize(
    ("text", "value"), [("77.4%", 0.774), ("0.7 %", 0.007), ("99.5%", 0.995), ("57%", 0.57), ("0.81", 0.81)]
)
def test_percentages_are_the_numbers_they_say(text, value):
    # 0.7 / 100 is 0.006999…: a clause would be missed by a hair at exactly 0.7 %.
    assert bp.load_contract({"clauses": {"a": {"metric": "accuracy", "levels": {"expected": float(text) if "%" not in text else text}}}}
                            ).clauses["a"].levels.expected.value == value  # fmt: skip


def test_targets_of_a_contract():
    listed = bp.load_contract(ROOT / "scenarios" / "contracts" / "bank_line.yaml").targets()
    assert [str(t) for t in listed] == ["regular: 80 % answered within 20s per month"]


# Contradictions ------------------------------------------------------------------------------------------------------

CONTRADICTIONS = {
    "overlapping bands": (
        [("to: 75%, credit: 100%", "to: 77%, credit: 100%")], "clause 'speed': bands 1 and 2 overlap. Let one end where the other begins.", 21),
    "weights over the pool": (
        [("weight: 40%", "weight: 50%")], "the weights add up to 110 % of the pool: speed 60 %, accuracy 50 %. Bring them down to 100 %", 8),
    "target above 100 %": (
        [("expected: 98%", "expected: 101%")], "clause 'accuracy': levels.expected must lie between 0 and 100 %. Got 101 %.", 27),
    "target without its sign": (
        [("expected: 98%", "expected: 98")], "Got 98. Write \"98%\".", 27),
    "unknown metric": (
        [("metric: accuracy", "metric: acuracy")], "clause 'accuracy': metric 'acuracy' is not in the glossary. Did you mean 'accuracy'?", 25),
    "window shorter than the audited sample": (
        [("per: month}", "per: quarter}")], "the window (month) is shorter than its sample (400 per quarter). Write window: quarter.", 26),
    "window shorter than its sample": (
        [("window: month", "window: day")], "a day holds about 132, minimum_sample is 200. Name a longer window, or a smaller sample.", 16),
    "levels out of order": (
        [("minimum: 75%", "minimum: 85%")], "the minimum level 85 % must be at most the expected level 80 %. Swap them.", 14),
    "worse costs less": (
        [("credit: 50%", "credit: 100%"), ("credit: 100%", "credit: 20%")], "a worse result costs less (20 % after 100 %). Order the bands.", 19),
    "empty band": (
        [("from: 75%, to: 80%", "from: 80%, to: 75%")], "band 2: is empty: from 80 % to 75 %.", 21),
    "credit where the target is reached": (
        [("from: 75%, to: 80%", "from: 80%, to: 90%")], "band 2: takes a credit where the expected level is reached.", 21),
    "misses that do not fit": (
        [("misses: 3, in_months: 6", "misses: 7, in_months: 6")], "7 misses do not fit into 6 months.", 23),
    "seconds for a share": (
        [("stretch: 88%", "stretch: 88s")], "levels.stretch must be a share. Got 88s.", 14),
    "threshold absent": (
        [("    within: 20s\n", "")], "service_level needs its threshold. Write within: \"20s\".", 9),
    "corridor the wrong way round": (
        [("above: 110%", "above: 90%, below: 95%")], "the corridor is empty: below 95 % and above 90 % overlap.", 18),
    "corridor longer than the window": (
        [("window: month", "window: week"), ("by: day", "by: month")], "a week is not made of whole stretches 'by: month'.", 18),
    "scaled by day": (
        [("above: 110%}}", "above: 110%}, effect: scale}")], "effect scale is about the whole window.", 18),
    "cap without upper edge": (
        [("above: 110%}}", "below: 90%}, effect: cap}")], "effect cap needs the upper edge.", 18),
    "nothing at risk": (
        [("at_risk: 12%\n", "")], "clauses speed, accuracy have weights, but nothing is at risk. Write at_risk: 12%.", 7),
    "unknown counting": (
        [("counting: offered", "counting: ofered")], "counting 'ofered' is unknown.", 11),
    "condition on no clause": (
        [("credit: 50%}", "credit: 50%, requires: {acuracy: expected}}")], "clause 'speed' requires 'acuracy', which is no other clause. Did you mean 'accuracy'?", 21),
    "condition on a level that is lacking": (
        [("credit: 50%}", "credit: 50%, requires: {accuracy: stretch}}")], "names the stretch level, which the clause lacks", 21),
    "another currency": (
        [("credit: 50%", "credit: 500 GBP")], "clause 'speed' is in GBP, the contract in USD.", 21),
    "glide path after the term": (
        [("    minimum_sample: 200\n", "    glide: {30: 82%}\n")], "month 30 of the glide path lies after the term of 24 months.", 16),
    "share of no fee": (
        [("pricing:\n  - fixed: 100000\n", "")], "clause 'speed' takes 50 % of a fee, but the contract has no pricing.", 19),
    "two pricing models in one": (
        [("fixed: 100000", "{fixed: 1, per_minute: {rate: 1}}")], "pricing 1 must be one model", 6),
    "tiers that overlap": (
        [("fixed: 100000", "per_minute: {tiers: [{up_to: 10, rate: 2}, {up_to: 5, rate: 1}, {rate: 1}]}")], "the tiers overlap: up_to must rise.", 6),
    "earn-back of nothing": (
        [("    repeat:", "    earn_back: {following: 2, over: year}\n    repeat:")], "earn_back needs one of following: 3 (months) and over: year.", 23),
    "points without a table": (
        [("{from: 75%, to: 80%, credit: 50%}", "{from: 75%, to: 80%, points: 3}")], "points need clauses that give them and a table of what they cost.", None),
    "unknown key": (
        [("weight: 60%", "wieght: 60%")], "unknown key 'clauses.speed.wieght'. Did you mean 'weight'?", 22),
    "money without sense": (
        [("credit: 50%", "credit: 0.5")], "credit=0.5 may mean 50 % or money.", 21),
    "duration without unit": (
        [("within: 20s", "within: 20")], "within=20 has no unit. Write \"20s\"", 12),
}  # fmt: skip


@pytest.mark.parametrize("name", CONTRADICTIONS)
def test_contradictions_are_refused_with_line_and_way_out(name):
    changes, said, line = CONTRADICTIONS[name]
    problems = refused(*changes)
    hit = [p for p in problems if said in p]
    assert len(hit) == 1, problems
    if line is not None:
        assert hit[0].endswith(f"(contract text:{line})"), hit[0]


def test_everything_wrong_is_told_at_once():
    problems = refused(
        ("metric: accuracy", "metric: acuracy"), ("minimum: 75%", "minimum: 85%"), ("weight: 60%", "weight: 70%"),
        ("above: 110%", "above: 110%, belw: 3"), ("fixed: 100000", "fixed: -5"),
    )  # fmt: skip
    for said in ("'acuracy'", "minimum level 85 %", "add up to 110 %", "belw", "at least 0"):
        assert any(said in p for p in problems), (said, problems)


def test_a_clean_contract_is_not_refused():
    assert load() == load()


# Sentences -----------------------------------------------------------------------------------------------------------


def test_reads_back_as_sentences():
    said = load().describe()
    for sentence in (
        "speed: at least 80 % of the contacts are answered within 20s, every month (minimum 75 %, stretch 88 %).",
        "Counting: abandoned contacts count against it.",
        "Relief: a day whose volume lies above 110 % of the forecast is left out of the metric.",
        "From 75 % to below 80 %: credit of 50 % of its allocation.",
        "From the 3rd missed month among 6 on, credits count 2 times.",
        "12 % of the month's fee are at risk.",
        "Credits of a month come to at most 12 % of its fees.",
        "400 items are taken each month.",
        "A window with fewer than 200 is not judged.",
    ):
        assert sentence in said, sentence
    assert str(load()) == said and "2 clauses" in repr(load()) and "<li>" in load()._repr_html_()


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_written_value_is_read_back(path):
    """No level, amount or month of a file is left out of the sentences."""
    contract = bp.load_contract(path)
    said = contract.describe().replace(",", "")
    body = yaml.safe_load(path.read_text())
    for clause in body["clauses"].values():
        for value in clause["levels"].values():
            number = str(value).rstrip("%s")
            assert re.search(rf"\b{re.escape(number)}(?!\d)", said), value
        for band in (*clause.get("bands", ()),):
            amount = str(next(band[k] for k in ("credit", "bonus", "points") if k in band)).rstrip("%")
            assert re.search(rf"\b{re.escape(amount)}\b", said), amount


def test_audited_metrics_are_no_simulated_targets():
    with pytest.raises(ParameterError, match="cannot be simulated"):
        load().clauses["accuracy"].target()


def test_recommendations_take_a_contract():
    scenario = bp.load_scenario({
        "name": "line", "start": "2026-06-01", "days": 1, "opening_hours": {"daily": "09:00-11:00"},
        "contact_types": {"regular": {"arrivals": {"rate": "40/h"}, "handle_time": {"exponential": {"mean": "3min"}}}},
        "agent_groups": {"team": {"skills": ["regular"], "heads": 5}}})  # fmt: skip
    path = ROOT / "scenarios" / "contracts" / "bank_line.yaml"
    options = {"window": "all", "replications": 20, "seed": 1, "progress": False}
    for given in (path, bp.load_contract(path)):
        advice = bp.recommend_targets(scenario, contract=given, **options)
        assert advice.clauses["target"].tolist() == ["regular: 80 % answered within 20s per month"]


@pytest.mark.parametrize("written", ["12,50", "1,5", "2,50,000", "12,5000", "0,125", "00,500"])
def test_a_comma_parts_thousands_and_nothing_else(written):
    """12,50 is 12.50 for half of the world: taken for 1,250 it would bill a hundred times as much."""
    for read in (read_money, read_amount):
        with pytest.raises(ValueError, match=r"ambiguous.*Write 12\.50, or 1,250"):
            read(written)
    assert read_money("1,250.75") == Decimal("1250.75") and read_money("12,345,678") == 12_345_678
    for read in (read_level, read_amount, read_ratio):
        with pytest.raises(ValueError, match=r"per cent take no comma"):
            read("2,5%")


def test_a_ratchet_beyond_what_can_be_met_is_refused():
    speed = SPEED | {"levels": {"expected": "95%"}, "ratchet": {"every": 3, "by": "1%"}}
    with pytest.raises(ScenarioError, match=r"moves the expected level to 102 % by month 24"):
        deal({"speed": speed}, months=24)
    deal({"speed": speed}, months=18)
    deal({"speed": speed | {"ratchet": {"every": 3, "by": "1%", "up_to": "98%"}}}, months=24)


def test_a_ratchet_moves_every_level():
    stretch = SPEED | {"levels": {"expected": "90%", "stretch": "98%"}, "ratchet": {"every": 3, "by": "1%"}}
    with pytest.raises(ScenarioError, match=r"moves the stretch level to 105 % by month 24"):
        deal({"speed": stretch}, months=24)
    fast = {
        "metric": "asa",
        "window": "month",
        "levels": {"expected": "30s"},
        "missing": "exclude",
        "ratchet": {"every": 3, "by": "5s"},
    }
    with pytest.raises(ScenarioError, match=r"moves the expected level to -5 s by month 24"):
        deal({"fast": fast}, months=24)
    deal({"fast": fast}, months=18)
