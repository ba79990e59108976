"""What a contract comes to before it is signed: chance of each clause and of all, credits, caps, termination."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, require
from bposim.metrics import ratio_interval
from bposim.provenance import Provenance
from bposim.scenario import Scenario
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.proof import verdict
from bposim.targets.assess import check_question
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.core import COMPARE, MET, MISSED, Judged, by_month
from bposim.targets.ledger import Ledger
from bposim.targets.levels import Level, cost_staffing, left_out_note
from bposim.targets.probability import probability
from bposim.targets.settle import settle

#: Quantiles of credits that are told.
QUANTILES = (0.05, 0.25, 0.50, 0.75, 0.95, 0.99)


@dataclass(frozen=True, eq=False)
class ContractAssessment:
    """Simulated terms of a contract, settled.

    Clauses that are judged in no month have no probability. A clause is *kept* in a month where every window that ends in it and is judged reaches the expected level; relieved and
    waived windows, small samples and missing data that the contract excludes keep it. It is *missed* as the settlement says:
    below its minimum, where it has one.

    Attributes
    ----------
    contract : Contract
    probability, probability_low, probability_high : float
        That all clauses are kept in a month, with 95 % interval.
    term_probability, term_low, term_high : float
        That all are kept in every month of the term simulated.
    clauses : DataFrame
        ``clause, metric, level, judged, probability, ci_low, ci_high, term_probability, term_low, term_high, missed, mean,
        credit, without``: chance of a month and of the term, share of months judged and missed, mean of the windows, expected
        credit a month after the cap, and the chance that a month keeps all the others.
    by_month : DataFrame
        ``clause, month, judged, probability, ci_low, ci_high, missed, credit, credit_p95``; clause ``all`` for all of them.
    credits : DataFrame
        ``item, mean, ci_low, ci_high, p05, p25, p50, p75, p95, p99, none``: credits after the cap of a month and of the term, and
        the net of earn-backs and bonuses; ``none`` is the share without any.
    chances : DataFrame
        ``item, probability, ci_low, ci_high``: caps hit in a month and in the term, termination.
    status : "met", "not met" or "undecided"
        The chance of a month against the confidence.
    ledger : Ledger
    current : Level
    notes : tuple of str
    """

    contract: Contract
    confidence: float
    probability: float
    probability_low: float
    probability_high: float
    term_probability: float
    term_low: float
    term_high: float
    clauses: pd.DataFrame
    by_month: pd.DataFrame
    credits: pd.DataFrame
    chances: pd.DataFrame
    status: str
    ledger: Ledger
    current: Level
    runs: SimulationResult
    notes: tuple[str, ...]
    provenance: Provenance

    @property
    def product(self) -> float:
        """Chance of a month if the clauses were independent: below ``probability`` where they share their luck."""
        return float(self.clauses["probability"].prod())

    def summary(self) -> pd.DataFrame:
        """Return the clauses, one a row."""
        return self.clauses

    def waterfall(self) -> pd.DataFrame:
        """Return what becomes of the fee over the term, mean of the replications: ``item, amount``; credits and cost negative."""
        signs = {
            "fee": 1,
            "surcharges": 1,
            "bonus": 1,
            "credit": -1,
            "earn_back": 1,
            "invoice": 1,
            "cost": -1,
            "margin": 1,
        }
        known = [i for i in signs if not (i in ("cost", "margin") and self.ledger.costs is None)]
        return pd.DataFrame(
            [(i, signs[i] * float(self.ledger.cents(i).sum(axis=1).mean()) / 100 + 0.0) for i in known],
            columns=["item", "amount"],
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the distribution of the term's credits; returns ``ax``."""
        from bposim.targets.assess_plots import plot_credits

        return plot_credits(self, ax)

    def plot_waterfall(self, ax: Any = None) -> Any:
        """Draw fee, credits, earn-back, invoice, cost and margin as steps; returns ``ax``."""
        from bposim.targets.assess_plots import plot_waterfall

        return plot_waterfall(self, ax)

    def __repr__(self) -> str:
        n, money = len(self.ledger.months), self.contract.currency
        known = int(self.clauses["probability"].notna().sum())
        lines = [
            f"{self.contract.name}: a month keeps all {known} clauses judged with probability {self.probability:.3f} "
            f"[{self.probability_low:.3f}, {self.probability_high:.3f}], all {n} months {self.term_probability:.3f}; {self.status} at "
            f"{100 * self.confidence:.4g} %"
        ]
        for r in self.clauses.itertuples():
            if r.judged == 0:
                continue
            lines.append(f"  {r.clause}: {r.probability:.3f} [{r.ci_low:.3f}, {r.ci_high:.3f}], missed {r.missed:.3f}, "
                         f"credit {r.credit:,.0f} {money} a month")  # fmt: skip
        term = self.credits.set_index("item").loc["credit, term"]
        lines.append(
            f"  credits of the term {term['mean']:,.0f} {money} (5 to 95 %: {term['p05']:,.0f} to {term['p95']:,.0f})"
        )
        lines += [f"  {r.item}: {r.probability:.3f}" for r in self.chances.itertuples()]
        return "\n".join([*lines, *(f"  Note: {x}" for x in self.notes)])

    def _repr_html_(self) -> str:
        return self.clauses.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def assess_contract(
    scenario: Scenario,
    contract: Any,
    *,
    volumes: Any = None,
    staffing: Any = None,
    forecast: Any = None,
    events: Any = None,
    audits: pd.DataFrame | None = None,
    quantities: Any = None,
    costs: Any = None,
    start: Any = None,
    confidence: float = 0.95,
    replications: int = 500,
    seed: int = 1,
    progress: bool | None = None,
) -> ContractAssessment:
    """Simulate a contract's term many times, settle each, and tell chances and money.

    Parameters
    ----------
    scenario : Scenario
        Its horizon should hold the contract's months; only those that it holds are settled.
    contract : Contract, str, Path or mapping
        As :func:`load_contract` takes it.
    volumes, staffing
        As in :func:`assess_target`.
    forecast, events, audits, quantities, costs, start
        As in :func:`settle`; corridors lie around the volumes simulated unless ``forecast`` is given.
    confidence : float
        Wanted probability that a month keeps all clauses.
    replications, seed : int
    progress : bool, optional

    Returns
    -------
    ContractAssessment

    Raises
    ------
    ParameterError, ScenarioError
        An argument is outside its rule, or the settlement lacks what a clause or the pricing needs.

    Notes
    -----
    Intervals are Wilson's with the effective number of months (:func:`bposim.targets.probability`), since months of one
    replication share its luck; those of money are Student's over replications (volume paths).
    """
    deal = check_question(
        "assess_contract()", scenario, confidence, replications, seed=seed, staffing=staffing,
        reads=[lambda: load_contract(contract)],
    )[0]  # fmt: skip
    unknown = [
        f"clause {name!r} names contact type {t!r}, which scenario {scenario.name!r} lacks. Known: {', '.join(scenario.contact_types)}."
        for name, c in deal.clauses.items() for t in c.scope.contact_types if t not in scenario.contact_types
    ]  # fmt: skip
    require(unknown, ParameterError)
    within = sorted({t for c in deal.clauses.values() for t in (c.within, c.short) if t is not None})
    runs = simulate(scenario, volumes=volumes, staffing=staffing, replications=replications, seed=seed, progress=progress,
                    within=[float(w) for w in within])  # fmt: skip
    ledger = settle(
        deal, runs, forecast=forecast, events=events, audits=audits, quantities=quantities, costs=costs, start=start
    )
    told = assess_ledger(ledger, runs, cost_staffing(scenario, staffing), confidence)
    left = left_out_note(scenario, staffing)
    return told if left is None else replace(told, notes=(*told.notes, left))


def assess_ledger(ledger: Ledger, runs: SimulationResult, current: Level, confidence: float) -> ContractAssessment:
    """Tell chances and money of a ledger that was settled on a simulation."""
    deal, n = ledger.contract, len(ledger.months)
    kept = {name: kept_months(deal.clauses[name], j, n) for name, j in ledger.judged.items()}
    judged = {name: judged_months(j, n) for name, j in ledger.judged.items()}
    months_of = np.repeat(ledger.batch, n)

    def chance(flags: Any, batch: np.ndarray) -> tuple[float, float, float]:
        return probability(pd.Series(flags.reshape(-1)), pd.Series(batch))

    every = _together([kept[name] for name in kept if judged[name].any()] or list(kept.values()))
    rows, by_month_rows = [], []
    for k, name in enumerate(ledger.contract.clauses):
        clause, j = deal.clauses[name], ledger.judged[name]
        others = [v for other, v in kept.items() if other != name]
        without = float(_together(others).mean()) if others else 1.0
        value = j.windows.value[~np.isnan(j.windows.value)]
        credit, missed = ledger.settled.applied[:, :, k] / 100, ledger.settled.missed[:, :, k]
        nothing = (np.nan,) * 3
        each, whole = (nothing, nothing) if not judged[name].any() else (
            chance(kept[name], months_of), chance(kept[name].all(axis=1), ledger.batch))  # fmt: skip
        rows.append((name, clause.metric, clause.levels.expected.value, float(judged[name].mean()), *each, *whole, float(missed.mean()),
                     float(value.mean()) if len(value) else np.nan, float(credit.mean()), without))  # fmt: skip
        by_month_rows += _months(name, ledger, kept[name], judged[name], missed, credit)
    total = ledger.cents("credit") / 100
    some = ~_together([~flags for flags in judged.values()])
    by_month_rows += _months("all", ledger, every, some, ledger.settled.missed.any(axis=2), total)
    p = chance(every, months_of)
    capped = ledger.settled.credit.sum(axis=2) > ledger.settled.applied.sum(axis=2)
    chances = [("cap hit in a month", *chance(capped, months_of)), ("cap hit in the term", *chance(capped.any(axis=1), ledger.batch)),
               ("client may terminate", *chance(ledger.settled.termination.any(axis=1), ledger.batch))]  # fmt: skip
    columns = ["clause", "metric", "level", "judged", "probability", "ci_low", "ci_high", "term_probability", "term_low",
               "term_high", "missed", "mean", "credit", "without"]  # fmt: skip
    return ContractAssessment(
        deal, confidence, *p, *chance(every.all(axis=1), ledger.batch), pd.DataFrame(rows, columns=columns),
        pd.DataFrame(by_month_rows, columns=["clause", "month", "judged", "probability", "ci_low", "ci_high", "missed", "credit", "credit_p95"]),
        _credits(ledger), pd.DataFrame(chances, columns=["item", "probability", "ci_low", "ci_high"]),
        verdict(p[1], p[2], confidence), ledger, current, runs, _notes(ledger, judged),
        Provenance("assess_contract", {"contract": deal.hash, "confidence": confidence}, (runs.provenance,)),
    )  # fmt: skip


def kept_months(clause: Any, j: Judged, n: int) -> np.ndarray:
    """Tell by month whether every judged window reaches the expected level, shape (n_replications, n_months)."""
    bad = np.isin(j.status, (MET, MISSED)) & ~COMPARE[clause.sense](j.compared, j.level)
    return by_month(bad, j.windows.month, n) == 0


def _together(flags: list[np.ndarray]) -> np.ndarray:
    """Tell where all of several arrays are true."""
    found = np.ones_like(flags[0])
    for one in flags:
        found &= one
    return found


def judged_months(j: Judged, n: int) -> np.ndarray:
    """Tell by month whether any window was compared with a level, shape (n_replications, n_months)."""
    return by_month(np.isin(j.status, (MET, MISSED)), j.windows.month, n) > 0


def _months(
    name: str, ledger: Ledger, kept: np.ndarray, judged: np.ndarray, missed: Any, credit: np.ndarray
) -> list[tuple[Any, ...]]:
    batch = pd.Series(ledger.batch)
    return [
        (name, month, float(judged[:, m].mean()),
         *(probability(pd.Series(kept[:, m]), batch) if judged[:, m].any() else (np.nan,) * 3), float(missed[:, m].mean()),
         float(credit[:, m].mean()), float(np.quantile(credit[:, m], 0.95)))
        for m, month in enumerate(ledger.months)
    ]  # fmt: skip


def _credits(ledger: Ledger) -> pd.DataFrame:
    credit, back, bonus = (ledger.cents(i) / 100 for i in ("credit", "earn_back", "bonus"))
    n = len(ledger.months)
    rows = []
    for item, values, batch in (
        ("credit, month", credit.reshape(-1), np.repeat(ledger.batch, n)),
        ("credit, term", credit.sum(axis=1), ledger.batch),
        ("credit less earn-back and bonus, term", (credit - back - bonus).sum(axis=1), ledger.batch),
    ):
        _, low, high, _ = ratio_interval(values[:, None], np.ones((len(values), 1)), 0.95, batch)
        spread = [float(q) for q in np.quantile(values, QUANTILES)]
        rows.append((item, float(values.mean()), float(low[0]), float(high[0]), *spread, float((values == 0).mean())))
    names = [f"p{100 * q:02.0f}" for q in QUANTILES]
    return pd.DataFrame(rows, columns=["item", "mean", "ci_low", "ci_high", *names, "none"])


def _notes(ledger: Ledger, judged: dict[str, np.ndarray]) -> tuple[str, ...]:
    notes = list(ledger.notes)
    n, wanted = len(ledger.months), ledger.contract.months
    if wanted is not None and n < wanted:
        notes.append(
            f"The horizon holds {n} of the contract's {wanted} months: the term here is these. Longer ones: scenario.replace(days=…)."
        )
    for name, flags in judged.items():
        if not flags.any():
            notes.append(
                f"Clause {name!r} is judged in no month: nothing is known of it, and it is left out of all together."
            )
    if ledger.contract.no_credit_months and (ledger.contract_month <= ledger.contract.no_credit_months).all():
        notes.append("All months simulated are free of credits. Write start= some months before the horizon.")
    return tuple(notes)
