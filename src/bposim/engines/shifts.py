"""Who is there when: staffing changes of one replication, by number and by name (``docs/design/mechanics.md``, 14 to 18)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.engines.source import day_factors, stream
from bposim.scenario.calendars import (
    LocalClock,
    open_stretches,
    overlap,
    site_of,
    site_open,
    spans_of,
    union,
    without,
)

if TYPE_CHECKING:
    from bposim.engines.source import Source
    from bposim.engines.state import Start
    from bposim.scenario.models import AgentGroup

# Order of the changes of one instant (docs/design/time-and-ties.md, paragraph 3).
_LEAVE, _JOIN, _BREAK = range(3)
_NEVER = 1 << 62
#: One change: instant, class, group, agent or −1, number, length of a break in ms.
Row = tuple[int, int, int, int, int, int]


@dataclass(frozen=True, eq=False)
class Changes:
    """Staffing changes as columns of :class:`~bposim.engines.draws.Draws`.

    Attributes
    ----------
    columns : dict
        ``change_ms, change_group, leave, join, change_agent, away_ms``.
    scheduled : ndarray of float, shape (n_intervals, n_groups)
        Agents by plan, mean over each interval.
    """

    columns: dict[str, np.ndarray]
    scheduled: np.ndarray


def staffing_changes(source: Source, seed: int, replication: int, start: Start | None = None) -> Changes:
    """Return who joins, leaves and pauses when, in one replication."""
    if start is not None or source.random_staffing:
        return _changes(source, seed, replication, start)
    if source.fixed_changes is None:
        source.fixed_changes = _changes(source, seed, replication, None)
    return source.fixed_changes


def _changes(source: Source, seed: int, replication: int, start: Start | None) -> Changes:
    scheduled = np.zeros(source.net_heads.shape)
    plain: list[np.ndarray] = []
    rows: list[Row] = []
    for g, body in enumerate(source.bodies):
        outages = _outages(source, body, seed, replication)
        if body.agents:
            scheduled[:, g] = source.net_heads[:, g]
            rows += _named(source, g, outages, seed, replication, 0 if start is None else start.at_ms)
            continue
        scheduled[:, g] = _whole_heads(source, g, seed, replication)
        present = _present(source, g, scheduled[:, g], seed, replication)
        at, number = _timeline(source, present, outages)
        plain.append(_steps(source, at, number, g, start))
        rows += _group_breaks(source, g, at, number, start)
    table = np.concatenate([*plain, np.array(rows, dtype=np.int64).reshape(-1, 6)])
    table = table[np.lexsort((table[:, 3], table[:, 2], table[:, 1], table[:, 0]))]
    when, what, group, agent, number, away = table.T
    columns = {
        "change_ms": when.copy(),
        "change_group": group.copy(),
        "leave": np.where(what == _JOIN, 0, number),
        "join": np.where(what == _JOIN, number, 0),
        "change_agent": agent.copy(),
        "away_ms": away.copy(),
    }
    return Changes(columns, scheduled)


# By number ---------------------------------------------------------------------------------------------------------


def _whole_heads(source: Source, g: int, seed: int, replication: int) -> np.ndarray:
    """Round net heads to whole agents: one uniform a day and group keeps the mean and stays calm within the day."""
    name, net, law = source.groups[g], source.net_heads[:, g], source.head_factors[g]
    if law is not None:
        net = net * day_factors(law, source.n_days, seed, replication, f"heads_factor/{name}")[source.day]
    whole = np.floor(net + 1e-9)
    if np.all(np.abs(net - whole) < 1e-9):
        return whole
    u = stream(seed, replication, f"heads/{name}").random(source.n_days)
    return np.floor(net + u[source.day] + 1e-9)


def _present(source: Source, g: int, scheduled: np.ndarray, seed: int, replication: int) -> np.ndarray:
    """Return whole agents present in each interval: absence, adherence and the site's calendar taken off."""
    body, name = source.bodies[g], source.groups[g]
    present = np.where(site_open(source.scenario, body), scheduled, 0.0)
    if body.absence > 0:
        rng = stream(seed, replication, f"absence/{name}")
        most = np.zeros(source.n_days, dtype=np.int64)
        np.maximum.at(most, source.day, present.astype(np.int64))
        p: Any = body.absence
        if body.absence_correlation > 0:
            spread = 1 / body.absence_correlation - 1
            p = rng.beta(p * spread, (1 - p) * spread, source.n_days)
        share = rng.binomial(most, p) / np.maximum(most, 1)
        present = np.floor(present * (1 - share[source.day]) + rng.random(source.n_days)[source.day] + 1e-9)
        present = np.minimum(present, scheduled)
    if body.adherence < 1:
        present = stream(seed, replication, f"adherence/{name}").binomial(present.astype(np.int64), body.adherence)
    return present.astype(np.int64)


def _timeline(source: Source, present: np.ndarray, outages: list[tuple[int, int, float]]) -> tuple[np.ndarray, ...]:
    """Return instants and agents present from each on, within open hours; outages take their share."""
    at, interval = source.start_ms, np.arange(len(present))
    if not outages:
        return at, present
    edges = np.array([e for a, b, _ in outages for e in (a, b)], dtype=np.int64)
    spot = np.searchsorted(source.start_ms, edges, side="right") - 1
    inside = (spot >= 0) & (edges > source.start_ms[np.maximum(spot, 0)]) & (edges < source.end_ms[np.maximum(spot, 0)])
    at, interval = np.append(at, edges[inside]), np.append(interval, spot[inside])
    at, first = np.unique(at, return_index=True)
    number = present[interval[first]].astype(float)
    for begin, end, share in outages:
        number[(at >= begin) & (at < end)] *= 1 - share
    return at, np.floor(number + 0.5).astype(np.int64)


def _steps(source: Source, at: np.ndarray, number: np.ndarray, g: int, start: Start | None) -> np.ndarray:
    """Return the rows by which a group's number changes; every opening begins with nobody."""
    before = np.append(0, number[:-1])
    opening = np.append(True, source.start_ms[1:] != source.end_ms[:-1])
    before[np.isin(at, source.start_ms[opening])] = 0
    step = number - before
    if start is not None:  # the changes so far become one, beside those who are on contacts
        now = int(np.searchsorted(at, start.at_ms, side="right")) - 1
        step[: now + 1] = 0
        at = at.copy()
        at[now] = start.at_ms
        step[now] = number[now] - start.busy[g]
    rows = np.flatnonzero(step)
    table = np.zeros((len(rows), 6), dtype=np.int64)
    table[:, 0], table[:, 2], table[:, 3], table[:, 4] = at[rows], g, -1, np.abs(step[rows])
    table[:, 1] = np.where(step[rows] > 0, _JOIN, _LEAVE)
    return table


def _group_breaks(source: Source, g: int, at: np.ndarray, number: np.ndarray, start: Start | None) -> list[Row]:
    rows: list[Row] = []
    clock = LocalClock(source.scenario, source.bodies[g])
    for pause in source.bodies[g].breaks:
        for when in clock.instants(pause.days, pause.at):
            if not _within_hours(source, when):
                continue
            there = int(number[np.searchsorted(at, when, side="right") - 1])
            away = int(np.floor(there * pause.share + 0.5))
            begin, rest = _from_then_on(when, round(pause.length * 1000), 0 if start is None else start.at_ms)
            if away and rest > 0:
                rows.append((begin, _BREAK, g, -1, away, rest))
    return rows


def _from_then_on(when: int, length: int, begin_ms: int) -> tuple[int, int]:
    """Return a break, or what a given state leaves of it: its instant and length."""
    begin = max(when, begin_ms)
    return begin, when + length - begin


def _within_hours(source: Source, when: int) -> bool:
    spot = int(np.searchsorted(source.start_ms, when, side="right")) - 1
    return spot >= 0 and when < int(source.end_ms[spot])


# By name -----------------------------------------------------------------------------------------------------------


def _named(
    source: Source, g: int, outages: list[tuple[int, int, float]], seed: int, replication: int, begin_ms: int
) -> list[Row]:
    body, name = source.bodies[g], source.groups[g]
    rng = stream(seed, replication, f"absence/{name}")
    hit = stream(seed, replication, f"outages_agents/{name}").random((len(outages), len(body.agents)))
    absent = rng.random((len(body.agents), source.scenario.days + 2)) < body.absence
    stretches = open_stretches(source.start_ms, source.end_ms)
    here = site_open(source.scenario, body)
    there = open_stretches(source.start_ms[here], source.end_ms[here]) if here.any() else []
    rows: list[Row] = []
    for a, agent in enumerate(body.agents.values()):
        off = [(begin, end) for k, (begin, end, share) in enumerate(outages) if hit[k, a] < share]
        spans, pauses = spans_of(source.scenario, body, agent.schedule, absent[a])
        worked = without(overlap(overlap(union(spans), there), [(begin_ms, _NEVER)]), off)
        for begin, end in worked:
            rows.append((begin, _JOIN, g, a, 1, 0))
            if not any(end == stop for _, stop in stretches):
                rows.append((end, _LEAVE, g, a, 1, 0))
        for pause in pauses:
            when, length = _from_then_on(*pause, begin_ms)
            if length > 0 and any(begin <= when < end for begin, end in worked):
                rows.append((when, _BREAK, g, a, 1, length))
    return rows


# Outages -----------------------------------------------------------------------------------------------------------


def _outages(source: Source, body: AgentGroup, seed: int, replication: int) -> list[tuple[int, int, float]]:
    """Return the outages of a group's site: begin, end (ms), share of the agents; the same for all groups of a site."""
    site = site_of(source.scenario, body)
    if site is None or not site.outages:
        return []
    horizon = int(source.end_ms[-1]) if len(source.end_ms) else 0
    rng = stream(seed, replication, f"outages/{body.site}")
    clock = LocalClock(source.scenario, body)
    found: list[tuple[int, int, float]] = []
    for outage in site.outages:
        if outage.start is not None:
            local = pd.DatetimeIndex([pd.Timestamp(outage.start)])
            stamp = local.tz_localize(clock.zone, nonexistent="shift_forward", ambiguous=np.array([True]))
            begin = int(stamp.tz_convert("UTC").as_unit("ms").asi8[0]) - int(clock.origin)
            found.append((begin, begin + _draw_ms(outage.length, rng), outage.share))
            continue
        assert outage.every is not None
        now = 0
        while True:
            begin = now + max(_draw_ms(outage.every, rng), 1)
            if begin >= horizon:
                break
            now = begin + _draw_ms(outage.length, rng)
            found.append((begin, now, outage.share))
    return found


def _draw_ms(law: Any, rng: np.random.Generator) -> int:
    return int(min(float(law.sample(rng, 1)[0]), 1e10) * 1000 + 0.5)
