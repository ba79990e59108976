"""Contradictions within one clause: each a sentence with its place and the way out."""

from __future__ import annotations

import difflib
import math
from collections.abc import Iterable
from itertools import pairwise

from bposim.metrics import AUDITED, GLOSSARY
from bposim.schema import COUNTING_RULES
from bposim.targets.clauses import Band, Clause, Corridor, Linear, Relief
from bposim.targets.terms import LEVEL_NAMES, Level, percent

#: A contradiction: where it stands, and the sentence.
Problem = tuple[tuple[str | int, ...], str]
#: Windows and stretches by length, each made of the ones before; a week is no part of a month.
_FINER = {
    "interval": {"interval"}, "day": {"interval", "day"}, "week": {"interval", "day"}, "month": {"interval", "day", "month"},
    "quarter": {"interval", "day", "month"}, "all": {"interval", "day", "month"},
}  # fmt: skip
#: Windows that a month holds, roughly: what a window's share of the expected volume is.
_PER_MONTH = {"day": 30.4, "week": 4.35, "month": 1.0, "quarter": 1 / 3, "all": 0.0}
_SAMPLE_PER = {"week": 1, "month": 2, "quarter": 3}


def known_metric(name: str) -> bool:
    """Tell whether a metric is in the glossary or among the audited ones."""
    return name in GLOSSARY or name in AUDITED


def clause_problems(name: str, clause: Clause, intervals_a_month: float | None) -> list[Problem]:
    """Return the contradictions within one clause."""
    at: tuple[str | int, ...] = ("clauses", name)
    found: list[Problem] = []

    def rule(ok: bool, text: str, *where: str | int) -> None:
        if not ok:
            found.append(((*at, *where), f"clause {name!r}: {text}"))

    if not known_metric(clause.metric):
        every = (*GLOSSARY, *AUDITED)
        near = difflib.get_close_matches(clause.metric, every, n=1)
        hint = f" Did you mean {near[0]!r}?" if near else ""
        rule(False, f"metric {clause.metric!r} is not in the glossary.{hint} Known: {', '.join(every)}.", "metric")
        return found
    if clause.counting is not None and clause.counting not in COUNTING_RULES:
        rule(False, f"counting {clause.counting!r} is unknown. Known: {', '.join(COUNTING_RULES)}.", "counting")
        return found
    rule(clause.counting is None or clause.metric == "service_level",
         f"counting rules are for service_level; {clause.metric} has one formula. Leave counting out.", "counting")  # fmt: skip
    m = clause.definition
    rule(not m.needs_within or clause.within is not None, f'{clause.metric} needs its threshold. Write within: "20s".')
    rule(not m.needs_short or clause.short is not None, f'{m.id} needs the short-abandon limit. Write short: "5s".')
    rule(m.better != "-" or clause.comparison is not None,
         f'{clause.metric} is good neither high nor low. Write comparison: "<=" or ">=".')  # fmt: skip
    rule(not clause.counts_stretches or clause.pass_level is not None,
         f"aggregation {clause.aggregation!r} counts the stretches that pass. Write pass_level, the level each must reach.", "aggregation")  # fmt: skip
    rule(not clause.counts_stretches or clause.higher,
         'more stretches that pass are better. Write comparison: ">=".', "comparison")  # fmt: skip
    plain = clause.aggregation == "pooled"
    rule(plain or (bool(m.denominator) and m.table != "waits"),
         f"{clause.metric} has no ratio by interval to average or count. Leave aggregation out.", "aggregation")  # fmt: skip
    rule(
        plain or clause.settled_window != "interval",
        "an interval has no intervals within. Name a longer window.",
        "window",
    )
    rule(not clause.audited or clause.settled_window in ("month", "quarter", "all"),
         f"{clause.metric} is audited by month. Write window: month, quarter or all.", "window")  # fmt: skip
    words = clause.scope.channel or clause.scope.language or clause.scope.site
    rule(not words or bool(clause.scope.contact_types) or clause.audited,
         f"scope names {words!r}, which no count can be split by. Add contact_types: the queues that make it up.", "scope")  # fmt: skip
    rule(m.table == "agents" or not clause.scope.agent_groups,
         f"{clause.metric} is about contacts, agent_groups about agents. Name contact_types.", "scope")  # fmt: skip
    rule(m.table != "agents" or not clause.scope.contact_types,
         f"{clause.metric} is about agents, who belong to groups. Name agent_groups.", "scope")  # fmt: skip
    found += _level_problems(name, clause)
    capped = [k for k, r in enumerate(clause.relief) if r.effect == "cap"]
    if len(capped) > 1:
        message = f"clause {name!r}: reliefs {capped[0] + 1} and {capped[1] + 1} both cap the volume. Keep one of them."
        found.append((("clauses", name, "relief", capped[1]), message))
    found += [p for k, r in enumerate(clause.relief) for p in _relief_problems(name, k, r, clause)]
    found += _consequence_problems(name, clause)
    found += _sample_problems(name, clause, intervals_a_month)
    for key in ("repeat", "termination"):
        part = getattr(clause, key)
        if part is not None:
            rule(part.misses <= part.in_months, f"{part.misses} misses do not fit into {part.in_months} months.", key)
            rule(clause.settled_window != "quarter" or part.misses <= -(-part.in_months // 3),
                 f"{part.misses} missed quarters do not fit into {part.in_months} months. Name more months.", key)  # fmt: skip
            rule(clause.settled_window != "all" or part.misses == 1,
                 "the whole term is one window, missed once at most. Write misses: 1, or a shorter window.", key)  # fmt: skip
    if clause.earn_back is not None:
        one = (clause.earn_back.following is None) != (clause.earn_back.over is None)
        rule(one, "earn_back needs one of following: 3 (months) and over: year.", "earn_back")
        following = clause.earn_back.following
        rule(following is None or clause.settled_window != "quarter" or following % 3 == 0,
             f"{following} months are no whole quarters, which the clause is settled by. Write following: 3, 6 or 9.", "earn_back")  # fmt: skip
        rule(following is None or clause.settled_window != "all",
             "no window follows that of the whole term. Leave earn_back out.", "earn_back")  # fmt: skip
        rule(
            clause.has_credit,
            "there are no credits to earn back. Add a consequence, or leave earn_back out.",
            "earn_back",
        )
    return found


def check_level(level: Level, clause: Clause, *, share: bool | None = None, named: bool = False) -> str | None:
    """Return what is wrong with a level of a clause's unit, None where it fits."""
    if level.name:
        if not named:
            return f"must be a level such as 80% or 20s, not the name {level.name!r}."
        return None if not math.isnan(clause.level(level)) else f"names the {level.name} level, which the clause lacks."
    share = clause.share if share is None else share
    if share:
        if level.unit == "s":
            return f"must be a share. Got {level}."
        if level.value > 1:
            way = "A target above 100 % cannot be met." if level.unit == "%" else f'Write "{level.value:g}%".'
            return f"must lie between 0 and 100 %. Got {level}. {way}"
        return None if level.value >= 0 else f"must lie between 0 and 100 %. Got {level}."
    if clause.definition.unit == "s":
        return None if level.unit == "s" else f'must be a duration with a unit. Got {level}. Write "{level.value:g}s".'
    return f"must be a plain number. Got {level}." if level.unit else None


def _level_problems(name: str, clause: Clause) -> Iterable[Problem]:
    at = ("clauses", name)
    ok = True
    checks: list[tuple[tuple[str | int, ...], Level | None, bool | None]] = [
        *((("levels", n), getattr(clause.levels, n), None) for n in LEVEL_NAMES),
        *((("glide", m), v, None) for m, v in clause.glide.items()),
        (("pass_level",), clause.pass_level, clause.definition.unit == "share"),
    ]
    if clause.ratchet is not None:
        checks += [(("ratchet", "by"), clause.ratchet.by, None), (("ratchet", "up_to"), clause.ratchet.up_to, None)]
    if clause.rounding is not None:
        checks.append((("rounding",), clause.rounding, None))
    for where, level, share in checks:
        said = None if level is None else check_level(level, clause, share=share)
        if said:
            ok = False
            yield (*at, *where), f"clause {name!r}: {'.'.join(map(str, where))} {said}"
    for key, part in (
        ("rounding", clause.rounding),
        ("ratchet", None if clause.ratchet is None else clause.ratchet.by),
    ):
        if part is not None and not part.value > 0:
            yield (*at, key), f"clause {name!r}: {key} must be a step above 0. Got {part}."
    if clause.miss is not None and getattr(clause.levels, clause.miss) is None:
        yield (*at, "miss"), f"clause {name!r}: miss names the {clause.miss} level, which the clause lacks."
    if any(month < 1 for month in clause.glide):
        yield (*at, "glide"), f"clause {name!r}: months of a glide path count from 1."
    if not ok:
        return
    named = [(n, v.value) for n in LEVEL_NAMES if (v := getattr(clause.levels, n)) is not None]
    named.sort(key=lambda pair: ("minimum", "expected", "stretch").index(pair[0]))
    for (a, low), (b, high) in pairwise(named):
        if (low > high) if clause.higher else (low < high):
            side = "at most" if clause.higher else "at least"
            la, lb = getattr(clause.levels, a), getattr(clause.levels, b)
            yield (*at, "levels"), f"clause {name!r}: the {a} level {la} must be {side} the {b} level {lb}. Swap them."
    for month, step in sorted(clause.glide.items()):
        move = step.value - clause.levels.expected.value
        for other in ("minimum", "stretch"):
            level = getattr(clause.levels, other)
            moved = 0.0 if level is None else round(level.value + move, 12)
            if level is not None and (moved < 0 or (clause.share and moved > 1)):
                end = Level(moved, level.unit)
                limit = "outside 0 and 100 %" if clause.share else "below 0"
                yield (
                    (*at, "glide", month),
                    f"clause {name!r}: the glide path moves every level as the expected one: from month {month} on {step} instead of "
                    f"{clause.levels.expected}, so that the {other} level {level} becomes {end}, {limit}. Bring the step "
                    f"nearer to the expected level, or the {other} level further in.",
                )


def _relief_problems(name: str, k: int, relief: Relief, clause: Clause) -> Iterable[Problem]:
    at = ("clauses", name, "relief", k)
    said = f"clause {name!r}, relief {k + 1}:"
    if sum(x is not None for x in (relief.volume, relief.handle_time, relief.cause)) != 1:
        yield at, f"{said} needs one of volume, handle_time and cause."
        return
    c: Corridor | None = relief.corridor
    if c is None:
        if relief.effect in ("cap", "scale"):
            yield at, f"{said} a cause has no corridor to {relief.effect} by. Write effect: exclude or waive."
        return
    if c.above is None and c.below is None:
        yield at, f"{said} the corridor has no edge. Write above: 110%, below: 90%, or both."
    if c.above is not None and c.below is not None and c.below >= c.above:
        yield at, f"{said} the corridor is empty: below {percent(c.below)} and above {percent(c.above)} overlap."
    if relief.effect in ("cap", "scale") and c.above is None:
        yield at, f"{said} effect {relief.effect} needs the upper edge. Write above: 110%."
    if relief.effect in ("cap", "scale") and c.below is not None:
        yield at, f"{said} effect {relief.effect} knows no lower edge. Put below: into a relief with effect exclude."
    if relief.effect in ("waive", "scale") and c.by not in ("window", clause.settled_window):
        yield at, f"{said} effect {relief.effect} is about the whole window. Leave by out, or write effect: exclude."
    if c.by != "window" and c.by not in _FINER[clause.settled_window]:
        yield at, f"{said} a {clause.settled_window} is not made of whole stretches 'by: {c.by}'. Write by: day."
    if relief.effect == "cap":
        if relief.kind != "volume" or not clause.share or clause.definition.table != "contacts":
            yield at, f"{said} effect cap leaves contacts out, so it needs a volume corridor and a share of contacts."
        finest = {"share_of_intervals": "interval", "mean_of_intervals": "interval", "share_of_days": "day"}.get(
            clause.aggregation
        )
        if finest is not None and c.by not in (finest, "interval"):
            yield at, f"{said} with aggregation {clause.aggregation!r} the cap is by {finest}. Write by: {finest}."
    if clause.audited:
        yield at, f"{said} {clause.metric} is audited, volume and handle time do not reach it. Write cause: …"


def _edges(band: Band, clause: Clause) -> tuple[float, float]:
    low = -math.inf if band.from_ is None else clause.level(band.from_)
    return low, math.inf if band.to is None else clause.level(band.to)


def _consequence_problems(name: str, clause: Clause) -> Iterable[Problem]:
    at = ("clauses", name)
    sound: list[tuple[float, float, int]] = []
    for k, band in enumerate(clause.bands):
        where, said = (*at, "bands", k), f"clause {name!r}, band {k + 1}:"
        wrong = [
            f"{said} {edge.rstrip('_')} {told}" for edge in ("from_", "to")
            if (v := getattr(band, edge)) is not None and (told := check_level(v, clause, named=True))
        ]  # fmt: skip
        yield from ((where, w) for w in wrong)
        if sum(x is not None for x in (band.credit, band.bonus, band.points)) != 1:
            yield where, f"{said} needs one of credit, bonus and points."
        if band.from_ is None and band.to is None:
            yield where, f"{said} has no edge, so it always applies. Write from:, to:, or both."
        elif not wrong:
            low, high = _edges(band, clause)
            if low >= high:
                yield where, f"{said} is empty: from {band.from_} to {band.to}. Write the lower edge first."
            else:
                sound.append((low, high, k))
        found = _wrong_side(clause, band)
        if found and not wrong:
            yield where, f"{said} {found}"
    sound.sort()
    for (_, high, j), (low, _, k) in pairwise(sound):
        if low < high:
            yield ((*at, "bands", k),
                   f"clause {name!r}: bands {min(j, k) + 1} and {max(j, k) + 1} overlap. Let one end where the other begins.")  # fmt: skip
    yield from _linear_problems(name, clause)
    costs = [(e, b.credit.share) for b in clause.bands if b.credit is not None and b.credit.share is not None
             for e in [_edges(b, clause)] if not (math.isnan(e[0]) or math.isnan(e[1]))]  # fmt: skip
    costs.sort(key=lambda pair: pair[0], reverse=clause.higher)
    for (_, less), (_, more) in pairwise(costs):
        if more < less:
            yield (
                (*at, "bands"),
                f"clause {name!r}: a worse result costs less ({percent(more)} after {percent(less)}). Order the bands.",
            )


def _wrong_side(clause: Clause, band: Band) -> str | None:
    """Return what is wrong with a credit on the good side of the expected level, or a bonus where a month is missed."""
    low, high = _edges(band, clause)
    expected, missed = clause.levels.expected.value, clause.level(Level(math.nan, "", clause.miss_name))
    if band.bonus is not None and (high <= missed if clause.higher else low >= missed):
        return f"pays a bonus where the month is missed. Move it above the {clause.miss_name} level."
    if band.credit is not None and (low >= expected if clause.higher else high <= expected):
        return "takes a credit where the expected level is reached. Move it, or raise the expected level."
    return None


def _linear_problems(name: str, clause: Clause) -> Iterable[Problem]:
    at = ("clauses", name)
    for k, part in enumerate(clause.linear):
        where, said = (*at, "linear", k), f"clause {name!r}, linear {k + 1}:"
        for edge, named in (("beyond", True), ("per", False)):
            told = check_level(getattr(part, edge), clause, named=named)
            if told:
                yield where, f"{said} {edge} {told}"
        if not part.per.value > 0 and not part.per.name:
            yield where, f"{said} per must be a step above 0. Got {part.per}."
        if (part.credit is None) == (part.bonus is None):
            yield where, f"{said} needs one of credit and bonus."
        amount = part.credit or part.bonus
        if part.at_most is not None and amount is not None and (part.at_most.share is None) != (amount.share is None):
            yield where, f"{said} at_most must be written like the amount: both in per cent or both in money."
        if part.credit is not None and clause.missing == "miss" and part.at_most is None:
            yield where, f"{said} with missing: miss a month without data would cost without end. Write at_most."
        inside = _in_a_band(clause, part)
        if inside is not None:
            yield where, f"{said} lies on the same side as band {inside + 1}, so both would apply. Keep one of them."
    if clause.per_contact is not None:
        told = check_level(clause.per_contact.beyond, clause, named=True)
        if told:
            yield (*at, "per_contact"), f"clause {name!r}: per_contact.beyond {told}"
        if not clause.share or clause.counts_stretches or clause.definition.table != "contacts":
            yield (
                (*at, "per_contact"),
                f"clause {name!r}: per_contact counts contacts; {clause.metric} is no share of them.",
            )
        if clause.missing == "miss":
            yield (
                (*at, "per_contact"),
                f"clause {name!r}: with missing: miss nobody can count the contacts. Write missing: exclude.",
            )
    if (
        sum(
            bool(x)
            for x in (clause.per_contact, any(b.credit for b in clause.bands), any(x.credit for x in clause.linear))
        )
        > 1
    ):
        yield at, f"clause {name!r}: one miss has several credits (bands, linear, per_contact). Keep one of them."


def _in_a_band(clause: Clause, part: Linear) -> int | None:
    edge = clause.level(part.beyond)
    for k, band in enumerate(clause.bands):
        low, high = _edges(band, clause)
        worse = (low < edge) if clause.higher else (high > edge)
        if (part.credit and band.credit and worse) or (part.bonus and band.bonus and not worse):
            return k
    return None


def _sample_problems(name: str, clause: Clause, intervals_a_month: float | None) -> Iterable[Problem]:
    at = ("clauses", name)
    window = clause.settled_window
    s = clause.sample
    if s is not None:
        if not clause.audited:
            yield (*at, "sample"), f"clause {name!r}: {clause.metric} counts every contact. Leave sample out."
        order = {"week": 1, "month": 2, "quarter": 3, "all": 4}
        if order.get(window, 0) < _SAMPLE_PER[s.per]:
            yield ((*at, "window"), f"clause {name!r}: the window ({window}) is shorter than its sample "
                   f"({s.size} per {s.per}). Write window: {s.per}.")  # fmt: skip
    least = clause.minimum_sample
    if least and not clause.counts_stretches:
        holds = None
        if s is not None and window != "all":
            holds = s.size * {"week": 4.35, "month": 1.0, "quarter": 1 / 3}[s.per] / _PER_MONTH[window]
        elif clause.volume is not None and window != "all":
            per = intervals_a_month if window == "interval" else _PER_MONTH[window]
            holds = None if not per else clause.volume / per
        if holds is not None and holds < least:
            yield ((*at, "minimum_sample"), f"clause {name!r}: the window is shorter than its sample: a {window} holds about "
                   f"{holds:,.0f}, minimum_sample is {least:,g}. Name a longer window, or a smaller sample.")  # fmt: skip
