"""Heads on duty: the profile by weekday and interval, and how much whole days differ from it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.arrivals import unusual_days
from bposim.calibrate.estimates import Estimate, correlation_interval, jackknife_ratio
from bposim.calibrate.presence import heads_on_grid, presence_spans, skills_of
from bposim.calibrate.slots import heads_by_weekday
from bposim.calibrate.wrap_up import ASSUMED_S
from bposim.units import make_grid, zone

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: The gap times these factors brackets the agent-hours that it gives.
BRACKET = (1 / 3, 3.0)
#: Replays of the history with known heads, from which the noise of inferred heads is told.
REPLAYS = 4
#: Contacts in all replays together, so that a year of a large centre stays quick.
MOST_CONTACTS = 2_000_000
#: Risk of taking noise for a day factor, and of calling weeks alike that are not.
RISK = 0.01
#: A factor with a smaller cv is told as none: no service level notices it.
SMALLEST = 0.01


@dataclass(frozen=True, eq=False)
class HeadsFit:
    """Heads on duty of every group, and the day factor.

    Attributes
    ----------
    by_weekday : mapping of group to mapping of weekday to list of mean heads by slot
    days : DataFrame
        ``date, weekday, agent_group, hours, expected, ratio``: agent-hours seen and those of the profile.
    cv : mapping of group to float
        Of the day factor; 0 where the days show no spread beyond the noise of inference.
    gap_s : float or None
        A fixed rule's; None where presence is told from the queue.
    grouped : bool
        Whether the history tells the agents' groups.
    wrap_up_s : float
        Seconds of somebody waiting in a pause from which the agent was away.
    bracket : mapping of group to (float, float)
        Agent-hours a day with a third and with three times that.
    """

    by_weekday: dict[str, dict[int, list[float]]]
    days: pd.DataFrame
    cv: dict[str, float]
    gap_s: float | None
    grouped: bool
    wrap_up_s: float = ASSUMED_S
    bracket: dict[str, tuple[float, float]] = field(default_factory=dict)


def tells_groups(contacts: pd.DataFrame, base: Scenario) -> bool:
    """Return whether a log names agent groups of a scenario."""
    named = set(contacts["agent_group"].dropna().astype(str)) if "agent_group" in contacts else set()
    return bool(named & set(base.agent_groups))


def unknown_groups(contacts: pd.DataFrame, base: Scenario) -> list[str]:
    """Say which agent groups of a log a scenario lacks, where it knows others of them; their agents are in nobody's heads."""
    if not tells_groups(contacts, base):
        return []
    served = contacts[(contacts["outcome"] == "answered") & contacts["agent_group"].notna()]
    group = served["agent_group"].astype(str)
    lost = served[~group.isin(list(base.agent_groups))]
    if lost.empty:
        return []
    some = lost.groupby(lost["agent_group"].astype(str))
    rows = [f"{g!r} ({_few(p['agent'].nunique(), 'agent')}, {_few(len(p), 'answered contact')})" for g, p in some]
    known = ", ".join(repr(g) for g in base.agent_groups)
    return [
        f"{len(lost):,} of {len(served):,} answered contacts were taken by agent groups that scenario {base.name!r} lacks: "
        f"{', '.join(rows[:6])}{' …' if len(rows) > 6 else ''}. Their agents are in no heads on duty, though their contacts are in the "
        f"arrivals. Known: {known}. Add the groups to agent_groups, rename them in the log, or start from draft_scenario(history)."
    ]


def _few(n: int, what: str) -> str:
    return f"{n:,} {what}{'' if n == 1 else 's'}"


def fit_heads(
    contacts: pd.DataFrame, base: Scenario, first: date, last: date, skip: set[date], gap_s: float | None,
    estimates: list[Estimate], notes: list[str], *, wrap_up_s: float = ASSUMED_S, assumed: list[str] | None = None,
) -> HeadsFit | None:  # fmt: skip
    """Return mean heads on duty by group, weekday and slot, inferred from agents' activity; None without agents.

    ``estimates``, ``notes`` and ``assumed`` (the names of what was assumed) are appended to.
    """
    assumed = [] if assumed is None else assumed
    groups = tuple(base.agent_groups)
    if "agent" not in contacts or contacts["agent"].notna().sum() == 0:
        assumed.append("heads on duty")
        notes.append("heads on duty were assumed from the base scenario: the history names no agents.")
        return None
    grouped = tells_groups(contacts, base)
    if not grouped and len(groups) > 1:
        assumed.append("heads on duty")
        notes.append("heads on duty were assumed from the base scenario: the history does not tell the agents' groups.")
        return None
    notes += unknown_groups(contacts, base)
    grid = make_grid(first, (last - first).days + 1, zone(base.time_zone), base.interval, base.opening_hours,
                     (*base.closed, *skip))  # fmt: skip
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    days, day_code = np.unique(grid.day, return_inverse=True)
    dates = pd.to_datetime([date.fromordinal(first.toordinal() + int(d)) for d in days])
    result: dict[str, dict[int, list[float]]] = {}
    hours: dict[str, list[float]] = {g: [] for g in groups}
    tables = []
    bracket = [wrap_up_s * b for b in (1.0, *BRACKET)] if gap_s is None else [wrap_up_s]
    for k, away in enumerate(bracket):
        spans = presence_spans(contacts, skills_of(base), gap_s=gap_s, wrap_up_s=away, grouped=grouped)
        for g in groups:
            heads = heads_on_grid(spans[spans["agent_group"] == g], start, length)
            daily = np.bincount(day_code, heads * length / 3.6e6)
            hours[g].append(float(daily.mean()))
            if k:
                continue
            by_weekday, unseen = heads_by_weekday(heads, grid, base, "heads on duty")
            notes += unseen
            result[g] = {d: mean.tolist() for d, mean in by_weekday.items()}
            expected = np.zeros(len(grid))
            for d, mean in by_weekday.items():
                here = grid.weekday == d
                expected[here] = mean[grid.slot[here]]
            profile = np.bincount(day_code, expected * length / 3.6e6)
            with np.errstate(divide="ignore", invalid="ignore"):
                tables.append(pd.DataFrame({"date": dates, "weekday": (first.weekday() + days) % 7, "agent_group": g, "hours": daily,
                                            "expected": profile, "ratio": daily / profile}))  # fmt: skip
    for g in groups:
        said = (
            f"an agent was away in a pause in which somebody it could serve waited more than {wrap_up_s:.0f} s "
            f"({bracket[1]:.0f} s to {bracket[2]:.0f} s would give {min(hours[g]):.1f} to {max(hours[g]):.1f} h)"
            if gap_s is None
            else f"idle up to {gap_s:.0f} s taken as present"
        )
        estimates.append(Estimate("agent-hours on duty per day", g, hours[g][0], n=len(days), unit="h", detail=said))
    notes.append("Heads on duty are inferred from what agents did and from the queue; no log-in record was given.")
    return HeadsFit(
        result, pd.concat(tables, ignore_index=True), dict.fromkeys(groups, 0.0), gap_s, grouped, wrap_up_s,
        {g: (min(v), max(v)) for g, v in hours.items()},
    )  # fmt: skip


def with_errors(
    fit: HeadsFit, errors: Mapping[str, np.ndarray], estimates: list[Estimate]
) -> tuple[HeadsFit, list[Estimate]]:
    """Take off what inference gets wrong on replays whose heads are known, and give agent-hours their interval.

    Parameters
    ----------
    fit : HeadsFit
    errors : mapping of group to ndarray, shape (replays, n_days)
        From :func:`replay_errors`.
    estimates : list of Estimate
        Those of agent-hours are replaced.

    Notes
    -----
    The mean error of the replays, as a share of the hours, is taken off the heads of every interval. The interval holds the error of
    the mean of as many days and the hours that a third and three times the gap give: which pauses are absences is a judgement, and
    the replays know of none.
    """
    from scipy.special import stdtrit

    found = {}
    heads = dict(fit.by_weekday)
    days = fit.days.copy()
    for g, wrong in errors.items():
        mine = (days["agent_group"] == g).to_numpy()
        hours = days.loc[mine, "hours"].to_numpy()
        if hours.sum() <= 0:
            continue
        of_days = wrong.mean(axis=0)
        n = len(of_days)
        scale = float(np.clip(1 - of_days.sum() / (hours.sum() + of_days.sum()), 0.5, 1.5))
        error = float(np.std(wrong, ddof=1) / np.sqrt(n) * np.sqrt(1 + 1 / len(wrong)))
        half = float(stdtrit(max(n - 1, 1), 0.975) * error)
        mean = float(hours.mean()) * scale
        low, high = fit.bracket.get(g, (mean, mean))
        found[g] = (mean, max(min(mean - half, low * scale), 0.0), max(mean + half, high * scale), scale)
        heads[g] = {d: [round(v * scale, 4) for v in values] for d, values in fit.by_weekday[g].items()}
        days.loc[mine, ["hours", "expected"]] *= scale
    told = [
        replace(e, value=found[e.subject][0], low=found[e.subject][1], high=found[e.subject][2],
                detail=f"{e.detail}; replays with known heads find {100 / found[e.subject][3]:.1f} % of them, which is taken off; the interval is that bracket, wider than chance")
        if e.parameter == "agent-hours on duty per day" and e.subject in found else e
        for e in estimates
    ]  # fmt: skip
    return replace(fit, by_weekday=heads, days=days), told


def replay_errors(fit: HeadsFit, scenario: Scenario, contacts: pd.DataFrame, *, seed: int = 1) -> dict[str, np.ndarray]:
    """Return what inference gets wrong about a day's agent-hours, in hours, by group, shape (replays, n_days).

    The scenario plays the contacts of every day with whole heads that are known: the profile times the day's own ratio.
    From the log of that play the heads are inferred again, and what was planted is taken off.
    """
    from bposim.calibrate.replay import observed_volumes
    from bposim.simulate import simulate

    first, last = fit.days["date"].min().date(), fit.days["date"].max().date()
    open_days = set(fit.days["date"].dt.date)
    every = pd.date_range(first, last).date
    world = scenario.replace(
        start=first, days=len(every), closed=[*scenario.closed, *(d for d in every if d not in open_days)]
    )
    grid = world.grid
    volumes, inside = observed_volumes(contacts, world)
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    code = np.unique(grid.day, return_inverse=True)[1]
    ratio = {g: rows["ratio"].fillna(0.0).to_numpy() for g, rows in fit.days.groupby("agent_group", sort=False)}
    rng = np.random.default_rng(seed)
    errors: dict[str, list[np.ndarray]] = {str(g): [] for g in ratio}
    for k in range(int(np.clip(MOST_CONTACTS // max(int(inside.sum()), 1), 1, REPLAYS))):
        staffing = {
            str(g): np.floor(world.scheduled_heads(str(g)) * r[code] + rng.random(len(r))[code])
            for g, r in ratio.items()
        }
        runs = simulate(world, volumes=volumes, staffing=staffing, replications=1, seed=seed + k, progress=False)
        spans = presence_spans(
            runs.contacts(), skills_of(world), gap_s=fit.gap_s, wrap_up_s=fit.wrap_up_s, grouped=True
        )
        for g, planted in staffing.items():
            heads = heads_on_grid(spans[spans["agent_group"] == g], start, length)
            errors[g].append(np.bincount(code, (heads - planted) * length / 3.6e6))
    return {g: np.array(v) for g, v in errors.items()}


class RoundedHeads:
    """How much a simulation's day varies that rounds the profile times a day factor to whole agents.

    Parameters
    ----------
    profile : mapping of weekday to ndarray of heads by slot
    weight : ndarray, shape (7,)
        Days of each weekday.

    Notes
    -----
    The engines give ⌊n F + U⌋ heads, one uniform U a day and group, which has mean n F; with small groups U alone moves a
    day by several per cent. So the variance of a day's agent-hours over their mean squared is cv² + r(cv), with r the mean
    over F of the variance over U.
    """

    def __init__(self, profile: Mapping[int, list[float]], weight: np.ndarray) -> None:
        days = [(weight[d], np.array(heads)) for d, heads in profile.items() if weight[d] > 0]
        self._u = (np.arange(32) + 0.5) / 32
        self._bottom = sum(w * heads.sum() ** 2 for w, heads in days)
        self._days = days
        self._cv = np.array(
            [0, 0.01, 0.02, 0.03, 0.045, 0.06, 0.08, 0.1, 0.13, 0.16, 0.2, 0.25, 0.32, 0.4, 0.5, 0.7, 1, 1.5]
        )
        self._total = np.maximum.accumulate(self._cv**2 + [self.of(c) for c in self._cv])

    def of(self, cv: float) -> float:
        """Return r(cv)."""
        from scipy.special import gammaincinv

        p = (np.arange(48) + 0.5) / 48
        factor = gammaincinv(cv**-2, p) * cv**2 if cv > 0 else np.ones(1)
        top = 0.0
        for weight, heads in self._days:
            whole = np.floor(heads * factor[:, None, None] + self._u[:, None]).sum(axis=2)
            top += weight * float(whole.var(axis=1).mean())
        return top / self._bottom

    def cv(self, variance: float) -> float:
        """Return the cv with which the scenario varies by this much; 0 where it does so by rounding alone."""
        return float(np.interp(variance, self._total, self._cv)) if variance > self._total[0] else 0.0


def heads_factors(
    fit: HeadsFit, errors: Mapping[str, np.ndarray], busy: pd.Series, estimates: list[Estimate], notes: list[str]
) -> dict[str, float]:
    """Estimate the cv of every group's day factor of heads.

    Parameters
    ----------
    fit : HeadsFit
    errors : mapping of group to ndarray, shape (replays, n_days)
        From :func:`replay_errors`.
    busy : Series
        Contacts over expected contacts by date, to see whether staffing follows volume.

    Notes
    -----
    With profile P_w of the weekday and a factor of mean 1, Var(H) = P_w² (cv² + r(cv)) + errors, r from rounding to whole
    heads (:class:`RoundedHeads`), inverted with the weekday means taken out of the hours H and of the errors of the
    replays alike. Without a spread beyond the noise (F test, 1 %) the answer is none. The interval is a jackknife over
    days, or over weeks where the days of a week hang together.
    """
    result: dict[str, float] = {}
    for g, rows in fit.days.groupby("agent_group", sort=False):
        name = str(g)
        table = rows.sort_values("date").reset_index(drop=True)
        found = _one_factor(name, table, fit.by_weekday[name], errors[name], notes)
        result[name] = found.value
        estimates.append(found)
        if found.value > 0:
            both = pd.concat([table.set_index("date")["ratio"], busy], axis=1, join="inner").dropna()
            value, low, high = correlation_interval(both.to_numpy())
            follows = "staffing follows the day's volume; the scenario draws both on their own" if low > 0 else ""
            estimates.append(
                Estimate("correlation of a day's heads and contacts", name, value, low, high, len(both), detail=follows)
            )
    return result


def _one_factor(
    name: str, table: pd.DataFrame, profile: Mapping[int, list[float]], errors: np.ndarray, notes: list[str]
) -> Estimate:
    from scipy.stats import chi2, f

    what = "day factor of heads cv"
    weekday = table["weekday"].to_numpy()
    odd = unusual_days(table["hours"].to_numpy(), weekday)
    if odd.any():
        listed = ", ".join(str(d.date()) for d in table.loc[odd, "date"][:6])
        notes.append(
            f"{int(odd.sum())} days of unusual staffing of {name!r} are in its heads, not in their day factor: {listed}."
        )
    table, errors, weekday = table[~odd].reset_index(drop=True), errors[:, ~odd], weekday[~odd]
    hours = table["hours"].to_numpy()
    count = np.bincount(weekday, minlength=7)[weekday]
    n, freedom = len(table), len(table) - len(np.unique(weekday))
    if freedom < 10 or not hours.sum() > 0:
        text = f"only {n} days: too few to tell how much staffing varies from day to day; taken as none"
        return Estimate(what, name, 0.0, n=n, source="assumed", detail=text)
    level = _weekday_means(hours, weekday)
    scale = np.where(count > 1, count / np.maximum(count - 1, 1), 0.0)
    spread = (hours - level) ** 2 * scale
    replays = len(errors)
    wrong = errors - _weekday_means(errors.mean(axis=0), weekday)
    noise = (wrong**2).mean(axis=0) * np.where(count > 1, replays * count / np.maximum(replays * count - 1, 1), 0.0)
    bottom = level**2 * (count > 1)
    wrongly, seen = float(noise.sum() / bottom.sum()), float(spread.sum() / bottom.sum())
    rounded = RoundedHeads(profile, np.bincount(weekday[count > 1], minlength=7))
    cv = rounded.cv(seen - wrongly)
    floor = wrongly + rounded.of(cv)
    said = f"days spread by {100 * seen**0.5:.1f} %, of which inference and rounding explain {100 * floor**0.5:.1f} %"
    p = float(f.sf(seen / max(wrongly + rounded.of(0.0), 1e-12), freedom, replays * n - (n - freedom)))
    if p > RISK or cv < SMALLEST:
        most = float(np.sqrt(seen * freedom / chi2.ppf(0.025, freedom)))  # as if all of the spread were the factor
        return Estimate(what, name, 0.0, 0.0, most, n, "", "estimated", f"none: {said} (p = {p:.2f})")
    weeks = np.unique(table["date"].dt.to_period("W"), return_inverse=True)[1]
    share = _common_to_weeks((hours - level) / np.where(level > 0, level, 1), weeks)
    if share > 0:
        said += f"; {100 * share:.0f} % of the spread is common to the days of a week"
        notes.append(
            f"The staffing of {name!r} differs from week to week ({100 * share:.0f} % of the spread between days is common to "
            "a week). The scenario draws each day on its own, so over more than a day it still looks steadier than it was."
        )
    value, low, high = (
        rounded.cv(v) for v in jackknife_ratio(spread - noise, bottom, weeks if share > 0 else None, freedom)
    )
    return Estimate(what, name, value, low, high, n, "", "estimated", said)


def _weekday_means(values: np.ndarray, weekday: np.ndarray) -> np.ndarray:
    total = np.bincount(weekday, values, minlength=7) / np.maximum(np.bincount(weekday, minlength=7), 1)
    return total[weekday]


def _common_to_weeks(rest: np.ndarray, weeks: np.ndarray) -> float:
    """Return the intraclass correlation of a week's days (Donner 1986); 0 where the F test sees none."""
    from scipy.stats import f

    size = np.bincount(weeks)
    k, n = len(size), len(rest)
    if k < 4 or n <= k:
        return 0.0
    mean = np.bincount(weeks, rest) / size
    between = float((size * (mean - rest.mean()) ** 2).sum()) / (k - 1)
    within = float(((rest - mean[weeks]) ** 2).sum()) / (n - k)
    if within <= 0 or f.sf(between / within, k - 1, n - k) > RISK:
        return 0.0
    usual = (n - (size**2).sum() / n) / (k - 1)
    return float((between - within) / (between + (usual - 1) * within))


def heads_changes(fit: HeadsFit | None, names: tuple[str, ...]) -> dict[str, Any]:
    """Return what a fit changes in the base scenario."""
    changes: dict[str, Any] = {}
    for g, by_day in (fit.by_weekday if fit is not None else {}).items():
        changes[f"agent_groups.{g}.heads"] = {names[d]: v for d, v in by_day.items()}
        changes[f"agent_groups.{g}.shrinkage"] = None
    for g, cv in (fit.cv if fit is not None else {}).items():
        changes[f"agent_groups.{g}.day_factor"] = {"gamma": {"cv": round(cv, 6)}} if cv > 0 else None
    return changes
