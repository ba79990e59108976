"""What may happen to a contact and to an agent beyond waiting and serving (``docs/design/mechanics.md``)."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, model_validator

from bposim.scenario.fields import Clock, Duration, Hours, Law, Model, Share, Weekdays

#: How a freed agent chooses among types of the best priority, and who takes an arriving contact.
CONTACT_CHOICES = ("longest-wait", "skill-order", "weighted-wait", "longest-queue", "fifo")
AGENT_CHOICES = ("longest-idle", "preference", "most-free", "least-occupied", "random")
ALL_DAYS = tuple(range(7))


class Balking(Model):
    """A share of contacts that does not join a queue of this many waiting contacts, or more."""

    queue: int = Field(ge=0)
    probability: Share


class Redial(Model):
    """Who calls again after hanging up or finding no place.

    Attributes
    ----------
    after_abandonment, after_blocking : float
        Probability of another attempt.
    delay : Distribution
        From the failed attempt to the next.
    to : str or None
        Contact type of the next attempt (another channel, say); None keeps the type.
    at_most : int
        Attempts beyond the first.
    """

    after_abandonment: Share = 0.0
    after_blocking: Share = 0.0
    delay: Law
    to: str | None = None
    at_most: int = Field(default=20, ge=1, le=100)


class Callback(Model):
    """An offer to be called back.

    Attributes
    ----------
    expected_wait : float
        Offered where the expected wait, in seconds, is at least this.
    acceptance : float
        Probability that the offer is accepted.
    to : str
        Contact type that a call-back becomes; its targets are the call-back's.
    """

    expected_wait: Duration
    acceptance: Share
    to: str


class Transfer(Model):
    """Contacts that go on to another queue after the talk.

    Attributes
    ----------
    to : str
    probability : float
    mode : "cold" or "warm"
        Warm: the first agent stays until the contact is answered, and for ``handover`` longer.
    handover : float
        Seconds that both agents talk together.
    """

    to: str
    probability: Share
    mode: Literal["cold", "warm"] = "cold"
    handover: Duration = 0.0

    @model_validator(mode="after")
    def _fits(self) -> Transfer:
        if self.handover > 0 and self.mode == "cold":
            raise ValueError("handover belongs to a warm transfer. Write mode: warm, or leave handover out.")
        return self


class GroupBreak(Model):
    """A break or meeting of a share of the agents present; it waits for the running contact.

    Attributes
    ----------
    at : int
        Minutes since midnight.
    length : float
    share : float
        Share of the agents present, rounded to whole agents.
    days : tuple of int
    """

    at: Clock
    length: Annotated[Duration, Field(ge=0.001, le=86400)]
    share: Share = 1.0
    days: Weekdays = ALL_DAYS


class Spell(Model):
    """A stretch of work of a named agent, with breaks.

    Attributes
    ----------
    days : tuple of int
        Weekdays on which it begins.
    start, end : int
        Minutes since midnight; an end at or before the start lies on the next day.
    breaks : tuple of GroupBreak
    """

    days: Weekdays = ALL_DAYS
    start: Clock
    end: Clock
    breaks: tuple[GroupBreak, ...] = ()


def _spells(value: Any) -> Any:
    return [value] if isinstance(value, Mapping) else value


class Agent(Model):
    """A named agent of a group.

    Attributes
    ----------
    speed : float
        Multiplies the handle time (0.9 is a tenth faster), on top of the group's multiplier.
    schedule : tuple of Spell
    """

    speed: float = Field(default=1.0, gt=0)
    schedule: Annotated[tuple[Spell, ...], BeforeValidator(_spells), Field(min_length=1)]


class Concurrency(Model):
    """Several contacts in hand at a time.

    Attributes
    ----------
    contacts : int
        Most contacts that an agent has in hand.
    pace : tuple of float
        Speed of each contact with 1, 2, … in hand, relative to the handle time as given.
    """

    contacts: int = Field(ge=2, le=20)
    pace: tuple[Annotated[float, Field(gt=0, le=10)], ...]

    @model_validator(mode="after")
    def _fits(self) -> Concurrency:
        if len(self.pace) != self.contacts:
            raise ValueError(
                f"pace must list {self.contacts} numbers, one for each number of contacts in hand. Got {len(self.pace)}."
            )
        return self


class Outage(Model):
    """A stretch in which a share of a site's agents cannot work: at a local time, or again and again at random.

    Attributes
    ----------
    start : datetime or None
        Local time of the site.
    every : Distribution or None
        Gap between random outages, from the end of one to the start of the next.
    length : Distribution
    share : float
    """

    start: datetime | None = None
    every: Law | None = None
    length: Law
    share: Share = 1.0

    @model_validator(mode="before")
    @classmethod
    def _plain(cls, value: Any) -> Any:
        if isinstance(value, Mapping) and isinstance(value.get("length"), str):
            return {**value, "length": {"deterministic": {"value": value["length"]}}}
        return value

    @model_validator(mode="after")
    def _one(self) -> Outage:
        if (self.start is None) == (self.every is None):
            raise ValueError("an outage needs either start (a local time) or every (the gap between random ones).")
        return self


class Site(Model):
    """A place where agents work: its clock, calendar and outages.

    Attributes
    ----------
    time_zone : str or None
        None is the scenario's.
    opening_hours : mapping or None
        Local hours in which the site has agents; None follows the scenario.
    closed : tuple of date
    outages : tuple of Outage
    """

    time_zone: str | None = None
    opening_hours: Hours | None = None
    closed: tuple[date, ...] = ()
    outages: tuple[Outage, ...] = ()


def rising(steps: tuple[Balking, ...]) -> tuple[Balking, ...]:
    """Return balking steps, refused unless both their queues and their probabilities rise."""
    for a, b in pairwise(steps):
        if b.queue <= a.queue or b.probability <= a.probability:
            raise ValueError(
                f"balking steps must rise: after queue {a.queue} with probability {a.probability:g} comes queue {b.queue} "
                f"with {b.probability:g}. Sort them, and let a longer queue deter more."
            )
    return steps


def most_transfers(listed: tuple[Transfer, ...]) -> tuple[Transfer, ...]:
    """Return transfers, refused where their probabilities exceed 1."""
    total = sum(t.probability for t in listed)
    if total > 1 + 1e-9:
        raise ValueError(f"the probabilities of transfers must not exceed 1 together. Got {total:g}.")
    return listed
