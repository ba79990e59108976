"""Fresh replications until an answer is clear, or enough were played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np
import pandas as pd

from bposim.simulate.result import SimulationResult

Answer = TypeVar("Answer")

#: A proof may take so many times its first replications.
PATIENCE = 4


def verdict(low: float, high: float, level: float, sense: str = ">=") -> str:
    """Say whether an interval lies on the good side of a level, on the bad side, or across it.

    The one meaning of *met*: the whole interval reaches the level.

    Examples
    --------
    >>> verdict(0.953, 0.98, 0.95), verdict(0.93, 0.97, 0.95), verdict(0.90, 0.94, 0.95)
    ('met', 'undecided', 'not met')
    """
    if np.isnan(low) or np.isnan(high):
        return "undecided"
    if sense == "<=":
        low, high, level = -high, -low, -level
    return "met" if low >= level else "not met" if high < level else "undecided"


def prove(
    runs: SimulationResult,
    judge: Callable[[Sequence[SimulationResult]], Answer],
    open_question: Callable[[Answer], bool],
    *,
    limit: int,
) -> tuple[Answer, int]:
    """Judge replications, and twice as many as long as the question stays open.

    Parameters
    ----------
    runs : SimulationResult
        The first replications, which no search has seen.
    judge : callable
        Called with all results so far.
    open_question : callable
        Tells from an answer whether more replications may settle it.
    limit : int
        Most replications.

    Returns
    -------
    (answer, int)
        The last answer and the replications behind it.

    Notes
    -----
    Every look gives chance one more opportunity: with up to three looks a probability that lies just at the level is
    called met in about 5 of 100 proofs, where one look does so in 2.
    """
    played, total = [runs], runs.replications
    answer = judge(played)
    while open_question(answer) and total < limit:
        played.append(played[-1].fresh(min(total, limit - total)))
        total += played[-1].replications
        answer = judge(played)
    return answer, total


def stack(tables: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Put the windows of several results below each other, their replications numbered through."""
    parts, shift = [], 0
    for table in tables:
        parts.append(table.assign(replication=table["replication"] + shift))
        shift += int(table["replication"].max()) + 1 if len(table) else 0
    return pd.concat(parts, ignore_index=True)
