"""Cells into values: column mapping, times with zones and clock changes, numbers and durations."""

from __future__ import annotations

import difflib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.layouts import BOUND, BUCKET, FIELDS, SHARE, WITHIN, Profile
from bposim.units import SECONDS

MISSING = ("", "nan", "na", "n/a", "nat", "none", "null", "-", "<na>")
#: Times outside these years, and numbers beyond this, are no record of an operation: they are no times and no numbers.
YEARS = (1900, 2199)
LARGEST = 1e10
_OFFSET = r"\d{1,2}:\d{2}(?::\d{2}(?:[.,]\d+)?)?\s*(?:Z|[+-]\d{2}:?\d{2})$"
_ISO = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}(?::?\d{2}(?::?\d{2}(?:[.,]\d+)?)?)?)?$|^\d{8}(?:[T ]\d{4,6})?$"
_SPOKEN = r"^(\d{1,2})([/.-])(\d{1,2})\2\d{2,4}\b"
_CLOCKS = ("%H:%M:%S", "%H:%M", "%I:%M:%S %p", "%I:%M %p", "%H:%M:%S.%f", "")
_DURATION = r"^-?(?:\d+ days? )?\d+:\d{2}(?::\d{2}(?:\.\d+)?)?$"


@dataclass(frozen=True)
class Times:
    """Zone-aware values (NaT where missing), and which cells were missing, bad, skipped or doubled by the clock."""

    values: pd.Series
    missing: np.ndarray
    bad: np.ndarray
    gap: np.ndarray
    fold: np.ndarray


def plain_name(name: object) -> str:
    """Return a column's name without case and punctuation: ``"% Answered"`` → ``"pct_answered"``."""
    return re.sub(r"[^0-9a-z]+", "_", str(name).lower().replace("%", " pct ")).strip("_")


def plain_names(have: list[str]) -> dict[str, str]:
    """Return plain name → column; the lower part of a two-line heading (``"Calls / Offered"``) stands for it if alone."""
    plain: dict[str, str] = {}
    for column in have:
        plain.setdefault(plain_name(column), column)
    lower = [(plain_name(c.rsplit(" / ", 1)[1]), c) for c in have if " / " in c]
    for name, column in lower:
        if sum(n == name for n, _ in lower) == 1:
            plain.setdefault(name, column)
    return plain


def map_columns(
    frame: pd.DataFrame, profile: Profile, columns: Mapping[str, Any] | None, *, name: str
) -> tuple[dict[str, str], dict[str, float]]:
    """Return our column → the file's column, and our column → factor to seconds.

    Raises
    ------
    HistoryError
        ``columns`` names what does not exist, or a needed column is not found; every problem is reported.
    """
    known = FIELDS[profile.kind]
    have = [str(c) for c in frame.columns]
    found: dict[str, str] = {}
    factors = {ours: SECONDS[unit] for ours, unit in profile.units.items()}
    problems: list[str] = []
    for ours, theirs in (columns or {}).items():
        column, unit = (
            (theirs[0], theirs[1]) if isinstance(theirs, tuple | list) and len(theirs) == 2 else (theirs, None)
        )
        if ours not in known and not (profile.kind == "intervals" and _numbered(str(ours))):
            problems.append(
                f"columns names {ours!r}, which is no column of ours.{_near(ours, known)} Known: {_list(known)}."
            )
        elif column not in have:
            problems.append(
                f"columns[{ours!r}] names {column!r}, which {name} does not have.{_near(column, have)} "
                f"It has: {_list(have)}."
            )
        elif unit is not None and (unit not in SECONDS or not ours.endswith("_s")):
            why = (
                f"unit {unit!r} does not exist. Known: {', '.join(SECONDS)}"
                if unit not in SECONDS
                else f"{ours!r} is no duration"
            )
            problems.append(f"columns[{ours!r}]: {why}.")
        else:
            found[ours] = str(column)
            if unit:
                factors[ours] = SECONDS[unit]
    plain = plain_names(have)
    taken = set(found.values())
    for ours, names in profile.columns.items():
        if ours in found or ours in (columns or {}):
            continue
        # A table with a block per queue becomes a long one whose queue column has our name.
        own = ("contact_type",) if ours == "contact_type" else ()
        for candidate in (plain.get(plain_name(n)) for n in (*names, *own)):
            if candidate is not None and candidate not in taken:
                found[ours] = candidate
                taken.add(candidate)
                break
    for pattern, ours in profile.patterns.items():
        for text, column in plain.items():
            if column not in taken and (match := re.fullmatch(pattern, text)):
                name = ours.format(int(match[1]))
                if name not in found:
                    found[name] = column
                    taken.add(column)
    if profile.kind == "intervals":
        for text, column in plain.items():
            match = re.match(r"^(answered|abandoned)_(?:within_|in_)?s?_?(\d+)_?s?$", text)
            if match and column not in taken:
                found.setdefault(f"{match[1]}_within_s{int(match[2])}", column)
                taken.add(column)
    for needed in needs(profile.kind, found):
        asked = [columns[n] for n in needed if columns and n in columns]
        if not asked:
            problems.append(_missing(needed, known, profile, have, name))
    problems += _mixed(found, profile, name)
    if problems:
        raise HistoryError(problems)
    return found, factors


def map_extras(frame: pd.DataFrame, profile: Profile) -> dict[str, str]:
    """Return name → the file's column of what is kept beside our columns."""
    plain = plain_names([str(c) for c in frame.columns])
    found = {}
    for name, names in profile.extras.items():
        column = next((plain[plain_name(n)] for n in names if plain_name(n) in plain), None)
        if column is not None:
            found[name] = column
    return found


def _numbered(ours: str) -> bool:
    return any(form.match(ours) for form in (WITHIN, BUCKET, BOUND, SHARE))


def _mixed(found: Mapping[str, str], profile: Profile, name: str) -> list[str]:
    """Return the problem of columns of two kinds that may not be used together."""
    used = {
        kind: sorted(c for c in found.values() if plain_name(c) in names) for kind, names in profile.exclusive.items()
    }
    kinds = {kind: columns for kind, columns in used.items() if columns}
    if len(kinds) < 2:
        return []
    words = "; ".join(f"{kind}: {', '.join(map(repr, columns))}" for kind, columns in kinds.items())
    return [
        f"{name}: columns of two kinds are used together ({words}), which are booked differently. Map one kind only."
    ]


def needs(kind: str, found: Mapping[str, str]) -> list[tuple[str, ...]]:
    """Return the groups of which the file has none, where it needs one of each."""
    if kind == "contacts":
        groups: list[tuple[str, ...]] = [("arrived",)]
        if not ("ended" in found and "handle_s" in found):
            groups.append(("wait_s", "answered"))
    elif kind == "events":
        groups = [("activity",), ("start", "time"), ("end", "time")]
    else:
        groups = [("interval_start", "date", "day_number"), ("offered", "answered", "offered_direct")]
    return [g for g in groups if not any(n in found for n in g)]


def _missing(needed: tuple[str, ...], known: Mapping[str, str], profile: Profile, have: list[str], name: str) -> str:
    what = " or ".join(f"{n!r} ({known[n]})" for n in needed)
    names = [n for ours in needed for n in (ours, *profile.columns.get(ours, ()))]
    lower = {h.lower(): h for h in have if len(h) <= 200}
    near = next((m for n in names for m in difflib.get_close_matches(n, lower, n=1, cutoff=0.6)), None)
    hint = f" Nearest: {lower[near]!r}." if near else ""
    apart = ', or columns={"date": "<…>", "time": "<…>"} where they stand apart' if "date" in needed else ""
    return (
        f"{name} has no column for {what}.{hint} It has: {_list(have)}. "
        f'Write columns={{"{needed[0]}": "<its name in the file>"}}{apart}.'
    )


def _near(word: object, known: Any) -> str:
    near = difflib.get_close_matches(str(word)[:200], [str(k) for k in known if len(str(k)) <= 200], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def short(value: object, most: int = 60) -> str:
    """Write a cell or a name for a message, its end left out if it is long."""
    text = str(value)
    return repr(text if len(text) <= most else text[:most] + "…")


def _list(names: Any) -> str:
    names = [short(n) for n in names]
    return ", ".join(names[:15]) + (f" and {len(names) - 15} more" if len(names) > 15 else "")


def text_of(series: pd.Series, extra: tuple[str, ...] = ()) -> pd.Series:
    """Return a column as stripped text, missing where empty or one of ``extra``."""
    text = series.astype("str").str.strip()
    return text.mask(series.isna() | text.isin(["", "nan", "NaN", "None", *extra]))


def parse_times(series: pd.Series, *, zone: ZoneInfo, day_first: bool | None, what: str, order: bool = False) -> Times:
    """Return zone-aware times.

    Parameters
    ----------
    series : Series of text or datetime
        Times with an offset are taken at their word, others are wall-clock times in ``zone``.
    day_first : bool or None
        Meaning of ``03/04/2026``; None: told from the column.
    what : str
        Column and file, for messages.
    order : bool
        Whether the order of the rows may tell the two occurrences of a doubled hour apart.

    Raises
    ------
    HistoryError
        No cell is a time, or day and month cannot be told apart.
    """
    n = len(series)
    none = np.zeros(n, dtype=bool)
    if isinstance(series.dtype, pd.DatetimeTZDtype):
        values = series.dt.tz_convert(zone).dt.as_unit("us")
        values, far = _believable(values)
        return Times(values, series.isna().to_numpy(), far, none, none)
    if series.dtype.kind == "M":
        naive, aware, missing = series.dt.as_unit("us"), None, series.isna().to_numpy()
    elif series.dtype.kind in "iufb":
        raise HistoryError(f"{what} holds numbers, not times. Write dates and times such as 2026-03-01 09:30:00.")
    else:
        text = series.astype("str").str.strip()
        missing = (series.isna() | text.str.lower().isin(MISSING)).to_numpy()
        naive, aware = _from_text(text.mask(missing), day_first=day_first, what=what)
    # Before the zone is put to them: no zone knows the year 10000.
    naive, _ = _believable(naive)
    values, gap, fold = localise(naive, zone, order=order)
    if aware is not None:
        values = values.where(aware.isna(), aware.dt.tz_convert(zone))
    values, _ = _believable(values)
    bad = values.isna().to_numpy() & ~missing & ~gap
    if bad.any() and not (~bad & ~missing).any():
        raise HistoryError(
            f"{what}: none of {int(bad.sum()):,} values is a time, the first is {short(series[bad].iloc[0])}. "
            "Write 2026-03-01 09:30:00, or map another column with columns={…}."
        )
    return Times(values, missing, bad, gap, fold)


def _believable(values: pd.Series) -> tuple[pd.Series, np.ndarray]:
    """Return times without those of years that no record is of, and which these are."""
    far = (values.notna() & ~values.dt.year.between(*YEARS)).to_numpy()
    return (values.mask(far) if far.any() else values), far


def _from_text(text: pd.Series, *, day_first: bool | None, what: str) -> tuple[pd.Series, pd.Series | None]:
    naive = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us]")
    offset = text.str.contains(_OFFSET, na=False)
    aware = None
    if offset.any():
        aware = pd.Series(pd.NaT, index=text.index, dtype="datetime64[us, UTC]")
        aware[offset] = pd.to_datetime(text[offset], utc=True, format="ISO8601", errors="coerce").dt.as_unit("us")
    todo = text.notna() & ~offset
    iso = todo & text.str.contains(_ISO, na=False)
    if iso.any():
        naive[iso] = pd.to_datetime(text[iso], format="ISO8601", errors="coerce").dt.as_unit("us")
    rest = todo & naive.isna()
    if not rest.any():
        return naive, aware
    left = text[rest].str.replace(r"^(\d{4})[/.](\d{1,2})[/.](\d{1,2})", r"\1-\2-\3", regex=True)
    parts = left.str.extract(_SPOKEN)
    spoken = parts[0].notna()
    if spoken.any() and day_first is None:
        told = told_day_first(left)
        if told is None or told == "not told":
            raise HistoryError(
                f"{what}: {short(left[spoken].iloc[0])} may be day-month or month-day, and the column does not tell which. "
                "Write day_first=True or day_first=False."
            )
        day_first = told is True
    for sep in ("/", ".", "-"):
        pair = f"%d{sep}%m" if day_first else f"%m{sep}%d"
        dates = [f"{pair}{sep}%Y", f"{pair}{sep}%y"] + (["%Y-%m-%d"] if sep == "-" else [])
        for form in [f"{d} {c}".strip() for d in dates for c in _CLOCKS]:
            open_ = left[naive[left.index].isna()]
            if not len(open_):
                return naive, aware
            if open_.str.contains(sep, regex=False).any():
                naive[open_.index] = pd.to_datetime(open_, format=form, errors="coerce").dt.as_unit("us")
    return naive, aware


def told_day_first(text: pd.Series) -> bool | str | None:
    """Return whether ``03/04/2026`` has the day first, ``"not told"`` where it may be either, None without such dates."""
    parts = text.str.extract(_SPOKEN)
    spoken = parts[0].notna()
    if not spoken.any():
        return None
    first, second = parts.loc[spoken, 0].astype(int).max(), parts.loc[spoken, 2].astype(int).max()
    return "not told" if (first > 12) == (second > 12) else bool(first > 12)


def localise(naive: pd.Series, zone: ZoneInfo, *, order: bool = False) -> tuple[pd.Series, np.ndarray, np.ndarray]:
    """Return wall-clock times in a zone, which of them the clock skipped, and which occur twice.

    A time that occurs twice is its first occurrence, unless ``order`` holds, the rows ascend, and the clock runs
    backwards between two of them: from there on it is the second.
    """
    first = naive.dt.tz_localize(zone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="NaT")
    gap = (first.isna() & naive.notna()).to_numpy()
    once = naive.dt.tz_localize(zone, ambiguous="NaT", nonexistent="NaT")
    fold = (once.isna() & first.notna()).to_numpy()
    if not (order and fold.any()):
        return first, gap, fold
    calm = naive[~fold & ~gap].dropna()
    if not calm.is_monotonic_increasing:
        return first, gap, fold
    later = np.zeros(len(naive), dtype=bool)
    for _, rows in naive[fold].groupby(naive[fold].dt.normalize()):
        back = (rows.diff() < -pd.Timedelta(minutes=15)).cumsum() > 0
        later[np.flatnonzero(naive.index.isin(rows.index[back.to_numpy()]))] = True
    second = naive.dt.tz_localize(zone, ambiguous=~later, nonexistent="NaT")
    return second, gap, fold


def parse_numbers(
    series: pd.Series, *, factor: float = 1.0, duration: bool = False, delimiter: str | None = None,
    decimal: str | None = None, what: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return numbers (times ``factor``; NaN where missing) and which cells are no numbers.

    With ``duration`` a cell may also be ``0:03:20``, which needs no unit.

    Raises
    ------
    HistoryError
        A comma may be a decimal or a thousands separator, and the column does not tell which.
    """
    if series.dtype.kind == "m":
        values = series.dt.total_seconds().to_numpy(dtype=float)
        bad = np.abs(values) > LARGEST
        return np.where(bad, np.nan, values), bad
    if series.dtype.kind in "iufb":
        values = series.to_numpy(dtype=float, na_value=np.nan) * factor
        bad = np.abs(values) > LARGEST
        return np.where(bad, np.nan, values), bad
    text = series.astype("str").str.strip()
    missing = (series.isna() | text.str.lower().isin(MISSING)).to_numpy()
    numbers = pd.to_numeric(text.mask(missing), errors="coerce").to_numpy(dtype=float, na_value=np.nan) * factor
    rest = np.isnan(numbers) & ~missing
    if rest.any():
        left = text[rest]
        if duration:
            left = left.str.replace(r"^(-?):(?=\d\d$)", r"\g<1>0:", regex=True)
        left = left.str.replace(" 00:00:00", "", regex=False) if not duration else left
        clocks = left.str.match(_DURATION) if duration else pd.Series(False, index=left.index)
        result = pd.Series(np.nan, index=left.index)
        if clocks.any():
            padded = left[clocks].where(left[clocks].str.count(":") == 2, "00:" + left[clocks])
            result[clocks] = pd.to_timedelta(padded, errors="coerce").dt.total_seconds()
        if (~clocks).any():
            cleaned = _commas(left[~clocks], delimiter=delimiter, decimal=decimal, what=what)
            result[~clocks] = pd.to_numeric(cleaned, errors="coerce").to_numpy(dtype=float, na_value=np.nan) * factor
        numbers[rest] = result.to_numpy()
    bad = ~(np.abs(numbers) <= LARGEST) & ~missing
    return np.where(bad, np.nan, numbers), bad


def _commas(text: pd.Series, *, delimiter: str | None, decimal: str | None, what: str) -> pd.Series:
    if not text.str.contains(",", regex=False).any():
        return text
    if decimal is None:
        told = text.str.contains(r",\d{1,2}$|,\d{4,}$|\..*,|^-?0,", na=False).any()
        grouped = text.str.contains(r",\d{3}\.|,\d{3},", na=False).any()
        if grouped and not told:
            decimal = "."
        elif told or delimiter == ";":
            decimal = ","
        elif delimiter == ",":
            decimal = "."
        else:
            raise HistoryError(
                f"{what}: {short(text[text.str.contains(',', regex=False)].iloc[0])} may be a decimal or a thousands comma, "
                'and the column does not tell which. Write decimal="," or decimal=".".'
            )
    if decimal == ",":
        return text.str.replace(".", "", regex=False).str.replace(",", ".", regex=False)
    return text.str.replace(",", "", regex=False)
