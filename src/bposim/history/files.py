"""Files into frames of raw cells: CSV of any delimiter, gzip, Parquet, Excel. No meaning is read here."""

from __future__ import annotations

import csv
import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bposim.errors import HistoryError

DELIMITERS = (",", ";", "\t", "|")
#: Bytes that a packed file may unpack to.
LARGEST = 4 << 30
_FORMATS = "CSV (also .gz), .parquet or .xlsx"


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
    """

    frame: pd.DataFrame
    name: str
    delimiter: str | None = None
    encoding: str = "utf-8"


def read_table(path: str | Path, *, limit: int | None = None) -> RawTable:
    """Read a file's cells.

    Parameters
    ----------
    path : str or Path
    limit : int or None
        At most this many data rows.

    Raises
    ------
    HistoryError
        There is no such file, it is a folder, it is empty, or it is in no format read here.
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
    if data[:4] == b"PAR1":
        table = _parquet(data, path.name, limit)
    elif data[:4] == b"PK\x03\x04":
        table = _excel(data, path.name, limit)
    elif data[:4] == b"\xd0\xcf\x11\xe0":
        raise HistoryError(f"{path.name} is an old Excel file (.xls). Save it as .xlsx or CSV.")
    else:
        table = _csv(data, path.name, limit)
    if not len(table.frame):
        raise HistoryError(f"{path.name} has a header but no data rows. Give a file with at least one data row.")
    return table


def _parquet(data: bytes, name: str, limit: int | None) -> RawTable:
    try:
        frame = pd.read_parquet(io.BytesIO(data))
    except Exception as error:  # pyarrow raises several unrelated kinds for a damaged file
        raise HistoryError(f"{name} is no readable Parquet file ({_short(error)}). Export it again.") from None
    frame.columns = [str(c) for c in frame.columns]
    frame = as_text(frame)
    return RawTable(frame.head(limit).reset_index(drop=True) if limit else frame.reset_index(drop=True), name)


def as_text(frame: pd.DataFrame) -> pd.DataFrame:
    """Return a frame whose byte strings, lists and records are text; a byte that is no UTF-8 becomes U+FFFD."""

    def plain(value: object) -> object:
        if isinstance(value, bytes):
            return value.decode("utf-8", "replace")
        return str(value) if isinstance(value, list | tuple | dict | set | np.ndarray) else value

    mixed = [k for k, dtype in enumerate(frame.dtypes) if isinstance(dtype, np.dtype) and dtype.kind == "O"]
    told = {k: frame.iloc[:, k].map(plain) for k in mixed}
    if not told:
        return frame
    parts = [told.get(k, frame.iloc[:, k]) for k in range(frame.shape[1])]
    return pd.concat(parts, axis=1).set_axis(frame.columns, axis=1)


def _excel(data: bytes, name: str, limit: int | None) -> RawTable:
    try:
        cells = pd.read_excel(io.BytesIO(data), header=None, dtype=object, engine="openpyxl", na_filter=False)
    except Exception as error:  # a damaged workbook raises whatever its parts do: zlib, XML, missing keys
        raise HistoryError(
            f"{name} is no readable Excel workbook ({_short(error)}). Save it as .xlsx or CSV."
        ) from None
    if cells.empty:
        raise HistoryError(f"{name} has an empty first sheet. Put the table on the first sheet.")
    # Reports have title lines above the table: its header is the first row as wide as the widest of the first twenty.
    filled = (cells.head(20).astype(str) != "").sum(axis=1)
    top = int(filled.to_numpy().argmax())
    frame = cells.iloc[top + 1 :].reset_index(drop=True)
    frame.columns = _unique([str(c).strip() for c in cells.iloc[top]])
    frame = frame[(frame.astype(str) != "").any(axis=1)].reset_index(drop=True)
    return RawTable((frame.head(limit) if limit else frame).astype(str), name)


def _csv(data: bytes, name: str, limit: int | None) -> RawTable:
    text, encoding = _decode(data, name)
    head = text[:65536].splitlines()
    if not any(line.strip() for line in head):
        raise HistoryError(f"{name} holds only blank lines. Give a file with a header and at least one data row.")
    delimiter = _sniff([line for line in head if line.strip()][:20])
    try:
        frame = pd.read_csv(
            io.StringIO(text), sep=delimiter, dtype=str, keep_default_na=False, nrows=limit, index_col=False,
            skipinitialspace=True, low_memory=False,
        )  # fmt: skip
    except (pd.errors.ParserError, pd.errors.EmptyDataError, ValueError, csv.Error) as error:
        raise HistoryError(
            f"{name} is no regular table ({_short(error)}; delimiter {delimiter!r}). "
            "Every row needs the header's columns."
        ) from None
    frame.columns = [str(c).strip() for c in frame.columns]
    return RawTable(frame, name, delimiter, encoding)


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


def _sniff(lines: list[str]) -> str:
    """Return the delimiter that cuts the header into most cells; outside quotes, ties in the order of DELIMITERS."""
    counts = {}
    for delimiter in DELIMITERS:
        cells = [len(row) for row in csv.reader(lines, delimiter=delimiter)]
        steady = sum(1 for c in cells if c == cells[0])
        counts[delimiter] = (cells[0] > 1 and steady > len(cells) / 2, cells[0])
    return max(DELIMITERS, key=lambda d: counts[d])


def _unique(names: list[str]) -> list[str]:
    seen: dict[str, int] = {}
    result = []
    for k, given in enumerate(names):
        name = given or f"column {k + 1}"
        seen[name] = seen.get(name, 0) + 1
        result.append(name if seen[name] == 1 else f"{name}.{seen[name] - 1}")
    return result


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:120].rstrip(".")
