"""Pictures of requirement and plan; matplotlib is loaded only when one is drawn."""

from __future__ import annotations

from typing import Any

import numpy as np


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(9, 3.2), layout="constrained")[1]


def _local(times: Any) -> Any:
    return times.dt.tz_localize(None)


def _open_only(part: Any, columns: tuple[str, ...]) -> tuple[Any, ...]:
    """Return times and columns with a gap wherever the doors are closed, so that no line crosses the night."""
    at = _local(part["interval_start"]).reset_index(drop=True)
    step = at.diff().min()
    closed = np.flatnonzero((at.diff() > step).to_numpy())
    values = [part[c].to_numpy(dtype=float) for c in columns]
    ends = at.to_numpy()[np.append(closed, len(at)) - 1] + step.to_timedelta64()
    where = np.append(closed, len(at))
    x = np.insert(at.to_numpy(), where, ends)
    return (x, *(np.insert(v, where, np.nan) for v in values))


def draw_requirement(need: Any, ax: Any) -> Any:
    """Draw one step line per set of contact types."""
    ax = _axes(ax)
    for name, part in need.frame.groupby("contact_types", sort=False):
        x, wanted = _open_only(part, ("required",))
        ax.step(x, wanted, where="post", label=name, lw=1.2)
    ax.tick_params(axis="x", rotation=30)
    ax.set(ylabel="agents present", title=f"Requirement: {need.target} ({need.method})")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax


def draw_plan(plan: Any, ax: Any) -> Any:
    """Draw the requirement and the covered heads of the widest set, shortage and excess shaded."""
    ax = _axes(ax)
    if plan.coverage.empty:
        ax.text(0.5, 0.5, f"no plan: {plan.status}", ha="center", va="center", transform=ax.transAxes)
        return ax
    names = plan.coverage["contact_types"].unique()
    widest = [n for n in names if not any(set(n.split("+")) < set(m.split("+")) for m in names)]
    for k, name in enumerate(widest):
        part = plan.coverage[plan.coverage["contact_types"] == name]
        color = f"C{k}"
        x, wanted, here, under = _open_only(part, ("required", "covered", "under"))
        ax.step(x, wanted, where="post", color=color, lw=1.4, label=f"{name}: required")
        ax.step(x, here, where="post", color=color, lw=1.0, ls="--", label=f"{name}: scheduled")
        short = under > 1e-9
        ax.fill_between(x, wanted, here, where=short, step="post", color="tab:red", alpha=0.4, lw=0)
        ax.fill_between(x, wanted, here, where=~short, step="post", color=color, alpha=0.15, lw=0)
    ax.tick_params(axis="x", rotation=30)
    ax.set(ylabel="agents, net of shrinkage", title=f"Shift plan: {plan.status}, cost {plan.cost:,.0f}")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax
