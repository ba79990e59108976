"""Laws of settlement, each with the condition under which it holds."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, counts_table, days, deal
from hypothesis import given, settings
from hypothesis import strategies as st

import bposim as bp

BANDS = [
    {"to": "70%", "credit": "10%"},
    {"from": "70%", "to": "expected", "credit": "4%"},
    {"from": "92%", "bonus": "2%"},
]
shares = st.floats(0, 1, allow_nan=False)
month = st.tuples(st.integers(0, 5000), shares).map(lambda p: (int(p[0] * p[1]), p[0]))
history = st.lists(month, min_size=1, max_size=15)
percents = st.integers(1, 30).map(lambda p: f"{p}%")


#: Each example settles several times.
FEW = settings(max_examples=30)


def rich(**more):
    """A clause with everything that looks back or forth in time."""
    return (
        SPEED
        | {"bands": BANDS, "repeat": {"misses": 2, "in_months": 3, "multiplier": 2}, "earn_back": {"following": 2}}
        | more
    )


@FEW
@given(history, percents, st.sampled_from(["month", "quarter", "year", "term"]))
def test_credits_never_exceed_the_cap(pairs, share, per):
    ledger = bp.settle(deal({"a": rich(), "b": rich()}, cap={"share": share, "per": per}),
                       pd.concat([counts_table("a", pairs), counts_table("b", pairs[::-1])]))  # fmt: skip
    label = {"month": ledger.months, "quarter": ledger.months.to_period("Q"), "year": (ledger.contract_month - 1) // 12,
             "term": np.zeros(len(pairs), int)}[per]  # fmt: skip
    frame = ledger.frame.groupby(np.asarray(label))[["fee", "credit"]].sum()
    assert (frame["credit"] <= frame["fee"] * float(share[:-1]) / 100 + 1e-9).all()
    assert (ledger.cents("credit") <= ledger.cents("credit_before_cap")).all() and (ledger.cents("credit") >= 0).all()
    assert sum(ledger.total("credit", n) for n in "ab") == ledger.total("credit")
    assert ledger.total("earn_back") <= ledger.total("credit")


@FEW
@given(history)
def test_the_ledger_adds_up(pairs):
    ledger = bp.settle(
        deal({"a": rich()}, surcharges=[{"name": "ramp", "amount": 12.34, "months": [1, 3]}]), counts_table("a", pairs)
    )
    f = ledger.frame
    invoice = f["fee"] + f["surcharges"] - f["credit"] + f["bonus"] + f["earn_back"]
    assert np.allclose(f["invoice"], invoice, atol=1e-6)
    lines = ledger.lines.groupby("month")[["credit", "bonus", "earn_back"]].sum()
    assert np.allclose(lines.to_numpy(), f[["credit", "bonus", "earn_back"]].to_numpy(), atol=1e-6)
    known = ledger.lines["denominator"] > 0
    assert np.allclose(ledger.lines["value"][known], (ledger.lines["numerator"] / ledger.lines["denominator"])[known])


@FEW
@given(history, st.integers(50, 99), st.integers(0, 20))
def test_a_lower_target_never_raises_the_credit(pairs, expected, down):
    """Edges move with the target: everything below it costs, linear or by bands, and misses never multiply more."""
    table = counts_table("a", pairs)
    for consequence in ({"bands": [{"to": "expected", "credit": 500}]}, {"linear": {"per": "1%", "credit": 100}},
                        {"per_contact": {"credit": 2}}):  # fmt: skip
        repeat = {"repeat": {"misses": 2, "in_months": 4, "multiplier": 3}}
        high, low = (
            bp.settle(deal({"a": SPEED | consequence | repeat | {"levels": {"expected": f"{level}%"}}}), table).cents(
                "credit"
            )
            for level in (expected, max(expected - down, 1))
        )
        assert (low <= high).all()


@FEW
@given(history)
def test_a_glide_path_that_starts_lower_never_costs_more(pairs):
    flat = bp.settle(deal({"a": SPEED | {"bands": BANDS}}), counts_table("a", pairs))
    glide = {1: "70%", 5: "75%", 9: "80%"}
    eased = bp.settle(deal({"a": SPEED | {"bands": BANDS, "glide": glide}}), counts_table("a", pairs))
    assert (eased.cents("credit") <= flat.cents("credit")).all()


days_of = st.lists(st.tuples(st.integers(0, 300), shares), min_size=31, max_size=31)
EDGES = ("101%", "110%", "125%", "150%", "250%")


def credits_by_corridor(world, effect, by):
    """Return the credit under ever less relief: the corridor's upper edge rises."""
    offered = [n for n, _ in world]
    source = days("2026-01-01", offered, [int(n * s) for n, s in world])
    foreseen = pd.DataFrame({"interval_start": source.table.starts, "contact_type": "calls", "contacts": 100.0})
    found = []
    for edge in EDGES:
        relief = {"volume": {"above": edge, "by": by}, "effect": effect}
        found.append(
            int(
                bp.settle(
                    deal({"a": SPEED | {"bands": BANDS[:2], "relief": [relief]}}), source, forecast=foreseen
                ).cents("credit")[0, 0]
            )
        )
    return found


@FEW
@given(
    days_of,
    st.sampled_from(
        [("waive", "window"), ("scale", "window"), ("exclude", "window"), ("cap", "window"), ("cap", "day")]
    ),
)
def test_more_relief_never_costs_more(world, kind):
    """Whole windows waived, scaled or left out, and contacts capped: always. (Days left out: only where they are the bad ones.)"""
    found = credits_by_corridor(world, *kind)
    assert found == sorted(found)


@FEW
@given(st.lists(st.integers(50, 250), min_size=31, max_size=31), st.integers(60, 95))
def test_leaving_busy_days_out_helps_where_busy_days_are_the_bad_ones(offered, base):
    """Condition: the more contacts a day has, the lower its share in time."""
    world = [(n, max(base - 0.3 * (n - 50), 0) / 100) for n in offered]
    source = days("2026-01-01", offered, [n * s for n, s in world])
    foreseen = pd.DataFrame({"interval_start": source.table.starts, "contact_type": "calls", "contacts": 100.0})
    values = []
    for edge in EDGES:
        relief = {"volume": {"above": edge, "by": "day"}, "effect": "exclude"}
        line = bp.settle(deal({"a": SPEED | {"relief": [relief]}}), source, forecast=foreseen).lines.iloc[0]
        values.append(np.inf if line["status"] == "relieved" else line["value"])
    assert all(a >= b - 1e-12 for a, b in pairwise(values))


def test_leaving_busy_days_out_can_hurt():
    """Where the busy days were the good ones the same relief lowers the share: 2,650 of 3,400 against 2,250 of 3,000."""
    offered, within = [100] * 30 + [400], [75] * 30 + [400]
    source = days("2026-01-01", offered, within)
    foreseen = pd.DataFrame({"interval_start": source.table.starts, "contact_type": "calls", "contacts": 100.0})
    relief = [{"volume": {"above": "110%", "by": "day"}}]
    eased = bp.settle(deal({"a": SPEED | {"relief": relief}}), source, forecast=foreseen).lines.iloc[0]
    plain = bp.settle(deal({"a": SPEED}), source).lines.iloc[0]
    assert (eased["value"], plain["value"]) == (0.75, pytest.approx(2650 / 3400))


@FEW
@given(st.lists(history.filter(lambda h: len(h) >= 3).map(lambda h: h[:3]), min_size=2, max_size=6))
def test_replications_do_not_touch_each_other(worlds):
    """A replication's money is the same alone or among others, in any order."""
    offered = np.zeros((len(worlds), 90))
    within = np.zeros((len(worlds), 90))
    for r, world in enumerate(worlds):
        for m, (top, bottom) in enumerate(world):
            offered[r, (0, 31, 59)[m]], within[r, (0, 31, 59)[m]] = bottom, top
    contract = deal({"a": rich()}, cap={"share": "9%", "per": "quarter"})
    together = bp.settle(contract, days("2026-01-01", offered, within)).cents("invoice")
    backwards = bp.settle(contract, days("2026-01-01", offered[::-1], within[::-1])).cents("invoice")
    assert (together == backwards[::-1]).all()
    for r in range(len(worlds)):
        alone = bp.settle(contract, days("2026-01-01", offered[r], within[r])).cents("invoice")
        assert alone[0].tolist() == together[r].tolist()
        by_table = bp.settle(contract, counts_table("a", worlds[r])).cents("invoice")
        assert by_table[0].tolist() == together[r].tolist()
