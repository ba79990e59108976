"""Event logs: CSV with start and end, lifecycle transitions, XES; the arrival of the work."""

from __future__ import annotations

import gzip
from pathlib import Path

import pandas as pd
import pytest

from bposim.errors import HistoryError
from bposim.history import History, read_history

ZONE = "Europe/Amsterdam"
CSV = """\
case,activity,resource,start,end
A,check,ann,2026-03-02T09:00:00+01:00,2026-03-02T09:10:00+01:00
A,decide,bob,2026-03-02T10:00:00+01:00,2026-03-02T10:05:00+01:00
B,check,ann,2026-03-02T09:10:00+01:00,2026-03-02T09:30:00+01:00
A,call,ann,2026-03-02T10:02:00+01:00,2026-03-02T10:20:00+01:00
A,file,bob,2026-03-02T11:00:00+01:00,
"""
XES = """\
<?xml version="1.0" encoding="UTF-8"?>
<log xes.version="1.0" xmlns="http://www.xes-standard.org/">
  <extension name="Lifecycle" prefix="lifecycle" uri="http://www.xes-standard.org/lifecycle.xesext"/>
  <global scope="trace"><string key="concept:name" value="UNKNOWN"/></global>
  <trace>
    <string key="concept:name" value="A"/>
    <int key="AMOUNT_REQ" value="5000"/>
{a}  </trace>
  <trace>
    <string key="concept:name" value="B"/>
{b}  </trace>
</log>
"""


def event(activity: str, transition: str, clock: str, resource: str = "ann") -> str:
    return (
        f'    <event><string key="org:resource" value="{resource}"/>'
        f'<date key="time:timestamp" value="2026-03-02T{clock}.000+01:00"/>'
        f'<string key="concept:name" value="{activity}"/><string key="lifecycle:transition" value="{transition}"/></event>\n'
    )


A = [
    event("check", "SCHEDULE", "08:30:00"), event("check", "START", "09:00:00"), event("check", "COMPLETE", "09:10:00"),
    event("check", "START", "09:40:00"), event("check", "COMPLETE", "09:50:00"), event("check", "SUSPEND", "09:51:00"),
    event("decide", "COMPLETE", "10:05:00", "bob"), event("file", "START", "11:00:00", "bob"),
]  # fmt: skip
B = [event("check", "START", "09:10:00"), event("check", "COMPLETE", "09:30:00")]


@pytest.fixture
def put(tmp_path: Path):
    def write(text: str, name: str) -> Path:
        path = tmp_path / name
        path.write_bytes(gzip.compress(text.encode()) if name.endswith(".gz") else text.encode())
        return path

    return write


def told(history: History) -> list[tuple]:
    frame = history.contacts
    return [
        (case, kind, agent, f"{arrived:%H:%M}", wait, None if pd.isna(handle) else handle)
        for case, kind, agent, arrived, wait, handle in zip(
            frame["case"], frame["contact_type"], frame["agent"], frame["arrived"], frame["wait_s"], frame["handle_s"],
            strict=True,
        )
    ]  # fmt: skip


def test_start_and_end_in_one_row(put):
    history = read_history(put(CSV, "log.csv"), profile="event_log", tz=ZONE)
    # decide waits since check was done at 09:10; call began before decide was done, so it waited for nothing.
    assert told(history) == [
        ("A", "check", "ann", "09:00", 0.0, 600.0),
        ("A", "decide", "bob", "09:10", 3000.0, 300.0),
        ("B", "check", "ann", "09:10", 0.0, 1200.0),
        ("A", "call", "ann", "10:02", 0.0, 1080.0),
        ("A", "file", "bob", "10:20", 2400.0, None),
    ]
    assert history.check().count("arrival_assumed") == 5 and history.check().ok
    assert set(history.contacts["outcome"]) == {"answered"}


def test_a_column_that_tells_when_the_work_was_queued(put):
    queued = CSV.replace("case,", "scheduled,case,").replace("\nA,", "\n2026-03-02T08:00:00+01:00,A,")
    history = read_history(put(queued.replace("\nB,", "\n,B,"), "log.csv"), profile="event_log", tz=ZONE)
    assert history.check().count("arrival_assumed") == 1
    assert history.contacts["wait_s"].tolist()[:2] == [3600.0, 7200.0]


@pytest.mark.parametrize("name", ["log.xes", "log.xes.gz"])
def test_xes_pairs_starts_and_completions(name: str, put):
    history = read_history(put(XES.format(a="".join(A), b="".join(B)), name), profile="event_log", tz=ZONE)
    assert told(history) == [
        ("A", "check", "ann", "08:30", 1800.0, 600.0),
        ("A", "check", "ann", "09:10", 1800.0, 600.0),
        ("B", "check", "ann", "09:10", 0.0, 1200.0),
    ]
    count = history.check().count
    assert (history.quality.rows_read, history.quality.kept) == (10, 3)
    # Three starts and a schedule were joined; suspend, decide without a start and file without an end were not.
    assert (count("joined_event"), count("unpaired_event"), count("arrival_assumed")) == (4, 3, 2)
    assert history.rejected["rule"].value_counts().to_dict() == {"joined_event": 4, "unpaired_event": 3}


def test_work_of_one_activity_at_once_is_paired_first_to_first(put):
    both = [event("check", "START", "09:00:00"), event("check", "START", "09:05:00"),
            event("check", "COMPLETE", "09:10:00"), event("check", "COMPLETE", "09:30:00")]  # fmt: skip
    history = read_history(put(XES.format(a="".join(both), b=""), "log.xes"), profile="event_log", tz=ZONE)
    assert history.contacts["handle_s"].tolist() == [600.0, 1500.0]


def test_the_same_events_as_csv(put):
    rows = [("A", x) for x in A] + [("B", x) for x in B]
    lines = ["case:concept:name,concept:name,org:resource,lifecycle:transition,time:timestamp"]
    for case, text in rows:
        value = dict(
            part.split('" value="')
            for part in text.replace('"/>', "|").replace('key="', "|").split("|")
            if '" value="' in part
        )
        names = ("concept:name", "org:resource", "lifecycle:transition", "time:timestamp")
        lines.append(",".join([case, *(value[n] for n in names)]))
    history = read_history(put("\n".join(lines) + "\n", "log.csv"), profile="event_log", tz=ZONE)
    xes = read_history(put(XES.format(a="".join(A), b="".join(B)), "log.xes"), profile="event_log", tz=ZONE)
    assert told(history) == told(xes)


@pytest.mark.parametrize(
    ("text", "name", "says"),
    [
        ("<?xml version='1.0'?><log><trace>", "a.xes", "is no well-formed XML"),
        ("<?xml version='1.0'?><table/>", "a.xes", "its root is 'table', not 'log'"),
        ("<?xml version='1.0'?><log/>", "a.xes", "holds no events"),
        ("case,activity,time\nA,check,2026-03-02 09:00\n", "a.csv", "nothing tells starts from ends"),
        ("case,activity,time,transition\nA,check,2026-03-02 09:00,complete\n", "a.csv", "holds no event 'start'"),
        ("case,activity\nA,check\n", "a.csv", "no column for 'start' (time at which the work began) or 'time'"),
    ],
)
def test_what_is_no_event_log_is_one_error(text: str, name: str, says: str, put):
    with pytest.raises(HistoryError) as caught:
        read_history(put(text, name), profile="event_log", tz=ZONE)
    assert says in str(caught.value)


def test_work_left_open_is_trimmed_and_said(put):
    from bposim.history import PROFILES

    late = CSV.replace("2026-03-02T10:05:00", "2026-03-03T10:05:00")
    how = PROFILES["event_log"].replace(longest_handle_s=7200.0)
    history = read_history(put(late, "log.csv"), profile=how, tz=ZONE)
    assert history.check().count("long_handle") == 1 and "above 2h, the longest 24 h" in str(history.check())
    assert history.contacts["handle_s"].max() == 1200.0
