"""Fixtures of the history tests."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from history_files import clean_contacts, clean_intervals


@pytest.fixture
def log() -> pd.DataFrame:
    return clean_contacts()


@pytest.fixture
def report() -> pd.DataFrame:
    return clean_intervals()


@pytest.fixture
def save(tmp_path: Path) -> Callable[..., Path]:
    """Write a frame as CSV and return its path."""

    def write(frame: pd.DataFrame, name: str = "calls.csv", **options: object) -> Path:
        path = tmp_path / name
        frame.to_csv(path, index=False, **options)
        return path

    return write
