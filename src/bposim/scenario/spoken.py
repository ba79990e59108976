"""The mechanics of a scenario in a planner's words, one short line each; what is not in use is not said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from bposim.units import clock_text, format_seconds, hours_text, weekdays_text

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.scenario import Scenario
    from bposim.scenario.mechanics import GroupBreak, Outage, Spell
    from bposim.scenario.models import AgentGroup

_CONTACT_CHOICES = {
    "longest-wait": "a freed agent takes the longest wait",
    "skill-order": "a freed agent takes the first type in its order of skills",
    "weighted-wait": "a freed agent takes the largest weight × wait",
    "longest-queue": "a freed agent takes from the longest queue",
    "fifo": "a freed agent takes whoever came first, whatever the priority",
}
_AGENT_CHOICES = {
    "longest-idle": "an arriving contact goes to the agent idle longest",
    "preference": "an arriving contact goes to the first group in order",
    "most-free": "an arriving contact goes to the group with most free agents",
    "least-occupied": "an arriving contact goes to the least occupied agent",
    "random": "an arriving contact goes to any free agent alike",
}


def mean_text(laws: Sequence[Distribution]) -> str:
    """Return the mean of a law, or its range over the day's intervals."""
    means = [law.mean for law in laws]
    low, high = (format_seconds(round(m, 1)) for m in (min(means), max(means)))
    return low if low == high else f"{low} to {high}"


def _percent(share: float) -> str:
    return f"{100 * share:.3g} %"


def type_lines(scenario: Scenario, name: str) -> Iterator[str]:
    """Say what may happen to contacts of a type beyond waiting and being served."""
    kind = scenario.contact_types[name]
    feeders = [
        f"{way} of {other}"
        for other, body in scenario.contact_types.items()
        for way, to in (
            ("redials", body.redial.to if body.redial else None),
            ("call-backs", body.callback.to if body.callback else None),
            *(("transfers", t.to) for t in body.transfers),
        )
        if to == name and (way, other) != ("redials", name)
    ]
    if feeders:
        yield f"also takes {', '.join(feeders)}"
    if kind.after_contact_work is not None:
        yield f"after-contact work {mean_text(kind.after_contact_work)}, after a talk of {mean_text(kind.handle_time)}"
    if kind.handle_day_factor is not None:
        yield f"handle time drifts by day, factor {kind.handle_day_factor}"
    if kind.credit:
        yield f"counts as having waited {format_seconds(kind.credit)} longer than it has"
    if kind.balking:
        steps = ", ".join(f"{_percent(b.probability)} from {b.queue} waiting" for b in kind.balking)
        yield f"does not join the queue (balks): {steps}{' of all types' if kind.balking_queue == 'all' else ''}"
    if kind.queue_limit is not None:
        yield f"at most {kind.queue_limit} wait, further ones are blocked"
    if (again := kind.redial) is not None:
        after = [
            f"{_percent(p)} after {what}"
            for p, what in ((again.after_abandonment, "abandonment"), (again.after_blocking, "blocking"))
            if p
        ]
        to = f" as {again.to}" if again.to not in (None, name) else ""
        yield (
            f"tries again{to} ({', '.join(after) or 'never'}), {mean_text([again.delay])} later on average, at most "
            f"{again.at_most} times"
        )
    if (offer := kind.callback) is not None:
        where = (
            f"where the expected wait is {format_seconds(offer.expected_wait)} or more" if offer.expected_wait else ""
        )
        yield f"call-back offered {where or 'to everybody who would wait'}; {_percent(offer.acceptance)} accept, becoming {offer.to}"
    for t in kind.transfers:
        joint = f", {format_seconds(t.handover)} of handover" if t.handover else ""
        yield f"{_percent(t.probability)} transferred to {t.to} ({t.mode}{joint})"


def group_lines(group: AgentGroup) -> Iterator[str]:
    """Say how the agents of a group differ from ones who sit through their shift with one contact at a time."""
    if group.site is not None:
        yield f"works at {group.site}"
    if group.agents:
        speeds = [a.speed for a in group.agents.values()]
        named = list(group.agents)
        shown = ", ".join(named[:4]) + (f" and {len(named) - 4} more" if len(named) > 4 else "")
        pace = f", handle-time factors {min(speeds):g} to {max(speeds):g}" if min(speeds) < max(speeds) else ""
        yield f"{len(named)} named agents ({shown}){pace}"
        spells: list[Spell] = list(dict.fromkeys(s for a in group.agents.values() for s in a.schedule))
        for s in spells[:4]:
            rest = "".join(f", {_break(b)}" for b in s.breaks)
            yield f"shift {weekdays_text(s.days)} {clock_text(s.start)}-{clock_text(s.end)}{rest}"
        if len(spells) > 4:
            yield f"{len(spells) - 4} further shifts"
    if group.concurrency is not None:
        in_hand = ", ".join(f"{c} in hand at {p:.3g}" for c, p in enumerate(group.concurrency.pace, 1))
        yield f"up to {group.concurrency.contacts} contacts at once ({in_hand} of its speed each); fewest in hand goes first"
    for name, n in group.reserve.items():
        yield f"takes {name} only while more than {n} of its agents are free"
    if group.absence:
        together = f", correlation {group.absence_correlation:g}" if group.absence_correlation else ""
        yield f"absence {_percent(group.absence)} of the agents a day{together}"
    if group.adherence < 1:
        yield f"adherence {_percent(group.adherence)} in each interval"
    for b in group.breaks:
        share = "everybody" if b.share == 1 else f"{_percent(b.share)} of the agents"
        yield f"{_break(b)} for {share}"


def _break(b: GroupBreak) -> str:
    days = "" if len(b.days) == 7 else f"{weekdays_text(b.days)} "
    return f"break {days}{clock_text(b.at)}, {format_seconds(b.length)}"


def site_lines(scenario: Scenario) -> Iterator[str]:
    """Say where agents work, and what may go wrong there."""
    for name, site in scenario.sites.items():
        parts = [site.time_zone or scenario.time_zone]
        if site.opening_hours is not None:
            parts.append(f"open {hours_text(site.opening_hours)}")
        if site.closed:
            parts.append(f"closed on {', '.join(map(str, site.closed))}")
        yield f"Site {name}: {', '.join([*parts, *map(_outage, site.outages)])}"


def _outage(o: Outage) -> str:
    when = f"on {o.start:%Y-%m-%d %H:%M}" if o.start else f"every {mean_text([o.every])} on average" if o.every else ""
    return f"outage {when} for {mean_text([o.length])}, {_percent(o.share)} of the agents away"


def routing_lines(scenario: Scenario) -> Iterator[str]:
    """Say who takes what, wherever more than one type or group makes it a question."""
    routing = scenario.routing
    if scenario.trunks is not None:
        yield f"{scenario.trunks} lines for live contacts; whoever finds them taken is blocked"
    if scenario.queue_limit is not None:
        yield f"At most {scenario.queue_limit} contacts wait, further ones are blocked"
    if len(scenario.contact_types) > 1 or len(scenario.agent_groups) > 1:
        yield f"Routing: {_AGENT_CHOICES[routing.agent_choice]}; {_CONTACT_CHOICES[routing.contact_choice]}"
    for name, groups in routing.preference.items():
        yield f"{name} goes to {', then '.join(groups)}"
    for name, ranks in routing.group_rank.items():
        yield f"{name} goes by rank to {', '.join(f'{g} ({r})' for g, r in sorted(ranks.items(), key=lambda x: x[1]))}"
    for name, ranks in routing.type_rank.items():
        yield f"{name} takes by rank {', '.join(f'{t} ({r})' for t, r in sorted(ranks.items(), key=lambda x: x[1]))}"
    for name, weights in routing.weight.items():
        yield f"weight of {name}: {', '.join(f'{w:g} at {g}' if g else f'{w:g}' for g, w in weights.items())}"
    for name, delays in routing.delay.items():
        for group, wait in delays.items():
            if wait:
                yield f"{name} overflows to {group} after {format_seconds(wait)} of waiting"
