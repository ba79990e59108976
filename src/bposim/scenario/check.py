"""Rules that tie the parts of a scenario together: names that must exist, lists that must fit the day."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from bposim.errors import UnitError
from bposim.scenario.document import Document, Where
from bposim.scenario.models import Operation
from bposim.units import WEEKDAYS, clock_text, format_seconds, hours_text, zone


def nearest(name: object, known: Iterable[object]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known name, or nothing."""
    near = difflib.get_close_matches(str(name), [str(k) for k in known], n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def _names(values: Iterable[object]) -> str:
    return ", ".join(repr(str(v)) for v in values) or "none"


def _map(data: Any, *keys: str) -> dict[str, Any]:
    for key in keys:
        data = data.get(key) if isinstance(data, Mapping) else None
    return dict(data) if isinstance(data, Mapping) else {}


def check_names(document: Document) -> list[str]:
    """Return a sentence for every name that refers to nothing; works on a file that has other faults too."""
    data = document.data
    types, groups = _map(data, "contact_types"), _map(data, "agent_groups")
    problems: list[str] = []

    def unknown(name: object, known: Mapping[str, Any], said: str, kind: str, where: Where) -> None:
        if name not in known:
            problems.append(
                f"{said} {str(name)!r}, which is no {kind}.{nearest(name, known)} Known: {_names(known)}. "
                f"{document.place(where)}"
            )

    skilled: set[object] = set()
    for group, body in groups.items():
        skills = body.get("skills") if isinstance(body, Mapping) else None
        for k, skill in enumerate(skills if isinstance(skills, list | tuple | Mapping) else ()):
            where: Where = ("agent_groups", group, "skills", skill if isinstance(skills, Mapping) else k)
            unknown(skill, types, f"agent group {group!r} lists skill", "contact type", where)
            skilled.add(skill)
    for name in types:
        if groups and name not in skilled:
            problems.append(
                f"contact type {name!r} is a skill of no agent group, so nobody would ever answer it. Add it to the skills "
                f"of one: {_names(groups)}. {document.place(('contact_types', name))}"
            )
    for contact_type, listed in _map(data, "routing", "preference").items():
        at: Where = ("routing", "preference", contact_type)
        unknown(contact_type, types, "routing.preference ranks groups for", "contact type", at)
        for k, group in enumerate(listed if isinstance(listed, list | tuple) else ()):
            unknown(group, groups, f"routing.preference of {contact_type!r} lists", "agent group", (*at, k))
            skills = groups.get(group, {}).get("skills", {}) if isinstance(groups.get(group), Mapping) else {}
            if group in groups and contact_type in types and contact_type not in skills:
                problems.append(
                    f"routing.preference of {contact_type!r} lists agent group {group!r}, which lacks that skill. Add the "
                    f"skill or take the group off the list. {document.place((*at, k))}"
                )
    problems += _check_mechanics(document, types, groups, unknown)
    for shift, body in _map(data, "shifts").items():
        for k, group in enumerate((body.get("groups") or ()) if isinstance(body, Mapping) else ()):
            unknown(group, groups, f"shift {shift!r} lists", "agent group", ("shifts", shift, "groups", k))
    for group in _map(data, "staffing"):
        unknown(group, groups, "staffing names", "agent group", ("staffing", group))
    return problems


def _check_mechanics(document: Document, types: Any, groups: Any, unknown: Any) -> list[str]:
    """Return what is wrong with redials, call-backs, transfers, reserves, sites, named agents and routing matrices."""
    problems: list[str] = []
    data = document.data
    for name, body in types.items():
        for field in ("redial", "callback"):
            part = _map(body, field)
            if part.get("to") is not None:
                said = f"{field}.to of contact type {name!r} names"
                unknown(part["to"], types, said, "contact type", ("contact_types", name, field, "to"))
        listed = body.get("transfers") if isinstance(body, Mapping) else None
        for k, part in enumerate(listed if isinstance(listed, list | tuple) else ()):
            where: Where = ("contact_types", name, "transfers", k)
            if isinstance(part, Mapping) and "to" in part:
                unknown(part["to"], types, f"a transfer of contact type {name!r} goes to", "contact type", where)
            if isinstance(part, Mapping) and part.get("mode") == "warm":
                problems += [
                    f"contact type {name!r} has a warm transfer, but agent group {g!r} takes it with several contacts at "
                    f"once (concurrency), and such agents cannot wait with one. Write mode: cold. {document.place(where)}"
                    for g, group in groups.items()
                    if _map(group, "concurrency") and name in (_skills_of(group) or ())
                ]
    for name, body in groups.items():
        if not isinstance(body, Mapping):
            continue
        if body.get("site") is not None:
            said, at = f"agent group {name!r} names site", ("agent_groups", name, "site")
            unknown(body["site"], _map(data, "sites"), said, "site", at)
        for skill in _map(body, "reserve"):
            if skill not in (_skills_of(body) or ()):
                problems.append(
                    f"reserve of agent group {name!r} names {skill!r}, which is no skill of it. "
                    f"{document.place(('agent_groups', name, 'reserve'))}"
                )
        if _map(body, "agents"):
            apart = [f for f in ("adherence", "breaks", "day_factor") if body.get(f) not in (None, [], (), 1, 1.0)]
            apart += ["shrinkage"] if body.get("shrinkage") not in (None, 0, 0.0) else []
            heads = body.get("heads")
            apart += ["heads"] if heads not in (None, 0, 0.0) else []
            apart += ["staffing"] if name in _map(data, "staffing") else []
            problems += [
                f"agent group {name!r} has named agents and {field}, which counts them. Put it into the agents' schedules, "
                f"or take the names out. {document.place(('agent_groups', name))}"
                for field in apart
            ]
        for person, agent in _map(body, "agents").items():
            spells = agent.get("schedule") if isinstance(agent, Mapping) else None
            for spell in [spells] if isinstance(spells, Mapping) else spells or ():
                pauses = spell.get("breaks") if isinstance(spell, Mapping) else None
                if any(isinstance(p, Mapping) and p.get("share", 1) != 1 for p in pauses or ()):
                    problems.append(
                        f"a break of agent {str(person)!r} in group {name!r} has a share, but one agent takes it whole. Leave "
                        f"share out. {document.place(('agent_groups', name, 'agents', person))}"
                    )
    for matrix in ("group_rank", "weight", "delay"):
        for contact_type, row in _map(data, "routing", matrix).items():
            at = ("routing", matrix, contact_type)
            unknown(contact_type, types, f"routing.{matrix} names", "contact type", at)
            for group in row if isinstance(row, Mapping) else ():
                if group != "":
                    unknown(group, groups, f"routing.{matrix} of {contact_type!r} names", "agent group", (*at, group))
    for group, row in _map(data, "routing", "type_rank").items():
        at = ("routing", "type_rank", group)
        unknown(group, groups, "routing.type_rank names", "agent group", at)
        for contact_type in row if isinstance(row, Mapping) else ():
            unknown(contact_type, types, f"routing.type_rank of {group!r} names", "contact type", (*at, contact_type))
    return problems


def _skills_of(body: Any) -> Any:
    skills = body.get("skills") if isinstance(body, Mapping) else None
    return skills if isinstance(skills, list | tuple | Mapping) else None


def check_fit(operation: Operation, document: Document, slots: Mapping[int, int]) -> list[str]:
    """Return a sentence for every list, shift or span that does not fit the opening hours."""
    problems: list[str] = []
    try:
        zone(operation.time_zone)
    except UnitError as error:
        problems.append(f"{error} {document.place(('time_zone',))}")
    for name, site in operation.sites.items():
        try:
            zone(site.time_zone or "UTC")
        except UnitError as error:
            problems.append(f"site {name!r}: {error} {document.place(('sites', name))}")
    if operation.interval < 60 or operation.interval % 60 or 86400 % operation.interval:
        problems.append(
            f"interval must be whole minutes and divide a day. Got {format_seconds(operation.interval)}. "
            f"Write 15min, 30min or 1h. {document.place(('interval',))}"
        )
        return problems
    if not any(slots.values()):
        problems.append(f"opening_hours never opens. {document.place(('opening_hours',))}")
    length = format_seconds(operation.interval)

    def fits(series: Mapping[int, tuple[Any, ...]], what: str, where: Where) -> None:
        for d in range(7):
            given = len(series.get(d, ()))
            if slots[d] and d not in series:
                problems.append(f"{what} says nothing for {WEEKDAYS[d]}, an open day. Add it. {document.place(where)}")
            elif slots[d] and given not in (1, slots[d]):
                problems.append(
                    f"{what} has {given} values; {WEEKDAYS[d]} has {slots[d]} open intervals of {length} "
                    f"({hours_text(operation.opening_hours)}). Give one value, or one for each. {document.place(where)}"
                )
                return

    for name, contact_type in operation.contact_types.items():
        at: Where = ("contact_types", name)
        if contact_type.arrivals.per_interval is not None:
            fits(contact_type.arrivals.per_interval, f"arrivals.per_interval of {name!r}", (*at, "arrivals"))
        for field in ("handle_time", "patience"):
            listed = getattr(contact_type, field)
            if len(listed) > 1:
                fits(dict.fromkeys(range(7), listed), f"{field} of {name!r}", (*at, field))
        work = contact_type.after_contact_work
        if work is not None and len(work) > 1:
            fits(dict.fromkeys(range(7), work), f"after_contact_work of {name!r}", (*at, "after_contact_work"))
        laws = [("after_contact_work", d) for d in work or ()]
        laws += [("redial", contact_type.redial.delay)] if contact_type.redial is not None else []
        problems += [
            f"{field} of {name!r} has no finite mean. {document.place((*at, field))}"
            for field, law in laws
            if law.mean == float("inf")
        ]
        for k, dist in enumerate(contact_type.handle_time):
            if dist.mean == float("inf"):
                problems.append(
                    f"handle_time of {name!r} has no finite mean (entry {k + 1}). {document.place((*at, 'handle_time'))}"
                )
        for d, spans in (contact_type.opening_hours or {}).items():
            for begin, end in spans:
                if not any(a <= begin and end <= b for a, b in operation.opening_hours[d]):
                    problems.append(
                        f"opening_hours of {name!r} on {WEEKDAYS[d]} ({clock_text(begin)}-{clock_text(end)}) lie outside the "
                        f"scenario's. Widen the scenario's opening_hours. {document.place((*at, 'opening_hours'))}"
                    )
    problems += _endless(operation, document)
    for name, row in operation.routing.delay.items():
        problems += [
            f"routing.delay of {name!r} and {group!r} must be at most 397 days. Got {format_seconds(wait)}. To keep a group off a "
            f"type, leave the skill out. {document.place(('routing', 'delay', name, group))}"
            for group, wait in row.items()
            if wait > 397 * 86_400
        ]
    for name, site in operation.sites.items():
        for k, outage in enumerate(site.outages):
            gap = outage.length if outage.every is None else outage.every
            if not 0 < gap.mean < float("inf") or outage.length.mean == float("inf"):
                problems.append(
                    f"outage {k + 1} of site {name!r} needs a gap and a length with a finite mean above 0. "
                    f"{document.place(('sites', name, 'outages', k))}"
                )
    for group, body in operation.agent_groups.items():
        fits(body.heads, f"heads of agent group {group!r}", ("agent_groups", group, "heads"))
    for name, shift in operation.shifts.items():
        lasts = shift.length_s / 60
        starts = range(shift.start[0], shift.start[1] + 1, max(int(shift.step // 60), 1))
        hours = operation.opening_hours
        useful = any(
            begin < s + lasts - day and s - day < stop
            for d in shift.days
            for s in starts
            for day in (0, 1440)
            for begin, stop in hours[(d + (day > 0)) % 7]
        )
        if not useful:
            problems.append(
                f"shift {name!r} can never start: from {clock_text(shift.start[0])} to {clock_text(shift.start[1])} for "
                f"{format_seconds(shift.length_s)} it meets no open hour ({hours_text(hours)}). Change its start or days. "
                f"{document.place(('shifts', name))}"
            )
    return problems


def _endless(operation: Operation, document: Document) -> list[str]:
    """Return a sentence where contacts would be transferred for ever: no stretch of transfers may keep them all."""
    names = list(operation.contact_types)
    onward = np.zeros((len(names), len(names)))
    for k, kind in enumerate(operation.contact_types.values()):
        for transfer in kind.transfers:
            if transfer.to in names:  # an unknown name is reported elsewhere
                onward[k, names.index(transfer.to)] += transfer.probability
    if max(abs(np.linalg.eigvals(onward))) < 1 - 1e-9:
        return []
    return [
        f"transfers send contacts round for ever. Let some end: probabilities on a circle of types must multiply to less "
        f"than 1. {document.place(('contact_types', names[int(onward.sum(axis=1).argmax())], 'transfers'))}"
    ]
