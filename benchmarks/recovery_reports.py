"""Do the intervals of a calibration from interval reports alone cover the truth as often as they say?

Draws histories of a small line, keeps only their interval report, calibrates each on a base that knows nothing of them,
and counts how often each 95 % interval holds the planted value.

Usage: python benchmarks/recovery_reports.py [law] [histories] [first seed] [rows.csv]. The law of patience is exponential,
weibull or piecewise. Rows are added to those of the CSV, so that a long study can be run in parts.
"""

from __future__ import annotations

import sys
import time
import warnings
from pathlib import Path
from typing import Any

import pandas as pd

import bposim as bp
from bposim.calibrate import Calibration
from bposim.scenario import Scenario

ARRIVALS = (18, 26, 32, 30, 27, 25, 28, 31, 32, 30, 27, 25, 22, 20, 16, 14)
HEADS = (5, 6, 6, 5, 5, 5, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4)
DAYS = ("mon", "tue", "wed", "thu", "fri")
PLAIN = (
    "offered",
    "answered",
    "abandoned",
    "answered_within_s20",
    "answered_within_s60",
    "wait_answered_sum_s",
    "handle_sum_s",
)
#: Law → its specification, and what the report must tell besides for its shape to be seen.
LAWS: dict[str, tuple[dict[str, Any], tuple[str, ...]]] = {
    "exponential": ({"exponential": {"mean": "240s"}}, ()),
    "weibull": ({"weibull": {"mean": "240s", "shape": 0.7}}, ("wait_abandoned_sum_s",)),
    "piecewise": (
        {"piecewise_hazard": {"breaks": ["0s", "20s", "60s"], "rates": ["0.001/s", "0.008/s", "0.003/s"]}},
        ("wait_abandoned_sum_s", "abandoned_within_s20", "abandoned_within_s60"),
    ),
}


def planted(law: str, days: int = 56) -> Scenario:
    """Return the truth: one queue of about 400 contacts a day, one group, a day factor of 0.10."""
    return bp.load_scenario(
        {
            "name": "planted", "time_zone": "UTC", "start": "2026-01-05", "days": days,
            "opening_hours": {"mon-fri": "09:00-17:00"}, "day_factor": {"gamma": {"cv": 0.10}},
            "contact_types": {"a": {"arrivals": {"per_interval": {"mon-fri": list(ARRIVALS)}},
                                    "handle_time": {"lognormal": {"mean": "5min", "cv": 1.0}},
                                    "patience": LAWS[law][0]}},
            "agent_groups": {"g": {"skills": ["a"], "heads": {"mon-fri": list(HEADS)}}},
        }
    )  # fmt: skip


def report_of(truth: Scenario, law: str, seed: int) -> bp.History:
    """Draw one history and keep its interval report only."""
    runs = bp.simulate(truth, replications=1, seed=seed, within=["20s", "60s"], progress=False)
    frame = runs.counts([20.0, 60.0]).frame()[["interval_start", "contact_type", *PLAIN, *LAWS[law][1]]]
    return bp.History.from_contacts(frame, tz=truth.time_zone, profile="intervals")


def base_of(truth: Scenario) -> Scenario:
    """Return the planned scenario: its cv of handle times is right, nothing else that a report tells is."""
    return truth.replace(
        {
            "day_factor": None, "contact_types.a.arrivals": {"rate": "1/h"}, "agent_groups.g.heads": 1,
            "contact_types.a.handle_time": {"lognormal": {"mean": "60s", "cv": 1.0}},
            "contact_types.a.patience": {"exponential": {"mean": "60s"}},
        }
    )  # fmt: skip


def one(law: str, seed: int, days: int = 56) -> tuple[Calibration, Scenario]:
    """Draw one history and calibrate on its report."""
    truth = planted(law, days)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return bp.calibrate(base_of(truth), report_of(truth, law, seed)), truth


def truths(truth: Scenario) -> dict[tuple[str, str], float]:
    """Return the true value of every parameter that carries an interval."""
    kind = truth.contact_types["a"]
    law = kind.patience[0]
    values = {("contacts per day", f"a, {d}"): float(sum(ARRIVALS)) for d in DAYS}
    values |= {("day factor cv", "a"): 0.10, ("mean handle time", "a"): kind.handle_time[0].mean}
    values |= {("mean patience", "a"): law.mean}
    values |= {(f"patience beyond {t} s", "a"): float(law.sf(t)) for t in (20, 60)}
    return values | {("agent-hours on duty per day", "g"): sum(HEADS) / 2}


def rows(law: str, histories: int, first_seed: int = 7000, days: int = 56) -> pd.DataFrame:
    """Return ``law, seed, parameter, subject, truth, value, error, covered, kind``."""
    found = []
    for seed in range(first_seed, first_seed + histories):
        cal, truth = one(law, seed, days)
        known = truths(truth)
        kind = cal.patience["a"].distribution.kind
        found += [
            (law, seed, e.parameter, e.subject, known[e.parameter, e.subject], e.value, (e.high - e.low) / 3.92,
             e.low <= known[e.parameter, e.subject] <= e.high, kind)
            for e in cal.estimates if (e.parameter, e.subject) in known
        ]  # fmt: skip
    names = ["law", "seed", "parameter", "subject", "truth", "value", "error", "covered", "kind"]
    return pd.DataFrame(found, columns=names)


def told(law: str, seed: int) -> list[tuple[Any, ...]]:
    """Return ``parameter, subject, truth, value, low, high`` of one history."""
    cal, truth = one(law, seed)
    known = truths(truth)
    return [(e.parameter, e.subject, known[e.parameter, e.subject], e.value, e.low, e.high)
            for e in cal.estimates if (e.parameter, e.subject) in known]  # fmt: skip


def study(frame: pd.DataFrame) -> pd.DataFrame:
    """Return ``law, parameter, subject, truth, mean_estimate, bias_in_errors, coverage, n``."""
    grouped = frame.groupby(["law", "parameter", "subject"], sort=False)
    return grouped.apply(
        lambda f: pd.Series(
            {"truth": f["truth"].iloc[0], "mean_estimate": f["value"].mean(),
             "bias_in_errors": (f["value"] - f["truth"]).mean() / f["error"].mean(),
             "coverage": f["covered"].mean(), "n": len(f)}
        ),
        include_groups=False,
    ).reset_index()  # fmt: skip


if __name__ == "__main__":
    begin = time.time()
    chosen = sys.argv[1] if len(sys.argv) > 1 else "exponential"
    numbers = [int(a) for a in sys.argv[2:4]]
    table = rows(chosen, *(numbers or [50]))
    if len(sys.argv) > 4:
        kept = Path(sys.argv[4])
        table = pd.concat([pd.read_csv(kept), table]) if kept.exists() else table
        table.to_csv(kept, index=False)
    print(study(table).to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    print(table.groupby("law")["kind"].value_counts(normalize=True).to_string())
    print(f"{time.time() - begin:.0f} s")
