"""Handle time of a contact type: its law by held-out likelihood, short calls beside it, contacts cut short, the tail."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from scipy.special import stdtrit

from bposim.calibrate.duration_fit import DurationFit
from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.calibrate.grouped import KINDS, SHORT_S, Cells, GroupedFit, Model, cells, fit_cells, whole_seconds
from bposim.distributions import Distribution, empirical, with_zero
from bposim.errors import CalibrationError

#: Kolmogorov–Smirnov distance up to which a law is taken even where the empirical law is better on days held out.
POOR_FIT = 0.03
#: Relative distance from the observed mean up to which a law is taken and scaled to it.
OFF_MEAN = 0.02
#: Standard errors by which a more complex law must be better on days held out.
CLEARLY = 2.0
FOLDS = 5
#: AIC behind the best from which a law is not tried on days held out.
HOPELESS = 100.0
#: Contacts in whose counts a short component is looked for.
MANY = 200
#: Share of the contacts that must have the longest handle time of all for it to be taken for a cap.
AT_CAP = 0.002
#: Standard errors by which handle times must differ over the day.
VARIES = 3.0


@dataclass(frozen=True, eq=False)
class _Candidate:
    name: str
    size: int
    fit: GroupedFit | None
    score: np.ndarray  # by cluster, on contacts that the fit had not seen


def fit_handle_time(
    values: np.ndarray, days: np.ndarray, name: str, *, observed: np.ndarray | None = None
) -> DurationFit:
    """Fit the handle time of a type.

    Candidates are exponential, Weibull, lognormal, gamma and hyperexponential laws, the first four also beside a short
    component (an exponential of mean below 20 s: agents hanging up), and the empirical law. Each is fitted to four fifths
    of the days and judged on the rest. The best wins, unless one with fewer parameters is within two standard errors of
    it; the empirical law only where the best other one lies further than ``POOR_FIT`` from the data or misses their
    mean by more than 2 %. Zeros that are no rounding are a mass of their own.

    Parameters
    ----------
    values : ndarray of float
        Handle times in seconds, answered contacts only.
    days : ndarray
        Local day of each, for folds and intervals.
    name : str
        The contact type.
    observed : ndarray of bool, optional
        False where the contact was still open when the log ended; None: all were completed. Many contacts of exactly
        the longest handle time are taken to have been cut there (a cap).

    Raises
    ------
    CalibrationError
        No contact was completed after more than 0 s.
    """
    values = np.asarray(values, dtype=float)
    seen = np.ones(len(values), dtype=bool) if observed is None else np.asarray(observed, dtype=bool).copy()
    notes: list[str] = []
    capped = _capped(values, seen)
    if capped.any():
        seen &= ~capped
        notes.append(
            f"handle time of {name!r}: {int(capped.sum()):,} contacts last exactly {values[capped][0]:,.0f} s, the longest "
            "of all: taken to have been cut there (a cap of the system), so that the longest are estimated, not seen."
        )
    massive = _zero_mass(values, seen)
    positive = values > 0 if massive else np.ones(len(values), dtype=bool)
    if not (seen & (values > 0)).any():
        raise CalibrationError(f"no contact of type {name!r} was completed after more than 0 s: no handle time to fit.")
    _, day = np.unique(days, return_inverse=True)
    clusters = day if day.max(initial=0) + 1 >= FOLDS else np.arange(len(values)) % 20
    v, s, c = values[positive], seen[positive], clusters[positive]
    data = cells(v, s, c)
    found, looked = _candidates(data)
    groups = _groups(data)
    tried = _judged(data, found, groups)
    laws = [k for k in tried if k.fit is not None and np.isfinite(k.score).all()]
    best = _simplest(laws)
    assert best.fit is not None
    by_day = data if len(data.ended) == int(day.max(initial=0)) + 1 else cells(v, s, day[positive])
    fit = replace(best.fit, data=by_day)
    censored = not bool(s.all())
    mean, low, high = _clustered(v, day[positive], "mean") if not censored else _of_law(fit, "mean")
    off = abs(fit.law.mean / mean - 1) if not censored else 0.0
    lead = tried[-1].score - best.score
    # Where the tail was cut, only a law can tell it.
    by_table = bool(not censored and (off > OFF_MEAN or (fit.ks > POOR_FIT and lead.sum() > CLEARLY * _error(lead))))
    if by_table:
        law: Distribution = empirical(quantiles=_quantiles(v).tolist())
        law = law.scaled(mean / law.mean)
        said = f"empirical: the best law ({best.name}) is off by KS {fit.ks:.3f}, mean {fit.law.mean:.0f} s"
        cv, cv_low, cv_high = _clustered(v, day[positive], "cv")
    else:
        law = fit.law.scaled(mean / fit.law.mean)
        said = f"{best.name}, KS distance {fit.ks:.3f}"
        cv, cv_low, cv_high = _of_law(fit, "cv")
        if best.name == "exponential":  # its cv is 1 whatever the data: the gamma's interval tells how sure that is
            (other,) = [k.fit for k in tried if k.name == "gamma" and k.fit is not None]
            _, cv_low, cv_high = _of_law(replace(other, data=by_day), "cv")
            cv_low, cv_high = min(cv_low, 1.0), max(cv_high, 1.0)
    if censored:
        said += f"; {int((~s).sum()):,} contacts were cut short"
    zero = 1 - len(v) / len(values)
    if zero > 0:
        said += f"; {100 * zero:.1f} % last 0 s"
        law = with_zero(zero, law)
        mean, low, high = (
            _clustered(values, day, "mean") if not censored else (mean * (1 - zero), low * (1 - zero), high)
        )
        cv, cv_low, cv_high = _clustered(values, day, "cv") if not censored else (law.cv, np.nan, np.nan)
    top = max([*laws, tried[-1]], key=lambda k: k.score.sum())
    rows = [
        (k.name, np.nan if k.fit is None else k.fit.aic, 0.0 if k.fit is None else k.fit.ks,
         mean if k.fit is None else k.fit.law.mean, (k.fit is None) == by_table and (by_table or k is best), k.size,
         k.score.sum() / data.n, (top.score - k.score).sum() / data.n, _error(top.score - k.score) / data.n)
        for k in tried
    ]  # fmt: skip
    columns = ["kind", "aic", "ks", "mean_s", "chosen", "parameters", "heldout", "behind", "behind_error"]
    n = len(values)
    estimates = [
        Estimate("mean handle time", name, mean, low, high, n, "s", "estimated", said),
        Estimate("handle time cv", name, cv, cv_low, cv_high, n, "", "estimated", said),
    ]
    short, below = _short(fit, looked, name, n)
    estimates += short
    if not censored:
        estimates.append(_tail(values, day, name))
    return DurationFit(
        law, pd.DataFrame(rows, columns=columns), tuple(estimates), values,
        None if seen.all() else seen, below, None, tuple(notes),
    )  # fmt: skip


# -- the laws ---------------------------------------------------------------------------------------------------------


def _candidates(data: Cells) -> tuple[list[GroupedFit], bool]:
    """Fit every kind; return also whether short calls were looked for."""
    found = [fit_cells(Model(kind), data) for kind in KINDS]
    ended, _ = data.total
    early = ended[data.edges[1:] <= SHORT_S].sum()
    looked = bool(data.n >= MANY and early >= MANY / 20)
    if looked:
        short = [fit_cells(Model(f.model.kind, short=True), data) for f in found if f.model.kind != "hyperexponential"]
        # A component that does not even pay for itself on the days it was fitted to is not tried on others.
        short = [s for s, f in zip(short, found, strict=False) if s.aic < f.aic]
        if short:
            # Two phases of which one is short are an exponential with short calls by another name.
            found = [f for f in found if f.model.kind != "hyperexponential" or np.exp(f.theta[1:3]).min() > SHORT_S]
        found += short
    return found, looked


def _groups(data: Cells) -> np.ndarray:
    """Return the first cell of each of about 100 groups of equal counts, the last finer still."""
    ended, _ = data.total
    share = ended.cumsum() / ended.sum()
    n = int(np.clip(ended.sum() / 20, 5, 100))
    ends = np.concatenate([np.arange(1, n) / n, [0.995, 0.999] if n == 100 else []])
    return np.unique(np.concatenate([[0], np.searchsorted(share, ends) + 1]).clip(0, len(share) - 1))


def _judged(data: Cells, found: list[GroupedFit], groups: np.ndarray) -> list[_Candidate]:
    """Score each candidate, the empirical law last, on clusters that it was not fitted to."""
    k = len(data.ended)
    folds = np.arange(k) % min(FOLDS, k)
    # What is far behind on the days that it was fitted to is not ahead on others.
    best = min(f.aic for f in found)
    scores = {f.model: np.zeros(k) if f.aic - best <= HOPELESS else np.full(k, np.nan) for f in found}
    table = np.zeros(k)
    ended = np.add.reduceat(data.ended, groups, axis=1)
    cut = data.cut
    group_of = np.searchsorted(groups, np.arange(len(data.at)), side="right") - 1
    for fold in range(int(folds.max()) + 1):
        held = folds == fold
        train = data.of(~held)
        for f in found:
            if f.aic - best > HOPELESS:
                continue
            part = fit_cells(f.model, train, f.theta)
            inside, beyond = f.model.logs(part.theta, data.edges, data.at)
            mass = np.add.reduceat(np.exp(inside), groups)
            scores[f.model][held] = ended[held] @ np.log(np.maximum(mass, 1e-300)) + cut[held] @ beyond
        left = np.append(1.0, train.survival)
        mass = np.add.reduceat(-np.diff(left), groups)
        # Half a contact in each group, so that nothing is impossible that was not seen yet.
        weight = len(groups) / 2 / (train.n + len(groups) / 2)
        mass = (1 - weight) * mass / max(mass.sum(), 1e-9) + weight / len(groups)
        beyond = np.log(np.append(mass[::-1].cumsum()[::-1][1:], mass[-1]) + mass / 2)
        table[held] = ended[held] @ np.log(mass) + cut[held] @ beyond[group_of]
    judged = [_Candidate(f.model.name, f.model.size, f, scores[f.model]) for f in found]
    return [*judged, _Candidate("empirical", len(groups) - 1, None, table)]


def _error(gain: np.ndarray) -> float:
    return float(np.std(gain, ddof=1) * np.sqrt(len(gain))) if len(gain) > 1 else 0.0


def _simplest(candidates: list[_Candidate]) -> _Candidate:
    """Return the candidate with the fewest parameters among those that the best does not clearly beat."""
    best = max(candidates, key=lambda k: k.score.sum())
    near = [k for k in candidates if (best.score - k.score).sum() <= CLEARLY * _error(best.score - k.score)]
    return min(near, key=lambda k: (k.size, -k.score.sum()))


def _of_law(fit: GroupedFit, what: str) -> tuple[float, float, float]:
    """Return mean or cv of a fitted law with its interval on the log scale."""

    def log_of(theta: np.ndarray) -> float:
        return float(np.log(getattr(fit.model.law(theta), what)))

    value = float(getattr(fit.law, what))
    half = fit.quantile * fit.error(log_of)
    return value, float(value * np.exp(-half)), float(value * np.exp(half))


def _quantiles(values: np.ndarray) -> np.ndarray:
    """Return 501 quantiles and the longest."""
    return np.maximum(np.quantile(values, np.linspace(0, 1, 501)), 1e-3)


# -- what is not the law ----------------------------------------------------------------------------------------------


def _capped(values: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Return which contacts were cut at a cap: many of exactly the longest handle time."""
    top = values[seen].max(initial=0.0)
    at = seen & (values == top)
    enough = at.sum() >= max(10, AT_CAP * len(values)) and top > 0 and np.unique(values[seen]).size > 20
    return at if enough else np.zeros(len(values), dtype=bool)


def _zero_mass(values: np.ndarray, seen: np.ndarray) -> bool:
    """Return whether zeros are more than rounding to whole seconds makes of the first half second."""
    zeros = int((seen & (values == 0)).sum())
    if not zeros:
        return False
    expected = (seen & (values >= 1) & (values <= 5)).sum() / 10
    return not whole_seconds(values) or zeros > 3 * expected + 3


def _short(fit: GroupedFit, looked: bool, name: str, n: int) -> tuple[list[Estimate], float]:
    """Return share and mean of the short calls, and the seconds below which a contact is more likely one of them."""
    what = "share of short calls"
    if not fit.model.short:
        why = "no short component improves the fit on days held out" if looked else "too few contacts below 20 s"
        return [Estimate(what, name, 0.0, 0.0, _most_short(fit), n, "share", "estimated", f"none: {why}")], 0.0
    share, mean = fit.model.short_part(fit.theta)
    half = [
        float(np.exp(fit.quantile * fit.error(lambda theta, i=i: float(np.log(fit.model.short_part(theta)[i])))))  # type: ignore[misc]
        for i in (0, 1)
    ]
    said = f"exponential beside the {fit.model.kind}: agents hanging up, wrong numbers, dead lines"
    x = np.linspace(0, 3 * SHORT_S, 601)[1:]
    main = (1 - share) * np.asarray(Model(fit.model.kind).law(fit.theta[:-2]).pdf(x))
    artefact = share / mean * np.exp(-x / mean)
    more = np.flatnonzero(artefact > main)
    below = float(x[more[-1]]) if len(more) else 0.0
    return [
        Estimate(what, name, share, share / half[0], min(share * half[0], 1.0), n, "share",
                 "estimated", f"{said}; more likely than a contact below {below:.0f} s"),
        Estimate("mean of short calls", name, mean, mean / half[1], mean * half[1], n, "s",
                 "estimated", said),
    ], below  # fmt: skip


def _most_short(fit: GroupedFit) -> float:
    """Return the largest share of short calls of mean 5 s beside the fitted law that the likelihood allows at 97.5 %."""
    inside, beyond = (np.exp(v) for v in fit.model.logs(fit.theta, fit.data.edges, fit.data.at))
    few, later = (np.exp(v) for v in Model("exponential").logs(np.log([5.0]), fit.data.edges, fit.data.at))
    ended, cut = fit.data.total

    def value(share: float) -> float:
        return float(
            ended @ np.log(np.maximum((1 - share) * inside + share * few, 1e-300))
            + cut @ np.log(np.maximum((1 - share) * beyond + share * later, 1e-300))
        )

    tried = np.concatenate([[0.0], np.geomspace(1e-6, 0.5, 200)])
    found = np.array([value(s) for s in tried])
    allowed = np.flatnonzero(found >= found.max() - 1.92)
    return float(tried[min(allowed[-1] + 1, len(tried) - 1)])


def _tail(values: np.ndarray, day: np.ndarray, name: str) -> Estimate:
    """Return the share of the handle time that the longest hundredth of the contacts take, and say how heavy the tail is."""
    edge = float(np.quantile(values, 0.99))
    long = np.bincount(day, np.where(values > edge, values, 0.0))
    value, low, high = jackknife_ratio(long, np.bincount(day, values), None, int(day.max(initial=0)))
    beyond = values[values > np.quantile(values, 0.95)] - np.quantile(values, 0.95)
    said = "contacts beyond the 99 % quantile"
    if len(beyond) >= 30:
        cv = float(beyond.std(ddof=1) / beyond.mean())
        # An exponential tail has cv 1, with variance 1/n (Stephens, 1978).
        z = np.sqrt(len(beyond)) * (cv - 1)
        if z > 3:
            kind = "heavier than exponential: long waits behind single contacts are likelier"
        else:
            kind = "lighter than exponential" if z < -3 else "about exponential"
        said += f"; the tail is {kind} (cv of what exceeds the 95 % quantile: {cv:.2f})"
    return Estimate("handle time in the longest 1 %", name, value, low, high, len(values), "share", "estimated", said)


def _clustered(values: np.ndarray, days: np.ndarray, statistic: str) -> tuple[float, float, float]:
    """Return a mean or cv with its interval by the delete-one jackknife over days, which keeps drift between days in."""
    _, code = np.unique(days, return_inverse=True)
    n = np.bincount(code)
    s1, s2 = np.bincount(code, values), np.bincount(code, values**2)

    def of(count: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
        mean = first / count
        if statistic == "mean":
            return np.log(mean)
        return np.log(np.sqrt(np.maximum(second / count - mean**2, 1e-12)) / mean)

    value = float(of(n.sum(), s1.sum(), s2.sum()))
    if len(n) < 3:
        return float(np.exp(value)), np.nan, np.nan
    without = of(n.sum() - n, s1.sum() - s1, s2.sum() - s2)
    k = len(n)
    error = np.sqrt((k - 1) / k * ((without - without.mean()) ** 2).sum())
    half = float(stdtrit(k - 1, 0.975) * error)
    return float(np.exp(value)), float(np.exp(value - half)), float(np.exp(value + half))
