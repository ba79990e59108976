"""Pictures of promises: distribution of a window's metric, frontier, recommended targets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.units import format_seconds

if TYPE_CHECKING:
    from bposim.targets.assess import Assessment
    from bposim.targets.capability import Capability, Expected
    from bposim.targets.frontier import Frontier
    from bposim.targets.recommend import Advice

_SHARES = ("service_level", "turnaround", "abandonment", "occupancy")
_BLUE, _RED, _GREY = "#33658a", "#c8553d", "#8a8a8a"


def _axes(ax: Any, size: tuple[float, float] = (7, 3.6)) -> Any:
    if ax is not None:
        return ax
    from matplotlib.figure import Figure

    return Figure(figsize=size, layout="constrained").subplots()


def _name(metric: str) -> str:
    return metric.replace("_", " ")


def _thousands(axis: Any) -> None:
    axis.set_major_formatter("{x:,.0f}")


def _bins(values: np.ndarray, edge: float) -> np.ndarray:
    """Return edges of equal bins, one of them the level, so that no bar is half met."""
    low, high = min(values.min(), edge), max(values.max(), edge)
    width = (high - low) / min(max(2 * np.sqrt(len(values)), 8), 40) or 1.0
    first, last = np.floor((low - edge) / width), np.ceil((high - edge) / width + 1e-9)
    return np.asarray(edge + width * np.arange(first, last + 1))


def plot_distribution(deal: Assessment, ax: Any = None) -> Any:
    """Draw how the window's metric scatters, the target, and the level attainable at the confidence."""
    ax = _axes(ax)
    share = deal.term.metric in _SHARES
    scale = 100 if share else 1
    unit = "%" if share else "s"
    values = deal.values["value"].to_numpy() * scale
    met = np.array([deal.term.met(v / scale) for v in values])
    bins = _bins(values, deal.term.level * scale)
    ax.hist(
        [values[met], values[~met]], bins=bins, stacked=True, color=[_BLUE, _RED], label=["target met", "target missed"]
    )
    ax.axvline(deal.term.level * scale, color="black", lw=1.4, label=f"target {deal.term.level * scale:.4g} {unit}")
    ax.axvline(deal.attainable_share * scale, color=_GREY, ls="--", lw=1.4,
               label=f"attainable at {100 * deal.confidence:.4g} %: {deal.attainable_share * scale:.3g} {unit}")  # fmt: skip
    window = "the whole term" if deal.term.window == "all" else f"a {deal.term.window}"
    ax.set_xlabel(f"{_name(deal.term.metric)} of {window} ({unit})")
    ax.set_ylabel("simulated windows")
    ax.set_title(f"{deal.term}: met with probability {deal.probability:.2f}", fontsize=10)
    ax.legend(fontsize=8)
    return ax


def plot_frontier(frontier: Frontier, ax: Any = None) -> Any:
    """Draw the attainable level, and the probability of the term, against cost."""
    ax = _axes(ax)
    f = frontier.frame
    share = frontier.term.metric in _SHARES
    scale = 100 if share else 1
    cost = f["cost"] if f["cost"].gt(0).any() else f["agent_hours"]
    ax.fill_between(cost, f["attainable_low"] * scale, f["attainable_high"] * scale, color=_BLUE, alpha=0.2, lw=0)
    ax.plot(cost, f["attainable"] * scale, "o-", color=_BLUE, label=f"attainable at {100 * frontier.confidence:.4g} %")
    ax.plot(cost, f["mean"] * scale, ":", color=_GREY, label="expected")
    ax.axhline(frontier.term.level * scale, color="black", lw=0.8, label="target")
    _thousands(ax.xaxis)
    ax.set_ylabel(f"{_name(frontier.term.metric)} ({'%' if share else 's'})")
    ax.set_xlabel(
        f"cost of the horizon ({frontier.currency})"
        if f["cost"].gt(0).any()
        else f"{frontier.levels[0].basis} of the horizon"
    )
    other = ax.twinx()
    other.errorbar(cost, f["probability"], yerr=[(f["probability"] - f["ci_low"]).clip(lower=0), (f["ci_high"] - f["probability"]).clip(lower=0)],
                   color=_RED, fmt="s", ms=4, elinewidth=1, capsize=2, label="probability of the target")  # fmt: skip
    other.set_ylim(-0.02, 1.02)
    other.set_ylabel("probability")
    lines = [*ax.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    names = [*ax.get_legend_handles_labels()[1], *other.get_legend_handles_labels()[1]]
    ax.legend(lines, names, fontsize=8, loc="lower right")
    ax.set_title(f"{frontier.term}: what could be promised, and its cost", fontsize=10)
    return ax


def plot_advice(advice: Advice, ax: Any = None) -> Any:
    """Draw the probability of each recommended target and of all together."""
    f = advice.frame
    ax = _axes(ax, (7, 0.6 + 0.5 * (len(f) + 1)))
    names = [*f["target"], "all of them"]
    p = np.append(f["probability"].to_numpy(), advice.joint_probability)
    low = np.append(f["ci_low"].to_numpy(), advice.joint_low)
    high = np.append(f["ci_high"].to_numpy(), advice.joint_high)
    at = np.arange(len(names))[::-1]
    ax.errorbar(p, at, xerr=[np.maximum(p - low, 0), np.maximum(high - p, 0)], fmt="o", color=_BLUE, capsize=3)
    ax.axvline(advice.confidence, color="black", lw=0.8, ls="--")
    ax.set_yticks(at, names, fontsize=8)
    ax.set_xlabel("probability that a window meets it (95 % interval)")
    ax.set_xlim(min(0.8, float(np.nanmin(low)) - 0.02), 1.005)
    return ax


def plot_glide(advice: Advice, ax: Any = None) -> Any:
    """Draw each target's level by month as a table, darker the easier it still is; returns ``ax``."""
    table = advice.glide.pivot(index="target", columns="month", values="level").reindex(advice.frame["target"])
    ax = _axes(ax, (3.6 + 1.1 * len(table.columns), 1.2 + 0.42 * len(table)))
    cells = table.to_numpy(dtype=float)
    full = cells[:, -1:]
    slip = np.abs(cells - full) / np.maximum(np.abs(cells[:, :1] - full), 1e-9)
    ax.imshow(slip, cmap="Blues", vmin=0, vmax=1.6, aspect="auto")
    for (i, j), level in np.ndenumerate(cells):
        target = advice.targets[i]
        said = f"{100 * level:.4g} %" if target.metric in _SHARES else f"{level:.4g} s"
        ax.text(j, i, f"{'≥' if target.sense == '>=' else '≤'} {said}", ha="center", va="center", fontsize=9)
    last = table.columns[-1]
    names = [f"month {m}" for m in table.columns[:-1]]
    ax.set_xticks(range(len(table.columns)), [*names, f"from month {last}" if names else "all months"])
    ax.set_yticks(range(len(table)), [_what(t) for t in advice.targets], fontsize=8)
    ax.set_title(f"Glide path; review on {advice.review:%d %B %Y}", fontsize=10)
    return ax


def _what(target: Any) -> str:
    """Return what a target is about, without its level."""
    if target.within_s is None:
        return _name(target.metric)
    return f"{_name(target.metric)} within {format_seconds(target.within_s)}"


def plot_capability(advice: Capability, one: Expected, ax: Any = None) -> Any:
    """Draw a metric's history, its glide path, what is expected of it, and the months in which its level stepped."""
    ax = _axes(ax)
    h = one.history
    scale, unit = (100, "%") if h.share else (1, "s")
    path = advice.path[advice.path["metric"] == h.metric]
    ax.plot(h.frame["window_start"], h.frame["value"] * scale, color=_GREY, lw=1, label="so far")
    ax.fill_between(path["window_start"], path["low"] * scale, path["high"] * scale, color=_BLUE, alpha=0.2, lw=0,
                    label="expected, 80 %")  # fmt: skip
    ax.plot(path["window_start"], path["expected"] * scale, ":", color=_BLUE)
    ax.step(path["window_start"], path["level"] * scale, where="mid", color="black", lw=1.4,
            label=f"target, each met at {100 * advice.confidence:.4g} %")  # fmt: skip
    mine = advice.changes[(advice.changes["metric"] == h.metric) & (advice.changes["kind"] == "step")]
    for k, start in enumerate(mine["start"]):
        ax.axvline(start, color=_RED, lw=0.9, ls="--", label="the level stepped" if k == 0 else None)
    ax.set_ylabel(f"{_name(h.metric)} of a {h.window} ({unit})")
    ax.set_title(f"{_name(h.metric)}: what was shown, what can be promised", fontsize=10)
    ax.legend(fontsize=8)
    return ax
