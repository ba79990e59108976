"""Worlds of a few contacts worked by hand: routing, limits, and what becomes of contacts (``docs/design/mechanics.md``).

All times in seconds. A contact lasts a minute unless a test says else.
"""

import pytest
from worlds import ENGINES, LAST, NO, YES, World, build, contact, fixed, group, kind

from bposim.simulate import contact_log

pytestmark = pytest.mark.parametrize("engine", ENGINES)

UNTIL_60 = contact(0, "a")  # keeps the only agent busy for the first minute


# Who takes an arriving contact (M9, M10) -------------------------------------------------------------------------------


def test_delay_gives_a_waiting_contact_to_an_idle_group(engine):
    world = build({"a": kind()}, {"x": group("a"), "y": group("a")}, routing={"delay": {"a": {"y": "30s"}}})
    w = World(world, [contact(0), contact(10), contact(15)], engine)
    assert w.answered == [0, 40, 60]
    assert w.group == ["x", "y", "x"]


def test_delay_holds_for_every_group_and_ends_after_abandonments(engine):
    world = build({"a": kind()}, {"x": group("a")}, routing={"delay": {"a": {"x": "30s"}}})
    w = World(world, [contact(0), contact(100, patience=30), contact(200, patience=30.001)], engine)
    assert w.answered == [30, None, 230]
    assert w.fate == ["answered", "abandoned", "answered"]
    assert w.ended == [90, 130, 290]


def test_two_delays_one_after_the_other(engine):
    groups = {"x": group("a"), "y": group("a"), "z": group("a", heads=[0] + [1] * 29)}
    world = build({"a": kind(500)}, groups, routing={"delay": {"a": {"y": "20s", "z": "45s"}}})
    w = World(world, [contact(0), contact(10), contact(16)], engine)
    assert w.answered == [0, 30, 61]  # z is there from second 60; the third contact has waited 45 s at 61
    assert w.group == ["x", "y", "z"]


def test_group_rank(engine):
    world = build({"a": kind()}, {"x": group("a"), "y": group("a")}, routing={"group_rank": {"a": {"x": 2, "y": 1}}})
    w = World(world, [contact(5), contact(10), contact(70)], engine)
    assert w.group == ["y", "x", "y"]
    assert w.answered == [5, 10, 70]


def test_preference_is_a_rank_and_shuts_out_who_is_not_listed(engine):
    """x is idle all the time but for 3 to 13, and takes no a, neither arriving nor when it is freed."""
    groups = {"x": group("a", "b"), "y": group("a"), "z": group("a")}
    world = build({"a": kind(), "b": kind(10)}, groups, routing={"preference": {"a": ["z", "y"]}})
    w = World(world, [contact(0), contact(1), contact(2), contact(3, "b"), contact(70)], engine)
    assert w.group == ["z", "y", "z", "x", "y"]
    assert w.answered == [0, 1, 60, 3, 70]


CHOICES = {  # contacts at 0, 70 and 135; x has one agent, y has two
    "longest-idle": ["x", "y", "y"],  # at 135: y's second agent, idle since the beginning
    "preference": ["x", "x", "x"],
    "most-free": ["y", "y", "y"],
}


@pytest.mark.parametrize("choice", CHOICES)
def test_agent_choice(engine, choice):
    world = build({"a": kind()}, {"x": group("a"), "y": group("a", heads=2)}, routing={"agent_choice": choice})
    w = World(world, [contact(0), contact(70), contact(135)], engine)
    assert w.group == CHOICES[choice]


def test_most_free_counts_free_agents_and_ties_go_to_the_first_group(engine):
    world = build({"a": kind()}, {"x": group("a"), "y": group("a", heads=2)}, routing={"agent_choice": "most-free"})
    assert World(world, [contact(0), contact(1), contact(2)], engine).group == ["y", "x", "y"]


def test_least_occupied_is_not_longest_idle(engine):
    contacts = [contact(0), contact(100, handle=10), contact(120)]
    found = {}
    for choice in ("least-occupied", "longest-idle"):
        world = build({"a": kind()}, {"x": group("a"), "y": group("a")}, routing={"agent_choice": choice})
        found[choice] = World(world, contacts, engine).group
    assert found == {"least-occupied": ["x", "y", "y"], "longest-idle": ["x", "y", "x"]}


def test_random_agent_is_taken_by_the_contacts_own_uniform(engine):
    world = build({"a": kind()}, {"x": group("a"), "y": group("a", heads=2)}, routing={"agent_choice": "random"})
    w = World(world, [contact(0, pick=LAST), contact(1, pick=0), contact(2, pick=7)], engine)
    assert list(zip(w.group, w.agent, strict=True)) == [("y", 1), ("x", 0), ("y", 0)]
    half = World(world, [contact(0, pick=(1 << 32) // 3 + 1)], engine)
    assert (half.group, half.agent) == (["y"], [0])


def test_reserve_keeps_the_last_agent_free(engine):
    world = build({"a": kind(), "b": kind()}, {"g": group("a", "b", heads=2, reserve={"b": 1})})
    w = World(world, [contact(0, "b"), contact(5, "b"), contact(6, "a")], engine)
    assert w.answered == [0, 66, 6]  # at 60 one agent is free, at 66 two


def test_reserves_and_delays_end_with_the_doors_closed(engine):
    groups = {"g": group("a", "b", heads=2, reserve={"b": 1})}
    world = build({"a": kind(), "b": kind()}, groups, minutes=1)
    w = World(world, [contact(0, "b", handle=70), contact(5, "b"), contact(6, "a", handle=70)], engine)
    assert w.answered == [0, 70, 6]
    slow = build({"a": kind()}, {"g": group("a")}, minutes=2, routing={"delay": {"a": {"g": "50s"}}})
    w = World(slow, [contact(30, handle=50), contact(90)], engine)
    assert w.answered == [80, 130]


def test_an_idle_agent_takes_at_closing_what_delay_kept_from_it(engine):
    """M9, T10: at 120 the delay no longer holds, and an able agent of the last interval is idle."""
    world = build({"a": kind()}, {"g": group("a")}, minutes=2, routing={"delay": {"a": {"g": "50s"}}})
    w = World(world, [contact(100)], engine)
    assert (w.fate, w.answered) == (["answered"], [120])


# Whom a freed agent takes (M11) ----------------------------------------------------------------------------------------


def two(routing, a=None, b=None):
    return build({"a": kind(**(a or {})), "b": kind(**(b or {}))}, {"g": group("a", "b")}, routing=routing)


def test_type_rank_goes_before_the_order_of_skills(engine):
    contacts = [UNTIL_60, contact(10, "b"), contact(20, "a")]
    order = two({"contact_choice": "skill-order"})
    assert World(order, contacts, engine).answered == [0, 120, 60]
    ranked = two({"contact_choice": "skill-order", "type_rank": {"g": {"a": 2, "b": 1}}})
    assert World(ranked, contacts, engine).answered == [0, 60, 120]
    tied = two({"contact_choice": "skill-order", "type_rank": {"g": {"a": 1, "b": 1}}})
    assert World(tied, contacts, engine).answered == [0, 60, 120]


@pytest.mark.parametrize("weight", [{"b": 3}, {"b": {"g": 3}}], ids=["all groups", "one group"])
def test_weighted_wait(engine, weight):
    """At 60: 50 s of a against 20 s of b, which count three times; against 16 s, which count 48."""
    world = two({"contact_choice": "weighted-wait", "weight": weight})
    assert World(world, [UNTIL_60, contact(10, "a"), contact(40, "b")], engine).answered == [0, 120, 60]
    assert World(world, [UNTIL_60, contact(10, "a"), contact(44, "b")], engine).answered == [0, 60, 120]


def test_credit_moves_a_type_ahead_and_ties_go_to_the_lower_id(engine):
    world = two({}, b={"credit": "30s"})
    assert World(world, [UNTIL_60, contact(10, "a"), contact(39, "b")], engine).answered == [0, 120, 60]
    assert World(world, [UNTIL_60, contact(10, "a"), contact(40, "b")], engine).answered == [0, 60, 120]


def test_priority_and_fifo_that_ignores_it(engine):
    first, late = {"priority": 1, "credit": "40s"}, {"priority": 2}
    contacts = [UNTIL_60, contact(10, "a"), contact(20, "b")]
    for choice in ("longest-wait", "skill-order", "weighted-wait", "longest-queue"):
        assert World(two({"contact_choice": choice}, late, first), contacts, engine).answered == [0, 120, 60], choice
    assert World(two({"contact_choice": "fifo"}, late, first), contacts, engine).answered == [0, 60, 120]


def test_longest_queue(engine):
    world = two({"contact_choice": "longest-queue"})
    w = World(world, [UNTIL_60, contact(10, "a"), contact(20, "b"), contact(30, "b")], engine)
    assert w.answered == [0, 120, 60, 180]


def test_within_a_type_the_order_is_that_of_entry(engine):
    """A call-back enters when it is accepted; a transferred contact when its first talk ends."""
    world = build(
        {"a": kind(30, transfers=[{"to": "b", "probability": 1}]), "b": kind()}, {"x": group("a"), "y": group("b")}
    )
    w = World(world, [contact(0, "a"), contact(0, "b"), contact(25, "b"), contact(40, "b")], engine)
    assert w.type == ["a", "b", "b", "b", "b"]
    assert w.answered == [0, 0, 60, 180, 120]


# Places (M2, M3, M4) ---------------------------------------------------------------------------------------------------


def test_balking_counts_the_own_type_and_comes_after_the_limit(engine):
    steps = [{"queue": 2, "probability": 1}]
    world = two({}, a={"balking": steps})
    contacts = [UNTIL_60, contact(1, "b"), contact(2, "b"), contact(3, "a"), contact(4, "a"), contact(5, "a")]
    w = World(world, contacts, engine)
    assert w.fate == ["answered"] * 5 + ["abandoned"]
    assert (w.arrived[5], w.ended[5]) == (5, 5)
    limited = two({}, a={"balking": steps, "queue_limit": 2})
    assert World(limited, contacts, engine).fate[5] == "blocked"


def test_balking_may_count_the_queue_of_all_types(engine):
    world = two({}, a={"balking": [{"queue": 2, "probability": 1}], "balking_queue": "all"})
    contacts = [UNTIL_60, contact(1, "b"), contact(2, "a"), contact(3, "a"), contact(4, "b")]
    assert World(world, contacts, engine).fate == ["answered"] * 3 + ["abandoned", "answered"]


def test_balking_by_the_contacts_own_tolerance(engine):
    world = two({}, a={"balking": [{"queue": 1, "probability": 0.3}, {"queue": 2, "probability": 0.6}]})
    never = 1 << 40
    contacts = [UNTIL_60, contact(1, balk_at=1), contact(2, balk_at=1), contact(3, balk_at=2), contact(4, balk_at=2)]
    w = World(world, [*contacts, contact(5, balk_at=never)], engine)
    assert w.fate == ["answered", "answered", "abandoned", "answered", "abandoned", "answered"]


def test_limits_of_a_type_and_of_all(engine):
    contacts = [UNTIL_60, contact(1, "b"), contact(2, "b"), contact(3, "a"), contact(4, "a"), contact(61, "a")]
    own = World(two({}, b={"queue_limit": 1}), contacts, engine)
    assert own.fate == ["answered", "answered", "blocked", "answered", "answered", "answered"]
    world = build({"a": kind(), "b": kind()}, {"g": group("a", "b")}, queue_limit=2)
    both = World(world, contacts, engine)
    assert both.fate == ["answered", "answered", "answered", "blocked", "blocked", "answered"]
    assert both.answered == [0, 60, 120, None, None, 180]


def test_lines_are_held_to_the_end_of_talk(engine):
    world = build(
        {"a": kind(after_contact_work=fixed(30)), "m": kind(channel="email")}, {"g": group("a", "m")}, trunks=2
    )
    contacts = [contact(0), contact(10), contact(20), contact(21, "m"), contact(61), contact(62)]
    w = World(world, contacts, engine)
    assert w.fate == ["answered", "answered", "blocked", "answered", "answered", "blocked"]
    assert w.answered == [0, 90, None, 180, 240, None]
    assert w.ended == [60, 150, 20, 240, 300, 62]
    assert w.released == [90, 180, 20, 240, 330, 62]


def test_a_transferred_contact_keeps_its_line(engine):
    moved = {"transfers": [{"to": "b", "probability": 1}]}
    world = build({"a": kind(**moved), "b": kind()}, {"x": group("a"), "y": group("b")}, trunks=1)
    w = World(world, [contact(0), contact(90), contact(120), contact(121)], engine)
    assert w.fate[:4] == ["answered", "blocked", "answered", "blocked"]
    assert w.origin == ["fresh"] * 4 + ["transfer"] * 2
    assert w.answered[4:] == [60, 180]


# Trying again (M5) -----------------------------------------------------------------------------------------------------


def again(**extra):
    return {"after_abandonment": 1, "delay": fixed(30)} | extra


def test_redial_after_abandonment_at_most_twice(engine):
    world = build({"a": kind(patience=fixed(10), redial=again(at_most=2))}, {"g": group("a")})
    w = World(world, [contact(0, handle=1000), contact(5)], engine)
    assert w.arrived == [0, 5, 45, 85]
    assert w.ended == [1000, 15, 55, 95]
    assert w.fate == ["answered"] + ["abandoned"] * 3
    assert (w.attempt, w.client) == ([1, 1, 2, 3], [0, 1, 1, 1])
    assert w.origin == ["fresh", "fresh", "redial", "redial"]


def test_a_redial_of_the_same_type_keeps_the_handle_time(engine):
    world = build({"a": kind(patience=fixed(10), redial=again())}, {"g": group("a")})
    w = World(world, [contact(0, handle=20), contact(5, handle=25)], engine)
    assert w.arrived == [0, 5, 45]
    assert (w.answered[2], w.ended[2]) == (45, 70)


def test_redial_after_blocking_apart_from_abandonment(engine):
    redial = {"after_blocking": 1, "delay": fixed(30)}
    world = build({"a": kind(patience=fixed(10), queue_limit=1, redial=redial)}, {"g": group("a")})
    w = World(world, [UNTIL_60, contact(5), contact(6), contact(7, redial_u=NO)], engine)
    assert w.fate == ["answered", "abandoned", "blocked", "blocked", "abandoned"]
    assert w.arrived[4] == 36  # it waits at 36, and its patience is over at 46


def test_redial_after_balking(engine):
    world = build({"a": kind(balking=[{"queue": 0, "probability": 1}], redial=again())}, {"g": group("a")})
    w = World(world, [UNTIL_60, contact(40)], engine)
    assert w.fate == ["answered", "abandoned", "answered"]
    assert w.answered == [0, None, 70]


def test_redial_as_another_type(engine):
    types = {"a": kind(patience=fixed(10), redial=again(to="m")), "m": kind(15, channel="email")}
    w = World(build(types, {"g": group("a", "m")}), [UNTIL_60, contact(5)], engine)
    assert (w.type[2], w.arrived[2], w.answered[2], w.ended[2]) == ("m", 45, 60, 75)
    assert (w.attempt[2], w.client[2]) == (2, 1)


@pytest.mark.parametrize("hours", [{}, {"opening_hours": {"daily": "00:00-00:01"}}], ids=["centre", "type"])
def test_no_redial_in_closed_hours(engine, hours):
    world = build({"a": kind(patience=fixed(10), redial=again(), **hours), "b": kind()}, {"g": group("a", "b")},
                  minutes=3 if hours else 1)  # fmt: skip
    w = World(world, [contact(0), contact(19), contact(20)], engine)  # they would call again at 59 and at 60
    assert w.arrived == [0, 19, 20, 59]


# Call-backs (M6) -------------------------------------------------------------------------------------------------------


def called_back(threshold, heads=1, **extra):
    types = {
        "a": kind(callback={"expected_wait": threshold, "acceptance": 1, "to": "c"}),
        "c": kind(30, callback={"expected_wait": "0s", "acceptance": 1, "to": "a"}),
    }
    return build(types, {"g": group("a", "c", heads=heads)}, **extra)


def test_callback_at_the_threshold_and_none_below(engine):
    """One waits at most: (0 + 1) × 60 s ÷ 1 agent."""
    w = World(called_back("60s"), [contact(0), contact(10)], engine)
    assert w.fate == ["answered", "callback", "answered"]
    assert (w.type[2], w.origin[2], w.client[2]) == ("c", "callback", 1)
    assert (w.ended[1], w.arrived[2], w.answered[2], w.ended[2]) == (10, 10, 60, 90)
    assert World(called_back("60.001s"), [contact(0), contact(10)], engine).fate == ["answered", "answered"]


def test_callback_counts_those_who_wait_and_the_agents_present(engine):
    contacts = [contact(0), contact(0), contact(10), contact(11), contact(12, callback_u=NO), contact(13)]
    w = World(called_back("60s", heads=2), contacts, engine)
    assert w.fate == ["answered", "answered", "answered", "callback", "answered", "callback", "answered", "answered"]
    nobody = World(called_back("10h", heads=[0] + [1] * 29), [contact(10)], engine)
    assert (nobody.fate, nobody.answered) == (["callback", "answered"], [None, 60])


def test_a_callback_holds_no_line(engine):
    world = called_back("60s", trunks=2)
    w = World(world, [contact(0), contact(10), contact(20, callback_u=NO), contact(25)], engine)
    assert w.fate == ["answered", "callback", "answered", "blocked", "answered"]
    assert w.answered == [0, None, 90, None, 60]


# Transfers and after-contact work (M7, M8) -----------------------------------------------------------------------------


def passed_on(mode, handover=None, **b):
    transfer = {"to": "b", "probability": 1, "mode": mode} | ({"handover": handover} if handover else {})
    types = {"a": kind(after_contact_work=fixed(30), transfers=[transfer]), "b": kind(40, **b)}
    return types, {"x": group("a"), "y": group("b")}


def test_cold_transfer(engine):
    w = World(build(*passed_on("cold")), [contact(0), contact(10)], engine)
    assert w.type == ["a", "a", "b", "b"]
    assert w.answered == [0, 90, 60, 150]
    assert w.ended == [60, 150, 100, 190]
    assert w.released == [90, 180, 100, 190]
    assert (w.client, w.attempt) == ([0, 1, 0, 1], [1, 1, 1, 1])


def test_a_transferred_contact_enters_before_its_agent_is_freed(engine):
    types = {"a": kind(priority=2, transfers=[{"to": "b", "probability": 1}]), "b": kind(40, priority=1)}
    w = World(build(types, {"g": group("a", "b")}), [contact(0), contact(10, transfer_u=NO)], engine)
    assert w.answered == [0, 100, 60]  # b goes before a; freed first, the agent would have taken a at 60


def test_warm_transfer_with_handover(engine):
    w = World(build(*passed_on("warm", "20s")), [contact(0), contact(20, "b", handle=60), contact(30)], engine)
    assert w.answered[:2] == [0, 20]
    assert (w.ended[0], w.released[0]) == (60, 80 + 20 + 30)
    assert (w.arrived[3], w.answered[3], w.ended[3]) == (60, 80, 80 + 20 + 40)
    assert w.answered[2] == 130


def test_warm_transfer_to_who_is_free(engine):
    w = World(build(*passed_on("warm", "20s")), [contact(0)], engine)
    assert w.answered == [0, 60]
    assert w.ended == [60, 120]
    assert w.released == [110, 120]


def test_warm_transfer_to_an_agent_with_several_contacts(engine):
    """The handover belongs to the second talk, so it goes on at the pace of two in hand; the first agent stays 20 s."""
    types, groups = passed_on("warm", "20s")
    groups["y"] = group("b", concurrency={"contacts": 2, "pace": [1, 0.5]})
    w = World(build(types, groups), [contact(0), contact(0, "b", handle=1000)], engine)
    assert (w.answered[2], w.ended[2]) == (60, 60 + (40 + 20) * 2)
    assert w.released[0] == 60 + 20 + 30


@pytest.mark.parametrize("why", ["abandoned", "blocked", "disconnected"])
def test_warm_transfer_whose_second_leg_fails(engine, why):
    extra = {"abandoned": {"patience": fixed(10)}, "blocked": {"queue_limit": 0}, "disconnected": {}}[why]
    world = build(*passed_on("warm", "20s", **extra), minutes=2)
    w = World(world, [contact(0), contact(30, "b", handle=500)], engine, drain="disconnect")
    until = {"abandoned": 70, "blocked": 60, "disconnected": 120}[why]
    assert w.fate == ["answered", "answered", why]
    assert w.ended == [60, 530, until]
    assert w.released == [until + 30, 530, until]


def test_a_warm_transfer_nobody_can_take_does_not_outlast_the_day(engine):
    """T10: at closing its only agent waits with it, so nobody is left to take it; it must not wait overnight."""
    types = {"a": kind(transfers=[{"to": "b", "probability": 1, "mode": "warm"}]), "b": kind(40)}
    world = build(types, {"g": group("a", "b")}, minutes=2).replace(days=2)
    w = World(world, [contact(0)], engine)
    assert (w.fate, w.ended[1]) == (["answered", "disconnected"], 120)


def test_after_contact_work_is_part_of_handle_s(engine):
    world = build({"a": kind(after_contact_work=fixed(30))}, {"g": {"skills": {"a": 1.5}, "heads": 1}})
    w = World(world, [contact(0), contact(1)], engine)
    assert (w.answered, w.ended, w.released) == ([0, 135], [90, 225], [135, 270])
    log = contact_log(world, w.draws, w.records, 0)
    assert log["handle_s"].tolist() == [135, 135]
    assert (log["ended"] - log["answered"]).dt.total_seconds().tolist() == [90, 90]


def test_uniforms_decide(engine):
    """With probability ½, the lower half of the uniforms means yes."""
    half = 1 << 31
    world = build(
        {"a": kind(transfers=[{"to": "b", "probability": 0.5}]), "b": kind()},
        {"x": group("a", heads=3), "y": group("b")},
    )
    w = World(world, [contact(0, transfer_u=YES), contact(1, transfer_u=half - 1), contact(2, transfer_u=half)], engine)
    assert w.type == ["a", "a", "a", "b", "b"]
