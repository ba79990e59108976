"""The expected level of a queue whose rate is random, and the least agents for it: many intervals at once."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from bposim.errors import OptimiseError
from bposim.optimise import _formulas
from bposim.optimise._formulas import Goal

METHODS = ("erlang-a", "erlang-c", "mmng", "square-root", "simulation")
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
        Contacts per second in equally likely classes, which a formula is asked for.
    handle, patience : ndarray, shape (n_cases,)
        Mean seconds; infinite patience for callers who stay.
    weights : ndarray like ``rates``, or None
        Contacts that come in each class; None where they come at the rates themselves.
    laws : ndarray of Distribution, shape (n_cases,), or None
        Patience, for M/M/n+G.
    places, trunks : ndarray, shape (n_cases,), or None
        Contacts that may wait; contacts that may be on the line in all. Infinite without limit.
    """

    rates: np.ndarray
    handle: np.ndarray
    patience: np.ndarray
    weights: np.ndarray | None = None
    laws: np.ndarray | None = None
    places: np.ndarray | None = None
    trunks: np.ndarray | None = None

    def take(self, which: np.ndarray) -> Cases:
        """Return some of the cases."""
        known = {f.name: v for f in fields(self) if (v := getattr(self, f.name)) is not None}
        return replace(self, **{name: v[which] for name, v in known.items()})

    @property
    def load(self) -> np.ndarray:
        """Mean workload in Erlangs."""
        return self.rates.mean(axis=1) * self.handle

    @property
    def slow(self) -> bool:
        """Whether each evaluation takes milliseconds."""
        return self.laws is not None

    def distinct(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the first case of each kind, and the kind of each case."""
        columns = [self.rates * 1e9, self.handle * 1e6, self.patience * 1e3]
        columns += [] if self.weights is None else [self.weights * 1e9]
        if self.laws is not None:
            seen: dict[Any, int] = {}
            columns.append(np.array([seen.setdefault(law, len(seen)) for law in self.laws]))
        if self.places is not None and self.trunks is not None:
            columns += [self.places, self.trunks]
        _, first, back = np.unique(
            np.round(np.column_stack(columns), 0), axis=0, return_index=True, return_inverse=True
        )
        return first, back.ravel()


def least(cases: Cases, goal: Goal | None, method: str, max_occupancy: float | None) -> np.ndarray:
    """Return the least whole number of agents for each case, int, shape (n_cases,); 0 where nobody comes."""
    first, back = cases.distinct()
    return _search(cases.take(first), goal, method, max_occupancy)[back]


def fraction(cases: Cases, need: np.ndarray, goal: Goal | None, method: str, cap: float | None) -> np.ndarray:
    """Return the real number of agents, at most ``need`` and above ``need − 1``, at which the goal begins to be met.

    Between the two whole numbers the level is taken as a straight line (waits: their inverse).
    """
    if goal is None:
        return np.where(cases.load > 0, cases.load / (cap or 1.0), 0.0)
    first, back = cases.distinct()
    return _between(cases.take(first), need[first].astype(float), goal, method, cap)[back]


def _between(cases: Cases, high: np.ndarray, goal: Goal, method: str, cap: float | None) -> np.ndarray:
    result = high.copy()
    some = np.flatnonzero(high > 0)
    sides = []
    for n in (high[some] - 1, high[some]):
        value, busy = np.full(len(n), np.nan), np.full(len(n), np.inf)
        value[n == 0] = {"service_level": 0.0, "abandonment": 1.0}.get(goal.metric, np.inf)
        k = np.flatnonzero(n > 0)
        if len(k):
            top, bottom, carried = _parts(cases.take(some[k]), n[k], goal, method)
            with np.errstate(invalid="ignore", divide="ignore"):
                value[k], busy[k] = top / bottom, carried / n[k]
        sides.append((value, busy))
    (less, fuller), (met, emptier) = sides
    want = goal.level
    if goal.metric in ("asa", "mean_wait"):
        with np.errstate(divide="ignore"):
            less, met, want = 1 / less, 1 / met, 1 / want
    with np.errstate(invalid="ignore", divide="ignore"):
        part = np.clip((want - less) / (met - less), 0.0, 1.0)
        part = np.where(np.isnan(part), 1.0, part)
        if cap is not None:
            # Occupancy falls as 1/n, nearly.
            lower, upper = 1 / fuller, 1 / emptier
            crowded = np.clip((1 / cap - lower) / (upper - lower), 0.0, 1.0)
            part = np.maximum(part, np.where(np.isnan(crowded), 0.0, crowded))
    result[some] = high[some] - 1 + part
    return result


def _search(cases: Cases, goal: Goal | None, method: str, cap: float | None) -> np.ndarray:
    """Gallop up from the load, then halve; a level is taken to rise with every agent."""
    load = cases.load
    busy = load > 0
    high = np.where(busy, np.maximum(np.ceil(load - 1e-9), 1.0), 0.0)
    if goal is None:
        need = high if cap is None else np.where(busy, np.maximum(np.ceil(load / cap - 1e-9), 1.0), 0.0)
        return need.astype(int)
    low = np.zeros_like(high)
    step = np.maximum(1.0, np.ceil(np.sqrt(load) / 2))
    if cases.slow and method != "square-root":
        near = _search(replace(cases, laws=None), goal, "erlang-a", cap)
        high, step = np.maximum(near, 1).astype(float), np.ones_like(step)
    most = np.full(len(high), _MOST) if cases.trunks is None else np.minimum(np.floor(cases.trunks), _MOST)
    high = np.where(busy, np.minimum(high, np.maximum(most, 1.0)), 0.0)
    # Up from those that miss, down from those that meet, until each number is between one that does and one that does not.
    todo, at_first = np.flatnonzero(busy), True
    falls = np.zeros(len(high), dtype=bool)
    stride = step.copy()
    while len(todo):
        good = meets(cases.take(todo), high[todo], goal, method, cap)
        if at_first and cases.slow:
            falls[todo[good]] = True
        at_first = False
        todo = todo[~good]
        low[todo] = high[todo]
        if np.any(high[todo] >= most[todo]):
            _unreachable(goal, cases.trunks)
        high[todo] = np.minimum(high[todo] + stride[todo], most[todo])
        stride[todo] *= 2
    todo, stride = np.flatnonzero(falls & (high > 1)), step.copy()
    while len(todo):
        probe = np.maximum(high[todo] - stride[todo], 1.0)
        good = meets(cases.take(todo), probe, goal, method, cap)
        high[todo[good]], low[todo[~good]] = probe[good], probe[~good]
        stride[todo] *= 2
        todo = todo[good & (probe > 1)]
    while len(todo := np.flatnonzero(high - low > 1)):
        mid = np.floor((low[todo] + high[todo]) / 2)
        good = meets(cases.take(todo), mid, goal, method, cap)
        high[todo[good]], low[todo[~good]] = mid[good], mid[~good]
    return high.astype(int)


def _unreachable(goal: Goal, trunks: np.ndarray | None) -> None:
    way = "Ask for a level that a finite number can reach."
    if trunks is not None and np.isfinite(trunks).any():
        way = "An agent on every line does not reach it: raise the scenario's trunks, or ask for less."
    raise OptimiseError(f"No number of agents reaches {goal.metric} {goal.sense} {goal.level:g}. {way}")


def meets(cases: Cases, agents: np.ndarray, goal: Goal, method: str, cap: float | None) -> np.ndarray:
    """Tell for each case whether this many agents reach the goal and keep the occupancy cap."""
    top, bottom, carried = _parts(cases, agents, goal, method)
    with np.errstate(invalid="ignore", divide="ignore", over="ignore"):
        value = top / bottom
        good = value >= goal.level - _EDGE if goal.sense == ">=" else value <= goal.level * (1 + _EDGE) + 1e-15
        if cap is not None:
            good &= carried <= cap * agents * (1 + _EDGE)
    return good


def expected(cases: Cases, agents: np.ndarray, goal: Goal, method: str) -> np.ndarray:
    """Return the expected level of each case with this many agents, from 1."""
    top, bottom, _ = _parts(cases, agents, goal, method)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(top / bottom)


def _parts(cases: Cases, agents: np.ndarray, goal: Goal, method: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return numerator and denominator of the metric and the carried load, each a mean over the classes."""
    shape = cases.rates.shape
    rate = cases.rates.ravel()
    weight = rate if cases.weights is None else cases.weights.ravel()
    handle, n = (np.repeat(v, shape[1]) for v in (cases.handle, agents))
    patience = np.full(len(rate), np.inf) if method == "erlang-c" else np.repeat(cases.patience, shape[1])
    if method == "square-root":
        share = _formulas.square_root(rate, handle, n, goal)
    elif cases.places is not None and cases.trunks is not None:
        places, trunks = (np.repeat(v, shape[1]) for v in (cases.places, cases.trunks))
        share = _formulas.limited(rate, handle, n, patience, places, trunks, goal)
    elif cases.laws is not None:
        share = _formulas.general(rate, handle, n, np.repeat(cases.laws, shape[1]), goal)
    else:
        share = _formulas.erlang(rate, handle, n, patience, goal)
    if cases.weights is not None:
        # Contacts that come while there is no load yet are served at once.
        first = float(goal.metric == "service_level")
        share = (np.where(rate > 0, share[0], first), np.where(rate > 0, share[1], 1.0), share[2])
    top, bottom = (np.where(weight > 0, weight * part, 0.0).reshape(shape).mean(axis=1) for part in share[:2])
    kept = np.where(rate > 0, rate * share[2], 0.0).reshape(shape).mean(axis=1)
    return top, bottom, kept * cases.handle
