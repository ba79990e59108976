"""Forecast volumes as sample paths: what may come in every open interval, and how surely.

=========================  ==========================================================
:func:`forecast`           history → :class:`Forecast`
:class:`Forecast`          paths, means, quantiles, handle times, workload, notes; ``.backtest()``
:class:`Backtest`          errors and coverage of volume, handle time and workload at past origins
=========================  ==========================================================
"""

from bposim.forecast._api import forecast
from bposim.forecast._backtest import Backtest
from bposim.forecast._result import Forecast

__all__ = ["Backtest", "Forecast", "forecast"]
