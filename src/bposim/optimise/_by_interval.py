"""What each interval has of its target over the replications of a proof."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd

from bposim.metrics import metric, ratio_interval
from bposim.metrics.counts import MAXIMA
from bposim.optimise._goals import Goal
from bposim.simulate import SimulationResult

COLUMNS = (
    "target", "metric", "level", "interval_start", "contacts", "value", "ci_low", "ci_high", "low", "high",
)  # fmt: skip
#: Shares of the replications that lie below the ends of the band.
BAND = (0.1, 0.9)


def by_interval(goals: Sequence[Goal], played: Sequence[SimulationResult]) -> pd.DataFrame:
    """Return the pooled value of each target in each interval, its 95 % interval, and the band of four replications in five.

    Notes
    -----
    ``contacts`` is the metric's denominator in a mean replication. Targets without a numerator and denominator, quantiles
    of waits and maxima, have no rows. ``low`` and ``high`` are those of the replications in which anybody came.
    """
    batch = np.concatenate([r.batch for r in played])
    frames = []
    for goal in goals:
        asked = metric(goal.target.metric, goal.target.counting)
        if asked.table == "waits" or asked.numerator[0][0] in MAXIMA:
            continue
        pieces = [goal.parts(r) for r in played]
        top, bottom = (np.concatenate([p[k] for p in pieces]) for k in (0, 1))
        value, ci_low, ci_high, _ = ratio_interval(top, bottom, 0.95, batch)
        with warnings.catch_warnings(), np.errstate(divide="ignore", invalid="ignore"):
            warnings.simplefilter("ignore", RuntimeWarning)  # an interval in which nobody ever came has no band
            low, high = np.nanquantile(np.where(bottom > 0, top / bottom, np.nan), BAND, axis=0)
        frames.append(pd.DataFrame({
            "target": goal.label, "metric": goal.target.metric, "level": goal.target.level,
            "interval_start": played[0].scenario.grid.starts, "contacts": bottom.mean(axis=0), "value": value,
            "ci_low": ci_low, "ci_high": ci_high, "low": low, "high": high,
        }))  # fmt: skip
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=list(COLUMNS))
