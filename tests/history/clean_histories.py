"""Random clean histories: what operations look like where nothing is wrong with their data."""

from __future__ import annotations

import numpy as np
import pandas as pd

KINDS = ("plain", "over-dispersed", "weekdays", "growth", "tiny", "many queues", "around the clock", "short", "long")


def random_counts(rng: np.random.Generator, kind: str, scale: float = 1.0) -> tuple[pd.DatetimeIndex, np.ndarray]:
    """Return the half hours (wall clock, Europe/Berlin, no change of the clock in them) and counts by type and half hour."""
    days = {"short": int(rng.integers(3, 20)), "long": 364}.get(kind, int(rng.integers(30, 120)))
    first = pd.Timestamp("2025-01-06" if kind == "long" else "2025-11-03") + pd.Timedelta(days=int(rng.integers(0, 7)))
    per_day = {"tiny": rng.uniform(2, 30), "many queues": 800.0, "long": 200.0}.get(
        kind, float(np.exp(rng.uniform(4, 7)))
    )
    per_day = max(per_day * scale, 2.0)
    types = {"many queues": 20, "around the clock": 2}.get(kind, int(rng.integers(1, 5)))
    slot = np.arange(48)
    if kind == "around the clock":
        shape = 1 + 0.8 * np.sin((slot - rng.uniform(12, 20)) / 48 * 2 * np.pi)
        hours = {d: shape for d in range(7)}
    else:
        begin, end = int(rng.integers(14, 19)), int(rng.integers(34, 42))
        x = np.clip((slot - begin) / (end - begin), 0, 1)
        bumps = (
            0.5 + rng.uniform(0.3, 1) * np.exp(-(((x - 0.3) / 0.15) ** 2)) + 0.5 * np.exp(-(((x - 0.7) / 0.15) ** 2))
        )
        shape = np.where((slot >= begin) & (slot < end), bumps, 0)
        saturday = np.where((slot >= begin + 2) & (slot < end - 12), bumps, 0) * 0.6
        hours = {d: shape for d in range(5)} | ({5: saturday} if rng.random() < 0.5 else {})
    week = rng.uniform(0.6, 1.5, 7) if kind in ("weekdays", "long") else np.ones(7)
    growth = rng.uniform(-0.5, 1.0) if kind in ("growth", "long") else 0.0
    cv = {"over-dispersed": rng.uniform(0.1, 0.35), "long": 0.1, "growth": 0.1}.get(kind, rng.choice([0, 0.05, 0.1]))
    share = rng.dirichlet(np.full(types, 2.0))
    stamps, counts = [], []
    for k in range(days):
        day = first + pd.Timedelta(days=k)
        if day.day_of_week not in hours:
            continue
        profile = hours[day.day_of_week]
        level = per_day * week[day.day_of_week] * (1 + growth * k / 364) * profile / shape.sum()
        factor = rng.gamma(1 / cv**2, cv**2) if cv > 0 else 1.0
        own = rng.gamma(400, 1 / 400, types) if cv > 0 else np.ones(types)
        counts.append(rng.poisson(level[None, :] * factor * (share * own)[:, None])[:, profile > 0])
        stamps += [day + pd.Timedelta(minutes=30 * int(s)) for s in slot[profile > 0]]
    return pd.DatetimeIndex(stamps), np.concatenate(counts, axis=1)


def random_report(rng: np.random.Generator, kind: str, scale: float = 1.0) -> pd.DataFrame:
    """Return an interval report as a file would have it, zeros written, contacts booked by arrival."""
    stamps, counts = random_counts(rng, kind, scale)
    aht, cv = rng.uniform(60, 600), rng.uniform(0.5, 1.5)
    k, n = counts.shape
    offered = counts.reshape(-1)
    answered = rng.binomial(offered, rng.uniform(0.8, 0.99))
    shape = 1 / cv**2
    handled = np.where(answered > 0, rng.gamma(np.maximum(answered, 1) * shape, aht / shape), 0).round(1) + answered
    return pd.DataFrame({
        "interval_start": np.tile(stamps.strftime("%Y-%m-%d %H:%M"), k),
        "contact_type": np.repeat([f"queue{j}" for j in range(k)], n),
        "offered": offered, "answered": answered, "abandoned": offered - answered,
        "answered_within_s20": rng.binomial(answered, 0.8), "handle_sum_s": handled,
        "wait_answered_sum_s": (rng.gamma(np.maximum(answered, 1), 15) * (answered > 0)).round(1),
        "staffed_s": (handled * 1.3 + 1800).round(1),
    })  # fmt: skip


def random_log(rng: np.random.Generator, kind: str, scale: float = 1.0) -> pd.DataFrame:
    """Return a contact log as a file would have it: lognormal handle times, exponential waits, customers who come again."""
    stamps, counts = random_counts(rng, kind, scale)
    k, n = counts.shape
    each = np.repeat(np.tile(np.arange(n), k), counts.reshape(-1))
    kind_of = np.repeat(np.repeat(np.arange(k), n), counts.reshape(-1))
    arrived = stamps[each] + pd.to_timedelta(rng.uniform(0, 1800, len(each)), unit="s").round("s")
    cv = rng.uniform(0.5, 1.5)
    sigma = np.sqrt(np.log1p(cv**2))
    handle = np.exp(rng.normal(np.log(rng.uniform(90, 500)) - sigma**2 / 2, sigma, len(each))).round() + 1
    handle = np.minimum(handle, 28800)  # nobody talks longer than a shift
    wait = rng.exponential(30, len(each)).round()
    left = rng.random(len(each)) < 0.08
    frame = pd.DataFrame({
        "arrived": arrived.strftime("%Y-%m-%d %H:%M:%S"), "contact_type": [f"queue{j}" for j in kind_of],
        "wait_s": wait, "handle_s": np.where(left, np.nan, handle), "outcome": np.where(left, "abandoned", "answered"),
        "customer": rng.integers(0, max(len(each) // 3, 1), len(each)),
    })  # fmt: skip
    return frame.sort_values("arrived", ignore_index=True)
