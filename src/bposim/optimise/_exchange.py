"""Shifts exchanged for others that cost less in all, those first that the slopes say are missed least."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
from scipy.sparse import csr_array

from bposim.optimise._goals import Goal
from bposim.optimise._oracle import Tangent
from bposim.optimise._shift_model import ShiftModel

#: Values that a list of exchanges may hold: where three shifts at once make more, two have to do, among those worth most; and
#: exchanges that are listed.
MOST, LISTED = 20_000_000, 400
#: An exchange that the slopes say lacks more than this, over all cells on the straight scale, is not played.
HOPELESS = 0.5


def effects(model: ShiftModel, goals: Sequence[Goal], tangent: Tangent) -> np.ndarray:
    """Return what one more unit of each column adds to each cell on the straight scale, shape (n_cells, n_columns)."""
    groups, n = list(tangent.heads), len(model.grid)
    place = {g: k * n for k, g in enumerate(groups)}
    rows, columns, signs = [], [], []
    for (g, i), terms in model.present.items():
        for c, s in terms:
            rows.append(place[g] + i)
            columns.append(c)
            signs.append(s)
    present = csr_array((signs, (rows, columns)), shape=(len(groups) * n, len(model.model.cost)))
    found = []
    for goal, value, (cell, group, interval, slope) in zip(goals, tangent.values, tangent.slopes, strict=True):
        steep = np.abs(goal.steepness(value))[cell]
        rise = csr_array((slope * steep, (cell, group * n + interval)), shape=(goal.n_cells, len(groups) * n))
        found.append((rise @ present).toarray())
    return np.concatenate(found)


def exchanges(
    model: ShiftModel, columns: np.ndarray, gaps: np.ndarray, effect: np.ndarray, below: float
) -> Iterator[np.ndarray]:
    """Yield plans that cost less than ``below``, a head or two of shifts from a plan, in the order of what they lack and cost.

    Parameters
    ----------
    columns : ndarray
        The plan.
    gaps : ndarray, shape (n_cells,)
        How far each cell of it is from its level, on the straight scale.
    effect : ndarray, shape (n_cells, n_columns)
        As of :func:`effects`.

    Notes
    -----
    A shift is taken out, with or without another, and one put in its place, or two, or one is added; breaks are placed, and
    taken, where they cost the cells least.
    """
    cost, cells = np.array(model.model.cost), np.isfinite(gaps)
    worth = effect[cells].sum(axis=0)
    put, taken = _heads(model, worth), _heads(model, -worth, columns)
    if not taken:
        return
    size = len(columns)
    few = max(math.isqrt(MOST // max(int(cells.sum()), 1)), 1)
    put = sorted(put, key=lambda h: -worth[h].sum() / max(cost[h].sum(), 1e-9))[:few]
    taken = sorted(taken, key=lambda h: worth[h].sum() / max(cost[h].sum(), 1e-9))[:few]
    into, out = _matrix(put, size, 1.0), _matrix(taken, size, -1.0)
    gain, loss = effect[cells] @ into, effect[cells] @ out
    price, saved = cost @ into, cost @ out
    spare = below - float(columns @ cost)
    t, u, n = len(put), len(taken), int(cells.sum())
    one, every = np.arange(u), np.arange(t)
    moves = [(one[:, None], np.empty((u, 0), int)), (np.empty((t, 0), int), every[:, None]), _pairs(one, every)]
    if u * u * t * n <= MOST:
        two = np.stack(np.triu_indices(u), axis=1)
        moves.append((np.repeat(two, t, axis=0), np.tile(every, len(two))[:, None]))
    if u * t * t * n <= MOST:
        two = np.stack(np.triu_indices(t), axis=1)
        moves.append((np.tile(one, len(two))[:, None], np.repeat(two, u, axis=0)))
    found: list[tuple[float, float, np.ndarray, np.ndarray]] = []
    for gone, come in moves:
        change = saved[gone].sum(axis=1) + price[come].sum(axis=1)
        use = change < spare - 1e-9
        gone, come = gone[use], come[use]
        after = gaps[cells][:, None] + loss[:, gone].sum(axis=2) + gain[:, come].sum(axis=2)
        lack, change = np.maximum(-after, 0.0).sum(axis=0), change[use]
        likely = np.lexsort((change, lack))[:LISTED]
        found += [(float(lack[k]), float(change[k]), gone[k], come[k]) for k in likely if lack[k] <= HOPELESS]
    for _, _, gone, come in sorted(found, key=lambda f: f[:2])[:LISTED]:
        plan = columns + out[:, gone].sum(axis=1) + into[:, come].sum(axis=1)
        if (plan >= -1e-9).all() and model.model.keeps(plan):
            yield plan


def _pairs(one: np.ndarray, every: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return np.repeat(one, len(every))[:, None], np.tile(every, len(one))[:, None]


def _heads(model: ShiftModel, worth: np.ndarray, within: np.ndarray | None = None) -> list[list[int]]:
    """Return the columns of a head on each shift, with the breaks of most worth; ``within``: of shifts that a plan has."""
    found = []
    for column, choices in zip(model.heads, model.choices, strict=True):
        if within is not None and within[column] < 0.5:
            continue
        mine = [column]
        for chosen in choices:
            use = chosen if within is None else [c for c in chosen if within[c] > 0.5]
            mine.append(max(use, key=lambda c: worth[c]))
        found.append(mine)
    return found


def _matrix(heads: list[list[int]], n: int, sign: float) -> np.ndarray:
    result = np.zeros((n, len(heads)))
    for k, columns in enumerate(heads):
        result[columns, k] = sign
    return result
