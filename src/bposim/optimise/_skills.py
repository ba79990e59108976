"""Who can take what, and which sets of contact types share agents."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from bposim.scenario import Scenario

#: Components of up to so many types get a row for every connected set.
ALL_SETS = 5
JOIN = "+"


def able_groups(scenario: Scenario) -> dict[str, tuple[str, ...]]:
    """Return the agent groups that may take each contact type."""
    result = {}
    for t in scenario.contact_types:
        skilled = [g for g, group in scenario.agent_groups.items() if t in group.skills]
        chosen = scenario.routing.preference.get(t)
        result[t] = tuple(g for g in skilled if chosen is None or g in chosen)
    return result


def groups_of(members: tuple[str, ...], able: dict[str, tuple[str, ...]]) -> tuple[str, ...]:
    """Return the groups that can take any of some types, in a fixed order."""
    return tuple(dict.fromkeys(g for t in members for g in able[t]))


def components(able: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the sets of types that are tied together by shared groups."""
    left = list(able)
    found = []
    while left:
        part, reach = [left.pop(0)], 0
        while reach < len(part):
            part += [t for t in left if set(able[t]) & set(able[part[reach]])]
            left = [t for t in left if t not in part]
            reach += 1
        found.append(tuple(t for t in able if t in part))
    return found


def type_sets(able: dict[str, tuple[str, ...]]) -> list[tuple[str, ...]]:
    """Return the sets of types that get a requirement of their own."""
    result = []
    for part in components(able):
        if len(part) <= ALL_SETS:
            every = (s for size in range(1, len(part) + 1) for s in combinations(part, size))
            result += [s for s in every if len(components({t: able[t] for t in s})) == 1]
        else:
            skills = {tuple(t for t in part if g in able[t]) for g in groups_of(part, able)}
            result += sorted({*((t,) for t in part), *skills, part} - {()}, key=lambda s: (len(s), s))
    return result


def at_slots(values: tuple, slot: np.ndarray) -> np.ndarray:
    """Return the means of one distribution, or of one per slot, over the grid."""
    means = np.array([float(v.mean) for v in values])
    return np.full(len(slot), means[0]) if len(means) == 1 else means[np.minimum(slot, len(means) - 1)]
