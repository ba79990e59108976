"""Faults of levels, bands and shares that are settled as written and can hardly be meant."""

from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise

from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.terms import Level, percent

#: Fault, sentence, way out.
Said = tuple[str, str, str]


def of_terms(name: str, clause: Clause) -> Iterable[Said]:
    """Look at a clause's glide path, bands and credits."""
    if clause.glide:
        last = max(clause.glide)
        step, expected = clause.glide[last], clause.levels.expected
        if step.value != expected.value:
            easier = (step.value < expected.value) == clause.higher
            yield (
                "glide-off-target",
                f"Clause {name!r}: from month {last} on its glide path holds {step} for good, {'easier' if easier else 'harder'} than the "
                f"expected {expected}, which never applies; minimum, stretch and edges stay moved by as much.",
                f"Let the glide path end at {expected}, or expect {step}.",
            )
    for low, high in _holes(clause):
        yield (
            "band-hole",
            f"Clause {name!r} has no band from {low} to {high}: a result there costs nothing, worse and better ones do.",
            "Let one band end where the next begins.",
        )
    if clause.weight is not None:
        most = [b.credit for b in clause.bands] + [
            x.at_most if x.at_most is not None else None for x in clause.linear if x.credit
        ]
        high_ = max((a.share for a in most if a is not None and a.share is not None), default=0.0)
        if high_ > 1:
            yield (
                "credit-above-allocation",
                f"Clause {name!r} takes {percent(high_)} of its allocation; the settlement takes no more than the whole of it.",
                "Write at most 100%, or a higher weight.",
            )


def _holes(clause: Clause) -> Iterable[tuple[Level, Level]]:
    """Return the gaps between bands of credit (points): on both sides something is due, between them nothing."""
    if clause.linear or clause.per_contact is not None:
        return
    costly = [
        (-math.inf if b.from_ is None else clause.level(b.from_), math.inf if b.to is None else clause.level(b.to), b)
        for b in clause.bands if b.bonus is None
    ]  # fmt: skip
    for (_, end, a), (begin, _, b) in pairwise(sorted(costly, key=lambda x: x[0])):
        if end < begin and a.to is not None and b.from_ is not None:
            yield a.to, b.from_


def of_pool(contract: Contract) -> Iterable[Said]:
    """Look at how the amount at risk is shared out, and at its cap."""
    if contract.at_risk is None:
        return
    weights = {n: c.weight for n, c in contract.clauses.items() if c.weight is not None}
    total = round(sum(weights.values()), 9)
    if weights and total * contract.allocation < 1 - 1e-9:
        yield (
            "weights-below-pool",
            f"The weights add up to {percent(total)}: {percent(round(1 - total * contract.allocation, 9))} of the pool at risk can never be taken.",
            "Bring them up to 100%, or put less at risk.",
        )
    cap = contract.cap
    if cap is not None and cap.share is not None and cap.per == "month" and cap.share < contract.at_risk:
        yield (
            "cap-below-risk",
            f"Credits are capped at {percent(cap.share)} of the month's fee, and {percent(contract.at_risk)} are at risk: that much "
            "is never taken.",
            f"Put {percent(cap.share)} at risk, or raise the cap.",
        )
