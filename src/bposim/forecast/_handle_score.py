"""Back-test of handle time and workload: errors and coverage beside their own noise floors."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bposim.forecast._backtest import QUANTILES, WINDOWS_DAYS, covered
from bposim.forecast._build import Parts, Settings
from bposim.forecast._counts import Counts
from bposim.forecast._handle import Handled
from bposim.forecast._workload import build_handle, draw_handle_times, plain_mean, window_mean

#: Mean absolute deviation of a normal law of unit variance.
_MAD = np.sqrt(2 / np.pi)


def score_handle(parts: Parts, settings: Settings, past: Counts, ahead: Counts, handled: Handled) -> pd.DataFrame:
    """Compare forecast handle times and workloads with those that came.

    Parameters
    ----------
    handled : Handled
        Of the whole history; days from the origin on are only compared.

    Returns
    -------
    DataFrame
        As the cells of the volume, with ``measure`` and ``weight``: a window's handle time weighs by the contacts whose
        handle time is known. The workload that came is contacts × their mean handle time, in hours; windows with contacts
        and no known handle time are left out.

    Raises
    ------
    ForecastError
        A contact type has no handle time before the origin.

    Notes
    -----
    Floors from the law of large numbers: a mean of n handle times misses ``√(2/π) m cv / √n``, their sum
    ``√(2/π) m √(n (1 + cv²))``.
    """
    origin, days = settings.start, settings.days
    handle = build_handle(past, handled, settings, parts)
    drawn = draw_handle_times(handle, past.types, parts, settings.seed, 0)
    came = handled.between(origin, None)
    came = came.between(None, (pd.Timestamp(origin) + pd.Timedelta(days=days)).date())
    grid = parts.grid
    slot = np.minimum(np.searchsorted(past.minutes, grid.minute), len(past.minutes) - 1)
    day = np.array([pd.Timestamp(origin) + pd.Timedelta(days=int(k)) for k in grid.day])
    code, unique = pd.factorize(pd.MultiIndex.from_frame(pd.DataFrame({"day": day, "slot": slot})))
    rows, cols = np.nonzero(ahead.times)
    if not len(rows):
        return pd.DataFrame()
    at = unique.get_indexer(pd.MultiIndex.from_arrays([ahead.dates[rows], cols]))

    def laid(values: np.ndarray) -> np.ndarray:
        """Lay values of the horizon's intervals over the intervals that came, 0 where none was forecast."""
        pooled = np.zeros((len(unique), *values.shape[1:]))
        np.add.at(pooled, code, values)
        return np.where((at >= 0).reshape(-1, *[1] * (values.ndim - 1)), pooled[np.maximum(at, 0)], 0.0)

    on = ahead.dates[rows]
    lead = (on - pd.Timestamp(origin)).days.to_numpy()
    where = came.dates.get_indexer(on)
    frames = []
    for j, name in enumerate(past.types):
        view = handle.outlooks[j]
        if view is None:
            continue
        contacts, load = laid(parts.expected[:, j]), laid(handle.load[:, j])
        many = laid(parts.array[:, :, j].T.astype(float))
        much = laid((parts.array[:, :, j] * drawn[:, :, j]).T)
        seconds, known = came.total[j, where, cols], came.number[j, where, cols]
        offered = ahead.table[j, rows, cols]
        alone, usual = laid(drawn[:, :, j].T), laid(handle.expected[:, j])
        for by, first, end in _windows(lead, len(past.minutes), days):
            total, number = np.add.reduceat(seconds[:end], first), np.add.reduceat(known[:end], first)
            volume = np.add.reduceat(offered[:end], first)
            mean = np.divide(total, number, out=np.full(len(first), np.nan), where=number > 0)
            table = {
                "origin": origin, "contact_type": name, "by": by,
                "window_start": on[first].tz_localize(past.zone, ambiguous=True, nonexistent="shift_forward"),
                "minute": (past.minutes[cols[first]] if by == "interval" else np.zeros(len(first))).astype(int),
                "lead_days": lead[first] + 1, "lead_week": lead[first] // 7 + 1,
            }  # fmt: skip
            paths = window_mean(much[:end], many[:end], first, 0, plain_mean(alone[:end], first, 0))
            floor = _MAD * mean * view.cv / np.sqrt(np.maximum(number, 1))
            told = _cells(
                window_mean(load[:end], contacts[:end], first, 0, plain_mean(usual[:end], first, 0)), paths, mean, floor
            )
            told["weight"] = number
            frames.append(pd.DataFrame(table | {"measure": "handle_time"} | told)[number > 0])
            work = np.where(volume > 0, volume * mean, 0.0) / 3600
            floor = _MAD * np.nan_to_num(mean) * np.sqrt(volume * (1 + view.cv**2)) / 3600
            told = _cells(
                np.add.reduceat(load[:end], first) / 3600,
                np.add.reduceat(much[:end], first, axis=0) / 3600,
                work,
                floor,
            )
            told["weight"] = np.ones(len(first))
            frames.append(pd.DataFrame(table | {"measure": "workload"} | told)[(number > 0) | (volume == 0)])
    return pd.concat(frames, ignore_index=True) if frames else pd.DataFrame()


def _windows(lead: np.ndarray, n_slots: int, days: int) -> list[tuple[str, np.ndarray, int]]:
    """Return the first interval of each whole window and the end of the last, as for volumes."""
    found = []
    for by, length in WINDOWS_DAYS.items():
        if by == "interval":
            first, end = np.arange(len(lead) if n_slots > 1 else 0), len(lead)
        else:
            block = (lead // length)[lead < days // length * length]
            first, end = (
                np.flatnonzero(np.insert(np.diff(block) != 0, 0, True)) if len(block) else np.arange(0),
                len(block),
            )
        if len(first):
            found.append((by, first, end))
    return found


def _cells(expected: np.ndarray, paths: np.ndarray, actual: np.ndarray, floor: np.ndarray) -> dict[str, np.ndarray]:
    bands = np.quantile(paths, QUANTILES, axis=1)
    miss, q = actual - bands, QUANTILES[:, None]
    return {
        "expected": expected,
        "actual": actual,
        "pinball": 2 * np.maximum(q * miss, (q - 1) * miss).mean(axis=0),
        **{f"in_{c}": covered(paths.T[:, :, None], actual[:, None], c / 100)[:, 0] for c in (50, 80, 95)},
        "floor": floor,
    }
