"""Means by weekday and open interval where the clock does not bring every interval as often as its weekday.

The hour that spring takes is missing on that day, the one that autumn brings twice is there twice. An interval that no day of
its weekday had lies between its neighbours, and a note says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from bposim.units import WEEKDAYS, Grid, clock_text, wall_slots

if TYPE_CHECKING:
    from bposim.scenario import Scenario


def slot_spans(base: Scenario, weekday: int) -> list[tuple[int, int]]:
    """Return the open intervals of a weekday as wall-clock minutes (begin, end), whatever the clock makes of them on a day."""
    return wall_slots(base.opening_hours[weekday], base.interval)


def per_slot(total: np.ndarray, often: np.ndarray) -> np.ndarray:
    """Return means by slot; a slot that no day had lies between its neighbours.

    Parameters
    ----------
    total : ndarray, shape (n_slots,)
        Sums over the days of a weekday.
    often : ndarray, shape (n_slots,)
        How often the days had each slot, in any unit.
    """
    mean = np.divide(total, often, out=np.zeros(len(often)), where=often > 0)
    if (often > 0).any():
        at = np.arange(len(often))
        mean[often <= 0] = np.interp(at[often <= 0], at[often > 0], mean[often > 0])
    return mean


def heads_by_weekday(
    heads: np.ndarray, grid: Grid, base: Scenario, what: str
) -> tuple[dict[int, np.ndarray], list[str]]:
    """Return mean heads of every slot by weekday, and a note on the slots that no day had.

    Parameters
    ----------
    heads : ndarray, shape (n_intervals,)
        Mean heads of each interval of the grid.
    grid : Grid
    base : Scenario
        Whose opening hours and interval the grid has.
    what : str
        The heads in words, for the note.
    """
    length = grid.end_ms - grid.start_ms
    result = {}
    unseen: list[tuple[int, int]] = []
    for d in np.unique(grid.weekday):
        here = grid.weekday == d
        spans = slot_spans(base, int(d))
        often = np.bincount(grid.slot[here], length[here], minlength=len(spans))
        total = np.bincount(grid.slot[here], heads[here] * length[here], minlength=len(spans))
        result[int(d)] = np.round(per_slot(total, often), 4)
        unseen += [(int(d), spans[s][0]) for s in np.flatnonzero(often <= 0)]
    return result, unseen_slots(what, unseen)


def unseen_slots(what: str, slots: Sequence[tuple[int, int]]) -> list[str]:
    """Say which intervals no day had, as (weekday, wall-clock minute of the start); nothing where all were there."""
    if not slots:
        return []
    named = ", ".join(f"{WEEKDAYS[d]} {clock_text(m)}" for d, m in slots[:6])
    return [
        f"No day used had the interval {named}{' …' if len(slots) > 6 else ''}, for the clock changed: {what} there lie between those "
        "of the intervals beside it. A history with a further such weekday would tell them."
    ]
