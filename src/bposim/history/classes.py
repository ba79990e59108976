"""Contacts of one type told apart by an attribute: priority classes, languages, customer segments."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from bposim.errors import HistoryError, parameter
from bposim.history.tables import nearest_types

#: Contacts nearest in time among which the class of one that was not recorded is drawn.
NEAREST = 25
#: A value is "not recorded" for a type where at least this share of those who waited has another.
RECORDED = 0.9


def split_contacts(
    frame: pd.DataFrame, by: str, types: Sequence[str] | None, unknown: Iterable[Any], fewest: int, seed: int
) -> tuple[pd.DataFrame, list[str]]:
    """Return contacts whose type is ``type/value`` (``whole_type`` is what it was), and sentences on what was drawn.

    Raises
    ------
    HistoryError
        The column or a type does not exist.
    """
    if by not in frame or by in ("contact_type", "arrived", "answered", "ended", "wait_s", "handle_s", "outcome"):
        known = ", ".join(c for c in frame if c not in ("replication", "contact_id", "source_row"))
        raise HistoryError(
            parameter("by", "split()", f"a column of the contacts that tells classes apart ({known})", by)
        )
    names = nearest_types(types, tuple(sorted(frame["contact_type"].unique())))
    value = frame[by].astype(object).where(frame[by].notna(), None)
    text = np.array([None if v is None else str(v) for v in value], dtype=object)
    odd = {str(u) for u in unknown}
    kind = frame["contact_type"].astype(str).to_numpy().astype(object)
    waited = frame["wait_s"].to_numpy(dtype=float, na_value=0.0) > 0
    at = pd.DatetimeIndex(frame["arrived"]).asi8
    rng = np.random.default_rng((seed, 46))
    told = []
    result = kind.copy()
    for name in names:
        here = kind == name
        label = text[here]
        blank = np.array([v is None or v in odd for v in label])
        line = waited[here]
        seen = float((~blank[line]).mean()) if line.any() else 0.0
        if blank.any() and (~blank).any() and seen >= RECORDED:
            recorded, time = np.flatnonzero(~blank), at[here]
            order = recorded[np.argsort(time[recorded], kind="stable")]
            width = min(NEAREST, len(order))
            spot = np.searchsorted(time[order], time[blank]) - width // 2
            spot = np.clip(spot, 0, len(order) - width) + rng.integers(0, width, int(blank.sum()))
            label = label.copy()
            label[blank] = label[order[spot]]
            told.append(
                f"{by} of {int(blank.sum()):,} contacts of type {name!r} was not recorded ({100 * seen:.0f} % of those who waited "
                f"have one); it was drawn from the {width} contacts nearest in time that have one (seed {seed})."
            )
        label = np.array([name if v is None else f"{name}/{v}" for v in label], dtype=object)
        classes, count = np.unique(label.astype(str), return_counts=True)
        classes = classes.astype(object)
        small = (count < fewest) & (count < count.max())
        if small.any():
            main = classes[int(np.argmax(count))]
            listed = ", ".join(f"{c!r} ({n:,})" for c, n in zip(classes[small], count[small], strict=True))
            told.append(f"classes with fewer than {fewest} contacts were counted with {main!r}: {listed}.")
            label[np.isin(label.astype(str), classes[small])] = main
            classes = classes[~small]
        result[here] = label if len(classes) > 1 else name
    whole = frame["whole_type"] if "whole_type" in frame else frame["contact_type"]
    return frame.assign(contact_type=pd.Series(result, index=frame.index).astype("str"), whole_type=whole), told
