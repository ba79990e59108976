"""Short abandons: who hangs up so soon that a counting rule may leave it out."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.metrics.intervals import wilson

#: Seconds within which an abandonment may count as short.
WITHIN_S = (5, 10)
#: Abandonments below which a type is left out.
FEWEST = 30


def fit_short_abandons(contacts: pd.DataFrame, types: tuple[str, ...]) -> list[Estimate]:
    """Return the share of the abandonments of every type within 5 and 10 s, with the interval of a jackknife over days.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    types : tuple of str
    """
    left = contacts[(contacts["outcome"] == "abandoned") & contacts["wait_s"].notna()]
    day = pd.DatetimeIndex(left["arrived"]).tz_localize(None).normalize()
    kind = left["contact_type"].astype(str).to_numpy()
    wait = left["wait_s"].to_numpy(dtype=float)
    offered = contacts["contact_type"].astype(str).value_counts()
    result = []
    for t in types:
        mine = kind == t
        if mine.sum() < FEWEST:
            continue
        code, names = pd.factorize(day[mine])
        n = np.bincount(code).astype(float)
        for s in WITHIN_S:
            short = np.bincount(code, wait[mine] <= s)
            value, low, high = jackknife_ratio(short, n, None, len(names) - 1)
            if short.sum() == 0:
                low, high = wilson(0, n.sum())
            share = short.sum() / offered[t]
            said = f"hung up within {s} s; {100 * share:.1f} % of all contacts, which excl_short and credit_short leave out or credit"
            result.append(
                Estimate(f"short abandons within {s}s", t, value, low, min(high, 1.0), int(mine.sum()),
                         "share", "estimated", said)
            )  # fmt: skip
    return result
