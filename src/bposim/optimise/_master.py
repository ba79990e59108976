"""The master problem of a search: shifts, with cuts on the heads that they bring."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bposim.errors import SolverError
from bposim.optimise._goals import density
from bposim.optimise._lp import SOLVERS, Model, Solution, choose
from bposim.optimise._oracle import Heads, Tangent
from bposim.optimise._relaxed import Relaxation
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise._start import rounded

#: Slopes below this share of a cell's largest are noise.
SMALL = 0.02
#: Where the curve of an interval's share bends, in probits from its present value.
BENDS = (0.35, 0.9, 2.0)
#: Intervals of a cell that all have a curve of their own; where there are more, stretches of so many seconds have one: a queue
#: forgets a head within them, so that one quarter hour cannot make up for the other. How far from 0 and 1 the share of one
#: counts at least.
ALONE, STRETCH_S, EDGE = 100, 1800.0, 0.005


class Master:
    """The shifts of a model, with a column for the heads of each group and interval, to which cuts refer."""

    def __init__(self, shifts: ShiftModel) -> None:
        self.shifts, self.model = shifts, _copy(shifts.model)
        self.cuts: list[tuple[list[int], list[float], float, float | None]] = []
        self.heads: dict[tuple[str, int], int] = {}
        self.solved: list[Solution] = []
        self.kept: Relaxation | None = None
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
        little more, and taking many away loses ever more. A stretch is an interval, or the few of ``STRETCH_S`` where a cell
        has more than ``ALONE``.
        """
        least = 0.0 if heavy is None else SMALL * float(slope.max(initial=0.0))
        known = np.array([k for k in np.flatnonzero(slope > least) if (names[k], int(at[k])) in self.heads], dtype=int)
        day = self.shifts.grid.day
        interval_s = 3600.0 * float(self.shifts.grid.hours.min())
        width = 1 if len(np.unique(at)) <= ALONE else max(1, round(STRETCH_S / interval_s))
        stretch = day * len(day) + (np.arange(len(day)) - np.searchsorted(day, day)) // width
        gain: tuple[list[int], list[float]] = ([], [])
        around = bends if pieces is None else pieces
        known = known[np.argsort(stretch[at[known]], kind="stable")]
        for mine in np.split(known, np.flatnonzero(np.diff(stretch[at[known]])) + 1):
            if not len(mine):
                continue
            inside = stretch == stretch[at[mine[0]]]
            total = float(weight[inside].sum())
            if total <= 0:
                continue
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

    def move(self, wanted: Sequence[float]) -> None:
        """Ask every cut for so much more."""
        self.cuts = [(c, f, w + more, heavy) for (c, f, w, heavy), more in zip(self.cuts, wanted, strict=True)]

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
        if not self.model.large:
            return self._run(self._with(self.cuts), options).values
        near = rounded(self.shifts, self._relaxed(options).values)
        if near is None or self.shifts.model.keeps(near):
            return near
        return self._run(self._with(self.cuts), options).values

    def _relaxed(self, options: dict[str, Any], *, value: bool = False) -> Solution:
        """Solve without whole columns; HiGHS goes on from its last solution."""
        if choose(options.get("solver")) == SOLVERS[0]:
            with suppress(SolverError):  # then the same solver is tried once more by name, and after it the next
                if self.kept is None:
                    self.kept = Relaxation(self._with(self.cuts), options.get("seed", 1), value=value)
                for k, (_, _, wanted, _) in enumerate(self.cuts):
                    self.kept.ask(len(self.model.rows) + k, wanted)
                self.solved.append(self.kept.solve(options.get("time_limit")))
                return self.solved[-1]
        asked = self._with(self.cuts)
        return self._run(replace(asked, whole=[False] * len(asked.whole)), options)

    def _run(self, model: Model, options: dict[str, Any]) -> Solution:
        self.solved.append(model.solve(**options))
        return self.solved[-1]

    def bound(self, options: dict[str, Any]) -> float:
        """Return the least cost that any shifts can have; of a large problem that of its relaxation."""
        if self.model.large:
            found = self._relaxed(options, value=True)
            return found.objective if found.status == "optimal" else math.nan
        return self._with(self.cuts).solve(**options).bound

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
