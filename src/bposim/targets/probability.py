"""Probability that a target is met, and the level attainable at a confidence, from simulated windows."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd

from bposim.metrics import no_whole_window, whole_windows
from bposim.metrics.intervals import probability, wilson
from bposim.scenario import Target
from bposim.scenario.target import scope

__all__ = ["attainable", "coverage_note", "meets", "probability", "scope", "wilson", "window_values"]


def meets(term: Target, values: np.ndarray) -> np.ndarray:
    """Tell for each value whether it reaches the term's level; a missing value does not.

    Examples
    --------
    >>> meets(Target(metric="asa", level=20, sense="<="), np.array([19.0, 20.0, 21.0, np.nan])).tolist()
    [True, True, False, False]
    """
    return np.asarray(values >= term.level if term.sense == ">=" else values <= term.level)


def window_values(runs: Any, term: Target) -> pd.DataFrame:
    """Return ``replication, window_start, value, batch`` of a target's metric; windows without contacts are left out.

    So are windows cut by the ends of the horizon, wherever it holds a whole one: a part of a window scatters more.
    ``batch`` is the independent observation that a window belongs to: its replication, or the volume path it shares.
    A promise about waiting that names no contact type is about those who wait: where a scenario has live and deferred
    types, the live ones.
    """
    table = runs.windows(
        term.metric, term.window, within=term.within_s, counting=term.counting, contact_type=scope(runs.scenario, term),
        short=term.short_s, strict=term.strict, aggregation=term.aggregation, pass_level=term.pass_level,
    )  # fmt: skip
    table = whole_windows(table)
    table = table.assign(batch=runs.batch[table["replication"].to_numpy()])
    return table[table["value"].notna()].reset_index(drop=True)


def attainable(
    values: pd.DataFrame, term: Target, confidence: float, *, seed: int = 1, resamples: int = 200
) -> tuple[float, float, float]:
    """Return the best level met in a share ``confidence`` of the windows, and its 95 % interval.

    For a metric that must be high the (1 − confidence) quantile of the windows, for one that must be low the
    ``confidence`` quantile, always the simulated value on the safe side; the interval by resampling what is independent:
    the column ``batch``, replications where there is none.
    """
    method: Literal["lower", "higher"]
    q, method = (1 - confidence, "lower") if term.sense == ">=" else (confidence, "higher")
    if values.empty:
        return np.nan, np.nan, np.nan
    table = values["value"].to_numpy()
    level = float(np.quantile(table, q, method=method))
    code, names = pd.factorize(values["batch"] if "batch" in values else values["replication"])
    order = np.argsort(code, kind="stable")
    edges = np.searchsorted(code[order], np.arange(len(names) + 1))
    rng = np.random.default_rng((seed, 77))
    size = np.diff(edges)
    drawn = []
    if (size == size[0]).all():
        square = table[order].reshape(len(names), size[0])
        for _ in range(resamples):
            drawn.append(np.quantile(square[rng.integers(0, len(names), len(names))], q, method=method))
    else:
        for _ in range(resamples):
            pick = rng.integers(0, len(names), len(names))
            drawn.append(
                np.quantile(np.concatenate([table[order[edges[k] : edges[k + 1]]] for k in pick]), q, method=method)
            )
    low, high = np.quantile(drawn, [0.025, 0.975])
    return level, float(low), float(high)


def coverage_note(runs: Any, term: Target) -> str | None:
    """Return a sentence where the horizon does not hold one whole window of the term."""
    return no_whole_window(runs.counts(), term.window, runs.scenario.days)
