"""Settlement: what would have been paid under a contract, on a history, a simulation or a table by month."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics import Counts
from bposim.metrics.pooling import Sums, tell_unknown
from bposim.provenance import Provenance
from bposim.targets.by_day import by_days_alone, days_of, known
from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.core import COMPARE, NO_DATA, Judged, Windows, by_month, judge, reached, rounded, status_of
from bposim.targets.figures import gathered_problems, quantity_problems, unused, window_notes
from bposim.targets.foreseen import Expected, read_forecast
from bposim.targets.held import (
    cut_notes,
    cut_quarter_notes,
    cut_window_notes,
    has_wages,
    months_held,
    part_notes,
    unpaid_groups,
)
from bposim.targets.ledger import Ledger
from bposim.targets.measure import Measured, laid_clauses, measure, question, scope_types
from bposim.targets.month_table import MonthTable, corridor_problems, is_table, read_month_table, table_windows
from bposim.targets.months import settle_months
from bposim.targets.quantities import cost_cents, count_quantities, fees, needed, read_by_month, surcharges
from bposim.targets.relief import read_events
from bposim.targets.terms import Level


def settle(
    contract: Any,
    source: Any,
    *,
    quantities: Any = None,
    forecast: Any = None,
    events: Any = None,
    audits: pd.DataFrame | None = None,
    costs: Any = None,
    start: Any = None,
) -> Ledger:
    """Settle a contract month by month.

    Parameters
    ----------
    contract : Contract, str, Path or mapping
        As :func:`load_contract` takes it.
    source : History, SimulationResult or DataFrame
        A table by month is long (``month, clause, numerator, denominator``, or ``value``, and ``excluded``) or wide
        (``month``, a column of values for each clause, and figures such as ``offered`` and ``forecast``).
    quantities : DataFrame or mapping, optional
        What the pricing needs and the source does not tell, by month: ``{"paid_hours": 4200}``, a list, or a frame with a
        column ``month``. Given ones replace counted ones.
    forecast : Forecast or DataFrame, optional
        Expected contacts (``interval_start, contact_type, contacts``) that volume corridors and minimum commitments are
        laid around. None: the volumes of a simulation; the contract's ``volumes`` for corridors by month.
    events : list of mapping or DataFrame, optional
        ``cause, start, end`` (not included) and, where only one is touched, ``contact_type``: outages and the like.
    audits : DataFrame, optional
        Counts of audited metrics by month, a long table as above, beside a history or a simulation.
    costs : number, list, Series or DataFrame, optional
        The provider's cost of each month. None: scheduled hours and wages of a simulation's scenario, else not known.
    start : str or date, optional
        First month of the contract. None: the contract's own start where the source holds one of its months; otherwise
        the contract is replayed from the source's first month, and a note says so.

    Returns
    -------
    Ledger

    Raises
    ------
    ParameterError
        The source lacks what a clause, its relief or the pricing needs, data are missing and the clause has no rule, a figure
        can be none (a share above 1, a count below 0), or a name looks like one that is lacking; all at once.

    Warns
    -----
    DataQualityWarning
        Cells of an interval report are not known and were left out.

    Examples
    --------
    >>> deal = load_contract({"pricing": {"fixed": 1000}, "clauses": {"speed": {
    ...     "metric": "service_level", "within": "20s", "levels": {"expected": "80%"}, "missing": "exclude",
    ...     "bands": [{"to": "expected", "credit": "5%"}]}}})
    >>> settle(deal, pd.DataFrame({"month": ["2026-01", "2026-02"], "speed": [0.79, 0.80]})).amounts("credit")
    [Decimal('50.00'), Decimal('0.00')]
    """
    deal = load_contract(contract)
    g = gather(deal, source, quantities=quantities, forecast=forecast, events=events, audits=audits, start=start,
               wages=costs is None)  # fmt: skip
    return settle_windows(
        deal, g.windows, g.months, g.contract_month, g.figures, batch=g.batch,
        costs=lambda shape: cost_cents(costs, source, g.months, shape, deal.currency), notes=g.notes,
        parents=(source.provenance,) if isinstance(getattr(source, "provenance", None), Provenance) else (),
    )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Gathered:
    """What a settlement takes from its source: the months, each clause in its windows, and the figures of the pricing."""

    months: pd.DatetimeIndex
    contract_month: np.ndarray
    windows: dict[str, Windows]
    figures: dict[str, np.ndarray]
    batch: np.ndarray
    notes: list[str]


def gather(
    deal: Contract, source: Any, *, quantities: Any = None, forecast: Any = None, events: Any = None, audits: pd.DataFrame | None = None,
    start: Any = None, names: Sequence[str] | None = None, wages: bool = True,
) -> Gathered:  # fmt: skip
    """Measure a contract's clauses on a source.

    ``names`` are the quantities to count, by default those of its pricing; ``wages`` tells that the cost will be the source's own.
    """
    asked = needed(deal) if names is None else names
    problems = quantity_problems(quantities)
    table = gathered_problems(lambda: read_month_table(source, deal), problems) if is_table(source) else None
    audited = None
    if audits is not None and table is None:
        audited = gathered_problems(lambda: read_month_table(audits, deal, caller="settle(audits=…)"), problems)
    problems += corridor_problems(deal) if table is not None and "clause" not in source else []
    require(problems, ParameterError)
    if table is not None:
        months, contract_month, notes = _calendar(deal, table.months, start)
        notes += table.notes
        happened = read_events(events, deal_zone(None))
        windows = {n: table_windows(c, n, table, months, happened) for n, c in deal.clauses.items()}
        for n, c in deal.clauses.items():
            notes += cut_quarter_notes(n, table.months, months) if c.settled_window == "quarter" else []
        figures = read_by_month(table.figures, months, "the table") if len(table.figures.columns) else {}
        if "forecast" in figures:
            figures |= {"forecast_offered": figures["forecast"], "forecast_answered": figures["forecast"]}
        batch = np.zeros(1, dtype=int)
    else:
        counts = _counts(deal, source)
        zone = deal_zone(counts)
        expected = read_forecast(_default_forecast(deal, source) if forecast is None else forecast, zone)
        happened = read_events(events, zone, counts.types)
        held, cut, parts = months_held(counts)
        months, contract_month, notes = _calendar(deal, held, start)
        notes += part_notes(deal, months, cut, wages and has_wages(source)) if parts else cut_notes(months, cut)
        notes += unpaid_groups(deal, source) if wages else []
        windows = _measured(deal, source, counts, months, expected, happened, audited, parts, notes)
        figures = count_quantities(asked, source, days_of(counts), months, expected)
        batch = np.asarray(getattr(source, "batch", np.zeros(counts.replications, dtype=int)))
    figures |= read_by_month(quantities, months, "quantities=")
    notes += window_notes(deal.clauses, windows, months)
    notes += unused(quantities, asked)
    return Gathered(months, contract_month, windows, figures, batch, notes)


def settle_windows(
    contract: Contract, windows: dict[str, Windows], months: pd.DatetimeIndex, contract_month: np.ndarray,
    figures: dict[str, np.ndarray], *, batch: np.ndarray, costs: Any = None, notes: list[str] | None = None,
    parents: tuple[Provenance, ...] = (),
) -> Ledger:  # fmt: skip
    """Settle clauses that are measured already: no counting, arithmetic only.

    Parameters
    ----------
    windows : dict of clause to Windows
        All with the same number of replications, or one that stands for all.
    figures : dict of name to ndarray, shape (n_replications or 1, n_months)
        Quantities of the pricing.
    batch : ndarray, shape (n_replications,)
        The independent repetition that each replication belongs to.
    costs : callable of shape to ndarray, optional
    """
    n_rep = max([len(batch), *(len(w.value) for w in windows.values())])
    shape = (n_rep, len(months))
    windows = {n: _spread_out(w, n_rep) for n, w in windows.items()}
    _refuse_missing(contract, windows, months)
    judged = _judge_all(contract, windows, contract_month, len(months))
    recovered = _recovered(contract, windows, contract_month, len(months))
    parts = fees(contract, figures, shape, contract_month)
    fee = sum(parts.values(), np.zeros(shape, dtype=np.int64))
    done = settle_months(contract, [judged[n] for n in contract.clauses], fee, months, contract_month, recovered)
    extra = surcharges(contract, shape, contract_month)
    cost = None if costs is None else costs(shape)
    made = Provenance(
        "settle", {"contract": contract.hash, "months": len(months), "first_month": f"{months[0]:%Y-%m}"}, parents
    )
    return Ledger(contract, months, contract_month, judged, done, parts, extra, cost, batch, tuple(notes or ()), made)


def _spread_out(w: Windows, n_rep: int) -> Windows:
    """Let one replication stand for all."""
    if len(w.value) == n_rep:
        return w

    def wide(values: np.ndarray) -> np.ndarray:
        return np.broadcast_to(values, (n_rep, values.shape[1]))

    return Windows(
        wide(w.value), wide(w.top), wide(w.bottom), wide(w.sample), wide(w.excluded), wide(w.factor), wide(w.waived),
        w.month, w.starts,
    )  # fmt: skip


def deal_zone(counts: Counts | None) -> Any:
    """Return the time zone of a source, UTC for a table by month."""
    return "UTC" if counts is None else counts.starts.tz


def _default_forecast(contract: Contract, source: Any) -> Any:
    """Return the volumes of a simulation where a corridor or a commitment asks for them."""
    corridors = any(r.volume is not None for c in contract.clauses.values() for r in c.relief)
    wanted = corridors or any(n.startswith("forecast_") for n in needed(contract))
    return getattr(source, "expected", None) if wanted else None


def _counts(contract: Contract, source: Any) -> Counts:
    if not hasattr(source, "counts"):
        raise ParameterError(
            parameter("source", "settle()", "a History, a SimulationResult or a table by month", type(source).__name__)
        )
    if getattr(source, "kind", "") == "counts":
        raise ParameterError(
            f"{source.source} holds counts of contacts and nothing of what became of them: no clause can be settled."
        )
    asks = [question(c, source) for c in contract.clauses.values() if not c.audited]
    return source.counts([t for a in asks for t in (a.within_s, a.short_s) if t is not None])


def _calendar(contract: Contract, held: pd.DatetimeIndex, start: Any) -> tuple[pd.DatetimeIndex, np.ndarray, list[str]]:
    """Return the settled months, their number in the contract, and notes."""
    if not len(held):
        raise ParameterError("the source holds no month to settle.")
    if start is None and contract.start is not None:
        begin = pd.Timestamp(contract.start).to_period("M").to_timestamp()
        end = held[-1] if contract.months is None else begin + pd.DateOffset(months=contract.months - 1)
        if not ((held >= begin) & (held <= end)).any():
            return held, np.arange(1, len(held) + 1), [
                f"The contract begins {begin:%Y-%m}; the source holds {held[0]:%Y-%m} to {held[-1]:%Y-%m}. It is replayed: "
                f"{held[0]:%Y-%m} counts as its first month."
            ]  # fmt: skip
    else:
        try:
            begin = held[0] if start is None else pd.Timestamp(start).to_period("M").to_timestamp()
        except (ValueError, TypeError):
            raise ParameterError(parameter("start", "settle()", 'a month such as "2026-03"', start)) from None
        end = (
            held[-1] if contract.months is None or start is None else begin + pd.DateOffset(months=contract.months - 1)
        )
    inside = held[(held >= begin) & (held <= end)]
    if not len(inside):
        raise ParameterError(
            f"start={start!r}: the source holds {held[0]:%Y-%m} to {held[-1]:%Y-%m}, none of them a month of the contract."
        )
    number = (inside.year - begin.year) * 12 + inside.month - begin.month + 1
    out = len(held) - len(inside)
    notes = [f"{out} months of the source lie outside the contract's term and are left out."] if out else []
    return inside, np.asarray(number), notes


def _measured(
    contract: Contract, source: Any, counts: Counts, months: pd.DatetimeIndex, expected: Expected | None,
    events: pd.DataFrame, audited: MonthTable | None, parts: bool, notes: list[str],
) -> dict[str, Windows]:  # fmt: skip
    found: dict[str, Windows] = {}
    told: list[tuple[Any, Sums]] = []
    daily = days_of(counts)
    for name, clause in laid_clauses(contract, counts).items():
        if clause.audited or (audited is not None and (name, "value") in audited.columns):
            nothing = MonthTable(months[:0], {}, pd.DataFrame(index=months[:0]))
            found[name] = table_windows(clause, name, audited or nothing, months, events)
            continue
        one = _measure(clause, name, contract, source, (counts, daily), months, expected, events, parts)
        found[name] = one.windows
        if one.given is not None:
            told.append((one.ask, one.given))
        notes += cut_window_notes(name, clause.settled_window, one.cut)
        if not len(one.windows.month):
            notes.append(f"Clause {name!r} is settled by {clause.settled_window}, and the source holds no whole one.")
    tell_unknown(told, stacklevel=4)
    return found


def _measure(
    clause: Clause, name: str, contract: Contract, source: Any, counts: tuple[Counts, Counts], months: pd.DatetimeIndex,
    expected: Expected | None, events: pd.DataFrame, parts: bool,
) -> Measured:  # fmt: skip
    """Measure a clause on the counts by day where it looks at nothing shorter and all of them are known, else by interval."""
    whole, daily = counts
    if by_days_alone(clause, events):
        one = measure(clause, name, contract, source, daily, months, expected, events, parts=parts)
        if known(daily):
            return one
    return measure(clause, name, contract, source, whole, months, expected, events, parts=parts)


def _refuse_missing(contract: Contract, windows: dict[str, Windows], months: pd.DatetimeIndex) -> None:
    problems = []
    for name, clause in contract.clauses.items():
        lacking = (status_of(clause, windows[name]) == NO_DATA).any(axis=0)
        if clause.missing is None and lacking.any():
            first = months[windows[name].month[lacking][0]]
            problems.append(
                f"clause {name!r} has no data in {int(lacking.sum())} of {len(lacking)} windows (first in {first:%Y-%m}), and the "
                f"contract does not say what follows. Write missing: exclude, miss or met"
                f"{', or give audits=' if clause.audited else ''}."
            )
        w = windows[name]
        bare = (~np.isnan(w.value) & (np.isnan(w.top) | np.isnan(w.bottom))).any(axis=0)
        if clause.per_contact is not None and bare.any():
            problems.append(
                f"clause {name!r} takes a credit for each contact (per_contact), and {months[w.month[bare][0]]:%Y-%m} has a value "
                "without counts. Give numerator and denominator by month."
            )
    require(problems, ParameterError)


def _judge_all(
    contract: Contract, windows: dict[str, Windows], contract_month: np.ndarray, n: int
) -> dict[str, Judged]:
    asked = {pair for c in contract.clauses.values() for pair in c.conditions}
    conditions = {
        (name, level, scaled): reached(contract.clauses[name], windows[name], level, contract_month, n, scaled=scaled)
        for name, level in asked
        for scaled in (False, True)
    }
    return {n_: judge(c, windows[n_], contract_month, conditions) for n_, c in contract.clauses.items()}


def _recovered(
    contract: Contract, windows: dict[str, Windows], contract_month: np.ndarray, n: int
) -> dict[str, np.ndarray]:
    """Return, for the clauses that earn back, the months (years, at their last month) that reach the level of it."""
    found = {}
    for name, clause in contract.clauses.items():
        if clause.earn_back is None:
            continue
        w = windows[name]
        if clause.earn_back.following is not None:
            found[name] = reached(clause, w, clause.earn_back.level, contract_month, n)
            if clause.settled_window == "quarter":  # the months within one stand neither for nor against it
                found[name] = found[name] | ~np.isin(np.arange(n), w.month)
        else:
            found[name] = _year_on_average(clause, w, contract_month, n)
    return found


def _year_on_average(clause: Clause, w: Windows, contract_month: np.ndarray, n: int) -> np.ndarray:
    """Tell at each month whether its contract year up to it, pooled by counts (else the mean of its months), reaches the level.

    The level is the mean of the months' own, as a glide path moves it; value, rounding and comparison are the clause's. A window
    without data that counts as missed is missed here too.
    """
    year = (contract_month - 1) // 12
    known = ~np.isnan(w.value)
    counted = not np.isnan(w.top[known]).any() and not np.isnan(w.bottom[known]).any()
    top = by_month(np.where(known, w.top if counted else w.value, 0.0), w.month, n)
    bottom = by_month(np.where(known, w.bottom, 0.0) if counted else known.astype(float), w.month, n)
    assert clause.earn_back is not None
    gap = clause.level(clause.earn_back.level) - clause.level(Level(math.nan, "", "expected"))
    asked = np.array([clause.expected(int(contract_month[m])) for m in w.month])[None, :] + gap  # no relief scales it
    level = by_month(np.where(known, asked, 0.0), w.month, n)
    count = by_month(known.astype(float), w.month, n)
    lost = (status_of(clause, w) == NO_DATA) & (clause.missing == "miss")
    dark = by_month(lost.astype(float), w.month, n)
    compare = COMPARE[clause.sense]
    good = np.zeros(top.shape, dtype=bool)
    for m in range(n):
        inside = (year == year[m]) & (np.arange(n) <= m)
        with np.errstate(invalid="ignore", divide="ignore"):
            value = rounded(top[:, inside].sum(axis=1) / bottom[:, inside].sum(axis=1), clause)
            wanted = np.round(level[:, inside].sum(axis=1) / count[:, inside].sum(axis=1), 12)
        good[:, m] = compare(value, wanted) & (dark[:, inside].sum(axis=1) == 0)
    return good


def demonstrated(contract: Contract, source: Any) -> Iterator[tuple[str, Clause, np.ndarray, float | None]]:
    """Yield, for each clause that a source can tell, its values by window as measured without relief, and contacts an interval.

    Parameters
    ----------
    source : History, SimulationResult or table by month
    """
    if is_table(source):
        table = read_month_table(source, contract)
        for name, clause in contract.clauses.items():
            values = table.of(name, "value")
            yield name, clause, values[~np.isnan(values)], None
        return
    counts = _counts(contract, source)
    held, _, parts = months_held(counts)
    nothing = read_events(None, deal_zone(counts))
    for name, clause in laid_clauses(contract, counts).items():
        if clause.audited:
            continue
        bare = clause.model_copy(update={"relief": ()})
        w = measure(bare, name, contract, source, counts, held, None, nothing, parts=parts).windows
        types = scope_types(clause, name, counts)
        offered = np.asarray(counts.column("offered"), dtype=float)[:, :, types].sum(axis=2)
        busy = offered[offered > 0]
        yield name, clause, w.value[~np.isnan(w.value)], float(busy.mean()) if len(busy) else None
