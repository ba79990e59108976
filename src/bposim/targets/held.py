"""Months that a source holds whole, in part or not, and what fee and wages of a part come to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics import Counts, window_shares
from bposim.targets.contract import Contract
from bposim.targets.pricing import price_cents
from bposim.targets.terms import from_cents, to_cents

#: Pricing models of which a month's whole fee is due whatever was counted in it.
_BY_MONTH = ("fixed", "per_fte")


def months_held(counts: Counts) -> tuple[pd.DatetimeIndex, dict[pd.Timestamp, int], bool]:
    """Return every month from the first whole one to the last, the days held of cut ones, and whether no month is whole.

    Where none is whole, the months are the parts.
    """
    share = window_shares(counts, "month")
    labels = pd.DatetimeIndex(share.index)
    zone_free = labels.tz_localize(None)
    whole = (share == 1).to_numpy()
    parts = not whole.any()
    found = labels if parts else labels[whole]
    cut = {m: round(float(s) * m.days_in_month) for m, s in zip(zone_free, share, strict=True) if s < 1}
    return pd.date_range(found.min(), found.max(), freq="MS"), cut, parts


def cut_quarter_notes(name: str, held: pd.DatetimeIndex, months: pd.DatetimeIndex) -> list[str]:
    """Return notes on the quarters of a clause of which a table by month, or the term, holds a part."""
    starts = months.to_period("Q").unique().to_timestamp()
    ends = starts + pd.DateOffset(months=2)
    source = (starts < held[0]) | (ends > held[-1])
    term = ~source & ((starts < months[0]) | (ends > months[-1]))
    return [
        *cut_window_notes(name, "quarter", starts[source]),
        *cut_window_notes(name, "quarter", starts[term], "term"),
    ]


def cut_window_notes(name: str, window: str, starts: pd.DatetimeIndex, by: str = "source") -> list[str]:
    """Return a note on the weeks or quarters of a clause that are not judged because the source (the term) holds a part of them."""
    if not len(starts):
        return []
    said = ", ".join(f"{t:%Y-%m-%d}" for t in starts[:4]) + (", …" if len(starts) > 4 else "")
    many = f"{window}s" if len(starts) > 1 else window
    return [
        f"Clause {name!r}: the {many} from {said} {'are' if len(starts) > 1 else 'is'} not judged: the {by} holds a part only."
    ]


def cut_notes(months: pd.DatetimeIndex, cut: Mapping[pd.Timestamp, int]) -> list[str]:
    """Return a note on the months that are left out because the source holds a part of them."""
    out = [f"{m:%Y-%m} ({n} of {m.days_in_month} days)" for m, n in cut.items() if m not in months]
    return [f"Left out, since the source holds a part of them only: {', '.join(out)}."] if out else []


def part_notes(contract: Contract, months: pd.DatetimeIndex, cut: Mapping[pd.Timestamp, int], wages: bool) -> list[str]:
    """Return notes on the fee of whole months that stands against a part: a contract says nothing of sharing it out.

    Parameters
    ----------
    wages : bool
        Whether the cost is that of the days held, and not given for the month.
    """
    inside = {m: n for m, n in cut.items() if m in months}
    said = ", ".join(f"{n} of {m.days_in_month} days of {m:%Y-%m}" for m, n in inside.items())
    notes = [f"The source holds no whole month: the ledger is of the parts it holds ({said})."]
    fee = sum(int(price_cents(p, {}, (1, 1))[0, 0]) for p in contract.pricing if p.kind in _BY_MONTH and not p.needs)
    fee = max(fee, 0 if contract.minimum_billing is None else to_cents(contract.minimum_billing))
    if fee:
        over = from_cents(round(sum(fee * (1 - n / m.days_in_month) for m, n in inside.items())))
        whole = f"The fee of a whole month ({from_cents(fee):,} {contract.currency})"
        if wages:
            notes.append(
                f"{whole} stands against the wages of {said}: the margin is overstated by about {over:,.0f} {contract.currency}. "
                "Simulate whole months."
            )
        else:
            notes.append(f"{whole} stands for {said}; {over:,.0f} {contract.currency} of it are for the days not held.")
    if any(
        p.kind == "anchored" or getattr(p.body, "tiers", ()) or getattr(p.body, "minimum", None)
        for p in contract.pricing
    ):
        notes.append(f"Baselines, tiers and minimums of a month are laid against the quantities of {said}.")
    return notes


def has_wages(source: Any) -> bool:
    """Tell whether a source knows what its agents cost."""
    scenario = getattr(source, "scenario", None)
    return scenario is not None and any(g.cost_per_hour > 0 for g in scenario.agent_groups.values())


def unpaid_groups(contract: Contract, source: Any) -> list[str]:
    """Return a note on groups that work without a cost beside others that have one: the margin takes them as free."""
    if not has_wages(source) or not contract.pricing:
        return []
    scenario = source.scenario
    free = [
        n for n, g in scenario.agent_groups.items() if not g.cost_per_hour > 0 and np.any(scenario.scheduled_heads(n))
    ]
    if not free:
        return []
    return [
        f"Agent groups without cost_per_hour are taken as free, and the margin is too high by their wages: {', '.join(free)}. Write "
        "cost_per_hour, or give costs=."
    ]
