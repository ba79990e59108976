"""A contract read back as plain sentences."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bposim.metrics import AUDITED
from bposim.targets.clauses import Band, Clause, Linear, Relief
from bposim.targets.pricing import Price
from bposim.targets.terms import Level, percent
from bposim.units import format_seconds, hours_text

if TYPE_CHECKING:
    from bposim.targets.contract import Cap, Contract

#: The service level's counting rules in words.
COUNTING: dict[str, str] = {
    "offered": "abandoned contacts count against it", "excl_T": "contacts abandoned within the threshold are left out",
    "credit_T": "contacts abandoned within the threshold count as met", "answered": "of the answered only",
    "excl_short": "short abandons are left out", "credit_short": "short abandons count as met",
    "flow": "call-backs and deflected contacts count against it",
    "removed": "answered, abandoned and call-backs within the threshold count as met",
}  # fmt: skip
_AGGREGATION = {"mean_of_intervals": "as the plain mean of its intervals", "share_of_intervals": "as the share of intervals that pass",
                "share_of_days": "as the share of days that pass"}  # fmt: skip
_EFFECT = {"exclude": "is left out of the metric", "waive": "costs no credit"}
_CAUSE = {
    "outage": "outages",
    "force_majeure": "force majeure",
    "client_caused": "what the client caused",
    "training": "training",
}


def describe(contract: Contract) -> str:
    """Return the contract as sentences, one to a line: the first names it, those of a clause are indented."""
    lines = [_title(contract)]
    lines += [f"  {said}" for said in _money_lines(contract)]
    for name, clause in contract.clauses.items():
        lines.append(f"  {name}: {_target(clause)}")
        lines += [f"    {said}" for said in _clause_lines(contract, name, clause)]
    lines += [f"  Assumed: {a}" for a in contract.assumptions]
    return "\n".join(lines)


def _title(c: Contract) -> str:
    parties = f" between {c.client} (client) and {c.provider} (provider)" if c.client and c.provider else ""
    version = f", version {c.version}" if c.version else ""
    term = f", from {c.start}" if c.start else ""
    term += f" for {c.months} months" if c.months else ""
    return f"{c.name}{version}: contract{parties}{term}, in {c.currency}{f'; owner {c.owner}' if c.owner else ''}"


def _money(value: Any, c: Contract) -> str:
    return f"{value:,} {c.currency}"


def _money_lines(c: Contract) -> list[str]:
    lines = [f"The client pays {_price(p, c)}." for p in c.pricing] or ["Nothing is invoiced under this contract."]
    if c.minimum_billing is not None:
        lines.append(f"At least {_money(c.minimum_billing, c)} are invoiced each month.")
    lines += [f"{s.name}: {_money(s.amount, c)} in {_months(s.months)}." for s in c.surcharges]
    if c.at_risk is not None:
        over = f", overbooked to {percent(c.allocation)}" if c.allocation != 1 else ""
        lines.append(f"{percent(c.at_risk)} of the month's fee are at risk{over}.")
    if c.credit_cap is not None:
        lines.append(f"Credits of a {_period(c.credit_cap)} come to at most {_cap(c.credit_cap, c)}.")
    elif any(k.has_credit for k in c.clauses.values()):
        lines.append("Credits have no cap.")
    if c.bonus_cap is not None:
        lines.append(f"Bonuses of a {_period(c.bonus_cap)} come to at most {_cap(c.bonus_cap, c)}.")
    lines += [f"From {p.points:g} points in a month on, {percent(p.credit)} of the fee are credited." for p in c.points]
    if c.no_credit_months:
        lines.append(
            f"The first {c.no_credit_months} months take no credit and pay no bonus, and no miss in them counts."
        )
    if c.termination is not None:
        lines.append(
            f"The client may leave after {c.termination.misses} months with a miss among {c.termination.in_months}."
        )
    if c.hours is not None:
        lines.append(f"Open: {hours_text(c.hours)}.")
    if c.review_every is not None:
        lines.append(f"The targets are reviewed every {c.review_every} months.")
    return lines


def _period(cap: Cap) -> str:
    return {"month": "month", "quarter": "calendar quarter", "year": "contract year", "term": "term"}[cap.per]


def _cap(cap: Cap, c: Contract) -> str:
    return f"{percent(cap.share)} of its fees" if cap.share is not None else _money(cap.amount, c)


def _months(months: tuple[int, ...]) -> str:
    return ("months " if len(months) > 1 else "month ") + ", ".join(map(str, months))


def _price(price: Price, c: Contract) -> str:
    p = price.body
    if price.kind == "fixed":
        return f"{_money(p, c)} a month"
    if price.kind == "anchored":
        wide = f" (dead band ± {percent(p.dead_band)})" if p.dead_band else ""
        return (f"{_money(p.base, c)} a month for {p.baseline:,g} contacts {p.count}{wide}, {_money(p.arc, c)} for each one above and "
                f"{_money(p.rrc, c)} less for each one below")  # fmt: skip
    if price.kind == "outcome":
        most = f", at most {_money(p.at_most, c)}" if p.at_most is not None else ""
        against = _money(p.counterfactual, c) if p.counterfactual is not None else "the counterfactual"
        return f"{percent(p.share)} of what a month costs less than {against}{most}"
    unit = {
        "per_hour": lambda: f"{p.hours.replace('_', '-')} agent-hour", "per_fte": lambda: "FTE and month",
        "per_minute": lambda: f"minute of {'handle' if p.minutes == 'handle' else 'talk'} time",
        "per_transaction": lambda: f"contact {p.count}", "per_resolution": lambda: "contact resolved",
    }[price.kind]()  # fmt: skip
    if p.tiers:
        steps = [f"{_money(t.rate, c)} {'beyond' if t.up_to is None else f'up to {t.up_to:,g}'}" for t in p.tiers]
        said = f"for each {unit}: {', '.join(steps)}"
    else:
        said = f"{_money(p.rate, c)} for each {unit}"
    if price.kind == "per_fte":
        said += (
            f", {p.fte:g} of them" if p.fte else f" ({p.hours_per_fte:g} {p.hours} hours make one)" if p.hours else ""
        )
    if price.kind == "per_resolution" and p.share_of_answered is not None:
        said += f" ({percent(p.share_of_answered)} of the answered)"
    if getattr(p, "overtime", None) is not None:
        said += f", {percent(p.overtime.premium)} more above {p.overtime.above:,g} hours a month"
    if p.minimum is not None:
        least = f"{p.minimum.quantity:,g}" if p.minimum.share is None else f"{percent(p.minimum.share)} of the forecast"
        said += f", at least for {least}"
    return said


def _target(clause: Clause) -> str:
    level, higher = clause.levels.expected, clause.higher
    strictly = {">": "more than", "<": "less than", ">=": "at least", "<=": "at most"}[clause.sense]
    who = f" of {', '.join(clause.scope.contact_types)}" if clause.scope.contact_types else ""
    metric = AUDITED.get(clause.metric) or clause.definition
    within = f" within {format_seconds(clause.within)}" if clause.within is not None else ""
    every = "over the whole term" if clause.settled_window == "all" else f"every {clause.settled_window}"
    if clause.counts_stretches:
        unit = clause.aggregation.removeprefix("share_of_")
        passing = f"{'at least' if metric.better == 'high' else 'at most'} {clause.pass_level}"
        return f"{strictly} {level} of the {unit}{who} reach {metric.title}{within} of {passing}, {every}."
    if clause.metric == "service_level":
        core = f"{strictly} {level} of the contacts{who} are answered{within}"
    elif clause.metric == "turnaround":
        core = f"{strictly} {level} of the contacts{who} are completed{within}"
    else:
        core = f"{metric.title}{who}{within.replace(' within ', ' beyond ')} is {strictly} {level}"
    how = _AGGREGATION.get(clause.aggregation)
    named = [f"{n} {v}" for n in ("minimum", "stretch") if (v := getattr(clause.levels, n)) is not None]
    del higher
    return f"{core}, {every}{f', {how}' if how else ''}{f' ({chr(44).join(named)})' if named else ''}.".replace(
        ",stretch", ", stretch"
    )


def _clause_lines(contract: Contract, name: str, clause: Clause) -> list[str]:
    lines: list[str] = []
    if clause.metric == "service_level":
        short = (
            f" (up to {format_seconds(clause.short)})"
            if clause.short is not None and "short" in (clause.counting or "")
            else ""
        )
        lines.append(
            f"Counting: {COUNTING[clause.counting]}{short}."
            if clause.counting
            else "Counting is not defined; offered is taken."
        )
    if clause.audited:
        lines.append(f"Counted by {clause.definition.booking}: {clause.definition.source}.")
    if clause.strict:
        lines.append("A wait equal to the threshold misses it.")
    if clause.hours is not None:
        lines.append(f"Only contacts of {hours_text(clause.hours)} count.")
    if clause.glide:
        steps = [f"{v} from month {m}" for m, v in sorted(clause.glide.items())]
        after = (
            f"; from then on {clause.glide[max(clause.glide)]} holds"
            if contract.months is None or max(clause.glide) < contract.months
            else ""
        )
        lines.append(f"Glide path: {', '.join(steps)}{after}; the other levels move along.")
    if clause.ratchet is not None:
        end = f", up to {clause.ratchet.up_to}" if clause.ratchet.up_to is not None else ", without end"
        lines.append(f"Every {clause.ratchet.every} months the levels tighten by {clause.ratchet.by}{end}.")
    if clause.rounding is not None:
        how = {"half-up": "to the nearest", "down": "down to", "up": "up to"}[clause.rounding_mode]
        lines.append(f"The value is rounded {how} {clause.rounding} before it is compared.")
    if clause.sample is not None:
        lines.append(f"{clause.sample.size:,} items are taken each {clause.sample.per}.")
    if clause.minimum_sample:
        lines.append(f"A window with fewer than {clause.minimum_sample:,g} is not judged.")
    said = {"exclude": "is not judged", "miss": "counts as missed, at its worst", "met": "counts as met"}
    lines.append(
        f"A window without data {said[clause.missing]}." if clause.missing else "Nothing is said of missing data."
    )
    lines += [_relief(r, clause) for r in clause.relief]
    lines += [_band(b, clause, contract) for b in clause.bands]
    lines += [_linear(x, contract) for x in clause.linear]
    if clause.per_contact is not None:
        most = (
            f", at most {_money(clause.per_contact.at_most, contract)}"
            if clause.per_contact.at_most is not None
            else ""
        )
        lines.append(
            f"Credit of {_money(clause.per_contact.credit, contract)} for every contact that misses beyond {clause.per_contact.beyond}{most}."
        )
    if not clause.has_credit and not clause.has_bonus:
        lines.append("It is reported; nothing is paid on it.")
    if clause.weight is not None:
        lines.append(f"Its weight is {percent(clause.weight)} of the pool; shares are of that allocation.")
    if clause.repeat is not None or clause.termination is not None or contract.termination is not None:
        one = "month" if clause.settled_window == "month" else f"month with a {clause.settled_window}"
        side = "below" if clause.higher else "above"
        which = getattr(clause.levels, clause.miss_name)
        lines.append(f"A missed month is a {one} {side} the {clause.miss_name} level ({which}).")
    if clause.repeat is not None:
        lines.append(
            f"From the {_nth(clause.repeat.misses)} missed month among {clause.repeat.in_months} on, credits count {clause.repeat.multiplier:g} times."
        )
    if clause.earn_back is not None:
        lines.append(_earn_back(clause))
    if clause.no_credit_months is not None and clause.no_credit_months != contract.no_credit_months:
        lines.append(f"Its first {clause.no_credit_months} months take no credit.")
    if clause.termination is not None:
        lines.append(
            f"The client may leave after {clause.termination.misses} missed months among {clause.termination.in_months}."
        )
    return lines


def _nth(number: int) -> str:
    return f"{number}{ {2: 'nd', 3: 'rd'}.get(number, 'th') }"


def _relief(relief: Relief, clause: Clause) -> str:
    c = relief.corridor
    if c is None:
        return f"Relief: the time of {_CAUSE[str(relief.cause)]} {_EFFECT[relief.effect]}."
    unit = clause.settled_window if c.by == "window" else c.by
    edges = [f"{word} {percent(v)}" for word, v in (("below", c.below), ("above", c.above)) if v is not None]
    base = (
        "of the forecast"
        if relief.volume
        else f"of {format_seconds(relief.handle_time.baseline)}"
        if relief.handle_time
        else ""
    )
    what = f"{'an' if unit == 'interval' else 'a'} {unit} whose {'volume' if relief.volume else 'average handle time'} lies {' or '.join(edges)} {base}"
    if relief.effect == "cap":
        return f"Relief: of {what} the contacts above that are left out, the worst served first."
    if relief.effect == "scale":
        return f"Relief: in {what} the levels are scaled by that edge over the actual figure."
    return f"Relief: {what} {_EFFECT[relief.effect]}."


def _condition(requires: dict[str, Level]) -> str:
    return "".join(f", if {name} reaches {level}" for name, level in requires.items())


def _band(band: Band, clause: Clause, contract: Contract) -> str:
    low, high = band.from_, band.to
    if clause.higher:
        reach = f"below {high}" if low is None else f"from {low} on" if high is None else f"from {low} to below {high}"
    else:
        reach = f"above {low}" if high is None else f"up to {high}" if low is None else f"above {low} up to {high}"
    amount = band.credit or band.bonus
    if amount is None:
        return f"{reach.capitalize()}: {band.points:g} points{_condition(band.requires)}."
    of = "" if amount.share is None else " of its allocation" if clause.weight is not None else " of the fee"
    unit = f" {contract.currency}" if amount.share is None else ""
    return (
        f"{reach.capitalize()}: {'bonus' if band.bonus else 'credit'} of {amount}{unit}{of}{_condition(band.requires)}."
    )


def _linear(part: Linear, contract: Contract) -> str:
    amount = part.credit or part.bonus
    assert amount is not None
    unit = f" {contract.currency}" if amount.share is None else ""
    each = {"continuous": "per", "full": "for each full", "started": "for each started"}[part.steps]
    side = "worse" if part.credit else "better"
    most = f", at most {part.at_most}{unit}" if part.at_most is not None else ""
    word = "Credit" if part.credit else "Bonus"
    return f"{word} of {amount}{unit} {each} {part.per} {side} than {part.beyond}{most}{_condition(part.requires)}."


def _earn_back(clause: Clause) -> str:
    rule = clause.earn_back
    assert rule is not None
    if rule.following is not None:
        when = f"{rule.level} is reached in each of the {rule.following} months after"
    else:
        when = f"the contract year on average reaches {rule.level}"
    return f"{percent(rule.share)} of a credit come back where {when}."
