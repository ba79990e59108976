"""Ledgers worked by hand: what clauses credit and pay, to the cent. The arithmetic stands beside each."""

from __future__ import annotations

from decimal import Decimal

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, cents, counts_table, days, deal, month_days, months, table

import bposim as bp
from bposim.errors import BposimError, ParameterError

BANDS = [
    {"from": "78%", "to": "80%", "credit": "2%"},
    {"from": "75%", "to": "78%", "credit": "5%"},
    {"to": "75%", "credit": "10%"},
]
QUARTER = {"cap": {"share": "7%", "per": "quarter"}}


# Bands and caps ------------------------------------------------------------------------------------------------------


def test_bands_and_a_quarters_cap_that_does_not_bind():
    # 77.4: [75, 78) 5 % of 100,000 = 5,000. 79.2: [78, 80) 2,000. 74.0: < 75 10,000. Sum 17,000; cap 7 % of 300,000 = 21,000.
    ledger = bp.settle(deal({"speed": SPEED | {"bands": BANDS}}, **QUARTER), table(speed=[0.774, 0.792, 0.740]))
    assert ledger.amounts("credit", "speed") == cents(["5000", "2000", "10000"])
    assert ledger.total("credit") == Decimal("17000.00")
    assert ledger.total("invoice") == Decimal("283000.00")
    assert ledger.frame["cap"].tolist() == [21000.0, 16000.0, 14000.0]  # 21,000, less what was taken before


def test_a_quarters_cap_that_binds():
    # 10 % three times = 30,000; the cap leaves 21,000: 10,000 + 10,000 + 1,000. April begins a new quarter.
    ledger = bp.settle(deal({"speed": SPEED | {"bands": BANDS}}, **QUARTER), table(speed=[0.70, 0.70, 0.70, 0.70]))
    assert ledger.amounts("credit_before_cap") == cents(["10000"] * 4)
    assert ledger.amounts("credit") == cents(["10000", "10000", "1000", "7000"])  # April alone: 7 % of 100,000
    assert ledger.summary().set_index(["item", "clause"]).loc[("months_capped", ""), "mean"] == 2


@pytest.mark.parametrize(
    ("value", "credit"),
    [
        (0.80, "0"),
        (0.79999, "2000"),
        (0.78, "2000"),
        (0.77999, "5000"),
        (0.75, "5000"),
        (0.74999, "10000"),
        (0.0, "10000"),
    ],
)
def test_edges_belong_to_the_better_side(value, credit):
    ledger = bp.settle(deal({"speed": SPEED | {"bands": BANDS}}), table(speed=[value]))
    assert ledger.amounts("credit") == cents([credit])


def test_edges_by_counts_are_exact():
    # 774 of 1,000 is 77.4 %, not a hair less: with the band's edge at 77.4 % it costs the 2 % above, 773 the 5 % below.
    bands = [{"from": "77.4%", "to": "80%", "credit": "2%"}, {"to": "77.4%", "credit": "5%"}]
    ledger = bp.settle(
        deal({"speed": SPEED | {"bands": bands}}), counts_table("speed", [(774, 1000), (773, 1000), (8000, 10000)])
    )
    assert ledger.amounts("credit") == cents(["2000", "5000", "0"])
    line = ledger.lines.iloc[1]
    assert (line["numerator"], line["denominator"], line["value"], line["status"]) == (773, 1000, 0.773, "missed")


def test_low_is_good_turns_the_edges_round():
    # Abandonment: up to 3 % nothing, (3, 5] 1,000, above 5 % 2,500. Exactly 3 % and exactly 5 % are on the better side.
    clause = {"metric": "abandonment", "window": "month", "levels": {"expected": "3%"}, "missing": "exclude",
              "bands": [{"from": "3%", "to": "5%", "credit": 1000}, {"from": "5%", "credit": 2500}]}  # fmt: skip
    ledger = bp.settle(deal({"lost": clause}), counts_table("lost", [(30, 1000), (31, 1000), (50, 1000), (51, 1000)]))
    assert ledger.amounts("credit") == cents(["0", "1000", "1000", "2500"])


def test_more_than_is_not_at_least():
    # "More than 80 %": exactly 80 % is missed, and belongs to the band below.
    clause = SPEED | {"comparison": ">", "bands": [{"to": "expected", "credit": 700}]}
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", [(800, 1000), (801, 1000)]))
    assert ledger.amounts("credit") == cents(["700", "0"])
    assert ledger.settled.missed[0, :, 0].tolist() == [True, False]


def test_cap_by_month_year_and_money():
    # 10 % of 100,000 every month. By month at 4 %: 4,000. By year at 1 % of twelve fees: 12,000 in all, then the 13th month's
    # own year holds one fee: 1,000. By money: 15,000 a year.
    speed = {"speed": SPEED | {"bands": BANDS}}
    low = table(speed=[0.70] * 13)
    by_month = bp.settle(deal(speed, cap={"share": "4%"}), low)
    assert by_month.amounts("credit") == cents(["4000"] * 13)
    by_year = bp.settle(deal(speed, cap={"share": "1%", "per": "year"}), low)
    assert by_year.amounts("credit") == cents(["10000", "2000", *["0"] * 10, "1000"])
    by_money = bp.settle(deal(speed, cap={"amount": 15000, "per": "year"}), low)
    assert by_money.amounts("credit") == cents(["10000", "5000", *["0"] * 10, "10000"])


def test_dead_band_between_penalty_and_bonus():
    # Penalty below 65 %, bonus from 80 % on, nothing between.
    clause = SPEED | {"levels": {"minimum": "65%", "expected": "80%"}, "bands": [
        {"to": "60%", "credit": 5000}, {"from": "60%", "to": "65%", "credit": 2500}, {"from": "80%", "bonus": 2500}]}  # fmt: skip
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.55, 0.62, 0.65, 0.7999, 0.80]))
    assert ledger.amounts("credit") == cents(["5000", "2500", "0", "0", "0"])
    assert ledger.amounts("bonus") == cents(["0", "0", "0", "0", "2500"])
    assert ledger.amounts("invoice") == cents(["95000", "97500", "100000", "100000", "102500"])


def test_bonus_cap():
    # 5 % of 100,000 each month is 15,000 a quarter: below 8 % of 300,000 = 24,000, above 3 % = 9,000: 5,000 + 4,000 + 0.
    clause = SPEED | {"bands": [{"from": "90%", "bonus": "5%"}]}
    fair = bp.settle(deal({"speed": clause}, bonus_cap={"share": "8%", "per": "quarter"}), table(speed=[0.95] * 3))
    assert fair.amounts("bonus") == cents(["5000"] * 3)
    tight = bp.settle(deal({"speed": clause}, bonus_cap={"share": "3%", "per": "quarter"}), table(speed=[0.95] * 3))
    assert tight.amounts("bonus") == cents(["5000", "4000", "0"])


def test_bonus_with_a_joint_condition():
    # Bonus at 75 % only if abandonment is at most 5 %: January both, February 5.1 % lost, March slow, April far below: penalty.
    speed = SPEED | {"levels": {"minimum": "60%", "expected": "75%"}, "bands": [
        {"to": "60%", "credit": 6000}, {"from": "75%", "bonus": 4000, "requires": {"lost": "5%"}}]}  # fmt: skip
    lost = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude"}
    ledger = bp.settle(
        deal({"speed": speed, "lost": lost}), table(speed=[0.75, 0.80, 0.74, 0.59], lost=[0.05, 0.051, 0.01, 0.02])
    )
    assert ledger.amounts("bonus") == cents(["4000", "0", "0", "0"])
    assert ledger.amounts("credit") == cents(["0", "0", "0", "6000"])


# Linear and by contact -----------------------------------------------------------------------------------------------

ANSWER = {"metric": "asa", "window": "month", "levels": {"expected": "30s", "stretch": "15s"}, "missing": "exclude"}


def test_linear_penalty_neutral_zone_and_incentive():
    # 500 per full second above 30 s: 34.6 s is 4 full ones = 2,000. 22 s and 30 s are neutral. 12.2 s is 2 full below 15 = 1,000.
    clause = ANSWER | {"linear": [{"per": "1s", "credit": 500, "steps": "full"},
                                  {"beyond": "stretch", "per": "1s", "bonus": 500, "steps": "full"}]}  # fmt: skip
    ledger = bp.settle(deal({"answer": clause}), table(answer=[34.6, 22.0, 30.0, 12.2]))
    assert ledger.amounts("credit") == cents(["2000", "0", "0", "0"])
    assert ledger.amounts("bonus") == cents(["0", "0", "0", "1000"])


def test_linear_by_started_and_by_exact_steps_with_an_end():
    # 80 % expected, 76.5 % reached: 3.5 points short. Started points: 4 × 1 % of 100,000 = 4,000. Exact: 3,500.
    # At 60 %: 20 points, at most 10 % = 10,000. In money: 3.5 × 250 = 875; at 60 % 5,000, at most 4,000.
    values = table(speed=[0.765, 0.60])
    started = SPEED | {"linear": {"per": "1%", "credit": "1%", "steps": "started", "at_most": "10%"}}
    assert bp.settle(deal({"speed": started}), values).amounts("credit") == cents(["4000", "10000"])
    exact = SPEED | {"linear": {"per": "1%", "credit": "1%", "at_most": "10%"}}
    assert bp.settle(deal({"speed": exact}), values).amounts("credit") == cents(["3500", "10000"])
    money = SPEED | {"linear": {"per": "1%", "credit": 250, "at_most": 4000}}
    assert bp.settle(deal({"speed": money}), values).amounts("credit") == cents(["875", "4000"])


def test_credit_per_contact_beyond_a_share():
    # 95 % within 90 s: of 10,000 calls 500 may wait longer. 9,380 in time: 620 − 500 = 120 × 5 = 600.
    # 1,234 calls: 61.7 may; 1,150 in time: 84 − 61.7 = 22.3, whole ones 22 × 5 = 110. 9,500 of 10,000: none.
    clause = SPEED | {"within": "90s", "levels": {"expected": "95%"}, "per_contact": {"credit": 5}}
    ledger = bp.settle(deal({"long": clause}), counts_table("long", [(9380, 10000), (1150, 1234), (9500, 10000)]))
    assert ledger.amounts("credit") == cents(["600", "110", "0"])


def test_credit_per_abandoned_contact():
    # 5 % of 2,000 = 100 may hang up; 130 did: 30 × 12.50 = 375, at most 300.
    clause = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude",
              "per_contact": {"credit": 12.50, "at_most": 300}}  # fmt: skip
    ledger = bp.settle(deal({"lost": clause}), counts_table("lost", [(130, 2000), (120, 2000)]))
    assert ledger.amounts("credit") == cents(["300", "250"])


# Points --------------------------------------------------------------------------------------------------------------


def test_points_table():
    # Speed: below 70 % 20 points, [70, 80) 10; abandonment above 5 %: 10. Table: 10 → 2 %, 20 → 5 %, 30 → 10 % of 100,000.
    speed = SPEED | {"levels": {"minimum": "70%", "expected": "80%"},
                     "bands": [{"to": "minimum", "points": 20}, {"from": "minimum", "to": "expected", "points": 10}]}  # fmt: skip
    lost = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude",
            "bands": [{"from": "expected", "points": 10}]}  # fmt: skip
    steps = [{"points": 10, "credit": "2%"}, {"points": 20, "credit": "5%"}, {"points": 30, "credit": "10%"}]
    ledger = bp.settle(deal({"speed": speed, "lost": lost}, points=steps), table(speed=[0.82, 0.75, 0.75, 0.65, 0.65], lost=[0.04, 0.04, 0.06, 0.05, 0.06]))  # fmt: skip
    assert ledger.frame["points"].tolist() == [0, 10, 20, 20, 30]
    assert ledger.amounts("credit", "points") == cents(["0", "2000", "5000", "5000", "10000"])
    assert ledger.total("credit") == Decimal("22000.00")


# Pool, weights, multipliers, earn-back -------------------------------------------------------------------------------


def weighted(weight, **more):
    return SPEED | {"bands": [{"to": "expected", "credit": "100%"}], "weight": weight} | more


def test_pool_allocation_and_the_cap_at_risk():
    # 10 % of 200,000 = 20,000 at risk, overbooked to 200 %. Weights 50, 30, 20 %: 20,000, 12,000, 8,000.
    # January misses b and c: 20,000, the cap exactly. February all: 40,000, capped at 20,000 and shared 10,000, 6,000, 4,000.
    clauses = {"a": weighted("50%"), "b": weighted("30%"), "c": weighted("20%")}
    contract = deal(clauses, pricing={"fixed": 200_000}, at_risk="10%", allocation="200%")
    ledger = bp.settle(contract, table(a=[0.9, 0.7], b=[0.7, 0.7], c=[0.7, 0.7]))
    assert [ledger.amounts("credit", n) for n in "abc"] == [
        cents(["0", "10000"]),
        cents(["12000", "6000"]),
        cents(["8000", "4000"]),
    ]
    assert ledger.amounts("credit_before_cap") == cents(["20000", "40000"])
    assert ledger.amounts("credit") == cents(["20000", "20000"])


def test_severity_within_a_clauses_allocation():
    # 12 % of 50,000 = 6,000 at risk; weight 40 %: 2,400. Between minimum and expected half of it: 1,200.
    bands = [{"to": "minimum", "credit": "100%"}, {"from": "minimum", "to": "expected", "credit": "50%"}]
    clause = SPEED | {"levels": {"minimum": "75%", "expected": "80%"}, "bands": bands, "weight": "40%"}
    ledger = bp.settle(
        deal({"speed": clause}, pricing={"fixed": 50_000}, at_risk="12%"), table(speed=[0.80, 0.75, 0.7499])
    )
    assert ledger.amounts("credit") == cents(["0", "1200", "2400"])


def test_a_shared_cap_leaves_no_cent_over():
    # Three credits of 3,333.33 at a cap of 5,000.00: pro rata 1,666.67 + 1,666.66 + 1,666.67, together 5,000.00.
    clauses = {n: SPEED | {"bands": [{"to": "expected", "credit": "3333.33"}]} for n in "abc"}
    ledger = bp.settle(deal(clauses, cap={"amount": 5000}), table(a=[0.7], b=[0.7], c=[0.7]))
    assert [ledger.total("credit", n) for n in "abc"] == cents(["1666.67", "1666.66", "1666.67"])
    assert ledger.total("credit") == Decimal("5000.00")


def test_repeated_misses_count_double():
    # ×2 from the third missed month among six. Misses in months 1, 2, 4 (third: ×2), 5 (fourth), 10: by then months 5 to 10
    # hold two misses, so ×1.
    clause = SPEED | {
        "bands": [{"to": "expected", "credit": 1000}],
        "repeat": {"misses": 3, "in_months": 6, "multiplier": 2},
    }
    bad, good = 0.7, 0.9
    ledger = bp.settle(deal({"speed": clause}), table(speed=[bad, bad, good, bad, bad, good, good, good, good, bad]))
    assert ledger.amounts("credit") == cents(["1000", "1000", "0", "2000", "2000", "0", "0", "0", "0", "1000"])
    assert ledger.lines["multiplier"].tolist() == [1, 1, 1, 2, 2, 1, 1, 1, 1, 1]


def test_earn_back_by_the_months_that_follow():
    # A miss in month 1, then 2 and 3 at the stretch level: back in month 3. The miss of month 4 is followed by 85 %, below
    # the stretch of 88 %: gone. Half comes back.
    clause = SPEED | {"levels": {"expected": "80%", "stretch": "88%"}, "bands": [{"to": "expected", "credit": 1000}],
                      "earn_back": {"following": 2, "level": "stretch", "share": "50%"}}  # fmt: skip
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.7, 0.88, 0.90, 0.7, 0.85, 0.95]))
    assert ledger.amounts("credit") == cents(["1000", "0", "0", "1000", "0", "0"])
    assert ledger.amounts("earn_back") == cents(["0", "0", "500", "0", "0", "0"])
    assert ledger.total("invoice") == Decimal("598500.00")  # 600,000 − 2,000 + 500


def test_earn_back_returns_what_the_cap_left():
    # Credit of 10,000 capped at 4,000; two good months later 4,000 come back, not 10,000.
    clause = SPEED | {"bands": [{"to": "expected", "credit": "10%"}], "earn_back": {"following": 2}}
    ledger = bp.settle(deal({"speed": clause}, cap={"share": "4%"}), table(speed=[0.7, 0.8, 0.8]))
    assert ledger.amounts("earn_back") == cents(["0", "0", "4000"])


def test_earn_back_over_the_year():
    # First year: two misses of 1,000; 100 contacts a month: 2 × 70 + 10 × 83 = 970 of 1,200 = 80.83 %, so 2,000 come back in
    # month 12. Second year: 2 × 70 + 10 × 81 = 950 of 1,200 = 79.17 %: nothing.
    clause = SPEED | {"bands": [{"to": "expected", "credit": 1000}], "earn_back": {"over": "year"}}
    pairs = [(70, 100), (70, 100), *[(83, 100)] * 10, (70, 100), (70, 100), *[(81, 100)] * 10]
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", pairs))
    back = ledger.amounts("earn_back")
    assert back[11] == Decimal("2000.00") and sum(back) == Decimal("2000.00")
    assert ledger.total("credit") == Decimal("4000.00")


# Time ----------------------------------------------------------------------------------------------------------------


def test_no_credit_months():
    # The first three months take nothing, pay no bonus and count no miss: the third miss among six is that of month 6.
    clause = SPEED | {"bands": [{"to": "expected", "credit": 1000}, {"from": "95%", "bonus": 300}],
                      "repeat": {"misses": 3, "in_months": 6, "multiplier": 3}}  # fmt: skip
    ledger = bp.settle(deal({"speed": clause}, no_credit_months=3), table(speed=[0.7, 0.96, 0.7, 0.7, 0.7, 0.7, 0.96]))
    assert ledger.amounts("credit") == cents(["0", "0", "0", "1000", "1000", "3000", "0"])
    assert ledger.amounts("bonus") == cents(["0", "0", "0", "0", "0", "0", "300"])


def test_a_clause_with_its_own_no_credit_months():
    clause = SPEED | {"bands": [{"to": "expected", "credit": 1000}]}
    contract = deal({"a": clause | {"no_credit_months": 0}, "b": clause}, no_credit_months=1)
    ledger = bp.settle(contract, table(a=[0.7, 0.7], b=[0.7, 0.7]))
    assert ledger.amounts("credit", "a") == cents(["1000", "1000"])
    assert ledger.amounts("credit", "b") == cents(["0", "1000"])


def test_glide_path_moves_every_edge():
    # Expected 70, 75, 80 % from months 1, 3, 5; the band two points below moves along. 74 % each month:
    # 70: met. 75: [73, 75) 1,000. 80: below 78: 2,000.
    clause = SPEED | {"glide": {1: "70%", 3: "75%", 5: "80%"}, "bands": [
        {"from": "78%", "to": "expected", "credit": 1000}, {"to": "78%", "credit": 2000}]}  # fmt: skip
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.74] * 6))
    assert ledger.amounts("credit") == cents(["0", "0", "1000", "1000", "2000", "2000"])
    assert ledger.lines["level"].tolist() == [0.70, 0.70, 0.75, 0.75, 0.80, 0.80]


def test_ratchet_tightens_until_its_end():
    # 80 %, one point every two months up to 81.5 %: 80, 80, 81, 81, 81.5, 81.5. At 80.5 % each month: from month 3 on missed.
    clause = SPEED | {
        "ratchet": {"every": 2, "by": "1%", "up_to": "81.5%"},
        "bands": [{"to": "expected", "credit": 100}],
    }
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.805] * 6))
    assert ledger.lines["level"].tolist() == [0.80, 0.80, 0.81, 0.81, 0.815, 0.815]
    assert ledger.amounts("credit") == cents(["0", "0", "100", "100", "100", "100"])


def test_termination_by_clause_and_by_contract():
    # Clause: 3 missed months among 4. Misses in months 1, 2, 4: right from month 4 on (1, 2, 4), month 5 holds 2, 4 only.
    clause = SPEED | {"bands": [{"to": "expected", "credit": 1}], "termination": {"misses": 3, "in_months": 4}}
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.7, 0.7, 0.9, 0.7, 0.9]))
    assert ledger.frame["termination"].tolist() == [False, False, False, True, False]
    # Contract: 2 months with any miss in 2: a in month 1, b in month 2.
    plain = SPEED | {"bands": [{"to": "expected", "credit": 1}]}
    both = deal({"a": plain, "b": plain}, termination={"misses": 2, "in_months": 2})
    ledger = bp.settle(both, table(a=[0.7, 0.9, 0.9], b=[0.9, 0.7, 0.9]))
    assert ledger.frame["termination"].tolist() == [False, True, False]
    assert "may terminate" in repr(ledger)


def test_quarter_window_takes_the_quarters_fees():
    # Pooled over the quarter: 700 + 800 + 820 = 2,320 of 3,000 = 77.33 %: 2 % of 300,000 = 6,000, in March.
    clause = SPEED | {"window": "quarter", "bands": [{"to": "expected", "credit": "2%"}]}
    pairs = [(700, 1000), (800, 1000), (820, 1000), (900, 1000), (700, 1000), (800, 1000)]
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", pairs))
    assert ledger.amounts("credit") == cents(["0", "0", "6000", "0", "0", "0"])  # second quarter: 2,400 of 3,000 = 80 %
    assert ledger.windows["numerator"].tolist() == [2320, 2400]


# Rounding, samples, missing data -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mode", "credits"), [("half-up", ["0", "0", "500"]), ("down", ["500", "500", "500"]), ("up", ["0", "0", "0"])]
)
def test_rounding_before_the_comparison(mode, credits):
    # To whole points: 79.6 → 80 (half-up), 79.5 → 80, 79.4 → 79; down: all 79; up: all 80.
    clause = SPEED | {"rounding": "1%", "rounding_mode": mode, "bands": [{"to": "expected", "credit": 500}]}
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", [(796, 1000), (795, 1000), (794, 1000)]))
    assert ledger.amounts("credit") == cents(credits)


def test_minimum_sample():
    # 70 of 100 misses, 69 of 99 is not judged, 0 of 0 has nothing to judge.
    clause = SPEED | {"minimum_sample": 100, "bands": [{"to": "expected", "credit": 500}]}
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", [(70, 100), (69, 99), (0, 0)]))
    assert ledger.amounts("credit") == cents(["500", "0", "0"])
    assert ledger.lines["status"].tolist() == ["missed", "small sample", "no contacts"]


@pytest.mark.parametrize(
    ("rule", "credit", "status"), [("exclude", "0", "no data"), ("met", "0", "met"), ("miss", "10000", "missed")]
)
def test_missing_data_by_the_contracts_rule(rule, credit, status):
    # February has no value. miss: as bad as can be, the worst band, 10 %.
    ledger = bp.settle(deal({"speed": SPEED | {"missing": rule, "bands": BANDS}}), table(speed=[0.81, None, 0.81]))
    assert ledger.amounts("credit") == cents(["0", credit, "0"])
    assert ledger.lines["status"].tolist() == ["met", status, "met"]


def test_missing_data_without_a_rule_is_refused():
    clause = {k: v for k, v in SPEED.items() if k != "missing"} | {"bands": BANDS}
    with pytest.raises(
        ParameterError, match=r"'speed' has no data in 1 of 3 windows \(first in 2026-02\).*missing: exclude"
    ):
        bp.settle(deal({"speed": clause}), table(speed=[0.81, None, 0.81]))


def test_met_by_default_earns_no_bonus():
    clause = SPEED | {"missing": "met", "bands": [{"from": "80%", "bonus": 400}]}
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.85, None]))
    assert ledger.amounts("bonus") == cents(["400", "0"])


# Windows within the month --------------------------------------------------------------------------------------------


def test_two_days_pooled_averaged_and_counted():
    # Day A 90 of 100, day B 700 of 900: pooled 790 of 1,000 = 79 %, below 80: 1,000. Mean of the days 83.89 %: met.
    # Days that reach 80 %: 1 of 2 = 50 %, below 90 %: 3,000.
    source = days("2026-02-27", [100, 900], [90, 700])
    bands = {"bands": [{"to": "expected", "credit": 1000}]}
    share = {"aggregation": "share_of_days", "pass_level": "80%", "levels": {"expected": "90%"},
             "bands": [{"to": "expected", "credit": 3000}]}  # fmt: skip
    contract = deal(
        {
            "pooled": SPEED | bands,
            "mean": SPEED | bands | {"aggregation": "mean_of_intervals"},
            "counted": SPEED | share,
        }
    )
    ledger = bp.settle(contract, source)
    lines = ledger.lines.set_index("clause")
    assert lines["value"].round(4).to_dict() == {"pooled": 0.79, "mean": 0.8389, "counted": 0.5}
    assert (lines.loc["counted", "numerator"], lines.loc["counted", "denominator"]) == (1, 2)
    assert lines["credit"].to_dict() == {"pooled": 1000.0, "mean": 0.0, "counted": 3000.0}
    assert "no whole month" in ledger.notes[0]


def test_each_day_is_judged():
    # January: 31 days of 100 contacts, 85 in time; days 5, 6 and 20 only 70: 3 × 250 = 750.
    source = days("2026-01-01", [100] * 31, month_days("2026-01", 85, {5: 70, 6: 70, 20: 70}))
    clause = SPEED | {"window": "day", "bands": [{"to": "expected", "credit": 250}]}
    ledger = bp.settle(deal({"speed": clause}), source)
    assert ledger.amounts("credit") == cents(["750"])
    line = ledger.lines.iloc[0]
    assert (line["windows"], line["windows_missed"], line["numerator"], line["denominator"]) == (31, 3, 2590, 3100)
    assert (ledger.windows["status"] == "missed").sum() == 3


def test_many_missed_days_take_no_more_than_the_whole_allocation():
    # Weight 50 % of 10 % at risk of 100,000 = 5,000; 10 % of it for each missed day: 4 days 2,000, 15 days 150 % → 5,000.
    clause = SPEED | {"window": "day", "bands": [{"to": "expected", "credit": "10%"}], "weight": "50%"}
    for missed, credit in ((4, "2000"), (15, "5000")):
        source = days("2026-01-01", [100] * 31, [70] * missed + [85] * (31 - missed))
        assert bp.settle(deal({"speed": clause}, at_risk="10%"), source).amounts("credit") == cents([credit])


def test_a_condition_on_days_asks_for_all_of_them():
    # The bonus for the month asks every day for at most 10 % abandoned: 12 on 9 January spoil it, 10 do not.
    speed = SPEED | {"bands": [{"from": "80%", "bonus": 4000, "requires": {"lost": "expected"}}]}
    lost = {"metric": "abandonment", "window": "day", "levels": {"expected": "10%"}, "missing": "exclude"}
    for worst, bonus in ((10, "4000"), (12, "0")):
        source = days("2026-01-01", [100] * 31, [85] * 31, abandoned=month_days("2026-01", 3, {9: worst}))
        assert bp.settle(deal({"speed": speed, "lost": lost}), source).amounts("bonus") == cents([bonus])


def test_weeks_belong_to_the_month_in_which_they_end():
    # March 2026 begins on a Sunday: the week of 23 February ends on 1 March. It is bad, the others are good.
    n = 28 + 31
    within = [85.0] * n
    for k in range(22, 29):  # 23 February to 1 March
        within[k] = 60.0
    clause = SPEED | {"window": "week", "bands": [{"to": "expected", "credit": 900}]}
    ledger = bp.settle(deal({"speed": clause}), days("2026-02-01", [100] * n, within))
    assert ledger.amounts("credit") == cents(["0", "900"])
    assert ledger.windows.groupby("month").size().tolist() == [3, 5]


def test_staffing_style_share_of_intervals():
    # 60 half-hours of 40 contacts each over one day and a bit; 51 reach 80 % = 85 %, below 90: 2 % of 100,000.
    within = [34.0] * 51 + [20.0] * 9
    source = days("2026-02-01", [40] * 60, within, freq="30min", hours=0.5)
    clause = SPEED | {"aggregation": "share_of_intervals", "pass_level": "80%", "levels": {"expected": "90%"},
                      "bands": [{"to": "expected", "credit": "2%"}]}  # fmt: skip
    ledger = bp.settle(deal({"speed": clause}), source)
    assert ledger.lines[["numerator", "denominator", "credit"]].iloc[0].tolist() == [51, 60, 2000]


def test_an_average_speed_of_answer_is_pooled_by_contacts():
    # 300 answered at 20 s and 100 at 60 s: (6,000 + 6,000) / 400 = 30 s: met exactly. One more second on each: 31: 500.
    clause = ANSWER | {"linear": {"per": "1s", "credit": 500}}
    exact = days("2026-02-01", [300, 100], [0, 0], wait_s=[20, 60])
    assert bp.settle(deal({"answer": clause}), exact).amounts("credit") == cents(["0"])
    slower = days("2026-02-01", [300, 100], [0, 0], wait_s=[21, 61])
    assert bp.settle(deal({"answer": clause}), slower).amounts("credit") == cents(["500"])


def test_months_are_named_as_written():
    assert months(2) == ["2026-01", "2026-02"]
    twice = pd.concat([table(speed=[0.7]), table(speed=[0.7])])
    with pytest.raises(ParameterError, match="2026-01 twice"):
        bp.settle(deal({"speed": SPEED}), twice)


@pytest.mark.parametrize("comparison", [">=", ">"])
def test_a_month_that_counts_as_missed_costs_whatever_the_comparison(comparison):
    clause = SPEED | {"missing": "miss", "comparison": comparison, "bands": [{"to": "expected", "credit": "5%"}]}
    ledger = bp.settle(deal({"speed": clause}), table(speed=[0.9, np.nan]))
    assert ledger.amounts("credit") == cents(["0", "5000"])


def test_earn_back_by_the_quarter_that_follows():
    # The first quarter is missed and costs 3 × 5,000 of its fees; the second is reached, and the months within it stand for nothing.
    clause = SPEED | {"window": "quarter", "bands": [{"to": "expected", "credit": "5%"}], "earn_back": {"following": 3}}
    ledger = bp.settle(deal({"speed": clause}), counts_table("speed", [(70, 100)] * 3 + [(95, 100)] * 3))
    assert ledger.amounts("credit") == cents(["0", "0", "15000", "0", "0", "0"])
    assert ledger.amounts("earn_back") == cents(["0", "0", "0", "0", "0", "15000"])


@pytest.mark.parametrize(("part", "said"), [
    ({"termination": {"misses": 2, "in_months": 3}}, "2 missed quarters do not fit into 3 months"),
    ({"repeat": {"misses": 3, "in_months": 6, "multiplier": 2}}, "3 missed quarters do not fit into 6 months"),
    ({"earn_back": {"following": 2}}, "2 months are no whole quarters"),
])  # fmt: skip
def test_what_no_quarter_can_do_is_refused(part, said):
    with pytest.raises(BposimError, match=said):
        deal({"speed": SPEED | {"window": "quarter", "bands": [{"to": "expected", "credit": "5%"}]} | part})


def test_a_years_earn_back_takes_the_clauses_own_rules():
    clause = SPEED | {"bands": [{"to": "expected", "credit": 1000}], "earn_back": {"over": "year"}}
    # Eleven months without data that count as missed: the one at 90 % does not bring back 11,000.
    dark = table(speed=[np.nan] * 11 + [0.9])
    assert bp.settle(deal({"speed": clause | {"missing": "miss"}}), dark).total("earn_back") == 0
    # A year of which the source holds two months has no figure.
    late = deal({"speed": clause}, start="2025-03-01")
    assert bp.settle(late, table(speed=[0.7, 0.95])).total("earn_back") == 0
    # 79.6 % reads as 80 % where the clause rounds to whole points; a mean of exactly 80 % is not above 80 %.
    near = table(speed=[0.7] + [0.8047] * 11)
    assert bp.settle(deal({"speed": clause | {"rounding": "1%"}}), near).total("earn_back") == 1000
    assert bp.settle(deal({"speed": clause}), near).total("earn_back") == 0
    level = counts_table("speed", [(70, 100), (90, 100)] + [(80, 100)] * 10)
    for comparison, back in ((">=", 1000), (">", 0)):
        ledger = bp.settle(
            deal({"speed": clause | {"comparison": comparison, "bands": [{"to": "75%", "credit": 1000}]}}), level
        )
        assert ledger.total("earn_back") == back
