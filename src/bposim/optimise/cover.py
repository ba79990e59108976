"""Cover a demand with shifts: the bare model on plain arrays."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, ParameterError, parameter, require
from bposim.optimise._lp import Model, Solution

CONFLICTS = ("kind", "limit", "period", "shift", "by_how_much", "message")


@dataclass(frozen=True, eq=False)
class CoverResult:
    """Heads per shift that cover a demand.

    Attributes
    ----------
    status : "optimal", "infeasible" or "stopped"
    objective, bound, gap : float
        What was minimised, the least it can be, and the relative distance; nan when infeasible.
    heads : Series
        Heads by shift; empty when infeasible.
    covered : ndarray, shape (n_periods,)
        Heads present in each period.
    under, over : ndarray, shape (n_periods,)
        Demand not covered; heads beyond the demand.
    conflicts : DataFrame
        Why it is infeasible: ``kind, limit, period, shift, by_how_much, message``.
    solver : str
    """

    status: str
    objective: float
    bound: float
    gap: float
    heads: pd.Series
    demand: np.ndarray
    covered: np.ndarray
    conflicts: pd.DataFrame
    solver: str

    @property
    def under(self) -> np.ndarray:
        return np.maximum(self.demand - self.covered, 0.0)

    @property
    def over(self) -> np.ndarray:
        return np.maximum(self.covered - self.demand, 0.0)

    def summary(self) -> pd.DataFrame:
        """Return one row: ``status, objective, bound, gap, heads, under, over``."""
        row = {
            "status": self.status, "objective": self.objective, "bound": self.bound, "gap": self.gap,
            "heads": float(self.heads.sum()), "under": float(self.under.sum()), "over": float(self.over.sum()),
        }  # fmt: skip
        return pd.DataFrame([row])

    def __repr__(self) -> str:
        if self.status == "infeasible":
            first = self.conflicts["message"].iloc[0] if len(self.conflicts) else "no relaxation was found in time"
            return f"CoverResult(infeasible, {len(self.conflicts)} conflicts: {first})"
        return f"CoverResult({self.status}: {self.objective:g}, {self.heads.sum():g} heads on {len(self.heads)} shifts)"


def cover(
    demand: Any,
    shifts: Mapping[str, Any],
    cost: Mapping[str, float] | Iterable[float] | float | None = None,
    *,
    cap_period: float | Iterable[float] | None = None,
    cap_shift: float | Mapping[str, float] | None = None,
    objective: Literal["cost", "heads", "absolute_gap"] = "cost",
    under: float | Literal["forbid"] = "forbid",
    solver: str | None = None,
    gap: float = 1e-4,
    time_limit: float | None = 60.0,
    seed: int = 1,
) -> CoverResult:
    """Find the heads on each shift that cover a demand at least cost.

    Parameters
    ----------
    demand : array of float, shape (n_periods,)
        Heads needed in each period.
    shifts : mapping of name to periods
        Each a set of period numbers (from 0), or 0/1 flags of shape (n_periods,) as an array, list of bool or ndarray.
        A shift that wraps around simply names its periods.
    cost : mapping, sequence or number, optional
        Cost of one head on each shift; None for 1.
    cap_period : number or array, optional
        Most heads present in a period.
    cap_shift : number or mapping, optional
        Most heads on a shift.
    objective : {"cost", "heads", "absolute_gap"}
        ``absolute_gap`` minimises Σ |covered − demand| and lets demand go short.
    under : "forbid" or number
        Price of a head missing in a period, for ``cost`` and ``heads``.
    solver, gap, time_limit, seed
        As for :func:`optimise_shifts`.

    Returns
    -------
    CoverResult

    Raises
    ------
    ParameterError, OptimiseError
        The problem cannot be posed; every reason is named.

    Notes
    -----
    The set-covering model of Dantzig (1954).

    Examples
    --------
    >>> plan = cover([1, 2, 1], {"early": {0, 1}, "late": {1, 2}})
    >>> plan.objective, plan.heads.to_dict()
    (2.0, {'early': 1, 'late': 1})
    """
    need = np.asarray(demand, dtype=float)
    problems: list[str] = []
    if need.ndim != 1 or not len(need) or not (np.isfinite(need).all() and (need >= 0).all()):
        raise ParameterError(parameter("demand", "cover()", "one row of finite numbers of at least 0", demand))
    if objective not in ("cost", "heads", "absolute_gap"):
        problems.append(parameter("objective", "cover()", "one of cost, heads, absolute_gap", objective))
    if under != "forbid" and not (isinstance(under, int | float) and under >= 0):
        problems.append(parameter("under", "cover()", '"forbid" or a price of at least 0', under))
    names = list(shifts)
    if not names:
        problems.append("cover() got no shifts. Name at least one.")
    flags = np.zeros((len(names), len(need)))
    for k, name in enumerate(names):
        try:
            flags[k] = _flags(shifts[name], len(need))
        except (IndexError, ValueError, TypeError) as error:
            problems.append(f"shift {name!r} of cover() does not fit {len(need)} periods: {error}.")
    price = _per_shift(cost, names, 1.0, "cost", problems)
    most = _per_shift(cap_shift, names, np.inf, "cap_shift", problems)
    room = np.full(len(need), np.inf)
    try:
        if cap_period is not None:
            room = np.broadcast_to(np.asarray(cap_period, dtype=float), need.shape)
    except ValueError:
        problems.append(parameter("cap_period", "cover()", f"a number or {len(need)} numbers", cap_period))
    require(problems, OptimiseError)

    options: dict[str, Any] = {"solver": solver, "gap": gap, "time_limit": time_limit, "seed": seed}
    if objective == "heads":
        price = np.ones(len(names))
    model, x = Model(), []
    for k in range(len(names)):
        x.append(model.column(0.0 if objective == "absolute_gap" else price[k], high=np.floor(most[k] + 1e-9)))
    for t, wanted in enumerate(need):
        on = [x[k] for k in np.flatnonzero(flags[:, t])]
        if objective == "absolute_gap":
            short, extra = model.column(1.0, whole=False), model.column(1.0, whole=False)
            model.row([*on, short, extra], [1.0] * len(on) + [1.0, -1.0], "==", wanted)
        else:
            spare = [] if under == "forbid" else [model.column(float(under), whole=False)]
            model.row([*on, *spare], [1.0] * (len(on) + len(spare)), ">=", wanted)
        if np.isfinite(room[t]):
            model.row(on, [1.0] * len(on), "<=", room[t])
    found = model.solve(**options)
    if found.status == "infeasible":
        conflicts = _blame(need, names, flags, room, most, options)
        return _result(found, pd.Series(dtype=int, name="heads"), need, np.zeros_like(need), conflicts)
    heads = np.zeros(len(names)) if found.values is None else found.values[x]
    series = pd.Series(heads.astype(int), index=pd.Index(names, name="shift"), name="heads")
    return _result(found, series, need, heads @ flags, pd.DataFrame(columns=list(CONFLICTS)))


def _result(
    found: Solution, heads: pd.Series, need: np.ndarray, covered: np.ndarray, conflicts: pd.DataFrame
) -> CoverResult:
    return CoverResult(
        found.status, found.objective, found.bound, found.gap, heads, need, covered, conflicts, found.solver
    )


def _flags(periods: Any, n: int) -> np.ndarray:
    """Return 0/1 flags from a set of period numbers or from flags."""
    if not isinstance(periods, set | frozenset | range):
        array = np.asarray(list(periods) if not isinstance(periods, np.ndarray) else periods)
        if len(array) == n and (array.dtype == bool or isinstance(periods, np.ndarray) or n == 1):
            if not np.isin(array, (0, 1)).all():
                raise ValueError("flags must be 0 or 1")
            return array.astype(float)
        if isinstance(periods, np.ndarray) and len(array) != n:
            raise ValueError(f"an array of flags needs {n} values, got {len(array)}")
    result = np.zeros(n)
    for p in periods:
        if not 0 <= int(p) < n:
            raise IndexError(f"period {p} is not between 0 and {n - 1}")
        result[int(p)] = 1.0
    return result


def _per_shift(value: Any, names: list[str], default: float, what: str, problems: list[str]) -> np.ndarray:
    if value is None:
        return np.full(len(names), default)
    if isinstance(value, Mapping):
        unknown = [n for n in value if n not in names]
        if unknown:
            problems.append(f"{what} of cover() names {unknown[0]!r}, which is no shift. Known: {', '.join(names)}.")
        if what == "cost" and (without := [n for n in names if n not in value]):
            problems.append(f"cost of cover() leaves out shift {without[0]!r}. Price every shift.")
        result = np.array([float(value.get(n, default)) for n in names])
    else:
        array = np.asarray(value, dtype=float)
        if array.ndim and array.shape != (len(names),):
            problems.append(parameter(what, "cover()", f"a number or {len(names)} numbers, one a shift", value))
            return np.full(len(names), default)
        result = np.broadcast_to(array, (len(names),)).astype(float)
    if not (result >= 0).all():
        problems.append(parameter(what, "cover()", "at least 0", value))
    return result


def _blame(
    need: np.ndarray, names: list[str], flags: np.ndarray, room: np.ndarray, most: np.ndarray, options: dict[str, Any]
) -> pd.DataFrame:
    """Return the least relaxation of demand and caps that makes the cover feasible, one row per limit."""
    model = Model()
    x = [model.column(1e-6) for _ in names]
    looser: dict[tuple[str, int], int] = {}
    for k, limit in enumerate(most):
        if np.isfinite(limit):
            looser["shift_cap", k] = model.column(0.9)
            model.row([x[k], looser["shift_cap", k]], [1.0, -1.0], "<=", limit)
    for t, wanted in enumerate(need):
        on = [x[k] for k in np.flatnonzero(flags[:, t])]
        looser["demand", t] = model.column(1.0, whole=False)
        model.row([*on, looser["demand", t]], [1.0] * (len(on) + 1), ">=", wanted)
        if np.isfinite(room[t]):
            looser["period_cap", t] = model.column(0.9)
            model.row([*on, looser["period_cap", t]], [1.0] * len(on) + [-1.0], "<=", room[t])
    values = model.solve(**options).values
    rows: list[tuple[Any, ...]] = []
    for (kind, k), column in looser.items():
        excess = 0.0 if values is None else float(values[column])
        if excess <= 1e-6:
            continue
        if kind == "shift_cap":
            text = f"shift {names[k]!r}: the cap of {most[k]:g} heads is {excess:g} too low."
            rows.append((kind, most[k], None, names[k], excess, text))
        elif kind == "period_cap":
            text = f"period {k}: the cap of {room[k]:g} heads is {excess:g} too low (demand {need[k]:g})."
            rows.append((kind, room[k], k, None, excess, text))
        else:
            if not flags[:, k].any():
                why = "no shift covers it"
            elif need[k] > room[k]:
                why = f"the cap of {room[k]:g} heads a period is below the demand"
            else:
                why = "the caps on periods and shifts around it leave too few"
            text = f"period {k}: {excess:g} of {need[k]:g} heads are missing; {why}."
            rows.append(("demand" if flags[:, k].any() else "no_shift", need[k], k, None, excess, text))
    return pd.DataFrame(rows, columns=list(CONFLICTS))
