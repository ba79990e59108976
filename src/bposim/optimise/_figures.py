"""Pictures of requirement and plan; matplotlib is loaded only when one is drawn."""

from __future__ import annotations

from typing import Any


def _axes(ax: Any) -> Any:
    if ax is not None:
        return ax
    import matplotlib.pyplot as plt

    return plt.subplots(figsize=(9, 3.2), layout="constrained")[1]


def _local(times: Any) -> Any:
    return times.dt.tz_localize(None)


def draw_requirement(need: Any, ax: Any) -> Any:
    """Draw one step line per set of contact types."""
    ax = _axes(ax)
    for name, part in need.frame.groupby("contact_types", sort=False):
        ax.step(_local(part["interval_start"]), part["required"], where="post", label=name, lw=1.2)
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
        x, color = _local(part["interval_start"]), f"C{k}"
        ax.step(x, part["required"], where="post", color=color, lw=1.4, label=f"{name}: required")
        ax.step(x, part["covered"], where="post", color=color, lw=1.0, ls="--", label=f"{name}: covered")
        short, wanted, here = part["under"] > 1e-9, part["required"], part["covered"]
        ax.fill_between(x, wanted, here, where=short, step="post", color="tab:red", alpha=0.4, lw=0)
        ax.fill_between(x, wanted, here, where=~short, step="post", color=color, alpha=0.15, lw=0)
    ax.set(ylabel="agents, net of shrinkage", title=f"Shift plan: {plan.status}, cost {plan.cost:,.0f}")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False)
    return ax
