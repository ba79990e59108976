"""First attempts: what is left of the contacts that came once the redials among them are taken off."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.arrivals import day_factors
from bposim.calibrate.estimates import Estimate, jackknife_ratio
from bposim.calibrate.redials import WHAT, RedialFit, closing_ms
from bposim.calibrate.slots import per_slot
from bposim.units import make_grid, zone

if TYPE_CHECKING:
    from bposim.calibrate.arrivals import ArrivalFit
    from bposim.scenario import Scenario


def _ms(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8


def expected_redials(
    contacts: pd.DataFrame, base: Scenario, starts_ms: np.ndarray, end_ms: np.ndarray
) -> dict[str, np.ndarray]:
    """Return the redials that the abandonments of a log lead one to expect, by type and interval.

    Parameters
    ----------
    contacts : DataFrame
    base : Scenario
        Its types' ``redial``.
    starts_ms, end_ms : ndarray of int64
        Intervals, UTC.

    Notes
    -----
    An abandonment at t adds r (F(b − t) − F(a − t)) to each later interval [a, b) until closing; what would fall after
    closing is not made.
    """
    hung_up = contacts[(contacts["outcome"] == "abandoned") & contacts["ended"].notna()]
    at = _ms(hung_up["ended"])
    close = closing_ms(contacts, base, at)
    kind = hung_up["contact_type"].astype(str).to_numpy()
    result = {t: np.zeros(len(starts_ms)) for t in base.contact_types}
    for t, body in base.contact_types.items():
        if body.redial is None or body.redial.after_abandonment <= 0:
            continue
        total = result[body.redial.to or t]
        x, end = at[kind == t], close[kind == t]
        k = np.searchsorted(end_ms, x, side="right")
        while True:  # interval by interval from each abandonment on
            alive = k < len(starts_ms)
            alive[alive] = starts_ms[k[alive]] < end[alive]
            if not alive.any():
                break
            x, end, k = x[alive], end[alive], k[alive]
            a, b = (np.maximum(v - x, 0) / 1000 for v in (starts_ms[k], np.minimum(end_ms[k], end)))
            np.add.at(total, k, body.redial.after_abandonment * (body.redial.delay.cdf(b) - body.redial.delay.cdf(a)))
            k = k + 1
    return result


def fresh_arrivals(
    arrivals: ArrivalFit,
    contacts: pd.DataFrame,
    base: Scenario,
    fit: RedialFit,
    first: date,
    last: date,
    missing: set[date],
) -> tuple[ArrivalFit, list[str]]:
    """Take expected redials off the fitted arrivals, so that first attempts and redials together are what came.

    Notes
    -----
    fresh = offered − redials by type, weekday and interval, over the days that the profile rests on. The day factor is
    fitted anew to the first attempts of the days: on a busy day more hang up and call again, so that the contacts that came
    vary more than the first attempts do, on which the scenario's factor works. Without a redial in ``base`` nothing changes.
    """
    if not any(b.redial is not None and b.redial.after_abandonment > 0 for b in base.contact_types.values()):
        return arrivals, []
    days = (last - first).days + 1
    grid = make_grid(first, days, zone(base.time_zone), base.interval, base.opening_hours, (*base.closed, *missing))
    begin = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    redials = expected_redials(contacts, base, begin, begin + (grid.end_ms - grid.start_ms))
    used = {d.date() for d in arrivals.days.loc[arrivals.days["used"], "date"]}
    use = np.array([date.fromordinal(first.toordinal() + int(d)) in used for d in grid.day])
    per_interval: dict[str, dict[int, tuple[float, ...]]] = {}
    estimates, cut = [], 0.0
    share = next((e for e in fit.estimates if e.parameter == WHAT and e.value > 0), None)
    for t, weekdays in arrivals.per_interval.items():
        per_interval[t] = {}
        for d, offered in weekdays.items():
            here = use & (grid.weekday == d)
            n = max(len(np.unique(grid.day[here])), 1)
            # A day may have an interval twice, or lack it, where the clock changes.
            often = np.bincount(grid.slot[here], minlength=len(offered))[: len(offered)]
            total = np.bincount(grid.slot[here], redials[t][here], minlength=len(offered))[: len(offered)]
            left = np.asarray(offered) - per_slot(total, often)
            cut += float(np.maximum(-left, 0).sum() * n)
            per_interval[t][d] = tuple(np.round(np.maximum(left, 0.0), 6).tolist())
        by_day = np.bincount(grid.day[use], redials[t][use], minlength=days)
        of_type = arrivals.days[arrivals.days["used"] & (arrivals.days["contact_type"] == t)]
        came = of_type["contacts"].to_numpy()
        again = by_day[[d.toordinal() - first.toordinal() for d in of_type["date"]]]
        if came.sum() > 0:
            ratio, low, high = jackknife_ratio(again, came, None, len(came) - 1)
            of_days = np.log(high / low) / 2 if ratio > 0 else np.nan
            of_share = np.log(share.high / share.low) / 2 if share and share.low > 0 else np.nan
            half = float(np.hypot(of_days, of_share))
            estimates.append(
                Estimate("first attempts of contacts", t, 1 - ratio, 1 - ratio * np.exp(half), 1 - ratio * np.exp(-half),
                         int(came.sum()), "share", "estimated" if share else "assumed",
                         "arrivals of the scenario are first attempts: offered less redials")
            )  # fmt: skip
    notes = (
        [f"{cut:.0f} expected redials fell into intervals with fewer contacts and were left out."] if cut >= 1 else []
    )
    common, own, busy = _factors_of_first_attempts(arrivals, redials, base, grid, first)
    told = [e for e in arrivals.estimates if e.parameter not in ("day factor cv", "own day factor cv")]
    kept = (*told, *busy, *estimates)
    return replace(arrivals, per_interval=per_interval, common_cv=common, own_cv=own, estimates=kept), notes


def _factors_of_first_attempts(
    arrivals: ArrivalFit, redials: Mapping[str, np.ndarray], base: Scenario, grid: Any, first: date
) -> tuple[float, dict[str, float], list[Estimate]]:
    """Return the day factors of what is left of every day; whether an abandonment calls again is chance too."""
    table = arrivals.days[arrivals.days["used"]].pivot(index="date", columns="contact_type", values="contacts")
    at = np.array([d.toordinal() - first.toordinal() for d in table.index])
    weekday = table.index.day_of_week.to_numpy()
    again = np.stack(
        [np.bincount(grid.day, redials[t], minlength=int(at.max()) + 1)[at] for t in arrivals.types], axis=1
    )
    left = table[list(arrivals.types)].to_numpy(dtype=float) - again
    expected, usual = left.copy(), again.copy()
    for d in np.unique(weekday):
        expected[weekday == d], usual[weekday == d] = left[weekday == d].mean(axis=0), again[weekday == d].mean(axis=0)
    stays = [1 - b.redial.after_abandonment if b.redial is not None else 1.0 for b in base.contact_types.values()]
    return day_factors(left, expected, weekday, arrivals.types, expected + usual * np.array(stays))


def redial_changes(fit: RedialFit, base: Scenario) -> tuple[Mapping[str, Any], list[str], list[str]]:
    """Return what a fit changes in the base scenario, what a reader must know, and the names of what was assumed."""
    changes: dict[str, Any] = {}
    notes, assumed = [], []
    for t, body in base.contact_types.items():
        if body.deferred:
            continue
        if fit.probability > 0 and fit.delay is not None:
            spec = {"after_abandonment": round(fit.probability, 6), "delay": fit.delay.to_spec()}
            if body.redial is not None and body.redial.after_blocking:
                spec["after_blocking"] = body.redial.after_blocking
            changes[f"contact_types.{t}.redial"] = spec
        elif fit.known:
            changes[f"contact_types.{t}.redial"] = None
        elif body.redial is not None:
            assumed.append(f"redial of {t!r}")
            notes.append(f"{assumed[-1]} was assumed from the base scenario: the log does not tell who calls again.")
    return changes, notes, assumed
