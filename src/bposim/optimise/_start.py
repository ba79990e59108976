"""Where a search begins: shifts near a requirement, in whole heads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from bposim.optimise._lp import Model, keep_to
from bposim.optimise._shift_model import SLACK, ShiftModel
from bposim.optimise._skills import ALL_SETS, components, groups_of
from bposim.optimise._tours import Tour
from bposim.scenario import Scenario


def free_heads(scenario: Scenario, groups: tuple[str, ...]) -> list[Tour]:
    """Return a tour of one interval for every group and interval: heads without shifts."""
    grid = scenario.grid
    return [
        Tour("interval", g, int(grid.day[i]), int(grid.start_ms[i]), int(grid.end_ms[i]), (i,), (), (),
             float(grid.hours[i]), float(grid.hours[i]) * scenario.agent_groups[g].cost_per_hour)
        for g in groups for i in range(len(grid))
    ]  # fmt: skip


def rounded(model: ShiftModel, values: np.ndarray | None) -> np.ndarray | None:
    """Return whole heads near a relaxed solution.

    Shifts of a group and day are rounded so that their running total, in order of their start, is never half a head off:
    many small shares add up to heads instead of vanishing one by one. Breaks are shared out in proportion.
    """
    if values is None:
        return None
    result = np.zeros(len(model.model.cost))
    order = sorted(
        range(len(model.tours)), key=lambda k: (model.tours[k].group, model.tours[k].day, model.tours[k].begins)
    )
    total: dict[tuple[str, int], float] = {}
    for k in order:
        tour, column = model.tours[k], model.heads[k]
        before = total.get((tour.group, tour.day), 0.0)
        after = before + float(values[column])
        total[tour.group, tour.day] = after
        result[column] = np.floor(after + 0.5) - np.floor(before + 0.5)
        for chosen in model.choices[k]:
            share = values[chosen] * (result[column] / max(float(values[column]), 1e-9))
            result[chosen] = np.diff(np.floor(np.cumsum(share) + 0.5), prepend=0.0)
    return result


def nearest_cover(
    model: ShiftModel, need: Mapping[tuple[str, ...], np.ndarray], dear: float, solver: dict[str, Any]
) -> np.ndarray | None:
    """Return whole shifts that come nearest to a requirement, None where the solver found none in time.

    Parameters
    ----------
    model : ShiftModel
        Without a requirement.
    need : mapping of a set of contact types to ndarray, shape (n_intervals,)
    dear : float
        Price of an agent who is missing.

    Notes
    -----
    Sets of types keep two of them from counting on one agent only where every connected set is there. In larger components
    each agent's time is divided among its types, and each type asks for its part of the requirement of all.
    """
    m = model.model
    covering = Model(list(m.cost), list(m.low), list(m.high), list(m.whole), list(m.stage), list(m.rows))
    missing: dict[tuple[str, int], int] = {}

    def lacking(contact_type: str, i: int) -> int:
        key = contact_type, i
        if key not in missing:
            missing[key] = covering.column(dear, whole=False, stage=int(model.grid.day[i]))
        return missing[key]

    for part in components(model.able):
        if len(part) > ALL_SETS:
            _divide(covering, model, part, need, lacking)
            continue
        for members in (s for s in need if s[0] in part):
            for i in np.flatnonzero(need[members] > SLACK):
                columns, factors = model.staying(groups_of(members, model.able), int(i))
                short = [lacking(t, int(i)) for t in members]
                covering.row([*columns, *short], [*factors, *[1.0] * len(short)], ">=", float(need[members][i]))
    if covering.large:
        found = replace(covering, whole=[False] * len(covering.whole)).solve(**solver)
        keep_to(solver, found)
        near = rounded(model, found.values)
        if near is None or m.keeps(near):
            return near
    found = covering.solve(**solver)
    keep_to(solver, found)
    return None if found.values is None else found.values[: len(m.cost)]


def _divide(
    covering: Model, model: ShiftModel, part: tuple[str, ...], need: Mapping[tuple[str, ...], np.ndarray],
    lacking: Callable[[str, int], int],
) -> None:  # fmt: skip
    """Ask that the time of the groups, divided among the types of a component, reach each type's part of its requirement."""
    alone = np.array([need[t,] for t in part])
    share = np.divide(need[part], alone.sum(axis=0), out=np.zeros(len(model.grid)), where=alone.sum(axis=0) > 0)
    for i in range(len(model.grid)):
        day = int(model.grid.day[i])
        given: dict[str, list[int]] = {g: [] for g in groups_of(part, model.able)}
        for t, wanted in zip(part, alone[:, i] * share[i], strict=True):
            if wanted <= SLACK:
                continue
            taken = [covering.column(0.0, whole=False, stage=day) for _ in model.able[t]]
            for g, column in zip(model.able[t], taken, strict=True):
                given[g].append(column)
            covering.row([*taken, lacking(t, i)], [1.0] * (len(taken) + 1), ">=", float(wanted))
        for g, taken in given.items():
            if taken:
                columns, factors = model.staying((g,), i)
                covering.row([*columns, *taken], [*factors, *[-1.0] * len(taken)], ">=", 0.0)
