"""What a metric's windows will be, from what they were: level that drifts and shifts, season, memory, noise.

A window's metric on its own scale (log-odds of a share, log of a wait) is level + swing + season + noise:

* level: a random walk, and steps at the dates where the data ask for one (``steps``);
* swing: an autoregression around it, some months long;
* season: month of the year, neighbours alike, fading from year to year as far as the data say so, drawn to nothing where
  they say little;
* noise: each window's own, beside the sampling noise that its count of contacts explains.

The six scales are fitted by maximum likelihood under weak, fixed priors (no data set's own); their uncertainty is kept by
weighted draws around the fit. A step of unknown size may come in any month to come, as often as it came so far: the tails
of the forecast are heavier than a normal law's.

References: Harvey (1989), Forecasting, Structural Time Series Models and the Kalman Filter, ch. 4; Harvey & Koopman (1992),
JBES 10, on steps.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular
from scipy.optimize import minimize
from scipy.stats import norm

#: Scales of the model, with median and log standard deviation of their priors; sizes in log-odds, times in months.
PRIORS: dict[str, tuple[float, float]] = {
    "drift": (0.06, 0.7), "swing": (0.25, 0.6), "memory": (3.0, 0.7), "season": (0.25, 0.7), "noise": (0.15, 0.6),
    "fade": (72.0, 0.8),
}  # fmt: skip
_MEDIAN = np.log([m for m, _ in PRIORS.values()])
_SPREAD = np.array([s for _, s in PRIORS.values()])
#: Prior standard deviation of the first level around even odds, or around the mean of the log of a wait.
_FIRST = 2.0
#: Standard deviation of a step, and how many come in a month before anything is known: one in five years.
STEP, RATE = 0.7, 1 / 60
#: Weight of that rate, in months.
_RATE_MONTHS = 30.0
#: Steps are not looked for nearer to the ends than this many windows, nor to each other.
_EDGE, _MOST = 3, 8
#: Draws of the scales, and how far they spread beyond the fit.
_DRAWS, _WIDEN = 256, 1.2


class _Gaps:
    """Months between windows at ``t`` and windows at ``s`` (months since the start), and what does not depend on scales."""

    def __init__(self, t: np.ndarray, s: np.ndarray) -> None:
        self.t, self.s = t, s
        self.gap = np.abs(t[:, None] - s[None, :])
        self.first = np.minimum(t[:, None], s[None, :])
        alike = 0.7 * np.exp(-2 * (np.sin(np.pi * self.gap / 12) / 0.7) ** 2)
        self.season = alike + 0.3 * (np.round(self.gap) % 12 == 0)

    def covariance(self, scales: np.ndarray) -> np.ndarray:
        """Return the covariance of what carries over from one window to another."""
        drift, swing, memory, season, _, fade = np.exp(scales)
        return np.asarray(
            _FIRST**2
            + drift**2 * self.first
            + swing**2 * np.exp(self.gap / -memory)
            + season**2 * self.season * np.exp(self.gap / -fade)
        )


@dataclass(frozen=True, eq=False)
class Outlook:
    """Law of each window to come, given everything up to the origin.

    Attributes
    ----------
    weight : ndarray, shape (n_draws,)
    mean, sd : ndarray, shape (n_draws, n_windows)
        On the metric's own scale, without a step to come.
    step : ndarray, shape (n_windows,)
        Probability that the level has stepped by then.
    """

    weight: np.ndarray
    mean: np.ndarray
    sd: np.ndarray
    step: np.ndarray

    def below_by_draw(self, x: np.ndarray) -> np.ndarray:
        """Return P(value ≤ x) by draw of the scales, shape (n_draws, n_windows)."""
        calm = norm.cdf((x - self.mean) / self.sd)
        after = norm.cdf((x - self.mean) / np.hypot(self.sd, STEP))
        return np.asarray(calm * (1 - self.step) + after * self.step)

    def below(self, x: np.ndarray) -> np.ndarray:
        """Return P(value ≤ x), shape (n_windows,)."""
        return np.asarray(self.weight @ self.below_by_draw(x))

    def quantile(self, q: float, *, pooled: bool = False) -> np.ndarray:
        """Return each window's q-quantile, or the one figure that a share q of all windows together lies below."""
        n = self.mean.shape[1]
        spread = 12 * np.hypot(self.sd.max(), STEP)
        low, high = np.full(n, self.mean.min() - spread), np.full(n, self.mean.max() + spread)
        for _ in range(60):
            middle = (low + high) / 2
            p = self.below(middle)
            under = (np.full(n, p.mean()) if pooled else p) < q
            low, high = np.where(under, middle, low), np.where(under, high, middle)
        return (low + high) / 2


class Model:
    """The model fitted to the windows of one metric.

    Parameters
    ----------
    t : ndarray, shape (n_windows,)
        Months since the window before the first, ascending; gaps are allowed.
    y : ndarray, shape (n_windows,)
        The metric on its own scale.
    sampling : ndarray, shape (n_windows,)
        Variance that the count of contacts explains.
    steps : bool
        Whether the level may step.
    """

    def __init__(self, t: np.ndarray, y: np.ndarray, sampling: np.ndarray, *, steps: bool = True) -> None:
        self.t, self.y, self.sampling, self.may_step = t.astype(float), y, sampling, steps
        self._gaps = _Gaps(self.t, self.t)
        self.steps: list[int] = []
        #: Gain in log posterior of each step over the model without it.
        self.gains: list[float] = []
        self.scales, fit = self._fit(_MEDIAN)
        while steps and len(self.steps) < _MOST:
            found = self._best_step()
            if found is None or fit - found[0] <= -np.log(RATE):
                break
            self.gains.append(fit - found[0] + np.log(RATE))
            fit, self.scales = found[0], found[2]
            self.steps.append(found[1])

    def _carried(self, gaps: _Gaps, scales: np.ndarray, *, steps: bool = True) -> np.ndarray:
        """Return the covariance between two sets of windows; each known step adds one level of unknown size."""
        total = gaps.covariance(scales)
        for k in self.steps if steps else ():
            total += STEP**2 * np.outer(gaps.t >= self.t[k], gaps.s >= self.t[k])
        return total

    def _own(self, scales: np.ndarray, sampling: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(2 * scales[4]) + sampling)

    def _factor(self, scales: np.ndarray) -> np.ndarray:
        full = self._carried(self._gaps, scales) + np.diag(self._own(scales, self.sampling))
        return np.asarray(cho_factor(full, lower=True)[0])

    def _loss(self, scales: np.ndarray) -> float:
        """Return minus the log posterior of the scales, up to a constant."""
        factor = self._factor(scales)
        z = solve_triangular(factor, self.y, lower=True)
        prior = (((scales - _MEDIAN) / _SPREAD) ** 2).sum()
        return float(0.5 * z @ z + np.log(np.diag(factor)).sum() + 0.5 * prior)

    def _fit(self, start: np.ndarray) -> tuple[np.ndarray, float]:
        bounds = [(m - 4 * s, m + 4 * s) for m, s in zip(_MEDIAN, _SPREAD, strict=True)]
        found = minimize(self._loss, start, method="L-BFGS-B", bounds=bounds, options={"maxiter": 60})
        return np.asarray(found.x), float(found.fun)

    def _best_step(self) -> tuple[float, int, np.ndarray] | None:
        """Return loss, window and scales of the best further step, looked for with the drift as fitted and with little."""
        n = len(self.y)
        open_ = np.ones(n, dtype=bool)
        for k in (0, n, *self.steps):
            open_[max(k - _EDGE + 1, 0) : k + _EDGE] = False
        best: tuple[float, int, np.ndarray] | None = None
        if not open_.any():
            return None
        for scales in (self.scales, np.concatenate([[np.log(0.02)], self.scales[1:]])):
            columns = np.tril(np.ones((n, n)))
            solved = cho_solve((self._factor(scales), True), columns)
            size = STEP**2 * (columns * solved).sum(axis=0)
            gain = 0.5 * (STEP * (solved.T @ self.y)) ** 2 / (1 + size) - 0.5 * np.log1p(size)
            k = int(np.where(open_, gain, -np.inf).argmax())
            self.steps.append(k)
            there, loss = self._fit(scales)
            self.steps.pop()
            if best is None or loss < best[0]:
                best = (loss, k, there)
        return best

    def _draws(self, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Return draws of the scales around the fit, and the log of what they are drawn too often by."""
        k, e = len(self.scales), 0.05
        unit = np.eye(k) * e
        curve = np.empty((k, k))
        for i in range(k):
            for j in range(i + 1):
                corners = (
                    self._loss(self.scales + a * unit[i] + b * unit[j]) * a * b for a in (1, -1) for b in (1, -1)
                )
                curve[i, j] = curve[j, i] = sum(corners) / (4 * e * e)
        value, vector = np.linalg.eigh(curve)
        root = vector / np.sqrt(np.maximum(value, 0.5 / _SPREAD.max() ** 2))
        z = np.random.default_rng((seed, 59)).standard_normal((_DRAWS // 2, k))
        z = np.concatenate([z, -z])
        return self.scales + _WIDEN * z @ root.T, 0.5 * (z**2).sum(axis=1)

    def outlook(self, ahead: np.ndarray, sampling: np.ndarray, *, seed: int = 1) -> Outlook:
        """Return the law of the windows at ``ahead`` (months, after the last one) with their sampling variance."""
        draws, often = self._draws(seed)
        across_gaps, ahead_gaps = _Gaps(self.t, ahead), _Gaps(ahead, ahead)
        weight = np.empty(len(draws))
        mean, sd = np.empty((2, len(draws), len(ahead)))
        for i, scales in enumerate(draws):
            factor = self._factor(scales)
            z = solve_triangular(factor, self.y, lower=True)
            across = solve_triangular(factor, self._carried(across_gaps, scales), lower=True)
            prior = (((scales - _MEDIAN) / _SPREAD) ** 2).sum()
            weight[i] = often[i] - 0.5 * z @ z - np.log(np.diag(factor)).sum() - 0.5 * prior
            mean[i] = across.T @ z
            var = np.diag(self._carried(ahead_gaps, scales)) - (across**2).sum(axis=0) + self._own(scales, sampling)
            sd[i] = np.sqrt(var)
        weight = np.exp(weight - weight.max())
        rate = self.step_rate if self.may_step else 0.0
        return Outlook(weight / weight.sum(), mean, sd, 1 - (1 - rate) ** (ahead - self.t[-1]))

    @property
    def step_rate(self) -> float:
        """Steps of the level a month, from those found and the prior rate."""
        return (len(self.steps) + RATE * _RATE_MONTHS) / (self.t[-1] + _RATE_MONTHS)

    def innovations(self) -> np.ndarray:
        """Return each window's error when forecast from those before it, in its standard deviations."""
        return np.asarray(solve_triangular(self._factor(self.scales), self.y, lower=True))

    def surprise(self, first: int, after: int) -> float:
        """Return how far the mean of windows ``first`` until before ``after`` lay from what those before let expect.

        In standard deviations; the scales are those of the fit, a level that steps is no part of what was expected.
        """
        part = slice(first, after)
        return self._off(first, self.t[part], self.y[part], self.sampling[part], steps=False)

    def surprise_ahead(self, ahead: np.ndarray, y: np.ndarray, sampling: np.ndarray) -> float:
        """Return how far the mean of later windows came to lie from what was expected, in standard deviations."""
        return self._off(len(self.y), ahead, y, sampling, steps=True)

    def _off(self, n: int, ahead: np.ndarray, y: np.ndarray, sampling: np.ndarray, *, steps: bool) -> float:
        past = self.t[:n]
        full = self._carried(_Gaps(past, past), self.scales, steps=steps)
        factor = cho_factor(full + np.diag(self._own(self.scales, self.sampling[:n])), lower=True)[0]
        across = solve_triangular(factor, self._carried(_Gaps(past, ahead), self.scales, steps=steps), lower=True)
        mean = across.T @ solve_triangular(factor, self.y[:n], lower=True)
        var = self._carried(_Gaps(ahead, ahead), self.scales, steps=steps) - across.T @ across
        var += np.diag(self._own(self.scales, sampling))
        return float((y - mean).mean() / np.sqrt(var.mean()))
