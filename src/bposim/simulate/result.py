"""What a simulation says: tidy frames with intervals, and a recipe to make it again."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bposim.engines import ORIGINS, Draws, Records
from bposim.errors import ParameterError, parameter
from bposim.metrics import Counts, summary, windows
from bposim.provenance import Provenance, array_hash, content_hash
from bposim.scenario import Scenario
from bposim.schema import OUTCOMES, QUEUED_OUTCOMES
from bposim.simulate.paths import fresh
from bposim.simulate.run import Recipe, count, parallel


class SimulationResult:
    """Replications of a scenario: counts by interval, metrics with intervals, any replication's contacts.

    Attributes
    ----------
    scenario : Scenario
    replications, seed : int
    provenance : Provenance
    """

    scenario: Scenario
    replications: int
    seed: int
    provenance: Provenance
    default_within_s: float
    _recipe: Recipe
    _counts: Counts
    _log: list[tuple[Draws, Records]] | None

    def __init__(self) -> None:
        raise TypeError("a SimulationResult comes from bposim.simulate().")

    @classmethod
    def make(
        cls, recipe: Recipe, counts: Counts, default_within_s: float, *, keep_log: bool = False
    ) -> SimulationResult:
        """Wrap a recipe and its counts (used by ``simulate``)."""
        from dataclasses import replace

        if recipe.volumes_hash is None:
            recipe = replace(recipe, volumes_hash=array_hash(recipe.source.expected))
        self = object.__new__(cls)
        self._recipe = recipe
        self._counts = counts
        self.default_within_s = default_within_s
        self.scenario = recipe.scenario
        self.replications = recipe.replications
        self.seed = recipe.seed
        self._log = [recipe.records(k) for k in range(recipe.replications)] if keep_log else None
        self.provenance = Provenance(
            "simulate",
            {
                "scenario": recipe.scenario.hash,
                "volumes": recipe.volumes_hash,
                "staffing": content_hash(recipe.source.net_heads.tolist()),
                "replications": recipe.replications,
                "seed": recipe.seed,
                "first_replication": recipe.offset,
                "engine": recipe.engine,
                "drain": recipe.model.drain,
                "warm_up_ms": recipe.warm_up_ms,
                "state": None if recipe.start is None else content_hash(recipe.start.canonical),
                "policies": None if recipe.model.policies is None else recipe.model.policies.names,
            },
        )
        return self

    # What metrics ask of a source ------------------------------------------------------------------------------------

    def counts(self, thresholds_s: Sequence[float] = ()) -> Counts:
        """Return counts that hold these thresholds; missing ones are counted by playing the same draws again."""
        have = set(self._counts.thresholds())
        missing = {round(float(t), 3) for t in thresholds_s} - have
        if missing:
            self._counts = count(self._recipe, sorted(have | missing), title="counting again")
        return self._counts

    def wait_quantiles(self, q: float, labels: np.ndarray, types: bool) -> np.ndarray:
        """Return the q-quantile of the waits of all that queued, shape (n_replications, n_labels, n_types or 1)."""
        model = self._recipe.model
        keep = model.start_ms >= self._recipe.warm_up_ms
        codes = np.full(len(model.start_ms), -1)
        codes[keep] = labels
        n_labels = int(labels.max(initial=-1)) + 1
        result = np.full((self.replications, n_labels, len(model.types) if types else 1), np.nan)
        queued = [OUTCOMES.index(o) for o in QUEUED_OUTCOMES]

        def one(k: int) -> None:
            draws, records = self._records(k)
            wait = np.where(records.answered_ms >= 0, records.answered_ms, records.ended_ms) - records.arrived_ms
            label = codes[self.scenario.grid.locate(records.arrived_ms)]
            use = (label >= 0) & np.isin(records.outcome, queued) & records.counted(draws.in_service)
            column = records.kind if types else np.zeros(len(wait), dtype=np.int64)
            result[k] = _quantiles(q, wait[use] / 1000, label[use], column[use], result.shape[1:])

        parallel(
            one, range(self.replications), workers=self._recipe.workers, progress=self._recipe.progress, title="waits"
        )
        return result

    def _records(self, replication: int) -> tuple[Draws, Records]:
        return self._log[replication] if self._log is not None else self._recipe.records(replication)

    # What people ask -------------------------------------------------------------------------------------------------

    def summary(
        self,
        by: str | Iterable[str] | None = None,
        metrics: str | Iterable[str] | None = None,
        within: Any = None,
        counting: str | None = None,
        confidence: float = 0.95,
        **options: Any,
    ) -> pd.DataFrame:
        """Return ``…by…, metric, value, ci_low, ci_high, n``; see :func:`bposim.metrics.summary`."""
        return summary(self, by, metrics, within, counting, confidence, **options)

    def windows(
        self, metric: str, window: str = "day", within: Any = None, counting: str | None = None, **options: Any
    ) -> pd.DataFrame:
        """Return one row per replication and window; see :func:`bposim.metrics.windows`."""
        return windows(self, metric, window, within, counting, **options)

    @property
    def batch(self) -> np.ndarray:
        """Independent observation that each replication belongs to: its volume path where several share one.

        Shape (n_replications,): the path's number, or the replication's where the volumes are no paths.
        """
        found = self._recipe.batch
        return self._recipe.offset + np.arange(self.replications) if found is None else found

    @property
    def expected(self) -> pd.DataFrame:
        """Volumes frame of what was expected to come: the volumes played, paths averaged, or the scenario's arrivals."""
        source, starts = self._recipe.source, self.scenario.grid.starts
        mean = source.expected.mean(axis=0)
        return pd.DataFrame(
            {
                "contact_type": np.repeat(np.array(source.types, dtype=object), len(starts)),
                "interval_start": np.tile(starts, len(source.types)),
                "contacts": mean.T.reshape(-1),
            }
        )

    @property
    def intervals(self) -> pd.DataFrame:
        """IntervalTable of every replication."""
        return self._counts.frame()

    @property
    def agents(self) -> pd.DataFrame:
        """AgentLog of every replication."""
        return self._counts.agent_frame()

    def contacts(self, replication: int = 0) -> pd.DataFrame:
        """Return the ContactLog of one replication.

        Raises
        ------
        ParameterError
            There is no such replication.
        """
        if not 0 <= replication < self.replications:
            rule = f"between 0 and {self.replications - 1}"
            raise ParameterError(parameter("replication", "contacts()", rule, replication))
        draws, records = self._records(replication)
        return contact_log(self.scenario, draws, records, replication)

    def fresh(self, replications: int) -> SimulationResult:
        """Return as many further replications of the same recipe, on volume paths that this result has not played.

        A Forecast draws further paths where it holds too few. Of a Volumes frame the paths held out are taken
        (``simulate(…, hold_out=True)``), or those not played yet.

        Warns
        -----
        SimulationWarning
            All paths were played and no further one can be drawn.
        """
        recipe = fresh(self._recipe, replications)
        return SimulationResult.make(recipe, count(recipe, self._counts.thresholds()), self.default_within_s)

    def further(self, replications: int) -> SimulationResult:
        """Return the next replications of the same recipe: those that a longer simulation would have played after these.

        Unlike :meth:`fresh` ones they go on along the volumes' paths as they come, and nothing is held out for a proof.
        """
        from dataclasses import replace

        recipe = replace(self._recipe, replications=replications, offset=self._recipe.offset + self.replications,
                         luck=None if self._recipe.luck is None else {}, spares=None if self._recipe.spares is None else {})  # fmt: skip
        return SimulationResult.make(recipe, count(recipe, self._counts.thresholds()), self.default_within_s)

    def restaffed(self, staffing: Any) -> SimulationResult:
        """Return the same replications under another staffing: the same contacts, drawn once."""
        from dataclasses import replace

        from bposim.engines.source import staffing_of

        if self._recipe.luck is None:
            self._recipe = replace(self._recipe, luck={}, spares={})
        scenario = self.scenario.with_staffing(staffing)
        source = replace(self._recipe.source, **staffing_of(scenario))
        recipe = replace(self._recipe, scenario=scenario, source=source)
        return SimulationResult.make(recipe, count(recipe, self._counts.thresholds()), self.default_within_s)

    def __repr__(self) -> str:
        table = self.summary(metrics=[m for m in ("offered", "service_level", "asa", "abandonment", "occupancy")])
        lines = [f"Simulation of {self.scenario.name!r}: {self.replications} replications, seed {self.seed}"]
        lines += [
            f"  {row.metric:<14} {row.value:>12,.4g}  [{row.ci_low:,.4g}, {row.ci_high:,.4g}]"
            for row in table.itertuples()
        ]
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        head = f"<p>Simulation of <b>{self.scenario.name}</b>: {self.replications} replications, seed {self.seed}</p>"
        return head + self.summary().to_html(index=False, float_format=lambda x: f"{x:,.4g}")


def _quantiles(q: float, wait: np.ndarray, label: np.ndarray, column: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    result = np.full(shape, np.nan)
    cell = label * shape[1] + column
    order = np.argsort(cell, kind="stable")
    edges = np.searchsorted(cell[order], np.arange(shape[0] * shape[1] + 1))
    for c in range(shape[0] * shape[1]):
        part = wait[order[edges[c] : edges[c + 1]]]
        if len(part):
            result[c // shape[1], c % shape[1]] = np.quantile(part, q)
    return result


def contact_log(scenario: Scenario, draws: Draws, records: Records, replication: int) -> pd.DataFrame:
    """Return the ContactLog frame of one replication, in order of arrival.

    Beside the columns of a history it has ``released`` (when the agent was free again), and where contacts may become
    others ``origin`` (fresh, redial, callback, transfer), ``client`` (the ``contact_id`` it all began with) and
    ``attempt``.
    """
    types, groups = list(scenario.contact_types), list(scenario.agent_groups)
    origin = scenario.grid.origin.tz_convert("UTC")
    rows = np.flatnonzero(records.counted(draws.in_service))
    rows = rows[np.argsort(records.arrived_ms[rows], kind="stable")]
    number = np.full(len(records.outcome), -1)
    number[rows] = np.arange(len(rows))

    def stamp(ms: np.ndarray) -> pd.DatetimeIndex:
        known = ms != -1
        delta = pd.to_timedelta(np.where(known, ms, 0), unit="ms")
        stamps = pd.DatetimeIndex(origin + delta).tz_convert(scenario.grid.zone).as_unit("ms")
        return stamps.where(known)

    arrived, taken, ended, released = (
        getattr(records, name)[rows] for name in ("arrived_ms", "answered_ms", "ended_ms", "released_ms")
    )
    answered = taken >= 0
    wait = np.where(answered, taken, ended) - arrived
    frame = pd.DataFrame(
        {
            "replication": replication,
            "contact_id": np.arange(len(rows)),
            "contact_type": pd.Categorical.from_codes(records.kind[rows], types),
            "arrived": stamp(arrived),
            "answered": stamp(taken),
            "ended": stamp(ended),
            "agent_group": pd.Categorical.from_codes(records.group[rows], groups),
            "agent": pd.array(np.where(answered, records.agent[rows], -1), dtype="Int64").astype("Int64"),
            "outcome": pd.Categorical.from_codes(records.outcome[rows], list(OUTCOMES)),
            "wait_s": wait / 1000,
            "handle_s": np.where(answered, (released - taken) / 1000, np.nan),
        }
    ).assign(agent=lambda f: f["agent"].where(f["agent"] >= 0))
    if not draws.plain:
        frame["released"] = stamp(released)
        frame["origin"] = pd.Categorical.from_codes(records.origin[rows], list(ORIGINS))
        frame["client"] = number[records.client[rows]]
        frame["attempt"] = records.attempt[rows]
    return frame
