"""Targets recommended in each past year from the data before it, beside what happened."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.targets.capability import Expected, expect
from bposim.targets.capability_series import FEWEST, MONTHS, MetricHistory

#: Months whose plain quantile stands beside the recommendation.
PLAIN_MONTHS = 24


@dataclass(frozen=True, eq=False)
class YearAhead:
    """One year of one metric: what was expected on 1 January from the data before it, and what came.

    Attributes
    ----------
    year : int
    expected : Expected
    known : ndarray of bool, shape (n_windows,)
        Windows of the year whose value is known.
    value : ndarray, shape (n_known,)
        What came.
    recent : ndarray
        Values of the 24 months before.
    surprise : float
        How far the year's mean lay from what was expected, in standard deviations; better is positive.
    """

    year: int
    expected: Expected
    known: np.ndarray
    value: np.ndarray
    recent: np.ndarray
    surprise: float

    def met(self, levels: Any) -> np.ndarray:
        """Tell which windows met a level for each window of the year, or one for all."""
        level = np.broadcast_to(levels, self.known.shape)[self.known]
        return np.asarray(self.value >= level if self.expected.history.higher else self.value <= level)

    def plain(self, confidence: float) -> float:
        """Return the plain quantile of the months before."""
        return float(np.quantile(self.recent, 1 - confidence if self.expected.history.higher else confidence))


def year_ahead(history: MetricHistory, year: int, *, seed: int = 1) -> YearAhead | None:
    """Return what a year was expected to be and was; None where nothing of it is known.

    Raises
    ------
    ParameterError
        Too little is known before the year.
    """
    origin = pd.Timestamp(year, 1, 1)
    past = history.before(origin)
    if len(past.frame) < FEWEST[history.window]:
        raise ParameterError(
            f"backtest(): {history.metric} is known in {len(past.frame)} whole {history.window}s before {year}; at least "
            f"{FEWEST[history.window]} are needed. Leave out year {year}."
        )
    found = expect(past, seed=seed)
    came = history.frame.set_index("window_start").reindex(found.starts)
    known = came["value"].notna().to_numpy()
    if not known.any():
        return None
    of_year = MetricHistory(history.metric, history.counting, history.within_s, history.window,
                            came[known].reset_index(names="window_start"), history.origin)  # fmt: skip
    y, sampling = of_year.scaled()
    y = y + of_year.centre - past.centre
    z = found.model.surprise_ahead(found.months(found.starts[known]), y, sampling)
    recent = past.frame["value"].to_numpy(dtype=float)[-PLAIN_MONTHS // MONTHS[history.window] :]
    value = of_year.frame["value"].to_numpy(dtype=float)
    return YearAhead(year, found, known, value, recent, z if history.higher else -z)


def backtest(
    histories: Sequence[MetricHistory], confidence: float, years: Sequence[int] | None, *, seed: int = 1
) -> pd.DataFrame:
    """Return a row per year and metric; see :meth:`Capability.backtest`."""
    rows = []
    for history in histories:
        start = pd.DatetimeIndex(history.frame["window_start"])
        first = (start[0] + pd.DateOffset(months=PLAIN_MONTHS - 1)).year + 1
        for year in range(first, start[-1].year + 1) if years is None else years:
            one = year_ahead(history, year, seed=seed)
            if one is not None:
                rows.append(row(one, confidence))
    columns = [
        "year",
        "metric",
        "windows",
        "met",
        "level",
        "met_flat",
        "flat",
        "met_plain",
        "plain",
        "worst",
        "surprise",
    ]
    return pd.DataFrame(rows, columns=columns).sort_values(["metric", "year"], ignore_index=True)


def row(one: YearAhead, confidence: float) -> dict[str, Any]:
    """Return one year of one metric as figures."""
    path, flat = one.expected.levels(confidence), one.expected.levels(confidence, pooled=True)
    plain = one.plain(confidence)
    short = (path[one.known] - one.value) * (1 if one.expected.history.higher else -1)
    return {
        "year": one.year, "metric": one.expected.history.metric, "windows": int(one.known.sum()),
        "met": int(one.met(path).sum()), "level": float(path[one.known].mean()), "met_flat": int(one.met(flat).sum()),
        "flat": float(flat[0]), "met_plain": int(one.met(plain).sum()), "plain": plain,
        "worst": float(max(short.max(), 0.0)), "surprise": one.surprise,
    }  # fmt: skip
