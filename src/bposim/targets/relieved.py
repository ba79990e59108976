"""A promise with relief laid over a simulation: each window's value, and whether it keeps the promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics import Counts
from bposim.metrics.pooling import time_labels
from bposim.scenario import Scenario, Target
from bposim.scenario.target import _SHARES, scope
from bposim.simulate import SimulationResult
from bposim.targets.by_day import by_days_alone, days_of
from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.core import EMPTY, MET, MISSED, NO_DATA, Windows, judge
from bposim.targets.foreseen import Expected
from bposim.targets.measure import laid_clauses, measure
from bposim.targets.relief import read_events
from bposim.units import format_seconds


def clause_of(term: Target, scenario: Scenario, relief: list[dict[str, Any]] | None = None) -> Contract:
    """Return a contract of one clause, ``promise``, that says what a target says, with relief in a contract's words.

    Raises
    ------
    ScenarioError
        The relief does not fit the term.
    """
    types = scope(scenario, term)
    share = term.aggregation.startswith("share_of")

    def words_of(level: float, counted: bool) -> str:
        return f"{100 * level:.12g}%" if counted or term.metric in _SHARES else f"{level:.10g}s"

    words: dict[str, Any] = {
        "metric": term.metric, "levels": {"expected": words_of(term.level, share)}, "window": term.window, "aggregation": term.aggregation,
        "relief": relief or [], "comparison": term.sense, "strict": term.strict, "missing": "exclude",
        "scope": {"contact_types": [types] if isinstance(types, str) else list(types or ())},
    }  # fmt: skip
    if term.metric == "service_level":
        words["counting"] = term.counting
    for key, value in (("within", term.within_s), ("short", term.short_s)):
        if value is not None:
            words[key] = format_seconds(value)
    if term.pass_level is not None:
        words["pass_level"] = words_of(term.pass_level, False)
    return load_contract({"name": "promise", "clauses": {"promise": words}})


def relieved_windows(
    runs: SimulationResult,
    contract: Contract,
    name: str,
    expected: Expected | None,
    relief: tuple[Any, ...] | None = None,
) -> pd.DataFrame:
    """Return each window of a clause after relief; corridors lie around ``expected``.

    Returns
    -------
    DataFrame
        ``replication, window_start, value, met, judged, sample, excluded, batch``. ``value`` is divided by what relief scaled
        the level by; windows that relief empties or waives are met and not judged; those without contacts are left out.
        Windows cut by the ends of the horizon are left out wherever it holds a whole one.
    """
    clause = contract.clauses[name]
    counts = runs.counts([t for t in (clause.within, clause.short) if t is not None])
    clause = laid_clauses(contract, counts)[name]
    w = _measured(clause, name, contract, runs, counts, expected)
    months = np.arange(1, int(w.month.max(initial=0)) + 2)
    j = judge(clause, w, months, {})
    compare = {">=": np.greater_equal, ">": np.greater, "<=": np.less_equal, "<": np.less}[clause.sense]
    judged = np.isin(j.status, (MET, MISSED))
    met = ~judged | compare(j.compared, j.level)
    scale = w.factor if clause.higher else 1 / w.factor
    r, n = w.value.shape
    table = pd.DataFrame(
        {
            "replication": np.repeat(np.arange(r), n), "window_start": np.tile(np.asarray(w.starts, dtype=object), r),
            "value": (w.value / scale).reshape(-1), "met": met.reshape(-1), "judged": judged.reshape(-1),
            "sample": w.sample.reshape(-1), "excluded": w.excluded.reshape(-1), "batch": np.repeat(runs.batch, n),
        }
    )  # fmt: skip
    return table[~np.isin(j.status, (EMPTY, NO_DATA)).reshape(-1)].reset_index(drop=True)


def _measured(
    clause: Clause, name: str, contract: Contract, runs: SimulationResult, counts: Counts, expected: Expected | None
) -> Windows:
    labels = pd.DatetimeIndex(time_labels(counts.starts, "month")).unique().sort_values()
    months = pd.date_range(labels[0].tz_localize(None), periods=len(labels) + 3, freq="MS")
    nothing = read_events(None, counts.starts.tz)
    laid = days_of(counts) if by_days_alone(clause, nothing) else counts
    if clause.settled_window == "all":
        return measure(clause, name, contract, runs, laid, months[: len(labels)], expected, nothing).windows
    for parts in (False, True):
        w = measure(clause, name, contract, runs, laid, months, expected, nothing, parts=parts).windows
        there = ~np.isnan(w.sample).all(axis=0)  # months beyond the horizon
        if there.any():
            break
    return Windows(
        w.value[:, there], w.top[:, there], w.bottom[:, there], w.sample[:, there], w.excluded[:, there], w.factor[:, there],
        w.waived[:, there], w.month[there], w.starts[there],
    )  # fmt: skip
