"""Staffing and patience from interval reports alone: Erlang A's table, the prior, planted truths, and what is refused.

How often intervals hold the truth over many histories is measured by ``benchmarks/recovery_reports.py``; here single
histories with fixed seeds have to come back whole.
"""

from __future__ import annotations

import importlib.util
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bposim as bp
from bposim.calibrate.erlang_likelihood import QueueTable, classes, scores
from bposim.calibrate.estimates import estimate_frame
from bposim.calibrate.moments import LAST, Match, PatienceFamily, PoolFit, Replayer, _inverse, match, settle
from bposim.calibrate.report_cells import Columns, ReportCells, columns_of, pools_of
from bposim.calibrate.report_estimates import Responses, patience_estimates
from bposim.calibrate.reports import report_staffing
from bposim.calibrate.smoothing import interval_prior, profile_prior
from bposim.distributions import exponential, weibull
from bposim.erlang import erlang_a, mmng
from bposim.errors import CalibrationError, CalibrationWarning
from bposim.history import History

ARRIVALS = [18, 26, 32, 30, 27, 25, 28, 31, 32, 30, 27, 25, 22, 20, 16, 14]
HEADS = [5, 6, 6, 5, 5, 5, 6, 6, 6, 6, 5, 5, 5, 5, 4, 4]
PLAIN = [
    "offered",
    "answered",
    "abandoned",
    "answered_within_s20",
    "answered_within_s60",
    "wait_answered_sum_s",
    "handle_sum_s",
]
EVERY = Columns((20.0, 60.0), (20.0,), True, True)


def line(patience=None, *, days=56, heads_cv=0.0, **changes):
    """Return a line of about 400 contacts a day, one type and one group."""
    factor = {"gamma": {"cv": heads_cv}} if heads_cv else None
    return bp.load_scenario(
        {
            "name": "line", "time_zone": "UTC", "start": "2026-01-05", "days": days,
            "opening_hours": {"mon-fri": "09:00-17:00"}, "day_factor": {"gamma": {"cv": 0.10}},
            "contact_types": {"a": {"arrivals": {"per_interval": {"mon-fri": ARRIVALS}},
                                    "handle_time": {"lognormal": {"mean": "5min", "cv": 1.0}},
                                    "patience": patience or {"exponential": {"mean": "4min"}}}},
            "agent_groups": {"g": {"skills": ["a"], "heads": {"mon-fri": HEADS}, "day_factor": factor}},
        }
        | changes
    )  # fmt: skip


def report(truth, seed, more=(), drop=(), staffing=None):
    """Return the interval report of one simulated history, and nothing else of it."""
    runs = bp.simulate(truth, replications=1, seed=seed, within=["20s", "60s"], staffing=staffing, progress=False)
    columns = [c for c in [*PLAIN, *more] if c not in drop]
    frame = runs.counts([20.0, 60.0]).frame()[["interval_start", "contact_type", *columns]]
    return History.from_contacts(frame, tz=truth.time_zone, profile="intervals")


def planned(truth):
    """Return a base that knows the hours, the skills and the cv of handle times, and nothing else."""
    changes = {"day_factor": None}
    for t, kind in truth.contact_types.items():
        changes |= {
            f"contact_types.{t}.arrivals": {"rate": "1/h"},
            f"contact_types.{t}.handle_time": {"lognormal": {"mean": "60s", "cv": kind.handle_time[0].cv}},
            f"contact_types.{t}.patience": {"exponential": {"mean": "60s"}},
        }
    for g in truth.agent_groups:
        changes |= {f"agent_groups.{g}.heads": 1, f"agent_groups.{g}.day_factor": None}
    return truth.replace(changes)


def calibrated(truth, history):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        return bp.calibrate(planned(truth), history)


def table_of(cal):
    return cal.summary().set_index(["parameter", "subject"])


# Erlang A ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("law", [exponential(240.0), weibull(mean=300.0, shape=0.7)])
def test_the_table_gives_what_the_formulas_give(law):
    table = QueueTable(180.0, law, EVERY, 12.0, 40.0)
    for load, n in ((6.0, 5), (6.0, 8), (11.0, 10), (2.0, 3)):
        formula = erlang_a if law.kind == "exponential" else mmng
        exact = formula(load / 180, 180.0, n, patience=law, within=20.0)
        answered = 1 - exact.p_abandon
        got = dict(zip(EVERY.names, table.at(np.array([load]), np.array([float(n)]))[0], strict=True))
        assert got["abandoned"] == pytest.approx(exact.p_abandon, abs=2e-3)
        assert got["answered_within_s20"] == pytest.approx(exact.service_level["offered"], abs=3e-3)
        assert got["wait_answered_sum_s"] == pytest.approx(exact.asa * answered, rel=0.02)
        assert got["wait_answered_sum_s"] + got["wait_abandoned_sum_s"] == pytest.approx(exact.mean_wait, rel=0.02)
        left = exact.service_level["credit_T"] - exact.service_level["offered"]
        assert got["abandoned_within_s20"] == pytest.approx(left, abs=2e-3)


def test_heads_between_two_whole_numbers_are_a_mixture_and_nobody_at_work_answers_nobody():
    table = QueueTable(180.0, exponential(240.0), EVERY, 12.0, 40.0)
    load = np.array([6.0])
    five, half, six = (table.at(load, np.array([n])) for n in (5.0, 5.5, 6.0))
    np.testing.assert_allclose(half, (five + six) / 2)
    none = dict(zip(EVERY.names, table.at(load, np.array([0.0]))[0], strict=True))
    assert none["abandoned"] == 1 and none["answered_within_s60"] == 0
    assert none["abandoned_within_s20"] == pytest.approx(1 - np.exp(-20 / 240), abs=1e-6)


def test_scores_point_to_the_heads_that_were_there():
    """The expected score is 0 at the true heads, positive below them, negative above."""
    load, heads = np.full(3, 6.0), np.array([4.5, 5.5, 7.0])
    table = QueueTable(180.0, exponential(240.0), EVERY, 12.0, 40.0)
    truth = 100 * table.at(load, np.full(3, 5.5))
    cells = ReportCells(np.full(3, 100.0), truth, load, np.ones(3, bool), np.zeros(3), np.zeros(3))
    score = scores(table, cells, heads, 2)
    pull = score.of(truth, cells.settled) - score.of(100 * table.at(load, heads), cells.settled)
    assert pull[0] > 1 and abs(pull[1]) < 1e-9 and pull[2] < -1
    assert (score.info > 0).all()
    parts = classes(truth, cells.settled, 2)
    np.testing.assert_allclose(parts.sum(axis=-1), 100)
    assert (parts > 0).all()


# The prior -----------------------------------------------------------------------------------------------------------


def test_the_data_choose_how_alike_neighbours_are():
    rng = np.random.default_rng(1)
    weekday, minute = np.repeat(np.arange(5), 16), np.tile(540 + 30 * np.arange(16), 5)
    info = np.full(80, 400.0)  # a standard error of 5 %
    prior = profile_prior(weekday, minute, np.zeros(80), 4.0, 30)
    noise = 0.05 * rng.standard_normal(80)
    smooth = np.sin(minute / 200) * 0.3
    same = prior.chosen(info * (smooth + noise), info, np.zeros(80))
    jagged = np.where(weekday % 2, 0.4, -0.4) * np.where(minute % 60, 1, -1)
    own = prior.chosen(info * (jagged + noise), info, np.zeros(80))
    assert same.strength[1] > 10 * own.strength[1] and same.strength[0] >= own.strength[0]
    better = same.solve(info * (smooth + noise), info, np.zeros(80)) - smooth
    assert np.std(better) < 0.7 * np.std(noise)
    kept = own.solve(info * (jagged + noise), info, np.zeros(80)) - jagged
    assert np.std(kept) < 1.3 * np.std(noise)


def test_where_nothing_is_seen_heads_stay_where_they_were_put():
    profile = np.log([4.0, 5.0, 6.0, 7.0])
    prior = interval_prior(np.array([0, 0, 1, 1]), profile)
    info = np.array([0.0, 0.0, 0.0, 1e6])
    moved = prior.solve(np.array([0.0, 0.0, 0.0, 1e5]), info, profile)
    np.testing.assert_allclose(moved[:2], profile[:2])
    assert moved[3] == pytest.approx(profile[3] + 0.1, abs=1e-3)
    assert profile[2] < moved[2] < profile[2] + 0.1, "its neighbour is heard"


# Planted truths ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def truth():
    return line()


@pytest.fixture(scope="module")
def cal(truth):
    return calibrated(truth, report(truth, 5))


def test_planted_parameters_come_back_from_the_report(cal):
    values = {("contacts per day", f"a, {d}"): sum(ARRIVALS) for d in ("mon", "tue", "wed", "thu", "fri")}
    values |= {("day factor cv", "a"): 0.10, ("mean handle time", "a"): 300.0, ("mean patience", "a"): 240.0,
               ("patience beyond 20 s", "a"): np.exp(-20 / 240), ("patience beyond 60 s", "a"): np.exp(-60 / 240),
               ("agent-hours on duty per day", "g"): sum(HEADS) / 2}  # fmt: skip
    table = table_of(cal)
    for key, true in values.items():
        row = table.loc[key]
        assert row["source"] == "estimated"
        half = (row["ci_high"] - row["ci_low"]) / 2
        assert abs(row["value"] - true) < 1.6 * half, key
    patience = table.loc[("mean patience", "a")]
    assert (patience["ci_high"] - patience["ci_low"]) / patience["value"] < 0.2, "an interval that says something"
    assert table.loc[("day factor of heads cv", "g"), "value"] == 0


def test_the_profile_of_heads_comes_back(cal):
    for heads in cal.scenario.agent_groups["g"].heads.values():
        assert np.abs(np.array(heads) - HEADS).max() < 0.6
    assert cal.heads.days["expected"].mean() == pytest.approx(sum(HEADS) / 2, rel=0.03)


def test_the_fitted_scenario_simulates_the_report(cal, truth):
    history = report(truth, 5)
    assert cal.scenario.start == truth.start
    seen = history.intervals
    runs = bp.simulate(cal.scenario.replace(days=56), volumes=history.volumes(), replications=40, seed=9,
                       within=["20s", "60s"], progress=False)  # fmt: skip
    counts = runs.counts([20.0, 60.0])
    for name in ("abandoned", "answered_within_s20", "answered_within_s60"):
        share = counts.column(name).sum() / counts.column("offered").sum()
        assert share == pytest.approx(seen[name].sum() / seen["offered"].sum(), abs=0.012), name


def test_what_a_report_cannot_tell_is_said(cal):
    table = table_of(cal)
    assert table.loc[("handle time cv", "a"), "source"] == "assumed"
    said = " ".join(cal.notes)
    assert "interval report alone" in said and "redials" in said and "shape of patience" in said
    assert any("handle time cv of a" in a for a in cal.scenario.assumptions)


@pytest.mark.parametrize(
    ("patience", "more", "kind"),
    [
        ({"weibull": {"mean": "240s", "shape": 0.6}}, ["wait_abandoned_sum_s"], "weibull"),
        ({"piecewise_hazard": {"breaks": ["0s", "20s", "60s"], "rates": ["0.001/s", "0.008/s", "0.003/s"]}},
         ["wait_abandoned_sum_s", "abandoned_within_s20", "abandoned_within_s60"], "piecewise_hazard"),
    ],
)  # fmt: skip
def test_the_shape_of_patience_is_seen_where_the_report_tells_of_those_who_left(patience, more, kind):
    truth = line(patience)
    cal = calibrated(truth, report(truth, 3, more))
    law, true = cal.patience["a"].distribution, truth.contact_types["a"].patience[0]
    assert law.kind == kind
    assert cal.patience["a"].candidates.set_index("chosen").loc[True, "misfit"] < 12
    table = table_of(cal)
    for t in (20, 60):
        row = table.loc[(f"patience beyond {t} s", "a")]
        half = (row["ci_high"] - row["ci_low"]) / 2
        assert abs(float(true.sf(t)) - row["value"]) < 1.6 * half


def test_a_day_factor_of_heads_is_found_in_a_report():
    truth = line(heads_cv=0.20)
    row = table_of(calibrated(truth, report(truth, 4))).loc[("day factor of heads cv", "g")]
    assert row["ci_low"] <= 0.20 <= row["ci_high"] and row["ci_low"] > 0.05


def test_separate_lines_of_one_report_do_not_mix():
    two = line().canonical
    kind, group = two["contact_types"]["a"], two["agent_groups"]["g"]
    types = {"a": kind, "b": kind | {"patience": {"exponential": {"mean": "90s"}}}}
    groups = {"g": group | {"skills": ["a"]}, "h": group | {"skills": ["b"]}}
    truth = line(contact_types=types, agent_groups=groups)
    table = table_of(calibrated(truth, report(truth, 6)))
    assert table.loc[("mean patience", "a"), "value"] == pytest.approx(240, rel=0.12)
    assert table.loc[("mean patience", "b"), "value"] == pytest.approx(90, rel=0.12)


def test_types_that_share_a_group_share_their_patience_and_it_is_said():
    one = line().canonical
    half = one["contact_types"]["a"] | {"arrivals": {"per_interval": {"mon-fri": [v / 2 for v in ARRIVALS]}}}
    longer = half | {"handle_time": {"lognormal": {"mean": "6min", "cv": 1.0}}}
    truth = line(
        contact_types={"a": half, "b": longer}, agent_groups={"g": one["agent_groups"]["g"] | {"skills": ["a", "b"]}}
    )
    cal = calibrated(truth, report(truth, 8))
    table = table_of(cal)
    assert table.loc[("mean patience", "a"), "value"] == table.loc[("mean patience", "b"), "value"]
    assert table.loc[("mean patience", "a"), "value"] == pytest.approx(240, rel=0.15)
    assert table.loc[("mean handle time", "b"), "value"] == pytest.approx(360, rel=0.05)
    assert any("patience is told in common" in n for n in cal.notes)


# Heads of the very intervals ------------------------------------------------------------------------------------------


def test_heads_of_the_very_intervals_follow_their_own_report(cal, truth):
    """Two days with a third of the heads missing in the afternoon are seen as such, and the others are not."""
    week = truth.replace(start="2026-03-09", days=5)
    grid = week.grid
    heads = week.scheduled_heads("g")
    short = np.isin(grid.day, (1, 3)) & (grid.slot >= 8)
    heads = np.where(short, heads * 0.66, heads)
    history = report(week, 12, staffing={"g": heads})
    volumes, staffing = report_staffing(cal, history)
    assert volumes["contacts"].sum() == history.intervals["offered"].sum()
    ratio = staffing["g"] / week.scheduled_heads("g")
    assert ratio[short].mean() == pytest.approx(0.66, abs=0.07)
    assert ratio[~short].mean() == pytest.approx(1.0, abs=0.05)
    runs = bp.simulate(cal.scenario.replace(start="2026-03-09", days=5, day_factor=None), volumes=volumes,
                       staffing=staffing, replications=40, within=["20s"], progress=False)  # fmt: skip
    counts, seen = runs.counts([20.0]), history.intervals
    level = counts.column("answered_within_s20").sum() / counts.column("offered").sum()
    assert level == pytest.approx(seen["answered_within_s20"].sum() / seen["offered"].sum(), abs=0.03)


# What is refused -----------------------------------------------------------------------------------------------------


def test_a_group_that_shares_some_types_with_another_is_refused():
    truth = line()
    both = truth.canonical["agent_groups"] | {"h": {"skills": ["a"], "heads": 2}}
    with pytest.raises(CalibrationError, match=r"'g', 'h'.*does not tell"):
        bp.calibrate(line(agent_groups=both), report(truth, 1))
    assert [p.group for p in pools_of(truth)] == ["g"]


@pytest.mark.parametrize(
    ("drop", "word"),
    [(["handle_sum_s"], "handle_sum_s"), (PLAIN[3:6], "nothing of waits")],
)
def test_a_report_that_lacks_a_column_is_refused(drop, word):
    truth = line(days=14)
    with pytest.raises(CalibrationError, match=word):
        bp.calibrate(planned(truth), report(truth, 1, drop=drop))


def test_an_unknown_type_and_longer_intervals_are_refused():
    truth = line(days=14)
    history = report(truth, 1)
    with pytest.raises(CalibrationError, match="of type 'a', which scenario"):
        other = truth.canonical["contact_types"]["a"]
        groups = {"g": truth.canonical["agent_groups"]["g"] | {"skills": ["z"]}}
        bp.calibrate(line(contact_types={"z": other}, agent_groups=groups), history)
    finer = line(interval="15min", agent_groups={"g": {"skills": ["a"], "heads": 5}},
                 contact_types={"a": truth.canonical["contact_types"]["a"] | {"arrivals": {"rate": "50/h"}}})  # fmt: skip
    with pytest.raises(CalibrationError, match=r'base.replace\(interval="30min"\)'):
        bp.calibrate(finer, history)


def test_bare_counts_are_refused():
    counts = History.from_counts(pd.Series([120, 131], index=pd.to_datetime(["2026-03-02", "2026-03-03"])), tz="UTC")
    with pytest.raises(CalibrationError, match="bare counts"):
        bp.calibrate(line(), counts)


def test_patience_is_assumed_where_nearly_nobody_hangs_up():
    truth = line(days=28, agent_groups={"g": {"skills": ["a"], "heads": 14}})
    with pytest.warns(CalibrationWarning, match="mean patience of 'a'"):
        cal = bp.calibrate(planned(truth), report(truth, 2, ["wait_abandoned_sum_s"]))
    assert table_of(cal).loc[("mean patience", "a"), "source"] == "assumed"
    assert cal.scenario.contact_types["a"].patience[0].mean == 60.0


def test_thresholds_are_read_from_the_names_of_the_columns():
    frame = pd.DataFrame({"answered": [1.0], "abandoned": [0.0], "handle_sum_s": [60.0], "answered_within_s30": [1],
                          "abandoned_within_s5": [0], "answered_within_s10": [np.nan]})  # fmt: skip
    assert columns_of(frame, source="x").names == ("abandoned", "answered_within_s30", "abandoned_within_s5")


def test_the_pictures_leave_out_what_a_report_does_not_have(cal):
    axes = cal.plot()
    assert axes[0].lines, "arrivals are drawn"
    assert not axes[1].lines and not axes[2].lines, "no single handle time or wait is known"


# The bank ------------------------------------------------------------------------------------------------------------

BANK = Path(__file__).parents[3] / "shared" / "data" / "anonbank" / "intervals_30min_1999_jan_feb_aug.csv.gz"


@pytest.mark.skipif(not BANK.exists(), reason="the anonbank data set is not in ../shared/data")
def test_a_week_of_the_bank_comes_back_from_its_report_alone():
    """25 to 31 August with its real arrivals: service level within 20 s within 5 points; fitted on the ten days before."""
    spec = importlib.util.spec_from_file_location(
        "bank_reports", Path(__file__).parents[2] / "benchmarks" / "bank_reports.py"
    )
    bank = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bank)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        history = bank.read(BANK)
        cal = bp.calibrate(bank.base(), history.between("1999-08-15", "1999-08-25"))
        table = bank.played(cal, history.between("1999-08-25", "1999-09-01")).set_index("heads")
    assert table.loc["observed", "service_level_20"] == pytest.approx(0.646, abs=0.002)
    assert abs(table.loc["own", "service_level_20"] - table.loc["observed", "service_level_20"]) < 0.05
    assert abs(table.loc["own", "abandonment"] - table.loc["observed", "abandonment"]) < 0.03


def test_options_that_need_a_log_are_refused_and_absence_and_redials_of_the_base_taken_out(truth):
    told = report(truth, 9)
    with pytest.raises(bp.errors.CalibrationError, match=r"presence_gap[\s\S]*schedules"):
        bp.calibrate(planned(truth), told, presence_gap="60s", schedules=pd.DataFrame())
    group, kind = next(iter(truth.agent_groups)), next(iter(truth.contact_types))
    base = planned(truth).replace({
        f"agent_groups.{group}.absence": 0.2,
        f"contact_types.{kind}.redial": {"after_abandonment": 0.6, "delay": {"exponential": {"mean": "10min"}}},
    })  # fmt: skip
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", CalibrationWarning)
        plain, changed = bp.calibrate(planned(truth), told), bp.calibrate(base, told)
    assert changed.scenario.agent_groups[group].absence == 0 and changed.scenario.contact_types[kind].redial is None
    assert changed.scenario.agent_groups[group].heads == plain.scenario.agent_groups[group].heads
    assert any("redial" in n and "taken out" in n for n in changed.notes)


# Luck of the replays -------------------------------------------------------------------------------------------------


def test_replays_of_another_report_have_another_luck():
    """A luck common to all reports would move all their patience the same way."""
    world = line()
    one, other = (report(world, seed).volumes() for seed in (5, 6))
    fit = object.__new__(PoolFit)
    fit.columns = EVERY
    seeds = [Replayer(world, volumes, [fit]).seed for volumes in (one, other, one.copy())]
    assert seeds[0] == seeds[2] != seeds[1]


def test_patience_is_what_the_longest_simulation_says(monkeypatch):
    """What is left of the last step is a small part of the standard error."""
    module = importlib.import_module("bposim.calibrate.reports")
    left = []

    def spied(fits, replayer, slope):
        played = settle(fits, replayer, slope)
        m = match(fits[0], played[0], slope[0])
        error = np.sqrt(np.diag(m.map @ m.within @ m.map.T))
        left.append(np.abs(m.map @ m.gap / error).max())
        assert len(played[0].moments) == LAST * replayer.replays
        return played

    monkeypatch.setattr(module, "settle", spied)
    truth = line(days=14)
    calibrated(truth, report(truth, 8))
    assert left and max(left) < 0.03


# What a report does not tell -----------------------------------------------------------------------------------------


def test_the_inverse_of_an_information_matrix_leaves_out_what_has_no_effect():
    """Where all is told it is the inverse, whatever the scales; a parameter without effect neither moves nor moves others."""
    full = np.array([[4e6, 1e3], [1e3, 2.0]])
    np.testing.assert_allclose(_inverse(full) @ full, np.eye(2), atol=1e-8)
    part = _inverse(np.array([[4.0, 1.0, 0.0], [1.0, 2.0, 0.0], [0.0, 0.0, 0.0]]))
    np.testing.assert_allclose(part[:2, :2], np.linalg.inv([[4.0, 1.0], [1.0, 2.0]]))
    assert not part[2].any() and not part[:, 2].any()


def matched(by_psi):
    cov = np.eye(3) * 100.0
    return Match(np.zeros(3), cov, cov, np.array([300.0, -200.0, 100.0]), np.array(by_psi, dtype=float).T)


def test_parameters_without_information_are_named():
    assert matched([[200, 90, -50], [30, -80, 120]]).blind.tolist() == [False, False]
    assert matched([[200, 90, -50], [0, 0, 0]]).blind.tolist() == [False, True]
    assert matched([[200, 90, 50], [1, -2, 1]]).blind.tolist() == [False, True]
    assert matched([[600, -400, 200]]).blind.tolist() == [True]  # patience that cannot be told from heads


def test_the_mean_of_a_patience_whose_last_hazard_nobody_saw_is_a_lower_bound():
    class Pool:
        types = ("a",)

    class Cells:
        moments = np.array([[120.0]])

    fit = object.__new__(PoolFit)
    fit.pool, fit.cells, fit.family = Pool(), Cells(), PatienceFamily("piecewise", (0.0, 20.0, 60.0))
    fit.psi = np.log([1 / 200, 1 / 300, 1e-9])
    draws = np.random.default_rng(1).normal(0.0, [0.1, 0.1, 0.0], (40, 3))
    response = Responses((draws, draws[:5]), (np.zeros(40), np.zeros(5)))
    mean, *shares = patience_estimates(fit, response, 40, 20, (20.0, 60.0), np.array([False, False, True]))
    cut = 200 * (1 - np.exp(-0.1)) + np.exp(-0.1) * 300 * (1 - np.exp(-40 / 300))
    assert mean.value == pytest.approx(cut, rel=1e-4)
    assert mean.low < mean.value < mean.high == np.inf and "at least" in mean.detail
    assert [s.parameter for s in shares] == ["patience beyond 20 s", "patience beyond 60 s"]
    assert ", ∞)" in str(estimate_frame([mean]))
    told, *_ = patience_estimates(fit, response, 40, 20, (20.0, 60.0), np.zeros(3, dtype=bool))
    assert told.value > 1e8
