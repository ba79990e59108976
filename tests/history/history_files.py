"""A clean contact log and a clean interval report, in which no rule is broken."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

ZONE = "Europe/Berlin"
SHARED = Path(__file__).parents[2].parent / "shared" / "data"


def clean_contacts(first: str = "2026-03-02", days: int = 21) -> pd.DataFrame:
    """Return 60 contacts per weekday, one every ten minutes from 08:00, as text, as a file would have them.

    From the second day on they come up to two minutes later, so that no day repeats another.
    """
    stamps = [
        day + pd.Timedelta(minutes=480 + 10 * k)
        for day in pd.date_range(first, periods=days)
        if day.day_of_week < 5
        for k in range(60)
    ]
    n = np.arange(len(stamps))
    arrived = pd.Series(stamps) + pd.to_timedelta(np.where(n < 60, 0, (n // 60 * 37 + n % 60 * 11) % 120), unit="s")
    abandoned = n % 10 == 9
    wait = np.where(n % 2, 25, 5)
    left = arrived + pd.to_timedelta(wait, unit="s")
    ended = left + pd.to_timedelta(np.where(abandoned, 0, 180 + n % 7), unit="s")
    form = "%Y-%m-%d %H:%M:%S"
    return pd.DataFrame({
        "arrived": arrived.dt.strftime(form),
        "contact_type": np.where(n % 3 == 0, "billing", "sales"),
        "answered": np.where(abandoned, "", left.dt.strftime(form)),
        "ended": ended.dt.strftime(form),
        "agent": np.where(abandoned, "", np.where(n % 2, "A01", "A02")),
        "outcome": np.where(abandoned, "abandoned", "answered"),
    })  # fmt: skip


def durations(log: pd.DataFrame) -> pd.DataFrame:
    """Return the clean log with durations instead of clock times."""
    times = {c: pd.to_datetime(log[c], errors="coerce") for c in ("arrived", "answered", "ended")}
    left = times["answered"].fillna(times["ended"])
    handle = (times["ended"] - times["answered"]).dt.total_seconds()
    return log.drop(columns=["answered", "ended"]).assign(
        wait_s=(left - times["arrived"]).dt.total_seconds().astype(int).astype(str),
        handle_s=handle.map(lambda v: "" if pd.isna(v) else str(int(v))),
    )


def clean_intervals() -> pd.DataFrame:
    """Return a half-hourly report of ten weekdays, 08:00 to 18:00, two contact types; no day repeats another."""
    weekdays = [day for day in pd.date_range("2026-03-02", periods=14) if day.day_of_week < 5]
    # Two intervals of each day but the first have changed places.
    places = [{2 * j - 2: 2 * j - 1, 2 * j - 1: 2 * j - 2} if j else {} for j in range(len(weekdays))]
    rows = [
        (f"{day.date()} {8 + s // 2:02d}:{s % 2 * 30:02d}", kind, 10 + k, 9 + k, 1, 7 + k, 1800.0 + k, 190.0 * k)
        for day, place in zip(weekdays, places, strict=True)
        for s in range(20)
        for k in (place.get(s, s),)
        for kind in ("billing", "sales")
    ]
    names = ["interval_start", "contact_type", "offered", "answered", "abandoned", "answered_within_s20",
             "handle_sum_s", "wait_answered_sum_s"]  # fmt: skip
    return pd.DataFrame(rows, columns=names).astype(str)
