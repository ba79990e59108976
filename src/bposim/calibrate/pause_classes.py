"""One law of pauses or two: are there absences at all among the pauses that begin while somebody waits?

Pauses are grouped, so that whole seconds and a million of them cost the same; those cut short when the queue empties count by
their survival. One law (lognormal, gamma or Weibull) stands against a mixture of two.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq, minimize
from scipy.special import gammainc, gammaincinv, gammaln, ndtr, ndtri

#: Laws of a class; absences are few, and mostly cut short, so that theirs is always the first.
FAMILIES = ("lognormal", "gamma", "weibull")
#: An absence lasts at least so long in the mean, and so many times as long as the other pauses.
LEAST_MEAN_S, LEAST_RATIO = 60.0, 5.0
#: Pauses expected in the lesser class, and the share of it that may lie on the wrong side of the border.
FEWEST, MOST_OVERLAP = 3.0, 0.5
#: Longest pause, and how much wider each cell is than the one before.
_LONGEST_S, _STEP = 7200.0, 1.15
_SHAPES = (np.log(0.2), np.log(60.0))
_STOP = {"ftol": 1e-8, "maxiter": 100}


def _edges() -> np.ndarray:
    """Return borders of cells in seconds, at half seconds, so that a log of whole seconds falls between them."""
    wide = np.floor(_STEP ** np.arange(1, np.log(_LONGEST_S) / np.log(_STEP) + 2)) + 0.5
    return np.unique(np.concatenate([[0.0], np.arange(0.5, 8), wide]))


# Beside bposim.distributions, for every step of a fit makes a law and calls its cdf: here that takes about half the time.
@dataclass(frozen=True)
class PauseLaw:
    """A law with two parameters.

    Attributes
    ----------
    family : "lognormal", "gamma" or "weibull"
    mean_s : float
    shape : float
        1 ÷ the standard deviation of the logarithm for a lognormal, the usual shape otherwise: a larger one is narrower.
    """

    family: str
    mean_s: float
    shape: float

    def _scale(self) -> float:
        if self.family == "lognormal":
            return float(self.mean_s * np.exp(-0.5 / self.shape**2))
        if self.family == "gamma":
            return self.mean_s / self.shape
        return float(self.mean_s / np.exp(gammaln(1 + 1 / self.shape)))

    def cdf(self, x: np.ndarray) -> np.ndarray:
        """Return the probability of a pause up to x."""
        z = np.maximum(np.asarray(x, dtype=float), 1e-12) / self._scale()
        if self.family == "lognormal":
            return np.asarray(ndtr(np.log(z) * self.shape))
        if self.family == "gamma":
            return np.asarray(gammainc(self.shape, z))
        return np.asarray(-np.expm1(-np.exp(np.minimum(self.shape * np.log(z), 500.0))))

    def quantile(self, p: np.ndarray) -> np.ndarray:
        """Return the pause that a share p does not exceed."""
        p = np.asarray(p, dtype=float)
        if self.family == "lognormal":
            return np.asarray(self._scale() * np.exp(ndtri(p) / self.shape))
        if self.family == "gamma":
            return np.asarray(self._scale() * gammaincinv(self.shape, p))
        return np.asarray(self._scale() * (-np.log1p(-p)) ** (1 / self.shape))


@dataclass(frozen=True)
class PauseClasses:
    """The classes that pauses fall into.

    Attributes
    ----------
    short : PauseLaw
        Of after-contact work; of all pauses where there is one class.
    long : PauseLaw or None
        Of absences; None where one law is enough.
    share_long : float
    border_s : float
        Where a pause is as likely to be of the one class as of the other; missing with one.
    gain : float
        Log-likelihood of two laws over that of one.
    why : str
        Why two laws that describe the pauses better than one are no work beside clear absences; empty where they are, or where
        one law is enough.
    all_work : PauseLaw or None
        With two laws that lie too close to be sure: the one law of all pauses, were they all work.
    works_s : (float, float)
        With two laws: least and largest mean of the work by those families that also describe the pauses better than one law.
    """

    short: PauseLaw
    long: PauseLaw | None
    share_long: float
    border_s: float
    gain: float
    why: str = ""
    all_work: PauseLaw | None = None
    works_s: tuple[float, float] = (np.nan, np.nan)

    @property
    def undivided(self) -> PauseClasses | None:
        """The other reading of two laws that lie close: all pauses are work. None where there is but one reading."""
        return None if self.all_work is None else PauseClasses(self.all_work, None, 0.0, np.nan, self.gain)

    def of_work(self, pause_s: np.ndarray) -> np.ndarray:
        """Return the probability that a pause of this length is after-contact work."""
        if self.long is None:
            return np.ones(len(pause_s))
        lead = _lead(self.short, self.long, self.share_long, np.log(np.maximum(pause_s, 0.25)))
        # Below the short law's median a wide long law may be the likelier again; no absence is that short.
        return np.where(pause_s < self.short.quantile(np.array(0.5)), 1.0, 1 / (1 + np.exp(np.clip(lead, -500, 500))))

    def again(self, data: GroupedPauses) -> PauseClasses:
        """Return the same number of classes and the same kinds of laws, fitted to other pauses."""
        if self.long is None:
            return replace(self, short=_one(data, self.short.family, (self.short.mean_s,))[0])
        _, short, far, share = _two(data, self.short.family, [(self.short, self.long, self.share_long)])
        every = self.all_work and _one(data, self.all_work.family, (self.all_work.mean_s,))[0]
        border = _border(short, far, share)
        return replace(self, short=short, long=far, share_long=share, border_s=border, all_work=every)


class GroupedPauses:
    """Pauses in cells, and the log-likelihood of a mixture of laws."""

    def __init__(self, length_s: np.ndarray, seen: np.ndarray) -> None:
        self.edges = _edges()
        self.middle = (self.edges[:-1] + self.edges[1:]) / 2
        cell = np.clip(np.searchsorted(self.edges, length_s, side="right") - 1, 0, len(self.middle) - 1)
        ended = seen & (length_s < self.edges[-1])
        self.ended = np.bincount(cell[ended], minlength=len(self.middle))
        self.cut = np.bincount(cell[~ended], minlength=len(self.middle))
        self.at = np.concatenate([self.edges, self.middle])

    def of(self, parts: list[tuple[float, PauseLaw]]) -> float:
        """Return the log-likelihood of a mixture."""
        below = np.sum([share * law.cdf(self.at) for share, law in parts], axis=0)
        n = len(self.edges)
        below[0] = 0.0
        p, beyond = np.diff(below[:n]), 1 - below[n:]
        return float(self.ended @ np.log(np.maximum(p, 1e-300)) + self.cut @ np.log(np.maximum(beyond, 1e-300)))


def pause_classes(length_s: np.ndarray, seen: np.ndarray) -> PauseClasses:
    """Decide between one law and two.

    Parameters
    ----------
    length_s : ndarray of float
    seen : ndarray of bool
        Whether the pause was seen to end; otherwise it is cut short.

    Notes
    -----
    Two laws have three parameters more and must gain 1.5 log n of log-likelihood (Schwarz 1978). That alone would part any law
    which is none of the three: the second class must also be one of absences, of at least a minute in the mean and five times
    as long as the other pauses, and apart from them: less than half of the lesser class on the wrong side of the border. Two laws that
    gain enough and lie closer are returned with the reason and the one law: longer work, or absences of its length, look alike.
    """
    data = GroupedPauses(length_s, seen)
    usual = max(float(length_s[seen].mean()) if seen.any() else float(length_s.mean()), 0.5)
    median = max(float(np.median(length_s[seen])) if seen.any() else usual, 0.5)
    one, single = max((_one(data, f, (usual, median)) for f in FAMILIES), key=lambda found: found[1])
    best: tuple[float, PauseLaw, PauseLaw, float] | None = None
    needed = 1.5 * np.log(len(length_s))
    works = []
    for family in FAMILIES:
        found = _two(data, family, [
            (PauseLaw(family, 1.2 * median, 1.6), PauseLaw("lognormal", max(12 * median, 300.0), 1.6), 0.05),
            (PauseLaw(family, median, 1.2), PauseLaw("lognormal", max(40 * median, 900.0), 1.3), 0.27),
        ])  # fmt: skip
        if found[0] - single > needed:
            works.append(found[1].mean_s)
        if best is None or found[0] > best[0]:
            best = found
    assert best is not None
    value, short, far, share = best
    gain = value - single
    border = _border(short, far, share)
    few = min(share, 1 - share)
    wrong = (1 - share) * float(1 - short.cdf(np.array(border))) + share * float(far.cdf(np.array(border)))
    if gain <= needed:
        return PauseClasses(one, None, 0.0, np.nan, gain)
    middle = [float(law.quantile(np.array(0.5))) for law in (short, far)]
    if far.mean_s <= short.mean_s or middle[1] <= middle[0] or share * len(length_s) < FEWEST:
        why = "a second law describes the pauses better, but it is of no class of longer ones"
        return PauseClasses(one, None, 0.0, np.nan, gain, why)
    reasons = []
    if far.mean_s < LEAST_RATIO * short.mean_s:
        reasons.append(f"the longer ones last {far.mean_s / short.mean_s:.1f} times as long, where absences last {LEAST_RATIO:.0f} times as long at least")  # fmt: skip
    if wrong >= MOST_OVERLAP * few:
        reasons.append(f"the two overlap ({100 * wrong / few:.0f} % of the lesser class are on the other's side)")
    return PauseClasses(short, far, share, border, gain, " and ".join(reasons), one if reasons else None,
                        (min(works), max(works)))  # fmt: skip


def _one(data: GroupedPauses, family: str, means: tuple[float, ...]) -> tuple[PauseLaw, float]:
    def law(x: np.ndarray) -> PauseLaw:
        return PauseLaw(family, float(np.exp(x[0])), float(np.exp(x[1])))

    bounds = [(np.log(0.05), np.log(3 * _LONGEST_S)), _SHAPES]
    found = [
        minimize(
            lambda x: -data.of([(1.0, law(x))]), [np.log(mean), 0.3], method="L-BFGS-B", bounds=bounds, options=_STOP
        )
        for mean in means
    ]
    best = min(found, key=lambda r: r.fun)
    return law(best.x), -float(best.fun)


def _two(
    data: GroupedPauses, family: str, starts: list[tuple[PauseLaw, PauseLaw, float]]
) -> tuple[float, PauseLaw, PauseLaw, float]:
    """Return log-likelihood, short law, long law and share of the long one, from the best of some starts."""

    def laws(x: np.ndarray) -> tuple[PauseLaw, PauseLaw, float]:
        mean, shape, far_mean, far_shape = (float(v) for v in np.exp(x[:4]))
        return PauseLaw(family, mean, shape), PauseLaw("lognormal", far_mean, far_shape), float(1 / (1 + np.exp(-x[4])))

    def loss(x: np.ndarray) -> float:
        short, far, share = laws(x)
        return -data.of([(1 - share, short), (share, far)])

    bounds = [
        (np.log(0.05), np.log(_LONGEST_S)), _SHAPES, (np.log(LEAST_MEAN_S), np.log(3 * _LONGEST_S)), _SHAPES, (-8.0, 3.0),
    ]  # fmt: skip
    found = []
    for short, far, share in starts:
        logs = np.log([short.mean_s, short.shape, far.mean_s, far.shape, share / (1 - share)])
        begin = np.clip(logs, *np.array(bounds).T)
        found.append(minimize(loss, begin, method="L-BFGS-B", bounds=bounds, options=_STOP))
    best = min(found, key=lambda r: r.fun)
    return -float(best.fun), *laws(best.x)


def _lead(short: PauseLaw, far: PauseLaw, share: float, at: np.ndarray) -> np.ndarray:
    """Return the log odds of the long class in a narrow band around each logarithm of a pause."""
    near = np.exp(np.stack([at - 0.01, at + 0.01]))
    a, b = (
        np.log(np.maximum(w * (law.cdf(near[1]) - law.cdf(near[0])), 1e-300))
        for w, law in ((1 - share, short), (share, far))
    )
    return np.asarray(b - a)


def _border(short: PauseLaw, far: PauseLaw, share: float) -> float:
    """Return where both classes are equally likely, between their medians; halfway between those where they never are."""
    ends = [float(np.log(law.quantile(np.array(0.5)))) for law in (short, far)]
    at = np.linspace(ends[0], ends[1], 400)
    over = np.flatnonzero(_lead(short, far, share, at) > 0)
    if ends[0] >= ends[1] or not len(over) or over[0] == 0:
        return float(np.exp(sum(ends) / 2))
    return float(np.exp(brentq(lambda y: float(_lead(short, far, share, np.array(y))), at[over[0] - 1], at[over[0]])))
