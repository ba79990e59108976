"""A sample of the fuzzing of ``benchmarks/fuzz.py``, and that it would notice what it is there for."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from bposim.history import PROFILES, contacts

HARNESS = Path(__file__).parents[2] / "benchmarks" / "fuzz.py"
#: Files of each profile in each format; the benchmark reads 2,000 of each profile.
EACH = 2


def _load() -> Any:
    spec = importlib.util.spec_from_file_location("fuzz", HARNESS)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["fuzz"] = module
    spec.loader.exec_module(module)
    return module


fuzz = _load()


def test_every_profile_has_a_clean_sample():
    """A new profile comes with a maker of its clean file in ``benchmarks/fuzz_samples.py``."""
    assert sorted(set(PROFILES) - set(fuzz.MAKERS)) == []


@pytest.mark.parametrize("name", PROFILES)
def test_spoiled_files_end_in_a_history_or_a_listed_error(name: str, tmp_path: Path):
    known: dict[Any, Any] = {}
    for form in fuzz.sample(name).formats:
        for seed in range(10_000, 10_000 + EACH):
            ended, done = fuzz.try_one(name, form, seed, tmp_path, known)
            assert not ended.fault, f"{form}, seed {seed}, {done}: {ended.fault}"


def test_a_number_read_wrongly_is_noticed(tmp_path: Path):
    clean = fuzz.sample("contacts")
    usual = fuzz.usual_values(clean, "csv", tmp_path)
    origin = fuzz.np.arange(len(clean.frame))
    wrong = clean.frame.assign(contact_type="other")
    path = tmp_path / "wrong.csv"
    path.write_bytes(clean.write(wrong, "csv"))
    said = fuzz.fault(path, clean, fuzz.File(wrong, origin), usual)
    assert said == "sound row 1, 'contact_type': 'other' where the clean file has 'billing'"
    bad = clean.frame.assign(arrived=clean.frame["arrived"].where(clean.frame.index != 3, "soon"))
    path.write_bytes(clean.write(bad, "csv"))
    assert fuzz.fault(path, clean, fuzz.File(bad, origin), usual) == "sound row 4 is set aside by unparseable_time"


def test_another_exception_and_a_lost_row_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    clean = fuzz.sample("contacts")
    usual = fuzz.usual_values(clean, "csv", tmp_path)
    path = tmp_path / "clean.csv"
    file = fuzz.File(clean.frame, None)
    monkeypatch.setattr(contacts, "_duplicates", lambda *_: 1 / 0)
    assert "ZeroDivisionError" in fuzz.fault(path, clean, file, usual)
    noted = contacts._note_kept

    def lose(frame: pd.DataFrame, ledger: Any) -> None:
        noted(frame, ledger)
        frame.drop(index=0, inplace=True)

    monkeypatch.undo()
    monkeypatch.setattr(contacts, "_note_kept", lose)
    assert fuzz.fault(path, clean, file, usual) == "59 rows are kept or rejected of 60"


def test_rows_that_are_read_together_are_sound_together():
    group = fuzz.np.array([0, 0, 1, 1, 2])
    whole = fuzz.sound_rows(fuzz.np.arange(5), group)
    assert whole.tolist() == [0, 1, 2, 3, 4]
    # Row 2 is touched, so row 3 may read otherwise; rows 0 and 1 have changed places.
    assert fuzz.sound_rows(fuzz.np.array([1, 0, -1, 3, 4]), group).tolist() == [4]
    # A row of the first group is repeated, the single row too.
    assert fuzz.sound_rows(fuzz.np.array([0, 1, 2, 3, 4, -2, -6]), group).tolist() == [2, 3, 4]


#: Spoiled files that once ended otherwise: a total that made percentages of shares, a heading line repeated with a further column, a
#: line of twenty million cells.
FOUND = (
    ("vancouver311", "parquet", 1876), ("avaya_cms_report", "csv", 31), ("avaya_cms_report", "csv.gz", 987),
)  # fmt: skip


@pytest.mark.parametrize(("name", "form", "seed"), FOUND)
def test_a_file_that_once_ended_otherwise(name: str, form: str, seed: int, tmp_path: Path):
    ended, done = fuzz.try_one(name, form, seed, tmp_path, {})
    assert not ended.fault, f"{done}: {ended.fault}"
