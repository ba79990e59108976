"""What a forecast is told of days to come: closed days, events and regressors, and what is wrong with them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bposim.errors import ParameterError

ASKED = ("--tz", "Asia/Manila", "--days", 7, "--samples", 20, "--method", "mean-4", "--json")


def median(said) -> dict[str, float]:
    assert said.code == 0, said.err
    rows = pd.DataFrame(said.json["rows"])
    rows = rows[rows["quantile"] == 0.5].assign(
        day=lambda f: pd.to_datetime(f["day"], utc=True).dt.tz_convert("Asia/Manila")
    )
    return rows.groupby(rows["day"].dt.strftime("%Y-%m-%d"))["contacts"].sum().to_dict()


def test_closed_days_and_events_move_the_forecast(bposim, calls):
    plain = median(bposim("forecast", calls, *ASKED))
    days = list(plain)
    told = median(
        bposim("forecast", calls, *ASKED, "--closed", days[1], "--event", f"letter,{days[0]},lift=100%,uncertainty=0%")
    )
    assert set(plain) - set(told) == {days[1]}
    assert told[days[0]] == pytest.approx(2 * plain[days[0]], rel=0.1)
    assert told[days[2]] == pytest.approx(plain[days[2]], rel=0.1)


def test_regressors_are_read_and_used(bposim, calls, tmp_path):
    days = pd.date_range("2026-02-01", "2026-06-30")
    path = tmp_path / "known.csv"
    pd.DataFrame({"date": days, "bookings": np.arange(len(days)) % 7}).to_csv(path, index=False)
    asked = ("forecast", calls, "--tz", "Asia/Manila", "--days", 7, "--samples", 20, "--regressors", path)
    assert bposim(*asked).code == 0
    # A day of the horizon that the file lacks is refused: it was read and used.
    pd.DataFrame({"date": days, "bookings": np.arange(len(days)) % 7})[:80].to_csv(path, index=False)
    said = bposim(*asked)
    assert said.code == 2 and "2026-04-22" in said.err


def test_events_are_read_as_the_library_takes_them():
    from bposim.cli.inout import read_events
    from bposim.forecast import Event

    read = read_events(
        [
            "letter, 2026-05-04, days=3, shape=delayed, delay=2, contacts=600, contact_types=calls+chat",
            "sale,2026-05-04",
        ]
    )
    assert read == [
        Event("letter", "2026-05-04", days=3, shape="delayed", delay=2, contacts=600, contact_types=("calls", "chat")),
        Event("sale", "2026-05-04"),
    ]


@pytest.mark.parametrize(
    ("option", "says"),
    [
        ("letter", ["'letter'", "start", '"2024-12-01"']),
        ("letter,2026-05-04,lift", ["'lift'", "lift=…", "lift=20%"]),
        ("letter,2026-05-04,days=some", ["days 'some' is no number"]),
        ("letter,2026-05-04,size=3", ["'size=3'", "days=…"]),
        ("letter,2026-05-04,shape=puls", ["Did you mean 'pulse'?"]),
    ],
)
def test_mistakes_in_an_event_are_named(option, says):
    from bposim.cli.inout import read_events

    with pytest.raises(ParameterError) as wrong:
        read_events([option])
    assert all(s in str(wrong.value) for s in says)


def test_a_file_of_regressors_that_cannot_be_used_is_named(tmp_path):
    from bposim.cli.inout import read_days

    path = tmp_path / "known.csv"
    path.write_text("day,bookings\n2026-05-04,3\n")
    with pytest.raises(ParameterError, match=r"has no column 'date'. It has: day, bookings"):
        read_days(path)
    with pytest.raises(ParameterError, match="is no file"):
        read_days(tmp_path / "none.csv")
