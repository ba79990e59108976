"""A target: which metric, counted how, over which window, and what level it must reach."""

from __future__ import annotations

import math
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from bposim.errors import ParameterError, parameter, require
from bposim.schema import COUNTING_RULES, WINDOWS
from bposim.units import format_seconds, seconds, share

Aggregation = Literal["pooled", "mean_of_intervals", "share_of_intervals", "share_of_days"]
AGGREGATIONS: tuple[str, ...] = ("pooled", "mean_of_intervals", "share_of_intervals", "share_of_days")

#: Metrics that can be promised, and which way is better.
SENSES: dict[str, Literal[">=", "<="]] = {
    "service_level": ">=",
    "turnaround": ">=",
    "abandonment": "<=",
    "asa": "<=",
    "mean_wait": "<=",
    "occupancy": "<=",
    "wait_p95": "<=",
    "max_wait": "<=",
    "mean_excess": "<=",
}
_SHARES = ("service_level", "turnaround", "abandonment", "occupancy")
#: Metrics that need ``within``, and counting rules that need ``short``.
_TIMED = ("service_level", "turnaround", "mean_excess")
_SHORT = ("excl_short", "credit_short")


class Target(BaseModel):
    """One promise about one metric.

    Attributes
    ----------
    metric : str
        Metric id (``bposim.metrics.GLOSSARY``).
    level : float
        What it must reach: a share for ratios, seconds for waits.
    sense : ">=" or "<="
        Which way is better.
    within_s : float or None
        Acceptable waiting time (turnaround time for ``turnaround``) in seconds.
    short_s : float or None
        Short-abandon limit in seconds, for the counting rules that need one.
    counting : str
        Service-level counting rule.
    window : str
        Stretch of time over which the metric is taken: interval, day, week, month, quarter or all.
    aggregation : str
        How intervals become the window's value; ``pooled`` sums counts and divides once.
    strict : bool
        Whether a wait equal to the threshold misses it.
    pass_level : float or None
        For the two share-of aggregations: the level each interval or day must reach to count as passed.
    contact_type : str or None
        One contact type, or all of them pooled.

    Raises
    ------
    ParameterError
        A value is outside its rule, or another value is missing beside it; all at once. ``replace()`` checks as well.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    metric: str
    level: float
    sense: Literal[">=", "<="]
    within_s: float | None = None
    short_s: float | None = None
    counting: str = "offered"
    window: str = "month"
    aggregation: Aggregation = "pooled"
    strict: bool = False
    pass_level: float | None = None
    contact_type: str | None = None
    name: str | None = Field(default=None)

    def __init__(self, **values: Any) -> None:
        try:
            super().__init__(**values)
        except ValidationError as error:
            raise ParameterError([_sentence(e) for e in error.errors()]) from None
        require(_problems(self), ParameterError)

    @property
    def share(self) -> float:
        """Level of a target that is a share."""
        return self.level

    def met(self, value: float) -> bool:
        """Tell whether a value reaches the level; a missing value does not."""
        return bool(value >= self.level) if self.sense == ">=" else bool(value <= self.level)

    def replace(self, **changes: Any) -> Target:
        """Return a copy with other values."""
        return Target(**(self.model_dump() | changes))

    @property
    def label(self) -> str:
        """Short name: ``80 % within 20s per month``."""
        if self.name:
            return self.name
        kind = "" if self.contact_type is None else f"{self.contact_type}: "
        level = f"{100 * self.level:.4g} %" if self.metric in _SHARES else format_seconds(self.level)
        per = "over the whole term" if self.window == "all" else f"per {self.window}"
        if self.metric in ("service_level", "turnaround"):
            verb = "answered within" if self.metric == "service_level" else "completed within"
            rule = "" if self.counting == "offered" or self.metric == "turnaround" else f" ({self.counting})"
            core = f"{level} {verb} {format_seconds(self.within_s or 0)}{rule}"
        else:
            words = {"asa": "average speed of answer", "mean_wait": "mean wait", "wait_p95": "95th percentile of wait",
                     "max_wait": "longest wait", "mean_excess": "mean excess wait"}  # fmt: skip
            side = "at most" if self.sense == "<=" else "at least"
            core = f"{words.get(self.metric, self.metric)} {side} {level}"
        how = {"pooled": "", "mean_of_intervals": ", mean of intervals"}.get(self.aggregation)
        if how is None:
            unit = self.aggregation.removeprefix("share_of_")
            how = f" in {100 * self.level:.4g} % of {unit}"
            core = core.replace(level, f"{100 * (self.pass_level or 0):.4g} %", 1)
        return f"{kind}{core}{how} {per}"

    def __str__(self) -> str:
        return self.label

    def to_spec(self) -> dict[str, Any]:
        """Return the target as written in a scenario file."""
        body: dict[str, Any] = {}
        key = "share" if self.metric in ("service_level", "turnaround") else (
            "at_most" if self.sense == "<=" else "at_least")  # fmt: skip
        counted = self.aggregation.startswith("share_of")
        body[key] = self.level if self.metric in _SHARES or counted else format_seconds(self.level)
        if self.within_s is not None:
            body["within"] = format_seconds(self.within_s)
        if self.short_s is not None:
            body["short"] = format_seconds(self.short_s)
        for field, default in (
            ("counting", "offered"), ("window", None), ("aggregation", "pooled"), ("strict", False),
            ("pass_level", None), ("contact_type", None), ("name", None),
        ):  # fmt: skip
            value = getattr(self, field)
            if value != default:
                seconds_level = field == "pass_level" and self.metric not in _SHARES
                body[field] = format_seconds(value) if seconds_level else value
        return {self.metric: body}


def _sentence(error: Any) -> str:
    """Turn one finding of the validator into a sentence."""
    name = ".".join(map(str, error["loc"])) or "value"
    if error["type"] == "missing":
        return f'Target() needs {name}. Give it, or write ServiceLevel(0.80, within="20s").'
    if error["type"] == "extra_forbidden":
        return f"Target() has the unknown value {name!r}. Known: {', '.join(Target.model_fields)}."
    return parameter(name, "Target()", error["msg"].replace("Input should be ", "").lower(), error.get("input"))


def _problems(target: Target) -> list[str]:
    """Return everything that keeps a target from being a promise: the same rules for files, calls and copies."""
    problems: list[str] = []

    def rule(ok: bool, name: str, text: str, way: str = "") -> None:
        if not ok:
            problems.append(parameter(name, "Target()", text, getattr(target, name), way))

    known = target.metric in SENSES
    rule(known, "metric", f"one of {', '.join(SENSES)}")
    rule(target.counting in COUNTING_RULES, "counting", f"one of {', '.join(COUNTING_RULES)}")
    rule(target.window in WINDOWS, "window", f"one of {', '.join(WINDOWS)}")
    counted = target.aggregation.startswith("share_of")
    if counted or target.metric in _SHARES:
        rule(0 <= target.level <= 1, "level", "a share between 0 and 1", 'Write 0.80 for "80%".')
    elif known:
        rule(0 <= target.level < math.inf, "level", "a finite number of seconds of at least 0")
    if not counted and target.metric in ("service_level", "turnaround"):
        way = "A share answered in time is promised from below; a cap on it promises nothing."
        rule(target.sense == ">=", "sense", f"'>=' for {target.metric}", way)
    if counted:
        way = "Give the level that each stretch must reach."
        if target.pass_level is None:
            rule(False, "pass_level", f"given with aggregation {target.aggregation!r}", way)
        elif target.metric in _SHARES:
            rule(0 <= target.pass_level <= 1, "pass_level", "a share between 0 and 1", way)
        else:
            rule(0 <= target.pass_level < math.inf, "pass_level", "a finite number of seconds of at least 0", way)
        way = "More stretches that pass are better."
        rule(target.sense == ">=", "sense", f"'>=' with aggregation {target.aggregation!r}", way)
    if target.within_s is not None:
        rule(0 <= target.within_s < math.inf, "within_s", "a finite number of seconds of at least 0")
    elif target.metric in _TIMED:
        rule(False, "within_s", f"given for {target.metric}", "Give the threshold in seconds.")
    if target.short_s is not None:
        rule(0 <= target.short_s < math.inf, "short_s", "a finite number of seconds of at least 0")
    elif target.metric == "service_level" and target.counting in _SHORT:
        rule(False, "short_s", f"given with counting {target.counting!r}", "Give the short-abandon limit in seconds.")
    return problems


def make_target(metric: str, spec: dict[str, Any], *, caller: str) -> Target:
    """Build a target from the words of a file or a call, reporting every problem at once.

    Raises
    ------
    ParameterError
        Unknown metric, key, counting rule, window or aggregation; level outside its rule; duration without unit.
    """
    problems: list[str] = []
    if metric not in SENSES:
        raise ParameterError(f"target {metric!r} of {caller} is no metric. Known: {', '.join(SENSES)}.")
    given = dict(spec)
    fields: dict[str, Any] = {"metric": metric, "sense": SENSES[metric]}

    def take(read: Any, key: str, what: str) -> Any:
        try:
            return read(given.pop(key), what=f"{metric} {what} of {caller}")
        except ValueError as error:
            problems.append(str(error))
            return None

    keys = [k for k in ("share", "at_most", "at_least") if k in given]
    if len(keys) != 1:
        want = "share" if metric in ("service_level", "turnaround") else "at_most"
        problems.append(f"target {metric!r} of {caller} needs one level: write {want}: …. Got {keys or 'none'}.")
    else:
        counted = str(given.get("aggregation", "")).startswith("share_of")
        if counted and keys[0] == "at_most":
            problems.append(
                f"aggregation {given['aggregation']!r} of {caller} counts the stretches that pass, and more of them is "
                f"better: write at_least: 0.90, and pass_level for what each stretch must reach."
            )
        if metric in ("service_level", "turnaround") and keys[0] == "at_most":
            problems.append(
                f"{metric} of {caller} is at_most {given['at_most']!r}, and more of it is better: promise it from below, with share: 0.80 "
                f'(ServiceLevel(0.80, within="20s"), Turnaround(…)).'
            )
        fields["level"] = take(share if metric in _SHARES or counted else seconds, keys[0], keys[0])
        if keys[0] != "share":
            fields["sense"] = "<=" if keys[0] == "at_most" else ">="
    for key in ("within", "short"):
        if given.get(key) is not None:
            fields[f"{key}_s"] = take(seconds, key, key)
        given.pop(key, None)
    if metric in _TIMED and not problems and fields.get("within_s") is None:
        problems.append(f'target {metric!r} of {caller} needs its threshold. Write within: "20s".')
    for key, known in (("counting", COUNTING_RULES), ("window", WINDOWS), ("aggregation", AGGREGATIONS)):
        if given.get(key) is not None:
            fields[key] = given[key]
            if fields[key] not in known:
                problems.append(parameter(key, caller, f"one of {', '.join(known)}", fields[key]))
        given.pop(key, None)
    if fields.get("counting", "") in _SHORT and fields.get("short_s") is None:
        problems.append(
            f'counting {fields["counting"]!r} of {caller} needs the short-abandon limit. Write short: "5s".'
        )
    if given.get("pass_level") is not None:
        fields["pass_level"] = take(share if metric in _SHARES else seconds, "pass_level", "pass_level")
    given.pop("pass_level", None)
    if str(fields.get("aggregation", "")).startswith("share_of") and fields.get("pass_level") is None:
        problems.append(
            f"aggregation {fields['aggregation']!r} of {caller} counts the stretches that pass: "
            f"write pass_level: 0.80 for the level each must reach."
        )
    for key in ("strict", "contact_type", "name"):
        if key in given:
            fields[key] = given.pop(key)
    known_keys = (
        "share, at_most, at_least, within, short, counting, window, aggregation, strict, pass_level, contact_type"
    )
    problems += [f"target {metric!r} of {caller} has the unknown key {key!r}. Known: {known_keys}." for key in given]
    require(problems, ParameterError)
    return Target(**fields)


def ServiceLevel(
    share: float | str,
    *,
    within: str,
    window: str = "month",
    counting: str = "offered",
    short: str | None = None,
    aggregation: str = "pooled",
    pass_level: float | None = None,
    strict: bool = False,
    contact_type: str | None = None,
) -> Target:
    """Promise that a share of contacts is answered within a time.

    Parameters
    ----------
    share : float or str
        ``0.80`` or ``"80%"``.
    within : str
        Acceptable waiting time, with a unit.
    window, counting, short, aggregation, pass_level, strict, contact_type
        As in :class:`Target`.

    Raises
    ------
    ParameterError
        Any of them is outside its rule; all at once.

    Examples
    --------
    >>> print(ServiceLevel(0.80, within="20s"))
    80 % answered within 20s per month
    """
    spec = {
        "share": share, "within": within, "window": window, "counting": counting, "short": short,
        "aggregation": aggregation, "pass_level": pass_level, "strict": strict, "contact_type": contact_type,
    }  # fmt: skip
    return make_target("service_level", spec, caller="ServiceLevel()")


def AtMost(metric: str, level: float | str, *, window: str = "month", contact_type: str | None = None,
           within: str | None = None, aggregation: str = "pooled") -> Target:  # fmt: skip
    """Promise that a metric stays at or below a level.

    Examples
    --------
    >>> print(AtMost("abandonment", 0.05))
    abandonment at most 5 % per month
    >>> print(AtMost("asa", "30s", window="day"))
    average speed of answer at most 30s per day
    """
    spec = {"at_most": level, "window": window, "contact_type": contact_type, "within": within,
            "aggregation": aggregation}  # fmt: skip
    return make_target(metric, spec, caller="AtMost()")


def Turnaround(share: float | str, *, within: str, window: str = "month", contact_type: str | None = None) -> Target:
    """Promise that a share of deferred work is completed within a time of its arrival.

    Examples
    --------
    >>> print(Turnaround("95%", within="24h", contact_type="claims"))
    claims: 95 % completed within 1d per month
    """
    spec = {"share": share, "within": within, "window": window, "contact_type": contact_type}
    return make_target("turnaround", spec, caller="Turnaround()")


def scope(scenario: Any, term: Target) -> str | tuple[str, ...] | None:
    """Return the contact types that a target is about, None for all."""
    if term.contact_type is not None or term.metric == "occupancy":
        return term.contact_type
    wanted = term.metric == "turnaround"
    chosen = tuple(t for t, k in scenario.contact_types.items() if k.deferred == wanted)
    return chosen if chosen and len(chosen) < len(scenario.contact_types) else None
