"""What a fitted scenario keeps from its base is told; what came with the contacts is not made again; a summary prints whole."""

from __future__ import annotations

import warnings
from datetime import date

import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.heads import unknown_groups
from bposim.calibrate.kept import kept_estimates, warn_once, without_counted_twice
from bposim.calibrate.replay import replay_world
from bposim.errors import CalibrationWarning


def world(**changes):
    kind = {
        "arrivals": {"rate": "40/h"},
        "handle_time": {"exponential": {"mean": "200s"}},
        "patience": {"exponential": {"mean": "90s"}},
    }
    spec = {
        "name": "two", "time_zone": "Europe/Berlin", "start": "2026-03-02", "days": 14, "interval": "30min",
        "opening_hours": {d: "09:00-17:00" for d in ("mon", "tue", "wed", "thu", "fri")},
        "contact_types": {"a": kind, "b": kind},
        "agent_groups": {"g": {"skills": ["a", "b"], "heads": 5, "cost_per_hour": 20}},
    }  # fmt: skip
    return bp.load_scenario(spec).replace(changes)


KEEP = ["contact_type", "arrived", "answered", "ended", "outcome", "agent", "agent_group"]
MECHANICS = {
    "contact_types.a.transfers": [{"to": "b", "probability": 0.2}],
    "contact_types.a.balking": [{"queue": 2, "probability": 0.3}],
    "contact_types.b.credit": "30s",
    "contact_types.b.after_contact_work": {"exponential": {"mean": "15s"}},
}


def found(rows):
    assert all(e.source == "assumed" and "kept from the base" in e.detail for e in rows)
    return {(e.parameter, e.subject): e.value for e in rows}


def test_what_no_estimator_touched_is_told_as_assumed():
    rows, notes = kept_estimates(world(**MECHANICS))
    assert found(rows) == {
        ("balking", "a"): 0.3,
        ("transfers", "a to b"): 0.2,
        ("credit", "b"): 30.0,
        ("after-contact work", "b"): 15.0,
    }
    assert "arrivals of 'b' too" in notes[0]
    path = {"contact_types.b.credit": "10s"}
    rows, _ = kept_estimates(world(**MECHANICS), told=["a"], credits=path, work_known=True)
    assert set(found(rows)) == {("transfers", "a to b")}


def test_an_agent_who_is_not_in_the_log_keeps_the_speed_and_it_is_told():
    shift = [{"start": "09:00", "end": "17:00"}]
    named = {a: {"speed": v, "schedule": shift} for a, v in {"x": 1.2, "y": 0.9, "z": 1.0}.items()}
    base = world(**{"agent_groups.g": {"skills": ["a", "b"], "agents": named, "cost_per_hour": 20}})
    rows, _ = kept_estimates(base, speeds=["y"])
    assert found(rows) == {("speed", "x, g"): 1.2}
    assert "no contact of the history" in rows[0].detail and rows[0].n == 0
    rows, _ = kept_estimates(base, speeds=["y"], answered={"x": 7})
    assert "only 7 contacts" in rows[0].detail and rows[0].n == 7


@pytest.mark.parametrize(("agents", "why"), [("xyz", "3 agents on 15 days"), ("xyzuvw", "do not clearly differ")])
def test_a_speed_kept_where_no_spread_was_estimated_says_so_and_of_how_many_contacts(agents, why):
    spec = {a: {"speed": 1.2 if a == "x" else 1.0} for a in agents}
    truth = world(**{"agent_groups.g.heads": 6, "days": 20})
    log = bp.simulate(truth, replications=1, seed=3, progress=False).contacts()
    served = log["agent"].notna()
    log["agent"] = log["agent"].astype(object)
    log.loc[served, "agent"] = [agents[k % len(agents)] for k in range(int(served.sum()))]
    past = bp.History.from_contacts(log[[c for c in KEEP if c in log]], tz=truth.time_zone)
    shift = [{"start": "09:00", "end": "17:00"}]
    named = {a: {**body, "schedule": shift} for a, body in spec.items()}
    base = truth.replace({"agent_groups.g": {"skills": ["a", "b"], "agents": named, "cost_per_hour": 20}})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        table = bp.calibrate(base, past).summary().set_index(["parameter", "subject"])
    row = table.loc[("speed", "x, g")]
    assert why in row["detail"] and "no speed was estimated" in row["detail"]
    assert row["n"] == (past.contacts["agent"].astype(str) == "x").sum() > 500


def test_balking_is_not_counted_beside_a_patience_that_holds_it():
    base = world(**MECHANICS)
    changes, notes = without_counted_twice(base, patience=["a"], deterred=[])
    assert not base.replace(changes).contact_types["a"].balking
    assert "patience already" in notes[0]
    assert without_counted_twice(base, patience=["a"], deterred=["a"]) == ({}, [])
    assert without_counted_twice(base, patience=[], deterred=[]) == ({}, [])


def test_a_replay_does_not_transfer_what_came_as_a_transfer():
    own, fine = replay_world(world(**MECHANICS), date(2026, 3, 2), 5, [])
    assert not own.contact_types["a"].transfers and not fine.contact_types["a"].transfers
    runs = bp.simulate(own, replications=1, seed=1, progress=False)
    kept = bp.simulate(world(**MECHANICS), replications=1, seed=1, progress=False)
    assert not (runs.contacts()["origin"] == "transfer").any()
    assert (kept.contacts()["origin"] == "transfer").any()


def history(scenario):
    log = bp.simulate(scenario, replications=1, seed=3, progress=False).contacts()
    return bp.History.from_contacts(log[[c for c in KEEP if c in log]], tz=scenario.time_zone)


def test_calibrate_tells_each_fact_once_and_keeps_balking_out():
    past = history(world())
    redial = {"after_abandonment": 0.2, "delay": {"exponential": {"mean": "10min"}}}
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        cal = bp.calibrate(world(**MECHANICS, **{"contact_types.a.redial": redial}), past)
    (told,) = [str(w.message) for w in seen if issubclass(w.category, CalibrationWarning)]
    assert told.startswith("Assumed, for the history does not tell: redial of 'a'")
    assert len(set(cal.notes)) == len(cal.notes)
    assert not cal.scenario.contact_types["a"].balking
    table = cal.summary().set_index(["parameter", "subject"])
    assert table.loc[("transfers", "a to b"), "source"] == "assumed"
    assert any("transfers of a to b" in a for a in cal.scenario.assumptions)


def test_a_summary_prints_whole():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        table = bp.calibrate(world(), history(world())).summary()
    text, page = str(table), table._repr_html_()
    assert "…" not in text and "..." not in text
    for word in ("parameter", "95 % interval", "source"):
        assert word in text
    flat = " ".join(text.split())
    for e in table.itertuples():
        assert e.parameter in text
        assert " ".join(e.detail.split()) in flat or not e.detail
    assert all(d.split(";")[0][:40].replace("<", "&lt;") in page for d in table["detail"])
    assert type(table.set_index("parameter")) is pd.DataFrame


def test_one_warning_names_what_was_assumed_and_what_is_in_doubt():
    with pytest.warns(CalibrationWarning) as seen:
        warn_once(["mean patience of 'a'", "mean patience of 'a'"], ["patience of 'b'"], 1)
    assert [str(w.message) for w in seen] == [
        "Assumed, for the history does not tell: mean patience of 'a'; in doubt: patience of 'b'. Why stands in the calibration's notes and summary."
    ]


def test_groups_that_the_scenario_lacks_are_told():
    log = pd.DataFrame({
        "outcome": "answered", "agent_group": ["g", "h", "h", "k"], "agent": ["x", "y", "z", "w"],
    })  # fmt: skip
    (note,) = unknown_groups(log, world())
    assert "3 of 4 answered contacts" in note
    assert "'h' (2 agents, 2 answered contacts), 'k' (1 agent, 1 answered contact)" in note
    assert "draft_scenario" in note
    assert unknown_groups(log.iloc[:1], world()) == []
    assert unknown_groups(log.iloc[1:], world()) == []  # nobody known: told elsewhere
