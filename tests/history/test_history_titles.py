"""Reports whose date and split stand in title lines above the table, and whose times are ranges."""

from __future__ import annotations

import pandas as pd
import pytest

from bposim.errors import DataQualityWarning, HistoryError
from bposim.history import PROFILES, guess_profile, read_history
from bposim.history.titles import split_ranges

ZONE = "America/Chicago"
HEAD = (
    "Time,Avg Speed Ans,Avg Aban Time,ACD Calls,Avg ACD Time,Avg ACW Time,Aban Calls,Max Delay,% Within Service Level"
)
TITLES = "Split/Skill Interval Report\n\nDate: 3/13/2026\nSplit/Skill: Sales\nAcceptable Service Level: 20\n"
ROWS = (
    "8:00-8:30 AM,:12,:31,45,3:00,:20,5,1:10,80.0\n"
    "8:30-9:00 AM,:03,,10,2:30,:10,0,:15,100.0\n"
    "11:30-12:00 PM,:05,:08,20,2:00,:10,2,:40,90.9\n"
)
END = "Totals,:09,:25,75,2:40,:16,7,1:10,85.4\n"


@pytest.fixture
def put(tmp_path):
    def write(text: str, name: str = "report.csv"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def read(path, **more):
    return read_history(path, profile="avaya_cms_report", tz=ZONE, **more)


def starts(history) -> list[str]:
    return history.intervals["interval_start"].dt.strftime("%Y-%m-%d %H:%M").tolist()


@pytest.mark.parametrize("sign", [",", "\t", ";"])
def test_date_split_and_time_stand_above_the_table(put, sign):
    history = read(put(TITLES + (HEAD + "\n" + ROWS + END).replace(",", sign)))
    table = history.intervals
    assert starts(history) == ["2026-03-13 08:00", "2026-03-13 08:30", "2026-03-13 11:30"]
    assert history.interval_s == 1800 and history.contact_types == ("Sales",) and history.within_s == 20
    assert table["offered"].tolist() == [50, 10, 22] and table["answered_within_s20"].tolist() == [40, 10, 20]
    assert table["wait_answered_sum_s"].tolist() == [540, 30, 100]
    assert table["handle_sum_s"].tolist() == [9000, 1600, 2600] and table["max_wait_s"].tolist() == [70, 15, 40]
    assert history.check().count("totals_row") == 1 and len(history.rejected) == 1
    assert history.rejected["time"].tolist() == ["Totals"]


def test_a_split_may_follow_another_and_keeps_the_date_that_it_does_not_repeat(put):
    text = TITLES + HEAD + "\n" + ROWS + END + "\nSplit/Skill: Billing\n" + HEAD + "\n" + ROWS + END
    history = read(put(text))
    assert history.contact_types == ("Billing", "Sales") and len(history.intervals) == 6
    assert set(starts(history)) == {"2026-03-13 08:00", "2026-03-13 08:30", "2026-03-13 11:30"}
    assert history.check().count("totals_row") == 2


def test_titles_in_cells_of_their_own_and_in_a_workbook(put, tmp_path):
    rows = [
        ["Split/Skill Interval Report"], ["Date:", "2026-03-13", "Split/Skill:", "Sales"],
        ["Acceptable Service Level:", "20 sec"], [], HEAD.split(","),
        *(line.split(",") for line in (ROWS + END).splitlines()),
    ]  # fmt: skip
    path = tmp_path / "report.xlsx"
    width = max(map(len, rows))
    pd.DataFrame([r + [""] * (width - len(r)) for r in rows]).to_excel(path, header=False, index=False)
    flat = put("\n".join(",".join(r) for r in rows) + "\n")
    plain = read(put(TITLES + HEAD + "\n" + ROWS + END, "plain.csv")).intervals
    for history in (read(path), read(flat)):
        pd.testing.assert_frame_equal(history.intervals, plain)


@pytest.mark.parametrize(
    ("titles", "says"),
    [
        ("Split/Skill: Sales\n", r"title line \('Date:' or 'Dates:'\) tells the date of the rows"),
        ("Date: 3/13/2026\n", r"title line \('Split/Skill:' or .*\) tells the split or skill"),
        ("Date: last Friday\nSplit/Skill: Sales\n", r"'Date: last Friday' is no date such as 3/2/2026"),
        ("Dates: 3/13/2026 - 3/15/2026\nSplit/Skill: Sales\n", r"spans several days and the rows have no date"),
        ("Date: 3/13/2026\nSplit/Skill:\n", r"the title 'Split/Skill: ' tells nothing"),
    ],
)
def test_a_title_that_is_lacking_or_no_sense_is_a_listed_problem(put, titles, says):
    with pytest.raises(HistoryError, match=says):
        read(put("Report\n" + titles + HEAD + "\n" + ROWS), within="20s")


PART = HEAD + "\n" + ROWS


@pytest.mark.parametrize("level", ["fast", ""])
def test_within_settles_an_acceptable_level_that_is_no_number(put, level):
    path = put(f"Date: 3/13/2026\nSkill: A\nAcceptable Service Level: {level}\n" + PART)
    with pytest.raises(HistoryError, match='or tell within="20s", which goes before it'):
        read(path)
    history = read(path, within="30s")
    assert history.within_s == 30 and history.intervals["answered_within_s30"].tolist() == [40, 10, 20]


@pytest.mark.parametrize(
    ("title", "held"),
    [("Split/Skill Nr: Billing", "contact_type"), ("Skill 12: Billing", "contact_type"), ("Skill Nr:,Billing", "contact_type"),
     ("Date: 3/14/2026\nSplit/Skill Nr: Billing", "contact_type"), ("Day: 3/14/2026", "date")],
)  # fmt: skip
def test_a_part_below_a_title_that_nothing_reads_does_not_inherit_in_silence(put, title, held):
    path = put(TITLES + PART + title + "\n" + PART)
    with pytest.raises(HistoryError, match="which nothing reads") as error:
        read(path)
    label = title.splitlines()[-1].partition(":")[0]
    assert f'replace(titles={{"{held}": ({label!r},)}})' in error.value.problems[0]
    told = PROFILES["avaya_cms_report"].replace(titles={held: (label,)})
    history = read_history(path, profile=told, tz=ZONE)
    assert len(history.intervals) == 6
    assert set(history.contact_types) == ({"Sales"} if held == "date" else {"Sales", "Billing"})


def test_titles_that_nothing_reads_harm_no_part_that_tells_its_own_or_says_nothing_new(put):
    said = "Printed: by an operator\n"
    again = put(said + TITLES + PART + said + PART.replace(" AM", " PM").replace("12:00 PM", "12:00 AM"))
    assert len(read(again).intervals) == 6
    others = put(TITLES + PART + "Split/Skill: Billing\nAgents 1: 14\n" + PART)
    assert read(others).contact_types == ("Billing", "Sales")


def test_rows_below_a_title_without_headings_are_not_lost(put):
    with pytest.raises(HistoryError, match="3 rows stand below a title without headings"):
        read(put(TITLES + PART + "Split/Skill: Billing\n" + ROWS))


@pytest.mark.parametrize("known", [3, 4])
def test_a_line_of_titles_in_several_cells_is_no_line_of_headings(put, known):
    names = [0, 3, 6, 7][:known]
    table = [[line.split(",")[k] for k in names] for line in (HEAD + "\n" + ROWS).splitlines()]
    lines = ["Date:,3/13/2026,Split/Skill:,Sales", *(",".join(row) for row in table)]
    history = read(put("\n".join(lines) + "\n"), within="20s")
    assert history.contact_types == ("Sales",) and starts(history)[0] == "2026-03-13 08:00"


def test_all_problems_of_the_titles_are_told_at_once_and_columns_are_the_way_out(put):
    with pytest.raises(HistoryError) as error:
        read(put("Report\n" + HEAD + "\n" + ROWS))
    assert len(error.value.problems) == 2
    spoken = "Day,Queue," + HEAD
    text = "Report\n" + spoken + "\n" + "".join(f"3/13/2026,Sales,{line}\n" for line in ROWS.splitlines())
    history = read(put(text), columns={"date": "Day", "contact_type": "Queue"}, within="20s")
    assert history.contact_types == ("Sales",) and starts(history)[0] == "2026-03-13 08:00"


def test_a_range_of_one_day_is_that_day_and_a_date_of_two_readings_is_asked_for(put):
    body = "Split/Skill: Sales\n" + HEAD + "\n" + ROWS
    assert starts(read(put("Dates: 3/13/2026 - 3/13/2026\n" + body), within="20s"))[0] == "2026-03-13 08:00"
    path = put("Date: Wednesday, 3/4/2026\n" + body)
    with pytest.raises(HistoryError, match="day_first=True or day_first=False"):
        read(path, within="20s")
    assert starts(read(path, within="20s", day_first=False))[0] == "2026-03-04 08:00"


def test_titles_that_nothing_reads_are_listed(put):
    history = read(put("Printed: by an operator\n" + TITLES + HEAD + "\n" + ROWS))
    assert history.check().count("unread_title") == 1
    assert "(1): 'Printed: by an operator'" in str(history.check())


def test_a_title_is_read_as_the_finding_advises_and_the_others_still_are(put):
    path = put(TITLES.replace("Acceptable Service Level: 20", "Target: 20") + HEAD + "\n" + ROWS)
    finding = read(path).check().frame.set_index("rule").loc["unread_title"]
    assert "'Target: 20'" in finding["message"]
    assert "replace(titles={'ours': ('label',)})" in finding["override"] and "--within 20s" in finding["override"]
    told = PROFILES["avaya_cms_report"].replace(titles={"in_time_s": ("Target",)})
    for history in (read_history(path, profile=told, tz=ZONE), read(path, within="20s")):
        assert starts(history)[0] == "2026-03-13 08:00" and history.contact_types == ("Sales",)
        assert history.within_s == 20 and history.intervals["answered_within_s20"].tolist() == [40, 10, 20]
    assert told.titles["in_time_s"][:-1] == PROFILES["avaya_cms_report"].titles["in_time_s"]
    assert told.replace(titles={"date": "Day"}).titles["date"][-1] == "Day", "a label alone is no list of letters"


def test_rows_longer_than_the_headings_are_refused_and_a_row_without_a_time_is_no_midnight(put):
    with pytest.raises(HistoryError, match="more cells than the headings"):
        read(put(TITLES + HEAD + "\n" + ROWS.replace(",45,", ",1,045,")))
    with pytest.warns(DataQualityWarning, match="unparseable_time"):
        history = read(put(TITLES + HEAD + "\n" + ROWS + END.replace("Totals", "")))
    assert history.check().count("unparseable_time") == 1 and len(history.intervals) == 3


def test_ranges_of_two_lengths_are_refused(put):
    with pytest.raises(HistoryError, match="several lengths"):
        read(put(TITLES + HEAD + "\n" + ROWS + "1:00-1:15 PM,:05,:08,20,2:00,:10,2,:40,90.9\n"))


def test_the_report_is_guessed_with_its_titles(put):
    assert guess_profile(put(TITLES + HEAD + "\n" + ROWS + END)).profile == "avaya_cms_report"


@pytest.mark.parametrize(
    ("word", "start", "length"),
    [
        ("8:00-8:30 AM", "08:00", "30min"), ("08:00 - 08:30", "08:00", "30min"), ("8:00AM-8:30AM", "08:00", "30min"),
        ("11:30-12:00 PM", "11:30", "30min"), ("11:30-12:00 AM", "23:30", "30min"), ("12:00-12:30 PM", "12:00", "30min"),
        ("23:30-24:00", "23:30", "30min"), ("23:45–0:00", "23:45", "15min"), ("12:00 am to 1:00 am", "00:00", "60min"),
        ("11:30 AM-12:00", "11:30", "30min"), ("8:30-8:00", "8:30-8:00", ""), ("13:00-13:30 PM", "13:00-13:30 PM", ""), ("8:00 AM", "8:00 AM", ""),
        ("Totals", "Totals", ""),
    ],
)  # fmt: skip
def test_a_range_of_times_gives_start_and_length(word, start, length):
    found = split_ranges(pd.Series([word]))
    assert (found[0][0], found[1][0]) == (start, length)


def test_profiles_read_only_titles_that_they_have_columns_for():
    for profile in PROFILES.values():
        assert set(profile.titles_needed) <= set(profile.titles) <= set(profile.columns), profile.name
