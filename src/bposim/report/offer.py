"""The main job from end to end: a history in, a promise with its probability and price out."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bposim.calibrate import Backtest, Calibration, calibrate, draft_scenario
from bposim.errors import CalibrationError
from bposim.forecast import Forecast, forecast
from bposim.history import History
from bposim.report import Report, report
from bposim.report.hours import Hours, explain_hours, hours_of
from bposim.scenario import Scenario, ServiceLevel, Target
from bposim.targets import Advice, Assessment, Frontier, assess_target, attainable_frontier, recommend_targets
from bposim.targets.assess import SEARCH, CheapestPlan, cheapest
from bposim.targets.levels import Planner

#: Days without a contact after which a history is taken as broken in two.
LONGEST_GAP = 28
#: Days held out to see whether the model reproduces them.
HELD_OUT = 14


@dataclass(frozen=True, eq=False)
class Offer:
    """Everything that the main job found.

    Attributes
    ----------
    history : History
        The stretch that was used.
    calibration, backtest, forecast : Calibration, Backtest or None, Forecast
    scenario : Scenario
        Calibrated, over the forecast's days.
    today : Assessment
        The target on the agents that were on duty in the history.
    plan : CheapestPlan
    frontier : Frontier
    advice : Advice
        Targets for the plan's staffing.
    given : DataFrame
        What the history's months really gave.
    headline : tuple of str
    doubts : tuple of str
        What a sceptic would say.
    hours_today, hours_plan : Hours
        Of the agents that were on duty and of the plan, on the same three bases.
    """

    history: History
    calibration: Calibration
    backtest: Backtest | None
    forecast: Forecast
    scenario: Scenario
    today: Assessment
    plan: CheapestPlan
    frontier: Frontier
    advice: Advice
    given: pd.DataFrame
    headline: tuple[str, ...]
    doubts: tuple[str, ...]
    hours_today: Hours
    hours_plan: Hours

    def report(self, title: str = "What can this operation promise?") -> Report:
        """Return the one-page report."""
        plan = [self.plan.level.plan] if self.plan.level.plan is not None else []
        tested = [self.backtest] if self.backtest is not None else []
        return report(
            self.today, *plan, self.frontier, self.advice, self.forecast, *tested, self.calibration, self.history,
            title=title, answer=list(self.headline), doubts=list(self.doubts),
        )  # fmt: skip

    def save(self, folder: str | Path) -> list[Path]:
        """Write report, scenario, staffing and tables into a folder; each file whole or not at all."""
        from bposim.report import write_whole

        out = Path(folder)
        frames = {
            "estimates.csv": self.calibration.summary(), "frontier.csv": self.frontier.frame, "targets.csv": self.advice.frame,
            "staffing.csv": self.plan.staffing, "given.csv": self.given,
        }  # fmt: skip
        if self.plan.level.plan is not None:
            frames["shifts.csv"] = self.plan.level.plan.shifts
        written = [self.report().save(out / "report.html"), write_whole(out / "scenario.yaml", self.scenario.to_yaml())]
        return written + [write_whole(out / name, frame.to_csv(index=False)) for name, frame in frames.items()]


def longest_stretch(history: History) -> History:
    """Return the longest part of a history without a hole of four weeks."""
    frame = history.daily()
    days = pd.DatetimeIndex(np.unique(frame.loc[frame["contacts"] > 0, "date"].to_numpy()))
    breaks = np.flatnonzero(np.diff(days.to_numpy()) > np.timedelta64(LONGEST_GAP, "D"))
    if not len(breaks):
        return history
    edges = np.concatenate([[0], breaks + 1, [len(days)]])
    k = int(np.argmax(np.diff(edges)))
    first, last = days[edges[k]], days[edges[k + 1] - 1]
    return history.between(first.date(), (last + pd.Timedelta(days=1)).date())


def make_offer(
    history: History,
    scenario: Scenario | None = None,
    *,
    term: Target | None = None,
    days: int = 14,
    confidence: float = 0.95,
    country: str | None = None,
    cost_per_hour: float = 20.0,
    currency: str = "EUR",
    replications: int = 600,
    levels: int = 6,
    seed: int = 7,
    say: Callable[[str], None] = lambda text: None,
) -> Offer:
    """Take a contact log all the way to a promise.

    Parameters
    ----------
    history : History
        Contact log.
    scenario : Scenario, optional
        Base for the calibration; None drafts one from the history and says what it assumed.
    term : Target, optional
        None means 80 % within 20 s over the forecast's days.
    days : int
        Horizon of the forecast and of the promise.
    confidence : float
    country : str, optional
        ISO code for holidays.
    cost_per_hour, currency : float, str
        For a drafted scenario.
    replications, levels, seed : int
    say : callable
        Told what is being done.

    Returns
    -------
    Offer
    """
    say("reading: which stretch of the history holds together")
    used = longest_stretch(history)
    term = term or ServiceLevel(0.80, within="20s", window="all")
    base = scenario or draft_scenario(used, name="offer", cost_per_hour=cost_per_hour, currency=currency)
    say(f"calibrating on {used.days[0]} to {used.days[1]}")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what they say stands in the notes and in the report
        tested = _held_out(base, used)
        cal = calibrate(base, used)
        say(f"forecasting {days} days")
        # As many paths as replications of search and proof together: no plan is proven on a path it was found on.
        ahead = forecast(
            used,
            days=days,
            country=country,
            samples=replications + SEARCH,
            seed=seed,
            opening_hours=cal.scenario.opening_hours,
        )
    world = cal.scenario.replace(start=ahead.start, days=ahead.days)
    if not any(t.metric == "service_level" for t in world.targets):
        world = world.replace(targets=[*(t.to_spec() for t in world.targets), term.to_spec()])
    say("asking what today's staffing can promise")
    today = assess_target(
        world, term, volumes=ahead, confidence=confidence, replications=replications, seed=seed, progress=False
    )
    say(f"planning {levels} staffing levels and what each could promise")
    planner = today._planner
    assert isinstance(planner, Planner)
    frontier = attainable_frontier(
        world, term, volumes=ahead, confidence=confidence, levels=levels, replications=300, seed=today.runs.seed + 1,
        progress=False, _planner=planner,
    )  # fmt: skip
    say("searching the cheapest staffing that keeps the target")
    plan = cheapest(today, bracket=frontier.bracket, steps=4)
    today._found["plan"] = plan
    say("choosing targets worth signing")
    advice = recommend_targets(
        world, volumes=ahead, staffing=plan.staffing, confidence=confidence, window=term.window, replications=replications,
        seed=seed + 2, progress=False,
    )  # fmt: skip
    within = term.within_s if term.within_s is not None else 20.0
    given = used.metrics(by="month", metrics=["offered", "service_level", "asa", "abandonment"], within=float(within))
    unseen = _unseen(cal)
    if unseen:
        kept = "the draft's one head each" if scenario is None else "the heads of the base scenario"
        said = f"The history does not show who was on duty of {', '.join(unseen)}: the staffing assessed is {kept}."
        today = replace(today, notes=(*today.notes, said))
    hours_plan = hours_of(world, plan.level)
    hours_today = hours_of(world, today.current, like=hours_plan, priced=plan.level)
    headline = _headline(today, plan, advice, given, world, days, tested, hours_today, hours_plan,
        guessed=scenario is None and bool(unseen),
    )  # fmt: skip
    return Offer(
        used,
        cal,
        tested,
        ahead,
        world,
        today,
        plan,
        frontier,
        advice,
        given,
        headline,
        _doubts(cal, tested, ahead, world),
        hours_today,
        hours_plan,
    )


def _held_out(base: Scenario, history: History) -> Backtest | None:
    """Calibrate without the last two weeks and play them; None where the history is too short for that."""
    first, last = history.days
    cut = last - timedelta(days=HELD_OUT - 1)
    if (cut - first).days < 2 * HELD_OUT:
        return None
    try:
        return calibrate(base, history, until=cut).backtest(history, cut, last + timedelta(days=1))
    except CalibrationError:
        return None


def _headline(
    today: Assessment,
    plan: CheapestPlan,
    advice: Advice,
    given: pd.DataFrame,
    world: Scenario,
    days: int,
    tested: Backtest | None,
    hours_today: Hours,
    hours_plan: Hours,
    *,
    guessed: bool,
) -> tuple[str, ...]:
    term, sure = today.term, 100 * today.confidence
    money = world.currency
    lines = [f"In the history {_given(given)} were answered within {term.within_s or 20:g} s, of all that queued."]
    if tested is not None and tested.verdict != "pass":
        lines.append(
            f"Take what follows with care: the model does not reproduce the two weeks held out ({tested.verdict}). "
            f"{tested.reason}"
        )
    spread = f"{100 * today.attainable_low:.0f} to {100 * today.attainable_high:.0f} %"
    if guessed:
        lines.append(
            "The history does not show who was on duty, so what today's staffing could promise is not known: give a log with "
            "agents, or a base scenario with heads."
        )
    else:
        lines.append(
            f"With the agents on duty then, {_worded(hours_today, plan, money, about=True)} in {days} days, {term} would be kept "
            f"with probability {today.probability:.2f}; promised at {sure:.4g} % could be {100 * today.attainable_share:.0f} % "
            f"(sampling error {spread})."
        )
    if plan.status == "met":
        more = (
            f", {hours_plan.paid / hours_today.paid - 1:+.0%} against those agents"
            if hours_today.paid and not guessed
            else ""
        )
        lines.append(
            f"The cheapest plan found that keeps it at {sure:.4g} % needs {_worded(hours_plan, plan, money)}{more}: "
            f"probability {plan.probability:.3f} [{plan.low:.3f}, {plan.high:.3f}] on fresh replications."
        )
    elif plan.status == "undecided":
        lines.append(
            f"Whether a plan of {_worded(hours_plan, plan, money)} keeps it at {sure:.4g} % is undecided: probability "
            f"{plan.probability:.3f} [{plan.low:.3f}, {plan.high:.3f}] on {plan.replications:,} fresh replications."
        )
    else:
        lines.append(f"No plan up to {_worded(hours_plan, plan, money)} keeps it at {sure:.4g} %.")
    if plan.level.plan is not None and hours_plan.on_duty and not guessed:
        lines.append(f"Hours {explain_hours(hours_plan.paid / hours_plan.on_duty)}")
    lines.append(
        "Worth signing on that plan: "
        + "; ".join(map(str, advice.targets))
        + f". All together: probability {advice.joint_probability:.2f}."
    )
    return tuple(lines)


def _unseen(cal: Calibration) -> list[str]:
    """Return the agent groups whose heads no log showed, so that they are those of the base."""
    frame = cal.summary()
    seen = set(frame.loc[frame["parameter"] == "agent-hours on duty per day", "subject"])
    return [g for g in cal.scenario.agent_groups if g not in seen]


def _given(given: pd.DataFrame) -> str:
    """Return the service level of the history's months; of a long history the last six and the range of all."""
    months = given[(given["metric"] == "service_level") & given["value"].notna()]
    said = ", ".join(f"{100 * r.value:.0f} % in {r.month:%B %Y}" for r in months.tail(6).itertuples())
    if len(months) <= 6:
        return said
    low, high = 100 * months["value"].min(), 100 * months["value"].max()
    return f"{low:.0f} to {high:.0f} % by month over {len(months)} months ({said})"


def _worded(hours: Hours, plan: CheapestPlan, money: str, *, about: bool = False) -> str:
    """Return hours and cost with their basis; paid hours that were converted from heads are said to be about so many."""
    if plan.level.plan is None:
        return f"{hours.scheduled:,.0f} scheduled hours ({hours.on_duty:,.0f} on duty) at {hours.cost:,.0f} {money}"
    some = "about " if about else ""
    return f"{some}{hours.paid:,.0f} paid hours ({hours.on_duty:,.0f} on duty) at {some}{hours.cost:,.0f} {money}"


def _doubts(cal: Calibration, tested: Backtest | None, ahead: Forecast, world: Scenario) -> tuple[str, ...]:
    doubts = [
        "The parameters are taken as estimated: their own uncertainty is in the table of estimates, not in the probabilities.",
        "Callers who hang up do not call again in this model, and agents all work at the same pace.",
    ]
    if tested is None:
        doubts.append(
            "The history is too short to hold two weeks out, so nothing shows that the model reproduces them."
        )
    elif tested.verdict != "pass":
        doubts.append(f"The back-test on the two weeks held out did not pass ({tested.verdict}): {tested.reason}")
    own = tested.profile if tested is not None else None
    if own is not None and own.verdict != "pass":
        doubts.append(
            f"What the agents on duty could promise rests on the heads that the scenario expects. With those instead of the "
            f"agents on duty then, the back-test did not pass ({own.verdict}): {own.reason}"
        )
    if any("inferred" in n for n in cal.notes):
        doubts.append("Who was on duty is inferred from who answered what: a log-in record would be surer.")
    cv = cal.arrivals.common_cv
    if cv > 0.05:
        doubts.append(
            f"Days differ by {100 * cv:.0f} % beyond chance: the targets carry that, and a single stretch may still lie outside the bands."
        )
    doubts += [f"Forecast: {n}" for n in ahead.notes]
    doubts += [
        f"Assumed: {a}."
        for a in world.assumptions
        if "kept from the base" not in a and "heads on duty are net" not in a
    ]
    return tuple(doubts)
