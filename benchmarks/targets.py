"""Probabilities of promises against published and stated values.

Two settings. I6: the service level of a half hour, a day and a week of a stationary queue is a random number (Roubos, Koole &
Stolletz 2012). Illustration: 2,000 calls a day with uncertain days, seven staffing levels, and what day, month and interval clauses
make of the same words; its profile over the day is not stated, so one is taken whose Erlang C staffing and whose rounded
multiples give the stated agent-hours, all seven (nothing else of the table was looked at). Its agents have shifts of their own and finish
their contacts, so heads are laid out as named agents: a group by number sends idle agents home first, which costs 0.6 points.

Third, how long the whole recommendation takes: the Technion bank, calibrated (its scenario is kept in the system's temporary folder),
March 1999, four targets a month, 1,000 replications for each of eight staffing levels, twice: the scenario of the catalogue calibrated,
and one drafted from the log, in which customers call again.

Usage: python benchmarks/targets.py [i6 | illustration | bank]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import bposim as bp
from bposim.erlang import least_agents
from bposim.targets.core import MISSED

HERE = Path(__file__).parent
#: Stated: agents, patience, window, mean, sd, P(at least 80 %), 5, 50 and 95 % quantile.
I6 = (
    (24, None, "30 min", 0.8163, 0.2003, 0.654, 0.397, 0.883, 1.000),
    (24, None, "10-h day", 0.8100, 0.0536, 0.602, 0.714, 0.814, 0.889),
    (24, None, "50-h week", 0.8094, 0.0240, 0.657, 0.770, 0.811, 0.848),
    (22, 120, "30 min", 0.8330, 0.1151, 0.657, 0.617, 0.851, 0.988),
    (22, 120, "10-h day", 0.8287, 0.0273, 0.852, 0.783, 0.830, 0.872),
)
#: Stated by staffing multiplier: agent-hours, mean, P(day), P(month), the same with days above 110 % excluded, P(90 % of half
#: hours), 5 % quantiles of month and day.
STATED = {
    0.88: (191.0, 0.776, 0.51, 0.16, 0.76, 0.00, 0.739, 0.588),
    0.90: (195.0, 0.798, 0.59, 0.41, 0.99, 0.00, 0.763, 0.619),
    0.92: (198.0, 0.814, 0.66, 0.72, 1.00, 0.00, 0.779, 0.643),
    0.94: (203.5, 0.842, 0.76, 1.00, 1.00, 0.00, 0.811, 0.682),
    1.00: (216.5, 0.893, 0.90, 1.00, 1.00, 0.05, 0.866, 0.761),
    1.05: (227.0, 0.923, 0.96, 1.00, 1.00, 0.41, 0.903, 0.817),
    1.10: (238.0, 0.948, 0.99, 1.00, 1.00, 0.97, 0.932, 0.865),
}  # fmt: skip
#: Stated at 0.90, over the whole: counting rules, and the plain mean of the intervals.
STATED_RULES = {"offered": 0.798, "excl_T": 0.818, "credit_T": 0.823, "offered, mean of intervals": 0.826}
#: Months behind the stated monthly probabilities, days behind the daily ones.
STATED_MONTHS, STATED_DAYS = 80, 1600
TERM = bp.ServiceLevel(0.80, within="20s", window="month")


# I6 -----------------------------------------------------------------------------------------------------------------


def stationary(agents: int, patience: float | None, days: int, hours: int) -> bp.Scenario:
    """Return M/M/n (+M) with 200 contacts a half hour of 180 s, open around the clock."""
    return bp.load_scenario({
        "name": "stationary", "days": days, "interval": "30min", "opening_hours": {"daily": f"00:00-{hours:02d}:00"},
        "contact_types": {"calls": {
            "arrivals": {"rate": "400/h"}, "handle_time": {"exponential": {"mean": "180s"}},
            "patience": "infinite" if patience is None else {"exponential": {"mean": f"{patience:g}s"}},
        }},
        "agent_groups": {"agents": {"skills": ["calls"], "heads": agents}},
    })  # fmt: skip


def window_row(matrix: bp.TargetMatrix, window: str, values: pd.DataFrame) -> dict[str, float]:
    """Return mean, sd, P(at least 80 %) and quantiles of a window, with the standard errors of the first and third."""
    cell = matrix.frame.set_index("window").loc[window]
    per = values.groupby("batch")["value"].mean()
    spread = values["value"].quantile([0.05, 0.5, 0.95])
    return {
        "mean": float(cell["mean"]), "se_mean": float(per.std() / np.sqrt(len(per))), "sd": float(values["value"].std()),
        "probability": float(cell["probability"]), "se_probability": float((cell["ci_high"] - cell["ci_low"]) / 3.92),
        "q05": float(spread[0.05]), "q50": float(spread[0.5]), "q95": float(spread[0.95]),
    }  # fmt: skip


def i6(replications: int = 12_000, seed: int = 61) -> pd.DataFrame:
    """Return predicted against stated: one row per case and window.

    The 10-h day is the second half of 20 hours, the half hours are its own; the week is the last 50 of 72 hours.
    """
    from bposim.targets.probability import window_values

    found: dict[tuple[Any, ...], dict[str, float]] = {}
    for agents, patience in ((24, None), (22, 120)):
        for days, hours, warm, wanted in ((1, 20, "10h", ("interval", "all")), (3, 24, "22h", ("all",))):
            if days == 3 and patience is not None:
                continue
            runs = bp.simulate(
                stationary(agents, patience, days, hours), replications=replications // days, seed=seed, within="20s",
                warm_up=warm, progress=False,
            )  # fmt: skip
            matrix = bp.target_matrix(runs, TERM, countings=["offered"], windows=list(wanted))
            for w in wanted:
                name = "30 min" if w == "interval" else "50-h week" if days == 3 else "10-h day"
                found[agents, patience, name] = window_row(matrix, w, window_values(runs, TERM.replace(window=w)))
    rows = []
    for agents, patience, name, mean, sd, p, q05, q50, q95 in I6:
        mine = found[agents, patience, name]
        rows.append({
            "agents": agents, "patience, s": patience or "none", "window": name, "mean": mine["mean"], "stated mean": mean,
            "off, errors": abs(mine["mean"] - mean) / mine["se_mean"], "sd": mine["sd"], "stated sd": sd,
            "P(at least 80 %)": mine["probability"], "stated": p,
            "off, errors ": abs(mine["probability"] - p) / mine["se_probability"],
            "5 / 50 / 95 %": " / ".join(f"{mine[q]:.3f}" for q in ("q05", "q50", "q95")),
            "stated quantiles": f"{q05:.3f} / {q50:.3f} / {q95:.3f}",
        })  # fmt: skip
    return pd.DataFrame(rows)


# The illustration ---------------------------------------------------------------------------------------------------


def profile() -> np.ndarray:
    """Return expected contacts of the 24 half hours of a day: two peaks, 2,000 in all."""
    hour = np.arange(24) / 2 + 0.25
    shape = 0.5 + np.exp(-(((hour - 3.5) / 0.75) ** 2) / 2) + 0.8 * np.exp(-(((hour - 8) / 2.5) ** 2) / 2)
    return np.asarray(2000 * shape / shape.sum())


def heads_for(multiplier: float) -> np.ndarray:
    """Return agents by half hour: Erlang C for 80 % within 20 s, times the multiplier, rounded."""
    need = [least_agents(rate, 300 / 1800, target=0.80, within=20 / 1800) for rate in profile()]
    return np.round(multiplier * np.asarray(need, dtype=float))


def shifts_of(heads: np.ndarray) -> dict[str, Any]:
    """Lay heads by half hour out as agents with a spell of their own: who came first goes first."""
    on: list[int] = []
    spells = []
    for k, n in enumerate([*heads.astype(int), 0]):
        on += [k] * max(n - len(on), 0)
        spells += [(on.pop(0), k) for _ in range(len(on) - n)]

    def clock(k: int) -> str:
        return f"{8 + k // 2:02d}:{30 * (k % 2):02d}"

    return {
        f"agent {j}": {"schedule": {"days": "mon-fri", "start": clock(a), "end": clock(b)}}
        for j, (a, b) in enumerate(spells)
    }


def month(multiplier: float = 1.0) -> bp.Scenario:
    """Return a month of twenty days (February 2026, Monday to Friday)."""
    return bp.load_scenario({
        "name": "illustration", "start": "2026-02-01", "days": 28, "interval": "30min",
        "opening_hours": {"mon-fri": "08:00-20:00"},
        "contact_types": {"calls": {
            "arrivals": {"per_interval": profile().tolist()}, "handle_time": {"lognormal": {"mean": "300s", "cv": 0.9}},
            "patience": {"exponential": {"mean": "180s"}},
        }},
        "agent_groups": {"agents": {"skills": ["calls"], "agents": shifts_of(heads_for(multiplier)), "cost_per_hour": 20}},
    })  # fmt: skip


def volumes(months: int, seed: int, day_cv: float = 0.10, interval_cv: float = 0.06) -> pd.DataFrame:
    """Return paths of expected contacts: each day's factor times each half hour's, gamma both, all independent."""
    rng = np.random.default_rng(seed)
    starts = month().grid.starts
    n = len(starts)
    days = np.repeat(rng.gamma(day_cv**-2, day_cv**2, (months, n // 24)), 24, axis=1) if day_cv else 1.0
    noise = rng.gamma(interval_cv**-2, interval_cv**2, (months, n)) if interval_cv else np.ones((months, n))
    return pd.DataFrame({
        "sample": np.repeat(np.arange(months), n), "contact_type": "calls", "interval_start": np.tile(starts, months),
        "contacts": (np.tile(profile(), n // 24) * days * noise).reshape(-1),
    })  # fmt: skip


def with_relief(runs: bp.SimulationResult) -> float:
    """Return the probability of the month with days above 110 % of the forecast left out."""
    deal = bp.load_contract({"clauses": {"speed": {
        "metric": "service_level", "within": "20s", "counting": "offered", "window": "month", "levels": {"expected": "80%"},
        "missing": "exclude", "relief": [{"volume": {"by": "day", "above": "110%"}, "effect": "exclude"}],
    }}})  # fmt: skip
    status = bp.settle(deal, runs).judged["speed"].status
    return 1 - float((status == MISSED).mean())


def illustration(months: int = 600, seed: int = 36) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return predicted against stated by staffing level, and the counting rules at 0.90."""
    paths = volumes(months, seed)
    rows, rules = [], []
    for multiplier, stated in STATED.items():
        world = month(multiplier)
        runs = bp.simulate(world, volumes=paths, replications=months, seed=seed, within="20s", progress=False)
        cells = bp.target_matrix(
            runs, TERM, countings=["offered"], windows=["day", "month"], aggregations=["pooled", "share_of_intervals"],
        ).frame.set_index(["aggregation", "window"])  # fmt: skip
        whole = cells.loc[("pooled", "month")]
        mine = (
            float(heads_for(multiplier).sum() / 2), whole["mean"], cells.loc[("pooled", "day"), "probability"],
            whole["probability"], with_relief(runs), cells.loc[("share_of_intervals", "month"), "probability"],
            whole["attainable"], cells.loc[("pooled", "day"), "attainable"],
        )  # fmt: skip
        rows.append((multiplier, *(x for pair in zip(mine, stated, strict=True) for x in pair)))
        if multiplier == 0.90:
            table = bp.target_matrix(runs, TERM, countings=list(STATED_RULES)[:3], windows=["month"],
                                     aggregations=["pooled", "mean_of_intervals"]).frame.set_index("rule")  # fmt: skip
            rules = [(r, float(table.loc[r, "mean"]), s) for r, s in STATED_RULES.items()]
    names = ["agent-hours", "mean", "P(day)", "P(month)", "P(month), days over 110 % out", "P(90 % of half hours)", "q05 month",
             "q05 day"]  # fmt: skip
    columns = ["multiplier", *(c for n in names for c in (n, f"{n}, stated"))]
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(rules, columns=["rule", "mean", "stated"])


def differences(found: pd.DataFrame) -> pd.DataFrame:
    """Return the largest distance from the stated figures, the bound, and what the stated figures' own chance explains."""
    rows = []
    for name, bound, behind in (
        ("mean", 0.005, None), ("P(day)", 0.03, STATED_DAYS), ("P(month)", 0.03, STATED_MONTHS),
        ("P(month), days over 110 % out", 0.03, STATED_MONTHS), ("P(90 % of half hours)", 0.03, STATED_MONTHS),
    ):  # fmt: skip
        gap = (found[name] - found[f"{name}, stated"]).to_numpy()
        worst = int(np.abs(gap).argmax())
        p = found[name].to_numpy()
        own = np.nan if behind is None else float(np.sqrt(p[worst] * (1 - p[worst]) / behind))
        same = bool((np.diff(found[name]) >= -1e-12).all())
        rows.append((name, float(np.abs(gap).max()), bound, int((np.abs(gap) > bound).sum()), found["multiplier"].iloc[worst],
                     own, "exact" if same else "broken"))  # fmt: skip
    return pd.DataFrame(rows, columns=["figure", "largest difference", "bound", "rows beyond", "at multiplier",
                                       "stated figure's own error there", "ordering"])  # fmt: skip


# The bank -----------------------------------------------------------------------------------------------------------


def bank_scenario(kind: str) -> bp.Scenario:
    """Return March 1999 of the bank, calibrated on January and February; ``catalogue`` or ``draft``. Calibrated once."""
    kept = Path(tempfile.gettempdir()) / f"bposim-bank-{kind}.yaml"
    if not kept.exists():
        from bank_backtest import LOG, WEEKS, fitted

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            history = bp.read_history(LOG, profile="anonbank").drop_invalid()
            if kind == "draft":
                cal = fitted(history, *WEEKS[0])
            else:
                cal = bp.calibrate(
                    bp.load_scenario(HERE.parent / "scenarios" / "bank_1999.yaml"), history.between(*WEEKS[0][:2])
                )
        kept.write_text(cal.scenario.to_yaml())
    return bp.load_scenario(kept).replace({"start": "1999-03-01", "days": 31})


def bank(replications: int = 1000, levels: int = 8) -> pd.DataFrame:
    """Return seconds of a full recommendation, processor seconds and load, and the largest memory."""
    rows = []
    for kind in ("catalogue", "draft"):
        world = bank_scenario(kind)
        bp.simulate(world, replications=2, progress=False)  # compiled before the clock starts
        begin, spent = time.perf_counter(), time.process_time()
        advice = bp.recommend_targets(world, replications=replications, levels=levels, progress=False)
        wall = time.perf_counter() - begin
        assert advice.prices is not None
        print(advice, advice.prices, sep="\n", flush=True)
        contacts = float(advice.runs.summary(metrics="offered")["value"].iloc[0])
        rows.append({
            "scenario": kind, "redials": "yes" if any(k.redial for k in world.contact_types.values()) else "no",
            "shifts": "yes" if world.shifts else "no", "contacts a month": round(contacts), "targets": len(advice.targets),
            "levels": len(advice.prices.levels), "replications a level": replications, "seconds": round(wall, 1),
            "processor seconds": round(time.process_time() - spent, 1), "load of the machine": round(os.getloadavg()[0], 1),
            "memory, GB": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6, 2),
        })  # fmt: skip
    return pd.DataFrame(rows)


if __name__ == "__main__":
    asked = sys.argv[1:] or ["i6", "illustration"]
    pd.set_option("display.width", 250, "display.max_columns", 40)
    for part in asked:
        begin = time.perf_counter()
        if part == "i6":
            print(i6().to_string(index=False, float_format=lambda x: f"{x:.4f}"))
        elif part == "illustration":
            found, rules = illustration()
            print(found.T.to_string(float_format=lambda x: f"{x:.3f}"))
            print(rules.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
            print(differences(found).to_string(index=False, float_format=lambda x: f"{x:.4f}"))
        elif part == "bank":
            print(bank().T.to_string())
        else:
            sys.exit(f"part {part!r} does not exist. Known: i6, illustration, bank.")
        print(f"{time.perf_counter() - begin:.0f} s")
