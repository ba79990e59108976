"""Two simulations under the same luck: paired differences with confidence intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError
from bposim.metrics.summary import DEFAULT_METRICS, t_quantile
from bposim.simulate.result import SimulationResult


def compare(
    first: SimulationResult,
    second: SimulationResult,
    *,
    metrics: Any = None,
    by: str | None = None,
    within: Any = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """Return second − first, replication by replication.

    Under one seed both met the same contacts, so the luck cancels from the difference.

    Returns
    -------
    DataFrame
        ``…by…, metric, first, second, difference, ci_low, ci_high, n``.

    Raises
    ------
    ParameterError
        The two differ in seed or replications.

    Notes
    -----
    Student's interval of the mean paired difference (Law 2015, section 10.2.1).
    """
    luck = [(r.seed, r.provenance.inputs["first_replication"], r.replications) for r in (first, second)]
    if luck[0] != luck[1]:
        said = " and ".join(f"seed {seed}, replications {begin} to {begin + n - 1}" for seed, begin, n in luck)
        raise ParameterError(f"compare() pairs replications: both must have the same seed and number. Got {said}.")
    names = [metrics] if isinstance(metrics, str) else list(metrics or DEFAULT_METRICS)
    if by == "agent_group" and metrics is None:
        names = ["occupancy", "utilisation"]
    if by == "contact_type":
        names = [n for n in names if n not in ("occupancy", "utilisation")]
    keys = ["replication", *([by] if by else [])]
    a, b = (r.summary(by=keys, metrics=names, within=within) for r in (first, second))
    on = [*keys, "metric"]
    both = a.merge(b, on=on, suffixes=("_first", "_second"))
    rows = []
    for label, part in both.groupby([*([by] if by else []), "metric"], sort=False, observed=True):
        delta = (part["value_second"] - part["value_first"]).dropna().to_numpy()
        n = len(delta)
        mean = float(delta.mean()) if n else np.nan
        half = float(t_quantile(confidence, np.array(n)) * delta.std(ddof=1) / np.sqrt(n)) if n > 1 else np.nan
        rows.append(
            dict(zip([*([by] if by else []), "metric"], label if isinstance(label, tuple) else (label,), strict=True))
            | {"first": part["value_first"].mean(), "second": part["value_second"].mean(), "difference": mean,
               "ci_low": mean - half, "ci_high": mean + half, "n": n}
        )  # fmt: skip
    return pd.DataFrame(rows)
