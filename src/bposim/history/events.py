"""Event logs (case, activity, resource, start, end) into contacts: XES, lifecycle transitions, arrival of the work."""

from __future__ import annotations

import io
import xml.etree.ElementTree as ElementTree
from collections import deque

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.cells import text_of
from bposim.history.contacts import Reading
from bposim.history.quality import Ledger

#: Standard extensions of XES (IEEE 1849-2016) that are read, by our name.
_XES = {
    "concept:name": "activity", "org:resource": "resource", "lifecycle:transition": "transition", "time:timestamp": "time",
}  # fmt: skip
_SCHEDULE, _START, _COMPLETE = 0, 1, 2
_TRANSITIONS = {
    "schedule": _SCHEDULE, "scheduled": _SCHEDULE, "start": _START, "started": _START,
    "complete": _COMPLETE, "completed": _COMPLETE, "end": _COMPLETE,
}  # fmt: skip


def read_xes(data: bytes, name: str, limit: int | None = None) -> pd.DataFrame:
    """Return the events of an XES document as text: ``case, activity, resource, transition, time``.

    Raises
    ------
    HistoryError
        It is no well-formed XML, no event log, or has no events.
    """
    rows: list[tuple[str, ...]] = []
    names = ("case", *_XES.values())
    trace: dict[str, str] = {}
    path: list[str] = []
    root = ""
    try:
        for step, element in ElementTree.iterparse(io.BytesIO(data), events=("start", "end")):
            tag = element.tag.rsplit("}", 1)[-1]
            if step == "start":
                root = root or tag
                path.append(tag)
                if tag == "trace":
                    trace = {}
                continue
            path.pop()
            if tag == "event":
                values = {c.get("key", ""): c.get("value", "") for c in element}
                rows.append((trace.get("concept:name", ""), *(values.get(key, "") for key in _XES)))
                element.clear()
                if limit is not None and len(rows) >= limit:
                    break
            elif path and path[-1] == "trace" and element.get("key"):
                trace[element.get("key", "")] = element.get("value", "")
            elif tag == "trace":
                element.clear()
    except ElementTree.ParseError as error:
        raise HistoryError(f"{name} is no well-formed XML ({error}). Export the event log again.") from None
    if root != "log":
        raise HistoryError(
            f"{name} is XML but no XES event log: its root is {root!r}, not 'log'. Export it as XES or CSV."
        )
    if not rows:
        raise HistoryError(f"{name} holds no events. Give an event log with at least one event.")
    frame = pd.DataFrame(rows, columns=list(names), dtype="str")
    return frame.loc[:, [c for c in names if c in ("case", "activity", "time") or (frame[c] != "").any()]]


def contacts_of_events(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Return the cells of a contact log, one row per activity that has an end, on the rows of the event log.

    The activity is the contact type, the resource the agent. Where nothing tells when the work was put into the queue,
    it is the end of the case's previous activity, at the latest its own start (rule ``arrival_assumed``).
    """
    case = text_of(cells["case"]) if "case" in cells else None
    if "start" in cells and "end" in cells:
        times = {c: how.times(cells, c) for c in ("scheduled", "start", "end") if c in cells}
        bad = np.any([t.bad | (t.missing if c == "start" else False) for c, t in times.items()], axis=0)
        ledger.set_aside("unparseable_time", bad)
        ledger.set_aside("dst_gap", np.any([t.gap for t in times.values()], axis=0))
        ledger.note("dst_fold", np.any([t.fold for t in times.values()], axis=0) & ledger.kept)
        values = {c: t.values for c, t in times.items()}
        missing = pd.Series(pd.NaT, index=cells.index, dtype=values["start"].dtype)
        scheduled = values.get("scheduled", missing)
        start, end = values["start"], values["end"]
    else:
        scheduled, start, end = _paired(cells, case, ledger, how)
    arrived = _arrivals(case, scheduled, start, end, ledger)
    made = pd.DataFrame({
        "arrived": arrived, "answered": start, "ended": end, "contact_type": cells["activity"],
        "outcome": np.where(start.notna(), "answered", "open"),
    }, index=cells.index)  # fmt: skip
    if "resource" in cells:
        made["agent"] = cells["resource"]
    for name in ("priority", "customer"):
        if name in cells:
            made[name] = cells[name]
    if case is not None:
        made["extra:case"] = case
    for name in (c for c in cells if str(c).startswith("extra:")):
        made[name] = cells[name]
    return made


def _paired(
    cells: pd.DataFrame, case: pd.Series | None, ledger: Ledger, how: Reading
) -> tuple[pd.Series, pd.Series, pd.Series]:
    """Join starts to completions of the same activity of a case, first to first, on the completions' rows."""
    if "transition" not in cells:
        raise HistoryError(
            f"{how.name} has one time per event and no lifecycle transition, so nothing tells starts from ends. Give "
            "columns 'start' and 'end', or 'transition' (start, complete)."
        )
    parsed = how.times(cells, "time")
    ledger.set_aside("unparseable_time", parsed.bad | parsed.missing)
    ledger.set_aside("dst_gap", parsed.gap)
    words = text_of(cells["transition"]).str.lower()
    step = words.map(_TRANSITIONS).to_numpy(dtype=float)
    other = sorted(words[np.isnan(step) & words.notna().to_numpy()].unique())
    ledger.set_aside(
        "unpaired_event", np.isnan(step), f": neither schedule, start nor complete ({', '.join(other[:5])})"
    )
    if not (step[ledger.kept] == _START).any():
        raise HistoryError(
            f"{how.name} holds no event 'start', so how long the work took is not told. Export the lifecycle transitions "
            "start and complete."
        )
    group = pd.DataFrame({"a": text_of(cells["activity"])} | ({"c": case} if case is not None else {}))
    code = group.groupby(list(group), dropna=False, sort=False).ngroup().to_numpy()
    stamp = parsed.values.dt.tz_convert("UTC").dt.tz_localize(None).astype("int64").to_numpy()
    rows = np.flatnonzero(ledger.kept)
    rows = rows[np.lexsort((rows, step[rows], stamp[rows], code[rows]))]
    begun = np.full(len(cells), -1, dtype=np.int64)
    queued = np.full(len(cells), -1, dtype=np.int64)
    joined = np.zeros(len(cells), dtype=bool)
    loose = np.zeros(len(cells), dtype=bool)
    last, waiting, running = -1, deque[int](), deque[tuple[int, int]]()
    for k in rows:
        if code[k] != last:
            loose[[*waiting, *(s for s, _ in running)]] = True
            last, waiting, running = code[k], deque(), deque()
        if step[k] == _SCHEDULE:
            waiting.append(int(k))
        elif step[k] == _START:
            running.append((int(k), waiting.popleft() if waiting else -1))
        elif running:
            begun[k], queued[k] = running.popleft()
            joined[begun[k]] = True
            if queued[k] >= 0:
                joined[queued[k]] = True
        else:
            loose[k] = True
    loose[[*waiting, *(s for s, _ in running)]] = True
    ledger.set_aside("joined_event", joined)
    ledger.set_aside("unpaired_event", loose, ": no start for the completion, or none to it")
    none = pd.Series(pd.NaT, index=cells.index, dtype=parsed.values.dtype)

    def at(index: np.ndarray) -> pd.Series:
        found = parsed.values.iloc[np.maximum(index, 0)].set_axis(cells.index)
        return found.where(index >= 0, none)

    return at(queued), at(begun), parsed.values.where(begun >= 0, none)


def _arrivals(
    case: pd.Series | None, scheduled: pd.Series, start: pd.Series, end: pd.Series, ledger: Ledger
) -> pd.Series:
    """Return when the work was put into the queue: as told, or the end of what came before it in the case."""
    assumed = scheduled.isna() & start.notna()
    before = pd.Series(pd.NaT, index=start.index, dtype=start.dtype)
    if case is not None and assumed.any():
        use = pd.DataFrame({"case": case, "start": start, "end": end})[ledger.kept & start.notna().to_numpy()]
        use = use.sort_values("start", kind="stable")
        last = use.groupby("case", sort=False)["end"].cummax()
        before.loc[use.index] = last.groupby(use["case"], sort=False).shift()
    early = before.where(before.notna() & (before < start), start)
    ledger.note("arrival_assumed", assumed.to_numpy() & ledger.kept)
    return scheduled.where(~assumed, early)
