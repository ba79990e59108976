"""A clause's windows compared with its levels: pure functions over arrays of replications × windows."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bposim.targets.clauses import Band, Clause, Linear
from bposim.targets.terms import Amount, Level, to_cents

#: What became of a clause's window. Only ``met`` and ``missed`` ones were compared with a level.
STATUS = ("met", "missed", "waived", "relieved", "small sample", "no data", "no contacts")
MET, MISSED, WAIVED, RELIEVED, SMALL, NO_DATA, EMPTY = range(len(STATUS))


@dataclass(frozen=True, eq=False)
class Windows:
    """A clause's metric in every window.

    Attributes
    ----------
    value, top, bottom, sample, excluded : ndarray, shape (n_replications, n_windows)
        Metric, numerator, denominator after relief; contacts (items, stretches) behind it; what relief left out of the
        denominator. nan: not known.
    factor : ndarray, shape (n_replications, n_windows)
        What scaled targets multiply the levels by (divide, where low is good).
    waived : ndarray of bool, shape (n_replications, n_windows)
    month : ndarray of int, shape (n_windows,)
        Month in which each window ends, ascending.
    starts : DatetimeIndex, length n_windows
    """

    value: np.ndarray
    top: np.ndarray
    bottom: np.ndarray
    sample: np.ndarray
    excluded: np.ndarray
    factor: np.ndarray
    waived: np.ndarray
    month: np.ndarray
    starts: pd.DatetimeIndex


@dataclass(frozen=True, eq=False)
class Judged:
    """A clause's windows compared with its levels, shape (n_replications, n_windows).

    Attributes
    ----------
    compared : ndarray
        The value as compared: rounded; the worst possible where missing data count as a miss.
    level : ndarray
        Expected level of the window: glide path and scaled targets in it.
    status : ndarray of int8
        Index into ``STATUS``.
    missed : ndarray of bool
        Below the clause's miss level.
    share, bonus_share : ndarray
        Credits and bonuses that are shares of a fee.
    money, bonus_money : ndarray
        Those that are money, in cents.
    points : ndarray
    """

    windows: Windows
    compared: np.ndarray
    level: np.ndarray
    status: np.ndarray
    missed: np.ndarray
    share: np.ndarray
    money: np.ndarray
    bonus_share: np.ndarray
    bonus_money: np.ndarray
    points: np.ndarray


def by_month(values: np.ndarray, month: np.ndarray, n_months: int) -> np.ndarray:
    """Add windows (axis 1) into the months in which they end.

    Examples
    --------
    >>> by_month(np.array([[1.0, 2.0, 4.0]]), np.array([0, 2, 2]), 3).tolist()
    [[1.0, 0.0, 6.0]]
    """
    if len(month) == n_months and np.array_equal(month, np.arange(n_months)):
        return values.astype(float)
    total = np.zeros((len(values), n_months))
    if len(month):
        edges = np.flatnonzero(np.diff(month, prepend=month[0] - 1))
        total[:, month[edges]] = np.add.reduceat(values.astype(float), edges, axis=1)
    return total


#: How a value is compared with the level that it is to reach.
COMPARE = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}


class _Ruler:
    """Compares a clause's values with levels that move along its glide path and scale with relief."""

    def __init__(self, clause: Clause, w: Windows, contract_month: np.ndarray) -> None:
        self.clause, self.w = clause, w
        start = clause.levels.expected.value
        moved = {int(m): clause.expected(int(m)) - start for m in np.unique(contract_month)}
        self.shift = np.array([moved[int(m)] for m in contract_month[w.month]])[None, :]
        self.scale = w.factor if clause.higher else 1 / w.factor
        self.value = rounded(w.value, clause)

    def edge(self, level: Level | float, *, scaled: bool = True) -> np.ndarray:
        """Return a level of every window; relief moves those of credits (``scaled``), not those of bonuses."""
        number = level if isinstance(level, float) else self.clause.level(level)
        return np.round((number + self.shift) * (self.scale if scaled else 1.0), 12)

    def beyond(self, level: Level | None, *, scaled: bool) -> np.ndarray:
        """Tell whether values lie above an edge, one exactly reached on the better side; all do where there is none."""
        if level is None:
            return ~np.isnan(self.value)
        edge = self.edge(level, scaled=scaled)
        return self.value >= edge if self.clause.sense in (">=", "<") else self.value > edge

    def reaches(self, level: Level | float, *, scaled: bool = True) -> np.ndarray:
        edge = self.edge(level, scaled=scaled)
        return np.asarray(COMPARE[self.clause.sense](self.value, edge))


def rounded(values: np.ndarray, clause: Clause) -> np.ndarray:
    """Round to the clause's step, and off the noise of a division."""
    if clause.rounding is not None:
        steps = values / clause.rounding.value
        values = {
            "half-up": np.floor(steps + 0.5 + 1e-9), "down": np.floor(steps + 1e-9), "up": np.ceil(steps - 1e-9),
        }[clause.rounding_mode] * clause.rounding.value  # fmt: skip
    return np.round(values, 12)


def judge(
    clause: Clause, w: Windows, contract_month: np.ndarray, conditions: Mapping[tuple[str, Level, bool], np.ndarray]
) -> Judged:
    """Compare every window of a clause with its levels and work out what follows, before money is known.

    Parameters
    ----------
    clause : Clause
    w : Windows
    contract_month : ndarray of int, shape (n_months,)
        Month of the contract, the first is 1.
    conditions : mapping of (clause, level, scaled) to ndarray of bool, shape (n_replications, n_months)
        Whether the other clauses that this one requires reach a level, as relief scales it and as written.
    """
    r = _Ruler(clause, w, contract_month)
    status = status_of(clause, w)
    if clause.missing is not None:
        worst, best = (-math.inf, math.inf) if clause.higher else (math.inf, -math.inf)
        fill = {"miss": worst, "met": best, "exclude": np.nan}[clause.missing]
        r.value = np.where(status == NO_DATA, fill, r.value)
        if clause.missing != "exclude":
            status = np.where(status == NO_DATA, MET, status)
    untold = np.isnan(w.value)
    open_ = status == MET
    earning = open_ | (status == WAIVED)  # a waiver takes no credit and leaves the bonus
    missed = open_ & ~r.reaches(Level(math.nan, "", clause.miss_name))
    status = np.where(missed, MISSED, status)
    shape = w.value.shape
    share, money, bonus_share, bonus_money, points = (np.zeros(shape) for _ in range(5))
    no_bonus = untold if clause.missing == "met" else np.zeros(shape, dtype=bool)

    def book(amount: Amount, times: np.ndarray, bonus: bool, most: Amount | None = None) -> None:
        times = np.where(no_bonus, 0.0, times) if bonus else times
        if amount.share is not None:
            found = times * amount.share
            into = bonus_share if bonus else share
            into += found if most is None or most.share is None else np.minimum(found, most.share)
        elif amount.money is not None:
            found = times * float(amount.money) * 100
            into = bonus_money if bonus else money
            into += found if most is None or most.money is None else np.minimum(found, to_cents(most.money))

    for band in clause.bands:
        costs = band.bonus is None
        inside = (open_ if costs else earning) & r.beyond(band.from_, scaled=costs) & ~_above_top(r, band)
        inside &= _fulfilled(band, conditions, w.month)
        if band.points is not None:
            points += inside * band.points
        elif (amount := band.credit or band.bonus) is not None:
            book(amount, inside.astype(float), not costs)
    for part in clause.linear:
        amount = part.credit or part.bonus
        assert amount is not None
        costs = part.bonus is None
        counted = (open_ if costs else earning) & _fulfilled(part, conditions, w.month)
        book(amount, _steps(r, part, clause.higher) * counted, not costs, part.at_most)
    if clause.per_contact is not None:
        edge = r.edge(clause.per_contact.beyond)
        over = edge * w.bottom - w.top if clause.higher else w.top - edge * w.bottom
        # Met without data: no contact missed. Reached once rounded: none either.
        counted = open_ & ~untold & ~r.reaches(clause.per_contact.beyond)
        whole = np.where(counted, np.floor(np.maximum(over, 0.0) + 1e-9), 0.0)
        most = clause.per_contact.at_most
        book(Amount(money=clause.per_contact.credit), whole, False, None if most is None else Amount(money=most))
    expected = np.broadcast_to(r.edge(Level(math.nan, "", "expected")), shape)
    return Judged(w, r.value, expected, status.astype(np.int8), missed, share, money, bonus_share, bonus_money, points)


def _above_top(r: _Ruler, band: Band) -> np.ndarray:
    return np.zeros(r.value.shape, dtype=bool) if band.to is None else r.beyond(band.to, scaled=band.bonus is None)


def _fulfilled(
    part: Band | Linear, conditions: Mapping[tuple[str, Level, bool], np.ndarray], month: np.ndarray
) -> np.ndarray | bool:
    found: np.ndarray | bool = True
    for name, level in part.requires.items():
        found = found & conditions[name, level, part.bonus is None][:, month]
    return found


def _steps(r: _Ruler, part: Linear, higher: bool) -> np.ndarray:
    """Return how many steps a value lies beyond the edge, on the worse side for a credit, the better for a bonus."""
    gap = r.edge(part.beyond, scaled=part.bonus is None) - r.value
    far = gap if higher == (part.credit is not None) else -gap
    n = np.maximum(np.nan_to_num(far, nan=0.0, posinf=1e9, neginf=0.0), 0.0) / part.per.value
    if part.steps == "full":
        return np.floor(n + 1e-9)
    return np.ceil(n - 1e-9) if part.steps == "started" else n


def status_of(clause: Clause, w: Windows) -> np.ndarray:
    """Return MET for every window that can be compared, else why it cannot."""
    status = np.zeros(w.value.shape, dtype=np.int8)
    nothing = np.isnan(w.value)
    status[nothing] = np.where(w.sample == 0, EMPTY, NO_DATA)[nothing]
    status[nothing & (w.excluded > 0) & ~(w.sample > 0)] = RELIEVED
    status[~nothing & (w.sample < clause.minimum_sample)] = SMALL
    status[w.waived & (status == MET)] = WAIVED
    return status


def reached(
    clause: Clause, w: Windows, level: Level, contract_month: np.ndarray, n_months: int, *, scaled: bool = False
) -> np.ndarray:  # fmt: skip
    """Tell by month whether every window that ends in it reaches a level; a month without a window that counts does not.

    Relief that scales levels makes none easier where what is reached earns a bonus, or credits back; conditions of credits are
    ``scaled``. Shape (n_replications, n_months).
    """
    r = _Ruler(clause, w, contract_month)
    usable, good = np.isin(status_of(clause, w), (MET, WAIVED)), r.reaches(level, scaled=scaled)
    bad = by_month(usable & ~good, w.month, n_months)
    good = by_month(usable & good, w.month, n_months)
    return (good > 0) & (bad == 0)
