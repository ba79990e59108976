"""Pictures of assessments: rule × window, credits, waterfall, corridors, drivers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.targets.plots import _BLUE, _GREY, _RED, _axes, _name, _thousands
from bposim.units import format_seconds

if TYPE_CHECKING:
    from bposim.targets.assess_contract import ContractAssessment
    from bposim.targets.corridor import CorridorValue
    from bposim.targets.drivers import Drivers
    from bposim.targets.feasibility import FeasibilityMap
    from bposim.targets.matrix import TargetMatrix
    from bposim.targets.prices import Prices
    from bposim.targets.response import Response


def plot_matrix(matrix: TargetMatrix, ax: Any = None, value: str = "probability") -> Any:
    """Draw a figure of every counting rule and window as a coloured table; returns ``ax``."""
    table = matrix.table(value)
    ax = _axes(ax, (2.4 + 1.1 * len(table.columns), 1.4 + 0.42 * len(table)))
    cells = table.to_numpy(dtype=float)
    chance = value in ("probability", "ci_low", "ci_high")
    low, high = (0.0, 1.0) if chance else (np.nanmin(cells), np.nanmax(cells))
    ax.imshow(np.ma.masked_invalid(cells), cmap="RdYlBu", vmin=low, vmax=high, aspect="auto", alpha=0.75)
    for (i, j), number in np.ndenumerate(cells):
        said = "–" if not np.isfinite(number) else f"{number:.2f}" if chance else f"{number:.3g}"
        ax.text(j, i, said, ha="center", va="center", fontsize=9, color=_ink(number, low, high, chance))
    ax.set_xticks(range(len(table.columns)), ["whole term" if c == "all" else c for c in table.columns])
    ax.set_yticks(range(len(table)), table.index, fontsize=8)
    ax.set_xlabel("window")
    ax.set_title(
        f"{matrix.term.replace(window='all').label.removesuffix(' over the whole term')}: {_name(value)}", fontsize=10
    )
    return ax


def _ink(number: float, low: float, high: float, chance: bool) -> str:
    """Return white on the dark ends of the colours, else black."""
    at = (number - low) / (high - low) if high > low else 0.5
    return "white" if at > (0.94 if chance else 0.8) or (chance and at < 0.13) else "black"


def _span(deal: ContractAssessment) -> str:
    n = len(deal.ledger.months)
    return "a month" if n == 1 else f"over {n} months"


def plot_map(found: FeasibilityMap, ax: Any = None, value: str = "cost") -> Any:
    """Draw a figure of every share and threshold as a coloured table; returns ``ax``."""
    table = found.table(value)
    ax = _axes(ax, (2.2 + 1.1 * len(table.columns), 1.5 + 0.42 * len(table)))
    cells = table.to_numpy(dtype=float)
    chance = value in ("probability", "ci_low", "ci_high")
    shown = np.ma.masked_invalid(cells)
    low, high = (0.0, 1.0) if chance else (shown.min(), shown.max())
    ax.set_facecolor("#eeeeee")
    ax.imshow(shown, cmap="RdYlBu" if chance else "YlOrRd", vmin=low, vmax=high, aspect="auto", alpha=0.75)
    for (i, j), number in np.ndenumerate(cells):
        said = "beyond" if not np.isfinite(number) else f"{number:.2f}" if chance else f"{number:,.0f}"
        ax.text(j, i, said, ha="center", va="center", fontsize=9, color=_ink(number, low, high, chance))
    ax.set_xticks(range(len(table.columns)), [format_seconds(w) for w in table.columns])
    ax.set_yticks(range(len(table)), [f"{100 * s:.4g} %" for s in table.index])
    ax.set_xlabel("answered within")
    ax.set_ylabel("share promised")
    words = {"cost": f"cost ({found.currency})", "agent_hours": found.levels[0].basis if found.levels else ""}
    at = "" if chance else f" that keeps it at {100 * found.confidence:.4g} %"
    ax.set_title(
        f"By {found.term.window}: {words.get(value, 'probability with the staffing assessed')}{at}", fontsize=10
    )
    return ax


def plot_credits(deal: ContractAssessment, ax: Any = None) -> Any:
    """Draw how the credits of the term scatter, with their mean and 95 % quantile; returns ``ax``."""
    ax = _axes(ax)
    values = deal.ledger.cents("credit").sum(axis=1) / 100
    bins = np.histogram_bin_edges(values, bins=40) if values.max() > values.min() else 10
    ax.hist(values, bins=bins, color=_RED, alpha=0.8, weights=np.full(len(values), 1 / len(values)))
    for number, style, name in ((values.mean(), "-", "mean"), (np.quantile(values, 0.95), "--", "95 % quantile")):
        ax.axvline(number, color="black", ls=style, lw=1.2, label=f"{name} {number:,.0f} {deal.contract.currency}")
    term = "month" if len(deal.ledger.months) == 1 else "term"
    ax.set_xlabel(f"credits {_span(deal)} ({deal.contract.currency})")
    ax.set_ylabel(f"share of simulated {term}s")
    _thousands(ax.xaxis)
    ax.set_title(
        f"{deal.contract.name}: credits; none in {100 * (values == 0).mean():.0f} % of the {term}s", fontsize=10
    )
    ax.legend(fontsize=8)
    return ax


def plot_waterfall(deal: ContractAssessment, ax: Any = None) -> Any:
    """Draw the steps from fee to invoice and margin, means over the term; returns ``ax``."""
    table = deal.waterfall()
    shown = table[(table["amount"] != 0) | table["item"].isin(["fee", "credit", "invoice"])]
    ax = _axes(ax)
    level = 0.0
    for k, row in enumerate(shown.itertuples()):
        whole = row.item in ("fee", "invoice", "margin")
        base = 0.0 if whole else level
        color = _GREY if whole else _BLUE if row.amount >= 0 else _RED
        ax.bar(k, row.amount, bottom=base, color=color)
        ax.annotate(f"{row.amount:,.0f}", (k, max(base, base + row.amount)), ha="center", va="bottom", fontsize=8)
        level = row.amount if whole else level + row.amount
    ax.axhline(0, color="black", lw=0.8)
    names = {"credit": "credits", "earn_back": "earn-back", "bonus": "bonuses"}
    ax.set_xticks(range(len(shown)), [names.get(i, i) for i in shown["item"]], fontsize=8)
    ax.set_ylabel(f"{deal.contract.currency} {_span(deal)}, mean")
    ax.set_title(
        f"{deal.contract.name}: from fee to {'margin' if 'margin' in set(shown['item']) else 'invoice'}", fontsize=10
    )
    ax.set_ylim(top=1.12 * float(shown["amount"].max()))
    _thousands(ax.yaxis)
    return ax


def plot_corridor(value: CorridorValue, ax: Any = None) -> Any:
    """Draw the probability of the promise, and the cheapest staffing's hours, against the corridor's width; returns ``ax``."""
    ax = _axes(ax)
    f = value.frame
    at = np.arange(len(f))
    error = [(f["probability"] - f["ci_low"]).clip(lower=0), (f["ci_high"] - f["probability"]).clip(lower=0)]
    ax.errorbar(
        at, f["probability"], yerr=error, fmt="o-", color=_BLUE, capsize=3, label="probability, staffing as it is"
    )
    ax.axhline(value.confidence, color="black", lw=0.8, ls="--", label=f"wanted: {100 * value.confidence:.4g} %")
    ax.set_ylim(-0.02, 1.02)
    ax.set_ylabel("probability")
    ax.set_xticks(
        at,
        [
            "no relief",
            *(f"±{100 * w:.4g} %" if value.below else f"above {100 * (1 + w):.4g} %" for w in f["width"].iloc[1:]),
        ],
    )
    ax.set_xlabel(f"relief by {value.by} outside a corridor around the forecast ({value.effect})")
    if "agent_hours" in f:
        other = ax.twinx()
        other.plot(
            at, f["agent_hours"], "s--", color=_RED, label=f"agent-hours that keep it at {100 * value.confidence:.4g} %"
        )
        other.set_ylabel("agent-hours")
        other.margins(y=0.25)
        _thousands(other.yaxis)
        handles = [*ax.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
        ax.legend(
            handles, [h.get_label() for h in handles], fontsize=8, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.18),
            frameon=False,
        )  # fmt: skip
    ax.set_title(f"{value.term}: what a corridor is worth", fontsize=10)
    return ax


def plot_drivers(drivers: Drivers, ax: Any = None) -> Any:
    """Draw each source's share of the variance with its interval; returns ``ax``."""
    f = drivers.frame.sort_values("share")
    ax = _axes(ax, (7, 1.2 + 0.45 * len(f)))
    at = np.arange(len(f))
    error = [100 * (f["share"] - f["share_low"]).clip(lower=0), 100 * (f["share_high"] - f["share"]).clip(lower=0)]
    ax.barh(at, 100 * f["share"], xerr=error, color=[_GREY if s == "chance" else _BLUE for s in f["source"]], capsize=3)
    ax.set_yticks(at, f["source"], fontsize=9)
    ax.set_xlabel(f"share of the variance of the {_name(drivers.term.metric)} (%)")
    ax.set_title(f"{drivers.term}: what makes it scatter (missed with probability {drivers.miss:.2f})", fontsize=10)
    return ax


def plot_response(response: Response, ax: Any = None) -> Any:
    """Draw margin and credits of a month, and the chance of all clauses, against agent-hours; returns ``ax``."""
    f = response.frame.sort_values("agent_hours")
    ax = _axes(ax)
    ax.fill_between(f["agent_hours"], f["margin_low"], f["margin_high"], color=_BLUE, alpha=0.2, lw=0)
    ax.plot(f["agent_hours"], f["margin"], "o-", color=_BLUE, label="margin")
    ax.plot(f["agent_hours"], f["credit"], "s--", color=_RED, label="credits")
    top = f[f["best"]].iloc[0]
    ax.axvline(top["agent_hours"], color="black", lw=0.8, ls=":", label="best for the provider")
    ax.axhline(0, color="black", lw=0.6)
    ax.set_xlabel("agent-hours a month")
    ax.set_ylabel(f"{response.contract.currency} a month")
    _thousands(ax.xaxis)
    _thousands(ax.yaxis)
    other = ax.twinx()
    other.plot(f["agent_hours"], f["probability"], "^:", ms=4, color=_GREY, label="all clauses kept")
    other.set_ylim(-0.02, 1.02)
    other.set_ylabel("probability")
    handles = [*ax.get_legend_handles_labels()[0], *other.get_legend_handles_labels()[0]]
    ax.legend(handles, [h.get_label() for h in handles], fontsize=8, loc="center right")
    ax.set_title(f"{response.contract.name}: deliver or pay", fontsize=10)
    return ax


def plot_prices(prices: Prices, ax: Any = None) -> Any:
    """Draw each target's attainable level against cost, its own level as a dot; returns ``ax``."""
    ax = _axes(ax)
    shares = []
    for k, (name, part) in enumerate(prices.frame.groupby("target", sort=False)):
        f, row = part.sort_values("cost"), prices.tighten[prices.tighten["target"] == name].iloc[0]
        cost = f["cost"] if f["cost"].gt(0).any() else f["agent_hours"]
        share = float(f["attainable"].max()) <= 1
        shares.append(share)
        ax.plot(cost, f["attainable"] * (100 if share else 1), "o-", ms=4, color=f"C{k}", label=str(name))
        at = np.interp(row["hours_now"], f["agent_hours"], cost) if np.isfinite(row["hours_now"]) else np.nan
        ax.plot(at, row["level"] * (100 if share else 1), "D", color=f"C{k}", ms=8, mfc="none")
    ax.set_xlabel(
        f"cost of the horizon ({prices.currency})" if prices.frame["cost"].gt(0).any() else "agent-hours of the horizon"
    )
    ax.set_ylabel(f"attainable at {100 * prices.confidence:.4g} % ({'%' if all(shares) else '% or s'})")
    ax.set_title("What each target costs; the targets as diamonds", fontsize=10)
    _thousands(ax.xaxis)
    ax.legend(fontsize=8, ncols=2, loc="upper center", bbox_to_anchor=(0.5, -0.16), frameon=False)
    return ax
