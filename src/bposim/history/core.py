"""The history of an operation: what was observed, in which zone, how trustworthy, and the tables made from it."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.absent import Absent
from bposim.history.facts import facts
from bposim.history.hours import (
    ALL_DAY,
    Observed,
    Spans,
    infer_hours,
    local_slots,
    missing_days,
    observed_grid,
)
from bposim.history.measures import THRESHOLDS_S
from bposim.history.quality import QualityReport, accepted_rules
from bposim.history.tables import coarsen, nearest_types, read_interval
from bposim.provenance import Provenance

if TYPE_CHECKING:
    from bposim.metrics import Counts

_EPOCH = date(1970, 1, 1)


@dataclass(frozen=True, eq=False, repr=False)
class History:
    """What was observed of an operation. Made by :func:`read_history`, ``from_contacts()`` or ``from_counts()``.

    Attributes
    ----------
    kind : {"contacts", "intervals", "counts"}
        A contact log, an interval report, or bare counts of contacts.
    zone : ZoneInfo
    interval_s : float
        Length of the intervals in seconds; of a contact log, the length its tables use unless told otherwise.
    booking : {"arrival", "answer", "end", "event", None}
        Interval to which the source books a contact; ``"event"``: arrival, answer and abandonment each where they
        happen; None: not told.
    source : str
    quality : QualityReport
    rejected : DataFrame
        Rows set aside: ``source_row, rule`` and the cells as read.
    provenance : Provenance
    counting : str or None
        The source's service-level formula, the default of :meth:`metrics`; None: not told.
    within_s, short_abandon_s : float or None
        The source's acceptable waiting time and short-abandon limit, the defaults of :meth:`metrics`; None: not told.
    """

    kind: str
    zone: ZoneInfo
    interval_s: float
    booking: str | None
    source: str
    quality: QualityReport
    rejected: pd.DataFrame
    provenance: Provenance
    counting: str | None = None
    within_s: float | None = None
    short_abandon_s: float | None = None
    _contacts: pd.DataFrame | None = None
    _absent: Absent | None = None
    _table: pd.DataFrame | None = None
    _cache: dict[Any, Any] = field(default_factory=dict)

    # -- making -------------------------------------------------------------------------------------------------------

    @classmethod
    def from_contacts(cls, frame: pd.DataFrame, *, tz: Any, profile: Any = "contacts", columns: Any = None,
                      interval: Any = None, types: Any = None, day_first: bool | None = None,
                      accept: Any = ()) -> History:  # fmt: skip
        """Make a history of a frame of contacts; arguments as in :func:`read_history`. The frame is not modified."""
        from bposim.history.build import from_frame

        return from_frame(
            frame, source="the frame given to from_contacts()", profile=profile, tz=tz, columns=columns,
            interval=interval, types=types, day_first=day_first, accept=accept, step="from_contacts",
        )  # fmt: skip

    @classmethod
    def from_counts(cls, series: Any, *, contact_type: str = "all", freq: Any = None, tz: Any = None) -> History:
        """Make a history of counts per day or interval.

        Parameters
        ----------
        series : Series, or DataFrame with a column per contact type
            Counts of contacts indexed by time; a missing count is unknown, not 0. Not modified.
        contact_type : str
            Name of a Series' contact type.
        freq : str
            Length of an interval: ``"D"``, ``"30min"``, ``"5min"``, ``"1h"``; None takes the most common step.
        tz : str, optional
            IANA time zone; None takes the index's own, or UTC with a note in the quality report.

        Raises
        ------
        HistoryError
            The index holds no times or repeats one, a count is negative, or the index does not fit ``freq``.

        Examples
        --------
        >>> daily = pd.Series([120, 131], index=pd.to_datetime(["2026-03-02", "2026-03-03"]))
        >>> History.from_counts(daily, contact_type="billing", freq="D").daily()["contacts"].tolist()
        [120, 131]
        """
        from bposim.history.build import from_counts

        return from_counts(series, contact_type=contact_type, freq=freq, tz=tz)

    # -- what it holds ------------------------------------------------------------------------------------------------

    @property
    def contacts(self) -> pd.DataFrame | None:
        """ContactLog frame in order of arrival, None where the source has only counts."""
        return None if self._contacts is None else self._contacts.copy(deep=False)

    @property
    def intervals(self) -> pd.DataFrame:
        """IntervalTable frame: the report's own, or counted from the contacts within 5, 20 and 60 s."""
        if self._table is not None:
            return self._table.copy(deep=False)
        return self.counts(THRESHOLDS_S).frame()

    @cached_property
    def contact_types(self) -> tuple[str, ...]:
        """Names of the contact types, in alphabetical order."""
        return tuple(sorted(self._frame["contact_type"].unique()))

    @property
    def _frame(self) -> pd.DataFrame:
        frame = self._contacts if self._contacts is not None else self._table
        assert frame is not None
        return frame

    @property
    def _times(self) -> pd.Series:
        return self._frame["arrived" if self._contacts is not None else "interval_start"]

    @cached_property
    def _slot_min(self) -> int:
        return 30 if self._contacts is not None else round(self.interval_s / 60)

    @cached_property
    def _day_slot(self) -> tuple[np.ndarray, np.ndarray]:
        return local_slots(self._times, self._slot_min)

    @cached_property
    def _weight(self) -> np.ndarray:
        if self._contacts is not None:
            return np.ones(len(self._contacts))
        return self._frame["offered"].to_numpy(dtype=float, na_value=np.nan)

    @cached_property
    def _days(self) -> np.ndarray:
        """Observed local days, days since 1970."""
        return np.unique(self._day_slot[0][~np.isnan(self._weight)])

    @cached_property
    def opening_hours(self) -> Spans:
        """Open spans in minutes by weekday (Monday 0), inferred; a few stray contacts do not open a slot."""
        day, slot = self._day_slot
        return infer_hours(day, slot, np.nan_to_num(self._weight), self._slot_min)

    @cached_property
    def missing_days(self) -> tuple[date, ...]:
        """Days within the range without contacts although their weekday is normally open: closed or missing."""
        return missing_days(self._days, self.opening_hours)

    @property
    def days(self) -> tuple[date, date]:
        """First and last local day observed."""
        ends = self._days[[0, -1]]
        return _EPOCH + timedelta(days=int(ends[0])), _EPOCH + timedelta(days=int(ends[1]))

    # -- quality ------------------------------------------------------------------------------------------------------

    def check(self) -> QualityReport:
        """Return the data-quality report: each broken rule, its rows, what was done, how to override; and the readiness."""
        return replace(self.quality, readiness=self.readiness())

    def readiness(self) -> pd.DataFrame:
        """Return which steps the data can carry: ``step, verdict, score, reason``.

        The verdict is ready (score of at least 80), weak (at least 40) or no; the reason names what is missing and what
        would mend it. The rules stand in ``docs/design/data-contracts.md``.
        """
        from bposim.history.readiness import readiness

        return readiness(self)

    def accept(self, *rules: str) -> History:
        """Say that findings are right as they are: they stay in the report, as accepted and without weight.

        Parameters
        ----------
        *rules : str
            Ids of rules whose rows were kept; others are accepted when the file is read, ``read_history(…, accept=…)``.

        Raises
        ------
        HistoryError
            A rule does not exist, or what it found was not kept.
        """
        report = replace(self.quality, accept=self.quality.accept | accepted_rules(rules, reading=False))
        made = Provenance("accept", {"rules": list(rules)}, (self.provenance,))
        return replace(self, quality=report, provenance=made, _cache={})

    def drop_invalid(self, *rules: str) -> History:
        """Agree to go on without the rows that were set aside, and leave out the rows that break ``rules``.

        Parameters
        ----------
        *rules : str
            Ids of rules whose rows were kept or repaired and are to be left out too, such as ``"zero_handle"``.

        Returns
        -------
        History
            Its report has no errors; ``rejected`` still holds the rows.

        Raises
        ------
        HistoryError
            A rule does not exist, or concerns no rows.
        """
        rows = np.unique(np.concatenate([np.empty(0, dtype=np.int64), *(self.quality.rows_of(r) for r in rules)]))
        whole = [r for r in rules if self.quality.count(r) and not len(self.quality.rows_of(r))]
        if whole:
            raise HistoryError(f"rule {whole[0]!r} is about the history as a whole: there are no rows to leave out.")
        frame = self._frame
        out = frame["source_row"].isin(rows)
        left = frame[out].drop(columns=["replication", "contact_id"], errors="ignore")
        rejected = self.rejected
        if len(left):
            names = {int(r): rule for rule in reversed(rules) for r in self.quality.rows_of(rule)}
            left = left.assign(rule=left["source_row"].map(names))
            rejected = pd.concat([rejected.astype(object), left.astype(object)], ignore_index=True)
        report = self.quality.accepted(rules=rules)
        report = replace(report, kept=report.kept - int(out.sum()), set_aside=report.set_aside + int(out.sum()))
        absent = self._absent and self._absent.with_lost(frame[out])
        made = ("drop_invalid", {"rules": list(rules)})
        return self._with(frame[~out], quality=report, rejected=rejected, _absent=absent, step=made)

    def _with(self, frame: pd.DataFrame, *, step: tuple[str, dict[str, Any]], **changes: Any) -> History:
        if not len(frame):
            raise HistoryError(
                f"{step[0]}() leaves no rows of {self.source}. Its days are {self.days[0]} to {self.days[1]}."
            )
        key = "_contacts" if self._contacts is not None else "_table"
        made = Provenance(step[0], step[1], (self.provenance,))
        return replace(self, **({key: frame.reset_index(drop=True), "provenance": made, "_cache": {}} | changes))

    def between(self, start: Any, end: Any) -> History:
        """Return the history from ``start`` until before ``end``.

        Parameters
        ----------
        start, end : date, str or Timestamp
            Local dates or times; ``end`` is not included.

        Raises
        ------
        HistoryError
            An end is no time, ``end`` is not after ``start``, or nothing lies between them.
        """
        low, high = (self._instant(v, n) for v, n in ((start, "start"), (end, "end")))
        if high <= low:
            raise HistoryError(f"between(): end {end} must be after start {start}.")
        inside = ((self._times >= low) & (self._times < high)).to_numpy()
        rows = self._frame["source_row"].to_numpy()[~inside]
        gone = int((~inside).sum())
        from bposim.history.whole import WHOLE, whole_findings

        left = [f for f in self.quality.findings if f.rule not in WHOLE]
        found = [
            f if not np.isin(f.rows, rows).any() else f.only(~np.isin(f.rows, rows), len(self._frame) - gone)
            for f in left
        ]
        findings = [f for f in found if f is not None]
        report = replace(
            self.quality, findings=tuple(findings), kept=self.quality.kept - gone, left_out=self.quality.left_out + gone
        )
        absent = self._absent and self._absent.between(low, high)
        step = ("between", {"start": str(low), "end": str(high)})
        made = self._with(self._frame[inside], quality=report, step=step, _absent=absent)
        return replace(made, quality=replace(report, findings=report.findings + whole_findings(made)))

    def split(self, by: str, *, types: Any = None, unknown: Iterable[Any] = (), fewest: int = 30,
              seed: int = 1) -> History:  # fmt: skip
        """Return the history with contact types told apart by a column of its contacts: ``sales`` becomes ``sales/2``.

        Parameters
        ----------
        by : str
            ``"priority"`` or another column of ``contacts``; a missing value leaves the type's name as it is.
        types : str or list of str, optional
            Types to split; None splits all.
        unknown : list
            Values that mean "not recorded". Within a type of which at least 90 % of those who waited have another value,
            as where a system notes the priority only of those it makes wait, the class of such a contact is drawn from the
            25 contacts of its type nearest in time that have one. Elsewhere the value is a class of its own.
        fewest : int
            Classes with fewer contacts are counted with the type's most frequent one; a type of one class keeps its name.
        seed : int
            Of that draw.

        Raises
        ------
        HistoryError
            The history has no contacts, or no such column or type.
        """
        from bposim.history.classes import split_contacts

        if self._contacts is None:
            raise HistoryError("split() needs a contact log: one row for each contact.")
        frame, told = split_contacts(self._contacts, by, types, unknown, fewest, seed)
        made = {"by": by, "types": types, "unknown": list(unknown), "fewest": fewest, "seed": seed, "drawn": told}
        return self._with(frame, step=("split", made))

    def _instant(self, value: Any, name: str) -> pd.Timestamp:
        try:
            stamp = pd.Timestamp(value)
        except (ValueError, TypeError):
            raise HistoryError(f'between(): {name}={value!r} is no date. Write "2026-03-01".') from None
        if stamp.tzinfo is None:
            return stamp.tz_localize(self.zone, ambiguous=True, nonexistent="shift_forward")
        return stamp.tz_convert(self.zone)

    # -- tables -------------------------------------------------------------------------------------------------------

    def volumes(
        self, interval: Any = None, types: Iterable[str] | str | None = None, *, hours: Any = None
    ) -> pd.DataFrame:
        """Return the Volumes frame: ``contact_type, interval_start, contacts``, complete, zeros filled in.

        Parameters
        ----------
        interval : str, optional
            ``"15min"``, ``"1h"``, ``"1d"``; None takes the history's own (30 min for a contact log). A report cannot
            be cut finer than it is. ``"1d"`` counts the whole local day.
        types : str or list of str, optional
        hours : mapping, "all", or None
            Open hours of a contact log, as a scenario's ``opening_hours``; None: as inferred, so that contacts outside
            them are not counted (rule ``outside_hours`` tells how many); ``"all"``: around the clock.

        Notes
        -----
        Days in ``missing_days`` are left out: they are unknown, not zero. An interval report gives the intervals it
        has, except those whose count is not known: missing, of a row that was set aside, or of a row that a type lacks in
        a report that writes its zeros.
        """
        interval_s = read_interval(interval, self.interval_s, self.kind, self._contacts is not None)
        names = nearest_types(types, self.contact_types)
        if self._contacts is None:
            if hours is not None:
                raise HistoryError("volumes(hours=…) is for contact logs; a report has the intervals it has.")
            return coarsen(self._frame, interval_s, self.interval_s, names, self.zone, self._absent)
        grid = self._grid(interval_s, hours)
        frame = self._contacts
        k = grid.place(frame["arrived"])
        kind = pd.Index(names).get_indexer(frame["contact_type"])
        use = (k >= 0) & (kind >= 0)
        count = np.bincount(kind[use] * len(grid) + k[use], minlength=len(names) * len(grid)).astype(np.int64)
        return pd.DataFrame({
            "contact_type": np.repeat(np.array(names, dtype=object), len(grid)),
            "interval_start": grid.starts[np.tile(np.arange(len(grid)), len(names))], "contacts": count,
        }).astype({"contact_type": "str"})  # fmt: skip

    def _grid(self, interval_s: float, hours: Any = None) -> Observed:
        from bposim.scenario.fields import parse_hours

        if isinstance(hours, str) and hours == "all":
            spans = ALL_DAY
        elif hours is not None:
            try:
                spans = parse_hours(hours)
            except ValueError as error:
                raise HistoryError(f"volumes(): {error}") from None
        else:
            spans = self.opening_hours
        if interval_s >= 86400:
            spans = {d: ((0, 1440),) if s else () for d, s in spans.items()}
        return observed_grid(self._days, self.zone, interval_s, spans, self.missing_days)

    def daily(self, types: Iterable[str] | str | None = None) -> pd.DataFrame:
        """Return ``date, contact_type, contacts`` of every day with data, its known counts added up; dates are local."""
        names = nearest_types(types, self.contact_types)
        day, weight = self._day_slot[0], self._weight
        kind = pd.Index(names).get_indexer(self._frame["contact_type"])
        d = np.searchsorted(self._days, day)
        use = (kind >= 0) & ~np.isnan(weight)
        count = np.bincount(d[use] * len(names) + kind[use], weight[use], minlength=len(self._days) * len(names))
        frame = pd.DataFrame({
            "date": np.repeat(self._days.astype("datetime64[D]").astype("datetime64[us]"), len(names)),
            "contact_type": np.tile(np.array(names, dtype=object), len(self._days)), "contacts": count,
        }).astype({"contact_type": "str"})  # fmt: skip
        return frame.astype({"contacts": "int64"}) if not (count % 1).any() else frame

    # -- metrics ------------------------------------------------------------------------------------------------------

    @property
    def default_within_s(self) -> float:
        """Acceptable waiting time where none is given: the source's own, 20 s, or the smallest that a report has counted."""
        known = [float(c.rsplit("_s", 1)[1]) for c in self._frame if str(c).startswith("answered_within_s")]
        if self.within_s is not None and (self._contacts is not None or not known or self.within_s in known):
            return self.within_s
        return 20.0 if self._contacts is not None or not known or 20.0 in known else min(known)

    def counts(self, thresholds_s: Sequence[float] = ()) -> Counts:
        """Return counts per interval, every contact included, with at least these thresholds (seconds)."""
        from bposim.history.measures import counts_of

        return counts_of(self, thresholds_s)

    @cached_property
    def _counted_grid(self) -> pd.DatetimeIndex:
        """Starts of the open intervals, and of those outside the hours in which contacts arrived all the same."""
        from bposim.history.measures import counted_grid

        return counted_grid(self)

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Return the q-quantile of the waits of all that queued, shape (1, n_labels, n_types or 1).

        Parameters
        ----------
        q : float
        labels : ndarray of int, shape (n_intervals,)
            Label of each interval of ``counts()``.
        types : bool
            Whether to split by contact type.
        """
        from bposim.history.measures import wait_quantiles

        return wait_quantiles(self, q, labels, types)

    def metrics(self, by: Any = None, metrics: Any = None, within: Any = None, counting: str | None = None,
                confidence: float = 0.95, **options: Any) -> pd.DataFrame:  # fmt: skip
        """Return KPIs with confidence intervals over days; arguments as in :func:`bposim.metrics.summary`.

        ``within``, ``counting`` and ``short`` are the source's own where it tells them and none is given.

        Raises
        ------
        HistoryError
            The history holds bare counts, which tell nothing but what was offered.
        """
        from bposim.history.measures import metrics_of

        return metrics_of(self, by, metrics, within, counting, confidence, options)

    # -- faces --------------------------------------------------------------------------------------------------------

    def summary(self) -> pd.DataFrame:
        """Return ``contact_type, contacts, days, contacts_per_day``."""
        daily = self.daily()
        table = daily.groupby("contact_type", as_index=False)["contacts"].sum()
        return table.assign(days=len(self._days), contacts_per_day=table["contacts"] / len(self._days))

    def __repr__(self) -> str:
        return "\n".join(["History", *(f"  {name:<9}{text}" for name, text in facts(self))])

    def _repr_html_(self) -> str:
        rows = "".join(f"<tr><th>{html.escape(n)}</th><td>{html.escape(t)}</td></tr>" for n, t in facts(self))
        return f"<table>{rows}</table>"
