"""Schedules against presence: by hand, over drawn rosters, and over a simulated operation whose agents are missing."""

from __future__ import annotations

import sys
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.absence import (
    absence_changes,
    fit_absence,
    net_of_absence,
    planned_shifts,
    read_schedules,
    together,
)
from bposim.errors import CalibrationError

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recovery_flows import redial_world, rosters

NOBODY = pd.DataFrame({"agent": [], "begin_ms": [], "end_ms": []})
BASE = redial_world(0)


def table(rows):
    return pd.DataFrame(rows, columns=["agent", "start", "end", "activity", "kind"]).assign(
        start=lambda f: pd.to_datetime("2026-03-02 " + f["start"]),
        end=lambda f: pd.to_datetime("2026-03-02 " + f["end"]),
    )


def shifts_of(rows):
    read = read_schedules(table(rows), "UTC", ("team",))
    real = read[(read["kind"] == "actual") & (read["activity"] == "work")]
    return planned_shifts(read[read["kind"] == "planned"], real, "UTC")


def one(estimates, name, subject="team"):
    return next(e for e in estimates if (e.parameter, e.subject) == (name, subject))


def test_adherence_and_conformance_by_hand():
    """A shift of an hour begun 15 minutes late and worked 15 minutes longer: adherence 75 %, conformance 100 %."""
    (shift,) = shifts_of(
        [("x", "09:00", "10:00", "work", "planned"), ("x", "09:15", "10:15", "work", "actual")]
    ).itertuples()
    assert shift.in_time_s / shift.work_s == 0.75
    assert shift.present_s / shift.work_s == 1.0
    assert not shift.absent


def test_breaks_meetings_and_leave_by_hand():
    rows = [
        ("x", "08:00", "16:00", "work", "planned"), ("x", "12:00", "12:30", "lunch", "planned"), ("x", "14:00", "15:00", "Meeting", "planned"),
        ("x", "08:00", "12:00", "work", "actual"), ("x", "12:15", "14:00", "work", "actual"), ("x", "15:00", "16:00", "work", "actual"),
        ("y", "08:00", "16:00", "sick", "planned"), ("z", "08:00", "16:00", None, "planned"),
    ]  # fmt: skip
    found = shifts_of(rows).set_index("agent")
    x = found.loc["x"]
    assert (x["work_s"], x["off_s"]) == (6.5 * 3600, 1.5 * 3600), "what stands over work is off the phone"
    assert x["in_time_s"] == 6.5 * 3600, "back 15 minutes early from lunch is not in time, and all the rest is"
    assert x["present_s"] == 6.75 * 3600
    assert (found.loc["y", "leave_s"], found.loc["y", "absent"]) == (8 * 3600, False), (
        "sick leave on the plan is no absence"
    )
    assert found.loc["z", "absent"]


def test_a_night_shift_is_one_shift():
    rows = pd.DataFrame({"agent": "x", "start": ["2026-03-02 22:00", "2026-03-03 02:00", "2026-03-03 22:00"],
                         "end": ["2026-03-03 01:30", "2026-03-03 06:00", "2026-03-04 06:00"]})  # fmt: skip
    found = planned_shifts(read_schedules(rows, "Europe/Berlin", ("team",)), NOBODY, "Europe/Berlin")
    assert found["date"].dt.day.tolist() == [2, 3]
    assert found["absent"].all()


def test_agents_missing_together_by_hand():
    """Twenty days, all ten agents or none: correlation 1; every day one of ten: below 0."""
    whole, p_whole = (together(np.tile([0, 10], 10), np.full(20, 10))[k] for k in (0, 3))
    assert whole == pytest.approx(1, abs=0.12)
    assert p_whole < 1e-6
    even, *_, p_even = together(np.full(20, 1), np.full(20, 10))
    assert even < 0
    assert p_even > 0.9


def test_planted_absence_comes_back():
    """Within five standard errors, over 12 rosters with and without a correlation."""
    for correlation in (0.0, 0.05):
        found = []
        for seed in range(6):
            rows = rosters(np.random.default_rng(seed), absence=0.07, correlation=correlation, days=40)
            fit = fit_absence(rows, NOBODY, BASE, (date(2026, 3, 2), date(2026, 4, 24)), set())
            found.append(fit)
            e, adherence = one(fit.estimates, "absence"), one(fit.estimates, "adherence")
            assert abs(e.value - 0.07) < 5 * (e.high - e.low) / 3.92
            assert abs(adherence.value - (1 - 15 / 450)) < 0.005
            assert one(fit.estimates, "planned break").value == pytest.approx(1 / 16)
            assert one(fit.estimates, "shrinkage").value == pytest.approx(1 - 0.93 * 15 / 16 * (1 - 15 / 450), abs=0.04)
        rho = np.mean([one(f.estimates, "absence correlation").value for f in found])
        assert rho == pytest.approx(correlation, abs=0.02)
    heads = found[0].by_weekday["team"][0]
    assert heads[0] == 10, "a third of thirty agents begins at 08:00"
    assert max(heads) == 30
    changes = absence_changes(found[0], BASE)
    made = BASE.replace(changes).agent_groups["team"]
    assert made.absence == pytest.approx(0.07, abs=0.04)
    assert made.absence_correlation > 0
    assert made.shrinkage == pytest.approx(1 / 16, abs=1e-5)
    assert made.adherence == pytest.approx(1 - 15 / 450, abs=0.01)


def test_absence_of_a_simulated_operation():
    """Twelve agents by name, 15 % absent: the presence is what their contacts tell, and the scenario gets the schedule."""
    names = [f"n{k:02d}" for k in range(12)]
    week = {"days": "mon-fri", "start": "08:00", "end": "18:00"}
    truth = BASE.replace({"agent_groups.team.heads": None, "agent_groups.team.absence": 0.15, "days": 40,
                          "agent_groups.team.agents": {n: {"schedule": [week]} for n in names}})  # fmt: skip
    log = datasets.draw_history(truth, seed=3)
    seen = sorted(log["agent"].dropna().unique())
    days = sorted(set(log["arrived"].dt.date))
    plan = pd.DataFrame(
        [(a, f"{d} 08:00", f"{d} 18:00") for d in days for a in seen], columns=["agent", "start", "end"]
    )
    base = BASE.replace({"agent_groups.team.absence": 0.5})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bp.History.from_contacts(
            log.drop(columns=[c for c in ("replication", "released") if c in log]), tz="Europe/Berlin"
        )
        cal = bp.calibrate(base, history, schedules=plan)
    found = one(cal.estimates, "absence")
    assert found.low < 0.15 < found.high
    group = cal.scenario.agent_groups["team"]
    assert group.absence == pytest.approx(found.value, abs=1e-5)
    assert group.heads[0] == (12.0,) * 20
    assert any("Presence is inferred" in n for n in cal.notes)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        plain = bp.calibrate(base, history)
    assert plain.scenario.agent_groups["team"].absence == 0, "heads seen at work are net of absence"
    assert plain.absence is None


def test_net_of_absence_leaves_nobody_out():
    base = BASE.replace({"agent_groups.team.absence": 0.1, "agent_groups.team.adherence": 0.9,
                         "agent_groups.team.breaks": [{"at": "12:00", "length": "30min"}]})  # fmt: skip
    team = net_of_absence(base).agent_groups["team"]
    assert (team.absence, team.adherence, team.breaks) == (0.0, 1.0, ())
    assert net_of_absence(BASE) is BASE


def test_schedules_that_cannot_be_read():
    good = table([("x", "09:00", "10:00", "work", "planned")])
    with pytest.raises(CalibrationError, match=r"no column 'end'. It has: agent, start"):
        read_schedules(good[["agent", "start"]], "UTC", ("team",))
    with pytest.raises(CalibrationError, match="must be a DataFrame"):
        read_schedules([1], "UTC", ("team",))
    bad = good.assign(end=good["start"], kind="maybe", agent_group="night")
    with pytest.raises(CalibrationError, match=r"do not end after they start \(rows 1\)") as caught:
        read_schedules(bad, "UTC", ("team",))
    assert len(caught.value.problems) == 3
    with pytest.raises(CalibrationError, match="needs a column 'agent_group'"):
        read_schedules(good, "UTC", ("team", "night"))
    with pytest.raises(CalibrationError, match=r"rows have no start \(rows 1\)"):
        read_schedules(good.assign(start=pd.NaT), "UTC", ("team",))
    days = (date(2026, 3, 2), date(2026, 3, 2))
    with pytest.raises(CalibrationError, match="none of the 1 agents of schedules is seen"):
        fit_absence(good, pd.DataFrame({"agent": ["other"], "begin_ms": [0], "end_ms": [1]}), BASE, days, set())
    with pytest.raises(CalibrationError, match="holds no planned shift"):
        fit_absence(good, NOBODY, BASE, (date(2027, 1, 1), date(2027, 1, 2)), set())
    few = fit_absence(pd.concat([good, good.assign(kind="actual")]), NOBODY, BASE, days, set())
    assert "too few to tell" in few.estimates[0].detail
