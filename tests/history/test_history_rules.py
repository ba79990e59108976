"""Each rule fires once on the file made dirty for it, alone, and none on a clean one."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from history_files import ZONE, clean_contacts, clean_intervals, durations

from bposim.errors import DataQualityWarning, HistoryError
from bposim.history import PROFILES, RULES, History, read_history

FORM = "%Y-%m-%d %H:%M:%S"


def put(frame: pd.DataFrame, column: str, values: dict[int, str]) -> pd.DataFrame:
    """Return the frame with some cells of a column replaced, by 1-based data row."""
    cells = frame[column].astype(object)
    for row, value in values.items():
        cells.iloc[row - 1] = value
    return frame.assign(**{column: cells})


def insert(frame: pd.DataFrame, *times: str) -> pd.DataFrame:
    """Return the log with answered contacts of 60 s added at its end, at local wall-clock times."""
    rows = frame.iloc[[0] * len(times)].assign(
        arrived=list(times),
        answered=[str(pd.Timestamp(t) + pd.Timedelta(seconds=5)) for t in times],
        ended=[str(pd.Timestamp(t) + pd.Timedelta(seconds=65)) for t in times],
        agent=[f"B{k}" for k in range(len(times))],
    )
    return pd.concat([frame, rows], ignore_index=True)


def shifted(frame: pd.DataFrame, hours: int) -> pd.DataFrame:
    moved = {
        c: (pd.to_datetime(frame[c], errors="coerce") + pd.Timedelta(hours=hours)).dt.strftime(FORM).fillna("")
        for c in ("arrived", "answered", "ended")
    }
    return frame.assign(**moved)


LOG, TIMES = clean_contacts(), durations(clean_contacts())
BARE = TIMES.drop(columns="outcome")
#: rule → (dirty file, profile, number of rows (days), the first of them)
CONTACTS = {
    "unparseable_time": (put(LOG, "arrived", {3: "soon", 8: ""}), "contacts", 2, "3, 8"),
    "unparseable_number": (put(TIMES, "wait_s", {4: "long"}), "contacts", 1, "4"),
    "missing_type": (put(LOG, "contact_type", {5: ""}), "contacts", 1, "5"),
    "unknown_outcome": (put(LOG, "outcome", {6: "vanished"}), "contacts", 1, "6"),
    "answered_without_time": (put(TIMES, "wait_s", {7: ""}), "contacts", 1, "7"),
    "negative_wait": (put(TIMES, "wait_s", {7: "-3"}), "contacts", 1, "7"),
    "negative_handle": (put(TIMES, "handle_s", {7: "-3"}), "contacts", 1, "7"),
    "answered_before_arrived": (put(LOG, "answered", {2: "2026-03-02 08:09:00"}), "contacts", 1, "2"),
    "ended_before_answered": (put(LOG, "ended", {1: "2026-03-02 08:00:04"}), "contacts", 1, "1"),
    "ended_before_arrived": (put(LOG, "ended", {10: "2026-03-02 09:00:00"}), "contacts", 1, "10"),
    "duplicate_id": (LOG.assign(call_id=[str(max(k, 1)) for k in range(len(LOG))]), "contacts", 1, "2"),
    "long_handle": (put(TIMES, "handle_s", {2: "36291"}), "contacts", 1, "2"),
    "handle_of_unanswered": (put(TIMES, "handle_s", {10: "12"}), "contacts", 1, "10"),
    "zero_handle": (put(TIMES, "handle_s", {2: "0", 4: "0", 6: "0", 8: "0"}), "contacts", 4, "2, 4, 6, …"),
    "no_agent": (put(LOG, "agent", {4: ""}), "contacts", 1, "4"),
    "agent_overlap": (put(LOG, "ended", {1: "2026-03-02 08:20:10"}), "contacts", 1, "3"),
    "duplicate_row": (pd.concat([LOG, LOG.iloc[[9]]]), "contacts", 1, "901"),
    "outcome_assumed": (put(put(BARE, "handle_s", {2: "0"}), "agent", {2: ""}), "contacts", 1, "2"),
    "unknown_wait": (put(LOG, "ended", {10: ""}), "contacts", 1, "10"),
    "clock_disagrees": (put(LOG.assign(wait_s=TIMES["wait_s"]), "wait_s", {3: "95"}), "contacts", 1, "3"),
    "outside_hours": (insert(LOG, "2026-03-03 21:00:00", "2026-03-08 12:00:00"), "contacts", 2, "901, 902"),
    "missing_days": (LOG[~LOG["arrived"].str.startswith("2026-03-11")], "contacts", 1, ""),
    "unit_slip": (TIMES.assign(handle_s=[v and str(int(v) / 60) for v in TIMES["handle_s"]]), "contacts", 810, ""),
    "zone_slip": (shifted(LOG, 11), "contacts", 900, ""),
    "negative_menu": (LOG.assign(vru_s=["-4"] + ["0"] * 899), "contacts", 1, "1"),
    "phantom": (put(LOG, "outcome", {3: "void"}), PROFILES["contacts"].replace(set_aside={"void": "phantom"}), 1, "3"),
    "left_in_menu": (
        put(LOG, "outcome", {3: "menu"}), PROFILES["contacts"].replace(set_aside={"menu": "left_in_menu"}), 1, "3",
    ),
}  # fmt: skip
FIRST = clean_intervals()
INTERVALS = {
    "unparseable_time": (put(FIRST, "interval_start", {3: "noon"}), 1, "3"),
    "unparseable_number": (put(FIRST, "offered", {3: "many"}), 1, "3"),
    "missing_type": (put(FIRST, "contact_type", {3: ""}), 1, "3"),
    "totals_row": (put(FIRST, "interval_start", {400: "Total"}), 1, "400"),
    "duplicate_interval": (pd.concat([FIRST, FIRST.iloc[[4]]]), 1, "401"),
    "negative_count": (put(FIRST, "abandoned", {2: "-1"}), 1, "2"),
    "negative_aht": (put(FIRST, "handle_sum_s", {2: "-1"}), 1, "2"),
    "within_exceeds_total": (put(FIRST, "answered_within_s20", {5: "99"}), 1, "5"),
    "count_mismatch": (put(FIRST, "offered", {5: "99"}), 1, "5"),
    "missing_intervals": (FIRST.drop(index=[10, 11]), 1, ""),
    "missing_count": (put(FIRST, "offered", {5: ""}), 1, "5"),
    "missing_days": (FIRST[~FIRST["interval_start"].str.startswith("2026-03-04")], 1, ""),
}  # fmt: skip
RAISED = {"missing_column", "empty_file", "zone_missing"}
#: Rules that another test of this folder makes to fire.
ELSEWHERE = {"dst_gap", "dst_fold", "midnight", "encoding", "fractional_counts", "zone_assumed"}
#: Rules about the layouts of sources, which the tests of events, vendors and data sets make to fire.
LAYOUTS = {
    "superseded", "other_length", "joined_event", "unpaired_event", "dates_invented", "arrival_assumed",
    "handle_incomplete", "service_level_to_count", "service_level_formula", "service_level_unread", "threshold_unknown",
    "setting_varies", "substitute", "imputed", "serial_dates", "offset_ignored",
}  # fmt: skip


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return read_history(path, tz=ZONE, **options)


@pytest.mark.parametrize("frame", [LOG, TIMES, BARE, LOG.drop(columns=["outcome", "agent"])])
def test_a_clean_log_breaks_no_rule(frame: pd.DataFrame, save: Callable):
    history = read_history(save(frame), profile="contacts", tz=ZONE)
    assert history.check().frame.empty and history.check().ok
    assert (history.quality.rows_read, history.quality.kept, history.quality.set_aside) == (900, 900, 0)


def test_a_clean_report_breaks_no_rule(report: pd.DataFrame, save: Callable):
    history = read_history(save(report), profile="intervals", tz=ZONE)
    assert history.check().frame.empty and history.kind == "intervals" and history.interval_s == 1800


@pytest.mark.parametrize("rule", CONTACTS)
def test_the_rule_fires_once_on_the_dirty_log(rule: str, save: Callable):
    frame, profile, count, first = CONTACTS[rule]
    history = read(save(frame), profile=profile)
    found = history.check().frame
    assert found["rule"].tolist() == [rule]
    assert (found["rows"][0], found["first_rows"][0]) == (count, first)
    assert (found["severity"][0], found["done"][0]) == (RULES[rule].severity, RULES[rule].done)
    aside = count if RULES[rule].done == "set aside" else 0
    assert (len(history.contacts), len(history.rejected)) == (len(frame) - aside, aside)
    assert (history.rejected["rule"] == rule).all()


@pytest.mark.parametrize("rule", INTERVALS)
def test_the_rule_fires_once_on_the_dirty_report(rule: str, save: Callable):
    frame, count, first = INTERVALS[rule]
    history = read(save(frame), profile="intervals")
    found = history.check().frame
    assert found["rule"].tolist() == [rule]
    assert (found["rows"][0], found["first_rows"][0]) == (count, first)
    aside = count if RULES[rule].done == "set aside" else 0
    assert (len(history.intervals), len(history.rejected)) == (len(frame) - aside, aside)


def test_every_rule_has_a_dirty_file():
    assert set(CONTACTS) | set(INTERVALS) | RAISED | ELSEWHERE | LAYOUTS == set(RULES)


def test_midnight_is_repaired_only_where_the_profile_says_so(save: Callable):
    late = insert(LOG, "2026-03-05 23:59:58").assign(kind="served")
    late = put(late, "answered", {901: "2026-03-05 00:00:03"})
    late = put(late, "ended", {901: "2026-03-05 00:01:03"})
    usual = read(save(late), profile="contacts")
    assert usual.check().count("answered_before_arrived") == 1
    moved = read(save(late), profile=PROFILES["contacts"].replace(midnight=True))
    assert set(moved.check().frame["rule"]) == {"midnight", "outside_hours"}
    row = moved.contacts[moved.contacts["source_row"] == 901].iloc[0]
    assert (row["wait_s"], row["handle_s"], str(row["ended"])) == (5.0, 60.0, "2026-03-06 00:01:03+01:00")


def test_windows_text_is_read_and_said(save: Callable):
    path = save(LOG.assign(contact_type="Kündigung"), encoding="cp1252")
    history = read_history(path, profile="contacts", tz=ZONE)
    assert history.check().frame["rule"].tolist() == ["encoding"] and history.contact_types == ("Kündigung",)


def test_counts_say_what_was_assumed():
    history = History.from_counts(pd.Series([1.5, 2.0], index=pd.to_datetime(["2026-03-02", "2026-03-03"])), freq="D")
    assert history.check().frame["rule"].tolist() == ["fractional_counts", "zone_assumed"]


def test_a_warning_is_issued_only_for_rows_set_aside_as_errors(save: Callable):
    path = save(put(TIMES, "wait_s", {4: "long"}))
    with pytest.warns(DataQualityWarning, match=r"1 of 900 rows .* \(unparseable_number\)") as caught:
        history = read_history(path, profile="contacts", tz=ZONE)
    assert len(caught) == 1 and not history.check().ok
    assert caught[0].filename == __file__
    with pytest.warns(DataQualityWarning) as caught:
        History.from_contacts(put(TIMES, "wait_s", {4: "long"}), tz=ZONE)
    assert caught[0].filename == __file__
    assert history.drop_invalid().check().ok
    read_history(save(put(TIMES, "handle_s", {2: "0"})), profile="contacts", tz=ZONE)


def test_drop_invalid_moves_the_rows_of_named_rules(save: Callable):
    history = read(save(CONTACTS["zero_handle"][0]), profile="contacts").drop_invalid("zero_handle")
    assert len(history.contacts) == 896 and history.quality.kept + history.quality.set_aside == 900
    assert history.rejected["source_row"].tolist() == [2, 4, 6, 8] and set(history.rejected["rule"]) == {"zero_handle"}
    with pytest.raises(HistoryError, match="rule 'zero_handel' does not exist"):
        history.drop_invalid("zero_handel")
    missing = read(save(CONTACTS["missing_days"][0]), profile="contacts")
    with pytest.raises(HistoryError, match="as a whole"):
        missing.drop_invalid("missing_days")


def test_the_long_handle_time_is_missing_and_its_contact_kept(save: Callable):
    row = read(save(CONTACTS["long_handle"][0]), profile="contacts").contacts.iloc[1]
    assert row["outcome"] == "answered" and np.isnan(row["handle_s"]) and row["ended"] is pd.NaT and row["wait_s"] == 25


def test_a_row_with_two_faults_is_set_aside_once(save: Callable):
    frame = put(put(TIMES, "wait_s", {4: "-1"}), "handle_s", {4: "-1"})
    history = read(save(frame), profile="contacts")
    assert history.check().frame["rule"].tolist() == ["negative_wait"] and history.quality.set_aside == 1


def test_report_reads_as_text_and_html(save: Callable):
    report = read(save(CONTACTS["ended_before_answered"][0]), profile="contacts").check()
    assert "900 rows read = 899 kept + 1 set aside" in str(report)
    assert "1 of 900 rows end before they are answered (row 1)." in report.frame["message"][0]
    assert "ended_before_answered" in report._repr_html_()
    assert report.summary().set_index("severity").loc["error"].tolist() == [1, 1]
