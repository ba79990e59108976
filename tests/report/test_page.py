"""The page: what stands on it, that it needs nothing from elsewhere, that names are words, that it is written whole."""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import date
from html import unescape
from html.parser import HTMLParser
from pathlib import Path

import pandas as pd
import pytest

import bposim as bp
from bposim import datasets
from bposim.errors import ParameterError
from bposim.report import whole, write_whole
from bposim.report.hours import compare_hours, hours_of
from bposim.report.offer import _doubts, _given, make_offer
from bposim.report.sections import _plan
from bposim.scenario import ServiceLevel
from bposim.targets.levels import Level, cost_staffing

ODD = r"<b>bold</b> & $\frac$, beta"


class Page(HTMLParser):
    """Headings, tables, pictures, and whatever would be loaded from elsewhere."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.titles: list[str] = []
        self.tables: dict[str, list[list[list[str]]]] = {}
        self.pictures: dict[str, list[str]] = {}
        self.words: list[str] = []
        self._inside: str | None = None
        self.feed(html)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        given = dict(attrs)
        self.loads += [v for k, v in attrs if k in ("src", "href", "action", "data", "srcset") and v]
        if tag == "img":
            self.pictures.setdefault(self.titles[-1], []).append(given["src"])
        if tag == "h2":
            self.titles.append("")
        if tag == "table":
            self.tables.setdefault(self.titles[-1], []).append([])
        if tag == "tr":
            self.tables[self.titles[-1]][-1].append([])
        if tag in ("td", "th"):
            self.tables[self.titles[-1]][-1][-1].append("")
        if tag in ("h2", "td", "th", "style"):
            self._inside = tag

    def handle_endtag(self, tag):
        if tag == self._inside:
            self._inside = None

    def handle_data(self, data):
        if self._inside == "style":
            return
        self.words.append(data)
        if self._inside == "h2":
            self.titles[-1] += data
        elif self._inside:
            self.tables[self.titles[-1]][-1][-1][-1] += data

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


@pytest.fixture(scope="module")
def offer():
    """The main job on seven weeks of a log one of whose types has a name that is no plain word."""
    truth = datasets.voice_truth(start=date(2026, 3, 2), days=49)
    log = datasets.draw_history(truth, seed=5)
    log["contact_type"] = log["contact_type"].astype(str).replace("billing", ODD)
    history = bp.History.from_contacts(log.drop(columns=["replication", "wait_s", "handle_s"]), tz="America/New_York")
    return make_offer(history, days=7, replications=60, levels=3, seed=7, currency="USD")


@pytest.fixture(scope="module")
def page(offer):
    return Page(offer.report("Offer of <script>alert(1)</script>").html)


def test_a_plan_says_what_its_gap_is_to(offer):
    cover = offer.plan.level.plan.replace(trail=None, gap=0.04, notes=("The horizon is short.",))
    searched = cover.replace(trail=pd.DataFrame({"cost": [1.0]}), gap=0.04)
    texts = [" ".join(_plan(p).texts) for p in (cover, searched, searched.replace(gap=float("nan")))]
    assert "within 4.0% of the cheapest cover of the requirement" in texts[0] and "The horizon is short." in texts[0]
    assert "least cost that the search takes to be possible" in texts[1]
    assert "is not known" in texts[2] and "nan" not in texts[2]


def column(table: list[list[str]], name: str) -> list[str]:
    k = next(k for k, head in enumerate(table[0]) if head.startswith(name))
    return [row[k] for row in table[1:]]


def test_the_answer_stands_at_the_top(offer, page):
    assert len(offer.headline) >= 4
    for line in offer.headline:
        assert " ".join(line.split()) in page.text
    assert f"{offer.plan.agent_hours:,.0f} paid hours" in page.text
    assert f"probability {offer.today.probability:.2f}" in page.text
    months = offer.given[offer.given["metric"] == "service_level"]
    assert f"{100 * months['value'].iloc[0]:.0f} % in March 2026" in page.text


def test_what_was_estimated_and_what_was_assumed(offer, page):
    tables = page.tables["What was estimated, and what was assumed"]
    sources = [s for table in tables for s in column(table, "source")]
    frame = offer.calibration.summary()
    assert sources.count("estimated") == (frame["source"] == "estimated").sum()
    assert sources.count("assumed") == (frame["source"] == "assumed").sum() > 0
    handle = frame[frame["parameter"].eq("mean handle time") & frame["subject"].eq("sales")].iloc[0]
    row = next(r for r in tables[0] if r[:2] == ["mean handle time", "sales"])
    assert [float(x) for x in row[2:5]] == pytest.approx([handle.value, handle.ci_low, handle.ci_high], rel=1e-3)
    # A type with a comma in its name is no weekday of another.
    assert any(r[:2] == ["mean handle time", ODD] for r in tables[0])
    assert {r[0] for r in tables[1][1:]} == {"contacts per day"}
    assert all(f"Assumed: {a}" in page.text for a in offer.calibration.scenario.assumptions)


def test_plan_against_requirement(offer, page):
    assert page.pictures["Plan against requirement"]
    work = page.tables["Plan against requirement"][0]
    paid = sum(float(x.replace(",", "")) for x in column(work, "paid hours"))
    assert paid == pytest.approx(offer.plan.level.plan.shifts["paid_hours"].sum())
    assert f"{offer.plan.level.plan.shifts['paid_hours'].sum():,.0f} paid hours at a cost of" in page.text


def test_distribution_of_the_windows_service_level(offer, page):
    (title,) = [t for t in page.titles if t.startswith("Can it be promised?")]
    assert str(offer.today.term) in title
    assert page.pictures[title]
    assert f"{100 * offer.today.attainable_share:.1f} % could be promised" in page.text
    assert "(95 % interval" in page.text


def test_cost_against_probability(offer, page):
    (table,) = page.tables["What each cost level could promise"]
    frame = offer.frontier.frame
    assert [float(x.replace(",", "")) for x in column(table, "cost (USD)")] == pytest.approx(
        list(frame["cost"]), abs=0.5
    )
    assert [float(x) for x in column(table, "probability of")] == pytest.approx(list(frame["probability"]), abs=5e-4)
    assert "paid hours" in table[0] and "agent hours" not in table[0]
    assert page.pictures["What each cost level could promise"]


def test_recommended_targets(offer, page):
    table = page.tables["Targets worth signing"][0]
    assert column(table, "target") == [str(t) for t in offer.advice.targets]
    assert 3 <= len(offer.advice.targets) <= 5
    assert [float(x) for x in column(table, "probability")] == pytest.approx(
        list(offer.advice.frame["probability"]), abs=5e-4
    )
    assert f"probability {offer.advice.joint_probability:.3f}" in page.text


def test_doubts_and_data_stand_on_it(offer, page):
    assert "What a sceptic would say" in page.titles and "The data" in page.titles
    assert all(" ".join(d.split()) in page.text for d in offer.doubts)


@pytest.mark.parametrize("verdict", ["pass", "weak", "fail"])
def test_a_sceptic_is_told_what_the_expected_heads_reproduce(offer, verdict):
    """What a promise rests on are the heads of the scenario, however well those on duty reproduce the history."""
    good = replace(offer.backtest, verdict="pass", reason="Every metric lies within its limit.")
    tested = replace(
        good, profile=replace(good, heads="profile", verdict=verdict, reason="Off: a metric of the profile.")
    )
    said = [d for d in _doubts(offer.calibration, tested, offer.forecast, offer.scenario) if "back-test" in d]
    assert len(said) == (verdict != "pass")
    assert all(f"did not pass ({verdict}): Off: a metric of the profile." in d for d in said)


def test_it_needs_nothing_from_elsewhere(offer, page):
    html = offer.report().html
    assert page.loads and all(load.startswith("data:image/png;base64,") for load in page.loads)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "b"}
    assert "@import" not in html and "url(" not in html
    assert not re.search(r"https?://", re.sub(r'src="[^"]*"', "", html))


def test_names_are_words(offer, page):
    assert "<script>alert" not in offer.report("Offer of <script>alert(1)</script>").html
    assert "<b>bold" not in offer.report().html
    assert ODD in page.text and "Offer of <script>alert(1)</script>" in page.text


def test_no_name_of_the_code_reaches_the_reader(page):
    shown = unescape(page.text.split("Made from:")[0])
    assert "agent-hours at" not in shown and "CheapestPlan(" not in shown and "ShiftPlan(" not in shown
    for title, tables in page.tables.items():
        for table in tables:
            assert not [h for h in table[0] if "_" in h or h in ("ci low", "ci high", "agent hours")], (title, table[0])


def test_written_whole_or_not_at_all(tmp_path):
    path = tmp_path / "page.html"
    write_whole(path, "first")
    assert path.read_text() == "first"
    with pytest.raises(RuntimeError), whole(path) as scratch:
        scratch.write_text("half of the sec")
        assert path.read_text() == "first", "nobody sees it while it is written"
        raise RuntimeError
    assert path.read_text() == "first"
    assert [p.name for p in tmp_path.iterdir()] == ["page.html"]
    assert oct(path.stat().st_mode & 0o777) != oct(0o600), "others may read it as any new file"


def test_saving_writes_every_table(offer, tmp_path):
    written = offer.save(tmp_path / "out")
    assert sorted(written) == sorted(Path(p) for p in (tmp_path / "out").iterdir())
    shifts = pd.read_csv(tmp_path / "out" / "shifts.csv")
    assert shifts["paid_hours"].sum() == pytest.approx(offer.plan.agent_hours)


def test_a_report_takes_results_only():
    with pytest.raises(ParameterError, match="Got str"):
        bp.report("hello")
    with pytest.raises(ParameterError, match="Got nothing"):
        bp.report()


def test_months_of_a_long_history_are_told_in_short():
    months = pd.date_range("2025-01-01", periods=24, freq="MS")
    frame = pd.DataFrame({"month": months, "metric": "service_level", "value": [0.6, *[0.8] * 22, 0.7]})
    said = _given(frame)
    assert said.startswith("60 to 80 % by month over 24 months (80 % in July 2026") and said.count("2026") == 6
    assert _given(frame.head(2)) == "60 % in January 2025, 80 % in February 2025"


def test_agents_that_no_log_shows_are_not_compared():
    """Without agents in the log the draft's heads are a placeholder: no probability, no per cent is told of them."""
    truth = datasets.voice_truth(start=date(2026, 3, 2), days=28)
    log = datasets.draw_history(truth, seed=5)[["contact_type", "arrived", "answered", "ended", "outcome"]]
    offer = make_offer(bp.History.from_contacts(log, tz="America/New_York"), days=2, replications=20, levels=2)
    said = " ".join(offer.headline)
    assert "does not show who was on duty" in said and "With the agents on duty then" not in said
    assert "against those agents" not in said
    assert any("one head each" in note for note in offer.today.notes)
    assert "one head each" in Page(offer.report().html).text


def test_no_level_is_minus_nought():
    from bposim.scenario.target import make_target
    from bposim.targets.advice_more import safe_level

    target = make_target("abandonment", {"at_most": 0.05}, caller="a test")
    assert str(target.replace(level=safe_level(0.0, target, 0.005))).startswith("abandonment at most 0 %")


# Hours on one basis --------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shrunk():
    """Two groups of different shrinkage and wage; a paid break in each shift."""
    return bp.load_scenario(
        {
            "name": "shrunk", "time_zone": "UTC", "currency": "EUR", "start": "2026-05-04", "days": 1,
            "opening_hours": {"mon": "09:00-17:00"},
            "contact_types": {"calls": {"arrivals": {"rate": "40/h"}, "handle_time": {"exponential": {"mean": "300s"}},
                                        "patience": {"exponential": {"mean": "120s"}}}},
            "agent_groups": {"home": {"skills": ["calls"], "heads": 4, "shrinkage": 0.5, "cost_per_hour": 10},
                             "office": {"skills": ["calls"], "heads": 2, "shrinkage": 0.0, "cost_per_hour": 30}},
            "shifts": {"day": {"start": ["09:00", "09:00"], "paid": "8h", "break_step": "30min",
                               "breaks": [{"after": ["3h", "4h"], "length": "1h", "paid": True}]}},
        }
    )  # fmt: skip


def test_hours_worked_by_hand(shrunk):
    mine = hours_of(shrunk, cost_staffing(shrunk))
    # 4 × 8 h, half of them away, and 2 × 8 h; without a plan to take breaks from, paid = scheduled.
    assert (mine.on_duty, mine.scheduled, mine.paid, mine.cost) == (32, 48, 48, 4 * 8 * 10 + 2 * 8 * 30)


def test_a_plan_brings_its_own_paid_hours_and_lends_them(shrunk):
    need = bp.required_agents(shrunk, target=ServiceLevel(0.8, within="20s"))
    plan = bp.optimise_shifts(need, shrunk, validate=False, under_cost=1000.0)
    heads = plan.shifts["heads"].sum()
    level = Level(float("nan"), plan.staffing, float(plan.shifts["paid_hours"].sum()), plan.cost, plan)
    theirs = hours_of(shrunk, level)
    assert theirs.paid == 8 * heads and theirs.scheduled == 7 * heads, "one hour of eight is a paid break"
    assert theirs.breaks == pytest.approx(8 / 7)
    today = cost_staffing(shrunk)
    mine = hours_of(shrunk, today, like=theirs, priced=level)
    assert mine.on_duty == 32 and mine.scheduled == 48
    assert mine.paid == pytest.approx(48 * 8 / 7) and mine.cost == pytest.approx((320 + 480) * 8 / 7)
    # The plan's own heads, taken for a staffing without shifts, come to the plan's own hours and cost.
    again = hours_of(shrunk, replace(level, plan=None), like=theirs, priced=level)
    assert (again.paid, again.cost) == (pytest.approx(theirs.paid), pytest.approx(theirs.cost))
    said = " ".join(compare_hours(mine, theirs, "EUR"))
    assert f"{theirs.paid / mine.paid - 1:+.1%}" in said and "Paid = on duty / (1 − shrinkage)" in said


def test_the_words_for_hours_are_those_of_their_basis(offer):
    assert "scheduled hours" in repr(offer.today) and "paid hours" in repr(offer.plan)
    assert offer.hours_plan.paid == pytest.approx(offer.plan.agent_hours)
    assert offer.hours_today.scheduled == pytest.approx(offer.today.current.agent_hours)
    assert offer.hours_today.paid / offer.hours_today.scheduled == pytest.approx(offer.hours_plan.breaks)
