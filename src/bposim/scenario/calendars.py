"""Sites and named agents on the clock: local times, opening hours and schedules as milliseconds of the horizon."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.units import zone

if TYPE_CHECKING:
    from bposim.scenario import Scenario
    from bposim.scenario.mechanics import Site, Spell
    from bposim.scenario.models import AgentGroup

Spans = list[tuple[int, int]]


class LocalClock:
    """Local time of a group's site, as milliseconds since the scenario's start; days are counted from its first."""

    def __init__(self, scenario: Scenario, body: AgentGroup) -> None:
        site = site_of(scenario, body)
        self.scenario = scenario
        self.zone = zone(site.time_zone if site is not None and site.time_zone else scenario.time_zone)
        self.first = pd.Timestamp(scenario.start)
        self.origin = scenario.grid.origin.tz_convert("UTC").as_unit("ms").asm8.astype(np.int64)

    def weekday(self, day: int) -> int:
        """Return the weekday of a day."""
        return int((self.first + pd.Timedelta(days=day)).day_of_week)

    def days(self, weekdays: tuple[int, ...]) -> list[int]:
        """Return the days, from the eve of the horizon to the day after it, that fall on these weekdays."""
        return [d for d in range(-1, self.scenario.days + 1) if self.weekday(d) in weekdays]

    def at(self, days: list[int], minute: int) -> np.ndarray:
        """Return the instants of a local minute; one that the clock skips is the next that exists."""
        local = pd.DatetimeIndex([self.first + pd.Timedelta(days=d, minutes=minute) for d in days])
        stamps = local.tz_localize(self.zone, nonexistent="shift_forward", ambiguous=np.ones(len(local), dtype=bool))
        return stamps.tz_convert("UTC").as_unit("ms").asi8 - self.origin

    def instants(self, weekdays: tuple[int, ...], minute: int) -> list[int]:
        """Return the instants of a local minute on these weekdays."""
        return [int(t) for t in self.at(self.days(weekdays), minute)]


def site_of(scenario: Scenario, body: AgentGroup) -> Site | None:
    """Return the site of a group, None for the scenario's own calendar."""
    return scenario.sites[body.site] if body.site is not None else None


def site_open(scenario: Scenario, body: AgentGroup) -> np.ndarray:
    """Return in which intervals a group's site is open (by the interval's start), bool, shape (n_intervals,)."""
    site = site_of(scenario, body)
    result = np.ones(len(scenario.grid), dtype=bool)
    if site is None or (site.opening_hours is None and not site.closed):
        return result
    local = scenario.grid.starts.tz_convert(zone(site.time_zone or scenario.time_zone))
    if site.opening_hours is not None:
        inside = np.zeros((7, 1440), dtype=bool)
        for d, spans in site.opening_hours.items():
            for begin, end in spans:
                inside[d, begin:end] = True
        result &= inside[local.day_of_week, local.hour * 60 + local.minute]
    dates = local.tz_localize(None).normalize()
    return result & ~dates.isin(pd.DatetimeIndex([pd.Timestamp(d) for d in site.closed]))


def spans_of(
    scenario: Scenario, body: AgentGroup, schedule: tuple[Spell, ...], absent: np.ndarray | None = None
) -> tuple[Spans, list[tuple[int, int]]]:
    """Return a named agent's stretches of work and its breaks (instant, length), in ms."""
    clock = LocalClock(scenario, body)
    spans: Spans = []
    pauses: list[tuple[int, int]] = []
    for spell in schedule:
        days = clock.days(spell.days)
        begins = clock.at(days, spell.start)
        ends = clock.at(days, spell.end + (1440 if spell.end <= spell.start else 0))
        for day, begin, end in zip(days, begins, ends, strict=True):
            if absent is not None and absent[day + 1]:
                continue
            spans.append((int(begin), int(end)))
            for pause in spell.breaks:
                if clock.weekday(day) in pause.days:
                    later = pause.at + (1440 if pause.at < spell.start else 0)
                    pauses.append((int(clock.at([day], later)[0]), round(pause.length * 1000)))
    return spans, pauses


def named_heads(scenario: Scenario, agent_group: str) -> np.ndarray:
    """Return the mean number of named agents scheduled in each interval of the grid, shape (n_intervals,)."""
    grid, body = scenario.grid, scenario.agent_groups[agent_group]
    total = np.zeros(len(grid))
    here = site_open(scenario, body)
    for agent in body.agents.values():
        for begin, end in union(spans_of(scenario, body, agent.schedule)[0]):
            total += np.clip(np.minimum(grid.end_ms, end) - np.maximum(grid.start_ms, begin), 0, None)
    return np.where(here, total, 0.0) / np.maximum(grid.end_ms - grid.start_ms, 1)


def open_stretches(start_ms: np.ndarray, end_ms: np.ndarray) -> Spans:
    """Return the stretches of time without a closing between."""
    first = np.append(True, start_ms[1:] != end_ms[:-1])
    last = np.append(first[1:], True)
    return list(zip(start_ms[first].tolist(), end_ms[last].tolist(), strict=True))


def union(spans: Spans) -> Spans:
    """Join spans that touch or overlap; in order."""
    joined: Spans = []
    for begin, end in sorted(spans):
        if joined and begin <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(joined[-1][1], end))
        else:
            joined.append((begin, end))
    return joined


def overlap(spans: Spans, others: Spans) -> Spans:
    """Return what two lists of spans have in common."""
    found = [(max(a, c), min(b, d)) for a, b in spans for c, d in others]
    return [(a, b) for a, b in found if a < b]


def without(spans: Spans, holes: Spans) -> Spans:
    """Cut holes out of spans."""
    for begin, end in holes:
        spans = [p for a, b in spans for p in ((a, min(b, begin)), (max(a, end), b)) if p[0] < p[1]]
    return sorted(spans)
