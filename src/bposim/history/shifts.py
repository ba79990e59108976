"""What changes from one day on: the clock of the file, the unit of its handle times, the queues it books to."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bposim.history.quality import Finding, finding
from bposim.history.whole import Panel

#: Days on either side of a change that are compared, and the fewest.
SIDE, FEWEST = 28, 5
#: The profile must differ by this much (total variation) …
APART = 0.06
#: … and what is left of that after the shift must be at most this share of it.
LEFT = 0.4
#: Contacts on either side.
ENOUGH = 500
#: Handle times of a day that differ from the other days' by a factor in one of these ranges are in another unit: minutes,
#: and milliseconds.
UNITS = ((27.0, 132.0), (500.0, 2000.0))
#: Days on either side of a change of shares, standard deviations it must reach, share of the queue it must move.
STEP, SIGMAS, MOVED = 14, 7.0, 0.3


def shift_findings(panel: Panel) -> list[Finding]:
    """Return the findings about changes within the history."""
    return [*_zone_shift(panel), *_unit_shift(panel), *_level_shift(panel)]


# -- the clock --------------------------------------------------------------------------------------------------------


def _zone_shift(panel: Panel) -> list[Finding]:
    """Find the stretch of days whose profile is the others', moved by whole hours."""
    n, slots = panel.total.shape
    if slots < 24 or slots % 24 or n < 2 * FEWEST or panel.total.sum() < 2 * ENOUGH:
        return []
    hourly = panel.total.reshape(n, 24, -1)
    best: tuple[float, int, int] | None = None
    counts = hourly.sum(axis=2)
    for split in range(FEWEST, n - FEWEST + 1):
        before, after = _sides(panel, counts, split)
        found = _moved(before, after)
        if found is not None and (best is None or found[0] > best[0]):
            best = (found[0], found[1], split)
    if best is None:
        return []
    _, hours, split = best
    before, after = _sides(panel, counts, split)
    # The fewer days are the odd ones; of equally many the later.
    late, early = _stretch(panel, counts, before, hours), _stretch(panel, counts, after, -hours)
    (first, last), hours = (late, hours) if late[1] - late[0] <= early[1] - early[0] else (early, -hours)
    days = np.zeros(n, dtype=bool)
    days[first : last + 1] = True
    return panel.found("zone_shift", days, f", by {hours:+d} h")


def _stretch(panel: Panel, counts: np.ndarray, usual: np.ndarray, hours: int) -> tuple[int, int]:
    """Return first and last day of the stretch that the usual profile explains best after the shift."""
    share = (usual + 0.5) / (usual.sum(axis=1, keepdims=True) + 12)
    gain = (counts * np.log(np.roll(share, hours, axis=1) / share)[panel.weekday]).sum(axis=1)
    return _best_stretch(gain)


def _sides(panel: Panel, counts: np.ndarray, split: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the contacts by weekday and hour on either side of a day, of the weekdays that both sides have."""
    result = []
    for part in (slice(max(split - SIDE, 0), split), slice(split, split + SIDE)):
        side = np.zeros((7, 24))
        np.add.at(side, panel.weekday[part], counts[part])
        result.append(side)
    both = (result[0].sum(axis=1) > 0) & (result[1].sum(axis=1) > 0)
    return result[0] * both[:, None], result[1] * both[:, None]


def _moved(before: np.ndarray, after: np.ndarray) -> tuple[float, int] | None:
    """Return how much closer the profiles are after which shift in hours, None if none explains the difference."""
    a, b = before.sum(axis=1), after.sum(axis=1)
    if min(a.sum(), b.sum()) < ENOUGH:
        return None
    some = a > 0
    p, q = before[some] / a[some, None], after[some] / b[some, None]
    weight = np.minimum(a, b)[some] / np.minimum(a, b)[some].sum()
    shifts = [h for h in range(-12, 13) if h]
    # A random count alone sets two profiles apart by about this much.
    noise = float((weight * np.sqrt(24 / np.pi * (1 / a[some] + 1 / b[some]))).sum()) / 2
    apart = float((weight * np.abs(p - q).sum(axis=1)).sum()) / 2
    if apart < max(APART, 2 * noise):
        return None
    left = [float((weight * np.abs(np.roll(p, h, axis=1) - q).sum(axis=1)).sum()) / 2 for h in shifts]
    k = int(np.argmin(left))
    return (apart - left[k], shifts[k]) if left[k] <= LEFT * apart else None


def _best_stretch(gain: np.ndarray) -> tuple[int, int]:
    """Return first and last index of the stretch with the greatest sum."""
    total, begin, best, ends = 0.0, 0, -np.inf, (0, 0)
    for k, value in enumerate(gain):
        if total <= 0:
            total, begin = 0.0, k
        total += float(value)
        if total > best:
            best, ends = total, (begin, k)
    return ends


# -- the unit ---------------------------------------------------------------------------------------------------------


def _unit_shift(panel: Panel) -> list[Finding]:
    """Find days on which a type's handle times differ from its other days' by more than chance and habit can."""
    frame = panel.frame
    cell = panel.row_type * len(panel.day) + panel.row_day
    if panel.is_log:
        use = (panel.row_day >= 0) & (frame["handle_s"] > 0).to_numpy()
        by_day = pd.Series(frame["handle_s"].to_numpy()[use]).groupby(cell[use]).agg(["median", "size"])
        typical, size, fewest = by_day["median"], by_day["size"], 10
    elif "handle_sum_s" in frame:
        answered = frame["answered"].to_numpy(dtype=float, na_value=np.nan)
        handled = frame["handle_sum_s"].to_numpy(dtype=float, na_value=np.nan)
        use = (panel.row_day >= 0) & (answered > 0) & (handled > 0)
        sums = pd.DataFrame({"n": answered[use], "h": handled[use]}).groupby(cell[use]).sum()
        typical, size, fewest = sums["h"] / sums["n"], sums["n"], 10
    else:
        return []
    typical, size = typical[size >= fewest], size[size >= fewest]
    if len(typical) < 3:
        return []
    kind = typical.index.to_numpy() // len(panel.day)
    usual = typical.groupby(kind).transform("median").to_numpy()
    days = pd.Series(kind).groupby(kind).transform("size").to_numpy()
    ratio = typical.to_numpy() / usual
    factor = np.maximum(ratio, 1 / ratio)
    odd = (days >= 3) & np.any([(factor > low) & (factor < high) for low, high in UNITS], axis=0)
    if not odd.any():
        return []
    rows = panel.source_row[use & np.isin(cell, typical.index.to_numpy()[odd])]
    k = int(np.flatnonzero(odd)[0])
    when = pd.Timestamp(panel.day[typical.index[k] % len(panel.day)], unit="D").date()
    detail = f" (the first on {when}, {panel.types[kind[k]]!r}: {ratio[k]:.3g} times the usual)"
    return [finding("unit_shift", count=len(rows), total=len(frame), rows=np.sort(rows), detail=detail)]


# -- the queues -------------------------------------------------------------------------------------------------------


def _level_shift(panel: Panel) -> list[Finding]:
    """Find a queue that falls on the day on which another rises by as much."""
    every = panel.by_type.sum(axis=0)
    busy = every >= 20
    y, weekday = panel.by_type[:, busy], panel.weekday[busy]
    k, n = y.shape
    if k < 2 or n < 2 * STEP:
        return []
    share = y / y.sum(axis=0)
    by_weekday = np.stack(
        [share[:, weekday == w].mean(axis=1) if (weekday == w).any() else share[:, 0] for w in range(7)]
    )
    level = share - by_weekday[weekday].T + share.mean(axis=1, keepdims=True)
    noise = np.maximum(
        np.median(np.abs(np.diff(level, axis=1)), axis=1) / 0.954,
        np.sqrt(np.maximum(share.mean(axis=1) * (1 - share.mean(axis=1)), 1e-12) / np.median(every[busy])),
    )
    sums = np.concatenate([np.zeros((k, 1)), level.cumsum(axis=1)], axis=1)
    splits = np.arange(STEP, n - STEP + 1)
    before = (sums[:, splits] - sums[:, splits - STEP]) / STEP
    after = (sums[:, splits + STEP] - sums[:, splits]) / STEP
    z = (after - before) / (noise[:, None] * np.sqrt(2 / STEP))
    moved = np.abs(after - before) >= MOVED * np.maximum(np.maximum(before, after), 0.03)
    counts = np.concatenate([np.zeros((k, 1)), y.cumsum(axis=1)], axis=1)
    delta = (counts[:, splits + STEP] - 2 * counts[:, splits] + counts[:, splits - STEP]) / STEP
    score = np.where(moved, np.abs(z), 0.0)
    order = np.argsort(score, axis=None)[::-1]
    for flat in order[: 4 * k]:
        i, b = divmod(int(flat), len(splits))
        if score[i, b] < SIGMAS:
            return []
        others = [j for j in range(k) if j != i and score[j, b] >= SIGMAS and z[j, b] * z[i, b] < 0]
        for j in sorted(others, key=lambda j: abs(delta[i, b] + delta[j, b])):
            if abs(delta[i, b] + delta[j, b]) <= 0.35 * max(abs(delta[i, b]), abs(delta[j, b])):
                down, up = (i, j) if delta[i, b] < 0 else (j, i)
                day = pd.Timestamp(panel.day[busy][splits[b]], unit="D").date()
                detail = (
                    f" ({day}: {panel.types[down]!r} falls by {-delta[down, b]:,.0f} a day, "
                    f"{panel.types[up]!r} rises by {delta[up, b]:,.0f})"
                )
                return [finding("level_shift", count=2, total=len(panel.frame), detail=detail)]
    return []
