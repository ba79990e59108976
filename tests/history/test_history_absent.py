"""What a report lacks: nobody came, or it is not known; and what it tells twice."""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest
from history_files import clean_intervals

from bposim.errors import DataQualityWarning
from bposim.history import read_history

ZONE = "Europe/Berlin"


def read(path, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DataQualityWarning)
        return read_history(path, profile="intervals", tz=ZONE, **options)


def report(**cells) -> pd.DataFrame:
    """Return two hours of two types; ``b`` lacks the second half hour."""
    rows = [("08:00", "a", 4), ("08:00", "b", 3), ("08:30", "a", 5), ("09:00", "a", 6), ("09:00", "b", 2), ("09:30", "a", 7),
            ("09:30", "b", 1)]  # fmt: skip
    frame = pd.DataFrame(rows, columns=["time", "contact_type", "offered"]).astype(str)
    for row, value in cells.items():
        frame.loc[int(row[1:]), "offered"] = value
    frame.insert(0, "interval_start", "2026-03-02 " + frame.pop("time"))
    return frame


def volumes(history, kind: str = "b", interval=None) -> dict[str, int]:
    found = history.volumes(interval, types=kind)
    return dict(zip(found["interval_start"].dt.strftime("%H:%M"), found["contacts"].tolist(), strict=True))


def offered(history, kind: str = "b") -> dict[str, float]:
    """Return the same as the metrics see it, what is not known left out."""
    counts = history.counts()
    values = counts.contacts["offered"][0][:, counts.types.index(kind)]
    return {t: v for t, v in zip(counts.starts.strftime("%H:%M"), values, strict=True) if not np.isnan(v)}


def test_a_lacking_row_means_nobody_where_the_report_writes_no_zeros(save):
    history = read(save(report()))
    assert volumes(history) == {"08:00": 3, "08:30": 0, "09:00": 2, "09:30": 1} == offered(history)
    assert volumes(history, interval="1h") == {"08:00": 3, "09:00": 3}


def test_a_lacking_row_is_not_known_where_the_report_writes_zeros(save):
    history = read(save(report(r6="0")))
    assert volumes(history) == {"08:00": 3, "09:00": 2, "09:30": 0} == offered(history)
    assert volumes(history, interval="1h") == {"09:00": 2}
    assert volumes(history, "a", "1h") == {"08:00": 9, "09:00": 13}


def test_whether_a_report_writes_zeros_is_told_from_the_whole_of_it(save):
    early = read(save(report(r6="0"))).between("2026-03-02 08:00", "2026-03-02 09:00")
    assert volumes(early) == {"08:00": 3} == offered(early)


def test_types_that_are_left_out_tell_of_zeros_too(save):
    more = report().iloc[:2].assign(contact_type="c", offered=["0", "1"])
    path = save(pd.concat([report(), more]))
    whole, part = read(path), read(path, types=["a", "b"])
    assert volumes(whole) == volumes(part) == {"08:00": 3, "09:00": 2, "09:30": 1} == offered(part)
    totals = report().iloc[:2].assign(contact_type="Total", offered=["0", "1"])
    assert volumes(read(save(pd.concat([report(), totals])), types=["a", "b"]))["08:30"] == 0


@pytest.mark.parametrize("zeros", [False, True])
def test_the_cell_of_a_row_that_was_set_aside_is_not_known(save, zeros):
    history = read(save(report(r4="-2", **({"r6": "0"} if zeros else {}))))
    known = {"08:00": 3, "09:30": 0} if zeros else {"08:00": 3, "08:30": 0, "09:30": 1}
    assert history.rejected["rule"].tolist() == ["negative_count"]
    assert volumes(history) == known == offered(history)
    assert volumes(history, interval="1h") == ({} if zeros else {"08:00": 3})
    assert volumes(history.drop_invalid()) == known
    later = history.between("2026-03-02 09:00", "2026-03-02 10:00")
    assert volumes(later) == {"09:30": known["09:30"]} == offered(later)


def test_a_row_that_is_left_out_on_request_is_not_known(save):
    frame = report().assign(answered=["4", "3", "5", "6", "2", "7", "1"], abandoned="0")
    frame.loc[4, "answered"] = "1"
    history = read(save(frame)).drop_invalid("count_mismatch")
    assert volumes(history) == {"08:00": 3, "08:30": 0, "09:30": 1} == offered(history)


def twice(history) -> str:
    found = history.check().frame.set_index("rule")
    return str(found.loc["told_twice", "message"]) if "told_twice" in found.index else ""


def test_two_columns_for_one_count_are_compared(save):
    frame = clean_intervals()
    assert not twice(read(save(frame.assign(handled=frame["answered"]))))
    other = frame.assign(handled=frame["answered"].where(frame.index != 6, "3"))
    history = read(save(other))
    assert "'answered' by 'answered', which is used, against the column 'handled' in 1 (row 7)." in twice(history)
    first = read(save(other[["handled", *frame.columns]]))
    assert "'answered' by 'answered', which is used, against the column 'handled'" in twice(first)
    assert history.check().count("unused_columns") == 0
    assert history.intervals["answered"].sum() == frame["answered"].astype(int).sum()


def test_a_mean_is_compared_with_its_sum_to_its_rounding(save):
    frame = clean_intervals()
    mean = frame["handle_sum_s"].astype(float) / frame["answered"].astype(float)
    for told in (mean.round(0).astype(int), np.floor(mean).astype(int), mean.round(2)):
        assert not twice(read(save(frame.assign(aht_s=told))))
    off = np.floor(mean).astype(int).where(frame.index != 2, 3)
    assert "'Talk' (aht_s) × 'answered' against 'handle_sum_s' in 1" in twice(
        read(save(frame.assign(Talk=off)), columns={"aht_s": "Talk"})
    )
    assert "'aht_s' × 'answered' against 'handle_sum_s' in 1 (row 3)." in twice(read(save(frame.assign(aht_s=off))))
