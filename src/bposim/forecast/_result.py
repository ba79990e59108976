"""The forecast as a value: paths, means, quantiles, notes and a picture."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd

from bposim.errors import ForecastError, ParameterError, parameter, require
from bposim.forecast._build import Parts, Settings, further_paths
from bposim.forecast._components import components, draw
from bposim.forecast._counts import Counts
from bposim.forecast._summary import as_html, as_text, summary_table
from bposim.forecast._windows import WINDOWS, read_by, read_levels, window_codes
from bposim.provenance import Provenance, array_hash

if TYPE_CHECKING:
    from bposim.forecast._backtest import Backtest
    from bposim.forecast._workload import HandleForecast


@dataclass(frozen=True, eq=False, repr=False)
class Forecast:
    """Contacts of every open interval of a horizon, as sample paths.

    Made by :func:`bposim.forecast.forecast`; do not build one by hand.

    Attributes
    ----------
    array : ndarray of int32, shape (samples, n_intervals, n_types)
        The paths, read-only; intervals as in ``starts``, types as in ``contact_types``.
    expected : ndarray of float, shape (n_intervals, n_types)
        Expected contacts; the paths scatter around them.
    volumes : DataFrame
        Volumes frame ``contact_type, interval_start, contacts, sample`` of all paths, built when first asked for.
    notes : tuple of str
        What was assumed, masked, closed or thin.
    first_sample : int
        Number of the first path; above 0 for the further paths of :meth:`more`.
    """

    _counts: Counts
    _settings: Settings
    _parts: Parts
    provenance: Provenance
    first_sample: int = 0
    _source: Any = None
    _shared: dict[str, Any] = field(default_factory=dict)

    @property
    def contact_types(self) -> tuple[str, ...]:
        """Names of the contact types."""
        return self._counts.types

    @property
    def starts(self) -> pd.DatetimeIndex:
        """Zone-aware starts of the open intervals of the horizon."""
        return self._parts.grid.starts

    @property
    def start(self) -> date:
        """First local day of the horizon."""
        return self._settings.start

    @property
    def days(self) -> int:
        """Calendar days of the horizon."""
        return self._settings.days

    @property
    def samples(self) -> int:
        """Number of sample paths."""
        return self._settings.samples

    @property
    def method(self) -> str:
        """Method of the day totals."""
        return self._settings.method

    @property
    def interval_s(self) -> float:
        """Length of an interval in seconds."""
        return self._counts.interval_s

    @property
    def zone(self) -> ZoneInfo:
        """Time zone of the operation."""
        return self._counts.zone

    @property
    def array(self) -> np.ndarray:
        """Counts of all paths, shape (samples, n_intervals, n_types), read-only."""
        return self._parts.array

    @property
    def expected(self) -> np.ndarray:
        """Expected contacts, shape (n_intervals, n_types), read-only."""
        return self._parts.expected

    @property
    def notes(self) -> tuple[str, ...]:
        """What was assumed, masked, closed or thin, in sentences."""
        return self._parts.notes

    @cached_property
    def volumes(self) -> pd.DataFrame:
        """All paths as a Volumes frame with ``sample``."""
        s, n, k = self.array.shape
        kinds = pd.Categorical.from_codes(np.tile(np.repeat(np.arange(k), n), s), categories=list(self.contact_types))
        return pd.DataFrame(
            {
                "contact_type": pd.Series(kinds).astype(str) if s * n * k < 200_000 else kinds,
                "interval_start": self.starts[np.tile(np.arange(n), s * k)],
                "contacts": self.array.transpose(0, 2, 1).reshape(-1).astype(np.int64),
                "sample": np.repeat(np.arange(s) + self.first_sample, n * k),
            }
        )

    def more(self, samples: int) -> Forecast:
        """Return the same forecast with further paths, none of which this one holds.

        What was found on the paths of a forecast is proven on others: path number k is the same however many are drawn
        at once.

        Parameters
        ----------
        samples : int
            Number of further paths.

        Raises
        ------
        ParameterError
            ``samples`` is no whole number of at least 1.
        """
        if isinstance(samples, bool) or not isinstance(samples, int | np.integer) or samples < 1:
            raise ParameterError(parameter("samples", "more()", "a whole number of at least 1", samples))
        first = self.first_sample + self.samples
        array = further_paths(self.contact_types, self._settings, self._parts, first, int(samples))
        made = Provenance("more", {"samples": int(samples), "first_sample": first}, (self.provenance,))
        settings = replace(self._settings, samples=int(samples))
        return replace(
            self, _settings=settings, _parts=replace(self._parts, array=array), provenance=made, first_sample=first
        )

    def update(self, observed: Any, until: Any = None) -> Forecast:
        """Return the forecast given what came in its first intervals: the rest of the day, or of the week, and its band.

        Parameters
        ----------
        observed : History or DataFrame
            Counts of the horizon's beginning (a Volumes frame ``contact_type, interval_start, contacts``). An open interval before
            ``until`` without a row had no contacts; rows before the horizon or after ``until`` are not counted.
        until : str, Timestamp or None
            Up to when counts are complete, local time unless it has an offset; an hour that the clock repeats needs one. None takes
            the end of the last row of a frame, by the frame's own step; of a log of contacts the time of the last one, so that an
            interval in progress is not taken as over; of a report the end of its last interval with a contact. A note names the last
            interval known.

        Returns
        -------
        Forecast
            Of the same horizon: known intervals hold their counts in every path, the rest is drawn anew.

        Raises
        ------
        ParameterError
            No row within the horizon; contacts before ``until`` outside the opening hours; unknown contact types; counts that are
            missing or negative; ``until`` no time, ambiguous, or before the end of the first interval; a forecast updated already.
        """
        from bposim.forecast._update import known_counts, updated

        if self._parts.update is not None:
            raise ParameterError("this forecast is updated already. Update the one that was made before the day began.")
        known, n = known_counts(observed, self._counts, self._parts.grid, until, self._parts.expected)
        parts = updated(self._parts, self._settings, self._counts, known)
        made = Provenance("update", {"known_intervals": n, "observed": array_hash(known)}, (self.provenance,))
        return replace(self, _parts=parts, provenance=made)

    def mean(self, by: str = "interval") -> pd.DataFrame:
        """Return expected contacts per contact type and window.

        Parameters
        ----------
        by : str
            ``"interval"`` (a Volumes frame), ``"day"``, ``"week"`` (from Monday), ``"month"`` or ``"all"``.

        Returns
        -------
        DataFrame
            ``contact_type``, the window's zone-aware start (``interval_start``, ``day``, ``week`` or ``month``; none
            for ``"all"``), ``contacts``.

        Notes
        -----
        Computed, not averaged over the paths: free of sampling error.
        """
        return self._told(
            by, None, "mean()", "contacts", lambda first: np.add.reduceat(self.expected, first), self._sums
        )

    def quantiles(self, q: float | Iterable[float], by: str = "interval") -> pd.DataFrame:
        """Return quantiles of the contacts per contact type and window.

        Parameters
        ----------
        q : float or iterable of float
            In [0, 1].
        by : str
            As in :meth:`mean`; paths are summed over the window before the quantile is taken.

        Returns
        -------
        DataFrame
            As :meth:`mean`, with ``quantile``.
        """
        return self._told(
            by, q, "quantiles()", "contacts", lambda first: np.add.reduceat(self.expected, first), self._sums
        )

    # -- handle time and workload -------------------------------------------------------------------------------------

    @property
    def _handle(self) -> HandleForecast:
        from bposim.forecast._handle import read_handled
        from bposim.forecast._workload import build_handle

        # Further paths share their expectation and its handle times; an updated forecast has its own.
        if self._shared.get("expected") is not self.expected:
            handled = read_handled(self._source, self._counts)
            self._shared["handle"] = build_handle(self._counts, handled, self._settings, self._parts)
            self._shared["expected"] = self.expected
        made: HandleForecast = self._shared["handle"]
        return made

    @cached_property
    def handle_paths(self) -> np.ndarray:
        """Mean handle seconds of the contacts of each path, shape (samples, n_intervals, n_types), read-only.

        Drawn when first asked for, from streams of their own beside the volume paths: a day that is busy on a path has the
        handle times that busy days have. Means of few contacts scatter more. The history must hold handle times.
        """
        from bposim.forecast._workload import draw_handle_times

        return draw_handle_times(self._handle, self.contact_types, self._parts, self._settings.seed, self.first_sample)

    def handle_times(self, by: str = "interval", q: float | Iterable[float] | None = None) -> pd.DataFrame:
        """Return the mean handle time per contact type and window, or quantiles of it.

        Parameters
        ----------
        by : str
            As in :meth:`mean`.
        q : float, iterable of float, or None
            None: the expectation. Quantiles are those of each path's own mean over the contacts of the window.

        Returns
        -------
        DataFrame
            ``contact_type``, the window's start as in :meth:`mean`, ``[quantile,] handle_s``. NaN for a contact type with
            neither contacts to come nor handle times.

        Raises
        ------
        ForecastError
            The history holds no handle times.

        Notes
        -----
        Expected workload over expected contacts: a window's mean weighs its intervals by their contacts.
        """
        from bposim.forecast._workload import plain_mean, window_mean

        def expectation(first: np.ndarray) -> np.ndarray:
            made = self._handle
            return window_mean(made.load, self.expected, first, 0, plain_mean(made.expected, first, 0))

        def paths(first: np.ndarray) -> np.ndarray:
            alone = plain_mean(self.handle_paths, first, 1)
            return window_mean(self.array * self.handle_paths, self.array, first, 1, alone)

        return self._told(by, q, "handle_times()", "handle_s", expectation, paths)

    def workload(self, by: str = "interval", q: float | Iterable[float] | None = None) -> pd.DataFrame:
        """Return the workload, contacts × handle time, in hours per contact type and window, or quantiles of it.

        Parameters
        ----------
        by : str
            As in :meth:`mean`.
        q : float, iterable of float, or None
            None: the expectation.

        Returns
        -------
        DataFrame
            ``contact_type``, the window's start as in :meth:`mean`, ``[quantile,] workload_h``.

        Raises
        ------
        ForecastError
            The history holds no handle times.

        Notes
        -----
        The expectation includes that busy days may have longer or shorter handle times, as found in the history.
        """

        def expectation(first: np.ndarray) -> np.ndarray:
            hours: np.ndarray = np.add.reduceat(np.nan_to_num(self._handle.load), first) / 3600
            return hours

        def paths(first: np.ndarray) -> np.ndarray:
            hours: np.ndarray = np.add.reduceat(self.array * np.nan_to_num(self.handle_paths), first, axis=1) / 3600
            return hours

        return self._told(by, q, "workload()", "workload_h", expectation, paths)

    def with_handle_times(self, means: Any) -> pd.DataFrame:
        """Return :attr:`volumes` with ``handle_factor``: expected handle time relative to that of a scenario's law.

        Parameters
        ----------
        means : Scenario, or mapping of contact type to mean handle time such as ``"4min"``
            What the scenario that will play the volumes has as mean handle time; of a Scenario in each interval, with
            after-contact work.

        Returns
        -------
        DataFrame
            Volumes frame for ``simulate(scenario, volumes=…)``.

        Raises
        ------
        ForecastError
            The history holds no handle times.
        ParameterError
            A contact type is missing or its mean is no duration above zero.
        """
        from bposim.forecast._workload import handle_factors

        factor = handle_factors(self, self._handle, means)
        return self.volumes.assign(handle_factor=np.tile(factor.T.reshape(-1), self.samples))

    def _sums(self, first: np.ndarray) -> np.ndarray:
        sums: np.ndarray = np.add.reduceat(self.array, first, axis=1)
        return sums

    def _told(
        self, by: str, q: float | Iterable[float] | None, caller: str, name: str,
        expectation: Callable[[np.ndarray], np.ndarray], paths: Callable[[np.ndarray], np.ndarray],
    ) -> pd.DataFrame:  # fmt: skip
        """Return the expectation by window, or quantiles over the paths; each is made from the first interval of every window."""
        read_by(by, caller)
        levels = None if q is None else read_levels(q, caller)
        first, stamps = window_codes(self.starts, by)
        if levels is None:
            return self._frame(by, stamps).assign(**{name: expectation(first).T.reshape(-1)})
        frames = [
            self._frame(by, stamps).assign(**{"quantile": level, name: value.T.reshape(-1)})
            for level, value in zip(levels, np.quantile(paths(first), levels, axis=0), strict=True)
        ]
        return pd.concat(frames, ignore_index=True)

    def _frame(self, by: str, stamps: pd.DatetimeIndex) -> pd.DataFrame:
        k, n = len(self.contact_types), len(stamps)
        frame = pd.DataFrame({"contact_type": np.repeat(np.array(self.contact_types, dtype=object), n)})
        if by != "all":
            frame["interval_start" if by == "interval" else by] = stamps[np.tile(np.arange(n), k)]
        return frame

    def summary(self) -> pd.DataFrame:
        """Return one row per contact type.

        Returns
        -------
        DataFrame
            ``contact_type, contacts`` (expected over the horizon), ``low, high`` (90 % band of the total),
            ``day_cv`` (of a day's contacts in the paths), ``drift_4_weeks`` (sd of the level after 28 days, in logs),
            ``method, effects, days_used, days_masked, sentence``.
        """
        return summary_table(self, self._parts.outlooks)

    def components(self) -> pd.DataFrame:
        """Return what makes up the expectation of each day: the level, and effects in per cent of it.

        Returns
        -------
        DataFrame
            One row per contact type and open day: ``date, contact_type, level`` (contacts of a usual day),
            ``weekday_percent, season_percent, month_percent, holiday_percent, events_percent, regressors_percent,
            clock_percent`` (an hour that the clock drops or repeats), ``update_percent`` (what came against the forecast
            before, and what it says of the rest), ``expected``.

        Notes
        -----
        Effects multiply: ``expected = level × Π (1 + effect / 100)``. The weekday is told against the mean of the open
        weekdays, a regressor against its past mean, holidays and events against a day without them.
        """
        p = self._parts
        prior = None if p.update is None else p.update.prior
        return components(self.contact_types, p.outlooks, p.grid, p.expected, p.totals, p.by_events, p.future, prior)

    def plot_components(self, contact_type: str | None = None, axes: Any = None) -> Any:
        """Draw the expectation of each day with its level, and below each effect in per cent.

        Parameters
        ----------
        contact_type : str or None
            None is the first.
        axes : sequence of matplotlib Axes or None
            None makes a new figure; effects for which there is no axes are not drawn.

        Returns
        -------
        ndarray of Axes
        """
        name = self.contact_types[0] if contact_type is None else contact_type
        if name not in self.contact_types:
            rule = f"one of {', '.join(self.contact_types)}"
            raise ParameterError(parameter("contact_type", "plot_components()", rule, contact_type))
        table = self.components()
        return draw(table[table["contact_type"] == name], f"{name}: what makes up a day", axes)

    def backtest(
        self,
        origins: Any = None,
        days: int | None = None,
        *,
        workers: int | None = None,
        progress: Callable[[int, int, str], None] | None = None,
    ) -> Backtest:
        """Refit at earlier origins and measure what the forecasts would have missed.

        Parameters
        ----------
        origins : None, int or iterable of date
            First days of the test horizons; a number takes so many, ``days`` apart, ending with the history; None is 6.
        days : int or None
            Length of each horizon; None is that of this forecast.
        workers : int or None
            Processes for the fits; None takes every core where there are many.
        progress : callable or None
            Called with (done, total, contact type) after each fit. Fits that are done are remembered: a back-test that was
            interrupted goes on where it was when called again.

        Returns
        -------
        Backtest
            Of the contact types with a history of their own.
        """
        from bposim.forecast._analogy import without_analogies
        from bposim.forecast._backtest import run_backtest
        from bposim.forecast._handle import read_handled

        analogies = self._settings.analogies
        counts, settings = without_analogies(self._counts, analogies), replace(self._settings, analogies={})
        try:
            handled = read_handled(self._source, counts)
        except ForecastError:  # only volumes are known
            handled = None
        return run_backtest(counts, settings, origins, days, workers, progress, handled)

    def plot(self, ax: Any = None, by: str = "day", contact_type: str | None = None) -> Any:
        """Draw the expectation with bands of 50, 80 and 95 %, one step for each open window.

        Parameters
        ----------
        ax : matplotlib Axes or None
            None makes a new figure.
        by : str
            As in :meth:`mean`, except ``"all"``.
        contact_type : str or None
            None sums all contact types.

        Returns
        -------
        Axes
        """
        problems = []
        if by not in WINDOWS[:-1]:
            problems.append(parameter("by", "plot()", f"one of {', '.join(WINDOWS[:-1])}", by))
        if contact_type is not None and contact_type not in self.contact_types:
            rule = f"one of {', '.join(self.contact_types)}"
            problems.append(parameter("contact_type", "plot()", rule, contact_type))
        require(problems, ParameterError)
        from bposim.forecast._pictures import fan, window_ends

        wanted = self.contact_types if contact_type is None else (contact_type,)
        pick = [self.contact_types.index(name) for name in wanted]
        first, stamps = window_codes(self.starts, by)
        paths = np.add.reduceat(self.array[:, :, pick].sum(axis=2), first, axis=1)
        mean = np.add.reduceat(self.expected[:, pick].sum(axis=1), first)
        local = stamps.tz_localize(None)
        title = f"{', '.join(wanted)}: {self.days} days from {self.start}"
        unit = f"{self.interval_s / 60:g} min" if by == "interval" else by
        return fan(local, window_ends(local, by, self.interval_s), paths, mean, unit, title, ax)

    def __repr__(self) -> str:
        return as_text(self)

    def _repr_html_(self) -> str:
        return as_html(self)
