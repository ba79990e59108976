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
from bposim.calibrate.pause_classes import GroupedPauses, PauseClasses, pause_classes
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
#: What a log of whole seconds may be wrong about every pause alike.
CLOCK_S = 0.5
#: Share of the pauses that are shorter than the gap where none is an absence, and than the least gap that would do.
RARELY, BOUND = 0.999, 0.99
_QUANTILES, _BLOCKS, _TAIL = 101, 20, 50


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
        Of pauses that are no absences; None where they are unknown or too short to matter.
    mean_s : float
        Of that law; missing where it is unknown.
    share_away : float
        Share of pauses that are absences.
    n : int
    estimates : tuple of Estimate
    notes, doubts, assumed : tuple of str
        What a reader must know, and the names of what is in doubt or was assumed.
    """

    gap_s: float
    law: Distribution | None
    mean_s: float
    share_away: float
    n: int
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...] = ()
    doubts: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()


def fit_wrap_up(found: QueuePauses) -> WrapUp:
    """Tell the presence gap and the law of the pauses up to it; the gap is assumed where too few pauses were seen.

    Notes
    -----
    Whether there are absences at all is decided first, on all pauses, by :func:`pause_classes`.

    Two classes: the gap parts them so that the variance of the logarithm between them is largest (Otsu 1979), which needs no law;
    but not below the pause that is as likely to be of the one as of the other, for with few absences, or work of very different
    lengths, Otsu's border falls amid the work. The law of the work is Kaplan and Meier's, since pauses are cut short when the queue
    empties: up to Otsu's border, or with each pause counted by its probability of being work.

    Two classes that describe the pauses clearly better than one but lie close may be work and absences, or work of two kinds: the
    mean of the work is that of the shorter class's law, and the intervals hold both readings.

    One class: all pauses are work, and the gap is bounded from below alone. It is told as the pause that one in a thousand
    exceeds, and may be anything from what one in a hundred exceeds to the longest pause that an agent who is there can have. Where
    one in a hundred exceeds that too, nothing is told.

    Intervals by the jackknife over blocks of days, the number of classes kept.
    """
    n_seen = int(found.seen.sum())
    if n_seen < FEWEST:
        text = f"only {n_seen} pauses began while somebody waited: too few to tell; {ASSUMED_S:.0f} s taken"
        told = Estimate("presence gap", "all", ASSUMED_S, n=len(found), unit="s", source="assumed", detail=text)
        return WrapUp(ASSUMED_S, None, np.nan, np.nan, len(found), (told,))
    classes = pause_classes(found.length_s, found.seen)
    days = np.unique(found.day)
    blocks = np.array_split(days, min(len(days), _BLOCKS))
    every = np.ones(len(found), dtype=bool)
    undivided = classes.undivided
    parted = _parted(found, every) if classes.long is not None and undivided is None else None
    # Decided once, so that parts of the days are told in the same way as the whole.
    by_law = parted is None or parted[0] < classes.border_s
    gap_s, mean_s, beyond, times, cdf = _values(found, every, classes) if by_law or parted is None else parted
    left_out = other_left_out = None
    other_s = np.nan if undivided is None else _values(found, every, undivided)[1]
    if len(blocks) >= 4:
        rows, others = [], []
        for block in blocks:
            keep = ~np.isin(found.day, block)
            if by_law:
                rest = classes.again(GroupedPauses(found.length_s[keep], found.seen[keep]))
                rows.append(_values(found, keep, rest)[:2])
                others += [] if rest.undivided is None else [_values(found, keep, rest.undivided)[:2]]
            else:
                rows.append(_parted(found, keep)[:2])
        left_out, other_left_out = np.array(rows), np.array(others)
    ends_mean = _jackknife(mean_s, left_out, 1)
    source, notes, doubts, assumed = "estimated", [], [], []
    if undivided is not None:
        low, high = _jackknife(other_s, other_left_out, 1)
        # Which family the work has matters as much as chance where its upper end is hidden.
        least, most = (mean / mean_s for mean in classes.works_s)
        ends_mean = min(ends_mean[0] * least, low), max(ends_mean[1] * most, high)
        ends = (min(_jackknife(gap_s, left_out, 0)[0], gap_s), LONGEST_S)
        both = (
            f"two laws describe them clearly better than one (log-likelihood {classes.gain:+.0f}), but {classes.why}: work and "
            "absences, or work of two kinds"
        )
        said = f"absences are in doubt among the pauses with somebody waiting: {both}; any gap from the lower end on would do if all are work"
        of_pause = (
            f"mean of the shorter pauses with somebody waiting, {100 * (1 - beyond):.0f} % of them; {other_s:.0f} s if all are work, "
            "and the interval holds both"
        )
        notes = [
            f"After-contact work is in doubt. Of the pauses with somebody waiting, {both}. The scenario takes the shorter ones for work "
            f"({mean_s:.0f} s in the mean) and the longer ones for absences; if all are work, it takes {other_s:.0f} s and the "
            "heads on duty are too few. Log-in records, or after-contact work in the log, would tell."
        ]
        doubts = ["after-contact work"]
    elif classes.long is not None:
        ends = _jackknife(gap_s, left_out, 0)
        said = f"{100 * (1 - beyond):.0f} % of the pauses with somebody waiting are after-contact work, the others absences"
        of_pause = "mean pause with somebody waiting that is no absence: work, or rest, that the log does not record"
    else:
        ends = (min(float(classes.short.quantile(np.array(BOUND))), LONGEST_S), LONGEST_S)
        said = (
            f"no absences among the pauses with somebody waiting: {classes.why or 'one law explains them'}, and all are after-contact "
            f"work; one in a thousand is longer than this, one in a hundred longer than {ends[0]:.0f} s, and any gap from there on would do"
        )
        of_pause = "mean pause with somebody waiting: work, or rest, that the log does not record"
        if ends[0] >= LONGEST_S:
            source, ends, assumed = "assumed", (np.nan, np.nan), ["presence gap"]
            said = (
                f"not told: too few pauses ended while somebody waited; more than one in a hundred may be longer than {LONGEST_S:.0f} s, "
                "the longest pause of an agent who is there, which is taken"
            )
            of_pause += f", those longer than {LONGEST_S:.0f} s cut there"
            notes = [f"presence gap was assumed: {said.removeprefix('not told: ')}."]
    if mean_s <= NOTHING_S:
        of_pause += f"; {NOTHING_S:.0f} s or less is taken as none"
    estimates = [
        Estimate("presence gap", "all", gap_s, *ends, len(found), "s", source, said),
        Estimate("after-contact pause", "all", mean_s, *ends_mean, len(found), "s", "estimated", of_pause),
    ]  # fmt: skip
    law = None
    if mean_s > NOTHING_S:
        p = np.arange(_QUANTILES) / (_QUANTILES - 1)
        at = np.minimum(np.searchsorted(cdf, p - 1e-12), len(times) - 1)
        rough = empirical(quantiles=times[at].tolist())
        law = empirical(quantiles=(times[at] * mean_s / rough.mean).tolist())
    return WrapUp(gap_s, law, mean_s, beyond, len(found), tuple(estimates), tuple(notes), tuple(doubts), tuple(assumed))


def _survival(found: QueuePauses, keep: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return Kaplan and Meier's times and survival."""
    km = kaplan_meier(
        np.minimum(found.length_s[keep], LONGEST_S), found.seen[keep] & (found.length_s[keep] <= LONGEST_S)
    )
    return km["time"].to_numpy(), km["survival"].to_numpy()


def _parted(found: QueuePauses, keep: np.ndarray) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Return Otsu's gap, the mean pause up to it, the share beyond it, and times and distribution function up to it."""
    time, survival = _survival(found, keep)
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


def _values(
    found: QueuePauses, keep: np.ndarray, classes: PauseClasses
) -> tuple[float, float, float, np.ndarray, np.ndarray]:
    """Return the gap, the mean of after-contact work, the share of absences, and times and distribution function of the work."""
    time, survival = _survival(found, keep)
    if classes.long is None:
        law = classes.short
        gap_s = min(float(law.quantile(np.array(RARELY))), LONGEST_S)
        rest = float(survival[-1])
        if rest > 1e-9:  # what was never seen to end follows the law
            reached = float(law.cdf(time[-1:])[0])
            tail = law.quantile(reached + (1 - reached) * (np.arange(_TAIL) + 0.5) / _TAIL)
            time = np.append(time, np.minimum(np.maximum(tail, time[-1]), LONGEST_S))
            survival = np.append(survival, rest * (1 - (np.arange(_TAIL) + 1) / _TAIL))
    else:
        gap_s = min(classes.border_s, LONGEST_S)
    mass = -np.diff(survival, prepend=1.0) * classes.of_work(time)
    work = float(mass.sum())
    beyond = 0.0 if classes.long is None else max(1 - work, 0.0)
    cdf = np.cumsum(mass) / max(work, 1e-12)
    mean_s = float((time * mass).sum()) / max(work, 1e-12)
    if classes.all_work is not None:
        # Classes that overlap are told apart by their laws, not by the border.
        mean_s, beyond = classes.short.mean_s, classes.share_long
    return gap_s, mean_s, beyond, time, cdf


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
    """Return the interval; where nothing varies it is what the clock of the log leaves open."""
    from scipy.special import stdtrit

    if left_out is None:
        return np.nan, np.nan
    # Parts of the days may have none at all, which has no logarithm.
    plain = min(value, float(left_out[:, column].min())) <= NOTHING_S
    scaled = left_out[:, column] if plain else np.log(np.maximum(left_out[:, column], 1e-9))
    k = len(scaled)
    half = float(stdtrit(k - 1, 0.975) * np.sqrt((k - 1) / k * ((scaled - scaled.mean()) ** 2).sum()))
    if plain or half < 1e-6:
        half = max(half, CLOCK_S) if plain else CLOCK_S
        return max(value - half, 0.0), value + half
    return value * np.exp(-half), value * np.exp(half)


def wrap_up_changes(wrap: WrapUp | None, types: Sequence[str]) -> dict[str, Any]:
    """Return what after-contact work changes in a scenario: the types' own, beside the handle time of the log."""
    if wrap is None or not np.isfinite(wrap.mean_s):
        return {}
    law = None if wrap.law is None else wrap.law.to_spec()  # the handle time of the log holds all of the work
    return {f"contact_types.{t}.after_contact_work": law for t in types}
