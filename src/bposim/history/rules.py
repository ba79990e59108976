"""The data-quality rules, as data: one line per rule, the same for every reader (``docs/design/data-contracts.md``)."""

from __future__ import annotations

from dataclasses import dataclass

SEVERITIES = ("error", "warning", "info")
DONE = ("raised", "set aside", "repaired", "kept")


@dataclass(frozen=True)
class Rule:
    """A data-quality rule.

    Attributes
    ----------
    id : str
    severity : str
        ``error``: the row cannot be trusted; ``warning``: it may bend an estimate; ``info``: worth knowing.
    done : str
        What the reader does: ``raised`` (no history at all), ``set aside``, ``repaired`` or ``kept``.
    says : str
        The message; ``{rows}`` reads "3 of 1,204 rows", ``{n}`` the 3, ``{detail}`` what the rule adds.
    override : str
        How to have it otherwise.
    """

    id: str
    severity: str
    done: str
    says: str
    override: str


_FIX = "Correct the file, or call history.drop_invalid() to go on without these rows."
_KEEP = "history.drop_invalid({id!r}) leaves these rows out."

_TABLE = (
    # raised: nothing can be read
    ("missing_column", "error", "raised", "a needed column is not in the file", 'Write columns={{"ours": "theirs"}}.'),
    ("empty_file", "error", "raised", "the file has no data rows", "Give a file with at least one data row."),
    ("zone_missing", "error", "raised", "no time zone was given", 'Write tz="Asia/Manila" (an IANA name).'),
    # set aside: contacts
    ("unparseable_time", "error", "set aside", "{rows} have a time that is missing or no time{detail}", _FIX),
    ("dst_gap", "error", "set aside",
     "{rows} have a local time that the clock skipped (spring change){detail}",
     "Check tz, or correct the file; history.drop_invalid() goes on without these rows."),
    ("unparseable_number", "error", "set aside", "{rows} have a number that is no number{detail}", _FIX),
    ("missing_type", "error", "set aside", "{rows} name no contact type", _FIX),
    ("unknown_outcome", "error", "set aside", "{rows} have an unknown outcome{detail}",
     'Write profile=PROFILES["contacts"].replace(outcomes={{"theirs": "answered"}}), or call history.drop_invalid().'),
    ("answered_without_time", "error", "set aside", "{rows} are answered but their wait is not known", _FIX),
    ("negative_wait", "error", "set aside", "{rows} have a negative wait", _FIX),
    ("negative_handle", "error", "set aside", "{rows} have a negative handle time", _FIX),
    ("answered_before_arrived", "error", "set aside", "{rows} are answered before they arrive", _FIX),
    ("ended_before_answered", "error", "set aside", "{rows} end before they are answered", _FIX),
    ("ended_before_arrived", "error", "set aside", "{rows} leave the queue before they arrive", _FIX),
    ("duplicate_id", "error", "set aside", "{rows} repeat an earlier row's contact id; the first is kept",
     "Correct the file, read it without its 'source_id' column, or call history.drop_invalid()."),
    ("phantom", "info", "set aside", "{rows} are no contacts (phantom)", "None: the source calls them void."),
    ("left_in_menu", "info", "set aside", "{rows} left inside the voice menu and never queued",
     "None: they were never offered to the queue; history.rejected holds them."),
    # repaired: contacts
    ("negative_menu", "warning", "repaired", "{rows} have a negative time in the voice menu; taken as 0 s",
     _KEEP),
    ("midnight", "info", "repaired", "{rows} cross midnight under the date of their arrival; a day was added",
     _KEEP),
    ("long_handle", "warning", "repaired",
     "{rows} have a handle time beyond belief{detail}; the contacts are kept, handle_s and ended are missing",
     _KEEP),
    ("handle_of_unanswered", "info", "repaired",
     "{rows} were not answered yet have a handle time; it was removed", _KEEP),
    # kept: contacts
    ("dst_fold", "info", "kept",
     "{rows} have a local time that occurs twice (autumn change); the first was taken unless their order tells",
     "Write times with an offset (2026-10-25T01:30:00+02:00) in the file."),
    ("zero_handle", "warning", "kept", "{rows} are answered with a handle time of 0 s (agents hanging up?)",
     _KEEP),
    ("no_agent", "info", "kept", "{rows} are answered by no named agent", _KEEP),
    ("agent_overlap", "warning", "kept", "{rows} begin before the same agent's previous contact ends{detail}",
     _KEEP),
    ("duplicate_row", "warning", "kept", "{rows} equal an earlier row in every column", _KEEP),
    ("outcome_assumed", "warning", "kept",
     "{rows} have no outcome and a handle time of 0 s; taken as abandoned",
     "Give the file's outcome column: columns={{'outcome': …}}."),
    ("unknown_wait", "warning", "kept", "{rows} were not answered and their wait is not known", _KEEP),
    ("clock_disagrees", "warning", "kept",
     "{rows} have clock times and durations that differ by more than {detail}", _KEEP),
    ("outside_hours", "info", "kept", "{rows} arrive outside the inferred opening hours{detail}",
     'history.volumes(hours="all") counts them; ' + _KEEP),
    ("missing_days", "warning", "kept",
     "{n} days within the range have no contacts although their weekday is normally open{detail}: closed or missing",
     "Name holidays in the scenario's 'closed'; otherwise get the missing days."),
    ("unit_slip", "warning", "kept", "the median of {detail}: probably not seconds",
     "Write the unit: columns={{'handle_s': ('Talk', 'min')}}."),
    ("zone_slip", "warning", "kept",
     "the day's load is centred on {detail} local time: the times may be in another zone",
     'Check tz; a file in UTC needs tz="UTC".'),
    ("encoding", "info", "kept", "the file is not UTF-8; it was read as Windows-1252", "Save the file as UTF-8."),
    # interval reports and counts
    ("totals_row", "warning", "set aside", "{rows} are totals, not intervals", "None: totals are made again."),
    ("duplicate_interval", "error", "set aside",
     "{rows} repeat an interval of the same contact type; the first is kept", _FIX),
    ("negative_count", "error", "set aside", "{rows} have a negative count{detail}", _FIX),
    ("negative_aht", "error", "set aside", "{rows} have a negative time{detail}", _FIX),
    ("within_exceeds_total", "error", "set aside",
     "{rows} count more contacts within a threshold than there are{detail}", _FIX),
    ("count_mismatch", "warning", "kept",
     "{rows} have offered other than the sum of what became of the contacts{detail}",
     "Expected where contacts are booked when they end; otherwise check which columns are mapped. " + _KEEP),
    ("missing_intervals", "info", "kept",
     "{n} intervals between the first and the last of their day are not in the report{detail}; unknown, not 0",
     "Export with empty intervals if they are zeros."),
    ("missing_count", "info", "kept", "{n} of {total} counts are missing; taken as unknown, not as 0",
     "Write 0 where nothing arrived."),
    ("fractional_counts", "info", "kept", "{n} of {total} counts are no whole numbers (imputed?)", _KEEP),
    ("zone_assumed", "info", "kept", "the counts name no time zone; UTC was taken", 'Write tz="Asia/Manila".'),
    # layouts of the sources
    ("superseded", "info", "set aside", "{rows} are replaced by a later row of the same key{detail}",
     'Write profile=PROFILES[…].replace(latest_wins=()) to keep them all.'),
    ("other_length", "info", "set aside", "{rows} have another interval length than the one asked for{detail}",
     'Read these with their own interval="…".'),
    ("joined_event", "info", "set aside", "{rows} are starts or schedules that were joined to their completion",
     "None: one row per activity is kept."),
    ("unpaired_event", "warning", "set aside", "{rows} are events without their other half{detail}",
     "Export the log with the lifecycle transitions start and complete of every activity."),
    ("dates_invented", "warning", "kept",
     "{rows} have no date; dates were made up{detail}: weekdays, seasons and holidays mean nothing",
     'Write profile=PROFILES[…].replace(first_day="2026-01-05") with the true first day.'),
    ("arrival_assumed", "warning", "kept",
     "{rows} do not tell when the work was put into the queue; the end of the case's previous activity was taken, or its "
     "own start", "Give the column 'scheduled', or the lifecycle transition schedule."),
    ("handle_incomplete", "info", "kept", "the handle time is made of parts of which the file lacks some{detail}",
     "Map the missing part, or the whole: columns={{'handle_sum_s': …}}."),
    ("service_level_to_count", "info", "repaired",
     "{rows} have a service level, turned into the count of contacts answered{detail}, rounded",
     "Write counting= and within= as the source's settings were."),
    ("service_level_formula", "warning", "kept",
     "{rows} have a service level that does not fit the formula it was read by{detail}: the source's may be another",
     "Write counting= as the source's setting was."),
    ("service_level_unread", "warning", "kept", "a service level in the file was not read{detail}",
     'Write counting="offered", within="20s" as the source\'s settings were.'),
    ("threshold_unknown", "warning", "kept", "counts in the file were not read:{detail}",
     'Write within="20s" or short_abandons="5s", or PROFILES[…].replace(buckets=(5, 10, 15, 20)).'),
    ("setting_varies", "warning", "kept", "the {detail} is not the same in all rows, so it is not taken for the history's",
     "Read the queues apart: types=[…]."),
    ("substitute", "warning", "repaired", "{rows} lack a value; that of another column was taken{detail}",
     "Write profile=PROFILES[…].replace(instead={{}}) to have it unknown."),
    ("imputed", "info", "kept", "{rows} are marked by the source as made up (imputed)", _KEEP),
    ("serial_dates", "info", "repaired", "{rows} have dates as a spreadsheet's numbers of days; read as such",
     "Save the column as dates."),
    ("offset_ignored", "info", "repaired",
     "{rows} have times with an offset from UTC that means nothing in this source; taken as local",
     'Write profile=PROFILES[…].replace(offsets="told").'),
)  # fmt: skip

#: Every rule by id, in the order of the documentation.
RULES: dict[str, Rule] = {row[0]: Rule(*row[:4], row[4].format(id=row[0])) for row in _TABLE}
