"""Headings: which rows of a sheet they are, merged cells spread out, a block per queue turned into rows."""

from __future__ import annotations

import re
import zipfile
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: Rows in which the headings are looked for, and how many lines they may have.
LOOK = 20
DEEPEST = 3


@dataclass(frozen=True)
class Headings:
    """The lines of the headings: the first row of data, the names by line, whether a name was spread over columns."""

    data: int
    lines: list[list[str]]
    spread: bool


def merged_ranges(book: zipfile.ZipFile, sheet: str) -> list[tuple[int, int, int, int]]:
    """Return the merged ranges of a sheet as rows and columns from 0: first row, first column, last row, last column."""
    found = []
    for ref in re.findall(rb'<mergeCell ref="([A-Z]+)(\d+):([A-Z]+)(\d+)"', book.read(sheet)):
        a, top, b, bottom = (part.decode() for part in ref)
        found.append((int(top) - 1, _column(a), int(bottom) - 1, _column(b)))
    return found


def _column(letters: str) -> int:
    number = 0
    for letter in letters:
        number = number * 26 + ord(letter) - 64
    return number - 1


def find_headings(cells: pd.DataFrame, merged: list[tuple[int, int, int, int]]) -> Headings:
    """Return the headings of a sheet: below its titles, the first row that is as wide as the widest of the first twenty.

    A heading merged over several columns has another line of headings below it, and so has one that stands over the
    first of several columns with the others blank; one merged over the whole width is a title.
    """
    head = cells.head(LOOK).map(lambda v: "" if pd.isna(v) else str(v).strip()).to_numpy(dtype=object)
    wide: dict[int, set[int]] = {}
    for top, left, bottom, right in merged:
        if top >= len(head) or right - left + 1 >= head.shape[1] > 1:
            continue
        head[top : bottom + 1, left : right + 1] = head[top, left]
        if right > left:
            wide.setdefault(top, set()).update(range(left, right + 1))
    filled = (head != "").sum(axis=1)
    top = int(filled.argmax())
    lines = [top]
    while lines[-1] in wide and len(lines) < DEEPEST and lines[-1] + 1 < len(head):
        lines.append(lines[-1] + 1)
    spread = len(lines) > 1
    above = top - 1
    if not spread and above >= 0 and filled[above] >= 2 and _blanks_between(head[above]):
        names = head[above].copy()
        for k in range(1, len(names)):
            if not names[k] and names[:k].any() and not _starts_later(head[above], k):
                names[k] = names[k - 1]
        head[above] = names
        lines, spread = [above, top], True
    return Headings(lines[-1] + 1, [[str(c) for c in head[k]] for k in lines], spread)


def _blanks_between(row: np.ndarray) -> bool:
    """Return whether a row of names leaves room for others below each: at least one blank after a name."""
    named = np.flatnonzero(row != "")
    return bool(len(named) >= 2 and (np.diff(named) > 1).any())


def _starts_later(row: np.ndarray, k: int) -> bool:
    return bool(row[k] != "")


def flat_names(headings: Headings) -> tuple[list[str], list[str]]:
    """Return the block and the name of each column: ``("Billing", "Offered")``; no block where the lines agree."""
    if len(headings.lines) == 1:
        return [""] * len(headings.lines[0]), headings.lines[0]
    blocks, names = [], []
    for parts in zip(*headings.lines, strict=True):
        kept = [p for k, p in enumerate(parts) if p and (k == 0 or p != parts[k - 1])]
        blocks.append(" / ".join(kept[:-1]))
        names.append(kept[-1] if kept else "")
    return blocks, names


def long_table(frame: pd.DataFrame, blocks: list[str], names: list[str]) -> pd.DataFrame | None:
    """Return the table with the blocks below each other and their titles as ``contact_type``.

    None where the blocks do not repeat the same names: then they are groups of columns and no queues.
    """
    mine = {b: [n for c, n in zip(blocks, names, strict=True) if c == b] for b in dict.fromkeys(blocks) if b}
    if len(mine) < 2 or any(sorted(m) != sorted(next(iter(mine.values()))) for m in mine.values()):
        return None
    if any(len(set(m)) < len(m) for m in mine.values()):
        return None
    own = [k for k, b in enumerate(blocks) if not b]
    parts = []
    for block in mine:
        columns = [*own, *(k for k, b in enumerate(blocks) if b == block)]
        part = frame.iloc[:, columns].set_axis([names[k] for k in columns], axis=1)
        parts.append(part.assign(contact_type=block))
    together = pd.concat(parts, keys=range(len(parts))).swaplevel().sort_index(level=0, kind="stable")
    return together.reset_index(drop=True)
