"""A forecast in words: one row per contact type, as text and as HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.forecast._windows import window_codes

if TYPE_CHECKING:
    from bposim.forecast._days import Outlook
    from bposim.forecast._result import Forecast


def summary_table(made: Forecast, outlooks: Sequence[Outlook]) -> pd.DataFrame:
    """Return one row per contact type, as :meth:`Forecast.summary` says."""
    first, _ = window_codes(made.starts, "day")
    per_day = np.add.reduceat(made.array, first, axis=1).astype(float)
    total = made.array.sum(axis=1, dtype=np.int64)
    rows = []
    for j, (name, view) in enumerate(zip(made.contact_types, outlooks, strict=True)):
        mean = per_day[:, :, j].mean(axis=0)
        spread = per_day[:, :, j].std(axis=0)
        cv = float(np.mean(spread[mean > 0] / mean[mean > 0])) if (mean > 0).any() else float("nan")
        low, high = np.quantile(total[:, j], [0.05, 0.95])
        expected = float(made.expected[:, j].sum())
        rows.append(
            {
                "contact_type": name,
                "contacts": expected,
                "low": float(low),
                "high": float(high),
                "day_cv": cv,
                "drift_4_weeks": float(np.sqrt(28 * view.error.drift)),
                "method": made.method,
                "effects": ", ".join(view.effects),
                "days_used": view.n_days,
                "days_masked": view.masked,
                "sentence": f"{expected:,.0f} contacts expected ({low:,.0f} to {high:,.0f} with 90 %), from "
                f"{view.n_days} days; a day is off by {cv:.0%} (one standard deviation).",
            }
        )
    return pd.DataFrame(rows)


def as_text(made: Forecast) -> str:
    """Return the title, a sentence per contact type and the notes."""
    lines = [
        _title(made),
        *(f"  {row.contact_type}: {row.sentence}" for row in made.summary().itertuples()),
        *(f"  Note: {note}" for note in made.notes),
    ]
    return "\n".join(lines)


def as_html(made: Forecast) -> str:
    """Return the title, the table and the notes."""
    table = made.summary().drop(columns="sentence")
    table = table.to_html(index=False, float_format=lambda v: f"{v:,.3g}" if v < 10 else f"{v:,.0f}")
    items = "".join(f"<li>{html.escape(n)}</li>" for n in made.notes)
    return f"<b>{html.escape(_title(made))}</b>{table}<ul>{items}</ul>"


def _title(made: Forecast) -> str:
    return f"Forecast of {made.days} days from {made.start} ({made.zone.key}), {made.samples} paths, {made.method}"
