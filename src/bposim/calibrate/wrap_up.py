"""After-contact work that a log does not record: how soon an agent takes the next contact while somebody waits.

A pause that begins while a contact is waiting is no idleness. As long as somebody waits, the agent is busy with what
follows a contact, or it is away. The first kind is short and comes after nearly every contact; the second is long and
belongs to the staffing. Where one ends and the other begins is the *presence gap*.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.calibrate.presence import WaitingClock, pauses, waiting_clocks
from bposim.distributions import empirical, kaplan_meier

if TYPE_CHECKING:
    from bposim.distributions import Distribution

#: Pauses with somebody waiting below which nothing is told of after-contact work.
FEWEST = 200
#: Gap where the queue tells too little.
ASSUMED_S = 30.0
#: A mean pause up to this many seconds is the clock of the log, no work; shorter pauses are all alike; longer ones too.
NOTHING_S, SHORTEST_S, LONGEST_S = 1.0, 1.0, 7200.0
_QUANTILES, _BLOCKS = 101, 30


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
    """The presence gap, and the after-contact work as far as the queue shows it.

    Attributes
    ----------
    gap_s : float
        Longer pauses with somebody waiting are absences.
    law : Distribution or None
        Of pauses up to the gap; None where they are unknown or too short to matter.
    mean_s : float
        Of that law; missing where it is unknown.
    share_away : float
        Share of pauses that are longer than the gap.
    n : int
    estimates : tuple of Estimate
    """

    gap_s: float
    law: Distribution | None
    mean_s: float
    share_away: float
    n: int
    estimates: tuple[Estimate, ...]


def fit_wrap_up(found: QueuePauses) -> WrapUp:
    """Tell the presence gap and the law of the pauses up to it; the gap is assumed where too few pauses were seen.

    Notes
    -----
    Kaplan and Meier's estimate of the pause, cut short when the queue empties. The gap parts the pauses into two classes so that
    the variance of the logarithm between the classes is largest (Otsu 1979): after-contact work lasts seconds, an
    absence minutes, and few pauses lie between. Intervals by the jackknife over blocks of days.
    """
    n_seen = int(found.seen.sum())
    if n_seen < FEWEST:
        text = f"only {n_seen} pauses began while somebody waited: too few to tell; {ASSUMED_S:.0f} s taken"
        told = Estimate("presence gap", "all", ASSUMED_S, n=len(found), unit="s", source="assumed", detail=text)
        return WrapUp(ASSUMED_S, None, np.nan, np.nan, len(found), (told,))
    values = _values(found, np.ones(len(found), dtype=bool))
    days = np.unique(found.day)
    blocks = np.array_split(days, min(len(days), _BLOCKS))
    left_out = np.array([_values(found, ~np.isin(found.day, b))[:2] for b in blocks]) if len(blocks) >= 4 else None
    gap_s, mean_s, beyond, times, cdf = values
    apart = f"{100 * (1 - beyond):.0f} % of the pauses with somebody waiting are shorter, after-contact work, the others absences"
    estimates = [
        Estimate("presence gap", "all", gap_s, *_jackknife(gap_s, left_out, 0), len(found), "s", "estimated", apart),
        Estimate("after-contact pause", "all", mean_s, *_jackknife(mean_s, left_out, 1), len(found), "s", "estimated",
                 "mean pause up to the gap with somebody waiting: work, or rest, that the log does not record"),
    ]  # fmt: skip
    law = None
    if mean_s > NOTHING_S:
        p = np.arange(_QUANTILES) / (_QUANTILES - 1)
        at = np.minimum(np.searchsorted(cdf, p - 1e-12), len(times) - 1)
        rough = empirical(quantiles=times[at].tolist())
        law = empirical(quantiles=(times[at] * mean_s / rough.mean).tolist())
    return WrapUp(gap_s, law, mean_s, beyond, len(found), tuple(estimates))


def _values(found: QueuePauses, keep: np.ndarray) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Return the gap, the mean pause up to it, the share beyond it, and times and distribution function up to it."""
    km = kaplan_meier(
        np.minimum(found.length_s[keep], LONGEST_S), found.seen[keep] & (found.length_s[keep] <= LONGEST_S)
    )
    time, survival = km["time"].to_numpy(), km["survival"].to_numpy()
    mass = -np.diff(survival, prepend=1.0)
    # What was never seen to end lies at the longest time seen (Efron 1967): set further out it would move the gap at will.
    x, p = np.log(np.maximum(np.append(time, time[-1]), SHORTEST_S)), np.append(mass, survival[-1])
    below, moment = np.cumsum(p)[:-1], np.cumsum(p * x)[:-1]
    total = float((p * x).sum())
    between = np.where(
        (below > 1e-9) & (below < 1 - 1e-9), (total * below - moment) ** 2 / np.maximum(below * (1 - below), 1e-12), 0.0
    )
    gap_s = float(np.exp(_middle(x, p, float((x[:-1] + x[1:])[np.argmax(between)] / 2))))
    inside = time <= gap_s
    beyond = float(survival[inside][-1])
    cdf = (1 - survival[inside]) / max(1 - beyond, 1e-12)
    return gap_s, float((time[inside] * np.diff(cdf, prepend=0.0)).sum()), beyond, time[inside], cdf


def _middle(x: np.ndarray, p: np.ndarray, start: float) -> float:
    """Return the point halfway between the means of what lies on either side of it (Ridler & Calvard 1978).

    Where the variance between two classes is largest, the border is halfway between their means. Few pauses lie near the
    border, where the variance hardly changes from one to the next: the means tell it much more closely than the highest
    point of that curve does.
    """
    at = start
    for _ in range(50):
        low = x <= at
        if low.all() or not low.any():
            return start
        mean = [float((p[side] * x[side]).sum() / max(p[side].sum(), 1e-12)) for side in (low, ~low)]
        if abs(sum(mean) / 2 - at) < 1e-9:
            break
        at = sum(mean) / 2
    return at


def _jackknife(value: float, left_out: np.ndarray | None, column: int) -> tuple[float, float]:
    from scipy.special import stdtrit

    if left_out is None:
        return np.nan, np.nan
    logs = np.log(np.maximum(left_out[:, column], 1e-9))
    k = len(logs)
    half = float(stdtrit(k - 1, 0.975) * np.sqrt((k - 1) / k * ((logs - logs.mean()) ** 2).sum()))
    return value * np.exp(-half), value * np.exp(half)


def wrap_up_changes(wrap: WrapUp | None, types: Sequence[str]) -> dict[str, Any]:
    """Return what after-contact work changes in a scenario: the types' own, beside the handle time of the log."""
    if wrap is None or not np.isfinite(wrap.mean_s):
        return {}
    law = None if wrap.law is None else wrap.law.to_spec()  # the handle time of the log holds all of the work
    return {f"contact_types.{t}.after_contact_work": law for t in types}
