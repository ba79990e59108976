"""Histories for the tests of forecasting: Volumes frames with a known truth, and real ones where they are at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"


def volumes(table: np.ndarray, start: str, *, minutes, tz: str = "Asia/Manila", kind: str = "calls") -> pd.DataFrame:
    """A Volumes frame of days × intervals; days of NaN are absent."""
    days = pd.date_range(start, periods=len(table))
    stamps = (days.to_numpy()[:, None] + pd.to_timedelta(np.asarray(minutes), unit="min").to_numpy()).reshape(-1)
    starts = pd.DatetimeIndex(stamps).tz_localize(tz)
    frame = pd.DataFrame({"contact_type": kind, "interval_start": starts, "contacts": table.reshape(-1)})
    return frame.dropna().astype({"contacts": int}).reset_index(drop=True)


WEEK = np.array([1.2, 1.1, 1.0, 1.0, 0.9, 0.5, 0.4])
CURVE = np.array([4.0, 9.0, 12.0, 10.0, 8.0, 9.0, 7.0, 3.0])
HOURS = range(480, 960, 60)


def nhpp(n_days: int, seed: int, *, cv: float = 0.1, start: str = "2023-01-02", kind: str = "calls", scale=1.0):
    """Poisson counts, 08:00–16:00 daily, with a weekly pattern and a gamma day factor."""
    rng = np.random.default_rng(seed)
    factor = rng.gamma(1 / cv**2, cv**2, size=n_days) if cv else np.ones(n_days)
    week = WEEK[pd.date_range(start, periods=n_days).day_of_week]
    rate = 5 * scale * (factor * week)[:, None] * CURVE
    return volumes(rng.poisson(rate).astype(float), start, minutes=HOURS, kind=kind)


def day_counts(series: pd.Series, tz: str, kind: str = "calls") -> pd.DataFrame:
    return pd.DataFrame(
        {"contact_type": kind, "interval_start": series.index.tz_localize(tz), "contacts": series.to_numpy(dtype=int)}
    )


def vancouver() -> pd.Series:
    path = SHARED / "vancouver311" / "contact_centre_metrics_2009_2023.csv"
    if not path.exists():
        pytest.skip("the Vancouver 3-1-1 data are not here (../shared/data/vancouver311)")
    frame = pd.read_csv(path, sep=";", encoding="utf-8-sig")
    return pd.Series(frame["CallsOffered"].to_numpy(), index=pd.to_datetime(frame["Date"])).sort_index()


def bank() -> pd.DataFrame:
    path = SHARED / "bank_calls" / "bank_calls_5min_2003.csv.gz"
    if not path.exists():
        pytest.skip("the bank's calls are not here (../shared/data/bank_calls)")
    raw = pd.read_csv(path)
    stamps = pd.DatetimeIndex(pd.to_datetime(raw["DateTime"])).tz_localize(None).floor("30min")
    half = pd.Series(raw["Calls"].to_numpy()).groupby(stamps).sum()
    return day_counts(half, "America/New_York")
