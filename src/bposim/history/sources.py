"""Profiles of public data sets, for whoever has a copy of them."""

from __future__ import annotations

from bposim.history.layouts import Profile

_BANK = "The 'Anonymous Bank' call centre of the Technion, Israel, 1999. Mandelbaum, Sakov & Zeltyn (2000). "

SOURCES = (
    Profile(
        "anonbank", "contacts",
        {
            "arrived": ("arrival",), "menu_s": ("vru_s",), "wait_s": ("wait_s",), "handle_s": ("service_s",),
            "answered": ("service_start",), "ended": ("service_end",), "outcome": ("kind",), "contact_type": ("type",),
            "agent": ("agent",), "priority": ("priority",), "customer": ("customer",),
        },
        outcomes={"served": "answered", "abandoned": "abandoned"},
        set_aside={"phantom": "phantom", "vru_hang": "left_in_menu"}, signature=("vru_s", "queued", "kind"),
        missing={"customer": ("-1",)},
        prefer="durations", tolerance_s=60.0, midnight=True, day_first=False, zone="Asia/Jerusalem", country="IL",
        note=_BANK + "The log: arrival at the voice menu, so the queue is reached vru_s later; waits and talk are "
        "durations, the service clock is used as a check.",
    ),
    Profile(
        "anonbank_intervals", "intervals",
        {
            "interval_start": ("start",), "offered": ("offered",), "answered": ("answered",), "abandoned": ("abandoned",),
            "wait_answered_sum_s": ("wait_sum_answered_s",), "handle_sum_s": ("talk_sum_s",),
        },
        patterns={r"answered_(\d+)s": "answered_within_s{}"}, signature=("offered_in", "onduty_est_180s", "busy_mean"),
        zone="Asia/Jerusalem", country="IL",
        note=_BANK + "Half-hourly report counted from the log, booked by the arrival at the voice menu. Not read: "
        "offered_IN, onduty_est_180s, busy_mean.",
    ),
    Profile(
        "anonbank_arrivals", "intervals",
        {"interval_start": ("start",), "offered": ("calls",), "imputed": ("imputed_day",)},
        zone="Asia/Jerusalem", country="IL",
        note=_BANK + "Counts in six minutes; whole days of them are imputed and marked so.",
    ),
    Profile(
        "anonbank_daily", "intervals",
        {"interval_start": ("date",), "offered": ("total_calls",)},
        extras={"hangs": ("hangs",), "mean_service_s": ("avg_service_time",), "mean_queue_s": ("avg_queue_time",)},
        interval="1d", zone="Asia/Jerusalem", country="IL",
        note=_BANK + "Daily figures of all calls, those that left inside the voice menu among them; the means are kept as "
        "they are, for what they are means over is not told.",
    ),
    Profile(
        "bank_calls", "intervals",
        {"interval_start": ("datetime",), "offered": ("calls",)},
        offsets="ignored", interval="5min", signature=("rownames",), zone="America/New_York", country="US",
        note="Five-minute counts of a large North American bank, 2003 (Weinberg, Brown & Stroud, JASA 2007; table "
        "bank_calls of R's fpp3). The stamps say Z but are local.",
    ),
    Profile(
        "vancouver311", "intervals",
        {
            "interval_start": ("date",), "offered": ("callsoffered",), "answered": ("callshandled",),
            "abandoned": ("callsabandoned",), "asa_s": ("averagespeedofanswer",), "service_level": ("servicelevel",),
        },
        interval="1d", signature=("bi_id",), zone="America/Vancouver", country="CA", counting="offered", within_s=60.0,
        note="City of Vancouver 3-1-1, daily, Open Government Licence – Vancouver. Newest first. Offered exceeds handled "
        "and abandoned by those who left in the menu. The service level is a share within 60 s; its denominator is not "
        "published and lies a few contacts below handled + abandoned.",
    ),
    Profile(
        "etiqa_calls", "intervals",
        {"interval_start": ("date",), "offered": ("calls",)},
        day_first=True, interval="1d",
        extras={"weekday": ("weekday",)}, signature=("weekday",),
        note="Daily calls, ';'-separated, dates with the day first.",
    ),
    Profile(
        "itsm", "contacts",
        {
            "arrived": ("opened_at",), "answered": ("resolved_at",), "outcome": ("incident_state",),
            "contact_type": ("contact_type",), "agent_group": ("assignment_group",), "agent": ("assigned_to",),
            "customer": ("caller_id",), "source_id": ("number",), "version": ("sys_mod_count",),
        },
        outcomes={
            "closed": "answered", "resolved": "answered", "new": "open", "active": "open", "awaiting user info": "open",
            "awaiting vendor": "open", "awaiting problem": "open", "awaiting evidence": "open", "-100": "open",
        },
        missing={n: ("?",) for n in ("arrived", "answered", "contact_type", "agent_group", "agent", "customer")},
        extras={
            "priority_name": ("priority",), "made_sla": ("made_sla",), "reassignments": ("reassignment_count",),
            "reopened": ("reopen_count",), "closed_at": ("closed_at",), "category": ("category",),
            "created_at": ("sys_created_at",),
        },
        instead={"answered": "closed_at"}, latest_wins=("source_id",), day_first=True,
        note="Incident log of a service desk (UCI, 'Incident management process enriched event log'): one row per update "
        "of a ticket, of which the last is kept. answered is the time of resolution (of closing, five days later, where "
        "that is not recorded), so wait_s is the time to resolve; how long anybody worked on it is not recorded. Some "
        "columns have the day first.",
    ),
    Profile(
        "bpic2012w", "events",
        {
            "case": ("case",), "activity": ("activity",), "resource": ("resource",), "start": ("start",), "end": ("end",),
        },
        longest_handle_s=7200.0, signature=("k", "dur"), zone="Europe/Amsterdam", country="NL",
        note="Work items of a Dutch loan back office (van Dongen, BPI Challenge 2012). Items left open overnight run to "
        "67 h: a handle time above 2 h is not believed.",
    ),
    Profile(
        "kaggle_daily_kpi", "intervals",
        {
            "day_number": ("index",), "offered": ("incoming_calls",), "answered": ("answered_calls",),
            "abandoned": ("abandoned_calls",), "asa_s": ("answer_speed_avg",), "talk_part_mean_s": ("talk_duration_avg",),
        },
        patterns={r"service_level_(\d+)_seconds": "service_level_s{}"},
        extras={"mean_wait_s": ("waiting_time_avg",)},
        first_day="2001-01-01", interval="1d", zone="UTC", counting="offered", within_s=20.0,
        note="1,251 undated days of one call centre, of unknown provenance: dates are made up, so weekdays and seasons "
        "mean nothing. What the waiting time averages over is not told; it is kept as it is.",
    ),
)  # fmt: skip
