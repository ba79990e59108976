"""The door to the solvers."""

from __future__ import annotations

import os
import subprocess
import sys
import warnings

import numpy as np
import pytest

from bposim.errors import BposimWarning, ParameterError, SolverError
from bposim.optimise import _lp
from bposim.optimise._lp import Model


def knapsack(n: int = 12, seed: int = 3) -> Model:
    rng = np.random.default_rng(seed)
    model = Model()
    columns = [model.column(c, high=3) for c in rng.integers(5, 40, n)]
    for _ in range(4):
        model.row(columns, rng.integers(1, 9, n).tolist(), ">=", 40)
    return model


def test_importing_the_package_loads_neither_pulp_nor_matplotlib():
    code = "import sys, bposim.optimise; print(sorted({'pulp', 'highspy', 'matplotlib'} & set(sys.modules)))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.mark.parametrize("solver", _lp.SOLVERS)
def test_a_solver_says_nothing(solver):
    code = (
        "from bposim.optimise import cover\n"
        f"r = cover([1, 2, 1], {{'a': {{0, 1}}, 'b': {{1, 2}}}}, solver={solver!r}); assert r.objective == 2\n"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=dict(os.environ))
    assert (out.stdout, out.stderr) == ("", "")


@pytest.mark.parametrize("seed", range(5))
def test_two_solvers_agree(seed):
    one, two = (knapsack(seed=seed).solve(solver=s, gap=1e-9) for s in _lp.SOLVERS)
    assert one.status == two.status == "optimal"
    assert one.objective == pytest.approx(two.objective)
    assert one.bound == pytest.approx(one.objective) and two.bound <= two.objective + 1e-9


@pytest.mark.parametrize("solver", _lp.SOLVERS)
def test_infeasible_is_a_status(solver):
    model = Model()
    x = model.column(1.0, high=2)
    model.row([x], [1.0], ">=", 3)
    found = model.solve(solver=solver)
    assert found.status == "infeasible" and found.values is None


def test_a_row_without_columns_that_fails_is_infeasible():
    model = Model()
    model.column(1.0)
    model.row([], [], ">=", 1)
    assert model.solve().status == "infeasible"


def test_blocks_are_solved_apart_and_equal_ones_once(monkeypatch):
    calls = []
    run = _lp._run
    monkeypatch.setattr(_lp, "_run", lambda *a: calls.append(1) or run(*a))
    model = Model()
    for k in range(6):
        x, y = model.column(2.0), model.column(3.0)
        model.row([x, y], [1.0, 2.0], ">=", 3 if k < 5 else 4)
    found = model.solve()
    assert len(calls) == 2
    assert found.objective == 5 * 5.0 + 6.0 and found.values.tolist() == [1, 1] * 5 + [0, 2]


def test_same_input_same_plan():
    assert (knapsack().solve(seed=4).values == knapsack().solve(seed=4).values).all()


def test_a_time_limit_stops_with_a_bound():
    rng = np.random.default_rng(1)
    model = Model()
    columns = [model.column(c) for c in rng.integers(300, 400, 400)]
    for _ in range(150):
        model.row(columns, (rng.random(400) < 0.2).astype(float) * rng.integers(1, 9, 400), ">=", 50)
    found = model.solve(gap=0.0, time_limit=1.0)
    assert found.status == "stopped"
    assert found.values is None or found.bound < found.objective


def test_stages_keep_every_row_and_bound_from_below(monkeypatch):
    """A chain of days, each tied to the next, solved in stages, against the same solved whole."""
    rng = np.random.default_rng(5)
    model = Model()
    days = [[model.column(float(c), stage=d) for c in rng.integers(5, 9, 6)] for d in range(8)]
    for d in range(8):
        reach = days[d] + (days[d - 1] if d else [])
        for _ in range(5):
            model.row(reach, (rng.random(len(reach)) < 0.5).astype(float), ">=", float(rng.integers(1, 6)))
    whole = model.solve(gap=1e-9)
    monkeypatch.setattr(_lp, "_LARGE", 10)
    staged = model.solve(gap=1e-9, time_limit=20.0)
    assert whole.status == "optimal"
    for columns, factors, _, limit in model.rows:
        assert sum(staged.values[c] * f for c, f in zip(columns, factors, strict=True)) >= limit - 1e-6
    assert staged.bound <= whole.objective + 1e-6 <= staged.objective + 2e-6
    assert staged.objective <= 1.05 * whole.objective


def test_falling_back_is_said(monkeypatch):
    missing = _lp._missing
    monkeypatch.setattr(_lp, "_missing", lambda n: "not installed" if n == "highs" else missing(n))
    with pytest.warns(BposimWarning, match="'highs' is not there: not installed. Solving with cbc instead"):
        assert knapsack(6).solve().solver == "cbc"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert knapsack(6).solve(solver="cbc").solver == "cbc"
    with pytest.raises(SolverError, match="highs"):
        knapsack(6).solve(solver="highs")


def test_no_solver_and_unknown_solver(monkeypatch):
    with pytest.raises(ParameterError, match="one of highs, cbc"):
        knapsack().solve(solver="gurobi")
    monkeypatch.setattr(_lp, "_missing", lambda n: "gone")
    with pytest.raises(SolverError, match="pip install"):
        knapsack().solve()
