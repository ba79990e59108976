"""Why no plan keeps a target in simulation: the target itself, an hour without shifts, or the fewest limits in the way."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.optimise._goals import Goal, level_of
from bposim.optimise._oracle import Heads, Oracle
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise._skills import JOIN
from bposim.optimise._tours import Placement
from bposim.optimise.plan import CONFLICTS

#: Heads that stand for as many as one likes: a multiple of the requirement, and so many more.
LAVISH, MORE = 3.0, 12


def out_of_reach(model: ShiftModel, oracle: Oracle, need: pd.DataFrame) -> pd.DataFrame:
    """Return a conflict for each cell that misses however many heads the shifts bring; empty where none does."""
    lavish = _lavish(model, need)
    gaps = _gaps(oracle, lavish)
    if all((g >= 0).all() for g in gaps):
        return pd.DataFrame(columns=list(CONFLICTS))
    most = max(MORE, *(int(h.max(initial=0)) for h in lavish.values()))
    everywhere = {g: np.full(len(h), most) for g, h in lavish.items()}
    reachable = _gaps(oracle, everywhere)
    rows: list[dict[str, Any]] = []
    for goal, gap, free, value in zip(oracle.goals, gaps, reachable, oracle.values(everywhere), strict=True):
        if (free < 0).any():
            rows.append(_target_row(goal, value, free))
        elif (gap < 0).any():
            rows += _hour_rows(model, goal, lavish)
    return pd.DataFrame(rows, columns=list(CONFLICTS)).drop_duplicates(["kind", "message"], ignore_index=True)


def _gaps(oracle: Oracle, heads: Heads) -> list[np.ndarray]:
    values = oracle.values(heads)
    return [
        np.where(np.isfinite(v), goal.straight(np.where(np.isfinite(v), v, 0.0)) - level_of(goal), 0.0)
        for goal, v in zip(oracle.goals, values, strict=True)
    ]


def _lavish(model: ShiftModel, need: pd.DataFrame) -> Heads:
    """Return heads in plenty wherever a shift may put them."""
    grid = model.grid
    most = need.groupby("interval_start")["required"].max().reindex(grid.starts).fillna(0.0).to_numpy()
    plenty = np.ceil(LAVISH * most).astype(int) + MORE
    heads = {g: np.zeros(len(grid), dtype=int) for g in model.scenario.agent_groups}
    for tour in model.tours:
        at = list(set(tour.core).difference(*(_always_lost(w) for w in tour.windows)))
        heads[tour.group][at] = plenty[at]
    return heads


def _always_lost(window: tuple[Placement, ...]) -> set[int]:
    """Return the intervals that a break takes wherever it is placed."""
    return set.intersection(*(set(p.lost) for p in window))


def _target_row(goal: Goal, value: np.ndarray, gap: np.ndarray) -> dict[str, Any]:
    worst = float(value[int(np.argmin(gap))])
    unit = f"{100 * worst:.1f} %" if goal.is_share else f"{worst:.1f} s"
    chance = "" if goal.confidence is None else f" at {100 * goal.confidence:g} %"
    end, way = ("most", "Lower") if goal.sign > 0 else ("least", "Raise")
    return dict.fromkeys(CONFLICTS) | {
        "kind": "target", "limit": goal.target.level, "contact_type": goal.target.contact_type, "interval_start": pd.NaT,
        "by_how_much": abs(goal.target.level - worst),
        "message": f"{goal.label}{chance}: out of reach however many agents there are; {unit} is the {end}. {way} the target, or "
        "look for what answers nobody: lines, opening hours, contacts that leave at once.",
    }  # fmt: skip


def _hour_rows(model: ShiftModel, goal: Goal, lavish: Heads) -> list[dict[str, Any]]:
    """Name the intervals in which no shift can put a group that takes the contacts of a goal."""
    scenario, grid = model.scenario, model.grid
    kinds = list(scenario.contact_types)
    mine = kinds if goal.types is None else [kinds[k] for k in goal.types]
    rows = []
    for kind in mine:
        groups = model.able[kind]
        bare = np.flatnonzero(sum((lavish[g] for g in groups), np.zeros(len(grid), dtype=int)) == 0)
        apart = grid.start_ms[bare[1:]] != grid.end_ms[bare[:-1]]  # a night lies between, or heads
        for run in np.split(bare, np.flatnonzero(apart) + 1) if len(bare) else ():
            start, end = grid.starts[run[0]], grid.starts[run[-1]] + pd.Timedelta(hours=float(grid.hours[run[-1]]))
            rows.append(dict.fromkeys(CONFLICTS) | {
                "kind": "no_shift", "contact_type": kind, "interval_start": start, "day": start.date(),
                "agent_groups": JOIN.join(groups), "by_how_much": float(len(run)),
                "message": f"{start:%a %Y-%m-%d %H:%M} to {end:%H:%M}: no shift of {' or '.join(groups)} has agents at "
                f"work then, and {kind!r} is open. Add a shift that does, move its breaks, or shorten the opening hours.",
            })  # fmt: skip
    return rows
