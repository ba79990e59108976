"""What goes with recommended targets: slippage and glide path at the start, review, relief to ask for, credits to expect."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.scenario import Scenario, Target
from bposim.simulate import SimulationResult
from bposim.simulate.proof import verdict
from bposim.targets.assess_contract import assess_ledger
from bposim.targets.capability_series import SHARES
from bposim.targets.contract import Contract
from bposim.targets.foreseen import read_forecast
from bposim.targets.levels import Level
from bposim.targets.probability import attainable, probability
from bposim.targets.relieved import clause_of, relieved_windows
from bposim.targets.settle import settle

#: Months after which targets are looked at again, where the contract does not say.
REVIEW_MONTHS = 6
#: Relief asked for: days above this share of the forecast are left out.
CORRIDOR = 1.10


def safe_level(level: float, target: Target, step: float) -> float:
    """Round a level to the safe side: down where more is better, up where less is.

    Examples
    --------
    >>> safe_level(0.8391, Target(metric="abandonment", level=0.05, sense="<="), 0.005)
    0.84
    >>> safe_level(17.2, Target(metric="asa", level=20, sense="<="), 1.0)
    18.0
    """
    most = 1.0 if target.metric in SHARES else math.inf
    if target.sense == ">=":
        return round(max(float(np.floor(level / step + 1e-9)) * step, 0.0), 6)
    return round(min(float(np.ceil(level / step - 1e-9)) * step, most), 6) + 0.0  # ceil(-1e-9) is -0.0


def proof_note(joint: tuple[float, float, float], confidence: float, replications: int) -> list[str]:
    """Say where fresh replications do not show that all targets are met together at the confidence, and the way out."""
    said = verdict(joint[1], joint[2], confidence)
    if said == "met":
        return []
    if said == "undecided":
        why = f"fresh replications leave open whether all together are met at {100 * confidence:.4g} %"
    else:
        why = f"on fresh replications all together are not met at {100 * confidence:.4g} %: the choice saw too few to know what is rare"
    return [f"Not proven: {why}. Take more replications: replications={4 * replications} halves the interval."]


def start_levels(
    targets: Sequence[Target], values: Sequence[pd.DataFrame], steps: Sequence[float], confidence: float
) -> list[float]:
    """Return the level of each target's first months: attainable with a fifth of the risk, never tighter than the target.

    A new operation is not yet what was simulated; the slippage is what leaves room for that.
    """
    found = []
    for target, table, step in zip(targets, values, steps, strict=True):
        careful = attainable(table, target, 1 - (1 - confidence) / 5, resamples=2)[0]
        level = safe_level(careful, target, step)
        found.append(min(level, target.level) if target.sense == ">=" else max(level, target.level))
    return found


def glide_path(targets: Sequence[Target], starts: Sequence[float], steps: Sequence[float], ramp: int) -> pd.DataFrame:
    """Return ``target, month, level``: even steps from the start level to the target, which holds from month ``ramp + 1`` on."""
    rows = []
    for target, start, step in zip(targets, starts, steps, strict=True):
        for m in range(1, ramp + 2):
            share = (m - 1) / ramp if ramp else 1.0
            level = target.level if m == ramp + 1 else safe_level(start + share * (target.level - start), target, step)
            rows.append((str(target), m, level))
    return pd.DataFrame(rows, columns=["target", "month", "level"])


def review_date(scenario: Scenario, contract: Any, ramp: int) -> date:
    """Return when the targets should be looked at again: so many months after the ramp."""
    every = contract.review_every if isinstance(contract, Contract) and contract.review_every else REVIEW_MONTHS
    begin = contract.start if isinstance(contract, Contract) and contract.start else scenario.start
    return (pd.Timestamp(begin) + pd.DateOffset(months=ramp + every)).date()


def relief_to_ask(targets: Sequence[Target], runs: SimulationResult) -> pd.DataFrame:
    """Return ``target, relief, without, probability, gain, ci_low, ci_high, left_out``: each target with busy days left out.

    Metrics that are no ratio over contacts (occupancy, percentiles) have no row.
    """
    expected = read_forecast(runs.expected, runs.scenario.grid.starts.tz)
    words = {"volume": {"above": f"{100 * CORRIDOR:.4g}%", "by": "day"}, "effect": "exclude"}
    rows = []
    for target in targets:
        if target.metric in ("occupancy", "wait_p95", "max_wait") or target.window == "interval":
            continue
        bare = relieved_windows(runs, clause_of(target, runs.scenario), "promise", expected)
        table = relieved_windows(runs, clause_of(target, runs.scenario, [words]), "promise", expected)
        p = probability(table["met"], table["batch"])
        whole = table["sample"].sum() + table["excluded"].sum()
        rows.append((str(target), f"days above {100 * CORRIDOR:.4g} % of the forecast left out", float(bare["met"].mean()), p[0],
                     p[0] - float(bare["met"].mean()), p[1], p[2], float(table["excluded"].sum() / whole) if whole > 0 else np.nan))  # fmt: skip
    return pd.DataFrame(
        rows, columns=["target", "relief", "without", "probability", "gain", "ci_low", "ci_high", "left_out"]
    )


def credits_expected(
    contract: Contract | None, runs: SimulationResult, current: Level, confidence: float
) -> pd.DataFrame:
    """Return the credits of a contract with pricing, as :class:`ContractAssessment` tells them; empty without one."""
    columns = ["item", "mean", "ci_low", "ci_high"]
    if contract is None or not contract.pricing:
        return pd.DataFrame(columns=columns)
    return assess_ledger(settle(contract, runs), runs, current, confidence).credits
