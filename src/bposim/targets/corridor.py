"""What a relief corridor is worth: in points, in people and in money."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics import ratio_interval
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.schema import WINDOWS
from bposim.simulate import SimulationResult
from bposim.simulate.run import show_progress
from bposim.targets.assess import Assessment, CheapestPlan, assess_target, cheapest, check_question
from bposim.targets.foreseen import read_forecast
from bposim.targets.frontier import levels_rule
from bposim.targets.prices import cost_at, planned_shares
from bposim.targets.probability import attainable, probability
from bposim.targets.relieved import clause_of, relieved_windows

EFFECTS = ("exclude", "cap", "scale", "waive")
UNITS = ("interval", "day", "month", "window")


@dataclass(frozen=True, eq=False)
class CorridorValue:
    """A promise without relief and with corridors of several widths, on the same draws.

    Attributes
    ----------
    term : Target
    frame : DataFrame
        ``width, probability, ci_low, ci_high, gain, gain_low, gain_high, attainable, attainable_low, attainable_high, mean,
        relieved, left_out`` and, where plans were sought, ``status, agent_hours, cost, hours_saved, agents_saved,
        money_saved``. The first row, with width missing, is without relief. ``gain`` is the probability won, with its paired interval;
        ``relieved`` the share of windows not judged, ``left_out`` that of contacts.
    plans : dict of width to CheapestPlan
    notes : tuple of str
    """

    term: Target
    confidence: float
    by: str
    effect: str
    below: bool
    frame: pd.DataFrame
    plans: dict[float | None, CheapestPlan]
    currency: str
    notes: tuple[str, ...]
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the corridors, one a row."""
        return self.frame

    def sentences(self) -> list[str]:
        """Say of each corridor what it is worth."""
        first = self.frame.iloc[0]
        unit = 100 if self.term.metric in ("service_level", "turnaround", "abandonment") else 1
        said = []
        for r in self.frame.iloc[1:].itertuples():
            where = f"outside ±{100 * r.width:.4g} %" if self.below else f"above {100 * (1 + r.width):.4g} %"
            line = (
                f"Relief {where} of the forecast by {self.by} ({self.effect}): probability {first['probability']:.3f} → {r.probability:.3f}, "
                f"attainable {unit * first['attainable']:.1f} → {unit * r.attainable:.1f}"
            )
            if "hours_saved" in self.frame and np.isfinite(r.hours_saved):
                line += f"; {r.hours_saved:,.0f} agent-hours ({r.agents_saved:.1f} agents, {r.money_saved:,.0f} {self.currency}) less"
            said.append(f"{line}.")
        return said

    def plot(self, ax: Any = None) -> Any:
        """Draw probability, and the cost of the cheapest staffing, against the width; returns ``ax``."""
        from bposim.targets.assess_plots import plot_corridor

        return plot_corridor(self, ax)

    def __repr__(self) -> str:
        head = f"{self.term}: what a volume corridor is worth at {100 * self.confidence:.4g} %"
        return "\n".join([head, *(f"  {s}" for s in self.sentences()), *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}", na_rep="–")


def corridor_value(
    source: Scenario | Assessment,
    term: Target | None = None,
    *,
    widths: Sequence[float] = (0.05, 0.10, 0.15, 0.20),
    by: str | None = None,
    effect: str = "exclude",
    below: bool = False,
    forecast: Any = None,
    volumes: Any = None,
    staffing: Any = None,
    plans: bool = True,
    levels: int | None = None,
    confidence: float = 0.95,
    replications: int = 500,
    seed: int = 1,
    progress: bool | None = None,
) -> CorridorValue:
    """Tell what relief outside a corridor around the forecast is worth.

    Parameters
    ----------
    source : Scenario or Assessment
        An assessment is taken as it is, with its term, draws and confidence; ``term, volumes, staffing`` must then be left out.
    term : Target
    widths : list of float
        Half widths of the corridors: 0.10 relieves stretches above 110 % of the forecast. A wider corridor relieves less.
    by : "interval", "day", "month" or "window", optional
        Stretch in which volume is compared with the corridor. None: the day, the window for ``waive`` and ``scale``.
    effect : "exclude", "cap", "scale" or "waive"
        As in a contract (``docs/design/contracts.md`` 8).
    below : bool
        Whether stretches below the corridor are relieved too; ``cap`` and ``scale`` know no lower edge.
    forecast : Forecast or DataFrame, optional
        What corridors lie around. None: the mean of the volumes simulated.
    volumes, staffing
        As in :func:`assess_target`.
    plans : bool
        Whether to seek the cheapest staffing with and without each corridor.
    levels : int, optional
        None proves each cheapest staffing on fresh replications. A number, 2 to 10, reads its cost off that many plans from lean to
        lavish on the same contacts, interpolated: a price in a fraction of the time, no proof; ``status`` says *read off*.
    confidence : float
    replications, seed : int
    progress : bool, optional

    Returns
    -------
    CorridorValue

    Raises
    ------
    ParameterError, ScenarioError
        An argument is outside its rule, or relief does not fit the term; all at once.

    Notes
    -----
    A window that relief empties or waives keeps the promise: nothing is owed. On the same draws ``waive``, ``scale``, ``cap`` and
    ``exclude`` by the window itself never lower the probability; ``exclude`` by shorter stretches may, where those left out are the
    better served ones.
    """
    if isinstance(source, Assessment):
        _nothing_beside(term, volumes, staffing)
        deal, scenario, term, confidence, seed = (
            source,
            source.runs.scenario,
            source.term,
            source.confidence,
            source.runs.seed,
        )
    else:
        check_question("corridor_value()", source, confidence, replications, term, seed=seed, staffing=staffing)
        assert term is not None
        scenario = source
    by = by or ("window" if effect in ("waive", "scale") else "day")
    _check(term, widths, by, effect, below, levels)
    contracts = {w: clause_of(term, scenario, [_relief(w, by, effect, below)]) for w in sorted(set(map(float, widths)))}
    if not isinstance(source, Assessment):
        deal = assess_target(
            scenario, term, volumes=volumes, staffing=staffing, confidence=confidence, replications=replications, seed=seed,
            progress=progress,
        )  # fmt: skip
    bare_contract = clause_of(term, scenario)
    expected = read_forecast(deal.runs.expected if forecast is None else forecast, scenario.grid.starts.tz)

    def look(runs: SimulationResult, width: float | None) -> pd.DataFrame:
        return relieved_windows(runs, bare_contract if width is None else contracts[width], "promise", expected)

    bar: Any = [None, *contracts]
    if show_progress(progress):
        from tqdm.auto import tqdm

        bar = tqdm(bar, desc="corridors", leave=False, delay=1.0)
    rows, found = [], {}
    bare: pd.DataFrame | None = None
    for width in bar:
        table = look(deal.runs, width)
        bare = table if bare is None else bare
        rows.append(_row(table, bare, term, width, confidence, seed))
        if plans and levels is None:
            found[width] = cheapest(deal, look=partial(look, width=width))
    frame = pd.DataFrame(rows, columns=["width", "probability", "ci_low", "ci_high", "gain", "gain_low", "gain_high", "attainable",
                                        "attainable_low", "attainable_high", "mean", "relieved", "left_out"])  # fmt: skip
    if plans:
        priced = _prices(found) if levels is None else _read_off(deal, look, [None, *contracts], levels)
        frame = pd.concat([frame, _saved(priced, scenario)], axis=1)
    made = Provenance("corridor_value", {"term": term.to_spec(), "by": by, "effect": effect, "confidence": confidence},
                      (deal.provenance,))  # fmt: skip
    return CorridorValue(
        term, confidence, by, effect, below, frame, found, scenario.currency, _notes(frame, deal, effect, by), made
    )


def _relief(width: float, by: str, effect: str, below: bool) -> dict[str, Any]:
    volume = {"above": f"{100 * (1 + width):.10g}%", "by": by}
    if below and width < 1:
        volume["below"] = f"{100 * (1 - width):.10g}%"
    return {"volume": volume, "effect": effect}


def _row(
    table: pd.DataFrame, bare: pd.DataFrame, term: Target, width: float | None, confidence: float, seed: int
) -> tuple[Any, ...]:
    p = probability(table["met"], table["batch"])
    keys = ["replication", "window_start"]
    paired = table.set_index(keys)["met"].astype(float).sub(bare.set_index(keys)["met"].astype(float), fill_value=1.0)
    per = (
        pd.DataFrame({"gain": paired.to_numpy(), "r": paired.index.get_level_values(0)})
        .groupby("r")["gain"]
        .agg(["sum", "size"])
    )
    batch = table.groupby("replication")["batch"].first().reindex(per.index, method="nearest").to_numpy()
    gain, low, high, _ = ratio_interval(per[["sum"]].to_numpy(float), per[["size"]].to_numpy(float), 0.95, batch)
    judged = table[table["judged"]]
    best = attainable(_kept_at_best(table, judged, term), term, confidence, seed=seed)
    total = table["sample"].sum() + table["excluded"].sum()
    left = float(table["excluded"].sum() / total) if total > 0 else np.nan
    return (np.nan if width is None else width, *p, float(gain[0]), float(low[0]), float(high[0]), *best,
            float(judged["value"].mean()), float((~table["judged"]).mean()), left)  # fmt: skip


def _kept_at_best(table: pd.DataFrame, judged: pd.DataFrame, term: Target) -> pd.DataFrame:
    """Return every window's value; one that is not judged keeps any promise, and so has the best value of those that are."""
    if judged.empty:
        return judged
    best = judged["value"].max() if term.sense == ">=" else judged["value"].min()
    return table.assign(value=table["value"].where(table["judged"], best))


def _prices(found: dict[float | None, CheapestPlan]) -> pd.DataFrame:
    rows = [(p.status, p.agent_hours, p.cost) for p in found.values()]
    return pd.DataFrame(rows, columns=["status", "agent_hours", "cost"])


def _read_off(
    deal: Assessment,
    look: Callable[[SimulationResult, float | None], pd.DataFrame],
    widths: Sequence[float | None],
    levels: int,
) -> pd.DataFrame:
    """Return ``status, agent_hours, cost`` at which each corridor's promise is kept at the confidence, between two plans.

    What is interpolated is the slack of the window at the confidence; a window that is not judged has all the slack there is.
    """
    sign = 1 if deal.term.sense == ">=" else -1
    rows: dict[float | None, list[tuple[float, float, float]]] = {w: [] for w in widths}
    for level, runs in deal.plans(planned_shares([deal.term], levels))[1]:
        for width in widths:
            table = look(runs, width)
            slack = np.where(table["judged"], sign * (table["value"] - deal.term.level), np.inf)
            most = float(np.max(slack, where=np.isfinite(slack), initial=0.0))
            at = float(np.quantile(np.minimum(slack, most), 1 - deal.confidence, method="lower"))
            rows[width].append((level.agent_hours, level.cost, at))
        if all(plans[-1][2] >= 0 for plans in rows.values()):  # dearer plans tell nothing more
            break
    found = []
    for width in widths:
        part = pd.DataFrame(rows[width], columns=["agent_hours", "cost", "attainable"])
        found.append(cost_at(part, 0.0, True))
    frame = pd.DataFrame(found, columns=["agent_hours", "cost"])
    frame.insert(0, "status", np.where(frame["cost"].isna(), "infeasible", "read off"))
    return frame


def _saved(priced: pd.DataFrame, scenario: Scenario) -> pd.DataFrame:
    known = priced[["agent_hours", "cost"]].where(priced["status"] != "infeasible")
    saved = known.iloc[0] - known
    hours = float(scenario.grid.hours.sum())
    return priced.assign(
        hours_saved=saved["agent_hours"], agents_saved=saved["agent_hours"] / hours, money_saved=saved["cost"]
    )


def _nothing_beside(term: Any, volumes: Any, staffing: Any) -> None:
    given = [name for name, x in (("term", term), ("volumes", volumes), ("staffing", staffing)) if x is not None]
    if given:
        raise ParameterError(
            f"corridor_value() takes an assessment as it is: leave {', '.join(given)} out, or give the scenario as the source."
        )


def _notes(frame: pd.DataFrame, deal: Assessment, effect: str, by: str) -> tuple[str, ...]:
    notes = list(deal.notes)
    lost = frame[frame["gain"] < 0]
    if len(lost):
        notes.append(
            f"A corridor of ±{100 * lost['width'].iloc[0]:.4g} % lowers the probability: what {effect} by {by} leaves out was better served "
            "than the rest."
        )
    if "status" in frame and (frame["status"] == "undecided").any():
        notes.append("Plans marked undecided were not proven: the interval of their probability holds the confidence.")
    if "hours_saved" in frame and (frame["hours_saved"] < 0).any():
        notes.append(
            "A corridor that costs hours is the search's own chance: plans are proven one by one, to about 1 % of cost."
        )
    return tuple(notes)


def _check(term: Target, widths: Any, by: Any, effect: Any, below: bool, levels: Any) -> None:
    where = "corridor_value()"
    problems = levels_rule(levels, where, none=True)
    if not (isinstance(widths, list | tuple | np.ndarray) and len(widths) and all(float(w) > 0 for w in widths)):
        problems.append(parameter("widths", where, "a list of shares above 0", widths, "Write widths=[0.05, 0.10]."))
    for what, value, known in (("by", by, UNITS), ("effect", effect, EFFECTS)):
        if value not in known:
            problems.append(parameter(what, where, f"one of {', '.join(known)}", value))
    if effect == "cap" and by in UNITS and by != "window" and WINDOWS.index(by) > WINDOWS.index(term.window):
        problems.append(
            f"effect 'cap' of {where} by {by} is longer than the term's window ({term.window}): write by='window'."
        )
    if term.metric == "occupancy":
        problems.append(
            f"the term of {where} must be about contacts: occupancy belongs to agents, whom a volume corridor does not name."
        )
    if term.metric in ("wait_p95", "max_wait") and effect != "waive":
        problems.append(f"a term about {term.metric} of {where} is not a ratio of counts: write effect='waive'.")
    require(problems, ParameterError)
