"""Clean files of every profile, laid out as its documentation says: what the fuzzing spoils.

A profile without a maker in ``MAKERS`` has no sample, and the test of the fuzzing fails by its name.
"""

from __future__ import annotations

import gzip
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pandas as pd

from bposim.history import PROFILES, Profile

ZONE = "Europe/Berlin"
FORMATS = ("csv", "csv.gz", "xlsx", "parquet")
ROWS = 60
_N = np.arange(ROWS)
_UTC = "%Y-%m-%dT%H:%M:%SZ"
_KEYS = {
    "activity": "concept:name",
    "resource": "org:resource",
    "transition": "lifecycle:transition",
    "time": "time:timestamp",
}


@dataclass(frozen=True)
class Sample:
    """A clean file's cells, how they are written and how they are read.

    Attributes
    ----------
    frame : DataFrame
        Text cells under the source's own headings.
    options : dict
        Arguments of ``read_history()``.
    header : bool
        Whether a CSV has a line of headings; without one its columns are told by their place.
    group : ndarray of int, shape (n_rows,)
        Rows of one group are read together (the events of a case): one of them touched may change the others.
    formats : tuple of str
    """

    frame: pd.DataFrame
    options: dict[str, Any]
    delimiter: str = ","
    header: bool = True
    mark: str = ""
    group: np.ndarray = field(default_factory=lambda: np.arange(ROWS))
    formats: tuple[str, ...] = FORMATS

    def write(self, frame: pd.DataFrame, form: str) -> bytes:
        """Return the bytes of cells in a format."""
        out = io.BytesIO()
        if form == "parquet":
            # Parquet holds each name but once.
            names: list[str] = []
            for name in map(str, frame.columns):
                names.append(next(n for n in (name, *(f"{name}.{k}" for k in range(1, 999))) if n not in names))
            frame.set_axis(names, axis=1).to_parquet(out)
        elif form == "xlsx":
            from openpyxl.cell.cell import ILLEGAL_CHARACTERS_RE

            safe = frame.map(lambda v: ILLEGAL_CHARACTERS_RE.sub("", v)[:32000] if isinstance(v, str) else v)
            safe.to_excel(out, index=False)
        elif form.startswith("xes"):
            out.write(_xes(frame))
        else:
            out.write((self.mark + frame.to_csv(index=False, sep=self.delimiter, header=self.header)).encode())
        data = out.getvalue()
        return gzip.compress(data, 1) if form.endswith(".gz") else data


def _xes(frame: pd.DataFrame) -> bytes:
    """Return events as XES, a trace for each run of rows of one case."""
    cells = frame.loc[:, ~frame.columns.duplicated()].map(str)
    case = cells["case"] if "case" in cells else pd.Series("", index=cells.index)
    lines = ['<?xml version="1.0" encoding="UTF-8"?>', '<log xmlns="http://www.xes-standard.org/">']
    for _, trace in cells.groupby((case != case.shift()).cumsum(), sort=False):
        lines += ["<trace>", f'<string key="concept:name" value={quoteattr(case[trace.index[0]])}/>']
        for event in trace.to_dict("records"):
            keys = [(_KEYS.get(str(c), str(c)), str(v)) for c, v in event.items() if c != "case"]
            attributes = "".join(
                f"<{'date' if k == 'time:timestamp' else 'string'} key={quoteattr(k)} value={quoteattr(v)}/>"
                for k, v in keys
            )
            lines.append(f"<event>{attributes}</event>")
        lines.append("</trace>")
    return "\n".join([*lines, "</log>", ""]).encode()


# -- numbers that files are made of -----------------------------------------------------------------------------------


def clean_log() -> pd.DataFrame:
    """Return a clean log under our column names, as text."""
    n = _N
    arrived = pd.Timestamp("2026-03-16 08:00:00") + pd.to_timedelta(n * 611, unit="s")
    left = n % 7 == 6
    wait = 5 + n % 9
    handle = 120 + n % 31
    answered = arrived + pd.to_timedelta(wait, unit="s")
    ended = answered + pd.to_timedelta(np.where(left, 0, handle), unit="s")
    form = "%Y-%m-%d %H:%M:%S"
    return pd.DataFrame({
        "arrived": arrived.strftime(form), "answered": np.where(left, "", answered.strftime(form)),
        "ended": ended.strftime(form), "wait_s": wait.astype(str), "handle_s": np.where(left, "", handle.astype(str)),
        "menu_s": "0", "outcome": np.where(left, "abandoned", "answered"), "contact_type": np.where(n % 3, "sales", "billing"),
        "agent_group": np.where(left, "", "team"), "agent": np.where(left, "", [f"A{k % 4}" for k in n]),
        "priority": (n % 2).astype(str), "customer": (1000 + n).astype(str), "source_id": [f"id{k}" for k in n],
    })  # fmt: skip


def numbers(step: str = "30min", queues: int = 2) -> pd.DataFrame:
    """Return the numbers of a clean report: starts from 16 March on, queue, counts, sums and means."""
    k = _N // queues
    length = pd.Timedelta(step)
    day = pd.Timestamp("2026-03-16 08:00:00") if length < pd.Timedelta("1D") else pd.Timestamp("2026-03-16")
    start = day + pd.to_timedelta(np.where(length < pd.Timedelta("1D"), k % 20, k) * length.total_seconds(), unit="s")
    start = start + pd.to_timedelta(np.where(length < pd.Timedelta("1D"), k // 20, 0), unit="D")
    answered = 5 + _N * 7 % 11
    return pd.DataFrame({
        "start": start, "queue": np.where(_N % queues, "sales", "billing"), "offered": answered + 2, "answered": answered,
        "abandoned": 2, "within": answered - 1, "asa": 11, "waits": answered * 11, "aht": 90 + _N % 7,
        "handled": answered * (90 + _N % 7), "share": (answered - 1) / (answered + 2),
    })  # fmt: skip


def _clock(seconds: pd.Series) -> pd.Series:
    return seconds.map(lambda s: f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}")


def _made(profile: Profile, cells: dict[str, Any], *, interval: str | None = None, how: dict[str, Any] | None = None,
          **layout: Any) -> Sample:  # fmt: skip
    options = {"profile": profile, "tz": profile.zone or ZONE, "interval": interval} | (how or {})
    return Sample(pd.DataFrame(cells, index=range(ROWS)).astype(str), options, **layout)


# -- makers -----------------------------------------------------------------------------------------------------------


def _contacts(p: Profile) -> Sample:
    return _made(p, dict(clean_log()), interval="30min")


def _intervals(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "interval_start": r["start"].dt.strftime("%Y-%m-%d %H:%M:%S"), "contact_type": r["queue"], "offered": r["offered"],
        "answered": r["answered"], "abandoned": r["abandoned"], "wait_answered_sum_s": r["waits"],
        "handle_sum_s": r["handled"], "staffed_s": 3600, "answered_within_s20": r["within"],
    }, interval="30min")  # fmt: skip


def _event_log(p: Profile) -> Sample:
    """Cases of two activities: schedule, start and complete, then start and complete."""
    steps = [
        ("check", "schedule"),
        ("check", "start"),
        ("check", "complete"),
        ("decide", "start"),
        ("decide", "complete"),
    ]
    case, step = _N // 5, _N % 5
    time = pd.Timestamp("2026-03-16 08:00:00") + pd.to_timedelta(case * 1811 + step * 97, unit="s")
    return _made(p, {
        "case": [f"case{c}" for c in case], "activity": [steps[s][0] for s in step], "resource": [f"R{c % 3}" for c in case],
        "transition": [steps[s][1] for s in step], "time": time.strftime("%Y-%m-%dT%H:%M:%S.000+01:00"),
    }, group=case, formats=(*FORMATS, "xes", "xes.gz"))  # fmt: skip


def _amazon_wfm(p: Profile) -> Sample:
    r = numbers("15min")
    return _made(p, {
        "QueueName": r["queue"], "QueueId": "1a2b", "ChannelType": "VOICE", "TimeStamp": r["start"].dt.strftime(_UTC),
        "IntervalDuration": "15mins", "IncomingContactVolume": r["offered"], "AverageHandleTime": r["aht"],
        "ContactsHandled": r["answered"],
    }, interval="15min")  # fmt: skip


def _amazon_metrics(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "Queue": r["queue"], "StartInterval": r["start"].dt.strftime(_UTC),
        "EndInterval": (r["start"] + pd.Timedelta("30min")).dt.strftime(_UTC), "CONTACTS_QUEUED": r["offered"],
        "CONTACTS_HANDLED": r["answered"], "CONTACTS_ABANDONED": r["abandoned"], "SUM_CONTACTS_ABANDONED_IN_20": 1,
        "SUM_CONTACTS_ANSWERED_IN_20": r["within"], "AVG_QUEUE_ANSWER_TIME": r["asa"], "AVG_HANDLE_TIME": r["aht"],
        "AGENT_OCCUPANCY": "81.0",
    }, interval="30min")  # fmt: skip


def _amazon_records(p: Profile) -> Sample:
    log = clean_log()
    times = {c: pd.to_datetime(log[c]).dt.strftime(_UTC).fillna("") for c in ("arrived", "answered", "ended")}
    left = log["outcome"] == "abandoned"
    return _made(p, {
        "ContactId": log["source_id"], "Channel": "VOICE", "Queue.Name": log["contact_type"],
        "Queue.EnqueueTimestamp": times["arrived"], "Agent.ConnectedToAgentTimestamp": times["answered"],
        "DisconnectTimestamp": times["ended"], "Agent.Username": log["agent"],
        "Agent.AgentInteractionDuration": log["handle_s"], "Agent.CustomerHoldDuration": np.where(left, "", "0"),
        "Agent.AfterContactWorkDuration": np.where(left, "", "20"), "LastUpdateTimestamp": times["ended"],
    }, interval="30min")  # fmt: skip


def _genesys_wfm(p: Profile) -> Sample:
    r = numbers("15min")
    return _made(p, {
        "Interval Start UTC Date": r["start"].dt.strftime(_UTC), "Queue": r["queue"], "Media Type": "Voice",
        "Skill Set": "a|||b", "Language": "Spanish", "Offered": r["offered"], "Interactions Handled": r["answered"],
        "Total Handle Time (Seconds)": r["handled"],
    })  # fmt: skip


def _genesys_queues(p: Profile) -> Sample:
    r = numbers()
    percent = r["share"].map(lambda v: f"{100 * v:.2f}%".replace(".", ","))
    return _made(p, {
        "Interval Start": r["start"].dt.strftime("%d.%m.%Y %H:%M"), "Queue Name": r["queue"], "Media Type": "voice",
        "Offer": r["offered"], "Answer %": percent, "Answer": r["answered"], "Abandon %": percent, "Abandon": r["abandoned"],
        "ASA": _clock(r["asa"]), "Service Level %": percent, "Service Level Target %": "80%", "Avg Handle": _clock(r["aht"]),
        "Flow-Out": 0, "Short Abandon": 1,
    }, interval="30min", how={"counting": "offered", "within": "20s", "short_abandons": "5s"}, delimiter=";")  # fmt: skip


def _avaya_items(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "ROW_DATE": r["start"].dt.strftime("%m/%d/%Y"), "STARTTIME": r["start"].dt.strftime("%H%M").str.lstrip("0"),
        "INTRVL": 30, "SPLIT": np.where(_N % 2, "12", "14"), "CALLSOFFERED": r["offered"], "ACDCALLS": r["answered"],
        "ABNCALLS": r["abandoned"], "BUSYCALLS": 0, "ANSTIME": r["waits"], "ABNTIME": 60, "ACDTIME": r["handled"],
        "ACWTIME": 20, "ABNCALLS1": 1, "ABNCALLS2": 1, "ABNCALLS3": 0, "PERIOD1": 5, "PERIOD2": 20,
        "ACCEPTABLE": r["within"], "SLVLABNS": 2, "SERVICELEVEL": 20, "I_ACDTIME": 8000,
    })  # fmt: skip


def _avaya_report(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "Date": r["start"].dt.strftime("%m/%d/%Y"), "Time": r["start"].dt.strftime("%I:%M %p"), "Split/Skill": r["queue"],
        "Calls Offered": r["offered"], "ACD Calls": r["answered"], "Aban Calls": r["abandoned"],
        "Avg Speed Ans": r["asa"].map("0:{:02d}".format), "Avg Aban Time": "0:31",
        "Avg ACD Time": r["aht"].map(lambda s: f"{s // 60}:{s % 60:02d}"), "Avg ACW Time": "0:20",
        "% Within Service Level": r["share"].map(lambda v: f"{100 * v:.1f}"),
    }, interval="30min", how={"within": "20s"})  # fmt: skip


def _nice_results(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "date": r["start"].dt.strftime("%m%d%Y"), "period": r["start"].dt.strftime("%H:%M"), "TZ": ZONE, "ctName": r["queue"],
        "actContactsReceived": r["offered"], "actContactsHandled": r["answered"], "actAbandons": r["abandoned"],
        "actAHT": r["aht"], "actASA": r["asa"],
    }, interval="30min", delimiter="|", mark="#fields:")  # fmt: skip


def _nice_history(p: Profile) -> Sample:
    r = numbers()
    names = ("queue", "date", "period", "contacts_received", "contacts_handled", "aht")
    return _made(p.replace(fields=names), {
        "queue": r["queue"], "date": r["start"].dt.strftime("%m%d%Y"), "period": r["start"].dt.strftime("%H%M"),
        "contacts_received": r["offered"], "contacts_handled": r["answered"], "aht": r["aht"],
    }, interval="30min", header=False)  # fmt: skip


def _calabrio(p: Profile) -> Sample:
    r = numbers("15min")
    cells: dict[str, Any] = {name: 0 for name in p.fields} | {
        "interval": 15, "date_from": r["start"].dt.strftime("%Y%m%d"), "time": r["start"].dt.strftime("%H:%M"),
        "queue": 101 + _N % 2, "queue_name": r["queue"], "offd_direct_call_cnt": r["offered"],
        "aband_call_cnt": r["abandoned"], "answ_call_cnt": r["answered"], "queued_and_answ_call_dur": r["waits"],
        "queued_and_aband_call_dur": 40, "talking_call_dur": r["handled"], "wrap_up_dur": 30,
        "avg_avail_member_cnt": 6, "ans_servicelevel_cnt": r["within"], "aband_short_call_cnt": 1, "aband_within_sl_cnt": 1,
    }  # fmt: skip
    how = {"within": "20s", "short_abandons": "5s"}
    return _made(p, {name: cells[name] for name in p.fields}, how=how, delimiter=";", header=False)


def _verint(p: Profile) -> Sample:
    r = numbers("1D")
    date = r["start"].map(lambda t: f"{t.month}-{t.day}-{t.year}")
    return _made(p, {"queue": r["queue"], "date": date, "volume": r["offered"], "aht": r["aht"]}, header=False)


def _eleveo(p: Profile) -> Sample:
    r = numbers("15min")
    return _made(p, {
        "queue": r["queue"], "start": r["start"].dt.strftime(_UTC), "contacts": r["offered"], "aht": r["aht"],
    }, header=False)  # fmt: skip


def _cisco(p: Profile) -> Sample:
    r = numbers()
    return _made(p, {
        "DateTime": r["start"].dt.strftime("%Y-%m-%d %H:%M:%S"), "EnterpriseName": r["queue"], "CallsOffered": r["offered"],
        "CallsHandled": r["answered"], "TotalCallsAband": r["abandoned"], "ServiceLevelCalls": r["within"],
        "ServiceLevelAband": 1, "ServiceLevelCallsOffered": r["offered"], "ServiceLevelType": 2,
        "AnswerWaitTime": r["waits"], "CallDelayAbandTime": 60, "HandleTime": r["handled"], "ShortCalls": 0, "OverflowOut": 0,
    }, interval="30min", how={"within": "30s"})  # fmt: skip


def _anonbank(p: Profile) -> Sample:
    log = clean_log()
    left = log["outcome"] == "abandoned"
    clock = {c: log[c].where(~left, "") for c in ("answered", "ended")}
    return _made(p, {
        "arrival": log["arrived"], "type": np.where(_N % 3, "PS", "NE"), "priority": _N % 3,
        "kind": np.where(left, "abandoned", "served"), "vru_s": 0, "queued": 1, "wait_s": log["wait_s"],
        "service_s": np.where(left, "0", log["handle_s"]), "service_start": clock["answered"],
        "service_end": clock["ended"], "agent": log["agent"], "customer": log["customer"],
    }, interval="30min")  # fmt: skip


def _anonbank_intervals(p: Profile) -> Sample:
    r = numbers(queues=1)
    return _made(p, {
        "start": r["start"].dt.strftime("%Y-%m-%d %H:%M:%S"), "offered": r["offered"], "answered": r["answered"],
        "abandoned": r["abandoned"], "answered_20s": r["within"], "answered_60s": r["answered"],
        "wait_sum_answered_s": r["waits"], "talk_sum_s": r["handled"], "offered_IN": 1, "onduty_est_180s": "5.0",
        "busy_mean": "3.5",
    }, interval="30min")  # fmt: skip


def _anonbank_arrivals(p: Profile) -> Sample:
    start = pd.Timestamp("1999-03-15 08:00:00") + pd.to_timedelta(_N * 6, unit="min")
    return _made(p, {
        "start": start.strftime("%Y-%m-%d %H:%M:%S"), "calls": [f"{k % 9}.0" for k in _N],
        "imputed_day": np.where(_N > 50, "True", "False"),
    }, interval="6min")  # fmt: skip


def _anonbank_daily(p: Profile) -> Sample:
    r = numbers("1D", queues=1)
    return _made(p, {
        "date": r["start"].dt.strftime("%Y-%m-%d"), "total_calls": 500 + 7 * r["offered"],
        "avg_service_time": [f"{150 + k}.59" for k in _N], "avg_queue_time": [f"{15 + k}.4" for k in _N], "hangs": 25 + _N,
    })  # fmt: skip


def _bank_calls(p: Profile) -> Sample:
    start = pd.Timestamp("2003-03-17 07:00:00") + pd.to_timedelta(_N * 5, unit="min")
    return _made(p, {"rownames": _N + 1, "DateTime": start.strftime(_UTC), "Calls": 100 + _N * 7 % 31})


def _vancouver(p: Profile) -> Sample:
    day = pd.Timestamp("2023-12-31") - pd.to_timedelta(_N, unit="D")
    answered = 350 + _N * 7 % 97
    return _made(p, {
        "Date": day.strftime("%Y-%m-%d"), "CallsOffered": answered + 40, "CallsHandled": answered,
        "CallsAbandoned": 30 + _N % 9, "AverageSpeedofAnswer": [f"{8 + k % 40}.6763848396502" for k in _N],
        "ServiceLevel": [f"{(a - 60) / (a + 40):.15f}" for a in answered], "BI_ID": 275 + _N,
    }, delimiter=";", mark="\ufeff")  # fmt: skip


def _etiqa(p: Profile) -> Sample:
    day = pd.Timestamp("2013-01-01") + pd.to_timedelta(_N, unit="D")
    return _made(p, {
        "date": [f"{t.day}-{t.month}-{t.year}" for t in day], "calls": 2000 + _N * 71 % 997, "weekday": day.day_of_week + 1,
    }, delimiter=";")  # fmt: skip


def _itsm(p: Profile) -> Sample:
    """Two updates a ticket, of which the last counts."""
    ticket, step = _N // 2, _N % 2
    opened = pd.Timestamp("2016-03-14 08:00:00") + pd.to_timedelta(ticket * 1811, unit="s")
    done = opened + pd.to_timedelta(3600 + ticket * 60, unit="s")
    return _made(p, {
        "number": [f"INC{k:07d}" for k in ticket], "incident_state": np.where(step, "Closed", "New"),
        "reassignment_count": ticket % 3, "reopen_count": 0, "sys_mod_count": step * 3,
        "made_sla": np.where(ticket % 4, "True", "False"), "caller_id": [f"Caller {2400 + k}" for k in ticket],
        "opened_at": opened.strftime("%Y-%m-%d %H:%M:%S"),
        "sys_created_at": [f"{t.day}/{t.month}/{t.year} {t:%H:%M}" for t in opened], "contact_type": "Phone",
        "category": "Category 55", "priority": "3 - Moderate", "assignment_group": "Group 56",
        "assigned_to": np.where(step, "Resolver 9", "?"), "resolved_at": done.strftime("%Y-%m-%d %H:%M:%S"),
        "closed_at": (done + pd.Timedelta("5D")).strftime("%Y-%m-%d %H:%M:%S"),
    }, interval="30min", group=ticket)  # fmt: skip


def _bpic(p: Profile) -> Sample:
    case, step = _N // 3, _N % 3
    start = pd.Timestamp("2011-10-03 08:08:36") + pd.to_timedelta(case * 911 + step * 307, unit="s")
    end = start + pd.to_timedelta(60 + case, unit="s")
    form = "%Y-%m-%d %H:%M:%S.759000+00:00"
    return _made(p, {
        "case": 173700 + case, "activity": np.where(step, "W_Afhandelen leads", "W_Completeren aanvraag"),
        "resource": [f"{10900 + k % 4}.0" for k in _N], "k": step, "start": start.strftime(form), "end": end.strftime(form),
        "dur": 60 + case,
    }, interval="30min", group=case)  # fmt: skip


def _kaggle(p: Profile) -> Sample:
    answered = 180 + _N * 7 % 97
    short = [f"0:{s // 60:02d}:{s % 60:02d}" for s in 17 + _N % 70]
    return _made(p, {
        "Index": _N + 1, "Incoming Calls": answered + 13, "Answered Calls": answered, "Answer Rate": "94.01%",
        "Abandoned Calls": 13, "Answer Speed (AVG)": short, "Talk Duration (AVG)": "0:02:14",
        "Waiting Time (AVG)": "0:02:45", "Service Level (20 Seconds)": [f"{100 * (a - 40) / (a + 13):.2f}%" for a in answered],
    })  # fmt: skip


MAKERS: dict[str, Callable[[Profile], Sample]] = {
    "contacts": _contacts, "intervals": _intervals, "event_log": _event_log, "amazon_connect_wfm": _amazon_wfm,
    "amazon_connect_metrics": _amazon_metrics, "amazon_connect_records": _amazon_records, "genesys_cloud_wfm": _genesys_wfm,
    "genesys_cloud_queues": _genesys_queues, "avaya_cms": _avaya_items, "avaya_cms_report": _avaya_report,
    "nice_ct_results": _nice_results, "nice_contact_history": _nice_history, "calabrio": _calabrio, "verint": _verint,
    "eleveo": _eleveo, "cisco_ucce": _cisco, "anonbank": _anonbank, "anonbank_intervals": _anonbank_intervals,
    "anonbank_arrivals": _anonbank_arrivals, "anonbank_daily": _anonbank_daily, "bank_calls": _bank_calls,
    "vancouver311": _vancouver, "etiqa_calls": _etiqa, "itsm": _itsm, "bpic2012w": _bpic, "kaggle_daily_kpi": _kaggle,
}  # fmt: skip


def sample(name: str) -> Sample:
    """Return the clean sample of a profile."""
    if name not in MAKERS:
        raise LookupError(f"profile {name!r} has no clean sample: add a maker to MAKERS of benchmarks/fuzz_samples.py")
    return MAKERS[name](PROFILES[name])
