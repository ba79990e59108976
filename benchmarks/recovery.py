"""Do the intervals of a calibration cover the truth as often as they say?

Draws histories of the synthetic voice operation, calibrates each on a base that knows nothing of them, and counts how
often each 95 % interval holds the planted value. Usage: python benchmarks/recovery.py [histories] [days]; with "heads"
as the first word, the study of the day factor of heads.
"""

from __future__ import annotations

import sys
import time
import warnings
from datetime import date

import numpy as np
import pandas as pd

import bposim as bp
from bposim import datasets
from bposim.calibrate import Calibration
from bposim.scenario import Scenario


def planted(truth: Scenario) -> dict[tuple[str, str], float]:
    """Return the true value of every parameter that carries an interval."""
    values: dict[tuple[str, str], float] = {("day factor cv", "all"): truth.day_factor.cv}
    week = truth.replace(start=date(2026, 5, 4), days=7)  # a week without holidays
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    for t, kind in truth.contact_types.items():
        expected = pd.Series(week.expected_contacts(t)).groupby(week.grid.weekday).sum()
        values |= {("contacts per day", f"{t}, {names[d]}"): float(v) for d, v in expected.items()}
        values[("mean handle time", t)] = kind.handle_time[0].mean
        values[("handle time cv", t)] = kind.handle_time[0].cv
        values[("mean patience", t)] = kind.patience[0].mean
    return values


def one(seed: int, days: int, heads_cv: float = 0.0) -> tuple[Calibration, Scenario]:
    """Draw one history and calibrate it."""
    truth = datasets.voice_truth(days=days, heads_cv=heads_cv)
    log = datasets.draw_history(truth, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bp.History.from_contacts(log.drop(columns="replication"), tz=truth.time_zone)
        return bp.calibrate(datasets.base_scenario(truth), history), truth


def study(histories: int = 100, days: int = 119, first_seed: int = 1000) -> pd.DataFrame:
    """Return ``parameter, subject, truth, mean_estimate, bias_in_errors, coverage, n``."""
    rows = []
    for k in range(histories):
        cal, truth = one(first_seed + k, days)
        values = planted(truth)
        for e in cal.estimates:
            if (e.parameter, e.subject) in values:
                true = values[(e.parameter, e.subject)]
                rows.append((e.parameter, e.subject, true, e.value, (e.high - e.low) / 3.92, e.low <= true <= e.high))
    frame = pd.DataFrame(rows, columns=["parameter", "subject", "truth", "value", "error", "covered"])
    grouped = frame.groupby(["parameter", "subject"], sort=False)
    return grouped.apply(
        lambda f: pd.Series(
            {"truth": f["truth"].iloc[0], "mean_estimate": f["value"].mean(),
             "bias_in_errors": (f["value"] - f["truth"]).mean() / f["error"].mean(),
             "coverage": f["covered"].mean(), "n": len(f)}
        ),
        include_groups=False,
    ).reset_index()  # fmt: skip


def heads_study(
    histories: int = 60, days: int = 119, first_seed: int = 3000, cvs: tuple[float, ...] = (0.0, 0.10, 0.15)
) -> pd.DataFrame:
    """Return ``agent_group, truth, mean_estimate, none, coverage, n`` of the day factor of heads."""
    rows = []
    for cv in cvs:
        for k in range(histories):
            cal, _ = one(first_seed + k, days, cv)
            found = [e for e in cal.estimates if e.parameter == "day factor of heads cv"]
            rows += [(e.subject, cv, e.value, e.value == 0, e.low <= cv <= e.high) for e in found]
    frame = pd.DataFrame(rows, columns=["agent_group", "truth", "value", "none", "covered"])
    grouped = frame.groupby(["agent_group", "truth"], sort=False)
    return grouped.agg(
        mean_estimate=("value", "mean"), none=("none", "mean"), coverage=("covered", "mean"), n=("value", "size")
    ).reset_index()


if __name__ == "__main__":
    begin = time.time()
    if sys.argv[1:2] == ["heads"]:
        print(heads_study(*(int(a) for a in sys.argv[2:])).to_string(index=False, float_format=lambda x: f"{x:.3f}"))
        sys.exit()
    numbers = [int(a) for a in sys.argv[1:]]
    table = study(*numbers)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    outside = table[(table["coverage"] < 0.90) | (table["coverage"] > 0.99)]
    print(f"{len(table)} parameters, {len(outside)} outside 90 to 99 %, mean coverage {np.mean(table['coverage']):.3f}, "
          f"{time.time() - begin:.0f} s")  # fmt: skip
