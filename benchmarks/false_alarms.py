"""How often the rules of data quality fire on clean histories.

Usage: python benchmarks/false_alarms.py [histories, 2000] [first seed, 0]
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from bposim.history import History

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "history"))
from clean_histories import KINDS, random_log, random_report

#: What a clean history may well have.
OFTEN = {"outside_hours", "missing_days"}


def study(n: int = 2000, first: int = 0) -> pd.DataFrame:
    """Return ``kind, histories, alarms`` of ``n`` random clean histories."""
    warnings.simplefilter("ignore")
    rows = []
    for seed in range(first, first + n):
        rng = np.random.default_rng((seed, 5))
        make, profile = ((random_log, "contacts"), (random_report, "intervals"))[seed // len(KINDS) % 2]
        kind = KINDS[seed % len(KINDS)]
        frame = make(rng, kind, float(rng.uniform(0.2, 0.7)))
        history = History.from_contacts(frame, tz="Europe/Berlin", profile=profile, interval="30min")
        found = sorted(set(history.quality.frame["rule"]) - OFTEN)
        if found:
            print(f"seed {seed}, {profile}, {kind}: {', '.join(found)}")
        rows.append((kind, len(found) > 0))
    table = pd.DataFrame(rows, columns=["kind", "alarms"]).groupby("kind", as_index=False, sort=False)
    return table["alarms"].agg(histories="size", alarms="sum")


if __name__ == "__main__":
    asked = [int(a) for a in sys.argv[1:]]
    print(study(*asked).to_string(index=False))
