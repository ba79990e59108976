"""From counts and settings to the parts of a forecast: horizon, outlook of each type, paths."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ForecastError, require
from bposim.forecast._analogy import Analogy, by_analogy, own_errors
from bposim.forecast._auto import CANDIDATES, Trial, preferred, trial
from bposim.forecast._calendar import Holidays, closed_days, load_holidays, unseen_holidays
from bposim.forecast._counts import BROKEN, OUTAGE, Counts
from bposim.forecast._days import (
    BUSY,
    THIN_DAYS,
    TRIED_DAYS,
    YEAR_NEEDS,
    Inputs,
    Outlook,
    earlier_origins,
    on_days,
    with_error,
)  # fmt: skip
from bposim.forecast._events import Event, Extra, with_events
from bposim.forecast._fits import Task, ended, made, of_type, task
from bposim.forecast._paths import BLOCK, draw_paths
from bposim.units import Grid, make_grid

if TYPE_CHECKING:
    from bposim.forecast._update import Update


@dataclass(frozen=True, eq=False)
class Settings:
    """The arguments of ``forecast()``, resolved."""

    start: date
    days: int
    method: str
    country: str | None
    subdivision: str | None
    regressors: pd.DataFrame | None
    samples: int
    seed: int
    closed: tuple[date, ...]
    events: tuple[Event, ...] = ()
    analogies: Mapping[str, Analogy] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Parts:
    """What a forecast is made of."""

    grid: Grid
    expected: np.ndarray
    array: np.ndarray
    outlooks: tuple[Outlook, ...]
    notes: tuple[str, ...]
    thin: str
    leads: np.ndarray
    totals: np.ndarray
    by_events: np.ndarray
    extras: tuple[Extra, ...]
    future: pd.DatetimeIndex
    slots: np.ndarray
    update: Update | None = None
    holidays: Mapping[date, str] = field(default_factory=dict)


def build(counts: Counts, settings: Settings, progress: Any = None, workers: int | None = None) -> Parts:
    """Forecast every contact type.

    Parameters
    ----------
    counts : Counts
        Days on and after ``settings.start`` are cut off first.
    progress : callable or None
        Called with (done, total, contact type) after each fit.
    workers : int or None
        Processes for the fits; None takes what is worth it.
    """
    counts = counts.until(settings.start)
    thin = check_length(counts, settings.analogies)
    dates = counts.dates
    horizon = [settings.start + timedelta(days=k) for k in range(settings.days)]
    holidays = _holidays(counts, settings)
    open_weekdays = {d for d in range(7) if counts.spans.get(d)}
    total = counts.totals.sum(axis=0)
    dead = set(dates[total == 0].date) if np.median(total) >= BUSY else set()
    shut = closed_days(horizon, dates, open_weekdays, holidays, dead)
    grid = make_grid(
        settings.start, settings.days, counts.zone, counts.interval_s, counts.spans, (*settings.closed, *shut)
    )  # fmt: skip
    if not len(grid):
        raise ForecastError(
            f"no interval is open in the {settings.days} days from {settings.start}. "
            "Lengthen the horizon, or check the opening hours and closed days."
        )
    open_days = np.unique(grid.day)
    future = pd.DatetimeIndex([pd.Timestamp(horizon[k]) for k in open_days])
    leads = (future - dates[-1]).days.to_numpy().astype(float)
    outlooks = _outlooks(counts, settings, future, workers, progress)
    outlooks = by_analogy(outlooks, counts.types, settings.analogies)
    own = np.column_stack([o.expected for o in outlooks])
    totals, extras, told = with_events(settings.events, counts.types, own, future, counts.spans)
    extras += own_errors(settings.analogies, counts.types, len(future))
    slot = _slots(counts, grid)
    of_day = np.searchsorted(open_days, grid.day)
    # An interval longer than its kind (an hour that the clock repeats at once) carries more.
    longer = np.maximum(np.round(grid.hours * 3600 / counts.interval_s), 1.0)
    expected = np.column_stack(
        [
            np.where(slot >= 0, o.share[grid.weekday, np.maximum(slot, 0)], 0.0) * totals[of_day, j] * longer
            for j, o in enumerate(outlooks)
        ]
    )  # fmt: skip
    array = draw_paths(
        outlooks, counts.types, expected, grid, leads, settings.samples, settings.seed, slot, None, extras
    )
    array.setflags(write=False)
    expected.setflags(write=False)
    notes = [*counts.notes, *settings.notes, *([counts.holes] if counts.holes else []), *([thin] if thin else [])]
    notes += [f"{d} is closed: {why}." for d, why in sorted(shut.items())]
    for d, name in unseen_holidays(future.date, dates, holidays).items():
        notes.append(
            f"{d} ({name}) is taken as open: the history holds no such day. If nobody opens, pass it in closed. The days beside it "
            "are forecast like those beside the holidays of the history."
        )
    notes += _notes(counts, settings, outlooks, (future[0] - dates[-1]).days)
    notes += told
    unseen = (slot < 0) | ~_ever(counts)[grid.weekday, np.maximum(slot, 0)]
    blank = unseen & (expected.sum(axis=1) == 0)
    if blank.any():
        clock = sorted({f"{m // 60:02d}:{m % 60:02d}" for m in grid.minute[blank].tolist()})
        some = ", ".join(clock[:4]) + (", …" if len(clock) > 4 else "")
        notes.append(
            f"{int(blank.sum())} open intervals of the horizon (from {some}) were never open in the history: nothing is expected "
            "in them. Contacts that come there are to be added, for instance as an Event with contacts."
        )
    for event in settings.events:
        for name, o in zip(counts.types, outlooks, strict=True):
            learnt = any(word.startswith(f"{event.name} (event") for word in o.effects)
            if (
                not (event.known or learnt or name in settings.analogies)
                and event.moves(name)
                and event.height(future).any()
            ):
                notes.append(
                    f"{name!r}: event {event.name!r} has no past day to learn from; nothing is expected of it."
                )
    by_events = np.divide(totals, own, out=np.ones_like(totals), where=own > 0)
    return Parts(
        grid, expected, array, tuple(outlooks), tuple(notes), thin, leads, totals, by_events, tuple(extras), future,
        slot, holidays={d: holidays.public[d] for d in horizon if d in holidays.public},
    )  # fmt: skip


def _holidays(counts: Counts, settings: Settings) -> Holidays:
    last = settings.start + timedelta(days=settings.days)
    return load_holidays(settings.country, settings.subdivision, range(counts.dates[0].year - 1, last.year + 2))


def fits(counts: Counts, settings: Settings) -> list[Task]:
    """Return the fits that a forecast needs: one of each contact type, and those at its earlier origins, type by type."""
    counts = counts.until(settings.start)
    inputs = [i for i, _ in _inputs(counts, settings)]
    ahead = max(TRIED_DAYS, _last_lead(counts, settings))
    kinds = range(len(counts.types))
    tasks = [task(counts, k, inputs[k], ahead) for k in kinds]
    before = {o: counts.until(o) for o in set().union(*(_tries(counts, k) for k in kinds))}
    return tasks + [task(before[o], k, inputs[k], TRIED_DAYS) for k in kinds for o in _tries(counts, k)]


def _tries(counts: Counts, kind: int) -> list[date]:
    """Return the earlier origins of one contact type."""
    return [] if ended(counts, kind) is not None else earlier_origins(of_type(counts, kind))


def _last_lead(counts: Counts, settings: Settings) -> int:
    return (settings.start + timedelta(days=settings.days - 1) - counts.dates[-1].date()).days


def _inputs(
    counts: Counts, settings: Settings, workers: int | None = None, progress: Any = None
) -> list[tuple[Inputs, str]]:
    """Return for each contact type what is known in advance with its method, and why that method was chosen, if it was."""
    given = Inputs(settings.method, _holidays(counts, settings), settings.regressors, settings.seed, settings.events)
    if settings.method != "auto":
        return [(given, "")] * len(counts.types)
    trials = _trials(counts, settings)
    views = made([t for found in trials for t in found.tasks], workers, progress)
    result, at = [], 0
    for found in trials:
        method, why = preferred(found, views[at : at + len(found.tasks)])
        at += len(found.tasks)
        result.append((replace(given, method=method), why))
    return result


def _trials(counts: Counts, settings: Settings) -> list[Trial]:
    """Return what is to be tried for each contact type with ``method="auto"``."""
    given = Inputs("auto", _holidays(counts, settings), settings.regressors, settings.seed, settings.events)
    ahead = _last_lead(counts, settings)
    horizon = pd.date_range(settings.start, periods=settings.days)
    found = []
    for k, name in enumerate(counts.types):
        own = [e.name for e in settings.events if not e.known and e.moves(name) and e.height(horizon).any()]
        if own:
            why = f"auto kept {CANDIDATES[0]}: no other method estimates the event {own[0]!r} from its past."
            found.append(Trial([], [], [], 7, 7, why))
        else:
            found.append(trial(counts, k, given, ahead))
    return found


def candidates(counts: Counts, settings: Settings) -> list[Task]:
    """Return the fits by which ``method="auto"`` chooses."""
    if settings.method != "auto":
        return []
    return [t for found in _trials(counts.until(settings.start), settings) for t in found.tasks]


def _outlooks(
    counts: Counts, settings: Settings, future: pd.DatetimeIndex, workers: int | None, progress: Any
) -> list[Outlook]:
    """Return the forecast of each contact type, its error from forecasts made at earlier origins."""
    whys = [why for _, why in _inputs(counts, settings, workers, progress)]
    views = made(fits(counts, settings), workers, progress)
    kinds = range(len(counts.types))
    result, begin = [], len(kinds)
    for k in kinds:
        origins = _tries(counts, k)
        then = views[begin : begin + len(origins)]
        tried = [(o, _told(counts, k, o, v, settings.events)) for o, v in zip(origins, then, strict=True)]
        begin += len(origins)
        view = with_error(of_type(counts, k), 0, views[k], tried)
        last_day = ended(counts, k)
        if last_day is not None:
            note = (
                f"had no contacts since {last_day.date()}, {(counts.dates[-1] - last_day).days} days: it is taken as ended and "
                "its forecast is zero. If it goes on, give the history until then with start=…, or an analogy."
            )
            view = replace(view, notes=(note,))
        result.append(on_days(view, counts.dates[-1], future))
    return [replace(v, notes=(*v.notes, why)) if why else v for v, why in zip(result, whys, strict=True)]


def _told(counts: Counts, kind: int, origin: date, view: Outlook, events: Sequence[Event]) -> Outlook:
    """Return a forecast made at an earlier origin with the events in it whose size the planner gave; other types as they were."""
    if not any(e.known for e in events):
        return view
    last = view.residual.index[-1]
    days = counts.dates[(counts.dates > last) & (counts.dates <= last + pd.Timedelta(days=len(view.expected)))]
    if not len(days):
        return view
    lead = (days - last).days.to_numpy() - 1
    before = np.asarray(counts.dates <= last)
    usual = counts.totals[:, before][:, -THIN_DAYS:].mean(axis=1)
    own = np.tile(usual, (len(days), 1)).astype(float)
    own[:, kind] = view.expected[lead]
    expected = view.expected.copy()
    expected[lead] = with_events(events, counts.types, own, days, counts.spans)[0][:, kind]
    return replace(view, expected=expected)


def further_paths(types: tuple[str, ...], settings: Settings, parts: Parts, first: int, samples: int) -> np.ndarray:
    """Draw the paths numbered ``first`` to ``first + samples − 1`` of a forecast, all beyond those it was made with."""
    from bposim.forecast._update import updated_paths

    blocks = range(first // BLOCK, (first + samples - 1) // BLOCK + 1)
    drawn = [
        draw_paths(
            parts.outlooks,
            types,
            parts.expected,
            parts.grid,
            parts.leads,
            BLOCK,
            settings.seed,
            parts.slots,
            b,
            parts.extras,
        )
        if parts.update is None
        else updated_paths(parts, types, settings, BLOCK, b)
        for b in blocks
    ]
    begin = first - blocks[0] * BLOCK
    array = np.concatenate(drawn)[begin : begin + samples]
    array.setflags(write=False)
    return array


def broken_days(counts: Counts) -> dict[str, list[date]]:
    """Return the days of a history that are not learnt, by the rule of data quality that they break."""
    found: dict[str, list[date]] = {}
    for day in counts.dates[~counts.whole]:
        found.setdefault(counts.broken[day], []).append(day.date())
    return found


def listed(days: Sequence[date]) -> str:
    """Write days in words, the first eight by name."""
    return ", ".join(map(str, days[:8])) + (f" and {len(days) - 8} more" if len(days) > 8 else "")


def young(counts: Counts) -> dict[str, str]:
    """Return the contact types with contacts on too few days to be forecast, each with a sentence why."""
    found = {}
    for k, name in enumerate(counts.types):
        own = of_type(counts, k)
        weekdays = max(sum(bool(s) for s in own.spans.values()), 1)
        if own.totals[0].any() and len(own.dates) < 2 * weekdays <= len(counts.dates):
            found[name] = (
                f"contact type {name!r} begins on {own.dates[0].date()}: {len(own.dates)} days of its own before the horizon, "
                f"fewer than two whole weeks ({2 * weekdays} days). Forecast it by analogy, "
                f"analogies={{{name!r}: Analogy(like=…, share=…)}}, or leave it out of the history."
            )
    return found


def check_length(counts: Counts, analogies: Collection[str] = ()) -> str:
    """Raise if the history, or that of a contact type, is too short; return a sentence if it is thin."""
    if not len(counts.dates):
        raise ForecastError("there is no history before the start of the horizon. Give a later start or more history.")
    open_weekdays = max(sum(bool(s) for s in counts.spans.values()), 1)
    n, span = len(counts.dates), (counts.dates[-1] - counts.dates[0]).days + 1
    if n < 2 * open_weekdays:
        raise ForecastError(
            f"the history has {n} days with data before the horizon, fewer than two whole weeks of its "
            f"{open_weekdays} open weekdays ({2 * open_weekdays} days): the pattern of the week cannot be told from "
            "chance. Give at least 14 days, better eight weeks or more."
        )
    require([why for name, why in young(counts).items() if name not in analogies], ForecastError)
    means = (
        f"less than {THIN_DAYS // 7} weeks: drift and day factor lean on "
        "assumed values, the bands are wider, and effects of month, season and most holidays cannot be estimated."
    )
    if span < THIN_DAYS:
        return f"The history spans {span} days, {means}"
    thin = []
    for k, name in enumerate(counts.types):
        dates = of_type(counts, k).dates
        own = (dates[-1] - dates[0]).days + 1
        if own < THIN_DAYS:
            thin.append(f"The history of {name!r} spans {own} days, {means} An analogy can be given for it instead.")
    return " ".join(thin)


def _ever(counts: Counts) -> np.ndarray:
    """Return whether the wall-clock interval was ever observed on the weekday, shape (7, n_slots)."""
    seen = np.zeros((7, len(counts.minutes)), dtype=bool)
    np.logical_or.at(seen, counts.dates.day_of_week.to_numpy(), counts.times > 0)
    return seen


def _slots(counts: Counts, grid: Grid) -> np.ndarray:
    """Return the index of each horizon interval among the history's wall-clock intervals, −1 if never seen."""
    found = np.searchsorted(counts.minutes, grid.minute)
    found = np.minimum(found, len(counts.minutes) - 1)
    return np.where(counts.minutes[found] == grid.minute, found, -1)


def _notes(counts: Counts, settings: Settings, outlooks: list[Outlook], gap: int) -> list[str]:
    notes = []
    for rule, days in broken_days(counts).items():
        notes.append(
            f"Not learnt, {BROKEN[rule]}: {listed(days)}. If the counts are right, say so: "
            f'History.from_counts(…) or read_history(…), then .accept("{rule}").'
        )
    for name, view in zip(counts.types, outlooks, strict=True):
        alone = counts.silent.get(name, frozenset()) & frozenset(counts.dates)
        if alone:
            notes.append(
                f"{name!r}: not learnt, an outage while other types ran: {listed([d.date() for d in sorted(alone)])}. If the "
                f'counts are right, say so: History.from_counts(…) or read_history(…), then .accept("{OUTAGE}").'
            )
        if odd := [d for d in view.masked if pd.Timestamp(d) not in counts.broken.keys() | alone]:
            notes.append(f"{name!r}: {len(odd)} outlying days were masked and not learnt ({listed(odd)}).")
        notes += [f"{name!r}: {sentence}" for sentence in view.notes]
        if view.error.regular and view.expected.any():
            notes.append(f"{name!r}: day totals vary less than Poisson; counts are drawn by rounding.")
    if settings.method in ("prophet", "auto"):
        notes.append("The level is held at the end of the history; growth is not extrapolated.")
        span = (counts.dates[-1] - counts.dates[0]).days + 1
        if THIN_DAYS <= span < YEAR_NEEDS:
            notes.append(f"The history spans {span} days: the year's season cannot be estimated and is assumed flat.")
        if settings.country is None:
            notes.append("No country was given: holidays are not modelled.")
    if gap > 7:
        notes.append(f"The horizon starts {gap} days after the last day of history; its level has drifted meanwhile.")
    return notes
