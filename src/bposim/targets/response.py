"""What pays for the provider under a contract: deliver or pay, and what the credits would have to be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.provenance import Provenance
from bposim.scenario import Scenario
from bposim.simulate.run import show_progress
from bposim.targets.assess import check_question, planning_threshold
from bposim.targets.assess_contract import ContractAssessment, assess_contract, assess_ledger
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.frontier import SHARES, levels_rule
from bposim.targets.gaming import find_gaming
from bposim.targets.levels import Level, Planner, hours_a_month
from bposim.targets.settle import settle

STAFF = "the staffing as it is"
#: What a month comes to: fee + surcharges − credit + bonus + earn-back = invoice, and less the cost the margin.
MONEY = ("fee", "surcharges", "credit", "bonus", "earn_back", "invoice", "cost", "margin")


@dataclass(frozen=True, eq=False)
class Response:
    """The provider's choices under a contract, on the same contacts, a month each.

    Attributes
    ----------
    frame : DataFrame
        ``plan, planned_share, agent_hours, fee, surcharges, credit, bonus, earn_back, invoice, cost, margin, margin_low, margin_high,
        probability, best``, by cost: means of a month; ``probability`` that a month keeps all clauses.
    clauses : DataFrame
        ``clause, credit, probability, plan, more_cost, more_fee, credit_saved, gain, factor, verdict``: expected credit now, the
        cheapest plan of the frame that keeps the clause at the confidence, what it costs and brings, and by what the credits would have to
        be multiplied to make delivering it worth while.
    gaming : DataFrame
        ``clause, kind, figure, sentence``: where the clause pays for something that nobody wanted.
    now, best : ContractAssessment
        Of the staffing as it is, and of the choice with the highest margin.
    notes : tuple of str
    """

    contract: Contract
    confidence: float
    frame: pd.DataFrame
    clauses: pd.DataFrame
    gaming: pd.DataFrame
    now: ContractAssessment
    best: ContractAssessment
    notes: tuple[str, ...]
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the provider's choices, one a row."""
        return self.frame

    def sentences(self) -> list[str]:
        """Say what pays, clause by clause, and where clauses invite gaming."""
        top = self.frame[self.frame["best"]].iloc[0]
        money = self.contract.currency
        said = [
            f"The margin is highest with {top['plan']} ({top['agent_hours']:,.0f} agent-hours a month): {top['margin']:,.0f} {money} a month, "
            f"all clauses kept with probability {top['probability']:.2f}."
        ]
        return [*said, *self.clauses["verdict"], *self.gaming["sentence"]]

    def plot(self, ax: Any = None) -> Any:
        """Draw margin, credits and the probability of all clauses against agent-hours; returns ``ax``."""
        from bposim.targets.assess_plots import plot_response

        return plot_response(self, ax)

    def __repr__(self) -> str:
        return "\n".join([f"{self.contract.name}: what pays for the provider", *(f"  {s}" for s in self.sentences()),
                          *(f"  Note: {n}" for n in self.notes)])  # fmt: skip

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def best_response(
    scenario: Scenario,
    contract: Any,
    *,
    volumes: Any = None,
    staffing: Any = None,
    levels: int = 6,
    confidence: float = 0.95,
    replications: int = 200,
    seed: int = 1,
    forecast: Any = None,
    quantities: Any = None,
    start: Any = None,
    progress: bool | None = None,
) -> Response:
    """Tell whether the provider had better deliver or pay, and where clauses invite gaming.

    The staffing as it is and plans from lean to lavish are played on the same contacts and settled.

    Parameters
    ----------
    scenario : Scenario
        With ``cost_per_hour``: the margin is what the provider chooses by.
    contract : Contract, str, Path or mapping
    volumes, staffing
        As in :func:`assess_target`.
    levels : int
        Plans beside the staffing as it is, 2 to 10.
    confidence : float
        At which a plan counts as keeping a clause.
    replications, seed : int
    forecast, quantities, start
        As in :func:`settle`.
    progress : bool, optional

    Returns
    -------
    Response

    Raises
    ------
    ParameterError, ScenarioError
        An argument is outside its rule, wages are not known, or the settlement lacks what it needs.

    Notes
    -----
    Only credits, bonuses and fees of the months simulated are weighed: no reputation, no renewal, no termination.
    Shown in the literature on contracts for outsourced service: Hasija, Pinker & Shumsky (2008), Call center outsourcing
    contracts under information asymmetry, Management Science 54; Milner & Olsen (2008), Service-level agreements in call
    centers: perils and prescriptions, Management Science 54.
    """
    caller = "best_response()"
    problems = levels_rule(levels, caller)
    if isinstance(scenario, Scenario) and not any(g.cost_per_hour > 0 for g in scenario.agent_groups.values()):
        problems.append(
            f"scenario {scenario.name!r} has no wages, so no choice has a margin. Write cost_per_hour for its agent groups."
        )
    deal = check_question(
        caller, scenario, confidence, replications, seed=seed, staffing=staffing, more=problems,
        reads=[lambda: load_contract(contract)],
    )[0]  # fmt: skip
    now = assess_contract(
        scenario, deal, volumes=volumes, staffing=staffing, forecast=forecast, quantities=quantities, start=start, confidence=confidence,
        replications=replications, seed=seed, progress=progress,
    )  # fmt: skip
    laid = forecast if forecast is not None else now.runs.expected
    speed = next((t for t in deal.targets() if t.metric == "service_level"), None)
    within = 20.0 if speed is None else planning_threshold(scenario, speed)
    planner = Planner(scenario, volumes, within)
    chosen: Any = [SHARES[round(k)] for k in np.linspace(0, len(SHARES) - 1, levels)]
    if show_progress(progress):
        from tqdm.auto import tqdm

        chosen = tqdm(chosen, desc="choices", leave=False, delay=1.0)
    played: dict[str, tuple[float, Level, ContractAssessment]] = {STAFF: (np.nan, now.current, now)}
    for share in chosen:
        level = planner.level(share)
        if np.isnan(level.cost):
            continue
        runs = now.runs.restaffed(level.staffing)
        ledger = settle(deal, runs, forecast=laid, quantities=quantities, start=start)
        played[f"the plan for {100 * share:.4g} %"] = (share, level, assess_ledger(ledger, runs, level, confidence))
    frame = _frame(played)
    clauses = _clauses(now, played, confidence)
    top = frame[frame["best"]]["plan"].iloc[0]
    made = Provenance(
        "best_response", {"contract": deal.hash, "confidence": confidence, "levels": levels}, (now.provenance,)
    )
    notes = [
        *now.notes,
        "Choices are the staffing as it is and the plans shown; between them the margin may be higher.",
    ]
    return Response(deal, confidence, frame, clauses, find_gaming(now), now, played[top][2], tuple(notes), made)


def _frame(played: Mapping[str, tuple[float, Level, ContractAssessment]]) -> pd.DataFrame:
    rows = []
    for name, (share, _, a) in played.items():
        s = a.ledger.summary().set_index(["item", "clause"])
        n = len(a.ledger.months)

        def month(item: str, column: str = "mean", s: pd.DataFrame = s, n: int = n) -> float:
            return float(s.loc[(item, ""), column]) / n

        rows.append((name, share, hours_a_month(a.runs.scenario), *(month(i) for i in MONEY),
                     month("margin", "ci_low"), month("margin", "ci_high"), a.probability))  # fmt: skip
    frame = pd.DataFrame(rows, columns=["plan", "planned_share", "agent_hours", *MONEY, "margin_low", "margin_high", "probability"])  # fmt: skip
    frame["best"] = frame["margin"] == frame["margin"].max()
    return frame.sort_values("cost", ignore_index=True)


def _clauses(
    now: ContractAssessment, played: Mapping[str, tuple[float, Level, ContractAssessment]], confidence: float
) -> pd.DataFrame:
    def money(a: ContractAssessment, item: str) -> float:
        return float(a.ledger.cents(item).mean()) / 100

    rows = []
    for name, clause in now.contract.clauses.items():
        mine = now.clauses.set_index("clause").loc[name]
        if not clause.has_credit or not mine["judged"] > 0:
            continue
        able = [(money(a, "cost"), plan, a) for plan, (_, _, a) in played.items()
                if float(a.clauses.set_index("clause").loc[name, "ci_low"]) >= confidence]  # fmt: skip
        credit, p = float(mine["credit"]), float(mine["probability"])
        who = (
            f"{name}: {credit:,.0f} {now.contract.currency} a month of credits expected, kept with probability {p:.2f}"
        )
        if not able:
            rows.append(
                (name, credit, p, "", *(np.nan,) * 5, f"{who}; no plan tried keeps it at {100 * confidence:.4g} %.")
            )
            continue
        cost, plan, other = min(able, key=lambda x: x[0])
        more, fee = cost - money(now, "cost"), money(other, "fee") - money(now, "fee")
        side = sum(money(other, i) - money(now, i) for i in ("bonus", "earn_back"))
        saved = money(now, "credit") - money(other, "credit")
        gain = saved + fee + side - more
        factor = (more - fee - side) / saved if saved > 0 else np.inf
        if more <= 0:
            verdict = f"{who}: delivered already, at no more cost ({plan})."
        elif gain >= 0:
            verdict = (
                f"{who}: deliver. {plan.capitalize()} costs {more:,.0f} more, brings {fee + side:,.0f} of fees and bonuses and saves {saved:,.0f} "
                "of credits."
            )
        else:
            times = (
                f"they would have to be {factor:.1f} times as high"
                if np.isfinite(factor)
                else "no credit is saved by it"
            )
            verdict = (
                f"{who}: paying is cheaper. {plan.capitalize()} costs {more:,.0f} more, brings {fee + side:,.0f} of fees and bonuses and saves "
                f"{saved:,.0f} of credits; {times}."
            )
        rows.append((name, credit, p, plan, more, fee, saved, gain, factor, verdict))
    return pd.DataFrame(rows, columns=["clause", "credit", "probability", "plan", "more_cost", "more_fee", "credit_saved", "gain", "factor",
                                       "verdict"])  # fmt: skip
