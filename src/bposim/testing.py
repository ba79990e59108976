"""For tests, yours and ours: random scenarios, comparisons of records, comparisons of simulations with exact values."""

from __future__ import annotations

from typing import Any

import numpy as np

from bposim.engines import Draws, Records, build_model, build_source, draw, play
from bposim.engines.model import FOREVER
from bposim.engines.source import Source
from bposim.scenario import Scenario, load_scenario

_HANDLE = (
    {"exponential": {"mean": "3min"}},
    {"lognormal": {"mean": "90s", "cv": 1.4}},
    {"deterministic": {"value": "1min"}},
)
_PATIENCE: tuple[Any, ...] = (
    "infinite", {"exponential": {"mean": "1min"}}, {"deterministic": {"value": "30s"}},
    {"mixture": [{"weight": 0.2, "deterministic": {"value": "0s"}},
                 {"weight": 0.8, "weibull": {"mean": "2min", "cv": 1.5}}]},
)  # fmt: skip
_HOURS = (
    {"daily": "00:00-24:00"},
    {"daily": ["08:00-09:00", "10:00-12:00"]},
    {"mon-fri": "09:00-11:30", "sat": "22:00-02:00"},
)
_CONTACT_CHOICES = ("longest-wait", "skill-order", "weighted-wait", "longest-queue", "fifo")
_AGENT_CHOICES = ("longest-idle", "preference", "most-free", "least-occupied", "random")


def random_scenario(rng: np.random.Generator, *, mechanics: float = 0.25) -> Scenario:
    """Return a random small operation over all mechanics of the engines.

    Parameters
    ----------
    rng : numpy Generator
    mechanics : float
        Probability with which each optional mechanic is in use; 0 leaves contacts that wait and agents who serve.
    """

    def maybe(p: float = mechanics) -> bool:
        return bool(rng.random() < p)

    def one_of(options: Any) -> Any:
        return options[int(rng.integers(len(options)))]

    n_types, n_groups = int(rng.integers(1, 5)), int(rng.integers(1, 5))
    types, groups = [f"type{k}" for k in range(n_types)], [f"group{k}" for k in range(n_groups)]
    skills = {g: [t for t in types if rng.random() < 0.6] for g in groups}
    for k, t in enumerate(types):
        if not any(t in s for s in skills.values()):
            skills[groups[k % n_groups]].append(t)
    for g in groups:
        skills[g] = skills[g] or [one_of(types)]
        rng.shuffle(skills[g])
    spec: dict[str, Any] = {
        "name": "random",
        "time_zone": one_of(["UTC", "America/New_York"]),
        "start": one_of(["2026-03-06", "2026-06-05"]),
        "days": int(rng.integers(1, 4)),
        "opening_hours": one_of(_HOURS),
        "contact_types": {t: _random_type(rng, t, types, maybe, one_of) for t in types},
        "agent_groups": {g: _random_group(rng, skills[g], maybe, one_of) for g in groups},
        "routing": {
            "contact_choice": one_of(_CONTACT_CHOICES if mechanics else _CONTACT_CHOICES[:2]),
            "agent_choice": one_of(_AGENT_CHOICES if mechanics else _AGENT_CHOICES[:2]),
        },
    }
    if spec["opening_hours"] != _HOURS[2]:
        slots = 48 if spec["opening_hours"] == _HOURS[0] else 6
        for body in spec["contact_types"].values():
            if maybe():
                body["handle_time"] = [one_of(_HANDLE) for _ in range(slots)]
            if maybe():
                body["patience"] = [one_of(_PATIENCE) for _ in range(slots)]
            if maybe():
                body["opening_hours"] = {"daily": "08:00-09:00"}
    routing = spec["routing"]
    if maybe(0.3):
        able = [g for g in groups if types[0] in skills[g]]
        rng.shuffle(able)
        routing["preference"] = {types[0]: able}
    pairs = [(t, g) for t in types for g in groups if t in skills[g]]
    if maybe():
        routing["group_rank"] = _nested((t, g, int(rng.integers(1, 3))) for t, g in pairs)
    if maybe():
        routing["type_rank"] = _nested((g, t, int(rng.integers(1, 3))) for t, g in pairs)
    if maybe():
        routing["weight"] = _nested((t, g, float(rng.choice([0.5, 1.0, 2.5]))) for t, g in pairs)
    if maybe():
        routing["delay"] = _nested((t, g, one_of(["0s", "10s", "1min"])) for t, g in pairs if rng.random() < 0.7)
    if maybe():
        spec["queue_limit"] = int(rng.integers(0, 6))
    if maybe():
        spec["trunks"] = int(rng.integers(1, 12))
    if any("site" in body for body in spec["agent_groups"].values()):
        spec["sites"] = {"north": _random_site(maybe, one_of)}
    if any("concurrency" in body for body in spec["agent_groups"].values()):
        for body in spec["contact_types"].values():
            body["transfers"] = [{"to": t["to"], "probability": t["probability"]} for t in body.get("transfers", ())]
    scenario = load_scenario(spec)
    if maybe(0.7) and not any(body.get("agents") for body in spec["agent_groups"].values()):
        scenario = scenario.with_staffing({g: rng.integers(0, 5, len(scenario.grid)).astype(float) for g in groups})
    return scenario


def _nested(rows: Any) -> dict[str, dict[str, Any]]:
    result: dict[str, dict[str, Any]] = {}
    for a, b, value in rows:
        result.setdefault(a, {})[b] = value
    return result


def _random_type(rng: np.random.Generator, name: str, types: list[str], maybe: Any, one_of: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "channel": one_of(["voice", "voice", "email", "chat"]),
        "arrivals": {"rate": f"{rng.uniform(2, 60):.1f}/h"},
        "handle_time": one_of(_HANDLE),
        "patience": one_of(_PATIENCE),
        "priority": int(rng.integers(1, 3)),
    }
    if maybe():
        body["queue_limit"] = int(rng.integers(0, 5))
    if maybe():
        body["day_factor"] = {"gamma": {"cv": 0.2}}
    if maybe():
        body["handle_day_factor"] = {"gamma": {"cv": 0.1}}
    if maybe():
        body["credit"] = one_of(["10s", "90s"])
    if maybe():
        body["after_contact_work"] = one_of(({"exponential": {"mean": "30s"}}, {"deterministic": {"value": "1min"}}))
    if maybe():
        body["balking"] = [{"queue": 1, "probability": 0.3}, {"queue": 3, "probability": 0.8}]
        body["balking_queue"] = one_of(["type", "all"])
    if maybe():
        body["redial"] = {
            "after_abandonment": 0.6, "after_blocking": 0.8, "delay": one_of(_HANDLE), "at_most": int(rng.integers(1, 5)),
        }  # fmt: skip
        if rng.random() < 0.3:
            body["redial"]["to"] = one_of(types)
    if maybe():
        body["callback"] = {"expected_wait": one_of(["30s", "3min"]), "acceptance": 0.6, "to": one_of(types)}
    if maybe():
        to = one_of(types)
        warm = rng.random() < 0.5
        body["transfers"] = [{"to": to, "probability": 0.3, "mode": "warm" if warm else "cold"}]
        if warm and rng.random() < 0.7:
            body["transfers"][0]["handover"] = one_of(["20s", "1min"])
        if rng.random() < 0.4:
            body["transfers"].append({"to": one_of(types), "probability": 0.2})
    return body


def _random_group(rng: np.random.Generator, skills: list[str], maybe: Any, one_of: Any) -> dict[str, Any]:
    body: dict[str, Any] = {
        "skills": {t: float(rng.choice([1.0, 0.8, 1.3])) for t in skills},
        "heads": int(rng.integers(0, 5)),
        "shrinkage": float(rng.choice([0.0, 0.3])),
    }
    if maybe():
        body["reserve"] = {t: int(rng.integers(0, 3)) for t in skills}
    if maybe():
        body["absence"], body["absence_correlation"] = 0.2, float(rng.choice([0.0, 0.3]))
    if maybe():
        body["adherence"] = 0.8
    if maybe():
        body["breaks"] = [{"at": at, "length": "17min", "share": 0.6} for at in ("08:00", "08:10", "10:30", "11:00")]
    if maybe():
        body["site"] = "north"
    if maybe(0.5 * float(maybe(1.0))) and maybe():
        body["concurrency"] = {"contacts": 3, "pace": [1.0, 0.8, 0.55]}
    if maybe():
        body.pop("adherence", None)
        body["heads"], body["shrinkage"] = 0, 0.0
        body["breaks"] = []
        spell = {"days": "mon-fri", "start": "08:00", "end": "11:00"}
        lunch = [{"at": "10:05", "length": "25min"}]
        body["agents"] = {
            "ana": {"speed": 0.8, "schedule": spell},
            "ben": {"schedule": [spell | {"breaks": lunch}, {"days": "sat,sun", "start": "22:30", "end": "01:00"}]},
            "cem": {"speed": 1.3, "schedule": {"start": "10:30", "end": "12:00", "breaks": lunch}},
        }
    return body


def _random_site(maybe: Any, one_of: Any) -> dict[str, Any]:
    site: dict[str, Any] = {"time_zone": one_of(["Asia/Manila", "America/New_York"])}
    if maybe(0.5):
        site["closed"] = ["2026-03-07", "2026-06-06"]
    if maybe(0.3):
        site["opening_hours"] = {"daily": "06:00-23:00"}
    if maybe(0.5):
        length = {"exponential": {"mean": "20min"}}
        site["outages"] = [{"every": {"exponential": {"mean": "3h"}}, "length": length, "share": 0.5}]
    if maybe(0.5):
        site.setdefault("outages", []).append({"start": "2026-06-05 10:40", "length": "30min"})
    return site


def coarsen(draws: Draws, step_ms: int) -> Draws:
    """Return draws on a coarse clock, full of simultaneous events."""
    from dataclasses import replace

    def down(values: np.ndarray) -> np.ndarray:
        return np.where((values >= 0) & (values < FOREVER), values // step_ms * step_ms, values)

    names = ("arrival_ms", "handle_ms", "patience_ms", "after_ms", "gap_ms")
    again = draws.again
    columns: dict[str, Any] = {name: down(getattr(draws, name)) for name in names}
    return replace(draws, again=None if again is None else lambda pool: coarsen(again(pool), step_ms), **columns)


def assert_same_records(first: Records, second: Records) -> None:
    """Raise AssertionError naming the first contact, or change of presence, on which two engines differ."""
    for name in Records.__dataclass_fields__:
        a, b = getattr(first, name), getattr(second, name)
        if not np.array_equal(a, b):
            if a.shape != b.shape:
                raise AssertionError(f"{name}: {len(a)} rows against {len(b)}")
            row = int(np.flatnonzero(a != b)[0])
            raise AssertionError(f"{name} of row {row}: {a[row]} against {b[row]} ({int((a != b).sum())} rows differ)")


def twin_run(
    seed: int, *, coarse_ms: int | None = None, drain: str | None = None, mechanics: float = 0.25, policies: Any = None
) -> int:
    """Play one random scenario in both engines, raise if they differ, and return the number of contacts.

    Parameters
    ----------
    seed : int
        Names the scenario and its luck.
    coarse_ms : int, optional
        Round all instants down to this step: a clock full of simultaneous events.
    drain : str, optional
        As in ``simulate()``; random by default.
    mechanics : float
        As in :func:`random_scenario`.
    policies : Policies, optional
    """
    rng = np.random.default_rng(seed)
    scenario = random_scenario(rng, mechanics=mechanics)
    model = build_model(scenario, policies=policies, drain=drain or str(rng.choice(["serve", "disconnect", "leave"])))
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
