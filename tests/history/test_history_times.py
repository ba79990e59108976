"""Clock changes: what the clock skips is set aside, what it repeats is told apart; totals survive."""

from __future__ import annotations

import warnings

import pandas as pd
import pytest
from history_files import ZONE

from bposim.errors import DataQualityWarning
from bposim.history import History, read_history

AUTUMN, SPRING = "2026-10-25", "2026-03-29"


def log(*times: str) -> pd.DataFrame:
    return pd.DataFrame({"arrived": times, "wait_s": 0, "handle_s": 600, "agent": "A", "outcome": "answered"})


def read(frame: pd.DataFrame, **options) -> History:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return History.from_contacts(frame, tz=ZONE, **options)


def test_a_time_that_the_clock_skipped_is_set_aside():
    history = read(log(f"{SPRING} 01:30:00", f"{SPRING} 02:30:00", f"{SPRING} 03:30:00"))
    assert history.check().count("dst_gap") == 1 and history.check().rows_of("dst_gap").tolist() == [2]
    assert not history.check().ok
    assert history.contacts["ended"].astype("str").tolist() == [f"{SPRING} 01:40:00+01:00", f"{SPRING} 03:40:00+02:00"]


def test_a_time_that_occurs_twice_is_the_first_unless_the_order_tells():
    times = [f"{AUTUMN} {t}" for t in ("01:50:00", "02:10:00", "02:50:00", "02:05:00", "02:40:00", "03:10:00")]
    told = read(log(*times))
    assert told.check().count("dst_fold") == 4 and told.check().ok
    utc = told.contacts["arrived"].dt.tz_convert("UTC").dt.strftime("%H:%M").tolist()
    assert utc == ["23:50", "00:10", "00:50", "01:05", "01:40", "02:10"]
    untold = read(log(*[times[k] for k in (5, 0, 1, 2, 3, 4)]))
    utc = untold.contacts["arrived"].dt.tz_convert("UTC").dt.strftime("%H:%M").tolist()
    assert utc == ["23:50", "00:05", "00:10", "00:40", "00:50", "02:10"]


def test_an_end_in_the_doubled_hour_follows_its_answer():
    frame = pd.DataFrame({
        "arrived": [f"{AUTUMN} 02:55:00"], "answered": [f"{AUTUMN} 02:55:10"], "ended": [f"{AUTUMN} 02:03:10"],
        "agent": ["A"],
    })  # fmt: skip
    history = read(frame)
    row = history.contacts.iloc[0]
    assert (row["wait_s"], row["handle_s"]) == (10.0, 480.0) and row["ended"].hour == 2
    assert history.check().frame["rule"].tolist() == ["dst_fold"]


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_a_day_of_another_length_keeps_its_contacts(day: str, hours: int):
    whole = pd.date_range(pd.Timestamp(day, tz=ZONE), periods=hours * 6, freq="10min").astype("str")
    history = read(log(*whole))
    assert history.check().count("dst_fold") == 0
    volumes = history.volumes("30min", hours="all")
    assert volumes["contacts"].tolist() == [3] * 2 * hours
    assert volumes["interval_start"].is_unique
    assert history.volumes("1h", hours="all")["contacts"].tolist() == [6] * hours
    assert history.volumes("1d")["contacts"].tolist() == [6 * hours]
    assert history.daily()["contacts"].tolist() == [6 * hours]


@pytest.mark.parametrize(("day", "hours"), [(SPRING, 23), (AUTUMN, 25)])
def test_a_report_over_a_clock_change(day: str, hours: int, tmp_path):
    stamps = pd.date_range(pd.Timestamp(day, tz=ZONE), periods=2 * hours, freq="30min")
    frame = pd.DataFrame({"start": stamps.tz_localize(None).astype("str"), "offered": 3, "answered": 2, "abandoned": 1})
    frame.to_csv(tmp_path / "r.csv", index=False)
    history = read_history(tmp_path / "r.csv", profile="intervals", tz=ZONE)
    assert history.check().count("dst_fold") == (4 if hours == 25 else 0) and history.check().ok
    assert (pd.DatetimeIndex(history.intervals["interval_start"]) == stamps).all()
    assert history.volumes("1h")["contacts"].tolist() == [6] * hours
    assert history.volumes("1d")["contacts"].tolist() == [6 * hours]
    assert history.volumes("6h")["contacts"].sum() == 6 * hours
    skipped = frame.assign(start=frame["start"].mask(frame.index == 0, f"{SPRING} 02:30:00"))
    skipped.to_csv(tmp_path / "r.csv", index=False)
    if hours == 23:
        with pytest.warns(DataQualityWarning, match="dst_gap"):
            read_history(tmp_path / "r.csv", profile="intervals", tz=ZONE)


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_a_report_of_every_local_half_hour(day: str, tmp_path):
    """The skipped hour is no missing interval where the report leaves it out, no error where its rows count nobody."""
    days = pd.date_range(pd.Timestamp(day) - pd.Timedelta(days=2), periods=5 * 48, freq="30min")
    frame = pd.DataFrame({"start": days.astype("str"), "offered": 3, "answered": 2, "abandoned": 1})
    hole = frame["start"].str.startswith(f"{SPRING} 02").to_numpy()
    frame.loc[hole, ["offered", "answered", "abandoned"]] = 0
    frame.to_csv(tmp_path / "all.csv", index=False)
    whole = read_history(tmp_path / "all.csv", profile="intervals", tz=ZONE)
    assert whole.check().ok and whole.check().count("dst_gap_empty") == hole.sum() == (2 if day == SPRING else 0)
    frame[~hole].to_csv(tmp_path / "left.csv", index=False)
    left = read_history(tmp_path / "left.csv", profile="intervals", tz=ZONE)
    assert whole.check().count("missing_intervals") == left.check().count("missing_intervals") == 0
    # What lacks beside the skipped hour is missing, and a contact within it is an error.
    frame[~hole].drop(index=[2 * 48 + 9]).to_csv(tmp_path / "less.csv", index=False)
    assert read_history(tmp_path / "less.csv", profile="intervals", tz=ZONE).check().count("missing_intervals") == 1
    if day == SPRING:
        frame.assign(offered=frame["offered"].mask(hole, 1)).to_csv(tmp_path / "some.csv", index=False)
        with pytest.warns(DataQualityWarning, match="dst_gap"):
            some = read_history(tmp_path / "some.csv", profile="intervals", tz=ZONE)
        assert (some.check().count("dst_gap"), some.check().count("dst_gap_empty")) == (2, 0)
    counts = History.from_counts(frame.set_index(days)["offered"].where(~hole, 0), freq="30min", tz=ZONE)
    assert counts.check().ok and counts.check().count("missing_intervals") == 0


def test_counts_over_a_clock_change_and_a_midnight_that_does_not_exist():
    days = pd.date_range("2026-03-27", periods=5)
    history = History.from_counts(pd.Series([5, 6, 7, 8, 9], index=days), freq="D", tz=ZONE)
    assert history.daily()["contacts"].tolist() == [5, 6, 7, 8, 9] and history.interval_s == 86400
    # In Santiago the clock jumps from 24:00 to 01:00 on 6 September 2026.
    days = pd.date_range("2026-09-05", periods=3)
    jump = History.from_counts(pd.Series([5, 6, 7], index=days), freq="D", tz="America/Santiago")
    assert jump.check().ok and jump.daily()["date"].dt.day.tolist() == [5, 6, 7]
    assert jump.volumes()["contacts"].tolist() == [5, 6, 7]
