"""Counts and sums by replication, interval and contact type: what every ratio is made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.schema import INTERVAL_TABLE, OUTCOMES, QUEUED_OUTCOMES

#: Columns whose pooled value is the largest, not the sum.
MAXIMA = ("max_wait_s",)
#: Columns that all contact types share: pooled over types they count once.
SHARED = ("interval_s",)
#: Outcomes of contacts that left the queue for something better: they stand in no ratio over the queued.
LEFT_OUTCOMES = ("callback", "deflected")
#: Start of a column's name → the outcomes, and what must be known of a contact that had one for the column to count it.
NEEDS: dict[str, tuple[tuple[str, ...], str]] = {
    "answered_within": (("answered",), "wait"),
    "wait_answered_sum": (("answered",), "wait"),
    "abandoned_within": (("abandoned",), "wait"),
    "wait_abandoned_sum": (("abandoned",), "wait"),
    "callback_within": (("callback",), "wait"),
    "wait_sum": (QUEUED_OUTCOMES, "wait"),
    "wait_left_sum": (LEFT_OUTCOMES, "wait"),
    "excess_sum": (QUEUED_OUTCOMES, "wait"),
    "talk_sum": (("answered",), "end"),
    "handle_sum": (("answered",), "handle"),
    "turnaround_sum": (("answered",), "end"),
    "completed_within": (("answered",), "end"),
}
_OUTCOME_COLUMNS = ("answered", "abandoned", "blocked", "disconnected", "callback", "deflected", "open")


def threshold_column(stem: str, seconds: float) -> str:
    """Return the column that counts within a threshold.

    Examples
    --------
    >>> threshold_column("answered_within", 20.0)
    'answered_within_s20'
    """
    return f"{stem}_s{seconds:.10g}"


@dataclass(frozen=True, eq=False)
class Counts:
    """Interval table and agent log as arrays.

    Attributes
    ----------
    starts : DatetimeIndex, length n_intervals
        Zone-aware interval starts.
    hours : ndarray, shape (n_intervals,)
        Length of the intervals.
    types, groups : tuple of str
    contacts : mapping of column to ndarray, shape (n_replications, n_intervals, n_types)
        NaN is not known, 0 that nobody came. ``answered_handle_unknown`` and the like count the contacts of which the
        handle time, the end or the wait is not known; a log that knows them all has no such column.
    agents : mapping of column to ndarray, shape (n_replications, n_intervals, n_groups)
    batches : "replication" or "day"
        What counts as an independent repetition for confidence intervals.
    days : (Timestamp, Timestamp), optional
        First and last local day covered, zone-free; None: those of the first and the last interval.
    paths : ndarray of int64, shape (n_replications,), or None
        Number of the volume path that each replication played: those that share one are one repetition. None where
        every replication is its own.
    """

    starts: pd.DatetimeIndex
    hours: np.ndarray
    types: tuple[str, ...]
    contacts: Mapping[str, np.ndarray]
    groups: tuple[str, ...] = ()
    agents: Mapping[str, np.ndarray] = field(default_factory=dict)
    batches: str = "replication"
    days: tuple[pd.Timestamp, pd.Timestamp] | None = None
    paths: np.ndarray | None = None

    @property
    def replications(self) -> int:
        """Number of replications."""
        return next(iter(self.contacts.values())).shape[0]

    def thresholds(self) -> tuple[float, ...]:
        """Acceptable waiting times that were counted, in seconds."""
        stem = "answered_within_s"
        return tuple(sorted(float(c[len(stem) :]) for c in self.contacts if c.startswith(stem)))

    def column(self, name: str) -> np.ndarray:
        """Return a column; outcomes that never occurred are zero."""
        if name in self.contacts:
            return self.contacts[name]
        if name == "interval_s":
            shape = next(iter(self.contacts.values())).shape
            return np.broadcast_to((self.hours * 3600)[None, :, None], shape)
        nobody_called_back = name.startswith("callback_within") and not np.any(self.column("callback"))
        if name in _OUTCOME_COLUMNS or nobody_called_back:
            return np.zeros_like(next(iter(self.contacts.values())))
        if name == "wait_sum_s" and {"wait_answered_sum_s", "wait_abandoned_sum_s"} <= set(self.contacts):
            return self.contacts["wait_answered_sum_s"] + self.contacts["wait_abandoned_sum_s"]
        if name == "wait_left_sum_s":  # a report that does not tell it: known only where nobody left
            left = sum(self.column(outcome) for outcome in LEFT_OUTCOMES)
            return np.where(left == 0, 0.0, np.nan)
        counted = ", ".join(f"{t:g}s" for t in self.thresholds()) or "none"
        raise ParameterError(
            f"column {name!r} was not counted. Thresholds counted: {counted}. Columns: {', '.join(self.contacts)}."
        )

    def frame(self) -> pd.DataFrame:
        """Return the IntervalTable frame."""
        return _long(self.contacts, self.starts, "contact_type", self.types)

    def agent_frame(self) -> pd.DataFrame:
        """Return the AgentLog frame."""
        return _long(self.agents, self.starts, "agent_group", self.groups)


def gaps_of(counts: Counts, columns: Iterable[str]) -> dict[str, np.ndarray]:
    """Return, by outcome, how many of its contacts lack what one of these columns needs to count them.

    A log's contacts without a known handle time, say: they add nothing to ``handle_sum_s``, so they must not stand in
    the number of answered contacts that it is divided by.
    """
    gaps: dict[str, np.ndarray] = {}
    for name in columns:
        for outcomes, kind in (need for stem, need in NEEDS.items() if name.startswith(stem)):
            for outcome in outcomes:
                if (unknown := f"{outcome}_{kind}_unknown") in counts.contacts:
                    gaps[outcome] = counts.contacts[unknown]
    return gaps


def _long(
    columns: Mapping[str, np.ndarray], starts: pd.DatetimeIndex, key: str, names: tuple[str, ...]
) -> pd.DataFrame:
    if not columns:
        return pd.DataFrame({"replication": [], "interval_start": [], key: []})
    r, n, k = next(iter(columns.values())).shape
    table: dict[str, Any] = {
        "replication": np.repeat(np.arange(r), n * k),
        "interval_start": starts[np.tile(np.repeat(np.arange(n), k), r)],
        key: pd.Categorical.from_codes(np.tile(np.arange(k), r * n), list(names)),
    }
    return pd.DataFrame(table | {name: values.reshape(-1) for name, values in columns.items()})


def count_arrays(
    interval: np.ndarray,
    kind: np.ndarray,
    outcome: np.ndarray,
    wait_ms: np.ndarray,
    handle_ms: np.ndarray,
    turnaround_ms: np.ndarray,
    *,
    shape: tuple[int, int],
    thresholds_ms: Iterable[int],
    talk_ms: np.ndarray | None = None,
    fresh: np.ndarray | None = None,
) -> dict[str, np.ndarray]:
    """Count one replication's contacts into columns of shape (n_intervals, n_types).

    Parameters
    ----------
    interval, kind : ndarray of int, shape (n_contacts,)
        Interval and contact type of each contact.
    outcome : ndarray of int
        Index into ``schema.OUTCOMES``.
    wait_ms, handle_ms, turnaround_ms : ndarray
        Wait; handle time and arrival-to-completion of the answered; NaN where not known.
    shape : (n_intervals, n_types)
    thresholds_ms : iterable of int
    talk_ms, fresh : ndarray, optional
        Talk and hold of the answered; whether the contact is a first attempt. Without them nothing is said of either.
    """
    cells = shape[0] * shape[1]
    flat = interval * shape[1] + kind
    is_outcome = {name: outcome == k for k, name in enumerate(OUTCOMES)}

    def count(mask: np.ndarray) -> np.ndarray:
        return np.bincount(flat[mask], minlength=cells).reshape(shape)

    def total(mask: np.ndarray, values: np.ndarray) -> np.ndarray:
        mask = mask & ~np.isnan(values)
        return np.bincount(flat[mask], values[mask], minlength=cells).reshape(shape) / 1000

    everyone = np.ones(len(flat), dtype=bool)
    answered, abandoned, callback = is_outcome["answered"], is_outcome["abandoned"], is_outcome["callback"]
    queued, left = (np.any([is_outcome[o] for o in group], axis=0) for group in (QUEUED_OUTCOMES, LEFT_OUTCOMES))
    columns = {"offered": count(everyone)} | {name: count(is_outcome[name]) for name in _OUTCOME_COLUMNS}
    for t in sorted(set(thresholds_ms)):
        inside = wait_ms <= t
        columns[threshold_column("answered_within", t / 1000)] = count(answered & inside)
        columns[threshold_column("abandoned_within", t / 1000)] = count(abandoned & inside)
        columns[threshold_column("callback_within", t / 1000)] = count(callback & inside)
        columns[threshold_column("completed_within", t / 1000)] = count(answered & (turnaround_ms <= t))
        columns[threshold_column("excess_sum", t / 1000)] = total(queued & (wait_ms > t), wait_ms - t)
    columns["wait_answered_sum_s"] = total(answered, wait_ms)
    columns["wait_abandoned_sum_s"] = total(abandoned, wait_ms)
    columns["wait_sum_s"], columns["wait_left_sum_s"] = total(queued, wait_ms), total(left, wait_ms)
    columns["handle_sum_s"] = total(answered, handle_ms)
    columns["turnaround_sum_s"] = total(answered, turnaround_ms)
    if talk_ms is not None:
        columns["talk_sum_s"] = total(answered, talk_ms)
    if fresh is not None:
        columns["fresh"] = count(fresh)
    longest = np.zeros(cells)
    np.fmax.at(longest, flat[queued], wait_ms[queued] / 1000)
    columns["max_wait_s"] = longest.reshape(shape)
    known = {"wait": ~np.isnan(wait_ms), "handle": ~np.isnan(handle_ms), "end": ~np.isnan(turnaround_ms)}
    for name, what in dict.fromkeys((o, what) for outcomes, what in NEEDS.values() for o in outcomes):
        columns[f"{name}_{what}_unknown"] = count(is_outcome[name] & ~known[what])
    return columns


def _ms(seconds: pd.Series) -> np.ndarray:
    """Return whole milliseconds, NaN where missing."""
    return np.floor(seconds.to_numpy(dtype=float, na_value=np.nan) * 1000 + 0.5)


def counts_of_contacts(
    contacts: pd.DataFrame,
    *,
    starts: pd.DatetimeIndex,
    hours: np.ndarray | float,
    thresholds_s: Iterable[float] = (20.0, 60.0),
    booking: str = "arrival",
    types: Iterable[str] | None = None,
    batches: str = "day",
) -> Counts:
    """Count a contact log into intervals.

    A wait, handle time or end that is missing is not known: it is in no sum, and ``…_unknown`` counts it. First attempts
    are counted where the log has a column ``origin``, talk times where it has ``released`` beside ``ended``, as the logs
    of simulations with redials, call-backs, transfers or after-contact work do.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog, one or more replications.
    starts : DatetimeIndex
        Zone-aware starts of the intervals, ascending; a contact belongs to the last interval that has begun.
    hours : ndarray or float
        Length of the intervals in hours.
    thresholds_s : iterable of float
        Acceptable waiting times to count.
    booking : "arrival", "answer" or "end"
        The instant that decides the interval; contacts never answered are booked at their end.
    types : iterable of str, optional
        Order of the contact types; all that occur otherwise.
    batches : str
        As in :class:`Counts`.
    """
    instants = {"arrival": "arrived", "answer": "answered", "end": "ended"}
    if booking not in instants:
        raise ParameterError(f"booking {booking!r} is unknown. Known: {', '.join(instants)}.")
    when = contacts[instants[booking]]
    if booking == "answer":
        when = when.fillna(contacts["ended"])
    names = tuple(types) if types is not None else tuple(sorted(contacts["contact_type"].astype(str).unique()))
    kind = pd.Index(names).get_indexer(contacts["contact_type"].astype(str))
    if (kind < 0).any():
        missing = sorted(set(contacts["contact_type"].astype(str)) - set(names))
        raise ParameterError(f"the contact log holds types that are not counted: {', '.join(missing)}.")
    utc = starts.tz_convert("UTC").as_unit("ns").asi8
    stamps = pd.DatetimeIndex(when).tz_convert("UTC").as_unit("ns").asi8
    interval = np.maximum(np.searchsorted(utc, stamps, side="right") - 1, 0)
    outcome = pd.Index(OUTCOMES).get_indexer(contacts["outcome"].astype(str))
    blocked = (contacts["outcome"].astype(str) == "blocked").to_numpy()
    wait, handle = _ms(contacts["wait_s"]), _ms(contacts["handle_s"])
    turnaround = _ms((contacts["ended"] - contacts["arrived"]).dt.total_seconds())
    wait = np.where(blocked, np.nan_to_num(wait), wait)  # the blocked never wait
    fresh = (contacts["origin"].astype(str) == "fresh").to_numpy() if "origin" in contacts else None
    talk = _ms((contacts["ended"] - contacts["answered"]).dt.total_seconds()) if "released" in contacts else None
    replication = contacts["replication"].to_numpy() if "replication" in contacts else np.zeros(len(contacts), int)
    labels = np.unique(replication)
    thresholds_ms = [round(t * 1000) for t in thresholds_s]
    shape = (len(starts), len(names))
    parts = []
    for r in labels if len(labels) else [0]:
        m = replication == r
        parts.append(
            count_arrays(
                interval[m],
                kind[m],
                outcome[m],
                wait[m],
                handle[m],
                turnaround[m],
                shape=shape,
                thresholds_ms=thresholds_ms,
                talk_ms=None if talk is None else talk[m],
                fresh=None if fresh is None else fresh[m],
            )
        )
    stacked = {name: np.stack([p[name] for p in parts]) for name in parts[0]}
    stacked = {name: a for name, a in stacked.items() if not name.endswith("_unknown") or a.any()}
    length = np.broadcast_to(np.asarray(hours, dtype=float), (len(starts),))
    return Counts(starts, length, names, stacked, batches=batches)


def counts_of_intervals(
    table: pd.DataFrame, *, hours: np.ndarray | float, batches: str = "day", complete: bool = False
) -> Counts:
    """Lay an IntervalTable frame out as arrays; a number that is missing is not known.

    Parameters
    ----------
    table : DataFrame
        IntervalTable.
    hours : ndarray or float
        Length of the intervals in hours.
    batches : str
        As in :class:`Counts`.
    complete : bool
        Whether a row that a type lacks, in an interval that another has, means that nobody came; otherwise it is not
        known.
    """
    INTERVAL_TABLE.check(table, caller="counts_of_intervals()")
    starts = pd.DatetimeIndex(sorted(table["interval_start"].unique()))
    types = tuple(dict.fromkeys(table["contact_type"].astype(str)))
    replication = table["replication"].to_numpy()
    labels = np.unique(replication)
    r = np.searchsorted(labels, replication)
    i = starts.get_indexer(pd.DatetimeIndex(table["interval_start"]))
    k = pd.Index(types).get_indexer(table["contact_type"].astype(str))
    absent = np.ones((len(labels), len(starts), len(types)), dtype=bool)
    absent[r, i, k] = False
    columns = {}
    for name in table.columns:
        if name in ("replication", "interval_start", "contact_type") or table[name].dtype.kind not in "iufb":
            continue
        values = np.zeros(absent.shape)
        np.add.at(values, (r, i, k), table[name].to_numpy(dtype=float, na_value=np.nan))
        columns[str(name)] = values if complete else np.where(absent, np.nan, values)
    length = np.broadcast_to(np.asarray(hours, dtype=float), (len(starts),))
    return Counts(starts, length, types, columns, batches=batches)


def tabulate(
    contacts: pd.DataFrame,
    *,
    starts: pd.DatetimeIndex,
    thresholds_s: Iterable[float] = (20.0, 60.0),
    short_s: Iterable[float] = (5.0,),
    booking: str = "arrival",
    hours: np.ndarray | float = 0.5,
) -> pd.DataFrame:
    """Return the IntervalTable of a contact log; arguments as in :func:`counts_of_contacts`."""
    every = [*thresholds_s, *short_s]
    return counts_of_contacts(contacts, starts=starts, hours=hours, thresholds_s=every, booking=booking).frame()


class ContactSource:
    """A contact log as something that can be measured.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    starts : DatetimeIndex
    hours : ndarray or float
    types : iterable of str, optional
    default_within_s : float
    batches : "day" or "replication"
    """

    def __init__(
        self,
        contacts: pd.DataFrame,
        *,
        starts: pd.DatetimeIndex,
        hours: np.ndarray | float,
        types: Iterable[str] | None = None,
        default_within_s: float = 20.0,
        batches: str = "day",
    ) -> None:
        self.contacts, self.starts, self.hours, self.types = contacts, starts, hours, types
        self.default_within_s, self.batches = default_within_s, batches

    def counts(self, thresholds_s: Iterable[float] = ()) -> Counts:
        """Count the log within these thresholds."""
        return counts_of_contacts(
            self.contacts, starts=self.starts, hours=self.hours, thresholds_s=[*thresholds_s] or [self.default_within_s],
            types=self.types, batches=self.batches,
        )  # fmt: skip

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Return the q-quantile of the waits of all that queued, shape (1, n_labels, n_types or 1)."""
        log = self.contacts[self.contacts["outcome"].isin(QUEUED_OUTCOMES)]
        utc = self.starts.tz_convert("UTC").as_unit("ns").asi8
        at = pd.DatetimeIndex(log["arrived"]).tz_convert("UTC").as_unit("ns").asi8
        label = labels[np.maximum(np.searchsorted(utc, at, side="right") - 1, 0)]
        names = list(self.types or sorted(log["contact_type"].astype(str).unique())) if types else ["all"]
        kind = pd.Index(names).get_indexer(log["contact_type"].astype(str)) if types else np.zeros(len(log), int)
        result = np.full((1, int(labels.max(initial=-1)) + 1, len(names)), np.nan)
        for (a, b), part in log["wait_s"].groupby([label, kind]):
            result[0, a, b] = part.quantile(q)
        return result
