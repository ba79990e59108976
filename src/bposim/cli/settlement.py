"""The commands about contracts: read one back and judge it, settle it on a history."""

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
    read_history,
    read_months,
    read_outages,
    read_scenario,
    records,
    show,
    write_frame,
)
from bposim.cli.options import (
    Accept,
    AsJson,
    Column,
    Confidence,
    DayFirst,
    HistoryFile,
    Out,
    Replications,
    Seed,
    SourceCounting,
    SourceWithin,
    Staffing,
    Volumes,
    Zone,
)
from bposim.errors import ParameterError


def contract(
    file: Annotated[Path, typer.Argument(metavar="CONTRACT", help="Contract file (YAML).")],
    scenario: Annotated[Path | None, typer.Option(help="Scenario (YAML) to play its months in: chances, credits and money.")] = None,
    volumes: Volumes = None, staffing: Staffing = None,
    quantities: Annotated[Path | None, typer.Option(help="What the pricing needs by month: month, paid_hours, fte, … (csv, parquet).")] = None,
    costs: Annotated[float | None, typer.Option(help="The provider's cost of a month, for the margin.", min=0)] = None,
    confidence: Confidence = "0.95", replications: Replications = 500, seed: Seed = 1, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Read a contract back as sentences, with its faults; with --scenario what it would come to. Exit code 1 if a fault is found; with --scenario, if it is not met."""
    from bposim.targets import assess_contract, load_contract

    lonely = {"--volumes": volumes, "--staffing": staffing, "--quantities": quantities, "--costs": costs}
    if scenario is None and any(v is not None for v in lonely.values()):
        given = ", ".join(name for name, value in lonely.items() if value is not None)
        raise ParameterError(f"{given} of contract is for a scenario that is played. Name it: --scenario model.yaml.")
    sure = read_confidence(confidence)
    deal = load_contract(file)
    faults = deal.lint()
    found = None
    if scenario is not None:
        frame, heads = read_frame(volumes, "volumes"), read_frame(staffing, "staffing")
        found = assess_contract(
            read_scenario(scenario, frame), deal, volumes=frame, staffing=heads, quantities=read_months(quantities, "quantities"),
            costs=costs, confidence=sure, replications=replications, seed=seed,
        )  # fmt: skip
    if as_json:
        more = {} if found is None else {
            "clauses": records(found.clauses), "credits": records(found.credits), "chances": records(found.chances),
            "waterfall": records(found.waterfall()), "probability": found.probability, "status": found.status,
            "notes": list(found.notes),
        }  # fmt: skip
        show(deal.summary(), True, sentences=deal.describe().splitlines(), faults=records(faults.frame), **more)
    else:
        for part in (deal, faults, found):
            if part is not None:
                print(part)
    if not faults.ok if found is None else found.status == "not met":
        raise typer.Exit(1)


def settle(
    contract: Annotated[Path, typer.Argument(help="Contract file (YAML).")],
    history: HistoryFile,
    profile: Annotated[str, typer.Option(help="How the file is laid out: contacts, intervals, a vendor's name, or months: a table of "
                                              "metrics by month and clause.")] = "contacts",
    tz: Zone = None, column: Column = None, day_first: DayFirst = None,
    counting: SourceCounting = None, within: SourceWithin = None, accept: Accept = None,
    forecast: Annotated[Path | None, typer.Option(help="Expected contacts that corridors lie around, as `bposim forecast -o` writes them.")] = None,
    quantities: Annotated[Path | None, typer.Option(help="What the pricing needs by month: month, paid_hours, fte, … (csv, parquet).")] = None,
    audits: Annotated[Path | None, typer.Option(help="Audited metrics by month: month, clause, numerator, denominator (csv, parquet).")] = None,
    events: Annotated[Path | None, typer.Option(help="Outages and the like that relieve clauses: cause, start, end, contact_type (csv, parquet).")] = None,
    costs: Annotated[float | None, typer.Option(help="The provider's cost of a month, for the margin.", min=0)] = None,
    start: Annotated[str | None, typer.Option(help="First month of the contract, 2026-03; the contract's own without it.")] = None,
    out: Out = None, as_json: AsJson = False,
) -> None:  # fmt: skip
    """Settle a contract month by month on a history: what would have been paid under its clauses."""
    from bposim.targets import load_contract
    from bposim.targets import settle as ledger_of

    check_out(out, *FRAMES)
    deal = load_contract(contract)
    source: Any = (
        read_months(history, "history")
        if profile == "months"
        else read_history(history, profile, tz, column, day_first, counting, within, accept)
    )
    ledger = ledger_of(
        deal, source, forecast=read_frame(forecast, "forecast"), quantities=read_months(quantities, "quantities"),
        audits=read_months(audits, "audits"), events=read_outages(events), costs=costs, start=start,
    )  # fmt: skip
    if as_json:
        faults = records(deal.lint().frame)
        show(ledger.frame, True, lines=records(ledger.lines), totals=records(ledger.summary()), faults=faults,
             contract=deal.hash, notes=list(ledger.notes))  # fmt: skip
    else:
        print(ledger)
        show(_shown(ledger.lines), False)
    if out:
        write_frame(ledger.lines, out)


def _shown(lines: pd.DataFrame) -> pd.DataFrame:
    """Return the lines without what is the same in all of them, money to the cent."""
    table = lines.drop(columns=["replication", "metric"]).dropna(axis=1, how="all")
    dull = [c for c in ("excluded", "bonus", "earn_back") if c in table and not table[c].any()]
    dull += ["multiplier"] if table["multiplier"].eq(1).all() else []
    money = [c for c in ("credit", "bonus", "earn_back") if c in table and c not in dull]
    return table.drop(columns=dull).assign(**{c: table[c].map("{:,.2f}".format, na_action="ignore") for c in money})
