"""Cells that an interval report does not have: nobody came, or it is not known."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pandas as pd

from bposim.history.quality import Ledger
from bposim.history.rules import RULES


@dataclass(frozen=True, eq=False)
class Absent:
    """What the cells (interval and contact type) mean that a report lacks, in an interval that another type has.

    Attributes
    ----------
    nobody : bool
        Whether the report leaves empty rows out, so that nobody came; one that writes a row of zero contacts leaves none
        out, and a row that it lacks is not known. Told once, from the whole report.
    lost : DataFrame
        ``interval_start, contact_type`` of rows that were set aside as errors or left out: not known either way.
    """

    nobody: bool
    lost: pd.DataFrame

    def between(self, low: pd.Timestamp, high: pd.Timestamp) -> Absent:
        """Return the same of the intervals from ``low`` until before ``high``."""
        start = self.lost["interval_start"]
        return replace(self, lost=self.lost[(start >= low) & (start < high)])

    def with_lost(self, rows: pd.DataFrame) -> Absent:
        """Return the same with more rows left out."""
        more = rows[["interval_start", "contact_type"]]
        return replace(self, lost=pd.concat([self.lost, more], ignore_index=True)) if len(more) else self

    def with_unknown(self, table: pd.DataFrame) -> pd.DataFrame:
        """Return the table with a row of missing numbers for each lost cell of its contact types that it does not have."""
        lost = self.lost[self.lost["contact_type"].isin(table["contact_type"].unique())].drop_duplicates()
        have = pd.MultiIndex.from_frame(table[["interval_start", "contact_type"]])
        lost = lost[~pd.MultiIndex.from_frame(lost).isin(have)]
        if not len(lost):
            return table
        columns = [c for c in table if table[c].dtype.kind in "iuf" and c not in ("replication", "source_row")]
        rows = table[["interval_start", "contact_type", *columns]]
        rows = pd.concat(
            [rows.astype(dict.fromkeys(columns, float)), lost.assign(**dict.fromkeys(columns, float("nan")))]
        )
        first = table["replication"].iloc[0]
        return rows.assign(replication=first).sort_values(
            ["interval_start", "contact_type"], kind="stable", ignore_index=True
        )


def absent_cells(table: pd.DataFrame, ledger: Ledger | None = None) -> Absent:
    """Return what the cells mean that a report lacks.

    Parameters
    ----------
    table : DataFrame
        IntervalTable of all rows in the order of the ledger, those set aside too; of the kept ones where it is None.
    ledger : Ledger or None
    """
    if ledger is None:
        return Absent(not (table["offered"] == 0).any(), table.loc[[], ["interval_start", "contact_type"]])
    errors = {r for r, rule in RULES.items() if rule.severity == "error"}
    wrong = pd.Series(ledger.reason, index=table.index).isin(errors) & ~ledger.kept
    lost = table.loc[wrong, ["interval_start", "contact_type"]].dropna()
    return Absent(not (table.loc[ledger.kept, "offered"] == 0).any(), lost.reset_index(drop=True))
