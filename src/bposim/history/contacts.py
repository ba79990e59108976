"""A contact log's cells into the ContactLog frame, every broken rule recorded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
from scipy.stats import poisson

from bposim.errors import HistoryError
from bposim.history.cells import Times, parse_numbers, parse_times, short, text_of
from bposim.history.layouts import Profile
from bposim.history.quality import Ledger
from bposim.units import format_seconds, rough_time

#: A handle time above this, or above 20 times the 99.9th percentile, is not believed.
LONGEST_HANDLE_S = 36000.0
#: A mean patience below this is none in seconds.
SHORTEST_PATIENCE_S = 5.0
_DAY = pd.Timedelta(days=1)
_EXTRAS = ("priority", "customer", "source_id", "menu_s")


@dataclass(frozen=True)
class Reading:
    """How cells are to be read: what :func:`read_history` was told."""

    profile: Profile
    zone: ZoneInfo
    factors: Mapping[str, float]
    name: str
    delimiter: str | None = None
    decimal: str | None = None
    day_first: bool | None = None

    def times(self, frame: pd.DataFrame, column: str, *, order: bool = False) -> Times:
        """Parse a column of times."""
        clock = ZoneInfo(self.profile.clock) if self.profile.clock else self.zone
        made = parse_times(
            frame[column],
            zone=clock,
            day_first=self.day_first,
            what=f"column {column!r} of {self.name}",
            order=order,
        )
        return made if clock is self.zone else replace(made, values=made.values.dt.tz_convert(self.zone))

    def numbers(self, frame: pd.DataFrame, column: str) -> tuple[np.ndarray, np.ndarray]:
        """Parse a column of numbers; durations come in seconds."""
        return parse_numbers(
            frame[column], factor=self.factors.get(column, 1.0), duration=column.endswith("_s"),
            delimiter=self.delimiter, decimal=self.decimal, what=f"column {column!r} of {self.name}",
        )  # fmt: skip


def clean_contacts(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Return the ContactLog of the rows that were kept.

    Parameters
    ----------
    cells : DataFrame
        Raw cells under our column names, default index.
    ledger : Ledger
        Takes the findings; its ``kept`` says which rows went in.
    how : Reading
    """
    times = {c: how.times(cells, c, order=c == "arrived") for c in ("arrived", "answered", "ended") if c in cells}
    seconds = {c: how.numbers(cells, c) for c in ("wait_s", "handle_s", "menu_s") if c in cells}
    _note_cells(times, seconds, ledger)
    arrived = times["arrived"].values
    wait = _get(seconds, "wait_s", len(cells))
    handle = _get(seconds, "handle_s", len(cells))
    if "menu_s" in seconds:
        menu = np.nan_to_num(seconds["menu_s"][0])
        ledger.note("negative_menu", menu < 0)
        arrived = _add(arrived, np.maximum(menu, 0))
    answered, past = _late(times, "answered", arrived, how)
    ended, past_too = _late(times, "ended", answered.fillna(arrived), how)
    ledger.note("midnight", (past | past_too) & ledger.kept)
    kinds = _types(cells, ledger)
    agent = _text(cells, "agent")
    outcome = _outcomes(cells, answered, ended, wait, handle, agent, ledger, how)
    is_answered = (outcome == "answered").to_numpy()

    ledger.set_aside("negative_wait", wait < 0)
    ledger.set_aside("negative_handle", handle < 0)
    answered = answered.fillna(_add(arrived, wait)).where(is_answered)
    handled = is_answered & answered.isna().to_numpy() & np.isnan(wait) & ~np.isnan(handle)
    if handled.any():
        answered = answered.where(~handled, _add(ended, -np.nan_to_num(handle)))
    ledger.set_aside(
        "answered_before_arrived", is_answered & (answered < arrived).to_numpy() & ~_clocks_lose(how, wait)
    )
    ledger.set_aside("ended_before_answered", is_answered & (ended < answered).to_numpy() & ~_clocks_lose(how, handle))
    ledger.set_aside("ended_before_arrived", ~is_answered & (ended < arrived).to_numpy() & ~_clocks_lose(how, wait))
    clock_start, clock_end = answered, ended
    arrived, answered, ended, wait, handle = _agree(arrived, answered, ended, wait, handle, is_answered, ledger, how)
    ledger.set_aside("answered_without_time", is_answered & np.isnan(wait))

    ledger.note("handle_of_unanswered", ledger.kept & ~is_answered & (handle > 0))
    handle = np.where(is_answered, handle, np.nan)
    handle, ended = _long(handle, ended, ledger, how)
    frame = pd.DataFrame({
        "replication": np.int64(0), "contact_id": np.int64(0), "contact_type": kinds, "arrived": arrived,
        "answered": answered.where(is_answered), "ended": ended,
        "agent_group": _text(cells, "agent_group"), "agent": agent, "outcome": outcome,
        "wait_s": wait, "handle_s": handle,
    })  # fmt: skip
    for extra in (e for e in _EXTRAS if e in cells):
        frame[extra] = _extra(cells[extra], how.profile.missing.get(extra, ()), number=extra in ("priority", "menu_s"))
    if "menu_s" in frame:
        frame["menu_s"] = np.maximum(seconds["menu_s"][0], 0)
    frame["source_row"] = ledger.source_row
    frame["_start"], frame["_end"] = clock_start.fillna(frame["answered"]), clock_end.fillna(frame["ended"])
    _duplicates(cells, ledger)
    frame = frame[ledger.kept].sort_values("arrived", kind="stable", ignore_index=True)
    frame["contact_id"] = np.arange(len(frame))
    _note_kept(frame, ledger)
    return frame.drop(columns=["_start", "_end"])


def _text(cells: pd.DataFrame, column: str) -> pd.Series:
    return text_of(cells[column]) if column in cells else pd.Series(None, index=cells.index, dtype="str")


def _note_cells(
    times: Mapping[str, Times], seconds: Mapping[str, tuple[np.ndarray, np.ndarray]], ledger: Ledger
) -> None:
    bad = {c: t.bad | (t.missing if c == "arrived" else False) for c, t in times.items()}
    ledger.set_aside("unparseable_time", np.any(list(bad.values()), axis=0), _where(bad))
    gaps = {c: t.gap for c, t in times.items()}
    ledger.set_aside("dst_gap", np.any(list(gaps.values()), axis=0), _where(gaps))
    if seconds:
        wrong = {c: b for c, (_, b) in seconds.items()}
        ledger.set_aside("unparseable_number", np.any(list(wrong.values()), axis=0), _where(wrong))
    ledger.note("dst_fold", np.any([t.fold for t in times.values()], axis=0) & ledger.kept)


def _where(masks: Mapping[str, np.ndarray]) -> str:
    names = [repr(c) for c, m in masks.items() if m.any()]
    return f" in {', '.join(names)}" if names else ""


def _get(seconds: Mapping[str, tuple[np.ndarray, np.ndarray]], column: str, n: int) -> np.ndarray:
    return seconds[column][0] if column in seconds else np.full(n, np.nan)


def _add(times: pd.Series, seconds: np.ndarray) -> pd.Series:
    """Return times moved by seconds; missing where either is."""
    micro = np.where(np.isnan(seconds), 0, np.round(np.nan_to_num(seconds) * 1e6)).astype(np.int64)
    moved = times + pd.Series(micro.astype("timedelta64[us]"), index=times.index)
    return moved.mask(np.isnan(seconds))


def _between(late: pd.Series, early: pd.Series) -> np.ndarray:
    return (late - early).dt.total_seconds().to_numpy(dtype=float, na_value=np.nan)


def _late(times: Mapping[str, Times], column: str, before: pd.Series, how: Reading) -> tuple[pd.Series, np.ndarray]:
    """Return answers or ends, and which were moved past midnight.

    One that would precede ``before`` is moved into the second occurrence of a doubled hour or, where the profile dates
    everything by the arrival, to the next day.
    """
    if column not in times:
        return pd.Series(pd.NaT, index=before.index, dtype=before.dtype), np.zeros(len(before), dtype=bool)
    values = times[column].values
    fold = times[column].fold & (values < before).to_numpy()
    values = values.where(~fold, values + pd.Timedelta(hours=1))
    early = _between(values, before) < -43200 if how.profile.midnight else np.zeros(len(before), dtype=bool)
    if early.any():
        wall = values.dt.tz_localize(None) + _DAY
        later = wall.dt.tz_localize(how.zone, ambiguous=np.ones(len(wall), dtype=bool), nonexistent="shift_forward")
        values = values.where(~early, later)
    return values, early


def _types(cells: pd.DataFrame, ledger: Ledger) -> pd.Series:
    if "contact_type" not in cells:
        return pd.Series("all", index=cells.index, dtype="str")
    kinds = text_of(cells["contact_type"])
    ledger.set_aside("missing_type", kinds.isna().to_numpy())
    return kinds


def _outcomes(
    cells: pd.DataFrame, answered: pd.Series, ended: pd.Series, wait: np.ndarray, handle: np.ndarray, agent: pd.Series,
    ledger: Ledger, how: Reading,
) -> pd.Series:  # fmt: skip
    """Return our outcome of every row: the file's, or told from what was filled in."""
    if "answered" in cells:
        was_answered = answered.notna().to_numpy()
        assumed = np.zeros(len(cells), dtype=bool)
    else:
        assumed = (handle == 0) & agent.isna().to_numpy()
        was_answered = (~np.isnan(handle) & ~assumed) | agent.notna().to_numpy()
        if "handle_s" not in cells and "agent" not in cells and "outcome" not in cells:
            raise HistoryError(
                f"{how.name} does not tell answered contacts from abandoned ones: it has none of 'outcome', "
                "'answered', 'handle_s', 'agent'. Write columns={\"outcome\": \"<its name in the file>\"}."
            )
    told = pd.Series(np.where(was_answered, "answered", "abandoned"), index=cells.index, dtype="str")
    if "outcome" not in cells:
        ledger.note("outcome_assumed", assumed & ledger.kept)
        return told
    words = text_of(cells["outcome"])
    codes, unique = pd.factorize(words)
    for word, rule in how.profile.set_aside.items():
        ledger.set_aside(rule, np.isin(codes, [k for k, u in enumerate(unique) if str(u).lower() == word]))
    ours = np.array([how.profile.outcomes.get(str(u).lower()) for u in unique] + [None], dtype=object)
    unknown = [short(u) for u, o in zip(unique, ours, strict=False) if o is None]
    blank = codes == -1
    mapped = ours[codes]
    ledger.set_aside("unknown_outcome", pd.isna(mapped) & ~blank, f": {', '.join(unknown[:5])}")
    ledger.note("outcome_assumed", assumed & blank & ledger.kept)
    return pd.Series(np.where(blank | pd.isna(mapped), told, mapped), index=cells.index, dtype="str")


def _clocks_lose(how: Reading, duration: np.ndarray) -> np.ndarray:
    """Return where a duration stands in for the clock times, so that these cannot spoil the row."""
    return ~np.isnan(duration) if how.profile.prefer == "durations" else np.zeros(len(duration), dtype=bool)


def _agree(
    arrived: pd.Series, answered: pd.Series, ended: pd.Series, wait: np.ndarray, handle: np.ndarray,
    is_answered: np.ndarray, ledger: Ledger, how: Reading,
) -> tuple[pd.Series, pd.Series, pd.Series, np.ndarray, np.ndarray]:  # fmt: skip
    """Make times and durations one: what is missing from what is there, and the preferred where both are."""
    left = answered.where(is_answered, ended)
    clock_wait = _between(left, arrived)
    clock_handle = np.where(is_answered, _between(ended, answered), np.nan)
    limit = how.profile.tolerance_s
    # After-contact work follows the end of a contact, so a handle time longer than the clock's is no contradiction.
    apart = clock_handle - handle if how.profile.prefer == "times" else np.abs(clock_handle - handle)
    differs = (np.abs(clock_wait - wait) > limit) | (is_answered & (apart > limit))
    ledger.note("clock_disagrees", differs & ledger.kept, format_seconds(limit))
    if how.profile.prefer == "durations":
        wait, handle = np.where(np.isnan(wait), clock_wait, wait), np.where(np.isnan(handle), clock_handle, handle)
    else:
        wait = np.where(np.isnan(clock_wait), wait, clock_wait)
        handle = np.where(np.isnan(handle), clock_handle, handle)
    moved = _add(arrived, wait)
    answered = (
        moved.where(is_answered) if how.profile.prefer == "durations" else answered.fillna(moved).where(is_answered)
    )
    finish = _add(answered, handle).where(is_answered, moved)
    ended = finish if how.profile.prefer == "durations" else ended.fillna(finish)
    ledger.note("unknown_wait", ledger.kept & ~is_answered & np.isnan(wait))
    return arrived, answered, ended, wait, handle


def _long(handle: np.ndarray, ended: pd.Series, ledger: Ledger, how: Reading) -> tuple[np.ndarray, pd.Series]:
    known = handle[ledger.kept & ~np.isnan(handle)]
    if not len(known):
        return handle, ended
    limit = how.profile.longest_handle_s or LONGEST_HANDLE_S
    if how.profile.longest_handle_s is None and len(known) >= 2000:
        limit = min(limit, max(20 * float(np.quantile(known, 0.999)), 3600.0))
    beyond = ledger.kept & (handle > limit)
    longest = (
        f": above {format_seconds(round(limit))}, the longest {rough_time(handle[beyond].max())}"
        if beyond.any()
        else ""
    )
    ledger.note("long_handle", beyond, longest)
    if "long_handle" in ledger.accept:
        return handle, ended
    return np.where(beyond, np.nan, handle), ended.mask(beyond)


def _extra(column: pd.Series, missing: tuple[str, ...], *, number: bool) -> pd.Series:
    text = text_of(column, missing)
    if number:
        numbers = pd.to_numeric(text, errors="coerce")
        if numbers.notna().equals(text.notna()):
            whole = (numbers.dropna() % 1 == 0).all() and not (numbers.abs() > 2**53).any()
            return numbers.astype("Int64") if whole else numbers.astype(float)
    return text


def _duplicates(cells: pd.DataFrame, ledger: Ledger) -> None:
    kept = cells[ledger.kept]
    again = np.zeros(len(cells), dtype=bool)
    if "source_id" in cells:
        ids = text_of(kept["source_id"])
        again[ledger.kept] = (ids.notna() & ids.duplicated()).to_numpy()
        ledger.set_aside("duplicate_id", again)
    else:
        again[ledger.kept] = kept.duplicated().to_numpy()
        ledger.note("duplicate_row", again)


def _note_kept(frame: pd.DataFrame, ledger: Ledger) -> None:
    """Record what is odd among the rows that were kept."""

    def note(rule: str, mask: pd.Series | np.ndarray, detail: str = "") -> None:
        ledger.note(rule, np.isin(ledger.source_row, frame["source_row"].to_numpy()[np.asarray(mask)]), detail)

    is_answered = frame["outcome"] == "answered"
    note("zero_handle", is_answered & (frame["handle_s"] == 0))
    if frame["agent"].notna().any():
        note("no_agent", is_answered & frame["agent"].isna())
        served = frame[is_answered & frame["agent"].notna() & frame["_end"].notna()]
        served = served.sort_values(["agent", "_start"], kind="stable")
        before = served.groupby("agent", sort=False)["_end"].shift()
        overlap = served["_start"] < before
        share = overlap.sum() / max(len(served), 1)
        note(
            "agent_overlap",
            frame["source_row"].isin(served.loc[overlap, "source_row"]),
            f", {share:.1%} of the services",
        )
        if overlap.any():
            over, detail = over_occupied(served)
            note("over_occupied", frame["source_row"].isin(over), detail)
    if "customer" in frame:
        rows, detail = transfers(frame[is_answered])
        note("transfers_counted", frame["source_row"].isin(rows), detail)
    _units(frame, is_answered.to_numpy(), ledger)


def over_occupied(served: pd.DataFrame) -> tuple[np.ndarray, str]:
    """Return the source rows of the contacts of agents in half hours into which they put more handle time than there is.

    Parameters
    ----------
    served : DataFrame
        Answered contacts with ``agent``, ``_start``, ``_end`` and ``source_row``.
    """
    cell_us = 1_800_000_000
    start, end = (pd.DatetimeIndex(served[c]).as_unit("us").asi8 for c in ("_start", "_end"))
    agent = pd.factorize(served["agent"])[0]
    cells = np.maximum(np.minimum((end - 1) // cell_us, start // cell_us + 48) - start // cell_us + 1, 0)
    row = np.repeat(np.arange(len(served)), cells)
    k = start[row] // cell_us + np.arange(len(row)) - np.repeat(np.cumsum(cells) - cells, cells)
    spent = np.minimum(end[row], (k + 1) * cell_us) - np.maximum(start[row], k * cell_us)
    _, cell = np.unique(np.stack([agent[row], k]), axis=1, return_inverse=True)
    load = np.bincount(cell.reshape(-1), spent)
    # A record rounds to the second.
    over = load > cell_us + 2_000_000
    rows = np.unique(served["source_row"].to_numpy()[row[over[cell.reshape(-1)]]])
    detail = f": {over.sum():,} half hours of an agent, at most {load.max(initial=0) / cell_us:.0%} occupied"
    return rows, detail


def transfers(answered: pd.DataFrame) -> tuple[pd.Series, str]:
    """Return the source rows of contacts that continue an answered one of the same customer at another agent.

    The next contact must begin within ten seconds of the end of the last, and more of them than chance explains: the two
    minutes that follow tell how often a customer just happens to come back.
    """
    known = answered[answered["customer"].notna() & answered["_end"].notna()]
    known = known.sort_values(["customer", "arrived"], kind="stable")
    same = known["customer"] == known["customer"].shift()
    gap = (known["arrived"] - known["_end"].shift()).dt.total_seconds()
    # None of them need be named: a log without agents or groups shows another type.
    moved = np.zeros(len(known), dtype=bool)
    for column in ("agent", "agent_group", "contact_type"):
        moved |= (known[column].fillna("") != known[column].shift().fillna("")).to_numpy()
    follows = same & moved & gap.between(-10, 10)
    later = int((same & moved & gap.between(10, 130, inclusive="right")).sum())
    due = (later + 1) * 20 / 120
    rows = known.loc[follows, "source_row"] if follows.sum() > poisson.isf(1e-6, due) else known["source_row"].iloc[:0]
    share = len(rows) / max(len(answered), 1)
    return rows, f", {share:.1%} of the answered"


def _patience_s(frame: pd.DataFrame) -> float:
    """Return the mean patience that fractional waits tell, infinity where they are too few or whole numbers.

    Waiting time by abandonment estimates it whatever the load, so it tells waits that are short because agents are many
    from waits in minutes.
    """
    waits = frame.loc[frame["wait_s"] > 0, ["wait_s", "outcome"]]
    answered, left = ((waits["outcome"] == o).sum() for o in ("answered", "abandoned"))
    if min(answered, left) < 20 or (waits["wait_s"] % 1 != 0).mean() < 0.5:
        return float("inf")
    return float(waits["wait_s"].sum() / left)


def _units(frame: pd.DataFrame, is_answered: np.ndarray, ledger: Ledger) -> None:
    """Record handle times or waits that are probably no seconds: of the file, or of one type among others."""
    handle = frame.loc[is_answered & (frame["handle_s"] > 0), ["contact_type", "handle_s", "source_row"]]
    wait = frame.loc[frame["wait_s"] > 0, "wait_s"]
    middle = handle["handle_s"].median()
    if len(handle) >= 20 and middle < 10:
        ledger.whole("unit_slip", len(handle), f"median of {len(handle):,} positive handle times is {middle:.3g} s")
        return
    if len(wait) >= 20 and wait.median() < 0.5:
        ledger.whole("unit_slip", len(wait), f"median of {len(wait):,} positive waits is {wait.median():.3g} s")
        return
    if (patience := _patience_s(frame)) < SHORTEST_PATIENCE_S:
        detail = f"mean patience that {len(wait):,} positive waits tell (waits by abandonment) is {patience:.3g} s"
        ledger.whole("unit_slip", len(wait), detail)
        return
    by_type = handle.groupby("contact_type")["handle_s"].agg(["median", "size"])
    slipped = by_type[(by_type["size"] >= 20) & (by_type["median"] < 10) & (by_type["median"] * 20 < middle)]
    if len(slipped):
        rows = handle.loc[handle["contact_type"].isin(slipped.index), "source_row"]
        name, value = slipped.index[0], slipped["median"].iloc[0]
        ledger.note(
            "unit_slip",
            np.isin(ledger.source_row, rows),
            f"median of the handle times of {name!r} is {value:.3g} s, of all {middle:.3g} s",
        )
