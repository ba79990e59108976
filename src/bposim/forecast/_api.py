"""The verb: arguments checked once, every ``None`` resolved, one forecast out."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, timedelta
from typing import Any

import pandas as pd

from bposim.errors import ForecastWarning, ParameterError, parameter, require
from bposim.forecast._analogy import Analogy, with_analogies
from bposim.forecast._build import Settings, build
from bposim.forecast._calendar import country_problems
from bposim.forecast._counts import read_counts
from bposim.forecast._events import Event, event_problems
from bposim.forecast._methods import method_problems
from bposim.forecast._regressors import read_regressors
from bposim.forecast._result import Forecast
from bposim.provenance import Provenance, content_hash

_CALLER = "forecast()"


def forecast(
    history: Any,
    *,
    start: date | str | None = None,
    days: int = 28,
    method: str = "prophet",
    country: str | None = None,
    subdivision: str | None = None,
    regressors: pd.DataFrame | None = None,
    samples: int = 500,
    seed: int = 1,
    closed: Iterable[date | str] = (),
    opening_hours: Any = None,
    events: Iterable[Event] = (),
    analogies: Mapping[str, Analogy] | None = None,
    workers: int | None = None,
    progress: Callable[[int, int, str], None] | None = None,
) -> Forecast:
    """Forecast the contacts of every open interval as sample paths.

    Day totals are modelled on the log scale and spread over the day by a profile of weekday and interval; paths add
    drift of the level, a persistent day factor, noise of the day's shape and counting noise.

    Parameters
    ----------
    history : History or DataFrame
        A history, or a Volumes frame (``contact_type, interval_start, contacts``), whose zone, interval and
        opening hours are then inferred.
    start : date, str or None
        First local day; None is the day after the last day of history. History on and after it is not used.
    days : int
        Calendar days of the horizon.
    method : str
        ``"prophet"``; ``"seasonal-naive"`` (the last same weekday), ``"mean-4"``, ``"mean-8"``, … (the mean of the last so
        many same weekdays); ``"level"`` (the week's pattern of the last eight weeks times a smoothed level); ``"ets"`` and
        ``"mstl"`` (exponential smoothing and seasonal decomposition by statsforecast: ``pip install "bposim[forecast]"``);
        ``"auto"``: for each contact type the one that forecasts from earlier days of its history would have preferred,
        Prophet unless another is clearly better; a note tells the figures.
    country, subdivision : str or None
        ISO codes of the customers' market, for its holidays. None: no holidays.
    regressors : DataFrame or None
        ``date`` and one numeric column per regressor, known for every day of the horizon and of the history from some
        day on, eight weeks of it at least (``notes`` says what becomes of the days before). The effect is log-linear in the value or, for a regressor that is never
        negative, in its logarithm, whichever explains the history better. Only with ``method="prophet"`` or ``"auto"``,
        whose other methods do not use them.
    samples : int
        Sample paths.
    seed : int
        Seed of the paths and of the fit.
    closed : iterable of date or str
        Days of the horizon on which nobody opens.
    opening_hours : mapping or None
        As in a scenario file, ``{"mon-fri": "08:00-18:00"}``, or a scenario's own ``opening_hours``; None takes what the
        history shows. Give the scenario's, so that forecast and scenario share their intervals.
    events : iterable of Event
        Campaigns and the like, past ones and coming ones: past ones of a name are estimated, coming ones of the name
        expected to do the same unless they say what they add. See :class:`Event`.
    analogies : mapping or None
        New contact types by name, ``{"chat": Analogy(like="voice", share=0.4)}``: those that the history lacks, or holds
        on fewer than 56 days. See :class:`Analogy`.
    workers : int or None
        Processes for the fits; None takes every core where there are many.
    progress : callable or None
        Called with (done, total, contact type) after each fit. Fits are remembered by what they were made from: a forecast
        that was interrupted goes on where it was when called again.

    Returns
    -------
    Forecast

    Raises
    ------
    ParameterError
        An argument breaks its rule; all problems are reported at once.
    ForecastError
        The history is too short or cannot be read.

    Warns
    -----
    ForecastWarning
        The history spans less than eight weeks.

    References
    ----------
    Taylor & Letham (2018), Forecasting at scale, The American Statistician 72; Ibrahim, Ye, L'Ecuyer & Shen (2016),
    Modeling and forecasting call center arrivals, International Journal of Forecasting 32; Duan (1983), Smearing
    estimate, JASA 78.

    Examples
    --------
    >>> import pandas as pd
    >>> days = pd.date_range("2024-01-01", periods=28, freq="D", tz="Asia/Manila")
    >>> week = [90, 80, 80, 70, 60, 0, 0]
    >>> past = pd.DataFrame({"contact_type": "claims", "interval_start": days, "contacts": week * 4})
    >>> import warnings
    >>> with warnings.catch_warnings():
    ...     warnings.simplefilter("ignore")
    ...     ahead = forecast(past, days=7, method="seasonal-naive")
    >>> ahead.mean(by="day")["contacts"].tolist()
    [90.0, 80.0, 80.0, 70.0, 60.0, 0.0, 0.0]
    """
    counts = read_counts(history, opening_hours)
    first = as_day(start) if start is not None else (counts.dates[-1] + timedelta(days=1)).date()
    counts, alike, problems, told = with_analogies(counts, analogies, _CALLER, first)
    problems += country_problems(country, subdivision, _CALLER)
    for name, number, least in (
        ("days", days, 1),
        ("samples", samples, 1),
        ("seed", seed, 0),
        ("workers", 1 if workers is None else workers, 1),
    ):
        if isinstance(number, bool) or not isinstance(number, int) or number < least:
            problems.append(parameter(name, _CALLER, f"a whole number of at least {least}", number))
    problems += method_problems(method, _CALLER)
    shut: list[date] = []
    for value in (closed,) if isinstance(closed, str | date) else tuple(closed):
        day = as_day(value)
        if day is None:
            problems.append(parameter("closed", _CALLER, 'a list of days such as "2024-12-25"', value))
        else:
            shut.append(day)
    if first is None:
        problems.append(parameter("start", _CALLER, 'a day such as "2024-12-01"', start))
    elif first <= counts.dates[0].date():
        problems.append(
            parameter("start", _CALLER, f"a day after the first of the history, {counts.dates[0].date()}", str(first))
        )
    known = None
    if regressors is not None:
        if method not in ("prophet", "auto"):
            problems.append(parameter("regressors", _CALLER, f"None with method={method!r}", type(regressors).__name__))
        known, found = read_regressors(regressors, counts, first, days if isinstance(days, int) else 1)
        problems += found
    planned: tuple[Event, ...] = ()
    if first is not None and len(past := counts.until(first).dates):
        past = counts.until(first).recent().dates
        ahead = pd.date_range(first, periods=days if isinstance(days, int) else 1)
        planned, found = event_problems(events, counts.types, past, ahead, method, _CALLER)
        problems += found
    require(problems, ParameterError)
    assert first is not None
    settings = Settings(
        first, days, method, country, subdivision, known, samples, seed, tuple(shut), planned, alike, told
    )
    parts = build(counts, settings, progress, workers)
    if counts.holes:
        warnings.warn(counts.holes, ForecastWarning, stacklevel=2)
    if parts.thin:
        warnings.warn(parts.thin, ForecastWarning, stacklevel=2)
    inputs = {
        "start": str(first), "days": days, "method": method, "country": country, "subdivision": subdivision,
        "samples": samples, "seed": seed, "closed": [str(d) for d in shut],
        "regressors": None if known is None else content_hash([list(map(str, known)), list(map(str, known.index)), known.to_numpy(dtype=float).tolist()]),
        "opening_hours": {d: s for d, s in sorted(counts.until(first).spans.items()) if s},
        "events": [str(e) for e in planned], "analogies": {k: str(a) for k, a in alike.items()},
        "history": content_hash([counts.types, list(map(str, counts.dates)), counts.table.tolist()]),
    }  # fmt: skip
    parents = (counts.provenance,) if counts.provenance is not None else ()
    source = None if isinstance(history, pd.DataFrame) else history
    return Forecast(counts, settings, parts, Provenance("forecast", inputs, parents), _source=source)


def as_day(value: object) -> date | None:
    """Return a local day, None if the value is none."""
    if isinstance(value, datetime):
        return value.date()
    if isinstance(value, date):
        return value
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
