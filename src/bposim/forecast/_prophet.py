"""The only importer of Prophet: naive times, copied frames, seeded fits, a silent log, a restored global generator."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd

#: How far the trend's slope may turn at a changepoint, in log units per length of the history.
TREND_FREEDOM = 0.45


@dataclass(frozen=True)
class DayFit:
    """A fit of log day totals.

    Attributes
    ----------
    fitted : ndarray, shape (n_days,)
    ahead : ndarray, shape (n_horizon,)
        Forecast with the level held at the end of the history.
    calendar : ndarray, shape (n_days,)
        The part of ``fitted`` that is not trend.
    effects : DataFrame
        What ``weekly``, ``yearly`` and each column add on each day, of history and then of the horizon.
    """

    fitted: np.ndarray
    ahead: np.ndarray
    calendar: np.ndarray
    effects: pd.DataFrame


@contextmanager
def untouched() -> Iterator[None]:
    """Keep NumPy's global generator, the log and the warnings of a foreign library as they were."""
    state = np.random.get_state()
    names = ("cmdstanpy", "prophet", "prophet.plot", "prophet.models")
    loggers = [logging.getLogger(n) for n in names]
    before = [(g.level, g.disabled, g.propagate) for g in loggers]
    try:
        for g in loggers:
            g.disabled = True
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for g, (level, disabled, propagate) in zip(loggers, before, strict=True):
            g.setLevel(level)
            g.disabled, g.propagate = disabled, propagate
        np.random.set_state(state)


def fit_days(
    past: pd.DatetimeIndex,
    log_total: np.ndarray,
    future: pd.DatetimeIndex,
    columns: pd.DataFrame,
    freedom: dict[str, float],
    *,
    yearly: int,
    seed: int,
) -> DayFit:
    """Fit Prophet to log day totals and forecast the horizon.

    Parameters
    ----------
    past, future : DatetimeIndex
        Local days without a time zone.
    log_total : ndarray
        NaN on masked days.
    columns : DataFrame
        Calendar columns, one row per day of ``past`` and then of ``future``.
    freedom : dict
        Prior standard deviation of each column's effect, in log units.
    yearly : int
        Harmonics of the year; 0 for none.
    seed : int
        Seed of the optimiser.
    """
    with untouched():
        from prophet import Prophet

        np.random.seed(seed % 2**32)
        scale = max(float(np.nanmax(np.abs(log_total))), 1e-3)
        model = Prophet(
            growth="linear",
            changepoint_prior_scale=TREND_FREEDOM / scale,
            changepoint_range=0.9,
            n_changepoints=int(np.clip(len(past) // 5, 1, 25)),
            weekly_seasonality=True,
            daily_seasonality=False,
            yearly_seasonality=yearly or False,
            uncertainty_samples=0,
        )
        for name in columns:
            model.add_regressor(name, prior_scale=max(freedom[name] / scale, 1e-4), standardize=False)
        days = past.append(future)
        frame = columns.reset_index(drop=True).copy()
        frame.insert(0, "ds", days.to_numpy())
        train = frame.iloc[: len(past)].copy()
        train.insert(1, "y", np.asarray(log_total, dtype=float))
        model.fit(train, seed=seed % (2**31 - 1))
        out = model.predict(frame)
    yhat, trend = out["yhat"].to_numpy(), out["trend"].to_numpy()
    n = len(past)
    effects = out[[c for c in ("weekly", "yearly", *columns) if c in out]].set_axis(days, axis=0)
    return DayFit(yhat[:n], yhat[n:] - trend[n:] + trend[n - 1], (yhat - trend)[:n], effects)
