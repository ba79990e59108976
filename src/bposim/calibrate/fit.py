"""From a history to a fitted scenario: every estimator in its turn."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.absence import absence_changes, agents_seen, fit_absence, net_of_absence
from bposim.calibrate.agents import AgentFit
from bposim.calibrate.arrivals import ArrivalFit, fit_arrivals
from bposim.calibrate.balking import balking_changes, fit_queues
from bposim.calibrate.drift import drift_rows
from bposim.calibrate.durations import FEW, DurationFit, fit_patience
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.fresh import fresh_arrivals, redial_changes
from bposim.calibrate.handled import day_factor_changes, fit_handled, speed_changes
from bposim.calibrate.heads import (
    HeadsFit,
    fit_heads,
    heads_changes,
    heads_factors,
    replay_errors,
    tells_groups,
    with_errors,
)
from bposim.calibrate.kept import kept_estimates, kept_names, warn_once, without_counted_twice, without_followups
from bposim.calibrate.presence import skills_of
from bposim.calibrate.redials import fit_redials
from bposim.calibrate.redials_report import fit_redials_from_report
from bposim.calibrate.replay import agent_paces, without_multiplier
from bposim.calibrate.result import Calibration
from bposim.calibrate.routing import fit_order, order_changes
from bposim.calibrate.short_abandons import fit_short_abandons
from bposim.calibrate.wrap_up import ASSUMED_S, fit_wrap_up, queue_pauses, wrap_up_changes
from bposim.errors import CalibrationError, require
from bposim.provenance import Provenance
from bposim.scenario import Scenario
from bposim.units import WEEKDAYS, seconds


def calibrate(
    base: Scenario, history: Any, *, until: Any = None, presence_gap: str | None = None, special_days: Any = None,
    schedules: Any = None,
) -> Calibration:  # fmt: skip
    """Fit a scenario to a contact log, or to an interval report alone.

    Parameters
    ----------
    base : Scenario
        Opening hours, contact types, agent groups, routing, shifts and costs; what the history cannot tell is kept
        from it and labelled as assumed.
    history : History
        Contact log, or interval report: then heads and patience are inferred together from waits and abandonments. Its
        contact types must be those of ``base``.
    until : date or str, optional
        Use only what lies before this day.
    presence_gap : str, optional
        Idle time for which an agent is still taken to be on duty; None infers presence from the queue: an agent was
        away in a pause in which somebody waited whom it could have served.
    special_days : list of dates, or mapping of name to dates, optional
        Days unlike their weekday (``{"payday": ["2026-03-31"]}``), besides those before and after closed days.
    schedules : DataFrame, optional
        ``agent, start, end`` of planned shifts, with ``activity`` (missing: work), ``agent_group``, and ``kind`` where rows of
        actual presence (``actual``) stand beside the plan. The scenario then has the scheduled heads, with shrinkage, absence
        and adherence taken off.

    Returns
    -------
    Calibration

    Raises
    ------
    CalibrationError
        The history has no contacts, or types that the scenario lacks, or the schedules cannot be read; all problems at once.
    """
    if getattr(history, "kind", None) == "intervals":
        from bposim.calibrate.reports import calibrate_reports

        require(
            [
                f"{name} of calibrate() needs a contact log: an interval report names no agents. Leave it out."
                for name, value in (("presence_gap", presence_gap), ("schedules", schedules))
                if value is not None
            ],
            CalibrationError,
        )
        return calibrate_reports(base, history, until=until, special_days=special_days)
    if getattr(history, "contacts", None) is None:
        raise CalibrationError(
            "calibrate() needs a contact log, one row for each contact, or an interval report that tells what became of the "
            "contacts. This history holds bare counts."
        )
    if until is not None:
        history = history.between(history.days[0], until)
    contacts = history.contacts
    types = tuple(base.contact_types)
    found = set(contacts["contact_type"].astype(str))
    known = ", ".join(repr(t) for t in types if t in found)
    problems = [
        f"the history holds {int((contacts['contact_type'].astype(str) == t).sum()):,} contacts of type {t!r}, which scenario "
        f"{base.name!r} lacks. Add it to contact_types, or keep the known ones only: read_history(types=[{known}])."
        for t in sorted(found - set(types))
    ]
    if not found & set(types):
        problems.append(f"no contact type of the history is in scenario {base.name!r}. Known: {', '.join(types)}.")
    require(problems, CalibrationError)
    notes: list[str] = []
    first, last = history.days
    missing = set(history.missing_days)
    if missing:
        notes.append(f"{len(missing)} days without contacts were left out: {', '.join(map(str, sorted(missing)[:6]))}.")
    order = fit_order(contacts, base)
    ruled, told = order_changes(order, base)
    redials = fit_redials(contacts, base)
    again, kept, assumed = redial_changes(redials, base)
    notes += [*order.notes, *told, *redials.notes, *kept]
    base, given = base.replace({**ruled, **again}), base
    arrivals, told = fresh_arrivals(
        fit_arrivals(contacts, base, first, last, missing, special_days), contacts, base, redials, first, last, missing
    )
    notes += told
    if arrivals.unusual:
        notes.append(
            f"{len(arrivals.unusual)} unusual days were left out of the profile: {', '.join(map(str, arrivals.unusual[:6]))}."
        )
    notes += arrivals.notes
    estimates = [*arrivals.estimates, *fit_short_abandons(contacts, types), *order.estimates, *redials.estimates]
    if not redials.known:
        estimates += fit_redials_from_report(history)
    date_of = pd.DatetimeIndex(contacts["arrived"]).tz_localize(None).normalize()
    name_of = contacts["contact_type"].astype(str).to_numpy()
    answered = (contacts["outcome"] == "answered").to_numpy() & contacts["handle_s"].notna().to_numpy()
    handle_s = without_multiplier(contacts, base)
    handle, effects = fit_handled(contacts, base, first, last, missing, handle_s, estimates, notes)
    for t in types:
        if t not in handle:
            few = int((answered & (name_of == t)).sum())
            _assume(estimates, notes, assumed, "mean handle time", t, base.contact_types[t].handle_time[0].mean, few)
    live = [t for t in types if not base.contact_types[t].deferred]
    doubts: list[str] = []
    patience = _patience(contacts, name_of, types, base, estimates, notes, assumed, doubts)
    deterred = {t: f for t, f in fit_queues(contacts, live, FEW).items() if t in patience}
    for t, found_there in deterred.items():
        estimates += found_there.estimates
        notes.append(found_there.note(t))
    once, told = without_counted_twice(base, patience, deterred)
    base = base.replace(once)
    notes += told
    named = any(body.agents for body in base.agent_groups.values())
    paces = {} if named or effects is None else agent_paces(contacts, handle_s, effects.agent_sd)
    gap_s = None if presence_gap is None else seconds(presence_gap, what="presence_gap")
    wrap = None
    if gap_s is None and contacts["agent"].notna().any():
        # Deferred work may lie there for hours with agents about: it does not tell who is away.
        quick = {g: [t for t in able if t in live] or able for g, able in skills_of(base).items()}
        wrap = fit_wrap_up(queue_pauses(contacts, quick, grouped=tells_groups(contacts, base)))
        estimates += wrap.estimates
        notes += wrap.notes
        doubts += wrap.doubts
        assumed += wrap.assumed
    speeds = effects.agents["agent"].tolist() if effects is not None and effects.agent_sd > 0 else []
    whose = contacts.loc[answered, "agent"].dropna().astype(str).value_counts().to_dict() if "agent" in contacts else {}
    of_work = wrap is not None and np.isfinite(wrap.mean_s)
    stays, told = kept_estimates(
        base,
        told=deterred,
        credits=ruled,
        speeds=speeds,
        work_known=of_work,
        answered=whose,
        no_speeds="" if speeds else _why_no_speeds(effects),
    )
    estimates += stays
    assumed += kept_names(stays)
    notes += told
    away_s = ASSUMED_S if wrap is None else wrap.gap_s
    unusual = missing | set(arrivals.unusual)
    heads = fit_heads(contacts, base, first, last, unusual, gap_s, estimates, notes, wrap_up_s=away_s,
                      assumed=assumed)  # fmt: skip
    away = None
    if schedules is not None:
        away = fit_absence(schedules, agents_seen(contacts, base, gap_s), base, (first, last), missing)
        estimates += away.estimates
        notes += away.notes
    seen = heads is not None
    if seen:
        base = net_of_absence(base)
    for g, group in base.agent_groups.items():
        if away is not None and g in away.by_weekday:
            continue
        estimates.append(
            Estimate("shrinkage", g, 0.0 if seen else group.shrinkage, unit="share", source="assumed",
                     detail="heads on duty are net: they are those seen at work" if seen else "kept from the base scenario")
        )  # fmt: skip
        if not seen and group.day_factor is not None:
            estimates.append(Estimate("day factor of heads cv", g, group.day_factor.cv, source="assumed",
                                      detail="kept from the base scenario"))  # fmt: skip
    if heads is not None:
        # Replays count heads, which a group that names its agents does not allow.
        counted = base.replace(without_followups(base) | {f"agent_groups.{g}.agents": None for g in base.agent_groups})
        steady = scenario_of(counted, arrivals, handle, patience, heads, first, [], effects)
        steady = steady.replace(balking_changes(deterred) | wrap_up_changes(wrap, live))
        errors = replay_errors(heads, steady, contacts)
        heads, estimates = with_errors(heads, errors, estimates)
        heads = replace(heads, cv=heads_factors(heads, errors, _busyness(arrivals), estimates, notes))
    handled = {t: (date_of[use], handle_s[use]) for t in handle for use in [answered & (name_of == t)]}
    trends, told = drift_rows(arrivals.days, handled, None if heads is None else heads.days)
    estimates += trends
    notes += told
    scenario = scenario_of(base, arrivals, handle, patience, heads, first, estimates, effects)
    seen_there = balking_changes(deterred) | wrap_up_changes(wrap, live)
    scenario = scenario.replace(seen_there | absence_changes(away, base))
    notes = list(dict.fromkeys(notes))
    warn_once(assumed, doubts, 2)
    inputs = {"base": given.hash, "until": str(until), "presence_gap": presence_gap, "first": first, "last": last}
    if special_days is not None:
        inputs["special_days"] = str(special_days)
    if schedules is not None:
        inputs["schedules"] = f"{len(schedules):,} rows"
    made = Provenance("calibrate", inputs, (history.provenance,))
    return Calibration(
        scenario, given, arrivals, handle, patience, tuple(estimates), tuple(notes), (first, last), made, gap_s,
        heads is not None and heads.grouped, heads, agents=None if effects is None else effects.agents, order=order,
        redials=redials, absence=away, wrap_up=wrap, balking=deterred, paces=paces,
    )  # fmt: skip


def _assume(
    estimates: list[Estimate], notes: list[str], assumed: list[str], what: str, subject: str, value: float, n: int
) -> None:
    estimates.append(
        Estimate(what, subject, value, n=n, unit="s", source="assumed", detail="kept from the base scenario")
    )
    assumed.append(f"{what} of {subject!r}")
    notes.append(f"{assumed[-1]} was assumed from the base scenario: the history holds only {n} observations.")


def _why_no_speeds(effects: AgentFit | None) -> str:
    """Return why agents of the base keep their speeds where none was estimated."""
    if effects is None:
        return "no speed was estimated, for the history names no agents with handle times"
    return f"no speed was estimated: {effects.untold or 'agents do not clearly differ in handle time'}"


def _busyness(arrivals: ArrivalFit) -> pd.Series:
    """Return contacts over expected contacts of every day that was used."""
    total = arrivals.days[arrivals.days["used"]].groupby("date")[["contacts", "expected"]].sum()
    return total["contacts"] / total["expected"]


def _patience(
    contacts: pd.DataFrame,
    name_of: np.ndarray,
    types: tuple[str, ...],
    base: Scenario,
    estimates: list[Estimate],
    notes: list[str],
    assumed: list[str],
    doubts: list[str],
) -> dict[str, DurationFit]:
    settled = contacts["outcome"].isin(["answered", "abandoned"]).to_numpy()
    waits = contacts["wait_s"].to_numpy(dtype=float, na_value=np.nan)
    left = (contacts["outcome"] == "abandoned").to_numpy()
    day = pd.DatetimeIndex(contacts["arrived"]).tz_localize(None).normalize().asi8
    live = np.isin(name_of, [t for t in types if not base.contact_types[t].deferred])
    result: dict[str, DurationFit] = {}
    for t in types:
        if base.contact_types[t].deferred:
            continue
        here = settled & (name_of == t) & np.isfinite(waits)
        n_left = int((left & here & (waits > 0)).sum())
        if n_left >= FEW:
            result[t] = fit_patience(waits[here], left[here], t, days=day[here])
        elif int((left & settled & live & (waits > 0)).sum()) >= FEW and (settled & (name_of == t)).any():
            pool = settled & live & np.isfinite(waits)
            result[t] = fit_patience(waits[pool], left[pool], t, pooled=True, days=day[pool])
            notes.append(f"patience of {t!r} is that of all types together: only {n_left} of its contacts hung up.")
        else:
            _assume(estimates, notes, assumed, "mean patience", t, base.contact_types[t].patience[0].mean, n_left)
            continue
        estimates += result[t].estimates
        notes += result[t].notes
        doubts += [f"patience of {t!r}"] if result[t].notes else []
    return result


def scenario_of(
    base: Scenario, arrivals: ArrivalFit, handle: Mapping[str, DurationFit], patience: Mapping[str, DurationFit],
    heads: HeadsFit | None, first: date, estimates: list[Estimate], effects: AgentFit | None = None,
) -> Scenario:  # fmt: skip
    changes: dict[str, Any] = {"start": first, "days": max(base.days, 1)}
    for t in arrivals.types:
        changes[f"contact_types.{t}.arrivals"] = {
            "per_interval": {WEEKDAYS[d]: list(v) for d, v in arrivals.per_interval[t].items()}
        }
        own = arrivals.own_cv[t]
        changes[f"contact_types.{t}.day_factor"] = {"gamma": {"cv": round(own, 6)}} if own > 0 else None
        if t in handle:
            changes[f"contact_types.{t}.handle_time"] = handle[t].spec()
        if t in patience:
            changes[f"contact_types.{t}.patience"] = patience[t].distribution.to_spec()
    changes["day_factor"] = {"gamma": {"cv": round(arrivals.common_cv, 6)}} if arrivals.common_cv > 0 else None
    # A group that names its agents has their schedules, which no count of heads replaces.
    named = tuple(f"agent_groups.{g}." for g, group in base.agent_groups.items() if group.agents)
    changes |= {k: v for k, v in heads_changes(heads, WEEKDAYS).items() if not k.startswith(named)}
    changes |= day_factor_changes(handle, effects) | speed_changes(base, effects)
    assumed = tuple(f"{e.parameter} of {e.subject}: {e.detail}" for e in estimates if e.source == "assumed")
    changes["assumptions"] = [*base.assumptions, *assumed]
    return base.replace(changes)
