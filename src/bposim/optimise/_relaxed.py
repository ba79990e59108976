"""The relaxation of a large problem, which HiGHS keeps, so that it is soon solved again where only the limits of rows move."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from bposim.errors import SolverError
from bposim.optimise._lp import Model, Solution, highs


class Relaxation:
    """A model without whole columns: solved by an interior point first, and from there on by the simplex method.

    A few rows that ask for more leave the last solution nearly optimal, so that an answer takes a quarter of the time. Where only
    the ``value`` is wanted, the solution is left in the interior.
    """

    def __init__(self, model: Model, seed: int, *, value: bool = False) -> None:
        highspy = highs()
        self.solver = highspy.Highs()
        options: dict[str, Any] = {"output_flag": False, "threads": 1, "random_seed": seed, "solver": "ipm"}
        for name, chosen in (options | ({"run_crossover": "off"} if value else {})).items():
            self.solver.setOptionValue(name, chosen)
        self.senses = [way for _, _, way, _ in model.rows]
        limits = np.array([limit for *_, limit in model.rows])
        sizes = [len(columns) for columns, *_ in model.rows]
        shape = len(model.rows), len(model.cost)
        place = np.repeat(np.arange(shape[0]), sizes), np.concatenate([columns for columns, *_ in model.rows])
        table = csr_array((np.concatenate([factors for _, factors, *_ in model.rows]), place), shape=shape)
        lp = highspy.HighsLp()
        lp.num_row_, lp.num_col_ = shape
        lp.col_cost_, lp.col_lower_, lp.col_upper_ = (np.array(x, float) for x in (model.cost, model.low, model.high))
        ways = np.array(self.senses)
        lp.row_lower_ = np.where(ways == "<=", -math.inf, limits)
        lp.row_upper_ = np.where(ways == ">=", math.inf, limits)
        lp.a_matrix_.format_ = highspy.MatrixFormat.kRowwise
        lp.a_matrix_.num_row_, lp.a_matrix_.num_col_ = shape
        lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = table.indptr, table.indices, table.data
        if self.solver.passModel(lp) == highspy.HighsStatus.kError:
            raise SolverError("Solver 'highs' refused the relaxation.")

    def ask(self, row: int, limit: float) -> None:
        """Move the limit of a row that asks for at least so much."""
        assert self.senses[row] == ">="
        self.solver.changeRowBounds(row, limit, math.inf)

    def solve(self, time_limit: float | None) -> Solution:
        """Return the optimum, or that there is none or that it was not found in time.

        Raises
        ------
        SolverError
            The solver ended in another way.
        """
        spent = self.solver.getRunTime()
        self.solver.setOptionValue("time_limit", math.inf if time_limit is None else spent + time_limit)
        self.solver.run()
        self.solver.setOptionValue("solver", "simplex")
        state, kinds = self.solver.getModelStatus(), highs().HighsModelStatus
        if state == kinds.kOptimal:
            value = float(self.solver.getInfo().objective_function_value)
            return Solution("optimal", value, value, np.array(self.solver.getSolution().col_value), "highs")
        if state in (kinds.kInfeasible, kinds.kUnboundedOrInfeasible):
            return Solution("infeasible", math.nan, math.nan, None, "highs")
        if state in (kinds.kTimeLimit, kinds.kInterrupt, kinds.kIterationLimit):
            return Solution("stopped", math.nan, -math.inf, None, "highs")
        raise SolverError(f"Solver 'highs' ended with {self.solver.modelStatusToString(state)!r}.")
