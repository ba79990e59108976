"""Profiles of the vendors' exports, each with the documentation it follows and the traps it knows of."""

from __future__ import annotations

from bposim.history.layouts import Profile

_15_30_DAY = {"15mins": 900.0, "30mins": 1800.0, "daily": 86400.0}

#: Avaya CMS: data that is booked when a call and its after-contact work end, and data that is booked as time passes.
_CALL_BASED = (
    "acdcalls", "abncalls", "callsoffered", "acdtime", "acwtime", "holdtime", "anstime", "abntime", "acceptable",
    "slvlabns", "ringtime", "calls_offered", "acd_calls", "aban_calls", "avg_acd_time", "avg_acw_time", "acd_time",
    "acw_time", "avg_speed_ans", "avg_aban_time",
)  # fmt: skip
_INTERVAL_BASED = tuple(
    f"{mark}{name}"
    for mark in ("i_", "ti_")
    for name in ("acdtime", "acwtime", "ringtime", "stafftime", "availtime", "auxtime", "othertime")
)
_AVAYA = {"call-based": _CALL_BASED, "interval-based": _INTERVAL_BASED}

VENDORS = (
    Profile(
        "amazon_connect_wfm", "intervals",
        {
            "interval_start": ("timestamp",), "interval_length": ("intervalduration",), "contact_type": ("queuename",),
            "channel": ("channeltype",), "offered": ("incomingcontactvolume",), "answered": ("contactshandled",),
            "aht_s": ("averagehandletime",),
        },
        lengths=_15_30_DAY, clock="UTC", latest_wins=("interval_start", "contact_type", "interval_length"),
        complete=False, booking=None,
        note="Amazon Connect Administrator Guide, 'Import historical data for forecasting': UTC, seconds. Incoming volume "
        "holds transfers and call-backs; of duplicates the last upload counts. The file of 'Override a forecast' is the "
        "same without ContactsHandled. Queue and channel together are the contact type.",
    ),
    Profile(
        "amazon_connect_metrics", "intervals",
        {
            "interval_start": ("startinterval", "interval_start", "start_interval", "starttime", "start_time"),
            "contact_type": ("queue", "queue_name", "queuename"), "channel": ("channel",),
            "offered": ("contacts_queued", "contacts_queued_enqueue_timestamp"),
            "answered": ("contacts_handled", "contacts_handled_connected_to_agent_timestamp"),
            "abandoned": ("contacts_abandoned",),
            "asa_s": ("avg_queue_answer_time", "average_queue_answer_time", "queue_answer_time"),
            "mean_abandon_s": ("avg_abandon_time", "average_queue_abandon_time", "abandon_time"),
            "aht_s": ("avg_handle_time", "average_handle_time", "handle_time"),
            "max_wait_s": ("max_queued_time", "maximum_queued_time"),
        },
        patterns={
            r"(?:sum_)?contacts_abandoned_in_(\d+)(?:_seconds)?": "abandoned_within_s{}",
            r"(?:sum_)?contacts_answered_in_(\d+)(?:_seconds)?": "answered_within_s{}",
            r"service_level_(\d+)(?:_seconds)?": "service_level_s{}",
        },
        clock="UTC", complete=False, counting="removed", booking="end",
        note="Amazon Connect Administrator Guide, 'Metric definitions', and API reference GetMetricDataV2: counts are "
        "attributed to the interval of the disconnection unless a metric says '(enqueue timestamp)'. Service level X is "
        "what left the queue within X (answered, abandoned or called back) over what was queued. Contacts queued for "
        "call-back are no abandons.",
    ),
    Profile(
        "amazon_connect_records", "contacts",
        {
            "arrived": ("queue_enqueuetimestamp", "queueinfo_enqueuetimestamp", "enqueuetimestamp", "enqueue_timestamp"),
            "answered": ("agent_connectedtoagenttimestamp", "agentinfo_connectedtoagenttimestamp",
                         "connectedtoagenttimestamp", "connected_to_agent_timestamp"),
            "ended": ("disconnecttimestamp", "disconnect_timestamp"),
            "talk_s": ("agent_agentinteractionduration", "agentinteractionduration", "agent_interaction_duration"),
            "hold_s": ("agent_customerholdduration", "customerholdduration", "customer_hold_duration"),
            "acw_s": ("agent_aftercontactworkduration", "aftercontactworkduration", "after_contact_work_duration"),
            "contact_type": ("queue_name", "queuename", "queueinfo_name", "queue"), "channel": ("channel",),
            "agent": ("agent_username", "agent_id", "agentinfo_id", "agent"),
            "customer": ("customerendpoint_address", "customer_endpoint_address"),
            "source_id": ("contactid", "contact_id", "id"),
            "version": ("lastupdatetimestamp", "last_update_timestamp"),
        },
        clock="UTC", prefer="durations", tolerance_s=3600.0, latest_wins=("source_id",), never_queued=True,
        note="Amazon Connect Administrator Guide, 'Data model for contact records', flattened with dots or underscores, "
        "UTC: delivered at least once, so of records with one ContactId that of the latest LastUpdateTimestamp is kept. "
        "A contact without an enqueue time never queued. Handle time is interaction, hold and after-contact work, which "
        "may run past the disconnection by up to an hour before it is called a contradiction.",
    ),
    Profile(
        "genesys_cloud_wfm", "intervals",
        {
            "interval_start": ("interval_start_utc_date",), "contact_type": ("queue",), "channel": ("media_type",),
            "skills": ("skill_set",), "language": ("language",), "offered": ("offered",),
            "answered": ("interactions_handled",),
            "handle_sum_s": ("total_handle_time_seconds", "total_handle_time"),
        },
        clock="UTC", interval="15min", complete=False, booking=None,
        note="Genesys Cloud Resource Center, 'Prepare the historical data import .csv file': UTC, quarter hours, seconds "
        "00; skills are separated by |||. Queue, media type, skill set and language together are the contact type.",
    ),
    Profile(
        "genesys_cloud_queues", "intervals",
        {
            "interval_start": ("interval_start",), "contact_type": ("queue_name", "queue"), "channel": ("media_type",),
            "offered": ("offer", "offered"), "answered": ("answer", "answered"), "abandoned": ("abandon", "abandoned"),
            "deflected": ("flow_out", "flow_outs"), "short_abandoned": ("short_abandon", "short_abandons"),
            "asa_s": ("asa", "avg_speed_of_answer"), "mean_abandon_s": ("avg_abandon", "avg_abandon_time"),
            "aht_s": ("avg_handle",), "talk_part_mean_s": ("avg_talk",), "hold_part_mean_s": ("avg_hold",),
            "acw_part_mean_s": ("avg_acw",), "service_level": ("service_level_pct",),
        },
        complete=False, booking="event",
        note="Genesys Cloud Resource Center, 'View available columns in performance views by category' and 'Why does the "
        "Offered metric not always equal the Answered plus Abandoned metrics?': a contact is offered in the interval in "
        "which it enters the queue, and answered or abandoned in the interval in which that happens. Whether the service "
        "level counts abandons, short abandons and flow-outs are three switches of the account, which rewrite the past: "
        "tell counting=, within= and short_abandons= as they stood. Times in the zone of the export.",
    ),
    Profile(
        "avaya_cms", "intervals",
        {
            "date": ("row_date",), "time": ("starttime",), "interval_length": ("intrvl",), "contact_type": ("split",),
            "offered": ("callsoffered",), "answered": ("acdcalls",), "abandoned": ("abncalls",),
            "blocked": ("busycalls",), "disconnected": ("disccalls",), "deflected": ("outflowcalls",),
            "wait_answered_sum_s": ("anstime",), "wait_abandoned_sum_s": ("abntime",),
            "talk_part_sum_s": ("acdtime",), "hold_part_sum_s": ("holdtime",), "acw_part_sum_s": ("acwtime",),
            "max_wait_s": ("maxocwtime",), "answered_in_time": ("acceptable",), "abandoned_in_time": ("slvlabns",),
            "in_time_s": ("servicelevel",),
        },
        patterns={
            r"abncalls(\d+)": "abandoned_bucket_{}", r"acdcalls(\d+)": "answered_bucket_{}", r"period(\d+)": "bound_{}",
        },
        units={"interval_length": "min"}, time_form="hhmm", exclusive=_AVAYA, booking="end",
        note="Avaya Call Management System, 'Database Items and Calculations', table hsplit (and dsplit): counts and times "
        "of calls are booked in the interval in which the call and its after-contact work end; items named I_… and TI_… "
        "are booked as time passes, and the two are not to be mixed ('Call-based versus interval-based data'). "
        "ABNCALLS1…10 count by the bounds PERIOD1…9, the last without one; ACCEPTABLE counts those answered within "
        "SERVICELEVEL seconds; where the file lacks these, tell buckets= and within=.",
    ),
    Profile(
        "avaya_cms_report", "intervals",
        {
            "date": ("date",), "time": ("time", "interval", "starting_time"), "interval_start": ("interval_start",),
            "contact_type": ("split_skill", "split", "skill", "split_skill_name"), "offered": ("calls_offered",),
            "answered": ("acd_calls",), "abandoned": ("aban_calls", "abandoned_calls"),
            "deflected": ("outflow_calls", "flow_out"), "asa_s": ("avg_speed_ans",), "mean_abandon_s": ("avg_aban_time",),
            "max_wait_s": ("max_delay",), "in_time_s": ("acceptable_service_level", "service_level_objective"),
            "talk_part_mean_s": ("avg_acd_time",), "acw_part_mean_s": ("avg_acw_time",),
            "service_level": ("pct_within_service_level", "pct_within_svc_level", "pct_svc_lvl"),
        },
        titles={
            "date": ("Date", "Dates"), "contact_type": ("Split/Skill", "Split", "Skill", "Split/Skill Name"),
            "in_time_s": ("Acceptable Service Level", "Service Level Objective"),
        },
        titles_needed=("date", "contact_type"), exclusive=_AVAYA, counting="offered", booking="end",
        note="Avaya Call Management System, split/skill reports by their headings; '% Within Service Level' is the calls "
        "answered within the acceptable level over the calls offered (older reports: over those answered; tell "
        "counting='answered'). The level itself stands in the title (Acceptable Service Level), or nowhere: tell within=. "
        "Date and split stand in titles above the table (Date: 3/2/2026, Split/Skill: Sales), which may repeat for the next "
        "split; times are ranges (8:00-8:30 AM). Booked when call and after-contact work end.",
    ),
    Profile(
        "nice_ct_results", "intervals",
        {
            "date": ("date",), "time": ("period",), "contact_type": ("ctname", "ctid"),
            "offered": ("actcontactsreceived", "contactsreceived"), "answered": ("actcontactshandled", "contactshandled"),
            "abandoned": ("actabandons", "actcontactsabandoned", "abandons"), "aht_s": ("actaht", "aht"),
            "asa_s": ("actasa", "asa"), "service_level": ("actslpct", "actsl", "slpct"),
        },
        header="optional", header_mark="#fields", delimiters=("|",), date_format="%m%d%Y", complete=False, booking=None,
        note="NICE IEX WFM, 'CT Results Export Module': pipe-delimited, with or without a first line that begins with "
        "#fields; which fields there are and their order is fixed when the export is set up, so a file without that line "
        "needs fields=. Dates are mmddyyyy, periods are in the zone of the contact type; the two passages of a doubled "
        "hour are not told apart, and dates without data are left out.",
    ),
    Profile(
        "nice_contact_history", "intervals",
        {
            "date": ("date",), "time": ("period", "time", "start_time"),
            "contact_type": ("queue_tag", "acd_queue_tag", "queue", "contact_type", "ct", "id"),
            "offered": ("contacts_received", "contacts", "received"), "answered": ("contacts_handled", "handled"),
            "abandoned": ("abandons", "contacts_abandoned"), "aht_s": ("aht", "average_handle_time"),
            "asa_s": ("asa", "average_speed_of_answer"),
        },
        header="optional", header_mark="#fields", delimiters=(",",), date_format="%m%d%Y", complete=False, booking=None,
        note="NICE IEX WFM, 'Contact History Import File' (History-YYMMDDHHMM): CSV by ACD queue tag. The order of its "
        "fields is agreed when the import is set up, so a file without a header needs fields=.",
    ),
    Profile(
        "calabrio", "intervals",
        {
            "interval_length": ("interval",), "date": ("date_from", "date"), "time": ("time",),
            "contact_type": ("queue_name",), "offered_direct": ("offd_direct_call_cnt",),
            "overflow_in": ("overflow_in_call_cnt",), "abandoned": ("aband_call_cnt",),
            "deflected": ("overflow_out_call_cnt",), "answered": ("answ_call_cnt",),
            "wait_answered_sum_s": ("queued_and_answ_call_dur",), "wait_abandoned_sum_s": ("queued_and_aband_call_dur",),
            "talk_part_sum_s": ("talking_call_dur",), "acw_part_sum_s": ("wrap_up_dur",),
            "answered_in_time": ("ans_servicelevel_cnt",), "short_abandoned": ("aband_short_call_cnt",),
            "abandoned_in_time": ("aband_within_sl_cnt",),
        },
        header="none", delimiters=(";", ","), units={"interval_length": "min"}, date_format="%Y%m%d", booking="arrival",
        looks={"date": r"\d{8}", "time": r"\d{1,2}:\d\d", "interval_length": r"\d{1,2}"},
        fields=(
            "interval", "date_from", "time", "queue", "queue_name", "offd_direct_call_cnt", "overflow_in_call_cnt",
            "aband_call_cnt", "overflow_out_call_cnt", "answ_call_cnt", "queued_and_answ_call_dur",
            "queued_and_aband_call_dur", "talking_call_dur", "wrap_up_dur", "queued_answ_longest_que_dur",
            "queued_aband_longest_que_dur", "avg_avail_member_cnt", "ans_servicelevel_cnt", "wait_dur",
            "aband_short_call_cnt", "aband_within_sl_cnt",
        ),
        note="Calabrio (Teleopti) WFM, 'Queue data file format': 21 fields by position, no header, ';' preferred, dates "
        "yyyymmdd, the interval's length in minutes first; what is missing is written as 0, so a 0 may mean either. The "
        "acceptable time and the short-abandon limit are settings: tell within= and short_abandons=.",
    ),
    Profile(
        "verint", "intervals",
        {
            "contact_type": ("queue",), "interval_start": ("date",), "offered": ("volume",), "aht_s": ("aht",),
        },
        header="none", delimiters=(",",), fields=("queue", "date", "volume", "aht"),
        looks={"interval_start": r"\d{1,2}-\d{1,2}-\d{4}"}, day_first=False, interval="1d",
        complete=False, booking=None,
        note="Verint Strategic Planner, 'Format of the Import File': work queue, M-D-YYYY, volume, AHT. Rows of whole "
        "months cannot be told from days: only files of days are read as what they are.",
    ),
    Profile(
        "eleveo", "intervals",
        {
            "contact_type": ("queue",), "interval_start": ("start",), "offered": ("contacts",), "aht_s": ("aht",),
        },
        header="none", delimiters=(",",), fields=("queue", "start", "contacts", "aht"),
        looks={"interval_start": r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z"}, clock="UTC", interval="15min",
        complete=False, booking=None,
        note="Eleveo WFM, 'File Format' of historical data: no header, UTC (2019-01-18T22:15:00Z), all 96 quarter hours "
        "of a day, zeros outside the hours being real zeros. Files uploaded by hand and by machine have the fields in "
        "another order: tell fields= where it is not queue, start, contacts, AHT.",
    ),
    Profile(
        "cisco_ucce", "intervals",
        {
            "interval_start": ("datetime", "interval"), "contact_type": ("enterprisename", "calltype", "call_type_name",
                                                                         "calltypeid", "skillgroup"),
            "offered": ("callsoffered",), "answered": ("callshandled", "callsanswered"),
            "abandoned": ("totalcallsaband", "callsabandoned", "callsaband"), "deflected": ("overflowout",),
            "wait_answered_sum_s": ("answerwaittime",), "wait_abandoned_sum_s": ("calldelayabandtime",),
            "handle_sum_s": ("handletime",), "max_wait_s": ("maxcallwaittime",),
            "answered_in_time": ("servicelevelcalls",), "abandoned_in_time": ("servicelevelaband",),
            "in_time_s": ("servicelevelthreshold",), "counting": ("serviceleveltype",),
        },
        extras={"short_calls": ("shortcalls",), "service_level_offered": ("servicelevelcallsoffered",),
                "rona": ("callsrona", "rona")},
        counting_words={"1": "excl_T", "2": "offered", "3": "credit_T"}, complete=False, booking="event",
        note="Cisco Unified CCE, 'Database Schema Handbook', Call_Type_Interval: a call's service-level event is the first "
        "of answer, abandonment and the threshold's expiry, and is booked in the interval in which it falls; calls that "
        "hang up before the short-call timer are in no count but ShortCalls. ServiceLevelType 1 ignores calls abandoned "
        "within the threshold, 2 counts them against, 3 in favour.",
    ),
)  # fmt: skip
