"""Rolling-origin back-test: errors, bias and coverage by lead, beside naive baselines and the noise floor."""

from __future__ import annotations

import html
from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from scipy.special import gammaln

from bposim.errors import ForecastError, ParameterError, parameter, require
from bposim.forecast._build import (
    Parts,
    Settings,
    broken_days,
    build,
    candidates,
    check_length,
    fits,
    listed,
    young,
)  # fmt: skip
from bposim.forecast._counts import BROKEN, Counts
from bposim.forecast._days import METHODS
from bposim.forecast._fits import made
from bposim.forecast._handle import Handled
from bposim.provenance import Provenance

MEASURES = ("volume", "handle_time", "workload")
#: Windows and their days.
WINDOWS_DAYS = {"interval": 0, "day": 1, "week": 7, "month": 28}
QUANTILES = np.array([0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975])


def poisson_deviation(mean: np.ndarray) -> np.ndarray:
    """Return the mean absolute deviation of Poisson counts: what a perfect expectation would still miss.

    Notes
    -----
    ``E|N − m| = 2 e^{-m} m^{⌊m⌋+1} / ⌊m⌋!``.
    """
    m = np.maximum(np.asarray(mean, dtype=float), 1e-12)
    k = np.floor(m)
    return np.asarray(2 * np.exp(-m + (k + 1) * np.log(m) - gammaln(k + 1)))


def covered(paths: np.ndarray, actual: np.ndarray, cover: float) -> np.ndarray:
    """Return the share of what came that lies within the central band, of shape ``actual``.

    Notes
    -----
    Counts are whole, and so the band of a small count holds more than it says. What came is spread over the ranks that its count
    takes among the paths, ``P(N < n)`` to ``P(N ≤ n)`` (randomised probability integral transform; Czado, Gneiting & Held 2009),
    with half a path at either end; its part between ``(1 − cover)/2`` and ``(1 + cover)/2`` counts.
    """
    n = len(paths)
    below = ((paths < actual - 1e-9).sum(axis=0)) / (n + 1)
    upto = ((paths <= actual + 1e-9).sum(axis=0) + 1) / (n + 1)
    low, high = (1 - cover) / 2, (1 + cover) / 2
    return np.asarray(np.clip(np.minimum(upto, high) - np.maximum(below, low), 0.0, None) / (upto - below))


@dataclass(frozen=True, eq=False, repr=False)
class Backtest:
    """What forecasts at earlier origins would have missed.

    Attributes
    ----------
    cells : DataFrame
        One row per ``measure, method, origin, contact_type, by`` window: ``window_start, lead_days, lead_week, expected,
        actual, pinball, in_50, in_80, in_95, floor, weight``; a week is seven days from the origin, a month four weeks.
        Measures are ``"volume"`` (contacts) and, where the history holds handle times, ``"handle_time"`` (seconds) and
        ``"workload"`` (hours).
    origins : tuple of date
        First days of the test horizons; each fit saw only the days before.
    """

    cells: pd.DataFrame
    origins: tuple[date, ...]
    days: int
    method: str
    provenance: Provenance
    notes: tuple[str, ...] = ()

    def summary(self, by: str | None = None, lead: bool = False, measure: str | None = "volume") -> pd.DataFrame:
        """Return errors per method, contact type and window; weeks of seven and months of 28 days from each origin.

        Parameters
        ----------
        by : str or None
            ``"interval"``, ``"day"``, ``"week"`` or ``"month"``; None is all that the horizon holds whole.
        lead : bool
            Whether to split by week of lead.
        measure : str or None
            ``"volume"``, ``"handle_time"`` or ``"workload"``; None is all three that there are, in a column of that name.

        Returns
        -------
        DataFrame
            ``method, contact_type, by, [lead_week,] wape, bias, pinball`` (mean loss over mean actual, seven
            quantiles), ``coverage_50, coverage_80, coverage_95, noise_floor, excess_wape, n``.
        """
        if by is not None and by not in WINDOWS_DAYS:
            raise ParameterError(parameter("by", "summary()", f"one of {', '.join(WINDOWS_DAYS)}", by))
        cells = self._of(measure)
        cells = cells if by is None else cells[cells["by"] == by]
        keys = (
            (["measure"] if measure is None else [])
            + ["method", "contact_type", "by"]
            + (["lead_week"] if lead else [])
        )
        rows = []
        for key, part in cells.groupby(keys, sort=False):
            # A window's handle time weighs by its contacts.
            part = part.assign(**{c: part[c] * part["weight"] for c in ("expected", "actual", "pinball", "floor")})
            total = part["actual"].sum()
            whole = total if total > 0 else np.nan
            wape = (part["expected"] - part["actual"]).abs().sum() / whole
            floor = part["floor"].sum() / whole
            rows.append(
                dict(zip(keys, key, strict=True))
                | {
                    "wape": wape,
                    "bias": (part["expected"] - part["actual"]).sum() / whole,
                    "pinball": part["pinball"].sum() / whole,
                    "coverage_50": part["in_50"].mean(),
                    "coverage_80": part["in_80"].mean(),
                    "coverage_95": part["in_95"].mean(),
                    "noise_floor": floor,
                    "excess_wape": wape - floor,
                    "n": len(part),
                }
            )
        return pd.DataFrame(rows)

    def _of(self, measure: str | None) -> pd.DataFrame:
        if measure is None:
            return self.cells
        if measure not in MEASURES:
            raise ParameterError(parameter("measure", "summary()", f"one of {', '.join(MEASURES)}, or None", measure))
        if measure not in set(self.cells["measure"]):
            raise ForecastError(
                f"the back-test has no {measure.replace('_', ' ')}: the history holds no handle times, was given as a "
                f"Volumes frame, or lacks them before the origins. {' '.join(self.notes)}"
            )
        return self.cells[self.cells["measure"] == measure]

    @property
    def verdict(self) -> str:
        """Say in one sentence whether the method beats the baselines on day totals."""
        cells = self._of("volume")
        cells = cells[cells["by"] == "day"].assign(gap=lambda c: (c["expected"] - c["actual"]).abs())
        pooled = cells.groupby("method", sort=False)[["gap", "actual"]].sum()
        wape = pooled["gap"] / pooled["actual"]
        others = wape.drop(self.method, errors="ignore")
        if others.empty:
            return f"{self.method}: WAPE {wape[self.method]:.1%} on days."
        best = str(others.idxmin())
        gain, error = self._gain(best)
        tried = f"over {len(self.origins)} origins"
        against = f"WAPE {wape[self.method]:.1%} against {others[best]:.1%} of {best}, {tried}"
        if len(self.origins) < 2:
            return f"{self.method} on days: WAPE {wape[self.method]:.1%} against {others[best]:.1%} of {best}, at one origin, which proves nothing."
        if abs(gain) <= error:
            return (
                f"{self.method} and the best other method are level on days: {against}, which is within the standard "
                f"error of the difference, {error:.1%}."
            )
        return f"{self.method} {'beats' if gain > 0 else 'does not beat'} the best other method on days: {against}."

    def _gain(self, other: str) -> tuple[float, float]:
        """Return by how much WAPE on days is lower than another method's, and its standard error between origins."""
        cells = self._of("volume")
        cells = cells[cells["by"] == "day"]
        gap = (cells["expected"] - cells["actual"]).abs().groupby([cells["method"], cells["origin"]]).sum().unstack(0)
        own = cells[cells["method"] == self.method]
        whole = own.groupby("origin")["actual"].sum().reindex(gap.index).to_numpy(dtype=float)
        gain = (gap[other] - gap[self.method]).to_numpy(dtype=float)
        if len(gain) < 2 or whole.sum() <= 0:
            return float(gain.sum() / max(whole.sum(), 1.0)), 0.0
        share = gain.sum() / whole.sum()
        apart = (gain - share * whole) / whole.mean()
        # Horizons that overlap share their days.
        starts = np.sort(np.array([(d - self.origins[0]).days for d in self.origins], dtype=float))
        step = min(float(np.median(np.diff(starts))) / self.days, 1.0)
        effective = max(len(gain) * step, 1.0)
        return float(share), float(np.sqrt((apart**2).sum() / (len(gain) - 1) / effective))

    def plot(self, ax: Any = None, by: str = "day") -> Any:
        """Draw WAPE by week of lead for each method, with the noise floor; return the axes."""
        from bposim.forecast._pictures import by_lead

        cells = self._of("volume")
        title = f"error by lead, {len(self.origins)} origins"
        return by_lead(cells[cells["by"] == by], self.method, by, title, ax)

    def __repr__(self) -> str:
        head = f"Backtest of {self.method}: {len(self.origins)} origins of {self.days} days; weeks and months begin at the origin"
        return "\n".join([head, self.verdict, self.summary().to_string(index=False, float_format="{:.3f}".format)])

    def _repr_html_(self) -> str:
        table = self.summary().to_html(index=False, float_format="{:.3f}".format)
        return f"<b>{html.escape(self.verdict)}</b>{table}"


def run_backtest(
    counts: Counts,
    settings: Settings,
    origins: Any,
    days: int | None,
    workers: int | None = None,
    progress: Any = None,
    handled: Handled | None = None,
) -> Backtest:
    """Refit at each origin on the days strictly before it; with handle times, score them and the workload too."""
    from bposim.forecast._handle_score import score_handle

    days = settings.days if days is None else days
    starts, skipped = _origins(counts, origins, days)
    methods = (settings.method, *(m for m in METHODS[1:] if m != settings.method))
    wanted = [
        replace(
            settings, start=origin, days=days, method=method,
            regressors=settings.regressors if method in ("prophet", "auto") else None,
        )
        for origin in starts for method in methods
    ]  # fmt: skip
    # A contact type that was not there yet, or for too short a time, could not have been forecast.
    known, absent = {}, {}
    for origin in starts:
        past = counts.until(origin)
        too_young = young(past)
        known[origin] = tuple(
            t for k, t in enumerate(counts.types)
            if t not in too_young and (past.totals[k].any() or not counts.totals[k].any())
        )  # fmt: skip
        if len(known[origin]) < len(counts.types):
            absent[origin] = ", ".join(t for t in counts.types if t not in known[origin])
    starts = [o for o in starts if known[o]]
    wanted = [w for w in wanted if known[w.start]]
    if not wanted:
        raise ForecastError("no contact type has two whole weeks of history before any origin. Give later origins.")
    made([t for w in wanted for t in candidates(counts.of_types(known[w.start]), w)], workers, progress)
    # Fits that several origins share are made once, all of them side by side.
    made([t for w in wanted for t in fits(counts.of_types(known[w.start]), w)], workers, progress)
    parts = []
    unscored: dict[tuple[date, str], str] = {}
    for w in wanted:
        own = counts.of_types(known[w.start])
        past = own.until(w.start)
        ahead = own.came(w.start, w.start + timedelta(days=days))
        whole = build(past, w)
        # Counts that are not the demand are no error of a forecast.
        ahead = ahead.only(ahead.whole)
        holes = _lacking(ahead, own.dates[-1], whole, w)
        if holes:
            days_text = ", ".join(map(str, holes[:3])) + (", …" if len(holes) > 3 else "")
            unscored[w.start, "days"] = (
                f"origin {w.start}: {len(holes)} days that were forecast as open have no counts ({days_text}): taken as "
                "closed and known to be, they are left out of what was forecast and of what came."
            )
        parts.append(_score(whole, past, ahead, w.start, days).assign(method=w.method, measure="volume", weight=1.0))
        if handled is not None:
            try:
                parts.append(
                    score_handle(whole, w, past, ahead, handled.of(counts.types, own.types)).assign(method=w.method)
                )
            except ForecastError as error:
                unscored[w.start, "handle"] = f"origin {w.start}: handle times are not scored, {error}"
    cells = pd.concat(parts, ignore_index=True)
    notes = tuple(f"origin {d} was left out: fewer than two weeks of history before it." for d in skipped)
    notes += tuple(
        f"origin {d} leaves out {t}: fewer than two weeks of its own history before it." for d, t in absent.items()
    )
    tested = {o + timedelta(days=k) for o in starts for k in range(days)}
    for rule, dates in broken_days(counts).items():
        if out := sorted(tested & set(dates)):
            notes += (
                f"Not scored, {BROKEN[rule]}: {listed(out)}. These days are left out of what was forecast and of what came.",
            )
    notes = (*notes, *unscored.values())
    inputs = {"origins": [str(d) for d in starts], "days": days, "method": settings.method, "seed": settings.seed}
    return Backtest(cells, tuple(starts), days, settings.method, Provenance("backtest", inputs), notes)


def _origins(counts: Counts, origins: Any, days: int) -> tuple[list[date], list[date]]:
    problems = []
    if isinstance(days, bool) or not isinstance(days, int) or days < 1:
        problems.append(parameter("days", "backtest()", "a whole number of at least 1", days))
        days = 1
    last = counts.dates[-1].date()
    if origins is None or (isinstance(origins, int) and not isinstance(origins, bool)):
        number = 6 if origins is None else origins
        if number < 1:
            problems.append(parameter("origins", "backtest()", "a number of at least 1, or days", origins))
        wanted = [last - timedelta(days=k * days - 1) for k in range(max(number, 1), 0, -1)]
    else:
        wanted = []
        given = (origins,) if isinstance(origins, str | date) else origins
        for value in given if isinstance(given, Iterable) else (given,):
            try:
                day = value.date() if isinstance(value, datetime) else date.fromisoformat(str(value)[:10])
            except ValueError:
                problems.append(parameter("origins", "backtest()", 'days such as "2024-12-01"', value))
                continue
            if day > last:
                rule = f"days of the history, at most {last}"
                problems.append(parameter("origins", "backtest()", rule, str(day)))
            wanted.append(day)
    require(problems, ParameterError)
    kept, skipped = [], []
    for day in wanted:
        try:
            check_length(counts.until(day), counts.types)
        except ForecastError:
            skipped.append(day)
        else:
            kept.append(day)
    if not kept:
        raise ForecastError(
            f"the history, {counts.dates[0].date()} to {last}, is too short for a back-test of {days} days: "
            "no origin has two whole weeks before it. Ask for fewer days or give later origins."
        )
    return kept, skipped


def _lacking(ahead: Counts, last: pd.Timestamp, parts: Parts, settings: Settings) -> list[date]:
    """Return the days of the horizon, up to the end of the history, that were forecast as open and have no counts."""
    every = pd.Timestamp(settings.start) + pd.to_timedelta(np.unique(parts.grid.day), unit="D")
    return list(every[(every <= last) & ~every.isin(ahead.dates) & ~every.isin(list(ahead.broken))].date)


def _score(parts: Parts, past: Counts, ahead: Counts, origin: date, days: int) -> pd.DataFrame:
    """Compare a forecast with the days that came, on every interval either side knows."""
    grid = parts.grid
    slot = np.minimum(np.searchsorted(past.minutes, grid.minute), len(past.minutes) - 1)
    day = np.array([pd.Timestamp(origin) + pd.Timedelta(days=int(k)) for k in grid.day])
    # Intervals of a repeated hour are pooled, as in the history's table.
    key = pd.DataFrame({"day": day, "slot": slot})
    code, unique = pd.factorize(pd.MultiIndex.from_frame(key))
    n = len(unique)
    s, _, k = parts.array.shape
    expected, paths = np.zeros((n, k)), np.zeros((s, n, k))
    np.add.at(expected, code, parts.expected)
    np.add.at(paths.transpose(1, 0, 2), code, parts.array.transpose(1, 0, 2))
    # What came: every open interval of the days with data; days without data were not observed.
    rows, cols = np.nonzero(ahead.times)
    came = pd.MultiIndex.from_arrays([ahead.dates[rows], cols])
    at = unique.get_indexer(came)
    full_expected = np.where(at[:, None] >= 0, expected[np.maximum(at, 0)], 0.0)
    full_paths = np.where(at[None, :, None] >= 0, paths[:, np.maximum(at, 0)], 0.0)
    actual = ahead.table[:, rows, cols].T
    on = ahead.dates[rows]
    lead = (on - pd.Timestamp(origin)).days.to_numpy()
    frames = []
    for by, length in WINDOWS_DAYS.items():
        if by == "interval":
            if len(past.minutes) == 1:
                continue
            first = np.arange(len(rows))
        else:
            # A week that the horizon cuts, or a month, is none.
            whole = lead < days // length * length
            block = (lead // length)[whole]
            first = np.flatnonzero(np.insert(np.diff(block) != 0, 0, True)) if len(block) else np.empty(0, dtype=int)
        if not len(first):
            continue
        end = len(rows) if by == "interval" else int(whole.sum())
        e = np.add.reduceat(full_expected[:end], first, axis=0)
        a = np.add.reduceat(actual[:end], first, axis=0)
        sums = np.add.reduceat(full_paths[:, :end], first, axis=1)
        bands = np.quantile(sums, QUANTILES, axis=0)
        inside = {cover: covered(sums, a, cover / 100) for cover in (50, 80, 95)}
        miss = a - bands
        q = QUANTILES[:, None, None]
        pinball = 2 * np.maximum(q * miss, (q - 1) * miss).mean(axis=0)
        stamp = on[first].tz_localize(past.zone, ambiguous=True, nonexistent="shift_forward")
        minute = past.minutes[cols[first]] if by == "interval" else np.zeros(len(first))
        for j, name in enumerate(past.types):
            frames.append(
                pd.DataFrame(
                    {
                        "origin": origin,
                        "contact_type": name,
                        "by": by,
                        "window_start": stamp,
                        "minute": minute.astype(int),
                        "lead_days": lead[first] + 1,
                        "lead_week": lead[first] // 7 + 1,
                        "expected": e[:, j],
                        "actual": a[:, j],
                        "pinball": pinball[:, j],
                        "in_50": inside[50][:, j],
                        "in_80": inside[80][:, j],
                        "in_95": inside[95][:, j],
                        "floor": poisson_deviation(a[:, j]),
                    }
                )
            )
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()
