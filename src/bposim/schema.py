"""Columns, dtypes and units of every frame that bposim takes or gives (``docs/design/data-contracts.md``)."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from bposim.errors import BposimError, ParameterError

#: What can become of a contact. ``open``: still waiting when the horizon ended.
OUTCOMES = ("answered", "abandoned", "blocked", "disconnected", "callback", "deflected", "open")
#: Outcomes of contacts that waited in the queue to the end of their wait; the blocked never entered it, the others left it.
QUEUED_OUTCOMES = ("answered", "abandoned", "disconnected", "open")
#: Service-level counting rules of DOMAIN: how abandonments enter numerator and denominator.
COUNTING_RULES = (
    "offered", "excl_T", "credit_T", "answered", "excl_short", "credit_short", "flow", "removed",
)  # fmt: skip
CHANNELS = ("voice", "chat", "email", "work")
#: Channels whose contacts wait for days rather than hang up.
DEFERRED = ("email", "work")
WINDOWS = ("interval", "day", "week", "month", "quarter", "all")


@dataclass(frozen=True)
class Frame:
    """A documented frame: column, dtype kind (pandas ``dtype.kind``), unit or meaning."""

    name: str
    columns: tuple[tuple[str, str, str], ...]
    optional: tuple[tuple[str, str, str], ...] = ()

    @property
    def names(self) -> list[str]:
        """Names of the required columns, in order."""
        return [c[0] for c in self.columns]

    def meaning(self, column: str) -> str:
        """Return the unit or meaning of a column."""
        return next(words for name, _, words in (*self.columns, *self.optional) if name == column)

    def check(self, frame: pd.DataFrame, *, caller: str, error: type[BposimError] = ParameterError) -> None:
        """Raise ``error`` if a column is missing or of another kind."""
        problems = []
        for column, kinds, meaning in self.columns:
            if column not in frame.columns:
                problems.append(
                    f"{self.name} given to {caller} has no column {column!r} ({meaning}). "
                    f"It has: {', '.join(map(str, frame.columns))}."
                )
            elif kinds and frame[column].dtype.kind not in kinds and len(frame):
                problems.append(
                    f"column {column!r} of {self.name} given to {caller} must be {meaning}. Got dtype {frame[column].dtype}."
                )
        if problems:
            raise error(problems)


CONTACT_LOG = Frame(
    "ContactLog",
    (
        ("replication", "iu", "replication, 0 for a history"),
        ("contact_id", "iu", "number in order of arrival"),
        ("contact_type", "", "name of the contact type"),
        ("arrived", "M", "zone-aware time of arrival in the queue"),
        ("answered", "M", "zone-aware time of answer, NaT if never"),
        ("ended", "M", "zone-aware time at which the contact left"),
        ("agent_group", "", "name of the group that answered, missing if none"),
        ("agent", "", "agent within the group, missing if none"),
        ("outcome", "", f"one of {', '.join(OUTCOMES)}"),
        ("wait_s", "f", "seconds from arrival to answer, abandonment or end"),
        ("handle_s", "f", "seconds of talk, hold and after-contact work, missing if not answered"),
    ),
)

INTERVAL_TABLE = Frame(
    "IntervalTable",
    (
        ("replication", "iu", "replication, 0 for a history"),
        ("interval_start", "M", "zone-aware start of the interval"),
        ("contact_type", "", "name of the contact type"),
        ("offered", "iuf", "contacts that arrived"),
        ("answered", "iuf", "contacts answered"),
        ("abandoned", "iuf", "contacts that hung up in the queue"),
    ),
    (
        ("blocked", "iuf", "contacts that found no place in the queue"),
        ("disconnected", "iuf", "contacts cut off at closing"),
        ("callback", "iuf", "contacts that asked to be called back"),
        ("deflected", "iuf", "contacts that left for another queue or channel"),
        ("open", "iuf", "contacts still waiting at the end of the horizon"),
        ("fresh", "iuf", "first attempts: contacts that are no redial, call-back or transfer"),
        ("answered_within_s{T}", "iuf", "contacts answered within T seconds"),
        ("abandoned_within_s{T}", "iuf", "contacts abandoned within T seconds"),
        ("wait_answered_sum_s", "f", "sum of the waits of the answered"),
        ("wait_abandoned_sum_s", "f", "sum of the waits of the abandoned"),
        ("wait_sum_s", "f", "sum of the waits of all that queued: answered, abandoned, disconnected, open"),
        ("wait_left_sum_s", "f", "sum of the waits of those that took a call-back or were deflected"),
        ("excess_sum_s{T}", "f", "sum of max(wait − T, 0) of all that queued"),
        ("handle_sum_s", "f", "sum of the handle times of the answered"),
        ("talk_sum_s", "f", "sum of the talk and hold times of the answered, after-contact work left out"),
        ("turnaround_sum_s", "f", "sum of arrival to completion of the answered"),
        ("completed_within_s{T}", "iuf", "contacts completed within T seconds of arrival"),
        ("max_wait_s", "f", "longest wait, 0 where nobody queued"),
        ("staffed_s", "f", "agent-seconds there to serve the contact type"),
        ("transferred", "iuf", "answered contacts passed on to another queue, which offers them again"),
        ("answered_handle_unknown", "iuf", "contacts answered whose handle time is not known; other outcomes likewise"),
    ),
)

AGENT_LOG = Frame(
    "AgentLog",
    (
        ("replication", "iu", "replication"),
        ("interval_start", "M", "zone-aware start of the interval"),
        ("agent_group", "", "name of the agent group"),
        ("scheduled_s", "f", "agent-seconds scheduled in the interval"),
        ("working_s", "f", "agent-seconds present, the end of a contact after the shift included"),
        ("busy_s", "f", "agent-seconds on contacts"),
    ),
    (("contact_s", "f", "seconds of each contact in hand; busy_s counts an agent with several once"),),
)

VOLUMES = Frame(
    "Volumes",
    (
        ("contact_type", "", "name of the contact type"),
        ("interval_start", "M", "zone-aware start of the interval"),
        ("contacts", "iuf", "contacts: whole numbers are counts, real numbers expectations"),
    ),
    (
        ("sample", "iu", "number of the forecast path"),
        ("handle_factor", "f", "handle time relative to the scenario's law"),
    ),
)

STAFFING = Frame(
    "Staffing",
    (
        ("agent_group", "", "name of the agent group"),
        ("interval_start", "M", "zone-aware start of the interval"),
        ("heads", "iuf", "agents scheduled"),
    ),
)

SUMMARY = Frame(
    "summary",
    (
        ("metric", "", "id of the metric"),
        ("value", "f", "estimate"),
        ("ci_low", "f", "lower end of the confidence interval"),
        ("ci_high", "f", "upper end of the confidence interval"),
        ("n", "iu", "replications (days, for a history) behind the interval"),
    ),
)

ALL_FRAMES = (CONTACT_LOG, INTERVAL_TABLE, AGENT_LOG, VOLUMES, STAFFING, SUMMARY)
