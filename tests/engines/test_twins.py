"""The two engines give the same records, for every mechanic; and a fault in either would be seen."""

import numpy as np
import pytest

import bposim as bp
from bposim.engines import fast, reference
from bposim.engines.compiled import plain, run, single
from bposim.testing import random_scenario, twin_run

PLAIN, FULL = 0.0, 0.25


@pytest.mark.parametrize("seed", range(0, 120, 12))
def test_engines_agree_on_random_worlds(seed):
    contacts = 0
    for k in range(seed, seed + 12):
        coarse = (None, 1000, 60_000)[k % 3]
        contacts += twin_run(k, coarse_ms=coarse, mechanics=FULL)
        contacts += twin_run(50_000 + k, coarse_ms=coarse, mechanics=PLAIN)
    assert contacts > 1000


def test_random_worlds_hold_every_mechanic():
    """What the generator never makes, the engines are never compared on."""
    seen: set[str] = set()
    for k in range(150):
        scenario = random_scenario(np.random.default_rng(k))
        seen |= {name for kind in scenario.canonical["contact_types"].values() for name in kind}
        seen |= {name for group in scenario.canonical["agent_groups"].values() for name in group}
        seen |= set(scenario.canonical.get("routing", ())) | set(scenario.canonical)
        seen |= {s for s in (scenario.routing.contact_choice, scenario.routing.agent_choice)}
        seen |= {t.mode for kind in scenario.contact_types.values() for t in kind.transfers}
    from bposim.scenario.mechanics import AGENT_CHOICES, CONTACT_CHOICES
    from bposim.scenario.models import AgentGroup, ContactType, Routing

    wanted = {
        *ContactType.model_fields,
        *AgentGroup.model_fields,
        *Routing.model_fields,
        "trunks",
        "queue_limit",
        "sites",
    }
    wanted |= {*CONTACT_CHOICES, *AGENT_CHOICES, "cold", "warm", "staffing"}
    assert wanted - seen <= {"targets", "cost_per_hour"}, "these two are read by others than the engines"


def told_apart(seeds, mechanics):
    """Tell whether the engines differ in any of some random worlds."""
    for k in seeds:
        try:
            twin_run(k, coarse_ms=(1000, 60_000)[k % 2], mechanics=mechanics)
        except AssertionError:
            return True
    return False


def with_fault(module, was, becomes):
    """Return a module's functions with one change: in plain Python, and compiled where they run on an address."""
    from pathlib import Path

    code = Path(module.__file__).read_text()
    assert code.count(was) >= 1, f"{was!r} stands in {module.__name__} no more"
    space = {"__name__": module.__name__}
    plainly = "jit = njit(nogil=True)" if module is run else "jit = lambda function: function"
    code = code.replace("from bposim.engines.compiled.cache import jit\n", f"from numba import njit\n\n{plainly}\n")
    exec(compile(code.replace(was, becomes), module.__file__, "exec"), space)
    return type("Faulty", (), {"play": staticmethod(space["play"])})


def one_by_one(n):
    """Return seeds of random worlds with one type and one group."""
    found = (k for k in range(10_000) if np.random.default_rng(k).integers(1, 5, 2).tolist() == [1, 1])
    return [next(found) for _ in range(n)]


@pytest.mark.parametrize(
    ("module", "was", "becomes", "mechanics"),
    [
        (single, "ended[U(first)] < now", "ended[U(first)] <= now", PLAIN),
        (single, "if now >= limit:", "if now > limit:", PLAIN),
        (plain, "if ended[U(i)] >= now:", "if ended[U(i)] > now:", PLAIN),
        (plain, "rank == least and idle < since", "rank == least and idle <= since", PLAIN),
        (run, "closings[next_closing] < now", "closings[next_closing] <= now", FULL),
        (run, "m[f.CLOSED] = 0", "m[f.CLOSED] = 1", FULL),
    ],
)
def test_a_fault_in_the_compiled_engine_is_seen(monkeypatch, module, was, becomes, mechanics):
    faulty = with_fault(module, was, becomes)
    if module is run:
        monkeypatch.setattr(fast, "play", faulty.play)
    else:
        monkeypatch.setattr(fast, module.__name__.rsplit(".", 1)[1], faulty)
    assert told_apart(one_by_one(25) if module is single else range(40), mechanics)


@pytest.mark.parametrize(
    ("method", "change"),
    [
        ("wait", lambda self, i, kind: (self.queue[kind].appendleft(i), self.n_waiting.__setitem__(kind, self.n_waiting[kind] + 1),
                                        self.waiting.__setitem__(i, True))),
        ("cut_off", lambda self, kind: None),
        ("await_delay", lambda self, i: None),
        ("expected_wait", lambda self, kind: 0),
    ],
)  # fmt: skip
def test_a_fault_in_the_reference_engine_is_seen(monkeypatch, method, change):
    monkeypatch.setattr(reference.Centre, method, change)
    assert told_apart(range(60), FULL)


def least_busy(view, contact_type):
    best = -1
    for g in range(len(view.free)):
        if view.takes[contact_type, g] and view.free[g] > 0 and (best < 0 or view.busy[g] < view.busy[best]):
            best = g
    return best


def most_waiting(view, agent_group):
    best = -1
    for k in range(len(view.waiting)):
        if view.takes[k, agent_group] and view.waiting[k] > 0 and (best < 0 or view.waiting[k] > view.waiting[best]):
            best = k
    return best


def test_policies_run_in_both_engines_alike():
    policies = bp.Policies(choose_group=least_busy, choose_type=most_waiting)
    assert policies.why_not_compiled == ""
    assert sum(twin_run(k, mechanics=FULL, policies=policies) for k in range(25)) > 1000


def dividing(view, contact_type):
    best = -1
    for g in range(len(view.free)):
        share = view.busy[g] / view.present[g]  # nan where nobody is there
        if (
            view.takes[contact_type, g]
            and view.free[g] > 0
            and (best < 0 or share < view.busy[best] / view.present[best])
        ):
            best = g
    return best


def test_division_by_zero_is_the_same_in_both_engines():
    policies = bp.Policies(choose_group=dividing)
    with np.errstate(all="ignore"):
        assert sum(twin_run(k, policies=policies) for k in range(25)) > 1000


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_an_exception_in_a_policy_ends_the_run(engine):
    def beyond(view, contact_type):
        return view.free[99]

    with pytest.raises(bp.BposimError, match=r"a policy \(beyond\) raised an exception"):
        bp.simulate(bp.load_scenario(WORLD), replications=1, engine=engine, policies=bp.Policies(choose_group=beyond))


def test_long_stretches_without_a_closing():
    """Busy shares of agents who stay for months: products of milliseconds would not fit 64 bits."""
    world = bp.load_scenario(
        {
            "days": 80,
            "contact_types": {"a": {"arrivals": {"rate": "4/h"}, "handle_time": {"exponential": {"mean": "20min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 3}},
            "routing": {"agent_choice": "least-occupied"},
        }
    )
    from bposim.engines import build_model, build_source, draw, play
    from bposim.testing import assert_same_records

    model, draws = build_model(world), draw(build_source(world), 1, 0)
    assert_same_records(play(model, draws, "reference"), play(model, draws, "fast"))


def test_a_meeting_at_the_opening_takes_place():
    world = bp.load_scenario(
        {
            "opening_hours": {"daily": "08:00-10:00"},
            "contact_types": {"a": {"arrivals": {"rate": "1/h"}, "handle_time": {"deterministic": {"value": "1s"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": 4, "breaks": [{"at": "08:00", "length": "30min"}]}},
        }
    )
    agents = bp.simulate(world, replications=1).agents
    assert agents["working_s"].tolist() == [0, 7200, 7200, 7200]
    state = bp.State("2026-01-05 08:10")
    assert bp.simulate(world, replications=1, state=state).agents["working_s"].tolist() == [0, 7200, 7200, 7200]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"contact_types.a.transfers": [{"to": "b", "probability": 1.0}],
          "contact_types.b.transfers": [{"to": "a", "probability": 1.0}]}, "round for ever"),
        ({"contact_types.a.after_contact_work": "infinite"}, "after_contact_work of 'a' has no finite mean"),
        ({"contact_types.a.redial": {"after_abandonment": 0.5, "delay": "infinite"}}, "redial of 'a' has no finite mean"),
        ({"agent_groups.g.breaks": [{"at": "09:00", "length": "0s"}]}, "breaks.0.length"),
        ({"routing.delay": {"a": {"g": "3000d"}}}, "routing.delay of 'a' and 'g' must be at most 397 days"),
    ],
)  # fmt: skip
def test_what_would_never_end_is_refused(change, said):
    with pytest.raises(bp.BposimError, match=said):
        bp.load_scenario(WORLD).replace(change)


def test_work_beyond_what_the_engines_count_is_refused():
    world = bp.load_scenario(WORLD).replace({"contact_types.a.handle_time": {"deterministic": {"value": "500d"}}})
    with pytest.raises(bp.BposimError, match=r"handle_time of contact type 'a' drew a duration of 500 days"):
        bp.simulate(world, replications=1)


WORLD = {
    "contact_types": {
        "a": {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "3min"}}},
        "b": {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "3min"}}},
    },
    "agent_groups": {"g": {"skills": ["a", "b"], "heads": 7}, "h": {"skills": ["b"], "heads": 2}},
}


def test_a_policy_that_cannot_be_compiled_runs_in_the_reference_engine_and_says_so():
    notes = {}

    def remember(view, agent_group):
        notes[agent_group] = view.now_ms
        return most_waiting(view, agent_group)

    world = bp.load_scenario(WORLD)
    with pytest.warns(bp.BposimWarning, match=r"choose_type 'remember'.*reference engine"):
        slow = bp.simulate(world, replications=2, seed=3, workers=1, policies=bp.Policies(choose_type=remember))
    assert slow.provenance.inputs["engine"] == "reference" and notes
    quick = bp.simulate(world, replications=2, seed=3, policies=bp.Policies(choose_type=most_waiting))
    assert quick.provenance.inputs["engine"] == "fast"
    assert quick.intervals.equals(slow.intervals)


@pytest.mark.parametrize("engine", ["reference", "fast"])
def test_an_answer_outside_the_rules_is_refused(engine):
    world = bp.load_scenario(WORLD)
    with pytest.raises(bp.BposimError, match=r"choose_group \(seven\) returned 7 at \d+ ms"):

        def seven(view, contact_type):
            return 7

        bp.simulate(world, replications=1, engine=engine, policies=bp.Policies(choose_group=seven))
