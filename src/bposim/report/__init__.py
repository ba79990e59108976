"""One page that a manager can read: what was assumed, what was estimated, what can be promised, at what cost."""

from __future__ import annotations

import base64
import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.provenance import Provenance, package_version

__all__ = ["Report", "report", "whole", "write_whole"]


@dataclass
class _Section:
    title: str
    texts: list[str] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Report:
    """A finished page.

    Attributes
    ----------
    html : str
        Self-contained: pictures are inside.
    provenance : Provenance
    """

    html: str
    provenance: Provenance

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


def _png(ax: Any, alt: str) -> dict[str, str]:
    figure = (ax.ravel()[0] if isinstance(ax, np.ndarray) else ax).figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return {"alt": alt, "data": base64.b64encode(buffer.getvalue()).decode()}


def _text(value: Any) -> tuple[str, bool]:
    if isinstance(value, (bool, np.bool_)):
        return ("yes" if value else "no"), False
    if isinstance(value, float | np.floating):
        value = float(value)
        if not np.isfinite(value):
            return "–", True
        if value == round(value) and abs(value) < 1e15:
            return f"{value:,.0f}", True
        return (f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}" if abs(value) < 1 else f"{value:,.4g}"), True
    if isinstance(value, int | np.integer):
        return f"{value:,}", True
    if isinstance(value, pd.Timestamp):
        return f"{value:%d %b %Y %H:%M}" if value.hour or value.minute else f"{value:%d %b %Y}", False
    return str(value), False


def _table(
    frame: pd.DataFrame, names: dict[str, str] | None = None, *, percent: tuple[str, ...] = (), folded: str = ""
) -> dict[str, Any]:
    names = names or {str(c): str(c).replace("_", " ") for c in frame.columns}
    shown = frame[[c for c in names if c in frame.columns]]
    rows = []
    for record in shown.itertuples(index=False):
        cells = []
        for column, value in zip(shown.columns, record, strict=True):
            if column in percent and isinstance(value, float) and np.isfinite(value):
                cells.append({"text": f"{100 * value:.1f} %", "number": True})
            else:
                text, number = _text(value)
                cells.append({"text": text, "number": number})
        rows.append(cells)
    numbers = [bool(rows) and rows[0][k]["number"] for k in range(len(shown.columns))]
    columns = [{"name": names[c], "number": n} for c, n in zip(shown.columns, numbers, strict=True)]
    return {"columns": columns, "rows": rows, "folded": folded}


def _history(part: Any) -> _Section:
    section = _Section("The data", [repr(part.quality).splitlines()[0]])
    section.tables.append(
        _table(
            part.check().frame,
            {
                "rule": "rule",
                "severity": "severity",
                "rows": "rows",
                "message": "what",
                "done": "done",
                "override": "to override",
            },
        )
    )
    return section


def _calibration(part: Any) -> _Section:
    section = _Section("What was estimated, and what was assumed")
    section.pictures.append(_png(part.plot(), "Arrivals by weekday, handle time and patience of the largest queue"))
    frame = part.summary()
    head = frame[~frame["subject"].str.contains(", ")]
    names = {"parameter": "parameter", "subject": "of", "value": "value", "ci_low": "from", "ci_high": "to", "unit": "unit",
             "n": "n", "source": "source", "detail": "how"}  # fmt: skip
    section.tables.append(_table(head, names))
    section.tables.append(
        _table(frame[frame["subject"].str.contains(", ")], names, folded="Contacts per day by type and weekday")
    )
    section.points = [*part.notes, *(f"Assumed: {a}" for a in part.scenario.assumptions)]
    return section


def _backtest(part: Any) -> _Section:
    section = _Section("Does the model reproduce what happened?", [f"{part.verdict.upper()}: {part.reason}"])
    section.pictures.append(_png(part.plot(), "Observed service level by day over the simulated band"))
    section.tables.append(
        _table(
            part.frame,
            {
                "metric": "metric",
                "observed": "observed",
                "simulated": "simulated",
                "low": "5 %",
                "high": "95 %",
                "verdict": "verdict",
            },
        )
    )
    return section


def _forecast(part: Any) -> _Section:
    section = _Section("Forecast")
    section.pictures.append(_png(part.plot(), "Forecast of contacts by day"))
    section.points = repr(part).splitlines()[1:]
    return section


def _requirement(part: Any) -> _Section:
    section = _Section("Requirement by interval", [str(part)])
    section.pictures.append(_png(part.plot(), "Agents required by interval"))
    return section


def _plan(part: Any) -> _Section:
    section = _Section("Plan against requirement", [repr(part)])
    if part.status != "infeasible":
        section.pictures.append(_png(part.plot(), "Heads scheduled against heads required, by interval"))
        work = part.shifts.groupby(["shift", "agent_group"], as_index=False)[["heads", "paid_hours", "cost"]].sum()
        section.tables.append(_table(work))
        section.tables.append(
            _table(
                part.shifts.head(400),
                {c: c.replace("_", " ") for c in part.shifts.columns if c != "day"},
                folded="Every shift",
            )
        )
    if len(part.conflicts):
        section.tables.append(_table(part.conflicts, {"kind": "kind", "limit": "limit", "message": "what"}))
    return section


def _runs(part: Any) -> _Section:
    section = _Section("Simulated performance", [f"{part.replications} replications, seed {part.seed}."])
    section.tables.append(
        _table(part.summary(), {"metric": "metric", "value": "value", "ci_low": "from", "ci_high": "to"})
    )
    return section


def _assessment(part: Any) -> _Section:
    section = _Section(f"Can it be promised? {part.term}", repr(part).splitlines()[1:2])
    section.pictures.append(_png(part.plot(), "Distribution of the window's metric against the target"))
    if "plan" in part._found:
        plan = part.cheapest_plan
        section.texts.append(f"Cheapest staffing found that keeps it at {100 * part.confidence:.4g} %: {plan!r}.")
        section.tables.append(_table(plan.tried, folded="Plans looked at"))
    section.points = list(part.notes)
    return section


def _frontier(part: Any) -> _Section:
    section = _Section("What each cost level could promise")
    section.pictures.append(_png(part.plot(), "Attainable level and probability against cost"))
    share = ("mean", "attainable", "attainable_low", "attainable_high", "planned_share")
    section.tables.append(
        _table(
            part.frame, percent=share if part.term.metric in ("service_level", "abandonment") else ("planned_share",)
        )
    )
    return section


def _advice(part: Any) -> _Section:
    said = f"All together they are met with probability {part.joint_probability:.3f} [{part.joint_low:.3f}, {part.joint_high:.3f}]."
    section = _Section("Targets worth signing", [said])
    section.pictures.append(_png(part.plot(), "Probability of each recommended target"))
    names = {
        "target": "target",
        "covers": "covers",
        "probability": "probability",
        "ci_low": "from",
        "ci_high": "to",
        "why": "why",
    }
    section.tables.append(_table(part.frame, names))
    if len(part.clauses):
        section.texts.append("The draft's own clauses:")
        section.tables.append(_table(part.clauses))
    section.points = list(part.notes)
    return section


_RENDER = {
    "History": _history, "Calibration": _calibration, "Backtest": _backtest, "Forecast": _forecast,
    "Requirement": _requirement, "ShiftPlan": _plan, "SimulationResult": _runs, "Assessment": _assessment,
    "Frontier": _frontier, "Advice": _advice,
}  # fmt: skip


def report(
    *parts: Any,
    title: str = "What can this operation promise?",
    answer: list[str] | None = None,
    doubts: list[str] | None = None,
) -> Report:
    """Put results on one self-contained HTML page.

    Parameters
    ----------
    *parts : History, Calibration, Backtest, Forecast, Requirement, ShiftPlan, SimulationResult, Assessment, Frontier, Advice
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

    unknown = [type(p).__name__ for p in parts if type(p).__name__ not in _RENDER]
    if unknown or not parts:
        raise ParameterError(f"report() takes {', '.join(_RENDER)}. Got {', '.join(unknown) or 'nothing'}.")
    sections = [_RENDER[type(p).__name__](p) for p in parts]
    if doubts:
        sections.append(_Section("What a sceptic would say", points=doubts))
    made = Provenance("report", {"title": title}, tuple(p.provenance for p in parts if getattr(p, "provenance", None)))
    if answer is None:
        answer = [line for p in parts for line in _answer(p)]
    environment = Environment(loader=PackageLoader("bposim.report", "."), autoescape=select_autoescape())
    html = environment.get_template("template.html").render(
        title=title, subtitle=f"bposim {package_version()}, {made.made_at}", answer=answer, sections=sections,
        footer="Made from: " + "; ".join(str(p) for p in made.parents),
    )  # fmt: skip
    return Report(html, made)


def _answer(part: Any) -> list[str]:
    if type(part).__name__ == "Assessment":
        lines = [
            f"{part.term}: met with probability {part.probability:.2f} on this staffing ({part.status} at {100 * part.confidence:.4g} %)."
        ]
        if part.term.metric in ("service_level", "turnaround"):
            lines.append(f"At {100 * part.confidence:.4g} % it could promise {100 * part.attainable_share:.1f} %.")
        return lines
    if type(part).__name__ == "Advice":
        return ["Worth signing: " + "; ".join(map(str, part.targets)) + "."]
    return []
