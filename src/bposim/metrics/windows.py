"""A metric window by window, and how much of each window the horizon holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter
from bposim.metrics.counts import MAXIMA, Counts
from bposim.metrics.pooling import Source, aggregate, codes_of, divide, group, resolve, sums, tell_unknown
from bposim.schema import WINDOWS

_LENGTH = {
    "day": pd.DateOffset(days=1), "week": pd.DateOffset(weeks=1), "month": pd.DateOffset(months=1),
    "quarter": pd.DateOffset(months=3),
}  # fmt: skip


def window_shares(counts: Counts, window: str) -> pd.Series:
    """Return the share of each window's calendar days that the horizon holds, indexed by ``window_start``.

    Days on which nobody works belong to the horizon like any other. ``interval`` and ``all`` are always whole.

    Examples
    --------
    >>> from bposim.metrics import Counts
    >>> days = pd.date_range("2026-05-30", periods=4, freq="D", tz="UTC")
    >>> month = Counts(days, np.full(4, 24.0), ("a",), {"offered": np.ones((1, 4, 1))})
    >>> window_shares(month, "month").round(3).tolist()
    [0.065, 0.067]
    """
    labels = codes_of(counts.starts, window)[0]
    if window not in _LENGTH or not len(labels):
        return pd.Series(1.0, index=labels)
    begin = pd.DatetimeIndex(labels)
    end = begin + _LENGTH[window]
    first, last = counts.days or tuple(counts.starts[[0, -1]].tz_localize(None).normalize())
    after = last + pd.Timedelta(days=1)
    held = end.where(end <= after, after) - begin.where(begin >= first, first)
    share = np.asarray(held / (end - begin), dtype=float)
    return pd.Series(np.clip(share, 0.0, 1.0), index=labels)


def no_whole_window(counts: Counts, window: str, days: int, *, sure: bool = True) -> str | None:
    """Return a sentence where the horizon holds no whole window, None where it holds one.

    Parameters
    ----------
    days : int
        Length of the horizon.
    sure : bool
        Whether a probability is told of the window, and not an expected value.
    """
    share = window_shares(counts, window)
    if (share == 1).any():
        return None
    first, last = counts.days or tuple(counts.starts[[0, -1]])
    one = len(share) == 1
    part = f"{'the part' if one else f'{len(share)} parts'} from {first:%d %b} to {last:%d %b}"
    said = f"The horizon of {days} day{'s' * (days > 1)} holds no whole {window}: "
    if sure:
        return f"{said}the probability is that of {part}, which {'scatters' if one else 'scatter'} more than a whole {window}."
    return f"{said}the expected value is that of {part}, and does not say how surely a {window} meets the target."


def whole_windows(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of a :func:`windows` frame whose windows are whole; all of them where none is."""
    whole = (table["share"] == 1).to_numpy()
    return table[whole] if whole.any() else table


def windows(
    source: Source,
    metric_name: str,
    window: str = "day",
    within: Any = None,
    counting: str | None = None,
    *,
    contact_type: str | Sequence[str] | None = None,
    short: Any = None,
    strict: bool = False,
    aggregation: str = "pooled",
    pass_level: float | None = None,
) -> pd.DataFrame:
    """Return one row per replication and window: ``replication, window_start, value, numerator, denominator, share``.

    ``share`` is the share of the window's days that the horizon holds: below 1 the ends of the horizon cut it.

    Parameters
    ----------
    source : History or SimulationResult
    metric_name : str
        A ratio or sum of the glossary (percentiles have no numerator: use ``summary(by=…)``).
    window : str
        ``interval``, ``day``, ``week``, ``month``, ``quarter`` or ``all``.
    contact_type : str or list of str, optional
        One type, or several pooled; all pooled otherwise.

    Raises
    ------
    ParameterError
        Unknown window, metric, rule or contact type.

    Warns
    -----
    DataQualityWarning
        Cells of an interval report are not known and were left out.
    """
    if window not in WINDOWS:
        raise ParameterError(parameter("window", "windows()", f"one of {', '.join(WINDOWS)}", window))
    ask = resolve(source, metric_name, within, counting, short, strict)
    counts = source.counts([t for t in (ask.within_s, ask.short_s) if t is not None])
    labels, codes = codes_of(counts.starts, window)
    kinds = [contact_type] if isinstance(contact_type, str) else list(contact_type or ())
    unknown = [k for k in kinds if k not in counts.types]
    if unknown:
        raise ParameterError(f"contact type {unknown[0]!r} is unknown. Known: {', '.join(counts.types)}.")
    if kinds and ask.metric.table == "agents":
        raise ParameterError(
            f"metric {ask.metric.id!r} cannot be split by contact_type: agents' time belongs to groups. Leave it out."
        )
    if ask.metric.table == "waits":
        if len(kinds) > 1:
            raise ParameterError(f"metric {ask.metric.id!r} takes one contact type, or all. Got {', '.join(kinds)}.")
        values = source.wait_quantiles(float(ask.metric.quantile or 0.5), codes, bool(kinds))
        value = values[:, :, counts.types.index(kinds[0]) if kinds else 0]
        top = bottom = np.full(value.shape, np.nan)
    else:
        types = [counts.types.index(k) for k in kinds] if kinds else None
        given = sums(counts, ask, split=False, types=types)
        tell_unknown([(ask, given)], stacklevel=3)
        maxima = ask.metric.numerator[0][0] in MAXIMA
        top3, bottom3 = aggregate(given.top, given.bottom, counts, ask, aggregation, pass_level)
        top = group(top3, codes, len(labels), None, maxima)[:, :, 0]
        bottom = np.ones_like(top)
        if bottom3 is not None:
            bottom = group(bottom3, codes, len(labels), None, False)[:, :, 0]
        value = divide(top, bottom)
    r = len(top)
    return pd.DataFrame(
        {
            "replication": np.repeat(np.arange(r), len(labels)),
            "window_start": labels[np.tile(np.arange(len(labels)), r)],
            "value": value.reshape(-1),
            "numerator": top.reshape(-1),
            "denominator": bottom.reshape(-1),
            "share": np.tile(window_shares(counts, window).to_numpy(), r),
        }
    )
