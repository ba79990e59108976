"""How a file is read can be told on the command line as in Python."""

from __future__ import annotations

import pandas as pd
import pytest

TZ = ["--tz", "Asia/Manila"]


@pytest.fixture
def report(tmp_path):
    start = pd.date_range("2026-03-02 09:00", periods=40, freq="30min").strftime("%Y-%m-%d %H:%M")
    frame = pd.DataFrame({"interval_start": start, "offered": 50, "answered": 48, "abandoned": 2, "Talk": 4.0,
                          "service_level": "80%"})  # fmt: skip
    path = tmp_path / "report.csv"
    frame.to_csv(path, index=False)
    return path


def rules(answer) -> set[str]:
    return {row["rule"] for row in answer.json["rows"]}


def test_units_formula_and_accepted_rules(bposim, report):
    read = ["check", report, "--profile", "intervals", *TZ, "--json"]
    plain = rules(bposim(*read, "--column", "aht_s=Talk"))
    assert {"unit_slip", "service_level_unread"} <= plain
    told = rules(bposim(*read, "--column", "aht_s=Talk:min", "--counting", "offered", "--within", "20s"))
    assert "unit_slip" not in told and "service_level_to_count" in told and "service_level_unread" not in told
    rows = bposim(*read, "--column", "aht_s=Talk", "--accept", "unit_slip", "--accept", "service_level_unread").json[
        "rows"
    ]
    assert {r["rule"] for r in rows if r["done"] == "accepted"} == {"unit_slip", "service_level_unread"}


@pytest.mark.parametrize("command", ["check", "calibrate"])
def test_a_rule_that_does_not_exist_is_refused(bposim, report, command):
    answer = bposim(command, report, "--profile", "intervals", *TZ, "--accept", "unit_slop")
    assert answer.code == 2 and "Did you mean 'unit_slip'" in answer.err


def test_a_column_whose_name_has_a_colon(bposim, report):
    report.write_text(report.read_text().replace("Talk", "Talk: mean"))
    read = ["check", report, "--profile", "intervals", *TZ, "--json"]
    assert "unit_slip" in rules(bposim(*read, "--column", "aht_s=Talk: mean"))
    assert "unit_slip" not in rules(bposim(*read, "--column", "aht_s=Talk: mean:min"))
