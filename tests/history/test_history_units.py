"""Days that break off and minutes for seconds, in reports and in logs."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from clean_histories import KINDS, random_log, random_report
from history_files import ZONE

from bposim.errors import DataQualityWarning
from bposim.history import History


def read(frame: pd.DataFrame, profile: str = "intervals", **options) -> History:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return History.from_contacts(frame, tz=ZONE, profile=profile, **options)


def half_hours(mean: float = 20.0) -> pd.DataFrame:
    """Return four weeks of half hours from 08:00 to 20:00."""
    rng = np.random.default_rng(4)
    start = pd.date_range("2026-03-02", periods=26 * 48, freq="30min")
    start = start[(start.hour >= 8) & (start.hour < 20) & (start.day_of_week < 5)]
    offered = rng.poisson(mean, len(start))
    answered = rng.binomial(offered, 0.95)
    return pd.DataFrame({
        "interval_start": start.strftime("%Y-%m-%d %H:%M"), "offered": offered, "answered": answered,
        "abandoned": offered - answered, "aht_s": rng.normal(250, 10, len(start)).round(1),
        "asa_s": rng.normal(30, 2, len(start)).round(1),
    })  # fmt: skip


def without(frame: pd.DataFrame, day: str, first: str = "00:00", last: str = "24:00") -> pd.DataFrame:
    clock = frame["interval_start"].str[11:]
    return frame[~(frame["interval_start"].str.startswith(day) & (clock >= first) & (clock < last))]


@pytest.mark.parametrize(("mean", "zeros"), [(20.0, False), (20.0, True), (0.5, True)])
def test_a_day_that_breaks_off_lacks_intervals(mean: float, zeros: bool):
    frame = half_hours(mean)
    frame = frame if zeros else frame[frame["offered"] > 0]
    assert not set(read(frame).quality.frame["rule"])
    for cut in (("13:00", "24:00"), ("00:00", "13:00")):
        found = read(without(frame, "2026-03-18", *cut)).quality
        assert found.frame["rule"].tolist() == ["missing_intervals"] and "the first on 2026-03-18" in str(found)
        assert found.count("missing_intervals") == (14 if cut[0] == "13:00" else 10)


@pytest.mark.parametrize(("day", "cut"), [("2026-03-27", ("13:00", "24:00")), ("2026-03-02", ("00:00", "13:00"))])
def test_the_edge_of_the_file_is_named_once(day: str, cut: tuple[str, str]):
    assert read(without(half_hours(), day, *cut)).quality.frame["rule"].tolist() == ["truncated_day"]
    # Too few contacts were due for the day to be cut off, but the report writes zeros and these rows are not there.
    assert read(without(half_hours(0.5), day, *cut)).quality.frame["rule"].tolist() == ["missing_intervals"]


def test_rows_left_out_for_zeros_are_not_missing_at_the_ends_of_a_day():
    """Between the first row of a day and the last the report has been asked to be whole before; its ends vary by chance."""
    for seed in range(30):
        frame = random_report(np.random.default_rng((seed, 5)), KINDS[seed % len(KINDS)], 0.4)
        some = frame[frame["offered"] > 0]
        day, clock = some["interval_start"].str[:10], some["interval_start"].str[11:]
        grid = frame["interval_start"].drop_duplicates()
        inner = 0
        for d, (a, b) in clock.groupby(day).agg(["min", "max"]).iterrows():
            whole = grid[(grid.str[:10] == d) & (grid.str[11:].between(a, b))]
            inner += len(whole) - clock[day == d].nunique()
        assert read(some, interval="30min").quality.count("missing_intervals") == inner, seed


def test_a_report_in_minutes():
    frame = half_hours()
    minutes = frame.assign(aht_s=frame["aht_s"] / 60, asa_s=frame["asa_s"] / 60)
    found = read(minutes).quality
    assert found.frame["rule"].tolist() == ["unit_slip"] and "contacts is 4.15 s: probably not seconds" in str(found)
    columns = {"aht_s": ("aht_s", "min"), "asa_s": ("asa_s", "min")}
    assert not set(read(minutes, columns=columns).quality.frame["rule"])


def test_waits_left_in_minutes():
    log, rng = random_log(np.random.default_rng(1), "plain"), np.random.default_rng(2)
    patience, due = rng.exponential(150, len(log)), rng.exponential(180, len(log))
    log = log.assign(wait_s=(np.minimum(patience, due) / 60).round(3), customer=None,
                     outcome=np.where(patience < due, "abandoned", "answered"),
                     handle_s=np.where(patience < due, np.nan, log["handle_s"].fillna(60)))  # fmt: skip
    found = read(log, "contacts").quality
    assert found.frame["rule"].tolist() == ["unit_slip", "outside_hours"] and "mean patience" in str(found)
    right = read(log, "contacts", columns={"wait_s": ("wait_s", "min")}).quality
    assert right.frame["rule"].tolist() == ["outside_hours"]


def test_waits_that_are_short_because_agents_are_many_are_seconds():
    log = random_log(np.random.default_rng(1), "plain")
    rng = np.random.default_rng(3)
    short = rng.exponential(1.5, len(log))
    left = rng.random(len(log)) < short / 60
    log = log.assign(wait_s=short.round(3), outcome=np.where(left, "abandoned", "answered"),
                     handle_s=np.where(left, np.nan, log["handle_s"].fillna(60)))  # fmt: skip
    assert left.sum() > 20 and not read(log, "contacts").quality.count("unit_slip")
