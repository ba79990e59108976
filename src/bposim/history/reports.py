"""Checks of an interval report that need more than its row: sums over the day, other queues, the agents there."""

from __future__ import annotations

import numpy as np
import pandas as pd

from bposim.history.quality import Ledger

#: Offered less outcomes is a lag of booking if at most this share of it is left over the day.
NETS_OUT = 0.25
#: A handle sum is beyond belief with this many mean handle times more than its contacts explain …
TOO_MANY = 100.0
#: … and a mean this many times the usual.
TOO_LONG = 5.0
#: Handle time over three intervals may exceed the agents' by this factor: contacts are booked whole in one interval.
CARRIED = 1.15
#: A mean handle time below this over so many contacts is none in seconds.
SHORTEST_AHT_S, AHT_CONTACTS = 10.0, 30
#: Intervals and contacts that a queue must have to be known as the sum of the others.
TOTAL_INTERVALS, TOTAL_CONTACTS = 10, 50


def note_reports(frame: pd.DataFrame, apart: pd.Series | None, ledger: Ledger) -> None:
    """Record what breaks a rule; totals queues are set aside.

    Parameters
    ----------
    frame : DataFrame
        IntervalTable of all rows, those set aside too, in the order of the ledger.
    apart : Series or None
        Offered less the sum of what became of the contacts, where the report has both.
    ledger : Ledger
    """
    note_totals_queue(frame, ledger)
    if apart is not None:
        _note_mismatch(frame, apart.to_numpy(dtype=float, na_value=np.nan), ledger)
    if "transferred" in frame:
        moved = frame["transferred"].to_numpy(dtype=float, na_value=np.nan)
        hit = ledger.kept & (moved > 0)
        answered = float(np.nansum(frame["answered"].to_numpy(dtype=float, na_value=np.nan)[ledger.kept]))
        ledger.note("transfers_counted", hit, f": {moved[hit].sum():,.0f} of {answered:,.0f} answered contacts")
    if "handle_sum_s" in frame:
        _note_handle(frame, ledger)


def note_totals_queue(frame: pd.DataFrame, ledger: Ledger) -> None:
    """Set aside the rows of a contact type that is the sum of all others in every interval."""
    use = ledger.kept & frame["offered"].notna().to_numpy()
    cells = frame.loc[use, ["interval_start", "contact_type", "offered"]]
    kinds = cells["contact_type"].unique()
    # Of two equal queues none is the sum.
    if len(kinds) < 3:
        return
    every = cells.groupby("interval_start")["offered"].sum()
    own = cells.groupby("contact_type")["offered"].sum()
    half = own.index[np.isclose(own.to_numpy(dtype=float), every.sum() / 2)]
    for kind in half:
        mine = cells[cells["contact_type"] == kind].set_index("interval_start")["offered"]
        others = cells[(cells["contact_type"] != kind) & (cells["offered"] > 0)].groupby("interval_start").size()
        # What equals one other queue may be its twin.
        if (others >= 2).sum() < TOTAL_INTERVALS:
            continue
        twice = np.isclose(2 * mine.to_numpy(dtype=float), every.reindex(mine.index).to_numpy(dtype=float))
        if mine.sum() >= TOTAL_CONTACTS and twice.all():
            ledger.set_aside("totals_queue", (frame["contact_type"] == kind).to_numpy(), f" ({kind!r})")
            return


def _note_mismatch(frame: pd.DataFrame, apart: np.ndarray, ledger: Ledger) -> None:
    """Tell contacts that are booked later in the day from contacts that are lost or counted twice."""
    off = ledger.kept & (np.nan_to_num(apart) != 0)
    if not off.any():
        return
    kind = pd.factorize(frame["contact_type"])[0]
    day = frame["interval_start"].dt.tz_localize(None).dt.normalize()
    if (pd.DataFrame({"k": kind, "d": day})[ledger.kept].value_counts() == 1).all():
        day = pd.Series(0, index=frame.index)  # a row is a day: a lag evens out over the weeks
    sums = pd.DataFrame({"net": np.where(ledger.kept, np.nan_to_num(apart), 0.0)}).assign(
        gross=lambda f: f["net"].abs()
    )
    sums = sums.groupby([kind, day.to_numpy()]).transform("sum")
    lag = off & (sums["net"].abs() <= NETS_OUT * sums["gross"]).to_numpy()
    total = max(float(frame["offered"].to_numpy(dtype=float, na_value=np.nan)[ledger.kept & ~np.isnan(apart)].sum()), 1)
    for rule, hit in (("booking_lag", lag), ("count_mismatch", off & ~lag)):
        ledger.note(rule, hit, _by_how_much(apart[hit], total) if rule == "count_mismatch" else "")


def _by_how_much(apart: np.ndarray, total: float) -> str:
    """Write by how much offered and the outcomes differ."""
    if not len(apart):
        return ""
    above = (apart > 0).mean()
    way = "more" if above >= 0.95 else "less" if above <= 0.05 else "now more, now less,"
    size = np.abs(apart)
    return f": {way} by {size.mean():,.3g} a row, {size.sum() / total:.1%} of the contacts"


def _note_handle(frame: pd.DataFrame, ledger: Ledger) -> None:
    answered, handled = (frame[c].to_numpy(dtype=float, na_value=np.nan) for c in ("answered", "handle_sum_s"))
    served = ledger.kept & (answered > 0)
    ledger.note("zero_aht", served & (handled == 0))
    use = served & (handled > 0)
    if not use.any():
        return
    contacts, mean = answered[use].sum(), handled[use].sum() / answered[use].sum()
    if contacts >= AHT_CONTACTS and mean < SHORTEST_AHT_S:
        ledger.whole(
            "unit_slip", int(use.sum()), f"mean handle time of {contacts:,.0f} answered contacts is {mean:.3g} s"
        )
    rows = pd.DataFrame({"k": pd.factorize(frame["contact_type"])[0][use], "n": answered[use], "h": handled[use]})
    rows["aht"] = rows["h"] / rows["n"]
    # The median over rows, weighted by contacts, is moved by no single row.
    rows = rows.assign(at=np.flatnonzero(use)).sort_values(["k", "aht"], kind="stable")
    done = rows.groupby("k")["n"].cumsum() / rows.groupby("k")["n"].transform("sum")
    usual = rows[done >= 0.5].groupby("k")["aht"].first().reindex(rows["k"]).to_numpy()
    beyond = (rows["h"] - rows["n"] * usual > TOO_MANY * usual) & (rows["aht"] > TOO_LONG * usual)
    hit = np.zeros(len(frame), dtype=bool)
    hit[rows.loc[beyond, "at"].to_numpy()] = True
    most = rows.loc[beyond, "aht"].max()
    ledger.note("extreme_aht", hit, f": up to {most:,.0f} s" if beyond.any() else "")
    if "staffed_s" in frame:
        _note_occupied(frame, handled, ledger)


def _note_occupied(frame: pd.DataFrame, handled: np.ndarray, ledger: Ledger) -> None:
    staffed = frame["staffed_s"].to_numpy(dtype=float, na_value=np.nan)
    use = np.flatnonzero(ledger.kept & ~np.isnan(staffed) & ~np.isnan(handled))
    part = pd.DataFrame({
        "k": frame["contact_type"].to_numpy()[use], "t": frame["interval_start"].to_numpy()[use],
        "h": handled[use], "s": staffed[use], "at": use,
    }).sort_values(["k", "t"], kind="stable")  # fmt: skip
    around = part.groupby("k")[["h", "s"]].rolling(3, center=True, min_periods=1).sum()
    around = around.reset_index(level=0, drop=True).loc[part.index]
    over = (part["h"] > part["s"]) & (around["h"] > CARRIED * around["s"]).to_numpy()
    hit = np.zeros(len(frame), dtype=bool)
    hit[part.loc[over, "at"].to_numpy()] = True
    most = (part.loc[over, "h"] / part.loc[over, "s"].where(part["s"] > 0)).max()
    ledger.note("over_occupied", hit, f": up to {most:.0%} occupied" if np.isfinite(most) else "")
