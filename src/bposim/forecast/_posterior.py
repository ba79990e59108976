"""What counts that came say of the rates to come: joint covariance of days and intervals, and its posterior."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bposim.forecast._counts import Counts
from bposim.forecast._days import Outlook
from bposim.forecast._errors import Error
from bposim.forecast._events import Extra

_STEPS, _CLOSE = 50, 1e-9
#: Rounds in which days that are over get their weights, and past days that a covariance within the day needs.
_ROUNDS, _NEEDS = 12, 20
#: Robust standard deviations from which a past day's total is no usual one.
_OUTLYING = 3.5


def day_root(error: Error, leads: np.ndarray) -> np.ndarray:
    """Return a root of the covariance of the days' log levels, shape (n_days, 2 n_days + 1): level, drift, day factor.

    Contact types share the columns: those of two types are correlated as their day errors are.
    """
    n = len(leads)
    root = np.zeros((n, 2 * n + 1))
    if error.regular:
        return root
    root[:, 0] = np.sqrt(error.level)
    root[:, 1 : n + 1] = np.tril(np.ones((n, n))) * np.sqrt(error.drift * np.diff(leads, prepend=0))
    apart = np.subtract.outer(np.arange(n), np.arange(n))
    root[:, n + 1 :] = np.where(apart >= 0, error.persistence ** np.maximum(apart, 0), 0.0) * np.sqrt(error.factor)
    root[:, n + 2 :] *= np.sqrt(1 - error.persistence**2)
    return root


def covariance(
    errors: Sequence[Error], leads: np.ndarray, mix: np.ndarray, extras: Sequence[Extra], rows: np.ndarray, whole: int,
    inside: Sequence[np.ndarray], weights: Sequence[np.ndarray],
) -> np.ndarray:  # fmt: skip
    """Return the joint covariance of log rates, contact type by contact type: days, and intervals of the day in progress.

    Parameters
    ----------
    mix : ndarray, shape (n_types, n_types)
        Correlation of the day errors.
    rows : ndarray of int, shape (n_rows,)
        Day of each row; the intervals of the day in progress are the rows from ``whole`` on whose day is ``whole``.
    inside, weights : sequences of ndarray
        Covariance of those intervals by contact type, and their shares of the day.

    Notes
    -----
    An interval is ``b · day + own``, ``b`` its regression on the day's total: a total that the evening shares little of says little of
    the evening. What the day of the intervals varies beyond or below the day errors stays with that day.
    """
    k, n, m = len(errors), len(rows), len(inside[0])
    spot = slice(whole, whole + m)
    scaled, own = [], np.zeros((k * n, k * n))
    for j, error in enumerate(errors):
        root = day_root(error, leads)
        by_row = root[rows]
        if m:
            total = inside[j] @ weights[j]
            seen = float(weights[j] @ total)
            b = total / seen if seen > 1e-12 else np.ones(m)
            day = float((root[whole] ** 2).sum())
            share = min(1.0, np.sqrt(seen / day)) if day > 0 else 0.0
            by_row[spot] = share * b[:, None] * root[whole]
            at = slice(j * n + whole, j * n + whole + m)
            own[at, at] = inside[j] - share**2 * day * np.outer(b, b)
        scaled.append(by_row)
    result = own
    for i in range(k):
        for j in range(k):
            result[i * n : (i + 1) * n, j * n : (j + 1) * n] += mix[i, j] * (scaled[i] @ scaled[j].T)
    for extra in extras:
        moved = np.concatenate([extra.share[rows, j] for j in range(k)])
        result += np.log1p(extra.spread**2) * np.outer(moved, moved)
    return result


def posterior(
    cov: np.ndarray, expected: np.ndarray, came: np.ndarray, seen: np.ndarray, asked: np.ndarray, tail: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return mean and covariance of the log rates asked for, over their expectation.

    Parameters
    ----------
    cov : ndarray, shape (n, n)
        Of the log rates, whose exponentials have mean one.
    expected, came : ndarray, shape (n_seen,)
        Expected and actual counts of the rows ``seen``.
    tail : ndarray, shape (n_seen,)
        Degrees of freedom of Student's t by which a row strays on its own; infinite for none.

    Notes
    -----
    Counts are Poisson given the rates; the posterior is taken at its mode (Laplace; Rasmussen & Williams 2006, algorithm 3.1). A row of
    weight ``w = (ν + 1) / (ν + z²)`` below one, z its distance from what the other rows foretell of it, has that part of its
    variance to itself: a scale mixture (Lange, Little & Taylor 1989, Robust statistical modeling using the t distribution).
    """
    prior = -np.diag(cov) / 2
    inner, cross = cov[np.ix_(seen, seen)], cov[np.ix_(asked, seen)]
    alone = np.zeros(len(seen))
    robust = np.isfinite(tail)
    f, slope = _mode(inner, prior[seen], expected, came)
    for _ in range(_ROUNDS if robust.any() else 0):
        rate = expected * np.exp(np.clip(f, -6, 6))
        inverse = np.linalg.inv(inner + np.diag(alone + 1 / np.maximum(rate, 1e-9)))
        out = 1 / np.diag(inverse)
        # Leaving one out: how far a row is from what all others say of it (Rasmussen & Williams 2006, eq. 5.12).
        gap = out * (inverse @ (f + (came - rate) / np.maximum(rate, 1e-9) - prior[seen]))
        usual = np.maximum(out - alone, 1e-12)
        new = np.where(robust, usual * np.maximum((gap**2 / usual - 1) / (np.where(robust, tail, 1.0) + 1), 0.0), 0.0)
        done = np.allclose(new, alone, rtol=1e-3, atol=1e-9)
        alone = new
        f, slope = _mode(inner + np.diag(alone), prior[seen], expected, came)
        if done:
            break
    rate = expected * np.exp(f)
    root = np.sqrt(rate)
    both = np.eye(len(f)) + root[:, None] * (inner + np.diag(alone)) * root
    back = np.linalg.solve(both, (root[:, None] * cross.T)) * root[:, None]
    left = cov[np.ix_(asked, asked)] - cross @ back
    return prior[asked] + cross @ slope, (left + left.T) / 2


def _mode(
    inner: np.ndarray, prior: np.ndarray, expected: np.ndarray, came: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the mode of the log rates and the slope of the likelihood there."""
    f, slope = prior.copy(), np.zeros_like(prior)
    for _ in range(_STEPS if len(prior) else 0):
        rate = expected * np.exp(np.clip(f, -6, 6))
        # Newton's step in the form that never inverts the prior.
        target = rate * (f - prior) + (came - rate)
        slope = target - rate * np.linalg.solve(np.eye(len(f)) + inner * rate, inner @ target)
        new = prior + inner @ slope
        step = float(np.abs(new - f).max())
        f = f + np.clip(new - f, -2, 2)
        if step < _CLOSE:
            break
    return f, slope


def root_of(cov: np.ndarray) -> np.ndarray:
    """Return a root of a covariance; rows that do not vary have none."""
    size = np.diag(cov)
    live = np.flatnonzero(size > 1e-12)
    result = np.zeros_like(cov)
    if len(live):
        part = cov[np.ix_(live, live)]
        try:
            root = np.linalg.cholesky(part + 1e-10 * size.max() * np.eye(len(live)))
        except np.linalg.LinAlgError:
            values, vectors = np.linalg.eigh(part)
            root = vectors * np.sqrt(np.maximum(values, 0.0))
        result[np.ix_(live, live)] = root
    return result


def within(past: Counts, kind: int, view: Outlook, slot: np.ndarray, expected: np.ndarray, lead: float) -> np.ndarray:
    """Return the covariance of the log rates of a day's intervals, shape (n, n).

    Parameters
    ----------
    slot : ndarray of int, shape (n,)
        Wall-clock interval of the history, −1 for one that it lacks: it follows the day and has the average variance.
    lead : float
        Calendar days from the end of the history.

    Notes
    -----
    How past days left their expectation, interval by interval, counting noise taken off, drawn towards the day factor and an
    autoregressive shape as far as chance may have made the difference (Ledoit & Wolf 2004, with half as many independent days as
    there are). A busy morning says much of noon and little of the evening: one factor for the whole day says the same of both. The
    day factor is bounded by what these intervals had in common on usual days: the variance of day totals holds outages too, and of
    those a usual morning says nothing. Added is the error of the level alone, which the residuals of a fit do not hold.
    """
    error, n = view.error, len(slot)
    if error.regular:
        return np.zeros((n, n))
    if (slot < 0).any():
        seen = np.flatnonzero(slot >= 0)
        result = np.diag(np.where(slot < 0, np.log1p(error.shape.variance), 0.0))
        day = error.factor + error.level + error.drift * lead
        if not len(seen):
            return np.asarray(result + day)
        part = within(past, kind, view, slot[seen], expected[seen], lead)
        share = np.zeros((n, len(seen)))
        share[seen, np.arange(len(seen))] = 1.0
        share[slot < 0] = shares(expected[seen])
        return np.asarray(result + share @ part @ share.T)
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    weight = shares(expected)
    free = np.eye(n) - weight[None, :]
    spread = np.sqrt(np.log1p(error.shape.by_slot[slot]))
    shape = np.outer(spread, spread) * (error.shape.rho**apart if error.shape.rho > 0 else np.eye(n))
    result = free @ shape @ free.T + error.factor
    table = past.table[kind][:, slot]
    share = view.share[past.dates.day_of_week][:, slot]
    residual = view.residual.reindex(past.dates).to_numpy()
    total = past.totals[kind]
    use = np.isfinite(residual) & past.normal & past.heard(kind) & (total > 0) & (share > 0).all(axis=1)
    level = error.level + error.drift * lead
    if use.any():
        # A day that broke down is none that a usual morning comes from.
        use &= np.abs(residual) <= _OUTLYING * 1.4826 * np.maximum(np.median(np.abs(residual[use])), 1e-9)
    if use.sum() >= _NEEDS:
        mean = total[use, None] * share[use]
        u = residual[use, None] + np.log((table[use] + 0.5) / (mean + 0.5))
        limit = 3 * 1.4826 * np.maximum(np.median(np.abs(u), axis=0), 1e-9)
        u = np.clip(u, -limit, limit)
        days = len(u)
        seen = u.T @ u / days
        chance = ((u**2).T @ u**2 / days - seen**2) / (days / 2)
        apart_from = ~np.eye(n, dtype=bool)
        found = seen - np.diag((1 / (mean + 0.5)).mean(axis=0))
        common = float(np.clip(weight @ found @ weight, 0.0, error.factor))
        assumed = free @ shape @ free.T + common
        gap = float(((found - assumed) ** 2)[apart_from].sum())
        lent = min(1.0, float(chance[apart_from].sum()) / gap) if gap > 0 else 1.0
        result = (1 - lent) * found + lent * assumed
        values, vectors = np.linalg.eigh(result)
        result = (vectors * np.maximum(values, 0.0)) @ vectors.T
    told = float(weight @ result @ weight)
    # What made too much of the day factor made too much of the level.
    level *= min(1.0, told / error.factor) if error.factor > 0 else 1.0
    return np.asarray(result + np.clip(error.factor + level - told, 0.0, level))


def shares(expected: np.ndarray) -> np.ndarray:
    total = expected.sum()
    return expected / total if total > 0 else np.full(len(expected), 1 / len(expected))
