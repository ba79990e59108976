"""Speed: contacts a second of the engines beside other programs, and how the cost grows.

Usage: python benchmarks/speed.py [--quick]; ``benchmarks/run.py speed`` also writes the page. Every timed run is checked:
its number of contacts against the Poisson law, its service level against Erlang A or C, the engines against each other.
A run that fails is reported as failed, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

from run import table  # noqa: E402
from speed_checks import ERRORS, START, Checks, Run, clocked, engines_differ, expected_of, timed  # noqa: E402
from speed_growth import growth  # noqa: E402
from speed_programs import PROGRAMS, Line, Outcome, Program, bare_parts, fast_program, missing, outcome_of, world  # noqa: E402

import bposim as bp  # noqa: E402

LINE = Line("M/M/102+M", 20.0, 102, 5.0, 3.0, spread=0.025)
NO_PATIENCE = Line("M/M/108", 20.0, 108, 5.0, None, spread=0.055)
LARGE = Line("M/M/5000+M", 1e6 / 1440, 5000, 7.2, 3.0, spread=0.005)
# 1. One line, many programs -------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Rival:
    """A program to be timed beside the compiled engine."""

    line: Line
    name: str
    days: int
    workers: int = 1
    #: Threads of the compiled engine beside it.
    beside: int = 1
    target: float | None = None


RIVALS = (
    Rival(LINE, "SimPy, plain", 1, target=150.0),
    Rival(LINE, "SimPy, plain", 1, beside=2, target=250.0),
    Rival(LINE, "bposim reference", 2),
    Rival(LINE, "Ciw", 1),
    Rival(LINE, "bare loop", 60),
    Rival(NO_PATIENCE, "cimba", 60, target=2.0),
    Rival(NO_PATIENCE, "cimba", 60, workers=2, beside=2, target=2.0),
)


def beside(rival: Rival, days: int, rounds: int, checks: Checks, program: Program | None = None) -> dict[str, Any]:
    """Time a program and the compiled engine in turns; a row of the table."""
    program = program or PROGRAMS[rival.name]
    fast_program(rival.line, 2, 0, rival.beside)
    program(rival.line, 1, 0, rival.workers)
    fast, other = [], []
    for k in range(1, rounds + 1):
        fast.append(
            checks.take(timed(f"bposim fast on {rival.line.name}", fast_program, rival.line, days, k, rival.beside))
        )
        run = timed(f"{rival.name} on {rival.line.name}", program, rival.line, min(rival.days, days), k, rival.workers)
        further = []
        if rival.name == "bposim reference":
            further = engines_differ(run.name, rival.line.scenario(), k, replications=min(rival.days, days))
        other.append(checks.take(run, further=further))
    ratios = np.array([a.rate / b.rate for a, b in zip(fast, other, strict=True)])
    for runs in (fast, other):
        checks.pool(runs, rival.line)
    share = {
        name: sum(r.outcome.within for r in runs) / sum(r.outcome.contacts for r in runs)
        for name, runs in (("fast", fast), ("other", other))
    }
    return {
        "case": rival.line.name, "program": rival.name, "threads": rival.workers,
        "contacts a second": float(np.median([r.rate for r in other])),
        "cores used": float(np.median([r.cores for r in other])),
        "fast: threads": rival.beside, "fast: contacts a second": float(np.median([r.rate for r in fast])),
        "fast: cores used": float(np.median([r.cores for r in fast])),
        "ratio, median": float(np.median(ratios)), "ratio, least": float(ratios.min()),
        "target": "–" if rival.target is None else f"{rival.target:g}",
        "service level": f"{share['other']:.3f}, fast {share['fast']:.3f}, theory {rival.line.level():.3f}",
    }  # fmt: skip


def programs(checks: Checks, *, quick: bool) -> tuple[str, pd.DataFrame]:
    """Contacts a second of every program that is installed."""
    skipped = sorted({r.name for r in RIVALS if missing(r.name)})
    if "cimba" not in skipped:
        import cimba  # noqa: F401  # its types are unknown to numba unless they come before the first compilation
    days, rounds = (4, 1) if quick else (60, 5)
    wanted = [r for r in RIVALS if r.name not in skipped and not (quick and r.workers + r.beside > 2)]
    rows = pd.DataFrame([beside(r, days, rounds, checks) for r in wanted])
    parts = bare_parts(LINE, days, rounds)
    cores = np.minimum(rows["cores used"] / rows["threads"], rows["fast: cores used"] / rows["fast: threads"])
    text = (
        f"### One line, many programs\n\nA day of 24 hours, 28,800 contacts; the compiled engine plays {days} days in a call "
        f"and so do the other compiled programs. Draws included, median of {rounds} pairs timed in turns; `cores used` are "
        "processor seconds over seconds.\n\n"
        + table(rows)
        + "\n\nThe bare loop knows this one case only (the virtual wait of the agent who is free first, no events) and takes "
        f"{parts['whole']:.0f} ns a contact: {parts['draws']:.0f} ns three exponential draws, {parts['heap']:.0f} ns the heap "
        f"of 102 agents, {parts['rest']:.0f} ns the rest; the compiled engine, which knows all cases, reaches "
        f"{rows.loc[rows['program'] == 'bare loop', 'ratio, median'].iloc[0]:.0%} of it."
    )
    if skipped:
        text += f" Skipped, for they are not installed: {', '.join(skipped)} (`pip install bposim[bench]`)."
    if (cores < 0.85).any():
        text += (
            " **The machine was busy**: some runs did not get the cores they asked for, so rates of single programs are too "
            "low and figures of two threads do not count."
        )
    return text, rows


# 2. Several types and groups ------------------------------------------------------------------------------------------


def ring() -> Any:
    """Six types, six groups of 21 agents with two skills each, patience."""
    types = {
        f"type_{k}": {
            "arrivals": {"rate": "4/min"}, "handle_time": {"exponential": {"mean": "5min"}},
            "patience": {"exponential": {"mean": "3min"}},
        } for k in range(6)
    }  # fmt: skip
    return world(types, {f"group_{g}": {"skills": [f"type_{g}", f"type_{(g + 1) % 6}"], "heads": 21} for g in range(6)})


def skills(checks: Checks, *, quick: bool) -> str:
    """The compiled engine beside the reference engine where routing has a choice."""
    scenario, name = ring(), "six types, six groups"
    expected, days, rounds = expected_of(scenario), 2 if quick else 40, 1 if quick else 5
    bp.simulate(scenario, replications=1, workers=1)
    ratios, rates, slow_rates = [], [], []
    for k in range(1, rounds + 1):
        fast, _ = clocked(
            f"fast, {name}", lambda k=k: bp.simulate(scenario, replications=days, seed=k, workers=1), days * expected
        )
        slow, told = clocked(
            f"reference, {name}",
            lambda k=k: bp.simulate(scenario, replications=1, seed=k, workers=1, engine="reference"), expected,
        )  # fmt: skip
        checks.take(fast)
        checks.take(slow, further=engines_differ(name, scenario, k, told=told))
        ratios.append(fast.rate / slow.rate)
        rates.append(fast.rate)
        slow_rates.append(slow.rate)
    row = {
        "contacts a day": expected, "reference": float(np.median(slow_rates)), "fast": float(np.median(rates)),
        "ratio, median": float(np.median(ratios)), "ratio, least": float(min(ratios)), "target": "100",
    }  # fmt: skip
    return (
        "### Six types, six groups\n\nGroups of 21 agents, each with the skills of two neighbouring types, patience, no logs; "
        "contacts a second on one core, the interval tables of both engines compared.\n\n" + table(pd.DataFrame([row]))
    )


# 3. Large jobs --------------------------------------------------------------------------------------------------------


def bank(days: int = 28, contacts_a_day: float = 1500.0) -> Any:
    """The bank's scenario, its arrivals and heads scaled together to so many contacts a day."""
    import yaml

    text = yaml.safe_load((HERE.parent / "scenarios" / "bank_1999.yaml").read_text())
    text["days"] = days
    factor = contacts_a_day * days / expected_of(bp.load_scenario(text))
    for kind in text["contact_types"].values():
        kind["arrivals"] = {"rate": f"{float(kind['arrivals']['rate'].split('/')[0]) * factor!r}/h"}
    for group in text["agent_groups"].values():
        group["heads"] = round(group["heads"] * factor)
    return bp.load_scenario(text)


def child(job: str, replications: int, workers: int) -> None:
    """Run a large job in this process and print what it took."""
    import resource

    scenario = bank() if job == "month" else LARGE.scenario()
    bp.simulate(scenario, replications=1, workers=1)
    found, peak = [], 0
    number, calls = (replications, 1) if job == "month" else (1, replications)
    for k in range(1, calls + 1):
        cpu, begin = time.process_time(), time.perf_counter()
        runs = bp.simulate(scenario, replications=number, seed=k, workers=workers)
        seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
        # Before the counts are laid out as a frame: the peak is that of the simulation.
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found.append(
            {"seconds": seconds, "cpu": cpu, "expected": number * expected_of(scenario), **vars(outcome_of(runs))}
        )
    faults = engines_differ("a bank's month", scenario, 1, replications=3) if job == "month" else []
    mib = peak / (1 << 20 if sys.platform == "darwin" else 1 << 10)
    print(json.dumps({"runs": found, "peak_mib": mib, "faults": faults}))


def large(checks: Checks, *, quick: bool) -> str:
    """A bank's month a thousand times, and a day of a million contacts."""
    rows = []
    jobs = [("month", 10 if quick else 1000, 2, "a bank's month, 28 × 1,500 contacts", "20 s, 1 GiB")]
    if not quick:
        jobs.append(("million", 5, 1, "a day of 1,000,000 contacts, 5,000 agents", "1 s"))
    for job, replications, workers, title, target in jobs:
        done = subprocess.run(
            [sys.executable, str(HERE / "speed.py"), "--child", job, str(replications), str(workers)],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        told = json.loads(done.stdout.splitlines()[-1])
        level = LARGE.level() if job == "million" else None
        runs = [
            checks.take(
                Run(title, Outcome(r["contacts"], r["within"]), r["expected"], level, START + ERRORS * LARGE.spread,
                    r["seconds"], r["cpu"]),
                further=told["faults"],
            ) for r in told["runs"]
        ]  # fmt: skip
        rows.append({
            "job": title, "replications": replications if job == "month" else 1, "threads": workers,
            "contacts": float(runs[0].outcome.contacts), "seconds": float(np.median([r.seconds for r in runs])),
            "cores used": float(np.median([r.cores for r in runs])),
            "contacts a second": float(np.median([r.rate for r in runs])), "peak MiB": told["peak_mib"], "target": target,
        })  # fmt: skip
    return (
        "### Large jobs\n\nEach in a process of its own, after one replication that loads the compiled code; the peak is that of "
        "the whole process, libraries included.\n\n" + table(pd.DataFrame(rows))
    )


# 5. A fresh process ---------------------------------------------------------------------------------------------------


def start(checks: Checks, *, quick: bool) -> str:
    """Seconds of ``bposim simulate`` in a fresh process, before and after the compiled code is in the cache."""
    replications, rows = 2 if quick else 200, []
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "day.yaml"
        LINE.scenario().to_yaml(path)
        cache = {} if quick else {"NUMBA_CACHE_DIR": str(Path(folder) / "cache")}
        for name in ("first", "second") if quick else ("first", "second", "third"):
            begin = time.perf_counter()
            done = subprocess.run(
                [sys.executable, "-m", "bposim.cli", "simulate", str(path), "--replications", str(replications), "--json"],
                capture_output=True, text=True, check=True, env={**os.environ, **cache},
            )  # fmt: skip
            seconds = time.perf_counter() - begin
            told = {row["metric"]: row["value"] for row in json.loads(done.stdout)["rows"]}
            contacts = round(told["offered"] * replications)
            outcome = Outcome(contacts, round(told["service_level"] * contacts))
            tolerance = START + ERRORS * LINE.spread / replications**0.5
            checks.take(
                Run(f"{name} process", outcome, LINE.contacts(replications), LINE.level(), tolerance, seconds, 0.0)
            )
            rows.append(
                {"process": name, "replications": replications, "contacts": float(contacts), "seconds": seconds}
            )
    return (
        "### A fresh process\n\n`bposim simulate` of a day of M/M/102+M on the command line, imports included; the first process "
        "finds no compiled code, the others find the first one's (target 3 s).\n\n" + table(pd.DataFrame(rows))
    )


# The report -----------------------------------------------------------------------------------------------------------


def plot(rows: pd.DataFrame, curves: pd.DataFrame, path: Path) -> None:
    """Draw rates by program and cost by what grows."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.8), layout="constrained")
    single = rows[(rows["threads"] == 1) & (rows["fast: threads"] == 1)]
    bars: dict[str, float] = {}
    for row in single.to_dict("records"):
        bars[f"{row['program']}, {row['case']}"] = row["contacts a second"]
        bars[f"bposim fast, {row['case']}"] = row["fast: contacts a second"]
    names = sorted(bars, key=bars.__getitem__)
    left.barh(names, [bars[n] for n in names], color=["#c44e52" if "fast" in n else "#4c72b0" for n in names])
    left.set(xscale="log", xlabel="contacts a second, one thread, draws included")
    for name, part in curves.groupby("what grows", sort=False):
        right.plot(part["size"], part["ns a contact"], "o-", ms=3, label=str(name))
    right.set(xscale="log", ylim=(0, None), xlabel="size", ylabel="ns a contact")
    right.legend(fontsize=8)
    figure.savefig(path, dpi=90)
    plt.close(figure)


@dataclass(frozen=True)
class Report:
    """Text of the section, the checks behind it, and the frames of the plot."""

    text: str
    checks: Checks
    rows: pd.DataFrame
    curves: pd.DataFrame


def measure(*, quick: bool = False) -> Report:
    """Measure everything; ``quick`` plays small cases to test the harness, its figures mean nothing."""
    import numba

    checks = Checks()
    first, rows = programs(checks, quick=quick)
    second = skills(checks, quick=quick)
    third = large(checks, quick=quick)
    fourth, curves = growth(checks, quick=quick)
    fifth = start(checks, quick=quick)
    head = (
        f"## Speed\n\n{os.cpu_count()} cores, Python {platform.python_version()}, numba {numba.__version__}. "
        f"{checks.verdict()}\n\n![rates and growth](speed.png)"
    )
    return Report("\n\n".join([head, first, second, third, fourth, fifth]), checks, rows, curves)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the section; exit code 1 if a run failed its check."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="small cases that only test the harness")
    parser.add_argument("--child", nargs=3, metavar=("JOB", "REPLICATIONS", "WORKERS"), help=argparse.SUPPRESS)
    asked = parser.parse_args(arguments)
    if asked.child:
        child(asked.child[0], int(asked.child[1]), int(asked.child[2]))
        return 0
    report = measure(quick=asked.quick)
    print(report.text)
    return 1 if report.checks.faults else 0


if __name__ == "__main__":
    sys.exit(main())
