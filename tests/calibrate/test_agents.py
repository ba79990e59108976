"""Agents' speeds, learning and the days' level: mixed effects on the logarithm of the handle time."""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.agents import COLUMNS, fit_agents
from bposim.calibrate.handled import speed_changes


def draw(seed, spread=0.15, daily=0.05, slope=-0.08, agents=50, days=120, n=40_000, new=0.3, noise=0.8):
    rng = np.random.default_rng(seed)
    start = np.where(rng.random(agents) < new, rng.integers(35, days - 40, agents), 0)
    agent, day = rng.integers(0, agents, n), rng.integers(0, days, n)
    there = day >= start[agent]
    agent, day = agent[there], day[there]
    own, own_day = rng.normal(0, spread, agents), rng.normal(0, daily, days)
    tenure = np.where(start[agent] > 0, np.log2(1 + (day - start[agent]) / 30), 0.0)
    logs = 5 + own[agent] + own_day[day] + slope * tenure + rng.normal(0, noise, len(agent))
    names = np.char.add("a", np.char.zfill(agent.astype(str), 4))
    return (np.exp(logs), names, day, np.full(len(agent), "t")), own, start


def told(fit, name):
    (found,) = [e for e in fit.estimates if e.parameter == name]
    return found


def test_planted_effects_come_back():
    """Six histories: of 18 intervals of 95 % at most three miss (more has probability 0.01; seeds are fixed)."""
    missed = 0
    for seed in range(6):
        args, _, _ = draw(seed)
        fit = fit_agents(*args)
        for name, true in (
            ("spread between agents", 0.15),
            ("spread between days (handle time)", 0.05),
            ("learning", 100 * np.expm1(-0.08)),
        ):
            e = told(fit, name)
            missed += not e.low <= true <= e.high
            assert abs(e.value - true) <= 2.5 * max(e.high - e.value, e.value - e.low)
        assert told(fit, "spread between agents").high < 0.25
    assert missed <= 3
    fit = fit_agents(*draw(1, slope=-0.2, n=100_000)[0])
    assert told(fit, "learning").high < 0
    assert "New agents" in fit.notes[0]


def test_none_where_there_is_none():
    """No spread in 30 worlds (each test errs in 0.1 %); the upper limit holds the truth and is small."""
    for seed in range(30):
        fit = fit_agents(*draw(seed, 0, 0, 0, n=15_000)[0])
        for name in ("spread between agents", "spread between days (handle time)"):
            e = told(fit, name)
            assert (e.value, e.low) == (0.0, 0.0), seed
            assert e.detail.startswith("none")
            assert 0 <= e.high < 0.08
        assert (fit.agent_sd, fit.day_sd) == (0, 0)


def test_speeds_are_those_planted_and_drawn_in_where_little_is_known():
    args, own, _ = draw(1, slope=0.0, new=0.0)
    fit = fit_agents(*args)
    assert list(fit.agents.columns) == COLUMNS
    code = fit.agents["agent"].str[1:].astype(int).to_numpy()
    true = np.exp(own[code] - np.average(own[code], weights=fit.agents["contacts"]))
    inside = (fit.agents["ci_low"] <= true) & (true <= fit.agents["ci_high"])
    assert inside.mean() > 0.85
    assert np.corrcoef(fit.agents["speed"], true)[0, 1] > 0.95
    assert fit.agents["tenure_days"].isna().all(), "all were there when the log began"
    # One more agent with a single contact of ten times the usual length is hardly drawn away from 1.
    seconds, names, day, kind = args
    more = fit_agents(np.append(seconds, 1500.0), np.append(names, "z"), np.append(day, 60), np.append(kind, "t"))
    last = more.agents.set_index("agent").loc["z"]
    assert 1.0 < last["speed"] < 1.25
    assert last["ci_low"] < 1 < last["ci_high"]


def test_balanced_data_give_the_classical_answer():
    """Each agent once on each day, one type: the variance of agents is (MSA − MSE)/days, as in a two-way layout."""
    rng = np.random.default_rng(2)
    agents, days = 12, 30
    a, d = (v.ravel() for v in np.meshgrid(np.arange(agents), np.arange(days), indexing="ij"))
    y = 5 + rng.normal(0, 0.3, agents)[a] + rng.normal(0, 0.2, days)[d] + rng.normal(0, 0.5, agents * days)
    fit = fit_agents(np.exp(y), a.astype(str), d, np.full(len(y), "t"))
    table = y.reshape(agents, days)
    rows, columns = table.mean(1), table.mean(0)
    rest = table - rows[:, None] - columns[None, :] + table.mean()
    mse = (rest**2).sum() / ((agents - 1) * (days - 1))
    assert told(fit, "spread between agents").value ** 2 == pytest.approx(rows.var(ddof=1) - mse / days, rel=0.01)
    assert told(fit, "spread between days (handle time)").value ** 2 == pytest.approx(
        columns.var(ddof=1) - mse / agents, rel=0.02
    )


def test_agents_who_may_have_been_there_before_are_not_new():
    """A log with a hole of two months: who appears right after it may have begun in the hole."""
    (seconds, names, day, kind), _, _ = draw(3, slope=-0.1, days=200)
    hole = (day >= 60) & (day < 130)
    fit = fit_agents(seconds[~hole], names[~hole], day[~hole], kind[~hole])
    first = pd.Series(day[~hole]).groupby(names[~hole]).min()
    known = fit.agents.set_index("agent")["tenure_days"].notna()
    assert not known[first[(first >= 130) & (first < 135)].index].any()
    assert known[first[(first > 35) & (first < 60)].index].all()
    assert known.any()


def test_few_agents_tell_nothing():
    fit = fit_agents(*draw(1, agents=3, n=3000)[0])
    (only,) = fit.estimates
    assert only.source == "assumed"
    assert "3 agents" in only.detail and "are needed" in only.detail
    assert len(fit.agents) == 0


def test_a_thousand_agents_and_a_million_contacts_take_seconds():
    args, _, _ = draw(1, agents=1000, days=100, n=1_000_000)
    begin = time.perf_counter()
    fit = fit_agents(*args)
    assert time.perf_counter() - begin < 60, "some 5 s on an idle machine"
    assert told(fit, "spread between agents").value == pytest.approx(0.15, abs=0.02)


# In a calibration ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def history():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return datasets.load("voice")


def test_a_calibration_tells_of_agents(history):
    truth = datasets.synthetic("voice").truth
    cal = bp.calibrate(datasets.base_scenario(truth), history, until="2026-03-01")
    assert list(cal.agents.columns) == COLUMNS
    assert cal.agents["contacts"].sum() == pytest.approx(
        len(history.between("2026-01-05", "2026-03-01").contacts), rel=0.1
    )
    table = cal.summary().set_index(["parameter", "subject"])
    for subject in ("all", "billing", "sales"):
        assert table.loc[("spread between agents", subject), "value"] == 0
    assert all(kind.handle_day_factor is None for kind in cal.scenario.contact_types.values())


def test_slow_agents_and_days_enter_as_they_should(history):
    """The log's handle times stretched by agent and day: told, days in the scenario, agents only where it names them."""
    truth = datasets.synthetic("voice").truth
    contacts = history.between("2026-01-05", "2026-02-15").contacts
    rng = np.random.default_rng(7)
    agents = sorted(set(contacts["agent"].dropna()))
    speed = dict(zip(agents, np.exp(rng.normal(0, 0.2, len(agents))), strict=True))
    level = dict(zip(sorted(set(contacts["arrived"].dt.date)), np.exp(rng.normal(0, 0.1, 200)), strict=False))
    factor = contacts["agent"].map(speed) * contacts["arrived"].dt.date.map(level)
    contacts = contacts.assign(
        ended=contacts["ended"].where(
            factor.isna(), contacts["answered"] + pd.to_timedelta((contacts["handle_s"] * factor).round(), unit="s")
        )
    )
    stretched = bp.History.from_contacts(
        contacts.drop(columns=["replication", "handle_s", "wait_s", "source_row"], errors="ignore"), tz=truth.time_zone
    )
    with warnings.catch_warnings():
        # Stretched contacts cut into the pauses after them: what follows a contact is in doubt, and said to be.
        warnings.simplefilter("ignore", bp.errors.CalibrationWarning)
        cal = bp.calibrate(datasets.base_scenario(truth), stretched)
    frame = cal.agents.set_index("agent")
    assert np.corrcoef(np.log(frame["speed"]), np.log(pd.Series(speed)[frame.index]))[0, 1] > 0.97
    assert cal.scenario.contact_types["billing"].handle_day_factor.cv == pytest.approx(0.1, abs=0.04)
    assert any("Agents differ in handle time" in n for n in cal.notes)
    assert all(not g.agents for g in cal.scenario.agent_groups.values())


def test_named_agents_of_a_scenario_get_their_speeds():
    base = bp.load_scenario(
        {
            "opening_hours": {"daily": "08:00-18:00"},
            "contact_types": {"a": {"arrivals": {"rate": "1/h"}, "handle_time": {"exponential": {"mean": "60s"}}}},
            "agent_groups": {
                "g": {
                    "skills": ["a"],
                    "agents": {
                        n: {"schedule": [{"start": "08:00", "end": "18:00"}]} for n in ("a0000", "a0001", "new_one")
                    },
                }
            },
        }
    )
    fit = fit_agents(*draw(1, slope=0.0, new=0.0)[0])
    fitted = base.replace(speed_changes(base, fit))
    speed = fit.agents.set_index("agent")["speed"]
    named = fitted.agent_groups["g"].agents
    assert named["a0000"].speed == pytest.approx(speed["a0000"], abs=1e-5)
    assert named["a0001"].speed == pytest.approx(speed["a0001"], abs=1e-5)
    assert named["new_one"].speed == 1.0
    none = fit_agents(*draw(1, 0, 0, 0, n=15_000)[0])
    assert speed_changes(base, none) == {}


@pytest.mark.filterwarnings("ignore::bposim.errors.CalibrationWarning")
def test_a_scenario_with_named_agents_is_calibrated_whole():
    """Speeds 0.8 to 1.3 come back, the law is that of the average contact's agent, the schedules stay."""
    speeds = {"n0": 0.8, "n1": 0.9, "n2": 1.0, "n3": 1.1, "n4": 1.3}
    shift = [{"start": "08:00", "end": "18:00"}]
    truth = bp.load_scenario(
        {
            "opening_hours": {"daily": "08:00-18:00"},
            "start": "2026-03-02",
            "days": 20,
            "contact_types": {
                "a": {
                    "arrivals": {"rate": "60/h"},
                    "handle_time": {"exponential": {"mean": "200s"}},
                    "patience": {"exponential": {"mean": "200s"}},
                }
            },
            "agent_groups": {
                "g": {"skills": ["a"], "agents": {n: {"speed": s, "schedule": shift} for n, s in speeds.items()}}
            },
        }
    )
    log = bp.simulate(truth, replications=1, seed=1).contacts()
    name = "n" + log["agent"].fillna(0).astype(int).astype(str)
    log = log.assign(agent=name.where(log["agent"].notna()))
    history = bp.History.from_contacts(log.drop(columns="replication"), tz="UTC")
    changes = {"agent_groups.g.agents": {n: {"schedule": shift} for n in speeds}}
    changes["contact_types.a.handle_time"] = {"exponential": {"mean": "60s"}}
    cal = bp.calibrate(truth.replace(changes), history)
    fitted = cal.scenario.agent_groups["g"].agents
    weight = cal.agents.set_index("agent")["contacts"]
    average = np.exp(np.average([np.log(speeds[n]) for n in weight.index], weights=weight))
    for n, s in speeds.items():
        assert fitted[n].speed == pytest.approx(s / average, rel=0.1)
        assert fitted[n].schedule == truth.agent_groups["g"].agents[n].schedule
    assert cal.scenario.contact_types["a"].handle_time[0].mean == pytest.approx(200 * average, rel=0.05)
