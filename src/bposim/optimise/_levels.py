"""The expected level of a queue whose rate is random, and the least agents for it: many intervals at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bposim.erlang import _staffing as _erlang
from bposim.erlang import erlang_a, erlang_c
from bposim.errors import OptimiseError

METHODS = ("erlang-a", "erlang-c", "square-root")
#: Metrics a formula can answer, and the counting rules of the service level.
METRICS = ("service_level", "abandonment", "asa", "mean_wait")
RULES = ("offered", "excl_T", "credit_T", "answered")
_EDGE = 1e-10
_MOST = 1e7


@dataclass(frozen=True)
class Cases:
    """Queues to staff, one a row.

    Attributes
    ----------
    rates : ndarray, shape (n_cases, n_classes)
        Contacts per second in equally likely classes.
    handle, patience : ndarray, shape (n_cases,)
        Mean seconds; infinite patience for callers who stay.
    """

    rates: np.ndarray
    handle: np.ndarray
    patience: np.ndarray

    def take(self, which: np.ndarray) -> Cases:
        return Cases(self.rates[which], self.handle[which], self.patience[which])

    @property
    def load(self) -> np.ndarray:
        """Mean workload in Erlangs."""
        return self.rates.mean(axis=1) * self.handle


@dataclass(frozen=True)
class Goal:
    """What a formula must reach: a metric, its level, its threshold, its counting rule."""

    metric: str
    level: float
    within: float | None
    counting: str
    sense: str


def least(cases: Cases, goal: Goal | None, method: str, max_occupancy: float | None) -> np.ndarray:
    """Return the least whole number of agents for each case, int, shape (n_cases,); 0 where nobody comes."""
    distinct = np.round(np.column_stack([cases.rates * 1e9, cases.handle * 1e6, cases.patience * 1e3]), 0)
    _, first, back = np.unique(distinct, axis=0, return_index=True, return_inverse=True)
    return _search(cases.take(first), goal, method, max_occupancy)[back.ravel()]


def _search(cases: Cases, goal: Goal | None, method: str, cap: float | None) -> np.ndarray:
    """Gallop from the load, then halve; a level is taken to rise with every agent."""
    load = cases.load
    busy = load > 0
    high = np.where(busy, np.maximum(np.ceil(load - 1e-9), 1.0), 0.0)
    if goal is None:
        need = high if cap is None else np.where(busy, np.maximum(np.ceil(load / cap - 1e-9), 1.0), 0.0)
        return need.astype(int)
    low = np.zeros_like(high)
    step = np.maximum(1.0, np.ceil(np.sqrt(load) / 2))
    todo = np.flatnonzero(busy)
    while len(todo):
        good = meets(cases.take(todo), high[todo], goal, method, cap)
        todo = todo[~good]
        low[todo] = high[todo]
        high[todo] += step[todo]
        step[todo] *= 2
        if np.any(high > _MOST):
            raise OptimiseError(
                f"No number of agents reaches {goal.metric} {goal.sense} {goal.level:g}. "
                f"Ask for a level that a finite number can reach."
            )
    while len(todo := np.flatnonzero(high - low > 1)):
        mid = np.floor((low[todo] + high[todo]) / 2)
        good = meets(cases.take(todo), mid, goal, method, cap)
        high[todo[good]] = mid[good]
        low[todo[~good]] = mid[~good]
    return high.astype(int)


def meets(cases: Cases, agents: np.ndarray, goal: Goal, method: str, cap: float | None) -> np.ndarray:
    """Tell for each case whether this many agents reach the goal and keep the occupancy cap."""
    top, bottom, carried = _parts(cases, agents, goal, method)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = top / bottom
        good = value >= goal.level - _EDGE if goal.sense == ">=" else value <= goal.level * (1 + _EDGE) + 1e-15
        if cap is not None:
            good &= carried <= cap * agents * (1 + _EDGE)
    return good


def _parts(cases: Cases, agents: np.ndarray, goal: Goal, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numerator and denominator of the metric and the carried load, each a mean over the classes."""
    shape = cases.rates.shape
    rate = cases.rates.ravel()
    handle, n = (np.repeat(v, shape[1]) for v in (cases.handle, agents))
    patience = np.full(len(rate), np.inf) if method == "erlang-c" else np.repeat(cases.patience, shape[1])
    if method == "square-root":
        share = _square_root(rate, handle, n, goal)
    else:
        share = _formula(rate, handle, n, patience, goal)
    top, bottom, kept = (np.where(rate > 0, rate * part, 0.0).reshape(shape).mean(axis=1) for part in share)
    return top, bottom, kept * cases.handle


def _formula(
    rate: np.ndarray, handle: np.ndarray, n: np.ndarray, patience: np.ndarray, goal: Goal
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per offered contact: numerator, denominator, share answered."""
    top, bottom, kept = np.zeros_like(rate), np.ones_like(rate), np.ones_like(rate)
    endless = np.isinf(patience)
    if goal.metric in ("asa", "mean_wait"):
        top[endless] = np.inf
    stable = endless & (rate > 0) & (rate * handle < n)
    if stable.any():
        q = erlang_c(rate[stable], handle[stable], n[stable], within=goal.within)
        if goal.metric == "service_level":
            top[stable] = (q.service_level or {})["offered"]
        elif goal.metric != "abandonment":
            top[stable] = q.mean_wait
    short = np.flatnonzero(~endless & (rate > 0))
    if not len(short):
        return top, bottom, kept
    arguments = (rate[short], handle[short], n[short], patience[short])
    if goal.metric == "asa":
        q = erlang_a(*arguments[:3], patience=arguments[3])
        kept[short] = bottom[short] = 1 - q.p_abandon
        top[short] = q.asa * (1 - q.p_abandon)
        return top, bottom, kept
    within = None if goal.within is None else np.full(len(short), goal.within)
    found = _erlang._gamma_form(*arguments, within)
    names = ("offered", goal.counting, "p_abandon") if goal.metric == "service_level" else ("p_abandon",)
    unsure = ~np.isfinite(sum(found[name] for name in names))
    if unsure.any():
        again = [a[unsure] for a in arguments]
        q = erlang_a(*again[:3], patience=again[3], within=goal.within)
        exact = {"p_abandon": q.p_abandon} | (dict(q.service_level) if q.service_level else {})
        for name in names:
            found[name] = np.array(found[name])
            found[name][unsure] = exact[name]
    kept[short] = 1 - found["p_abandon"]
    if goal.metric == "abandonment":
        top[short] = found["p_abandon"]
    elif goal.metric == "mean_wait":
        # Little's law for the queue: the abandonment rate is (number waiting) / (mean patience).
        top[short] = found["p_abandon"] * arguments[3]
    elif goal.counting == "credit_T":
        top[short] = found["credit_T"]
    else:
        early = found["offered"]
        with np.errstate(invalid="ignore", divide="ignore"):
            base = np.where(early > 0, early / found[goal.counting], 1.0)
        top[short], bottom[short] = early, base if goal.counting != "offered" else 1.0
    return top, bottom, kept


def _square_root(
    rate: np.ndarray, handle: np.ndarray, n: np.ndarray, goal: Goal
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Halfin and Whitt's limit: P(wait) = 1 / (1 + β Φ(β)/φ(β)), the wait beyond it exponential."""
    load = rate * handle
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = (n - load) / np.sqrt(load)
        delayed = 1 / (1 + beta * np.sqrt(2 * np.pi) * np.exp(beta**2 / 2) * special.ndtr(beta))
    ones = np.ones_like(rate)
    alive = beta > 0
    if goal.metric == "service_level":
        tail = np.exp(-np.where(alive, n - load, 0.0) / handle * (goal.within or 0.0))
        return np.where(alive, 1 - delayed * tail, 0.0), ones, ones
    with np.errstate(divide="ignore"):
        return np.where(alive, delayed * handle / np.where(alive, n - load, 1.0), np.inf), ones, ones
