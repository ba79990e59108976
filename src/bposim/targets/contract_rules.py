"""Contradictions of a contract as a whole: conditions, money, weights, pricing."""

from __future__ import annotations

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from itertools import pairwise

from bposim.metrics import GLOSSARY
from bposim.targets.clause_rules import Problem, check_level, clause_problems, known_metric
from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.terms import LEVEL_NAMES, Amount, Level, percent


def contract_problems(contract: Contract, known: Iterable[str]) -> list[Problem]:
    """Return the contradictions of the contract as a whole; ``known`` are the names of all its clauses."""
    found: list[Problem] = []
    names = list(known)
    per_month = intervals_a_month(contract)
    for name, clause in contract.clauses.items():
        own = clause if clause.volume is not None else clause.model_copy(update={"volume": volume_of(contract, clause)})
        found += clause_problems(name, own, per_month)
        if known_metric(clause.metric):
            found += _condition_problems(name, clause, contract, names)
            found += _money_problems(name, clause, contract)
    weights = {n: c.weight for n, c in contract.clauses.items() if c.weight is not None}
    total = round(sum(weights.values()), 9)
    if total > 1:
        found.append((("clauses",), f"the weights add up to {percent(total)} of the pool: {', '.join(f'{n} {percent(w)}' for n, w in weights.items())}. "
                      f"Bring them down to 100 %; allocation: {as_ratio(total)} overbooks the pool."))  # fmt: skip
    if weights and contract.at_risk is None:
        found.append(
            (("clauses",), f"clauses {', '.join(weights)} have weights, but nothing is at risk. Write at_risk: 12%.")
        )
    if contract.allocation < 1:
        found.append((("allocation",), f"allocation must be at least 100 %. Got {percent(contract.allocation)}."))
    for key in ("cap", "bonus_cap"):
        cap = getattr(contract, key)
        if cap is not None and (cap.share is None) == (cap.amount is None):
            found.append(((key,), f"{key} needs one of share and amount."))
    has_points = [n for n, c in contract.clauses.items() if any(b.points for b in c.bands)]
    if bool(has_points) != bool(contract.points):
        way = (
            "Write points: [{points: 10, credit: 2%}]."
            if has_points
            else "Give a clause points, or leave the table out."
        )
        found.append((("points",), f"points need clauses that give them and a table of what they cost. {way}"))
    for a, b in pairwise(contract.points):
        if b.points <= a.points or b.credit < a.credit:
            found.append((("points",), "the table of points must rise in points and in credit. Order its rows."))
    if contract.termination is not None and contract.termination.misses > contract.termination.in_months:
        t = contract.termination
        found.append((("termination",), f"{t.misses} misses do not fit into {t.in_months} months."))
    if contract.months is not None:
        for name, clause in contract.clauses.items():
            late = [m for m in clause.glide if m > contract.months]
            if late:
                found.append(
                    (
                        ("clauses", name, "glide"),
                        f"clause {name!r}: month {late[0]} of the glide path lies after the term of {contract.months} months.",
                    )
                )
            found += _ratchet_problems(name, clause, contract.months)
        if contract.no_credit_months >= contract.months:
            found.append(
                (("no_credit_months",), f"{contract.no_credit_months} months without credits are the whole term.")
            )
    found += _pricing_problems(contract)
    return found


def _ratchet_problems(name: str, clause: Clause, months: int) -> Iterable[Problem]:
    """Yield the levels that a ratchet moves beyond what can be met by the end of the term."""
    if clause.ratchet is None or not (clause.share or clause.definition.unit == "s"):
        return
    shift = clause.expected(months) - clause.levels.expected.value
    for level in LEVEL_NAMES:
        own = getattr(clause.levels, level)
        last = math.nan if own is None else round(own.value + shift, 12)
        if last < 0 or (clause.share and last > 1) or (not clause.share and last == 0):
            told = percent(last) if clause.share else f"{last:g} s"
            yield (
                ("clauses", name, "ratchet"),
                f"clause {name!r}: the ratchet moves the {level} level to {told} by month {months}, which nobody can meet. Write up_to, "
                "or a smaller step.",
            )


def as_ratio(total: float) -> str:
    """Write a ratio for a file."""
    return f"{100 * total:g}%"


def volume_of(contract: Contract, clause: Clause) -> float | None:
    """Return the expected contacts a month of a clause's scope, None where the contract does not tell."""
    if clause.volume is not None:
        return clause.volume
    if clause.audited or not known_metric(clause.metric) or GLOSSARY[clause.metric].table == "agents":
        return None
    types = clause.scope.contact_types or tuple(contract.volumes)
    return sum(contract.volumes[t] for t in types) if types and all(t in contract.volumes for t in types) else None


def audits_a_window(clause: Clause) -> float | None:
    """Return how many items a clause audits in each of its windows, None where it does not tell.

    Examples
    --------
    >>> audits_a_window(Clause(metric="csat", levels={"expected": "85%"}, window="quarter", sample={"size": 300}))
    900.0
    """
    months = {"week": 12 / 52.18, "month": 1.0, "quarter": 3.0}
    if clause.sample is None or clause.settled_window not in months:
        return None
    if clause.sample.per == clause.settled_window:
        return float(clause.sample.size)
    return clause.sample.size * months[clause.settled_window] / months[clause.sample.per]


def intervals_a_month(contract: Contract) -> float | None:
    """Return how many open intervals a month has, None where the contract has no opening hours."""
    if contract.hours is None:
        return None
    minutes = sum(end - begin for spans in contract.hours.values() for begin, end in spans)
    return minutes * 60 / contract.interval * 52.18 / 12


def _condition_problems(name: str, clause: Clause, contract: Contract, names: list[str]) -> Iterable[Problem]:
    parts: list[tuple[str, int, Mapping[str, Level]]] = [("bands", k, b.requires) for k, b in enumerate(clause.bands)]
    parts += [("linear", k, x.requires) for k, x in enumerate(clause.linear)]
    for key, k, requires in parts:
        where = ("clauses", name, key, k)
        for other, level in requires.items():
            if other == name or other not in names:
                near = difflib.get_close_matches(other, names, n=1)
                hint = f" Did you mean {near[0]!r}?" if near and other != name else ""
                yield (
                    where,
                    f"clause {name!r} requires {other!r}, which is no other clause.{hint} Known: {', '.join(names)}.",
                )
            elif other in contract.clauses and known_metric(contract.clauses[other].metric):
                said = check_level(level, contract.clauses[other], named=True)
                if said:
                    yield where, f"clause {name!r} requires of {other!r} a level that {said}"


def _money_problems(name: str, clause: Clause, contract: Contract) -> Iterable[Problem]:
    every: list[tuple[tuple[str | int, ...], Amount | None]] = []
    for key in ("bands", "linear"):
        for k, part in enumerate(getattr(clause, key)):
            every += [((key, k), part.credit), ((key, k), part.bonus), ((key, k), getattr(part, "at_most", None))]
    for where, amount in every:
        if amount is None:
            continue
        if amount.currency not in (None, contract.currency):
            yield (
                ("clauses", name, *where),
                f"clause {name!r} is in {amount.currency}, the contract in {contract.currency}. Write one currency.",
            )
        if amount.share is not None and amount.share > 1 and clause.weight is None:
            yield (
                ("clauses", name, *where),
                f"clause {name!r} takes {amount}, more than the whole fee. Write a share up to 100 %.",
            )
        if amount.share is not None and not contract.pricing:
            yield (
                ("clauses", name, *where),
                f"clause {name!r} takes {amount} of a fee, but the contract has no pricing. Add pricing.",
            )


def _pricing_problems(contract: Contract) -> Iterable[Problem]:
    for k, price in enumerate(contract.pricing):
        where: tuple[str | int, ...] = ("pricing", k)
        named = [n for n in type(price).model_fields if getattr(price, n) is not None]
        if len(named) != 1:
            yield (
                where,
                f"pricing {k + 1} must be one model: {', '.join(type(price).model_fields)}. Got {', '.join(named) or 'none'}.",
            )
            continue
        p, said = price.body, f"pricing {k + 1} ({named[0]}):"
        if hasattr(p, "tiers"):
            if (p.rate is None) == (not p.tiers):
                yield where, f"{said} needs one of rate and tiers."
            ends = [t.up_to for t in p.tiers]
            if ends and (ends[-1] is not None or any(e is None for e in ends[:-1])):
                yield where, f"{said} every tier but the last needs up_to; the last is open."
            elif any(b <= a for a, b in pairwise([e for e in ends if e is not None])):
                yield where, f"{said} the tiers overlap: up_to must rise."
            if p.minimum is not None and (p.minimum.quantity is None) == (p.minimum.share is None):
                yield where, f"{said} minimum needs one of quantity and share (of the forecast)."
            elif p.minimum is not None and p.minimum.share is not None and price.quantity is None:
                yield (
                    where,
                    f"{said} a fixed fte has no forecast that a minimum could be a share of. Leave minimum out.",
                )
            if getattr(p, "overtime", None) is not None and p.tiers:
                yield where, f"{said} overtime needs a rate, not tiers."
        if named[0] == "per_fte":
            if p.fte is not None and p.hours is not None:
                yield where, f"{said} has a fixed fte and hours. Keep one of them."
            if (p.hours is None) != (p.hours_per_fte is None):
                yield where, f"{said} hours and hours_per_fte belong together: an FTE needs its definition."
    for k, s in enumerate(contract.surcharges):
        if any(m < 1 for m in s.months):
            yield ("surcharges", k), f"surcharge {s.name!r}: contract months count from 1."


def all_problems(contract: Contract, known: Iterable[str], place: Callable[[tuple[str | int, ...]], str]) -> list[str]:
    """Return every contradiction as a sentence with its place."""
    return [f"{text} {place(where)}" for where, text in contract_problems(contract, known)]
