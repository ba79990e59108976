"""Picture of packages of clauses: the provider's margin against what the client pays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bposim.targets.plots import _GREY, _axes

if TYPE_CHECKING:
    from bposim.targets.negotiate import Negotiation


def plot_packages(table: Negotiation, ax: Any = None) -> Any:
    """Draw packages by invoice and margin: those left coloured by the client's risk, the contract as it stands ringed; returns ``ax``."""
    ax = _axes(ax, (7.4, 4.2))
    f, left, money = table.frame, table.efficient, table.contract.currency
    out = f[~f["efficient"]]
    ax.scatter(out["invoice"], out["margin"], s=16, color=_GREY, alpha=0.5, label="bettered by another")
    dots = ax.scatter(left["invoice"], left["margin"], s=42, c=100 * left["risk"], cmap="RdYlBu_r", vmin=0, vmax=100, edgecolors="black",
                      linewidths=0.6, label="no side can better", zorder=3)  # fmt: skip
    now = f[f["package"] == table.now]
    ax.scatter(
        now["invoice"],
        now["margin"],
        s=150,
        facecolors="none",
        edgecolors="black",
        linewidths=1.4,
        label="as it stands",
        zorder=4,
    )
    ax.axhline(0, color="black", lw=0.8, ls=":")
    ax.figure.colorbar(dots, ax=ax, label="months short of the contract as it stands (%)")
    ax.set_xlabel(f"the client pays ({money} a month)")
    ax.set_ylabel(f"the provider's margin ({money} a month)")
    ax.set_title(f"{table.contract.name}: {len(left)} of {len(f)} packages are left", fontsize=10)
    ax.legend(fontsize=8)
    return ax
