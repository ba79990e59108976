"""What goes with a recommendation: prices of tightening, slippage, glide path, relief, credits, review."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from test_assess_contract import CONTRACT, world

import bposim as bp
from bposim.errors import OptimiseError, ParameterError
from bposim.targets import price_targets
from bposim.targets import prices as module
from bposim.targets.probability import window_values

DAY = bp.ServiceLevel(0.80, within="20s", window="day")
ACCESS = bp.AtMost("abandonment", 0.05, window="day")


@pytest.fixture(scope="module")
def advice():
    return bp.recommend_targets(
        world(10, 28).replace({"start": "2026-02-01"}),
        replications=120,
        levels=5,
        contract=CONTRACT,
        seed=2,
        progress=False,
    )


def test_every_plan_meets_the_same_contacts(monkeypatch):
    monkeypatch.setattr(module, "BATCH", 25)
    found = price_targets(world(10, 7), [DAY, ACCESS], levels=3, replications=60, seed=5, progress=False)
    assert found.replications == 60
    for k, level in enumerate(found.levels):
        runs = bp.simulate(world(10, 7), staffing=level.staffing, replications=60, seed=5, within="20s", progress=False)
        for target in (DAY, ACCESS):
            values = window_values(runs, target)["value"]
            row = found.frame[found.frame["target"] == str(target)].iloc[k]
            assert row["mean"] == pytest.approx(values.mean()), "batches are those of one long simulation"
            assert row["probability"] == pytest.approx(values.map(target.met).mean())
            rank = (
                np.sort(values)[int(0.05 * (len(values) - 1))]
                if target.sense == ">="
                else np.sort(values)[int(np.ceil(0.95 * (len(values) - 1)))]
            )
            assert row["attainable"] == pytest.approx(rank)


def test_tightening_is_read_off_the_plans():
    found = price_targets(world(10, 14), [DAY], steps=[0.05], levels=8, replications=100, seed=5, progress=False)
    row, f = found.tighten.iloc[0], found.frame
    assert row["tighter"] == pytest.approx(0.85)
    assert row["more_cost"] == pytest.approx(20 * row["more_hours"])
    assert row["more_share"] == pytest.approx(row["more_hours"] / row["hours_now"])
    assert row["cost_per_step"] == pytest.approx(row["more_cost"] / 5)
    reach = np.interp([row["hours_now"], row["hours"]], f["agent_hours"], np.maximum.accumulate(f["attainable"]))
    assert reach == pytest.approx([0.80, 0.85])
    assert f"{row['more_cost']:,.0f} EUR more" in row["said"]
    beyond = price_targets(
        world(10, 14), [DAY.replace(level=0.999)], steps=[0.001], levels=2, replications=20, progress=False
    ).tighten.iloc[0]
    assert "not attainable" in beyond["said"] or "beyond" in beyond["said"]
    assert np.isnan(beyond["more_cost"])


def test_the_advice_carries_what_a_signature_needs(advice):
    f = advice.frame
    high = f["sense"] == ">="
    assert (f.loc[high, "start_level"] <= f.loc[high, "level"]).all()
    assert (f.loc[~high, "start_level"] >= f.loc[~high, "level"]).all()
    assert f["slippage"].to_numpy() == pytest.approx((f["level"] - f["start_level"]).abs().to_numpy())
    assert f["misses_a_year"].to_numpy() == pytest.approx(12 * (1 - f["probability"]).to_numpy())
    for row in f.itertuples():
        path = advice.glide[advice.glide["target"] == row.target].set_index("month")["level"]
        assert list(path.index) == [1, 2, 3, 4]
        assert path[1] == row.start_level
        assert path[4] == row.level
        assert path.is_monotonic_increasing if row.sense == ">=" else path.is_monotonic_decreasing
    assert advice.review == date(2026, 2 + 3 + 6, 1)
    assert len(advice.prices.tighten) == len(f)
    assert advice.prices.tighten["target"].tolist() == f["target"].tolist()
    assert len(advice.prices.plot().get_legend().get_texts()) == len(f)
    relief = advice.relief.set_index("target")
    assert "occupancy" not in " ".join(relief.index)
    assert relief["gain"].to_numpy() == pytest.approx((relief["probability"] - relief["without"]).to_numpy())
    assert relief["without"].to_numpy() == pytest.approx(
        f.set_index("target").loc[relief.index, "probability"].to_numpy()
    )
    assert relief["left_out"].between(0.1, 0.5).all()


def test_credits_are_those_of_the_settlement(advice):
    ledger = bp.settle(CONTRACT, advice.runs)
    assert advice.credits.set_index("item").loc["credit, month", "mean"] == pytest.approx(ledger.frame["credit"].mean())
    bare = bp.recommend_targets(world(10, 28), window="week", replications=20, progress=False)
    assert bare.prices is None
    assert bare.credits.empty


def test_further_replications_are_those_of_a_longer_run():
    short = bp.simulate(world(10, 3), replications=7, seed=3, within="20s", progress=False)
    long = bp.simulate(world(10, 3), replications=12, seed=3, within="20s", progress=False)
    tail = long.windows("service_level", "day", within="20s").query("replication >= 7")["value"].to_numpy()
    assert (short.further(5).windows("service_level", "day", within="20s")["value"].to_numpy() == tail).all()
    grid = world(10, 3).grid.starts
    frame = pd.DataFrame({"sample": np.repeat(np.arange(40), len(grid)), "contact_type": "a", "interval_start": np.tile(grid, 40),
                          "contacts": np.random.default_rng(1).uniform(30, 60, 40 * len(grid))})  # fmt: skip
    runs = [
        bp.simulate(world(10, 3), volumes=frame, replications=n, seed=3, within="20s", progress=False) for n in (30, 40)
    ]
    assert (
        runs[0].further(10).windows("offered", "all")["value"].to_numpy()
        == runs[1].windows("offered", "all")["value"].to_numpy()[30:]
    ).all()


def test_plans_meet_the_same_redials():
    """Spare rows kept from one plan for the next are those that a simulation of its own would draw."""
    again = world(8, 3).replace(
        {"contact_types.a.redial": {"after_abandonment": 0.6, "delay": {"exponential": {"mean": "5min"}}}}
    )
    first = bp.simulate(again, replications=12, seed=3, within="20s", progress=False)
    for heads in (5, 7, 10, 6):
        plan = {"g": heads}
        alone = bp.simulate(again, staffing=plan, replications=12, seed=3, within="20s", progress=False)
        assert first.restaffed(plan).intervals.equals(alone.intervals)


def test_what_is_refused():
    with pytest.raises(ParameterError, match="levels"):
        price_targets(world(), [DAY], levels=1)
    with pytest.raises(ParameterError, match="targets"):
        price_targets(world(), [])
    with pytest.raises(ParameterError, match="ramp"):
        bp.recommend_targets(world(), ramp=-1)


def test_glide_path_names_every_month(advice):
    said = [t.get_text() for t in advice.plot_glide().texts]
    assert len(said) == len(advice.glide)
    first = advice.targets[0]
    assert said[3] == f"{'≥' if first.sense == '>=' else '≤'} {100 * first.level:.4g} %"
    assert advice.plot_glide().get_xticklabels()[-1].get_text() == "from month 4"


def test_shifts_that_cover_no_plan_are_told():
    short = world(10, 7).replace({"shifts": {"one": {"start": "09:00", "paid": "1h", "max_heads": 0}}})
    with pytest.raises(OptimiseError, match=r"cannot cover the agents that a service level of 50 % takes"):
        price_targets(short, [DAY], levels=2, replications=20, seed=1, progress=False)


def test_plans_know_how_many_spare_rows_the_others_needed():
    again = {"after_abandonment": 0.9, "delay": {"exponential": {"mean": "5min"}}}
    kind = {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "5min"}},
            "patience": {"exponential": {"mean": "60s"}}, "redial": again}  # fmt: skip
    line = bp.load_scenario({"opening_hours": {"daily": "09:00-17:00"}, "contact_types": {"a": kind},
                             "agent_groups": {"g": {"skills": ["a"], "heads": 6}}})  # fmt: skip
    first = bp.simulate(line, replications=3, seed=1, progress=False)
    lean = first.restaffed({"g": 1})
    grown = lean._recipe.source.chunks
    assert grown.max() > 2, "the lean plan must need more, or this test shows nothing"
    later = first.restaffed({"g": 2})
    assert later._recipe.source.chunks.tolist() == grown.tolist()
    alone = bp.simulate(line, staffing={"g": 1}, replications=3, seed=1, progress=False)
    pd.testing.assert_frame_equal(lean.intervals, alone.intervals)
