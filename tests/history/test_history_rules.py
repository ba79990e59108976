"""Each rule fires once on the file made dirty for it, alone, and none on a clean one."""

from __future__ import annotations

import hashlib
import re
import warnings
from collections.abc import Callable

import numpy as np
import pandas as pd
import pytest
from dirty_files import ALSO, BARE, DIRTY, LOG, RAISED, TIMES, Dirty, insert, put, steady
from history_files import ZONE

from bposim.errors import DataQualityWarning, HistoryError
from bposim.history import PROFILES, RULES, History, read_history

#: Rules about the layouts of sources, which the tests of events, vendors and data sets make to fire.
LAYOUTS = {
    "superseded", "other_length", "joined_event", "unpaired_event", "dates_invented", "arrival_assumed",
    "handle_incomplete", "service_level_to_count", "service_level_formula", "service_level_unread", "threshold_unknown",
    "setting_varies", "substitute", "imputed", "serial_dates", "offset_ignored", "unread_title",
}  # fmt: skip


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return read_history(path, **{"tz": ZONE} | options)


@pytest.mark.parametrize("frame", [LOG, TIMES, BARE, LOG.drop(columns=["outcome", "agent"])])
def test_a_clean_log_breaks_no_rule(frame: pd.DataFrame, save: Callable):
    history = read_history(save(frame), profile="contacts", tz=ZONE)
    assert history.check().frame.empty and history.check().ok
    assert (history.quality.rows_read, history.quality.kept, history.quality.set_aside) == (900, 900, 0)


def test_a_clean_report_breaks_no_rule(report: pd.DataFrame, save: Callable):
    history = read_history(save(report), profile="intervals", tz=ZONE)
    assert history.check().frame.empty and history.kind == "intervals" and history.interval_s == 1800


def check(rule: str, dirty: Dirty, save: Callable) -> History:
    """Read the dirty file, and assert that the rule fires once, alone, on the right rows."""
    frame = dirty.make()
    history = read(save(frame, **dirty.write), **dirty.read)
    found = history.check()
    assert found.frame["rule"].tolist() == [rule], str(found)
    assert found.frame["rows"][0] == dirty.n and found.rows_of(rule).tolist() == (dirty.rows or [])
    assert (found.frame["severity"][0], found.frame["done"][0]) == (RULES[rule].severity, RULES[rule].done)
    aside = dirty.n if RULES[rule].done == "set aside" else 0
    kept = history.contacts if history.kind == "contacts" else history.intervals
    assert (len(kept), len(history.rejected), found.rows_read) == (len(frame) - aside, aside, len(frame))
    assert (history.rejected["rule"] == rule).all()
    return history


@pytest.mark.parametrize(
    "rule", [r for r in RULES if RULES[r].done != "raised" and r not in {"zone_assumed", *LAYOUTS}]
)
def test_every_rule_fires_once_on_its_dirty_file(rule: str, save: Callable):
    check(rule, DIRTY[rule], save)


@pytest.mark.parametrize("name", ALSO)
def test_the_rule_fires_once_on_other_dirty_files(name: str, save: Callable):
    check(*ALSO[name], save)


@pytest.mark.parametrize("rule", [r for r in RULES if RULES[r].done == "raised"])
def test_a_file_that_cannot_be_read_says_why(rule: str, save: Callable):
    frame, options, says, cure = RAISED[rule]
    with pytest.raises(HistoryError, match=says):
        read_history(save(frame), **{"tz": ZONE} | options)
    if cure:
        assert len(read_history(save(frame), **{"tz": ZONE} | options | cure).contacts) == len(frame)


@pytest.mark.parametrize("frame", [steady(), steady(5, 5000.0, True, 400.0)], ids=["days", "nights"])
def test_the_bases_of_the_dirty_files_are_clean(frame: pd.DataFrame, save: Callable):
    assert read(save(frame), profile="contacts").check().frame.empty


# -- how to have it otherwise -----------------------------------------------------------------------------------------

LEAVES_OUT, ACCEPTS = re.compile(r"history\.drop_invalid\((?:'(\w+)')?\)"), re.compile(r"accept=\['(\w+)'\]")
#: Rule → arguments that its override names, with which the finding is gone.
OTHERWISE = {
    "dst_gap": {"tz": "UTC"},
    "dst_gap_empty": {"tz": "UTC"},
    "unknown_outcome": {"profile": PROFILES["contacts"].replace(outcomes={"vanished": "answered"})},
    "phantom": {"profile": PROFILES["contacts"].replace(set_aside={}, outcomes={"phantom": "answered"})},
    "left_in_menu": {"profile": PROFILES["contacts"].replace(set_aside={}, outcomes={"vru_hang": "answered"})},
    "unit_slip": {"columns": {"handle_s": ("handle_s", "min")}},
    "totals_queue": {"types": ["billing", "sales"]},
}


def test_a_slip_of_the_zone_is_mended_by_offsets(save: Callable):
    frame = DIRTY["zone_slip"].make()
    there = {
        c: frame[c].where(frame[c] == "", frame[c].str.replace(" ", "T") + "+12:00")
        for c in ("arrived", "answered", "ended")
    }
    assert read(save(frame.assign(**there)), profile="contacts").check().frame.empty


@pytest.mark.parametrize("rule", DIRTY)
def test_every_override_works(rule: str, save: Callable):
    dirty = DIRTY[rule]
    path = save(dirty.make(), **dirty.write)
    history, says = read(path, **dirty.read), RULES[rule].override
    read_rows = history.quality.rows_read
    ways = 0
    if left := LEAVES_OUT.search(says):
        ways += 1
        named = [left[1]] if left[1] else []
        gone = history.drop_invalid(*named)
        assert gone.check().ok and gone.check().frame["done"].tolist() == ["dropped"]
        assert (
            gone.quality.kept
            == read_rows - len(dirty.rows)
            == len(gone.contacts if gone.kind == "contacts" else gone.intervals)
        )
        assert sorted(gone.rejected["source_row"]) == dirty.rows
    if agreed := ACCEPTS.search(says):
        ways += 1
        assert agreed[1] == rule and RULES[rule].acceptable
        again = read(path, **dirty.read, accept=[rule])
        assert again.check().frame[["rule", "severity", "done"]].to_numpy().tolist() == [[rule, "info", "accepted"]]
        assert again.quality.kept == read_rows and again.quality.set_aside == 0
        assert again.between(again.days[0], "2030-01-01").quality.frame["done"].tolist() == ["accepted"]
        if RULES[rule].done == "kept":
            assert history.accept(rule).quality.frame.equals(again.quality.frame)
    if rule in OTHERWISE:
        ways += 1
        assert rule not in set(read(path, **dirty.read | OTHERWISE[rule]).check().frame["rule"])
    assert ways, says


@pytest.mark.parametrize("rule", ["zone_missing", "negative_wait", "phantom"])
def test_what_cannot_be_accepted_is_refused(rule: str, save: Callable):
    with pytest.raises(HistoryError, match=f"'{rule}' cannot be used as they are"):
        read_history(save(LOG), profile="contacts", tz=ZONE, accept=rule)


def test_what_was_set_aside_must_be_accepted_when_read(save: Callable):
    history = read(save(DIRTY["duplicate_id"].make()), profile="contacts")
    with pytest.raises(HistoryError, match="must be accepted when the file is read"):
        history.accept("duplicate_id")
    with pytest.raises(HistoryError, match="Did you mean 'zero_handle'"):
        history.accept("zero_handel")


def test_provenance_tells_the_file_the_rules_and_the_rows(save: Callable):
    path = save(DIRTY["zero_handle"].make())
    inputs = read(path, profile="contacts").provenance.inputs
    assert inputs["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()[:16]
    assert inputs["rules"] == {"zero_handle": {"done": "kept", "rows": 4}}
    assert (inputs["rows_read"], inputs["kept"], inputs["set_aside"]) == (900, 900, 0)


def test_midnight_is_repaired_only_where_the_profile_says_so(save: Callable):
    late = insert(LOG, "2026-03-05 23:59:58")
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
    history = read(save(DIRTY["zero_handle"].make()), profile="contacts").drop_invalid("zero_handle")
    assert len(history.contacts) == 896 and history.quality.kept + history.quality.set_aside == 900
    assert history.rejected["source_row"].tolist() == [2, 4, 6, 8] and set(history.rejected["rule"]) == {"zero_handle"}
    with pytest.raises(HistoryError, match="rule 'zero_handel' does not exist"):
        history.drop_invalid("zero_handel")
    missing = read(save(DIRTY["missing_days"].make()), profile="contacts")
    with pytest.raises(HistoryError, match="as a whole"):
        missing.drop_invalid("missing_days")


def test_the_long_handle_time_is_missing_and_its_contact_kept(save: Callable):
    row = read(save(DIRTY["long_handle"].make()), profile="contacts").contacts.iloc[1]
    assert row["outcome"] == "answered" and np.isnan(row["handle_s"]) and row["ended"] is pd.NaT and row["wait_s"] == 25


def test_a_row_with_two_faults_is_set_aside_once(save: Callable):
    frame = put(put(TIMES, "wait_s", {4: "-1"}), "handle_s", {4: "-1"})
    history = read(save(frame), profile="contacts")
    assert history.check().frame["rule"].tolist() == ["negative_wait"] and history.quality.set_aside == 1


def test_report_reads_as_text_and_html(save: Callable):
    report = read(save(DIRTY["ended_before_answered"].make()), profile="contacts").check()
    assert "900 rows read = 899 kept + 1 set aside" in str(report)
    assert "1 of 900 rows end before they are answered (row 1)." in report.frame["message"][0]
    assert "ended_before_answered" in report._repr_html_()
    assert report.summary().set_index("severity").loc["error"].tolist() == [1, 1]
