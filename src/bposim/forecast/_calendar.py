"""Calendar columns for day totals: month cycle, holidays and the days around them, and which days are closed."""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

import numpy as np
import pandas as pd

#: Standard deviation, in log units, of a group's common effect and of one name's deviation from it.
COMMON, BY_NAME = 3.0, 0.35
#: Least days of history for a cycle of the month: two and a half months.
MONTH_NEEDS = 75
_MONTH_HARMONICS = 3

GROUPS = {
    "month": "a cycle of the month",
    "holiday": "public holidays",
    "quiet_holiday": "public holidays on quiet weekdays",
    "in_lieu": "weekdays in lieu of a holiday",
    "other_day": "other official or customary days",
    "after": "days after a holiday",
    "before": "days before a holiday",
}


@dataclass(frozen=True)
class Holidays:
    """Dates and names: public holidays, and other days of the country's calendar."""

    public: dict[date, str] = field(default_factory=dict)
    other: dict[date, str] = field(default_factory=dict)

    def between(self, first: date, last: date) -> Holidays:
        """Return those of some days, in order."""
        return Holidays(*({d: k[d] for d in sorted(k) if first <= d <= last} for k in (self.public, self.other)))


def country_problems(country: str | None, subdivision: str | None, caller: str) -> list[str]:
    """Return what is wrong with a country code and a subdivision."""
    if country is None:
        if subdivision is not None:
            return [f"The subdivision parameter of {caller} needs a country. Got subdivision={subdivision!r} alone."]
        return []
    import holidays

    known = holidays.list_supported_countries()
    if country not in known:
        names = {c: c for c in known} | _country_names()
        fold = {n.lower(): n for n in names}
        near = difflib.get_close_matches(str(country).lower(), fold, n=1, cutoff=0.5)
        hint = f" Did you mean {names[fold[near[0]]]!r}?" if near else ""
        return [f"The country parameter of {caller} must be an ISO code with known holidays. Got {country!r}.{hint}"]
    if subdivision is not None and subdivision not in known[country]:
        near = difflib.get_close_matches(str(subdivision), known[country], n=1, cutoff=0.3)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        return [
            f"The subdivision parameter of {caller} must be one of {country}: {', '.join(known[country]) or 'none'}. "
            f"Got {subdivision!r}.{hint}"
        ]
    return []


def _country_names() -> dict[str, str]:
    import holidays
    from holidays import registry

    codes = set(holidays.list_supported_countries())
    found = {}
    for entry in getattr(registry, "COUNTRIES", {}).values():
        code = next((c for c in entry[1:] if c in codes), None)
        if code:
            found[entry[0]] = code
    return found


def load_holidays(country: str | None, subdivision: str | None, years: Iterable[int]) -> Holidays:
    """Return the holidays of a country and subdivision in some years."""
    if country is None:
        return Holidays()
    import holidays

    years = list(years)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        public = dict(holidays.country_holidays(country, subdiv=subdivision, years=years))
        kind: Any = getattr(holidays, country, None)
        supported = getattr(kind, "supported_categories", ())
        categories = tuple(c for c in supported if c in ("government", "bank", "optional"))
        other: dict[date, str] = {}
        if categories:
            other = dict(holidays.country_holidays(country, subdiv=subdivision, years=years, categories=categories))
    return Holidays(public, {d: n for d, n in other.items() if d not in public})


def base_name(name: str) -> str:
    """Return the holiday's name without the mark of its observed substitute."""
    return name.split(" (")[0].strip()


def columns(
    days: pd.DatetimeIndex, holidays: Holidays, open_weekdays: set[int], quiet: set[int], n_past: int, month: bool
) -> tuple[pd.DataFrame, dict[str, list[str]], dict[str, float]]:
    """Return the candidate columns of some days, the columns of each group, and each column's freedom.

    Parameters
    ----------
    days : DatetimeIndex
        The days of history and then of the horizon.
    quiet : set of int
        Weekdays with much less than the usual contacts, on which a holiday takes less away.
    n_past : int
        How many of ``days`` are history.
    """
    out: dict[str, np.ndarray] = {}
    groups: dict[str, list[str]] = {}
    freedom: dict[str, float] = {}

    def add(group: str, name: str, values: np.ndarray, sd: float) -> None:
        out[name] = values
        groups.setdefault(group, []).append(name)
        freedom[name] = sd

    if month:
        place = (days.day.to_numpy() - 0.5) / days.days_in_month.to_numpy()
        for j in range(1, _MONTH_HARMONICS + 1):
            add("month", f"month_sin{j}", np.sin(2 * np.pi * j * place), COMMON)
            add("month", f"month_cos{j}", np.cos(2 * np.pi * j * place), COMMON)
    if holidays.public:
        for group, marked in mark_days(holidays, open_weekdays, quiet).items():
            hit = np.array([marked.get(d, "") for d in days.date], dtype=object)
            on = (hit != "").astype(float)
            if on[:n_past].sum() < 2:
                continue
            add(group, group, on, COMMON)
            if group in ("holiday", "other_day", "after", "before"):
                # One busy day beside a holiday proves nothing; a holiday seen once is half believed.
                least = 1 if group in ("holiday", "other_day") else 2
                for name in sorted(set(hit[:n_past]) - {""}):
                    if (hit[:n_past] == name).sum() >= least:
                        add(group, f"{group}: {name}", (hit == name).astype(float), BY_NAME)
    return pd.DataFrame(out, index=days), groups, freedom


def mark_days(holidays: Holidays, open_weekdays: set[int], quiet: set[int]) -> dict[str, dict[date, str]]:
    """Return for each group of days its dates and names."""
    marks: dict[str, dict[date, str]] = {g: {} for g in GROUPS if g != "month"}
    for d, name in holidays.public.items():
        if d.weekday() in quiet or d.weekday() not in open_weekdays:
            marks["quiet_holiday"][d] = name
        else:
            marks["holiday"][d] = name
    # A substitute that the country's calendar names itself counts as the holiday.
    for d, name in holidays.other.items():
        if base_name(name) != name and d.weekday() in open_weekdays - quiet:
            marks["holiday"][d] = name
    for d, name in marks["quiet_holiday"].items():
        if any(base_name(marks["holiday"].get(d + timedelta(days=k), "")) == base_name(name) for k in (-1, 1, 2, 3)):
            continue
        lieu = d + timedelta(days=1)
        while lieu.weekday() in quiet or lieu.weekday() not in open_weekdays or lieu in marks["holiday"]:
            lieu += timedelta(days=1)
            if (lieu - d).days > 6:
                break
        else:
            if not any(d - timedelta(days=k) in holidays.public for k in (1, 2)):
                marks["in_lieu"].setdefault(lieu, base_name(holidays.public[d]))
    for d, name in holidays.other.items():
        if d.weekday() in open_weekdays - quiet and d not in marks["in_lieu"] and d not in marks["holiday"]:
            marks["other_day"][d] = base_name(name)
    named = marks["holiday"] | marks["in_lieu"]
    off, busy = set(named), open_weekdays - quiet
    for d in sorted(off):
        for step, group in ((1, "after"), (-1, "before")):
            near = d + timedelta(days=step)
            while (near in holidays.public or near in off or near.weekday() not in busy) and abs((near - d).days) < 6:
                near += timedelta(days=step)
            if near not in off and near.weekday() in busy:
                marks[group][near] = named[d]
    return marks


def closed_days(
    horizon: Iterable[date],
    history: pd.DatetimeIndex,
    open_weekdays: set[int],
    holidays: Holidays,
    closed_before: set[date],
) -> dict[date, str]:
    """Return the days of the horizon on which the operation was closed in like cases, with the reason.

    Parameters
    ----------
    history : DatetimeIndex
        Days with data.
    closed_before : set of date
        Days with data that count as closed all the same (no contacts in a busy operation).
    """
    if not len(history):
        return {}
    worked = set(history.date) - closed_before
    first, last = history[0].date(), history[-1].date()
    cases: dict[str, list[bool]] = {}
    for d, name in holidays.public.items():
        if first <= d <= last and d.weekday() in open_weekdays:
            cases.setdefault(name, []).append(d not in worked)
    result = {}
    for d in horizon:
        if d.weekday() not in open_weekdays:
            continue
        if d in holidays.public:
            own = cases.get(holidays.public[d])
            if own and np.mean(own) >= 0.5:
                result[d] = f"{holidays.public[d]}, closed on {sum(own)} of {len(own)} earlier"
            continue
        anniversaries = [_anniversary(d, k) for k in range(1, 6)]
        past = [a for a in anniversaries if a and first <= a <= last and a.weekday() in open_weekdays]
        if len(past) >= 2 and not any(a in worked for a in past):
            result[d] = f"closed on the same date in {len(past)} earlier years"
    return result


def unseen_holidays(horizon: Iterable[date], history: pd.DatetimeIndex, holidays: Holidays) -> dict[date, str]:
    """Return the public holidays of the horizon whose name the history does not hold."""
    first, last = history[0].date(), history[-1].date()
    seen = {base_name(n) for d, n in holidays.public.items() if first <= d <= last}
    coming = {d: holidays.public[d] for d in horizon if d in holidays.public}
    return {d: name for d, name in coming.items() if base_name(name) not in seen}


def _anniversary(day: date, years: int) -> date | None:
    try:
        return day.replace(year=day.year - years)
    except ValueError:
        return None
