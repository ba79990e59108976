"""Every share × threshold of one promise: how surely the staffing keeps it, and what keeping it at the confidence costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.provenance import Provenance
from bposim.scenario import Target
from bposim.targets.frontier import Frontier, levels_rule
from bposim.targets.levels import Level
from bposim.targets.prices import cost_at, planned_shares, rows_of
from bposim.targets.probability import meets, probability, window_values
from bposim.units import format_seconds, seconds

if TYPE_CHECKING:
    from bposim.targets.assess import Assessment


@dataclass(frozen=True, eq=False)
class FeasibilityMap:
    """A service level under every share and threshold, on the same contacts.

    Attributes
    ----------
    term : Target
        The promise whose window, counting rule and contact types all cells share.
    frame : DataFrame
        ``share, within_s, probability, ci_low, ci_high, agent_hours, cost``: the probability of the staffing assessed, and the
        cheapest mix of two neighbouring plans at which the cell is attainable at the confidence; missing beyond the dearest plan.
    plans : DataFrame
        ``within_s, planned_share, agent_hours, cost, mean, attainable, attainable_low, attainable_high, probability, ci_low,
        ci_high``: what each plan attains within each threshold; ``probability`` that of the term's own share.
    levels : tuple of Level
    """

    term: Target
    confidence: float
    frame: pd.DataFrame
    plans: pd.DataFrame
    levels: tuple[Level, ...]
    currency: str
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the cells, one a row."""
        return self.frame

    def table(self, value: str = "cost") -> pd.DataFrame:
        """Return one figure as shares × thresholds, the highest share first.

        Parameters
        ----------
        value : "probability", "ci_low", "ci_high", "agent_hours" or "cost"

        Raises
        ------
        ParameterError
            There is no such figure.
        """
        known = [c for c in self.frame if c not in ("share", "within_s")]
        if value not in known:
            raise ParameterError(parameter("value", "table()", f"one of {', '.join(known)}", value))
        return self.frame.pivot(index="share", columns="within_s", values=value).sort_index(ascending=False)

    def price(self, share: float, within: Any) -> tuple[float, float]:
        """Return agent-hours and cost at which a share within a threshold is attainable at the confidence.

        Parameters
        ----------
        share : float
        within : str or float
            One of the map's thresholds; seconds where it is a number.

        Raises
        ------
        ParameterError
            The map has no plans, or not this threshold.
        """
        part = self._of(within, "price()")
        if not self.levels:
            raise ParameterError("price(): this map holds probabilities only. Ask for it with levels=6.")
        return cost_at(part, share, True)

    def frontier(self, within: Any = None) -> Frontier:
        """Return what the plans attain within one threshold, None the term's, as a frontier."""
        part = self._of(self.term.within_s if within is None else within, "frontier()")
        frame = part.drop(columns="within_s").sort_values("cost", ignore_index=True)
        term = self.term.replace(within_s=float(part["within_s"].iloc[0]))
        return Frontier(term, self.confidence, frame, self.levels, self.currency, self.provenance)

    def _of(self, within: Any, caller: str) -> pd.DataFrame:
        wanted = _seconds(within)
        part = self.plans[np.isclose(self.plans["within_s"], wanted)] if wanted is not None else self.plans[:0]
        if self.levels and part.empty:
            known = ", ".join(format_seconds(w) for w in self.frame["within_s"].unique())
            raise ParameterError(parameter("within", caller, f"one of the map's thresholds {known}", within))
        return part

    def plot(self, ax: Any = None, value: str = "cost") -> Any:
        """Draw the map as a coloured table; returns ``ax``."""
        from bposim.targets.assess_plots import plot_map

        return plot_map(self, ax, value)

    def __repr__(self) -> str:
        value = "cost" if self.levels else "probability"
        shown = self.table(value)
        shown.index = pd.Index([f"{100 * s:.4g} %" for s in shown.index], name="share")
        shown.columns = pd.Index([format_seconds(w) for w in shown.columns], name="within")
        head = f"{self.term.window}: {value if value == 'probability' else f'cost in {self.currency}'} by share and threshold"
        return (
            f"{head}\n{shown.to_string(float_format=lambda x: f'{x:,.0f}' if self.levels else f'{x:.2f}', na_rep='–')}"
        )

    def _repr_html_(self) -> str:
        return self.table("cost" if self.levels else "probability").to_html(
            float_format=lambda x: f"{x:,.4g}", na_rep="–"
        )


def feasibility(
    deal: Assessment, *, shares: Sequence[float], thresholds: Sequence[Any], levels: int | None
) -> FeasibilityMap:
    """Lay a service level out over shares and thresholds, on an assessment's draws; see :meth:`Assessment.map`."""
    within = [_seconds(t) for t in thresholds] if isinstance(thresholds, list | tuple) else []
    _check(deal, shares, within, thresholds, levels)
    seen = sorted({w for w in within if w is not None})
    wanted = sorted({float(s) for s in shares})
    targets = [deal.term.replace(within_s=w) for w in seen]
    deal.runs.counts(seen)
    now = {t.within_s: window_values(deal.runs, t) for t in targets}
    plans, made = deal.plans(planned_shares([deal.term.replace(level=min(wanted))], levels) if levels else [])
    rows: list[tuple[Any, ...]] = []
    for level, runs in made:
        runs.counts(seen)
        for t in targets:
            rows.append((t.within_s, *rows_of(window_values(runs, t), t, level, deal.confidence, deal.runs.seed)))
    columns = ["within_s", "planned_share", "agent_hours", "cost", "mean", "attainable", "attainable_low", "attainable_high",
               "probability", "ci_low", "ci_high"]  # fmt: skip
    table = pd.DataFrame(rows, columns=columns)
    cells = []
    for share in wanted:
        for w in seen:
            p = probability(
                pd.Series(meets(deal.term.replace(level=share, within_s=w), now[w]["value"].to_numpy())),
                now[w]["batch"],
            )
            part = table[table["within_s"] == w]
            cells.append((share, w, *p, *(cost_at(part, share, True) if len(part) else (np.nan, np.nan))))
    frame = pd.DataFrame(
        cells, columns=["share", "within_s", "probability", "ci_low", "ci_high", "agent_hours", "cost"]
    )
    told = Provenance("map", {"shares": wanted, "thresholds": seen, "levels": levels}, (deal.provenance,))
    return FeasibilityMap(deal.term, deal.confidence, frame, table, tuple(plans), deal.runs.scenario.currency, told)


def _seconds(value: Any) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    return seconds(value) if isinstance(value, str) else None


def _check(deal: Assessment, shares: Any, within: list[float | None], thresholds: Any, levels: Any) -> None:
    problems = []
    term = deal.term
    if term.metric != "service_level" or term.aggregation.startswith("share_of"):
        problems.append("map() is of a pooled service level: a share within a threshold.")
    if not (isinstance(shares, list | tuple | np.ndarray) and len(shares) and all(0 < float(s) < 1 for s in shares)):
        problems.append(parameter("shares", "map()", "a list of shares between 0 and 1", shares))
    if not within or not all(w is not None and 0 <= w < np.inf for w in within):
        problems.append(
            parameter("thresholds", "map()", "a list of waiting times", thresholds, 'Write ["10s", "20s"].')
        )
    require([*problems, *levels_rule(levels, "map()", none=True)], ParameterError)
