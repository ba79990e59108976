"""Forecast volumes as sample paths: what may come in every open interval, and how surely.

=========================  ==========================================================
:func:`forecast`           history → :class:`Forecast`
:class:`Forecast`          paths, means, quantiles, components, handle times, workload, notes
:class:`Event`             a campaign or the like: its shape, and what it adds
:class:`Analogy`           a new contact type as a share of a known one
:class:`Backtest`          errors and coverage of volume, handle time and workload at past origins
=========================  ==========================================================
"""

from bposim.forecast._analogy import Analogy
from bposim.forecast._api import forecast
from bposim.forecast._backtest import Backtest
from bposim.forecast._events import Event
from bposim.forecast._result import Forecast

__all__ = ["Analogy", "Backtest", "Event", "Forecast", "forecast"]
