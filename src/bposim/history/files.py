"""Files into frames of raw cells: CSV of any delimiter, gzip, Parquet, Excel, XES. No meaning is read here."""

from __future__ import annotations

import csv
import gzip
import io
import json
import zipfile
import zlib
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, time
from pathlib import Path

import numpy as np
import pandas as pd
from pyarrow import parquet

from bposim.errors import HistoryError
from bposim.history.cells import plain_name
from bposim.history.events import read_xes
from bposim.history.headings import find_headings, flat_names, long_table, merged_ranges
from bposim.history.layouts import Profile
from bposim.history.titles import Titled, known_names, named, titled_table, unique_names

DELIMITERS = (",", ";", "\t", "|")
#: Bytes that a packed file may unpack to.
LARGEST = 4 << 30
#: Columns of the widest table that is read: as many as Excel has.
WIDEST = 16_384
#: What reading a damaged zip archive raises.
BROKEN_ZIP = (OSError, ValueError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error)
_FORMATS = "CSV (also .gz), .parquet, .xlsx or .xes"
#: Lines in which the headings of a CSV are looked for.
_LOOK = 30


@dataclass(frozen=True)
class RawTable:
    """The cells of a file as they stand, one row per data row.

    Attributes
    ----------
    frame : DataFrame
        Text, or the file's own types (Parquet).
    delimiter : str or None
        Of a CSV; with ``;`` a comma in a number is a decimal comma.
    encoding : str
    title_problems : dict
        Our field → what is wrong with the title line above the table that should tell it.
    unread_titles : tuple of str
    """

    frame: pd.DataFrame
    name: str
    delimiter: str | None = None
    encoding: str = "utf-8"
    title_problems: dict[str, str] = field(default_factory=dict)
    unread_titles: tuple[str, ...] = ()


def read_table(path: str | Path, *, limit: int | None = None, profile: Profile | None = None) -> RawTable:
    """Read a file's cells.

    Parameters
    ----------
    path : str or Path
    limit : int or None
        At most this many data rows.
    profile : Profile or None
        Tells where the headings are, or that there are none; None: the first line is.

    Raises
    ------
    HistoryError
        There is no such file, it is a folder, it is empty, or it is in no format read here.
    """
    data = load(path)
    return table_of(data, Path(path).name, limit=limit, profile=profile)


def load(path: str | Path) -> bytes:
    """Return a file's bytes, unpacked where it is a gzip file.

    Raises
    ------
    HistoryError
        There is no such file, it is a folder, it is empty, or it is a broken gzip file.
    """
    path = Path(path)
    if path.is_dir():
        raise HistoryError(f"{path} is a folder. Give the path of one file: {_FORMATS}.")
    if not path.exists():
        near = sorted(p.name for p in path.parent.glob(f"{path.stem[:4]}*"))[:3] if path.parent.is_dir() else []
        hint = f" Near it: {', '.join(map(repr, near))}." if near and path.stem else ""
        raise HistoryError(f"{path} does not exist.{hint}")
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HistoryError(f"{path} cannot be read: {error.strerror or error}.") from None
    if not data:
        raise HistoryError(f"{path.name} is empty (0 bytes). Give a file with a header and at least one data row.")
    try:
        if data[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(data)) as packed:
                data = packed.read(LARGEST + 1)
            if len(data) > LARGEST:
                raise HistoryError(f"{path.name} unpacks to more than {LARGEST >> 30} GiB. Cut it into smaller files.")
    except (OSError, EOFError, zlib.error) as error:
        raise HistoryError(f"{path.name} is a broken gzip file ({error}). Copy or export it again.") from None
    return data


def table_of(data: bytes, name: str, *, limit: int | None = None, profile: Profile | None = None) -> RawTable:
    """Return the cells of a file's bytes; arguments as in :func:`read_table`.

    Raises
    ------
    HistoryError
        They are in no format read here, or hold no table.
    """
    if kind := _other_kind(data, name):
        raise HistoryError(
            f"{name} seems to be {kind}, which holds no table that can be read. Export the table as CSV or .xlsx."
        )
    if data[:4] == b"PAR1":
        table = _parquet(data, name, limit)
    elif data[:4] == b"PK\x03\x04":
        table = _excel(data, name, limit, profile)
    elif data[:4] == b"\xd0\xcf\x11\xe0":
        raise HistoryError(f"{name} is an old Excel file (.xls). Save it as .xlsx or CSV.")
    elif data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"<?xml", b"<log", b"<!--")):
        table = RawTable(read_xes(data, name, limit), name)
    else:
        table = _csv(data, name, limit, profile)
    if not len(table.frame):
        raise HistoryError(f"{name} has a header but no data rows. Give a file with at least one data row.")
    return table


def _other_kind(data: bytes, name: str) -> str:
    """Return what a file seems to be that is of none of the formats read here, "" where it may be one of them."""
    start = data[:4096].lstrip(b"\xef\xbb\xbf \t\r\n")
    ending = Path(name).suffix.lower()
    if start.startswith(b"%PDF"):
        return "a PDF"
    if data[:4] == b"PK\x03\x04":
        try:
            with zipfile.ZipFile(io.BytesIO(data)) as book:
                inside = book.namelist()
        except BROKEN_ZIP:
            return ""  # a damaged workbook is told as such
        if any(n.startswith("xl/") for n in inside):
            return ""
        words = (("word/", "a Word document"), ("ppt/", "a PowerPoint file"), ("content.xml", "an OpenDocument file"))
        return next((w for part, w in words if any(n.startswith(part) for n in inside)), "a zip archive")
    if start[:1] in (b"{", b"["):
        try:
            json.loads(data.decode("utf-8-sig"))
        except ValueError:
            return "a JSON file" if ending in (".json", ".jsonl") else ""
        return "a JSON file"
    if ending in (".py", ".json", ".jsonl", ".ipynb", ".yaml", ".yml", ".docx", ".pdf"):
        return f"a {ending} file"
    if ending in (".xlsx", ".xlsm") and data[:4] not in (b"\xd0\xcf\x11\xe0", b"PAR1"):
        return f"no Excel workbook although it is named {ending}"
    return ""


def _parquet(data: bytes, name: str, limit: int | None) -> RawTable:
    try:
        table = parquet.read_table(io.BytesIO(data))
        # A flipped byte may leave text that is no UTF-8, which only breaks where it is used.
        table.validate(full=True)
        frame = table.to_pandas()
    except Exception as error:  # pyarrow raises several unrelated kinds for a damaged file
        raise HistoryError(f"{name} is no readable Parquet file ({_short(error)}). Export it again.") from None
    frame.columns = [str(c) for c in frame.columns]
    frame = as_text(frame)
    return RawTable(frame.head(limit).reset_index(drop=True) if limit else frame.reset_index(drop=True), name)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose byte strings, lists and records are text, and whose categories are their values.

    A byte that is no UTF-8 becomes U+FFFD.
    """

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return str(value) if isinstance(value, list | tuple | dict | set | np.ndarray) else value

    mixed = [k for k, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    told = {k: frame.iloc[:, k].map(plain) for k in mixed}
    told |= {
        k: _values(frame.iloc[:, k]) for k, dtype in enumerate(frame.dtypes) if isinstance(dtype, pd.CategoricalDtype)
    }
    if not told:
        return frame
    parts = [told.get(k, frame.iloc[:, k]) for k in range(frame.shape[1])]
    return pd.concat(parts, axis=1).set_axis(frame.columns, axis=1)


def _values(column: pd.Series) -> pd.Series:
    """Return the values of a column of categories."""
    dtype = column.cat.categories.dtype
    return column.astype(float if dtype.kind in "iub" and column.hasnans else dtype)


def _excel(data: bytes, name: str, limit: int | None, profile: Profile | None) -> RawTable:
    try:
        cells = pd.read_excel(io.BytesIO(data), header=None, dtype=object, engine="openpyxl", na_filter=False)
    except Exception as error:  # a damaged workbook raises whatever its parts do: zlib, XML, missing keys
        raise HistoryError(
            f"{name} is no readable Excel workbook ({_short(error)}). Save it as .xlsx or CSV."
        ) from None
    if cells.empty:
        raise HistoryError(f"{name} has an empty first sheet. Put the table on the first sheet.")
    if profile is not None and profile.titles:
        lines = cells.map(_cell).to_numpy(dtype=object).tolist()
        if (titled := titled_table(lines, profile, limit)) is not None:
            return _with_titles(titled, name)
    headings = find_headings(cells, _merged(data))
    blocks, names = flat_names(headings)
    frame = cells.iloc[headings.data :].reset_index(drop=True)
    frame = frame[(frame.astype(str) != "").any(axis=1)].reset_index(drop=True)
    return RawTable(_named(frame.head(limit) if limit else frame, blocks, names).astype(str), name)


def _cell(value: object) -> str:
    """Return an Excel cell as text; a date and a time of day as they are shown."""
    if isinstance(value, pd.Timestamp | datetime) and value.time() == time(0):
        return str(value.date())
    return "" if value is None else str(value)


def _with_titles(titled: Titled, name: str, delimiter: str | None = None, encoding: str = "utf-8") -> RawTable:
    return RawTable(titled.frame, name, delimiter, encoding, titled.problems, tuple(titled.unread))


def _merged(data: bytes) -> list[tuple[int, int, int, int]]:
    """Return the merged ranges of a workbook's first sheet, none where it cannot be found."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as book:
            sheets = sorted(
                (n for n in book.namelist() if n.startswith("xl/worksheets/sheet")), key=lambda n: (len(n), n)
            )
            return merged_ranges(book, sheets[0]) if sheets else []
    except BROKEN_ZIP:
        return []


def _named(frame: pd.DataFrame, blocks: list[str], names: list[str]) -> pd.DataFrame:
    """Return the frame with its columns named; blocks that repeat the same names become rows."""
    if any(blocks):
        made = long_table(frame, blocks, names)
        if made is not None:
            return made.set_axis(unique_names([str(c) for c in made.columns]), axis=1)
        names = [f"{b} / {n}" if b else n for b, n in zip(blocks, names, strict=True)]
    return frame.set_axis(unique_names(names), axis=1)


def _csv(data: bytes, name: str, limit: int | None, profile: Profile | None) -> RawTable:
    text, encoding = _decode(data, name)
    head = text[:65536].splitlines()
    if not any(line.strip() for line in head):
        raise HistoryError(f"{name} holds only blank lines. Give a file with a header and at least one data row.")
    if profile is not None and profile.header_mark and head[0].startswith(profile.header_mark):
        rest = head[0][len(profile.header_mark) :].lstrip(":= |,;\t")
        text = rest + text[len(head[0]) :]
        head[0] = rest
        given: tuple[str, ...] = ()
    else:
        given = _given_fields(head, name, profile)
    known = profile.delimiters if profile is not None else ()
    if profile is not None and profile.titles:
        delimiter = _by_names(head, profile)
        try:
            lines_of = list(csv.reader(io.StringIO(text), delimiter=delimiter, skipinitialspace=True))
        except csv.Error as error:
            raise _irregular(name, delimiter, error) from None
        if (titled := titled_table(lines_of, profile, limit)) is not None:
            return _with_titles(titled, name, delimiter, encoding)
    lines = [line for line in head if line.strip()][:20]
    delimiter = _sniff(lines, known or DELIMITERS)
    if lines[0].count(delimiter) > WIDEST:
        raise HistoryError(
            f"{name} has more than {WIDEST:,} columns. Give a table with a row for each contact or interval."
        )
    skip = 0 if given else _skip(head, delimiter, profile)
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, nrows=limit, index_col=False,
            skipinitialspace=True, low_memory=False, header=None if given else 0, skiprows=skip,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, csv.Error) as error:
        raise _irregular(name, delimiter, error) from None
    if given:
        if frame.shape[1] != len(given):
            raise HistoryError(
                f"{name} has {frame.shape[1]} fields in its first row, profile {profile.name if profile else ''!r} has "
                f"{len(given)}: {', '.join(given[:8])}{', …' if len(given) > 8 else ''}. Write profile=PROFILES[…]"
                ".replace(fields=(…)) with the names of its fields in their order."
            )
        frame.columns = list(given)
    frame.columns = [str(c).strip() for c in frame.columns]
    return RawTable(frame, name, delimiter, encoding)


def _irregular(name: str, delimiter: str, error: Exception) -> HistoryError:
    return HistoryError(
        f"{name} is no regular table ({_short(error)}; delimiter {delimiter!r}). Every row needs the header's columns."
    )


def _given_fields(head: list[str], name: str, profile: Profile | None) -> tuple[str, ...]:
    """Return the names of the columns of a file that does not name them, none where its first line does.

    Raises
    ------
    HistoryError
        The file has no header and its profile does not tell the fields either.
    """
    if profile is None or profile.header == "first":
        return ()
    first = next(line for line in head if line.strip())
    cells = {plain_name(c) for d in profile.delimiters or DELIMITERS for c in first.split(d)}
    ours = {plain_name(n) for n in profile.fields} | {
        plain_name(n) for names in profile.columns.values() for n in names
    }
    if len(cells & ours) >= 2:
        return ()
    if not profile.fields:
        raise HistoryError(
            f"{name} has no header, and the order of the fields of {profile.name!r} is set for each site. Write "
            f'profile=PROFILES["{profile.name}"].replace(fields=("date", "period", …)) with the names in their order.'
        )
    return profile.fields


def _by_names(head: list[str], profile: Profile) -> str:
    """Return the delimiter that cuts some line into most of the profile's names: titles are cut by none."""
    names = known_names(profile)
    most = {
        d: max((named(row, names) for row in csv.reader(head, delimiter=d)), default=0)
        for d in profile.delimiters or DELIMITERS
    }
    return max(most, key=lambda d: most[d])


def _skip(head: list[str], delimiter: str, profile: Profile | None) -> int:
    """Return how many title lines stand above the headings: those above the first line with most of the profile's names.

    Only lines that name at least two of its columns can be headings; without any the first line is.
    """
    if profile is None:
        return 0
    names = known_names(profile)
    found = [named(row, names) for row in csv.reader(head[:_LOOK], delimiter=delimiter, strict=False)]
    best = max(found, default=0)
    return found.index(best) if best >= 2 else 0


def _decode(data: bytes, name: str) -> tuple[str, str]:
    if data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        try:
            return data.decode("utf-16"), "utf-16"
        except UnicodeDecodeError:
            data = b"\0"
    sample = data[:65536]
    control = sum(sample.count(bytes([c])) for c in range(32) if c not in (9, 10, 13))
    if b"\0" in sample or control > len(sample) / 100:
        raise HistoryError(f"{name} is no text table (binary content). Formats read: {_FORMATS}.")
    try:
        return data.decode("utf-8-sig"), "utf-8"
    except UnicodeDecodeError:
        return data.decode("cp1252", errors="replace"), "cp1252"


def _sniff(lines: list[str], delimiters: tuple[str, ...] = DELIMITERS) -> str:
    """Return the delimiter that cuts most lines into the same and largest number of cells; ties in the order given."""
    counts = {}
    for delimiter in delimiters:
        cells = Counter(len(row) for row in csv.reader(lines, delimiter=delimiter))
        width, steady = max(cells.items(), key=lambda item: (item[1], item[0]))
        counts[delimiter] = (width > 1 and steady > cells.total() / 2, width)
    return max(delimiters, key=lambda d: counts[d])


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120].rstrip(".")
