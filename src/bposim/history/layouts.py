"""What a source's files look like: our fields, and the :class:`Profile` that maps a source onto them."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bposim.errors import HistoryError
from bposim.schema import COUNTING_RULES, OUTCOMES

#: Our column names for a contact log: name → meaning.
CONTACT_FIELDS = {
    "arrived": "time of arrival in the queue",
    "answered": "time of answer",
    "ended": "time at which the contact left",
    "wait_s": "seconds in the queue",
    "handle_s": "seconds of talk, hold and after-contact work",
    "talk_s": "seconds of talk alone",
    "hold_s": "seconds on hold",
    "acw_s": "seconds of after-contact work",
    "menu_s": "seconds in the voice menu before the queue",
    "outcome": "what became of the contact",
    "contact_type": "name of the contact type",
    "channel": "channel, which becomes part of the contact type's name",
    "agent_group": "group that answered",
    "agent": "agent that answered",
    "priority": "priority in the queue",
    "customer": "code of the customer",
    "source_id": "the file's own id of the contact",
    "version": "what tells a later row of the same contact from an earlier one",
}
#: Our column names for an interval report; ``*_within_s20`` and the like may name any threshold.
INTERVAL_FIELDS = {
    "interval_start": "start of the interval",
    "date": "date of the interval, where date and time stand apart",
    "time": "time of day of the interval, where date and time stand apart",
    "day_number": "number of the day, where the file names no dates",
    "interval_length": "length of the interval",
    "contact_type": "name of the contact type",
    "channel": "channel, which becomes part of the contact type's name",
    "skills": "skills, which become part of the contact type's name",
    "language": "language, which becomes part of the contact type's name",
    "offered": "contacts that arrived",
    "offered_direct": "contacts that arrived here first",
    "overflow_in": "contacts that arrived from another queue",
    "answered": "contacts answered",
    "abandoned": "contacts that hung up in the queue",
    "blocked": "contacts that found no place in the queue",
    "disconnected": "contacts cut off at closing",
    "callback": "contacts that asked to be called back",
    "deflected": "contacts that left for another queue or channel",
    "wait_answered_sum_s": "sum of the waits of the answered",
    "wait_abandoned_sum_s": "sum of the waits of the abandoned",
    "wait_sum_s": "sum of the waits of all that queued",
    "handle_sum_s": "sum of the handle times of the answered",
    "talk_part_sum_s": "sum of the talk times alone",
    "hold_part_sum_s": "sum of the hold times",
    "acw_part_sum_s": "sum of the after-contact work",
    "max_wait_s": "longest wait",
    "asa_s": "mean wait of the answered, turned into a sum",
    "mean_abandon_s": "mean wait of the abandoned, turned into a sum",
    "aht_s": "mean handle time of the answered, turned into a sum",
    "staffed_s": "agent-seconds there to serve the contact type",
    "transferred": "answered contacts that were passed on to another queue, which offers them again",
    "talk_part_mean_s": "mean talk time alone",
    "hold_part_mean_s": "mean hold time",
    "acw_part_mean_s": "mean after-contact work",
    "answered_in_time": "contacts answered within an acceptable time that another column or the user tells",
    "abandoned_in_time": "contacts abandoned within that time",
    "short_abandoned": "contacts abandoned within the short-abandon limit",
    "in_time_s": "the acceptable waiting time of 'answered_in_time' and 'service_level'",
    "service_level": "share answered in time, turned into a count",
    "counting": "the source's word for its service-level formula",
    "imputed": "whether the source made the count up",
}
#: Our column names for an event log: one row per activity, or one per start and end of it.
EVENT_FIELDS = {
    "case": "the case (ticket, application) that the activity belongs to",
    "activity": "name of the activity: the contact type",
    "resource": "who did it: the agent",
    "scheduled": "time at which the work was put into the queue",
    "start": "time at which the work began",
    "end": "time at which the work was done",
    "time": "time of the event, where each row is a start or an end",
    "transition": "schedule, start or complete, where each row is one of them",
    "priority": "priority in the queue",
    "customer": "code of the customer",
}
FIELDS = {"contacts": CONTACT_FIELDS, "intervals": INTERVAL_FIELDS, "events": EVENT_FIELDS}
WITHIN = re.compile(r"^(answered|abandoned)_within_s(\d+)$")
#: Fields of a report's patterns that carry a threshold: buckets by number, shares by seconds.
BUCKET = re.compile(r"^(answered|abandoned)_bucket_(\d+)$")
BOUND = re.compile(r"^bound_(\d+)$")
SHARE = re.compile(r"^service_level_s(\d+)$")
BOOKINGS = ("arrival", "answer", "end", "event")

_OUTCOMES = {name: name for name in OUTCOMES if name != "open"} | {
    "served": "answered", "handled": "answered", "completed": "answered", "connected": "answered", "yes": "answered",
    "abandon": "abandoned", "hangup": "abandoned", "hung up": "abandoned", "aband": "abandoned", "missed": "abandoned",
    "busy": "blocked", "call back": "callback", "call-back": "callback", "overflow": "deflected",
    "transferred out": "deflected", "flow-out": "deflected",
}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """What the files of one source look like.

    Attributes
    ----------
    name : str
    kind : {"contacts", "intervals", "events"}
    columns : mapping of our name to the names it may have in the file, compared without case and punctuation
    patterns : mapping of a regular expression for a column's name (lower case, ``_`` for punctuation) to our name
        ``{}`` stands for the first group: ``{r"contacts_abandoned_in_(\\d+)": "abandoned_within_s{}"}``.
    units : mapping of our name to a unit of time (``"min"``); seconds where not named
    outcomes : mapping of the file's word for an outcome, lower case, to ours
    set_aside : mapping of the file's word for an outcome to the rule that sets its rows aside
    missing : mapping of our name to values that mean "missing"
    extras : mapping of a name to the names it may have in the file
        Columns that are kept as they are beside ours.
    instead : mapping of our name to one of ``extras``
        The column that stands in where a cell of ours is missing (rule ``substitute``).
    prefer : {"times", "durations"}
        Which of them wins where a file has both; the other is checked against it.
    tolerance_s : float
        Difference between them that is still called equal.
    midnight : bool
        Whether answer and end carry the date of the arrival even past midnight.
    longest_handle_s : float or None
        Handle times above it are not believed (rule ``long_handle``); None: 10 h, or 20 times the 99.9th percentile.
    day_first : bool or None
        ``03/04/2026`` is 3 April; None: told from the data, refused where they do not tell.
    date_format : str or None
        Format of dates without separators, ``"%m%d%Y"``.
    time_form : {"hhmm", "hour", None}
        ``830`` is 08:30; ``8`` is 08:00; None: a time of day as people write it.
    clock : str or None
        Zone of times without an offset where it is not the operation's: ``"UTC"``. They are converted to ``tz``.
    offsets : {"told", "ignored"}
        Whether an offset in the file (``Z``) means what it says.
    first_day : str or None
        Of a file that only numbers its days: the day that number 1 is given.
    header : {"first", "none", "optional"}
        Whether the first row names the columns; without one ``fields`` does.
    header_mark : str
        What a header line begins with, such as ``#fields``; it is cut off.
    titles : mapping of our name to the labels of title lines above the table
        ``{"contact_type": ("Split/Skill",)}`` reads ``Split/Skill: Sales``; a title fills the column that the table lacks.
    titles_needed : tuple of str
        Those of ``titles`` without which the rows cannot be read, where the table has no such column.
    fields : tuple of str
        Names of the columns by position.
    signature : tuple of str
        Columns of the file without which it is not of this source; for guessing.
    looks : mapping of our name to a regular expression that the cells match; for guessing
    delimiters : tuple of str
        The delimiters a file of this source may have; none: any that is read here.
    interval : str or None
        Length of the intervals where neither the starts nor a column tell.
    lengths : mapping of a word of the column ``interval_length`` to seconds; numbers are in its unit
    latest_wins : tuple of str
        Our columns that a later row replaces an earlier one by: of rows that agree in them the last is kept, by
        ``version`` where there is one, otherwise in the order of the file.
    never_queued : bool
        Whether a contact without a time of arrival in the queue never queued (rule ``left_in_menu``).
    exclusive : mapping of a name to the file's columns of that kind
        Columns of two kinds may not be used together.
    buckets : tuple of float
        Upper bounds in seconds of the numbered columns of answered and abandoned contacts; the last is open.
    complete : bool
        Whether a count that the file lacks is what the others leave of ``offered``.
    counting : str or None
        The source's service-level formula, one of ``schema.COUNTING_RULES``; None: not told.
    counting_words : mapping of the word in the column ``counting`` to the formula
    within_s, short_abandon_s : float or None
        Acceptable waiting time and short-abandon limit in seconds; None: not told.
    booking : {"arrival", "answer", "end", "event", None}
        The interval to which a contact belongs: that of its arrival, answer or end; ``"event"``: its arrival, its answer
        and its abandonment are each booked where they happen; None: not told.
    note : str
        Source and peculiarities, for a reader.
    zone, country : str or None
        IANA time zone and ISO country of a source that has but one.
    """

    name: str
    kind: str
    columns: Mapping[str, tuple[str, ...]]
    patterns: Mapping[str, str] = field(default_factory=dict)
    units: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=lambda: _OUTCOMES)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    extras: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    instead: Mapping[str, str] = field(default_factory=dict)
    prefer: str = "times"
    tolerance_s: float = 2.0
    midnight: bool = False
    longest_handle_s: float | None = None
    day_first: bool | None = None
    date_format: str | None = None
    time_form: str | None = None
    clock: str | None = None
    offsets: str = "told"
    first_day: str | None = None
    header: str = "first"
    header_mark: str = ""
    titles: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    titles_needed: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    signature: tuple[str, ...] = ()
    looks: Mapping[str, str] = field(default_factory=dict)
    delimiters: tuple[str, ...] = ()
    interval: str | None = None
    lengths: Mapping[str, float] = field(default_factory=dict)
    latest_wins: tuple[str, ...] = ()
    never_queued: bool = False
    exclusive: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    buckets: tuple[float, ...] = ()
    complete: bool = True
    counting: str | None = None
    counting_words: Mapping[str, str] = field(default_factory=dict)
    within_s: float | None = None
    short_abandon_s: float | None = None
    booking: str | None = "arrival"
    note: str = ""
    zone: str | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        for f in dataclasses.fields(self):
            value = getattr(self, f.name)
            if isinstance(value, Mapping):
                object.__setattr__(self, f.name, MappingProxyType(dict(value)))
        choices: dict[str, tuple[object, ...]] = {
            "kind": tuple(FIELDS), "prefer": ("times", "durations"), "header": ("first", "none", "optional"),
            "offsets": ("told", "ignored"), "time_form": ("hhmm", "hour", None), "booking": (*BOOKINGS, None),
            "counting": (*COUNTING_RULES, None),
        }  # fmt: skip
        problems = [
            f"profile {self.name!r}: {name} must be one of {', '.join(map(repr, known))}. Got {getattr(self, name)!r}."
            for name, known in choices.items()
            if getattr(self, name) not in known
        ]
        if self.buckets and (min(self.buckets) <= 0 or list(self.buckets) != sorted(set(self.buckets))):
            problems.append(f"profile {self.name!r}: buckets must ascend from above 0. Got {self.buckets!r}.")
        if problems:
            raise HistoryError(problems)

    def replace(self, **changes: Any) -> Profile:
        """Return a copy with some attributes changed.

        ``outcomes`` and labels of ``titles`` are added to those already known.

        Examples
        --------
        >>> from bposim.history import PROFILES
        >>> PROFILES["contacts"].replace(outcomes={"ok": "answered"}).outcomes["ok"]
        'answered'
        """
        known = {f.name for f in dataclasses.fields(self)}
        if unknown := sorted(set(changes) - known):
            raise HistoryError(f"a profile has no {', '.join(map(repr, unknown))}. It has: {', '.join(sorted(known))}.")
        if "outcomes" in changes:
            changes["outcomes"] = dict(self.outcomes) | {str(k).lower(): v for k, v in changes["outcomes"].items()}
        if "titles" in changes:
            more = {k: (v,) if isinstance(v, str) else tuple(v) for k, v in changes["titles"].items()}
            changes["titles"] = {
                k: tuple(dict.fromkeys((*self.titles.get(k, ()), *more.get(k, ())))) for k in (*self.titles, *more)
            }
        return dataclasses.replace(self, **changes)
