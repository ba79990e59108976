"""Planned against present: absence, what agents are planned to do beside contacts, adherence and conformance."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.calibrate.presence import WaitingClock
from bposim.calibrate.slots import heads_by_weekday
from bposim.errors import CalibrationError
from bposim.metrics.intervals import wilson
from bposim.units import WEEKDAYS

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Activities that mean being there for contacts; every other one is off the phone.
WORK = ("", "work", "shift", "phone", "available", "productive", "on duty")
#: Activities of people who are not there at all, planned beforehand.
LEAVE = ("leave", "annual leave", "vacation", "holiday", "sick", "sick leave", "day off", "parental leave")
#: Rows of an agent with a gap of less than this belong to one shift, in milliseconds.
BETWEEN_SHIFTS_MS = 4 * 3_600_000
#: An agent seen this long before or after its shift is not absent.
MARGIN_MS = 3_600_000
#: Risk of taking chance for agents who are missing together.
RISK = 0.01
FEWEST_SHIFTS, FEWEST_DAYS = 50, 10


@dataclass(frozen=True, eq=False)
class AbsenceFit:
    """What schedules tell about presence.

    Attributes
    ----------
    by_weekday : mapping of group to mapping of weekday to list of scheduled heads by slot
        Whole-day leave left out; breaks and meetings are in it.
    shrinkage : mapping of group to float
        Share of the scheduled hours planned off the phone.
    absence, correlation, adherence : mapping of group to float
    shifts : DataFrame
        ``agent_group, agent, date, work_s, off_s, present_s, in_time_s, absent``.
    estimates, notes : tuple
    """

    by_weekday: dict[str, dict[int, list[float]]]
    shrinkage: dict[str, float]
    absence: dict[str, float]
    correlation: dict[str, float]
    adherence: dict[str, float]
    shifts: pd.DataFrame
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]


def read_schedules(frame: Any, tz: str, groups: tuple[str, ...]) -> pd.DataFrame:
    """Return schedules as ``agent, agent_group, begin_ms, end_ms, activity, kind``, checked.

    Parameters
    ----------
    frame : DataFrame
        ``agent, start, end``, and where there are any ``activity`` (missing: work), ``agent_group``, and ``kind``
        (``planned`` or ``actual``; missing: planned). Not modified.
    tz : str
        Zone of times without one.
    groups : tuple of str
        Agent groups of the scenario.

    Raises
    ------
    CalibrationError
        Columns are missing, rows end before they start, or a group or kind is unknown; all problems at once.
    """
    if not isinstance(frame, pd.DataFrame):
        raise CalibrationError(
            f"schedules must be a DataFrame with the columns agent, start, end. Got {type(frame).__name__}."
        )
    lacking = [c for c in ("agent", "start", "end") if c not in frame]
    if lacking:
        raise CalibrationError(
            f"schedules has no column {', '.join(map(repr, lacking))}. It has: {', '.join(map(str, frame.columns))}."
        )

    def instants(column: str) -> np.ndarray:
        times = pd.to_datetime(frame[column])
        if times.isna().any():
            rows = ", ".join(map(str, np.flatnonzero(times.isna().to_numpy())[:6] + 1))
            raise CalibrationError(f"schedules: {int(times.isna().sum()):,} rows have no {column} (rows {rows}).")
        if times.dt.tz is None:
            times = times.dt.tz_localize(tz, ambiguous=True, nonexistent="shift_forward")
        return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8

    begin, end = instants("start"), instants("end")
    problems = []
    wrong = np.flatnonzero(end <= begin)
    if len(wrong):
        rows = ", ".join(map(str, wrong[:6] + 1))
        problems.append(
            f"schedules: {len(wrong):,} rows do not end after they start (rows {rows}). Correct them or leave them out."
        )
    group = frame["agent_group"].astype(str) if "agent_group" in frame else pd.Series(groups[0], index=frame.index)
    if "agent_group" not in frame and len(groups) > 1:
        problems.append(f"schedules needs a column 'agent_group', for the scenario has several: {', '.join(groups)}.")
    unknown = sorted(set(group) - set(groups))
    if unknown:
        problems.append(
            f"schedules names agent groups that the scenario lacks: {', '.join(map(repr, unknown))}. Known: {', '.join(groups)}."
        )
    kind = (frame["kind"] if "kind" in frame else pd.Series("planned", index=frame.index)).fillna("planned").astype(str)
    odd = sorted(set(kind) - {"planned", "actual"})
    if odd:
        problems.append(f"schedules: kind must be 'planned' or 'actual'. Got {', '.join(map(repr, odd))}.")
    if problems:
        raise CalibrationError(problems)
    activity = (frame["activity"] if "activity" in frame else pd.Series("", index=frame.index)).fillna("").astype(str)
    return pd.DataFrame(
        {"agent": frame["agent"].astype(str).to_numpy(), "agent_group": group.to_numpy(), "begin_ms": begin, "end_ms": end,
         "activity": activity.str.strip().str.lower().to_numpy(), "kind": kind.to_numpy()}
    )  # fmt: skip


def planned_shifts(plan: pd.DataFrame, present: pd.DataFrame, tz: str) -> pd.DataFrame:
    """Return one row a shift: what was planned, and how much of it the agent was there.

    Parameters
    ----------
    plan : DataFrame
        Planned rows of :func:`read_schedules`.
    present : DataFrame
        ``agent, begin_ms, end_ms`` of being there for contacts.
    tz : str

    Returns
    -------
    DataFrame
        ``agent_group, agent, date, begin_ms, end_ms, work_s, off_s, leave_s, present_s, in_time_s, absent``: ``in_time_s`` is
        presence within planned work, ``present_s`` presence at any time from an hour before to an hour after the shift.
    """
    rows = plan.sort_values(["agent", "begin_ms"], ignore_index=True)
    reach = rows.groupby("agent")["end_ms"].cummax().shift(fill_value=0).to_numpy()
    agent = rows["agent"].to_numpy()
    new = np.append(True, agent[1:] != agent[:-1]) | (rows["begin_ms"].to_numpy() - reach > BETWEEN_SHIFTS_MS)
    rows = rows.assign(shift=np.cumsum(new))
    length = (rows["end_ms"] - rows["begin_ms"]) / 1000
    is_work, is_leave = rows["activity"].isin(WORK), rows["activity"].isin(LEAVE)
    rows = rows.assign(
        work_s=length.where(is_work, 0.0),
        leave_s=length.where(is_leave, 0.0),
        off_s=length.where(~is_work & ~is_leave, 0.0),
    )
    # Work that a break or a meeting stands over is planned off the phone: the activity named counts.
    named = rows[~is_work]
    inside = np.zeros(len(rows))
    within = np.zeros(len(rows))
    for name, mine in rows.groupby("agent", sort=False):
        clock = WaitingClock(*(present.loc[present["agent"] == name, c].to_numpy() for c in ("begin_ms", "end_ms")))
        over = named[named["agent"] == name]
        off = WaitingClock(over["begin_ms"].to_numpy(), over["end_ms"].to_numpy())
        a, b = mine["begin_ms"].to_numpy(), mine["end_ms"].to_numpy()
        hidden = off.until(b) - off.until(a)
        both = _overlap(clock, over, a, b)
        work = mine["work_s"].to_numpy() > 0
        inside[mine.index] = np.where(work, hidden / 1000, 0.0)
        within[mine.index] = np.where(work, (clock.until(b) - clock.until(a) - both) / 1000, 0.0)
    rows = rows.assign(work_s=np.maximum(rows["work_s"] - inside, 0.0), in_time_s=within)
    table = rows.groupby("shift").agg(
        agent_group=("agent_group", "first"), agent=("agent", "first"), begin_ms=("begin_ms", "min"), end_ms=("end_ms", "max"),
        work_s=("work_s", "sum"), off_s=("off_s", "sum"), leave_s=("leave_s", "sum"), in_time_s=("in_time_s", "sum"),
    )  # fmt: skip
    seen = np.zeros(len(table))
    for name, index in table.groupby("agent", sort=False).groups.items():
        clock = WaitingClock(*(present.loc[present["agent"] == name, c].to_numpy() for c in ("begin_ms", "end_ms")))
        mine = table.loc[index]
        spread = clock.until(mine["end_ms"].to_numpy() + MARGIN_MS) - clock.until(
            mine["begin_ms"].to_numpy() - MARGIN_MS
        )
        seen[table.index.get_indexer(index)] = spread / 1000
    day = pd.to_datetime(table["begin_ms"], unit="ms", utc=True).dt.tz_convert(tz).dt.tz_localize(None).dt.normalize()
    return table.assign(present_s=seen, date=day, absent=(seen <= 0) & (table["work_s"] > 0)).reset_index(drop=True)


def _overlap(clock: WaitingClock, over: pd.DataFrame, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return milliseconds of presence inside the rows ``over``, within each [a, b)."""
    total = np.zeros(len(a))
    for begin, end in zip(over["begin_ms"], over["end_ms"], strict=True):
        low, high = np.maximum(a, begin), np.minimum(b, end)
        use = high > low
        total[use] += clock.until(high[use]) - clock.until(low[use])
    return total


def together(absent: np.ndarray, n: np.ndarray) -> tuple[float, float, float, float]:
    """Return the correlation between agents of being absent on a day, its interval, and p of there being none.

    Parameters
    ----------
    absent, n : ndarray, shape (n_days,)

    Notes
    -----
    With n agents on a day, each absent with a probability that varies from day to day, E(X − np)² = np(1 − p)(1 + (n − 1)ρ);
    so ρ = Σ((X − np)² − np(1 − p)) ÷ (p(1 − p) Σ n(n − 1)), p taken from the same days. Interval by the jackknife over days,
    on the log scale where ρ is clear; the test is chi-square of the same squares.
    """
    from scipy.special import stdtrit
    from scipy.stats import chi2

    days = len(n)

    def of(x: Any, m: Any, xx: Any, xm: Any, mm: Any, pairs: Any) -> Any:
        p = x / m
        v = p * (1 - p)
        with np.errstate(divide="ignore", invalid="ignore"):
            return ((xx - 2 * p * xm + p**2 * mm) * days / (days - 1) - v * m) / (v * pairs)

    sums = np.stack([absent, n, absent**2, absent * n, n**2, n * (n - 1)]).astype(float)
    total = sums.sum(axis=1)
    value = float(of(*total))
    out = of(*(total[:, None] - sums))
    half = float(stdtrit(days - 1, 0.975) * np.sqrt((days - 1) / days * np.nansum((out - np.nanmean(out)) ** 2)))
    p = total[0] / total[1]
    statistic = float(((absent - n * p) ** 2 / np.maximum(n * p * (1 - p), 1e-12)).sum())
    chance = float(chi2.sf(statistic, days - 1))
    if value > 0 and chance <= RISK:  # clearly there: skewed like a variance, so on the log scale
        return value, float(value * np.exp(-half / value)), min(float(value * np.exp(half / value)), 1.0), chance
    return value, max(value - half, 0.0), min(max(value + half, 0.0), 1.0), chance


def agents_seen(contacts: pd.DataFrame, base: Scenario, gap_s: float | None) -> pd.DataFrame:
    """Return ``agent, begin_ms, end_ms`` of presence inferred from contacts; empty where the log names no agents."""
    from bposim.calibrate.presence import presence_spans, skills_of

    if "agent" not in contacts or not contacts["agent"].notna().any():
        return pd.DataFrame(
            {"agent": pd.Series(dtype=str), "begin_ms": np.empty(0, np.int64), "end_ms": np.empty(0, np.int64)}
        )
    named = set(contacts["agent_group"].dropna().astype(str)) if "agent_group" in contacts else set()
    grouped = bool(named & set(base.agent_groups))
    skills = skills_of(base) if grouped else {"all": list(base.contact_types)}
    return presence_spans(contacts, skills, gap_s=gap_s, grouped=grouped)


def fit_absence(
    schedules: Any, present: pd.DataFrame, base: Scenario, days: tuple[Any, Any], skip: set[Any]
) -> AbsenceFit:
    """Compare schedules with presence.

    Parameters
    ----------
    schedules : DataFrame
        As in :func:`read_schedules`. Rows of kind ``actual`` are when agents were there for contacts; without any, presence
        is that inferred from the contacts.
    present : DataFrame
        ``agent, begin_ms, end_ms``, from :func:`~bposim.calibrate.presence.presence_spans`.
    base : Scenario
    days : (date, date)
        First and last day of the log.
    skip : set of date
        Days that do not count.

    Raises
    ------
    CalibrationError
        The table cannot be read, lies outside the log, or none of its agents is in the log.
    """
    groups = tuple(base.agent_groups)
    table = read_schedules(schedules, base.time_zone, groups)
    plan, real = table[table["kind"] == "planned"], table[table["kind"] == "actual"]
    notes: list[str] = []
    if len(real):
        present = real[real["activity"].isin(WORK)]
    else:
        notes.append(
            "Presence is inferred from the contacts: absence is reliable where an agent is busy, adherence is a lower bound."
        )
    shifts = planned_shifts(plan, present, base.time_zone)
    day = shifts["date"].dt.date
    shifts = shifts[(day >= days[0]) & (day <= days[1]) & ~day.isin(skip)].reset_index(drop=True)
    if shifts.empty:
        raise CalibrationError(
            f"schedules holds no planned shift between {days[0]} and {days[1]}, the days of the history."
        )
    known = set(shifts["agent"]) & set(present["agent"].astype(str))
    if not known:
        raise CalibrationError(
            f"none of the {shifts['agent'].nunique():,} agents of schedules is seen in the history (schedules: {shifts['agent'].iloc[0]!r}; "
            f"history: {present['agent'].astype(str).iloc[0] if len(present) else 'no agents'!r}). Name them alike."
        )
    never = sorted(set(shifts["agent"]) - known)
    if never:
        notes.append(
            f"{len(never)} agents are scheduled and never seen: {', '.join(never[:6])}. They are left out, not absent."
        )
        shifts = shifts[~shifts["agent"].isin(never)].reset_index(drop=True)
    estimates: list[Estimate] = []
    found: dict[str, dict[str, float]] = {
        k: dict.fromkeys(groups, 0.0) for k in ("shrinkage", "absence", "correlation")
    }
    found["adherence"] = dict.fromkeys(groups, 1.0)
    heads: dict[str, dict[int, list[float]]] = {}
    for g in groups:
        mine = shifts[shifts["agent_group"] == g]
        if mine.empty:
            continue
        told, values = _one_group(g, mine, plan)
        estimates += told
        for key, value in values.items():
            found[key][g] = value
        heads[g] = _heads(
            plan[(plan["agent_group"] == g) & ~plan["activity"].isin(LEAVE) & ~plan["agent"].isin(never)],
            base,
            days,
            skip,
            notes,
        )
    return AbsenceFit(heads, found["shrinkage"], found["absence"], found["correlation"], found["adherence"], shifts,
                      tuple(estimates), tuple(notes))  # fmt: skip


def _one_group(name: str, shifts: pd.DataFrame, plan: pd.DataFrame) -> tuple[list[Estimate], dict[str, float]]:
    code, dates = pd.factorize(shifts["date"])
    n_days = len(dates)

    def by_day(values: Any) -> np.ndarray:
        return np.bincount(code, np.asarray(values, dtype=float), minlength=n_days)

    def ratio(what: str, top: Any, bottom: Any, said: str, most: float = 1.0) -> Estimate:
        up, down = by_day(top), by_day(bottom)
        value, low, high = jackknife_ratio(up, down, None, n_days - 1)
        return Estimate(what, name, value, low, min(high, most), len(shifts), "share", "estimated", said)

    due = shifts["work_s"] > 0
    absent = shifts["absent"] & due
    work, off, leave = shifts["work_s"], shifts["off_s"], shifts["leave_s"]
    estimates: list[Estimate] = []
    values: dict[str, float] = {}
    n, x = by_day(due), by_day(absent)
    if due.sum() < FEWEST_SHIFTS or n_days < FEWEST_DAYS:
        text = f"only {int(due.sum())} shifts on {n_days} days: too few to tell"
        return [Estimate("absence", name, np.nan, n=int(due.sum()), source="assumed", detail=text)], {}
    e = ratio("absence", absent, due, "shifts planned and not begun, by agent and day")
    if e.value == 0:
        e = Estimate(
            "absence", name, 0.0, *wilson(0, float(due.sum())), int(due.sum()), "share", "estimated", "none was missing"
        )
    estimates.append(e)
    values["absence"] = e.value
    if x.sum() >= 5 and (n > 1).any():
        rho, low, high, p = together(x[n > 0], n[n > 0])
        sure = p <= RISK and rho > 0
        said = "agents are missing together" if sure else f"none beyond chance (p = {p:.2f})"
        estimates.append(
            Estimate(
                "absence correlation",
                name,
                rho if sure else 0.0,
                low if sure else 0.0,
                high,
                n_days,
                "",
                "estimated",
                said,
            )
        )
        values["correlation"] = rho if sure else 0.0
    there = due & ~absent
    adherence = ratio(
        "adherence",
        shifts["in_time_s"].where(there, 0.0),
        work.where(there, 0.0),
        "planned time on contacts in which the agent was there",
    )
    estimates += [
        adherence,
        ratio("conformance", shifts["present_s"].where(there, 0.0), work.where(there, 0.0),
              "time there over planned time, whenever; above 1 where agents stay longer", np.inf),
    ]  # fmt: skip
    values["adherence"] = adherence.value
    paid = work + off + leave
    hours = plan.merge(shifts[["agent", "begin_ms", "end_ms", "date"]], on="agent", suffixes=("", "_shift"))
    hours = hours[
        (hours["begin_ms"] >= hours["begin_ms_shift"])
        & (hours["end_ms"] <= hours["end_ms_shift"])
        & ~hours["activity"].isin(WORK)
    ]
    bottom = by_day(paid)
    for activity, rows in hours.groupby("activity"):
        top = np.bincount(
            pd.Index(dates).get_indexer(rows["date"]), (rows["end_ms"] - rows["begin_ms"]) / 1000, minlength=n_days
        )
        value, low, high = jackknife_ratio(top, bottom, None, n_days - 1)
        estimates.append(
            Estimate(
                f"planned {activity}",
                name,
                value,
                low,
                min(high, 1.0),
                len(rows),
                "share",
                "estimated",
                "of paid hours",
            )
        )
    on_site = work + off
    values["shrinkage"] = float(off.sum() / on_site.sum()) if on_site.sum() else 0.0
    total = ratio("shrinkage", paid - shifts["in_time_s"], paid,
                  "paid hours not available for contacts: planned off the phone, leave, absence and what adherence lacks")  # fmt: skip
    estimates.append(total)
    return estimates, values


def _heads(
    plan: pd.DataFrame, base: Scenario, days: tuple[Any, Any], skip: set[Any], notes: list[str]
) -> dict[int, list[float]]:
    """Return mean scheduled heads by weekday and slot; time that two rows of an agent share counts once."""
    from bposim.calibrate.presence import heads_on_grid
    from bposim.units import make_grid, zone

    first, last = days
    grid = make_grid(
        first, (last - first).days + 1, zone(base.time_zone), base.interval, base.opening_hours, (*base.closed, *skip)
    )
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    spans = []
    for _, mine in plan.groupby("agent", sort=False):
        clock = WaitingClock(mine["begin_ms"].to_numpy(), mine["end_ms"].to_numpy())
        spans.append(pd.DataFrame({"begin_ms": clock.begin, "end_ms": clock.end}))
    heads = heads_on_grid(pd.concat(spans, ignore_index=True), start, grid.end_ms - grid.start_ms)
    found, unseen = heads_by_weekday(heads, grid, base, "scheduled heads")
    notes += unseen
    return {d: mean.tolist() for d, mean in found.items()}


def net_of_absence(base: Scenario) -> Scenario:
    """Return a base whose groups lose nobody: heads that were seen at work are net of absence, adherence and breaks."""
    changes: dict[str, Any] = {}
    for g, body in base.agent_groups.items():
        if body.agents:
            continue
        for key, none in (("absence", 0.0), ("absence_correlation", 0.0), ("adherence", 1.0), ("breaks", ())):
            if getattr(body, key) != none:
                changes[f"agent_groups.{g}.{key}"] = None
    return base.replace(changes) if changes else base


def absence_changes(fit: AbsenceFit | None, base: Scenario) -> dict[str, Any]:
    """Return what a fit changes in the scenario: heads as scheduled, and what is taken off them."""
    changes: dict[str, Any] = {}
    if fit is None:
        return changes
    for g, by_day in fit.by_weekday.items():
        if base.agent_groups[g].agents:  # named agents keep their own schedules
            changes[f"agent_groups.{g}.absence"] = round(fit.absence[g], 6)
            continue
        at = f"agent_groups.{g}"
        changes[f"{at}.heads"] = {WEEKDAYS[d]: v for d, v in by_day.items()}
        changes[f"{at}.day_factor"] = None
        changes[f"{at}.shrinkage"] = round(fit.shrinkage[g], 6)
        changes[f"{at}.absence"] = round(fit.absence[g], 6)
        changes[f"{at}.absence_correlation"] = round(fit.correlation[g], 6)
        changes[f"{at}.adherence"] = round(fit.adherence[g], 6)
    return changes
