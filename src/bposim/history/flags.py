"""A column of zeros and ones that tells the outcome, and the columns of a file that nothing used."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pandas as pd

from bposim.errors import HistoryError
from bposim.history.cells import MISSING, plain_names
from bposim.history.layouts import Profile
from bposim.history.quality import Ledger

#: Plain names of such columns → what their yes and their no mean.
FLAGS = {
    **dict.fromkeys(("abandoned", "is_abandoned", "abandoned_flag"), ("abandoned", "answered")),
    **dict.fromkeys(("answered", "is_answered", "answered_flag"), ("answered", "abandoned")),
}
_YES, _NO = ("1", "1.0", "true", "yes", "y"), ("0", "0.0", "false", "no", "n")


def outcome_flag(
    frame: pd.DataFrame, profile: Profile, found: Mapping[str, str], columns: Mapping[str, Any] | None, name: str
) -> tuple[dict[str, str], pd.Series | None, str]:
    """Return the mapped columns, the outcomes that a column of zeros and ones tells, and that column.

    Only a log without an outcome column needs one. A column ``answered`` of zeros and ones holds no times.

    Raises
    ------
    HistoryError
        Without the times that it does not hold no wait is known.
    """
    mine = dict(found)
    if profile.kind != "contacts" or "outcome" in mine:
        return mine, None, ""
    plain = plain_names([str(c) for c in frame.columns])
    for flag, (yes, no) in FLAGS.items():
        column = plain.get(flag)
        taken = [ours for ours, theirs in mine.items() if theirs == column]
        if column is None or (taken and (taken != ["answered"] or "answered" in (columns or {}))):
            continue
        text = frame[column].astype("str").str.strip().str.lower()
        known = ~text.isin(MISSING)
        if not known.any() or not text[known].isin([*_YES, *_NO]).all():
            continue
        if taken:
            del mine["answered"]
            if "wait_s" not in mine and not {"ended", "handle_s"} <= set(mine):
                raise HistoryError(
                    f"{name}: column {column!r} holds zeros and ones, no times, so no wait is known. Write "
                    'columns={"wait_s": "<its name in the file>"}.'
                )
        return mine, text.map({**dict.fromkeys(_YES, yes), **dict.fromkeys(_NO, no)}).fillna("").astype("str"), column
    return mine, None, ""


def note_columns(frame: pd.DataFrame, used: set[str], flag: str, ledger: Ledger) -> None:
    """Record which column told the outcome, and which nothing used."""
    if flag:
        ledger.whole("outcome_from_flag", len(frame), f" {flag!r}")
    unused = [str(c) for c in frame.columns if str(c) not in used and str(c) != flag]
    if unused:
        names = ", ".join(map(repr, unused[:8])) + (f" and {len(unused) - 8} more" if len(unused) > 8 else "")
        ledger.whole("unused_columns", len(unused), f": {names}")
