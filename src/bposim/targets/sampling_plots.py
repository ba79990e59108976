"""Picture of a sampling plan."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bposim.targets.plots import _BLUE, _GREY, _RED, _axes

if TYPE_CHECKING:
    from bposim.targets.sampling import OperatingCurve


def plot_operating_curve(curve: OperatingCurve, ax: Any = None) -> Any:
    """Draw the probability of acceptance against the true accuracy, named points as dots; returns ``ax``."""
    ax = _axes(ax)
    f = curve.frame.sort_values("accuracy")
    ax.plot(100 * f["accuracy"], f["accept"], color=_BLUE, drawstyle="default" if curve.lot is None else "steps-mid")
    ax.axhline(0.5, color=_GREY, lw=0.8, ls=":")
    for name, accuracy in curve.marks.items():
        p = curve.at(accuracy)
        ax.plot(100 * accuracy, p, "o", color=_RED)
        ax.annotate(
            f"{name}: {100 * accuracy:.4g} %, {p:.2f}",
            (100 * accuracy, p),
            xytext=(6, -10),
            textcoords="offset points",
            fontsize=8,
        )
    ax.set_ylim(-0.02, 1.02)
    ax.set_xlabel("true accuracy (%)")
    ax.set_ylabel("probability of acceptance")
    of = "" if curve.lot is None else f" of {curve.lot:,}"
    ax.set_title(
        f"{curve.name}: {curve.n:,} audited{of}, at most {curve.c:,} errors".replace("the sample: ", ""), fontsize=10
    )
    return ax
