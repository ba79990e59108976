"""Settlement on histories and simulations: against counts made without the package's metrics, and per replication."""

from __future__ import annotations

import time
import warnings
from decimal import Decimal
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, cents, counts_table, days, deal

import bposim as bp
from bposim import datasets
from bposim.errors import DataQualityWarning, ParameterError
from bposim.targets.core import Windows
from bposim.targets.settle import settle_windows

ROOT = Path(__file__).parents[2]
VANCOUVER = ROOT.parent / "shared" / "data" / "vancouver311" / "contact_centre_metrics_2009_2023.csv"
BANDS = [
    {"to": "70%", "credit": "10%"},
    {"from": "70%", "to": "75%", "credit": "5%"},
    {"from": "75%", "to": "80%", "credit": "2%"},
]


def band_credit(value):
    """Return the credit of a month on 100,000 by the bands above, worked out again."""
    return (
        Decimal("0")
        if value >= 0.80
        else Decimal("2000")
        if value >= 0.75
        else Decimal("5000")
        if value >= 0.70
        else Decimal("10000")
    )


# History -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)  # it has six spoiled rows on purpose
        return datasets.load("voice")


def test_what_a_history_would_have_cost(history):
    log = history.contacts
    month = log["arrived"].dt.tz_localize(None).dt.to_period("M").astype(str)
    queued = log["outcome"].isin(["answered", "abandoned", "disconnected", "open"])
    good = (log["outcome"] == "answered") & (log["wait_s"] <= 20)
    top, bottom = good.groupby(month).sum(), queued.groupby(month).sum()
    lost = (log["outcome"] == "abandoned").groupby(month).sum()
    ledger = bp.settle(deal({"speed": SPEED | {"bands": BANDS}, "lost": {
        "metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude",
        "per_contact": {"credit": 2}}}), history)  # fmt: skip
    whole = ["2026-02", "2026-03", "2026-04"]  # from 5 January to 3 May
    assert ledger.months.strftime("%Y-%m").tolist() == whole
    speed = ledger.lines[ledger.lines["clause"] == "speed"]
    assert (
        speed["numerator"].tolist() == top[whole].tolist() and speed["denominator"].tolist() == bottom[whole].tolist()
    )
    assert ledger.amounts("credit", "speed") == cents([band_credit(top[m] / bottom[m]) for m in whole])
    # 2 for every whole abandoned contact beyond 5 % of the queued
    beyond = [max(int(np.floor(lost[m] - 0.05 * bottom[m] + 1e-9)), 0) for m in whole]
    assert ledger.amounts("credit", "lost") == cents([2 * b for b in beyond])
    assert ledger.total("invoice") == 300000 - ledger.total("credit")
    assert ledger.frame["contract_month"].tolist() == [1, 2, 3]


def test_scope_and_days(history):
    log = history.contacts
    mine = log[
        (log["contact_type"] == "sales") & log["outcome"].isin(["answered", "abandoned", "disconnected", "open"])
    ]
    day = mine["arrived"].dt.tz_localize(None).dt.normalize()
    ratio = ((mine["outcome"] == "answered") & (mine["wait_s"] <= 20)).groupby(day).mean()
    ratio = ratio[(ratio.index >= "2026-02-01") & (ratio.index < "2026-05-01")]
    clause = SPEED | {"scope": {"contact_types": "sales"}, "window": "day", "bands": [{"to": "expected", "credit": 75}]}
    ledger = bp.settle(deal({"speed": clause}), history)
    missed = (ratio < 0.80).groupby(ratio.index.to_period("M")).sum()
    assert missed.sum() > 0
    assert ledger.amounts("credit") == cents([75 * int(k) for k in missed])
    with pytest.raises(
        ParameterError, match=r"about contact type 'sale', which the source lacks. Did you mean 'sales'"
    ):
        bp.settle(deal({"speed": clause | {"scope": {"contact_types": "sale"}}}), history)


def test_percentile_and_longest_wait(history):
    log = history.contacts
    queued = log[log["outcome"].isin(["answered", "abandoned", "disconnected", "open"])]
    month = queued["arrived"].dt.tz_localize(None).dt.to_period("M").astype(str)
    whole = ["2026-02", "2026-03", "2026-04"]
    p95, longest = queued.groupby(month)["wait_s"].quantile(0.95)[whole], queued.groupby(month)["wait_s"].max()[whole]
    plain = {"window": "month", "missing": "exclude"}
    ledger = bp.settle(deal({
        "p95": plain | {"metric": "wait_p95", "levels": {"expected": "60s"}, "linear": {"per": "1s", "credit": 10}},
        "longest": plain | {"metric": "max_wait", "levels": {"expected": "10min"}, "bands": [{"from": "expected", "credit": 1}]},
    }), history)  # fmt: skip
    lines = ledger.lines.set_index("clause")
    assert lines.loc["p95", "value"].to_numpy() == pytest.approx(p95.to_numpy())
    assert lines.loc["longest", "value"].to_numpy() == pytest.approx(longest.to_numpy())
    assert (lines.loc["p95", "credit"] > 0).any()


def test_a_corridor_around_a_forecast_of_the_same_days(history):
    # Foreseen: what came on the same weekday on average. Out: days beyond ± 15 %.
    log = history.contacts
    day = log["arrived"].dt.tz_localize(None).dt.normalize()
    offered = log.groupby(day).size()
    usual = offered.groupby(offered.index.day_of_week).transform("mean")
    foreseen = pd.DataFrame(
        {"interval_start": usual.index.tz_localize("America/New_York"), "contacts": usual.to_numpy()}
    )
    out = offered.index[(offered > 1.15 * usual) | (offered < 0.85 * usual)]
    queued = log["outcome"].isin(["answered", "abandoned", "disconnected", "open"])
    month = day.dt.to_period("M").astype(str)
    left = (queued & day.isin(out)).groupby(month).sum()
    corridor = {"volume": {"by": "day", "above": "115%", "below": "85%"}}
    ledger = bp.settle(deal({"speed": SPEED | {"relief": [corridor]}}), history, forecast=foreseen)
    whole = ["2026-02", "2026-03", "2026-04"]
    assert ledger.lines["excluded"].tolist() == left[whole].tolist() and left[whole].sum() > 0
    good = (queued & ~day.isin(out)).groupby(month).sum()
    assert ledger.lines["denominator"].tolist() == good[whole].tolist()


def test_audits_stand_beside_a_history(history):
    clause = {
        "metric": "accuracy",
        "window": "month",
        "levels": {"expected": "97%"},
        "bands": [{"to": "expected", "credit": 600}],
    }
    contract = deal({"speed": SPEED, "accuracy": clause})
    told = counts_table("accuracy", [(390, 400), (380, 400), (388, 400)], start="2026-02")
    ledger = bp.settle(contract, history, audits=told)
    assert ledger.amounts("credit", "accuracy") == cents(["0", "600", "0"])  # 97.5, 95 and 97 %
    with pytest.raises(ParameterError, match=r"'accuracy' has no data in 3 of 3.*give audits="):
        bp.settle(contract, history)


def test_a_month_that_the_history_lacks_has_no_data():
    # Daily counts of January and March; February is not there.
    frame = days("2026-01-01", [100] * 90, [70] * 90).table
    keep = (frame.starts.month != 2).tolist()
    from bposim.metrics import Counts

    contacts = {k: v[:, keep] for k, v in frame.contacts.items()}
    source = days("2026-01-01", [1], [1])
    source.table = Counts(frame.starts[keep], frame.hours[keep], frame.types, contacts, days=frame.days)
    ledger = bp.settle(deal({"speed": SPEED | {"bands": BANDS}}), source)
    assert ledger.lines["status"].tolist() == ["missed", "no data", "missed"]
    assert ledger.amounts("credit") == cents(["5000", "0", "5000"])


def test_days_added_up_first_give_the_same_counts(history):
    """A clause that looks at nothing shorter than a day is measured on days; hours of the whole day make it look at intervals."""
    relief = {"relief": [{"handle_time": {"baseline": "340s", "by": "day", "above": "105%"}}]}
    contract = deal({"quick": SPEED | relief, "slow": SPEED | relief | {"hours": {"daily": "00:00-24:00"}},
                     "most": {"metric": "max_wait", "levels": {"expected": "1s"}, "window": "month", "missing": "exclude"},
                     "most2": {"metric": "max_wait", "levels": {"expected": "1s"}, "window": "month", "missing": "exclude",
                               "hours": {"daily": "00:00-24:00"}}})  # fmt: skip
    lines = bp.settle(contract, history).lines.set_index("clause")
    columns = ["value", "numerator", "denominator", "excluded", "status"]
    assert lines.loc["quick", columns].to_numpy().tolist() == lines.loc["slow", columns].to_numpy().tolist()
    assert lines.loc["quick", "excluded"].sum() > 0
    assert lines.loc["most", "value"].tolist() == lines.loc["most2", "value"].tolist()


def test_term_replay_and_start(history):
    clause = {"speed": SPEED | {"glide": {1: "50%", 3: "99%"}, "bands": [{"to": "expected", "credit": 100}]}}
    later = bp.settle(deal(clause, start="2027-01-01", months=12), history)
    assert later.amounts("credit") == cents(["0", "0", "100"])
    assert "It is replayed: 2026-02 counts as its first month" in later.notes[0]
    own = bp.settle(deal(clause, start="2026-03-01", months=12), history)
    assert own.frame["contract_month"].tolist() == [1, 2] and "1 months of the source lie outside" in own.notes[0]
    said = bp.settle(deal(clause), history, start="2026-01")
    assert said.frame["contract_month"].tolist() == [2, 3, 4] and said.amounts("credit") == cents(["0", "100", "100"])
    with pytest.raises(ParameterError, match="none of them a month of the contract"):
        bp.settle(deal(clause), history, start="2030-01")


def test_sources_that_cannot_be_settled():
    counts = bp.History.from_counts(pd.Series([5.0], index=pd.to_datetime(["2026-03-02"])), freq="D")
    with pytest.raises(ParameterError, match="holds counts of contacts and nothing of what became of them"):
        bp.settle(deal({"speed": SPEED}), counts)
    with pytest.raises(ParameterError, match="source parameter of settle"):
        bp.settle(deal({"speed": SPEED}), 3)


@pytest.mark.skipif(
    not VANCOUVER.exists(), reason="the Vancouver 3-1-1 data are not here (../shared/data/vancouver311)"
)
def test_vancouver_under_a_contract_it_never_had():
    """75 % within 60 s a month at 250,000, on the city's twelve years; counts from the published file itself."""
    history = bp.read_history(VANCOUVER, profile="vancouver311", tz="America/Vancouver")
    raw = pd.read_csv(VANCOUVER, sep=";", encoding="utf-8-sig", parse_dates=["Date"]).dropna()
    raw = raw[(raw["Date"] >= "2012-01-01") & (raw["Date"] < "2024-01-01")]
    queued = raw["CallsHandled"] + raw["CallsAbandoned"]
    month = raw["Date"].dt.to_period("M")
    lost = raw["CallsAbandoned"].groupby(month).sum() / queued.groupby(month).sum()
    contract = bp.load_contract({
        "currency": "CAD", "start": "2012-01-01", "months": 144, "pricing": {"fixed": 250_000},
        "cap": {"share": "10%", "per": "month"}, "clauses": {"lost": {
            "metric": "abandonment", "window": "month", "levels": {"expected": "8%"}, "missing": "exclude",
            "linear": {"per": "1%", "credit": "2%", "steps": "started"}}}})  # fmt: skip
    ledger = bp.settle(contract, history)
    assert len(ledger.months) == 144
    value = ledger.lines.set_index("month")["value"]
    assert np.abs(value.to_numpy() - lost.to_numpy()).max() < 1e-9
    points = np.ceil(np.maximum(lost.to_numpy() - 0.08, 0) * 100 - 1e-7)
    due = np.minimum(points * 5000, 25000)
    assert ledger.amounts("credit") == cents([str(x) for x in due])
    assert ledger.total("credit") == Decimal(str(due.sum())).quantize(Decimal("0.01")) > 0


# Simulation ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def runs():
    scenario = bp.load_scenario({
        "name": "two-months", "start": "2026-02-01", "days": 59, "currency": "EUR", "opening_hours": {"mon-fri": "09:00-11:00"},
        "day_factor": {"gamma": {"cv": 0.2}},
        "contact_types": {"calls": {"arrivals": {"rate": "40/h"}, "handle_time": {"exponential": {"mean": "3min"}},
                                    "patience": {"exponential": {"mean": "3min"}}}},
        "agent_groups": {"team": {"skills": ["calls"], "heads": 3, "cost_per_hour": 20, "shrinkage": 0.25}}})  # fmt: skip
    return bp.simulate(scenario, replications=40, seed=3, progress=False, within="20s")


CONTRACT = {
    "speed": SPEED | {"levels": {"expected": "70%"}, "bands": [{"to": "60%", "credit": "5%"}, {"from": "60%", "to": "70%", "credit": "2%"}]},
    "lost": {"metric": "abandonment", "window": "month", "levels": {"expected": "10%"}, "missing": "exclude", "per_contact": {"credit": 3}},
}  # fmt: skip
HOURLY = {"pricing": {"per_hour": {"rate": 30, "hours": "scheduled"}}}


def test_every_replication_has_its_own_ledger(runs):
    ledger = bp.settle(deal(CONTRACT, **HOURLY), runs)
    assert ledger.replications == 40 and ledger.frame.shape[0] == 80
    for k in (0, 17, 39):
        log = runs.contacts(k)
        month = log["arrived"].dt.tz_localize(None).dt.to_period("M").astype(str)
        good = (log["outcome"] == "answered") & (log["wait_s"] <= 20)
        lost = (log["outcome"] == "abandoned").groupby(month).sum()
        n = log.groupby(month).size()
        value = good.groupby(month).sum() / n
        for m, name in enumerate(["2026-02", "2026-03"]):
            fee = Decimal(30 * 3 * 2 * {0: 20, 1: 22}[m])  # 3 heads × 2 h × 20 working days in February, 22 in March
            assert ledger.amounts("fee", replication=k)[m] == fee
            share = Decimal("0.05") if value[name] < 0.6 else Decimal("0.02") if value[name] < 0.7 else Decimal("0")
            assert ledger.amounts("credit", "speed", replication=k)[m] == fee * share
            assert ledger.amounts("credit", "lost", replication=k)[m] == 3 * max(
                int(lost[name] - 0.1 * n[name] + 1e-9), 0
            )
        assert ledger.amounts("cost", replication=k) == cents([20 * 3 * 2 * 20, 20 * 3 * 2 * 22])
        margin = [
            i - c
            for i, c in zip(
                ledger.amounts("invoice", replication=k), ledger.amounts("cost", replication=k), strict=True
            )
        ]
        assert ledger.amounts("margin", replication=k) == margin


def test_summary_of_a_simulation(runs):
    ledger = bp.settle(deal(CONTRACT, **HOURLY), runs)
    table = ledger.summary().set_index(["item", "clause"])
    totals = ledger.frame.groupby("replication")["credit"].sum()
    row = table.loc[("credit", "")]
    assert row["mean"] == pytest.approx(totals.mean())
    half = 2.0227 * totals.std() / np.sqrt(40)  # Student, 39 degrees of freedom
    assert (row["ci_low"], row["ci_high"]) == pytest.approx((totals.mean() - half, totals.mean() + half), rel=1e-3)
    assert row["p05"] == pytest.approx(totals.quantile(0.05)) and row["p95"] == pytest.approx(totals.quantile(0.95))
    missed = (
        ledger.lines[ledger.lines["clause"] == "speed"]
        .groupby("replication")["status"]
        .apply(lambda s: (s == "missed").sum())
    )
    assert table.loc[("months_missed", "speed"), "mean"] == pytest.approx(missed.mean())
    assert "40 replications" in repr(ledger) and "<table" in ledger._repr_html_()
    assert ledger.plot().get_ylabel() == "EUR a month"


def test_corridor_of_a_simulation_lies_around_its_own_volumes(runs):
    # Expected: 80 contacts a day. Days above 110 % = 88 are left out, replication by replication.
    corridor = SPEED | {"relief": [{"volume": {"by": "day", "above": "110%"}}]}
    ledger = bp.settle(deal({"speed": corridor}), runs)
    for k in (0, 5):
        log = runs.contacts(k)
        day = log["arrived"].dt.tz_localize(None).dt.normalize()
        n = log.groupby(day).size()
        out = n[n > 88]
        mine = ledger.lines[ledger.lines["replication"] == k]
        assert mine["excluded"].sum() == out.sum() > 0
        assert mine["denominator"].sum() == n.sum() - out.sum()


def test_currencies_are_not_mixed(runs):
    with pytest.raises(ParameterError, match=r"are in EUR, the contract is in USD: no margin.*costs= in USD"):
        bp.settle(deal(CONTRACT, currency="USD", **HOURLY), runs)
    assert bp.settle(deal(CONTRACT, currency="USD", **HOURLY), runs, costs=100).frame["cost"].eq(100).all()


def test_a_thousand_replications_of_a_year_in_a_second():
    rng = np.random.default_rng(5)
    names = [f"c{k}" for k in range(5)]
    clause = SPEED | {"bands": BANDS, "weight": "20%", "repeat": {"misses": 3, "in_months": 6, "multiplier": 2},
                      "earn_back": {"following": 3}, "termination": {"misses": 4, "in_months": 6}}  # fmt: skip
    contract = deal({n: clause for n in names}, at_risk="12%", allocation="150%")
    months = pd.date_range("2026-01-01", periods=12, freq="MS")
    bottom = rng.poisson(20000, (1000, 12)).astype(float)
    windows = {}
    for n in names:
        top = rng.binomial(bottom.astype(int), rng.normal(0.8, 0.03, (1000, 12)).clip(0, 1)).astype(float)
        flat = np.zeros_like(top)
        windows[n] = Windows(top / bottom, top, bottom, bottom, flat, flat + 1, flat > 0, np.arange(12), months)
    begin = time.perf_counter()
    ledger = settle_windows(contract, windows, months, np.arange(1, 13), {}, batch=np.arange(1000))
    assert ledger.cents("invoice").shape == (1000, 12)
    assert time.perf_counter() - begin < 2.0
    alone = {n: Windows(*(np.asarray(getattr(w, f))[7:8] for f in ("value", "top", "bottom", "sample", "excluded", "factor", "waived")),
                        w.month, w.starts) for n, w in windows.items()}  # fmt: skip
    one = settle_windows(contract, alone, months, np.arange(1, 13), {}, batch=np.arange(1))
    assert one.cents("invoice")[0].tolist() == ledger.cents("invoice")[7].tolist()


# Hours of the contract -----------------------------------------------------------------------------------------------


def halves(month="2026-02"):
    """Every half hour of a month: 40 contacts, all in time from 08:00 to 20:00, half of them in the night."""
    starts = pd.date_range(month, periods=48 * pd.Period(month).days_in_month, freq="30min")
    good = np.where((starts.hour >= 8) & (starts.hour < 20), 40, 20)
    return days(starts[0], [40] * len(starts), good, freq="30min", hours=0.5)


def test_a_clause_is_settled_within_the_contracts_hours_unless_it_has_its_own():
    clauses = {"speed": SPEED, "night": SPEED | {"hours": {"daily": "00:00-08:00"}}}
    for top, speed in (
        ({}, 0.75),
        ({"hours": {"daily": "08:00-20:00"}}, 1.0),
        ({"hours": {"daily": "08:00-22:00"}}, 13 / 14),
    ):
        found = bp.settle(deal(clauses, **top), halves())
        told = found.windows.set_index("clause")["value"]
        assert told["speed"] == pytest.approx(speed)
        assert told["night"] == pytest.approx(0.5)


def test_closed_days_of_the_contract_are_no_clauses_days():
    daily = days("2026-02-01", [100] * 28, [70 if d == 4 else 90 for d in range(28)])
    for closed, value in (([], 0.9 - 0.2 / 28), (["2026-02-05"], 0.9)):
        found = bp.settle(deal({"speed": SPEED}, closed=closed), daily)
        assert found.windows["value"].iloc[0] == pytest.approx(value)


def test_counts_by_day_are_not_cut_by_the_contracts_hours_and_half_hours_must_fit_them():
    daily = days("2026-02-01", [100] * 28, [90] * 28)
    found = bp.settle(deal({"speed": SPEED}, hours={"daily": "08:00-20:00"}), daily)
    assert found.windows["value"].iloc[0] == pytest.approx(0.9)
    with pytest.raises(
        ParameterError, match="the contract has hours, and the counts' interval of 2026-02-01 08:00 lies partly"
    ):
        bp.settle(deal({"speed": SPEED}, hours={"daily": "08:15-20:00"}), halves())


def test_weeks_and_quarters_that_the_source_cuts_are_named():
    speed = SPEED | {"bands": [{"to": "expected", "credit": 1000}]}
    year = days("2026-02-01", [100] * 150, 70)  # until 30 June
    found = bp.settle(deal({"speed": speed | {"window": "quarter"}}), year)
    assert [n for n in found.notes if "quarter from 2026-01-01 is not judged" in n] and found.total("credit") == 1000
    told = bp.settle(
        deal({"speed": speed | {"window": "quarter"}}), counts_table("speed", [(70, 100)] * 5, start="2026-02")
    )
    assert [n for n in told.notes if "quarter from 2026-01-01 is not judged" in n] and told.total("credit") == 1000
    for source in (counts_table("speed", [(70, 100)] * 5), days("2026-01-01", [100] * 151, 70)):
        late = bp.settle(deal({"speed": speed | {"window": "quarter"}}), source)
        assert [n for n in late.notes if "quarter from 2026-04-01 is not judged: the source" in n]
    begun = deal({"speed": speed | {"window": "quarter"}}, start="2026-02-01")
    cut = bp.settle(begun, counts_table("speed", [(70, 100)] * 6))
    assert [n for n in cut.notes if "quarter from 2026-01-01 is not judged: the term holds a part" in n]
    later = bp.settle(
        deal({"speed": speed | {"window": "week"}}, start="2026-03-01"), days("2026-01-01", [100] * 120, 70)
    )
    assert [n for n in later.notes if "week from 2026-04-27 is not judged" in n]
    weeks = bp.settle(deal({"speed": speed | {"window": "week"}}), days("2026-01-01", [100] * 31, 70))
    assert [n for n in weeks.notes if "weeks from 2025-12-29, 2026-01-26 are not judged" in n]
    whole = bp.settle(deal({"speed": speed | {"window": "quarter"}}), days("2026-01-01", [100] * 181, 70))
    assert not [n for n in whole.notes if "not judged" in n]
