"""Ten queues, a year of half hours, 13 weeks ahead: seconds of a forecast, on one process and on two, and of the same again.

Usage: python benchmarks/forecast_speed.py
"""

from __future__ import annotations

import time
import warnings

import numpy as np
import pandas as pd

from bposim.forecast import forecast
from bposim.forecast._fits import forget

WEEK = np.array([1.2, 1.1, 1.0, 1.0, 0.9, 0.5, 0.4])


def history(queues: int = 10, days: int = 365, seed: int = 1) -> pd.DataFrame:
    """Return half hours of 08:00 to 20:00 with a day factor, each queue of its own size."""
    rng = np.random.default_rng(seed)
    dates = pd.date_range("2023-01-02", periods=days)
    curve = 4 + 20 * np.sin(np.linspace(0, np.pi, 24))
    starts = (dates.to_numpy()[:, None] + pd.to_timedelta(np.arange(480, 1200, 30), unit="min").to_numpy()).reshape(-1)
    frames = []
    for q in range(queues):
        rate = rng.gamma(50, 1 / 50, (days, 1)) * WEEK[dates.day_of_week][:, None] * curve * (q + 1) / 3
        frames.append(
            pd.DataFrame(
                {"contact_type": f"q{q}", "interval_start": pd.DatetimeIndex(starts).tz_localize("Europe/Berlin"),
                 "contacts": rng.poisson(rate).reshape(-1)}
            )
        )  # fmt: skip
    return pd.concat(frames, ignore_index=True)


def seconds(known: pd.DataFrame, workers: int) -> float:
    """Return how long a forecast takes."""
    begin = time.perf_counter()
    forecast(known, days=91, country="DE", workers=workers)
    return time.perf_counter() - begin


def study() -> pd.DataFrame:
    """Return ``processes, seconds, against_one``."""
    known = history()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        two = seconds(known, 2)
        again = seconds(known, 2)
        forget()
        one = seconds(known, 1)
    rows = [("one", one), ("two", two), ("two, the same once more", again)]
    return pd.DataFrame([(name, s, s / one) for name, s in rows], columns=["processes", "seconds", "against_one"])


if __name__ == "__main__":
    print(study().round(2).to_string(index=False))
