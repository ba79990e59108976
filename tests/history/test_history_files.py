"""Formats round trip; what cannot be read is one HistoryError that says the way out."""

from __future__ import annotations

import csv
import gzip
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from history_files import ZONE, clean_contacts, durations

from bposim.errors import DataQualityWarning, HistoryError, ParameterError
from bposim.history import PROFILES, read_history


def read(path: Path, **options):
    return read_history(path, **({"profile": "contacts", "tz": ZONE} | options))


def same(path: Path, log: pd.DataFrame, **options) -> None:
    history = read(path, **options)
    contacts = history.contacts
    assert not set(history.check().frame["rule"]) - {"unused_columns"}, str(history.check())
    assert len(contacts) == len(log)
    assert contacts["arrived"].dt.tz_localize(None).astype("str").tolist() == log["arrived"].tolist()
    assert contacts["wait_s"].tolist() == [float(w) for w in durations(log)["wait_s"]]
    assert contacts["handle_s"].sum() == pd.to_numeric(durations(log)["handle_s"]).sum()
    assert contacts["contact_type"].tolist() == log["contact_type"].tolist()


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_any_delimiter_and_byte_order_mark(delimiter: str, encoding: str, log: pd.DataFrame, save: Callable):
    same(save(log, sep=delimiter, encoding=encoding), log)


def test_a_header_with_commas_in_a_name_does_not_mislead(log: pd.DataFrame, save: Callable):
    same(save(log.assign(**{"note (a, b, c, d, e, f, g, h)": "x"}), sep=";", quoting=csv.QUOTE_NONE), log)


def test_gzip_parquet_and_excel(log: pd.DataFrame, save: Callable, tmp_path: Path):
    same(save(log, "calls.csv.gz"), log)
    log.to_parquet(tmp_path / "calls.parquet")
    same(tmp_path / "calls.parquet", log)
    typed = log.assign(**{c: pd.to_datetime(log[c], errors="coerce") for c in ("arrived", "answered", "ended")})
    typed.to_parquet(tmp_path / "typed.parquet")
    same(tmp_path / "typed.parquet", log)
    instants = {c: typed[c].dt.tz_localize(ZONE).dt.tz_convert("UTC") for c in ("arrived", "answered", "ended")}
    aware = typed.assign(**instants)
    aware.to_parquet(tmp_path / "aware.parquet")
    same(tmp_path / "aware.parquet", log)
    with pd.ExcelWriter(tmp_path / "calls.xlsx") as book:
        pd.DataFrame([["Contacts of March"], ["exported"]]).to_excel(book, index=False, header=False)
        typed.to_excel(book, index=False, startrow=3)
    same(tmp_path / "calls.xlsx", log)


def test_decimal_commas_units_clock_durations_and_own_names(log: pd.DataFrame, save: Callable):
    plain = durations(log)
    comma = plain.assign(wait_s=[f"{float(w):.1f}".replace(".", ",") for w in plain["wait_s"]])
    same(save(comma, sep=";"), log)
    minutes = plain.drop(columns="handle_s").assign(Talk=[h and str(float(h) / 60) for h in plain["handle_s"]])
    same(save(minutes), log, columns={"handle_s": ("Talk", "min")})
    spoken = plain.assign(handle_s=[h and str(pd.Timedelta(seconds=int(h)))[7:] for h in plain["handle_s"]])
    same(save(spoken), log)
    ours = {"Start": "arrived", "Waited": "wait_s"}
    same(save(plain.rename(columns={v: k for k, v in ours.items()})), log, columns={v: k for k, v in ours.items()})


@pytest.mark.parametrize(
    "form", ["%d/%m/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p", "%d.%m.%Y %H:%M:%S", "%Y/%m/%d %H:%M:%S"]
)
def test_dates_as_people_write_them(form: str, log: pd.DataFrame, save: Callable):
    times = {c: pd.to_datetime(log[c], errors="coerce") for c in ("arrived", "answered", "ended")}
    same(save(log.assign(**{c: t.dt.strftime(form).fillna("") for c, t in times.items()})), log)


def test_times_with_an_offset_are_taken_at_their_word(log: pd.DataFrame, save: Callable):
    stamps = pd.to_datetime(log["arrived"]).dt.tz_localize(ZONE).dt.tz_convert("UTC").dt.strftime("%Y-%m-%dT%H:%M:%SZ")
    same(save(durations(log).assign(arrived=stamps)), log)


def test_limit_and_types(log: pd.DataFrame, save: Callable):
    assert read(save(log), limit=7).quality.rows_read == 7
    only = read(save(log), types="billing")
    assert only.contact_types == ("billing",) and len(only.contacts) == 300
    assert (only.quality.rows_read, only.quality.kept, only.quality.left_out) == (900, 300, 600)
    assert only.contacts["source_row"].tolist()[:3] == [1, 4, 7]
    with pytest.raises(HistoryError, match="contact type 'biling' is not in the history\\. Did you mean 'billing'"):
        read(save(log), types=["biling"])


def test_extra_columns_are_kept(log: pd.DataFrame, save: Callable):
    extra = log.assign(priority=["2", "1"] * 450, customer="c7", agent_group="west")
    contacts = read(save(extra)).contacts
    assert contacts["priority"].tolist()[:2] == [2, 1]
    assert set(contacts["customer"]) == {"c7"} and set(contacts["agent_group"]) == {"west"}


BINARY = bytes(range(256)) * 40
BAD = {
    "nothing.csv": (b"", "nothing.csv is empty"),
    "blank.csv": (b"\n\n  \n", "blank.csv holds only blank lines"),
    "header.csv": (b"arrived,wait_s,outcome\n", "header.csv has a header but no data rows"),
    "garbage.csv": (BINARY, "garbage.csv is no text table"),
    "garbage.csv.gz": (b"\x1f\x8b" + BINARY, "garbage.csv.gz is a broken gzip file"),
    "garbage.parquet": (b"PAR1" + BINARY, "garbage.parquet is no readable Parquet file"),
    "garbage.xlsx": (b"PK\x03\x04" + BINARY, "garbage.xlsx is no readable Excel workbook"),
    "old.xls": (b"\xd0\xcf\x11\xe0" + BINARY, "old Excel file"),
    "ragged.csv": (b"arrived,wait_s,outcome\n2026-03-02,1,answered\n1,2,3,4,5\n", "ragged.csv is no regular table"),
    "prose.csv": (b"Dear all,\nplease find attached\nthe calls of March\n", "no column for 'arrived'"),
    "missing.csv": (b"arrivd,wait_s,outcome\n2026-03-02,1,answered\n", "Nearest: 'arrivd'"),
    "numbers.csv": (b"arrived,wait_s,outcome\n17,1,answered\n", "none of 1 values is a time, the first is '17'"),
    "date.csv": (b"arrived,wait_s,outcome\n03/04/2026 09:00,1,answered\n", "Write day_first=True or day_first=False"),
    "comma.csv": (b"arrived\twait_s\toutcome\n2026-03-02\t1,234\tanswered\n", 'Write decimal=","'),
    "useless.csv": (b"arrived,wait_s,outcome\n2026-03-02 09:00:00,x,answered\n", "not one of 1 rows can be used"),
    "vague.csv": (b"arrived,wait_s\n2026-03-02 09:00:00,4\n", "does not tell answered contacts from abandoned ones"),
}


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_is_one_error(name: str, tmp_path: Path):
    data, says = BAD[name]
    (tmp_path / name).write_bytes(data)
    with pytest.raises(HistoryError) as caught:
        read(tmp_path / name)
    assert says in str(caught.value)
    assert all(p.endswith((".", "?")) for p in caught.value.problems)


def test_a_damaged_copy_of_a_good_file(log: pd.DataFrame, save: Callable, tmp_path: Path):
    for name, data in (("cut.csv.gz", gzip.compress(save(log).read_bytes())[:500]),):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(HistoryError, match="broken gzip"):
            read(tmp_path / name)
    for name, write in (("cut.parquet", log.to_parquet), ("cut.xlsx", log.to_excel)):
        write(tmp_path / name)
        (tmp_path / name).write_bytes((tmp_path / name).read_bytes()[:900])
        with pytest.raises(HistoryError, match="is no readable"):
            read(tmp_path / name)


@pytest.mark.parametrize("at", [6, 10], ids=["version needed to unpack", "compression method"])
def test_a_workbook_that_claims_an_unknown_packing_is_told_as_damaged(at: int, log: pd.DataFrame, tmp_path: Path):
    path = tmp_path / "packed.xlsx"
    log.to_excel(path, index=False)
    data = bytearray(path.read_bytes())
    entry = data.find(b"PK\x01\x02")
    while entry >= 0:  # every entry of the archive's directory
        data[entry + at] = 99
        entry = data.find(b"PK\x01\x02", entry + 4)
    path.write_bytes(data)
    with pytest.raises(HistoryError, match=r"packed\.xlsx is no readable Excel workbook"):
        read(path)


def test_a_path_that_is_none(log: pd.DataFrame, save: Callable, tmp_path: Path):
    save(log)
    with pytest.raises(HistoryError, match=r"calls\.cvs does not exist\. Near it: 'calls\.csv'"):
        read(tmp_path / "calls.cvs")
    with pytest.raises(HistoryError, match="is a folder"):
        read(tmp_path)


def test_arguments_that_are_wrong(log: pd.DataFrame, save: Callable):
    path = save(log)
    with pytest.raises(HistoryError, match="no time zone was given"):
        read(path, tz=None)
    with pytest.raises(HistoryError, match="Did you mean 'Europe/Berlin'"):
        read(path, tz="Europe/Berln")
    with pytest.raises(HistoryError, match="Did you mean 'contacts'"):
        read(path, profile="contact")
    with pytest.raises(ParameterError, match="The limit parameter of read_history"):
        read(path, limit=0)
    with pytest.raises(HistoryError, match="whole number of minutes that divides a day"):
        read(path, interval="7min")
    with pytest.raises(HistoryError, match="has no unit"):
        read(path, interval=30)
    with pytest.raises(HistoryError, match="a profile has no 'colums'"):
        PROFILES["contacts"].replace(colums={})


def test_every_problem_of_the_columns_is_reported_at_once(log: pd.DataFrame, save: Callable):
    with pytest.raises(HistoryError) as caught:
        read(
            save(log.drop(columns="arrived")),
            columns={"wait": "agent", "handle_s": "talk", "menu_s": ("agent", "fortnight"), "agent": ("agent", "min")},
        )
    first, second, third, fourth, fifth = caught.value.problems
    assert "names 'wait', which is no column of ours. Did you mean 'wait_s'" in first
    assert "columns['handle_s'] names 'talk', which calls.csv does not have" in second
    assert "unit 'fortnight' does not exist" in third and "'agent' is no duration" in fourth
    assert "no column for 'arrived'" in fifth


def test_the_ambiguous_can_be_told(tmp_path: Path):
    path = tmp_path / "calls.csv"
    path.write_text("arrived;wait_s;handle_s;agent\n03/04/2026 09:00;1,5;2.000,5;A\n", encoding="utf-8")
    row = read(path, day_first=True).contacts.iloc[0]
    assert (str(row["arrived"]), row["wait_s"], row["handle_s"]) == ("2026-04-03 09:00:00+02:00", 1.5, 2000.5)
    assert read(path, day_first=False).contacts["arrived"][0].month == 3
    path.write_text("arrived\twait_s\toutcome\n2026-03-02\t1,234\tanswered\n", encoding="utf-8")
    assert read(path, decimal=",").contacts["wait_s"][0] == 1.234
    assert read(path, decimal=".").contacts["wait_s"][0] == 1234


def test_any_consistent_pair_of_times_and_durations(log: pd.DataFrame, save: Callable):
    both = log.join(durations(log)[["wait_s", "handle_s"]])
    for keep in (["answered", "ended"], ["wait_s", "handle_s"], ["answered", "handle_s"], ["wait_s", "ended"],
                 ["answered", "ended", "wait_s", "handle_s"]):  # fmt: skip
        rest = [c for c in both if c not in ("answered", "ended", "wait_s", "handle_s")]
        some = both[rest + keep]
        # Without an end an abandonment's wait is told only by a duration.
        expect = both if {"ended", "wait_s"} & set(keep) else both[both["outcome"] == "answered"]
        contacts = read(save(some.loc[expect.index])).contacts
        assert contacts["wait_s"].tolist() == [float(w) for w in expect["wait_s"]], keep
        assert contacts["ended"].dt.tz_localize(None).astype("str").tolist() == expect["ended"].tolist(), keep
    ended = both.loc[both["outcome"] == "answered", ["arrived", "ended", "handle_s", "agent"]]
    assert read(save(ended)).contacts["wait_s"].tolist() == [float(w) for w in both.loc[ended.index, "wait_s"]]


def test_the_frame_that_was_given_is_not_modified():
    from bposim.history import History

    log = clean_contacts()
    before = log.copy(deep=True)
    history = History.from_contacts(log, tz=ZONE)
    pd.testing.assert_frame_equal(log, before)
    mine = history.contacts
    mine.loc[:, "wait_s"] = -1.0
    assert (history.contacts["wait_s"] > 0).all()


def test_a_small_file_that_unpacks_into_a_giant_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "wide.csv.gz"
    path.write_bytes(gzip.compress(b"," * 1_000_000))
    with pytest.raises(HistoryError, match="more than 16,384 columns"):
        read(path)
    monkeypatch.setattr("bposim.history.files.LARGEST", 1000)
    with pytest.raises(HistoryError, match="unpacks to more than"):
        read(path)


@pytest.mark.parametrize("year", ["0001", "9999", "1677", "2300"])
def test_a_time_of_another_age_is_no_time(year: str, log: pd.DataFrame, save: Callable):
    path = save(log.assign(arrived=log["arrived"].where(log.index != 3, f"{year}-03-02 08:30:00")))
    with pytest.warns(DataQualityWarning):
        history = read(path)
    assert history.check().rows_of("unparseable_time").tolist() == [4]


def test_bytes_and_lists_in_parquet_are_text(log: pd.DataFrame, tmp_path: Path):
    kinds = [name.encode() for name in log["contact_type"]]
    path = tmp_path / "bytes.parquet"
    log.assign(contact_type=kinds, note=[["a", "b"]] * len(log)).to_parquet(path)
    assert read(path, columns={"customer": "note"}).contact_types == ("billing", "sales")
    log.assign(contact_type=[b"\xff"] * len(log)).to_parquet(path)
    assert read(path).contact_types == ("\ufffd",)


def test_a_number_beyond_any_record_is_no_number(log: pd.DataFrame, save: Callable):
    path = save(durations(log).assign(wait_s=durations(log)["wait_s"].where(log.index != 3, "1e308")))
    with pytest.warns(DataQualityWarning):
        history = read(path)
    assert history.check().rows_of("unparseable_number").tolist() == [4]
    with pytest.raises(HistoryError, match=r"It has: 'x{60}…'"):
        read(save(log.rename(columns={"arrived": "x" * 1000})))


def test_categories_in_parquet_are_their_values(log: pd.DataFrame, tmp_path: Path):
    names = ["contact_type", "answered", "arrived", "agent"]
    log.assign(**{c: log[c].astype("category") for c in names}).to_parquet(tmp_path / "log.parquet")
    same(tmp_path / "log.parquet", log)


def test_text_in_parquet_that_is_no_text_is_refused(log: pd.DataFrame, tmp_path: Path):
    log.to_parquet(tmp_path / "log.parquet", compression=None)
    data = (tmp_path / "log.parquet").read_bytes()
    assert b"billing" in data
    (tmp_path / "log.parquet").write_bytes(data.replace(b"billing", b"bil\xff\xfeng"))
    with pytest.raises(HistoryError, match=r"no readable Parquet file.*UTF8"):
        read(tmp_path / "log.parquet")


def test_a_year_that_no_zone_knows_is_no_time(log: pd.DataFrame, save: Callable):
    last = log.assign(arrived=log["arrived"].where(log.index != 4, "9999-12-31 23:59:59"))
    with pytest.warns(DataQualityWarning, match="unparseable_time"):
        history = read(save(last), tz="America/New_York")
    assert history.check().rows_of("unparseable_time").tolist() == [5]


def test_columns_kept_beside_ours_hold_no_invented_numbers(log: pd.DataFrame, save: Callable):
    how = PROFILES["contacts"].replace(extras={"case": ("case",), "score": ("score",)})
    more = log.assign(case="7", score="1").assign(case=lambda f: f["case"].where(f.index != 2, "9" * 400),
                                                  score=lambda f: f["score"].where(f.index != 2, "1e300"))  # fmt: skip
    contacts = read(save(more), profile=how).contacts
    assert contacts["case"].iloc[2] == "9" * 400 and contacts["score"].iloc[2] == 1e300
