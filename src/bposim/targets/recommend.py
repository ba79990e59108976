"""Three to five targets worth signing."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date
from typing import Any, overload

import pandas as pd

from bposim.errors import ParameterError, ScenarioError, parameter
from bposim.history import History
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.scenario.document import read_document
from bposim.scenario.models import read_targets
from bposim.schema import WINDOWS
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import verdict
from bposim.targets.advice_more import (
    credits_expected,
    glide_path,
    proof_note,
    relief_to_ask,
    review_date,
    start_levels,
)
from bposim.targets.assess import check_question
from bposim.targets.candidates import choose, levels_of, thresholds
from bposim.targets.capability import FRAME, Capability, history_problems, recommend_from_history
from bposim.targets.capability_series import is_history
from bposim.targets.capability_with import Chance, history_of, joint_note, less_sure, more_careful
from bposim.targets.contract import Contract
from bposim.targets.contract_file import build
from bposim.targets.frontier import levels_rule
from bposim.targets.levels import Level, cost_staffing, left_out_note
from bposim.targets.prices import Prices, price_targets
from bposim.targets.probability import attainable, coverage_note, probability, window_values


@dataclass(frozen=True, eq=False)
class Advice:
    """Targets that this operation can promise together.

    Attributes
    ----------
    frame : DataFrame
        ``target, covers, metric, level, sense, window, probability, ci_low, ci_high, mean, why, start_level, slippage,
        misses_a_year``; probabilities from replications that the choice never saw, or a history's own where that is lower.
        ``slippage`` is how much easier the first months are; ``misses_a_year`` the windows of a year expected to miss.
    targets : tuple of Target
    joint_probability, joint_low, joint_high : float
        That a window meets all of them, by simulation.
    clauses : DataFrame
        The contract draft's own targets with their probabilities, empty without one.
    notes : tuple of str
    history : Capability or None
        What the history alone lets promise, where one was given beside the scenario.
    glide : DataFrame
        ``target, month, level``: from the start level to the target, which holds after the ramp.
    review : date
        When the targets should be looked at again.
    relief : DataFrame
        ``target, relief, without, probability, gain, ci_low, ci_high, left_out``: what a corridor would be worth.
    credits : DataFrame
        Credits to expect under the contract given, empty without one that has pricing.
    prices : Prices or None
        What tightening each target would cost, where ``levels`` were asked for.
    """

    frame: pd.DataFrame
    targets: tuple[Target, ...]
    confidence: float
    joint_probability: float
    joint_low: float
    joint_high: float
    clauses: pd.DataFrame
    current: Level
    runs: SimulationResult
    notes: tuple[str, ...]
    provenance: Provenance
    history: Capability | None = None
    glide: pd.DataFrame = field(default_factory=pd.DataFrame)
    review: date | None = None
    relief: pd.DataFrame = field(default_factory=pd.DataFrame)
    credits: pd.DataFrame = field(default_factory=pd.DataFrame)
    prices: Prices | None = None

    @property
    def status(self) -> str:
        """Whether all together are met at the confidence: ``met``, ``not met`` or ``undecided``, by the whole interval."""
        return verdict(self.joint_low, self.joint_high, self.confidence)

    def summary(self) -> pd.DataFrame:
        """Return the recommended targets."""
        return self.frame

    def plot(self, ax: Any = None) -> Any:
        """Draw each target's probability and that of all together; returns ``ax``."""
        from bposim.targets.plots import plot_advice

        return plot_advice(self, ax)

    def plot_glide(self, ax: Any = None) -> Any:
        """Draw the level of each target by month of the ramp, and from when on it holds in full; returns ``ax``."""
        from bposim.targets.plots import plot_glide

        return plot_glide(self, ax)

    def __repr__(self) -> str:
        lines = [f"{len(self.targets)} targets chosen for {100 * self.confidence:.4g} %: {self.status}, all together met with probability "
                 f"{self.joint_probability:.3f} [{self.joint_low:.3f}, {self.joint_high:.3f}]"]  # fmt: skip
        lines += [
            f"  {r.target}: {r.probability:.3f} [{r.ci_low:.3f}, {r.ci_high:.3f}] ({r.covers}; {r.why})"
            for r in self.frame.itertuples()
        ]
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


@overload
def recommend_targets(
    source: Scenario, *, volumes: Any = None, staffing: Any = None, contract: Any = None, confidence: float = 0.95,
    window: str = "month", replications: int | None = None, seed: int = 1, progress: bool | None = None, history: Any = None,
    metrics: Any = None, within: Any = None, counting: str | None = None, until: Any = None, levels: int | None = None, ramp: int = 3,
) -> Advice: ...  # fmt: skip
@overload
def recommend_targets(
    source: History | pd.DataFrame | pd.Series, *, contract: Any = None, confidence: float = 0.95, window: str = "month",
    seed: int = 1, metrics: Any = None, within: Any = None, counting: str | None = None, until: Any = None,
) -> Capability: ...  # fmt: skip


def recommend_targets(
    source: Any,
    *,
    volumes: Any = None,
    staffing: Any = None,
    contract: Any = None,
    confidence: float = 0.95,
    window: str = "month",
    replications: int | None = None,
    seed: int = 1,
    progress: bool | None = None,
    history: Any = None,
    metrics: Any = None,
    within: Any = None,
    counting: str | None = None,
    until: Any = None,
    levels: int | None = None,
    ramp: int = 3,
) -> Advice | Capability:
    """Recommend three to five targets: from a scenario, from demonstrated capability, or from both.

    From a scenario, over speed, its tail, abandonment, workload and turnaround: levels are what the simulated windows
    reach, rounded to the safe side, with as much slack as it takes for all of them to be met together at the confidence.
    They are chosen on one half of the replications; the probabilities told come from the other half.

    From a history of metrics, for the twelve months after it: a level for each month (glide path) and one figure for the
    year, each metric at the confidence by itself, from a model of level, drift, steps, season and noise fitted to that
    history alone (``docs/design/capability.md``). With both, the metrics and the threshold that the history tells are among
    the targets, each with the more careful of the two levels and the lower of the two probabilities; the joint probability
    is the simulation's.

    Parameters
    ----------
    source : Scenario, History, DataFrame or Series
        A table holds one metric or several by month or by day: a column ``month`` or ``date`` (or such an index), ``metric``
        where there are several, and ``numerator`` and ``denominator``, or ``value`` and ``volume``; shares between 0 and 1, waits
        in seconds. ``History.metrics(by="month")`` is one. A Series is one metric, named by its name or by ``metrics=``.
    volumes, staffing
        As in :func:`assess_target`; for a scenario.
    contract : str, Path, mapping, list of Target or None
        A :class:`Contract` or its file, or a draft with ``targets:`` as in a scenario file, to be told the probability of each of
        its clauses that can be simulated, at the expected level and without relief.
    confidence : float
        Wanted probability that a window meets all of them (scenario), or each of them (history).
    window : str
        ``interval``, ``day``, ``week``, ``month``, ``quarter`` or ``all``; with a history ``month`` or ``quarter``.
    replications : int, optional
        None takes 1,000; for a scenario.
    seed : int
    progress : bool, optional
    history : History, DataFrame or Series, optional
        Beside a scenario: what was demonstrated so far.
    metrics : str or list of str, optional
        Of the history; None takes service level, abandonment, speed of answer, turnaround and occupancy, as far as known.
    within, counting
        Threshold and counting rule of the history's service level; None takes its own.
    until : date or str, optional
        Use the history before this date only; the targets are for the months from it.
    levels : int, optional
        Plans from lean to lavish, 2 to 10, along which each target is priced (:func:`bposim.targets.price_targets`), each with
        ``replications`` replications; None prices nothing. For a scenario.
    ramp : int
        Months until the targets hold in full; for a scenario.

    Returns
    -------
    Advice, or Capability where the source is a history

    Raises
    ------
    ParameterError, ScenarioError
        An argument, the history or the draft is wrong; all problems at once.
    """
    past: dict[str, Any] = {"metrics": metrics, "within": within, "counting": counting, "until": until}
    if is_history(source):
        given = {"volumes": volumes, "staffing": staffing, "replications": replications, "history": history}
        return recommend_from_history(
            source, contract=_read_contract(contract, None), confidence=confidence, window=window, seed=seed, **past,
            problems=history_problems(confidence, given),
        )  # fmt: skip
    replications = 1000 if replications is None else replications
    caller, problems = "recommend_targets()", []
    if not (isinstance(ramp, int) and not isinstance(ramp, bool) and ramp >= 0):
        problems.append(parameter("ramp", caller, "a whole number of months of at least 0", ramp))
    if window not in WINDOWS:
        problems.append(parameter("window", caller, f"one of {', '.join(WINDOWS)}", window))
    problems += levels_rule(levels, caller, none=True)

    def past_read() -> Capability | None:  # only a question that can be asked at all is put to the history
        asked = (confidence if 0 < confidence < 1 else 0.95, window if window in WINDOWS else "month")
        return history_of(history, past, confidence=asked[0], window=asked[1], seed=seed)

    (contract, drafted), shown = check_question(
        caller, source, confidence, replications, seed=seed, staffing=staffing, more=problems,
        reads=[lambda: _draft(contract, source), past_read],
    )[:2]  # fmt: skip
    current = cost_staffing(source, staffing)
    if not current.agent_hours > 0:
        raise ParameterError(
            "the staffing given to recommend_targets() holds no agents, so nothing can be promised. Give heads, or a plan "
            "whose status is not 'infeasible'."
        )
    record = () if shown is None else shown.targets
    within = thresholds(source, drafted, record)
    runs = simulate(
        source, volumes=volumes, staffing=staffing, replications=max(replications // 2, 2), seed=seed, progress=progress,
        within=within, hold_out=True,
    )  # fmt: skip
    fresh = runs.fresh(max(replications - replications // 2, 2))
    candidates = choose(source, runs, window, confidence, record)
    values = [window_values(runs, c.target) for c in candidates]
    empty = [str(c.target) for c, v in zip(candidates, values, strict=True) if v.empty]
    candidates = [c for c, v in zip(candidates, values, strict=True) if not v.empty]
    values = [v for v in values if not v.empty]
    if not candidates:
        raise ParameterError(
            f"no window of {source.name!r} holds a contact, so nothing can be promised. Give arrivals or volumes."
        )
    chosen = levels_of(candidates, values, confidence)
    chosen, told, careful = more_careful(chosen, shown)
    rows, met_all = [], None
    simulated: list[Chance] = []
    for candidate, target, past_chance in zip(candidates, chosen, told, strict=True):
        table = window_values(fresh, target)
        met = table["value"].map(target.met)
        simulated.append(probability(met, table["batch"]))
        rows.append((str(target), candidate.covers, target.metric, target.level, target.sense, target.window,
                     *less_sure(simulated[-1], past_chance), float(table["value"].mean()), candidate.why))  # fmt: skip
        keyed = pd.Series(met.to_numpy(), index=pd.MultiIndex.from_frame(table[["replication", "window_start"]]))
        met_all = keyed if met_all is None else (met_all.reindex(keyed.index.union(met_all.index), fill_value=True)
                                                 & keyed.reindex(keyed.index.union(met_all.index), fill_value=True))  # fmt: skip
    assert met_all is not None
    joint = probability(
        met_all.reset_index(drop=True), pd.Series(fresh.batch[met_all.index.get_level_values(0).to_numpy(dtype=int)])
    )
    notes = [
        *proof_note(joint, confidence, replications),
        *careful,
        *joint_note(chosen, simulated, told),
        *(n for n in [coverage_note(runs, chosen[0])] if n),
    ]
    if (
        volumes is None
        and source.day_factor is None
        and all(k.day_factor is None for k in source.contact_types.values())
    ):
        notes.append(
            "Volumes are taken as known but for chance: with a forecast's paths or a day factor the targets would be lower."
        )
    if staffing is None and source.staffing is None:
        notes.append("Staffing is the scenario's own heads; they were not checked against shift rules.")
    notes += [n for n in [left_out_note(source, staffing)] if n]
    notes += [f"{t}: no window holds a contact, so nothing is recommended for it." for t in empty]
    clauses = _clauses(drafted, fresh, confidence)
    steps = [c.step for c in candidates]
    starts = start_levels(chosen, values, steps, confidence)
    year = _windows_a_year(window, values, runs)
    deal = contract if isinstance(contract, Contract) else None
    prices = None
    if levels is not None:
        prices = price_targets(source, chosen, volumes=volumes, levels=levels, confidence=confidence, replications=replications, seed=seed,
                               progress=progress)  # fmt: skip
    made = Provenance(
        "recommend_targets", {"confidence": confidence, "window": window, "replications": replications, "seed": seed},
        (fresh.provenance,),
    )  # fmt: skip
    frame = pd.DataFrame(rows, columns=list(FRAME)).assign(
        start_level=starts, slippage=lambda f: (f["level"] - f["start_level"]).abs().round(6), misses_a_year=lambda f: year * (1 - f["probability"]),
    )  # fmt: skip
    return Advice(
        frame,
        tuple(chosen),
        confidence,
        *joint,
        clauses,
        current,
        fresh,
        tuple(notes),
        made,
        shown,
        glide=glide_path(chosen, starts, steps, ramp),
        review=review_date(source, deal, ramp),
        relief=relief_to_ask(chosen, fresh),
        credits=credits_expected(deal, fresh, current, confidence),
        prices=prices,
    )


def _windows_a_year(window: str, values: list[pd.DataFrame], runs: SimulationResult) -> float:
    """Return how many windows a year has; of days and intervals those that hold contacts, as in the horizon simulated."""
    if window in ("interval", "day"):
        held = max((v.groupby("replication").size().mean() for v in values if not v.empty), default=0.0)
        return float(held) * 365.25 / runs.scenario.days
    return {"week": 52, "month": 12, "quarter": 4}.get(window, 1)


def _whole(contract: Any) -> Any:
    """Read a contract's file once; drafts with targets stay as they are."""
    if contract is None or isinstance(contract, Contract | list | tuple):
        return contract
    document = read_document(contract, kind="contract")
    return build(document) if "clauses" in document.data else contract


def _draft(contract: Any, scenario: Any) -> tuple[Any, list[Target]]:
    whole = _whole(contract)
    return whole, _read_contract(whole, scenario if isinstance(scenario, Scenario) else None)


def _read_contract(contract: Any, scenario: Scenario | None) -> list[Target]:
    if contract is None:
        return []
    if isinstance(contract, list | tuple):
        listed: Any = contract
        place = ""
    elif isinstance(contract, Contract):
        listed, place = contract.targets(), ""
    else:
        document = read_document(contract, kind="contract")
        if "clauses" in document.data:
            return _read_contract(build(document), scenario)
        listed = document.data.get("targets")
        place = f" {document.place(('targets',))}"
        if listed is None:
            raise ScenarioError(f"the contract has no targets. Write targets: [{{service_level: {{…}}}}].{place}")
    found, problems = read_targets(listed, caller="the contract")
    problems += [
        f"target {t} names contact type {t.contact_type!r}, which scenario {scenario.name!r} lacks. "
        f"Known: {', '.join(scenario.contact_types)}."
        for t in found
        if scenario is not None and t.contact_type not in (None, *scenario.contact_types)
    ]
    if problems:
        raise ScenarioError([p + place for p in problems])
    return found


def _clauses(drafted: list[Target], runs: SimulationResult, confidence: float) -> pd.DataFrame:
    rows = []
    for target in drafted:
        table = window_values(runs, target)
        p, low, high = probability(table["value"].map(target.met), table["batch"])
        level = attainable(table, target, confidence)[0]
        said = verdict(low, high, confidence)
        advice = (
            "a coin-flip"
            if 0.2 < p < 0.8 and said != "met"
            else {"met": "sign", "not met": "do not sign"}.get(said, said)
        )
        rows.append((str(target), p, low, high, level, advice))
    return pd.DataFrame(rows, columns=["target", "probability", "ci_low", "ci_high", "attainable", "verdict"])
