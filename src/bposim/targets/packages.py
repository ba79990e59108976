"""Packages of clauses side by side: how they are written, which none betters, and what lies between two of them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import BposimError, ParameterError, ScenarioError, parameter, require
from bposim.metrics import ratio_interval
from bposim.targets.contract import Contract

#: Most packages that are compared.
MOST = 2000
AS_IT_STANDS = "as it stands"
#: Words of a contract that no clause is measured by: contracts that differ in these alone share their windows.
_MONEY = ("name", "version", "owner", "client", "provider", "pricing", "minimum_billing", "surcharges", "margin", "at_risk", "allocation",
          "cap", "bonus_cap", "points", "no_credit_months", "termination", "review_every", "assumptions")  # fmt: skip
_JUDGED = ("levels", "glide", "ratchet", "bands", "linear", "per_contact", "weight", "repeat", "earn_back", "no_credit_months",
           "termination", "miss", "rounding", "rounding_mode", "missing", "minimum_sample", "volume")  # fmt: skip


def read_options(options: Any, caller: str) -> dict[str, dict[str, dict[str, Any]]]:
    """Return what is on the table: title, label, changes to the contract.

    Raises
    ------
    ParameterError
        Something is neither a list of values at a path nor a mapping of labels to changes.

    Examples
    --------
    >>> read_options({"clauses.speed.within": ["20s", "30s"], "fee": {"high": {"pricing": {"fixed": 9}}}}, "f()")
    {'speed.within': {'20s': {'clauses.speed.within': '20s'}, '30s': {'clauses.speed.within': '30s'}}, 'fee': {'high': {'pricing': {'fixed': 9}}}}
    """
    rule = 'a mapping such as {"clauses.speed.levels.expected": ["80%", "82%"], "corridor": {"none": {}, "±10 %": {"clauses.speed.relief": […]}}}'
    if not isinstance(options, Mapping) or not options:
        raise ParameterError(parameter("options", caller, rule, options))
    found: dict[str, dict[str, dict[str, Any]]] = {}
    problems = []
    for key, choices in options.items():
        if isinstance(choices, Mapping) and choices and all(isinstance(c, Mapping) for c in choices.values()):
            found[str(key)] = {str(label): dict(changes) for label, changes in choices.items()}
        elif isinstance(choices, Sequence) and not isinstance(choices, str) and choices:
            labels = [_label(k, v) for k, v in enumerate(choices, 1)]
            found[str(key).removeprefix("clauses.")] = {n: {str(key): v} for n, v in zip(labels, choices, strict=True)}
            if len(set(labels)) < len(labels):
                problems.append(parameter(f"options[{key!r}]", caller, "values that differ", choices))
        else:
            problems.append(
                parameter(
                    f"options[{key!r}]",
                    caller,
                    "a list of values, or a mapping of labels to changes of the contract",
                    choices,
                )
            )
    n = math.prod(len(c) for c in found.values())
    if n > MOST:
        problems.append(f"options of {caller} make {n:,} packages; at most {MOST:,} are compared. Take fewer of each.")
    require(problems, ParameterError)
    return found


def _label(k: int, value: Any) -> str:
    if value is None:
        return "none"
    return str(value) if isinstance(value, str | int | float) else f"no. {k}"


def packages(deal: Contract, options: dict[str, dict[str, dict[str, Any]]]) -> tuple[dict[str, Contract], pd.DataFrame]:
    """Return every combination of the options as a contract, the one as it stands first, and what each chose by package.

    Raises
    ------
    ScenarioError
        Some of them are no contracts; all that is wrong is told.
    """
    found: dict[str, Contract] = {}
    rows, problems = [], []
    for choice in itertools.product(*(o.items() for o in options.values())):
        name = ", ".join(f"{title} {label}" for title, (label, _) in zip(options, choice, strict=True))
        try:
            found[name] = deal.replace({path: v for _, changes in choice for path, v in changes.items()})
        except BposimError as error:
            problems += [f"package {name!r}: {p}" for p in error.problems]
            continue
        rows.append([name, *(label for label, _ in choice)])
    require(problems, ScenarioError)
    now = next((name for name, c in found.items() if c == deal), None)
    if now is None:
        now = AS_IT_STANDS
        found[now] = deal
        rows.append([now, *("as it stands" for _ in options)])
    order = [now, *(n for n in found if n != now)]
    terms = pd.DataFrame(
        [r[1:] for r in rows], columns=list(options), index=pd.Index([r[0] for r in rows], name="package")
    )
    return {n: found[n] for n in order}, terms.loc[order]


def measured_alike(deal: Contract) -> str:
    """Return words that two contracts share whose clauses are measured alike."""
    words = {k: v for k, v in deal.canonical.items() if k not in _MONEY}
    words["clauses"] = {n: {k: v for k, v in c.items() if k not in _JUDGED} for n, c in words["clauses"].items()}
    return repr(words)


def efficient(
    provider: np.ndarray, money: np.ndarray, risk: np.ndarray, fee_moves: bool
) -> tuple[np.ndarray, np.ndarray]:
    """Return which packages no other betters, and for each of the others one of those that do, else −1.

    Parameters
    ----------
    provider : ndarray, shape (n_packages, n_criteria)
        What the provider wants more of, in money.
    money : ndarray, shape (n_packages,)
        What the client wants more of, in the same money.
    risk : ndarray, shape (n_packages,)
        What the client wants less of.
    fee_moves : bool
        Whether one package betters another if some payment between the two sides makes it so.

    Examples
    --------
    >>> provider, money, risk = np.array([[5.0], [4.0], [4.0]]), np.array([-9.0, -7.0, -8.0]), np.array([0.1, 0.1, 0.1])
    >>> efficient(provider, money, risk, False)[0].tolist(), efficient(provider, money, risk, True)[0].tolist()
    ([True, True, False], [False, True, False])
    """
    n = len(risk)
    bettered = np.zeros((n, n), dtype=bool)  # [i, j]: j betters i
    for i in range(n):
        # j betters i with a payment d of the client where lacks ≤ d ≤ spare.
        lacks, spare = provider[i] - provider, money - money[i]
        can = (lacks.max(axis=1) <= spare) if fee_moves else (lacks.max(axis=1) <= 0) & (spare >= 0)
        gains = (lacks.min(axis=1) < spare) if fee_moves else (lacks.min(axis=1) < 0) | (spare > 0)
        bettered[i] = can & (risk <= risk[i]) & (gains | (risk < risk[i]))
    keep = np.asarray(~bettered.any(axis=1))
    return keep, np.where(keep, -1, (bettered & keep[None, :]).argmax(axis=1))


def against(criteria: np.ndarray, now: int) -> list[str]:
    """Say how each row compares with one of them: better, same, worse, or mixed."""
    up, down = (criteria > criteria[now]).any(axis=1), (criteria < criteria[now]).any(axis=1)
    return ["mixed" if u and d else "better" if u else "worse" if d else "same" for u, d in zip(up, down, strict=True)]


def concessions(
    frame: pd.DataFrame,
    terms: pd.DataFrame,
    margins: dict[str, np.ndarray],
    batch: np.ndarray,
    currency: str,
    unit: str,
    criteria: np.ndarray,
) -> pd.DataFrame:
    """Return what each side gives and gets from each package to the next, along the provider's margin; equals stand for one.

    Returns
    -------
    DataFrame
        ``from, to, changes, margin, margin_low, margin_high, worst, invoice, risk, kept, service, agent_hours, said``.
    """
    place = np.flatnonzero(frame["efficient"].to_numpy())
    place = place[np.unique(criteria[place], axis=0, return_index=True)[1]]
    f = frame.iloc[place].sort_values(["margin", "invoice"], ignore_index=True)
    rows = []
    for k in range(len(f) - 1):
        a, b = f.iloc[k], f.iloc[k + 1]
        old, new = terms.loc[a["package"]], terms.loc[b["package"]]
        changes = "; ".join(f"{t}: {old[t]} → {new[t]}" for t in terms.columns if old[t] != new[t])
        gap = margins[b["package"]] - margins[a["package"]]
        _, low, high, _ = ratio_interval(gap[:, None], np.ones((len(gap), 1)), 0.95, batch)
        step = {c: float(b[c] - a[c]) for c in ("margin", "worst", "invoice", "risk", "kept", "service", "agent_hours")}
        rows.append({"from": a["package"], "to": b["package"], "changes": changes, "margin": step["margin"], "margin_low": float(low[0]),
                     "margin_high": float(high[0]), **{c: v for c, v in step.items() if c != "margin"},
                     "said": _said(changes, step, currency, unit),
                     "under": ", ".join(f"{t} {old[t]}" for t in terms.columns if old[t] == new[t])})  # fmt: skip
    often = [r["changes"] for r in rows]
    for r in rows:  # the same step stands under several other options, and is worth another amount under each
        if often.count(r["changes"]) > 1 and r["under"]:
            r["said"] = f"With {r['under']}, {r['said']}"
    return pd.DataFrame(rows, columns=["from", "to", "changes", "margin", "margin_low", "margin_high", "worst", "invoice", "risk", "kept",
                                       "service", "agent_hours", "said"])  # fmt: skip


def _said(changes: str, step: dict[str, float], currency: str, unit: str) -> str:
    def more(value: float, what: str, same: str, digits: int = 0) -> str:
        rounded = round(value, digits)
        return same if rounded == 0 else f"{abs(rounded):,.{digits}f} {what} {'more' if rounded > 0 else 'less'}"

    service = (100 if unit.startswith("points") else 1) * step["service"]
    return (
        f"{changes}: the provider gets {more(step['margin'], f'{currency} of margin', 'the same margin')} "
        f"({more(step['worst'], currency, 'the same')} in the worst terms) with {more(step['agent_hours'], 'agent-hours', 'the same staff')}; "
        f"the client pays {more(step['invoice'], currency, 'the same')} for {more(service, unit, 'the same service', 1)}, and "
        f"falls short in {more(100 * step['risk'], 'points', 'as many', 1)} of the months."
    )
