"""Share × threshold of a promise: each cell against the assessment and the prices it is made of."""

from __future__ import annotations

import numpy as np
import pytest
from test_assess_contract import world

import bposim as bp
from bposim.errors import ParameterError
from bposim.targets import price_targets
from bposim.targets.probability import window_values

DAY = bp.ServiceLevel(0.80, within="20s", window="day")


@pytest.fixture(scope="module")
def deal():
    return bp.assess_target(world(10, 14), DAY, replications=80, seed=5, progress=False)


@pytest.fixture(scope="module")
def found(deal):
    return deal.map(shares=[0.9, 0.8], thresholds=["60s", 20], levels=6)


def test_probabilities_are_those_of_the_staffing_assessed(deal, found):
    assert found.frame[["share", "within_s"]].to_numpy().tolist() == [[0.8, 20], [0.8, 60], [0.9, 20], [0.9, 60]]
    for r in found.frame.itertuples():
        values = window_values(deal.runs, DAY.replace(level=r.share, within_s=r.within_s))["value"]
        assert r.probability == pytest.approx((values >= r.share).mean())
        assert r.ci_low < r.probability <= r.ci_high


def test_costs_are_those_of_priced_targets(found):
    """The same plans, on contacts of the same seed."""
    terms = [DAY, DAY.replace(within_s=60.0)]
    prices = price_targets(world(10, 14), terms, steps=[0.1, 0.1], levels=6, replications=80, seed=5, progress=False)
    for term, row in zip(terms, prices.tighten.itertuples(), strict=True):
        assert found.price(0.8, term.within_s)[0] == pytest.approx(row.hours_now)
        assert found.price(0.9, term.within_s)[0] == pytest.approx(row.hours, nan_ok=True)
        mine = found.frontier(term.within_s).frame
        theirs = prices.frame[prices.frame["target"] == str(term)].reset_index(drop=True)
        assert mine["attainable"].tolist() == theirs["attainable"].tolist()
    assert found.frontier().term == DAY


def test_a_higher_share_costs_more_and_a_longer_threshold_less(found):
    table = found.table("cost")
    assert table.index.tolist() == [0.9, 0.8]
    assert table.loc[0.9, 20.0] > table.loc[0.8, 20.0] > table.loc[0.8, 60.0]
    assert found.price(0.999, "20s") == pytest.approx((np.nan, np.nan), nan_ok=True)


def test_pictures_name_every_cell(deal, found):
    said = [t.get_text() for t in found.plot().texts]
    assert said == [f"{x:,.0f}" for x in found.table("cost").to_numpy().ravel()]
    bare = deal.map(shares=[0.8], thresholds=["20s"])
    assert [t.get_text() for t in bare.plot(value="probability").texts] == [f"{bare.frame['probability'].iloc[0]:.2f}"]
    assert bare.frame["cost"].isna().all()
    with pytest.raises(ParameterError, match="levels=6"):
        bare.price(0.8, "20s")


def test_everything_wrong_is_told_at_once(deal, found):
    with pytest.raises(ParameterError) as caught:
        deal.map(shares=[80], thresholds=[], levels=1)
    assert all(word in str(caught.value) for word in ("shares", "thresholds", "levels"))
    with pytest.raises(ParameterError, match="one of the map's thresholds 20s, 60s"):
        found.price(0.8, "45s")
    access = bp.assess_target(
        world(10, 7), bp.AtMost("abandonment", 0.05, window="day"), replications=4, progress=False
    )
    with pytest.raises(ParameterError, match="pooled service level"):
        access.map()
