"""Small worlds for tests of mechanics: every contact is laid by hand, all laws are deterministic unless a test says else."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

import bposim as bp
from bposim.engines import ORIGINS, build_model, build_source, draw, play
from bposim.engines.model import FOREVER
from bposim.engines.state import State, lay_state
from bposim.schema import OUTCOMES

ENGINES = ("reference", "fast")
#: Uniforms for what a contact does: always (where it may), never, and the last one that can be drawn.
YES, NO, LAST = 0, 1 << 32, (1 << 32) - 1


def fixed(seconds: float) -> dict[str, Any]:
    return {"deterministic": {"value": f"{seconds:g}s"}}


def kind(handle: float = 60, **extra: Any) -> dict[str, Any]:
    """A contact type; its own arrivals never matter here, contacts are laid by hand."""
    return {"arrivals": {"rate": "1/h"}, "handle_time": fixed(handle), **extra}


def group(*skills: str, heads: Any = 1, **extra: Any) -> dict[str, Any]:
    return {"skills": list(skills), "heads": heads, **extra}


def build(types: dict[str, Any], groups: dict[str, Any], minutes: int = 30, **extra: Any) -> bp.Scenario:
    """A scenario open for so many minutes from midnight, in intervals of a minute."""
    spec = {
        "interval": "1min", "opening_hours": {"daily": f"00:00-{minutes // 60:02d}:{minutes % 60:02d}"},
        "contact_types": types, "agent_groups": groups,
    }  # fmt: skip
    return bp.load_scenario(spec | extra)


def contact(
    at: float, type: str = "a", *, handle: float | None = None, patience: float | None = None, **more: int
) -> Any:
    """A contact: seconds of arrival, type; handle time and patience in seconds (None is the type's); other columns raw."""
    return at, type, handle, patience, more


def lay(scenario: bp.Scenario, contacts: list[Any], state: State | None = None) -> Any:
    """Draws whose first rows are these contacts (behind those of a given state); spare rows and staffing as drawn."""
    source = build_source(scenario)
    begin = None if state is None else lay_state(state, scenario)
    draws = draw(source, 1, 0, start=begin)
    keep = len(draws.in_service)
    drawn = slice(keep, draws.n_first)
    nobody = source.attributes(0, source.slot[:0], lambda _: np.random.default_rng(1))
    rows: dict[str, list[int]] = {column: [] for column in ("arrival_ms", "kind", *nobody)}
    for at, name, handle, patience, more in sorted(contacts, key=lambda c: c[0]):
        k = source.types.index(name)
        spot = max(int(np.searchsorted(source.start_ms, at * 1000, side="right")) - 1, 0)
        own = source.attributes(k, source.slot[[spot]], lambda _: np.random.default_rng(1))
        values = {column: int(v[0]) for column, v in own.items()} | {"arrival_ms": round(at * 1000), "kind": k} | more
        if handle is not None:
            values["handle_ms"] = round(handle * 1000)
        if patience is not None:
            values["patience_ms"] = round(patience * 1000)
        for column, value in values.items():
            rows[column].append(value)
    columns = {}
    for column, values in rows.items():
        old = getattr(draws, column)
        mine = np.array(values, dtype=old.dtype)
        columns[column] = np.concatenate([old[:keep], mine, old[drawn.stop :]])
    shift = keep + len(contacts) - draws.n_first
    ends = draws.pool_ends + shift if len(draws.pool_ends) else draws.pool_ends
    return dataclasses.replace(draws, **columns, pool_ends=ends, again=None)


class World:
    """What became of the contacts of a world, in seconds, rows in the order of ids; None where it did not happen."""

    def __init__(
        self,
        scenario: bp.Scenario,
        contacts: list[Any],
        engine: str,
        *,
        drain: str = "serve",
        state: State | None = None,
    ) -> None:
        self.model = build_model(scenario, drain=drain)
        self.draws = lay(scenario, contacts, state)
        self.records = r = play(self.model, self.draws, engine)

        def times(column: np.ndarray) -> list[float | None]:
            return [None if t < 0 else t / 1000 for t in column.tolist()]

        self.arrived, self.answered, self.ended, self.released = (
            times(c) for c in (r.arrived_ms, r.answered_ms, r.ended_ms, r.released_ms)
        )
        self.fate = [OUTCOMES[o] for o in r.outcome.tolist()]
        self.group = [None if g < 0 else self.model.groups[g] for g in r.group.tolist()]
        self.agent = [None if a < 0 else a for a in r.agent.tolist()]
        self.type = [self.model.types[k] for k in r.kind.tolist()]
        self.origin = [ORIGINS[o] for o in r.origin.tolist()]
        self.attempt, self.client = r.attempt.tolist(), r.client.tolist()

    def present(self, group: str) -> list[tuple[float, int]]:
        """From this second on so many agents are present; the last word of each instant."""
        g, r = self.model.groups.index(group), self.records
        mine = r.presence_group == g
        last: dict[float, int] = {}
        for when, number in zip(r.presence_ms[mine].tolist(), r.presence[mine].tolist(), strict=True):
            last[when / 1000] = number
        return list(last.items())


__all__ = [
    "ENGINES",
    "FOREVER",
    "LAST",
    "NO",
    "YES",
    "State",
    "World",
    "build",
    "contact",
    "fixed",
    "group",
    "kind",
    "lay",
]
