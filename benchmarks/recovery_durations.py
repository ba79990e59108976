"""Do the intervals of handle time, patience and agents' speeds cover the truth as often as they say?

Draws durations whose law is known, censored by a queue whose length differs from day to day, fits them, and counts how
often each 95 % interval holds the truth. Usage: python benchmarks/recovery_durations.py [histories] [patience | handle |
agents] [first case] [last case].
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

import numpy as np
import pandas as pd

from bposim.calibrate.agents import fit_agents
from bposim.calibrate.durations import fit_handle_time, fit_patience
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.patience import SURVIVAL_S
from bposim.distributions import (
    Distribution,
    exponential,
    gamma,
    lognormal,
    mixture,
    piecewise_hazard,
    weibull,
    with_zero,
)

#: Name to (patience, mean offered wait, log in whole seconds).
PATIENCE: dict[str, tuple[Distribution, float, bool]] = {
    "exponential": (exponential(240.0), 60.0, False),
    "exponential, whole seconds": (exponential(240.0), 60.0, True),
    "weibull 0.7": (weibull(mean=240.0, shape=0.7), 90.0, False),
    "weibull 1.5": (weibull(mean=200.0, shape=1.5), 90.0, False),
    "piecewise with peaks": (
        piecewise_hazard([0, 5, 10, 45, 60], [0.002, 0.010, 0.003, 0.008, 0.004]), 90.0, False,
    ),
    "piecewise, whole seconds": (
        piecewise_hazard([0, 5, 10, 45, 60], [0.002, 0.010, 0.003, 0.008, 0.004]), 90.0, True,
    ),
    "balking 10 %": (with_zero(0.10, exponential(200.0)), 60.0, False),
    "tail unseen": (exponential(600.0), 15.0, False),
}  # fmt: skip
#: Name to (handle time, log in whole seconds, cap in seconds).
HANDLE: dict[str, tuple[Distribution, bool, float]] = {
    "lognormal": (lognormal(mean=300.0, cv=1.0), False, np.inf),
    "lognormal, whole seconds": (lognormal(mean=300.0, cv=1.0), True, np.inf),
    "gamma": (gamma(mean=300.0, cv=0.7), False, np.inf),
    "exponential": (exponential(200.0), False, np.inf),
    "lognormal with short calls": (
        mixture([0.94, 0.06], [lognormal(mean=200.0, cv=1.1), exponential(5.0)]), True, np.inf,
    ),
    "lognormal, cut at 15 min": (lognormal(mean=300.0, cv=1.0), True, 900.0),
}  # fmt: skip
#: Name to (spread of agents, spread of days, change of log handle time per doubling of 1 + months).
AGENTS = {"spread and learning": (0.15, 0.05, -0.08), "none": (0.0, 0.0, 0.0)}


def draw_patience(
    law: Distribution, wait: float, rounded: bool, rng: np.random.Generator, n: int = 8000, days: int = 60
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return waits, whether each ended in abandonment, and days; three in ten contacts do not wait at all."""
    day = rng.integers(0, days, n)
    busy = rng.gamma(4.0, 0.25, days)
    offered = np.where(rng.random(n) < 0.3, 0.0, rng.exponential(wait, n) * busy[day])
    patience = np.asarray(law.sample(rng, n))
    left = patience < offered
    waits = np.minimum(patience, offered)
    return (np.round(waits) if rounded else waits), left, day


def patience_truth(law: Distribution, estimates: Iterable[Estimate]) -> dict[str, float]:
    """Return the true value of every parameter that the estimates tell."""
    truth = {"mean patience": law.mean, "balking share": law.zero or np.nan}
    truth |= {f"still patient at {s} s": float(law.sf(float(s))) for s in SURVIVAL_S}
    if law.kind == "weibull":
        truth["Weibull shape of patience"] = float(law.shape)  # type: ignore[attr-defined]
    if law.kind == "exponential":
        truth["Weibull shape of patience"] = 1.0
        truth["abandonments per waiting hour"] = 3600 / law.mean if law.zero == 0 else np.nan
    for e in estimates:
        if e.parameter == "restricted mean patience":
            truth[e.parameter] = float(law.limited_mean(float(e.detail.split(" cut at ")[1].split(" s")[0])))
        if e.parameter == "hazard of patience":
            a, b = (float(v) for v in e.subject.split(", ")[1].removesuffix(" s").split("-"))
            x = np.linspace(a, b, 201)[:-1] + (b - a) / 400
            hazard = np.asarray(law.pdf(x)) / np.asarray(law.sf(x))
            if np.ptp(hazard) < 1e-9 * hazard.max():  # a hazard that moves between the breaks has no one value
                truth[f"{e.parameter} {a:.0f}-{b:.0f} s"] = 60 * float(hazard[0])
    return truth


def _rows(case: str, truth: dict[str, float], estimates: Iterable[Estimate]) -> list[tuple[object, ...]]:
    rows: list[tuple[object, ...]] = []
    for e in estimates:
        key = f"{e.parameter} {e.subject.split(', ')[1]}" if ", " in e.subject else e.parameter
        true = truth.get(key, np.nan)
        if np.isfinite(true):
            rows.append((case, key, true, e.value, (e.high - e.low) / 3.92, e.low <= true <= e.high))
    return rows


def patience_rows(case: str, seed: int) -> list[tuple[object, ...]]:
    law, wait, rounded = PATIENCE[case]
    waits, left, day = draw_patience(law, wait, rounded, np.random.default_rng((seed, 1)))
    fit = fit_patience(waits, left, "a", days=day)
    return _rows(case, patience_truth(law, fit.estimates), fit.estimates)


def handle_rows(case: str, seed: int, n: int = 8000, days: int = 60) -> list[tuple[object, ...]]:
    law, rounded, cap = HANDLE[case]
    rng = np.random.default_rng((seed, 2))
    values = np.minimum(np.asarray(law.sample(rng, n)), cap)
    values = np.round(values) if rounded else values
    fit = fit_handle_time(values, rng.integers(0, days, n), "a")
    short = law.kind == "mixture"
    truth = {"mean handle time": law.mean, "handle time cv": law.cv, "share of short calls": 0.06 if short else 0.0}
    if short:
        truth["mean of short calls"] = 5.0
    return _rows(case, truth, fit.estimates)


def agents_rows(case: str, seed: int, agents: int = 60, days: int = 150, n: int = 60000) -> list[tuple[object, ...]]:
    spread, daily, slope = AGENTS[case]
    rng = np.random.default_rng((seed, 3))
    start = np.where(rng.random(agents) < 0.3, rng.integers(35, days - 40, agents), 0)
    agent, day = rng.integers(0, agents, n), rng.integers(0, days, n)
    there = day >= start[agent]
    agent, day = agent[there], day[there]
    own, own_day = rng.normal(0, spread, agents), rng.normal(0, daily, days)
    tenure = np.where(start[agent] > 0, np.log2(1 + (day - start[agent]) / 30), 0.0)
    logs = 5 + own[agent] + own_day[day] + slope * tenure + rng.normal(0, 0.8, len(agent))
    fit = fit_agents(np.exp(logs), agent.astype(str), day, np.full(len(agent), "a"))
    truth = {
        "spread between agents": spread, "spread between days (handle time)": daily, "learning": 100 * np.expm1(slope)
    }  # fmt: skip
    rows = _rows(case, truth, fit.estimates)
    # Speeds: the share of agents whose interval holds their own, as one row each.
    seen = fit.agents
    if slope == 0 and spread == 0:
        return rows
    code = seen["agent"].astype(int).to_numpy()
    last = pd.Series(day).groupby(agent).max().reindex(code).to_numpy()
    first = pd.Series(day).groupby(agent).min().reindex(code).to_numpy()
    level = own[code] + np.where(start[code] > 0, slope * np.log2(1 + (last - first) / 30), 0.0)
    true = np.exp(level - np.average(level, weights=seen["contacts"]))
    for v, low, high, t in zip(seen["speed"], seen["ci_low"], seen["ci_high"], true, strict=True):
        rows.append((case, "speed of an agent (over its own)", 1.0, v / t, (high - low) / 3.92 / t, low <= t <= high))
    return rows


STUDIES: dict[str, tuple[Callable[[str, int], list[tuple[object, ...]]], Iterable[str]]] = {
    "patience": (patience_rows, PATIENCE), "handle": (handle_rows, HANDLE), "agents": (agents_rows, AGENTS),
}  # fmt: skip


def study(which: str, histories: int = 200, first_seed: int = 5000, cases: Iterable[str] | None = None) -> pd.DataFrame:
    """Return ``case, parameter, truth, mean_estimate, bias_in_errors, sd_in_errors, coverage, n``.

    Parameters
    ----------
    which : {"patience", "handle", "agents"}
    histories, first_seed : int
    cases : iterable of str, optional
        None takes all of the study.
    """
    make, every = STUDIES[which]
    cases = every if cases is None else cases
    rows = [r for case in cases for k in range(histories) for r in make(case, first_seed + k)]
    frame = pd.DataFrame(rows, columns=["case", "parameter", "truth", "value", "error", "covered"])
    # A hazard at the edge of what is told is told in a few histories only, which are no fair sample.
    told = frame.groupby(["case", "parameter"])["value"].transform("size")
    frame = frame[told >= histories / 2]
    grouped = frame.groupby(["case", "parameter"], sort=False)
    return grouped.apply(
        lambda f: pd.Series(
            {"truth": f["truth"].mean(), "mean_estimate": f["value"].mean(),
             "bias_in_errors": (f["value"] - f["truth"]).mean() / f["error"].mean(),
             "sd_in_errors": (f["value"] - f["truth"]).std() / f["error"].mean(),
             "coverage": f["covered"].astype(float).mean(), "n": len(f)}
        ),
        include_groups=False,
    ).reset_index()  # fmt: skip


def outside(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows out of bounds: coverage 90 to 98 % (at least 97 % where the truth is 0: an upper limit), bias 1/4."""
    zero = table["truth"] == 0
    low, high = np.where(zero, 0.97, 0.90), np.where(zero, 1.0, 0.98)
    far = (table["bias_in_errors"].abs() > 0.25) & ~zero
    return table[(table["coverage"] < low) | (table["coverage"] > high) | far]


if __name__ == "__main__":
    begin = time.time()
    number = int(sys.argv[1]) if len(sys.argv) > 1 else 200
    span = slice(*(int(a) for a in sys.argv[3:5])) if len(sys.argv) > 4 else slice(None)
    for name in sys.argv[2:3] or STUDIES:
        table = pd.concat([study(name, number, cases=[case]) for case in list(STUDIES[name][1])[span]])
        for heading, rows in ((name, table), (f"{name}, outside", outside(table))):
            print(heading, rows.to_string(index=False, float_format=lambda x: f"{x:.3f}"), sep="\n")
        print(f"{name}: {len(table)} parameters, {len(outside(table))} outside, mean coverage {table['coverage'].mean():.3f}, "
              f"largest bias {table['bias_in_errors'].abs().max():.2f} errors, {time.time() - begin:.0f} s")  # fmt: skip
