"""Handle time and workload: planted truths come back, bands hold, volumes stay as they were."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import nhpp
from handle_worlds import COURSE, PATTERN, contacts, log

import bposim as bp
from bposim.errors import ForecastError, ParameterError
from bposim.forecast import Analogy, _handle, forecast
from bposim.forecast._counts import read_counts
from bposim.forecast._handle import read_handled
from bposim.forecast._workload import draw_handle_times
from bposim.history import History

CUT = pd.Timestamp("2023-06-19", tz="Asia/Manila")


def parted(seed: int = 1, n_days: int = 196, **world):
    frame, truth = contacts(n_days, seed, **world)
    return log(frame[frame["arrived"] < CUT]), frame[frame["arrived"] >= CUT], truth


@pytest.fixture(scope="module")
def usual():
    history, _, _ = parted()
    return forecast(history, days=14, method="level", samples=300)


def wide(frame: pd.DataFrame, by: str, value: str) -> pd.DataFrame:
    return frame.pivot_table(index=by, columns="quantile", values=value)


def test_weekday_pattern_and_course_of_the_day_are_recovered():
    history, _, _ = parted(per_hour=40.0)
    ahead = forecast(history, days=7, method="level", samples=5)
    days = ahead.handle_times("day")["handle_s"].to_numpy()
    assert np.allclose(days / days.mean(), PATTERN[:5] / PATTERN[:5].mean(), atol=0.03)
    assert abs(days.mean() / (240 * PATTERN[:5].mean()) - 1) < 0.05
    hours = ahead.handle_times()["handle_s"].to_numpy().reshape(5, 8, 2).mean(axis=(0, 2))
    assert np.abs(hours / hours.mean() - COURSE / COURSE.mean()).mean() < 0.02


def test_a_flat_truth_stays_nearly_flat():
    # Raw means of weekdays scatter by 2 %, of intervals by 3 %; drawn towards none they do not.
    spread, course = [], []
    for seed in range(4):
        history, _, _ = parted(seed, pattern=np.ones(7), course=np.ones(8), day_sd=0.0)
        view = forecast(history, days=7, method="level", samples=5)._handle.outlooks[0]
        spread.append(view.expected.std() / view.expected.mean())
        course.append(view.profile.std())
    assert np.mean(spread) < 0.0125 and np.mean(course) < 0.02


def test_the_season_of_the_year_is_forecast_from_two_years():
    frame, truth = contacts(880, 3, season=0.25, per_hour=20.0)
    cut = pd.Timestamp("2025-02-24", tz="Asia/Manila")
    past = frame[frame["arrived"] < cut]
    ahead = forecast(log(past), days=91, method="level", samples=5).handle_times("day")
    came = truth["mean"].reindex(ahead["day"].dt.tz_localize(None)).to_numpy()
    latest = past.loc[past["arrived"] >= cut - pd.Timedelta(days=28), "handle_s"].mean()
    miss, plain = (np.abs(x - came).mean() / came.mean() for x in (ahead["handle_s"].to_numpy(), latest))
    assert plain > 0.07 and miss < 0.05


def test_the_forecast_beats_a_constant_and_the_repetition_of_weeks():
    history, _, _ = parted(drift=0.01, per_hour=30.0)
    test = forecast(history, days=14, method="level", samples=50).backtest(origins=5, days=14)
    table = test.summary("day", measure="handle_time").set_index("method")
    assert table.loc["level", "wape"] < table.loc["mean-4", "wape"] < table.loc["seasonal-naive", "wape"]
    cells = test.cells[(test.cells["measure"] == "handle_time") & (test.cells["by"] == "day")]
    mine = cells[cells["method"] == "level"]
    seen = history.contacts
    gap = 0.0
    for origin, part in mine.groupby("origin"):
        past = seen.loc[seen["arrived"] < pd.Timestamp(origin, tz="Asia/Manila"), "handle_s"].mean()
        gap += ((past - part["actual"]).abs() * part["weight"]).sum()
    assert table.loc["level", "wape"] < 0.85 * gap / (mine["actual"] * mine["weight"]).sum()


@pytest.mark.parametrize("world", [{}, {"drift": 0.005, "day_sd": 0.05, "per_hour": 40.0, "together": 0.6}])
def test_bands_of_handle_time_and_workload_hold(world):
    # 6 worlds × 20 days; a band of 80 % must hold 68 to 92 % of days. The standard error is about 5 %, days of one world
    # sharing a level; bands without the day's factor and level hold 55 % of workloads in the second world.
    inside = {"handle_s": [], "workload_h": []}
    for seed in range(6):
        history, later, _ = parted(seed, **world)
        ahead = forecast(history, days=28, method="level", samples=300)
        by_day = later.groupby(later["arrived"].dt.normalize())["handle_s"]
        for name, bands, came in (
            ("handle_s", ahead.handle_times("day", q=[0.1, 0.9]), by_day.mean()),
            ("workload_h", ahead.workload("day", q=[0.1, 0.9]), by_day.sum() / 3600),
        ):
            q = wide(bands, "day", name)
            came = came.reindex(q.index)
            inside[name] += list((came >= q[0.1]) & (came <= q[0.9]))
    for name, held in inside.items():
        assert 0.68 <= np.mean(held) <= 0.92, name


def test_busy_days_with_long_handle_times_widen_the_workload():
    spread = {}
    for together in (0.9, -0.9):
        history, _, _ = parted(per_hour=60.0, day_sd=0.2, volume_sd=0.2, together=together)
        ahead = forecast(history, days=14, method="level", samples=500)
        assert np.sign(ahead._handle.together[0]) == np.sign(together)
        q = wide(ahead.workload("day", q=[0.1, 0.9]), "day", "workload_h")
        spread[together] = float(((q[0.9] - q[0.1]) / ahead.workload("day")["workload_h"].to_numpy()).mean())
        # E[XY] over E[X] E[Y]: 500 paths of ten days tell it to 0.1 %.
        number, load = (
            x[:, :, 0].reshape(500, 10, 16).sum(axis=2) for x in (ahead.array, ahead.array * ahead.handle_paths)
        )
        paths = np.log(load.mean(axis=0) / number.mean(axis=0) / (load / number).mean(axis=0)).mean()
        told = np.log(ahead._handle.load / ahead.expected / ahead._handle.expected).mean()
        assert together * told > 0.008 and abs(paths - told) < 0.004
    assert spread[0.9] > 1.6 * spread[-0.9]


@pytest.mark.parametrize("by", ["interval", "day", "week", "all"])
def test_workload_is_contacts_times_handle_time(usual, by):
    work, handle, volume = usual.workload(by), usual.handle_times(by), usual.mean(by)
    assert np.allclose(work["workload_h"], volume["contacts"] * handle["handle_s"] / 3600)
    assert list(work.columns[:-1]) == list(volume.columns[:-1])
    q = usual.workload(by, q=[0.1, 0.5, 0.9])["workload_h"].to_numpy().reshape(3, -1)
    assert (np.diff(q, axis=0) >= 0).all()


def test_volumes_stay_as_they_were_and_paths_are_the_same_however_many(usual):
    history, _, _ = parted()
    frame = forecast(history.volumes(), days=14, method="level", samples=300)
    before = usual.array.copy()
    assert (frame.array == before).all()
    paths = usual.handle_paths
    assert paths.shape == usual.array.shape and not paths.flags.writeable and (usual.array == before).all()
    again = forecast(history, days=14, method="level", samples=300)
    assert (again.handle_paths == paths).all()
    for low, high in ((0, 100), (250, 300)):
        some = replace(usual._parts, array=usual.array[low:high])
        drawn = draw_handle_times(usual._handle, usual.contact_types, some, 1, low)
        assert (drawn == paths[low:high]).all()
    more = usual.more(300)
    assert more.handle_paths.shape == (300, *paths.shape[1:])
    assert abs(np.corrcoef(more.handle_paths.mean(axis=(1, 2)), paths.mean(axis=(1, 2)))[0, 1]) < 0.25
    other = forecast(history, days=14, method="level", samples=300, seed=2)
    assert (other.handle_paths != paths).all()


def test_nothing_after_the_start_is_seen():
    frame, _ = contacts(168, 2)
    later = frame["arrived"] >= pd.Timestamp("2023-05-22", tz="Asia/Manila")
    altered = frame.copy()
    altered.loc[later, "handle_s"] *= 3
    a, b = (forecast(log(f), start="2023-05-22", days=14, method="level", samples=20) for f in (frame, altered))
    assert (a.handle_paths == b.handle_paths).all() and (a._handle.load == b._handle.load).all()
    x, y = (f.backtest(origins=["2023-05-22"], days=14).cells for f in (a, b))
    handle = (x["measure"] == "handle_time") & (x["method"] == "level")
    assert (x["expected"] == y["expected"]).all() and (x["actual"][handle] != y["actual"][handle]).all()


def test_hours_that_open_after_the_start_tell_nothing_of_handle_times():
    # A few stray contacts of twenty minutes come after 16:00; from the start on the evening is open.
    frame, _ = contacts(168, 2)
    start = pd.Timestamp("2023-05-22", tz="Asia/Manila")
    evening = frame[frame["arrived"].dt.hour >= 14].assign(arrived=lambda f: f["arrived"] + pd.Timedelta(hours=3))
    stray = evening[evening["arrived"] < start].iloc[::60].assign(handle_s=1200.0)
    whole = pd.concat([frame, stray, evening[evening["arrived"] >= start]]).sort_values("arrived", ignore_index=True)
    a, b = (
        forecast(log(f), start="2023-05-22", days=14, method="level", samples=20)
        for f in (whole, whole[whole["arrived"] < start])
    )
    assert (a.expected == b.expected).all()
    assert np.array_equal(a._handle.load, b._handle.load) and (a.handle_paths == b.handle_paths).all()
    cells = a.backtest(origins=["2023-05-22"], days=14).cells
    mine = cells[(cells["measure"] == "handle_time") & (cells["method"] == "level") & (cells["by"] == "day")]
    assert mine["expected"].to_numpy() == pytest.approx(b.handle_times("day")["handle_s"].to_numpy())


def test_a_backtest_scores_all_three_measures_beside_their_floors():
    history, _, _ = parted()
    test = forecast(history, days=14, method="level", samples=100).backtest(origins=3, days=14)
    whole = test.summary(measure=None)
    assert set(whole["measure"]) == {"volume", "handle_time", "workload"}
    assert set(test.summary()["method"]) == {"level", "seasonal-naive", "mean-4"} and "measure" not in test.summary()
    own = whole[whole["method"] == "level"].set_index(["measure", "by"])
    assert own["coverage_80"].between(0.5, 1).all()
    # A mean of n handle times with coefficient of variation 1: √(2 / π n).
    contacts_a_day = test.cells.query("measure == 'handle_time' and by == 'day' and method == 'level'")["weight"].mean()
    assert np.isclose(own.loc[("handle_time", "day"), "noise_floor"], np.sqrt(2 / np.pi / contacts_a_day), rtol=0.1)
    assert own.loc[("handle_time", "day"), "wape"] < 2 * own.loc[("handle_time", "day"), "noise_floor"]
    seen = history.contacts
    cells = test.cells.query("by == 'day' and method == 'level'")
    last = cells["window_start"].max()
    day = seen[seen["arrived"].dt.date == last.date()]["handle_s"]
    cell = cells[cells["window_start"] == last].set_index("measure")["actual"]
    assert np.isclose(cell["handle_time"], day.mean()) and np.isclose(cell["workload"], day.sum() / 3600)
    with pytest.raises(ParameterError, match="one of volume, handle_time, workload"):
        test.summary(measure="aht")


def test_sums_of_intervals_tell_nearly_what_contacts_tell():
    history, _, _ = parted(per_hour=30.0)
    table = history.intervals
    sums = table[["contact_type", "interval_start", "offered", "answered", "handle_sum_s"]]
    path = forecast(history, days=14, method="level", samples=5)
    report = bp.History.from_counts(
        history.volumes().set_index("interval_start")["contacts"], contact_type="calls", freq="30min"
    )
    with pytest.raises(ForecastError, match="holds no handle times"):
        forecast(report, days=14, method="level", samples=5).handle_times()
    read = read_report(sums)
    ahead = forecast(read, days=14, method="level", samples=5)
    a, b = (f.handle_times("day")["handle_s"].to_numpy() for f in (path, ahead))
    assert np.allclose(a, b, rtol=0.01)
    assert abs(ahead._handle.outlooks[0].cv / path._handle.outlooks[0].cv - 1) < 0.1


def read_report(frame: pd.DataFrame) -> History:
    from bposim.history.build import from_frame

    wall = frame.assign(interval_start=frame["interval_start"].dt.strftime("%Y-%m-%d %H:%M"))
    return from_frame(wall, source="a report", profile="intervals", tz="Asia/Manila", columns=None, interval="30min",
                      types=None, day_first=None, accept=(), step="read_history")  # fmt: skip


def test_histories_without_handle_times_say_why():
    frame = nhpp(84, 1)
    ahead = forecast(frame, days=7, samples=5)
    for ask in (ahead.handle_times, ahead.workload, lambda: ahead.handle_paths, lambda: ahead.with_handle_times({})):
        with pytest.raises(ForecastError, match="made from a Volumes frame, which holds no handle times"):
            ask()
    test = ahead.backtest(origins=1, days=7)
    assert set(test.cells["measure"]) == {"volume"}
    with pytest.raises(ForecastError, match="no workload"):
        test.summary(measure="workload")


def test_a_type_without_handle_times_is_named():
    a, _ = contacts(84, 1)
    b, _ = contacts(84, 2, kind="mail")
    history = log(pd.concat([a, b.assign(handle_s=np.nan)]).sort_values("arrived", ignore_index=True))
    ahead = forecast(history, days=7, method="level", samples=5)
    assert ahead.contact_types == ("calls", "mail")
    with pytest.raises(ForecastError, match="contact type 'mail' has no known handle time before"):
        ahead.workload()
    test = ahead.backtest(origins=1, days=7)
    assert set(test.cells["measure"]) == {"volume"} and "'mail' has no known handle time before" in test.notes[-1]


def test_types_keep_their_own_handle_times():
    a, _ = contacts(140, 1, mean=120.0)
    b, _ = contacts(140, 2, mean=600.0, kind="mail")
    history = log(pd.concat([a, b]).sort_values("arrived", ignore_index=True))
    ahead = forecast(history, days=7, method="level", samples=20)
    table = ahead.handle_times("all").set_index("contact_type")["handle_s"]
    assert abs(table["calls"] / 122 - 1) < 0.08 and abs(table["mail"] / 612 - 1) < 0.08
    assert ahead.handle_paths.shape[2] == 2


def test_handle_factors_scale_a_scenario_to_the_forecast(usual):
    frame = usual.with_handle_times({"calls": "4min"})
    assert len(frame) == len(usual.volumes) and (frame["contacts"] == usual.volumes["contacts"]).all()
    want = usual._handle.expected[:, 0] / 240
    assert np.allclose(frame[frame["sample"] == 3]["handle_factor"], want)
    text = f"""
name: small
time_zone: Asia/Manila
start: {usual.start}
days: 14
interval: 30min
opening_hours: {{mon-fri: "08:00-16:00"}}
contact_types:
  calls:
    arrivals: {{rate: 12/h}}
    handle_time: {{exponential: {{mean: 200s}}}}
    after_contact_work: {{exponential: {{mean: 40s}}}}
agent_groups:
  all: {{skills: [calls], heads: 20}}
"""
    scenario = bp.load_scenario(text)
    same = usual.with_handle_times(scenario)
    assert np.allclose(same["handle_factor"], frame["handle_factor"])
    runs = bp.simulate(scenario, volumes=same, replications=60, seed=1, progress=False)
    handle = runs.contacts()["handle_s"].dropna()
    # 55,000 exponential handle times: a standard error of half a percent.
    assert abs(handle.mean() / usual.handle_times("all")["handle_s"][0] - 1) < 0.025
    for bad, words in (
        ({}, "lack contact type 'calls'"),
        ({"calls": 240}, "no unit"),
        ({"calls": "0s"}, "above 0 s"),
        (3, "a Scenario or a mapping"),
    ):
        with pytest.raises(ParameterError, match=words):
            usual.with_handle_times(bad)


def test_handle_times_are_read_on_the_days_and_intervals_of_the_volumes():
    history, _, _ = parted(n_days=84)
    counts = read_counts(history)
    handled = read_handled(history, counts).known_to(counts)
    seen = history.contacts
    assert handled.number.sum() == seen["handle_s"].notna().sum() and np.isclose(
        handled.total.sum(), seen["handle_s"].sum()
    )
    assert (handled.number <= counts.table).all()
    assert np.isclose(handled.square.sum(), (seen["handle_s"] ** 2).sum())


@pytest.mark.parametrize("n_days", [21, 42])
def test_a_thin_history_has_wider_bands(n_days, usual):
    frame, _ = contacts(n_days, 1)
    with pytest.warns(UserWarning):
        ahead = forecast(log(frame), days=14, method="level", samples=300)
    widths = []
    for f in (ahead, usual):
        q = wide(f.handle_times("week", q=[0.1, 0.9]), "week", "handle_s")
        widths.append(float((q[0.9] / q[0.1]).mean()))
    assert widths[0] > widths[1]


@pytest.fixture(scope="module")
def coupled():
    """A history whose busy days have long handle times, and its forecast."""
    history, _, _ = parted(5, per_hour=60.0, together=0.9, day_sd=0.1, volume_sd=0.2)
    return forecast(history, days=4, method="level", samples=4000)


def test_an_updated_workload_is_measured_against_the_forecast_before(coupled):
    day = coupled.starts.normalize()
    seen = pd.DataFrame(
        {"contact_type": "calls", "interval_start": coupled.starts, "contacts": np.rint(1.3 * coupled.expected[:, 0])}
    )
    later = coupled.update(seen[day == day[0]].iloc[: 8 + 8])
    handle, parts = later._handle, later._parts
    assert handle.together[0] > 0.5
    over = np.arange(len(day)) < 16
    # The day that came was busy: its handle times are those of a busy day, not those of a usual one.
    usual = coupled._handle.expected[:, 0]
    assert handle.load[over, 0].sum() / (parts.expected[over, 0] @ usual[over]) > 1.03
    # What is expected is the mean of the paths, on the day that is over, on the day after it, and in a morning.
    for view in (later, coupled.update(seen.iloc[: 16 + 6]), coupled):
        paths = (view.array[:, :, 0] * view.handle_paths[:, :, 0]).mean(axis=0)
        load = view._handle.load[:, 0]
        for d in day.unique():
            assert paths[day == d].sum() == pytest.approx(load[day == d].sum(), rel=0.012)


def test_a_new_type_has_the_handle_time_of_its_model():
    history, _, _ = parted()
    ahead = forecast(
        history, days=7, method="level", samples=50,
        analogies={"chat": Analogy("calls", 0.5), "mail": Analogy("calls", 0.2, handle_time="10min")},
    )  # fmt: skip
    handle = ahead._handle.expected
    assert np.array_equal(handle[:, 1], handle[:, 0])
    assert np.average(handle[:, 2], weights=ahead.expected[:, 2]) == pytest.approx(600)
    assert handle[:, 2] / handle[:, 0] == pytest.approx(handle[0, 2] / handle[0, 0])
    assert set(ahead.workload("day")["contact_type"]) == {"calls", "chat", "mail"}
    assert any("'chat'" in n and "handle time is that of 'calls'" in n for n in ahead.notes)
    assert any("'mail'" in n and "10min on average (given)" in n for n in ahead.notes)
    with pytest.raises(ParameterError, match="more than 0 s"):
        Analogy("calls", 0.5, handle_time="0s")
    with pytest.raises(ParameterError, match="handle_time of Analogy"):
        Analogy("calls", 0.5, handle_time="long")


def test_fits_are_remembered(monkeypatch):
    history, _, _ = parted(7)
    made = []
    fit = _handle._fit_means
    monkeypatch.setattr(_handle, "_fit_means", lambda *a: made.append(a) or fit(*a))
    _handle.forget()
    first = forecast(history, days=7, method="level", samples=5).workload("day")
    n = len(made)
    again = forecast(history, days=7, method="level", samples=5).workload("day")
    assert n > 1 and len(made) == n
    pd.testing.assert_frame_equal(first, again)
    forecast(history, days=14, method="level", samples=5).workload("day")
    assert len(made) == n + 1
