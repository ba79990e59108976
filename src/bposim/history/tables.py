"""Interval reports into coarser volumes, and the reading of the arguments that volumes take."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import HistoryError, UnitError
from bposim.history.absent import Absent
from bposim.units import format_seconds, seconds

_FREQUENCIES = {"d": "1d", "1d": "1d", "h": "1h", "min": "1min", "t": "1min"}


def read_interval(interval: Any, own_s: float, kind: str, is_log: bool) -> float:
    """Return an interval's length in seconds; a report's may only be a multiple of its own.

    Raises
    ------
    HistoryError
        It is no whole number of minutes that divides a day, or is finer than the report.
    """
    if interval is None:
        return own_s
    text = _FREQUENCIES.get(str(interval).strip().lower(), interval)
    try:
        length = seconds(text, what="interval")
    except UnitError as error:
        raise HistoryError(error.problems) from None
    if length <= 0 or length % 60 or 86400 % length:
        raise HistoryError(
            f"interval={interval!r} must be a whole number of minutes that divides a day. "
            'Write "15min", "30min", "1h" or "1d".'
        )
    if not is_log and length % own_s:
        raise HistoryError(
            f"interval={interval!r} is no multiple of the {format_seconds(own_s)} of these {kind}: a report cannot be "
            f'cut finer than it is. Write "{format_seconds(own_s)}" or a multiple.'
        )
    return length


def nearest_types(types: Iterable[str] | str | None, known: tuple[str, ...]) -> tuple[str, ...]:
    """Return the contact types asked for, all if None.

    Raises
    ------
    HistoryError
        One does not exist.
    """
    if types is None:
        return known
    asked = (types,) if isinstance(types, str) else tuple(dict.fromkeys(map(str, types)))
    problems = []
    for name in asked:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            problems.append(f"contact type {name!r} is not in the history.{hint} Known: {', '.join(map(repr, known))}.")
    if problems or not asked:
        raise HistoryError(problems or "types is an empty list. Write None for all contact types.")
    return asked


def coarsen(
    table: pd.DataFrame, interval_s: float, own_s: float, names: tuple[str, ...], zone: ZoneInfo,
    absent: Absent,
) -> pd.DataFrame:  # fmt: skip
    """Return the Volumes of an interval report: each of its intervals for each type, summed into longer ones.

    A row that a type lacks counts 0 where ``absent`` says that nobody came, as for the metrics; a cell whose count is not
    known is left out, and so is a longer one that contains it.
    """
    rows = absent.with_unknown(table)
    every = pd.MultiIndex.from_product(
        [list(names), pd.DatetimeIndex(rows["interval_start"].unique()).sort_values()],
        names=["contact_type", "interval_start"],
    )
    own = rows.groupby(["contact_type", "interval_start"])["offered"].sum(min_count=1).reindex(every)
    if absent.nobody:
        lacking = ~every.isin(pd.MultiIndex.from_frame(rows[["contact_type", "interval_start"]]))
        own = own.mask(lacking, 0)
    fine = own.rename("contacts").reset_index()
    starts = fine["interval_start"]
    if interval_s > own_s:
        wall = starts.dt.tz_localize(None)
        into = (wall - wall.dt.normalize()).dt.total_seconds() % interval_s
        into = pd.to_timedelta(into, unit="s").astype("timedelta64[us]")
        if interval_s <= 3600:
            # In real time, so that the two passages of a doubled hour stay apart.
            starts = starts - into
        else:
            ambiguous = np.ones(len(wall), dtype=bool)
            starts = (wall - into).dt.tz_localize(zone, ambiguous=ambiguous, nonexistent="shift_forward")
    fine = fine.assign(interval_start=starts, unknown=fine["contacts"].isna())
    cells = fine.groupby(["contact_type", "interval_start"]).sum()
    long = cells.loc[cells["unknown"] == 0, "contacts"].reset_index()
    place = pd.Index(names).get_indexer(long["contact_type"])
    long = long.iloc[np.lexsort((np.arange(len(long)), place))].reset_index(drop=True)
    long["contact_type"] = long["contact_type"].astype("str")
    if not (long["contacts"] % 1).any():
        long["contacts"] = long["contacts"].astype("int64")
    return long
