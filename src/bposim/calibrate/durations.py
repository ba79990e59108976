"""Handle time and patience of a contact type, fitted: see ``handle``, ``patience`` and ``agents``."""

from __future__ import annotations

from bposim.calibrate.duration_fit import DurationFit
from bposim.calibrate.handle import fit_handle_time
from bposim.calibrate.patience import FEW, fit_patience

__all__ = ["FEW", "DurationFit", "fit_handle_time", "fit_patience"]
