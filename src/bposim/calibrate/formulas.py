"""Erlang A and Erlang C on the inputs of a back-test, interval by interval: what a spreadsheet would have said."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.erlang import erlang_a, erlang_c
from bposim.errors import StabilityError
from bposim.units import seconds

if TYPE_CHECKING:
    from bposim.calibrate import Calibration
    from bposim.distributions import Distribution
    from bposim.scenario import Scenario

MODELS = ("erlang-a", "erlang-c")


def formula_intervals(
    cal: Calibration, own: Scenario, volumes: pd.DataFrame, heads: Mapping[str, np.ndarray], within: Sequence[str]
) -> dict[str, pd.DataFrame]:
    """Return, by model, ``interval_start, metric, value`` of every interval.

    Parameters
    ----------
    cal : Calibration
        Gives the waiting time per abandonment, the exponential's mean patience.
    own : Scenario
    volumes : DataFrame
        Contacts by type and interval, and ``handle_factor`` where known.
    heads : mapping of group to ndarray, shape (n_intervals,)
    within : list of str

    Notes
    -----
    Types and groups that hang together by their skills are one queue and one pool, as in a spreadsheet. Heads may be
    fractional. Erlang C answers nobody in time in an interval in which the work exceeds the heads: its service level is 0,
    its wait infinite.
    """
    grid = own.grid
    n = len(grid)
    patience = waiting_per_abandonment(cal)
    asks = [f"service_level {t}" for t in within] + ["abandonment", "asa"]
    top = {m: {a: np.zeros(n) for a in asks} for m in MODELS}
    offered, answered = np.zeros(n), {m: np.zeros(n) for m in MODELS}
    for types, groups in components(own):
        count, work = np.zeros(n), np.zeros(n)
        for t in types:
            mine = volumes[volumes["contact_type"] == t]
            contacts = mine["contacts"].to_numpy(dtype=float)
            factor = mine["handle_factor"].to_numpy() if "handle_factor" in mine else 1.0
            kind = own.contact_types[t]
            after = means_by_slot(kind.after_contact_work, grid.slot) if kind.after_contact_work else 0.0
            count += contacts
            slow = _multiplier(own, t, groups, heads)
            work += contacts * (means_by_slot(kind.handle_time, grid.slot) * factor * slow + after)
        there = np.sum([heads[g] for g in groups], axis=0)
        offered += count
        for i in np.flatnonzero(count > 0):
            rate, handle = count[i] / (grid.hours[i] * 3600), work[i] / count[i]
            for m in MODELS:
                share, abandon, wait = _solve(m, rate, handle, float(there[i]), patience, within)
                for t, s in zip(within, share, strict=True):
                    top[m][f"service_level {t}"][i] += count[i] * s
                top[m]["abandonment"][i] += count[i] * abandon
                top[m]["asa"][i] += count[i] * (1 - abandon) * wait
                answered[m][i] += count[i] * (1 - abandon)
    some = offered > 0
    with np.errstate(invalid="ignore", divide="ignore"):
        return {
            m: pd.concat(
                [
                    pd.DataFrame({"interval_start": grid.starts[some], "metric": a,
                                  "value": (top[m][a] / (answered[m] if a == "asa" else offered))[some]})
                    for a in asks
                ],
                ignore_index=True,
            )
            for m in MODELS
        }  # fmt: skip


def formula_errors(intervals: pd.DataFrame, predicted: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Return ``model, level, metric, error, intervals, unstable``: mean absolute errors by interval, day and over all.

    Parameters
    ----------
    intervals : DataFrame
        ``interval_start, metric, observed, simulated, contacts``; ``contacts`` are those the metric is over, the weight.
    predicted : mapping of model to DataFrame
        From :func:`formula_intervals`.

    Notes
    -----
    All models are compared on the same intervals: one in which a model's value is not finite (a queue without a steady
    state) is left out for all of them, and counted as ``unstable`` for the model.
    """
    rows = []
    known = intervals[intervals["observed"].notna() & (intervals["contacts"] > 0)]
    table = known.rename(columns={"simulated": "simulation"})
    for model, values in predicted.items():
        table = table.merge(values.rename(columns={"value": model}), on=["interval_start", "metric"])
    models = ["simulation", *predicted]
    for name, part in table.groupby("metric", sort=False):
        unstable = {m: int(np.isinf(part[m]).sum()) for m in models}
        use = part[np.isfinite(part[models]).all(axis=1)]
        if use.empty:
            rows += [(m, level, name, np.nan, 0, unstable[m]) for m in models for level in ("interval", "day", "all")]
            continue
        weight = use["contacts"].to_numpy(dtype=float)
        day = pd.factorize(use["interval_start"].dt.tz_localize(None).dt.normalize())[0]
        for m in models:
            gap = (use[m] - use["observed"]).to_numpy()
            daily = np.bincount(day, gap * weight) / np.bincount(day, weight)
            errors = {"interval": (np.abs(gap) * weight).sum() / weight.sum(), "day": np.abs(daily).mean(),
                      "all": abs((gap * weight).sum() / weight.sum())}  # fmt: skip
            rows += [(m, level, name, float(error), len(use), unstable[m]) for level, error in errors.items()]
    return pd.DataFrame(rows, columns=["model", "level", "metric", "error", "intervals", "unstable"])


def components(own: Scenario) -> list[tuple[list[str], list[str]]]:
    """Return the contact types and groups that hang together by skills."""
    left = {g: set(body.skills) for g, body in own.agent_groups.items()}
    found: list[tuple[list[str], list[str]]] = []
    while left:
        group, types = left.popitem()
        groups = [group]
        while near := [g for g, able in left.items() if able & types]:
            for g in near:
                types |= left.pop(g)
                groups.append(g)
        found.append(([t for t in own.contact_types if t in types], groups))
    return found


def waiting_per_abandonment(cal: Calibration) -> float:
    """Return the waiting time per abandonment over all types, in seconds; infinity where nobody hung up.

    An interval report may not tell how long those who hung up had waited: then the mean of the patience that was fitted, over
    the types and weighted by their contacts.
    """
    rates = [(e.n, e.value) for e in cal.estimates if e.parameter == "abandonments per waiting hour" and e.value > 0]
    hours = sum(n / value for n, value in rates)
    if rates:
        return 3600 * hours / sum(n for n, _ in rates)
    fitted = {t: cal.scenario.contact_types[t].patience[0].mean for t in cal.patience}
    known = [(mean, float(cal.scenario.expected_contacts(t).sum())) for t, mean in fitted.items() if np.isfinite(mean)]
    total = sum(weight for _, weight in known)
    return sum(mean * weight for mean, weight in known) / total if total > 0 else np.inf


def _multiplier(own: Scenario, name: str, groups: Sequence[str], heads: Mapping[str, np.ndarray]) -> np.ndarray | float:
    """Return the skill multiplier of a type over the heads that take it: who is fast takes more contacts."""
    able = [(heads[g], own.agent_groups[g].skills[name]) for g in groups if name in own.agent_groups[g].skills]
    there, done = np.sum([h for h, _ in able], axis=0), np.sum([h / m for h, m in able], axis=0)
    usual = float(np.mean([m for _, m in able])) if able else 1.0
    return np.where(done > 0, there / np.where(done > 0, done, 1.0), usual)


def means_by_slot(laws: Sequence[Distribution], slot: np.ndarray) -> np.ndarray:
    """Return the mean of the law of each slot of the day; one law stands for all."""
    means = np.array([law.mean for law in laws])
    return means[slot] if len(means) > 1 else np.full(len(slot), means[0])


def _solve(
    model: str, rate: float, handle: float, agents: float, patience: float, within: Sequence[str]
) -> tuple[list[float], float, float]:
    """Return the shares answered within each threshold, the share abandoned and the mean wait of the answered."""
    limits = np.array([seconds(t) for t in within])
    try:
        if model == "erlang-a" and np.isfinite(patience):
            q = erlang_a(rate, handle, agents, patience=patience, within=limits)
        else:
            q = erlang_c(rate, handle, agents, within=limits)
    except StabilityError:
        return [0.0] * len(within), 0.0, np.inf
    assert q.service_level is not None
    level = np.atleast_1d(q.service_level["offered"])
    return [float(v) for v in level], _one(q.p_abandon), _one(q.asa)


def _one(value: object) -> float:
    return float(np.atleast_1d(np.asarray(value, dtype=float))[0])
