"""Exact steady states of M/M/n/n (B), M/M/n (C), M/M/n+M (A), M/M/n+G and M/M/n/K+M queues.

Agents may be fractional everywhere: the loss probability is continued by the incomplete gamma function (Jagerman,
1974), and the states above n follow from it. At whole numbers this is the queue itself.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from scipy import special

from bposim.erlang._integrals import ExponentialPatience, regions
from bposim.erlang._measures import QueueMeasures, numbers, unwrap
from bposim.erlang._special import below_all_busy, inverse_b
from bposim.errors import ParameterError, StabilityError, parameter

_WAY_OUT = "Add agents, give callers a patience (erlang_a) or limit the lines (mmnkm)."


def erlang_b(arrival_rate: Any, handle_time: Any, agents: Any) -> QueueMeasures:
    """Solve the loss system M/G/n/n: a contact that finds all agents busy is lost.

    Parameters
    ----------
    arrival_rate : float or array
        Contacts per time unit.
    handle_time : float or array
        Mean handle time, in the same unit.
    agents : float or array
        Agents, from 0; a fraction is answered by analytic continuation.

    Returns
    -------
    QueueMeasures
        ``p_block``, ``occupancy``, ``carried_load``; a loss system has no queue, so the rest is None.

    Raises
    ------
    ParameterError
        An argument breaks its rule; all are named.

    Notes
    -----
    1/B = ∫ e^-t (1 + t/a)^n dt = e^a a^-n Γ(n+1, a) (Erlang, 1917; Jagerman, 1974).

    Examples
    --------
    >>> round(erlang_b(123, 1, 132).p_block, 9)
    0.031242821
    """
    args = numbers("erlang_b()", arrival_rate=arrival_rate, handle_time=handle_time, agents=agents)
    load = args["arrival_rate"] * args["handle_time"]
    inverse = inverse_b(args["agents"], load)
    carried = np.where(load > 0, load * (1 - 1 / inverse), 0.0)
    small = inverse < 2
    if np.any(small):
        below = below_all_busy(args["agents"], load)
        carried = np.where(small, load * _ratio(below, inverse), carried)
    return QueueMeasures(
        p_block=unwrap(1 / inverse),
        occupancy=unwrap(_ratio(carried, args["agents"])),
        carried_load=unwrap(carried),
    )


def erlang_c(arrival_rate: Any, handle_time: Any, agents: Any, *, within: Any = None) -> QueueMeasures:
    """Solve the delay system M/M/n: everybody waits until served.

    Parameters
    ----------
    arrival_rate, handle_time, agents : float or array
        As for :func:`erlang_b`.
    within : float or array, optional
        Acceptable waiting time, in the same unit; None leaves ``service_level`` out.

    Returns
    -------
    QueueMeasures
        Nobody abandons or is blocked, so the counting rules agree.

    Raises
    ------
    StabilityError
        The load reaches the number of agents: the queue grows for ever.

    Notes
    -----
    C = n B / (n − a (1 − B)); P(W > t) = C e^-(nμ−λ)t (Erlang, 1917).

    Examples
    --------
    100 contacts in 30 minutes, 3 minutes each, 14 agents, threshold 20 seconds:

    >>> q = erlang_c(100 / 1800, 180, 14, within=20)
    >>> round(q.p_wait, 6), round(q.service_level["offered"], 6), round(q.mean_wait / 60, 6)
    (0.174132, 0.88835, 0.130599)
    """
    named = {"arrival_rate": arrival_rate, "handle_time": handle_time, "agents": agents}
    args = numbers("erlang_c()", **named, **({} if within is None else {"within": within}))
    rate, service, n = args["arrival_rate"], args["handle_time"], args["agents"]
    load = rate * service
    unstable = (load >= n) & (load > 0)
    if np.any(unstable):
        first = np.flatnonzero(unstable.ravel())[0]
        a, bad = load.ravel()[first], n.ravel()[first]
        raise StabilityError(
            f"{a:g} Erlangs offered to {bad:g} agents have no steady state with Erlang C: the queue grows for ever. "
            + _WAY_OUT
        )
    spare = n - load
    # With I = 1/B: C = n / (a + (n − a) I), 1 − C = (n − a) (below all busy) / (…): every term is positive.
    below = below_all_busy(n, load)
    empty = np.isinf(below)
    finite = np.where(empty, 0.0, below)
    busy = np.where(empty, 0.0, _ratio(n, n + spare * finite))
    free = np.where(empty, 1.0, _ratio(spare * finite, n + spare * finite))
    wait = _ratio(busy * service, spare)
    level = None
    if within is not None:
        share = unwrap(free - busy * np.expm1(-spare / service * args["within"]))
        level = {rule: share for rule in ("offered", "excl_T", "credit_T", "answered", "virtual")}
    return QueueMeasures(
        p_wait=unwrap(busy),
        p_abandon=unwrap(np.zeros_like(load)),
        p_block=unwrap(np.zeros_like(load)),
        mean_wait=unwrap(wait),
        asa=unwrap(wait),
        mean_queue=unwrap(rate * wait),
        occupancy=unwrap(_ratio(load, n)),
        carried_load=unwrap(load * 1.0),
        service_level=level,
    )


def erlang_a(arrival_rate: Any, handle_time: Any, agents: Any, *, patience: Any, within: Any = None) -> QueueMeasures:
    """Solve M/M/n+M: a waiting contact abandons after an exponential patience.

    Parameters
    ----------
    arrival_rate, handle_time, agents : float or array
        As for :func:`erlang_b`.
    patience : float or array
        Mean patience, in the same unit; infinity gives Erlang C.
    within : float or array, optional
        Acceptable waiting time.

    Raises
    ------
    StabilityError
        Only with infinite patience.

    Notes
    -----
    Palm (1957); Garnett, Mandelbaum & Reiman (2002). The integrals of Zeltyn & Mandelbaum (2005) are taken by
    Gauss–Legendre panels around their peak, each part positive and scaled, so that shares of 1e-60 keep their digits.

    Examples
    --------
    >>> q = erlang_a(100 / 1800, 180, 13, patience=300, within=20)
    >>> round(q.p_wait, 6), round(q.p_abandon, 6), round(q.service_level["offered"], 6), round(q.occupancy, 6)
    (0.225797, 0.024963, 0.858178, 0.750028)
    """
    if getattr(patience, "kind", None) == "exponential" and not getattr(patience, "zero", 0.0):
        patience = patience.mean
    named = {"arrival_rate": arrival_rate, "handle_time": handle_time, "agents": agents, "patience": patience}
    args = numbers("erlang_a()", **named, **({} if within is None else {"within": within}))

    def solve(rate: float, service: float, n: float, mean: float, limit: float | None) -> dict[str, float]:
        if np.isinf(mean):
            return _flat(erlang_c(rate, service, n, within=limit))
        return _patient(rate, service, n, ExponentialPatience(mean), limit)

    return _each(solve, args, within is not None)


def mmng(arrival_rate: Any, handle_time: Any, agents: Any, *, patience: Any, within: Any = None) -> QueueMeasures:
    """Solve M/M/n+G: a waiting contact abandons after a patience of any distribution.

    Parameters
    ----------
    arrival_rate, handle_time, agents : float or array
        As for :func:`erlang_b`, in the time unit of the patience (seconds for one read from a scenario).
    patience : Distribution
        Any of :mod:`bposim.distributions`; a mass at zero balks as soon as it would have to wait.
    within : float or array, optional
        Acceptable waiting time.

    Raises
    ------
    StabilityError
        The load of those who never abandon reaches the number of agents.

    Notes
    -----
    Baccelli & Hebuterne (1981); Zeltyn & Mandelbaum (2005), equations for J, J1 and J_H.

    Examples
    --------
    >>> from bposim.distributions import deterministic
    >>> q = mmng(102, 1, 100, patience=deterministic(1.0), within=0.1)
    >>> round(q.p_wait, 8), round(q.p_abandon, 8), round(q.mean_wait, 8)
    (0.96902713, 0.02190722, 0.64370815)
    """
    if not (hasattr(patience, "shortfall") and hasattr(patience, "quantile")):
        rule = "a distribution"
        way = "For an exponential patience use erlang_a(), else bposim.distributions.distribution({...})."
        raise ParameterError(parameter("patience", "mmng()", rule, patience, way))
    named = {"arrival_rate": arrival_rate, "handle_time": handle_time, "agents": agents}
    args = numbers("mmng()", **named, **({} if within is None else {"within": within}))

    def solve(rate: float, service: float, n: float, limit: float | None) -> dict[str, float]:
        return _patient(rate, service, n, patience, limit)

    return _each(solve, args, within is not None)


def mmnkm(
    arrival_rate: Any, handle_time: Any, agents: Any, *, patience: Any, lines: Any, within: Any = None
) -> QueueMeasures:
    """Solve M/M/n/K+M: a finite number of lines and exponential patience.

    Parameters
    ----------
    arrival_rate, handle_time, agents : float or array
        As for :func:`erlang_b`.
    patience : float or array or None
        Mean patience; None or infinity for callers who never abandon.
    lines : float or array
        Agents plus waiting places; ``lines - agents`` is a whole number.
    within : float or array, optional
        Acceptable waiting time.

    Notes
    -----
    Birth and death; a contact that finds j waiting is served after S with e^-θS ~ Beta(nμ/θ, j+1), which gives its
    service level in closed form. All shares are of the offered contacts; ``p_wait_admitted``, ``mean_wait_admitted``
    and ``p_abandon_admitted`` are of the admitted ones.

    Examples
    --------
    >>> q = mmnkm(4.2, 2, 12, patience=None, lines=17, within=1 / 3)
    >>> round(q.p_block, 6), round(q.asa, 6), round(q.service_level["offered"], 6)
    (0.009477, 0.061124, 0.918768)
    """
    if getattr(patience, "kind", None) == "infinite" or patience is None:
        patience = np.inf
    elif getattr(patience, "kind", None) == "exponential" and not getattr(patience, "zero", 0.0):
        patience = patience.mean
    named = {"arrival_rate": arrival_rate, "handle_time": handle_time, "agents": agents, "patience": patience}
    args = numbers("mmnkm()", **named, lines=lines, **({} if within is None else {"within": within}))
    places = args["lines"] - args["agents"]
    bad = (places < 0) | (np.abs(places - np.round(places)) > 1e-9)
    if np.any(bad):
        first = float(args["lines"][bad].ravel()[0] if bad.ndim else args["lines"])
        rule = "the number of agents plus a whole number of waiting places"
        raise ParameterError(parameter("lines", "mmnkm()", rule, first))
    return _each(_finite, args, within is not None)


def _ratio(top: Any, bottom: Any) -> Any:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.true_divide(top, bottom)


_MEASURES = ("p_wait", "p_abandon", "p_block", "mean_wait", "asa", "mean_queue", "occupancy", "carried_load")


def _flat(q: QueueMeasures) -> dict[str, float]:
    return {name: getattr(q, name) for name in _MEASURES} | dict(q.service_level or {})


def _each(solve: Callable[..., dict[str, float]], args: dict[str, np.ndarray], timed: bool) -> QueueMeasures:
    """Solve element by element, each with the ``within`` of its own (None when there is none)."""
    shape = next(iter(args.values())).shape
    columns = [array.ravel().tolist() for array in args.values()]
    if not timed:
        columns.append([None] * len(columns[0]))
    rows = [solve(*row) for row in zip(*columns, strict=True)]
    names = rows[0] if rows else dict.fromkeys(_MEASURES)
    tidy = {name: unwrap(np.array([row[name] for row in rows]).reshape(shape)) for name in names}
    level = {name: tidy.pop(name) for name in list(tidy) if name not in _MEASURES}
    return QueueMeasures(**tidy, service_level=level if timed else None)


def _patient(rate: float, service: float, n: float, patience: Any, within: float | None) -> dict[str, float]:
    """Solve one M/M/n+G queue."""
    load = rate * service
    if load * patience.never >= n and rate > 0 and patience.never > 0:
        raise StabilityError(
            f"{load * patience.never:g} Erlangs of contacts that never abandon, offered to {n:g} agents, have no "
            f"steady state. {_WAY_OUT}"
        )
    if n == 0:
        return _unstaffed(rate, patience, within)
    if rate == 0:
        none = dict.fromkeys(_MEASURES, 0.0)
        return none if within is None else none | dict.fromkeys(_LEVELS, 1.0)
    drift = rate - n / service
    parts = regions(rate, drift, patience, within)
    # States below n, relative to the state n − 1 from which the wait begins.
    idle = float(inverse_b(n - 1, load)) if n >= 1 else float(below_all_busy(n, load)) * load / n
    peak = max([0.0] + [part.scale for part in parts])
    idle = idle * float(np.exp(-peak))
    mass, gone, waited, heard, served = [], [], [], [], []
    for part in parts:
        weights = part.weights * rate * float(np.exp(part.scale - peak))
        stays = patience.sf(part.x)
        mass.append(float(weights.sum()))
        gone.append(float(weights @ patience.cdf(part.x)))
        waited.append(float(weights @ patience.limited_mean(part.x)))
        served.append(float(weights @ stays))
        heard.append(float(weights @ (stays * part.x)))
    if np.isinf(idle):
        total, free = np.inf, 1.0
    else:
        total = idle + sum(mass)
        free = idle / total
    answered = free + sum(served) / total
    wait = sum(waited) / total
    result = {
        "p_wait": sum(mass) / total,
        "p_abandon": sum(gone) / total,
        "p_block": 0.0,
        "mean_wait": wait,
        "asa": sum(heard) / total / answered,
        "mean_queue": rate * wait,
        "occupancy": load * answered / n,
        "carried_load": load * answered,
    }
    if within is None:
        return result
    early = free + served[0] / total
    left = gone[0] / total + float(patience.cdf(within)) * mass[1] / total
    late = float(patience.sf(within)) * mass[1] / total
    return result | {
        "offered": early,
        "excl_T": early / (early + late) if early + late > 0 else float("nan"),
        "credit_T": early + left,
        "answered": early / answered,
        "virtual": free + mass[0] / total,
    }


_LEVELS = ("offered", "excl_T", "credit_T", "answered", "virtual")


def _unstaffed(rate: float, patience: Any, within: float | None) -> dict[str, float]:
    nan = float("nan")
    mean = float(patience.mean)
    result = {
        "p_wait": 1.0, "p_abandon": 1.0, "p_block": 0.0, "mean_wait": mean, "asa": nan, "mean_queue": rate * mean,
        "occupancy": nan, "carried_load": 0.0,
    }  # fmt: skip
    if within is None:
        return result
    late = float(patience.sf(within))
    return result | {
        "offered": 0.0, "excl_T": 0.0 if late > 0 else nan, "credit_T": float(patience.cdf(within)), "answered": nan,
        "virtual": 0.0,
    }  # fmt: skip


def _beta(order: np.ndarray, shape: float, spent: float) -> np.ndarray:
    """Return the incomplete beta function at 1 − e^−spent; from its other end where that is 1 but for rounding."""
    if spent > 8.0:
        return 1.0 - special.betainc(shape, order, np.exp(-spent))
    return special.betainc(order, shape, -np.expm1(-spent))


def _finite(
    rate: float, service: float, n: float, patience: float, lines: float, within: float | None
) -> dict[str, float]:
    """Solve one M/M/n/K+M queue from its balance equations, relative to the state n."""
    places = round(lines - n)
    load, rush = rate * service, 1.0 / patience
    if n == 0 and rush == 0 and rate > 0:
        raise StabilityError("Without agents and with endless patience nobody ever leaves. Add agents or a patience.")
    if rate == 0:
        blocked = 1.0 if lines == 0 else 0.0
        none = dict.fromkeys(_MEASURES, 0.0) | {"p_block": blocked}
        return none if within is None else none | dict.fromkeys((*_LEVELS, "admitted"), 1.0 - blocked)
    waiting = np.arange(places + 1.0)
    leave = n / service + waiting * rush
    logs = np.concatenate([[0.0], np.cumsum(np.log(rate / leave[1:]))])
    peak = max(0.0, float(logs.max()))
    ladder = np.exp(logs - peak)
    below = float(below_all_busy(n, load)) * float(np.exp(-peak))
    total = below + float(ladder.sum())
    free = 1.0 if np.isinf(below) else below / total
    pi = ladder / total
    found, blocked = pi[:-1], float(pi[-1])
    # A contact behind j others is served with this chance, and then waits this long.
    reaches = (n / service) / leave[1:]
    lasts = np.cumsum(1.0 / leave[1:])
    answered = free + float(found @ reaches)
    queue = float(waiting @ pi)
    result = {
        "p_wait": float(found.sum()),
        "p_abandon": rush * queue / rate,
        "p_block": blocked,
        "mean_wait": queue / rate,
        "asa": float(found @ (reaches * lasts)) / answered if answered > 0 else float("nan"),
        "mean_queue": queue,
        "occupancy": load * answered / n if n > 0 else float("nan"),
        "carried_load": load * answered,
    }
    if within is None:
        return result
    order = waiting[1:]
    pace = n / service * within
    shape = n / service * patience
    if n == 0:
        sure = hurried = np.zeros(places)
    elif shape > 1e13 * max(1.0, float(places)) ** 2:
        sure = hurried = special.gammainc(order, pace)
    else:
        sure = _beta(order, shape, rush * within)
        hurried = reaches * _beta(order, shape + 1.0, rush * within)
    early = free + float(found @ hurried)
    gone = float(found @ (-np.expm1(-rush * within) + np.exp(-rush * within) * sure))
    late = float(np.exp(-rush * within)) * float(found @ (1.0 - sure))
    rest = early + late + blocked
    return result | {
        "offered": early,
        "excl_T": early / rest if rest > 0 else float("nan"),
        "credit_T": free + gone,
        "answered": early / answered if answered > 0 else float("nan"),
        "virtual": free + float(found @ sure),
        "admitted": early / (1.0 - blocked) if blocked < 1 else float("nan"),
    }
