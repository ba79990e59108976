"""Does a long queue deter? Leaving early against the queue that a contact met."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from bposim.calibrate.estimates import Estimate
from bposim.calibrate.short_abandons import WITHIN_S
from bposim.distributions import Distribution, kaplan_meier, piecewise_hazard

#: Seconds of waiting within which the queue that was met is taken to be the reason for leaving.
EARLY_S = 60.0
#: Queues met, first of each class; the last is open.
CLASSES = (0, 1, 2, 3, 4, 6, 9, 13, 20, 30, 50)
#: Contacts that must have met a class's queue, and early leavers among them.
FEWEST, FEWEST_LEFT = 150, 10
#: Share of the contacts that met the shortest queues: with them the others are compared.
SHORT = 0.2
#: Risk of a queue that deters where none does, and the least rise of the probability that is told as a step.
RISK = 0.001
SMALLEST = 0.02
#: Standard errors beyond which a share of contacts that the scenario moves is told.
CLEARLY = 3.0
_BREAKS = (0, 5, 10, 15, 20, 30, 40, 50, 60, 75, 90, 120, 150, 180, 240, 300, 480, 720, 1200)
_PER_PIECE = 20


def queue_met(arrived_ms: np.ndarray, left_ms: np.ndarray, waited: np.ndarray) -> np.ndarray:
    """Return how many contacts waited when each arrived, shape (n,).

    Parameters
    ----------
    arrived_ms, left_ms : ndarray of int64
        Arrival in the queue, and answer or hang-up.
    waited : ndarray of bool
        Which contacts were in the queue at all.
    """
    came, went = np.sort(arrived_ms[waited]), np.sort(left_ms[waited])
    return np.searchsorted(came, arrived_ms, side="left") - np.searchsorted(went, arrived_ms, side="right")


@dataclass(frozen=True, eq=False)
class BalkingFit:
    """How a queue deters.

    Attributes
    ----------
    steps : tuple of (int, float)
        Queue met, and probability of not staying; empty where no queue deters.
    patience : Distribution or None
        Of those who stay; None where no queue deters: patience is then what it was.
    table : DataFrame
        ``queue, contacts, left, balks, ci_low, ci_high``: those who met such a queue, who of them left early, and the
        share that left because of it.
    estimates : tuple of Estimate
    moved : mapping of seconds to (float, float)
        Share of the contacts that the queue deters, but that hung up later than so many seconds, and its standard error: in the
        scenario they leave at once, so that counting rules with short abandons take them for short.
    """

    steps: tuple[tuple[int, float], ...]
    patience: Distribution | None
    table: pd.DataFrame
    estimates: tuple[Estimate, ...]
    moved: Mapping[int, tuple[float, float]] = field(default_factory=dict)

    def note(self, name: str) -> str:
        """Say in sentences what the scenario holds, and what that does to counting rules with short abandons."""
        said = f"{name!r} leaves early the more the more wait: the scenario holds that as balking, and the patience of the others."
        sizes = [
            f"{100 * share:.1f} % of all contacts for a limit of {s} s"
            for s, (share, error) in self.moved.items()
            if share > CLEARLY * error
        ]
        if not sizes:
            return said
        return (
            f"{said} It lets them go at once, where the log has them hang up within a minute: excl_short leaves out, and credit_short "
            f"credits, {' and '.join(sizes)} more than in the log. Judge such a target with that allowance."
        )

    def spec(self) -> list[dict[str, Any]]:
        """Return the steps in a scenario's words."""
        return [{"queue": q, "probability": p} for q, p in self.steps]


def fit_balking(waits: np.ndarray, left: np.ndarray, queue: np.ndarray, name: str) -> BalkingFit:
    """Tell whether contacts leave early the more the longer the queue is that they meet.

    Parameters
    ----------
    waits : ndarray of float, shape (n,)
        Seconds waited by contacts that could not be served at once.
    left : ndarray of bool, shape (n,)
        Whether a contact hung up.
    queue : ndarray of int, shape (n,)
        Contacts that waited when it came.
    name : str
        Contact type.

    Notes
    -----
    S_q(60 s) is the share, by Kaplan and Meier, that is still patient after a minute of those who met a queue of q. Against
    those who met the shortest queues, 1 − S_q / S_0 are those whom the queue deterred: in the scenario they balk at once.
    Early hazards of those who stay come from the contacts that met the shortest queues, later ones from all. Tested
    by the trend of early leaving over log(1 + q) among those who still wait (score test of Cox's regression).
    """
    spans = np.minimum(waits, EARLY_S)
    gone = left & (waits <= EARLY_S)
    none = BalkingFit((), None, pd.DataFrame(columns=["queue", "contacts", "left", "balks", "ci_low", "ci_high"]), ())
    if len(waits) < 2 * FEWEST or gone.sum() < 3 * FEWEST_LEFT:
        return none
    p = _trend(spans, gone, queue)
    classes = _classes(queue, gone)
    if p > RISK or len(classes) < 2:
        return none
    rows, base = [], None
    late: dict[int, list[tuple[float, float]]] = {s: [] for s in WITHIN_S}
    for low, high in classes:
        here = (queue >= low) & (queue < high)
        stay, error = _stay(waits[here], left[here])
        if base is None:
            base = (stay, error, here)
        share = 1 - stay / base[0]
        for s, rest in late.items():
            early, own = _stay(waits[here], left[here], s)
            rest.append((early, float(np.sqrt(max(error**2 - own**2, 0.0)))))
        half = 1.96 * stay / base[0] * np.hypot(error, base[1]) if low > classes[0][0] else 0.0
        rows.append((low, int(here.sum()), int(gone[here].sum()), share, share - half, share + half))
    table = pd.DataFrame(rows, columns=none.table.columns)
    steps: list[tuple[int, float]] = []
    rising = _isotonic(table["balks"].to_numpy(), table["contacts"].to_numpy(dtype=float))
    for q, share in zip(table["queue"], rising, strict=True):
        if share > (steps[-1][1] if steps else 0.0) + SMALLEST:
            steps.append((int(q), round(float(share), 4)))
    if not steps:
        return none
    assert base is not None
    law = _patience(waits, left, base[2])
    how = "leaves within a minute because so many wait; in the scenario at once"
    told = table[table["queue"] > classes[0][0]]
    shares = told[["balks", "ci_low", "ci_high"]].clip(0.0, 1.0)
    estimates = [
        Estimate(
            "balking",
            f"{name}, {int(r.queue)} waiting",
            s.balks,
            s.ci_low,
            s.ci_high,
            int(r.contacts),
            "share",
            "estimated",
            how,
        )
        for r, s in zip(told.itertuples(), shares.itertuples(), strict=True)
    ]
    # What the scenario holds, less those whom the queue had driven away by the limit.
    held = np.array([max((p for q, p in steps if q <= low), default=0.0) for low in table["queue"]])
    met = table["contacts"].to_numpy(dtype=float) / len(waits)
    moved = {}
    for s, rest in late.items():
        stays, error_of = (np.array(v) for v in zip(*rest, strict=True))
        share = max(float((met * (held - 1 + stays / stays[0])).sum()), 0.0)
        # What is left of the minute is as uncertain as the leaving in it, of each class and of the shortest queues in common.
        weight = met * (1 - table["balks"].to_numpy())
        common = float(weight[1:].sum()) * error_of[0]
        moved[s] = (share, float(np.hypot(np.sqrt(((weight * error_of)[1:] ** 2).sum()), common)))
    return BalkingFit(tuple(steps), law, table, tuple(estimates), moved)


def _trend(spans: np.ndarray, gone: np.ndarray, queue: np.ndarray) -> float:
    """Return the one-sided p of early leaving that rises with log(1 + queue met), whatever the hazard over the wait.

    At each leaving the leaver is held against all who still waited then (score test of Cox 1972), so that a hazard which rises
    within the minute is not taken for a queue that deters.
    """
    from scipy.special import ndtr

    order = np.argsort(spans, kind="stable")
    t, x, left = spans[order], np.log1p(queue[order]), gone[order]
    first = np.searchsorted(t, t[left], side="left")
    still = len(t) - first
    mean = np.append(np.cumsum(x[::-1])[::-1], 0.0)[first] / still
    square = np.append(np.cumsum((x**2)[::-1])[::-1], 0.0)[first] / still
    score = float((x[left] - mean).sum())
    spread = float(np.sqrt(np.maximum(square - mean**2, 0.0).sum()))
    return float(ndtr(-score / spread)) if spread > 0 else 1.0


def _classes(queue: np.ndarray, gone: np.ndarray) -> list[tuple[int, int]]:
    """Return the classes of queues as (from, to), joined upwards until each holds enough."""
    found: list[tuple[int, int]] = []
    begin = CLASSES[0]
    for end in (*CLASSES[1:], 1 << 40):
        here = (queue >= begin) & (queue < end)
        enough = here.sum() >= FEWEST and gone[here].sum() >= FEWEST_LEFT
        if enough and (found or here.mean() >= SHORT):
            found.append((begin, end))
            begin = end
    if found:
        found[-1] = (found[-1][0], 1 << 40)
    return found


def _stay(waits: np.ndarray, left: np.ndarray, after_s: float = EARLY_S) -> tuple[float, float]:
    """Return the share still patient after so long and the standard error of its logarithm (Greenwood)."""
    km = kaplan_meier(waits, left)
    early = km[km["time"] <= after_s]
    if early.empty:
        return 1.0, 0.0
    events, risk = early["events"].to_numpy(), early["at_risk"].to_numpy()
    error = float(np.sqrt((events / np.maximum(risk * (risk - events), 1)).sum()))
    return float(early["survival"].iloc[-1]), error


def _isotonic(values: np.ndarray, weight: np.ndarray) -> np.ndarray:
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values, weights=weight).x)


def _patience(waits: np.ndarray, left: np.ndarray, short: np.ndarray) -> Distribution:
    """Return a piecewise hazard: the early pieces from those who met short queues, the later ones from all."""
    breaks, rates = [0.0], list[float]()
    for end in (*_BREAKS[1:], np.inf):
        use = short if breaks[-1] < EARLY_S else np.ones(len(waits), dtype=bool)
        begin = breaks[-1]
        exposure = (np.clip(waits[use], begin, end) - begin).sum()
        count = int((left[use] & (waits[use] > begin) & (waits[use] <= end)).sum())
        if count < _PER_PIECE and end != EARLY_S and np.isfinite(end):
            continue
        if exposure <= 0 or (not np.isfinite(end) and count < _PER_PIECE and rates):
            break
        rates.append(max(count / exposure, 1e-9))
        if np.isfinite(end):
            breaks.append(float(end))
    return piecewise_hazard(breaks[: len(rates)], rates)


def fit_queues(contacts: pd.DataFrame, types: Sequence[str], fewest: int) -> dict[str, BalkingFit]:
    """Return, for each live contact type, how the queue that its contacts meet deters; types without an answer are left out.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    types : sequence of str
        Contact types that wait in a queue.
    fewest : int
        Abandonments below which a type is told by all types together.
    """
    name = contacts["contact_type"].astype(str).to_numpy()
    wait = contacts["wait_s"].to_numpy(dtype=float, na_value=np.nan)
    left = (contacts["outcome"] == "abandoned").to_numpy()
    settled = (
        contacts["outcome"].isin(["answered", "abandoned"]).to_numpy() & np.isfinite(wait) & np.isin(name, list(types))
    )
    queued = settled & ((wait > 0) | left)
    came = pd.DatetimeIndex(contacts["arrived"]).tz_convert("UTC").as_unit("ms").asi8
    gone = came + np.round(np.nan_to_num(wait) * 1000).astype(np.int64)
    met = queue_met(came, gone, settled & (wait > 0))
    found = {}
    for t in types:
        own = queued & (name == t)
        use = own if int((left & own).sum()) >= fewest else queued
        fit = fit_balking(wait[use], left[use], met[use], t)
        if fit.steps:
            # Told of all contacts of the type, those served at once among them.
            waiting = own.sum() / max((name == t).sum(), 1)
            found[t] = replace(fit, moved={s: (v * waiting, e * waiting) for s, (v, e) in fit.moved.items()})
    return found


def balking_changes(found: Mapping[str, BalkingFit]) -> dict[str, Any]:
    """Return what the fits change in a scenario."""
    changes: dict[str, Any] = {}
    for t, fit in found.items():
        assert fit.patience is not None
        changes |= {f"contact_types.{t}.balking": fit.spec(), f"contact_types.{t}.balking_queue": "all",
                    f"contact_types.{t}.patience": fit.patience.to_spec()}  # fmt: skip
    return changes
