"""Does the fitted scenario reproduce what happened, given the contacts and the agents there really were?"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.presence import heads_on_grid, presence_spans, skills_of
from bposim.calibrate.replay import observed_volumes
from bposim.errors import CalibrationError, ParameterError, parameter
from bposim.metrics import ContactSource
from bposim.provenance import Provenance
from bposim.units import seconds

if TYPE_CHECKING:
    from bposim.calibrate import Calibration

#: Absolute errors up to which a metric passes, and up to which it is weak: points of share, or a share of the value.
LIMITS = {"service_level": (0.03, 0.06), "abandonment": (0.015, 0.03), "asa": (0.15, 0.30), "occupancy": (0.03, 0.06)}


@dataclass(frozen=True, eq=False)
class Backtest:
    """Observed against simulated.

    Attributes
    ----------
    frame : DataFrame
        ``metric, observed, simulated, low, high, error, inside, verdict``; low and high hold 90 % of the replications.
    days : DataFrame
        ``day, metric, observed, simulated, low, high, inside``.
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

    def summary(self) -> pd.DataFrame:
        """Return the comparison over the whole stretch: ``heads`` and the columns of ``frame``, by whose heads were played."""
        views = [self] if self.profile is None else [self, self.profile]
        return pd.concat([v.frame.assign(heads=v.heads) for v in views], ignore_index=True)[["heads", *self.frame]]

    @property
    def beside(self) -> str:
        """Say in a sentence what came of the scenario's own heads; empty where they were not played."""
        if self.profile is None:
            return ""
        same = self.profile.verdict == self.verdict == "pass"
        tail = "" if same or self.profile.verdict == "pass" else f" {self.profile.reason}"
        return f"With the heads that the scenario expects instead of those on duty: {self.profile.verdict}.{tail}"

    def plot(self, ax: Any = None, metric: str | None = None) -> Any:
        """Draw observed over simulated by day; returns ``ax``."""
        from bposim.calibrate.plots import plot_backtest

        return plot_backtest(self, ax, metric)

    def __repr__(self) -> str:
        whose = "" if self.heads == "observed" else ", the scenario's own heads"
        lines = [f"Back-test {self.first} to {self.last}{whose}: {self.verdict.upper()}. {self.reason}"]
        lines += [
            f"  {r.metric:<20} observed {r.observed:8.4g}  simulated {r.simulated:8.4g} [{r.low:.4g}, {r.high:.4g}]  {r.verdict}"
            for r in self.frame.itertuples()
        ]
        if self.profile is not None:
            lines += [self.beside, *repr(self.profile).splitlines()[1:]]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<p><b>{self.verdict}</b>: {self.reason} {self.beside}</p>" + self.summary().to_html(
            index=False, float_format=lambda x: f"{x:.4g}"
        )


def backtest(
    cal: Calibration, history: Any, start: Any, end: Any, *, heads: str, replications: int, seed: int, within: str
) -> Backtest:
    """Run the back-test; see :meth:`Calibration.backtest`."""
    from bposim.simulate import simulate

    if heads not in ("observed", "profile"):
        raise ParameterError(parameter("heads", "backtest()", "'observed' or 'profile'", heads))
    if history.contacts is None:
        raise CalibrationError("backtest() needs a contact log: one row for each contact.")
    first = pd.Timestamp(start).date() if start is not None else history.days[0]
    last = pd.Timestamp(end).date() - timedelta(days=1) if end is not None else history.days[1]
    test = history.between(first, last + timedelta(days=1))
    missing = test.missing_days
    scenario = cal.scenario.replace(
        {
            "start": first,
            "days": (last - first).days + 1,
            "day_factor": None,
            "closed": [*cal.scenario.closed, *missing],
        }
        | {f"contact_types.{t}.day_factor": None for t in cal.scenario.contact_types}
    )
    grid = scenario.grid
    if not len(grid):
        raise CalibrationError(f"the scenario is never open from {first} to {last}.")
    start_ms = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    volumes, inside = observed_volumes(test.contacts, scenario)
    log = test.contacts[inside]
    spans = presence_spans(test.contacts, skills_of(scenario), gap_s=cal.gap_s, grouped=cal.grouped)
    staffing = {}
    for g in scenario.agent_groups:
        mine = spans[spans["agent_group"] == g]
        staffing[g] = heads_on_grid(mine, start_ms, length) if len(mine) else scenario.scheduled_heads(g)
    seen = ContactSource(log, starts=grid.starts, hours=grid.hours, types=tuple(scenario.contact_types))
    busy = (log["handle_s"].fillna(0)).sum()
    present = sum(float((h * length).sum() / 1000) for h in staffing.values())
    occupancy = float(busy / present) if present else np.nan

    def play(which: str) -> Backtest:
        runs = simulate(
            scenario, volumes=volumes, staffing=staffing if which == "observed" else None, replications=replications,
            seed=seed, within=[within, "60s"], progress=False,
        )  # fmt: skip
        frame, days = _comparison(runs, seen, occupancy, within)
        inputs = {"start": first, "last": last, "seed": seed, "within": seconds(within)}
        made = Provenance("backtest", inputs if which == "observed" else inputs | {"heads": which}, (cal.provenance,))
        return Backtest(frame, days, *_judge(frame), first, last, made, which)

    done = play(heads)
    return replace(done, profile=play("profile")) if heads == "observed" else done


def _comparison(runs: Any, seen: ContactSource, occupancy: float, within: str) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the table of metrics and the table of days."""
    from bposim.metrics import summary, windows

    asks = [(f"service_level {within}", "service_level", within), ("service_level 60s", "service_level", "60s"),
            ("abandonment", "abandonment", within), ("asa", "asa", within)]  # fmt: skip
    rows, days = [], []
    for label, metric, t in asks:
        observed = float(summary(seen, metrics=metric, within=t)["value"].iloc[0])
        spread = runs.windows(metric, "all", within=t)["value"]
        rows.append(_compare(label, metric, observed, spread))
        mine = windows(seen, metric, "day", within=t)[["window_start", "value"]].rename(columns={"value": "observed"})
        band = runs.windows(metric, "day", within=t).groupby("window_start")["value"]
        table = band.quantile([0.05, 0.5, 0.95]).unstack().set_axis(["low", "simulated", "high"], axis=1).reset_index()
        merged = mine.merge(table, on="window_start").assign(metric=label)
        merged["inside"] = merged["observed"].between(merged["low"], merged["high"])
        days.append(merged.rename(columns={"window_start": "day"}))
    rows.append(_compare("occupancy", "occupancy", occupancy, runs.windows("occupancy", "all")["value"]))
    return pd.DataFrame(rows), pd.concat(days, ignore_index=True)


def _judge(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the verdict and its reason."""
    verdicts = frame["verdict"].tolist()
    verdict = "fail" if "fail" in verdicts else "weak" if "weak" in verdicts else "pass"
    off = [
        f"{r.metric} {r.observed:.3g} observed, {r.simulated:.3g} simulated"
        for r in frame.itertuples()
        if r.verdict != "pass"
    ]
    return verdict, "Every metric lies within its limit." if not off else "Off: " + "; ".join(off) + "."


def _compare(label: str, metric: str, observed: float, spread: pd.Series) -> dict[str, Any]:
    simulated = float(spread.mean())
    low, high = spread.quantile([0.05, 0.95])
    error = simulated - observed
    size = abs(error) / observed if metric == "asa" and observed > 0 else abs(error)
    good, weak = LIMITS[metric]
    within = bool(low <= observed <= high)
    verdict = "pass" if size <= good or within else "weak" if size <= weak else "fail"
    return {"metric": label, "observed": observed, "simulated": simulated, "low": float(low), "high": float(high),
            "error": error, "inside": within, "verdict": verdict}  # fmt: skip
