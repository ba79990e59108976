"""Random scenarios over all mechanics through both engines: how many records differ.

Usage: python benchmarks/twins.py [number of scenarios]
"""

from __future__ import annotations

import sys

import pandas as pd

#: (name, probability of each mechanic): plain queues, a quarter of all mechanics at a time, and most of them together.
WORLDS = (("plain", 0.0), ("some mechanics", 0.25), ("most mechanics", 0.6))


def _play(seed: int, mechanics: float) -> tuple[int, str]:
    """Return the contacts of one scenario, and what differs."""
    from bposim.testing import twin_run

    coarse = (None, 1000, 60_000, None, None, None)[seed % 6]  # a third on coarse clocks
    try:
        return twin_run(seed, coarse_ms=coarse, mechanics=mechanics), ""
    except AssertionError as difference:
        return 0, f"seed {seed}: {difference}"


def study(n: int = 10_200) -> pd.DataFrame:
    """Return ``worlds, scenarios, coarse, contacts, differing`` of n scenarios, a third of each kind.

    Every difference is printed with its seed.
    """
    from joblib import Parallel, delayed

    rows = []
    for offset, (name, mechanics) in enumerate(WORLDS):
        seeds = range(offset * 1_000_000, offset * 1_000_000 + n // len(WORLDS))
        found = Parallel(n_jobs=2, batch_size=50)(delayed(_play)(seed, mechanics) for seed in seeds)
        for _, said in found:
            if said:
                print(said)
        coarse = sum(seed % 6 in (1, 2) for seed in seeds)
        rows.append((name, len(seeds), coarse, sum(c for c, _ in found), sum(bool(s) for _, s in found)))
    return pd.DataFrame(rows, columns=["worlds", "scenarios", "coarse", "contacts", "differing"])


if __name__ == "__main__":
    print(study(int(sys.argv[1]) if len(sys.argv) > 1 else 10_200).to_string(index=False))
