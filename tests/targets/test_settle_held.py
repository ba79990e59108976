"""Months held in part: left out with a note, or settled as parts whose fee is that of whole ones."""

from __future__ import annotations

from contract_worlds import SPEED, days, deal

import bposim as bp

FLAT = deal({"speed": SPEED})


def world(start, length, **second):
    teams = {"team": {"skills": ["calls"], "heads": 3, "cost_per_hour": 20}}
    if second:
        teams["help"] = {"skills": ["calls"], "heads": 1} | second
    return bp.load_scenario({
        "name": "parts", "start": start, "days": length, "currency": "EUR", "opening_hours": {"mon-sun": "09:00-11:00"},
        "contact_types": {"calls": {"arrivals": {"rate": "30/h"}, "handle_time": {"exponential": {"mean": "3min"}}}},
        "agent_groups": teams})  # fmt: skip


def played(*args, **second):
    return bp.simulate(world(*args, **second), replications=2, seed=1, progress=False, within="20s")


def test_cut_months_are_left_out_with_a_note():
    # 5 January to 3 May 2026: 27 of 31 days of January and 3 of 31 of May.
    ledger = bp.settle(FLAT, days("2026-01-05", [100.0] * 119, 85.0))
    assert ledger.months.strftime("%Y-%m").tolist() == ["2026-02", "2026-03", "2026-04"]
    said = "Left out, since the source holds a part of them only: 2026-01 (27 of 31 days), 2026-05 (3 of 31 days)."
    assert said in ledger.notes and said in repr(ledger)
    assert bp.settle(FLAT, days("2026-02-01", [100.0] * 28, 85.0)).notes == ()


def test_a_whole_fee_against_a_part():
    # 14 of 31 days: 17/31 of 100,000 are for days that nobody worked.
    ledger = bp.settle(FLAT, played("2026-03-01", 14))
    assert ledger.amounts("fee") == [100_000] and ledger.notes == (
        "The source holds no whole month: the ledger is of the parts it holds (14 of 31 days of 2026-03).",
        "The fee of a whole month (100,000.00 EUR) stands against the wages of 14 of 31 days of 2026-03: the margin is overstated "
        "by about 54,839 EUR. Simulate whole months.",
    )
    given = bp.settle(FLAT, played("2026-03-01", 14), costs=60_000)
    assert given.notes[1].endswith("14 of 31 days of 2026-03; 54,839 EUR of it are for the days not held.")
    two = bp.settle(FLAT, played("2026-03-25", 14))  # 7 of 31 and 7 of 30: 77,419 + 76,667
    assert (
        "7 of 31 days of 2026-03, 7 of 30 days of 2026-04: the margin is overstated by about 154,086 EUR"
        in two.notes[1]
    )
    counted = deal({"speed": SPEED}, pricing={"per_transaction": {"rate": 4}})
    assert len(bp.settle(counted, played("2026-03-01", 14)).notes) == 1
    tiers = {"per_transaction": {"tiers": [{"up_to": 100, "rate": 4}, {"rate": 3}]}}
    assert "Baselines, tiers" in bp.settle(deal({"speed": SPEED}, pricing=tiers), played("2026-03-01", 14)).notes[1]


def test_a_part_is_told_before_a_signature_too():
    said = bp.assess_contract(world("2026-03-01", 14), FLAT, replications=20, progress=False)
    assert any("overstated by about 54,839 EUR" in n for n in said.notes)


def test_groups_that_work_for_nothing_are_told():
    note = "Agent groups without cost_per_hour are taken as free, and the margin is too high by their wages: help."
    month = ("2026-02-01", 28)
    assert any(n.startswith(note) for n in bp.settle(FLAT, played(*month, cost_per_hour=0)).notes)
    assert bp.settle(FLAT, played(*month, cost_per_hour=0), costs=60_000).notes == ()
    assert bp.settle(FLAT, played(*month, cost_per_hour=15)).notes == ()
