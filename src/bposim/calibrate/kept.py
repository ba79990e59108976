"""What a fitted scenario keeps from the base: each is told as assumed, and what the fit holds already is taken out."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bposim.calibrate.estimates import Estimate
from bposim.errors import CalibrationWarning

if TYPE_CHECKING:
    from bposim.scenario import Scenario

KEPT = "kept from the base scenario"


def without_counted_twice(base: Scenario, patience: Collection[str], deterred: Collection[str]) -> tuple[dict[str, Any], list[str]]:  # fmt: skip
    """Return the changes that take balking out of types whose fitted patience holds it, and a note for each.

    Parameters
    ----------
    base : Scenario
    patience : collection of str
        Types whose patience was fitted: contacts that hung up at once are in it.
    deterred : collection of str
        Types of which the log shows that a queue deters: their balking is fitted.
    """
    changes: dict[str, Any] = {}
    notes = []
    for t, kind in base.contact_types.items():
        if kind.balking and t in patience and t not in deterred:
            changes |= {f"contact_types.{t}.balking": None, f"contact_types.{t}.balking_queue": None}
            notes.append(
                f"balking of {t!r} was taken out of the scenario: the log shows no queue that deters, and those who hang up at "
                "once are in its patience already."
            )
    return changes, notes


def kept_estimates(
    base: Scenario, *, told: Collection[str] = (), credits: Mapping[str, Any] | None = None, speeds: Collection[str] = (),
    work_known: bool = False, answered: Mapping[str, int] | None = None, no_speeds: str = "",
    no_balking: str = "the log holds too few who hang up",
) -> tuple[list[Estimate], list[str]]:  # fmt: skip
    """Return an estimate labelled assumed for everything that no estimator touched, and what a reader must know of it.

    Parameters
    ----------
    base : Scenario
    told : collection of str
        Types whose balking was fitted.
    credits : mapping
        Changes of the order of service, by path.
    speeds : collection of str
        Agents whose speed was estimated.
    answered : mapping of agent to int, optional
        Contacts of each agent in the log.
    no_speeds : str
        Why no agent's speed was estimated; empty where some were.
    no_balking : str
        Why balking was not fitted.
    work_known : bool
        Whether the history tells the after-contact work that is not in its handle times.
    """
    rows: list[Estimate] = []
    notes: list[str] = []

    def keep(what: str, subject: str, value: float, unit: str = "", why: str = "", n: int = 0) -> None:
        rows.append(
            Estimate(what, subject, value, n=n, unit=unit, source="assumed", detail=f"{KEPT}{': ' if why else ''}{why}")
        )

    for t, kind in base.contact_types.items():
        if kind.balking and t not in told:
            keep("balking", t, max(b.probability for b in kind.balking), "share", no_balking)
        for onward in kind.transfers:
            keep("transfers", f"{t} to {onward.to}", onward.probability, "share", "the history does not tell them")
        if kind.transfers:
            where = ", ".join(sorted({repr(onward.to) for onward in kind.transfers}))
            notes.append(
                f"transfers of {t!r} to {where} stay in the scenario as they are in the base. Where the history counts a transferred "
                f"contact again, it is among the arrivals of {where} too: then set contact_types.{t}.transfers to none."
            )
        if kind.callback is not None:
            keep("call-backs", t, float("nan"), "", "the history does not tell them")
        path = f"contact_types.{t}.credit"
        if kind.credit and path not in (credits or {}):
            keep("credit", t, kind.credit, "s", "the history shows no choices that would tell it")
        if kind.after_contact_work is not None and not work_known and not kind.deferred:
            why = "the history does not tell it; its handle times are fitted beside it"
            keep("after-contact work", t, float(kind.after_contact_work[0].mean), "s", why)
    for g, group in base.agent_groups.items():
        for agent, body in group.agents.items():
            if agent not in speeds and body.speed != 1:
                n = (answered or {}).get(agent, 0)
                of_this = f"only {n:,} contacts of the history are" if n else "no contact of the history is"
                keep("speed", f"{agent}, {g}", body.speed, "", no_speeds or f"{of_this} this agent's", n)
    return rows, notes


def kept_names(rows: Sequence[Estimate]) -> list[str]:
    """Return what was kept in the words of the warning; of more than three of a kind, as speeds of many agents, their number."""
    by_kind: dict[str, list[str]] = {}
    for e in rows:
        by_kind.setdefault(e.parameter, []).append(repr(e.subject))
    return [f"{k} of {', '.join(who) if len(who) <= 3 else f'{len(who)} ({who[0]}, …)'}" for k, who in by_kind.items()]


def without_followups(scenario: Scenario) -> dict[str, Any]:
    """Return the changes for playing contacts that really came: transfers, call-backs and redials among them came already."""
    return {
        f"contact_types.{t}.{field}": None
        for t, kind in scenario.contact_types.items()
        for field in ("redial", "transfers", "callback")
        if getattr(kind, field)
    }


def warn_once(assumed: Sequence[str], doubts: Sequence[str], stacklevel: int) -> None:
    """Warn in one sentence of what was assumed or is in doubt, by name; why stands in the notes."""
    said = []
    if assumed:
        said.append(f"assumed, for the history does not tell: {', '.join(dict.fromkeys(assumed))}")
    if doubts:
        said.append(f"in doubt: {', '.join(dict.fromkeys(doubts))}")
    if said:
        text = "; ".join(said)
        warnings.warn(f"{text[0].upper()}{text[1:]}. Why stands in the calibration's notes and summary.", CalibrationWarning, stacklevel=stacklevel + 1)  # fmt: skip
