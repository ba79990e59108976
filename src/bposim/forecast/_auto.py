"""``method="auto"``: the method that forecasts from earlier days of the history would have preferred."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from bposim.forecast._counts import Counts
from bposim.forecast._days import Inputs, Outlook
from bposim.forecast._fits import Task, made, task

#: What is tried; the first stays unless another is better by more than the standard error of the difference.
CANDIDATES = ("prophet", "level", "mean-8", "mean-4", "seasonal-naive")
#: Earlier origins, the days between them at most, and the fewest origins that can overturn the first.
_ORIGINS, _APART, _FEWEST = 6, 28, 3
#: Days of history that an origin needs before it.
_NEEDS = 28


@dataclass(frozen=True, eq=False)
class Trial:
    """The forecasts to be made before one contact type's method can be chosen, and what came.

    Attributes
    ----------
    tasks : list of Task
        Of each origin, one for every candidate.
    came, where : list of ndarray
        Contacts of the days that came at each origin, and their places in the forecast.
    length, step : int
        Days of each horizon and between origins.
    settled : str
        Why nothing is to be tried, if so.
    """

    tasks: list[Task]
    came: list[np.ndarray]
    where: list[np.ndarray]
    length: int
    step: int
    settled: str = ""


def choose(counts: Counts, kind: int, inputs: Inputs, days: int) -> tuple[str, str]:
    """Return the method for one contact type, and in a sentence why."""
    found = trial(counts, kind, inputs, days)
    return preferred(found, made(found.tasks))


def trial(counts: Counts, kind: int, inputs: Inputs, days: int) -> Trial:
    """Return what is to be tried before the method of one contact type can be chosen.

    Parameters
    ----------
    counts : Counts
        History, all of it before the horizon.
    days : int
        Calendar days from the end of the history to that of the horizon; at least a week is tried.

    Notes
    -----
    By WAPE on day totals, pooled over up to six origins of the history. Prophet stays unless another's WAPE is lower by
    more than the standard error of the difference between origins (overlapping horizons count as fewer), with at least
    three origins.

    References
    ----------
    Tashman (2000), Out-of-sample tests of forecasting accuracy, International Journal of Forecasting 16; Breiman et al.
    (1984), Classification and Regression Trees, §3.4 (the rule of one standard error).
    """
    first, dates = CANDIDATES[0], counts.dates
    if not counts.totals[kind].any():
        return Trial([], [], [], 7, 7, f"auto kept {first}: there were no contacts to try other methods on.")
    length = max(int(days), 7)
    step = min(length, _APART)
    tasks, came, where = [], [], []
    for k in range(_ORIGINS):
        origin = dates[-1] + pd.Timedelta(days=1 - length - k * step)
        past = counts.until(origin.date())
        if not len(past.dates) or (past.dates[-1] - past.dates[0]).days + 1 < _NEEDS or not past.totals[kind].any():
            break
        ahead = np.asarray((dates >= origin) & (dates < origin + pd.Timedelta(days=length))) & counts.heard(kind)
        actual = counts.totals[kind][ahead].astype(float)
        if not actual.sum():
            continue
        lead = (dates[ahead] - past.dates[-1]).days.to_numpy()
        for m in CANDIDATES:
            known = inputs.regressors if m == "prophet" else None
            tasks.append(task(past, kind, replace(inputs, method=m, regressors=known), int(lead[-1])))
        came.append(actual)
        where.append(lead - 1)
    settled = ""
    if len(came) < _FEWEST:
        settled = (
            f"auto kept {first}: the history gives {len(came)} origins to try other methods on, fewer than {_FEWEST}."
        )
    return Trial([] if settled else tasks, came, where, length, step, settled)


def preferred(found: Trial, made_of_it: Sequence[Outlook]) -> tuple[str, str]:
    """Return the method that the forecasts of a trial prefer, and in a sentence why."""
    first, came, where, length, step = CANDIDATES[0], found.came, found.where, found.length, found.step
    if found.settled:
        return first, found.settled
    views = iter(made_of_it)
    gap = np.array(
        [[np.abs(next(views).expected[w] - a).sum() for _ in CANDIDATES] for w, a in zip(where, came, strict=True)]
    )
    whole = np.array([a.sum() for a in came])
    wape = gap.sum(axis=0) / whole.sum()
    best = int(np.argmin(wape))
    own, other = f"{wape[0]:.1%}", min(range(1, len(CANDIDATES)), key=lambda j: wape[j])
    tried = f"over {len(came)} origins of {length} days"
    if best:
        gain = (gap[:, 0] - gap[:, best]) / whole.mean()
        apart = gain - gain.mean() * whole / whole.mean()
        effective = max(len(gain) * min(step / length, 1.0), 1.0)
        error = float(np.sqrt((apart**2).sum() / (len(gain) - 1) / effective))
        if gain.mean() > error:
            return CANDIDATES[
                best
            ], f"auto took {CANDIDATES[best]}: WAPE {wape[best]:.1%} against {own} of {first} {tried}."
        return first, (
            f"auto kept {first}: WAPE {own} against {wape[best]:.1%} of {CANDIDATES[best]} {tried}, which is within the "
            f"standard error of the difference, {error:.1%}."
        )
    return (
        first,
        f"auto kept {first}: WAPE {own} against {wape[other]:.1%} of {CANDIDATES[other]}, the next best, {tried}.",
    )
