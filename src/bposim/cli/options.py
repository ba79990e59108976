"""Arguments and options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

HistoryFile = Annotated[Path, typer.Argument(help="Contact log or interval report: csv, csv.gz, parquet, xlsx.")]
ScenarioFile = Annotated[Path, typer.Argument(help="Scenario file (YAML).")]
Profile = Annotated[
    str, typer.Option(help="How the file is laid out: contacts, intervals, event_log, or a vendor's name.")
]
Zone = Annotated[str | None, typer.Option("--tz", help="IANA time zone of the file's clock, e.g. Asia/Manila.")]
Column = Annotated[
    list[str] | None,
    typer.Option("--column", help="ours=theirs, e.g. arrived=Start, with a unit handle_s=Talk:min; repeat for more."),
]
DayFirst = Annotated[bool | None, typer.Option("--day-first/--month-first", help="How 03/04/2026 is meant.")]
SourceCounting = Annotated[
    str | None, typer.Option("--counting", help="Service-level formula of the source: offered, answered, excl_T, …")
]
SourceWithin = Annotated[str | None, typer.Option("--within", help="Acceptable waiting time of the source, e.g. 20s.")]
PlayedWithin = Annotated[
    str | None,
    typer.Option(
        "--within", help="Acceptable waiting time of the source, e.g. 20s, and that of the comparison beside 60s."
    ),
]
Accept = Annotated[
    list[str] | None, typer.Option("--accept", help="Rule whose rows are right as they are; repeat for more.")
]
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
Confidence = Annotated[str, typer.Option(help="Wanted probability that the target is met: 0.95 or 95%.")]
Country = Annotated[str | None, typer.Option(help="ISO country code, for its holidays.")]
