"""A first scenario from a history alone, for those who have none yet."""

from __future__ import annotations

import math
from typing import Any

from bposim.calibrate.serving import RARE
from bposim.errors import CalibrationError
from bposim.scenario import Scenario, load_scenario
from bposim.units import WEEKDAYS, clock_text

#: Shift lengths of a draft, in hours, longest first; a break of half an hour in those of six hours and more.
SHIFT_HOURS = (8, 6, 4)


def draft_scenario(
    history: Any,
    *,
    name: str = "draft",
    cost_per_hour: float = 20.0,
    currency: str = "EUR",
    within: str = "20s",
    share: float = 0.80,
) -> Scenario:
    """Draft a scenario from a contact log or an interval report: its hours, contact types and agent groups; the rest is assumed, and says so.

    Parameters
    ----------
    history : History
        Contact log, or interval report.
    name : str
    cost_per_hour : float
        Of every agent group.
    currency : str
    within, share : str, float
        The target to draft with.

    Returns
    -------
    Scenario
        Ready for :func:`calibrate`: a group for each ``agent_group`` of the log with the types it answered (at least a fifth of the type's
        usual share and three contacts), one group for all types where the history names none; shifts of 8, 6 and 4 hours.
        A report's interval is the scenario's.

    Raises
    ------
    CalibrationError
        The history holds bare counts of contacts.
    """
    contacts = history.contacts
    if history.kind == "counts":
        raise CalibrationError(
            "draft_scenario() needs a contact log or an interval report that tells what became of the contacts. This history holds "
            "bare counts."
        )
    hours = {
        WEEKDAYS[d]: [f"{clock_text(a)}-{clock_text(b)}" for a, b in spans]
        for d, spans in history.opening_hours.items()
        if spans
    }
    kinds: dict[str, Any] = {}
    for t in history.contact_types:
        mean = _mean_handle_s(history, t)
        kinds[t] = {
            "arrivals": {"rate": "1/h"},
            "handle_time": {
                "exponential": {"mean": f"{mean if mean and math.isfinite(mean) and mean > 0 else 180:.0f}s"}
            },
            "patience": {"exponential": {"mean": "300s"}},
        }
    everybody = {"agents": {"skills": list(kinds), "heads": 1, "cost_per_hour": cost_per_hour}}
    groups = everybody if contacts is None else _groups(contacts, list(kinds), cost_per_hour)
    starts = [a for spans in history.opening_hours.values() for a, _ in spans]
    ends = [b for spans in history.opening_hours.values() for _, b in spans]
    first, last = min(starts), max(ends)
    shifts: dict[str, Any] = {}
    for h in SHIFT_HOURS:
        if first + 60 * h > last:
            continue
        shift: dict[str, Any] = {
            "start": [clock_text(first), clock_text(last - 60 * h)], "step": "30min", "paid": f"{h}h", "break_step": "30min",
        }  # fmt: skip
        if h >= 6:
            shift["breaks"] = [{"after": ["2h" if h < 8 else "3h", f"{h - 3}h"], "length": "30min", "paid": True}]
        shifts[f"{h} hours"] = shift
    start, end = history.days
    return load_scenario(
        {
            "name": name, "time_zone": str(history.zone.key), "currency": currency, "start": start,
            "interval": f"{1800 if contacts is not None else history.interval_s:g}s",
            "days": (end - start).days + 1, "opening_hours": hours, "contact_types": kinds, "agent_groups": groups,
            "shifts": shifts, "targets": [{"service_level": {"share": share, "within": within}}],
            "assumptions": [
                f"every agent costs {cost_per_hour:g} {currency} per paid hour",
                f"shifts of {', '.join(str(h) for h in SHIFT_HOURS)} hours may start every half hour",
                "all contacts are voice, all of the same priority, and none call again",
            ],
        }
    )  # fmt: skip


def _mean_handle_s(history: Any, contact_type: str) -> float:
    """Return the mean handle time of a type's answered contacts, NaN where the history does not tell it."""
    if history.contacts is not None:
        mine = history.contacts["contact_type"].astype(str) == contact_type
        return float(history.contacts.loc[mine, "handle_s"].mean())
    table = history.intervals
    mine = table[table["contact_type"].astype(str) == contact_type]
    if "handle_sum_s" not in mine:
        return math.nan
    known = mine[mine["handle_sum_s"].notna() & (mine["answered"] > 0)]
    return float(known["handle_sum_s"].sum() / known["answered"].sum()) if len(known) else math.nan


def _groups(contacts: Any, types: list[str], cost: float) -> dict[str, Any]:
    served = contacts[contacts["outcome"] == "answered"]
    if "agent_group" not in served or not served["agent_group"].notna().any():
        return {"agents": {"skills": types, "heads": 1, "cost_per_hour": cost}}
    # Classes that history.split() made of one type are taken by the same agents.
    whole = contacts["whole_type"] if "whole_type" in contacts else contacts["contact_type"]
    stem = dict(zip(contacts["contact_type"].astype(str), whole.astype(str), strict=True))
    table = (
        served.groupby([served["agent_group"].astype(str), served["contact_type"].astype(str).map(stem)])
        .size()
        .unstack(fill_value=0)
    )
    usual = table.sum() / table.to_numpy().sum()
    groups: dict[str, Any] = {}
    for g, row in table.iterrows():
        takes = (row >= RARE * usual * row.sum()) & (row >= 3)
        able = [t for t in types if takes.get(stem[t], False)]
        if able:
            groups[str(g)] = {"skills": able, "heads": 1, "cost_per_hour": cost}
    if not groups:
        return {"agents": {"skills": types, "heads": 1, "cost_per_hour": cost}}
    for t in types:
        if not any(t in g["skills"] for g in groups.values()):
            rows = table.loc[list(groups)]
            most = (
                rows[stem[t]].idxmax() if stem[t] in rows and rows[stem[t]].sum() else rows.sum(axis="columns").idxmax()
            )
            groups[str(most)]["skills"].append(t)
    return groups
