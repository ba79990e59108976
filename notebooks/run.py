"""Run every notebook in place and keep its pictures. Usage: python notebooks/run.py [name …]"""

from __future__ import annotations

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent

for path in sorted(HERE.glob("*.ipynb")):
    if sys.argv[1:] and path.stem not in sys.argv[1:]:
        continue
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}).execute()
    for cell in notebook.cells:  # times of execution and progress bars differ from run to run and say nothing
        cell.metadata.pop("execution", None)
        if "outputs" in cell:
            cell.outputs = [o for o in cell.outputs if not (o.output_type == "stream" and o.text.startswith("\r"))]
    for key in ("language_info", "widgets"):
        notebook.metadata.pop(key, None)
    nbformat.write(notebook, path)
    print(f"ran {path.name}")
