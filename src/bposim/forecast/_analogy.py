"""New queues by analogy: a contact type without a history of its own takes the shape of one that has."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

import numpy as np

from bposim.errors import ParameterError, UnitError, parameter, require
from bposim.forecast._counts import Counts
from bposim.forecast._days import Outlook
from bposim.forecast._events import Extra
from bposim.units import seconds

#: Days with contacts from which a contact type is forecast from its own history, and no longer by analogy.
OWN_DAYS = 56

#: A larger share is a percentage.
MOST = 10.0


@dataclass(frozen=True)
class Analogy:
    """How a new contact type compares with one whose history is known.

    Parameters
    ----------
    like : str
        Contact type of the history whose days, profile and errors the new one shares.
    share : float
        Expected contacts of the new one for each contact of ``like``: 0.2 is 20 %, 10 the most.
    uncertainty : float
        Assumed relative standard error of ``share``; each path has one lognormal share for the whole horizon.
    handle_time : str, timedelta or None
        Mean handle time of its contacts over the horizon, such as ``"6min"``, with the weekdays and hours of ``like``; None takes
        that of ``like``.

    Examples
    --------
    >>> from bposim.forecast import Analogy
    >>> Analogy(like="voice", share=0.4)
    Analogy(like='voice', share=0.4, uncertainty=0.3, handle_time=None)
    """

    like: str
    share: float
    uncertainty: float = 0.3
    handle_time: str | timedelta | None = None

    def __post_init__(self) -> None:
        problems = []
        for name, value, least in (("share", self.share, 1e-12), ("uncertainty", self.uncertainty, 0.0)):
            if isinstance(value, bool) or not isinstance(value, int | float | np.number) or not least <= value < np.inf:
                rule = "a number above 0" if name == "share" else "a number of at least 0"
                problems.append(parameter(name, "Analogy()", rule, value))
        for name in ("share", "uncertainty"):
            value = getattr(self, name)
            if isinstance(value, int | float) and not isinstance(value, bool) and MOST < value < np.inf:
                way = f"{value:g} % is {value / 100:g}." if value <= 100 else ""
                problems.append(parameter(name, "Analogy()", f"a share of at most {MOST:g} (0.2 is 20 %)", value, way))
        if self.handle_time is not None:
            try:
                if not seconds(self.handle_time, what="handle_time of Analogy()") > 0:
                    problems.append(parameter("handle_time", "Analogy()", "None or more than 0 s", self.handle_time))
            except UnitError as error:
                problems += error.problems
        require(problems, ParameterError)


def with_analogies(
    counts: Counts, analogies: Mapping[str, Analogy] | None, caller: str, start: date | None = None
) -> tuple[Counts, dict[str, Analogy], list[str], tuple[str, ...]]:
    """Return counts that hold the new contact types, without contacts, the analogies, what is wrong with them, and notes."""
    if analogies is None:
        return counts, {}, [], ()
    if not isinstance(analogies, Mapping) or not all(isinstance(a, Analogy) for a in analogies.values()):
        rule = 'a mapping such as {"chat": Analogy(like="voice", share=0.4)}'
        return counts, {}, [parameter("analogies", caller, rule, analogies)], ()
    problems, notes = [], []
    types = list(counts.types)
    past = counts.until(start) if start is not None else counts
    for name, analogy in analogies.items():
        if analogy.like not in counts.types or analogy.like in analogies:
            known = ", ".join(t for t in counts.types if t not in analogies) or "none"
            rule = f"like a contact type with a history of its own ({known}) for {name!r}"
            problems.append(parameter("analogies", caller, rule, analogy.like))
            continue
        if name in counts.types:
            own = int((past.totals[counts.types.index(name)] > 0).sum())
            if own >= OWN_DAYS:
                problems.append(
                    f"The analogies parameter of {caller} names {name!r}, whose history has {own} days with contacts: "
                    f"from {OWN_DAYS} days on a contact type is forecast from its own history. Leave it out."
                )
                continue
            if own:
                notes.append(
                    f"{name!r}: its own {own} days with contacts, fewer than {OWN_DAYS}, are not used; see its analogy."
                )
        else:
            types.append(name)
    if problems:
        return counts, {}, problems, ()
    return counts.of_types(tuple(types)).without(analogies), dict(analogies), [], tuple(notes)


def by_analogy(outlooks: Sequence[Outlook], types: Sequence[str], analogies: Mapping[str, Analogy]) -> list[Outlook]:
    """Return the outlooks in which each new contact type is its share of the one it is like.

    Notes
    -----
    It has the residuals of ``like`` too, so that both share their day errors in the paths.
    """
    result = list(outlooks)
    for name, analogy in analogies.items():
        model = outlooks[types.index(analogy.like)]
        sentence = (
            f"has no history of its own: {analogy.share:g} times {analogy.like!r}, with its days, profile and errors, and "
            f"an assumed standard error of {analogy.uncertainty:.0%} of that share. Its handle time is "
            + (
                f"that of {analogy.like!r}."
                if analogy.handle_time is None
                else f"{analogy.handle_time} on average (given)."
            )
        )
        result[types.index(name)] = replace(
            model,
            expected=model.expected * analogy.share,
            effects=(f"like {analogy.like} times {analogy.share:g} (given)",),
            notes=(sentence,),
            masked=(),
        )
    return result


def own_errors(analogies: Mapping[str, Analogy], types: Sequence[str], n_days: int) -> list[Extra]:
    """Return the uncertain level of each new contact type."""
    found = []
    for name, analogy in analogies.items():
        share = np.zeros((n_days, len(types)))
        share[:, types.index(name)] = 1.0
        found.append(Extra(f"level of {name}", analogy.uncertainty, share))
    return found


def without_analogies(counts: Counts, analogies: Mapping[str, Analogy]) -> Counts:
    """Return the counts of the contact types that have a history of their own."""
    return counts.of_types(tuple(t for t in counts.types if t not in analogies))
