"""What relief is worth: against windows counted by hand; the laws that hold on the same draws, and the one that does not."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from contract_worlds import days as day_counts
from hypothesis import given, settings
from hypothesis import strategies as st
from test_assess_contract import world

import bposim as bp
from bposim.errors import ParameterError, ScenarioError
from bposim.targets.foreseen import read_forecast
from bposim.targets.probability import probability, window_values
from bposim.targets.relieved import clause_of, relieved_windows

DAY = bp.ServiceLevel(0.80, within="20s", window="day")


@pytest.fixture(scope="module")
def runs():
    return bp.simulate(world(9, 14), replications=60, seed=4, within="20s", progress=False)


def kept(runs, term, effect, by, above):
    relief = None if above is None else [{"volume": {"above": above, "by": by}, "effect": effect}]
    contract = clause_of(term, runs.scenario, relief)
    return relieved_windows(runs, contract, "promise", read_forecast(runs.expected, "UTC"))


@pytest.mark.parametrize("term", [DAY, DAY.replace(window="week"), DAY.replace(counting="excl_T"), bp.AtMost("asa", "15s", window="day"),
                                  bp.AtMost("abandonment", 0.06, window="week"), DAY.replace(window="month"), DAY.replace(window="all")])  # fmt: skip
def test_without_relief_the_windows_are_the_plain_ones(runs, term):
    mine, plain = kept(runs, term, "waive", "window", None), window_values(runs, term)
    assert mine["value"].to_numpy() == pytest.approx(plain["value"].to_numpy())
    assert mine["met"].tolist() == plain["value"].map(term.met).tolist()
    assert mine["judged"].all()
    assert mine["batch"].tolist() == plain["batch"].tolist()


def test_excluded_days_are_those_above_the_corridor(runs):
    table = kept(runs, DAY, "exclude", "day", 1.1)
    offered = runs.windows("service_level", "day", within="20s")
    busy = (offered["denominator"] > 1.1 * 400 * (1 + 1e-9)).to_numpy()
    assert 0.1 < busy.mean() < 0.5
    assert (~table["judged"]).tolist() == busy.tolist()
    assert table["met"].tolist() == (busy | (offered["value"] >= 0.80).to_numpy()).tolist()
    found = bp.corridor_value(world(9, 14), DAY, widths=[0.1], replications=60, seed=4, plans=False, progress=False)
    assert found.frame["probability"].tolist() == pytest.approx(
        [(offered["value"] >= 0.80).mean(), table["met"].mean()]
    )
    row = found.frame.iloc[1]
    assert row["relieved"] == pytest.approx(busy.mean())
    assert row["left_out"] == pytest.approx(offered["denominator"][busy].sum() / offered["denominator"].sum())
    assert row["gain"] == pytest.approx(np.diff(found.frame["probability"])[0])
    assert row["gain_low"] < row["gain"] < row["gain_high"]
    assert "above 110 %" in found.sentences()[0]


# Laws --------------------------------------------------------------------------------------------------------------------

LAWFUL = [
    ("waive", "window"),
    ("exclude", "window"),
    ("scale", "window"),
    ("cap", "window"),
    ("cap", "day"),
]
EDGES = st.floats(1.0, 1.6).map(lambda x: round(x, 3))
SETTINGS = settings(max_examples=15, deadline=None)


@SETTINGS
@given(
    st.sampled_from(LAWFUL),
    st.tuples(EDGES, EDGES),
    st.sampled_from(["day", "week"]),
    st.floats(0.5, 1).map(lambda x: round(x, 2)),
)
def test_more_relief_never_lowers_the_probability_on_the_same_draws(rule, edges, window, level):
    """Condition: windows are waived, scaled or capped, or left out whole. More relief is a corridor whose edge lies nearer."""
    term = DAY.replace(window=window, level=level)
    near, far = (kept(SHARED, term, *rule, x)["met"].to_numpy() for x in sorted(edges))
    bare = kept(SHARED, term, *rule, None)["met"].to_numpy()
    assert (near >= far).all()
    assert (far >= bare).all()


SHARED = bp.simulate(world(9, 14), replications=40, seed=6, within="20s", progress=False)


@SETTINGS
@given(st.lists(st.floats(0, 1), min_size=2, max_size=5), st.sampled_from(["day", "week"]), st.sampled_from([None, 1.0, 1.1, 1.3]),
       st.sampled_from([*LAWFUL, ("exclude", "day")]))  # fmt: skip
def test_a_lower_target_never_lowers_the_probability_on_the_same_draws(levels, window, edge, rule):
    """Condition: none; with and without relief of any kind."""
    met = [kept(SHARED, DAY.replace(window=window, level=x), *rule, edge)["met"].to_numpy() for x in sorted(levels)]
    for lower, higher in pairwise(met):
        assert (lower >= higher).all()


@SETTINGS
@given(
    st.lists(st.floats(0.01, 120), min_size=2, max_size=5),
    st.sampled_from(["asa", "mean_wait"]),
    st.sampled_from([None, 1.1]),
)
def test_a_longer_wait_allowed_never_lowers_the_probability(levels, metric, edge):
    """The same law for metrics that should be low: the easier target is the higher number."""
    met = [
        kept(SHARED, bp.AtMost(metric, f"{x:.3f}s", window="day"), "waive", "window", edge)["met"].to_numpy()
        for x in sorted(levels)
    ]
    for harder, easier in pairwise(met):
        assert (easier >= harder).all()


def test_leaving_days_out_of_a_month_may_lower_it():
    """No law for `exclude` by stretches shorter than the window: the busiest day is the best served one here."""
    offered, good = np.full(31, 100.0), np.full(31, 79.0)
    offered[4], good[4] = 200.0, 200.0
    source = day_counts("2026-01-01", offered, good)
    deal = {"name": "x", "clauses": {"promise": {"metric": "service_level", "within": "20s", "window": "month", "missing": "exclude",
                                                 "levels": {"expected": "80%"}}}}  # fmt: skip
    forecast = read_forecast(
        pd.DataFrame({"contact_type": "calls", "interval_start": source.table.starts, "contacts": 100.0}), "UTC"
    )
    assert relieved_windows(source, bp.load_contract(deal), "promise", forecast)["met"].tolist() == [True]
    deal["clauses"]["promise"]["relief"] = [{"volume": {"above": "110%", "by": "day"}, "effect": "exclude"}]
    assert relieved_windows(source, bp.load_contract(deal), "promise", forecast)["met"].tolist() == [False]


@settings(max_examples=6, deadline=None)
@given(st.integers(5, 12), st.integers(1, 1000))
def test_more_staff_never_lower_the_probability_beyond_the_sampling_error(heads, seed):
    """Condition: one group, one type, both staffings on the same contacts; with abandonment no pathwise theorem, so the paired
    difference may lie below zero by its own error: 5 standard errors, or what one window in 280 weighs."""
    few = bp.simulate(world(heads, 7), replications=40, seed=seed, within="20s", progress=False)
    more = few.restaffed({"g": heads + 1})
    a, b = (kept(r, DAY, "waive", "window", None).groupby("replication")["met"].mean() for r in (few, more))
    gap = b - a
    assert gap.mean() >= -5 * gap.std() / np.sqrt(len(gap)) - 1 / 200


def test_a_corridor_saves_people_and_money():
    found = bp.corridor_value(world(10, 14), DAY, widths=[0.10], replications=150, seed=5, progress=False)
    f = found.frame
    assert f["status"].tolist() == ["met", "met"]
    assert f["agent_hours"].iloc[1] < f["agent_hours"].iloc[0]
    assert f["hours_saved"].iloc[1] == pytest.approx(-np.diff(f["agent_hours"])[0])
    assert f["money_saved"].iloc[1] == pytest.approx(20 * f["hours_saved"].iloc[1])
    assert f["agents_saved"].iloc[1] == pytest.approx(f["hours_saved"].iloc[1] / 40)
    lean = found.plans[0.1]
    runs = bp.simulate(world(10, 14), staffing=lean.staffing, replications=400, seed=99, within="20s", progress=False)
    table = kept(runs, DAY, "exclude", "day", 1.1)
    low, high = probability(table["met"], table["batch"])[1:]
    assert high >= 0.95
    bare = kept(runs, DAY, "exclude", "day", None)
    assert probability(bare["met"], bare["batch"])[2] < 0.95, "without the corridor the lean plan would not do"
    assert low > 0.9
    labels = [t.get_text() for t in found.plot().get_legend().get_texts()]
    assert len(labels) == 3


def test_everything_wrong_is_told_at_once():
    with pytest.raises(ParameterError) as caught:
        bp.corridor_value(world(), bp.AtMost("occupancy", 0.8), widths=[-1], by="year", effect="drop", replications=5)
    assert all(word in str(caught.value) for word in ("widths", "by", "effect", "occupancy"))
    with pytest.raises(ParameterError, match="longer than the term's window"):
        bp.corridor_value(world(), DAY, by="month", effect="cap", replications=5)
    with pytest.raises(ScenarioError, match="no lower edge"):
        bp.corridor_value(world(), DAY, effect="cap", below=True, replications=5)
    with pytest.raises(ScenarioError, match="about the whole window"):
        bp.corridor_value(world(), DAY, by="interval", effect="waive", replications=5)


def test_costs_read_off_plans_keep_the_promise_as_often():
    deal = bp.assess_target(world(10, 14), DAY, replications=150, seed=5, progress=False)
    found = bp.corridor_value(deal, widths=[0.10], levels=8, progress=False)
    again = bp.corridor_value(world(10, 14), DAY, widths=[0.10], replications=150, seed=5, plans=False, progress=False)
    pd.testing.assert_frame_equal(found.frame[list(again.frame)], again.frame)
    f = found.frame
    assert f["status"].tolist() == ["read off", "read off"]
    assert found.plans == {}
    assert f["hours_saved"].iloc[1] == pytest.approx(-np.diff(f["agent_hours"])[0])
    assert f["money_saved"].iloc[1] == pytest.approx(20 * f["hours_saved"].iloc[1])
    for row, edge in zip(f.itertuples(), (None, 1.1), strict=True):
        around = []  # whole heads on either side of what was read off: the leaner fails, the dearer keeps it
        for heads in np.arange(8, 16):
            table = kept(deal.runs.restaffed({"g": int(heads)}), DAY, "exclude", "day", edge)
            around.append(table["met"].mean())
        needed = 8 + int(np.argmax(np.array(around) >= 0.95))
        assert needed - 1.5 <= row.agent_hours / 40 <= needed + 0.5


def test_an_assessment_brings_its_own_term():
    deal = bp.assess_target(world(9, 14), DAY, replications=20, progress=False)
    with pytest.raises(ParameterError, match="leave term, volumes out"):
        bp.corridor_value(deal, DAY, volumes=1)
    with pytest.raises(ParameterError, match="levels"):
        bp.corridor_value(deal, levels=1)


def test_what_is_attainable_is_kept_as_often_as_is_asked():
    """A window that relief does not judge keeps its promise: probability and attainable level are of the same windows."""
    deal = bp.assess_target(
        world(9, 14),
        bp.ServiceLevel(0.80, within="20s", window="day"),
        confidence=0.9,
        replications=200,
        seed=5,
        progress=False,
    )
    found = bp.corridor_value(deal, widths=[0.05, 0.10], effect="waive", by="window", plans=False, progress=False).frame
    assert (found["relieved"].iloc[1:] > 0.05).all()
    assert ((found["probability"] >= 0.9) == (found["attainable"] >= 0.80)).all()
    assert (found["attainable"].iloc[1:] >= found["attainable"].iloc[0]).all(), "no relief lowers what is attainable"
