"""Files of another kind, files whose columns nobody knows, and what a caller forgot: one message with the way out."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pandas as pd
import pytest

from bposim.errors import HistoryError, ParameterError
from bposim.history import History, guess_profile, read_history


def packed(*names: str) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w") as book:
        for name in names:
            book.writestr(name, "<x/>")
    return data.getvalue()


@pytest.mark.parametrize(
    ("name", "data", "seems"),
    [
        ("r.xlsx", b"interval_start,offered\n2026-03-02 09:00,5\n", "no Excel workbook although it is named .xlsx"),
        ("r.csv", b"%PDF-1.7\n1 0 obj\n", "a PDF"),
        ("r.docx", packed("[Content_Types].xml", "word/document.xml"), "a Word document"),
        ("r.xlsx", packed("a.txt"), "a zip archive"),
        ("r.py", b"import os\nprint(os.name)\n", "a .py file"),
        ("r.csv", b'{"a": [1, 2],\n "b": 3}\n', "a JSON file"),
    ],
)
def test_a_file_of_another_kind_is_named(name: str, data: bytes, seems: str, tmp_path: Path):
    path = tmp_path / name
    path.write_bytes(data)
    for read in (guess_profile, lambda p: read_history(p, profile="contacts", tz="Asia/Manila")):
        with pytest.raises(HistoryError) as raised:
            read(path)
        assert len(raised.value.problems) == 1
        assert f"{name} seems to be {seems}" in str(raised.value) and "Export the table as CSV" in str(raised.value)


STRANGE = pd.DataFrame({
    "Arrival Tm": ["2026-03-02 09:00:00", "2026-03-02 09:05:00"], "Waited (s)": [5, 7], "Handle Secs": [200, 240],
    "Agent Nm": ["A", "B"], "Colour": ["red", "blue"],
})  # fmt: skip


def test_no_profile_fits_prints_our_columns_and_likely_ones(tmp_path: Path):
    path = tmp_path / "strange.csv"
    STRANGE.to_csv(path, index=False)
    guess = guess_profile(path)
    assert guess.profile is None and not guess.tied
    assert 'columns={"arrived": "Arrival Tm", ' in str(guess) and '"handle_s": "Handle Secs"' in str(guess)
    assert "Our columns of profile 'contacts': arrived, " in str(guess) and "Colour" not in guess.likely.values()


def test_a_forgotten_profile_is_told_with_the_call(tmp_path: Path):
    path = tmp_path / "log.csv"
    pd.DataFrame({"arrived": ["2026-03-02 09:00:00"], "wait_s": [5], "handle_s": [60], "outcome": ["answered"]}).to_csv(
        path, index=False
    )
    with pytest.raises(HistoryError, match=r'read_history\(.*profile="contacts", tz="Area/City"'):
        read_history(path)
    with pytest.raises(ParameterError, match=r"columns .* a mapping of our column"):
        read_history(path, profile="contacts", tz="Asia/Manila", columns=["a"])


def test_a_guess_lists_the_columns_in_the_order_of_the_file(tmp_path: Path):
    names = ["outcome", "wait_s", "arrived", "agent", "handle_s", "contact_type", "customer", "priority"]
    path = tmp_path / "log.csv"
    pd.DataFrame([["answered", 5, "2026-03-02 09:00:00", "A", 60, "x", "c", 1]], columns=names).to_csv(
        path, index=False
    )
    assert guess_profile(path).candidates["columns_found"][0] == ", ".join(names)


def test_a_column_of_zeros_and_ones_tells_the_outcome():
    frame = pd.DataFrame({"arrived": pd.date_range("2026-03-02 09:00", periods=40, freq="5min").astype("str"),
                          "wait_s": 5, "handle_s": 60}).assign(flag=[k % 4 == 0 for k in range(40)])  # fmt: skip
    for name, yes in (("abandoned", "abandoned"), ("answered", "answered")):
        log = History.from_contacts(frame.rename(columns={"flag": name}), tz="Asia/Manila")
        assert (log.contacts["outcome"] == yes).tolist() == frame["flag"].tolist()
        assert log.quality.count("outcome_from_flag") == 40 and repr(name) in str(log.quality)
    with pytest.raises(HistoryError, match="zeros and ones, no times"):
        History.from_contacts(frame.drop(columns="wait_s").rename(columns={"flag": "answered"}), tz="Asia/Manila")
