"""Worlds of a few contacts worked by hand: who is there when, several contacts at once, closing, a given state.

All times in seconds; the scenario begins on a Monday at midnight. A contact lasts a minute unless a test says else.
"""

import pytest
from worlds import ENGINES, State, World, build, contact, fixed, group, kind

pytestmark = pytest.mark.parametrize("engine", ENGINES)

END = 1800


def people(**agents):
    """A group of named agents with skill a; ``name=(speed, *spells)``, a spell being (start, end) or a mapping."""
    listed = {
        name: {"speed": speed, "schedule": [s if isinstance(s, dict) else {"start": s[0], "end": s[1]} for s in spells]}
        for name, (speed, *spells) in agents.items()
    }
    return {"skills": ["a"], "agents": listed}


def half_hour(groups, **extra):
    """Thirty minutes in one interval, so that whoever comes or goes does it inside it."""
    return build({"a": kind()}, groups, interval="30min", **extra)


# By name (M14) ---------------------------------------------------------------------------------------------------------


def test_named_agents_join_and_leave_inside_an_interval(engine):
    world = half_hour({"g": people(ana=(0.5, ("00:07", "00:20")), ben=(2, ("00:10", "00:30")))})
    w = World(world, [contact(0), contact(430, handle=1600), contact(1210)], engine)
    assert w.answered == [420, 450, 1210]
    assert w.agent == [0, 0, 1]
    assert w.ended == [450, 1250, 1330]  # ana is twice as fast, ben half as fast
    assert w.present("g") == [(420, 1), (600, 2), (1250, 1), (END, 0)]
    assert world.scheduled_heads("g").tolist() == pytest.approx([(13 + 20) / 30])


def test_an_agent_called_again_while_it_finishes_stays(engine):
    world = half_hour({"g": people(ana=(1, ("00:07", "00:20"), ("00:21", "00:30")))})
    w = World(world, [contact(450, handle=840), contact(1280)], engine)
    assert w.answered == [450, 1290]
    assert w.present("g") == [(420, 1), (END, 0)]


def test_an_agent_told_to_leave_finishes_its_contact(engine):
    world = half_hour({"g": people(ana=(1, ("00:07", "00:20"), ("00:23", "00:30")))})
    w = World(world, [contact(1190), contact(1195)], engine)
    assert w.answered == [1190, 1380]
    assert w.present("g") == [(420, 1), (1250, 0), (1380, 1), (END, 0)]


def test_a_named_agents_break_waits_for_the_contact_and_lasts_its_full_length(engine):
    spell = {"start": "00:00", "end": "00:30", "breaks": [{"at": "00:10", "length": "5min"}]}
    world = half_hour({"g": people(ana=(1, spell))})
    w = World(world, [contact(590), contact(600)], engine)
    assert w.answered == [590, 950]
    assert w.present("g") == [(0, 1), (650, 0), (950, 1), (END, 0)]


def test_a_shift_over_midnight_and_the_days_of_a_spell(engine):
    spell = {"days": "mon", "start": "23:50", "end": "00:10"}
    world = build(
        {"a": kind()}, {"g": people(ana=(1, spell))}, interval="30min", days=3, opening_hours={"daily": "00:00-24:00"}
    )
    w = World(world, [contact(86400 + 300), contact(2 * 86400 + 300)], engine)
    assert w.present("g") == [(86400 - 600, 1), (86400 + 600, 0)]
    assert w.fate == ["answered", "disconnected"]  # when the doors close, at the end of the third day


# By number: breaks (M15) -----------------------------------------------------------------------------------------------


def test_group_break_sends_the_idle_at_once_and_the_others_after_their_contacts(engine):
    world = half_hour({"g": group("a", heads=2, breaks=[{"at": "00:05", "length": "2min"}])})
    w = World(world, [contact(270), contact(310)], engine)
    assert w.answered == [270, 420]
    assert w.present("g") == [(0, 2), (300, 1), (330, 0), (420, 1), (450, 2), (END, 0)]


def test_a_share_of_those_present_goes_the_longest_idle_first(engine):
    world = half_hour({"g": group("a", heads=3, breaks=[{"at": "00:05", "length": "2min", "share": 0.5}])})
    w = World(world, [contact(0), contact(301)], engine)
    assert w.present("g")[:3] == [(0, 3), (300, 1), (420, 3)]  # 1.5 of 3 is rounded to 2
    assert w.agent == [0, 0]  # 1 and 2 have been idle since the beginning, 0 since second 60


def test_a_break_on_other_days_only(engine):
    world = half_hour({"g": group("a", breaks=[{"at": "00:05", "length": "2min", "days": "tue"}])}, days=2)
    assert World(world, [], engine).present("g") == [
        (0, 1), (END, 0), (86400, 1), (86700, 0), (86820, 1), (86400 + END, 0)
    ]  # fmt: skip


def test_whose_shift_ends_during_the_break_does_not_come_back(engine):
    world = build(
        {"a": kind()}, {"g": group("a", heads=[1] * 6 + [0] * 24, breaks=[{"at": "00:05", "length": "2min"}])}
    )
    w = World(world, [contact(200), contact(370)], engine)
    assert w.present("g") == [(0, 1), (300, 0)]
    assert (w.fate, w.ended) == (["answered", "disconnected"], [260, END])


def test_closing_ends_breaks_and_cancels_those_that_wait(engine):
    pause = [{"at": "00:05", "length": "2min"}]
    world = build({"a": kind()}, {"g": group("a", heads=2, breaks=pause)}, minutes=6).replace(days=2)
    w = World(world, [contact(290, handle=100), contact(86410), contact(86750)], engine)
    assert w.present("g") == [(0, 2), (300, 1), (390, 0), (86400, 2), (86700, 0)]
    assert w.fate == ["answered", "answered", "disconnected"]


def test_who_leaves_goes_before_who_pauses(engine):
    """M16: the agent's shift ends and a break is due on completion; it leaves."""
    world = build(
        {"a": kind()}, {"g": group("a", heads=[1] * 6 + [0] * 24, breaks=[{"at": "00:05", "length": "2min"}])}
    )
    w = World(world, [contact(299, handle=80)], engine)
    assert w.present("g") == [(0, 1), (379, 0)]


def test_a_break_that_nobody_took_is_not_left_to_a_newcomer(engine):
    """M15: the break waits for the contact of one whose shift ends meanwhile; who joins at 600 was not among those present."""
    heads = [1] * 6 + [0] * 4 + [1] * 20
    world = build({"a": kind()}, {"g": group("a", heads=heads, breaks=[{"at": "00:05", "length": "2min"}])})
    w = World(world, [contact(299, handle=80), contact(610), contact(680)], engine)
    assert w.present("g") == [(0, 1), (379, 0), (600, 1), (END, 0)]
    assert w.answered == [299, 610, 680]


# Absence, adherence, sites (M17, M18) ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("adherence", "there"), [(0, []), (1, [(0, 2), (END, 0)])])
def test_adherence_of_none_and_of_all(engine, adherence, there):
    w = World(half_hour({"g": group("a", heads=2, adherence=adherence)}), [contact(10)], engine)
    assert w.present("g") == there
    assert w.fate == ["answered" if there else "disconnected"]


def at_site(body=None, days=1, **site):
    return half_hour({"g": (body or group("a", heads=3)) | {"site": "north"}}, sites={"north": site}, days=days)


def test_closed_date_of_a_site(engine):
    w = World(at_site(days=2, closed=["2026-01-06"]), [contact(10), contact(86410)], engine)
    assert w.present("g") == [(0, 3), (END, 0)]
    assert (w.fate, w.ended) == (["answered", "disconnected"], [70, 86400 + END])


def test_closed_date_holds_for_named_agents_too(engine):
    """M18: a group has no agents in an interval that begins outside its site's hours and dates."""
    w = World(at_site(people(ana=(1, ("00:00", "00:30"))), days=2, closed=["2026-01-06"]), [contact(86410)], engine)
    assert w.present("g") == [(0, 1), (END, 0)]
    assert w.fate == ["disconnected"]


def manila(**extra):
    """UTC+8: 08:10 there is 00:10 here."""
    body = group("a", site="north", **extra.pop("group", {}))
    return build({"a": kind()}, {"g": body}, sites={"north": {"time_zone": "Asia/Manila"} | extra})


def test_opening_hours_and_breaks_in_the_clock_of_the_site(engine):
    pause = {"breaks": [{"at": "08:15", "length": "1min"}]}
    w = World(manila(opening_hours={"daily": "08:10-08:20"}, group=pause), [contact(0), contact(905)], engine)
    assert w.present("g") == [(600, 1), (900, 0), (960, 1), (1200, 0)]
    assert w.answered == [600, 960]


def test_a_weekday_of_the_site_is_its_own(engine):
    """Honolulu (UTC−10) is at Sunday 14:00 when the scenario's Monday begins."""
    site = {"time_zone": "Pacific/Honolulu", "opening_hours": {"sun": "14:05-14:10", "mon": "14:20-14:25"}}
    world = build({"a": kind()}, {"g": group("a", site="north")}, sites={"north": site})
    assert World(world, [], engine).present("g") == [(300, 1), (600, 0)]


def test_schedules_of_named_agents_are_in_the_sites_time(engine):
    world = build({"a": kind()}, {"g": people(ana=(1, ("08:10", "08:20"))) | {"site": "north"}},
                  sites={"north": {"time_zone": "Asia/Manila"}})  # fmt: skip
    assert World(world, [], engine).present("g") == [(600, 1), (1200, 0)]


def test_given_outage(engine):
    outage = {"start": "2026-01-05 08:05", "length": "90s"}
    w = World(manila(outages=[outage], group={"heads": 2}), [contact(290), contact(310)], engine)
    assert w.present("g") == [(0, 2), (300, 1), (350, 0), (390, 2), (END, 0)]
    assert w.answered == [290, 390]


def test_given_outage_of_a_share(engine):
    outage = {"start": "2026-01-05 00:05", "length": "90s", "share": 0.5}
    w = World(at_site(outages=[outage]), [], engine)
    assert w.present("g") == [(0, 3), (300, 2), (390, 3), (END, 0)]  # 1.5 stay, rounded to 2
    named = people(ana=(1, ("00:00", "00:30")))
    assert World(at_site(named, outages=[outage | {"share": 1}]), [], engine).present("g") == [
        (0, 1), (300, 0), (390, 1), (END, 0)
    ]  # fmt: skip


# Several contacts at once (M19) ----------------------------------------------------------------------------------------


def chat(pace, heads=1, handle=60):
    many = {"contacts": len(pace), "pace": pace}
    return build({"a": kind(handle, channel="chat")}, {"g": group("a", heads=heads, concurrency=many)})


def test_two_chats_slow_each_other_down(engine):
    w = World(chat([1, 0.5]), [contact(0), contact(30), contact(31)], engine)
    assert w.answered == [0, 30, 90]
    assert w.ended == [90, 150, 180]
    # 0 to 30 alone, 30 to 90 at half speed: the first is done. The second has 30 s left, the third 60 s; both at half
    # speed from 90: the second ends at 150 and the third, with 30 s left, at 180.


def test_ends_are_rounded_up_to_the_millisecond(engine):
    """At 30 s the first has 30 s left, at 0.7: 42 857.14… ms. The second has then 29 999.4 ms left, and is alone."""
    w = World(chat([1, 0.7]), [contact(0), contact(30)], engine)
    assert w.ended == [72.858, 102.858]
    assert w.records.engaged_from_ms.tolist() == [0]
    assert w.records.engaged_to_ms.tolist() == [102858]


def test_a_pace_above_one(engine):
    w = World(chat([0.5, 2]), [contact(0), contact(60)], engine)
    assert w.ended == [75, 135]  # 30 s left at 60, twice as fast; then 30 s left at half speed: 75 + 60


def test_the_agent_with_the_fewest_then_the_longest_unchanged(engine):
    w = World(chat([1, 1], heads=2, handle=100), [contact(t) for t in (0, 1, 2, 3, 105)], engine)
    assert w.agent == [0, 1, 0, 1, 0]
    assert w.answered == [0, 1, 2, 3, 105]
    w = World(chat([1, 1], heads=2), [contact(0), contact(10, handle=100), contact(65), contact(70)], engine)
    assert w.agent == [0, 1, 0, 1]  # at 70 each has one: agent 1 since 10, agent 0 since 65


def test_least_occupied_of_agents_with_several_contacts(engine):
    """M10, M19: agent 0 has one in hand and has been busy all the time; agent 1 has nothing and was never busy."""
    many = {"contacts": 2, "pace": [1, 1]}
    world = build({"a": kind(channel="chat")}, {"g": group("a", heads=2, concurrency=many)},
                  routing={"agent_choice": "least-occupied"})  # fmt: skip
    assert World(world, [contact(0, handle=1000), contact(10)], engine).agent == [0, 1]


def test_such_a_group_shrinks(engine):
    w = World(chat([1, 1], heads=[2] + [1] * 29, handle=200), [contact(t) for t in (0, 1, 2, 61)], engine)
    assert w.agent == [0, 1, 0, 0]  # agent 1 has the fewest: it leaves with its last contact, and takes no other
    assert w.answered == [0, 1, 2, 200]
    assert w.present("g") == [(0, 2), (201, 1), (END, 0)]


def test_idle_ones_go_first(engine):
    w = World(chat([1, 1], heads=[3] + [2] * 29, handle=200), [contact(0), contact(1), contact(61)], engine)
    assert w.present("g")[:2] == [(0, 3), (60, 2)]
    assert w.agent == [0, 1, 0]


def test_after_contact_work_is_part_of_the_chat(engine):
    many = {"contacts": 2, "pace": [1, 0.5]}
    world = build({"a": kind(40, channel="chat", after_contact_work=fixed(20))}, {"g": group("a", concurrency=many)})
    w = World(world, [contact(0), contact(30)], engine)
    assert w.ended == w.released == [90, 120]


# Closing (T10) ---------------------------------------------------------------------------------------------------------


def test_drain_serves_and_cuts_off_what_nobody_is_left_to_take(engine):
    groups = {"x": group("a"), "y": group("b", "m", heads=[1, 0])}
    world = build({"a": kind(), "b": kind(), "m": kind(channel="email")}, groups, minutes=2).replace(days=2)
    w = World(world, [contact(70, "b"), contact(80, "m"), contact(100, "a"), contact(110, "a")], engine)
    assert w.fate == ["disconnected", "answered", "answered", "answered"]
    assert w.ended == [120, 86460, 160, 220]
    assert w.answered == [None, 86400, 100, 160]
    assert w.present("x") == [(0, 1), (220, 0), (86400, 1), (86520, 0)]


def test_nobody_at_closing(engine):
    world = build({"a": kind()}, {"g": group("a", heads=[1, 0])}, minutes=2).replace(days=2)
    w = World(world, [contact(50), contact(59), contact(86400 + 10)], engine)
    assert w.fate == ["answered", "disconnected", "answered"]
    assert w.ended == [110, 120, 86470]


def test_disconnect_and_leave(engine):
    world = build({"a": kind()}, {"g": group("a")}, minutes=2).replace(days=2)
    rows = [contact(100), contact(110), contact(115, patience=50)]
    cut = World(world, rows, engine, drain="disconnect")
    assert (cut.fate, cut.ended) == (["answered", "disconnected", "disconnected"], [160, 120, 120])
    left = World(world, rows, engine, drain="leave")
    assert (left.fate, left.answered) == (["answered", "answered", "abandoned"], [100, 86400, None])
    assert left.ended == [160, 86460, 165]


def test_a_transfer_after_closing_to_a_type_nobody_is_left_to_take(engine):
    types = {"a": kind(transfers=[{"to": "b", "probability": 1}]), "b": kind()}
    world = build(types, {"x": group("a"), "y": group("b")}, minutes=2).replace(days=2)
    w = World(world, [contact(100)], engine)
    assert (w.fate, w.ended) == (["answered", "disconnected"], [160, 160])


# A given state (M20) ---------------------------------------------------------------------------------------------------


def test_a_given_state(engine):
    world = half_hour({"g": group("a")})
    state = State("2026-01-05 00:10", waiting={"a": ["10s", "35s"]}, serving={"g": {"a": ["20s"]}})
    w = World(world, [contact(601)], engine, state=state)
    assert w.arrived == [580, 565, 590, 601]
    assert w.answered == [580, 640, 700, 760]
    assert w.ended == [640, 700, 760, 820]
    two = World(half_hour({"g": group("a", heads=2)}), [], engine, state=state)
    assert two.answered == [580, 600, 640]
    assert two.present("g") == [(600, 2), (END, 0)]


def test_patience_of_those_who_wait_counts_from_their_arrival(engine):
    world = build({"a": kind(patience=fixed(40))}, {"g": group("a")}, interval="30min")
    state = State("2026-01-05 00:10", waiting={"a": ["35s", "10s"]}, serving={"g": {"a": ["20s"]}})
    w = World(world, [], engine, state=state)
    assert w.fate == ["answered", "abandoned", "abandoned"]
    assert w.ended == [640, 605, 630]


def test_a_state_holds_lines(engine):
    world = half_hour({"g": group("a")}, trunks=2)
    state = State("2026-01-05 00:10", waiting={"a": ["10s"]}, serving={"g": {"a": ["20s"]}})
    w = World(world, [contact(601), contact(641)], engine, state=state)
    assert w.fate == ["answered", "answered", "blocked", "answered"]


def test_a_state_with_more_at_work_than_scheduled(engine):
    state = State("2026-01-05 00:10", serving={"g": {"a": ["20s", "30s"]}})
    w = World(half_hour({"g": group("a")}), [contact(601)], engine, state=state)
    assert w.ended[:2] == [640, 630]
    assert w.answered[2] == 640  # the first to finish, at 630, goes home
    assert w.present("g") == [(600, 2), (630, 1), (END, 0)]


def test_a_service_of_unknown_age_ends_within_a_handle_time(engine):
    w = World(half_hour({"g": group("a")}), [], engine, state=State("2026-01-05 00:10", serving={"g": {"a": 1}}))
    assert 600 < w.ended[0] <= 660


def test_the_multiplier_holds_for_contacts_in_service(engine):
    """M8: 20 s of a handle time of 2 × 60 s have passed."""
    world = half_hour({"g": {"skills": {"a": 2}, "heads": 1}})
    w = World(world, [], engine, state=State("2026-01-05 00:10", serving={"g": {"a": ["20s"]}}))
    assert w.ended == [700]


def test_named_agents_take_those_who_wait_from_the_state_on(engine):
    """M20: the run begins at the state; ana, there since midnight, takes the contact then."""
    world = half_hour({"g": people(ana=(1, ("00:00", "00:30")))})
    w = World(world, [], engine, state=State("2026-01-05 00:10", waiting={"a": ["10s"]}))
    assert (w.arrived, w.answered, w.ended) == ([590], [600], [660])
    assert w.present("g") == [(600, 1), (END, 0)]
