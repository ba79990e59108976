"""Run the benchmarks and write their tables into benchmarks/README.md.

Usage: python benchmarks/run.py [section …]; sections: oracles, recovery, heads, twins, coverage, speed,
forecast, bank, backtest, reports, planted, staffing, plans (plans=i3,week: these parts only), targets, chances,
advice, vancouver, fuzz (fuzz=verint,eleveo: these readers only), rules. Sections that need data from
outside the project are left as they are where the data are
missing, and say so.
"""

from __future__ import annotations

import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pandas as pd

HERE = Path(__file__).parent
PAGE = HERE / "README.md"
DATA = HERE.parents[1] / "shared" / "data"


def table(frame: pd.DataFrame) -> str:
    """Return a frame as a Markdown table."""

    def cell(value: object) -> str:
        if isinstance(value, float | np.floating):
            return "–" if not np.isfinite(value) else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"
        return str(value)

    head = "| " + " | ".join(map(str, frame.columns)) + " |\n|" + "---|" * len(frame.columns)
    return "\n".join([head, *("| " + " | ".join(map(cell, row)) + " |" for row in frame.itertuples(index=False))])


def write(section: str, text: str) -> None:
    """Replace one section of the page, between its markers."""
    page = PAGE.read_text() if PAGE.exists() else "# Benchmarks\n"
    begin, end = f"<!-- {section} -->", f"<!-- /{section} -->"
    body = f"{begin}\n{text.strip()}\n{end}"
    if begin in page:
        page = page[: page.index(begin)] + body + page[page.index(end) + len(end) :]
    else:
        page = page.rstrip() + "\n\n" + body + "\n"
    PAGE.write_text(page)
    print(f"wrote section {section}")


def recovery() -> None:
    """Coverage of the calibration's intervals over synthetic histories."""
    sys.path.insert(0, str(HERE))
    from recovery import study

    n = 100
    found = study(n)
    outside = int(((found["coverage"] < 0.90) | (found["coverage"] > 0.99)).sum())
    found["n"] = found["n"].astype(int)
    write(
        "recovery",
        f"## Recovery of planted parameters\n\n{n} synthetic histories of four months, each calibrated on a base that knows "
        f"nothing of them; coverage of the 95 % intervals ({outside} of {len(found)} parameters outside 90 to 99 %, mean "
        f"{found['coverage'].mean():.3f}). `bias_in_errors` is the mean error in standard errors.\n\n{table(found)}",
    )


def planted(histories: int = 67, folder: Path | None = None) -> None:
    """Everything at once, from contact logs and from interval reports; the rows in the folder are used."""
    sys.path.insert(0, str(HERE))
    from recovery import default_folder, judged, kept_rows, missed

    rows, _ = kept_rows(histories, folder or default_folder())
    found = judged(rows)
    counts = rows.groupby("known", sort=False)[["law", "seed"]].apply(lambda f: len(f.drop_duplicates())).to_dict()
    said = ", ".join(f"{n} times {known}" for known, n in counts.items())
    write(
        "planted",
        f"## Recovery, everything at once\n\nHistories of eight weeks with about 400 contacts a day and patience of three laws "
        f"({said}), each with contacts of its own. In the contact logs customers call again, agents work after each contact and "
        "take breaks, none of which is recorded; `long queues deter` is the same with balking. Coverage of the 95 % intervals; "
        "`bias_in_errors` is the mean error in standard errors, the spread between histories; it is itself known to ± 0.12 from "
        "67 histories and to ± 0.07 from 201 (one standard error; `recovery_luck.py` tells it without the luck of the histories). "
        "What does not depend on the law of patience is told for all laws together. "
        f"{len(missed(found))} of {len(found)} rows are outside 90 to 98 % or off by more than a quarter of a "
        f"standard error.\n\n{table(found)}",
    )


def heads() -> None:
    """The day factor of heads over synthetic histories."""
    sys.path.insert(0, str(HERE))
    from recovery import heads_study

    found = heads_study()
    write(
        "heads",
        "## Recovery of the day factor of heads\n\nSynthetic histories of four months with a planted cv; `none` is "
        "the share in which no spread beyond inference and rounding was found, `coverage` that of the 95 % interval.\n\n"
        + table(found),
    )


def twins() -> None:
    """Random scenarios over all mechanics through both engines."""
    sys.path.insert(0, str(HERE))
    from twins import study

    found = study()
    write(
        "twins",
        f"## Two engines, one answer\n\n{found['scenarios'].sum():,} random scenarios of `bposim.testing.random_scenario`, "
        f"{found['coarse'].sum():,} of them on clocks of a second or a minute, full of ties; every record of both engines "
        f"compared: {found['differing'].sum()} scenarios differ.\n\n{table(found)}",
    )


def coverage() -> None:
    """Coverage of the intervals of simulations."""
    sys.path.insert(0, str(HERE))
    from interval_coverage import study

    found = study()
    write(
        "coverage",
        f"## Coverage of intervals\n\n{found['n'].iloc[0]:,} experiments of 40 replications each, M/M/12+M in steady state; "
        f"share of 95 % intervals that hold the exact value.\n\n{table(found)}",
    )


def speed() -> None:
    """Contacts a second of the engines beside other programs, and how the cost grows; every run checked."""
    sys.path.insert(0, str(HERE))
    from speed import measure, plot

    report = measure()
    plot(report.rows, report.curves, HERE / "speed.png")
    write("speed", report.text)
    for fault in report.checks.faults:
        print(f"FAILED {fault}")


def forecast() -> None:
    """Forecast error on public series, beside naive methods."""
    if not DATA.exists():
        print("section forecast: the data folder is missing; the page keeps its last figures")
        return
    sys.path.insert(0, str(HERE))
    import forecast_speed
    from forecast_sets import page, study

    warnings.simplefilter("ignore")
    speed = forecast_speed.study()
    begin = time.perf_counter()
    tables = page(study())
    write(
        "forecast",
        "## Forecast\n\nDefaults only; WAPE by interval or day beside baselines and the noise floor (what a perfect expectation would "
        "still miss). p1: a North American bank's calls (Weinberg, Brown & Stroud 2007), five minutes, 15 days ahead; p2: half hours, one "
        "day ahead; p3: half hours, ten days ahead; i8: Vancouver 3-1-1 (City of Vancouver, Open Government Licence), 56 days ahead from 25 "
        'origins; days: Technion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000), half hours one day ahead, April to September; etiqa: '
        "28 days ahead in 2015, with the reservations known two months before and without; intraday: the bank's half hours after 11:00, and "
        f"their sum, with the morning known. `python benchmarks/forecast_sets.py` ({time.perf_counter() - begin:.0f} s)\n\n"
        f"{table(tables['errors'])}\n\nVancouver by year of the origin, 56 days ahead from an origin every 28 days:\n\n{table(tables['years'])}\n\n"
        "What the bands cover, by interval, day and week, four weeks ahead (Vancouver: eight), whole counts by their rank among the paths; "
        f"pooled over all windows, and the mean of the sets:\n\n{table(tables['bands'])}\n\n"
        "Ten queues, a year of half hours each, 13 weeks ahead (`python benchmarks/forecast_speed.py`), 2 cores:\n\n"
        f"{table(speed)}",
    )


def backtest() -> None:
    """Two weeks of the bank's log that nobody fitted."""
    sys.path.insert(0, str(HERE))
    from bank_backtest import LOG, study

    if not LOG.exists():
        print("section backtest: the log is missing; the page keeps its last figures")
        return
    found = study(100).reset_index(names="")
    write(
        "backtest",
        '## Back-test on the bank\'s log\n\nTechnion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000). Fitted on 1 January to 20 '
        "February and on 1 to 24 August, played on the weeks after with the contacts that came and the agents seen at work; shares as "
        'fractions, ASA in seconds, errors of the service level within 20 s in points. "Spreadsheet" is Erlang A with one pool, presence '
        "taken as a call and the pause after it up to 120 s; the noise floor is the error about single replications of the simulation "
        f"itself. `python benchmarks/bank_backtest.py`\n\n{table(found)}",
    )


def reports() -> None:
    """The bank from its interval reports alone."""
    sys.path.insert(0, str(HERE))
    from bank_reports import REPORT, study

    if not REPORT.exists():
        print("section reports: the report is missing; the page keeps its last figures")
        return
    write(
        "reports",
        "## The bank from its interval reports alone\n\nOffered, answered, abandoned, answered within 20 s and 60 s, sums of waits and talk by "
        "half hour; no contact, no agent. *own*: heads that the played week's own report shows; *profile*: heads of the fitted "
        f"scenario, which know nothing of that week. `python benchmarks/bank_reports.py`\n\n{table(study())}",
    )


def bank() -> None:
    """The main job on the Technion bank's log."""
    log = DATA / "anonbank" / "calls_1999_jan_feb_aug.csv.gz"
    if not log.exists():
        print("section bank: the log is missing; the page keeps its last figures")
        return
    from bposim.history import read_history
    from bposim.report.offer import make_offer

    warnings.simplefilter("ignore")
    begin = time.perf_counter()
    offer = make_offer(read_history(log, profile="anonbank"), country="IL")
    said = "\n".join(f"- {line}" for line in offer.headline)
    tested = table(offer.backtest.summary()) if offer.backtest is not None else ""
    write(
        "bank",
        f'## The bank, 1999\n\nTechnion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000; Brown et al. 2005), January and '
        f"February, the two weeks that follow ({time.perf_counter() - begin:.0f} s).\n\n{said}\n\nTwo weeks held out:\n\n{tested}",
    )


def fuzz(readers: str = "", chunk: int = 500) -> None:
    """Spoiled files through the readers; the rows of other readers than these stay as they are."""
    sys.path.insert(0, str(HERE))
    from fuzz import MAKERS, study

    for name in readers.split(",") if readers else MAKERS:
        write_fuzz(pd.concat([study(chunk, (name,), first=k) for k in range(0, 2000, chunk)]))


def write_fuzz(parts: pd.DataFrame) -> None:
    """Write the rows of readers, the sums of their parts, into the table; those of the others stay as they are."""
    from fuzz import MAKERS

    sums = {c: "max" if c == "slowest_s" else "sum" for c in parts.columns if c != "reader"}
    found = table(parts.groupby("reader", as_index=False).agg(sums)).splitlines()
    page = PAGE.read_text() if PAGE.exists() else ""
    old = page.partition("<!-- fuzz -->")[2].partition("<!-- /fuzz -->")[0].splitlines()
    rows = {line.split("|")[1].strip(): line for line in [*old, *found[2:]] if line.startswith("|")}
    every = [*found[:2], *(rows[n] for n in MAKERS if n in rows)]
    write(
        "fuzz",
        "## Spoiled files\n\nClean files of every profile in its own layout, as CSV, gzip, Parquet and every seventh as "
        "Excel, event logs as XES too, spoiled in cells, rows, columns, types, text, bytes and packing (`benchmarks/fuzz.py`). "
        "They must end in a result or a listed error. *wrong*: a reading of more than ten seconds by the clock, a row "
        "unaccounted for, or a row that nobody touched and that reads otherwise than in the clean file.\n\n"
        + "\n".join(every),
    )


def rules() -> None:
    """False alarms of the rules of data quality on clean histories."""
    sys.path.insert(0, str(HERE))
    from false_alarms import study

    found = study()
    write(
        "rules",
        "## False alarms of the rules of data quality\n\nRandom clean histories (`tests/history/clean_histories.py`), half of them "
        "contact logs and half interval reports; every rule counts but the two that chance may break, contacts outside the "
        "hours and days without contacts.\n\n" + table(found),
    )


def staffing() -> None:
    """Agents for a varying rate, and for the service level of a day."""
    sys.path.insert(0, str(HERE))
    from staffing_varying import REPLICATIONS, cycle, sine, window

    begin = time.perf_counter()
    days, contrast, swing = window(), cycle(), sine()
    write(
        "staffing",
        "## Agents for a rate that varies\n\nλ(t) = 100 + 20 sin t an hour, handle time and patience exponential with mean an hour, "
        "staffing reset every 0.1 hours, t in [6, 24] (Feldman, Mandelbaum, Massey & Whitt 2008): the number present is Poisson with "
        "mean 100 + 10 (sin t − cos t), which gives the exact probability of delay. Published, computed exactly: 114.61 agents and "
        "0.0838–0.1000; 101.51 and 0.4583–0.4989. *nearest*: the column `fractional` rounded; *simulation*: iterative staffing, 2,000 "
        f"replications a round. Simulated over {REPLICATIONS:,} replications, delays by 6-minute interval; one agent is worth 0.042 at 0.5, "
        "so that whole agents cannot hold ± 0.02 there at every instant; an agent who leaves finishes its contact, which the Poisson law does not "
        "know and which lowers delays while staffing falls.\n\n"
        f"{table(swing)}\n\n"
        "Load 100, amplitude 50 %, a cycle of twenty handle times, nobody abandons, P(delay) at most 0.2, reset every 1/36 handle time; "
        "published: PSA 1.3–88.6 % with 111.27 agents, offered load 17.9–20.2 % with 111.32. Exact by Kolmogorov's equations, at every instant "
        f"between two resets too.\n\n{table(contrast)}\n\n"
        "The service level of a day, 200 contacts a half hour, 180 s each, 80 % within 20 s (Roubos, Koole & Stolletz 2012); published "
        f"fewest agents: 24 and 25, with patience 22 and 23.\n\n{table(days)}\n\n"
        f"`python benchmarks/staffing_varying.py` ({time.perf_counter() - begin:.0f} s)",
    )


PLANS = {
    "i3": "### Six groups, three types (Pot, Bhulai & Koole 2008)\n\nUnit costs, 80 % within 20 s over all, whole agents all day; published: 32 agents",
    "i4": "### Two groups, 148 shifts (Avramidis et al. 2010)\n\n80 % within 20 s in each of 72 cells, *worst_mean* on 20,000 fresh days; "
          "published: 47.3 (cuts), validated",
    "week": "### A large week\n\nQuarter hours, six groups, eight types, 12,480 shifts a day, about 300 agents: 80 % within 20 s of each type "
            "over the week; wanted: proven within 2 % of its bound in five minutes",
    "small": "### Small worlds enumerated\n\nRandom lines with two or three shifts; *enumeration*: the cheapest shifts that the same proof accepts",
    "promise": "### Whether \"met\" is true\n\nRandom worlds, probability 0.95 asked for; *kept*: plans called met whose probability on 5,000 fresh "
               "replications lies above 0.935. Beside it the same shifts covering Erlang C",
}  # fmt: skip


def plans(part: str = ",".join(PLANS)) -> None:
    """Staffing with the simulator in the loop; ``plans=i3,week`` runs some parts."""
    sys.path.insert(0, str(HERE))
    from staffing_loop import RUNS, promise, promise_table, small, small_table

    for name in part.split(","):
        begin = time.perf_counter()
        if name in RUNS:
            found = pd.DataFrame([RUNS[name]()])
        else:
            found = small_table(small()) if name == "small" else promise_table(promise())
        write(
            f"plans {name}",
            f"{PLANS[name]}.\n\n{table(found)}\n\n`python benchmarks/staffing_loop.py {name}` ({time.perf_counter() - begin:.0f} s)",
        )


def targets() -> None:
    """Probabilities of promises against published and stated values."""
    sys.path.insert(0, str(HERE))
    from targets import STATED_DAYS, STATED_MONTHS, differences, i6, illustration

    begin = time.perf_counter()
    windows, (found, rules) = i6(), illustration()
    shown = found.set_index("multiplier").T.reset_index(names="")
    write(
        "targets",
        "## Probabilities of promises\n\nThe service level of a window is a random number (Roubos, Koole & Stolletz 2012): 200 contacts a "
        "half hour of 180 s, answered within 20 s / offered; errors are this simulation's own.\n\n"
        f"{table(windows)}\n\n"
        "A day of 2,000 contacts with uncertain days and half hours (cv 10 % and 6 %), handle time lognormal of 300 s (cv 0.9), patience of "
        "180 s, a month of twenty days, staffing a multiple of Erlang C's. The profile over the day is not stated: taken is one with two peaks "
        "whose staffing gives all seven stated agent-hours. Agents have shifts of their own; of heads by number those idle go home first, "
        "which has 0.6 points less at the same hours. "
        f"The stated probabilities rest on {STATED_DAYS:,} days and {STATED_MONTHS} months.\n\n{table(shown)}\n\n"
        f"At 0.90, counting rules over the whole:\n\n{table(rules)}\n\nLargest differences:\n\n{table(differences(found))}\n\n"
        f"`python benchmarks/targets.py` ({time.perf_counter() - begin:.0f} s)",
    )


def advice() -> None:
    """How long a full recommendation takes on the bank."""
    sys.path.insert(0, str(HERE))
    from bank_backtest import LOG

    from targets import bank

    if not LOG.exists():
        print("section advice: the log is missing; the page keeps its last figures")
        return
    found = bank().T.reset_index(names="")
    write(
        "advice",
        '## A full recommendation\n\nTechnion "Anonymous Bank" (Mandelbaum, Sakov & Zeltyn 2000), calibrated on 1 January to 20 February, March '
        "1999: four targets by month and what tightening each would cost, 1,000 replications for each of eight staffing levels. The wanted time is "
        "90 s on 2 cores. In both scenarios half of those who hang up call again, which is what most of the time goes to: each play has 36,000 "
        f"contacts and up to several thousand spare ones.\n\n{table(found)}\n\n`python benchmarks/targets.py bank`",
    )


def chances() -> None:
    """Predicted chances of random clauses in random operations against fresh luck."""
    sys.path.insert(0, str(HERE))
    from targets_calibrated import FRESH, REPLICATIONS, reliability, scores, study

    pairs = study(300)
    said = "\n".join(f"- {k}: {v:.4f}" for k, v in scores(pairs).items())
    write(
        "chances",
        f"## Calibrated chances\n\n{len(pairs)} random clauses in {pairs['operation'].nunique()} random small operations: predicted on "
        f"{REPLICATIONS} replications, observed on {FRESH:,} of another seed, by decile of the predicted chance. It tells that chances are right "
        "about the simulation's own world; deciles hold pairs of about as many operations, nothing is shrunk or fitted.\n\n"
        f"{table(reliability(pairs))}\n\n{said}\n\n`python benchmarks/targets_calibrated.py`",
    )


def vancouver() -> None:
    """Targets recommended for each year of Vancouver's 3-1-1 from the data before it."""
    sys.path.insert(0, str(HERE))
    from vancouver_targets import FILE, notes, study

    if not FILE.exists():
        print("section vancouver: the file is missing; the page keeps its last figures")
        return
    begin = time.perf_counter()
    tables = study()
    said = "\n".join(f"- {line}" for line in notes())
    write(
        "vancouver",
        "## Targets from demonstrated capability\n\nVancouver 3-1-1 (City of Vancouver, Open Government Licence – Vancouver), share "
        "answered within 60 s and abandonment by month. On each 1 January a level for every month of the year, at 90 %, from the months "
        "before it, defaults only. *level*: mean of the glide path, *flat*: one figure for the year, *plain*: the 10 % quantile of the "
        "last 24 months; *met*: months that met them; *surprise*: the year's mean beside what was expected, in standard deviations, "
        f"better is positive.\n\n{table(tables['by year'])}\n\nAll years together:\n\n{table(tables['pooled'])}\n\n"
        "At the same share of months met, by moving confidence and quantile, without rounding: mean levels. *known year*: the best single "
        "figure of somebody who has seen the year. The plain rule cannot go below the worst of its months (–).\n\n"
        f"{table(tables['sharpness'])}\n\nYears whose mean lay outside the middle 80 % of what was expected (by chance one in five):\n\n"
        f"{table(tables['changed'])}\n\nWhat the advice says at the end of the record:\n\n{said}\n\n"
        f"`python benchmarks/vancouver_targets.py` ({time.perf_counter() - begin:.0f} s)",
    )


def oracles() -> None:
    """Agreement of the formulas with exact values: the tests say it; this prints their count."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/oracles", "tests/test_erlang.py", "tests/engines"],
        cwd=HERE.parent, capture_output=True, text=True, check=False,
    )  # fmt: skip
    write(
        "oracles",
        f"## Exact and published cases\n\n`pytest tests/oracles tests/test_erlang.py tests/engines`: {done.stdout.strip().splitlines()[-1]}",
    )


if __name__ == "__main__":
    sections = {
        f.__name__: f
        for f in (
            oracles,
            recovery,
            heads,
            twins,
            coverage,
            speed,
            forecast,
            bank,
            backtest,
            reports,
            fuzz,
            rules,
            planted,
            staffing,
            plans,
            targets,
            chances,
            advice,
            vancouver,
        )
    }
    for asked in sys.argv[1:] or sections:
        name, _, part = asked.partition("=")
        if name not in sections:
            sys.exit(f"section {name!r} does not exist. Known: {', '.join(sections)}.")
        sections[name](*([part] if part else []))
