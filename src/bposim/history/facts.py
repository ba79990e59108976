"""What a history is, in a few lines for its faces."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bposim.history.hours import weekday_of
from bposim.units import format_seconds, hours_text

if TYPE_CHECKING:
    from bposim.history.core import History


def facts(history: History) -> list[tuple[str, str]]:
    """Return name and text of each fact: source, kind, days, contacts, opening hours, quality."""
    days, hours, report = history._days, history.opening_hours, history.quality
    total = float(np.nansum(history._weight))
    open_days = int(np.isin(weekday_of(days), [d for d, s in hours.items() if s]).sum())
    types = ", ".join(history.contact_types[:8]) + (" …" if len(history.contact_types) > 8 else "")
    return [
        ("source", history.source),
        ("kind", f"{history.kind}, {format_seconds(history.interval_s)} intervals, {_settings(history)}"),
        ("days", f"{history.days[0]} to {history.days[1]} ({history.zone.key}): {len(days):,} with data, "
                 f"{open_days:,} of them on open weekdays, {len(history.missing_days):,} closed or missing"),
        ("contacts", f"{total:,.0f} of {types}"),
        ("open", hours_text(hours)),
        ("quality", f"{'no errors' if report.ok else 'NOT OK'}: {report.kept:,} rows kept, "
                    f"{report.set_aside:,} set aside; history.check() tells why"),
    ]  # fmt: skip


def _settings(history: History) -> str:
    booked = f"booked by {history.booking}" if history.booking else "booking not told"
    told = (
        ("service level", history.counting),
        ("within", history.within_s),
        ("short abandons", history.short_abandon_s),
    )
    words = [f"{n} {v if isinstance(v, str) else format_seconds(v)}" for n, v in told if v is not None]
    return ", ".join([booked, *words])
