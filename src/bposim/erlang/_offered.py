"""The load that arrivals of a varying rate would put on agents without limit: M(t)/G/∞."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import sparse

from bposim.erlang._integrals import ExponentialPatience
from bposim.erlang._measures import unwrap
from bposim.errors import ParameterError, parameter, require

#: Share of contacts whose handle time may be cut at the far end.
_TAIL = 1e-10


def offered_load(edges: Any, arrival_rate: Any, handle_time: Any, *, at: Any) -> Any:
    """Return the offered load m(t), in Erlangs, of arrivals whose rate varies: the mean number in service if all began at once.

    Nothing arrives outside the edges, so the load begins empty and runs out after the last edge. What is still in
    service at the end of one stretch of arrivals is in the load of the next.

    Parameters
    ----------
    edges : array, shape (n + 1,)
        Instants at which the rate may change, rising.
    arrival_rate : array, shape (n,)
        Contacts per time unit between them. A fine grid of means stands for a smooth rate.
    handle_time : float, Distribution, or one a piece
        Mean of an exponential handle time, or its law, of the contacts that arrive in each piece.
    at : float or array
        Instants asked for.

    Returns
    -------
    float or array
        Like ``at``.

    Raises
    ------
    ParameterError
        An argument breaks its rule; all are named.

    Notes
    -----
    m(t) = ∫ λ(u) P(S > t − u) du = E[λ(t − S_e)] E[S] with S_e of the stationary-excess law (Eick, Massey and Whitt,
    1993); over a piece [a, b) of constant rate the integral is λ (E[min(S, t − a)] − E[min(S, t − b)]), for any law.
    With exponential patience of the same mean as the handle time the number of contacts present is Poisson(m(t)),
    however many agents there are (Feldman, Mandelbaum, Massey and Whitt, 2008).

    References
    ----------
    Jennings, Mandelbaum, Massey and Whitt (1996), Server staffing to meet time-varying demand.

    Examples
    --------
    An hour of 60 contacts, 3 minutes each: the load builds up, and runs out after it.

    >>> offered_load([0, 60], [1.0], 3.0, at=[3, 60, 63]).round(3)
    array([1.896, 3.   , 1.104])
    """
    caller = "offered_load()"
    problems = []
    ends, rate = np.asarray(edges, dtype=float), np.asarray(arrival_rate, dtype=float)
    if ends.ndim != 1 or len(ends) < 2 or not np.all(np.diff(ends) > 0):
        problems.append(parameter("edges", caller, "rising instants, at least two", edges))
    elif rate.shape[:1] != (len(ends) - 1,):
        rule = f"one rate for each of the {len(ends) - 1} pieces"
        problems.append(parameter("arrival_rate", caller, rule, f"shape {rate.shape}"))
    if not np.all(np.isfinite(rate) & (rate >= 0)):
        problems.append(parameter("arrival_rate", caller, "finite and at least 0", arrival_rate))
    several = isinstance(handle_time, Sequence | np.ndarray)
    laws = list(handle_time) if several else [handle_time]
    if several and len(laws) != len(ends) - 1:
        problems.append(parameter("handle_time", caller, "one, or one a piece", f"{len(laws)} of them"))
    for law in laws:
        mean = getattr(law, "mean", law)
        if not (isinstance(mean, int | float | np.number) and 0 < mean < np.inf):
            problems.append(parameter("handle_time", caller, "a finite mean above 0, or a distribution", law))
            break
    require(problems, ParameterError)
    read = [law if hasattr(law, "limited_mean") else ExponentialPatience(float(law)) for law in laws]
    when = np.asarray(at, dtype=float)
    table = presence(ends[:-1], ends[1:], read * (1 if several else len(rate)), when.ravel())
    return unwrap((table @ rate).reshape(when.shape))


def presence(starts: np.ndarray, ends: np.ndarray, laws: Sequence[Any], at: np.ndarray) -> sparse.csr_array:
    """Return the time for which arrivals at a rate of one in each piece are present: m(at) = result @ rate.

    Parameters
    ----------
    starts, ends : ndarray, shape (n,)
        Pieces in order, which need not touch.
    laws : sequence of n distributions
        Handle time of the contacts that arrive in each piece.
    at : ndarray, shape (m,)

    Returns
    -------
    csr_array, shape (m, n)
    """
    kinds = list(dict.fromkeys(laws))
    kind = np.array([kinds.index(law) for law in laws])
    rows, cols, values = [], [], []
    for number, law in enumerate(kinds):
        reach = float(law.quantile(1 - _TAIL))
        low = np.searchsorted(ends, at - reach, side="right") if np.isfinite(reach) else np.zeros(len(at), dtype=int)
        high = np.searchsorted(starts, at, side="left")
        count = np.maximum(high - low, 0)
        row = np.repeat(np.arange(len(at)), count)
        col = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(low, count)
        mine = kind[col] == number
        row, col = row[mine], col[mine]
        since, until = at[row] - starts[col], np.maximum(at[row] - ends[col], 0.0)
        rows.append(row)
        cols.append(col)
        values.append(law.limited_mean(since) - law.limited_mean(until))
    entries = (np.concatenate(values), (np.concatenate(rows), np.concatenate(cols)))
    return sparse.csr_array(sparse.coo_array(entries, shape=(len(at), len(starts))))
