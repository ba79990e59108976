"""From cells to a history: columns mapped, rows cleaned, findings about the whole added."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import DataQualityWarning, HistoryError, ParameterError, UnitError, parameter, require
from bposim.history.absent import absent_cells
from bposim.history.cells import map_columns, map_extras, short, text_of
from bposim.history.contacts import Reading, clean_contacts
from bposim.history.core import History
from bposim.history.events import contacts_of_events
from bposim.history.files import RawTable, as_text, read_table
from bposim.history.flags import note_columns, outcome_flag
from bposim.history.intervals import COUNTS, clean_intervals, counts_table, interval_length
from bposim.history.layouts import BOOKINGS
from bposim.history.profiles import Profile, find_profile
from bposim.history.quality import Ledger, QualityReport, accepted_rules
from bposim.history.rules import RULES
from bposim.history.shape import (
    MADE_OF,
    Told,
    add_parts,
    check_steps,
    extra_columns,
    fill_in,
    keep_latest,
    name_types,
    plain_times,
    read_length,
)
from bposim.history.tables import nearest_types, read_interval
from bposim.history.twice import note_twice, second_columns
from bposim.history.whole import whole_findings
from bposim.history.within import count_within
from bposim.provenance import Provenance, content_hash, file_hash
from bposim.schema import COUNTING_RULES
from bposim.units import seconds, zone


def read_history(
    path: str | Path, *, profile: str | Profile = "guess", tz: Any = None, columns: Mapping[str, Any] | None = None,
    interval: Any = None, types: Iterable[str] | str | None = None, limit: int | None = None,
    day_first: bool | None = None, decimal: str | None = None, booking: str | None = None, counting: str | None = None,
    within: Any = None, short_abandons: Any = None, accept: Iterable[str] | str = (),
) -> History:  # fmt: skip
    """Read a history of contacts, an interval report or an event log.

    Nothing is dropped silently: rows that break a rule are set aside in ``history.rejected``, and ``history.check()``
    tells each rule, its rows, what was done and how to override it.

    Parameters
    ----------
    path : str or Path
        CSV (delimiter ``,`` ``;`` tab or ``|``, found by itself), ``.parquet``, ``.xlsx`` (first sheet; titles and
        headings of several lines are found), ``.xes``; CSV and XES also as ``.gz``.
    profile : str or Profile
        How the source's files are laid out: one of ``PROFILES`` (plain: ``"contacts"``, ``"intervals"``,
        ``"event_log"``) or a changed copy (``PROFILES["contacts"].replace(…)``). ``"guess"``, the default, reads nothing: it is an
        error that tells which profile fits and how to confirm it (:func:`guess_profile`).
    tz : str or ZoneInfo
        IANA time zone of the operation and, unless the profile says UTC, of the file's clock; times written with an
        offset are converted to it. None only where the profile's source lies in one zone, as the bank's does.
    columns : mapping, optional
        Our column → the file's, with a unit where it is not seconds:
        ``{"arrived": "Start", "handle_s": ("Talk", "min")}``.
    interval : str, optional
        Length of the intervals, ``"30min"``; None: told from an interval report, 30 min for a contact log.
    types : str or list of str, optional
        Contact types to keep.
    limit : int, optional
        Read at most this many data rows.
    day_first : bool, optional
        Whether ``03/04/2026`` is 3 April; None: told from the column, an error where it does not tell.
    decimal : "." or ",", optional
        Decimal sign; None: told from the column, an error where it does not tell.
    booking : {"arrival", "answer", "end", "event"}, optional
        The interval to which the source books a contact; None: as the profile says.
    counting : str, optional
        The source's service-level formula, one of ``COUNTING_RULES``; None: as the profile or the file says. A share
        answered in time becomes a count by it.
    within, short_abandons : str, optional
        The source's acceptable waiting time and short-abandon limit, ``"20s"``; None: as the profile or the file says.
    accept : str or list of str
        Ids of rules whose rows are right as they are: ``["totals_queue"]`` keeps a queue that is the sum of the others.

    Returns
    -------
    History

    Raises
    ------
    HistoryError
        The file cannot be read, a needed column is missing, or what is ambiguous was not told.

    Warns
    -----
    DataQualityWarning
        Rows were set aside as errors.

    Examples
    --------
    >>> history = read_history("calls.csv.gz", profile="contacts", tz="Asia/Manila")  # doctest: +SKIP
    """
    if isinstance(profile, str) and profile == "guess":
        from bposim.history.guess import guess_profile

        raise HistoryError(str(guess_profile(path, tz=tz)).splitlines())
    _check_columns(columns)
    how = _told(find_profile(profile), booking, counting, within, short_abandons)
    clock = _zone(tz if tz is not None else how.zone)
    if limit is not None and (isinstance(limit, bool) or not isinstance(limit, int) or limit < 1):
        raise ParameterError(parameter("limit", "read_history()", "a whole number of at least 1, or None", limit))
    if decimal not in (None, ".", ","):
        raise ParameterError(parameter("decimal", "read_history()", 'one of ".", "," or None', decimal))
    agreed = accepted_rules(accept, reading=True)
    raw = read_table(path, limit=limit, profile=how)
    told = {
        "file": Path(path).name, "sha256": file_hash(path), "profile": how.name, "tz": clock.key,
        "columns": dict(columns or {}), "interval": interval, "types": types, "limit": limit, "day_first": day_first,
        "decimal": decimal, "booking": how.booking, "counting": how.counting, "within_s": how.within_s,
        "short_abandon_s": how.short_abandon_s, "accept": sorted(agreed),
    }  # fmt: skip
    made = Provenance("read_history", {k: v for k, v in told.items() if v not in (None, {}, [])})
    insist = counting is not None or within is not None
    return _build(raw, how, clock, made, columns, interval, types, day_first, decimal, agreed, insist)


def _check_columns(columns: Any) -> None:
    if columns is not None and not isinstance(columns, Mapping):
        rule = 'a mapping of our column to the file\'s, {"arrived": "Start", "handle_s": ("Talk", "min")}'
        raise ParameterError(parameter("columns", "read_history()", rule, columns))


def _told(how: Profile, booking: str | None, counting: str | None, within: Any, short_abandons: Any) -> Profile:
    """Return the profile with what the user tells of the source's settings."""
    problems = []
    for name, value, known in (("booking", booking, BOOKINGS), ("counting", counting, COUNTING_RULES)):
        if value is not None and value not in known:
            problems.append(parameter(name, "read_history()", f"one of {', '.join(known)}", value))
    require(problems, ParameterError)
    changes: dict[str, Any] = {"booking": booking, "counting": counting}
    if within is not None:
        changes["within_s"] = seconds(within, what="within")
    if short_abandons is not None:
        changes["short_abandon_s"] = seconds(short_abandons, what="short_abandons")
    return how.replace(**{k: v for k, v in changes.items() if v is not None})


def from_frame(
    frame: pd.DataFrame, *, source: str, profile: Any, tz: Any, columns: Any, interval: Any, types: Any,
    day_first: bool | None, step: str, accept: Any = (),
) -> History:  # fmt: skip
    """Make a history of a frame's cells by the same rules as of a file's."""
    _check_columns(columns)
    how = find_profile(profile)
    clock = _zone(tz)
    if not isinstance(frame, pd.DataFrame):
        raise ParameterError(parameter("frame", f"{step}()", "a DataFrame", type(frame).__name__))
    if not len(frame):
        raise HistoryError(f"{source} is empty: it has no rows. Give at least one contact.")
    cells = frame.reset_index(drop=True).set_axis([str(c) for c in frame.columns], axis=1)
    raw = RawTable(as_text(cells), source)
    made = Provenance(step, {"rows": len(frame), "profile": how.name, "tz": clock.key, "columns": dict(columns or {})})
    agreed = accepted_rules(accept, reading=True)
    return _build(raw, how, clock, made, columns, interval, types, day_first, None, agreed)


def from_counts(series: Any, *, contact_type: str, freq: Any, tz: Any) -> History:
    """Make a history of counts; see :meth:`History.from_counts`."""
    name = "from_counts()"
    own = getattr(getattr(series, "index", None), "tz", None)
    clock = _zone(tz) if tz is not None else _zone(str(own)) if own is not None else ZoneInfo("UTC")
    table, ledger = counts_table(series, contact_type=str(contact_type), zone=clock, ledger_name=name)
    if tz is None and own is None:
        ledger.whole("zone_assumed")
    length = read_interval(freq, 0.0, "counts", True) if freq is not None else None
    asked = f"{length:g}s" if length else None
    interval_s = interval_length(pd.DatetimeIndex(table["interval_start"]), asked, name=name)
    made = Provenance("from_counts", {"rows": len(series), "interval_s": interval_s, "tz": clock.key})
    rejected = pd.DataFrame({"source_row": ledger.source_row, "rule": ledger.reason})[~ledger.kept].reset_index(
        drop=True
    )
    return _finish(
        "counts", clock, interval_s, "arrival", "the counts given to from_counts()", ledger, rejected, made, table
    )


def _zone(tz: Any) -> ZoneInfo:
    if tz is None or not str(tz).strip():
        raise HistoryError(
            'no time zone was given. Write tz="Asia/Manila" (an IANA name): local times mean nothing without.'
        )
    try:
        return zone(tz)
    except UnitError as error:
        raise HistoryError(error.problems) from None


def _build(
    raw: RawTable, profile: Profile, clock: ZoneInfo, made: Provenance, columns: Any, interval: Any, types: Any,
    day_first: bool | None, decimal: str | None, accept: frozenset[str], insist: bool = False,
) -> History:  # fmt: skip
    check_titles(raw, columns, profile)
    found, factors = map_columns(raw.frame, profile, columns, name=raw.name)
    found, told_by_flag, flag = outcome_flag(raw.frame, profile, found, columns, raw.name)
    extras = map_extras(raw.frame, profile)
    cells = raw.frame[[*found.values(), *extras.values()]].set_axis([*found, *(f"extra:{n}" for n in extras)], axis=1)
    if told_by_flag is not None:
        cells = cells.assign(outcome=told_by_flag.to_numpy())
    cells = name_types(cells)
    rows = np.arange(1, len(cells) + 1)
    left_out, whole = 0, cells
    if types is not None:
        cells, rows, left_out = _only(cells, rows, types)
    as_read = cells
    order = profile.day_first if day_first is None else day_first
    how = Reading(profile, clock, factors, raw.name, raw.delimiter, decimal, order)
    ledger = Ledger(rows, accept=accept)
    if raw.unread_titles:
        ledger.whole("unread_title", len(raw.unread_titles), f": {', '.join(map(short, raw.unread_titles[:8]))}")
    twins = second_columns(raw.frame, found, profile) if profile.kind == "intervals" else {}
    note_columns(raw.frame, {*found.values(), *extras.values(), *twins}, flag, ledger)
    if raw.encoding == "cp1252":
        ledger.whole("encoding", len(rows))
    told, absent = Told(), None
    cells = plain_times(cells, ledger, how)
    if profile.kind == "intervals":
        cells, told.interval = read_length(cells, ledger, how, interval)
    keep_latest(cells, ledger, how)
    cells = fill_in(cells, ledger, how)
    if profile.kind == "intervals":
        note_twice(cells, raw.frame.iloc[rows - 1], twins, found, ledger, how)
        cells = count_within(add_parts(cells, ledger, how), ledger, how, told, insist=insist)
        frame, absent = clean_intervals(cells, ledger, how)
        kind = "intervals" if len(frame) and frame["answered"].notna().any() else "counts"
    else:
        interval_s = read_interval(interval, 1800.0, "contacts", True)
        cells = contacts_of_events(cells, ledger, how) if profile.kind == "events" else add_parts(cells, ledger, how)
        frame, kind = clean_contacts(cells, ledger, how), "contacts"
    frame = frame.assign(**extra_columns(cells, rows, frame["source_row"].to_numpy(), how))
    rejected = as_read[~ledger.kept].astype("str").rename(columns=lambda c: str(c).removeprefix("extra:"))
    rejected.insert(0, "rule", ledger.reason[~ledger.kept])
    rejected.insert(0, "source_row", rows[~ledger.kept])
    if not len(frame):
        report = QualityReport(tuple(ledger.findings), raw.name, len(rows), 0, len(rows), left_out)
        raise HistoryError(
            [
                f"{raw.name}: not one of {len(rows):,} rows can be used. Correct the file, or name its columns, units and zone.",
                *(f.message for f in report.findings),
            ]
        )
    if profile.kind == "intervals" and frame["offered"].isna().all():
        raise HistoryError(
            f"{raw.name}: how many contacts were offered is not known in any interval, nor told by the other counts. Name "
            'its column: columns={"offered": "<its name in the file>"}.'
        )
    if profile.kind == "intervals":
        asked = interval if interval is not None else told.interval
        if absent is not None and left_out:
            absent = replace(absent, nobody=_leaves_out(whole, how, asked))
        check_steps(pd.DatetimeIndex(frame["interval_start"]), asked, raw.name)
        interval_s = interval_length(pd.DatetimeIndex(frame["interval_start"]), asked, name=raw.name)
    within_s = told.within_s if told.within_s is not None else profile.within_s
    return _finish(
        kind, clock, interval_s, profile.booking, raw.name, ledger, rejected.reset_index(drop=True), made, frame, left_out,
        about="" if profile.name in ("contacts", "intervals") else f"Profile {profile.name!r}: {profile.note}",
        counting=told.counting or profile.counting, within_s=within_s, short_abandon_s=profile.short_abandon_s, _absent=absent,
    )  # fmt: skip


def check_titles(raw: RawTable, columns: Mapping[str, Any] | None, profile: Profile) -> None:
    """Raise HistoryError where title lines above the table do not tell what its rows lack and nobody told it otherwise."""
    told = set(columns or {})
    if profile.within_s is not None:
        told.add("in_time_s")
    if "interval_start" in told:
        told.add("date")
    if problems := [f"{raw.name}: {says}" for ours, says in raw.title_problems.items() if ours not in told]:
        raise HistoryError(problems)


def _only(cells: pd.DataFrame, rows: np.ndarray, types: Any) -> tuple[pd.DataFrame, np.ndarray, int]:
    kinds = (
        text_of(cells["contact_type"]) if "contact_type" in cells else pd.Series("all", index=cells.index, dtype="str")
    )
    keep = kinds.isin(nearest_types(types, tuple(sorted(kinds.dropna().unique())))).to_numpy()
    return cells[keep].reset_index(drop=True), rows[keep], int((~keep).sum())


def _leaves_out(cells: pd.DataFrame, how: Reading, interval: Any) -> bool:
    """Return whether a report leaves empty rows out, told from all its contact types: a few may have none by chance.

    Only the counts are read, so that what is amiss in other columns of a contact type left out does no harm.
    """
    of_rows = {"interval_start", "date", "time", "day_number", "contact_type", "interval_length", "imputed", "version"}
    of_rows |= {*COUNTS, *MADE_OF["offered"], *how.profile.latest_wins}
    of_rows |= {f"extra:{other}" for other in how.profile.instead.values()}
    ledger = Ledger(np.arange(1, len(cells) + 1))
    cells = plain_times(cells[[c for c in cells if c in of_rows]], ledger, how)
    cells, _ = read_length(cells, ledger, how, interval)
    keep_latest(cells, ledger, how)
    return clean_intervals(add_parts(fill_in(cells, ledger, how), ledger, how), ledger, how)[1].nobody


def _finish(
    kind: str, clock: ZoneInfo, interval_s: float, booking: str | None, source: str, ledger: Ledger,
    rejected: pd.DataFrame, made: Provenance, frame: pd.DataFrame, left_out: int = 0, about: str = "",
    **settings: Any,
) -> History:  # fmt: skip
    rows_read = len(ledger.source_row) + left_out
    report = QualityReport(
        tuple(ledger.findings), source, rows_read, int(ledger.kept.sum()), int((~ledger.kept).sum()), left_out,
        ledger.accept, about=about,
    )  # fmt: skip
    is_log = kind == "contacts"
    if not is_log and settings.get("_absent") is None:
        settings["_absent"] = absent_cells(frame)
    history = History(
        kind, clock, interval_s, booking, source, report, rejected, made,
        _contacts=frame if is_log else None, _table=None if is_log else frame, **settings,
    )  # fmt: skip
    report = replace(report, findings=report.findings + whole_findings(history))
    touched = {f.rule: {"done": f.done, "rows": f.count} for f in report.findings}
    inputs = {**made.inputs, "rows_read": rows_read, "kept": report.kept, "set_aside": report.set_aside,
              "rules": touched, "rules_applied": content_hash(sorted(RULES))}  # fmt: skip
    history = replace(history, quality=report, provenance=replace(made, inputs=inputs), _cache={})
    errors = [f for f in report.findings if f.severity == "error"]
    if errors:
        rows = sum(f.count for f in errors)
        warnings.warn(
            f"{rows:,} of {rows_read:,} rows of {source} were set aside ({', '.join(f.rule for f in errors)}). "
            "history.check() tells which and why; history.drop_invalid() goes on without them.",
            DataQualityWarning, stacklevel=5 if made.step == "from_contacts" else 4,
        )  # fmt: skip
    return history
