"""Paths of volumes: one observation each, fresh ones for a proof, no hole taken for zero."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError, SimulationWarning
from bposim.metrics.intervals import pool_batches, probability, wilson
from bposim.optimise.validate import validate_plan
from bposim.simulate.proof import prove, stack, verdict
from bposim.targets import attainable
from bposim.targets.probability import window_values

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def line():
    return bp.load_scenario(
        {
            "name": "line",
            "time_zone": "America/New_York",
            "start": "2026-06-01",
            "days": 2,
            "opening_hours": {"daily": "08:00-10:00"},
            "day_factor": {"gamma": {"cv": 0.3}},
            "contact_types": {
                "a": {
                    "arrivals": {"rate": "60/h"},
                    "handle_time": {"exponential": {"mean": "3min"}},
                    "patience": {"exponential": {"mean": "2min"}},
                }
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 4}},
        }
    )


def paths(scenario, levels, first=0):
    """Paths of so many contacts in every interval."""
    n = len(scenario.grid)
    return pd.DataFrame(
        {
            "contact_type": "a",
            "interval_start": np.tile(scenario.grid.starts, len(levels)),
            "contacts": np.repeat(levels, n),
            "sample": np.repeat(np.arange(len(levels)) + first, n),
        }
    )


@pytest.fixture(scope="module")
def levels():
    return np.random.default_rng(7).integers(10, 50, 40)


@pytest.fixture(scope="module")
def many(line, levels):
    """Forty paths, ten replications of each."""
    return bp.simulate(line, volumes=paths(line, levels), replications=400, seed=2, **QUIET)


# One path, one observation -------------------------------------------------------------------------------------------


def test_the_interval_counts_paths_and_not_replications(line, levels, many):
    row = many.summary(metrics="offered").iloc[0]
    per_path = levels * len(line.grid)
    assert row["n"] == 40
    assert row["value"] == pytest.approx(per_path.mean())
    half = 2.0226909 * per_path.std(ddof=1) / np.sqrt(40)
    assert row["ci_high"] - row["value"] == pytest.approx(half, rel=1e-6)
    naive = 1.966 * per_path.std() / np.sqrt(400)
    assert half > 3 * naive, "taking the replications for independent would be caught"


def test_ratios_and_percentiles_pool_by_path(line, many):
    row = many.summary(metrics="service_level").iloc[0]
    table = many.windows("service_level", "all").assign(path=np.arange(400) % 40)
    both = table.groupby("path")[["numerator", "denominator"]].sum()
    ratio = both["numerator"].sum() / both["denominator"].sum()
    rest = ((both["numerator"] - ratio * both["denominator"]) ** 2).sum() / (40 * 39)
    assert row["value"] == pytest.approx(ratio)
    assert (row["ci_high"] - ratio) / np.sqrt(rest) * both["denominator"].mean() == pytest.approx(2.0226909, rel=1e-6)
    assert many.summary(metrics="wait_p95")["n"].item() == 40
    assert many.summary(by="day", metrics="max_wait")["n"].tolist() == [40, 40]
    assert len(many.summary(by="replication", metrics="asa")) == 400


def test_a_perfect_share_counts_the_days_of_paths(many):
    row = many.restaffed({"g": 100}).summary(metrics="service_level").iloc[0]
    assert (row["value"], row["ci_high"]) == (1.0, 1.0)
    assert row["ci_low"] == pytest.approx(80 / (80 + 1.959964**2)), "40 paths of 2 days, not 400 replications"


def test_intervals_over_paths_cover(line):
    """Twenty paths, ten replications each, 300 worlds: 95 ± 4 % cover the mean; by replication fewer than 60 % would."""
    rng = np.random.default_rng(5)
    inside = naive = 0
    for _ in range(300):
        path = rng.normal(0, 1, 20)
        values = np.tile(path, 10) + rng.normal(0, 0.3, 200)
        batch = np.tile(np.arange(20), 10)
        from bposim.metrics import ratio_interval

        _, low, high, n = (float(x) for x in ratio_interval(values, np.ones(200), 0.95, batch))
        assert n == 20
        inside += low <= 0 <= high
        _, low, high, _ = (float(x) for x in ratio_interval(values, np.ones(200), 0.95))
        naive += low <= 0 <= high
    assert 0.91 < inside / 300 < 0.99
    assert naive / 300 < 0.6


def test_pooling_keeps_what_is_missing():
    batch = np.array([3, 1, 3, 1])
    values = np.array([[1.0, np.nan], [2.0, np.nan], [np.nan, 5.0], [4.0, np.nan]])
    pooled = pool_batches(values, batch)
    assert pooled[:, 0].tolist() == [6.0, 1.0]
    assert np.isnan(pooled[0, 1])
    assert pooled[1, 1] == 5.0
    assert pool_batches(values, None) is values
    assert pool_batches(values, np.arange(4)) is values


def test_probability_and_attainable_level_take_paths_for_observations(line, many):
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    deal = bp.assess_target(line, term, volumes=paths(line, many_levels(many)), replications=400, seed=2, **QUIET)
    values = deal.values
    assert (values["batch"] == values["replication"] % 40).all()
    met = values["value"].map(term.met)
    by_replication = probability(met, values["replication"])
    assert deal.probability == by_replication[0]
    assert deal.probability_high - deal.probability_low > 2 * (by_replication[2] - by_replication[1])
    _, low, high = attainable(values, term, 0.95)
    _, narrow_low, narrow_high = attainable(values.drop(columns="batch"), term, 0.95)
    assert (deal.attainable_low, deal.attainable_high) == attainable(values, term, 0.95, seed=2)[1:]
    assert high - low > 2 * (narrow_high - narrow_low)


def many_levels(many):
    return many.windows("offered", "all")["numerator"].to_numpy(int)[:40] // len(many.scenario.grid)


def test_compare_takes_paths_for_observations(line, levels, many):
    more = many.restaffed({"g": 6})
    row = bp.compare(many, more, metrics="service_level").iloc[0]
    sides = [r.windows("service_level", "all")[["numerator", "denominator"]] for r in (many, more)]
    first, second = (side.groupby(np.arange(400) % 40).sum() for side in sides)
    ratios = [side["numerator"].sum() / side["denominator"].sum() for side in (first, second)]
    error_first, error_second = (
        (side["numerator"] - ratio * side["denominator"]) / side["denominator"].mean()
        for side, ratio in zip((first, second), ratios, strict=True)
    )
    scatter = (error_second - error_first).std()
    assert row["n"] == 40
    assert row["difference"] == pytest.approx(ratios[1] - ratios[0])
    assert row["ci_high"] - row["difference"] == pytest.approx(2.0226909 * scatter / np.sqrt(40), rel=1e-6)


def test_few_paths_warn(line, levels):
    with pytest.warns(SimulationWarning, match=r"5 paths for 20 replications.*samples=20"):
        bp.simulate(line, volumes=paths(line, levels[:5]), replications=20, seed=1, **QUIET)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bp.simulate(line, volumes=paths(line, levels[:5]), replications=5, seed=1, **QUIET)
        known = bp.simulate(
            line, volumes=paths(line, levels[:1]).drop(columns="sample"), replications=20, seed=1, **QUIET
        )
    assert known.summary(metrics="asa")["n"].item() == 20, "one known future: replications are all the chance there is"


# Fresh paths ---------------------------------------------------------------------------------------------------------


def offered(runs):
    return runs.windows("offered", "all")["numerator"].to_numpy(int)


def test_fresh_replications_play_paths_not_played(line):
    n = len(line.grid)
    frame = paths(line, np.arange(1, 41))
    first = bp.simulate(line, volumes=frame, replications=30, seed=1, **QUIET)
    rest = first.fresh(10)
    assert offered(first).tolist() == [n * k for k in range(1, 31)]
    assert sorted(offered(rest)) == [n * k for k in range(31, 41)]
    assert not set(first.batch) & set(rest.batch)
    again = rest.fresh(5)
    assert set(again.batch) <= set(rest.batch), "no other paths are left"
    assert rest.provenance.inputs["volumes"] != first.provenance.inputs["volumes"]


def test_all_paths_played_is_said_with_the_way_out(line, levels):
    first = bp.simulate(line, volumes=paths(line, levels), replications=40, seed=1, **QUIET)
    with pytest.warns(SimulationWarning, match=r"all 40 paths .* played before.*Give samples=60"):
        first.fresh(20)


def test_half_of_the_paths_is_held_out_for_the_proof(line):
    n = len(line.grid)
    frame = paths(line, np.arange(1, 41))
    search = bp.simulate(line, volumes=frame, replications=300, seed=1, hold_out=True, **QUIET)
    proof = search.fresh(100)
    seen, unseen = set(offered(search)), set(offered(proof))
    assert len(seen) == len(unseen) == 20
    assert seen | unseen == {n * k for k in range(1, 41)}
    assert search.summary(metrics="offered")["n"].item() == 20
    assert min(unseen) < n * 20 < max(unseen), "drawn at random, not cut where the frame is"
    few = bp.simulate(line, volumes=frame, replications=10, seed=1, hold_out=True, **QUIET)
    assert len(set(offered(few))) == 10
    assert len(set(offered(few.fresh(30)))) == 30
    restaffed = search.restaffed({"g": 9})
    assert offered(restaffed).tolist() == offered(search).tolist()
    assert offered(restaffed.fresh(100)).tolist() == offered(proof).tolist()


@pytest.fixture(scope="module")
def ahead():
    """Forecast of a week from ten weeks of two hours a day."""
    rng = np.random.default_rng(3)
    starts = pd.DatetimeIndex(
        [d + pd.Timedelta(minutes=m) for d in pd.date_range("2026-03-23", periods=70, tz="America/New_York")
         for m in (480, 510, 540, 570)]
    )  # fmt: skip
    busy = np.repeat(rng.gamma(25, 1 / 25, 70), 4)
    past = pd.DataFrame({"contact_type": "a", "interval_start": starts, "contacts": rng.poisson(30 * busy)})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.forecast(past, days=2, method="seasonal-naive", samples=50, seed=4)


def test_a_forecast_draws_further_paths(ahead):
    more = ahead.more(600)
    assert more.array.shape == (600, *ahead.array.shape[1:])
    assert more.first_sample == 50
    assert more.volumes["sample"].iloc[[0, -1]].tolist() == [50, 649]
    assert np.array_equal(ahead.more(10).array, more.array[:10]), "path k is the same however many are drawn"
    assert np.array_equal(ahead.more(300).more(20).array, more.array[300:320])
    every = np.concatenate([ahead.array, more.array]).reshape(650, -1)
    assert len(np.unique(every, axis=0)) > 640
    with pytest.raises(ParameterError, match="samples"):
        ahead.more(0)


def test_further_paths_have_the_law_of_the_first(ahead):
    """Mean within five standard errors; spread within five of its own (kurtosis about 3)."""
    many = ahead.more(4000).array.sum(axis=(1, 2))
    assert abs(many.mean() - ahead.expected.sum()) < 5 * many.std() / np.sqrt(4000)
    assert many.std() > 1.2 * np.sqrt(many.mean()), "more than Poisson: the day factor is in it"
    other = ahead.array.sum(axis=(1, 2))
    assert abs(np.log(other.std() / many.std())) < 5 / np.sqrt(2 * 50)


def test_fresh_replications_of_a_forecast_play_further_paths(line, ahead):
    world = line.replace(start=ahead.start, days=ahead.days, opening_hours={"daily": "08:00-10:00"})
    search = bp.simulate(world, volumes=ahead, replications=50, seed=1, **QUIET)
    proof = search.fresh(120)
    assert offered(search).tolist() == ahead.array.sum(axis=(1, 2)).tolist()
    assert offered(proof).tolist() == ahead.more(120).array.sum(axis=(1, 2)).tolist()
    assert proof.batch.tolist() == list(range(50, 170))
    assert offered(proof.fresh(30)).tolist() == ahead.more(150).array.sum(axis=(1, 2))[120:].tolist()
    assert proof.summary(metrics="asa")["n"].item() == 120
    part = bp.simulate(world, volumes=ahead, replications=30, seed=1, **QUIET).fresh(40)
    both = np.concatenate([ahead.array, ahead.more(20).array]).sum(axis=(1, 2))
    assert offered(part).tolist() == both[30:].tolist(), "those it holds first"
    slow = bp.simulate(world, volumes=ahead, replications=3, seed=1, engine="reference", workers=2, **QUIET)
    assert offered(slow).tolist() == offered(search)[:3].tolist()


def test_a_validation_plays_paths_that_the_requirement_has_not_seen(line, ahead):
    world = line.replace(start=ahead.start, days=ahead.days, shifts={"all": {"start": "08:00", "paid": "2h"}})
    asked = []

    class Spy:
        provenance, volumes = ahead.provenance, ahead.volumes

        def more(self, samples):
            asked.append(samples)
            return ahead.more(samples)

    term = bp.ServiceLevel(0.80, within="20s", window="day")
    need = bp.required_agents(world, ahead, target=term)
    plan = bp.optimise_shifts(need, world)
    checked = validate_plan(plan, world, term, confidence=0.5, volumes=Spy(), replications=40)
    assert asked == [40]
    runs = bp.simulate(world, volumes=ahead.more(40), staffing=plan.staffing, replications=40,
                       seed=checked.validation.seed, within="20s", **QUIET)  # fmt: skip
    if checked.validation.replications == 40:
        assert checked.validation.frame["mean"].item() == runs.summary(metrics="service_level")["value"].item()


# What is not given is not 0 ------------------------------------------------------------------------------------------


def test_volumes_for_a_part_of_the_horizon_are_refused(line, levels):
    good = paths(line, levels[:1]).drop(columns="sample")
    with pytest.raises(ParameterError, match=r"'a' in 4 of 8 open intervals \(first 2026-06-02 08:00.*closed="):
        bp.simulate(line, volumes=good[:4], replications=1, **QUIET)
    with pytest.raises(ParameterError, match="in 1 of 8 open intervals"):
        bp.simulate(line, volumes=good.drop(index=3), replications=1, **QUIET)
    some = paths(line, levels[:3]).drop(index=[2, 10])
    with pytest.raises(ParameterError, match=r"in 1 of 8 open intervals on 2 of 3 paths"):
        bp.simulate(line, volumes=some, replications=1, **QUIET)
    with pytest.raises(bp.errors.OptimiseError, match="in 4 of 8 open intervals"):
        bp.required_agents(line, good[:4], target=bp.ServiceLevel(0.8, within="20s"))
    shut = line.replace(closed=["2026-06-02"])
    assert offered(bp.simulate(shut, volumes=good[:4], replications=1, **QUIET)).tolist() == [4 * levels[0]]


def test_a_type_needs_volumes_only_while_it_is_open(line):
    late = line.replace({"contact_types.a.opening_hours": {"daily": "09:00-10:00"}})
    starts = [t for t in late.grid.starts if t.hour == 9]
    frame = pd.DataFrame({"contact_type": "a", "interval_start": starts, "contacts": 3})
    assert offered(bp.simulate(late, volumes=frame, replications=1, **QUIET)).tolist() == [12]


def test_a_forecast_covers_its_horizon_and_no_more(line, ahead):
    world = line.replace(start=ahead.start, days=ahead.days)
    with pytest.raises(ParameterError, match=r"in 4 of 12 open intervals.*days=forecast\.days"):
        bp.simulate(world.replace(days=3), volumes=ahead, replications=1, **QUIET)
    with pytest.raises(ParameterError, match=r"in 4 of 12 open intervals.*opening_hours=scenario\.opening_hours"):
        bp.simulate(world.replace(opening_hours={"daily": "08:00-11:00"}), volumes=ahead, replications=1, **QUIET)


def test_a_day_that_the_forecast_holds_as_closed_brings_nobody(line):
    days = pd.date_range("2026-03-23", periods=28, tz="America/New_York")
    starts = [d + pd.Timedelta(minutes=m) for d in days for m in (480, 510, 540, 570)]
    past = pd.DataFrame({"contact_type": "a", "interval_start": pd.DatetimeIndex(starts), "contacts": 20})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        options = {"days": 2, "method": "seasonal-naive", "samples": 5, "opening_hours": line.opening_hours}
        half = bp.forecast(past, closed=["2026-04-21"], **options)
    world = line.replace(start=half.start, days=2, interval="30min")
    runs = bp.simulate(world, volumes=half, replications=5, seed=1, **QUIET)
    per_day = runs.windows("offered", "day").groupby("window_start")["numerator"].sum()
    assert per_day.iloc[0] > 0
    assert per_day.iloc[1] == 0


# Real paths, provenance ----------------------------------------------------------------------------------------------


def test_real_paths_are_rates_without_a_day_factor(line):
    """Poisson variance alone; with the scenario's day factor (cv 0.3) it would be some twenty times as large."""
    frame = paths(line, np.full(400, 60.5))
    runs = bp.simulate(line, volumes=frame, replications=400, seed=9, **QUIET)
    day = runs.windows("offered", "day")["numerator"]
    mean = 4 * 60.5
    assert abs(day.mean() - mean) < 5 * np.sqrt(mean / 800)
    assert abs(day.var() / mean - 1) < 5 * np.sqrt(2 / 800)


def test_provenance_names_volumes_by_their_content(line):
    one = paths(line, np.array([20])).drop(columns="sample")
    same_sum = one.assign(contacts=[40, 0] * 4)
    a, b, c = (
        bp.simulate(line, volumes=v, replications=1, **QUIET).provenance.inputs["volumes"]
        for v in (one, same_sum, one.sample(frac=1, random_state=1))
    )
    assert a != b
    assert a == c


# A proof -------------------------------------------------------------------------------------------------------------


def test_met_means_the_whole_interval():
    assert verdict(0.95, 1, 0.95) == "met"
    assert verdict(0.94, 1, 0.95) == "undecided"
    assert verdict(0.9, 0.9499, 0.95) == "not met"
    assert verdict(10, 20, 20, "<=") == "met"
    assert verdict(10, 21, 20, "<=") == "undecided"
    assert verdict(20.1, 21, 20, "<=") == "not met"
    assert verdict(np.nan, np.nan, 0.5) == "undecided"


def test_a_proof_plays_on_while_undecided_and_no_longer(line):
    first = bp.simulate(line, replications=10, seed=1, **QUIET)
    looks = []

    def judge(played):
        looks.append([r.replications for r in played])
        return len(looks)

    assert prove(first, judge, lambda a: a < 2, limit=40) == (2, 20)
    assert looks == [[10], [10, 10]]
    assert prove(first, judge, lambda a: True, limit=35)[1] == 35
    assert looks[-1] == [10, 10, 15]
    tables = []
    prove(first, lambda played: tables.append([window_values(r, bp.AtMost("asa", "1min", window="all")) for r in played]),
          lambda a: True, limit=20)  # fmt: skip
    values = stack(tables[-1])
    assert values["replication"].tolist() == list(range(20))
    assert values["batch"].is_unique
    whole = bp.simulate(line, replications=20, seed=1, **QUIET).windows("asa", "all")["value"]
    assert values["value"].tolist() == whole.tolist(), "the same replications as if played at once"
    assert wilson(1, 0)[0] != wilson(1, 0)[0]


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_handle_times_follow_the_factor_of_their_interval(line, engine):
    frame = paths(line, [30]).drop(columns="sample")
    frame["handle_factor"] = np.resize([2.0, 1.0, 0.5, 1.0], len(frame))
    calm = line.replace({"day_factor": None})
    plain = bp.simulate(
        calm, volumes=frame.drop(columns="handle_factor"), seed=3, engine=engine, replications=2, **QUIET
    )
    scaled = bp.simulate(calm, volumes=frame, seed=3, engine=engine, replications=2, **QUIET)
    served = [r.contacts().sort_values(["replication", "arrived"]) for r in (plain, scaled)]
    assert (served[0]["arrived"].to_numpy() == served[1]["arrived"].to_numpy()).all()
    slot = frame["interval_start"].searchsorted(served[0]["arrived"], side="right") - 1
    both = served[0]["handle_s"].notna().to_numpy() & served[1]["handle_s"].notna().to_numpy()
    ratio = served[1]["handle_s"].to_numpy()[both] / served[0]["handle_s"].to_numpy()[both]
    wanted = frame["handle_factor"].to_numpy()[slot[both]]
    long = served[0]["handle_s"].to_numpy()[both] > 1  # rounding to milliseconds
    assert both.sum() > 80 and np.abs(ratio / wanted - 1)[long].max() < 0.002
    assert set(wanted) == {0.5, 1.0, 2.0}


def test_a_factor_that_is_none_or_differs_by_path_is_refused(line):
    frame = paths(line, [30, 40]).assign(handle_factor=1.0)
    frame.loc[0, "handle_factor"] = 0.0
    with pytest.raises(ParameterError, match="must be above 0"):
        bp.simulate(line, volumes=frame, replications=2, **QUIET)
    frame.loc[0, "handle_factor"] = 1.5
    with pytest.raises(ParameterError, match="same on every path"):
        bp.simulate(line, volumes=frame, replications=2, **QUIET)
    with pytest.raises(bp.errors.OptimiseError, match="handle_factor"):
        bp.required_agents(line, paths(line, [30]).assign(handle_factor=1.2), target=bp.ServiceLevel(0.8, within="20s"))
