"""Who was taken first, and by whom: the routing rule tested against the order of service."""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.changes import change_points
from bposim.calibrate.estimates import Estimate
from bposim.calibrate.serving import agent_choice, own_agents, skills_seen, unsplit
from bposim.metrics.intervals import wilson

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Choices in which the other type had waited longer, below which a pair is not judged.
FEWEST = 30
#: Log-likelihood that a credit must gain over one rule for every lead (a change-point costs about two parameters).
GAIN = 8.0
#: Drop of the log-likelihood that bounds a change-point at 95 %: (1 − exp(−x))² = 0.95 (Siegmund 1988).
DROP = 3.68
#: Share of longer waits passed over up to which that is a lapse, and from which on it is the rule.
LAPSE, RULE = 0.25, 0.85
#: By how much the share taken must fall at a credit's end.
FALL = 0.35
#: Share of a type's contacts below which the credit is told as one that only some of them have.
PARTLY = 0.9
PAIRS = ["since", "until", "ahead", "behind", "rule", "credit_s", "ci_low", "ci_high", "share", "agreement", "n"]


@dataclass(frozen=True, eq=False)
class OrderFit:
    """The order of service as a log shows it.

    Attributes
    ----------
    pairs : DataFrame
        ``since, until, ahead, behind, rule, credit_s, ci_low, ci_high, share, agreement, n``: of two contact types the one
        that is served first, by what rule (``fifo``, ``credit``, ``priority``, ``unclear``), its lead in seconds, the
        share of its contacts that had the lead, and the share of the ``n`` choices that the rule explains.
    credit : mapping of contact type to float
        Seconds, of the last stretch; the type with the least has 0. Types that were not compared with these are left out.
    priority : mapping of contact type to int
        1 is served first.
    changes : tuple of date
        First day of each new order of service.
    serving : DataFrame
        ``contact_type, since, until, share, ci_low, ci_high, n, agents``: the share of a type's answers that came from
        agents who took nothing else on that day.
    estimates : tuple of Estimate
    notes : tuple of str
    """

    pairs: pd.DataFrame
    credit: dict[str, float]
    priority: dict[str, int]
    changes: tuple[date, ...]
    serving: pd.DataFrame
    estimates: tuple[Estimate, ...]
    notes: tuple[str, ...]


def _ms(times: pd.Series) -> np.ndarray:
    return pd.DatetimeIndex(times).tz_convert("UTC").as_unit("ms").asi8


def resolution_ms(contacts: pd.DataFrame) -> int:
    """Return the clock's resolution: 1000 ms where all waits are whole seconds, 1 ms otherwise."""
    waits = contacts["wait_s"].to_numpy(dtype=float, na_value=0.0)
    return 1000 if np.all(waits == np.round(waits)) else 1


def choices(contacts: pd.DataFrame, able: np.ndarray, types: tuple[str, ...], tick_ms: int) -> pd.DataFrame:
    """Return what each freed agent took, beside the first in line of every other type that it could have taken.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog.
    able : ndarray of bool, shape (n_contacts, n_types)
        Which types the agent of each contact takes.
    types : tuple of str
    tick_ms : int
        Contacts that came or left within this time of the choice are left out: their order is not known.

    Returns
    -------
    DataFrame
        ``row, at, taken, other, lead_s``: ``lead_s`` is how much longer the first of type ``other`` had waited than the
        contact taken; with ``other == taken`` it is the first of the same type.

    Notes
    -----
    The first in line at time t is the earliest arrival that leaves after t, and that is the first whose running
    maximum of leaving times exceeds t.
    """
    wait = contacts["wait_s"].to_numpy(dtype=float, na_value=0.0)
    begin = _ms(contacts["arrived"])
    end = begin + np.round(wait * 1000).astype(np.int64)
    kind = pd.Index(types).get_indexer(contacts["contact_type"].astype(str))
    taken = np.flatnonzero((contacts["outcome"] == "answered").to_numpy() & (wait > 0) & (kind >= 0))
    at = end[taken]
    parts = []
    for k in range(len(types)):
        line = np.flatnonzero((kind == k) & (wait > 0))
        line = line[np.argsort(begin[line], kind="stable")]
        reach = np.maximum.accumulate(end[line]) if len(line) else end[:0]
        first = np.searchsorted(reach, at + tick_ms, side="right" if tick_ms > 1 else "left")
        there = first < len(line)
        there[there] = begin[line[first[there]]] < at[there] - tick_ms
        there &= able[taken, k]
        row, other = taken[there], line[first[there]]
        lead = np.round((begin[row] - begin[other]) / 1000, 3)
        parts.append(pd.DataFrame({"row": row, "at": at[there], "taken": kind[row], "other": k, "lead_s": lead}))
    return pd.concat(parts, ignore_index=True)


def _log_likelihood(hits: np.ndarray, n: np.ndarray) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        p = np.where(n > 0, hits / np.maximum(n, 1), 0.0)
        return np.where(hits > 0, hits * np.log(p), 0.0) + np.where(n > hits, (n - hits) * np.log1p(-p), 0.0)


def credit_of(lead_s: np.ndarray, taken: np.ndarray) -> dict[str, Any]:
    """Judge what one type is given over another, from leads of the other and who was taken.

    Parameters
    ----------
    lead_s : ndarray
        How much longer the first of the other type had waited.
    taken : ndarray of bool
        Whether the first type was taken all the same.

    Returns
    -------
    dict
        ``rule, credit_s, low, high, share, agreement, n, said``.

    Notes
    -----
    With a credit d the first type is taken while the lead is below d: the probability of being taken is a step function
    of the lead, p₁ below d and p₂ from there on, so d is a change-point of Bernoulli trials ordered by the lead. It is
    estimated by maximum likelihood, with the interval of all d whose log-likelihood is within 3.68 of the best
    (Siegmund, D. (1988) Confidence sets in change-point problems, Int. Stat. Rev. 56, 31-48). Where not all contacts of
    the type have the credit p₁ is below 1: ``share`` is (p₁ − p₂) ÷ (p₀ − p₂), with p₀ the share taken that had waited
    longer themselves.
    """
    ours = lead_s < 0
    p0 = float(taken[ours].mean()) if ours.any() else 1.0
    behind = lead_s > 0
    order = np.argsort(lead_s[behind], kind="stable")
    x, y = lead_s[behind][order], taken[behind][order].astype(float)
    n = len(x)
    result: dict[str, Any] = {"rule": "unclear", "credit_s": np.nan, "low": np.nan, "high": np.nan, "share": np.nan,
                              "agreement": np.nan, "n": n, "said": "too few choices between the two"}  # fmt: skip
    if n < FEWEST:
        return result
    cut = np.append(np.flatnonzero(np.diff(x) > 0) + 1, n)  # a cut before row k: credit between x[k − 1] and x[k]
    hits = np.append(0.0, np.cumsum(y))
    flat = float(_log_likelihood(hits[n:], np.array([n]))[0])
    inner = cut[cut < n]
    total = _log_likelihood(hits[inner], inner) + _log_likelihood(hits[n] - hits[inner], n - inner)
    total[hits[inner] / inner <= (hits[n] - hits[inner]) / np.maximum(n - inner, 1)] = -np.inf
    best = int(np.argmax(total)) if len(inner) else -1
    p = float(y.mean())
    known = ours.sum()
    if best >= 0 and total[best] - flat > GAIN:
        at = inner[best]
        p1, p2 = float(y[:at].mean()), float(y[at:].mean())
        share = float(np.clip((p1 - p2) / max(p0 - p2, 1e-9), 0.0, 1.0))
        kept = inner[total >= total[best] - DROP]
        d = float((x[at - 1] + x[at]) / 2)
        agree = (y[:at].sum() + (1 - y[at:]).sum() + taken[ours].sum()) / (n + known)
        rule = "credit" if p1 - p2 >= FALL and share >= 0.5 else "unclear"
        said = f"taken before longer waits up to {d:.0f} s in {100 * p1:.0f} % of {at:,} choices, beyond in {100 * p2:.0f} % of {n - at:,}"
        return result | {"rule": rule, "credit_s": d, "low": float(x[kept[0] - 1]), "high": float(x[kept[-1]]),
                         "share": share, "agreement": float(agree), "said": said}  # fmt: skip
    if p <= LAPSE:
        agree = (n * (1 - p) + taken[ours].sum()) / (n + known)
        odds = np.log((1 - max(p, 1 / n)) / max(p, 1 / n))  # of a choice that a credit up to its lead would explain
        fits = np.flatnonzero(np.append(0.0, np.cumsum((2 * y - 1) * odds)) >= -DROP)[-1]
        return result | {"rule": "fifo", "credit_s": 0.0, "low": 0.0, "high": float(x[min(fits, n - 1)]), "share": 1.0,
                         "agreement": float(agree), "said": f"the longer wait was taken first in {100 * (1 - p):.0f} % of {n:,} choices"}  # fmt: skip
    if p >= RULE:
        agree = (n * p + taken[ours].sum()) / (n + known)
        said = f"taken before longer waits in {100 * p:.0f} % of {n:,} choices, whatever the lead (the longest {x[-1]:.0f} s)"
        return result | {"rule": "priority", "low": float(x[-1]), "share": 1.0, "agreement": float(agree), "said": said}
    return result | {
        "said": f"taken before longer waits in {100 * p:.0f} % of {n:,} choices, whatever the lead",
        "share": p,
    }


def _pairs(found: pd.DataFrame, types: tuple[str, ...]) -> list[dict[str, Any]]:
    rows = []
    taken, other, lead = (found[c].to_numpy() for c in ("taken", "other", "lead_s"))
    for a in range(len(types)):
        for b in range(a):
            ours, theirs = (taken == a) & (other == b), (taken == b) & (other == a)
            x = np.concatenate([lead[ours], -lead[theirs]])
            y = np.repeat([True, False], [int(ours.sum()), int(theirs.sum())])
            if not len(x):
                continue
            passed = [float(v.mean()) if len(v) else 0.0 for v in (y[x > 0], ~y[x < 0])]
            first, second = (a, b) if passed[0] >= passed[1] else (b, a)
            judged = credit_of(x, y) if first == a else credit_of(-x, ~y)
            if min(passed) > LAPSE and judged["rule"] != "unclear":
                judged |= {
                    "rule": "unclear",
                    "said": "either type passes the other's longer waits: no order between them",
                }
            rows.append({"ahead": types[first], "behind": types[second], **judged})
    return rows


def _levels(rows: list[dict[str, Any]]) -> tuple[dict[str, float], dict[str, int], list[str]]:
    """Return credits and priorities that fit all clear pairs: least squares, weighted by the intervals."""
    notes: list[str] = []
    strict = {(r["ahead"], r["behind"]) for r in rows if r["rule"] == "priority"}
    clear = [r for r in rows if r["rule"] in ("fifo", "credit")]
    names = sorted({t for r in rows if r["rule"] != "unclear" for t in (r["ahead"], r["behind"])})
    rank = dict.fromkeys(names, 1)
    for _ in names:  # the longest chain of strict priorities above a type
        for a, b in strict:
            rank[b] = max(rank[b], rank[a] + 1)
    if any(v > len(names) for v in rank.values()):
        return {}, {}, ["Strict priorities go round in a circle: no order of the types was set."]
    for r in clear:  # types compared by their waits are of the same priority
        if rank[r["ahead"]] != rank[r["behind"]]:
            low = max(rank[r["ahead"]], rank[r["behind"]])
            notes.append(
                f"{r['ahead']!r} and {r['behind']!r} are compared by their waits, yet other pairs rank them apart."
            )
            rank[r["ahead"]] = rank[r["behind"]] = low
    credit: dict[str, float] = {}
    if clear:
        index = {t: i for i, t in enumerate(names)}
        design = np.zeros((len(clear), len(names)))
        y, weight = np.zeros(len(clear)), np.zeros(len(clear))
        for i, r in enumerate(clear):
            design[i, index[r["ahead"]]], design[i, index[r["behind"]]] = 1, -1
            y[i] = r["credit_s"]
            weight[i] = 1 / max(r["high"] - r["low"], 1.0)  # a change-point errs in proportion to its interval
        value = np.linalg.lstsq(design * weight[:, None], y * weight, rcond=None)[0]
        linked = np.abs(design).T @ np.abs(design) > 0
        for _ in names:
            linked = linked @ linked
        size = linked @ (np.abs(design).T @ np.array([r["n"] for r in clear], dtype=float))
        main = linked[int(np.argmax(size))]
        credit = {
            t: float(np.round(v - value[main].min(), 1))
            for t, v, in_main in zip(names, value, main, strict=True)
            if in_main
        }
        for i, r in enumerate(clear):
            off = abs(float(design[i] @ value) - y[i])
            if off > max(r["high"] - r["low"], 10.0):
                notes.append(
                    f"The credits of the types together put {r['ahead']!r} {float(design[i] @ value):.0f} s before {r['behind']!r}; "
                    f"between the two alone it is {y[i]:.0f} s."
                )
    return credit, rank, notes


def fit_order(contacts: pd.DataFrame, base: Scenario | None = None) -> OrderFit:
    """Test the routing rule against the order of service.

    Parameters
    ----------
    contacts : DataFrame
        ContactLog. Priorities of contacts rather than types: ``history.split("priority").contacts``.
    base : Scenario, optional
        Its groups' skills decide who could have taken whom, where the log names its groups; otherwise an agent takes the
        types that it is seen to take.

    Notes
    -----
    Every answer of a contact that had waited is a choice: beside it waited the first in line of every other type that
    the agent could have taken. Two types are compared by :func:`credit_of`. The stretches are those between changes in
    the daily share of contacts passed over (:func:`~bposim.calibrate.changes.change_points`).
    """
    types = tuple(sorted(contacts["contact_type"].astype(str).unique()))
    served = contacts[contacts["outcome"] == "answered"]
    serving, told, notes = own_agents(unsplit(served))
    estimates = list(told)
    tick = resolution_ms(contacts)
    cuts = [c for c in {*serving["since"], *serving["until"]} if pd.notna(c)]
    able = skills_seen(contacts, types, base, cuts)
    found = choices(contacts, able, types, tick)
    local = pd.DatetimeIndex(contacts["arrived"]).tz_localize(None).normalize().to_numpy()
    found["day"] = local[found["row"].to_numpy()]
    between = found[(found["taken"] != found["other"]) & (found["lead_s"].abs() * 1000 > (tick if tick > 1 else 0))]
    daily = between.assign(passed=between["lead_s"] > 0).groupby("day")["passed"].agg(["sum", "size"])
    changes = change_points(daily["sum"].to_numpy(float), daily["size"].to_numpy(float), least=0.1)
    starts = [daily.index[k] for k in changes]
    edges = [pd.Timestamp.min, *starts, pd.Timestamp.max]
    rows: list[dict[str, Any]] = []
    last: list[dict[str, Any]] = []
    for since, until in itertools.pairwise(edges):
        here = between[(between["day"] >= since) & (between["day"] < until)]
        last = _pairs(here, types)
        rows += [{"since": here["day"].min(), "until": here["day"].max(), **r} for r in last]
    credit, priority, odd = _levels(last)
    notes += odd
    for before, start in zip([None, *starts[:-1]], starts, strict=False):
        earlier = daily[(daily.index < start) & (daily.index >= (before or pd.Timestamp.min))]
        later = daily[daily.index >= start]
        notes.append(
            f"The order of service changed on {start.date()}: until {earlier.index.max().date()} a longer wait of another type was "
            f"passed over in {100 * earlier['sum'].sum() / earlier['size'].sum():.0f} % of the choices between types, from then on "
            f"in {100 * later['sum'].sum() / later['size'].sum():.0f} %. What is set in the scenario is the last order."
        )
    for r in last:
        if r["n"] < FEWEST:
            continue
        partly = r["rule"] == "credit" and r["share"] < PARTLY
        more = f"; {100 * r['share']:.0f} % of its contacts have it" if partly else ""
        estimates.append(
            Estimate("strict priority" if r["rule"] == "priority" else "credit in the queue", f"{r['ahead']} over {r['behind']}",
                     r["credit_s"], r["low"], r["high"], int(r["n"]), "s", "estimated", f"{r['rule']}: {r['said']}{more}")
        )  # fmt: skip
    for t in types:
        mine = [r for r in last if r["ahead"] == t and r["rule"] == "credit"]
        most = max(mine, key=lambda r: r["n"], default=None)
        if most is not None and most["share"] < PARTLY:
            notes.append(
                f"Only {100 * most['share']:.0f} % of the contacts of {t!r} have its credit of {most['credit_s']:.0f} s over "
                f"{most['behind']!r}: the type holds two kinds of contacts. The scenario gives it to all."
            )
    estimates += _within(found, types, tick)
    chosen = agent_choice(contacts)
    if chosen is not None:
        estimates.append(chosen)
    table = (
        pd.DataFrame(rows).rename(columns={"low": "ci_low", "high": "ci_high"}) if rows else pd.DataFrame(columns=PAIRS)
    )
    return OrderFit(table.reindex(columns=PAIRS), credit, priority, tuple(s.date() for s in starts), serving,
                    tuple(estimates), tuple(notes))  # fmt: skip


def _within(found: pd.DataFrame, types: tuple[str, ...], tick: int) -> list[Estimate]:
    result = []
    own = found[found["taken"] == found["other"]]
    for k, name in enumerate(types):
        here = own.loc[own["taken"] == k, "lead_s"].to_numpy()
        if len(here) < FEWEST:
            continue
        kept = int((here * 1000 <= (tick if tick > 1 else 0)).sum())
        low, high = wilson(kept, len(here))
        said = (
            "first come, first served within the type"
            if kept / len(here) > 0.9
            else "not first come, first served within the type"
        )
        result.append(
            Estimate("order within type", name, kept / len(here), low, high, len(here), "share", "estimated", said)
        )
    return result


def order_changes(fit: OrderFit, base: Scenario) -> tuple[dict[str, Any], list[str]]:
    """Return what a fit changes in the base scenario, and why something is left as it is."""
    if base.routing.contact_choice not in ("longest-wait", "fifo"):
        return {}, [
            f"The base scenario's contact_choice {base.routing.contact_choice!r} was kept; the log's order of service is in the estimates."
        ]
    known = [t for t in base.contact_types if t in fit.priority]
    if len(known) < 2:
        return {}, []
    changes: dict[str, Any] = {f"contact_types.{t}.priority": fit.priority[t] for t in known}
    changes |= {f"contact_types.{t}.credit": f"{v:g}s" for t, v in fit.credit.items() if t in base.contact_types}
    if base.routing.contact_choice == "fifo" and (len(set(fit.priority.values())) > 1 or any(fit.credit.values())):
        changes["routing.contact_choice"] = "longest-wait"
    told = []
    rest = [t for t in base.contact_types if t not in fit.priority]
    if rest:
        told.append(
            f"The order of service does not tell the priority of {', '.join(map(repr, rest))}; kept from the base scenario."
        )
    for t in base.contact_types:
        if t in fit.credit or not any(fit.credit.values()):
            continue
        # Credit 0 would put a type that was not compared behind all others: it stands with its class, or in the middle.
        alike = [v for other, v in fit.credit.items() if "/" in t and other.rsplit("/", 1)[-1] == t.rsplit("/", 1)[-1]]
        credit = float(np.median(alike or list(fit.credit.values())))
        changes[f"contact_types.{t}.credit"] = f"{credit:g}s"
        like = "the median of the types of its class" if alike else "the median of the types compared"
        told.append(
            f"credit of {t!r} was assumed at {credit:.0f} s, {like}: the log has too few choices between it and others."
        )
    return changes, told
