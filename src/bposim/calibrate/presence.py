"""Agents on duty, inferred from what they did, where no log-in record exists.

An agent who is there does not sit idle while a contact it can take is waiting. So the pause between two contacts of an
agent tells: if somebody it could have served waited in it, the agent was away (but for the seconds of wrapping up);
if nobody did, it may as well have been there, and whether it was makes no difference to anybody's wait.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: A pause longer than this is an absence whatever the queue looked like, in seconds.
LONGEST_PAUSE_S = 7200.0


def _ms(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8


class WaitingClock:
    """Time during which somebody waited, up to any instant.

    Parameters
    ----------
    begin_ms, end_ms : ndarray of int64
        When each contact waited.
    """

    def __init__(self, begin_ms: np.ndarray, end_ms: np.ndarray) -> None:
        order = np.argsort(begin_ms, kind="stable")
        begin, end = begin_ms[order], np.maximum.accumulate(end_ms[order]) if len(order) else end_ms
        new = np.ones(len(begin), dtype=bool)
        new[1:] = begin[1:] > end[:-1]
        self.begin = begin[new]
        self.end = end[np.append(np.flatnonzero(new)[1:] - 1, len(begin) - 1)] if len(begin) else end
        self._edges = np.stack([self.begin, self.end], axis=1).reshape(-1)
        self._total = np.stack(
            [np.append(0, np.cumsum(self.end - self.begin))[:-1], np.cumsum(self.end - self.begin)], axis=1
        ).reshape(-1)

    def until(self, at_ms: np.ndarray) -> np.ndarray:
        """Return milliseconds with somebody waiting before each instant."""
        if not len(self._edges):
            return np.zeros(len(at_ms))
        return np.interp(at_ms, self._edges, self._total)

    def clear_after(self, at_ms: np.ndarray) -> np.ndarray:
        """Return milliseconds from each instant until somebody waits."""
        k = np.searchsorted(self.begin, at_ms, side="left")
        padded = np.append(self.begin, np.iinfo(np.int64).max >> 1)
        inside = (k > 0) & (np.append(self.end, 0)[np.maximum(k - 1, 0)] > at_ms)
        return np.where(inside, 0, padded[k] - at_ms)

    def busy_after(self, at_ms: np.ndarray) -> np.ndarray:
        """Return milliseconds from each instant until nobody waits; 0 where nobody does."""
        if not len(self.begin):
            return np.zeros(len(at_ms), dtype=np.int64)
        k = np.maximum(np.searchsorted(self.begin, at_ms, side="right") - 1, 0)
        return np.where(self.begin[k] <= at_ms, np.maximum(self.end[k] - at_ms, 0), 0)

    def clear_before(self, at_ms: np.ndarray) -> np.ndarray:
        """Return milliseconds since somebody last waited before each instant."""
        k = np.searchsorted(self.begin, at_ms, side="left")
        last = np.append(-(np.int64(1) << 60), self.end)[k]
        return np.maximum(at_ms - last, 0)


def skills_of(base: Scenario) -> dict[str, list[str]]:
    """Return the contact types that each agent group takes."""
    return {g: list(body.skills) for g, body in base.agent_groups.items()}


def waiting_clocks(contacts: pd.DataFrame, skills: Mapping[str, list[str]]) -> dict[str, WaitingClock]:
    """Return, for every agent group, when a contact that it can take was waiting."""
    waited = contacts["wait_s"].to_numpy(dtype=float, na_value=0.0) > 0
    kind = contacts["contact_type"].astype(str).to_numpy()
    begin = _ms(contacts["arrived"])
    end = begin + (contacts["wait_s"].to_numpy(dtype=float, na_value=0.0) * 1000).astype(np.int64)
    clocks = {}
    for group, able in skills.items():
        use = waited & np.isin(kind, able)
        clocks[group] = WaitingClock(begin[use], end[use])
    return clocks


def served_contacts(contacts: pd.DataFrame, skills: Mapping[str, list[str]], *, grouped: bool = True) -> pd.DataFrame:
    """Return ``agent_group, agent, begin_ms, end_ms`` of every contact with a named agent, in order of both and of time."""
    served = contacts[(contacts["outcome"] == "answered") & contacts["agent"].notna() & contacts["ended"].notna()]
    only = next(iter(skills))
    group = served["agent_group"].astype(str) if grouped else pd.Series(only, index=served.index)
    frame = pd.DataFrame(
        {
            "agent_group": group.to_numpy(),
            "agent": served["agent"].astype(str).to_numpy(),
            "begin_ms": _ms(served["answered"]),
            "end_ms": _ms(served["ended"]),
        }
    )
    frame = frame[frame["agent_group"].isin(list(skills))]
    return frame.sort_values(["agent_group", "agent", "begin_ms"], ignore_index=True)


def pauses(contacts: pd.DataFrame, skills: Mapping[str, list[str]], *, grouped: bool = True) -> pd.DataFrame:
    """Return ``agent_group, agent, begin_ms, pause_ms``: the pauses between the consecutive contacts of an agent."""
    frame = served_contacts(contacts, skills, grouped=grouped)
    owner = pd.factorize(pd.MultiIndex.from_frame(frame[["agent_group", "agent"]]))[0]
    reach = frame["end_ms"].groupby(owner).cummax().to_numpy()
    begin = frame["begin_ms"].to_numpy()
    rows = np.flatnonzero((owner[1:] == owner[:-1]) & (begin[1:] >= reach[:-1]))
    found = frame.loc[rows, ["agent_group", "agent"]].reset_index(drop=True)
    return found.assign(begin_ms=reach[rows], pause_ms=begin[rows + 1] - reach[rows])


def presence_spans(
    contacts: pd.DataFrame,
    skills: Mapping[str, list[str]],
    *,
    gap_s: float | None = None,
    wrap_up_s: float = 30.0,
    grouped: bool = True,
) -> pd.DataFrame:
    """Return when each agent was present.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog with ``agent, answered, ended`` (and ``agent_group``); only contacts with a named agent count.
    skills : mapping of agent group to contact types
    gap_s : float, optional
        Fixed rule instead: idle for up to this many seconds an agent is there, for longer it is not.
    wrap_up_s : float
        Seconds of somebody waiting within a pause that wrapping up explains.
    grouped : bool
        Whether ``agent_group`` names the groups of ``skills``; otherwise all agents belong to its only group.

    Returns
    -------
    DataFrame
        ``agent_group, agent, begin_ms, end_ms`` (UTC), spans of one agent disjoint.
    """
    frame = served_contacts(contacts, skills, grouped=grouped)
    if frame.empty:
        return frame
    clocks = waiting_clocks(contacts, skills)
    parts = [
        _group_spans(rows.reset_index(drop=True), clocks[str(g)], gap_s, wrap_up_s)
        for g, rows in frame.groupby("agent_group")
    ]
    return pd.concat(parts, ignore_index=True)


def _group_spans(frame: pd.DataFrame, clock: WaitingClock, gap_s: float | None, wrap_up_s: float) -> pd.DataFrame:
    agent = pd.factorize(frame["agent"])[0]
    begin, end = frame["begin_ms"].to_numpy(), frame["end_ms"].to_numpy()
    first = np.ones(len(frame), dtype=bool)
    first[1:] = agent[1:] != agent[:-1]
    # The latest end so far of each agent: overlapping contacts count once.
    reach = pd.Series(end).groupby(agent).cummax().to_numpy()
    pause = np.zeros(len(frame), dtype=np.int64)
    pause[1:] = begin[1:] - reach[:-1]
    pause[first] = np.iinfo(np.int64).max >> 2
    if gap_s is not None:
        away = pause > gap_s * 1000
        lead = np.zeros(len(frame), dtype=np.int64)
        trail = np.full(len(frame), int(gap_s * 500), dtype=np.int64)
    else:
        waited = np.zeros(len(frame))
        inner = ~first
        before = np.append(0, reach[:-1])
        waited[inner] = clock.until(begin[inner]) - clock.until(before[inner])
        # Whoever takes a contact that waited was free at that instant: the contact's own last moments do not count.
        away = first | (pause > LONGEST_PAUSE_S * 1000) | (waited > wrap_up_s * 1000)
        idle = pause[~away & (pause > 0)]
        usual = int(idle.mean()) if len(idle) else 0
        # A newcomer is idle for about a usual pause before its first contact, unless somebody was waiting.
        lead = np.minimum(clock.clear_before(begin), usual)
        trail = np.minimum(clock.clear_after(reach), usual // 2)
    start_rows = np.flatnonzero(away)
    last_rows = np.append(start_rows[1:] - 1, len(frame) - 1)
    spans = frame.loc[start_rows, ["agent_group", "agent", "begin_ms"]].reset_index(drop=True)
    spans["begin_ms"] = begin[start_rows] - lead[start_rows]
    spans["end_ms"] = reach[last_rows] + trail[last_rows]
    same = spans["agent"].to_numpy()[1:] == spans["agent"].to_numpy()[:-1]
    overlap = np.append(same & (spans["begin_ms"].to_numpy()[1:] < spans["end_ms"].to_numpy()[:-1]), False)
    cut = spans["end_ms"].to_numpy().copy()
    cut[overlap] = np.maximum(spans["begin_ms"].shift(-1).to_numpy()[overlap], reach[last_rows][overlap])
    return spans.assign(end_ms=cut)


def heads_on_grid(spans: pd.DataFrame, start_utc_ms: np.ndarray, length_ms: np.ndarray) -> np.ndarray:
    """Return mean heads present in every interval, shape (n_intervals,)."""
    begin, end = spans["begin_ms"].to_numpy(), spans["end_ms"].to_numpy()
    result = np.zeros(len(start_utc_ms))
    stop = start_utc_ms + length_ms
    first = np.searchsorted(stop, begin, side="right")
    last = np.searchsorted(start_utc_ms, end, side="left")
    step = 0
    while True:  # interval by interval from each span's first; spans cover few intervals
        k = first + step
        active = k < last
        if not active.any():
            return result / np.maximum(length_ms, 1)
        k = k[active]
        covered = np.minimum(end[active], stop[k]) - np.maximum(begin[active], start_utc_ms[k])
        np.add.at(result, k, np.maximum(covered, 0))
        step += 1
