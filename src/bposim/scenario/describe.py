"""The scenario in words and tables, before it runs."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.scenario.spoken import group_lines, routing_lines, site_lines, type_lines
from bposim.units import format_seconds, hours_text

if TYPE_CHECKING:
    from bposim.distributions import Distribution
    from bposim.scenario import Scenario
    from bposim.scenario.models import AgentGroup


@dataclass(frozen=True)
class Description:
    """What a scenario says.

    Attributes
    ----------
    text : str
    types : DataFrame
        ``contact_type, channel, contacts, contacts_per_day, handle_time_s, patience_s, workload_peak_erlangs``: first
        attempts; redials, call-backs and transfers come on top. The handle time has the after-contact work in it.
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
        handle = _means(kind.handle_time, grid.slot) + _means(kind.after_contact_work or (), grid.slot)
        erlangs = expected / np.maximum(grid.hours, 1e-12) * handle / 3600
        load += erlangs
        rows.append(
            {
                "contact_type": name,
                "channel": kind.channel,
                "contacts": float(expected.sum()),
                "contacts_per_day": float(expected.sum()) / n_days,
                "handle_time_s": float(np.average(handle, weights=expected))
                if expected.sum()
                else float(handle.mean()),
                "patience_s": float(np.mean([d.mean for d in kind.patience])),
                "workload_peak_erlangs": float(erlangs.max(initial=0)),
            }
        )
    heads_total, capacity = np.zeros(len(grid)), np.zeros(len(grid))
    group_rows = []
    for name, group in scenario.agent_groups.items():
        heads = scenario.scheduled_heads(name)
        net = heads * (1 - group.shrinkage)
        heads_total += net
        capacity += net * (1 - group.absence) * group.adherence * _throughput(group)
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
        lines += [f"    {said}" for said in type_lines(scenario, str(row["contact_type"]))]
    for row in group_rows:
        lines.append(
            f"  {row['agent_group']} takes {row['skills']}: {row['heads_min']:g} to {row['heads_max']:g} agents, "
            f"{row['agent_hours']:,.0f} agent-hours, {row['cost']:,.0f} {scenario.currency}"
        )
        lines += [f"    {said}" for said in group_lines(scenario.agent_groups[str(row["agent_group"])])]
    lines += [f"  {said}" for said in (*site_lines(scenario), *routing_lines(scenario))]
    short = capacity < load
    if heads_total.any() and short.any():
        first = grid.starts[np.flatnonzero(short)[0]]
        lines.append(
            f"  Note: {int(short.sum())} intervals offer more work than their agents can do, first {first:%a %d %b %H:%M}."
        )
    for target in (*scenario.targets, *(t for k in scenario.contact_types.values() for t in k.targets)):
        lines.append(f"  Target: {target}")
    lines += [f"  Assumed: {a}" for a in scenario.assumptions]
    return Description("\n".join(lines), types, groups, frame)


def _means(laws: Sequence[Distribution], slot: np.ndarray) -> np.ndarray:
    """Return the mean of a law, or of one for each interval of the day, over the grid; 0 without a law."""
    means = np.array([law.mean for law in laws] or [0.0])
    return means[np.minimum(slot, len(means) - 1)]


def _throughput(group: AgentGroup) -> float:
    """Return the most work that an agent does at a time, in contacts' own handle times."""
    if group.concurrency is None:
        return 1.0
    return max(c * pace for c, pace in enumerate(group.concurrency.pace, 1))
