"""The speed benchmark checks what it times: wrong counts, wrong service levels and differing engines are reported."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def speed() -> Any:
    """Return the benchmark's module."""
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import speed

        return speed
    finally:
        sys.path.remove(str(BENCHMARKS))


def spoiled(speed: Any, **change: int) -> Any:
    """Return the bare loop with counts off by so many in a thousand."""

    def program(line: Any, days: int, seed: int, workers: int) -> Any:
        told = speed.PROGRAMS["bare loop"](line, days, seed, workers)
        return replace(told, **{name: round(getattr(told, name) * (1 + by / 1000)) for name, by in change.items()})

    return program


@pytest.mark.parametrize(
    ("change", "said"),
    [({}, None), ({"contacts": -40}, "contacts"), ({"contacts": 40}, "contacts"), ({"within": -80}, "service level")],
)
def test_wrong_counts_are_reported_as_failed(speed: Any, change: dict[str, int], said: str | None) -> None:
    # 30 days: 864,000 contacts, standard error 930 (1.1 in a thousand); service level within 0.035 of 0.847.
    checks = speed.Checks()
    checks.take(speed.timed("spoiled", spoiled(speed, **change), speed.LINE, 30, 1))
    assert checks.runs == 1
    if said is None:
        assert not checks.faults
        assert "none failed" in checks.verdict()
    else:
        assert any(said in f for f in checks.faults)
        assert "FAILED" in checks.verdict()
        assert "none failed" not in checks.verdict()


def test_a_fault_too_small_for_one_round_fails_all_rounds_together(speed: Any) -> None:
    checks, program = speed.Checks(), spoiled(speed, within=-35)
    rounds = [checks.take(speed.timed("spoiled", program, speed.LINE, 5, k)) for k in range(1, 21)]
    assert not checks.faults
    checks.pool(rounds, speed.LINE)
    assert any("all rounds" in f and "service level" in f for f in checks.faults)


def test_a_rival_with_wrong_counts_fails_the_report(speed: Any) -> None:
    checks = speed.Checks()
    rival = speed.Rival(speed.LINE, "bare loop", 4)
    speed.beside(rival, 4, 1, checks, spoiled(speed, contacts=-100))
    assert any(f.startswith("bare loop") for f in checks.faults)
    assert not any(f.startswith("bposim fast") for f in checks.faults)


def test_differing_engines_are_reported(speed: Any) -> None:
    import bposim as bp

    scenario = speed.LINE.scenario()
    assert speed.engines_differ("one", scenario, 1) == []
    other = bp.simulate(scenario, replications=1, seed=2, workers=1)
    assert len(speed.engines_differ("one", scenario, 1, told=other)) == 1


def test_quick_run_says_everything_and_passes_its_checks(speed: Any) -> None:
    done = subprocess.run(
        [sys.executable, str(BENCHMARKS / "speed.py"), "--quick"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "none failed" in done.stdout
    for title in ("One line, many programs", "Six types", "Large jobs", "Growth", "A fresh process"):
        assert f"### {title}" in done.stdout
    for name in speed.PROGRAMS:
        absent = f"not installed: {name}" in done.stdout or f", {name} (`pip" in done.stdout
        assert absent == speed.missing(name), name
