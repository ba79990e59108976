"""A fitted scenario and what it rests on."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from html import escape
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.absence import AbsenceFit
from bposim.calibrate.arrivals import ArrivalFit
from bposim.calibrate.backtest import Backtest, backtest
from bposim.calibrate.balking import BalkingFit
from bposim.calibrate.durations import DurationFit
from bposim.calibrate.estimates import Estimate, estimate_frame
from bposim.calibrate.heads import (
    HeadsFit,
)
from bposim.calibrate.redials import RedialFit
from bposim.calibrate.routing import OrderFit
from bposim.calibrate.wrap_up import ASSUMED_S, WrapUp
from bposim.provenance import Provenance
from bposim.scenario import Scenario

#: Estimates that a calibration shows by itself; the others stand in its summary.
SHOWN = frozenset({
    "day factor cv", "own day factor cv", "redial share of abandonments", "mean handle time", "share of short calls", "mean patience",
    "restricted mean patience", "spread between agents", "presence gap", "after-contact pause", "agent-hours on duty per day",
    "day factor of heads cv", "shrinkage", "absence", "first attempts of contacts",
})  # fmt: skip


@dataclass(frozen=True, eq=False)
class Calibration:
    """A fitted scenario and what it rests on.

    Attributes
    ----------
    scenario : Scenario
    base : Scenario
    arrivals : ArrivalFit
    handle_time, patience : mapping of contact type to DurationFit
    heads : HeadsFit or None
        None where the history names no agents.
    agents : DataFrame or None
        ``agent, contacts, speed, ci_low, ci_high, tenure_days``; speed multiplies the handle time, as in a scenario.
    order : OrderFit
        The order of service.
    redials : RedialFit
        Who calls again.
    wrap_up : WrapUp or None
        The presence gap and the after-contact work that the log does not record.
    balking : mapping of contact type to BalkingFit
        Types whose contacts are deterred by the queue that they meet.
    paces : mapping of agent to float
        Mean handle time of an agent's contacts over what their types lead one to expect, for a replay that knows who was there.
    absence : AbsenceFit or None
        None where no schedules were given.
    notes : tuple of str
        What a reader must know, in plain sentences.
    days : (date, date)
        First and last day used.
    provenance : Provenance
    """

    scenario: Scenario
    base: Scenario
    arrivals: ArrivalFit
    handle_time: Mapping[str, DurationFit]
    patience: Mapping[str, DurationFit]
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]
    days: tuple[date, date]
    provenance: Provenance
    gap_s: float | None = None
    grouped: bool = True
    heads: HeadsFit | None = None
    agents: pd.DataFrame | None = None
    order: OrderFit | None = None
    redials: RedialFit | None = None
    wrap_up: WrapUp | None = None
    balking: Mapping[str, BalkingFit] = field(default_factory=dict)
    paces: Mapping[str, float] = field(default_factory=dict)
    absence: AbsenceFit | None = None
    _cache: dict[str, Any] = field(default_factory=dict)

    def summary(self, *, full: bool = True) -> pd.DataFrame:
        """Return ``parameter, subject, value, ci_low, ci_high, n, unit, source, detail``; without ``full`` the main rows only.

        It prints whole, in a terminal as in a notebook.
        """
        return estimate_frame(self.estimates if full else self._main())

    def _main(self) -> list[Estimate]:
        return [e for e in self.estimates if e.parameter in SHOWN and ", " not in e.subject]

    def backtest(
        self,
        history: Any,
        start: Any = None,
        end: Any = None,
        *,
        heads: str = "observed",
        replications: int = 100,
        seed: int = 1,
        volumes: Any = None,
        handle_times: str = "fitted",
        within: str | Sequence[str] = "20s",
    ) -> Backtest:
        """Play the contacts and the agents that a history really had, and compare what came of it.

        The same contacts are also played with the scenario's own heads, profile and day factor: a promise rests on
        those, so a planner needs both views.

        Parameters
        ----------
        history : History
            Contact log; held out where the test is to mean something.
        start, end : date or str, optional
            First day and the day after the last; None takes the history's.
        heads : "observed" or "profile"
            Whose heads decide the verdict: those inferred for the very intervals (the other view is in the result's
            ``profile``), or the scenario's own alone.
        replications, seed : int
        volumes : Forecast or DataFrame, optional
            Plays these contacts instead of those that came: what a forecast would have promised.
        handle_times : "fitted" or "observed"
            With ``"observed"`` every day has the mean handle time that it really had: how much of a miss is drift.
        within : str or list of str
            Acceptable waiting times, besides 60 s.

        Returns
        -------
        Backtest
            Observed against simulated, by metric, interval, day and week, with a verdict; Erlang A and Erlang C on the same
            inputs beside it.
        """
        return backtest(
            self,
            history,
            start,
            end,
            heads=heads,
            volumes=volumes,
            handle_times=handle_times,
            replications=replications,
            seed=seed,
            within=within,
        )

    @property
    def wrap_up_s(self) -> float:
        """Presence gap: seconds of somebody waiting in a pause from which an agent is taken to be away."""
        return ASSUMED_S if self.wrap_up is None else self.wrap_up.gap_s

    def plot(self, axes: Any = None) -> Any:
        """Draw the intraday profile, handle times and patience; returns the axes."""
        from bposim.calibrate.plots import plot_calibration

        return plot_calibration(self, axes)

    def plot_patience(self, contact_type: str, axes: Any = None) -> Any:
        """Draw a type's survival, hazard, and the queues that deter; returns the axes."""
        from bposim.calibrate.plots import plot_patience

        return plot_patience(self, contact_type, axes)

    def __repr__(self) -> str:
        lines = [f"Calibration of {self.scenario.name!r} on {self.days[0]} to {self.days[1]}"]
        shown = self._main()
        for e in shown:
            ends = f" [{e.low:,.4g}, {e.high:,.4g}]" if np.isfinite(e.low) and np.isfinite(e.high) else ""
            lines.append(
                f"  {e.parameter} ({e.subject}): {e.value:,.4g}{ends} {e.unit}, {e.source}; {e.detail}".rstrip("; ")
            )
        lines.append(f"  … and {len(self.estimates) - len(shown)} more in summary()")
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        notes = "".join(f"<li>{escape(n)}</li>" for n in self.notes)
        return f"{estimate_frame(self.estimates)._repr_html_()}<ul>{notes}</ul>"
