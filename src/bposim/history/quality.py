"""What a reader found, and what it did about it: the ledger it keeps and the report it leaves."""

from __future__ import annotations

import difflib
import html
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.rules import RULES, SEVERITIES

COLUMNS = ("rule", "severity", "rows", "first_rows", "message", "done", "override")


@dataclass(frozen=True, eq=False)
class Finding:
    """One rule that was broken.

    Attributes
    ----------
    rows : ndarray of int
        1-based data rows of the file, empty where a finding is about the whole.
    count : int
        Rows, days, intervals or counts concerned.
    """

    rule: str
    severity: str
    done: str
    message: str
    override: str
    count: int
    rows: np.ndarray
    detail: str = ""

    def only(self, keep: np.ndarray, total: int) -> Finding | None:
        """Return the finding for the rows that ``keep`` marks, None if there are none."""
        rows = self.rows[keep]
        return finding(self.rule, count=len(rows), total=total, rows=rows, detail=self.detail) if len(rows) else None

    def agreed(self) -> Finding:
        """Return the finding after the user has said that it is right."""
        return replace(self, severity="info", done="accepted", override="Read the file again without accept.")


def first_rows(rows: np.ndarray, most: int = 3) -> str:
    """Write the first few row numbers: ``"77, 903, 1204, …"``."""
    text = ", ".join(str(r) for r in rows[:most])
    return text + (", …" if len(rows) > most else "")


def finding(rule: str, *, count: int, total: int, rows: np.ndarray | None = None, detail: str = "") -> Finding:
    """Return the finding of a rule, its sentence filled in."""
    known = RULES[rule]
    rows = np.empty(0, dtype=np.int64) if rows is None else rows
    message = known.says.format(rows=f"{count:,} of {total:,} rows", n=f"{count:,}", total=f"{total:,}", detail=detail)
    if len(rows):
        message += f" (row{'s' * (len(rows) > 1)} {first_rows(rows)})"
    return Finding(rule, known.severity, known.done, message + ".", known.override, count, rows, detail)


@dataclass
class Ledger:
    """Which rows are still in, and why the others are not; each row is set aside by the first rule it breaks."""

    source_row: np.ndarray
    findings: list[Finding] = field(default_factory=list)
    accept: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        self.kept = np.ones(len(self.source_row), dtype=bool)
        self.reason = np.full(len(self.source_row), "", dtype=object)

    def set_aside(self, rule: str, mask: np.ndarray, detail: str = "") -> None:
        """Take the rows of ``mask`` out, unless they are out already or the caller accepts them."""
        hit = mask & self.kept
        if rule in self.accept:
            self.note(rule, hit, detail)
        elif hit.any():
            self.kept &= ~hit
            self.reason[hit] = rule
            self.note(rule, hit, detail)

    def note(self, rule: str, mask: np.ndarray, detail: str = "") -> None:
        """Record a rule whose rows are kept or repaired (or have just been set aside)."""
        if mask.any():
            rows = np.sort(self.source_row[mask])
            self.findings.append(finding(rule, count=len(rows), total=len(self.source_row), rows=rows, detail=detail))

    def whole(self, rule: str, count: int = 0, detail: str = "") -> None:
        """Record a finding about the history as a whole."""
        self.findings.append(finding(rule, count=count, total=len(self.source_row), detail=detail))


@dataclass(frozen=True, eq=False)
class QualityReport:
    """The data-quality report of a history.

    Attributes
    ----------
    findings : tuple of Finding
        In the order errors, warnings, infos.
    source : str
    rows_read : int
        Data rows read; ``rows_read == kept + set_aside + left_out``.
    kept, set_aside : int
    left_out : int
        Rows of contact types, or days, that were not asked for.
    accept : frozenset of str
        Rules whose findings the user says are right.
    readiness : DataFrame or None
        What ``history.readiness()`` says, where the report comes from ``history.check()``.
    about : str
        What the profile knows of the source: its documentation and peculiarities.
    """

    findings: tuple[Finding, ...]
    source: str
    rows_read: int
    kept: int
    set_aside: int
    left_out: int = 0
    accept: frozenset[str] = frozenset()
    readiness: pd.DataFrame | None = None
    about: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "findings", tuple(f.agreed() if f.rule in self.accept else f for f in self.findings))
        ordered = sorted(self.findings, key=lambda f: (SEVERITIES.index(f.severity), list(RULES).index(f.rule)))
        object.__setattr__(self, "findings", tuple(ordered))

    @property
    def ok(self) -> bool:
        """Whether no finding is an error."""
        return all(f.severity != "error" for f in self.findings)

    @property
    def frame(self) -> pd.DataFrame:
        """One row per broken rule: ``rule, severity, rows, first_rows, message, done, override``."""
        rows = [(f.rule, f.severity, f.count, first_rows(f.rows), f.message, f.done, f.override) for f in self.findings]
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rows": "int64"})

    def summary(self) -> pd.DataFrame:
        """Return ``severity, rules, rows``: how many rules were broken, by how many rows, per severity."""
        found = [[f for f in self.findings if f.severity == s] for s in SEVERITIES]
        return pd.DataFrame(
            {"severity": SEVERITIES, "rules": [len(f) for f in found], "rows": [sum(x.count for x in f) for f in found]}
        )

    def count(self, rule: str) -> int:
        """Return how many rows (days, intervals) break a rule; 0 if none.

        Raises
        ------
        HistoryError
            There is no such rule.
        """
        if rule not in RULES:
            raise HistoryError(f"rule {rule!r} does not exist. Known: {', '.join(RULES)}.")
        return sum(f.count for f in self.findings if f.rule == rule)

    def rows_of(self, rule: str) -> np.ndarray:
        """Return the 1-based data rows that break a rule."""
        self.count(rule)
        return np.concatenate([np.empty(0, dtype=np.int64), *(f.rows for f in self.findings if f.rule == rule)])

    def accepted(self, *, rules: Iterable[str] = ()) -> QualityReport:
        """Return the report after the user has agreed to go on without the rows of all errors and of ``rules``."""
        named = set(rules)
        findings = tuple(
            replace(f, severity="info", done="dropped", override="Read the file again.")
            if (f.severity == "error" and f.done == "set aside") or f.rule in named
            else f
            for f in self.findings
        )
        return replace(self, findings=findings)

    def _head(self) -> str:
        left = f", {self.left_out:,} not asked for" if self.left_out else ""
        verdict = "no errors" if self.ok else "NOT OK"
        return (
            f"Data quality of {self.source}: {verdict}. {self.rows_read:,} rows read = {self.kept:,} kept + "
            f"{self.set_aside:,} set aside{left}"
        )

    def __str__(self) -> str:
        lines = [f"  {f.severity:<7} {f.rule}: {f.message} [{f.done}]" for f in self.findings]
        ready = [] if self.readiness is None else ["What the data can carry:", *ready_lines(self.readiness)]
        about = [f"  source  {self.about}"] if self.about else []
        return "\n".join([self._head() + ".", *about, *(lines or ["  nothing to report"]), *ready])

    __repr__ = __str__

    def _repr_html_(self) -> str:
        ready = "" if self.readiness is None else self.readiness.to_html(index=False)
        about = f"<p>{html.escape(self.about)}</p>" if self.about else ""
        return f"<p>{html.escape(self._head())}.</p>{about}{self.frame.to_html(index=False)}{ready}"


def ready_lines(readiness: pd.DataFrame) -> list[str]:
    """Write the readiness frame as lines of text."""
    return [f"  {r.verdict:<5} {r.score:>3}  {r.step}: {r.reason}" for r in readiness.itertuples()]


def accepted_rules(rules: Iterable[str] | str | None, *, reading: bool) -> frozenset[str]:
    """Return the rules that a caller accepts.

    Parameters
    ----------
    rules : str or iterable of str or None
    reading : bool
        Whether the file is being read; later only what was kept can be accepted.

    Raises
    ------
    HistoryError
        A rule does not exist or cannot be accepted.
    """
    named = frozenset([rules] if isinstance(rules, str) else rules or ())
    problems = []
    for name in sorted(map(str, named)):
        if name not in RULES:
            near = difflib.get_close_matches(name, RULES, n=1)
            hint = f" Did you mean {near[0]!r}?" if near else ""
            problems.append(f"accept: rule {name!r} does not exist.{hint}")
        elif not RULES[name].acceptable:
            problems.append(f"accept: rows that break {name!r} cannot be used as they are. {RULES[name].override}")
        elif not reading and RULES[name].done != "kept":
            problems.append(
                f"accept: {name!r} must be accepted when the file is read: read_history(…, accept=[{name!r}])."
            )
    if problems:
        raise HistoryError(problems)
    return named
