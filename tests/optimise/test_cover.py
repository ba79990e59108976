"""The bare cover model against published optima, and its explanation of what cannot be covered."""

from __future__ import annotations

import numpy as np
import pytest

from bposim.errors import OptimiseError, ParameterError
from bposim.optimise import cover

DAY = [6, 6, 6, 6, 6, 8, 9, 12, 18, 22, 25, 21, 21, 20, 18, 21, 21, 24, 24, 18, 18, 18, 12, 8]
FOUR = {
    "morning": range(5, 13), "afternoon": range(13, 21), "night": {*range(5), 21, 22, 23}, "mixed": range(9, 17),
}  # fmt: skip
TWO_DAYS = (
    [9, 11, 17, 9, 7, 12, 5, 11, 8, 9, 18, 17, 8, 12, 16, 8, 7, 12, 11, 10, 13, 19, 16, 7],
    [13, 13, 12, 15, 18, 20, 13, 16, 17, 8, 13, 11, 6, 19, 11, 20, 19, 17, 10, 13, 14, 23, 16, 8],
)
# Bank of February 1999, agents by hour, and shifts of six hours (Miller, Modeling Techniques, ch. 6).
BANK = [0, 0, 0, 0, 0, 0, 1, 4, 8, 9, 10, 9, 8, 16, 10, 10, 6, 7, 8, 8, 6, 6, 5, 4]
BANK_COST = {0: 252, 6: 288, 8: 180, 10: 180, 12: 180, 14: 288, 16: 288, 18: 288}


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_eight_hour_shifts_around_the_clock_need_55(solver):
    shifts = {f"{h:02d}h": {(h + k) % 24 for k in range(8)} for h in range(24)}
    found = cover(DAY, shifts, solver=solver)
    assert (found.status, found.objective, found.bound, found.solver) == ("optimal", 55, 55, solver)
    assert (found.covered >= DAY).all() and found.heads.sum() == 55


@pytest.mark.parametrize("solver", ["highs", "cbc"])
def test_four_shifts_on_two_days(solver):
    costs = {"morning": 8, "afternoon": 8, "night": 10, "mixed": 7}
    heads = [cover(d, FOUR, objective="heads", solver=solver).objective for d in TWO_DAYS]
    money = [cover(d, FOUR, costs, solver=solver) for d in TWO_DAYS]
    gaps = [cover(d, FOUR, cap_period=25, cap_shift=20, objective="absolute_gap", solver=solver) for d in TWO_DAYS]
    assert heads == [50, 63]
    assert [m.objective for m in money] == [432, 547] and sum(m.objective for m in money) == 979
    assert money[0].heads.to_dict() == {"morning": 12, "afternoon": 13, "night": 19, "mixed": 6}
    assert money[1].heads.to_dict() == {"morning": 20, "afternoon": 17, "night": 23, "mixed": 3}
    assert [g.objective for g in gaps] == [76, 81]
    for g in gaps:
        assert g.under.sum() + g.over.sum() == g.objective


def test_bank_of_1999_costs_6336():
    shifts = {f"{h}h": {(h + k) % 24 for k in range(6)} for h in BANK_COST}
    found = cover(BANK, shifts, list(BANK_COST.values()))
    assert (found.status, found.objective) == ("optimal", 6336)


def test_a_cap_on_shifts_is_named():
    found = cover(TWO_DAYS[1], FOUR, cap_shift=20)
    assert found.status == "infeasible" and np.isnan(found.objective)
    named = found.conflicts[["kind", "shift", "limit", "by_how_much"]].values.tolist()
    assert named == [["shift_cap", "night", 20.0, 3.0]]
    assert cover(TWO_DAYS[1], FOUR, cap_shift={"night": 23}).status == "optimal"


def test_a_cap_on_periods_names_every_period_beyond_it():
    demand = np.array(TWO_DAYS[1], dtype=float)
    found = cover(demand, FOUR, cap_period=10)
    assert found.status == "infeasible"
    assert set(np.flatnonzero(demand > 10)) <= set(found.conflicts["period"])
    assert found.conflicts["message"].str.contains("cap of 10 heads").all()
    caps = np.full(24, 10.0)
    for row in found.conflicts.itertuples():
        if row.kind == "period_cap":
            caps[row.period] += row.by_how_much
        else:
            demand[row.period] -= row.by_how_much
    assert cover(demand, FOUR, cap_period=caps).status == "optimal"


def test_a_period_without_a_shift_is_named():
    found = cover([1, 1, 2], {"a": {0, 1}})
    assert found.conflicts[["kind", "period", "by_how_much"]].values.tolist() == [["no_shift", 2, 2.0]]


def test_shortage_at_a_price_goes_short_where_it_is_cheaper():
    found = cover([1, 5], {"both": {0, 1}, "late": {1}}, {"both": 3, "late": 2}, under=1.5)
    assert found.objective == 1.5 * 6 and found.under.tolist() == [1, 5]
    assert cover([1, 5], {"both": {0, 1}, "late": {1}}, {"both": 3, "late": 2}, under=2.5).objective == 3 + 4 * 2


def test_flags_and_sets_say_the_same():
    flags = {"a": np.array([1, 1, 0]), "b": [False, True, True]}
    assert cover([1, 2, 1], flags).objective == cover([1, 2, 1], {"a": {0, 1}, "b": {1, 2}}).objective == 2


def test_every_fault_is_reported_at_once():
    with pytest.raises(OptimiseError) as caught:
        cover([1, 2], {"a": {0, 7}}, {"b": 1.0}, objective="least")
    assert len(caught.value.problems) == 4
    assert "period 7 is not between 0 and 1" in str(caught.value)
    with pytest.raises(ParameterError, match="demand"):
        cover([-1.0], {"a": {0}})
