"""A contract: pricing, money at risk, and clauses; frozen, read from a file, read back as sentences."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal

import pandas as pd
from pydantic import BeforeValidator, Field, PrivateAttr

from bposim.errors import ParameterError
from bposim.scenario.fields import Duration, Hours, Model, Share
from bposim.scenario.models import dump
from bposim.scenario.target import Target
from bposim.scenario.written import Written
from bposim.targets.clauses import Clause, Termination, _listed
from bposim.targets.pricing import Price, Surcharge
from bposim.targets.terms import Money, Ratio

if TYPE_CHECKING:
    from bposim.targets.lint import Lint


class Cap(Model):
    """Most that may be taken (or paid) in a stretch of time: a share of its fees, or money."""

    share: Share | None = None
    amount: Money | None = None
    per: Literal["month", "quarter", "year", "term"] = "month"


class PointsStep(Model):
    """From so many points in a month on, this share of the month's fee is credited."""

    points: float = Field(gt=0)
    credit: Share


class Contract(Written):
    """What was agreed: parties, money, clauses.

    Frozen: ``replace()`` gives a changed copy. Made by :func:`load_contract`, which checks everything.

    Attributes
    ----------
    pricing : tuple of Price
        Their fees are added. Empty: nothing is invoiced, and credits that are shares of a fee are refused.
    at_risk : float or None
        Share of the month's fee that weighted clauses share out.
    allocation : float
        How far the weights may overbook the amount at risk: a clause's pool is weight × allocation × at risk × fee.
    cap : Cap or None
        None: the amount at risk of each month, where there is one.
    margin : float or None
        The provider's margin as a share of the fee, for ``lint()``.
    volumes : mapping of contact type to float
        Expected contacts a month: what a monthly corridor is laid around where no forecast is given.
    """

    schema_: Literal["bposim/contract/1"] = Field(default="bposim/contract/1", alias="schema")
    name: str = Field(default="contract", pattern=r"^[\w][\w .\-]*$")
    version: Annotated[str | None, BeforeValidator(lambda v: None if v is None else str(v))] = None
    owner: str | None = None
    client: str | None = None
    provider: str | None = None
    currency: str = Field(default="EUR", pattern=r"^[A-Z]{3}$")
    start: date | None = None
    months: int | None = Field(default=None, ge=1)
    interval: Duration = 1800.0
    hours: Hours | None = None
    closed: tuple[date, ...] = ()
    volumes: dict[str, float] = Field(default_factory=dict)
    pricing: Annotated[tuple[Price, ...], BeforeValidator(_listed)] = ()
    minimum_billing: Money | None = None
    surcharges: tuple[Surcharge, ...] = ()
    margin: Share | None = None
    at_risk: Share | None = None
    allocation: Ratio = 1.0
    cap: Cap | None = None
    bonus_cap: Cap | None = None
    points: tuple[PointsStep, ...] = ()
    no_credit_months: int = Field(default=0, ge=0)
    termination: Termination | None = None
    review_every: int | None = Field(default=None, ge=1)
    clauses: Annotated[dict[str, Clause], Field(min_length=1)]
    assumptions: tuple[str, ...] = ()
    _place: Any = PrivateAttr(default=None)

    def where(self, path: tuple[str | int, ...]) -> str:
        """Return a place in the contract: its path, and file and line where it was read from one."""
        found = "" if self._place is None else self._place(path)
        return f"{'.'.join(map(str, path))} {found}".strip() if ":" in found else ".".join(map(str, path))

    @cached_property
    def canonical(self) -> dict[str, Any]:
        """Plain values in fixed order, defaults left out."""
        return dump(self)

    @property
    def credit_cap(self) -> Cap | None:
        """The cap on credits: as written, or the amount at risk of each month."""
        return self.cap or (None if self.at_risk is None else Cap(share=self.at_risk))

    def grace(self, clause: str) -> int:
        """Return how many months of the contract a clause takes no credit."""
        own = self.clauses[clause].no_credit_months
        return self.no_credit_months if own is None else own

    def replace(self, changes: dict[str, Any] | None = None, /, **named: Any) -> Contract:
        """Return a checked copy with other values.

        Parameters
        ----------
        changes : mapping, optional
            Dotted paths to values: ``{"clauses.speed.levels.expected": "85%"}``. None removes a key.
        **named
            The same with ``__`` for the dot: ``clauses__speed__within="30s"``.

        Raises
        ------
        ScenarioError
            The result is no contract.
        """
        from bposim.targets.contract_file import changed

        return changed(self, dict(changes or {}) | {k.replace("__", "."): v for k, v in named.items()})

    def targets(self) -> list[Target]:
        """Return the clauses that a simulation can be asked about, as targets at their expected level."""
        found = []
        for clause in self.clauses.values():
            try:
                found.append(clause.target())
            except ParameterError:
                continue
        return found

    def lint(self, history: Any = None, *, margin: float | None = None) -> Lint:
        """Return the faults of good practice that the contract has: ``id, where, sentence, way_out``.

        Parameters
        ----------
        history : History, SimulationResult or monthly table, optional
            What the operation has shown it can do: targets above it are found. It also tells contacts per interval.
        margin : float, optional
            The provider's margin as a share of the fee; None takes the contract's own.
        """
        from bposim.targets.lint import lint

        return lint(self, history, margin)

    def describe(self) -> str:
        """Return the contract as plain sentences."""
        from bposim.targets.spoken import describe

        return describe(self)

    def summary(self) -> pd.DataFrame:
        """Return a row for each clause: ``clause, metric, minimum, expected, stretch, window, counting, relief, weight``."""
        rows = []
        for name, c in self.clauses.items():
            levels = {
                n: (None if (v := getattr(c.levels, n)) is None else v.value)
                for n in ("minimum", "expected", "stretch")
            }
            relief = ", ".join(f"{r.kind}: {r.effect}" for r in c.relief)
            rows.append({"clause": name, "metric": c.metric, **levels, "window": c.settled_window, "counting": c.counting,
                         "relief": relief, "weight": c.weight})  # fmt: skip
        return pd.DataFrame(rows)

    def __repr__(self) -> str:
        priced = " + ".join(p.kind for p in self.pricing) or "no pricing"
        return f"Contract({self.name!r}: {len(self.clauses)} clauses, {priced}, {self.currency}, {self.hash})"

    def __str__(self) -> str:
        return self.describe()

    def _repr_html_(self) -> str:
        import html

        lines = "".join(f"<li>{html.escape(line.strip())}</li>" for line in self.describe().splitlines()[1:])
        return f"<p><b>{html.escape(self.name)}</b></p><ul>{lines}</ul>"
