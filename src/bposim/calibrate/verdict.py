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
#: Share of intervals that must lie in their band, where there are so many and fewer are no chance.
COVERED, WINDOWS, CHANCE = 0.80, 20, 0.01
RULE = (
    "pass within 3 points (service level, occupancy), 1.5 points (abandonment) or 15 % (ASA) of the observed, with at least 80 % of "
    "the intervals in their band of 90 % and a band no wider than twice the limit to either side; fail beyond twice the limit "
    "and outside the band; otherwise weak"
)


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
    verdict, reason = judge_metric(metric, observed, simulated, low, high, coverage, n)
    return {"metric": label, "observed": observed, "simulated": simulated, "low": low, "high": high,
            "error": simulated - observed, "inside": bool(low <= observed <= high), "coverage": coverage, "verdict": verdict,
            "reason": reason}  # fmt: skip


def judge_metric(
    metric: str, observed: float, simulated: float, low: float, high: float, coverage: float = np.nan, n: int = 0
) -> tuple[str, str]:
    """Return the verdict on a metric and its reason.

    Parameters
    ----------
    metric : str
    observed, simulated, low, high : float
    coverage : float
        Share of intervals within their band, of ``n``; NaN where there are none.

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
    words = [_amount(metric, v) for v in (off, limit, UTMOST * limit, reach)]
    inside = low <= observed <= high
    if off > limit and not inside:
        verdict = "weak" if off <= UTMOST * limit else "fail"
        return verdict, f"{words[0]} off, beyond {words[1] if verdict == 'weak' else words[2]}, and outside the band"
    if reach > UTMOST * limit:
        return "weak", f"the band reaches {words[3]} to a side, beyond {words[2]}: too wide to prove anything"
    if off > limit:
        return "weak", f"{words[0]} off, beyond {words[1]}, though within the band: it may be chance"
    if n >= WINDOWS and coverage < COVERED and binom.cdf(round(coverage * n), n, BAND) < CHANCE:
        return "weak", f"only {100 * coverage:.0f} % of {n} intervals lie in their band of {100 * BAND:.0f} %"
    return "pass", f"{words[0]} off, within {words[1]}"


def _amount(metric: str, value: float) -> str:
    return f"{value:.1f} s" if metric == "asa" else f"{100 * value:.1f} points"


def judge(frame: pd.DataFrame) -> tuple[str, str]:
    """Return the verdict on all metrics, and its reason."""
    # Occupancy rests on heads that are inferred themselves: it may cast doubt, but cannot fail a test that service passes.
    verdicts = frame["verdict"].where(frame["metric"] != "occupancy", frame["verdict"].replace("fail", "weak"))
    verdict = "fail" if (verdicts == "fail").any() else "weak" if (verdicts == "weak").any() else "pass"
    if verdict == "pass":
        return verdict, "Every metric lies within its limit, in a band narrow enough to tell."
    off = [f"{r.metric}: {r.reason}" for r in frame[verdicts != "pass"].itertuples()]
    return verdict, f"{'; '.join(off)}."
