"""What a queue formula answers, and the one place where its arguments are checked."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from bposim.errors import ParameterError, parameter, require

COUNTING = ("offered", "excl_T", "credit_T", "answered", "virtual", "admitted")


@dataclass(frozen=True)
class QueueMeasures:
    """Steady-state measures of a queue; floats, or arrays where an argument was one.

    Probabilities are shares of the contacts *offered*, the blocked included; times are in the caller's time unit. A
    measure that the model does not have is ``None``; one that is 0/0 at the given numbers is ``nan``.

    Attributes
    ----------
    p_wait : float or array or None
        Share that finds all agents busy and a free line: ``P(V > 0)`` with V the virtual (offered) wait.
    p_abandon, p_block : float or array or None
        Share that abandons; share that finds no line.
    mean_wait : float or array or None
        Mean time in queue over all offered contacts, abandoners included and blocked ones counted as 0, so that
        ``mean_queue == arrival_rate * mean_wait`` (Little, 1961).
    asa : float or array or None
        Mean wait of the answered.
    mean_queue, carried_load : float or array or None
        Mean number waiting; mean number of busy agents.
    occupancy : float or array or None
        Carried load per agent; ``nan`` without agents.
    service_level : mapping or None
        By counting rule, for the threshold ``within`` (a wait equal to it counts as within it), None without it:
        ``offered`` answered within / offered; ``excl_T`` answered within / (offered − abandoned within);
        ``credit_T`` (answered within + abandoned within) / offered; ``answered`` answered within / answered;
        ``virtual`` P(a contact with endless patience would be served within); and, for finite rooms, ``admitted``
        answered within / (offered − blocked).

    Examples
    --------
    >>> from bposim.erlang import erlang_b
    >>> erlang_b(2.0, 1.0, 2)
    QueueMeasures(p_block=0.4, occupancy=0.6, carried_load=1.2)
    """

    p_wait: Any = None
    p_abandon: Any = None
    p_block: Any = None
    mean_wait: Any = None
    asa: Any = None
    mean_queue: Any = None
    occupancy: Any = None
    carried_load: Any = None
    service_level: Mapping[str, Any] | None = None

    @property
    def mean_wait_admitted(self) -> Any:
        """Mean time in queue over the contacts that found a line, abandoners included."""
        return None if self.mean_wait is None or self.p_block is None else self.mean_wait / (1 - self.p_block)

    @property
    def p_wait_admitted(self) -> Any:
        """Share that has to wait, of the contacts that found a line."""
        return None if self.p_wait is None or self.p_block is None else self.p_wait / (1 - self.p_block)

    @property
    def p_abandon_admitted(self) -> Any:
        """Share that abandons, of the contacts that found a line."""
        return None if self.p_abandon is None or self.p_block is None else self.p_abandon / (1 - self.p_block)

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            if isinstance(value, Mapping):
                inside = ", ".join(f"{rule}={_short(share)}" for rule, share in value.items())
                parts.append(f"{field.name}=({inside})")
            else:
                parts.append(f"{field.name}={_short(value)}")
        return f"QueueMeasures({', '.join(parts)})"


def _short(value: Any) -> str:
    return f"{value:.6g}" if np.ndim(value) == 0 else f"array{np.shape(value)}"


_RULES: dict[str, tuple[str, Callable[[np.ndarray], Any]]] = {
    "arrival_rate": ("a finite number of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "handle_time": ("a finite number above 0", lambda v: np.isfinite(v) & (v > 0)),
    "agents": ("a finite number of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "lines": ("a finite number, at least the number of agents", lambda v: np.isfinite(v) & (v >= 0)),
    "patience": ("a mean patience above 0 (infinite for endless patience)", lambda v: v > 0),
    "within": ("a finite time of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "load": ("a finite number of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "service_rate": ("a finite number above 0", lambda v: np.isfinite(v) & (v > 0)),
    "cv_arrival": ("a finite number of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "cv_service": ("a finite number of at least 0", lambda v: np.isfinite(v) & (v >= 0)),
    "max_occupancy": ("a share above 0 and at most 1", lambda v: (v > 0) & (v <= 1)),
    "beta": ("a finite number", np.isfinite),
    "p_wait": ("a probability between 0 and 1, both excluded", lambda v: (v > 0) & (v < 1)),
    "patience_ratio": ("a ratio above 0", lambda v: v > 0),
}


def numbers(caller: str, **values: Any) -> dict[str, np.ndarray]:
    """Return every argument as a float array, or raise one error that names all that break their rule."""
    problems: list[str] = []
    arrays: dict[str, np.ndarray] = {}
    for name, value in values.items():
        rule, holds = _RULES[name]
        try:
            array = np.asarray(value, dtype=float)
        except (TypeError, ValueError):
            hint = "Write the number in the time unit of the other arguments." if isinstance(value, str) else ""
            problems.append(parameter(name, caller, rule, value, hint))
            continue
        good = holds(array)
        if not np.all(good):
            bad = array[~np.broadcast_to(good, array.shape)] if array.ndim else array[None]
            problems.append(parameter(name, caller, rule, float(np.ravel(bad)[0])))
        arrays[name] = array
    require(problems, ParameterError)
    try:
        shape = np.broadcast_shapes(*(array.shape for array in arrays.values()))
    except ValueError:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise ParameterError(f"The arguments of {caller} must have shapes that broadcast. Got {shapes}.") from None
    return {name: np.broadcast_to(array, shape) for name, array in arrays.items()}


def unwrap(value: Any) -> Any:
    """Return a float for a zero-dimensional array, the array otherwise."""
    return float(value) if np.ndim(value) == 0 else np.asarray(value)
