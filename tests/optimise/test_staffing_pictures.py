"""Pictures of staffing show the numbers of the result, with units, and times as times."""

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError
from bposim.optimise import optimise_shifts, optimise_staffing, required_agents
from bposim.optimise._goals import goals_of
from bposim.optimise._oracle import Oracle
from bposim.optimise._search import Search
from bposim.optimise._shift_model import Limits, ShiftModel
from bposim.optimise._tours import tours
from bposim.optimise.plots import work_spans
from bposim.simulate import simulate

pytest.importorskip("matplotlib").use("Agg")

TARGET = bp.ServiceLevel(0.80, within="20s", window="day")


def line(**changes):
    """One type for two hours, quarter hours, two shifts of one hour and a long one with a break."""
    spec = {
        "schema": "bposim/scenario/1", "name": "line", "time_zone": "Europe/Madrid", "currency": "EUR",
        "start": "2026-03-02", "days": 1, "interval": "15min", "opening_hours": {"daily": "09:00-11:00"},
        "contact_types": {
            "calls": {"arrivals": {"per_interval": [12, 15, 18, 15, 10, 8, 8, 6]}, "day_factor": {"gamma": {"cv": 0.15}},
                      "handle_time": {"exponential": {"mean": "180s"}}, "patience": {"exponential": {"mean": "120s"}}},
        },
        "agent_groups": {"desk": {"skills": ["calls"], "heads": 4, "cost_per_hour": 10}},
        "shifts": {"early": {"start": "09:00", "paid": "1h"}, "late": {"start": "10:00", "paid": "1h"},
                   "whole": {"start": "09:00", "paid": "1.75h", "breaks": [{"after": ["45min", "1h"], "length": "15min"}]}},
    }  # fmt: skip
    return bp.load_scenario(spec | changes)


@pytest.fixture(scope="module")
def plan():
    return optimise_staffing(line(), TARGET, confidence=0.8, replications=200, validation=300, seed=1, progress=False)


def at(ax):
    """Texts of the ticks on the time axis that are seen."""
    ax.figure.canvas.draw()
    low, high = ax.get_xlim()
    return [t.get_text() for t in ax.get_xticklabels() if low <= t.get_position()[0] <= high]


def legend(ax):
    return [t.get_text() for t in ax.get_legend().get_texts()]


def steps(drawn, name):
    """One value for each interval of a line of stairs."""
    y = np.asarray(next(one for one in drawn.lines if one.get_label() == name).get_ydata(), dtype=float)
    return y[np.isfinite(y)][::2]


def area(collection):
    """Height × hours of what is shaded, however many pieces it has."""
    total = 0.0
    for path in collection.get_paths():
        x, y = path.vertices[:, 0] * 24, path.vertices[:, 1]
        total += abs(float(np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]))) / 2
    return total


# Requirement and coverage --------------------------------------------------------------------------------------------


def test_a_requirement_is_drawn_by_set_over_the_time_of_day():
    need = required_agents(line(), target=TARGET)
    ax = need.plot()
    assert steps(ax, "calls").tolist() == need.frame["required"].tolist()
    assert ax.get_ylabel() == "agents present" and ax.get_xlabel() == "time of day"
    assert at(ax) == ["09:00", "10:00", "11:00"] and "Erlang A" in ax.get_title()


def test_shortage_and_excess_are_shaded_as_large_as_they_are(plan):
    ax = plan.plot()
    cover = plan.coverage
    assert steps(ax, "required").tolist() == cover["required"].tolist()
    assert steps(ax, "scheduled").tolist() == cover["covered"].tolist()
    shaded = {c.get_label(): area(c) for c in ax.collections}
    assert shaded["under"] == pytest.approx(cover["under"].sum() / 4)
    assert shaded["over"] == pytest.approx(cover["over"].sum() / 4)
    assert cover[["under", "over"]].sum().gt(0).all(), "the case shows neither"
    assert ax.get_ylabel() == "agents, net of shrinkage" and at(ax) == ["09:00", "10:00", "11:00"]
    assert f"{cover['over'].sum() / 4:.1f} over" in ax.get_title()


def test_a_plan_is_held_against_any_requirement_of_its_scenario(plan):
    need = required_agents(line(), target=TARGET, method="erlang-c", max_occupancy=0.5)
    ax = plan.plot(need=need)
    assert steps(ax, "required").tolist() == need.frame["required"].tolist()
    assert steps(ax, "scheduled").tolist() == plan.coverage["covered"].tolist()
    lack = (need.frame["required"] - plan.coverage["covered"]).clip(lower=0)
    assert lack.sum() > plan.coverage["under"].sum() and "by Erlang C" in ax.get_title()
    assert f"{lack.sum() / 4:.1f} agent-hours under" in ax.get_title()
    with pytest.raises(ParameterError, match="not those of the plan"):
        plan.plot(need=required_agents(line(days=2), target=TARGET))


def test_no_line_crosses_the_night_and_days_are_named():
    need = required_agents(line(days=3), target=TARGET)
    ax = need.plot()
    (drawn,) = ax.lines
    assert np.isnan(drawn.get_ydata()).sum() == 2 and len(steps(ax, "calls")) == 24
    assert at(ax) == ["Tue 03 Mar", "Wed 04 Mar"]


def test_the_coverage_of_a_searched_plan_is_that_of_the_formula(plan):
    need = required_agents(line(), target=TARGET).frame
    assert plan.coverage["required"].tolist() == need["required"].tolist()
    assert plan.coverage["covered"].tolist() == plan.staffing["heads"].tolist()


# Service by interval -------------------------------------------------------------------------------------------------


def test_service_by_interval_is_that_of_the_proofs_replications(plan):
    told, seen = plan.validation.intervals, plan.validation
    runs = [simulate(line(), staffing=plan.staffing, replications=300, seed=seen.seed, within="20s", progress=False)]
    while (played := sum(r.replications for r in runs)) < seen.replications:  # as a proof goes on while it is open
        runs.append(runs[-1].fresh(min(played, 1200 - played)))
    values = pd.concat(r.windows("service_level", "interval", within="20s") for r in runs)
    whole = values.groupby("window_start")[["numerator", "denominator"]].sum()
    np.testing.assert_allclose(told["value"], whole["numerator"] / whole["denominator"])
    np.testing.assert_allclose(told["contacts"], whole["denominator"] / seen.replications)
    some = values[values["denominator"] > 0].groupby("window_start")["value"]
    np.testing.assert_allclose(told[["low", "high"]].T, [some.quantile(0.1), some.quantile(0.9)])
    assert (told["ci_low"] <= told["value"]).all() and (told["value"] <= told["ci_high"]).all()
    ax = plan.plot_service()
    np.testing.assert_allclose(steps(ax, "expected"), 100 * told["value"])
    assert ax.get_ylabel() == "service level of an interval (%)" and at(ax) == ["09:00", "10:00", "11:00"]
    assert legend(ax)[0] == f"four of five of {seen.replications:,} simulated days" and "target 80 %" in legend(ax)


def test_service_of_several_targets_is_drawn_for_the_one_named():
    need = required_agents(line(), target=TARGET)
    wait = bp.AtMost("asa", "30s", window="day")
    both = optimise_shifts(need, line(), target=TARGET, confidence=0.5)
    assert both.plot_service().get_title().startswith("80 % answered")
    slow = optimise_shifts(need, line(), target=wait, confidence=0.5)
    ax = slow.plot_service(target=str(wait))
    assert ax.get_ylabel() == "asa of an interval (s)" and "target 30 s" in legend(ax)
    with pytest.raises(ParameterError, match="target"):
        slow.plot_service(target="all of them")
    with pytest.raises(ParameterError, match="was not proven"):
        optimise_shifts(need, line()).plot_service()
    quantile = optimise_shifts(need, line(), target=bp.AtMost("wait_p95", "60s", window="day"), confidence=0.5)
    assert quantile.validation.intervals.empty
    with pytest.raises(ParameterError, match="quantile of waits"):
        quantile.plot_service()


# Cost against probability --------------------------------------------------------------------------------------------


def test_cost_against_probability_shows_every_plan_the_proof_the_level_and_the_bound(plan):
    ax = plan.plot_cost()
    dots = next(one for one in ax.lines if str(one.get_label()).startswith("played"))
    np.testing.assert_allclose(dots.get_xdata(), plan.trail["cost"])
    np.testing.assert_allclose(dots.get_ydata(), 100 * plan.trail["probability"])
    (proof,) = plan.proofs[plan.proofs["status"] == "met"].itertuples()
    assert (proof.cost, proof.probability) == (plan.cost, plan.validation.frame["probability"][0])
    bars = next(c for c in ax.containers if str(c.get_label()).startswith("proof passed"))
    np.testing.assert_allclose(bars.lines[0].get_xydata(), [[plan.cost, 100 * proof.probability]])
    span = bars.lines[2][0].get_segments()[0][:, 1]
    np.testing.assert_allclose(span, [100 * proof.ci_low, 100 * proof.ci_high])
    named = legend(ax)
    assert "asked for: 80 %" in named and any(t.startswith("lower bound") for t in named)
    assert ax.get_xlabel() == "cost of the horizon (EUR)" and ax.get_ylabel() == "probability of the target (%)"
    green = next(one for one in ax.lines if str(one.get_label()).startswith("lower bound"))
    assert green.get_xdata()[0] == plan.bound


def test_the_probability_of_the_trail_is_the_share_of_days_of_the_searchs_draws():
    world = line()
    every = tours(world, ("desk",), keep_all=True)
    model = ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, None), free=False)
    search = Search(model, Oracle(world, None, goals_of(world, TARGET, 0.9, "horizon"), 200, 5), {}, np.inf)
    columns = np.zeros(len(model.model.cost))
    columns[[model.heads[k] for k, t in enumerate(model.tours) if t.pattern != "whole"]] = 6.0, 5.0
    search.point(columns)
    heads = {"desk": [6] * 4 + [5] * 4}
    days = simulate(world, staffing=heads, replications=200, seed=5, within="20s", progress=False).windows(
        "service_level", "day", within="20s"
    )["value"]
    assert search.trail[0]["probability"] == np.mean(days >= 0.80) and 0 < search.trail[0]["probability"] < 1


def test_a_search_for_an_expected_value_has_no_probability_to_draw():
    told = optimise_staffing(line(), TARGET, replications=100, validation=100, seed=1, progress=False)
    assert told.trail["probability"].isna().all()
    for one in (told, optimise_shifts(required_agents(line(), target=TARGET), line())):
        with pytest.raises(ParameterError, match="confidence"):
            one.plot_cost()


# Shifts --------------------------------------------------------------------------------------------------------------


def test_a_shift_chart_has_a_row_for_each_shift_its_breaks_as_gaps_and_its_heads(plan):
    ax = plan.plot_shifts()
    rows = plan.shifts.sort_values(["start", "end", "agent_group", "shift", "breaks"])
    names = [t.get_text() for t in ax.get_yticklabels()]
    assert names == [f"{r.shift} {r.start:%H:%M}–{r.end:%H:%M}" for r in rows.itertuples()]
    assert [t.get_text() for t in ax.texts] == [str(h) for h in rows["heads"]]
    worked = sum(bar.get_width() for bar in ax.patches) * 24
    lasts = sum((r.end - r.start) / pd.Timedelta("1h") - 0.25 * (r.shift == "whole") for r in rows.itertuples())
    assert worked == pytest.approx(lasts)
    assert at(ax) == ["09:00", "10:00", "11:00"] and ax.get_title().startswith("Monday 02 March 2026")


def test_a_shift_chart_is_of_one_day():
    need = required_agents(line(days=2), target=TARGET)
    two = optimise_shifts(need, line(days=2))
    assert two.plot_shifts(day=1).get_title().startswith("Tuesday 03")
    with pytest.raises(ParameterError, match="day"):
        two.plot_shifts(day=7)


def test_breaks_after_midnight_are_of_the_next_day():
    start = pd.Timestamp("2026-03-02 21:00", tz="Europe/Madrid")
    spans = work_spans(start, start + pd.Timedelta("8h"), "23:45-00:15, 02:00-02:30")
    told = [f"{a:%d %H:%M}-{b:%d %H:%M}" for a, b in spans]
    assert told == ["02 21:00-02 23:45", "03 00:15-03 02:00", "03 02:30-03 05:00"]


def test_a_plan_that_does_not_exist_says_so():
    stuck = optimise_shifts(required_agents(line(), target=TARGET), line(), max_heads=1)
    assert stuck.status == "infeasible"
    for ax in (stuck.plot(), stuck.plot_shifts(), stuck.plot_service()):
        assert [t.get_text() for t in ax.texts] == ["no plan: infeasible"]
