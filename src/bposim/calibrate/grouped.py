"""Maximum likelihood on counts in cells: rounding, censoring and a million contacts cost the same as a hundred."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from scipy import optimize, special

from bposim.distributions import Distribution, exponential, gamma, hyperexponential, lognormal, mixture, weibull
from bposim.errors import CalibrationError

KINDS = ("exponential", "weibull", "lognormal", "gamma", "hyperexponential")
SIZE = {"exponential": 1, "weibull": 2, "lognormal": 2, "gamma": 2, "hyperexponential": 3}
#: Relative width of a cell.
STEP = 0.01
#: Seconds that the mean of a component may have to be called short.
SHORT_S = 20.0
_TINY = 1e-300


@dataclass(frozen=True, eq=False)
class Cells:
    """Durations counted in cells, by cluster (a day, say).

    Attributes
    ----------
    edges : ndarray, shape (n_cells + 1,)
        Seconds; the first is 0 and the last infinite.
    at : ndarray, shape (n_cells,)
        Where a duration of the cell that was cut short is taken to have been cut.
    ended, cut : ndarray, shape (n_clusters, n_cells)
        Durations seen to end in the cell, and those cut short there.
    """

    edges: np.ndarray
    at: np.ndarray
    ended: np.ndarray
    cut: np.ndarray

    @property
    def n(self) -> int:
        return int(self.ended.sum() + self.cut.sum())

    def of(self, clusters: np.ndarray) -> Cells:
        """Return the cells of some clusters, summed into one."""
        return Cells(self.edges, self.at, self.ended[clusters].sum(0)[None], self.cut[clusters].sum(0)[None])

    @cached_property
    def total(self) -> tuple[np.ndarray, np.ndarray]:
        return self.ended.sum(0), self.cut.sum(0)

    @cached_property
    def survival(self) -> np.ndarray:
        """Kaplan–Meier at the inner edges, shape (n_cells,): the share that outlasts each cell."""
        ended, cut = self.total
        risk = ended[::-1].cumsum()[::-1] + np.append((cut[::-1].cumsum()[::-1])[1:], 0) + cut
        # What was cut in a cell is taken to have been at risk for half of it.
        risk = risk - cut / 2
        return np.cumprod(1 - np.divide(ended, risk, out=np.zeros(len(ended)), where=risk > 0).clip(0, 1))


def whole_seconds(values: np.ndarray) -> bool:
    """Return whether a log was rounded to whole seconds."""
    return bool(len(values) and np.all(values == np.round(values)))


def cells(values: np.ndarray, observed: np.ndarray, clusters: np.ndarray) -> Cells:
    """Count durations in cells 1 % wide, or as wide as the rounding of the log.

    Parameters
    ----------
    values : ndarray of float
        Seconds, at least 0.
    observed : ndarray of bool
        Whether the end was seen.
    clusters : ndarray of int
        From 0 on.
    """
    top = float(values.max(initial=1.0))
    if whole_seconds(values):
        inner = np.unique(np.round(np.exp(np.arange(0, np.log(max(top, 2)), STEP)))) + 0.5
        inner = np.concatenate([[0.5], inner[inner < top], [top + 0.5]])
    else:
        low = max(float(values[values > 0].min(initial=top)) * (1 - STEP), top * 1e-6)
        inner = np.append(np.exp(np.arange(np.log(low), np.log(top), STEP)), top * (1 + STEP / 2))
    edges = np.unique(np.concatenate([[0.0], inner, [np.inf]]))
    place = np.searchsorted(edges, values, side="right") - 1
    m, k = len(edges) - 1, int(clusters.max(initial=0)) + 1
    ended, cut = (
        np.bincount(clusters[pick] * m + place[pick], minlength=m * k).reshape(k, m).astype(float)
        for pick in (observed, ~observed)
    )
    at = (edges[:-1] + np.append(edges[1:-1], edges[-2] * (1 + STEP))) / 2
    return Cells(edges, at, ended, cut)


def _sf(kind: str, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return P(X ≤ x) and P(X > x)."""
    with np.errstate(divide="ignore", over="ignore"):
        if kind == "exponential":
            risk = x / np.exp(theta[0])
            return -np.expm1(-risk), np.exp(-risk)
        if kind == "weibull":
            risk = (x / np.exp(theta[1])) ** np.exp(theta[0])
            return -np.expm1(-risk), np.exp(-risk)
        if kind == "gamma":
            k, z = np.exp(theta[0]), x / np.exp(theta[1])
            return special.gammainc(k, z), special.gammaincc(k, z)
        if kind == "lognormal":
            z = (np.log(x) - theta[0]) / np.exp(theta[1])
            return special.ndtr(z), special.ndtr(-z)
        p = special.expit(theta[0])
        a, b = (x / np.exp(v) for v in theta[1:3])
        return -p * np.expm1(-a) - (1 - p) * np.expm1(-b), p * np.exp(-a) + (1 - p) * np.exp(-b)


@dataclass(frozen=True)
class Model:
    """A kind of law, with or without a short component beside it."""

    kind: str
    short: bool = False

    @property
    def name(self) -> str:
        return f"{self.kind} + short" if self.short else self.kind

    @property
    def size(self) -> int:
        return SIZE[self.kind] + 2 * self.short

    def both(self, theta: np.ndarray, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return P(X ≤ x) and P(X > x)."""
        below, above = _sf(self.kind, theta, x)
        if self.short:
            share, mean = self.short_part(theta)
            with np.errstate(over="ignore"):
                below = (1 - share) * below - share * np.expm1(-x / mean)
                above = (1 - share) * above + share * np.exp(-x / mean)
        return below, above

    def short_part(self, theta: np.ndarray) -> tuple[float, float]:
        """Return share and mean of the short component."""
        return float(special.expit(theta[-2])), float(SHORT_S * special.expit(theta[-1]))

    def logs(self, theta: np.ndarray, edges: np.ndarray, at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the logarithms of P(X in cell) and P(X > at)."""
        below, above = self.both(theta, edges)
        inside = np.where(below[:-1] < 0.5, np.diff(below), -np.diff(above))
        return np.log(np.maximum(inside, _TINY)), np.log(np.maximum(self.both(theta, at)[1], _TINY))

    def law(self, theta: np.ndarray) -> Distribution:
        """Return the distribution in seconds."""
        if self.kind == "exponential":
            main = exponential(float(np.exp(theta[0])))
        elif self.kind == "lognormal":
            main = lognormal(mu=float(theta[0]), sigma=float(np.exp(theta[1])))
        elif self.kind == "hyperexponential":
            p = float(special.expit(theta[0]))
            main = hyperexponential(probabilities=[p, 1 - p], means=np.exp(theta[1:3]).tolist())
        else:
            make = gamma if self.kind == "gamma" else weibull
            main = make(shape=float(np.exp(theta[0])), scale=float(np.exp(theta[1])))
        if not self.short:
            return main
        share, mean = self.short_part(theta)
        return mixture([1 - share, share], [main, exponential(mean)])

    def start(self, data: Cells) -> np.ndarray:
        """Return where the search begins: moments as if nothing had been cut short."""
        ended, cut = data.total
        weight = ended + cut
        logs = np.log(data.at)
        mean = float((weight @ data.at) / max(ended.sum(), 1))
        centre = float(weight @ logs / weight.sum())
        spread = float(np.sqrt(weight @ (logs - centre) ** 2 / weight.sum())) + 1e-3
        own = {
            "exponential": [np.log(mean)],
            "lognormal": [centre + max(np.log(weight.sum() / max(ended.sum(), 1)), 0.0), np.log(spread)],
            "weibull": [np.log(np.clip(1.28 / spread, 0.2, 20)), np.log(mean)],
            "gamma": [0.0, np.log(mean)],
            "hyperexponential": [0.5, np.log(0.3 * mean), np.log(2.5 * mean)],
        }[self.kind]
        if self.kind == "gamma":
            k = float(np.clip(1.64 / spread**2, 0.2, 50))
            own = [np.log(k), np.log(mean / k)]
        return np.array(own + ([-3.0, -1.0] if self.short else []))


@dataclass(frozen=True, eq=False)
class GroupedFit:
    """A model fitted to counts in cells.

    Attributes
    ----------
    model : Model
    theta : ndarray
        Parameters on the scale where they are unbounded.
    value : float
        Log-likelihood.
    data : Cells
    sound : bool
        Whether the likelihood has an inner maximum there, so that the information can be inverted.
    """

    model: Model
    theta: np.ndarray
    value: float
    data: Cells

    @property
    def aic(self) -> float:
        return 2 * self.model.size - 2 * self.value

    @cached_property
    def law(self) -> Distribution:
        return self.model.law(self.theta)

    @cached_property
    def ks(self) -> float:
        """Largest distance from Kaplan–Meier at the edges of cells."""
        above = self.model.both(self.theta, self.data.edges[1:-1])[1]
        ended, cut = self.data.total
        # Of censored durations, the last few make steps too large to tell anything.
        enough = (ended + cut)[::-1].cumsum()[::-1] >= (min(50, self.data.n) if cut.any() else 1)
        seen = (np.arange(len(above)) <= np.flatnonzero(ended).max(initial=0)) & enough[:-1]
        return float(np.abs(above - self.data.survival[:-1])[seen].max(initial=0.0))

    @cached_property
    def _slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Derivatives of both logarithms, shape (n_parameters, n_cells)."""
        inside, beyond = [], []
        for i in range(len(self.theta)):
            step = np.zeros(len(self.theta))
            step[i] = 1e-4
            up, down = (self.model.logs(self.theta + s * step, self.data.edges, self.data.at) for s in (1, -1))
            inside.append((up[0] - down[0]) / 2e-4)
            beyond.append((up[1] - down[1]) / 2e-4)
        return np.array(inside), np.array(beyond)

    @cached_property
    def covariance(self) -> np.ndarray | None:
        """Of theta: by the information, or over clusters (sandwich) where there are 20 of them; None without a maximum."""
        ended, cut = self.data.total
        size, h = len(self.theta), 1e-3
        hessian = np.zeros((size, size))
        for i in range(size):
            step = np.zeros(size)
            step[i] = h
            up, down = (_gradient(self.model, self.theta + s * step, self.data, ended, cut) for s in (1, -1))
            hessian[i] = -(up - down) / (2 * h)
        hessian = (hessian + hessian.T) / 2
        try:
            np.linalg.cholesky(hessian)
        except np.linalg.LinAlgError:
            return None
        inverse = np.linalg.inv(hessian)
        k = len(self.data.ended)
        if k < 20:
            return inverse
        inside, beyond = self._slopes
        score = self.data.ended @ inside.T + self.data.cut @ beyond.T
        score = score - score.mean(0)
        return inverse @ (score.T @ score * k / (k - 1)) @ inverse

    def error(self, function: Callable[[np.ndarray], float]) -> float:
        """Return the standard error of a function of theta (delta method); missing without a maximum."""
        if self.covariance is None:
            return float("nan")
        gradient = np.zeros(len(self.theta))
        for i in range(len(self.theta)):
            step = np.zeros(len(self.theta))
            step[i] = 1e-4
            gradient[i] = (function(self.theta + step) - function(self.theta - step)) / 2e-4
        return float(np.sqrt(max(gradient @ self.covariance @ gradient, 0.0)))

    @property
    def quantile(self) -> float:
        """Student's 97.5 % quantile for the clusters."""
        k = len(self.data.ended)
        return float(special.stdtrit(k - 1, 0.975)) if k >= 20 else 1.959964


def _gradient(model: Model, theta: np.ndarray, data: Cells, ended: np.ndarray, cut: np.ndarray) -> np.ndarray:
    result = np.zeros(len(theta))
    for i in range(len(theta)):
        step = np.zeros(len(theta))
        step[i] = 1e-4
        up, down = (model.logs(theta + s * step, data.edges, data.at) for s in (1, -1))
        result[i] = (ended @ (up[0] - down[0]) + cut @ (up[1] - down[1])) / 2e-4
    return result


def fit_cells(model: Model, data: Cells, start: np.ndarray | None = None) -> GroupedFit:
    """Fit a model by maximum likelihood.

    Parameters
    ----------
    start : ndarray, optional
        Theta to begin from; None takes moments.

    Raises
    ------
    CalibrationError
        None of the durations ended.
    """
    ended, cut = data.total
    if ended.sum() < 1:
        raise CalibrationError(
            f"None of the {data.n:,} durations ended: there is nothing to fit. Collect more data or assume a law."
        )
    # Cells that nobody ended in or was cut in need no probabilities.
    inside, beyond = np.flatnonzero(ended), np.flatnonzero(cut)
    n = float(ended.sum() + cut.sum())
    low, high, at = data.edges[inside], data.edges[inside + 1], data.at[beyond]
    x = np.concatenate([low, high, at])
    a, b = len(low), 2 * len(low)
    w_in, w_out = ended[inside], cut[beyond]

    def loss(theta: np.ndarray) -> float:
        with np.errstate(all="ignore"):
            below, above = model.both(theta, x)
            p = np.where(below[:a] < 0.5, below[a:b] - below[:a], above[:a] - above[a:b])
            value = -(w_in @ np.log(np.maximum(p, _TINY)) + w_out @ np.log(np.maximum(above[b:], _TINY))) / n
        return float(value) if np.isfinite(value) else 1e10

    def gradient(theta: np.ndarray) -> np.ndarray:
        steps = 1e-5 * np.eye(len(theta))
        return np.array([(loss(theta + s) - loss(theta - s)) / 2e-5 for s in steps])

    theta = model.start(data) if start is None else start
    found = optimize.minimize(loss, theta, jac=gradient, method="BFGS", options={"gtol": 1e-6})
    if not found.success and float(np.abs(found.jac).max()) > 1e-4:
        again = optimize.minimize(
            loss, theta, method="Nelder-Mead", options={"xatol": 1e-5, "fatol": 1e-10, "maxiter": 4000}
        )
        found = again if again.fun < found.fun else found
    theta = found.x
    if model.kind == "hyperexponential" and theta[1] > theta[2]:
        theta = np.concatenate([[-theta[0], theta[2], theta[1]], theta[3:]])
    return GroupedFit(model, theta, -loss(theta) * n, data)
