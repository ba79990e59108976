"""Every shell command of the README runs as written, on a small log; what it prints and writes is what it promises."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from test_answers import COMMANDS, documented

from bposim.scenario import load_scenario

ROOT = Path(__file__).parents[2]
#: What makes a command of the README small; given twice, an option's last value counts.
SMALLER = {
    "backtest": ["--replications", "10"],
    "forecast": ["--days", "7", "--samples", "80"],
    "staff": ["--replications", "60"],
    "simulate": ["--replications", "10"],
    "targets": ["--replications", "60"],
    "contract": ["--replications", "20"],
    "report": ["--replications", "40", "--levels", "2"],
    "demo": ["--days", "4", "--replications", "40", "--levels", "2"],
}
#: Answers that a command may give on any data; bad usage is none.
ANSWERS = {"staff": {0, 1}, "targets": {0, 1}, "contract": {0, 1}, "backtest": {0, 1}}


def commands() -> list[list[str]]:
    """Return the bposim commands of the README's shell blocks, and those of its make targets, as lists of words."""
    shell = "\n".join(re.findall(r"^```bash\n(.*?)^```", (ROOT / "README.md").read_text(), re.M | re.S))
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make ([\w-]+)", shell, re.M):
        recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.M)
        assert recipe, f"the Makefile has no target {target}"
        shell += recipe[1].replace("\t$(BIN)/", "")
    return [shlex.split(line)[1:] for line in shell.splitlines() if line.startswith("bposim ")]


def test_every_line_of_the_readme_is_seen():
    first, *names = [words[0] for words in commands()]
    assert first == "demo", "make demo comes first"
    assert list(dict.fromkeys(names)) == list(COMMANDS) and names.count("staff") == 2


def test_the_chain_of_the_readme(bposim, calls, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "calls.csv").symlink_to(calls)
    (tmp_path / "contract.yaml").symlink_to(ROOT / "scenarios" / "contracts" / "joint_bonus.yaml")
    answers = {}
    for words in commands():
        if words[0] == "demo":
            continue
        before = set(tmp_path.iterdir())
        smaller = [*SMALLER.get(words[0], []), *(["--time-limit", "5"] if "--search" in words else [])]
        answers[words[0]] = said = bposim(*words, *smaller)
        assert said.code in ANSWERS.get(words[0], {0}), said
        promised = {tmp_path / words[k + 1] for k, word in enumerate(words) if word == "-o"}
        assert set(tmp_path.iterdir()) - before == promised, "writes what -o names, and no scratch file is left"

    assert "no errors" in answers["check"].out
    model = load_scenario(tmp_path / "model.yaml")
    assert model.time_zone == "Asia/Manila" and set(model.contact_types) == {"billing", "sales"}
    assert model.contact_types["billing"].handle_time[0].mean == pytest.approx(300, rel=0.05), "300 s were planted"
    volumes = pd.read_parquet(tmp_path / "volumes.parquet")
    assert volumes["sample"].nunique() == 80
    assert str(volumes["interval_start"].dt.tz) == "Asia/Manila"
    staffing = pd.read_csv(tmp_path / "staffing.csv")
    assert set(staffing["agent_group"]) == {"all_round", "billing_team", "sales_team"}
    assert staffing["heads"].sum() > 100
    # The plan was asked for its probability, and says so.
    assert "probability" in answers["staff"].out and "Only the expected" not in answers["staff"].out
    assert "2026-04-20" in answers["simulate"].out and "00:00:00" not in answers["simulate"].out
    assert re.search(r"80 % answered within 20s per month: (met|not met|undecided) at 95 %", answers["targets"].out)
    assert "scheduled hours" in answers["targets"].out and "agent-hours" not in answers["targets"].out
    assert "What each cost level could promise" in (tmp_path / "offer.html").read_text()


def demo(bposim, words, folder, *more):
    said = bposim(*words, *SMALLER["demo"], *more)
    assert said.code == 0, said
    lines = said.json["headline"] if "--json" in more else said.out.strip().splitlines()[:-2]
    told = "\n".join(lines)
    files = {p.name for p in folder.iterdir()}
    assert files == {"report.html", "scenario.yaml", "estimates.csv", "frontier.csv", "targets.csv", "staffing.csv",
                     "given.csv", "shifts.csv"}  # fmt: skip
    # Hours of the plan are those of its shifts; both staffings stand on one basis.
    shifts = pd.read_csv(folder / "shifts.csv")
    number = re.search(r"(?:needs|No plan up to) ([\d,]+) paid hours \(([\d,]+) on duty\)", told)
    assert number, told
    paid, on_duty = (float(n.replace(",", "")) for n in number.groups())
    assert paid == pytest.approx(shifts["paid_hours"].sum(), abs=0.5)
    staffing = pd.read_csv(folder / "staffing.csv")
    assert on_duty == pytest.approx(staffing["heads"].sum() / 2, abs=0.5), "half-hour intervals, heads net of shrinkage"
    today = re.search(r"then, about ([\d,]+) paid hours \(([\d,]+) on duty\)", told)
    assert today, told
    theirs, seen = (float(n.replace(",", "")) for n in today.groups())
    assert theirs / seen == pytest.approx(paid / on_duty, rel=0.005)
    percent = re.search(r"([+-]\d+)% against those agents", told)
    if percent:
        assert float(percent[1]) == pytest.approx(100 * (paid / theirs - 1), abs=1)
    page = (folder / "report.html").read_text()
    for line in lines:
        assert line.replace("'", "&#39;") in page, "the headline of the page is that of the terminal"
    return said


def test_the_main_job_on_ones_own_log(bposim, log, tmp_path, monkeypatch):
    (words,) = [w for w in commands() if w[0] == "demo" and "--history" in w]
    monkeypatch.chdir(tmp_path)
    log.rename(columns={"arrived": "Start", "contact_type": "Queue"}).to_csv("calls.csv.gz", index=False)
    said = demo(bposim, words, tmp_path / "out", "--json")
    assert set(said.json) == documented()["demo"][0]
    assert said.json["hours"]["plan"]["paid"] > said.json["hours"]["plan"]["on_duty"]


def test_the_main_job_on_the_synthetic_history(bposim, log, tmp_path, monkeypatch):
    """``make demo`` on seven weeks in place of seventeen."""
    from bposim import datasets
    from bposim.history import History

    (words,) = [w for w in commands() if w[0] == "demo" and "--history" not in w]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(datasets, "load", lambda: History.from_contacts(log, tz="America/New_York"))
    said = demo(bposim, words, tmp_path / "out")
    assert " USD" in said.out, "the planner's own scenario names the currency"
