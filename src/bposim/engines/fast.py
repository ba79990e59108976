"""The compiled engine: the reference engine's rules in numba, the same records bit for bit.

It releases the interpreter lock, so that replications run on threads. Where contacts only wait and are served, and agents
come and go by number, a shorter loop plays them (``compiled/plain.py``, and ``compiled/single.py`` for one queue and one
group); everything else is in ``compiled/run.py``.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np

from bposim.engines.compiled import plain, single
from bposim.engines.compiled import table as f
from bposim.engines.compiled.cache import announced
from bposim.engines.compiled.heaps import ID_MASK
from bposim.engines.compiled.layout import layout, reported
from bposim.engines.compiled.run import play
from bposim.engines.draws import Draws
from bposim.engines.life import Exhausted
from bposim.engines.model import Model
from bposim.engines.policies import PolicyFault
from bposim.engines.records import Records
from bposim.errors import ParameterError


def run(model: Model, draws: Draws) -> Records:
    """Play one replication in compiled code; the same records as ``reference.run``.

    Raises
    ------
    ParameterError
        More than 67 million contacts, or more than two years, in one replication.
    """
    n = len(draws)
    if n >= ID_MASK or model.horizon_ms >= 1 << 36:
        raise ParameterError(
            f"one replication holds {n:,} contacts over {model.horizon_ms / 8.64e7:.0f} days; the fast engine takes "
            f"{ID_MASK:,} contacts and 795 days. Split the horizon, or use engine='reference'."
        )
    loop = _full
    if model.plain and draws.plain:
        loop = _single if len(model.types) == len(model.groups) == 1 else _plain
    if loop in _ready:
        return loop(model, draws)
    try:
        with announced(loop.__name__[1:]):
            return loop(model, draws)
    finally:
        _ready.add(loop)  # also where a pool was too small: it is compiled by then


#: Loops that this process has run, so that they are compiled.
_ready: set[Callable[[Model, Draws], Records]] = set()


def _plain(model: Model, draws: Draws) -> Records:
    n = len(draws)
    answered, ended = (np.empty(n, dtype=np.int64) for _ in range(2))
    group, agent, outcome = np.empty(n, dtype=np.int16), np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int8)
    most = 2 * int(draws.join.sum()) + len(draws.change_ms) + 1
    when, who, number = (np.empty(most, dtype=np.int64) for _ in range(3))
    rows = plain.play(
        draws.arrival_ms, draws.kind, draws.handle_ms, draws.patience_ms,
        draws.change_ms, draws.change_group, draws.leave, draws.join, model.openings_ms, model.closings_ms,
        model.multiplier, model.group_order, model.group_rank, model.type_order, model.type_rank, model.priority,
        model.credit_ms, model.live, model.choice, model.drain, model.horizon_ms,
        answered, ended, group, agent, outcome, when, who, number,
    )  # fmt: skip
    none = np.empty(0, dtype=np.int64)
    return Records(
        draws.arrival_ms, answered, ended, ended, group, agent, outcome, draws.kind, *_first_attempts(n),
        when[:rows].copy(), who[:rows].copy(), number[:rows].copy(), none, none, none,
    )  # fmt: skip


def _single(model: Model, draws: Draws) -> Records:
    n = len(draws)
    answered, ended = (np.empty(n, dtype=np.int64) for _ in range(2))
    agent, outcome = np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int8)
    most = 2 * int(draws.join.sum()) + len(draws.change_ms) + 1
    when, number = (np.empty(most, dtype=np.int64) for _ in range(2))
    rows = single.play(
        draws.arrival_ms, draws.handle_ms, draws.patience_ms, draws.change_ms, draws.leave, draws.join, model.openings_ms,
        model.closings_ms, model.multiplier[0, 0], model.live[0], model.drain, model.horizon_ms,
        answered, ended, agent, outcome, when, number,
    )  # fmt: skip
    none = np.empty(0, dtype=np.int64)
    return Records(
        draws.arrival_ms, answered, ended, ended, np.where(answered < 0, -1, 0), agent, outcome, draws.kind,
        *_first_attempts(n), when[:rows].copy(), np.zeros(rows, dtype=np.int64), number[:rows].copy(), none, none, none,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _first_attempts(n: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return client, attempt and origin of contacts none of which comes from another; shared, so read-only."""
    columns = (np.arange(n), np.ones(n, dtype=np.int64), np.zeros(n, dtype=np.int64))
    for column in columns:
        column.flags.writeable = False
    return columns


def _full(model: Model, draws: Draws) -> Records:
    m = layout(model, draws)
    pool = play(
        m, draws.begin_ms, draws.in_service, draws.change_ms, draws.change_group, draws.leave, draws.join,
        draws.change_agent, draws.away_ms, model.openings_ms, model.closings_ms,
    )  # fmt: skip
    if pool >= 0:
        raise Exhausted(pool)
    if m[f.FAULT] >= 0:
        raise PolicyFault(int(m[f.FAULT]), int(m[f.ANSWER]), int(m[f.NOW]))
    n = len(draws)
    rows = reported(m[f.HEADER : f.HEADER + n * f.ROW].reshape(n, f.ROW))
    log, spans = (
        m[m[base] : m[base] + 3 * m[count]].reshape(-1, 3).T.copy()
        for base, count in ((f.LOG_BASE, f.LOG), (f.SPAN_BASE, f.SPANS))
    )
    return Records(*rows, *log, *spans)
