"""Which volume path a replication plays, and which paths are left for a proof.

A plan found on the paths of a forecast has seen their luck. What is said of it afterwards has to come from paths that the
search never played, and replications that share a path are one observation. See ``docs/design/random-streams.md``.
"""

from __future__ import annotations

import warnings
import zlib
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from bposim.engines.volumes import VolumePaths, load_volumes
from bposim.errors import SimulationWarning

if TYPE_CHECKING:
    from bposim.engines.source import Source
    from bposim.simulate.run import Recipe

#: Paths under which an interval over paths says little.
FEW_PATHS = 30


@dataclass(frozen=True, eq=False)
class Paths:
    """The paths of a simulation's volumes: replication k plays number ``labels[k % len(labels)]``.

    Attributes
    ----------
    labels : ndarray of int64, shape (n_samples,)
        Numbers of the paths in ``Source.expected``.
    forecast : Forecast or None
        Draws further paths when fresh ones are asked for.
    kept : (ndarray, ndarray) or None
        Volumes and numbers of paths held out for fresh replications.
    all_fresh : bool
        Whether the paths are those that were held out, or that earlier replications left.
    """

    labels: np.ndarray
    forecast: Any = None
    kept: tuple[np.ndarray, np.ndarray] | None = None
    all_fresh: bool = False

    def batch(self, offset: int, replications: int) -> np.ndarray | None:
        """Return the number of the path that each replication plays, None where there is one path for all."""
        if len(self.labels) < 2:
            return None
        return self.labels[(offset + np.arange(replications)) % len(self.labels)]


def paths_of(volumes: Any, found: VolumePaths | None, source: Source, replications: int) -> tuple[Source, Paths | None]:
    """Return a source and what it knows of its volumes' paths; None without paths.

    Real-valued paths are the uncertainty of the rate, as in the requirement: the day factor is not laid over them again.

    Warns
    -----
    SimulationWarning
        Replications outnumber paths, and the paths are few.
    """
    if found is None or not found.sampled:
        return source, None
    if not found.counts:
        source = replace(source, common_factor=None, factors=(None,) * len(source.types))
    if len(found.labels) < min(replications, FEW_PATHS):
        n = len(found.labels)
        warnings.warn(
            f"volumes hold {n} path{'s' * (n > 1)} for {replications} replications: replications that share a path are one "
            f"observation, and {n} say little of how volumes scatter. Forecast with samples={replications} or more.",
            SimulationWarning,
            stacklevel=3,
        )
    return source, Paths(found.labels, volumes if callable(getattr(volumes, "more", None)) else None)


def hold_out(recipe: Recipe) -> Recipe:
    """Keep half of the paths for fresh replications, or more where fewer are played; a Forecast draws further ones."""
    paths = recipe.paths
    if paths is None or paths.forecast is not None or len(paths.labels) < 2:
        return recipe
    n = len(paths.labels)
    order = np.random.default_rng((recipe.seed, zlib.crc32(b"paths"))).permutation(n)
    play = np.sort(order[: min(recipe.replications, (n + 1) // 2)])
    keep = np.sort(order[len(play) :])
    expected = recipe.source.expected
    kept = (expected[keep], paths.labels[keep])
    return replace(
        recipe,
        source=replace(recipe.source, expected=expected[play]),
        paths=replace(paths, labels=paths.labels[play], kept=kept),
    )


def fresh(recipe: Recipe, replications: int) -> Recipe:
    """Return a recipe of further replications, on paths that this one has not played.

    Warns
    -----
    SimulationWarning
        Every path was played, and no further one can be drawn.
    """
    begin = recipe.offset + recipe.replications
    ahead = replace(recipe, replications=replications, offset=begin)
    paths = recipe.paths
    if paths is None or paths.all_fresh:
        return ahead
    if paths.forecast is not None:
        return _drawn(ahead, paths, begin + replications)
    if paths.kept is not None:
        expected, labels = paths.kept
    else:
        expected, labels = recipe.source.expected[begin:], paths.labels[begin:]
    if not len(labels):
        warnings.warn(
            f"all {len(paths.labels)} paths of the volumes were played before: the fresh replications have new arrivals, "
            f"handle times and patience on the same volumes, so what they say is too sure of them. Give samples={begin + replications} "
            f"to forecast(), or the Forecast itself, which draws further paths.",
            SimulationWarning,
            stacklevel=3,
        )
        return ahead
    source = replace(recipe.source, expected=expected)
    return replace(
        ahead, source=source, paths=replace(paths, labels=labels, kept=None, all_fresh=True), volumes_hash=None
    )


def _drawn(ahead: Recipe, paths: Paths, needed: int) -> Recipe:
    """Lengthen a forecast's paths so that replication k plays the k-th of them."""
    have = len(paths.labels)
    if needed <= have:
        return ahead
    first = paths.forecast.samples
    further = load_volumes(paths.forecast.more(needed - first), ahead.scenario)
    expected = np.concatenate([ahead.source.expected[:first], further.array])
    labels = np.concatenate([paths.labels[:first], further.labels])
    source = replace(ahead.source, expected=expected)
    return replace(ahead, source=source, paths=replace(paths, labels=labels), volumes_hash=None)
