"""Each KPI by its definition: golden vectors, laws, and the same numbers from a history and from a simulation."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bposim as bp
from bposim.errors import DataQualityWarning, ParameterError
from bposim.metrics import (
    DEFAULT_METRICS,
    GLOSSARY,
    SERVICE_LEVELS,
    ContactSource,
    Counts,
    counts_of_contacts,
    counts_of_intervals,
    metric,
    ratio_interval,
    summary,
    tabulate,
    time_labels,
    windows,
)
from bposim.schema import COUNTING_RULES

T, S = 20.0, 5.0


class Told:
    """A source that holds the counts it was told."""

    default_within_s = T

    def __init__(self, starts, columns, *, types=("a",), hours=0.5, batches="replication", agents=None):
        shape = next(iter(columns.values())).shape
        length = np.broadcast_to(np.asarray(hours, float), (shape[1],))
        groups = () if agents is None else ("g",)
        self._counts = Counts(starts, length, types, columns, groups, agents or {}, batches)

    def counts(self, thresholds_s=()):
        return self._counts

    def wait_quantiles(self, q, labels, types):
        raise AssertionError("not asked for")

    def value(self, name, **options):
        return summary(self, metrics=name, **options)["value"].iloc[0]


def starts_of(n, first="2026-06-01 08:00", tz="UTC", freq="30min"):
    return pd.date_range(first, periods=n, freq=freq, tz=tz)


def one_cell(**columns):
    """One interval, one type; thresholds as keywords like answered_within_s20."""
    arrays = {k: np.array([[[v]]], dtype=float) for k, v in columns.items()}
    arrays.setdefault("offered", sum(arrays[k] for k in ("answered", "abandoned")))
    return Told(starts_of(1), arrays)


# Golden vectors ------------------------------------------------------------------------------------------------------

ICMI = {
    "answered": 1000,
    "abandoned": 60,
    "answered_within_s20": 860,
    "abandoned_within_s20": 20,
    "answered_within_s5": 700,
    "abandoned_within_s5": 10,
}


@pytest.mark.parametrize(
    ("rule", "percent"),
    [
        ("offered", 81.13),
        ("excl_short", 81.90),
        ("credit_short", 82.08),
        ("excl_T", 82.69),
        ("credit_T", 83.02),
        ("answered", 86.00),
        ("flow", 81.13),
        ("removed", 83.02),
    ],
)
def test_icmi_example(rule, percent):
    assert 100 * one_cell(**ICMI).value("service_level", counting=rule, within="20s", short="5s") == pytest.approx(
        percent, abs=0.005
    )
    assert 100 * one_cell(**ICMI).value(f"service_level[{rule}]") == pytest.approx(percent, abs=0.005)


@pytest.mark.parametrize(
    ("rule", "share"),
    [("flow", 860 / 1100), ("removed", (860 + 20 + 9) / 1100), ("offered", 860 / 1060), ("credit_T", 880 / 1060)],
)
def test_call_backs_and_deflections_enter_only_where_the_rule_says_so(rule, share):
    told = one_cell(**ICMI, callback=25, deflected=15, callback_within_s20=9, blocked=100)
    assert told.value("service_level", counting=rule) == pytest.approx(share, abs=1e-12)


@pytest.mark.parametrize(("rule", "share"), [("excl_T", 70 / 90), ("offered", 0.70), ("credit_T", 0.80)])
def test_cisco_example(rule, share):
    told = one_cell(answered=90, abandoned=10, answered_within_s20=70, abandoned_within_s20=10)
    assert told.value("service_level", counting=rule) == pytest.approx(share, abs=1e-12)


def test_every_rule_has_a_golden_value():
    assert set(SERVICE_LEVELS) == set(COUNTING_RULES)
    assert len(COUNTING_RULES) == 8


# Laws ----------------------------------------------------------------------------------------------------------------


@st.composite
def contacts_of_one_cell(draw):
    answered_t, answered_late, ab_s, ab_t, ab_late = (draw(st.integers(0, 60)) for _ in range(5))
    return {
        "answered": answered_t + answered_late,
        "abandoned": ab_s + ab_t + ab_late,
        "answered_within_s20": answered_t,
        "abandoned_within_s20": ab_s + ab_t,
        "abandoned_within_s5": ab_s,
        "answered_within_s5": draw(st.integers(0, answered_t)),
    }


@given(contacts_of_one_cell())
def test_inequality_chain(cell):
    told = one_cell(**cell)
    sl = {rule: told.value("service_level", counting=rule) for rule in COUNTING_RULES}
    known = {k: v for k, v in sl.items() if not math.isnan(v)}
    chains = [
        ("offered", "excl_short", "excl_T", "credit_T"),
        ("excl_T", "answered"),
        ("offered", "credit_short", "credit_T"),
    ]
    for chain in chains:
        for low, high in itertools.pairwise(chain):
            if low in known and high in known:
                assert known[low] <= known[high] + 1e-12, (low, high, cell)
    assert all(0 <= v <= 1 for v in known.values())
    if cell["abandoned"] == 0 and cell["answered"]:
        assert len({round(v, 12) for v in sl.values()}) == 1
    if cell["answered"] == 0:
        assert math.isnan(sl["answered"])
    if cell["answered"] + cell["abandoned"] == 0:
        assert not known, "no contact, no service level"


@given(contacts_of_one_cell(), st.sampled_from(COUNTING_RULES))
def test_one_more_answered_in_time_never_hurts(cell, rule):
    more = cell | {"answered": cell["answered"] + 1, "answered_within_s20": cell["answered_within_s20"] + 1}
    before, after = (one_cell(**c).value("service_level", counting=rule) for c in (cell, more))
    assert math.isnan(before) or after >= before - 1e-12


def test_three_abandonment_rates():
    told = one_cell(**ICMI)
    assert told.value("abandonment") == pytest.approx(60 / 1060)
    assert told.value("abandonment_excl_short") == pytest.approx(50 / 1050)
    assert told.value("abandonment_net") == pytest.approx(50 / 1060)


# Missing, strict, aggregation ----------------------------------------------------------------------------------------


def test_empty_denominators_are_missing_and_never_full_marks():
    nothing = one_cell(
        answered=0,
        abandoned=0,
        answered_within_s20=0,
        abandoned_within_s20=0,
        wait_answered_sum_s=0,
        wait_sum_s=0,
        abandoned_within_s5=0,
        handle_sum_s=0,
        excess_sum_s20=0,
        completed_within_s20=0,
        turnaround_sum_s=0,
        wait_abandoned_sum_s=0,
        fresh=0,
        talk_sum_s=0,
    )
    for m in GLOSSARY.values():
        if m.denominator and m.table == "contacts" and m.id != "queue_mean":
            assert math.isnan(nothing.value(m.id)), m.id
    assert nothing.value("offered") == 0


def log_of(waits, outcomes, *, handle=60.0, at="2026-06-01 08:00", tz="UTC", types=None):
    n = len(waits)
    arrived = pd.Series(pd.Timestamp(at, tz=tz) + pd.to_timedelta(np.arange(n), unit="s"))
    done = np.array([o == "answered" for o in outcomes])
    left = arrived + pd.to_timedelta(np.asarray(waits) * 1000, unit="ms")
    return pd.DataFrame(
        {
            "replication": 0,
            "contact_id": np.arange(n),
            "contact_type": types or ["a"] * n,
            "arrived": arrived,
            "answered": left.where(done),
            "ended": left + pd.to_timedelta(np.where(done, handle, 0), unit="s"),
            "agent_group": "g",
            "agent": 1,
            "outcome": list(outcomes),
            "wait_s": np.asarray(waits, float),
            "handle_s": np.where(done, handle, np.nan),
        }
    )


class Logged:
    default_within_s = T

    def __init__(self, log):
        self.log = log

    def counts(self, thresholds_s=()):
        return counts_of_contacts(self.log, starts=starts_of(2), hours=0.5, thresholds_s=thresholds_s)


def test_a_wait_equal_to_the_threshold():
    source = Logged(log_of([19.999, 20.0, 20.001, 20.0], ["answered", "answered", "answered", "abandoned"]))
    assert summary(source, metrics="service_level")["value"].iloc[0] == 2 / 4
    assert summary(source, metrics="service_level", strict=True)["value"].iloc[0] == 1 / 4
    assert summary(source, metrics="service_level", counting="credit_T")["value"].iloc[0] == 3 / 4
    assert summary(source, metrics="service_level", counting="credit_T", strict=True)["value"].iloc[0] == 1 / 4


def test_sums_of_a_log_worked_by_hand():
    log = log_of([0, 10, 30, 50, 4, 7], ["answered", "answered", "answered", "abandoned", "abandoned", "blocked"])
    log.loc[5, ["wait_s", "handle_s"]] = [0.0, np.nan]
    source = Logged(log)
    expected = {
        "offered": 6,
        "answered": 3,
        "abandoned": 2,
        "blocked": 1,
        "service_level": 2 / 5,
        "asa": 40 / 3,
        "mean_wait": 94 / 5,
        "time_to_abandon": 27,
        "abandonment": 2 / 5,
        "blocking": 1 / 6,
        "aht": 60,
        "mean_excess": (10 + 30) / 5,
        "max_wait": 50,
        "queue_mean": 94 / 3600,
    }
    for name, value in expected.items():
        assert summary(source, metrics=name)["value"].iloc[0] == pytest.approx(value), name
    assert summary(source, metrics="turnaround", within="70s")["value"].iloc[0] == pytest.approx(2 / 5)


def test_waits_of_those_who_left_stand_on_neither_side():
    """Two call-backs after 100 s and a deflection after 60 s: the queued waited 10, 30, 50 s."""
    outcomes = ["answered", "answered", "abandoned", "callback", "callback", "deflected"]
    source = ContactSource(log_of([10, 30, 50, 100, 100, 60], outcomes), starts=starts_of(2), hours=0.5)
    expected = {
        "mean_wait": 90 / 3,
        "mean_excess": 40 / 3,
        "max_wait": 50,
        "queue_mean": 350 / 3600,
        "callback": 2,
        "wait_p50": 30,
    }
    for name, value in expected.items():
        assert summary(source, metrics=name)["value"].iloc[0] == pytest.approx(value), name
    history = bp.History.from_contacts(source.contacts.drop(columns="replication"), tz="UTC")
    for name in ("mean_wait", "wait_p50", "max_wait"):
        assert history.metrics(metrics=name)["value"].iloc[0] == pytest.approx(expected[name]), name


def test_only_call_backs_means_no_wait_at_all():
    source = ContactSource(log_of([100, 100], ["callback", "callback"]), starts=starts_of(2), hours=0.5)
    for name in ("mean_wait", "max_wait", "wait_p50"):
        assert math.isnan(summary(source, metrics=name)["value"].iloc[0]), name


def test_a_report_that_does_not_tell_how_long_those_who_left_waited():
    told = one_cell(answered=8, abandoned=2, wait_sum_s=120, callback=3)
    assert told.value("mean_wait") == 12
    with pytest.warns(DataQualityWarning, match="queue_mean: 1 of 1"):
        assert math.isnan(told.value("queue_mean"))
    assert one_cell(answered=8, abandoned=2, wait_sum_s=120).value("queue_mean") == pytest.approx(120 / 1800)
    with pytest.raises(ParameterError, match="'callback' needs what was not counted"):
        one_cell(answered=8, abandoned=2).value("callback")


def test_attempts_talk_and_contacts_in_hand_by_hand():
    agents = {name: np.array([[[v]]]) for name, v in {"busy_s": 900.0, "contact_s": 2250.0}.items()}
    columns = {"offered": 12, "fresh": 8, "answered": 9, "abandoned": 3, "talk_sum_s": 1800, "handle_sum_s": 2250}
    cell = {k: np.array([[[v]]], dtype=float) for k, v in columns.items()}
    told = Told(starts_of(1), cell, agents=agents)
    expected = {"fresh": 8, "attempts_per_contact": 1.5, "talk": 200, "aht": 250, "contacts_in_hand": 2.5}
    assert {name: told.value(name) for name in expected} == expected


@pytest.fixture(scope="module")
def becoming():
    """A line too thinly staffed, with redials, call-backs, transfers and after-contact work."""
    scenario = bp.load_scenario(
        {
            "days": 1,
            "contact_types": {
                "calls": {
                    "arrivals": {"rate": "60/h"},
                    "handle_time": {"exponential": {"mean": "3min"}},
                    "after_contact_work": {"exponential": {"mean": "40s"}},
                    "patience": {"exponential": {"mean": "2min"}},
                    "redial": {"after_abandonment": 0.6, "delay": {"exponential": {"mean": "10min"}}},
                    "callback": {"expected_wait": "2min", "acceptance": 0.3, "to": "back"},
                    "transfers": [{"to": "back", "probability": 0.05}],
                },
                "back": {"arrivals": {"rate": "1/h"}, "handle_time": {"exponential": {"mean": "3min"}}, "priority": 2},
            },
            "agent_groups": {"g": {"skills": ["calls", "back"], "heads": 4}},
        }
    )
    return bp.simulate(scenario, replications=1, seed=5, progress=False)


@pytest.mark.parametrize("by", [None, "contact_type"])
@pytest.mark.parametrize(
    "name",
    [
        "offered",
        "fresh",
        "callback",
        "attempts_per_contact",
        "talk",
        "aht",
        "mean_wait",
        "queue_mean",
        "max_wait",
        "wait_p95",
    ],
)
def test_a_log_of_contacts_that_become_others_tells_the_same(becoming, name, by):
    log = becoming.contacts(0)
    grid = becoming.scenario.grid
    source = ContactSource(log, starts=grid.starts, hours=grid.hours, types=list(becoming.scenario.contact_types))
    a, b = becoming.summary(by=by, metrics=name)["value"], summary(source, by, name)["value"]
    assert np.allclose(a, b, equal_nan=True), (a, b)


def test_first_attempts_and_call_backs_are_those_of_the_log(becoming):
    log = becoming.contacts(0)
    found = becoming.summary(metrics=["fresh", "callback", "attempts_per_contact", "talk", "aht"]).set_index("metric")
    value = found["value"]
    assert value["fresh"] == (log["origin"] == "fresh").sum() == log["client"].nunique()
    assert value["callback"] == (log["outcome"] == "callback").sum() == (log["origin"] == "callback").sum() > 20
    assert value["attempts_per_contact"] == len(log) / value["fresh"] > 1.1
    talk = (log["ended"] - log["answered"]).dt.total_seconds()
    assert value["talk"] == pytest.approx(talk.mean())
    assert value["aht"] > value["talk"] + 20
    table = becoming.intervals
    assert (table["wait_sum_s"] + table["wait_left_sum_s"]).sum() == pytest.approx(log["wait_s"].sum())


def test_pooling_is_a_choice():
    starts = starts_of(4, freq="12h")  # two days with two intervals each
    good, n = np.array([90.0, 0, 700, 0]), np.array([100.0, 0, 900, 0])
    columns = {"answered": n, "abandoned": 0 * n, "answered_within_s20": good, "offered": n}
    told = Told(starts, {k: v[None, :, None] for k, v in columns.items()}, hours=12)
    assert told.value("service_level") == pytest.approx(0.79)
    assert told.value("service_level", aggregation="mean_of_intervals") == pytest.approx((0.9 + 7 / 9) / 2)
    assert told.value("service_level", aggregation="share_of_intervals", pass_level=0.8) == 0.5
    assert told.value("service_level", aggregation="share_of_days", pass_level=0.8) == 0.5
    assert told.value("service_level", aggregation="share_of_days", pass_level=0.77) == 1.0
    with pytest.raises(ParameterError, match="needs pass_level"):
        told.value("service_level", aggregation="share_of_days")


def test_days_and_intervals_differ_and_low_is_good_for_abandonment():
    starts = starts_of(4, freq="12h")
    n = np.array([10.0, 90, 50, 50])
    left = np.array([5.0, 0, 2, 10])
    columns = {"answered": n - left, "abandoned": left, "answered_within_s20": n - left, "offered": n}
    told = Told(starts, {k: v[None, :, None] for k, v in columns.items()}, hours=12)
    assert told.value("abandonment", aggregation="share_of_intervals", pass_level=0.05) == pytest.approx(2 / 4)
    assert told.value("abandonment", aggregation="share_of_days", pass_level=0.05) == pytest.approx(1 / 2)
    table = windows(told, "abandonment", "day", aggregation="share_of_intervals", pass_level=0.05)
    assert table["value"].tolist() == [0.5, 0.5]
    assert windows(told, "abandonment", "all")["value"].tolist() == [17 / 200]


# Intervals of confidence ---------------------------------------------------------------------------------------------


def test_delta_method_covers_as_often_as_it_says():
    """4,000 experiments of 20 days: coverage within 95 ± 2 %, false-fail rate below 1e-6; a fifth too narrow fails."""
    rng = np.random.default_rng(20260601)
    busy = rng.gamma(1 / 0.2**2, 0.2**2, (20, 4000, 1))
    contacts = rng.poisson(80 * busy).astype(float)
    good = rng.binomial(contacts.astype(int), np.clip(1.1 - 0.3 * busy, 0, 1)).astype(float)
    truth = 0.8 - 0.3 * 0.2**2  # E[N]/E[D] = 1.1 − 0.3 E[B²]
    value, low, high, n = ratio_interval(good, contacts, 0.95)
    inside = ((low <= truth) & (truth <= high)).mean()
    assert 0.925 < inside < 0.965
    narrow = np.abs(value - truth) <= 0.8 * (high - value)
    assert narrow.mean() < 0.92
    assert (n == 20).all()
    assert np.abs(value.mean() - truth) < 0.002
    assert np.abs((good / contacts).mean() - truth) > 0.005, "the expectation of ratios is another measure"


def test_interval_against_the_formula_by_hand():
    top, bottom = np.array([[[8.0]], [[9.0]], [[4.0]]]), np.array([[[10.0]], [[10.0]], [[8.0]]])
    value, low, high, _ = ratio_interval(top, bottom, 0.95)
    r = 21 / 28
    variance = ((8 - 10 * r) ** 2 + (9 - 10 * r) ** 2 + (4 - 8 * r) ** 2) / (3 * 2 * (28 / 3) ** 2)
    assert value.item() == pytest.approx(r)
    assert (high - value).item() == pytest.approx(4.302652729911275 * math.sqrt(variance))
    assert low.item() == pytest.approx(2 * r - high.item())


def test_one_repetition_has_no_interval():
    row = summary(one_cell(**ICMI), metrics="service_level").iloc[0]
    assert row["n"] == 1
    assert math.isnan(row["ci_low"])
    assert math.isnan(row["ci_high"])


# Labels --------------------------------------------------------------------------------------------------------------


def test_labels_are_local_across_clock_changes():
    starts = pd.date_range("2026-03-06", "2026-03-11", freq="30min", tz="America/New_York", inclusive="left")
    day = pd.Series(1, index=starts).groupby(time_labels(starts, "day")).sum()
    assert day.tolist() == [48, 48, 46, 48, 48]
    assert [f"{d:%d}" for d in day.index] == ["06", "07", "08", "09", "10"]
    week = pd.Series(1, index=starts).groupby(time_labels(starts, "week")).sum()
    assert [str(w.date()) for w in week.index] == ["2026-03-02", "2026-03-09"], "weeks begin on Monday"
    assert week.tolist() == [48 + 48 + 46, 96]
    assert "02:00" not in set(time_labels(starts[96:142], "time_of_day"))
    autumn = pd.date_range("2026-10-31 12:00", "2026-11-02", freq="30min", tz="America/New_York", inclusive="left")
    month = pd.Series(1, index=autumn).groupby(time_labels(autumn, "month")).sum()
    assert month.tolist() == [24, 50]
    assert [str(m.date()) for m in month.index] == ["2026-10-01", "2026-11-01"]
    assert str(time_labels(autumn, "quarter")[0].date()) == "2026-10-01"
    assert time_labels(autumn, "weekday").tolist()[0] == "sat"
    assert len(set(time_labels(autumn, "all"))) == 1


def test_midnight_in_utc_is_not_midnight_here():
    starts = starts_of(48, "2026-06-01 00:00", "Asia/Manila")
    columns = {k: np.ones((1, 48, 1)) for k in ("answered", "offered", "answered_within_s20")} | {
        "abandoned": np.zeros((1, 48, 1))
    }
    told = Told(starts, columns)
    assert windows(told, "offered", "day")["value"].tolist() == [48]


# A history and a simulation ------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def twins():
    scenario = bp.load_scenario(
        {
            "name": "twins",
            "time_zone": "America/New_York",
            "start": "2026-03-02",
            "days": 14,
            "opening_hours": {"daily": "08:00-12:00"},
            "queue_limit": 6,
            "contact_types": {
                "billing": {
                    "arrivals": {"rate": "70/h"},
                    "handle_time": {"lognormal": {"mean": "3min", "cv": 1.1}},
                    "patience": {"exponential": {"mean": "90s"}},
                },
                "sales": {
                    "arrivals": {"rate": "25/h"},
                    "handle_time": {"exponential": {"mean": "4min"}},
                    "patience": {"exponential": {"mean": "60s"}},
                },
            },
            "agent_groups": {"g": {"skills": ["billing", "sales"], "heads": 4}, "h": {"skills": ["sales"], "heads": 1}},
        }
    )
    runs = bp.simulate(scenario, replications=1, seed=3, drain="disconnect", progress=False, within=["20s", "5s"])
    log = runs.contacts(0)
    assert set(log["outcome"]) >= {"answered", "abandoned", "blocked", "disconnected"}
    return runs, bp.History.from_contacts(log.drop(columns="replication"), tz="America/New_York")


@pytest.mark.parametrize(
    "by", [None, "contact_type", "day", "week", "time_of_day", ["contact_type", "weekday"]], ids=str
)
@pytest.mark.parametrize(
    "name", [m.id for m in GLOSSARY.values() if m.table != "agents" and m.needs in ((), ("callback",))]
)
def test_history_and_simulation_give_the_same_numbers(twins, name, by):
    runs, history = twins
    rules = COUNTING_RULES if name == "service_level" else (None,)
    for rule in rules:
        keys = [] if by is None else [by] if isinstance(by, str) else by
        options = {"by": by, "metrics": name, "counting": rule, "within": "30s"}
        a, b = runs.summary(**options), history.metrics(**options)
        both = a.merge(b, on=[*keys, "metric"], how="outer", suffixes=("_simulated", "_observed"))
        assert len(both) == len(a) == len(b)
        assert np.allclose(both["value_simulated"], both["value_observed"], rtol=1e-9, equal_nan=True), both
        assert a["value"].notna().any()


@pytest.mark.parametrize("name", ["fresh", "attempts_per_contact", "talk", "contacts_in_hand"])
def test_what_a_history_does_not_hold_is_refused_by_name(twins, name):
    runs, history = twins
    assert np.isfinite(runs.summary(metrics=name)["value"].iloc[0])
    with pytest.raises(ParameterError, match=f"'{name}' needs .*(imulat)"):
        history.metrics(metrics=name)


def test_windows_agree_too(twins):
    runs, history = twins
    for name, options in (
        ("service_level", {"contact_type": "sales"}),
        ("asa", {}),
        ("max_wait", {}),
        ("wait_p95", {}),
    ):
        a, b = runs.windows(name, "day", **options), windows(history, name, "day", **options)
        assert np.allclose(a["value"], b["value"], equal_nan=True), name
        assert a["window_start"].tolist() == b["window_start"].tolist()


def test_queues_of_the_types_add_up(twins):
    runs, _ = twins
    each = runs.summary(by="contact_type", metrics="queue_mean").set_index("contact_type")["value"]
    total = runs.summary(metrics="queue_mean")["value"].iloc[0]
    assert each.sum() == pytest.approx(total)
    one = runs.windows("queue_mean", "all", contact_type="sales")["value"].iloc[0]
    assert one == pytest.approx(each["sales"])
    assert runs.windows("queue_mean", "all", contact_type=["sales", "billing"])["value"].iloc[0] == pytest.approx(total)


def test_several_types_pooled_are_counts_added(twins):
    runs, _ = twins
    both = ["billing", "sales"]
    for name in ("service_level", "max_wait", "abandonment"):
        expected = runs.windows(name, "day")["value"]
        assert np.allclose(runs.windows(name, "day", contact_type=both)["value"], expected), name


def test_interval_table_of_a_log_has_the_same_metrics(twins):
    runs, _ = twins
    log = runs.contacts(0)
    table = tabulate(log, starts=runs.scenario.grid.starts, thresholds_s=[30.0], short_s=[5.0])

    class Report:
        default_within_s = 30.0

        def counts(self, thresholds_s=()):
            return counts_of_intervals(table, hours=0.5)

    for name in ("service_level", "asa", "abandonment_net", "max_wait", "turnaround_mean"):
        expected = runs.summary(by="contact_type", metrics=name, within="30s")["value"]
        assert np.allclose(summary(Report(), "contact_type", name, within="30s")["value"], expected), name


def test_rows_in_any_order_give_the_same_table(twins):
    runs, _ = twins
    log = runs.contacts(0)
    starts = runs.scenario.grid.starts
    first = tabulate(log, starts=starts)
    second = tabulate(log.sample(frac=1, random_state=5), starts=starts)
    pd.testing.assert_frame_equal(first, second)


def test_booking_moves_contacts_between_intervals_and_loses_none(twins):
    runs, _ = twins
    log, starts = runs.contacts(0), runs.scenario.grid.starts
    tables = {b: tabulate(log, starts=starts, booking=b) for b in ("arrival", "answer", "end")}
    assert len({t["offered"].sum() for t in tables.values()}) == 1
    assert not tables["arrival"]["offered"].equals(tables["end"]["offered"])
    with pytest.raises(ParameterError, match="Known: arrival, answer, end"):
        tabulate(log, starts=starts, booking="middle")


# Questions that have no answer ---------------------------------------------------------------------------------------


def test_bad_questions_all_at_once(twins):
    runs, _ = twins
    with pytest.raises(ParameterError) as caught:
        runs.summary(by=["day", "week", "team"], confidence=2, aggregation="some")
    assert len(caught.value.problems) == 4
    with pytest.raises(ParameterError, match="Did you mean 'abandonment'"):
        runs.summary(metrics="abandonmet")
    with pytest.raises(ParameterError, match="counting rule 'nice' is unknown"):
        runs.summary(metrics="service_level", counting="nice")
    with pytest.raises(ParameterError, match="cannot be split by contact_type"):
        runs.summary(by="contact_type", metrics="occupancy")
    with pytest.raises(ParameterError, match="window parameter"):
        runs.windows("asa", "fortnight")


@pytest.mark.parametrize("name", ["service_level", "wait_p95", "max_wait"])
def test_windows_of_an_unknown_type(twins, name):
    with pytest.raises(ParameterError, match="contact type 'nobody' is unknown"):
        twins[0].windows(name, "day", contact_type="nobody")


def test_agents_time_belongs_to_no_contact_type(twins):
    with pytest.raises(ParameterError, match="cannot be split by contact_type"):
        twins[0].windows("occupancy", "day", contact_type="sales")


def test_agents_time_is_not_in_a_history(twins):
    _, history = twins
    assert "occupancy" not in set(history.metrics()["metric"])
    # Asked for by name it is refused, not left out silently.
    with pytest.raises(ParameterError, match="agents' time"):
        history.metrics(metrics="occupancy")


def test_glossary_is_whole():
    table = bp.glossary()
    assert list(table.columns) == ["id", "title", "unit", "formula", "booking", "better", "source"]
    assert set(DEFAULT_METRICS) <= set(table["id"])
    assert {f"service_level[{r}]" for r in COUNTING_RULES} <= set(table["id"])
    named = "offered answered abandoned blocked service_level asa mean_wait abandonment occupancy utilisation"
    assert {*named.split(), "wait_p50", "wait_p95", "max_wait", "mean_excess", "queue_mean"} <= set(table["id"])
    assert metric("service_level[excl_T]") is metric("service_level", "excl_T")


def test_a_threshold_between_two_milliseconds_is_the_nearer_one():
    world = bp.load_scenario(
        {
            "contact_types": {"a": {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "3min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 3}},
        }
    )
    runs = bp.simulate(world, replications=2, progress=False)
    exact, near = (runs.summary(metrics="service_level", within=w)["value"].iloc[0] for w in ("11.111s", 100 / 9))
    assert exact == near
