"""A plan proves itself on replications, and on volume paths, that no search has seen."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, SimulationWarning, parameter, require
from bposim.optimise._by_interval import by_interval
from bposim.optimise._goals import Goal, goal_of
from bposim.scenario import Scenario, Target
from bposim.scenario.target import scope
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import PATIENCE, prove, stack, verdict

if TYPE_CHECKING:
    from bposim.optimise.plan import ShiftPlan

#: Replications of a validation; four times as many where they leave it undecided.
REPLICATIONS = 500
#: What a row of a validation speaks of.
PROBABILITY, EXPECTED = "probability of a window", "expected value"
COLUMNS = ("target", "validated", "confidence", "probability", "ci_low", "ci_high", "mean", "status", "met")


@dataclass(frozen=True, eq=False)
class Validation:
    """What simulation says of a plan.

    Attributes
    ----------
    frame : DataFrame
        ``target, validated, confidence, probability, ci_low, ci_high, mean, status, met``. ``validated`` says of what:
        the probability that a window meets the target (of the whole ones where the horizon holds any), or, without a
        confidence, only the expected value over the horizon, of which ``ci_low`` and ``ci_high`` are the ends then.
        ``met`` where the whole interval reaches the confidence (the level).
    met : bool
    replications, seed : int
    intervals : DataFrame
        ``target, metric, level, interval_start, contacts, value, ci_low, ci_high, low, high``: the pooled value in each
        interval with its 95 % interval; four replications in five lie between ``low`` and ``high``.
    shortfall : tuple of ndarray, shape (n_cells,)
        Of a plan from :func:`optimise_staffing`: what each goal's cells lack, on the scale of its search.
    reached : tuple of (value, error), each of shape (n_cells,)
        Of a plan from :func:`optimise_staffing`: what each goal's cells came to, with the standard error; with a confidence the
        quantile of the windows that the search aims at.
    """

    frame: pd.DataFrame
    met: bool
    replications: int
    seed: int
    shortfall: tuple[np.ndarray, ...] = ()
    reached: tuple[tuple[np.ndarray, np.ndarray], ...] = ()
    intervals: pd.DataFrame = field(default_factory=pd.DataFrame, repr=False)

    @property
    def status(self) -> str:
        """``met``, ``not met`` where any target is not, ``undecided`` otherwise."""
        said = set(self.frame["status"])
        return "met" if self.met else "not met" if "not met" in said else "undecided"

    def __repr__(self) -> str:
        lines = [f"Validation({self.status} on {self.replications} fresh replications)"]
        if (self.frame["validated"] == EXPECTED).any():
            lines.append(
                "Only the expected value was validated: about every other window may miss it. Give confidence=0.95 for "
                "the probability that a window meets the target."
            )
        return "\n".join([*lines, self.frame.to_string(index=False)])


def check_confidence(confidence: Any, caller: str) -> list[str]:
    """Return what is wrong with a confidence that may be None."""
    if confidence is None:
        return []
    number = isinstance(confidence, int | float | np.number) and not isinstance(confidence, bool)
    if number and 0 < confidence < 1:
        return []
    way = f"Write {confidence / 100:g}." if number and 2 <= confidence < 100 else ""
    return [parameter("confidence", caller, "None or between 0 and 1", confidence, way)]


def validate_plan(
    plan: ShiftPlan,
    scenario: Scenario,
    target: Target | Mapping[str, Target],
    *,
    confidence: float | None = None,
    volumes: Any = None,
    seed: int = 1,
    replications: int = REPLICATIONS,
) -> ShiftPlan:
    """Return the plan with its validation, and status ``met`` where simulation on fresh seeds agrees.

    ``notes`` says where the horizon holds no whole window of a target.

    Parameters
    ----------
    plan : ShiftPlan
    scenario : Scenario
    target : Target or mapping of contact type to Target
    confidence : float, optional
        Wanted probability that a window meets the target: its whole 95 % interval must reach it. None asks for the
        expected metric only, with its interval on the good side of the level, and the validation says so.
    volumes : Forecast, Volumes frame or None
        The Forecast or frame that the requirement was made from. A Forecast draws further paths for the proof.
    seed : int
        Moved away from the one of the search.
    replications : int
        To begin with; up to four times as many are played while the answer is undecided.

    Raises
    ------
    ParameterError
        ``confidence`` or ``replications`` breaks its rule.

    Warns
    -----
    SimulationWarning
        The volumes are paths of a frame: the requirement has seen them all, and no further one can be drawn.
    """
    problems = check_confidence(confidence, "validate_plan()")
    if isinstance(replications, bool) or not isinstance(replications, int | np.integer) or replications < 2:
        rule = "a whole number of at least 2"
        problems.append(parameter("replications", "validate_plan()", rule, replications))
    require(problems, ParameterError)
    asked = {None: target} if isinstance(target, Target) else dict(target)

    def judge(played: Sequence[SimulationResult]) -> list[tuple[Any, ...]]:
        return [_row(played, t, t.contact_type or kind, confidence) for kind, t in asked.items()]

    goals = [goal_of(scenario, kind, t, None, "all") for kind, t in asked.items()]
    checked = proven(plan, scenario, goals, judge, COLUMNS, volumes=volumes, seed=seed, replications=replications)
    from bposim.optimise._notes import cut_windows

    return checked.replace(notes=cut_windows(scenario, asked.values(), confidence))


def proven(
    plan: ShiftPlan, scenario: Scenario, goals: Sequence[Goal],
    judge: Callable[[Sequence[SimulationResult]], list[tuple[Any, ...]]], columns: Sequence[str], *,
    volumes: Any, seed: int, replications: int, options: Mapping[str, Any] | None = None, patience: int = PATIENCE,
) -> ShiftPlan:  # fmt: skip
    """Return the plan with what a judge says of it on fresh replications, played on while its answer is open.

    Parameters
    ----------
    goals : sequence of Goal
        Their targets' waiting times are counted; each is told by interval.
    judge : callable
        Called with all results so far; returns rows of ``columns``, of which the last two are status and met.
    seed : int
        Of the search; the proof moves away from it.
    options : mapping, optional
        Further arguments of :func:`bposim.simulate`.
    patience : int
        At most so many times the replications.
    """
    fresh = seed + 1_000_003
    seen: list[SimulationResult] = []

    def look(played: Sequence[SimulationResult]) -> list[tuple[Any, ...]]:
        seen[:] = played
        return judge(played)

    runs = simulate(
        scenario, volumes=unseen(volumes, replications), staffing=plan.staffing, replications=replications, seed=fresh,
        within=sorted({g.target.within_s for g in goals if g.target.within_s is not None}), progress=False, **(options or {}),
    )  # fmt: skip

    def undecided(rows: list[tuple[Any, ...]]) -> bool:
        said = {row[-2] for row in rows}
        return "undecided" in said and "not met" not in said

    with warnings.catch_warnings():
        # Where the paths come round again they are pooled with those judged before, and count once.
        warnings.simplefilter("ignore", SimulationWarning)
        rows, total = prove(runs, look, undecided, limit=patience * replications)
    frame = pd.DataFrame(rows, columns=list(columns))
    met = bool(frame["met"].all())
    validation = Validation(frame, met, total, fresh, intervals=by_interval(goals, seen))
    return plan.replace(status="met" if met else plan.status, validation=validation)


def unseen(volumes: Any, replications: int) -> Any:
    """Return volumes whose paths the requirement has not seen."""
    if callable(getattr(volumes, "more", None)):
        return volumes.more(replications)
    if isinstance(volumes, pd.DataFrame) and "sample" in volumes and volumes["sample"].nunique() > 1:
        warnings.warn(
            f"the requirement has seen all {volumes['sample'].nunique()} paths of the volumes, and a frame draws no further "
            f"ones: the validation's arrivals are fresh, its volumes are not. Give the Forecast itself, or validate_plan() "
            f"a frame of other paths.",
            SimulationWarning,
            stacklevel=3,
        )
    return volumes


def _row(played: Sequence[SimulationResult], t: Target, kind: str | None, confidence: float | None) -> tuple[Any, ...]:
    """Judge one target on all replications so far."""
    from bposim.metrics import metric, ratio_interval, whole_windows, windows
    from bposim.metrics.intervals import extreme_share, probability

    options: dict[str, Any] = {
        "within": t.within_s, "counting": t.counting, "short": t.short_s, "strict": t.strict,
        "aggregation": t.aggregation, "pass_level": t.pass_level,
        "contact_type": scope(played[0].scenario, t.replace(contact_type=kind) if kind else t),
    }  # fmt: skip
    batch = np.concatenate([r.batch for r in played])
    whole = stack([windows(r, t.metric, "all", **options) for r in played])
    top, bottom = (whole[c].to_numpy() for c in ("numerator", "denominator"))
    if np.isnan(top).all():  # a percentile has no numerator: the mean of the replications' values
        top = whole["value"].to_numpy()
        bottom = np.where(np.isnan(top), np.nan, 1.0)
    mean, low, high, n = (float(v[0]) for v in ratio_interval(top[:, None], bottom[:, None], 0.95, batch))
    if n > 1 and mean in (0, 1) and metric(t.metric, t.counting).unit == "share":
        days = stack([windows(r, t.metric, "day", **options) for r in played])
        seen = days[days["denominator"] > 0]
        cells = len(np.unique(np.stack([batch[seen["replication"]], seen["window_start"].astype("int64")]), axis=1).T)
        value, near, far, seen_days = (np.array([x]) for x in (mean, low, high, cells))
        low, high = (float(x[0]) for x in extreme_share(value, near, far, seen_days, 0.95))
    if confidence is None:
        status = verdict(low, high, t.level, t.sense)
        return str(t), EXPECTED, None, None, low, high, mean, status, status == "met"
    values = whole_windows(stack([windows(r, t.metric, t.window, **options) for r in played]))
    values = values[values["value"].notna()]
    met = values["value"].map(t.met)
    p, p_low, p_high = probability(met, pd.Series(batch[values["replication"].to_numpy()], index=met.index))
    status = verdict(p_low, p_high, confidence)
    return str(t), PROBABILITY, confidence, p, p_low, p_high, mean, status, status == "met"
