"""One page that a manager can read: what was assumed, what was estimated, what can be promised, at what cost."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bposim.errors import ParameterError
from bposim.provenance import Provenance, package_version
from bposim.report.sections import RENDER, Section

__all__ = ["Report", "report", "whole", "write_whole"]


@dataclass(frozen=True, eq=False)
class Report:
    """A finished page.

    Attributes
    ----------
    html : str
        Self-contained: pictures are inside.
    provenance : Provenance
    answer : tuple of str
        The sentences at the top.
    """

    html: str
    provenance: Provenance
    answer: tuple[str, ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the page; never half of it."""
        return write_whole(Path(path), self.html)

    def _repr_html_(self) -> str:
        return self.html


@contextmanager
def whole(path: Path) -> Iterator[Path]:
    """Give a scratch file beside ``path`` and put it in its place at the end: nobody ever sees half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=".", suffix=path.suffix)
    os.close(handle)
    try:
        yield Path(name)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> Path:
    """Write a text file in one step."""
    with whole(path) as scratch:
        scratch.write_text(text, encoding="utf-8")
    return path


def report(
    *parts: Any,
    title: str = "What can this operation promise?",
    answer: list[str] | None = None,
    doubts: list[str] | None = None,
) -> Report:
    """Put results on one self-contained HTML page.

    Parameters
    ----------
    *parts : History, Calibration, Backtest, Forecast, Requirement, ShiftPlan, SimulationResult, Assessment, Frontier, Advice, Capability
        In the order in which they are to be read.
    title : str
    answer : list of str, optional
        Sentences at the top; None makes them from an Assessment and an Advice among the parts.
    doubts : list of str, optional
        What a sceptic would say, told at the end.

    Returns
    -------
    Report
        ``.html`` and ``.save(path)``.

    Raises
    ------
    ParameterError
        A part is none of these.
    """
    from jinja2 import Environment, PackageLoader, select_autoescape

    unknown = [type(p).__name__ for p in parts if type(p).__name__ not in RENDER]
    if unknown or not parts:
        raise ParameterError(f"report() takes {', '.join(RENDER)}. Got {', '.join(unknown) or 'nothing'}.")
    sections = [RENDER[type(p).__name__](p) for p in parts]
    if doubts:
        sections.append(Section("What a sceptic would say", points=doubts))
    made = Provenance("report", {"title": title}, tuple(p.provenance for p in parts if getattr(p, "provenance", None)))
    if answer is None:
        answer = [line for p in parts for line in _answer(p)]
    environment = Environment(loader=PackageLoader("bposim.report", "."), autoescape=select_autoescape())
    html = environment.get_template("template.html").render(
        title=title, subtitle=f"bposim {package_version()}, {made.made_at}", answer=answer, sections=sections,
        footer="Made from: " + "; ".join(str(p) for p in made.parents),
    )  # fmt: skip
    return Report(html, made, tuple(answer))


def _answer(part: Any) -> list[str]:
    if type(part).__name__ == "Assessment":
        lines = [
            f"{part.term}: met with probability {part.probability:.2f} on this staffing ({part.status} at {100 * part.confidence:.4g} %)."
        ]
        if part.term.metric in ("service_level", "turnaround"):
            lines.append(f"At {100 * part.confidence:.4g} % it could promise {100 * part.attainable_share:.1f} %.")
        return lines
    if type(part).__name__ in ("Advice", "Capability"):
        return ["Worth signing: " + "; ".join(map(str, part.targets)) + "."]
    return []
