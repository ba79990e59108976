"""Every question about targets says all that is wrong with it at once, before anything is played."""

from __future__ import annotations

import pytest
from test_assess_contract import CONTRACT, world

import bposim as bp
from bposim.errors import BposimError
from bposim.targets.prices import price_targets

DAY = bp.ServiceLevel(0.80, within="20s", window="day")
LUCK = {"seed": -1, "replications": 1}
NOBODY = {"staffing": {"tellers": 3}}

QUESTIONS = {
    "assess_target": (lambda w, **k: bp.assess_target(w, DAY, **k), {**LUCK, **NOBODY}),
    "assess_contract": (lambda w, **k: bp.assess_contract(w, CONTRACT, **k), {**LUCK, **NOBODY, "confidence": 1.5}),
    "best_response": (lambda w, **k: bp.best_response(w, CONTRACT, **k), {**LUCK, **NOBODY, "levels": True}),
    "attainable_frontier": (lambda w, **k: bp.attainable_frontier(w, DAY, **k), {**LUCK, "levels": 11}),
    "price_targets": (lambda w, **k: price_targets(w, [DAY], **k), {**LUCK, "levels": 1, "confidence": 0}),
    "target_drivers": (lambda w, **k: bp.target_drivers(w, DAY, **k), {**LUCK, **NOBODY}),
    "corridor_value": (lambda w, **k: bp.corridor_value(w, DAY, widths=[0.1], **k), {**LUCK, **NOBODY}),
    "negotiate": (lambda w, **k: bp.negotiate(w, CONTRACT, options={}, **k), {**LUCK, **NOBODY, "levels": 1}),
}


@pytest.mark.parametrize("name", QUESTIONS)
def test_all_that_is_wrong_is_said_at_once(name):
    ask, wrong = QUESTIONS[name]
    with pytest.raises(BposimError) as caught:
        ask(world(), **wrong)
    said = str(caught.value)
    for parameter in wrong:
        assert ("tellers" if parameter == "staffing" else parameter) in said, said
    assert len(caught.value.problems) >= len(wrong)


def test_a_group_that_a_staffing_leaves_out_is_named():
    two = world().replace({"agent_groups.h": {"skills": ["a"], "heads": 2}})
    deal = bp.assess_contract(two, CONTRACT, staffing={"g": 9}, replications=2, progress=False)
    assert [n for n in deal.notes if "leaves out h" in n]
    assert not [n for n in bp.assess_contract(two, CONTRACT, replications=2, progress=False).notes if "leaves out" in n]
