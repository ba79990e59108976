"""The cheapest shifts with which the simulation keeps a target, found with the simulator in the loop."""

from __future__ import annotations

import math
import time
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import BposimWarning
from bposim.optimise._asked import COLUMNS_A_SECOND, Asked
from bposim.optimise._bound import anchored, lower_bound
from bposim.optimise._checks import check_search
from bposim.optimise._conflicts import relaxed
from bposim.optimise._goals import Goal
from bposim.optimise._lp import SOLVERS
from bposim.optimise._margins import ROOM, off_by, room_of, search_goal, worth_a_proof
from bposim.optimise._notes import cut_windows, how_it_ended
from bposim.optimise._obstacles import out_of_reach
from bposim.optimise._oracle import Heads, Oracle
from bposim.optimise._search import STEPS, Point, Search
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise._skills import JOIN
from bposim.optimise.plan import CONFLICTS, ShiftPlan
from bposim.optimise.proof import COLUMNS, prove_plan
from bposim.optimise.validate import Validation
from bposim.scenario import Scenario, Target
from bposim.simulate.proof import PATIENCE

#: Contacts that one look at a plan plays, in the first descent and in the last.
ROUGH, FINE = 150_000, 600_000
#: Contacts that a second proof plays, and how far its seeds are from those of the first.
PROOF, LONGER = 20_000_000, 100
#: Contacts that take the time of one replication's overhead.
OVERHEAD = 400
#: Replications of a look, at least (for an expected value, for a probability) and at most; those that tell slopes at least.
FEWEST, FEWEST_WINDOWS, MOST = 32, 100, 4_000
FEWEST_SLOPES = 4
#: From a refused proof on, so many times the replications, as far as this many looks take half of the time left.
GROWTH, LOOKS = 4, 100
#: Of a large problem: the share of the time that goes into the first plan to be proven, and the seconds that are kept for mending
#: the last where its proof refuses it.
FIRST, MEND_S = 0.4, 18.0
#: Of a large problem, after the first proof: how many times the replications slopes are told from, and the reach of a step.
CLOSER, SHORT_REACH = 4, 0.12
#: Steps on the rough draws, which only bring a small problem near.
NEAR = 8
#: Rounds of search and validation, and of a search for the limits that are in the way.
ROUNDS, RELAXED = 6, 4
#: What is kept of each proof.
PROOFS = ("proof", "cost", "replications", *COLUMNS)
#: Where limits give way, the price of a lack is so many times higher: one head beyond a limit is cheaper than any lack.
DEARER = 1000.0


def optimise_staffing(
    scenario: Scenario,
    target: Target | Mapping[str, Target],
    *,
    volumes: Any = None,
    confidence: float | None = None,
    each: str = "horizon",
    max_heads: int | Mapping[str, int] | None = None,
    replications: int | None = None,
    validation: int = 2000,
    seed: int = 1,
    warm_up: str | None = None,
    drain: str = "serve",
    solver: str | None = None,
    gap: float = 1e-2,
    time_limit: float | None = 300.0,
    progress: Callable[[str], None] | bool | None = None,
) -> ShiftPlan:
    """Find the cheapest shifts with which the simulation keeps a target, and prove them on fresh replications.

    Parameters
    ----------
    scenario : Scenario
        Its ``shifts`` are the patterns; without any, heads are free in every interval.
    target : Target or mapping of contact type to Target
        Pooled service level, abandonment, ASA or mean wait.
    volumes : Forecast, Volumes frame or None
    confidence : float, optional
        Wanted probability that a window meets the target, over the days and paths of the scenario; None asks for the
        expected value.
    each : "horizon", "day" or "interval"
        Without a confidence: whether the expected value must reach the level over the horizon, or in every day or
        interval on its own.
    max_heads : int or mapping of agent group to int, optional
        Most heads present in any interval, in total or per group.
    replications : int, optional
        Played for each plan in the last descent; None takes what a few seconds allow, and more where a proof refused a plan.
    validation : int
        Fresh replications to begin the proof with; up to four times as many while the answer is open, and up to sixteen times
        in a second proof of a plan that is cheaper than a proven one.
    seed : int
        Of the search; the proof moves away from it.
    warm_up, drain
        As in :func:`bposim.simulate`.
    solver : {"highs", "cbc"}, optional
    gap : float
        Relative gap at which a step's shifts count as optimal.
    time_limit : float or None
        Seconds after which the search stops with the best plan that it has; None for no limit.
    progress : callable or bool, optional
        Called with a line after each plan played; True prints; None prints where a person watches.

    Returns
    -------
    ShiftPlan
        ``status`` "met" where the proof holds, "stopped" where no plan was proven in time, "infeasible" where the limits
        exclude it: it has no shifts then, and ``conflicts`` names what stands in the way, and by how much it gave way in the
        search: so much is enough, and less may be. ``bound`` is an estimate of the least cost under the tangents of all plans
        played: true as far as service is concave in heads, as it is above its inflection; of abandonment and waits nothing
        checks it. ``trail`` holds each plan that was played, ``notes`` why none was proven, or that time cut the search. An
        interrupt returns the best plan so far with its validation.

    Warns
    -----
    BposimWarning
        A proven plan costs less than the bound: tangents that it breaks are left out then.

    Raises
    ------
    ParameterError
        An argument is outside its rule.

    Notes
    -----
    The loop of Atlason, Epelman & Henderson (2008) and Cezik & L'Ecuyer (2008), with tangents on a scale on which service
    is nearly straight in heads; with a confidence the tangent is that of the quantile of the windows (Hong 2009). The
    proof never uses the replications that the search has seen; where it fails, the cells that fell short are asked for
    more and the search goes on.
    """
    goals = check_search(
        scenario, target, confidence=confidence, each=each, max_heads=max_heads, replications=replications, validation=validation,
        seed=seed, drain=drain, solver=solver, gap=gap, time_limit=time_limit,
    )  # fmt: skip
    until = math.inf if time_limit is None else time.monotonic() + time_limit
    asked = Asked(scenario, target, volumes, confidence, each, max_heads, seed, solver, gap, until)
    asked.begin()
    options = {"warm_up": warm_up, "drain": drain}
    return _Loop(asked, goals, options, replications, validation, _speaker(progress)).run()


class _Loop:
    """Searches on draws of growing number, proves, and asks for more where the proof fails."""

    def __init__(
        self, asked: Asked, goals: list[Goal], options: dict[str, Any], replications: int | None, validation: int,
        say: Callable[[str], None] | None,
    ) -> None:  # fmt: skip
        self.asked, self.goals, self.options, self.validation, self.say = asked, goals, options, validation, say
        self.model = asked.model()
        contacts = OVERHEAD + _contacts(asked.need)
        fewest = FEWEST if asked.confidence is None else FEWEST_WINDOWS
        self.rough, self.fine = (int(np.clip(n / contacts, fewest, MOST)) for n in (ROUGH, FINE))
        slopes = FEWEST_SLOPES if asked.confidence is None else FEWEST_WINDOWS
        self.few = [int(np.clip(n / contacts, slopes, MOST)) for n in (ROUGH, FINE)]
        self.fixed = replications is not None
        if replications is not None:
            self.few = [MOST, MOST]
            self.rough, self.fine = min(self.rough, replications), replications
        self.wanted = [search_goal(g, validation) for g in goals]
        self.paths = asked.volumes
        self.trail: list[dict[str, Any]] = []
        self.tangents: list[Any] = []
        self.proofs: list[pd.DataFrame] = []
        self.refused: set[bytes] = set()
        self.best: ShiftPlan | None = None
        self.heads: Heads | None = None
        self.search: Search | None = None
        self.told: tuple[Heads, Validation] | None = None  # the last proof: how far the draws are off
        self.dearer = 1.0
        self.pace = 0.0  # seconds that a replication of the last proof took
        self.began = time.monotonic()
        self.last = math.inf  # when the search had to end, proof and bound aside
        self.interrupted = False

    def run(self) -> ShiftPlan:
        """Return the cheapest plan that was proven, or why there is none."""
        asked = self.asked
        rough = Oracle(asked.scenario, asked.volumes, self.goals, self.rough, asked.seed, self.options)
        conflicts = out_of_reach(self.model, rough, asked.need.frame)
        try:
            if not len(conflicts):
                conflicts = self._rounds()
        except KeyboardInterrupt:
            self.interrupted = True
            self._rescue()
        cut = time.monotonic() > self.last
        trail = pd.DataFrame(self.trail)
        if len(trail):
            trail["at"] = (trail["at"] - self.began).round(2)
        if len(conflicts):
            return asked.plan(self.model, None, "infeasible", conflicts=conflicts, trail=trail)
        plan = self.best or asked.plan(self.model, None, "stopped")
        proofs = pd.concat(self.proofs, ignore_index=True) if self.proofs else None
        plan = self._bounded(plan).replace(trail=trail, proofs=proofs, solver=asked.solver["solver"] or SOLVERS[0])
        ended = how_it_ended(
            plan, self.goals, played=len(trail), proofs=len(self.proofs), cut=cut, interrupted=self.interrupted
        )
        return plan.replace(notes=cut_windows(asked.scenario, [g.target for g in self.goals], asked.confidence) + ended)

    def _rounds(self) -> pd.DataFrame:
        """Search and prove until a plan is met; return the conflicts that exclude one, empty where none was found."""
        asked, none = self.asked, pd.DataFrame(columns=list(CONFLICTS))
        n = len(self.model.model.cost)
        start = np.zeros(n) if asked.start is None else asked.start[:n]
        oracle: Oracle | None = None
        large, held_before = self.model.model.large, set[bytes]()
        proven: np.ndarray | None = None
        at_once = False  # the first plan was proven: a proof tells what is near it
        # Where the last draws are no dearer than the rough ones the search begins with them.
        for k in range(int(self.few[0] == self.few[1] < MOST), ROUNDS):
            # Of a large problem a margin over the same draws is found sooner than a plan on others, and draws whose first plan was
            # proven will do.
            if oracle is None or k < 2 or not (large or at_once):
                oracle = self._oracle(k, self._size(k, oracle))
            full = PATIENCE * (self._longer() if at_once else self.validation)
            if self.told is not None:
                heads, proof = self.told
                worth = worth_a_proof(sum(g.n_cells for g in self.goals), full / proof.replications)
                room = ROOM if large or self.refused else worth
                asked_for = off_by(self.goals, self.wanted, oracle.values(heads), proof, full, room)
            elif k:
                asked_for = room_of(oracle, self.model.staffed(start), full)
            else:
                asked_for = [np.zeros(g.n_cells) for g in self.goals]
            search = self._search(self.model, oracle, asked_for)
            search.tangents, search.dearer = self.tangents, self.dearer
            if self.search is not None:
                search.longest, search.latest = self.search.longest, self.search.latest
            if large and self.told is not None:
                oracle.few, search.reach = CLOSER * self.few[1], SHORT_REACH
            self.search = search
            oracle.parts(self.model.staffed(start))
            last = self.last = search.until = search.until - self._reserve(oracle)
            if large and k:  # what fits these draws best may be refused on others
                left = last - time.monotonic()
                if self.told is None:
                    left *= FIRST
                elif left > 2 * MEND_S:
                    left -= MEND_S
                search.until = time.monotonic() + left
            if proven is not None and not large:
                found: Point | None = search.squeeze(search.proven(proven), search.point(start))
            else:
                found = search.descend(start, STEPS if k or large else NEAR)
            start = (found or search.nearest).columns
            if found is None and asked.limited() and search.ended and not time.monotonic() > last and k < 2:
                conflicts, held = self._in_the_way(start)
                if len(conflicts):
                    return conflicts
                start = start if held is None else held
            if k == 0 and not time.monotonic() > last:
                continue  # the rough draws only bring it near
            if found is not None and proven is None and not large:
                found = search.squeeze(search.drop(found))
            candidate = found or search.nearest
            start = candidate.columns
            if start.tobytes() in held_before:
                if large and time.monotonic() < last:
                    start = search.nearest_by_merit.columns
                    continue
                break
            if start.tobytes() not in self.refused:
                checked = self._prove(candidate, k)
                if at_once and checked.validation.status == "undecided" and (more := self._longer()) > self.validation:
                    checked = self._prove(candidate, LONGER + k, more)
                self.told = candidate.heads, checked.validation
                if checked.status == "met":
                    held_before.add(start.tobytes())
                    proven = start
                    at_once = at_once or not (large or self.refused)
                    if time.monotonic() > last:
                        break
                    if large:
                        start = search.nearest_by_merit.columns  # the rest of the time goes into a cheaper one
                        continue
                else:
                    self.refused.add(start.tobytes())
            else:
                if self.say is not None:
                    self.say("proof: refused before")
                if at_once:
                    break  # these draws have told what they can
                self.dearer *= 10  # what it lacked was cheaper than a head
            if time.monotonic() > last:
                break
        return none

    def _reserve(self, oracle: Oracle) -> float:
        """Return the seconds that a proof and a bound will take, at most a third of all."""
        asked = self.asked
        if math.isinf(asked.until):
            return 0.0
        wanted = max(oracle.pace, self.pace) * self.validation + self._bound_s
        return min(wanted, max((asked.until - self.began) / 3, 0.0))

    @property
    def _bound_s(self) -> float:
        """Seconds that a bound will take."""
        return len(self.model.model.cost) / COLUMNS_A_SECOND / 2

    def _patience(self, first: int) -> int:
        """Return up to how many times its first replications a proof may take: where a plan is proven, as far as there is time."""
        proven = self.best is not None and self.best.status == "met"
        if not proven or self.pace <= 0 or math.isinf(self.asked.until):
            return PATIENCE
        left = self.asked.until - self._bound_s - time.monotonic()
        return int(np.clip(left / self.pace / first, 1, PATIENCE))

    def _size(self, k: int, before: Oracle | None) -> int:
        """Return the replications of a round; of a small problem more from round to round, as far as the time allows."""
        if k < 2 or before is None or self.model.model.large or self.fixed:
            return self.fine if k else self.rough
        left = self.asked.until - time.monotonic()
        most = MOST if before.pace <= 0 or math.isinf(left) else min(MOST, left / 2 / LOOKS / before.pace)
        return int(max(min(GROWTH * before.replications, most), before.replications))

    def _longer(self) -> int:
        """Return the replications with which a second proof begins, of a plan that is cheaper than a proven one and undecided."""
        most = PROOF / (OVERHEAD + _contacts(self.asked.need))
        if self.pace > 0:
            most = min(most, (self.asked.until - time.monotonic()) / 4 / self.pace)
        return int(np.clip(most / PATIENCE, self.validation, PATIENCE * self.validation))

    def _oracle(self, k: int, size: int) -> Oracle:
        asked = self.asked
        return Oracle(
            asked.scenario, asked.volumes, self.wanted, size, asked.seed + 7919 * k, self.options, self.goals, self.few[min(k, 1)],
            self.model.model.large,
        )  # fmt: skip

    def _search(self, model: ShiftModel, oracle: Oracle, margins: list[np.ndarray]) -> Search:
        search = Search(model, oracle, self.asked.solver, self.asked.until, margins, self.trail)
        search.report = None if self.say is None else _line(self.say, self.trail, self.began)
        return search

    def _prove(self, point: Point, k: int, first: int | None = None) -> ShiftPlan:
        """Prove a plan on replications, and on paths, that nothing has seen, and keep it if it lacks least so far."""
        proven = self._judged(self.asked.plan(self.model, point.columns, "stopped"), k, first)
        if not point.keeps:
            proven = proven.replace(status="stopped")
        tried, checked = len(self.proofs) + 1, proven.validation
        self.proofs.append(
            checked.frame.assign(proof=tried, cost=proven.value, replications=checked.replications)[list(PROOFS)]
        )
        if self.best is None or _rank(proven) < _rank(self.best):
            self.best, self.heads = proven, point.heads
        if self.say is not None:
            self.say(f"proof: {proven.validation.status} at {proven.cost:,.2f}")
        return proven

    def _judged(self, plan: ShiftPlan, k: int, first: int | None = None) -> ShiftPlan:
        asked, began = self.asked, time.monotonic()
        proven = prove_plan(
            plan, asked.scenario, self.goals, volumes=self.paths, seed=asked.seed + 104_729 * k,
            replications=first or self.validation, options=self.options, aims=self.wanted,
            patience=self._patience(first or self.validation),
        )  # fmt: skip
        played = proven.validation.replications
        self.pace = (time.monotonic() - began) / played
        if callable(getattr(self.paths, "more", None)):
            self.paths = self.paths.more(played)
        return proven

    def _rescue(self) -> None:
        """Prove what the search had when it was interrupted; without any plan the interrupt goes on."""
        if self.best is not None:
            return
        if self.search is None or not self.search.known or not self.search.nearest.keeps:
            raise KeyboardInterrupt
        self._prove(self.search.nearest, ROUNDS)

    def _bounded(self, plan: ShiftPlan) -> ShiftPlan:
        """Return the plan with bound and gap."""
        if self.told is not None and self.search is not None and self.model.model.large:
            self.tangents = anchored(self.tangents, self.search.oracle, self.goals, *self.told)
        bound = lower_bound(self.model, self.goals, self.tangents, self.asked.solver)
        if not math.isfinite(bound) or not math.isfinite(plan.value):
            return plan
        if bound <= plan.value + 1e-6 * max(abs(plan.value), 1.0):
            return plan.replace(bound=bound, gap=max(plan.value - bound, 0.0) / max(abs(plan.value), 1e-9))
        if plan.status != "met":  # what costs less than any plan that holds
            return plan.replace(bound=bound)
        left = {**self.asked.solver, "time_limit": max(self.asked.until - time.monotonic(), 5.0)}
        less = lower_bound(self.model, self.goals, self.tangents, left, proven=self.heads)
        kept = less <= plan.value + 1e-6 * max(abs(plan.value), 1.0)
        told = "its bound leaves out what it refutes" if kept else "it has no bound"
        warnings.warn(
            f"the proven plan costs {plan.value:,.2f}, less than the {bound:,.2f} that was taken for the least possible cost: further "
            f"agents brought more than the search took them to bring. The plan stands; {told}.",
            BposimWarning,
            stacklevel=4,
        )
        return (
            plan if not kept else plan.replace(bound=less, gap=max(plan.value - less, 0.0) / max(abs(plan.value), 1e-9))
        )

    def _in_the_way(self, start: np.ndarray) -> tuple[pd.DataFrame, np.ndarray | None]:
        """Return few limits whose relaxing lets a plan be proven, and its shifts; no limits where none needs to.

        On the draws and with the room of the first proof, so that the same search within the relaxed limits finds a plan.
        """
        none = pd.DataFrame(columns=list(CONFLICTS))
        elastic = self.asked.model(elastic=True)
        columns = np.zeros(len(elastic.model.cost))
        columns[: len(start)] = start
        oracle = self._oracle(1, self.fine)
        margins = room_of(oracle, elastic.staffed(columns), PATIENCE * self.validation)
        for k in range(ROUNDS + 1, ROUNDS + 1 + RELAXED):  # the proofs of the search itself stay unseen
            search = Search(elastic, oracle, self.asked.solver, self.asked.until, margins, dearer=DEARER)
            held = search.descend(columns)
            if held is None:
                return none, None
            shifts = elastic.least_excess(search.drop(held).columns)
            judged = self._judged(self.asked.plan(elastic, shifts, "stopped"), k)
            if judged.status == "met":
                return relaxed(elastic, shifts, searched=True), shifts[: len(start)]
            if search.out_of_time:
                break
            margins = [m + s for m, s in zip(margins, judged.validation.shortfall, strict=True)]
            columns = shifts
        return none, None


def _rank(plan: ShiftPlan) -> tuple[bool, float, float]:
    return plan.status != "met", _lack(plan), plan.value


def _lack(plan: ShiftPlan) -> float:
    """Return what the cells of a proven plan lack; nothing where the proof holds."""
    return 0.0 if plan.status == "met" else sum(float(s.sum()) for s in plan.validation.shortfall)


def _contacts(need: Any) -> float:
    """Return the contacts of a replication; each is counted once, with its own type."""
    frame = need.frame
    return float(frame.loc[~frame["contact_types"].astype(str).str.contains(JOIN, regex=False), "contacts"].sum())


def _speaker(progress: Callable[[str], None] | bool | None) -> Callable[[str], None] | None:
    from bposim.simulate.run import show_progress

    if callable(progress):
        return progress
    return print if show_progress(progress) else None


def _line(say: Callable[[str], None], trail: list[dict[str, Any]], began: float) -> Callable[[Point | None], None]:
    def tell(best: Point | None) -> None:
        last = trail[-1]
        held = "none yet" if best is None else f"{best.cost:,.2f}"
        say(
            f"{time.monotonic() - began:6.1f} s  plan {last['plans']:4d}  cost {last['cost']:,.2f}  "
            f"{'holds' if last['worst'] >= 0 else 'misses'} ({last['worst']:+.3f})  best {held}"
        )

    return tell
