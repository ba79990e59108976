"""Pictures of assessments: rule × window, credits, waterfall, corridors, drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.targets.plots import _axes, _name

if TYPE_CHECKING:
    from bposim.targets.matrix import TargetMatrix


def plot_matrix(matrix: TargetMatrix, ax: Any = None, value: str = "probability") -> Any:
    """Draw a figure of every counting rule and window as a coloured table; returns ``ax``."""
    table = matrix.table(value)
    ax = _axes(ax, (2.4 + 1.1 * len(table.columns), 1.4 + 0.42 * len(table)))
    cells = table.to_numpy(dtype=float)
    chance = value in ("probability", "ci_low", "ci_high")
    low, high = (0.0, 1.0) if chance else (np.nanmin(cells), np.nanmax(cells))
    ax.imshow(np.ma.masked_invalid(cells), cmap="RdYlBu", vmin=low, vmax=high, aspect="auto", alpha=0.75)
    for (i, j), number in np.ndenumerate(cells):
        ax.text(j, i, f"{number:.3g}" if np.isfinite(number) else "–", ha="center", va="center", fontsize=9)
    ax.set_xticks(range(len(table.columns)), table.columns)
    ax.set_yticks(range(len(table)), table.index, fontsize=8)
    ax.set_xlabel("window")
    ax.set_title(
        f"{matrix.term.replace(window='all').label.removesuffix(' over the whole term')}: {_name(value)}", fontsize=10
    )
    return ax
