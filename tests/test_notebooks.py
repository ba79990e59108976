"""Every notebook runs from top to bottom on the public API and shows its pictures."""

from __future__ import annotations

import ast
import re
import shutil
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

from smaller import smaller

ROOT = Path(__file__).parents[1]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
#: Seconds that one notebook may take.
LIMIT = 300
#: What a notebook may import of bposim beside ``import bposim as bp``.
PUBLIC = {"bposim.datasets", "bposim.testing", "bposim.erlang", "bposim.forecast"}

#: Deprecations caused by the notebook or by bposim are errors; those among other packages are theirs.
STRICT = """
import warnings
for _kind in (DeprecationWarning, PendingDeprecationWarning, FutureWarning):
    warnings.filterwarnings("error", category=_kind, module=r"(__main__|bposim)(\\.|$)")
"""

each = pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda p: p.stem)


def code_of(path: Path) -> str:
    cells = nbformat.read(path, as_version=4).cells
    lines = "\n".join(c.source for c in cells if c.cell_type == "code").splitlines()
    return "\n".join("pass" if re.match(r"\s*[%!]", line) else line for line in lines)


def private_uses(code: str) -> list[str]:
    """Return every use of bposim that is not public: other modules, and names that begin with an underscore."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [a.name for a in node.names if a.name.startswith("bposim.") and a.name not in PUBLIC]
            found += [f"{a.name} as {a.asname}" for a in node.names if a.name == "bposim" and a.asname != "bp"]
        elif isinstance(node, ast.ImportFrom) and str(node.module).split(".")[0] == "bposim":
            names = [f"{node.module}.{a.name}" for a in node.names] if node.module == "bposim" else [str(node.module)]
            found += [n for n in names if n not in PUBLIC]
        elif isinstance(node, ast.Attribute) and node.attr.startswith("_") and not node.attr.startswith("__"):
            found.append(f".{node.attr}")
    return found


def test_there_are_notebooks():
    assert NOTEBOOKS, "notebooks/ holds no *.ipynb"


def test_private_uses_are_seen():
    code = "import bposim as bp\nfrom bposim import datasets\nfrom bposim.engines import draw\nimport bposim.cli\n"
    code += "bp.simulate(1)._recipe"
    assert private_uses(code) == ["bposim.engines", "bposim.cli", "._recipe"]


@each
def test_notebook_uses_public_names_only(path):
    code = code_of(path)
    assert "bposim" in code
    assert private_uses(code) == []


@each
def test_notebook_keeps_its_outputs(path):
    cells = [c for c in nbformat.read(path, as_version=4).cells if c.cell_type == "code" and c.source.strip()]
    counts = [c.execution_count for c in cells]
    assert all(counts), "some cell was never run; run the whole notebook and save it"
    assert counts == sorted(counts), "cells were not run in order; restart and run all"
    outputs = [o for c in cells for o in c.outputs]
    assert not [o for o in outputs if o.output_type == "error"]
    assert any("image/png" in o.get("data", {}) for o in outputs), "no picture is stored"
    text = " ".join(str(o) for o in outputs)
    assert not re.search(r"/(home|root|Users|work|tmp)/\w", text), (
        "an output shows a path of the machine it was made on"
    )


@each
def test_notebook_runs(path, tmp_path):
    folder = tmp_path / "notebooks"
    folder.mkdir()
    for neighbour in ("scenarios", "data", "docs"):
        if (ROOT / neighbour).exists():
            (tmp_path / neighbour).symlink_to(ROOT / neighbour)
    book = nbformat.read(shutil.copy(path, folder), as_version=4)
    for cell in book.cells:
        if cell.cell_type == "code":
            cell.source = smaller(cell.source)
    book.cells.insert(0, nbformat.v4.new_code_cell(STRICT))
    # One cell may take as long as the whole notebook may.
    NotebookClient(book, timeout=LIMIT, kernel_name="python3", resources={"metadata": {"path": str(folder)}}).execute()
    pictures = [o for c in book.cells if c.cell_type == "code" for o in c.outputs if "image/png" in o.get("data", {})]
    assert pictures
