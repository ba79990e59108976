"""Settlement of months: judged windows become money; pure functions over arrays of replications × months × clauses.

Money is whole cents (int64).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bposim.targets.clauses import Clause
from bposim.targets.contract import Cap, Contract
from bposim.targets.core import Judged, by_month
from bposim.targets.terms import round_cents, to_cents


@dataclass(frozen=True, eq=False)
class Settled:
    """Money by replication, month and clause, whole cents (the last clause is the points table, where there is one).

    Attributes
    ----------
    fee : ndarray, shape (n_replications, n_months)
    credit, applied, bonus, earned_back : ndarray, shape (n_replications, n_months, n_clauses)
        Credits before the cap and after it, bonuses after their cap, credits that came back.
    cap : ndarray, shape (n_replications, n_months)
        Most that the month could take; -1 without a cap.
    multiplier : ndarray, shape (n_replications, n_months, n_clauses)
    missed : ndarray of bool, shape (n_replications, n_months, n_clauses)
        Months that count as missed: none of those without credits.
    points : ndarray, shape (n_replications, n_months)
    termination : ndarray of bool, shape (n_replications, n_months)
    """

    fee: np.ndarray
    credit: np.ndarray
    applied: np.ndarray
    bonus: np.ndarray
    earned_back: np.ndarray
    cap: np.ndarray
    multiplier: np.ndarray
    missed: np.ndarray
    points: np.ndarray
    termination: np.ndarray


def settle_months(
    contract: Contract,
    judged: Sequence[Judged],
    fee: np.ndarray,
    months: pd.DatetimeIndex,
    contract_month: np.ndarray,
    recovered: Mapping[str, np.ndarray],
) -> Settled:
    """Turn judged windows into money.

    Parameters
    ----------
    contract : Contract
    judged : sequence of Judged
        In the order of the contract's clauses.
    fee : ndarray of int64, shape (n_replications, n_months)
        Cents; what shares of a fee are taken of.
    months : DatetimeIndex, length n_months
    contract_month : ndarray of int, shape (n_months,)
    recovered : mapping of clause to ndarray of bool, shape (n_replications, n_months)
        For clauses that earn back: whether the month reaches the level of it (``following``), or the year that ends in
        the month does on average (``over``).
    """
    n_rep, n = fee.shape
    clauses = list(contract.clauses.items())
    columns = len(clauses) + bool(contract.points)
    credit, bonus = (np.zeros((n_rep, n, columns), dtype=np.int64) for _ in range(2))
    multiplier = np.ones((n_rep, n, columns))
    missed = np.zeros((n_rep, n, columns), dtype=bool)
    points = np.zeros((n_rep, n))
    termination = np.zeros((n_rep, n), dtype=bool)
    for k, ((name, clause), j) in enumerate(zip(clauses, judged, strict=True)):
        live = contract_month > contract.grace(name)
        base = _base(clause, fee, months)
        at_stake = (
            base if clause.weight is None else base * (clause.weight * contract.allocation * (contract.at_risk or 0))
        )
        share, money, bonus_share, bonus_money, given = (
            by_month(x, j.windows.month, n) for x in (j.share, j.money, j.bonus_share, j.bonus_money, j.points)
        )
        missed[:, :, k] = live & (by_month(j.missed, j.windows.month, n) > 0)
        if clause.repeat is not None:
            often = _rolling(missed[:, :, k], clause.repeat.in_months) >= clause.repeat.misses
            multiplier[:, :, k] = np.where(often & missed[:, :, k], clause.repeat.multiplier, 1.0)
        # Many short windows take (and give) no more than the whole allocation (fee).
        share, bonus_share = np.minimum(share, 1.0), np.minimum(bonus_share, 1.0)
        credit[:, :, k] = round_cents((share * at_stake + money) * multiplier[:, :, k]) * live
        bonus[:, :, k] = round_cents(bonus_share * at_stake + bonus_money) * live
        points += given * live
        if clause.termination is not None:
            termination |= _rolling(missed[:, :, k], clause.termination.in_months) >= clause.termination.misses
    if contract.points:
        table = np.array([p.points for p in contract.points])
        costs = np.append(0.0, [p.credit for p in contract.points])
        credit[:, :, -1] = round_cents(costs[np.searchsorted(table, points + 1e-9, side="right")] * fee)
    if contract.termination is not None:
        t = contract.termination
        termination |= _rolling(missed.sum(axis=2) > 0, t.in_months) >= t.misses
    cap, taken = capped(credit.sum(axis=2), fee, contract.credit_cap, months, contract_month)
    _, paid = capped(bonus.sum(axis=2), fee, contract.bonus_cap, months, contract_month)
    applied, bonus = _spread(credit, taken), _spread(bonus, paid)
    back = np.zeros_like(applied)
    for k, (name, clause) in enumerate(clauses):
        if clause.earn_back is not None:
            back[:, :, k] = _earn_back(clause, applied[:, :, k], recovered[name], contract_month)
    return Settled(fee, credit, applied, bonus, back, cap, multiplier, missed, points, termination)


def _base(clause: Clause, fee: np.ndarray, months: pd.DatetimeIndex) -> np.ndarray:
    """Return the fee that a clause's shares are taken of: the month's, the quarter's or the term's, as its window is."""
    if clause.settled_window == "quarter":
        return _running(fee, months.year * 4 + months.quarter)
    return np.cumsum(fee, axis=1) if clause.settled_window == "all" else fee


def _running(values: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return running sums that begin anew with every label."""
    total = np.zeros_like(values)
    for m in range(values.shape[1]):
        total[:, m] = values[:, m] + (total[:, m - 1] if m and label[m] == label[m - 1] else 0)
    return total


def _rolling(flags: np.ndarray, width: int) -> np.ndarray:
    """Count flags in the last ``width`` months, this one included."""
    total = np.cumsum(flags.astype(np.int64), axis=1)
    total[:, width:] -= total[:, :-width].copy() if width < total.shape[1] else 0
    return total


def capped(
    credit: np.ndarray, fee: np.ndarray, cap: Cap | None, months: pd.DatetimeIndex, contract_month: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return what the cap leaves to take in each month (-1 without a cap) and what is taken, in the order of the months.

    A cap per quarter (of the calendar), year (of the contract) or term is a share of the fees of all of its months that
    are settled; months use it up one after the other.
    """
    if cap is None:
        return np.full(fee.shape, -1, dtype=np.int64), credit
    label = {
        "month": np.arange(len(months)), "quarter": np.asarray(months.year * 4 + months.quarter),
        "year": (contract_month - 1) // 12, "term": np.zeros(len(months), dtype=int),
    }[cap.per]  # fmt: skip
    left, taken = np.zeros_like(fee), np.zeros_like(credit)
    amount = 0 if cap.amount is None else to_cents(cap.amount)
    for period in np.unique(label):
        inside = np.flatnonzero(label == period)
        fees = fee[:, inside].sum(axis=1)
        room = round_cents(cap.share * fees) if cap.share is not None else np.full(len(fee), amount)
        for m in inside:
            left[:, m] = room
            taken[:, m] = np.minimum(credit[:, m], room)
            room = room - taken[:, m]
    return left, taken


def _spread(amounts: np.ndarray, total: np.ndarray) -> np.ndarray:
    """Share out a month's total over the clauses in proportion to their amounts, to the cent and without remainder."""
    full = amounts.sum(axis=2)
    if np.array_equal(full, total):
        return amounts
    with np.errstate(invalid="ignore", divide="ignore"):
        ratio = np.where(full > 0, total / full, 0.0)
    upto = round_cents(np.cumsum(amounts, axis=2) * ratio[:, :, None])
    upto[:, :, -1] = total
    return np.diff(upto, axis=2, prepend=0)


def _earn_back(clause: Clause, applied: np.ndarray, good: np.ndarray, contract_month: np.ndarray) -> np.ndarray:
    """Return the credits that come back, in the month in which they are earned."""
    rule, n = clause.earn_back, applied.shape[1]
    assert rule is not None
    back = np.zeros_like(applied)
    if rule.following is not None:
        for m in range(n - rule.following):
            until = m + rule.following
            back[:, until] += round_cents(applied[:, m] * rule.share) * good[:, m + 1 : until + 1].all(axis=1)
        return back
    year = (contract_month - 1) // 12
    for y in np.unique(year):
        inside = np.flatnonzero(year == y)
        if contract_month[inside[-1]] % 12 == 0 and len(inside) == 12:
            total = applied[:, inside].sum(axis=1)
            back[:, inside[-1]] = round_cents(total * rule.share) * good[:, inside[-1]]
    return back
