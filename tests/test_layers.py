"""Imports point down, heavy packages stay behind one module each, and no module is too long to read."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SOURCE = ROOT / "src" / "bposim"

#: The table of DESIGN §1: a unit imports only from lower layers and from itself.
LAYERS = {
    "errors": 0,
    "units": 1,
    "provenance": 1,
    "distributions": 2,
    "erlang": 2,
    "schema": 2,
    "metrics": 3,
    "scenario": 3,
    "history": 4,
    "calibrate": 5,
    "forecast": 5,
    "engines": 6,
    "simulate": 7,
    "optimise": 8,
    "targets": 9,
    "report": 10,
    "cli": 11,
    "widgets": 11,
}
#: Above every layer, imported by none: conveniences, and the table of public names.
OUTSIDE = {"datasets", "testing", "bposim", "__main__"}
#: Imports inside functions that point up, each with its reason. A new one fails.
EXCEPTIONS = {
    ("calibrate", "simulate"): "the back-test plays the fitted scenario",
    ("calibrate", "engines"): "the back-test lays a forecast over its minutes",
}
#: Third-party packages with their only importers.
BEHIND = {
    "prophet": {"forecast/_prophet.py"},
    "cmdstanpy": {"forecast/_prophet.py"},
    "statsforecast": {"forecast/_methods.py"},
    "pulp": {"optimise/_lp.py"},
    "highspy": {"optimise/_lp.py"},
    "numba": {f"engines/compiled/{name}.py" for name in ("cache", "native")},
    "simpy": {"engines/reference.py"},
}
#: Faces may use what stands outside the layers: the public names and the synthetic data of the demo.
FACES = 11
LONGEST = 800

MODULES = sorted(SOURCE.rglob("*.py"))


def unit_of(dotted: str) -> str:
    """Return the unit of a dotted module name: ``bposim.scenario.models`` → ``scenario``."""
    parts = dotted.split(".")
    return parts[1] if len(parts) > 1 else "bposim"


def unit_of_file(path: Path) -> str:
    relative = path.relative_to(SOURCE).with_suffix("")
    return "bposim" if relative.name == "__init__" and len(relative.parts) == 1 else relative.parts[0]


def imports(path: Path) -> Iterator[tuple[str, bool, int]]:
    """Yield every import of a file: dotted name, whether it stands inside a function, line."""
    inside: set[ast.AST] = set()
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            inside.update(n for n in ast.walk(node) if n is not node)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node in inside, node.lineno
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}:{node.lineno} imports relatively; write the full name"
            name = str(node.module)
            if name == "bposim":  # from bposim import erlang: the names are units, or come from the root
                for alias in node.names:
                    yield f"bposim.{alias.name}" if alias.name in LAYERS else name, node in inside, node.lineno
            else:
                yield name, node in inside, node.lineno


def internal(path: Path) -> Iterator[tuple[str, str, bool, int]]:
    """Yield unit, imported unit, inside a function, line of every import within the package."""
    own = unit_of_file(path)
    for name, in_function, line in imports(path):
        if name.split(".")[0] == "bposim" and unit_of(name) != own:
            yield own, unit_of(name), in_function, line


def test_every_unit_has_a_layer():
    units = {unit_of_file(p) for p in MODULES}
    assert units <= set(LAYERS) | OUTSIDE, f"no layer for {units - set(LAYERS) - OUTSIDE}"
    assert {"errors", "scenario", "engines", "simulate", "targets"} <= units


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(SOURCE)))
def test_imports_point_down(path):
    problems = []
    for own, other, in_function, line in internal(path):
        if own in OUTSIDE:
            continue
        if other in OUTSIDE and LAYERS[own] == FACES:
            continue
        if other in OUTSIDE or LAYERS[other] >= LAYERS[own]:
            if in_function and (own, other) in EXCEPTIONS:
                continue
            problems.append(f"line {line}: {own} imports {other}")
    assert not problems, "; ".join(problems)


def test_exceptions_are_needed():
    used = {(own, other) for p in MODULES for own, other, in_function, _ in internal(p) if in_function}
    assert set(EXCEPTIONS) <= used, "an exception that nobody uses any more; remove it"
    assert all(LAYERS[a] < LAYERS[b] for a, b in EXCEPTIONS)


def test_units_import_each_other_in_no_circle():
    edges: dict[str, set[str]] = {}
    for p in MODULES:
        for own, other, in_function, _ in internal(p):
            if not in_function:
                edges.setdefault(own, set()).add(other)

    def circle(unit: str, seen: tuple[str, ...]) -> tuple[str, ...] | None:
        if unit in seen:
            return (*seen[seen.index(unit) :], unit)
        return next((c for nxt in edges.get(unit, ()) if (c := circle(nxt, (*seen, unit)))), None)

    assert edges["simulate"] >= {"engines", "metrics"}
    assert [c for unit in edges if (c := circle(unit, ()))] == []


@pytest.mark.parametrize("package", BEHIND)
def test_one_door_to_heavy_packages(package):
    doors = {
        str(p.relative_to(SOURCE)) for p in MODULES if any(name.split(".")[0] == package for name, _, _ in imports(p))
    }
    assert doors <= BEHIND[package], f"{package} is imported by {doors - BEHIND[package]}"


def test_every_door_is_used():
    named = {name.split(".")[0] for p in MODULES for name, _, _ in imports(p)}
    assert {"prophet", "pulp", "numba", "simpy"} <= named


def test_modules_are_short_enough_to_read():
    long = {str(p.relative_to(SOURCE)): n for p in MODULES if (n := len(p.read_text().splitlines())) > LONGEST}
    assert not long


@pytest.mark.parametrize(
    ("code", "never"),
    [
        ("import bposim", "prophet pulp highspy numba matplotlib simpy scipy.stats pandas pydantic"),
        ("import bposim as bp; bp.ServiceLevel; bp.load_scenario", "prophet pulp highspy numba matplotlib simpy"),
        ("import bposim as bp; bp.simulate; bp.History", "prophet pulp highspy matplotlib"),
    ],
)
def test_heavy_packages_load_when_used(code, never):
    said = f"import sys; {code}; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", said], capture_output=True, text=True, check=True)
    loaded = set(run.stdout.split())
    assert "bposim" in loaded
    assert loaded & set(never.split()) == set()


def test_a_module_that_points_up_would_be_caught(tmp_path, monkeypatch):
    """The test above must be able to fail."""
    package = tmp_path / "bposim"
    (package / "metrics").mkdir(parents=True)
    bad = package / "metrics" / "__init__.py"
    bad.write_text("def f():\n    from bposim.simulate import simulate\n\nimport bposim.units\n")
    monkeypatch.setattr(sys.modules[__name__], "SOURCE", package)
    found = list(internal(bad))
    assert sorted(found) == [("metrics", "simulate", True, 2), ("metrics", "units", False, 4)]
    with pytest.raises(AssertionError, match="line 2: metrics imports simulate"):
        test_imports_point_down(bad)
