"""What the data can carry: scores worked by hand, and what warnings and rows set aside cost."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from clean_histories import random_report
from dirty_files import DIRTY, put, steady
from history_files import ZONE

from bposim.errors import DataQualityWarning
from bposim.history import History
from bposim.history.readiness import Need

STEPS = ["day volumes", "interval volumes", "yearly season", "arrivals", "handle time", "patience", "heads on duty",
         "targets by window", "redials", "staffing", "back-test of the simulation"]  # fmt: skip


def read(frame: pd.DataFrame, profile: str = "contacts", **options) -> History:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return History.from_contacts(frame, tz=ZONE, profile=profile, **options)


def scores(history: History) -> pd.DataFrame:
    frame = history.readiness()
    assert list(frame.columns) == ["step", "verdict", "score", "reason"] and frame["step"].tolist() == STEPS
    assert frame["score"].between(0, 100).all()
    expected = np.select([frame["score"] >= 80, frame["score"] >= 40], ["ready", "weak"], "no")
    assert frame["verdict"].tolist() == expected.tolist()
    return frame.set_index("step")


@pytest.mark.parametrize(
    ("have", "score"), [(0, 0), (15, 20), (30, 40), (115, 60), (200, 80), (300, 90), (400, 100), (900, 100)]
)
def test_a_need_scores_40_80_and_100_at_its_numbers(have: int, score: float):
    assert Need(have, 30, 200, "abandonments", "export more").score == score


def test_a_log_of_fourteen_weeks():
    found = scores(read(steady()))
    # 96 days from Monday to Friday: 13.71 weeks of 8; 14 days of each weekday of 8, and of 6; 0.263 years of 1.
    assert found.loc["day volumes", "score"] == int(80 + 20 * (96 / 7 - 8) / 8)
    assert found.loc["interval volumes", "score"] == int(80 + 20 * 6 / 8) and found.loc["arrivals", "score"] == 100
    assert found.loc["yearly season", "score"] == int(40 * 96 / 365.25)
    assert found.loc["heads on duty"].tolist()[:2] == ["no", 0]
    assert "no contact names its agent" in found.loc["heads on duty", "reason"]
    assert found.loc["redials", "score"] == 85  # every contact names a customer: 100 % of the 80 % that make it ready
    assert found.loc["staffing", "score"] == found.loc[["arrivals", "handle time", "patience"], "score"].min()
    assert found.loc["back-test of the simulation", "reason"].startswith(
        "heads on duty first: no contact names its agent"
    )


def test_a_report_lacks_shapes_and_counts_lack_nearly_everything():
    report = random_report(np.random.default_rng(1), "plain")
    found = scores(read(report, "intervals"))
    assert found.loc[["handle time", "patience", "heads on duty", "targets by window"], "score"].tolist() == [
        75,
        60,
        85,
        90,
    ]
    bare = scores(read(report.drop(columns=["staffed_s", "handle_sum_s", "answered_within_s20"]), "intervals"))
    assert bare.loc[["handle time", "heads on duty", "targets by window"], "score"].tolist() == [0, 45, 45]
    series = pd.Series(100 + np.arange(60) % 7, index=pd.date_range("2026-01-05", periods=60))
    counts = scores(History.from_counts(series, freq="D", tz=ZONE))
    assert counts.loc["day volumes", "verdict"] == "ready"
    assert (counts.loc[STEPS[4:], "score"] == 0).all() and counts.loc["interval volumes", "score"] == 0
    assert "export intervals" in counts.loc["arrivals", "reason"]


def test_few_abandonments_make_patience_weak_and_the_reason_says_how_many():
    log = steady()
    left = np.flatnonzero((log["outcome"] == "abandoned") & (log["contact_type"] == "c"))
    found = scores(read(log.drop(index=left[115:]).reset_index(drop=True)))
    assert found.loc["patience"].tolist()[:2] == ["weak", 60]
    assert found.loc["patience", "reason"].startswith("115 abandonments of 'c' with a known wait, 200 make it ready")


def test_warnings_cost_by_their_share_and_nothing_once_accepted():
    history = read(DIRTY["unit_shift"].make())
    share = 100 * history.quality.count("unit_shift") / history.quality.rows_read
    found = scores(history)
    assert found.loc["handle time", "score"] == int(100 - 1 - 2 * share)
    assert found.loc["handle time", "reason"] == "unit_shift found: mend or accept"
    assert scores(history.accept("unit_shift")).loc["handle time", "score"] == 100
    whole = read(DIRTY["level_shift"].make())
    assert scores(whole).loc["arrivals", "score"] == 85
    assert "What the data can carry" in str(history.check()) and "unit_shift" in history.check()._repr_html_()


def test_rows_set_aside_cost_four_points_a_percent():
    log = steady()
    rows = dict.fromkeys(range(1, len(log) + 1, 20), "soon")
    found = scores(read(put(log, "arrived", rows)))
    assert found.loc["handle time", "score"] == pytest.approx(100 - 4 * 5, abs=1)
    assert "5.0 % of the rows are set aside as errors" in found.loc["handle time", "reason"]


def test_dates_that_were_made_up_carry_no_season():
    cells = {"index": range(1, 801), "incoming_calls": 100, "answered_calls": 90, "abandoned_calls": 10}
    frame = pd.DataFrame(cells).assign(incoming_calls=lambda f: f["incoming_calls"].mask(f["index"] == 400, 900))
    history = read(frame.astype(str), "kaggle_daily_kpi")
    found = scores(history)
    assert found.loc[["day volumes", "interval volumes", "yearly season", "arrivals"], "score"].tolist() == [0] * 4
    assert "names no dates" in found.loc["day volumes", "reason"]
    assert history.check().count("outlier_day") == 0, "a made-up weekday has no usual volume"


def test_work_that_nobody_abandons():
    log = steady()
    found = scores(read(log.assign(outcome="answered", handle_s=log["handle_s"].fillna(60))))
    assert found.loc["patience", "score"] == 40 and "nobody abandons" in found.loc["patience", "reason"]


def test_missing_days_that_are_holidays_are_named():
    day = pd.date_range("2026-04-20", "2026-05-29", freq="B")
    frame = pd.DataFrame({"date": day.strftime("%Y-%m-%d"), "offered": 100 + np.arange(len(day)) % 5})
    frame = frame[~frame["date"].isin(["2026-05-01", "2026-05-06", "2026-05-14"])]
    says = str(read(frame.astype(str), "intervals", interval="1d").check())
    assert "2026-05-01, 2026-05-06, 2026-05-14; 2 of them public holidays, DE" in says


def test_rare_types_do_not_decide_and_are_named():
    log = steady()
    kind = log["contact_type"].mask(log.index % 100 == 0, "PE")
    found, usual = scores(read(log.assign(contact_type=kind))), scores(read(log))
    assert (
        found.loc[["handle time", "patience"], "score"].tolist()
        == usual.loc[["handle time", "patience"], "score"].tolist()
    )
    left = np.flatnonzero((log["outcome"] == "abandoned") & (kind == "c"))
    few = scores(read(log.assign(contact_type=kind).drop(index=left[100:]).reset_index(drop=True)))
    assert few.loc["patience", "reason"].endswith("; rare types, not judged: 'PE'")
    assert few.loc["patience", "verdict"] == "weak"


def test_numbers_are_written_as_a_planner_would():
    assert scores(read(steady(12))).loc["yearly season", "reason"].startswith("12 days, 24 months make it ready")
    assert scores(read(steady(1))).loc["day volumes", "reason"].startswith("1 day, 8 weeks make it ready")
    assert Need(2.54, 12, 24, "months", "export more").sentence() == "2.5 months, 24 months make it ready: export more"
    assert (
        Need(115, 30, 200, "abandonments", "export more").sentence().startswith("115 abandonments, 200 make it ready")
    )
