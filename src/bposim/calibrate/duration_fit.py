"""What a fitted duration is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.distributions import Distribution


@dataclass(frozen=True, eq=False)
class DurationFit:
    """A fitted duration of one contact type.

    Attributes
    ----------
    distribution : Distribution
    candidates : DataFrame
        ``kind, aic, ks, mean_s, chosen``; of a handle time also ``parameters, heldout, behind, behind_error`` (mean
        log-likelihood of a contact on days held out, and how far behind the best with its standard error), of patience
        ``mean_plausible``.
    estimates : tuple of Estimate
    data : ndarray
        Durations in seconds; for patience the waits.
    observed : ndarray of bool or None
        Whether the end was seen: a wait that ended in abandonment, a contact that was completed. None: all were.
    short_below_s : float
        Of a handle time: seconds below which a contact is more likely an artefact than a contact; 0 where none were found.
    by_interval : DataFrame or None
        Of a handle time that varies over the day and a scenario that can hold it: ``slot, n, mean_s, factor, error``.
    notes : tuple of str
        What a reader must know, in plain sentences.
    """

    distribution: Distribution
    candidates: pd.DataFrame
    estimates: tuple[Estimate, ...]
    data: np.ndarray
    observed: np.ndarray | None = None
    short_below_s: float = 0.0
    by_interval: pd.DataFrame | None = None
    notes: tuple[str, ...] = field(default=())

    def spec(self) -> Any:
        """Return the law as a scenario writes it: one, or one for each interval of the day."""
        if self.by_interval is None:
            return self.distribution.to_spec()
        return [self.distribution.scaled(float(f)).to_spec() for f in self.by_interval["factor"]]
