"""Each public data set through its profile: the report names the quirks that its notes list. Skipped where absent."""

from __future__ import annotations

import warnings
from pathlib import Path

import pandas as pd
import pytest
from history_files import SHARED

from bposim.errors import DataQualityWarning
from bposim.history import History, guess_profile, read_history

FILES = {
    "anonbank": "anonbank/calls_1999_jan_feb_aug.csv.gz",
    "anonbank_intervals": "anonbank/intervals_30min_1999_jan_feb_aug.csv.gz",
    "anonbank_arrivals": "anonbank/arrivals_6min_1999_jan_sep.csv.gz",
    "anonbank_daily": "anonbank/daily_1999_jan_sep.csv",
    "bank_calls": "bank_calls/bank_calls_5min_2003.csv.gz",
    "vancouver311": "vancouver311/contact_centre_metrics_2009_2023.csv",
    "etiqa_calls": "etiqa_calls/calls_daily_2013_2015.csv",
    "itsm": "itsm/incident_events_2016_feb_to_apr.csv.gz",
    "bpic2012w": "bpic2012w/work_items_2011_10_to_2012_01.csv.gz",
    "kaggle_daily_kpi": "kaggle_daily_kpi/daily_kpi.csv",
}
#: Sources whose notes name no place.
NOWHERE = {"etiqa_calls": "UTC", "itsm": "UTC"}


def path_of(name: str) -> Path:
    path = SHARED / FILES[name]
    if not path.exists():
        pytest.skip(f"the data set {name} is not in ../shared/data")
    return path


def read(name: str) -> History:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return read_history(path_of(name), profile=name, tz=NOWHERE.get(name))


@pytest.mark.parametrize("name", FILES)
def test_the_guess_is_the_profile_made_for_it(name: str):
    guess = guess_profile(path_of(name))
    assert (guess.profile, guess.tied) == (name, ())


def test_vancouver311():
    history = read("vancouver311")
    assert [str(d) for d in history.missing_days] == ["2010-03-07", "2013-03-08"]
    table = history.intervals
    assert table["interval_start"].is_monotonic_increasing and len(table) == 5311  # the file has the newest first
    left = table["offered"] - table["answered"] - table["abandoned"]
    assert left.mean() == pytest.approx(48.3, abs=0.1)
    found = history.check().frame.set_index("rule")
    assert found.loc["count_mismatch", "rows"] == (left != 0).sum()
    assert "2.6%" in found.loc["count_mismatch", "message"]
    year = history.between("2020-01-01", "2021-01-01")
    assert year.metrics(metrics="offered")["value"][0] == 505_307
    # The city's own press release says 71 % within 60 s.
    assert year.metrics(metrics="service_level")["value"][0] == pytest.approx(0.71, abs=0.01)
    assert history.within_s == 60 and "by the formula 'offered'" in found.loc["service_level_to_count", "message"]
    assert found.loc["service_level_formula", "rows"] > 2500, "its denominator is not published"
    assert history.check().ok


def test_itsm():
    history = read("itsm")
    contacts = history.contacts
    assert (history.quality.rows_read, len(contacts)) == (101_045, 17_136)
    count = history.check().count
    assert (count("superseded"), count("substitute"), count("no_agent")) == (83_909, 1_230, 715)
    assert contacts["source_id"].is_unique and history.check().ok
    assert contacts["made_sla"].dtype == bool and contacts["made_sla"].sum() == 9_804
    assert contacts["priority_name"].value_counts()["1 - Critical"] == 178
    assert contacts["reassignments"].value_counts()[0] == 8_784
    assert contacts.loc[contacts["source_id"] == "INC0000045", "wait_s"].item() == 10 * 3600 + 13 * 60
    # One column has the day first: 29/2/2016.
    assert contacts["created_at"].min() == pd.Timestamp("2016-02-29 01:23", tz="UTC")
    assert contacts["created_at"].max() < pd.Timestamp("2016-05-01", tz="UTC")
    breach = contacts.groupby("priority_name")["made_sla"].mean()
    assert breach["1 - Critical"] < breach["3 - Moderate"]


def test_bpic2012w():
    history = read("bpic2012w")
    contacts = history.contacts
    assert len(contacts) == 41_838 and contacts["agent"].nunique() == 52
    found = history.check().frame.set_index("rule")
    assert found.loc["long_handle", "rows"] == 280
    assert "above 2h, the longest 67 h" in found.loc["long_handle", "message"]  # left open overnight
    assert contacts["handle_s"].max() <= 7200
    assert found.loc["arrival_assumed", "rows"] == 41_838
    assert (contacts["wait_s"] >= 0).all() and contacts["case"].nunique() == pd.read_csv(path_of("bpic2012w"))[
        "case"
    ].nunique()


def test_kaggle_daily_kpi():
    history = read("kaggle_daily_kpi")
    table = history.intervals
    found = history.check().frame.set_index("rule")
    assert found.loc["dates_invented", "rows"] == len(table) == 1_251
    assert "weekdays, seasons and holidays mean nothing" in found.loc["dates_invented", "message"]
    assert table["interval_start"].iloc[0] == pd.Timestamp("2001-01-01", tz="UTC")
    first = table.iloc[0]  # 217 in, 204 answered after 0:00:17, 0:02:14 of talk, 76.28 % within 20 s
    assert (first["offered"], first["answered"], first["abandoned"]) == (217, 204, 13)
    assert (first["wait_answered_sum_s"], first["handle_sum_s"], first["mean_wait_s"]) == (3468, 27336, 165)
    assert first["answered_within_s20"] == round(0.7628 * 217)
    level = table["answered_within_s20"] / table["offered"]
    assert level.mean() == pytest.approx(0.709, abs=0.002)
    assert found.loc["service_level_formula", "rows"] > 900 and history.check().ok


def test_etiqa_calls():
    history = read("etiqa_calls")
    daily = history.daily()
    assert len(daily) == 1_095 and daily["contacts"].tolist()[:3] == [2429, 3881, 3560]
    # 2-1-2013 is the second of January, a Wednesday; the source's own weekday numbers agree with that reading.
    assert history.intervals["weekday"].tolist()[:3] == [2, 3, 4]
    stamps = history.intervals["interval_start"]
    assert ((stamps.dt.day_of_week + 1) % 7 == history.intervals["weekday"] % 7).all()


def test_bank_calls():
    history = read("bank_calls")
    assert history.check().count("offset_ignored") == 27_716
    assert history.opening_hours[0] == ((420, 1265),), "the stamps say Z but are local"
    assert history.daily()["contacts"].mean() == pytest.approx(32_461, rel=1e-3)
    assert history.zone.key == "America/New_York"


def test_anonbank_tables():
    report, log = read("anonbank_intervals"), read("anonbank")
    assert report.metrics(metrics="offered")["value"][0] == len(log.contacts)
    ours, theirs = log.metrics().set_index("metric")["value"], report.metrics().set_index("metric")["value"]
    assert ours["service_level"] == pytest.approx(theirs["service_level"], abs=1e-6)
    arrivals = read("anonbank_arrivals")
    count = arrivals.check().count
    assert (count("imputed"), count("fractional_counts"), count("dst_gap_empty")) == (720, 91, 10)
    daily = read("anonbank_daily")
    assert [str(d) for d in daily.missing_days] == ["1999-01-11", "1999-01-12"]
    assert daily.intervals["hangs"].iloc[0] == 93
