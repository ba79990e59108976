"""The command line: ``bposim check | calibrate | forecast | staff | simulate | targets | settle | report | demo``.

Exit code 0: done, the answer is yes. 1: the answer is no (bad data, target not met, infeasible). 2: wrong usage. What
``--json`` prints is in ``docs/design/command-line.md``.
"""

from __future__ import annotations

import os
import sys
import warnings
from typing import Any

__all__ = ["main"]


def _one_line(message: Any, category: Any, *_: Any, **__: Any) -> None:
    print(f"Warning: {message}", file=sys.stderr)


#: What a message shows in Python, and how that is written on the command line.
_OPTIONS = {
    'columns={"': '--column ours="theirs"',
    'tz="': "--tz Asia/Manila",
    "accept=[": "--accept RULE, once for each rule",
    "counting=": "--counting and --within",
    "day_first=": "--day-first or --month-first",
    "draft_scenario() needs": "--scenario with one written by hand; scenarios/ has examples",
}


def _option(problem: str) -> str:
    """Return how the way out is written on the command line, where the sentence shows Python."""
    return next((f" Here: {way}." for shown, way in _OPTIONS.items() if shown in problem), "")


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; a user's mistake ends in a message and an exit code, never in a traceback."""
    from bposim.cli.commands import app
    from bposim.errors import BposimError

    warnings.showwarning = _one_line
    try:
        app(args=arguments, standalone_mode=True)
    except BposimError as error:
        for k, problem in enumerate(error.problems):
            name = f"{type(error).__name__}: " if k == 0 else "  also: "
            print(f"{name}{problem}{_option(problem)}", file=sys.stderr)
        raise SystemExit(2) from None
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(0) from None
    except OSError as error:
        where = f" {str(error.filename)!r}" if error.filename else ""
        print(f"File{where} cannot be used: {error.strerror or error}. Choose another, or free it.", file=sys.stderr)
        raise SystemExit(2) from None
    except KeyboardInterrupt:
        print("Stopped. Files written so far are whole.", file=sys.stderr)
        raise SystemExit(130) from None
