"""Shift plans: against exhaustive search, by their laws, and in the words of their conflicts."""

from __future__ import annotations

import sys
import types
from itertools import combinations_with_replacement, product

import numpy as np
import pandas as pd
import pytest

from bposim.errors import OptimiseError, ParameterError
from bposim.optimise import optimise_shifts, required_agents
from bposim.optimise._tours import tours
from bposim.scenario import ServiceLevel, load_scenario

SL = ServiceLevel(0.80, within="20s")


def world(shifts, groups=None, kinds=("q",), **more):
    types_ = {
        t: {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "4min"}},
            "patience": {"exponential": {"mean": "5min"}}} for t in kinds
    }  # fmt: skip
    groups = groups or {"g": {"skills": list(kinds), "cost_per_hour": 10}}
    spec = {"name": "w", "interval": "1h", "opening_hours": {"daily": "08:00-14:00"}, **more}
    return load_scenario({**spec, "contact_types": types_, "agent_groups": groups, "shifts": shifts})


def need_of(scenario, **rows):
    """Build a requirement by hand; ``a__b`` stands for the pool ``a+b``."""
    starts = scenario.grid.starts
    parts = [
        pd.DataFrame({"interval_start": starts, "contact_types": n.replace("__", "+"), "required": values})
        for n, values in rows.items()
    ]
    return pd.concat(parts, ignore_index=True)


def by_hand(scenario, need, most):
    """Search every multiset of up to ``most`` single shifts; presence is taken minute by minute."""
    single = []
    for p in scenario.shifts.values():
        for g in p.groups or scenario.agent_groups:
            group = scenario.agent_groups[g]
            price = p.paid / 3600 * group.cost_per_hour * p.premium if p.cost is None else p.cost
            for start in range(p.start[0], p.start[1] + 1, int(p.step // 60)):
                options = [
                    range(int(b.after[0] // 60), int(b.after[1] // 60) + 1, int(p.break_step // 60)) for b in p.breaks
                ]
                for offsets in product(*options):
                    here = np.zeros(1440, dtype=int)
                    here[start : start + int(p.length_s // 60)] = 1
                    for o, b in zip(offsets, p.breaks, strict=True):
                        here[start + o : start + o + int(b.length // 60)] = 0
                    whole = here.reshape(24, 60).min(axis=1)[8:14]
                    if (here[8 * 60 : 14 * 60]).any():
                        single.append((price, g, whole))
    wide = {n: f["required"].to_numpy() for n, f in need.groupby("contact_types")}
    best = np.inf
    for size in range(most + 1):
        for chosen in combinations_with_replacement(range(len(single)), size):
            cost = sum(single[k][0] for k in chosen)
            if cost >= best - 1e-9:
                continue
            covers = True
            for name, wanted in wide.items():
                can = {g for g, a in scenario.agent_groups.items() if set(a.skills) & set(name.split("+"))}
                have = np.zeros(6)
                for _, g, whole in (single[k] for k in chosen):
                    have += whole * (1 - scenario.agent_groups[g].shrinkage) * (g in can)
                covers = covers and bool((have >= wanted - 1e-6).all())
            if covers:
                best = cost
    return best


@pytest.mark.parametrize("seed", range(30))
def test_no_plan_is_cheaper_than_the_optimum_found(seed):
    rng = np.random.default_rng(seed)
    shifts = {
        "long": {"start": ["08:00", "09:00"], "step": "1h", "paid": "4h", "break_step": "1h",
                 "breaks": [{"after": ["1h", "3h"], "length": "1h"}]},
        "short": {"start": ["08:00", "12:00"], "step": "2h", "paid": "2h", "premium": float(rng.uniform(0.8, 1.6))},
    }  # fmt: skip
    if seed % 2:
        groups = {"x": {"skills": ["a"], "cost_per_hour": 10}, "y": {"skills": ["a", "b"], "cost_per_hour": 13}}
        scenario = world({"short": shifts["short"]}, groups, ("a", "b"))
        a, b = rng.integers(0, 2, 6), rng.integers(0, 2, 6)
        need = need_of(scenario, a=a, b=b, a__b=np.maximum(np.maximum(a, b), a + b - rng.integers(0, 2, 6)))
    else:
        groups = {"g": {"skills": ["q"], "cost_per_hour": 10, "shrinkage": float(rng.choice([0.0, 0.3, 0.5]))}}
        scenario = world(shifts, groups)
        need = need_of(scenario, q=rng.integers(0, 3, 6) * (0.7 if groups["g"]["shrinkage"] else 1.0))
    plan = optimise_shifts(need, scenario, gap=1e-9)
    assert plan.status == "optimal"
    heads = int(plan.shifts["heads"].sum())
    assert heads <= 6
    assert plan.cost == pytest.approx(by_hand(scenario, need, min(heads + 1, 6)))
    assert plan.coverage["under"].max() <= 1e-5


def test_breaks_in_separate_windows_are_paired_and_cover_what_the_plan_says():
    breaks = [{"after": ["30min", "90min"], "length": "30min"}, {"after": ["3h", "4h"], "length": "30min"}]
    full = {"start": "08:00", "paid": "5h", "break_step": "30min", "breaks": breaks}
    scenario = world({"full": full}, interval="30min")
    need = need_of(scenario, q=[3, 2, 2, 2, 3, 3, 2, 2, 2, 3, 3, 3])
    plan = optimise_shifts(need, scenario)
    assert plan.shifts["heads"].sum() == 3
    present = np.zeros(12)
    for row in plan.shifts.itertuples():
        here = np.zeros(1440, dtype=int)
        minute = row.start.hour * 60 + row.start.minute
        here[minute : minute + int((row.end - row.start).total_seconds() // 60)] = 1
        spans = [[60 * int(x[:2]) + int(x[3:]) for x in b.split("-")] for b in row.breaks.split(", ")]
        assert len(spans) == 2
        for low, high in spans:
            assert high - low == 30 and here[low:high].all()
            here[low:high] = 0
        present += row.heads * here.reshape(48, 30).min(axis=1)[16:28]
    assert plan.staffing["heads"].tolist() == present.tolist()
    assert plan.status == "optimal" and (present >= need["required"]).all()


def test_an_interval_counts_only_when_wholly_worked():
    scenario = world({"odd": {"start": "08:30", "paid": "3h"}})
    plan = optimise_shifts(need_of(scenario, q=[0, 1, 1, 0, 0, 0]), scenario)
    assert plan.staffing["heads"].tolist() == [0, 1, 1, 0, 0, 0]
    assert optimise_shifts(need_of(scenario, q=[1, 0, 0, 0, 0, 0]), scenario).status == "infeasible"


def test_scheduled_heads_carry_the_shrinkage():
    scenario = world({"day": {"start": "08:00", "paid": "6h"}}, {"g": {"skills": ["q"], "shrinkage": 0.3}})
    plan = optimise_shifts(need_of(scenario, q=[7] * 6), scenario)
    assert plan.staffing["heads"].tolist() == [10] * 6, "7 net are 10 scheduled, not 9.1"
    assert plan.coverage["covered"].tolist() == pytest.approx([7.0] * 6)
    assert plan.objective == "paid_hours" and (plan.value, plan.cost) == (60.0, 0.0)


def test_an_agent_with_two_skills_is_not_counted_twice():
    groups = {"both": {"skills": ["a", "b"], "cost_per_hour": 10}}
    scenario = world({"day": {"start": "08:00", "paid": "6h"}}, groups, ("a", "b"))
    alone = optimise_shifts(need_of(scenario, a=[5] * 6, b=[5] * 6), scenario)
    pooled = optimise_shifts(need_of(scenario, a=[5] * 6, b=[5] * 6, a__b=[9] * 6), scenario)
    assert (alone.shifts["heads"].sum(), pooled.shifts["heads"].sum()) == (5, 9)
    whole = optimise_shifts(required_agents(scenario, target=SL), scenario)
    frame = required_agents(scenario, target=SL).frame
    assert whole.shifts["heads"].sum() == frame.loc[frame["contact_types"] == "a+b", "required"].max()


NIGHT = {"night": {"start": "22:00", "paid": "8h"}, "day": {"start": "06:00", "paid": "16h"}}


def test_shifts_cross_midnight_and_the_evening_before_counts():
    scenario = world(NIGHT, opening_hours={"daily": "00:00-24:00"}, days=2)
    plan = optimise_shifts(need_of(scenario, q=[1] * 48), scenario)
    nights = plan.shifts[plan.shifts["shift"] == "night"]
    assert nights["day"].tolist() == [-1, 0, 1]
    assert plan.cost == 10 * (3 * 8 + 2 * 16)
    assert plan.staffing["heads"].tolist() == [1] * 48


def test_a_shift_begins_at_its_wall_clock_time_on_the_day_the_clock_changes():
    scenario = world({"day": {"start": "08:00", "paid": "6h"}}, time_zone="Europe/Paris", start="2026-03-28", days=2)
    plan = optimise_shifts(need_of(scenario, q=[1] * 12), scenario)
    assert [f"{s:%d %H:%M%z}" for s in plan.shifts["start"]] == ["28 08:00+0100", "29 08:00+0200"]


def test_days_are_solved_apart(monkeypatch):
    from bposim.optimise import _lp

    calls = []
    run = _lp._run
    monkeypatch.setattr(_lp, "_run", lambda *a: calls.append(len(a[0].cost)) or run(*a))
    scenario = world({"day": {"start": ["08:00", "10:00"], "step": "1h", "paid": "4h"}}, days=5)
    plan = optimise_shifts(need_of(scenario, q=[1, 2, 2, 2, 1, 1] * 4 + [2] * 6), scenario)
    assert calls == [3, 3] and plan.status == "optimal"


DAY = {"day": {"start": "08:00", "paid": "6h"}}


def relaxed(scenario, need, plan, **caps):
    """Relax exactly what the conflicts name and solve again."""
    need, shifts, caps = need.copy(), {k: p.model_dump() for k, p in scenario.shifts.items()}, dict(caps)
    changes = {}
    for row in plan.conflicts.itertuples():
        assert row.by_how_much > 0 and row.message.endswith(".")
        if row.kind in ("no_shift", "coverage"):
            here = (need["interval_start"] == row.interval_start) & need["contact_types"].map(
                lambda text, t=row.contact_type: t in text.split("+")
            )
            need["required"] = need["required"].astype(float)
            need.loc[here, "required"] = np.maximum(need.loc[here, "required"] - row.by_how_much, 0)
        elif row.kind == "head_cap":
            old = caps["max_heads"]
            if isinstance(old, dict):
                group = row.agent_groups
                caps["max_heads"] = {**old, group: max(old[group], int(row.limit + row.by_how_much))}
            else:
                caps["max_heads"] = max(old, int(row.limit + row.by_how_much))
        else:
            field, sign = ("max_heads", 1) if row.kind == "pattern_cap" else ("min_heads", -1)
            key = f"shifts.{row.shift}.{field}"
            value = int(row.limit + sign * row.by_how_much)
            worst = max if sign > 0 else min
            changes[key] = worst(changes.get(key, value), value)
    assert shifts
    return optimise_shifts(need, scenario.replace(changes) if changes else scenario, **caps)


INFEASIBLE = {
    "no shift at that hour": (
        world({"early": {"start": "08:00", "paid": "3h"}}), {"q": [1, 1, 1, 1, 0, 2]}, {},
        {"no_shift"}, "11:00: 1 agents for 'q' are missing; no shift of g covers it",
    ),
    "no shift on that weekday": (
        world({"early": {"start": "08:00", "paid": "6h", "days": "tue-sun"}}, days=2), {"q": [1] * 12}, {},
        {"no_shift"}, "Mon 2026-01-05 08:00",
    ),
    "too few on the pattern": (
        world({"day": {"start": "08:00", "paid": "6h", "max_heads": 3}}), {"q": [5] * 6}, {},
        {"pattern_cap"}, "max_heads of shift 'day' is 3, 2 too few. Raise it to 5.",
    ),
    "too few seats": (
        world(DAY), {"q": [4, 4, 6, 4, 4, 4]}, {"max_heads": 4},
        {"head_cap"}, "max_heads is 4, 2 too few for the requirement. Raise it to 6.",
    ),
    "too few of a group": (
        world(DAY, {"x": {"skills": ["a"]}, "y": {"skills": ["b"]}}, ("a", "b")), {"a": [3] * 6, "b": [1] * 6},
        {"max_heads": {"x": 2}}, {"head_cap"}, "max_heads of group 'x' is 2, 1 too few",
    ),
    "floor above the seats": (
        world({"day": {"start": "08:00", "paid": "6h", "min_heads": 7}}), {"q": [2] * 6}, {"max_heads": 5},
        {"pattern_floor", "head_cap"}, "2 too",
    ),
    "a break nobody fills": (
        world({"day": {"start": "08:00", "paid": "5h", "breaks": [{"after": "2h", "length": "1h"}]}}),
        {"q": [1] * 6}, {}, {"no_shift"}, "10:00",
    ),
    "a skill without shifts": (
        world({"day": {"start": "08:00", "paid": "6h", "groups": ["x"]}},
              {"x": {"skills": ["a"]}, "y": {"skills": ["b"]}}, ("a", "b")), {"a": [1] * 6, "b": [1] * 6}, {},
        {"no_shift"}, "no shift of y covers it",
    ),
    "caps on pattern and pool": (
        world({"day": {"start": "08:00", "paid": "6h", "max_heads": 3}},
              {"g": {"skills": ["a", "b"], "shrinkage": 0.25}}, ("a", "b")),
        {"a": [2] * 6, "b": [2] * 6, "a__b": [3.5] * 6}, {"max_heads": 4},
        {"pattern_cap", "head_cap"}, "Raise it to 5",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", INFEASIBLE)
def test_infeasible_names_its_cause_and_relaxing_it_is_enough(case):
    scenario, rows, caps, kinds, words = INFEASIBLE[case]
    need = need_of(scenario, **rows)
    plan = optimise_shifts(need, scenario, **caps)
    assert plan.status == "infeasible" and np.isnan(plan.cost) and plan.shifts.empty
    assert set(plan.conflicts["kind"]) <= kinds and len(plan.conflicts)
    assert plan.conflicts["message"].str.contains(words, regex=False).any(), plan.conflicts["message"].tolist()
    assert relaxed(scenario, need, plan, **caps).status == "optimal"


def test_shortage_and_excess_at_a_price():
    scenario = world({"day": {"start": "08:00", "paid": "6h"}})
    need = need_of(scenario, q=[1, 1, 1, 1, 1, 4])
    assert optimise_shifts(need, scenario).cost == 240
    priced = optimise_shifts(need, scenario, under_cost=25.0)
    assert (priced.cost, priced.value, priced.coverage["under"].sum()) == (60, 60 + 3 * 25, 3)
    tight = optimise_shifts(need, scenario, under_cost=25.0, over_cost=1.0)
    assert tight.value == priced.value and optimise_shifts(need, scenario, over_cost=1.0).value == 240 + 15


def test_shortage_of_a_type_also_fills_its_pool_once():
    groups = {"g": {"skills": ["a", "b"], "cost_per_hour": 10}}
    scenario = world({"day": {"start": "08:00", "paid": "6h"}}, groups, ("a", "b"))
    plan = optimise_shifts(need_of(scenario, a=[1] * 6, a__b=[1] * 6), scenario, under_cost=5.0)
    assert plan.value == 6 * 5.0


def test_pattern_floors_and_caps_hold():
    scenario = world({
        "a": {"start": ["08:00", "09:00"], "step": "1h", "paid": "4h", "max_heads": 2},
        "b": {"start": "08:00", "paid": "6h", "min_heads": 1, "cost": 500},
    }, days=2)  # fmt: skip
    plan = optimise_shifts(need_of(scenario, q=[0, 2, 2, 2, 0, 0] * 2), scenario)
    heads = plan.shifts.groupby(["day", "shift"])["heads"].sum()
    assert heads.to_dict() == {(0, "a"): 1, (0, "b"): 1, (1, "a"): 1, (1, "b"): 1}


def test_two_solvers_find_the_same_cost():
    breaks = [{"after": ["1h", "2h"], "length": "30min"}]
    scenario = world({
        "full": {"start": ["08:00", "10:00"], "step": "30min", "paid": "4h", "breaks": breaks},
        "part": {"start": ["08:00", "12:00"], "step": "30min", "paid": "2h", "premium": 1.2},
    }, interval="30min")  # fmt: skip
    need = required_agents(scenario, target=SL)
    one, two = (optimise_shifts(need, scenario, solver=s, gap=1e-9) for s in ("highs", "cbc"))
    assert one.status == two.status == "optimal" and one.cost == pytest.approx(two.cost)
    assert (one.solver, two.solver) == ("highs", "cbc")


def test_placements_that_cover_less_are_dropped_unless_presence_is_capped():
    scenario = world({"f": {"start": "08:00", "paid": "5h", "breaks": [{"after": ["1h", "3h"], "length": "1h"}]}})
    few, every = (tours(scenario, ["g"], keep_all=k)[0].windows[0] for k in (False, True))
    assert (len(few), len(every)) == (3, 5)


def test_too_many_placements_are_refused_with_the_way_out():
    many = [{"after": ["1h", "5h"], "length": "5min"} for _ in range(3)]
    scenario = world({"f": {"start": "08:00", "paid": "6h", "break_step": "5min", "breaks": many}})
    with pytest.raises(OptimiseError, match=r"117,649 placements .* Widen break_step"):
        optimise_shifts(need_of(scenario, q=[1] * 6), scenario)


def test_every_fault_is_reported_at_once():
    scenario = world(DAY)
    bad = need_of(scenario, q=[-1] * 6, z=[1] * 6)
    with pytest.raises(OptimiseError) as caught:
        optimise_shifts(bad, scenario, max_heads={"nobody": 3}, under_cost=-1)
    assert len(caught.value.problems) == 4
    with pytest.raises(OptimiseError, match="no shifts"):
        optimise_shifts(need_of(scenario, q=[1] * 6), world({}))
    other = need_of(scenario, q=[1] * 6).assign(interval_start=lambda f: f["interval_start"] + pd.Timedelta("9h"))
    with pytest.raises(OptimiseError, match="outside the scenario's open intervals"):
        optimise_shifts(other, scenario)
    with pytest.raises(ParameterError, match="Requirement"):
        optimise_shifts([1, 2], scenario)


def test_the_plan_staffs_the_scenario_it_was_made_for():
    scenario = world({"d": {"start": ["08:00", "10:00"], "step": "1h", "paid": "4h"}}, days=3)
    need = required_agents(scenario, target=SL)
    plan = optimise_shifts(need, scenario)
    staffed = scenario.with_staffing(plan.staffing)
    assert staffed.scheduled_heads("g").tolist() == plan.staffing["heads"].tolist()
    wide = plan.coverage
    assert (wide["covered"] >= wide["required"]).all()
    assert plan.provenance.parents == (need.provenance,) and plan.validation is None


def test_validation_is_asked_for_with_a_target_and_only_then(monkeypatch):
    asked = []

    def validate_plan(plan, scenario, target, *, confidence, volumes, seed):
        asked.append((target, confidence, volumes, seed))
        return plan.replace(status="met", validation="checked")

    fake = types.ModuleType("bposim.optimise.validate")
    fake.validate_plan = validate_plan
    monkeypatch.setitem(sys.modules, "bposim.optimise.validate", fake)
    scenario = world(DAY)
    need = need_of(scenario, q=[1] * 6)
    assert optimise_shifts(need, scenario).status == "optimal"
    assert optimise_shifts(need, scenario, target=SL, validate=False).status == "optimal"
    plan = optimise_shifts(need, scenario, target=SL, confidence=0.9, seed=5)
    assert (plan.status, plan.validation, asked) == ("met", "checked", [(SL, 0.9, None, 5)])
    assert optimise_shifts(need, scenario, target=SL, max_heads=0).status == "infeasible"


def test_pictures_and_words():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    scenario = world(DAY)
    plan = optimise_shifts(need_of(scenario, q=[1, 1, 1, 1, 1, 4]), scenario, under_cost=25.0)
    assert len(plan.plot().lines) == 2
    assert "optimal: cost 60.00" in repr(plan) and "day" in plan._repr_html_()
    stuck = optimise_shifts(need_of(scenario, q=[1] * 6), scenario, max_heads=0)
    assert "infeasible" in repr(stuck) and "Raise it to 1" in stuck._repr_html_()
    assert stuck.plot() is not None and stuck.summary()["conflicts"].item() == 1
