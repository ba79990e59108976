"""How many agents: the least number that meets a target, and the square-root rules around it."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import optimize, special

from bposim.erlang._formulas import _finite, _flat, _patient, erlang_c
from bposim.erlang._integrals import ExponentialPatience
from bposim.erlang._measures import COUNTING, numbers, unwrap
from bposim.erlang._special import inverse_b, lower_ratio
from bposim.errors import ParameterError, StabilityError, parameter, require

METRICS = ("service_level", "p_wait", "p_abandon", "asa")
_BORDER = 1e-9


def least_agents(
    arrival_rate: Any,
    handle_time: Any,
    *,
    target: float,
    within: Any = None,
    patience: Any = None,
    lines: Any = None,
    counting: str = "offered",
    max_occupancy: float | None = None,
    metric: str = "service_level",
    fractional: bool = False,
) -> Any:
    """Return the least number of agents that meets a target in steady state.

    Parameters
    ----------
    arrival_rate, handle_time : float or array
        Contacts per time unit and mean handle time in that unit; arrays are searched together.
    target : float
        Share to reach (``metric="service_level"``), or probability or time not to exceed.
    within : float or array, optional
        Acceptable waiting time of the service level.
    patience : None, float, array or Distribution
        None or infinite: Erlang C. A mean, or an exponential distribution: Erlang A. Any other distribution: M/M/n+G.
    lines : float or array, optional
        Agents plus waiting places; needs exponential patience or none.
    counting : str
        Counting rule of the service level, see :class:`QueueMeasures`.
    max_occupancy : float, optional
        A second condition: occupancy of at most this share.
    metric : {"service_level", "p_wait", "p_abandon", "asa"}
        What the target is about.
    fractional : bool
        Return the real number at which the target is just met (to 1e-9), by analytic continuation.

    Returns
    -------
    int, float or array
        One number of agents for each load; the number found meets the target and one agent less does not.

    Raises
    ------
    ParameterError
        An argument breaks its rule, or no number of agents reaches the target: a service level of exactly 1, a
        probability of exactly 0, or more than the lines allow.

    Notes
    -----
    Galloping from the load, then halving; the measures are monotone in the number of agents. Erlang A is searched with
    its incomplete-gamma form and decided by the exact integral wherever the two could differ.

    Examples
    --------
    >>> least_agents(25 / 600, 180, target=0.8, within=20)
    11
    >>> least_agents([50 / 1800, 1000 / 1800], [180, 240], target=0.8, within=20, patience=[120, 180])
    array([  7, 131])
    """
    search = _Search(arrival_rate, handle_time, target, within, patience, lines, counting, max_occupancy, metric)
    if fractional and lines is not None:
        raise ParameterError(parameter("fractional", "least_agents()", "False when lines are given", fractional))
    found = search.whole()
    if fractional:
        found = search.between(found)
    result = found.reshape(search.shape)
    if result.ndim:
        return result if fractional else result.astype(int)
    return float(result) if fractional else int(result)


class _Search:
    """The loads of one call, flattened, and the test that a number of agents meets the target."""

    def __init__(
        self,
        arrival_rate: Any,
        handle_time: Any,
        target: float,
        within: Any,
        patience: Any,
        lines: Any,
        counting: str,
        max_occupancy: float | None,
        metric: str,
    ) -> None:
        caller = "least_agents()"
        problems: list[str] = []
        for name, value, known in (("metric", metric, METRICS), ("counting", counting, COUNTING)):
            if value not in known:
                near = difflib.get_close_matches(str(value), known, n=1)
                way = f"Did you mean {near[0]!r}?" if near else ""
                problems.append(parameter(name, caller, "one of " + ", ".join(known), value, way))
        if metric == "service_level" and within is None:
            problems.append(parameter("within", caller, "given for a service level", within, "Write within=20."))
        if counting == "admitted" and lines is None:
            problems.append(parameter("counting", caller, "'admitted' only with lines", counting))
        problems += self._target_problems(metric, target, caller)
        named = {"arrival_rate": arrival_rate, "handle_time": handle_time}
        if within is not None:
            named["within"] = within
        if lines is not None:
            named["lines"] = lines
        if max_occupancy is not None:
            named["max_occupancy"] = max_occupancy
        self.law: Any = None
        if getattr(patience, "kind", None) == "infinite":
            patience = None
        elif getattr(patience, "kind", None) == "exponential" and not patience.zero:
            patience = patience.mean
        elif hasattr(patience, "shortfall"):
            self.law, patience = patience, None
            if lines is not None:
                rule = "a mean, exponential or None when lines are given"
                way = "Simulate other patience with few lines."
                problems.append(parameter("patience", caller, rule, self.law, way))
        named["patience"] = np.inf if patience is None else patience
        try:
            args = numbers(caller, **named)
        except ParameterError as error:
            raise ParameterError([*problems, *error.problems]) from None
        require(problems, ParameterError)
        self.shape = args["arrival_rate"].shape
        flat = {name: array.ravel() for name, array in args.items()}
        self.rate, self.service, self.mean = flat["arrival_rate"], flat["handle_time"], flat["patience"]
        self.load = self.rate * self.service
        self.within = flat.get("within")
        self.lines = np.floor(flat["lines"]) if "lines" in flat else None
        self.cap = flat.get("max_occupancy")
        self.target, self.metric, self.counting = float(target), metric, counting
        never = 1.0 if self.law is None else self.law.never
        endless = np.isinf(self.mean) & (self.load > 0) & (never > 0) & (self.lines is None)
        self.least = np.where(endless, np.floor(self.load * never) + 1, 0.0)

    @staticmethod
    def _target_problems(metric: str, target: Any, caller: str) -> list[str]:
        if isinstance(target, bool) or not isinstance(target, int | float | np.number) or not math.isfinite(target):
            return [parameter("target", caller, "a finite number", target)]
        if metric == "service_level" and not 0 <= target < 1:
            way = "No finite number of agents serves everybody in time: ask for 0.999." if target == 1 else ""
            return [parameter("target", caller, "a share of at least 0 and below 1", target, way)]
        if metric != "service_level" and not target > 0:
            way = f"No finite number of agents brings {metric} to 0: ask for a small number such as 0.001."
            return [parameter("target", caller, "above 0", target, way if target == 0 else "")]
        return []

    def whole(self) -> np.ndarray:
        """Return the least whole number for each load."""
        size = len(self.load)
        top = self.lines if self.lines is not None else np.full(size, np.inf)
        step = np.maximum(1.0, np.ceil(np.sqrt(self.load) / 2))
        high = np.minimum(np.maximum(self.least, np.ceil(self.load)), top)
        low = self.least - 1.0
        todo = np.arange(size)
        first = np.zeros(size, dtype=bool)
        stride = step.copy()
        while len(todo):
            good = self.meets(todo, high[todo])
            first[todo[good]] = True
            bad = todo[~good]
            stuck = bad[high[bad] >= top[bad]]
            if len(stuck):
                raise ParameterError(
                    f"The target {self.target:g} of least_agents() cannot be reached with lines={top[stuck[0]]:g} and "
                    f"a load of {self.load[stuck[0]]:g} Erlangs, even with an agent on every line. Add lines."
                )
            low[bad] = high[bad]
            high[bad] = np.minimum(high[bad] + stride[bad], top[bad])
            stride[bad] *= 2
            todo = bad
        stride = step.copy()
        todo = np.flatnonzero(high - low > 1)
        todo = todo[low[todo] < self.least[todo]]
        while len(todo):
            probe = np.maximum(high[todo] - stride[todo], self.least[todo])
            good = self.meets(todo, probe)
            high[todo[good]] = probe[good]
            low[todo[~good]] = probe[~good]
            stride[todo] *= 2
            todo = todo[good & (probe > self.least[todo])]
        while len(todo := np.flatnonzero(high - low > 1)):
            mid = np.floor((low[todo] + high[todo]) / 2)
            good = self.meets(todo, mid)
            high[todo[good]] = mid[good]
            low[todo[~good]] = mid[~good]
        return high

    def between(self, whole: np.ndarray) -> np.ndarray:
        """Return the real number just below each whole one at which the target begins to be met."""
        high = whole.astype(float)
        low = np.maximum(high - 1.0, 0.0)
        for _ in range(60):
            todo = np.flatnonzero(high - low > 1e-10 * np.maximum(high, 1.0))
            if not len(todo):
                break
            mid = (low[todo] + high[todo]) / 2
            good = self.meets(todo, mid)
            high[todo[good]] = mid[good]
            low[todo[~good]] = mid[~good]
        return high

    def meets(self, which: np.ndarray, agents: np.ndarray) -> np.ndarray:
        """Tell for each load of ``which`` whether this many agents meet the target and the cap."""
        value, busy = self._values(which, agents)
        with np.errstate(invalid="ignore"):
            if self.metric == "service_level":
                # 0/0 (nobody is answered) meets no service level but 0.
                good = (value >= self.target) | (self.target == 0)
            else:
                good = value <= self.target
            if self.cap is not None:
                good &= np.where(agents > 0, busy <= self.cap[which], False)
        # Nobody comes: nobody is needed.
        return good | (self.load[which] == 0)

    def _values(self, which: np.ndarray, agents: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        value, busy = np.full(len(which), np.nan), np.full(len(which), np.nan)
        if self.lines is not None or self.law is not None:
            return self._exactly(which, agents, np.ones(len(which), dtype=bool), value, busy)
        endless = np.isinf(self.mean[which])
        stable = endless & ((self.load[which] < agents) | (self.load[which] == 0))
        if np.any(stable):
            k = which[stable]
            limit = None if self.within is None else self.within[k]
            q = _flat(erlang_c(self.rate[k], self.service[k], agents[stable], within=limit))
            value[stable] = q[self._name()]
            busy[stable] = q["occupancy"]
        patient = ~endless
        if np.any(patient):
            quick = patient & (agents >= 1) & (self.load[which] > 0) & (self.metric != "asa")
            if np.any(quick):
                k = which[quick]
                limit = None if self.within is None else self.within[k]
                found = _gamma_form(self.rate[k], self.service[k], agents[quick], self.mean[k], limit)
                value[quick], busy[quick] = found[self._name()], found["occupancy"]
            # `not (… > …)` is true for nan, which the quick form returns where it cannot be trusted.
            with np.errstate(invalid="ignore"):
                unsure = patient & ~(np.abs(value - self.target) > _BORDER)
                if self.cap is not None:
                    unsure |= patient & ~(np.abs(busy - self.cap[which]) > _BORDER)
            value, busy = self._exactly(which, agents, unsure, value, busy)
        return value, busy

    def _exactly(
        self, which: np.ndarray, agents: np.ndarray, take: np.ndarray, value: np.ndarray, busy: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        for i in np.flatnonzero(take):
            k, n = which[i], float(agents[i])
            limit = None if self.within is None else float(self.within[k])
            rate, service, mean = float(self.rate[k]), float(self.service[k]), float(self.mean[k])
            try:
                if self.lines is not None:
                    q = _finite(rate, service, n, mean, float(self.lines[k]), limit)
                else:
                    q = _patient(rate, service, n, self.law or ExponentialPatience(mean), limit)
            except StabilityError:
                continue
            value[i], busy[i] = q[self._name()], q["occupancy"]
        return value, busy

    def _name(self) -> str:
        return self.counting if self.metric == "service_level" else self.metric


def _gamma_form(
    rate: np.ndarray, service: np.ndarray, n: np.ndarray, mean: np.ndarray, within: np.ndarray | None
) -> dict[str, np.ndarray]:
    """Return Erlang A by incomplete gamma functions (Palm, 1957): many loads at once, with ~1e-11 absolute error."""
    load = rate * service
    below = inverse_b(n - 1, load)
    shape, start = n / service * mean, rate * mean
    with np.errstate(over="ignore", invalid="ignore", divide="ignore"):
        busy = load / n * lower_ratio(shape, start)
        reached = start / (shape + 1) * lower_ratio(shape + 1, start)
        total = below + busy
        never = np.isinf(below)
        served = np.where(never, 1.0, (below + reached) / total)
        wait = np.where(never, 0.0, busy / total)
        result = {"p_wait": wait, "p_abandon": 1 - served, "p_block": np.zeros_like(load)}
        result["occupancy"] = load * served / n
        if within is None:
            return result
        stays = np.exp(-within / mean)
        fall = np.exp(start * -np.expm1(-within / mean) - n / service * within)
        rest = start * stays
        later = np.where(never, 0.0, fall * (load / n) * lower_ratio(shape, rest) / total)
        lost = np.where(never, 0.0, fall * rest / (shape + 1) * lower_ratio(shape + 1, rest) / total)
        early, late = served - lost, stays * later
        return result | {
            "offered": early,
            "excl_T": early / (early + late),
            "credit_T": 1 - late,
            "answered": early / served,
            "virtual": 1 - later,
        }


def square_root_staffing(load: Any, beta: Any) -> Any:
    """Return load + β √load, the agents for a quality of service β; round up for whole agents.

    Examples
    --------
    >>> square_root_staffing(100.0, 0.5)
    105.0
    """
    args = numbers("square_root_staffing()", load=load, beta=beta)
    return unwrap(args["load"] + args["beta"] * np.sqrt(args["load"]))


def square_root_p_wait(beta: Any, *, patience_ratio: Any = None) -> Any:
    """Return the limit of P(wait) in a large group of load + β √load agents.

    Parameters
    ----------
    beta : float or array
        Above 0 unless callers abandon.
    patience_ratio : float or array, optional
        Mean patience / mean handle time; None for callers who never abandon.

    Notes
    -----
    Halfin & Whitt (1981): [1 + β Φ(β)/φ(β)]⁻¹; Garnett, Mandelbaum & Reiman (2002): [1 + h(β√r)/(√r h(−β))]⁻¹ with
    r the patience ratio and h the hazard of the normal law.

    Examples
    --------
    >>> round(square_root_p_wait(1.0), 6), round(square_root_p_wait(0.0, patience_ratio=1.0), 6)
    (0.223361, 0.5)
    """
    extra = {} if patience_ratio is None else {"patience_ratio": patience_ratio}
    args = numbers("square_root_p_wait()", beta=beta, **extra)
    b = args["beta"]
    if patience_ratio is None:
        if np.any(b <= 0):
            raise StabilityError("Without abandonment beta must be above 0: at the load there is no steady state.")
        return unwrap(1 / (1 + b * _inverse_hazard(-b)))
    root = np.sqrt(args["patience_ratio"])
    return unwrap(1 / (1 + _inverse_hazard(-b) / (root * _inverse_hazard(b * root))))


def _inverse_hazard(x: np.ndarray) -> np.ndarray:
    """(1 − Φ(x)) / φ(x), without underflow."""
    return np.sqrt(np.pi / 2) * special.erfcx(x / np.sqrt(2))


def square_root_beta(p_wait: Any, *, patience_ratio: Any = None) -> Any:
    """Return the β at which a large group makes this share of contacts wait: :func:`square_root_p_wait` inverted.

    Examples
    --------
    >>> round(square_root_beta(0.2), 6)
    1.061516
    """
    extra = {} if patience_ratio is None else {"patience_ratio": patience_ratio}
    args = numbers("square_root_beta()", p_wait=p_wait, **extra)
    ratio = args.get("patience_ratio", np.full(args["p_wait"].shape, np.nan))

    def solve(share: float, r: float) -> float:
        gap: Callable[[float], float]
        if np.isnan(r):
            return float(optimize.brentq(lambda b: square_root_p_wait(b) - share, 1e-12, 40.0, xtol=1e-13))
        gap = lambda b: square_root_p_wait(b, patience_ratio=r) - share  # noqa: E731
        low, high = -1.0, 1.0
        while gap(low) < 0 and low > -30:
            low *= 2
        while gap(high) > 0 and high < 40:
            high *= 2
        return float(optimize.brentq(gap, low, high, xtol=1e-13))

    pairs = zip(args["p_wait"].ravel(), ratio.ravel(), strict=True)
    return unwrap(np.array([solve(float(share), float(r)) for share, r in pairs]).reshape(args["p_wait"].shape))


def allen_cunneen(arrival_rate: Any, service_rate: Any, cv_arrival: Any, cv_service: Any, agents: Any) -> Any:
    """Return the approximate mean queue of G/G/n: Erlang C's, times the mean of the squared variations.

    Notes
    -----
    Lq = C ρ/(1 − ρ) (ca² + cs²)/2 (Allen, 1990); exact for M/M/n and M/G/1.

    Examples
    --------
    >>> round(allen_cunneen(0.9, 1, 1, 1.5, 1), 4)
    13.1625
    """
    args = numbers(
        "allen_cunneen()", arrival_rate=arrival_rate, service_rate=service_rate, cv_arrival=cv_arrival,
        cv_service=cv_service, agents=agents,
    )  # fmt: skip
    queue = erlang_c(args["arrival_rate"], 1 / args["service_rate"], args["agents"]).mean_queue
    return unwrap(queue * (args["cv_arrival"] ** 2 + args["cv_service"] ** 2) / 2)
