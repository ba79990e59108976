"""Heads and patience for which the simulated interval report is the observed one (simulated moments)."""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bposim.calibrate.erlang_likelihood import QueueTable, Scores, scores
from bposim.calibrate.report_cells import Columns, Pool, ReportCells
from bposim.calibrate.smoothing import Prior
from bposim.distributions import Distribution, exponential, piecewise_hazard, weibull

if TYPE_CHECKING:
    from bposim.scenario import Scenario

#: Wait in seconds at which a Weibull patience is pinned down: its two parameters are then nearly independent.
PIN_S = 60.0
#: Replays of the history in each step, at least and at most, and contacts in all of them; the last steps take more, and
#: most of all the simulation that settles the parameters, from which intervals are told.
REPLAYS = (8, 24)
CONTACTS = 500_000
MORE = 3
LAST = 5
#: Steps with Erlang A, then with simulation.
STEPS = (14, 8)
#: Change of a parameter by which its effect is measured, on the log scale.
NUDGE = 0.06
#: Information that every parameter is given when it is asked whether it is told at all.
FLAT = 1e-6


@dataclass(frozen=True)
class PatienceFamily:
    """A law of patience with parameters on the whole real line.

    Attributes
    ----------
    kind : "exponential", "weibull", "piecewise" or "fixed"
    breaks : tuple of float
        Of a piecewise hazard, beginning with 0.
    fixed : Distribution or None
        A law without parameters.
    """

    kind: str
    breaks: tuple[float, ...] = ()
    fixed: Distribution | None = None

    @property
    def size(self) -> int:
        """Number of parameters."""
        return {"fixed": 0, "exponential": 1, "weibull": 2}.get(self.kind, len(self.breaks))

    def law(self, psi: np.ndarray) -> Distribution:
        """Return the distribution of these parameters."""
        if self.fixed is not None:
            return self.fixed
        if self.kind == "exponential":
            return exponential(float(np.exp(psi[0])))
        if self.kind == "weibull":
            shape = float(np.exp(psi[1]))
            return weibull(shape=shape, scale=float(PIN_S * np.exp(-psi[0] / shape)))
        return piecewise_hazard(self.breaks, np.exp(psi).tolist())

    def start(self, mean: float) -> np.ndarray:
        """Return the parameters of an exponential patience of this mean."""
        if self.kind == "exponential":
            return np.array([np.log(mean)])
        if self.kind == "weibull":
            return np.array([np.log(PIN_S / mean), 0.0])
        return np.full(len(self.breaks), -np.log(mean))


@dataclass
class PoolFit:
    """What is known so far of a pool: its heads by cell and its patience.

    Attributes
    ----------
    cells : ReportCells
    code : ndarray of int, shape (n_intervals,)
        Parameter of each interval's heads.
    heads : ndarray, shape (n_parameters,)
        Logarithms.
    prior : Prior
    family : PatienceFamily
    psi : ndarray
    handle_s : float
        Mean handle time, mean over the contacts of the pool.
    """

    pool: Pool
    cells: ReportCells
    code: np.ndarray
    heads: np.ndarray
    prior: Prior
    family: PatienceFamily
    psi: np.ndarray
    handle_s: float
    columns: Columns
    day: np.ndarray
    cv: float = 0.0
    free: bool = True
    tried: tuple[tuple[str, int, float], ...] = ()
    info: np.ndarray = field(default_factory=lambda: np.empty(0))
    pull: np.ndarray = field(default_factory=lambda: np.empty(0))
    _tables: dict[Any, QueueTable] = field(default_factory=dict)

    @property
    def staffing(self) -> np.ndarray:
        """Heads by interval."""
        return np.exp(self.heads)[self.code]

    @property
    def n_within(self) -> int:
        """Number of thresholds of the answered."""
        return len(self.columns.answered_within)

    def table(self, psi: np.ndarray | None = None) -> QueueTable:
        """Return Erlang A's answers with these parameters of patience."""
        psi = self.psi if psi is None else psi
        key = tuple(np.round(psi, 10))
        if key not in self._tables:
            if len(self._tables) > 8:
                self._tables.clear()
            top = float(self.cells.load.max(initial=0.1))
            self._tables[key] = QueueTable(
                self.handle_s, self.family.law(psi), self.columns, top, max(3 * top, top + 12)
            )
        return self._tables[key]

    def scores(self) -> Scores:
        """Return scores at the present heads."""
        return scores(self.table(), self.cells, self.staffing, self.n_within)

    def limit(self, heads: np.ndarray) -> np.ndarray:
        """Return log-heads kept within the table."""
        top = float(self.cells.load.max(initial=0.1))
        return np.clip(heads, np.log(0.05), np.log(max(3 * top, top + 12)))


@dataclass(frozen=True, eq=False)
class Played:
    """Simulated reports of a pool: shape (n_replays, n_intervals), the moments (n_replays, n_intervals, n_moments)."""

    settled: np.ndarray
    moments: np.ndarray
    handle: np.ndarray


class Replayer:
    """Plays a history's own contacts under given heads and patience.

    Parameters
    ----------
    world : Scenario
        On the history's days, with its handle times.
    volumes : DataFrame
    seed : int, optional
        None takes one of the volumes' own: under a common one all reports would be off in the same direction, by the luck of
        the same replays.
    """

    def __init__(self, world: Scenario, volumes: pd.DataFrame, fits: Sequence[PoolFit], seed: int | None = None):
        self.world, self.volumes = world, volumes
        self.seed = _seed_of(volumes) if seed is None else seed
        total = max(int(volumes["contacts"].sum()), 1)
        self.replays = int(np.clip(CONTACTS // total, *REPLAYS))
        self.columns = fits[0].columns
        self._patience: Any = None

    def play(
        self, fits: Sequence[PoolFit], *, replays: int | None = None, shift: float = 0.0,
        psis: Sequence[np.ndarray] | None = None, seed: int | None = None,
    ) -> list[Played]:  # fmt: skip
        """Return every pool's simulated reports.

        Parameters
        ----------
        shift : float
            Added to the logarithm of all heads.
        psis : sequence of ndarray, optional
            Parameters of patience in place of the present ones.
        """
        changes = {
            f"contact_types.{t}.patience": f.family.law(p).to_spec()
            for f, p in zip(fits, psis or [f.psi for f in fits], strict=True) if f.family.fixed is None
            for t in f.pool.types
        }  # fmt: skip
        world = self.world.replace(changes) if changes else self.world
        replays, seed = replays or self.replays, self.seed if seed is None else seed
        heads = {f.pool.group: f.staffing * np.exp(shift) for f in fits}
        if not any(f.cv for f in fits):
            return self._once(world, fits, heads, replays, seed)
        parts = []
        for k in range(max(replays // 4, 2)):  # days as they are drawn, four replays each
            rng = np.random.default_rng((seed, k))
            drawn = {f.pool.group: heads[f.pool.group] * _factors(f, rng) for f in fits}
            parts.append(self._once(world, fits, drawn, 4, seed + 1000 * k))
        return [
            Played(*(np.concatenate([getattr(p[j], c) for p in parts]) for c in ("settled", "moments", "handle")))
            for j in range(len(fits))
        ]

    def _once(
        self, world: Scenario, fits: Sequence[PoolFit], heads: Mapping[str, np.ndarray], replays: int, seed: int
    ) -> list[Played]:
        from bposim.simulate import simulate

        within = self.columns.thresholds or (20.0,)
        runs = simulate(
            world, volumes=self.volumes, staffing=dict(heads), replications=replays, seed=seed,
            within=[f"{t:.10g}s" for t in within], progress=False,
        )  # fmt: skip
        counts = runs.counts(within)
        result = []
        for f in fits:
            use = [counts.types.index(t) for t in f.pool.types]
            settled = sum(counts.column(c)[:, :, use].sum(axis=2) for c in ("answered", "abandoned"))
            moments = [counts.column(c)[:, :, use].sum(axis=2) for c in self.columns.names]
            known = f.cells.known
            handle = counts.column("handle_sum_s")[:, :, use].sum(axis=2)
            result.append(Played(settled * known, np.stack(moments, axis=-1) * known[:, None], handle * known))
        return result


def _seed_of(volumes: pd.DataFrame) -> int:
    counts = np.ascontiguousarray(volumes["contacts"].to_numpy(dtype="<i8"))
    return zlib.crc32(counts.tobytes()) >> 1


def _factors(fit: PoolFit, rng: np.random.Generator) -> np.ndarray:
    if not fit.cv:
        return np.ones(len(fit.code))
    days = int(fit.day.max()) + 1
    return np.asarray(rng.gamma(fit.cv**-2, fit.cv**2, days))[fit.day]


def heads_step(
    fit: PoolFit, score: Scores, settled: np.ndarray, moments: np.ndarray, damp: float, over: float | None = None
) -> None:
    """Move heads by one step of Fisher scoring, with the expected counts of Erlang A or of simulation.

    Parameters
    ----------
    over : float, optional
        Variance of a score over that of independent contacts; None takes it from what is left now.
    """
    residual = score.of(fit.cells.moments, fit.cells.settled) - score.of(moments, settled)
    # Contacts of an interval wait together: fewer independent observations than contacts.
    over = max(over or float((residual**2).sum() / max(score.info.sum(), 1e-9)), 1.0)
    n = len(fit.heads)
    fit.pull = np.bincount(fit.code, residual, minlength=n) / over
    fit.info = np.bincount(fit.code, score.info, minlength=n) / over
    step = fit.prior.solve(fit.pull, fit.info, fit.heads) - fit.heads
    fit.heads = fit.limit(fit.heads + np.clip(damp * step, -0.3, 0.3))


@dataclass(frozen=True, eq=False)
class Match:
    """How the sum of each moment over the history follows the parameters, and what the report says of them.

    Attributes
    ----------
    gap : ndarray, shape (n_moments,)
        Observed less simulated totals.
    between, within : ndarray, shape (n_moments, n_moments)
        Covariance of the gap, as the days tell and as the replays do.
    by_head, by_psi : ndarray, shape (n_moments,), (n_moments, n_psi)
        Derivatives.
    """

    gap: np.ndarray
    between: np.ndarray
    within: np.ndarray
    by_head: np.ndarray
    by_psi: np.ndarray

    @property
    def weight(self) -> np.ndarray:
        """Inverse of the mean of both covariances."""
        cov = (self.between + self.within) / 2
        return np.linalg.inv(cov + np.diag(1e-4 * np.diag(cov) + 1e-9))

    @property
    def map(self) -> np.ndarray:
        """Matrix that turns a gap into the change of psi: blind to the level of heads, efficient otherwise (Hansen 1982)."""
        j = np.column_stack([self.by_head, self.by_psi])
        weight = self.weight
        return (_inverse(j.T @ weight @ j) @ j.T @ weight)[1:]

    @property
    def blind(self) -> np.ndarray:
        """Which parameters of patience the report hardly tells: the standard error of their logarithm is above 1, bool."""
        j = np.column_stack([self.by_head, self.by_psi])
        information = j.T @ self.weight @ j
        return np.asarray(np.diag(np.linalg.inv(information + FLAT * np.eye(len(information))))[1:] > 1.0)

    @property
    def misfit(self) -> float:
        """Hansen's J: what no level of heads and no parameter of patience explains."""
        j = np.column_stack([self.by_head, self.by_psi])
        weight = self.weight
        left = self.gap - j @ _inverse(j.T @ weight @ j) @ (j.T @ weight @ self.gap)
        return float(left @ weight @ left)


def _inverse(information: np.ndarray) -> np.ndarray:
    """Invert an information matrix; what has no effect on any moment, such as a hazard beyond every wait, is left where it is.

    Its variance comes out as 0: :attr:`Match.blind` names such parameters, whose intervals these errors do not hold.
    """
    scale = np.sqrt(np.maximum(np.diag(information), 1e-300))
    found = np.linalg.pinv(information / np.outer(scale, scale), rcond=1e-9, hermitian=True)
    return np.asarray(found / np.outer(scale, scale))


def day_sums(fit: PoolFit, values: np.ndarray) -> np.ndarray:
    """Return sums by day of values of shape (n_intervals, n)."""
    out = np.zeros((int(fit.day.max()) + 1, values.shape[-1]))
    np.add.at(out, fit.day, values)
    return out


def cov_between(fit: PoolFit, expected: np.ndarray) -> np.ndarray:
    """Return the covariance of the totals from how days differ from what is expected, shape (n_moments, n_moments)."""
    rest = day_sums(fit, fit.cells.moments - expected)
    return np.cov(rest.T).reshape(rest.shape[1], -1) * len(rest)


def by_erlang(fits: Sequence[PoolFit]) -> None:
    """Bring heads and patience of every pool to where Erlang A by interval meets the report."""
    for fit in fits:
        for k in range(STEPS[0]):
            settled = fit.cells.settled[:, None]
            table = fit.table()
            expected = settled * table.at(fit.cells.load, fit.staffing)
            heads_step(fit, fit.scores(), fit.cells.settled, expected, 1.0)
            if k in (4, 8):
                fit.prior = fit.prior.chosen(fit.pull, fit.info, fit.heads)
            if not fit.free or k < 2:
                continue
            expected = settled * table.at(fit.cells.load, fit.staffing)
            by_psi = []
            for p in range(fit.family.size):
                ends = [fit.psi + s * NUDGE * np.eye(fit.family.size)[p] for s in (1, -1)]
                high, low = (fit.table(e).at(fit.cells.load, fit.staffing) for e in ends)
                by_psi.append((settled * (high - low)).sum(axis=0) / (2 * NUDGE))
            cov = cov_between(fit, expected)
            found = Match(
                (fit.cells.moments - expected).sum(axis=0), cov, cov,
                (settled * table.slope(fit.cells.load, fit.staffing)).sum(axis=0), np.array(by_psi).T,
            )  # fmt: skip
            fit.psi = fit.psi + np.clip(found.map @ found.gap, -0.5, 0.5)


@dataclass(frozen=True, eq=False)
class Slopes:
    """How a pool's expected simulated report follows the level of heads and each parameter of patience, by interval.

    Attributes
    ----------
    settled, moments : ndarray, shape (1 + n_psi, n_intervals), (1 + n_psi, n_intervals, n_moments)
        The level of heads first.
    """

    settled: np.ndarray
    moments: np.ndarray


def slopes(fits: Sequence[PoolFit], replayer: Replayer, replays: int | None = None) -> list[Slopes]:
    """Measure slopes by replays under the same luck, the parameters moved up and down."""
    found: list[list[tuple[np.ndarray, np.ndarray]]] = [[] for _ in fits]
    for p in range(-1, max(f.family.size for f in fits)):
        ends = []
        for s in (NUDGE, -NUDGE):
            psis = [f.psi + s * (np.arange(f.family.size) == p) for f in fits]
            ends.append(replayer.play(fits, replays=replays, shift=s if p < 0 else 0.0, psis=psis))
        for k, f in enumerate(fits):
            if p < f.family.size:
                high, low = ends[0][k], ends[1][k]
                found[k].append(
                    ((high.settled.mean(axis=0) - low.settled.mean(axis=0)) / (2 * NUDGE),
                     (high.moments.mean(axis=0) - low.moments.mean(axis=0)) / (2 * NUDGE))
                )  # fmt: skip
    return [Slopes(np.array([a for a, _ in rows]), np.array([b for _, b in rows])) for rows in found]


def match(fit: PoolFit, played: Played, slope: Slopes) -> Match:
    """Compare the totals of the observed report with those of the simulated ones."""
    expected = played.moments.mean(axis=0)
    totals = slope.moments.sum(axis=1)
    gap = (fit.cells.moments - expected).sum(axis=0)
    within = np.cov(played.moments.sum(axis=1).T).reshape(len(gap), -1)
    return Match(gap, cov_between(fit, expected), within, totals[0], totals[1:].T)


def by_simulation(fits: Sequence[PoolFit], replayer: Replayer, steps: int = STEPS[1]) -> list[Match]:
    """Move heads and patience until the simulated report meets the observed one; return how it does in the end."""
    slope: list[Slopes] = []
    for k in range(steps):
        if k in (min(2, steps - 2), steps - 3):
            slope = slopes(fits, replayer)
        played = replayer.play(fits, replays=replayer.replays * (MORE if k >= steps - 2 else 1))
        for j, (fit, p) in enumerate(zip(fits, played, strict=True)):
            score = fit.scores()
            if fit.free and slope:
                m = match(fit, p, slope[j])
                fit.psi = fit.psi + np.clip(m.map @ m.gap, -0.3, 0.3)
            heads_step(fit, score, p.settled.mean(axis=0), p.moments.mean(axis=0), 0.8)
    played = replayer.play(fits, replays=replayer.replays * MORE)
    return [match(f, p, s) for f, p, s in zip(fits, played, slope, strict=True)]


def settle(fits: Sequence[PoolFit], replayer: Replayer, slope: Sequence[Slopes]) -> list[Played]:
    """Move heads and patience by a last step, to what the longest simulation says; return that simulation.

    What the last step was taken from is what the estimates owe to the luck of replays: n of them add 1/n to the variance.
    """
    for fit, played, s in zip(fits, replayer.play(fits, replays=LAST * replayer.replays), slope, strict=True):
        score = fit.scores()
        if fit.free:
            m = match(fit, played, s)
            fit.psi = fit.psi + np.clip(m.map @ m.gap, -0.3, 0.3)
        heads_step(fit, score, played.settled.mean(axis=0), played.moments.mean(axis=0), 0.8)
    return replayer.play(fits, replays=LAST * replayer.replays)


def with_family(fit: PoolFit, family: PatienceFamily, psi: np.ndarray) -> PoolFit:
    """Return a copy with another law of patience."""
    return replace(fit, family=family, psi=psi, heads=np.array(fit.heads), _tables={})
