"""A contract before it is signed: chances and money against the ledger's own frames, month by month."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError


def world(heads=9, days=91):
    return bp.load_scenario({
        "name": "line", "start": "2026-04-01", "days": days, "opening_hours": {"mon-fri": "09:00-13:00"},
        "contact_types": {"a": {
            "arrivals": {"rate": "100/h"}, "day_factor": {"gamma": {"cv": 0.15}},
            "handle_time": {"exponential": {"mean": "4min"}}, "patience": {"exponential": {"mean": "3min"}},
        }},
        "agent_groups": {"g": {"skills": ["a"], "heads": heads, "cost_per_hour": 20}},
    })  # fmt: skip


CONTRACT = {
    "name": "two clauses", "months": 12, "pricing": [{"per_transaction": {"rate": 2, "count": "offered"}}],
    "at_risk": "12%", "cap": {"share": "5%", "per": "month"}, "termination": {"misses": 2, "in_months": 3},
    "clauses": {
        "speed": {"metric": "service_level", "counting": "offered", "within": "20s", "window": "month", "missing": "exclude",
                  "levels": {"minimum": "77%", "expected": "80%"}, "weight": "60%",
                  "bands": [{"to": "minimum", "credit": "100%"}, {"from": "minimum", "to": "expected", "credit": "50%"}]},
        "days": {"metric": "abandonment", "window": "day", "missing": "exclude", "levels": {"expected": "12%"},
                 "bands": [{"from": "expected", "credit": 500}], "weight": "40%"},
        "accuracy": {"metric": "accuracy", "window": "month", "levels": {"expected": "95%"}, "missing": "exclude",
                     "bands": [{"to": "expected", "credit": 100}]},
    },
}  # fmt: skip


@pytest.fixture(scope="module")
def deal():
    return bp.assess_contract(world(), CONTRACT, replications=120, seed=3, progress=False)


def test_chances_are_those_of_the_ledger(deal):
    windows = deal.ledger.windows
    windows["bad"] = (
        np.where(windows["clause"] == "speed", windows["value"] < 0.80, windows["value"] > 0.12)
        & windows["value"].notna()
    )
    bad = windows[windows["clause"] != "accuracy"].groupby(["clause", "replication", "month"])["bad"].any()
    clauses = deal.clauses.set_index("clause")
    for name in ("speed", "days"):
        kept = ~bad[name].unstack()
        assert clauses.loc[name, "probability"] == pytest.approx(kept.to_numpy().mean())
        assert clauses.loc[name, "term_probability"] == pytest.approx(kept.all(axis=1).mean())
    both = ~bad["speed"].unstack() & ~bad["days"].unstack()
    assert deal.probability == pytest.approx(both.to_numpy().mean())
    assert deal.term_probability == pytest.approx(both.all(axis=1).mean())
    assert clauses.loc["days", "without"] == pytest.approx(clauses.loc["speed", "probability"])
    rows = deal.by_month.set_index(["clause", "month"])["probability"]
    assert rows["all"].to_numpy() == pytest.approx(both.mean(axis=0).to_numpy())
    assert deal.probability_low < deal.probability < deal.probability_high
    assert deal.probability > deal.product + 0.01, (
        "clauses that share their luck are kept together more often than by chance"
    )
    assert 0.02 < deal.probability < 0.98, "the world is one in which something can go wrong"


def test_missed_is_the_minimum_and_kept_the_expected_level(deal):
    speed = deal.clauses.set_index("clause").loc["speed"]
    value = deal.ledger.judged["speed"].windows.value
    assert speed["missed"] == pytest.approx((value < 0.77).mean())
    assert speed["probability"] == pytest.approx((value >= 0.80).mean())


def test_a_clause_that_nothing_is_known_of_has_no_probability(deal):
    row = deal.clauses.set_index("clause").loc["accuracy"]
    assert row["judged"] == 0
    assert np.isnan(row["probability"])
    assert any("accuracy" in n and "no month" in n for n in deal.notes)
    assert any("3 of the contract's 12 months" in n for n in deal.notes)
    audits = pd.DataFrame(
        {
            "month": ["2026-04", "2026-05", "2026-06"],
            "clause": "accuracy",
            "numerator": [96, 90, 97],
            "denominator": 100,
        }
    )
    known = bp.assess_contract(world(), CONTRACT, audits=audits, replications=20, seed=3, progress=False)
    assert known.clauses.set_index("clause").loc["accuracy", "probability"] == pytest.approx(2 / 3)


def test_money_is_the_ledgers(deal):
    frame = deal.ledger.frame
    term = frame.groupby("replication")["credit"].sum()
    row = deal.credits.set_index("item").loc["credit, term"]
    assert row["mean"] == pytest.approx(term.mean())
    assert row[["p05", "p50", "p95"]].to_numpy(float) == pytest.approx(term.quantile([0.05, 0.5, 0.95]).to_numpy())
    assert row["none"] == pytest.approx((term == 0).mean())
    assert row["ci_low"] < term.mean() < row["ci_high"]
    chances = deal.chances.set_index("item")["probability"]
    capped = frame["credit_before_cap"] > frame["credit"]
    assert capped.mean() > 0.02
    assert chances["cap hit in a month"] == pytest.approx(capped.mean())
    assert chances["cap hit in the term"] == pytest.approx(capped.groupby(frame["replication"]).any().mean())
    assert chances["client may terminate"] == pytest.approx(frame.groupby("replication")["termination"].any().mean())
    steps = deal.waterfall().set_index("item")["amount"]
    assert steps[["fee", "surcharges", "bonus", "credit", "earn_back"]].sum() == pytest.approx(steps["invoice"])
    assert steps["invoice"] + steps["cost"] == pytest.approx(steps["margin"])


def test_pictures_show_the_figures(deal):
    ax = deal.plot()
    mean = deal.credits.set_index("item").loc["credit, term", "mean"]
    assert any(f"{mean:,.0f}" in t.get_text() for t in ax.get_legend().get_texts())
    assert sum(p.get_height() for p in ax.patches) == pytest.approx(1)
    bars = deal.plot_waterfall()
    steps = deal.waterfall().set_index("item")["amount"]
    assert f"{steps['margin']:,.0f}" in [t.get_text() for t in bars.texts]
    assert "\n  speed:" in repr(deal) and "\n  accuracy:" not in repr(deal), "a clause that no month judges has no line"


def test_more_agents_pay_fewer_credits(deal):
    """On the same seed: one agent more; no pathwise law with abandonment, so means are compared beyond their intervals."""
    better = bp.assess_contract(world(11), CONTRACT, replications=120, seed=3, progress=False)
    a, b = (d.credits.set_index("item").loc["credit, term"] for d in (deal, better))
    assert b["ci_high"] < a["ci_low"]
    assert better.probability_low > deal.probability_high


def test_a_contract_about_other_contacts_is_refused():
    wrong = {**CONTRACT, "clauses": {"x": {**CONTRACT["clauses"]["speed"], "scope": {"contact_types": ["b"]}}}}
    with pytest.raises(ParameterError, match=r"clause 'x'.*'b'.*Known: a"):
        bp.assess_contract(world(), wrong, replications=5, progress=False)
    with pytest.raises(ParameterError, match="assess_contract"):
        bp.assess_target(world(), bp.load_contract(CONTRACT), replications=5)
