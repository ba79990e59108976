"""After-contact work that a log does not record: how soon an agent takes the next contact while somebody waits.

A pause that begins while a contact is waiting is no idleness. As long as somebody waits, the agent is busy with what
follows a contact, or it is away. The first kind is short and comes after nearly every contact; the second is long and
belongs to the staffing. Where one ends and the other begins is the *presence gap*.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.calibrate.presence import WaitingClock, pauses, waiting_clocks
from bposim.distributions import empirical, kaplan_meier

if TYPE_CHECKING:
    from bposim.distributions import Distribution

#: Pauses with somebody waiting below which nothing is told of after-contact work.
FEWEST = 200
#: A mean pause up to this many seconds is the clock of the log, no work.
NOTHING_S = 1.0
_QUANTILES = 101


@dataclass(frozen=True, eq=False)
class QueuePauses:
    """Pauses that begin while somebody waits.

    Attributes
    ----------
    length_s : ndarray, shape (n,)
        Until the agent's next contact, or until nobody waits any more.
    seen : ndarray of bool, shape (n,)
        Whether the pause ended while somebody still waited; otherwise it is cut short.
    day : ndarray of int64, shape (n,)
        Day of the pause, days since 1970 UTC, for the jackknife.
    """

    length_s: np.ndarray
    seen: np.ndarray
    day: np.ndarray

    def __len__(self) -> int:
        return len(self.length_s)


def queue_pauses(contacts: pd.DataFrame, skills: Mapping[str, list[str]], *, grouped: bool = True) -> QueuePauses:
    """Return the pauses that begin while a contact waits that the agent's group can take.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog with named agents.
    skills : mapping of agent group to contact types
    grouped : bool
        As in :func:`bposim.calibrate.presence.presence_spans`.
    """
    clocks = waiting_clocks(contacts, skills)
    length, seen, day = [np.empty(0)], [np.empty(0, dtype=bool)], [np.empty(0, dtype=np.int64)]
    for group, rows in pauses(contacts, skills, grouped=grouped).groupby("agent_group"):
        clock: WaitingClock = clocks[str(group)]
        begin, pause = rows["begin_ms"].to_numpy(), rows["pause_ms"].to_numpy()
        # Somebody who joins the queue within the half second of the end would have found the agent free.
        left = clock.busy_after(begin + 500)
        waiting = left > 0
        upto = left + 500
        length.append(np.minimum(pause, upto)[waiting] / 1000)
        seen.append((pause <= upto)[waiting])
        day.append(begin[waiting] // 86_400_000)
    return QueuePauses(np.concatenate(length), np.concatenate(seen), np.concatenate(day))


@dataclass(frozen=True, eq=False)
class WrapUp:
    """After-contact work as far as the queue shows it.

    Attributes
    ----------
    gap_s : float
        Longer pauses with somebody waiting are absences.
    law : Distribution or None
        Pauses up to the gap; None where they are too short to matter.
    mean_s, low_s, high_s : float
        Mean of the law with its 95 % interval (jackknife over days).
    share_away : float
        Share of pauses that are longer than the gap.
    n : int
    """

    gap_s: float
    law: Distribution | None
    mean_s: float
    low_s: float
    high_s: float
    share_away: float
    n: int


def wrap_up(found: QueuePauses, gap_s: float) -> WrapUp | None:
    """Return the law of pauses up to a gap, None where too few pauses were seen.

    Notes
    -----
    Kaplan and Meier's estimate of the pause, cut short when the queue empties, conditioned on pauses up to ``gap_s``.
    """
    from scipy.special import stdtrit

    if int((found.seen & (found.length_s <= gap_s)).sum()) < FEWEST:
        return None
    times, cdf, beyond = _upto(found.length_s, found.seen, gap_s)
    mean = _mean(times, cdf)
    days = np.unique(found.day)
    low = high = np.nan
    if 3 <= len(days) <= 400:
        blocks = np.array_split(days, min(len(days), 30))
        left_out = np.array([_without(found, ~np.isin(found.day, block), gap_s) for block in blocks])
        k = len(left_out)
        error = float(np.sqrt((k - 1) / k * ((left_out - left_out.mean()) ** 2).sum()))
        half = float(stdtrit(k - 1, 0.975) * error)
        low, high = max(mean - half, 0.0), mean + half
    law = None
    if mean > NOTHING_S:
        p = (np.arange(_QUANTILES)) / (_QUANTILES - 1)
        at = np.minimum(np.searchsorted(cdf, p - 1e-12), len(times) - 1)
        law = empirical(quantiles=times[at].tolist())
    return WrapUp(gap_s, law, mean, low, high, beyond, len(found))


def _upto(length: np.ndarray, seen: np.ndarray, gap_s: float) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the times, their distribution function given that they are up to the gap, and the share beyond it."""
    km = kaplan_meier(length, seen)
    time, survival = km["time"].to_numpy(), km["survival"].to_numpy()
    inside = time <= gap_s
    beyond = float(survival[inside][-1]) if inside.any() else 1.0
    return time[inside], (1 - survival[inside]) / max(1 - beyond, 1e-12), beyond


def _mean(times: np.ndarray, cdf: np.ndarray) -> float:
    return float((times * np.diff(cdf, prepend=0.0)).sum())


def _without(found: QueuePauses, keep: np.ndarray, gap_s: float) -> float:
    return _mean(*_upto(found.length_s[keep], found.seen[keep], gap_s)[:2])
