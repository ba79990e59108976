"""Laws: whatever a file holds, its rows in are its rows kept and its rows set aside."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
from history_files import ZONE, clean_contacts, clean_intervals, durations
from hypothesis import given, settings
from hypothesis import strategies as st

from bposim.errors import DataQualityWarning, HistoryError
from bposim.history import RULES, History

JUNK = (
    "", "-", "x", "-5", "0", "1e9", "99999", "2026-03-29 02:30:00", "2026-10-25 02:30:00", "2026-03-02 08:00:00",
    "1999-01-01 00:00:00", "2026-03-02T08:00:00Z", "abandoned", "answered", "blocked", "Total", "00:03:20",
)  # fmt: skip
LOG = clean_contacts(days=2).head(40)
BOTH = LOG.join(durations(LOG)[["wait_s", "handle_s"]]).assign(call_id=[str(k) for k in range(40)])
REPORT = clean_intervals().head(40)


def spoiled(frame: pd.DataFrame) -> st.SearchStrategy[pd.DataFrame]:
    """Return the frame with up to twelve cells replaced by junk."""
    cell = st.tuples(st.integers(0, len(frame) - 1), st.integers(0, frame.shape[1] - 1), st.sampled_from(JUNK))

    def spoil(cells: list[tuple[int, int, str]]) -> pd.DataFrame:
        values = frame.to_numpy(dtype=object, copy=True)
        for row, column, junk in cells:
            values[row, column] = junk
        return pd.DataFrame(values, columns=frame.columns, dtype="str")

    return st.lists(cell, max_size=12).map(spoil)


def read(frame: pd.DataFrame, profile: str) -> History | None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        try:
            return History.from_contacts(frame, tz=ZONE, profile=profile, interval="30min")
        except HistoryError as refusal:
            assert "grid" in str(refusal), refusal
            return None


def conserved(history: History, frame: pd.DataFrame, kept: pd.DataFrame) -> None:
    report = history.quality
    assert report.rows_read == len(frame) == report.kept + report.set_aside
    assert sorted([*kept["source_row"], *history.rejected["source_row"]]) == list(range(1, len(frame) + 1))
    assert (len(kept), len(history.rejected)) == (report.kept, report.set_aside)
    aside = {r: set(report.rows_of(r)) for r in RULES if RULES[r].done == "set aside"}
    for rule, rows in history.rejected.groupby("rule")["source_row"]:
        assert set(rows) == aside.pop(str(rule))
    assert not any(aside.values())
    assert report.frame["rule"].is_unique


@settings(max_examples=40, deadline=None, derandomize=True)
@given(spoiled(BOTH))
def test_rows_of_a_log_are_kept_or_set_aside(frame: pd.DataFrame):
    before = frame.copy(deep=True)
    history = read(frame, "contacts")
    assert history is not None
    contacts = history.contacts
    conserved(history, frame, contacts)
    pd.testing.assert_frame_equal(frame, before)
    answered = contacts["outcome"] == "answered"
    assert (contacts["wait_s"].dropna() >= 0).all() and (contacts["handle_s"].dropna() >= 0).all()
    assert contacts.loc[answered, ["answered", "wait_s"]].notna().all(axis=None)
    assert contacts.loc[~answered, ["answered", "handle_s"]].isna().all(axis=None)
    assert (contacts["ended"].isna() | (contacts["ended"] >= contacts["arrived"])).all()
    apart = (contacts["answered"] - contacts["arrived"]).dt.total_seconds() - contacts["wait_s"]
    assert np.allclose(apart.dropna(), 0)
    assert history.volumes(hours="all")["contacts"].sum() == history.intervals["offered"].sum() == len(contacts)
    assert history.daily()["contacts"].sum() == len(contacts)


@settings(max_examples=40, deadline=None, derandomize=True)
@given(spoiled(REPORT))
def test_rows_of_a_report_are_kept_or_set_aside(frame: pd.DataFrame):
    history = read(frame, "intervals")
    if history is None:
        return
    table = history.intervals
    conserved(history, frame, table)
    assert not table.duplicated(["interval_start", "contact_type"]).any()
    assert (table["answered_within_s20"].isna() | ~(table["answered_within_s20"] > table["answered"])).all()


@settings(max_examples=25, deadline=None, derandomize=True)
@given(st.integers(0, 13), st.integers(1, 14), st.sampled_from(["5min", "30min", "1h", "1d"]))
def test_a_history_cut_in_stretches_adds_up(first: int, length: int, interval: str):
    history = History.from_contacts(clean_contacts(days=14), tz=ZONE)
    cut = pd.Timestamp("2026-03-02") + pd.Timedelta(days=first)
    total = 0
    second = cut + pd.Timedelta(days=length)
    for low, high in (("2026-03-01", cut), (cut, second), (second, "2027-01-01")):
        if pd.Timestamp(high) > pd.Timestamp(low):
            try:
                total += history.between(low, high).volumes(interval)["contacts"].sum()
            except HistoryError as empty:
                assert "leaves no rows" in str(empty)
    assert total == history.volumes(interval)["contacts"].sum() == 600
