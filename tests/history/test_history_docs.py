"""The documented rules are the rules."""

from __future__ import annotations

import re
from pathlib import Path

from bposim.history import RULES
from bposim.history.rules import DONE, SEVERITIES

PAGE = Path(__file__).parents[2] / "docs" / "design" / "data-contracts.md"


def test_the_page_lists_every_rule_with_its_severity_and_deed():
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([\w ]+) \|", PAGE.read_text(encoding="utf-8"), re.M)
    assert rows == [(r.id, r.severity, r.done) for r in RULES.values()]


def test_every_rule_is_well_formed():
    for rule in RULES.values():
        assert rule.severity in SEVERITIES and rule.done in DONE, rule
        text = rule.says.format(rows="3 of 9 rows", n="3", total="9", detail="")
        assert "{" not in text and "{{" not in rule.override and not text.endswith("."), rule
