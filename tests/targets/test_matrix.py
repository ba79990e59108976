"""The rule × window matrix: against windows counted one by one, published window laws, and the stated illustration."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

import bposim as bp
from bposim.errors import ParameterError
from bposim.targets.probability import window_values

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
import targets as bench

TERM = bp.ServiceLevel(0.80, within="20s", window="month")


@pytest.fixture(scope="module")
def runs():
    world = bench.month(0.90).replace({"days": 7})
    paths = bench.volumes(20, 3)
    return bp.simulate(
        world,
        volumes=paths[paths["interval_start"] < "2026-02-08"],
        replications=20,
        seed=3,
        within="20s",
        progress=False,
    )


def test_cells_are_those_of_the_windows(runs):
    matrix = bp.target_matrix(runs, TERM, short=5, aggregations=["pooled", "mean_of_intervals", "share_of_intervals"])
    frame = matrix.frame.set_index(["counting", "aggregation", "window"])
    assert set(frame.index.get_level_values("window")) == {"interval", "day", "all"}, (
        "a week begins on Monday: none is whole"
    )
    logs = [runs.contacts(k) for k in range(20)]
    for rule in ("offered", "excl_T", "credit_T", "answered", "excl_short", "credit_short"):
        values = []
        for log in logs:
            for _, day in log.groupby(log["arrived"].dt.date):
                lost = day["outcome"] == "abandoned"
                good = float(((day["outcome"] == "answered") & (day["wait_s"] <= 20)).sum())
                early, short = ((lost & (day["wait_s"] <= t)).sum() for t in (20, 5))
                top, bottom = {
                    "offered": (good, len(day)), "excl_T": (good, len(day) - early), "credit_T": (good + early, len(day)),
                    "answered": (good, len(day) - lost.sum()), "excl_short": (good, len(day) - short),
                    "credit_short": (good + short, len(day)),
                }[rule]  # fmt: skip
                values.append(top / bottom)
        cell = frame.loc[(rule, "pooled", "day")]
        assert cell["windows"] == len(values) == 100
        assert cell["mean"] == pytest.approx(np.mean(values))
        assert cell["probability"] == pytest.approx(np.mean(np.array(values) >= 0.8))
        assert cell["attainable"] == pytest.approx(np.sort(values)[int(0.05 * 99)])
    own = TERM.replace(window="day", aggregation="share_of_intervals", pass_level=0.8, level=0.9)
    shares = window_values(runs, own)["value"]
    cell = frame.loc[("offered", "share_of_intervals", "day")]
    assert cell["mean"] == pytest.approx(shares.mean())
    assert cell["probability"] == pytest.approx((shares >= 0.9).mean())


def test_rules_keep_their_order_on_the_same_draws(runs):
    table = bp.target_matrix(runs, TERM, short=5).table("mean")
    chains = (
        ("offered", "excl_short", "excl_T", "credit_T"),
        ("offered", "credit_short", "credit_T"),
        ("excl_T", "answered"),
    )
    for chain in chains:
        rows = table.loc[list(chain)].to_numpy()
        assert (np.diff(rows, axis=0) >= -1e-12).all()


def test_an_assessment_gives_its_own_matrix(runs):
    world = runs.scenario
    deal = bp.assess_target(world, TERM.replace(window="day"), replications=30, seed=2, progress=False)
    matrix = deal.matrix(windows=["day"])
    row = matrix.frame[matrix.frame["counting"] == "offered"].iloc[0]
    assert (row["probability"], row["ci_low"], row["ci_high"]) == (
        deal.probability,
        deal.probability_low,
        deal.probability_high,
    )
    assert row["attainable"] == deal.attainable_share
    shown = [t.get_text() for t in deal.plot_matrix(windows=["day"]).texts]
    assert len(shown) == 4
    assert f"{deal.probability:.2f}" in shown
    waits = bp.target_matrix(runs, bp.AtMost("asa", "20s"), windows=["day", "month"])
    assert waits.frame["rule"].tolist() == ["asa", "asa"]
    assert "no whole month" in waits.notes[0]


def test_everything_wrong_is_told_at_once(runs):
    with pytest.raises(ParameterError) as caught:
        bp.target_matrix(runs, bp.AtMost("asa", "20s"), countings=["offered"], windows="day", passing=2, staffing=[])
    text = str(caught.value)
    assert all(word in text for word in ("countings", "windows", "passing", "simulation already"))
    with pytest.raises(ParameterError, match="short-abandon limit"):
        bp.target_matrix(runs, TERM, countings=["excl_short"])
    with pytest.raises(ParameterError, match="value"):
        bp.target_matrix(runs, TERM, windows=["day"]).table("probable")


def test_service_level_of_a_window_is_the_published_random_number():
    """Five windows of two stationary queues, mean and P(at least 80 %) within 3 standard errors; an agent more is caught."""
    found = bench.i6(replications=3000, seed=8)
    assert len(found) == 5
    assert (found["off, errors"] <= 3).all(), found
    assert (found["off, errors "] <= 3).all(), found
    assert ((found["sd"] - found["stated sd"]).abs() < 0.004).all()
    one_more = bp.simulate(
        bench.stationary(25, None, 1, 20), replications=1000, seed=8, within="20s", warm_up="10h", progress=False
    )
    cell = bp.target_matrix(one_more, TERM, countings=["offered"], windows=["all"]).frame.iloc[0]
    assert cell["ci_low"] > 0.70


def test_illustration_is_rebuilt_from_its_parameters():
    """Agent-hours exactly, means within 0.005, P(day) within 0.03, and the order of every column."""
    found, rules = bench.illustration(months=100, seed=36)
    assert found["agent-hours"].tolist() == found["agent-hours, stated"].tolist()
    worst = bench.differences(found).set_index("figure")
    assert worst.loc["mean", "largest difference"] <= 0.005 + 3 * 0.10 / np.sqrt(100 * 20)
    assert worst.loc["P(day)", "largest difference"] <= 0.03 + 3 * 0.5 / np.sqrt(100 * 20)
    assert (worst["ordering"] == "exact").all()
    assert ((rules["mean"] - rules["stated"]).abs() < 0.012).all()
