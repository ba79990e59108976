"""Day forecasts made once: remembered by what they were made from, and made on several processes where there are many."""

from __future__ import annotations

import os
import pickle
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import Any

import numpy as np
import pandas as pd

from bposim.forecast._counts import Counts
from bposim.forecast._days import Inputs, Outlook, central
from bposim.forecast._prophet import untouched

#: Forecasts remembered.
KEPT = 4096
#: Fits from which a second process is worth its start.
MANY = 16
#: Days beyond history and horizon whose holidays still matter.
_NEAR = pd.Timedelta(days=14)
_kept: OrderedDict[bytes, Outlook] = OrderedDict()


@dataclass(frozen=True, eq=False)
class Task:
    """One contact type's history, and how many calendar days after it are asked for."""

    counts: Counts
    inputs: Inputs
    ahead: int

    @property
    def key(self) -> bytes:
        """A digest of everything that the forecast depends on."""
        c, i = self.counts, self.inputs
        digest = blake2b(digest_size=16)
        for values in (c.dates.to_numpy().astype("datetime64[D]").astype(np.int64), c.minutes, c.table, c.times):
            digest.update(np.ascontiguousarray(values).data)
        known = None if i.regressors is None else i.regressors.to_dict("split")
        rest = (
            c.types,
            c.spans,
            c.interval_s,
            self.ahead,
            i.method,
            i.seed,
            i.events,
            i.holidays.public,
            i.holidays.other,
            known,
            tuple(c.dates[~c.whole]),
            sorted((name, sorted(days)) for name, days in c.silent.items()),
        )
        digest.update(pickle.dumps(rest, protocol=4))
        return digest.digest()


#: A silence is a type's beginning or end if it is longer than its longest silence in between by this factor …
_LONGER = 2
#: … and an end only from so many days on.
_ENDED = 28


def of_type(counts: Counts, kind: int) -> Counts:
    """Return one contact type from its first day on: days before it existed say nothing of it.

    Silence before the first contact is a beginning where it is more than twice as long as any silence since.
    """
    own = replace(counts, types=(counts.types[kind],), table=counts.table[kind : kind + 1], notes=(), provenance=None)
    own = replace(own, source=None)
    on = np.flatnonzero(own.totals[0] > 0)
    if len(on) and on[0] > _LONGER * _silence(on, len(own.dates)):
        own = own.since(own.dates[on[0]])
    return own


def ended(counts: Counts, kind: int) -> pd.Timestamp | None:
    """Return the last day with contacts of a type that has come to its end, None while it lasts."""
    on = np.flatnonzero(counts.totals[kind] > 0)
    quiet = len(counts.dates) - 1 - on[-1] if len(on) else 0
    if len(on) > 1 and quiet >= _ENDED and quiet > _LONGER * _silence(on, int(on[-1]) + 1):
        return counts.dates[on[-1]]
    return None


def _silence(on: np.ndarray, n: int) -> int:
    """Return the longest run of days without contacts after the first with one."""
    return int(np.diff(np.append(on, n)).max()) - 1


def task(counts: Counts, kind: int, inputs: Inputs, ahead: int) -> Task:
    """Return the task of one contact type, cut to the days that are learnt from."""
    own = of_type(counts, kind).recent()
    last_day = ended(own, 0)
    if last_day is not None:
        own = replace(own, table=np.zeros_like(own.table))
    first, last = own.dates[0] - _NEAR, own.dates[-1] + pd.Timedelta(days=ahead) + _NEAR
    return Task(own, replace(inputs, holidays=inputs.holidays.between(first.date(), last.date())), ahead)


def made(
    tasks: Sequence[Task], workers: int | None = None, progress: Callable[[int, int, str], None] | None = None
) -> list[Outlook]:
    """Return the forecast of each task; those known already are not made again.

    Parameters
    ----------
    tasks : sequence of Task
    workers : int or None
        Processes; None takes every core where more than a few forecasts are missing.
    progress : callable or None
        Called with (done, total, contact type).
    """
    keys = [t.key for t in tasks]
    missing = {k: t for k, t in zip(keys, tasks, strict=True) if k not in _kept}
    costly = sum(t.inputs.method == "prophet" for t in missing.values())
    n = min(workers if workers is not None else (os.cpu_count() or 1), max(costly, 1))
    done = len(tasks) - len(missing)
    found: dict[bytes, Outlook] = {k: _kept[k] for k in keys if k in _kept}

    def keep(key: bytes, view: Outlook) -> None:
        nonlocal done
        found[key] = _kept[key] = view
        done += 1
        if progress is not None:
            progress(done, len(tasks), missing[key].counts.types[0])

    if n > 1 and (workers is not None or costly >= MANY):
        from joblib import Parallel, delayed

        jobs = (delayed(_one)(t) for t in missing.values())
        for key, view in zip(missing, Parallel(n_jobs=n, return_as="generator")(jobs), strict=True):
            keep(key, view)
    else:
        for key, t in missing.items():
            keep(key, _one(t))
    for k in keys:
        if k in _kept:
            _kept.move_to_end(k)
    while len(_kept) > KEPT:
        _kept.popitem(last=False)
    return [found[k] for k in keys]


def _one(t: Task) -> Outlook:
    with untouched():
        return central(t.counts, t.inputs, t.ahead)


def forget() -> None:
    """Drop what is remembered."""
    _kept.clear()


__all__: Any = ["Task", "ended", "forget", "made", "of_type", "task"]
