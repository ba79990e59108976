"""Days that are not like their weekday: holidays, the days before and after closed days, days that the user names."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.errors import CalibrationError

#: Missing days in a row up to which they are taken for a holiday rather than for a gap in the file.
LONGEST_HOLIDAY = 4
#: Ordinary days below which the spread of days is not known.
FEWEST = 10
#: Risk of leaving days out of the profile for an effect that is none.
RISK = 0.01
BEFORE, AFTER = "day before a closed day", "day after a closed day"


def read_special_days(given: Any) -> dict[str, tuple[date, ...]]:
    """Return named days: ``{"payday": ["2026-03-31", …]}``, or a plain list, whose name is ``special day``.

    Raises
    ------
    CalibrationError
        Something is no date.
    """
    if given is None:
        return {}
    named = given if isinstance(given, Mapping) else {"special day": given}
    result, problems = {}, []
    for name, days in named.items():
        found = []
        for day in [days] if isinstance(days, str | date) else days:
            try:
                found.append(pd.Timestamp(day).date())
            except (ValueError, TypeError):
                problems.append(f'special_days[{name!r}] holds {day!r}, which is no date. Write "2026-12-24".')
        result[str(name)] = tuple(sorted(set(found)))
    if problems:
        raise CalibrationError(problems)
    return result


def around_closed(
    open_days: Iterable[date], closed: Iterable[date], missing: Iterable[date]
) -> dict[str, tuple[date, ...]]:
    """Return the open days just before and just after closed ones.

    Parameters
    ----------
    open_days : iterable of date
        Days with data.
    closed, missing : iterable of date
        Days on which the scenario is closed, and days without contacts although their weekday is open; up to four of these
        in a row count as closed, more as a gap.
    """
    inside = sorted(open_days)
    if not inside:
        return {}
    missed = sorted(set(missing))
    runs: list[list[date]] = []
    for day in missed:
        if runs and day - runs[-1][-1] == timedelta(days=1):
            runs[-1].append(day)
        else:
            runs.append([day])
    shut = {d for run in runs if len(run) <= LONGEST_HOLIDAY for d in run} | {
        d for d in closed if inside[0] < d < inside[-1]
    }
    known = set(inside)
    before = {d - timedelta(days=1) for d in shut} & known
    after = {d + timedelta(days=1) for d in shut} & known
    found = {BEFORE: tuple(sorted(before)), AFTER: tuple(sorted(after))}
    return {name: days for name, days in found.items() if days}


def fit_special_days(
    days: pd.DataFrame, weekday: Mapping[date, int], named: Mapping[str, tuple[date, ...]]
) -> tuple[list[Estimate], list[str], set[date]]:
    """Estimate how many contacts come on special days, relative to ordinary days of their weekday.

    Parameters
    ----------
    days : DataFrame
        ``date, contact_type, contacts, used``.
    weekday : mapping of date to int
    named : mapping of name to dates

    Returns
    -------
    estimates, notes : list
    clear : set of date
        Days of effects that are clearly none of chance: they do not belong into the weekday profile.

    Notes
    -----
    The effect is Σ contacts ÷ Σ expected over the special days, the expectation being the mean of the ordinary days of the
    weekday. A day's ratio has variance cv² + 1 ÷ m, cv² from the ordinary days (whose number gives Student's degrees of
    freedom), to which the error of the expectation is added. Two days or more give an interval; one day is told alone.
    """
    from scipy.special import stdtrit

    estimates: list[Estimate] = []
    notes: list[str] = []
    clear: set[date] = set()
    every = {d for dates in named.values() for d in dates}
    for t, mine in days.groupby("contact_type", sort=False):
        mine = mine.assign(day=mine["date"].dt.date)
        mine = mine.assign(weekday=mine["day"].map(weekday))
        usual = mine[mine["used"] & ~mine["day"].isin(every)]
        mean, count = usual.groupby("weekday")["contacts"].mean(), usual.groupby("weekday")["contacts"].size()
        m = usual["weekday"].map(mean)
        n = usual["weekday"].map(count)
        scale = np.where(n > 1, n / np.maximum(n - 1, 1), 0.0)
        freedom = len(usual) - len(mean)
        if freedom < FEWEST:
            continue
        seen = (n > 1).to_numpy()
        cv2 = float(max((((usual["contacts"] - m) ** 2 * scale - m) * seen).sum() / (m**2 * seen).sum(), 0.0))
        for name, dates in named.items():
            here = mine[mine["day"].isin(dates) & mine["weekday"].isin(mean.index)]
            if here.empty:
                continue
            level = here["weekday"].map(mean).to_numpy()
            ratio = float(here["contacts"].sum() / level.sum())
            k = len(here)
            if k == 1:
                when = here["day"].iloc[0]
                text = f"one day only ({when}): no interval"
                estimates.append(
                    Estimate("special day", f"{t}, {name}", ratio, n=1, unit="times", source="estimated", detail=text)
                )
                continue
            variance = (level**2 * (cv2 * ratio**2 + ratio / level)).sum() / level.sum() ** 2
            # Days of one weekday share its mean: its error is common to them.
            by_weekday = pd.Series(level).groupby(here["weekday"].to_numpy()).sum()
            shared = (
                (by_weekday**2) * (cv2 + 1 / mean[by_weekday.index]) / count[by_weekday.index]
            ).sum() / level.sum() ** 2
            error = float(np.sqrt(variance + ratio**2 * float(shared)))
            half = float(stdtrit(freedom, 0.975)) * error
            low, high = max(ratio - half, 0.0), ratio + half
            sure = abs(ratio - 1) > float(stdtrit(freedom, 1 - RISK / 2)) * error
            said = f"{100 * (ratio - 1):+.0f} % against ordinary days of the weekday; {'clear' if sure else 'no clear effect'}"
            estimates.append(Estimate("special day", f"{t}, {name}", ratio, low, high, k, "times", "estimated", said))
            if sure:
                clear |= set(here["day"])
                notes.append(
                    f"{name} of {t!r}: {ratio:.2f} times the contacts of its weekday [{low:.2f}, {high:.2f}] ({k} days)."
                )
    if clear:
        notes.append(
            f"{len(clear)} special days with a clear effect were left out of the weekday profile; the scenario does not play them."
        )
    return estimates, notes, clear
