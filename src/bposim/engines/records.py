"""What an engine returns: the fate of every contact, and who was there."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from bposim.schema import OUTCOMES

ANSWERED, ABANDONED, BLOCKED, DISCONNECTED, CALLED_BACK, OPEN = (
    OUTCOMES.index(o) for o in ("answered", "abandoned", "blocked", "disconnected", "callback", "open")
)
#: Outcome of a spare row that was never used.
UNUSED = -1


@dataclass(frozen=True, eq=False)
class Records:
    """What became of each contact, and who was present when.

    Attributes
    ----------
    arrived_ms, answered_ms, ended_ms, released_ms : ndarray of int64, shape (n_contacts,)
        Arrival in the queue, answer (−1 if never), end of the contact, and end of the agent's work on it (the same, if
        nobody answered).
    group, agent : ndarray of int64
        −1 where nobody answered.
    outcome : ndarray of int64
        Index into ``schema.OUTCOMES``.
    kind, client, attempt, origin : ndarray of int64
        Contact type; the contact it all began with; number of the attempt; index into ``life.ORIGINS``.
    presence_ms, presence_group, presence : ndarray of int64, shape (n_changes,)
        From this instant on so many agents of the group are present.
    engaged_group, engaged_from_ms, engaged_to_ms : ndarray of int64, shape (n_spans,)
        Of groups whose agents take several contacts at once: the stretches in which an agent had any in hand, in the
        order of their ends.
    """

    arrived_ms: np.ndarray
    answered_ms: np.ndarray
    ended_ms: np.ndarray
    released_ms: np.ndarray
    group: np.ndarray
    agent: np.ndarray
    outcome: np.ndarray
    kind: np.ndarray
    client: np.ndarray
    attempt: np.ndarray
    origin: np.ndarray
    presence_ms: np.ndarray
    presence_group: np.ndarray
    presence: np.ndarray
    engaged_group: np.ndarray
    engaged_from_ms: np.ndarray
    engaged_to_ms: np.ndarray

    def counted(self, in_service: np.ndarray) -> np.ndarray:
        """Return which contacts count: all but those that a given state holds in service already, bool."""
        result = np.ones(len(self.outcome), dtype=bool)
        result[: len(in_service)] = in_service < 0
        return result

    def used(self) -> Records:
        """Return the records without spare rows that were never used; their order stays."""
        used = self.outcome != UNUSED
        if used.all():
            return self
        n = len(used)
        columns = {name: getattr(self, name) for name in self.__dataclass_fields__ if name not in _LOGS}
        assert all(len(c) == n for c in columns.values())
        return replace(self, **{name: column[used] for name, column in columns.items()})


#: Fields that are not about contacts.
_LOGS = ("presence_ms", "presence_group", "presence", "engaged_group", "engaged_from_ms", "engaged_to_ms")
