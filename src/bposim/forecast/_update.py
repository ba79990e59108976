"""Intraday update: what the morning, or the days of a week so far, say of the rest."""

from __future__ import annotations

import re
import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ForecastWarning, ParameterError, parameter, require
from bposim.forecast._build import Parts, Settings
from bposim.forecast._counts import Counts
from bposim.forecast._days import BUSY
from bposim.forecast._errors import heavier, log_mean
from bposim.forecast._paths import correlation, shape_factor, stream
from bposim.forecast._posterior import covariance, posterior, root_of, shares, within
from bposim.schema import VOLUMES
from bposim.units import Grid

#: Contacts due in intervals without a row from which their silence is told.
SILENCE = 10.0


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
    mean : ndarray, shape (n_types, n_rows)
        Log rate over expectation: the intervals left of the day in progress, then the days after it.
    root : ndarray, shape (n_types * n_rows, n_types * n_rows)
        A root of its covariance, contact type by contact type.
    variance : ndarray, shape (n_days, n_types)
        Variance of the log of each day's contacts that is left, counting noise apart; nought for days that are over.
    left : ndarray, shape (n_days, n_types)
        Part of the day's expected contacts that is still to come.
    """

    known: np.ndarray
    today: slice
    prior: np.ndarray
    mean: np.ndarray
    root: np.ndarray
    variance: np.ndarray
    left: np.ndarray

    @property
    def spread(self) -> np.ndarray:
        """Standard deviations of the log rates, shape (n_types, n_rows)."""
        return np.asarray(np.sqrt((self.root**2).sum(axis=1)).reshape(self.mean.shape))

    @property
    def factor(self) -> np.ndarray:
        """Expected rate over the expectation before, shape (n_types, n_rows)."""
        return np.asarray(np.exp(self.mean + self.spread**2 / 2))


#: A time that begins with its day, year first.
_YEAR_FIRST = re.compile(r"\d{4}-\d{1,2}-\d{1,2}")


def _until(until: Any, counts: Counts) -> tuple[pd.Timestamp | None, list[str]]:
    """Return the time given, and what is wrong with it."""
    rule = 'a time with its day such as "2024-12-02 11:00"'
    # A bare hour would be read as today's, a day with slashes month first, a number as nanoseconds.
    if (isinstance(until, str) and not _YEAR_FIRST.match(until.strip())) or isinstance(until, int | float):
        return None, [parameter("until", "update()", rule, until)]
    try:
        given = pd.Timestamp(until)
    except (ValueError, TypeError):
        return None, [parameter("until", "update()", rule, until)]
    if pd.isna(given):
        return None, [parameter("until", "update()", rule, until)]
    if given.tzinfo is not None:
        return given, []
    early, late = (given.tz_localize(counts.zone, ambiguous=a, nonexistent="NaT") for a in (True, False))
    if pd.isna(early):
        return None, [
            parameter("until", "update()", f"a time that {counts.zone.key} has", f"{given}, which the clock skips")
        ]
    if early != late:
        way = f"Say which of the two it is: {str(early)!r} or {str(late)!r}."
        rule = "a time with its offset where the clock repeats an hour"
        return None, [parameter("until", "update()", rule, given, way)]
    return early, []


def _end(
    observed: Any, frame: pd.DataFrame, counts: Counts, starts: pd.DatetimeIndex, ends: pd.DatetimeIndex
) -> pd.Timestamp:
    """Return up to when counts are complete if nobody says so: the frame's last interval, or a log's last contact."""
    log = None if isinstance(observed, pd.DataFrame) else getattr(observed, "contacts", None)
    if log is not None:
        # The interval of the last contact may be half over, however full the history writes it.
        return pd.DatetimeIndex(log["arrived"]).max()
    stamps = pd.DatetimeIndex(frame["interval_start"])
    if not isinstance(observed, pd.DataFrame) and (frame["contacts"] > 0).any():
        stamps = stamps[frame["contacts"].to_numpy() > 0]  # a report is filled with empty intervals up to closing time
    last = stamps.max()
    steps = np.diff(np.unique(pd.DatetimeIndex(frame["interval_start"]).as_unit("s").asi8))
    at = max(int(starts.searchsorted(last, side="right")) - 1, 0)
    step = float(steps.min()) if len(steps) else counts.interval_s if last == starts[at] else 0.0
    if step >= min(counts.interval_s, 82800.0):
        return ends[at] if last < ends[at] else last
    return last + pd.Timedelta(seconds=step)


def known_counts(observed: Any, counts: Counts, grid: Grid, until: Any, expected: np.ndarray) -> tuple[np.ndarray, int]:
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
    starts = grid.starts
    ends = starts + pd.to_timedelta(grid.hours, unit="h").round("s")
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
        given, wrong = _until(until, counts)
        problems += wrong
        if given is not None and given > last:
            problems.append(parameter("until", "update()", f"within the horizon, up to {last}", given))
        last = last if given is None else given
    require(problems, ParameterError)
    frame, stamps = frame[inside], stamps[inside]
    if until is None:
        last = _end(observed, frame, counts, starts, ends)
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
    told = set(frame["contact_type"].astype(str))
    for j, name in enumerate(counts.types):
        due = float(expected[:n, j].sum())
        if name not in told and due >= 1:
            rule = f"counts of every contact type, with 0 where nobody came; {due:,.0f} contacts of {name!r} were due"
            problems.append(parameter("observed", "update()", rule, f"no row of {name!r}"))
    require(problems, ParameterError)
    # The docstring's rule holds, but a report that lags looks like a silence.
    final = int(at.max()) + 1
    if final < n and (due := float(expected[final:n].sum())) >= SILENCE:
        warnings.warn(
            f"update(): the last row is that of {starts[at.max()]}; {n - final} later intervals before {last} have none and count as "
            f"0 contacts, {due:,.0f} were due. If the report lags, leave until out.",
            ForecastWarning,
            stacklevel=3,
        )
    result = np.zeros((n, len(counts.types)))
    kind = frame["contact_type"].astype(str).map({t: k for k, t in enumerate(counts.types)}).to_numpy(dtype=int)
    use = at < n
    np.add.at(result, (at[use], kind[use]), frame["contacts"].to_numpy(dtype=float)[use])
    return result, n


def updated(parts: Parts, settings: Settings, counts: Counts, known: np.ndarray) -> Parts:
    """Return the parts of a forecast given the counts of its first intervals.

    Notes
    -----
    Log rates of all contact types are jointly normal around the expectation: over days with the covariance that earlier forecasts
    showed, sizes of events and levels of new contact types included; within the day in progress with that of its intervals in past
    days. Intervals of the day in progress are taken one by one, days that are over by their totals and with Student's weights.
    """
    n, grid, types = len(known), parts.grid, counts.types
    days, first = np.unique(grid.day, return_index=True)
    of_day = np.searchsorted(days, grid.day)
    end = np.append(first[1:], len(grid))
    whole = int(np.searchsorted(end, n, side="right"))  # days that are over
    start = int(first[whole]) if whole < len(days) else len(grid)
    today = slice(n, int(end[whole])) if start < n else slice(n, n)
    later = whole + 1 if start < n else whole
    spot = slice(start, today.stop) if start < n else slice(0, 0)
    m = spot.stop - spot.start
    past, prior = counts.until(settings.start), parts.expected
    lead = float(parts.leads[whole]) if m else 0.0
    inside, weights = [], []
    for j, (name, view) in enumerate(zip(types, parts.outlooks, strict=True)):
        like = settings.analogies[name].like if name in settings.analogies else name
        inside.append(
            within(past, types.index(like), view, parts.slots[spot], prior[spot, j], lead) if m else np.zeros((0, 0))
        )
        weights.append(shares(prior[spot, j]) if m else np.zeros(0))
    errors = [o.error for o in parts.outlooks]
    # Rows of each contact type: days that are over, intervals of the day in progress, days to come.
    rows = np.concatenate([np.arange(whole), np.full(m, whole), np.arange(later, len(days))]).astype(int)
    mix = correlation([o.residual for o in parts.outlooks])
    cov = covariance(errors, parts.leads, mix, parts.extras, rows, whole, inside, weights)
    over = n - start if m else 0
    e = np.concatenate(
        [np.add.reduceat(prior[:start], first[:whole]) if whole else prior[:0], prior[start : start + over]]
    )
    y = np.concatenate(
        [np.add.reduceat(known[:start], first[:whole]) if whole else known[:0], known[start : start + over]]
    )
    is_day = np.arange(whole + over) < whole
    # A busy day without contacts was closed, or is missing: it says nothing of the others.
    use = (e > 0) & ((y > 0) | (e < BUSY) | ~is_day[:, None])
    seen, asked, tails = [], [], []
    for j, error in enumerate(errors):
        seen.append(j * len(rows) + np.flatnonzero(use[:, j]))
        asked.append(j * len(rows) + np.arange(whole + over, len(rows)))
        tails.append(np.where(is_day, error.tail, np.inf)[use[:, j]])
    mean, left = posterior(
        cov, e.T[use.T], y.T[use.T], np.concatenate(seen), np.concatenate(asked), np.concatenate(tails)
    )  # fmt: skip
    mean = mean.reshape(len(types), -1)
    r = today.stop - today.start
    expected = prior.copy()
    expected[:n] = known
    after = of_day >= later
    for j in range(len(types)):
        block = slice(j * mean.shape[1], (j + 1) * mean.shape[1])
        factor = np.exp(mean[j] + np.diag(left)[block] / 2)
        expected[today, j] *= factor[:r]
        expected[after, j] *= factor[r:][of_day[after] - later]
    by_day, to_come = (
        np.add.reduceat(v, first) for v in (expected, np.where(np.arange(len(grid))[:, None] < n, 0.0, expected))
    )
    part = np.divide(to_come, by_day, out=np.zeros_like(by_day), where=by_day > 0)
    variance = np.zeros(by_day.shape)
    for j in range(len(types)):
        own = left[j * mean.shape[1] : (j + 1) * mean.shape[1], j * mean.shape[1] : (j + 1) * mean.shape[1]]
        variance[later:, j] = np.diag(own)[r:]
        if r:
            w = shares(expected[today, j])
            variance[whole, j] = float(w @ own[:r, :r] @ w)
    state = Update(known, today, prior, mean, root_of(left), variance, part)
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
            now = []
            for what, span in (
                ("the rest of the day", today),
                ("the days after", slice(max(today.stop, n), len(grid))),
            ):
                due = parts.expected[span, j].sum()
                if due > 0:
                    now.append(f"{what} {expected[span, j].sum() / due - 1:+.1%}")
            said.append(
                f"{name!r}: {known[:, j].sum():,.0f} contacts came by then, {known[:, j].sum() / before - 1:+.1%} against the forecast; "
                f"expected now, against the forecast: {', '.join(now)}."
            )
    upto = grid.starts[n - 1] + pd.Timedelta(hours=float(grid.hours[n - 1]))
    told = f"Updated with the counts to {upto}; the last interval known is that of {grid.starts[n - 1]}."
    result = replace(parts, expected=expected, update=state, notes=(*parts.notes, told, *said))
    array = updated_paths(result, counts.types, settings, settings.samples, None)
    array.setflags(write=False)
    expected.setflags(write=False)
    return replace(result, array=array)


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
    streams = [stream(settings.seed, f"{name} updated", block) for name in types]
    wide = state.mean.shape[1]
    # Contact types are drawn together: what is left of them is correlated as their errors are.
    joint = np.concatenate([g.standard_normal((samples, wide)) for g in streams], axis=1) @ state.root.T
    joint = joint.reshape(samples, len(types), wide)
    for j, (generator, spread) in enumerate(zip(streams, state.spread, strict=True)):
        error = parts.outlooks[j].error
        z = joint[:, j] / np.maximum(spread, 1e-12)
        luck = state.mean[j] + spread**2 / 2 - log_mean(spread, error.tail) + spread * heavier(z, error.tail)
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
