"""Forecast contacts that corridors and commitments are laid around, compared with counts interval by interval."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import DataQualityWarning, ParameterError
from bposim.metrics import Counts
from bposim.metrics.pooling import group, time_labels


@dataclass(frozen=True, eq=False)
class Expected:
    """Forecast contacts: what corridors are laid around.

    Attributes
    ----------
    starts : DatetimeIndex
        Zone-aware starts of the forecast's own stretches, ascending.
    types : tuple of str
    contacts : ndarray, shape (n_stretches, n_types)
        nan where a type is not foreseen.
    """

    starts: pd.DatetimeIndex
    types: tuple[str, ...]
    contacts: np.ndarray

    def of(self, types: Sequence[str]) -> np.ndarray:
        """Return the columns of contact types, shape (n_stretches, n_types); one column where all are foreseen as one.

        Raises
        ------
        ParameterError
            A type is lacking.
        """
        if self.types == ("all",):
            return self.contacts
        lacking = [t for t in types if t not in self.types]
        if lacking:
            raise ParameterError(f"the forecast lacks contact type {lacking[0]!r}. It has: {', '.join(self.types)}.")
        return self.contacts[:, [self.types.index(t) for t in types]]

    def by(self, unit: str, labels: pd.Index, types: Sequence[str]) -> np.ndarray:
        """Return the forecast of each label, nan where it has none; shape (n_labels,)."""
        total = pd.Series(np.nansum(self.of(types), axis=1)).groupby(np.asarray(time_labels(self.starts, unit))).sum()
        return total.reindex(np.asarray(labels)).to_numpy(dtype=float)

    @property
    def ends(self) -> pd.DatetimeIndex:
        """Ends of the stretches, all as long as the shortest distance of two: days and months are those of the calendar."""
        local = self.starts.tz_localize(None)
        gap = local.to_series().diff().min()
        first = len(local) == 1 and local[0] == local[0].to_period("M").to_timestamp()
        if first or gap >= pd.Timedelta(days=28):
            months = 1 if first else round(gap / pd.Timedelta(days=30.44))
            later = local + pd.DateOffset(months=months)
        elif len(local) == 1 or gap >= pd.Timedelta(days=1):
            later = local + pd.DateOffset(days=1 if len(local) == 1 else gap.days)
        else:
            return self.starts + self.starts.to_series().diff().min()
        return pd.DatetimeIndex(later).tz_localize(self.starts.tz, ambiguous=True, nonexistent="shift_forward")


def read_forecast(forecast: Any, zone: Any) -> Expected | None:
    """Read a Forecast, a Volumes frame (paths are averaged), or None.

    Raises
    ------
    ParameterError
        It is neither.
    """
    if forecast is None or isinstance(forecast, Expected):
        return forecast
    frame = (
        forecast.mean(by="interval")
        if hasattr(forecast, "quantiles") and not isinstance(forecast, pd.DataFrame)
        else forecast
    )
    if not isinstance(frame, pd.DataFrame) or not {"interval_start", "contacts"} <= set(frame.columns):
        raise ParameterError(
            "forecast= must be a Forecast, or a frame with interval_start, contacts and contact_type. Got "
            f"{type(forecast).__name__}."
        )
    frame = frame if "contact_type" in frame else frame.assign(contact_type="all")
    starts = pd.DatetimeIndex(pd.to_datetime(frame["interval_start"]))
    starts = starts.tz_localize(zone, ambiguous=True, nonexistent="shift_forward") if starts.tz is None else starts.tz_convert(zone)  # fmt: skip
    paths = frame["sample"].nunique() if "sample" in frame else 1
    table = (
        pd.DataFrame({"start": starts, "type": frame["contact_type"].astype(str).to_numpy(), "n": frame["contacts"].to_numpy(float)})
        .groupby(["start", "type"])["n"].sum(min_count=1).unstack()
    )  # fmt: skip
    return Expected(pd.DatetimeIndex(table.index), tuple(table.columns), table.to_numpy() / paths)


def foresee(
    expected: Expected, counts: Counts, types: Sequence[int], inside: np.ndarray, unit: str, labels: pd.Index,
    codes: np.ndarray, said: str,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Return contacts and forecast by stretch, both of the same intervals; shape (n_replications, n_labels).

    Where the forecast is the finer one it is added up to the counts' intervals, where it is the coarser one the counts to its
    stretches. What is not known of the counts is left out on both sides.

    Parameters
    ----------
    inside : ndarray of bool, shape (n_intervals,)
        Intervals that are compared (the clause's hours).
    unit : str
        Stretch of the corridor; ``labels`` and ``codes`` are the counts' own by it.
    said : str
        Beginning of a complaint.

    Raises
    ------
    ParameterError
        An interval with contacts is not foreseen, or the forecast is coarser than the hours or the stretches.

    Warns
    -----
    DataQualityWarning
        Counts are not known and were left out on both sides.
    """
    names = [counts.types[k] for k in types]
    told = expected.of(names)
    offered = np.asarray(counts.column("offered"), dtype=float)[:, :, list(types)]
    if told.shape[1] < offered.shape[2]:
        offered = offered.sum(axis=2, keepdims=True)
    offered = np.where(inside[None, :, None], offered, 0.0)
    atom, base, seen = _laid_on(expected, counts, told)
    _refuse_coarse(expected, atom, inside, unit, codes, said)
    # An atom is an interval, or a stretch of a coarser forecast; -1: not foreseen at all.
    full = seen[np.maximum(atom, 0)] & (atom >= 0)[:, None]
    lacking = (((offered > 0) | np.isnan(offered)).any(axis=0) & ~full).any(axis=1)
    if lacking.any():
        away = np.unique(codes[lacking])
        raise ParameterError(
            f"{said}, and the forecast holds nothing of {len(away)} of {len(labels)}, or not all of it "
            f"(first {labels[away[0]]}: {counts.starts[lacking][0]:%Y-%m-%d %H:%M}). Give a forecast of all of them."
        )
    use = (atom >= 0) & inside
    n = len(base)
    sums = group(np.where(np.isnan(offered), 0.0, offered)[:, use], atom[use], n, None, False)
    holes = group(np.isnan(offered)[:, use].astype(float), atom[use], n, None, False) > 0
    held = np.bincount(atom[use], minlength=n) > 0
    if holes.any():
        warnings.warn(
            DataQualityWarning(
                f"{said}: the contacts of {int(holes.any(axis=(0, 2)).sum())} stretches are not known; they are left out of "
                "contacts and forecast."
            ),
            stacklevel=2,
        )
    usable = ~holes & (held[:, None] & ~np.isnan(base))[None]
    actual = np.where(usable, sums, 0.0)
    foreseen = np.where(usable, np.nan_to_num(base)[None], 0.0)
    first = np.zeros(n, dtype=np.int64)
    first[atom[use][::-1]] = codes[use][::-1]
    came, awaited = (group(x, first, len(labels), None, False).sum(axis=2) for x in (actual, foreseen))
    return came, awaited


def _laid_on(expected: Expected, counts: Counts, told: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return each interval's atom, each atom's forecast, and whether all of it is foreseen, the last two by contact type."""
    begin, end = (x.tz_convert("UTC") for x in (expected.starts, expected.ends))
    starts = counts.starts.tz_convert("UTC")
    length = (end - begin).min() / pd.Timedelta(hours=1)
    local = counts.starts.tz_localize(None).normalize()
    daily = local.is_unique
    if length >= (23 if daily else counts.hours.min() - 1e-9):
        k = begin.searchsorted(starts, side="right") - 1
        atom = np.where((k >= 0) & (starts < end[np.maximum(k, 0)]), k, -1)
        # Stretches cut by the ends of the counts cannot be compared.
        low, high = counts.days or (local[0], local[-1])
        cut = (expected.starts.tz_localize(None).normalize() < low) | (
            expected.ends.tz_localize(None) > high + pd.Timedelta(days=1)
        )
        base = np.where(cut[:, None], np.nan, told)
        return atom, base, ~np.isnan(told)
    if daily:
        place = pd.DatetimeIndex(local).get_indexer(expected.starts.tz_localize(None).normalize())
    else:
        k = starts.searchsorted(begin, side="right") - 1
        over = starts + pd.to_timedelta(counts.hours, unit="h")
        place = np.where((k >= 0) & (begin < over[np.maximum(k, 0)]), k, -1)
    base, parts = np.zeros((len(starts), told.shape[1])), np.zeros((len(starts), told.shape[1]))
    on = place >= 0
    np.add.at(base, place[on], np.nan_to_num(told[on]))
    np.add.at(parts, place[on], ~np.isnan(told[on]))
    needed = np.ones(len(starts)) if daily else np.maximum(np.floor(counts.hours / length + 1e-9), 1)
    return np.arange(len(starts)), base, parts >= needed[:, None]


def _refuse_coarse(
    expected: Expected, atom: np.ndarray, inside: np.ndarray, unit: str, codes: np.ndarray, said: str
) -> None:
    """Refuse stretches of a forecast that lie partly outside the hours, or in several stretches of the corridor."""
    known = atom >= 0
    n = int(atom.max(initial=-1)) + 1
    some, every = (np.bincount(atom[known], x[known], minlength=n) for x in (inside, np.ones(len(atom))))
    mixed = (some > 0) & (some < every)
    low, high = np.full(n, np.iinfo(np.int64).max), np.full(n, -1)
    np.minimum.at(low, atom[known], codes[known])
    np.maximum.at(high, atom[known], codes[known])
    several = high > low
    if mixed.any():
        first = f"{expected.starts[mixed.argmax()]:%Y-%m-%d %H:%M}"
        raise ParameterError(
            f"{said} within hours of its own, and the forecast is coarser than the hours (first {first}). Give a forecast by interval."
        )
    if several.any():
        first = f"{expected.starts[several.argmax()]:%Y-%m-%d %H:%M}"
        raise ParameterError(
            f"{said}, and the forecast is coarser than that (first {first}). Give a forecast by {unit}, or finer."
        )
