"""The bank's log: are two weeks that nobody fitted played back, by week, by day and by half hour?

Technion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000; Brown et al. 2005). Fitted on 1 January to 20 February and on 1 to 24
August; the weeks of 21–25 February and 25–31 August are played with the contacts that came and the agents seen at work. From
the middle of August internet calls have agents of their own: the second scenario has a group for them. Beside the simulation
stand Erlang A and Erlang C on the same contacts, heads and handle times; Erlang A as a spreadsheet would have it (one pool,
presence taken as a call and the pause after it up to 120 s, handle times of the log); and the noise floor: the error that the
simulation itself would make about one of its own replications.

Usage: python benchmarks/bank_backtest.py [replications]
"""

from __future__ import annotations

import sys
import warnings
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bposim as bp
from bposim.calibrate import Backtest, Calibration, group_agents

LOG = Path(__file__).parents[2] / "shared" / "data" / "anonbank" / "calls_1999_jan_feb_aug.csv.gz"
#: Fitted from, fitted until before, played until before.
WEEKS = (("1999-01-01", "1999-02-21", "1999-02-26"), ("1999-08-01", "1999-08-25", "1999-09-01"))
SL = "service_level 20s"


def fitted(history: Any, start: str, until: str, end: str) -> Calibration:
    """Calibrate on ``start`` to ``until`` with the groups that the stretch up to ``end`` shows."""
    own = group_agents(history.between(start, end), types=["IN"])
    known = own.contacts["agent_group"].dropna().unique()
    base = bp.draft_scenario(own)
    if "IN only" in known:
        others = [t for t in base.contact_types if t != "IN"]
        base = base.replace({"agent_groups.IN only.skills": ["IN"], "agent_groups.general.skills": others})
    return bp.calibrate(base, own.between(start, until))


def spreadsheet(cal: Calibration, history: Any, start: str, end: str) -> float:
    """Return the error by half hour of Erlang A with one pool and a presence gap of 120 s."""
    types = list(cal.scenario.contact_types)
    group = {"skills": types, "heads": 1}
    changes = {"agent_groups": {"pool": group}, "routing": {"contact_choice": "longest-wait"}}
    changes |= {f"contact_types.{t}.after_contact_work": None for t in types}
    pooled = cal.scenario.replace(changes)
    crude = replace(cal, scenario=pooled, base=pooled, gap_s=120.0, grouped=False, paces={})
    test = crude.backtest(history, start, end, replications=2)
    return error(test, "interval", "erlang-a")


def error(test: Backtest, level: str, model: str) -> float:
    """Return the mean absolute error of the service level within 20 s, in points."""
    rows = test.formulas.set_index(["level", "metric", "model"])["error"]
    return 100 * float(rows[level, SL, model])


def floor(cal: Calibration, history: Any, start: str, end: str, replications: int) -> float:
    """Return the mean error by half hour of the replications' mean about single replications, in points."""
    from bposim.calibrate.backtest import stretch_of
    from bposim.calibrate.played import play_coarse
    from bposim.metrics import windows

    part = stretch_of(cal, history, start, end)
    runs = play_coarse(part.world, part.own, volumes=part.volumes, staffing=part.staffing, replications=replications, seed=9,
                       within=["20s"])  # fmt: skip
    table = windows(runs, "service_level", "interval", within="20s")
    wide = table.pivot(index="replication", columns="window_start", values="value")
    weight = table.pivot(index="replication", columns="window_start", values="denominator").iloc[0]
    return 100 * float(((wide - wide.mean()).abs() * weight).sum(axis=1).mean() / weight.sum())


def study(replications: int = 100, path: Path = LOG) -> pd.DataFrame:
    """Return one row per week: observed and simulated metrics, errors by day and half hour, the formulas beside them."""
    warnings.simplefilter("ignore")
    history = bp.read_history(path, profile="anonbank").drop_invalid()
    rows = []
    for start, until, end in WEEKS:
        cal = fitted(history, start, until, end)
        week = group_agents(history.between(start, end), types=["IN"])
        test = cal.backtest(week, until, end, replications=replications)
        total = test.frame.set_index("metric")
        days = test.days[test.days["metric"] == SL]
        row: dict[str, Any] = {"week": f"{until} to {test.last}"}
        for name in (SL, "service_level 60s", "abandonment", "asa", "occupancy"):
            row |= {f"{name} observed": total.loc[name, "observed"], f"{name} simulated": total.loc[name, "simulated"]}
        known = cal.backtest(week, until, end, replications=replications, handle_times="observed").frame.set_index(
            "metric"
        )
        for name in (SL, "abandonment", "asa"):
            row[f"{name} simulated, the days' own mean handle times"] = known.loc[name, "simulated"]
        row["error by day, points"] = 100 * float(np.abs(days["observed"] - days["simulated"]).mean())
        for model in ("simulation", "erlang-a", "erlang-c"):
            row[f"error by half hour, {model}"] = error(test, "interval", model)
        row["… erlang-a, spreadsheet"] = spreadsheet(cal, week, until, end)
        row["… noise floor"] = floor(cal, week, until, end, min(replications, 40))
        row["presence gap, s"] = cal.wrap_up_s
        row["verdict"] = test.verdict
        rows.append(row)
    return pd.DataFrame(rows).set_index("week").T


if __name__ == "__main__":
    print(study(int(sys.argv[1]) if len(sys.argv) > 1 else 100).to_string())
