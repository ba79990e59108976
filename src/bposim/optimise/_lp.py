"""Integer programs behind one small door: the only module that imports PuLP.

PuLP 4 changes how variables are made and drops the bundled CBC; both live here.
"""

from __future__ import annotations

import math
import os
import re
import tempfile
import threading
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import cache
from importlib import import_module
from typing import Any, Literal

import numpy as np
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from bposim.errors import BposimWarning, ParameterError, SolverError, parameter

SOLVERS = ("highs", "cbc")
_ONE_AT_A_TIME = threading.Lock()
#: Whole columns from which a block is first solved stage by stage.
_LARGE = 1000
#: Whole columns from which a plan is the relaxation's, rounded: branching takes longer than a search has.
LARGE = 2000
#: Gap at which stages count as good enough to go on from, and seconds for a neighbourhood of one stage.
_NEAR = 0.02
_STEP = 2.0
Status = Literal["optimal", "infeasible", "stopped"]


@dataclass(frozen=True)
class Solution:
    """What a solver found.

    Attributes
    ----------
    status : "optimal", "infeasible" or "stopped"
        ``stopped``: the time limit came first; ``values`` holds the best found, if any.
    objective, bound, gap : float
        Value found, the least that any solution can have, and (objective − bound) / |objective|; nan if unknown.
    values : ndarray, shape (n_columns,), or None
    solver : str
    """

    status: Status
    objective: float
    bound: float
    values: np.ndarray | None
    solver: str

    @property
    def gap(self) -> float:
        return max(self.objective - self.bound, 0.0) / max(abs(self.objective), 1e-9)


@dataclass
class Model:
    """A minimisation in non-negative columns, built row by row."""

    cost: list[float] = field(default_factory=list)
    low: list[float] = field(default_factory=list)
    high: list[float] = field(default_factory=list)
    whole: list[bool] = field(default_factory=list)
    stage: list[int] = field(default_factory=list)
    rows: list[tuple[list[int], list[float], str, float]] = field(default_factory=list)

    def column(
        self, cost: float, *, low: float = 0.0, high: float = math.inf, whole: bool = True, stage: int = 0
    ) -> int:
        """Add a variable and return its number; ``stage`` (its day) orders the steps of a large problem."""
        self.cost.append(float(cost))
        self.low.append(float(low))
        self.high.append(float(high))
        self.whole.append(whole)
        self.stage.append(stage)
        return len(self.cost) - 1

    def row(self, columns: list[int], factors: list[float], sense: str, limit: float) -> None:
        """Add Σ factor × column (sense) limit."""
        self.rows.append((list(columns), [float(f) for f in factors], sense, float(limit)))

    @property
    def large(self) -> bool:
        """Whether branching takes longer than a search has."""
        return sum(self.whole) > LARGE

    def keeps(self, values: np.ndarray) -> bool:
        """Whether values satisfy every row and bound."""
        if (values < np.array(self.low) - 1e-6).any() or (values > np.array(self.high) + 1e-6).any():
            return False
        for columns, factors, sense, limit in self.rows:
            total = float(values[columns] @ np.array(factors))
            if (sense != "<=" and total < limit - 1e-6) or (sense != ">=" and total > limit + 1e-6):
                return False
        return True

    def solve(
        self,
        *,
        solver: str | None = None,
        gap: float = 1e-4,
        time_limit: float | None = 60.0,
        seed: int = 1,
        progress: Callable[[int, int], Any] | None = None,
    ) -> Solution:
        """Minimise, block by block where the rows leave independent blocks; equal blocks are solved once.

        Parameters
        ----------
        solver : "highs", "cbc" or None
            None tries HiGHS, then CBC where it is missing or fails, and warns of the change.
        gap : float
            Relative gap at which a solution counts as optimal.
        time_limit : float or None
            Seconds for all blocks together.
        seed : int
        progress : callable, optional
            Called with blocks done and blocks in all.

        Raises
        ------
        SolverError
            No solver is there, or it failed; without a name, the next failed as well.
        """
        name = choose(solver)
        spare = [s for s in SOLVERS[SOLVERS.index(name) + 1 :] if _missing(s) is None] if solver is None else []
        until = math.inf if time_limit is None else time.monotonic() + time_limit
        values = np.array(self.low)
        objective = bound = 0.0
        status: Status = "optimal"
        found = True
        known: dict[bytes, Solution] = {}
        blocks, hopeless = self._blocks()
        if hopeless:
            return Solution("infeasible", math.nan, math.nan, None, name)
        for done, (columns, rows) in enumerate(blocks):
            part = self._part(columns, rows)
            key = part._key()
            if key not in known:
                left = None if math.isinf(until) else max(until - time.monotonic(), 0.1)
                try:
                    known[key] = part._one(name, gap, left, seed)
                except SolverError as error:
                    if not spare:
                        raise
                    name = spare.pop(0)
                    warnings.warn(f"{error} Solving with {name} instead.", BposimWarning, stacklevel=2)
                    known[key] = part._one(name, gap, left, seed)
            one = known[key]
            if one.status == "infeasible":
                return Solution("infeasible", math.nan, math.nan, None, name)
            if one.status == "stopped":
                status = "stopped"
            found = found and one.values is not None
            if one.values is not None:
                values[columns] = one.values
            objective += one.objective
            bound += one.bound
            if progress is not None:
                progress(done + 1, len(blocks))
        return Solution(status, objective if found else math.nan, bound, values if found else None, name)

    def _blocks(self) -> tuple[list[tuple[np.ndarray, list[int]]], bool]:
        """Return the independent blocks as (columns, rows), and whether an empty row already fails."""
        n, m = len(self.cost), len(self.rows)
        i = [n + r for r, row in enumerate(self.rows) for _ in row[0]]
        j = [c for row in self.rows for c in row[0]]
        graph = coo_array((np.ones(len(i)), (i, j)), shape=(n + m, n + m))
        _, label = connected_components(graph, directed=False)
        order = np.argsort(label[:n], kind="stable")
        groups = np.split(order, np.flatnonzero(np.diff(label[:n][order])) + 1) if n else []
        rows: dict[int, list[int]] = {}
        for r, (columns, _, sense, limit) in enumerate(self.rows):
            if columns:
                rows.setdefault(int(label[n + r]), []).append(r)
            elif (sense != "<=" and limit > 1e-9) or (sense != ">=" and limit < -1e-9):
                return [], True
        return sorted(((g, rows.get(int(label[g[0]]), [])) for g in groups), key=lambda b: int(b[0][0])), False

    def _one(self, name: str, gap: float, time_limit: float | None, seed: int) -> Solution:
        """Solve one block; a large one with many stages by its relaxation, stage by stage, then neighbourhoods."""
        if sum(self.whole) < _LARGE or len(set(self.stage)) < 4:
            return _run(self, name, gap, time_limit, seed)
        start = time.monotonic()
        span = 600.0 if time_limit is None else time_limit
        floor = _run(replace(self, whole=[False] * len(self.whole)), name, gap, time_limit, seed)
        if floor.status == "infeasible":
            return floor
        best: Solution | None = None
        if floor.status == "optimal" and floor.values is not None:
            # Plain stages suit one group; on the remainder of the rounded-down relaxation they suit several.
            rounded = np.where(self.whole, np.floor(floor.values + 1e-6), self.low)
            for low, until in ((np.array(self.low), 0.45), (rounded, 0.65)):
                found = self._by_stages(low, name, gap, start + until * span, seed)
                if found is not None and (best is None or found @ np.array(self.cost) < best.objective):
                    best = self._rated(found, floor.bound, gap, name)
                if best is not None and best.gap <= max(gap, _NEAR):
                    break
        if best is None:
            left = max(start + span - time.monotonic(), 0.1)
            return _run(self, name, gap, None if time_limit is None else left, seed)
        assert best.values is not None
        values = self._by_neighbourhoods(best.values, floor.bound, name, gap, start + span, seed)
        return self._rated(values, floor.bound, gap, name)

    def _rated(self, values: np.ndarray, bound: float, gap: float, name: str) -> Solution:
        objective = float(values @ np.array(self.cost))
        found = Solution("optimal", objective, min(bound, objective), values, name)
        return found if found.gap <= gap else replace(found, status="stopped")

    def _by_stages(self, low: np.ndarray, name: str, gap: float, until: float, seed: int) -> np.ndarray | None:
        """Return a good solution: solve two stages at a time, fix the first, move on; None if a step fails."""
        stage = np.array(self.stage)
        order = sorted(set(self.stage))
        values, settled = low.copy(), np.zeros(len(stage), dtype=bool)
        for k, here in enumerate(order):
            ahead = order[min(k + 1, len(order) - 1)]
            part, free = self._rest(~settled & (stage <= ahead), values, low, settled)
            share = (until - time.monotonic()) / (len(order) - k)
            found = _run(part, name, gap, share, seed) if share > 0 else None
            if found is None or found.values is None:
                return None
            values[free] = found.values
            settled |= stage <= here
        return values

    def _by_neighbourhoods(
        self, values: np.ndarray, bound: float, name: str, gap: float, until: float, seed: int
    ) -> np.ndarray:
        """Improve a solution: free one or two stages, keep the others, until nothing moves or time is up."""
        stage, cost, low = np.array(self.stage), np.array(self.cost), np.array(self.low)
        order = sorted(set(self.stage))
        width, idle = 1, 0
        while idle < 2:
            before = float(values @ cost)
            for k in range(len(order) - width + 1):
                left = until - time.monotonic()
                now = float(values @ cost)
                if left <= 0.2 or (now - bound) <= gap * abs(now):
                    return values
                chosen = (stage >= order[k]) & (stage <= order[k + width - 1])
                part, free = self._rest(chosen, values, low, ~chosen)
                found = _run(part, name, gap, min(left, _STEP * width), seed)
                if found.values is not None and found.objective < float(values[free] @ cost[free]) - 1e-9:
                    values = values.copy()
                    values[free] = found.values
            idle = 0 if float(values @ cost) < before - 1e-9 else idle + 1
            width = 3 - width
        return values

    def _rest(
        self, chosen: np.ndarray, values: np.ndarray, low: np.ndarray, fixed: np.ndarray
    ) -> tuple[Model, np.ndarray]:
        """Return the problem in the chosen columns, the fixed ones put in; rows with columns of neither wait."""
        free = np.flatnonzero(chosen)
        place = {int(c): j for j, c in enumerate(free)}
        part = self._part(free, [])
        part.low = [float(low[c]) for c in free]
        for columns, factors, sense, limit in self.rows:
            inside = [(place[c], f) for c, f in zip(columns, factors, strict=True) if c in place]
            if not inside:
                continue
            others = [(c, f) for c, f in zip(columns, factors, strict=True) if c not in place]
            if all(fixed[c] for c, _ in others):
                done = sum(float(values[c]) * f for c, f in others)
                part.row([p for p, _ in inside], [f for _, f in inside], sense, limit - done)
        return part, free

    def _part(self, columns: np.ndarray, rows: list[int]) -> Model:
        place = {int(c): k for k, c in enumerate(columns)}
        lists = (self.cost, self.low, self.high, self.whole, self.stage)
        part = Model(*([values[c] for c in columns] for values in lists))
        part.rows = [([place[c] for c in r[0]], r[1], r[2], r[3]) for r in (self.rows[k] for k in rows)]
        return part

    def _key(self) -> bytes:
        return repr((self.cost, self.low, self.high, self.whole, self.rows)).encode()


def check_solver(solver: Any, caller: str) -> list[str]:
    """Return what is wrong with the name of a solver."""
    if solver is None or solver in SOLVERS:
        return []
    return [parameter("solver", caller, "one of highs, cbc, or None", solver)]


def keep_to(options: dict[str, Any], found: Solution) -> None:
    """Let a solver that stood in for another be the one of the solves to come."""
    if options.get("solver") is None and found.solver != SOLVERS[0]:
        options["solver"] = found.solver


def choose(solver: str | None) -> str:
    """Return the solver to use; None tries HiGHS, then CBC by name."""
    if wrong := check_solver(solver, "solve()"):
        raise ParameterError(wrong)
    missing: list[str] = []
    for name in SOLVERS if solver is None else (solver,):
        reason = _missing(name)
        if reason is None:
            if missing:
                warnings.warn(f"{missing[0]} Solving with {name} instead.", BposimWarning, stacklevel=4)
            return name
        missing.append(f"Solver {name!r} is not there: {reason}.")
    raise SolverError([*missing, 'Install HiGHS: pip install "highspy>=1.8".'])


def _missing(name: str) -> str | None:
    """Return why a solver cannot be used, None if it can."""
    try:
        if name == "highs":
            import_module("highspy")
        import pulp
    except ImportError as error:
        return str(error)
    if name == "highs":
        return None
    path = _cbc_path(pulp)
    return None if path and os.access(path, os.X_OK) else "PuLP came without its CBC"


def _cbc_path(pulp: Any) -> str | None:
    bundled = getattr(pulp, "PULP_CBC_CMD", None)
    return getattr(bundled, "pulp_cbc_path", None)


@cache
def _swallow_banner() -> None:
    """Make the first HiGHS object of the process with standard output shut: it prints a banner past every option."""
    import highspy

    with _ONE_AT_A_TIME:
        kept, null = os.dup(1), os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(null, 1)
            highspy.Highs()
        finally:
            os.dup2(kept, 1)
            os.close(kept)
            os.close(null)


def _run(model: Model, name: str, gap: float, time_limit: float | None, seed: int) -> Solution:
    """Hand one block to a solver."""
    import pulp

    if not model.rows:
        # Costs are never negative on unbounded columns here, so each column rests at its cheaper end.
        values = np.where(np.array(model.cost) < 0, model.high, model.low)
        total = float(values @ np.array(model.cost))
        return Solution("optimal", total, total, values, name)
    problem = pulp.LpProblem("block", pulp.LpMinimize)
    columns = [
        problem.add_variable(f"x{k}", low, None if math.isinf(high) else high,
                             cat=pulp.LpInteger if whole else pulp.LpContinuous)
        for k, (low, high, whole) in enumerate(zip(model.low, model.high, model.whole, strict=True))
    ]  # fmt: skip
    problem.setObjective(pulp.LpAffineExpression(list(zip(columns, model.cost, strict=True))))
    sense = {"<=": pulp.LpConstraintLE, ">=": pulp.LpConstraintGE, "==": pulp.LpConstraintEQ}
    for k, (places, factors, way, limit) in enumerate(model.rows):
        total = pulp.LpAffineExpression([(columns[p], f) for p, f in zip(places, factors, strict=True)])
        problem.addConstraint(pulp.LpConstraint(total, sense[way], f"r{k}", limit))
    try:
        if name == "highs":
            status, bound = _highs(pulp, problem, gap, time_limit, seed, any(model.whole), len(columns))
        else:
            status, bound = _cbc(pulp, problem, gap, time_limit, seed)
    except pulp.PulpSolverError as error:
        raise SolverError(f"Solver {name!r} failed: {error}") from error
    if status == "infeasible":
        return Solution("infeasible", math.nan, math.nan, None, name)
    if bound is None:
        return Solution("stopped", math.nan, -math.inf, None, name)
    raw = np.array([low if c.varValue is None else c.varValue for c, low in zip(columns, model.low, strict=True)])
    values = np.where(model.whole, np.round(raw), raw)
    objective = float(values @ np.array(model.cost))
    return Solution(status, objective, min(bound, objective), values, name)


def highs() -> Any:
    """Return the module of HiGHS, which says nothing from here on."""
    import highspy

    _swallow_banner()
    return highspy


def _highs(
    pulp: Any, problem: Any, gap: float, time_limit: float | None, seed: int, whole: bool, n: int
) -> tuple[Status, float | None]:
    highspy = highs()
    # Of a large problem without whole columns an interior point is several times faster than the simplex method.
    how = {"solver": "ipm"} if n > _LARGE and not whole else {}
    problem.solve(pulp.HiGHS(msg=False, gapRel=gap, timeLimit=time_limit, threads=1, random_seed=seed, **how))
    solver = problem.solverModel
    state, info = solver.getModelStatus(), solver.getInfo()
    kinds = highspy.HighsModelStatus
    if state in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
        return "infeasible", None
    # For a problem without whole columns the dual bound stands in the objective itself.
    if state == kinds.kOptimal:
        return "optimal", float(info.mip_dual_bound if whole else info.objective_function_value)
    if state in (kinds.kTimeLimit, kinds.kInterrupt, kinds.kIterationLimit, kinds.kSolutionLimit):
        feasible = info.primal_solution_status == 2
        return "stopped", float(info.mip_dual_bound if whole else -math.inf) if feasible else None
    raise SolverError(f"Solver 'highs' ended with {solver.modelStatusToString(state)!r}.")


def _cbc(pulp: Any, problem: Any, gap: float, time_limit: float | None, seed: int) -> tuple[Status, float | None]:
    with tempfile.TemporaryDirectory() as folder:
        log = os.path.join(folder, "cbc.log")
        problem.solve(
            pulp.COIN_CMD(path=_cbc_path(pulp), msg=False, gapRel=gap, timeLimit=time_limit, threads=1, logPath=log,
                          options=[f"randomCbcSeed {seed}"])
        )  # fmt: skip
        with open(log, encoding="utf-8", errors="replace") as handle:
            text = handle.read()
    if problem.sol_status in (pulp.LpSolutionInfeasible, pulp.LpSolutionUnbounded):
        return "infeasible", None
    if problem.sol_status == pulp.LpSolutionNoSolutionFound:
        if "infeasible" in text.lower() and "time limit" not in text.lower():
            return "infeasible", None
        return "stopped", None
    stated = re.search(r"Lower bound:\s+(\S+)", text)
    value = float(pulp.value(problem.objective) or 0.0)
    stopped = problem.sol_status != pulp.LpSolutionOptimal or "Stopped on time limit" in text
    if stated:
        return "stopped" if stopped else "optimal", float(stated[1])
    return ("stopped", -math.inf) if stopped else ("optimal", value)
