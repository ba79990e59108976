"""The command line in this process, on a small log with known truth."""

from __future__ import annotations

import json
import warnings
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

ZONE = "Asia/Manila"


@dataclass(frozen=True)
class Answer:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on the output stream; nan and infinity are refused."""
        return json.loads(self.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))


def log_of(days: int, start: date = date(2026, 3, 2)) -> pd.DataFrame:
    """Return a contact log in local time without a zone, as an export has it."""
    from bposim import datasets

    truth = datasets.voice_truth(start=start, days=days).replace(time_zone=ZONE)
    log = datasets.draw_history(truth, seed=3)
    keep = ["contact_id", "contact_type", "arrived", "answered", "ended", "agent_group", "agent", "outcome"]
    times = {c: log[c].dt.tz_localize(None).dt.round("s") for c in ("arrived", "answered", "ended")}
    return log.assign(**times)[keep]


@pytest.fixture(scope="session")
def log() -> pd.DataFrame:
    return log_of(49)


@pytest.fixture(scope="session")
def calls(log, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("log") / "calls.csv"
    log.to_csv(path, index=False)
    return path


@pytest.fixture
def bposim(capsys, monkeypatch):
    """Run a command as the shell would and return code, output and messages."""
    from bposim.cli import main

    monkeypatch.setenv("MPLBACKEND", "Agg")

    def run(*arguments: Any) -> Answer:
        capsys.readouterr()
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            with pytest.raises(SystemExit) as ended:
                main([str(a) for a in arguments])
        said = capsys.readouterr()
        return Answer(int(ended.value.code or 0), said.out, said.err)

    return run
