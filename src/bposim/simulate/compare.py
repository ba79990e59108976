"""Two simulations under the same luck: paired differences with confidence intervals."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, parameter
from bposim.metrics import BY, DEFAULT_METRICS
from bposim.metrics.intervals import pool_batches
from bposim.metrics.pooling import Ask, resolve
from bposim.metrics.summary import t_quantile, terms_of
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
    """Return second − first, the luck of each replication cancelled.

    Under one seed both met the same contacts. Each side is what ``summary()`` says of it: a ratio is pooled over the
    replications, counts first; a sum, a longest wait or a percentile is the mean of the replications' values.

    Returns
    -------
    DataFrame
        ``…by…, metric, first, second, difference, ci_low, ci_high, n``; n counts the independent pairs, those
        replications (or volume paths they share) in which both sides have a value.

    Raises
    ------
    ParameterError
        The two differ in seed or replications, or ``by`` is unknown.

    Notes
    -----
    With R = Σ N / Σ D on each side and e_k = (N_k − R D_k) / mean(D), the variance of the difference is
    Σ (e_k'' − e_k')² / (n (n − 1)), Student's quantile with n − 1 degrees of freedom: the delta method on pairs
    (Asmussen & Glynn 2007, III.3). Where D is 1, it is the interval of the mean paired difference (Law 2015,
    section 10.2.1). Replications that share a volume path are added up first: together they are one pair.
    """
    luck = [(r.seed, r.provenance.inputs["first_replication"], r.replications) for r in (first, second)]
    if luck[0] != luck[1]:
        said = " and ".join(f"seed {seed}, replications {begin} to {begin + n - 1}" for seed, begin, n in luck)
        raise ParameterError(f"compare() pairs replications: both must have the same seed and number. Got {said}.")
    stretches = [b for b in BY if b != "replication"]
    if by is not None and by not in stretches:
        raise ParameterError(parameter("by", "compare()", f"None or one of {', '.join(stretches)}", by))
    names = [metrics] if isinstance(metrics, str) else list(metrics or DEFAULT_METRICS)
    if by == "agent_group" and metrics is None:
        names = ["occupancy", "utilisation"]
    if by == "contact_type":
        names = [n for n in names if n not in ("occupancy", "utilisation")]
    keys = [by] if by else []
    asks = [resolve(first, n, within, None, None, False) for n in names]
    a, b = (_by_replication(r, asks, keys) for r in (first, second))
    both = a.merge(b, on=["replication", *keys, "metric"], suffixes=("_first", "_second"))
    rows = []
    both["batch"] = _pairs(first, second)[both["replication"].to_numpy(dtype=int)]
    for label, part in both.groupby([*keys, "metric"], sort=False, observed=True):
        named = dict(zip([*keys, "metric"], label, strict=True))
        rows.append(named | _difference(part, confidence))
    return pd.DataFrame(rows)


def _by_replication(runs: SimulationResult, asks: list[Ask], keys: list[str]) -> pd.DataFrame:
    """Return numerator and denominator of each metric by replication; the denominator of a plain value is 1."""
    counts = runs.counts([t for a in asks for t in (a.within_s, a.short_s) if t is not None])
    frames = []
    for ask in asks:
        if ask.metric.table == "waits":
            plain = runs.summary(by=["replication", *keys], metrics=ask.label)
            frames.append(plain.rename(columns={"value": "top"}).assign(bottom=1.0)[_columns(keys)])
            continue
        terms = terms_of(counts, ask, keys)
        bottom = np.ones_like(terms.top) if terms.bottom is None else terms.bottom
        r, n, k = terms.top.shape
        table: dict[str, Any] = {"replication": np.repeat(np.arange(r), n * k), "metric": ask.label}
        for key in keys:
            split = key in ("contact_type", "agent_group")
            values = pd.Index(terms.names, dtype=object) if split else terms.labels
            table[key] = values[np.tile(np.arange(k), r * n) if split else np.tile(np.repeat(np.arange(n), k), r)]
        table |= {"top": terms.top.reshape(-1), "bottom": bottom.reshape(-1)}
        frames.append(pd.DataFrame(table)[_columns(keys)])
    return pd.concat(frames, ignore_index=True)


def _columns(keys: list[str]) -> list[str]:
    return ["replication", *keys, "metric", "top", "bottom"]


def _pairs(first: SimulationResult, second: SimulationResult) -> np.ndarray:
    """Return the independent pair that each replication belongs to: the volume path, of the side with fewer of them."""
    return min((first.batch, second.batch), key=lambda batch: len(np.unique(batch)))


def _difference(part: pd.DataFrame, confidence: float) -> dict[str, float]:
    part = part.dropna(subset=["top_first", "bottom_first", "top_second", "bottom_second"])
    shared = part["batch"].to_numpy()
    n = len(np.unique(shared))
    ratios, errors = [], []
    for side in ("first", "second"):
        top, bottom = (pool_batches(part[f"{c}_{side}"].to_numpy(dtype=float), shared) for c in ("top", "bottom"))
        whole = bottom.sum()
        ratio = top.sum() / whole if whole > 0 else np.nan
        ratios.append(float(ratio))
        errors.append((top - ratio * bottom) * n / whole if whole > 0 else np.full(n, np.nan))
    difference, half = ratios[1] - ratios[0], np.nan
    if n > 1:
        rest = float(((errors[1] - errors[0]) ** 2).sum())
        half = float(t_quantile(confidence, np.array(n))) * np.sqrt(rest / (n * (n - 1)))
    return {
        "first": ratios[0], "second": ratios[1], "difference": difference, "ci_low": difference - half,
        "ci_high": difference + half, "n": n,
    }  # fmt: skip
