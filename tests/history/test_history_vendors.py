"""Each vendor's profile reads a file laid out as the vendor's documentation says, to the last number."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest

from bposim.errors import DataQualityWarning, HistoryError, ParameterError
from bposim.history import PROFILES, History, read_history

BERLIN = "Europe/Berlin"


@pytest.fixture
def put(tmp_path: Path):
    """Write text into a file and return its path."""

    def write(text: str, name: str = "export.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def row(history: History, k: int = 0) -> dict[str, object]:
    """Return a row of the interval table as a plain mapping, missing values left out."""
    found = history.intervals.drop(columns=["replication", "source_row"]).iloc[k]
    return {str(n): v for n, v in found.items() if not pd.isna(v)}


def utc(history: History) -> list[str]:
    times = history.intervals["interval_start"].dt.tz_convert("UTC").dt.strftime("%Y-%m-%d %H:%M")
    return times.tolist()


def rules(history: History) -> dict[str, int]:
    """Return the rules and their counts; what an export has besides is not used, and said so."""
    found = history.check().frame[["rule", "rows"]]
    return {r: int(n) for r, n in found.itertuples(index=False) if r != "unused_columns"}


AMAZON_WFM = """\
QueueName,QueueId,ChannelType,TimeStamp,IntervalDuration,IncomingContactVolume,AverageHandleTime,ContactsHandled
Billing,1a2b,VOICE,2026-03-02T08:00:00Z,15mins,12,300,10
Billing,1a2b,CHAT,2026-03-02T08:00:00Z,15mins,4,420,4
Billing,1a2b,VOICE,2026-03-02T08:15:00Z,15mins,9,240,9
Billing,1a2b,VOICE,2026-03-02T08:00:00.000Z,15mins,13,310,11
"""


def test_amazon_connect_wfm(put):
    history = read_history(put(AMAZON_WFM), profile="amazon_connect_wfm", tz=BERLIN)
    assert history.contact_types == ("Billing / CHAT", "Billing / VOICE") and history.interval_s == 900
    assert rules(history) == {"superseded": 1} and history.rejected["source_row"].tolist() == [1]
    assert row(history, 1) == {
        "interval_start": pd.Timestamp("2026-03-02 09:00", tz=BERLIN), "contact_type": "Billing / VOICE",
        "offered": 13, "answered": 11, "handle_sum_s": 3410.0,
    }  # fmt: skip
    assert history.intervals["abandoned"].isna().all(), "incoming less handled is not who hung up"
    assert (history.booking, history.counting, history.within_s) == (None, None, None)
    assert "booking not told" in repr(history)


def test_amazon_connect_lengths_are_read_one_at_a_time(put):
    both = AMAZON_WFM + "Billing,1a2b,VOICE,2026-03-02T00:00:00Z,daily,400,300,390\n"
    with pytest.raises(HistoryError, match=r'several lengths \(15min, 1d\).*interval="15min"'):
        read_history(put(both), profile="amazon_connect_wfm", tz="UTC")
    daily = read_history(put(both), profile="amazon_connect_wfm", tz="UTC", interval="1d")
    assert (rules(daily)["other_length"], row(daily)["offered"]) == (4, 400)
    override = "\n".join(line.rsplit(",", 1)[0] for line in AMAZON_WFM.splitlines())
    assert read_history(put(override), profile="amazon_connect_wfm", tz="UTC").kind == "counts"


def test_amazon_connect_metrics(put):
    text = (
        "Queue,StartInterval,EndInterval,CONTACTS_QUEUED,CONTACTS_HANDLED,CONTACTS_ABANDONED,"
        "SUM_CONTACTS_ABANDONED_IN_15,SUM_CONTACTS_ABANDONED_IN_20,SUM_CONTACTS_ANSWERED_IN_20,SERVICE_LEVEL_20,"
        "AVG_QUEUE_ANSWER_TIME,AVG_HANDLE_TIME,AGENT_OCCUPANCY\n"
        "Sales,2026-03-02T08:00:00Z,2026-03-02T08:30:00Z,40,35,5,2,3,28,77.5,12.2,200.0,81.0\n"
        "Sales,2026-03-02T08:30:00Z,2026-03-02T09:00:00Z,20,20,0,0,0,19,95.0,6.0,180.0,70.0\n"
    )
    history = read_history(put(text), profile="amazon_connect_metrics", tz="UTC")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="UTC"), "contact_type": "Sales", "offered": 40,
        "answered": 35, "abandoned": 5, "abandoned_within_s15": 2, "abandoned_within_s20": 3, "answered_within_s20": 28,
        "wait_answered_sum_s": 427.0, "handle_sum_s": 7000.0,
    }  # fmt: skip
    assert (history.booking, history.counting) == ("end", "removed")
    assert rules(history) == {}


def test_amazon_service_level_needs_the_calls_back(put):
    head = "Queue,StartInterval,CONTACTS_QUEUED,CONTACTS_HANDLED,CONTACTS_ABANDONED,SUM_CONTACTS_ABANDONED_IN_20,SERVICE_LEVEL_20\n"
    text = head + "Sales,2026-03-02T08:00:00Z,40,35,5,3,77.5\nSales,2026-03-02T08:30:00Z,20,20,0,0,95.0\n"
    history = read_history(put(text), profile="amazon_connect_metrics", tz="UTC")
    assert "answered_within_s20" not in history.intervals and rules(history) == {"service_level_unread": 2}
    assert "needs 'callback'" in str(history.check())
    with pytest.raises(HistoryError, match="cannot be turned into a count: formula 'removed' needs 'callback'"):
        read_history(put(text), profile="amazon_connect_metrics", tz="UTC", counting="removed")
    credit = read_history(put(text), profile="amazon_connect_metrics", tz="UTC", counting="credit_T")
    assert credit.intervals["answered_within_s20"].tolist() == [28, 19]
    assert rules(credit) == {"service_level_to_count": 2}


def test_amazon_contact_records(put):
    text = (
        "ContactId,Channel,InitiationTimestamp,Queue.Name,Queue.EnqueueTimestamp,Agent.ConnectedToAgentTimestamp,"
        "DisconnectTimestamp,Agent.Username,Agent.AgentInteractionDuration,Agent.CustomerHoldDuration,"
        "Agent.AfterContactWorkDuration,LastUpdateTimestamp\n"
        "c1,VOICE,2026-03-02T08:00:00Z,Sales,2026-03-02T08:00:20Z,2026-03-02T08:00:50Z,2026-03-02T08:03:50Z,ann,160,20,40,2026-03-02T09:00:00Z\n"
        "c2,VOICE,2026-03-02T08:01:00Z,Sales,2026-03-02T08:01:10Z,,2026-03-02T08:02:25Z,,,,,2026-03-02T08:02:30Z\n"
        "c3,VOICE,2026-03-02T08:02:00Z,,,,2026-03-02T08:02:40Z,,,,,2026-03-02T08:02:41Z\n"
        "c1,VOICE,2026-03-02T08:00:00Z,Sales,2026-03-02T08:00:20Z,2026-03-02T08:00:50Z,2026-03-02T08:03:50Z,ann,160,20,0,2026-03-02T08:04:00Z\n"
    )
    history = read_history(put(text), profile="amazon_connect_records", tz=BERLIN)
    contacts = history.contacts
    assert rules(history) == {"superseded": 1, "left_in_menu": 1}
    assert contacts["contact_type"].tolist() == ["Sales / VOICE"] * 2
    assert contacts["arrived"].iloc[0] == pd.Timestamp("2026-03-02 09:00:20", tz=BERLIN)
    assert contacts["outcome"].tolist() == ["answered", "abandoned"]
    assert contacts["wait_s"].tolist() == [30.0, 75.0] and contacts["handle_s"].iloc[0] == 220.0
    assert contacts["agent"].iloc[0] == "ann" and contacts["source_id"].tolist() == ["c1", "c2"]


def test_genesys_cloud_wfm(put):
    text = (
        "Interval Start UTC Date,Queue,Media Type,Skill Set,Language,Offered,Interactions Handled,Total Handle Time (Seconds)\n"
        "2020-02-26T00:00:00Z,Queue A,Voice,forecasting|||scheduling,Spanish,16,6,4\n"
        "2020-02-26T00:15:00.000Z,Queue B,Chat,,,14,7,600\n"
    )
    history = read_history(put(text), profile="genesys_cloud_wfm", tz="America/New_York")
    assert row(history) == {
        "interval_start": pd.Timestamp("2020-02-25 19:00", tz="America/New_York"), "offered": 16, "answered": 6,
        "contact_type": "Queue A / Voice / forecasting|||scheduling / Spanish", "handle_sum_s": 4.0,
    }  # fmt: skip
    assert row(history, 1)["contact_type"] == "Queue B / Chat" and history.interval_s == 900


def test_genesys_cloud_performance_view(put):
    text = (
        "Interval Start;Queue Name;Media Type;Offer;Answer %;Answer;Abandon %;Abandon;ASA;Service Level %;Service Level Target %;"
        "Avg Handle;Avg Talk;Avg Hold;Avg ACW;Flow-Out;Short Abandon\n"
        "02.03.2026 08:00;Sales;voice;50;80%;40;16%;8;00:00:12;70,0%;80%;00:03:20;00:02:30;00:00:10;00:00:40;2;3\n"
        "16.03.2026 08:30;Sales;voice;10;100%;10;0%;0;00:00:03;90,0%;80%;00:02:00;00:01:40;00:00:00;00:00:20;0;0\n"
    )
    history = read_history(put(text), profile="genesys_cloud_queues", tz=BERLIN, interval="30min")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz=BERLIN), "contact_type": "Sales / voice", "offered": 50,
        "answered": 40, "abandoned": 8, "deflected": 2, "wait_answered_sum_s": 480.0, "handle_sum_s": 8000.0,
    }  # fmt: skip
    assert history.booking == "event"
    assert {"threshold_unknown": 2, "service_level_unread": 2}.items() <= rules(history).items()
    told = read_history(
        put(text), profile="genesys_cloud_queues", tz=BERLIN, interval="30min", counting="flow", within="20s",
        short_abandons="5s",
    )  # fmt: skip
    assert told.intervals["answered_within_s20"].tolist() == [35, 9]  # 70 % of 40 + 8 + 2, 90 % of 10
    assert told.intervals["abandoned_within_s5"].tolist() == [3, 0]
    assert (told.counting, told.within_s, told.short_abandon_s) == ("flow", 20.0, 5.0)
    level = told.metrics(metrics="service_level")["value"][0]
    assert level == pytest.approx(44 / 60), "the source's formula and time are the default"
    assert "service level flow, within 20s, short abandons 5s" in repr(told)
    assert told.provenance.inputs["within_s"] == 20.0


CMS = (
    "ROW_DATE,STARTTIME,INTRVL,SPLIT,CALLSOFFERED,ACDCALLS,ABNCALLS,BUSYCALLS,OUTFLOWCALLS,ANSTIME,ABNTIME,ACDTIME,ACWTIME,HOLDTIME,"
    "ABNCALLS1,ABNCALLS2,ABNCALLS3,ABNCALLS4,PERIOD1,PERIOD2,PERIOD3,ACCEPTABLE,SLVLABNS,SERVICELEVEL,I_ACDTIME,TI_STAFFTIME\n"
    "03/02/2026,830,30,12,52,45,6,0,1,540,150,8100,900,450,1,2,1,2,5,10,20,36,4,20,8000,16200\n"
    "03/30/2026,1700,30,12,20,20,0,0,0,60,0,3600,400,0,0,0,0,0,5,10,20,20,0,20,3500,9000\n"
)


def test_avaya_cms_items(put):
    history = read_history(put(CMS), profile="avaya_cms", tz="America/Chicago")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:30", tz="America/Chicago"), "contact_type": "12", "offered": 52,
        "answered": 45, "abandoned": 6, "blocked": 0, "deflected": 1, "wait_answered_sum_s": 540.0,
        "wait_abandoned_sum_s": 150.0, "handle_sum_s": 9450.0, "abandoned_within_s5": 1, "abandoned_within_s10": 3,
        "abandoned_within_s20": 4, "answered_within_s20": 36,
    }  # fmt: skip
    assert (history.booking, history.within_s, history.interval_s) == ("end", 20.0, 1800.0)
    assert history.default_within_s == 20.0
    assert "count_mismatch" not in rules(history)


def test_avaya_cms_bounds_and_time_that_the_file_lacks(put):
    bare = "\n".join(
        ",".join(c for k, c in enumerate(line.split(",")) if k not in (18, 19, 20, 23)) for line in CMS.splitlines()
    )
    history = read_history(put(bare), profile="avaya_cms", tz="America/Chicago")
    assert not [c for c in history.intervals if "_within_" in c]
    assert history.check().count("threshold_unknown") == 4 and "no bounds are told" in str(history.check())
    how = PROFILES["avaya_cms"].replace(buckets=(3, 6, 9))
    told = read_history(put(bare), profile=how, tz="America/Chicago", within="15s")
    assert row(told)["abandoned_within_s9"] == 4 and row(told)["answered_within_s15"] == 36
    with pytest.raises(HistoryError, match="acceptable waiting time is 20s, but within='15s' was told"):
        read_history(put(CMS), profile="avaya_cms", tz="America/Chicago", within="15s")
    varies = CMS.replace("36,4,20,", "36,4,30,")
    other = read_history(put(varies), profile="avaya_cms", tz="America/Chicago")
    assert other.check().count("setting_varies") == 2 and other.within_s is None
    with pytest.raises(HistoryError, match="buckets must ascend"):
        how.replace(buckets=(9, 6))


def test_avaya_call_based_and_interval_based_columns_do_not_mix(put):
    with pytest.raises(
        HistoryError, match=r"two kinds are used together \(call-based: .*'ACDCALLS'.*interval-based: 'I_ACDTIME'\)"
    ):
        read_history(put(CMS), profile="avaya_cms", tz="America/Chicago", columns={"handle_sum_s": "I_ACDTIME"})


def test_avaya_report_headings_below_a_title(put):
    text = (
        "Split/Skill Interval Report\n"
        "Date: 3/2/2026\n"
        "Date,Time,Split/Skill,Calls Offered,ACD Calls,Aban Calls,Avg Speed Ans,Avg Aban Time,Avg ACD Time,Avg ACW Time,% Within Service Level\n"
        "03/02/2026,8:00 AM,Sales,50,45,5,0:12,0:31,3:00,0:20,80.0\n"
        "03/22/2026,1:30 PM,Sales,10,10,0,0:03,0:00,2:30,0:10,100.0\n"
        "Totals,,,60,55,5,,,,,\n"
    )
    history = read_history(put(text), profile="avaya_cms_report", tz="America/Chicago", within="20s", interval="30min")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="America/Chicago"), "contact_type": "Sales", "offered": 50,
        "answered": 45, "abandoned": 5, "wait_answered_sum_s": 540.0, "wait_abandoned_sum_s": 155.0,
        "handle_sum_s": 9000.0, "answered_within_s20": 40,
    }  # fmt: skip
    assert utc(history)[1] == "2026-03-22 18:30" and rules(history)["totals_row"] == 1
    older = read_history(
        put(text), profile="avaya_cms_report", tz="America/Chicago", within="20s", counting="answered", interval="30min"
    )
    assert older.intervals["answered_within_s20"].tolist() == [36, 10]


CT_RESULTS = (
    "03022026|08:00|America/Chicago|Sales|20|18|2|240|9.5\n03022026|08:30|America/Chicago|Sales|12|12|0|200|2\n"
)
CT_FIELDS = (
    "date",
    "period",
    "TZ",
    "ctName",
    "actContactsReceived",
    "actContactsHandled",
    "actAbandons",
    "actAHT",
    "actASA",
)


@pytest.mark.parametrize(
    "header", ["#fields:" + "|".join(CT_FIELDS) + "\n", "#fields|" + "|".join(CT_FIELDS) + "\n", ""]
)
def test_nice_ct_results(header: str, put):
    how = PROFILES["nice_ct_results"]
    history = read_history(
        put(header + CT_RESULTS), profile=how if header else how.replace(fields=CT_FIELDS), tz="America/Chicago"
    )
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="America/Chicago"), "contact_type": "Sales", "offered": 20,
        "answered": 18, "abandoned": 2, "wait_answered_sum_s": 171.0, "handle_sum_s": 4320.0,
    }  # fmt: skip


def test_a_site_configured_file_without_a_header_needs_its_fields(put):
    with pytest.raises(HistoryError, match=r'has no header.*PROFILES\["nice_ct_results"\].replace\(fields='):
        read_history(put(CT_RESULTS), profile="nice_ct_results", tz="America/Chicago")


def test_nice_contact_history(put):
    text = "QueueTag1,03022026,0800,20,18,240\nQueueTag1,03022026,0830,12,12,200\n"
    how = PROFILES["nice_contact_history"].replace(
        fields=("queue", "date", "period", "contacts_received", "contacts_handled", "aht")
    )
    history = read_history(put(text, "History-2603020900.txt"), profile=how, tz="America/Chicago")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="America/Chicago"), "contact_type": "QueueTag1",
        "offered": 20, "answered": 18, "handle_sum_s": 4320.0,
    }  # fmt: skip


@pytest.mark.parametrize("delimiter", [";", ","])
def test_calabrio(delimiter: str, put):
    text = (
        "15;20260302;08:00;101;Billing;20;2;3;1;18;180;75;3240;360;40;50;6;15;0;1;2\n"
        "15;20260302;08:15;101;Billing;10;0;0;0;10;20;0;1500;100;9;0;6;10;0;0;0\n"
    ).replace(";", delimiter)
    history = read_history(put(text), profile="calabrio", tz="Europe/Stockholm", within="20s", short_abandons="5s")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="Europe/Stockholm"), "contact_type": "Billing",
        "offered": 22, "answered": 18, "abandoned": 3, "deflected": 1, "wait_answered_sum_s": 180.0,
        "wait_abandoned_sum_s": 75.0, "handle_sum_s": 3600.0, "answered_within_s20": 15, "abandoned_within_s20": 2,
        "abandoned_within_s5": 1,
    }  # fmt: skip
    assert (history.interval_s, history.booking) == (900.0, "arrival")
    with pytest.raises(HistoryError, match=r"has 20 fields in its first row, profile 'calabrio' has 21"):
        short = "\n".join(line.rsplit(delimiter, 1)[0] for line in text.splitlines())
        read_history(put(short), profile="calabrio", tz="Europe/Stockholm")


def test_verint(put):
    text = "BillingQueue,1-2-2018,521,242\nBillingQueue,1-13-2018,500,240\nq2,1-2-2018,30,100\n"
    history = read_history(put(text), profile="verint", tz="America/New_York")
    assert history.interval_s == 86400
    assert row(history) == {
        "interval_start": pd.Timestamp("2018-01-02", tz="America/New_York"), "contact_type": "BillingQueue",
        "offered": 521, "aht_s": 242.0,
    }  # fmt: skip
    monthly = "q1,09-02-2017,30000,180\nq1,10-02-2017,40000,180\nq1,11-02-2017,30000,180\n"
    with pytest.raises(HistoryError, match=r"lie 30\.5d apart"):
        read_history(put(monthly), profile="verint", tz="America/New_York")


def test_eleveo(put):
    text = "Sales,2019-01-18T22:15:00Z,7,181.5\nSales,2019-01-18T22:30:00Z,0,0\n"
    history = read_history(put(text), profile="eleveo", tz="Europe/Prague")
    assert row(history) == {
        "interval_start": pd.Timestamp("2019-01-18 23:15", tz="Europe/Prague"), "contact_type": "Sales", "offered": 7,
        "aht_s": 181.5,
    }  # fmt: skip
    assert history.intervals["offered"].tolist() == [7, 0]


@pytest.mark.parametrize(("kind", "counting"), [("1", "excl_T"), ("2", "offered"), ("3", "credit_T")])
def test_cisco_ucce(kind: str, counting: str, put):
    text = (
        "DateTime,EnterpriseName,CallsOffered,CallsHandled,TotalCallsAband,ServiceLevelCalls,ServiceLevelAband,"
        "ServiceLevelCallsOffered,ServiceLevelType,AnswerWaitTime,CallDelayAbandTime,HandleTime,ShortCalls,OverflowOut\n"
        f"2026-03-02 08:00:00,Sales.CT,100,70,30,70,10,100,{kind},700,900,21000,4,0\n"
        f"2026-03-02 08:30:00,Sales.CT,10,10,0,9,0,10,{kind},80,0,2500,0,0\n"
    )
    history = read_history(put(text), profile="cisco_ucce", tz="America/Chicago", within="30s")
    assert row(history) == {
        "interval_start": pd.Timestamp("2026-03-02 08:00", tz="America/Chicago"), "contact_type": "Sales.CT",
        "offered": 100, "answered": 70, "abandoned": 30, "deflected": 0, "wait_answered_sum_s": 700.0,
        "wait_abandoned_sum_s": 900.0, "handle_sum_s": 21000.0, "answered_within_s30": 70, "abandoned_within_s30": 10,
        "short_calls": 4, "service_level_offered": 100,
    }  # fmt: skip
    assert (history.booking, history.counting, history.within_s) == ("event", counting, 30.0)
    # The Cisco manual's example: 70 answered within, 10 abandoned within, 20 beyond.
    expected = {"excl_T": 70 / 90, "offered": 0.70, "credit_T": 0.80}[counting]
    first = history.between("2026-03-02 08:00", "2026-03-02 08:30")
    assert first.metrics(metrics="service_level")["value"][0] == pytest.approx(expected)


def test_a_setting_that_a_row_lacks_is_that_of_the_others():
    table = pd.DataFrame({
        "DateTime": ["2026-03-02 08:00:00", "2026-03-02 08:30:00", "2026-03-02 09:00:00"], "EnterpriseName": "Sales",
        "CallsOffered": [10, 12, 11], "CallsHandled": [9, 12, 10], "TotalCallsAband": [1, 0, 1],
        "ServiceLevelCalls": [8, 11, 9], "ServiceLevelAband": [0, 0, 1], "ServiceLevelType": ["2", None, "2"],
    })  # fmt: skip
    history = History.from_contacts(table, profile="cisco_ucce", tz="America/Chicago")
    assert history.counting == "offered" and history.intervals["offered"].tolist() == [10, 12, 11]
    assert "setting_varies" not in rules(history)


#: Formula → numerator and denominator of 90 answered (70 within 20 s), 10 abandoned (4 within 20 s, 1 within 5 s), 5 deflected.
FORMULAS = {
    "offered": (70, 100), "excl_T": (70, 96), "credit_T": (74, 100), "answered": (70, 90), "excl_short": (70, 99),
    "credit_short": (71, 100), "flow": (70, 105), "removed": (74, 105),
}  # fmt: skip


@pytest.mark.parametrize("counting", FORMULAS)
def test_each_formula_gives_back_the_count_that_made_its_share(counting: str, put):
    top, bottom = FORMULAS[counting]
    head = (
        "start,offered,answered,abandoned,deflected,callback,abandoned_within_s20,abandoned_within_s5,service_level\n"
    )
    lines = [f"2026-03-02 {8 + k // 2:02d}:{k % 2 * 30:02d},105,90,10,5,0,4,1,{top / bottom:.4%}\n" for k in range(22)]
    how = {"profile": "intervals", "tz": "UTC", "within": "20s", "short_abandons": "5s"}
    history = read_history(put(head + "".join(lines)), counting=counting, **how)
    assert set(history.intervals["answered_within_s20"]) == {70}
    assert rules(history) == {"service_level_to_count": 22}
    for other, (above, below) in FORMULAS.items():
        whole = top / bottom * below - (above - 70)
        if abs(whole - round(whole)) > 0.01:
            assert "service_level_formula" in rules(read_history(put(head + "".join(lines)), counting=other, **how))


def test_a_share_that_rounding_lifts_above_those_answered(put):
    head = "start,offered,answered,abandoned,service_level\n"
    text = head + "2026-03-02 08:00,1000,994,6,99.5%\n2026-03-02 08:30,10,5,5,100%\n"
    history = read_history(put(text), profile="intervals", tz="UTC", counting="offered", within="20s")
    # 99.5 % of 1,000 is 995, which a share of 99.45 % is as well; 100 % of 10 cannot be 5.
    assert history.intervals["answered_within_s20"].iloc[0] == 994 and pd.isna(
        history.intervals["answered_within_s20"].iloc[1]
    )
    assert "1 give more than were answered" in str(history.check())


@pytest.mark.parametrize("odd", ["1.5", "80%"])
def test_one_odd_cell_makes_no_percentages_of_shares(odd: str, put):
    lines = "".join(f"2026-03-02 {8 + k}:00,100,90,10,0.{70 + k}\n" for k in range(9))
    text = f"start,offered,answered,abandoned,service_level\n{lines}2026-03-02 17:00,100,90,10,{odd}\n"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        history = read_history(put(text), profile="intervals", tz="UTC", counting="offered", within="20s")
    assert history.intervals["answered_within_s20"].tolist()[:9] == list(range(70, 79))
    rest = history.intervals["answered_within_s20"].tolist()[9:]
    assert rest == ([80] if odd == "80%" else []) and history.check().ok == (odd == "80%")


def test_by_how_much_offered_and_the_outcomes_differ(put):
    lines = "".join(f"2026-03-{2 + k:02d},100,60,20\n" for k in range(9))
    history = read_history(
        put("date,offered,answered,abandoned\n" + lines), profile="intervals", tz="UTC", interval="1d"
    )
    assert "sum of what became of the contacts: more by 20 a row, 20.0% of the contacts" in str(history.check())


def test_the_acceptable_time_that_was_told_is_the_default(put):
    text = "start,offered,answered,abandoned,answered_within_s20,answered_within_s30\n2026-03-02 08:00,10,9,1,5,8\n2026-03-02 08:30,10,9,1,5,8\n"
    history = read_history(put(text), profile="intervals", tz="UTC", within="30s")
    assert history.metrics(metrics="service_level")["value"][0] == 0.8
    assert history.metrics(metrics="service_level", within="20s")["value"][0] == 0.5
    other = read_history(put(text), profile="intervals", tz="UTC", within="45s")
    assert other.within_s == 45 and other.default_within_s == 20, "what the report has not counted is no default"
    log = put("arrived,wait_s,outcome\n2026-03-02 08:00,25,answered\n2026-03-02 08:01,5,answered\n", "log.csv")
    assert (
        read_history(log, profile="contacts", tz="UTC", within="30s").metrics(metrics="service_level")["value"][0]
        == 1.0
    )


def test_hours_of_the_day_by_number(put):
    """As Genesys Decisions writes them: DATE_STAMP, HOUR_OF_DAY, CALL_IDENTIFIER, TOTAL_QUEUE_TIME."""
    text = "DATE_STAMP,HOUR_OF_DAY,CALL_IDENTIFIER,TOTAL_QUEUE_TIME,CALLS\n2013/01/01,08,Sales,300,20\n2013/01/01,9,Sales,90,15\n"
    names = {
        "date": "DATE_STAMP", "time": "HOUR_OF_DAY", "contact_type": "CALL_IDENTIFIER", "offered": "CALLS",
        "wait_answered_sum_s": "TOTAL_QUEUE_TIME",
    }  # fmt: skip
    how = PROFILES["intervals"].replace(time_form="hour", booking="arrival")
    history = read_history(put(text), profile=how, tz="UTC", columns=names)
    assert utc(history) == ["2013-01-01 08:00", "2013-01-01 09:00"] and history.interval_s == 3600
    assert row(history)["wait_answered_sum_s"] == 300.0 and history.booking == "arrival"


def test_settings_are_checked(put):
    with pytest.raises(ParameterError, match="booking"):
        read_history(put(CMS), profile="avaya_cms", tz=BERLIN, booking="middle")
    with pytest.raises(ParameterError, match="counting"):
        read_history(put(CMS), profile="avaya_cms", tz=BERLIN, counting="best")
    with pytest.raises(HistoryError, match="kind must be one of"):
        PROFILES["avaya_cms"].replace(kind="sheets")


# Clock changes -------------------------------------------------------------------------------------------------------

#: The day of the change, the hours of UTC around it, in Berlin.
DAYS = {"spring": "2026-03-29", "autumn": "2026-10-25"}


def day_of(season: str) -> pd.DatetimeIndex:
    day = pd.Timestamp(DAYS[season], tz=BERLIN)
    return pd.date_range(day, day + pd.Timedelta(hours=30), freq="30min").tz_convert("UTC")


LOCAL = {
    "intervals": lambda t, k: f"{t:%Y-%m-%d %H:%M},Sales,{k},{k},0",
    "avaya_cms": lambda t, k: f"{t:%m/%d/%Y},{t:%H%M},30,Sales,{k},{k},0",
    "nice_ct_results": lambda t, k: f"{t:%m%d%Y}|{t:%H:%M}|Sales|{k}|{k}|0",
    "calabrio": lambda t, k: f"30;{t:%Y%m%d};{t:%H:%M};1;Sales;{k};0;0;0;{k};0;0;0;0;0;0;0;0;0;0;0",
    "cisco_ucce": lambda t, k: f"{t:%Y-%m-%d %H:%M:%S},Sales,{k},{k},0",
    "genesys_cloud_queues": lambda t, k: f"{t:%Y-%m-%d %H:%M},Sales,{k},{k},0",
}
UTC = {
    "amazon_connect_wfm": lambda t, k: f"{t:%Y-%m-%dT%H:%M:%SZ},30mins,Sales,{k},{k},120",
    "amazon_connect_metrics": lambda t, k: f"{t:%Y-%m-%d %H:%M:%S},Sales,{k},{k},0",
    "genesys_cloud_wfm": lambda t, k: f"{t:%Y-%m-%dT%H:%M:%SZ},Sales,{k},{k},9",
}
HEADS = {
    "intervals": "interval_start,queue,offered,answered,abandoned",
    "avaya_cms": "row_date,starttime,intrvl,split,callsoffered,acdcalls,abncalls",
    "nice_ct_results": "#fields:date|period|ctName|actContactsReceived|actContactsHandled|actAbandons",
    "calabrio": "",
    "cisco_ucce": "DateTime,EnterpriseName,CallsOffered,CallsHandled,TotalCallsAband",
    "genesys_cloud_queues": "Interval Start,Queue Name,Offer,Answer,Abandon",
    "amazon_connect_wfm": "TimeStamp,IntervalDuration,QueueName,IncomingContactVolume,ContactsHandled,AverageHandleTime",
    "amazon_connect_metrics": "StartInterval,Queue,CONTACTS_QUEUED,CONTACTS_HANDLED,CONTACTS_ABANDONED",
    "genesys_cloud_wfm": "Interval Start UTC Date,Queue,Offered,Interactions Handled,Total Handle Time (Seconds)",
}


@pytest.mark.parametrize("season", DAYS)
@pytest.mark.parametrize("name", [*LOCAL, *UTC])
def test_days_of_the_clock_change_come_back(name: str, season: str, put):
    times = day_of(season)
    write, zone = (LOCAL[name], BERLIN) if name in LOCAL else (UTC[name], "UTC")
    lines = [write(t, k + 1) for k, t in enumerate(times.tz_convert(zone))]
    text = "\n".join([line for line in [HEADS[name], *lines] if line]) + "\n"
    history = read_history(put(text), profile=name, tz=BERLIN, interval="30min")
    assert utc(history) == times.strftime("%Y-%m-%d %H:%M").tolist()
    assert history.intervals["offered"].tolist() == list(range(1, len(times) + 1))
    fold = {"dst_fold": 4} if season == "autumn" and name in LOCAL else {}
    assert {r: n for r, n in rules(history).items() if r.startswith("d")} == fold


def test_every_profile_says_where_it_comes_from():
    vendors = [
        p
        for p in PROFILES.values()
        if p.name.startswith(("amazon", "genesys", "avaya", "nice", "calabrio", "verint", "eleveo", "cisco"))
    ]
    assert len(vendors) == 13
    assert all("'" in p.note and len(p.note) > 100 for p in vendors), "the documentation's title stands in quotes"
    assert all(p.note for p in PROFILES.values())
