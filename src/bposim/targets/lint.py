"""Faults of good practice that a contract can have without contradicting itself."""

from __future__ import annotations

import html
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from bposim.targets.clauses import Clause
from bposim.targets.contract import Contract
from bposim.targets.contract_rules import audits_a_window, intervals_a_month, volume_of
from bposim.targets.lint_terms import Said, of_pool, of_terms
from bposim.targets.terms import percent

#: Most targets that a contract should pay on.
MOST_TARGETS = 5
#: Contacts per interval below which noise decides whether an interval passes.
FEWEST_PER_INTERVAL = 20
#: Windows of a history below which nothing is said of capability.
FEWEST_WINDOWS = 8
#: What a metric is driven by: staff against load, the length of contacts, quality.
DRIVERS: dict[str, str] = {
    **dict.fromkeys(
        ("service_level", "asa", "mean_wait", "time_to_abandon", "abandonment", "abandonment_excl_short", "abandonment_net",
         "blocking", "mean_excess", "max_wait", "wait_p50", "wait_p95", "queue_mean", "turnaround", "turnaround_mean",
         "occupancy", "utilisation", "line_adherence"), "waiting"),
    **dict.fromkeys(("aht", "talk"), "handle time"),
    **dict.fromkeys(("accuracy", "compliance", "fcr", "csat"), "quality"),
}  # fmt: skip
_WAITING = tuple(
    m for m, d in DRIVERS.items() if d == "waiting" and m not in ("line_adherence", "occupancy", "utilisation")
)
#: Metrics that see what lies beyond the threshold of a service level.
_TAIL = (
    "asa",
    "mean_wait",
    "abandonment",
    "abandonment_excl_short",
    "abandonment_net",
    "mean_excess",
    "max_wait",
    "wait_p95",
)

#: Every fault that is looked for, and what it is.
FAULTS: dict[str, str] = {
    "abandons-undefined": "no definition of how abandoned contacts count",
    "window-absent": "no window",
    "too-many-targets": f"more than {MOST_TARGETS} targets",
    "no-quality": "no quality metric",
    "beyond-capability": "a target above what was shown in 95 of 100 windows",
    "interval-noise": f"a target by interval on fewer than {FEWEST_PER_INTERVAL} contacts an interval",
    "no-tail": "a share within a threshold and nothing on those beyond it",
    "handle-time-against-resolution": "handle time penalised together with first-contact resolution",
    "sample-absent": "a target on audits without their number",
    "small-sample": "a sample too small for the target",
    "credits-above-margin": "credits that can exceed the provider's margin, or have no cap",
    "one-driver": "all targets driven by the same thing",
    "ratchet-without-cap": "a ratchet without an end",
    "glide-off-target": "a glide path whose last step is another level than the expected one",
    "band-hole": "bands with a hole between them",
    "credit-above-allocation": "a credit above the whole allocation of its clause",
    "weights-below-pool": "weights that leave a part of the pool to nobody",
    "cap-below-risk": "a cap below what is at risk",
    "redundant-speed": "average speed of answer and service level both penalised",
    "no-corridor": "no volume or handle-time corridor",
    "no-missing-rule": "no rule for missing data",
}


@dataclass(frozen=True)
class Fault:
    """One fault: its id, where it stands, what is wrong, and the way out."""

    id: str
    where: str
    sentence: str
    way_out: str


@dataclass(frozen=True, repr=False)
class Lint:
    """Faults of a contract."""

    contract: str
    faults: tuple[Fault, ...]

    @property
    def ids(self) -> tuple[str, ...]:
        """Ids of the faults found, each once."""
        return tuple(dict.fromkeys(f.id for f in self.faults))

    @property
    def ok(self) -> bool:
        """Whether nothing was found."""
        return not self.faults

    @property
    def frame(self) -> pd.DataFrame:
        """``id, where, sentence, way_out``."""
        return pd.DataFrame([vars(f) for f in self.faults], columns=["id", "where", "sentence", "way_out"])

    def summary(self) -> pd.DataFrame:
        """Return the faults."""
        return self.frame

    def __repr__(self) -> str:
        if self.ok:
            return f"{self.contract}: no fault of good practice found."
        lines = [f"  {f.id} ({f.where}): {f.sentence} {f.way_out}" for f in self.faults]
        return "\n".join(
            [
                f"{self.contract}: {len(self.faults)} fault{'s' if len(self.faults) > 1 else ''} of good practice.",
                *lines,
            ]
        )

    def _repr_html_(self) -> str:
        return f"<p>{html.escape(self.contract)}: {len(self.faults)} faults</p>{self.frame.to_html(index=False)}"


def lint(contract: Contract, history: Any = None, margin: float | None = None) -> Lint:
    """Look for every fault of :data:`FAULTS`; those of capability need a history."""
    found: list[Fault] = []

    def add(fault: str, where: tuple[str | int, ...], sentence: str, way_out: str) -> None:
        found.append(Fault(fault, contract.where(where), sentence, way_out))

    paid = {n: c for n, c in contract.clauses.items() if c.has_credit or c.has_bonus}
    penalised = {n: c for n, c in contract.clauses.items() if c.has_credit}
    for name, clause in contract.clauses.items():
        for fault, sentence, way_out in _of_clause(contract, name, clause, penalised):
            add(fault, ("clauses", name), sentence, way_out)
    for fault, sentence, way_out in _of_set(contract, paid, penalised):
        add(fault, ("clauses",), sentence, way_out)
    for fault, sentence, way_out in _of_money(contract, penalised, contract.margin if margin is None else margin):
        add(fault, ("cap",), sentence, way_out)
    if history is not None:
        for name, fault, sentence, way_out in _of_history(contract, history):
            add(fault, ("clauses", name), sentence, way_out)
    order = {f: k for k, f in enumerate(FAULTS)}
    return Lint(contract.name, tuple(sorted(dict.fromkeys(found), key=lambda f: order[f.id])))


def _of_clause(contract: Contract, name: str, clause: Clause, penalised: dict[str, Clause]) -> Iterable[Said]:
    if clause.metric == "service_level" and clause.counting is None:
        yield ("abandons-undefined", f"Clause {name!r} does not say how abandoned contacts count; the rules differ by points.",
               "Write counting: offered (against the target), excl_short, …")  # fmt: skip
    if clause.window is None:
        yield (
            "window-absent",
            f"Clause {name!r} has no window; a day's promise is far dearer than a month's.",
            "Write window: month.",
        )
    if clause.missing is None:
        yield ("no-missing-rule", f"Clause {name!r} does not say what a window without data counts as.",
               "Write missing: exclude, miss or met.")  # fmt: skip
    if clause.ratchet is not None and clause.ratchet.up_to is None:
        yield ("ratchet-without-cap", f"Clause {name!r} tightens by {clause.ratchet.by} every {clause.ratchet.every} months without end.",
               "Write up_to:, the level at which it stops.")  # fmt: skip
    yield from of_terms(name, clause)
    per = _per_interval(contract, clause)
    if _by_interval(clause) and per is not None and per < FEWEST_PER_INTERVAL:
        yield (
            "interval-noise",
            f"Clause {name!r} judges intervals of about {per:.3g} contacts: chance decides which pass.",
            _NOISE,
        )
    if clause.metric in ("accuracy", "compliance") and clause.sample is None:
        yield (
            "sample-absent",
            f"Clause {name!r} does not say how many are audited; the same level is another promise with every sample.",
            "Write sample: {size: 400, per: month}; sampling_plan() finds it for two risks.",
        )
    sample = _sample(contract, clause)
    if sample is not None and clause.share and not clause.counts_stretches:
        told = _too_small(clause, sample)
        if told:
            yield "small-sample", f"Clause {name!r}: {told}", "Take a larger sample or a longer window."
    if name in penalised and clause.metric in _WAITING and not any(r.corridor for r in clause.relief):
        yield ("no-corridor", f"Clause {name!r} holds at any volume and handle time, which the provider does not decide.",
               "Add relief: [{volume: {by: day, above: 110%}}].")  # fmt: skip


_NOISE = "Judge a longer stretch: window month, aggregation pooled."


def _by_interval(clause: Clause) -> bool:
    return clause.settled_window == "interval" or clause.aggregation in ("share_of_intervals", "mean_of_intervals")


def _per_interval(contract: Contract, clause: Clause) -> float | None:
    volume, intervals = volume_of(contract, clause), intervals_a_month(contract)
    return None if volume is None or not intervals else volume / intervals


def _sample(contract: Contract, clause: Clause) -> float | None:
    """Return how many a window holds of what the metric is a share of, None where nothing tells."""
    per_month = {"interval": intervals_a_month(contract) or math.nan, "day": 30.4, "week": 4.35, "month": 1.0, "quarter": 1 / 3, "all": math.nan}  # fmt: skip
    divide = per_month[clause.settled_window]
    if math.isnan(divide):
        return None
    if clause.sample is not None:
        return audits_a_window(clause)
    volume = volume_of(contract, clause)
    return None if volume is None or _by_interval(clause) else volume / divide


def _too_small(clause: Clause, sample: float) -> str | None:
    """Say why a sample cannot carry a target: its 95 % interval is wider than what separates good from bad."""
    p = clause.levels.expected.value
    half = 1.96 * math.sqrt(max(p * (1 - p), 0.0) / sample)
    room = 1 - p if clause.higher else p
    least = clause.levels.minimum
    gap = min(room, abs(p - least.value)) if least is not None and least.value != p else room
    if gap <= 0 or half <= gap:
        return None
    need = math.ceil((1.96 / gap) ** 2 * p * (1 - p))
    return (f"on {sample:,.0f} a {clause.settled_window} a true {percent(p)} scatters by ± {percent(round(half, 3))}, more than the "
            f"{percent(round(gap, 4))} that count; it takes {need:,}.")  # fmt: skip


def _of_set(contract: Contract, paid: dict[str, Clause], penalised: dict[str, Clause]) -> Iterable[Said]:
    metrics = {c.metric for c in penalised.values()}
    if len(paid) > MOST_TARGETS:
        yield ("too-many-targets", f"{len(paid)} clauses are paid on: {', '.join(paid)}. More than {MOST_TARGETS} cannot be steered.",
               "Keep 3 to 5; report the others without money.")  # fmt: skip
    if not any(DRIVERS.get(c.metric) == "quality" for c in contract.clauses.values()):
        yield (
            "no-quality",
            "No clause is about quality: speed can be bought with it.",
            "Add accuracy, compliance, fcr or csat.",
        )
    for name, clause in penalised.items():
        if clause.metric == "service_level" and not _has_tail(contract, name, clause):
            yield ("no-tail", f"Clause {name!r} counts who is answered within {clause.within:g} s; who is past that may wait for ever.",
                   "Add abandonment, mean_excess or wait_p95, or a second share with a longer threshold.")  # fmt: skip
    speedy = [n for n, c in penalised.items() if c.metric in ("aht", "talk") and not c.higher]
    if speedy and "fcr" in metrics:
        yield ("handle-time-against-resolution", f"Clause {speedy[0]!r} penalises long contacts, and fcr unresolved ones: one is bought "
               "with the other.", "Report handle time without money.")  # fmt: skip
    drivers = {DRIVERS.get(m, m) for m in metrics}
    if len(penalised) > 1 and len(drivers) == 1:
        yield ("one-driver", f"All penalised clauses ({', '.join(penalised)}) are driven by {next(iter(drivers))}: one bad day is paid for "
               f"{len(penalised)} times.", "Spread them over speed, quality and compliance.")  # fmt: skip
    for a, clause in penalised.items():
        for b, other in penalised.items():
            if clause.metric == "asa" and other.metric == "service_level" and _overlap(clause, other):
                yield (
                    "redundant-speed",
                    f"Clauses {a!r} and {b!r} penalise the same waits twice.",
                    "Keep the service level; report the average.",
                )


def _overlap(a: Clause, b: Clause) -> bool:
    x, y = set(a.scope.contact_types), set(b.scope.contact_types)
    return not x or not y or bool(x & y)


def _has_tail(contract: Contract, name: str, clause: Clause) -> bool:
    for other_name, other in contract.clauses.items():
        if other_name == name or not _overlap(clause, other):
            continue
        longer = other.metric == "service_level" and (other.within or 0) >= 2 * (clause.within or 0)
        if other.metric in _TAIL or longer:
            return True
    return False


def _of_money(contract: Contract, penalised: dict[str, Clause], margin: float | None) -> Iterable[Said]:
    yield from of_pool(contract)
    if not penalised:
        return
    cap = contract.credit_cap
    if cap is None:
        yield (
            "credits-above-margin",
            "Credits have no cap: a bad month can cost more than the fee.",
            "Write cap: {share: 10%, per: month}.",
        )
    elif margin is not None and cap.share is not None and cap.share > margin:
        yield ("credits-above-margin", f"Credits reach {percent(cap.share)} of the fees, above the margin of {percent(margin)}.",
               f"Bring the cap down to {percent(margin)}, or price the risk.")  # fmt: skip


def _of_history(contract: Contract, history: Any) -> Iterable[tuple[str, str, str, str]]:
    from bposim.targets.settle import demonstrated

    for name, clause, values, per_interval in demonstrated(contract, history):
        if (
            per_interval is not None
            and _by_interval(clause)
            and per_interval < FEWEST_PER_INTERVAL
            and _per_interval(contract, clause) is None
        ):
            yield (
                name,
                "interval-noise",
                f"Clause {name!r} judges intervals of about {per_interval:.3g} contacts: chance decides which pass.",
                _NOISE,
            )
        if len(values) < FEWEST_WINDOWS:
            continue
        shown = float(np.quantile(values, 0.95 if clause.higher else 0.05))
        level = clause.levels.expected.value
        if level > shown if clause.higher else level < shown:
            best = percent(round(shown, 3)) if clause.share else f"{shown:,.4g}"
            yield (name, "beyond-capability", f"Clause {name!r} expects {clause.levels.expected}; of {len(values)} windows 95 in 100 were worse "
                   f"than {best}.", "Expect what was shown, and let it rise along a glide path.")  # fmt: skip
