"""Whether a back-test is passed: how far off, how wide the band, how often within it, and why in words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

#: Absolute errors up to which a metric passes: points of share, or a share of the value (ASA). Twice that is the utmost: an
#: error beyond it fails outside the band, and a band that reaches further to a side proves nothing.
LIMITS = {"service_level": 0.03, "abandonment": 0.015, "asa": 0.15, "occupancy": 0.03}
UTMOST = 2.0
#: Bands hold this share of the replications.
BAND = 0.90
#: Share of intervals that must lie in their band where it holds 90 %, if there are so many and fewer are no chance.
COVERED, WINDOWS, CHANCE = 0.80, 20, 0.01
#: Replications below which the coverage is not judged: their bands tell too little.
FEWEST = 10
RULE = (
    "A metric passes within 3 points (service level, occupancy), 1.5 points (abandonment) or 15 % (ASA) of the observed, if its band "
    "reaches no further than twice that to either side and at least 80 % of the intervals lie in their band of 90 % (judged from 20 "
    "intervals and 10 replications on; fewer do of few replications, whose bands are narrower). It fails beyond twice the limit and "
    "outside the band. Everything else is weak."
)


def expected_coverage(replications: int) -> float:
    """Return about which share of further draws lies between the 5 % and the 95 % quantile of so many replications.

    Notes
    -----
    A further draw of the same law lies below the k-th smallest of n with probability k / (n + 1). The quantile q, as it is
    interpolated, is the smallest number 1 + q (n - 1), so the band of 90 % holds 0.9 (n - 1) / (n + 1): exactly that of a uniform
    law, 2 points more of a normal law and 10 replications.

    Examples
    --------
    >>> [round(expected_coverage(n), 3) for n in (10, 20, 100, 1000)]
    [0.736, 0.814, 0.882, 0.898]
    """
    return BAND * (replications - 1) / (replications + 1)


def compare(
    label: str, metric: str, observed: float, spread: pd.Series, intervals: pd.DataFrame | None
) -> dict[str, Any]:
    """Return a row of the comparison.

    Parameters
    ----------
    label, metric : str
    observed : float
    spread : Series
        The metric of every replication.
    intervals : DataFrame or None
        ``observed, inside`` of the intervals, where they have bands.
    """
    simulated = float(spread.mean())
    low, high = (float(v) for v in spread.quantile([(1 - BAND) / 2, (1 + BAND) / 2]))
    seen = intervals[intervals["observed"].notna()] if intervals is not None else None
    n = len(seen) if seen is not None else 0
    coverage = float(seen["inside"].mean()) if seen is not None and n else np.nan
    verdict, reason = judge_metric(metric, observed, simulated, low, high, coverage, n, len(spread))
    return {"metric": label, "observed": observed, "simulated": simulated, "low": low, "high": high,
            "error": simulated - observed, "inside": bool(low <= observed <= high), "coverage": coverage, "verdict": verdict,
            "reason": reason}  # fmt: skip


def judge_metric(
    metric: str,
    observed: float,
    simulated: float,
    low: float,
    high: float,
    coverage: float = np.nan,
    n: int = 0,
    replications: int = 100,
) -> tuple[str, str]:
    """Return the verdict on a metric and its reason.

    Parameters
    ----------
    metric : str
    observed, simulated, low, high : float
    coverage : float
        Share of intervals within their band, of ``n``; NaN where there are none.
    n : int
    replications : int
        Number from which the bands were made: those of few are narrower than 90 % (:func:`expected_coverage`).

    Examples
    --------
    >>> judge_metric("service_level", 0.80, 0.81, 0.79, 0.83)
    ('pass', '1.0 points off, within 3.0 points')
    >>> judge_metric("service_level", 0.80, 0.81, 0.60, 0.99)[1]
    'the band reaches 21.0 points to a side, beyond 6.0 points: too wide to prove anything'
    """
    if not np.isfinite([observed, simulated]).all():
        return "weak", "not known on one of the sides"
    limit = LIMITS[metric] * (observed if metric == "asa" and observed > 0 else 1.0)
    off, reach = abs(simulated - observed), max(simulated - low, high - simulated)
    inside = low <= observed <= high
    if off > limit and not inside:
        verdict = "weak" if off <= UTMOST * limit else "fail"
        mine, utmost = _apart(metric, off, limit if verdict == "weak" else UTMOST * limit)
        return verdict, f"{mine} off, beyond {utmost}, and outside the band"
    if reach > UTMOST * limit:
        mine, utmost = _apart(metric, reach, UTMOST * limit)
        return "weak", f"the band reaches {mine} to a side, beyond {utmost}: too wide to prove anything"
    if off > limit:
        mine, utmost = _apart(metric, off, limit)
        return "weak", f"{mine} off, beyond {utmost}, though within the band: it may be chance"
    due = expected_coverage(replications)
    said = f"{_amount(metric, off)} off, within {_amount(metric, limit)}"
    if n < WINDOWS:
        return "pass", said
    if replications < FEWEST:
        return "pass", f"{said} (too few replications to judge the bands of the intervals: {FEWEST} are needed)"
    if coverage < due * COVERED / BAND and binom.cdf(round(coverage * n), n, due) < CHANCE:
        return "weak", (
            f"only {100 * coverage:.0f} % of {n} intervals lie in their band, which should hold {100 * due:.0f} % with "
            f"{replications} replications"
        )
    return "pass", said


def _amount(metric: str, value: float, digits: int = 1) -> str:
    return f"{value:.{digits}f} s" if metric == "asa" else f"{100 * value:.{digits}f} points"


def _apart(metric: str, value: float, limit: float) -> tuple[str, str]:
    """Write a value and the limit that it exceeds with as many digits as tell them apart."""
    for digits in range(1, 6):
        words = _amount(metric, value, digits), _amount(metric, limit, digits)
        if words[0] != words[1]:
            break
    return words


def judge(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the verdict on all metrics, and its reason."""
    # Occupancy rests on heads that are inferred themselves: it may cast doubt, but cannot fail a test that service passes.
    verdicts = frame["verdict"].where(frame["metric"] != "occupancy", frame["verdict"].replace("fail", "weak"))
    verdict = "fail" if (verdicts == "fail").any() else "weak" if (verdicts == "weak").any() else "pass"
    if verdict == "pass":
        return verdict, "Every metric lies within its limit, in a band narrow enough to tell."
    off = [f"{r.metric}: {r.reason}" for r in frame[verdicts != "pass"].itertuples()]
    return verdict, f"{'; '.join(off)}."
