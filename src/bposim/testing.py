"""For tests, yours and ours: random scenarios, comparisons of records, comparisons of simulations with exact values."""

from __future__ import annotations

from typing import Any

import numpy as np

from bposim.engines import Draws, Records, build_model, build_source, draw, play
from bposim.engines.draws import Source
from bposim.engines.model import FOREVER
from bposim.scenario import Scenario, load_scenario


def random_scenario(rng: np.random.Generator) -> Scenario:
    """Return a random small operation over all mechanics of the engines.

    Parameters
    ----------
    rng : numpy Generator
    """
    n_types, n_groups = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    types, groups = [f"type{k}" for k in range(n_types)], [f"group{k}" for k in range(n_groups)]
    hours = [
        {"daily": "00:00-24:00"},
        {"daily": ["08:00-09:00", "10:00-12:00"]},
        {"mon-fri": "09:00-11:30", "sat": "22:00-02:00"},
    ]
    handle = [
        {"exponential": {"mean": "3min"}},
        {"lognormal": {"mean": "90s", "cv": 1.4}},
        {"deterministic": {"value": "1min"}},
    ]
    patience: list[Any] = [
        "infinite", {"exponential": {"mean": "1min"}}, {"deterministic": {"value": "30s"}},
        {"mixture": [{"weight": 0.2, "deterministic": {"value": "0s"}}, {"weight": 0.8, "weibull": {"mean": "2min", "cv": 1.5}}]},
    ]  # fmt: skip
    skills = {g: [t for t in types if rng.random() < 0.6] for g in groups}
    for k, t in enumerate(types):
        if not any(t in s for s in skills.values()):
            skills[groups[k % n_groups]].append(t)
    for g in groups:
        skills[g] = skills[g] or [types[int(rng.integers(n_types))]]
        rng.shuffle(skills[g])
    spec: dict[str, Any] = {
        "name": "random",
        "time_zone": str(rng.choice(["UTC", "America/New_York"])),
        "start": str(rng.choice(["2026-03-06", "2026-06-05"])),
        "days": int(rng.integers(1, 4)),
        "opening_hours": hours[int(rng.integers(3))],
        "contact_types": {
            t: {
                "channel": str(rng.choice(["voice", "voice", "email"])),
                "arrivals": {"rate": f"{rng.uniform(2, 60):.1f}/h"},
                "handle_time": handle[int(rng.integers(3))],
                "patience": patience[int(rng.integers(4))],
                "priority": int(rng.integers(1, 3)),
            }
            | ({"queue_limit": int(rng.integers(0, 5))} if rng.random() < 0.3 else {})
            | ({"day_factor": {"gamma": {"cv": 0.2}}} if rng.random() < 0.3 else {})
            for t in types
        },
        "agent_groups": {
            g: {
                "skills": {t: float(rng.choice([1.0, 0.8, 1.3])) for t in skills[g]},
                "heads": int(rng.integers(0, 5)),
                "shrinkage": float(rng.choice([0.0, 0.3])),
            }
            for g in groups
        },
        "routing": {
            "contact_choice": str(rng.choice(["longest-wait", "skill-order"])),
            "agent_choice": str(rng.choice(["longest-idle", "preference"])),
        },
    }
    if rng.random() < 0.3:
        able = [g for g in groups if types[0] in skills[g]]
        rng.shuffle(able)
        spec["routing"]["preference"] = {types[0]: able}
    if rng.random() < 0.3:
        spec["queue_limit"] = int(rng.integers(0, 6))
    scenario = load_scenario(spec)
    heads = {g: rng.integers(0, 5, len(scenario.grid)).astype(float) for g in groups}
    return scenario.with_staffing(heads) if rng.random() < 0.7 else scenario


def coarsen(draws: Draws, step_ms: int) -> Draws:
    """Return draws on a coarse clock, full of simultaneous events."""
    from dataclasses import replace

    def down(values: np.ndarray) -> np.ndarray:
        return np.where(values < FOREVER, values // step_ms * step_ms, FOREVER)

    return replace(
        draws, arrival_ms=down(draws.arrival_ms), handle_ms=down(draws.handle_ms), patience_ms=down(draws.patience_ms)
    )


def assert_same_records(first: Records, second: Records) -> None:
    """Raise AssertionError naming the first contact, or change of presence, on which two engines differ."""
    for name in Records.__dataclass_fields__:
        a, b = getattr(first, name), getattr(second, name)
        if not np.array_equal(a, b):
            if a.shape != b.shape:
                raise AssertionError(f"{name}: {len(a)} rows against {len(b)}")
            row = int(np.flatnonzero(a != b)[0])
            raise AssertionError(f"{name} of row {row}: {a[row]} against {b[row]} ({int((a != b).sum())} rows differ)")


def twin_run(seed: int, *, coarse_ms: int | None = None, drain: str | None = None) -> int:
    """Play one random scenario in both engines, raise if they differ, and return the number of contacts."""
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng)
    model = build_model(scenario, drain=drain or str(rng.choice(["serve", "disconnect", "leave"])))
    source: Source = build_source(scenario)
    draws = draw(source, seed, 0)
    if coarse_ms:
        draws = coarsen(draws, coarse_ms)
    assert_same_records(play(model, draws, "reference"), play(model, draws, "fast"))
    return len(draws)


def close_to(
    value: float, low: float, high: float, expected: float, *, errors: float = 3.0, reference_error: float = 0.0
) -> bool:
    """Tell whether a simulated value agrees with an expected one: |difference| ≤ ``errors`` combined standard errors.

    Parameters
    ----------
    value, low, high : float
        Estimate and its 95 % interval, as ``summary()`` gives them.
    reference_error : float
        Standard error of the expected value itself, 0 for an exact one.
    """
    own = (high - low) / (2 * 1.96)
    return abs(value - expected) <= errors * float(np.hypot(own, reference_error))
