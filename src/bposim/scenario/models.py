"""The frozen description of an operation: contact types, agent groups, routing, shifts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, PlainSerializer, model_validator

from bposim.distributions import distribution
from bposim.errors import ScenarioError
from bposim.scenario.fields import (
    Clock,
    DayFactor,
    Distributions,
    Duration,
    Hours,
    Model,
    PerInterval,
    Share,
    Weekdays,
)
from bposim.scenario.mechanics import (
    Agent,
    Balking,
    Callback,
    Concurrency,
    GroupBreak,
    Redial,
    Site,
    Transfer,
    most_transfers,
    rising,
)
from bposim.scenario.target import Target, make_target
from bposim.scenario.written import Written
from bposim.schema import CHANNELS, DEFERRED
from bposim.units import clock_text, format_seconds, per_second

SCHEMA = "bposim/scenario/1"


class Arrivals(Model):
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


class ContactType(Model):
    """A kind of contact: its channel, arrivals, handle time, patience, priority and targets.

    Attributes
    ----------
    handle_time : tuple of Distribution
        Talk, hold and after-contact work; talk and hold where ``after_contact_work`` is given apart.
    after_contact_work : tuple of Distribution or None
    handle_day_factor : Distribution or None
        Drift of the handle time: a day's factor, mean 1.
    credit : float
        Seconds that a contact is ahead of its true wait where waits are compared.
    balking, redial, callback, transfers
        See ``docs/design/mechanics.md``.
    balking_queue : {"type", "all"}
        Whose queue deters: the contacts waiting of the type, or of all types, as where callers hear their position.
    queue_limit : int or None
        Contacts of the type that may wait.
    """

    channel: Literal["voice", "chat", "email", "work"] = "voice"
    arrivals: Arrivals
    day_factor: DayFactor = None
    handle_time: Distributions
    patience: Distributions = Field(default=(distribution("infinite"),), validate_default=False)
    priority: int = 1
    after_contact_work: Distributions | None = None
    handle_day_factor: DayFactor = None
    credit: Duration = 0.0
    balking: Annotated[tuple[Balking, ...], AfterValidator(rising)] = ()
    balking_queue: Literal["type", "all"] = "type"
    redial: Redial | None = None
    callback: Callback | None = None
    transfers: Annotated[tuple[Transfer, ...], AfterValidator(most_transfers)] = ()
    queue_limit: int | None = Field(default=None, ge=0)
    opening_hours: Hours | None = None
    targets: tuple[Target, ...] = ()

    @property
    def deferred(self) -> bool:
        """Whether its contacts keep for the next day when the doors close."""
        return self.channel in DEFERRED


def _skills(value: Any) -> Any:
    return dict.fromkeys(value, 1.0) if isinstance(value, list | tuple) else value


class AgentGroup(Model):
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
    site : str or None
        Where they work; None keeps to the scenario's own calendar.
    reserve : mapping of contact type to int
        The group takes the type only while more than so many of its agents are free.
    absence, absence_correlation : float
        Probability that an agent is missing on a day, and how far agents are missing together (0 to 1).
    adherence : float
        Probability that an agent is in place in an interval.
    breaks : tuple of GroupBreak
    agents : mapping of name to Agent
        Agents one by one, in place of ``heads``.
    concurrency : Concurrency or None
        Several contacts in hand at a time (chat).
    """

    skills: Annotated[dict[str, Annotated[float, Field(gt=0)]], BeforeValidator(_skills), Field(min_length=1)]
    heads: PerInterval = Field(default={d: (0.0,) for d in range(7)}, validate_default=False)
    shrinkage: Annotated[Share, Field(lt=1)] = 0.0
    day_factor: DayFactor = None
    cost_per_hour: float = Field(default=0.0, ge=0)
    site: str | None = None
    reserve: dict[str, Annotated[int, Field(ge=0)]] = Field(default_factory=dict)
    absence: Annotated[Share, Field(lt=1)] = 0.0
    absence_correlation: Annotated[Share, Field(lt=1)] = 0.0
    adherence: Share = 1.0
    breaks: tuple[GroupBreak, ...] = ()
    agents: dict[str, Agent] = Field(default_factory=dict)
    concurrency: Concurrency | None = None


def _by_group(value: Any) -> Any:
    """Read ``{type: x}`` as x for every group: the key "" stands for all groups not named."""
    if isinstance(value, Mapping):
        return {k: v if isinstance(v, Mapping) else {"": v} for k, v in value.items()}
    return value


def _by_group_spec(value: dict[str, dict[str, Any]]) -> Any:
    return {k: v[""] if set(v) == {""} else v for k, v in value.items()}


class Routing(Model):
    """Who takes what.

    Attributes
    ----------
    contact_choice : str
        What a freed agent takes among the waiting contacts of the best priority (1 before 2): ``longest-wait``,
        ``skill-order`` (the first in its group's order of skills), ``weighted-wait``, ``longest-queue``; ``fifo`` takes
        the one that entered first, whatever its priority.
    agent_choice : str
        Who takes an arriving contact among the groups of the best rank: ``longest-idle``, ``preference`` (the first
        able group), ``most-free``, ``least-occupied``, ``random``.
    preference : mapping of contact type to list of agent groups
        Ranks the groups in this order; groups not listed never take the type.
    group_rank : mapping of contact type to mapping of agent group to int
        Ranks groups for a type, lower first; ties are left to ``agent_choice``.
    type_rank : mapping of agent group to mapping of contact type to int
        Ranks types for a group under ``skill-order``; the order of skills otherwise.
    weight : mapping of contact type to number, or to mapping of agent group to number
        For ``weighted-wait``.
    delay : mapping of contact type to mapping of agent group to duration
        The group takes the type only after the contact has waited so long.
    """

    contact_choice: Literal["longest-wait", "skill-order", "weighted-wait", "longest-queue", "fifo"] = "longest-wait"
    agent_choice: Literal["longest-idle", "preference", "most-free", "least-occupied", "random"] = "longest-idle"
    preference: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    group_rank: dict[str, dict[str, int]] = Field(default_factory=dict)
    type_rank: dict[str, dict[str, int]] = Field(default_factory=dict)
    weight: Annotated[
        dict[str, dict[str, Annotated[float, Field(gt=0, le=1000)]]],
        BeforeValidator(_by_group), PlainSerializer(_by_group_spec),
    ] = Field(default_factory=dict)  # fmt: skip
    delay: dict[str, dict[str, Duration]] = Field(default_factory=dict)


class Break(Model):
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


class ShiftPattern(Model):
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
    days: Weekdays = tuple(range(7))
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


class Operation(Written):
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
    trunks: int | None = Field(default=None, ge=1)
    sites: dict[str, Site] = Field(default_factory=dict)
    shifts: dict[str, ShiftPattern] = Field(default_factory=dict)
    targets: tuple[Target, ...] = ()
    assumptions: tuple[str, ...] = ()

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """Plain values in fixed order, defaults left out."""
        return dump(self)


def dump(operation: BaseModel) -> dict[str, Any]:
    """Return an operation (a contract) as written in a file, defaults left out."""

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
