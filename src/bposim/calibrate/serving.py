"""Which agents serve which types, since when, and whether an arriving contact goes to the agent idle longest."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.changes import change_points
from bposim.calibrate.estimates import Estimate, jackknife_ratio, mean_interval

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: An agent's day belongs to one type with at least this share of its answers.
OWN = 0.9
#: Risk of such a day by chance in a common pool.
RISK = 1e-4
#: Share of a type's answers by agents of its own, from which on they are told.
SHOWN = 0.1
#: A type is not taken by an agent who takes it less than this often, relative to the type's share.
RARE = 0.2
#: Answers of an agent from which on its own types are held against those of its group.
KNOWN = 100
#: Arrivals looked at for the choice of the agent.
MOST = 20_000
#: An agent who begins or ended a contact this long before or after is taken to be there.
NEAR_MS = 900_000
SERVING = ["contact_type", "since", "until", "share", "ci_low", "ci_high", "n", "agents"]


def _days(contacts: pd.DataFrame, column: str = "answered") -> np.ndarray:
    return pd.DatetimeIndex(contacts[column]).tz_localize(None).normalize().to_numpy()


def unsplit(contacts: pd.DataFrame) -> pd.DataFrame:
    """Return contacts under their types before ``history.split()``: whoever takes one class takes the others."""
    return contacts.assign(contact_type=contacts["whole_type"]) if "whole_type" in contacts else contacts


def _named(contacts: pd.DataFrame) -> pd.DataFrame:
    """Return answered contacts of a named agent with ``agent`` (group and name where groups are given), ``kind``, ``day``."""
    use = contacts[(contacts["outcome"] == "answered") & contacts["agent"].notna() & contacts["answered"].notna()]
    name = use["agent"].astype(str)
    if use["agent_group"].notna().any():
        name = use["agent_group"].astype(str) + "/" + name
    return pd.DataFrame(
        {"agent": name.to_numpy(), "kind": use["contact_type"].astype(str).to_numpy(), "day": _days(use)},
        index=use.index,
    )


def own_days(contacts: pd.DataFrame) -> pd.DataFrame:
    """Return ``agent, day, kind, n, own``: answers of every agent's day and type, and whether the day was that type's own.

    Notes
    -----
    A day is a type's own where the type makes up 90 % of its answers and a pool that shares all types would give so
    many with probability below 1e-4.
    """
    from scipy.special import bdtrc

    named = _named(contacts)
    table = named.groupby(["agent", "day", "kind"]).size().rename("n").reset_index()
    total = table.groupby(["agent", "day"])["n"].transform("sum").to_numpy()
    usual = named["kind"].value_counts(normalize=True)
    n = table["n"].to_numpy()
    by_chance = bdtrc(n - 1, total, table["kind"].map(usual).to_numpy(float))
    return table.assign(own=(n >= OWN * total) & (by_chance < RISK))


def own_agents(contacts: pd.DataFrame) -> tuple[pd.DataFrame, list[Estimate], list[str]]:
    """Return which types have agents of their own, since when, with estimates and notes."""
    rows: list[dict[str, Any]] = []
    estimates: list[Estimate] = []
    notes: list[str] = []
    if "agent" not in contacts or not contacts["agent"].notna().any():
        return pd.DataFrame(columns=SERVING), estimates, notes
    table = own_days(contacts)
    for kind, mine in table.groupby("kind"):
        daily = mine.assign(hits=mine["n"] * mine["own"]).groupby("day")[["hits", "n"]].sum()
        hits, n = daily["hits"].to_numpy(float), daily["n"].to_numpy(float)
        cuts = [0, *change_points(hits, n, least=SHOWN), len(daily)]
        shares = [hits[a:b].sum() / max(n[a:b].sum(), 1) for a, b in itertools.pairwise(cuts)]
        if max(shares) < SHOWN:
            continue
        for k, (a, b) in enumerate(itertools.pairwise(cuts)):
            share, low, high = jackknife_ratio(hits[a:b], n[a:b], None, b - a - 1)
            since, until = daily.index[a], daily.index[b - 1]
            named = mine[mine["own"] & (mine["day"] >= since) & (mine["day"] <= until)]
            names = tuple(sorted(named["agent"].unique()))
            high = min(high, 1.0)
            rows.append(
                dict(zip(SERVING, (kind, since, until, share, low, high, int(n[a:b].sum()), names), strict=True))
            )
            if share < SHOWN:
                continue
            whole = len(shares) == 1
            when = "" if whole else f"from {since.date()} " + (f"to {until.date()} " if b < len(daily) else "on ")
            said = f"{when}by agents who took nothing else on that day: {', '.join(names[:12])}{' …' if len(names) > 12 else ''}"
            estimates.append(Estimate("answers by agents of its own", str(kind), share, low, high, int(n[a:b].sum()), "share",
                                      "estimated", said))  # fmt: skip
            if not whole and k > 0 and shares[k - 1] < share:
                before = daily.index[a - 1].date()
                notes.append(
                    f"From {since.date()} {kind!r} has agents of its own: {100 * share:.0f} % of its answers come from agents who "
                    f"take nothing else that day; until {before} {100 * shares[k - 1]:.0f} %. A scenario has one set of groups: fit "
                    "the two stretches apart, or name the groups with group_agents()."
                )
    return pd.DataFrame(rows, columns=SERVING), estimates, notes


def skills_seen(contacts: pd.DataFrame, types: tuple[str, ...], base: Scenario | None, cuts: list[Any]) -> np.ndarray:
    """Tell which types the agent of each contact takes, shape (n_contacts, n_types).

    Parameters
    ----------
    contacts : DataFrame
    types : tuple of str
        Classes that ``history.split()`` made of one type share its skill.
    base : Scenario, optional
        Its groups' skills, for contacts whose ``agent_group`` it knows.
    cuts : list of Timestamp
        Days at which agents' skills may have changed: they are read off stretch by stretch.

    Notes
    -----
    An agent takes a type that makes up at least a fifth of the type's usual share among its answers, and three answers.
    Where its group is known too, the types are those of both, or the group's for an agent with fewer than 100 answers.
    """
    able = np.zeros((len(contacts), len(types)), dtype=bool)
    often = np.zeros(len(contacts), dtype=bool)
    if "agent" in contacts and contacts["agent"].notna().any():
        named = _named(contacts)
        whole = pd.Series(
            unsplit(contacts)["contact_type"].astype(str).to_numpy(), index=contacts["contact_type"].astype(str)
        )
        stem = whole[~whole.index.duplicated()].reindex(types)
        part = np.searchsorted(np.sort(pd.DatetimeIndex(cuts).to_numpy()), named["day"].to_numpy(), side="right")
        who = named["agent"] + "@" + part.astype(str)
        skill = named["kind"].map(stem)
        count = pd.crosstab(who.to_numpy(), skill.to_numpy())
        share = count.div(count.sum(axis="columns"), axis="index")
        usual = count.sum(axis="index") / count.to_numpy().sum()
        takes = ((share >= RARE * usual) & (count >= 3)).reindex(columns=stem.to_numpy(), fill_value=False)
        at = contacts.index.get_indexer(named.index)
        able[at] = takes.to_numpy()[takes.index.get_indexer(who)]
        often[at] = (count.sum(axis="columns") >= KNOWN).to_numpy()[count.index.get_indexer(who)]
    if base is not None and "agent_group" in contacts:
        group = contacts["agent_group"].astype(object)
        for g, body in base.agent_groups.items():
            mine, skills = (group == g).to_numpy(), np.isin(types, list(body.skills))
            able[mine] = np.where(often[mine, None], able[mine] & skills, skills)
    return able


def agent_choice(contacts: pd.DataFrame, seed: int = 1) -> Estimate | None:
    """Compare the agent that took an arriving contact with the others who were free; None where too few can be seen.

    Notes
    -----
    Of the free agents who take the type, ended a contact up to 15 minutes ago and begin one within 15 minutes, the one
    that took the contact is ranked by its idle time, from 0 (idle shortest) to 1 (longest). The mean rank is 1 where the
    longest idle is taken and 0.5 where any is, whoever is there. Agents who were away and came back lower it.
    """
    if "agent" not in contacts:
        return None
    named = _named(contacts[contacts["ended"].notna()])
    if not len(named):
        return None
    log = contacts.loc[named.index]
    start = pd.DatetimeIndex(log["answered"]).tz_convert("UTC").as_unit("ms").asi8
    stop = pd.DatetimeIndex(log["ended"]).tz_convert("UTC").as_unit("ms").asi8
    agent, names = pd.factorize(named["agent"])
    kind, kinds = pd.factorize(named["kind"])
    count = np.zeros((len(names), len(kinds)))
    np.add.at(count, (agent, kind), 1)
    takes = (count >= 3) & (count / count.sum(axis=1, keepdims=True) >= RARE * count.sum(axis=0) / count.sum())
    at_once = np.flatnonzero(log["wait_s"].to_numpy(dtype=float, na_value=np.nan) == 0)
    if len(at_once) > MOST:
        at_once = np.sort(np.random.default_rng((seed, 45)).choice(at_once, MOST, replace=False))
    t = start[at_once]
    longer = np.zeros(len(at_once))
    shorter = np.zeros(len(at_once))
    mine = np.full(len(at_once), -1, dtype=np.int64)
    idle = []
    for a in range(len(names)):
        own = np.flatnonzero(agent == a)
        own = own[np.argsort(start[own], kind="stable")]
        k = np.searchsorted(start[own], t, side="left")
        before = np.append(np.int64(-1) << 60, np.maximum.accumulate(stop[own]))[k]
        after = np.append(start[own], np.int64(1) << 60)[k]
        free = (before <= t) & (t - before <= NEAR_MS) & (after - t <= NEAR_MS) & takes[a, kind[at_once]]
        gone = np.where(free, t - before, -1)
        took = agent[at_once] == a
        mine[took] = gone[took]
        idle.append(np.where(took, -1, gone))
    for gone in idle:
        longer += (gone >= 0) & (gone > mine)
        shorter += (gone >= 0) & (gone < mine)
    others = longer + shorter
    use = (mine >= 0) & (others > 0)
    if use.sum() < 100:
        return None
    rank = shorter[use] / others[use]
    value, low, high = mean_interval(rank)
    first = float((longer[use] == 0).mean())
    if value >= 0.85:
        verdict = "longest-idle"
    elif low <= 0.55 and high >= 0.45:
        verdict = "any free agent alike"
    else:
        verdict = "neither the longest idle nor any alike"
    said = f"{verdict}: the agent idle longest took {100 * first:.0f} % of {int(use.sum()):,} contacts that found several free"
    return Estimate("rank of the agent by idle time", "all", value, low, high, int(use.sum()), "", "estimated", said)


def group_agents(history: Any, *, types: Sequence[str] | None = None) -> Any:
    """Return a history whose ``agent_group`` tells agents of one type only from the rest.

    Parameters
    ----------
    history : History
        Contact log with agents' names and without groups. Not modified.
    types : list of str, optional
        Contact types that may have agents of their own; None: all.

    Returns
    -------
    History
        An agent's answers of a day are in the group ``"<type> only"`` where that day was the type's own
        (:func:`own_days`) and the type has agents of its own at the time; in ``"general"`` otherwise.
    """
    contacts = history.contacts
    whole = unsplit(contacts)
    serving, _, _ = own_agents(whole)
    table = own_days(whole)
    shown = serving[serving["share"] >= SHOWN]
    if types is not None:
        shown = shown[shown["contact_type"].isin(list(types))]
    keys: dict[tuple[Any, Any], str] = {}
    for row in shown.itertuples():
        here = table[table["own"] & (table["kind"] == row.contact_type) & table["day"].between(row.since, row.until)]
        keys |= {(a, d): f"{row.contact_type} only" for a, d in zip(here["agent"], here["day"], strict=True)}
    named = _named(contacts)
    group = [keys.get(key, "general") for key in zip(named["agent"], named["day"], strict=True)]
    label = pd.Series(pd.NA, index=contacts.index, dtype="str")
    label.loc[named.index] = group
    frame = contacts.assign(agent_group=label)
    return history._with(frame, step=("group_agents", {}))
