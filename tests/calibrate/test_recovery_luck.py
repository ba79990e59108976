"""The luck of drawn histories is told apart from the bias of a method."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))
from recovery import LAWS, SEEDS_APART, parts
from recovery_luck import contacts_of, less_luck, luck


def test_a_bias_is_seen_through_the_luck_of_few_histories():
    """Of a spread of 1 luck makes all but 0.1: 40 histories tell a bias of 0.3 to 0.016, where their mean is known to 0.16."""
    rng = np.random.default_rng(3)
    lucks = rng.normal(0.0, 0.02, (40, 3))
    wrong = 0.3 + lucks @ [40.0, 20.0, -20.0] + rng.normal(0.0, 0.1, 40)
    found, error = less_luck(wrong, lucks)
    assert found == pytest.approx(0.3, abs=5 * 0.016)
    assert error == pytest.approx(0.016, rel=0.4)


@pytest.mark.parametrize("law", LAWS)
def test_people_hang_up_as_often_as_their_waits_lead_one_to_expect(law):
    """About 1,900 abandonments in a history, 700 of them in 20 s: five standard errors, and a shift of a third is seen."""
    found = luck("interval report", law, 7000)
    left = (contacts_of("interval report", law, 7000)[0]["outcome"] == "abandoned").sum()
    assert 1500 < left < 2600
    assert abs(found[2]) < 5 * left**-0.5 < 0.14
    assert abs(found[1]) < 0.25


def test_no_two_laws_share_their_histories():
    """Common contacts would count as one history where three are told."""
    assert SEEDS_APART > 1000
    for known in ("contact log", "interval report"):
        assert {law for k, law in parts() if k == known} == set(LAWS)
    counts = [len(contacts_of("interval report", law, 7000)[0]) for law in LAWS]
    assert len(set(counts)) == 3
