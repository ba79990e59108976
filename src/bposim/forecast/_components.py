"""What a forecast is made of, in planners' words: the level, and what weekday, season, month, holidays, events do to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.units import Grid

if TYPE_CHECKING:
    from bposim.forecast._days import Outlook

#: The effects, in the order in which they are shown.
EFFECTS = ("weekday", "season", "month", "holiday", "events", "regressors")
#: With what is no part of the day model.
SHOWN = (*EFFECTS, "clock", "update")
_WORDS = {
    "weekday": "day of the week", "season": "time of the year", "month": "day of the month", "holiday": "holidays",
    "events": "events", "regressors": "regressors", "clock": "clock change",
    "update": "what came, and what it says of the rest",
}  # fmt: skip


def log_effects(effects: pd.DataFrame, groups: Mapping[str, Iterable[str]], n_past: int) -> pd.DataFrame:
    """Return the effects of the days ahead in logs, one column for each of ``EFFECTS``.

    Parameters
    ----------
    effects : DataFrame
        One row per day of history and then of the horizon, one column per column of the day model.
    groups : dict of effect to its columns
    """
    out = pd.DataFrame(0.0, index=effects.index, columns=list(EFFECTS))
    for name, columns in groups.items():
        there = [c for c in columns if c in effects]
        if there:
            out[name] = effects[there].sum(axis=1)
    # The weekday is told against the mean of the weekdays on which the operation is open.
    past = out["weekday"].iloc[:n_past]
    out["weekday"] -= past.groupby(effects.index[:n_past].day_of_week).mean().mean()
    return out.iloc[n_past:]


def components(
    types: Sequence[str], outlooks: Sequence[Outlook], grid: Grid, expected: np.ndarray, totals: np.ndarray,
    by_events: np.ndarray, future: pd.DatetimeIndex, prior: np.ndarray | None = None,
) -> pd.DataFrame:  # fmt: skip
    """Return level and effects of each contact type and day.

    Parameters
    ----------
    expected : ndarray, shape (n_intervals, n_types)
    totals, by_events : ndarray, shape (n_open_days, n_types)
        Expected day totals, coming events in them, and the factor by which events with a size given moved them.
    future : DatetimeIndex
        Open days of the horizon.
    prior : ndarray, shape (n_intervals, n_types), optional
        Expectation before an update; None where there was none.
    """
    _, first = np.unique(grid.day, return_index=True)
    by_day = np.add.reduceat(expected, first, axis=0)
    before = by_day if prior is None else np.add.reduceat(prior, first, axis=0)
    frames = []
    for j, (name, view) in enumerate(zip(types, outlooks, strict=True)):
        logs = pd.DataFrame(0.0, index=future, columns=list(EFFECTS))
        if view.parts is not None:
            logs = view.parts.reindex(future).fillna(0.0)
        factor = np.exp(logs)
        factor["events"] *= by_events[:, j]
        clock = np.divide(before[:, j], totals[:, j], out=np.ones(len(future)), where=totals[:, j] > 0)
        factor["clock"] = np.where(np.abs(clock - 1) < 1e-9, 1.0, clock)
        product = factor.prod(axis=1).to_numpy()
        level = np.divide(before[:, j], product, out=np.zeros(len(future)), where=product > 0)
        # Where nothing was expected, what came is the level.
        level = np.where(before[:, j] > 0, level, by_day[:, j])
        factor["update"] = np.divide(by_day[:, j], before[:, j], out=np.ones(len(future)), where=before[:, j] > 0)
        frame = pd.DataFrame({"date": future, "contact_type": name, "level": level})
        for effect in SHOWN:
            frame[f"{effect}_percent"] = 100 * (factor[effect].to_numpy() - 1)
        frame["expected"] = by_day[:, j]
        frames.append(frame)
    return pd.concat(frames, ignore_index=True)


def draw(table: pd.DataFrame, title: str, axes: Any = None) -> Any:
    """Draw expectation and level, and below each effect that there is, as bars in per cent."""
    from bposim.forecast._pictures import parts_of_a_day

    shown = [e for e in SHOWN if table[f"{e}_percent"].abs().max() > 0.05]
    return parts_of_a_day(table, shown, _WORDS, title, axes)
