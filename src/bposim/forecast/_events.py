"""Campaigns and other events: their shape over the days, what past ones did, and what coming ones will add."""

from __future__ import annotations

import difflib
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.forecast._counts import Spans

SHAPES = ("pulse", "step", "delayed", "decayed")
#: Share of its peak below which a decaying event is over.
OVER = 0.01
#: Days that a delayed event waits, and in which a decayed one halves, unless said otherwise.
DELAY, HALF_LIFE = 3, 3.0
_MARK = "event: "


@dataclass(frozen=True)
class Event:
    """A campaign, a price change, a mailing: something whose date is known and that moves the volume.

    Past events of a name are estimated from the history; a coming one of the same name is expected to do the same,
    unless it says itself what it adds.

    Parameters
    ----------
    name : str
        Events of one name share one effect.
    start : date or str
        First day of the event; for a delayed one the day of the cause, for instance of the mailing.
    days : int
        Days at full height.
    shape : str
        ``"pulse"``: full height on ``days`` days. ``"step"``: full height from ``start`` on, for good; ``days`` plays no
        part. ``"delayed"``: a pulse that begins ``delay`` days after ``start``. ``"decayed"``: a pulse that fades
        afterwards, by half every ``half_life`` days.
    contacts : float or None
        Additional contacts in all, over all days and contact types: reach × response × contacts per response. They are
        spread over the open days by the shape, and over the contact types by their expected volume. Not for a step.
    lift : float or None
        Additional share of contacts at full height: 0.15 is 15 % more.
    delay : int or None
        Days before anything happens; None is 3 for ``"delayed"``. Only for ``"delayed"`` and ``"decayed"``.
    half_life : float or None
        Days in which the effect halves; None is 3 for ``"decayed"``. Only for ``"delayed"`` (None: no tail) and
        ``"decayed"``.
    contact_types : iterable of str or None
        Contact types that it moves; None is all.
    uncertainty : float
        Assumed relative standard error of ``contacts`` or ``lift``; paths scatter by it, lognormally. It is an
        assumption: the history says nothing about an event that it has not seen.

    Raises
    ------
    ParameterError
        An argument breaks its rule; all problems are reported at once.

    Examples
    --------
    A letter to 40,000 customers of whom 1.5 % call within ten days, from the third day on:

    >>> from bposim.forecast import Event
    >>> letter = Event("letter", "2024-03-04", days=10, shape="delayed", delay=3, contacts=40_000 * 0.015)
    >>> letter.contacts
    600.0
    """

    name: str
    start: date | str
    days: int = 1
    shape: str = "pulse"
    contacts: float | None = None
    lift: float | None = None
    delay: int | None = None
    half_life: float | None = None
    contact_types: Sequence[str] | None = None
    uncertainty: float = 0.3

    def __post_init__(self) -> None:
        name, days, shape, contacts, lift = self.name, self.days, self.shape, self.contacts, self.lift
        delay, half_life = self.delay, self.half_life
        caller = f"Event({name!r})"
        problems = []
        if not isinstance(name, str) or not name.strip():
            problems.append(parameter("name", "Event()", "a name in words", name))
        day = _day(self.start)
        if day is None:
            problems.append(parameter("start", caller, 'a day such as "2024-12-01"', self.start))
        if not _whole(days, 1):
            problems.append(parameter("days", caller, "a whole number of at least 1", days))
        if shape not in SHAPES:
            near = difflib.get_close_matches(str(shape), SHAPES, n=1)
            hint = f"Did you mean {near[0]!r}?" if near else ""
            problems.append(parameter("shape", caller, f"one of {', '.join(SHAPES)}", shape, hint))
        if contacts is not None and lift is not None:
            problems.append(parameter("contacts", caller, "None where lift is given", contacts))
        if contacts is not None and not _number(contacts, 0.0):
            problems.append(parameter("contacts", caller, "a number of at least 0", contacts))
        if contacts is not None and shape == "step":
            problems.append(
                parameter("contacts", caller, "None for a step, which has no end to add up to; give lift", contacts)
            )
        if lift is not None and not (_number(lift, -1.0) and lift > -1):
            problems.append(parameter("lift", caller, "a number above -1 (0.15 is 15 % more)", lift))
        if not _number(self.uncertainty, 0.0):
            problems.append(parameter("uncertainty", caller, "a number of at least 0", self.uncertainty))
        for key, value, least in (("delay", delay, 0), ("half_life", half_life, 0)):
            if value is None:
                continue
            if shape in ("pulse", "step"):
                problems.append(parameter(key, caller, f"None for shape={shape!r}", value))
            elif key == "delay" and not _whole(value, least):
                problems.append(parameter(key, caller, "a whole number of days of at least 0", value))
            elif key == "half_life" and not (_number(value, 0.0) and value > 0):
                problems.append(parameter(key, caller, "a number of days above 0", value))
        given: Any = self.contact_types
        kinds = None if given is None else (given,) if isinstance(given, str) else tuple(map(str, given))
        if kinds is not None and not kinds:
            problems.append(parameter("contact_types", caller, "None or at least one contact type", given))
        require(problems, ParameterError)
        object.__setattr__(self, "start", day)
        object.__setattr__(self, "contact_types", kinds)
        if delay is None and shape in ("delayed", "decayed"):
            object.__setattr__(self, "delay", DELAY if shape == "delayed" else 0)
        if half_life is None and shape == "decayed":
            object.__setattr__(self, "half_life", HALF_LIFE)

    @property
    def known(self) -> bool:
        """Whether the event says itself what it adds."""
        return self.contacts is not None or self.lift is not None

    def moves(self, kind: str) -> bool:
        """Whether the event moves a contact type."""
        return self.contact_types is None or kind in self.contact_types

    def height(self, days: pd.DatetimeIndex) -> np.ndarray:
        """Return the height of the effect on some days, 1 at its peak.

        Parameters
        ----------
        days : DatetimeIndex
            Local days without a time zone.
        """
        t = (days - pd.Timestamp(self.start)).days.to_numpy() - (self.delay or 0)
        if self.shape == "step":
            return np.where(t >= 0, 1.0, 0.0)
        result = np.where((t >= 0) & (t < self.days), 1.0, 0.0)
        if self.half_life is not None:
            tail = 0.5 ** (np.maximum(t - self.days + 1, 0) / self.half_life)
            result = np.where((t >= self.days) & (tail >= OVER), tail, result)
        return np.asarray(result)

    def span(self) -> pd.DatetimeIndex:
        """Return the calendar days of an event that ends: all on which its height is not nought."""
        tail = 0 if self.half_life is None else math.floor(self.half_life * math.log2(1 / OVER))
        first = pd.Timestamp(self.start) + pd.Timedelta(days=self.delay or 0)
        return pd.date_range(first, periods=self.days + tail)


@dataclass(frozen=True, eq=False)
class Extra:
    """What is uncertain in an expectation beyond the day errors, with the same luck on all days of a path.

    Attributes
    ----------
    name : str
        Names the random stream.
    spread : float
        Relative standard deviation of the uncertain part.
    share : ndarray, shape (n_open_days, n_types)
        Uncertain share of the day's expectation.
    """

    name: str
    spread: float
    share: np.ndarray


def event_columns(events: Sequence[Event], kind: str, days: pd.DatetimeIndex, learnt: np.ndarray) -> pd.DataFrame:
    """Return a column for each name of event that touches the history of a contact type.

    Parameters
    ----------
    days : DatetimeIndex
        The days of history and then of the horizon.
    learnt : ndarray of bool, shape (n_past,)
        Days of history with data to learn from.
    """
    n = len(learnt)
    out: dict[str, np.ndarray] = {}
    for event in events:
        if event.moves(kind):
            height = event.height(days)
            if event.known:
                # What a coming event says of itself is added afterwards; only its past days are learnt from.
                height[n:] = 0.0
            out[_MARK + event.name] = out.get(_MARK + event.name, 0.0) + height
    return pd.DataFrame({k: v for k, v in out.items() if (v[:n][learnt] > 0).any()}, index=days)


def event_words(events: Sequence[Event], moved: pd.DataFrame, days: pd.DatetimeIndex, n: int) -> list[str]:
    """Say for each estimated name from how many past cases its effect comes."""
    words = []
    for column in moved:
        name = str(column).removeprefix(_MARK)
        cases = sum(e.name == name and bool((e.height(days[:n]) > 0).any()) for e in events)
        words.append(f"{name} (event, estimated from {cases} past case{'s' if cases > 1 else ''})")
    return words


def event_notes(moved: pd.DataFrame, effects: pd.DataFrame, n: int) -> list[str]:
    """Say how much each estimated name moves a day, from its column and what that adds in logs."""
    notes = []
    for column in moved:
        at = int(np.argmax(moved[column].to_numpy()[:n]))
        lift = float(np.expm1(effects[column].iloc[at]))
        on = int((moved[column].to_numpy()[:n] > 0).sum())
        name = str(column).removeprefix(_MARK)
        notes.append(f"event {name!r} moves a day by {lift:+.0%} at its peak, as estimated on {on} past days.")
    return notes


def event_problems(
    events: Any, types: Sequence[str], past: pd.DatetimeIndex, horizon: pd.DatetimeIndex, method: str, caller: str
) -> tuple[tuple[Event, ...], list[str]]:
    """Return the events and what is wrong with them.

    Parameters
    ----------
    past, horizon : DatetimeIndex
        Days with data before the horizon, and all days of the horizon.
    """
    given = (events,) if isinstance(events, Event) else tuple(events)
    wrong = [type(e).__name__ for e in given if not isinstance(e, Event)]
    if wrong:
        return (), [parameter("events", caller, "a list of Event", wrong[0])]
    problems = []
    for event in given:
        unknown = [k for k in event.contact_types or () if k not in types]
        if unknown:
            rule = f"made of known contact types ({', '.join(types)}) in event {event.name!r}"
            problems.append(parameter("events", caller, rule, ", ".join(unknown)))
            continue
        if event.known or not event.height(horizon).any():
            continue
        if method not in ("prophet", "auto"):
            rule = f"given contacts or lift with method={method!r}, which estimates nothing ({event.name!r})"
            problems.append(parameter("events", caller, rule, "neither"))
            continue
        for kind in event.contact_types or types:
            if not any(e.name == event.name and e.moves(kind) and e.height(past).any() for e in given):
                of = "" if event.contact_types is None and len(types) == 1 else f" for {kind!r}"
                problems.append(
                    f"event {event.name!r} of {event.start} has neither contacts nor lift, and the history holds no "
                    f"event of its name{of} to learn from. Give contacts=… (in all) or lift=… (0.15 is 15 % more), "
                    "add its past dates as events of the same name, or name the contact_types that it moves."
                )
                break
    return given, problems


def _beyond(event: Event, future: pd.DatetimeIndex) -> list[str]:
    """Return a note on an event that begins after the horizon."""
    if pd.Timestamp(event.start) <= future[-1]:
        return []
    return [
        f"event {event.name!r} of {event.start} begins after the horizon, which ends on {future[-1].date()}: it adds nothing."
    ]


def with_events(
    events: Sequence[Event],
    types: tuple[str, ...],
    expected: np.ndarray,
    future: pd.DatetimeIndex,
    spans: Spans,
) -> tuple[np.ndarray, list[Extra], list[str]]:
    """Return expected day totals with coming events in them, what is uncertain of it, and notes.

    Parameters
    ----------
    expected : ndarray, shape (n_open_days, n_types)
    future : DatetimeIndex
        Open days of the horizon.
    spans : mapping
        Opening hours by weekday, which tell the open days beyond the horizon.
    """
    result = expected.copy()
    extras: list[Extra] = []
    notes: list[str] = []
    for number, event in enumerate(events):
        if not event.known:
            continue
        which = np.array([event.moves(k) for k in types])
        height = event.height(future)
        added = np.zeros_like(expected)
        if event.lift is not None:
            if not height.any():
                notes += _beyond(event, future)
                continue
            added[:, which] = expected[:, which] * ((1 + event.lift) ** height - 1)[:, None]
            size = f"{event.lift:+.0%} at its peak"
        elif event.contacts is not None:
            height, moved = _on_open_days(event, future, spans)
            if not height.any():
                notes += _beyond(event, future)
                continue
            weight = np.where(which, np.maximum(expected, 0.0), 0.0)
            total = weight.sum(axis=1, keepdims=True)
            even = np.where(which, 1.0 / max(which.sum(), 1), 0.0)
            weight = np.where(total > 0, weight / np.where(total > 0, total, 1.0), even)
            added = event.contacts * height[:, None] * weight
            size = f"{event.contacts:,.0f} additional contacts, {added.sum():,.0f} of them within the horizon"
            if moved:
                notes.append(
                    f"event {event.name!r} of {event.start} falls on closed days only; its contacts come on the next open "
                    f"day, {moved.date()}."
                )
        else:
            continue
        result += added
        extras.append(Extra(f"event {number} {event.name}", event.uncertainty, added))
        notes.append(
            f"event {event.name!r} of {event.start}: {size}, as given, with an assumed standard error of "
            f"{event.uncertainty:.0%}."
        )
    result = np.maximum(result, 0.0)
    of = np.where(result > 0, result, 1.0)
    return result, [replace(e, share=np.where(result > 0, e.share / of, 0.0)) for e in extras], notes


def _on_open_days(event: Event, future: pd.DatetimeIndex, spans: Spans) -> tuple[np.ndarray, pd.Timestamp | None]:
    """Return the share of an event's contacts on each open day of the horizon, and the day they moved to if all were closed.

    Outside the horizon a day is open if its weekday is.
    """
    days = event.span()
    inside = (days >= future[0]) & (days <= future[-1])
    is_open = np.where(inside, days.isin(future), [bool(spans.get(d)) for d in days.day_of_week])
    if is_open.any():
        height = np.where(is_open, event.height(days), 0.0)
        series = pd.Series(height / height.sum(), index=days)
        return series.reindex(future).fillna(0.0).to_numpy(), None
    later = future[future > days[-1]]
    if not len(later) or days[-1] < future[0]:
        return np.zeros(len(future)), None
    return (future == later[0]).astype(float), later[0]


def wobble(extras: Sequence[Extra], draws: Sequence[np.ndarray]) -> np.ndarray:
    """Return the factor, of mean one, by which the expectation of a path's days is off, shape (samples, n_days, n_types).

    Parameters
    ----------
    draws : sequence of ndarray, shape (samples,)
        Standard normal numbers, one array for each extra.
    """
    factor = np.ones((len(draws[0]), *extras[0].share.shape))
    for extra, z in zip(extras, draws, strict=True):
        spread = np.sqrt(np.log1p(extra.spread**2))
        factor += (np.exp(spread * z - spread**2 / 2) - 1)[:, None, None] * extra.share
    return np.maximum(factor, 0.0)


def _day(value: object) -> date | None:
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None


def _whole(value: object, least: int) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool) and int(value) >= least


def _number(value: object, least: float) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float | np.integer | np.floating):
        return False
    return bool(np.isfinite(value)) and float(value) >= least
