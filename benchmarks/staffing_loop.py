"""Staffing with the simulator in the loop: published instances, a large week, small worlds enumerated, and whether "met" is true.

python benchmarks/staffing_loop.py [i3 | i4 | week | small | promise] [COUNT]
"""

from __future__ import annotations

import os
import sys
import time
from itertools import product
from typing import Any

import numpy as np
import pandas as pd

import bposim as bp
from bposim.optimise._goals import goals_of
from bposim.optimise.proof import prove_plan
from bposim.simulate import simulate

#: Rates an hour of the small instance of Avramidis, Chan, Gendreau, L'Ecuyer & Pisacane (2010), by quarter hour from 8:00.
TYPE_1 = [
    84.5, 83.1, 97.7, 111.5, 134.6, 141.4, 152.5, 155.5, 158.6, 159.7, 159.7, 159.7, 159.7, 157.2, 156.6, 155.3, 144.4, 139.4,
    142.5, 144.2, 142.5, 147.3, 144.2, 144.2, 137.7, 138.3, 138.3, 136.3, 137.7, 137.7, 138.3, 144.2, 143.7, 143.7, 139.2, 126.5,
]  # fmt: skip
TYPE_2 = [22.3, 21.1, 25.4, 28.5, 35.5, 38.6, 40.3, 40.3, *[41.4] * 6, 39.2, 39.2, *[38.6] * 15, *[39.2] * 5]
#: Paid hours, starts, and starts of the three breaks of its shifts, in minutes of the day.
FAMILIES = [
    (7.5, [480, 540], [600, 615], [720, 780], [855, 870]),
    (8.0, [480, 510, 540], [630, 660], [750, 780], [870, 900]),
    (8.5, [480, 510], [615, 645], [720, 780], [870, 885]),
    (9.0, [480], [630, 660], [750, 780, 810], [900, 915, 930]),
]


def clock(minute: int) -> str:
    """Return a wall-clock time."""
    return f"{minute // 60:02d}:{minute % 60:02d}"


def shifts_of_two_skills() -> bp.Scenario:
    """Return the small instance of Avramidis et al.: 74 shifts for each of two groups."""
    shifts: dict[str, Any] = {}
    for hours, starts, one, two, three in FAMILIES:
        for start, a, b, c in product(starts, one, two, three):
            name = f"{hours:g}h {clock(start)} {clock(a)} {clock(b)} {clock(c)}"
            breaks = [
                {"after": f"{at - start}min", "length": f"{length}min", "paid": True}
                for at, length in ((a, 15), (b, 30), (c, 15))
            ]
            for group, skills in (("one", 1), ("two", 2)):
                shifts[f"{name} {group}"] = {
                    "start": clock(start), "paid": f"{int(hours * 60)}min", "breaks": breaks, "break_step": "15min",
                    "groups": [group], "cost": (1 + 0.2 * (skills - 1)) * hours * 4 / 30,
                }  # fmt: skip
    assert len(shifts) == 2 * 74
    handling = {"handle_time": {"exponential": {"mean": "450s"}}, "patience": {"exponential": {"mean": "10min"}}}
    types = {
        name: {"arrivals": {"per_interval": [r / 4 for r in rates]}, **handling}
        for name, rates in (("first", TYPE_1), ("second", TYPE_2))
    }
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "two skills", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "interval": "15min", "opening_hours": {"daily": "08:00-17:00"}, "contact_types": types,
        "agent_groups": {"one": {"skills": ["first"], "heads": 0}, "two": {"skills": ["second", "first"], "heads": 0}},
        "shifts": shifts,
    })  # fmt: skip


def six_groups() -> bp.Scenario:
    """Return the small centre of Pot, Bhulai & Koole (2008): three types, six groups, unit costs, a day that never closes."""
    speed = {
        "g1": {"a": 0.20}, "g2": {"b": 0.18}, "g3": {"a": 0.19, "b": 0.17}, "g4": {"a": 0.19, "c": 0.16},
        "g5": {"b": 0.17, "c": 0.16}, "g6": {"a": 0.18, "b": 0.16, "c": 0.15},
    }  # fmt: skip
    mean = {"a": 1 / 0.20, "b": 1 / 0.18, "c": 1 / 0.16}
    types = {
        t: {"arrivals": {"rate": f"{rate}/min"}, "handle_time": {"exponential": {"mean": f"{60 * mean[t]}s"}}}
        for t, rate in (("a", 1.0), ("b", 1.5), ("c", 2.0))
    }
    groups = {
        g: {"skills": {t: 1 / mu / mean[t] for t, mu in skills.items()}, "heads": 0, "cost_per_hour": 1 / 24}
        for g, skills in speed.items()
    }
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "six groups", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "interval": "60min", "opening_hours": {"daily": "00:00-24:00"}, "contact_types": types, "agent_groups": groups,
        "routing": {"contact_choice": "longest-wait", "preference": {
            "a": ["g1", "g3", "g4", "g6"], "b": ["g2", "g3", "g5", "g6"], "c": ["g4", "g5", "g6"],
        }},
        "shifts": {"all day": {"start": "00:00", "paid": "24h"}},
    })  # fmt: skip


def large_week() -> bp.Scenario:
    """Return a week of quarter hours with eight types, six groups, about 300 agents and about 12,000 shifts a day."""
    shape = np.interp(np.arange(56) / 4 + 7, [7, 9, 11, 13, 15, 18, 21], [0.3, 0.9, 1.0, 0.85, 0.95, 0.6, 0.2])
    week = [1.1, 1.05, 1.0, 0.98, 0.95, 0.6, 0.5]
    size = [900, 720, 560, 450, 380, 300, 240, 180]
    names = [f"type {k + 1}" for k in range(8)]
    days = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    types = {
        name: {
            "arrivals": {
                "per_interval": {d: (n * f * shape / 4).round(3).tolist() for d, f in zip(days, week, strict=True)}
            },
            "day_factor": {"gamma": {"cv": 0.08}},
            "handle_time": {"lognormal": {"mean": f"{240 + 30 * (k % 4)}s", "cv": 0.8}},
            "patience": {"exponential": {"mean": "300s"}},
        }
        for k, (name, n) in enumerate(zip(names, size, strict=True))
    }
    skills = [[0, 1], [1, 2, 3], [2, 3, 4], [4, 5], [5, 6, 7], [0, 3, 6, 7]]
    groups = {
        f"group {g + 1}": {
            "skills": [names[k] for k in mine],
            "heads": 0,
            "shrinkage": 0.1,
            "cost_per_hour": 20 + len(mine),
        }
        for g, mine in enumerate(skills)
    }
    shifts = {
        f"{hours} h": {
            "start": ["07:00", clock(21 * 60 - round((hours + 0.5) * 60))], "step": "60min", "paid": f"{hours}h",
            "breaks": [
                {"after": ["60min", "105min"], "length": "15min", "paid": True},
                {"after": [f"{hours * 30 - 30}min", f"{hours * 30 + 30}min"], "length": "30min"},
                {"after": [f"{hours * 60 - 90}min", f"{hours * 60 - 45}min"], "length": "15min", "paid": True},
            ],
            "break_step": "15min",
        }
        for hours in (6, 7, 8, 9)
    }  # fmt: skip
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "large week", "time_zone": "UTC", "start": "2026-03-02", "days": 7,
        "interval": "15min", "opening_hours": {"daily": "07:00-21:00"}, "contact_types": types, "agent_groups": groups,
        "shifts": shifts,
    })  # fmt: skip


def patterns(scenario: bp.Scenario) -> int:
    """Return the shifts that may be worked: start, length, breaks and group, of one day."""
    from bposim.optimise._tours import tours

    every = tours(scenario, list(scenario.agent_groups), keep_all=True)
    return sum(int(np.prod([len(w) for w in t.windows])) for t in every if t.day == 0)


def shown(name: str, plan: Any, began: float) -> dict[str, Any]:
    """Return one row of the table."""
    frame = (
        plan.validation.frame if plan.validation is not None else pd.DataFrame({"mean": [np.nan], "ci_low": [np.nan]})
    )
    return {
        "instance": name, "status": plan.status, "cost": plan.cost, "bound": plan.bound, "gap": plan.gap,
        "worst_mean": frame["mean"].min(), "worst_ci_low": frame["ci_low"].min(),
        "plans_played": len(plan.trail) if plan.trail is not None else 0, "seconds": time.monotonic() - began,
    }  # fmt: skip


def i3(seed: int = 1) -> dict[str, Any]:
    """Run the six groups; the proof on a run of its own: 200 days without the first two hours."""
    world, began = six_groups(), time.monotonic()
    target = bp.ServiceLevel(0.80, within="20s", window="all")
    plan = bp.optimise_staffing(world, target, warm_up="2h", seed=seed, progress=print)
    return shown("six groups (Pot, Bhulai & Koole 2008)", plan, began)


def i4(seed: int = 1, limit: float = 840.0) -> dict[str, Any]:
    """Run the two skills; every cell on 20,000 fresh days."""
    world, began = shifts_of_two_skills(), time.monotonic()
    target = {t: bp.ServiceLevel(0.80, within="20s", window="all") for t in world.contact_types}
    plan = bp.optimise_staffing(
        world, target, each="interval", validation=4000, time_limit=limit, seed=seed, progress=print
    )
    row = shown("two skills (Avramidis et al. 2010)", plan, began)
    goals = goals_of(world, target, None, "interval")
    fresh = {"volumes": None, "seed": seed + 50_000_000, "replications": 20_000, "patience": 1, "options": {}}
    checked = prove_plan(plan, world, goals, **fresh)
    row |= {
        "worst_mean": checked.validation.frame["mean"].min(),
        "worst_ci_low": checked.validation.frame["ci_low"].min(),
    }
    return row


def week(seed: int = 1) -> dict[str, Any]:
    """Run the large week: 80 % within 20 s of each type over the week."""
    world = large_week()
    print(f"{patterns(world):,} shifts a day")
    began = time.monotonic()
    target = {t: bp.ServiceLevel(0.80, within="20s", window="week") for t in world.contact_types}
    plan = bp.optimise_staffing(world, target, validation=100, seed=seed, progress=print)
    peak = plan.staffing.groupby("interval_start")["heads"].sum().max()
    print(f"peak {peak} agents")
    return shown("large week", plan, began)


def random_world(rng: np.random.Generator) -> bp.Scenario:
    """Return a random line of two to four hours with two or three shifts, day factor and patience."""
    hours = int(rng.integers(2, 5))
    rate, mean, cv = rng.uniform(40, 240), rng.uniform(120, 420), rng.uniform(0.0, 0.25)
    shape = rng.uniform(0.5, 1.2, 2 * hours)
    kind: dict[str, Any] = {
        "arrivals": {"per_interval": (rate / 2 * shape).round(2).tolist()},
        "handle_time": {"lognormal": {"mean": f"{mean:.0f}s", "cv": float(rng.uniform(0.6, 1.3))}},
        "patience": {"exponential": {"mean": f"{rng.uniform(60, 600):.0f}s"}},
    }
    if cv > 0.03:
        kind["day_factor"] = {"gamma": {"cv": float(cv)}}
    shifts = {f"{k}": {"start": f"{9 + k:02d}:00", "paid": f"{min(2, hours - k)}h"} for k in range(hours)}
    return bp.load_scenario({
        "schema": "bposim/scenario/1", "name": "random", "time_zone": "UTC", "start": "2026-03-02", "days": 1,
        "interval": "30min", "opening_hours": {"daily": f"09:00-{9 + hours:02d}:00"}, "contact_types": {"calls": kind},
        "agent_groups": {"desk": {"skills": ["calls"], "heads": 0, "cost_per_hour": 20}}, "shifts": shifts,
    })  # fmt: skip


def in_turn(study: Any, count: int, *more: Any) -> pd.DataFrame:
    """Return the rows of so many worlds, played on all cores."""
    from joblib import Parallel, delayed

    rows = []
    for row in Parallel(n_jobs=-1, return_as="generator")(delayed(alone)(study, k, *more) for k in range(count)):
        rows.append(row)
        print(row, flush=True)
    return pd.DataFrame(rows)


def alone(study: Any, k: int, *more: Any) -> dict[str, Any]:
    """Keep this process to one core from its first world on: two that use both wait for each other."""
    if hasattr(os, "sched_getaffinity") and len(cores := sorted(os.sched_getaffinity(0))) > 1:
        os.sched_setaffinity(0, {cores[k % len(cores)]})
    row: dict[str, Any] = study(k, *more)
    return row


def promised(k: int, fresh: int) -> dict[str, Any]:
    """Ask for a probability of 0.95 in a random world, and see how often it is kept on fresh replications."""
    rng = np.random.default_rng(k)
    world = random_world(rng)
    target = bp.ServiceLevel(round(float(rng.uniform(0.7, 0.9)), 2), within="20s", window="day")
    plan = bp.optimise_staffing(world, target, confidence=0.95, seed=k, validation=1000, time_limit=120)
    need = bp.required_agents(world, target=target, method="erlang-c", day_factor=False)
    spread = bp.optimise_shifts(need, world, validate=False)
    row = {"world": k, "status": plan.status, "cost": plan.cost, "erlang_c_cost": spread.cost}
    for name, staffing in (("probability", plan.staffing), ("erlang_c_probability", spread.staffing)):
        runs = simulate(
            world, staffing=staffing, replications=fresh, seed=90_000_000 + k, within="20s", progress=False, workers=1
        )
        values = runs.windows("service_level", "day", within="20s")["value"].dropna()
        row[name] = float((values >= target.level).mean())
    return row


def promise(count: int = 200, fresh: int = 5000) -> pd.DataFrame:
    """Return whether "met" is true in random worlds."""
    return in_turn(promised, count, fresh)


def promise_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the random worlds show."""
    met = rows[rows["status"] == "met"]
    both = met[met["erlang_c_probability"] >= 0.95]
    return pd.DataFrame([{
        "worlds": len(rows), "met": len(met), "kept (above 0.935)": (met["probability"] > 0.935).mean(),
        "least": met["probability"].min(), "Erlang C kept": int((rows["erlang_c_probability"] >= 0.95).sum()),
        "cost where both": both["cost"].mean(), "Erlang C cost there": both["erlang_c_cost"].mean(),
    }])  # fmt: skip


def compared(k: int) -> dict[str, Any]:
    """Compare with the best plan of an enumeration, in expectation, and two solvers with each other."""
    rng = np.random.default_rng(1000 + k)
    world = random_world(rng)
    while len(world.shifts) > 3:
        world = random_world(rng)
    target = bp.ServiceLevel(0.80, within="20s", window="all")
    plans = [
        bp.optimise_staffing(world, target, seed=k, solver=s, gap=1e-6, validation=2000, time_limit=120)
        for s in ("highs", "cbc")
    ]
    best = enumerated(world, target, max(plans, key=lambda p: p.cost), k)
    return {"world": k, "highs": plans[0].cost, "cbc": plans[1].cost, "enumeration": best,
            "met": all(p.status == "met" for p in plans)}  # fmt: skip


def small(count: int = 50) -> pd.DataFrame:
    """Return what the enumeration of random small worlds says."""
    return in_turn(compared, count)


def enumerated(world: bp.Scenario, target: Any, plan: Any, seed: int) -> float:
    """Return the least cost, at or below a plan's, of shifts that the proof of :func:`bposim.optimise_staffing` accepts.

    Shifts that lie five standard errors below the target on 60 or on 600 replications are not proven; all others are, cheaper
    and cheaper, until a whole level of cost holds none. What 8,000 replications leave undecided is judged on 32,000 others.
    """
    from bposim.optimise._shift_model import Limits, ShiftModel
    from bposim.optimise._tours import tours

    every = tours(world, ("desk",), keep_all=True)
    model = ShiftModel(world, {"calls": ("desk",)}, every, Limits({}, None, 0.0, None), free=False)
    cost = np.array(model.model.cost)
    (goal,) = goals_of(world, target, None, "horizon")
    ceiling = plan.cost
    plans = [x for x in product(*(range(int(ceiling // c) + 1) for c in cost)) if np.dot(x, cost) <= ceiling + 1e-9]
    levels = sorted({round(float(np.dot(x, cost)), 6) for x in plans}, reverse=True)
    looks = [
        simulate(
            world, staffing={"desk": 1}, replications=n, seed=70_000_000 + seed, within=target.within_s, progress=False
        )
        for n in (60, 600)
    ]

    def accepted(x: tuple[int, ...]) -> bool:
        heads = model.staffed(np.array(x, dtype=float))["desk"]
        for look in looks:
            parts = goal.parts(look.restaffed({"desk": heads.tolist()}))
            if goal.values(parts)[0] + 5 * goal.errors(parts)[0] < target.level:
                return False
        tried = plan.replace(status="stopped", staffing=plan.staffing.assign(heads=heads))
        proof = {"volumes": None, "seed": 80_000_000 + seed, "options": {}}
        said = prove_plan(tried, world, [goal], replications=2000, **proof)
        if said.status != "met" and said.validation.status == "undecided":
            said = prove_plan(tried, world, [goal], replications=8000, **proof | {"seed": 90_000_000 + seed})
        return bool(said.status == "met")

    best = ceiling
    for level in levels:
        if not any(accepted(x) for x in plans if abs(np.dot(x, cost) - level) < 1e-6):
            break
        best = level
    return best


def small_table(rows: pd.DataFrame) -> pd.DataFrame:
    """Return what the small worlds show."""
    plans = rows[["highs", "cbc"]]
    return pd.DataFrame([{
        "worlds": len(rows), "met": int(rows["met"].sum()), "as cheap as enumeration": int((plans.max(axis=1) <= rows["enumeration"] + 1e-6).sum()),
        "solvers agree": int((plans["highs"] - plans["cbc"]).abs().lt(1e-6).sum()),
        "largest excess": float((plans.max(axis=1) / rows["enumeration"] - 1).max()),
    }])  # fmt: skip


RUNS = {"i3": i3, "i4": i4, "week": week}

if __name__ == "__main__":
    from staffing_loop import promise, small  # by its name, for other processes to find it

    which = sys.argv[1] if len(sys.argv) > 1 else "i3"
    number = int(sys.argv[2]) if len(sys.argv) > 2 else None
    if which in RUNS:
        print(pd.DataFrame([RUNS[which](*([] if number is None else [number]))]).to_string(index=False))
    elif which == "small":
        table = small(number or 50)
        print(table.to_string(index=False))
        print(small_table(table).to_string(index=False))
    else:
        print(promise_table(promise(number or 200)).to_string(index=False))
