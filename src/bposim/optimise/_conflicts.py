"""Why no plan exists: the least relaxation of the limits, in words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import numpy as np
import pandas as pd

from bposim.optimise._shift_model import SLACK, ShiftModel
from bposim.optimise._skills import JOIN
from bposim.optimise.plan import CONFLICTS


def explain(model: ShiftModel, options: dict[str, Any]) -> pd.DataFrame:
    """Solve the elastic model and return one row per limit that must give way; empty if time ran out first."""
    values = model.model.solve(**options).values
    return pd.DataFrame(columns=list(CONFLICTS)) if values is None else relaxed(model, values)


def relaxed(model: ShiftModel, values: np.ndarray, *, searched: bool = False) -> pd.DataFrame:
    """Return one row per limit that a plan of the elastic model exceeds.

    ``searched`` where the plan is one that a search found: so much is enough then, and less may be.
    """
    rows: list[dict[str, Any]] = []
    for (kind, name, day), column in model.excess.items():
        by = round(float(values[column]))
        if by:
            rows.append(_cap_row(model, kind, name, day, by, searched))
    for (contact_type, i), column in model.shortage.items():
        short = round(float(values[column]), 6)
        if short > SLACK:
            rows.append(_short_row(model, contact_type, i, short))
    frame = pd.DataFrame(rows, columns=list(CONFLICTS))
    order = {"head_cap": 0, "pattern_cap": 1, "pattern_floor": 2, "no_shift": 3, "coverage": 4}
    rank = frame["kind"].map(order)
    return frame.assign(rank=rank).sort_values(["rank", "interval_start"]).drop(columns="rank").reset_index(drop=True)


def _cap_row(model: ShiftModel, kind: str, name: str, day: int, by: int, searched: bool) -> dict[str, Any]:
    scenario = model.scenario
    today = scenario.start + timedelta(days=day)
    row: dict[str, Any] = dict.fromkeys(CONFLICTS) | {"kind": kind, "day": today, "by_how_much": float(by)}
    row["interval_start"] = pd.NaT
    if kind == "head_cap":
        cap = model.limits.max_heads
        most = int(cap[name] if isinstance(cap, Mapping) else cap or 0)
        who = f"of group {name!r} " if name else ""
        row |= {"limit": float(most), "agent_groups": name or JOIN.join(scenario.agent_groups)}
        said = f"max_heads {who}is {most}, "
        said += _found(most, by) if searched else f"{by} too few for the requirement. Raise it to {most + by}."
        row["message"] = f"{today:%a %Y-%m-%d}: {said}"
        return row
    pattern = scenario.shifts[name]
    limit = pattern.max_heads if kind == "pattern_cap" else pattern.min_heads
    assert limit is not None
    groups = dict.fromkeys(t.group for t in model.tours if t.pattern == name)
    row |= {"limit": float(limit), "shift": name, "agent_groups": JOIN.join(groups)}
    if kind == "pattern_cap":
        said = f"max_heads of shift {name!r} is {limit}, "
        said += _found(limit, by) if searched else f"{by} too few. Raise it to {limit + by}."
    else:
        said = f"min_heads of shift {name!r} is {limit}, "
        said += _found(limit, -by) if searched else f"{by} too many. Lower it to {limit - by}."
    row["message"] = f"{today:%a %Y-%m-%d}: {said}"
    return row


def _found(limit: int, by: int) -> str:
    """Say what a search found enough: it knows a limit that will do, not the least change that would."""
    few, way, less = ("few", "Raise", "fewer") if by > 0 else ("many", "Lower", "more")
    enough = "were enough" if by > 0 else "were few enough"
    tail = f"; {less} may do" if abs(by) > 1 else ""
    return f"too {few} for the target. {limit + by} {enough} in the search{tail}. {way} it."


def _short_row(model: ShiftModel, contact_type: str, i: int, by: float) -> dict[str, Any]:
    groups = model.able[contact_type]
    covered = any((g, i) in model.present for g in groups)
    start = model.grid.starts[i]
    needs = [float(need[i]) for members, need in model.limits.need.items() if contact_type in members]
    why = "the limits on shifts and heads leave too few" if covered else f"no shift of {' or '.join(groups)} covers it"
    return dict.fromkeys(CONFLICTS) | {
        "kind": "coverage" if covered else "no_shift", "limit": max(needs), "contact_type": contact_type,
        "interval_start": start, "day": start.date(), "agent_groups": JOIN.join(groups), "by_how_much": by,
        "message": f"{start:%a %Y-%m-%d %H:%M}: {by:g} agents for {contact_type!r} are missing; {why}.",
    }  # fmt: skip
