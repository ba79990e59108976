"""The same words under every counting rule and window: probability, mean and attainable level, from one set of runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics import window_shares
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.scenario.target import AGGREGATIONS
from bposim.schema import COUNTING_RULES, WINDOWS
from bposim.simulate import SimulationResult, simulate
from bposim.targets.probability import attainable, meets, probability, window_values

#: Rules that every scenario tells apart; those with a short-abandon limit join where one is given.
RULES = ("offered", "excl_T", "credit_T", "answered")
SHORT_RULES = ("excl_short", "credit_short")
#: Values in a cell above which the interval of the attainable level rests on fewer resamples.
MANY = 200_000


@dataclass(frozen=True, eq=False)
class TargetMatrix:
    """One promise under several counting rules, aggregations and windows, on the same draws.

    Attributes
    ----------
    term : Target
        The promise whose metric, threshold and level all cells share.
    confidence : float
        At which ``attainable`` is told.
    frame : DataFrame
        ``rule, counting, aggregation, window, windows, mean, probability, ci_low, ci_high, attainable, attainable_low,
        attainable_high``; ``windows`` are those behind a cell.
    notes : tuple of str
    """

    term: Target
    confidence: float
    frame: pd.DataFrame
    notes: tuple[str, ...]
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the cells, one a row."""
        return self.frame

    def table(self, value: str = "probability") -> pd.DataFrame:
        """Return one figure as rules × windows.

        Parameters
        ----------
        value : str
            A column of numbers of ``frame``.

        Raises
        ------
        ParameterError
            There is no such column.
        """
        numbers = [c for c in self.frame if self.frame[c].dtype.kind in "fi"]
        if value not in numbers:
            raise ParameterError(parameter("value", "table()", f"one of {', '.join(numbers)}", value))
        wide = self.frame.pivot(index="rule", columns="window", values=value)
        rules, windows = self.frame["rule"].unique(), self.frame["window"].unique()
        return wide.reindex(index=rules, columns=windows)

    def plot(self, ax: Any = None, value: str = "probability") -> Any:
        """Draw a figure of every cell as a coloured table; returns ``ax``."""
        from bposim.targets.assess_plots import plot_matrix

        return plot_matrix(self, ax, value)

    def __repr__(self) -> str:
        shown = self.table().to_string(float_format=lambda x: f"{x:.3f}", na_rep="–")
        head = f"{self.term}: probability by counting rule and window"
        return "\n".join([head, shown, *(f"Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.table().to_html(float_format=lambda x: f"{x:.3f}", na_rep="–")


def target_matrix(
    source: Scenario | SimulationResult,
    term: Target,
    *,
    countings: Sequence[str] | None = None,
    windows: Sequence[str] | None = None,
    aggregations: Sequence[str] = ("pooled",),
    passing: float = 0.90,
    short: float | None = None,
    volumes: Any = None,
    staffing: Any = None,
    confidence: float = 0.95,
    replications: int = 1000,
    seed: int = 1,
    progress: bool | None = None,
) -> TargetMatrix:
    """Tell how surely the same promise is kept under every counting rule and window.

    Parameters
    ----------
    source : Scenario or SimulationResult
        A result is taken as it is, and ``volumes, staffing, replications`` must then be left out.
    term : Target
        Its metric, threshold, level and contact type hold in every cell.
    countings : list of str, optional
        Counting rules of a service level; None takes those that differ here (short-abandon rules where the term or
        ``short`` gives their limit). Other metrics have none.
    windows : list of str, optional
        None takes every window of which the horizon holds a whole one.
    aggregations : list of str
        ``pooled, mean_of_intervals, share_of_intervals, share_of_days``. Under the last two the term's level is what each
        stretch must reach, and ``passing`` the share of stretches that must. They have no cell for windows that hold one
        such stretch only.
    passing : float
    short : float, optional
        Short-abandon limit in seconds; None takes the term's.
    volumes, staffing
        As in :func:`assess_target`.
    confidence : float
    replications, seed : int
    progress : bool, optional

    Returns
    -------
    TargetMatrix

    Raises
    ------
    ParameterError
        An argument is outside its rule; all at once.

    Notes
    -----
    Windows cut by the ends of the horizon are left out wherever it holds a whole one.

    References
    ----------
    Roubos, Koole & Stolletz (2012), Service-level variability of inbound call centers, M&SOM 14(3): the service level of a
    window is a random number, whose spread depends on the window.
    """
    short_s = term.short_s if short is None and isinstance(term, Target) else short
    _check(source, term, countings, windows, aggregations, passing, short_s, confidence, volumes, staffing)
    if isinstance(source, SimulationResult):
        runs = source
    else:
        within = [] if term.within_s is None else [term.within_s]
        runs = simulate(source, volumes=volumes, staffing=staffing, replications=replications, seed=seed, progress=progress,
                        within=[*within, *([] if short_s is None else [float(short_s)])])  # fmt: skip
    counted = term.metric == "service_level"
    rules = list(countings or (RULES if short_s is None else (*RULES, *SHORT_RULES))) if counted else [term.counting]
    thresholds = [t for t in (term.within_s, short_s) if t is not None]
    counts = runs.counts(thresholds)
    chosen = list(windows) if windows else [w for w in WINDOWS if (window_shares(counts, w) == 1).any()]
    notes = [f"The horizon holds no whole {w}: its cells are of parts, which scatter more." for w in chosen
             if not (window_shares(counts, w) == 1).any()]  # fmt: skip
    rows = []
    for rule in rules:
        for how in aggregations:
            for window in chosen:
                if how != "pooled" and (window == "interval" or (how == "share_of_days" and window == "day")):
                    continue
                share = how.startswith("share_of")
                cell = term.replace(
                    counting=rule, window=window, aggregation=how, short_s=short_s, sense=">=" if share else term.sense,
                    pass_level=term.level if share else None, level=passing if share else term.level,
                )  # fmt: skip
                values = window_values(runs, cell)
                met = pd.Series(meets(cell, values["value"].to_numpy()))
                p = probability(met, values["batch"])
                best = attainable(values, cell, confidence, seed=seed, resamples=200 if len(values) <= MANY else 40)
                mean = float(values["value"].mean()) if len(values) else np.nan
                rows.append((_label(rule if counted else term.metric, how, passing), rule if counted else "", how, window,
                             len(values), mean, *p, *best))  # fmt: skip
    columns = ["rule", "counting", "aggregation", "window", "windows", "mean", "probability", "ci_low", "ci_high",
               "attainable", "attainable_low", "attainable_high"]  # fmt: skip
    made = Provenance("target_matrix", {"term": term.to_spec(), "confidence": confidence}, (runs.provenance,))
    return TargetMatrix(term, confidence, pd.DataFrame(rows, columns=columns), tuple(notes), made)


def _label(rule: str, how: str, passing: float) -> str:
    if how == "pooled":
        return rule
    if how == "mean_of_intervals":
        return f"{rule}, mean of intervals"
    return f"{rule}, {100 * passing:.4g} % of {how.removeprefix('share_of_')}"


def _check(
    source: Any, term: Any, countings: Any, windows: Any, aggregations: Any, passing: Any, short_s: Any, confidence: Any,
    volumes: Any, staffing: Any,
) -> None:  # fmt: skip
    problems = []
    where = "target_matrix()"
    if not isinstance(source, Scenario | SimulationResult):
        problems.append(parameter("source", where, "a Scenario or a SimulationResult", type(source).__name__))
    if isinstance(source, SimulationResult) and (volumes is not None or staffing is not None):
        problems.append(
            f"source of {where} is a simulation already: leave volumes and staffing out, or give its scenario."
        )
    if not isinstance(term, Target):
        problems.append(parameter("term", where, "a Target", term, 'Write ServiceLevel(0.80, within="20s").'))
    elif countings and term.metric != "service_level":
        problems.append(
            f"countings of {where} are of a service level. The term is about {term.metric}: leave them out."
        )
    if isinstance(term, Target) and term.aggregation.startswith("share_of"):
        problems.append(f"term of {where} must be pooled or a mean: write what passes as aggregations= and passing=.")
    for what, given, known in (("countings", countings, COUNTING_RULES), ("windows", windows, WINDOWS),
                               ("aggregations", aggregations, AGGREGATIONS)):  # fmt: skip
        listed = [given] if isinstance(given, str) else list(given or ())
        if isinstance(given, str) or any(x not in known for x in listed) or (what == "aggregations" and not listed):
            problems.append(parameter(what, where, f"a list of {', '.join(known)}", given))
    if not isinstance(countings, str) and short_s is None and any(c in SHORT_RULES for c in countings or ()):
        problems.append(f"countings of {where} need a short-abandon limit. Write short=5 (seconds).")
    if short_s is not None and not (isinstance(short_s, int | float) and 0 <= short_s < np.inf):
        problems.append(parameter("short", where, "a number of seconds of at least 0", short_s))
    for what, value in (("confidence", confidence), ("passing", passing)):
        if not ((isinstance(value, int | float) and 0 < value < 1) or (what == "passing" and value == 1)):
            problems.append(parameter(what, where, "a share between 0 and 1", value))
    require(problems, ParameterError)
