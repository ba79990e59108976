"""What every command shares: reading its files, checking where it will write, printing tables or JSON."""

from __future__ import annotations

import json
import math
import os
import sys
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.units import SECONDS, share

#: What a frame may be written as, and read from.
FRAMES = (".csv", ".csv.gz", ".parquet")


def say(text: str) -> None:
    """Tell the reader something that is no result."""
    print(text, file=sys.stderr)


# Arguments -----------------------------------------------------------------------------------------------------------


def read_columns(given: list[str] | None) -> dict[str, Any] | None:
    """Return ``--column ours=theirs`` entries as a mapping; ``ours=theirs:unit`` for durations."""
    if not given:
        return None
    pairs = [entry.split("=", 1) for entry in given]
    bad = [entry for entry, pair in zip(given, pairs, strict=True) if len(pair) != 2]
    if bad:
        raise ParameterError(
            [f"--column {entry!r} is no pair. Write ours=theirs, e.g. arrived=Start." for entry in bad]
        )
    return {ours: _with_unit(ours, theirs) for ours, theirs in pairs}


def _with_unit(ours: str, theirs: str) -> Any:
    """Return a duration's column and unit where its name ends in one; a column whose name has a colon stays as it is."""
    name, colon, unit = theirs.rpartition(":")
    return (name, unit) if colon and ours.endswith("_s") and unit in SECONDS else theirs


def read_confidence(text: str) -> float:
    """Return ``--confidence`` as a probability; 0 and 1 cannot be shown by any number of replications."""
    value = share(text, what="--confidence")
    if not 0 < value < 1:
        raise ParameterError(
            parameter("--confidence", "the command", "more than 0 and less than 1", text, "Write 0.95.")
        )
    return value


def check_stretch(start: str, end: str | None, first: date, last: date) -> tuple[date, date | None]:
    """Return ``--from`` and ``--to``, days that a history from ``first`` to ``last`` holds and that leave some to fit on.

    Raises
    ------
    ParameterError
        They are no such days.
    """
    held = f"the history holds {first} to {last}"
    begin, problem = read_day(start, "--from")
    problems = [problem] if begin is None else []
    if begin is not None and begin <= first:
        problems.append(f"--from {begin} leaves no days to fit on: {held}. Name a later day, or give a longer history.")
    elif begin is not None and begin > last:
        problems.append(f"--from {begin} leaves no days to play: {held}. Name a day up to {last}.")
    stop: date | None = None
    if end is not None:
        stop, problem = read_day(end, "--to")
        if stop is None:
            problems.append(problem)
        elif stop > last + timedelta(days=1):
            problems.append(
                f"--to {stop} lies beyond the history: {held}. It is the day after the last to play: name one up to "
                f"{last + timedelta(days=1)}, or leave --to out."
            )
        elif begin is not None and first < begin <= last and stop <= begin:
            problems.append(
                f"--to {stop} must lie after --from {begin}: {held}. It is the day after the last to play; leave --to out to play "
                "until the end."
            )
    require(problems, ParameterError)
    assert begin is not None
    return begin, stop


def read_day(text: str, option: str) -> tuple[date | None, str]:
    """Return a day given as an option, or None and what is wrong with it."""
    try:
        return date.fromisoformat(text.strip()), ""
    except ValueError:
        return None, f"{option} {text!r} is no day. Write it as 2026-03-01."


def check_words(*asked: tuple[str, str, tuple[str, ...]]) -> None:
    """Raise ParameterError where an option, given as (name, value, known words), has another value than these."""
    require(
        [f"{option} {value!r} is none of {', '.join(known)}." for option, value, known in asked if value not in known],
        ParameterError,
    )


def read_events(options: list[str] | None) -> list[Any]:
    """Return the events of ``--event name,day,key=value,…``; all that is wrong is told at once."""
    from bposim.forecast import Event

    events, problems = [], []
    for text in options or ():
        name, day, *rest = [part.strip() for part in text.split(",")] + [""] * (text.count(",") == 0)
        values: dict[str, Any] = {}
        for part in rest:
            key, _, value = part.partition("=")
            key = key.strip().replace("-", "_")
            if key not in EVENT_KEYS or not value.strip():
                problems.append(
                    f"--event {text!r}: {part!r} is none of {', '.join(f'{k}=…' for k in EVENT_KEYS)}. "
                    "Write --event letter,2026-03-02,days=5,lift=20%."
                )
                continue
            try:
                values[key] = EVENT_KEYS[key](value.strip())
            except ValueError:
                problems.append(f"--event {text!r}: {key} {value.strip()!r} is no number. Write {key}=5.")
        try:
            events.append(Event(name, day, **values))
        except ParameterError as error:
            problems += [f"--event {text!r}: {p}" for p in error.problems]
    require(problems, ParameterError)
    return events


def _number(text: str) -> float:
    """Return a number, a share also in per cent."""
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


#: What ``--event`` takes beside name and day, and how it is read.
EVENT_KEYS: dict[str, Any] = {
    "days": int, "shape": str, "contacts": float, "lift": _number, "delay": int, "half_life": float,
    "contact_types": lambda text: text.split("+"), "uncertainty": _number,
}  # fmt: skip


def check_out(path: Path | None, *endings: str) -> None:
    """Raise ParameterError before any work is done where ``--out`` cannot be written."""
    if path is None:
        return
    problem = None
    if endings and not path.name.lower().endswith(endings):
        problem = f"must end in {' or '.join([', '.join(endings[:-1]), endings[-1]] if endings[1:] else endings)}"
    elif path.is_dir():
        problem = "is a folder. Name a file in it"
    elif not path.parent.is_dir():
        problem = f"lies in folder {str(path.parent)!r}, which does not exist. Create it first, or write elsewhere"
    elif not os.access(path.parent, os.W_OK):
        problem = f"lies in folder {str(path.parent)!r}, where you may not write. Write elsewhere"
    if problem:
        raise ParameterError(f"--out {str(path)!r} {problem}.")


# Files ---------------------------------------------------------------------------------------------------------------


def read_history(
    path: Path, profile: str, tz: str | None, columns: list[str] | None, day_first: bool | None,
    counting: str | None = None, within: str | None = None, accept: list[str] | None = None,
) -> Any:  # fmt: skip
    """Read a history as the options say."""
    from bposim.history import read_history as read

    return read(
        path, profile=profile, tz=tz, columns=read_columns(columns), day_first=day_first, counting=counting,
        within=within, accept=accept or (),
    )  # fmt: skip


def guess_profile(path: Path, tz: str | None) -> Any:
    """Return which profile may fit a file."""
    from bposim.history import guess_profile as guess

    return guess(path, tz=tz)


def read_frame(path: Path | None, what: str) -> pd.DataFrame | None:
    """Read a Volumes or Staffing frame written by another command."""
    where = f"{what} file {str(path)!r}"
    frame = _read_table(path, what, "Write it again with `bposim forecast` or `staff`")
    if frame is None:
        return None
    if "interval_start" not in frame:
        has = ", ".join(map(str, frame.columns))
        raise ParameterError(
            f"{where} has no column 'interval_start'. It has: {has}. Give the file that `bposim "
            f"{'staff' if what == 'staffing' else 'forecast'} -o` wrote."
        )
    frame["interval_start"] = _times(frame["interval_start"], where)
    return frame


def _read_table(path: Path | None, what: str, way_out: str) -> pd.DataFrame | None:
    """Read a CSV or Parquet file, None without a path."""
    if path is None:
        return None
    where = f"{what} file {str(path)!r}"
    if path.is_dir():
        raise ParameterError(f"{where} is a folder. Name a file in it.")
    if not path.exists():
        raise ParameterError(f"{where} does not exist.")
    if not path.name.lower().endswith(FRAMES):
        raise ParameterError(f"{where} must be {', '.join(FRAMES[:-1])} or {FRAMES[-1]}. Export it as CSV.")
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ParameterError(f"{where} cannot be read: {reason}. {way_out}.") from None
    return frame


def read_months(path: Path | None, what: str) -> pd.DataFrame | None:
    """Read a table by month."""
    frame = _read_table(path, what, "Write a table with a column month")
    if frame is not None and "month" not in frame:
        raise ParameterError(
            f"{what} file {str(path)!r} has no column 'month'. It has: {', '.join(map(str, frame.columns))}. Write one such as "
            "2026-03 in each row."
        )
    return frame


def read_outages(path: Path | None) -> pd.DataFrame | None:
    """Read a table of events that relieve a clause: ``cause, start, end``, and ``contact_type`` where it is of one type."""
    frame = _read_table(path, "events", "Write a table with the columns cause, start, end")
    if frame is not None and (lacking := [c for c in ("cause", "start", "end") if c not in frame]):
        raise ParameterError(
            f"events file {str(path)!r} has no column {', '.join(map(repr, lacking))}. It has: "
            f"{', '.join(map(str, frame.columns))}. Write rows such as outage, 2026-03-01 09:00, 2026-03-01 11:00."
        )
    return frame


def read_days(path: Path | None) -> pd.DataFrame | None:
    """Read a table of what is known by day, with a column ``date``."""
    if path is None:
        return None
    where = f"--regressors {str(path)!r}"
    if not path.is_file():
        raise ParameterError(f"{where} is no file. Name a csv or parquet with the column 'date'.")
    if not path.name.lower().endswith(FRAMES):
        raise ParameterError(f"{where} must be {', '.join(FRAMES[:-1])} or {FRAMES[-1]}. Export it as CSV.")
    try:
        frame = pd.read_parquet(path) if path.suffix.lower() == ".parquet" else _read_csv(path)
        return frame.assign(date=pd.to_datetime(frame["date"]))
    except KeyError:
        raise ParameterError(f"{where} has no column 'date'. It has: {', '.join(map(str, frame.columns))}.") from None
    except (ValueError, OSError, pd.errors.ParserError) as error:
        reason = str(error).splitlines()[0].rstrip(".") if str(error) else type(error).__name__
        raise ParameterError(f"{where} cannot be read: {reason}. Write its dates as 2026-03-01.") from None


def _read_csv(path: Path) -> pd.DataFrame:
    """Read a CSV; one that a spreadsheet saved with semicolons has decimal commas."""
    header = list(pd.read_csv(path, nrows=0).columns)
    if len(header) == 1 and ";" in header[0]:
        return pd.read_csv(path, sep=";", decimal=",")
    return pd.read_csv(path)


def _times(column: pd.Series, where: str) -> pd.Series:
    """Return times with their zone; a time without an offset could mean any zone, so it is refused."""
    if not len(column):
        return pd.to_datetime(column, utc=True)
    try:
        naive = [t for t in column.unique() if pd.Timestamp(t).tzinfo is None]
        if not naive:
            return column if column.dtype.kind == "M" else pd.to_datetime(column, utc=True)
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"{where}: interval_start cannot be read: {str(error).splitlines()[0]}. Write 2026-05-04T09:00:00+08:00."
        ) from None
    raise ParameterError(
        f"{where}: interval_start {str(naive[0])!r} has no offset from UTC, so it may mean any zone. Write "
        "2026-05-04T09:00:00+08:00, as `bposim forecast` and `staff` do (a spreadsheet may have cut it off)."
    )


def same_clock(history: Any, scenario: Any, path: Path | None) -> None:
    """Raise ParameterError where a history is read in another time zone than its scenario lies in."""
    ours, theirs = str(history.zone.key), str(scenario.time_zone)
    if ours != theirs:
        raise ParameterError(
            f"the history is read in {ours}, scenario {scenario.name!r} lies in {theirs}: opening hours would be laid over the "
            f"wrong hours. Write --tz {theirs}, or correct time_zone in {str(path) if path else 'the scenario'}."
        )


def write_frame(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame in one step."""
    from bposim.report import whole

    with whole(path) as scratch:
        if path.suffix.lower() == ".parquet":
            frame.to_parquet(scratch)
        else:
            frame.to_csv(scratch, index=False, compression="gzip" if path.suffix.lower() == ".gz" else None)
    say(f"wrote {path}")


def read_scenario(path: Path, volumes: pd.DataFrame | None = None) -> Any:
    """Load a scenario, moved to the days of the volumes where there are any."""
    from bposim.scenario import load_scenario

    scenario = load_scenario(path)
    if volumes is not None and len(volumes):
        local = pd.DatetimeIndex(volumes["interval_start"]).tz_convert(scenario.time_zone)
        first, last = local.min().date(), local.max().date()
        if (first, (last - first).days + 1) != (scenario.start, scenario.days):
            say(f"the scenario is moved to the days of the volumes: {first} to {last}")
        scenario = scenario.replace(start=first, days=(last - first).days + 1)
        # `bposim forecast` writes no rows for days on which nobody opens.
        shut = sorted(set(scenario.grid.starts.date) - set(local.date))
        if shut:
            say(f"closed, as the volumes hold no row of these days: {', '.join(map(str, shut))}")
            scenario = scenario.replace(closed=[*scenario.closed, *shut])
    return scenario


# Answers -------------------------------------------------------------------------------------------------------------


def records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a frame's rows as JSON values."""
    return json.loads(frame.to_json(orient="records", date_format="iso"))


def _plain(value: Any) -> Any:
    """Return a value without nan and infinity, which JSON does not know."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def print_json(document: dict[str, Any]) -> None:
    """Print the one JSON document of a command."""
    print(json.dumps(_plain(document), default=str, indent=1, allow_nan=False))


def _cell(value: Any) -> str:
    if isinstance(value, float):
        if value != value:
            return ""
        return f"{value:,.0f}" if 1000 <= abs(value) < 1e15 else f"{value:,.4g}"
    if isinstance(value, pd.Timestamp):
        return f"{value:%Y-%m-%d}" if value == value.normalize() else f"{value:%Y-%m-%d %H:%M}"
    return "" if value is None or value is pd.NaT else str(value)


def show(frame: pd.DataFrame, as_json: bool, **extra: Any) -> None:
    """Print a frame as a table, or as JSON with whatever else belongs to the answer."""
    if as_json:
        print_json(extra | {"rows": records(frame)})
        return
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in frame.columns:
        number = frame[name].dtype.kind in "iuf"
        table.add_column(Text(str(name)), justify="right" if number else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(*(Text(_cell(v)) for v in row))
    Console(width=None if sys.stdout.isatty() else 160).print(table)
