"""Do the intervals of the flow estimators cover the truth as often as they say?

Redials, day factors and their correlations, special days, absence: histories with planted values are drawn and fitted,
and coverage and bias (in standard errors) are counted. Usage: python benchmarks/recovery_flows.py [study …] [histories].
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable
from typing import Any

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


STUDIES: dict[str, Callable[..., pd.DataFrame]] = {"redials": redials}


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
