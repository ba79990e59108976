"""Do 95 % intervals of a simulation cover the truth in 95 % of experiments?

Usage: python benchmarks/interval_coverage.py [number of experiments]
"""

from __future__ import annotations

import sys

import pandas as pd


def study(n: int = 1000, replications: int = 40) -> pd.DataFrame:
    """Return ``metric, truth, mean, coverage, n`` over n experiments with seeds of their own.

    The world is an M/M/12+M line (4.2 contacts a minute, handle time 2 min, patience 1 min) over a day of 8 h after a
    warm-up of 2 h, so that the exact steady state is the truth; each experiment has ``replications`` days.
    """
    import bposim as bp
    from bposim.erlang import erlang_a

    world = bp.load_scenario(
        {
            "opening_hours": {"daily": "00:00-10:00"},
            "contact_types": {
                "a": {
                    "arrivals": {"rate": "4.2/min"},
                    "handle_time": {"exponential": {"mean": "2min"}},
                    "patience": {"exponential": {"mean": "1min"}},
                }
            },
            "agent_groups": {"g": {"skills": ["a"], "heads": 12}},
        }
    )
    exact = erlang_a(4.2, 2.0, 12, patience=1.0, within=20 / 60)
    truth = {
        "service_level": float(exact.service_level["offered"]),
        "abandonment": float(exact.p_abandon),
        "mean_wait": float(exact.mean_wait) * 60,
        "asa": float(exact.asa) * 60,
        "occupancy": float(exact.occupancy),
    }
    inside, total = dict.fromkeys(truth, 0), dict.fromkeys(truth, 0.0)
    for k in range(n):
        runs = bp.simulate(world, replications=replications, seed=10_000 + k, warm_up="2h", progress=False)
        table = runs.summary(metrics=list(truth), within="20s").set_index("metric")
        for name, value in truth.items():
            row = table.loc[name]
            inside[name] += bool(row["ci_low"] <= value <= row["ci_high"])
            total[name] += float(row["value"])
    return pd.DataFrame([(m, truth[m], total[m] / n, inside[m] / n, n) for m in truth],
                        columns=["metric", "truth", "mean", "coverage", "n"])  # fmt: skip


if __name__ == "__main__":
    print(study(int(sys.argv[1]) if len(sys.argv) > 1 else 1000).to_string(index=False))
