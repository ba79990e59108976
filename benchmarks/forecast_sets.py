"""Forecasts of four public records, defaults only: errors beside baselines and the noise floor, and what bands cover.

Usage: python benchmarks/forecast_sets.py [SET …]; sets: p1, p2, p3, bands (a bank's calls), i8, years (Vancouver's 3-1-1), days,
weeks (the Technion bank), etiqa, intraday. The data stay outside the project.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from bposim.forecast import forecast
from bposim.forecast._backtest import poisson_deviation

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
Cells = pd.DataFrame


def frame_of(series: pd.Series, tz: str, kind: str) -> pd.DataFrame:
    """Return a Volumes frame of counts whose index is local time."""
    starts = series.index.tz_localize(tz, ambiguous="NaT", nonexistent="NaT")
    frame = pd.DataFrame({"contact_type": kind, "interval_start": starts, "contacts": series.to_numpy(dtype=int)})
    return frame[frame["interval_start"].notna()].reset_index(drop=True)


def bank(minutes: int) -> pd.DataFrame:
    """A North American bank, 2003, 164 weekdays of 07:00 to 21:00 (Weinberg, Brown & Stroud 2007)."""
    raw = pd.read_csv(DATA / "bank_calls" / "bank_calls_5min_2003.csv.gz")
    stamps = pd.DatetimeIndex(pd.to_datetime(raw["DateTime"])).tz_localize(None).floor(f"{minutes}min")
    return frame_of(pd.Series(raw["Calls"].to_numpy()).groupby(stamps).sum(), "America/New_York", "calls")


def vancouver() -> pd.DataFrame:
    """Vancouver's 3-1-1, daily, 2009 to 2023 (Open Government Licence – Vancouver)."""
    raw = pd.read_csv(DATA / "vancouver311" / "contact_centre_metrics_2009_2023.csv", sep=";", encoding="utf-8-sig")
    series = pd.Series(raw["CallsOffered"].to_numpy(), index=pd.to_datetime(raw["Date"])).sort_index()
    return frame_of(series, "America/Vancouver", "311")


def technion() -> pd.DataFrame:
    """Technion "Anonymous Bank", January to September 1999, half hours; imputed days left out."""
    raw = pd.read_csv(DATA / "anonbank" / "arrivals_6min_1999_jan_sep.csv.gz", parse_dates=["start"])
    raw = raw[~raw["imputed_day"]]
    series = raw.groupby(raw["start"].dt.floor("30min"))["calls"].sum().round()
    return frame_of(series, "Asia/Jerusalem", "calls")


def etiqa() -> tuple[pd.DataFrame, pd.DataFrame]:
    """Daily calls 2013 to 2015, and the reservations and breaks that are known two months before."""
    folder = DATA / "etiqa_calls"
    calls = pd.read_csv(folder / "calls_daily_2013_2015.csv", sep=";")
    series = pd.Series(calls["calls"].to_numpy(), index=pd.to_datetime(calls["date"], dayfirst=True))
    known = pd.read_csv(folder / "reservations_daily.csv", sep=";")
    known["date"] = pd.to_datetime(known["date"], dayfirst=True)
    return frame_of(series, "Europe/Rome", "calls"), known.drop(columns="total_reservations")


def rolled(history: pd.DataFrame, origins: list[date], days: int, **options: Any) -> Cells:
    """Back-test at some origins, with the default methods beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        ahead = forecast(history, days=max(days, 7), samples=400, **options)
        return ahead.backtest(origins=origins, days=days).cells


def wape(cells: Cells, by: str) -> dict[str, float]:
    """Return WAPE by method, and the noise floor."""
    part = cells[cells["by"] == by]
    gap = (part["expected"] - part["actual"]).abs().groupby(part["method"]).sum()
    out = (gap / part.groupby("method")["actual"].sum()).to_dict()
    own = part[part["method"] == part["method"].iloc[0]]
    return {str(k): float(v) for k, v in out.items()} | {"floor": float(own["floor"].sum() / own["actual"].sum())}


def open_days(history: pd.DataFrame) -> list[date]:
    return list(pd.unique(history["interval_start"].dt.date))


def bank_p1() -> Cells:
    history = bank(5)
    days = open_days(history)
    return rolled(history, [days[45]], (days[59] - days[45]).days + 1, country="US")


def bank_p2() -> Cells:
    history = bank(30)
    return rolled(history, open_days(history)[100:164], 1, country="US")


def bank_p3() -> Cells:
    history = bank(30)
    days = open_days(history)
    return pd.concat(
        [rolled(history, [days[n]], (days[n + 9] - days[n]).days + 1, country="US") for n in (124, 134, 144, 154)]
    )


def bank_bands() -> Cells:
    """Four weeks ahead, an origin each Monday from the thirteenth week."""
    history = bank(30)
    days = open_days(history)
    origins = [d.date() for d in pd.date_range(days[60], days[-1] - timedelta(days=28), freq="W-MON")]
    return rolled(history, origins, 28, country="US")


def vancouver_8() -> Cells:
    origins = [d.date() for d in pd.date_range("2022-01-01", periods=25, freq="28D")]
    return rolled(vancouver(), origins, 56, country="CA", subdivision="BC")


def vancouver_years() -> Cells:
    """56 days from an origin every 28 days of 2013 to 2023."""
    origins = [d.date() for d in pd.date_range("2013-01-01", "2023-11-05", freq="28D")]
    return rolled(vancouver(), origins, 56, country="CA", subdivision="BC")


def technion_days() -> Cells:
    """One day ahead, April to September."""
    history = technion()
    origins = [d for d in open_days(history) if date(1999, 4, 1) <= d <= date(1999, 9, 30)]
    return rolled(history, origins, 1, country="IL")


def technion_bands() -> Cells:
    """Four weeks ahead, an origin each Sunday from April to August."""
    origins = [d.date() for d in pd.date_range("1999-04-04", "1999-09-01", freq="W-SUN")]
    return rolled(technion(), origins, 28, country="IL")


def etiqa_pair() -> Cells:
    """28 days ahead, an origin each Thursday of 2015, with the reservations and without."""
    history, known = etiqa()
    origins = [d.date() for d in pd.date_range("2015-01-01", "2015-12-03", freq="7D")]
    plain = rolled(history, origins, 28)
    helped = rolled(history, origins, 28, regressors=known)
    return pd.concat([plain, helped[helped["method"] == "prophet"].assign(method="prophet with reservations")])


def intraday() -> Cells:
    """Half hours after 11:00, the morning known and not, days 101 to 164 of the bank's calls."""
    history = bank(30)
    frames = []
    on = history["interval_start"].dt.date
    for day in open_days(history)[100:164]:
        came = history[on == day]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ahead = forecast(history, start=day, days=1, samples=400, country="US")
        informed = ahead.update(came, until=f"{day} 11:00")
        late = np.asarray(ahead.starts.hour >= 11)
        actual = came.set_index("interval_start")["contacts"].reindex(ahead.starts[late]).to_numpy(dtype=float)
        for method, view in (("day ahead", ahead), ("morning known", informed)):
            low80, high80, low95, high95 = np.quantile(view.array[:, late, 0], [0.1, 0.9, 0.025, 0.975], axis=0)
            frames.append(
                pd.DataFrame(
                    {"method": method, "by": "interval", "expected": view.expected[late, 0], "actual": actual, "floor": poisson_deviation(actual),
                     "in_80": (actual >= low80) & (actual <= high80), "in_95": (actual >= low95) & (actual <= high95)}
                )
            )  # fmt: skip
            total, paths = actual.sum(), view.array[:, late, 0].sum(axis=1)
            a, b, c, d = np.quantile(paths, [0.1, 0.9, 0.025, 0.975])
            frames.append(
                pd.DataFrame(
                    {"method": method, "by": "day", "expected": [view.expected[late, 0].sum()], "actual": [total],
                     "in_80": [a <= total <= b], "in_95": [c <= total <= d], "floor": poisson_deviation(np.array([total]))}
                )
            )  # fmt: skip
    return pd.concat(frames)


SETS: dict[str, Callable[[], Cells]] = {
    "p1": bank_p1, "p2": bank_p2, "p3": bank_p3, "bands": bank_bands, "i8": vancouver_8, "years": vancouver_years,
    "days": technion_days, "weeks": technion_bands, "etiqa": etiqa_pair, "intraday": intraday,
}  # fmt: skip
#: Sets whose bands are pooled: several weeks from each origin.
BANDS = ("bands", "years", "weeks", "etiqa")


def coverage(cells: dict[str, Cells]) -> pd.DataFrame:
    """Return ``set, by, within_80, within_95, n`` of several sets, of all their windows together, and the mean of the sets."""
    rows = []
    for by in ("interval", "day", "week"):
        parts = {k: f[(f["by"] == by) & (f["method"] == "prophet")] for k, f in cells.items()}
        parts = {k: f for k, f in parts.items() if len(f)}
        if not parts:
            continue
        means = {k: (f["in_80"].mean(), f["in_95"].mean(), len(f)) for k, f in parts.items()}
        every = pd.concat(parts.values())
        means["pooled"] = (every["in_80"].mean(), every["in_95"].mean(), len(every))
        means["mean of sets"] = (*(float(np.mean([means[k][j] for k in parts])) for j in (0, 1)), len(parts))
        rows += [{"set": k, "by": by, "within_80": a, "within_95": b, "n": n} for k, (a, b, n) in means.items()]
    return pd.DataFrame(rows)


def by_year(cells: Cells) -> pd.DataFrame:
    """Return WAPE by day of each method and year of the origin."""
    part = cells[cells["by"] == "day"].assign(year=lambda f: pd.to_datetime(f["origin"]).dt.year)
    part["gap"] = (part["expected"] - part["actual"]).abs()
    sums = part.groupby(["year", "method"])[["gap", "actual"]].sum()
    return (sums["gap"] / sums["actual"]).unstack().reset_index()


def study(names: tuple[str, ...] = tuple(SETS)) -> dict[str, Cells]:
    """Return the cells of each set."""
    return {name: SETS[name]() for name in names}


def page(found: dict[str, Cells]) -> dict[str, pd.DataFrame]:
    """Return the tables of the benchmark page: errors, years, bands."""
    what = {
        "p1": "interval",
        "p2": "interval",
        "p3": "interval",
        "i8": "day",
        "days": "interval",
        "etiqa": "day",
        "intraday": "interval",
    }
    errors = [{"set": k, "by": by, **wape(found[k], by)} for k, by in what.items() if k in found]
    if "intraday" in found:
        errors.append({"set": "intraday", "by": "rest of the day", **wape(found["intraday"], "day")})
    tables = {"errors": pd.DataFrame(errors)}
    if "years" in found:
        tables["years"] = by_year(found["years"])
    bands = {k: f for k, f in found.items() if k in BANDS}
    if bands:
        tables["bands"] = coverage(bands)
    return tables


if __name__ == "__main__":
    if not DATA.exists():
        raise SystemExit(f"The data folder {DATA} is missing; nothing was measured.")
    wrong = [n for n in sys.argv[1:] if n not in SETS]
    if wrong:
        raise SystemExit(f"No set {', '.join(wrong)}. There are: {', '.join(SETS)}.")
    for title, frame in page(study(tuple(sys.argv[1:]) or tuple(SETS))).items():
        print(f"{title}\n{frame.round(4).to_string(index=False)}\n")
