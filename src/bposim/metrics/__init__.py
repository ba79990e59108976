"""Every KPI defined once, for histories and simulations alike."""

from bposim.metrics.counts import (
    ContactSource,
    Counts,
    count_arrays,
    counts_of_contacts,
    counts_of_intervals,
    tabulate,
    threshold_column,
)
from bposim.metrics.glossary import AUDITED, DEFAULT_METRICS, GLOSSARY, SERVICE_LEVELS, Metric, metric
from bposim.metrics.pooling import time_labels
from bposim.metrics.summary import BY, ratio_interval, summary
from bposim.metrics.windows import no_whole_window, whole_windows, window_shares, windows

__all__ = [
    "AUDITED", "BY", "ContactSource", "Counts", "DEFAULT_METRICS", "GLOSSARY", "Metric", "SERVICE_LEVELS", "count_arrays", "counts_of_contacts",
    "counts_of_intervals", "metric", "no_whole_window", "ratio_interval", "summary", "tabulate", "threshold_column", "time_labels",
    "whole_windows", "window_shares", "windows",
]  # fmt: skip


def glossary() -> "object":
    """Return the glossary as a frame: ``id, title, unit, formula, booking, better, source``."""
    import pandas as pd

    every = [*GLOSSARY.values(), *SERVICE_LEVELS.values()]
    return pd.DataFrame(
        [{"id": m.id, "title": m.title, "unit": m.unit, "formula": m.formula, "booking": m.booking, "better": m.better,
          "source": m.source} for m in every]
    )  # fmt: skip
