"""Redials come back from logs with customers, chance re-contacts are no redials, and the total stays what came.

How often the intervals hold the truth over 200 histories is measured by ``benchmarks/recovery_flows.py``; the small study
here fails by chance with probability below 1e-6 where nothing else is said.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.fresh import expected_redials, fresh_arrivals, redial_changes
from bposim.calibrate.redials import FOLLOW_S, closing_ms, fit_redials, named_customers
from bposim.calibrate.redials_report import day_blocks, fit_redials_from_report
from bposim.errors import CalibrationError

CLOSE = ["replication", "origin", "client", "attempt", "released"]


def world(probability=0.0, days=28, **law):
    body = {
        "arrivals": {"rate": "60/h"},
        "handle_time": {"exponential": {"mean": "380s"}},
        "patience": {"exponential": {"mean": "150s"}},
    }
    if probability:
        body["redial"] = {"after_abandonment": probability, "delay": law or {"lognormal": {"mean": "8min", "cv": 1.2}}}
    return bp.load_scenario(
        {
            "time_zone": "Europe/Berlin",
            "start": "2026-03-02",
            "days": days,
            "opening_hours": {"mon-fri": "08:00-18:00"},
            "contact_types": {"sales": body},
            "agent_groups": {"team": {"skills": ["sales"], "heads": 7}},
        }
    )


def drawn(probability=0.0, seed=1, customers=4000, **law):
    truth = world(probability, **law)
    return datasets.name_customers(datasets.draw_history(truth, seed=seed), customers=customers, seed=seed), truth


def one(fit, name):
    return next(e for e in fit.estimates if e.parameter == name)


def quiet(base, log):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bp.History.from_contacts(log.drop(columns=[c for c in CLOSE if c in log]), tz="Europe/Berlin")
        return bp.calibrate(base, history), history


@pytest.mark.parametrize(
    ("probability", "law"),
    [(0.2, {"lognormal": {"mean": "8min", "cv": 1.2}}), (0.5, {"exponential": {"mean": "10min"}}),
     (0.4, {"weibull": {"scale": "9min", "shape": 0.7}})],
)  # fmt: skip
def test_planted_redials_come_back(probability, law):
    """Within five standard errors of the truth: a false fail has probability below 1e-6."""
    log, truth = drawn(probability, **law)
    fit = fit_redials(log, truth)
    found = one(fit, "redial share of abandonments")
    planted = probability * float(truth.contact_types["sales"].redial.delay.cdf(FOLLOW_S))
    assert abs(found.value - planted) < 5 * (found.high - found.low) / 3.92
    delay = one(fit, "redial delay")
    middle = float(truth.contact_types["sales"].redial.delay.quantile(0.5))
    assert abs(np.log(delay.value / middle)) < 5 * np.log(delay.high / delay.low) / 3.92
    assert fit.known
    assert fit.probability == pytest.approx(probability, abs=0.1)
    repeat = one(fit, "repeat share of answered")
    assert abs(repeat.value) < 5 * (repeat.high - repeat.low) / 3.92, "nobody calls again after an answer"


def test_closing_does_not_hide_redials():
    """Four hours a day and delays of 45 minutes: a fifth of the redials would come after closing and is not made."""
    truth = world(0.5, days=56, exponential={"mean": "45min"}).replace({"opening_hours": {"mon-fri": "08:00-12:00"}})
    log = datasets.name_customers(datasets.draw_history(truth, seed=2), customers=4000)
    found = one(fit_redials(log, truth), "redial share of abandonments")
    planted = 0.5 * float(truth.contact_types["sales"].redial.delay.cdf(FOLLOW_S))
    assert abs(found.value - planted) < 3.5 * (found.high - found.low) / 3.92
    assert (log["origin"] == "redial").sum() / (log["outcome"] == "abandoned").sum() < 0.42


def test_frequent_callers_are_no_redialers():
    """500 customers call about once a day each: many come back within two hours, and none because of the abandonment."""
    none = []
    for seed in range(1, 9):
        log, truth = drawn(0.0, seed=seed, customers=500)
        fit = fit_redials(log, truth)
        raw = one(fit, "redial share of abandonments")
        assert "called again" in raw.detail
        assert float(raw.detail.split("none: ")[-1].split(": ")[-1].split(" %")[0]) > 5
        none.append(fit.probability == 0)
    assert sum(none) >= 6, "1 % risk each: three or more of eight have probability below 1e-4"


def test_the_small_study_covers():
    """16 histories: 10 or fewer covered at 95 % have probability below 1e-4."""
    covered = 0
    for k in range(16):
        log, truth = drawn(0.3, seed=100 + k)
        found = one(fit_redials(log, truth), "redial share of abandonments")
        covered += found.low <= 0.3 * float(truth.contact_types["sales"].redial.delay.cdf(FOLLOW_S)) <= found.high
    assert covered > 10


def test_repeat_calls_after_an_answer_are_found():
    """A quarter of the answered call again three hours later."""
    log, truth = drawn(0.0)
    rng = np.random.default_rng(3)
    served = log[log["outcome"] == "answered"]
    again = served[rng.random(len(served)) < 0.25]
    moved = {c: again[c] + pd.Timedelta(hours=3) for c in ("arrived", "answered", "ended")}
    more = pd.concat([log, again.assign(**moved)], ignore_index=True).sort_values("arrived", ignore_index=True)
    found = one(fit_redials(more, truth), "repeat share of answered")
    # A repeat that is answered and not repeated itself belongs to the denominator: 0.25 × 1 ÷ 1.25.
    assert found.value == pytest.approx(0.2, abs=0.02)
    assert found.low < 0.2 < found.high


def test_what_a_log_cannot_tell():
    log, truth = drawn(0.3)
    nobody = fit_redials(log.drop(columns="customer"), truth)
    assert not nobody.known
    assert "names no customers" in nobody.estimates[0].detail
    few = fit_redials(log.iloc[:300], truth)
    assert not few.known
    assert "not identifiable" in few.estimates[0].detail
    blank = log.assign(customer=log["customer"].where(np.arange(len(log)) % 3 > 0))
    part = fit_redials(blank, truth)
    assert any("name no customer" in n for n in part.notes)
    one_code = log.assign(customer=log["customer"].where(np.arange(len(log)) % 3 > 0, "0"))
    code, notes = named_customers(one_code)
    assert (code[::3] == -1).all()
    assert "customer '0' stands for more than" in notes[0]


def test_first_attempts_and_redials_together_are_what_came():
    log, _ = drawn(0.5)
    cal, history = quiet(world(), log)
    redial = cal.scenario.contact_types["sales"].redial
    assert redial.after_abandonment == pytest.approx(0.5, abs=0.06)
    a_day = len(log) / 20
    fresh = sum(sum(v) for v in cal.scenario.contact_types["sales"].arrivals.per_interval.values()) / 5
    planted = (log["origin"] == "fresh").sum() / 20
    assert fresh == pytest.approx(planted, rel=0.02)
    assert fresh < 0.93 * a_day
    share = one(cal, "first attempts of contacts")
    assert share.low < (log["origin"] == "fresh").mean() < share.high
    runs = bp.simulate(cal.scenario.replace({"days": 28}), replications=20, seed=2, progress=False)
    offered = runs.summary(metrics=["offered"])["value"].iloc[0] / 20
    assert offered == pytest.approx(a_day, rel=0.02)
    done = cal.backtest(history, replications=10)
    assert done.verdict == "pass", "the contacts that came hold their redials: they are not made twice"


def test_without_customers_the_scenario_keeps_its_redials_and_says_so():
    log, truth = drawn(0.4)
    cal, _ = quiet(truth, log.drop(columns="customer"))
    assert cal.scenario.contact_types["sales"].redial.after_abandonment == 0.4
    assert any("redial of 'sales' was assumed" in n for n in cal.notes)
    fresh = sum(sum(v) for v in cal.scenario.contact_types["sales"].arrivals.per_interval.values()) / 5
    assert fresh == pytest.approx((log["origin"] == "fresh").sum() / 20, rel=0.02)


def test_a_redial_that_nobody_makes_is_taken_out():
    log, _ = drawn(0.0, customers=200_000)
    cal, _ = quiet(world(0.4), log)
    assert cal.scenario.contact_types["sales"].redial is None


def test_expected_redials_by_hand():
    """One abandonment at 08:10, delay 30 min for sure, probability 0.5: half a contact in 08:30 to 09:00."""
    truth = world(0.5, deterministic={"value": "30min"})
    at = pd.DatetimeIndex(["2026-03-02 08:10", "2026-03-02 17:45"], tz="Europe/Berlin")
    log = pd.DataFrame(
        {"contact_type": "sales", "outcome": "abandoned", "arrived": at - pd.Timedelta("1min"), "ended": at}
    )
    grid = truth.replace(days=1).grid
    begin = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    found = expected_redials(log, truth, begin, begin + (grid.end_ms - grid.start_ms))["sales"]
    assert found.sum() == 0.5, "what would come after 18:00 is not made"
    assert found[1] == 0.5


def test_closing_times_by_hand():
    lunch = world().replace({"opening_hours": {"mon-fri": ["08:00-12:00", "13:00-18:00"]}})
    at = pd.DatetimeIndex(
        ["2026-03-02 08:10", "2026-03-02 12:30", "2026-03-02 13:00", "2026-03-08 09:00"], tz="Europe/Berlin"
    )
    log = pd.DataFrame({"arrived": at})
    found = pd.DatetimeIndex(
        pd.to_datetime(closing_ms(log, lunch, at.as_unit("ms").asi8), unit="ms", utc=True)
    ).tz_convert(at.tz)
    assert found.strftime("%d %H:%M").tolist() == ["02 12:00", "02 12:30", "02 18:00", "08 09:00"]


def test_changes_and_their_removal():
    log, truth = drawn(0.3)
    changes, notes, assumed = redial_changes(fit_redials(log, truth), truth)
    assert notes == assumed == []
    assert changes["contact_types.sales.redial"]["after_abandonment"] == pytest.approx(0.3, abs=0.07)
    arrivals = object()
    assert fresh_arrivals(arrivals, log, world(), fit_redials(log, truth), None, None, set()) == (arrivals, [])


# Interval reports alone ----------------------------------------------------------------------------------------------


class Report:
    """A history of which only the interval report is known."""

    def __init__(self, intervals):
        self.intervals = intervals


def reported(probability, seed, days=90):
    law = {"lognormal": {"mean": "20min", "cv": 1.0}}
    truth = world(probability, days=days, **law)
    return fit_redials_from_report(Report(bp.simulate(truth, replications=1, seed=seed, progress=False).intervals))[0]


def test_a_report_tells_redials_with_an_honest_width():
    """Half of the abandonments come back after 20 minutes; a quarter of them in the next two intervals. 95 % intervals."""
    some = [reported(0.5, seed) for seed in range(12)]
    assert sum(e.low <= 0.256 <= e.high for e in some) >= 8
    assert np.mean([e.value for e in some]) > 0.2
    assert min(e.high - e.low for e in some) > 0.15, "a report tells little"
    none = [reported(0.0, seed) for seed in range(12)]
    assert sum(e.low <= 0 <= e.high for e in none) >= 8
    assert abs(np.mean([e.value for e in none])) < 0.12


def test_a_short_report_does_not_tell():
    assert "not identifiable: only" in reported(0.5, 1, days=14).detail
    wide = reported(0.5, 1, days=30)
    assert "not identifiable: ±" in wide.detail or wide.high - wide.low <= 0.5
    with pytest.raises(CalibrationError, match="counts no abandonments"):
        fit_redials_from_report(Report(pd.DataFrame({"interval_start": [], "contact_type": [], "offered": []})))


def test_runs_of_intervals_by_hand():
    start = pd.date_range("2026-03-02 08:00", periods=20, freq="30min", tz="UTC").delete([9])
    rows = pd.DataFrame({"interval_start": start, "offered": range(19), "abandoned": 0.0})
    assert [len(b[1]) for b in day_blocks(rows)] == [9, 10]
    assert day_blocks(rows)[1][1][0] == 13 * 60
    assert day_blocks(rows.iloc[:4]) == []
