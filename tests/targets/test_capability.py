"""Targets from demonstrated capability: coverage on worlds that drift, no look ahead, words, both sources together."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.errors import ParameterError
from bposim.targets.capability_backtest import year_ahead
from bposim.targets.capability_model import Model
from bposim.targets.capability_series import MetricHistory, read_metrics

ROOT = Path(__file__).parents[2]
VANCOUVER = ROOT.parent / "shared" / "data" / "vancouver311" / "contact_centre_metrics_2009_2023.csv"


def world(seed: int, *, years: int = 6, drift: float = 0.06, season: float = 0.3, step: float = 0.0, at: int = 0):
    """A share by month whose level walks, with a season, memory and days' luck; log-odds."""
    rng = np.random.default_rng((seed, 2718))
    n = 12 * years
    level = 0.9 + np.cumsum(rng.normal(0, drift, n)) + step * (np.arange(n) >= at)
    swing = np.zeros(n)
    for k in range(1, n):
        swing[k] = 0.7 * swing[k - 1] + rng.normal(0, 0.15)
    month = np.arange(n) % 12
    odds = level + swing + season * np.cos(2 * np.pi * (month - 1) / 12) + rng.normal(0, 0.15, n)
    offered = rng.poisson(4000, n)
    met = rng.binomial(offered, 1 / (1 + np.exp(-odds)))
    starts = pd.date_range("2018-01-01", periods=n, freq="MS")
    return pd.DataFrame({"month": starts, "metric": "abandonment", "numerator": offered - met, "denominator": offered})


def as_history(table: pd.DataFrame) -> MetricHistory:
    return read_metrics(table, metrics="abandonment", within=None, counting=None, window="month", until=None)[0][0]


# Coverage -----------------------------------------------------------------------------------------------------------------


def test_targets_at_90_are_met_by_nine_months_in_ten():
    """60 worlds: standard error of a share with months of one world tied, at worst 0.04; the plain quantile is 3 points worse."""
    met, plain, levels, flats, flat_met = [], [], [], [], []
    for seed in range(60):
        one = year_ahead(as_history(world(seed)), 2023)
        path = one.expected.levels(0.9, rounded=False)
        met.append(one.met(path).mean())
        plain.append(one.met(one.plain(0.9)).mean())
        levels.append(path.mean())
        flats.append(one.expected.levels(0.9, pooled=True, rounded=False)[0])
        flat_met.append(one.met(flats[-1]).mean())
    assert abs(np.mean(met) - 0.90) < 0.05
    assert np.mean(met) - np.mean(plain) > 0.03
    # A month's own level asks for half a point more than one figure for the year, and no fewer months meet it.
    assert np.mean(levels) < np.mean(flats) - 0.005 and np.mean(met) >= np.mean(flat_met) - 0.01


def test_glide_path_follows_the_season_and_vanishes_without_one():
    strong = bp.recommend_targets(world(3, season=0.6, drift=0.02), confidence=0.9)
    path = strong.path.set_index(strong.path["window_start"].dt.month)["level"]
    assert path[2] < path[8] - 0.05  # fewest give up in February
    assert strong.glide_path() == {k: path[k] for k in range(1, 13)}
    weak = bp.recommend_targets(world(3, season=0.0, drift=0.02), confidence=0.9)
    spread = weak.path["expected"].max() - weak.path["expected"].min()
    assert spread < 0.25 * (strong.path["expected"].max() - strong.path["expected"].min())


def test_a_step_is_found_and_told_with_its_month():
    found = bp.recommend_targets(world(1, drift=0.02, step=1.2, at=40), confidence=0.9)
    steps = found.changes[found.changes["kind"] == "step"]
    assert len(steps) == 1
    months = (steps["start"].iloc[0].year - 2018) * 12 + steps["start"].iloc[0].month - 1
    assert abs(months - 40) <= 1
    assert steps["before"].iloc[0] > steps["after"].iloc[0]
    said = next(n for n in found.notes if n.startswith("The world changed for abandonment"))
    assert f"from {steps['start'].iloc[0]:%B %Y} the level fell from" in said


def test_steps_are_rare_where_nothing_stepped():
    """At a prior of one in five years and six years of data, at most a few of 20 calm worlds show one."""
    found = [len(Model(np.arange(1, 73.0), *as_history(world(s)).scaled()).steps) for s in range(20)]
    assert sum(n > 0 for n in found) <= 3


def test_more_confidence_asks_for_less():
    table = world(5)
    levels = [bp.recommend_targets(table, confidence=c).targets[0].level for c in (0.5, 0.8, 0.9, 0.99)]
    assert levels == sorted(levels) and levels[0] < levels[-1]
    advice = bp.recommend_targets(table, confidence=0.9)
    assert (advice.path["probability"] >= 0.9 - 1e-6).all()
    assert advice.frame["probability"].iloc[0] >= 0.9 - 1e-6
    assert advice.frame["ci_low"].iloc[0] < advice.frame["probability"].iloc[0] < advice.frame["ci_high"].iloc[0]


# No look ahead ------------------------------------------------------------------------------------------------------------


def test_nothing_after_the_origin_is_used():
    table = world(2)
    origin = "2022-01-01"
    spoiled = table.copy()
    later = spoiled["month"] >= origin
    spoiled.loc[later, "numerator"] = spoiled.loc[later, "denominator"]
    first, second = (bp.recommend_targets(t, confidence=0.9, until=origin) for t in (table, spoiled))
    pd.testing.assert_frame_equal(first.path, second.path)
    pd.testing.assert_frame_equal(first.changes, second.changes)
    assert first.path["window_start"].iloc[0] == pd.Timestamp(origin) and len(first.path) == 12
    without = bp.recommend_targets(table[~later], confidence=0.9)
    pd.testing.assert_frame_equal(first.path, without.path)
    # The back-test recommends from the same months.
    row = bp.recommend_targets(spoiled, confidence=0.9).backtest([2022]).iloc[0]
    assert row["level"] == pytest.approx(first.path["level"].mean()) and row["met"] == 0


def test_the_back_test_counts_by_hand():
    table = world(4)
    row = bp.recommend_targets(table, confidence=0.9).backtest([2023]).iloc[0]
    value = (table["numerator"] / table["denominator"]).to_numpy()
    plain = np.quantile(value[36:60], 0.9)
    path = bp.recommend_targets(table, confidence=0.9, until="2023-01-01").path["level"].to_numpy()
    assert row["plain"] == pytest.approx(plain) and row["met_plain"] == (value[60:] <= plain).sum()
    assert row["met"] == (value[60:] <= path).sum() and row["windows"] == 12
    assert row["worst"] == pytest.approx(max((value[60:] - path).max(), 0.0))


# Sources ------------------------------------------------------------------------------------------------------------------


def test_tables_by_day_by_month_and_series_agree():
    rng = np.random.default_rng(7)
    days = pd.date_range("2022-01-11", "2024-12-20", freq="D")
    offered = rng.poisson(300, len(days))
    lost = rng.binomial(offered, 0.06 + 0.03 * (days.month == 7))
    daily = pd.DataFrame({"date": days, "numerator": lost, "denominator": offered})
    before = daily.copy()
    by_day = bp.recommend_targets(daily, metrics="abandonment", confidence=0.9)
    pd.testing.assert_frame_equal(daily, before)
    month = days.to_period("M")
    pooled = daily.groupby(month)[["numerator", "denominator"]].sum().iloc[1:-1]  # both ends are cut
    by_month = bp.recommend_targets(pooled, metrics="abandonment", confidence=0.9, until="2024-12-21")
    assert by_day.path["window_start"].iloc[0] == pd.Timestamp("2025-01-01")
    np.testing.assert_allclose(by_day.path["expected"], by_month.path["expected"], rtol=1e-6)
    rate = pooled["numerator"] / pooled["denominator"]
    values = pd.DataFrame({"value": rate, "volume": pooled["denominator"]})
    same = bp.recommend_targets(values, metrics="abandonment", confidence=0.9, until="2024-12-21")
    np.testing.assert_allclose(same.path["expected"], by_month.path["expected"], rtol=1e-6)
    series = bp.recommend_targets(rate.rename("abandonment"), confidence=0.9, until="2024-12-21")
    assert np.abs(series.path["level"] - by_month.path["level"]).max() < 0.011


def test_a_history_gives_its_own_metrics_and_threshold():
    rng = np.random.default_rng(3)
    days = pd.date_range("2023-01-01", "2024-12-31", freq="D")
    offered = rng.poisson(200, len(days))
    lost = rng.binomial(offered, 0.05)
    in_time = rng.binomial(offered - lost, 0.8)
    report = pd.DataFrame({
        "interval_start": days, "contact_type": "calls", "offered": offered, "answered": offered - lost, "abandoned": lost,
        "answered_within_s60": in_time, "wait_answered_sum_s": 30.0 * (offered - lost)})  # fmt: skip
    path = pd.Series(in_time, index=days.to_period("M")).groupby(level=0).sum()
    table = pd.DataFrame({"metric": "service_level", "numerator": path, "denominator": pd.Series(offered, index=days.to_period("M")).groupby(level=0).sum()})  # fmt: skip
    other = bp.recommend_targets(table, within="60s", confidence=0.9)
    history = _read(report)
    found = bp.recommend_targets(history, confidence=0.9)
    assert [t.metric for t in found.targets] == ["service_level", "abandonment", "asa"]
    assert found.targets[0].within_s == 60 and found.targets[2].level in (30, 31, 32)
    mine = found.path[found.path["metric"] == "service_level"]
    np.testing.assert_allclose(mine["expected"], other.path["expected"], rtol=1e-6)
    assert found.joint_probability < found.frame["probability"].min()
    assert 3 <= (found.review - found.path["window_start"].min()).days / 30 <= 13


def _read(report: pd.DataFrame):
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "report.csv"
        report.to_csv(path, index=False)
        return bp.read_history(path, profile="intervals", tz="UTC")


def test_quarters_and_missing_months():
    table = world(6, years=8)
    quarters = bp.recommend_targets(table, window="quarter", confidence=0.9)
    assert len(quarters.path) == 4 and quarters.glide_path().keys() == {1, 4, 7, 10}
    assert quarters.targets[0].window == "quarter"
    gaps = table.drop(index=[20, 21, 50])
    found = bp.recommend_targets(gaps, confidence=0.9)
    full = bp.recommend_targets(table, confidence=0.9)
    assert len(found.path) == 12
    assert np.abs(found.path["level"] - full.path["level"]).max() < 0.03


def test_a_draft_is_told_its_probabilities():
    table = world(0)
    draft = {"targets": [{"abandonment": {"at_most": 0.9, "window": "month"}}, {"abandonment": {"at_most": 0.01, "window": "month"}},
                         {"asa": {"at_most": "30s", "window": "month"}}]}  # fmt: skip
    found = bp.recommend_targets(table, contract=draft, confidence=0.9)
    assert found.clauses["verdict"].tolist() == ["sign", "do not sign"]
    assert found.clauses["probability"].iloc[0] > 0.99 and found.clauses["probability"].iloc[1] < 0.01
    assert any("average speed of answer" in n and "does not tell this metric" in n for n in found.notes)


# Both sources -------------------------------------------------------------------------------------------------------------


def scenario(heads: int):
    return bp.load_scenario({
        "name": "line", "start": "2026-06-01", "days": 30, "opening_hours": {"mon-fri": "09:00-11:00"},
        "contact_types": {"a": {"arrivals": {"rate": "60/h"}, "handle_time": {"exponential": {"mean": "3min"}},
                                "patience": {"exponential": {"mean": "3min"}}}},
        "agent_groups": {"g": {"skills": ["a"], "heads": heads, "cost_per_hour": 20}}})  # fmt: skip


def test_with_a_scenario_the_more_careful_level_is_taken():
    table = world(1)
    options = {"confidence": 0.9, "window": "month", "replications": 60, "seed": 2, "progress": False}
    shown = bp.recommend_targets(table, confidence=0.9)
    rich, poor = (bp.recommend_targets(scenario(n), **options) for n in (8, 2))
    both, mine = (bp.recommend_targets(scenario(n), history=table, **options) for n in (8, 2))

    def level(advice):
        return next(t.level for t in advice.targets if t.metric == "abandonment")

    assert level(rich) < level(shown) < level(poor)
    assert level(both) == level(shown) and both.history is not None
    assert any("the history's is taken" in n for n in both.notes)
    assert level(mine) == level(poor) and any("the simulation's is taken" in n for n in mine.notes)
    assert any("simulated only" in n for n in both.notes)
    assert rich.history is None


def record(share: float, within: str = "20s"):
    months = pd.date_range("2023-01-01", periods=36, freq="MS")
    luck = np.random.default_rng(1)
    parts = {"service_level": share + luck.normal(0, 0.015, 36), "abandonment": 0.2 + luck.normal(0, 0.004, 36),
             "asa": 40 + luck.normal(0, 1.5, 36)}  # fmt: skip
    return pd.concat(
        [pd.DataFrame({"month": months, "metric": k, "value": v, "volume": 5000}) for k, v in parts.items()]
    )


def test_what_the_history_tells_is_among_the_targets_and_binds():
    options = {"confidence": 0.9, "replications": 60, "seed": 2, "progress": False}
    shown = bp.recommend_targets(record(0.55), within="40s", confidence=0.9, seed=2)
    both = bp.recommend_targets(scenario(8), history=record(0.55), within="40s", **options)
    assert 3 <= len(both.targets) <= 5
    for one in shown.targets:
        assert one in both.targets  # the room of 8 does better than was ever shown
    first = both.frame.iloc[0]
    assert first["metric"] == "service_level" and first["why"] == "the history's threshold"
    assert both.targets[0].within_s == 40
    # The probability shown is the history's, which is lower; the joint one is the simulation's, and says so.
    mine = both.frame.set_index("target")["probability"]
    for one in shown.frame.itertuples():
        assert mine[one.target] == pytest.approx(one.probability)
    assert any("joint probability is the simulation's alone" in n for n in both.notes)
    assert not any("simulated only" in n and "service_level" in n for n in both.notes)


def test_a_scenario_keeps_its_own_threshold_beside_the_history_s():
    target = bp.ServiceLevel(0.8, within="10s")
    named = scenario(8).replace({"targets": [target.to_spec()]})
    both = bp.recommend_targets(
        named, history=record(0.55), within="40s", confidence=0.9, replications=40, seed=2, progress=False
    )
    assert [t.within_s for t in both.targets if t.metric == "service_level"] == [10.0, 40.0]
    assert {t.metric for t in both.targets} == {"service_level", "abandonment", "asa", "occupancy"}
    waits = next(t for t in both.targets if t.metric == "asa")
    assert waits.level > 1


# Words --------------------------------------------------------------------------------------------------------------------


def test_all_problems_at_once_with_the_way_out():
    with pytest.raises(ParameterError) as caught:
        bp.recommend_targets(world(0), confidence=2, volumes=3, metrics=["abandonment", "servce_level"], window="week",
                             until="soon", within="5")  # fmt: skip
    said = caught.value.problems
    assert len(said) == 6
    for words in (
        "confidence parameter of recommend_targets() must be between 0 and 1. Got 2",
        "volumes= of recommend_targets() belongs to a scenario",
        "Did you mean 'service_level'?",
        "must be month or quarter where the source is a history. Got 'week'",
        'Write "2026-01-01".',
        "within='5' has no unit",
    ):
        assert any(words in s for s in said), words


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (lambda t: t.assign(numerator=t["numerator"] * 100), "no share between 0 and 1"),
        (lambda t: t.iloc[:8], "known in 8 whole months before 2018-09-01; at least 12 are needed"),
        (lambda t: t.drop(columns="month"), "tells no time of each row"),
        (lambda t: t.drop(columns="metric"), 'Add a column metric, or write metrics="abandonment"'),
        (lambda t: t.drop(columns="numerator"), "Give numerator and denominator, or value and volume"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "2 rows more than one for a time and metric"),
        (lambda t: t.assign(metric="joy"), "has no metric that can be promised"),
        (lambda t: t.assign(metric="service_level"), 'Write within="60s"'),
    ],
)
def test_tables_that_cannot_be_read(spoil, words):
    with pytest.raises(ParameterError) as caught:
        bp.recommend_targets(spoil(world(0)))
    assert words in str(caught.value)


@pytest.mark.filterwarnings("error")
def test_months_without_a_year_are_one_clear_error():
    table = pd.DataFrame({"month": ["Jan"] * 36, "metric": "abandonment", "value": 0.05, "volume": 10})
    with pytest.raises(ParameterError) as caught:
        bp.recommend_targets(table)
    assert len(caught.value.problems) == 1
    assert "Row 0 has 'Jan'" in str(caught.value) and "with its year: 2026-03" in str(caught.value)


def test_a_series_is_not_relabelled():
    table = world(0)
    values = pd.Series(
        (table["numerator"] / table["denominator"]).to_numpy(), pd.DatetimeIndex(table["month"]), name="service_level"
    )
    with pytest.raises(ParameterError, match="is named 'service_level', and metrics='abandonment' asks for another"):
        bp.recommend_targets(values, metrics="abandonment")
    assert bp.recommend_targets(values.rename("lost"), metrics="abandonment").targets[0].metric == "abandonment"


def test_other_refusals():
    counts = bp.History.from_counts(pd.Series([5.0], index=pd.to_datetime(["2026-03-02"])), freq="D")
    with pytest.raises(ParameterError, match="nothing of what became of them"):
        bp.recommend_targets(counts)
    with pytest.raises(ParameterError, match="until= of recommend_targets\\(\\) is about a history, and none is given"):
        bp.recommend_targets(scenario(8), until="2026-01-01", replications=4, progress=False)
    advice = bp.recommend_targets(world(0))
    with pytest.raises(ParameterError, match="one of abandonment"):
        advice.glide_path("asa")
    with pytest.raises(ParameterError, match="Leave out year 2018"):
        advice.backtest([2018])


def test_faces():
    advice = bp.recommend_targets(world(1, drift=0.02, step=1.2, at=40), confidence=0.9)
    assert isinstance(advice, bp.Capability)
    assert repr(advice).startswith("1 target from the history before 2024-01-01, each met by a month at 90 %")
    assert any("1 of the 3 to 5 targets that are customary" in n for n in advice.notes)
    assert "<table" in advice._repr_html_()
    ax = advice.plot()
    assert ax.get_ylabel() == "abandonment of a month (%)"
    assert "the level stepped" in ax.get_legend_handles_labels()[1]
    assert "demonstrated capability" in bp.report(advice).html


# Vancouver ----------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(
    not VANCOUVER.exists(), reason="the Vancouver 3-1-1 data are not here (../shared/data/vancouver311)"
)
def test_vancouver_years_from_the_data_before_them():
    """Every fourth year; the benchmark page holds all twelve."""
    raw = pd.read_csv(VANCOUVER, sep=";", encoding="utf-8-sig", parse_dates=["Date"]).dropna()
    month = raw["Date"].dt.to_period("M")
    lost = (
        raw["CallsAbandoned"].groupby(month).sum() / (raw["CallsHandled"] + raw["CallsAbandoned"]).groupby(month).sum()
    )
    history = bp.read_history(VANCOUVER, profile="vancouver311", tz="America/Vancouver")
    met = []
    for year in (2012, 2016, 2020):
        advice = bp.recommend_targets(history, metrics="abandonment", confidence=0.9, until=f"{year}-01-01")
        came = lost[lost.index.year == year].to_numpy()
        met += list(came <= advice.path["level"].to_numpy())
        assert any("from February 2010 the level fell" in n for n in advice.notes)
    assert np.mean(met) >= 0.84


def test_figures_that_are_text_are_refused():
    """Every fifth month written with a comma was left out in silence."""
    months = pd.date_range("2022-01-01", periods=36, freq="MS")
    lost = pd.Series(["0,050" if k % 5 == 0 else 0.05 for k in range(36)], months, name="abandonment")
    with pytest.raises(ParameterError, match=r"must be numbers\. Got '0,050' \(row 1\)"):
        bp.recommend_targets(lost)


def test_one_unknown_volume_changes_next_to_nothing_and_is_told():
    """On the first of each month one contact comes and is lost; of a thousand on other days one in twenty."""
    day = pd.date_range("2022-01-01", "2024-12-31")
    frame = pd.DataFrame(
        {"date": day, "value": np.where(day.day == 1, 1.0, 0.05), "volume": np.where(day.day == 1, 1.0, 1000.0)}
    )
    known = bp.recommend_targets(frame, metrics="abandonment", confidence=0.9)
    frame.loc[500, "volume"] = np.nan
    holed = bp.recommend_targets(frame, metrics="abandonment", confidence=0.9)
    assert holed.frame["level"].tolist() == known.frame["level"].tolist()
    assert [n for n in holed.notes if "1 of 1096 volumes are not known" in n] and not [
        n for n in known.notes if "not known" in n
    ]


def test_a_month_without_a_value_takes_nothing_from_the_others():
    """Neither where no volume is told, nor where the missing month has one."""
    months = pd.date_range("2022-01-01", periods=36, freq="MS")
    values = pd.Series([0.05 + 0.002 * (k % 3) for k in range(36)], months, name="abandonment")
    values.iloc[30] = np.nan
    for table in (values, pd.DataFrame({"month": months, "value": values.to_numpy(), "volume": 1000.0})):
        (found,), notes = read_metrics(
            table, metrics="abandonment", within=None, counting=None, window="month", until=None
        )
        assert len(found.frame) == 35 and not [n for n in notes if "not known" in n]
