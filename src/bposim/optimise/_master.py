"""The master problem of a search: shifts, with cuts on the heads that they bring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bposim.optimise._goals import density
from bposim.optimise._lp import Model, Solution
from bposim.optimise._oracle import Heads, Tangent
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise._start import rounded

#: Slopes below this share of a cell's largest are noise.
SMALL = 0.02
#: Where the curve of an interval's share bends, in probits from its present value.
BENDS = (0.35, 0.9, 2.0)
#: Stretches with a curve of their own in a cell, and how far from 0 and 1 the share of one counts at least.
STRETCHES, EDGE = 100, 0.005


class Master:
    """The shifts of a model, with a column for the heads of each group and interval, to which cuts refer."""

    def __init__(self, shifts: ShiftModel) -> None:
        self.shifts, self.model = shifts, _copy(shifts.model)
        self.cuts: list[tuple[list[int], list[float], float, float | None]] = []
        self.heads: dict[tuple[str, int], int] = {}
        self.solved: list[Solution] = []
        for (name, i), terms in shifts.present.items():
            column = self.model.column(0.0, stage=int(shifts.grid.day[i]))
            self.heads[name, i] = column
            self.model.row([column, *(c for c, _ in terms)], [1.0, *(-s for _, s in terms)], "==", 0.0)

    def cut(
        self, here: Heads, names: list[str], at: np.ndarray, slope: np.ndarray, wanted: float, heavy: float | None
    ) -> None:
        """Ask that Σ slope × (heads − heads here) reach a value; what lacks costs ``heavy``, None forbids it.

        Small slopes, which are noise, are left out where a lack has a price. A row that forbids keeps them: without them it
        would ask for more.
        """
        columns, factors = [], []
        least = 0.0 if heavy is None else SMALL * float(slope.max(initial=0.0))
        for name, i, s in zip(names, at, slope, strict=True):
            column = self.heads.get((name, int(i)))
            if column is not None and s > least:
                columns.append(column)
                factors.append(float(s))
                wanted += float(s) * float(here[name][i])
        if columns:
            self.cuts.append((columns, factors, wanted, heavy))

    def curve(
        self, here: Heads, names: list[str], at: np.ndarray, slope: np.ndarray, weight: np.ndarray, share: np.ndarray,
        wanted: float, heavy: float | None, pieces: Callable[[float], Sequence[tuple[float, float, bool]]] | None = None,
    ) -> None:  # fmt: skip
        """Ask that what the heads of each stretch add to a share, which bends towards 1, come to a value in all.

        Parameters
        ----------
        weight, share : ndarray, shape (n_intervals,)
            Weight of an interval in the share of all, and its own, more being better.
        heavy : float or None
            Price of a lack; None forbids it.
        pieces : callable, optional
            The curve around a share, given as a probit; :func:`bends` without.

        Notes
        -----
        In each stretch one slope holds on the scale on which its own share is straight: heads where there are enough bring
        little more, and taking many away loses ever more. A stretch is an interval, or a few where a cell has more than
        ``STRETCHES``.
        """
        least = 0.0 if heavy is None else SMALL * float(slope.max(initial=0.0))
        known = [k for k in np.flatnonzero(slope > least) if (names[k], int(at[k])) in self.heads]
        day = self.shifts.grid.day
        width = max(1, math.ceil(len(np.unique(at)) / STRETCHES))
        stretch = day * len(day) + (np.arange(len(day)) - np.searchsorted(day, day)) // width
        gain: tuple[list[int], list[float]] = ([], [])
        around = bends if pieces is None else pieces
        for one in np.unique(stretch[at[known]]):
            inside = stretch == one
            total = float(weight[inside].sum())
            if total <= 0:
                continue
            mine = [k for k in known if stretch[at[k]] == one]
            columns = [self.heads[names[k], int(at[k])] for k in mine]
            factors = [float(slope[k]) for k in mine]
            held = sum(float(slope[k]) * float(here[names[k]][at[k]]) for k in mine)
            level = float(ndtri(np.clip(weight[inside] @ share[inside] / total, EDGE, 1 - EDGE)))
            stage = self.model.stage[columns[0]]
            for length, factor, up in around(level):
                column = self.model.column(0.0, high=length * total, whole=False, stage=stage)
                columns.append(column)
                factors.append(-1.0 if up else 1.0)
                gain[0].append(column)
                gain[1].append(factor if up else -factor)
            self.model.row(columns, factors, ">=", held)
        if gain[0]:
            self.cuts.append((*gain, wanted, heavy))

    def keep_satisfied(self, heads: Heads) -> None:
        """Leave out the cuts on heads that a plan breaks; curves, which have columns of their own, stay."""
        value = {column: float(heads[name][i]) for (name, i), column in self.heads.items()}
        self.cuts = [
            (columns, factors, wanted, heavy)
            for columns, factors, wanted, heavy in self.cuts
            if not all(c in value for c in columns)
            or sum(f * value[c] for f, c in zip(factors, columns, strict=True)) >= wanted - 1e-9
        ]

    def solve(self, options: dict[str, Any]) -> np.ndarray | None:
        """Return the columns of the cheapest shifts, None where none was found.

        Notes
        -----
        Of a large problem the relaxation, rounded to whole heads: the simulation mends what the rounding loses. Where that
        breaks a limit the whole columns are left to the solver.
        """
        asked = self._with(self.cuts)
        if not asked.large:
            return self._run(asked, options).values
        relaxed = replace(asked, whole=[False] * len(asked.whole))
        near = rounded(self.shifts, self._run(relaxed, options).values)
        if near is None or self.shifts.model.keeps(near):
            return near
        return self._run(asked, options).values

    def _run(self, model: Model, options: dict[str, Any]) -> Solution:
        self.solved.append(model.solve(**options))
        return self.solved[-1]

    def bound(self, options: dict[str, Any]) -> float:
        """Return the least cost that any shifts can have; of a large problem that of its relaxation."""
        whole = self._with(self.cuts)
        if whole.large:
            whole.whole = [False] * len(whole.whole)
            found = whole.solve(**options)
            return found.objective if found.status == "optimal" else math.nan
        return whole.solve(**options).bound

    def _with(self, cuts: Sequence[tuple[list[int], list[float], float, float | None]]) -> Model:
        model = _copy(self.model)
        for columns, factors, wanted, heavy in cuts:
            if heavy is None:
                model.row(columns, factors, ">=", wanted)
            else:
                short = model.column(heavy, whole=False, stage=model.stage[columns[0]])
                model.row([*columns, short], [*factors, 1.0], ">=", wanted)
        return model


def bends(level: float) -> list[tuple[float, float, bool]]:
    """Return pieces of a share around its present value: change that one slope promises, part of it that comes, and whether upwards.

    Parameters
    ----------
    level : float
        The share as a probit.

    Notes
    -----
    Chords of Φ(level + d), in units of its slope at d = 0. Below one half the share is not concave; there the pieces are straight.
    """
    steep = float(density(level))
    found = []
    for up in (True, False):
        side = 1 if up else -1
        past = 1.0
        for near, far in pairwise((0.0, *BENDS)):
            chord = float(ndtr(level + side * far) - ndtr(level + side * near)) / (side * (far - near) * steep)
            past = min(past, chord) if up else max(past, chord)
            last = not up and far == BENDS[-1]
            found.append((math.inf if last else (far - near) * steep, past, up))
    return found


def cells(
    tangent: Tangent, rows: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray], n: int
) -> Iterator[tuple[int, list[str], np.ndarray, np.ndarray]]:
    """Yield each cell with the groups, the intervals and the slopes of the heads that move it."""
    groups = list(tangent.heads)
    cell, group, interval, slope = rows
    order = np.argsort(cell, kind="stable")
    edges = np.searchsorted(cell[order], np.arange(n + 1))
    for c in range(n):
        mine = order[edges[c] : edges[c + 1]]
        yield c, [groups[g] for g in group[mine]], interval[mine], slope[mine]


def _copy(model: Model) -> Model:
    return Model(
        list(model.cost), list(model.low), list(model.high), list(model.whole), list(model.stage), list(model.rows)
    )
