"""A user's own rules for who takes whom (``docs/design/policies.md``)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np


class View(NamedTuple):
    """What a policy sees: arrays of int64.

    Attributes
    ----------
    now_ms : int
    waiting, longest_wait_ms : ndarray, shape (n_types,)
        Contacts waiting, and how long the first of them has (−1 where nobody waits).
    free, present, busy, idle_since_ms : ndarray, shape (n_groups,)
        Contacts that could be taken now, agents present, agents on contacts, since when the agent is idle who would be
        taken (−1 where nobody is free).
    takes : ndarray, shape (n_types, n_groups)
        1 where the group takes the type.
    """

    now_ms: int
    waiting: np.ndarray
    longest_wait_ms: np.ndarray
    free: np.ndarray
    present: np.ndarray
    busy: np.ndarray
    idle_since_ms: np.ndarray
    takes: np.ndarray


Rule = Callable[[View, int], int]


@dataclass(frozen=True)
class Policies:
    """Rules of one's own for a simulation.

    Parameters
    ----------
    choose_group : callable, optional
        ``(view, contact_type) → agent group`` for an arriving contact, −1 to let it wait.
    choose_type : callable, optional
        ``(view, agent_group) → contact type`` for an agent who becomes free, −1 to let it idle.

    Examples
    --------
    >>> import numpy as np
    >>> def longest_queue(view, group):
    ...     best = -1
    ...     for k in range(len(view.waiting)):
    ...         if view.takes[k, group] and view.waiting[k] > 0 and (best < 0 or view.waiting[k] > view.waiting[best]):
    ...             best = k
    ...     return best
    >>> Policies(choose_type=longest_queue).why_not_compiled
    ''
    """

    choose_group: Rule | None = None
    choose_type: Rule | None = None

    @property
    def names(self) -> list[str | None]:
        """Names of the two functions, None where the written rule holds."""
        return [None if r is None else getattr(r, "__name__", repr(r)) for r in (self.choose_group, self.choose_type)]

    @cached_property
    def _compiled(self) -> tuple[tuple[Any, Any], str]:
        """Return native functions, and why a rule could not be compiled."""
        from bposim.engines.compiled.native import NotCompilable, native

        found = []
        for name in ("choose_group", "choose_type"):
            rule = getattr(self, name)
            try:
                found.append(None if rule is None else native(rule))
            except NotCompilable as error:
                return (None, None), f"{name} {getattr(rule, '__name__', rule)!r}: {error}"
        return (found[0], found[1]), ""

    @property
    def why_not_compiled(self) -> str:
        """Why the compiled engine cannot run these rules; empty if it can."""
        return self._compiled[1]

    @property
    def addresses(self) -> tuple[int, int]:
        """Addresses of the native functions, 0 where the written rule holds."""
        group, kind = self._compiled[0]
        return (0 if group is None else group.address, 0 if kind is None else kind.address)


class PolicyFault(Exception):
    """A rule gave an answer outside the rules."""

    def __init__(self, which: int, answer: int, now_ms: int, said: str = "") -> None:
        super().__init__(which, answer, now_ms)
        self.which, self.answer, self.now_ms, self.said = which, answer, now_ms, said

    def sentence(self, policies: Policies) -> str:
        """Return what, where and the way out."""
        if self.which > 1:
            names = ", ".join(str(n) for n in policies.names if n is not None)
            return (
                f"a policy ({names}) raised an exception {self.now_ms} ms after the start{self.said}. Mend it; engine='reference' "
                f"shows which line."
            )
        name = ("choose_group", "choose_type")[self.which]
        rule = getattr(policies, name)
        must = ("a group that takes the type and has a free agent", "a type that the group takes and that waits")[
            self.which
        ]
        return (
            f"policy {name} ({getattr(rule, '__name__', rule)}) returned {self.answer} at {self.now_ms} ms after the start. "
            f"It must return {must}, or -1."
        )
