"""From a source's layout to plain cells: what a profile declares is carried out here, before any cell is judged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bposim.errors import HistoryError, UnitError
from bposim.history.cells import LARGEST, MISSING, text_of
from bposim.history.contacts import Reading
from bposim.history.quality import Ledger
from bposim.history.titles import split_ranges
from bposim.units import format_seconds, seconds

#: Columns that become part of the contact type's name, in this order.
PARTS = ("channel", "skills", "language")
#: What is the sum of its parts where a file lacks it: the first part must be there, the others may lack.
MADE_OF = {
    "offered": ("offered_direct", "overflow_in"),
    "handle_sum_s": ("talk_part_sum_s", "hold_part_sum_s", "acw_part_sum_s"),
    "aht_s": ("talk_part_mean_s", "hold_part_mean_s", "acw_part_mean_s"),
    "handle_s": ("talk_s", "hold_s", "acw_s"),
}
_TIMES = ("arrived", "answered", "ended", "interval_start", "date", "start", "end", "time", "scheduled")
_WORDS = {"hold": "hold", "acw": "after-contact work"}
#: Days since 30 December 1899 that a spreadsheet writes for 1970 to 2099.
_SERIAL = (25569.0, 73051.0)
_EPOCH = pd.Timestamp("1899-12-30")


@dataclass
class Told:
    """What a file tells of how it was made: None where it does not."""

    interval: str | None = None
    counting: str | None = None
    within_s: float | None = None


def name_types(cells: pd.DataFrame) -> pd.DataFrame:
    """Return the cells with channel, skills and language as part of the contact type: ``"billing / chat"``."""
    parts = [p for p in PARTS if p in cells]
    if not parts:
        return cells
    name = (
        text_of(cells["contact_type"]) if "contact_type" in cells else pd.Series("all", index=cells.index, dtype="str")
    )
    for part in parts:
        text = text_of(cells[part])
        name = name.where(text.isna(), name + " / " + text)
    return cells.drop(columns=parts).assign(contact_type=name)


def plain_times(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Return the cells with the profile's words for "missing" blanked and its ways of writing time made plain."""
    profile = how.profile
    for name, words in profile.missing.items():
        if name in cells:
            cells = cells.assign(**{name: cells[name].mask(cells[name].astype("str").str.strip().isin(words), "")})
    if profile.offsets == "ignored":
        cells = _strip_offsets(cells, ledger)
    if "day_number" in cells and profile.first_day:
        cells = _invent_dates(cells, ledger, how)
    cells = _serial_dates(cells, ledger, profile.kind)
    if profile.date_format and "date" in cells and cells["date"].dtype.kind not in "Mm":
        width = len(pd.Timestamp("2026-11-22").strftime(profile.date_format))
        text = cells["date"].astype("str").str.strip()
        dates = pd.to_datetime(text.str.zfill(width), format=profile.date_format, errors="coerce")
        cells = cells.assign(date=text.where(dates.isna(), dates.dt.strftime("%Y-%m-%d")))
    if profile.kind == "intervals" and "time" in cells and "date" in cells and cells["date"].dtype.kind == "M":
        cells = cells.assign(date=cells["date"].dt.strftime("%Y-%m-%d"))
    if profile.kind == "intervals" and "time" in cells and cells["time"].dtype.kind not in "Mm":
        clock, lengths = split_ranges(cells["time"].astype("str").str.strip())
        cells = cells.assign(time=_clock(clock, profile.time_form))
        if "interval_length" not in cells and (lengths != "").any():
            # A row without a range (the totals) is judged by its time, not by its length.
            usual = lengths[lengths != ""].mode()[0]
            cells = cells.assign(interval_length=lengths.where(lengths != "", usual))
    return cells


def fill_in(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Return the cells with what stands in for missing ones; rows that never queued or are made up are recorded."""
    profile = how.profile
    for name, other in profile.instead.items():
        if name in cells and f"extra:{other}" in cells:
            there, here = cells[f"extra:{other}"], cells[name]
            absent = here.isna() | here.astype("str").str.strip().str.lower().isin(MISSING)
            taken = absent & text_of(there).notna()
            ledger.note("substitute", (taken & ledger.kept).to_numpy(), f": {other!r} for {name!r}")
            cells = cells.assign(**{name: here.where(~taken, there)})
    if "imputed" in cells:
        made_up = cells["imputed"].astype("str").str.strip().str.lower().isin(["true", "1", "yes"])
        ledger.note("imputed", made_up.to_numpy())
        cells = cells.drop(columns="imputed")
    if profile.never_queued and "arrived" in cells:
        absent = cells["arrived"].isna() | cells["arrived"].astype("str").str.strip().str.lower().isin(MISSING)
        ledger.set_aside("left_in_menu", absent.to_numpy())
    return cells


def _strip_offsets(cells: pd.DataFrame, ledger: Ledger) -> pd.DataFrame:
    for name in (c for c in _TIMES if c in cells):
        column = cells[name]
        if isinstance(column.dtype, pd.DatetimeTZDtype):
            had = column.notna()
            column = column.dt.tz_localize(None)
        else:
            text = column.astype("str").str.strip()
            plain = text.str.replace(r"(?<=\d)\s*(?:Z|[+-]\d{2}:?\d{2})$", "", regex=True)
            had, column = (plain != text) & text.str.contains(":", regex=False), plain
        ledger.note("offset_ignored", had.to_numpy())
        cells = cells.assign(**{name: column})
    return cells


def _invent_dates(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    number, _ = how.numbers(cells, "day_number")
    whole = ~np.isnan(number) & (number % 1 == 0) & (np.abs(number) < 100_000)
    first = pd.Timestamp(how.profile.first_day)
    dates = first + pd.to_timedelta(np.where(whole, number - 1, 0), unit="D")
    text = cells["day_number"].astype("str").where(~whole, dates.strftime("%Y-%m-%d"))
    ledger.note("dates_invented", whole, f" from {first.date()} on, in the order of their numbers")
    return cells.drop(columns="day_number").assign(interval_start=text)


def _serial_dates(cells: pd.DataFrame, ledger: Ledger, kind: str) -> pd.DataFrame:
    """Read a column that holds nothing but a spreadsheet's numbers of days as dates."""
    for name in (c for c in _TIMES if c in cells and not (kind == "intervals" and c == "time")):
        column = cells[name]
        if column.dtype.kind not in "iuf":
            if column.dtype.kind in "Mm" or isinstance(column.dtype, pd.DatetimeTZDtype):
                continue
            text = column.astype("str").str.strip()
            column = text.mask(text.str.lower().isin(MISSING))
            if not column.dropna().head(100).str.fullmatch(r"\d{5}(?:\.\d+)?").all():
                continue
            column = pd.to_numeric(column, errors="coerce").mask(column.isna())
            if (column.isna() & ~text.str.lower().isin(MISSING)).any():
                continue
        known = column.dropna()
        if len(known) and known.between(*_SERIAL).all():
            micro = np.round(column.fillna(0.0).to_numpy(dtype=float) * 86400.0) * 1e6
            days = pd.Series(_EPOCH + pd.to_timedelta(micro, unit="us"), index=cells.index).mask(column.isna())
            ledger.note("serial_dates", column.notna().to_numpy())
            cells = cells.assign(**{name: days.astype("datetime64[us]")})
    return cells


def _clock(column: pd.Series, form: str | None) -> pd.Series:
    """Return times of day as ``08:30``: of ``830``, of an hour, of a spreadsheet's fraction of a day."""
    text = column.astype("str").str.strip().str.replace(r"^(\d+)\.0$", r"\1", regex=True)
    hours = text.str.fullmatch(r"\d{1,2}")
    if form == "hour":
        text = text.mask(hours, text.str.zfill(2) + ":00")
        hours &= False
    elif form != "hhmm":
        hours &= False
    digits = text.str.fullmatch(r"\d{3,4}") | hours
    wide = text.str.zfill(4)
    text = text.mask(digits, wide.str[:2] + ":" + wide.str[2:])
    fraction = text.str.fullmatch(r"0?\.\d+")
    if fraction.any():
        of_day = pd.to_numeric(text.where(fraction | (text == "0")), errors="coerce").fillna(0.0)
        clock = (_EPOCH + pd.to_timedelta(np.round(of_day * 86400.0), unit="s")).dt.strftime("%H:%M:%S")
        text = text.mask(fraction | (text == "0"), clock)
    return text


def keep_latest(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> None:
    """Set the rows aside that a later row of the same key replaces."""
    keys = [k for k in how.profile.latest_wins if k in cells]
    if not keys:
        return
    key = pd.DataFrame({
        k: how.times(cells, k).values if k in _TIMES else text_of(cells[k]) for k in keys
    }, index=cells.index)  # fmt: skip
    known = key.notna().all(axis=1).to_numpy() & ledger.kept
    order = np.arange(len(cells))
    if "version" in cells:
        order = _order(cells, how)
    ranked = key.assign(_order=order)[known].sort_values("_order", kind="stable")
    old = ranked.index[ranked.duplicated(keys, keep="last")]
    mask = np.zeros(len(cells), dtype=bool)
    mask[cells.index.get_indexer(old)] = True
    ledger.set_aside("superseded", mask, f" ({', '.join(map(repr, keys))})")


def _order(cells: pd.DataFrame, how: Reading) -> np.ndarray:
    """Return the rank of each row's version: a number, a time, or its place in the file where it has none."""
    numbers = pd.to_numeric(cells["version"], errors="coerce") if cells["version"].dtype.kind != "M" else None
    if numbers is not None and numbers.notna().mean() > 0.5:
        value = numbers.to_numpy(dtype=float)
    else:
        stamps = how.times(cells, "version").values
        value = stamps.dt.tz_convert("UTC").dt.tz_localize(None).astype("int64").to_numpy(dtype=float)
        value = np.where(stamps.isna(), -np.inf, value)
    return np.asarray(pd.Series(np.nan_to_num(value, nan=-np.inf)).rank(method="first"))


def add_parts(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Return the cells with what is made of parts, the parts taken out."""
    for whole, parts in MADE_OF.items():
        have = [p for p in parts if p in cells]
        if have and whole not in cells and parts[0] in cells:
            values = {p: how.numbers(cells, p) for p in have}
            total = values[parts[0]][0].copy()
            for p in have[1:]:
                total += np.nan_to_num(values[p][0])
            made = pd.Series(total, index=cells.index)
            bad = np.any([b for _, b in values.values()], axis=0)
            if bad.any():
                first = cells[have].astype("str").fillna("").agg(" + ".join, axis=1)
                made = made.astype(object).where(~bad, first)
            cells = cells.assign(**{whole: made})
            lacking = [_WORDS[w] for p in parts[1:] for w in _WORDS if p.startswith(w) and p not in cells]
            if lacking:
                ledger.whole("handle_incomplete", len(cells), f": talk without {' and '.join(lacking)}")
        cells = cells.drop(columns=have)
    if "aht_s" in cells and "answered" not in cells:
        # A mean over what was answered is no sum where nobody says how many that were: it is kept as it is.
        cells = cells.rename(columns={"aht_s": "extra:aht_s"})
    return cells


def check_steps(starts: pd.DatetimeIndex, interval: str | None, name: str) -> None:
    """Raise HistoryError where a report that is daily by its profile has a row a month."""
    days = np.unique(starts.tz_localize(None).to_numpy().astype("datetime64[D]"))
    step = float(np.median(np.diff(days).astype(int))) if len(days) > 1 else 0.0
    if interval == "1d" and step >= 28:
        raise HistoryError(
            f"{name}: its dates lie {step:g}d apart, so its rows are months and no days. Export days, or give the volumes "
            "of months to a forecast as what they are."
        )


def read_length(cells: pd.DataFrame, ledger: Ledger, how: Reading, asked: object) -> tuple[pd.DataFrame, str | None]:
    """Return the interval's length as the file tells it, rows of other lengths than asked set aside.

    Raises
    ------
    HistoryError
        The file holds several lengths and none was asked for.
    """
    if "interval_length" not in cells:
        return cells, how.profile.interval
    text = cells["interval_length"].astype("str").str.strip().str.lower()
    length = text.map({str(k).lower(): v for k, v in how.profile.lengths.items()}).to_numpy(dtype=float)
    rest = np.isnan(length)
    if rest.any():
        length = np.where(rest, _lengths(text, how.factors.get("interval_length", 1.0)), length)
    ledger.set_aside("unparseable_number", np.isnan(length), " in 'interval_length'")
    cells = cells.drop(columns="interval_length")
    found = np.unique(length[ledger.kept & ~np.isnan(length)])
    if asked is not None:
        other = ~np.isnan(length) & (length != float(seconds(asked, what="interval")))
        ledger.set_aside("other_length", other, f": {', '.join(format_seconds(v) for v in np.unique(length[other]))}")
        return cells, None
    if len(found) > 1:
        words = ", ".join(format_seconds(v) for v in found)
        raise HistoryError(
            f"{how.name} holds intervals of several lengths ({words}), of which the longer hold the shorter. Read one at "
            f'a time: interval="{format_seconds(found[0])}".'
        )
    return cells, f"{found[0]:g}s" if len(found) else None


def _lengths(text: pd.Series, factor: float) -> np.ndarray:
    """Return lengths in seconds: numbers in their unit, or words such as ``30min``."""

    def read(word: str) -> float:
        try:
            return float(word) * factor
        except ValueError:
            try:
                return seconds(word, what="interval")
            except UnitError:
                return np.nan

    return text.map({w: read(w) for w in text.unique()}).to_numpy(dtype=float)


def only_value(values: Sequence[object]) -> object | None:
    """Return the one value of a column that is the same in all rows, None where there is none or there are several."""
    kinds = {v for v in values if v is not None and not (isinstance(v, float) and np.isnan(v))}
    return next(iter(kinds)) if len(kinds) == 1 else None


def only_number(values: np.ndarray) -> float | None:
    """Return the one number of a column that is the same in all rows that have one, None where there is none or several."""
    kinds = np.unique(values[~np.isnan(values)])
    return float(kinds[0]) if len(kinds) == 1 else None


def extra_columns(cells: pd.DataFrame, rows: np.ndarray, kept: np.ndarray, how: Reading) -> dict[str, pd.Series]:
    """Return what is kept beside our columns, of the rows that were kept.

    Times where the name ends in ``_at``, seconds where it ends in ``_s``, otherwise numbers, truth values or text.
    """
    place = np.searchsorted(rows, kept)
    made = {}
    for full in (c for c in cells if str(c).startswith("extra:")):
        name = str(full).removeprefix("extra:")
        raw = cells[full].iloc[place].reset_index(drop=True)
        text = text_of(raw)
        if name.endswith("_at"):
            try:
                made[name] = how.times(raw.mask(text.isin(["?"]), "").to_frame(name), name).values
                continue
            except HistoryError:  # no times, or day and month cannot be told apart: it stays text
                pass
        numbers = pd.to_numeric(text, errors="coerce")
        words = text.str.lower()
        if name.endswith("_s"):
            column = pd.Series(how.numbers(raw.to_frame(name), name)[0])
        elif np.isfinite(numbers).equals(text.notna()) and text.notna().any():
            whole = numbers.notna().all() and not (numbers % 1).any() and numbers.abs().max() <= LARGEST
            column = numbers.astype("int64") if whole else numbers.astype(float)
        elif len(text) and words.isin(["true", "false"]).all():
            column = words == "true"
        else:
            column = text
        made[name] = column
    return made
