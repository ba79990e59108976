"""Audited samples: the smallest plan for two risks, and its operating curve."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import ParameterError, UnitError, parameter, require
from bposim.targets.terms import percent
from bposim.units import share

#: Largest sample that is looked for.
MOST = 10_000_000
#: Samples beyond this are found, and said to be more than anyone audits.
LARGE = 20_000

#: Probability of acceptance by acceptance number, sample and true accuracy.
Chance = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


@dataclass(frozen=True, eq=False)
class OperatingCurve:
    """Probability that a sample is accepted, by the true accuracy of what it was drawn from.

    Attributes
    ----------
    n : int
        Items audited.
    c : int
        Acceptance number: most errors with which the sample is accepted.
    lot : int or None
        Items that the sample is drawn from without putting back; None: so many that it does not matter.
    frame : DataFrame
        ``accuracy, accept``.
    marks : mapping of str to float
        Accuracies that the picture and the sentences name.
    name : str
        What is judged, ``the sample`` unless it is a clause.
    """

    n: int
    c: int
    lot: int | None
    frame: pd.DataFrame
    marks: dict[str, float]
    name: str = "the sample"
    notes: tuple[str, ...] = ()

    def at(self, accuracy: float) -> float:
        """Return the probability of acceptance at a true accuracy; in a lot, at the nearest whole number of errors.

        Raises
        ------
        ParameterError
            The accuracy is no share.
        """
        require(_share_problems("OperatingCurve.at()", accuracy=accuracy), ParameterError)
        return float(_accept(self.n, self.c, self.lot, np.array([accuracy]))[0])

    @property
    def indifference(self) -> float:
        """True accuracy at which the sample is accepted half the time; in a lot, interpolated between numbers of errors."""
        from scipy.special import betaincinv

        if self.c >= self.n:
            return 0.0
        if self.lot is None:
            return float(betaincinv(self.n - self.c, self.c + 1, 0.5))
        every = 1 - np.arange(self.lot, -1, -1) / self.lot
        return float(np.interp(0.5, _accept(self.n, self.c, self.lot, every), every))

    def summary(self) -> pd.DataFrame:
        """Return the probability at each named accuracy: ``point, accuracy, accept``."""
        rows = [(name, a, self.at(a)) for name, a in self.marks.items()]
        return pd.DataFrame(
            [*rows, ("accepted half the time", self.indifference, 0.5)], columns=["point", "accuracy", "accept"]
        )

    def plot(self, ax: Any = None) -> Any:
        """Draw the curve with its named points; returns ``ax``."""
        from bposim.targets.sampling_plots import plot_operating_curve

        return plot_operating_curve(self, ax)

    def __repr__(self) -> str:
        of = "" if self.lot is None else f" of {self.lot:,}"
        lines = [
            f"{self.name.capitalize() if self.name == 'the sample' else self.name}: {self.n:,} audited{of}, accepted with at most "
            f"{self.c:,} error{'' if self.c == 1 else 's'}"
        ]
        lines += [
            f"  at a true {percent(round(a, 6))} ({name}) accepted with probability {self.at(a):.3f}"
            for name, a in self.marks.items()
        ]
        lines.append(f"  as likely as not at a true {percent(round(self.indifference, 4))}")
        return "\n".join([*lines, *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.summary().to_html(index=False, float_format=lambda x: f"{x:,.4g}")


@dataclass(frozen=True, eq=False)
class SamplingPlan:
    """The smallest sample that keeps two risks.

    Attributes
    ----------
    n, c : int
        Items audited, and the most errors with which the sample is accepted.
    accept_at, reject_at : float
        True accuracies that should be accepted and rejected.
    producer_risk, consumer_risk : float
        Risks of this plan: a good one rejected, a bad one accepted. At most those asked for.
    asked : tuple of float
        The two risks asked for.
    lot : int or None
    curve : OperatingCurve
    """

    n: int
    c: int
    accept_at: float
    reject_at: float
    producer_risk: float
    consumer_risk: float
    asked: tuple[float, float]
    lot: int | None
    curve: OperatingCurve

    @property
    def notes(self) -> tuple[str, ...]:
        """What keeps the plan from being carried out."""
        if self.n <= LARGE:
            return ()
        gap = 100 * (self.accept_at - self.reject_at)
        return (
            f"{self.n:,} audits are more than anyone makes: {percent(self.accept_at)} and {percent(self.reject_at)} lie only {gap:.2g} points "
            "apart. Take accuracies further apart, or larger risks.",
        )

    @property
    def level(self) -> float:
        """The level of a clause that is met with exactly the samples accepted: the shortest percentage that says so."""
        return _shortest((self.n - self.c - 1) / self.n, (self.n - self.c) / self.n)

    def clause(self, *, per: str = "month", metric: str = "accuracy") -> dict[str, Any]:
        """Return the plan in a contract's words, for :func:`load_contract`; consequences are not in it.

        ``per`` is ``"month"`` or ``"quarter"``: audits are settled by no shorter window.

        Raises
        ------
        ParameterError
            Another ``per``.

        Examples
        --------
        >>> sampling_plan(accept_at=0.99, reject_at=0.95).clause()["levels"]
        {'expected': '97%'}
        """
        if per not in ("month", "quarter"):
            raise ParameterError(
                parameter("per", "clause()", "month or quarter, the windows that audits are settled by", per)
            )
        return {
            "metric": metric, "window": per, "levels": {"expected": percent(self.level).replace(" ", "")},
            "sample": {"size": self.n, "per": per}, "missing": "miss",
        }  # fmt: skip

    def summary(self) -> pd.DataFrame:
        """Return one row: ``n, c, lot, level, accept_at, producer_risk, reject_at, consumer_risk``."""
        names = ("n", "c", "lot", "level", "accept_at", "producer_risk", "reject_at", "consumer_risk")
        return pd.DataFrame([{name: getattr(self, name) for name in names}])

    def plot(self, ax: Any = None) -> Any:
        """Draw the operating curve; returns ``ax``."""
        return self.curve.plot(ax)

    def __repr__(self) -> str:
        of = "" if self.lot is None else f" of each {self.lot:,}"
        notes = "".join(f"\n  Note: {n}" for n in self.notes)
        return (
            f"Audit {self.n:,}{of} and accept with at most {self.c:,} error{'' if self.c == 1 else 's'} ({percent(self.level)} correct):\n"
            f"  a true {percent(self.accept_at)} is rejected with probability {self.producer_risk:.4f} (at most {self.asked[0]:g})\n"
            f"  a true {percent(self.reject_at)} is accepted with probability {self.consumer_risk:.4f} (at most {self.asked[1]:g}){notes}"
        )

    def _repr_html_(self) -> str:
        return self.summary().to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def operating_curve(
    n: int,
    c: int,
    *,
    lot: int | None = None,
    accuracies: Sequence[float] | None = None,
    marks: dict[str, float] | None = None,
) -> OperatingCurve:
    """Return the probability that a sample is accepted, by true accuracy.

    Parameters
    ----------
    n : int
        Items audited.
    c : int
        Most errors with which the sample is accepted, 0 to n.
    lot : int, optional
        Items that the sample is drawn from without putting back (hypergeometric). None: binomial.
    accuracies : list of float, optional
        True accuracies of the frame. None: from where nearly everything is rejected to 1; in a lot, one for each number of errors.
    marks : mapping of str to float, optional
        Accuracies to name.

    Returns
    -------
    OperatingCurve

    Raises
    ------
    ParameterError
        An argument is outside its rule; all of them are told.

    References
    ----------
    Schilling & Neubauer (2017), Acceptance Sampling in Quality Control, 3rd ed., ch. 5.

    Examples
    --------
    >>> curve = operating_curve(100, 2)           # at least 98 of 100 correct
    >>> [round(curve.at(a), 2) for a in (0.975, 0.98, 0.985, 0.99)]
    [0.54, 0.68, 0.81, 0.92]
    """
    problems = []
    sized = is_whole(n) and n >= 1
    if not sized:
        problems.append(parameter("n", "operating_curve()", "a whole number of at least 1", n))
    if not (is_whole(c) and c >= 0 and (not sized or c <= n)):
        problems.append(parameter("c", "operating_curve()", "a whole number from 0 to n", c))
    problems += _lot_problems("operating_curve()", lot, n if sized else 1)
    for key, value in (marks or {}).items():
        problems += _share_problems("operating_curve()", **{f"marks[{key!r}]": value})
    if accuracies is not None:
        try:
            asked = np.asarray(accuracies, dtype=float)
        except (TypeError, ValueError):
            asked = np.array([np.nan])
        if not (asked.ndim == 1 and len(asked) and ((asked >= 0) & (asked <= 1)).all()):
            problems.append(parameter("accuracies", "operating_curve()", "a list of shares from 0 to 1", accuracies))
    require(problems, ParameterError)
    at = _grid(n, c, lot) if accuracies is None else asked
    frame = pd.DataFrame({"accuracy": at, "accept": _accept(n, c, lot, at)})
    return OperatingCurve(int(n), int(c), lot, frame, dict(marks or {}))


def sampling_plan(
    *,
    accept_at: float | str,
    reject_at: float | str,
    producer_risk: float | str = 0.05,
    consumer_risk: float | str = 0.10,
    lot: int | None = None,
) -> SamplingPlan:
    """Find the smallest sample and its acceptance number that keep the producer's and the consumer's risk.

    Parameters
    ----------
    accept_at : float or str
        True accuracy that should be accepted (one less the acceptable quality level): ``0.99`` or ``"99%"``.
    reject_at : float or str
        Lower true accuracy that should be rejected (one less the limiting quality).
    producer_risk : float or str
        Most probability that ``accept_at`` is rejected.
    consumer_risk : float or str
        Most probability that ``reject_at`` is accepted.
    lot : int, optional
        Items that the sample is drawn from without putting back. Lots at least as accurate as ``accept_at``, and at most as
        accurate as ``reject_at``, by whole numbers of errors, keep the risks. None: binomial.

    Returns
    -------
    SamplingPlan

    Raises
    ------
    ParameterError
        An argument is outside its rule, or no sample keeps both risks; all of it is told.

    Notes
    -----
    The least n with which ``reject_at`` is accepted with at most the consumer's risk grows with the acceptance number c, so the
    first c with which that n keeps the producer's risk too has the smallest n of all.

    References
    ----------
    Schilling & Neubauer (2017), Acceptance Sampling in Quality Control, 3rd ed., ch. 5; ISO 2859-2.

    Examples
    --------
    >>> plan = sampling_plan(accept_at=0.99, reject_at=0.95)
    >>> plan.n, plan.c, round(plan.producer_risk, 4), round(plan.consumer_risk, 4)
    (132, 3, 0.0443, 0.0992)
    """
    caller = "sampling_plan()"
    problems: list[str] = []
    read: list[Any] = [
        _read_share(v, f"{name} of {caller}", problems, fit)
        for name, v, fit in (
            ("accept_at", accept_at, 1.0),
            ("reject_at", reject_at, 0.0),
            ("producer_risk", producer_risk, 0.05),
            ("consumer_risk", consumer_risk, 0.10),
        )
    ]
    accept, reject, producer, consumer = read
    problems += _share_problems(caller, accept_at=accept, reject_at=reject)
    if not problems and not reject < accept:
        problems.append(parameter("reject_at", caller, f"below accept_at = {accept:g}", reject))
    for name, risk in (("producer_risk", producer), ("consumer_risk", consumer)):
        if not (_number(risk) and 0 < risk < 1):
            problems.append(parameter(name, caller, "between 0 and 1", risk))
    if not any("_risk" in p for p in problems) and producer + consumer >= 1:
        problems.append(
            parameter(
                "producer_risk",
                caller,
                f"below 1 − consumer_risk = {1 - consumer:g}: beyond it a coin will do",
                producer,
            )
        )
    problems += _lot_problems(caller, lot, 1)
    require(problems, ParameterError)
    if lot is None:
        good, bad = float(accept), float(reject)
    else:
        most, least = math.floor(lot * (1 - accept) + 1e-9), math.ceil(lot * (1 - reject) - 1e-9)
        good, bad = 1 - most / lot, 1 - least / lot
    found = _smallest(
        lambda c, n, a: _accept(n, c, lot, a), good, bad, producer, consumer, MOST if lot is None else lot
    )
    if found is None:
        raise ParameterError(
            f"it takes more than {MOST:,} audits to tell {percent(accept)} from {percent(reject)} with these risks. Take accuracies "
            "further apart, or larger risks."
        )
    n, c = found
    curve = operating_curve(n, c, lot=lot, marks={"to be accepted": accept, "to be rejected": reject})
    risks = _accept(n, c, lot, np.array([good, bad]))
    return SamplingPlan(n, c, accept, reject, float(1 - risks[0]), float(risks[1]), (producer, consumer), lot, curve)


def _accept(n: Any, c: Any, lot: int | None, accuracy: Any) -> np.ndarray:
    from scipy.stats import binom, hypergeom

    if lot is None:
        return np.asarray(binom.cdf(c, n, 1 - accuracy))
    errors = np.floor(lot * (1 - np.asarray(accuracy)) + 0.5 + 1e-9).astype(int)
    return np.asarray(hypergeom.cdf(c, lot, errors, n))


def _grid(n: int, c: int, lot: int | None) -> np.ndarray:
    """Return accuracies from where one in a thousand is accepted up to 1."""
    from scipy.special import betaincinv

    low = 0.0 if c >= n else float(betaincinv(n - c, c + 1, 0.001))
    if lot is None:
        return np.linspace(low, 1.0, 201)
    most = max(1, math.ceil(lot * (1 - low)))
    return 1 - np.unique(np.linspace(most, 0, 201).round())[::-1] / lot


def _smallest(
    chance: Chance, good: float, bad: float, producer: float, consumer: float, largest: int
) -> tuple[int, int] | None:
    """Return the plan, None where it takes more than ``largest``; block by block of acceptance numbers, for most plans are small."""
    begin, block = 0, 32
    while begin < largest:
        c = np.arange(begin, min(begin + block, largest))
        n = _least(partial(_rare, chance, bad, consumer, c), c + 1, np.full(len(c), largest + 1))
        fits = (n <= largest) & (chance(c, np.minimum(n, largest), good) >= 1 - producer)
        if fits.any():
            k = int(fits.argmax())
            return int(n[k]), int(c[k])
        if n[-1] > largest:
            break
        begin, block = begin + block, 2 * block
    return None


def _rare(chance: Chance, accuracy: float, risk: float, c: np.ndarray, n: np.ndarray) -> np.ndarray:
    return chance(c, n, accuracy) <= risk


def _least(holds: Callable[[np.ndarray], np.ndarray], low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """Return the least whole numbers at which something holds that, once it does, goes on to; ``high`` where it never does."""
    low, high = low.copy(), high.copy()
    while (low < high).any():
        middle = (low + high) // 2
        good = holds(middle)
        high = np.where(good, middle, high)
        low = np.where(good, low, np.minimum(middle + 1, high))
    return high


def _shortest(above: float, up_to: float) -> float:
    """Return the share in (above, up_to] that takes the fewest digits in per cent.

    Examples
    --------
    >>> _shortest(128 / 132, 129 / 132), _shortest(0.97, 0.98), _shortest(0.9, 1.0)
    (0.97, 0.98, 1.0)
    """
    for digits in range(13):
        scale = 10 ** (digits + 2)
        found = math.floor(up_to * scale + 1e-9) / scale
        if found > above + 1e-12:
            return found
    return up_to


def _number(value: Any) -> bool:
    return isinstance(value, int | float | np.integer | np.floating) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)


def _share_problems(caller: str, **shares: Any) -> list[str]:
    return [
        parameter(name, caller, "a share from 0 to 1", value, f"Write {value / 100:g}." if _number(value) and 2 <= value <= 100 else "")
        for name, value in shares.items() if not (_number(value) and 0 <= value <= 1)
    ]  # fmt: skip


def _read_share(value: Any, what: str, problems: list[str], fit: float) -> Any:
    """Return a share written with a % as a number, ``fit`` where it is none; numbers as they are, for the rules that follow."""
    if not isinstance(value, str):
        return value
    try:
        return share(value, what=what)
    except UnitError as error:
        problems += error.problems
        return fit


def _lot_problems(caller: str, lot: Any, n: int) -> list[str]:
    if lot is None or (is_whole(lot) and lot >= n):
        return []
    return [parameter("lot", caller, f"a whole number of at least {n:,}, or None", lot)]
