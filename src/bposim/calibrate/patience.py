"""Patience of a contact type under censoring: Kaplan–Meier, parametric laws, a hazard by pieces, balking, aggregates."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
from scipy.special import betaincinv, chdtri, stdtrit

from bposim.calibrate.duration_fit import DurationFit
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.grouped import GroupedFit, Model, cells, fit_cells, whole_seconds
from bposim.distributions import Distribution, km_median, piecewise_hazard, restricted_mean, with_zero

PATIENCE_KINDS = ("exponential", "weibull", "lognormal", "gamma")
#: AIC by which each further step of complexity must be better, and the steps: under censoring Weibull and gamma are hard
#: to tell apart, and taking whichever happens to fit would move the mean; so the Weibull stands until clearly beaten.
CLEARLY = 6.0
STEPS = {"exponential": 0.0, "weibull": 1.0, "gamma": 1.5, "lognormal": 1.5, "piecewise_hazard": 2.0}
#: Share of the mean beyond the waits seen from which every law that fits counts in full for its interval.
HALF = 0.5
#: Times the waiting per abandonment beyond which a law's mean is no estimate but a guess about its tail.
ABSURD = 5.0
#: Share of a mean that may come from beyond the waits seen before the estimate says so.
BEYOND = 0.20
#: Contacts that must have waited so long for the data to tell anything about patience there.
REACHED = 50
#: Abandonments below which a type's patience is taken from all types together.
FEW = 30
#: Seconds between which the hazard is told, given in advance: announcements make peaks at 5–10 s and at whole minutes.
BREAKS = (0, 1, 2, 5, 10, 15, 20, 30, 45, 60, 75, 90, 120, 150, 180, 240, 300, 420, 600, 900, 1200, 1800, 3600)
#: Abandonments that a piece of the hazard must lead one to expect.
PIECE = 15.0
#: Waits at which the share still patient is told, and those up to which a restricted mean may go.
SURVIVAL_S = (20, 60, 180)
HORIZONS = (10, 20, 30, 45, 60, 90, 120, 180, 240, 300, 420, 600, 900, 1200, 1800, 3600, 7200, 14400, 28800)
#: Risk of a warning that aggregates and contacts disagree where they do not, and the difference that matters.
RISK, MATTERS = 0.001, 0.05
_BLOCKS = 20


def fit_patience(
    waits: np.ndarray, abandoned: np.ndarray, name: str, *, pooled: bool = False, days: np.ndarray | None = None
) -> DurationFit:
    """Fit patience under censoring: those answered were at least as patient as they waited.

    Candidates are the parametric laws and a hazard constant between breaks given in advance, compared by AIC, where each
    step of complexity must be better by 6; a law whose mean is infinite or more than ``ABSURD`` times the waiting time per
    abandonment is not taken, and the estimate says so. The interval of the mean allows for the other candidates by weights
    of the same criterion (Buckland, Burnham & Augustin, 1997). Contacts answered at once say nothing about patience; those that
    left at once are a mass at zero. In a log of whole seconds a wait stands for the second around it.

    Parameters
    ----------
    waits : ndarray of float
        Seconds waited.
    abandoned : ndarray of bool
    name : str
        The contact type.
    pooled : bool
        Whether the contacts are those of all types.
    days : ndarray, optional
        Local day of each; with 20 and more days, intervals take days, not contacts, as independent.

    Notes
    -----
    Restricted mean and survival are Kaplan–Meier's with Greenwood's variance; hazards are abandonments over exposure, they
    and the share that balks have Jeffreys' intervals.
    """
    said_pool = " (all types together: too few abandonments)" if pooled else ""
    waits, abandoned = np.asarray(waits, dtype=float), np.asarray(abandoned, dtype=bool)
    rounded = whole_seconds(waits)
    waits, zero_left = _off_the_clock(waits, abandoned, rounded)
    reached = waits > 0
    t, left = waits[reached], abandoned[reached]
    told = np.round(t) if rounded else t  # a quarter of a second stands for the first half
    # One who finds an agent free cannot show impatience: the share that balks is of those who had to wait.
    zero = zero_left / max(zero_left + len(t), 1)
    cluster = (
        np.zeros(len(t), dtype=int) if days is None else np.unique(np.asarray(days)[reached], return_inverse=True)[1]
    )
    data = cells(told, left, cluster)
    fits = {k: fit_cells(Model(k), data) for k in PATIENCE_KINDS}
    breaks, rate, count = _pieces(t, left, rounded)
    pieces = piecewise_hazard(breaks.tolist(), rate.tolist())
    scores, means, errors = _compared(fits, pieces, rate, breaks, count)
    usual = float(t.sum() / max(left.sum(), 1))
    # The hazard of the last piece was seen; a law's own tail was not.
    sane = {k: bool(np.isfinite(m) and (k == "piecewise_hazard" or m <= ABSURD * usual)) for k, m in means.items()}
    judged = {k: scores[k] + CLEARLY * STEPS[k] for k in scores}
    wanted = min(judged, key=lambda k: judged[k])
    kind = min((k for k in judged if sane[k]), key=lambda k: judged[k])
    law: Distribution = pieces if kind == "piecewise_hazard" else fits[kind].law
    km = _product_limit(np.append(np.zeros(zero_left), t), np.append(np.ones(zero_left, dtype=bool), left), rounded)
    median = km_median(km)
    said = f"{kind.replace('_', ' ')}; " + (
        f"Kaplan–Meier median {median:.0f} s" if np.isfinite(median) else "more than half never hung up"
    )
    n_left = int(left.sum())
    longest = float(np.sort(t)[-min(10, len(t))])
    beyond = 1 - float(law.limited_mean(longest)) / law.mean
    error = _mean_error(kind, judged if beyond <= HALF else scores, means, errors, sane)
    if zero_left:
        error = float(np.sqrt(error**2 + zero / (1 - zero) / (zero_left + len(t))))
    if beyond > BEYOND:
        said += (
            f"; {100 * beyond:.0f} % of this mean is extrapolated: fewer than 10 waited longer than {longest:.0f} s. Seen are "
            f"at least {restricted_mean(km, longest):,.0f} s"
        )
    if wanted != kind:
        much = f"{means[wanted]:,.0f} s" if np.isfinite(means[wanted]) and means[wanted] < 1e9 else "without bound"
        said += f"; {wanted} fits the waits better, but its mean ({much}) rests on a tail that nobody saw"
    if zero_left:
        said += f"; {100 * zero:.1f} % of those who must wait leave at once"
        law = with_zero(zero, law)
    rows = [
        (
            k,
            scores[k],
            _distance(with_zero(zero, pieces if k not in fits else fits[k].law), km),
            means[k],
            k == kind,
            sane[k],
        )
        for k in scores
    ]
    half = float(stdtrit(max(n_left - 1, 1), 0.975)) * error
    mean = law.mean
    shape = _shape(fits["weibull"], name, n_left)
    estimates = [
        Estimate("mean patience", name, float(mean), float(mean * np.exp(-half)), float(mean * np.exp(half)), n_left, "s",
                 "estimated", said + said_pool),
        *_by_kaplan_meier(km, t, name, n_left),
        shape,
    ]  # fmt: skip
    estimates.append(_balking(zero_left, len(t), name))
    estimates.append(aggregate_patience(np.array([abandoned.sum()]), np.array([waits.sum()]), name))
    estimates += _hazards(t, left, rounded, name)
    fit = DurationFit(
        law, pd.DataFrame(rows, columns=["kind", "aic", "ks", "mean_s", "chosen", "mean_plausible"]),
        tuple(estimates), waits, abandoned,
    )  # fmt: skip
    note = _disagreement(t, left, rounded, zero_left, name, km, shape, float(mean), error)
    return fit if note is None else replace(fit, notes=(note,))


def aggregate_patience(abandoned: np.ndarray, waiting_s: np.ndarray, name: str) -> Estimate:
    """Estimate the rate of abandonment from sums alone: abandonments over the waiting time of all, answered included.

    Parameters
    ----------
    abandoned, waiting_s : ndarray
        Abandonments and total waiting in seconds by interval or day; with 20 and more, the interval is a jackknife over
        them, else Jeffreys'.
    name : str

    Returns
    -------
    Estimate
        Per hour. Its inverse is the mean patience only where patience is exponential.
    """
    from bposim.calibrate.estimates import jackknife_ratio

    events, waited = float(np.sum(abandoned)), float(np.sum(waiting_s))
    mean = waited / events if events > 0 else np.inf
    said = f"abandonments over total waiting time; were patience exponential, its mean would be {mean:,.0f} s"
    what = "abandonments per waiting hour"
    if len(abandoned) >= _BLOCKS and events > 0:
        value, low, high = jackknife_ratio(
            np.asarray(abandoned, dtype=float), np.asarray(waiting_s, dtype=float), None, len(abandoned) - 1
        )
    else:
        value, low, high = _poisson(events, waited)
    return Estimate(what, name, value * 3600, low * 3600, high * 3600, int(events), "1/h", "estimated", said)


# -- the laws ---------------------------------------------------------------------------------------------------------


def _compared(
    fits: dict[str, GroupedFit], pieces: Distribution, rate: np.ndarray, breaks: np.ndarray, count: np.ndarray,
) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:  # fmt: skip
    """Return AIC, mean, and the standard error of the logarithm of the mean by kind."""
    grouped = fits["exponential"].data
    with np.errstate(divide="ignore"):
        above = np.asarray(pieces.sf(grouped.edges[:-1]))
        inside = np.log(np.maximum(above - np.append(above[1:], 0.0), 1e-300))
        outlast = np.log(np.maximum(np.asarray(pieces.sf(grouped.at)), 1e-300))
    ended, cut = grouped.total
    scores = {k: f.aic for k, f in fits.items()}
    scores["piecewise_hazard"] = float(2 * len(rate) - 2 * (ended @ inside + cut @ outlast))
    means = {k: f.law.mean for k, f in fits.items()} | {"piecewise_hazard": pieces.mean}
    errors = {k: f.error(lambda theta, f=f: float(np.log(f.model.law(theta).mean))) for k, f in fits.items()}  # type: ignore[misc]
    gradient = np.zeros(len(rate))
    for i in range(len(rate)):
        step = np.ones(len(rate))
        step[i] = 1.001
        gradient[i] = np.log(piecewise_hazard(breaks.tolist(), (rate * step).tolist()).mean / pieces.mean) / np.log(
            1.001
        )
    errors["piecewise_hazard"] = float(np.sqrt((gradient**2 / np.maximum(count, 0.5)).sum()))
    return scores, means, errors


def _mean_error(
    kind: str, scores: dict[str, float], means: dict[str, float], errors: dict[str, float], sane: dict[str, bool]
) -> float:
    """Return the standard error of the log mean of the chosen law, the other plausible laws in it by their weights."""
    of = [k for k in scores if sane[k] and np.isfinite(errors[k])]
    if kind not in of:
        return float("nan")
    weight = np.exp(-(np.array([scores[k] for k in of]) - min(scores[k] for k in of)) / 2)
    weight /= weight.sum()
    shift = np.log(np.array([means[k] for k in of]) / means[kind])
    error = float(np.sqrt(weight @ (np.array([errors[k] for k in of]) ** 2 + shift**2)))
    return max(error, errors[kind])


def _counted(t: np.ndarray, left: np.ndarray, rounded: bool, breaks: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return abandonments and exposure (seconds) between breaks, the last without end.

    Of a log in whole seconds, an abandonment on a break is shared out (expectation and maximisation).
    """
    upper = np.append(breaks[1:], np.inf)
    every = np.sort(t)
    sums = np.append(0.0, every.cumsum())

    def clipped(b: np.ndarray) -> np.ndarray:
        place = np.searchsorted(every, b)
        return sums[place] + np.where(np.isinf(b), 0.0, b) * (len(every) - place)

    with np.errstate(invalid="ignore"):
        exposure = clipped(np.minimum(upper, every[-1] + 1)) - clipped(np.minimum(breaks, every[-1] + 1))
    ends = np.sort(t[left])
    below = np.searchsorted(ends, breaks, side="right")
    count = np.diff(np.append(below, len(ends))).astype(float)
    count[0] += below[0]
    if not rounded or len(breaks) == 1:
        return count, exposure
    # An abandonment in the second around a break belongs to either side in proportion to the hazards there.
    on = below[1:] - np.searchsorted(ends, breaks[1:], side="left")
    sure = count.copy()
    sure[:-1] -= on
    for _ in range(200):
        rate = np.divide(count, exposure, out=np.zeros(len(count)), where=exposure > 0)
        both = rate[:-1] + rate[1:]
        part = np.divide(rate[:-1], both, out=np.full(len(on), 0.5), where=both > 0)
        new = sure.copy()
        new[:-1] += on * part
        new[1:] += on * (1 - part)
        if np.abs(new - count).max() < 1e-6:
            break
        count = new
    return new, exposure


def _breaks(rounded: bool) -> np.ndarray:
    """Return the breaks of the hazard; a log of whole seconds cannot tell one second from the next."""
    return np.array([b for b in BREAKS if not rounded or b == 0 or b >= 5], dtype=float)


def _pieces(t: np.ndarray, left: np.ndarray, rounded: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return breaks, rates and counts of a hazard constant between breaks: events over exposure.

    Breaks are dropped where the exposure leads one to expect fewer than ``PIECE`` abandonments: by the exposure, not by the
    count, which would choose high hazards.
    """
    breaks = _breaks(rounded)
    count, exposure = _counted(t, left, rounded, breaks)
    overall = count.sum() / exposure.sum()
    keep, held = [0], 0.0
    for i in range(len(breaks)):
        held += exposure[i] * overall
        if held >= PIECE and i + 1 < len(breaks):
            keep.append(i + 1)
            held = 0.0
    if held < PIECE and len(keep) > 1:
        keep.pop()
    breaks = breaks[keep]
    count, exposure = _counted(t, left, rounded, breaks)
    # A last hazard of 0 would make patience endless.
    while len(breaks) > 1 and count[-1] < PIECE / 3:
        breaks = breaks[:-1]
        count, exposure = _counted(t, left, rounded, breaks)
    rate = np.maximum(count, 0.1) / np.maximum(exposure, 1e-9)
    return breaks, rate, count


# -- without a law ----------------------------------------------------------------------------------------------------


def _product_limit(t: np.ndarray, left: np.ndarray, rounded: bool) -> pd.DataFrame:
    """Return Kaplan–Meier as ``time, at_risk, events, survival, ci_low, ci_high, variance`` (of log survival).

    In a log of whole seconds half of those cut in a second were at risk for its abandonments.
    """
    time, code = np.unique(t, return_inverse=True)
    events = np.bincount(code, left, minlength=len(time))
    every = np.bincount(code, minlength=len(time))
    risk = every[::-1].cumsum()[::-1].astype(float)
    if rounded:
        risk = risk - (every - events) / 2
    survival = np.cumprod(1 - np.minimum(events / risk, 1))
    rest = risk - events
    variance = np.cumsum(np.where(rest > 0, events / np.maximum(risk * rest, 1e-9), 0.0))
    with np.errstate(divide="ignore", invalid="ignore"):
        log = np.log(survival)
        spread = 1.959964 * np.sqrt(variance) / np.abs(log)
        low, high = survival ** np.exp(spread), survival ** np.exp(-spread)
    return pd.DataFrame({"time": time, "at_risk": risk, "events": events, "survival": survival, "ci_low": low,
                         "ci_high": high, "variance": variance})  # fmt: skip


def _distance(law: Distribution, km: pd.DataFrame) -> float:
    """Return the largest distance from Kaplan–Meier, up to the wait that enough contacts reached."""
    ended = (km["events"].to_numpy() > 0) & (km["at_risk"].to_numpy() >= min(REACHED, km["at_risk"].iloc[0]))
    return float(np.abs(np.asarray(law.sf(km["time"].to_numpy())) - km["survival"].to_numpy())[ended].max(initial=0.0))


def _by_kaplan_meier(km: pd.DataFrame, t: np.ndarray, name: str, n: int) -> list[Estimate]:
    """Return the restricted mean and the share still patient at waits given in advance."""
    at_risk = {h: int((t >= h).sum()) for h in HORIZONS}
    seen = [h for h in HORIZONS if at_risk[h] >= REACHED]
    result = [_restricted(km, float(seen[-1]), name, n)] if seen else []
    time, survival, variance = (km[c].to_numpy() for c in ("time", "survival", "variance"))
    for s in SURVIVAL_S:
        if int((t >= s).sum()) < 10:
            continue
        # A wait of exactly s seconds is half below, half above.
        before, upto = (np.searchsorted(time, s, side=side) - 1 for side in ("left", "right"))
        logs = [float(np.log(survival[i])) if i >= 0 else 0.0 for i in (before, upto)]
        var = [float(variance[i]) if i >= 0 else 0.0 for i in (before, upto)]
        log, error = sum(logs) / 2, np.sqrt(sum(var) / 2)
        if log == 0:
            continue
        spread = 1.959964 * error / abs(log)
        said = f"Kaplan–Meier: share of those who must wait whose patience exceeds {s} s"
        low, high = (float(np.exp(log * np.exp(sign * spread))) for sign in (1, -1))
        result.append(
            Estimate(f"still patient at {s} s", name, float(np.exp(log)), low, high, n, "share", "estimated", said)
        )
    return result


def _restricted(km: pd.DataFrame, until: float, name: str, n: int) -> Estimate:
    """Return the mean patience up to a wait: the area under Kaplan–Meier, with Greenwood's variance."""
    time, survival = km["time"].to_numpy(), km["survival"].to_numpy()
    at_risk, events = km["at_risk"].to_numpy(), km["events"].to_numpy()
    value = restricted_mean(km, until)
    time = np.minimum(time, until)
    steps = np.diff(np.append(time, until)) * survival
    area = np.cumsum(steps[::-1])[::-1]  # from each time to the end
    left = at_risk - events
    variance = float((area**2 * np.where(left > 0, events / np.maximum(at_risk * left, 1), 0.0)).sum())
    half = 1.959964 * float(np.sqrt(variance))
    said = f"patience cut at {until:.0f} s, which {REACHED} contacts waited; from the data alone, no law assumed"
    return Estimate(
        "restricted mean patience", name, value, max(value - half, 0.0), value + half, n, "s", "estimated", said
    )


def _shape(fit: GroupedFit, name: str, n: int) -> Estimate:
    shape, half = float(np.exp(fit.theta[0])), fit.quantile * fit.error(lambda theta: float(theta[0]))
    low, high = shape * float(np.exp(-half)), shape * float(np.exp(half))
    if high < 1:
        said = "below 1: the longer one has waited, the less likely one is to hang up in the next second"
    elif low > 1:
        said = "above 1: the longer one has waited, the likelier one is to hang up in the next second"
    else:
        said = "1 is an exponential patience"
    return Estimate("Weibull shape of patience", name, shape, low, high, n, "", "estimated", said)


def _balking(zero_left: int, waited: int, name: str) -> Estimate:
    n = zero_left + waited
    share = zero_left / max(n, 1)
    low = float(betaincinv(zero_left + 0.5, n - zero_left + 0.5, 0.025)) if zero_left else 0.0
    high = float(betaincinv(zero_left + 0.5, n - zero_left + 0.5, 0.975))
    said = "of those who must wait, leave at once" if zero_left else "none: nobody, beyond rounding, leaves at once"
    return Estimate("balking share", name, share, low, high, n, "share", "estimated", said)


def _poisson(events: float, exposure: float) -> tuple[float, float, float]:
    """Return events over exposure with Jeffreys' interval for a Poisson rate (chi-square with 2 events + 1 degrees)."""
    if exposure <= 0:
        return np.nan, np.nan, np.nan
    low = chdtri(2 * events + 1, 0.975) / 2 if events > 0 else 0.0
    high = chdtri(2 * events + 1, 0.025) / 2
    return events / exposure, float(low) / exposure, float(high) / exposure


def _hazards(t: np.ndarray, left: np.ndarray, rounded: bool, name: str) -> list[Estimate]:
    """Return the hazard between breaks given in advance, where the exposure leads one to expect enough to count."""
    breaks = _breaks(rounded)
    count, exposure = _counted(t, left, rounded, breaks)
    overall = count.sum() / exposure.sum()
    result = []
    for i in range(len(breaks) - 1):
        if exposure[i] * overall < PIECE:
            continue
        value, low, high = (60 * v for v in _poisson(float(count[i]), float(exposure[i])))
        where = f"{name}, {breaks[i]:.0f}-{breaks[i + 1]:.0f} s"
        said = "abandonments over the time waited between these waits"
        result.append(
            Estimate("hazard of patience", where, value, low, high, int(count[i]), "1/min", "estimated", said)
        )
    return result


def _off_the_clock(waits: np.ndarray, abandoned: np.ndarray, rounded: bool) -> tuple[np.ndarray, int]:
    """Undo a log's rounding to whole seconds: 0 s may be an abandonment within half a second, no balking.

    Zeros that are about as many as the following seconds lead one to expect are set to a quarter of a second; of clearly
    more of them the excess stays zero: those contacts would not wait at all.

    Returns
    -------
    (ndarray, int)
        The waits, and how many left at once.
    """
    zeros = np.flatnonzero(abandoned & (waits == 0))
    if not rounded or not len(zeros):
        return waits, len(zeros)
    expected = round(float((abandoned & (waits >= 1) & (waits <= 5)).sum()) / 10)
    inside = zeros if len(zeros) <= 3 * expected + 3 else zeros[:expected]
    waits = waits.copy()
    waits[inside] = 0.25
    return waits, len(zeros) - len(inside)


def _disagreement(
    t: np.ndarray, left: np.ndarray, rounded: bool, zero_left: int, name: str, km: pd.DataFrame,
    shape: Estimate, mean: float, mean_error: float,
) -> str | None:  # fmt: skip
    """Return what to say where abandonments over waiting time and the contacts tell a different patience."""
    horizons = [h for h in HORIZONS if (t >= h).sum() >= REACHED]
    if not horizons or left.sum() < FEW:
        return None
    until = float(horizons[-1])
    zeros = np.bincount(np.arange(zero_left) % _BLOCKS, minlength=_BLOCKS)
    block = np.arange(len(t)) % _BLOCKS

    aggregate = float(t.sum() / (left.sum() + zero_left))

    def gap(without: int) -> float:
        use = block != without
        at_once = zero_left - (int(zeros[without]) if without >= 0 else 0)
        per = t[use].sum() / (left[use].sum() + at_once)
        every, gone = np.append(np.zeros(at_once), t[use]), np.append(np.ones(at_once, dtype=bool), left[use])
        frame = km if without < 0 else _product_limit(every, gone, rounded)
        return float(np.log(restricted_mean(frame, until)) - np.log(-per * np.expm1(-until / per)))

    value = gap(-1)
    without = np.array([gap(b) for b in range(_BLOCKS)])
    error = float(np.sqrt((_BLOCKS - 1) / _BLOCKS * ((without - without.mean()) ** 2).sum()))
    quantile = float(stdtrit(_BLOCKS - 1, 1 - RISK / 4))
    off = float(np.log(mean / aggregate))
    within = abs(value) > max(MATTERS, quantile * error)
    overall = np.isfinite(mean_error) and abs(off) > max(MATTERS, quantile * mean_error)
    if not within and not overall:
        return None
    contact = restricted_mean(km, until)
    why = []
    if zero_left:
        why.append(f"{100 * zero_left / (zero_left + len(t)):.1f} % of those who must wait leave at once (balking)")
    count, exposure = _counted(t, left, rounded, np.array([0.0, 10.0]))
    if exposure[1] > 0 and count[0] / exposure[0] > 1.5 * count[1] / exposure[1]:
        why.append("short abandons: the hazard of the first 10 s is "
                   f"{count[0] / exposure[0] / (count[1] / exposure[1]):.1f} times that afterwards")  # fmt: skip
    if shape.high < 1:
        why.append("those who have waited long stay longer (heavy tail)")
    if shape.low > 1:
        why.append("those who have waited long hang up sooner")
    if not why:
        why.append("the hazard is not constant")
    cut = -aggregate * np.expm1(-until / aggregate)
    return (
        f"patience of {name!r}: abandonments over waiting time make a mean of {aggregate:,.0f} s, {cut:,.0f} s of it within the "
        f"first {until:.0f} s; the contacts themselves show {mean:,.0f} s and {contact:,.0f} s. Patience is not exponential: "
        f"{'; '.join(why)}. Trust the contacts: an Erlang A with the aggregate's mean misses abandonment."
    )
