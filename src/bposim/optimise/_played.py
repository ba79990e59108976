"""Requirements that simulation decides: iterative staffing, and heads that meet a window's target so surely."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import SimulationWarning
from bposim.metrics import ratio_interval
from bposim.optimise._formulas import Goal
from bposim.optimise._levels import Cases, expected, fraction, least
from bposim.optimise._skills import JOIN
from bposim.optimise._work import Work
from bposim.scenario import Scenario, Target, load_scenario
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import PATIENCE, prove, stack, verdict

#: The one group that stands for all groups of a set.
POOL = "pool"
#: Rounds of the iteration before it counts as unsettled.
ROUNDS = 20
#: Share of all agents by which a settled iteration may still move.
_DRIFT = 0.01
#: Simulated and formula loads differ by at most this factor.
_FAR = 2.0
#: Steps of the search over ever higher levels, and how many dearer plans may try to prove themselves.
_STEPS, _TRIES = 12, 6
#: Highest rung: e^−8 of what the target lets be missed.
_TOP = 8.0


class Played:
    """Simulates each set of contact types as one queue whose agents take all of them.

    Attributes
    ----------
    proof, rounds : DataFrame or None
        What happened, see :class:`~bposim.optimise.Requirement`.
    """

    def __init__(
        self, work: Work, volumes: Any, goals: dict[str, Goal], cap: float | None, floor: int, replications: int,
        seed: int, day_factor: bool,
    ) -> None:  # fmt: skip
        self.work, self.volumes, self.goals, self.cap, self.floor = work, volumes, goals, cap, floor
        self.replications, self.seed, self.day_factor = replications, seed, day_factor
        self._proof: list[dict[str, Any]] = []
        self._rounds: list[dict[str, Any]] = []

    @property
    def proof(self) -> pd.DataFrame | None:
        return pd.DataFrame(self._proof) if self._proof else None

    @property
    def rounds(self) -> pd.DataFrame | None:
        return pd.DataFrame(self._rounds) if self._rounds else None

    def required(
        self, members: tuple[str, ...], asked: Mapping[str, Target], confidence: float | None
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the least whole agents of a set in every interval, and the real number that would do."""
        live = tuple(t for t in members if t not in self.work.deferred)
        goals = {t: self.goals[t] for t in live if t in self.goals}
        if not goals:
            return self.work.required(members, self.goals, self.cap, self.floor)
        pool = _Pool(self, live, hold_out=confidence is not None)
        if self.work.method == "simulation":
            found = self._settle(members, pool, goals)
            ladder = _Ladder(self, members, pool, goals, found)
        else:
            ladder = _Ladder(self, members, pool, goals, None)
            found = ladder.heads(0.0)
        if confidence is None:
            return found
        return self._surely(members, pool, {t: asked[t] for t in goals}, ladder, confidence)

    def _settle(self, members: tuple[str, ...], pool: _Pool, goals: dict[str, Goal]) -> tuple[np.ndarray, np.ndarray]:
        """Staff, simulate, correct the load that the formula is asked for, until no interval moves by more than one agent."""
        cases = self.work.pool(pool.members)
        asked = list(dict.fromkeys(goals.values()))
        whole, real = self._by_formula(members, [cases] * len(asked), asked)
        change, settled = 0, False
        for k in range(1, ROUNDS + 1):
            runs = pool.play(whole)
            corrected = [_corrected(cases, whole, goal, *_levels(runs, goal)) for goal in asked]
            # A correction from a few delays in a far-off tail may not throw the whole away.
            step = np.maximum(1, np.ceil(np.sqrt(cases.load))).astype(int)
            better, real = self._by_formula(members, corrected, asked)
            better = np.clip(better, whole - step, whole + step)
            change = int(np.abs(better - whole).max(initial=0))
            # All of them by one the same way is no rest, but a slow move.
            drift = abs(int((better - whole).sum()))
            settled, whole = change <= 1 and drift <= max(1.0, _DRIFT * whole.sum()), better
            self._rounds.append(
                {"contact_types": JOIN.join(members), "round": k, "largest_change": change, "settled": settled}
            )
            if settled:
                break
        else:
            warnings.warn(
                f"iterative staffing of {JOIN.join(members)!r} did not settle in {ROUNDS} rounds: the last still moved "
                f'an interval by {change} agents. Give more replications, or take demand="mol".',
                SimulationWarning,
                stacklevel=4,
            )
        return whole, np.clip(real, np.maximum(whole - 1, 0), whole)

    def _by_formula(
        self, members: tuple[str, ...], cases: list[Cases], goals: list[Goal]
    ) -> tuple[np.ndarray, np.ndarray]:
        whole, real = np.zeros(len(self.work.seconds), dtype=int), np.zeros(len(self.work.seconds))
        for case, goal in zip(cases, goals, strict=True):
            need = least(case, goal, "erlang-a", self.cap)
            whole = np.maximum(whole, need)
            real = np.maximum(real, fraction(case, need, goal, "erlang-a", self.cap))
        return self.work.with_floors(members, whole, real, self.cap, self.floor)

    def _surely(
        self, members: tuple[str, ...], pool: _Pool, asked: Mapping[str, Target], ladder: _Ladder, confidence: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Find the least rung whose windows meet their targets so surely, and prove it on fresh replications."""

        def reached(rung: float) -> bool:
            rows = _probabilities([pool.play(ladder.heads(rung)[0])], asked)
            return all(row["probability"] >= confidence for row in rows)

        low, high = -1.0, 0.5
        while not reached(high) and high < _TOP:
            low, high = high, high * 2
        for _ in range(_STEPS):
            if (ladder.heads(high)[0] == ladder.heads(low)[0]).all():
                break
            mid = (low + high) / 2
            low, high = (low, mid) if reached(mid) else (mid, high)
        step = max(high - low, 0.02)
        for attempt in range(_TRIES):
            heads = ladder.heads(high)
            rows, total = self._prove(pool, heads[0], asked, confidence)
            if all(row["status"] == "met" for row in rows) or attempt == _TRIES - 1:
                break
            while (ladder.heads(high)[0] == heads[0]).all() and high < _TOP:
                high += step
                step *= 1.5
        said = [row["status"] for row in rows]
        if any(status != "met" for status in said):
            warnings.warn(
                f"the requirement of {JOIN.join(members)!r} was not proven to meet its target with probability "
                f"{confidence:g}: {', '.join(said)}. Give more replications, or ask for less.",
                SimulationWarning,
                stacklevel=4,
            )
        for row in rows:
            self._proof.append(
                {"contact_types": JOIN.join(members), **row, "confidence": confidence, "replications": total}
            )
        return heads

    def _prove(
        self, pool: _Pool, heads: np.ndarray, asked: Mapping[str, Target], confidence: float
    ) -> tuple[list[dict[str, Any]], int]:
        def judge(played: Any) -> list[dict[str, Any]]:
            rows = _probabilities(played, asked)
            for row in rows:
                row["status"] = verdict(row["ci_low"], row["ci_high"], confidence)
            return rows

        def undecided(rows: list[dict[str, Any]]) -> bool:
            said = {row["status"] for row in rows}
            return "undecided" in said and "not met" not in said

        with warnings.catch_warnings():
            # Where the paths come round again they are pooled with those judged before, and count once.
            warnings.simplefilter("ignore", SimulationWarning)
            fresh = pool.play(heads).fresh(self.replications)
            return prove(fresh, judge, undecided, limit=PATIENCE * self.replications)


class _Pool:
    """One queue of some contact types, and the replications in which every staffing of it meets the same contacts."""

    def __init__(self, played: Played, members: tuple[str, ...], *, hold_out: bool) -> None:
        self.members, self._played, self._hold_out = members, played, hold_out
        self.scenario = pooled(played.work.scenario, members, played.work.slower, played.day_factor)
        self._first: SimulationResult | None = None
        self._done: dict[bytes, SimulationResult] = {}

    def play(self, heads: np.ndarray) -> SimulationResult:
        """Simulate these agents present in every interval; the last few results are kept."""
        key = heads.tobytes()
        if key not in self._done:
            staffing = {POOL: heads.astype(float)}
            if self._first is None:
                p = self._played
                within = sorted({g.within for g in p.goals.values() if g.within is not None})
                result = self._first = simulate(
                    self.scenario, volumes=_only(p.volumes, self.members, p.work.scenario), staffing=staffing,
                    replications=p.replications, seed=p.seed, within=within, progress=False, hold_out=self._hold_out,
                )  # fmt: skip
            else:
                result = self._first.restaffed(staffing)
            if len(self._done) > 3:
                self._done.pop(next(iter(self._done)))
            self._done[key] = result
        return self._done[key]


class _Ladder:
    """Requirements for ever higher levels: rung u leaves the share e^−u of what the target lets be missed."""

    def __init__(
        self, played: Played, members: tuple[str, ...], pool: _Pool, goals: dict[str, Goal],
        base: tuple[np.ndarray, np.ndarray] | None,
    ) -> None:  # fmt: skip
        self._played, self._members, self._goals = played, members, goals
        self._base = base
        self._made: dict[float, tuple[np.ndarray, np.ndarray]] = {}
        self._own = played.work.required(members, played.goals, played.cap, played.floor) if base is not None else None

    def heads(self, rung: float) -> tuple[np.ndarray, np.ndarray]:
        """Return whole and real agents of one rung."""
        rung = round(rung, 4)
        if rung not in self._made:
            p = self._played
            goals = p.goals | {t: _raised(g, rung) for t, g in self._goals.items()}
            whole, real = p.work.required(self._members, goals, p.cap, p.floor)
            if self._base is not None and self._own is not None:  # what simulation corrected stays corrected
                whole = np.maximum(whole + self._base[0] - self._own[0], 0)
                real = np.clip(real + self._base[1] - self._own[1], np.maximum(whole - 1, 0), whole)
            self._made[rung] = whole, real
        return self._made[rung]


def _raised(goal: Goal, rung: float) -> Goal:
    left = float(np.exp(-rung))
    if goal.sense == ">=":
        return replace(goal, level=float(np.clip(1 - (1 - goal.level) * left, 0.0, 1 - 1e-9)))
    return replace(goal, level=goal.level * left)


def _levels(runs: SimulationResult, goal: Goal) -> tuple[np.ndarray, np.ndarray]:
    """Return the simulated level of every interval, nan where nobody came, and its standard error."""
    within = None if goal.within is None else f"{goal.within:.10g}s"
    table = runs.windows(goal.metric, "interval", within=within, counting=goal.counting)
    top, bottom = (
        table.pivot(index="replication", columns="window_start", values=c).reindex(columns=runs.scenario.grid.starts)
        for c in ("numerator", "denominator")
    )
    value, low, high, _ = ratio_interval(top.fillna(0.0).to_numpy(), bottom.fillna(0.0).to_numpy(), 0.95, runs.batch)
    return np.asarray(value), np.asarray((high - low) / (2 * 1.96))


def _corrected(cases: Cases, heads: np.ndarray, goal: Goal, level: np.ndarray, error: np.ndarray) -> Cases:
    """Scale the rates of every interval so that the formula says of these heads what simulation said.

    A difference is acted on by the part of its square that its sampling error does not explain.
    """
    known = np.flatnonzero(np.isfinite(level) & (heads > 0) & (cases.load > 0))
    scale = np.ones(len(level))
    low, high = np.full(len(known), -np.log(_FAR)), np.full(len(known), np.log(_FAR))
    some, agents = cases.take(known), heads[known].astype(float)
    for _ in range(24):
        mid = (low + high) / 2
        value = expected(_scaled(some, np.exp(mid)), agents, goal, "erlang-a")
        # More load, worse level: too good a formula means that its load is too small.
        good = value > level[known] if goal.sense == ">=" else value < level[known]
        low, high = np.where(good, mid, low), np.where(good, high, mid)
    gap = level[known] - expected(some, agents, goal, "erlang-a")
    noise = np.where(np.isfinite(error[known]), error[known], 0.0)
    with np.errstate(invalid="ignore", divide="ignore"):
        real = np.where(noise > 0, np.clip(1 - (noise / gap) ** 2, 0.0, 1.0), 1.0)
    scale[known] = np.exp((low + high) / 2 * np.where(np.isfinite(real), real, 0.0))
    return _scaled(cases, scale)


def _scaled(cases: Cases, scale: np.ndarray) -> Cases:
    weights = cases.rates if cases.weights is None else cases.weights
    return replace(cases, rates=cases.rates * scale[:, None], weights=weights)


def _probabilities(played: Any, asked: Mapping[str, Target]) -> list[dict[str, Any]]:
    """Judge the target of every contact type on the windows of some results."""
    from bposim.metrics import whole_windows
    from bposim.metrics.intervals import probability

    batch = np.concatenate([r.batch for r in played])
    rows = []
    for t, term in asked.items():
        options = {
            "within": term.within_s, "counting": term.counting, "short": term.short_s, "strict": term.strict,
            "aggregation": term.aggregation, "pass_level": term.pass_level, "contact_type": t,
        }  # fmt: skip
        values = whole_windows(stack([r.windows(term.metric, term.window, **options) for r in played]))
        values = values[values["value"].notna()]
        met = values["value"].map(term.met)
        p, low, high = probability(met, pd.Series(batch[values["replication"].to_numpy()], index=met.index))
        rows.append({"contact_type": t, "target": str(term), "probability": p, "ci_low": low, "ci_high": high})
    return rows


def pooled(scenario: Scenario, members: tuple[str, ...], slower: Mapping[str, float], day_factor: bool) -> Scenario:
    """Return a scenario in which one group, all of it present, takes some contact types.

    What leads to a type outside the set (redials as another type, call-backs, transfers) is left out, and so are ranks,
    delays, reserves and sites of the groups that the one stands for.
    """
    spec = copy.deepcopy(scenario.canonical)
    types = {}
    for t in members:
        body = {k: v for k, v in spec["contact_types"][t].items() if k != "targets"}
        for key in ("redial", "callback", "transfers"):
            if key in body and not _inside(body[key], members):
                del body[key]
        if not day_factor:
            body.pop("day_factor", None)
        types[t] = body
    kept = ("schema", "name", "time_zone", "start", "days", "interval", "opening_hours", "closed", "day_factor")
    plain = {k: spec[k] for k in (*kept, "queue_limit", "trunks") if k in spec}
    if not day_factor:
        plain.pop("day_factor", None)
    choice = scenario.routing.contact_choice
    if choice in ("longest-wait", "longest-queue", "fifo"):
        plain["routing"] = {"contact_choice": choice}
    plain |= {"contact_types": types, "agent_groups": {POOL: {"skills": {t: slower[t] for t in members}}}}
    return load_scenario(plain)


def _inside(value: Any, members: tuple[str, ...]) -> bool:
    """Tell whether what a mechanic names as ``to`` is in the set."""
    if isinstance(value, list | tuple):
        return all(_inside(v, members) for v in value)
    to = value.get("to") if isinstance(value, Mapping) else None
    return to is None or to in members


def _only(volumes: Any, members: tuple[str, ...], scenario: Scenario) -> Any:
    """Return the volumes of some contact types."""
    if volumes is None or len(members) == len(scenario.contact_types):
        return volumes
    frame = getattr(volumes, "volumes", volumes)
    return frame[frame["contact_type"].astype(str).isin(members)].reset_index(drop=True)
