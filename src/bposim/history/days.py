"""Days that differ: outages, holidays, outliers, days cut off at the edge of the file, days copied from others.

Each rule compares a day with the others of its weekday and speaks only where chance cannot have done it, Poisson or
over-dispersed; ``docs/design/data-contracts.md`` has the thresholds and the measured rate of false alarms.
"""

from __future__ import annotations

from importlib import resources
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import ive

from bposim.history.quality import Finding, finding
from bposim.history.whole import DUE, Panel, Slots
from bposim.units import rough_time

#: A slot is empty with at most this share of what was due.
EMPTY = 0.1
#: A day's volume is odd this many robust standard deviations from its weekday's …
SIGMAS = 6.0
#: … and at least by this factor.
FACTOR = 1.5
#: Probability under which a day that equals another is no chance, over all pairs.
CHANCE = 1e-6
#: Contacts that must have been under way before an end at which a fifth of them or fewer are.
UNDER_WAY = 20


def day_findings(panel: Panel, country: str | None) -> list[Finding]:
    """Return the findings about single days.

    Parameters
    ----------
    panel : Panel
    country : str or None
        ISO code of the country whose public holidays are named.
    """
    hole, holes, cut, text = _broken(panel)
    odd, moved = _odd(panel, hole | cut)
    named = _holidays(panel, odd, country)
    return [
        *panel.found("truncated_day", cut, text), *panel.found("outage_day", hole, holes),
        *panel.found("holiday_day", odd & named, f", {country}"), *panel.found("outlier_day", odd & ~named, moved),
        *_censored(panel), *_repeated(panel),
    ]  # fmt: skip


def broken_days(panel: Slots) -> tuple[np.ndarray, np.ndarray]:
    """Return which days have an outage, and which are cut off at the edge of the data: days whose counts are not the demand."""
    hole, _, cut, _ = _broken(panel)
    return hole, cut


def _broken(panel: Slots) -> tuple[np.ndarray, str, np.ndarray, str]:
    due = others_mean(panel)
    cut, text = _truncated(panel, due)
    hole, holes = _outages(panel, due) if panel.slots > 1 else (np.zeros(len(panel.day), bool), "")
    return hole & ~cut, holes, cut, text


def others_mean(panel: Slots) -> np.ndarray:
    """Return the mean of each slot over the other days of the weekday; NaN with fewer than two, shape (n_days, n_slots)."""
    due = np.full(panel.total.shape, np.nan)
    for w in range(7):
        mine = panel.weekday == w
        if mine.sum() >= 3:
            known = panel.known[mine]
            count = known.sum(axis=0) - known
            with np.errstate(invalid="ignore", divide="ignore"):
                mean = (panel.total[mine].sum(axis=0) - panel.total[mine]) / count
            due[mine] = np.where(count >= 2, mean, 0.0)
    return due


def _outages(panel: Slots, due: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the days with a hole between two stretches of normal work, and a word on the first."""
    found = np.zeros(len(panel.day), dtype=bool)
    said = ""
    usable = panel.known & ~np.isnan(due)
    p = np.where(usable, due, 0.0)
    low = np.zeros(p.shape, dtype=bool)
    every = (panel.total * usable).sum(axis=1) / np.maximum(p.sum(axis=1), 1e-9)
    for _ in range(3):
        on = usable & ~low
        level = (panel.total * on).sum(axis=1) / np.maximum((p * on).sum(axis=1), 1e-9)
        # Of small counts those above zero would tell too much of the rest.
        level = np.minimum(level, np.maximum(every, 1.0))
        expected = p * level[:, None]
        low = (panel.total <= 1.5 * EMPTY * expected) & usable & (expected > 0)
    # A slot with nothing due neither ends a hole nor begins one.
    busy = usable & ~low & (expected >= 1)
    for d in np.flatnonzero((expected * low).sum(axis=1) >= DUE):
        edges = np.flatnonzero(busy[d])
        for a, b in pairwise(edges):
            gone = expected[d, a + 1 : b].sum()
            if gone >= DUE and panel.total[d, a + 1 : b].sum() <= EMPTY * gone:
                minute = (int(a) + 1) * 1440 // panel.slots
                found[d] = True
                said = said or f", the first from {minute // 60:02d}:{minute % 60:02d}, {gone:,.0f} contacts due"
    # What happens on every fifth day is a habit of the place.
    return (found, said) if found.sum() <= 0.2 * len(found) else (np.zeros_like(found), "")


def truncated_days(panel: Slots) -> np.ndarray:
    """Return which days begin late at the file's beginning, or break off at its end."""
    return _truncated(panel, others_mean(panel))[0]


def _truncated(panel: Slots, due: np.ndarray) -> tuple[np.ndarray, str]:
    """Return whether the first day begins late and the last ends early."""
    found = np.zeros(len(panel.day), dtype=bool)
    said = ""
    if panel.slots == 1 or len(found) < 2:
        return found, said
    for d, word in ((0, "begins late"), (len(found) - 1, "ends early")):
        p = np.where(np.isnan(due[d]), 0.0, due[d]) * panel.open[panel.weekday[d]]
        busy = np.flatnonzero(panel.total[d] > 0)
        if not len(busy) or not p.any():
            continue
        gone = p[: busy[0]].sum() if d == 0 else p[busy[-1] + 1 :].sum()
        inside = p[busy[0] : busy[-1] + 1].sum()
        level = min(panel.total[d].sum() / inside, 1.0) if inside > 0 else 1.0
        if gone * max(level, 0.2) >= DUE:
            found[d] = True
            said = said or f", which {word}, {gone:,.0f} contacts due"
    return found, said


def _odd(panel: Panel, out: np.ndarray) -> tuple[np.ndarray, str]:
    """Return the days whose volume is far from their weekday's at the level of the weeks around."""
    count = panel.total.sum(axis=1)
    if not panel.dated:
        return np.zeros(len(count), dtype=bool), ""
    covered = panel.known.sum(axis=1)
    odd = np.zeros(len(count), dtype=bool)
    usable = ~out & (covered >= 0.8 * np.median(covered))
    usual = np.full(len(count), np.nan)
    for w in range(7):
        mine = np.flatnonzero(usable & (panel.weekday == w))
        if len(mine) >= 4:
            usual[mine] = _others_median(count[mine])
    use = np.flatnonzero(usable & (np.nan_to_num(usual) > 0))
    if len(use) < 14:
        return odd, ""
    level = pd.Series(count[use] / usual[use]).rolling(31, center=True, min_periods=7).median().to_numpy()
    expected = usual[use] * level
    # Roots steady counts, and logarithms the levels of over-dispersed days: an odd day is far off in both.
    z = 2 * (np.sqrt(count[use] + 0.375) - np.sqrt(expected + 0.375))
    logs = np.log((count[use] + 0.5) / (expected + 0.5))
    least = SIGMAS + 30 / len(use)
    far = (np.abs(z) > least * _spread(z, 1.0)) & (np.abs(logs) > least * _spread(logs, 1 / np.sqrt(expected + 0.5)))
    ratio = count[use] / np.maximum(expected, 1e-9)
    odd[use] = far & ((ratio > FACTOR) | (ratio < 1 / FACTOR))
    if not odd.any():
        return odd, ""
    worst = int(np.argmax(np.abs(z)))
    return odd, f"; the farthest has {ratio[worst]:.2g} times what was due"


def _spread(values: np.ndarray, least: Any) -> Any:
    """Return the robust standard deviation of values, at least that of Poisson counts."""
    return np.maximum(least, 1.4826 * float(np.median(np.abs(values - np.median(values)))))


def _others_median(values: np.ndarray) -> np.ndarray:
    """Return the median of the other values, for each."""
    order = np.argsort(values, kind="stable")
    x = values[order]
    n = len(x)
    rank = np.empty(n, dtype=np.int64)
    rank[order] = np.arange(n)
    half = (n - 1) // 2
    upper = x[half + (rank <= half)]
    if (n - 1) % 2:
        return upper
    return (x[half - 1 + (rank <= half - 1)] + upper) / 2


def _holidays(panel: Panel, odd: np.ndarray, country: str | None) -> np.ndarray:
    """Return which of the odd days are public holidays."""
    named = np.zeros(len(odd), dtype=bool)
    named[odd] = public_holidays(panel.day[odd], country)
    return named


def public_holidays(days: np.ndarray, country: str | None) -> np.ndarray:
    """Return which days (since 1970) are public holidays of a country; none where it is not known."""
    named = np.zeros(len(days), dtype=bool)
    if country is None or not len(days):
        return named
    import holidays

    if country not in holidays.list_supported_countries():
        return named
    dates = pd.to_datetime(days, unit="D")
    calendar = holidays.country_holidays(country, years=range(int(dates.min().year), int(dates.max().year) + 1))
    return np.array([d.date() in calendar for d in dates], dtype=bool)


def country_of(zone: str) -> str | None:
    """Return the country that a time zone lies in, None where it lies in none.

    Examples
    --------
    >>> country_of("Asia/Manila"), country_of("UTC")
    ('PH', None)
    """
    text = (resources.files("tzdata") / "zoneinfo" / "zone.tab").read_text(encoding="utf-8")
    for line in text.splitlines():
        if not line.startswith("#") and line.split("\t")[2] == zone:
            return line.split("\t")[0]
    return None


def _censored(panel: Panel) -> list[Finding]:
    """Find a log that was cut by the ends of its contacts: many are under way shortly before, none at the end."""
    if not panel.is_log or len(panel.frame) < 200:
        return []
    arrived = pd.DatetimeIndex(panel.frame["arrived"]).as_unit("us").asi8
    ended = panel.frame["ended"]
    known = ended.notna().to_numpy()
    if known.mean() < 0.9:
        return []
    end = np.where(known, pd.DatetimeIndex(ended).as_unit("us").asi8, arrived)
    stay = end - arrived
    window = int(np.quantile(stay[stay > 0], 0.9)) if (stay > 0).any() else 0
    last = int(arrived.max())

    def under_way(at: int) -> int:
        return int(((arrived < at) & (end > at)).sum())

    before = [under_way(last - k * window) for k in (2, 3, 4)]
    usual = min(before)
    if window == 0 or usual < UNDER_WAY or under_way(last) > usual / 5:
        return []
    rows = panel.source_row[arrived > last - 2 * window]
    detail = f" ({usual:,} were {rough_time(2 * window / 1e6)} earlier)"
    return [finding("censored_edge", count=len(rows), total=len(arrived), rows=np.sort(rows), detail=detail)]


def _repeated(panel: Panel) -> list[Finding]:
    """Find days that equal an earlier one, contact by contact or number by number, where chance cannot."""
    again = _same_log_days(panel) if panel.is_log else _same_report_days(panel)
    first = f"; the first equals {pd.Timestamp(panel.day[again[0][1]], unit='D').date()}" if again else ""
    days = np.zeros(len(panel.day), dtype=bool)
    days[[d for d, _ in again]] = True
    return panel.found("repeated_day", days, first)


def _same_log_days(panel: Panel) -> list[tuple[int, int]]:
    local = panel.frame["arrived"].dt.tz_localize(None).to_numpy().astype("datetime64[us]").astype(np.int64)
    second = local % 86_400_000_000
    order = np.lexsort([second, panel.row_day])
    cuts = np.searchsorted(panel.row_day[order], np.arange(len(panel.day) + 1))
    seen: dict[bytes, int] = {}
    found = []
    for d in range(len(panel.day)):
        times = second[order[cuts[d] : cuts[d + 1]]]
        if len(np.unique(times)) >= 10:
            earlier = seen.setdefault(times.tobytes(), d)
            if earlier != d:
                found.append((d, earlier))
    return found


def _same_report_days(panel: Panel) -> list[tuple[int, int]]:
    """Return later and earlier day of each pair.

    Two days of Poisson counts with mean m agree in a cell with probability exp(−2m) I₀(2m); a history whose counts
    vary less tells its own.
    """
    n, k = len(panel.day), len(panel.types)
    if panel.slots == 1 or n < 2:
        return []
    use = panel.row_day >= 0
    local = panel.frame["interval_start"].dt.tz_localize(None)
    slot = ((local - local.dt.normalize()).dt.total_seconds().to_numpy() // (86400 / panel.slots)).astype(np.int64)
    cell = (panel.row_type * panel.slots + slot)[use]
    day = panel.row_day[use]
    used, cell = np.unique(cell, return_inverse=True)
    numbers = [c for c in panel.frame if c not in ("replication", "source_row") and panel.frame[c].dtype.kind in "iuf"]
    grid = np.full((n, len(used)), np.nan)
    grid[day, cell] = panel.frame["offered"].to_numpy(dtype=float, na_value=np.nan)[use]
    rest = np.zeros(n, dtype=np.uint64)
    values = panel.frame.loc[use, numbers].to_numpy(dtype=float, na_value=-1.0)
    keys = pd.util.hash_pandas_object(pd.DataFrame(values).assign(cell=cell), index=False).to_numpy()
    np.add.at(rest, day, keys)
    found = []
    log_own: np.ndarray | None = None
    for days in (np.flatnonzero(rest == r) for r in np.unique(rest[pd.Series(rest).duplicated().to_numpy()])):
        vector = grid[days[0]]
        if np.nansum(vector) < 10:
            continue
        log_own = _own_collisions(grid) if log_own is None else log_own
        mean = np.maximum(np.nan_to_num(vector), 0.5)
        logs = np.maximum(np.log(ive(0, 2 * mean)), log_own)[~np.isnan(vector)]
        if logs.sum() + np.log(n * (n - 1) / 2) < np.log(CHANCE):
            found += [(int(d), int(days[0])) for d in days[1:]]
    return sorted(found) if k else []


def _own_collisions(grid: np.ndarray) -> np.ndarray:
    """Return the log of the probability that two of the days agree, by cell."""
    shares = []
    for column in grid.T:
        _, counts = np.unique(column[~np.isnan(column)], return_counts=True)
        shares.append(((counts / max(counts.sum(), 1)) ** 2).sum())
    return np.log(np.maximum(shares, 1e-12))
