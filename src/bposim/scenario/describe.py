"""The scenario in words and tables, before it runs."""

from __future__ import annotations

import html
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.units import format_seconds, hours_text

if TYPE_CHECKING:
    from bposim.scenario import Scenario


@dataclass(frozen=True)
class Description:
    """What a scenario says.

    Attributes
    ----------
    text : str
    types : DataFrame
        ``contact_type, channel, contacts, contacts_per_day, handle_time_s, patience_s, workload_peak_erlangs``.
    groups : DataFrame
        ``agent_group, skills, heads_min, heads_max, agent_hours, cost``.
    load : DataFrame
        ``interval_start, workload_erlangs, heads`` of every open interval, all types and groups pooled.
    """

    text: str
    types: pd.DataFrame
    groups: pd.DataFrame
    load: pd.DataFrame

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return self.text

    def _repr_html_(self) -> str:
        head = html.escape(self.text.split("\n\n")[0]).replace("\n", "<br>")
        return f"<p>{head}</p>{self.types.to_html(index=False)}{self.groups.to_html(index=False)}"


def describe(scenario: Scenario) -> Description:
    """Build the description of a scenario."""
    grid = scenario.grid
    n_days = max(len(np.unique(grid.day)), 1)
    load = np.zeros(len(grid))
    rows: list[dict[str, Any]] = []
    for name, kind in scenario.contact_types.items():
        expected = scenario.expected_contacts(name)
        mean = np.array([d.mean for d in kind.handle_time])
        handle = mean[np.minimum(grid.slot, len(mean) - 1)] if len(mean) > 1 else np.full(len(grid), mean[0])
        erlangs = expected / np.maximum(grid.hours, 1e-12) * handle / 3600
        load += erlangs
        rows.append(
            {
                "contact_type": name,
                "channel": kind.channel,
                "contacts": float(expected.sum()),
                "contacts_per_day": float(expected.sum()) / n_days,
                "handle_time_s": float(np.average(handle, weights=expected)) if expected.sum() else float(mean.mean()),
                "patience_s": float(np.mean([d.mean for d in kind.patience])),
                "workload_peak_erlangs": float(erlangs.max(initial=0)),
            }
        )
    heads_total = np.zeros(len(grid))
    group_rows = []
    for name, group in scenario.agent_groups.items():
        heads = scenario.scheduled_heads(name)
        heads_total += heads * (1 - group.shrinkage)
        hours = float((heads * grid.hours).sum())
        group_rows.append(
            {
                "agent_group": name,
                "skills": ", ".join(group.skills),
                "heads_min": float(heads.min()) if len(heads) else 0.0,
                "heads_max": float(heads.max(initial=0)),
                "agent_hours": hours,
                "cost": hours * group.cost_per_hour,
            }
        )
    types, groups = pd.DataFrame(rows), pd.DataFrame(group_rows)
    frame = pd.DataFrame({"interval_start": grid.starts, "workload_erlangs": load, "heads": heads_total})
    lines = [
        f"{scenario.name}: {scenario.days} days from {scenario.start} ({scenario.time_zone}), "
        f"{len(grid)} open intervals of {format_seconds(scenario.interval)}",
        f"Open: {hours_text(scenario.opening_hours)}",
    ]
    for row, kind in zip(rows, scenario.contact_types.values(), strict=True):
        busy = f", day factor {kind.day_factor}" if kind.day_factor is not None else ""
        lines.append(
            f"  {row['contact_type']} ({kind.channel}, priority {kind.priority}): {row['contacts_per_day']:,.0f} contacts a "
            f"day, handle time {row['handle_time_s']:.0f} s, mean patience {format_seconds(round(row['patience_s'], 1))}, "
            f"peak {row['workload_peak_erlangs']:.1f} Erlangs{busy}"
        )
    for row in group_rows:
        lines.append(
            f"  {row['agent_group']} takes {row['skills']}: {row['heads_min']:g} to {row['heads_max']:g} agents, "
            f"{row['agent_hours']:,.0f} agent-hours, {row['cost']:,.0f} {scenario.currency}"
        )
    short = heads_total < load
    if heads_total.any() and short.any():
        first = grid.starts[np.flatnonzero(short)[0]]
        lines.append(
            f"  Note: {int(short.sum())} intervals offer more work than their agents can do, first {first:%a %d %b %H:%M}."
        )
    for target in (*scenario.targets, *(t for k in scenario.contact_types.values() for t in k.targets)):
        lines.append(f"  Target: {target}")
    lines += [f"  Assumed: {a}" for a in scenario.assumptions]
    return Description("\n".join(lines), types, groups, frame)
