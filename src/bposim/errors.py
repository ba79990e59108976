"""Exceptions and warnings: each message says what, where, the rule and the way out.

A :class:`BposimError` carries ``.problems``, a tuple of sentences, so that one run reports everything that is wrong
with an input and not just the first thing.
"""

from __future__ import annotations

from collections.abc import Iterable


class BposimError(Exception):
    """Base of every error that a user's input can cause.

    Parameters
    ----------
    problems : str or iterable of str
        One sentence per problem, each naming the object, the value, the rule and the way out.
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems: tuple[str, ...] = (problems,) if isinstance(problems, str) else tuple(problems)
        super().__init__("\n".join(self.problems))


class UnitError(BposimError, ValueError):
    """A duration, rate or share that has no unit, or one that does not exist."""


class ParameterError(BposimError, ValueError):
    """An argument outside its rule."""


class ScenarioError(BposimError, ValueError):
    """A scenario (or contract) file that cannot be what was meant."""


class HistoryError(BposimError, ValueError):
    """A history file whose form or meaning cannot be trusted."""


class CalibrationError(BposimError, ValueError):
    """A history from which a parameter cannot be estimated."""


class ForecastError(BposimError, ValueError):
    """A history from which no forecast can be made."""


class StabilityError(BposimError, ValueError):
    """A queue without a steady state."""


class OptimiseError(BposimError, ValueError):
    """A staffing problem that cannot be posed (an infeasible one is a result, not an error)."""


class SolverError(BposimError, RuntimeError):
    """A solver that is missing or failed."""


class BposimWarning(UserWarning):
    """Base of every warning."""


class DataQualityWarning(BposimWarning):
    """Rows of a history that break a rule; what was done is in ``History.check()``."""


class StabilityWarning(BposimWarning):
    """An interval that offers more work than its agents can do."""


class CalibrationWarning(BposimWarning):
    """An estimate that the data carry only weakly, or that had to be assumed."""


class EngineWarning(BposimWarning):
    """Another engine runs than the one asked for."""


class SimulationWarning(BposimWarning):
    """Replications that say less than their number suggests."""


class ForecastWarning(BposimWarning):
    """A forecast made from too little history, or outside its range."""


def require(problems: list[str], error: type[BposimError]) -> None:
    """Raise ``error`` with every problem collected, if there is any."""
    if problems:
        raise error(problems)


def parameter(name: str, caller: str, rule: str, value: object, way_out: str = "") -> str:
    """Return the one sentence in which every argument error is said.

    Examples
    --------
    >>> parameter("agents", "erlang_b()", "a number of at least 0", -1)
    'The agents parameter of erlang_b() must be a number of at least 0. Got -1 instead.'
    """
    sentence = f"The {name} parameter of {caller} must be {rule}. Got {value!r} instead."
    return f"{sentence} {way_out}" if way_out else sentence
