"""What is wrong with the question of a search for staffing: everything at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bposim.engines.model import DRAIN
from bposim.errors import ParameterError, parameter, require
from bposim.optimise._goals import EACH, Goal, goals_of
from bposim.optimise._levels import METRICS
from bposim.optimise._lp import check_solver
from bposim.optimise.shifts import check_limits
from bposim.optimise.validate import check_confidence
from bposim.scenario import Scenario, Target

_ME = "optimise_staffing()"


def check_search(
    scenario: Any, target: Any, *, confidence: Any, each: Any, max_heads: Any, replications: Any, validation: Any, seed: Any,
    drain: Any, solver: Any, gap: Any, time_limit: Any,
) -> list[Goal]:  # fmt: skip
    """Return the goals of a question that is as it should be.

    Raises
    ------
    ParameterError
        An argument is outside its rule; all problems at once.
    """
    problems = check_confidence(confidence, _ME)
    known = isinstance(scenario, Scenario)
    if known:
        problems += check_limits(None, 0.0, max_heads, scenario, _ME)
    else:
        way = "Write load_scenario(…) first."
        problems.append(parameter("scenario", _ME, "a Scenario", type(scenario).__name__, way))
    if each not in EACH:
        problems.append(parameter("each", _ME, f"one of {', '.join(EACH)}", each))
    elif confidence is not None and each != "horizon":
        problems.append(f"{_ME}: with a confidence the target's window is the stretch. Leave out each.")
    counts = {"validation": (validation, 2), "seed": (seed, 0)}
    if replications is not None:
        counts["replications"] = replications, 2
    for name, (value, least) in counts.items():
        if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < least:
            problems.append(parameter(name, _ME, f"a whole number of at least {least}", value))
    if drain not in DRAIN:
        problems.append(parameter("drain", _ME, f"one of {', '.join(DRAIN)}", drain))
    if time_limit is not None and not _above_zero(time_limit):
        problems.append(parameter("time_limit", _ME, "None or seconds above 0", time_limit))
    if not _above_zero(gap):
        problems.append(parameter("gap", _ME, "a share above 0", gap))
    problems += check_solver(solver, _ME) + _targets(scenario if known else None, target)
    goals: list[Goal] = []
    try:
        if not problems:
            goals = goals_of(scenario, target, confidence, each)
    except ParameterError as error:
        problems += error.problems
    require(problems, ParameterError)
    return goals


def _above_zero(value: Any) -> bool:
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    return number and bool(value > 0)


def _targets(scenario: Scenario | None, target: Any) -> list[str]:
    """Return what is wrong with the targets; without a scenario, as far as it can be told."""
    terms = dict(target) if isinstance(target, Mapping) else {None: target}
    if not terms or not all(isinstance(t, Target) for t in terms.values()):
        return [parameter("target", _ME, "a Target or a mapping of contact type to Target", target)]
    types = {} if scenario is None else scenario.contact_types
    named = dict.fromkeys(k for pair in terms for k in (pair, terms[pair].contact_type) if k is not None)
    problems = [
        f"target of {_ME} names {k!r}, which is no contact type. Known: {', '.join(types)}."
        for k in named
        if scenario is not None and k not in types
    ]
    deferred = [k for k, t in types.items() if t.deferred]
    for key, one in terms.items():
        asked = one.contact_type or key
        mine = types if asked is None else [asked]
        later = bool(types) and all(k in deferred for k in mine)
        if one.metric not in METRICS and one.metric not in ("wait_p95", "max_wait") and not later:
            problems.append(
                f"target '{one}' cannot be searched for. {_ME} takes {', '.join(METRICS)}. Search with one of them, and give this "
                "target to assess_target() with the plan's staffing."
            )
    return problems
