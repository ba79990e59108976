"""The profiles by name: plain tables here, the vendors' in ``vendors``, the public data sets' in ``sources``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from types import MappingProxyType

from bposim.errors import HistoryError
from bposim.history.layouts import CONTACT_FIELDS, EVENT_FIELDS, FIELDS, INTERVAL_FIELDS, WITHIN, Profile
from bposim.history.sources import SOURCES
from bposim.history.vendors import VENDORS

__all__ = [
    "CONTACT_FIELDS",
    "EVENT_FIELDS",
    "FIELDS",
    "INTERVAL_FIELDS",
    "PROFILES",
    "Profile",
    "WITHIN",
    "find_profile",
]

_PLAIN = (
    Profile(
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
    Profile(
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
            "service_level": ("service_level", "service_level_pct", "sl_pct", "pct_within_service_level"),
            "staffed_s": ("staffed_s", "staffed_time_s", "staffed_seconds"),
            "transferred": ("transferred", "transfers", "transferred_out", "transfers_out"),
        } | {n: (n,) for n in ("blocked", "disconnected", "callback", "deflected", "wait_abandoned_sum_s", "wait_sum_s",
                               "max_wait_s", "mean_abandon_s")},
        booking=None,
        note="One row per interval and contact type: counts and sums, or means that are turned into sums.",
    ),
    Profile(
        "event_log", "events",
        {
            "case": ("case", "case_id", "case:concept:name", "ticket", "trace"),
            "activity": ("activity", "concept:name", "event", "task"),
            "resource": ("resource", "org:resource", "agent", "user"),
            "scheduled": ("scheduled", "schedule_timestamp", "enabled"),
            "start": ("start", "start_timestamp", "start_time", "started"),
            "end": ("end", "end_timestamp", "end_time", "completed", "complete_timestamp"),
            "time": ("time", "time:timestamp", "timestamp"),
            "transition": ("transition", "lifecycle:transition", "lifecycle"),
            "priority": ("priority",),
            "customer": ("customer",),
        },
        note="Activities of cases, as CSV or XES (IEEE 1849; also .xes.gz): one row per activity with start and end, or "
        "one event per lifecycle transition (schedule, start, complete), which are paired. The activity is the "
        "contact type; where nothing tells when the work was put into the queue, it is the end of the case's previous "
        "activity.",
    ),
)  # fmt: skip

#: Names of the profiles that belong to no vendor and no data set.
PLAIN = tuple(p.name for p in _PLAIN)
#: Every profile by name.
PROFILES: Mapping[str, Profile] = MappingProxyType({p.name: p for p in (*_PLAIN, *VENDORS, *SOURCES)})


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
