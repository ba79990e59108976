"""The back-test: what was observed against what the scenario makes of it, by interval, day and week."""

from __future__ import annotations

import warnings
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.backtest import stretch_of
from bposim.calibrate.formulas import components, formula_errors
from bposim.calibrate.played import Spread, coarsened, play_coarse
from bposim.calibrate.replay import agent_paces, observed_volumes, paced, refined, replay_world
from bposim.calibrate.verdict import BAND, expected_coverage, judge, judge_metric
from bposim.erlang import erlang_a
from bposim.errors import ParameterError
from bposim.metrics import windows


@pytest.fixture(scope="module")
def truth():
    return bp.load_scenario(
        {
            "name": "small", "time_zone": "America/New_York", "start": "2026-01-05", "days": 49,
            "opening_hours": {"mon-fri": "08:00-18:00"},
            "contact_types": {
                "a": {"arrivals": {"rate": "50/h"}, "handle_time": {"lognormal": {"mean": "240s", "cv": 0.9}},
                      "patience": {"exponential": {"mean": "240s"}}},
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 4}},
        }
    )  # fmt: skip


@pytest.fixture(scope="module")
def history(truth):
    from bposim.datasets import draw_history

    log = draw_history(truth, seed=5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.History.from_contacts(log.drop(columns="replication"), tz=truth.time_zone)


@pytest.fixture(scope="module")
def cal(truth, history):
    base = truth.replace({"contact_types.a.handle_time": {"exponential": {"mean": "1s"}}, "agent_groups.g.heads": 1})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.calibrate(base, history, until="2026-02-09")


@pytest.fixture(scope="module")
def test(cal, history):
    return cal.backtest(history, "2026-02-09", "2026-02-23", replications=60, within=["20s", "30s"])


def test_the_scenario_that_made_a_history_passes(test):
    assert test.verdict == "pass", repr(test)
    assert set(test.frame["metric"]) == {
        "service_level 20s", "service_level 30s", "service_level 60s", "abandonment", "asa", "occupancy",
    }  # fmt: skip


def test_tables_hold_every_interval_day_and_week(test):
    level = test.intervals[test.intervals["metric"] == "service_level 20s"]
    assert len(level) == 10 * 20
    assert len(test.days[test.days["metric"] == "asa"]) == 10
    assert len(test.weeks[test.weeks["metric"] == "asa"]) == 2
    day = level["interval_start"].dt.tz_localize(None).dt.normalize()
    made = (level["observed"] * level["contacts"]).groupby(day).sum() / level["contacts"].groupby(day).sum()
    daily = test.days[test.days["metric"] == "service_level 20s"].set_index("day")["observed"]
    assert np.allclose(made.to_numpy(), daily.to_numpy())


def test_bands_of_a_true_model_hold_what_they_say(test):
    """200 intervals, 90 % bands: fewer than 82 % would be five errors off were they independent; they are nearly so."""
    rows = test.coverage.set_index(["level", "metric"])["inside"]
    assert rows["interval", "service_level 20s"] > 0.82
    assert rows["day", "service_level 20s"] >= 0.6


def test_formulas_stand_beside_it_on_the_same_inputs(test, cal):
    table = test.formulas.set_index(["level", "metric", "model"])["error"]
    name = "service_level 20s"
    assert table["interval", name, "simulation"] < table["interval", name, "erlang-c"]
    assert set(test.formulas["model"]) == {"simulation", "erlang-a", "erlang-c"}
    assert "Erlang A" in test.against and "Erlang A" in repr(test)


def test_one_interval_of_erlang_a_by_hand(cal, history):
    from bposim.calibrate.formulas import formula_intervals, waiting_per_abandonment

    part = stretch_of(cal, history, "2026-02-09", "2026-02-10")
    grid = part.own.grid
    volumes = pd.DataFrame({"contact_type": "a", "interval_start": grid.starts, "contacts": 0})
    volumes.loc[3, "contacts"] = 30
    heads = {"g": np.full(len(grid), 4.5)}
    made = formula_intervals(cal, part.own, volumes, heads, ["20s"])
    kind = part.own.contact_types["a"]
    handle = kind.handle_time[0].mean + sum(law.mean for law in kind.after_contact_work or ())
    q = erlang_a(30 / 1800, handle, 4.5, patience=waiting_per_abandonment(cal), within=20.0)
    row = made["erlang-a"].set_index("metric")["value"]
    assert row["service_level 20s"] == pytest.approx(q.service_level["offered"])
    assert row["abandonment"] == pytest.approx(q.p_abandon) and row["asa"] == pytest.approx(q.asa)
    assert len(made["erlang-a"]) == 3  # only the interval that anybody came in


def test_errors_are_weighted_by_contacts_within_a_day():
    starts = pd.to_datetime(["2026-02-09 08:00", "2026-02-09 08:30", "2026-02-10 08:00"]).tz_localize("UTC")
    seen = pd.DataFrame({"interval_start": starts, "metric": "m", "observed": [0.5, 0.9, 0.7], "simulated": [0.6, 0.8, 0.7],
                         "contacts": [10, 30, 20]})  # fmt: skip
    other = pd.DataFrame({"interval_start": starts, "metric": "m", "value": [0.5, 0.5, 0.5]})
    table = formula_errors(seen, {"x": other}).set_index(["model", "level"])["error"]
    assert table["simulation", "interval"] == pytest.approx(4 / 60)
    assert table["simulation", "day"] == pytest.approx((abs(1 - 3) / 40 + 0) / 2)
    assert table["x", "interval"] == pytest.approx((12 + 4) / 60)
    assert table["x", "all"] == pytest.approx(16 / 60)


def test_types_and_groups_hang_together_by_skills(truth):
    kind = truth.canonical["contact_types"]["a"]
    world = truth.replace(
        {"contact_types.b": kind, "contact_types.c": kind, "agent_groups.h": {"skills": ["b", "c"], "heads": 1}}
    )
    assert sorted(components(world)) == [(["a"], ["g"]), (["b", "c"], ["h"])]
    joined = world.replace({"agent_groups.g.skills": ["a", "b"]})
    assert [(t, sorted(g)) for t, g in components(joined)] == [(["a", "b", "c"], ["g", "h"])]


def test_a_finer_grid_is_the_same_operation(truth):
    fine = refined(truth, 60.0)
    assert len(fine.grid) == 30 * len(truth.grid)
    assert fine.expected_contacts("a").sum() == pytest.approx(truth.expected_contacts("a").sum())
    assert refined(truth, 1700.0).interval == truth.interval  # no part of the half hour
    varies = truth.replace({"contact_types.a.handle_time": [{"exponential": {"mean": f"{60 + k}s"}} for k in range(20)],
                            "contact_types.a.arrivals": {"per_interval": list(range(20))}})  # fmt: skip
    fine = refined(varies, 600.0)
    assert [law.mean for law in fine.contact_types["a"].handle_time[:6]] == [60] * 3 + [61] * 3
    assert fine.expected_contacts("a")[:9].tolist() == pytest.approx([0] * 3 + [1 / 3] * 3 + [2 / 3] * 3)


def test_counts_of_a_fine_grid_add_up(truth):
    own = truth.replace(days=2)
    fine = refined(own, 60.0)
    volumes = pd.DataFrame({"contact_type": "a", "interval_start": fine.grid.starts, "contacts": 1})
    heads = {"g": np.full(len(fine.grid), 4.0)}
    runs = bp.simulate(fine, volumes=volumes, staffing=heads, replications=2, seed=3, progress=False)
    place = np.searchsorted(own.grid.start_ms, fine.grid.start_ms, side="right") - 1
    coarse = coarsened(runs.counts(), place, own)
    assert coarse.contacts["offered"].tolist() == np.full((2, len(own.grid), 1), 30).tolist()
    whole = runs.counts().contacts["max_wait_s"]
    assert coarse.contacts["max_wait_s"][0, 0, 0] == whole[0, :30, 0].max()
    played = play_coarse(fine, own, volumes=volumes, staffing=heads, replications=2, seed=3, within=["20s"])
    assert windows(played, "offered", "all")["value"].tolist() == [1200, 1200]


def test_paces_draw_towards_one_and_weigh_by_contacts():
    rng = np.random.default_rng(1)
    agent = np.repeat(["slow", "fast", "new"], [3000, 3000, 4])
    true = {"slow": 1.2, "fast": 0.8, "new": 3.0}
    contacts = pd.DataFrame({"agent": agent, "contact_type": "a", "outcome": "answered"})
    handle = rng.exponential(200.0, len(agent)) * np.array([true[a] for a in agent])
    paces = agent_paces(contacts, handle, 0.25)
    assert paces["slow"] == pytest.approx(1.2, abs=0.06) and paces["fast"] == pytest.approx(0.8, abs=0.06)
    assert paces["new"] < 2.0  # four contacts say little
    assert agent_paces(contacts, handle, 0.0) == {}


def test_the_pace_of_a_half_hour_is_that_of_who_was_there(truth):
    world = refined(truth.replace(days=1), 60.0)
    log = pd.DataFrame({"arrived": world.grid.starts[:1], "contact_type": ["a"]})
    volumes, _ = observed_volumes(log, world)
    begin = int(world.grid.starts[0].timestamp() * 1000)
    spans = pd.DataFrame({"agent_group": "g", "agent": ["slow", "fast"], "begin_ms": [begin, begin],
                          "end_ms": [begin + 3_600_000, begin + 1_800_000]})  # fmt: skip
    factor = paced(spans, {"slow": 2.0, "fast": 0.5}, volumes, world)["handle_factor"].to_numpy()
    # In the first half hour 1 / 2 and 1 / 0.5 of a contact's work are done: 2 / 2.5; then the slow one is alone; then nobody.
    assert (
        factor[:30] == pytest.approx(0.8) and factor[30:60] == pytest.approx(2.0) and factor[60:] == pytest.approx(1.0)
    )


def test_the_days_own_handle_times_can_be_played(cal, history):
    log = history.contacts.copy()
    late = log["arrived"] >= pd.Timestamp("2026-02-09", tz=history.zone)
    log.loc[late, "handle_s"] *= 1.3
    log["ended"] = (log["answered"] + pd.to_timedelta(log["handle_s"], unit="s")).where(
        log["handle_s"].notna(), log["ended"]
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        slower = bp.History.from_contacts(log.drop(columns=["replication"]), tz=history.zone)
    part = stretch_of(cal, slower, "2026-02-09", "2026-02-23")
    assert part.handled is not None and part.handled.mean() == pytest.approx(1.3, abs=0.06)
    fitted = cal.backtest(slower, "2026-02-09", "2026-02-23", replications=20, heads="observed")
    own = cal.backtest(slower, "2026-02-09", "2026-02-23", replications=20, handle_times="observed")
    assert (
        own.frame.set_index("metric").loc["asa", "simulated"] > fitted.frame.set_index("metric").loc["asa", "simulated"]
    )
    if fitted.verdict != "pass":
        assert "longer than fitted" in fitted.reason
    with pytest.raises(ParameterError, match="handle_times"):
        cal.backtest(slower, handle_times="mean")


def test_a_forecast_can_be_played_in_place_of_what_came(cal, history):
    own, _ = replay_world(cal.scenario, pd.Timestamp("2026-02-09").date(), 14, [])
    quiet = pd.DataFrame({"contact_type": "a", "interval_start": own.grid.starts, "contacts": 5})
    told = cal.backtest(history, "2026-02-09", "2026-02-23", replications=10, volumes=quiet)
    level = told.frame.set_index("metric").loc["service_level 20s"]
    assert level["simulated"] > 0.97 > level["observed"]
    assert told.formulas.empty and told.against == ""  # Erlang A had other contacts


def test_a_wrong_model_is_no_pass_and_says_why(cal, history, test):
    """Handle times a quarter too long: the bands miss what happened, by interval and over the stretch."""
    slow = cal.scenario.replace({"contact_types.a.handle_time": {"lognormal": {"mean": "300s", "cv": 0.9}}})
    wrong = replace(cal, scenario=slow).backtest(history, "2026-02-09", "2026-02-23", replications=60)
    row, true = (t.frame.set_index("metric").loc["service_level 20s"] for t in (wrong, test))
    assert wrong.verdict == row["verdict"] == "fail" and row["reason"] in wrong.reason
    assert row["reason"].endswith("outside the band") and "points off, beyond 6.0 points" in row["reason"]
    assert row["coverage"] < 0.75 < 0.82 < true["coverage"]


@pytest.mark.parametrize(
    ("told", "verdict", "reason"),
    [
        ((0.80, 0.82, 0.79, 0.85), "pass", "2.0 points off, within 3.0 points"),
        ((0.80, 0.82, 0.60, 0.99), "weak", "the band reaches 22.0 points to a side, beyond 6.0 points: too wide to prove anything"),
        ((0.80, 0.95, 0.60, 0.99), "weak", "the band reaches 35.0 points to a side, beyond 6.0 points: too wide to prove anything"),
        ((0.80, 0.845, 0.79, 0.88), "weak", "4.5 points off, beyond 3.0 points, though within the band: it may be chance"),
        ((0.80, 0.85, 0.83, 0.88), "weak", "5.0 points off, beyond 3.0 points, and outside the band"),
        ((0.80, 0.87, 0.83, 0.88), "fail", "7.0 points off, beyond 6.0 points, and outside the band"),
        ((0.80, 0.82, 0.79, 0.85, 0.6, 200), "weak", "only 60 % of 200 intervals lie in their band, which should hold 88 % with 100 replications"),
        ((0.80, 0.82, 0.79, 0.85, 0.7, 200, 10), "pass", "2.0 points off, within 3.0 points"),
        ((0.80, 0.82, 0.79, 0.85, 0.5, 200, 10), "weak", "only 50 % of 200 intervals lie in their band, which should hold 74 % with 10 replications"),
        ((0.80, 0.82, 0.79, 0.85, 0.0, 200, 9), "pass", "2.0 points off, within 3.0 points (too few replications to judge the bands of the intervals: 10 are needed)"),
        ((0.80, 0.8304, 0.82, 0.85), "weak", "3.04 points off, beyond 3.00 points, and outside the band"),
        ((0.80, 0.8304, 0.79, 0.85), "weak", "3.04 points off, beyond 3.00 points, though within the band: it may be chance"),
        ((0.80, 0.860004, 0.82, 0.87), "fail", "6.0004 points off, beyond 6.0000 points, and outside the band"),
        ((0.80, 0.80, 0.7396, 0.83), "weak", "the band reaches 6.04 points to a side, beyond 6.00 points: too wide to prove anything"),
        ((0.80, 0.82, 0.79, 0.85, 0.6, 10), "pass", "2.0 points off, within 3.0 points"),
        ((0.80, np.nan, np.nan, np.nan), "weak", "not known on one of the sides"),
    ],
)  # fmt: skip
def test_a_verdict_looks_at_the_error_the_band_and_the_coverage(told, verdict, reason):
    assert judge_metric("service_level", *told) == (verdict, reason)


@pytest.mark.parametrize("n", [3, 10, 20, 100])
def test_the_band_of_a_few_replications_holds_less_than_that_of_many(n):
    """40,000 draws: 0.01 is four standard errors and less than the band of 100 replications lacks to 90 %."""
    rng = np.random.default_rng(2)
    for draws, off in ((rng.random((n + 1, 40_000)), 0.01), (rng.standard_normal((n + 1, 40_000)), 0.03)):
        low, high = np.quantile(draws[1:], [(1 - BAND) / 2, (1 + BAND) / 2], axis=0)
        assert ((low <= draws[0]) & (draws[0] <= high)).mean() == pytest.approx(expected_coverage(n), abs=off)


@pytest.mark.parametrize("replications", [10, 20])
def test_a_true_model_is_no_doubt_for_the_few_replications_of_a_test(cal, history, replications):
    """Eight seeds of 100 intervals: coverages whose mean is off by less than 0.06 (about 4 standard errors)."""
    tests = [
        cal.backtest(history, "2026-02-09", "2026-02-14", replications=replications, seed=s, heads="observed")
        for s in range(8)
    ]
    assert not [t.reason for t in tests if "lie in their band" in t.reason]
    mine = pd.concat([t.coverage for t in tests])
    mine = mine[(mine["level"] == "interval") & (mine["metric"] == "asa")]
    assert mine["inside"].mean() == pytest.approx(mine["expected"].iloc[0], abs=0.06)


def test_the_limit_of_the_asa_is_a_share_of_it():
    assert judge_metric("asa", 40.0, 45.0, 40.0, 50.0) == ("pass", "5.0 s off, within 6.0 s")
    assert judge_metric("asa", 40.0, 53.0, 50.0, 55.0) == ("fail", "13.0 s off, beyond 12.0 s, and outside the band")
    assert judge_metric("asa", 10.0, 15.0, 12.0, 18.0)[0] == "fail"


def test_models_are_compared_on_the_intervals_in_which_all_have_a_value():
    starts = pd.date_range("2026-02-09 08:00", periods=3, freq="30min", tz="UTC")
    seen = pd.DataFrame({"interval_start": starts, "metric": "asa", "observed": [10.0, 20.0, 90.0],
                         "simulated": [11.0, 18.0, 50.0], "contacts": [10, 30, 20]})  # fmt: skip
    c = pd.DataFrame({"interval_start": starts, "metric": "asa", "value": [14.0, 22.0, np.inf]})
    table = formula_errors(seen, {"erlang-c": c}).set_index(["model", "level"])
    assert table.loc[("simulation", "interval"), "error"] == pytest.approx(
        (10 * 1 + 30 * 2) / 40
    )  # 870 / 60 with the third
    assert table.loc[("erlang-c", "interval"), "error"] == pytest.approx((10 * 4 + 30 * 2) / 40)
    assert table["intervals"].unique().tolist() == [2]
    assert table["unstable"].groupby("model").first().to_dict() == {"erlang-c": 1, "simulation": 0}
    none = formula_errors(seen, {"erlang-c": c.assign(value=np.inf)})
    assert none["error"].isna().all() and set(none["intervals"]) == {0}


def test_an_interval_without_a_steady_state_counts_against_the_service_level_of_erlang_c(cal, history):
    from bposim.calibrate.formulas import formula_intervals

    part = stretch_of(cal, history, "2026-02-09", "2026-02-10")
    grid = part.own.grid
    volumes = pd.DataFrame({"contact_type": "a", "interval_start": grid.starts, "contacts": 30})
    made = formula_intervals(cal, part.own, volumes, {"g": np.full(len(grid), 3.0)}, ["20s"])
    c = made["erlang-c"].groupby("metric")["value"].agg(["min", "max"])
    assert c.loc["service_level 20s"].tolist() == [0, 0] and np.isinf(c.loc["asa", "min"])
    assert np.isfinite(made["erlang-a"]["value"]).all()


def test_unstable_intervals_are_counted_in_words(test):
    asa = test.formulas[(test.formulas["metric"] == "asa") & (test.formulas["level"] == "interval")]
    lost = asa.set_index("model")["unstable"]
    assert lost["erlang-c"] > 0 == lost["erlang-a"] == lost["simulation"] and asa["intervals"].nunique() == 1
    known = test.intervals[(test.intervals["metric"] == "asa") & test.intervals["observed"].notna()]
    assert asa["intervals"].iloc[0] + lost["erlang-c"] == len(known)
    assert f"no steady state in {lost['erlang-c']} of {len(known)} intervals" in test.against


def test_errors_of_the_asa_are_weighted_by_the_answered(test, history):
    mine = test.intervals[test.intervals["metric"] == "asa"].set_index("interval_start")["contacts"]
    counts = history.intervals.set_index("interval_start")["answered"]
    assert (mine == counts.reindex(mine.index)).all()


def _worlds(truth):
    own, world = replay_world(truth, pd.Timestamp("2026-01-05").date(), 2, [])
    came, _ = observed_volumes(pd.DataFrame({"arrived": world.grid.starts[:1], "contact_type": ["a"]}), world)
    return own, world, came.assign(handle_factor=np.linspace(0.5, 1.5, len(came)))


def test_a_forecast_is_played_minute_by_minute_with_the_paces_of_those_on_duty(truth):
    own, world, came = _worlds(truth)
    count = np.arange(len(own.grid))
    told = pd.DataFrame({"contact_type": "a", "interval_start": own.grid.starts, "contacts": count})
    spread = Spread.of(told, own, world, came, 3)
    frame = spread.frame(0, 5)
    assert len(frame) == len(world.grid) and frame["contacts"].dtype.kind == "i" and "sample" not in frame
    place = np.searchsorted(own.grid.start_ms, world.grid.start_ms, side="right") - 1
    assert np.bincount(place, frame["contacts"]).tolist() == count.tolist()
    assert (frame["handle_factor"].to_numpy() == came["handle_factor"].to_numpy()).all()
    same = Spread.of(told.assign(handle_factor=1.2), own, world, came, 3).frame(0, 5)
    assert (same["handle_factor"] == 1.2).all() and same["contacts"].tolist() == frame["contacts"].tolist()
    real = Spread.of(told.assign(contacts=count * 1.5), own, world, came, 3).frame(0, 5)
    assert real["contacts"].to_numpy() == pytest.approx(count[place] * 1.5 / 30)


def test_contacts_of_a_forecast_come_at_any_minute_alike(truth):
    """2,000 contacts over 30 minutes: chi-square with 29 degrees of freedom is above 100 once in 10⁹."""
    own, world, came = _worlds(truth)
    told = pd.DataFrame({"contact_type": "a", "interval_start": own.grid.starts, "contacts": 2000})
    minutes = Spread.of(told, own, world, came, 3).frame(0, 1)["contacts"].to_numpy().reshape(-1, 30)
    chi = ((minutes - 2000 / 30) ** 2 / (2000 / 30)).sum(axis=1)
    assert chi.max() < 100 and chi.mean() == pytest.approx(29, abs=8)


def test_each_batch_of_replications_plays_the_next_paths(truth):
    own, world, came = _worlds(truth)
    paths = [
        pd.DataFrame({"contact_type": "a", "interval_start": own.grid.starts, "contacts": k, "sample": k})
        for k in range(4)
    ]
    spread = Spread.of(pd.concat(paths), own, world, came, 3)

    def played(first, n):
        frame = spread.frame(first, n)
        assert frame["sample"].unique().tolist() == list(range(n))
        return (frame.groupby("sample")["contacts"].sum() / len(own.grid)).tolist()

    assert played(0, 3) == [0, 1, 2]
    assert played(3, 6) == [3, 0, 1, 2, 3, 0]  # the fourth, and on from the beginning


def test_paths_are_played_equally_often_however_replications_are_batched(truth, monkeypatch):
    """40 paths in two batches of 60: three times each."""
    from bposim.calibrate import played

    own, world, came = _worlds(truth.replace(opening_hours={"mon-fri": "08:00-09:00"}))
    paths = [
        pd.DataFrame({"contact_type": "a", "interval_start": own.grid.starts, "contacts": k, "sample": 100 + k})
        for k in range(40)
    ]
    spread = Spread.of(pd.concat(paths), own, world, came, 3)
    monkeypatch.setattr(played, "CELLS", 60 * len(world.grid) * played._COLUMNS)
    heads = {"g": np.full(len(world.grid), 4.0)}
    made = play_coarse(world, own, volumes=spread, staffing=heads, replications=120, seed=3, within=["20s"])
    offered = windows(made, "offered", "all")["value"].to_numpy() / len(own.grid)
    assert offered.tolist() == [k % 40 for k in range(120)]


def test_what_came_told_as_a_forecast_plays_as_what_came(cal, history, test):
    """The same contacts by the half hour: only their minutes differ. 60 replications leave an error of half a point."""
    part = stretch_of(cal, history, "2026-02-09", "2026-02-23")
    count = part.volumes["contacts"].to_numpy().reshape(-1, 30).sum(axis=1)
    told = pd.DataFrame({"contact_type": "a", "interval_start": part.own.grid.starts, "contacts": count})
    again = cal.backtest(history, "2026-02-09", "2026-02-23", replications=60, volumes=told)
    one, other = (t.frame.set_index("metric")["simulated"] for t in (test, again))
    assert other["service_level 20s"] == pytest.approx(one["service_level 20s"], abs=0.02)
    assert other["occupancy"] == pytest.approx(one["occupancy"], abs=0.01)
    # The agents a tenth slower than the law: a forecast feels it too.
    slow = told.assign(handle_factor=1.1)
    busy = cal.backtest(history, "2026-02-09", "2026-02-23", replications=20, volumes=slow).frame.set_index("metric")
    assert busy.loc["occupancy", "simulated"] > other["occupancy"] + 0.03


def test_days_that_the_history_does_not_hold_are_told_and_not_played(cal, history):
    late = cal.backtest(history, "2026-02-16", "2026-03-01", replications=3)
    assert (
        "5 open days asked for hold no contact in the history (2026-02-23 to 2026-02-27) and are not played"
        in late.reason
    )
    assert stretch_of(cal, history, "2026-02-16", "2026-03-01").own.grid.starts[-1].date().isoformat() == "2026-02-20"
    log = history.contacts.drop(columns="replication")
    gone = log[log["arrived"].dt.strftime("%Y-%m-%d") != "2026-02-18"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        holed = bp.History.from_contacts(gone, tz=history.zone)
    one = cal.backtest(holed, "2026-02-16", "2026-02-21", replications=3)
    assert "1 open day asked for holds no contact in the history (2026-02-18) and is not played" in one.reason
    assert "asked for" not in cal.backtest(history, "2026-02-16", "2026-02-23", replications=3).reason


def test_volumes_of_days_that_the_history_lacks_are_left_out_and_told(cal, history):
    log = history.contacts.drop(columns="replication")
    gone = log[log["arrived"].dt.strftime("%Y-%m-%d") != "2026-02-18"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        holed = bp.History.from_contacts(gone, tz=history.zone)
    whole, _ = replay_world(cal.scenario, pd.Timestamp("2026-02-16").date(), 14, [])
    told = pd.DataFrame({"contact_type": "a", "interval_start": whole.grid.starts, "contacts": 5})
    for end in (None, "2026-03-02"):
        test = cal.backtest(holed, "2026-02-16", end, replications=3, volumes=told)
        assert (
            "The volumes of 6 days are left out, for the history holds nothing to compare them with (2026-02-18, 2026-02-23 to "
            "2026-02-27)."
        ) in test.reason
        assert test.days["day"].nunique() == 4
    only = told[told["interval_start"].dt.strftime("%m-%d") == "02-18"]
    with pytest.raises(ParameterError, match="hold only days from 2026-02-18 to 2026-02-18"):
        cal.backtest(holed, "2026-02-16", replications=3, volumes=only)
    asked = cal.backtest(holed, "2026-02-16", "2026-02-18", replications=3, volumes=told)
    assert "left out" not in asked.reason  # of the days asked for none is


def test_a_forecast_beyond_the_history_is_played_as_far_as_it_reaches(cal, history):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ahead = bp.forecast(
            history.between("2026-01-05", "2026-02-16"), start="2026-02-16", days=14, method="seasonal-naive", samples=4
        )
        test = cal.backtest(history, "2026-02-16", replications=4, volumes=ahead)
        frame = cal.backtest(history, "2026-02-16", replications=4, volumes=ahead.volumes)
    assert "The volumes of 5 days are left out" in test.reason and "2026-02-23 to 2026-02-27" in test.reason
    assert test.frame["simulated"].tolist() == frame.frame["simulated"].tolist()


def test_weeks_that_hold_fewer_days_are_labelled(cal, history):
    weeks = cal.backtest(history, "2026-02-11", "2026-02-23", replications=3).weeks
    asa = weeks[weeks["metric"] == "asa"]
    assert asa["days"].tolist() == [3, 5] and asa["partial"].tolist() == [True, False]


def test_days_that_were_fitted_and_contacts_left_out_are_told(cal, history):
    fitted = cal.backtest(history, "2026-02-02", "2026-02-14", replications=3)
    assert "5 of its 10 days were fitted on" in fitted.reason
    short = replace(cal, scenario=cal.scenario.replace({
        "opening_hours": {"mon-fri": "08:00-14:00"}, "contact_types.a.arrivals": {"rate": "1/h"}, "agent_groups.g.heads": 4,
    }))  # fmt: skip
    cut = short.backtest(history, "2026-02-09", "2026-02-14", replications=3)
    assert "40 % of the contacts came outside" in cut.reason and "fitted on" not in cut.reason


def test_an_interval_report_can_be_tested_too(truth, history):
    report = history.intervals.rename(columns={"contact_type": "type"})
    counted = report[["interval_start", "type", "offered", "answered", "abandoned", "answered_within_s20", "wait_answered_sum_s",
                      "handle_sum_s"]]  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = bp.read_history(_written(counted), profile="intervals", tz=truth.time_zone)
        cal = bp.calibrate(truth, told, until="2026-02-09")
        test = cal.backtest(told, "2026-02-09", "2026-02-16", replications=20)
    assert test.frame.set_index("metric").loc["service_level 20s", "verdict"] == "pass"
    assert "service_level 60s" not in set(test.frame["metric"])  # the report has not counted it


def _written(frame):
    import tempfile
    from pathlib import Path

    path = Path(tempfile.mkdtemp()) / "report.csv"
    frame.to_csv(path, index=False)
    return path


def test_pictures(test, cal):
    for level in ("day", "week", "interval"):
        assert test.plot(level=level).get_title().startswith("Back-test")
    assert test.plot(metric="asa").get_ylabel() == "asa (s)"
    assert test.plot_coverage().get_ylabel() == "observed within the band (%)"
    with pytest.raises(ParameterError, match="level"):
        test.plot(level="month")


def test_a_report_is_drafted_and_its_erlang_a_is_none_of_erlang_c(history):
    counted = history.intervals.rename(columns={"contact_type": "type"})[
        [
            "interval_start",
            "type",
            "offered",
            "answered",
            "abandoned",
            "answered_within_s20",
            "wait_answered_sum_s",
            "handle_sum_s",
        ]
    ]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        told = bp.read_history(_written(counted), profile="intervals", tz="America/New_York")
        base = bp.draft_scenario(told)
        cal = bp.calibrate(base, told, until="2026-02-09")
        test = cal.backtest(told, "2026-02-09", "2026-02-16", replications=5)
    assert list(base.contact_types) == ["a"] and base.interval == 1800
    assert base.contact_types["a"].handle_time[0].mean == pytest.approx(240, rel=0.05)
    table = test.formulas.set_index(["level", "metric", "model"])["error"]
    name = "service_level 20s"
    assert table["interval", name, "erlang-a"] < 0.8 * table["interval", name, "erlang-c"]
    with pytest.raises(ParameterError, match="interval report"):
        cal.plot_patience("a")


def test_occupancy_alone_does_not_fail_a_test():
    rows = pd.DataFrame(
        {
            "metric": ["service_level 20s", "occupancy"],
            "observed": 0.8,
            "simulated": 0.7,
            "verdict": ["pass", "fail"],
            "reason": "so",
        }
    )
    assert judge(rows)[0] == "weak"
    assert judge(rows.assign(verdict=["fail", "pass"]))[0] == "fail"


def test_a_picture_of_a_type_that_hardly_anybody_leaves(cal):
    axes = cal.plot_patience("a")
    assert axes[1].get_ylim()[1] > 0
    with pytest.raises(ParameterError, match="one of 'a'"):
        cal.plot_patience("b")


def _quiet(base, told, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.calibrate(base, told, **options)


def _drawn(scenario, seed=5):
    from bposim.datasets import draw_history

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.History.from_contacts(
            draw_history(scenario, seed=seed).drop(columns="replication"), tz=scenario.time_zone
        )


def test_heads_seen_at_work_lose_nobody_to_absence(cal, history):
    """Absence and shrinkage of the scenario belong to scheduled heads: a replay of heads on duty is the same without."""
    gross = replace(
        cal, scenario=cal.scenario.replace({"agent_groups.g.absence": 0.2, "agent_groups.g.shrinkage": 0.1})
    )
    plain = cal.backtest(history, "2026-02-09", "2026-02-16", replications=5)
    lost = gross.backtest(history, "2026-02-09", "2026-02-16", replications=5)
    assert lost.frame["simulated"].tolist() == plain.frame["simulated"].tolist()
    assert lost.profile.frame["simulated"].tolist() != plain.profile.frame["simulated"].tolist()


def test_a_scenario_that_names_its_agents_can_be_tested(truth):
    spell = [{"days": "mon-fri", "start": "08:00", "end": "18:00"}]
    named = truth.replace(
        {"days": 21, "agent_groups.g": {"skills": ["a"], "agents": {f"g-0{i}": {"schedule": spell} for i in range(4)}}}
    )
    told = _drawn(named)
    test = _quiet(named, told, until="2026-01-19").backtest(told, "2026-01-19", "2026-01-26", replications=20)
    assert test.verdict == "pass", repr(test)


def test_a_skill_multiplier_is_no_drift_and_known_to_the_formulas(truth):
    slow = truth.replace({"days": 21, "agent_groups.g.skills": {"a": 1.5}, "agent_groups.g.heads": 6})
    told = _drawn(slow)
    cal = _quiet(slow, told, until="2026-01-19")
    part = stretch_of(cal, told, "2026-01-19", "2026-01-26")
    assert part.handled is not None and part.handled.mean() == pytest.approx(1.0, abs=0.08)
    test = cal.backtest(told, "2026-01-19", "2026-01-26", replications=5)
    error = test.formulas.set_index(["level", "metric", "model"])["error"]
    assert error["all", "service_level 20s", "erlang-a"] < 0.08  # 0.19 if 1.5 is forgotten


def test_agent_hours_are_right_whatever_the_base_says_of_work_after_contacts_and_redials(truth):
    """The replays that correct agent-hours play the fitted scenario: neither the base's after-contact work nor its redials."""
    told = _drawn(truth.replace(days=14))
    other = truth.replace({
        "contact_types.a.after_contact_work": {"exponential": {"mean": "60s"}},
        "contact_types.a.redial": {"after_abandonment": 0.5, "delay": {"exponential": {"mean": "10min"}}},
    })  # fmt: skip
    cal = _quiet(other, told)
    assert cal.scenario.contact_types["a"].after_contact_work is None
    hours = cal.summary().set_index("parameter").loc["agent-hours on duty per day", "value"]
    assert hours == pytest.approx(40.0, rel=0.01)


@pytest.mark.parametrize("start", ["2026-03-02", "2026-10-19"])
def test_weeks_with_a_change_of_the_clock_can_be_fitted_and_tested(truth, start):
    world = truth.replace({
        "opening_hours": {"daily": "00:00-24:00"}, "start": start, "days": 14,
        "contact_types.a.arrivals": {"per_interval": [40.0 if k == 20 else 5.0 for k in range(48)]},
    })  # fmt: skip
    told = _drawn(world)
    cal = _quiet(world, told)
    for weekday in (5, 6):
        profile = np.array(cal.scenario.contact_types["a"].arrivals.per_interval[weekday])
        assert len(profile) == 48 and profile.argmax() == 20
    part = stretch_of(cal, told)
    assert part.volumes["contacts"].sum() == len(told.contacts)


def test_a_type_that_nobody_asked_for_is_fitted_with_no_contacts(truth):
    told = _drawn(truth.replace(days=21))
    more = truth.replace(
        {"contact_types.b": truth.canonical["contact_types"]["a"], "agent_groups.g.skills": ["a", "b"]}
    )
    cal = _quiet(more, told)
    assert sum(map(sum, cal.scenario.contact_types["b"].arrivals.per_interval.values())) == 0
