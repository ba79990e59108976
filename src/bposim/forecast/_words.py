"""A forecast in words: a table of one row per contact type, text and HTML."""

from __future__ import annotations

import html
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.forecast._build import listed
from bposim.forecast._windows import window_codes

if TYPE_CHECKING:
    from bposim.forecast._result import Forecast


def summary(ahead: Forecast) -> pd.DataFrame:
    """Return one row per contact type; the columns are those of :meth:`Forecast.summary`."""
    first, _ = window_codes(ahead.starts, "day")
    per_day = np.add.reduceat(ahead.array, first, axis=1).astype(float)
    total = ahead.array.sum(axis=1, dtype=np.int64)
    like = {k: f" of {a.like!r}" for k, a in ahead._settings.analogies.items()}
    rows = []
    for j, (name, view) in enumerate(zip(ahead.contact_types, ahead._parts.outlooks, strict=True)):
        mean = per_day[:, :, j].mean(axis=0)
        spread = per_day[:, :, j].std(axis=0)
        cv = float(np.mean(spread[mean > 0] / mean[mean > 0])) if (mean > 0).any() else float("nan")
        low, high = np.quantile(total[:, j], [0.05, 0.95])
        expected = float(ahead.expected[:, j].sum())
        rows.append(
            {
                "contact_type": name,
                "contacts": expected,
                "low": float(low),
                "high": float(high),
                "day_cv": cv,
                "drift_4_weeks": float(np.sqrt(28 * view.error.drift)),
                "method": view.method,
                "effects": ", ".join(view.effects),
                "days_used": view.n_days,
                "days_masked": len(view.masked),
                "masked": listed(view.masked),
                "sentence": f"{expected:,.0f} contacts expected ({low:,.0f} to {high:,.0f} with 90 %), from "
                f"{view.n_days} days{like.get(name, '')}; a day is off by {cv:.0%} (one standard deviation).",
            }
        )
    return pd.DataFrame(rows)


def _title(ahead: Forecast) -> str:
    return f"Forecast of {ahead.days} days from {ahead.start} ({ahead.zone.key}), {ahead.samples} paths, {ahead.method}"


def as_text(ahead: Forecast) -> str:
    """Return the forecast as lines of text."""
    told = (f"  {row.contact_type}: {row.sentence}" for row in ahead.summary().itertuples())
    return "\n".join([_title(ahead), *told, *(f"  Note: {note}" for note in ahead.notes)])


def as_html(ahead: Forecast) -> str:
    """Return the forecast as HTML."""
    table = ahead.summary().drop(columns="sentence")
    table = table.to_html(index=False, float_format=lambda v: f"{v:,.3g}" if v < 10 else f"{v:,.0f}")
    items = "".join(f"<li>{html.escape(n)}</li>" for n in ahead.notes)
    return f"<b>{html.escape(_title(ahead))}</b>{table}<ul>{items}</ul>"
