"""Does the fitted scenario reproduce what happened, given the contacts and the agents there really were?"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.presence import heads_on_grid, presence_spans
from bposim.errors import CalibrationError
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
    """

    frame: pd.DataFrame
    days: pd.DataFrame
    verdict: str
    reason: str
    first: date
    last: date
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the comparison over the whole stretch."""
        return self.frame

    def plot(self, ax: Any = None, metric: str | None = None) -> Any:
        """Draw observed over simulated by day; returns ``ax``."""
        from bposim.calibrate.plots import plot_backtest

        return plot_backtest(self, ax, metric)

    def __repr__(self) -> str:
        lines = [f"Back-test {self.first} to {self.last}: {self.verdict.upper()}. {self.reason}"]
        lines += [
            f"  {r.metric:<20} observed {r.observed:8.4g}  simulated {r.simulated:8.4g} [{r.low:.4g}, {r.high:.4g}]  {r.verdict}"
            for r in self.frame.itertuples()
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        return f"<p><b>{self.verdict}</b>: {self.reason}</p>" + self.frame.to_html(
            index=False, float_format=lambda x: f"{x:.4g}"
        )


def backtest(
    cal: Calibration, history: Any, start: Any, end: Any, *, replications: int, seed: int, within: str
) -> Backtest:
    """Run the back-test; see :meth:`Calibration.backtest`."""
    from bposim.metrics import summary, windows
    from bposim.simulate import simulate

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
    contacts = test.contacts
    at = pd.DatetimeIndex(contacts["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    start_ms = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    i = np.maximum(np.searchsorted(start_ms, at, side="right") - 1, 0)
    known = contacts["contact_type"].astype(str).isin(list(scenario.contact_types)).to_numpy()
    inside = known & (at >= start_ms[i]) & (at < start_ms[i] + length[i])
    log = contacts[inside]
    volumes = []
    for t in scenario.contact_types:
        mine = i[inside & (contacts["contact_type"].astype(str) == t).to_numpy()]
        count = np.bincount(mine, minlength=len(grid))
        volumes.append(
            pd.DataFrame({"contact_type": t, "interval_start": grid.starts, "contacts": count.astype(np.int64)})
        )
    skills = {g: list(body.skills) for g, body in scenario.agent_groups.items()}
    spans = presence_spans(contacts, skills, gap_s=cal.gap_s, grouped=cal.grouped)
    staffing = {}
    for g in scenario.agent_groups:
        mine = spans[spans["agent_group"] == g]
        staffing[g] = heads_on_grid(mine, start_ms, length) if len(mine) else scenario.scheduled_heads(g)
    runs = simulate(
        scenario, volumes=pd.concat(volumes), staffing=staffing, replications=replications, seed=seed,
        within=[within, "60s"], progress=False,
    )  # fmt: skip
    seen = ContactSource(log, starts=grid.starts, hours=grid.hours, types=tuple(scenario.contact_types))
    busy = (log["handle_s"].fillna(0)).sum()
    present = sum(float((h * length).sum() / 1000) for h in staffing.values())
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
    occupancy = runs.windows("occupancy", "all")["value"]
    rows.append(_compare("occupancy", "occupancy", float(busy / present) if present else np.nan, occupancy))
    frame = pd.DataFrame(rows)
    verdicts = frame["verdict"].tolist()
    verdict = "fail" if "fail" in verdicts else "weak" if "weak" in verdicts else "pass"
    off = [
        f"{r.metric} {r.observed:.3g} observed, {r.simulated:.3g} simulated"
        for r in frame.itertuples()
        if r.verdict != "pass"
    ]
    reason = "Every metric lies within its limit." if not off else "Off: " + "; ".join(off) + "."
    made = Provenance(
        "backtest", {"start": first, "last": last, "seed": seed, "within": seconds(within)}, (cal.provenance,)
    )
    return Backtest(frame, pd.concat(days, ignore_index=True), verdict, reason, first, last, made)


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
