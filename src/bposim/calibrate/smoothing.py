"""Heads of neighbouring intervals resemble each other: a Gaussian prior whose strength the data choose."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

#: Strengths that are tried for each penalty: from heads that are free to heads that are all but equal.
STRENGTHS = (0.3, 3.0, 30.0, 300.0, 3000.0, 30000.0)


@dataclass(frozen=True, eq=False)
class Prior:
    """A Gaussian prior of log-heads, in blocks that have nothing to do with each other.

    Attributes
    ----------
    blocks : sequence of ndarray of int
        Indexes of each block.
    first, second : sequence of ndarray, shape (n_block, n_block)
        Penalty matrices of each block.
    centre : ndarray
        Where the heads lie if nothing else is known.
    hold : float
        Precision with which they are held there.
    about : ndarray
        What the penalties are about: 0, or log-heads from which departures are smooth.
    strength : (float, float)
        Of both penalties.
    """

    blocks: Sequence[np.ndarray]
    first: Sequence[np.ndarray]
    second: Sequence[np.ndarray]
    centre: np.ndarray
    hold: float
    about: np.ndarray
    strength: tuple[float, float] = (100.0, 30.0)

    def precision(self, k: int) -> np.ndarray:
        """Return the prior precision of a block."""
        n = len(self.blocks[k])
        return self.strength[0] * self.first[k] + self.strength[1] * self.second[k] + self.hold * np.eye(n)

    def solve(self, pull: np.ndarray, info: np.ndarray, now: np.ndarray) -> np.ndarray:
        """Return the most probable heads by one step of Fisher scoring from ``now``."""
        result = np.array(now)
        off, centre = now - self.about, self.centre - self.about
        for k, block in enumerate(self.blocks):
            natural = pull[block] + info[block] * off[block] + self.hold * centre[block]
            result[block] = self.about[block] + np.linalg.solve(self.precision(k) + np.diag(info[block]), natural)
        return result

    def spread(self, pulls: np.ndarray, info: np.ndarray) -> np.ndarray:
        """Return how far pulls, shape (n, n_heads), would move the heads: the linear part of :meth:`solve`."""
        result = np.zeros_like(pulls)
        for k, block in enumerate(self.blocks):
            result[:, block] = np.linalg.solve(self.precision(k) + np.diag(info[block]), pulls[:, block].T).T
        return result

    def chosen(self, pull: np.ndarray, info: np.ndarray, now: np.ndarray) -> Prior:
        """Return the prior with the strengths of the largest marginal likelihood (empirical Bayes; MacKay 1992)."""
        tried = [replace(self, strength=(a, b)) for a in STRENGTHS for b in STRENGTHS]
        return max(tried, key=lambda prior: prior.evidence(pull, info, now))

    def evidence(self, pull: np.ndarray, info: np.ndarray, now: np.ndarray) -> float:
        """Return the logarithm of the marginal likelihood, but for what does not depend on the strengths."""
        total = 0.0
        off, centre = now - self.about, self.centre - self.about
        for k, block in enumerate(self.blocks):
            p = self.precision(k)
            held = self.hold * centre[block]
            natural = pull[block] + info[block] * off[block] + held
            a = p + np.diag(info[block])
            total += float(np.linalg.slogdet(p)[1] - np.linalg.slogdet(a)[1] + natural @ np.linalg.solve(a, natural))
            if self.hold and held.any():
                total -= float(held @ np.linalg.solve(p, held))
        return total / 2


def chain(n: int, linked: np.ndarray) -> np.ndarray:
    """Return the matrix of Σ (u_j+1 − u_j)² over the links, ``linked`` of shape (n − 1,)."""
    step = np.diff(np.eye(n), axis=0)[linked]
    return np.asarray(step.T @ step)


def profile_prior(weekday: np.ndarray, minute: np.ndarray, centre: np.ndarray, hold: float, length: int) -> Prior:
    """Return the prior of a profile: neighbouring intervals of a weekday, and the same interval of other weekdays.

    Parameters
    ----------
    weekday, minute : ndarray, shape (n_cells,)
        In order of weekday and time.
    length : int
        Minutes of an interval.
    """
    n = len(weekday)
    linked = (np.diff(weekday) == 0) & (np.diff(minute) == length)
    alike = np.zeros((n, n))
    for m in np.unique(minute):
        here = np.flatnonzero(minute == m)
        alike[np.ix_(here, here)] += np.eye(len(here)) - 1 / len(here)
    return Prior((np.arange(n),), (chain(n, linked),), (alike,), centre, hold, np.zeros(n))


def interval_prior(day: np.ndarray, profile: np.ndarray) -> Prior:
    """Return the prior of each interval's departure from a profile of log-heads: near none, near that of its neighbours."""
    blocks = [np.flatnonzero(day == d) for d in np.unique(day)]
    return Prior(
        blocks, [np.eye(len(b)) for b in blocks], [chain(len(b), np.ones(len(b) - 1, dtype=bool)) for b in blocks],
        profile, 0.0, profile,
    )  # fmt: skip
