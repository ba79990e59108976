"""Are probabilities what they say: predicted chance of random clauses in random operations against fresh luck.

Each operation (one or two contact types, one or two groups, uncertain days, redials, absence, at random) gets three clauses of
different metrics; a clause's level is a random quantile of a pilot with luck of its own, so that every chance occurs. Predicted is
`assess_target` on 500 replications; observed the share of windows on 5,000 replications of another seed. What a sceptic should know:

* Pairs of one operation share its world, not its metric; a decile holds about 30 pairs of 20 to 30 operations.
* Sorting by a predicted chance prefers lucky errors at the ends (regression to the mean). With 500 replications the error of one
  prediction is at most 0.022, so a decile's mean is moved by less than 0.003 where chances are spread evenly; nothing is shrunk.
* It tells that the simulation's own chances are right about its own world. Whether the world is right is told by `backtest`.

Usage: python benchmarks/targets_calibrated.py [COUNT [FOLDER]]; operations done before are read from the folder.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import bposim as bp
from bposim.targets.probability import meets, window_values

REPLICATIONS, FRESH, PILOT = 500, 5000, 200
CLAUSES = 3
#: Seeds of pilot, prediction and fresh luck begin here; each operation has its own.
SEEDS = (10_000, 20_000, 30_000)


def default_folder() -> Path:
    """Return where finished operations are kept."""
    return Path(tempfile.gettempdir()) / "bposim-targets-calibrated"


def operation(number: int) -> bp.Scenario:
    """Return a random small operation, near or beyond its capacity."""
    rng = np.random.default_rng((41, number))
    hours, days = int(rng.integers(2, 6)) * 2, int(rng.choice([1, 3, 5]))
    two = rng.random() < 0.4
    types: dict[str, Any] = {}
    load = 0.0
    for name in ("a", "b") if two else ("a",):
        rate, mean = float(rng.uniform(15, 90)), float(rng.uniform(90, 420))
        shape = 1 + rng.uniform(0, 0.6) * np.sin(np.linspace(0, rng.uniform(2, 9), hours * 2))
        handle = (
            {"exponential": {"mean": f"{mean:.0f}s"}}
            if rng.random() < 0.4
            else {"lognormal": {"mean": f"{mean:.0f}s", "cv": round(float(rng.uniform(0.4, 1.4)), 2)}}
        )
        types[name] = {
            "arrivals": {"per_interval": (rate / 2 * shape / shape.mean()).round(3).tolist()},
            "handle_time": handle,
        }
        if rng.random() < 0.85:
            types[name]["patience"] = {"exponential": {"mean": f"{rng.uniform(60, 600):.0f}s"}}
        if rng.random() < 0.7:
            types[name]["day_factor"] = {"gamma": {"cv": round(float(rng.uniform(0.03, 0.25)), 3)}}
        if rng.random() < 0.3:
            types[name]["handle_day_factor"] = {"gamma": {"cv": round(float(rng.uniform(0.02, 0.1)), 3)}}
        if rng.random() < 0.25:
            types[name]["redial"] = {
                "after_abandonment": round(float(rng.uniform(0.1, 0.6)), 2),
                "delay": {"exponential": {"mean": "10min"}},
            }
        load += rate * mean / 3600
    heads = max(int(np.ceil(load + rng.uniform(-0.3, 1.6) * np.sqrt(load))), 1)
    groups: dict[str, Any] = {"g": {"skills": list(types), "heads": heads, "cost_per_hour": 15}}
    if two and heads > 3 and rng.random() < 0.5:
        part = int(rng.integers(1, heads - 1))
        groups = {"g": {"skills": ["a"], "heads": part}, "h": {"skills": ["b", "a"], "heads": heads - part}}
    if rng.random() < 0.3:
        for body in groups.values():
            body["absence"] = round(float(rng.uniform(0.02, 0.12)), 3)
    return bp.load_scenario({"name": f"operation {number}", "start": "2026-01-05", "days": days, "interval": "30min",
                             "opening_hours": {"daily": f"08:00-{8 + hours:02d}:00"}, "contact_types": types, "agent_groups": groups})  # fmt: skip


def clauses(scenario: bp.Scenario, number: int) -> list[bp.Target]:
    """Return three clauses of different metrics, their levels random quantiles of a pilot."""
    rng = np.random.default_rng((42, number))
    pilot = bp.simulate(scenario, replications=PILOT, seed=SEEDS[0] + number, progress=False)
    found: list[bp.Target] = []
    for metric in rng.permutation(["service_level", "abandonment", "asa", "occupancy", "mean_wait"]):
        high = metric == "service_level"
        term = bp.Target(
            metric=metric, level=0.5 if high or metric in ("abandonment", "occupancy") else 30.0, sense=">=" if high else "<=",
            within_s=float(rng.choice([5, 10, 20, 30, 60])) if high else None, window=str(rng.choice(["day", "all"])),
            counting=str(rng.choice(["offered", "excl_T", "credit_T", "answered"])) if high else "offered",
        )  # fmt: skip
        values = window_values(pilot, term)["value"].to_numpy()
        if len(np.unique(values)) < 20:  # nobody abandons: nothing to promise
            continue
        level = float(np.quantile(values, rng.uniform(0.02, 0.98)))
        step = 0.001 if term.metric in ("service_level", "abandonment", "occupancy") else 0.1
        found.append(term.replace(level=max(round(level / step) * step, 0.0)))
        if len(found) == CLAUSES:
            break
    return found


def one(number: int) -> list[dict[str, Any]]:
    """Return predicted and observed chance of an operation's clauses."""
    scenario = operation(number)
    terms = clauses(scenario, number)
    within = sorted({t.within_s for t in terms if t.within_s is not None})
    fresh = bp.simulate(scenario, replications=FRESH, seed=SEEDS[2] + number, within=within, progress=False)
    rows = []
    for term in terms:
        deal = bp.assess_target(scenario, term, replications=REPLICATIONS, seed=SEEDS[1] + number, progress=False)
        met = meets(term, window_values(fresh, term)["value"].to_numpy())
        rows.append({
            "operation": number, "clause": str(term), "metric": term.metric, "predicted": deal.probability, "low": deal.probability_low,
            "high": deal.probability_high, "observed": float(met.mean()), "windows": len(met),
        })  # fmt: skip
    return rows


def study(count: int = 300, folder: Path | None = None) -> pd.DataFrame:
    """Return a row per pair; operations whose rows lie in the folder are not played again."""
    folder = folder or default_folder()
    folder.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, Any]] = []
    number = 0
    while len(rows) < count:
        path = folder / f"{number:04d}.json"
        if not path.exists():
            done = one(number)
            path.write_text(json.dumps(done))
            print(
                f"operation {number}: " + ", ".join(f"{r['predicted']:.3f}/{r['observed']:.3f}" for r in done),
                flush=True,
            )
        rows += json.loads(path.read_text())
        number += 1
    return pd.DataFrame(rows[:count])


def reliability(pairs: pd.DataFrame) -> pd.DataFrame:
    """Return predicted against observed by decile of the predicted chance: ``[0, 0.1)``, … ``[0.9, 1]``."""
    cut = np.minimum((pairs["predicted"] * 10).astype(int), 9)
    rows = []
    for k, part in pairs.groupby(cut):
        gap = part["predicted"] - part["observed"]
        rows.append((f"{k / 10:.1f}–{(k + 1) / 10:.1f}", len(part), part["operation"].nunique(), part["predicted"].mean(),
                     part["observed"].mean(), gap.mean(), gap.std() / np.sqrt(len(part)), abs(gap.mean()) <= 0.03))  # fmt: skip
    return pd.DataFrame(rows, columns=["predicted chance", "pairs", "operations", "predicted", "observed", "difference", "its error",
                                       "within 0.03"])  # fmt: skip


def scores(pairs: pd.DataFrame) -> dict[str, float]:
    """Return Brier scores: of the predictions, of perfect knowledge of the chance, of one base rate for all; and coverage."""
    p, o = pairs["predicted"], pairs["observed"]
    noise = np.sqrt(o * (1 - o) / pairs["windows"])
    return {
        "Brier": float(((p - o) ** 2 + o * (1 - o)).mean()), "Brier of the true chance": float((o * (1 - o)).mean()),
        "Brier of the base rate": float((o.mean() - o).pow(2).mean() + (o * (1 - o)).mean()),
        "root mean square error of a chance": float(np.sqrt(((p - o) ** 2).mean())),
        "intervals that hold the observed": float(((pairs["low"] - noise <= o) & (o <= pairs["high"] + noise)).mean()),
        "intervals that hold it exactly": float(((pairs["low"] <= o) & (o <= pairs["high"])).mean()),
    }  # fmt: skip


if __name__ == "__main__":
    found = study(int(sys.argv[1]) if len(sys.argv) > 1 else 300, Path(sys.argv[2]) if len(sys.argv) > 2 else None)
    print(reliability(found).to_string(index=False, float_format=lambda x: f"{x:.4f}"))
    print("\n".join(f"{k}: {v:.4f}" for k, v in scores(found).items()))
