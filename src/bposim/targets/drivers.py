"""Which uncertainty breaks a target: Shapley shares of the variance of the window's metric and of the chance to miss."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations
from math import factorial
from typing import Any

import numpy as np
import pandas as pd

from bposim.engines.volumes import VolumePaths, load_volumes
from bposim.errors import parameter
from bposim.provenance import Provenance
from bposim.scenario import Scenario, Target
from bposim.simulate import SimulationResult, simulate
from bposim.simulate.run import show_progress
from bposim.targets.assess import check_question
from bposim.targets.probability import meets, window_values

#: What each source is, in words.
WORDS = {
    "volume level": "how busy the days are",
    "volume shape": "how contacts spread over the day",
    "handle time": "the days' mean handle time",
    "absence": "who is there",
    "outages": "outages of a site",
    "chance": "single arrivals, handle times and patience: what is left with all else at its mean",
}
RESAMPLES = 200


@dataclass(frozen=True, eq=False)
class Drivers:
    """How much each source of uncertainty adds to the spread of a window's metric, and to the chance to miss the target.

    Attributes
    ----------
    term : Target
    frame : DataFrame
        ``source, variance, share, share_low, share_high, miss, miss_low, miss_high, alone, last``: Shapley values of the variance
        and its share, of the probability to miss, and the share of the variance that the source adds alone, and as the last one.
        The row ``chance`` is what remains with every source at its mean; the rows add up to the whole.
    subsets : DataFrame
        ``sources, variance, miss`` of every set of sources left on.
    sd, miss : float
        Standard deviation of the metric and probability to miss with everything on.
    notes : tuple of str
    """

    term: Target
    frame: pd.DataFrame
    subsets: pd.DataFrame
    sd: float
    miss: float
    notes: tuple[str, ...]
    provenance: Provenance

    def summary(self) -> pd.DataFrame:
        """Return the sources, one a row."""
        return self.frame

    def sentences(self) -> list[str]:
        """Say what breaks the target, the largest first."""
        said = [
            f"{r.source} ({WORDS[r.source]}): {100 * r.share:.0f} % [{100 * r.share_low:.0f}, {100 * r.share_high:.0f}] of the "
            f"variance, {r.miss:+.3f} of the {self.miss:.3f} probability to miss."
            for r in self.frame.sort_values("share", ascending=False).itertuples()
        ]
        return said

    def plot(self, ax: Any = None) -> Any:
        """Draw the shares of the variance with their intervals; returns ``ax``."""
        from bposim.targets.assess_plots import plot_drivers

        return plot_drivers(self, ax)

    def __repr__(self) -> str:
        head = f"{self.term}: standard deviation {self.sd:.4g}, missed with probability {self.miss:.3f}"
        return "\n".join([head, *(f"  {s}" for s in self.sentences()), *(f"  Note: {n}" for n in self.notes)])

    def _repr_html_(self) -> str:
        return self.frame.to_html(index=False, float_format=lambda x: f"{x:,.3g}")


def target_drivers(
    scenario: Scenario,
    term: Target,
    *,
    volumes: Any = None,
    staffing: Any = None,
    replications: int = 300,
    seed: int = 1,
    progress: bool | None = None,
) -> Drivers:
    """Tell which uncertainty makes the window's metric scatter, and which makes it miss.

    Every set of sources is simulated with the others frozen at their mean, on common random numbers: 2^k simulations for k sources.
    Only sources that the scenario and the volumes have take part.

    Parameters
    ----------
    scenario : Scenario
    term : Target
    volumes, staffing
        As in :func:`assess_target`. Paths are split into each day's level and the shape within the day.
    replications, seed : int
        Replications of each simulation.
    progress : bool, optional

    Returns
    -------
    Drivers

    Raises
    ------
    ParameterError
        An argument is outside its rule.

    Notes
    -----
    v(S) is the variance of the metric across replications, averaged over the windows (differences between a Monday and a Friday are no
    uncertainty), with the sources S on. The Shapley value of a source is the mean of v(S ∪ i) − v(S) over all orders. Chance
    cannot be switched off: it is v(∅), and what it does together with a source is the source's. Paths of counts hold chance
    already; they are shrunk towards their mean by the share of their variance that is Poisson, and chance is played anew.
    Intervals by resampling replications (volume paths), the same in every simulation.

    References
    ----------
    Owen (2014), Sobol' indices and Shapley value, SIAM/ASA J. Uncertainty Quantification 2.
    """
    caller = "target_drivers()"
    few = isinstance(replications, int) and 2 <= replications < 20
    more = [parameter("replications", caller, "at least 20", replications)] if few else []
    check_question(caller, scenario, 0.5, replications, term, seed=seed, staffing=staffing, more=more)
    world = scenario if staffing is None else scenario.with_staffing(staffing)
    sources, lay, notes = _sources(world, volumes)
    sets = [frozenset(c) for n in range(len(sources) + 1) for c in combinations(sources, n)]
    bar: Any = sets
    if show_progress(progress):
        from tqdm.auto import tqdm

        bar = tqdm(sets, desc="sources", leave=False, delay=1.0)
    values: dict[frozenset[str], np.ndarray] = {}
    batch = np.arange(replications)
    for on in bar:
        staffed, paths = lay(on)
        within = [] if term.within_s is None else [term.within_s]
        runs = simulate(staffed, volumes=paths, replications=replications, seed=seed, progress=False, within=within)
        values[on] = _wide(runs, term)
        if on == frozenset(sources):
            batch = runs.batch
    whole = frozenset(sources)
    rows = _rows(values, sources, term, np.arange(replications))
    drawn = _resampled(values, sources, term, batch, seed)
    frame = pd.DataFrame(
        [
            (name, v[0], v[1], *np.quantile(drawn[:, k, 1], [0.025, 0.975]), v[2], *np.quantile(drawn[:, k, 2], [0.025, 0.975]),
             v[3], v[4]) for k, (name, v) in enumerate(rows.items())
        ],
        columns=["source", "variance", "share", "share_low", "share_high", "miss", "miss_low", "miss_high", "alone", "last"],
    )  # fmt: skip
    table = pd.DataFrame([(" + ".join(s for s in sources if s in on) or "none", *_figures(v, term, np.arange(replications)))
                          for on, v in values.items()], columns=["sources", "variance", "miss"])  # fmt: skip
    variance, miss = _figures(values[whole], term, np.arange(replications))
    made = Provenance(
        "target_drivers",
        {"scenario": scenario.hash, "term": term.to_spec(), "replications": replications, "seed": seed},
    )
    return Drivers(term, frame, table, float(np.sqrt(variance)), miss, tuple(notes), made)


# Figures ------------------------------------------------------------------------------------------------------------------


def _wide(runs: SimulationResult, term: Target) -> np.ndarray:
    """Return values by replication and window, nan where a window holds no contact."""
    table = window_values(runs, term)
    wide = table.pivot(index="replication", columns="window_start", values="value")
    return wide.reindex(range(runs.replications)).to_numpy(dtype=float)


def _figures(values: np.ndarray, term: Target, pick: np.ndarray) -> tuple[float, float]:
    """Return the mean over windows of the variance across replications, and the share of windows missed."""
    chosen = values[pick]
    seen = ~np.isnan(chosen)
    n = seen.sum(axis=0)
    mean = np.where(seen, chosen, 0.0).sum(axis=0) / np.maximum(n, 1)
    rest = (np.where(seen, chosen - mean, 0.0) ** 2).sum(axis=0) / np.maximum(n - 1, 1)
    missed = float((seen & ~meets(term, chosen)).sum() / max(int(seen.sum()), 1))
    return float(rest[n > 1].mean()) if (n > 1).any() else np.nan, missed


def _rows(
    values: dict[frozenset[str], np.ndarray], sources: list[str], term: Target, pick: np.ndarray
) -> dict[str, tuple[float, ...]]:
    """Return variance, share, miss, alone and last of every source and of chance."""
    v = {on: _figures(table, term, pick) for on, table in values.items()}
    none, whole = frozenset[str](), frozenset(sources)
    total = v[whole][0] or np.nan
    found: dict[str, tuple[float, ...]] = {}
    for name in sources:
        variance, miss = (_shapley({on: x[k] for on, x in v.items()}, sources, name) for k in (0, 1))
        alone, last = v[frozenset([name])][0] - v[none][0], v[whole][0] - v[whole - {name}][0]
        found[name] = (variance, variance / total, miss, alone / total, last / total)
    found["chance"] = (v[none][0], v[none][0] / total, v[none][1], v[none][0] / total, np.nan)
    return found


def _shapley(v: dict[frozenset[str], float], sources: list[str], name: str) -> float:
    """Return the mean of what a source adds over all orders of the sources.

    Examples
    --------
    >>> v = {frozenset(): 0.0, frozenset("a"): 1.0, frozenset("b"): 2.0, frozenset("ab"): 5.0}
    >>> _shapley(v, ["a", "b"], "a"), _shapley(v, ["a", "b"], "b")
    (2.0, 3.0)
    """
    k, total = len(sources), 0.0
    for on in v:
        if name not in on:
            weight = factorial(len(on)) * factorial(k - len(on) - 1) / factorial(k)
            total += weight * (v[on | {name}] - v[on])
    return total


def _resampled(
    values: dict[frozenset[str], np.ndarray], sources: list[str], term: Target, batch: np.ndarray, seed: int
) -> np.ndarray:
    """Return the figures of resampled replications, shape (resamples, n_sources + 1, 5)."""
    rng = np.random.default_rng((seed, 78))
    labels, codes = np.unique(batch, return_inverse=True)
    members = [np.flatnonzero(codes == k) for k in range(len(labels))]
    drawn = []
    for _ in range(RESAMPLES):
        pick = np.concatenate([members[k] for k in rng.integers(0, len(members), len(members))])
        drawn.append(list(_rows(values, sources, term, pick).values()))
    return np.array(drawn)


# Sources ------------------------------------------------------------------------------------------------------------------

Lay = Callable[[frozenset[str]], tuple[Scenario, Any]]


def _sources(world: Scenario, volumes: Any) -> tuple[list[str], Lay, list[str]]:
    """Return the sources there are, a function that lays a set of them, and notes."""
    notes: list[str] = []
    kinds = world.contact_types
    paths = None if volumes is None else load_volumes(volumes, world, caller="target_drivers()")
    factors = {f"contact_types.{t}.day_factor": None for t, k in kinds.items() if k.day_factor is not None}
    factors |= {"day_factor": None} if world.day_factor is not None else {}
    sampled = paths is not None and paths.sampled and len(paths.array) > 1
    found = []
    if sampled or (factors and (paths is None or not (paths.counts or paths.sampled))):
        found.append("volume level")
    parts: dict[frozenset[str], pd.DataFrame] = {}
    if sampled:
        assert paths is not None
        level, shape = split_paths(paths, world.grid.day)
        if np.ptp(shape, axis=0).max() > 1e-9:
            found.append("volume shape")
        if paths.counts:
            notes.append("Volumes are paths of counts: what of their spread is Poisson's is counted as chance.")
    drift = {f"contact_types.{t}.handle_day_factor": None for t, k in kinds.items() if k.handle_day_factor is not None}
    if drift:
        found.append("handle time")
    present = _presence(world, notes)
    if present:
        found.append("absence")
    outages = {f"sites.{n}.outages": None for n, s in world.sites.items() if s.outages}
    if outages:
        found.append("outages")
        notes.append("Outages are frozen at none, not at their mean: their share holds what they cost on average too.")
    lacking = [n for n in ("volume level", "volume shape", "handle time", "absence") if n not in found]
    if lacking:
        notes.append(
            f"Neither scenario nor volumes have uncertainty of {', '.join(lacking)}: it is no part of the promise's risk here. "
            "Calibrate it, or give paths of a forecast."
        )
    notes.append("The law of patience is the same every day: single callers' patience is part of chance.")

    def lay(on: frozenset[str]) -> tuple[Scenario, Any]:
        changes: dict[str, Any] = {}
        for name, frozen in (("handle time", drift), ("absence", present), ("outages", outages)):
            if name not in on:
                changes |= frozen
        if not sampled:
            if "volume level" not in on:
                changes |= factors
            return (world.replace(changes) if changes else world), volumes
        assert paths is not None
        key = on & {"volume level", "volume shape"}
        if key not in parts:
            parts[key] = _frame(
                world, paths, level if "volume level" in on else None, shape if "volume shape" in on else None
            )
        changes |= factors  # volumes without paths would be given the day factor
        return (world.replace(changes) if changes else world), parts[key]

    return found, lay, notes


def _presence(world: Scenario, notes: list[str]) -> dict[str, Any]:
    """Return the changes that freeze who is there at its mean."""
    changes: dict[str, Any] = {}
    for name, body in world.agent_groups.items():
        there = (1 - body.absence) * body.adherence
        at = f"agent_groups.{name}"
        if there < 1:
            changes |= {f"{at}.absence": 0, f"{at}.adherence": 1, f"{at}.absence_correlation": 0}
            if body.agents:
                notes.append(f"Absence of the named agents of {name!r} is frozen at none, not at its mean.")
            else:
                changes[f"{at}.shrinkage"] = round(1 - (1 - body.shrinkage) * there, 12)
        if body.day_factor is not None and world.staffing is None:
            changes[f"{at}.day_factor"] = None
    return changes


def split_paths(paths: VolumePaths, day: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split volume paths into each day's level and the shape within the day, both relative to the mean of the paths.

    Returns
    -------
    (level, shape) : ndarray, shape (n_samples, n_intervals, n_types)
        mean × level × shape are the paths, where they are no counts.
    """
    array = paths.array.astype(float)
    mean = array.mean(axis=0)
    first = np.flatnonzero(np.diff(day, prepend=-1))
    code = np.cumsum(np.diff(day, prepend=-1) != 0) - 1
    total = np.add.reduceat(array, first, axis=1)
    expected = np.add.reduceat(mean, first, axis=0)
    with np.errstate(invalid="ignore", divide="ignore"):
        level = np.where(expected > 0, total / expected, 1.0)
        base = mean * level[:, code]
        shape = np.where(base > 0, array / base, 1.0)
    if paths.counts:
        spread = total.var(axis=0, ddof=1).sum(axis=0)
        keep = np.sqrt(np.clip(1 - expected.sum(axis=0) / np.maximum(spread, 1e-300), 0, 1))
        share = np.where(expected[code] > 0, mean / np.maximum(expected[code], 1e-300), 1.0)
        own = (mean * shape.var(axis=0, ddof=1)).sum(axis=0)
        poisson = np.where(mean > 0, 1 - share, 0.0).sum(axis=0)
        held = np.sqrt(np.clip(1 - poisson / np.maximum(own, 1e-300), 0, 1))
        level, shape = np.maximum(1 + keep * (level - 1), 0), np.maximum(1 + held * (shape - 1), 0)
    return level[:, code], shape


def _frame(world: Scenario, paths: VolumePaths, level: np.ndarray | None, shape: np.ndarray | None) -> pd.DataFrame:
    """Return a Volumes frame of expectations; without paths where nothing varies."""
    mean = paths.array.astype(float).mean(axis=0)
    array = mean[None] if level is None and shape is None else mean[None] * (1.0 if level is None else level)
    array = array if shape is None else array * shape
    starts, types = world.grid.starts, list(world.contact_types)
    s, n, k = array.shape
    frame = pd.DataFrame(
        {
            "sample": np.repeat(np.arange(s), n * k), "contact_type": np.tile(np.array(types, dtype=object), s * n),
            "interval_start": starts[np.tile(np.repeat(np.arange(n), k), s)], "contacts": array.reshape(-1),
        }
    )  # fmt: skip
    if paths.handle_factor is not None:
        frame["handle_factor"] = np.tile(paths.handle_factor.reshape(-1), s)
    return frame.drop(columns="sample") if s == 1 else frame
