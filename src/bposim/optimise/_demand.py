"""Which rate an interval is staffed for while the rate varies: its own mean, its peak, an earlier one, the offered load's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from bposim.erlang._offered import presence
from bposim.units import Grid

DEMANDS = ("sipp", "sipp-max", "lag", "lag-max", "mol")
#: Most instants of an interval at which the offered load is taken: so many where it lasts as long as a contact.
POINTS = 8
#: Erlangs below which an interval in which nobody arrives counts as empty.
_EMPTY = 0.01
#: Points of equal probability that stand for the talk in front of after-contact work.
_TALKS = 64


class Demand:
    """Turns contacts by interval into the rates that a steady-state formula is asked for.

    ``sipp`` takes the mean rate of the interval, ``sipp-max`` its largest (Green, Kolesar and Soares, 2001); ``lag`` and
    ``lag-max`` take the mean or the largest rate over an interval earlier by the mean handle time; ``mol`` the rate whose
    steady load is the offered load m(t) (Jennings et al., 1996), at up to eight instants. All but the two ``max`` rules take the
    rate as constant within an interval, as the simulation does; they draw it linear through the ends of the half
    intervals, with the interval's mean.
    """

    def __init__(self, name: str, grid: Grid, shortest: float = 0.0) -> None:
        self.name = name
        self.starts, self.ends = grid.start_ms / 1000, grid.end_ms / 1000
        self.length = self.ends - self.starts
        # Within an interval much shorter than a contact the load is a straight line: two instants say it all.
        longest = float(self.length.max(initial=0.0))
        self.points = min(POINTS, max(2, math.ceil(POINTS * longest / shortest))) if shortest > 0 else POINTS

    def rates(self, contacts: np.ndarray, laws: list[Any], means: np.ndarray) -> np.ndarray:
        """Return contacts per second to staff for, shape (n_intervals, n_points, n_states).

        Parameters
        ----------
        contacts : ndarray, shape (n_intervals, n_states)
            Expected contacts of one type.
        laws : list of distributions, one an interval
            Handle time, with all that keeps the agent.
        means : ndarray, shape (n_intervals,)
            Their means in seconds.
        """
        rate = contacts / self.length[:, None]
        if self.name == "sipp":
            return rate[:, None, :]
        if self.name == "lag":
            return self._earlier(rate, means)[:, None, :]
        if self.name == "mol":
            return self._offered(rate, laws, means)
        shift = means if self.name == "lag-max" else np.zeros_like(means)
        return np.column_stack([self._largest(one, shift) for one in rate.T])[:, None, :]

    def _earlier(self, rate: np.ndarray, lag: np.ndarray) -> np.ndarray:
        """Return the mean rate of each interval moved back by the mean handle time."""
        edges = np.column_stack([self.starts, self.ends]).ravel()
        came = np.zeros((len(edges), rate.shape[1]))
        came[1::2] = np.cumsum(rate * self.length[:, None], axis=0)
        came[2::2] = came[1:-1:2]
        until, since = (
            np.column_stack([np.interp(t - lag, edges, c) for c in came.T]) for t in (self.ends, self.starts)
        )
        return (until - since) / self.length[:, None]

    def _offered(self, rate: np.ndarray, laws: list[Any], means: np.ndarray) -> np.ndarray:
        # Two instants stand where Gauss puts them, equally weighted as the others are.
        part = (
            (np.arange(self.points) + 0.5) / self.points if self.points > 2 else 0.5 + np.array([-1, 1]) / np.sqrt(12)
        )
        at = (self.starts[:, None] + self.length[:, None] * part).ravel()
        load = (presence(self.starts, self.ends, laws, at) @ rate).reshape(len(rate), self.points, -1)
        load[(rate.max(axis=1) == 0) & (load.max(axis=(1, 2)) < _EMPTY)] = 0.0
        return load / means[:, None, None]

    def _largest(self, rate: np.ndarray, lag: np.ndarray) -> np.ndarray:
        """Return the largest rate in each interval moved back by its lag, along the line through the means."""
        when, height = self._line(rate)
        step = 1e-6
        a, b = self.starts - lag + step, self.ends - lag - step
        best = np.maximum(np.interp(a, when, height), np.interp(b, when, height))
        first = np.searchsorted(when, a)
        for k in range(int((np.searchsorted(when, b) - first).max(initial=0))):
            inside = np.minimum(first + k, len(when) - 1)
            best = np.maximum(best, np.where(when[inside] <= b, height[inside], 0.0))
        return best

    def _line(self, rate: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the corners of a continuous line whose mean over each interval is the given rate, never below 0.

        Where two intervals touch it passes midway between their rates, but at most at twice the smaller, so that the
        corner in the middle of the interval, which keeps the mean, cannot be negative.
        """
        touch = self.starts[1:] == self.ends[:-1]
        between = np.minimum((rate[1:] + rate[:-1]) / 2, 2 * np.minimum(rate[1:], rate[:-1]))
        left = np.append(rate[:1], np.where(touch, between, rate[1:]))
        right = np.append(np.where(touch, between, rate[:-1]), rate[-1:])
        middle = 2 * rate - (left + right) / 2
        gap = 1e-7
        when = np.column_stack([
            self.starts - gap, self.starts, (self.starts + self.ends) / 2, self.ends, self.ends + gap,
        ])  # fmt: skip
        none = np.zeros_like(rate)
        height = np.column_stack([none, left, middle, right, none])
        keep = np.ones(when.shape, dtype=bool)
        keep[1:, 0], keep[:-1, 4] = ~touch, ~touch
        return when[keep], height[keep]


class Followed:
    """Talk followed by after-contact work, as far as the offered load asks: E[min(T + A, x)]."""

    def __init__(self, talk: Any, work: Any) -> None:
        points = np.asarray(talk.quantile((np.arange(_TALKS) + 0.5) / _TALKS), dtype=float)
        self.talk, self.work = talk, work
        self._points = points * (talk.mean / points.mean()) if points.mean() > 0 else points
        self.mean = talk.mean + work.mean

    def quantile(self, p: Any) -> Any:
        """Return a point that the sum stays below with at least about this probability."""
        return self.talk.quantile(p) + self.work.quantile(p)

    def limited_mean(self, x: Any) -> Any:
        left = np.maximum(np.asarray(x, dtype=float)[..., None] - self._points, 0.0)
        return self.talk.limited_mean(x) + self.work.limited_mean(left).mean(axis=-1)
