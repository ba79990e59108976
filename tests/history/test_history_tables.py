"""Volumes, days, opening hours, stretches, metrics: tables made from a history."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np
import pandas as pd
import pytest
from history_files import ZONE, clean_contacts, clean_intervals

from bposim.errors import DataQualityWarning, HistoryError, ParameterError
from bposim.history import History, read_history
from bposim.scenario.fields import parse_hours
from bposim.schema import CONTACT_LOG, INTERVAL_TABLE, VOLUMES


@pytest.fixture
def history() -> History:
    return History.from_contacts(clean_contacts(), tz=ZONE)


@pytest.fixture
def told(save: Callable) -> History:
    return read_history(save(clean_intervals()), profile="intervals", tz=ZONE)


def test_frames_follow_their_contracts(history: History, told: History):
    CONTACT_LOG.check(history.contacts, caller="the test")
    for each in (history, told):
        INTERVAL_TABLE.check(each.intervals, caller="the test")
        VOLUMES.check(each.volumes(), caller="the test")
    contacts = history.contacts
    assert contacts["contact_id"].tolist() == list(range(900)) and (contacts["replication"] == 0).all()
    assert str(contacts["arrived"].dtype) == f"datetime64[us, {ZONE}]"
    assert contacts["arrived"].is_monotonic_increasing


def test_rows_out_of_order_are_numbered_in_order_of_arrival():
    log = clean_contacts()
    mixed = History.from_contacts(log.sample(frac=1, random_state=5), tz=ZONE).contacts
    assert mixed["arrived"].is_monotonic_increasing and mixed["contact_id"].tolist() == list(range(900))
    assert sorted(mixed["source_row"]) == list(range(1, 901))


def test_volumes_fill_zeros_and_keep_the_sum(history: History):
    volumes = history.volumes()
    assert len(volumes) == 15 * 20 * 2 and volumes["contacts"].sum() == 900
    # Three contacts per half hour: one of billing, two of sales.
    assert volumes.groupby("contact_type")["contacts"].agg(["min", "max"]).loc["billing"].tolist() == [1, 1]
    fine = history.volumes("5min", types="sales")
    assert fine["contacts"].sum() == 600 and (fine["contacts"] == 0).sum() == 15 * 120 - 600
    assert history.volumes("1h")["contacts"].sum() == 900
    assert history.volumes("1d", types=["sales"])["contacts"].tolist() == [40] * 15
    everything = history.volumes(hours="all")
    assert everything["contacts"].sum() == 900 and len(everything) == 19 * 48 * 2
    morning = history.volumes(hours={"mon-fri": "08:00-12:00"})
    assert morning["contacts"].sum() == 15 * 24


def test_an_hour_without_contacts_is_zero_and_a_day_without_is_missing():
    log = clean_contacts()
    at = pd.to_datetime(log["arrived"])
    idle = (at.dt.day == 4) & (at.dt.hour == 12)
    absent = at.dt.day == 11
    history = History.from_contacts(log[~idle & ~absent], tz=ZONE)
    assert history.missing_days == (date(2026, 3, 11),)
    volumes = history.volumes()
    local = volumes["interval_start"].dt.tz_localize(None)
    assert volumes["contacts"].sum() == 900 - 6 - 60
    assert volumes.loc[local.between("2026-03-04 12:00", "2026-03-04 12:30"), "contacts"].tolist() == [0, 0, 0, 0]
    assert not (local.dt.day == 11).any()
    assert not (history.daily()["date"].dt.day == 11).any()


def test_opening_hours_are_robust_to_stray_contacts():
    log = clean_contacts(days=42)
    strays = log.iloc[[0, 60, 120, 180]].assign(
        arrived=["2026-03-03 03:00:00", "2026-03-07 12:00:00", "2026-03-09 22:30:00", "2026-03-15 09:00:00"],
        answered="", ended="", outcome="abandoned", agent="",
    )  # fmt: skip
    history = History.from_contacts(pd.concat([log, strays]), tz=ZONE)
    expected = {d: ((480, 1080),) if d < 5 else () for d in range(7)}
    assert history.opening_hours == expected == parse_hours(history.opening_hours)
    assert history.check().count("outside_hours") == 4 and history.missing_days == ()
    assert history.volumes()["contacts"].sum() == len(log)
    assert history.volumes(hours="all")["contacts"].sum() == len(log) + 4
    table = history.intervals
    assert table["offered"].sum() == len(log) + 4
    # Each stray is counted where it arrived, not in the open interval before.
    at = table.loc[table["abandoned"] > 0, "interval_start"].dt.tz_localize(None).astype("str").tolist()
    assert {"2026-03-03 03:00:00", "2026-03-07 12:00:00", "2026-03-09 22:30:00", "2026-03-15 09:00:00"} <= set(at)


def test_a_lunch_closure_is_seen_and_a_quiet_hour_is_not_one():
    log = clean_contacts(days=70)
    hour = pd.to_datetime(log["arrived"]).dt.hour
    closed = History.from_contacts(log[hour != 12], tz=ZONE)
    assert closed.opening_hours[0] == ((480, 720), (780, 1080))
    # Five contacts a day: half-hours that happen to have none are no closures.
    thin = History.from_contacts(log.sample(frac=0.08, random_state=1).sort_index(), tz=ZONE).opening_hours
    assert all(len(spans) == 1 for d, spans in thin.items() if d < 5)


def test_days(history: History):
    daily = history.daily()
    assert daily.columns.tolist() == ["date", "contact_type", "contacts"]
    assert len(daily) == 30 and daily["contacts"].sum() == 900 and set(daily["contacts"]) == {20, 40}
    assert history.daily("sales")["contacts"].tolist() == [40] * 15
    assert history.days == (date(2026, 3, 2), date(2026, 3, 20))


def test_between_takes_local_dates_end_exclusive(history: History, told: History):
    week = history.between("2026-03-09", "2026-03-14")
    assert len(week.contacts) == 300 and week.days == (date(2026, 3, 9), date(2026, 3, 13))
    assert week.quality.rows_read == week.quality.kept + week.quality.set_aside + week.quality.left_out == 900
    hours = history.between("2026-03-09 08:00", pd.Timestamp("2026-03-09 08:00", tz="UTC"))
    assert len(hours.contacts) == 6  # 08:00 to 09:00 in Berlin
    assert told.between("2026-03-03", date(2026, 3, 4)).intervals["offered"].sum() == 2 * sum(range(10, 30))
    for bad, says in ((("2026-03-09", "2026-03-09"), "must be after"), (("noon", "2026-03-09"), "is no date"),
                      (("2027-01-01", "2027-02-01"), "leaves no rows")):  # fmt: skip
        with pytest.raises(HistoryError, match=says):
            history.between(*bad)


def test_between_judges_missing_days_and_rows_anew():
    log = clean_contacts()
    cells = log["agent"].astype(object)
    cells.iloc[[0, 700]] = ""
    log = log.assign(agent=cells)[pd.to_datetime(log["arrived"]).dt.day != 11]
    history = History.from_contacts(log, tz=ZONE)
    assert (history.check().count("no_agent"), history.check().count("missing_days")) == (2, 1)
    first = history.between("2026-03-02", "2026-03-09")
    assert (first.check().count("no_agent"), first.check().count("missing_days")) == (1, 0)
    assert "1 of 300 rows are answered by no named agent (row 1)." in str(first.check())


def test_a_report_becomes_coarser_but_not_finer(told: History):
    assert told.volumes()["contacts"].sum() == told.intervals["offered"].sum() == 10 * 2 * sum(range(10, 30))
    assert told.volumes("1h", types="sales")["contacts"].tolist()[:3] == [21, 25, 29]
    assert told.volumes("1d")["contacts"].tolist() == [390] * 20
    with pytest.raises(HistoryError, match="a report cannot be cut finer than it is"):
        told.volumes("15min")
    with pytest.raises(HistoryError, match="no multiple"):
        told.volumes("45min")
    with pytest.raises(HistoryError, match="is for contact logs"):
        told.volumes(hours="all")


def test_a_report_fills_zeros_where_another_type_has_the_interval_and_keeps_unknown_out(save: Callable):
    report = clean_intervals()
    gone = report.drop(index=1)  # sales, first interval
    volumes = read_history(save(gone), profile="intervals", tz=ZONE).volumes()
    assert len(volumes) == 400 and volumes.loc[volumes["contact_type"] == "sales", "contacts"].tolist()[:2] == [0, 11]
    unknown = report.assign(offered=report["offered"].mask(report.index == 1, ""))
    history = read_history(save(unknown), profile="intervals", tz=ZONE)
    assert len(history.volumes()) == 399 and len(history.volumes("1h")) == 199


def test_means_become_sums_and_a_missing_count_is_told_by_the_others(save: Callable):
    report = clean_intervals().drop(columns=["handle_sum_s", "abandoned"]).assign(AHT="2.5", ASA="12")
    history = read_history(save(report), profile="intervals", tz=ZONE, columns={"aht_s": ("AHT", "min")})
    row = history.intervals.iloc[0]
    assert (row["handle_sum_s"], row["abandoned"], row["wait_answered_sum_s"]) == (9 * 150.0, 1, 0.0)
    assert history.intervals["answered_within_s20"].sum() == 10 * 2 * sum(range(7, 27))


def test_a_mean_over_nobody_is_a_sum_of_zero(save: Callable):
    report = clean_intervals().drop(columns=["handle_sum_s", "answered_within_s20"]).assign(aht="150")
    quiet = report.index == 3
    for column, value in (("offered", "1"), ("answered", "0"), ("abandoned", "1"), ("aht", "")):
        report[column] = report[column].mask(quiet, value)
    table = read_history(save(report), profile="intervals", tz=ZONE).intervals
    assert table["handle_sum_s"].notna().all() and table["handle_sum_s"].min() == 0


def test_date_and_time_in_two_columns(save: Callable):
    report = clean_intervals()
    parts = report["interval_start"].str.split(" ", expand=True)
    split = report.drop(columns="interval_start").assign(Date=parts[0], Time=parts[1])
    history = read_history(save(split), profile="intervals", tz=ZONE)
    assert history.check().frame.empty and history.interval_s == 1800


def test_interval_length(save: Callable):
    report = clean_intervals()
    with pytest.raises(HistoryError, match="do not lie on a grid of 1h"):
        read_history(save(report), profile="intervals", tz=ZONE, interval="1h")
    with pytest.raises(HistoryError, match="has a single interval"):
        read_history(save(report.head(2)), profile="intervals", tz=ZONE)
    assert read_history(save(report.head(2)), profile="intervals", tz=ZONE, interval="30min").interval_s == 1800


def test_metrics_worked_by_hand(history: History, told: History):
    table = history.metrics(within="20s").set_index("metric")["value"]
    # Of ten contacts five wait 5 s and are answered, four wait 25 s and are answered, one waits 25 s and abandons.
    assert table["offered"] == 900 and table["abandonment"] == pytest.approx(0.1)
    assert table["service_level"] == pytest.approx(0.5)
    assert table["asa"] == pytest.approx((5 * 5 + 4 * 25) / 9)
    quantiles = history.metrics(by="contact_type", metrics=["wait_p50", "wait_p95"])
    assert quantiles.loc[quantiles["metric"] == "wait_p95", "value"].tolist() == [25.0, 25.0]
    by_report = told.metrics().set_index("metric")["value"]
    assert by_report["service_level"] == pytest.approx(sum(range(7, 27)) / sum(range(10, 30)))
    assert "max_wait" not in by_report
    with pytest.raises(ParameterError, match="contact log"):
        told.metrics(metrics="wait_p50")
    with pytest.raises(ParameterError, match="not counted"):
        told.metrics(within="30s")


def test_counts_by_type_and_frequency():
    stamps = pd.date_range("2026-03-02 08:00", periods=6, freq="5min")
    frame = pd.DataFrame({"billing": [1, 2, 3, 4, 5, 6], "sales": [0, 0, np.nan, 1, 0, 0]}, index=stamps)
    before = frame.copy(deep=True)
    history = History.from_counts(frame, freq="5min", tz=ZONE)
    pd.testing.assert_frame_equal(frame, before)
    assert (history.kind, history.interval_s, history.contact_types) == ("counts", 300, ("billing", "sales"))
    assert history.check().frame["rule"].tolist() == ["missing_count"]
    assert len(history.volumes()) == 11 and history.volumes("15min")["contacts"].tolist() == [6, 15, 1]
    with pytest.warns(DataQualityWarning, match="offered: 1 of 12, so the sum is too low"):
        assert history.metrics()["metric"].tolist() == ["offered"]
    with pytest.raises(HistoryError, match="its only metric is 'offered'"):
        history.metrics(metrics="service_level")


@pytest.mark.parametrize(
    ("series", "says"),
    [
        (pd.Series([1, 2]), "indexed by time"),
        (pd.Series([], dtype=float), "0 rows"),
        ([1, 2], "indexed by time"),
        (pd.Series([1, 2], index=pd.to_datetime(["2026-03-02", "2026-03-02"])), "repeat"),
        (pd.Series([1, -2], index=pd.to_datetime(["2026-03-02", "2026-03-03"])), "at least 0. Got -2"),
        (pd.Series(["1", "2"], index=pd.to_datetime(["2026-03-02", "2026-03-03"])), "must hold numbers"),
        (pd.Series([1, 2], index=pd.to_datetime(["2026-03-02 09:00", "2026-03-03 10:00"])), "grid of 1d"),
    ],
)
def test_counts_that_are_none(series, says: str):
    with pytest.raises(HistoryError, match=says):
        History.from_counts(series, freq="D")


def test_it_reads_as_text_and_html(history: History):
    assert "mon-fri 08:00-18:00; sat-sun closed" in repr(history) and "no errors: 900 rows kept" in repr(history)
    assert history._repr_html_().startswith("<table>")
    assert history.summary()["contacts"].tolist() == [300, 600]
    assert history.provenance.step == "from_contacts" and history.between("2026-03-09", "2026-03-10").provenance.parents
    with pytest.raises(AttributeError):
        history.kind = "counts"
