"""The frozen description of an operation and of its targets; reading, writing, comparing, describing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd
from pydantic import ValidationError

from bposim.errors import ScenarioError, require
from bposim.scenario.check import check_fit, check_names, nearest
from bposim.scenario.describe import Description, describe
from bposim.scenario.document import Document, Where, read_document
from bposim.scenario.fields import parse_hours
from bposim.scenario.findings import finding
from bposim.scenario.models import (
    AgentGroup,
    Arrivals,
    ContactType,
    Operation,
    Routing,
    ShiftPattern,
    read_targets,
)
from bposim.scenario.target import AtMost, ServiceLevel, Target, Turnaround, make_target
from bposim.scenario.written import laid_over
from bposim.schema import STAFFING
from bposim.units import WEEKDAYS, Grid, clock, clock_text, make_grid, seconds, weekdays, zone

__all__ = [
    "AgentGroup", "Arrivals", "AtMost", "ContactType", "Description", "Routing", "Scenario", "ServiceLevel",
    "ShiftPattern", "Target", "Turnaround", "load_scenario", "make_target",
]  # fmt: skip


class Scenario(Operation):
    """An operation: who calls, who answers, when, by which rules, and what was promised.

    Frozen: ``replace()`` gives a changed copy. Made by :func:`load_scenario`, which checks everything.

    Attributes
    ----------
    staffing : mapping of agent group to tuple of float, or None
        Agents scheduled in every open interval of the horizon; takes the place of ``heads``.
    """

    staffing: dict[str, tuple[float, ...]] | None = None

    @cached_property
    def grid(self) -> Grid:
        """Open intervals of the horizon."""
        return make_grid(self.start, self.days, zone(self.time_zone), self.interval, self.opening_hours, self.closed)

    def open_mask(self, contact_type: str) -> np.ndarray:
        """Return which intervals of the grid take contacts of a type, bool, shape (n_intervals,)."""
        hours = self.contact_types[contact_type].opening_hours
        if hours is None:
            return np.ones(len(self.grid), dtype=bool)
        inside = np.zeros((7, 1440), dtype=bool)
        for d, spans in hours.items():
            for begin, end in spans:
                inside[d, begin:end] = True
        return inside[self.grid.weekday, self.grid.minute]

    def expected_contacts(self, contact_type: str) -> np.ndarray:
        """Return the expected contacts of a type in every interval of the grid, shape (n_intervals,)."""
        arrivals = self.contact_types[contact_type].arrivals
        if arrivals.rate is not None:
            expected = arrivals.rate * 3600 * self.grid.hours
        else:
            expected = _over_grid(arrivals.per_interval or {}, self.grid)
        return np.where(self.open_mask(contact_type), expected, 0.0)

    def scheduled_heads(self, agent_group: str) -> np.ndarray:
        """Return the agents of a group scheduled in every interval of the grid, shape (n_intervals,)."""
        if self.agent_groups[agent_group].agents:
            from bposim.scenario.calendars import named_heads

            return named_heads(self, agent_group)
        if self.staffing is not None:
            return np.asarray(self.staffing.get(agent_group, (0.0,) * len(self.grid)), dtype=float)
        return _over_grid(self.agent_groups[agent_group].heads, self.grid)

    def staffing_frame(self) -> pd.DataFrame:
        """Return the scheduled heads as a Staffing frame."""
        parts = [
            pd.DataFrame({"agent_group": g, "interval_start": self.grid.starts, "heads": self.scheduled_heads(g)})
            for g in self.agent_groups
        ]
        return pd.concat(parts, ignore_index=True)

    def with_staffing(self, staffing: Any) -> Scenario:
        """Return a copy staffed by a Staffing frame or a mapping of agent group to heads per interval.

        A group without a row in an interval has nobody there; an interval in which no group has a row is refused: what
        is not given is not 0.
        """
        spec = self.canonical | {"staffing": _read_staffing(staffing, self)}
        return _build(Document(spec, f"scenario {self.name!r}"))

    def replace(self, changes: Mapping[str, Any] | None = None, /, **named: Any) -> Scenario:
        """Return a checked copy with other values.

        Parameters
        ----------
        changes : mapping, optional
            Dotted paths to values: ``{"contact_types.regular.priority": 2}``. None removes a key.
        **named
            Fields of the scenario; ``__`` stands for the dot: ``agent_groups__tellers__heads=9``. A mapping replaces
            what stands there; ``staffing`` takes a Staffing frame.

        Raises
        ------
        ScenarioError
            The path does not exist, or the result is no scenario.
        """
        data = json.loads(json.dumps(self.canonical, default=str))
        if self.staffing is not None:
            data["staffing"] = {g: list(v) for g, v in self.staffing.items()}
        items = dict(changes or {}) | {k.replace("__", "."): v for k, v in named.items()}
        staffing = items.pop("staffing", data.pop("staffing", None))
        changed = _build(Document(laid_over(data, items), f"scenario {self.name!r}"))
        if staffing is None:
            return changed
        if isinstance(staffing, Mapping) and "staffing" not in (changes or {}) and "staffing" not in named:
            lengths = {len(v) for v in staffing.values()}
            if lengths != {len(changed.grid)}:
                return changed  # the horizon changed; a plan for another one does not carry over
        return changed.with_staffing(staffing)

    def diff(self, other: Scenario) -> pd.DataFrame:
        """Return what differs: columns ``path, this, other``, one row per value."""
        mine, theirs = _flatten(self.canonical), _flatten(other.canonical)
        rows = [
            {"path": ".".join(k), "this": mine.get(k), "other": theirs.get(k)}
            for k in dict.fromkeys([*mine, *theirs])
            if mine.get(k) != theirs.get(k)
        ]
        return pd.DataFrame(rows, columns=["path", "this", "other"])

    def describe(self) -> Description:
        """Return contacts, workload and heads by contact type, group and interval, before anything runs."""
        return describe(self)

    def __repr__(self) -> str:
        return (
            f"Scenario({self.name!r}: {len(self.contact_types)} contact types, {len(self.agent_groups)} agent groups, "
            f"{self.days} days from {self.start}, {self.hash})"
        )

    def __str__(self) -> str:
        return str(self.describe())

    def _repr_html_(self) -> str:
        return self.describe()._repr_html_()


def _over_grid(series: Mapping[int, tuple[float, ...]], grid: Grid) -> np.ndarray:
    """Lay per-weekday lists (one value, or one per slot) over the grid, shape (n_intervals,)."""
    table = np.zeros((7, int(grid.slot.max(initial=0)) + 1))
    for d, values in series.items():
        width = table.shape[1]
        table[d] = values[0] if len(values) == 1 else np.pad(values, (0, max(width - len(values), 0)))[:width]
    return table[grid.weekday, grid.slot]


def _flatten(value: Any, where: tuple[str, ...] = ()) -> dict[tuple[str, ...], Any]:
    if isinstance(value, Mapping) and value:
        return {k: v for key, item in value.items() for k, v in _flatten(item, (*where, str(key))).items()}
    return {where: value}


def _read_staffing(staffing: Any, scenario: Scenario) -> dict[str, list[float]]:
    grid = scenario.grid
    known = scenario.agent_groups
    if isinstance(staffing, Mapping):
        problems = [
            f"staffing names {g!r}, which is no agent group.{nearest(g, known)} Known: {', '.join(known)}."
            for g in staffing
            if g not in known
        ]
        if not staffing:
            problems.append(f"staffing names no agent group. Known: {', '.join(known)}. Give 0 for nobody.")
        result = {}
        for g, heads in staffing.items():
            values = (
                np.broadcast_to(np.asarray(heads, dtype=float), (len(grid),))
                if np.ndim(heads) == 0
                else np.asarray(heads, float)
            )
            if len(values) != len(grid):
                problems.append(
                    f"staffing of {g!r} has {len(values)} values; the horizon has {len(grid)} open intervals."
                )
            elif not (np.isfinite(values).all() and (values >= 0).all()):
                problems.append(f"staffing of {g!r} must be finite and at least 0. Got {values.min():g}.")
            result[str(g)] = values.tolist()
        require(problems, ScenarioError)
        return result
    if not isinstance(staffing, pd.DataFrame):
        raise ScenarioError(
            f"staffing must be a frame with columns {', '.join(STAFFING.names)}, or a mapping of agent group to heads. "
            f"Got {type(staffing).__name__}."
        )
    STAFFING.check(staffing, caller="with_staffing()", error=ScenarioError)
    problems = []
    index = pd.Index(grid.starts.tz_convert("UTC"))
    result = {}
    staffed = np.zeros(len(index), dtype=bool)
    for g, rows in staffing.groupby("agent_group", sort=False):
        if g not in known:
            problems.append(
                f"staffing names {g!r}, which is no agent group.{nearest(g, known)} Known: {', '.join(known)}."
            )
            continue
        starts = pd.DatetimeIndex(rows["interval_start"])
        if starts.tz is None:
            problems.append(f"staffing of {g!r} has times without a zone. Localise interval_start first.")
            continue
        place = index.get_indexer(starts.tz_convert("UTC"))
        outside = (place < 0) & (rows["heads"].to_numpy(float) > 0)
        if outside.any():
            first = starts[outside][0]
            problems.append(
                f"staffing of {g!r} has {int(outside.sum())} rows outside the scenario's open intervals (first {first}). "
                f"Give the scenario the same start, days and interval as the plan."
            )
        staffed[place[place >= 0]] = True
        heads = np.zeros(len(index))
        np.add.at(heads, place[place >= 0], rows["heads"].to_numpy(float)[place >= 0])
        if not (np.isfinite(heads).all() and (heads >= 0).all()):
            problems.append(f"staffing of {g!r} must be finite and at least 0.")
        result[str(g)] = heads.tolist()
    # A group without a row may be off duty; where no group has one, nobody said who works.
    holes = np.flatnonzero(~staffed)
    if not len(staffing):
        problems.append(
            "staffing holds no rows: an infeasible plan has none. Give the rows of a plan, with 0 heads for nobody."
        )
    elif len(holes) and not problems:
        problems.append(
            f"staffing has no row for any group in {len(holes)} of {len(index)} open intervals (first "
            f"{grid.starts[holes[0]]}): what is not given is not 0. Write scenario.replace(start=…, days=…) to match the "
            f"plan, closed=[…] for days without service, or add rows with 0 heads."
        )
    require(problems, ScenarioError)
    return result


def load_scenario(source: Any) -> Scenario:
    """Read a scenario and check all of it.

    Parameters
    ----------
    source : str, Path, mapping or Scenario
        A file, YAML text, or the same as plain values. ``extends: other.yaml`` lays the file over another.

    Returns
    -------
    Scenario

    Raises
    ------
    ScenarioError
        Anything is wrong; ``.problems`` lists everything, with line numbers.

    Examples
    --------
    >>> text = '''
    ... name: one-queue
    ... contact_types:
    ...   billing: {arrivals: {rate: 100/h}, handle_time: {exponential: {mean: 3min}}}
    ... agent_groups:
    ...   tellers: {skills: [billing], heads: 8}
    ... '''
    >>> float(load_scenario(text).expected_contacts("billing").sum())
    2400.0
    """
    if isinstance(source, Scenario):
        return source
    return _build(read_document(source, kind="scenario"))


def _build(document: Document) -> Scenario:
    problems = list(document.problems)
    data = document.data
    problems += check_names(document)
    problems += _inline_profiles(data, document)
    data = _with_targets(data, document, problems)
    try:
        operation = Scenario.model_validate(data)
    except ValidationError as error:
        problems += [finding(e, document, Scenario) for e in error.errors()]
        problems += _calendar_problems(data, document)
        raise ScenarioError(dict.fromkeys(problems)) from None
    problems += check_fit(operation, document, _slots(operation))
    if operation.staffing is not None and not problems:
        problems += [
            f"staffing of {g!r} has {len(v)} values; the horizon has {len(operation.grid)} open intervals. "
            f"{document.place(('staffing', g))}"
            for g, v in operation.staffing.items()
            if len(v) != len(operation.grid)
        ]
    require(problems, ScenarioError)
    return operation


def _slots(operation: Operation) -> dict[int, int]:
    """Return the open intervals of each weekday."""
    length = max(int(operation.interval // 60), 1)
    return {d: sum(-(-(end - begin) // length) for begin, end in spans) for d, spans in operation.opening_hours.items()}


def _calendar_problems(data: Any, document: Document) -> list[str]:
    """Check hours and shifts of a file whose other parts are broken, so that one reading reports all of it."""
    keys = ("time_zone", "start", "days", "interval", "opening_hours", "closed", "shifts")
    part = {k: data[k] for k in keys if k in data} | {
        "contact_types": {"any": {"arrivals": {"rate": "1/h"}, "handle_time": {"deterministic": {"value": "1s"}}}},
        "agent_groups": {"any": {"skills": ["any"]}},
    }
    try:
        for shift in part.get("shifts", {}).values():
            if isinstance(shift, dict):
                shift.pop("groups", None)
        operation = Operation.model_validate(part)
        return check_fit(operation, document, _slots(operation))
    except (ValidationError, AttributeError, TypeError):
        return []  # what is wrong with them is among the sentences already


def _with_targets(data: Any, document: Document, problems: list[str]) -> Any:
    """Replace target words by Target values, so that their problems join the list."""
    data = dict(data)
    types = data.get("contact_types")
    if isinstance(types, Mapping):
        types = dict(types)
        for name, body in types.items():
            if isinstance(body, Mapping) and "targets" in body:
                where: Where = ("contact_types", name, "targets")
                found, wrong = read_targets(body["targets"], caller=f"contact type {name!r}")
                problems += [f"{w} {document.place(where)}" for w in wrong]
                problems += [
                    f"target {t} of contact type {name!r} is about agents, who serve other types too. Move it to the "
                    f"scenario's own targets. {document.place(where)}"
                    for t in found
                    if t.metric == "occupancy"
                ]
                types[name] = {**body, "targets": [t.replace(contact_type=t.contact_type or name) for t in found]}
        data["contact_types"] = types
    if "targets" in data:
        found, wrong = read_targets(data["targets"], caller="the scenario")
        problems += [f"{w} {document.place(('targets',))}" for w in wrong]
        for t in found:
            if t.contact_type is not None and isinstance(types, Mapping) and t.contact_type not in types:
                problems.append(
                    f"target {t} names {t.contact_type!r}, which is no contact type. {document.place(('targets',))}"
                )
        data["targets"] = found
    return data


def _inline_profiles(data: Any, document: Document) -> list[str]:
    """Replace ``{profile: file.csv}`` by its numbers: a loaded scenario needs no other file."""
    problems: list[str] = []
    types = data.get("contact_types")
    for name, body in types.items() if isinstance(types, Mapping) else ():
        arrivals = body.get("arrivals") if isinstance(body, Mapping) else None
        if not (isinstance(arrivals, Mapping) and arrivals.get("profile")):
            continue
        where = document.place(("contact_types", name, "arrivals"))
        path = document.folder(("contact_types", name, "arrivals", "profile")) / str(arrivals["profile"])
        try:
            table = pd.read_csv(path)
            missing = {"weekday", "interval", "contacts"} - set(table.columns)
            if missing:
                raise ValueError(f"it has no column {', '.join(sorted(missing))}")
            table["day"] = [weekdays(w)[0] for w in table["weekday"]]
            table["minute"] = [clock(c) for c in table["interval"]]
        except (OSError, ValueError) as error:
            problems.append(f"profile {str(path)!r} of {name!r} cannot be read: {error}. {where}")
            continue
        table = table.sort_values(["day", "minute"])
        off = _off_grid(table, data)
        if off:
            problems.append(f"profile {str(path)!r} of {name!r} {off} {where}")
            continue
        per_day = {d: rows["contacts"].astype(float).tolist() for d, rows in table.groupby("day")}
        body["arrivals"] = {"per_interval": per_day}
    return problems


def _off_grid(table: pd.DataFrame, data: Any) -> str | None:
    """Return how a profile's times differ from the open intervals, None where they agree or cannot be compared."""
    try:
        hours = parse_hours(data.get("opening_hours", {"daily": "00:00-24:00"}))
        step = int(seconds(data.get("interval", "30min")) // 60)
        wanted = {d: [m for a, b in spans for m in range(a, b, step)] for d, spans in hours.items() if spans}
    except (ValueError, AttributeError, TypeError):
        return None  # the hours themselves are wrong, and said to be
    for d, minutes in wanted.items():
        given = table.loc[table["day"] == d, "minute"].tolist()
        if given != minutes:
            odd = sorted(set(given) ^ set(minutes))
            return (
                f"has {len(given)} intervals on {WEEKDAYS[d]}, the scenario {len(minutes)} open ones; they differ first at "
                f"{clock_text(odd[0]) if odd else 'a repeated time'}. Give one row for each open interval."
            )
    return None
