"""Types of a scenario's fields: how each is written in a file, checked, and written back."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationInfo

from bposim.distributions import Distribution, day_factor, distribution
from bposim.units import clock, clock_text, format_seconds, seconds, share, weekdays


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


class Model(BaseModel):
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

Weekdays = Annotated[
    tuple[int, ...],
    BeforeValidator(
        lambda v: v if isinstance(v, tuple) else weekdays(",".join(v) if isinstance(v, list) else v, what="days")
    ),
    PlainSerializer(lambda v: ",".join(("mon", "tue", "wed", "thu", "fri", "sat", "sun")[d] for d in v)),
]
Law = Annotated[Distribution, BeforeValidator(_dist), PlainSerializer(lambda v: v.to_spec())]
