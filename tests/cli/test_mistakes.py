"""A planner's mistakes: one message each, with what, where, the rule and the way out; exit code 2; nothing written."""

from __future__ import annotations

import os
from pathlib import Path

import pandas as pd
import pytest

TINY = """name: tiny
time_zone: Europe/Madrid
start: 2026-05-04
days: 2
opening_hours: {mon-fri: "09:00-17:00"}
contact_types:
  calls:
    arrivals: {rate: 30/h}
    handle_time: {exponential: {mean: 240s}}
    patience: {exponential: {mean: 120s}}
agent_groups:
  team: {skills: [calls], heads: 5, cost_per_hour: 20}
shifts:
  half: {start: ["09:00", "13:00"], paid: 4h}
"""
LOG = pd.DataFrame(
    {
        "arrived": ["2026-05-04 09:00:00", "2026-05-04 09:10:00", "2026-05-04 09:20:00"],
        "answered": ["2026-05-04 09:00:05", "", "2026-05-04 09:20:01"],
        "ended": ["2026-05-04 09:05:00", "2026-05-04 09:11:00", "2026-05-04 09:25:00"],
        "contact_type": "calls",
        "outcome": ["answered", "abandoned", "answered"],
    }
)
#: The same on three days.
DAYS = pd.concat([
    LOG.assign(**{c: LOG[c].str.replace("-04 ", f"-{d:02d} ") for c in ("arrived", "answered", "ended")}) for d in (4, 5, 6)
])  # fmt: skip
LENGTHS = LOG.drop(columns=["answered", "ended"]).assign(wait_s="5", handle_s="300")
VOLUMES = pd.DataFrame(
    {
        "contact_type": "calls",
        "interval_start": ["2026-05-04T09:00:00+02:00", "2026-05-04T09:30:00+02:00"],
        "contacts": [9, 8],
    }
)
TZ = ["--tz", "Europe/Madrid"]


def changed(old: str, new: str) -> str:
    assert old in TINY
    return TINY.replace(old, new)


#: Name of the case: the file (name and content), the command, and words that the message must hold.
CASES = {
    # Histories
    "missing column": ("log.csv", LOG.drop(columns="arrived"), ["check", "log.csv", "--profile", "contacts", *TZ], ["log.csv", "'arrived'", "It has:", "--column"]),
    "column of another name": ("log.csv", LOG, ["check", "log.csv", "--profile", "contacts", *TZ, "--column", "arrived=Start"], ["'Start'", "log.csv", "It has:"]),
    "half a column pair": ("log.csv", LOG, ["check", "log.csv", "--profile", "contacts", *TZ, "--column", "arrived"], ["--column", "ours=theirs"]),
    "unit that is none": ("log.csv", LENGTHS.assign(wait_s="5 parsecs"), ["check", "log.csv", "--profile", "contacts", *TZ], ["log.csv", "'wait_s'", "rows 1, 2, 3", "Correct"]),
    "negative handle times": ("log.csv", LENGTHS.assign(handle_s="-300"), ["calibrate", "log.csv", *TZ, "-o", "m.yaml"], ["log.csv", "negative handle time", "rows 1, 2, 3", "Correct"]),
    "empty file": ("log.csv", "", ["check", "log.csv", "--profile", "contacts", *TZ], ["log.csv", "empty", "Give a file"]),
    "header only": ("log.csv", LOG.head(0), ["forecast", "log.csv", *TZ, "-o", "v.csv"], ["log.csv", "no data rows", "Give a file"]),
    "absent file": (None, None, ["check", "log.csv", "--profile", "contacts", *TZ], ["log.csv", "does not exist"]),
    "folder as history": (None, None, ["check", "folder", "--profile", "contacts", *TZ], ["folder", "is a folder", "Give the path"]),
    "unknown profile": ("log.csv", LOG, ["check", "log.csv", *TZ, "--profile", "ours"], ["'ours'", "Known:", "'contacts'"]),
    "no zone": ("log.csv", LOG, ["check", "log.csv", "--profile", "contacts"], ["no time zone", "--tz Asia/Manila"]),
    "zone that is none": ("log.csv", LOG, ["check", "log.csv", "--profile", "contacts", "--tz", "Madrid/Europe"], ["'Madrid/Europe'", "does not exist"]),
    "no table": ("log.xlsx", "PK\x03\x04 broken", ["check", "log.xlsx", "--profile", "contacts", *TZ], ["log.xlsx", "Excel", "Save it"]),
    "date of two meanings": (
        "log.csv",
        LENGTHS.assign(arrived="02/03/2026 08:01:27"),
        ["check", "log.csv", "--profile", "contacts", *TZ],
        ["'arrived'", "day-month or month-day", "--day-first or --month-first"],
    ),
    "report where a log is needed": (
        "log.csv",
        VOLUMES.rename(columns={"contacts": "offered"}),
        ["calibrate", "log.csv", "--profile", "intervals", *TZ, "-o", "m.yaml"],
        ["needs a contact log", "--scenario"],
    ),
    "scenario as history": ("tiny.yaml", TINY, ["check", "tiny.yaml", "--profile", "contacts", *TZ], ["tiny.yaml", "seems to be a .yaml file"]),
    # Scenarios
    "unknown skill": ("s.yaml", changed("[calls]", "[call]"), ["staff", "s.yaml", "-o", "p.csv"], ["'team'", "'call'", "Did you mean 'calls'", "s.yaml:12"]),
    "shift that never starts": ("s.yaml", changed('"09:00", "13:00"', '"20:00", "21:00"'), ["staff", "s.yaml", "-o", "p.csv"], ["'half'", "can never start", "Change its start", "s.yaml:14"]),
    "no unit": ("s.yaml", changed("240s", "240"), ["simulate", "s.yaml"], ["mean=240 has no unit", '"240s"', "s.yaml:9"]),
    "negative duration": ("s.yaml", changed("240s", "-240s"), ["simulate", "s.yaml"], ["'-240s'", "at least 0", "s.yaml:9"]),
    "history as scenario": ("log.csv", LOG, ["staff", "log.csv", "-o", "p.csv"], ["log.csv:1", "mapping", "scenarios/"]),
    "absent scenario": (None, None, ["report", "model.yaml"], ["'model.yaml'", "does not exist"]),
    # Targets
    "target above 100 %": ("s.yaml", TINY, ["targets", "s.yaml", "--share", "120%"], ["'120%'", "between 0 and 1"]),
    "share in hundredths": ("s.yaml", TINY, ["staff", "s.yaml", "--share", "80", "-o", "p.csv"], ["'80'", '"80%"']),
    "confidence in hundredths": ("s.yaml", TINY, ["staff", "s.yaml", "--confidence", "95", "-o", "p.csv"], ["--confidence", "'95'", '"95%"']),
    "confidence of 1": ("s.yaml", TINY, ["staff", "s.yaml", "--confidence", "1", "-o", "p.csv"], ["--confidence", "less than 1", "0.95"]),
    "negative confidence": ("s.yaml", TINY, ["targets", "s.yaml", "--confidence", "-0.5"], ["--confidence", "between 0 and 1"]),
    "within without unit": ("s.yaml", TINY, ["staff", "s.yaml", "--within", "20"], ["'20'", "no unit", '"20s"']),
    "unknown window": ("s.yaml", TINY, ["targets", "s.yaml", "--window", "fortnight"], ["'fortnight'", "week, month"]),
    "unknown solver": ("s.yaml", TINY, ["staff", "s.yaml", "--solver", "abacus", "-o", "p.csv"], ["'abacus'", "highs, cbc"]),
    # Files between commands
    "times without offset": ("v.csv", VOLUMES.assign(interval_start="2026-05-04 09:00:00"), ["simulate", "s.yaml", "--volumes", "v.csv"], ["v.csv", "no offset", "+08:00"]),
    "a day's clock missing": ("v.csv", VOLUMES.assign(interval_start="half past nine"), ["simulate", "s.yaml", "--volumes", "v.csv"], ["v.csv", "interval_start", "2026-05-04T09:00:00"]),
    "volumes of another type": ("v.csv", VOLUMES.assign(contact_type="chats"), ["staff", "s.yaml", "--volumes", "v.csv", "-o", "p.csv"], ["'chats'", "Known: calls"]),
    "negative volumes": ("v.csv", VOLUMES.assign(contacts=-1), ["simulate", "s.yaml", "--volumes", "v.csv", "-o", "p.csv"], ["negative", "row 0"]),
    "volumes in closed hours": ("v.csv", VOLUMES.replace("2026-05-04T09:30:00+02:00", "2026-05-04T03:00:00+02:00"), ["staff", "s.yaml", "--volumes", "v.csv", "-o", "p.csv"], ["1 rows", "lie in closed hours", "2026-05-04 03:00", "Widen its opening_hours"]),
    "volumes in closed hours only": ("v.csv", VOLUMES.assign(interval_start="2026-05-04T03:00:00+02:00"), ["staff", "s.yaml", "--volumes", "v.csv", "-o", "p.csv"], ["share no interval with the scenario", "to match"]),
    "volumes of a part of the day": ("v.csv", VOLUMES, ["staff", "s.yaml", "--volumes", "v.csv", "-o", "p.csv"], ["nothing for 'calls' in 14 of 16 open intervals", "2026-05-04 10:00", "what is not given is not 0"]),
    "history as volumes": ("log.csv", LOG, ["simulate", "s.yaml", "--volumes", "log.csv"], ["log.csv", "'interval_start'", "bposim forecast -o"]),
    "workbook as volumes": ("v.xlsx", "PK", ["simulate", "s.yaml", "--volumes", "v.xlsx"], ["v.xlsx", ".csv", "Export it"]),
    "empty volumes": ("v.csv", "", ["simulate", "s.yaml", "--volumes", "v.csv"], ["v.csv", "cannot be read"]),
    "folder as volumes": (None, None, ["simulate", "s.yaml", "--volumes", "folder"], ["'folder'", "is a folder"]),
    "volumes as staffing": ("v.csv", VOLUMES, ["simulate", "s.yaml", "--staffing", "v.csv"], ["'heads'", "It has:"]),
    "absent staffing": (None, None, ["simulate", "s.yaml", "--staffing", "plan.csv"], ["staffing file 'plan.csv'", "does not exist"]),
    "another zone": ("log.csv", LOG, ["forecast", "log.csv", "--tz", "Asia/Manila", "--scenario", "s.yaml", "-o", "v.csv"], ["Asia/Manila", "Europe/Madrid", "--tz Europe/Madrid"]),
    "another zone to calibrate": ("log.csv", LOG, ["calibrate", "log.csv", "--tz", "Asia/Manila", "--scenario", "s.yaml", "-o", "m.yaml"], ["Asia/Manila", "Europe/Madrid"]),
    "another zone in the main job": ("log.csv", LOG, ["demo", "--history", "log.csv", "--tz", "Asia/Manila", "--scenario", "s.yaml"], ["Asia/Manila", "Europe/Madrid"]),
    # Days of a back-test
    "from that is no day": ("log.csv", LOG, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "May"], ["--from 'May' is no day", "2026-03-01"]),
    "from before the history": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-04"], ["--from 2026-05-04 leaves no days to fit on", "the history holds 2026-05-04 to 2026-05-06", "Name a later day"]),
    "from after the history": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-07", "--to", "soon"], ["--from 2026-05-07 leaves no days to play", "2026-05-04 to 2026-05-06", "also: --to 'soon' is no day"]),
    "to before from": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-06", "--to", "2026-05-06"], ["--to 2026-05-06 must lie after --from 2026-05-06", "2026-05-04 to 2026-05-06", "leave --to out"]),
    "to beyond the history": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-05", "--to", "2026-06-01"], ["--to 2026-06-01 lies beyond the history", "up to 2026-05-07"]),
    "words that backtest lacks": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-06", "--heads", "planned", "--handle-times", "own"], ["--heads 'planned' is none of observed, profile", "also: --handle-times 'own' is none of fitted, observed"]),
    "volumes of a back-test": ("log.csv", DAYS, ["backtest", "s.yaml", "log.csv", *TZ, "--from", "2026-05-06", "--volumes", "v.csv"], ["volumes file 'v.csv'", "does not exist"]),
    # Where to write
    "missing folder": ("log.csv", LOG, ["calibrate", "log.csv", *TZ, "-o", "nowhere/m.yaml"], ["'nowhere'", "does not exist", "Create it"]),
    "folder as output": ("s.yaml", TINY, ["report", "s.yaml", "-o", "folder"], ["'folder'", ".html"]),
    "output of no kind": ("s.yaml", TINY, ["simulate", "s.yaml", "-o", "runs.txt"], ["'runs.txt'", ".csv, .csv.gz or .parquet"]),
    "file as the main job's folder": ("log.csv", LOG, ["demo", "--history", "log.csv", *TZ, "-o", "log.csv"], ["'log.csv'", "Name a folder"]),
}  # fmt: skip


def put(name: str, content: object) -> None:
    if isinstance(content, pd.DataFrame):
        content.to_csv(name, index=False)
    else:
        Path(name).write_text(str(content))


@pytest.mark.parametrize("case", CASES)
def test_a_mistake_gets_one_message(bposim, case, tmp_path, monkeypatch):
    name, content, arguments, words = CASES[case]
    monkeypatch.chdir(tmp_path)
    Path("folder").mkdir()
    put("s.yaml", TINY)
    if "does not exist" in words and "scenario" in case:
        Path("s.yaml").unlink()
    if name:
        put(name, content)
    before = {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    said = bposim(*arguments)
    assert said.code == 2, said
    assert "Traceback" not in said.err
    message = [line for line in said.err.splitlines() if not line.startswith(("the scenario is moved", "["))]
    assert message[0].split(":")[0].endswith("Error"), "the first line names the kind of mistake"
    assert all(line.startswith("  also: ") for line in message[1:]), said.err
    missing = [w for w in words if w not in said.err]
    assert not missing, f"{missing} not in {said.err!r}"
    assert {p.name: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == before, "nothing is written"


def test_a_time_that_the_clock_skipped_is_said_and_set_aside(bposim, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    skipped = LOG.assign(arrived=["2026-03-29 02:30:00", *LOG["arrived"][1:]], answered="", outcome="abandoned")
    skipped.to_csv("log.csv", index=False)
    said = bposim("check", "log.csv", "--profile", "contacts", *TZ)
    assert said.code == 1
    assert "dst_gap" in said.out and "Check tz" in said.out and "1 set aside" in said.out
    assert bposim("check", "log.csv", "--profile", "contacts", "--tz", "Asia/Manila").code == 0, (
        "Manila never changes its clocks"
    )


def test_a_european_spreadsheet_is_read_for_what_it_says(bposim, tmp_path, monkeypatch):
    """Semicolons and decimal commas, as a history and between commands; a workbook as a history."""
    monkeypatch.chdir(tmp_path)
    put("s.yaml", changed("09:00-17:00", "09:00-10:00"))
    LENGTHS.assign(wait_s="5,5", handle_s="301,25").to_csv("log.csv", sep=";", index=False)
    LENGTHS.assign(wait_s=5.5, handle_s=301.25).to_excel("log.xlsx", index=False)
    answers = {n: bposim("calibrate", n, *TZ, "--json") for n in ("log.csv", "log.xlsx")}
    for said in answers.values():
        assert said.code == 0, said
        means = [r["value"] for r in said.json["rows"] if r["parameter"] == "mean handle time"]
        assert means == [pytest.approx(301, abs=0.5)], "not 30125"
    VOLUMES.assign(contacts=[9.5, 8.5]).to_csv("v.csv", index=False)
    VOLUMES.assign(contacts=["9,5", "8,5"]).to_csv("v_eu.csv", sep=";", index=False)
    plain, european = (
        bposim("simulate", "s.yaml", "--volumes", n, "--replications", 5, "--json") for n in ("v.csv", "v_eu.csv")
    )
    assert plain.code == european.code == 0, european
    assert plain.json["rows"] == european.json["rows"]


def test_a_disk_that_refuses_is_said_without_a_traceback(bposim, tmp_path, monkeypatch):
    """Whatever goes wrong with files after the checks."""
    monkeypatch.chdir(tmp_path)
    put("s.yaml", TINY)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device", "plan.csv")

    monkeypatch.setattr(os, "replace", full)
    said = bposim("staff", "s.yaml", "--share", "50%", "--replications", 20, "-o", "plan.csv")
    assert said.code == 2 and "'plan.csv'" in said.err and "No space left" in said.err and "Traceback" not in said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["s.yaml"], "no half of a file, no scratch file"
