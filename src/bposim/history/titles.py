"""Title lines above a report's table: what they tell of date, contact type and settings becomes columns of its rows."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd

from bposim.history.cells import plain_name, short
from bposim.history.layouts import Profile

#: Times of day as people write them, and two of them with a dash or a word between.
_TIME = r"(\d{1,2}):(\d{2})(?::\d{2})?\s*([AaPp]\.?[Mm]\.?)?"
RANGE = re.compile(rf"^\s*{_TIME}\s*(?:-|–|—|to)\s*{_TIME}\s*$")
_DATE = r"\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}"
_DAYS = re.compile(
    rf"(?:[A-Za-z]{{3,9}}\.?,?\s+)?({_DATE})(?:\s*(?:-|–|—|to|through|,|;)\s*(?:[A-Za-z]{{3,9}}\.?,?\s+)?({_DATE}))?"
)
#: A label does not begin like a number or a time, and its colon is not one within a time.
_LABEL = re.compile(r"^\s*(?![-+.,(]*\d)([^:\s][^:]*?)\s*(?!(?<=\d):\d):\s*(.*?)\s*$", re.DOTALL)
_CLOCK = re.compile(rf"^\s*{_TIME}(?:\s|$|-|–|—)")
_SECONDS = re.compile(r"^(\d+(?:\.\d+)?|\d*:\d{2}(?::\d{2})?)\s*(?:s|sec|secs|seconds)?\.?$", re.IGNORECASE)


@dataclass
class Titled:
    """The rows below the headings, with what the titles tell.

    Attributes
    ----------
    frame : DataFrame
        Text; the columns told by titles have the title's label for a name.
    problems : dict
        Our field → what is wrong with the title that should tell it.
    unread : list of str
        Titles with a label that nothing reads.
    """

    frame: pd.DataFrame
    problems: dict[str, str] = field(default_factory=dict)
    unread: list[str] = field(default_factory=list)


@dataclass
class _Block:
    """A table between titles.

    Attributes
    ----------
    titles : dict
        Our field → label and value.
    names : list of str
        The names of its columns.
    doubts : dict
        Our field, taken over from the part above → the title of this part that nothing reads and that may tell it anew.
    rows : list of list of str
    """

    titles: dict[str, tuple[str, str]]
    names: list[str]
    doubts: dict[str, str]
    rows: list[list[str]] = field(default_factory=list)


def known_names(profile: Profile) -> set[str]:
    """Return the plain names that a profile's columns may have in the file, and ours."""
    return {plain_name(n) for names in profile.columns.values() for n in names} | {
        plain_name(n) for n in profile.columns
    }


def named(row: Iterable[str], names: set[str]) -> int:
    """Return how many of ``names`` a line of cells holds as headings: a cell that ends in a colon is a title's label."""
    return len(_headings(row) & names)


def _headings(row: Iterable[str]) -> set[str]:
    # A line may hold millions of cells, nearly all of them alike.
    return {plain_name(c) for c in set(row) if not c.rstrip().endswith(":")}


def titled_table(rows: list[list[str]], profile: Profile, limit: int | None) -> Titled | None:
    """Return the table below its titles; None where no line names two of the profile's columns.

    A later line of headings, or a later title, begins another part of the report (the next split, the next page).

    Parameters
    ----------
    rows : list of list of str
        The cells of the whole file, line by line.
    profile : Profile
        ``titles`` says which labels tell which of our fields.
    limit : int or None
        At most this many data rows.
    """
    names = known_names(profile)
    best = max((named(row, names) for row in rows[:200]), default=0)
    if best < 2:
        return None
    known = {plain_name(label): ours for ours, labels in profile.titles.items() for label in labels}
    titles: dict[str, tuple[str, str]] = {}
    blocks: list[_Block] = []
    unread: list[str] = []
    stray: list[list[str]] = []
    # What the titles of a part say: our fields told anew, labels that nothing reads, now and above the last table.
    renewed: set[str] = set()
    other: dict[str, str] = {}
    before: dict[str, str] = {}
    below = False
    for row in rows:
        cells = [c.strip() for c in row]
        if not any(cells):
            continue
        # The same headings once more without a title between are a row that is none.
        again = below and _headings(cells) & names == _headings(blocks[-1].names) & names
        if named(cells, names) >= max(2, (best + 1) // 2) and not again:
            below = True
            new = {k: v for k, v in other.items() if before.get(k) != v} if blocks else {}
            blocks.append(_Block(dict(titles), cells, _doubts(new, set(profile.titles_needed) - renewed)))
            before |= other
            renewed, other = set(), {}
        elif below and not _is_title(cells, known):
            blocks[-1].rows.append(cells)
        else:
            # What a title below a table does not repeat (the date, say) still holds.
            below = False
            if blocks and sum(map(bool, cells)) > 1 and _CLOCK.match(next(filter(None, cells))):
                stray.append(cells)
            for label, value in _pairs(cells):
                ours = known.get(plain_name(label))
                if ours is None:
                    unread.append(f"{label}: {value}")
                    other[label] = value
                else:
                    titles[ours] = (label, value)
                    renewed.add(ours)
    made = _together(blocks, profile, limit, list(dict.fromkeys(unread)))
    if stray:
        made.problems.setdefault(
            "rows",
            f"{len(stray):,} rows stand below a title without headings of their own, the first is {short(', '.join(stray[0]))}. "
            "Repeat the headings above them, or take out the title.",
        )
    return made


def _doubts(new: dict[str, str], held: set[str]) -> dict[str, str]:
    """Return which fields taken over from the part above a title that nothing reads may tell anew, and that title."""
    found: dict[str, str] = {}
    for label, value in new.items():
        dated = _DAYS.fullmatch(value) is not None
        for ours in held:
            if (ours == "date") == dated:
                found.setdefault(ours, f"{label}: {value}")
    return found


def _is_title(cells: list[str], known: dict[str, str]) -> bool:
    """Return whether a line below a table begins another part: a label that the profile reads, or a label alone."""
    pairs = _pairs(cells)
    return bool(pairs) and (plain_name(pairs[0][0]) in known or sum(map(bool, cells)) <= 2)


def _pairs(cells: list[str]) -> list[tuple[str, str]]:
    """Return the labels and values of a title line: ``Split/Skill: Sales`` in one cell, or in several up to the next label."""
    found: list[tuple[str, list[str]]] = []
    for cell in filter(None, cells):
        if match := _LABEL.match(cell):
            found.append((match[1], [match[2]] if match[2] else []))
        elif found:
            found[-1][1].append(cell)
    return [(label, ", ".join(parts)) for label, parts in found]


def _together(blocks: list[_Block], profile: Profile, limit: int | None, unread: list[str]) -> Titled:
    """Put the parts below each other, with a column for each title that their tables lack."""
    problems: dict[str, str] = {}
    parts = []
    for block in blocks:
        plain = {plain_name(n) for n in block.names}
        width = len(block.names)
        long = [r for r in block.rows if any(r[width:])]
        if long:
            problems.setdefault(
                "rows",
                f"{len(long):,} rows have more cells than the headings, the first is {short(', '.join(long[0]))}. "
                "Quote numbers that hold the delimiter, or export with another delimiter.",
            )
        frame = pd.DataFrame(
            [r[:width] + [""] * (width - len(r)) for r in block.rows], columns=unique_names(block.names), dtype="str"
        )
        for ours in profile.titles:
            have = plain & {plain_name(n) for n in (ours, *profile.columns.get(ours, ()))}
            if have or (ours == "date" and plain & {plain_name(n) for n in profile.columns.get("interval_start", ())}):
                continue
            label, value = block.titles.get(ours, ("", ""))
            if not label:
                if ours in profile.titles_needed:
                    problems.setdefault(ours, _lacking(ours, profile))
                continue
            if ours in block.doubts:
                problems.setdefault(ours, _doubtful(ours, profile, block.doubts[ours], f"{label}: {value}"))
            told, problem = _value(ours, label, value)
            if problem:
                problems.setdefault(ours, problem)
            frame = frame.assign(**{profile.columns[ours][0]: told})
        parts.append(frame)
    table = pd.concat(parts, ignore_index=True).fillna("")
    return Titled(table.head(limit) if limit else table, problems, unread)


def _lacking(ours: str, profile: Profile) -> str:
    labels = " or ".join(f"'{w}:'" for w in profile.titles[ours])
    return (
        f"neither a column nor a title line ({labels}) tells the {_WORDS.get(ours, ours)} of the rows. Export the report with "
        f'its titles, or name a column: columns={{"{ours}": "<its name in the file>"}}.'
    )


def _doubtful(ours: str, profile: Profile, title: str, held: str) -> str:
    label = title.partition(":")[0]
    return (
        f"a part of the report begins below the title {short(title)}, which nothing reads, and its {_WORDS.get(ours, ours)} would "
        f"be that of the part above ({short(held)}). If it tells the {_WORDS.get(ours, ours)}, write profile=PROFILES["
        f'"{profile.name}"].replace(titles={{"{ours}": ({label!r},)}}); else repeat the title {held.partition(":")[0]!r} below it, '
        "or take it out."
    )


_WORDS = {"date": "date", "contact_type": "split or skill", "in_time_s": "acceptable service level"}


def _value(ours: str, label: str, value: str) -> tuple[str, str]:
    """Return what a title tells, and what is wrong with it."""
    line = short(f"{label}: {value}")
    settled = ' Correct it, or tell within="20s", which goes before it.' if ours == "in_time_s" else ""
    if not value:
        return "", f"the title {line} tells nothing.{settled or ' Export the report again.'}"
    if ours == "date":
        match = _DAYS.fullmatch(value)
        if match is None:
            return "", f"the title {line} is no date such as 3/2/2026. Correct it, or export a column of dates."
        first, last = match[1], match[2]
        if last is not None and last != first:
            return first, (
                f"the title {line} spans several days and the rows have no date, so which day a row belongs to (or "
                "whether it sums them) is not told. Export one day at a time, or with a column of dates."
            )
        return first, ""
    if ours.endswith("_s"):
        match = _SECONDS.match(value)
        if match is None:
            return "", f"the title {line} is no number of seconds.{settled}"
        clock = match[1].split(":")
        return str(sum(float(p or 0) * 60**k for k, p in enumerate(reversed(clock)))), ""
    return value, ""


def unique_names(names: list[str]) -> list[str]:
    """Return the names of columns, blank ones numbered, repeated ones told apart."""
    seen: dict[str, int] = {}
    made = []
    for k, given in enumerate(names):
        name = given or f"column {k + 1}"
        seen[name] = seen.get(name, 0) + 1
        made.append(name if seen[name] == 1 else f"{name}.{seen[name] - 1}")
    return made


def split_ranges(text: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return starts and lengths of intervals written as ranges: ``8:00-8:30 AM`` → ``08:00``, ``30min``.

    A half of the day that stands at the end alone holds for the start too, unless the range would then be longer than
    with the other half: 11:30-12:00 PM begins in the morning. A range longer than half a day is left as it stands, so
    that it is no time. Lengths are blank where a cell is no range.
    """
    starts, lengths = text.copy(), pd.Series("", index=text.index, dtype="str")
    ranges = {word: _span(word) for word in text.unique() if isinstance(word, str) and RANGE.match(word)}
    good = {word: span for word, span in ranges.items() if span is not None}
    hit = text.isin(good)
    if hit.any():
        starts = starts.mask(hit, text.map({w: f"{s // 60:02d}:{s % 60:02d}" for w, (s, _) in good.items()}))
        lengths = lengths.mask(hit, text.map({w: f"{n}min" for w, (_, n) in good.items()}))
    return starts, lengths


def _span(word: str) -> tuple[int, int] | None:
    """Return start and length in minutes, None where it is no span of up to half a day."""
    match = RANGE.match(word)
    if match is None:
        return None
    half = match[3] or match[6]
    # The half of the day that is not written may be either, where the other one is.
    begins, ends = (
        [_minutes(hour, minute, h) for h in ([own] if own or not half else ["am", "pm"])]
        for hour, minute, own in (match.group(1, 2, 3), match.group(4, 5, 6))
    )
    spans = [(b, (e - b) % 1440) for b in begins for e in ends if b is not None and e is not None]
    return min((s for s in spans if 0 < s[1] <= 720), key=lambda s: s[1], default=None)


def _minutes(hour: str, minute: str, half: str | None) -> int | None:
    h, m = int(hour), int(minute)
    if m > 59 or h > 24 or (half and not 1 <= h <= 12):
        return None
    if half:
        h = h % 12 + (12 if half.lower().startswith("p") else 0)
    return int(np.mod(h * 60 + m, 1440)) if h * 60 + m <= 1440 else None
