"""The bank from its interval reports alone: are two weeks played back within five points of service level?

Technion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000; Brown et al. 2005), offered, answered, abandoned, answered within
20 s and 60 s, sums of waits and talk by half hour. Fitted on January and February 1–20 for the week of 21–25 February, on
August 1–24 (and on parts of either) for that of 25–31 August. Each week is played with its real arrivals and (own) the heads
that its own report shows, (profile) the heads of the fitted scenario, which know nothing of that week.

Usage: python benchmarks/bank_reports.py [path of intervals_30min_1999_jan_feb_aug.csv.gz]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

import bposim as bp
from bposim.calibrate import Calibration
from bposim.calibrate.reports import report_staffing
from bposim.history import History, read_history
from bposim.scenario import Scenario

REPORT = Path(__file__).parents[2] / "shared" / "data" / "anonbank" / "intervals_30min_1999_jan_feb_aug.csv.gz"
#: Fitted from, fitted until before, played from, played until before.
WEEKS = (
    ("1999-01-01", "1999-02-21", "1999-02-21", "1999-02-26"),
    ("1999-02-01", "1999-02-21", "1999-02-21", "1999-02-26"),
    ("1999-08-01", "1999-08-25", "1999-08-25", "1999-09-01"),
    ("1999-08-15", "1999-08-25", "1999-08-25", "1999-09-01"),
)


def read(path: Path = REPORT) -> History:
    """Read the report; what was inferred from the contact log (heads on duty, busy heads) is left out."""
    columns = {"answered_within_s20": "answered_20s", "answered_within_s60": "answered_60s"}
    return read_history(path, profile="intervals", tz="Asia/Jerusalem", columns=columns)


def base() -> Scenario:
    """Return one queue and one pool, with orders of magnitude."""
    return bp.load_scenario(
        {
            "name": "bank", "time_zone": "Asia/Jerusalem", "start": "1999-01-01", "days": 14,
            "opening_hours": {"sun-thu": "07:00-24:00", "fri": "07:00-14:00", "sat": "20:00-24:00"},
            "contact_types": {"all": {"arrivals": {"rate": "60/h"}, "handle_time": {"lognormal": {"mean": "180s", "cv": 1.2}},
                                      "patience": {"exponential": {"mean": "500s"}}}},
            "agent_groups": {"tellers": {"skills": ["all"], "heads": 5}},
        }
    )  # fmt: skip


def played(cal: Calibration, week: History) -> pd.DataFrame:
    """Return ``heads, service_level_20, service_level_60, abandonment, asa_s, daily_error`` for observed, own and profile."""
    first, last = week.days
    world = cal.scenario.replace(
        {"start": first, "days": (last - first).days + 1, "contact_types.all.day_factor": None, "day_factor": None}
    )
    volumes, staffing = report_staffing(cal, week, world)
    table = week.intervals
    seen = table[table["interval_start"].isin(world.grid.starts)]
    days = seen["interval_start"].dt.date.to_numpy()

    def row(name: str, c: dict[str, np.ndarray]) -> tuple[dict[str, object], pd.Series]:
        total = {k: float(v.sum()) for k, v in c.items()}
        by_day = pd.Series(c["answered_within_s20"]).groupby(days).sum() / pd.Series(c["offered"]).groupby(days).sum()
        return {"heads": name, "service_level_20": total["answered_within_s20"] / total["offered"],
                "service_level_60": total["answered_within_s60"] / total["offered"],
                "abandonment": total["abandoned"] / total["offered"],
                "asa_s": total["wait_answered_sum_s"] / total["answered"]}, by_day  # fmt: skip

    names = ("offered", "answered", "abandoned", "answered_within_s20", "answered_within_s60", "wait_answered_sum_s")
    observed, level = row("observed", {n: seen[n].to_numpy(dtype=float) for n in names})
    rows = [observed | {"daily_error": np.nan}]
    for name, heads in (("own", staffing), ("profile", None)):
        runs = bp.simulate(
            world, volumes=volumes, staffing=heads, replications=100, seed=3, within=["20s", "60s"], progress=False
        )
        counts = runs.counts([20.0, 60.0])
        made, by_day = row(name, {n: counts.column(n)[:, :, 0].mean(axis=0) for n in names})
        rows.append(made | {"daily_error": float(np.abs(by_day - level).mean())})
    return pd.DataFrame(rows)


def study(path: Path = REPORT) -> pd.DataFrame:
    """Return the rows of every fit: what was fitted and played, whose heads, the metrics and the daily error."""
    warnings.simplefilter("ignore")
    history = read(path)
    tables = []
    for a, b, c, d in WEEKS:
        made = played(bp.calibrate(base(), history.between(a, b)), history.between(c, d))
        made.insert(0, "played", f"{c} to before {d}")
        made.insert(0, "fitted", f"{a} to before {b}")
        tables.append(made)
    return pd.concat(tables, ignore_index=True)


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    history = read(Path(sys.argv[1]) if len(sys.argv) > 1 else REPORT)
    for a, b, c, d in WEEKS:
        cal = bp.calibrate(base(), history.between(a, b))
        told = cal.summary().set_index("parameter").loc["mean patience"]
        print(f"\nfitted {a} to {b}, played {c} to {d}; mean patience {told['value']:.0f} s "
              f"[{told['ci_low']:.0f}, {told['ci_high']:.0f}]")  # fmt: skip
        print(played(cal, history.between(c, d)).to_string(index=False, float_format=lambda x: f"{x:.3f}"), flush=True)
        print(*(n for n in cal.notes if "does not meet" in n), sep="\n")
