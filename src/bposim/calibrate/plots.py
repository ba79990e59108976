"""Pictures of a calibration: intraday profile, handle time, patience, back-test by day."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter
from bposim.units import WEEKDAYS

if TYPE_CHECKING:
    from bposim.calibrate import Calibration
    from bposim.calibrate.backtest import Backtest
    from bposim.calibrate.duration_fit import DurationFit
    from bposim.distributions import Distribution

_BLUE, _RED = "#33658a", "#c8553d"


def plot_calibration(cal: Calibration, axes: Any = None) -> Any:
    """Draw arrivals by weekday, handle time against its law, and patience against Kaplan–Meier, for the largest type.

    A fourth picture, where the axes given have room for it, shows each day's agent-hours over those of the profile.
    """
    if axes is None:
        from matplotlib.figure import Figure

        many = 3 if cal.heads is None else 4
        axes = Figure(figsize=(13 if many == 3 else 16, 3.6), layout="constrained").subplots(1, many)
    profile = cal.arrivals.profile
    busiest = profile.groupby("contact_type")["contacts"].sum().idxmax()
    mine = profile[profile["contact_type"] == busiest]
    for k, d in enumerate(w for w in WEEKDAYS if (mine["weekday"] == w).any()):
        day = mine[mine["weekday"] == d]
        hour = day["interval"].str.slice(0, 2).astype(int) + day["interval"].str.slice(3).astype(int) / 60
        axes[0].plot(hour, day["contacts"], label=d, lw=1.2, color=f"C{k}")
        axes[0].fill_between(hour, day["ci_low"].clip(lower=0), day["ci_high"], alpha=0.12, lw=0, color=f"C{k}")
    axes[0].set(xlabel="hour of the day", ylabel="contacts per interval", title=f"{busiest}: arrivals by weekday")
    axes[0].legend(fontsize=7, ncols=2)
    if busiest in cal.handle_time and len(cal.handle_time[busiest].data):
        fit = cal.handle_time[busiest]
        p = (np.arange(200) + 0.5) / 200
        axes[1].plot(np.quantile(fit.data, p), [fit.distribution.quantile(x) for x in p], ".", ms=3, color=_BLUE)
        top = float(np.quantile(fit.data, 0.995))
        axes[1].plot([0, top], [0, top], color="black", lw=0.7)
        axes[1].set(
            xlabel="observed quantile (s)",
            ylabel="fitted quantile (s)",
            title=f"{busiest}: handle time ({fit.distribution.kind})",
        )
    if busiest in cal.patience and (fit := cal.patience[busiest]).observed is not None:
        _survival(axes[2], fit, fit.distribution, busiest)
    if cal.heads is not None and len(axes) > 3:
        for g, rows in cal.heads.days.groupby("agent_group", sort=False):
            cv = cal.heads.cv[str(g)]
            axes[3].plot(
                rows["date"], rows["ratio"], ".", ms=4, label=f"{g}: day factor {f'cv {cv:.2f}' if cv else 'none'}"
            )
        axes[3].axhline(1, color="black", lw=0.7)
        axes[3].set(xlabel="day", ylabel="agent-hours over the profile's", title="heads on duty by day")
        axes[3].tick_params(axis="x", rotation=30)
        axes[3].legend(fontsize=7)
    return axes


def _survival(
    ax: Any, fit: DurationFit, law: Distribution, name: str, whose: str = ""
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw Kaplan–Meier of a patience and its law; return the waits, who hung up, and the waits at which the law is drawn."""
    from bposim.distributions import kaplan_meier

    assert fit.observed is not None
    reached = fit.data > 0
    waits, left = fit.data[reached], fit.observed[reached]
    km = kaplan_meier(waits, left)
    x = np.linspace(0, float(np.quantile(waits, 0.999)), 300)
    ax.step(km["time"], km["survival"], where="post", color=_BLUE, label="Kaplan–Meier, all")
    ax.fill_between(km["time"], km["ci_low"], km["ci_high"], step="post", color=_BLUE, alpha=0.2, lw=0)
    ax.plot(x, np.asarray(law.sf(x)) / (1 - law.zero), color=_RED, label=law.kind.replace("_", " ") + whose)
    ax.set(xlim=(0, x[-1]), ylim=(0, 1.02), xlabel="wait (s)", ylabel="share still patient", title=f"{name}: patience")
    ax.legend(fontsize=8)
    return waits, left, x


def plot_patience(cal: Calibration, contact_type: str, axes: Any = None) -> Any:
    """Draw a type's patience: survival, hazard by the wait, and who leaves within a minute by the queue that was met.

    The hazard is hang-ups over waiting time between round waits, with its 95 % interval, against that of the law.
    """
    fit = cal.patience.get(contact_type)
    if fit is None or fit.observed is None:
        known = [t for t, f in cal.patience.items() if f.observed is not None]
        if not known:
            raise ParameterError(
                "plot_patience() needs single waits. This calibration rests on an interval report, which has none."
            )
        raise ParameterError(
            parameter("contact_type", "plot_patience()", f"one of {', '.join(map(repr, known))}", contact_type)
        )
    if axes is None:
        from matplotlib.figure import Figure

        axes = Figure(figsize=(13, 3.6), layout="constrained").subplots(1, 3)
    deterred = cal.balking.get(contact_type)
    law = fit.distribution if deterred is None or deterred.patience is None else deterred.patience
    name = law.kind.replace("_", " ")
    waits, left, x = _survival(
        axes[0], fit, law, contact_type, "" if deterred is None else ": those whom no queue deters"
    )
    edges = np.array(
        [e for e in (0, 5, 10, 15, 20, 30, 45, 60, 90, 120, 180, 240, 360, 480, 720) if e < x[-1]] + [x[-1]]
    )
    exposure = np.array([(np.clip(waits, a, b) - a).sum() for a, b in itertools.pairwise(edges)]) / 60
    count = np.array([(left & (waits > a) & (waits <= b)).sum() for a, b in itertools.pairwise(edges)])
    rate = count / np.maximum(exposure, 1e-9)
    spread = np.exp(1.96 / np.sqrt(np.maximum(count, 1)))
    middle = (edges[:-1] + edges[1:]) / 2
    axes[1].vlines(middle, rate / spread, rate * spread, color=_BLUE, lw=1)
    axes[1].plot(middle, rate, "o", ms=3, color=_BLUE, label="hang-ups over waiting time")
    sf = np.asarray(law.sf(np.append(x, x[-1] + 1)))
    axes[1].plot(x[1:], 60 * -np.diff(np.log(sf[:-1])) / np.diff(x), color=_RED, lw=1, label=name)
    top = 1.4 * float(rate[count >= min(10, count.max())].max()) if count.any() else 1.0
    axes[1].set(xlim=(0, x[-1]), ylim=(0, top), xlabel="wait (s)", ylabel="hang-ups per waiting minute", title="hazard")
    axes[1].legend(fontsize=8)
    if deterred is not None:
        table = deterred.table
        axes[2].errorbar(
            table["queue"], 100 * table["balks"], 100 * np.vstack([table["balks"] - table["ci_low"], table["ci_high"] - table["balks"]]),
            fmt="o", ms=4, color=_BLUE, label="observed",
        )  # fmt: skip
        steps = [(0, 0.0), *deterred.steps]
        last = max(int(table["queue"].max()), steps[-1][0]) + 1
        axes[2].step([q for q, _ in steps] + [last], [100 * p for _, p in steps] + [100 * steps[-1][1]], where="post", color=_RED,
                     label="scenario")  # fmt: skip
        axes[2].set(xlabel="contacts waiting on arrival", ylabel="leave because of it (%)", title="queues that deter")
        axes[2].legend(fontsize=8)
    else:
        axes[2].set_axis_off()
        axes[2].text(0.5, 0.5, "no queue deters", ha="center", va="center")
    return axes


def plot_backtest(test: Backtest, ax: Any = None, metric: str | None = None, level: str = "day") -> Any:
    """Draw the observed metric of each day, week or interval over the simulated band."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(8, 3.4), layout="constrained").subplots()
    tables = {"day": (test.days, "day"), "week": (test.weeks, "week"), "interval": (test.intervals, "interval_start")}
    if level not in tables:
        raise ParameterError(parameter("level", "plot()", "'interval', 'day' or 'week'", level))
    table, column = tables[level]
    name = metric or str(table["metric"].iloc[0])
    rows = table[table["metric"] == name]
    if level == "interval":
        rows = _with_gaps(rows)
    x = pd.DatetimeIndex(rows[column]).tz_localize(None)
    scale = 1 if name == "asa" else 100
    style: dict[str, Any] = {"step": "post"} if level == "interval" else {}
    ax.fill_between(
        x, rows["low"] * scale, rows["high"] * scale, color=_BLUE, alpha=0.25, lw=0, label="simulated, 90 % of the replications",
        **style,
    )  # fmt: skip
    ax.plot(
        x, rows["simulated"] * scale, color=_BLUE, lw=1, drawstyle="steps-post" if level == "interval" else "default"
    )
    ax.plot(x, rows["observed"] * scale, "o", ms=2 if level == "interval" else 4, color=_RED, label="observed")
    ax.set_ylabel(f"{name.replace('_', ' ')} ({'s' if name == 'asa' else '%'})")
    ax.set_title(f"Back-test {test.first} to {test.last}: {test.verdict}", fontsize=10)
    ax.tick_params(axis="x", rotation=30)
    ax.legend(fontsize=8)
    return ax


def _with_gaps(rows: pd.DataFrame) -> pd.DataFrame:
    """Return rows with an empty one after each stretch of intervals, so that no line crosses closed hours."""
    step = rows["interval_start"].diff().min()
    last = rows["interval_start"].diff().shift(-1) > step
    empty = pd.DataFrame({"interval_start": rows.loc[last, "interval_start"] + step})
    return pd.concat([rows, empty], ignore_index=True).sort_values("interval_start", kind="stable", ignore_index=True)


def plot_coverage(test: Backtest, ax: Any = None) -> Any:
    """Draw the share of intervals, days and weeks whose observed value lies in the band, and the share that should."""
    if ax is None:
        from matplotlib.figure import Figure

        ax = Figure(figsize=(6, 3), layout="constrained").subplots()
    names = list(dict.fromkeys(test.coverage["metric"]))
    levels = list(dict.fromkeys(test.coverage["level"]))
    for k, level in enumerate(levels):
        mine = test.coverage[test.coverage["level"] == level].set_index("metric").reindex(names)
        n = mine["windows"].max()
        at = np.arange(len(names)) + (k - (len(levels) - 1) / 2) * 0.25
        ax.bar(at, 100 * mine["inside"], width=0.22, color=f"C{k}", label=f"{level} ({n:.0f})")
    ax.axhline(100 * test.coverage["expected"].max(), color="black", lw=0.8, ls="--")
    ax.set_xticks(np.arange(len(names)), [n.replace("_", " ") for n in names], fontsize=8)
    ax.set(ylabel="observed within the band (%)", ylim=(0, 105))
    ax.legend(fontsize=8)
    return ax
