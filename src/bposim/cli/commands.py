"""One function for each command: arguments in, results out, no computing."""

from __future__ import annotations

import time
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from bposim.cli.inout import (
    FRAMES,
    check_out,
    check_stretch,
    check_words,
    guess_profile,
    print_json,
    read_confidence,
    read_days,
    read_events,
    read_frame,
    read_history,
    read_scenario,
    records,
    same_clock,
    say,
    show,
    write_frame,
)  # fmt: skip
from bposim.cli.options import (
    Accept,
    AsJson,
    Column,
    Confidence,
    Counting,
    Country,
    DayFirst,
    HistoryFile,
    Out,
    PlayedWithin,
    Profile,
    Replications,
    ScenarioFile,
    Seed,
    Share,
    SourceCounting,
    SourceWithin,
    Staffing,
    Volumes,
    Window,
    Within,
    Zone,
)
from bposim.cli.settlement import contract, settle
from bposim.cli.staffing import staff
from bposim.errors import ParameterError

app = typer.Typer(
    name="bposim", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    help="Which service targets can this operation promise, how surely, with how many people, at what cost?",
)  # fmt: skip


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


# Commands ------------------------------------------------------------------------------------------------------------


@app.command()
def check(
    history: HistoryFile,
    profile: Annotated[
        str | None, typer.Option(help="How the file is laid out; without it a guess to confirm.")
    ] = None,
    tz: Zone = None,
    column: Column = None,
    day_first: DayFirst = None,
    counting: SourceCounting = None,
    within: SourceWithin = None,
    accept: Accept = None,
    as_json: AsJson = False,
) -> None:
    """Read a history, report its data quality and what it can carry. Exit code 1 if a rule of severity error is broken.

    Without --profile nothing is read: it prints which profile fits and the command that confirms it, exit code 2.
    """
    if profile is None:
        guess = guess_profile(history, tz)
        if as_json:
            show(guess.candidates, as_json, profile=guess.profile, command=guess.command)
        else:
            say(str(guess))
        raise typer.Exit(2)
    found = read_history(history, profile, tz, column, day_first, counting, within, accept)
    report = found.check()
    if not as_json:
        print(found)
        if report.about:
            print(report.about)
    if not as_json and report.frame.empty:
        print("No rule of data quality is broken.")
    else:
        ready = {"readiness": records(report.readiness)} if as_json else {}
        show(report.frame, as_json, ok=report.ok, kept=report.kept, set_aside=report.set_aside, **ready)
    if not as_json:
        print("What the data can carry (score of 100):")
        show(report.readiness, False)
    if not report.ok:
        raise typer.Exit(1)


@app.command()
def calibrate(
    history: HistoryFile, profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    counting: SourceCounting = None, within: SourceWithin = None, accept: Accept = None,
    scenario: Annotated[Path | None, typer.Option(help="Base scenario; one is drafted from the history without it.")] = None,
    until: Annotated[str | None, typer.Option(help="Use only what lies before this day.")] = None,
    out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fit a scenario to a contact log and write it as YAML."""
    from bposim.calibrate import calibrate as fit
    from bposim.calibrate import draft_scenario
    from bposim.report import write_whole
    from bposim.scenario import load_scenario

    check_out(out, ".yaml", ".yml")
    found = read_history(history, profile, tz, column, day_first, counting, within, accept)
    base = load_scenario(scenario) if scenario else draft_scenario(found)
    same_clock(found, base, scenario)
    cal = fit(base, found, until=until)
    show(cal.summary(full=as_json), as_json, notes=list(cal.notes), scenario=cal.scenario.hash)
    if not as_json:
        say(f"{len(cal.estimates)} estimates in all: --json shows them, with every note")
    if out:
        write_whole(out, cal.scenario.to_yaml())
        say(f"wrote {out}")


@app.command()
def backtest(
    scenario: Annotated[Path, typer.Argument(help="Base scenario (YAML); it is fitted on the days before --from.")],
    history: HistoryFile,
    start: Annotated[str, typer.Option("--from", help="First day to play: it and those after it are not fitted on.")],
    end: Annotated[str | None, typer.Option("--to", help="The day after the last to play; the history's end without it.")] = None,
    profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    counting: SourceCounting = None, within: PlayedWithin = None, accept: Accept = None,
    volumes: Volumes = None,
    heads: Annotated[str, typer.Option(help="observed: those on duty; profile: the fitted scenario's own.")] = "observed",
    handle_times: Annotated[str, typer.Option(help="fitted, or observed: each day with its own mean.")] = "fitted",
    replications: Replications = 100, seed: Seed = 1,
    out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Fit on the days before --from, play those after, and compare. Exit code 1 if the back-test fails."""
    from bposim.calibrate import calibrate as fit
    from bposim.scenario import load_scenario

    check_out(out, *FRAMES)
    check_words(("--heads", heads, ("observed", "profile")), ("--handle-times", handle_times, ("fitted", "observed")))
    came = read_frame(volumes, "volumes")
    found = read_history(history, profile, tz, column, day_first, counting, within, accept)
    base = load_scenario(scenario)
    same_clock(found, base, scenario)
    first, stop = check_stretch(start, end, *found.days)
    acceptable = within or (f"{found.within_s:g}s" if found.within_s is not None else "20s")
    test = fit(base, found, until=first).backtest(
        found, first, stop, heads=heads, replications=replications, seed=seed, volumes=came, handle_times=handle_times,
        within=acceptable,
    )  # fmt: skip
    if as_json:
        show(test.summary(), True, verdict=test.verdict, reason=test.reason, beside=test.beside, against=test.against,
             coverage=records(test.coverage), formulas=records(test.formulas), days=records(test.days),
             weeks=records(test.weeks))  # fmt: skip
    else:
        print(f"Back-test {test.first} to {test.last}: {test.verdict.upper()}. {test.reason}")
        show(test.summary(), False)
        for line in filter(None, (test.beside, test.against)):
            print(line)
    if out:
        write_frame(test.intervals, out)
    if test.verdict == "fail":
        raise typer.Exit(1)


@app.command()
def forecast(
    history: HistoryFile, profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    days: Annotated[int, typer.Option(help="Days ahead.", min=1)] = 28,
    method: Annotated[str, typer.Option(help="prophet, auto, level, seasonal-naive, mean-4 (any number of weeks), ets or mstl.")] = "prophet",
    country: Country = None,
    closed: Annotated[list[str] | None, typer.Option("--closed", help="A day on which nobody opens; repeat for more.")] = None,
    event: Annotated[list[str] | None, typer.Option("--event", help="A campaign or the like, past or coming: letter,2026-03-02,days=5,"
        "lift=20% (also shape, contacts, delay, half_life, contact_types, uncertainty); repeat for more.")] = None,
    regressors: Annotated[Path | None, typer.Option(help="What is known of each day, past and coming: 'date' and a column for each "
        "(csv, parquet).")] = None,
    scenario: Annotated[Path | None, typer.Option(help="Take the opening hours of this scenario.")] = None,
    samples: Annotated[int, typer.Option(help="Sample paths.", min=1)] = 500,
    backtest: Annotated[bool, typer.Option("--backtest", help="Also compare with naive methods on the past.")] = False,
    seed: Seed = 1, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Forecast the contacts of every open interval as sample paths."""
    from bposim.forecast import forecast as ahead_of
    from bposim.scenario import load_scenario

    check_out(out, *FRAMES)
    events, known = read_events(event), read_days(regressors)
    found = read_history(history, profile, tz, column, day_first)
    world = load_scenario(scenario) if scenario else None
    if world is not None:
        same_clock(found, world, scenario)
    hours = world.opening_hours if world is not None else None
    ahead = ahead_of(
        found, days=days, method=method, country=country, samples=samples, seed=seed, opening_hours=hours,
        closed=closed or (), events=events, regressors=known,
    )  # fmt: skip
    past = ahead.backtest().summary() if backtest else None
    if as_json:
        extra = {} if past is None else {"backtest": records(past)}
        show(ahead.quantiles([0.05, 0.5, 0.95], by="day"), True, notes=list(ahead.notes), **extra)
    else:
        show(ahead.mean(by="day"), False)
        for note in ahead.notes:
            print(f"Note: {note}")
        if past is not None:
            show(past, False)
    if out:
        write_frame(ahead.volumes, out)


app.command()(staff)


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

    check_out(out, *FRAMES)
    frame, heads = read_frame(volumes, "volumes"), read_frame(staffing, "staffing")
    world = read_scenario(scenario, frame)
    runs = play(
        world, volumes=frame, staffing=heads, replications=replications, seed=seed, engine=engine,
        warm_up=warm_up, drain=drain, within=within,
    )  # fmt: skip
    show(runs.summary(by=by, within=within, counting=counting), as_json, provenance=runs.provenance.to_dict())
    if out:
        write_frame(runs.intervals, out)


@app.command()
def targets(
    scenario: ScenarioFile, volumes: Volumes = None, staffing: Staffing = None, share: Share = "0.80", within: Within = "20s",
    window: Window = "month", counting: Counting = "offered", confidence: Confidence = "0.95",
    contract: Annotated[Path | None, typer.Option(help="YAML with targets:, to be told the probability of each clause.")] = None,
    plan: Annotated[bool, typer.Option("--plan", help="Also search the cheapest staffing that keeps the target.")] = False,
    replications: Replications = 1000, seed: Seed = 1, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Say how surely a target is met and which targets are worth signing. Exit code 1 if it is not met."""
    from bposim.report.hours import compare_hours, hours_of
    from bposim.scenario import ServiceLevel
    from bposim.targets import assess_target, recommend_targets

    sure = read_confidence(confidence)
    term = ServiceLevel(share, within=within, window=window, counting=counting)
    frame, heads = read_frame(volumes, "volumes"), read_frame(staffing, "staffing")
    world = read_scenario(scenario, frame)
    options: dict[str, Any] = {
        "volumes": frame,
        "staffing": heads,
        "confidence": sure,
        "replications": replications,
        "seed": seed,
    }
    deal = assess_target(world, term, **options)
    advice = recommend_targets(world, contract=contract, window=window, **options)
    found = deal.cheapest_plan if plan else None
    theirs = hours_of(world, found.level) if found is not None else None
    mine = hours_of(world, deal.current, like=theirs, priced=found.level if found is not None else None)
    if as_json:
        extra: dict[str, Any] = {"assessment": records(deal.summary())[0], "joint_probability": advice.joint_probability,
                                 "clauses": records(advice.clauses), "hours": {"staffing": asdict(mine)}}  # fmt: skip
        if found is not None and theirs is not None:
            extra["hours"]["cheapest_plan"] = asdict(theirs)
            extra["cheapest_plan"] = {"status": found.status, "cost": found.cost, "agent_hours": found.agent_hours,
                                      "basis": found.level.basis, "probability": found.probability}  # fmt: skip
        show(advice.frame, True, **extra)
    else:
        print(deal)
        if found is not None and theirs is not None:
            print(f"  {found}")
            for line in compare_hours(mine, theirs, world.currency):
                print(f"  {line}")
        print(advice)
        if len(advice.clauses):
            show(advice.clauses, False)
    if deal.status == "not met":
        raise typer.Exit(1)


app.command()(contract)
app.command()(settle)


@app.command()
def report(
    scenario: ScenarioFile, out: Annotated[Path, typer.Option("--out", "-o", help="The page to write.")] = Path("report.html"),
    volumes: Volumes = None, staffing: Staffing = None, share: Share = "0.80", within: Within = "20s", window: Window = "month",
    confidence: Confidence = "0.95", replications: Replications = 500,
    levels: Annotated[int, typer.Option(help="Cost levels to plan and compare.", min=2, max=10)] = 6,
    seed: Seed = 1, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Write a page with the probability of a target, what each cost level could promise, and targets worth signing."""
    from bposim.report import report as page
    from bposim.scenario import ServiceLevel
    from bposim.targets import assess_target, attainable_frontier, recommend_targets
    from bposim.targets.assess import SEARCH

    check_out(out, ".html", ".htm")
    sure = read_confidence(confidence)
    term = ServiceLevel(share, within=within, window=window)
    frame, heads = read_frame(volumes, "volumes"), read_frame(staffing, "staffing")
    world = read_scenario(scenario, frame)
    options: dict[str, Any] = {"volumes": frame, "confidence": sure, "seed": seed}
    deal = assess_target(world, term, staffing=heads, replications=replications, **options)
    frontier = attainable_frontier(world, term, levels=levels, replications=min(replications, SEARCH), **options)
    advice = recommend_targets(world, staffing=heads, window=window, replications=replications, **options)
    made = page(deal, frontier, advice, deal.runs, title=f"What can {world.name} promise?")
    made.save(out)
    if as_json:
        print_json({"written": str(out), "answer": list(made.answer), "rows": records(advice.frame)})
    say(f"wrote {out}")


@app.command()
def demo(
    history: Annotated[Path | None, typer.Option(help="Contact log; a synthetic one with known truth without it.")] = None,
    profile: Profile = "contacts", tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    scenario: Annotated[Path | None, typer.Option(help="Base scenario; one is drafted from the history without it.")] = None,
    days: Annotated[int, typer.Option(help="Days to forecast, staff and promise.", min=1, max=92)] = 14,
    share: Share = "0.80", within: Within = "20s", confidence: Confidence = "0.95", country: Country = None,
    cost_per_hour: Annotated[float, typer.Option(help="Per paid hour, for a drafted scenario.", min=0)] = 20.0,
    replications: Replications = 600,
    levels: Annotated[int, typer.Option(help="Cost levels to plan and compare.", min=2, max=10)] = 6,
    seed: Seed = 7,
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for the report and the tables.")] = Path("out"),
    as_json: AsJson = False,
) -> None:  # fmt: skip
    """The main job: check, calibrate, forecast, staff, and say what can be promised at what cost."""
    begin = time.monotonic()

    def tell(text: str) -> None:
        say(f"[{time.monotonic() - begin:5.1f} s] {text}")

    from bposim import datasets
    from bposim.history.profiles import find_profile
    from bposim.report.offer import make_offer
    from bposim.scenario import ServiceLevel, load_scenario

    if out.exists() and not out.is_dir():
        raise ParameterError(f"--out {str(out)!r} is a file. Name a folder.")
    sure = read_confidence(confidence)
    term = ServiceLevel(share, within=within, window="all")
    base = load_scenario(scenario) if scenario else None
    if history is None:
        tell("making a synthetic history of four months")
        found = datasets.load()
        base, country = base or datasets.base_scenario(), country or "US"
    else:
        tell(f"reading {history}")
        found = read_history(history, profile, tz, column, day_first)
        country = country or find_profile(profile).country
    if base is not None:
        same_clock(found, base, scenario)
    offer = make_offer(
        found, base, term=term, days=days, confidence=sure, country=country, cost_per_hour=cost_per_hour,
        replications=replications, levels=levels, seed=seed, say=tell,
    )  # fmt: skip
    written = offer.save(out)
    tell(f"wrote {', '.join(p.name for p in written)} into {out}")
    if as_json:
        hours = {"today": asdict(offer.hours_today), "plan": asdict(offer.hours_plan)}
        show(offer.advice.frame, True, headline=list(offer.headline), doubts=list(offer.doubts), hours=hours)
        return
    print()
    for line in offer.headline:
        print(line)
    print(f"\nThe whole story is in {out / 'report.html'}.")
