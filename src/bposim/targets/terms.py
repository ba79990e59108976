"""Words of a contract as values: levels, amounts of money or shares of a fee, ratios; and money to the cent."""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from typing import Annotated, Any

import numpy as np
from pydantic import BeforeValidator, PlainSerializer, ValidationInfo

from bposim.errors import ParameterError
from bposim.units import format_seconds, seconds

#: Levels of a clause that band edges and conditions may name.
LEVEL_NAMES = ("minimum", "expected", "stretch")
_THOUSANDS = re.compile(r"^[-+]?[1-9]\d{0,2}(,\d{3})+(\.\d+)?$")
_MONEY = re.compile(r"^\s*([-+]?[\d,]*\.?\d+)\s*([A-Z]{3})?\s*$")
CENT = Decimal("0.01")


@dataclass(frozen=True)
class Level:
    """A level of a metric, as written.

    Attributes
    ----------
    value : float
        A share of one, seconds, or a plain number; nan where a level is only named.
    unit : str
        ``"%"`` where it was written in per cent, ``"s"`` for a duration, ``""`` for a bare number.
    name : str
        ``minimum``, ``expected`` or ``stretch`` where it names a level of the clause.
    """

    value: float
    unit: str = ""
    name: str = ""

    def __str__(self) -> str:
        if self.name:
            return f"the {self.name} level"
        if self.unit == "%":
            return percent(self.value)
        return format_seconds(self.value) if self.unit == "s" else f"{self.value:.10g}"


@dataclass(frozen=True)
class Amount:
    """A share of the fee (of the clause's allocation, where it has a weight), or money."""

    share: float | None = None
    money: Decimal | None = None
    currency: str | None = None

    def __str__(self) -> str:
        return percent(self.share) if self.share is not None else f"{self.money:,}"


def percent(value: float) -> str:
    """Write a share in per cent.

    Examples
    --------
    >>> percent(0.995), percent(1.1)
    ('99.5 %', '110 %')
    """
    return f"{float(f'{100 * value:.10g}'):.10g} %"


def _decimal(text: str) -> Decimal:
    """Return a number; commas part thousands, and nothing else: ``"12,50"`` may be meant as 12.50."""
    if "," in text and not _THOUSANDS.match(text.strip()):
        raise ValueError(f"{text!r} is ambiguous: a comma parts thousands here. Write 12.50, or 1,250.")
    try:
        return Decimal(text.replace(",", "").strip())
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None


def _percent(text: str) -> float | None:
    """Return ``"77.4%"`` as the float nearest to 0.774, None for anything else."""
    stripped = text.strip()
    if not stripped.endswith("%"):
        return None
    if "," in stripped:
        raise ValueError(f"{text!r} is ambiguous: per cent take no comma. Write 2.5%.")
    return float(_decimal(stripped[:-1]) / 100)


def read_level(value: Any, info: ValidationInfo | None = None) -> Level:
    """Read ``"80%"``, ``0.8``, ``"20s"``, a number, or the name of a level.

    Examples
    --------
    >>> read_level("77.4%").value, read_level("2min").value, read_level("expected").name
    (0.774, 120.0, 'expected')
    """
    what = str(info.field_name).rstrip("_") if info is not None else "level"
    if isinstance(value, Level):
        return value
    if isinstance(value, bool) or value is None:
        raise ValueError(f'{what}={value!r} is no level. Write "80%", "20s", or the name of a level.')
    if isinstance(value, int | float):
        return Level(float(value))
    text = str(value).strip()
    if text in LEVEL_NAMES:
        return Level(float("nan"), "", text)
    share = _percent(text)
    if share is not None:
        return Level(share, "%")
    try:
        return Level(seconds(text, what=what), "s")
    except ValueError:
        raise ValueError(
            f'{what}={value!r} is no level. Write "80%", "20s", a number, or one of {", ".join(LEVEL_NAMES)}.'
        ) from None


def _level_spec(value: Level) -> Any:
    if value.name:
        return value.name
    if value.unit == "%":
        return percent(value.value).replace(" ", "")
    return format_seconds(value.value) if value.unit == "s" else value.value


def read_money(value: Any, info: ValidationInfo | None = None) -> Decimal:
    """Read an amount of money: ``2500``, ``12.5``, ``"2,500.00"``.

    Examples
    --------
    >>> read_money("2,500.00"), read_money(0.0525)
    (Decimal('2500.00'), Decimal('0.0525'))
    """
    what = str(info.field_name) if info is not None else "amount"
    if isinstance(value, Decimal):
        found = value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        found = Decimal(repr(value))
    else:
        match = _MONEY.match(str(value))
        if match is None or match[2]:
            raise ValueError(f"{what}={value!r} is no amount of money. Write 2500 or 12.50; the currency stands once.")
        found = _decimal(match[1])
    if not found.is_finite() or found < 0:
        raise ValueError(f"{what}={value!r} must be a finite amount of at least 0")
    return found


def _money_spec(value: Decimal) -> Any:
    return int(value) if value == value.to_integral_value() else float(value)


def read_amount(value: Any, info: ValidationInfo | None = None) -> Amount:
    """Read ``"2%"`` (of the fee or of the allocation) or money: ``2500``, ``"500 USD"``.

    Examples
    --------
    >>> read_amount("2%").share, read_amount(2500).money
    (0.02, Decimal('2500'))
    """
    what = str(info.field_name) if info is not None else "credit"
    if isinstance(value, Amount):
        return value
    text = str(value).strip()
    if not isinstance(value, bool) and (share := _percent(text)) is not None:
        if share < 0:
            raise ValueError(f"{what}={value!r} must be at least 0 %")
        return Amount(share=share)
    if isinstance(value, float) and 0 < value < 1:
        raise ValueError(
            f'{what}={value!r} may mean {percent(value)} or money. Write "{percent(value)}", or "{value} USD" with the currency'
        )
    match = _MONEY.match(text)
    if match is None or isinstance(value, bool):
        raise ValueError(f'{what}={value!r} is no amount. Write "2%" of the fee, or money: 2500 or "2500 USD".')
    return Amount(money=read_money(_decimal(match[1]), info), currency=match[2])


def _amount_spec(value: Amount) -> Any:
    if value.share is not None:
        return percent(value.share).replace(" ", "")
    assert value.money is not None
    return f"{value.money} {value.currency}" if value.currency else _money_spec(value.money)


def read_ratio(value: Any, info: ValidationInfo | None = None) -> float:
    """Read a ratio that may exceed one: ``"110%"`` or ``1.1``.

    Examples
    --------
    >>> read_ratio("110%")
    1.1
    """
    what = str(info.field_name) if info is not None else "ratio"
    found = _percent(str(value)) if not isinstance(value, bool) else None
    if found is None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ValueError(f'{what}={value!r} is no ratio. Write "110%" or 1.1.')
        found = float(value)
        if found > 10:
            raise ValueError(f'{what}={value!r} is a ratio of {found:g} to one. Write "{value}%"')
    if not 0 <= found < float("inf"):
        raise ValueError(f"{what}={value!r} must be a finite ratio of at least 0")
    return found


def as_percent(value: float) -> str:
    """Write a share for a file: ``"12%"``."""
    return percent(value).replace(" ", "")


LevelValue = Annotated[Level, BeforeValidator(read_level), PlainSerializer(_level_spec)]
Money = Annotated[Decimal, BeforeValidator(read_money), PlainSerializer(_money_spec)]
AmountValue = Annotated[Amount, BeforeValidator(read_amount), PlainSerializer(_amount_spec)]
Ratio = Annotated[float, BeforeValidator(read_ratio), PlainSerializer(as_percent)]


# Money to the cent ---------------------------------------------------------------------------------------------------


def to_cents(amount: Decimal) -> int:
    """Return whole cents, halves up.

    Examples
    --------
    >>> to_cents(Decimal("12.345"))
    1235
    """
    return int((amount / CENT).to_integral_value(ROUND_HALF_UP))


def round_cents(values: np.ndarray) -> np.ndarray:
    """Round cents to whole ones, halves up; the noise of a product (250.4999999999 for 250.5) is none.

    Examples
    --------
    >>> round_cents(np.array([0.025 * 10020, 1.49])).tolist()
    [251, 1]

    Raises
    ------
    ParameterError
        An amount is missing or infinite.
    """
    if not np.isfinite(values).all():
        raise ParameterError(
            f"{int((~np.isfinite(values)).sum())} of {np.size(values)} amounts are no numbers, and money is whole cents. Give "
            "every figure that they are computed from."
        )
    return np.floor(values + 0.5 + 1e-6).astype(np.int64)


def from_cents(cents: int) -> Decimal:
    """Return an amount of money of whole cents.

    Examples
    --------
    >>> from_cents(1700000)
    Decimal('17000.00')
    """
    return Decimal(int(cents)).scaleb(-2)
