"""When the world changed: months in which a metric's level stepped, years that nobody could expect."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from scipy.stats import norm

from bposim.targets.capability_model import Model
from bposim.targets.capability_series import MONTHS, MetricHistory

#: A year is told where less than this share of years would lie so far from what was expected.
UNUSUAL = 0.10
_COLUMNS = ("metric", "kind", "start", "before", "after", "sure")


def changes_of(history: MetricHistory, model: Model) -> pd.DataFrame:
    """Return ``metric, kind, start, before, after, sure``, in order of time.

    ``before`` and ``after`` are the means of up to a year on either side of a step, or of the two calendar years.
    """
    frame, size = history.frame, MONTHS[history.window]
    value = frame["value"].to_numpy(dtype=float)
    start = pd.DatetimeIndex(frame["window_start"])
    year, span = start.year.to_numpy(), 12 // size
    rows = []
    for k, gain in zip(model.steps, model.gains, strict=True):
        sides = (value[max(k - span, 0) : k].mean(), value[k : k + span].mean())
        rows.append((history.metric, "step", start[k], *sides, float(1 / (1 + np.exp(-gain)))))
    for y in np.unique(year):
        first, after = int(np.argmax(year == y)), int(np.flatnonzero(year == y)[-1]) + 1
        if first < span or after - first < max(span // 2, 2):
            continue
        z = model.surprise(first, after)
        inside = float(2 * norm.cdf(abs(z)) - 1)
        if inside > 1 - UNUSUAL:
            before = value[max(first - span, 0) : first].mean()
            rows.append((history.metric, "year", start[first], before, value[first:after].mean(), inside))
    found = pd.DataFrame(rows, columns=list(_COLUMNS))
    return found.astype({"start": "datetime64[ns]"}).sort_values(["start", "kind"], ignore_index=True)


def changes_told(changes: pd.DataFrame, histories: Mapping[str, MetricHistory]) -> list[str]:
    """Return a sentence for each metric whose world changed, with dates."""
    told = []
    for metric, part in changes.groupby("metric", sort=False):
        share = histories[str(metric)].share
        words = []
        for r in part.itertuples():
            levels = " to ".join(f"{100 * x:.0f} %" if share else f"{x:.0f} s" for x in (r.before, r.after))
            verb = "rose" if r.after > r.before else "fell"
            if r.kind == "step":
                words.append(f"from {r.start:%B %Y} the level {verb} from {levels} (probability {r.sure:.2f})")
            else:
                words.append(f"{r.start:%Y} {verb} further than the years before let expect ({levels})")
        told.append(f"The world changed for {str(metric).replace('_', ' ')}: {'; '.join(words)}.")
    return told
