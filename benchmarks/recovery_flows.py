"""Do the intervals of the flow estimators cover the truth as often as they say?

Redials, day factors and their correlations, special days, absence: histories with planted values are drawn and fitted,
and coverage and bias (in standard errors) are counted. Usage: python benchmarks/recovery_flows.py [study …] [histories].
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import pandas as pd

import bposim as bp
from bposim import datasets
from bposim.calibrate.estimates import Estimate

Row = tuple[str, str, float, float, float, float]


def rows_of(estimates: Iterable[Estimate], truth: dict[tuple[str, str], float]) -> list[Row]:
    """Return ``parameter, subject, truth, value, low, high`` of the estimates whose truth is known."""
    return [(e.parameter, e.subject, truth[e.parameter, e.subject], e.value, e.low, e.high)
            for e in estimates if (e.parameter, e.subject) in truth]  # fmt: skip


def judged(rows: list[Row]) -> pd.DataFrame:
    """Return ``parameter, subject, truth, mean_estimate, bias_in_errors, coverage, n`` (errors: spread over histories)."""
    frame = pd.DataFrame(rows, columns=["parameter", "subject", "truth", "value", "low", "high"])
    grouped = frame.groupby(["parameter", "subject", "truth"], sort=False)
    return grouped.apply(
        lambda f: pd.Series(
            {"mean_estimate": f["value"].mean(), "bias_in_errors": (f["value"] - f.name[2]).mean() / f["value"].std(ddof=1),
             "coverage": ((f["low"] <= f.name[2]) & (f.name[2] <= f["high"])).mean(), "n": len(f)}
        ),
        include_groups=False,
    ).reset_index()  # fmt: skip


def redial_world(
    probability: float, *, delay: dict[str, Any] | None = None, days: int = 42, heads: int = 7
) -> bp.Scenario:
    """Return one queue in which a fifth of the contacts hangs up."""
    body: dict[str, Any] = {
        "arrivals": {"rate": "60/h"},
        "handle_time": {"lognormal": {"mean": "380s", "cv": 1.0}},
        "patience": {"exponential": {"mean": "150s"}},
    }
    if probability > 0:
        law = delay or {"lognormal": {"mean": "8min", "cv": 1.2}}
        body["redial"] = {"after_abandonment": probability, "delay": law}
    return bp.load_scenario(
        {
            "time_zone": "Europe/Berlin", "start": "2026-03-02", "days": days, "day_factor": {"gamma": {"cv": 0.1}},
            "opening_hours": {"mon-fri": "08:00-18:00"}, "contact_types": {"sales": body},
            "agent_groups": {"team": {"skills": ["sales"], "heads": heads}},
        }
    )  # fmt: skip


def redial_history(probability: float, seed: int, **more: Any) -> tuple[pd.DataFrame, bp.Scenario]:
    """Draw a history with customers who call again."""
    world = redial_world(probability, **more)
    return datasets.name_customers(datasets.draw_history(world, seed=seed), customers=4000, seed=seed), world


def redials(histories: int = 200, first_seed: int = 5000) -> pd.DataFrame:
    """Study the redial share, with and without redials, and its delay."""
    from bposim.calibrate.redials import FOLLOW_S, fit_redials

    rows: list[Row] = []
    for probability in (0.15, 0.45):
        for k in range(histories):
            log, world = redial_history(probability, first_seed + k)
            law = world.contact_types["sales"].redial.delay
            truth = {("redial share of abandonments", "all"): probability * float(law.cdf(FOLLOW_S)),
                     ("redial delay", "all"): float(law.quantile(0.5)), ("repeat share of answered", "all"): 0.0}  # fmt: skip
            rows += rows_of(fit_redials(log, world).estimates, truth)
    return judged(rows)


class Report:
    """A history of which only the interval report is known."""

    def __init__(self, intervals: pd.DataFrame) -> None:
        self.intervals = intervals


def next_intervals(law: Any, probability: float, length_s: float = 1800.0) -> float:
    """Return the share of abandonments that redial one or two intervals later, abandonments being spread evenly."""
    left = length_s * (1 - (np.arange(2000) + 0.5) / 2000)
    return probability * float(np.mean(law.cdf(left + 2 * length_s) - law.cdf(left)))


def reports(histories: int = 200, first_seed: int = 8000) -> pd.DataFrame:
    """Study redials told from interval reports alone: 90 days, delays of 20 minutes."""
    from bposim.calibrate.redials_report import WHAT, fit_redials_from_report

    rows: list[Row] = []
    for probability in (0.0, 0.5):
        world = redial_world(probability, delay={"lognormal": {"mean": "20min", "cv": 1.0}}, days=90)
        redial = world.contact_types["sales"].redial
        truth = {(WHAT, "sales"): next_intervals(redial.delay, probability) if redial else 0.0}
        for k in range(histories):
            runs = bp.simulate(world, replications=1, seed=first_seed + k, progress=False)
            rows += rows_of(fit_redials_from_report(Report(runs.intervals)), truth)
    return judged(rows)


def day_counts(
    rng: np.random.Generator, days: int, *, common: float, own: float, half: float, slot: float = 0.0, phi: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """Draw counts by day, interval (24) and type (2), and the weekdays.

    Parameters
    ----------
    common, own, half : float
        cv of gamma factors: common to both types, of each type's own, and of each half day's own (common to the types).
    slot, phi : float
        cv of a factor of each interval's own, and its correlation from one to the next (lognormal).
    """
    weekday = np.arange(days) % 6
    level = np.outer(np.array([1.25, 1.05, 1.0, 0.95, 0.9, 0.5]), [700, 300])[weekday]
    shape = 0.4 + np.exp(-((np.linspace(-1, 1, 24) / 0.5) ** 2))
    p = shape / shape.sum()

    def factor(cv: float, size: tuple[int, ...]) -> np.ndarray:
        return rng.gamma(cv**-2, cv**2, size) if cv > 0 else np.ones(size)

    busy = factor(common, (days, 1, 1)) * factor(own, (days, 1, 2)) * np.repeat(factor(half, (days, 2, 1)), 12, axis=1)
    if slot > 0:
        noise = np.zeros((days, 24))
        noise[:, 0] = rng.normal(size=days)
        for k in range(1, 24):
            noise[:, k] = phi * noise[:, k - 1] + np.sqrt(1 - phi**2) * rng.normal(size=days)
        sigma = np.sqrt(np.log1p(slot**2))
        busy = busy * np.exp(sigma * noise - sigma**2 / 2)[:, :, None]
    return rng.poisson(level[:, None, :] * p[:, None] * busy).astype(float), weekday


def days(histories: int = 200, length: int = 102, first_seed: int = 6000) -> pd.DataFrame:
    """Study day factors, their correlation between queues, and the correlation within the day."""
    from bposim.calibrate.arrivals import day_factors
    from bposim.calibrate.correlation import between_queues, within_day

    rows: list[Row] = []
    slots = np.full(length, 24)
    for common, own, half in ((0.10, 0.0, 0.0), (0.10, 0.08, 0.0), (0.12, 0.0, 0.10)):
        squares = {k: v**2 for k, v in (("common", common), ("own", own), ("half", half))}
        product = (1 + squares["common"]) * (1 + squares["own"]) - 1
        truth = {("correlation of day factors", "a and b"): squares["common"] / product if half == 0 else np.nan,
                 ("correlation within the day", "all"): squares["common"] / ((1 + squares["common"]) * (1 + squares["half"]) - 1)
                 if own == 0 else np.nan, ("day factor cv", "all"): common if half == 0 else np.nan}  # fmt: skip
        for k in range(histories):
            counts, weekday = day_counts(
                np.random.default_rng(first_seed + k), length, common=common, own=own, half=half
            )
            totals = counts.sum(axis=1)
            mean = np.stack([totals[weekday == d].mean(axis=0) for d in range(6)])[weekday]
            found = [*day_factors(totals, mean, weekday, ("a", "b"))[2], *between_queues(totals, weekday, ("a", "b")),
                     *within_day(counts.sum(axis=2), weekday, slots, "all")[0]]  # fmt: skip
            known = {key: v for key, v in truth.items() if np.isfinite(v)}
            rows += [(r[0], f"{r[1]} ({common}, {own}, {half})", *r[2:]) for r in rows_of(found, known)]
    return judged(rows)


def neighbours(histories: int = 200, length: int = 102, first_seed: int = 6500) -> pd.DataFrame:
    """Study how often neighbouring intervals are said to go together, with and without a factor of their own."""
    from bposim.calibrate.correlation import within_day

    rows = []
    for slot, phi in ((0.0, 0.0), (0.15, 0.0), (0.15, 0.6)):
        for k in range(histories):
            counts, weekday = day_counts(
                np.random.default_rng(first_seed + k), length, common=0.1, own=0, half=0, slot=slot, phi=phi
            )
            found = within_day(counts.sum(axis=2), weekday, np.full(length, 24), "all")[0][-1]
            rows.append(
                (slot, phi, found.value, found.detail.startswith("none"), found.low > 0, found.low <= phi <= found.high)
            )
    frame = pd.DataFrame(rows, columns=["slot_cv", "phi", "value", "none", "clear", "covered"])
    return frame.groupby(["slot_cv", "phi"]).mean().reset_index()


def rosters(
    rng: np.random.Generator, *, absence: float, correlation: float, agents: int = 30, days: int = 60
) -> pd.DataFrame:
    """Draw shifts of eight hours with half an hour of break, and who was there: late by minutes, absent together or apart."""
    rows = []
    for day in pd.bdate_range("2026-03-02", periods=days):
        spread = 1 / correlation - 1 if correlation > 0 else 0.0
        p = rng.beta(absence * spread, (1 - absence) * spread) if correlation > 0 else absence
        for k in range(agents):
            name, start = f"a{k:02d}", day + pd.Timedelta(hours=8 + k % 3)
            end, pause = start + pd.Timedelta(hours=8), start + pd.Timedelta(hours=4)
            back = pause + pd.Timedelta(minutes=30)
            rows += [(name, start, end, "work", "planned"), (name, pause, back, "break", "planned")]
            if rng.random() >= p:
                late = pd.Timedelta(minutes=float(rng.exponential(15)))
                rows += [(name, start + late, pause, "work", "actual"), (name, back, end, "work", "actual")]
    return pd.DataFrame(rows, columns=["agent", "start", "end", "activity", "kind"])


def absence(histories: int = 200, first_seed: int = 7000) -> pd.DataFrame:
    """Study absence, its correlation between agents, and adherence."""
    from bposim.calibrate.absence import fit_absence

    base = redial_world(0)
    nobody = pd.DataFrame({"agent": [], "begin_ms": [], "end_ms": []})
    rows: list[Row] = []
    for correlation in (0.0, 0.05):
        for k in range(histories):
            table = rosters(np.random.default_rng(first_seed + k), absence=0.07, correlation=correlation)
            ends = (table["start"].min().date(), table["start"].max().date())
            truth = {("absence", "team"): 0.07, ("absence correlation", "team"): correlation,
                     ("adherence", "team"): 1 - 15 / 450, ("planned break", "team"): 1 / 16}  # fmt: skip
            found = rows_of(fit_absence(table, nobody, base, ends, set()).estimates, truth)
            rows += [(r[0], f"{r[1]} ({correlation})", *r[2:]) for r in found]
    return judged(rows)


STUDIES: dict[str, Callable[..., pd.DataFrame]] = {
    "redials": redials,
    "reports": reports,
    "days": days,
    "neighbours": neighbours,
    "absence": absence,
}


def main(words: list[str]) -> None:
    """Run the studies named, or all."""
    numbers = [int(w) for w in words if w.isdigit()]
    for name in [w for w in words if not w.isdigit()] or list(STUDIES):
        begin = time.time()
        table = STUDIES[name](*numbers)
        print(name, f"{time.time() - begin:.0f} s")
        print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))


if __name__ == "__main__":
    main(sys.argv[1:])
