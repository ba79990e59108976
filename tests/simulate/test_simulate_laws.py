"""What must hold of every simulation, whatever the numbers: conservation, Little's law, reproducibility, pairing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError, SimulationWarning
from bposim.schema import ALL_FRAMES, COUNTING_RULES, OUTCOMES
from bposim.testing import close_to, random_scenario

QUIET = {"progress": False}


@pytest.fixture(scope="module")
def line():
    return bp.load_scenario(
        {
            "name": "line",
            "time_zone": "America/New_York",
            "start": "2026-03-07",
            "days": 3,
            "opening_hours": {"daily": "08:00-12:00"},
            "day_factor": {"gamma": {"cv": 0.1}},
            "queue_limit": 12,
            "contact_types": {
                "billing": {
                    "arrivals": {"rate": "60/h"},
                    "handle_time": {"lognormal": {"mean": "3min", "cv": 1}},
                    "patience": {"exponential": {"mean": "2min"}},
                    "targets": [{"service_level": {"share": 0.8, "within": "30s"}}],
                },
                "sales": {
                    "arrivals": {"rate": "20/h"},
                    "handle_time": {"exponential": {"mean": "4min"}},
                    "patience": {"exponential": {"mean": "90s"}},
                },
            },
            "agent_groups": {
                "tellers": {"skills": ["billing"], "heads": 3, "shrinkage": 0.1},
                "sellers": {"skills": ["sales", "billing"], "heads": 2},
            },
        }
    )


@pytest.fixture(scope="module")
def runs(line):
    return bp.simulate(line, replications=20, seed=4, **QUIET)


# The answer depends on nothing but the question ----------------------------------------------------------------------


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_workers_do_not_matter(line, engine):
    n = 6 if engine == "fast" else 3
    alone, many = (bp.simulate(line, replications=n, seed=4, workers=w, engine=engine, **QUIET) for w in (1, 2))
    pd.testing.assert_frame_equal(alone.intervals, many.intervals)
    pd.testing.assert_frame_equal(alone.agents, many.agents)
    pd.testing.assert_frame_equal(alone.summary(metrics="wait_p95"), many.summary(metrics="wait_p95"))


def test_engines_agree_through_the_front_door(line):
    fast, slow = (bp.simulate(line, replications=3, seed=9, engine=e, **QUIET) for e in ("fast", "reference"))
    pd.testing.assert_frame_equal(fast.intervals, slow.intervals)
    pd.testing.assert_frame_equal(fast.agents, slow.agents)
    pd.testing.assert_frame_equal(fast.contacts(2), slow.contacts(2))
    assert fast.provenance.inputs["engine"] != slow.provenance.inputs["engine"]


def test_replication_k_is_the_same_alone_and_among_many(line, runs):
    few = bp.simulate(line, replications=8, seed=4, **QUIET)
    pd.testing.assert_frame_equal(few.contacts(7), runs.contacts(7))
    table = runs.intervals
    pd.testing.assert_frame_equal(few.intervals, table[table["replication"] < 8].reset_index(drop=True))


def test_kept_logs_and_replayed_ones_are_equal(line, runs):
    kept = bp.simulate(line, replications=3, seed=4, log=True, **QUIET)
    for k in range(3):
        pd.testing.assert_frame_equal(kept.contacts(k), runs.contacts(k))
    assert kept._log is not None
    assert runs._log is None


def test_seeds_and_replications_differ(line, runs):
    other = bp.simulate(line, replications=2, seed=5, **QUIET)
    assert not other.contacts(0)["arrived"].equals(runs.contacts(0)["arrived"])
    offered = runs.summary(by="replication", metrics="offered")["value"]
    assert offered.nunique() > 15


def test_fresh_replications_were_never_seen(runs):
    fresh = runs.fresh(20)
    seen = {tuple(runs.contacts(k)["arrived"].head(5)) for k in range(20)}
    new = {tuple(fresh.contacts(k)["arrived"].head(5)) for k in range(20)}
    assert len(new) == 20
    assert not seen & new
    further = fresh.fresh(1)
    assert tuple(further.contacts(0)["arrived"].head(5)) not in seen | new
    pd.testing.assert_frame_equal(fresh.contacts(3), runs.fresh(4).contacts(3))
    longer = bp.simulate(runs.scenario, replications=21, seed=4, **QUIET)
    pd.testing.assert_frame_equal(
        fresh.contacts(0).drop(columns="replication"), longer.contacts(20).drop(columns="replication")
    )


def test_recounting_at_another_threshold_plays_the_same_draws(line):
    late = bp.simulate(line, replications=5, seed=4, **QUIET)
    early = bp.simulate(line, replications=5, seed=4, within=["7s", "90s"], **QUIET)
    for within in ("7s", "90s"):
        for rule in COUNTING_RULES:
            a, b = (r.summary(metrics="service_level", within=within, counting=rule) for r in (late, early))
            pd.testing.assert_frame_equal(a, b)
    levels = [late.summary(metrics="service_level", within=w)["value"].iloc[0] for w in ("0", "7s", "30s", "90s", "1h")]
    assert levels == sorted(levels)
    assert levels[0] < levels[-1]


def test_default_threshold_is_the_scenarios_own(runs):
    a, b = runs.summary(metrics="service_level"), runs.summary(metrics="service_level", within="30s")
    pd.testing.assert_frame_equal(a, b)
    assert runs.summary(metrics="service_level", within="20s")["value"].iloc[0] < a["value"].iloc[0]


# Laws of every run ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(12))
def test_conservation_and_time(seed):
    rng = np.random.default_rng(seed)
    plain = seed % 2 == 0
    scenario = random_scenario(rng, mechanics=0 if plain else 0.3)
    drain = ("serve", "disconnect", "leave")[seed % 3]
    runs = bp.simulate(scenario, replications=3, seed=seed, drain=drain, **QUIET)
    table, agents = runs.intervals, runs.agents
    became = [o for o in OUTCOMES if o in table]
    assert len(became) >= 5
    assert (table["offered"] == table[became].sum(axis=1)).all(), "offered = sum of what became of them"
    assert (table.drop(columns=["replication", "interval_start", "contact_type"]) >= 0).all().all()
    assert (agents["busy_s"] <= agents["working_s"] + 1e-6).all()
    # Every scheduled second is worked while the doors are open, those who leave late come on top: unless somebody pauses
    # or is missing.
    assert not plain or (agents["working_s"] >= agents["scheduled_s"] - 1e-6).all()
    # Handle times in the contact log are the seconds that agents were busy, up to contacts that outlast the horizon.
    for k in range(3):
        log = runs.contacts(k)
        end = scenario.grid.starts[-1] + pd.Timedelta(hours=float(scenario.grid.hours[-1]))
        done = log[log["outcome"] == "answered"]
        busy = agents.loc[agents["replication"] == k, "contact_s"].sum()
        handled = done["handle_s"].sum()
        assert busy <= handled + 1e-6
        free = done["released"] if "released" in done else done["ended"]
        inside = done[free <= end]
        assert (
            busy >= inside["handle_s"].sum() - 1e-6
            or (np.diff(scenario.grid.start_ms) > scenario.interval * 1000).any()
        )
        assert (log["wait_s"] >= 0).all()
        assert log["arrived"].is_monotonic_increasing
        assert (log["ended"] >= log["arrived"]).all()
        assert log["answered"].notna().equals(log["outcome"] == "answered")
        assert log.loc[log["outcome"] == "blocked", "wait_s"].sum() == 0


def test_littles_law_in_every_run(runs):
    """Time average of the queue's length, counted from the log by sweeping, equals the sum of waits over time."""
    hours = runs.scenario.grid.hours.sum()
    for k in range(3):
        log = runs.contacts(k)
        begin = pd.DatetimeIndex(log["arrived"]).tz_convert("UTC").as_unit("ms").asi8
        length = np.round(log["wait_s"] * 1000).astype(np.int64).to_numpy()
        events = np.concatenate([begin, begin + length])
        step = np.concatenate([np.ones_like(begin), -np.ones_like(begin)])
        order = np.argsort(events, kind="stable")
        area = (np.cumsum(step[order])[:-1] * np.diff(events[order])).sum() / 1000
        found = runs.summary(by="replication", metrics="queue_mean")["value"].iloc[k]
        assert found == pytest.approx(area / (3600 * hours))
        assert found > 0


def test_occupancy_and_utilisation_by_hand():
    """One contact of 90 min, two agents until 09:00: 120 min scheduled; what runs on after the shift is worked too."""
    scenario = bp.load_scenario(
        {
            "interval": "1h",
            "opening_hours": {"daily": "08:00-10:00"},
            "contact_types": {"a": {"arrivals": {"rate": "1/h"}, "handle_time": {"deterministic": {"value": "90min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": [2, 0]}},
        }
    )
    volumes = pd.DataFrame({"contact_type": "a", "interval_start": scenario.grid.starts, "contacts": [1, 0]})
    runs = bp.simulate(scenario, volumes=volumes, replications=50, seed=1, **QUIET)
    log = pd.concat([runs.contacts(k) for k in range(50)])
    late = (log["ended"] - scenario.grid.starts[1]).dt.total_seconds()  # overtime: what ends after 09:00
    assert (late > 0).all()
    busy = runs.agents.groupby("replication")["busy_s"].sum().to_numpy()
    inside = np.minimum(5400, 7200 - (log["arrived"] - scenario.grid.starts[0]).dt.total_seconds().to_numpy())
    assert np.allclose(busy, inside)
    value = {m: runs.summary(metrics=m)["value"].iloc[0] for m in ("occupancy", "utilisation")}
    worked = 7200 + np.minimum(late.to_numpy(), 3600)
    assert value["utilisation"] == pytest.approx(busy.sum() / (50 * 7200))
    assert value["occupancy"] == pytest.approx(busy.sum() / worked.sum())


# Volumes, staffing, warm-up, drain -----------------------------------------------------------------------------------


def volumes_of(scenario, counts, sample=None):
    parts = [
        pd.DataFrame(
            {"contact_type": t, "interval_start": scenario.grid.starts, "contacts": counts[t]}
            | ({} if sample is None else {"sample": sample})
        )
        for t in scenario.contact_types
    ]
    return pd.concat(parts, ignore_index=True)


def test_whole_numbers_are_counts(line):
    rng = np.random.default_rng(1)
    counts = {t: rng.integers(0, 40, len(line.grid)) for t in line.contact_types}
    frame = volumes_of(line, counts)
    before = frame.copy()
    runs = bp.simulate(line, volumes=frame.sample(frac=1, random_state=2), replications=3, seed=1, **QUIET)
    offered = runs.intervals.pivot_table(
        index=["replication", "interval_start"], columns="contact_type", values="offered", observed=True
    )
    for k in range(3):
        for t in line.contact_types:
            assert offered.loc[k][t].tolist() == counts[t].tolist()
    pd.testing.assert_frame_equal(frame, before)


def test_paths_are_taken_in_turn(line):
    n = len(line.grid)
    frames = [
        volumes_of(line, dict.fromkeys(line.contact_types, np.full(n, c)), sample=s) for s, c in enumerate((1, 2, 3))
    ]
    with pytest.warns(SimulationWarning, match="3 paths for 7 replications"):
        runs = bp.simulate(line, volumes=pd.concat(frames), replications=7, seed=1, **QUIET)
    offered = runs.summary(by="replication", metrics="offered")["value"]
    assert offered.tolist() == [2 * n * c for c in (1, 2, 3, 1, 2, 3, 1)]


def test_real_numbers_are_expectations(line):
    """Mean and variance of the counts: Poisson times the day factor; five standard errors, false-fail rate 1e-6."""
    expected = volumes_of(line, {"billing": np.full(len(line.grid), 30.5), "sales": np.full(len(line.grid), 9.5)})
    runs = bp.simulate(line, volumes=expected, replications=400, seed=2, **QUIET)
    day = runs.windows("offered", "day", contact_type="billing")["value"]
    mean, cv = 8 * 30.5, 0.1
    sd = np.sqrt(mean + (mean * cv) ** 2)
    assert abs(day.mean() - mean) < 5 * sd / np.sqrt(len(day))
    assert abs(day.std() / sd - 1) < 5 * 0.75 / np.sqrt(len(day)), (
        "and a Poisson law without a day factor would be caught"
    )
    assert abs(np.sqrt(mean) / sd - 1) > 5 * 0.75 / np.sqrt(len(day))


def test_volumes_that_do_not_fit_are_refused(line):
    good = volumes_of(line, dict.fromkeys(line.contact_types, np.ones(len(line.grid), int)))
    with pytest.raises(ParameterError) as caught:
        bp.simulate(line, volumes=good.replace({"contact_type": {"sales": "sails"}}), **QUIET)
    assert "'sails', which the scenario lacks" in str(caught.value)
    assert "nothing for contact type 'sales'" in str(caught.value)
    with pytest.raises(ParameterError, match="without a zone"):
        bp.simulate(line, volumes=good.assign(interval_start=good["interval_start"].dt.tz_localize(None)), **QUIET)
    with pytest.raises(ParameterError, match="closed hours"):
        night = good.assign(interval_start=good["interval_start"] + pd.Timedelta(hours=6))
        bp.simulate(line, volumes=pd.concat([good, night]), **QUIET)
    with pytest.raises(ParameterError, match="share no interval"):
        bp.simulate(line, volumes=good.assign(interval_start=good["interval_start"] + pd.Timedelta(days=70)), **QUIET)
    with pytest.raises(ParameterError, match="negative or missing"):
        bp.simulate(line, volumes=good.assign(contacts=-1), **QUIET)
    with pytest.raises(ParameterError, match="Forecast or a Volumes frame"):
        bp.simulate(line, volumes=[1, 2], **QUIET)


def test_staffing_takes_the_place_of_heads(line):
    frame = line.staffing_frame().assign(heads=5)
    runs = bp.simulate(line, staffing=frame, replications=2, seed=1, **QUIET)
    assert runs.scenario.staffing is not None
    scheduled = runs.agents.groupby("agent_group", observed=True)["scheduled_s"].unique()
    assert scheduled["sellers"].tolist() == [5 * 1800]
    assert set(scheduled["tellers"]) <= {4 * 1800, 5 * 1800}  # 4.5 net: 4 or 5, one draw a day
    same = bp.simulate(line, staffing={"tellers": 5, "sellers": 5}, replications=2, seed=1, **QUIET)
    pd.testing.assert_frame_equal(same.intervals, runs.intervals)
    assert (
        runs.provenance.inputs["staffing"]
        != bp.simulate(line, replications=1, seed=1, **QUIET).provenance.inputs["staffing"]
    )


def test_staffing_does_not_touch_the_contacts(line, runs):
    more = bp.simulate(line, staffing={"tellers": 9, "sellers": 9}, replications=3, seed=4, **QUIET)
    again = runs.restaffed({"tellers": 9, "sellers": 9})
    for k in range(3):
        a, b = runs.contacts(k), more.contacts(k)
        assert a["arrived"].equals(b["arrived"])
        both = a["handle_s"].notna() & b["handle_s"].notna()
        assert np.allclose(a.loc[both, "handle_s"], b.loc[both, "handle_s"])
        pd.testing.assert_frame_equal(again.contacts(k), b)
    assert again.replications == runs.replications


def test_heads_after_shrinkage_keep_their_mean():
    scenario = bp.load_scenario(
        {
            "days": 200,
            "opening_hours": {"daily": "08:00-09:00"},
            "contact_types": {"a": {"arrivals": {"rate": "1/h"}, "handle_time": {"deterministic": {"value": "1s"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 3, "shrinkage": 0.25}},
        }
    )
    scheduled = bp.simulate(scenario, replications=10, seed=3, **QUIET).agents["scheduled_s"] / 1800
    assert set(scheduled) == {2.0, 3.0}
    per_day = scheduled.to_numpy().reshape(-1, 2)
    assert (per_day[:, 0] == per_day[:, 1]).all(), "calm within the day"
    assert abs(per_day[:, 0].mean() - 2.25) < 5 * np.sqrt(0.1875 / 2000)


def test_warm_up_leaves_the_beginning_out(line, runs):
    warm = bp.simulate(line, replications=20, seed=4, warm_up="24h", **QUIET)
    a, b = runs.intervals, warm.intervals
    cut = runs.scenario.grid.origin + pd.Timedelta(hours=24)
    kept = a[a["interval_start"] >= cut].reset_index(drop=True)
    pd.testing.assert_frame_equal(b, kept[b.columns])
    assert (runs.agents["interval_start"] < cut).any()
    assert not (warm.agents["interval_start"] < cut).any()
    # A percentile leaves the same contacts out.
    late = pd.concat([log[log["arrived"] >= cut] for log in map(runs.contacts, range(20))])
    waits = late[late["outcome"] != "blocked"].groupby("replication")["wait_s"].quantile(0.95)
    assert warm.summary(metrics="wait_p95")["value"].iloc[0] == pytest.approx(waits.mean())
    with pytest.raises(ParameterError, match="shorter than the horizon"):
        bp.simulate(line, warm_up="90h", **QUIET)


@pytest.mark.parametrize("engine", ["fast", "reference"])
def test_what_becomes_of_the_queue_at_closing(engine):
    scenario = bp.load_scenario(
        {
            "days": 2,
            "opening_hours": {"daily": "08:00-09:00"},
            "contact_types": {
                "a": {"arrivals": {"rate": "1/h"}, "handle_time": {"deterministic": {"value": "20min"}}},
                "mail": {
                    "channel": "email",
                    "arrivals": {"rate": "1/h"},
                    "handle_time": {"deterministic": {"value": "20min"}},
                },
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 1}, "h": {"skills": ["mail"], "heads": 1}},
        }
    )
    counts = np.array([6, 0, 0, 0])
    volumes = volumes_of(scenario, {"a": counts, "mail": counts})
    logs = {
        drain: bp.simulate(
            scenario, volumes=volumes, replications=1, seed=2, drain=drain, engine=engine, **QUIET
        ).contacts(0)
        for drain in ("serve", "disconnect", "leave")
    }
    closing = scenario.grid.starts[0] + pd.Timedelta(hours=1)
    opening = scenario.grid.starts[2]
    outcome = {d: log[log["contact_type"] == "a"]["outcome"].value_counts() for d, log in logs.items()}
    assert outcome["serve"]["answered"] == 6
    assert logs["serve"].query("contact_type == 'a'")["answered"].max() > closing
    assert logs["serve"].query("contact_type == 'a'")["answered"].max() < opening
    assert outcome["disconnect"]["disconnected"] >= 2
    cut = logs["disconnect"].query("outcome == 'disconnected'")
    assert (cut["ended"] == closing).all()
    assert outcome["leave"]["answered"] == 6
    assert logs["leave"].query("contact_type == 'a'")["answered"].max() >= opening
    for log in logs.values():  # mail keeps for the next day whatever becomes of the callers
        mail = log[log["contact_type"] == "mail"]
        assert (mail["outcome"] == "answered").all()
        assert not mail["answered"].between(closing, opening, inclusive="left").any()
        assert (mail["answered"] >= opening).sum() >= 2


# Two runs, paired ----------------------------------------------------------------------------------------------------


def test_compare_pairs_replications(line, runs):
    more = bp.simulate(line, staffing={"tellers": 4, "sellers": 3}, replications=20, seed=4, **QUIET)
    table = bp.compare(runs, more).set_index("metric")
    assert table.loc["offered", ["difference", "ci_low", "ci_high"]].tolist() == [0, 0, 0], "the same contacts"
    (top_a, bottom_a), (top_b, bottom_b) = (
        r.windows("service_level", "all")[["numerator", "denominator"]].to_numpy().T for r in (runs, more)
    )
    a, b = top_a.sum() / bottom_a.sum(), top_b.sum() / bottom_b.sum()
    row = table.loc["service_level"]
    assert (row["first"], row["second"], row["difference"]) == (
        pytest.approx(a),
        pytest.approx(b),
        pytest.approx(b - a),
    )
    rest = (top_b - b * bottom_b) / bottom_b.mean() - (top_a - a * bottom_a) / bottom_a.mean()
    half = 2.093024054408263 * np.sqrt((rest**2).sum() / (20 * 19))
    assert row["ci_high"] - row["difference"] == pytest.approx(half)
    assert row["ci_low"] > 0
    ends = [r.summary(metrics="service_level").iloc[0] for r in (runs, more)]
    assert half < 0.8 * np.hypot(*[e["ci_high"] - e["value"] for e in ends]), "pairing takes the common luck out"
    by_type = bp.compare(runs, more, by="contact_type", metrics="asa")
    assert by_type["contact_type"].tolist() == ["billing", "sales"]
    with pytest.raises(ParameterError, match="by parameter of compare"):
        bp.compare(runs, more, by="replication")
    with pytest.raises(ParameterError, match="same seed and number"):
        bp.compare(runs, more.fresh(3))


@pytest.mark.parametrize("by", [None, "contact_type", "day", "agent_group"])
def test_compare_says_of_each_side_what_its_summary_says(line, runs, by):
    more = bp.simulate(line, staffing={"tellers": 4, "sellers": 3}, replications=20, seed=4, **QUIET)
    names = {
        "metrics": ["occupancy"] if by == "agent_group" else ["offered", "asa", "abandonment", "max_wait", "wait_p95"]
    }
    table = bp.compare(runs, more, by=by, **names)
    for side, source in (("first", runs), ("second", more)):
        told = source.summary(by=by, **names)
        both = table.merge(told, on=[*([by] if by else []), "metric"])
        assert len(both) == len(table) == len(told)
        assert np.allclose(both[side], both["value"], rtol=1e-12)
    assert (table["n"] == 20).all()
    assert (table["difference"] == table["second"] - table["first"]).all()


def test_the_interval_of_a_difference_of_ratios_covers_as_often_as_it_says():
    """2,000 experiments of 20 replications with heavy common luck: coverage 95 ± 2 %, a quarter narrower fails."""
    from bposim.simulate.compare import _difference

    rng = np.random.default_rng(20260602)
    inside = narrow = 0
    for _ in range(2000):
        busy = rng.gamma(4, 0.25, 20)
        contacts = rng.poisson(200 * busy)
        level = [np.clip(x - 0.2 * busy, 0.02, 0.98) for x in (0.8, 0.9)]
        first, second = (rng.binomial(contacts, p) for p in level)
        part = pd.DataFrame(
            {
                "top_first": first,
                "bottom_first": contacts,
                "top_second": second,
                "bottom_second": contacts,
                "batch": range(20),
            }
        )
        told = _difference(part, 0.95)
        off = abs(told["difference"] - 0.1)
        inside += told["ci_low"] <= 0.1 <= told["ci_high"]
        narrow += off <= 0.75 * (told["ci_high"] - told["difference"])
    assert 0.93 < inside / 2000 < 0.97
    assert narrow / 2000 < 0.92


def test_compare_refuses_fresh_replications(line, runs):
    """Same seed and number, other luck: nothing cancels, so nothing may be paired."""
    with pytest.raises(ParameterError, match="compare"):
        bp.compare(runs, runs.fresh(20))


# Bad questions -------------------------------------------------------------------------------------------------------


def test_bad_arguments_all_at_once(line):
    with pytest.raises(ParameterError) as caught:
        bp.simulate(
            line, replications=0, seed=-1, engine="quick", workers=0, warm_up="soon", within="20", drain="leave"
        )
    assert len(caught.value.problems) == 6
    for name in ("replications", "seed", "engine", "workers", "warm_up", "within"):
        assert name in str(caught.value)
    for wrong in ({"replications": 2.5}, {"replications": True}, {"seed": "a"}, {"drain": "flush"}):
        with pytest.raises(ParameterError, match=next(iter(wrong))):
            bp.simulate(line, **wrong)
    with pytest.raises(ParameterError, match="no open interval"):
        bp.simulate(line.replace(closed=["2026-03-07", "2026-03-08", "2026-03-09"]), replications=1)
    with pytest.raises(ParameterError, match="between 0 and 0"):
        bp.simulate(line, replications=1, **QUIET).contacts(1)


# Frames and intervals ------------------------------------------------------------------------------------------------


def test_frames_keep_their_columns(runs):
    frames = {f.name: f for f in ALL_FRAMES}
    for name, frame in (
        ("ContactLog", runs.contacts(1)),
        ("IntervalTable", runs.intervals),
        ("AgentLog", runs.agents),
        ("summary", runs.summary(by=["contact_type", "day"])),
    ):
        frames[name].check(frame, caller="this test")
        assert [c for c in frames[name].names if c in frame.columns] == frames[name].names
    assert str(runs.contacts(0)["arrived"].dt.tz) == "America/New_York"
    assert {"scenario", "seed", "replications", "engine"} <= set(runs.provenance.inputs)
    assert runs.provenance.inputs["scenario"] == runs.scenario.hash


def test_intervals_shrink_with_replications(line):
    few, many = (bp.simulate(line, replications=n, seed=8, **QUIET).summary(metrics="asa").iloc[0] for n in (50, 450))
    ratio = (few.ci_high - few.ci_low) / (many.ci_high - many.ci_low)
    assert 2.2 < ratio < 4.2  # √9 = 3
    assert close_to(few.value, few.ci_low, few.ci_high, many.value, errors=5)
