"""How much of a bias of patience is the luck of the histories that were drawn?

A mean over 67 histories is itself known to 0.12 spreads between histories only. Whoever waits hangs up at the hazard h of the
planted law, whatever the queue does: abandonments within t seconds less Σ H(min(wait, t)), H the integral of h, have mean 0
(a martingale). Errors of estimates are regressed on the logarithm of the ratio of both at several t, which the drawn contacts
tell and no calibration sees; what is left at a ratio of 1 is the bias of the method.

Usage: python benchmarks/recovery_luck.py FOLDER, the rows of recovery.py.
"""

from __future__ import annotations

import sys
import warnings
from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import recovery_logs as logs
import recovery_reports as reports
from recovery import LAWS, SEEDS_APART

import bposim as bp
from bposim import datasets

#: Waits up to which abandonments are counted.
UNTIL_S = (20.0, 60.0, np.inf)


def contacts_of(known: str, law: str, seed: int) -> tuple[pd.DataFrame, bp.Distribution]:
    """Return all contacts of a history of the study, and the planted patience."""
    seed += SEEDS_APART * LAWS.index(law)
    if known == "contact log":
        truth = logs.planted(law)
        return datasets.draw_history(truth, seed=seed), truth.contact_types["a"].patience[0]
    truth = reports.planted(law)
    runs = bp.simulate(truth, replications=1, seed=seed, within=["20s", "60s"], progress=False)
    return runs.contacts(), truth.contact_types["a"].patience[0]


@cache
def luck(known: str, law: str, seed: int) -> tuple[float, ...]:
    """Return the logarithm of abandonments over those expected from the waits, by wait."""
    contacts, patience = contacts_of(known, law, seed)
    wait, left = contacts["wait_s"].to_numpy(), (contacts["outcome"] == "abandoned").to_numpy()
    return tuple(
        float(np.log((left & (wait <= t)).sum() / -np.log(np.asarray(patience.sf(np.minimum(wait, t)))).sum()))
        for t in UNTIL_S
    )


def less_luck(error: np.ndarray, lucks: np.ndarray) -> tuple[float, float]:
    """Return the mean of an error at no luck, and its standard error, by least squares."""
    x = np.column_stack([np.ones(len(error)), lucks])
    inverse = np.linalg.inv(x.T @ x)
    beta = inverse @ x.T @ error
    rest = error - x @ beta
    return float(beta[0]), float(np.sqrt(inverse[0, 0] * (rest @ rest) / (len(error) - x.shape[1])))


def study(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``known, law, parameter, n, bias, chance, less_luck, error``, in spreads between histories.

    ``bias`` is that of the page; ``chance`` its standard error; ``less_luck`` and ``error`` those at no luck.
    """
    rows = rows[rows["parameter"].str.contains("patien") & rows["known"].isin(["contact log", "interval report"])]
    found = []
    for (known, law, parameter), f in rows.groupby(["known", "law", "parameter"], sort=False):
        wrong = (f["value"] - f["truth"]).to_numpy()
        lucks = np.array([luck(known, law, seed) for seed in f["seed"]])
        spread = wrong.std(ddof=1)
        mean, error = less_luck(wrong, lucks)
        found.append(
            (known, law, parameter, len(f), wrong.mean() / spread, len(f) ** -0.5, mean / spread, error / spread)
        )
    return pd.DataFrame(found, columns=["known", "law", "parameter", "n", "bias", "chance", "less_luck", "error"])


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    kept = pd.concat([pd.read_csv(p) for p in sorted(Path(sys.argv[1]).glob("*.csv"))], ignore_index=True)
    print(study(kept).to_string(index=False, float_format=lambda x: f"{x:.3f}"))
