"""What is not known counts on neither side of a ratio, what is cut is called cut, and what never failed may yet fail."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import DataQualityWarning
from bposim.metrics import ContactSource, Counts, counts_of_intervals, summary, whole_windows, windows

NAN = math.nan


class Report:
    """An interval report of one day, half hours from 08:00, as something that can be measured."""

    default_within_s = 20.0

    def __init__(self, frame, **options):
        self.frame, self.options = frame, options

    def counts(self, thresholds_s=()):
        return counts_of_intervals(self.frame, hours=0.5, **self.options)


def report_of(types=("a",), n=4, **columns):
    starts = pd.date_range("2026-06-01 08:00", periods=n, freq="30min", tz="UTC")
    frame = pd.DataFrame({"replication": 0, "interval_start": np.repeat(starts, len(types)),
                          "contact_type": list(types) * n})  # fmt: skip
    base = {"offered": 10.0, "answered": 8.0, "abandoned": 2.0, "answered_within_s20": 6.0,
            "wait_answered_sum_s": 80.0, "wait_sum_s": 200.0, "handle_sum_s": 800.0, "max_wait_s": 60.0}  # fmt: skip
    return frame.assign(**base | columns)


def value_of(source, name, **options):
    return summary(source, metrics=name, **options)["value"].iloc[0]


# Unknown cells of a report -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("column", "metric", "known"),
    [
        ("wait_answered_sum_s", "asa", 10.0),
        ("handle_sum_s", "aht", 100.0),
        ("answered_within_s20", "service_level", 0.6),
        ("answered", "service_level", 0.6),
        ("answered", "asa", 10.0),
        ("wait_sum_s", "queue_mean", 200 / 1800),
        ("offered", "blocking", 0.0),
    ],
)
def test_a_ratio_is_pooled_over_the_cells_in_which_all_its_terms_are_known(column, metric, known):
    source = Report(report_of(**{column: report_of()[column].where([True, False, True, False])}))
    with pytest.warns(DataQualityWarning, match=f"{metric}: 2 of 4"):
        assert value_of(source, metric) == pytest.approx(known)
    with pytest.warns(DataQualityWarning, match="2 of 4"):
        assert windows(source, metric)["value"].tolist() == [pytest.approx(known)]
    with pytest.warns(DataQualityWarning):
        by = summary(source, "interval", metric)["value"]
    assert by.isna().tolist() == [False, True, False, True]
    assert by[0] == pytest.approx(known)


def test_unknown_cells_weigh_nothing_however_much_they_hold():
    """The unknown interval is the busy one: counted with 0 on one side it would halve the level."""
    frame = report_of(answered=[8, 80, 8, 8.0], answered_within_s20=[6, NAN, 4, 5], offered=[10, 100, 10, 10.0])
    with pytest.warns(DataQualityWarning):
        assert value_of(Report(frame), "service_level") == pytest.approx(15 / 30)


def test_a_sum_with_unknown_cells_says_that_it_is_too_low():
    source = Report(report_of(offered=[10, NAN, 10, 10.0]))
    with pytest.warns(DataQualityWarning, match="offered: 1 of 4, so the sum is too low"):
        assert value_of(source, "offered") == 30
    with pytest.warns(DataQualityWarning):
        by = summary(source, "interval", "offered")
    assert by["value"].isna().tolist() == [False, True, False, False], "nothing known is not 0"


def test_a_complete_report_is_measured_without_a_word():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert value_of(Report(report_of()), "service_level") == 0.6
        assert value_of(Report(report_of()), "offered") == 40


def test_one_type_unknown_leaves_the_other_in():
    frame = report_of(types=("a", "b"))
    frame.loc[frame["contact_type"] == "b", ["answered", "handle_sum_s"]] = [4.0, 1200.0]
    frame.loc[3, "handle_sum_s"] = NAN  # b, second interval
    with pytest.warns(DataQualityWarning, match="aht: 1 of 8"):
        assert value_of(Report(frame), "aht") == pytest.approx((4 * 800 + 3 * 1200) / (4 * 8 + 3 * 4))
    frame.loc[3, "wait_sum_s"] = NAN
    with pytest.warns(DataQualityWarning, match="queue_mean"):  # all types or none: half a queue is no queue
        assert value_of(Report(frame), "queue_mean") == pytest.approx(400 / 1800)


def test_an_interval_that_is_not_known_is_neither_good_nor_bad():
    source = Report(report_of(answered_within_s20=[8, NAN, 2, NAN], abandoned=0.0))
    with pytest.warns(DataQualityWarning):
        share = value_of(source, "service_level", aggregation="share_of_intervals", pass_level=0.8)
    with pytest.warns(DataQualityWarning):
        mean = value_of(source, "service_level", aggregation="mean_of_intervals")
    assert (share, mean) == (0.5, pytest.approx((1 + 0.25) / 2))


def test_rows_that_a_type_lacks():
    frame = report_of(types=("a", "b")).drop(index=3)  # b, second interval
    unknown, nobody = (Report(frame, complete=c).counts().contacts["offered"][0, 1] for c in (False, True))
    assert math.isnan(unknown[1])
    assert nobody.tolist() == [10, 0]
    with pytest.warns(DataQualityWarning, match="offered: 1 of 8"):
        value_of(Report(frame), "offered")
    assert value_of(Report(frame, complete=True), "queue_mean") == pytest.approx(7 * 200 / 7200)


def test_a_history_takes_a_lacking_row_for_zero_only_where_the_report_writes_no_zeros(tmp_path):
    frame = report_of(types=("a", "b")).drop(index=3).drop(columns=["replication", "max_wait_s"])
    frame["interval_start"] = frame["interval_start"].dt.tz_localize(None)
    columns = [c for c in frame if frame[c].dtype.kind == "f"]
    for zeros in (False, True):
        if zeros:
            frame.loc[5, columns] = 0.0
        frame.to_csv(tmp_path / "report.csv", index=False)
        history = bp.read_history(tmp_path / "report.csv", profile="intervals", tz="UTC")
        assert np.isnan(history.counts().contacts["offered"]).sum() == zeros


def test_an_outcome_told_by_the_others_needs_them_all(tmp_path):
    frame = (
        report_of().drop(columns=["replication", "abandoned", "max_wait_s"]).assign(disconnected=["1", "1", "", "1"])
    )
    frame["interval_start"] = frame["interval_start"].dt.tz_localize(None)
    frame.to_csv(tmp_path / "report.csv", index=False)
    table = bp.read_history(tmp_path / "report.csv", profile="intervals", tz="UTC").intervals
    assert table["abandoned"].isna().tolist() == [False, False, True, False]
    assert table["abandoned"].dropna().tolist() == [1, 1, 1]


# Contacts of which not everything is known ---------------------------------------------------------------------------


def log():
    """Four answered after 10 s for 100 s, two abandoned after 30 and 3 s, one cut off after 50 s."""
    outcome = ["answered"] * 4 + ["abandoned"] * 2 + ["disconnected"]
    done = np.array([o == "answered" for o in outcome])
    wait = np.array([10.0, 10, 10, 10, 30, 3, 50])
    arrived = pd.Series(pd.Timestamp("2026-06-01 08:00", tz="UTC") + pd.to_timedelta(np.arange(7), unit="s"))
    left = arrived + pd.to_timedelta(wait, unit="s")
    return pd.DataFrame(
        {"replication": 0, "contact_id": np.arange(7), "contact_type": "a", "arrived": arrived,
         "answered": left.where(done), "ended": left + pd.to_timedelta(np.where(done, 100, 0), unit="s"),
         "agent_group": "g", "agent": "1", "outcome": outcome, "wait_s": wait, "handle_s": np.where(done, 100.0, NAN)}
    )  # fmt: skip


def measured(frame):
    starts = pd.date_range("2026-06-01 08:00", periods=2, freq="30min", tz="UTC")
    return ContactSource(frame, starts=starts, hours=0.5)


def test_what_is_not_known_of_a_contact_leaves_it_out_of_both_sides():
    whole, part = log(), log()
    part.loc[0, "handle_s"] = NAN
    part.loc[1, "ended"] = pd.NaT
    part.loc[5, ["wait_s", "ended"]] = [NAN, pd.NaT]
    expected = {
        "aht": (100.0, 100.0),
        "turnaround_mean": (110.0, 110.0),
        "asa": (10.0, 10.0),
        "time_to_abandon": (33 / 2, 30.0),
        "mean_wait": (123 / 7, 120 / 6),
        "mean_excess": (40 / 7, 40 / 6),
        "service_level": (4 / 7, 4 / 7),
        "service_level[excl_T]": (4 / 6, 4 / 6),
        "service_level[credit_T]": (5 / 7, 4 / 6),
        "abandonment": (2 / 7, 2 / 7),
        "abandonment_excl_short": (1 / 6, 1 / 6),
        "abandonment_net": (1 / 7, 1 / 6),
        "max_wait": (50, 50),
    }
    for name, values in expected.items():
        found = tuple(value_of(measured(frame), name) for frame in (whole, part))
        assert found == tuple(pytest.approx(v) for v in values), name
    assert value_of(measured(whole), "turnaround", within="120s") == pytest.approx(4 / 7)
    assert value_of(measured(part), "turnaround", within="120s") == pytest.approx(3 / 6)
    with pytest.warns(DataQualityWarning, match="queue_mean: 1 of 2"):
        assert value_of(measured(part), "queue_mean") == 0
    names = set(measured(whole).counts().contacts)
    assert not any(n.endswith("_unknown") for n in names), "columns of unknown contacts exist where there are any"
    assert set(measured(part).counts().contacts) - names == {
        "answered_handle_unknown", "answered_end_unknown", "abandoned_wait_unknown",
    }  # fmt: skip


def test_handle_times_beyond_belief_do_not_lower_the_aht():
    """A handle time of eleven hours is set to missing by the reader; AHT stays what the others say."""
    frame = log().drop(columns=["replication", "contact_id"])
    frame.loc[0, "handle_s"] = 40_000.0
    history = bp.History.from_contacts(frame, tz="UTC")
    assert history.contacts["handle_s"].isna().sum() == 4
    assert history.metrics(metrics="aht")["value"].tolist() == [100.0]
    assert history.metrics(metrics="turnaround_mean")["value"].tolist() == [110.0]


# Nobody came ---------------------------------------------------------------------------------------------------------


def test_no_longest_wait_where_nobody_queued():
    by = summary(measured(log()), "interval", "max_wait")["value"]
    assert by[0] == 50
    assert math.isnan(by[1])
    frame = report_of(offered=[10, 0, 3, 10.0], answered=[8, 0, 0, 8.0], abandoned=[2, 0, 0, 2.0],
                      blocked=[0, 0, 3, 0.0], max_wait_s=[60, 0, 0, 0.0])  # fmt: skip
    assert summary(Report(frame), "interval", "max_wait")["value"].tolist()[::3] == [60, 0], "nobody had to wait is 0"
    assert summary(Report(frame), "interval", "max_wait")["value"].isna().tolist() == [False, True, True, False]
    assert windows(Report(frame), "max_wait", "all")["value"].tolist() == [60]


def test_no_longest_wait_in_an_empty_interval_of_a_simulation(line):
    runs = bp.simulate(line, replications=2, seed=1, progress=False)
    by = runs.summary(by=["interval", "replication"], metrics=["offered", "max_wait"])
    table = by.pivot(index=["interval", "replication"], columns="metric", values="value")
    assert (table["offered"] == 0).any()
    assert table["max_wait"].isna().equals(table["offered"] == 0)


# Shares of exactly 0 or 1 --------------------------------------------------------------------------------------------


def days_of(top, bottom, days):
    """Replications × days, one interval a day."""
    starts = pd.date_range("2026-06-01 08:00", periods=days, freq="D", tz="UTC")
    columns = {"answered": bottom, "abandoned": 0 * bottom, "offered": bottom, "answered_within_s20": top}
    counts = Counts(
        starts, np.full(days, 8.0), ("a",), {k: np.asarray(v, float)[:, :, None] for k, v in columns.items()}
    )

    class Source:
        default_within_s = 20.0

        def counts(self, thresholds_s=()):
            return counts

    return Source()


@pytest.mark.parametrize(("share", "metric"), [(1, "service_level"), (0, "service_level"), (0, "abandonment")])
def test_a_share_of_0_or_1_has_an_interval_with_width(share, metric):
    bottom = np.full((5, 4), 100.0)
    bottom[:, 3] = 0  # nobody comes on the fourth day: 15 days speak, not 20
    row = summary(days_of(bottom * share, bottom, 4), metrics=metric).iloc[0]
    z2 = 1.959963984540054**2
    expected = (15 / (15 + z2), 1.0) if share else (0.0, z2 / (15 + z2))
    assert (row["ci_low"], row["ci_high"]) == (pytest.approx(expected[0]), pytest.approx(expected[1]))
    one = summary(days_of((bottom * share)[:1], bottom[:1], 4), metrics=metric).iloc[0]
    assert math.isnan(one["ci_low"]), "one repetition has no interval"


def test_the_interval_of_a_perfect_share_holds_the_truth():
    """Days that fail as a whole with chance q: of samples without any failure, P(all good) (1 − q)^n, the interval must
    hold 1 − q wherever that happens in 5 % of the samples or more."""
    n = 40
    bottom = np.full((10, 4), 50.0)
    low = summary(days_of(bottom, bottom, 4), metrics="service_level")["ci_low"].iloc[0]
    rare = 1 - 0.05 ** (1 / n)
    assert low < 1 - rare
    assert low > 1 - 2 * rare, "and it is not much wider than need be"


# Windows cut by the ends of the horizon ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def line():
    """25 days from Wednesday 13 May: 5 + 7 + 7 + 6 days of four weeks, 19 of May and 6 of June; closed at weekends."""
    return bp.load_scenario(
        {
            "name": "line", "start": "2026-05-13", "days": 25, "opening_hours": {"mon-fri": "09:00-10:00"},
            "contact_types": {"a": {"arrivals": {"rate": "2/h"}, "handle_time": {"exponential": {"mean": "3min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 1}},
        }
    )  # fmt: skip


def test_windows_say_how_much_of_them_the_horizon_holds(line):
    runs = bp.simulate(line, replications=2, seed=1, progress=False)
    table = runs.windows("offered", "week")
    assert list(table.columns)[:5] == ["replication", "window_start", "value", "numerator", "denominator"]
    assert table["share"].tolist() == pytest.approx([5 / 7, 1, 1, 6 / 7] * 2)
    assert runs.windows("offered", "month")["share"].tolist()[:2] == pytest.approx([19 / 31, 6 / 30])
    assert runs.windows("offered", "quarter")["share"].tolist()[:1] == pytest.approx([25 / 91])
    assert (runs.windows("offered", "day")["share"] == 1).all()
    assert (runs.windows("offered", "all")["share"] == 1).all()
    assert whole_windows(table)["window_start"].dt.day.tolist() == [18, 25, 18, 25]
    assert len(whole_windows(runs.windows("offered", "month"))) == 4, "none is whole: all of them"


def test_a_week_that_ends_on_a_closed_sunday_is_whole(line):
    runs = bp.simulate(line.replace({"start": "2026-05-18", "days": 14}), replications=1, progress=False)
    assert runs.windows("offered", "week")["share"].tolist() == [1, 1]
    short = bp.simulate(line.replace({"start": "2026-05-18", "days": 13}), replications=1, progress=False)
    assert short.windows("offered", "week")["share"].tolist() == pytest.approx([1, 6 / 7])


def test_a_warm_up_cuts_the_windows_it_reaches_into(line):
    runs = bp.simulate(line, replications=1, warm_up="6d", progress=False)  # from Tuesday 19 May
    assert runs.windows("offered", "week")["share"].tolist() == pytest.approx([6 / 7, 1, 6 / 7])
    runs = bp.simulate(line, replications=1, warm_up="150h", progress=False)  # from 06:00 that day
    assert runs.windows("offered", "week")["share"].tolist() == pytest.approx([5 / 7, 1, 6 / 7])


def test_a_history_holds_the_days_it_observed():
    index = pd.date_range("2026-03-04", "2026-04-02", freq="D")  # Wednesday to Thursday
    history = bp.History.from_counts(pd.Series(5.0, index=index), freq="D", tz="America/New_York")
    assert windows(history, "offered", "week")["share"].tolist() == pytest.approx([5 / 7, 1, 1, 1, 4 / 7])
    assert windows(history, "offered", "month")["share"].tolist() == pytest.approx([28 / 31, 2 / 30])


def test_a_day_whose_count_is_not_known_was_not_observed():
    index = pd.date_range("2026-03-02", "2026-03-15", freq="D")  # two weeks from a Monday
    counts = pd.Series(5.0, index=index).mask(index == "2026-03-02")
    history = bp.History.from_counts(counts, freq="D", tz="America/New_York")
    with pytest.warns(DataQualityWarning, match="offered: 1 of 14"):
        assert windows(history, "offered", "week")["share"].tolist() == pytest.approx([6 / 7, 1])
