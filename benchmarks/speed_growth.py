"""How the cost of a contact grows with contacts, agents, types, groups and replications."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from run import table
from speed_checks import ERRORS, START, Checks, clocked, engines_differ, expected_of
from speed_programs import Line, world

import bposim as bp

HANDLE, PATIENCE = 5.0, 3.0
#: Standard deviation of a day's service level, the widest of these cases.
SPREAD = 0.045


@dataclass(frozen=True)
class Case:
    """One point of a curve.

    Attributes
    ----------
    level : float or None
        Service level by Erlang A where all agents are one pool; None compares the engines instead.
    replications : int or None
        None means as many as give enough contacts to time.
    """

    what: str
    size: float
    scenario: Any
    level: float | None
    replications: int | None = None


def level_of(rate: float, agents: int) -> float:
    """Return the service level of one pool."""
    return Line("", rate, agents, HANDLE, PATIENCE, 0.0).level()


def build(rate: float, types: int, groups: Sequence[tuple[Sequence[int], int]], **how: Any) -> Any:
    """Return a scenario whose types share a rate, and groups given by the types they take and their heads."""
    call = {"handle_time": {"exponential": {"mean": "5min"}}, "patience": {"exponential": {"mean": "3min"}}}
    return world(
        {f"type_{k}": {"arrivals": {"rate": f"{rate / types!r}/min"}, **call} for k in range(types)},
        {f"group_{g}": {"skills": [f"type_{k}" for k in kinds], "heads": n} for g, (kinds, n) in enumerate(groups)},
        **how,
    )


def pool(rate: float, agents: int, types: int = 1, **how: Any) -> tuple[Any, float]:
    """Return one pool of agents for all types, and its service level."""
    return build(rate, types, [(range(types), agents)], **how), level_of(rate, agents)


def cases(*, quick: bool) -> list[Case]:
    """Return every point to be timed."""
    found = [Case("contacts", 10_200, *pool(20.0, 102, hours="00:00-08:30"))]
    for d in (1, 2) if quick else (1, 3, 10, 35, 104, 347):
        found.append(Case("contacts", 28_800 * d, *pool(20.0, 102, days=d)))
    most = 1e4 if quick else 1.4e6
    for n in (10, 20) if quick else (10, 20, 50, 100, 200, 500, 1000, 2000, 5000):
        rate = 0.95 * n / HANDLE
        found.append(Case("agents", n, *pool(rate, n, days=max(1, round(most / (rate * 1440))))))
    days = 1 if quick else 10
    for k in (1, 5) if quick else (1, 2, 5, 10, 20, 50):
        found.append(Case("types", k, *pool(20.0, 102, k, days=days)))
    for g in (1, 4) if quick else (1, 2, 4, 8, 20, 40):
        # Each group takes its own share of eight types and the next group's, so that every type is covered.
        width = min(g, 8)
        groups = [([k for k in range(8) if k % width in {i % width, (i + 1) % width}], 120 // g) for i in range(g)]
        one_pool = g <= 2  # every group takes every type
        found.append(Case("groups", g, build(23.0, 8, groups, days=days), level_of(23.0, 120) if one_pool else None))
    for r in (1, 4) if quick else (1, 10, 100, 1000):
        found.append(Case("replications", r, *pool(20.0, 102), r))
    return found


def grow(checks: Checks, *, quick: bool) -> pd.DataFrame:
    """Time every case on one core."""
    rows = []
    enough, rounds = (2e4, 1) if quick else (1.5e6, 3)
    for case in cases(quick=quick):
        expected = expected_of(case.scenario)
        replications = case.replications or max(1, round(enough / expected))
        days = replications * sum(case.scenario.grid.hours) / 24
        tolerance = 3 * START + ERRORS * SPREAD / days**0.5
        bp.simulate(case.scenario, replications=1, workers=1)
        name, runs = f"growth in {case.what}, {case.size:,}", []
        for k in range(rounds):
            run, _ = clocked(
                name,
                lambda k=k, r=replications, s=case.scenario: bp.simulate(s, replications=r, seed=k, workers=1),
                replications * expected,
                case.level,
                tolerance,
            )
            runs.append(
                checks.take(run, further=engines_differ(name, case.scenario, k) if case.level is None and not k else ())
            )
        rows.append(
            {
                "what grows": case.what,
                "size": float(case.size),
                "contacts a replication": expected,
                "replications": replications,
                "ns a contact": 1e9 * float(np.median([r.seconds / r.outcome.contacts for r in runs])),
                "seconds a replication": float(np.median([r.seconds for r in runs])) / replications,
            }
        )
    return pd.DataFrame(rows)


def slope(x: Sequence[float], y: Sequence[float]) -> tuple[float, float]:
    """Return the slope of a straight line on log-log scales, and its R²."""
    a, b = np.log(np.asarray(x, dtype=float)), np.log(np.asarray(y, dtype=float))
    line = np.polyfit(a, b, 1)
    rest = b - np.polyval(line, a)
    return float(line[0]), float(1 - (rest @ rest) / ((b - b.mean()) @ (b - b.mean())))


def growth(checks: Checks, *, quick: bool) -> tuple[str, pd.DataFrame]:
    """How the cost grows, in words and numbers."""
    rows = grow(checks, quick=quick)
    by = {name: part for name, part in rows.groupby("what grows", sort=False)}
    first = by["contacts"]
    steep, fit = slope(first["contacts a replication"], first["seconds a replication"])
    agents = by["agents"].set_index("size")["ns a contact"]
    many, few = agents.index.max(), 20
    text = (
        "### Growth\n\nOne core, draws included, medians. A replication of 10⁴ to 10⁷ contacts on one line; 10 to 5,000 agents "
        "at 95 % load with the same number of contacts; 1 to 50 types that share one pool; 1 to 40 groups that share eight "
        "types; 1 to 1,000 replications of a day.\n\n"
        f"Seconds a replication against contacts: slope {steep:.3f} on log-log scales (R² {fit:.5f}; 1 is linear, target 0.95 "
        f"to 1.05). A contact at {many:,.0f} agents costs {agents[many] / agents[few]:.2f} times one at {few} (target at most "
        f"2.5).\n\n{table(rows)}"
    )
    return text, rows
