"""Invoices worked by hand: every pricing model, minimums, surcharges, margin."""

from __future__ import annotations

from decimal import Decimal

import pandas as pd
import pytest
from contract_worlds import SPEED, cents, days, deal, months, table

import bposim as bp
from bposim.errors import BposimError, DataQualityWarning, ParameterError

GOOD = table(speed=[0.85, 0.85, 0.85])


def invoices(pricing, quantities=None, frame=GOOD, **top):
    return bp.settle(deal({"speed": SPEED}, pricing=pricing, **top), frame, quantities=quantities).amounts("invoice")


def test_per_hour_with_overtime_and_a_minimum():
    # 25.00 an hour, 50 % more above 160 h, at least 120 h. 100 h: 120 × 25 = 3,000. 150 h: 3,750.
    # 170 h: 170 × 25 + 10 × 12.50 = 4,375.
    model = {
        "per_hour": {
            "rate": 25,
            "hours": "paid",
            "overtime": {"above": 160, "premium": "50%"},
            "minimum": {"quantity": 120},
        }
    }
    assert invoices(model, {"paid_hours": [100, 150, 170]}) == cents(["3000", "3750", "4375"])


def test_minimum_commitment_of_the_forecast():
    # 90 % of 1,000 locked hours = 900: 850 worked bill 900 × 20 = 18,000; 950 bill 19,000; 900 bill 18,000.
    model = {"per_hour": {"rate": 20, "hours": "paid", "minimum": {"share": "90%"}}}
    given = {"paid_hours": [850, 950, 900], "forecast_paid_hours": 1000}
    assert invoices(model, given) == cents(["18000", "19000", "18000"])
    with pytest.raises(ParameterError, match="needs forecast_paid_hours: paid agent-hours, as forecast or locked"):
        invoices(model, {"paid_hours": [850, 950, 900]})


def test_per_fte():
    # 12 FTE × 2,800 = 33,600. By hours: 1,720 / 160 = 10.75 FTE × 2,800 = 30,100. Told: 10.5 × 2,800 = 29,400.
    assert invoices({"per_fte": {"rate": 2800, "fte": 12}}) == cents(["33600"] * 3)
    by_hours = {"per_fte": {"rate": 2800, "hours": "paid", "hours_per_fte": 160}}
    assert invoices(by_hours, {"paid_hours": 1720}) == cents(["30100"] * 3)
    assert invoices({"per_fte": {"rate": 2800}}, {"fte": 10.5}) == cents(["29400"] * 3)


def test_per_minute():
    # 61,234.5 minutes × 0.6225 = 38,118.476… → 38,118.48.
    assert invoices({"per_minute": {"rate": 0.6225}}, {"handle_minutes": 61234.5}) == cents(["38118.48"] * 3)


def test_per_transaction_by_tiers():
    # 8,000 × 6.40 = 51,200; the next 3,000 × 5.90 = 17,700; beyond 5.50.
    # 7,000: 44,800. 9,500: 51,200 + 1,500 × 5.90 = 60,050. 12,000: 51,200 + 17,700 + 1,000 × 5.50 = 74,400.
    model = {
        "per_transaction": {"tiers": [{"up_to": 8000, "rate": 6.40}, {"up_to": 11000, "rate": 5.90}, {"rate": 5.50}]}
    }
    assert invoices(model, {"answered": [7000, 9500, 12000]}) == cents(["44800", "60050", "74400"])


def test_per_resolution():
    # 72 % of 10,000 answered = 7,200 × 8.00 = 57,600; counted: 7,350 × 8.00 = 58,800.
    assert invoices({"per_resolution": {"rate": 8, "share_of_answered": "72%"}}, {"answered": 10000}) == cents(
        ["57600"] * 3
    )
    assert invoices({"per_resolution": {"rate": 8}}, {"resolved": 7350}) == cents(["58800"] * 3)


def test_anchored_with_extra_and_missing_volume():
    # Base 120,000 for 40,000 ± 10 %: 36,000 to 44,000. 45,500: + 1,500 × 2.40 = 123,600. 44,000: 120,000.
    # 33,000: − 3,000 × 1.90 = 114,300.
    model = {"anchored": {"base": 120000, "baseline": 40000, "dead_band": "10%", "arc": 2.40, "rrc": 1.90}}
    assert invoices(model, {"offered": [45500, 44000, 33000]}) == cents(["123600", "120000", "114300"])


def test_outcome_against_the_counterfactual():
    # 30 % of 500,000 − 420,000 = 24,000; 500,000 − 300,000 would be 60,000, at most 50,000; nothing saved: 0.
    model = {"outcome": {"share": "30%", "counterfactual": 500000, "at_most": 50000}}
    assert invoices(model, {"actual": [420000, 300000, 510000]}) == cents(["24000", "50000", "0"])
    told = {"outcome": {"share": "30%"}}
    assert invoices(told, {"actual": 90, "counterfactual": [100, 190, 80]}) == cents(["3", "30", "0"])


def test_hybrid_minimum_billing_and_surcharges():
    # 10,000 fixed + 2.00 a contact: 5,000 → 20,000; 1,000 → 12,000, lifted to 15,000. Training 4,000 in months 1 and 2 comes on top
    # and is no part of the fee: a credit of 10 % is of 15,000, not of 19,000.
    pricing = [{"fixed": 10000}, {"per_transaction": {"rate": 2, "count": "offered"}}]
    contract = deal(
        {"speed": SPEED | {"bands": [{"to": "expected", "credit": "10%"}]}}, pricing=pricing, minimum_billing=15000,
        surcharges=[{"name": "training", "amount": 4000, "months": [1, 2]}],
    )  # fmt: skip
    ledger = bp.settle(contract, table(speed=[0.85, 0.70, 0.85]), quantities={"offered": [5000, 1000, 1000]})
    assert ledger.amounts("fee") == cents(["20000", "15000", "15000"])
    assert ledger.amounts("credit") == cents(["0", "1500", "0"])
    assert ledger.amounts("invoice") == cents(["24000", "17500", "15000"])
    assert set(ledger.parts) == {"fixed", "per_transaction", "minimum_billing"}
    assert ledger.parts["minimum_billing"][0].tolist() == [0, 300000, 300000]


def test_margin_is_invoice_less_cost():
    # 100,000 − 10,000 (credit) − 82,500.25 = 7,499.75.
    contract = deal({"speed": SPEED | {"bands": [{"to": "expected", "credit": "10%"}]}})
    ledger = bp.settle(contract, table(speed=[0.7]), costs=82500.25)
    assert ledger.amounts("margin") == [Decimal("7499.75")]
    unknown = bp.settle(contract, table(speed=[0.7]))
    assert unknown.frame["margin"].isna().all()
    with pytest.raises(ParameterError, match=r"margin is not known.*costs="):
        unknown.total("margin")


def test_quantities_are_counted_from_the_source():
    # February: 28 days of 100 offered, 10 abandoned: 2,520 answered × 300 s = 12,600 minutes × 0.50 = 6,300;
    # + 2,800 offered × 1.00 = 2,800.
    source = days("2026-02-01", [100] * 28, [85] * 28, abandoned=[10] * 28)
    pricing = [{"per_minute": {"rate": 0.50}}, {"per_transaction": {"rate": 1, "count": "offered"}}]
    ledger = bp.settle(deal({"speed": SPEED}, pricing=pricing), source)
    assert ledger.amounts("invoice") == cents(["9100"])
    given = bp.settle(deal({"speed": SPEED}, pricing=pricing), source, quantities={"offered": 1000})
    assert given.amounts("invoice") == cents(["7300"])  # 6,300 + 1,000: what is given replaces what was counted


def test_what_is_billed_is_counted_whole_or_not_at_all():
    # One day of February is not known: nothing is invoiced for the other 27 as if they were all.
    offered = [100.0] * 28
    offered[9] = float("nan")
    source = days("2026-02-01", offered, [85] * 28)
    contract = deal({"speed": SPEED}, pricing={"per_transaction": {"rate": 1, "count": "offered"}})
    with (
        pytest.warns(DataQualityWarning),
        pytest.raises(ParameterError, match=r"per_transaction cannot be computed in 1 of 1 months"),
    ):
        bp.settle(contract, source)
    with pytest.warns(DataQualityWarning):
        ledger = bp.settle(contract, source, quantities={"offered": 2800})
    assert ledger.amounts("invoice") == cents(["2800"])
    assert ledger.lines[["numerator", "denominator"]].iloc[0].tolist() == [
        27 * 85,
        2700,
    ]  # day 10 counts on neither side


def test_quantities_by_month_and_what_is_wrong_with_them():
    hourly = {"per_hour": {"rate": 10}}
    frame = pd.DataFrame({"month": months(3), "paid_hours": [1, 2, 3]})
    assert invoices(hourly, frame) == cents(["10", "20", "30"])
    with pytest.raises(ParameterError, match="needs paid_hours: paid agent-hours"):
        invoices(hourly)
    with pytest.raises(ParameterError, match="paid_hours is not known there"):
        invoices(hourly, frame.iloc[:2])
    with pytest.raises(ParameterError, match="has 2 values for 3 months"):
        invoices(hourly, {"paid_hours": [1, 2]})


def test_half_a_cent_goes_up():
    # 2.5 % of 100.20 = 2.505 → 2.51.
    contract = deal({"speed": SPEED | {"bands": [{"to": "expected", "credit": "2.5%"}]}}, pricing={"fixed": "100.20"})
    assert bp.settle(contract, table(speed=[0.7])).amounts("credit") == cents(["2.51"])


def test_a_minimum_of_the_forecast_is_in_the_unit_that_is_billed():
    # 160 hours make an FTE: 12,800 worked are 80, 90 % of 16,000 foreseen are 90; 90 × 3,000. Half of the answered are resolved:
    # 900 and 90 % of 1,000 foreseen make 450 either way; × 10.
    fte = {"rate": 3000, "hours": "paid", "hours_per_fte": 160, "minimum": {"share": "90%"}}
    ledger = bp.settle(
        deal({"speed": SPEED}, pricing=[{"per_fte": fte}]),
        table(speed=[0.9], paid_hours=[12800], forecast_paid_hours=[16000]),
    )
    assert ledger.total("fee") == Decimal("270000.00")
    resolved = {"rate": 10, "share_of_answered": "50%", "minimum": {"share": "90%"}}
    ledger = bp.settle(
        deal({"speed": SPEED}, pricing=[{"per_resolution": resolved}]),
        table(speed=[0.9], answered=[800], forecast_answered=[1000]),
    )
    assert ledger.total("fee") == Decimal("4500.00")
    with pytest.raises(BposimError, match="a fixed fte has no forecast"):
        deal({"speed": SPEED}, pricing=[{"per_fte": {"rate": 3000, "fte": 10, "minimum": {"share": "90%"}}}])


def test_a_series_among_the_quantities_keeps_its_months():
    hourly = deal({"speed": SPEED}, pricing=[{"per_hour": {"rate": 10, "hours": "paid"}}])
    hours = pd.Series([100, 200], index=["2026-02", "2026-01"])
    ledger = bp.settle(hourly, table(speed=[0.9, 0.9]), quantities={"paid_hours": hours})
    assert ledger.amounts("fee") == cents(["2000", "1000"])
    for index in ([0, 1], [3, 7]):  # numbers tell no month
        by_place = bp.settle(
            hourly, table(speed=[0.9, 0.9]), quantities={"paid_hours": pd.Series([100, 200], index=index)}
        )
        assert by_place.amounts("fee") == cents(["1000", "2000"])
