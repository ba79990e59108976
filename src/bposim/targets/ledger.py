"""The ledger: what each month was measured at, what relieved it, and what was paid."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter
from bposim.metrics import ratio_interval
from bposim.metrics.intervals import pool_batches
from bposim.provenance import Provenance
from bposim.targets.contract import Contract
from bposim.targets.core import MET, MISSED, STATUS, Judged, by_month
from bposim.targets.months import Settled
from bposim.targets.terms import from_cents

#: Columns of money of the monthly frame, in the order in which they become the margin.
ITEMS = ("fee", "surcharges", "credit_before_cap", "credit", "bonus", "earn_back", "invoice", "cost", "margin")
#: Line of the credits that come from the table of points.
POINTS = "points"


@dataclass(frozen=True, eq=False, repr=False)
class Ledger:
    """What a contract comes to, month by month. Made by :func:`settle`.

    Money is kept in whole cents; frames show it as numbers of two decimals, :meth:`amounts` and :meth:`total` as
    :class:`~decimal.Decimal`.

    Attributes
    ----------
    contract : Contract
    months : DatetimeIndex
    contract_month : ndarray of int
        Month of the contract that each month counts as.
    judged : mapping of clause to Judged
        Windows, levels and status behind every line.
    settled : Settled
        Money in cents by replication, month and clause.
    parts : mapping of str to ndarray
        What the fee is made of, cents: pricing models, what lifts them to the minimum.
    notes : tuple of str
    provenance : Provenance
    """

    contract: Contract
    months: pd.DatetimeIndex
    contract_month: np.ndarray
    judged: dict[str, Judged]
    settled: Settled
    parts: dict[str, np.ndarray]
    surcharges: np.ndarray
    costs: np.ndarray | None
    batch: np.ndarray
    notes: tuple[str, ...]
    provenance: Provenance

    @property
    def replications(self) -> int:
        """Number of replications; 1 for a history or a table."""
        return self.settled.fee.shape[0]

    @property
    def clauses(self) -> tuple[str, ...]:
        """Names of the lines of a month: the clauses, and ``points`` where there is a table of points."""
        return (*self.contract.clauses, *((POINTS,) if self.contract.points else ()))

    @cached_property
    def _money(self) -> dict[str, np.ndarray]:
        s = self.settled
        credit, bonus, back = (x.sum(axis=2) for x in (s.applied, s.bonus, s.earned_back))
        invoice = s.fee + self.surcharges - credit + bonus + back
        found = {"fee": s.fee, "surcharges": self.surcharges, "credit_before_cap": s.credit.sum(axis=2), "credit": credit,
                 "bonus": bonus, "earn_back": back, "invoice": invoice}  # fmt: skip
        if self.costs is not None:
            found |= {"cost": self.costs, "margin": invoice - self.costs}
        return found

    def cents(self, item: str, clause: str | None = None) -> np.ndarray:
        """Return an item of money in whole cents, shape (n_replications, n_months).

        Parameters
        ----------
        item : str
            ``fee, surcharges, credit_before_cap, credit, bonus, earn_back, invoice, cost`` or ``margin``.
        clause : str, optional
            Credits, bonuses and earn-backs of one clause only.

        Raises
        ------
        ParameterError
            There is no such item or clause, or the cost is not known.
        """
        if clause is None:
            if item not in ITEMS:
                raise ParameterError(parameter("item", "the ledger", f"one of {', '.join(ITEMS)}", item))
            if item not in self._money:
                raise ParameterError(
                    f"{item} is not known: the provider's cost was not given. Write settle(…, costs=…)."
                )
            return self._money[item]
        table = {"credit_before_cap": self.settled.credit, "credit": self.settled.applied, "bonus": self.settled.bonus,
                 "earn_back": self.settled.earned_back}  # fmt: skip
        if item not in table:
            raise ParameterError(parameter("item", "the ledger", f"one of {', '.join(table)} for a clause", item))
        if clause not in self.clauses:
            raise ParameterError(parameter("clause", "the ledger", f"one of {', '.join(self.clauses)}", clause))
        return table[item][:, :, self.clauses.index(clause)]

    def amounts(self, item: str, clause: str | None = None, *, replication: int = 0) -> list[Decimal]:
        """Return an item of every month, to the cent; arguments as in :meth:`cents`."""
        return [from_cents(c) for c in self.cents(item, clause)[replication]]

    def total(self, item: str, clause: str | None = None, *, replication: int = 0) -> Decimal:
        """Return an item over all months, to the cent; arguments as in :meth:`cents`."""
        return from_cents(int(self.cents(item, clause)[replication].sum()))

    # Frames ----------------------------------------------------------------------------------------------------------

    @cached_property
    def frame(self) -> pd.DataFrame:
        """One row for each replication and month.

        ``replication, month, contract_month, fee, surcharges, credit_before_cap, cap, credit, bonus, earn_back, invoice,
        cost, margin, points, misses, termination``; ``cap`` is what was left to take (missing without a cap), ``misses``
        the clauses missed.
        """
        r, n = self.settled.fee.shape
        table: dict[str, Any] = {
            "replication": np.repeat(np.arange(r), n),
            "month": self.months[np.tile(np.arange(n), r)],
            "contract_month": np.tile(self.contract_month, r),
        }
        for item in ITEMS:
            known = item in self._money
            table[item] = (self._money[item] / 100).reshape(-1) if known else np.full(r * n, np.nan)
            if item == "credit_before_cap":
                cap = self.settled.cap.reshape(-1)
                table["cap"] = np.where(cap < 0, np.nan, cap / 100)
        table["points"] = self.settled.points.reshape(-1)
        table["misses"] = self.settled.missed.sum(axis=2).reshape(-1)
        table["termination"] = self.settled.termination.reshape(-1)
        return pd.DataFrame(table)

    @cached_property
    def lines(self) -> pd.DataFrame:
        """One row for each replication, month and clause, with the counts behind it.

        ``replication, month, clause, metric, value, numerator, denominator, excluded, level, status, windows,
        windows_missed, multiplier, credit_before_cap, credit, bonus, earn_back``. ``value`` and ``level`` are of the window
        that ends in the month; missing where several do (see :attr:`windows`) or none does.
        """
        return self._line_table()

    def _line_table(self) -> pd.DataFrame:
        s, (r, n) = self.settled, self.settled.fee.shape
        frames = []
        for k, name in enumerate(self.clauses):
            table: dict[str, Any] = {
                "replication": np.repeat(np.arange(r), n), "month": self.months[np.tile(np.arange(n), r)], "clause": name,
            }  # fmt: skip
            if name in self.judged and name in self.contract.clauses:
                table |= _counts_by_month(self.judged[name], self.contract.clauses[name].metric, n)
            else:
                blank = np.full(r * n, np.nan)
                table |= {"metric": "points", "value": s.points.reshape(-1), "numerator": blank, "denominator": blank,
                          "excluded": blank, "level": blank, "status": "", "windows": 0, "windows_missed": 0}  # fmt: skip
            table["multiplier"] = s.multiplier[:, :, k].reshape(-1)
            for column, values in (("credit_before_cap", s.credit), ("credit", s.applied), ("bonus", s.bonus), ("earn_back", s.earned_back)):  # fmt: skip
                table[column] = values[:, :, k].reshape(-1) / 100
            frames.append(pd.DataFrame(table))
        found = pd.concat(frames, ignore_index=True)
        order = np.arange(len(found)).reshape(len(self.clauses), r * n).T.reshape(-1)
        return found.iloc[order].reset_index(drop=True)

    @cached_property
    def windows(self) -> pd.DataFrame:
        """One row for each replication, clause and window, as compared.

        ``replication, clause, window_start, month, value, compared, numerator, denominator, excluded, level, status,
        credit_share, credit_money, bonus_share, bonus_money, points``: amounts before weights, multipliers and cap.
        """
        frames = []
        for name, j in self.judged.items():
            w, (r, n) = j.windows, j.windows.value.shape
            flat = {"value": w.value, "compared": j.compared, "numerator": w.top, "denominator": w.bottom, "excluded": w.excluded,
                    "level": j.level}  # fmt: skip
            money = {"credit_share": j.share, "credit_money": j.money / 100, "bonus_share": j.bonus_share,
                     "bonus_money": j.bonus_money / 100, "points": j.points}  # fmt: skip
            starts = w.starts.tz_localize(None) if w.starts.tz is not None else w.starts
            table: dict[str, Any] = {
                "replication": np.repeat(np.arange(r), n), "clause": name, "window_start": starts[np.tile(np.arange(n), r)],
                "month": self.months[w.month][np.tile(np.arange(n), r)],
                **{key: np.asarray(values, dtype=float).reshape(-1) for key, values in flat.items()},
                "status": np.array(STATUS, dtype=object)[j.status.reshape(-1)],
                **{key: values.reshape(-1) for key, values in money.items()},
            }  # fmt: skip
            frames.append(pd.DataFrame(table))
        return pd.concat(frames, ignore_index=True)

    def summary(self, confidence: float = 0.95) -> pd.DataFrame:
        """Return totals over the months: ``item, clause, mean, ci_low, ci_high, p05, p50, p95``.

        Money first; then ``months_missed`` by clause, ``months_capped`` and ``termination`` (1 where the client may leave in any
        month). Of a simulation the mean over the replications with its interval, and quantiles; of a history what it is.
        """
        s = self.settled
        rows: list[tuple[str, str, np.ndarray]] = [
            (item, "", self._money[item].sum(axis=1) / 100) for item in ITEMS if item in self._money
        ]
        for k, name in enumerate(self.clauses):
            for item, values in (("credit", s.applied), ("bonus", s.bonus)):
                rows.append((item, name, values[:, :, k].sum(axis=1) / 100))
            if name in self.contract.clauses:
                rows.append(("months_missed", name, s.missed[:, :, k].sum(axis=1).astype(float)))
        rows.append(("months_capped", "", (s.credit.sum(axis=2) > s.applied.sum(axis=2)).sum(axis=1).astype(float)))
        rows.append(("termination", "", s.termination.any(axis=1).astype(float)))
        return pd.DataFrame(
            [(item, clause, *_spread_of(values, self.batch, confidence)) for item, clause, values in rows],
            columns=["item", "clause", "mean", "ci_low", "ci_high", "p05", "p50", "p95"],
        )

    # Faces -----------------------------------------------------------------------------------------------------------

    def plot(self, ax: Any = None) -> Any:
        """Draw credits, bonuses and earn-backs by month (of a simulation: mean and 5 to 95 % of the credits); returns ``ax``."""
        from bposim.targets.ledger_plots import plot_ledger

        return plot_ledger(self, ax)

    def _headline(self) -> str:
        n = len(self.months)
        span = f"{self.months[0]:%Y-%m}" + (f" to {self.months[-1]:%Y-%m}" if n > 1 else "")
        many = f", {self.replications} replications, means" if self.replications > 1 else ""
        return f"Ledger of {self.contract.name!r}: {n} months, {span}{many}, {self.contract.currency}"

    def _by_month(self) -> pd.DataFrame:
        shown = ["fee", "surcharges", "credit_before_cap", "credit", "bonus", "earn_back", "invoice", "margin"]
        keep = [c for c in shown if c in self._money and (self._money[c].any() or c in ("fee", "credit", "invoice"))]
        table = pd.DataFrame({c: self._money[c].mean(axis=0) / 100 for c in keep}, index=self.months.strftime("%Y-%m"))
        table.loc["total"] = table.sum()
        return table

    def __repr__(self) -> str:
        table = self._by_month()
        if len(table) > 25:
            table = pd.concat([table.iloc[:12], table.tail(1)])
        lines = [self._headline(), table.to_string(float_format=lambda x: f"{x:,.2f}")]
        missed = self.settled.missed.mean(axis=0)
        said = [
            f"{name} {missed[:, k].sum():.3g}" for k, name in enumerate(self.contract.clauses) if missed[:, k].sum() > 0
        ]
        lines.append(f"Months missed: {', '.join(said) or 'none'}")
        share = float(self.settled.termination.any(axis=1).mean())
        if share:
            lines.append(
                "The client may terminate." if self.replications == 1 else f"P(the client may terminate) {share:.3f}"
            )
        return "\n".join([*lines, *(f"Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return f"<p>{self._headline()}</p>{self._by_month().to_html(float_format=lambda x: f'{x:,.2f}')}"


def _counts_by_month(j: Judged, metric: str, n: int) -> dict[str, Any]:
    w = j.windows
    how_many = np.bincount(w.month, minlength=n)
    one = how_many == 1

    def single(values: np.ndarray) -> np.ndarray:
        known = np.where(np.isnan(values), 0.0, values)
        return np.where(
            one & (by_month((~np.isnan(values)).astype(float), w.month, n) > 0), by_month(known, w.month, n), np.nan
        )

    def added(values: np.ndarray) -> np.ndarray:
        known = ~np.isnan(values)
        total = by_month(np.where(known, values, 0.0), w.month, n)
        return np.where(by_month(known.astype(float), w.month, n) > 0, total, np.nan)

    code = by_month(j.status.astype(float), w.month, n).astype(int)
    worst = by_month((j.status == MISSED).astype(float), w.month, n)
    # Of several windows: missed with one that is, met with one compared, else what most of them are.
    often = np.stack([by_month((j.status == k).astype(float), w.month, n) for k in range(len(STATUS))])
    several = np.where(worst > 0, MISSED, np.where(often[MET] > 0, MET, often.argmax(axis=0)))
    status = np.where(how_many == 0, "", np.array(STATUS, dtype=object)[np.where(one, code, several)])
    r = len(w.value)
    return {
        "metric": metric, "value": single(w.value).reshape(-1), "numerator": added(w.top).reshape(-1),
        "denominator": added(w.bottom).reshape(-1), "excluded": added(w.excluded).reshape(-1),
        "level": single(j.level).reshape(-1), "status": np.broadcast_to(status, (r, n)).reshape(-1),
        "windows": np.tile(how_many, r), "windows_missed": worst.reshape(-1).astype(int),
    }  # fmt: skip


def _spread_of(values: np.ndarray, batch: np.ndarray, confidence: float) -> tuple[float, ...]:
    """Return mean, its interval over independent repetitions, and quantiles."""
    low = high = np.nan
    if len(values) > 1 and len(pool_batches(values[:, None], batch)) > 1:
        _, ends_low, ends_high, _ = ratio_interval(values[:, None], np.ones((len(values), 1)), confidence, batch)
        low, high = float(ends_low[0]), float(ends_high[0])
    return float(values.mean()), low, high, *(float(q) for q in np.quantile(values, [0.05, 0.5, 0.95]))
