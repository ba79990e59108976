"""The order of service is read off worlds whose rule is known: first come first served, credit, strict priority.

Bounds of counts have a false-fail probability below 1e-6 each (binomial tails).
"""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.calibrate.changes import change_points
from bposim.calibrate.routing import choices, credit_of, fit_order, order_changes
from bposim.calibrate.serving import group_agents
from bposim.errors import HistoryError

KIND = {"handle_time": {"exponential": {"mean": "200s"}}, "patience": {"exponential": {"mean": "240s"}}}


def world(changes=None, **more):
    """Two types, one pool of eight, so busy that half of the contacts wait."""
    spec = {
        "time_zone": "Europe/Berlin",
        "start": "2026-03-02",
        "days": 12,
        "opening_hours": {"mon-fri": "08:00-18:00"},
        "contact_types": {
            "a": {**KIND, "arrivals": {"rate": "60/h"}},
            "b": {**KIND, "arrivals": {"rate": "90/h"}},
        },
        "agent_groups": {"pool": {"skills": ["a", "b"], "heads": 8}},
        **more,
    }
    made = bp.load_scenario(spec)
    return made.replace(changes) if changes else made


def log_of(scenario, seed=1):
    return datasets.draw_history(scenario, seed=seed)


def pair(fit):
    return fit.pairs.iloc[-1]


def contacts(rows):
    """Contacts (type, arrived, wait, agent) in seconds; without an agent it hangs up."""
    frame = pd.DataFrame(rows, columns=["contact_type", "at", "wait_s", "agent"])
    arrived = pd.Timestamp("2026-06-01 08:00", tz="UTC") + pd.to_timedelta(frame["at"], unit="s")
    left = arrived + pd.to_timedelta(frame["wait_s"], unit="s")
    done = frame["agent"].notna()
    return frame.assign(
        arrived=arrived, answered=left.where(done), ended=left + pd.Timedelta(minutes=3), agent_group="g",
        outcome=np.where(done, "answered", "abandoned"), wait_s=frame["wait_s"].astype(float),
    )  # fmt: skip


# By hand -------------------------------------------------------------------------------------------------------------


def test_choices_by_hand():
    """At 100 s the agent takes a (came at 40) past b (came at 10); the b of 5 s has hung up, the one of 99.5 s is too new."""
    log = contacts(
        [("b", 5, 50, None), ("b", 10, 300, "x"), ("a", 40, 60, "x"), ("b", 99.5, 20, None), ("a", 70, 100, "y")]
    )
    found = choices(log, np.ones((5, 2), dtype=bool), ("a", "b"), 1000)
    first = found[found["at"] == found["at"].min()].set_index("other")
    assert first.loc[1, ["taken", "lead_s"]].tolist() == [0, 30], "the first b in line had waited 30 s longer"
    assert first.loc[0, "lead_s"] == -30, "and the other a 30 s less"
    only_a = choices(log, np.tile([True, False], (5, 1)), ("a", "b"), 1000)
    assert set(only_a["other"]) == {0}, "what the agent does not take was not passed over"


def test_the_first_in_line_outlives_those_behind():
    """The b of 0 s waits on while the b of 1 s hangs up at 51 s: it is the first in line at 100 s."""
    log = contacts([("b", 0, 500, "x"), ("b", 1, 50, None), ("a", 40, 60, "x")])
    found = choices(log, np.ones((3, 2), dtype=bool), ("a", "b"), 1000)
    assert found.loc[found["taken"] == 0, "lead_s"].tolist() == [40]


def test_credit_is_a_change_point():
    lead = np.array([*range(-20, 0), *range(1, 101)], dtype=float)
    found = credit_of(lead, lead < 61)
    assert found["rule"] == "credit"
    assert (found["credit_s"], found["share"], found["agreement"]) == (60.5, 1.0, 1.0)
    assert found["low"] <= 60 <= found["high"] <= 66
    assert credit_of(lead, lead < 0)["rule"] == "fifo"
    strict = credit_of(lead, np.ones(len(lead), dtype=bool))
    assert (strict["rule"], strict["low"]) == ("priority", 100), "a credit of more than 100 s would look the same"
    rng = np.random.default_rng(1)
    assert credit_of(lead, rng.random(120) < 0.5)["rule"] == "unclear"
    assert credit_of(lead[:40], lead[:40] < 0)["rule"] == "unclear", "20 choices are too few"


def test_credit_of_some_contacts_only():
    rng = np.random.default_rng(2)
    lead = rng.uniform(-200, 200, 4000)
    has = rng.random(4000) < 0.75
    found = credit_of(lead, lead < np.where(has, 90.0, 0.0))
    assert found["rule"] == "credit"
    assert found["low"] <= 90 <= found["high"]
    assert found["share"] == pytest.approx(0.75, abs=0.06)


def test_interval_of_the_credit_covers_and_chance_is_no_credit():
    """95 % intervals, conservative by Siegmund's bound: 170 or fewer of 200 have probability below 1e-6."""
    rng = np.random.default_rng(3)
    covered = false = 0
    for _ in range(200):
        lead = rng.uniform(-150, 150, 400)
        lapse = rng.random(400) < 0.1
        found = credit_of(lead, (lead < 45) ^ lapse)
        covered += found["rule"] == "credit" and found["low"] <= 45 <= found["high"]
        false += credit_of(lead, (lead < 0) ^ lapse)["rule"] != "fifo"
    assert covered > 170
    assert false < 8


# Simulated worlds ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credit", [25, 60])
def test_a_credit_comes_back_into_the_scenario(credit):
    truth = world({"contact_types.a.credit": f"{credit}s"})
    fit = fit_order(log_of(truth))
    assert (pair(fit)["rule"], pair(fit)["ahead"], pair(fit)["behind"]) == ("credit", "a", "b")
    assert pair(fit)["ci_low"] <= credit <= pair(fit)["ci_high"]
    assert pair(fit)["ci_high"] - pair(fit)["ci_low"] < 6
    assert pair(fit)["agreement"] > 0.99
    assert fit.changes == ()
    changes, told = order_changes(fit, world())
    made = world().replace(changes)
    assert made.contact_types["a"].credit == pytest.approx(credit, abs=3)
    assert made.contact_types["b"].credit == 0
    assert told == []


def test_a_type_that_was_not_compared_stands_in_the_middle_and_says_so():
    fit = fit_order(log_of(world({"contact_types.a.credit": "60s"})))
    rare = world(contact_types={t: {**KIND, "arrivals": {"rate": "60/h"}} for t in ("a", "b", "c")},
                 agent_groups={"pool": {"skills": ["a", "b", "c"], "heads": 8}})  # fmt: skip
    changes, told = order_changes(fit, rare)
    assert rare.replace(changes).contact_types["c"].credit == pytest.approx(30, abs=2)
    assert any("priority of 'c'" in n for n in told)
    assert any("credit of 'c' was assumed at 30 s" in n for n in told)
    own = rare.replace({"routing.contact_choice": "skill-order"})
    assert order_changes(fit, own)[0] == {}
    assert "skill-order" in order_changes(fit, own)[1][0]


def test_first_come_first_served_has_no_credit():
    fit = fit_order(log_of(world()))
    assert pair(fit)["rule"] == "fifo"
    assert fit.credit == {"a": 0.0, "b": 0.0}
    assert fit.priority == {"a": 1, "b": 1}
    assert pair(fit)["ci_high"] < 5
    wrong = world({"contact_types.a.priority": 2})
    assert wrong.replace(order_changes(fit, wrong)[0]).contact_types["a"].priority == 1, "the log knows better"


def test_strict_priority_is_told_from_a_credit():
    fit = fit_order(log_of(world({"contact_types.b.priority": 2})))
    assert (pair(fit)["rule"], pair(fit)["ahead"]) == ("priority", "a")
    assert fit.priority == {"a": 1, "b": 2}
    assert np.isnan(pair(fit)["credit_s"])


def test_random_order_is_unclear():
    log = log_of(world())
    rng = np.random.default_rng(4)
    flipped = log.assign(contact_type=rng.choice(["a", "b"], len(log)))
    assert pair(fit_order(flipped))["rule"] == "fifo", "types drawn by lot are still served in order of arrival"
    late = log.copy()
    waited = np.flatnonzero((log["wait_s"] > 0) & (log["outcome"] == "answered"))
    late["contact_type"] = log["contact_type"].astype(str)
    shift = np.zeros(len(log), dtype=int)
    shift[waited] = rng.integers(0, 400, len(waited))
    late["arrived"] = late["arrived"] - pd.to_timedelta(shift, unit="s").astype("timedelta64[ms]")
    late["wait_s"] = late["wait_s"] + shift
    assert pair(fit_order(late))["rule"] == "unclear", "arrivals moved by lot have no order"
    assert order_changes(fit_order(late), world())[0] == {}


def test_skills_keep_what_an_agent_does_not_take_out_of_it():
    """Two groups of one skill each: the types never compete, and nothing may be concluded."""
    apart = world(agent_groups={"one": {"skills": ["a"], "heads": 3}, "two": {"skills": ["b"], "heads": 5}})
    log = log_of(apart)
    assert fit_order(log, apart).pairs.empty
    assert fit_order(log.assign(agent_group=pd.NA)).pairs.empty, "skills are seen from the agents' answers too"


def test_agents_of_a_group_who_do_not_take_a_type_pass_nobody_over():
    """Three of eight take only b, and the planner's groups do not say so: the order is still first come, first served."""
    two = world(agent_groups={"some": {"skills": ["b"], "heads": 3}, "all": {"skills": ["a", "b"], "heads": 5}})
    log = log_of(two)
    fit = fit_order(log.assign(agent_group="pool"), world())
    assert pair(fit)["rule"] == "fifo"
    assert pair(fit)["agreement"] > 0.97


def test_the_day_on_which_the_order_changed():
    before, after = log_of(world()), log_of(world({"contact_types.a.credit": "60s"}, start="2026-03-16"), seed=2)
    fit = fit_order(pd.concat([before, after], ignore_index=True))
    assert [str(d) for d in fit.changes] == ["2026-03-16"]
    assert fit.pairs["rule"].tolist() == ["fifo", "credit"]
    assert any("changed on 2026-03-16: until 2026-03-13" in n for n in fit.notes)


def test_change_points_by_hand_and_by_chance():
    n = np.full(30, 50.0)
    hits = np.where(np.arange(30) < 12, 5.0, 25.0)
    assert change_points(hits, n, least=0.1) == [12]
    assert change_points(hits, n, least=0.5) == []
    rng = np.random.default_rng(5)
    found = sum(
        bool(change_points(rng.binomial(50, 0.3, 40).astype(float), np.full(40, 50.0), least=0.0)) for _ in range(100)
    )
    assert found <= 8, "risk 1 % each"


def test_agents_of_its_own_are_found_with_their_day():
    pool = world()
    own = world(
        start="2026-03-16",
        agent_groups={"pool": {"skills": ["b"], "heads": 6}, "desk": {"skills": ["a"], "heads": 4}},
    )
    log = pd.concat([log_of(pool), log_of(own, seed=2)], ignore_index=True)
    history = bp.History.from_contacts(
        log.drop(columns=["replication", "agent_group"]).assign(contact_id=np.arange(len(log))), tz="Europe/Berlin"
    )
    fit = fit_order(history.contacts)
    desk = fit.serving[fit.serving["contact_type"] == "a"]
    assert desk["since"].dt.date.astype(str).tolist() == ["2026-03-02", "2026-03-16"]
    assert desk["share"].iloc[0] == 0
    assert desk["share"].iloc[1] > 0.95
    assert any("From 2026-03-16 'a' has agents of its own" in n for n in fit.notes)
    groups = group_agents(history).contacts
    after = groups[(groups["arrived"] >= "2026-03-16") & (groups["outcome"] == "answered")]
    assert set(after.loc[after["contact_type"] == "a", "agent_group"]) == {"a only"}
    before = groups[(groups["arrived"] < "2026-03-16") & (groups["outcome"] == "answered")]
    assert set(before["agent_group"]) == {"general"}


@pytest.mark.parametrize(("rule", "verdict"), [("longest-idle", "longest-idle"), ("random", "any free agent alike")])
def test_who_takes_an_arriving_contact(rule, verdict):
    from bposim.calibrate.serving import agent_choice

    quiet = world({"contact_types.b.arrivals": {"rate": "30/h"}, "routing.agent_choice": rule})
    found = agent_choice(log_of(quiet))
    assert found.detail.startswith(verdict), found


# Classes of contacts -------------------------------------------------------------------------------------------------


def classed(seed=1):
    """One type in two classes; the class of those who did not wait was not recorded (0)."""
    log = log_of(world({"contact_types.a.credit": "60s"}))
    kind = np.where(log["contact_type"] == "a", 2, 1)
    frame = log.drop(columns="replication").assign(
        contact_type="sales", truth=kind, priority=np.where(log["wait_s"] > 0, kind, 0), agent_group=pd.NA
    )
    return frame, bp.History.from_contacts(frame.drop(columns="truth"), tz="Europe/Berlin")


def test_split_makes_classes_types():
    frame, history = classed()
    plain = history.split("priority")
    assert plain.contact_types == ("sales/0", "sales/1", "sales/2")
    assert history.contact_types == ("sales",), "the history itself is left alone"
    told = history.split("priority", unknown=[0])
    assert told.contact_types == ("sales/1", "sales/2")
    share = (told.contacts["contact_type"] == "sales/2").mean()
    assert share == pytest.approx((frame["truth"] == 2).mean(), abs=0.03)
    fit = fit_order(told.contacts)
    assert pair(fit)["ahead"] == "sales/2"
    assert pair(fit)["ci_low"] <= 60 <= pair(fit)["ci_high"]


def test_an_unknown_class_of_its_own_stays():
    frame, _ = classed()
    own = frame.assign(priority=np.where(frame["contact_id"] % 3 == 0, 0, frame["truth"])).drop(columns="truth")
    history = bp.History.from_contacts(own, tz="Europe/Berlin")
    assert history.split("priority", unknown=[0]).contact_types == ("sales/0", "sales/1", "sales/2")


def test_small_classes_and_wrong_columns():
    frame, _ = classed()
    rare = frame.assign(priority=np.where(np.arange(len(frame)) < 12, 9, 1)).drop(columns="truth")
    history = bp.History.from_contacts(rare, tz="Europe/Berlin")
    assert history.split("priority").contact_types == ("sales",), "one class is left: the type keeps its name"
    assert history.split("priority", fewest=1).contact_types == ("sales/1", "sales/9")
    with pytest.raises(HistoryError, match="by parameter of split"):
        history.split("colour")
    with pytest.raises(HistoryError, match="contact log"):
        bp.History.from_counts(pd.Series([5, 6], index=pd.date_range("2026-01-05", periods=2)), freq="D").split(
            "priority"
        )


def test_a_draft_gives_rare_types_to_those_who_take_them():
    """One contact in 200 is of a type that only the large group takes: it is no skill of the small group named first."""
    frame, _ = classed()
    rng = np.random.default_rng(6)
    log = frame.drop(columns="truth")
    answered = (log["outcome"] == "answered").to_numpy()
    desk = answered & (rng.random(len(log)) < 0.2)
    rare = answered & ~desk & (rng.random(len(log)) < 0.005)
    log = log.assign(
        contact_type=np.where(rare, "rare", np.where(desk, "desk", "sales")),
        agent_group=np.where(desk, "a desk", np.where(answered, "pool", None)),
    )
    history = bp.History.from_contacts(log, tz="Europe/Berlin")
    groups = bp.draft_scenario(history.split("priority", types=["sales"], unknown=[0])).agent_groups
    assert list(groups["a desk"].skills) == ["desk"]
    assert list(groups["pool"].skills) == ["rare", "sales/1", "sales/2"]
