"""How each result stands on the page: its pictures, its tables and the words for them."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics.glossary import GLOSSARY
from bposim.units import format_seconds


@dataclass
class Section:
    """A heading with what stands under it."""

    title: str
    texts: list[str] = field(default_factory=list)
    pictures: list[dict[str, str]] = field(default_factory=list)
    tables: list[dict[str, Any]] = field(default_factory=list)
    points: list[str] = field(default_factory=list)


class _Figure(str):
    """A number with its unit, aligned like one."""


def _picture(part: Any, alt: str) -> dict[str, str]:
    """Draw a part; names are words, so a dollar sign in one begins no formula."""
    import matplotlib

    with matplotlib.rc_context({"text.parse_math": False}):
        return _png(part.plot(), alt)


def _png(ax: Any, alt: str) -> dict[str, str]:
    figure = (ax.ravel()[0] if isinstance(ax, np.ndarray) else ax).figure
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return {"alt": alt, "data": base64.b64encode(buffer.getvalue()).decode()}


def _level(metric: str, value: float) -> _Figure:
    """Return a metric's value as a planner writes it: shares in per cent, waits with their unit."""
    if not np.isfinite(value):
        return _Figure("–")
    unit = GLOSSARY[metric].unit if metric in GLOSSARY else "share"
    if unit == "share":
        return _Figure(f"{100 * value:.1f} %")
    return _Figure(f"{value:,.1f} s" if unit == "s" else _text(float(value))[0])


def _levels(frame: pd.DataFrame, metric: str | None, *columns: str) -> pd.DataFrame:
    """Return a frame whose values are written out; ``metric`` None reads each row's own."""
    kinds = [metric] * len(frame) if metric else [str(m).split()[0] for m in frame["metric"]]
    written = {c: [_level(str(k), float(v)) for k, v in zip(kinds, frame[c], strict=True)] for c in columns}
    return frame.assign(**{c: pd.Series(v, index=frame.index, dtype=object) for c, v in written.items()})


def _chances(frame: pd.DataFrame, *columns: str) -> pd.DataFrame:
    """Return a frame whose probabilities have three digits, also where they are 0 or 1."""
    shown = {c: pd.Series([_Figure("–" if v != v else f"{v:.3f}") for v in frame[c]], index=frame.index, dtype=object)
             for c in columns}  # fmt: skip
    return frame.assign(**shown)


def _title(metric: str) -> str:
    """Return a metric's words, with the threshold that stands behind its name."""
    name, _, rest = metric.partition(" ")
    title = GLOSSARY[name].title if name in GLOSSARY else name.replace("_", " ")
    return f"{title} ({rest.replace('s', ' s')})" if rest else title


def _text(value: Any) -> tuple[str, bool]:
    if isinstance(value, _Figure):
        return str(value), True
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


def _table(frame: pd.DataFrame, names: dict[str, str] | None = None, *, folded: str = "") -> dict[str, Any]:
    names = names or {str(c): str(c).replace("_", " ") for c in frame.columns}
    shown = frame[[c for c in names if c in frame.columns]]
    rows = []
    for record in shown.itertuples(index=False):
        cells = []
        for value in record:
            text, number = _text(value)
            cells.append({"text": text, "number": number})
        rows.append(cells)
    numbers = [bool(rows) and rows[0][k]["number"] for k in range(len(shown.columns))]
    columns = [{"name": names[c], "number": n} for c, n in zip(shown.columns, numbers, strict=True)]
    return {"columns": columns, "rows": rows, "folded": folded}


def _history(part: Any) -> Section:
    section = Section("The data", [repr(part.quality).splitlines()[0]])
    found = part.check().frame
    if len(found):
        names = {"rule": "rule", "severity": "severity", "rows": "rows", "message": "what", "done": "done",
                 "override": "to override"}  # fmt: skip
        section.tables.append(_table(found, names))
    else:
        section.texts.append("No rule of data quality was broken.")
    return section


def _calibration(part: Any) -> Section:
    section = Section("What was estimated, and what was assumed")
    section.pictures.append(_picture(part, "Arrivals by weekday, handle time and patience of the largest queue"))
    frame = part.summary()
    daily = frame["parameter"] == "contacts per day"
    names = {"parameter": "parameter", "subject": "of", "value": "value", "ci_low": "from (95 %)", "ci_high": "to (95 %)",
             "unit": "unit", "n": "observations", "source": "source", "detail": "how"}  # fmt: skip
    section.tables.append(_table(frame[~daily], names))
    section.tables.append(_table(frame[daily], names, folded="Contacts per day by type and weekday"))
    section.points = [*part.notes, *(f"Assumed: {a}" for a in part.scenario.assumptions)]
    return section


def _backtest(part: Any) -> Section:
    said = f"{part.verdict.upper()}: {part.reason} {part.beside}".rstrip()
    section = Section("Does the model reproduce what happened?", [said])
    section.pictures.append(_picture(part, "Observed service level by day over the simulated band"))
    names = {"metric": "metric", "observed": "observed", "simulated": "simulated", "low": "simulated from (5 %)",
             "high": "to (95 %)", "verdict": "verdict"}  # fmt: skip
    shown = _levels(part.frame, None, "observed", "simulated", "low", "high")
    section.tables.append(_table(shown.assign(metric=[_title(m) for m in shown["metric"]]), names))
    return section


def _forecast(part: Any) -> Section:
    section = Section("Forecast")
    section.pictures.append(_picture(part, "Forecast of contacts by day"))
    section.points = [line.strip() for line in repr(part).splitlines()[1:]]
    return section


def _requirement(part: Any) -> Section:
    section = Section("Requirement by interval", [str(part)])
    section.pictures.append(_picture(part, "Agents required by interval"))
    return section


def _plan(part: Any) -> Section:
    section = Section("Plan against requirement")
    if part.status == "infeasible":
        section.texts.append(repr(part))
    else:
        least = (
            "the least cost that the search takes to be possible"
            if part.trail is not None
            else "the cheapest cover of the requirement"
        )
        near = "how near to the least cost is not known" if np.isnan(part.gap) else f"within {part.gap:.1%} of {least}"
        state = {"stopped": f"the search was stopped, {near}", "met": f"checked by simulation, {near}"}
        section.texts.append(
            f"{int(part.shifts['heads'].sum()):,} shifts worked, {part.shifts['paid_hours'].sum():,.0f} paid hours at a cost of "
            f"{part.cost:,.0f} ({state.get(part.status, near)})."
        )
        section.texts += part.notes
        section.pictures.append(_picture(part, "Heads scheduled against heads required, by interval"))
        work = part.shifts.groupby(["shift", "agent_group"], as_index=False)[["heads", "paid_hours", "cost"]].sum()
        names = {"shift": "shift", "agent_group": "agent group", "heads": "shifts worked", "paid_hours": "paid hours",
                 "cost": "cost"}  # fmt: skip
        section.tables.append(_table(work, names))
        every = {c: c.replace("_", " ") for c in part.shifts.columns if c != "day"}
        cut = f" (the first 400 of {len(part.shifts):,} rows)" if len(part.shifts) > 400 else ""
        section.tables.append(_table(part.shifts.head(400), every, folded=f"Every shift{cut}"))
    if len(part.conflicts):
        section.tables.append(_table(part.conflicts, {"kind": "kind", "limit": "limit", "message": "what"}))
    return section


def _runs(part: Any) -> Section:
    section = Section(
        "Simulated performance",
        [
            f"{part.replications} replications, seed {part.seed}; means with 95 % interval. Service level: answered within "
            f"{format_seconds(part.default_within_s)}, of all that queued."
        ],
    )
    shown = _levels(part.summary(), None, "value", "ci_low", "ci_high")
    shown = shown.assign(metric=[_title(m) for m in shown["metric"]])
    section.tables.append(_table(shown, {"metric": "metric", "value": "value", "ci_low": "from", "ci_high": "to"}))
    return section


def _assessment(part: Any) -> Section:
    section = Section(f"Can it be promised? {part.term}")
    money, metric = part.runs.scenario.currency, part.term.metric
    low, best, high, mean = (
        _level(metric, v) for v in (part.attainable_low, part.attainable_share, part.attainable_high, part.mean)
    )
    breaks = ", breaks not counted," if part.current.plan is None else ""
    section.texts.append(
        f"On the staffing assessed ({part.current.agent_hours:,.0f} {part.current.basis}{breaks} at {part.current.cost:,.0f} {money}) "
        f"it is met with probability {part.probability:.3f} (95 % interval {part.probability_low:.3f} to "
        f"{part.probability_high:.3f}). The mean is {mean}; with {100 * part.confidence:.4g} % confidence {best} could be promised "
        f"(sampling error {low} to {high})."
    )
    section.pictures.append(_picture(part, "Distribution of the window's metric against the target"))
    if "plan" in part._found:
        plan = part.cheapest_plan
        sure, size = (
            f"{100 * part.confidence:.4g} %",
            f"{plan.agent_hours:,.0f} {plan.level.basis} at {plan.cost:,.0f} {money}",
        )
        section.texts.append(
            f"Cheapest staffing found that keeps it at {sure}: {size}, probability {plan.probability:.3f} (95 % interval "
            f"{plan.low:.3f} to {plan.high:.3f}) on fresh replications."
            if plan.status == "met"
            else f"No staffing up to {size} keeps it at {sure}."
        )
        names = {"planned_share": "planned for (expected level of each interval)", "agent_hours": plan.level.basis,
                 "cost": f"cost ({money})", "probability": "probability of the target", "fresh": "on fresh replications"}  # fmt: skip
        tried = _chances(_levels(plan.tried, "service_level", "planned_share"), "probability")
        section.tables.append(_table(tried, names, folded="Plans looked at"))
    section.points = list(part.notes)
    return section


def _frontier(part: Any) -> Section:
    section = Section("What each cost level could promise")
    section.pictures.append(_picture(part, "Attainable level and probability against cost"))
    hours = part.levels[0].basis if part.levels else "hours"
    names = {"planned_share": "planned for (expected level of each interval)", "agent_hours": hours,
             "cost": f"cost ({part.currency})", "mean": "mean level", "attainable": f"could be promised at {100 * part.confidence:.4g} %",
             "attainable_low": "from", "attainable_high": "to", "probability": f"probability of {part.term}", "ci_low": "from (95 %)",
             "ci_high": "to (95 %)"}  # fmt: skip
    shown = _levels(part.frame, part.term.metric, "mean", "attainable", "attainable_low", "attainable_high")
    shown = _chances(_levels(shown, "service_level", "planned_share"), "probability", "ci_low", "ci_high")
    section.tables.append(_table(shown, names))
    return section


def _advice(part: Any) -> Section:
    said = (f"All together they are met with probability {part.joint_probability:.3f} (95 % interval {part.joint_low:.3f} to "
            f"{part.joint_high:.3f}).")  # fmt: skip
    section = Section("Targets worth signing", [said])
    section.pictures.append(_picture(part, "Probability of each recommended target"))
    names = {"target": "target", "covers": "covers", "probability": "probability", "ci_low": "from (95 %)",
             "ci_high": "to (95 %)", "why": "why"}  # fmt: skip
    section.tables.append(_table(_chances(part.frame, "probability", "ci_low", "ci_high"), names))
    if len(part.clauses):
        section.texts.append("The draft's own clauses are in the second table.")
        names = {"target": "clause", "probability": "probability", "ci_low": "from (95 %)", "ci_high": "to (95 %)",
                 "attainable": f"could be promised at {100 * part.confidence:.4g} %", "verdict": "verdict"}  # fmt: skip
        section.tables.append(_table(_chances(part.clauses, "probability", "ci_low", "ci_high"), names))
    section.points = list(part.notes)
    return section


def _capability(part: Any) -> Section:
    section = Section(
        "Targets from demonstrated capability",
        [
            f"Each is met by a {part.frame['window'].iloc[0]} at {100 * part.confidence:.4g} %; review: {part.review:%B %Y}."
        ],
    )
    section.pictures.append(_picture(part, "History, glide path and what is expected"))
    names = {"target": "target for the year", "covers": "covers", "probability": "probability", "ci_low": "from (95 %)",
             "ci_high": "to (95 %)", "why": "why"}  # fmt: skip
    section.tables.append(_table(_chances(part.frame, "probability", "ci_low", "ci_high"), names))
    path = part.path.assign(window_start=part.path["window_start"].dt.strftime("%Y-%m"))
    names = {"metric": "metric", "window_start": "from", "level": "target", "expected": "expected", "low": "from (80 %)",
             "high": "to (80 %)"}  # fmt: skip
    section.tables.append(_table(path, names, folded="Glide path"))
    section.points = list(part.notes)
    return section


#: What a report takes, by the name of its type.
RENDER: dict[str, Callable[[Any], Section]] = {
    "History": _history, "Calibration": _calibration, "Backtest": _backtest, "Forecast": _forecast,
    "Requirement": _requirement, "ShiftPlan": _plan, "SimulationResult": _runs, "Assessment": _assessment,
    "Frontier": _frontier, "Advice": _advice, "Capability": _capability,
}  # fmt: skip
