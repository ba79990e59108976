"""No invented money: what is not known is refused, and what may be paid has an end."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, cents, counts_table, days, deal, table

import bposim as bp
from bposim.errors import ParameterError
from bposim.targets.terms import round_cents

EACH = {"speed": SPEED | {"per_contact": {"credit": 2}}}


def test_a_credit_for_each_contact_needs_counts():
    with pytest.raises(ParameterError, match=r"'speed'.*per_contact.*2026-02.*numerator and denominator"):
        bp.settle(deal(EACH), table(speed=[np.nan, 0.70]))
    # 80 % of 1,000 are 800; 700 in time: 100 missed beyond the share, 2 each.
    assert bp.settle(deal(EACH), counts_table("speed", [(700, 1000)])).amounts("credit") == cents(["200"])


def test_a_month_without_data_that_counts_as_met_misses_no_contact():
    clause = {"speed": EACH["speed"] | {"missing": "met"}}
    frame = counts_table("speed", [(700, 1000), (np.nan, np.nan)])
    assert bp.settle(deal(clause), frame).amounts("credit") == cents(["200", "0"])


@pytest.mark.parametrize("amount", [np.nan, np.inf])
def test_cents_are_numbers(amount):
    with pytest.raises(ParameterError, match="1 of 2 amounts are no numbers"):
        round_cents(np.array([1.0, amount]))


def test_a_minimum_sample_needs_counts():
    clause = {"speed": SPEED | {"minimum_sample": 200, "bands": [{"to": "expected", "credit": 1000}]}}
    with pytest.raises(ParameterError, match=r"'speed'.*sample of 200.*numerator and denominator"):
        bp.settle(deal(clause), table(speed=[0.5]))
    # 199 contacts are too few, 200 are not.
    ledger = bp.settle(deal(clause), counts_table("speed", [(100, 199), (100, 200)]))
    assert ledger.amounts("credit") == cents(["0", "1000"])


def test_bonuses_of_short_windows_come_to_the_whole_fee_at_most():
    # 31 good days × 10 % = 310 % of 100,000: the whole is 100,000.
    clause = SPEED | {"window": "day", "bands": [{"from": "90%", "bonus": "10%"}]}
    ledger = bp.settle(deal({"speed": clause}), days("2026-01-01", [100] * 31, [95] * 31))
    assert ledger.amounts("bonus") == cents(["100000"])


@pytest.mark.parametrize(
    ("clause", "pricing", "key"),
    [
        ({"linear": {"per": "1%", "credit": "1%", "foo": 3}}, {"fixed": 1}, "foo"),
        ({}, {"fixed": 1, "foo": 2}, "foo"),
        ({}, {"per_hour": {"rat": 2}}, "rat"),
    ],
)
def test_misspelt_keys_of_a_shorthand_are_told(clause, pricing, key):
    with pytest.raises(bp.errors.ScenarioError, match=f"unknown key '.*{key}'"):
        bp.load_contract({"pricing": pricing, "clauses": {"speed": SPEED | clause}})


def test_a_share_reached_once_rounded_costs_nothing_for_each_contact():
    # 946 of 1,000 rounds to 95 %: reached. 94.4 % rounds to 94 %: 6 contacts beyond the 950 at 2 each.
    clause = EACH["speed"] | {"levels": {"expected": "95%"}, "rounding": "1%"}
    frame = counts_table("speed", [(946, 1000), (944, 1000)])
    assert bp.settle(deal({"speed": clause}), frame).amounts("credit") == cents(["0", "12"])


def test_a_minimum_of_the_forecast_needs_the_months_forecast():
    price = {"per_transaction": {"rate": 1, "minimum": {"share": "90%"}}}
    ahead = pd.DataFrame(
        {
            "interval_start": pd.date_range("2026-03-01", periods=31, tz="UTC"),
            "contacts": 100.0,
            "contact_type": "calls",
        }
    )
    with pytest.raises(ParameterError, match="in 1 of 1 months: forecast_answered is not known there"):
        bp.settle(deal({"speed": SPEED}, pricing=price), days("2026-01-01", [100] * 31, [90] * 31), forecast=ahead)
