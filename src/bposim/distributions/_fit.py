"""Maximum likelihood with right-censoring: parameters, their intervals, and how far the fit is from the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import optimize, special, stats

from bposim.distributions import _kinds, _mixtures
from bposim.distributions._base import Distribution
from bposim.distributions._survival import checked, product_limit
from bposim.errors import CalibrationError, ParameterError, parameter

FITTED = ("exponential", "gamma", "lognormal", "weibull", "hyperexponential")


@dataclass(frozen=True, eq=False)
class Fit:
    """A fitted distribution with its uncertainty.

    Attributes
    ----------
    distribution : Distribution
        The estimate, in seconds.
    parameters : dict
        The kind's own parameters (``zero`` among them where a mass at zero was fitted).
    covariance : array of shape (n_parameters, n_parameters)
        Of the parameters in that order, from the observed information.
    log_likelihood, aic : float
        In seconds; comparable between kinds fitted to the same durations in the same way.
    n, events : int
        Durations, and how many of them were seen to end.
    ks : float
        Largest distance between the fitted cdf and the Kaplan–Meier estimate.
    """

    distribution: Distribution
    parameters: dict[str, float]
    covariance: np.ndarray
    log_likelihood: float
    aic: float
    n: int
    events: int
    ks: float
    _theta: np.ndarray
    _information: np.ndarray
    _exposure: float

    @property
    def kind(self) -> str:
        return self.distribution.kind

    def mean_interval(self, confidence: float = 0.95) -> tuple[float, float]:
        """Return an interval for the mean in seconds.

        Exact (chi-square, Epstein & Sobel 1953) for the exponential, with one degree more on the safe side where
        durations were cut short; else the delta method on the logarithm of the mean.
        """
        if list(self.parameters) == ["mean"]:
            return self._chi_square(confidence)
        mean, gradient = self.distribution.mean, np.zeros(len(self._theta))
        for i in range(len(self._theta)):
            step = np.zeros(len(self._theta))
            step[i] = 1e-5
            zero = "zero" in self.parameters
            up, down = (_build(self.kind, self._theta + sign * step, zero).mean for sign in (1, -1))
            gradient[i] = np.log(up / down) / 2e-5
        spread = _z(confidence) * float(np.sqrt(gradient @ self._information @ gradient))
        return float(mean * np.exp(-spread)), float(mean * np.exp(spread))

    def parameter_interval(self, name: str, confidence: float = 0.95) -> tuple[float, float]:
        """Return an interval for one parameter, symmetric on the scale where it is unbounded (log or logit)."""
        if name not in self.parameters:
            known = ", ".join(self.parameters)
            raise ParameterError(parameter("name", "parameter_interval()", f"one of {known}", name))
        if list(self.parameters) == ["mean"]:
            return self._chi_square(confidence)
        if name == "zero":
            # Clopper & Pearson (1934).
            count = round(self.parameters["zero"] * self._exposure)
            low = special.betaincinv(count, self._exposure - count + 1, (1 - confidence) / 2)
            high = special.betaincinv(count + 1, self._exposure - count, (1 + confidence) / 2)
            return float(low), float(high)
        index = list(self.parameters).index(name)
        spread = _z(confidence) * float(np.sqrt(self._information[index, index]))
        ends = (self._theta[index] - spread, self._theta[index] + spread)
        back = _BACK.get(name, np.exp)
        return float(back(ends[0])), float(back(ends[1]))

    def _chi_square(self, confidence: float) -> tuple[float, float]:
        total = 2 * self.distribution.mean * self.events
        upper = 2 * self.events + (2 if self.events < self.n else 0)
        low = total / stats.chi2.ppf((1 + confidence) / 2, upper)
        return float(low), float(total / stats.chi2.ppf((1 - confidence) / 2, 2 * self.events))

    def __repr__(self) -> str:
        low, high = self.mean_interval()
        return (
            f"Fit({self.distribution!r}, n={self.n:,}, events={self.events:,}, mean {self.distribution.mean:.4g} s "
            f"[{low:.4g}, {high:.4g}], aic={self.aic:.1f}, ks={self.ks:.4f})"
        )


_BACK: dict[str, Callable[[Any], Any]] = {"mu": lambda v: v, "probability": special.expit}
_NAMES = {
    "exponential": ("mean",),
    "gamma": ("shape", "scale"),
    "lognormal": ("mu", "sigma"),
    "weibull": ("shape", "scale"),
    "hyperexponential": ("probability", "mean_1", "mean_2"),
}


def _z(confidence: float) -> float:
    if not 0 < confidence < 1:
        raise ParameterError(parameter("confidence", "the interval", "a share between 0 and 1", confidence))
    return float(special.ndtri(0.5 + confidence / 2))


def _build(kind: str, theta: np.ndarray, zero: bool) -> Distribution:
    own = theta[: len(_NAMES[kind])]
    if kind == "exponential":
        law = _kinds.exponential(float(np.exp(own[0])))
    elif kind == "lognormal":
        law = _kinds.lognormal(mu=float(own[0]), sigma=float(np.exp(own[1])))
    elif kind == "hyperexponential":
        p = float(special.expit(own[0]))
        law = _mixtures.hyperexponential(probabilities=[p, 1 - p], means=np.exp(own[1:]).tolist())
    else:
        make = _kinds.gamma if kind == "gamma" else _kinds.weibull
        law = make(shape=float(np.exp(own[0])), scale=float(np.exp(own[1])))
    return _mixtures.with_zero(float(special.expit(theta[-1])), law) if zero else law


def _likelihood(kind: str, ends: np.ndarray, cuts: np.ndarray) -> Callable[[np.ndarray], float]:
    """Return the log-likelihood of theta, the parameters on their unbounded scale."""
    logs, d = np.log(ends), len(ends)
    total, total_log = float(ends.sum()), float(logs.sum())
    log_cuts = np.log(cuts)

    def exponential(theta: np.ndarray) -> float:
        return float(-d * theta[0] - (total + cuts.sum()) * np.exp(-theta[0]))

    def gamma(theta: np.ndarray) -> float:
        k, scale = np.exp(theta)
        value = (k - 1) * total_log - total / scale - d * (k * theta[1] + special.gammaln(k))
        if len(cuts):
            x = cuts / scale
            left = special.gammaincc(k, x)
            tail = (k - 1) * np.log(x) - x - special.gammaln(k)
            value += np.where(left > 1e-290, np.log(np.maximum(left, 1e-300)), tail).sum()
        return float(value)

    def lognormal(theta: np.ndarray) -> float:
        mu, sigma = theta[0], np.exp(theta[1])
        value = -total_log - d * (theta[1] + np.log(2 * np.pi) / 2) - (((logs - mu) / sigma) ** 2).sum() / 2
        return float(value + special.log_ndtr((mu - log_cuts) / sigma).sum())

    def weibull(theta: np.ndarray) -> float:
        k = np.exp(theta[0])
        risk = np.exp(k * (logs - theta[1])).sum() + np.exp(k * (log_cuts - theta[1])).sum()
        return float(d * (theta[0] - k * theta[1]) + (k - 1) * total_log - risk)

    def hyperexponential(theta: np.ndarray) -> float:
        p, (m1, m2) = special.expit(theta[0]), np.exp(theta[1:])
        w1, w2 = np.log(p), special.log_expit(-theta[0])
        value = np.logaddexp(w1 - theta[1] - ends / m1, w2 - theta[2] - ends / m2).sum()
        return float(value + np.logaddexp(w1 - cuts / m1, w2 - cuts / m2).sum())

    return {
        "exponential": exponential,
        "gamma": gamma,
        "lognormal": lognormal,
        "weibull": weibull,
        "hyperexponential": hyperexponential,
    }[kind]


def fit(kind: str, durations: Any, observed: Any = None, *, zero: bool = False) -> Fit:
    """Fit one kind of distribution to durations, some of which may have been cut short.

    Parameters
    ----------
    kind : {"exponential", "gamma", "lognormal", "weibull", "hyperexponential"}
        ``hyperexponential`` has two phases.
    durations : array
        Seconds until the end, or until the observation stopped.
    observed : array of bool, optional
        False where the end was not seen (right-censored), such as the patience of an answered contact.
    zero : bool
        Fit a mass at zero for the durations that ended at 0. Its share is of those with a duration above 0 or an end
        at 0: a contact that was answered at once shows nothing of its patience.

    Raises
    ------
    CalibrationError
        Durations are negative or missing, none ended, all are equal, or some ended at 0 without ``zero=True``.

    Notes
    -----
    The observed information is the negative Hessian of the log-likelihood on the unbounded scale (log, logit).

    Examples
    --------
    >>> f = fit("exponential", [1, 2, 3, 4, 5], [True, False, True, True, False])
    >>> f.distribution, f.events
    (Distribution(exponential: mean=5s), 3)
    """
    if kind not in FITTED:
        raise ParameterError(parameter("kind", "fit()", "one of " + ", ".join(FITTED), kind))
    t, seen = checked(durations, observed, "fit()")
    n, events = len(t), int(seen.sum())
    gone = int(np.sum(seen & (t == 0)))
    if gone and not zero:
        raise CalibrationError(
            f"{gone:,} of {n:,} durations ended at 0, which no {kind} distribution allows. Call fit(…, zero=True) to "
            "fit a mass at zero beside it, or drop them."
        )
    ends, cuts = t[seen & (t > 0)], t[~seen & (t > 0)]
    if not len(ends):
        raise CalibrationError(
            f"None of the {n:,} durations ended after 0: there is nothing to fit a {kind} to. Collect more data or "
            "assume a distribution."
        )
    if kind != "exponential" and np.all(ends == ends[0]) and not len(cuts):
        raise CalibrationError(f"All durations are {ends[0]:g} s: a {kind} cannot be fitted. Use deterministic().")
    scale = float((ends.sum() + cuts.sum()) / len(ends))
    likelihood = _likelihood(kind, ends / scale, cuts / scale)
    theta, information = _maximise(kind, likelihood, ends / scale, cuts / scale)
    value = likelihood(theta) - len(ends) * np.log(scale)
    theta = _unscale(kind, theta, scale)
    names = list(_NAMES[kind])
    exposed = gone + len(ends) + len(cuts)
    if gone:
        p = gone / exposed
        theta = np.append(theta, special.logit(p))
        information = np.pad(information, (0, 1))
        information[-1, -1] = 1 / (exposed * p * (1 - p))
        value += gone * np.log(p) + (exposed - gone) * np.log1p(-p)
        names.append("zero")
    law = _build(kind, theta, bool(gone))
    if names == ["mean"]:
        law = _kinds.exponential(scale)
    back = [special.expit if name == "zero" else _BACK.get(name, np.exp) for name in names]
    parameters = {name: float(f(x)) for name, f, x in zip(names, back, theta, strict=True)}
    if names == ["mean"]:
        parameters["mean"] = scale
    slopes = np.array([_slope(name, value_) for name, value_ in parameters.items()])
    covariance = information * np.outer(slopes, slopes)
    for array in (covariance, theta, information):
        array.setflags(write=False)
    told = (t > 0) | seen
    distance = _distance(law, t[told], seen[told])
    return Fit(
        law, parameters, covariance, float(value), float(2 * len(names) - 2 * value), n, events, distance, theta,
        information, float(exposed),
    )  # fmt: skip


def _slope(name: str, value: float) -> float:
    if name == "mu":
        return 1.0
    return value * (1 - value) if name in ("probability", "zero") else value


def _unscale(kind: str, theta: np.ndarray, scale: float) -> np.ndarray:
    shift = [float(name in ("mu", "scale") or name.startswith("mean")) for name in _NAMES[kind]]
    return theta + np.log(scale) * np.array(shift)


def _start(kind: str, ends: np.ndarray, cuts: np.ndarray) -> np.ndarray:
    every = np.concatenate([ends, cuts])
    if kind == "lognormal":
        logs = np.log(every)
        return np.array([logs.mean(), np.log(logs.std() + 1e-3)])
    if kind == "gamma":
        gap = float(np.log(every.mean()) - np.log(every).mean())
        k = (3 - gap + np.sqrt((gap - 3) ** 2 + 24 * gap)) / (12 * gap) if gap > 1e-12 else 1e6
        return np.array([np.log(k), -np.log(k)])
    if kind == "weibull":
        return np.array([np.log(np.clip(1.28 / (np.log(every).std() + 1e-9), 0.05, 1e4)), 0.0])
    return np.array([0.5, np.log(0.3), np.log(2.5)])


def _maximise(
    kind: str, likelihood: Callable[[np.ndarray], float], ends: np.ndarray, cuts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    if kind == "exponential":
        return np.zeros(1), np.array([[1 / len(ends)]])
    n = len(ends) + len(cuts)

    def loss(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            value = -likelihood(theta) / n
        return value if np.isfinite(value) else 1e10

    theta = _start(kind, ends, cuts)
    if kind == "lognormal" and not len(cuts):
        theta[1] = np.log(np.log(ends).std())
    else:
        found = optimize.minimize(loss, theta, method="BFGS", options={"gtol": 1e-6})
        theta = found.x
        if not found.success and float(np.abs(found.jac).max()) > 1e-3:
            again = optimize.minimize(loss, theta, method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-12})
            theta = again.x
    if kind == "hyperexponential" and theta[1] > theta[2]:
        theta = np.array([-theta[0], theta[2], theta[1]])
    hessian = n * _hessian(loss, theta)
    try:
        np.linalg.cholesky(hessian)
    except np.linalg.LinAlgError:
        raise CalibrationError(
            f"The likelihood of a {kind} has no inner maximum for these {n:,} durations: the data do not carry its "
            "parameters. Fit a simpler kind (exponential), or collect more."
        ) from None
    return theta, np.linalg.inv(hessian)


def _hessian(function: Callable[[np.ndarray], float], theta: np.ndarray) -> np.ndarray:
    size, h = len(theta), 1e-3
    steps = h * np.eye(size)
    centre = function(theta)
    result = np.zeros((size, size))
    for i in range(size):
        result[i, i] = (function(theta + steps[i]) - 2 * centre + function(theta - steps[i])) / h**2
        for j in range(i):
            corners = [
                sign_i * sign_j * function(theta + sign_i * steps[i] + sign_j * steps[j])
                for sign_i in (1, -1)
                for sign_j in (1, -1)
            ]
            result[i, j] = result[j, i] = sum(corners) / (4 * h**2)
    return result


def _distance(law: Distribution, t: np.ndarray, seen: np.ndarray) -> float:
    time, _, events, survival = product_limit(t, seen)
    before = np.concatenate([[1.0], survival[:-1]])
    ended = events > 0
    left = np.asarray(law.sf(time))
    # Just before time 0 nobody has gone, in the data as in the law.
    gaps = np.where(time > 0, np.abs(left - before), 0.0)
    return float(np.max(np.maximum(np.abs(left - survival), gaps)[ended]))


def fit_best(
    durations: Any,
    observed: Any = None,
    kinds: Sequence[str] = FITTED,
    criterion: str = "aic",
    *,
    zero: bool = False,
) -> list[Fit]:
    """Fit several kinds and return them, best first.

    Parameters
    ----------
    durations, observed, zero
        As for :func:`fit`.
    kinds : sequence of str
        What to try; a kind that these data cannot carry is left out.
    criterion : {"aic", "bic", "ks"}
        What is least in the first.

    Raises
    ------
    CalibrationError
        No kind could be fitted; each reason is given.
    """
    if criterion not in ("aic", "bic", "ks"):
        raise ParameterError(parameter("criterion", "fit_best()", "one of aic, bic, ks", criterion))
    fits: list[Fit] = []
    problems: list[str] = []
    for kind in kinds:
        try:
            fits.append(fit(kind, durations, observed, zero=zero))
        except CalibrationError as error:
            problems.extend(error.problems)
    if not fits:
        raise CalibrationError(dict.fromkeys(problems))
    scores: dict[str, Callable[[Fit], float]] = {
        "aic": lambda f: f.aic,
        "bic": lambda f: np.log(f.n) * len(f.parameters) - 2 * f.log_likelihood,
        "ks": lambda f: f.ks,
    }
    return sorted(fits, key=scores[criterion])
