"""Profiles: what a source's files look like, as data, so that another vendor is another entry and no other code."""

from __future__ import annotations

import dataclasses
import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from bposim.errors import HistoryError
from bposim.schema import OUTCOMES

#: Our column names for a contact log: name → meaning.
CONTACT_FIELDS = {
    "arrived": "time of arrival in the queue",
    "answered": "time of answer",
    "ended": "time at which the contact left",
    "wait_s": "seconds in the queue",
    "handle_s": "seconds of talk, hold and after-contact work",
    "menu_s": "seconds in the voice menu before the queue",
    "outcome": "what became of the contact",
    "contact_type": "name of the contact type",
    "agent_group": "group that answered",
    "agent": "agent that answered",
    "priority": "priority in the queue",
    "customer": "code of the customer",
    "source_id": "the file's own id of the contact",
}
#: Our column names for an interval report; ``*_within_s20`` and the like may name any threshold.
INTERVAL_FIELDS = {
    "interval_start": "start of the interval",
    "date": "date of the interval, where date and time stand apart",
    "time": "time of day of the interval, where date and time stand apart",
    "contact_type": "name of the contact type",
    "offered": "contacts that arrived",
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
    "max_wait_s": "longest wait",
    "asa_s": "mean wait of the answered, turned into a sum",
    "mean_abandon_s": "mean wait of the abandoned, turned into a sum",
    "aht_s": "mean handle time of the answered, turned into a sum",
    "staffed_s": "agent-seconds there to serve the contact type",
    "transferred": "answered contacts that were passed on to another queue, which offers them again",
}
WITHIN = re.compile(r"^(answered|abandoned)_within_s(\d+)$")

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
    kind : {"contacts", "intervals"}
    columns : mapping of our name to the names it may have in the file, compared without case and punctuation
    units : mapping of our name to a unit of time (``"min"``); seconds where not named
    outcomes : mapping of the file's word for an outcome, lower case, to ours
    set_aside : mapping of the file's word for an outcome to the rule that sets its rows aside
    missing : mapping of our name to values that mean "missing"
    prefer : {"times", "durations"}
        Which of them wins where a file has both; the other is checked against it.
    tolerance_s : float
        Difference between them that is still called equal.
    midnight : bool
        Whether answer and end carry the date of the arrival even past midnight.
    day_first : bool or None
        ``03/04/2026`` is 3 April; None: told from the data, refused where they do not tell.
    booking : {"arrival", "end"}
        The interval to which a contact belongs: that of its arrival or that of its end.
    note : str
        Source and peculiarities, for a reader.
    zone, country : str or None
        IANA time zone and ISO country of a source that has but one.
    """

    name: str
    kind: str
    columns: Mapping[str, tuple[str, ...]]
    units: Mapping[str, str] = field(default_factory=dict)
    outcomes: Mapping[str, str] = field(default_factory=lambda: _OUTCOMES)
    set_aside: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    prefer: str = "times"
    tolerance_s: float = 2.0
    midnight: bool = False
    day_first: bool | None = None
    booking: str = "arrival"
    note: str = ""
    zone: str | None = None
    country: str | None = None

    def __post_init__(self) -> None:
        for name in ("columns", "units", "outcomes", "set_aside", "missing"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def replace(self, **changes: Any) -> Profile:
        """Return a copy with some attributes changed.

        ``outcomes`` are added to those already known.

        Examples
        --------
        >>> PROFILES["contacts"].replace(outcomes={"ok": "answered"}).outcomes["ok"]
        'answered'
        """
        known = {f.name for f in dataclasses.fields(self)}
        if unknown := sorted(set(changes) - known):
            raise HistoryError(f"a profile has no {', '.join(map(repr, unknown))}. It has: {', '.join(sorted(known))}.")
        if "outcomes" in changes:
            changes["outcomes"] = dict(self.outcomes) | {str(k).lower(): v for k, v in changes["outcomes"].items()}
        return dataclasses.replace(self, **changes)


PROFILES: Mapping[str, Profile] = MappingProxyType({
    "contacts": Profile(
        "contacts", "contacts",
        {
            "arrived": ("arrived", "arrival", "arrival_time", "arrived_at", "start_time", "queued_at"),
            "answered": ("answered", "answered_at", "answer_time", "service_start"),
            "ended": ("ended", "ended_at", "end_time", "service_end"),
            "wait_s": ("wait_s", "wait_seconds", "queue_s", "wait_time_s"),
            "handle_s": ("handle_s", "handle_seconds", "handle_time_s", "service_s", "talk_s"),
            "menu_s": ("menu_s", "vru_s", "ivr_s"),
            "outcome": ("outcome", "result", "disposition"),
            "contact_type": ("contact_type", "type", "queue", "skill"),
            "agent_group": ("agent_group", "group", "team"),
            "agent": ("agent", "agent_id", "agent_name"),
            "priority": ("priority",),
            "customer": ("customer", "customer_id"),
            "source_id": ("source_id", "contact_id", "call_id", "id"),
        },
        note="One row per contact: arrival, then times (answered, ended) or durations (wait_s, handle_s).",
    ),
    "intervals": Profile(
        "intervals", "intervals",
        {
            "interval_start": ("interval_start", "interval", "start", "timestamp", "interval_start_time"),
            "date": ("date", "day"),
            "time": ("time", "time_of_day"),
            "contact_type": ("contact_type", "type", "queue", "skill"),
            "offered": ("offered", "contacts_offered", "calls_offered", "offer", "contacts_queued"),
            "answered": ("answered", "handled", "calls_answered", "contacts_handled", "answer"),
            "abandoned": ("abandoned", "calls_abandoned", "contacts_abandoned", "abandon"),
            "wait_answered_sum_s": ("wait_answered_sum_s", "wait_sum_answered_s"),
            "handle_sum_s": ("handle_sum_s", "talk_sum_s", "total_handle_time_seconds"),
            "asa_s": ("asa_s", "asa", "avg_speed_answer"),
            "aht_s": ("aht_s", "aht", "avg_handle", "average_handle_time"),
            "staffed_s": ("staffed_s", "staffed_time_s", "staffed_seconds"),
            "transferred": ("transferred", "transfers", "transferred_out", "transfers_out"),
        } | {n: (n,) for n in ("blocked", "disconnected", "callback", "deflected", "wait_abandoned_sum_s", "wait_sum_s",
                               "max_wait_s", "mean_abandon_s")},
        note="One row per interval and contact type: counts and sums, or means that are turned into sums.",
    ),
    "anonbank": Profile(
        "anonbank", "contacts",
        {
            "arrived": ("arrival",), "menu_s": ("vru_s",), "wait_s": ("wait_s",), "handle_s": ("service_s",),
            "answered": ("service_start",), "ended": ("service_end",), "outcome": ("kind",), "contact_type": ("type",),
            "agent": ("agent",), "priority": ("priority",), "customer": ("customer",),
        },
        outcomes={"served": "answered", "abandoned": "abandoned"},
        set_aside={"phantom": "phantom", "vru_hang": "left_in_menu"},
        missing={"customer": ("-1",)},
        prefer="durations", tolerance_s=60.0, midnight=True, day_first=False, zone="Asia/Jerusalem", country="IL",
        note="The 'Anonymous Bank' log of the Technion: arrival at the voice menu, so the queue is reached vru_s "
        "later; waits and talk are durations, the service clock is used as a check. Mandelbaum, Sakov & Zeltyn (2000).",
    ),
})  # fmt: skip


def find_profile(profile: str | Profile) -> Profile:
    """Return a profile by name, or the one given.

    Raises
    ------
    HistoryError
        There is none of that name.
    """
    if isinstance(profile, Profile):
        return profile
    if profile in PROFILES:
        return PROFILES[profile]
    near = difflib.get_close_matches(str(profile), PROFILES, n=1)
    hint = f" Did you mean {near[0]!r}?" if near else ""
    raise HistoryError(f"profile {profile!r} does not exist.{hint} Known: {', '.join(map(repr, PROFILES))}.")
