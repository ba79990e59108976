"""Sampling plans against published plans and sums of binomial coefficients; accuracy clauses against the settlement itself."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bposim as bp
from bposim.errors import ParameterError
from bposim.targets.sampling import LARGE, sampling_plan


def binomial(n, c, p):
    """Sum the chances of 0 to c errors of n, with no library's help."""
    return sum(math.comb(n, k) * p**k * (1 - p) ** (n - k) for k in range(c + 1))


def hypergeometric(lot, errors, n, c):
    ways = sum(math.comb(errors, k) * math.comb(lot - errors, n - k) for k in range(c + 1))
    return float(Fraction(ways, math.comb(lot, n)))


def clause(**more):
    words = {
        "metric": "accuracy",
        "window": "month",
        "levels": {"expected": "98%"},
        "sample": {"size": 100},
        "missing": "exclude",
    }
    return {"name": "audits", "pricing": {"fixed": 1000}, "clauses": {"accuracy": words | more}}


@pytest.mark.parametrize(
    ("n", "c", "said"),
    [
        (100, 2, {0.98: 0.68, 0.985: 0.81, 0.99: 0.92, 0.975: 0.54}),
        (400, 8, {0.98: 0.59, 0.985: 0.85, 0.99: 0.98, 0.975: 0.33}),
    ],
)
def test_the_lottery_of_small_samples(n, c, said):
    """At least 98 % of 100, and of 400, audited items correct: stated chances."""
    curve = bp.audit_curve(clause(), n=n)
    assert curve.c == c
    assert {a: round(curve.at(a), 2) for a in said} == said


def test_a_published_operating_curve():
    """Montgomery, Introduction to Statistical Quality Control: n = 89, c = 2."""
    curve = bp.operating_curve(89, 2)
    shown = {0.005: 0.9897, 0.01: 0.9397, 0.02: 0.7366, 0.03: 0.4985, 0.04: 0.3042, 0.05: 0.1721, 0.06: 0.0919, 0.07: 0.0468,
             0.08: 0.0230, 0.09: 0.0109}  # fmt: skip
    assert {p: round(curve.at(1 - p), 4) for p in shown} == shown


@pytest.mark.parametrize(("c", "n"), [(0, 59), (1, 93), (2, 124), (3, 153)])
def test_the_smallest_samples_that_show_95_percent_at_95_percent(c, n):
    """Wilks (1941): sizes of samples with at most c misses."""
    good = 1 - 1e-9 if c == 0 else {1: 0.995, 2: 0.992, 3: 0.990}[c]
    plan = bp.sampling_plan(accept_at=good, reject_at=0.95, producer_risk=0.08, consumer_risk=0.05)
    assert (plan.n, plan.c) == (n, c)


def test_published_plans():
    """Kiermeier (2008), Journal of Statistical Software 26(6): 80, 7 for these two points; without putting back 46, 1 of 100."""
    plan = bp.sampling_plan(accept_at=0.95, reject_at=0.85, producer_risk=0.05, consumer_risk=0.075)
    assert (plan.n, plan.c) == (80, 7)
    plan = bp.sampling_plan(accept_at=0.99, reject_at=0.92, producer_risk=0.05, consumer_risk=0.05, lot=100)
    assert (plan.n, plan.c) == (46, 1)


@settings(max_examples=25, deadline=None)
@given(
    good=st.sampled_from((0.995, 0.99, 0.98, 0.95)), times=st.sampled_from((3.0, 4.0, 6.0)),
    producer=st.sampled_from((0.01, 0.05, 0.1)), consumer=st.sampled_from((0.05, 0.1, 0.2)),
)  # fmt: skip
def test_no_smaller_sample_keeps_both_risks(good, times, producer, consumer):
    bad = 1 - (1 - good) * times
    plan = bp.sampling_plan(accept_at=good, reject_at=bad, producer_risk=producer, consumer_risk=consumer)
    assert plan.producer_risk == pytest.approx(1 - binomial(plan.n, plan.c, 1 - good), abs=1e-9)
    assert plan.consumer_risk == pytest.approx(binomial(plan.n, plan.c, 1 - bad), abs=1e-9)
    assert plan.producer_risk <= producer
    assert plan.consumer_risk <= consumer
    for n in {plan.n - 1, plan.n - 2, plan.n // 2} - {0}:
        for c in range(min(n, plan.c + 2)):
            assert binomial(n, c, 1 - bad) > consumer or 1 - binomial(n, c, 1 - good) > producer


@pytest.mark.parametrize(
    ("lot", "good", "bad"), [(20, 0.99, 0.985), (60, 0.97, 0.85), (200, 0.99, 0.95), (500, 0.98, 0.94)]
)
def test_no_smaller_sample_of_a_lot_keeps_both_risks(lot, good, bad):
    plan = bp.sampling_plan(accept_at=good, reject_at=bad, lot=lot)
    most, least = math.floor(lot * (1 - good) + 1e-9), math.ceil(lot * (1 - bad) - 1e-9)

    def keeps(n, c):
        return 1 - hypergeometric(lot, most, n, c) <= 0.05 and hypergeometric(lot, least, n, c) <= 0.10

    assert keeps(plan.n, plan.c)
    assert not any(keeps(n, c) for n in range(1, plan.n) for c in range(min(n, most) + 1))
    free = bp.sampling_plan(accept_at=good, reject_at=bad)
    assert plan.n <= free.n
    assert plan.curve.at(good) == pytest.approx(hypergeometric(lot, round(lot * (1 - good)), plan.n, plan.c))


def test_a_large_lot_is_as_good_as_none():
    curve, lot = bp.operating_curve(100, 2), bp.operating_curve(100, 2, lot=1_000_000)
    assert [curve.at(a) for a in (0.96, 0.98, 0.99)] == pytest.approx([lot.at(a) for a in (0.96, 0.98, 0.99)], abs=1e-4)


@pytest.mark.parametrize(
    ("more", "n"),
    [
        ({}, 100), ({}, 99), ({"comparison": ">"}, 100), ({"rounding": "1%"}, 150), ({"rounding": "0.5%", "rounding_mode": "down"}, 150),
        ({"rounding": "1%", "rounding_mode": "up"}, 60), ({"glide": {1: "95%", 3: "98%"}}, 80),
    ],
)  # fmt: skip
def test_a_clause_is_met_with_the_errors_that_the_settlement_forgives(more, n):
    """Every possible number of errors is settled; those without a miss are the acceptance number and below."""
    words = clause(**more, bands=[{"to": "expected", "credit": 1}])
    forgiven = []
    for errors in range(n + 1):
        table = pd.DataFrame({"month": ["2026-01"], "clause": "accuracy", "numerator": n - errors, "denominator": n})
        if (bp.settle(words, table).lines["status"] == "met").all():
            forgiven.append(errors)
    curve = bp.audit_curve(words, n=n)
    assert forgiven == list(range(curve.c + 1))
    assert curve.at(0.98) == pytest.approx(binomial(n, curve.c, 0.02))


def test_a_plan_as_a_clause_accepts_what_the_plan_accepts():
    for good, bad in ((0.99, 0.96), (0.98, 0.95), (0.995, 0.985)):
        plan = bp.sampling_plan(accept_at=good, reject_at=bad)
        deal = bp.load_contract({"clauses": {"accuracy": plan.clause()}})
        curve = bp.audit_curve(deal)
        assert (curve.n, curve.c) == (plan.n, plan.c)
        assert "sample-absent" not in deal.lint().ids


def test_samples_by_other_stretches_than_the_window():
    quarter = bp.audit_curve(clause(window="quarter", sample={"size": 60, "per": "month"}))
    assert (quarter.n, quarter.notes) == (180, ())
    month = bp.audit_curve(clause(sample={"size": 30, "per": "week"}))
    assert month.n == 130
    assert "130.4" in month.notes[0] or "130.5" in month.notes[0]


def test_the_curve_tells_its_points():
    curve = bp.audit_curve("scenarios/contracts/bank_line.yaml", "accuracy", level="minimum")
    assert curve.at(curve.indifference) == pytest.approx(0.5)
    assert curve.frame["accept"].is_monotonic_increasing
    assert curve.frame["accept"].iloc[-1] == 1
    assert curve.frame["accept"].iloc[0] == pytest.approx(0.001)
    assert "at most 24 errors" in repr(curve)
    assert len(curve.plot().lines) == 3
    plan = bp.sampling_plan(accept_at=0.99, reject_at=0.95, lot=400)
    assert f"Audit {plan.n} of each 400" in repr(plan)
    assert plan.summary().loc[0, "n"] == plan.n
    assert np.isclose(plan.curve.summary()["accept"].iloc[0], 1 - plan.producer_risk)
    assert plan.plot().get_title()


def test_everything_wrong_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        bp.sampling_plan(accept_at=99, reject_at=-0.1, producer_risk=0, consumer_risk=True, lot=0)
    assert len(caught.value.problems) == 5
    assert "Write 0.99." in str(caught.value)
    for wrong, said in (
        ({"accept_at": 0.95, "reject_at": 0.95}, "below accept_at"), ({"producer_risk": 0.6, "consumer_risk": 0.5}, "coin"),
        ({"reject_at": 0.98999}, "further apart"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=said):
            bp.sampling_plan(**{"accept_at": 0.99, "reject_at": 0.95} | wrong)
    with pytest.raises(ParameterError) as caught:
        bp.operating_curve(10, 11, lot=5, accuracies=[2], marks={"good": 99})
    assert len(caught.value.problems) == 4
    with pytest.raises(ParameterError) as caught:
        bp.audit_curve(clause(), "speed", n=0, level="best", month=0)
    assert len(caught.value.problems) == 4
    for words, said in (
        (clause(sample=None), "does not say how many"),
        (clause(levels={"expected": "100%"}, comparison=">"), "no sample of 100"),
    ):  # fmt: skip
        with pytest.raises(ParameterError, match=said):
            bp.audit_curve(words)
    with pytest.raises(ParameterError, match="no sample of 50 is judged"):
        bp.audit_curve(clause(minimum_sample=90), n=50)
    with pytest.raises(ParameterError, match="no stretch level"):
        bp.audit_curve(clause(), level="stretch")


def test_shares_are_written_as_elsewhere():
    plan, words = (
        sampling_plan(accept_at=0.99, reject_at=0.95),
        sampling_plan(accept_at="99%", reject_at="95 %", producer_risk="5%"),
    )
    assert (plan.n, plan.c) == (words.n, words.c)
    with pytest.raises(ParameterError) as caught:
        sampling_plan(accept_at="99 per cent", reject_at=1.2, consumer_risk="10")
    said = caught.value.problems
    assert len(said) == 3 and "Write 0.012" not in str(caught.value)


def test_a_sample_that_nobody_audits_is_said_to_be_one():
    assert not sampling_plan(accept_at=0.99, reject_at=0.95).notes
    plan = sampling_plan(accept_at=0.991, reject_at=0.99)
    assert plan.n > LARGE and "only 0.1 points apart" in plan.notes[0] and "Note: " in repr(plan)


def test_a_plan_is_a_clause_that_loads():
    plan = bp.sampling_plan(accept_at=0.99, reject_at=0.96)
    for per in ("month", "quarter"):
        bp.load_contract({"name": "x", "clauses": {"accuracy": plan.clause(per=per)}})
    with pytest.raises(ParameterError, match="month or quarter"):
        plan.clause(per="week")
