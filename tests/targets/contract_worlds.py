"""Small sources whose counts are written by hand, and contracts made of a few words."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pandas as pd

import bposim as bp
from bposim.metrics import Counts


@dataclass
class Source:
    """Counts of one contact type by day (or interval), as a settlement asks for them."""

    table: Counts
    default_within_s: float = 20.0
    batch: np.ndarray = field(init=False)

    def __post_init__(self):
        self.batch = np.arange(self.table.replications)

    def counts(self, thresholds_s=()):
        return self.table

    def wait_quantiles(self, q, labels, types):
        raise AssertionError("no test of these counts asks for percentiles")


def days(start, offered, within, *, abandoned=None, handle_s=None, wait_s=None, freq="D", within_s=20, hours=24.0):
    """Return a source of daily counts: everybody queues, ``abandoned`` hang up, the others are answered."""
    offered = np.atleast_2d(np.asarray(offered, dtype=float))
    n = offered.shape[1]
    lost = np.zeros_like(offered) if abandoned is None else np.atleast_2d(np.asarray(abandoned, dtype=float))
    answered = offered - lost
    column = {
        "offered": offered, "answered": answered, "abandoned": lost, f"answered_within_s{within_s}": within,
        f"abandoned_within_s{within_s}": np.zeros_like(offered),
        "handle_sum_s": answered * (300.0 if handle_s is None else np.asarray(handle_s, dtype=float)),
        "wait_answered_sum_s": answered * (10.0 if wait_s is None else np.asarray(wait_s, dtype=float)),
    }  # fmt: skip
    contacts = {
        k: np.broadcast_to(np.asarray(v, dtype=float), offered.shape)[:, :, None].copy() for k, v in column.items()
    }
    starts = pd.date_range(start, periods=n, freq=freq, tz="UTC")
    first, last = starts[0].tz_localize(None).normalize(), starts[-1].tz_localize(None).normalize()
    return Source(Counts(starts, np.full(n, hours), ("calls",), contacts, days=(first, last)))


def month_days(month, plain, special):
    """Return a month's daily values: ``special`` by day of the month, ``plain`` on the others."""
    n = pd.Period(month).days_in_month
    return np.array([special.get(d, plain) for d in range(1, n + 1)], dtype=float)


SPEED = {"metric": "service_level", "counting": "offered", "within": "20s", "window": "month", "levels": {"expected": "80%"},
         "missing": "exclude"}  # fmt: skip


def deal(clauses, **top):
    """Return a contract of 100,000 a month unless told otherwise."""
    return bp.load_contract({"pricing": {"fixed": 100_000}, "clauses": clauses} | top)


def months(n, start="2026-01"):
    """Return so many months from one on."""
    return pd.period_range(start, periods=n, freq="M").astype(str).tolist()


def table(**columns):
    """Return a wide table by month from 2026-01 on."""
    return pd.DataFrame({"month": months(len(next(iter(columns.values()))))} | columns)


def counts_table(clause, pairs, start="2026-01", **more):
    """Return a long table of numerators and denominators."""
    frame = pd.DataFrame(pairs, columns=["numerator", "denominator"])
    return frame.assign(month=months(len(frame), start), clause=clause, **more)


def cents(values):
    """Write amounts as a ledger's ``amounts`` do."""
    from decimal import Decimal

    return [Decimal(v).quantize(Decimal("0.01")) for v in values]
