"""The chance that a clause of audits is met, by true accuracy, as the settlement judges it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.targets.clauses import Clause
from bposim.targets.contract_file import load_contract
from bposim.targets.contract_rules import audits_a_window
from bposim.targets.core import Windows, reached
from bposim.targets.sampling import OperatingCurve, is_whole, operating_curve
from bposim.targets.terms import LEVEL_NAMES, Level


def audit_curve(
    contract: Any, name: str | None = None, *, n: int | None = None, level: str = "expected", month: int = 1
) -> OperatingCurve:
    """Return the probability that a clause of audits is met, by true accuracy: its rounding and comparison included.

    Parameters
    ----------
    contract : Contract, str, Path or mapping
        As :func:`load_contract` takes it.
    name : str, optional
        The clause; None: the only one of audits.
    n : int, optional
        Items audited in a window. None: the clause's ``sample``.
    level : "minimum", "expected" or "stretch"
    month : int
        Month of the contract, for the glide path.

    Returns
    -------
    OperatingCurve

    Raises
    ------
    ParameterError
        The clause is none of audited shares, says no sample, or no sample can meet it.

    Examples
    --------
    >>> deal = {"clauses": {"accuracy": {"metric": "accuracy", "levels": {"expected": "98%"}, "sample": {"size": 100}}}}
    >>> curve = audit_curve(deal)
    >>> curve.c, round(curve.at(0.98), 2)
    (2, 0.68)
    >>> audit_curve(load_contract(deal).replace({"clauses.accuracy.rounding": "1%"}), n=400).c       # 97.5 % reads 98 %
    10
    """
    deal = load_contract(contract)
    able = [k for k, x in deal.clauses.items() if x.audited and x.share and x.higher and x.metric != "line_adherence"]
    problems = []
    if level not in LEVEL_NAMES:
        problems.append(parameter("level", "audit_curve()", f"one of {', '.join(LEVEL_NAMES)}", level))
    if n is not None and not (is_whole(n) and n >= 1):
        problems.append(parameter("n", "audit_curve()", "a whole number of at least 1, or None", n))
    if not (is_whole(month) and month >= 1):
        problems.append(parameter("month", "audit_curve()", "a whole number of at least 1", month))
    if (name is None and len(able) != 1) or (name is not None and name not in able):
        known = f"Clauses of audited shares: {', '.join(able) or 'none'}."
        problems.append(parameter("name", "audit_curve()", "a clause of audited shares", name, known))
    require(problems, ParameterError)
    which = name or able[0]
    clause = deal.clauses[which]
    per = audits_a_window(clause)
    if n is None and per is None:
        raise ParameterError(
            f"clause {which!r} does not say how many are audited, and the same level is another promise with every sample. Write "
            "sample: {size: 400, per: month}, or give n=."
        )
    size = int(n if n is not None else round(per or 0))
    met = _met(clause, size, Level(math.nan, "", level), month)
    if math.isnan(clause.level(Level(math.nan, "", level))) or not met.any():
        lacks = math.isnan(clause.level(Level(math.nan, "", level)))
        raise ParameterError(
            f"clause {which!r} has no {level} level." if lacks
            else f"clause {which!r}: no sample of {size:,} is judged and meets the {level} level. Look at its level and minimum_sample."
        )  # fmt: skip
    c = int(met.nonzero()[0].max())
    value = clause.level(Level(math.nan, "", level)) + clause.expected(month) - clause.levels.expected.value
    marks = {f"the {level} level": round(value, 12)}
    notes = [] if n is not None or per == size else [f"{per:,.1f} audits a {clause.settled_window}, taken as {size:,}."]
    curve = operating_curve(size, c, marks=marks)
    return OperatingCurve(size, c, None, curve.frame, marks, f"Clause {which!r}", tuple(notes))


def _met(clause: Clause, n: int, level: Level, month: int) -> np.ndarray:
    """Tell for 0 to n errors whether the settlement calls the level reached."""
    bottom = np.full((n + 1, 1), float(n))
    top = n - np.arange(n + 1.0)[:, None]
    nothing = np.zeros_like(bottom)
    w = Windows(
        top / n,
        top,
        bottom,
        bottom,
        nothing,
        np.ones_like(bottom),
        nothing > 0,
        np.zeros(1, dtype=int),
        pd.DatetimeIndex(["2026-01-01"]),
    )
    return reached(clause, w, level, np.array([month]), 1)[:, 0]
