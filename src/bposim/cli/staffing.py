"""The command that plans agents and shifts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pandas as pd
import typer

from bposim.cli.inout import (
    FRAMES,
    check_out,
    read_confidence,
    read_frame,
    read_scenario,
    records,
    say,
    show,
    write_frame,
)
from bposim.cli.options import AsJson, Out, ScenarioFile, Seed, Share, Volumes, Window, Within

#: What a plan of covered formulas has a bound of, which is none of the target's.
OF_THE_COVER = {"bound": "cover_bound", "gap": "cover_gap"}


def staff(
    scenario: ScenarioFile, volumes: Volumes = None, share: Share = "0.80", within: Within = "20s", window: Window = "month",
    confidence: Annotated[str | None, typer.Option(help="Wanted probability that a window meets the target, 0.95 or 95%, asked "
                                                        "of the plan. Without it only the expected level is checked.")] = None,
    search: Annotated[bool, typer.Option("--search", help="Search the cheapest plan with the simulation in the loop, instead of "
                                                          "covering the requirement of a formula.")] = False,
    time_limit: Annotated[float, typer.Option(help="Seconds of a search.", min=1)] = 300.0,
    max_heads: Annotated[int | None, typer.Option(help="Most agents at any time.", min=0)] = None,
    solver: Annotated[str | None, typer.Option(help="highs or cbc.")] = None,
    replications: Annotated[int, typer.Option(help="How often the plan is played to check it.", min=2)] = 500,
    seed: Seed = 1, out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Plan agents and shifts for a target, and check the plan by simulation. Exit code 1 if infeasible or not met."""
    from bposim.optimise import optimise_shifts, optimise_staffing, required_agents
    from bposim.optimise.validate import validate_plan
    from bposim.scenario import ServiceLevel

    check_out(out, *FRAMES)
    sure = read_confidence(confidence) if confidence is not None else None
    term = ServiceLevel(share, within=within, window=window)
    frame = read_frame(volumes, "volumes")
    world = read_scenario(scenario, frame)
    if search:
        plan = optimise_staffing(
            world, term, volumes=frame, confidence=sure, max_heads=max_heads, validation=replications, seed=seed, solver=solver,
            time_limit=time_limit, progress=False if as_json else say,
        )  # fmt: skip
    else:
        need = required_agents(world, frame, target=term)
        if not world.shifts:
            _requirement(world, need, as_json, out)
            return
        plan = optimise_shifts(need, world, max_heads=max_heads, solver=solver, seed=seed, validate=False)
        if plan.status != "infeasible":
            plan = validate_plan(
                plan, world, term, confidence=sure, volumes=frame, seed=seed, replications=replications
            )
    if plan.status == "infeasible":
        show(plan.conflicts[["kind", "limit", "by_how_much", "message"]], as_json, status=plan.status)
        say("infeasible: no shifts keep every limit" + (f"; {out} is not written." if out else "."))
        raise typer.Exit(1)
    _tell(world, plan, sure, search, as_json)
    if out:
        write_frame(plan.staffing, out)
    if plan.status != "met":
        say("not met: " + (
            "give the search more --time-limit, or ask for a lower --share." if search else "ask for a higher --share, or write "
            f"--search for the cheapest plan that keeps it (`bposim targets {scenario} --plan` says what it saves)."
        ))  # fmt: skip
        raise typer.Exit(1)


def _requirement(world: Any, need: Any, as_json: bool, out: Path | None) -> None:
    """Print the agents that a scenario without shifts requires, and write them."""
    from bposim.report.hours import hours_of
    from bposim.targets.levels import cost_staffing

    level = cost_staffing(world, need.staffing())
    mine = hours_of(world, level)
    table = pd.DataFrame([{"on_duty_hours": mine.on_duty, "scheduled_hours": mine.scheduled, "cost": mine.cost}])
    note = "the scenario has no shifts: these are agents for each interval, neither planned into shifts nor simulated"
    show(table, as_json, status="requirement", note=note)
    if not as_json:
        print(f"Note: {note}.")
    if out:
        write_frame(level.staffing, out)


def _tell(world: Any, plan: Any, sure: float | None, search: bool, as_json: bool) -> None:
    """Print a plan and what its validation said."""
    from bposim.report.hours import hours_of
    from bposim.targets.levels import Level

    table = plan.summary().drop(columns="notes")
    if len(plan.shifts):
        paid = float(plan.shifts["paid_hours"].sum())
        mine = hours_of(world, Level(float("nan"), plan.staffing, paid, float(plan.cost), plan))
        table.insert(table.columns.get_loc("paid_hours"), "on_duty_hours", mine.on_duty)
    if not search:
        table = table.rename(columns=OF_THE_COVER)
    if sure is None:
        asked = "expected level only"
        note = ("Only the expected service level over the horizon was checked: a plan that just reaches it misses the target "
                "in about every second window. Write --confidence 0.95 to have the windows checked.")  # fmt: skip
    else:
        asked, note = "probability", f"A window is asked to meet the target with probability {sure:g}."
    if not search:
        note += (
            " The plan is the cheapest cover of the requirement of a formula, and cover_bound the least cost of such a cover: the "
            "target may be kept for less, which --search looks for."
        )
    note = " ".join([note, *plan.notes])
    checked = plan.validation
    told = pd.DataFrame() if checked is None else checked.frame
    if as_json:
        show(
            table,
            True,
            status=plan.status,
            met=plan.status == "met",
            checked=asked,
            note=note,
            validation=records(told),
        )
        return
    show(table, False)
    if checked is not None:
        print(f"Validation on {checked.replications} fresh replications: {'met' if checked.met else 'not met'}")
        show(told.dropna(axis=1, how="all"), False)
    print(f"Note: {note}")
