"""What a history really had, on a scenario's grid: the contacts that came, by type and interval."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

if TYPE_CHECKING:
    from bposim.scenario import Scenario


def observed_volumes(contacts: pd.DataFrame, scenario: Scenario) -> tuple[pd.DataFrame, np.ndarray]:
    """Count contacts by type and interval of a scenario.

    Returns
    -------
    volumes : DataFrame
        ``contact_type, interval_start, contacts`` for every type and open interval.
    inside : ndarray of bool, shape (n_contacts,)
        Which contacts came in open hours and are of a type that the scenario knows.
    """
    grid = scenario.grid
    at = pd.DatetimeIndex(contacts["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    start_ms = pd.DatetimeIndex(grid.starts).tz_convert("UTC").as_unit("ms").asi8
    length = grid.end_ms - grid.start_ms
    i = np.maximum(np.searchsorted(start_ms, at, side="right") - 1, 0)
    name = contacts["contact_type"].astype(str)
    inside = name.isin(list(scenario.contact_types)).to_numpy() & (at >= start_ms[i]) & (at < start_ms[i] + length[i])
    volumes = []
    for t in scenario.contact_types:
        count = np.bincount(i[inside & (name == t).to_numpy()], minlength=len(grid))
        volumes.append(
            pd.DataFrame({"contact_type": t, "interval_start": grid.starts, "contacts": count.astype(np.int64)})
        )
    return pd.concat(volumes, ignore_index=True), inside
