"""Do the intervals of a calibration cover the truth as often as they say?

Draws histories with planted parameters, calibrates each on a base that knows nothing of them, and counts how often each 95 %
interval holds the planted value. Usage: python benchmarks/recovery.py

    HISTORIES [FOLDER [SECONDS [PART]]]  contact logs and interval reports, so many histories of each law of patience
    HISTORIES DAYS                 the synthetic voice operation
    heads [HISTORIES [DAYS]]       the day factor of heads

Rows of the first are kept in FOLDER (by default in the system's temporary one) as long as the package's source is the same, so
that a study which SECONDS ended goes on where it was.
"""

from __future__ import annotations

import csv
import hashlib
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

import bposim as bp
from bposim import datasets
from bposim.calibrate import Calibration
from bposim.scenario import Scenario


def planted(truth: Scenario) -> dict[tuple[str, str], float]:
    """Return the true value of every parameter that carries an interval."""
    values: dict[tuple[str, str], float] = {("day factor cv", "all"): truth.day_factor.cv}
    week = truth.replace(start=date(2026, 5, 4), days=7)  # a week without holidays
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    for t, kind in truth.contact_types.items():
        expected = pd.Series(week.expected_contacts(t)).groupby(week.grid.weekday).sum()
        values |= {("contacts per day", f"{t}, {names[d]}"): float(v) for d, v in expected.items()}
        values[("mean handle time", t)] = kind.handle_time[0].mean
        values[("handle time cv", t)] = kind.handle_time[0].cv
        values[("mean patience", t)] = kind.patience[0].mean
    return values


def one(seed: int, days: int, heads_cv: float = 0.0) -> tuple[Calibration, Scenario]:
    """Draw one history and calibrate it."""
    truth = datasets.voice_truth(days=days, heads_cv=heads_cv)
    log = datasets.draw_history(truth, seed=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bp.History.from_contacts(log.drop(columns="replication"), tz=truth.time_zone)
        return bp.calibrate(datasets.base_scenario(truth), history), truth


def study(histories: int = 100, days: int = 119, first_seed: int = 1000) -> pd.DataFrame:
    """Return ``parameter, subject, truth, mean_estimate, bias_in_errors, coverage, n``."""
    rows = []
    for k in range(histories):
        cal, truth = one(first_seed + k, days)
        values = planted(truth)
        for e in cal.estimates:
            if (e.parameter, e.subject) in values:
                true = values[(e.parameter, e.subject)]
                rows.append((e.parameter, e.subject, true, e.value, (e.high - e.low) / 3.92, e.low <= true <= e.high))
    frame = pd.DataFrame(rows, columns=["parameter", "subject", "truth", "value", "error", "covered"])
    grouped = frame.groupby(["parameter", "subject"], sort=False)
    return grouped.apply(
        lambda f: pd.Series(
            {"truth": f["truth"].iloc[0], "mean_estimate": f["value"].mean(),
             "bias_in_errors": (f["value"] - f["truth"]).mean() / f["error"].mean(),
             "coverage": f["covered"].mean(), "n": len(f)}
        ),
        include_groups=False,
    ).reset_index()  # fmt: skip


def heads_study(
    histories: int = 60, days: int = 119, first_seed: int = 3000, cvs: tuple[float, ...] = (0.0, 0.10, 0.15)
) -> pd.DataFrame:
    """Return ``agent_group, truth, mean_estimate, none, coverage, n`` of the day factor of heads."""
    rows = []
    for cv in cvs:
        for k in range(histories):
            cal, _ = one(first_seed + k, days, cv)
            found = [e for e in cal.estimates if e.parameter == "day factor of heads cv"]
            rows += [(e.subject, cv, e.value, e.value == 0, e.low <= cv <= e.high) for e in found]
    frame = pd.DataFrame(rows, columns=["agent_group", "truth", "value", "none", "covered"])
    grouped = frame.groupby(["agent_group", "truth"], sort=False)
    return grouped.agg(
        mean_estimate=("value", "mean"), none=("none", "mean"), coverage=("covered", "mean"), n=("value", "size")
    ).reset_index()


COLUMNS = ["parameter", "subject", "truth", "value", "low", "high"]
LAWS = ("exponential", "weibull", "piecewise")
#: Between the seeds of two laws: contacts common to all of them would make 201 histories worth 67.
SEEDS_APART = 10_000


def parts() -> dict[tuple[str, str], Callable[[int], list[tuple[Any, ...]]]]:
    """Return what fits one history of each kind, by what was known of it and law of patience."""
    import recovery_logs as logs
    import recovery_reports as reports

    found: dict[tuple[str, str], Callable[[int], list[tuple[Any, ...]]]] = {}
    for k, law in enumerate(LAWS):
        found["contact log", law] = lambda seed, law=law, k=k: logs.rows(law, seed + SEEDS_APART * k)
        found["long queues deter", law] = lambda seed, law=law: logs.balking_rows(law, seed)
        found["interval report", law] = lambda seed, law=law, k=k: reports.told(law, seed + SEEDS_APART * k)
    return found


def source_digest() -> str:
    """Return a digest of the package's source and of this study: rows of another version are not those of this one."""
    files = sorted(Path(bp.__file__).parent.rglob("*.py")) + sorted(Path(__file__).parent.glob("recovery*.py"))
    return hashlib.sha256(b"".join(f.read_bytes() for f in files)).hexdigest()[:12]


def kept_rows(
    histories: int, folder: Path, seconds: float = np.inf, only: str = "", first_seed: int = 7000
) -> tuple[pd.DataFrame, bool]:
    """Fit the histories that the folder lacks, as far as the time goes; return all rows, and whether they are complete."""
    begin, frames, whole = time.time(), [], True
    folder.mkdir(parents=True, exist_ok=True)
    for (known, law), fit in parts().items():
        if not f"{known} {law}".startswith(only):
            continue
        path = folder / f"{known} {law}.csv".replace(" ", "-")
        done = set(pd.read_csv(path)["seed"]) if path.exists() else set()
        with path.open("a", newline="") as file:
            out = csv.writer(file)
            if not file.tell():
                out.writerow(["known", "law", "seed", *COLUMNS])
            for seed in (s for s in range(first_seed, first_seed + histories) if s not in done):
                if time.time() - begin > seconds:
                    whole = False
                    break
                out.writerows((known, law, seed, *row) for row in fit(seed))
                file.flush()
        frame = pd.read_csv(path).drop_duplicates(["seed", "parameter", "subject"])
        frames.append(frame[frame["seed"] < first_seed + histories])
    return pd.concat(frames, ignore_index=True), whole


def in_errors(wrong: np.ndarray) -> float:
    """Return a mean error in units of the spread between histories; 0 where none is wrong."""
    spread = float(np.std(wrong, ddof=1))
    return float(wrong.mean()) / spread if spread > 0 else 0.0


def judged(rows: pd.DataFrame) -> pd.DataFrame:
    """Return ``known, law, parameter, subject, truth, mean_estimate, bias_in_errors, coverage, n``.

    The bias is in standard errors of an estimate: the spread between the histories. What has a truth of its own in every
    history is compared with that. Only what is said of patience is told by law; the rest is that of all laws together.
    """
    of_law = rows["parameter"].str.contains("patien")
    rows = rows.assign(law=rows["law"].where(of_law, "all"), wrong=rows["value"] - rows["truth"])
    rows["covered"] = (rows["low"] <= rows["truth"]) & (rows["truth"] <= rows["high"])
    grouped = rows.groupby(["known", "parameter", "subject", "law"], sort=False)
    found = grouped.agg(truth=("truth", "mean"), mean_estimate=("value", "mean"),
                        bias_in_errors=("wrong", lambda w: in_errors(w.to_numpy())), coverage=("covered", "mean"),
                        n=("value", "size"))  # fmt: skip
    return found.reset_index()


def missed(table: pd.DataFrame) -> pd.DataFrame:
    """Return what covers the truth in less than 90 or more than 98 %, or is off by more than a quarter of its error."""
    return table[~table["coverage"].between(0.90, 0.98) | (table["bias_in_errors"].abs() > 0.25)]


def default_folder() -> Path:
    """Return where the rows of this version are kept unless told otherwise."""
    return Path(tempfile.gettempdir()) / f"bposim-recovery-{source_digest()}"


if __name__ == "__main__":
    begin = time.time()
    words = sys.argv[1:]
    if words and words[0].isdigit() and not (len(words) > 1 and words[1].isdigit()):
        place = Path(words[1]) if len(words) > 1 else default_folder()
        limit = float(words[2]) if len(words) > 2 else np.inf
        kept, complete = kept_rows(int(words[0]), place, limit, " ".join(words[3:]))
        print(judged(kept).to_string(index=False, float_format=lambda x: f"{x:.4g}"))
        print("outside 90 to 98 %, or off by more than a quarter of a standard error:")
        print(missed(judged(kept)).to_string(index=False, float_format=lambda x: f"{x:.4g}"))
        print("complete" if complete else "time is up: run again to go on", f"{time.time() - begin:.0f} s")
        sys.exit()
    if sys.argv[1:2] == ["heads"]:
        print(heads_study(*(int(a) for a in sys.argv[2:])).to_string(index=False, float_format=lambda x: f"{x:.3f}"))
        sys.exit()
    numbers = [int(a) for a in sys.argv[1:]]
    table = study(*numbers)
    print(table.to_string(index=False, float_format=lambda x: f"{x:.3f}"))
    outside = table[(table["coverage"] < 0.90) | (table["coverage"] > 0.99)]
    print(f"{len(table)} parameters, {len(outside)} outside 90 to 99 %, mean coverage {np.mean(table['coverage']):.3f}, "
          f"{time.time() - begin:.0f} s")  # fmt: skip
