"""Reading, refusing, changing and writing scenarios."""

from __future__ import annotations

import re
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

import bposim as bp
from bposim.errors import ParameterError, ScenarioError
from bposim.scenario.fields import parse_hours
from bposim.testing import random_scenario

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "scenarios").glob("*.yaml"))

GOOD = """\
schema: bposim/scenario/1
name: small
time_zone: Europe/Berlin
start: 2026-06-01
days: 7
opening_hours: {mon-fri: "08:00-12:00", sat: "09:00-10:30"}
contact_types:
  billing:
    arrivals: {rate: 60/h}
    handle_time: {exponential: {mean: 3min}}
    patience: {exponential: {mean: 2min}}
  sales:
    arrivals: {rate: 10/h}
    handle_time: {lognormal: {mean: 200s, cv: 0.8}}
agent_groups:
  tellers: {skills: [billing], heads: 4, cost_per_hour: 10}
  sellers: {skills: {sales: 1.0, billing: 1.2}, heads: 2, shrinkage: 0.3}
routing: {preference: {billing: [tellers, sellers]}}
shifts:
  day: {start: ["08:00", "08:00"], paid: 4h, days: mon-fri}
targets:
  - service_level: {share: 0.80, within: 20s}
"""


def problems_of(text):
    with pytest.raises(ScenarioError) as caught:
        bp.load_scenario(text)
    return caught.value.problems


def line_of(text, part):
    return next(k for k, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.fixture
def good():
    return bp.load_scenario(GOOD)


# Everything wrong at once --------------------------------------------------------------------------------------------

WRONG = {
    # wrong piece: (good piece, what the message must say, text that marks the line)
    "  billing:\n    channel: voise\n": ("  billing:\n", "channel", "channel: voise"),
    "handle_time: {exponential: {mean: 180}}": (
        "handle_time: {exponential: {mean: 3min}}",
        'Write "180s"',
        "mean: 180",
    ),
    "patience: {exponental: {mean: 2min}}": ("patience: {exponential: {mean: 2min}}", "'exponential'", "exponental"),
    "arrivals: {rate: ten}": ("arrivals: {rate: 10/h}", "is no rate", "rate: ten"),
    "skills: [biling]": ("skills: [billing]", "Did you mean 'billing'", "[biling]"),
    "shrinkage: 1.3": ("shrinkage: 0.3", "between 0 and 1", "shrinkage: 1.3"),
    "[tellers, seller]": ("[tellers, sellers]", "Did you mean 'sellers'", "[tellers, seller]"),
    "paid: 0h": ("paid: 4h", "paid must be longer than 0", "day:"),
    "share: 80,": ("share: 0.80,", 'Write 0.8 or "80%"', "targets:"),
    "tim_zone:": ("time_zone:", "Did you mean 'time_zone'", "tim_zone"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: w.strip().splitlines()[-1].strip())
def test_one_fault_one_sentence_with_its_line(wrong):
    right, said, mark = WRONG[wrong]
    text = GOOD.replace(right, wrong, 1)
    assert text != GOOD
    found = [p for p in problems_of(text) if said in p]
    assert len(found) == 1, problems_of(text)
    assert found[0].endswith(f"(scenario text:{line_of(text, mark)})")


def test_all_faults_are_reported_at_once():
    text = GOOD
    for wrong, (right, _, _) in WRONG.items():
        text = text.replace(right, wrong, 1)
    found = problems_of(text)
    for wrong, (_, said, mark) in WRONG.items():
        hits = [p for p in found if said in p and f":{line_of(text, mark)})" in p]
        assert hits, f"{wrong!r} is not among:\n" + "\n".join(found)
    assert len(found) == len(set(found))


def test_file_name_and_line_are_told(tmp_path):
    path = tmp_path / "acme.yaml"
    path.write_text(GOOD.replace("heads: 4", "heads: -4"))
    (said,) = problems_of(path)
    assert said.endswith(f"({path}:{line_of(GOOD, 'heads: 4')})")
    assert "at least 0" in said
    assert "-4" in said


def test_nearest_key_at_every_depth():
    text = (
        GOOD.replace("cost_per_hour", "cost_per_our")
        .replace("    patience:", "    pacience:")
        .replace("paid: 4h", "payd: 4h")
    )
    found = "\n".join(problems_of(text))
    for near in ("'cost_per_hour'", "'patience'", "'paid'"):
        assert f"Did you mean {near}" in found


def test_forgotten_keys_are_named():
    found = problems_of("name: x\nagent_groups: {g: {skills: [a], heads: 1}}\n")
    assert any("contact_types is missing" in p for p in found)


def test_a_type_that_nobody_answers():
    (said,) = problems_of(GOOD.replace("skills: {sales: 1.0, billing: 1.2}", "skills: {billing: 1.2}"))
    assert "'sales' is a skill of no agent group" in said


@pytest.mark.parametrize("level", ["80", "1.01", '"120%"', "-0.1"])
def test_target_beyond_100_percent(level):
    (said,) = problems_of(GOOD.replace("share: 0.80", f"share: {level}"))
    assert "between 0 and 1" in said


def test_shift_that_can_never_start():
    (said,) = problems_of(GOOD.replace('["08:00", "08:00"]', '["13:00", "15:00"]'))
    assert "shift 'day' can never start" in said
    assert "mon-fri 08:00-12:00" in said
    (said,) = problems_of(GOOD.replace("paid: 4h, days: mon-fri", "paid: 4h, days: sun"))
    assert "can never start" in said
    # A shift that begins on Friday evening and reaches Saturday's hours is possible.
    night = GOOD.replace('["08:00", "08:00"], paid: 4h, days: mon-fri', '["22:00", "23:00"], paid: 11h, days: fri')
    assert bp.load_scenario(night).shifts["day"].paid == 11 * 3600


def test_lists_must_fit_the_open_intervals():
    for piece, wrong, what in (
        (
            "heads: 4",
            "heads: [4, 5, 6]",
            "heads of agent group 'tellers' has 3 values; mon has 8 open intervals of 30min",
        ),
        ("{rate: 60/h}", "{per_interval: [1, 2]}", "arrivals.per_interval of 'billing' has 2 values"),
        ("{rate: 60/h}", "{per_interval: {mon-fri: 3}}", "says nothing for sat, an open day"),
    ):
        found = problems_of(GOOD.replace(piece, wrong))
        assert any(what in p for p in found), found
    fitting = GOOD.replace("heads: 4", "heads: {mon-fri: [1, 2, 3, 4, 5, 6, 7, 8], sat: [1, 2, 3]}")
    heads = bp.load_scenario(fitting).scheduled_heads("tellers")
    assert heads.tolist() == list(range(1, 9)) * 5 + [1, 2, 3]


def test_duplicate_keys_and_documents():
    found = problems_of(GOOD + "name: again\n---\nname: other\n")
    assert any("'name' stands twice" in p for p in found)
    assert any("2 YAML documents" in p for p in found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [1, 2\nb: 3", "no YAML"),
        ("- a\n- b\n", "mapping of keys"),
        ("\n\n", "empty"),
        ("# only\n# words\n", "empty"),
    ],
)
def test_form_of_the_file(text, said):
    with pytest.raises(ScenarioError, match=said):
        bp.load_scenario(text)


def test_missing_file_folder_and_encoding(tmp_path):
    (tmp_path / "there.yaml").write_text(GOOD)
    with pytest.raises(ScenarioError, match=r"does not exist.*there\.yaml"):
        bp.load_scenario(tmp_path / "their.yaml")
    with pytest.raises(ScenarioError, match="is a folder"):
        bp.load_scenario(tmp_path)
    (tmp_path / "latin.yaml").write_bytes(GOOD.replace("small", "büro").encode("latin-1"))
    with pytest.raises(ScenarioError, match="not UTF-8"):
        bp.load_scenario(str(tmp_path / "latin.yaml"))


def test_zone_interval_and_hours():
    found = problems_of(GOOD.replace("Europe/Berlin", "Europe/Berlyn").replace("days: 7", "days: 7\ninterval: 7min"))
    assert any("Did you mean 'Europe/Berlin'" in p for p in found)
    assert any("divide a day" in p for p in found)
    assert any(
        "never opens" in p
        for p in problems_of(GOOD.replace('{mon-fri: "08:00-12:00", sat: "09:00-10:30"}', "{mon: closed}"))
    )


# extends -------------------------------------------------------------------------------------------------------------


def test_extends_lays_one_file_over_another(tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD)
    (tmp_path / "more.yaml").write_text(
        "extends: base.yaml\nname: more\nshifts: null\n"
        "contact_types: {billing: {arrivals: {per_interval: 7}, patience: {gamma: {mean: 9s, cv: 1}}}}\n"
    )
    (tmp_path / "most.yaml").write_text("extends: more.yaml\nagent_groups: {tellers: {heads: 9}}\n")
    scenario = bp.load_scenario(tmp_path / "most.yaml")
    assert scenario.name == "more"
    assert scenario.shifts == {}
    assert scenario.contact_types["billing"].arrivals.per_interval[0] == (7.0,)
    assert scenario.contact_types["billing"].patience[0].mean == 9
    assert scenario.contact_types["billing"].handle_time[0].mean == 180
    assert scenario.scheduled_heads("tellers").max() == 9


def test_extends_in_a_circle(tmp_path):
    (tmp_path / "a.yaml").write_text("extends: b.yaml\n")
    (tmp_path / "b.yaml").write_text("extends: c.yaml\n")
    (tmp_path / "c.yaml").write_text("extends: a.yaml\n")
    with pytest.raises(ScenarioError, match=r"a\.yaml -> b\.yaml -> c\.yaml -> a\.yaml"):
        bp.load_scenario(tmp_path / "a.yaml")
    (tmp_path / "self.yaml").write_text("extends: self.yaml\n")
    with pytest.raises(ScenarioError, match="extends itself"):
        bp.load_scenario(tmp_path / "self.yaml")
    (tmp_path / "lost.yaml").write_text("extends: nowhere.yaml\n")
    with pytest.raises(ScenarioError, match=r"nowhere\.yaml' does not exist"):
        bp.load_scenario(tmp_path / "lost.yaml")


def test_a_fault_below_is_shown_in_its_own_file(tmp_path):
    (tmp_path / "base.yaml").write_text(GOOD.replace("heads: 4", "heads: -1"))
    (tmp_path / "top.yaml").write_text("extends: base.yaml\n\nname: 7up\ndays: 0\n")
    found = problems_of(tmp_path / "top.yaml")
    assert any(p.endswith(f"base.yaml:{line_of(GOOD, 'heads: 4')})") for p in found)
    assert any(p.endswith("top.yaml:4)") for p in found)


def test_profile_is_read_beside_the_file_that_names_it(tmp_path):
    (tmp_path / "below").mkdir()
    rows = [
        f"{d},{h:02d}:{m:02d},{k + 1}"
        for d in ("mon", "tue", "wed", "thu", "fri")
        for k, (h, m) in enumerate((h, m) for h in range(8, 12) for m in (0, 30))
    ]
    rows += ["sat,09:00,1", "sat,09:30,2", "sat,10:00,3"]
    (tmp_path / "below" / "mix.csv").write_text("weekday,interval,contacts\n" + "\n".join(rows))
    (tmp_path / "below" / "base.yaml").write_text(GOOD.replace("{rate: 60/h}", "{profile: mix.csv}"))
    (tmp_path / "top.yaml").write_text("extends: below/base.yaml\nname: top\n")
    for path in (tmp_path / "below" / "base.yaml", tmp_path / "top.yaml"):
        expected = bp.load_scenario(path).expected_contacts("billing")
        assert expected.tolist() == list(range(1, 9)) * 5 + [1, 2, 3]
    (tmp_path / "below" / "mix.csv").write_text("weekday,contacts\nmon,1\n")
    with pytest.raises(ScenarioError, match=r"has no column interval.*base\.yaml:9"):
        bp.load_scenario(tmp_path / "below" / "base.yaml")


# Times ---------------------------------------------------------------------------------------------------------------


def test_unquoted_times_are_base_60_and_read_all_the_same():
    assert yaml.safe_load("a: 10:30")["a"] == 630
    text = GOOD.replace('["08:00", "08:00"]', "[10:30, 11:00]").replace('"08:00-12:00"', "[[10:00, 12:00]]")
    scenario = bp.load_scenario(text)
    assert scenario.shifts["day"].start == (630, 660)
    assert scenario.opening_hours[0] == ((600, 720),)


def test_hours_past_midnight_and_overlaps():
    spans = parse_hours({"fri": "22:00-02:00", "sat": ["08:00-09:00"]})
    assert spans[4] == ((1320, 1440),)
    assert spans[5] == ((0, 120), (480, 540))
    assert spans[6] == ()
    for wrong in (
        {"mon": ["08:00-10:00", "09:00-11:00"]},
        {"mon": "08:00"},
        {"mon": "08:00-08:00"},
        {"moon": "08:00-09:00"},
        "always",
    ):
        with pytest.raises(ValueError, match=r"opening_hours|overlap"):
            parse_hours(wrong)


@pytest.mark.parametrize(("start", "intervals"), [("2026-03-29", 46), ("2026-10-25", 50), ("2026-06-07", 48)])
def test_days_with_clock_changes(start, intervals):
    text = (
        GOOD.replace("2026-06-01", start)
        .replace("days: 7", "days: 1")
        .replace('{mon-fri: "08:00-12:00", sat: "09:00-10:30"}', '{daily: "00:00-24:00"}')
    )
    scenario = bp.load_scenario(text)
    assert len(scenario.grid) == intervals
    assert scenario.expected_contacts("billing").sum() == 30 * intervals


def test_opening_hours_of_a_type():
    text = GOOD.replace(
        "    arrivals: {rate: 10/h}", '    opening_hours: {mon-fri: "09:00-10:00"}\n    arrivals: {rate: 10/h}'
    )
    expected = bp.load_scenario(text).expected_contacts("sales")
    assert expected.tolist() == ([0, 0, 5, 5, 0, 0, 0, 0] * 5) + [0, 0, 0]
    found = problems_of(text.replace("09:00-10:00", "07:00-10:00"))
    assert len(found) == 5
    assert all("lie outside the scenario's" in p for p in found)


# Writing, changing, comparing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_yaml_round_trip_of_the_catalogue(path, tmp_path):
    scenario = bp.load_scenario(path)
    again = bp.load_scenario(scenario.to_yaml())
    assert again == scenario
    assert again.model_dump() == scenario.model_dump(), "equality is of what is written: nothing may be left out of it"
    assert again.hash == scenario.hash
    assert again.to_yaml() == scenario.to_yaml()
    assert scenario.diff(again).empty
    scenario.to_yaml(tmp_path / "copy.yaml")
    assert bp.load_scenario(tmp_path / "copy.yaml") == scenario
    assert np.array_equal(again.grid.start_ms, scenario.grid.start_ms)
    for t in scenario.contact_types:
        assert np.array_equal(again.expected_contacts(t), scenario.expected_contacts(t))


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32 - 1))
def test_yaml_round_trip_of_any_scenario(seed):
    scenario = random_scenario(np.random.default_rng(seed))
    again = bp.load_scenario(scenario.to_yaml())
    assert again == scenario
    assert again.model_dump() == scenario.model_dump(), "equality is of what is written: nothing may be left out of it"
    assert again.hash == scenario.hash
    for g in scenario.agent_groups:
        assert np.array_equal(again.scheduled_heads(g), scenario.scheduled_heads(g))
        assert list(again.agent_groups[g].skills.items()) == list(scenario.agent_groups[g].skills.items()), (
            "order is meaning"
        )
    assert list(again.contact_types) == list(scenario.contact_types)


TARGETS = [
    bp.ServiceLevel("80%", within="20s"),
    bp.ServiceLevel(0.8, within="20s", counting="excl_short", short="5s", window="day", strict=True),
    bp.ServiceLevel(0.9, within="1min", aggregation="share_of_intervals", pass_level=0.8, window="week"),
    bp.AtMost("abandonment", "5%"),
    bp.AtMost("asa", "30s", window="day", contact_type="billing"),
    bp.AtMost("mean_excess", "5s", within="20s"),
    bp.AtMost("occupancy", 0.85, window="all"),
    bp.Turnaround("95%", within="24h", contact_type="sales"),
]


@pytest.mark.parametrize("target", TARGETS, ids=str)
def test_targets_round_trip(good, target):
    spec = yaml.safe_load(good.to_yaml()) | {"targets": [target.to_spec()]}
    found = bp.load_scenario(yaml.safe_dump(spec)).targets
    assert found == (target,)
    assert bp.load_scenario(bp.load_scenario(spec).to_yaml()).targets == (target,)


def test_targets_say_everything_wrong_at_once():
    with pytest.raises(ParameterError) as caught:
        bp.ServiceLevel(80, within=20, counting="some", window="year", aggregation="share_of_days")
    assert len(caught.value.problems) == 5
    with pytest.raises(ParameterError, match="no metric"):
        bp.AtMost("happiness", 0.5)
    with pytest.raises(ParameterError, match="short-abandon limit"):
        bp.ServiceLevel(0.8, within="20s", counting="excl_short")


def test_missing_values_do_not_meet_a_target():
    for target in TARGETS:
        assert not target.met(float("nan"))
        assert target.met(target.level), "the level itself is reached"


def test_replace_gives_a_checked_copy(good):
    more = good.replace(agent_groups__tellers__heads=9, days=3)
    assert more.scheduled_heads("tellers").tolist() == [9.0] * 24
    assert good.days == 7
    assert good.scheduled_heads("tellers").max() == 4
    dotted = good.replace({"contact_types.billing.priority": 2, "shifts": None})
    assert dotted.contact_types["billing"].priority == 2
    assert dotted.shifts == {}
    assert good.replace() == good
    with pytest.raises(ScenarioError, match="Did you mean 'time_zone'"):
        good.replace(tim_zone="UTC")
    with pytest.raises(ScenarioError, match=r"unknown key 'contact_types\.billing\.priorty'"):
        good.replace({"contact_types.billing.priorty": 2})
    with pytest.raises(ScenarioError, match="start"):
        good.replace(start="soon")
    assert good.replace(start=date(2026, 6, 8)).start == date(2026, 6, 8)


def test_diff_lists_what_differs(good):
    other = good.replace(
        {"contact_types.billing.patience": {"exponential": {"mean": "3min"}}, "days": 8, "currency": "USD"}
    )
    table = good.diff(other)
    assert list(table.columns) == ["path", "this", "other"]
    assert set(table["path"]) == {"contact_types.billing.patience.exponential.mean", "days", "currency"}
    assert table.set_index("path").loc["days", ["this", "other"]].tolist() == [7, 8]
    assert good.diff(good).empty
    assert good.hash != other.hash
    assert good != other


def test_with_staffing_takes_frames_and_mappings(good):
    n = len(good.grid)
    rng = np.random.default_rng(3)
    heads = {"tellers": rng.integers(0, 9, n), "sellers": 2}
    staffed = good.with_staffing(heads)
    assert staffed.scheduled_heads("tellers").tolist() == heads["tellers"].tolist()
    assert staffed.scheduled_heads("sellers").tolist() == [2] * n
    again = good.with_staffing(staffed.staffing_frame().sample(frac=1, random_state=1))
    assert again == staffed
    assert bp.load_scenario(staffed.to_yaml()) == staffed
    assert good.staffing is None
    assert staffed.replace(currency="USD").scheduled_heads("tellers").tolist() == heads["tellers"].tolist()
    assert staffed.replace(days=3).staffing is None, "a plan for another horizon does not carry over"
    assert staffed.replace(staffing=None).scheduled_heads("tellers").max() == 4


def test_with_staffing_refuses_what_does_not_fit(good):
    with pytest.raises(ScenarioError) as caught:
        good.with_staffing({"tellers": [1, 2], "selers": 3, "sellers": -1})
    found = "\n".join(caught.value.problems)
    assert "has 2 values; the horizon has 43 open intervals" in found
    assert "Did you mean 'sellers'" in found
    assert "at least 0" in found
    frame = good.staffing_frame()
    with pytest.raises(ScenarioError, match="outside the scenario's open intervals"):
        good.with_staffing(frame.assign(interval_start=frame["interval_start"] + pd.Timedelta(minutes=7)))
    with pytest.raises(ScenarioError, match="without a zone"):
        good.with_staffing(frame.assign(interval_start=frame["interval_start"].dt.tz_localize(None)))
    with pytest.raises(ScenarioError, match="no column 'heads'"):
        good.with_staffing(frame.drop(columns="heads"))
    with pytest.raises(ScenarioError, match="must be a frame"):
        good.with_staffing(7)


def test_staffing_for_a_part_of_the_horizon_is_refused(good):
    frame = good.staffing_frame()
    last = good.grid.starts[-5:]
    with pytest.raises(ScenarioError, match=r"no row for any group in 5 of 43 open intervals \(first .*closed="):
        good.with_staffing(frame[~frame["interval_start"].isin(last)])
    # A group may be left out where another has a row: nobody of it works.
    gone = frame["interval_start"].isin(last) & (frame["agent_group"] == "sellers")
    staffed = good.with_staffing(frame[~gone])
    assert staffed.scheduled_heads("sellers")[-5:].tolist() == [0] * 5
    assert staffed.scheduled_heads("tellers").tolist() == good.scheduled_heads("tellers").tolist()
    one = good.with_staffing(frame[frame["agent_group"] == "tellers"])
    assert one.scheduled_heads("sellers").sum() == 0
    with pytest.raises(ScenarioError, match="staffing holds no rows: an infeasible plan has none"):
        good.with_staffing(frame[:0])
    with pytest.raises(ScenarioError, match="names no agent group"):
        good.with_staffing({})


BAD_TARGETS = [
    ({"metric": "speed"}, "metric"),
    ({"level": 80}, "level"),
    ({"level": -0.1}, "level"),
    ({"level": float("nan")}, "level"),
    ({"within_s": None}, "within_s"),
    ({"within_s": -1}, "within_s"),
    ({"counting": "excl_everything"}, "counting"),
    ({"counting": "excl_short"}, "short_s"),
    ({"window": "fortnight"}, "window"),
    ({"aggregation": "median"}, "aggregation"),
    ({"aggregation": "share_of_days"}, "pass_level"),
    ({"aggregation": "share_of_days", "pass_level": 80}, "pass_level"),
    ({"aggregation": "share_of_days", "pass_level": 0.8, "sense": "<="}, "sense"),
    ({"sense": ">"}, "sense"),
    ({"contact_typ": "a"}, "contact_typ"),
    ({"metric": "asa", "level": float("inf"), "sense": "<="}, "level"),
]


@pytest.mark.parametrize(("changes", "name"), BAD_TARGETS, ids=str)
def test_a_target_is_checked_however_it_is_made(changes, name):
    good = bp.ServiceLevel(0.8, within="20s")
    assert good.replace(level=0.9) == bp.ServiceLevel(0.9, within="20s")
    with pytest.raises(bp.errors.ParameterError, match=name):
        good.replace(**changes)
    with pytest.raises(bp.errors.ParameterError, match=name):
        bp.Target(**(good.model_dump() | changes))
    with pytest.raises(ValueError, match=name):
        bp.Target.model_validate(good.model_dump() | changes)


def test_a_targets_problems_come_all_at_once():
    with pytest.raises(bp.errors.ParameterError) as caught:
        bp.Target(metric="service_level", level=80, sense=">=", window="fortnight")
    assert len(caught.value.problems) == 3
    with pytest.raises(bp.errors.ParameterError, match="needs level"):
        bp.Target(metric="asa", sense="<=")


def test_frozen_and_the_error_tells_how(good):
    with pytest.raises(AttributeError, match=r"frozen.*scenario\.replace\(days="):
        good.days = 3
    with pytest.raises((ValueError, TypeError, AttributeError), match="frozen"):
        good.contact_types["billing"].priority = 3
    with pytest.raises((ValueError, TypeError, AttributeError), match="frozen"):
        good.targets[0].level = 0.1
    before = good.hash
    assert hash(good) == hash(bp.load_scenario(GOOD))
    assert {good: 1}[bp.load_scenario(GOOD)] == 1
    assert good.hash == before


def test_the_callers_mapping_is_not_modified(tmp_path):
    spec = yaml.safe_load(GOOD)
    copy = yaml.safe_load(GOOD)
    bp.load_scenario(spec)
    assert spec == copy
    scenario = bp.load_scenario(spec)
    spec["contact_types"]["billing"]["priority"] = 9
    assert scenario.contact_types["billing"].priority == 1


def test_describe_shows_the_model_before_it_runs(good):
    said = good.describe()
    row = said.types.set_index("contact_type").loc["billing"]
    assert row["contacts"] == pytest.approx(60 * (5 * 4 + 1.5))
    assert row["workload_peak_erlangs"] == pytest.approx(3)
    group = said.groups.set_index("agent_group").loc["tellers"]
    assert (group["agent_hours"], group["cost"]) == (pytest.approx(86), pytest.approx(860))
    assert said.load["heads"].iloc[0] == pytest.approx(4 + 2 * 0.7)
    assert "Target: 80 % answered within 20s per month" in str(said)
    assert "more work than their agents can do" in str(good.replace(agent_groups__tellers__heads=0).describe())
    assert re.search(r"<table", said._repr_html_())


def test_describe_says_the_mechanics_in_use():
    said = {
        n: str(bp.load_scenario(ROOT / "scenarios" / f"{n}.yaml").describe())
        for n in ("two_sites", "chat", "bank_callbacks")
    }
    for name, lines in {
        "two_sites": (
            "after-contact work 40s, after a talk of 200s",
            "absence 6 % of the agents a day, correlation 0.03",
            "break 10:30, 15min for 50 % of the agents",
            "Site madrid: Europe/Madrid, closed on 2026-03-31",
            "open mon-fri 06:00-14:00; sat-sun closed, outage every 21d on average for 1.5h, 60 % of the agents away",
            "  support overflows to bogota after 20s of waiting",
        ),
        "chat": (
            "does not join the queue (balks): 30 % from 5 waiting, 70 % from 10 waiting",
            "at most 15 wait, further ones are blocked",
            "up to 3 contacts at once (1 in hand at 1, 2 in hand at 0.8, 3 in hand at 0.62 of its speed each)",
            "adherence 97 % in each interval",
        ),
        "bank_callbacks": (
            "tries again (50 % after abandonment, 80 % after blocking), 20min later on average, at most 4 times",
            "call-back offered where the expected wait is 2min or more; 40 % accept, becoming call_back",
            "8 % transferred to advice (warm, 30s of handover)",
            "counts as having waited 90s longer than it has",
            "also takes call-backs of regular",
            "also takes transfers of regular, transfers of premier",
            "takes premier only while more than 1 of its agents are free",
            "36 lines for live contacts",
        ),
    }.items():
        missing = [line for line in lines if line not in said[name]]
        assert not missing, said[name]


def test_describe_says_nothing_of_what_is_not_in_use():
    said = str(bp.load_scenario(ROOT / "scenarios" / "inbound_voice.yaml").describe())
    assert not re.search(
        "after-contact|balks|again|call-back|transfer|absence|adherence|break|site|outage|Routing|at once", said
    )


def test_describe_counts_after_contact_work_and_several_contacts_at_once(good):
    longer = good.replace(contact_types__billing__after_contact_work={"deterministic": {"value": "60s"}}).describe()
    row = longer.types.set_index("contact_type").loc["billing"]
    assert (row["handle_time_s"], row["workload_peak_erlangs"]) == (pytest.approx(240), pytest.approx(4))
    tight = good.replace(agent_groups__tellers__heads=2)
    assert "more work than their agents can do" in str(tight.describe())
    many = tight.replace(agent_groups__tellers__concurrency={"contacts": 2, "pace": [1.0, 0.9]})
    assert "more work than their agents can do" not in str(many.describe())
    away = many.replace(agent_groups__tellers__absence=0.9)
    assert "more work than their agents can do" in str(away.describe())


def test_describe_names_agents_and_their_shifts():
    body = {
        "schedule": {
            "days": "mon-fri",
            "start": "08:00",
            "end": "12:00",
            "breaks": [{"at": "10:00", "length": "15min"}],
        }
    }
    group = {"skills": ["billing", "sales"], "agents": {f"a{k}": body | {"speed": 0.9 + k / 10} for k in range(6)}}
    spec = yaml.safe_load(GOOD) | {"agent_groups": {"tellers": group}, "routing": {}, "shifts": {}}
    said = str(bp.load_scenario(spec).describe())
    assert "6 named agents (a0, a1, a2, a3 and 2 more), handle-time factors 0.9 to 1.4" in said
    assert "shift mon-fri 08:00-12:00, break 10:00, 15min" in said


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.stem)
def test_every_scenario_runs_alike_in_both_engines(path):
    scenario = bp.load_scenario(path)
    scenario = scenario.replace(days=min(scenario.days, 3))
    logs = [
        bp.simulate(scenario, replications=1, seed=4, engine=e, progress=False).contacts(0)
        for e in ("fast", "reference")
    ]
    pd.testing.assert_frame_equal(*logs)
    assert len(logs[0]) > 1000


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("two_sites", lambda log: (log["agent_group"] == "bogota").sum() > 100),
        ("chat", lambda log: (log["outcome"] == "abandoned").sum() > 50 and not (log["agent"] > 7).any()),
        ("bank_callbacks", lambda log: {"redial", "callback", "transfer"} <= set(log["origin"])),
    ],
)
def test_scenarios_use_the_mechanics_that_they_are_about(name, found):
    scenario = bp.load_scenario(ROOT / "scenarios" / f"{name}.yaml")
    assert found(bp.simulate(scenario, replications=1, seed=1, progress=False).contacts(0))
