"""Exit codes, help and JSON of every command."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from bposim.scenario import load_scenario

ROOT = Path(__file__).parents[2]
COMMANDS = (
    "check",
    "calibrate",
    "backtest",
    "forecast",
    "staff",
    "simulate",
    "targets",
    "contract",
    "settle",
    "report",
    "demo",
)
TINY = """
name: tiny
time_zone: Asia/Manila
currency: USD
start: 2026-05-04
days: 5
opening_hours: {mon-fri: "09:00-17:00"}
contact_types:
  calls:
    arrivals: {rate: 30/h}
    handle_time: {exponential: {mean: 240s}}
    patience: {exponential: {mean: 120s}}
agent_groups:
  team: {skills: [calls], heads: 5, cost_per_hour: 20, shrinkage: 0.2}
shifts:
  day: {start: ["09:00", "09:00"], paid: 7.5h, breaks: [{after: [3h, 4h], length: 30min}]}
  half: {start: ["09:00", "13:00"], paid: 4h}
"""


@pytest.fixture
def tiny(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "tiny.yaml"
    path.write_text(TINY)
    return path


def documented() -> dict[str, list[set[str]]]:
    """Return the keys that the design page promises for each command: always, and with an option or in another case."""
    text = (ROOT / "docs" / "design" / "command-line.md").read_text()
    table = re.findall(r"^   \| `(\w+)` \| (.*) \|$", text, re.M)
    assert [name for name, _ in table] == list(COMMANDS)
    return {name: [set(re.findall(r"`(\w+)`", case)) for case in cases.split(";")] for name, cases in table}


@pytest.mark.parametrize("command", COMMANDS)
def test_help(bposim, command):
    said = bposim(command, "--help")
    assert said.code == 0
    assert "Usage" in said.out and "--json" in said.out


def test_version_and_wrong_usage(bposim):
    from bposim.provenance import package_version

    assert bposim("--version").out.strip() == f"bposim {package_version()}"
    for wrong in (["stuff"], ["check"], ["staff", "x.yaml", "--nonsense"], ["forecast", "x.csv", "--days", "0"]):
        said = bposim(*wrong)
        assert said.code == 2 and said.err and "Traceback" not in said.err


def test_history_commands_print_one_document(bposim, calls):
    asked = {
        "check": bposim("check", calls, "--profile", "contacts", "--tz", "Asia/Manila", "--json"),
        "calibrate": bposim("calibrate", calls, "--tz", "Asia/Manila", "--json"),
        "forecast": bposim("forecast", calls, "--tz", "Asia/Manila", "--method", "seasonal-naive", "--days", 7, "--samples", 20, "--json"),
    }  # fmt: skip
    for command, said in asked.items():
        assert said.code == 0, said
        assert set(said.json) == documented()[command][0], command
    assert asked["check"].json["ok"] is True and asked["check"].json["kept"] == len(pd.read_csv(calls))
    assert {r["source"] for r in asked["calibrate"].json["rows"]} == {"estimated", "assumed"}


def test_backtest_prints_one_document_and_a_fail_is_exit_code_1(bposim, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert bposim("calibrate", calls, "--tz", "Asia/Manila", "-o", "model.yaml").code == 0
    asked = ["backtest", "model.yaml", calls, "--tz", "Asia/Manila", "--from", "2026-04-06", "--to", "2026-04-13",
             "--replications", 10]  # fmt: skip
    said = bposim(*asked, "--within", "30s", "-o", "intervals.csv", "--json")
    assert set(said.json) == documented()["backtest"][0] and said.code == (said.json["verdict"] == "fail")
    assert {r["metric"] for r in said.json["rows"]} >= {"service_level 30s", "asa"}
    assert {r["heads"] for r in said.json["rows"]} == {"observed", "profile"}
    days = {r["day"][:10] for r in said.json["days"]}
    assert min(days) == "2026-04-06" and max(days) < "2026-04-13"
    assert "fitted on" not in said.json["reason"], "the days played are not fitted on"
    assert len(pd.read_csv("intervals.csv")) > 0
    plain = bposim(*asked)
    assert plain.out.startswith("Back-test 2026-04-06 to 2026-04-12: ") and "service_level 20s" in plain.out
    world = load_scenario("model.yaml").replace(start="2026-04-06", days=7)
    parts = [
        pd.DataFrame({"contact_type": t, "interval_start": world.grid.starts, "contacts": 1})
        for t in world.contact_types
    ]
    pd.concat(parts).to_csv("quiet.csv", index=False)
    quiet = bposim(*asked, "--volumes", "quiet.csv", "--json")
    assert quiet.code == 1 and quiet.json["verdict"] == "fail" and "outside the band" in quiet.json["reason"]
    assert quiet.json["formulas"] == []


def test_contract_reads_back_and_is_played(bposim, tiny):
    clean, faulty = (ROOT / "scenarios" / "contracts" / f"{n}.yaml" for n in ("bank_line", "joint_bonus"))
    said = bposim("contract", clean)
    assert said.code == 0 and "12 % of the month's fee are at risk" in said.out and "no fault" in said.out
    said = bposim("contract", faulty, "--json")
    assert said.code == 1 and set(said.json) == documented()["contract"][0]
    assert "no-corridor" in {f["id"] for f in said.json["faults"]}
    loose = tiny.with_name("loose.yaml")
    loose.write_text(
        "currency: USD\nclauses: {lost: {metric: abandonment, window: month, levels: {expected: 99%}, missing: exclude}}\n"
    )
    played = bposim("contract", loose, "--scenario", tiny, "--replications", 200, "--json")
    assert played.code == 0 and set(played.json) == documented()["contract"][1]
    assert played.json["probability"] == 1 and played.json["clauses"][0]["clause"] == "lost"
    loose.write_text(loose.read_text().replace("99%", "0.01%"))
    played = bposim("contract", loose, "--scenario", tiny, "--replications", 20)
    assert played.code == 1 and "not met at 95 %" in played.out
    alone = bposim("contract", loose, "--staffing", "x.csv", "--volumes", "y.csv")
    assert alone.code == 2 and "--volumes, --staffing" in alone.err and "--scenario model.yaml" in alone.err


def test_settle_prints_one_document_and_writes_its_lines(bposim, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    contract = ROOT / "scenarios" / "contracts" / "joint_bonus.yaml"
    asked = ["settle", contract, calls, "--tz", "Asia/Manila"]
    said = bposim(*asked, "--costs", 150000, "-o", "lines.csv", "--json")
    assert said.code == 0 and set(said.json) == documented()["settle"][0]
    row = said.json["rows"][0]
    assert row["invoice"] == row["fee"] - row["credit"] + row["bonus"] and row["margin"] == row["invoice"] - 150000
    log = pd.read_csv(calls, parse_dates=["arrived"])
    lost = log[log["outcome"] == "abandoned"].groupby(log["arrived"].dt.strftime("%Y-%m")).size()
    lines = pd.read_csv("lines.csv")
    lines = lines[lines["clause"] == "abandonment"]
    told = lines.set_index(lines["month"].str[:7])["numerator"]
    assert told.to_dict() == lost.to_dict() and len(lost) == 2
    assert "no whole month" in said.json["notes"][0]
    assert {f["id"] for f in said.json["faults"]} == {"no-quality", "credits-above-margin", "no-corridor"}
    plain = bposim(*asked)
    assert plain.code == 0 and "Ledger of 'joint-bonus'" in plain.out and "numerator" in plain.out


def test_settle_a_table_by_month(bposim, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("months.csv").write_text("month,staffing,note\n2026-01,0.79,1\n2026-02,0.96,2\n")
    Path("hours.csv").write_text("month,paid_hours,forecast_paid_hours\n2026-01,5000,6000\n2026-02,5800,6000\n")
    contract = ROOT / "scenarios" / "contracts" / "staffing_bands.yaml"
    said = bposim("settle", contract, "months.csv", "--profile", "months", "--quantities", "hours.csv", "--json")
    # 90 % of 6,000 = 5,400 h × 24 = 129,600, 5 % of it credited; 5,800 × 24 = 139,200, 2 % bonus.
    assert [(r["fee"], r["credit"], r["bonus"]) for r in said.json["rows"]] == [(129600, 6480, 0), (139200, 0, 2784)]
    plain = bposim("settle", contract, "months.csv", "--profile", "months", "--quantities", "hours.csv").out
    assert "6,480.00" in plain and "2,784.00" in plain
    wrong = bposim("settle", contract, "months.csv", "--profile", "months")
    assert wrong.code == 2 and "needs paid_hours" in wrong.err and "Traceback" not in wrong.err
    Path("odd.csv").write_text("staffing\n0.5\n")
    assert "has no column 'month'" in bposim("settle", contract, "odd.csv", "--profile", "months").err
    Path("bad.yaml").write_text("clauses: {a: {metric: nonsense, levels: {expected: 5%}}}\n")
    bad = bposim("settle", "bad.yaml", "months.csv", "--profile", "months")
    assert bad.code == 2 and "(bad.yaml:1)" in bad.err


def test_settle_takes_outages_out(bposim, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("deal.yaml").write_text(
        "clauses: {abandonment: {metric: abandonment, window: month, levels: {expected: 5%}, missing: exclude, "
        "relief: [{cause: outage, effect: exclude}]}}\n"
    )
    log = pd.read_csv(calls, parse_dates=["arrived"])
    day = log["arrived"].dt.normalize().iloc[len(log) // 2]
    Path("down.csv").write_text(f"cause,start,end\noutage,{day},{day + pd.Timedelta(days=1)}\n")
    plain, spared = (
        bposim("settle", "deal.yaml", calls, "--tz", "Asia/Manila", *more, "-o", out).code == 0 and pd.read_csv(out)
        for more, out in (((), "a.csv"), (("--events", "down.csv"), "b.csv"))
    )
    gone = (log["arrived"].dt.normalize() == day).sum()
    assert spared["excluded"].sum() == gone > 0 and plain["excluded"].sum() == 0
    Path("odd.csv").write_text("cause,begin\noutage,2026-03-01\n")
    said = bposim("settle", "deal.yaml", calls, "--tz", "Asia/Manila", "--events", "odd.csv")
    assert said.code == 2 and "has no column 'start', 'end'" in said.err and "Traceback" not in said.err
    Path("odd.csv").write_text("cause,start,end\nstorm,2026-03-01,2026-03-02\n")
    assert (
        "event 1 has cause 'storm'"
        in bposim("settle", "deal.yaml", calls, "--tz", "Asia/Manila", "--events", "odd.csv").err
    )


def test_backtest_stands_in_the_same_document(bposim, calls):
    said = bposim(
        "forecast",
        calls,
        "--tz",
        "Asia/Manila",
        "--method",
        "mean-4",
        "--days",
        7,
        "--samples",
        20,
        "--backtest",
        "--json",
    )
    always, more = documented()["forecast"]
    assert set(said.json) == always | (more & {"backtest"})
    assert said.json["backtest"], "rows of the back-test"


def test_scenario_commands_print_one_document(bposim, tiny):
    small = ["--replications", 40]
    page = documented()
    said = bposim("simulate", tiny, *small, "--json")
    assert said.code == 0 and set(said.json) == page["simulate"][0]
    said = bposim("targets", tiny, *small, "--window", "week", "--json")
    assert said.code in (0, 1) and set(said.json) == page["targets"][0]
    said = bposim("targets", tiny, *small, "--window", "week", "--plan", "--json")
    assert set(said.json) == page["targets"][0] | (page["targets"][1] & {"cheapest_plan"})
    assert set(said.json["hours"]) == {"staffing", "cheapest_plan"}
    assert said.json["cheapest_plan"]["basis"] == "paid hours"
    assert said.json["cheapest_plan"]["agent_hours"] == pytest.approx(said.json["hours"]["cheapest_plan"]["paid"])
    said = bposim("report", tiny, *small, "--levels", 2, "--window", "week", "-o", "page.html", "--json")
    assert said.code == 0 and set(said.json) == page["report"][0]
    assert Path(said.json["written"]).exists()


def test_staff_says_what_it_checked(bposim, tiny):
    usual, infeasible, without = documented()["staff"]
    said = bposim("staff", tiny, "--share", "70%", "--replications", 60, "--json")
    assert said.code == 0 and set(said.json) == usual
    assert said.json["checked"] == "expected level only" and "--confidence" in said.json["note"]
    assert said.json["validation"][0]["probability"] is None
    (row,) = said.json["rows"]
    # 20 % shrinkage; unpaid breaks are in neither.
    assert row["on_duty_hours"] == pytest.approx(0.8 * row["paid_hours"])
    said = bposim("staff", tiny, "--share", "70%", "--replications", 60)
    assert "Only the expected service level over the horizon was checked" in said.out
    said = bposim("staff", tiny, "--share", "70%", "--confidence", "90%", "--replications", 60, "--json")
    assert said.json["checked"] == "probability" and said.json["validation"][0]["probability"] > 0
    said = bposim("staff", tiny, "--max-heads", 1, "-o", "plan.csv", "--json")
    assert said.code == 1 and set(said.json) == infeasible
    assert not Path("plan.csv").exists() and "plan.csv is not written" in said.err
    tiny.write_text(TINY[: TINY.index("shifts:")])
    said = bposim("staff", tiny, "--json")
    assert said.code == 0 and set(said.json) == without


def test_staff_searches_the_cheapest_plan_and_calls_the_bound_of_a_cover_by_its_name(bposim, tiny):
    tiny.write_text(TINY.replace("days: 5", "days: 1"))
    asked = ["staff", tiny, "--share", "70%", "--replications", 300, "--json"]
    cover, found = bposim(*asked), bposim(*asked, "--search", "--time-limit", 20)
    (cover_row,), (row,) = cover.json["rows"], found.json["rows"]
    assert "bound" not in cover_row and "gap" not in cover_row
    assert cover_row["cover_bound"] <= cover_row["cost"] and "--search" in cover.json["note"]
    assert found.code == 0 and set(found.json) == documented()["staff"][0]
    assert found.json["status"] == "met" and "cover_bound" not in row and "--search" not in found.json["note"]
    assert row["bound"] <= row["cost"] <= cover_row["cost"]


def test_the_answer_no_is_exit_code_1(bposim, tiny, log, tmp_path):
    said = bposim("targets", tiny, "--share", "99.9%", "--window", "week", "--replications", 40)
    assert said.code == 1 and "not met at 95 %" in said.out
    said = bposim(
        "staff", tiny, "--share", "80%", "--confidence", "0.9999", "--window", "interval", "--replications", 40
    )
    assert said.code == 1 and "targets" in said.err and "--plan" in said.err and "--search" in said.err
    dirty = log.head(200).copy()
    dirty.loc[3, "ended"] = dirty.loc[3, "arrived"] - pd.Timedelta(minutes=3)
    dirty.to_csv(tmp_path / "dirty.csv", index=False)
    said = bposim("check", tmp_path / "dirty.csv", "--profile", "contacts", "--tz", "Asia/Manila")
    assert said.code == 1 and "NOT OK" in said.out
    said = bposim("check", tmp_path / "dirty.csv", "--profile", "contacts", "--tz", "Asia/Manila", "--json")
    assert said.code == 1 and said.json["ok"] is False and said.json["set_aside"] == 1


def test_check_without_a_profile_prints_a_guess_to_confirm(bposim, calls):
    said = bposim("check", calls, "--tz", "Asia/Manila")
    assert said.code == 2 and said.out == "" and "looks like profile 'contacts'" in said.err
    assert f"bposim check {calls} --profile contacts --tz Asia/Manila" in said.err
    told = bposim("check", calls, "--json")
    assert told.code == 2 and set(told.json) == documented()["check"][1] and told.json["profile"] == "contacts"
    assert bposim(*told.json["command"].replace("Area/City", "Asia/Manila").split()[1:]).code == 0


def test_plan_and_staffing_are_compared_on_one_basis(bposim, tiny):
    said = bposim("targets", tiny, "--share", "60%", "--window", "week", "--replications", 40, "--plan")
    line = next(x for x in said.out.splitlines() if "like with like" in x)
    said_hours = re.findall(r"([\d,]+) (?:paid hours )?\(([\d,]+) on duty\)", line)
    (plan, plan_net), (ours, ours_net) = ((float(n.replace(",", "")) for n in pair) for pair in said_hours)
    assert ours_net == pytest.approx(5 * 8 * 5 * 0.8)
    assert plan_net == pytest.approx(0.8 * plan, abs=1) and ours == pytest.approx(ours_net / 0.8, abs=1)
    assert "Paid = on duty / (1 − shrinkage)" in said.out


def test_the_module_runs_as_a_program(tmp_path):
    run = subprocess.run([sys.executable, "-m", "bposim.cli", "check", "nothing.csv"], capture_output=True, text=True,
                         cwd=tmp_path, check=False)  # fmt: skip
    assert run.returncode == 2 and run.stdout == ""
    assert run.stderr.startswith("HistoryError: ") and "Traceback" not in run.stderr
