"""Synthetic histories with known truth, made by simulation when they are first asked for and never stored."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache
from typing import Any, ClassVar

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter
from bposim.scenario import Scenario, load_scenario

#: Days on which the synthetic centre is closed (the public holidays of the United States in its four months).
HOLIDAYS = (date(2026, 1, 1), date(2026, 1, 19), date(2026, 2, 16), date(2026, 5, 25))
#: A day on which the lines were down for most of the day: two contacts in three never came.
BAD_DAY = date(2026, 3, 11)
_WEEKDAY = {"mon": 1.25, "tue": 1.05, "wed": 1.0, "thu": 0.95, "fri": 0.9, "sat": 0.45}


def _shape(n: int, early: float, late: float) -> np.ndarray:
    """Return a day with a morning and an afternoon peak, mean 1, shape (n,)."""
    x = np.linspace(0, 1, n)
    curve = 0.35 + early * np.exp(-(((x - 0.28) / 0.14) ** 2)) + late * np.exp(-(((x - 0.72) / 0.16) ** 2))
    return curve / curve.mean()


def voice_truth(*, start: date = date(2026, 1, 5), days: int = 119, heads_cv: float = 0.0) -> Scenario:
    """Return the scenario that the synthetic voice history is drawn from.

    Parameters
    ----------
    start : date
    days : int
    heads_cv : float
        Of the day factor of every group's heads; 0 for the same heads every week.

    Notes
    -----
    Two contact types (billing, sales), three agent groups (one skill each, and both), a day factor common to both types
    with cv 0.10, lognormal handle times, exponential patience. Monday to Friday 08:00–20:00, Saturday 09:00–15:00.
    """
    varies: dict[str, Any] = {"day_factor": {"gamma": {"cv": heads_cv}}} if heads_cv > 0 else {}
    week, saturday = _shape(24, 1.0, 0.7), _shape(12, 0.8, 0.2)

    def arrivals(a_day: float) -> dict[str, list[float]]:
        return {
            d: (a_day * w * (saturday / 12 if d == "sat" else week / 24)).round(6).tolist() for d, w in _WEEKDAY.items()
        }

    def heads(peak: float) -> dict[str, list[int]]:
        return {
            d: np.maximum(np.ceil(peak * w * (0.25 + 0.75 * (s / s.max()))), 1).astype(int).tolist()
            for d, w in _WEEKDAY.items()
            for s in [saturday if d == "sat" else week]
        }

    return load_scenario(
        {
            "name": "synthetic-voice",
            "time_zone": "America/New_York",
            "currency": "USD",
            "start": start,
            "days": days,
            "opening_hours": {"mon-fri": "08:00-20:00", "sat": "09:00-15:00"},
            "closed": [d for d in HOLIDAYS if start <= d < start + timedelta(days=days)],
            "day_factor": {"gamma": {"cv": 0.10}},
            "contact_types": {
                "billing": {
                    "arrivals": {"per_interval": arrivals(620)},
                    "handle_time": {"lognormal": {"mean": "300s", "cv": 1.0}},
                    "patience": {"exponential": {"mean": "240s"}},
                },
                "sales": {
                    "arrivals": {"per_interval": arrivals(280)},
                    "handle_time": {"lognormal": {"mean": "420s", "cv": 0.8}},
                    "patience": {"exponential": {"mean": "150s"}},
                },
            },
            "agent_groups": {
                "billing_team": {"skills": ["billing"], "heads": heads(6), "cost_per_hour": 18.0, **varies},
                "sales_team": {"skills": ["sales"], "heads": heads(4), "cost_per_hour": 20.0, **varies},
                "all_round": {"skills": ["sales", "billing"], "heads": heads(4), "cost_per_hour": 21.5, **varies},
            },
            "routing": {"preference": {"billing": ["billing_team", "all_round"], "sales": ["sales_team", "all_round"]}},
            "shifts": {
                "full": {
                    "start": ["08:00", "12:00"],
                    "step": "30min",
                    "paid": "7.5h",
                    "days": "mon-fri",
                    "breaks": [{"after": ["3h", "4.5h"], "length": "30min"}],
                    "break_step": "30min",
                },
                "part": {"start": ["08:00", "16:00"], "step": "30min", "paid": "4h", "days": "mon-fri"},
                "saturday": {
                    "start": ["09:00", "11:00"],
                    "step": "30min",
                    "paid": "4h",
                    "days": "sat",
                    "premium": 1.25,
                },
            },
        }
    )


def base_scenario(truth: Scenario | None = None) -> Scenario:
    """Return what a planner of the synthetic operation would have on file: its rules, and guesses where data belong.

    Opening hours, skills, routing, shifts and wages are right; arrivals, handle times, patience, day factor and heads
    are not, so that a calibration that leaves one of them alone is found out.
    """
    truth = truth or voice_truth()
    changes: dict[str, Any] = {"name": truth.name.replace("synthetic", "planned"), "day_factor": None}
    for t in truth.contact_types:
        changes |= {
            f"contact_types.{t}.arrivals": {"rate": "1/h"},
            f"contact_types.{t}.handle_time": {"exponential": {"mean": "60s"}},
            f"contact_types.{t}.patience": {"exponential": {"mean": "60s"}},
        }
    for g in truth.agent_groups:
        changes |= {f"agent_groups.{g}.heads": 1, f"agent_groups.{g}.day_factor": None}
    return truth.replace(changes)


@dataclass(frozen=True, eq=False)
class Synthetic:
    """A history with its truth.

    Attributes
    ----------
    frame : DataFrame
        The export as a planner would find it, local times without a zone: ``contact_id, queue, arrived, answered,
        ended, agent_group, agent, outcome``, with a few dirty rows.
    truth : Scenario
    tz : str
    bad_days, dirty : tuple
        What was planted to be found.
    """

    frame: pd.DataFrame
    truth: Scenario
    tz: str
    bad_days: tuple[date, ...]
    dirty: tuple[str, ...]

    #: Our names to the columns of ``frame``.
    columns: ClassVar[dict[str, str]] = {"contact_type": "queue"}


def draw_history(truth: Scenario, *, seed: int = 1, bad_days: tuple[date, ...] = ()) -> pd.DataFrame:
    """Return one contact log of a scenario, with agents' names; on bad days two contacts in three are missing."""
    from bposim.simulate import simulate

    log = simulate(truth, replications=1, seed=seed).contacts()
    rng = np.random.default_rng((seed, 20))
    lost = log["arrived"].dt.date.isin(list(bad_days)).to_numpy() & (rng.random(len(log)) < 2 / 3)
    log = log[~lost].reset_index(drop=True)
    number = log["agent"].fillna(0).astype(int).astype(str).str.zfill(2)
    name = log["agent_group"].astype(str) + "-" + number
    return log.assign(agent=name.where(log["outcome"] == "answered"))


def name_customers(log: pd.DataFrame, *, customers: int, seed: int = 1) -> pd.DataFrame:
    """Return a log with a column ``customer``: whoever tries again has the code of the contact that it began with.

    Parameters
    ----------
    log : DataFrame
        From :func:`draw_history`. Without redials every contact is a first one.
    customers : int
        Size of the base. Each first contact is a customer's by lot; customers differ in how often they call, gamma with
        cv 1, so that frequent callers call again by chance as well.
    seed : int
    """
    rng = np.random.default_rng((seed, 22))
    weight = rng.gamma(1.0, 1.0, customers)
    code = rng.choice(customers, size=len(log), p=weight / weight.sum())
    first = log["client"].to_numpy() if "client" in log else np.arange(len(log))
    return log.assign(customer=pd.Series(code[first], index=log.index).astype(str))


@lru_cache(maxsize=4)
def _voice(seed: int) -> Synthetic:
    truth = voice_truth()
    log = draw_history(truth, seed=seed, bad_days=(BAD_DAY,))
    local = {c: log[c].dt.tz_localize(None).dt.round("s") for c in ("arrived", "answered", "ended")}
    frame = pd.DataFrame(
        {
            "contact_id": np.arange(1, len(log) + 1),
            "queue": log["contact_type"].astype(str),
            **local,
            "agent_group": log["agent_group"].astype(object),
            "agent": log["agent"],
            "outcome": log["outcome"].astype(str),
        }
    )
    rng = np.random.default_rng((seed, 21))
    answered = np.flatnonzero(frame["answered"].notna().to_numpy())
    spot = rng.choice(answered, 12, replace=False)
    frame.loc[spot[:4], "ended"] = frame.loc[spot[:4], "arrived"] - pd.Timedelta(minutes=3)  # ended before it began
    frame.loc[spot[4:9], "agent"] = None  # answered by nobody
    frame.loc[spot[9], "ended"] = frame.loc[spot[9], "answered"] + pd.Timedelta(hours=12)  # a call left open overnight
    frame = pd.concat([frame, frame.loc[spot[10:12]]], ignore_index=True)  # exported twice
    dirty = ("4 contacts end before they arrive", "5 answered contacts have no agent", "1 handle time of 12 hours",
             "2 contacts stand twice")  # fmt: skip
    return Synthetic(frame, truth, "America/New_York", (BAD_DAY,), dirty)


def synthetic(name: str = "voice", *, seed: int = 1) -> Synthetic:
    """Return a synthetic history with known truth.

    Parameters
    ----------
    name : str
        ``"voice"``: four months of two queues and three agent groups, with a common day factor, closed holidays, a
        bad day and a few dirty rows.
    seed : int

    Examples
    --------
    >>> data = synthetic("voice")
    >>> data.truth.contact_types["billing"].patience[0].mean
    240.0
    """
    if name != "voice":
        raise ParameterError(parameter("name", "synthetic()", "'voice'", name))
    return _voice(seed)


def load(name: str = "voice", *, seed: int = 1) -> Any:
    """Return a synthetic history, read and checked like any other."""
    from bposim.history import History

    data = synthetic(name, seed=seed)
    return History.from_contacts(data.frame, tz=data.tz, columns=data.columns)
