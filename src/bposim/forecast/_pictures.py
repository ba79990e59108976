"""Pictures of forecasts and back-tests: stairs that stop where nobody is open, and legends that cover nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter, require
from bposim.forecast._windows import WINDOWS, window_codes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from datetime import date

    from bposim.forecast._result import Forecast

#: Room above the highest value, as a share of it, in which the legend stands.
ROOM = 0.3
COVERS = (0.95, 0.80, 0.50)


def window_ends(stamps: pd.DatetimeIndex, by: str, interval_s: float) -> pd.DatetimeIndex:
    """Return where windows end whose starts are ``stamps``, local times without a zone."""
    if by == "interval":
        return stamps + pd.Timedelta(seconds=interval_s)
    if by == "month":
        return stamps + pd.offsets.MonthBegin(1)
    return stamps + pd.Timedelta(days=7 if by == "week" else 1)


def stairs(
    start: pd.DatetimeIndex, end: pd.DatetimeIndex, *lines: np.ndarray
) -> tuple[pd.DatetimeIndex, list[np.ndarray]]:
    """Return x and each line as stairs, one step per window; NaN parts windows that do not touch.

    A straight line from Friday to Monday would draw contacts on a closed weekend.
    """
    x = np.stack([start, end], axis=1).reshape(-1)
    gap = 2 * (np.flatnonzero(np.asarray(end[:-1] < start[1:])) + 1)
    steps = [np.insert(np.repeat(np.asarray(v, dtype=float), 2), gap, np.nan) for v in lines]
    return pd.DatetimeIndex(np.insert(x, gap, x[gap])), steps


def dates(ax: Any) -> None:
    """Label the time axis in few words, every day with its month."""
    from matplotlib.dates import AutoDateLocator, ConciseDateFormatter

    locator = AutoDateLocator(minticks=3, maxticks=9, interval_multiples=False)
    ax.xaxis.set_major_locator(locator)
    ax.xaxis.set_major_formatter(
        ConciseDateFormatter(
            locator,
            formats=["%Y", "%b", "%d %b", "%H:%M", "%H:%M", "%S.%f"],
            zero_formats=["", "%Y", "%d %b", "%d %b", "%H:%M", "%H:%M"],
            offset_formats=["", "", "%Y", "%Y", "%d %b %Y", "%d %b %Y"],
        )
    )


def fan(
    start: pd.DatetimeIndex, end: pd.DatetimeIndex, paths: np.ndarray, mean: np.ndarray, unit: str, title: str, ax: Any = None
) -> Any:  # fmt: skip
    """Draw the expectation and bands of paths of shape (samples, windows)."""
    import matplotlib.pyplot as plt

    if ax is None:
        _, ax = plt.subplots(figsize=(9, 4), layout="constrained")
    top = 0.0
    for cover, alpha in zip(COVERS, (0.15, 0.22, 0.32), strict=True):
        low, high = np.quantile(paths, [(1 - cover) / 2, (1 + cover) / 2], axis=0)
        x, (low, high) = stairs(start, end, low, high)
        ax.fill_between(x, low, high, color="tab:blue", alpha=alpha, linewidth=0, label=f"{cover:.0%} of paths")
        top = max(top, float(np.nanmax(high, initial=0.0)))
    x, (line,) = stairs(start, end, mean)
    ax.plot(x, line, color="tab:blue", linewidth=1.3, label="expected")
    top = max(top, float(np.nanmax(line, initial=0.0)))
    finish(ax, top, f"contacts per {unit}", title, n_columns=2)
    dates(ax)
    return ax


def mark_holidays(ax: Any, holidays: Mapping[date, str]) -> None:
    """Shade public holidays, behind the data, and name them at the foot."""
    for k, (day, name) in enumerate(sorted(holidays.items())):
        begin = pd.Timestamp(day)
        ax.axvspan(
            begin, begin + pd.Timedelta(days=1), color="tab:orange", alpha=0.18, linewidth=0, zorder=0,
            label=None if k else "public holiday",
        )  # fmt: skip
        ax.text(
            begin + pd.Timedelta(hours=12), 0.02, name, rotation=90, fontsize="x-small", ha="center", va="bottom", color="grey",
            transform=ax.get_xaxis_transform(), clip_on=True,  # outside a narrower view it would stretch the figure
        )  # fmt: skip
    if holidays:
        ax.legend(frameon=False, fontsize="small", ncols=2, loc="upper right")


def finish(ax: Any, top: float, label: str, title: str, n_columns: int) -> None:
    """Set the vertical axis from 0 with room for a legend above the data."""
    ax.set_ylim(0, (1 + ROOM) * top if top > 0 else 1.0)
    ax.yaxis.set_major_formatter("{x:,.10g}")
    ax.set_ylabel(label)
    ax.set_title(title)
    ax.legend(frameon=False, fontsize="small", ncols=n_columns, loc="upper right")


def parts_of_a_day(
    table: pd.DataFrame, effects: Sequence[str], words: dict[str, str], title: str, axes: Any = None
) -> Any:
    """Draw expectation and level of each day, and below each effect as bars in per cent."""
    import matplotlib.pyplot as plt

    if axes is None:
        high = 2.6 + 1.3 * len(effects)
        ratios = [2.0] + [1.0] * len(effects)
        _, axes = plt.subplots(
            1 + len(effects), 1, figsize=(9, high), sharex=True, squeeze=False, layout="constrained", height_ratios=ratios
        )  # fmt: skip
        axes = axes[:, 0]
    axes = np.atleast_1d(np.asarray(axes, dtype=object))
    day = pd.DatetimeIndex(table["date"])
    end = window_ends(day, "day", 86_400)
    x, (expected, level) = stairs(day, end, table["expected"].to_numpy(), table["level"].to_numpy())
    axes[0].plot(x, expected, color="tab:blue", linewidth=1.5, label="expected")
    axes[0].plot(x, level, color="grey", linestyle="--", label="level")
    top = float(table[["expected", "level"]].to_numpy().max(initial=0.0))
    finish(axes[0], top, "contacts per day", title, n_columns=2)
    for ax, effect in zip(axes[1:], effects, strict=False):
        ax.bar(day + pd.Timedelta(hours=12), table[f"{effect}_percent"], color="tab:blue", width=0.8)
        ax.axhline(0, color="black", linewidth=0.6)
        ax.set_ylabel("%")
        ax.set_title(words[effect], loc="left", fontsize="small")
    for ax in axes[: 1 + len(effects)]:
        dates(ax)
    return axes


def by_lead(cells: pd.DataFrame, method: str, by: str, title: str, ax: Any = None) -> Any:
    """Draw WAPE by week of lead for each method, and the noise floor."""
    import matplotlib.pyplot as plt
    from matplotlib.ticker import MaxNLocator, PercentFormatter

    if ax is None:
        _, ax = plt.subplots(figsize=(7, 4), layout="constrained")
    top = 0.0
    for name, part in cells.groupby("method", sort=False):
        gap = (part["expected"] - part["actual"]).abs().groupby(part["lead_week"]).sum()
        wape = gap / part.groupby("lead_week")["actual"].sum()
        own = name == method
        ax.plot(wape, marker="o", label=name, linewidth=2.2 if own else 1.3, zorder=3 if own else 2)
        top = max(top, float(wape.max()))
    own = cells[cells["method"] == method].groupby("lead_week")[["floor", "actual"]].sum()
    ax.plot(own["floor"] / own["actual"], color="grey", linestyle=":", marker=".", label="noise floor")
    finish(ax, top, f"WAPE per {by}", title, n_columns=2)
    ax.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=None))
    ax.xaxis.set_major_locator(MaxNLocator(integer=True))
    ax.set_xlabel("week of lead")
    return ax


def draw_forecast(made: Forecast, by: str, contact_type: str | None, ax: Any) -> Any:
    """Draw the fan of a forecast by window, its public holidays marked."""
    problems = []
    if by not in WINDOWS[:-1]:
        problems.append(parameter("by", "plot()", f"one of {', '.join(WINDOWS[:-1])}", by))
    if contact_type is not None and contact_type not in made.contact_types:
        rule = f"one of {', '.join(made.contact_types)}"
        problems.append(parameter("contact_type", "plot()", rule, contact_type))
    require(problems, ParameterError)
    wanted = made.contact_types if contact_type is None else (contact_type,)
    pick = [made.contact_types.index(name) for name in wanted]
    first, stamps = window_codes(made.starts, by)
    paths = np.add.reduceat(made.array[:, :, pick].sum(axis=2), first, axis=1)
    mean = np.add.reduceat(made.expected[:, pick].sum(axis=1), first)
    local = stamps.tz_localize(None)
    title = f"{', '.join(wanted)}: {made.days} days from {made.start}"
    unit = f"{made.interval_s / 60:g} min" if by == "interval" else by
    ax = fan(local, window_ends(local, by, made.interval_s), paths, mean, unit, title, ax)
    mark_holidays(ax, made._parts.holidays)
    return ax
