"""Everything about handle times of a history: laws by type, course over the day, agents, days, contacts still open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.agents import AgentFit, fit_agents
from bposim.calibrate.duration_fit import DurationFit
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.handle import fit_handle_time
from bposim.calibrate.handle_profile import handle_profile
from bposim.scenario import Scenario
from bposim.units import make_grid, zone

#: Completed contacts below which a type's handle time is taken from the base scenario.
FEW = 30


def fit_handled(
    contacts: pd.DataFrame, base: Scenario, first: date, last: date, missing: set[date], handle_s: np.ndarray,
    estimates: list[Estimate], notes: list[str],
) -> tuple[dict[str, DurationFit], AgentFit | None]:  # fmt: skip
    """Fit handle times by type, their course over day and week, and what agents and days make of them.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    base : Scenario
    first, last : date
    missing : set of date
    handle_s : ndarray of float
        Handle times as a group with multiplier 1 would have had them; missing where there is none.
    estimates, notes : list
        Appended to.

    Returns
    -------
    (dict of type to DurationFit, AgentFit or None)
        Types with too few contacts are left out; None where the log names no agents.
    """
    seconds, seen, told = _with_open(contacts, handle_s)
    notes += told
    name_of = contacts["contact_type"].astype(str).to_numpy()
    stamp = pd.DatetimeIndex(contacts["arrived"])
    day = stamp.tz_localize(None).normalize().asi8
    usable = np.isfinite(seconds)
    types = tuple(base.contact_types)
    # A speed belongs to a scenario only where it names its agents; the law is then that of an average agent.
    named = {a for group in base.agent_groups.values() for a in group.agents}
    laws = _laws(seconds, seen, usable, day, name_of, types)
    effects = _effects(contacts, seconds, usable & seen, name_of, laws, estimates, notes, named)
    if effects is not None and named:
        speed = contacts["agent"].map(effects.agents.set_index("agent")["speed"]).to_numpy(dtype=float)
        seconds = seconds / np.where(np.isfinite(speed) & contacts["agent"].isin(named).to_numpy(), speed, 1.0)
        laws = _laws(seconds, seen, usable, day, name_of, types)
    slot, uniform = _slots(stamp, base, first, last, missing)
    for t, fit in laws.items():
        here = usable & seen & (name_of == t)
        course, frame = handle_profile(seconds[here], day[here], slot[here], t, "day")
        week, by_weekday = handle_profile(seconds[here], day[here], np.asarray(stamp.day_of_week)[here], t, "week")
        if frame is not None and not uniform:
            course = replace(
                course, detail=f"{course.detail}; not in the scenario, whose weekdays are open at different hours"
            )
            frame = None
        if by_weekday is not None:
            week = replace(
                week, detail=f"{week.detail}; not in the scenario, whose handle times are the same on all weekdays"
            )
        laws[t] = replace(fit, by_interval=frame)
        estimates += [*fit.estimates, course, week]
        notes += fit.notes
    return laws, effects


def speed_changes(base: Scenario, effects: AgentFit | None) -> dict[str, Any]:
    """Return the changes that give named agents of a scenario their speeds."""
    if effects is None or effects.agent_sd == 0:
        return {}
    speed = effects.agents.set_index("agent")["speed"]
    changes = {}
    for g, group in base.agent_groups.items():
        if any(a in speed.index for a in group.agents):
            body = base.canonical["agent_groups"][g]["agents"]
            changes[f"agent_groups.{g}.agents"] = {
                a: {**spec, **({"speed": round(float(speed[a]), 6)} if a in speed.index else {})}
                for a, spec in body.items()
            }
    return changes


def day_factor_changes(laws: Mapping[str, DurationFit], effects: AgentFit | None) -> dict[str, Any]:
    """Return the changes that let handle times differ from day to day, where they clearly do."""
    if effects is None:
        return {}
    if effects.day_sd == 0:
        return {f"contact_types.{t}.handle_day_factor": None for t in laws}
    cv = round(float(np.sqrt(np.expm1(effects.day_sd**2))), 6)
    return {f"contact_types.{t}.handle_day_factor": {"gamma": {"cv": cv}} for t in laws}


def _laws(
    seconds: np.ndarray,
    seen: np.ndarray,
    usable: np.ndarray,
    day: np.ndarray,
    name_of: np.ndarray,
    types: tuple[str, ...],
) -> dict[str, DurationFit]:
    result = {}
    for t in types:
        here = usable & (name_of == t)
        if (here & seen).sum() >= FEW:
            result[t] = fit_handle_time(seconds[here], day[here], t, observed=seen[here])
    return result


def _effects(
    contacts: pd.DataFrame, seconds: np.ndarray, usable: np.ndarray, name_of: np.ndarray, laws: Mapping[str, DurationFit],
    estimates: list[Estimate], notes: list[str], named: set[str],
) -> AgentFit | None:  # fmt: skip
    """Fit agents and days over all types, and by type where there are several; short calls are left out."""
    if "agent" not in contacts or contacts["agent"].isna().all() or not laws:
        return None
    least = pd.Series(name_of).map({t: f.short_below_s for t, f in laws.items()}).to_numpy(dtype=float)
    use = usable & (seconds > np.nan_to_num(least, nan=np.inf)) & contacts["agent"].notna().to_numpy()
    agent = contacts["agent"].astype(object).to_numpy()
    when = pd.DatetimeIndex(contacts["arrived"]).tz_localize(None).to_numpy().astype("datetime64[D]")
    result = fit_agents(seconds[use], agent[use], when[use], name_of[use])
    found = list(result.estimates)
    if len(laws) > 1:
        for t in laws:
            mine = use & (name_of == t)
            part = fit_agents(seconds[mine], agent[mine], when[mine], name_of[mine], t)
            found += [e for e in part.estimates if np.isfinite(e.value)]
    if result.agent_sd > 0 and not named:
        notes.append(
            f"Agents differ in handle time by {100 * result.agent_sd:.0f} % (standard deviation). The scenario counts heads and "
            "names no agents, so all of them work at the same mean; the law's spread holds the difference."
        )
    estimates += found
    notes += result.notes
    return result


def _slots(
    stamp: pd.DatetimeIndex, base: Scenario, first: date, last: date, missing: set[date]
) -> tuple[np.ndarray, bool]:
    """Return the open interval of the day of each contact (−1 outside), and whether every weekday has the same ones."""
    n_days = (last - first).days + 1
    grid = make_grid(first, n_days, zone(base.time_zone), base.interval, base.opening_hours, (*base.closed, *missing))
    utc = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    at = stamp.tz_convert("UTC").as_unit("ms").asi8
    i = np.searchsorted(utc, at, side="right") - 1
    inside = (i >= 0) & (at - utc[np.maximum(i, 0)] < (grid.end_ms - grid.start_ms)[np.maximum(i, 0)])
    slot = np.where(inside, grid.slot[np.maximum(i, 0)], -1)
    return slot, len({tuple(spans) for spans in base.opening_hours.values() if spans}) == 1


def _with_open(contacts: pd.DataFrame, handle_s: np.ndarray) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Add the contacts that were still open when the log ended, as cut short there.

    One that is open for longer than the longest completed contact was never closed in the log and tells nothing.
    """
    done = (contacts["outcome"] == "answered").to_numpy() & np.isfinite(handle_s)
    seconds = np.where(done, handle_s, np.nan)
    seen = done.copy()
    running = (contacts["outcome"] == "open").to_numpy() & contacts["answered"].notna().to_numpy()
    if not running.any() or not done.any():
        return seconds, seen, []
    times = [pd.DatetimeIndex(contacts[c].dropna()).max() for c in ("arrived", "answered", "ended")]
    so_far = (max(t for t in times if t is not pd.NaT) - contacts["answered"]).dt.total_seconds().to_numpy()
    forgotten = running & (so_far > np.nanmax(seconds))
    cut = running & ~forgotten
    notes = []
    if forgotten.any():
        notes.append(
            f"{int(forgotten.sum()):,} contacts were answered and never closed in the log, for longer than any completed one: "
            "left out of the handle time."
        )
    return np.where(cut, so_far, seconds), seen, notes
