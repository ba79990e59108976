"""When contacts come: weekday profile, unusual days, and the day's busyness."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.correlation import fit_correlation
from bposim.calibrate.estimates import Estimate, jackknife_ratio, mean_interval
from bposim.calibrate.slots import per_slot, slot_spans, unseen_slots
from bposim.calibrate.special_days import around_closed, fit_special_days, read_special_days
from bposim.errors import CalibrationError
from bposim.scenario import Scenario
from bposim.units import WEEKDAYS, clock_text, make_grid, zone

#: A day counts as unusual when its total lies further than this many robust standard deviations from its weekday's, or more
#: where so few days were seen that one usual day in a history would lie there with more than this risk.
UNUSUAL, UNUSUAL_RISK = 4.5, 0.01
#: What a median absolute deviation is worth of the days it is taken from (Huber & Ronchetti 2009, section 5.1).
_MAD_WORTH = 0.37


@dataclass(frozen=True, eq=False)
class ArrivalFit:
    """Arrivals of every type by weekday and interval, and the day factor.

    Attributes
    ----------
    types : tuple of str
    per_interval : mapping of type to mapping of weekday to tuple of expected contacts
    profile : DataFrame
        ``contact_type, weekday, interval, contacts, ci_low, ci_high, days``.
    days : DataFrame
        ``date, contact_type, contacts, expected, ratio, used``.
    common_cv, own_cv : float, mapping of type to float
        0 where the data show no over-dispersion.
    unusual : tuple of date
    estimates : tuple of Estimate
    special : tuple of date
        Special days with a clear effect, left out of the profile.
    notes : tuple of str
    """

    types: tuple[str, ...]
    per_interval: dict[str, dict[int, tuple[float, ...]]]
    profile: pd.DataFrame
    days: pd.DataFrame
    common_cv: float
    own_cv: dict[str, float]
    unusual: tuple[date, ...]
    estimates: tuple[Estimate, ...]
    special: tuple[date, ...] = ()
    notes: tuple[str, ...] = ()


def day_tables(
    contacts: pd.DataFrame, base: Scenario, first: date, last: date, missing: set[date]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, np.ndarray, int]:
    """Count contacts by day, slot and type over the base scenario's open hours.

    Returns
    -------
    counts : ndarray, shape (n_days, n_slots, n_types)
    days : ndarray of date, shape (n_days,)
    weekday : ndarray, shape (n_days,)
    n_slots : ndarray, shape (n_days,)
        Open intervals of each day's weekday.
    minutes : ndarray, shape (7, n_slots)
        Wall-clock start of each slot by weekday.
    times : ndarray, shape (n_days, n_slots)
        How often each day had each slot: 1, but 0 for the hour that spring takes and 2 for the one that autumn brings twice.
    outside : int
        Contacts outside the open hours.
    """
    types = tuple(base.contact_types)
    n_days = (last - first).days + 1
    grid = make_grid(first, n_days, zone(base.time_zone), base.interval, base.opening_hours, (*base.closed, *missing))
    if not len(grid):
        raise CalibrationError(
            f"the scenario is never open from {first} to {last}. Check its opening_hours and closed."
        )
    utc = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    at = pd.DatetimeIndex(contacts["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    i = np.searchsorted(utc, at, side="right") - 1
    inside = (i >= 0) & (at - utc[np.maximum(i, 0)] < (grid.end_ms - grid.start_ms)[np.maximum(i, 0)])
    kind = pd.Index(types).get_indexer(contacts["contact_type"].astype(str))
    use = inside & (kind >= 0)
    spans = [slot_spans(base, d) for d in range(7)]
    width = max(len(s) for s in spans)
    counts = np.zeros((n_days, width, len(types)))
    np.add.at(counts, (grid.day[i[use]], grid.slot[i[use]], kind[use]), 1)
    times = np.zeros((n_days, width))
    np.add.at(times, (grid.day, grid.slot), (grid.end_ms - grid.start_ms) / 60_000)
    open_days = np.unique(grid.day)
    weekday = np.array([(first.toordinal() + d - 1) % 7 for d in open_days])
    n_slots = np.array([len(s) for s in spans])[weekday]
    minutes, long = np.full((7, width), -1), np.ones((7, width))
    for d, own in enumerate(spans):
        minutes[d, : len(own)] = [low for low, _ in own]
        long[d, : len(own)] = [high - low for low, high in own]
    times = times[open_days] / long[weekday]
    days = np.array([date.fromordinal(first.toordinal() + int(d)) for d in open_days])
    return counts[open_days], days, weekday, n_slots, minutes, times, int((~inside & (kind >= 0)).sum())


def unusual_days(totals: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    """Tell which days lie far from their weekday's median, on the log scale with a robust spread, bool.

    Notes
    -----
    The spread of few days is uncertain, and their median lies close to them: the limit is Student's, with the
    degrees of freedom that the median absolute deviation is worth. A rule that ignores that takes the busiest days of a
    short history for unusual ones, and the day factor comes out too small.
    """
    from scipy.special import stdtrit

    level = np.log(np.maximum(totals, 0.5))
    rest = np.zeros(len(level))
    for d in range(7):
        here = weekday == d
        if here.any():
            rest[here] = level[here] - np.median(level[here])
    n, freedom = len(level), len(level) - len(np.unique(weekday))
    spread = 1.4826 * np.median(np.abs(rest)) * np.sqrt(n / max(freedom, 1))
    spread = max(spread, float(np.sqrt(1 / max(np.median(totals), 1))))
    limit = float(stdtrit(max(_MAD_WORTH * freedom, 3.0), 1 - UNUSUAL_RISK / (2 * n)))
    return np.abs(rest) > max(UNUSUAL, limit) * spread


def fit_arrivals(
    contacts: pd.DataFrame, base: Scenario, first: date, last: date, missing: set[date], special: Any = None
) -> ArrivalFit:
    """Fit arrivals by weekday and interval, special days, the day factor, and what goes together.

    Parameters
    ----------
    contacts : DataFrame
    base : Scenario
    first, last : date
    missing : set of date
    special : list of dates, or mapping of name to dates, optional
        Special days besides those before and after closed ones.

    Raises
    ------
    CalibrationError
        A weekday that the scenario opens has no usable day.
    """
    types = tuple(base.contact_types)
    counts, days, weekday, n_slots, minutes, times, outside = day_tables(contacts, base, first, last, missing)
    totals = counts.sum(axis=(1, 2))
    odd = unusual_days(totals, weekday)
    used = ~odd & (totals > 0)
    named = around_closed(days[totals > 0], base.closed, missing) | read_special_days(special)
    seen = _day_frame(days, types, counts.sum(axis=1), np.full((len(days), len(types)), np.nan), used)
    told, notes, clear = fit_special_days(seen, dict(zip(days, weekday.tolist(), strict=True)), named)
    used &= np.array([d not in clear for d in days])
    problems = [
        f"the scenario opens on {WEEKDAYS[d]}, but the history holds no usable {WEEKDAYS[d]}. Close it or give more history."
        for d in range(7)
        if base.opening_hours[d] and not (used & (weekday == d)).any()
    ]
    if problems:
        raise CalibrationError(problems)
    estimates: list[Estimate] = list(told)
    rows = []
    unseen: list[tuple[int, int]] = []
    per_interval: dict[str, dict[int, tuple[float, ...]]] = {t: {} for t in types}
    expected = np.zeros((len(days), len(types)))
    for d in np.unique(weekday):
        here = used & (weekday == d)
        width = int(n_slots[weekday == d].max())
        unseen += [(int(d), int(minutes[d, s])) for s in np.flatnonzero(times[here][:, :width].sum(axis=0) <= 0)]
        for k, name in enumerate(types):
            block = counts[here][:, :width, k]
            often = times[here][:, :width]
            mean = per_slot(block.sum(axis=0), often.sum(axis=0))
            per_interval[name][int(d)] = tuple(np.round(mean, 6).tolist())
            expected[weekday == d, k] = times[weekday == d][:, :width] @ mean
            for s in range(width):
                had = often[:, s] > 0
                _, low, high = mean_interval(block[had, s] / often[had, s])
                value = float(mean[s])
                low = max(low, 0.0) if low == low else low
                rows.append((name, WEEKDAYS[d], clock_text(minutes[d, s]), value, low, high, int(here.sum())))
            # Days of 23 and 25 hours count as days of 24.
            usual = mean.sum() / np.maximum(often @ mean, 1e-12) if mean.sum() > 0 else 1.0
            total, low, high = mean_interval(block.sum(axis=1) * usual)
            low = max(low, 0.0) if low == low else low
            estimates.append(
                Estimate("contacts per day", f"{name}, {WEEKDAYS[d]}", total, low, high, int(here.sum()), "contacts")
            )
    by_type = counts.sum(axis=1)
    common, own, busy = day_factors(by_type[used], expected[used], weekday[used], types)
    estimates += busy
    if outside:
        estimates.append(
            Estimate("contacts outside opening hours", "all", outside, n=len(contacts), unit="contacts",
                     detail="not in the profile: the scenario is closed then")
        )  # fmt: skip
    # Days on which the clock changes have other intervals than their weekday: they tell nothing of what goes together.
    steady = used & np.array([np.allclose(t[:n], 1.0) for t, n in zip(times, n_slots, strict=True)])
    joint, more = fit_correlation(counts[steady], weekday[steady], n_slots[steady], types)
    estimates += joint
    day_frame = _day_frame(days, types, by_type, expected, used)
    profile = pd.DataFrame(
        rows, columns=["contact_type", "weekday", "interval", "contacts", "ci_low", "ci_high", "days"]
    )
    return ArrivalFit(types, per_interval, profile, day_frame, common, own, tuple(days[odd]), tuple(estimates),
                      tuple(sorted(clear)), (*notes, *unseen_slots("contacts", unseen), *more))  # fmt: skip


def _day_frame(
    days: np.ndarray, types: tuple[str, ...], counts: np.ndarray, expected: np.ndarray, used: np.ndarray
) -> pd.DataFrame:
    """Return ``date, contact_type, contacts, expected, ratio, used``."""
    with np.errstate(invalid="ignore", divide="ignore"):
        return pd.DataFrame(
            {
                "date": np.repeat(pd.to_datetime(days), len(types)),
                "contact_type": np.tile(types, len(days)),
                "contacts": counts.reshape(-1),
                "expected": expected.reshape(-1),
                "ratio": (counts / expected).reshape(-1),
                "used": np.repeat(used, len(types)),
            }
        )


def _roots(value: float, low: float, high: float, freedom: int) -> tuple[float, float, float]:
    """Return the cv and its interval from those of its square.

    The mean of a square root lies below the root of the mean, by an eighth of the relative variance: that is put back.
    """
    from scipy.special import stdtrit

    if value <= 0:
        return 0.0, low, high
    error = np.log(high / low) / (2 * stdtrit(max(freedom, 1), 0.975)) if low > 0 else 0.0
    cv, least, most = (float(np.sqrt(v) * np.exp(min(error, 1.0) ** 2 / 8)) for v in (value, low, high))
    return cv, least, most


def day_factors(
    totals: np.ndarray, expected: np.ndarray, weekday: np.ndarray, types: tuple[str, ...], chance: np.ndarray | None = None
) -> tuple[float, dict[str, float], list[Estimate]]:  # fmt: skip
    """Split the day's over-dispersion into a factor common to all types and one of each type's own.

    Parameters
    ----------
    totals, expected : ndarray, shape (n_days, n_types)
    weekday : ndarray, shape (n_days,)
    types : tuple of str
    chance : ndarray, shape (n_days, n_types), optional
        Variance of a day's total by chance; None for Poisson's, the expected total.

    Notes
    -----
    Given a factor B of mean 1 a day's count is Poisson(m B), so Var(N) = m + m² cv² and, between types with a common
    factor, Cov(N_a, N_b) = m_a m_b cv². Both are inverted with the weekday means taken out (n − 1 for n days of a
    weekday); intervals by the jackknife over days on the logarithm of cv². Over-dispersion is tested first:
    Σ (N − m)² / m is chi-square under a Poisson law (Cochran 1954).
    """
    from scipy.stats import chi2

    n_days, n_types = totals.shape
    count = np.bincount(weekday, minlength=7)[weekday]
    freedom = n_days - len(np.unique(weekday))
    estimates: list[Estimate] = []
    none = (0.0, dict.fromkeys(types, 0.0))
    if freedom < 10:
        text = f"only {n_days} days: too few to tell a busy day from chance; taken as none"
        return (*none, [Estimate("day factor cv", "all", 0.0, n=n_days, source="assumed", detail=text)])
    # (N − mean)² overstates nothing once divided by 1 − 1/n of its weekday; a weekday seen once tells nothing.
    scale = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
    rest = totals - expected
    m = expected
    chance = m if chance is None else chance

    def cv2(a: int, b: int) -> tuple[np.ndarray, np.ndarray]:
        """Numerator and denominator of the pooled moment estimator, by day."""
        top = rest[:, a] * rest[:, b] * scale - (chance[:, a] if a == b else 0.0) * (count > 1)
        return top, m[:, a] * m[:, b] * (count > 1)

    def pooled(top: np.ndarray, bottom: np.ndarray) -> tuple[float, float, float]:
        return jackknife_ratio(top, bottom, None, freedom)

    all_rest, all_m, all_chance = rest.sum(axis=1), m.sum(axis=1), chance.sum(axis=1)
    statistic = float(
        (all_rest**2 / np.maximum(all_chance, 1e-9) * scale * (count > 1)).sum() * freedom / max((count > 1).sum(), 1)
    )
    p = float(chi2.sf(statistic, freedom))
    dispersion = statistic / freedom
    if p > 0.01:
        text = f"none: day totals vary {dispersion:.2f} times as much as Poisson (p = {p:.2f})"
        most = statistic / chi2.ppf(0.025, freedom) - 1  # the over-dispersion that would not be seen
        most = float(np.sqrt(max(most, 0.0) * float(all_chance.mean()) / max(float((all_m**2).mean()), 1e-9)))
        return (*none, [Estimate("day factor cv", "all", 0.0, 0.0, most, n_days, "", "estimated", text)])
    said = f"day totals vary {dispersion:.1f} times as much as Poisson"
    if n_types == 1:
        cv, low, high = _roots(*pooled(*cv2(0, 0)), freedom)
        estimates.append(Estimate("day factor cv", types[0], cv, low, high, n_days, "", "estimated", said))
        return 0.0, {types[0]: cv}, estimates
    pairs = [cv2(a, b) for a in range(n_types) for b in range(a)]
    common_top, common_bottom = np.sum([t for t, _ in pairs], axis=0), np.sum([b for _, b in pairs], axis=0)
    common, low, high = pooled(common_top, common_bottom)
    common_bottom = common_bottom.sum()
    if not np.isfinite(low) or np.sqrt(common) < 0.01:
        common = 0.0
    both = _roots(common, low, high, freedom)
    estimates.append(
        Estimate("day factor cv", "all", *both, n_days, "", "estimated", f"{said}; common to the types")
    )  # fmt: skip
    own: dict[str, float] = {}
    for k, name in enumerate(types):
        top, bottom = cv2(k, k)
        value = top.sum() / bottom.sum() - common
        # Both terms move with the common factor: the error is that of their difference, day by day.
        shared = common_top / common_bottom if common > 0 else np.zeros(n_days)
        error = float(np.std(top / bottom.sum() - shared, ddof=1) * np.sqrt(n_days))
        # Only what is clearly there beyond the common factor: 1 % one-sided.
        shown = value > 2.33 * error
        own[name] = float(np.sqrt(value)) if shown else 0.0
        text = "beyond the common factor" if shown else "none beyond the common factor"
        ends = np.sqrt(np.maximum([value - 1.96 * error, value + 1.96 * error], 0))
        ends[0] = ends[0] if shown else 0.0  # what is told as none lies within its own interval
        estimates.append(
            Estimate("own day factor cv", name, own[name], ends[0], ends[1], n_days, "", "estimated", text)
        )
    return both[0], own, estimates
