"""The glossary as data: every metric's numerator, denominator, counting rule and booking, written once.

Numerators and denominators are sums of columns of the interval table, so a metric pools over any stretch of time by
adding counts and dividing last (``docs/design/metrics.md``). ``{T}`` stands for the acceptable waiting time and
``{s}`` for the short-abandon limit.
"""

from __future__ import annotations

from dataclasses import dataclass

from bposim.errors import ParameterError
from bposim.schema import COUNTING_RULES, QUEUED_OUTCOMES

Terms = tuple[tuple[str, int], ...]

#: Contacts that entered the queue and waited there: the denominator of most ratios.
QUEUED: Terms = tuple((outcome, 1) for outcome in QUEUED_OUTCOMES)
_ANSWERED_T: Terms = (("answered_within_s{T}", 1),)
_LEFT: Terms = (("callback", 1), ("deflected", 1))


@dataclass(frozen=True)
class Metric:
    """One entry of the glossary.

    Attributes
    ----------
    id : str
    title : str
        Words for tables and axes.
    unit : str
        ``share``, ``s``, ``contacts``, ``attempts`` or ``agents``.
    numerator, denominator : tuple of (column, sign)
        An empty denominator means a plain sum.
    table : str
        ``contacts`` (interval table), ``agents`` (agent log) or ``waits`` (needs each contact's wait).
    booking : str
        The instant that decides into which interval a contact counts.
    better : str
        ``high``, ``low`` or ``-``.
    source : str
        Where the definition comes from.
    needs : tuple of str
        Columns that must have been counted: that one is lacking does not mean that nothing happened.
    """

    id: str
    title: str
    unit: str
    numerator: Terms
    denominator: Terms = ()
    table: str = "contacts"
    booking: str = "arrival"
    better: str = "-"
    source: str = ""
    quantile: float | None = None
    needs: tuple[str, ...] = ()

    @property
    def needs_within(self) -> bool:
        """Whether an acceptable waiting time must be given."""
        return any("{T}" in column for column, _ in (*self.numerator, *self.denominator))

    @property
    def needs_short(self) -> bool:
        """Whether a short-abandon limit must be given."""
        return any("{s}" in column for column, _ in (*self.numerator, *self.denominator))

    @property
    def formula(self) -> str:
        """Numerator over denominator in words."""

        def side(terms: Terms) -> str:
            text = " ".join(f"{'+' if sign > 0 else '−'} {column}" for column, sign in terms)
            return text.removeprefix("+ ")

        return side(self.numerator) + (f" / ({side(self.denominator)})" if self.denominator else "")


def _count(column: str, title: str) -> Metric:
    return Metric(column, title, "contacts", ((column, 1),))


_SERVICE_LEVEL: dict[str, tuple[Terms, Terms, str]] = {
    "offered": (_ANSWERED_T, QUEUED, "ICMI 3; Cisco 'abandoned calls negative'"),
    "excl_T": (_ANSWERED_T, (*QUEUED, ("abandoned_within_s{T}", -1)), "ICMI 4; Cisco 'ignore'"),
    "credit_T": ((*_ANSWERED_T, ("abandoned_within_s{T}", 1)), QUEUED, "ICMI 1; Cisco 'positive'"),
    "answered": (_ANSWERED_T, (("answered", 1),), "ICMI 2; Avaya CMS 'Serv Levl'"),
    "excl_short": (_ANSWERED_T, (*QUEUED, ("abandoned_within_s{s}", -1)), "Genesys Cloud without short abandons"),
    "credit_short": ((*_ANSWERED_T, ("abandoned_within_s{s}", 1)), QUEUED, "ICMI 5"),
    "flow": (_ANSWERED_T, (*QUEUED, *_LEFT), "Genesys Cloud 'include flow-outs'"),
    "removed": (
        (*_ANSWERED_T, ("abandoned_within_s{T}", 1), ("callback_within_s{T}", 1)), (*QUEUED, *_LEFT),
        "Amazon Connect 'service level X'",
    ),
}  # fmt: skip

SERVICE_LEVELS: dict[str, Metric] = {
    rule: Metric(
        f"service_level[{rule}]", f"service level ({rule})", "share", top, bottom, better="high", source=source
    )
    for rule, (top, bottom, source) in _SERVICE_LEVEL.items()
}
assert tuple(SERVICE_LEVELS) == COUNTING_RULES

_ALL = (
    _count("offered", "contacts offered"),
    _count("answered", "contacts answered"),
    _count("abandoned", "contacts abandoned"),
    _count("blocked", "contacts blocked"),
    _count("disconnected", "contacts disconnected at closing"),
    _count("open", "contacts still waiting at the end"),
    Metric("callback", "contacts that took a call-back", "contacts", (("callback", 1),), needs=("callback",),
           source="mechanics.md 6; left the queue, so in no ratio over the queued"),
    Metric("fresh", "first attempts", "contacts", (("fresh", 1),), needs=("fresh",),
           source="no redial, call-back or transfer: Gans, Koole & Mandelbaum 2003, section 6.3"),
    Metric("attempts_per_contact", "attempts per first attempt", "attempts", (("offered", 1),), (("fresh", 1),),
           better="low", needs=("fresh",), source="offered / first attempts"),
    Metric("service_level", "service level", "share", _ANSWERED_T, QUEUED, better="high", source="see SERVICE_LEVELS"),
    Metric("asa", "average speed of answer", "s", (("wait_answered_sum_s", 1),), (("answered", 1),), better="low",
           source="wait of the answered"),
    Metric("mean_wait", "mean wait of all", "s", (("wait_sum_s", 1),), QUEUED, better="low",
           source="wait of all that queued"),
    Metric("time_to_abandon", "average time to abandon", "s", (("wait_abandoned_sum_s", 1),), (("abandoned", 1),)),
    Metric("abandonment", "abandonment", "share", (("abandoned", 1),), QUEUED, better="low", source="Ab / Off"),
    Metric("abandonment_excl_short", "abandonment without short abandons", "share",
           (("abandoned", 1), ("abandoned_within_s{s}", -1)), (*QUEUED, ("abandoned_within_s{s}", -1)), better="low",
           source="(Ab − Ab_s) / (Off − Ab_s)"),
    Metric("abandonment_net", "abandonment, short ones forgiven", "share",
           (("abandoned", 1), ("abandoned_within_s{s}", -1)), QUEUED, better="low", source="(Ab − Ab_s) / Off"),
    Metric("blocking", "blocking", "share", (("blocked", 1),), (("offered", 1),), better="low"),
    Metric("aht", "average handle time", "s", (("handle_sum_s", 1),), (("answered", 1),),
           source="of the answered whose handle time is known"),
    Metric("talk", "average talk time", "s", (("talk_sum_s", 1),), (("answered", 1),), needs=("talk_sum_s",),
           source="talk and hold; handle time without after-contact work"),
    Metric("mean_excess", "mean wait beyond the threshold", "s", (("excess_sum_s{T}", 1),), QUEUED, better="low",
           source="E[(W − T)+]"),
    Metric("turnaround", "completed in time", "share", (("completed_within_s{T}", 1),), QUEUED, better="high",
           source="cohort received, open ones included"),
    Metric("turnaround_mean", "mean turnaround", "s", (("turnaround_sum_s", 1),), (("answered", 1),), better="low",
           source="of the answered whose end is known"),
    Metric("queue_mean", "mean number waiting", "contacts", (("wait_sum_s", 1), ("wait_left_sum_s", 1)), (("interval_s", 1),),
           better="low", source="Little's law: sum of waits over time, those of contacts that left included"),
    Metric("max_wait", "longest wait", "s", (("max_wait_s", 1),), better="low"),
    Metric("wait_p50", "median wait", "s", (), table="waits", better="low", quantile=0.5),
    Metric("wait_p95", "95th percentile of wait", "s", (), table="waits", better="low", quantile=0.95),
    Metric("occupancy", "occupancy", "share", (("busy_s", 1),), (("working_s", 1),), "agents", "time slice",
           source="handle time / (handle + idle time), the end of a contact after the shift on both sides"),
    Metric("utilisation", "utilisation", "share", (("busy_s", 1),), (("scheduled_s", 1),), "agents", "time slice",
           source="handle time / time available as scheduled"),
    Metric("contacts_in_hand", "contacts in hand of a busy agent", "contacts", (("contact_s", 1),), (("busy_s", 1),),
           "agents", "time slice", source="time of each contact / time on contacts; 1 without concurrency"),
)  # fmt: skip

#: Every metric by id.
GLOSSARY: dict[str, Metric] = {m.id: m for m in _ALL}

#: Metrics of audited samples, surveys and staffing records: no contact log holds them, so a settlement is given their counts.
AUDITED: dict[str, Metric] = {
    m.id: m
    for m in (
        Metric("accuracy", "accuracy", "share", (("correct", 1),), (("audited", 1),), "records", "audit", "high",
               "audited items without a critical error / audited items (COPC)"),
        Metric("compliance", "compliance", "share", (("compliant", 1),), (("audited", 1),), "records", "audit", "high",
               "audited items without a compliance-critical error / audited items (COPC)"),
        Metric("fcr", "first-contact resolution", "share", (("resolved", 1),), (("eligible", 1),), "records", "first contact",
               "high", "contacts without another of the same matter within the agreed days / eligible contacts"),
        Metric("csat", "customer satisfaction", "share", (("top_two", 1),), (("responses", 1),), "records", "survey", "high",
               "answers in the two best boxes / answers"),
        Metric("line_adherence", "staffing compliance", "share", (("staffed_intervals", 1),), (("planned_intervals", 1),),
               "records", "interval", "high", "intervals staffed as agreed / intervals planned"),
    )
}  # fmt: skip

#: What ``summary()`` shows when nothing is asked for.
DEFAULT_METRICS = ("offered", "answered", "abandoned", "blocked", "service_level", "asa", "mean_wait", "abandonment",
                   "occupancy", "mean_excess", "max_wait")  # fmt: skip


def metric(name: str, counting: str | None = None) -> Metric:
    """Return a metric of the glossary; ``service_level`` with its counting rule.

    Raises
    ------
    ParameterError
        There is no such metric or rule; the nearest is named.

    Examples
    --------
    >>> metric("service_level", "excl_T").formula
    'answered_within_s{T} / (answered + abandoned + disconnected + open − abandoned_within_s{T})'
    """
    if name.startswith("service_level[") and name.endswith("]"):
        name, counting = "service_level", name[len("service_level[") : -1]
    if name not in GLOSSARY:
        import difflib

        near = difflib.get_close_matches(name, GLOSSARY, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        raise ParameterError(f"metric {name!r} is not in the glossary.{hint} Known: {', '.join(GLOSSARY)}.")
    if name != "service_level":
        return GLOSSARY[name]
    rule = counting or "offered"
    if rule not in SERVICE_LEVELS:
        raise ParameterError(f"counting rule {rule!r} is unknown. Known: {', '.join(SERVICE_LEVELS)}.")
    return SERVICE_LEVELS[rule]
