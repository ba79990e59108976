"""The integer program of a shift plan, with its limits hard or elastic."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from bposim.optimise._lp import Model
from bposim.optimise._skills import groups_of
from bposim.optimise._tours import Break, Tour
from bposim.scenario import Scenario

#: Slack of a coverage row, well above a solver's tolerance and far below a head.
SLACK = 1e-5
#: In an elastic model a cap costs a little less than the shortage it causes, so that the cap is named.
_CAP_WEIGHT = 0.9


@dataclass(frozen=True)
class Limits:
    """What a plan must keep to.

    Attributes
    ----------
    need : mapping of a set of contact types to ndarray, shape (n_intervals,)
    under_cost : float or None
        Per agent-hour; None forbids shortage.
    over_cost : float
    max_heads : int, mapping of group to int, or None
    """

    need: Mapping[tuple[str, ...], np.ndarray]
    under_cost: float | None
    over_cost: float
    max_heads: int | Mapping[str, int] | None


class ShiftModel:
    """Columns and rows of a plan; ``elastic`` lets every limit give way at a weight instead of costing money."""

    def __init__(
        self, scenario: Scenario, able: dict[str, tuple[str, ...]], tours: list[Tour], limits: Limits, *,
        free: bool, elastic: bool = False,
    ) -> None:  # fmt: skip
        self.scenario, self.able, self.tours, self.limits, self.elastic = scenario, able, tours, limits, elastic
        self.grid, self.model = scenario.grid, Model()
        self.heads: list[int] = []
        self.choices: list[list[list[int]]] = []
        self.present: dict[tuple[str, int], list[tuple[int, float]]] = {}
        self.shortage: dict[tuple[str, int], int] = {}
        self.excess: dict[tuple[str, str, int], int] = {}
        for tour in tours:
            self._add(tour, 1e-6 if elastic else tour.paid_hours if free else tour.cost)
        for members, need in limits.need.items():
            for i in np.flatnonzero(need > SLACK):
                self._cover(members, int(i), float(need[i]))
        if limits.over_cost and not elastic:
            self._price_excess()
        self._cap_heads()
        self._cap_patterns()

    def _add(self, tour: Tour, price: float) -> None:
        model = self.model
        column = model.column(price, stage=tour.day)
        self._here(tour, column, tour.core, 1.0)
        self.heads.append(column)
        chosen = []
        for window in tour.windows:
            columns = [model.column(0.0, stage=tour.day) for _ in window]
            model.row([*columns, column], [1.0] * len(columns) + [-1.0], "==", 0.0)
            for one, placement in zip(columns, window, strict=True):
                core = set(tour.core)
                self._here(tour, one, (i for i in placement.lost if i in core), -1.0)
            chosen.append(columns)
        self.choices.append(chosen)

    def _here(self, tour: Tour, column: int, intervals: Iterable[int], sign: float) -> None:
        for i in intervals:
            self.present.setdefault((tour.group, i), []).append((column, sign))

    def _cover(self, members: tuple[str, ...], i: int, wanted: float) -> None:
        groups = groups_of(members, self.able)
        stays = {g: 1 - self.scenario.agent_groups[g].shrinkage for g in groups}
        columns, factors = self.staying(groups, i)
        short = [self._short(t, i) for t in members] if self.elastic or self.limits.under_cost is not None else []
        if not short and len(set(stays.values())) == 1:
            # Whole heads of one shrinkage: the rounded-up row cuts off fractional plans, and no whole one.
            stay = next(iter(stays.values()))
            _, whole = self._presence(groups, i, dict.fromkeys(groups, 1.0))
            self.model.row(columns, whole, ">=", math.ceil(wanted / stay - SLACK))
            return
        slack = 0.0 if short else SLACK
        self.model.row([*columns, *short], [*factors, *[1.0] * len(short)], ">=", wanted - slack)

    def _presence(self, groups: tuple[str, ...], i: int, factor: Mapping[str, float]) -> tuple[list[int], list[float]]:
        found = [(c, s * factor[g]) for g in groups for c, s in self.present.get((g, i), ())]
        return [c for c, _ in found], [f for _, f in found]

    def staying(self, groups: tuple[str, ...], i: int) -> tuple[list[int], list[float]]:
        """Return the columns of those present in an interval, and what is left of each after shrinkage."""
        return self._presence(groups, i, {g: 1 - self.scenario.agent_groups[g].shrinkage for g in groups})

    def _short(self, contact_type: str, i: int) -> int:
        key = contact_type, i
        if key not in self.shortage:
            price = 1.0 if self.elastic else (self.limits.under_cost or 0.0) * self.grid.hours[i]
            self.shortage[key] = self.model.column(price, whole=False, stage=int(self.grid.day[i]))
        return self.shortage[key]

    def _price_excess(self) -> None:
        sets = list(self.limits.need)
        for members in sets:
            if any(set(members) < set(other) for other in sets):
                continue
            groups = groups_of(members, self.able)
            for i in range(len(self.grid)):
                columns, factors = self.staying(groups, i)
                if columns:
                    price = self.limits.over_cost * self.grid.hours[i]
                    extra = self.model.column(price, whole=False, stage=int(self.grid.day[i]))
                    self.model.row([*columns, extra], [*factors, -1.0], "<=", float(self.limits.need[members][i]))

    def _looser(self, kind: str, name: str, day: int, sign: float) -> tuple[list[int], list[float]]:
        if not self.elastic:
            return [], []
        key = kind, name, day
        if key not in self.excess:
            self.excess[key] = self.model.column(_CAP_WEIGHT, stage=day)
        return [self.excess[key]], [sign]

    def _cap_heads(self) -> None:
        cap = self.limits.max_heads
        if cap is None:
            return
        caps = cap.items() if isinstance(cap, Mapping) else [("", cap)]
        for name, most in caps:
            groups = (name,) if name else tuple(self.scenario.agent_groups)
            for i in range(len(self.grid)):
                columns, factors = self._presence(groups, i, dict.fromkeys(groups, 1.0))
                if columns:
                    extra, sign = self._looser("head_cap", name, int(self.grid.day[i]), -1.0)
                    self.model.row([*columns, *extra], [*factors, *sign], "<=", float(most))

    def _cap_patterns(self) -> None:
        days: dict[tuple[str, int], list[int]] = {}
        for tour, column in zip(self.tours, self.heads, strict=True):
            days.setdefault((tour.pattern, tour.day), []).append(column)
        for (name, day), columns in days.items():
            pattern = self.scenario.shifts.get(name)
            if pattern is None:  # heads without shifts
                continue
            for kind, limit, sense, sign in (
                ("pattern_cap", pattern.max_heads, "<=", -1.0), ("pattern_floor", pattern.min_heads, ">=", 1.0),
            ):  # fmt: skip
                if limit is None or (kind == "pattern_floor" and day < 0):
                    continue
                extra, factor = self._looser(kind, name, day, sign)
                self.model.row([*columns, *extra], [1.0] * len(columns) + factor, sense, float(limit))

    def least_excess(self, values: np.ndarray) -> np.ndarray:
        """Return columns of an elastic model with each limit exceeded by no more than its shifts need."""
        result, extra = values.copy(), set(self.excess.values())
        for column in extra:
            result[column] = 0.0
        for columns, factors, sense, limit in self.model.rows:
            mine = [c for c in columns if c in extra]
            if mine:
                total = float(values[columns] @ np.array(factors)) - sum(
                    float(values[c]) * f for c, f in zip(columns, factors, strict=True) if c in extra
                )
                lack = total - limit if sense == "<=" else limit - total
                result[mine[0]] = max(result[mine[0]], np.ceil(lack - 1e-6))
        return result

    def worked(self, values: np.ndarray) -> list[tuple[Tour, tuple[Break, ...], int]]:
        """Return tours with their breaks and heads; breaks of different windows are paired in order."""
        result = []
        for tour, column, choices in zip(self.tours, self.heads, self.choices, strict=True):
            total = round(values[column])
            if not total:
                continue
            picks = []
            for window, chosen in zip(tour.windows, choices, strict=True):
                picks.append([p for p, c in zip(window, chosen, strict=True) for _ in range(round(values[c]))])
            ways = Counter(tuple(sorted([*tour.fixed, *(b for p in picks for b in p[k].breaks)])) for k in range(total))
            result += [(tour, breaks, heads) for breaks, heads in ways.items()]
        return result

    def staffed(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """Return the heads of each group present in each interval, int, shape (n_intervals,)."""
        heads = {g: np.zeros(len(self.grid)) for g in self.scenario.agent_groups}
        for (g, i), terms in self.present.items():
            heads[g][i] = sum(values[c] * s for c, s in terms)
        return {g: np.round(h).astype(int) for g, h in heads.items()}
