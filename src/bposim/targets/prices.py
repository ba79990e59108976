"""What recommended targets would cost to tighten: every one of them along plans from lean to lavish, on the same contacts."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import OptimiseError, parameter
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.simulate import simulate
from bposim.simulate.proof import stack
from bposim.simulate.run import show_progress, workers_of
from bposim.targets.assess import check_question, planning_threshold
from bposim.targets.frontier import SHARES, levels_rule
from bposim.targets.levels import Level, Planner
from bposim.targets.probability import attainable, meets, probability, window_values

#: Replications that are played at a time, with their contacts kept for every plan (`LUCK_BYTES` holds them in most worlds).
BATCH = 120


@dataclass(frozen=True, eq=False)
class Prices:
    """What each of several targets costs, along plans from lean to lavish.

    Attributes
    ----------
    frame : DataFrame
        ``target, planned_share, agent_hours, cost, mean, attainable, attainable_low, attainable_high, probability, ci_low,
        ci_high``: each target under each plan; ``attainable`` at the confidence.
    tighten : DataFrame
        ``target, level, attainable, steps, tighter, hours_now, hours, more_hours, more_cost, more_share, cost_per_step, said``: the
        cheapest mix of two neighbouring plans at which the level, and the tighter one, is attainable. Missing where no plan of
        the frontier reaches it, and where the leanest reaches both.
    levels : tuple of Level
    replications : int
        Behind each plan.
    """

    confidence: float
    frame: pd.DataFrame
    tighten: pd.DataFrame
    levels: tuple[Level, ...]
    replications: int
    currency: str
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return what tightening each target costs."""
        return self.tighten

    def plot(self, ax: Any = None) -> Any:
        """Draw each target's attainable level against cost; returns ``ax``."""
        from bposim.targets.assess_plots import plot_prices

        return plot_prices(self, ax)

    def __repr__(self) -> str:
        return "\n".join([f"Tightening, at {100 * self.confidence:.4g} %:", *(f"  {s}" for s in self.tighten["said"])])

    def _repr_html_(self) -> str:
        return self.tighten.to_html(index=False, float_format=lambda x: f"{x:,.4g}", na_rep="–")


def price_targets(
    scenario: Scenario,
    targets: Sequence[Target],
    *,
    steps: Sequence[float] | None = None,
    volumes: Any = None,
    levels: int = 8,
    confidence: float = 0.95,
    replications: int = 1000,
    seed: int = 1,
    progress: bool | None = None,
) -> Prices:
    """Tell what each target costs, and what tightening it would cost, along plans from lean to lavish.

    Parameters
    ----------
    scenario : Scenario
    targets : list of Target
    steps : list of float, optional
        By how much each is tightened; None: 5 points of a share that should be high, 1 of one that should be low, a tenth of a wait.
    volumes : Forecast, Volumes frame or None
    levels : int
        Number of plans, 2 to 10.
    confidence : float
    replications, seed : int
        Every plan meets the same contacts.
    progress : bool, optional

    Returns
    -------
    Prices

    Raises
    ------
    ParameterError
        An argument is outside its rule.

    Notes
    -----
    Contacts are drawn once for all plans, ``BATCH`` replications at a time, and windows' values are kept, not counts: memory does
    not grow with replications. Costs between two plans are interpolated; attainable levels are made monotone in cost first, what
    chance has out of order.
    """
    caller = "price_targets()"
    problems = levels_rule(levels, caller)
    if not targets or not all(isinstance(t, Target) for t in targets):
        problems.append(parameter("targets", caller, "a list of at least one Target", targets))
    check_question(caller, scenario, confidence, replications, seed=seed, more=problems)
    speed = next((t for t in targets if t.metric == "service_level"), targets[0])
    planner = Planner(scenario, volumes, planning_threshold(scenario, speed))
    shares = planned_shares(targets, levels)
    bar: Any = None
    sizes = [min(BATCH, replications - k) for k in range(0, replications, BATCH)]
    if show_progress(progress):
        from tqdm.auto import tqdm

        bar = tqdm(total=len(shares) * (len(sizes) + 1), desc="prices", leave=False, delay=1.0)

    def tick() -> None:
        if bar is not None:
            bar.update(1)

    plans = []
    with ThreadPoolExecutor(min(workers_of(None), 2)) as pool:  # the solver does not hold the interpreter's lock
        for level in pool.map(planner.level, shares):
            tick()
            if not np.isnan(level.cost):
                plans.append(level)
    if not plans:
        raise OptimiseError(
            f"price_targets(): the shifts of scenario {scenario.name!r} cannot cover the agents that a service level of "
            f"{100 * min(shares):.0f} % takes, nor more. Raise their limits, add shifts, or leave shifts out of the scenario."
        )
    values: dict[tuple[int, int], list[pd.DataFrame]] = {}
    within = sorted({t for x in targets for t in (x.within_s, x.short_s) if t is not None})
    first = None
    for size in sizes:
        if first is None:  # the most lavish: fewest hang up and call again
            first = simulate(scenario, volumes=volumes, staffing=plans[-1].staffing, replications=size, seed=seed, progress=False,
                             within=[float(w) for w in within])  # fmt: skip
        else:
            first = first.further(size)
        for k, level in enumerate(plans):
            runs = first if k == len(plans) - 1 else first.restaffed(level.staffing)
            for j, target in enumerate(targets):
                values.setdefault((j, k), []).append(window_values(runs, target))
            tick()
    if bar is not None:
        bar.close()
    rows = []
    for j, target in enumerate(targets):
        for k, level in enumerate(plans):
            rows.append((str(target), *rows_of(stack(values[j, k]), target, level, confidence, seed)))
    frame = pd.DataFrame(rows, columns=["target", "planned_share", "agent_hours", "cost", "mean", "attainable", "attainable_low",
                                        "attainable_high", "probability", "ci_low", "ci_high"])  # fmt: skip
    wanted = [_step(t) for t in targets] if steps is None else list(steps)
    tighten = pd.DataFrame(
        [
            _tighten(t, s, frame[frame["target"] == str(t)], scenario, plans[0].basis)
            for t, s in zip(targets, wanted, strict=True)
        ]
    )
    made = Provenance(
        "price_targets", {"scenario": scenario.hash, "levels": levels, "replications": replications, "seed": seed}
    )
    return Prices(confidence, frame, tighten, tuple(plans), replications, scenario.currency, made)


def rows_of(table: pd.DataFrame, target: Target, level: Level, confidence: float, seed: int) -> tuple[float, ...]:
    """Return planned share, hours, cost, mean, attainable level and probability, with intervals, of a target under a plan."""
    p = probability(pd.Series(meets(target, table["value"].to_numpy())), table["batch"])
    best = attainable(table, target, confidence, seed=seed)
    return (level.share, level.agent_hours, level.cost, float(table["value"].mean()), *best, *p)


def planned_shares(targets: Sequence[Target], levels: int) -> list[float]:
    """Return planned service levels from well below the targets to nearly all, evenly on the log of the share missed.

    Examples
    --------
    >>> [round(x, 3) for x in planned_shares([Target(metric="service_level", level=0.45, sense=">=", within_s=20)], 4)]
    [0.338, 0.813, 0.947, 0.985]
    """
    speed = [t.level for t in targets if t.metric == "service_level" and not t.aggregation.startswith("share_of")]
    low = min(SHARES[0], 0.75 * min(speed, default=1.0))
    return [round(float(1 - x), 5) for x in np.geomspace(1 - low, 1 - SHARES[-2], levels)]


def _step(target: Target) -> float:
    if target.metric in ("service_level", "turnaround") or target.aggregation.startswith("share_of"):
        return 0.05
    return 0.01 if target.metric in ("abandonment", "occupancy") else 0.1 * target.level


def _tighten(target: Target, step: float, part: pd.DataFrame, scenario: Scenario, basis: str) -> dict[str, Any]:
    high = target.sense == ">="
    tighter = min(target.level + step, 1.0) if high else max(target.level - step, 0.0)
    now, then = (cost_at(part, x, high) for x in (target.level, tighter))
    more_hours, more_cost = then[0] - now[0], then[1] - now[1]
    share = more_hours / now[0] if now[0] > 0 else np.nan
    scale, unit = (
        (100, " %") if target.metric in ("service_level", "turnaround", "abandonment", "occupancy") else (1, " s")
    )
    to = f"{target}: to {scale * tighter:.4g}{unit}"
    least = part.sort_values("cost").iloc[0]
    if now[0] == least["agent_hours"] and then[0] == now[0]:
        more_hours = more_cost = share = np.nan
        said = f"{to}: attainable with the leanest plan of the frontier ({now[0]:,.0f} {basis})."
    elif np.isnan(now[0]):
        said = f"{target}: not attainable with any plan of the frontier."
    elif np.isnan(then[0]):
        said = f"{to}: beyond every plan of the frontier."
    else:
        said = f"{to}: {more_hours:,.0f} {basis} ({100 * share:+.1f} %), {more_cost:,.0f} {scenario.currency} more."
    return {
        "target": str(target), "level": target.level, "steps": step, "tighter": tighter, "hours_now": now[0], "hours": then[0],
        "more_hours": more_hours, "more_cost": more_cost, "more_share": share,
        "cost_per_step": more_cost / max(abs(tighter - target.level) / 0.01, 1e-9) if scale == 100 else more_cost, "said": said,
    }  # fmt: skip


def cost_at(part: pd.DataFrame, level: float, high: bool) -> tuple[float, float]:
    """Return agent-hours and cost at which a level is attainable, between two plans; of the leanest where it does already.

    Examples
    --------
    >>> plans = pd.DataFrame({"agent_hours": [10.0, 20.0], "cost": [100.0, 200.0], "attainable": [0.5, 0.75]})
    >>> cost_at(plans, 0.625, True), cost_at(plans, 0.5, True), cost_at(plans, 0.9, True)
    ((15.0, 150.0), (10.0, 100.0), (nan, nan))
    """
    f = part.sort_values("cost")
    reach = np.maximum.accumulate(f["attainable"].to_numpy() if high else -f["attainable"].to_numpy())
    wanted = level if high else -level
    if wanted > reach[-1] + 1e-12:
        return np.nan, np.nan
    k = int(np.searchsorted(reach, wanted - 1e-12))
    hours, cost = f["agent_hours"].to_numpy(), f["cost"].to_numpy()
    if k == 0:
        return float(hours[0]), float(cost[0])
    w = (wanted - reach[k - 1]) / (reach[k] - reach[k - 1])
    return float(hours[k - 1] + w * (hours[k] - hours[k - 1])), float(cost[k - 1] + w * (cost[k] - cost[k - 1]))
