"""Where compiled code is kept, and what to say while it is made for the first time.

numba asks only whether the file of a function has changed, not the files of what it calls or the constants that it holds.
So the folder is named by the content of every file that has a say: other sources, other folder.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import numba
from numba import njit

_PACKAGE = Path(__file__).resolve().parents[2]
_SOURCES = ("engines/*.py", "engines/compiled/*.py", "scenario/mechanics.py", "schema.py")


@cache
def folder() -> Path | None:
    """Return the folder of the compiled code, None where none can be made: numba chooses then."""
    digest = hashlib.sha256(numba.__version__.encode())
    for path in sorted(p for pattern in _SOURCES for p in _PACKAGE.glob(pattern)):
        digest.update(path.read_bytes())
    try:
        base = os.environ.get("NUMBA_CACHE_DIR") or os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        place = Path(base) / "bposim" / f"compiled-{digest.hexdigest()[:16]}"
        place.mkdir(parents=True, exist_ok=True)
        return place if os.access(place, os.W_OK) else None
    except (OSError, RuntimeError):
        return None


def jit(function: Callable[..., Any]) -> Any:
    """Compile a function when it is first called, keep the code, and release the interpreter lock while it runs."""
    config: Any = numba.config
    place, before = folder(), config.CACHE_DIR
    if place is not None:
        config.CACHE_DIR = str(place)
    try:
        return njit(cache=True, nogil=True, boundscheck=False)(function)
    finally:
        config.CACHE_DIR = before


@contextmanager
def announced(loop: str) -> Iterator[None]:
    """Say once on a machine that a loop is being compiled, while it is."""
    place = folder()
    mark = None if place is None else place / f"{loop}.done"
    if mark is None or mark.exists():
        yield
        return
    print(f"bposim compiles its {loop} loop, once on this machine: some 5 to 30 s …", file=sys.stderr, flush=True)
    yield
    with suppress(OSError):
        mark.touch()
