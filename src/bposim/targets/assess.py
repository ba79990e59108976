"""Can this promise be kept: probability, attainable level, and the least staffing that keeps it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import BposimError, ParameterError, parameter, require
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import PATIENCE, prove, stack, verdict
from bposim.simulate.run import show_progress
from bposim.targets.levels import Level, Planner, cost_staffing, left_out_note
from bposim.targets.probability import attainable, coverage_note, meets, probability, window_values

if TYPE_CHECKING:
    from bposim.targets.feasibility import FeasibilityMap
    from bposim.targets.matrix import TargetMatrix

#: Plans that may be put to the proof before the search gives up.
PROOFS = 12
#: Replications that a search looks at, before fresh ones decide.
SEARCH = 300
#: Expected service levels between which a plan is sought.
LEANEST, MOST_LAVISH = 0.30, 0.995
#: Where the most lavish of them does not do: no promise is called infeasible before these were tried.
BEYOND = (0.9995, 0.99999)


@dataclass(frozen=True, eq=False)
class CheapestPlan:
    """The least staffing found that keeps a promise.

    Attributes
    ----------
    status : "met", "undecided" or "infeasible"
        ``met`` only where the probability's whole 95 % interval on fresh replications reaches the confidence.
        ``undecided``: no plan was proven, but the interval of the one shown holds the confidence.
    level : Level
    probability, low, high : float
        On fresh replications.
    tried : DataFrame
        ``planned_share, agent_hours, cost, probability, fresh, ci_low, ci_high, replications`` of every plan looked at.
    replications : int
        Fresh replications behind the probability; 0 where no plan got that far.
    """

    status: str
    level: Level
    probability: float
    low: float
    high: float
    tried: pd.DataFrame
    replications: int = 0

    @property
    def cost(self) -> float:
        """Cost over the horizon."""
        return self.level.cost

    @property
    def agent_hours(self) -> float:
        """Hours over the horizon, on the basis that ``level.basis`` names."""
        return self.level.agent_hours

    @property
    def staffing(self) -> pd.DataFrame:
        """Staffing frame."""
        return self.level.staffing

    def __repr__(self) -> str:
        return (
            f"CheapestPlan({self.status}: {self.agent_hours:,.0f} {self.level.basis}, cost {self.cost:,.0f}, "
            f"probability {self.probability:.3f} [{self.low:.3f}, {self.high:.3f}])"
        )


@dataclass(frozen=True, eq=False)
class Assessment:
    """What simulation says of one promise.

    Attributes
    ----------
    term : Target
    probability, probability_low, probability_high : float
        That a window meets the target, with 95 % interval.
    attainable_share, attainable_low, attainable_high : float
        Best level met in a share ``confidence`` of the windows (seconds, for waits).
    mean : float
        Mean of the windows' values.
    status : "met", "not met" or "undecided"
        Whether the probability's whole interval lies above, below, or across the confidence.
    values : DataFrame
        ``replication, window_start, value, numerator, denominator``.
    current : Level
        The staffing assessed, with its cost.
    notes : tuple of str
    """

    term: Target
    confidence: float
    probability: float
    probability_low: float
    probability_high: float
    attainable_share: float
    attainable_low: float
    attainable_high: float
    mean: float
    status: str
    values: pd.DataFrame
    current: Level
    runs: SimulationResult
    notes: tuple[str, ...]
    provenance: Provenance
    _planner: Planner | None = None
    _found: dict[str, Any] = field(default_factory=dict)

    @property
    def cheapest_plan(self) -> CheapestPlan:
        """The least staffing that keeps the promise at this confidence; searched when first asked for."""
        if "plan" not in self._found:
            self._found["plan"] = cheapest(self)
        return self._found["plan"]

    def summary(self) -> pd.DataFrame:
        """Return one row: target, probability, attainable level, mean, agent-hours, cost, status."""
        row = {
            "target": str(self.term), "confidence": self.confidence, "probability": self.probability,
            "ci_low": self.probability_low, "ci_high": self.probability_high, "attainable": self.attainable_share,
            "attainable_low": self.attainable_low, "attainable_high": self.attainable_high, "mean": self.mean,
            "agent_hours": self.current.agent_hours, "cost": self.current.cost, "status": self.status,
            "n": int(self.values["replication"].nunique()),
        }  # fmt: skip
        return pd.DataFrame([row])

    def plot(self, ax: Any = None) -> Any:
        """Draw the distribution of the window's metric against the target; returns ``ax``."""
        from bposim.targets.plots import plot_distribution

        return plot_distribution(self, ax)

    def matrix(self, **options: Any) -> TargetMatrix:
        """Return the promise under every counting rule and window, on this assessment's draws; see :func:`target_matrix`.

        Parameters
        ----------
        **options
            ``countings, windows, aggregations, passing, short, confidence`` of :func:`target_matrix`.
        """
        from bposim.targets.matrix import target_matrix

        return target_matrix(self.runs, self.term, **({"confidence": self.confidence} | options))

    def plot_matrix(self, ax: Any = None, **options: Any) -> Any:
        """Draw :meth:`matrix` as a coloured table; returns ``ax``."""
        return self.matrix(**options).plot(ax)

    def map(
        self,
        *,
        shares: Sequence[float] = (0.70, 0.75, 0.80, 0.85, 0.90, 0.95),
        thresholds: Sequence[Any] = ("10s", "20s", "30s", "60s", "120s"),
        levels: int | None = None,
    ) -> FeasibilityMap:
        """Return the promise under every share and threshold: how surely it is kept, and what keeping it costs.

        Parameters
        ----------
        shares : list of float
        thresholds : list of str or float
            Waiting times with a unit, or seconds.
        levels : int, optional
            Plans from lean to lavish, 2 to 10, on the same contacts, between which costs are interpolated; None tells
            probabilities of the staffing assessed only.
        """
        from bposim.targets.feasibility import feasibility

        return feasibility(self, shares=shares, thresholds=thresholds, levels=levels)

    def plans(self, shares: Sequence[float]) -> tuple[list[Level], Iterator[tuple[Level, SimulationResult]]]:
        """Return the plans for several expected service levels that can be staffed, and each with its runs, one at a time.

        Parameters
        ----------
        shares : list of float
        """
        assert self._planner is not None
        made = [level for level in map(self._planner.level, shares) if not np.isnan(level.cost)]
        return made, ((level, self.runs.restaffed(level.staffing)) for level in made)

    def __repr__(self) -> str:
        lines = [
            f"{self.term}: {self.status} at {100 * self.confidence:.4g} %",
            f"  probability {self.probability:.3f} [{self.probability_low:.3f}, {self.probability_high:.3f}], "
            f"attainable {self.attainable_share:.3f} [{self.attainable_low:.3f}, {self.attainable_high:.3f}], mean {self.mean:.3f}",
            f"  with {self.current.agent_hours:,.0f} {self.current.basis} at {self.current.cost:,.0f}",
        ]
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.summary().to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def check_question(
    caller: str,
    scenario: Any,
    confidence: Any,
    replications: Any,
    term: Any = None,
    *,
    seed: Any = 1,
    staffing: Any = None,
    more: Sequence[str] = (),
    reads: Sequence[Callable[[], Any]] = (),
) -> list[Any]:
    """Raise an error with everything wrong in a question, and return what was read for it.

    ``more`` are problems found before, ``reads`` what may fail too; those that fail alone raise their own kind of error.
    """
    problems = list(more)
    failed: list[BposimError] = []
    results: list[Any] = []
    if not isinstance(scenario, Scenario):
        problems.append(
            parameter("scenario", caller, "a Scenario", type(scenario).__name__, "Write load_scenario(…) first.")
        )
    if isinstance(confidence, bool) or not (isinstance(confidence, int | float) and 0 < confidence < 1):
        problems.append(parameter("confidence", caller, "between 0 and 1", confidence))
    if not (isinstance(replications, int | np.integer) and replications >= 2):
        problems.append(parameter("replications", caller, "a whole number of at least 2", replications))
    if not (isinstance(seed, int | np.integer) and not isinstance(seed, bool) and seed >= 0):
        problems.append(parameter("seed", caller, "a whole number of at least 0", seed))
    if term is not None and not isinstance(term, Target):
        way = 'Write ServiceLevel(0.80, within="20s"). A whole contract goes to assess_contract().'
        problems.append(parameter("term", caller, "a Target", term, way))
    elif (
        term is not None and isinstance(scenario, Scenario) and term.contact_type not in (None, *scenario.contact_types)
    ):
        problems.append(
            f"the term {term} names contact type {term.contact_type!r}, which scenario {scenario.name!r} lacks. "
            f"Known: {', '.join(scenario.contact_types)}."
        )
    if isinstance(scenario, Scenario) and staffing is not None:
        reads = (*reads, lambda: scenario.with_staffing(staffing))
    for read in reads:
        try:
            results.append(read())
        except BposimError as error:
            failed.append(error)
    if len(failed) == 1 and not problems:
        raise failed[0]
    require([*problems, *dict.fromkeys(p for e in failed for p in e.problems)], ParameterError)
    return results


def assess_target(
    scenario: Scenario,
    term: Target,
    *,
    volumes: Any = None,
    staffing: Any = None,
    confidence: float = 0.95,
    replications: int = 1000,
    seed: int = 1,
    progress: bool | None = None,
) -> Assessment:
    """Say how surely a promise would be kept, and what could be promised instead.

    Parameters
    ----------
    scenario : Scenario
    term : Target
        ``ServiceLevel(0.80, within="20s", window="month")``.
    volumes : Forecast, Volumes frame or None
        None takes the scenario's own arrivals with its day factor.
    staffing : Staffing frame, mapping or None
        None takes the scenario's heads.
    confidence : float
        Wanted probability that a window meets the target.
    replications, seed : int
    progress : bool, optional

    Returns
    -------
    Assessment
        ``probability``, ``attainable_share`` and, searched on demand, ``cheapest_plan``.

    Raises
    ------
    ParameterError
        An argument is outside its rule; all at once.
    """
    check_question("assess_target()", scenario, confidence, replications, term, seed=seed, staffing=staffing)
    current = cost_staffing(scenario, staffing)
    within = [term.within_s] if term.within_s is not None else []
    runs = simulate(
        scenario,
        volumes=volumes,
        staffing=staffing,
        replications=replications,
        seed=seed,
        progress=progress,
        within=within,
    )
    values = window_values(runs, term)
    p, low, high = probability(values["value"].map(term.met), values["batch"])
    level, level_low, level_high = attainable(values, term, confidence, seed=seed)
    status = verdict(low, high, confidence)
    notes = [n for n in [coverage_note(runs, term), left_out_note(scenario, staffing)] if n]
    planner = Planner(scenario, volumes, planning_threshold(scenario, term))
    made = Provenance(
        "assess_target", {"term": term.to_spec(), "confidence": confidence, "replications": replications, "seed": seed},
        (runs.provenance,),
    )  # fmt: skip
    return Assessment(
        term, confidence, p, low, high, level, level_low, level_high, float(values["value"].mean()), status, values, current,
        runs, tuple(notes), made, planner,
    )  # fmt: skip


def planning_threshold(scenario: Scenario, term: Target) -> float:
    """Return the acceptable waiting time to plan with: the term's own, the scenario's, or 20 s."""
    if term.metric == "service_level" and term.within_s:
        return term.within_s
    named = [t.within_s for t in scenario.targets if t.metric == "service_level" and t.within_s]
    return named[0] if named else 20.0


def met_windows(runs: SimulationResult, term: Target) -> pd.DataFrame:
    """Return :func:`window_values` with a column ``met``."""
    table = window_values(runs, term)
    return table.assign(met=meets(term, table["value"].to_numpy()))


def cheapest(
    deal: Assessment,
    *,
    bracket: tuple[float, float] | None = None,
    steps: int = 7,
    look: Callable[[SimulationResult], pd.DataFrame] | None = None,
) -> CheapestPlan:
    """Find the least staffing that meets a term at its confidence, proven on fresh replications.

    Plans are made for ever higher expected service of every interval; the least of them whose windows meet the term
    often enough is sought by bisection on one set of replications. It then has to prove itself on others, and on other
    paths of the volumes: the probability's whole interval must reach the confidence. A plan that the first replications
    leave undecided gets up to four times as many; one that stays undecided or fails is dropped for the next dearer.

    Parameters
    ----------
    deal : Assessment
    bracket : (float, float), optional
        Planned shares known to fail and to pass.
    steps : int
        Bisections.
    look : callable, optional
        Gives a simulation's windows with ``replication, met, batch``; None compares the term's metric with its level.
    """
    planner, term, confidence = deal._planner, deal.term, deal.confidence
    assert planner is not None
    tried: list[tuple[Any, ...]] = []
    passing: list[float] = []

    def possible(share: float) -> bool:
        return not np.isnan(planner.level(share).cost)

    def judge(runs: Sequence[SimulationResult]) -> tuple[float, float, float]:
        values = stack([met_windows(r, term) if look is None else look(r) for r in runs])
        return probability(values["met"], values["batch"])

    def note(share: float, found: tuple[float, float, float], fresh: bool, replications: int) -> None:
        level = planner.level(share)
        p, p_low, p_high = found
        tried.append((share, level.agent_hours, level.cost, p, fresh, p_low, p_high, replications))

    def passes(share: float) -> bool:
        if not possible(share):
            return False
        found = judge([planner.play(share, term, replications=SEARCH, seed=deal.runs.seed + 1)])
        note(share, found, False, SEARCH)
        if found[0] >= confidence:
            passing.append(share)
        return found[0] >= confidence

    low, high = bracket or (LEANEST, MOST_LAVISH)
    bar: Any = None
    if show_progress(None):
        from tqdm.auto import tqdm

        bar = tqdm(total=steps + 1, desc="cheapest plan", leave=False, delay=1.0)
    if not possible(high) and possible(low):  # shifts and their limits allow less: the most that they do allow
        top = high
        high = low
        for _ in range(steps):
            middle = (high + top) / 2
            high, top = (middle, top) if possible(middle) else (high, middle)
    found = passes(high)
    if high >= MOST_LAVISH:
        for beyond in BEYOND:
            if found or not possible(beyond):
                break
            low, high = high, beyond
            found = passes(high)
    if found:
        for _ in range(steps):
            middle = _between(low, high)
            if passes(middle):
                high = middle
            else:
                low = middle
            if bar:
                bar.update(1)
            if planner.level(high).cost <= planner.level(low).cost * 1.005:
                break
    if bar:
        bar.close()
    columns = ["planned_share", "agent_hours", "cost", "probability", "fresh", "ci_low", "ci_high", "replications"]
    lavish = [x for x in (MOST_LAVISH, *BEYOND) if possible(x)] if passing else []
    waiting = sorted({*passing, *lavish}, key=lambda x: (planner.level(x).cost, x))
    if not passing and tried and tried[-1][6] >= confidence:  # the most that can be planned may still do
        waiting = [high]
    first = max(SEARCH, deal.runs.replications)
    open_plan: CheapestPlan | None = None
    for _ in range(PROOFS):
        if not waiting:
            break
        share = waiting.pop(0)
        runs = planner.play(share, term, replications=SEARCH, seed=deal.runs.seed + 1).fresh(first)
        answer, total = prove(
            runs, judge, lambda a: verdict(a[1], a[2], confidence) == "undecided" and a[0] >= confidence,
            limit=PATIENCE * first,
        )  # fmt: skip
        note(share, answer, True, total)
        status = verdict(answer[1], answer[2], confidence)
        if status == "met":
            return CheapestPlan("met", planner.level(share), *answer, pd.DataFrame(tried, columns=columns), total)
        if status == "undecided":
            open_plan = CheapestPlan("undecided", planner.level(share), *answer, pd.DataFrame(), total)
        if waiting:  # the next dearer may be much dearer: a plan between the two first
            middle = _between(share, waiting[0])
            here, step, there = (planner.level(x).cost for x in (share, middle, waiting[0]))
            if possible(middle) and here * 1.005 < step and step * 1.005 < there:
                waiting.insert(0, middle)
    table = pd.DataFrame(tried, columns=columns)
    if open_plan is not None:
        return replace(open_plan, tried=table)
    best = max((t[3] for t in tried), default=np.nan)
    return CheapestPlan("infeasible", planner.level(high), best, np.nan, np.nan, table)


def _between(low: float, high: float) -> float:
    """Return the planned share half-way on the log of the share missed: the chance of passing bends near 1."""
    return 1 - float(np.sqrt((1 - low) * (1 - high)))
