"""What each queue formula says of one rate and one number of agents: numerator, denominator, share answered."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from bposim.erlang import _staffing, erlang_a, erlang_c, mmng
from bposim.erlang._lines import many_lines
from bposim.errors import StabilityError

Shares = tuple[np.ndarray, np.ndarray, np.ndarray]


@dataclass(frozen=True)
class Goal:
    """What a formula must reach: a metric, its level, its threshold, its counting rule."""

    metric: str
    level: float
    within: float | None
    counting: str
    sense: str


def erlang(rate: np.ndarray, handle: np.ndarray, n: np.ndarray, patience: np.ndarray, goal: Goal) -> Shares:
    """Erlang A, and C where patience has no end."""
    top, bottom, kept = np.zeros_like(rate), np.ones_like(rate), np.ones_like(rate)
    endless = np.isinf(patience)
    if goal.metric in ("asa", "mean_wait"):
        top[endless] = np.inf
    stable = endless & (rate > 0) & (rate * handle < n)
    if stable.any():
        q = erlang_c(rate[stable], handle[stable], n[stable], within=goal.within)
        if goal.metric == "service_level":
            top[stable] = (q.service_level or {})["offered"]
        elif goal.metric != "abandonment":
            top[stable] = q.mean_wait
    short = np.flatnonzero(~endless & (rate > 0))
    if not len(short):
        return top, bottom, kept
    arguments = (rate[short], handle[short], n[short], patience[short])
    if goal.metric == "asa":
        q = erlang_a(*arguments[:3], patience=arguments[3])
        kept[short] = bottom[short] = 1 - q.p_abandon
        top[short] = q.asa * (1 - q.p_abandon)
        return top, bottom, kept
    within = None if goal.within is None else np.full(len(short), goal.within)
    found = _staffing._gamma_form(*arguments, within)
    names = ("offered", goal.counting, "p_abandon") if goal.metric == "service_level" else ("p_abandon",)
    unsure = ~np.isfinite(sum(found[name] for name in names))
    if unsure.any():
        again = [a[unsure] for a in arguments]
        q = erlang_a(*again[:3], patience=again[3], within=goal.within)
        exact = {"p_abandon": q.p_abandon} | (dict(q.service_level) if q.service_level else {})
        for name in names:
            found[name] = np.array(found[name])
            found[name][unsure] = exact[name]
    kept[short] = 1 - found["p_abandon"]
    if goal.metric == "abandonment":
        top[short] = found["p_abandon"]
    elif goal.metric == "mean_wait":
        # Little's law for the queue: the abandonment rate is (number waiting) / (mean patience).
        top[short] = found["p_abandon"] * arguments[3]
    elif goal.counting == "credit_T":
        top[short] = found["credit_T"]
    else:
        early = found["offered"]
        with np.errstate(invalid="ignore", divide="ignore"):
            base = np.where(early > 0, early / found[goal.counting], 1.0)
        top[short], bottom[short] = early, base if goal.counting != "offered" else 1.0
    return top, bottom, kept


def square_root(rate: np.ndarray, handle: np.ndarray, n: np.ndarray, goal: Goal) -> Shares:
    """Halfin and Whitt's limit: P(wait) = 1 / (1 + β Φ(β)/φ(β)), the wait beyond it exponential."""
    load = rate * handle
    with np.errstate(invalid="ignore", divide="ignore"):
        beta = (n - load) / np.sqrt(load)
        delayed = 1 / (1 + beta * np.sqrt(2 * np.pi) * np.exp(beta**2 / 2) * special.ndtr(beta))
    ones = np.ones_like(rate)
    alive = beta > 0
    if goal.metric == "service_level":
        tail = np.exp(-np.where(alive, n - load, 0.0) / handle * (goal.within or 0.0))
        return np.where(alive, 1 - delayed * tail, 0.0), ones, ones
    with np.errstate(divide="ignore"):
        return np.where(alive, delayed * handle / np.where(alive, n - load, 1.0), np.inf), ones, ones


def general(rate: np.ndarray, handle: np.ndarray, n: np.ndarray, laws: np.ndarray, goal: Goal) -> Shares:
    """M/M/n+G, each with the patience of its own."""

    top, bottom, kept = np.zeros_like(rate), np.ones_like(rate), np.ones_like(rate)
    if goal.metric != "service_level":
        top[:] = np.inf  # where no steady state says otherwise
    for k in np.flatnonzero(rate > 0):
        try:
            q = mmng(rate[k], handle[k], n[k], patience=laws[k], within=goal.within)
        except StabilityError:
            continue
        kept[k] = q.carried_load / (rate[k] * handle[k])
        level = q.service_level or {}
        if goal.metric == "abandonment":
            top[k] = q.p_abandon
        elif goal.metric == "asa":
            top[k], bottom[k] = q.asa * kept[k], kept[k]
        elif goal.metric == "mean_wait":
            top[k] = q.mean_wait
        elif goal.counting in ("excl_T", "answered") and level["offered"] > 0:
            top[k], bottom[k] = level["offered"], level["offered"] / level[goal.counting]
        else:
            top[k] = level["credit_T" if goal.counting == "credit_T" else "offered"]
    return top, bottom, kept


def limited(
    rate: np.ndarray, handle: np.ndarray, n: np.ndarray, patience: np.ndarray, places: np.ndarray, trunks: np.ndarray,
    goal: Goal,
) -> Shares:  # fmt: skip
    """M/M/n/K+M: so many may wait, and so many are on the line in all; a blocked contact counts as missed, or lost."""

    top, bottom, kept = np.zeros_like(rate), np.ones_like(rate), np.ones_like(rate)
    come = np.flatnonzero(rate > 0)
    agents = np.minimum(n, trunks)[come]
    lines = agents + np.maximum(np.minimum(places[come], trunks[come] - agents), 0.0)
    within = None if goal.within is None else np.full(len(come), goal.within)
    q = many_lines(rate[come], handle[come], agents, patience[come], lines, within)
    kept[come] = q["carried_load"] / (rate * handle)[come]
    if goal.metric == "abandonment":
        top[come] = q["p_abandon"] + q["p_block"]
    elif goal.metric == "asa":
        top[come], bottom[come] = q["asa"] * kept[come], kept[come]
    elif goal.metric == "mean_wait":
        top[come], bottom[come] = q["mean_wait"], 1 - q["p_block"]
    else:
        top[come] = q["credit_T" if goal.counting == "credit_T" else "offered"]
        if goal.counting in ("excl_T", "answered"):
            with np.errstate(invalid="ignore", divide="ignore"):
                bottom[come] = np.where(q["offered"] > 0, q["offered"] / q[goal.counting], 1.0)
    return top, bottom, kept
