"""Metrics told by month: a table in place of a history, and the counts of audits and surveys beside one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, require
from bposim.scenario.check import nearest
from bposim.targets.clauses import Clause, Relief
from bposim.targets.contract import Contract
from bposim.targets.core import Windows
from bposim.targets.figures import CORRIDORS, FORECASTS, figure_problems, name_problems, numbers, value_problems
from bposim.targets.pricing import QUANTITIES
from bposim.targets.quantities import months_index


@dataclass(frozen=True, eq=False)
class MonthTable:
    """Metrics of clauses by month.

    Attributes
    ----------
    months : DatetimeIndex
        Every month from the first to the last.
    columns : mapping of (clause, column) to ndarray, shape (n_months,)
        ``value, numerator, denominator, excluded``; nan where not told.
    figures : DataFrame
        What else the table tells by month: ``offered``, ``forecast``, hours, indexed by month.
    notes : tuple of str
        What of the table was not read.
    """

    months: pd.DatetimeIndex
    columns: Mapping[tuple[str, str], np.ndarray]
    figures: pd.DataFrame
    notes: tuple[str, ...] = ()

    def of(self, clause: str, column: str) -> np.ndarray:
        """Return a column of a clause, nan where the table has none."""
        return self.columns.get((clause, column), np.full(len(self.months), np.nan))


def read_month_table(frame: pd.DataFrame, contract: Contract, *, caller: str = "settle()") -> MonthTable:
    """Read a table of metrics by month.

    Parameters
    ----------
    frame : DataFrame
        Long: ``month, clause`` and ``numerator, denominator`` (or ``value``), ``excluded`` where relief has left contacts
        out. Wide: ``month`` and a column of values named after each clause; other columns are figures of the month
        (``offered``, ``forecast``, ``paid_hours``, …).

    Raises
    ------
    ParameterError
        A column is lacking, a clause is unknown, a row stands twice, a name looks like one that is lacking, or a figure can be
        none (a share above 1, a count below 0); all at once.
    """
    table = frame.reset_index() if "month" not in frame and frame.index.name == "month" else frame
    if "month" not in table:
        raise ParameterError(
            f"the table given to {caller} has no column month. It has: {', '.join(map(str, table.columns))}."
        )
    table = table.reset_index(drop=True)  # tables laid below each other repeat their index
    month = months_index(table["month"], caller)
    every = pd.date_range(month.min(), month.max(), freq="MS") if len(month) else month
    problems: list[str] = []
    notes: list[str] = []
    columns: dict[tuple[str, str], np.ndarray] = {}
    figures = pd.DataFrame(index=every)

    def lay(name: str, column: str, told: pd.Series, at: pd.DatetimeIndex) -> None:
        if at.has_duplicates:
            problems.append(
                f"clause {name!r} has month {at[at.duplicated()][0]:%Y-%m} twice. Give one row for each month."
            )
            return
        values = np.full(len(every), np.nan)
        values[every.get_indexer(at)] = numbers(told, f"clause {name!r}: {column} by month", problems)
        columns[name, column] = values

    if "clause" in table:
        if not {"value"} & set(table) and not {"numerator", "denominator"} <= set(table):
            problems.append(f"the table given to {caller} needs numerator and denominator, or value.")
        for name, rows in table.groupby("clause", sort=False):
            if name not in contract.clauses:
                problems.append(
                    f"the table names {name!r}, which is no clause.{nearest(name, contract.clauses)} Known: {', '.join(contract.clauses)}."
                )
                continue
            for column in {"value", "numerator", "denominator", "excluded", "offered", *CORRIDORS} & set(table):
                lay(str(name), column, rows[column], month[rows.index])
    else:
        for name in contract.clauses:
            if name in table:
                lay(name, "value", table[name], month)
        if not columns and not month.has_duplicates:
            problems.append(f"the table has no column named after a clause. Name them: {', '.join(contract.clauses)}.")
        rest = table.drop(columns=["month", *(n for n in contract.clauses if n in table)]).set_axis(month)
        known = (*QUANTITIES, *FORECASTS, *CORRIDORS)
        named = [str(c) for c in rest.columns]
        wrong, strange = name_problems(
            [*named, *(n for n, _ in columns)], (*contract.clauses, *known), f"{caller}: column"
        )
        problems += wrong
        problems += figure_problems([c for c in rest.columns if str(c) in known], rest, f"{caller}: column")
        if strange:
            notes.append(f"Columns of the table that name no clause and no figure are not read: {', '.join(strange)}.")
        if not month.has_duplicates:
            figures = rest.reindex(every)
    for name in {n for n, _ in columns}:
        told_of = {c: v for (n, c), v in columns.items() if n == name}
        problems += value_problems(contract.clauses[name], name, told_of, every)
    require(problems, ParameterError)
    for name in {n for n, _ in columns}:
        top, bottom = columns.get((name, "numerator")), columns.get((name, "denominator"))
        if top is not None and bottom is not None:
            with np.errstate(invalid="ignore", divide="ignore"):
                ratio = np.where(bottom > 0, top / bottom, np.nan)
            told = columns.get((name, "value"))
            columns[name, "value"] = ratio if told is None else np.where(np.isnan(ratio), told, ratio)
    return MonthTable(every, columns, figures, tuple(notes))


def table_windows(
    clause: Clause, name: str, table: MonthTable, months: pd.DatetimeIndex, events: pd.DataFrame
) -> Windows:
    """Return a clause's windows from a table by month, relief by month laid over.

    Raises
    ------
    ParameterError
        The clause's window or relief needs what a month does not tell.
    """
    window = clause.settled_window
    if window in ("interval", "day", "week"):
        raise ParameterError(
            f"clause {name!r} is about each {window}, which a table by month does not tell. Settle a history, or give the "
            "share of those that pass as a clause of its own (aggregation: share_of_days)."
        )
    place = table.months.get_indexer(months)

    def column(which: str) -> np.ndarray:
        return (
            np.where(place >= 0, table.of(name, which)[place], np.nan)[None, :]
            if len(table.months)
            else np.full((1, len(months)), np.nan)
        )

    value, top, bottom = (column(c) for c in ("value", "numerator", "denominator"))
    left = np.nan_to_num(column("excluded"))
    if clause.minimum_sample and (~np.isnan(value) & np.isnan(bottom)).any():
        raise ParameterError(
            f"clause {name!r} is not judged below a sample of {clause.minimum_sample:g} (minimum_sample), which a table of values "
            "does not tell. Give numerator and denominator by month."
        )
    if window != "month":
        return _longer(clause, name, window, months, value, top, bottom, left)
    sample = np.where(np.isnan(bottom), np.where(np.isnan(value), np.nan, np.inf), bottom)
    factor, waived = np.ones_like(value), np.zeros(value.shape, dtype=bool)
    for relief in clause.relief:
        hit, ratio, excess = _judge(relief, clause, name, table, months, place, events, ~np.isnan(value))
        if relief.effect == "exclude":
            gone = np.where(np.isnan(bottom), 1.0, bottom)
            left, sample = np.where(hit, left + gone, left), np.where(hit, 0.0, sample)
            value, top, bottom = (np.where(hit, np.nan, x) for x in (value, top, bottom))
        elif relief.effect == "waive":
            waived |= hit
        elif relief.effect == "scale":
            factor = factor * np.where(hit, ratio, 1.0)
        else:
            if np.isnan(bottom[hit]).any():
                raise ParameterError(
                    f"clause {name!r}: effect cap leaves contacts out, so the table needs a row for each clause and month, with "
                    "numerator, denominator, offered and forecast."
                )
            beside = np.maximum(column("offered") - left - bottom, 0.0)  # what the rule does not count is above first
            excess = np.maximum(excess - beside, 0.0)
            kept = np.maximum(bottom - np.where(hit, excess, 0.0), 0.0)
            top = np.minimum(top, kept) if clause.higher else np.minimum(np.maximum(top - (bottom - kept), 0.0), kept)
            left, bottom = left + np.where(hit, bottom - kept, 0.0), kept
            sample = np.where(np.isnan(bottom), sample, bottom)
            with np.errstate(invalid="ignore", divide="ignore"):
                value = np.where(np.isnan(bottom), value, np.where(bottom > 0, top / bottom, np.nan))
    return Windows(value, top, bottom, sample, left, factor, waived, np.arange(len(months)), months)


def corridor_problems(contract: Contract) -> list[str]:
    """Return why corridors of a contract cannot be judged on a wide table, which has one column for all contacts."""
    problems = []
    for kind, figure in (("volume", "offered"), ("handle_time", "handle_time_s")):
        scopes = {
            name: tuple(sorted(c.scope.contact_types))
            for name, c in contract.clauses.items()
            if any(
                getattr(r, kind) is not None and r.corridor.by not in ("interval", "day")
                for r in c.relief
                if r.corridor
            )
        }
        if len(set(scopes.values())) > 1:
            problems.append(
                f"clauses {', '.join(scopes)} have corridors about different contacts, and a wide table has one column {figure} for all. "
                "Give a row for each clause and month, or settle a history."
            )
    return problems


def _longer(
    clause: Clause,
    name: str,
    window: str,
    months: pd.DatetimeIndex,
    given: np.ndarray,
    top: np.ndarray,
    bottom: np.ndarray,
    left: np.ndarray,
) -> Windows:
    """Add the months of whole quarters (of the term)."""
    if clause.relief:
        raise ParameterError(
            f"clause {name!r}: relief over a {window} cannot be laid on a table by month. Settle a history."
        )
    if np.isnan(bottom).all() and not np.isnan(given).all():
        raise ParameterError(
            f"clause {name!r} pools a {window}, so the table needs numerator and denominator by month."
        )
    ends = np.array([len(months) - 1]) if window == "all" else np.flatnonzero(months.month % 3 == 0)
    first = np.zeros(1, dtype=int) if window == "all" else ends - 2
    ends, first = ends[first >= 0], first[first >= 0]
    above, below, out = (np.stack([x[:, a : b + 1].sum(axis=1) for a, b in zip(first, ends, strict=True)], axis=1)
                         if len(ends) else np.empty((1, 0)) for x in (top, bottom, left))  # fmt: skip
    with np.errstate(invalid="ignore", divide="ignore"):
        value = np.where(below > 0, above / below, np.nan)
    return Windows(
        value, above, below, below, out, np.ones_like(value), np.zeros(value.shape, bool), ends, months[first]
    )


def _judge(
    relief: Relief, clause: Clause, name: str, table: MonthTable, months: pd.DatetimeIndex, place: np.ndarray,
    events: pd.DataFrame, told: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:  # fmt: skip
    """Return which months a relief touches, corridor over actual, and the contacts above the corridor."""
    nothing = np.ones((1, len(months)))

    def figure(column: str) -> np.ndarray:
        if (name, column) in table.columns:
            return np.where(place >= 0, table.of(name, column)[place], np.nan)[None, :]
        if column not in table.figures:
            raise ParameterError(
                f"clause {name!r} has relief by {relief.kind}, and the table has no column {column!r}. Give it by month, "
                "or settle a history."
            )
        return np.where(place >= 0, table.figures[column].to_numpy(dtype=float)[place], np.nan)[None, :]

    done = (name, "excluded") in table.columns
    if relief.corridor is None:
        zone_free = events.assign(**{k: [t.tz_localize(None) for t in events[k]] for k in ("start", "end")})
        hit = np.zeros((1, len(months)), dtype=bool)
        mine = clause.scope.contact_types
        for row in zone_free[zone_free["cause"] == relief.cause].itertuples():
            if row.contact_type is not None and mine and row.contact_type not in mine:
                continue
            hit |= np.asarray((months < row.end) & (months + pd.DateOffset(months=1) > row.start))[None, :]
        if relief.effect == "exclude" and hit.any() and not done:
            raise ParameterError(
                f"clause {name!r} excludes the time of {relief.cause}, which a table by month does not tell. Give the counts "
                "after relief with a column excluded, or settle a history."
            )
        return hit & (relief.effect != "exclude"), nothing, nothing
    if relief.corridor.by in ("interval", "day"):
        if not done:
            raise ParameterError(
                f"clause {name!r} has relief by {relief.corridor.by}, which a table by month does not tell. Give the counts "
                "after relief with a column excluded, or settle a history."
            )
        return np.zeros((1, len(months)), dtype=bool), nothing, nothing
    asked = ["handle_time_s"] if relief.handle_time is not None else ["offered", "forecast"]
    if relief.handle_time is not None:
        actual, base = figure("handle_time_s"), np.full((1, len(months)), relief.handle_time.baseline)
    else:
        actual, base = figure("offered"), figure("forecast")
    dark = np.isnan(actual + base) & told
    if dark.any():
        lacking = ", ".join(f"{m:%Y-%m}" for m in months[dark[0]])
        raise ParameterError(
            f"clause {name!r} has relief by {relief.kind}, and the table does not tell {' or '.join(asked)} of {lacking}, which "
            "it judges. Give them, or settle a history."
        )
    high = np.inf if relief.corridor.above is None else relief.corridor.above * base
    low = -np.inf if relief.corridor.below is None else relief.corridor.below * base
    over, under = actual > high * (1 + 1e-12), actual < low * (1 - 1e-12)
    with np.errstate(invalid="ignore", divide="ignore"):
        return over | under, np.where(over, high / actual, 1.0), np.where(over, np.floor(actual - high + 1e-6), 0.0)


def is_table(source: Any) -> bool:
    """Tell whether a source is a table by month."""
    return isinstance(source, pd.DataFrame)
