"""What a timed run must pass before its time counts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from speed_programs import Line, Outcome, Program, outcome_of

import bposim as bp

#: A day begins without contacts: what that may add to its service level.
START = 0.012
#: Standard errors that a check allows: a false alarm in a million.
ERRORS = 5.0


@dataclass(frozen=True)
class Run:
    """One timed run.

    Attributes
    ----------
    expected : float
        Contacts that the law of arrivals expects.
    level, tolerance : float or None
        Service level that theory expects, and how far the run may be from it.
    cpu : float
        Processor seconds, all threads.
    """

    name: str
    outcome: Outcome
    expected: float
    level: float | None
    tolerance: float
    seconds: float
    cpu: float

    @property
    def rate(self) -> float:
        """Contacts a second."""
        return self.outcome.contacts / self.seconds

    @property
    def cores(self) -> float:
        """Cores that the run got; a busy machine gives less than was asked for."""
        return self.cpu / self.seconds

    def faults(self) -> list[str]:
        """Return what is wrong with the run's counts."""
        found = []
        contacts, bound = self.outcome.contacts, ERRORS * self.expected**0.5
        if not abs(contacts - self.expected) <= bound:
            found.append(
                f"{self.name}: {contacts:,} contacts, {self.expected:,.0f} expected; more than {bound:,.0f} ({ERRORS:g} "
                "standard errors) away"
            )
        if self.level is not None:
            share = self.outcome.within / contacts if contacts else float("nan")
            if not abs(share - self.level) <= self.tolerance:
                found.append(
                    f"{self.name}: service level {share:.4f}, {self.level:.4f} expected; more than {self.tolerance:.4f} away"
                )
        return found


@dataclass
class Checks:
    """All timed runs of one report."""

    runs: int = 0
    faults: list[str] = field(default_factory=list)

    def take(self, run: Run, *, further: Sequence[str] = ()) -> Run:
        """Check a run and pass it on."""
        self.runs += 1
        self.faults += [*run.faults(), *further]
        return run

    def pool(self, runs: Sequence[Run], line: Line) -> None:
        """Check all rounds of one program together: their error is smaller than that of one."""
        outcome = Outcome(sum(r.outcome.contacts for r in runs), sum(r.outcome.within for r in runs))
        expected = sum(r.expected for r in runs)
        tolerance = START + ERRORS * line.spread / (expected / line.contacts(1)) ** 0.5
        whole = Run(f"{runs[0].name}, all rounds", outcome, expected, line.level(), tolerance, 1.0, 0.0)
        self.faults += whole.faults()

    def verdict(self) -> str:
        """Say how many runs failed, and how."""
        text = f"{self.runs} timed runs checked for their number of contacts and their service level; "
        if not self.faults:
            return text + "none failed."
        return text + f"**{len(self.faults)} checks FAILED**:\n\n" + "\n".join(f"- FAILED {f}" for f in self.faults)


def timed(name: str, program: Program, line: Line, days: int, seed: int, workers: int = 1) -> Run:
    """Time one call of a program."""
    cpu, begin = time.process_time(), time.perf_counter()
    outcome = program(line, days, seed, workers)
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    tolerance = START + ERRORS * line.spread / days**0.5
    return Run(name, outcome, line.contacts(days), line.level(), tolerance, seconds, cpu)


def clocked(
    name: str, play: Callable[[], Any], expected: float, level: float | None = None, tolerance: float = 0.0
) -> tuple[Run, Any]:
    """Time one simulation; ``level`` is its service level by theory, None where the caller compares the engines."""
    cpu, begin = time.process_time(), time.perf_counter()
    runs = play()
    seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
    return Run(name, outcome_of(runs), expected, level, tolerance, seconds, cpu), runs


def engines_differ(name: str, scenario: Any, seed: int, replications: int = 1, told: Any = None) -> list[str]:
    """Return a fault unless both engines give the same interval tables; ``told`` is the reference engine's simulation."""
    how: dict[str, Any] = {"seed": seed, "replications": replications, "workers": 1}
    one = bp.simulate(scenario, **how)
    other = told if told is not None else bp.simulate(scenario, engine="reference", **how)
    first, second = (r.intervals.reset_index(drop=True) for r in (one, other))
    return [] if first.equals(second) else [f"{name}: the two engines gave different interval tables"]


def expected_of(scenario: Any) -> float:
    """Return the expected contacts of one replication."""
    return float(sum(scenario.expected_contacts(t).sum() for t in scenario.contact_types))
