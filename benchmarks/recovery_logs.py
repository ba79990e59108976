"""Do the intervals of a calibration from a contact log cover the truth as often as they say, everything at once?

Draws histories of a line whose customers call again, whose agents work after each contact and take breaks, none of which the
log tells: it shows arrivals, answers, ends of talks, agents and customers. Each is calibrated by the public
function on a base that knows nothing of it. ``benchmarks/recovery.py`` runs the study.
"""

from __future__ import annotations

import warnings
from functools import lru_cache
from typing import Any

import numpy as np
import pandas as pd

import bposim as bp
from bposim import datasets
from bposim.calibrate import Calibration
from bposim.calibrate.balking import queue_met
from bposim.calibrate.redials import FOLLOW_S
from bposim.distributions import Distribution, distribution
from bposim.scenario import Scenario

ARRIVALS = (18, 26, 32, 30, 27, 25, 28, 31, 32, 30, 27, 25, 22, 20, 16, 14)
DAYS = ("mon", "tue", "wed", "thu", "fri")
LEVEL = {"mon": 1.15, "tue": 1.0, "wed": 0.95, "thu": 1.0, "fri": 0.9}
HEADS = {"mon": 7, "tue": 6, "wed": 6, "thu": 6, "fri": 6}
LAWS: dict[str, dict[str, Any]] = {
    "exponential": {"exponential": {"mean": "240s"}},
    "weibull": {"weibull": {"mean": "240s", "shape": 0.7}},
    "piecewise": {"piecewise_hazard": {"breaks": ["0s", "20s", "60s"], "rates": ["0.001/s", "0.008/s", "0.003/s"]}},
}
#: After-contact work of seconds, and after one contact in 25 a break of minutes.
WORK = {"lognormal": {"mean": "15s", "cv": 0.5}}
BREAK_SHARE = 0.04
PAUSE = {
    "mixture": [{"weight": 1 - BREAK_SHARE, **WORK}, {"weight": BREAK_SHARE, "lognormal": {"mean": "10min", "cv": 0.5}}]
}
BALKING = [{"queue": 2, "probability": 0.1}, {"queue": 5, "probability": 0.3}]
REDIAL = {"after_abandonment": 0.3, "delay": {"lognormal": {"mean": "8min", "cv": 1.2}}}


def planted(law: str, *, balking: bool = False, days: int = 56) -> Scenario:
    """Return the truth: one queue of about 400 contacts a day, one group, a day factor of 0.10."""
    kind: dict[str, Any] = {
        "arrivals": {"per_interval": {d: [round(LEVEL[d] * v, 6) for v in ARRIVALS] for d in DAYS}},
        "handle_time": {"lognormal": {"mean": "5min", "cv": 1.0}},
        "after_contact_work": PAUSE,
        "patience": LAWS[law],
        "redial": REDIAL,
    }
    if balking:
        kind |= {"balking": BALKING, "balking_queue": "all"}
    return bp.load_scenario(
        {
            "name": "planted", "time_zone": "UTC", "start": "2026-01-05", "days": days,
            "opening_hours": {"mon-fri": "09:00-17:00"}, "day_factor": {"gamma": {"cv": 0.10}},
            "contact_types": {"a": kind}, "agent_groups": {"g": {"skills": ["a"], "heads": HEADS}},
        }
    )  # fmt: skip


def base_of(truth: Scenario) -> Scenario:
    """Return the planned scenario: hours and skills are right, nothing else is."""
    nothing = ("after_contact_work", "redial", "balking", "balking_queue")
    return truth.replace(
        {"day_factor": None, "agent_groups.g.heads": 1, "contact_types.a.arrivals": {"rate": "1/h"}}
        | {f"contact_types.a.{k}": None for k in nothing}
        | {f"contact_types.a.{k}": {"exponential": {"mean": "60s"}} for k in ("handle_time", "patience")}
    )


def drawn(truth: Scenario, seed: int) -> tuple[bp.History, pd.DataFrame]:
    """Draw one history; what the log does not tell is in the frame beside it."""
    log = datasets.name_customers(datasets.draw_history(truth, seed=seed), customers=4000, seed=seed)
    hidden = ["replication", "handle_s", "released", "origin", "client", "attempt"]
    return bp.History.from_contacts(log.drop(columns=hidden), tz=truth.time_zone), log


def one(law: str, seed: int, *, balking: bool = False) -> tuple[Calibration, pd.DataFrame]:
    """Draw one history and calibrate it."""
    truth = planted(law, balking=balking)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history, log = drawn(truth, seed)
        return bp.calibrate(base_of(truth), history), log


def best_gap(law: Distribution, n: int = 2_000_000) -> tuple[float, float]:
    """Return the gap that parts pauses of a law best on the log scale (Otsu 1979), and the mean of those up to it."""
    x = np.sort(np.clip(law.sample(np.random.default_rng(1), n), 1.0, 7200.0))
    log, k = np.log(x), np.arange(1, n)
    share, moment = k / n, np.cumsum(log)[:-1] / n
    best = int(np.argmax((log.mean() * share - moment) ** 2 / (share * (1 - share))))
    return float(np.exp((log[best] + log[best + 1]) / 2)), float(x[: best + 1].mean())


@lru_cache
def truths(law: str, runs: int = 200) -> dict[tuple[str, str], float]:
    """Return the true value of every parameter that carries an interval; contacts offered from simulations of their own."""
    truth = planted(law)
    kind = truth.contact_types["a"]
    patience, delay = kind.patience[0], kind.redial.delay
    values = {("day factor cv", "a"): 0.10, ("mean handle time", "a"): 300.0, ("handle time cv", "a"): 1.0,
              ("mean patience", "a"): float(patience.mean)}  # fmt: skip
    values |= {(f"still patient at {t} s", "a"): float(patience.sf(t)) for t in (20, 60, 180)}
    values |= {("redial share of abandonments", "all"): REDIAL["after_abandonment"] * float(delay.cdf(FOLLOW_S)),
               ("redial delay", "all"): float(delay.quantile(0.5))}  # fmt: skip
    values[("presence gap", "all")], values[("after-contact pause", "all")] = truths_of_pause()
    offered = np.zeros(5)
    for part in range(4):
        came = bp.simulate(truth, replications=runs // 4, seed=900 + part, progress=False).intervals
        weekday = pd.DatetimeIndex(came["interval_start"]).day_of_week
        offered += np.bincount(weekday, came["offered"], minlength=5) / runs / (truth.days / 7)
    values |= {("contacts per day", f"a, {d}"): float(v) for d, v in zip(DAYS, offered, strict=True)}
    first = sum(LEVEL.values()) * sum(ARRIVALS)
    return values | {("first attempts of contacts", "a"): first / float(offered.sum())}


def hours_on_duty(log: pd.DataFrame, truth: Scenario) -> float:
    """Return the agent-hours per open day of one history: scheduled ones less breaks within the open hours."""
    gap_s = truths_of_pause()[0]
    served = log[log["outcome"] == "answered"]
    end, back = served["ended"], served["released"]
    close = end.dt.normalize() + pd.Timedelta(hours=17)
    away = (np.minimum(back, close) - end).dt.total_seconds()[(back - end).dt.total_seconds() > gap_s]
    days = len(np.unique(truth.grid.day))
    return float((truth.scheduled_heads("g") * truth.grid.hours).sum() - away.clip(lower=0).sum() / 3600) / days


@lru_cache
def truths_of_pause() -> tuple[float, float]:
    """Return the true gap and the true mean of after-contact work: Otsu's, but no gap below where both kinds are equally likely."""
    otsu = best_gap(distribution(PAUSE))
    work, away = (distribution({"lognormal": part["lognormal"]}) for part in PAUSE["mixture"])
    at = np.geomspace(float(work.quantile(0.5)), float(away.quantile(0.5)), 20_001)
    density = [w * np.diff(law.cdf(at)) for w, law in ((1 - BREAK_SHARE, work), (BREAK_SHARE, away))]
    border = float(at[np.argmax(density[1] > density[0])])
    return otsu if otsu[0] >= border else (border, float(work.mean))


def rows(law: str, seed: int) -> list[tuple[Any, ...]]:
    """Return ``parameter, subject, truth, value, low, high`` of one history."""
    cal, log = one(law, seed)
    known = truths(law) | {("agent-hours on duty per day", "g"): hours_on_duty(log, planted(law))}
    found = [(e.parameter, e.subject, known[e.parameter, e.subject], e.value, e.low, e.high)
             for e in cal.estimates if (e.parameter, e.subject) in known and e.source == "estimated"]  # fmt: skip
    return [*found, ("balking where none is", "a", 0.0, float(len(cal.balking)), 0.0, 0.0)]


def balking_rows(law: str, seed: int) -> list[tuple[Any, ...]]:
    """Return ``parameter, subject, truth, value, low, high`` of the queues that deter: a class has the mean of its queues."""
    cal, log = one(law, seed, balking=True)
    found: list[tuple[Any, ...]] = [("balking where there is", "a", 1.0, float(len(cal.balking)), 0.0, 1.0)]
    came = log["arrived"].astype("int64").to_numpy()
    went = came + np.round(log["wait_s"].to_numpy() * 1000).astype(np.int64)
    waited = (log["wait_s"] > 0).to_numpy()
    met = queue_met(came, went, waited)[waited | (log["outcome"] == "abandoned").to_numpy()]
    deters = np.select([met >= s["queue"] for s in BALKING[::-1]], [s["probability"] for s in BALKING[::-1]], 0.0)
    for fit in cal.balking.values():
        ends = [*fit.table["queue"].tolist()[1:], np.inf]
        until = dict(zip(fit.table["queue"].tolist(), ends, strict=True))
        for e in fit.estimates:
            queue = int(e.subject.split(", ")[1].split()[0])
            true = float(deters[(met >= queue) & (met < until[queue])].mean())
            found.append((e.parameter, e.subject, true, e.value, e.low, e.high))
    return found
