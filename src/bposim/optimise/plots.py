"""Pictures of staffing: requirement, coverage, service by interval, cost against probability, shifts.

Each returns its axes; matplotlib is loaded only when one is drawn.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter

if TYPE_CHECKING:
    from bposim.optimise.plan import ShiftPlan
    from bposim.optimise.requirement import Requirement

_BLUE, _RED, _GREY, _GREEN = "#33658a", "#c8553d", "#8a8a8a", "#5a8f5a"
_SHARES = ("service_level", "turnaround", "abandonment", "occupancy")
#: Names of the methods that a requirement came from.
_METHODS = {
    "erlang-a": "Erlang A", "erlang-c": "Erlang C", "mmng": "M/M/n+G", "square-root": "square root", "simulation": "simulation",
}  # fmt: skip


def plot_requirement(need: Requirement, ax: Any = None) -> Any:
    """Draw one step line per set of contact types."""
    ax = _axes(ax)
    for name, part in need.frame.groupby("contact_types", sort=False):
        x, wanted = _stairs(part, "required")
        ax.plot(x, wanted, label=_set(name), lw=1.4)
    ax.set_ylabel("agents present")
    ax.set_title(f"{need.target}: requirement by {_method(need)}", fontsize=10)
    ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    _times(ax, need.frame["interval_start"])
    return ax


def plot_coverage(plan: ShiftPlan, ax: Any = None, need: Requirement | None = None) -> Any:
    """Draw requirement and scheduled agents of the widest sets of contact types, shortage and excess shaded."""
    ax = _axes(ax)
    if plan.coverage.empty:
        return _nothing(ax, plan)
    cover = plan.coverage if need is None else _against(plan, need)
    names = cover["contact_types"].unique()
    widest = [n for n in names if not any(set(n.split("+")) < set(m.split("+")) for m in names)]
    for k, name in enumerate(widest):
        part = cover[cover["contact_types"] == name]
        color = _BLUE if len(widest) == 1 else f"C{k}"
        of = "" if len(widest) == 1 else f"{_set(name)}: "
        x, wanted, here = _stairs(part, "required", "covered")
        under = wanted > here
        word = "under" if under.any() and not ax.get_legend_handles_labels()[1].count("under") else None
        ax.fill_between(x, wanted, here, where=~under, color=color, alpha=0.2, lw=0, label=f"{of}over")
        ax.fill_between(x, wanted, here, where=under, color=_RED, alpha=0.5, lw=0, label=word)
        ax.plot(x, wanted, color="black" if len(widest) == 1 else color, lw=1.2, label=f"{of}required")
        ax.plot(x, here, color=color, lw=1.2, ls="--", label=f"{of}scheduled")
    mine = cover[cover["contact_types"].isin(widest)]
    short, extra = (float(mine[c].sum()) * _hours(cover) for c in ("under", "over"))
    held = plan.need if need is None else need
    by = f" by {_method(held)}" if hasattr(held, "method") else ""
    ax.set_title(f"requirement{by} and schedule: {short:,.1f} agent-hours under, {extra:,.1f} over", fontsize=10)
    ax.set_ylabel("agents, net of shrinkage")
    ax.set_ylim(0, 1.3 * float(cover[["required", "covered"]].to_numpy().max()))
    ax.legend(fontsize=8, ncols=4, loc="upper right")
    _times(ax, cover["interval_start"])
    return ax


def plot_service(plan: ShiftPlan, ax: Any = None, target: str | None = None) -> Any:
    """Draw a target's metric by interval over the proof's replications, with the band of four in five."""
    ax = _axes(ax)
    if plan.validation is None:
        if plan.shifts.empty:
            return _nothing(ax, plan)
        raise ParameterError(
            "plot_service() draws what a proof saw, and this plan was not proven. Give optimise_shifts() a target."
        )
    frame = plan.validation.intervals
    known = list(frame["target"].unique()) if len(frame) else []
    if target is not None and target not in known:
        rule = f"one of {', '.join(map(repr, known))}, or None"
        raise ParameterError(parameter("target", "plot_service()", rule, target))
    if not known:
        raise ParameterError(
            "plot_service() draws ratios, and no target of this plan is one: a quantile of waits has no value by interval. "
            "Validate the plan against a service level, abandonment, asa or mean wait."
        )
    part = frame[frame["target"] == (target or known[0])]
    name, level = str(part["metric"].iloc[0]), float(part["level"].iloc[0])
    share = name in _SHARES
    scale, unit = (100.0, "%") if share else (1.0, "s")
    x, value, low, high, near, far = (
        v if k == 0 else v * scale for k, v in enumerate(_stairs(part, "value", "low", "high", "ci_low", "ci_high"))
    )
    n = plan.validation.replications
    ax.fill_between(x, low, high, color=_BLUE, alpha=0.2, lw=0, label=f"four of five of {n:,} simulated days"
                    if _days(part) == 1 else f"four of five of {n:,} replications")  # fmt: skip
    ax.fill_between(x, near, far, color=_BLUE, alpha=0.5, lw=0, label="95 % interval of the expected value")
    ax.plot(x, value, color=_BLUE, lw=1.5, label="expected")
    ax.axhline(level * scale, color="black", lw=0.9, ls="--", label=f"target {level * scale:.4g} {unit}")
    ax.set_ylabel(f"{name.replace('_', ' ')} of an interval ({unit})")
    ax.set_title(f"{part['target'].iloc[0]}: by interval", fontsize=10)
    if share:
        ax.set_ylim(-1, 101)
    else:
        ax.set_ylim(bottom=0)
    ax.legend(fontsize=8)
    _times(ax, part["interval_start"])
    return ax


def plot_cost(plan: ShiftPlan, ax: Any = None) -> Any:
    """Draw cost and probability of the plans that a search played and proved, the confidence asked for, and the bound."""
    ax = _axes(ax, (7.5, 4))
    trail = plan.trail
    seen = None if trail is None or trail.empty else trail[trail["probability"].notna()]
    if seen is None or seen.empty:
        raise ParameterError(
            "plot_cost() draws a search for a probability, which this plan does not come from. Give optimise_staffing() a "
            "confidence."
        )
    ax.plot(seen["cost"], 100 * seen["probability"], ".", color=_GREY, ms=5, alpha=0.7, label="played in the search, on its own draws")  # fmt: skip
    if plan.proofs is not None and len(plan.proofs):
        weakest = plan.proofs.loc[plan.proofs.groupby("proof")["ci_low"].idxmin()]
        ax.axhline(100 * float(weakest["confidence"].iloc[0]), color="black", lw=0.9, ls="--",
                   label=f"asked for: {100 * float(weakest['confidence'].iloc[0]):.4g} %")  # fmt: skip
        for met, color, mark, name in ((False, _RED, "X", "proof not passed"), (True, _BLUE, "o", "proof passed")):
            some = weakest[(weakest["status"] == "met") == met]
            if some.empty:
                continue
            p, low, high = (100 * some[c].astype(float) for c in ("probability", "ci_low", "ci_high"))
            ax.errorbar(some["cost"], p, yerr=[(p - low).clip(lower=0), (high - p).clip(lower=0)], fmt=mark, color=color,
                        ms=7, capsize=4, label=f"{name}, 95 % interval on fresh days")  # fmt: skip
    if np.isfinite(plan.bound):
        ax.axvline(plan.bound, color=_GREEN, lw=1.4, ls=":", label=f"lower bound (estimate): {plan.bound:,.0f}")
    scenario = getattr(plan.need, "scenario", None)
    unit = "hours" if plan.objective == "paid_hours" else getattr(scenario, "currency", None)
    ax.set_xlabel(
        f"{'paid hours' if plan.objective == 'paid_hours' else 'cost'} of the horizon{f' ({unit})' if unit else ''}"
    )
    ax.set_ylabel("probability of the target (%)")
    ax.set_ylim(max(10 * np.floor(10 * seen["probability"].min()) - 5, -3), 102)
    ax.xaxis.set_major_formatter("{x:,.0f}")
    ax.set_title(f"plan {plan.status}: what the search tried", fontsize=10)
    ax.legend(fontsize=8, loc="lower right")
    return ax


def plot_shifts(plan: ShiftPlan, ax: Any = None, day: int | None = None) -> Any:
    """Draw the shifts of a day as bars with gaps for breaks, and how many agents work each."""
    if plan.shifts.empty:
        return _nothing(_axes(ax), plan)
    heads = plan.shifts.groupby("day")["heads"].sum()
    if day is None:
        day = int(heads.idxmax())
    elif day not in heads.index:
        rule = f"None or a day of the plan ({', '.join(map(str, heads.index))})"
        raise ParameterError(parameter("day", "plot_shifts()", rule, day))
    rows = plan.shifts[plan.shifts["day"] == day].sort_values(["start", "end", "agent_group", "shift", "breaks"])
    ax = _axes(ax, (9, 1.3 + 0.26 * len(rows)))
    groups = list(dict.fromkeys(plan.shifts["agent_group"]))
    last = rows["end"].max().tz_localize(None)
    for k, row in enumerate(rows.itertuples()):
        color = f"C{groups.index(row.agent_group) % 10}"
        for a, b in work_spans(row.start, row.end, row.breaks):
            ax.barh(k, b - a, left=a, height=0.7, color=color)
        ax.annotate(f"{row.heads:,}", (row.end.tz_localize(None), k), xytext=(4, 0), textcoords="offset points",
                    va="center", fontsize=8)  # fmt: skip
    ax.set_yticks(range(len(rows)), [f"{r.shift} {r.start:%H:%M}–{r.end:%H:%M}" for r in rows.itertuples()], fontsize=8)
    ax.set_ylim(len(rows) - 0.4, -0.6)
    ax.set_title(
        f"{pd.Timestamp(rows['date'].iloc[0]):%A %d %B %Y}: {int(rows['heads'].sum())} agents; numbers are heads, gaps breaks",
        fontsize=10,
    )  # fmt: skip
    handles = [ax.barh(0, 0, color=f"C{k % 10}") for k in range(len(groups))]
    if len(groups) > 1:
        ax.legend(handles, groups, fontsize=8, loc="upper right")
    _times(ax, rows["start"])
    ax.set_xlim(rows["start"].min().tz_localize(None) - pd.Timedelta("15min"), last + pd.Timedelta("30min"))
    return ax


def work_spans(start: pd.Timestamp, end: pd.Timestamp, breaks: str) -> list[tuple[pd.Timestamp, pd.Timestamp]]:
    """Return the stretches between breaks, local times without a zone; times before the start are of the next day.

    Examples
    --------
    >>> at = pd.Timestamp("2026-03-02 20:00", tz="UTC")
    >>> [f"{a:%d %H:%M}-{b:%d %H:%M}" for a, b in work_spans(at, at + pd.Timedelta("8h"), "23:30-00:30")]
    ['02 20:00-02 23:30', '03 00:30-03 04:00']
    """
    edges = [start.tz_localize(None)]
    for clock in breaks.replace(", ", "-").split("-") if breaks else ():
        at = edges[-1].normalize() + pd.Timedelta(f"{clock}:00")
        edges.append(at if at >= edges[-1] else at + pd.Timedelta(days=1))
    edges.append(end.tz_localize(None))
    return [(a, b) for a, b in zip(edges[::2], edges[1::2], strict=True) if b > a]


def _axes(ax: Any, size: tuple[float, float] = (9, 3.4)) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=size, layout="constrained")[1]


def _against(plan: ShiftPlan, need: Requirement) -> pd.DataFrame:
    from bposim.optimise.shifts import coverage_of

    scenario = need.scenario
    heads = {g: part["heads"].to_numpy(float) for g, part in plan.staffing.groupby("agent_group", sort=False)}
    starts = plan.staffing["interval_start"].drop_duplicates()
    if set(heads) != set(scenario.agent_groups) or list(starts) != list(scenario.grid.starts):
        raise ParameterError(
            f"need of plot() is of scenario {scenario.name!r}, whose agent groups or intervals are not those of the plan. Give "
            "a requirement of the plan's scenario."
        )
    return coverage_of(scenario, heads, need.by_set())


def _nothing(ax: Any, plan: ShiftPlan) -> Any:
    ax.text(0.5, 0.5, f"no plan: {plan.status}", ha="center", va="center", transform=ax.transAxes)
    return ax


def _set(name: Any) -> str:
    return str(name).replace("+", " + ")


def _method(need: Requirement) -> str:
    return _METHODS[need.method] + ("" if need.demand == "sipp" else f", {need.demand}")


def _hours(frame: pd.DataFrame) -> Any:
    """Return the length of an interval in hours: the least distance of two starts."""
    starts = pd.DatetimeIndex(frame["interval_start"].unique())
    return 1.0 if len(starts) < 2 else (starts[1:] - starts[:-1]).min() / pd.Timedelta(hours=1)


def _days(frame: pd.DataFrame) -> int:
    return int(frame["interval_start"].dt.tz_localize(None).dt.normalize().nunique())


def _stairs(part: pd.DataFrame, *columns: str) -> tuple[Any, ...]:
    """Return x and each column as stairs, with a gap wherever the doors are closed, so that no line crosses the night."""
    at = part["interval_start"].dt.tz_localize(None).to_numpy()
    step = np.diff(at).min() if len(at) > 1 else np.timedelta64(1, "h")
    x = np.stack([at, at + step], axis=1).reshape(-1)
    gap = 2 * (np.flatnonzero(np.diff(at) > step) + 1)
    values = (np.insert(np.repeat(part[c].to_numpy(dtype=float), 2), gap, np.nan) for c in columns)
    return (np.insert(x, gap, x[gap - 1]), *values)


def _times(ax: Any, starts: pd.Series) -> None:
    """Label the time axis with hours where it is one day, with days otherwise."""
    from matplotlib.dates import DateFormatter, DayLocator, HourLocator

    local = starts.dt.tz_localize(None)
    if (local.max() - local.min()) < pd.Timedelta(days=1):
        hours = (local.max() - local.min()) / pd.Timedelta(hours=1)
        ax.xaxis.set_major_locator(HourLocator(byhour=range(0, 24, 1 if hours <= 13 else 2)))
        ax.xaxis.set_major_formatter(DateFormatter("%H:%M"))
        ax.set_xlabel("time of day")
        return
    days = (local.max().normalize() - local.min().normalize()).days + 1
    ax.xaxis.set_major_locator(DayLocator(interval=max(round(days / 7), 1)))
    ax.xaxis.set_major_formatter(DateFormatter("%a %d %b"))
