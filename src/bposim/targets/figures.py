"""What figures told by month can be: no share above one, no count below nought, no name that nobody knows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.scenario.check import nearest
from bposim.targets.clauses import Clause
from bposim.targets.contract_rules import audits_a_window
from bposim.targets.core import NO_DATA, Windows, status_of
from bposim.targets.pricing import QUANTITIES

#: Quantities that a minimum commitment is a share of.
FORECASTS = tuple(f"forecast_{n}" for n in QUANTITIES)
#: Figures of a wide table that are no quantity of the pricing: what corridors look at.
CORRIDORS = ("forecast", "handle_time_s")
#: Weeks of four fill no month, so that audits by week may fall short of the sample of a mean month by so much.
_SHORT = 0.9
#: Time on contacts over scheduled time exceeds one where contacts end after the shift, and never reaches two.
_UTILISATION = 2.0


def gathered_problems(read: Callable[[], Any], problems: list[str]) -> Any:
    """Call a reader; lay what is wrong with its input down among the problems and return None."""
    try:
        return read()
    except ParameterError as error:
        problems += error.problems
        return None


def _first(values: np.ndarray, bad: np.ndarray, labels: Iterable[str]) -> str:
    """Say how many values are wrong, and which is the first."""
    k = int(np.flatnonzero(bad)[0])
    rest = f"; {int(bad.sum())} of {len(values)} months" if bad.sum() > 1 else ""
    return f"{values[k]:,.6g} in {list(labels)[k]}{rest}"


def numbers(given: Any, said: str, problems: list[str]) -> np.ndarray:
    """Return figures as floats, nan where none is told; text and infinities are problems."""
    told = pd.Series(given).reset_index(drop=True)
    values = pd.to_numeric(told, errors="coerce").to_numpy(dtype=float)
    text = told[(np.isnan(values) & told.notna().to_numpy()) | np.isinf(values)]
    if len(text):
        first = repr(text.iloc[0]) if isinstance(text.iloc[0], str) else str(text.iloc[0])
        problems.append(
            f"{said} must be numbers. Got {first} (row {text.index[0] + 1}). Write 0.81 for 81 %, 4200 for 4,200, and "
            "nothing where it is not known."
        )
    return np.where(np.isinf(values), np.nan, values)


def value_problems(
    clause: Clause, name: str, columns: Mapping[str, np.ndarray], months: pd.DatetimeIndex
) -> Iterable[str]:
    """Tell the values, numerators and denominators of a clause that can be none.

    Parameters
    ----------
    columns : mapping of ``value, numerator, denominator, excluded`` to ndarray, shape (n_months,)
    """
    label = months.strftime("%Y-%m")
    most = 1.0 if clause.metric != "utilisation" or clause.counts_stretches else _UTILISATION
    with np.errstate(invalid="ignore"):
        for column in ("numerator", "denominator", "excluded"):
            told = columns.get(column)
            if told is not None and (told < 0).any():
                yield f"clause {name!r}: {column} must be at least 0. Got {_first(told, told < 0, label)}. Correct the counts."
        top, bottom, value = (columns.get(c) for c in ("numerator", "denominator", "value"))
        if clause.share and top is not None and bottom is not None:
            over = (top > most * bottom * (1 + 1e-12)) & (bottom >= 0)
            if over.any():
                k = int(np.flatnonzero(over)[0])
                yield (
                    f"clause {name!r}: numerator {top[k]:,.6g} of denominator {bottom[k]:,.6g} in {label[k]} is no share between 0 "
                    f"and {most:g} ({int(over.sum())} of {len(over)} months). Correct the counts."
                )
        if value is not None:
            bad = (value < 0) | (value > most) if clause.share else value < 0
            if bad.any():
                rule = f"a share between 0 and {most:g}" if clause.share else "at least 0"
                way = "Divide percentages by 100." if clause.share and (value[bad] > most).any() else "Correct it."
                yield f"clause {name!r}: {clause.metric} must be {rule}. Got {_first(value, bad, label)}. {way}"


def name_problems(names: Iterable[str], known: Iterable[str], said: str) -> tuple[list[str], list[str]]:
    """Return a problem for every name that looks like a known one that is not there, and the names that look like none."""
    names, known = list(names), list(known)
    open_ = [k for k in known if k not in names]
    problems, strange = [], []
    for name in names:
        if name in known:
            continue
        near = nearest(name, open_)
        if near:
            problems.append(
                f"{said} {name!r} is not known.{near} Rename it, or leave it out. Known: {', '.join(known)}."
            )
        else:
            strange.append(name)
    return problems, strange


def figure_problems(names: Iterable[str], figures: Mapping[str, Any], said: str) -> list[str]:
    """Tell the figures that are no numbers of at least 0."""
    problems: list[str] = []
    for name in names:
        values = numbers(np.asarray(figures[name], dtype=object).reshape(-1), f"{said} {name}", problems)
        with np.errstate(invalid="ignore"):
            bad = values < 0
        if bad.any():
            k = int(np.flatnonzero(bad)[0])
            problems.append(f"{said} {name} must be at least 0. Got {values[k]:,.6g} (value {k + 1}). Correct it.")
    return problems


def quantity_problems(given: Any) -> list[str]:
    """Tell what is wrong with names and values of quantities, whatever the months are."""
    if isinstance(given, pd.Series):
        given = given.to_frame(str(given.name))
    if not isinstance(given, pd.DataFrame | Mapping):
        return []  # what they must be is told where they are read
    names = [str(n) for n in given if str(n) != "month"]
    known = (*QUANTITIES, *FORECASTS)
    problems, strange = name_problems(names, known, "quantities=:")
    problems += [f"quantities=: {n!r} is not known. Leave it out. Known: {', '.join(known)}." for n in strange]
    return problems + figure_problems([n for n in given if str(n) != "month"], given, "quantities=:")


def unused(given: Any, needed: Iterable[str]) -> list[str]:
    """Return a note on quantities that the pricing does not use."""
    names = [str(given.name)] if isinstance(given, pd.Series) else [str(n) for n in given] if given is not None else []
    idle = [n for n in names if n != "month" and n not in needed]
    return [f"quantities= gives {', '.join(idle)}, which the pricing does not use."] if idle else []


def window_notes(clauses: Mapping[str, Clause], windows: Mapping[str, Windows], months: pd.DatetimeIndex) -> list[str]:
    """Return notes on windows that could not be judged for want of data, and on samples smaller than agreed."""
    notes = []
    for name, clause in clauses.items():
        w = windows[name]
        lacking = (status_of(clause, w) == NO_DATA).all(axis=0)
        if lacking.any():
            rule = {"exclude": "not judged", "miss": "counted as missed", "met": "counted as met"}.get(
                clause.missing or ""
            )
            where = (
                "any window"
                if lacking.all()
                else f"{int(lacking.sum())} of {len(lacking)} windows ({_span(months[w.month[lacking]])})"
            )
            if rule is not None:
                notes.append(f"Clause {name!r} has no data in {where}: {rule}, as it says (missing: {clause.missing}).")
        notes += _small_samples(name, clause, w, months)
    return notes


def _small_samples(name: str, clause: Clause, w: Windows, months: pd.DatetimeIndex) -> list[str]:
    size = audits_a_window(clause)
    if clause.sample is None or size is None or not clause.audited:
        return []
    held = np.where(w.bottom > 0, w.bottom, np.inf).min(axis=0, initial=np.inf)
    small = held < size * (_SHORT if clause.sample.per == "week" else 1.0)
    if not small.any():
        return []
    judged = (
        f"those below minimum_sample {clause.minimum_sample:g} are not judged" if clause.minimum_sample
        else "they are judged all the same, since the clause has no minimum_sample"
    )  # fmt: skip
    k = int(held.argmin())
    return [
        f"Clause {name!r} asks for {size:,.4g} audits a {clause.settled_window}; {int(small.sum())} of {len(small)} windows hold "
        f"fewer (fewest: {held[k]:,.6g} in {months[w.month[k]]:%Y-%m}): {judged}."
    ]


def _span(months: pd.DatetimeIndex, most: int = 3) -> str:
    said = list(dict.fromkeys(months.strftime("%Y-%m")))
    return ", ".join(said[:most]) + (", …" if len(said) > most else "")
