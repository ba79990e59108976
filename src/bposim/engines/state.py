"""A given state as the start of a run: who waits since when, who is being served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.engines.source import always, stream
from bposim.errors import ParameterError, require
from bposim.units import seconds

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.engines.source import Source
    from bposim.scenario import Scenario

#: Draws of a duration that must exceed what has passed, before the rest is taken from the tail's quantiles.
_TRIES = 40


@dataclass(frozen=True)
class State:
    """A moment in the life of an operation.

    Parameters
    ----------
    at : str or Timestamp
        The moment, local time of the scenario unless it carries a zone; inside its open hours.
    waiting : mapping of contact type to list of durations
        How long each waiting contact has waited: ``{"billing": ["35s", "10s"]}``.
    serving : mapping of agent group to mapping of contact type to list of durations or number
        Contacts in service, and for how long; a number where that is not known: ``{"tellers": {"billing": 7}}``.
    """

    at: Any
    waiting: Mapping[str, Any]
    serving: Mapping[str, Mapping[str, Any]]

    def __init__(self, at: Any, *, waiting: Any = None, serving: Any = None) -> None:
        object.__setattr__(self, "at", at)
        object.__setattr__(self, "waiting", dict(waiting or {}))
        object.__setattr__(self, "serving", {g: dict(v) for g, v in dict(serving or {}).items()})


@dataclass(frozen=True, eq=False)
class Start:
    """A state laid over a scenario's grid.

    Attributes
    ----------
    at_ms : int
    busy : ndarray of int64, shape (n_groups,)
        Agents on contacts.
    waiting : tuple of (type, ms waited)
        The longest waiting first.
    serving : tuple of (group, type, ms served or −1)
    """

    at_ms: int
    busy: np.ndarray
    waiting: tuple[tuple[int, int], ...]
    serving: tuple[tuple[int, int, int], ...]

    @property
    def canonical(self) -> list[object]:
        """Plain values that name the state."""
        return [self.at_ms, self.busy.tolist(), list(map(list, self.waiting)), list(map(list, self.serving))]

    def rows(
        self, source: Source, seed: int, replication: int, later: dict[str, Any], drift: np.ndarray
    ) -> dict[str, Any]:
        """Put the contacts of the state before those that arrive later."""
        from bposim.engines.compiled.kernels import to_ms

        kind = np.array([k for _, k, _ in self.serving] + [k for k, _ in self.waiting], dtype=np.int16)
        passed = np.array([max(ms, 0) for _, _, ms in self.serving] + [ms for _, ms in self.waiting], dtype=np.int64)
        known = np.array([ms >= 0 for _, _, ms in self.serving] + [True] * len(self.waiting), dtype=bool)
        group = np.array([g for g, _, _ in self.serving] + [-1] * len(self.waiting), dtype=np.int64)
        here = max(int(np.searchsorted(source.start_ms, self.at_ms, side="right")) - 1, 0)
        slot, day = np.full(len(kind), source.slot[here]), np.full(len(kind), source.day[here])
        columns: dict[str, np.ndarray] = {name: np.zeros(len(kind), dtype=v.dtype) for name, v in later.items()}
        columns |= {"kind": kind, "arrival_ms": self.at_ms - passed}
        for k, name in enumerate(source.types):
            mine = np.flatnonzero(kind == k)
            if not len(mine):
                continue
            rng = stream(seed, replication, f"state/{name}")
            drifts = drift.shape[1] > 0
            drawn = source.attributes(
                k, slot[mine], always(rng), day[mine] if drifts else None, drift[k] if drifts else None
            )
            for column, values in drawn.items():
                columns[column][mine] = values
            laws = source.kinds[k].handle_time, source.kinds[k].patience
            for i in mine:
                law, patience = (listed[min(int(slot[i]), len(listed) - 1)] for listed in laws)
                if group[i] >= 0:
                    slower = source.bodies[group[i]].skills[name] * (drift[k, day[i]] if drifts else 1.0)
                    rest = _rest(law, passed[i] / 1000 / slower, rng) if known[i] else _residual(law, rng)
                    columns["handle_ms"][i] = max(int(to_ms(np.array([rest]), slower)[0]), 1)
                else:
                    whole = passed[i] / 1000 + _rest(patience, passed[i] / 1000, rng)
                    columns["patience_ms"][i] = max(int(to_ms(np.array([whole]), 1.0)[0]), passed[i])
        joined = {name: np.concatenate([columns[name], values]) for name, values in later.items()}
        return joined | {"in_service": group}


def _rest(law: Distribution, passed_s: float, rng: np.random.Generator) -> float:
    """Draw what is left of a duration that has lasted ``passed_s`` already."""
    if passed_s <= 0:
        return float(law.sample(rng, 1)[0])
    for _ in range(_TRIES):
        drawn = np.asarray(law.sample(rng, 64))
        longer = drawn[drawn > passed_s]
        if len(longer):
            return float(longer[0]) - passed_s
    survive = float(law.sf(passed_s))
    if survive <= 0:  # beyond everything the law allows: it ends now
        return 0.0
    return max(float(law.quantile(1 - survive * float(rng.random()))) - passed_s, 0.0)


def _residual(law: Distribution, rng: np.random.Generator) -> float:
    """Draw what is left of a duration met at a random moment of its life (Cox 1962, section 5.2)."""
    drawn = np.asarray(law.sample(rng, 512), dtype=float)
    if not drawn.sum() > 0:
        return 0.0
    return float(rng.choice(drawn, p=drawn / drawn.sum()) * rng.random())


def lay_state(state: State, scenario: Scenario) -> Start:
    """Lay a state over a scenario's grid.

    Raises
    ------
    ParameterError
        A name is unknown, a group is not counted by heads or lacks the skill, or the moment lies outside open hours.
    """
    types, groups = list(scenario.contact_types), list(scenario.agent_groups)
    grid = scenario.grid
    problems: list[str] = []
    moment = pd.Timestamp(state.at)
    moment = moment.tz_localize(grid.zone) if moment.tzinfo is None else moment
    at = int((moment.tz_convert("UTC") - grid.origin.tz_convert("UTC")) / pd.Timedelta(milliseconds=1))
    spot = int(np.searchsorted(grid.start_ms, at, side="right")) - 1
    if spot < 0 or at >= int(grid.end_ms[spot]):
        problems.append(
            f"state at {moment} lies outside the scenario's open intervals ({grid.starts[0]} to {grid.starts[-1]}). "
            f"Choose a moment inside, or change the scenario's start and days."
        )

    def passed(entry: Any, what: str) -> list[int]:
        if isinstance(entry, int) and not isinstance(entry, bool):
            if entry < 0:
                problems.append(f"{what} counts {entry} contacts. Give a number of at least 0.")
            return [-1] * max(entry, 0)
        found = []
        for value in [entry] if isinstance(entry, str) else entry:
            try:
                found.append(round(seconds(value, what=what) * 1000))
            except ValueError as error:
                problems.append(str(error))
        return found

    waiting: list[tuple[int, int]] = []
    for name, entry in state.waiting.items():
        if name not in types:
            problems.append(f"state.waiting names {name!r}, which is no contact type. Known: {', '.join(types)}.")
            continue
        if isinstance(entry, int):
            problems.append(
                f"state.waiting of {name!r} is the number {entry}. Give how long each has waited: waiting={{{name!r}: ['35s', '10s']}}."
            )
            continue
        waiting += [(types.index(name), ms) for ms in passed(entry, f"state.waiting of {name!r}")]
    serving: list[tuple[int, int, int]] = []
    busy = np.zeros(len(groups), dtype=np.int64)
    for group, by_type in state.serving.items():
        if group not in groups:
            problems.append(f"state.serving names {group!r}, which is no agent group. Known: {', '.join(groups)}.")
            continue
        body = scenario.agent_groups[group]
        if body.agents or body.concurrency is not None:
            problems.append(
                f"state.serving names {group!r}, whose agents are named or take several contacts at once; a given state "
                f"counts agents with one contact each. Leave the group out of the state."
            )
            continue
        for name, entry in by_type.items():
            if name not in body.skills:
                problems.append(
                    f"state.serving of {group!r} names {name!r}, which the group does not take. It takes: "
                    f"{', '.join(body.skills)}."
                )
                continue
            times = passed(entry, f"state.serving of {group!r}, {name!r}")
            serving += [(groups.index(group), types.index(name), ms) for ms in times]
            busy[groups.index(group)] += len(times)
    require(problems, ParameterError)
    return Start(at, busy, tuple(sorted(waiting, key=lambda w: -w[1])), tuple(serving))
