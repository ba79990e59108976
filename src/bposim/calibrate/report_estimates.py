"""What matched reports say: patience, agent-hours and the day factor of heads, each with its interval."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.calibrate.moments import Match, Played, PoolFit, Slopes, day_sums
from bposim.distributions import Distribution

#: Risk of taking noise for a day factor of heads.
RISK = 0.01
#: A smaller cv is told as none.
SMALLEST = 0.01
#: Days from which on errors are those that the days tell; with fewer they are those of replays, whose heads are rounded
#: to whole agents anew on every day, which makes them too wide.
ENOUGH = 10


@dataclass(frozen=True, eq=False)
class Told:
    """What the last simulation of a pool tells about scores.

    Attributes
    ----------
    residual : ndarray, shape (n_intervals,)
        Observed less simulated score.
    replays : ndarray, shape (n_replays, n_intervals)
        Of each replay, less their mean.
    info : ndarray, shape (n_intervals,)
        By how much the expected score rises with log-heads, carry-over between intervals included.
    by_psi : ndarray, shape (n_intervals, n_psi)
        The same by the parameters of patience.
    """

    residual: np.ndarray
    replays: np.ndarray
    info: np.ndarray
    by_psi: np.ndarray


def tell(fit: PoolFit, played: Played, slope: Slopes) -> Told:
    """Return scores of the observed and the simulated reports, and their slopes."""
    score = fit.scores()
    of = score.of(played.moments, played.settled)
    moved = score.of(slope.moments, slope.settled)
    # Heads of one interval help the next, so the slope of a single score is less than that of their sum.
    share = float(moved[0].sum() / max(score.info.sum(), 1e-9))
    residual = score.of(fit.cells.moments, fit.cells.settled) - of.mean(axis=0)
    return Told(residual, of - of.mean(axis=0), score.info * max(share, 0.05), moved[1:].T)


@dataclass(frozen=True, eq=False)
class Responses:
    """By how much the estimates would differ, had the report been that of one replay, or had one day counted more.

    Attributes
    ----------
    psi : (ndarray, ndarray), shapes (n_replays, n_psi) and (n_days, n_psi)
    hours : (ndarray, ndarray), shapes (n_replays,) and (n_days,)
        Agent-hours per day.
    """

    psi: tuple[np.ndarray, np.ndarray]
    hours: tuple[np.ndarray, np.ndarray]

    def psi_cov(self) -> np.ndarray:
        """Return the covariance of the parameters of patience."""
        by_replay, by_day = self.psi
        size = by_replay.shape[1]
        if len(by_day) < ENOUGH:
            return np.cov(by_replay.T).reshape(size, size)
        return np.cov(by_day.T).reshape(size, size) * len(by_day)

    def hours_error(self) -> float:
        """Return the standard error of the agent-hours per day."""
        by_replay, by_day = self.hours
        # Nor does a report tell whether heads are whole, which replays round at random, or change within the interval.
        return max(float(by_replay.std(ddof=2)), float(by_day.std(ddof=2) * np.sqrt(len(by_day))))


def responses(fit: PoolFit, told: Told, match: Match, played: Played, length_s: np.ndarray) -> Responses:
    """Follow the noise of replays and days through both equations at once: heads by cell, and patience.

    Notes
    -----
    Heads move by A⁻¹ (S − B ψ) with scores S, their slopes B by patience and the information A with the prior in it;
    patience by Ω (s − D u), the totals s less what the heads u explain. Ω alone is blind to the level of heads only.
    """
    n, days = len(fit.heads), int(fit.day.max()) + 1
    over = max(float((told.residual**2).sum() / max(told.info.sum(), 1e-9)), 1.0)
    info = np.bincount(fit.code, told.info, minlength=n)
    by_psi = np.stack([np.bincount(fit.code, column, minlength=n) for column in told.by_psi.T], axis=-1)
    slope = fit.cells.settled[:, None] * fit.table().slope(fit.cells.load, fit.staffing)
    scale = match.by_head / np.where(slope.sum(axis=0) == 0, 1.0, slope.sum(axis=0))
    by_head = np.stack([np.bincount(fit.code, column, minlength=n) for column in (slope * scale).T], axis=-1)
    weight = np.bincount(fit.code, fit.staffing * length_s / 3600, minlength=n) / days

    def moved(pulls: np.ndarray) -> np.ndarray:
        return fit.prior.spread(pulls / over, info / over)

    def of(scores: np.ndarray, gaps: np.ndarray, work: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        loop = moved(by_psi.T) @ by_head @ match.map.T
        psi = np.linalg.solve((np.eye(len(loop)) - loop).T, ((gaps - moved(scores) @ by_head) @ match.map.T).T).T
        hours = moved(scores - psi @ by_psi.T) @ weight
        x = work - work.mean()
        return psi, hours - x * (x @ hours) / max(float(x @ x), 1e-9)

    cell = np.zeros((len(told.replays), n))
    for r, row in enumerate(told.replays):
        cell[r] = np.bincount(fit.code, row, minlength=n)
    totals = played.moments.sum(axis=1)
    model = of(cell, totals - totals.mean(axis=0), played.handle.sum(axis=1))
    by_day = np.zeros((days, n))
    np.add.at(by_day, (fit.day, fit.code), told.residual)
    mean = fit.cells.handle.sum() / max(fit.cells.answered.sum(), 1.0)
    work = np.bincount(fit.day, fit.cells.handle - mean * fit.cells.answered)
    seen = of(by_day, day_sums(fit, fit.cells.moments - played.moments.mean(axis=0)), work)
    return Responses((model[0], seen[0]), (model[1], seen[1]))


def patience_estimates(
    fit: PoolFit,
    response: Responses,
    replays: int,
    freedom: int,
    shares: Sequence[float],
    blind: np.ndarray | None = None,
) -> list[Estimate]:
    """Return mean patience and the share still patient after each threshold.

    Parameters
    ----------
    blind : ndarray of bool, shape (n_psi,), optional
        Parameters that the report does not tell (:attr:`Match.blind`). The mean is then a lower bound, that of the patience
        cut where the report ends to tell it, and its interval has no upper end.
    """
    from scipy.special import stdtrit

    cov = response.psi_cov() * (1 + 1 / replays)
    quantile = float(stdtrit(max(freedom, 1), 0.975))
    left = int(fit.cells.moments[:, 0].sum())

    def spread(of: Callable[[Distribution], float]) -> tuple[float, float]:
        eye = np.eye(fit.family.size)
        slope = [(of(fit.family.law(fit.psi + 0.01 * e)) - of(fit.family.law(fit.psi - 0.01 * e))) / 0.02 for e in eye]
        return of(fit.family.law(fit.psi)), quantile * float(np.sqrt(np.array(slope) @ cov @ np.array(slope)))

    together = f"common to {', '.join(fit.pool.types)}; " if len(fit.pool.types) > 1 else ""
    law = fit.family.law(fit.psi)
    result = []
    until = told_until(fit, shares, blind)
    for t in fit.pool.types:
        if until is not None:
            value, half = spread(lambda d: float(np.log(restricted(d, until))))
            mid, low = float(np.exp(value)), float(np.exp(value - half))
            how = f"{together}at least: mean of the patience cut at {until:g} s; the report hardly tells how many stay longer"
            result.append(Estimate("mean patience", t, mid, low, np.inf, left, "s", "estimated", how))
        value, half = spread(lambda d: float(np.log(d.mean)))
        how = f"{together}{law.kind}, with which the simulated report meets the observed one"
        mid, low, high = (float(np.exp(v)) for v in (value, value - half, value + half))
        if until is None:
            result.append(Estimate("mean patience", t, mid, low, high, left, "s", "estimated", how))
        for s in shares:
            if until is not None and s > until:
                continue
            value, half = spread(partial(_log_hazard, s))
            mid, low, high = (float(np.exp(-np.exp(v))) for v in (value, value + half, value - half))
            said = together.rstrip("; ")
            result.append(Estimate(f"patience beyond {s:g} s", t, mid, low, high, left, "share", "estimated", said))
    return result


def _log_hazard(seconds: float, law: Distribution) -> float:
    """Return the logarithm of the hazard gathered up to a wait."""
    return float(np.log(-np.log(law.sf(seconds))))


def told_until(fit: PoolFit, shares: Sequence[float], blind: np.ndarray | None) -> float | None:
    """Return the wait in seconds up to which a report tells patience; None where it tells all parameters of the law."""
    if blind is None or not blind.any():
        return None
    if fit.family.kind == "piecewise" and not blind[0]:
        return float(fit.family.breaks[int(np.argmax(blind))])
    return float(max(shares))


def restricted(law: Distribution, until: float) -> float:
    """Return the mean of a patience cut at so many seconds, the integral of its survival."""
    at = np.linspace(0.0, until, 2001)
    return float(np.trapezoid([law.sf(x) for x in at], at))


def hours_estimate(fit: PoolFit, response: Responses, length_s: np.ndarray, freedom: int) -> Estimate:
    """Return agent-hours on duty on a day, mean over the days used.

    Notes
    -----
    What goes with the handle times that happened to be drawn is taken out of the error: the mean handle time was taken from
    the same contacts, so that their workload is known.
    """
    from scipy.special import stdtrit

    days = len(response.hours[1])
    value = float((fit.staffing * length_s).sum()) / 3600 / days
    half = float(stdtrit(max(freedom, 1), 0.975)) * response.hours_error()
    how = "heads that explain waits and abandonments, pauses and slow work included: effective, not present"
    return Estimate("agent-hours on duty per day", fit.pool.group, value, value - half, value + half, days, "h",
                    "estimated", how)  # fmt: skip


def heads_factor(fit: PoolFit, told: Told, weekday: np.ndarray) -> Estimate:
    """Return the cv of the day factor of heads.

    Parameters
    ----------
    weekday : ndarray, shape (n_days,)

    Notes
    -----
    A day's log-level of heads is read off its score over its information. Replays with the same heads on every day, whole
    numbers of them included, tell how much it varies by chance; what is beyond is the factor.
    """
    from scipy.stats import chi2

    what, name = "day factor of heads cv", fit.pool.group
    top = np.bincount(fit.day, told.residual)
    bottom = np.bincount(fit.day, told.info)
    chance = np.array([np.bincount(fit.day, row) for row in told.replays])
    count = np.bincount(weekday, minlength=7)[weekday]
    freedom = len(top) - len(np.unique(weekday))
    if freedom < 10 or not (bottom > 0).any():
        text = f"only {len(top)} days: too few to tell how much staffing varies from day to day; taken as none"
        return Estimate(what, name, 0.0, n=len(top), source="assumed", detail=text)
    scale = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
    seen, noise = top**2 * scale, (chance**2).mean(axis=0) * (count > 1)
    base = bottom**2 * (count > 1)
    ratio = float(seen.sum() / noise.sum())
    p = float(chi2.sf(ratio * freedom, freedom))
    said = f"days spread by {100 * np.sqrt(seen.sum() / base.sum()):.1f} %, of which chance explains {100 * np.sqrt(noise.sum() / base.sum()):.1f} %"
    value, low, high = jackknife_ratio(seen - noise, base, None, freedom)
    cv = float(np.sqrt(value))
    if p > RISK or cv < SMALLEST:
        most = float(np.sqrt(seen.sum() / base.sum() * freedom / chi2.ppf(0.025, freedom)))
        return Estimate(what, name, 0.0, 0.0, most, len(top), "", "estimated", f"none: {said} (p = {p:.2f})")
    return Estimate(what, name, cv, float(np.sqrt(low)), float(np.sqrt(high)), len(top), "", "estimated", said)


def day_spread(fit: PoolFit, told: Told) -> np.ndarray:
    """Return the mean square of a day's score over the replays, shape (n_days,)."""
    return np.asarray(np.mean([np.bincount(fit.day, row) ** 2 for row in told.replays], axis=0))


def rescaled(estimate: Estimate, fit: PoolFit, told: Told, noise: np.ndarray, weekday: np.ndarray) -> Estimate:
    """Return the day factor for which replays that have one vary as much as the report.

    Scores are no straight line in heads, so the first estimate, made as if they were, is too small where days differ much.

    Parameters
    ----------
    noise : ndarray, shape (n_days,)
        :func:`day_spread` without a factor.
    """
    count = np.bincount(weekday, minlength=7)[weekday]
    scale = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
    seen = float((np.bincount(fit.day, told.residual) ** 2 * scale).sum())
    still, played = float((noise * (count > 1)).sum()), float((day_spread(fit, told) * (count > 1)).sum())
    if seen <= still or played <= still:
        return estimate
    by = float(np.clip(np.sqrt((seen - still) / (played - still)), 0.6, 1.6))
    return replace(estimate, value=estimate.value * by, low=estimate.low * by, high=estimate.high * by)
