"""Vancouver's 3-1-1: targets recommended for each year from the data before it, beside what happened; defaults only.

Usage: python benchmarks/vancouver_targets.py [FIRST LAST]; years, 2012 2023. The data stay outside the project.

*Sharper at the same coverage*: the confidence of the recommendation and the quantile of the plain rule are moved until both are
met by the same share of all months, without rounding; the mean level is compared, in points, positive where the recommendation
promises more. The plain rule cannot go below the worst of its 24 months. *Known year*: the best single figure for each year
that somebody could set who has already seen it, all years at the same share of months.
"""

from __future__ import annotations

import sys
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from bposim.history import read_history
from bposim.targets.capability import recommend_from_history
from bposim.targets.capability_backtest import YearAhead, row, year_ahead

DATA = Path(__file__).resolve().parents[2] / "shared" / "data"
FILE = DATA / "vancouver311" / "contact_centre_metrics_2009_2023.csv"
CONFIDENCE = 0.90
METRICS = ("service_level", "abandonment")
#: Outside the middle 80 % of what was expected of a year's mean, the world is said to have changed.
CHANGED = 1.28


def years_of(metric: str, years: range) -> list[YearAhead]:
    """Return each year as it was expected on 1 January, from the months that had ended by then."""
    history = read_history(FILE, profile="vancouver311", tz="America/Vancouver")
    whole = recommend_from_history(history, metrics=metric, confidence=CONFIDENCE)._expected[0].history
    return [one for year in years if (one := year_ahead(whole, year)) is not None]


def met_at(found: list[YearAhead], levels: list[np.ndarray]) -> float:
    """Return the share of all months that meet their levels."""
    return float(np.concatenate([y.met(x) for y, x in zip(found, levels, strict=True)]).mean())


def level_of(found: list[YearAhead], levels: list[np.ndarray]) -> float:
    """Return the mean over all months of the level, or of one less the level where low is good."""
    means = [
        (np.broadcast_to(x, y.known.shape)[y.known].mean(), y.expected.history.higher)
        for y, x in zip(found, levels, strict=True)
    ]
    return float(np.mean([m if higher else 1 - m for m, higher in means]))


def curves(found: list[YearAhead]) -> dict[str, np.ndarray]:
    """Return rows (share of months met, mean level) of each rule as its confidence moves."""
    grid = np.concatenate([np.arange(0.50, 0.99, 0.0025), [0.99, 0.995, 0.999]])
    ours = [[y.expected.levels(float(c), rounded=False) for y in found] for c in grid]
    plain = [[np.array(y.plain(float(c))) for y in found] for c in [*grid, 1.0]]
    seen = [[np.array(_own(y, float(c))) for y in found] for c in [*grid, 1.0]]
    return {
        name: np.array([(met_at(found, x), level_of(found, x)) for x in rule])
        for name, rule in (("recommended", ours), ("plain", plain), ("known year", seen))
    }


def _own(y: YearAhead, confidence: float) -> float:
    higher = y.expected.history.higher
    return float(np.quantile(y.value, 1 - confidence if higher else confidence, method="lower" if higher else "higher"))


def level_at(curve: np.ndarray, share: float) -> float:
    """Return the sharpest mean level that at least a share of the months meets; nan where the rule never gets there."""
    enough = curve[curve[:, 0] >= share - 1e-12]
    return float(enough[:, 1].max()) if len(enough) else np.nan


def sharpness(found: list[YearAhead], name: str) -> pd.DataFrame:
    """Return mean levels at the same coverage: that of the plain rule at its 10 % quantile, 85, 90 % and our own."""
    low = not any(y.expected.history.higher for y in found)
    known = curves(found)
    own = met_at(found, [y.expected.levels(CONFIDENCE, rounded=False) for y in found])
    theirs = met_at(found, [np.array(y.plain(CONFIDENCE)) for y in found])
    # A rule that cannot reach a share stands at its safest: what is said of it is then too kind to it.
    safest = level_of(found, [np.array(y.plain(1.0)) for y in found])
    rows = []
    for why, share in (
        ("plain rule's own", theirs),
        ("85 %", 0.85),
        ("wanted: 90 %", 0.90),
        ("recommendation's own", own),
    ):
        at = {rule: level_at(curve, share) for rule, curve in known.items()}
        gain = 100 * (at["recommended"] - at["plain"])
        told = f"{gain:.1f}" if np.isfinite(gain) else f"> {100 * (at['recommended'] - safest):.1f}"
        shown = {k: 1 - v if low else v for k, v in at.items()}
        rows.append({"metric": name, "months met": why, "share": share, **shown, "points sharper": told})
    return pd.DataFrame(rows)


def study(years: range = range(2012, 2024)) -> dict[str, pd.DataFrame]:
    """Return the tables: by year, pooled, sharpness, years in which the world changed."""
    warnings.simplefilter("ignore")
    found = {m: years_of(m, years) for m in METRICS}
    by_year = pd.DataFrame([row(y, CONFIDENCE) for m in METRICS for y in found[m]])
    sums = by_year.groupby("metric", sort=False)[["windows", "met", "met_flat", "met_plain"]].sum()
    sums.loc["both"] = sums.sum()
    shares = sums[["met", "met_flat", "met_plain"]].div(sums["windows"], axis=0).add_prefix("share_")
    pooled = pd.concat([sums, shares], axis=1).reset_index()
    sharper = [sharpness(found[m], m) for m in METRICS]
    sharper.append(sharpness([y for m in METRICS for y in found[m]], "both, abandonment as 1 − level"))
    return {
        "by year": by_year,
        "pooled": pooled,
        "sharpness": pd.concat(sharper, ignore_index=True),
        "changed": changed(found),
    }


def changed(found: dict[str, list[YearAhead]]) -> pd.DataFrame:
    """Return the years whose mean lay outside the middle 80 % of what was expected."""
    rows = []
    for metric, years in found.items():
        for y in years:
            if abs(y.surprise) > CHANGED:
                past = y.expected.history.frame["value"].to_numpy()[-12:].mean()
                rows.append({"year": y.year, "metric": metric, "was": past, "became": float(y.value.mean()),
                             "surprise": y.surprise, "in words": "better than expected" if y.surprise > 0 else "worse than expected"})  # fmt: skip
    return pd.DataFrame(rows)


def notes() -> list[str]:
    """Return what the advice itself says of the past, on the whole record."""
    warnings.simplefilter("ignore")
    history = read_history(FILE, profile="vancouver311", tz="America/Vancouver")
    return [n for n in recommend_from_history(history, confidence=CONFIDENCE).notes if n.startswith("The world")]


if __name__ == "__main__":
    if not FILE.exists():
        raise SystemExit(f"The file {FILE} is missing; nothing was measured.")
    asked = range(int(sys.argv[1]), int(sys.argv[2]) + 1) if len(sys.argv) == 3 else range(2012, 2024)
    for title, frame in study(asked).items():
        print(f"{title}\n{frame.round(4).to_string(index=False)}\n")
    print("\n".join(notes()))
