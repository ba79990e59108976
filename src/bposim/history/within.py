"""What a report counts within a time: buckets, an acceptable time told elsewhere, shares that become counts again."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd

from bposim.errors import HistoryError
from bposim.history.contacts import Reading
from bposim.history.layouts import BOUND, BUCKET, SHARE
from bposim.history.quality import Ledger
from bposim.history.shape import Told, only_number, only_value
from bposim.units import format_seconds

_IN_TIME = {"answered_in_time": "answered", "abandoned_in_time": "abandoned"}


def count_within(
    cells: pd.DataFrame, ledger: Ledger, how: Reading, told: Told, *, insist: bool
) -> pd.DataFrame:  # fmt: skip
    """Return the cells with ``answered_within_s{T}`` and ``abandoned_within_s{T}`` of what the file has of them.

    Parameters
    ----------
    cells, ledger, how
    told : Told
        Takes the formula and the acceptable time that the file tells.
    insist : bool
        Whether the user told how the service level is to be read, so that one that cannot be is an error.
    """
    cells = _buckets(cells, ledger, how)
    cells = _settings(cells, ledger, how, told)
    within = told.within_s if told.within_s is not None else how.profile.within_s
    unknown = []
    for name, what in _IN_TIME.items():
        cells, missed = _label(cells, name, what, within)
        unknown += missed
    if unknown:
        ledger.whole("threshold_unknown", len(cells), f" {_names(unknown)}: within what time the file does not tell")
    cells, unknown = _label(cells, "short_abandoned", "abandoned", how.profile.short_abandon_s)
    if unknown:
        ledger.whole("threshold_unknown", len(cells), f" {_names(unknown)}: the short-abandon limit is not told")
    return _shares(cells, ledger, how, told, within, insist=insist)


def _names(names: list[str]) -> str:
    return ", ".join(map(repr, names))


def _label(cells: pd.DataFrame, name: str, what: str, limit: float | None) -> tuple[pd.DataFrame, list[str]]:
    """Give a count the time it is within as part of its name; one whose time is not known is left out and named."""
    if name not in cells:
        return cells, []
    if limit is None or limit % 1:
        return cells.drop(columns=name), [name]
    made = f"{what}_within_s{limit:.0f}"
    if made in cells:
        return cells.drop(columns=name), []
    return cells.rename(columns={name: made}), []


def _settings(cells: pd.DataFrame, ledger: Ledger, how: Reading, told: Told) -> pd.DataFrame:
    """Take the formula and the acceptable time that the file's own columns tell."""
    profile = how.profile
    if "counting" in cells:
        words = cells.loc[ledger.kept, "counting"].map(str).str.strip().str.replace(r"\.0$", "", regex=True)
        kinds = [profile.counting_words.get(w.lower(), w) for w in words.unique() if w.lower() not in ("", "nan")]
        one = only_value(kinds)
        if one in profile.counting_words.values():
            told.counting = str(one)
        elif kinds:
            ledger.whole("setting_varies", len(cells), f"service-level formula ({_names(sorted(kinds)[:5])})")
        cells = cells.drop(columns="counting")
    if "in_time_s" in cells:
        values, _ = how.numbers(cells, "in_time_s")
        values = values[ledger.kept]
        values = np.unique(values[~np.isnan(values) & (values > 0)])
        one = only_value(list(values))
        if one is not None:
            told.within_s = float(values[0])
        elif len(values):
            words = ", ".join(format_seconds(v) for v in values[:5])
            ledger.whole("setting_varies", len(cells), f"acceptable waiting time ({words})")
        cells = cells.drop(columns="in_time_s")
        if one is not None and profile.within_s not in (None, told.within_s):
            raise HistoryError(
                f"{how.name} says that its acceptable waiting time is {format_seconds(float(values[0]))}, but within="
                f"{format_seconds(profile.within_s or 0.0)!r} was told. Leave within= out, or correct the file."
            )
    return cells


def _buckets(cells: pd.DataFrame, ledger: Ledger, how: Reading) -> pd.DataFrame:
    """Add numbered buckets up to counts within their bounds."""
    numbered = [c for c in cells if BUCKET.match(str(c))]
    bounded = sorted((c for c in cells if BOUND.match(str(c))), key=_number)
    bounds: list[float] = []
    varies = False
    for column in bounded:
        values = how.numbers(cells, column)[0][ledger.kept]
        one = only_number(values)
        varies |= one is None and not np.isnan(values).all()
        if one is None or one <= 0 or (bounds and one <= bounds[-1]):
            break
        bounds.append(one)
    if varies:
        ledger.whole("setting_varies", len(cells), f"list of bucket bounds ({_names(bounded[:5])})")
    if not bounds and not varies:
        bounds = list(how.profile.buckets)
    if numbered and not bounds:
        ledger.whole(
            "threshold_unknown", len(cells), f" {_names(sorted(numbered, key=_number)[:4])}: no bounds are told"
        )
    for what in ("answered", "abandoned"):
        mine = {_number(c): c for c in numbered if c.startswith(what)}
        total = np.zeros(len(cells))
        bad = np.zeros(len(cells), dtype=bool)
        for k, bound in enumerate(bounds, start=1):
            if k not in mine or bound % 1:
                break
            values, wrong = how.numbers(cells, mine[k])
            total, bad = total + values, bad | wrong
            made: pd.Series = pd.Series(total, index=cells.index)
            if bad.any():
                made = made.astype(object).where(~bad, cells[mine[k]].astype("str") + "?")
            cells = cells.assign(**{f"{what}_within_s{bound:.0f}": made})
    return cells.drop(columns=[*numbered, *bounded])


def _number(column: str) -> int:
    found = re.search(r"(\d+)$", column)
    return int(found[1]) if found else 0


# Shares into counts --------------------------------------------------------------------------------------------------


def _shares(
    cells: pd.DataFrame, ledger: Ledger, how: Reading, told: Told, within: float | None, *, insist: bool
) -> pd.DataFrame:  # fmt: skip
    """Turn a service level into the count of those answered in time, by the formula that made it."""
    counting = told.counting or how.profile.counting
    for column in [c for c in cells if c == "service_level" or SHARE.match(str(c))]:
        limit = float(_number(column)) if SHARE.match(column) else within
        made = f"answered_within_s{limit:.0f}" if limit is not None else ""
        why = ""
        if counting is None or limit is None:
            lacking = [n for n, v in (("counting", counting), ("within", limit)) if v is None]
            why = f"{' and '.join(f'{n}=' for n in lacking)} not told"
        elif limit % 1:
            why = f"{format_seconds(limit)} is no whole number of seconds"
        elif made in cells:
            cells = cells.drop(columns=column)
            continue
        else:
            bottom, minus, lacks = _denominator(cells, how, counting, limit)
            if lacks:
                why = f"formula {counting!r} needs {' and '.join(lacks)}"
        if why:
            if insist and counting is not None and limit is not None:
                raise HistoryError(
                    f"{how.name}: the service level cannot be turned into a count: {why}. Give the columns, another "
                    "counting=, or read it without within= and counting=."
                )
            ledger.whole("service_level_unread", len(cells), f": {why}")
        else:
            share, bad = _share(cells, column, how)
            count = np.round(share * bottom - minus)
            off = (share > 1.0) | (share < 0.0)
            ledger.set_aside("unparseable_number", bad | off, f" in {column!r}")
            # A share of nobody is blank: then nobody was answered in time.
            count = np.where(np.isnan(share) & (bottom == 0), 0.0, np.maximum(count, 0.0))
            count = _doubt(count, share * bottom - minus, _step(cells[column]) * bottom, cells, ledger, how)
            cells = cells.assign(**{made: count})
            ledger.note(
                "service_level_to_count", ~np.isnan(share) & ledger.kept,
                f" within {format_seconds(limit or 0.0)} by the formula {counting!r}",
            )  # fmt: skip
        cells = cells.drop(columns=column)
    return cells


def _share(cells: pd.DataFrame, column: str, how: Reading) -> tuple[np.ndarray, np.ndarray]:
    """Return shares of 0 to 1, written as such or as percentages, and which are none."""
    text = cells[column]
    sign = np.zeros(len(text), dtype=bool)
    if text.dtype.kind not in "iufb":
        stripped = text.astype("str").str.strip()
        sign = stripped.str.endswith("%").to_numpy()
        text = stripped.str.removesuffix("%").str.strip()
    values, bad = how.numbers(cells.assign(**{column: text}), column)
    # What most cells are the others are too: one odd cell does not make percentages of shares.
    known = values[~np.isnan(values)]
    positive = known[(known > 0) & (known <= 100)]
    mostly = 2 * sign.sum() > len(known) or (len(positive) > 0 and float(np.median(positive)) > 1.0)
    return np.where(sign | mostly, values / 100.0, values), bad


def _step(column: pd.Series) -> np.ndarray:
    """Return half a unit in the last place of each share as written."""
    text = column.astype("str").str.strip()
    places = text.str.extract(r"[.,](\d+)\s*%?$")[0].str.len().fillna(0).to_numpy(dtype=float)
    places = places + np.where(text.str.endswith("%"), 2.0, 0.0)
    return np.asarray(0.5 * 10.0 ** -np.minimum(places, 12.0))


def _doubt(
    count: np.ndarray, exact: np.ndarray, blur: np.ndarray, cells: pd.DataFrame, ledger: Ledger, how: Reading
) -> np.ndarray:
    """Return the counts, unknown where they exceed those answered; tell where the products are no whole numbers.

    A share that was made by the formula gives a whole number back, as nearly as its last place allows. Rows whose last
    place allows more than a tenth of a contact tell nothing.
    """
    telling = (blur < 0.1) & ~np.isnan(exact) & (exact > 0) & ledger.kept
    misfit = telling & (np.abs(exact - np.round(exact)) > blur + 1e-6)
    answered = how.numbers(cells, "answered")[0] if "answered" in cells else np.full(len(count), np.inf)
    beyond = (count > answered) & ledger.kept
    rounded = beyond & (exact - blur - 0.5 <= answered)
    count = np.where(rounded, answered, count)
    beyond &= ~rounded
    if beyond.any() or (telling.sum() >= 20 and misfit.mean() > 0.1 * telling.mean()):
        whole = 1 - misfit.sum() / max(telling.sum(), 1)
        detail = f" (only {whole:.0%} of the shares give a whole number of contacts"
        detail += f"; {beyond.sum():,} give more than were answered and are left unknown)" if beyond.any() else ")"
        ledger.note("service_level_formula", misfit | beyond, detail)
    return np.where(beyond, np.nan, count)


def _denominator(
    cells: pd.DataFrame, how: Reading, counting: str, limit: float
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return the formula's denominator, what its numerator holds besides those answered in time, and what is lacking."""
    short = how.profile.short_abandon_s
    in_time, hung_up = f"abandoned_within_s{limit:.0f}", f"abandoned_within_s{short or 0:.0f}"
    # formula: (added to the denominator, taken from it, part of the numerator)
    terms: dict[str, tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]] = {
        "offered": (("answered", "abandoned"), (), ()),
        "answered": (("answered",), (), ()),
        "excl_T": (("answered", "abandoned"), (in_time,), ()),
        "credit_T": (("answered", "abandoned"), (), (in_time,)),
        "excl_short": (("answered", "abandoned"), (hung_up,), ()),
        "credit_short": (("answered", "abandoned"), (), (hung_up,)),
        "flow": (("answered", "abandoned", "deflected"), (), ()),
        "removed": (("answered", "abandoned", "callback"), (), (in_time, f"callback_within_s{limit:.0f}")),
    }
    plus, less, above = terms[counting]
    if counting == "removed" and "callback" in cells and not np.nansum(how.numbers(cells, "callback")[0]):
        above = (in_time,)
    optional = {
        "offered": ("disconnected",),
        "removed": ("disconnected", "deflected"),
        "flow": ("callback", "disconnected"),
    }
    extra = tuple(n for n in optional.get(counting, ("disconnected",) if counting != "answered" else ()) if n in cells)
    needed = (*plus, *less, *above)
    lacks = [repr(n) for n in needed if n not in cells]
    if counting in ("excl_short", "credit_short") and short is None:
        lacks.append("short_abandons=")
    if lacks:
        return np.empty(0), np.empty(0), list(dict.fromkeys(lacks))

    def add(names: tuple[str, ...]) -> np.ndarray:
        return sum((how.numbers(cells, n)[0] for n in names), np.zeros(len(cells)))

    return add((*plus, *extra)) - add(less), add(above), []
