"""Calibration from an interval report alone: staffing and patience inferred together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.absence import net_of_absence
from bposim.calibrate.arrivals import fit_arrivals
from bposim.calibrate.durations import FEW, DurationFit
from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.calibrate.fresh import without_redials
from bposim.calibrate.heads import HeadsFit
from bposim.calibrate.kept import kept_estimates, warn_once
from bposim.calibrate.moments import (
    LAST,
    Match,
    PatienceFamily,
    Played,
    PoolFit,
    Replayer,
    by_erlang,
    by_simulation,
    heads_step,
    match,
    settle,
    slopes,
    with_family,
)
from bposim.calibrate.report_cells import (
    Columns,
    Pool,
    ReportCells,
    check_length,
    columns_of,
    pools_of,
    report_cells,
    report_volumes,
)
from bposim.calibrate.report_estimates import (
    Told,
    day_spread,
    heads_factor,
    hours_estimate,
    patience_estimates,
    rescaled,
    responses,
    tell,
    told_until,
)
from bposim.calibrate.slots import heads_by_weekday
from bposim.calibrate.smoothing import interval_prior, profile_prior
from bposim.errors import CalibrationError, require
from bposim.provenance import Provenance

#: Misfit by which each further parameter of a patience law must be better.
CLEARLY = 6.0

if TYPE_CHECKING:
    from bposim.calibrate import Calibration
    from bposim.scenario import Scenario

#: Precision of the guess about heads that is made from the load alone: it decides only where nobody ever waits.
GUESS = 4.0
#: Times that heads and patience are matched again with the day factor found so far.
FACTOR_STEPS = 3
#: Risk of calling a report unmet that is met.
UNMET = 0.001
#: What no interval report tells.
UNTOLD = (
    "handle time cv", "whether agents work at different speeds", "redials",
    "how often agents on duty take no contact (the heads told here are effective ones)",
)  # fmt: skip


def calibrate_reports(base: Scenario, history: Any, *, until: Any = None, special_days: Any = None) -> Calibration:
    """Fit a scenario to an interval report; see :func:`bposim.calibrate`."""
    from bposim.calibrate import Calibration

    if until is not None:
        history = history.between(history.days[0], until)
    table = history.intervals
    pools = pools_of(base)
    check_length(history, base)
    columns = columns_of(table, source=history.source)
    _check_types(table, base)
    notes: list[str] = []
    assumed: list[str] = []
    doubts: list[str] = []
    again = [t for t, kind in base.contact_types.items() if kind.redial is not None]
    if again:
        notes.append(
            f"redial of {', '.join(map(repr, again))} was taken out of the scenario: a report's offered contacts hold the redials, "
            "and it does not tell how many they are."
        )
    # Heads that waits show are net of absence, adherence and breaks.
    given, base = base, net_of_absence(without_redials(base))
    first, last = history.days
    missing = set(history.missing_days)
    if missing:
        notes.append(f"{len(missing)} days without contacts were left out: {', '.join(map(str, sorted(missing)[:6]))}.")
    arrivals = fit_arrivals(_dated(table), base, first, last, missing, special_days)
    if arrivals.unusual:
        notes.append(
            f"{len(arrivals.unusual)} unusual days were left out of the profile: {', '.join(map(str, arrivals.unusual[:6]))}."
        )
    notes += arrivals.notes
    estimates = list(arrivals.estimates)
    handle = _handle_times(table, base, estimates, notes, assumed)
    used = set(arrivals.days.loc[arrivals.days["used"], "date"].dt.date)
    every = pd.date_range(first, last).date
    world = base.replace(
        {"start": first, "days": len(every), "day_factor": None, "closed": sorted({*base.closed, *(d for d in every if d not in used)})}
        | {f"contact_types.{t}.day_factor": None for t in base.contact_types}
        | {f"contact_types.{t}.handle_time": law.to_spec() for t, law in handle.items()}
        | {f"agent_groups.{g}.{k}": None for g in base.agent_groups for k in ("day_factor", "shrinkage")}
    )  # fmt: skip
    means = {t: float(kind.handle_time[0].mean) for t, kind in world.contact_types.items()}
    cells = report_cells(table, world, pools, columns, means)
    fits = [_start(p, c, world, columns, _mean_handle(p, means, table)) for p, c in zip(pools, cells, strict=True)]
    few = [f for f in fits if f.cells.moments[:, 0].sum() < FEW]
    for f in few:
        f.free = False
        f.psi = PatienceFamily("exponential").start(float(base.contact_types[f.pool.types[0]].patience[0].mean))
        n = int(f.cells.moments[:, 0].sum())
        for t in f.pool.types:
            estimates.append(Estimate("mean patience", t, float(np.exp(f.psi[0])), n=n, unit="s", source="assumed",
                                      detail="kept from the base scenario"))  # fmt: skip
            assumed.append(f"mean patience of {t!r}")
            notes.append(f"{assumed[-1]} was assumed from the base scenario: only {n} contacts hung up.")
    replayer = Replayer(world, report_volumes(table, world), fits)
    by_erlang(fits)
    fits = _families(fits, replayer, by_simulation(fits, replayer))
    factors, told, found, played = _factors(fits, replayer, world)
    weekday = _weekdays(world)
    freedom = len(weekday) - len(np.unique(weekday))
    length_s = (world.grid.end_ms - world.grid.start_ms) / 1000
    patience: dict[str, DurationFit] = {}
    for f, t_, m, p in zip(fits, told, found, played, strict=True):
        response = responses(f, t_, m, p, length_s)
        if f.free:
            limits = columns.thresholds or (20.0,)
            told_of = patience_estimates(f, response, LAST * replayer.replays, freedom, limits, m.blind)
            until = told_until(f, limits, m.blind)
            if until is not None:
                doubts += [f"patience of {t!r}" for t in f.pool.types]
                notes.append(
                    f"Patience of {', '.join(map(repr, f.pool.types))} beyond {until:g} s is hardly told by the report: its mean is a "
                    f"lower bound. The scenario holds the {f.family.kind} law with a mean of {f.family.law(f.psi).mean:,.0f} s; do not "
                    "trust it where waits are longer. A further threshold of the abandoned, or a contact log, would tell."
                )
            estimates += told_of
            law = f.family.law(f.psi)
            patience |= {t: DurationFit(law, _candidates(f), tuple(e for e in told_of if e.subject == t), np.empty(0))
                         for t in f.pool.types}  # fmt: skip
        estimates += [hours_estimate(f, response, length_s, freedom), factors[f.pool.group]]
    estimates += [Estimate("shrinkage", g, 0.0, unit="share", source="assumed",
                           detail="heads on duty are net: they are those that the waits show") for g in base.agent_groups]  # fmt: skip
    notes += _said(columns, fits, history, assumed) + [
        n for f, m in zip(fits, found, strict=True) for n in _unmet(f, m)
    ]
    heads = _heads_fit(fits, told, world, factors, notes)
    laws = {t: DurationFit(law, pd.DataFrame(), (), np.empty(0)) for t, law in handle.items()}
    stays, said = kept_estimates(base, patience=patience)
    estimates += stays
    notes += said
    from bposim.calibrate.fit import scenario_of

    scenario = scenario_of(base, arrivals, laws, patience, heads, first, estimates)
    notes = list(dict.fromkeys(notes))
    warn_once(assumed, doubts, 3)
    inputs = {"base": given.hash, "until": str(until), "first": first, "last": last}
    if special_days is not None:
        inputs["special_days"] = str(special_days)
    made = Provenance("calibrate", inputs, (history.provenance,))
    return Calibration(
        scenario, given, arrivals, laws, patience, tuple(estimates), tuple(notes), (first, last), made, heads=heads
    )


def report_staffing(
    cal: Calibration, history: Any, scenario: Scenario | None = None
) -> tuple[pd.DataFrame, dict[str, np.ndarray]]:
    """Return the contacts that a report counts and the heads that explain its own waits and abandonments.

    Patience and handle times are those of the calibration. Heads of an interval depart from the calibration's profile as
    far as the report of that interval and its neighbours asks for it, and are such that the simulated report meets the
    observed one.

    Parameters
    ----------
    cal : Calibration
    history : History
        Interval report of the days to be played.
    scenario : Scenario, optional
        On whose grid; None takes the calibration's on the history's days.

    Returns
    -------
    volumes : DataFrame
        ``contact_type, interval_start, contacts``.
    staffing : dict of agent group to ndarray, shape (n_intervals,)
    """
    table = history.intervals
    pools = pools_of(cal.base)
    check_length(history, cal.scenario)
    columns = columns_of(table, source=history.source)
    first, last = history.days
    world = scenario or cal.scenario.replace(
        {"start": first, "days": (last - first).days + 1, "day_factor": None,
         "closed": sorted({*cal.scenario.closed, *history.missing_days})}
        | {f"contact_types.{t}.day_factor": None for t in cal.scenario.contact_types}
    )  # fmt: skip
    means = {t: float(kind.handle_time[0].mean) for t, kind in world.contact_types.items()}
    volumes = report_volumes(table, world)
    fits = []
    for pool, cells in zip(pools, report_cells(table, world, pools, columns, means), strict=True):
        profile = np.log(np.maximum(world.scheduled_heads(pool.group), 0.05))
        day = np.unique(world.grid.day, return_inverse=True)[1]
        known = PatienceFamily("fixed", fixed=world.contact_types[pool.types[0]].patience[0])
        fits.append(
            PoolFit(pool, cells, np.arange(len(profile)), profile, interval_prior(day, profile), known, np.zeros(0),
                    _mean_handle(pool, means, table), columns, day, free=False)
        )  # fmt: skip
    replayer = Replayer(world, volumes, fits, seed=1)
    for k in range(12):
        for fit, played in zip(fits, replayer.play(fits), strict=True):
            score = fit.scores()
            each = score.of(played.moments, played.settled)
            over = float(each.var(axis=0).sum() / max(score.info.sum(), 1e-9))
            heads_step(fit, score, played.settled.mean(axis=0), played.moments.mean(axis=0), 0.8, over)
            if k in (1, 4, 7):
                fit.prior = fit.prior.chosen(fit.pull, fit.info, fit.heads)
    return volumes, {f.pool.group: f.staffing for f in fits}


def _check_types(table: pd.DataFrame, base: Scenario) -> None:
    named = table["contact_type"].astype(str)
    types = tuple(base.contact_types)
    offered = table["offered"].to_numpy(dtype=float, na_value=0.0)
    problems = [
        f"the report counts {offered[(named == t).to_numpy()].sum():,.0f} contacts of type {t!r}, which scenario {base.name!r} "
        f"lacks. Its types: {', '.join(types)}. Add it to contact_types, or read the report with types=[…]."
        for t in sorted(set(named) - set(types))
    ]
    require(problems, CalibrationError)


def _dated(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each contact of the report, dated to the start of its interval: what arrivals are fitted to."""
    count = np.rint(table["offered"].to_numpy(dtype=float, na_value=0.0)).astype(np.int64)
    rows = np.repeat(np.arange(len(table)), count)
    return pd.DataFrame(
        {"arrived": table["interval_start"].iloc[rows].array, "contact_type": table["contact_type"].iloc[rows].array}
    )


def _handle_times(
    table: pd.DataFrame, base: Scenario, estimates: list[Estimate], notes: list[str], assumed: list[str]
) -> dict[str, Any]:
    """Return each type's handle time: the base scenario's law at the report's mean."""
    day = pd.DatetimeIndex(table["interval_start"]).tz_localize(None).normalize().asi8
    named = table["contact_type"].astype(str)
    laws: dict[str, Any] = {}
    for t, kind in base.contact_types.items():
        own = kind.handle_time[0]
        rows = table[(named == t).to_numpy()]
        use = (rows["handle_sum_s"].notna() & rows["answered"].notna()).to_numpy()
        code = np.unique(day[(named == t).to_numpy()][use], return_inverse=True)[1]
        top, bottom = (
            np.bincount(code, rows[c].to_numpy(dtype=float, na_value=0.0)[use]) for c in ("handle_sum_s", "answered")
        )
        if bottom.sum() < FEW or not top.sum() > 0:
            estimates.append(Estimate("mean handle time", t, own.mean, n=int(bottom.sum()), unit="s", source="assumed",
                                      detail="kept from the base scenario"))  # fmt: skip
            assumed.append(f"mean handle time of {t!r}")
            notes.append(f"{assumed[-1]} was assumed from the base scenario: only {bottom.sum():.0f} were answered.")
        else:
            keep = bottom > 0
            value, low, high = jackknife_ratio(top[keep], bottom[keep], None, int(keep.sum()) - 1)
            laws[t] = own.scaled(value / own.mean)
            estimates.append(Estimate("mean handle time", t, value, low, high, int(bottom.sum()), "s", "estimated",
                                      f"sum of the report over its answered; {own.kind} as in the base scenario"))  # fmt: skip
        estimates.append(Estimate("handle time cv", t, own.cv, source="assumed",
                                  detail="kept from the base scenario: sums tell no spread"))  # fmt: skip
    return laws


def _mean_handle(pool: Pool, means: Mapping[str, float], table: pd.DataFrame) -> float:
    offered = table.groupby(table["contact_type"].astype(str))["offered"].sum()
    weight = np.array([float(offered.get(t, 0.0)) for t in pool.types])
    return float(np.average([means[t] for t in pool.types], weights=weight if weight.sum() > 0 else None))


def _start(pool: Pool, cells: ReportCells, world: Scenario, columns: Columns, handle_s: float) -> PoolFit:
    """Return a pool's first guess: heads from the load, patience from waits of the answered and abandonments."""
    grid = world.grid
    width = int(grid.slot.max()) + 1
    cell, code = np.unique(grid.weekday * width + grid.slot, return_inverse=True)
    count = np.bincount(code)
    load = np.bincount(code, cells.load) / count
    centre = np.log(np.maximum(load + 0.5 * np.sqrt(load), 0.3))
    minute = np.zeros(len(cell), dtype=int)
    minute[code] = grid.minute
    prior = profile_prior(cell // width, minute, centre, GUESS, round(world.interval / 60))
    left = float(cells.moments[:, 0].sum())
    heard = columns.names.index("wait_answered_sum_s") if columns.wait_answered else None
    waits = float(cells.moments[:, heard].sum()) if heard is not None else 60.0 * left
    mean = float(np.clip(1.4 * waits / max(left, 1.0), 20.0, 20_000.0))
    family = PatienceFamily("exponential")
    day = np.unique(grid.day, return_inverse=True)[1]
    return PoolFit(pool, cells, code, centre, prior, family, family.start(mean), handle_s, columns, day)


def _families(fits: Sequence[PoolFit], replayer: Replayer, found: Sequence[Match]) -> list[PoolFit]:
    """Give each pool the simplest law of patience with which the simulated report meets the observed one."""
    columns = replayer.columns
    free = len(columns.names) - 1
    candidates = []
    if columns.wait_abandoned or columns.abandoned_within:  # only they tell how soon people hang up
        candidates.append(PatienceFamily("weibull"))
    if columns.abandoned_within and free >= 2 + len(columns.abandoned_within):
        candidates.append(PatienceFamily("piecewise", (0.0, *(t for t in columns.abandoned_within if t > 0))))
    candidates = [c for c in candidates if c.size < free]
    result = list(fits)
    if not candidates or not any(f.free for f in fits):
        return result
    best = [m.misfit for m in found]
    tables = [[("exponential", 1, b)] for b in best]
    for family in candidates:
        if not any(f.free and b > CLEARLY for f, b in zip(fits, best, strict=True)):
            break  # nothing is left that another law could explain better
        tried = [with_family(f, family, family.start(float(f.family.law(f.psi).mean))) if f.free else f for f in fits]
        by_erlang(tried)
        for k, (f, m) in enumerate(zip(tried, by_simulation(tried, replayer), strict=True)):
            if not f.free:
                continue
            tables[k].append((family.kind, family.size, m.misfit))
            value = m.misfit + CLEARLY * (family.size - 1)
            if value < best[k]:
                best[k], result[k] = value, f
    for f, rows in zip(result, tables, strict=True):
        f.tried = tuple(rows)
    return result


def _candidates(fit: PoolFit) -> pd.DataFrame:
    frame = pd.DataFrame(fit.tried or [(fit.family.kind, 1, np.nan)], columns=["kind", "parameters", "misfit"])
    return frame.assign(chosen=frame["kind"] == fit.family.kind)


def _weekdays(world: Scenario) -> np.ndarray:
    grid = world.grid
    _, at = np.unique(grid.day, return_index=True)
    return np.asarray(grid.weekday[at])


def _factors(
    fits: list[PoolFit], replayer: Replayer, world: Scenario
) -> tuple[dict[str, Estimate], list[Told], list[Match], list[Played]]:
    """Estimate the day factors of heads and match again with them; return all that intervals are told from."""
    weekday = _weekdays(world)
    factors: dict[str, Estimate] = {}
    still: list[np.ndarray] = []
    for k in range(1 + FACTOR_STEPS):
        slope = slopes(fits, replayer)
        played = settle(fits, replayer, slope)
        told = [tell(f, p, s) for f, p, s in zip(fits, played, slope, strict=True)]
        if not k:
            factors = {f.pool.group: heads_factor(f, t, weekday) for f, t in zip(fits, told, strict=True)}
            still = [day_spread(f, t) for f, t in zip(fits, told, strict=True)]
        elif k < FACTOR_STEPS:
            for f, t, noise in zip(fits, told, still, strict=True):
                if f.cv:
                    factors[f.pool.group] = rescaled(factors[f.pool.group], f, t, noise, weekday)
        if k == FACTOR_STEPS or not any(e.value > 0 for e in factors.values()):
            break
        for f in fits:
            f.cv = factors[f.pool.group].value
        by_simulation(fits, replayer, 5)
    return factors, told, [match(f, p, s) for f, p, s in zip(fits, played, slope, strict=True)], played


def _heads_fit(
    fits: Sequence[PoolFit], told: Sequence[Told], world: Scenario, factors: Mapping[str, Estimate], notes: list[str]
) -> HeadsFit:
    grid = world.grid
    hours = (grid.end_ms - grid.start_ms) / 3.6e6
    by_weekday: dict[str, dict[int, list[float]]] = {}
    tables = []
    start = date.fromisoformat(str(world.start)[:10])
    for f, t in zip(fits, told, strict=True):
        heads = f.staffing
        found, unseen = heads_by_weekday(heads, grid, world)
        notes += [n for n in unseen if n not in notes]
        by_weekday[f.pool.group] = {d: mean.tolist() for d, mean in found.items()}
        expected = np.bincount(f.day, heads * hours)
        info, score = np.bincount(f.day, t.info), np.bincount(f.day, t.residual)
        noise = np.mean([np.bincount(f.day, row) ** 2 for row in t.replays], axis=0)
        kept = f.cv**2 * info**2 / np.maximum(f.cv**2 * info**2 + noise, 1e-12)  # as much as the day's score is worth
        ratio = np.exp(np.clip(kept * score / np.maximum(info, 1e-9), -1, 1))
        dates = pd.to_datetime([start + timedelta(days=int(d)) for d in np.unique(grid.day)])
        tables.append(pd.DataFrame({"date": dates, "weekday": _weekdays(world), "agent_group": f.pool.group,
                                    "hours": expected * ratio, "expected": expected, "ratio": ratio}))  # fmt: skip
    return HeadsFit(
        by_weekday, pd.concat(tables, ignore_index=True), {g: e.value for g, e in factors.items()}, None, True
    )


def _said(columns: Columns, fits: Sequence[PoolFit], history: Any, assumed: list[str]) -> list[str]:
    """Return what a reader must know of a calibration from a report alone; append the names of what was assumed."""
    notes = [
        "This calibration rests on an interval report alone. Heads and patience are those for which the simulated report meets "
        f"the observed one. What a report cannot tell is kept from the base scenario: {'; '.join(UNTOLD)}."
    ]
    for f in fits:
        if len(f.pool.types) > 1:
            notes.append(
                f"{', '.join(f.pool.types)} wait for the same agents ({f.pool.group}): their patience is told in common."
            )
    if not (columns.wait_abandoned or columns.abandoned_within):
        assumed.append("shape of patience")
        notes.append("The shape of patience was taken as exponential (assumed): the report says nothing of how long those "
                     "who hung up had waited. The sum of their waits, or abandoned within a threshold, would tell it.")  # fmt: skip
    if history.booking == "end":
        assumed.append("interval in which contacts arrived")
        notes.append(
            "The report books contacts to the interval in which they end; they are taken as if booked at arrival (assumed)."
        )
    return notes


def _unmet(fit: PoolFit, match: Match) -> list[str]:
    """Say where no heads and no patience make the simulated report the observed one."""
    from scipy.stats import chi2

    freedom = len(match.gap) - 1 - (fit.family.size if fit.free else 0)
    if freedom < 1 or chi2.sf(match.misfit, freedom) > UNMET:
        return []
    total = max(float(fit.cells.settled.sum()), 1.0)
    told = []
    for name, gap in zip(fit.columns.names, match.gap, strict=True):
        if name.endswith("_sum_s"):
            told.append(f"{name} {-gap / total:+.1f} s a contact")
        else:
            told.append(f"{name} {-100 * gap / total:+.1f} points")
    return [
        f"The simulated report of {fit.pool.group!r} does not meet the observed one in everything (misfit {match.misfit:.0f}, "
        f"{freedom} degrees of freedom): simulated less observed is {', '.join(told)}. Something else is at work than a pool "
        "that answers in order with heads that are steady within an interval; intervals of patience and heads do not cover it."
    ]


__all__ = ["calibrate_reports", "report_staffing"]
