"""What a history's data can carry: each step with a score, a verdict and what would mend it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bposim.history.hours import weekday_of

if TYPE_CHECKING:
    from bposim.history.core import History
    from bposim.history.quality import Finding

#: Scores from which a step is ready, and weak.
READY, WEAK = 80, 40
#: Points that a warning costs each step it bends: the first with each, the second for each percent of rows (days) it
#: concerns; the most for one warning. Warnings make a step weak at worst.
EACH, PER_SHARE, PER_WARNING = 1.0, 2.0, 15.0
#: Points for each percent of rows that were set aside as errors, and the most.
PER_PERCENT, ALL_PERCENT = 4, 40
#: A type with less than this share of the contacts does not decide.
RARE = 0.02
_DAYS_OF = {"weeks": 7.0, "months": 365.25 / 12}
#: Rule → the steps it bends.
_BENDS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("missing_days", "outage_day", "outlier_day", "repeated_day", "zone_slip", "zone_shift", "level_shift",
                     "truncated_day", "count_mismatch", "duplicate_row", "transfers_counted"),
                    ("day volumes", "interval volumes", "yearly season", "arrivals")),
    **dict.fromkeys(("unit_slip", "unit_shift", "long_handle", "zero_handle", "zero_aht", "extreme_aht", "censored_edge",
                     "transfers_counted"), ("handle time",)),
    **dict.fromkeys(("unknown_wait", "outcome_assumed", "clock_disagrees", "censored_edge"), ("patience",)),
    **dict.fromkeys(("agent_overlap", "over_occupied"), ("heads on duty",)),
    "negative_menu": ("targets by window",),
}  # fmt: skip


@dataclass(frozen=True)
class Need:
    """A number that a step needs: what there is, from where on the step is weak and ready, and what would mend it."""

    have: float
    weak: float
    ready: float
    what: str
    mend: str

    @property
    def score(self) -> float:
        """Return 0 to 100: 40 where the step becomes weak, 80 where it is ready, 100 at twice that."""
        marks = np.array([0.0, self.weak, self.ready, 2 * self.ready])
        return float(np.interp(self.have, marks, [0.0, WEAK, READY, 100.0]))

    def sentence(self) -> str:
        """Say what there is and what is asked for."""
        unit = self.what.split()[0]
        ready = f"{self.ready:,.4g} {unit}" if unit in _DAYS_OF else f"{self.ready:,.4g}"
        return f"{_amount(self.have, self.what)}, {ready} make it ready: {self.mend}"


def _amount(have: float, what: str) -> str:
    """Write an amount as a planner would: weeks and months of which there are few as days, no long fractions."""
    each = _DAYS_OF.get(what.split()[0])
    if each is not None and have < 2:
        days = round(have * each)
        return f"{days} day{'s' * (days != 1)}"
    if have < 10 and have % 1:
        return f"{have:.1f} {what}"
    return f"{have:,.0f} {what}"


@dataclass(frozen=True)
class Lack:
    """Something that is not there at all: the step cannot be done, or only from what stands in for it (weak)."""

    says: str
    score: float = 0.0

    def sentence(self) -> str:
        """Say what is missing and what would mend it."""
        return self.says


#: The step that plays days held out; a forecast's own back-test needs what the forecast needs.
SIMULATED = "back-test of the simulation"


def readiness(history: History) -> pd.DataFrame:
    """Return ``step, verdict, score, reason`` of every step.

    A step's score is that of its scarcest need, less points for warnings and rows set aside that bend it.
    """
    facts = _Facts(history)
    needs = _needs(history, facts)
    bare = {step: _score(history, step, needs[step]) for step in needs}
    rest = {
        "staffing": ("arrivals", "handle time", "patience"),
        SIMULATED: ("arrivals", "handle time", "patience", "heads on duty", "targets by window"),
    }
    for step, parts in rest.items():
        worst = min(parts, key=lambda p: bare[p][0])
        own = [Need(facts.weeks, 4, 8, "weeks", "export more, two of them to be held out")] if step == SIMULATED else []
        score, reason = min(
            [(bare[worst][0], f"{worst} first: {bare[worst][1]}"), *((n.score, n.sentence()) for n in own)]
        )
        bare[step] = (score, reason)
    rows = [(step, _verdict(s), int(s), reason) for step, (s, reason) in bare.items()]
    return pd.DataFrame(rows, columns=["step", "verdict", "score", "reason"])


def _verdict(score: float) -> str:
    return "ready" if score >= READY else "weak" if score >= WEAK else "no"


def _score(history: History, step: str, needs: list[Need | Lack]) -> tuple[float, str]:
    worst = min(needs, key=lambda n: n.score)
    score, reason = worst.score, worst.sentence()
    if score >= READY:
        reason = "enough"
    report = history.quality
    bent = [f.rule for f in report.findings if f.severity == "warning" and step in _BENDS.get(f.rule, ())]
    errors = sum(f.count for f in report.findings if f.severity == "error" and f.done == "set aside")
    percent = 100 * errors / max(report.rows_read, 1)
    lost_rows = min(PER_PERCENT * percent, ALL_PERCENT)
    found = [f for f in report.findings if f.rule in bent and f.severity == "warning"]
    warned = sum(min(EACH + PER_SHARE * _percent(history, f), PER_WARNING) for f in found)
    score = max(score - lost_rows, 0.0)
    score = max(score - warned, min(score, WEAK))
    if found or lost_rows >= 1:
        why = [f"{', '.join(bent)} found: mend or accept"] if found else []
        why += [f"{percent:.1f} % of the rows are set aside as errors: correct the file"] if lost_rows >= 1 else []
        reason = "; ".join([*([reason] if reason != "enough" else []), *why])
    return score, reason


def _percent(history: History, found: Finding) -> float:
    """Return the percent of rows, or of days, that a finding concerns; all where it is about the whole."""
    if found.rule == "missing_days":
        return 100 * found.count / max(found.count + len(history._days), 1)
    return 100 * len(found.rows) / max(history.quality.rows_read, 1) if len(found.rows) else 100.0


class _Facts:
    """Numbers that several steps need."""

    def __init__(self, history: History) -> None:
        days = history._days
        self.weeks = len(days) and (int(days[-1]) - int(days[0]) + 1) / 7 * self._share(history)
        self.span = int(days[-1]) - int(days[0]) + 1
        self.days = len(days)
        open_days = [d for d, s in history.opening_hours.items() if s]
        each = np.bincount(weekday_of(days), minlength=7)
        self.per_weekday = int(min((each[d] for d in open_days), default=0))

    @staticmethod
    def _share(history: History) -> float:
        """Return the share of the open days within the range that are there."""
        return len(history._days) / max(len(history._days) + len(history.missing_days), 1)


def _needs(history: History, facts: _Facts) -> dict[str, list[Need | Lack]]:
    log = history._contacts
    longer = "export a longer stretch"
    weeks = Need(facts.weeks, 2, 8, "weeks of days", longer)
    a_weekday = Need(facts.per_weekday, 3, 8, "days of the scarcest open weekday", longer)
    cut = [] if history._slot_min < 1440 else [Lack("the file has days only: export intervals of 15 or 30 minutes")]
    made_up = history.quality.count("dates_invented")
    dates = [Lack("the file names no dates, so it has no weekdays and no seasons: export them")] if made_up else []
    return {
        "day volumes": [*dates, weeks],
        "interval volumes": [*dates, a_weekday, *cut],
        "yearly season": [*dates, Need(facts.span / 365.25 * 12, 12, 24, "months", longer)],
        "arrivals": [*dates, Need(facts.per_weekday, 3, 6, "days of the scarcest open weekday", longer), *cut],
        "handle time": _handle(history),
        "patience": _patience(history),
        "heads on duty": _heads(history),
        "targets by window": _windows(history),
        "redials": _named(log, "customer", "the file names no customers: export a customer code or hashed number"),
    }


def _outcome(log: pd.DataFrame, name: str) -> np.ndarray:
    return (log["outcome"] == name).to_numpy()


def _sum(history: History, column: str) -> float:
    frame = history._frame
    return float(np.nansum(frame[column].to_numpy(dtype=float, na_value=np.nan))) if column in frame else 0.0


def _main_types(history: History) -> tuple[list[str], str]:
    """Return the types that make up at least 2 % of the contacts each, and a word on the others.

    Those are judged: a rare type is thin in any file, and no longer export mends it.
    """
    share = pd.Series(np.nan_to_num(history._weight)).groupby(history._frame["contact_type"].to_numpy()).sum()
    share = share.reindex(list(history.contact_types), fill_value=0) / max(float(share.sum()), 1.0)
    rare = [str(k) for k in share.index[share < RARE]]
    if len(rare) == len(share):
        return list(history.contact_types), ""
    few = ", ".join(map(repr, rare[:3])) + (f" and {len(rare) - 3} more" if len(rare) > 3 else "")
    return [str(k) for k in share.index[share >= RARE]], f"; rare types, not judged: {few}" if rare else ""


def _handle(history: History) -> list[Need | Lack]:
    log = history._contacts
    main, thin = _main_types(history)
    mend = "map handle_s or the end of contacts, or export more of the scarcest type"
    if log is not None:
        known = log.loc[_outcome(log, "answered") & log["handle_s"].gt(0).to_numpy(), "contact_type"]
        if not len(known):
            return [Lack("no handle time in the log: map handle_s, or the times of answer and end")]
        counts = known.value_counts().reindex(main, fill_value=0)
        return [Need(float(counts.min()), 100, 500, f"handle times of {counts.idxmin()!r}", mend + thin)]
    if _sum(history, "handle_sum_s") <= 0:
        return [Lack("no handle time in the file: export the AHT or the sum of handle times, or a contact log")]
    frame = history._frame
    answered = frame.groupby("contact_type")["answered"].sum().astype(float).reindex(main)
    mean = "a report tells means but no distribution: export a contact log for its shape"
    return [Need(float(answered.min()), 100, 500, f"answered of {answered.idxmin()!r}", mend + thin), Lack(mean, 75)]


def _patience(history: History) -> list[Need | Lack]:
    log = history._contacts
    longer = "export a longer stretch, or busier weeks"
    if log is not None:
        gone = _outcome(log, "abandoned") & log["wait_s"].notna().to_numpy()
        if not _outcome(log, "abandoned").any():
            return [
                Lack(
                    "nobody abandons in this log: work that keeps has no patience; if callers hung up, export them too",
                    40,
                )
            ]
        main, thin = _main_types(history)
        counts = log.loc[gone, "contact_type"].value_counts().reindex(main, fill_value=0)
        what = f"abandonments of {counts.idxmin()!r} with a known wait"
        return [Need(float(counts.min()), 30, 200, what, longer + thin)]
    left = _sum(history, "abandoned")
    if left <= 0:
        return [Lack("the file tells no abandonments: export them with the waits, or a contact log")]
    waits = _sum(history, "wait_answered_sum_s") + _sum(history, "wait_sum_s")
    told: list[Need | Lack] = [Need(left, 30, 200, "abandonments", longer)]
    if waits <= 0:
        return [*told, Lack("the file tells no waits: export the speed of answer or a contact log", 20)]
    return [*told, Lack("a report tells one mean patience and no shape: export a contact log", 60)]


def _heads(history: History) -> list[Need | Lack]:
    log = history._contacts
    if log is not None:
        answered = _outcome(log, "answered")
        share = 100 * float(log["agent"].notna().to_numpy()[answered].mean()) if answered.any() else 0.0
        if share == 0:
            return [Lack("no contact names its agent: export the agent, or give the heads in the scenario")]
        return [
            Need(share, 60, 95, "% of answered contacts name an agent", "export the agent of every contact"),
            Need(float(log.loc[answered, "agent"].value_counts().median()), 20, 100, "contacts of the typical agent",
                 "export a longer stretch"),
        ]  # fmt: skip
    if _sum(history, "staffed_s") > 0:
        return [Lack("a report tells agent-seconds but not who worked when: export a contact log with agents", 85)]
    if _sum(history, "answered") > 0 and _sum(history, "wait_answered_sum_s") > 0:
        return [Lack("heads can only be inferred from waits: export staffed time, or a contact log with agents", 45)]
    return [Lack("the file tells nothing of the agents: export staffed time, or a contact log with agents")]


def _windows(history: History) -> list[Need | Lack]:
    frame = history._frame
    if history._contacts is not None:
        known = 100 * float(frame["wait_s"].notna().mean())
        return [Need(known, 80, 98, "% of contacts have a known wait", "map wait_s, or answered and ended")]
    if history.kind == "counts":
        return [Lack("counts tell nothing of waits: export answered, answered within T, and speed of answer")]
    if any(str(c).startswith("answered_within_s") for c in frame):
        return [Lack("only the thresholds of the report can be measured: a contact log gives every T", 90)]
    return [Lack("no service level in the report: export contacts answered within T seconds", 45)]


def _named(log: pd.DataFrame | None, column: str, missing: str) -> list[Need | Lack]:
    if log is None or column not in log or not log[column].notna().any():
        return [Lack(missing if log is not None else "counts per interval name no customers: export a contact log")]
    share = 100 * float(log[column].notna().mean())
    return [Need(share, 20, 80, "% of contacts name a customer", "export the customer of every contact")]
