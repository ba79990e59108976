"""Simulation in the loop: shifts from cuts that replications make, until no cheaper plan holds."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.special import ndtr

from bposim.optimise._exchange import effects, exchanges
from bposim.optimise._goals import Goal, level_of
from bposim.optimise._lp import keep_to
from bposim.optimise._master import Master, cells
from bposim.optimise._oracle import Heads, Oracle, Tangent
from bposim.optimise._shift_model import ShiftModel

#: Steps of a descent, and how often a step that promised too much is mended before the reach is cut.
STEPS, MENDS = 25, 6
#: Seconds for a step's shifts, unless the problem is large: what more time saves is below what the tangent is off by.
STEP_S = 3.0
#: Shifts that are tried to be taken out of the last plan.
DROPS = 12
#: Exchanges of shifts that are tried after the last that saved something, and shifts whose worth is played one by one.
EXCHANGES, PLAYED_ALONE = 40, 16
#: Reach of the first step: a share of the heads of an interval, at least so many.
REACH_SHARE, REACH_LEAST = 0.25, 3
#: Price of a missing unit on the straight scale, in dearest shifts and in shares of the first plan's cost for each cell, whichever
#: is more: above what the heads of an interval, or of a week, bring.
HEAVY, HEAVY_SHARE = 30.0, 5.0
#: The same where plans that miss are compared.
LACK, LACK_SHARE = 3.0, 0.5
#: A reach below this ends the descent when it brings nothing.
REACH_STOP = 0.26
#: Of a large problem: what is asked for above a lack, which rounding to whole heads may take away again.
NUDGE = 0.005
#: Of a large problem: the first and longest reach, and the one below which the descent ends.
WIDE, NARROW = 0.25, 0.06
#: Of a large problem: a step is begun where there is time for so many of the longest; the reach of the one that mends at the end.
POLISH, LAST = 1.5, 0.15
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
    def lack(self) -> float:
        """What all cells lack together, on the straight scale."""
        return sum(float(np.maximum(-g[np.isfinite(g)], 0.0).sum()) for g in self.gaps)

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
    solver : dict
        Solver, gap and seconds, as :meth:`Model.solve` takes them.
    until : float
        Clock (``time.monotonic``) at which the time is up.
    margins : list of ndarray, one per goal
        By how much more than the level each cell is asked for, on the straight scale.
    trail : list of dict
        What was tried: cost, worst gap, seconds.
    ended : bool
        Whether the last descent came to its end before its time.
    dearer : float
        What the price of a lack is multiplied by.
    reach : float
        Of a large problem: how far the next step may move an interval's heads, as :data:`REACH_SHARE` of them.
    longest : float
        Seconds of its longest step.
    latest : (columns, Tangent) or None
        The plan from which its last step was made.
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
    reach: float = WIDE
    longest: float = 0.0
    latest: tuple[np.ndarray, Tangent] | None = None
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

    def descend(self, start: np.ndarray, steps: int = STEPS) -> Point | None:
        """Return the cheapest plan found in so many steps that reaches every cell on the oracle's draws.

        Notes
        -----
        Each step takes the tangent of the present plan on a scale that is nearly straight in heads, and solves for the
        cheapest shifts within a reach of it which the tangent says are enough. Where the simulation disagrees, the cells
        that fall short are asked for more by what they lack, and the step is solved again; the step goes to the plan of
        the least cost with what it lacks priced. A reach that brings nothing, or little of what it promised, is halved, from
        the best plan. Of a large problem the last step for which there is time is mended until it holds.
        """
        here = self.point(start)
        large = self.model.model.large
        reach = self.reach if large else 1.0
        at, tangent = None, None
        for _ in range(steps):
            began = time.monotonic()
            if began + POLISH * self.longest > self.until:
                return self._mended()
            if at is not here or tangent is None:
                at, (tangent, asked) = here, self.oracle.tangents(here.heads)
                self.tangents.append(asked)
            last = began + 2 * POLISH * self.longest > self.until
            moved = self._step(here, tangent, reach, held=last)
            if large:
                self.longest, self.latest = max(self.longest, time.monotonic() - began), (at.columns, tangent)
            if moved is not None and self.merit(moved) < self.merit(here) - 1e-9:
                promised = moved.cost + self._price(LACK, LACK_SHARE) * self._lacking
                kept = (self.merit(here) - self.merit(moved)) / max(self.merit(here) - promised, 1e-9)
                longest_reach, stop = (WIDE, NARROW) if large else (1.0, REACH_STOP)
                if kept < SHORT:
                    reach = max(reach / 2, stop / 2)
                elif kept > LONG:
                    reach = min(2 * reach, longest_reach)
                here, self.reach = moved, reach
                continue
            if reach < (NARROW if large else REACH_STOP):
                self.ended = True
                break
            reach /= 2
            self.reach = reach
            if self.best is not None and self.merit(self.best) <= self.merit(here):
                here = self.best
        self.ended = not self.out_of_time and (self.ended or steps == STEPS)
        return self._mended()

    def _mended(self) -> Point | None:
        """Return the best plan; of a large problem without one that to which the last tangent of all leads, mended until it holds."""
        if self.latest is not None and self.best is None and not self.out_of_time:
            columns, tangent = self.latest
            self._step(self.point(columns), tangent, max(self.reach, LAST), held=True)
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

    def proven(self, columns: np.ndarray) -> Point:
        """Play a plan that was proven to hold, which these draws may not show, and take it for the best."""
        self.best = self.point(columns)
        return self.best

    def squeeze(self, point: Point, start: Point | None = None) -> Point:
        """Return a cheaper plan that holds where exchanges of a head or two lead to one, otherwise the plan.

        Plans below the cost of the best are walked over, each with less to lack than the one before, from the plan itself or
        from a ``start`` that costs less.
        """
        best, here = point, point if start is None or start.cost >= point.cost else start
        tries, seen = 0, {point.columns.tobytes(), here.columns.tobytes()}
        while not self.out_of_time:
            effect = self._effect(here)
            for columns in exchanges(self.model, here.columns, np.concatenate(here.gaps), effect, best.cost):
                if columns.tobytes() in seen:
                    continue
                if tries == EXCHANGES or self.out_of_time:
                    return best
                seen.add(columns.tobytes())
                tries += 1
                one = self.point(columns)
                if one.holds:
                    here, best, tries = one, one, 0
                    break
                if here is best or one.lack < here.lack:
                    here = one
                    break
            else:
                if here is best:
                    return best
                here = best  # the walk led nowhere; another way may
        return best

    def _effect(self, point: Point) -> np.ndarray:
        """Return what a unit of each column adds to each cell: played where shifts are few, otherwise by the tangent."""
        n = len(point.columns)
        if len(self.model.heads) > PLAYED_ALONE or any(self.model.choices):
            return effects(self.model, self.oracle.goals, self.oracle.tangent(point.heads))
        result = np.zeros((sum(len(g) for g in point.gaps), n))
        for column in self.model.heads:
            more = point.columns.copy()
            more[column] += 1
            values = self.oracle.values(self.model.staffed(more))
            rise = [
                g.straight(v) - g.straight(w) for g, v, w in zip(self.oracle.goals, values, point.values, strict=True)
            ]
            result[:, column] = np.concatenate(rise)
        return result

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
        return point.cost + self._price(LACK, LACK_SHARE) * point.lack

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
        master, wanted, placed = self._master(here, tangent, extra, reach)
        for mend in range(MENDS):
            if self.out_of_time:
                break
            if mend:
                more = self._wanted(here, tangent, extra)
                master.move([m - w for m, w, there in zip(more, wanted, placed, strict=True) if there])
                wanted = more
            solved = self._solve(master)
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
            promised = self.merit(here) - one.cost - self._price(LACK, LACK_SHARE) * lacking
            if any_better and mend == 0 and self.merit(one) - self.merit(here) > promised:
                break  # it lost more than it promised to gain: nothing to mend at this reach
            nudge = NUDGE if self.model.model.large else 0.0
            for e, gap in zip(extra, one.gaps, strict=True):
                e += np.where(np.isfinite(gap) & (gap < 0), nudge - gap, 0.0)
        return found

    def _master(
        self, here: Point, tangent: Tangent, extra: list[np.ndarray], reach: float
    ) -> tuple[Master, list[float], list[bool]]:
        """Return the problem of the cheapest plan near a point that the tangent says is enough, what each cell is asked for in it,
        and which of these heads can move at all."""
        master = Master(self.model)
        for (name, i), column in master.heads.items():
            h = float(here.heads[name][i])
            room = max(round(reach * max(REACH_SHARE * h, REACH_LEAST)), 1)
            master.model.low[column], master.model.high[column] = max(h - room, 0.0), h + room
        heavy = self._price(HEAVY, HEAVY_SHARE)
        wanted, placed = self._wanted(here, tangent, extra), []
        for (j, c, names, at, slope), asked in zip(self._cells(here, tangent), wanted, strict=True):
            before = len(master.cuts)
            goal, value = self.oracle.goals[j], tangent.values[j]
            # On the straight scale, where a slope has the factor of the scale at the present value.
            steep = float(np.abs(goal.steepness(value))[c])
            if _bends(goal, at):
                weight, share = tangent.shapes[j]
                good = share if goal.sign > 0 else 1 - share
                master.curve(tangent.heads, names, at, slope, weight, good, asked, heavy * steep)
            else:
                master.cut(tangent.heads, names, at, slope * steep, asked, heavy)
            placed.append(len(master.cuts) > before)
        return master, wanted, placed

    def _cells(self, here: Point, tangent: Tangent) -> Iterator[tuple[int, int, list[str], np.ndarray, np.ndarray]]:
        """Yield the number of the goal, the cell, and the heads that move it."""
        for j, (goal, gap, rows) in enumerate(zip(self.oracle.goals, here.gaps, tangent.slopes, strict=True)):
            for c, names, at, slope in cells(tangent, rows, goal.n_cells):
                if np.isfinite(gap[c]):
                    yield j, c, names, at, slope

    def _wanted(self, here: Point, tangent: Tangent, extra: list[np.ndarray]) -> list[float]:
        """Return what each cell is asked to gain: as a share where it has curves, otherwise on the straight scale."""
        found = []
        for j, c, _, at, _ in self._cells(here, tangent):
            goal = self.oracle.goals[j]
            more = float(extra[j][c] - here.gaps[j][c])
            now = float(goal.straight(tangent.values[j][c]))
            found.append(float(ndtr(now + more) - ndtr(now)) if _bends(goal, at) else more)
        return found

    def _solve(self, master: Master) -> tuple[np.ndarray, float] | None:
        """Return the columns of the cheapest plan, and what it lacks all the same; None if there is none."""
        left = max(self.until - time.monotonic(), 1.0)
        limit = min(self.solver.get("time_limit") or left, left, left if self.model.model.large else STEP_S)
        before = len(master.solved)
        found = master.solve({**self.solver, "time_limit": limit})
        for one in master.solved[before:]:
            keep_to(self.solver, one)
        if found is None:
            return None
        cost, last = np.array(self.model.model.cost), master.solved[-1]
        assert last.values is not None
        heavy = self._price(HEAVY, HEAVY_SHARE)
        return found[: len(cost)], max(last.objective - float(last.values[: len(cost)] @ cost), 0.0) / heavy


def _bends(goal: Goal, at: np.ndarray) -> bool:
    """Whether the intervals of a cell have curves of their own."""
    return goal.is_share and len(np.unique(at)) > 1
