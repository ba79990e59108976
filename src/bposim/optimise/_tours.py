"""Every shift that may be worked: pattern, start, day, group, and the break placements to choose from."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from functools import lru_cache
from itertools import pairwise, product

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError
from bposim.scenario import Scenario, ShiftPattern
from bposim.units import Grid, format_seconds

#: Most placements of the breaks of one window, before dominated ones are dropped.
MOST_PLACEMENTS = 5000

Break = tuple[int, int]


@dataclass(frozen=True)
class Placement:
    """One way to place the breaks of a window: their (start, end) in ms, and the intervals they cost."""

    breaks: tuple[Break, ...]
    lost: tuple[int, ...]


@dataclass(frozen=True)
class Tour:
    """One shift of one group on one day; ``windows`` hold the placements to choose from, independently."""

    pattern: str
    group: str
    day: int
    begins: int
    ends: int
    core: tuple[int, ...]
    windows: tuple[tuple[Placement, ...], ...]
    fixed: tuple[Break, ...]
    paid_hours: float
    cost: float


def tours(scenario: Scenario, groups: Iterable[str], *, keep_all: bool) -> list[Tour]:
    """Return the shifts of the horizon, those of the evening before that reach into it included.

    Parameters
    ----------
    keep_all : bool
        Keep placements that cover fewer intervals than another: wanted where presence itself is capped or priced.

    Raises
    ------
    OptimiseError
        A window has too many placements.
    """
    return list(_tours(scenario, tuple(scenario.shifts), tuple(groups), keep_all))


@lru_cache(maxsize=4)  # plans from lean to lavish are made of the same shifts
def _tours(scenario: Scenario, patterns: tuple[str, ...], wanted: tuple[str, ...], keep_all: bool) -> tuple[Tour, ...]:
    grid = scenario.grid
    result = []
    problems = []
    for name in patterns:  # their order is no part of what makes scenarios equal
        pattern = scenario.shifts[name]
        able = [g for g in wanted if not pattern.groups or g in pattern.groups]
        if not able:
            continue
        count = placements_at_most(pattern)
        if count > MOST_PLACEMENTS:
            problems.append(
                f"shift {name!r} has {count:,} placements of breaks whose windows meet; at most {MOST_PLACEMENTS:,} "
                f"can be tried. Widen break_step (now {format_seconds(pattern.break_step)}) or part the windows."
            )
            continue
        for day in range(-1, scenario.days):
            today = scenario.start + timedelta(days=day)
            if today.weekday() not in pattern.days:
                continue
            for minute in starts(pattern):
                begins = instant(grid, today, minute)
                ends = begins + round(pattern.length_s * 1000)
                if day < 0 and ends <= 0:
                    continue
                core, windows, fixed = _lay(grid, pattern, begins, ends, keep_all)
                if not core:
                    continue
                hours = pattern.paid / 3600
                for g in able:
                    price = hours * scenario.agent_groups[g].cost_per_hour * pattern.premium
                    cost = price if pattern.cost is None else pattern.cost
                    result.append(Tour(name, g, day, begins, ends, core, windows, fixed, hours, cost))
    if problems:
        raise OptimiseError(problems)
    return tuple(result)


def starts(pattern: ShiftPattern) -> list[int]:
    """Return the start minutes of a pattern, from its first, every step."""
    first, last = pattern.start
    step = pattern.step / 60
    return [round(first + k * step) for k in range(int((last - first) / step + 1e-9) + 1)]


def instant(grid: Grid, day: date, minute: int) -> int:
    """Return the ms since the grid's origin of a wall-clock time; one that a clock change skips moves forward."""
    wall = pd.Timestamp(datetime.combine(day, time()) + timedelta(minutes=minute))
    stamp = wall.tz_localize(grid.zone, ambiguous=True, nonexistent="shift_forward")
    return round((stamp - grid.origin) / pd.Timedelta(milliseconds=1))


def _offsets(pattern: ShiftPattern) -> list[list[int]]:
    """Return for each break the ms after the shift's start at which it may begin."""
    step = pattern.break_step
    return [
        [round((b.after[0] + k * step) * 1000) for k in range(int((b.after[1] - b.after[0]) / step + 1e-9) + 1)]
        for b in pattern.breaks
    ]


def placements_at_most(pattern: ShiftPattern) -> int:
    """Return the most placements that any cluster of meeting windows can have."""
    offsets = _offsets(pattern)
    spans = [(o[0], o[-1] + round(b.length * 1000)) for o, b in zip(offsets, pattern.breaks, strict=True)]
    return max((int(np.prod([len(offsets[k]) for k in c], dtype=float)) for c in _clusters(spans)), default=1)


def _clusters(spans: list[tuple[int, int]]) -> list[list[int]]:
    """Join spans that overlap."""
    found: list[tuple[int, list[int]]] = []
    for k in sorted(range(len(spans)), key=lambda k: spans[k]):
        low, high = spans[k]
        if found and low < found[-1][0]:
            end, members = found[-1]
            found[-1] = (max(end, high), [*members, k])
        else:
            found.append((high, [k]))
    return [sorted(members) for _, members in found]


def _touched(grid: Grid, low: int, high: int) -> range:
    """Return the intervals that share time with [low, high)."""
    return range(int(np.searchsorted(grid.end_ms, low, "right")), int(np.searchsorted(grid.start_ms, high, "left")))


def _lay(
    grid: Grid, pattern: ShiftPattern, begins: int, ends: int, keep_all: bool
) -> tuple[tuple[int, ...], tuple[tuple[Placement, ...], ...], tuple[Break, ...]]:
    """Return the intervals wholly inside the shift, the windows to choose in, and the breaks without a choice."""
    first = int(np.searchsorted(grid.start_ms, begins, "left"))
    last = int(np.searchsorted(grid.end_ms, ends, "right"))
    core = list(range(first, last))
    offsets = [[begins + o for o in options] for options in _offsets(pattern)]
    lengths = [round(b.length * 1000) for b in pattern.breaks]
    spans = []
    for options, length in zip(offsets, lengths, strict=True):
        low, high = options[0], options[-1] + length
        inside = _touched(grid, low, high)
        # Windows that meet in an interval are chosen together, so that no interval is lost twice.
        if len(inside):
            low, high = min(low, int(grid.start_ms[inside[0]])), max(high, int(grid.end_ms[inside[-1]]))
        spans.append((low, high))
    windows, fixed = [], []
    for cluster in _clusters(spans):
        found: dict[tuple[int, ...], Placement] = {}
        for chosen in product(*(offsets[k] for k in cluster)):
            breaks = sorted((b, b + lengths[k]) for b, k in zip(chosen, cluster, strict=True))
            if any(one[1] > two[0] for one, two in pairwise(breaks)):
                continue
            lost = sorted({i for low, high in breaks for i in _touched(grid, low, high) if first <= i < last})
            found.setdefault(tuple(lost), Placement(tuple(breaks), tuple(lost)))
        if not found:
            return (), (), ()
        kept = list(found.values())
        if not keep_all:
            sets = {p: frozenset(p.lost) for p in kept}
            kept = [p for p in kept if not any(sets[q] < sets[p] for q in kept)]
        if len(kept) == 1:
            fixed += list(kept[0].breaks)
            core = [i for i in core if i not in kept[0].lost]
        else:
            windows.append(tuple(kept))
    return tuple(core), tuple(windows), tuple(fixed)
