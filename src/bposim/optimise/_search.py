"""Simulation in the loop: shifts from cuts that replications make, until no cheaper plan holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bposim.optimise._goals import density, level_of
from bposim.optimise._lp import Model, Solution, keep_to
from bposim.optimise._oracle import Heads, Oracle, Tangent
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise._start import rounded

#: Steps of a descent, and how often a step that promised too much is mended before the reach is cut.
STEPS, MENDS = 25, 6
#: Shifts that are tried to be taken out of the last plan.
DROPS = 12
#: Reach of the first step: a share of the heads of an interval, at least so many.
REACH_SHARE, REACH_LEAST = 0.25, 3
#: Price of a missing unit on the straight scale, in dearest shifts and in shares of the first plan's cost for each cell, whichever
#: is more: above what the heads of an interval, or of a week, bring.
HEAVY, HEAVY_SHARE = 30.0, 5.0
#: The same where plans that miss are compared.
LACK, LACK_SHARE = 3.0, 0.5
#: A reach below this ends the descent when it brings nothing.
REACH_STOP = 0.26
#: Slopes below this share of a cell's largest are noise.
SMALL = 0.02
#: Where the curve of an interval's share bends, in probits from its present value.
BENDS = (0.35, 0.9, 2.0)
#: Stretches with a curve of their own in a cell, and how far from 0 and 1 the share of one counts at least.
STRETCHES, EDGE = 100, 0.005
#: Of a large problem: steps whose time is kept for the last, which mends the nearest plan until it holds, and its reach.
POLISH, LAST = 3.0, 0.15
#: Parts of the promised gain below which a step was too long, and above which it may be longer.
SHORT, LONG = 0.25, 0.75


@dataclass(frozen=True, eq=False)
class Point:
    """A plan that was played: columns of the master problem, heads, cost, and how far each cell is from its level.

    ``keeps``: whether it keeps the limits on shifts and heads.
    """

    columns: np.ndarray
    heads: Heads
    cost: float
    gaps: list[np.ndarray]
    values: list[np.ndarray]
    keeps: bool = True

    @property
    def holds(self) -> bool:
        """Whether every cell reaches its level within the limits."""
        return self.keeps and self.worst >= 0

    @property
    def worst(self) -> float:
        """Least gap of all cells, negative where one misses, on the straight scale."""
        return min((float(np.nanmin(g)) for g in self.gaps if np.isfinite(g).any()), default=0.0)


@dataclass(eq=False)
class Search:
    """Descends over plans.

    Attributes
    ----------
    model : ShiftModel
        Without a requirement: the shifts and their limits.
    oracle : Oracle
    margins : list of ndarray, one per goal
        By how much more than the level each cell is asked for, on the straight scale.
    trail : list of dict
        What was tried: cost, worst gap, seconds.
    ended : bool
        Whether the last descent came to its end before its time.
    dearer : float
        What the price of a lack is multiplied by.
    """

    model: ShiftModel
    oracle: Oracle
    solver: dict[str, Any]
    until: float
    margins: list[np.ndarray] = field(default_factory=list)
    trail: list[dict[str, Any]] = field(default_factory=list)
    tangents: list[Tangent] = field(default_factory=list)
    report: Callable[[Point | None], None] | None = None
    best: Point | None = None
    dearer: float = 1.0
    _lacking: float = 0.0  # what the last step left out before it was mended, by its own tangent
    ended: bool = False
    _nearest: Point | None = None

    def __post_init__(self) -> None:
        if not self.margins:
            self.margins = [np.zeros(g.n_cells) for g in self.oracle.goals]

    @property
    def out_of_time(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() > self.until

    def point(self, columns: np.ndarray) -> Point:
        """Play a plan."""
        heads = self.model.staffed(columns)
        values = self.oracle.values(heads)
        pairs = zip(self.oracle.goals, self.oracle.parts(heads), strict=True)
        chances = [g.probability(p) for g, p in pairs if g.confidence is not None]
        gaps = [
            g.straight(v) - level_of(g) - m for g, v, m in zip(self.oracle.goals, values, self.margins, strict=True)
        ]
        cost = float(columns @ np.array(self.model.model.cost))
        found = Point(columns, heads, cost, gaps, values, self.model.model.keeps(columns))
        self.trail.append({
            "cost": found.cost, "worst": found.worst, "probability": min(chances, default=math.nan),
            "plans": self.oracle.played, "at": time.monotonic(),
        })  # fmt: skip
        if found.holds and (self.best is None or found.cost < self.best.cost - 1e-9):
            self.best = found
        if self._nearest is None or self.merit(found) < self.merit(self._nearest):
            self._nearest = found
        if self.report is not None:
            self.report(self.best)
        return found

    @property
    def known(self) -> bool:
        """Whether any plan was played."""
        return self._nearest is not None

    @property
    def nearest(self) -> Point:
        """The cheapest plan that holds; without one the plan of the least cost with a price on what it lacks."""
        return self.best or self.nearest_by_merit

    @property
    def nearest_by_merit(self) -> Point:
        """The plan of the least cost with a price on what it lacks."""
        assert self._nearest is not None
        return self._nearest

    def descend(self, start: np.ndarray) -> Point | None:
        """Return the cheapest plan found that reaches every cell on the oracle's draws.

        Notes
        -----
        Each step takes the tangent of the present plan on a scale that is nearly straight in heads, and solves for the
        cheapest shifts within a reach of it which the tangent says are enough. Where the simulation disagrees, the cells
        that fall short are asked for more by what they lack, and the step is solved again; the step goes to the plan of
        the least cost with what it lacks priced. A reach that brings nothing, or little of what it promised, is halved, from
        the best plan.
        """
        here = self.point(start)
        large = self.model.model.large
        reach = 0.5 if large else 1.0
        at, tangent = None, None
        longest = 0.0
        for _ in range(STEPS):
            began = time.monotonic()
            if began + POLISH * longest * large > self.until:
                return self._polished(at, tangent)
            if at is not here or tangent is None:
                at, (tangent, asked) = here, self.oracle.tangents(here.heads)
                self.tangents.append(asked)
            moved = self._step(here, tangent, reach)
            longest = max(longest, time.monotonic() - began)
            if moved is not None and self.merit(moved) < self.merit(here) - 1e-9:
                promised = moved.cost + self._price(LACK, LACK_SHARE) * self._lacking
                kept = (self.merit(here) - self.merit(moved)) / max(self.merit(here) - promised, 1e-9)
                reach = (
                    max(reach / 2, REACH_STOP / 2) if kept < SHORT else min(2 * reach, 1.0) if kept > LONG else reach
                )
                here = moved
                continue
            if reach < REACH_STOP:
                break
            reach /= 2
            if self.best is not None and self.merit(self.best) <= self.merit(here):
                here = self.best
        self.ended = not self.out_of_time
        return self._polished(at, tangent)

    def _polished(self, at: Point | None, tangent: Tangent | None) -> Point | None:
        """Mend the nearest plan of a large problem until it holds; return the best."""
        near = self._nearest
        if self.model.model.large and near is not None and not near.holds and not self.out_of_time:
            if near is not at or tangent is None:
                tangent, asked = self.oracle.tangents(near.heads)
                self.tangents.append(asked)
            self._step(near, tangent, LAST, held=True)
        return self.best

    def drop(self, point: Point) -> Point:
        """Return the plan without what it does not need: shifts are taken out one at a time as long as every cell holds.

        The shifts whose loss the tangent minds least are tried first.
        """
        tries = 0
        tangent = self.oracle.tangent(point.heads)
        refused: set[int] = set()
        while tries < DROPS and not self.out_of_time:
            ranked = self._by_loss(point, tangent, refused)
            if not ranked:
                break
            column, without = ranked[0]
            tries += 1
            one = self.point(without)
            if one.holds:
                point = one
            else:
                refused.add(column)
        return point

    def _by_loss(self, point: Point, tangent: Tangent, refused: set[int]) -> list[tuple[int, np.ndarray]]:
        """Return the plans with one head fewer on a shift, those first that lose least by the tangent."""
        worth = {name: np.zeros(len(h)) for name, h in point.heads.items()}
        for goal, (_, group, interval, slope) in zip(self.oracle.goals, tangent.slopes, strict=True):
            for k, name in enumerate(tangent.heads):
                mine = group == k
                worth[name] += np.bincount(interval[mine], slope[mine], minlength=len(worth[name])) / goal.n_cells
        found = []
        cost = np.array(self.model.model.cost)
        for tour, column, choices in zip(self.model.tours, self.model.heads, self.model.choices, strict=True):
            if point.columns[column] < 0.5 or column in refused or cost[column] <= 0:
                continue
            without = point.columns.copy()
            without[column] -= 1
            for chosen in choices:
                without[next(c for c in chosen if without[c] > 0.5)] -= 1
            if not self.model.model.keeps(without):
                continue
            found.append((float(worth[tour.group][list(tour.core)].sum()) / cost[column], column, without))
        return [(column, without) for _, column, without in sorted(found, key=lambda f: f[0])]

    def merit(self, point: Point) -> float:
        """Return the cost with a price on what each cell lacks; infinite for shifts that break a limit."""
        if not point.keeps:
            return math.inf
        lack = sum(float(np.maximum(-g[np.isfinite(g)], 0.0).sum()) for g in point.gaps)
        return point.cost + self._price(LACK, LACK_SHARE) * lack

    def _price(self, shifts: float, share: float) -> float:
        """Return the price of a missing unit on the straight scale."""
        n_cells = sum(len(m) for m in self.margins)
        first = self.trail[0]["cost"] if self.trail else 0.0
        return self.dearer * max(shifts * max(self.model.model.cost, default=1.0), share * first / n_cells)

    def _step(self, here: Point, tangent: Tangent, reach: float, *, held: bool = False) -> Point | None:
        """Return the best plan that the tangent leads to, mended where it promised too much.

        Of a large problem a plan that is any better will do unless it has to be ``held``: a new tangent there costs less than
        the solver's next answer.
        """
        any_better = self.model.model.large and not held
        extra = [np.zeros_like(m) for m in self.margins]
        found: Point | None = None
        seen = {here.columns.tobytes()}
        for mend in range(MENDS):
            if self.out_of_time:
                break
            solved = self._solve(here, tangent, extra, reach)
            if solved is None or solved[0].tobytes() in seen:
                break
            columns, lacking = solved
            if mend == 0:
                self._lacking = lacking
            seen.add(columns.tobytes())
            one = self.point(columns)
            if found is None or self.merit(one) < self.merit(found):
                found = one
            if one.holds or (any_better and self.merit(found) < self.merit(here)):
                break
            for e, gap in zip(extra, one.gaps, strict=True):
                e += np.where(np.isfinite(gap) & (gap < 0), -gap, 0.0)
        return found

    def _solve(
        self, here: Point, tangent: Tangent, extra: list[np.ndarray], reach: float
    ) -> tuple[np.ndarray, float] | None:
        """Return the columns of the cheapest plan near a point that the tangent says is enough, and what it lacks all the same.

        None if there is none.
        """
        master = Master(self.model)
        for (name, i), column in master.heads.items():
            h = float(here.heads[name][i])
            room = max(round(reach * max(REACH_SHARE * h, REACH_LEAST)), 1)
            master.model.low[column], master.model.high[column] = max(h - room, 0.0), h + room
        heavy = self._price(HEAVY, HEAVY_SHARE)
        for goal, gap, value, rows, more, shape in zip(
            self.oracle.goals, here.gaps, tangent.values, tangent.slopes, extra, tangent.shapes, strict=True
        ):
            # On the straight scale, where a slope has the factor of the scale at the present value.
            steep = np.abs(goal.steepness(value))
            for c, names, at, slope in cells(tangent, rows, goal.n_cells):
                if not np.isfinite(gap[c]):
                    continue
                if goal.is_share and len(np.unique(at)) > 1:
                    now = float(goal.straight(value[c]))
                    wanted = float(ndtr(now + more[c] - gap[c]) - ndtr(now))
                    weight, share = shape
                    good = share if goal.sign > 0 else 1 - share
                    master.curve(tangent.heads, names, at, slope, weight, good, wanted, heavy * steep[c])
                else:
                    master.cut(tangent.heads, names, at, slope * steep[c], more[c] - gap[c], heavy)
        left = max(self.until - time.monotonic(), 1.0)
        limit = min(self.solver.get("time_limit") or left, left)
        found = master.solve({**self.solver, "time_limit": limit})
        for one in master.solved:
            keep_to(self.solver, one)
        if found is None:
            return None
        cost, last = np.array(self.model.model.cost), master.solved[-1]
        assert last.values is not None
        return found[: len(cost)], max(last.objective - float(last.values[: len(cost)] @ cost), 0.0) / heavy


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
