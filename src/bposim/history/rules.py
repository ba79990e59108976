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

    Notes
    -----
    ``accept=[id]`` of :func:`read_history` (or ``history.accept(id)`` for what was kept) says that a rule's rows are
    right as they are: they are neither set aside nor repaired, and the finding is told as accepted, without weight.
    """

    id: str
    severity: str
    done: str
    says: str
    override: str

    @property
    def acceptable(self) -> bool:
        """Whether ``accept=`` may name the rule."""
        return self.done == "kept" or self.id in _ACCEPTED_WHEN_READ


#: Rules whose rows are set aside or repaired unless the caller says that they are right.
_ACCEPTED_WHEN_READ = frozenset({"duplicate_id", "totals_row", "totals_queue", "long_handle"})
_FIX = "Correct the file, or call history.drop_invalid() to go on without these rows."
_KEEP = "history.drop_invalid({id!r}) leaves these rows out; accept=[{id!r}] says that they are right."
_REPAIRED = "history.drop_invalid({id!r}) leaves these rows out."
_RIGHT = "accept=[{id!r}] says that it is right."

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
    ("dst_gap_empty", "info", "set aside",
     "{rows} stand for local times that the clock skipped (spring change) and count nobody: the report has a row for "
     "each time of the day", "Check tz: in the right zone there was no such time."),
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
     "Correct the file, or call history.drop_invalid(); accept=[{id!r}] keeps both rows."),
    ("phantom", "info", "set aside", "{rows} are no contacts (phantom)",
     'profile.replace(set_aside={{}}, outcomes={{"phantom": "abandoned"}}) counts them.'),
    ("left_in_menu", "info", "set aside", "{rows} left inside the voice menu and never queued",
     'profile.replace(set_aside={{}}, outcomes={{"vru_hang": "abandoned"}}) counts them.'),
    # repaired: contacts
    ("negative_menu", "warning", "repaired", "{rows} have a negative time in the voice menu; taken as 0 s",
     _REPAIRED),
    ("midnight", "info", "repaired", "{rows} cross midnight under the date of their arrival; a day was added",
     "profile.replace(midnight=False) takes the dates at their word. " + _REPAIRED),
    ("long_handle", "warning", "repaired",
     "{rows} have a handle time beyond belief{detail}; the contacts are kept, handle_s and ended are missing",
     "accept=[{id!r}] believes them. " + _REPAIRED),
    ("handle_of_unanswered", "info", "repaired",
     "{rows} were not answered yet have a handle time; it was removed", _REPAIRED),
    # kept: contacts
    ("dst_fold", "info", "kept",
     "{rows} have a local time that occurs twice (autumn change); the first was taken unless their order tells",
     "Write times with an offset (2026-10-25T01:30:00+02:00) in the file. " + _KEEP),
    ("zero_handle", "warning", "kept", "{rows} are answered with a handle time of 0 s (agents hanging up?)",
     _KEEP),
    ("no_agent", "info", "kept", "{rows} are answered by no named agent", _KEEP),
    ("agent_overlap", "warning", "kept", "{rows} begin before the same agent's previous contact ends{detail}",
     _KEEP),
    ("duplicate_row", "warning", "kept", "{rows} equal an earlier row in every column", _KEEP),
    ("outcome_assumed", "warning", "kept",
     "{rows} have no outcome and a handle time of 0 s; taken as abandoned",
     "Give the file's outcome column: columns={{'outcome': …}}. " + _KEEP),
    ("unknown_wait", "warning", "kept", "{rows} were not answered and their wait is not known", _KEEP),
    ("clock_disagrees", "warning", "kept",
     "{rows} have clock times and durations that differ by more than {detail}", _KEEP),
    ("outside_hours", "info", "kept", "{rows} arrive outside the inferred opening hours{detail}",
     'history.volumes(hours="all") counts them; ' + _KEEP),
    ("missing_days", "warning", "kept",
     "{n} days within the range have no contacts although their weekday is normally open{detail}: closed or missing",
     "Name holidays in the scenario's 'closed'; otherwise get the missing days. " + _RIGHT),
    ("unit_slip", "warning", "kept", "the {detail}: probably not seconds",
     "Write the unit: columns={{'handle_s': ('<its name in the file>', 'min')}} (of a report 'aht_s' or 'handle_sum_s'). "
     + _RIGHT),
    ("zone_slip", "warning", "kept",
     "the day's load is centred on {detail} local time: the times may be in another zone",
     "Write the times with their offset, as 2026-03-01T09:30:00Z in a file that keeps UTC, and tz as the place's. " + _RIGHT),
    ("encoding", "info", "kept", "the file is not UTF-8; it was read as Windows-1252", "Save the file as UTF-8. " + _RIGHT),
    ("outcome_from_flag", "info", "kept", "the outcome was told by the yes-or-no column{detail}",
     "Write columns={{'outcome': '<its name in the file>'}} for another. " + _RIGHT),
    ("unused_columns", "info", "kept", "{n} columns of the file were not used{detail}",
     "Write columns={{'ours': 'theirs'}} for those that should be. " + _RIGHT),
    ("unread_title", "info", "kept", "title lines above the table are not read ({n}){detail}",
     "Write profile=PROFILES[…].replace(titles={{'ours': ('label',)}}) for those that should be; in a shell --within 20s for an "
     "acceptable waiting time, --column ours=theirs for what a column tells too. " + _RIGHT),
    # interval reports and counts
    ("totals_row", "warning", "set aside", "{rows} are totals, not intervals", "accept=[{id!r}] takes them for a contact type of that name; else totals are made again."),
    ("duplicate_interval", "error", "set aside",
     "{rows} repeat an interval of the same contact type; the first is kept", _FIX),
    ("negative_count", "error", "set aside", "{rows} have a negative count{detail}", _FIX),
    ("negative_aht", "error", "set aside", "{rows} have a negative time{detail}", _FIX),
    ("within_exceeds_total", "error", "set aside",
     "{rows} count more contacts within a threshold than there are{detail}", _FIX),
    ("count_mismatch", "warning", "kept",
     "{rows} have offered other than the sum of what became of the contacts{detail}",
     "Expected where contacts are booked when they end; otherwise check which columns are mapped. " + _KEEP),
    ("told_twice", "warning", "kept", "{rows} tell a number in two ways that differ{detail}",
     "Used: the sum, not the mean; the total, not its parts; of two columns the one named above. "
     "Write columns={{'ours': 'theirs'}} for the one that is right. " + _KEEP),
    ("missing_intervals", "info", "kept",
     "{n} intervals between the first and the last of their day, or that the other days of the weekday have, are not in "
     "the report{detail}; unknown, not 0",
     "Export with empty intervals if they are zeros. " + _RIGHT),
    ("missing_count", "info", "kept", "{n} of {total} counts are missing; taken as unknown, not as 0",
     "Write 0 where nothing arrived. " + _KEEP),
    ("fractional_counts", "info", "kept", "{n} of {total} counts are no whole numbers (imputed?)", _KEEP),
    ("zone_assumed", "info", "kept", "the counts name no time zone; UTC was taken", 'Write tz="Asia/Manila". ' + _RIGHT),
    ("totals_queue", "warning", "set aside",
     "{rows} belong to a queue that is the sum of the others{detail}; counted with them every contact would count twice",
     "accept=[{id!r}] keeps the queue; types=[…] reads it alone."),
    ("booking_lag", "info", "kept",
     "{rows} have offered other than the sum of what became of the contacts, but the days even out{detail}: contacts "
     "are booked when they end", _KEEP),
    ("zero_aht", "warning", "kept", "{rows} have answered contacts and a handle time of 0 s", _KEEP),
    ("extreme_aht", "warning", "kept", "{rows} have a mean handle time beyond belief{detail}", _KEEP),
    ("over_occupied", "warning", "kept", "{rows} have more handle time than the agents were there for{detail}", _KEEP),
    ("transfers_counted", "warning", "kept",
     "{rows} are transfers that count again where they were sent{detail}", _KEEP),
    # the history as a whole
    ("outage_day", "warning", "kept", "{n} days have a hole in which nearly no contact came{detail}", _KEEP),
    ("holiday_day", "info", "kept", "{n} days of unusual volume are public holidays{detail}", _KEEP),
    ("outlier_day", "warning", "kept", "{n} days have a volume far from their weekday's{detail}", _KEEP),
    ("truncated_day", "warning", "kept",
     "{n} days at the edge of the file break off while contacts were due{detail}", _KEEP),
    ("censored_edge", "warning", "kept",
     "{rows} come just before an end at which no contact was under way{detail}: the file holds only contacts that had "
     "ended, and the long ones are missing", _KEEP),
    ("zone_shift", "warning", "kept",
     "{n} days have the others' profile shifted by whole hours{detail}: the times may be in another zone", _KEEP),
    ("unit_shift", "warning", "kept",
     "{rows} are of days whose handle times differ by a factor of a unit{detail}: minutes among seconds?", _KEEP),
    ("level_shift", "warning", "kept", "{n} queues change their share from one day on{detail}: mapped anew?",
     "Name both as one type, or fit on one side: history.between(…). " + _RIGHT),
    ("repeated_day", "warning", "kept", "{n} days repeat an earlier day number by number{detail}: copied?", _KEEP),
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
