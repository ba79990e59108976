"""Targets from demonstrated capability: what a history of its metrics lets a centre promise for the year to come."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import multivariate_normal, norm

from bposim.errors import ParameterError, parameter
from bposim.provenance import Provenance
from bposim.scenario import Target
from bposim.targets.capability_changes import changes_of, changes_told
from bposim.targets.capability_model import Model, Outlook
from bposim.targets.capability_series import COVERS, MONTHS, MetricHistory, read_metrics

#: A review is due when the level has stepped with this probability, after no less than a quarter and no more than a year.
REVIEW_AT, REVIEW_MONTHS = 0.05, (3, 12)
#: Months ahead that targets are recommended for.
AHEAD = 12
#: Columns of recommended targets, whatever they come from.
FRAME = ("target", "covers", "metric", "level", "sense", "window", "probability", "ci_low", "ci_high", "mean", "why")


@dataclass(frozen=True, eq=False)
class Expected:
    """A metric's history, the model fitted to it, and the law of its windows to come."""

    history: MetricHistory
    model: Model
    outlook: Outlook
    starts: pd.DatetimeIndex
    base: pd.Timestamp

    def months(self, starts: Any) -> np.ndarray:
        """Return the model's time of windows: months since the window before the first."""
        return _months(self.base, starts)

    def levels(self, confidence: float, *, pooled: bool = False, rounded: bool = True) -> np.ndarray:
        """Return the level of each window that it meets with a probability; ``pooled``: one that all of them meet together."""
        h = self.history
        level = h.natural(self.outlook.quantile(1 - confidence if h.higher else confidence, pooled=pooled))
        if not rounded:
            return level
        steps = level / h.step
        level = np.round((np.floor(steps + 1e-9) if h.higher else np.ceil(steps - 1e-9)) * h.step, 6)
        return np.asarray(np.clip(level, 0.0, 1.0) if h.share else level)

    def met_by_draw(self, levels: np.ndarray) -> np.ndarray:
        """Return the probability that each window meets its level by draw of the model's scales."""
        below = self.outlook.below_by_draw(np.array([self.history.to_scale(x) for x in levels]))
        return 1 - below if self.history.higher else below

    def met(self, levels: np.ndarray) -> np.ndarray:
        """Return the probability that each window meets its level."""
        return np.asarray(self.outlook.weight @ self.met_by_draw(levels))

    def told(self, levels: np.ndarray) -> tuple[float, float, float]:
        """Return the mean probability over the windows, and the 95 % range of it over the draws of the scales."""
        each = self.met_by_draw(levels).mean(axis=1)
        order = np.argsort(each)
        total = np.cumsum(self.outlook.weight[order])
        low, high = (float(each[order][min(np.searchsorted(total, q), len(each) - 1)]) for q in (0.025, 0.975))
        return float(self.outlook.weight @ each), low, high


def _months(base: pd.Timestamp, starts: Any) -> np.ndarray:
    index = pd.DatetimeIndex(starts)
    return np.asarray((index.year - base.year) * 12 + index.month - base.month, dtype=float)


def expect(history: MetricHistory, *, seed: int = 1, months: int = AHEAD) -> Expected:
    """Fit the model to a metric's history and return what its next windows will be."""
    y, sampling = history.scaled()
    start = history.frame["window_start"]
    size = MONTHS[history.window]
    base = start.iloc[0] - pd.DateOffset(months=size)
    first = history.origin.to_period("M" if size == 1 else "Q").to_timestamp()
    if first < history.origin:
        first = first + pd.DateOffset(months=size)
    ahead = pd.DatetimeIndex([first + pd.DateOffset(months=size * k) for k in range(months // size)])
    model = Model(_months(base, start), y, sampling)
    last = sampling[-max(12 // size, 1) :]
    outlook = model.outlook(_months(base, ahead), np.full(len(ahead), last.mean()), seed=seed)
    return Expected(history, model, outlook, ahead, base)


@dataclass(frozen=True, eq=False)
class Capability:
    """Targets that a history says the centre can meet in the year to come.

    Attributes
    ----------
    frame : DataFrame
        ``target, covers, metric, level, sense, window, probability, ci_low, ci_high, mean, why``: one figure for the year by
        metric. ``probability`` is that of a window of the year, its range that of the model's scales.
    path : DataFrame
        ``metric, window_start, level, probability, expected, low, high``: the glide path, a level for each window, which each
        meets at the confidence; what is expected of it, and its 80 % range.
    changes : DataFrame
        ``metric, kind, start, before, after, sure``: months in which the level stepped (``kind`` step; ``sure`` its
        probability) and years that the years before did not let expect (``kind`` year; ``sure`` the probability of less).
    targets : tuple of Target
        The figures for the year.
    joint_probability, joint_low, joint_high : float
        That a window meets all levels of the glide path.
    review : Timestamp
        When to set the targets anew.
    clauses : DataFrame
        The contract draft's own targets with their probabilities, empty without one.
    notes : tuple of str
    """

    frame: pd.DataFrame
    path: pd.DataFrame
    changes: pd.DataFrame
    targets: tuple[Target, ...]
    confidence: float
    joint_probability: float
    joint_low: float
    joint_high: float
    review: pd.Timestamp
    clauses: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Provenance
    _expected: tuple[Expected, ...] = ()

    def summary(self) -> pd.DataFrame:
        """Return the recommended targets."""
        return self.frame

    def glide_path(self, metric: str | None = None) -> dict[int, float]:
        """Return a metric's level by month of the year to come, the first is 1, as ``glide:`` of a contract's clause takes it.

        Parameters
        ----------
        metric : str, optional
            None takes the first.
        """
        one = self._one(metric, "glide_path()")
        mine = self.path[self.path["metric"] == one.history.metric]
        size = MONTHS[one.history.window]
        return {1 + size * k: float(x) for k, x in enumerate(mine["level"])}

    def backtest(self, years: Sequence[int] | None = None, *, seed: int = 1) -> pd.DataFrame:
        """Recommend for each past year from the data before it, and compare with what happened.

        Parameters
        ----------
        years : list of int, optional
            Calendar years; None takes every year with two years of history before it.
        seed : int

        Returns
        -------
        DataFrame
            ``year, metric, windows, met, level, met_flat, flat, met_plain, plain, worst, surprise``: windows that met the
            glide path (``level``, its mean), the one figure for the year (``flat``), and the plain quantile of the last 24
            months (``plain``); the largest shortfall of the year, and how far its mean lay from what was expected, in
            standard deviations (better is positive).
        """
        from bposim.targets.capability_backtest import backtest

        return backtest([e.history for e in self._expected], self.confidence, years, seed=seed)

    def plot(self, ax: Any = None, *, metric: str | None = None) -> Any:
        """Draw a metric's history, its glide path and what is expected; returns ``ax``.

        Parameters
        ----------
        ax : Axes, optional
        metric : str, optional
            None takes the first.
        """
        from bposim.targets.plots import plot_capability

        return plot_capability(self, self._one(metric, "plot()"), ax)

    def _one(self, metric: str | None, caller: str) -> Expected:
        known = {e.history.metric: e for e in self._expected}
        if metric is None:
            return self._expected[0]
        if metric not in known:
            raise ParameterError(parameter("metric", caller, f"one of {', '.join(known)}", metric))
        return known[metric]

    def __repr__(self) -> str:
        n = len(self.targets)
        lines = [f"{n} {'target' if n == 1 else 'targets'} from the history before {self._expected[0].history.origin:%Y-%m-%d}, each met by a "
                 f"{self._expected[0].history.window} at {100 * self.confidence:.4g} %; all levels of the glide path together with probability "
                 f"{self.joint_probability:.3f}. Review: {self.review:%B %Y}"]  # fmt: skip
        lines += [
            f"  {r.target}: {r.probability:.3f} [{r.ci_low:.3f}, {r.ci_high:.3f}] ({r.covers}; {r.why})"
            for r in self.frame.itertuples()
        ]
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def said(history: MetricHistory, level: float) -> str:
    """Return a level as read: a percentage or seconds."""
    return f"{100 * level:.4g} %" if history.share else f"{level:.0f} s"


def recommend_from_history(
    source: Any, *, contract: Sequence[Target] = (), confidence: float = 0.95, window: str = "month", metrics: Any = None,
    within: Any = None, counting: str | None = None, until: Any = None, seed: int = 1, problems: Sequence[str] = (),
) -> Capability:  # fmt: skip
    """Recommend targets from a history of metrics; arguments as in :func:`recommend_targets`.

    ``problems`` were found before; they are raised with those found here.
    """
    found, notes = read_metrics(
        source, metrics=metrics, within=within, counting=counting, window=window, until=until, problems=problems
    )
    ahead = [expect(h, seed=seed) for h in found]
    rows, paths, targets = [], [], []
    for e in ahead:
        h = e.history
        flat, path = e.levels(confidence, pooled=True), e.levels(confidence)
        target = Target(metric=h.metric, level=float(flat[0]), sense=">=" if h.higher else "<=", within_s=h.within_s,
                        counting=h.counting, window=window)  # fmt: skip
        middle, low, high = (h.natural(e.outlook.quantile(q)) for q in (0.5, 0.1, 0.9))
        gain = float((path - flat).mean()) * (1 if h.higher else -1)
        worst, best = (path.argmin(), path.argmax()) if h.higher else (path.argmax(), path.argmin())
        better = f", {100 * gain:.1f} points sharper on average" if h.share and gain > 0 else ""
        why = (f"by {window}: {said(h, path[worst])} in {e.starts[worst]:%b} to {said(h, path[best])} in {e.starts[best]:%b}{better}"
               if path[worst] != path[best] else "the season is too weak to tell windows apart")  # fmt: skip
        rows.append((str(target), COVERS[h.metric], h.metric, target.level, target.sense, window, *e.told(flat),
                     float(middle.mean()), why))  # fmt: skip
        targets.append(target)
        paths.append(pd.DataFrame({
            "metric": h.metric, "window_start": e.starts, "level": path, "probability": e.met(path), "expected": middle,
            "low": low, "high": high,
        }))  # fmt: skip
    clauses = _clauses(contract, ahead, confidence, notes)
    changes = pd.concat([changes_of(e.history, e.model) for e in ahead], ignore_index=True)
    review = _review(ahead)
    if len(found) < 3:
        notes.append(
            f"The history tells {len(found)} of the 3 to 5 targets that are customary: record what keeps the others in sight "
            "(speed, abandonment, quality), or give a scenario too."
        )
    short = [h.metric for h in found if len(h.frame) * MONTHS[window] < 24]
    if short:
        notes.append(
            f"{', '.join(short)}: less than two years are known, so the season is mostly a guess and the targets are low."
        )
    notes += changes_told(changes, {h.metric: h for h in found})
    arguments = {"confidence": confidence, "window": window, "until": str(until), "seed": seed}
    parent = getattr(source, "provenance", None)
    made = Provenance("recommend_targets", arguments, (parent,) if isinstance(parent, Provenance) else ())
    return Capability(
        pd.DataFrame(rows, columns=list(FRAME)), pd.concat(paths, ignore_index=True), changes, tuple(targets), confidence,
        *_together(ahead, confidence), review, clauses, tuple(notes), made, tuple(ahead),
    )  # fmt: skip


def _review(ahead: Sequence[Expected]) -> pd.Timestamp:
    """Return when the first of the metrics has stepped with a probability worth a review."""
    rate = max(e.model.step_rate for e in ahead)
    months = np.log1p(-REVIEW_AT) / np.log1p(-rate)
    start: pd.Timestamp = ahead[0].starts[0]
    return start + pd.DateOffset(months=int(np.clip(np.ceil(months), *REVIEW_MONTHS)))


def _together(ahead: Sequence[Expected], confidence: float) -> tuple[float, float, float]:
    """Return the probability that a window meets all levels of the glide path, and its 95 % range.

    Errors of the metrics are tied as their errors one window ahead were, by a normal copula.
    """
    each = [e.met_by_draw(e.levels(confidence)).mean(axis=1) for e in ahead]
    middle = [float(e.outlook.weight @ p) for e, p in zip(ahead, each, strict=True)]
    if len(ahead) == 1:
        return ahead[0].told(ahead[0].levels(confidence))
    errors = pd.concat(
        {
            str(k): pd.Series(
                e.model.innovations() * (1 if e.history.higher else -1), index=e.history.frame["window_start"]
            )
            for k, e in enumerate(ahead)
        },
        axis=1,
    ).dropna()
    # A metric that never moved tells nothing of the others; three windows tell nothing of any.
    tie = errors.corr().fillna(0.0).to_numpy() if len(errors) > 3 else np.zeros((len(ahead), len(ahead)))
    tie = 0.999 * tie
    np.fill_diagonal(tie, 1.0)

    def joint(p: Sequence[float]) -> float:
        z = norm.ppf(np.clip(p, 1e-9, 1 - 1e-9))
        return float(multivariate_normal(np.zeros(len(z)), tie, seed=0).cdf(z))

    ranges = [e.told(e.levels(confidence)) for e in ahead]
    return joint(middle), joint([r[1] for r in ranges]), joint([r[2] for r in ranges])


def _clauses(
    contract: Sequence[Target], ahead: Sequence[Expected], confidence: float, notes: list[str]
) -> pd.DataFrame:
    """Tell the probability of each clause of a draft that is about a metric of the history, over the windows ahead."""
    rows = []
    for target in contract:
        one = next((e for e in ahead if same_metric(e.history, target)), None)
        if one is None:
            notes.append(
                f"{target}: the history does not tell this metric, threshold and window, so no probability is told."
            )
            continue
        p, low, high = one.told(np.full(len(one.starts), target.level))
        level = float(one.levels(confidence, pooled=True, rounded=False)[0])
        advice = "sign" if p >= confidence else "a coin-flip" if 0.2 < p < 0.8 else "do not sign"
        rows.append((str(target), p, low, high, level, advice))
    return pd.DataFrame(rows, columns=["target", "probability", "ci_low", "ci_high", "attainable", "verdict"])


def same_metric(history: MetricHistory, target: Target) -> bool:
    """Tell whether a target is about this metric: threshold, rule, window, all contacts pooled."""
    same = target.metric == history.metric and target.window == history.window and target.contact_type is None
    pooled = target.aggregation == "pooled" and (target.sense == ">=") == history.higher
    return same and pooled and target.within_s == history.within_s and target.counting == history.counting


def history_problems(confidence: Any, unused: dict[str, Any]) -> list[str]:
    """Return what is wrong with arguments that a history cannot follow."""
    problems = []
    if isinstance(confidence, bool) or not (isinstance(confidence, int | float) and 0 < confidence < 1):
        problems.append(parameter("confidence", "recommend_targets()", "between 0 and 1", confidence))
    problems += [
        f"{name}= of recommend_targets() belongs to a scenario; the source is a history. Give the scenario as the source and "
        "the history as history=, or leave it out."
        for name, value in unused.items()
        if value is not None
    ]
    return problems
