"""A dirty file for every rule: the file, how it is read, and what the rule must find in it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
from history_files import clean_contacts, clean_intervals, durations

from bposim.history import PROFILES

FORM = "%Y-%m-%d %H:%M:%S"
LOG, TIMES, REPORT = clean_contacts(), durations(clean_contacts()), clean_intervals()
BARE = TIMES.drop(columns="outcome")
WITH_ASA = REPORT.assign(
    asa_s=(REPORT["wait_answered_sum_s"].astype(float) / REPORT["answered"].astype(float)).round(1).astype(str)
)


@dataclass(frozen=True)
class Dirty:
    """A file with one fault.

    Attributes
    ----------
    make : callable
        Returns the file's cells.
    rows : list of int, or None
        The data rows that the finding names; None where it is about the whole.
    count : int
        What it counts, if not these rows.
    read : dict
        Arguments of ``read_history()``.
    write : dict
        Arguments of ``to_csv()``.
    """

    make: Callable[[], pd.DataFrame]
    rows: list[int] | None
    count: int = -1
    read: dict[str, Any] = field(default_factory=lambda: {"profile": "contacts"})
    write: dict[str, Any] = field(default_factory=dict)

    @property
    def n(self) -> int:
        return self.count if self.count >= 0 else len(self.rows or ())


def put(frame: pd.DataFrame, column: str, values: dict[int, Any]) -> pd.DataFrame:
    """Return the frame with some cells of a column replaced, by 1-based data row."""
    cells = frame[column].astype(object)
    for row, value in values.items():
        cells.iloc[row - 1] = value
    return frame.assign(**{column: cells})


def insert(frame: pd.DataFrame, *times: str) -> pd.DataFrame:
    """Return the log with answered contacts of 60 s added at its end, at local wall-clock times."""
    rows = frame.iloc[[0] * len(times)].assign(
        arrived=list(times),
        answered=[str(pd.Timestamp(t) + pd.Timedelta(seconds=5)) for t in times],
        ended=[str(pd.Timestamp(t) + pd.Timedelta(seconds=65)) for t in times],
        agent=[f"B{k}" for k in range(len(times))],
    )
    return pd.concat([frame, rows], ignore_index=True)


def moved(frame: pd.DataFrame, hours: int) -> pd.DataFrame:
    """Return the log with all its times moved by whole hours."""
    new = {
        c: (pd.to_datetime(frame[c], errors="coerce") + pd.Timedelta(hours=hours)).dt.strftime(FORM).fillna("")
        for c in ("arrived", "answered", "ended")
        if c in frame
    }
    return frame.assign(**new)


@cache
def steady(
    days: int = 98, per_day: float = 400.0, around_the_clock: bool = False, handle_s: float = 200.0
) -> pd.DataFrame:
    """Return a random log of three queues from Monday 12 January 2026 on, weekdays 08:00 to 18:00 unless told otherwise."""
    rng = np.random.default_rng(11)
    half_hours = range(48) if around_the_clock else range(16, 36)
    shape = np.array([1 + 0.6 * np.sin((h - 14) / 48 * 4 * np.pi) for h in half_hours])
    stamps = []
    for day in pd.date_range("2026-01-12", periods=days):
        if around_the_clock or day.day_of_week < 5:
            counts = rng.poisson(per_day * shape / shape.sum())
            minute = np.repeat(list(half_hours), counts) * 30.0 + rng.uniform(0, 30, counts.sum())
            stamps.append(day + pd.to_timedelta(np.sort(minute * 60).round(), unit="s"))
    arrived = pd.Series(np.concatenate([s.to_numpy() for s in stamps]))
    n = len(arrived)
    left = rng.random(n) < 0.1
    handle = rng.gamma(4, handle_s / 4, n).round() + 5
    return pd.DataFrame({
        "arrived": arrived.dt.strftime(FORM), "contact_type": rng.choice(["a", "b", "c"], n, p=[0.5, 0.3, 0.2]),
        "outcome": np.where(left, "abandoned", "answered"), "wait_s": rng.exponential(20, n).round() + 1,
        "handle_s": np.where(left, np.nan, handle), "customer": rng.permutation(n),
    })  # fmt: skip


def on(frame: pd.DataFrame, first: str, last: str | None = None, hours: tuple[int, int] = (0, 24)) -> np.ndarray:
    """Return which contacts arrived on the days, between the hours."""
    time = pd.to_datetime(frame["arrived"])
    day = time.dt.normalize()
    inside = (day >= first) & (day <= (last or first)) & (time.dt.hour >= hours[0]) & (time.dt.hour < hours[1])
    return inside.to_numpy()


def thinned(frame: pd.DataFrame, where: np.ndarray, share: float) -> pd.DataFrame:
    """Return the log with a share of the contacts of ``where`` left."""
    gone = where & (np.random.default_rng(5).random(len(frame)) > share)
    return frame[~gone].reset_index(drop=True)


def rows_on(make: Callable[[], pd.DataFrame], *days: str) -> list[int]:
    """Return the 1-based rows of a made log that arrived from the first day to the last."""
    return (np.flatnonzero(on(make(), days[0], days[-1])) + 1).tolist()


def outage() -> pd.DataFrame:
    return thinned(steady(), on(steady(), "2026-02-11", hours=(11, 14)), 0.0)


def holiday() -> pd.DataFrame:
    return thinned(steady(), on(steady(), "2026-04-06"), 0.3)


def outlier() -> pd.DataFrame:
    return thinned(steady(), on(steady(), "2026-02-11"), 0.3)


def truncated() -> pd.DataFrame:
    return thinned(steady(), on(steady(), "2026-04-17", hours=(12, 24)), 0.0)


def censored() -> pd.DataFrame:
    """Return a log around the clock that was exported at midnight: who was on the line then is not in it."""
    log = steady(5, 5000.0, True, 400.0)
    ended = pd.to_datetime(log["arrived"]) + pd.to_timedelta(log["wait_s"] + log["handle_s"].fillna(0), unit="s")
    return log[ended < "2026-01-17"].reset_index(drop=True)


def censored_rows() -> list[int]:
    """Return the rows that arrived within two of the 90 % quantiles of the stay before the last arrival."""
    log = censored()
    stay = log["wait_s"] + log["handle_s"].fillna(0)
    arrived = pd.to_datetime(log["arrived"])
    late = arrived > arrived.max() - 2 * pd.Timedelta(seconds=float(np.quantile(stay[stay > 0], 0.9)))
    return (np.flatnonzero(late) + 1).tolist()


def zone_shifted() -> pd.DataFrame:
    log = steady()
    late = on(log, "2026-03-16", "2026-12-31")
    return pd.concat([log[~late], moved(log[late], -1)], ignore_index=True)


def unit_shifted() -> pd.DataFrame:
    log = steady()
    hit = on(log, "2026-03-02", "2026-03-06") & (log["contact_type"] == "b").to_numpy()
    return log.assign(handle_s=np.where(hit, log["handle_s"] / 60, log["handle_s"]))


def unit_shifted_rows() -> list[int]:
    log = unit_shifted()
    hit = on(log, "2026-03-02", "2026-03-06") & (log["contact_type"] == "b") & log["handle_s"].notna()
    return (np.flatnonzero(hit) + 1).tolist()


def mapped_anew() -> pd.DataFrame:
    log = steady()
    late = on(log, "2026-03-02", "2026-12-31") & (log["contact_type"] == "a").to_numpy()
    return log.assign(contact_type=np.where(late & (log.index % 2 == 0), "b", log["contact_type"]))


def repeated() -> pd.DataFrame:
    log = steady()
    copy = moved(log[on(log, "2026-02-11")], 24)
    return pd.concat([log[~on(log, "2026-02-12")], copy], ignore_index=True)


def repeated_rows() -> list[int]:
    n, m = len(repeated()), int(on(steady(), "2026-02-11").sum())
    return list(range(n - m + 1, n + 1))


def passed_on() -> pd.DataFrame:
    """Return a log in which twelve answered contacts are answered again by another queue, three seconds after their end."""
    log = steady()
    first = log[(log["outcome"] == "answered") & (log["contact_type"] == "a")].iloc[100:1300:100]
    again = pd.to_datetime(first["arrived"]) + pd.to_timedelta(first["wait_s"] + first["handle_s"] + 3, unit="s")
    return pd.concat([log, first.assign(arrived=again.dt.strftime(FORM), contact_type="b")], ignore_index=True)


def with_total() -> pd.DataFrame:
    sums = REPORT.set_index(["interval_start", "contact_type"]).astype(float).groupby(level=0).sum().reset_index()
    return pd.concat([REPORT, sums.assign(contact_type="everything")], ignore_index=True)


def lagging() -> pd.DataFrame:
    """Return a report in which one contact of the first day, of each type, is booked an interval later."""
    changes = {1: "8", 2: "8", 3: "11", 4: "11"}
    return put(REPORT, "answered", changes).assign(answered_within_s20="5")


def at_the_change(day: str) -> pd.DataFrame:
    """Return a log around the clock over a change of the clock, one contact every ten minutes of the wall clock."""
    stamps = pd.date_range(pd.Timestamp(day) - pd.Timedelta(days=14), periods=21 * 144, freq="10min")
    jitter = np.where(
        np.arange(len(stamps)) < 144, 0, (np.arange(len(stamps)) // 144 * 37 + 11 * np.arange(len(stamps))) % 120
    )
    return pd.DataFrame({
        "arrived": (stamps + pd.to_timedelta(jitter, unit="s")).strftime(FORM), "contact_type": "sales",
        "outcome": "answered", "wait_s": 10, "handle_s": 60 + np.arange(len(stamps)) % 7,
    })  # fmt: skip


def past_midnight() -> pd.DataFrame:
    """Return a log around the clock in which one contact's answer and end carry the date of its arrival, the day before."""
    log = at_the_change("2026-02-15")
    arrived = pd.to_datetime(put(log, "arrived", {144: "2026-02-01 23:59:58"})["arrived"])
    answered = arrived + pd.Timedelta(seconds=10)
    ended = answered + pd.to_timedelta(log["handle_s"], unit="s")
    late = [t.mask(t.index == 143, t - pd.Timedelta(days=1)).dt.strftime(FORM) for t in (answered, ended)]
    return log[["contact_type", "outcome"]].assign(arrived=arrived.dt.strftime(FORM), answered=late[0], ended=late[1])


def hour_of(frame: pd.DataFrame, hour: str) -> list[int]:
    return (np.flatnonzero(frame["arrived"].str.startswith(hour)) + 1).tolist()


def skipped_zeros() -> pd.DataFrame:
    """Return a report of a Sunday on which the clock goes forward, with a row of zeros for each skipped half hour."""
    start = pd.date_range("2026-03-29", periods=40, freq="30min")
    count = np.where(start.hour == 2, 0, 5 + np.arange(40))
    cells = {
        "interval_start": start.strftime("%Y-%m-%d %H:%M"),
        "contact_type": "sales",
        "offered": count,
        "answered": count,
    }
    return pd.DataFrame(cells | {"abandoned": 0, "handle_sum_s": 190.0 * count}).astype(str)


SPRING, AUTUMN = at_the_change("2026-03-29"), at_the_change("2025-10-26")
CONTACTS, INTERVALS = {"profile": "contacts"}, {"profile": "intervals"}
TEN = REPORT.assign(staffed_s="1900")
#: Rule → its dirty file.
DIRTY: dict[str, Dirty] = {
    "unparseable_time": Dirty(lambda: put(LOG, "arrived", {3: "soon", 8: ""}), [3, 8]),
    "dst_gap": Dirty(lambda: SPRING, hour_of(SPRING, "2026-03-29 02")),
    "dst_gap_empty": Dirty(skipped_zeros, [5, 6], read=INTERVALS),
    "unparseable_number": Dirty(lambda: put(TIMES, "wait_s", {4: "long"}), [4]),
    "missing_type": Dirty(lambda: put(LOG, "contact_type", {5: ""}), [5]),
    "unknown_outcome": Dirty(lambda: put(LOG, "outcome", {6: "vanished"}), [6]),
    "answered_without_time": Dirty(lambda: put(TIMES, "wait_s", {7: ""}), [7]),
    "negative_wait": Dirty(lambda: put(TIMES, "wait_s", {7: "-3"}), [7]),
    "negative_handle": Dirty(lambda: put(TIMES, "handle_s", {7: "-3"}), [7]),
    "answered_before_arrived": Dirty(lambda: put(LOG, "answered", {2: "2026-03-02 08:09:00"}), [2]),
    "ended_before_answered": Dirty(lambda: put(LOG, "ended", {1: "2026-03-02 08:00:04"}), [1]),
    "ended_before_arrived": Dirty(lambda: put(LOG, "ended", {10: "2026-03-02 09:00:00"}), [10]),
    "duplicate_id": Dirty(lambda: LOG.assign(call_id=[str(max(k, 1)) for k in range(len(LOG))]), [2]),
    "phantom": Dirty(lambda: put(LOG, "outcome", {3: "phantom"}), [3],
                     read={"profile": PROFILES["contacts"].replace(set_aside={"phantom": "phantom"})}),
    "left_in_menu": Dirty(lambda: put(LOG, "outcome", {3: "vru_hang"}), [3],
                          read={"profile": PROFILES["contacts"].replace(set_aside={"vru_hang": "left_in_menu"})}),
    "negative_menu": Dirty(lambda: LOG.assign(vru_s=["-4"] + ["0"] * 899), [1]),
    "midnight": Dirty(past_midnight, [144], read={"profile": PROFILES["contacts"].replace(midnight=True)}),
    "long_handle": Dirty(lambda: put(TIMES.drop(columns="agent"), "handle_s", {2: "36291"}), [2]),
    "handle_of_unanswered": Dirty(lambda: put(TIMES, "handle_s", {10: "12"}), [10]),
    "dst_fold": Dirty(lambda: AUTUMN, hour_of(AUTUMN, "2025-10-26 02")),
    "zero_handle": Dirty(lambda: put(TIMES, "handle_s", {2: "0", 4: "0", 6: "0", 8: "0"}), [2, 4, 6, 8]),
    "no_agent": Dirty(lambda: put(LOG, "agent", {4: ""}), [4]),
    "agent_overlap": Dirty(lambda: put(LOG, "ended", {1: "2026-03-02 08:20:10"}), [3]),
    "duplicate_row": Dirty(lambda: pd.concat([LOG, LOG.iloc[[9]]]), [901]),
    "outcome_assumed": Dirty(lambda: put(put(BARE, "handle_s", {2: "0"}), "agent", {2: ""}), [2]),
    "unknown_wait": Dirty(lambda: put(LOG, "ended", {10: ""}), [10]),
    "clock_disagrees": Dirty(lambda: put(LOG.assign(wait_s=TIMES["wait_s"]), "wait_s", {3: "95"}), [3]),
    "outside_hours": Dirty(lambda: insert(LOG, "2026-03-03 21:00:00", "2026-03-08 12:00:00"), [901, 902]),
    "missing_days": Dirty(lambda: LOG[~LOG["arrived"].str.startswith("2026-03-11")], None, 1),
    "unit_slip": Dirty(lambda: TIMES.assign(handle_s=[v and str(int(v) / 60) for v in TIMES["handle_s"]]), None, 810),
    "zone_slip": Dirty(lambda: moved(LOG, 11), None, 900),
    "encoding": Dirty(lambda: LOG.assign(contact_type="Kündigung"), None, 900, write={"encoding": "cp1252"}),
    "outcome_from_flag": Dirty(lambda: BARE.assign(abandoned=(TIMES["outcome"] == "abandoned").astype(int)), None, 900),
    "unused_columns": Dirty(lambda: LOG.assign(colour="red", note="n"), None, 2),
    "totals_row": Dirty(lambda: put(REPORT, "contact_type", {400: "Total"}), [400], read=INTERVALS),
    "duplicate_interval": Dirty(lambda: pd.concat([REPORT, REPORT.iloc[[4]]]), [401], read=INTERVALS),
    "negative_count": Dirty(lambda: put(REPORT, "abandoned", {2: "-1"}), [2], read=INTERVALS),
    "negative_aht": Dirty(lambda: put(REPORT, "handle_sum_s", {2: "-1"}), [2], read=INTERVALS),
    "within_exceeds_total": Dirty(lambda: put(REPORT, "answered_within_s20", {5: "99"}), [5], read=INTERVALS),
    "told_twice": Dirty(lambda: put(WITH_ASA, "asa_s", {5: "77.0"}), [5], read=INTERVALS),
    "count_mismatch": Dirty(lambda: put(REPORT, "offered", {5: "99"}), [5], read=INTERVALS),
    "missing_intervals": Dirty(lambda: REPORT.drop(index=[10, 11]), None, 1, read=INTERVALS),
    "missing_count": Dirty(lambda: put(REPORT, "offered", {5: ""}), [5], read=INTERVALS),
    "fractional_counts": Dirty(lambda: put(put(REPORT, "offered", {5: "12.5"}), "answered", {5: "11.5"}), [5], read=INTERVALS),
    "totals_queue": Dirty(with_total, list(range(401, 601)), read=INTERVALS),
    "booking_lag": Dirty(lagging, [1, 2, 3, 4], read=INTERVALS),
    "zero_aht": Dirty(lambda: put(REPORT, "handle_sum_s", {2: "0"}), [2], read=INTERVALS),
    "extreme_aht": Dirty(lambda: put(REPORT, "handle_sum_s", {2: "95000"}), [2], read=INTERVALS),
    "over_occupied": Dirty(lambda: put(TEN, "handle_sum_s", {5: "6000"}), [5], read=INTERVALS),
    "transfers_counted": Dirty(passed_on, list(range(len(steady()) + 1, len(steady()) + 13))),
    "outage_day": Dirty(outage, rows_on(outage, "2026-02-11"), 1),
    "holiday_day": Dirty(holiday, rows_on(holiday, "2026-04-06"), 1),
    "outlier_day": Dirty(outlier, rows_on(outlier, "2026-02-11"), 1),
    "truncated_day": Dirty(truncated, rows_on(truncated, "2026-04-17"), 1),
    "censored_edge": Dirty(censored, censored_rows()),
    "zone_shift": Dirty(zone_shifted, rows_on(zone_shifted, "2026-03-16", "2026-12-31"), 25),
    "unit_shift": Dirty(unit_shifted, unit_shifted_rows()),
    "level_shift": Dirty(mapped_anew, None, 2),
    "repeated_day": Dirty(repeated, repeated_rows(), 1),
}  # fmt: skip
#: Faults that leave nothing to be read: rule → file, arguments, what the message says, arguments that help.
RAISED: dict[str, tuple[pd.DataFrame, dict[str, Any], str, dict[str, Any]]] = {
    "missing_column": (LOG.rename(columns={"arrived": "came"}), CONTACTS, "no column for 'arrived'", {"columns": {"arrived": "came"}}),
    "empty_file": (LOG.head(0), CONTACTS, "no data rows", {}),
    "zone_missing": (LOG, CONTACTS | {"tz": None}, "no time zone was given", {"tz": "Asia/Manila"}),
}  # fmt: skip
#: Further dirty files: another kind of source, or another shape of the same fault.
ALSO: dict[str, tuple[str, Dirty]] = {
    "a report with no time": ("unparseable_time", Dirty(lambda: put(REPORT, "interval_start", {3: "noon"}), [3], read=INTERVALS)),
    "a total in the place of the time": ("totals_row", Dirty(lambda: put(REPORT, "interval_start", {400: "Total"}), [400],
                                                             read=INTERVALS)),
    "a report with no number": ("unparseable_number", Dirty(lambda: put(REPORT, "offered", {3: "many"}), [3], read=INTERVALS)),
    "a report with no type": ("missing_type", Dirty(lambda: put(REPORT, "contact_type", {3: ""}), [3], read=INTERVALS)),
    "a report with a missing day": ("missing_days", Dirty(lambda: REPORT[~REPORT["interval_start"].str.startswith("2026-03-04")],
                                                          None, 1, read=INTERVALS)),
    "transfers of a report": ("transfers_counted", Dirty(lambda: put(REPORT.assign(transfers="0"), "transfers", {4: "2"}), [4],
                                                         read=INTERVALS)),
    "a queue in minutes": ("unit_slip", Dirty(
        lambda: steady().assign(handle_s=steady()["handle_s"] / np.where(steady()["contact_type"] == "b", 60, 1)),
        (np.flatnonzero((steady()["contact_type"] == "b") & steady()["handle_s"].notna()) + 1).tolist())),
}  # fmt: skip
