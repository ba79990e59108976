"""The frozen description of an operation: contact types, agent groups, routing, shifts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from itertools import pairwise
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, ValidationInfo, model_validator

from bposim.distributions import Distribution, day_factor, distribution
from bposim.errors import ScenarioError
from bposim.scenario.target import Target, make_target
from bposim.schema import CHANNELS, DEFERRED
from bposim.units import clock, clock_text, format_seconds, per_second, seconds, share, weekdays

SCHEMA = "bposim/scenario/1"


def _name(info: ValidationInfo) -> str:
    return str(info.field_name)


def _duration(value: Any, info: ValidationInfo) -> float:
    return value if isinstance(value, float) else seconds(value, what=_name(info))


def _clock(value: Any, info: ValidationInfo) -> int:
    return clock(value, what=_name(info))


def _share(value: Any, info: ValidationInfo) -> float:
    return share(value, what=_name(info))


def _dist(value: Any) -> Distribution:
    return value if isinstance(value, Distribution) else distribution(value)


def _factor(value: Any) -> Distribution | None:
    return value if value is None or isinstance(value, Distribution) else day_factor(value)


def _dists(value: Any) -> tuple[Distribution, ...]:
    return tuple(_dist(v) for v in value) if isinstance(value, list | tuple) else (_dist(value),)


def _dists_spec(value: tuple[Distribution, ...]) -> Any:
    return value[0].to_spec() if len(value) == 1 else [v.to_spec() for v in value]


# A float is already in seconds: it comes from a model, never from a file, where a number without unit is refused.
Duration = Annotated[float, BeforeValidator(_duration), PlainSerializer(format_seconds)]
Clock = Annotated[int, BeforeValidator(_clock), PlainSerializer(clock_text)]
Share = Annotated[float, BeforeValidator(_share)]
Distributions = Annotated[tuple[Distribution, ...], BeforeValidator(_dists), PlainSerializer(_dists_spec)]
DayFactor = Annotated[
    Distribution | None, BeforeValidator(_factor), PlainSerializer(lambda v: None if v is None else v.to_spec())
]


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", arbitrary_types_allowed=True, populate_by_name=True)


def parse_hours(value: Any) -> dict[int, tuple[tuple[int, int], ...]]:
    """Return open spans in minutes by weekday from ``{sun-thu: "07:00-24:00", fri: closed}``; past midnight wraps."""
    if not isinstance(value, Mapping):
        raise ValueError(f'opening_hours={value!r} must map weekdays to spans. Write {{mon-fri: "08:00-18:00"}}.')
    result: dict[int, list[tuple[int, int]]] = {d: [] for d in range(7)}
    for days, spans in value.items():
        numbers = (
            (days,) if isinstance(days, int) and not isinstance(days, bool) else weekdays(days, what="opening_hours")
        )
        for span in [spans] if isinstance(spans, str) else spans:
            if span == "closed":
                continue
            text = span.split("-") if isinstance(span, str) else list(span)
            if len(text) != 2:
                raise ValueError(f'opening_hours {days}: {span!r} is no span. Write "08:00-18:00" or "closed".')
            begin, end = (clock(t.strip() if isinstance(t, str) else t, what=f"opening_hours {days}") for t in text)
            if begin == end:
                raise ValueError(
                    f'opening_hours {days}: {span!r} is empty. Write "closed", or "00:00-24:00" for all day.'
                )
            for d in numbers:
                if end > begin:
                    result[d].append((begin, end))
                else:
                    result[d].append((begin, 1440))
                    if end:
                        result[(d + 1) % 7].append((0, end))
    for d, found in result.items():
        found.sort()
        for (_, first_end), (second_begin, _) in pairwise(found):
            if second_begin < first_end:
                raise ValueError(f"opening_hours: two spans overlap on weekday {d} (Monday is 0). Join them.")
    return {d: tuple(found) for d, found in result.items()}


def _hours_spec(value: dict[int, tuple[tuple[int, int], ...]] | None) -> Any:
    if value is None:
        return None
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    return {
        names[d]: [f"{clock_text(a)}-{clock_text(b)}" for a, b in spans] or "closed"
        for d, spans in sorted(value.items())
    }


Hours = Annotated[dict[int, tuple[tuple[int, int], ...]], BeforeValidator(parse_hours), PlainSerializer(_hours_spec)]


def _series(value: Any, what: str) -> dict[int, tuple[float, ...]]:
    """Return one list per weekday from a number, a list or a mapping of weekdays to either; every number at least 0."""

    def numbers(entry: Any) -> tuple[float, ...]:
        items = entry if isinstance(entry, list | tuple | np.ndarray) else [entry]
        try:
            result = tuple(float(x) for x in items)
        except (TypeError, ValueError):
            raise ValueError(f"{what}={entry!r} must be a number or a list of numbers.") from None
        bad = [k for k, x in enumerate(result) if not (x >= 0 and np.isfinite(x))]
        if bad:
            raise ValueError(f"{what} must be finite and at least 0. Got {result[bad[0]]} at interval {bad[0] + 1}.")
        if not result:
            raise ValueError(f"{what} is an empty list. Give one number for each open interval, or a single one.")
        return result

    if isinstance(value, Mapping):
        result: dict[int, tuple[float, ...]] = {}
        for days, entry in value.items():
            for d in (days,) if isinstance(days, int) else weekdays(days, what=what):
                result[d] = numbers(entry)
        return result
    return dict.fromkeys(range(7), numbers(value))


def _series_spec(value: dict[int, tuple[float, ...]]) -> Any:
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

    def short(x: tuple[float, ...]) -> Any:
        plain = [int(v) if v == int(v) else v for v in x]
        return plain[0] if len(plain) == 1 else plain

    if len(value) == 7 and len(set(value.values())) == 1:
        return short(value[0])
    return {names[d]: short(v) for d, v in sorted(value.items())}


PerInterval = Annotated[
    dict[int, tuple[float, ...]],
    BeforeValidator(lambda v, info: _series(v, _name(info))),
    PlainSerializer(_series_spec),
]


class Arrivals(_Model):
    """When contacts come: a constant rate, or expected contacts by weekday and open interval.

    Attributes
    ----------
    rate : float or None
        Contacts per second, written ``120/h``.
    per_interval : mapping of weekday to tuple, or None
        Expected contacts in each open interval of the day.
    profile : str or None
        A CSV with columns ``weekday, interval, contacts`` (``mon, 09:00, 12.5``), resolved when the file is loaded.
    """

    rate: Annotated[float | None, BeforeValidator(lambda v: v if v is None or isinstance(v, float) else per_second(v)),
                    PlainSerializer(lambda v: None if v is None else f"{v * 3600:.12g}/h")] = None  # fmt: skip
    per_interval: PerInterval | None = None
    profile: str | None = None

    @model_validator(mode="after")
    def _one(self) -> Arrivals:
        given = [k for k in ("rate", "per_interval", "profile") if getattr(self, k) is not None]
        if len(given) != 1:
            raise ValueError(f"arrivals needs exactly one of rate, per_interval, profile. Got {given or 'none'}.")
        return self


class ContactType(_Model):
    """A kind of contact: its channel, arrivals, handle time, patience, priority and targets."""

    channel: Literal["voice", "chat", "email", "work"] = "voice"
    arrivals: Arrivals
    day_factor: DayFactor = None
    handle_time: Distributions
    patience: Distributions = Field(default=(distribution("infinite"),), validate_default=False)
    priority: int = 1
    queue_limit: int | None = Field(default=None, ge=0)
    opening_hours: Hours | None = None
    targets: tuple[Target, ...] = ()

    @property
    def deferred(self) -> bool:
        """Whether its contacts keep for the next day when the doors close."""
        return self.channel in DEFERRED


def _skills(value: Any) -> Any:
    return dict.fromkeys(value, 1.0) if isinstance(value, list | tuple) else value


class AgentGroup(_Model):
    """Agents with the same skills.

    Attributes
    ----------
    skills : mapping of contact type to handle-time multiplier
        In order of preference; a list stands for multipliers of 1.
    heads : mapping of weekday to tuple
        Agents scheduled in each open interval (one number stands for all).
    shrinkage : float
        Share of the scheduled who are not available: scheduled = net / (1 − shrinkage).
    day_factor : Distribution or None
        The day's staffing relative to ``heads``, common to its intervals, mean 1; not applied to a plan's staffing.
    cost_per_hour : float
        Per paid hour, in the scenario's currency.
    """

    skills: Annotated[dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(_skills), Field(min_length=1)]
    heads: PerInterval = Field(default={d: (0.0,) for d in range(7)}, validate_default=False)
    shrinkage: Annotated[Share, Field(lt=1)] = 0.0
    day_factor: DayFactor = None
    cost_per_hour: float = Field(default=0.0, ge=0)


class Routing(_Model):
    """Who takes what.

    Attributes
    ----------
    contact_choice : "longest-wait" or "skill-order"
        What a freed agent takes among the waiting contacts of the best priority (1 before 2): the longest waiting,
        or the first in its group's order of skills.
    agent_choice : "longest-idle" or "preference"
        Who takes an arriving contact: the longest-idle agent of any able group, or of the first able group in the
        type's preference list.
    preference : mapping of contact type to list of agent groups
        Makes ``agent_choice`` of that type "preference"; groups not listed never take the type.
    """

    contact_choice: Literal["longest-wait", "skill-order"] = "longest-wait"
    agent_choice: Literal["longest-idle", "preference"] = "longest-idle"
    preference: dict[str, tuple[str, ...]] = Field(default_factory=dict)


class Break(_Model):
    """A break inside a shift: begins between ``after[0]`` and ``after[1]`` of the shift's start."""

    after: tuple[Duration, Duration]
    length: Duration
    paid: bool = False

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("after"), str | int):
            return {**value, "after": [value["after"], value["after"]]}
        return value


class ShiftPattern(_Model):
    """A family of shifts that differ in start and in break times.

    Attributes
    ----------
    start : (int, int)
        Earliest and latest start, in minutes since midnight.
    step : float
        Grid of starts, in seconds.
    paid : float
        Paid length in seconds: the shift lasts this long plus its unpaid breaks.
    break_step : float
        Grid of break starts, in seconds.
    days : tuple of int
        Weekdays (Monday 0) on which the shift may begin.
    groups : tuple of str
        Agent groups that may work it; empty for all.
    cost : float or None
        Cost of one such shift; None for paid hours × the group's ``cost_per_hour`` × ``premium``.
    max_heads, min_heads : int or None
        Limits on agents on this pattern per day.
    """

    start: tuple[Clock, Clock]
    step: Duration = 1800.0
    paid: Duration
    breaks: tuple[Break, ...] = ()
    break_step: Duration = 900.0
    days: Annotated[tuple[int, ...], BeforeValidator(lambda v: v if isinstance(v, tuple) else weekdays(
        ",".join(v) if isinstance(v, list) else v, what="days")),
        PlainSerializer(lambda v: ",".join(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[d] for d in v))] = tuple(range(7))  # fmt: skip
    groups: tuple[str, ...] = ()
    cost: float | None = Field(default=None, ge=0)
    premium: float = Field(default=1.0, gt=0)
    max_heads: int | None = Field(default=None, ge=0)
    min_heads: int | None = Field(default=None, ge=0)

    @model_validator(mode="before")
    @classmethod
    def _single(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("start"), str | int):
            return {**value, "start": [value["start"], value["start"]]}
        return value

    @property
    def length_s(self) -> float:
        """Seconds from first to last minute of the shift."""
        return self.paid + sum(b.length for b in self.breaks if not b.paid)

    @model_validator(mode="after")
    def _possible(self) -> ShiftPattern:
        problems = []
        if self.start[1] < self.start[0]:
            problems.append(
                f"start must not end before it begins. Got {clock_text(self.start[0])} to {clock_text(self.start[1])}."
            )
        if self.paid <= 0:
            problems.append("paid must be longer than 0. Got 0s.")
        if self.step <= 0 or self.break_step <= 0:
            problems.append("step and break_step must be longer than 0.")
        for b in self.breaks:
            if b.after[1] < b.after[0]:
                problems.append(f"break after {format_seconds(b.after[0])} must not end before it begins.")
            if b.after[0] + b.length > self.length_s:
                problems.append(
                    f"a break of {format_seconds(b.length)} after {format_seconds(b.after[0])} lies outside the shift of "
                    f"{format_seconds(self.length_s)}."
                )
        if problems:
            raise ValueError(" ".join(problems))
        return self


class Operation(_Model):
    """Every field of a scenario file; :class:`~bposim.scenario.Scenario` wraps it with behaviour."""

    schema_: Literal["bposim/scenario/1"] = Field(default="bposim/scenario/1", alias="schema")
    name: str = Field(default="scenario", pattern=r"^[\w][\w .\-]*$")
    time_zone: str = "UTC"
    currency: str = "EUR"
    start: date = date(2026, 1, 5)
    days: int = Field(default=1, ge=1, le=3700)
    interval: Duration = 1800.0
    opening_hours: Hours = Field(default={d: ((0, 1440),) for d in range(7)}, validate_default=False)
    closed: tuple[date, ...] = ()
    day_factor: DayFactor = None
    contact_types: Annotated[dict[str, ContactType], Field(min_length=1)]
    agent_groups: Annotated[dict[str, AgentGroup], Field(min_length=1)]
    routing: Routing = Routing()
    queue_limit: int | None = Field(default=None, ge=0)
    shifts: dict[str, ShiftPattern] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    assumptions: tuple[str, ...] = ()

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """Plain values in fixed order, defaults left out."""
        return dump(self)


def dump(operation: Operation) -> dict[str, Any]:
    """Return an operation as written in a file, defaults left out."""

    def clean(model: BaseModel) -> dict[str, Any]:
        result: dict[str, Any] = {}
        plain = model.model_dump(by_alias=True, mode="json")
        for name, field in type(model).model_fields.items():
            value = getattr(model, name)
            key = field.alias or name
            if name not in ("schema_", "name", "heads", "priority") and value == field.get_default(
                call_default_factory=True
            ):
                continue
            if isinstance(value, BaseModel):
                result[key] = clean(value)
            elif isinstance(value, dict) and value and all(isinstance(v, BaseModel) for v in value.values()):
                result[key] = {k: clean(v) for k, v in value.items()}
            elif isinstance(value, tuple) and value and all(isinstance(v, Target) for v in value):
                result[key] = [v.to_spec() for v in value]
            elif isinstance(value, tuple) and value and all(isinstance(v, BaseModel) for v in value):
                result[key] = [clean(v) for v in value]
            else:
                result[key] = plain[key]
        return result

    return clean(operation)


def read_targets(value: Any, *, caller: str) -> tuple[list[Target], list[str]]:
    """Return the targets of a list of ``{metric: {…}}`` mappings, and what is wrong with it."""
    found: list[Target] = []
    problems: list[str] = []
    if not isinstance(value, list | tuple):
        return [], [
            f"targets of {caller} must be a list. Write targets: [{{service_level: {{share: 0.80, within: 20s}}}}]."
        ]
    for k, entry in enumerate(value):
        if isinstance(entry, Target):
            found.append(entry)
        elif not (isinstance(entry, Mapping) and len(entry) == 1 and isinstance(next(iter(entry.values())), Mapping)):
            problems.append(f"target {k + 1} of {caller} must be one metric with its words: {{service_level: {{…}}}}.")
        else:
            metric, body = next(iter(entry.items()))
            try:
                found.append(make_target(str(metric), dict(body), caller=caller))
            except ScenarioError:
                raise
            except ValueError as error:
                problems += getattr(error, "problems", (str(error),))
    return found, problems


assert CHANNELS == ("voice", "chat", "email", "work")
