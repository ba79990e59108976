"""Contact logs with a known handle time: weekday pattern, course of the day, drift, and a factor of the day."""

import numpy as np
import pandas as pd

from bposim.history import History

PATTERN = np.array([1.15, 1.05, 1.0, 0.97, 0.93, 1.0, 1.0])
COURSE = np.array([0.85, 0.95, 1.0, 1.05, 1.1, 1.05, 1.0, 1.0])
START = "2023-01-02"


def contacts(
    n_days: int,
    seed: int,
    *,
    per_hour: float = 12.0,
    mean: float = 240.0,
    cv: float = 1.0,
    pattern=PATTERN,
    course=COURSE,
    day_sd: float = 0.03,
    drift: float = 0.0,
    season: float = 0.0,
    together: float = 0.0,
    volume_sd: float = 0.08,
    kind: str = "calls",
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Contacts of 08:00 to 16:00 on Mondays to Fridays, and the truth by day: its contacts and the mean of its law."""
    rng = np.random.default_rng(seed)
    days = pd.date_range(START, periods=n_days)
    days = days[days.day_of_week < 5]
    n = len(days)
    z, own = rng.standard_normal(n), rng.standard_normal(n)
    busy = np.exp(volume_sd * z - volume_sd**2 / 2)
    slow = np.exp(day_sd * (together * z + np.sqrt(1 - together**2) * own) - day_sd**2 / 2)
    level = np.exp(np.cumsum(drift * rng.standard_normal(n)))
    year = np.exp(season * np.sin(2 * np.pi * days.day_of_year.to_numpy() / 365.25))
    day_mean = mean * pattern[days.day_of_week] * slow * level * year
    number = rng.poisson(per_hour * busy[:, None] * np.ones(8))
    on, hour = np.repeat(np.indices((n, 8)).reshape(2, -1), number.reshape(-1), axis=1)
    m = day_mean[on] * course[hour]
    s2 = np.log1p(cv**2)
    handle = m * np.exp(np.sqrt(s2) * rng.standard_normal(len(m)) - s2 / 2)
    at = days[on] + pd.to_timedelta(8 + hour + rng.random(len(m)), unit="h")
    at = at.floor("s").tz_localize("Asia/Manila")
    frame = pd.DataFrame({"contact_type": kind, "arrived": at, "wait_s": 5.0, "handle_s": handle.round(1)})
    share = number / np.maximum(number.sum(axis=1, keepdims=True), 1)
    truth = pd.DataFrame({"contacts": number.sum(axis=1), "mean": day_mean * (share @ course)}, index=days)
    return frame.sort_values("arrived", ignore_index=True), truth


def log(frame: pd.DataFrame) -> History:
    return History.from_contacts(frame, tz="Asia/Manila")
