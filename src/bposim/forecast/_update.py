"""Intraday update: what the morning, or the days of a week so far, say of the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.forecast._build import Parts, Settings
from bposim.forecast._counts import Counts
from bposim.forecast._days import BUSY, Outlook
from bposim.forecast._errors import Error
from bposim.forecast._paths import shape_factor, stream
from bposim.schema import VOLUMES

_STEPS, _CLOSE = 50, 1e-9


@dataclass(frozen=True, eq=False)
class Rest:
    """The posterior of one contact type.

    Attributes
    ----------
    mean : ndarray, shape (n_known_intervals_of_today + n_days,)
        Log rate over expectation: the intervals left of the day in progress, then the days after it.
    root : ndarray, shape (n, n)
        A root of its covariance.
    """

    mean: np.ndarray
    root: np.ndarray

    @property
    def factor(self) -> np.ndarray:
        """Expected rate over the expectation before."""
        return np.asarray(np.exp(self.mean + (self.root**2).sum(axis=1) / 2))


@dataclass(frozen=True, eq=False)
class Update:
    """What is known of a horizon: counts of the intervals that are over, and how the rest follows.

    Attributes
    ----------
    known : ndarray of int, shape (n_known, n_types)
    today : slice
        Intervals left of the day in progress.
    prior : ndarray, shape (n_intervals, n_types)
        Expectation before.
    rests : tuple of Rest
        One per contact type.
    """

    known: np.ndarray
    today: slice
    prior: np.ndarray
    rests: tuple[Rest, ...]


def known_counts(observed: Any, counts: Counts, starts: pd.DatetimeIndex, until: Any) -> tuple[np.ndarray, int]:
    """Return the contacts of the intervals that are over, shape (n_known, n_types), and their number.

    An open interval before ``until`` without a row had no contacts; later rows are not looked at.
    """
    frame = observed.volumes() if hasattr(observed, "volumes") and not isinstance(observed, pd.DataFrame) else observed
    VOLUMES.check(frame, caller="update()", error=ParameterError)
    stamps = pd.DatetimeIndex(frame["interval_start"])
    require(
        [parameter("observed", "update()", "counts with a time zone in interval_start", "none")] if stamps.tz is None else [],
        ParameterError,
    )  # fmt: skip
    ends = starts + pd.Timedelta(seconds=counts.interval_s)
    inside = np.asarray((stamps >= starts[0]) & (stamps < ends[-1]))
    problems = []
    unknown = sorted(set(frame["contact_type"].astype(str)) - set(counts.types))
    if unknown:
        problems.append(parameter("observed", "update()", f"of {', '.join(counts.types)}", ", ".join(unknown)))
    if not inside.any():
        rule = f"counts of the horizon, {starts[0]} to {ends[-1]}"
        got = f"{stamps.min()} to {stamps.max()}" if len(stamps) else "no rows"
        problems.append(parameter("observed", "update()", rule, got))
    values = frame["contacts"].to_numpy(dtype=float)
    if not (np.isfinite(values) & (values >= 0)).all():
        problems.append(parameter("observed", "update()", "contacts of 0 or more", "missing or negative ones"))
    last = ends[-1]
    if until is not None:
        try:
            given = pd.Timestamp(until)
            last = given.tz_localize(counts.zone) if given.tzinfo is None else given
        except (ValueError, TypeError):
            problems.append(parameter("until", "update()", 'a time such as "2024-12-02 11:00"', until))
    require(problems, ParameterError)
    frame, stamps = frame[inside], stamps[inside]
    if until is None:
        # A history fills its last day with empty intervals up to closing time: it ends with its last contact.
        came = stamps if isinstance(observed, pd.DataFrame) else stamps[frame["contacts"].to_numpy() > 0]
        last = (came if len(came) else stamps).max() + pd.Timedelta(seconds=counts.interval_s)
    n = int((ends <= last).sum())
    at = starts.searchsorted(stamps, side="right") - 1
    closed = np.asarray((stamps >= ends[np.minimum(at, len(ends) - 1)]) & (stamps < last))
    problems = []
    if n == 0:
        problems.append(parameter("until", "update()", f"after the first interval, {ends[0]}", str(last)))
    if closed.any() and frame["contacts"].to_numpy()[closed].sum() > 0:
        some = ", ".join(str(s) for s in stamps[closed][:3])
        problems.append(parameter("observed", "update()", "counts of open intervals", f"contacts when closed ({some})"))
    require(problems, ParameterError)
    result = np.zeros((n, len(counts.types)))
    kind = frame["contact_type"].astype(str).map({t: k for k, t in enumerate(counts.types)}).to_numpy(dtype=int)
    use = at < n
    np.add.at(result, (at[use], kind[use]), frame["contacts"].to_numpy(dtype=float)[use])
    return result, n


def updated(parts: Parts, settings: Settings, counts: Counts, known: np.ndarray) -> Parts:
    """Return the parts of a forecast given the counts of its first intervals.

    Notes
    -----
    Log rates are normal around the expectation: over days with the covariance that earlier forecasts showed, within the day in progress
    with that of its intervals in past days. Counts are Poisson given the rates; the posterior
    is taken at its mode (Laplace; Rasmussen & Williams 2006, algorithm 3.1), intervals of the day in progress one by one, days
    that are over by their totals. Contact types are updated each by its own counts.
    """
    n, grid = len(known), parts.grid
    days, first = np.unique(grid.day, return_index=True)
    of_day = np.searchsorted(days, grid.day)
    end = np.append(first[1:], len(grid))
    whole = int(np.searchsorted(end, n, side="right"))  # days that are over
    start = int(first[whole]) if whole < len(days) else len(grid)
    today = slice(n, int(end[whole])) if start < n else slice(n, n)
    later = whole + 1 if start < n else whole
    spot = slice(start, today.stop) if today.start < today.stop else slice(0, 0)
    past = counts.until(settings.start)
    slot = np.searchsorted(past.minutes, grid.minute[spot])
    rests = []
    for j, view in enumerate(parts.outlooks):
        between = _between(view.error, parts.leads)
        inside = _within(past, j, view, slot, parts.expected[spot, j], float(between[whole, whole])) if len(slot) else np.zeros((0, 0))  # fmt: skip
        rests.append(_rest(between, inside, parts.expected[:, j], known[:, j], of_day, whole, start, today, later))
    expected = parts.expected.copy()
    expected[:n] = known
    for j, rest in enumerate(rests):
        m = today.stop - today.start
        expected[today, j] *= rest.factor[:m]
        after = of_day >= later
        expected[after, j] *= rest.factor[m:][of_day[after] - later]
    state = Update(known, today, parts.expected, tuple(rests))
    silent = [
        d
        for d in range(whole)
        if (known[first[d] : end[d]] == 0).all() and (parts.expected[first[d] : end[d]].sum() >= BUSY)
    ]
    known_of = ~np.isin(of_day, silent)
    said = []
    if silent:
        which = ", ".join(str(grid.starts[first[d]].date()) for d in silent)
        said.append(f"No contacts are known of {which}: taken as closed, and not as a sign of the days after.")
    for j, name in enumerate(counts.types):
        before, rest_before = parts.expected[:n, j][known_of[:n]].sum(), parts.expected[n:, j].sum()
        if before > 0 and rest_before > 0:
            said.append(
                f"{name!r}: {known[:, j].sum():,.0f} contacts came by then, {known[:, j].sum() / before - 1:+.1%} against the forecast; "
                f"the rest is expected at {expected[n:, j].sum() / rest_before - 1:+.1%}."
            )
    upto = grid.starts[n - 1] + pd.Timedelta(hours=float(grid.hours[n - 1]))
    result = replace(
        parts, expected=expected, update=state, notes=(*parts.notes, f"Updated with the counts to {upto}.", *said)
    )
    array = updated_paths(result, counts.types, settings, settings.samples, None)
    array.setflags(write=False)
    expected.setflags(write=False)
    return replace(result, array=array)


def _between(error: Error, leads: np.ndarray) -> np.ndarray:
    """Return the covariance of the days' log levels, shape (n_days, n_days)."""
    n = len(leads)
    if error.regular:
        return np.zeros((n, n))
    distance = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    both = error.level + error.drift * np.minimum.outer(leads, leads)
    return np.asarray(both + error.factor * error.persistence**distance)


def _rest(
    between: np.ndarray, inside: np.ndarray, expected: np.ndarray, known: np.ndarray, of_day: np.ndarray, whole: int,
    start: int, today: slice, later: int,
) -> Rest:  # fmt: skip
    n_days, m = len(between), today.stop - today.start
    # Observed: totals of whole days, intervals of today; then what is asked for: the rest of today, the days after.
    rows = np.concatenate([np.arange(whole), np.full(len(inside), whole), np.arange(later, n_days)]).astype(int)
    cov = between[np.ix_(rows, rows)]
    cov[whole : whole + len(inside), whole : whole + len(inside)] = inside
    over = today.start - start if m else 0
    seen = np.r_[0:whole, whole : whole + over].astype(int)
    asked = np.setdiff1d(np.arange(len(rows)), seen)
    totals = np.bincount(of_day[:start], known[:start], minlength=whole)[:whole] if whole else np.empty(0)
    means = np.bincount(of_day[:start], expected[:start], minlength=whole)[:whole] if whole else np.empty(0)
    y, e = (
        np.concatenate([totals, known[start : start + over]]),
        np.concatenate([means, expected[start : start + over]]),
    )
    # A busy day without contacts was closed, or is missing: it says nothing of the others.
    use = (e > 0) & ((y > 0) | (e < BUSY) | (seen >= whole))
    y, e, seen = y[use], e[use], seen[use]
    prior = -np.diag(cov) / 2
    inner, cross = cov[np.ix_(seen, seen)], cov[np.ix_(asked, seen)]
    f = prior[seen].copy()
    slope = np.zeros_like(f)
    for _ in range(_STEPS):
        rate = e * np.exp(np.clip(f, -6, 6))
        # Newton's step in the form that never inverts the prior.
        target = rate * (f - prior[seen]) + (y - rate)
        slope = target - rate * np.linalg.solve(np.eye(len(f)) + inner * rate, inner @ target)
        new = prior[seen] + inner @ slope
        step = float(np.abs(new - f).max()) if len(f) else 0.0
        f = f + np.clip(new - f, -2, 2)
        if step < _CLOSE:
            break
    rate = e * np.exp(f)
    root = np.sqrt(rate)
    inside = np.eye(len(f)) + root[:, None] * inner * root
    back = np.linalg.solve(inside, (root[:, None] * cross.T)) * root[:, None]
    mean = prior[asked] + cross @ slope
    left = cov[np.ix_(asked, asked)] - cross @ back
    values, vectors = np.linalg.eigh((left + left.T) / 2)
    return Rest(mean, vectors * np.sqrt(np.maximum(values, 0.0)))


def _within(
    past: Counts, kind: int, view: Outlook, slot: np.ndarray, expected: np.ndarray, variance: float
) -> np.ndarray:
    """Return the covariance of the log rates of a day's intervals, shape (n, n).

    Notes
    -----
    How past days left their expectation, interval by interval, counting noise taken off, drawn towards the day factor and an
    autoregressive shape as far as chance may have made the difference (Ledoit & Wolf 2004, with half as many independent days as
    there are). A busy morning says much of noon and little of the evening: one factor for the whole day says the same of both.
    """
    error, n = view.error, len(slot)
    if error.regular:
        return np.zeros((n, n))
    apart = np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    weight = expected / expected.sum() if expected.sum() > 0 else np.full(n, 1 / n)
    free = np.eye(n) - weight[None, :]
    spread = np.sqrt(np.log1p(error.shape.by_slot[slot]))
    shape = np.outer(spread, spread) * (error.shape.rho**apart if error.shape.rho > 0 else np.eye(n))
    assumed = free @ shape @ free.T + error.factor
    result = assumed
    table = past.table[kind][:, slot]
    share = view.share[past.dates.day_of_week][:, slot]
    residual = view.residual.reindex(past.dates).to_numpy()
    total = past.totals[kind]
    use = np.isfinite(residual) & past.normal & (total > 0) & (share > 0).all(axis=1)
    if use.sum() >= 20:
        mean = total[use, None] * share[use]
        u = residual[use, None] + np.log((table[use] + 0.5) / (mean + 0.5))
        limit = 3 * 1.4826 * np.maximum(np.median(np.abs(u), axis=0), 1e-9)
        u = np.clip(u, -limit, limit)
        days = len(u)
        seen = u.T @ u / days
        chance = ((u**2).T @ u**2 / days - seen**2) / (days / 2)
        apart_from = ~np.eye(n, dtype=bool)
        found = seen - np.diag((1 / (mean + 0.5)).mean(axis=0))
        gap = float(((found - assumed) ** 2)[apart_from].sum())
        lent = min(1.0, float(chance[apart_from].sum()) / gap) if gap > 0 else 1.0
        result = (1 - lent) * found + lent * assumed
        values, vectors = np.linalg.eigh(result)
        result = (vectors * np.maximum(values, 0.0)) @ vectors.T
    # What the residuals of a fit do not hold: the error of its level.
    return np.asarray(result + max(variance - float(weight @ result @ weight), 0.0))


def updated_paths(
    parts: Parts, types: tuple[str, ...], settings: Settings, samples: int, block: int | None
) -> np.ndarray:
    """Draw counts, shape (samples, n_intervals, n_types), whose first intervals are the known ones."""
    state = parts.update
    assert state is not None
    grid = parts.grid
    days, first = np.unique(grid.day, return_index=True)
    of_day = np.searchsorted(days, grid.day)
    n, m = len(state.known), state.today.stop - state.today.start
    out = np.zeros((samples, len(grid), len(types)), dtype=np.int32)
    out[:, :n] = np.rint(state.known).astype(np.int32)
    for j, (name, rest) in enumerate(zip(types, state.rests, strict=True)):
        generator = stream(settings.seed, f"{name} updated", block)
        error = parts.outlooks[j].error
        luck = rest.mean + generator.standard_normal((samples, len(rest.mean))) @ rest.root.T
        rate = np.broadcast_to(state.prior[:, j], (samples, len(grid))).copy()
        rate[:, state.today] *= np.exp(luck[:, :m])
        after = np.arange(len(grid)) >= state.today.stop
        if after.any():
            later = int(of_day[after][0])
            rate[:, after] *= np.exp(luck[:, m:])[:, of_day[after] - later]
            shape = shape_factor(generator, samples, grid, first, error.shape, parts.slots, state.prior[:, j])
            rate[:, after] *= np.broadcast_to(shape, rate.shape)[:, after]
        if error.regular:
            drawn = np.floor(np.cumsum(rate[:, n:], axis=1) + generator.uniform(1e-4, 1 - 1e-4, size=(samples, 1)))
            out[:, n:, j] = np.diff(drawn, axis=1, prepend=0)
        else:
            out[:, n:, j] = generator.poisson(rate[:, n:])
    return out
