"""What a plan must reach, measured on replications, and how fast each head brings it nearer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from bposim.errors import ParameterError
from bposim.metrics.pooling import Ask, codes_of, resolve, sums
from bposim.scenario import Scenario, Target
from bposim.scenario.target import scope
from bposim.simulate import SimulationResult

#: Expected values hold over the horizon, or in each stretch of this kind on its own.
EACH = ("horizon", "day", "interval")
#: Share of the windows, those nearest to the quantile, that tell how it moves.
_NEAR = 0.2
#: A share counts as at least this far from 0 and 1 where its probit is taken.
_EDGE = 1e-4


@dataclass(frozen=True, eq=False)
class Goal:
    """One target as numbers: the value of each of its cells must reach the level.

    Attributes
    ----------
    target : Target
    types : tuple of int or None
        Positions of its contact types; None pools all.
    confidence : float or None
        The cell is the quantile of the windows that so large a share of them must reach; None: expected values.
    codes : ndarray of int, shape (n_intervals,)
        Window (with a confidence) or cell of each interval.
    """

    target: Target
    types: tuple[int, ...] | None
    confidence: float | None
    codes: np.ndarray
    label: str

    @property
    def sign(self) -> float:
        """1 where more is better, −1 otherwise."""
        return 1.0 if self.target.sense == ">=" else -1.0

    @property
    def is_share(self) -> bool:
        """Whether the metric is a share."""
        return self.target.metric in ("service_level", "abandonment", "turnaround", "occupancy")

    @property
    def n_cells(self) -> int:
        """One for a quantile, otherwise one for each stretch."""
        return 1 if self.confidence is not None else int(self.codes.max()) + 1

    @property
    def cells(self) -> np.ndarray:
        """The cell of each interval."""
        return self.codes if self.confidence is None else np.zeros(len(self.codes), dtype=np.int64)

    def parts(self, runs: SimulationResult) -> tuple[np.ndarray, np.ndarray]:
        """Return numerator and denominator, shape (n_replications, n_intervals); 0 in the warm-up."""
        t = self.target
        ask: Ask = resolve(runs, t.metric, t.within_s, t.counting, t.short_s, t.strict)
        counts = runs.counts([s for s in (ask.within_s, ask.short_s) if s is not None])
        found = sums(counts, ask, split=False, types=self.types)
        assert found.bottom is not None
        before = ((0, 0), (len(self.codes) - found.top.shape[1], 0))
        top, bottom = (np.pad(np.nan_to_num(x[:, :, 0]), before) for x in (found.top, found.bottom))
        return top, bottom

    def by_window(self, parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Add numerator and denominator over each window, shape (n_replications, n_windows)."""
        n = int(self.codes.max()) + 1
        top, bottom = (np.stack([np.bincount(self.codes, row, minlength=n) for row in part]) for part in parts)
        return top, bottom

    def values(self, parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the value of each cell, NaN where nobody came."""
        if self.confidence is None:
            top, bottom = (np.bincount(self.codes, part.sum(axis=0)) for part in parts)
            with np.errstate(divide="ignore", invalid="ignore"):
                ratio: np.ndarray = np.where(bottom > 0, top / bottom, np.nan)
            return ratio
        return np.array([self._quantile(self._ratios(parts)[0])])

    def _ratios(self, parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        top, bottom = self.by_window(parts)
        seen = bottom > 0
        with np.errstate(divide="ignore", invalid="ignore"):
            return (top / bottom)[seen], seen

    def _quantile(self, ratios: np.ndarray) -> float:
        method: Any = "lower" if self.sign > 0 else "higher"
        return float(np.quantile(ratios, self._rank, method=method)) if len(ratios) else np.nan

    @property
    def _rank(self) -> float:
        assert self.confidence is not None
        return 1 - self.confidence if self.sign > 0 else self.confidence

    def errors(self, parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the standard error of the value of each cell, replications being independent."""
        if self.confidence is None:
            top, bottom = self.by_window(parts)
            below = bottom.sum(axis=0)
            with np.errstate(divide="ignore", invalid="ignore"):
                value = top.sum(axis=0) / below
                found: np.ndarray = np.sqrt(((top - value * bottom) ** 2).sum(axis=0)) / below
            return np.where(below > 0, found, np.nan)
        ratios = np.sort(self._ratios(parts)[0])
        n = len(ratios)
        if n < 2:
            return np.full(1, np.nan)
        # Half the distance between the order statistics that hold the quantile in two of three samples.
        half = np.sqrt(self._rank * (1 - self._rank) / n)
        low, high = (ratios[int(np.clip((self._rank + s * half) * n, 0, n - 1))] for s in (-1, 1))
        return np.array([(high - low) / 2])

    def least(self, parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the least expected value of the intervals of each cell, infinite where nobody came."""
        top, bottom = (part.sum(axis=0) for part in parts)
        cell = self.cells
        result = np.full(self.n_cells, np.inf)
        seen = bottom > 0
        np.minimum.at(result, cell[seen], top[seen] / bottom[seen])
        return result

    def probability(self, parts: tuple[np.ndarray, np.ndarray]) -> float:
        """Return the share of windows that meet the target."""
        ratios = self._ratios(parts)[0]
        return float(np.mean(self.sign * (ratios - self.target.level) >= 0)) if len(ratios) else np.nan

    def shape(self, parts: tuple[np.ndarray, np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
        """Return the weight of each interval in its cell, and its own value; shape (n_intervals,) each.

        The value of a quantile is that of the windows near it.
        """
        if self.confidence is None:
            top, bottom = (part.sum(axis=0) for part in parts)
            weight = bottom / np.maximum(np.bincount(self.codes, bottom), 1e-12)[self.codes]
        else:
            below = self.by_window(parts)[1]
            near = self._near(parts)[:, self.codes]
            top, bottom = ((part * near).sum(axis=0) for part in parts)
            share = parts[1] * near / np.maximum(below, 1e-12)[:, self.codes]
            weight = share.sum(axis=0) / max(float(share.sum()), 1e-12)
        return weight, (top + 0.5) / (bottom + 1.0)

    def slopes(
        self, parts: tuple[np.ndarray, np.ndarray], more: tuple[np.ndarray, np.ndarray], owner: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return what one more head in some intervals adds to the cells: cell, interval of the head, slope, and its variance.

        Parameters
        ----------
        parts, more : pair of ndarray, shape (n_replications, n_intervals)
            On the same draws, without and with the heads.
        owner : ndarray of int, shape (n_intervals,)
            The head to which the change in each interval is put down; −1 for none.

        Notes
        -----
        The variance is that of a sum over replications; NaN with one.
        """
        here = np.flatnonzero(owner >= 0)
        if self.confidence is None:
            cell = self.codes[here]
            change = self._mean_change(parts, more)[:, here]
            use = np.bincount(self.codes, parts[1].sum(axis=0))[cell] > 0
            here, cell, change = here[use], cell[use], change[:, use]
        else:
            change = self._quantile_change(parts, more)[:, here]
            cell = np.zeros(len(here), dtype=np.int64)
        pairs, place = np.unique(np.stack([cell, owner[here]]), axis=1, return_inverse=True)
        n, width = len(change), pairs.shape[1]
        keys = np.arange(n)[:, None] * width + place.reshape(1, -1)
        each = np.bincount(keys.ravel(), change.ravel(), minlength=n * width).reshape(n, width)
        noise = each.var(axis=0, ddof=1) * n if n > 1 else np.full(width, np.nan)
        return pairs[0], pairs[1], each.sum(axis=0), noise

    def _mean_change(self, parts: tuple[np.ndarray, np.ndarray], more: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the part of each replication and interval in the change of its cell's value."""
        top, bottom = (np.bincount(self.codes, part.sum(axis=0)) for part in parts)
        below = np.maximum(bottom, 1e-12)
        value = (top / below)[self.codes]
        moved: np.ndarray = ((more[0] - parts[0]) - value * (more[1] - parts[1])) / below[self.codes]
        return moved

    def _quantile_change(self, parts: tuple[np.ndarray, np.ndarray], more: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return the part of each replication and interval in the change of the quantile: of the windows near it."""
        top, bottom = self.by_window(parts)
        near = self._near(parts)
        weight = near[:, self.codes] / np.maximum(bottom, 1e-12)[:, self.codes]
        value = np.where(bottom > 0, top / np.maximum(bottom, 1e-12), 0.0)[:, self.codes]
        moved: np.ndarray = weight * ((more[0] - parts[0]) - value * (more[1] - parts[1]))
        return moved / max(int(near.sum()), 1)

    def _near(self, parts: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
        """Return which windows lie near the quantile, shape (n_replications, n_windows)."""
        top, bottom = self.by_window(parts)
        seen = bottom > 0
        ratio = np.where(seen, top / np.maximum(bottom, 1e-12), np.nan)
        ranks = np.sort(ratio[seen])
        at = int(np.clip(self._rank * len(ranks), 0, len(ranks) - 1))
        reach = max(int(_NEAR * len(ranks) / 2), 15)
        low, high = ranks[max(at - reach, 0)], ranks[min(at + reach, len(ranks) - 1)]
        near: np.ndarray = seen & (ratio >= low) & (ratio <= high)
        return near

    def straight(self, values: np.ndarray) -> np.ndarray:
        """Return values on a scale on which they rise about linearly with heads, larger always better."""
        v = np.asarray(values, dtype=float)
        if self.is_share:
            result: np.ndarray = self.sign * ndtri(np.clip(v, _EDGE, 1 - _EDGE))
            return result
        return self.sign * np.log(np.maximum(v, 1e-3))

    def steepness(self, values: np.ndarray) -> np.ndarray:
        """Return the derivative of :meth:`straight`, with the sign of what is better."""
        v = np.asarray(values, dtype=float)
        if self.is_share:
            result: np.ndarray = self.sign / density(ndtri(np.clip(v, _EDGE, 1 - _EDGE)))
            return result
        return self.sign / np.maximum(v, 1e-3)


def density(z: Any) -> Any:
    """Return the density of the standard normal law."""
    return np.exp(-np.square(z) / 2) / np.sqrt(2 * np.pi)


def goals_of(
    scenario: Scenario, target: Target | Mapping[str, Target], confidence: float | None, each: str
) -> list[Goal]:
    """Return one goal for each target.

    Raises
    ------
    ParameterError
        A target has no numerator and denominator that heads move smoothly.
    """
    asked: list[tuple[str | None, Target]] = [(None, target)] if isinstance(target, Target) else [*target.items()]
    goals, problems = [], []
    for kind, t in asked:
        if t.aggregation != "pooled" or t.metric in ("wait_p95", "max_wait"):
            problems.append(
                f"target {t} cannot be searched for: it jumps from window to window. Search with a pooled service level, "
                "abandonment, asa or mean wait, and give this target to validate_plan()."
            )
            continue
        window = t.window if confidence is not None else {"horizon": "all"}.get(each, each)
        goals.append(goal_of(scenario, kind, t, confidence, window))
    if problems:
        raise ParameterError(problems)
    return goals


def goal_of(scenario: Scenario, kind: str | None, target: Target, confidence: float | None, window: str) -> Goal:
    """Return the goal of one target, asked of a contact type unless it names its own."""
    names = tuple(scenario.contact_types)
    own = target.replace(contact_type=kind) if kind and not target.contact_type else target
    pooled = scope(scenario, own)
    mine = [pooled] if isinstance(pooled, str) else list(pooled or ())
    types = tuple(names.index(k) for k in mine) or None
    return Goal(own, types, confidence, codes_of(scenario.grid.starts, window)[1], str(own))


def level_of(goal: Goal) -> Any:
    """Return the level on the straight scale."""
    return float(goal.straight(np.array(goal.target.level)))
