"""Does the fitted scenario reproduce what happened, given the contacts and the agents there really were?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.formulas import formula_errors, formula_intervals, means_by_slot
from bposim.calibrate.played import Coarse, Spread, held_volumes, places, play_coarse
from bposim.calibrate.replay import (
    as_seen,
    observed_staffing,
    observed_volumes,
    paced,
    replay_world,
    without_multiplier,
)
from bposim.calibrate.verdict import BAND, RULE, compare, expected_coverage, judge
from bposim.errors import CalibrationError, ParameterError, parameter
from bposim.history.hours import ranges_text
from bposim.metrics import ContactSource
from bposim.provenance import Provenance
from bposim.units import seconds

if TYPE_CHECKING:
    from bposim.calibrate import Calibration
    from bposim.scenario import Scenario

#: Share by which handle times may differ from the fitted ones, and contacts be left out, without a word.
SMALL_DRIFT = 0.02


@dataclass(frozen=True, eq=False)
class Backtest:
    """Observed against simulated.

    Attributes
    ----------
    frame : DataFrame
        ``metric, observed, simulated, low, high, error, inside, coverage, verdict, reason``; low and high hold 90 % of the
        replications, ``coverage`` is the share of intervals within their own band.
    days, weeks, intervals : DataFrame
        ``day`` (``week``, ``interval_start``) ``, metric, observed, simulated, low, high, inside, contacts``: the contacts that
        the metric is over, those answered for the ASA. A week is named by its Monday; ``days`` says how many open days of
        it were played, ``partial`` whether they are fewer than in the fullest week.
    coverage : DataFrame
        ``level, metric, windows, inside, expected``: the share of intervals, days and weeks whose observed value lies in the
        band, and the share that should: 90 % of many replications, 74 % of 10, whose bands are narrower. Bands hold what chance
        leaves open once contacts and heads are known; that a handle time drifts, say, is not in them.
    formulas : DataFrame
        ``model, level, metric, error, intervals, unstable``: mean absolute error of the simulation, of Erlang A and of Erlang
        C, by interval (weighted by the contacts that the metric is over), by day and over the stretch, as shares, of the ASA in
        seconds; the formulas have the same contacts, heads and handle times. All models are compared on the same
        ``intervals``: those in which one of them is ``unstable`` (its wait is infinite) are left out of the ASA of all. Empty
        where other volumes were played than came.
    verdict : "pass", "weak" or "fail"
    reason : str
    heads : "observed" or "profile"
        Whose heads were played: those inferred for the very intervals, or the scenario's own with their day factor.
    profile : Backtest or None
        Beside observed heads, the same contacts with the scenario's own: what a promise rests on.
    """

    frame: pd.DataFrame
    days: pd.DataFrame
    verdict: str
    reason: str
    first: date
    last: date
    provenance: Provenance
    heads: str = "observed"
    profile: Backtest | None = None
    weeks: pd.DataFrame = field(default_factory=pd.DataFrame)
    intervals: pd.DataFrame = field(default_factory=pd.DataFrame)
    coverage: pd.DataFrame = field(default_factory=pd.DataFrame)
    formulas: pd.DataFrame = field(default_factory=pd.DataFrame)

    def summary(self) -> pd.DataFrame:
        """Return the comparison over the whole stretch: ``heads`` and the columns of ``frame`` but the reason."""
        views = [self] if self.profile is None else [self, self.profile]
        return pd.concat([v.frame.assign(heads=v.heads) for v in views], ignore_index=True)[
            ["heads", *self.frame.columns.drop("reason")]
        ]

    @property
    def beside(self) -> str:
        """Say in a sentence what came of the scenario's own heads; empty where they were not played."""
        if self.profile is None:
            return ""
        same = self.profile.verdict == self.verdict == "pass"
        tail = "" if same or self.profile.verdict == "pass" else f" {self.profile.reason}"
        return f"With the heads that the scenario expects instead of those on duty: {self.profile.verdict}.{tail}"

    @property
    def against(self) -> str:
        """Say in a sentence how the formulas do on the same contacts and heads; empty where they were not asked."""
        if self.formulas.empty:
            return ""
        name = str(self.frame["metric"].iloc[0])
        table = self.formulas[(self.formulas["metric"] == name) & (self.formulas["level"] == "interval")]
        error = dict(zip(table["model"], table["error"], strict=True))
        said = (
            f"Mean absolute error of the {name.replace('_', ' ')} by interval: simulation {100 * error['simulation']:.1f} points, "
            f"Erlang A {100 * error['erlang-a']:.1f}, Erlang C {100 * error['erlang-c']:.1f}."
        )
        asa = self.formulas[(self.formulas["metric"] == "asa") & (self.formulas["level"] == "interval")]
        lost = int(asa["unstable"].max()) if len(asa) else 0
        if not lost:
            return said
        every = lost + int(asa["intervals"].max())
        return (
            f"{said} Erlang C has no steady state in {lost} of {every} intervals: there it answers nobody in time, and the ASA of "
            "all models is compared on the others."
        )

    def plot(self, ax: Any = None, metric: str | None = None, level: str = "day") -> Any:
        """Draw observed over simulated by day, week or interval; returns ``ax``."""
        from bposim.calibrate.plots import plot_backtest

        return plot_backtest(self, ax, metric, level)

    def plot_coverage(self, ax: Any = None) -> Any:
        """Draw the share of intervals, days and weeks within their band; returns ``ax``."""
        from bposim.calibrate.plots import plot_coverage

        return plot_coverage(self, ax)

    def __repr__(self) -> str:
        whose = "" if self.heads == "observed" else ", the scenario's own heads"
        lines = [f"Back-test {self.first} to {self.last}{whose}: {self.verdict.upper()}. {self.reason}"]
        lines += [
            f"  {r.metric:<20} observed {r.observed:8.4g}  simulated {r.simulated:8.4g} [{r.low:.4g}, {r.high:.4g}]  {r.verdict}"
            for r in self.frame.itertuples()
        ]
        lines += [f"  {RULE}"]
        lines += [f"  {self.against}"] if self.against else []
        if self.profile is not None:
            lines += [self.beside, *repr(self.profile).splitlines()[1:]]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        text = f"<p><b>{self.verdict}</b>: {self.reason} {self.against} {self.beside}</p>"
        return text + self.summary().to_html(index=False, float_format=lambda x: f"{x:.4g}")


@dataclass(frozen=True, eq=False)
class Stretch:
    """A stretch of history laid over a scenario.

    Attributes
    ----------
    own, world : Scenario
        On the scenario's grid, and on the fine one that is played.
    seen : Source
        What was observed, on the scenario's grid.
    volumes : DataFrame
        Contacts that came, on the fine grid, with ``handle_factor`` where it is known who was there.
    staffing : mapping of group to ndarray
        Heads on the fine grid.
    occupancy : float
    handled : Series or None
        Mean handle time of each day over what the laws and the agents on duty lead one to expect, by date.
    left_out : float
        Share of the contacts that came outside the open hours or are of types that the scenario lacks.
    absent : tuple of date
        Open days asked for of which the history holds no contact; they are not played.
    """

    own: Scenario
    world: Scenario
    seen: Any
    volumes: pd.DataFrame
    staffing: dict[str, np.ndarray]
    occupancy: float
    handled: pd.Series | None = None
    left_out: float = 0.0
    absent: tuple[date, ...] = ()


def backtest(
    cal: Calibration, history: Any, start: Any, end: Any, *, heads: str, volumes: Any, handle_times: str, replications: int,
    seed: int,
    within: str | Sequence[str],
) -> Backtest:  # fmt: skip
    """Run the back-test; see :meth:`Calibration.backtest`."""
    if heads not in ("observed", "profile"):
        raise ParameterError(parameter("heads", "backtest()", "'observed' or 'profile'", heads))
    if history.kind == "counts":
        raise CalibrationError(
            "backtest() needs a contact log or an interval report: bare counts tell nothing of the service."
        )
    if handle_times not in ("fitted", "observed"):
        raise ParameterError(parameter("handle_times", "backtest()", "'fitted' or 'observed'", handle_times))
    stretch = stretch_of(cal, history, start, end)
    if handle_times == "observed":
        stretch = replace(stretch, volumes=_as_handled(stretch))
    first, last = stretch.own.start, stretch.own.start + timedelta(days=stretch.own.days - 1)
    lost: tuple[date, ...] = ()
    if volumes is not None:
        shut = {*stretch.own.closed} - {*cal.scenario.closed}
        volumes, lost = held_volumes(volumes, stretch.own, shut, end is None)
    asked = [within] if isinstance(within, str) else list(within)
    thresholds = list(dict.fromkeys([*asked, "60s"]))

    def play(which: str) -> Backtest:
        world: Scenario
        staffing: Any
        given: Any
        if which == "observed":
            world, staffing = stretch.world, stretch.staffing
            given = (
                stretch.volumes if volumes is None else Spread.of(volumes, stretch.own, world, stretch.volumes, seed)
            )
        else:
            world, staffing = stretch.own, None
            given = volumes if volumes is not None else _coarse_volumes(stretch)
        played = play_coarse(
            as_seen(world) if which == "observed" else world,
            stretch.own,
            volumes=given,
            staffing=staffing,
            replications=replications,
            seed=seed,
            within=thresholds,
        )
        inputs: dict[str, Any] = {"start": first, "last": last, "seed": seed, "within": [seconds(t) for t in asked]}
        inputs |= {} if which == "observed" else {"heads": which}
        made = Provenance("backtest", inputs, (cal.provenance,))
        frame, tables = _comparison(played, stretch, thresholds)
        verdict, reason = judge(frame)
        if verdict != "pass" and handle_times == "fitted":
            reason = " ".join(filter(None, [reason, _drift(stretch)]))
        reason = " ".join([reason, *_doubts(cal, stretch, lost)])
        formulas = pd.DataFrame()
        if which == "observed" and volumes is None:  # the formulas have the contacts that came
            predicted = formula_intervals(
                cal, stretch.own, _coarse_volumes(stretch, factor=True), _coarse_heads(stretch), thresholds
            )
            formulas = formula_errors(tables["interval"], predicted)
        return Backtest(
            frame, tables["day"], verdict, reason, first, last, made, which, None, tables["week"], tables["interval"],
            _coverage(tables, replications), formulas,
        )  # fmt: skip

    done = play(heads)
    return replace(done, profile=play("profile")) if heads == "observed" else done


def stretch_of(cal: Calibration, history: Any, start: Any = None, end: Any = None) -> Stretch:
    """Lay the days of a history from ``start`` until before ``end`` over a calibration's scenario."""
    first = pd.Timestamp(start).date() if start is not None else history.days[0]
    last = pd.Timestamp(end).date() - timedelta(days=1) if end is not None else history.days[1]
    test = history.between(first, last + timedelta(days=1))
    absent = _absent(cal, test, first, last)
    make = _from_log if history.contacts is not None else _from_report
    return make(cal, test, first, last, absent)


def _absent(cal: Calibration, test: Any, first: date, last: date) -> tuple[date, ...]:
    """Return the days asked for that the scenario is open on and of which the history holds nothing."""
    held = set(pd.DatetimeIndex(test.daily()["date"].unique()).date)
    asked = (first + timedelta(days=k) for k in range((last - first).days + 1))
    hours, closed = cal.scenario.opening_hours, set(cal.scenario.closed)
    return tuple(d for d in asked if d not in held and hours.get(d.weekday()) and d not in closed)


def _from_log(cal: Calibration, test: Any, first: date, last: date, absent: tuple[date, ...]) -> Stretch:
    """Lay a contact log over the scenario: the very contacts, and the agents inferred from what they did."""
    own, world = replay_world(cal.scenario, first, (last - first).days + 1, {*test.missing_days, *absent})
    if not len(own.grid):
        raise CalibrationError(f"the scenario is never open from {first} to {last}.")
    volumes, inside = observed_volumes(test.contacts, world)
    log = test.contacts[inside]
    staffing, spans = observed_staffing(
        test.contacts, world, wrap_up_s=cal.wrap_up_s, gap_s=cal.gap_s, grouped=cal.grouped
    )
    for g in world.agent_groups:
        if not (spans["agent_group"] == g).any():
            staffing[g] = _stretched(own.scheduled_heads(g), own, world)
    # A group that names its agents has their speeds; heads seen at work have none, so they are paces of the minute.
    speeds = {a: body.speed for group in world.agent_groups.values() for a, body in group.agents.items()}
    paces = {**cal.paces, **speeds}
    if paces:
        volumes = paced(spans, paces, volumes, world)
    seen = ContactSource(log, starts=own.grid.starts, hours=own.grid.hours, types=tuple(own.contact_types))
    served = log[log["outcome"] == "answered"]
    work = [law.mean for k in own.contact_types.values() if k.after_contact_work for law in k.after_contact_work]
    busy = served["handle_s"].fillna(0).sum() + len(served) * (float(np.mean(work)) if work else 0.0)
    present = sum(float((h * world.grid.hours).sum() * 3600) for h in staffing.values())
    occupancy = float(busy / present) if present else np.nan
    return Stretch(
        own,
        world,
        seen,
        volumes,
        staffing,
        occupancy,
        _handled(served, volumes, world),
        float((~inside).mean()),
        absent,
    )


def _handled(served: pd.DataFrame, volumes: pd.DataFrame, world: Scenario) -> pd.Series:
    """Return, by date, the sum of handle times over the sum of those expected."""
    grid = world.grid
    known = served[served["handle_s"].notna()]
    handle = without_multiplier(known, world)
    at = pd.DatetimeIndex(known["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    start = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    place = np.searchsorted(start, at, side="right") - 1
    name = known["contact_type"].astype(str).to_numpy()
    expected = np.zeros(len(known))
    for t, kind in world.contact_types.items():
        mine = name == t
        mean = means_by_slot(kind.handle_time, grid.slot)
        if "handle_factor" in volumes:
            mean = mean * volumes.loc[volumes["contact_type"] == t, "handle_factor"].to_numpy()
        expected[mine] = mean[place[mine]]
    sums = pd.DataFrame({"day": grid.starts.tz_localize(None).normalize()[place], "y": handle, "e": expected})
    table = sums.groupby("day").sum()
    return table["y"] / table["e"]


def _as_handled(stretch: Stretch) -> pd.DataFrame:
    """Return volumes whose handle times have each day's own mean."""
    if stretch.handled is None:
        raise CalibrationError(
            'handle_times="observed" needs a contact log: a report\'s handle times are those of the stretch.'
        )
    day = pd.DatetimeIndex(stretch.volumes["interval_start"]).tz_localize(None).normalize()
    ratio = stretch.handled.reindex(day).fillna(1.0).to_numpy()
    known = stretch.volumes["handle_factor"].to_numpy() if "handle_factor" in stretch.volumes else 1.0
    return stretch.volumes.assign(handle_factor=known * ratio)


def _doubts(cal: Calibration, stretch: Stretch, lost: tuple[date, ...]) -> list[str]:
    """Say in sentences why the test may say less than it seems to."""
    days = {d.date() for d in stretch.own.grid.starts.tz_localize(None).normalize().unique()}
    known = sum(cal.days[0] <= d <= cal.days[1] for d in days)
    said = []
    if known:
        said.append(f"{known} of its {len(days)} days were fitted on: that a model meets them says little.")
    if stretch.absent:
        n = len(stretch.absent)
        said.append(
            f"{n} open day{'s' * (n > 1)} asked for hold{'s' * (n == 1)} no contact in the history ({ranges_text(stretch.absent)}) and "
            f"{'are' if n > 1 else 'is'} not played."
        )
    if lost:
        said.append(
            f"The volumes of {len(lost)} day{'s' * (len(lost) > 1)} are left out, for the history holds nothing to compare them "
            f"with ({ranges_text(lost)})."
        )
    if stretch.left_out > SMALL_DRIFT:
        said.append(
            f"{100 * stretch.left_out:.0f} % of the contacts came outside the scenario's open hours or are of types that it lacks; they are left out."
        )
    return said


def _drift(stretch: Stretch) -> str:
    """Say in a sentence how far handle times were from what was fitted; empty where they were not."""
    if stretch.handled is None or not len(stretch.handled):
        return ""
    off = float(stretch.handled.mean()) - 1
    if abs(off) < SMALL_DRIFT:
        return ""
    return (
        f"Handle times were {100 * abs(off):.0f} % {'longer' if off > 0 else 'shorter'} than fitted, agents on duty considered; "
        'handle_times="observed" shows what that makes.'
    )


def _from_report(cal: Calibration, test: Any, first: date, last: date, absent: tuple[date, ...]) -> Stretch:
    """Lay an interval report over the scenario: its counts, and the heads with which Erlang A gives what it tells."""
    from bposim.calibrate.reports import report_staffing

    own, _ = replay_world(cal.scenario, first, (last - first).days + 1, {*test.missing_days, *absent})
    volumes, staffing = report_staffing(cal, test, own)
    counts = test.counts((20.0, 60.0))
    busy = float(np.nansum(counts.contacts["handle_sum_s"])) if "handle_sum_s" in counts.contacts else np.nan
    present = sum(float((h * own.grid.hours).sum() * 3600) for h in staffing.values())
    return Stretch(own, own, test, volumes, dict(staffing), busy / present if present else np.nan, absent=absent)


def _stretched(values: np.ndarray, own: Scenario, world: Scenario) -> np.ndarray:
    return np.asarray(values)[places(own, world)]


def _coarse_heads(stretch: Stretch) -> dict[str, np.ndarray]:
    place, n = places(stretch.own, stretch.world), len(stretch.own.grid)
    hours = stretch.world.grid.hours
    return {g: np.bincount(place, h * hours, n) / stretch.own.grid.hours for g, h in stretch.staffing.items()}


def _coarse_volumes(stretch: Stretch, *, factor: bool = False) -> pd.DataFrame:
    place, n = places(stretch.own, stretch.world), len(stretch.own.grid)
    rows = []
    for t in stretch.own.contact_types:
        mine = stretch.volumes[stretch.volumes["contact_type"] == t]
        count = mine["contacts"].to_numpy()
        table = pd.DataFrame({"contact_type": t, "interval_start": stretch.own.grid.starts})
        table["contacts"] = np.bincount(place, count, n).astype(count.dtype)
        if factor and "handle_factor" in mine:
            value = mine["handle_factor"].to_numpy()
            weight = np.bincount(place, count, n)
            table["handle_factor"] = np.where(
                weight > 0,
                np.bincount(place, count * value, n) / np.maximum(weight, 1e-9),
                np.bincount(place, value, n) / np.bincount(place, minlength=n),
            )
        rows.append(table)
    return pd.concat(rows, ignore_index=True)


def _comparison(played: Coarse, stretch: Stretch, within: list[str]) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """Return the table of metrics, and the tables of intervals, days and weeks."""
    from bposim.metrics import summary, windows

    asks = [(f"service_level {t}", "service_level", t) for t in within]
    asks += [("abandonment", "abandonment", within[0]), ("asa", "asa", within[0])]
    seen, rows = stretch.seen, []
    tables: dict[str, list[pd.DataFrame]] = {"interval": [], "day": [], "week": []}
    for label, metric, t in asks:
        try:
            observed = float(summary(seen, metrics=metric, within=t)["value"].iloc[0])
        except ParameterError:
            continue  # a report that has not counted this threshold
        for level, found in tables.items():
            mine = windows(seen, metric, level, within=t)[["window_start", "value", "denominator"]]
            mine = mine.rename(columns={"value": "observed", "denominator": "contacts"})
            band = windows(played, metric, level, within=t).groupby("window_start")["value"]
            ends = band.quantile([(1 - BAND) / 2, (1 + BAND) / 2]).unstack().set_axis(["low", "high"], axis=1)
            merged = mine.merge(ends.assign(simulated=band.mean()).reset_index(), on="window_start").assign(
                metric=label
            )
            merged["inside"] = merged["observed"].between(merged["low"], merged["high"])
            found.append(merged)
        whole = windows(played, metric, "all", within=t)["value"]
        rows.append(compare(label, metric, observed, whole, tables["interval"][-1]))
    if np.isfinite(stretch.occupancy):
        whole = windows(played, "occupancy", "all")["value"]
        rows.append(compare("occupancy", "occupancy", stretch.occupancy, whole, None))
    named = {"interval": "interval_start", "day": "day", "week": "week"}
    order = ["metric", "observed", "simulated", "low", "high", "inside", "contacts"]
    done = {
        level: pd.concat(found, ignore_index=True).rename(columns={"window_start": named[level]})[
            [named[level], *order]
        ]
        for level, found in tables.items()
    }
    done["week"] = _with_days(done["week"], stretch.own)
    return pd.DataFrame(rows), done


def _with_days(weeks: pd.DataFrame, own: Scenario) -> pd.DataFrame:
    """Return the weeks with the number of their open days, and whether they are fewer than in the fullest."""
    days = pd.DatetimeIndex(own.grid.starts.tz_localize(None).normalize().unique())
    count = (days - pd.to_timedelta(days.day_of_week, unit="D")).value_counts()
    held = weeks["week"].dt.tz_localize(None).map(count).fillna(0).astype("int64")
    return weeks.assign(days=held, partial=held < count.max())


def _coverage(tables: dict[str, pd.DataFrame], replications: int) -> pd.DataFrame:
    due = expected_coverage(replications)
    rows = [
        (level, name, len(mine), float(mine["inside"].mean()), due)
        for level, table in tables.items()
        for name, part in table.groupby("metric", sort=False)
        if len(mine := part[part["observed"].notna()])
    ]
    return pd.DataFrame(rows, columns=["level", "metric", "windows", "inside", "expected"])
