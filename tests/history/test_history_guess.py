"""A guess names what fits and how to confirm it, and nothing is ever read by a guess."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from history_files import ZONE, clean_contacts, clean_intervals, durations

import bposim
from bposim.errors import HistoryError
from bposim.history import PROFILES, guess_profile, read_history

HEADED = {
    name: ",".join(dict.fromkeys(names[0] for names in PROFILES[name].columns.values()))
    for name in PROFILES
    if PROFILES[name].header == "first" and not PROFILES[name].signature and PROFILES[name].kind == "intervals"
    and name not in ("intervals", "anonbank_daily", "kaggle_daily_kpi")
}  # fmt: skip
POSITIONAL = {
    "calabrio": "15;20260302;08:00;101;Billing;20;2;3;1;18;180;75;3240;360;40;50;6;15;0;1;2\n" * 3,
    "verint": "Billing,1-2-2018,521,242\nBilling,1-3-2018,500,240\n",
    "eleveo": "Sales,2019-01-18T22:15:00Z,7,181.5\nSales,2019-01-18T22:30:00Z,0,0\n",
}


def test_plain_tables(save: Callable):
    for frame, name in (
        (clean_contacts(), "contacts"),
        (durations(clean_contacts()), "contacts"),
        (clean_intervals(), "intervals"),
    ):
        guess = guess_profile(save(frame))
        assert (guess.profile, guess.tied) == (name, ()), guess


@pytest.mark.parametrize("name", HEADED)
def test_a_vendor_is_known_by_its_headings(name: str, tmp_path: Path):
    path = tmp_path / "export.csv"
    path.write_text(
        HEADED[name]
        + "\n"
        + ",".join("2026-03-02 08:00" if k == 0 else "1" for k in range(HEADED[name].count(",") + 1))
        + "\n"
    )
    table = guess_profile(path).candidates
    assert table["profile"].iloc[0] == name and table["score"].iloc[0] > table["score"].iloc[1] + 0.1


@pytest.mark.parametrize("name", POSITIONAL)
def test_a_vendor_is_known_by_its_fields_and_values(name: str, tmp_path: Path):
    path = tmp_path / "export.csv"
    path.write_text(POSITIONAL[name])
    guess = guess_profile(path)
    assert guess.profile == name and guess.candidates["score"].iloc[1] < 0.5, guess.candidates.head()


def test_the_call_and_the_command_confirm_it(save: Callable):
    path = save(clean_contacts())
    guess = guess_profile(path, tz=ZONE)
    assert guess.call == f'read_history({str(path)!r}, profile="contacts", tz="{ZONE}")'
    history = eval(guess.call, {"read_history": read_history})
    assert len(history.contacts) == 900
    assert guess.command == f"bposim check {path} --profile contacts --tz {ZONE}"
    unknown = guess_profile(path)
    assert unknown.settings["tz"] is None and 'tz="Area/City"' in unknown.call and "not told: write tz=" in str(unknown)


def test_what_it_would_assume(tmp_path: Path):
    path = tmp_path / "report.csv"
    path.write_text("date;time;queue;offered;answered;aht\n03/04/2026;08:00;a;5;5;100,5\n04/04/2026;08:00;a;5;5;99,5\n")
    guess = guess_profile(path)
    assert guess.settings["day_first"] == "not told" and guess.settings["decimal"] == ","
    assert "day_first=…" in guess.call and "day or month first is not told" in str(guess)
    path.write_text(path.read_text().replace("04/04", "14/04"))
    assert guess_profile(path).settings["day_first"] is True
    assert guess_profile(path).settings["booking"] is None


def test_profile_guess_reads_nothing(save: Callable):
    path = save(clean_contacts())
    with pytest.raises(HistoryError) as caught:
        read_history(path, profile="guess", tz=ZONE)
    text = str(caught.value)
    assert "looks like profile 'contacts'" in text and f'profile="contacts", tz="{ZONE}"' in text


def test_a_tie_shows_both(save: Callable, monkeypatch: pytest.MonkeyPatch):
    twin = PROFILES["contacts"].replace(name="twin")
    monkeypatch.setattr("bposim.history.guess.PROFILES", dict(PROFILES) | {"twin": twin})
    guess = guess_profile(save(clean_contacts()))
    assert guess.profile is None and set(guess.tied) == {"contacts", "twin"}
    assert "fits 'contacts' and 'twin' equally well: choose one" in str(guess)


def test_of_layouts_that_fit_alike_the_plain_one_is_named_first(save: Callable, monkeypatch: pytest.MonkeyPatch):
    vendor = PROFILES["contacts"].replace(name="vendor")
    monkeypatch.setattr("bposim.history.guess.PROFILES", {"vendor": vendor} | dict(PROFILES))
    guess = guess_profile(save(clean_contacts()), tz=ZONE)
    assert guess.tied == ("contacts", "vendor") and 'profile="contacts"' in guess.call


def test_a_report_without_a_date_says_how_date_and_time_apart_are_named(tmp_path: Path):
    path = tmp_path / "report.csv"
    path.write_text("jour,heure,offered,answered\n2026-03-02,09:00,5,5\n2026-03-02,09:30,4,4\n")
    with pytest.raises(HistoryError) as caught:
        read_history(path, profile="intervals", tz=ZONE)
    assert 'columns={"date": "<…>", "time": "<…>"}' in str(caught.value)
    history = read_history(path, profile="intervals", tz=ZONE, columns={"date": "jour", "time": "heure"})
    assert len(history.intervals) == 2


def test_nothing_fits(tmp_path: Path):
    path = tmp_path / "people.csv"
    path.write_text("name,age\nann,40\n")
    guess = guess_profile(path)
    assert guess.profile is None and not guess.tied and "no profile fits" in str(guess)
    assert (guess.candidates["score"] == 0).all() and len(guess.candidates) == len(PROFILES)
    with pytest.raises(HistoryError, match="no profile fits"):
        read_history(path, profile="guess")
    with pytest.raises(HistoryError, match="does not exist"):
        guess_profile(tmp_path / "nothing.csv")


def test_it_is_public():
    assert bposim.guess_profile is guess_profile


# Headings of several lines ------------------------------------------------------------------------------------------


def sheet(tmp_path: Path, rows: list[list[object]], merge: list[str]) -> Path:
    from openpyxl import Workbook

    book = Workbook()
    for row in rows:
        book.active.append(row)
    for ref in merge:
        book.active.merge_cells(ref)
    path = tmp_path / "report.xlsx"
    book.save(path)
    return path


DATA = [["02.03.2026 08:00", 10, 9, 12, 20, 18, 30], ["16.03.2026 08:30", 11, 11, 3, 21, 21, 6]]


def test_a_queue_merged_above_its_columns_becomes_rows(tmp_path: Path):
    path = sheet(tmp_path, [
        ["Queue report of March", *[None] * 6], ["exported today"],
        ["Interval", "Billing", None, None, "Sales", None, None],
        [None, "Offered", "Answered", "ASA", "Offered", "Answered", "ASA"], *DATA,
    ], ["A1:G1", "A3:A4", "B3:D3", "E3:G3"])  # fmt: skip
    history = read_history(path, profile="intervals", tz=ZONE, interval="30min")
    assert history.contact_types == ("Billing", "Sales") and history.quality.rows_read == 4
    table = history.intervals
    assert table["offered"].tolist() == [10, 20, 11, 21] and table["answered"].tolist() == [9, 18, 11, 21]
    assert table["wait_answered_sum_s"].tolist() == [108, 540, 33, 126]


def test_headings_that_stand_over_blanks_instead_of_being_merged(tmp_path: Path):
    path = sheet(tmp_path, [
        [None, "Billing", None, None, "Sales", None, None],
        ["Interval", "Offered", "Answered", "ASA", "Offered", "Answered", "ASA"], *DATA,
    ], [])  # fmt: skip
    table = read_history(path, profile="intervals", tz=ZONE, interval="30min").intervals
    assert table["offered"].tolist() == [10, 20, 11, 21] and set(table["contact_type"]) == {"Billing", "Sales"}


def test_groups_of_columns_are_no_queues(tmp_path: Path):
    path = sheet(tmp_path, [
        ["Interval", "Calls", None, "Times", None], [None, "Offered", "Answered", "ASA", "AHT"],
        ["16.03.2026 08:00", 10, 9, 12, 200], ["16.03.2026 08:30", 11, 11, 3, 210],
    ], ["A1:A2", "B1:C1", "D1:E1"])  # fmt: skip
    history = read_history(path, profile="intervals", tz=ZONE)
    assert history.contact_types == ("all",)
    assert history.intervals["handle_sum_s"].tolist() == [1800, 2310]


def test_a_cell_that_is_an_error_of_the_sheet(tmp_path: Path):
    path = sheet(tmp_path, [["Interval", "Offered"], ["16.03.2026 08:00", 5], ["16.03.2026 08:30", float("nan")]], [])
    history = read_history(path, profile="intervals", tz=ZONE)
    assert history.check().count("missing_count") == 1 and history.quality.kept == 2


def test_dates_and_times_as_a_spreadsheet_s_numbers(tmp_path: Path):
    path = tmp_path / "report.csv"
    # 46083 is 2 March 2026; 0.354166… of a day is 08:30.
    path.write_text("date,time,offered\n46083,0.333333333,5\n46083,0.354166667,6\n46083,0.375,7\n")
    history = read_history(path, profile="intervals", tz="UTC")
    assert history.intervals["interval_start"].astype("str").tolist() == [
        "2026-03-02 08:00:00+00:00", "2026-03-02 08:30:00+00:00", "2026-03-02 09:00:00+00:00",
    ]  # fmt: skip
    assert history.check().count("serial_dates") == 3
    path.write_text("arrived,wait_s,outcome\n46083.354166666,5,answered\n")
    contacts = read_history(path, profile="contacts", tz="UTC").contacts
    assert contacts["arrived"].iloc[0] == pd.Timestamp("2026-03-02 08:30:00", tz="UTC")


def test_minutes_and_seconds_and_clocks_of_twelve_hours(tmp_path: Path):
    path = tmp_path / "report.csv"
    path.write_text(
        "date,time,offered,answered,abandoned,asa,aht\n03/22/2026,1:00 PM,5,4,1,00:12,03:20\n03/22/2026,1:30 PM,5,5,0,0:00:03,0:02:00\n"
    )
    table = read_history(path, profile="intervals", tz="UTC").intervals
    assert table["interval_start"].dt.hour.tolist() == [13, 13]
    assert table["wait_answered_sum_s"].tolist() == [48, 15] and table["handle_sum_s"].tolist() == [800, 600]
