"""Fuzzing of the readers: clean files of every profile in every format, spoiled in every way, read again.

Every reading must end in a history or in a listed error, within ten seconds by the clock, with every row accounted for; and
where the fault is confined to some rows, the other rows must read as they did before. The clean files are made by
``fuzz_samples.py``.

Usage: python benchmarks/fuzz.py [files per reader, 2000] [first seed, 0] [profile …]
"""

from __future__ import annotations

import datetime as dt
import gzip
import io
import multiprocessing as mp
import sys
import tempfile
import time
import traceback
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import HistoryError, ParameterError
from bposim.history import PROFILES, History, read_history

sys.path.insert(0, str(Path(__file__).parent))
from fuzz_samples import FORMATS, MAKERS, Sample, sample

__all__ = ["FORMATS", "MAKERS", "File", "fault", "sample", "study", "try_one"]

#: Seconds by the clock that a reading may take, and after which the watchdog ends it.
LIMIT_S, WATCHDOG_S = 10.0, 60.0

JUNK = (
    "", " ", "NaN", "None", "-", "x", "-1", "0", "1e308", "-1e308", "1e400", "9" * 400, "inf", "-inf", "0x10", "TRUE", "1,5",
    "1.234,5", "1,234.5", "12,345", "50%", "=1+1", "#REF!", '"', '""', "'", "a\nb", "a,b", "a;b", "\t", "\u00a0", "💥", "１２",
    "٣", "\u202e1", "2026-02-30", "0001-01-01 00:00:00", "9999-12-31 23:59:59", "1677-01-01", "2300-01-01 00:00:00", "99999-01-01",
    "2026-03-29 02:30:00", "2026-10-25 02:30:00", "25:61", "24:00:00", "00:00:60", "-0:00:01", "999999:59:59", "Total",
    "13/13/2026", "03/04/2026", "2026-03-02T08:00:00Z", "2026-03-02 08:00:00+25:00", "2026-W10-1", "1772438400", "46083.5",
    "answered", "abandoned", "A" * 50_000,
)  # fmt: skip


# -- spoiled files ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """A file to be, in cells or in bytes.

    Attributes
    ----------
    origin : ndarray of int, or None
        Row of the clean file that each row is, −2 less that row where it was touched or repeats it, −1 where it is none of
        them; None where nothing can be said of the rows.
    header : bool
        Whether the columns are named; without names their places tell what they are.
    """

    frame: pd.DataFrame
    origin: np.ndarray | None
    data: bytes = b""
    done: tuple[str, ...] = ()
    header: bool = True


Mutation = Callable[[np.random.Generator, File], File]


def _cells(rng: np.random.Generator, file: File) -> File:
    """Put junk into a few cells."""
    values = file.frame.to_numpy(dtype=object, copy=True)
    origin = None if file.origin is None else file.origin.copy()
    if values.size:
        for _ in range(int(rng.integers(1, 6))):
            r, c = int(rng.integers(len(values))), int(rng.integers(values.shape[1]))
            values[r, c] = JUNK[int(rng.integers(len(JUNK)))]
            if origin is not None:
                origin[r] = min(origin[r], -2 - origin[r])
    return replace(file, frame=pd.DataFrame(values, columns=file.frame.columns), origin=origin)


def _column_of_junk(rng: np.random.Generator, file: File) -> File:
    """Fill a column with one piece of junk, or with random pieces."""
    if not file.frame.shape[1]:
        return file
    c = int(rng.integers(file.frame.shape[1]))
    words = [JUNK[int(k)] for k in rng.integers(0, len(JUNK) - 1, len(file.frame) if rng.random() < 0.5 else 1)]
    values = file.frame.to_numpy(dtype=object, copy=True)
    values[:, c] = words if len(words) == len(values) else words[0]
    return replace(file, frame=pd.DataFrame(values, columns=file.frame.columns), origin=None)


def _take(file: File, rows: np.ndarray) -> File:
    return replace(
        file,
        frame=file.frame.iloc[rows].reset_index(drop=True),
        origin=None if file.origin is None else file.origin[rows],
    )


def _shuffle(rng: np.random.Generator, file: File) -> File:
    return _take(file, rng.permutation(len(file.frame)))


def _drop_rows(rng: np.random.Generator, file: File) -> File:
    return _take(file, np.flatnonzero(rng.random(len(file.frame)) < rng.random()))


def _few_rows(rng: np.random.Generator, file: File) -> File:
    return _take(file, np.arange(min(int(rng.integers(0, 3)), len(file.frame))))


def _twice(rng: np.random.Generator, file: File) -> File:
    """Repeat some rows at the end; a repeated row counts as touched."""
    again = rng.integers(0, max(len(file.frame), 1), int(rng.integers(1, 5)) if len(file.frame) else 0)
    made = _take(file, np.concatenate([np.arange(len(file.frame)), again]).astype(int))
    if made.origin is not None and len(again):
        again_as = made.origin[len(file.frame) :]
        made.origin[len(file.frame) :] = np.minimum(again_as, -2 - again_as)
    return made


def _many_rows(rng: np.random.Generator, file: File) -> File:
    times = min(int(rng.integers(2, 60)), max(1500 // max(len(file.frame), 1), 1))
    return replace(_take(file, np.tile(np.arange(len(file.frame)), times)), origin=None)


def _header_again(rng: np.random.Generator, file: File) -> File:
    row = pd.DataFrame([[str(c) for c in file.frame.columns]], columns=file.frame.columns)
    k = int(rng.integers(0 if file.header else 1, len(file.frame) + 1)) if len(file.frame) else 0
    frame = pd.concat([file.frame.iloc[:k], row, file.frame.iloc[k:]], ignore_index=True)
    origin = None if file.origin is None else np.insert(file.origin, k, -1)
    return replace(file, frame=frame, origin=origin)


def _totals(rng: np.random.Generator, file: File) -> File:
    row = pd.DataFrame([["Total"] + ["999"] * (file.frame.shape[1] - 1)], columns=file.frame.columns)
    origin = None if file.origin is None else np.append(file.origin, -1)
    return replace(file, frame=pd.concat([file.frame, row], ignore_index=True), origin=origin)


def _reorder(rng: np.random.Generator, file: File) -> File:
    frame = file.frame.iloc[:, rng.permutation(file.frame.shape[1])]
    return replace(file, frame=frame, origin=file.origin if file.header else None)


def _drop_columns(rng: np.random.Generator, file: File) -> File:
    keep = np.flatnonzero(rng.random(file.frame.shape[1]) < 0.8)
    return replace(file, frame=file.frame.iloc[:, keep], origin=None)


def _rename(rng: np.random.Generator, file: File) -> File:
    names = [str(c) for c in file.frame.columns]
    if names:
        k = int(rng.integers(len(names)))
        pool = [
            "",
            " ",
            "Unnamed: 0",
            "offered",
            "arrived",
            "💥",
            "x" * 5000,
            names[0],
            names[k].upper(),
            "a,b",
            '"',
            "date",
            "1",
        ]
        names[k] = pool[int(rng.integers(len(pool)))]
    return replace(file, frame=file.frame.set_axis(names, axis=1), origin=None)


def _extra(rng: np.random.Generator, file: File) -> File:
    name = ["note", "arrived", "offered", "x", "Total"][int(rng.integers(5))]
    frame = pd.concat(
        [file.frame, pd.Series(JUNK[int(rng.integers(len(JUNK)))], index=file.frame.index, name=name)], axis=1
    )
    return replace(file, frame=frame, origin=file.origin if name in ("note", "x") and name not in file.frame else None)


def _no_header(rng: np.random.Generator, file: File) -> File:
    if not len(file.frame):
        return file
    return replace(file, frame=file.frame.iloc[1:].set_axis([str(v) for v in file.frame.iloc[0]], axis=1), origin=None)


def _swap(rng: np.random.Generator, file: File) -> File:
    if file.frame.shape[1] < 2:
        return file
    a, b = rng.choice(file.frame.shape[1], 2, replace=False)
    values = file.frame.to_numpy(dtype=object, copy=True)
    values[:, [a, b]] = values[:, [b, a]]
    return replace(file, frame=pd.DataFrame(values, columns=file.frame.columns), origin=None)


def _types(rng: np.random.Generator, file: File) -> File:
    """Give a column a type of its own (Parquet, Excel)."""
    if not file.frame.shape[1] or not len(file.frame) or file.frame.columns.has_duplicates:
        return file
    name = file.frame.columns[int(rng.integers(file.frame.shape[1]))]
    n = len(file.frame)
    made: list[Callable[[], Any]] = [
        lambda: pd.to_numeric(file.frame[name], errors="coerce"),
        lambda: pd.to_datetime(file.frame[name], errors="coerce", format="ISO8601", utc=True),
        lambda: pd.Series(rng.random(n) < 0.5), lambda: pd.Series(rng.integers(-(2**62), 2**62, n)),
        lambda: pd.Series([dt.date(2026, 3, 2)] * n), lambda: pd.Series([dt.time(8, 30)] * n),
        lambda: pd.Series(pd.to_timedelta(rng.integers(0, 10**6, n), unit="s")),
        lambda: pd.Series([b"\xff\x00"] * n, dtype=object), lambda: pd.Series([[1, 2]] * n, dtype=object),
        lambda: pd.Series([None] * n, dtype=object), lambda: pd.Series(pd.Categorical(file.frame[name].astype(str))),
        lambda: pd.Series([{"a": 1}] * n, dtype=object), lambda: pd.Series(np.full(n, np.inf)),
        lambda: pd.Series(pd.Timestamp("2026-03-02", tz="UTC") + pd.to_timedelta(np.arange(n), unit="min")),
    ]  # fmt: skip
    return replace(file, frame=file.frame.assign(**{str(name): made[int(rng.integers(len(made)))]()}), origin=None)


IN_CELLS: tuple[Mutation, ...] = (
    _cells, _cells, _cells, _cells, _column_of_junk, _shuffle, _drop_rows, _few_rows, _twice, _many_rows, _header_again, _totals,
    _reorder, _drop_columns, _rename, _extra, _no_header, _swap, _types,
)  # fmt: skip


def in_text(rng: np.random.Generator, text: bytes) -> tuple[str, bytes, bool]:
    """Spoil a CSV's text; return what was done, the bytes, and whether every row still says the same."""
    lines = text.split(b"\n")
    k = int(rng.integers(len(lines)))
    choices: list[tuple[str, Callable[[], bytes], bool]] = [
        ("utf-16", lambda: text.decode().encode("utf-16"), True),
        ("utf-16 without mark", lambda: text.decode().encode("utf-16-le"), False),
        ("utf-32", lambda: text.decode().encode("utf-32"), False),
        ("mark", lambda: b"\xef\xbb\xbf" + text, True),
        ("two marks", lambda: b"\xef\xbb\xbf" * 2 + text, False),
        ("cr", lambda: text.replace(b"\n", b"\r"), True),
        ("crlf", lambda: text.replace(b"\n", b"\r\n"), True),
        ("mixed ends", lambda: b"".join(line + (b"\r\n" if rng.random() < 0.5 else b"\n") for line in lines), True),
        ("no last end", lambda: text.rstrip(b"\n"), True),
        ("blank lines", lambda: text.replace(b"\n", b"\n\n"), True),
        ("open quote", lambda: b"\n".join([*lines[:k], b'"' + lines[k], *lines[k + 1 :]]), False),
        ("ragged", lambda: b"\n".join([*lines[:k], lines[k] + b",x,y", *lines[k + 1 :]]), False),
        ("short row", lambda: b"\n".join([*lines[:k], lines[k][: len(lines[k]) // 2], *lines[k + 1 :]]), False),
        ("title lines", lambda: b"Report of March\n\n" + text, False),
        ("huge line", lambda: b"\n".join([*lines[:k], b"z" * 2_000_000, *lines[k:]]), False),
        ("nul", lambda: b"\n".join([*lines[:k], b"\0", *lines[k:]]), False),
        ("latin", lambda: text.replace(b"sales", b"S\xe4les"), False),
        ("not utf-8", lambda: text.replace(b"sales", b"\xff\xfe\xfd\x81"), False),
        ("semicolons", lambda: text.replace(b",", b";"), False),
        ("spaces", lambda: text.replace(b",", b" , "), False),
    ]  # fmt: skip
    name, make, same = choices[int(rng.integers(len(choices)))]
    return name, make(), same


def in_bytes(rng: np.random.Generator, data: bytes) -> tuple[str, bytes]:
    """Spoil a file's bytes."""
    n = max(len(data), 1)
    a, b = sorted(int(v) for v in rng.integers(0, n, 2))
    buffer = bytearray(data or b"\0")
    choices: list[tuple[str, Callable[[], bytes]]] = [
        ("truncated", lambda: data[:a]),
        ("hole", lambda: data[:a] + data[b:]),
        ("twice", lambda: data + data),
        ("zeros", lambda: data[:a] + b"\0" * min(b - a, 2000) + data[b:]),
        ("noise inside", lambda: data[:a] + rng.bytes(200) + data[a:]),
        ("noise", lambda: rng.bytes(int(rng.integers(0, 5000)))),
        ("noise before", lambda: rng.bytes(10) + data),
        ("noise after", lambda: data + rng.bytes(100)),
        ("magic gzip", lambda: b"\x1f\x8b" + data[2:]), ("magic parquet", lambda: b"PAR1" + data[4:]),
        ("magic zip", lambda: b"PK\x03\x04" + data[4:]), ("magic xls", lambda: b"\xd0\xcf\x11\xe0" + data[4:]),
        ("empty", lambda: b""), ("gzip", lambda: gzip.compress(data, 1)),
        ("gzip twice", lambda: gzip.compress(gzip.compress(data, 1), 1)),
        ("gzip cut", lambda: gzip.compress(data, 1)[:-4]), ("members", lambda: gzip.compress(data, 1) + gzip.compress(b"x\n", 1)),
    ]  # fmt: skip
    if rng.random() < 0.4:
        for _ in range(int(rng.integers(1, 20))):
            buffer[int(rng.integers(len(buffer)))] = int(rng.integers(256))
        return "flipped", bytes(buffer)
    name, make = choices[int(rng.integers(len(choices)))]
    return name, make()


def bomb(rng: np.random.Generator) -> tuple[str, bytes]:
    """Return a small file that unpacks into a large one."""
    fill = [b"\0", b" ", b"1,1\n", b","][int(rng.integers(4))]
    big = fill * (20_000_000 // len(fill))
    if rng.random() < 0.5:
        return "gzip bomb", gzip.compress(big, 1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml"):
            archive.writestr(name, big)
    return "zip bomb", out.getvalue()


def spoil(rng: np.random.Generator, clean: Sample, form: str) -> File:
    """Return a spoiled file of a clean sample."""
    file = File(clean.frame, np.arange(len(clean.frame)), header=clean.header or not form.startswith("csv"))
    kind = rng.random()
    if kind < 0.004:
        name, data = bomb(rng)
        return replace(file, data=data, origin=None, done=(name,))
    if kind < 0.7:
        for _ in range(int(rng.integers(1, 4))):
            mutate = IN_CELLS[int(rng.integers(len(IN_CELLS)))]
            file = replace(mutate(rng, file), done=(*file.done, mutate.__name__.strip("_")))
    try:
        data = clean.write(file.frame, form)
    except Exception:  # the format cannot hold it: its text can
        data = clean.write(file.frame.map(str), form)
        file = replace(file, origin=None)
    if kind >= 0.7 and form.startswith("csv") and rng.random() < 0.6:
        name, text, same = in_text(rng, gzip.decompress(data) if form == "csv.gz" else data)
        data = gzip.compress(text, 1) if form == "csv.gz" else text
        file = replace(file, origin=file.origin if same else None, done=(*file.done, name))
    elif kind >= 0.7:
        name, data = in_bytes(rng, data)
        file = replace(file, origin=None, done=(*file.done, name))
    return replace(file, data=data)


# -- what a reading must do -------------------------------------------------------------------------------------------

#: What a faulty row elsewhere may do to a sound one: it repeats it.
_FOR_ANOTHER = {"duplicate_id", "duplicate_interval", "superseded"}
#: What a faulty row may do to a column: it is not read, and that is said.
_UNREAD = ("setting_varies", "threshold_unknown", "service_level_unread")


def values_of(history: History) -> pd.DataFrame:
    """Return a history's values by source row."""
    frame = history.contacts if history.kind == "contacts" else history.intervals
    assert frame is not None
    return frame.drop(columns=["contact_id", "replication"], errors="ignore").set_index("source_row").sort_index()


@dataclass(frozen=True)
class Reading:
    """How the reading of a spoiled file ended.

    Attributes
    ----------
    end : {"result", "listed error", "other exception"}
    took_s : float
        Seconds by the clock.
    fault : str
        What is wrong with it, "" if nothing is.
    """

    end: str
    took_s: float
    fault: str


def fault(path: Path, clean: Sample, file: File, usual: pd.DataFrame) -> str:
    """Read a spoiled file and return what is wrong with the reading, "" if nothing is."""
    return reading(path, clean, file, usual).fault


def reading(path: Path, clean: Sample, file: File, usual: pd.DataFrame) -> Reading:
    """Read a spoiled file and judge the reading."""
    begin = time.perf_counter()
    history: History | None = None
    end, said = "result", ""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = read_history(path, **clean.options)
            history.check()
    except (HistoryError, ParameterError) as error:
        end, text = "listed error", str(error)
        if not text.strip() or len(text) > 20_000:
            said = f"an error of {len(text):,} letters"
    except Exception:
        end, said = "other exception", traceback.format_exc()
    took = time.perf_counter() - begin
    if took > LIMIT_S:
        said = f"{took:.0f} s"
    if history is not None and not said:
        said = _wrong(history, clean, file, usual)
    return Reading(end, took, said)


def _wrong(history: History, clean: Sample, file: File, usual: pd.DataFrame) -> str:
    """Return what is wrong with a history of a spoiled file, "" if nothing is."""
    report, found = history.quality, values_of(history)
    if report.rows_read != report.kept + report.set_aside + report.left_out:
        return f"{report.rows_read} rows read, {report.kept} + {report.set_aside} + {report.left_out} told"
    rows = sorted([*found.index, *history.rejected["source_row"]])
    if rows != list(range(1, report.rows_read + 1)):
        return f"{len(rows)} rows are kept or rejected of {report.rows_read}"
    return "" if file.origin is None else _differs(history, found, file.origin, usual, clean.group)


def sound_rows(origin: np.ndarray, group: np.ndarray) -> np.ndarray:
    """Return the rows of a file that nobody touched, nor any row that is read together with them."""
    whole = np.bincount(group)
    kept = origin[origin >= 0]
    there = np.bincount(group[kept], minlength=len(whole))
    ascending = np.ones(len(whole), dtype=bool)
    for g in np.unique(group[kept]):
        ascending[g] = (np.diff(kept[group[kept] == g]) > 0).all()
    good = (there == whole) & ascending
    good[group[-2 - origin[origin < -1]]] = False
    lonely = whole == 1
    rows = np.flatnonzero(origin >= 0)
    return rows[good[group[origin[rows]]] | lonely[group[origin[rows]]]]


def _differs(history: History, found: pd.DataFrame, origin: np.ndarray, usual: pd.DataFrame, group: np.ndarray) -> str:
    """Return how the rows that nobody touched differ from those of the clean file."""
    if history.quality.rows_read != len(origin):
        return f"{history.quality.rows_read} rows read of a file of {len(origin)}"
    sound = sound_rows(origin, group)
    touched = bool((origin < 0).any())
    aside = dict(zip(history.rejected["source_row"], history.rejected["rule"], strict=True))
    lost = [
        k + 1
        for k in sound
        if k + 1 in aside and origin[k] + 1 in usual.index and not (touched and aside[k + 1] in _FOR_ANOTHER)
    ]
    if lost:
        return f"sound row {lost[0]} is set aside by {aside[lost[0]]}"
    kept = [k for k in sound if k + 1 in found.index and origin[k] + 1 in usual.index]
    ours, theirs = found.loc[[k + 1 for k in kept]], usual.loc[[origin[k] + 1 for k in kept]]
    for column in usual.columns:
        if column not in ours:
            if touched and any(history.quality.count(rule) for rule in _UNREAD):
                continue
            return f"column {column!r} is not read"
        a, b = ours[column].astype(object).to_numpy(), theirs[column].astype(object).to_numpy()
        for k, x, y in zip(kept, a, b, strict=True):
            if not (x == y or (pd.isna(x) and pd.isna(y)) or str(x) == str(y)):
                return f"sound row {k + 1}, {column!r}: {x!r} where the clean file has {y!r}"
    return ""


def usual_values(clean: Sample, form: str, folder: Path) -> pd.DataFrame:
    """Return the values of the clean file; it must be read without an error."""
    path = folder / f"clean.{form}"
    path.write_bytes(clean.write(clean.frame, form))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = read_history(path, **clean.options)
    assert history.check().ok, f"the clean sample of {clean.options['profile'].name}: {history.check()}"
    return values_of(history)


def try_one(name: str, form: str, seed: int, folder: Path, known: dict[Any, Any]) -> tuple[Reading, tuple[str, ...]]:
    """Make, write and read the spoiled file of a seed; return how it ended and what was done to it."""
    if (name, form) not in known:
        known[name, form] = (sample(name), usual_values(sample(name), form, folder))
    clean, usual = known[name, form]
    file = spoil(np.random.default_rng((seed, *name.encode(), *form.encode())), clean, form)
    path = folder / f"spoiled.{form}"
    path.write_bytes(file.data)
    return reading(path, clean, file, usual), file.done


def _worker(jobs: list[tuple[str, str, int]], pipe: Any) -> None:
    known: dict[Any, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, form, seed in jobs:
            pipe.send(("begin", name, form, seed))
            pipe.send(("end", *try_one(name, form, seed, Path(folder), known)))
    pipe.close()


def study(n: int = 2000, names: tuple[str, ...] = (), *, first: int = 0) -> pd.DataFrame:
    """Return how the readings of ``n`` spoiled files of each profile ended, the formats in turns, Excel every seventh.

    Columns: ``reader, files, results, listed_errors, other_exceptions, wrong, slowest_s``; *wrong* are readings with another
    fault, a hang or a crash among them. The files are read in a process that a watchdog ends when one takes more than a
    minute; the slowest is told by the clock.
    """
    return pd.DataFrame([_study(name, n, first) for name in names or tuple(PROFILES)])


def _study(name: str, n: int, first: int) -> dict[str, Any]:
    forms = tuple(f for f in sample(name).formats if f != "xlsx") * 2
    forms = (*forms, "xlsx")  # slow to write
    jobs = [(name, forms[k % len(forms)], first + k) for k in range(n)]
    row: dict[str, Any] = {
        "reader": name,
        "files": n,
        "results": 0,
        "listed_errors": 0,
        "other_exceptions": 0,
        "wrong": 0,
    }
    slowest = 0.0
    while jobs:
        ours, theirs = mp.Pipe(duplex=False)
        worker = mp.get_context("spawn").Process(target=_worker, args=(jobs, theirs))
        worker.start()
        theirs.close()
        finished = 0
        current: Any = None
        while finished < len(jobs):
            if not ours.poll(WATCHDOG_S):
                print(f"HANG {current}", flush=True)
                slowest = max(slowest, WATCHDOG_S)
                break
            try:
                message = ours.recv()
            except EOFError:
                print(f"CRASH {current}", flush=True)
                break
            if message[0] == "begin":
                current = message[1:]
                continue
            finished += 1
            ended: Reading = message[1]
            slowest = max(slowest, ended.took_s)
            row[f"{ended.end.replace(' ', '_')}s"] += 1
            if ended.fault:
                row["wrong"] += ended.end != "other exception"
                print(f"FAULT {current} {message[2]}: {ended.fault.strip()[-1500:]}", flush=True)
        if finished < len(jobs):
            row["wrong"] += 1
            finished += 1
        worker.kill()
        worker.join()
        jobs = jobs[finished:]
    return row | {"slowest_s": round(slowest, 2)}


if __name__ == "__main__":
    begun = time.perf_counter()
    asked = sys.argv[1:]
    print(
        study(
            int(asked[0]) if asked else 2000, tuple(asked[2:]), first=int(asked[1]) if len(asked) > 1 else 0
        ).to_string(index=False)
    )
    print(f"{time.perf_counter() - begun:.0f} s")
