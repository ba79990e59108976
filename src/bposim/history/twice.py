"""Numbers that a report tells twice: a mean beside its sum, a whole beside its parts, two columns for one count."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from bposim.history.cells import plain_name, plain_names
from bposim.history.contacts import Reading
from bposim.history.intervals import COUNTS, MEANS, SUMS, totals_rows
from bposim.history.layouts import Profile
from bposim.history.quality import Ledger
from bposim.history.shape import MADE_OF

#: Pairs that are named in the finding.
MOST = 4


def note_twice(
    cells: pd.DataFrame, seconds: pd.DataFrame, which: Mapping[str, tuple[str, str]], found: Mapping[str, str],
    ledger: Ledger, how: Reading,
) -> None:  # fmt: skip
    """Record the rows in which a report tells a number in two ways that differ by more than their rounding.

    Parameters
    ----------
    cells : DataFrame
        Cells under our column names, the parts of wholes still in it.
    seconds : DataFrame
        The columns that tell a number once more, of the same rows.
    which : mapping
        Their names → our column and the file's that is used for it; see :func:`second_columns`.
    found : mapping
        Our column → the file's.
    ledger : Ledger
    how : Reading
    """
    hit = np.zeros(len(cells), dtype=bool)
    said = []
    told = ledger.kept & ~totals_rows(cells)
    names = {c: repr(c) if found.get(c, c) == c else f"{found[c]!r} ({c})" for c in cells}
    pairs = (*_means(cells, names, how), *_parts(cells, names, how), *_columns(cells, seconds, which, how))
    for words, one, other, tolerance in pairs:
        with np.errstate(invalid="ignore"):
            apart = (np.abs(one - other) > tolerance) & told
        if apart.any():
            hit |= apart
            said.append(f"{words} in {int(apart.sum()):,}")
    more = f" and {len(said) - MOST} more" if len(said) > MOST else ""
    ledger.note("told_twice", hit, f": {'; '.join(said[:MOST])}{more}" if said else "")


Pair = tuple[str, np.ndarray, np.ndarray, np.ndarray]


def _step(values: np.ndarray) -> float:
    """Return the last place that a column of numbers is written to: 1, 0.1, 0.01 or 0.001."""
    known = values[~np.isnan(values)]
    for places in range(3):
        if np.allclose(known, np.round(known, places), atol=1e-9):
            return float(10.0**-places)
    return 0.001


def _means(cells: pd.DataFrame, names: Mapping[str, str], how: Reading) -> list[Pair]:
    found = []
    for mean, (total, count) in MEANS.items():
        if {mean, total, count} <= set(cells):
            values, sums, n = (how.numbers(cells, c)[0] for c in (mean, total, count))
            # A mean may be rounded or cut off, a sum rounded.
            tolerance = n * _step(values) * 1.001 + _step(sums)
            found.append((f"{names[mean]} × {names[count]} against {names[total]}", values * n, sums, tolerance))
    return found


def _parts(cells: pd.DataFrame, names: Mapping[str, str], how: Reading) -> list[Pair]:
    found = []
    for whole, parts in MADE_OF.items():
        if whole not in cells or not set(parts) <= set(cells):
            continue
        own = how.numbers(cells, whole)[0]
        values = [how.numbers(cells, p)[0] for p in parts]
        # Each of the rounded numbers may be off by its last place; counts are exact.
        tolerance = 0.0 if whole == "offered" else _step(own) + sum(map(_step, values))
        words = f"{names[whole]} against {' + '.join(names[p] for p in parts)}"
        found.append((words, own, np.sum(values, axis=0), np.full(len(own), tolerance * 1.001)))
    return found


def second_columns(raw: pd.DataFrame, found: Mapping[str, str], profile: Profile) -> dict[str, tuple[str, str]]:
    """Return the file's columns, not in use, that tell a count or sum once more → our column and the file's in use for it."""
    plain = plain_names([str(c) for c in raw.columns])
    known = {c: ours for ours, names in profile.columns.items() if ours in found and ours in (*COUNTS, *SUMS, *MEANS)
             for n in names if (c := plain.get(plain_name(n))) is not None}  # fmt: skip
    return {c: (ours, found[ours]) for c, ours in known.items() if c not in found.values()}


def _columns(
    cells: pd.DataFrame, seconds: pd.DataFrame, which: Mapping[str, tuple[str, str]], how: Reading
) -> list[Pair]:
    found = []
    for column, (ours, used) in which.items():
        own = how.numbers(cells, ours)[0]
        other = how.numbers(cells.assign(**{ours: seconds[column].to_numpy()}), ours)[0]
        tolerance = 0.0 if ours in COUNTS else max(_step(own), _step(other)) * 1.001
        found.append(
            (
                f"{ours!r} by {used!r}, which is used, against the column {column!r}",
                own,
                other,
                np.full(len(own), tolerance),
            )
        )
    return found
