"""Which profile fits a file: a proposal to confirm, never a decision."""

from __future__ import annotations

import difflib
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd

from bposim.errors import HistoryError
from bposim.history.cells import MISSING, plain_name, plain_names, told_day_first
from bposim.history.cells import needs as needed_groups
from bposim.history.files import RawTable, load, table_of
from bposim.history.layouts import FIELDS, Profile
from bposim.history.profiles import PLAIN, PROFILES

#: Rows and bytes that are looked at.
ROWS, BYTES = 500, 1 << 18
#: Scores that lie closer than this are a tie.
TIE = 0.02
#: Names that are at least this like each other may mean the same.
ALIKE = 0.6
_DATE = r"(?:\d{1,4}[-/.]\d{1,2}[-/.]\d{1,4}|\d{8}|\d{5}(?:\.\d+)?)(?:[T ].*)?"
_CLOCK = r"\d{1,2}(?::?\d{2})?(?::\d{2})?(?:\s*[AaPp][Mm])?|0?\.\d+"
_NUMBER = r"-?[\d.,]+\s*%?|-?(?:\d+ days? )?\d+:\d{2}(?::\d{2}(?:\.\d+)?)?"
_DATES = ("arrived", "interval_start", "date", "start", "end", "scheduled")


@dataclass(frozen=True, eq=False, repr=False)
class Guess:
    """Which profile may fit a file. Made by :func:`guess_profile`.

    Attributes
    ----------
    path : str
    profile : str or None
        The best one; None where none fits, or where several fit equally well (``tied``).
    tied : tuple of str
        The profiles that fit equally well, the plain ones before those of vendors; empty where there is one or none.
    candidates : DataFrame
        ``profile, score, columns_found, columns_missing``, best first; a score of 0 does not fit.
    settings : dict
        What reading with the best profile would assume: ``tz``, ``clock``, ``day_first``, ``decimal``, ``units``,
        ``booking``, ``counting``, ``within_s``; None is not told and has to be, or is told from the whole column.
    likely : mapping
        Where no profile fits: our column → the file's column of the likest name, for profile ``kind``.
    """

    path: str
    profile: str | None
    tied: tuple[str, ...]
    candidates: pd.DataFrame
    settings: dict[str, Any]
    likely: Mapping[str, str] = field(default_factory=dict)
    kind: str = "intervals"

    @property
    def call(self) -> str:
        """The call that confirms the guess."""
        name = self.profile or (self.tied[0] if self.tied else "…")
        zone = "" if self.settings.get("zone_of_source") else f', tz="{self.settings.get("tz") or "Area/City"}"'
        first = ", day_first=…" if self.settings.get("day_first") == "not told" else ""
        return f'read_history({self.path!r}, profile="{name}"{zone}{first})'

    @property
    def _columns(self) -> str:
        """The mapping to confirm, by likeness of names."""
        pairs = [
            f"{json.dumps(o, ensure_ascii=False)}: {json.dumps(t, ensure_ascii=False)}" for o, t in self.likely.items()
        ]
        return "{" + (", ".join(pairs) or '"ours": "theirs"') + "}"

    @property
    def command(self) -> str:
        """The command that confirms the guess."""
        name = self.profile or (self.tied[0] if self.tied else "NAME")
        zone = "" if self.settings.get("zone_of_source") else f" --tz {self.settings.get('tz') or 'Area/City'}"
        return f"bposim check {shlex.quote(self.path)} --profile {name}{zone}"

    def __str__(self) -> str:
        fits = self.candidates[self.candidates["score"] > 0]
        if not len(fits):
            near = self.candidates.iloc[0]
            lines = [
                f"no profile fits {self.path}; the nearest is {near['profile']!r}, which lacks {near['columns_missing']}.",
                f"Our columns of profile {self.kind!r}: {', '.join(FIELDS[self.kind])}.",
                f'Name the columns: read_history({self.path!r}, profile="{self.kind}", tz="Area/City", columns={self._columns}).',
            ]
            return "\n".join(lines)
        if self.tied:
            lines = [f"{self.path} fits {' and '.join(map(repr, self.tied))} equally well: choose one."]
        else:
            lines = [f"{self.path} looks like profile {self.profile!r}: confirm it, nothing was read."]
        for row in fits.head(3).itertuples():
            missing = f"; not in the file: {row.columns_missing}" if row.columns_missing else ""
            lines.append(f"  {row.profile} (score {row.score:.2f}): {row.columns_found}{missing}.")
        s = self.settings
        zone = s["tz"] or "not told: write tz="
        lines.append(
            f"  It would assume: time zone {zone}; times {_clock_words(s)}; {_day_words(s['day_first'])}; decimal sign "
            f"{s['decimal'] or 'as the column tells'}; durations in {s['units']}; booked by {s['booking'] or '(not told)'}; "
            f"service level {s['counting'] or 'not told'}, within {s['within_s'] or '(not told)'}."
        )
        lines += [f"  Confirm: {self.call}", f"  or:      {self.command}"]
        return "\n".join(lines)

    __repr__ = __str__


def _clock_words(settings: dict[str, Any]) -> str:
    if settings["offsets"] == "ignored":
        return "local although they carry an offset"
    return f"without an offset in {settings['clock']}" if settings["clock"] else "without an offset in that zone"


def _day_words(day_first: Any) -> str:
    words = {True: "day before month", False: "month before day", None: "dates that cannot be misread"}
    return words.get(day_first, "day or month first is not told: write day_first=")


def guess_profile(path: str | Path, *, tz: Any = None) -> Guess:
    """Return which profiles may fit a file, from its columns, its layout and its first values. Nothing is decided.

    Parameters
    ----------
    path : str or Path
    tz : str, optional
        Time zone to write into the call that confirms the guess.

    Returns
    -------
    Guess

    Raises
    ------
    HistoryError
        The file cannot be read at all.

    Examples
    --------
    >>> guess_profile("calls.csv")  # doctest: +SKIP
    """
    data = load(path)
    name = Path(path).name
    if data[:4] not in (b"PAR1", b"PK\x03\x04"):
        data = _head(data)
    tables: list[tuple[Any, RawTable | HistoryError]] = []
    rows, frames = [], {}
    for profile in PROFILES.values():
        # Title lines are found by a profile's own names, so no two profiles need see the same table.
        key: Any = None
        if _may_have_titles(data):
            key = (profile.header, profile.fields, profile.delimiters, profile.columns)
        table = next((t for k, t in tables if k == key), None)
        if table is None:
            table = _table(data, name, profile)
            tables.append((key, table))
        if isinstance(table, HistoryError):
            rows.append((profile.name, 0.0, "", "its fields by position"))
            continue
        frames[profile.name] = table
        rows.append((profile.name, *_score(table.frame, profile)))
    if not frames:
        raise next(e for _, e in tables if isinstance(e, HistoryError))
    table_of_all = pd.DataFrame(rows, columns=["profile", "score", "columns_found", "columns_missing"])
    found = table_of_all["columns_found"].str.count(",")
    table_of_all = table_of_all.assign(_n=found).sort_values(["score", "_n"], ascending=False, kind="stable")
    table_of_all = table_of_all.drop(columns="_n").reset_index(drop=True)
    top = table_of_all["score"].iloc[0]
    close = table_of_all.loc[(table_of_all["score"] > 0) & (table_of_all["score"] >= top - TIE), "profile"].tolist()
    # Of layouts that fit alike the plain one assumes least.
    close.sort(key=lambda fits: fits not in PLAIN)
    best = close[0] if close else None
    settings = _settings(frames[best], PROFILES[best], tz) if best else {}
    likely: dict[str, dict[str, str]] = {}
    if best is None:
        likely = {
            kind: _likely(frames[kind].frame, PROFILES[kind]) for kind in ("contacts", "intervals") if kind in frames
        }
    kind = max(likely, key=lambda k: (not needed_groups(k, likely[k]), len(likely[k])), default="intervals")
    return Guess(
        str(path),
        best if len(close) == 1 else None,
        tuple(close) if len(close) > 1 else (),
        table_of_all,
        settings,
        likely.get(kind, {}),
        kind,
    )


def _likely(frame: pd.DataFrame, profile: Profile) -> dict[str, str]:
    """Return our column → the file's of the likest name whose cells look like it, each used once, in the file's order."""
    pairs = []
    for place, column in enumerate(map(str, frame.columns)):
        for ours, names in profile.columns.items():
            alike = max(
                difflib.SequenceMatcher(None, plain_name(column), plain_name(n)).ratio() for n in (ours, *names)
            )
            looks = _fit(frame.iloc[:, place], ours, profile)
            if alike >= ALIKE and (looks is None or looks >= 0.5):
                pairs.append((-alike, place, ours, column))
    found: dict[str, tuple[int, str]] = {}
    for _, place, ours, column in sorted(pairs):
        if ours not in found and place not in {p for p, _ in found.values()}:
            found[ours] = (place, column)
    return {ours: column for ours, (_, column) in sorted(found.items(), key=lambda item: item[1][0])}


def _head(data: bytes) -> bytes:
    if len(data) <= BYTES or data.lstrip()[:1] == b"<":
        return data
    cut = data.rfind(b"\n", 0, BYTES)
    return data[: cut + 1] if cut > 0 else data


def _may_have_titles(data: bytes) -> bool:
    return data[:4] not in (b"PAR1", b"PK\x03\x04") and data.lstrip()[:1] != b"<"


def _table(data: bytes, name: str, profile: Profile) -> RawTable | HistoryError:
    try:
        return table_of(data, name, limit=ROWS, profile=profile)
    except HistoryError as error:
        return error


def _score(frame: pd.DataFrame, profile: Profile) -> tuple[float, str, str]:
    """Return how well a profile fits, the columns found, and those missing."""
    plain = plain_names([str(c) for c in frame.columns])
    found: dict[str, str] = {}
    for ours, names in profile.columns.items():
        column = next((plain[plain_name(n)] for n in names if plain_name(n) in plain), None)
        if column is None and ours == "contact_type":
            column = plain.get("contact_type")
        if column is not None:
            found[ours] = column
    missing = [profile.columns[n][0] for n in profile.columns if n not in found]
    mapped = set(found.values())
    for pattern in (
        *profile.patterns,
        *(() if profile.kind != "intervals" else (r"(?:answered|abandoned)_within_s\d+",)),
    ):
        mapped |= {c for text, c in plain.items() if re.fullmatch(pattern, text)}
    mapped |= {plain[plain_name(n)] for names in (*profile.extras.values(), profile.signature) for n in names
               if plain_name(n) in plain}  # fmt: skip
    words = ", ".join(dict.fromkeys(str(c) for c in frame.columns if c in mapped))
    lacking = ", ".join(missing[:6]) + (", …" if len(missing) > 6 else "")
    lost = [n for n in profile.signature if plain_name(n) not in plain]
    if lost:
        return 0.0, words, ", ".join(lost)
    if groups := needed_groups(profile.kind, found):
        return 0.0, words, ", ".join(profile.columns.get(g[0], (g[0],))[0] for g in groups)
    explained = len(mapped) / max(len(frame.columns), 1)
    covered = len(found) / max(len(profile.columns), 1)
    told = [_fit(frame[column], ours, profile) for ours, column in found.items()]
    fits = [f for f in told if f is not None]
    fit = min(fits, default=1.0) if profile.header == "none" else sum(fits) / max(len(fits), 1)
    return round((0.6 * explained + 0.4 * covered) * (fit if fit >= 0.5 else 0.0), 3), words, lacking


def _fit(column: pd.Series, ours: str, profile: Profile) -> float | None:
    """Return the share of a column's cells that look like what it should hold, None where anything will do."""
    if column.dtype.kind in "Mm" or isinstance(column.dtype, pd.DatetimeTZDtype):
        return 1.0 if ours in _DATES else None
    text = column.astype("str").str.strip()
    text = text[~text.str.lower().isin([*MISSING, "?"])]
    if not len(text):
        return None
    if ours in profile.looks:
        form = profile.looks[ours]
    elif ours in _DATES:
        form = _DATE
    elif ours == "time":
        form = f"{_CLOCK}|{_DATE}"
    elif ours.endswith("_s") or ours in ("offered", "answered", "abandoned", "offered_direct", "service_level"):
        if profile.kind == "contacts" and ours == "answered":
            form = _DATE
        else:
            form = _NUMBER
    else:
        return None
    return float(text.str.fullmatch(form).mean())


def _settings(table: RawTable, profile: Profile, tz: Any) -> dict[str, Any]:
    day_first: Any = profile.day_first
    if day_first is None:
        plain = plain_names([str(c) for c in table.frame.columns])
        for ours in _DATES:
            column = next((plain[plain_name(n)] for n in profile.columns.get(ours, ()) if plain_name(n) in plain), None)
            if column is not None and table.frame[column].dtype.kind not in "Mmiuf":
                day_first = told_day_first(table.frame[column].astype("str").str.strip())
                break
    units = dict(profile.units) or "seconds"
    return {
        "tz": str(tz) if tz is not None else profile.zone, "zone_of_source": profile.zone is not None and tz is None,
        "clock": profile.clock, "offsets": profile.offsets, "day_first": day_first,
        "decimal": "," if table.delimiter == ";" else "." if table.delimiter == "," else None,
        "units": units if isinstance(units, str) else ", ".join(f"{k} {v}" for k, v in units.items()) + ", else seconds",
        "booking": profile.booking, "counting": profile.counting,
        "within_s": f"{profile.within_s:g}s" if profile.within_s else None,
    }  # fmt: skip
