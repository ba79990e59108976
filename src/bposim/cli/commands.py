"""One function for each command: arguments in, results out, no computing."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from bposim.errors import ParameterError

app = typer.Typer(
    name="bposim", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Which service targets can this operation promise, how surely, with how many people, at what cost?",
)  # fmt: skip

HistoryFile = Annotated[Path, typer.Argument(help="Contact log or interval report: csv, csv.gz, parquet, xlsx.")]
ScenarioFile = Annotated[Path, typer.Argument(help="Scenario file (YAML).")]
Profile = Annotated[str, typer.Option(help="How the file is laid out: contacts, intervals, anonbank.")]
Zone = Annotated[str | None, typer.Option("--tz", help="IANA time zone of the file's clock, e.g. Asia/Manila.")]
Column = Annotated[list[str] | None, typer.Option("--column", help="ours=theirs, e.g. arrived=Start; repeat for more.")]
DayFirst = Annotated[bool | None, typer.Option("--day-first/--month-first", help="How 03/04/2026 is meant.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Seed = Annotated[int, typer.Option(help="Names the luck; the same seed gives the same answer.", min=0)]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="Write the result here.")]
Volumes = Annotated[
    Path | None, typer.Option(help="Forecast volumes (csv, parquet), as `bposim forecast -o` writes them.")
]
Staffing = Annotated[Path | None, typer.Option(help="Staffing (csv, parquet), as `bposim staff -o` writes it.")]
Replications = Annotated[int, typer.Option(help="How often the horizon is played.", min=2)]
Share = Annotated[str, typer.Option(help="Share of contacts to answer in time: 0.80 or 80%.")]
Within = Annotated[str, typer.Option(help="Acceptable waiting time, with its unit: 20s.")]
Window = Annotated[str, typer.Option(help="interval, day, week, month, quarter or all.")]
Counting = Annotated[str, typer.Option(help="Service-level counting rule.")]
Confidence = Annotated[float, typer.Option(help="Wanted probability that the target is met.")]
Country = Annotated[str | None, typer.Option(help="ISO country code, for its holidays.")]


def _version(value: bool) -> None:
    if value:
        from bposim.provenance import package_version

        print(f"bposim {package_version()}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Simulate, forecast, staff and promise."""


# Helpers -------------------------------------------------------------------------------------------------------------


def _columns(given: list[str] | None) -> dict[str, str] | None:
    if not given:
        return None
    pairs = [entry.split("=", 1) for entry in given]
    bad = [entry for entry, pair in zip(given, pairs, strict=True) if len(pair) != 2]
    if bad:
        raise ParameterError(
            [f"--column {entry!r} is no pair. Write ours=theirs, e.g. arrived=Start." for entry in bad]
        )
    return dict(pairs)  # type: ignore[arg-type]


def _history(path: Path, profile: str, tz: str | None, columns: list[str] | None, day_first: bool | None) -> Any:
    from bposim.history import read_history

    return read_history(path, profile=profile, tz=tz, columns=_columns(columns), day_first=day_first)


def _frame(path: Path | None, what: str) -> pd.DataFrame | None:
    """Read a Volumes or Staffing frame written by another command."""
    if path is None:
        return None
    if not path.exists():
        raise ParameterError(f"{what} file {str(path)!r} does not exist.")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:
        raise ParameterError(f"{what} file {str(path)!r} cannot be read: {str(error).splitlines()[0]}.") from None
    if "interval_start" not in frame:
        raise ParameterError(
            f"{what} file {str(path)!r} has no column 'interval_start'. It has: {', '.join(map(str, frame.columns))}."
        )
    if frame["interval_start"].dtype.kind != "M":
        try:
            frame["interval_start"] = pd.to_datetime(frame["interval_start"], utc=True)
        except ValueError as error:
            raise ParameterError(
                f"{what} file {str(path)!r}: interval_start cannot be read: {str(error).splitlines()[0]}."
            ) from None
    return frame


def _write(frame: pd.DataFrame, path: Path) -> None:
    """Write a frame in one step."""
    from bposim.report import whole

    if path.suffix not in (".csv", ".parquet", ".gz"):
        raise ParameterError(f"--out {str(path)!r} must end in .csv, .csv.gz or .parquet.")
    with whole(path) as scratch:
        if path.suffix == ".parquet":
            frame.to_parquet(scratch)
        else:
            frame.to_csv(scratch, index=False)
    _say(f"wrote {path}")


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def _show(frame: pd.DataFrame, as_json: bool, **extra: Any) -> None:
    """Print a frame as a table, or as JSON with whatever else belongs to the answer."""
    if as_json:
        rows = json.loads(frame.to_json(orient="records", date_format="iso"))
        print(json.dumps(extra | {"rows": rows}, default=str, indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, header_style="bold", pad_edge=False)
    for name in frame.columns:
        number = frame[name].dtype.kind in "iuf"
        table.add_column(str(name), justify="right" if number else "left", overflow="fold")
    for row in frame.itertuples(index=False):
        table.add_row(
            *("" if isinstance(v, float) and v != v else f"{v:,.4g}" if isinstance(v, float) else str(v) for v in row)
        )
    Console(width=None if sys.stdout.isatty() else 160).print(table)


def _scenario(path: Path, volumes: pd.DataFrame | None = None) -> Any:
    """Load a scenario, moved to the days of the volumes where there are any."""
    from bposim.scenario import load_scenario

    scenario = load_scenario(path)
    if volumes is not None and len(volumes):
        local = pd.DatetimeIndex(volumes["interval_start"]).tz_convert(scenario.time_zone)
        first, last = local.min().date(), local.max().date()
        if (first, (last - first).days + 1) != (scenario.start, scenario.days):
            _say(f"the scenario is moved to the days of the volumes: {first} to {last}")
        scenario = scenario.replace(start=first, days=(last - first).days + 1)
        # `bposim forecast` writes no rows for days on which nobody opens.
        shut = sorted(set(scenario.grid.starts.date) - set(local.date))
        if shut:
            _say(f"closed, as the volumes hold no row of these days: {', '.join(map(str, shut))}")
            scenario = scenario.replace(closed=[*scenario.closed, *shut])
    return scenario


# Commands ------------------------------------------------------------------------------------------------------------


@app.command()
def check(
    history: HistoryFile,
    profile: Profile = "contacts",
    tz: Zone = None,
    column: Column = None,
    day_first: DayFirst = None,
    as_json: AsJson = False,
) -> None:
    """Read a history and report its data quality. Exit code 1 if a rule of severity error is broken."""
    found = _history(history, profile, tz, column, day_first)
    report = found.check()
    if not as_json:
        print(found)
    _show(report.frame, as_json, ok=report.ok, kept=report.kept, set_aside=report.set_aside)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def calibrate(
    history: HistoryFile, profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    scenario: Annotated[Path | None, typer.Option(help="Base scenario; one is drafted from the history without it.")] = None,
    until: Annotated[str | None, typer.Option(help="Use only what lies before this day.")] = None,
    out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fit a scenario to a contact log and write it as YAML."""
    from bposim.calibrate import calibrate as fit
    from bposim.calibrate import draft_scenario
    from bposim.report import write_whole
    from bposim.scenario import load_scenario

    found = _history(history, profile, tz, column, day_first)
    base = load_scenario(scenario) if scenario else draft_scenario(found)
    cal = fit(base, found, until=until)
    _show(cal.summary(), as_json, notes=list(cal.notes), scenario=cal.scenario.hash)
    if out:
        write_whole(out, cal.scenario.to_yaml())
        _say(f"wrote {out}")


@app.command()
def forecast(
    history: HistoryFile, profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    days: Annotated[int, typer.Option(help="Days ahead.", min=1)] = 28,
    method: Annotated[str, typer.Option(help="prophet, seasonal-naive or mean-4.")] = "prophet",
    country: Country = None,
    scenario: Annotated[Path | None, typer.Option(help="Take the opening hours of this scenario.")] = None,
    samples: Annotated[int, typer.Option(help="Sample paths.", min=1)] = 500,
    backtest: Annotated[bool, typer.Option("--backtest", help="Also compare with naive methods on the past.")] = False,
    seed: Seed = 1, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Forecast the contacts of every open interval as sample paths."""
    from bposim.forecast import forecast as ahead_of
    from bposim.scenario import load_scenario

    found = _history(history, profile, tz, column, day_first)
    hours = load_scenario(scenario).opening_hours if scenario else None
    ahead = ahead_of(found, days=days, method=method, country=country, samples=samples, seed=seed, opening_hours=hours)
    table = ahead.quantiles([0.05, 0.5, 0.95], by="day") if as_json else ahead.mean(by="day")
    _show(table, as_json, notes=list(ahead.notes))
    if not as_json:
        for note in ahead.notes:
            print(f"Note: {note}")
    if backtest:
        _show(ahead.backtest().summary(), as_json)
    if out:
        _write(ahead.volumes, out)


@app.command()
def staff(
    scenario: ScenarioFile, volumes: Volumes = None, share: Share = "0.80", within: Within = "20s", window: Window = "month",
    confidence: Annotated[float | None, typer.Option(help="Wanted probability; the plan is then validated for it.")] = None,
    max_heads: Annotated[int | None, typer.Option(help="Most agents at any time.")] = None,
    solver: Annotated[str | None, typer.Option(help="highs or cbc.")] = None,
    seed: Seed = 1, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Plan agents and shifts for a target, and check the plan by simulation. Exit code 1 if infeasible or not met."""
    from bposim.optimise import optimise_shifts, required_agents
    from bposim.optimise.validate import validate_plan
    from bposim.scenario import ServiceLevel
    from bposim.targets.levels import cost_staffing

    frame = _frame(volumes, "volumes")
    world = _scenario(scenario, frame)
    term = ServiceLevel(share, within=within, window=window)
    need = required_agents(world, frame, target=term)
    if not world.shifts:
        level = cost_staffing(world, need.staffing())
        table = pd.DataFrame([{"agent_hours": level.agent_hours, "cost": level.cost}])
        _show(table, as_json, status="requirement", note="the scenario has no shifts")
        if out:
            _write(level.staffing, out)
        return
    plan = optimise_shifts(need, world, max_heads=max_heads, solver=solver, seed=seed, validate=False)
    if plan.status == "infeasible":
        _show(plan.conflicts[["kind", "limit", "by_how_much", "message"]], as_json, status=plan.status)
        raise typer.Exit(1)
    plan = validate_plan(plan, world, term, confidence=confidence, volumes=frame, seed=seed)
    _show(plan.summary(), as_json, validation=json.loads(plan.validation.frame.to_json(orient="records")))
    if not as_json:
        print(plan.validation)
    if out:
        _write(plan.staffing, out)
    if not plan.validation.met:
        raise typer.Exit(1)


@app.command()
def simulate(
    scenario: ScenarioFile, volumes: Volumes = None, staffing: Staffing = None, replications: Replications = 100,
    by: Annotated[str | None, typer.Option(help="contact_type, agent_group, interval, time_of_day, day, week, month.")] = None,
    within: Annotated[str | None, typer.Option(help="Acceptable waiting time; the scenario's own without it.")] = None,
    counting: Counting = "offered",
    engine: Annotated[str, typer.Option(help="fast or reference.")] = "fast",
    warm_up: Annotated[str | None, typer.Option(help="Leave out this long at the start.")] = None,
    drain: Annotated[str, typer.Option(help="What becomes of the queue at closing: serve, disconnect or leave.")] = "serve",
    seed: Seed = 1, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Play a scenario many times and summarise it."""
    from bposim.simulate import simulate as play

    frame = _frame(volumes, "volumes")
    world = _scenario(scenario, frame)
    runs = play(
        world, volumes=frame, staffing=_frame(staffing, "staffing"), replications=replications, seed=seed, engine=engine,
        warm_up=warm_up, drain=drain, within=within,
    )  # fmt: skip
    _show(runs.summary(by=by, within=within, counting=counting), as_json, provenance=runs.provenance.to_dict())
    if out:
        _write(runs.intervals, out)


@app.command()
def targets(
    scenario: ScenarioFile, volumes: Volumes = None, staffing: Staffing = None, share: Share = "0.80", within: Within = "20s",
    window: Window = "month", counting: Counting = "offered", confidence: Confidence = 0.95,
    contract: Annotated[Path | None, typer.Option(help="YAML with targets:, to be told the probability of each clause.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Also search the cheapest staffing that keeps the target.")] = False,
    replications: Replications = 1000, seed: Seed = 1, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say how surely a target is met and which targets are worth signing. Exit code 1 if it is not met."""
    from bposim.scenario import ServiceLevel
    from bposim.targets import assess_target, recommend_targets

    frame = _frame(volumes, "volumes")
    world = _scenario(scenario, frame)
    heads = _frame(staffing, "staffing")
    term = ServiceLevel(share, within=within, window=window, counting=counting)
    deal = assess_target(
        world, term, volumes=frame, staffing=heads, confidence=confidence, replications=replications, seed=seed
    )
    advice = recommend_targets(
        world, volumes=frame, staffing=heads, contract=contract, confidence=confidence, window=window,
        replications=replications, seed=seed,
    )  # fmt: skip
    if as_json:
        extra = {"assessment": json.loads(deal.summary().to_json(orient="records"))[0], "joint_probability": advice.joint_probability,
                 "clauses": json.loads(advice.clauses.to_json(orient="records"))}  # fmt: skip
        if plan:
            found = deal.cheapest_plan
            extra["cheapest_plan"] = {"status": found.status, "cost": found.cost, "agent_hours": found.agent_hours,
                                      "probability": found.probability}  # fmt: skip
        _show(advice.frame, True, **extra)
    else:
        print(deal)
        if plan:
            print(f"  {deal.cheapest_plan}")
        print(advice)
        if len(advice.clauses):
            _show(advice.clauses, False)
    if deal.status == "not met":
        raise typer.Exit(1)


@app.command()
def report(
    scenario: ScenarioFile, out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    volumes: Volumes = None, staffing: Staffing = None, share: Share = "0.80", within: Within = "20s", window: Window = "month",
    confidence: Confidence = 0.95, replications: Replications = 500, seed: Seed = 1,
) -> None:  # fmt: skip
    """Write a page with the probability of a target, what each cost level could promise, and targets worth signing."""
    from bposim.report import report as page
    from bposim.scenario import ServiceLevel
    from bposim.targets import assess_target, attainable_frontier, recommend_targets

    frame = _frame(volumes, "volumes")
    world, heads = _scenario(scenario, frame), _frame(staffing, "staffing")
    term = ServiceLevel(share, within=within, window=window)
    options: dict[str, Any] = {"volumes": frame, "confidence": confidence, "seed": seed}
    deal = assess_target(world, term, staffing=heads, replications=replications, **options)
    frontier = attainable_frontier(world, term, levels=6, **options)
    advice = recommend_targets(world, staffing=heads, window=window, replications=replications, **options)
    page(deal, frontier, advice, deal.runs, title=f"What can {world.name} promise?").save(out)
    _say(f"wrote {out}")


@app.command()
def demo(
    history: Annotated[Path | None, typer.Option(help="Contact log; a synthetic one with known truth without it.")] = None,
    profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    scenario: Annotated[Path | None, typer.Option(help="Base scenario; one is drafted from the history without it.")] = None,
    days: Annotated[int, typer.Option(help="Days to forecast, staff and promise.", min=1, max=92)] = 14,
    share: Share = "0.80", within: Within = "20s", confidence: Confidence = 0.95, country: Country = None,
    cost_per_hour: Annotated[float, typer.Option(help="Per paid hour, for a drafted scenario.", min=0)] = 20.0,
    replications: Replications = 600, seed: Seed = 7,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report and the tables.")] = Path("out"),
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """The main job: check, calibrate, forecast, staff, and say what can be promised at what cost."""
    begin = time.monotonic()

    def say(text: str) -> None:
        _say(f"[{time.monotonic() - begin:5.1f} s] {text}")

    from bposim import datasets
    from bposim.history.profiles import find_profile
    from bposim.report.offer import make_offer
    from bposim.scenario import ServiceLevel, load_scenario

    base = load_scenario(scenario) if scenario else None
    if history is None:
        say("making a synthetic history of four months")
        found = datasets.load()
        base, country = base or datasets.base_scenario(), country or "US"
    else:
        say(f"reading {history}")
        found = _history(history, profile, tz, column, day_first)
        country = country or find_profile(profile).country
    term = ServiceLevel(share, within=within, window="all")
    offer = make_offer(
        found, base, term=term, days=days, confidence=confidence, country=country, cost_per_hour=cost_per_hour,
        replications=replications, seed=seed, say=say,
    )  # fmt: skip
    written = offer.save(out)
    say(f"wrote {', '.join(p.name for p in written)} into {out}")
    if as_json:
        _show(offer.advice.frame, True, headline=list(offer.headline), doubts=list(offer.doubts))
        return
    print()
    for line in offer.headline:
        print(line)
    print(f"\nThe whole story is in {out / 'report.html'}.")
