"""An interval report laid over a scenario's grid: pools of contact types, counts and sums by interval."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import CalibrationError, require
from bposim.history.profiles import WITHIN
from bposim.units import format_seconds

if TYPE_CHECKING:
    from bposim.scenario import Scenario


@dataclass(frozen=True)
class Pool:
    """Contact types that one agent group serves alone, and the group."""

    types: tuple[str, ...]
    group: str


@dataclass(frozen=True)
class Columns:
    """What a report tells besides offered, answered and abandoned, in the order of the moments.

    Attributes
    ----------
    answered_within, abandoned_within : tuple of float
        Thresholds in seconds.
    wait_answered, wait_abandoned : bool
        Whether the sums of waits are there.
    """

    answered_within: tuple[float, ...]
    abandoned_within: tuple[float, ...]
    wait_answered: bool
    wait_abandoned: bool

    @property
    def names(self) -> tuple[str, ...]:
        """Column names of the moments, abandoned first."""
        names = ["abandoned", *(f"answered_within_s{t:.10g}" for t in self.answered_within)]
        names += ["wait_answered_sum_s"] * self.wait_answered
        names += [f"abandoned_within_s{t:.10g}" for t in self.abandoned_within]
        return (*names, *["wait_abandoned_sum_s"] * self.wait_abandoned)

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Every threshold that must be counted."""
        return tuple(sorted({*self.answered_within, *self.abandoned_within}))


@dataclass(frozen=True, eq=False)
class ReportCells:
    """A pool's report by open interval of a grid; an interval of which something is not known counts nothing.

    Attributes
    ----------
    settled : ndarray, shape (n_intervals,)
        Answered and abandoned.
    moments : ndarray, shape (n_intervals, n_moments)
    load : ndarray, shape (n_intervals,)
        Erlangs offered: contacts times mean handle time over the interval's length.
    known : ndarray of bool, shape (n_intervals,)
    handle, answered : ndarray, shape (n_intervals,)
        Sum of handle times in seconds, 0 where not known; contacts they belong to.
    """

    settled: np.ndarray
    moments: np.ndarray
    load: np.ndarray
    known: np.ndarray
    handle: np.ndarray
    answered: np.ndarray


def pools_of(base: Scenario) -> tuple[Pool, ...]:
    """Return the pools of a scenario.

    Raises
    ------
    CalibrationError
        A contact type has several agent groups, a group shares a part of its types with another, or a type waits for
        hours: a report does not tell who answered.
    """
    groups_of: dict[str, list[str]] = {t: [] for t in base.contact_types}
    for g, body in base.agent_groups.items():
        for t in body.skills:
            groups_of[t].append(g)
    problems = [
        f"contact type {t!r} may be answered by agent groups {', '.join(map(repr, gs))}, and an interval report does not tell "
        "by which: their heads cannot be told apart. Give a base scenario with one group for these types together, or a "
        "contact log."
        for t, gs in groups_of.items()
        if len(gs) > 1
    ]
    problems += [
        f"contact type {t!r} of scenario {base.name!r} is deferred: nobody hangs up, so a report of waits and abandonments "
        "tells nothing of its staffing. Leave it out of the base scenario."
        for t, kind in base.contact_types.items()
        if kind.deferred
    ]
    require(problems, CalibrationError)
    return tuple(
        Pool(tuple(t for t in base.contact_types if groups_of[t] == [g]), g) for g in base.agent_groups
        if any(groups_of[t] == [g] for t in base.contact_types)
    )  # fmt: skip


def columns_of(table: pd.DataFrame, *, source: str) -> Columns:
    """Return which moments a report has.

    Raises
    ------
    CalibrationError
        It lacks the answered, the abandoned, the handle times, or says nothing of waits.
    """

    def told(name: str) -> bool:
        return name in table and bool(table[name].notna().any())

    within: dict[str, list[float]] = {"answered": [], "abandoned": []}
    for name in table:
        if (found := WITHIN.match(str(name))) and told(str(name)):
            within[found.group(1)].append(float(found.group(2)))
    problems = [
        f"{source} does not tell {what} (column {name!r}), without which neither staffing nor patience can be inferred."
        for name, what in (("answered", "how many were answered"), ("abandoned", "how many hung up"),
                           ("handle_sum_s", "how long they took"))
        if not told(name)
    ]  # fmt: skip
    if not within["answered"] and not told("wait_answered_sum_s"):
        problems.append(
            f"{source} says nothing of waits: neither answered within a threshold (answered_within_s20) nor the sum of the "
            "waits of the answered (wait_answered_sum_s, or asa_s). Abandonment alone does not tell patience from staffing."
        )
    require(problems, CalibrationError)
    return Columns(
        tuple(sorted(within["answered"])), tuple(sorted(within["abandoned"])), told("wait_answered_sum_s"),
        told("wait_abandoned_sum_s"),
    )  # fmt: skip


def place_rows(starts: Any, scenario: Scenario) -> np.ndarray:
    """Return the open interval of the scenario in which each time lies; −1 outside."""
    grid = scenario.grid
    at = pd.DatetimeIndex(starts).tz_convert("UTC").as_unit("ms").asi8
    begin = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    i = np.maximum(np.searchsorted(begin, at, side="right") - 1, 0)
    return np.where((at >= begin[i]) & (at < begin[i] + (grid.end_ms - grid.start_ms)[i]), i, -1)


def check_length(history: Any, base: Scenario) -> None:
    """Refuse a report whose intervals are longer than the scenario's.

    Raises
    ------
    CalibrationError
    """
    own = float(base.interval)
    if history.interval_s > own or own % history.interval_s:
        raise CalibrationError(
            f"{history.source} has intervals of {format_seconds(history.interval_s)}, scenario {base.name!r} of "
            f'{format_seconds(own)}. Write base.replace(interval="{round(history.interval_s / 60)}min").'
        )


def report_cells(
    table: pd.DataFrame, scenario: Scenario, pools: tuple[Pool, ...], columns: Columns, handle_s: Mapping[str, float]
) -> list[ReportCells]:
    """Sum a report over a scenario's open intervals, by pool.

    Parameters
    ----------
    table : DataFrame
        IntervalTable.
    handle_s : mapping of contact type to mean handle time in seconds
    """
    place = place_rows(table["interval_start"], scenario)
    name = table["contact_type"].astype(str)
    grid = scenario.grid
    length = (grid.end_ms - grid.start_ms) / 1000
    n = len(grid)
    result = []
    for pool in pools:
        use = (place >= 0) & name.isin(pool.types).to_numpy()
        i = place[use]
        rows = table[use]

        def total(column: str, rows: pd.DataFrame = rows, i: np.ndarray = i) -> np.ndarray:
            return np.bincount(i, rows[column].to_numpy(dtype=float, na_value=np.nan), minlength=n)

        settled = total("answered") + total("abandoned")
        moments = np.stack([total(c) for c in columns.names], axis=-1)
        known = np.isfinite(settled) & np.isfinite(moments).all(axis=1)
        seconds = rows["offered"].to_numpy(dtype=float, na_value=np.nan) * name[use].map(handle_s).to_numpy(dtype=float)
        load = np.nan_to_num(np.bincount(i, seconds, minlength=n)) / length
        handle = total("handle_sum_s")
        timed = known & np.isfinite(handle)
        result.append(
            ReportCells(np.where(known, settled, 0.0), np.where(known[:, None], moments, 0.0), load, known,
                        np.where(timed, handle, 0.0), np.where(timed, total("answered"), 0.0))
        )  # fmt: skip
    return result


def report_volumes(table: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    """Return the report's contacts as a Volumes frame over the scenario's grid; a count that is not known is 0."""
    place = place_rows(table["interval_start"], scenario)
    name = table["contact_type"].astype(str)
    offered = np.nan_to_num(table["offered"].to_numpy(dtype=float, na_value=np.nan))
    frames = []
    for t in scenario.contact_types:
        use = (place >= 0) & (name == t).to_numpy()
        count = np.rint(np.bincount(place[use], offered[use], minlength=len(scenario.grid))).astype(np.int64)
        frames.append(pd.DataFrame({"contact_type": t, "interval_start": scenario.grid.starts, "contacts": count}))
    return pd.concat(frames, ignore_index=True)
