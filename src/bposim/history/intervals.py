"""An interval report's cells, or a series of counts, into the IntervalTable frame, every broken rule recorded."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.absent import Absent, absent_cells
from bposim.history.cells import localise, text_of
from bposim.history.contacts import Reading
from bposim.history.layouts import WITHIN
from bposim.history.quality import Ledger
from bposim.history.reports import note_reports, note_totals_queue
from bposim.units import format_seconds, seconds

OUTCOMES = ("answered", "abandoned", "blocked", "disconnected", "callback", "deflected")
COUNTS = ("offered", *OUTCOMES, "transferred")
SUMS = ("wait_answered_sum_s", "wait_abandoned_sum_s", "wait_sum_s", "handle_sum_s", "max_wait_s", "staffed_s")
#: Mean in the report → the sum it becomes, and the count it is a mean over.
MEANS = {
    "asa_s": ("wait_answered_sum_s", "answered"),
    "mean_abandon_s": ("wait_abandoned_sum_s", "abandoned"),
    "aht_s": ("handle_sum_s", "answered"),
}
_TOTALS = r"^(?:grand[ _-]?)?(?:total|totals|sum|summary|gesamt|summe|subtotal|average|overall)\b"


def clean_intervals(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> tuple[pd.DataFrame, Absent]:
    """Return the IntervalTable of the rows that were kept, with ``source_row``, and what the cells mean that it lacks.

    Parameters
    ----------
    cells : DataFrame
        Raw cells under our column names, default index.
    ledger : Ledger
    how : Reading
    """
    start = cells["interval_start"] if "interval_start" in cells else cells["date"]
    cells = cells.assign(interval_start=start)
    totals = totals_rows(cells)
    ledger.set_aside("totals_row", totals)
    if "interval_start" in cells and "time" in cells and cells["interval_start"].dtype.kind not in "Mm":
        day = cells["interval_start"].astype("str").str.replace(" 00:00:00", "", regex=False)
        clock = cells["time"].astype("str").str.strip()
        # A row without a time in a report that has them is no day: it would be taken for midnight.
        cells = cells.assign(interval_start=(day + " " + clock).mask((clock == "") & (clock != "").any(), ""))
    parsed = how.times(
        cells.assign(interval_start=cells["interval_start"].mask(totals & ~ledger.kept)), "interval_start"
    )
    ledger.set_aside("unparseable_time", parsed.bad | parsed.missing)
    numeric = [c for c in cells if c in (*COUNTS, *SUMS, *MEANS) or WITHIN.match(c)]
    values = {c: how.numbers(cells, c) for c in numeric}
    ledger.set_aside("dst_gap_empty", parsed.gap & _nobody(values))
    ledger.set_aside("dst_gap", parsed.gap)
    kinds = (
        text_of(cells["contact_type"]) if "contact_type" in cells else pd.Series("all", index=cells.index, dtype="str")
    )
    ledger.set_aside("missing_type", kinds.isna().to_numpy())
    starts, fold = _fold(parsed.values, parsed.fold & ledger.kept, kinds, how)
    ledger.note("dst_fold", fold)

    bad = {c: b for c, (_, b) in values.items()}
    ledger.set_aside("unparseable_number", np.any(list(bad.values()), axis=0), _named(bad))
    table = pd.DataFrame({c: v for c, (v, _) in values.items()}, index=cells.index)
    negative = {c: (table[c] < 0).to_numpy() for c in table}
    for rule, columns in (
        ("negative_count", [c for c in table if c in COUNTS or WITHIN.match(c)]),
        ("negative_aht", [c for c in table if c in SUMS or c in MEANS]),
    ):
        if columns:
            part = {c: negative[c] for c in columns}
            ledger.set_aside(rule, np.any(list(part.values()), axis=0), _named(part))
    table, apart = _complete(table, ledger, how)
    frame = pd.DataFrame({
        "replication": np.int64(0), "interval_start": starts, "contact_type": kinds,
    }).join(table).assign(source_row=ledger.source_row)  # fmt: skip
    twice = np.zeros(len(frame), dtype=bool)
    twice[ledger.kept] = frame[ledger.kept].duplicated(["interval_start", "contact_type"]).to_numpy()
    ledger.set_aside("duplicate_interval", twice)
    note_reports(frame, apart, ledger)
    kept = frame[ledger.kept].sort_values(["interval_start", "contact_type"], kind="stable", ignore_index=True)
    return kept, absent_cells(frame, ledger)


def _nobody(values: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the rows whose counts are 0 or missing, one of them 0 at least."""
    counts = [c for c in values if c in COUNTS or WITHIN.match(c)]
    found = np.array([values[c][0] for c in counts])
    bad = np.array([values[c][1] for c in counts])
    empty = ((found == 0) | np.isnan(found)) & ~bad
    return np.asarray(empty.all(axis=0) & (found == 0).any(axis=0))


def totals_rows(cells: pd.DataFrame) -> np.ndarray:
    """Return which rows are named as totals."""
    hit = np.zeros(len(cells), dtype=bool)
    for column in ("interval_start", "time", "contact_type"):
        if column in cells and cells[column].dtype.kind not in "Mmiuf":
            hit |= cells[column].astype("str").str.strip().str.lower().str.contains(_TOTALS, na=False).to_numpy()
    return hit


def _fold(starts: pd.Series, fold: np.ndarray, kinds: pd.Series, how: Reading) -> tuple[pd.Series, np.ndarray]:
    """Give the second row of a type in a doubled hour its second occurrence."""
    if not fold.any():
        return starts, fold
    again = pd.DataFrame({"t": starts, "k": kinds}).duplicated().to_numpy() & fold
    second = localise_second(starts, how)
    return starts.where(~again, second), fold


def localise_second(starts: pd.Series, how: Reading) -> pd.Series:
    """Return the second occurrence of wall-clock times in a doubled hour; others unchanged."""
    naive = starts.dt.tz_localize(None)
    return naive.dt.tz_localize(how.zone, ambiguous=np.zeros(len(naive), dtype=bool), nonexistent="shift_forward")


def _named(masks: dict[str, np.ndarray]) -> str:
    names = [repr(c) for c, m in masks.items() if m.any()]
    return f" in {', '.join(names)}" if names else ""


def _complete(table: pd.DataFrame, ledger: Ledger, how: Reading) -> tuple[pd.DataFrame, pd.Series | None]:
    """Turn means into sums and find the count that the others tell; return also offered less what became of them."""
    outcomes = [c for c in OUTCOMES if c in table]
    total = table[outcomes].sum(axis=1, min_count=len(outcomes)) if outcomes else None
    if "offered" not in table:
        table["offered"] = total if "abandoned" in table else np.nan
    rest = ("abandoned", "answered")
    # A source whose counts are booked apart, or leave some outcomes out, does not tell one by the others.
    for missing, other in (rest, rest[::-1]) if how.profile.complete else ():
        if missing not in table and other in table and table["offered"].notna().any():
            others = table[[c for c in outcomes if c != missing]].sum(axis=1, skipna=False)
            table[missing] = table["offered"] - others
    for name in ("answered", "abandoned"):
        if name not in table:
            table[name] = np.nan
    if "offered" in table and total is not None and {"answered", "abandoned"} <= set(outcomes):
        table["_apart"] = table["offered"] - total
    unfit = np.zeros(len(table), dtype=bool)
    for column in [c for c in table if WITHIN.match(c)]:
        whole = column.split("_within_")[0]
        unfit |= (table[column] > table[whole]).to_numpy()
    ledger.set_aside("within_exceeds_total", unfit)
    ledger.note("missing_count", table["offered"].isna().to_numpy() & ledger.kept)
    for mean, (total_column, count) in MEANS.items():
        if mean in table:
            if total_column not in table:
                # A mean over nobody is often left blank: it stands for a sum of 0.
                table[total_column] = (table[mean] * table[count]).where(table[count] != 0, 0.0)
            table = table.drop(columns=mean)
    apart = table.pop("_apart") if "_apart" in table else None
    counts = [c for c in COUNTS if c in table] + [c for c in table if WITHIN.match(c)]
    fractional = (table[counts].fillna(0) % 1 != 0).any(axis=1).to_numpy()
    ledger.note("fractional_counts", fractional & ledger.kept)
    for c in counts:
        if table[c].notna().all() and not (table[c] % 1 != 0).any():
            table[c] = table[c].astype("int64")
    return table[counts + [c for c in table if c not in counts]], apart


def interval_length(starts: pd.DatetimeIndex, asked: Any, *, name: str) -> float:
    """Return the length of a report's intervals in seconds: as asked, or the most common step between starts.

    Raises
    ------
    HistoryError
        There is a single start, or the steps do not fit the length.
    """
    local = pd.DatetimeIndex(starts.tz_localize(None).unique()).sort_values()
    steps = np.diff(local.to_numpy()).astype("timedelta64[s]").astype(np.int64)
    if asked is not None:
        length = float(seconds(asked, what="interval"))
    elif len(steps) == 0:
        raise HistoryError(f'{name} has a single interval, whose length it does not tell. Write interval="30min".')
    else:
        values, counts = np.unique(steps, return_counts=True)
        length = float(values[counts.argmax()])
    if length <= 0 or length % 60 or 86400 % length:
        raise HistoryError(
            f"{name}: an interval of {format_seconds(length)} is no whole number of minutes that divides a day. "
            'Write interval="15min", "30min", "1h" or "1d".'
        )
    midnight = local.normalize()
    twice = np.ones(len(local), dtype=bool)
    # Where the clock skips midnight the day begins later, and that is no fault of the grid.
    begins = midnight.tz_localize(starts.tz, ambiguous=twice, nonexistent="NaT").notna()
    offsets = ((local - midnight).total_seconds().to_numpy())[begins] % length
    unfit = int((offsets != 0).sum())
    if unfit and len(np.unique(offsets)) > 1:
        raise HistoryError(
            f"{name}: {unfit:,} of {len(local):,} interval starts do not lie on a grid of {format_seconds(length)}. "
            'Write the length of its intervals: interval="15min".'
        )
    return length


def counts_table(data: Any, *, contact_type: str, zone: Any, ledger_name: str) -> tuple[pd.DataFrame, Ledger]:
    """Return the IntervalTable of a Series of counts, or of a frame with a column per contact type.

    Raises
    ------
    HistoryError
        There are no counts, the index holds no times, a time repeats, or a count is negative.
    """
    frame = data.to_frame(contact_type) if isinstance(data, pd.Series) else data
    if not isinstance(frame, pd.DataFrame) or not len(frame) or not frame.shape[1]:
        got = f"{type(data).__name__} of {len(frame)} rows" if hasattr(frame, "__len__") else repr(data)
        raise HistoryError(f"{ledger_name} needs a Series or DataFrame of counts indexed by time. Got {got}.")
    problems = []
    index = frame.index
    if isinstance(index, pd.PeriodIndex):
        index = index.to_timestamp()
    elif not isinstance(index, pd.DatetimeIndex):
        try:
            if index.dtype.kind in "iufb":
                raise ValueError
            index = pd.DatetimeIndex(pd.to_datetime(index, format="ISO8601"))
        except (ValueError, TypeError):
            raise HistoryError(
                f"{ledger_name} needs counts indexed by time. Got an index that begins with {frame.index[0]!r}. "
                "Write series.set_axis(pd.to_datetime(dates))."
            ) from None
    if index.hasnans:
        problems.append(f"{int(index.isna().sum())} times of the index are missing. Drop these rows.")
    if index.has_duplicates:
        twice = index[index.duplicated()]
        problems.append(f"{len(twice):,} times of the index repeat, the first is {twice[0]}. Sum them or drop one.")
    for name in frame:
        if frame[name].dtype.kind not in "iuf":
            problems.append(f"column {name!r} must hold numbers. Got dtype {frame[name].dtype}.")
        elif (values := frame[name].to_numpy(dtype=float, na_value=np.nan))[values < 0].size or np.isinf(values).any():
            problems.append(f"column {name!r} must hold finite counts of at least 0. Got {np.nanmin(values):g}.")
    if problems:
        raise HistoryError(problems)
    stamps = pd.Series(index.as_unit("us"))
    if stamps.dt.tz is not None:
        stamps, gap, fold = stamps.dt.tz_convert(zone), np.zeros(len(stamps), bool), np.zeros(len(stamps), bool)
    else:
        naive = stamps
        stamps, gap, fold = localise(naive, zone, order=True)
        # A clock that jumps at midnight leaves days without 00:00: such a day begins when the clock goes on.
        at_midnight = gap & (naive == naive.dt.normalize()).to_numpy()
        moved = naive.dt.tz_localize(zone, ambiguous=np.ones(len(naive), dtype=bool), nonexistent="shift_forward")
        stamps, gap = stamps.where(~at_midnight, moved), gap & ~at_midnight
    k = frame.shape[1]
    long = pd.DataFrame({
        "replication": np.int64(0), "interval_start": stamps.repeat(k).array,
        "contact_type": np.tile([str(c) for c in frame.columns], len(frame)),
        "offered": frame.to_numpy(dtype=float, na_value=np.nan).reshape(-1),
        "answered": np.nan, "abandoned": np.nan, "source_row": np.repeat(np.arange(1, len(frame) + 1), k),
    })  # fmt: skip
    ledger = Ledger(long["source_row"].to_numpy())
    nobody = (long["offered"] == 0).to_numpy()
    ledger.set_aside("dst_gap_empty", np.repeat(gap, k) & nobody)
    ledger.set_aside("dst_gap", np.repeat(gap, k))
    ledger.note("dst_fold", np.repeat(fold, k))
    missing = long["offered"].isna().to_numpy()
    ledger.note("missing_count", missing)
    ledger.note("fractional_counts", (long["offered"].fillna(0) % 1 != 0).to_numpy())
    note_totals_queue(long, ledger)
    long = long[ledger.kept].sort_values(["interval_start", "contact_type"], kind="stable", ignore_index=True)
    if long["offered"].notna().all() and not (long["offered"] % 1).any():
        long["offered"] = long["offered"].astype("int64")
    return long, ledger
