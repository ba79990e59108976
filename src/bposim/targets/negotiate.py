"""Which packages of clauses no side can better, when the provider answers each with the staffing that pays it best."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.metrics import ratio_interval
from bposim.provenance import Provenance
from bposim.scenario import Scenario
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.run import show_progress
from bposim.targets.assess import check_question, planning_threshold
from bposim.targets.assess_contract import _together, kept_months
from bposim.targets.contract import Contract
from bposim.targets.contract_file import load_contract
from bposim.targets.frontier import SHARES, levels_rule
from bposim.targets.ledger import Ledger
from bposim.targets.levels import Planner, hours_a_month, left_out_note
from bposim.targets.packages import against, concessions, efficient, measured_alike, packages, read_options
from bposim.targets.quantities import cost_cents, needed
from bposim.targets.response import MONEY, STAFF
from bposim.targets.settle import Gathered, gather, settle_windows

#: Share of the terms that make the provider's worst ones.
TAIL = 0.05


@dataclass(frozen=True, eq=False)
class Negotiation:
    """Packages of clauses, each with the staffing that pays the provider best under it, on the same contacts.

    Attributes
    ----------
    frame : DataFrame
        ``package, plan, agent_hours, fee, surcharges, credit, bonus, earn_back, invoice, cost, margin,
        margin_low, margin_high, worst, kept, risk, service, value, provider_than_now, client_than_now, efficient, dominated_by``: money
        of a month; ``worst`` the mean margin of a month in the worst 5 % of the terms; ``kept`` the chance that a month keeps the package's own
        clauses; ``risk`` the chance that it falls short of the contract as it stands, relief aside; ``service`` the mean of its leading
        clause; ``value`` what the service is worth to the client less the invoice, missing without ``value_per_point``.
    terms : DataFrame
        What each package chose of each option, by package.
    efficient : DataFrame
        Those rows of the frame that no other betters, by margin.
    concessions : DataFrame
        ``from, to, changes, margin, margin_low, margin_high, worst, invoice, risk, kept, service, agent_hours, said``: what each
        side gives and gets from one of them to the next; the interval is of 95 %, paired.
    choices : DataFrame
        ``package, plan, agent_hours, …, worth, best``: every package with every plan, and which the provider takes.
    contracts : mapping of package to Contract
    now : str
        The package that is the contract as it stands.
    lead : str
        Clause that ``service`` is the mean of.
    notes : tuple of str
    """

    contract: Contract
    frame: pd.DataFrame
    terms: pd.DataFrame
    concessions: pd.DataFrame
    choices: pd.DataFrame
    contracts: dict[str, Contract]
    now: str
    lead: str
    risk_aversion: float
    fee_moves: bool
    value_per_point: float | None
    replications: int
    notes: tuple[str, ...]
    provenance: Provenance

    @property
    def efficient(self) -> pd.DataFrame:
        """The packages that no other betters, by the provider's margin."""
        return self.frame[self.frame["efficient"]].sort_values(["margin", "invoice"], ignore_index=True)

    def summary(self) -> pd.DataFrame:
        """Return the packages that no other betters."""
        return self.efficient

    def sentences(self) -> list[str]:
        """Say which packages are left, and how the contract as it stands compares with them."""
        f, money = self.efficient, self.contract.currency
        now = self.frame.iloc[0]
        fee = ", with some other fee," if self.fee_moves else ""
        different = len(self.concessions) + 1
        others = f": for each of the others one of them is{fee} as good for both sides and better for one"
        said = [
            f"{len(f)} of {len(self.frame)} packages are left{'' if different == len(f) else f', {different} of them different'}"
            f"{others if len(f) < len(self.frame) else ': none betters another'}."
        ]
        for what, by in (("Best for the provider", ["margin", "invoice"]), ("Cheapest for the client", ["invoice", "risk"]),
                         ("Safest for the client", ["risk", "invoice"])):  # fmt: skip
            said.append(f"{what}: {_row(f.sort_values(by, ascending=[by[0] != 'margin', True]).iloc[0], money)}")
        said.append(f"As it stands: {_row(now, money)}")
        if now["efficient"]:
            said.append("The contract as it stands is one of those left.")
        else:
            said.append(f"The contract as it stands need not be signed: {self._instead(now)}.")
        if self.value_per_point is not None:
            left = self.frame[self.frame["efficient"]]
            joint = left["margin"] + left["value"]
            top = left.loc[joint.idxmax()]
            said.append(f"Both together gain most with {top['package']}: {joint.max() - now['margin'] - now['value']:,.0f} {money} a month more than as it stands; "
                        "the fee shares it out.")  # fmt: skip
        return said

    def _instead(self, now: Any) -> str:
        other = self.frame.set_index("package").loc[now["dominated_by"]]
        if not self.fee_moves:
            return f"{now['dominated_by']} is as good for both sides and better for one"
        weighed = "invoice" if self.value_per_point is None else "value"
        least = max(now["margin"] - other["margin"], now["worst"] - other["worst"])
        most = (other[weighed] - now[weighed]) * (-1 if weighed == "invoice" else 1)
        span = f"{least:+,.0f}" if round(least) == round(most) else f"{least:+,.0f} to {most:+,.0f}"
        return f"{now['dominated_by']} is as good for both sides and better for one with its fee changed by {span} {self.contract.currency} a month"

    def plot(self, ax: Any = None) -> Any:
        """Draw each package by margin and invoice, those left joined and coloured by the client's risk; returns ``ax``."""
        from bposim.targets.packages_plots import plot_packages

        return plot_packages(self, ax)

    def __repr__(self) -> str:
        lines = [f"{self.contract.name}: what no side can better", *(f"  {s}" for s in self.sentences())]
        shown = self.concessions["said"].head(8)
        lines += [f"  {s}" for s in shown]
        if len(self.concessions) > len(shown):
            lines.append(f"  and {len(self.concessions) - len(shown)} more steps in .concessions")
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.efficient.to_html(index=False, float_format=lambda x: f"{x:,.4g}", na_rep="–")


def _row(r: Any, money: str) -> str:
    return (
        f"{r['package']}, answered with {r['plan']}: margin {r['margin']:,.0f} {money} a month ({r['worst']:,.0f} in the worst terms), invoice "
        f"{r['invoice']:,.0f}, short of the contract as it stands in {100 * r['risk']:.1f} % of the months."
    )


def negotiate(
    scenario: Scenario,
    contract: Any,
    *,
    options: Mapping[str, Any],
    value_per_point: float | None = None,
    risk_aversion: float = 0.0,
    fee_moves: bool = False,
    volumes: Any = None,
    staffing: Any = None,
    levels: int = 6,
    replications: int = 200,
    seed: int = 1,
    forecast: Any = None,
    quantities: Any = None,
    start: Any = None,
    progress: bool | None = None,
) -> Negotiation:
    """Return the packages of clauses that no side can better, and what each side gives and gets between them.

    The staffing as it is and plans from lean to lavish are played once, on the same contacts; every package is settled on each; the
    provider answers it with the plan that pays best. What is left has no other that is as good for both sides and better for one.

    Parameters
    ----------
    scenario : Scenario
        With ``cost_per_hour``: the margin is what the provider chooses by.
    contract : Contract, str, Path or mapping
        As it stands: the yardstick of the client's risk, and one of the packages.
    options : mapping
        What is on the table; every combination is a package. Values at a path of the contract,
        ``{"clauses.speed.levels.expected": ["78%", "80%"]}``, or changes by label, ``{"corridor": {"none": {}, "±10 %": {"clauses.speed.relief": […]}}}``.
    value_per_point : float, optional
        What a point of the leading clause's metric is worth to the client a month: a percentage point of a share, else a unit. Its first service
        level leads, else its first clause that can be simulated. None: the client weighs invoice and risk, and neither in terms of the other.
    risk_aversion : float
        What the provider gives, of the gap between the mean margin and that of the worst 5 % of the terms, to be rid of it: 0 takes
        the highest mean, 1 the best of the worst terms.
    fee_moves : bool
        Whether the fee may still move: one package then betters another if with some change of a fixed fee it does. What only shifts money
        from one side to the other is no reason left to differ.
    volumes, staffing
        As in :func:`assess_target`.
    levels : int
        Plans beside the staffing as it is, 2 to 10.
    replications, seed : int
    forecast, quantities, start
        As in :func:`settle`.
    progress : bool, optional

    Returns
    -------
    Negotiation

    Raises
    ------
    ParameterError, ScenarioError
        An argument is outside its rule, wages are not known, a package is no contract, or the settlement lacks what it needs.

    Notes
    -----
    Without ``value_per_point`` one package betters another where margin and worst terms are no lower, invoice and risk no higher, and one of
    the four is better. With it the client has one criterion, the service's value less the invoice. Comparisons are of means on the same draws.
    """
    caller = "negotiate()"
    problems = []
    problems += levels_rule(levels, caller)
    if isinstance(scenario, Scenario) and not any(g.cost_per_hour > 0 for g in scenario.agent_groups.values()):
        problems.append(
            f"scenario {scenario.name!r} has no wages, so no choice has a margin. Write cost_per_hour for its agent groups."
        )
    for name, value, most, rule in (
        (
            "value_per_point",
            0.0 if value_per_point is None else value_per_point,
            float("inf"),
            "a number of at least 0, or None",
        ),
        ("risk_aversion", risk_aversion, 1.0, "between 0 and 1"),
    ):
        if isinstance(value, bool) or not (
            isinstance(value, int | float) and 0 <= value <= most and value < float("inf")
        ):
            problems.append(parameter(name, caller, rule, value))
    laid_out, deal = check_question(
        caller, scenario, 0.95, replications, seed=seed, staffing=staffing, more=problems,
        reads=[lambda: read_options(options, caller), lambda: load_contract(contract)],
    )[:2]  # fmt: skip
    contracts, terms = packages(deal, laid_out)
    _check_types(scenario, contracts)
    bare = deal.replace({f"clauses.{n}.relief": None for n, c in deal.clauses.items() if c.relief})

    within = sorted(
        {t for d in contracts.values() for c in d.clauses.values() for t in (c.within, c.short) if t is not None}
    )
    first = simulate(scenario, volumes=volumes, staffing=staffing, replications=replications, seed=seed, progress=progress,
                     within=[float(w) for w in within])  # fmt: skip
    laid = forecast if forecast is not None else first.expected
    names = list(dict.fromkeys(q for d in contracts.values() for q in needed(d)))
    speed = next((t for t in deal.targets() if t.metric == "service_level"), None)
    planner = Planner(scenario, volumes, 20.0 if speed is None else planning_threshold(scenario, speed))
    rows, kept_margins, notes, lead = [], {}, [], ""
    for plan, runs in _plans(first, planner, levels, progress):
        played = _Played(runs, {"quantities": quantities, "forecast": laid, "start": start, "names": names})
        yardstick = played.settle(bare)
        lead = lead or _leading(yardstick)
        risk = 1 - float(_kept(yardstick).mean())
        service = float(np.nanmean(yardstick.judged[lead].windows.value))
        hours = hours_a_month(runs.scenario)
        for package, one in contracts.items():
            ledger = played.settle(one)
            margin = ledger.cents("margin").mean(axis=1) / 100
            kept_margins[package, plan] = margin
            rows.append((package, plan, hours, *(float(ledger.cents(i).mean()) / 100 for i in MONEY), *_interval(margin, ledger.batch),
                         _worst(margin), float(_kept(ledger).mean()), risk, service))  # fmt: skip
            notes += [n for n in ledger.notes if n not in notes]
    columns = [
        "package",
        "plan",
        "agent_hours",
        *MONEY,
        "margin_low",
        "margin_high",
        "worst",
        "kept",
        "risk",
        "service",
    ]
    choices = _answered(pd.DataFrame(rows, columns=columns), risk_aversion)
    taken = choices[choices["best"]].drop(columns=["worth", "best"]).set_index("package")
    frame = taken.loc[list(contracts)].reset_index()
    clause = deal.clauses[lead]
    points = frame["service"] * (100 if clause.share else 1) * (1 if clause.higher else -1)
    frame["value"] = np.nan if value_per_point is None else value_per_point * points - frame["invoice"]
    provider = frame[["margin", "worst"]].to_numpy().round(2)
    weighed = value_per_point is not None
    money = frame["value"].to_numpy().round(2) if weighed else -frame["invoice"].to_numpy().round(2)
    short = np.zeros(len(frame)) if weighed else frame["risk"].to_numpy().round(9)
    client = np.column_stack([money, -short])
    found = {moves: efficient(provider, money, short, moves) for moves in (False, True)}
    keep, by = found[fee_moves]
    frame["provider_than_now"], frame["client_than_now"] = against(provider, 0), against(client, 0)
    frame["efficient"] = keep
    frame["dominated_by"] = ["" if k < 0 else frame["package"].iloc[k] for k in by]
    margins = {p: kept_margins[p, plan] for p, plan in zip(frame["package"], frame["plan"], strict=True)}
    steps = concessions(
        frame,
        terms,
        margins,
        first.batch,
        deal.currency,
        f"{'points' if clause.share else clause.definition.unit} of {clause.metric.replace('_', ' ')}",
        np.column_stack([provider, client]),
    )
    made = Provenance(
        "negotiate",
        {
            "contract": deal.hash,
            "packages": len(frame),
            "levels": levels,
            "risk_aversion": risk_aversion,
            "value_per_point": value_per_point,
        },
        (first.provenance,),
    )
    return Negotiation(
        deal, frame, terms, steps, choices, contracts, next(iter(contracts)), lead, float(risk_aversion), fee_moves, value_per_point, replications,
        (*notes, *horizon_notes(deal, first, notes), *(n for n in [left_out_note(scenario, staffing)] if n), *_notes(frame, choices, deal.currency, None if fee_moves else int(found[True][0].sum()))), made,
    )  # fmt: skip


def horizon_notes(deal: Contract, runs: SimulationResult, told: Iterable[str]) -> list[str]:
    """Say where the horizon is shorter than the contract's term: its worst terms and season are those of the months simulated."""
    months = int(runs.scenario.grid.starts.tz_localize(None).to_period("M").nunique())
    if deal.months is None or months >= deal.months or any("months" in n and "simulated" in n for n in told):
        return []
    return [
        f"{months} of {deal.months} months {'was' if months == 1 else 'were'} simulated: season, caps of the year and the worst terms are those of "
        "these alone. Give the scenario the days of the whole term."
    ]


def _check_types(scenario: Scenario, contracts: Mapping[str, Contract]) -> None:
    unknown = [
        f"clause {name!r} names contact type {t!r}, which scenario {scenario.name!r} lacks. Known: {', '.join(scenario.contact_types)}."
        for deal in contracts.values() for name, c in deal.clauses.items() for t in c.scope.contact_types
        if t not in scenario.contact_types
    ]  # fmt: skip
    require(list(dict.fromkeys(unknown)), ParameterError)


def _leading(yardstick: Ledger) -> str:
    """Return the first service level that was measured, else the first clause that was."""
    told = [n for n, j in yardstick.judged.items() if not np.isnan(j.windows.value).all()]
    if not told:
        known = ", ".join(yardstick.contract.clauses)
        raise ParameterError(
            f"contract {yardstick.contract.name!r} has no clause that the simulation can tell. Clauses: {known}."
        )
    return next((n for n in told if yardstick.contract.clauses[n].metric == "service_level"), told[0])


def _plans(
    first: SimulationResult, planner: Planner, levels: int, progress: bool | None
) -> Iterable[tuple[str, SimulationResult]]:
    yield STAFF, first
    chosen: Any = [SHARES[round(k)] for k in np.linspace(0, len(SHARES) - 1, levels)]
    if show_progress(progress):
        from tqdm.auto import tqdm

        chosen = tqdm(chosen, desc="plans", leave=False, delay=1.0)
    for share in chosen:
        level = planner.level(share)
        if not np.isnan(level.cost):
            yield f"the plan for {100 * share:.4g} %", first.restaffed(level.staffing)


@dataclass(eq=False)
class _Played:
    """One plan's replications; contracts whose clauses are measured alike are measured once, wages taken once."""

    runs: SimulationResult
    asked: dict[str, Any]
    measured: dict[str, Gathered] = field(default_factory=dict)
    wages: dict[str, Any] = field(default_factory=dict)

    def settle(self, deal: Contract) -> Ledger:
        key = measured_alike(deal)
        if key not in self.measured:
            self.measured[key] = gather(deal, self.runs, **self.asked)
        g = self.measured[key]

        def costs(shape: tuple[int, int]) -> Any:
            said = f"{g.months[0]:%Y-%m} {shape} {deal.currency}"
            if said not in self.wages:
                self.wages[said] = cost_cents(None, self.runs, g.months, shape, deal.currency)
            return self.wages[said]

        return settle_windows(
            deal, g.windows, g.months, g.contract_month, g.figures, batch=g.batch, costs=costs, notes=list(g.notes)
        )


def _kept(ledger: Ledger) -> np.ndarray:
    """Tell by month whether all clauses are kept, shape (n_replications, n_months)."""
    return _together([kept_months(ledger.contract.clauses[n], j, len(ledger.months)) for n, j in ledger.judged.items()])


def _interval(values: np.ndarray, batch: np.ndarray) -> tuple[float, float]:
    _, low, high, _ = ratio_interval(values[:, None], np.ones((len(values), 1)), 0.95, batch)
    return float(low[0]), float(high[0])


def _worst(terms: np.ndarray) -> float:
    """Return the mean of the worst 5 % of the terms, at least one of them.

    Examples
    --------
    >>> _worst(np.arange(40.0))
    0.5
    """
    return float(np.sort(terms)[: max(1, round(TAIL * len(terms)))].mean())


def _answered(choices: pd.DataFrame, risk_aversion: float) -> pd.DataFrame:
    """Add what each plan is worth to the provider, and which is taken: the leanest of those that are worth most."""
    choices["worth"] = (choices["margin"] - risk_aversion * (choices["margin"] - choices["worst"])).round(2)
    order = choices.sort_values(["worth", "cost"], ascending=[False, True], kind="stable")
    choices["best"] = False
    choices.loc[order.drop_duplicates("package").index, "best"] = True
    return choices


def _notes(frame: pd.DataFrame, choices: pd.DataFrame, currency: str, moving: int | None) -> list[str]:
    notes = ["The provider chooses among the plans shown; reputation, renewal and termination are not weighed."]
    ends = choices.groupby("package")["cost"].agg(["min", "max"])
    taken = frame.set_index("package")["cost"]
    for column, word, more in (
        ("min", "leanest", "A leaner one"),
        ("max", "most lavish", "Where hours are billed, agree on their number; a more lavish one"),
    ):
        n = int((taken == ends.loc[taken.index, column]).sum())
        if n:
            notes.append(
                f"{n} of {len(frame)} packages are answered with the {word} plan tried. {more} might pay better."
            )
    if moving is not None and moving < int(frame["efficient"].sum()):
        notes.append(f"With a fee that may still move {moving} would be left: fee_moves=True.")
    lost = frame[frame["efficient"] & (frame["margin"] < 0)]
    if len(lost):
        notes.append(
            f"{len(lost)} of the packages left lose the provider money on average; the least {lost['margin'].max():,.0f} {currency} a month."
        )
    return notes
