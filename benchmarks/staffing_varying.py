"""Agents for a rate that varies within hours: what each rule asks for and what becomes of the promise.

Usage: python benchmarks/staffing_varying.py. Three published settings: sinusoidal arrivals with abandonment (Feldman,
Mandelbaum, Massey and Whitt 2008), a fast cycle without it (Green, Kolesar and Soares 2001 show its like), and the
service level of a day as a random number (Roubos, Koole and Stolletz 2012).
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import stats

sys.path.insert(0, str(Path(__file__).parents[1] / "src"))

import bposim as bp

#: Replications in all, and at a time: memory grows with replications times intervals.
REPLICATIONS, BATCH = 8_000, 1_000


#: Rules, and whether their agents are played.
RULES = {
    "mol": True, "mol, nearest": True, "simulation": True, "sipp": True, "sipp-max": False, "lag": False, "lag-max": False,
}  # fmt: skip


def sine_world(amplitude: float, hours: float, handle: str, patience: object, minutes: int) -> bp.Scenario:
    """Return two days of arrivals whose load is 100 (1 + amplitude sin 2πt/hours) Erlangs, in intervals of some minutes.

    The first day is there for the second to begin in the periodic regime.
    """
    mean = pd.Timedelta(handle) / pd.Timedelta(hours=1)
    pace, step = 2 * np.pi / hours, minutes / 60
    begin = np.arange(48 * 60 // minutes) * step - 24.0
    swing = -(np.cos(pace * (begin + step)) - np.cos(pace * begin)) / pace
    contacts = (100 / mean) * (step + amplitude * swing)
    half = len(contacts) // 2
    return bp.load_scenario({
        "name": "sine", "start": "2026-01-05", "days": 2, "interval": f"{minutes}min",
        "opening_hours": {"mon-tue": "00:00-24:00"},
        "contact_types": {"calls": {
            "arrivals": {"per_interval": {"mon": contacts[:half].tolist(), "tue": contacts[half:].tolist()}},
            "handle_time": {"exponential": {"mean": handle}}, "patience": patience,
        }},
        "agent_groups": {"agents": {"skills": ["calls"]}},
    })  # fmt: skip


def small_swing() -> bp.Scenario:
    """Return λ(t) = 100 + 20 sin t, μ = θ = 1 an hour, staffing reset every 0.1 hours."""
    return sine_world(0.2, 2 * np.pi, "60min", {"exponential": {"mean": "60min"}}, 6)


def fast_cycle() -> bp.Scenario:
    """Return load 100, amplitude 50 %, a cycle of twenty handle times, nobody abandons; reset every minute.

    In the published case the handle time is 3 minutes and the cycle an hour; here everything lasts twelve times longer,
    so that a minute of the grid is five seconds of it.
    """
    return sine_world(0.5, 12.0, "36min", "infinite", 1)


def small_swing_load(hour: np.ndarray) -> np.ndarray:
    """Return m(t) = 100 + 10 (sin t − cos t): the number present is Poisson of that mean, whatever the staffing."""
    return np.asarray(100 + 10 * (np.sin(hour) - np.cos(hour)))


def delayed(world: bp.Scenario, heads: np.ndarray, *, replications: int = REPLICATIONS, seed: int = 1,
            batch: int = BATCH) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return the share delayed of the contacts of every interval of the second day, and its standard error."""
    late, came = [], []
    for k in range(0, replications, batch):
        runs = bp.simulate(
            world, staffing={"agents": heads.astype(float)}, replications=min(batch, replications - k), seed=seed + k,
            within="0s", progress=False, workers=1,
        )  # fmt: skip
        table = runs.windows("service_level", "interval", within="0s")
        top, bottom = (table[c].to_numpy(float).reshape(runs.replications, -1) for c in ("numerator", "denominator"))
        half = bottom.shape[1] // 2
        late.append((bottom - top)[:, half:])
        came.append(bottom[:, half:])
    d, n = np.concatenate(late), np.concatenate(came)
    share = d.sum(axis=0) / n.sum(axis=0)
    return share, np.sqrt(((d - share * n) ** 2).mean(axis=0) / len(d)) / n.mean(axis=0)


def second_day(need: bp.Requirement, column: str = "required") -> np.ndarray:
    """Return a column of the requirement over the second day."""
    values = need.frame[column].to_numpy()
    return np.asarray(values[len(values) // 2 :])


def sine(replications: int = REPLICATIONS) -> pd.DataFrame:
    """Agents and delays under each rule, over t in [6, 24]."""
    world = small_swing()
    hour = np.arange(240) * 0.1
    load = small_swing_load(hour + 0.05)
    rows = []
    for alpha in (0.1, 0.5):
        term = bp.ServiceLevel(1 - alpha, within="0s")
        for rule in RULES:
            begin = time.perf_counter()
            if rule == "simulation":
                need = bp.required_agents(world, target=term, method="simulation", replications=2000)
            else:
                need = bp.required_agents(world, target=term, demand=rule.split(",")[0])
            spent = time.perf_counter() - begin
            heads = need.frame["required"].to_numpy()
            if rule.endswith("nearest"):
                heads = np.round(need.frame["fractional"].to_numpy())
            here = heads[len(heads) // 2 :]
            exact = stats.poisson.sf(here - 1, load)[60:]
            row = {
                "P(delay)": alpha, "rule": rule, "agents, mean": round(float(here[60:].mean()), 2),
                "range": f"{here[60:].min():.0f}–{here[60:].max():.0f}",
                "exact P(delay)": f"{exact.min():.4f}–{exact.max():.4f}",
            }  # fmt: skip
            if RULES[rule]:
                share, error = (x[60:] for x in delayed(world, heads, replications=replications))
                outside = np.abs(share - alpha) - 0.02
                row |= {
                    "simulated": f"{share.min():.3f}–{share.max():.3f}", "largest error": round(float(error.max()), 4),
                    "intervals outside ± 0.02": int((outside > 0).sum()),
                    "by more than 3 errors": int((outside > 3 * error).sum()),
                }  # fmt: skip
            rows.append(row | {
                "at t = 6, 8, … 22": " ".join(f"{n:.0f}" for n in here[60:240:20]), "s": round(spent, 1),
            })  # fmt: skip
            print(rows[-1], flush=True)
    return pd.DataFrame(rows).fillna("")


def waiting(rate: Callable[[float], float], agents: np.ndarray, step: float, cycles: int = 6) -> np.ndarray:
    """Return P(all busy) over one cycle of M(t)/M/s(t) in the periodic regime, handle time 1, by Kolmogorov's equations.

    Runge and Kutta's second order, in steps at which the sum of all rates is a quarter; 420 contacts at most.
    """
    n = np.arange(421)
    parts = int(np.ceil(step * 1200))
    h = step / parts
    p = stats.poisson.pmf(n, 100.0)
    found = np.zeros(0)
    for _ in range(cycles):
        seen = []
        for k, s in enumerate(agents):
            leave = np.minimum(n, s).astype(float)

            def slope(q: np.ndarray, t: float, leave: np.ndarray = leave) -> np.ndarray:
                come = rate(t)
                out = -leave * q
                out[:-1] += leave[1:] * q[1:] - come * q[:-1]
                out[1:] += come * q[:-1]
                return out

            for j in range(parts):
                t = k * step + j * h
                seen.append(p[int(s) :].sum())
                p = p + h * slope(p + h / 2 * slope(p, t), t + h / 2)
        found = np.array(seen)
    return found


def cycle(replications: int = 4000) -> pd.DataFrame:
    """Stationary by instant against the offered load, P(delay) at most 0.2."""
    world = fast_cycle()
    rows = []
    for name, demand in (("PSA", "sipp"), ("MOL", "mol")):
        need = bp.required_agents(world, target=bp.ServiceLevel(0.8, within="0s"), method="erlang-c", demand=demand)
        here = second_day(need)[:720]
        exact = waiting(lambda t: 100 * (1 + 0.5 * np.sin(2 * np.pi * t / 20)), here, 20 / 720)
        share, error = delayed(world, need.frame["required"].to_numpy(), replications=replications, batch=400)
        rows.append({
            "rule": name, "agents, mean": round(float(here.mean()), 2),
            "exact P(delay)": f"{exact.min():.4f}–{exact.max():.4f}",
            "simulated": f"{share.min():.3f}–{share.max():.3f}", "largest error": round(float(error.max()), 4),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


def stationary_day(patience: object) -> bp.Scenario:
    """Return ten hours of 200 contacts each half hour, 180 s each."""
    return bp.load_scenario({
        "name": "day", "interval": "30min", "opening_hours": {"daily": "08:00-18:00"},
        "contact_types": {"calls": {
            "arrivals": {"rate": "400/h"}, "handle_time": {"exponential": {"mean": "180s"}}, "patience": patience,
        }},
        "agent_groups": {"agents": {"skills": ["calls"]}},
    })  # fmt: skip


def window(replications: int = 1000) -> pd.DataFrame:
    """Agents for the expectation and for 95 of 100 days."""
    term = bp.ServiceLevel(0.80, within="20s", window="day")
    rows = []
    for name, patience in (("endless", "infinite"), ("120 s", {"exponential": {"mean": "120s"}})):
        world = stationary_day(patience)
        mean = bp.required_agents(world, target=term)
        begin = time.perf_counter()
        sure = bp.required_agents(world, target=term, confidence=0.95, replications=replications)
        assert sure.proof is not None
        proof = sure.proof.iloc[0]
        rows.append({
            "patience": name, "agents for the expectation": int(mean.frame["required"].max()),
            "for P(day ≥ 80 %) ≥ 0.95": int(sure.frame["required"].max()),
            "probability, fresh": f"{proof.probability:.3f} ({proof.ci_low:.3f}–{proof.ci_high:.3f})",
            "replications": int(proof.replications), "status": proof.status,
            "s": round(time.perf_counter() - begin, 1),
        })  # fmt: skip
        print(rows[-1], flush=True)
    return pd.DataFrame(rows)


if __name__ == "__main__":
    for study in (window, cycle, sine):
        print(study().to_string(index=False), "\n")
