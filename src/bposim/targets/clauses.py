"""A clause of a contract: what is measured, which level it must reach, what relieves it, and what follows."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from bposim.errors import ParameterError
from bposim.metrics import AUDITED, Metric, metric
from bposim.scenario.fields import Duration, Hours, Model, Share
from bposim.scenario.target import SENSES, Aggregation, Target
from bposim.targets.terms import AmountValue, Level, LevelValue, Money, Ratio

CAUSES = ("outage", "force_majeure", "client_caused", "training")
Comparison = Literal[">=", ">", "<=", "<"]
Window = Literal["interval", "day", "week", "month", "quarter", "all"]


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str | Mapping) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_listed)]


class Scope(Model):
    """Which contacts a clause is about. ``channel``, ``language`` and ``site`` are words; ``contact_types`` names the queues."""

    contact_types: Names = ()
    agent_groups: Names = ()
    channel: str | None = None
    language: str | None = None
    site: str | None = None


class Levels(Model):
    """Minimum, expected and stretch level."""

    expected: LevelValue
    minimum: LevelValue | None = None
    stretch: LevelValue | None = None


class Ratchet(Model):
    """The levels rise by ``by`` every ``every`` months, up to ``up_to`` for the expected level."""

    every: int = Field(ge=1)
    by: LevelValue
    up_to: LevelValue | None = None


class Sample(Model):
    """How many items are audited or asked, in which stretch of time."""

    size: int = Field(ge=1)
    per: Literal["week", "month", "quarter"] = "month"


class Corridor(Model):
    """Relief where volume leaves a corridor around the forecast, judged by interval, day, month or the clause's window."""

    above: Ratio | None = None
    below: Ratio | None = None
    by: Literal["interval", "day", "month", "window"] = "window"


class HandleCorridor(Corridor):
    """Relief where the average handle time leaves a corridor around its baseline."""

    baseline: Duration


class Relief(Model):
    """What relieves a clause, and how.

    ``exclude`` leaves the stretch out of the metric; ``cap`` leaves out the contacts above the corridor, taken to be the
    worst served; ``scale`` scales the levels by corridor over actual; ``waive`` measures and takes no credit.
    """

    volume: Corridor | None = None
    handle_time: HandleCorridor | None = None
    cause: Literal["outage", "force_majeure", "client_caused", "training"] | None = None
    effect: Literal["exclude", "cap", "scale", "waive"] = "exclude"

    @property
    def kind(self) -> str:
        """``volume``, ``handle_time`` or the cause."""
        return "volume" if self.volume else "handle_time" if self.handle_time else str(self.cause)

    @property
    def corridor(self) -> Corridor | None:
        """The corridor, None for a cause."""
        return self.volume or self.handle_time


class Band(Model):
    """What follows where the metric lies between two edges; an edge exactly reached belongs to the better side."""

    from_: LevelValue | None = Field(default=None, alias="from")
    to: LevelValue | None = None
    credit: AmountValue | None = None
    bonus: AmountValue | None = None
    points: float | None = Field(default=None, gt=0)
    requires: dict[str, LevelValue] = Field(default_factory=dict)


class Linear(Model):
    """So much for each step beyond an edge: a credit on the worse side, a bonus on the better side."""

    beyond: LevelValue = Level(float("nan"), "", "expected")
    per: LevelValue
    credit: AmountValue | None = None
    bonus: AmountValue | None = None
    steps: Literal["continuous", "full", "started"] = "continuous"
    at_most: AmountValue | None = None
    requires: dict[str, LevelValue] = Field(default_factory=dict)


class PerContact(Model):
    """So much for every whole contact that misses beyond the allowed share."""

    credit: Money
    beyond: LevelValue = Level(float("nan"), "", "expected")
    at_most: Money | None = None


class Repeat(Model):
    """Credits of a month are multiplied where it is at least the ``misses``-th missed one of ``in_months``."""

    misses: int = Field(ge=2)
    in_months: int = Field(ge=1)
    multiplier: float = Field(gt=1)


class EarnBack(Model):
    """Credits come back where the level is reached in each of the ``following`` months, or on average over the year."""

    following: int | None = Field(default=None, ge=1)
    over: Literal["year"] | None = None
    level: LevelValue = Level(float("nan"), "", "expected")
    share: Share = 1.0


class Termination(Model):
    """The client may leave after so many missed months."""

    misses: int = Field(ge=1)
    in_months: int = Field(ge=1)


class Clause(Model):
    """One metric and what was agreed about it.

    Attributes
    ----------
    metric : str
        Id of the glossary, or of the audited metrics (``accuracy``, ``compliance``, ``fcr``, ``csat``, ``line_adherence``).
    counting, window, missing : str or None
        None: not written. Settled as ``offered`` and ``month``; a missing value without a rule is refused. ``lint()`` tells.
    glide : mapping of contract month to level
        Expected level from that month on; the other levels and all edges move along.
    rounding : Level
        Step that the measured value is rounded to before it is compared.
    miss : "minimum" or "expected"
        Level below which a month counts as missed; None: the minimum where there is one.
    volume : float
        Expected contacts a month, for the checks of samples; no part of the settlement.
    """

    metric: str
    levels: Levels
    counting: str | None = None
    within: Duration | None = None
    short: Duration | None = None
    strict: bool = False
    scope: Scope = Scope()
    hours: Hours | None = None
    closed: tuple[date, ...] = ()
    window: Window | None = None
    aggregation: Aggregation = "pooled"
    pass_level: LevelValue | None = None
    comparison: Comparison | None = None
    rounding: LevelValue | None = None
    rounding_mode: Literal["half-up", "down", "up"] = "half-up"
    minimum_sample: float = Field(default=0, ge=0)
    sample: Sample | None = None
    missing: Literal["exclude", "miss", "met"] | None = None
    relief: tuple[Relief, ...] = ()
    glide: dict[int, LevelValue] = Field(default_factory=dict)
    ratchet: Ratchet | None = None
    bands: tuple[Band, ...] = ()
    linear: Annotated[tuple[Linear, ...], BeforeValidator(_listed)] = ()
    per_contact: PerContact | None = None
    weight: Share | None = None
    repeat: Repeat | None = None
    earn_back: EarnBack | None = None
    no_credit_months: int | None = Field(default=None, ge=0)
    termination: Termination | None = None
    miss: Literal["minimum", "expected"] | None = None
    volume: float | None = Field(default=None, gt=0)

    @property
    def definition(self) -> Metric:
        """The metric's entry in the glossary.

        Raises
        ------
        ParameterError
            There is none.
        """
        return AUDITED[self.metric] if self.metric in AUDITED else metric(self.metric, self.counting)

    @property
    def audited(self) -> bool:
        """Whether the metric comes from audits, surveys or staffing records."""
        return self.metric in AUDITED

    @property
    def counts_stretches(self) -> bool:
        """Whether it counts the intervals or days that pass."""
        return self.aggregation.startswith("share_of")

    @property
    def share(self) -> bool:
        """Whether the value is a share of one."""
        return self.counts_stretches or self.definition.unit == "share"

    @property
    def sense(self) -> Comparison:
        """How the value is compared with its level; ``>=`` or ``<=`` by the metric unless the clause says otherwise."""
        if self.comparison is not None:
            return self.comparison
        return ">=" if self.counts_stretches or self.definition.better == "high" else "<="

    @property
    def higher(self) -> bool:
        """Whether more is better."""
        return self.sense in (">=", ">")

    @property
    def settled_window(self) -> Window:
        """The window, month where none is written."""
        return self.window or "month"

    @property
    def miss_name(self) -> str:
        """Name of the level below which a month is missed."""
        return self.miss or ("minimum" if self.levels.minimum is not None else "expected")

    @property
    def has_credit(self) -> bool:
        """Whether a miss costs anything."""
        banded = any(b.credit or b.points for b in self.bands)
        return banded or self.per_contact is not None or any(x.credit for x in self.linear)

    @property
    def has_bonus(self) -> bool:
        """Whether a good result earns anything."""
        return any(b.bonus for b in self.bands) or any(x.bonus for x in self.linear)

    @property
    def conditions(self) -> tuple[tuple[str, Level], ...]:
        """Other clauses and the levels that bonuses or credits of this one require of them."""
        return tuple(
            pair
            for requires in (*(b.requires for b in self.bands), *(x.requires for x in self.linear))
            for pair in requires.items()
        )

    def level(self, edge: Level) -> float:
        """Return the number of a level, named or not; nan where the clause lacks the named one."""
        if not edge.name:
            return edge.value
        named = getattr(self.levels, edge.name)
        return float("nan") if named is None else float(named.value)

    def expected(self, month: int) -> float:
        """Return the expected level of a contract month (the first is 1): glide path, then ratchet.

        Examples
        --------
        >>> clause = Clause(metric="abandonment", levels={"expected": "5%"}, glide={1: "8%", 4: "6%", 7: "5%"})
        >>> [clause.expected(m) for m in (1, 3, 4, 9)]
        [0.08, 0.08, 0.06, 0.05]
        """
        steps = [m for m in sorted(self.glide) if m <= month]
        value = self.glide[steps[-1]].value if steps else self.levels.expected.value
        if self.ratchet is not None:
            rise = ((month - 1) // self.ratchet.every) * self.ratchet.by.value * (1 if self.higher else -1)
            value = value + rise
            if self.ratchet.up_to is not None:
                end = self.ratchet.up_to.value
                value = min(value, end) if self.higher else max(value, end)
        return round(value, 12)

    def target(self) -> Target:
        """Return the clause's expected level as a :class:`Target`.

        Raises
        ------
        ParameterError
            Its metric, window or scope is none that a target can have.
        """
        if self.metric not in SENSES:
            raise ParameterError(f"metric {self.metric!r} cannot be simulated as a target. Known: {', '.join(SENSES)}.")
        if len(self.scope.contact_types) > 1:
            raise ParameterError(
                f"a target is about one contact type or all. Got {', '.join(self.scope.contact_types)}."
            )
        return Target(
            metric=self.metric, level=self.levels.expected.value, sense=">=" if self.higher else "<=", within_s=self.within,
            short_s=self.short, counting=self.counting or "offered", window=self.settled_window, aggregation=self.aggregation,
            strict=self.strict, pass_level=None if self.pass_level is None else self.pass_level.value,
            contact_type=self.scope.contact_types[0] if self.scope.contact_types else None,
        )  # fmt: skip
