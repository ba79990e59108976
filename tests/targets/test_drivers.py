"""Which uncertainty breaks a target: shares add up, and planted sources come back."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_assess_contract import world

import bposim as bp
from bposim.engines.volumes import VolumePaths
from bposim.errors import ParameterError
from bposim.targets.drivers import _shapley, split_paths

DAY = bp.ServiceLevel(0.80, within="20s", window="day")
QUIET = {"contact_types.a.day_factor": None}


def frame_of(array, scenario):
    s, n = array.shape
    return pd.DataFrame({"sample": np.repeat(np.arange(s), n), "contact_type": "a", "interval_start": scenario.grid.starts[np.tile(np.arange(n), s)],
                         "contacts": array.reshape(-1)})  # fmt: skip


def test_rows_add_up_to_the_whole():
    rich = world(10, 14).replace(
        {"contact_types.a.handle_day_factor": {"gamma": {"cv": 0.08}}, "agent_groups.g.absence": 0.08}
    )
    found = bp.target_drivers(rich, DAY, replications=60, progress=False)
    f = found.frame.set_index("source")
    assert list(f.index) == ["volume level", "handle time", "absence", "chance"]
    assert f["variance"].sum() == pytest.approx(found.sd**2)
    assert f["share"].sum() == pytest.approx(1)
    assert f["miss"].sum() == pytest.approx(found.miss)
    plain = bp.assess_target(rich, DAY, replications=60, progress=False)
    assert found.miss == pytest.approx(1 - plain.probability)
    assert found.sd**2 == pytest.approx(plain.values.groupby("window_start")["value"].var().mean())
    assert (f["share_low"] <= f["share"]).all()
    assert (f["share"] <= f["share_high"]).all()
    assert f["share"].idxmax() == "volume level", "a cv of 15 % in volume against 8 % in handle time"
    assert f.loc["handle time", "share_low"] > 0.02
    assert f.loc["absence", "share_low"] > 0.02
    assert len(found.subsets) == 8
    assert len(found.plot().patches) == 4
    assert "volume shape" in " ".join(found.notes)


def test_where_nothing_is_uncertain_all_is_chance():
    found = bp.target_drivers(world(10, 14).replace(QUIET), DAY, replications=30, progress=False)
    assert found.frame["source"].tolist() == ["chance"]
    assert found.frame["share"].tolist() == [1]
    assert "volume level" in found.notes[0]


@pytest.mark.parametrize(("planted", "other"), [("volume level", "volume shape"), ("volume shape", "volume level")])
def test_what_is_planted_in_paths_comes_back(planted, other):
    scenario = world(10, 14).replace(QUIET)
    rng = np.random.default_rng(3)
    n = len(scenario.grid.starts)
    days = np.repeat(rng.gamma(25, 1 / 25, (80, n // 8)), 8, axis=1)
    tilt = np.tile(np.linspace(-1, 1, 8), n // 8) * np.repeat(rng.uniform(-0.6, 0.6, (80, n // 8)), 8, axis=1)
    found = bp.target_drivers(scenario, DAY, volumes=frame_of(50 * (days if planted == "volume level" else 1 + tilt), scenario),
                              replications=80, progress=False).frame.set_index("source")  # fmt: skip
    assert found.loc[planted, "share_low"] > 0.15
    assert other not in found.index or abs(found.loc[other, "share"]) < 0.05


def test_counts_without_more_than_chance_have_no_source():
    """Poisson paths: what they vary by is chance, and is told as chance."""
    rng = np.random.default_rng(5)
    scenario = world(10, 14).replace(QUIET)
    paths = rng.poisson(50, (400, len(scenario.grid.starts)))
    found = bp.target_drivers(scenario, DAY, volumes=frame_of(paths, scenario), replications=400, progress=False)
    shares = found.frame.set_index("source")["share"].drop("chance")
    assert (shares.abs() < 0.06).all()
    assert any("Poisson" in n for n in found.notes)


def test_counts_are_shrunk_to_the_spread_of_their_rates():
    rng = np.random.default_rng(6)
    rates = np.repeat(rng.gamma(100, 1 / 100, (4000, 3)), 8, axis=1) * 40
    day = np.repeat(np.arange(3), 8)
    level, shape = split_paths(VolumePaths(rng.poisson(rates)[:, :, None], True, True, np.arange(4000)), day)
    assert level.std() == pytest.approx(0.1, rel=0.05), "cv 10 % of the rates; the counts' own is 11.5 %"
    assert shape.std() < 0.03, "the shape is fixed"
    exact, own = split_paths(VolumePaths(rates[:, :, None], False, True, np.arange(4000)), day)
    assert rates.mean(axis=0)[None, :, None] * exact * own == pytest.approx(rates[:, :, None])


@given(st.lists(st.floats(-1, 1), min_size=8, max_size=8), st.lists(st.floats(0, 1), min_size=3, max_size=3))
def test_shapley_values_are_efficient_and_exact_for_sums(noise, adds):
    names = ["a", "b", "c"]
    sets = [frozenset(n for k, n in enumerate(names) if bits >> k & 1) for bits in range(8)]
    v = dict(zip(sets, noise, strict=True))
    assert sum(_shapley(v, names, n) for n in names) == pytest.approx(v[frozenset(names)] - v[frozenset()], abs=1e-9)
    plain = {s: sum(adds[names.index(n)] for n in s) for s in sets}
    assert [_shapley(plain, names, n) for n in names] == pytest.approx(adds)


def test_what_is_refused():
    with pytest.raises(ParameterError, match="at least 20"):
        bp.target_drivers(world(), DAY, replications=5)
