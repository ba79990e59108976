"""What a history really had, on a scenario's grid: the contacts that came, and the agents who were there, by the minute."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.absence import net_of_absence
from bposim.calibrate.kept import without_followups
from bposim.calibrate.presence import heads_on_grid, presence_spans, skills_of
from bposim.units import WEEKDAYS

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Step of a replay: agents come and go within a half hour, and a queue notices.
STEP_S = 60.0
#: Days above which a replay keeps to the scenario's own intervals.
MOST_DAYS = 62


def observed_volumes(contacts: pd.DataFrame, scenario: Scenario) -> tuple[pd.DataFrame, np.ndarray]:
    """Count contacts by type and interval of a scenario.

    Returns
    -------
    volumes : DataFrame
        ``contact_type, interval_start, contacts`` for every type and open interval.
    inside : ndarray of bool, shape (n_contacts,)
        Which contacts came in open hours and are of a type that the scenario knows.
    """
    grid = scenario.grid
    at = pd.DatetimeIndex(contacts["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    start_ms = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    i = np.maximum(np.searchsorted(start_ms, at, side="right") - 1, 0)
    name = contacts["contact_type"].astype(str)
    inside = name.isin(list(scenario.contact_types)).to_numpy() & (at >= start_ms[i]) & (at < start_ms[i] + length[i])
    volumes = []
    for t in scenario.contact_types:
        count = np.bincount(i[inside & (name == t).to_numpy()], minlength=len(grid))
        volumes.append(
            pd.DataFrame({"contact_type": t, "interval_start": grid.starts, "contacts": count.astype(np.int64)})
        )
    return pd.concat(volumes, ignore_index=True), inside


def refined(scenario: Scenario, step_s: float, **changes: Any) -> Scenario:
    """Return a scenario on a finer grid, its lists over intervals stretched; the heads are left to a staffing.

    Parameters
    ----------
    scenario : Scenario
    step_s : float
        A part of the scenario's interval; the interval itself where it is none.
    **changes
        Further changes, as in ``scenario.replace``.
    """
    parts = scenario.interval / step_s
    times = round(parts) if abs(parts - round(parts)) < 1e-9 and parts > 1 else 1
    new: dict[str, Any] = {"interval": f"{scenario.interval / times:g}s"}
    for t, kind in scenario.contact_types.items():
        if kind.arrivals.per_interval is not None:
            new[f"contact_types.{t}.arrivals"] = {
                "per_interval": {
                    WEEKDAYS[d]: list(np.repeat(np.array(v) / times, times)) if len(v) > 1 else [v[0] / times]
                    for d, v in kind.arrivals.per_interval.items()
                }
            }
        for field in ("handle_time", "patience", "after_contact_work"):
            laws = getattr(kind, field)
            if laws is not None and len(laws) > 1:
                new[f"contact_types.{t}.{field}"] = [law.to_spec() for law in laws for _ in range(times)]
    for g, body in scenario.agent_groups.items():
        if not body.agents:
            new[f"agent_groups.{g}.heads"] = 0
    return scenario.replace(new | changes)


def as_seen(scenario: Scenario) -> Scenario:
    """Return a scenario for playing heads that were seen at work: nobody is absent, on a break or named.

    Heads of a plan are gross of shrinkage, absence, adherence and breaks; heads seen at work are net of them.
    """
    named = {f"agent_groups.{g}.agents": None for g, body in scenario.agent_groups.items() if body.agents}
    lost = {f"agent_groups.{g}.shrinkage": None for g, body in scenario.agent_groups.items() if body.shrinkage}
    return net_of_absence(scenario.replace(named | lost) if named or lost else scenario)


def replay_world(
    scenario: Scenario, first: date, days: int, closed: Any, *, step_s: float = STEP_S
) -> tuple[Scenario, Scenario]:
    """Return the scenario of a stretch of history, on its own grid and on the fine one of a replay.

    Without day factors of contacts, redials, transfers and call-backs: what came is known, how long it took is not.
    """
    changes: dict[str, Any] = {
        "start": first, "days": days, "day_factor": None, "closed": sorted({*scenario.closed, *closed})
    }  # fmt: skip
    changes |= {f"contact_types.{t}.day_factor": None for t in scenario.contact_types}
    # The redials, transfers and call-backs among the contacts that came have come already.
    changes |= without_followups(scenario)
    own = scenario.replace(changes)
    n_open = len(np.unique(own.grid.day))
    return own, own if n_open > MOST_DAYS else refined(own, step_s)


def observed_staffing(
    contacts: pd.DataFrame, scenario: Scenario, *, wrap_up_s: float, gap_s: float | None, grouped: bool
) -> tuple[dict[str, np.ndarray], pd.DataFrame]:
    """Return heads on duty in every interval of a scenario by group, and the spans of presence that they count."""
    grid = scenario.grid
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    spans = presence_spans(contacts, skills_of(scenario), gap_s=gap_s, wrap_up_s=wrap_up_s, grouped=grouped)
    heads = {
        g: heads_on_grid(spans[spans["agent_group"] == g], start, length)
        if (spans["agent_group"] == g).any()
        else np.zeros(len(grid))
        for g in scenario.agent_groups
    }
    return heads, spans


def paced(spans: pd.DataFrame, paces: Mapping[str, float], volumes: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return volumes with ``handle_factor``: how slow the agents on duty were, by type and interval.

    Parameters
    ----------
    spans : DataFrame
        ``agent_group, agent, begin_ms, end_ms``.
    paces : mapping of agent to float
        Handle time of an agent over that of the law; 1 where an agent is not named.
    volumes : DataFrame
        From :func:`observed_volumes` for the same scenario.

    Notes
    -----
    Over the agents of all groups that take the type, Σ presence / Σ (presence / pace): who is fast takes more contacts. 1 while
    nobody is there. Minutes are too short to tell who takes a contact, so the mean is that of half hours.
    """
    grid = scenario.grid
    every = round(1800 / scenario.interval) if scenario.interval < 1800 else 1
    code = np.arange(len(grid)) // max(every, 1)
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    there = {g: np.zeros(len(grid)) for g in scenario.agent_groups}
    work = {g: np.zeros(len(grid)) for g in scenario.agent_groups}
    for (g, agent), rows in spans.groupby(["agent_group", "agent"], sort=False):
        present = heads_on_grid(rows, start, length)
        there[str(g)] += present
        work[str(g)] += present / paces.get(str(agent), 1.0)
    factor: dict[str, np.ndarray] = {}
    for t in scenario.contact_types:
        able = [g for g, body in scenario.agent_groups.items() if t in body.skills]
        whole, done = (np.bincount(code, sum(part[g] for g in able)) for part in (there, work))
        factor[t] = np.where(done > 0, whole / np.where(done > 0, done, 1.0), 1.0)[code]
    return volumes.assign(handle_factor=np.concatenate([factor[t] for t in scenario.contact_types]))


def agent_paces(contacts: pd.DataFrame, handle_s: np.ndarray, spread: float) -> dict[str, float]:
    """Return the mean handle time of each agent's contacts over what their types lead one to expect.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    handle_s : ndarray, shape (n_contacts,)
        Handle times as a group with multiplier 1 would have had them.
    spread : float
        Standard deviation between agents (of the logarithm); nothing is told where there is none.

    Notes
    -----
    A queue feels means, not logarithms. With r = y / mean of the type, of variance cv² within an agent, the pace is
    (Σ r / cv² + 1 / spread²) / (Σ 1 / cv² + 1 / spread²), Bühlmann and Straub's credibility; divided by its mean over contacts,
    since the laws hold the contacts of all agents.
    """
    use = (contacts["outcome"] == "answered").to_numpy() & np.isfinite(handle_s) & contacts["agent"].notna().to_numpy()
    if spread <= 0 or not use.any():
        return {}
    table = pd.DataFrame({
        "agent": contacts["agent"].astype(str).to_numpy()[use], "kind": contacts["contact_type"].astype(str).to_numpy()[use],
        "y": handle_s[use],
    })  # fmt: skip
    mean = table.groupby("kind")["y"].transform("mean")
    ratio = table["y"] / mean
    weight = 1 / np.maximum((ratio - 1).pow(2).groupby(table["kind"]).transform("mean"), 1e-6)
    sums = (
        table.assign(top=weight * ratio, weight=weight, expected=mean)
        .groupby("agent")[["top", "weight", "expected"]]
        .sum()
    )
    pace = (sums["top"] + spread**-2) / (sums["weight"] + spread**-2)
    pace /= np.average(pace, weights=sums["expected"])
    return {str(a): float(v) for a, v in pace.items()}


def without_multiplier(contacts: pd.DataFrame, base: Scenario) -> np.ndarray:
    """Return handle times as a group with multiplier 1 would have had them, in seconds, shape (n_contacts,)."""
    handle = contacts["handle_s"].to_numpy(dtype=float, na_value=np.nan)
    if "agent_group" not in contacts:
        return handle
    factor = np.ones(len(contacts))
    group, kind = contacts["agent_group"].astype(object), contacts["contact_type"].astype(str)
    for g, body in base.agent_groups.items():
        for skill, multiplier in body.skills.items():
            if multiplier != 1:
                factor[((group == g) & (kind == skill)).to_numpy()] = multiplier
    return handle / factor
