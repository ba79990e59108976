"""Where a clause invites gaming: contacts past the threshold, hours off the peak, windows that are settled before they end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd

from bposim.metrics.pooling import codes_of
from bposim.simulate import SimulationResult
from bposim.targets.assess_contract import ContractAssessment, kept_months
from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.relieved import relieved_windows
from bposim.targets.settle import settle

#: Metrics that look at those past the threshold.
TAILS = (
    "mean_excess",
    "max_wait",
    "wait_p95",
    "asa",
    "mean_wait",
    "abandonment",
    "abandonment_net",
    "abandonment_excl_short",
)
#: Shares of the heads taken from the busiest third of the intervals.
CUTS = (0.05, 0.10, 0.15, 0.20, 0.25, 0.30, 0.40, 0.50)
#: A window counts as settled early when its outcome is certain after this share of its days.
EARLY = 0.75


def find_gaming(deal: ContractAssessment) -> pd.DataFrame:
    """Tell where the clauses of an assessed contract pay for something that nobody wanted.

    Returns
    -------
    DataFrame
        ``clause, kind, figure, sentence``. Kinds: ``late contacts`` (seconds that those past the threshold wait on, on average, where
        no clause looks at them), ``off-peak`` (share of the heads that can be taken from the busiest third of the intervals), ``settled
        early`` (share of the windows whose outcome is certain after three quarters of their days).
    """
    rows: list[tuple[str, str, float, str]] = []
    for name, clause in deal.contract.clauses.items():
        if clause.audited or clause.definition.table != "contacts":
            continue
        for found in (_late(deal, name, clause), _off_peak(deal, name, clause), _early(deal, name, clause)):
            if found is not None:
                rows.append((name, *found))
    return pd.DataFrame(rows, columns=["clause", "kind", "figure", "sentence"])


Found = tuple[str, float, str] | None


def _types(runs: SimulationResult, clause: Clause) -> list[int]:
    counts = runs.counts()
    return [counts.types.index(t) for t in clause.scope.contact_types] or list(range(len(counts.types)))


def _late(deal: ContractAssessment, name: str, clause: Clause) -> Found:
    """Contacts past the threshold, where no other clause looks at them."""
    if clause.metric != "service_level" or clause.within is None:
        return None
    for other, c in deal.contract.clauses.items():
        longer = c.metric == "service_level" and (c.within or 0) >= 2 * clause.within
        if other != name and (c.metric in TAILS or longer):
            return None
    counts = deal.runs.counts([clause.within])
    types = _types(deal.runs, clause)
    tag = f"{clause.within:g}"
    answered, abandoned, excess, lost = (
        float(np.asarray(counts.column(c), dtype=float)[:, :, types].sum())
        for c in (f"answered_within_s{tag}", f"abandoned_within_s{tag}", f"excess_sum_s{tag}", "abandoned")
    )
    total = float(np.asarray(counts.column("answered"), dtype=float)[:, :, types].sum()) + lost
    late = total - answered - abandoned
    if not late > 0 or not total > 0:
        return None
    return ("late contacts", excess / late, f"{name}: once a contact has waited {tag} s nothing more is lost by letting it wait. {100 * late / total:.1f} % pass "
            f"{tag} s and stay {excess / late:.0f} s longer on average, and no clause looks at them: add a limit on the mean excess or the "
            "95th percentile.")  # fmt: skip


def _off_peak(deal: ContractAssessment, name: str, clause: Clause) -> Found:
    """How many heads can be taken from the busiest third of the intervals while the window keeps its promise."""
    if clause.settled_window == "interval" or clause.aggregation == "share_of_intervals":
        return None
    row = deal.clauses.set_index("clause").loc[name]
    if not row["probability"] >= deal.confidence:
        return None
    if any(body.agents for body in deal.runs.scenario.agent_groups.values()):
        return None
    runs, types = deal.runs, _types(deal.runs, clause)
    load = np.asarray(runs.counts().column("offered"), dtype=float)[:, :, types].sum(axis=(0, 2))
    busy = load >= np.quantile(load, 2 / 3)
    before, best = _value_at(runs, deal.contract, clause, name, busy), None
    forecast = deal.runs.expected
    for wanted in CUTS:
        staffing, cut = _cut(runs, busy, wanted)
        if cut <= (0.0 if best is None else best[0]):  # whole heads: a small group may lose none
            continue
        fewer = runs.restaffed(staffing)
        ledger = settle(deal.contract, fewer, forecast=forecast)
        kept = kept_months(clause, ledger.judged[name], len(ledger.months))
        if kept.mean() < deal.confidence:
            break
        best = (cut, float(kept.mean()), _value_at(fewer, deal.contract, clause, name, busy))
    if best is None:
        return None
    cut, p, after = best
    scale, unit = (100, " %") if clause.share else (1, "")
    return ("off-peak", cut, f"{name}: the {clause.settled_window} as a whole is promised, not its peaks. With {100 * cut:.0f} % fewer heads in the busiest third "
            f"of the intervals it is still kept with probability {p:.2f}, while they go from {scale * before:.1f} to {scale * after:.1f}{unit}: add a "
            "share of intervals that must pass.")  # fmt: skip


def _cut(runs: SimulationResult, busy: np.ndarray, cut: float) -> tuple[pd.DataFrame, float]:
    """Return a staffing with fewer whole heads in some intervals, and the share of their heads that it really takes."""
    frame = runs.scenario.staffing_frame().copy()
    starts = pd.DatetimeIndex(runs.counts().starts)[busy]
    place = pd.DatetimeIndex(frame["interval_start"]).isin(starts)
    before = frame["heads"].astype(float)
    frame["heads"] = before.where(~place, np.minimum(before, np.round(before * (1 - cut))))
    return frame, float(1 - frame.loc[place, "heads"].sum() / before[place].sum())


def _value_at(runs: SimulationResult, contract: Contract, clause: Clause, name: str, where: np.ndarray) -> float:
    """Return a ratio pooled over some intervals of all replications."""
    whole = clause.model_copy(
        update={"relief": (), "window": "interval", "aggregation": "pooled", "hours": None, "minimum_sample": 0}
    )
    bare = contract.model_copy(update={"clauses": {name: whole}})
    table = relieved_windows(runs, bare, name, None)
    starts = pd.DatetimeIndex(runs.counts().starts)[where]
    inside = table[pd.DatetimeIndex(table["window_start"]).isin(starts)]
    return float((inside["value"] * inside["sample"]).sum() / inside["sample"].sum())


def _early(deal: ContractAssessment, name: str, clause: Clause) -> Found:
    """Share of windows whose outcome is certain before they end."""
    if clause.settled_window not in ("week", "month", "quarter", "all") or not clause.share or clause.counts_stretches:
        return None
    per_day = clause.model_copy(update={"relief": (), "window": "day", "minimum_sample": 0})
    bare = deal.contract.model_copy(update={"clauses": {name: per_day}})
    table = relieved_windows(deal.runs, bare, name, None)
    days = pd.DatetimeIndex(sorted(table["window_start"].unique()))
    codes = codes_of(days, clause.settled_window)[1]
    wide: Any = table.assign(top=table["value"] * table["sample"]).pivot(
        index="replication", columns="window_start", values=["top", "sample"]
    )
    top, sample = (wide[c].reindex(columns=days).fillna(0.0).to_numpy() for c in ("top", "sample"))
    settled = windows = lost = 0
    level = clause.levels.expected.value
    for k in np.unique(codes):
        inside = np.flatnonzero(codes == k)
        if len(inside) < 4:
            continue
        first = inside[: int(np.ceil(EARLY * len(inside)))]
        total = sample[:, inside].sum(axis=1)
        good, rest = top[:, first].sum(axis=1), total - sample[:, first].sum(axis=1)
        least, most = good / total, (good + rest) / total
        won, gone = (least >= level, most < level) if clause.higher else (most <= level, least > level)
        settled, lost, windows = settled + int((won | gone).sum()), lost + int(gone.sum()), windows + len(total)
    if not windows or not settled:
        return None
    return ("settled early", settled / windows, f"{name}: in {100 * settled / windows:.0f} % of the windows the outcome is certain after three quarters of their "
            f"days ({100 * lost / windows:.0f} % lost already), and service in the rest moves nothing: shorten the window, or pay by steps.")  # fmt: skip
