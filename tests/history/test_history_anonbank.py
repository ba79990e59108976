"""The bank's log: every published figure is found again. Skipped where the data folder is absent."""

from __future__ import annotations

from datetime import date

import numpy as np
import pandas as pd
import pytest
from history_files import SHARED

from bposim.history import History, read_history

LOG = SHARED / "anonbank" / "calls_1999_jan_feb_aug.csv.gz"
REPORT = SHARED / "anonbank" / "intervals_30min_1999_jan_feb_aug.csv.gz"
needs_data = pytest.mark.skipif(not LOG.exists(), reason="the anonbank data set is not in ../shared/data")
pytestmark = needs_data
#: Month → offered, abandoned share, ASA in seconds, service level within 20 s and 60 s, share that waited.
MONTHS = {
    1: (30161, 0.103, 35.0, 0.544, 0.711, 0.55),
    2: (31125, 0.127, 40.8, 0.521, 0.673, 0.58),
    8: (38711, 0.189, 73.8, 0.410, 0.528, 0.66),
}


@pytest.fixture(scope="module")
def bank() -> History:
    return read_history(LOG, profile="anonbank", tz="Asia/Jerusalem")


def test_rows(bank: History):
    assert (bank.quality.rows_read, bank.quality.kept, bank.quality.set_aside) == (107_021, 99_997, 7_024)
    assert bank.rejected["rule"].value_counts().to_dict() == {"left_in_menu": 6196, "phantom": 828}
    assert bank.check().ok
    assert bank.contacts["outcome"].value_counts().to_dict() == {"answered": 85_624, "abandoned": 14_373}
    assert bank.contact_types == ("IN", "NE", "NW", "PE", "PS", "TT")
    assert set(bank.contacts["priority"]) == {0, 1, 2}


@pytest.mark.parametrize("month", MONTHS)
def test_months(bank: History, month: int):
    offered, abandoned, asa, within_20, within_60, waited = MONTHS[month]
    part = bank.between(date(1999, month, 1), date(1999, month + 1, 1))
    assert len(part.contacts) == offered
    by = part.metrics(within="20s").set_index("metric")["value"]
    assert by["offered"] == offered
    assert by["abandonment"] == pytest.approx(abandoned, abs=5e-4)
    assert by["asa"] == pytest.approx(asa, abs=0.05)
    assert by["service_level"] == pytest.approx(within_20, abs=5e-4)
    assert part.metrics(metrics="service_level", within="60s")["value"][0] == pytest.approx(within_60, abs=5e-4)
    assert (part.contacts["wait_s"] > 0).mean() == pytest.approx(waited, abs=5e-3)


def test_artefacts(bank: History):
    """Counted in this extract; the notes on the data give 81, 553 and 1,850, of a set of which a part is held back."""
    count = bank.check().count
    assert count("negative_menu") == 77
    assert count("zero_handle") == 487
    assert count("no_agent") == 1_372
    assert count("long_handle") == 1
    assert "the longest 10 h" in bank.check().frame.set_index("rule").loc["long_handle", "message"]
    assert bank.contacts["handle_s"].max() < 36_000
    answered = bank.contacts["outcome"].eq("answered") & bank.contacts["agent"].notna()
    assert count("agent_overlap") / answered.sum() == pytest.approx(0.007, abs=5e-4)


def test_days_and_hours(bank: History):
    assert bank.missing_days[:2] == (date(1999, 1, 11), date(1999, 1, 12)) and bank.missing_days[2] == date(1999, 3, 1)
    assert bank.between("1999-01-01", "1999-03-01").missing_days == bank.missing_days[:2]
    hours = bank.opening_hours
    assert all(hours[d] == ((420, 1440),) for d in (6, 0, 1, 2, 3))
    assert hours[4][0][0] == 420 and 840 <= hours[4][0][1] <= 900  # until 14:00, callers until a little later
    assert 1110 <= hours[5][0][0] <= 1200 and hours[5][0][1] == 1440  # from about 20:00
    assert bank.check().count("outside_hours") < 0.005 * len(bank.contacts)
    assert bank.volumes(hours="all")["contacts"].sum() == 99_997


def test_the_interval_report_agrees(bank: History):
    told = read_history(REPORT, profile="intervals", tz="Asia/Jerusalem")
    assert told.interval_s == 1800 and told.check().ok
    assert set(told.check().frame["rule"]) == {
        "missing_days", "zero_aht", "extreme_aht", "outage_day", "unused_columns",
    }  # fmt: skip
    assert told.check().count("outage_day") == bank.check().count("outage_day") == 5
    assert "1999-02-21" in str(bank.check()) and told.check().count("extreme_aht") == 1  # the call of 36,291 s
    ours, theirs = bank.metrics(by="month"), told.metrics(by="month")
    both = ours.merge(theirs, on=["month", "metric"])
    assert set(both["metric"]) >= {"offered", "service_level", "asa", "abandonment"}
    # The report books at the menu, the log at the queue a few seconds later.
    assert np.allclose(both["value_x"], both["value_y"], rtol=1e-3)
    days = bank.daily().groupby("date")["contacts"].sum()
    assert (days - told.daily().set_index("date")["contacts"]).abs().max() <= 3


def test_five_minute_counts_of_another_bank():
    path = SHARED / "bank_calls" / "bank_calls_5min_2003.csv.gz"
    if not path.exists():
        pytest.skip("the bank_calls data set is not in ../shared/data")
    frame = pd.read_csv(path)
    # The stamps say Z but are local.
    local = pd.DatetimeIndex(pd.to_datetime(frame["DateTime"], utc=True)).tz_localize(None)
    history = History.from_counts(pd.Series(frame["Calls"].to_numpy(), index=local), freq="5min", tz="America/New_York")
    assert len(history.daily()) == 164 and history.daily()["contacts"].mean() == pytest.approx(32_461, rel=1e-3)
    assert history.opening_hours[0] == ((420, 1265),)
    assert not history.opening_hours[6]
