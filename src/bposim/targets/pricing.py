"""Pricing models: what a month's service costs the client before credits and bonuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from pydantic import Field

from bposim.errors import ParameterError
from bposim.scenario.fields import Model, Share
from bposim.targets.terms import Money, Ratio, round_cents

#: Quantities of a month that a pricing model may need, and what they are.
QUANTITIES: dict[str, str] = {
    "offered": "contacts offered",
    "answered": "contacts answered",
    "handle_minutes": "minutes of talk, hold and after-contact work",
    "talk_minutes": "minutes of talk and hold",
    "scheduled_hours": "scheduled agent-hours (heads × time)",
    "on_duty_hours": "scheduled agent-hours less shrinkage",
    "working_hours": "agent-hours present, the end of a contact after the shift included",
    "busy_hours": "agent-hours on contacts",
    "paid_hours": "paid agent-hours",
    "fte": "full-time equivalents",
    "resolved": "contacts resolved",
    "counterfactual": "what it would have cost without the service (money)",
    "actual": "what it did cost (money)",
}
HourKind = Literal["paid", "scheduled", "on_duty", "working", "busy"]
Quantities = Mapping[str, np.ndarray]


class Tier(Model):
    """A band of the month's quantity with its own rate; the last one is open."""

    up_to: float | None = Field(default=None, gt=0)
    rate: Money


class Minimum(Model):
    """Least quantity billed: so many a month, or a share of what was forecast (locked)."""

    quantity: float | None = Field(default=None, ge=0)
    share: Ratio | None = None


class PerUnit(Model):
    """A rate, or rates by tier, on a quantity; with a minimum where there is one."""

    rate: Money | None = None
    tiers: tuple[Tier, ...] = ()
    minimum: Minimum | None = None


class Overtime(Model):
    """Hours above so many a month cost a premium on the rate."""

    above: float = Field(ge=0)
    premium: Share


class PerHour(PerUnit):
    """Per agent-hour: the client bears volume and handle-time risk."""

    hours: HourKind = "paid"
    overtime: Overtime | None = None


class PerFte(PerUnit):
    """Per FTE and month: a fixed number, or hours over the hours that make one."""

    fte: float | None = Field(default=None, gt=0)
    hours: HourKind | None = None
    hours_per_fte: float | None = Field(default=None, gt=0)


class PerMinute(PerUnit):
    """Per minute handled: the client bears the handle-time risk."""

    minutes: Literal["handle", "talk"] = "handle"


class PerTransaction(PerUnit):
    """Per contact: the provider bears handle-time and volume-shape risk."""

    count: Literal["answered", "offered"] = "answered"


class PerResolution(PerUnit):
    """Per contact resolved: counted, or a fixed share of the answered."""

    share_of_answered: Share | None = None


class Anchored(Model):
    """A base fee for a baseline volume; beyond the dead band extra contacts are charged and missing ones credited."""

    base: Money
    baseline: float = Field(gt=0)
    dead_band: Share = 0.0
    arc: Money
    rrc: Money
    count: Literal["answered", "offered"] = "offered"


class Outcome(Model):
    """A share of what was saved against the counterfactual, never below zero."""

    share: Share
    counterfactual: Money | None = None
    at_most: Money | None = None


class Surcharge(Model):
    """A fixed amount in named contract months (ramp, training); invoiced, and no part of the fee at risk."""

    name: str
    amount: Money
    months: tuple[int, ...] = Field(min_length=1)


class Price(Model):
    """One pricing model; a contract's list of them is a hybrid, their fees added."""

    fixed: Money | None = None
    per_hour: PerHour | None = None
    per_fte: PerFte | None = None
    per_minute: PerMinute | None = None
    per_transaction: PerTransaction | None = None
    per_resolution: PerResolution | None = None
    anchored: Anchored | None = None
    outcome: Outcome | None = None

    @property
    def kind(self) -> str:
        """Name of the model."""
        return next(n for n in type(self).model_fields if getattr(self, n) is not None)

    @property
    def body(self) -> Any:
        """The model's own words."""
        return getattr(self, self.kind)

    @property
    def quantity(self) -> str | None:
        """Quantity that is billed, None where there is none."""
        p = self.body
        match self.kind:
            case "per_hour":
                return f"{p.hours}_hours"
            case "per_fte":
                return None if p.fte is not None else "fte" if p.hours is None else f"{p.hours}_hours"
            case "per_minute":
                return f"{p.minutes}_minutes"
            case "per_transaction" | "anchored":
                return str(p.count)
            case "per_resolution":
                return "resolved" if p.share_of_answered is None else "answered"
        return None

    @property
    def needs(self) -> tuple[str, ...]:
        """Every quantity that the fee is computed from."""
        if self.kind == "outcome":
            return ("actual",) if self.body.counterfactual is not None else ("counterfactual", "actual")
        found = () if self.quantity is None else (self.quantity,)
        minimum = getattr(self.body, "minimum", None)
        return (*found, f"forecast_{self.quantity}") if minimum is not None and minimum.share is not None else found


def price_cents(price: Price, quantities: Quantities, shape: tuple[int, int]) -> np.ndarray:
    """Return a pricing model's fee by replication and month, whole cents.

    Parameters
    ----------
    price : Price
    quantities : mapping of name to ndarray, shape (n_replications or 1, n_months)
    shape : (n_replications, n_months)

    Examples
    --------
    >>> hourly = Price(per_hour={"rate": 20, "hours": "paid", "minimum": {"quantity": 100}})
    >>> price_cents(hourly, {"paid_hours": np.array([[90.0, 160.0]])}, (1, 2)).tolist()
    [[200000, 320000]]
    """
    p = price.body
    if price.kind == "fixed":
        return np.full(shape, round_cents(np.array(float(p) * 100)), dtype=np.int64)
    if price.kind == "outcome":
        would = quantities["counterfactual"] if p.counterfactual is None else np.full(shape, float(p.counterfactual))
        fee = p.share * np.maximum(would - quantities["actual"], 0.0)
        fee = np.minimum(fee, float(p.at_most)) if p.at_most is not None else fee
    elif price.kind == "anchored":
        q, wide = quantities[p.count], p.baseline * p.dead_band
        more, less = np.maximum(q - (p.baseline + wide), 0.0), np.maximum(p.baseline - wide - q, 0.0)
        fee = float(p.base) + float(p.arc) * more - float(p.rrc) * less
    else:
        q = np.full(shape, p.fte) if price.quantity is None else quantities[price.quantity]
        fee = _by_rate(price, _billed(price, q, quantities))
    if np.isnan(fee).any():
        raise ParameterError(
            f"the fee {price.kind} cannot be computed in {int(np.isnan(fee).any(axis=0).sum())} of {shape[1]} months: "
            f"{', '.join(_unknown(price, quantities))} is not known there. Give quantities=, or leave these months out."
        )
    return np.broadcast_to(round_cents(fee * 100), shape)


def _unknown(price: Price, quantities: Quantities) -> list[str]:
    return [n for n in price.needs if n not in quantities or np.isnan(quantities[n]).any()]


def _billed(price: Price, quantity: np.ndarray, quantities: Quantities) -> np.ndarray:
    p, each = price.body, 1.0
    if price.kind == "per_fte" and p.hours is not None:
        each = 1 / p.hours_per_fte
    if price.kind == "per_resolution" and p.share_of_answered is not None:
        each = p.share_of_answered
    quantity = quantity * each
    if p.minimum is None:
        return quantity
    if p.minimum.share is None:
        return np.maximum(quantity, p.minimum.quantity)
    return np.maximum(quantity, p.minimum.share * quantities[f"forecast_{price.quantity}"] * each)


def _by_rate(price: Price, quantity: np.ndarray) -> np.ndarray:
    p = price.body
    if not p.tiers:
        fee = float(p.rate) * quantity
        overtime = getattr(p, "overtime", None)
        if overtime is not None:
            fee = fee + float(p.rate) * overtime.premium * np.maximum(quantity - overtime.above, 0.0)
        return fee
    fee, below = np.zeros_like(quantity, dtype=float), 0.0
    for tier in p.tiers:
        top = np.inf if tier.up_to is None else tier.up_to
        fee = fee + float(tier.rate) * np.clip(quantity - below, 0.0, top - below)
        below = top
    return fee
