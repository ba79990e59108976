"""What to promise: a metric for each concern, its threshold, and as much slack as all of them together take."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bposim.scenario import Scenario, Target
from bposim.simulate import SimulationResult
from bposim.targets.advice_more import safe_level
from bposim.targets.capability_series import COVERS, step_of
from bposim.targets.probability import attainable, probability, window_values

#: Acceptable waiting times to choose from where the scenario names none.
THRESHOLDS_S = (10.0, 20.0, 30.0, 60.0, 120.0, 180.0, 300.0)
#: Turnaround times to choose from for deferred work.
TURNAROUNDS_S = (3600.0, 4 * 3600.0, 8 * 3600.0, 86400.0, 2 * 86400.0, 3 * 86400.0)

#: Interval of the share of windows met, one standard error to each side, whose lower end has to reach the confidence.
SURE = 0.6827


@dataclass(frozen=True)
class Candidate:
    """A metric worth promising: what it covers, why it was chosen, and the step that its level is rounded to."""

    target: Target
    covers: str
    why: str
    step: float


def thresholds(scenario: Scenario, drafted: Sequence[Target], record: Sequence[Target] = ()) -> list[float]:
    """Return the thresholds that may be asked for, and no more: each takes memory and time in every replication."""
    named = {
        t.within_s
        for t in (
            *scenario.targets,
            *drafted,
            *record,
            *(t for k in scenario.contact_types.values() for t in k.targets),
        )
        if t.within_s
    }
    kinds = [k.deferred for k in scenario.contact_types.values()]
    speed = [t.within_s for t in (*scenario.targets, *(t for k in scenario.contact_types.values() for t in k.targets), *record)
             if t.metric == "service_level" and t.within_s]  # fmt: skip
    wanted = (
        {next((t for t in THRESHOLDS_S if t >= 5 * speed[0]), THRESHOLDS_S[-1])}
        if speed and not any(kinds)
        else set(THRESHOLDS_S)
    )
    return sorted({*named, *wanted, *(TURNAROUNDS_S if any(kinds) else ())})


def choose(
    scenario: Scenario, runs: SimulationResult, window: str, confidence: float, record: Sequence[Target] = ()
) -> list[Candidate]:
    """Choose what to promise: one metric for each concern, thresholds where a level worth reading is attainable.

    ``record`` is what a history tells. Its threshold comes first where the scenario names none, and all of it is among the
    candidates: what was shown binds only where the same metric is promised.
    """
    live = [t for t, k in scenario.contact_types.items() if not k.deferred]
    deferred = [t for t, k in scenario.contact_types.items() if k.deferred]
    result: list[Candidate] = []
    only = live[0] if deferred and len(live) == 1 and not record else None
    told = [t for t in record if t.metric == "service_level"]
    if live and not (deferred and len(live) > 1):
        named = [t for t in (*scenario.targets, *(t for n in live for t in scenario.contact_types[n].targets))
                 if t.metric == "service_level"]  # fmt: skip
        base = Target(metric="service_level", level=0.8, sense=">=", within_s=20.0, window=window, contact_type=only)
        if named:
            speed = base.replace(within_s=named[0].within_s, counting=named[0].counting, short_s=named[0].short_s)
            why = "the scenario's own threshold"
        elif told:
            speed, why = told[0], "the history's threshold"
        else:
            speed, why = _readable(runs, base, THRESHOLDS_S, confidence), "the shortest threshold with 80 % in reach"
        assert speed.within_s is not None
        result.append(Candidate(speed, "speed", why, 0.01))
        tail = next((t for t in THRESHOLDS_S if t >= 5 * speed.within_s), THRESHOLDS_S[-1])
        result.append(
            Candidate(speed.replace(within_s=tail), "tail of the wait", "keeps those past the threshold in sight", 0.01)
        )
        result.append(
            Candidate(Target(metric="abandonment", level=0.05, sense="<=", window=window, contact_type=only), "access",
                       "callers who give up", 0.005)
        )  # fmt: skip
    for name in live if deferred and len(live) > 1 else ():
        base = Target(metric="service_level", level=0.8, sense=">=", within_s=20.0, window=window, contact_type=name)
        if len(result) < 2:
            result.append(Candidate(_readable(runs, base, THRESHOLDS_S, confidence), "speed", "its own queue", 0.01))
    for name in deferred[: 2 if live else 4]:
        base = Target(metric="turnaround", level=0.9, sense=">=", within_s=3600.0, window=window, contact_type=name)
        chosen = _readable(runs, base, TURNAROUNDS_S, confidence)
        result.append(Candidate(chosen, "turnaround", "the shortest time with 80 % in reach", 0.01))
    result.append(
        Candidate(
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
        result.append(Candidate(longer, "tail of the turnaround", "keeps the oldest work in sight", 0.01))
    return _with_record(result, [t for t in record if (deferred if t.metric == "turnaround" else live)])


def _with_record(found: list[Candidate], record: Sequence[Target]) -> list[Candidate]:
    """Return at most five candidates, all that a history tells among them; second thresholds of a metric give way first."""
    known = [alike(c.target) for c in found]
    more = [
        Candidate(t, COVERS[t.metric], "the history tells it", step_of(t.metric))
        for t in record
        if alike(t) not in known
    ]
    kept = [alike(t) for t in record]
    while len(found) + len(more) > 5:
        spare = [c for c in found if alike(c.target) not in kept]
        if not spare:
            break
        first = [c.target.metric for c in found]
        twice = [c for c in spare if first.count(c.target.metric) > 1 and first.index(c.target.metric) < found.index(c)]
        found.remove((twice or spare)[-1])
    return [*found, *more][:5]


def alike(target: Target) -> Target:
    """Return a target without its level: two are about the same where this is equal."""
    return target.replace(level=0.0)


def _readable(runs: SimulationResult, base: Target, thresholds: tuple[float, ...], confidence: float) -> Target:
    for t in thresholds:
        target = base.replace(within_s=t)
        if attainable(window_values(runs, target), target, confidence, resamples=2)[0] >= 0.80:
            return target
    return base.replace(within_s=thresholds[-1])


def levels_of(candidates: list[Candidate], values: list[pd.DataFrame], confidence: float) -> list[Target]:
    """Take as little slack as it takes for all targets to be met together, by bisection on each one's confidence.

    Levels fit the luck of the replications that they are chosen on: what is met in just the share wanted of these is met in less
    of others. So the share has to be reached by the lower end of its own ``SURE`` interval, as far as these replications can tell.
    """

    def at(each: float) -> tuple[list[Target], float]:
        targets = []
        met: pd.Series | None = None
        for c, table in zip(candidates, values, strict=True):
            level = attainable(table, c.target, each, resamples=2)[0]
            target = c.target.replace(level=safe_level(level, c.target, c.step))
            keyed = table.set_index(["replication", "window_start", "batch"])["value"].map(target.met)
            met = keyed if met is None else met & keyed.reindex(met.index, fill_value=True)
            targets.append(target)
        assert met is not None
        batch = pd.Series(met.index.get_level_values("batch"))
        return targets, probability(met.reset_index(drop=True), batch, SURE)[1]

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
