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
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import verdict
from bposim.targets.advice_more import (
    credits_expected,
    glide_path,
    relief_to_ask,
    review_date,
    safe_level,
    start_levels,
)
from bposim.targets.assess import check_question
from bposim.targets.capability import FRAME, Capability, history_problems, recommend_from_history
from bposim.targets.capability_series import is_history
from bposim.targets.capability_with import history_of, more_careful
from bposim.targets.contract import Contract
from bposim.targets.contract_file import build
from bposim.targets.levels import Level, cost_staffing
from bposim.targets.prices import Prices, price_targets
from bposim.targets.probability import attainable, coverage_note, probability, window_values

#: Acceptable waiting times to choose from where the scenario names none.
THRESHOLDS_S = (10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0)
#: Turnaround times to choose from for deferred work.
TURNAROUNDS_S = (3600.0, 4 * 3600.0, 8 * 3600.0, 86400.0, 2 * 86400.0, 3 * 86400.0)


@dataclass(frozen=True, eq=False)
class Advice:
    """Targets that this operation can promise together.

    Attributes
    ----------
    frame : DataFrame
        ``target, covers, metric, level, sense, window, probability, ci_low, ci_high, mean, why, start_level, slippage,
        misses_a_year``; probabilities from replications that the choice never saw. ``slippage`` is how much easier the first months
        are; ``misses_a_year`` the windows of a year expected to miss.
    targets : tuple of Target
    joint_probability, joint_low, joint_high : float
        That a window meets all of them.
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
        lines = [f"{len(self.targets)} targets chosen for {100 * self.confidence:.4g} %, all together met with probability "
                 f"{self.joint_probability:.3f} [{self.joint_low:.3f}, {self.joint_high:.3f}]"]  # fmt: skip
        lines += [
            f"  {r.target}: {r.probability:.3f} [{r.ci_low:.3f}, {r.ci_high:.3f}] ({r.covers}; {r.why})"
            for r in self.frame.itertuples()
        ]
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


@dataclass(frozen=True)
class _Candidate:
    target: Target
    covers: str
    why: str
    step: float


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
    history alone (``docs/design/capability.md``). With both, the more careful level of each metric that both know.

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
        ``day``, ``week``, ``month``, ``quarter`` or ``all``; with a history ``month`` or ``quarter``.
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
    check_question("recommend_targets()", source, confidence, replications)
    if not (isinstance(ramp, int) and ramp >= 0):
        raise ParameterError(parameter("ramp", "recommend_targets()", "a whole number of months of at least 0", ramp))
    contract = _whole(contract)
    drafted = _read_contract(contract, source)
    shown = history_of(history, past, confidence=confidence, window=window, seed=seed)
    current = cost_staffing(source, staffing)
    if not current.agent_hours > 0:
        raise ParameterError(
            "the staffing given to recommend_targets() holds no agents, so nothing can be promised. Give heads, or a plan "
            "whose status is not 'infeasible'."
        )
    within = _thresholds(source, drafted)
    runs = simulate(
        source, volumes=volumes, staffing=staffing, replications=max(replications // 2, 2), seed=seed, progress=progress,
        within=within, hold_out=True,
    )  # fmt: skip
    fresh = runs.fresh(max(replications - replications // 2, 2))
    candidates = _candidates(source, runs, window, confidence)
    values = [window_values(runs, c.target) for c in candidates]
    empty = [str(c.target) for c, v in zip(candidates, values, strict=True) if v.empty]
    candidates = [c for c, v in zip(candidates, values, strict=True) if not v.empty]
    values = [v for v in values if not v.empty]
    if not candidates:
        raise ParameterError(
            f"no window of {source.name!r} holds a contact, so nothing can be promised. Give arrivals or volumes."
        )
    chosen = _levels(candidates, values, confidence)
    chosen, careful = more_careful(chosen, shown)
    rows, met_all = [], None
    for candidate, target in zip(candidates, chosen, strict=True):
        table = window_values(fresh, target)
        met = table["value"].map(target.met)
        p, low, high = probability(met, table["batch"])
        rows.append((str(target), candidate.covers, target.metric, target.level, target.sense, target.window, p, low, high,
                     float(table["value"].mean()), candidate.why))  # fmt: skip
        keyed = pd.Series(met.to_numpy(), index=pd.MultiIndex.from_frame(table[["replication", "window_start"]]))
        met_all = keyed if met_all is None else (met_all.reindex(keyed.index.union(met_all.index), fill_value=True)
                                                 & keyed.reindex(keyed.index.union(met_all.index), fill_value=True))  # fmt: skip
    assert met_all is not None
    joint = probability(
        met_all.reset_index(drop=True), pd.Series(fresh.batch[met_all.index.get_level_values(0).to_numpy(dtype=int)])
    )
    notes = [*careful, *(n for n in [coverage_note(runs, chosen[0])] if n)]
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
    notes += [f"{t}: no window holds a contact, so nothing is recommended for it." for t in empty]
    clauses = _clauses(drafted, fresh, confidence)
    steps = [c.step for c in candidates]
    starts = start_levels(chosen, values, steps, confidence)
    year = {"day": 365, "week": 52, "month": 12, "quarter": 4}.get(window, 1)
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


def _thresholds(scenario: Scenario, drafted: list[Target]) -> list[float]:
    """Return the thresholds that may be asked for, and no more: each takes memory and time in every replication."""
    named = {
        t.within_s
        for t in (*scenario.targets, *drafted, *(t for k in scenario.contact_types.values() for t in k.targets))
        if t.within_s
    }
    kinds = [k.deferred for k in scenario.contact_types.values()]
    speed = [t.within_s for t in (*scenario.targets, *(t for k in scenario.contact_types.values() for t in k.targets))
             if t.metric == "service_level" and t.within_s]  # fmt: skip
    wanted = (
        {next((t for t in THRESHOLDS_S if t >= 5 * speed[0]), THRESHOLDS_S[-1])}
        if speed and not any(kinds)
        else set(THRESHOLDS_S)
    )
    return sorted({*named, *wanted, *(TURNAROUNDS_S if any(kinds) else ())})


def _whole(contract: Any) -> Any:
    """Read a contract's file once; drafts with targets stay as they are."""
    if contract is None or isinstance(contract, Contract | list | tuple):
        return contract
    document = read_document(contract, kind="contract")
    return build(document) if "clauses" in document.data else contract


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


def _candidates(scenario: Scenario, runs: SimulationResult, window: str, confidence: float) -> list[_Candidate]:
    """Choose what to promise: one metric for each concern, thresholds where a level worth reading is attainable."""
    live = [t for t, k in scenario.contact_types.items() if not k.deferred]
    deferred = [t for t, k in scenario.contact_types.items() if k.deferred]
    result: list[_Candidate] = []
    only = live[0] if deferred and len(live) == 1 else None
    if live and not (deferred and len(live) > 1):
        named = [t for t in (*scenario.targets, *(t for n in live for t in scenario.contact_types[n].targets))
                 if t.metric == "service_level"]  # fmt: skip
        base = Target(metric="service_level", level=0.8, sense=">=", within_s=20.0, window=window, contact_type=only)
        if named:
            speed = base.replace(within_s=named[0].within_s, counting=named[0].counting, short_s=named[0].short_s)
            why = "the scenario's own threshold"
        else:
            speed, why = _readable(runs, base, THRESHOLDS_S, confidence), "the shortest threshold with 80 % in reach"
        assert speed.within_s is not None
        result.append(_Candidate(speed, "speed", why, 0.01))
        tail = next((t for t in THRESHOLDS_S if t >= 5 * speed.within_s), THRESHOLDS_S[-1])
        result.append(
            _Candidate(
                speed.replace(within_s=tail), "tail of the wait", "keeps those past the threshold in sight", 0.01
            )
        )
        result.append(
            _Candidate(Target(metric="abandonment", level=0.05, sense="<=", window=window, contact_type=only), "access",
                       "callers who give up", 0.005)
        )  # fmt: skip
    for name in live if deferred and len(live) > 1 else ():
        base = Target(metric="service_level", level=0.8, sense=">=", within_s=20.0, window=window, contact_type=name)
        if len(result) < 2:
            result.append(_Candidate(_readable(runs, base, THRESHOLDS_S, confidence), "speed", "its own queue", 0.01))
    for name in deferred[: 2 if live else 4]:
        base = Target(metric="turnaround", level=0.9, sense=">=", within_s=3600.0, window=window, contact_type=name)
        chosen = _readable(runs, base, TURNAROUNDS_S, confidence)
        result.append(_Candidate(chosen, "turnaround", "the shortest time with 80 % in reach", 0.01))
    result.append(
        _Candidate(
            Target(metric="occupancy", level=0.85, sense="<=", window=window),
            "workload",
            "agents' load stays bearable",
            0.01,
        )
    )
    if len(result) < 3 and deferred:
        longer = Target(
            metric="turnaround", level=0.9, sense=">=", within_s=5 * 86400.0, window=window, contact_type=deferred[0]
        )
        result.append(_Candidate(longer, "tail of the turnaround", "keeps the oldest work in sight", 0.01))
    return result[:5]


def _readable(runs: SimulationResult, base: Target, thresholds: tuple[float, ...], confidence: float) -> Target:
    for t in thresholds:
        target = base.replace(within_s=t)
        if attainable(window_values(runs, target), target, confidence, resamples=2)[0] >= 0.80:
            return target
    return base.replace(within_s=thresholds[-1])


def _levels(candidates: list[_Candidate], values: list[pd.DataFrame], confidence: float) -> list[Target]:
    """Take as little slack as it takes for all targets to be met together, by bisection on each one's confidence."""

    def at(each: float) -> tuple[list[Target], float]:
        targets = []
        met: pd.Series | None = None
        for c, table in zip(candidates, values, strict=True):
            level = attainable(table, c.target, each, resamples=2)[0]
            target = c.target.replace(level=safe_level(level, c.target, c.step))
            keyed = table.set_index(["replication", "window_start"])["value"].map(target.met)
            met = keyed if met is None else met & keyed.reindex(met.index, fill_value=True)
            targets.append(target)
        assert met is not None
        return targets, float(met.mean())

    best, joint = at(confidence)
    if joint >= confidence:
        return best
    low, high = confidence, 1 - (1 - confidence) / (4 * len(candidates))
    best, joint = at(high)
    for _ in range(7):
        middle = (low + high) / 2
        found, joint = at(middle)
        if joint >= confidence:
            best, high = found, middle
        else:
            low = middle
    return best


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
