"""M/M/n/K+M, many queues at once: the balance equations of ``mmnkm`` with a row for each queue."""

from __future__ import annotations

import numpy as np
from scipy import special

from bposim.erlang._special import below_all_busy

#: States solved in one piece.
_PIECE = 1_000_000


def many_lines(
    rate: np.ndarray, service: np.ndarray, n: np.ndarray, patience: np.ndarray, lines: np.ndarray,
    within: np.ndarray | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    """Return the measures of each queue, shape (n_queues,); rates above 0, at least one agent, whole waiting places.

    Names and meaning are those of ``mmnkm``: shares are of the contacts offered.
    """
    widest = int(np.max(lines - n, initial=0)) + 1
    size = max(1, _PIECE // widest)
    parts = []
    for k in range(0, len(rate), size):
        cut = slice(k, k + size)
        limit = None if within is None else within[cut]
        parts.append(_solve(rate[cut], service[cut], n[cut], patience[cut], lines[cut], limit))
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]} if parts else {}


def _solve(
    rate: np.ndarray, service: np.ndarray, n: np.ndarray, patience: np.ndarray, lines: np.ndarray,
    within: np.ndarray | None,
) -> dict[str, np.ndarray]:  # fmt: skip
    load, rush, pace = rate * service, 1.0 / patience, n / service
    places = np.round(lines - n).astype(int)
    waiting = np.arange(int(places.max(initial=0)) + 1)
    leave = pace[:, None] + waiting * rush[:, None]
    logs = np.zeros(leave.shape)
    logs[:, 1:] = np.cumsum(np.log(rate[:, None] / leave[:, 1:]), axis=1)
    logs[waiting > places[:, None]] = -np.inf
    peak = np.maximum(0.0, logs.max(axis=1))
    with np.errstate(invalid="ignore", over="ignore"):
        below = below_all_busy(n, load) * np.exp(-peak)
        ladder = np.exp(logs - peak[:, None])
        total = below + ladder.sum(axis=1)
        free = np.where(np.isinf(below), 1.0, below / total)
        pi = ladder / total[:, None]
    blocked = np.take_along_axis(pi, places[:, None], axis=1)[:, 0]
    found = np.where(waiting[:-1] < places[:, None], pi[:, :-1], 0.0)
    # A contact behind j others is served with this chance, and then waits this long.
    reaches = pace[:, None] / leave[:, 1:]
    lasts = np.cumsum(1.0 / leave[:, 1:], axis=1)
    answered = free + (found * reaches).sum(axis=1)
    queue = (waiting * pi).sum(axis=1)
    result = {
        "p_wait": found.sum(axis=1), "p_abandon": rush * queue / rate, "p_block": blocked, "mean_wait": queue / rate,
        "asa": (found * reaches * lasts).sum(axis=1) / answered, "carried_load": load * answered,
    }  # fmt: skip
    if within is None:
        return result
    stay = np.exp(-rush * within)
    sure, hurried = _served(waiting[1:], pace, patience, within, reaches)
    early = free + (found * hurried).sum(axis=1)
    gone = (found * ((1 - stay)[:, None] + stay[:, None] * sure)).sum(axis=1)
    late = stay * (found * (1 - sure)).sum(axis=1)
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = {"excl_T": early / (early + late + blocked), "answered": early / answered}
    return result | shares | {"offered": early, "credit_T": free + gone}


def _served(
    order: np.ndarray, pace: np.ndarray, patience: np.ndarray, within: np.ndarray, reaches: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return for each place P(its turn comes within), and P(it is served within, not having left before)."""
    shape, spent = pace * patience, within / patience
    sure, hurried = np.empty_like(reaches), np.empty_like(reaches)
    # With nearly endless patience the time to a turn is gamma; else e^−θS is beta (see mmnkm).
    endless = shape > 1e13 * max(1.0, float(len(order))) ** 2
    sure[endless] = hurried[endless] = special.gammainc(order, (pace * within)[endless, None])
    some = ~endless
    a, done = shape[some, None], -np.expm1(-spent[some, None])
    sure[some] = special.betainc(order, a, done)
    hurried[some] = reaches[some] * special.betainc(order, a + 1.0, done)
    return sure, hurried
