"""The least cost that shifts can have, as far as tangents of plans that were played tell it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
from scipy.special import ndtr, ndtri

from bposim.optimise._goals import Goal, density
from bposim.optimise._master import EDGE, Master, cells
from bposim.optimise._oracle import Heads, Oracle, Tangent
from bposim.optimise._shift_model import ShiftModel
from bposim.optimise.validate import Validation

#: Share from which on service counts as concave in heads, and the probit at which a chord that touches it there meets it again.
CONCAVE, CHORD = 0.7, -1.0964
#: Of a large problem: where the pieces of a curve end, in probits.
FINE = (0.2, 0.5, 0.9, 1.4, 2.5)
#: Standard errors by which a tangent of the bound is lowered, and the factor by which its slopes may be off: both carry noise.
SURE, LOOSE = 2.0, 1.1


def above(share: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return by how much the least concave curve over Φ lies above each share, and its slope as a part of Φ's own.

    On the scale on which a share is straight the curve is Φ from ``CONCAVE`` on, and below it the chord that touches Φ there and
    meets it again at ``CHORD``.
    """
    q = ndtri(np.clip(share, EDGE, 1 - EDGE))
    touch = float(ndtri(CONCAVE))
    steep = float(density(touch))
    low = q < touch
    over = np.where(low, CONCAVE + steep * (q - touch) - ndtr(q), 0.0)
    factor = np.where(low, steep / density(q), 1.0)
    return over, factor


def outer(level: float) -> list[tuple[float, float, bool]]:
    """Return pieces that lie nowhere below the least concave curve over Φ, around a share given as a probit.

    As :func:`bposim.optimise._master.bends`, with the slope of each piece's end that is nearer to the present.
    """
    steep = float(density(level))
    touch = float(ndtri(CONCAVE))
    found = []
    for up in (True, False):
        for near, far in pairwise((0.0, *FINE)):
            at = max(level + near if up else level - near, touch)
            factor = float(density(at)) / steep
            last = far == FINE[-1]
            found.append((math.inf if last else (far - near) * steep, factor, up))
    return found


def _curves(master: Master, goals: Sequence[Goal], tangent: Tangent) -> None:
    """Ask every cell of many intervals for its level under the curves of its intervals."""
    slopes = tangent.slopes if tangent.steady is None else tangent.steady
    lists = zip(goals, tangent.values, tangent.errors, slopes, tangent.shapes, strict=True)
    for goal, value, error, rows, (weight, share) in lists:
        if not (goal.is_share and goal.sign > 0):
            continue
        over = above(share)[0]
        for c, names, at, slope in cells(tangent, rows, goal.n_cells):
            mine = goal.cells == c
            if np.isfinite(value[c]) and mine.sum() > 1:
                wanted = goal.target.level - float(value[c]) - SURE * float(error[c]) - float(weight[mine] @ over[mine])
                scaled = min(wanted / LOOSE, wanted * LOOSE)
                master.curve(tangent.heads, names, at, slope, weight, share, scaled, None, outer)


def anchored(
    tangents: Sequence[Tangent], oracle: Oracle, goals: Sequence[Goal], heads: Heads, proof: Validation
) -> list[Tangent]:
    """Return tangents with the values that the proof of one plan makes likely.

    What they are above that plan on common draws is known better than their values, whose luck they share with it; the rest is
    the proof's, of more replications. Tangents on other draws stay as they are.
    """
    luck, values = oracle.luck(heads, goals), oracle.values(heads)
    if luck is None:
        return list(tangents)
    found = []
    for tangent in tangents:
        if tangent.draws != oracle.seed or tangent.luck is None:
            found.append(tangent)
            continue
        own = zip(tangent.values, tangent.luck, values, luck, proof.reached, strict=True)
        moved = [
            (v - w + mean, np.hypot(error, np.sqrt(((a - b) ** 2).sum(axis=0)))) for v, a, w, b, (mean, error) in own
        ]
        found.append(replace(tangent, values=[v for v, _ in moved], errors=[e for _, e in moved]))
    return found


def lower_bound(
    model: ShiftModel, goals: Sequence[Goal], tangents: Sequence[Tangent], solver: dict[str, Any], *, proven: Heads | None = None,
) -> float:  # fmt: skip
    """Return the least cost of shifts that satisfy the tangents of all plans, NaN where there are none.

    With the heads of a ``proven`` plan, of the tangents that it satisfies: those that it does not are refuted.

    Notes
    -----
    Service that is concave in heads lies below each of its tangents, so that a plan which keeps the target satisfies them
    all. A tangent of a service level to whose cell an interval below the inflection belongs is that of the least concave curve
    above it, among plans in which no interval's share lies below ``Φ(CHORD)`` = 0.14; a cell of one interval gives none there.
    Each is lowered by its noise. Its slopes may be off by a common factor of at most ``LOOSE``, either way: where the tangent
    lies below the level so much less is asked for, where it lies above so much more may be given up. A factor of each slope's
    own, larger for moves up than down, is no linear row: moves up and down at once would satisfy any.

    Of a large problem the last plan and the one halfway, whose errors have little in common, are asked for more: where each
    stretch's share is straight in heads as a probit, it lies below the concave curve of :func:`outer`, and single intervals
    cannot be filled without end.

    It is an estimate: nothing proves that service is concave. That holds above all for abandonment and waits, whose tangents
    pass no filter; they are convex in heads wherever the queue is not overwhelmed.
    """
    master = Master(model)
    for k in sorted({len(tangents) - 1, (len(tangents) - 1) // 2}) if model.model.large and tangents else ():
        _curves(master, goals, tangents[k])
    for tangent in tangents:
        shapes: list[Any] = [*tangent.shapes] or [None] * len(goals)
        lists = zip(goals, tangent.values, tangent.errors, tangent.least, tangent.slopes, shapes, strict=True)
        for goal, value, error, least, rows, shape in lists:
            for c, names, at, slope in cells(tangent, rows, goal.n_cells):
                lift = 0.0
                if goal.is_share and goal.sign > 0 and least[c] < CONCAVE:
                    if shape is None or (mine := goal.cells == c).sum() < 2:
                        continue
                    over, factor = above(shape[1])
                    lift, slope = float(shape[0][mine] @ over[mine]), slope * factor[at]
                if np.isfinite(value[c]):
                    wanted = goal.sign * (goal.target.level - float(value[c])) - SURE * float(error[c]) - lift
                    master.cut(tangent.heads, names, at, slope, min(wanted / LOOSE, wanted * LOOSE), None)
    if proven is not None:
        master.keep_satisfied(proven)
    return master.bound(solver) if master.cuts else math.nan
