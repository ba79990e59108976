"""Pictures of a ledger."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.targets.plots import _BLUE, _GREY, _RED, _axes, _thousands

if TYPE_CHECKING:
    from bposim.targets.ledger import Ledger


def plot_ledger(ledger: Ledger, ax: Any = None) -> Any:
    """Draw what is credited and paid by month; credits point down."""
    ax = _axes(ax)
    at = np.arange(len(ledger.months))
    credit, bonus, back = (ledger.cents(i) / 100 for i in ("credit", "bonus", "earn_back"))
    ax.bar(at, -credit.mean(axis=0), color=_RED, label="credits")
    base = np.zeros(len(at))
    for values, color, name in ((bonus, _BLUE, "bonuses"), (back, _GREY, "earned back")):
        if values.any():
            ax.bar(at, values.mean(axis=0), bottom=base, color=color, label=name)
            base = base + values.mean(axis=0)
    if ledger.replications > 1:
        low, high = np.quantile(-credit, [0.05, 0.95], axis=0)
        mean = -credit.mean(axis=0)
        spread = [np.maximum(mean - low, 0), np.maximum(high - mean, 0)]
        ax.errorbar(
            at, mean, yerr=spread, fmt="none", color="black", lw=0.8, capsize=2, label="5 to 95 % of the credits"
        )
    ax.axhline(0, color="black", lw=0.8)
    step = max(len(at) // 12, 1)
    ax.set_xticks(at[::step], ledger.months[::step].strftime("%Y-%m"), rotation=45, ha="right", fontsize=8)
    ax.set_ylabel(f"{ledger.contract.currency} a month")
    _thousands(ax.yaxis)
    ax.set_title(f"{ledger.contract.name}: what the clauses come to", fontsize=10)
    ax.legend(fontsize=8)
    return ax
