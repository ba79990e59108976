"""What a month's fee and cost are computed of: contacts, minutes and hours, counted or given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics import Counts
from bposim.metrics.pooling import codes_of, group
from bposim.targets.contract import Contract
from bposim.targets.foreseen import Expected
from bposim.targets.pricing import QUANTITIES, price_cents
from bposim.targets.terms import round_cents, to_cents

_CONTACTS = {"offered": ("offered", 1.0), "answered": ("answered", 1.0), "handle_minutes": ("handle_sum_s", 60.0), "talk_minutes": ("talk_sum_s", 60.0)}  # fmt: skip
_AGENTS = {"on_duty_hours": "scheduled_s", "working_hours": "working_s", "busy_hours": "busy_s"}


def months_index(values: Any, where: str) -> pd.DatetimeIndex:
    """Return the first days of months written as 2026-03, dates or periods.

    Raises
    ------
    ParameterError
        One of them is no month.
    """
    try:
        if isinstance(values, pd.PeriodIndex):
            return pd.DatetimeIndex(values.to_timestamp())
        stamps = pd.DatetimeIndex([pd.Timestamp(str(v)) for v in values])
    except (ValueError, TypeError) as error:
        raise ParameterError(f"{where}: month cannot be read: {str(error).splitlines()[0]}. Write 2026-03.") from None
    stamps = stamps.tz_localize(None) if stamps.tz is not None else stamps
    return pd.DatetimeIndex(stamps.to_period("M").to_timestamp())


def read_by_month(given: Any, months: pd.DatetimeIndex, where: str) -> dict[str, np.ndarray]:
    """Read figures by month: a frame with a column (or index) month, or a mapping of names to one number or a list.

    Returns
    -------
    dict of name to ndarray, shape (1, n_months)
        nan where a month is not given.

    Raises
    ------
    ParameterError
        A month stands twice, or a list has another length.
    """
    if given is None:
        return {}
    if isinstance(given, pd.Series):
        given = given.to_frame(str(given.name))
    if isinstance(given, pd.DataFrame):
        frame = given.set_index("month") if "month" in given else given
        index = months_index(frame.index, where)
        if index.has_duplicates:
            raise ParameterError(
                f"{where}: month {index[index.duplicated()][0]:%Y-%m} stands twice. Give one row for each month."
            )
        place = index.get_indexer(months)
        found = {}
        for name in frame.columns:
            values = pd.to_numeric(frame[name], errors="coerce").to_numpy(dtype=float)
            found[str(name)] = (
                np.where(place >= 0, values[place], np.nan)[None, :]
                if len(values)
                else np.full((1, len(months)), np.nan)
            )
        return found
    if isinstance(given, Mapping):
        found = {}
        problems: list[str] = []
        for name, values in given.items():
            if isinstance(values, pd.Series) and not pd.api.types.is_numeric_dtype(values.index):  # it tells the months
                try:
                    found |= read_by_month(values.rename(str(name)), months, where)
                except ParameterError as error:
                    problems += error.problems
                continue
            array = np.atleast_1d(np.asarray(values, dtype=float))
            if array.ndim == 1 and len(array) not in (1, len(months)):
                problems.append(
                    f"{where}: {name} has {len(array)} values for {len(months)} months. Give one, or one for each."
                )
                continue
            found[str(name)] = (
                np.broadcast_to(array, (*array.shape[:-1], len(months))).reshape(-1, len(months)).astype(float)
            )
        require(problems, ParameterError)
        return found
    raise ParameterError(
        f"{where} must be a frame by month or a mapping of names to numbers. Got {type(given).__name__}."
    )


def needed(contract: Contract) -> list[str]:
    """Return the quantities that the contract's pricing needs."""
    return list(dict.fromkeys(n for p in contract.pricing for n in p.needs))


def count_quantities(
    names: Iterable[str], source: Any, counts: Counts, months: pd.DatetimeIndex, expected: Expected | None
) -> dict[str, np.ndarray]:
    """Count what the source can tell of the quantities, shape (n_replications or 1, n_months)."""
    labels, codes = codes_of(counts.starts, "month")
    place = pd.DatetimeIndex(labels).get_indexer(months)

    def per_month(values: np.ndarray) -> np.ndarray:
        total, unknown = (
            group(x[:, :, None], codes, len(labels), None, False)[:, :, 0] for x in (values, np.isnan(values))
        )
        # What is billed is counted whole or not at all.
        return np.where(place >= 0, np.where(unknown > 0, np.nan, total)[:, place], 0.0)

    found: dict[str, np.ndarray] = {}
    scenario = getattr(source, "scenario", None)
    for name in names:
        base = name.removeprefix("forecast_")
        if name != base:
            if base in ("offered", "answered") and expected is not None:
                found[name] = expected.by("month", months, counts.types)[None, :]
        elif name in _CONTACTS:
            column, size = _CONTACTS[name]
            found[name] = per_month(np.asarray(counts.column(column), dtype=float).sum(axis=2)) / size
        elif name in _AGENTS and counts.agents:
            found[name] = per_month(np.asarray(counts.agents[_AGENTS[name]], dtype=float).sum(axis=2)) / 3600
        elif name == "on_duty_hours" and "staffed_s" in counts.contacts:
            found[name] = per_month(np.asarray(counts.contacts["staffed_s"], dtype=float).sum(axis=2)) / 3600
        elif name == "scheduled_hours" and scenario is not None:
            found[name] = _scheduled(scenario, months)[0]
    return found


def _scheduled(scenario: Any, months: pd.DatetimeIndex) -> tuple[np.ndarray, np.ndarray]:
    """Return scheduled hours and their cost by month, shape (1, n_months)."""
    grid = scenario.grid
    month = pd.DatetimeIndex(codes_of(grid.starts, "month")[0])
    codes = codes_of(grid.starts, "month")[1]
    hours, cost = np.zeros(len(month)), np.zeros(len(month))
    for name, body in scenario.agent_groups.items():
        mine = np.bincount(codes, scenario.scheduled_heads(name) * grid.hours, minlength=len(month))
        hours += mine
        cost += mine * body.cost_per_hour
    place = month.get_indexer(months)
    hours, cost = (np.where(place >= 0, x[place], 0.0) for x in (hours, cost))
    return hours[None, :], cost[None, :]


def fees(
    contract: Contract, quantities: Mapping[str, np.ndarray], shape: tuple[int, int], contract_month: np.ndarray
) -> dict[str, np.ndarray]:
    """Return each part of the invoice before credits, whole cents: pricing models, what lifts them to the minimum, surcharges.

    Raises
    ------
    ParameterError
        A quantity is neither counted nor given.
    """
    lacking = [n for n in needed(contract) if n not in quantities]
    require(
        [
            f"the contract's pricing needs {n}: {QUANTITIES.get(n.removeprefix('forecast_'), n)}"
            f"{', as forecast or locked,' if n.startswith('forecast_') else ''} by month, which the source does not tell. "
            f"Give quantities={{{n!r}: …}}."
            for n in lacking
        ],
        ParameterError,
    )
    found: dict[str, np.ndarray] = {}
    for k, price in enumerate(contract.pricing, 1):
        key = price.kind if sum(p.kind == price.kind for p in contract.pricing) == 1 else f"{price.kind} {k}"
        found[key] = price_cents(price, quantities, shape)
    if contract.minimum_billing is not None:
        total = sum(found.values(), np.zeros(shape, dtype=np.int64))
        found["minimum_billing"] = np.maximum(to_cents(contract.minimum_billing) - total, 0)
    return found


def surcharges(contract: Contract, shape: tuple[int, int], contract_month: np.ndarray) -> np.ndarray:
    """Return the surcharges of each month, whole cents."""
    total = np.zeros(shape, dtype=np.int64)
    for s in contract.surcharges:
        total += to_cents(s.amount) * np.isin(contract_month, s.months)
    return total


def cost_cents(
    costs: Any, source: Any, months: pd.DatetimeIndex, shape: tuple[int, int], currency: str
) -> np.ndarray | None:
    """Return the provider's cost by month, whole cents; None where it is not known.

    A number is the cost of each month; None takes the scheduled hours and wages of a simulation's scenario.
    """
    if costs is None:
        scenario = getattr(source, "scenario", None)
        if scenario is None or not any(g.cost_per_hour > 0 for g in scenario.agent_groups.values()):
            return None
        if scenario.currency != currency:
            raise ParameterError(
                f"wages of scenario {scenario.name!r} are in {scenario.currency}, the contract is in {currency}: no margin can "
                f"be taken. Give costs= in {currency}, or write one currency."
            )
        return np.broadcast_to(round_cents(_scheduled(scenario, months)[1] * 100), shape)
    if isinstance(costs, int | float | Decimal) and not isinstance(costs, bool):
        require([parameter("costs", "settle()", "at least 0", costs)] if not costs >= 0 else [], ParameterError)
        return np.full(shape, to_cents(Decimal(str(costs))), dtype=np.int64)
    table = read_by_month(
        costs if not isinstance(costs, list | tuple | np.ndarray) else {"cost": costs}, months, "costs="
    )
    if len(table) != 1:
        raise ParameterError(f"costs= must be one figure for each month. Got columns {', '.join(table)}.")
    values = next(iter(table.values()))
    if np.isnan(values).any():
        first = months[np.isnan(values).any(axis=0)][0]
        raise ParameterError(f"costs= lacks month {first:%Y-%m}. Give every settled month.")
    require(
        [parameter("costs", "settle()", "at least 0 in every month", float(values.min()))] if values.min() < 0 else [],
        ParameterError,
    )
    return np.broadcast_to(round_cents(values * 100), shape)
