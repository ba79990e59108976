"""Model and draws laid out in the one table that the compiled engine runs on (``run.py``)."""

from __future__ import annotations

import numpy as np

from bposim.engines.compiled import table as f
from bposim.engines.compiled.cache import jit
from bposim.engines.draws import Draws
from bposim.engines.model import Model
from bposim.engines.records import UNUSED


def layout(model: Model, draws: Draws) -> np.ndarray:
    """Return the table of a run, as large as the run can need it.

    Returns
    -------
    ndarray of int64
        Header, then the records and regions in the order in which they are placed here.
    """
    n, n_types, n_groups = len(draws), len(model.types), len(model.groups)
    joins = np.zeros(n_groups, dtype=np.int64)
    np.add.at(joins, draws.change_group, draws.join)
    np.add.at(joins, draws.in_service[draws.in_service >= 0], 1)
    cap = max(int(np.maximum(joins, model.n_named).max(initial=0)), 1)
    breaks = int(draws.leave[draws.away_ms > 0].sum()) if len(draws.away_ms) else 0
    slots = int(model.slots.max())
    many = slots > 1
    steps = max((len(d) for d in model.delays), default=0) + 1
    intervals = len(model.start_ms)
    onward = max(len(t) for t in model.transfers)
    regions = {
        f.AGENTS: n_groups * cap * f.AGENT_SIZE,
        f.GROUPS: n_groups * f.GROUP_SIZE,
        f.TYPES: n_types * f.TYPE_SIZE,
        f.PAIRS: max(n_types, n_groups) ** 2 * f.PAIR_SIZE,
        f.HANDS: n_groups * cap * slots if many else 1,
        f.FREE_NUMBERS: n_groups * (cap + 1),
        f.SPEEDS: n_groups * cap,
        f.PACES: n_groups * (slots + 1),
        f.STEPS: n_types * steps,
        f.HOURS: intervals * (4 + n_types),
        f.COMPLETIONS: n * (2 * slots + 2) + 2 if many else n + 2,
        f.HANGUPS: n + 2,
        f.RETURNS: breaks + 3,
        f.DELAYS: n + 2 if model.delay_ms.any() else 2,
        f.CALLS: draws.spare + 2,
        f.BREAKS: 3 * (breaks + 2),
        f.TASKS: 16 * (n_types + 4) * (n_groups + 4),
        f.LOG_BASE: 3 * (2 * int(joins.sum()) + 2 * breaks + len(draws.change_ms) + 1),
        f.SPAN_BASE: 3 * (n + 1) if many else 3,
        f.ONWARD: n_types * onward * 4,
        f.POOLS: 2 * len(draws.pool_ends),
        f.POOL_OF: draws.pool_of.size,
        f.DRIFT: draws.drift.size,
        f.VIEW: 2 * n_types + 4 * n_groups + n_types * n_groups,
    }
    begin = f.HEADER + n * f.ROW
    m = np.empty(begin + sum(regions.values()), dtype=np.int64)
    m[: f.HEADER] = 0
    place: dict[int, int] = {}
    for name, size in regions.items():
        m[name] = place[name] = begin
        begin += size
    settings = {
        f.QUEUE_LIMIT: model.queue_limit, f.TRUNKS: model.trunks, f.CHOICE: model.choice,
        f.AGENT_CHOICE: model.agent_choice, f.DRAIN: model.drain, f.HAS_AFTER: len(draws.after_ms) > 0,
        f.HAS_BALKING: len(draws.balk_at) > 0, f.HAS_LIFE: draws.spare > 0, f.N_ROWS: n, f.N_FIRST: draws.n_first,
        f.N_TYPES: n_types, f.N_GROUPS: n_groups, f.N_INTERVALS: intervals, f.N_STEPS: steps, f.MOST_SLOTS: slots,
        f.CAP: cap, f.HORIZON: model.horizon_ms, f.BEGIN: draws.begin_ms, f.EXHAUSTED: -1, f.FAULT: -1, f.N_ONWARD: onward,
        f.N_DAYS: draws.drift.shape[1], f.N_SLOTS: draws.pool_of.shape[1],
    }  # fmt: skip
    for name, value in settings.items():
        m[name] = value
    _rows(
        m[f.HEADER : f.HEADER + n * f.ROW].reshape(n, f.ROW), draws.n_first, draws.arrival_ms, draws.kind, draws.handle_ms,
        draws.patience_ms, draws.after_ms, draws.balk_at, draws.pick, draws.redial_u, draws.callback_u, draws.transfer_u,
        draws.gap_ms,
    )  # fmt: skip

    def region(name: int, *shape: int) -> np.ndarray:
        return m[place[name] : place[name] + int(np.prod(shape))].reshape(shape)

    agents = region(f.AGENTS, n_groups, cap, f.AGENT_SIZE)
    agents[...] = 0
    agents[..., f.LOAD] = -1
    groups = region(f.GROUPS, n_groups, f.GROUP_SIZE)
    groups[...] = 0
    groups[:, f.SLOTS], groups[:, f.N_NAMED] = model.slots, model.n_named
    types = region(f.TYPES, n_types, f.TYPE_SIZE)
    types[:, [f.HEAD, f.TAIL]], types[:, f.N_WAITING] = -1, 0
    types[:, f.PRIORITY], types[:, f.CREDIT], types[:, f.LIVE] = model.priority, model.credit_ms, model.live
    types[:, f.TYPE_LIMIT], types[:, f.CALLBACK_MS] = model.type_limit, model.callback_ms
    types[:, f.BALK_ALL] = model.balk_all
    types[:, f.MEAN_HANDLE] = model.mean_handle_ms
    types[:, [f.ACCEPTED, f.CALLBACK_TO]] = model.callback
    types[:, [f.AGAIN_ABANDONED, f.AGAIN_BLOCKED, f.REDIAL_TO, f.AT_MOST]] = model.redial
    pairs = region(f.PAIRS, n_types, n_groups, f.PAIR_SIZE)
    pairs[..., f.GROUP_RANK], pairs[..., f.DELAY], pairs[..., f.WEIGHT] = model.group_rank, model.delay_ms, model.weight
    pairs[..., f.RESERVE], pairs[..., f.MULTIPLIER] = model.reserve, model.multiplier.view(np.int64)
    pairs[..., f.TYPE_RANK], pairs[..., f.GROUP_ORDER] = model.type_rank.T, model.group_order
    pairs[..., f.TYPE_ORDER] = model.type_order.T
    speeds = np.ones((n_groups, cap))
    width = min(cap, model.speeds.shape[1])
    speeds[:, :width] = model.speeds[:, :width]
    region(f.SPEEDS, n_groups, cap)[...] = speeds.view(np.int64)
    region(f.PACES, n_groups, slots + 1)[...] = model.pace
    listed = region(f.STEPS, n_types, steps)
    listed[...] = -1
    for k, delays in enumerate(model.delays):
        listed[k, : len(delays)] = delays
    if model.policies is not None:
        m[[f.CHOOSE_GROUP, f.CHOOSE_TYPE]] = model.policies.addresses
        view = region(f.VIEW, regions[f.VIEW])
        view[-n_types * n_groups :] = (model.multiplier > 0).ravel()
    hours = region(f.HOURS, intervals, 4 + n_types)
    hours[:, 0], hours[:, 1], hours[:, 2], hours[:, 3] = model.start_ms, model.end_ms, model.day, model.slot
    hours[:, 4:] = model.open
    table = region(f.ONWARD, n_types, onward, 4)
    table[...] = -1  # no uniform is below it
    for k, listed_transfers in enumerate(model.transfers):
        table[k, : len(listed_transfers)] = listed_transfers
    if draws.spare:
        region(f.POOLS, len(draws.pool_ends) - 1, 2)[...] = np.stack(
            [draws.pool_ends[:-1], draws.pool_ends[1:]], axis=1
        )
        region(f.POOL_OF, *draws.pool_of.shape)[...] = draws.pool_of
        region(f.DRIFT, *draws.drift.shape)[...] = draws.drift.view(np.int64)
    return m


@jit
def _rows(
    rows, n_first, arrival, kind, handle, patience, after, balk_at, pick, redial_u, callback_u, transfer_u, gap,
):  # type: ignore[no-untyped-def]  # fmt: skip
    """Fill the records of contacts, shape (n_rows, ROW); a column that the scenario has no use for is empty."""
    for i in range(len(rows)):
        row = rows[i]
        for name in range(rows.shape[1]):
            row[name] = -1
        row[f.ARRIVED], row[f.OUTCOME], row[f.STAGE] = arrival[i], UNUSED, f.DONE
        row[f.KIND], row[f.HANDLE], row[f.PATIENCE] = kind[i], handle[i], patience[i]
        row[f.WAITING] = row[f.HAS_LINE] = row[f.ORIGIN] = row[f.TRIES] = row[f.HANDOVER_MS] = row[f.ATTEMPT] = 0
        if i < n_first:
            row[f.CLIENT], row[f.ATTEMPT] = i, 1
        if len(after):
            row[f.AFTER_MS] = after[i]
        if len(balk_at):
            row[f.BALK_AT] = balk_at[i]
        if len(pick):
            row[f.PICK] = pick[i]
        if len(redial_u):
            row[f.REDIAL_U], row[f.CALLBACK_U] = redial_u[i], callback_u[i]
            row[f.TRANSFER_U], row[f.GAP] = transfer_u[i], gap[i]


@jit
def reported(rows):  # type: ignore[no-untyped-def]
    """Return the columns of contacts that an engine reports, of the rows that were used, shape (n_columns, n_used)."""
    n = 0
    for i in range(len(rows)):
        n += rows[i, f.OUTCOME] != UNUSED
    out = np.empty((f.ORIGIN + 1, n), np.int64)
    j = 0
    for i in range(len(rows)):
        if rows[i, f.OUTCOME] != UNUSED:
            for name in range(f.ORIGIN + 1):
                out[name, j] = rows[i, name]
            j += 1
    return out
