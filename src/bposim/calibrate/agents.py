"""Agents' speed, learning and the days' own level: mixed effects on the logarithm of the handle time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import linalg, sparse, special

from bposim.calibrate.estimates import Estimate

#: Risk of telling a spread where there is none.
RISK = 0.001
#: Days before an agent's first contact that the log must hold for its tenure to be known: so many, of the last so many.
SEEN_BEFORE, NEW_AFTER = 10, 28
#: New agents below which learning is not told, and the days and contacts that each must have.
NEW_AGENTS, NEW_DAYS, NEW_CONTACTS = 5, 14, 30
#: Days of a month, the unit of tenure.
MONTH = 30.0
#: Agents, days and contacts below which no spread is estimated.
FEWEST_AGENTS, FEWEST_DAYS, FEWEST_CONTACTS = 5, 10, 200
COLUMNS = ["agent", "contacts", "speed", "ci_low", "ci_high", "tenure_days"]


@dataclass(frozen=True, eq=False)
class AgentFit:
    """How agents and days differ in handle time.

    Attributes
    ----------
    agents : DataFrame
        ``agent, contacts, speed, ci_low, ci_high, tenure_days``: speed multiplies the handle time as in a scenario
        (0.9 is a tenth faster than the average contact's agent), at the end of the log, drawn towards 1 the less is
        known of the agent. The tenure is missing where the agent may have been there before.
    estimates : tuple of Estimate
    agent_sd, day_sd : float
        Of the logarithm; 0 where none is clearly there.
    learning : float or None
        Change of the logarithm with each doubling of 1 + months of tenure; None where it cannot be told.
    notes : tuple of str
    untold : str
        Why nothing was estimated; empty where it was.
    """

    agents: pd.DataFrame
    estimates: tuple[Estimate, ...]
    agent_sd: float
    day_sd: float
    learning: float | None
    notes: tuple[str, ...] = ()
    untold: str = ""


@dataclass(frozen=True, eq=False)
class _Solution:
    design: sparse.csr_matrix
    b: np.ndarray
    inverse: np.ndarray
    error: float  # variance of one contact
    agent: float
    day: float
    edf: tuple[float, float]
    residual: np.ndarray
    gram: np.ndarray
    right: np.ndarray


def fit_agents(
    handle_s: np.ndarray, agent: np.ndarray, day: np.ndarray, contact_type: np.ndarray, subject: str = "all"
) -> AgentFit:
    """Estimate how agents differ in handle time, how they learn, and how days differ.

    Parameters
    ----------
    handle_s : ndarray of float
        Handle times above 0; without short calls, for a logarithm takes those for very fast work.
    agent, contact_type : ndarray of str
    day : ndarray of datetime64 or int
        Local day; whole numbers count days.
    subject : str
        Of the estimates: the contact type, or ``all``.

    Returns
    -------
    AgentFit

    Notes
    -----
    log y = type + new·γ + β·log2(1 + months of tenure) + agent + day + error, agents and days normal. Variances by
    restricted maximum likelihood (the fixed point of Schall, 1991) on the means of agent, day and type: contacts that an
    agent takes on one day may hang together. The spread is told only where an F test finds it; its interval is a
    chi-square's with as many degrees of freedom as the shrinkage leaves agents (or days). β rests on agents whose first
    contact is inside the log; its interval takes the agents, not the contacts, as independent.
    """
    use = np.isfinite(handle_s) & (handle_s > 0)
    when = np.asarray(day)[use]
    number = when.astype("datetime64[D]").astype(np.int64) if when.dtype.kind == "M" else when.astype(np.int64)
    a_code, a_names = pd.factorize(np.asarray(agent, dtype=object)[use], sort=True)
    t_code, t_names = pd.factorize(np.asarray(contact_type, dtype=object)[use], sort=True)
    d_code, d_values = pd.factorize(number, sort=True)
    named = a_code >= 0
    y = np.log(handle_s[use])
    n_a, n_d = len(a_names), len(d_values)
    empty = pd.DataFrame({c: [] for c in COLUMNS})
    if n_a < FEWEST_AGENTS or n_d < FEWEST_DAYS or named.sum() < FEWEST_CONTACTS:
        few = (
            f"{n_a} agents on {n_d} days with {int(named.sum()):,} contacts; {FEWEST_AGENTS} agents, {FEWEST_DAYS} days and "
            f"{FEWEST_CONTACTS} contacts are needed"
        )
        told = Estimate("spread between agents", subject, np.nan, n=int(named.sum()), source="assumed",
                        detail=f"not estimated: {few}")  # fmt: skip
        return AgentFit(empty, (told,), 0.0, 0.0, None, untold=few)
    frame = pd.DataFrame({"a": a_code, "d": d_code, "t": t_code, "y": y})[named]
    table = frame.groupby(["a", "d", "t"], sort=True)["y"].agg(["size", "mean"]).reset_index()
    a, d, t = (table[c].to_numpy() for c in "adt")
    n, mean = table["size"].to_numpy(dtype=float), table["mean"].to_numpy()
    first = pd.Series(d_values[d]).groupby(a).min().reindex(range(n_a)).to_numpy()
    last = pd.Series(d_values[d]).groupby(a).max().reindex(range(n_a)).to_numpy()
    contacts = np.bincount(a, n, minlength=n_a)
    # A log that begins, or begins again, shortly before an agent does cannot tell whether it is new.
    before = np.searchsorted(d_values, first) - np.searchsorted(d_values, first - NEW_AFTER)
    new = before >= SEEN_BEFORE
    new &= first - d_values[0] >= NEW_AFTER
    learner = new & (last - first >= NEW_DAYS) & (contacts >= NEW_CONTACTS)
    learns = int(learner.sum()) >= NEW_AGENTS
    x_of = np.log2(1 + (d_values[d] - first[a]) / MONTH)
    cell = np.arange(len(n))
    fixed = [sparse.csr_matrix((np.ones(len(n)), (cell, t)), shape=(len(n), len(t_names)))]
    if learns:
        fixed += [sparse.csr_matrix(np.column_stack([learner[a], np.where(learner[a], x_of, 0.0)]))]
    p = len(t_names) + 2 * learns
    solved = _solve(sparse.hstack(fixed).tocsr(), a, d, n, mean, n_a, n_d)
    estimates: list[Estimate] = []
    notes: list[str] = []
    total = int(n.sum())
    agent_sd = _spread("spread between agents", subject, solved.agent, solved.edf[0], n_a, total, "agents",
                       _f_test(solved, n, p, n_a, n_d, "agent"), estimates)  # fmt: skip
    day_sd = _spread("spread between days (handle time)", subject, solved.day, solved.edf[1], n_d, total, "days",
                     _f_test(solved, n, p, n_a, n_d, "day"), estimates)  # fmt: skip
    learning = None
    if learns:
        learning = _learning(solved, a, n, p, learner, subject, estimates, notes)
    else:
        said = f"not estimated: {int(learner.sum())} agents begin inside the log, {NEW_AGENTS} are needed"
        estimates.append(
            Estimate("learning", subject, np.nan, n=int(learner.sum()), unit="%", source="assumed", detail=said)
        )
    latest = np.log2(1 + (last - first) / MONTH)
    speeds = _speeds(solved, p, learner if learns else np.zeros(n_a, dtype=bool), latest, contacts)
    rows = pd.DataFrame({
        "agent": a_names, "contacts": contacts.astype(int), **speeds,
        "tenure_days": np.where(new, last - first, np.nan),
    })  # fmt: skip
    return AgentFit(rows[COLUMNS], tuple(estimates), agent_sd, day_sd, learning, tuple(notes))


def _solve(
    fixed: sparse.csr_matrix, a: np.ndarray, d: np.ndarray, n: np.ndarray, mean: np.ndarray, n_a: int, n_d: int
) -> _Solution:
    """Solve the mixed model equations at the variances that maximise the restricted likelihood."""
    p, m = fixed.shape[1], len(n)
    cell, one = np.arange(m), np.ones(m)
    design = sparse.hstack(
        [
            fixed,
            sparse.csr_matrix((one, (cell, a)), shape=(m, n_a)),
            sparse.csr_matrix((one, (cell, d)), shape=(m, n_d)),
        ]
    ).tocsr()
    weighted = design.multiply(n[:, None]).tocsr()
    gram = (design.T @ weighted).toarray()
    right = np.asarray(weighted.T @ mean).ravel()
    of_a, of_d = slice(p, p + n_a), slice(p + n_a, p + n_a + n_d)
    size = p + n_a + n_d
    spread = float(np.average((mean - np.average(mean, weights=n)) ** 2, weights=n) * n.mean())
    error, agent, day = spread, spread / n.mean() / 4, spread / n.mean() / 4
    scale = 1e-9 * float(np.diag(gram).max())
    for _ in range(60):
        matrix = gram.copy()
        index = np.arange(size)
        matrix[index[:p], index[:p]] += scale
        matrix[index[of_a], index[of_a]] += error / agent
        matrix[index[of_d], index[of_d]] += error / day
        lower = linalg.cholesky(matrix, lower=True, overwrite_a=True, check_finite=False)
        inverse, _ = linalg.lapack.dpotri(lower, lower=True)
        inverse = np.tril(inverse) + np.tril(inverse, -1).T
        b = inverse @ right
        residual = mean - np.asarray(design @ b).ravel()
        diagonal = np.diag(inverse)
        edf_a = n_a - error / agent * float(diagonal[of_a].sum())
        edf_d = n_d - error / day * float(diagonal[of_d].sum())
        before = np.array([error, agent, day])
        floor = 1e-7 * error
        # What an agent's or day's mean errs by is the scale on which a variance near 0 may stop moving.
        slack = 2 * error * np.array([0.0, n_a, n_d]) / n.sum()
        agent_new = max(float(b[of_a] @ b[of_a]) / max(edf_a, 1e-9), floor)
        day_new = max(float(b[of_d] @ b[of_d]) / max(edf_d, 1e-9), floor)
        error = float(n @ residual**2) / max(m - p - edf_a - edf_d, 1.0)
        agent, day = agent_new, day_new
        if np.all(np.abs(np.array([error, agent, day]) - before) < 1e-3 * (before + slack)):
            break
    return _Solution(design, b, inverse, error, agent, day, (edf_a, edf_d), residual, gram, right)


def _f_test(solved: _Solution, n: np.ndarray, p: int, n_a: int, n_d: int, what: str) -> tuple[float, float, float]:
    """Compare the fit with free effects of agents (or days) with one without.

    Returns
    -------
    (float, float, float)
        F, its p value, and the upper limit of the variance that F allows at 97.5 %.
    """
    mine = np.zeros(len(solved.gram), dtype=bool)
    mine[slice(p, p + n_a) if what == "agent" else slice(p + n_a, p + n_a + n_d)] = True
    penalty = np.full(len(mine), 1e-9 * float(np.diag(solved.gram).max()))
    penalty[p : p + n_a] = solved.error / solved.agent
    penalty[p + n_a :] = solved.error / solved.day
    penalty[mine] = 1e-9 * float(np.diag(solved.gram).max())

    def explained(keep: np.ndarray) -> float:
        matrix = solved.gram[np.ix_(keep, keep)] + np.diag(penalty[keep])
        return float(solved.right[keep] @ linalg.solve(matrix, solved.right[keep], assume_a="pos"))

    k = int(mine.sum()) - 1
    freedom = max(len(n) - p - n_a - n_d, 1)
    f = max(explained(np.ones(len(mine), dtype=bool)) - explained(~mine), 0.0) / k / solved.error
    each = np.diag(solved.gram)[mine]
    per = (each.sum() - (each**2).sum() / each.sum()) / k
    upper = max(f / special.fdtri(k, freedom, 0.025) - 1, 0.0) * solved.error / per
    return f, float(special.fdtrc(k, freedom, f)), float(upper)


def _spread(
    what: str, subject: str, variance: float, edf: float, q: int, n: int, units: str, test: tuple[float, float, float],
    estimates: list[Estimate],
) -> float:  # fmt: skip
    """Append the standard deviation of effects with its interval, or "none" with an upper limit; return what to use."""
    _, p_value, upper = test
    said = f"standard deviation of log handle time between {q} {units} (p = {p_value:.2g})"
    if p_value >= RISK:
        estimates.append(
            Estimate(what, subject, 0.0, 0.0, float(np.sqrt(upper)), n, "log", "estimated", f"none: {said}")
        )
        return 0.0
    freedom = max(edf * edf / max(q - 1, 1), 0.5)
    low, high = (float(np.sqrt(variance * freedom / special.chdtri(freedom, 1 - c))) for c in (0.975, 0.025))
    value = float(np.sqrt(variance))
    estimates.append(Estimate(what, subject, value, low, high, n, "log", "estimated", said))
    return value


def _learning(
    solved: _Solution, a: np.ndarray, n: np.ndarray, p: int, learner: np.ndarray, subject: str,
    estimates: list[Estimate], notes: list[str],
) -> float:  # fmt: skip
    """Append the change of the handle time with each doubling of 1 + months of tenure."""
    beta = float(solved.b[p - 1])
    own = float(np.sqrt(solved.error * solved.inverse[p - 1, p - 1]))
    fixed = solved.design[:, :p].multiply((n * solved.residual)[:, None]).tocsr()
    by_agent = np.asarray((sparse.csr_matrix((np.ones(len(a)), (a, np.arange(len(a)))))) @ fixed.toarray())
    scores = by_agent[learner[: len(by_agent)]] @ solved.inverse[:p, p - 1]
    k = len(scores)
    error = max(own, float(np.sqrt((scores**2).sum() * k / (k - 1))))
    half = float(special.stdtrit(k - 1, 0.975)) * error
    value, low, high = (100 * float(np.expm1(v)) for v in (beta, beta - half, beta + half))
    clear = low > 0 or high < 0
    said = f"handle time with each doubling of 1 + months of tenure, {k} agents that begin inside the log"
    if not clear:
        said = f"none that is clear: {said}"
    estimates.append(Estimate("learning", subject, value, low, high, k, "%", "estimated", said))
    if clear:
        notes.append(
            f"New agents' handle time changes by {value:+.1f} % [{low:+.1f}, {high:+.1f}] with each doubling of 1 + months "
            "of tenure. The scenario holds the mean of the log; hiring changes it."
        )
    return beta


def _speeds(
    solved: _Solution, p: int, learner: np.ndarray, latest: np.ndarray, contacts: np.ndarray
) -> dict[str, np.ndarray]:
    """Return speeds and intervals relative to the average contact's agent."""
    n_a = len(learner)
    pick = np.zeros((n_a, len(solved.b)))
    pick[np.arange(n_a), p + np.arange(n_a)] = 1.0
    if learner.any():
        pick[learner, p - 2] = 1.0
        pick[learner, p - 1] = latest[learner]
    pick -= (contacts / contacts.sum()) @ pick
    level = pick @ solved.b
    error = np.sqrt(solved.error * np.maximum(np.einsum("ij,ij->i", pick @ solved.inverse, pick), 0.0))
    return {
        "speed": np.exp(level), "ci_low": np.exp(level - 1.959964 * error), "ci_high": np.exp(level + 1.959964 * error),
    }  # fmt: skip
