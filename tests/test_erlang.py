"""Erlang formulas: published figures, laws that hold at every load, and the least number of agents."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import integrate

from bposim.distributions import (
    deterministic,
    empirical,
    exponential,
    gamma,
    infinite,
    lognormal,
    mixture,
    piecewise_hazard,
    uniform,
    weibull,
    with_zero,
)
from bposim.erlang import (
    QueueMeasures,
    allen_cunneen,
    erlang_a,
    erlang_b,
    erlang_c,
    least_agents,
    mmng,
    mmnkm,
    square_root_beta,
    square_root_p_wait,
    square_root_staffing,
)
from bposim.errors import ParameterError, StabilityError

RATE = 100 / 1800  # 100 contacts in 30 minutes, in seconds


def level(q: QueueMeasures, rule: str = "offered") -> Any:
    assert q.service_level is not None
    return q.service_level[rule]


# Published and hand-checked figures


@pytest.mark.parametrize(
    ("load", "agents", "blocked"), [(1, 1, 0.5), (1, 2, 0.2), (123, 132, 0.031242821), (5, 0, 1.0)]
)
def test_erlang_b_figures(load: float, agents: float, blocked: float) -> None:
    assert erlang_b(load, 1, agents).p_block == pytest.approx(blocked, rel=1e-7)


def test_erlang_c_figures() -> None:
    q = erlang_c(RATE, 180, 14, within=20)
    assert q.p_wait == pytest.approx(0.174132, abs=5e-7)
    assert level(q) == pytest.approx(0.888350, abs=5e-7)
    assert q.mean_wait / 60 == pytest.approx(0.130599, abs=5e-7)
    assert q.mean_queue == pytest.approx(0.43533, abs=5e-6)
    assert q.occupancy == pytest.approx(0.714286, abs=5e-7)
    assert level(erlang_c(100 / 30, 3, 14, within=0.33)) == pytest.approx(0.887853, abs=5e-7)
    assert erlang_c(3.5, 3, 13).mean_wait * 60 == pytest.approx(26.557, abs=5e-4)
    assert erlang_c(123, 1, 132).p_wait == pytest.approx(0.3211162, abs=5e-8)
    eleven, ten = (erlang_c(25 / 600, 180, n, within=20) for n in (11, 10))
    assert (level(eleven), eleven.p_wait, level(ten)) == pytest.approx((0.880836, 0.175807, 0.767753), abs=5e-7)
    three, five = erlang_c(10, 1 / 4, 3), erlang_c(1 / 4, 10, 5)
    assert (three.p_wait, three.mean_wait * 10, three.occupancy) == pytest.approx(
        (0.702247, 3.51124, 0.833333), abs=5e-6
    )
    assert (five.p_wait, five.mean_wait, five.mean_queue) == pytest.approx((0.130371, 0.521485, 0.130371), abs=5e-7)


def test_erlang_a_figures() -> None:
    q = erlang_a(RATE, 180, 13, patience=300, within=20)
    assert (q.p_wait, q.p_abandon, level(q), q.occupancy) == pytest.approx(
        (0.225797, 0.024963, 0.858178, 0.750028), abs=5e-7
    )
    assert q.mean_wait == pytest.approx(7.489, abs=5e-4) and q.asa == pytest.approx(6.9, abs=0.05)
    q = erlang_a(48, 1, 50, patience=2)
    assert (q.p_wait, q.p_abandon, q.mean_wait, q.occupancy) == pytest.approx(
        (0.467774, 0.030912, 0.061824, 0.930324), abs=5e-7
    )
    assert q.mean_queue == pytest.approx(2.9676, abs=5e-5)
    q = erlang_a(3.5 / 60, 180, 15, patience=300, within=20)
    assert (level(q), level(q, "virtual"), q.p_abandon) == pytest.approx((0.934924, 0.936598, 0.010705), abs=5e-7)
    assert q.mean_wait == pytest.approx(3.2116, abs=5e-5)
    q = erlang_a(3.5 / 60, 180, 9, patience=300, within=20)
    assert (level(q), q.p_abandon) == pytest.approx((0.302079, 0.188728), abs=5e-7)
    assert q.mean_wait == pytest.approx(56.618, abs=5e-4)
    assert level(erlang_a(3.5 / 60, 180, 13, patience=300, within=20)) == pytest.approx(0.816310, abs=5e-7)


def test_finite_room_figures() -> None:
    q = mmnkm(4.2, 2, 12, patience=None, lines=17, within=1 / 3)
    assert (q.p_block, q.asa, q.occupancy) == pytest.approx((0.009477, 0.061124, 0.693366), abs=5e-7)
    assert (level(q, "admitted"), level(q)) == pytest.approx((0.927558, 0.918768), abs=5e-7)
    assert mmnkm(1, 0.8, 1, patience=None, lines=5).p_block == pytest.approx(0.0888, abs=5e-5)
    chat = mmnkm(0.25, 6, 3, patience=None, lines=3000)
    assert (chat.p_wait, chat.mean_wait) == pytest.approx((0.236842, 0.947368), abs=5e-7)


def test_retries_without_return_figure() -> None:
    q = erlang_a(4.2, 2, 9, patience=1)
    assert (q.p_abandon, q.occupancy) == pytest.approx((0.126107, 0.815633), abs=5e-7)


def test_tiny_shares_keep_their_digits() -> None:
    """Computed once with 400 digits; 60 digits leave only a rounding residue of 2e-60 here."""
    q = erlang_a(200, 1, 100, patience=5, within=0.1)
    assert level(q) == pytest.approx(7.6507073580816815692e-65, rel=1e-9)
    assert level(q, "virtual") == pytest.approx(7.7891445002047887094e-65, rel=1e-9)
    assert level(q, "credit_T") == pytest.approx(0.019801326693244698867, rel=1e-9)


@pytest.mark.parametrize(("agents", "load"), [(14.01, 10.0), (0.3, 2.0), (2.5, 30.0), (99.5, 100.0), (50.5, 200.0)])
def test_fractional_agents_continue_the_loss_integral(agents: float, load: float) -> None:
    """1/B = a ∫ e^-at (1+t)^n dt, integrated plainly."""
    inverse = integrate.quad(lambda t: load * np.exp(-load * t + agents * np.log1p(t)), 0, np.inf, epsabs=0, limit=500)[
        0
    ]
    assert erlang_b(load, 1, agents).p_block == pytest.approx(1 / inverse, rel=1e-8)


# Laws

loads = st.floats(0.05, 300.0)
crews = st.integers(1, 320)
patiences = st.floats(0.01, 50.0)
thresholds = st.floats(0.0, 5.0)


@given(loads, crews, patiences, thresholds)
@settings(max_examples=80, deadline=None)
def test_laws_of_erlang_a(load: float, n: int, patience: float, within: float) -> None:
    q = erlang_a(load, 1.0, n, patience=patience, within=within)
    assert q.p_abandon == pytest.approx(q.mean_wait / patience, rel=1e-8, abs=1e-300)
    assert q.mean_queue == pytest.approx(load * q.mean_wait, rel=1e-12)
    assert q.occupancy == pytest.approx(load * (1 - q.p_abandon) / n, rel=1e-9)
    rules = q.service_level
    assert rules is not None
    slack = 1 + 1e-12
    assert rules["offered"] <= rules["excl_T"] * slack
    assert rules["excl_T"] <= min(rules["credit_T"], rules["answered"]) * slack
    assert rules["offered"] <= rules["virtual"] * slack <= rules["credit_T"] * slack**2
    assert all(-1e-15 <= share <= slack for share in rules.values())
    more = erlang_a(load, 1.0, n + 1, patience=patience, within=within)
    busier = erlang_a(load * 1.05, 1.0, n, patience=patience, within=within)
    for rule in ("offered", "excl_T", "credit_T", "answered", "virtual"):
        assert level(more, rule) >= level(q, rule) * (1 - 1e-11)
        assert level(busier, rule) <= level(q, rule) * (1 + 1e-11)


@given(loads, crews, patiences, thresholds)
@settings(max_examples=40, deadline=None)
def test_the_same_queue_by_three_ways(load: float, n: int, patience: float, within: float) -> None:
    """Integrals over the wait, a distribution given as any other, and balance equations with a room never full."""
    a = erlang_a(load, 1.0, n, patience=patience, within=within)
    g = mmng(load, 1.0, n, patience=gamma(shape=1.0, scale=patience), within=within)
    room = (
        n
        + 60
        + int(
            12 * (load + 10) * min(patience, 1) + 40 * max(0.0, load - n) * patience + 15 * math.sqrt(load * patience)
        )
    )
    assume(room < 60_000)
    k = mmnkm(load, 1.0, n, patience=patience, lines=room, within=within)
    for other in (g, k):
        for name in ("p_wait", "p_abandon", "mean_wait", "mean_queue", "occupancy", "asa"):
            assert getattr(other, name) == pytest.approx(getattr(a, name), rel=1e-8, abs=1e-13), name
        for rule in ("offered", "excl_T", "credit_T", "answered", "virtual"):
            assert level(other, rule) == pytest.approx(level(a, rule), rel=1e-8, abs=1e-13), rule


def test_finite_room_with_patience_far_below_the_threshold() -> None:
    """A threshold of 32 patiences: the share still patient is 1e-14, and must not be taken from 1 by subtraction."""
    k = mmnkm(1.0, 1.0, 1, patience=1 / 16, lines=200, within=2.0)
    assert level(k, "virtual") == pytest.approx(0.9300880071311858, rel=1e-12)  # by quadrature of the wait's density
    idle = mmnkm(0.875, 1.0, 167, patience=1.0, lines=172, within=0.2)
    assert (idle.p_wait, level(idle)) == (0.0, 1.0)


@given(st.floats(0.05, 100.0), st.integers(1, 20), thresholds)
@settings(max_examples=40, deadline=None)
def test_erlang_a_becomes_c_with_endless_patience(load: float, spare: int, within: float) -> None:
    n = math.ceil(load) + spare
    c = erlang_c(load, 1.0, n, within=within)
    a = erlang_a(load, 1.0, n, patience=1e13, within=within)
    assert (a.p_wait, a.mean_wait, level(a)) == pytest.approx((c.p_wait, c.mean_wait, level(c)), rel=1e-8)
    assert erlang_a(load, 1.0, n, patience=np.inf, within=within) == c
    assert level(mmng(load, 1.0, n, patience=infinite(), within=within)) == pytest.approx(level(c), rel=1e-9)


@given(st.floats(0.05, 100.0), st.floats(0.5, 120.0))
@settings(max_examples=40, deadline=None)
def test_fractional_agents_lie_between_their_neighbours(load: float, n: float) -> None:
    low, mid, high = (erlang_a(load, 1.0, m, patience=2.0, within=0.2) for m in (math.floor(n), n, math.ceil(n)))
    assert low.p_abandon * (1 + 1e-9) >= mid.p_abandon >= high.p_abandon * (1 - 1e-9)
    assert level(low) * (1 - 1e-9) <= level(mid) <= level(high) * (1 + 1e-9)


LAWS = {
    "deterministic": deterministic(1.0),
    "uniform": uniform(0.5, 1.5),
    "weibull": weibull(shape=0.5, scale=1.0),
    "gamma": gamma(shape=0.2, scale=3.0),
    "lognormal": lognormal(mean=1.0, cv=3.0),
    "balking": with_zero(0.2, exponential(1.0)),
    "empirical": empirical([0.0, 0.1, 0.4, 0.4, 2.0]),
    "quantiles": empirical(quantiles=[0.0, 0.1, 0.5, 3.0]),
    "piecewise": piecewise_hazard([0.0, 0.1, 0.3], [2.0, 0.0, 0.5]),
    "some endless": mixture([0.4, 0.6], [infinite(), exponential(1.0)]),
    "near a point": gamma(mean=1.0, cv=0.02),
}


@pytest.mark.parametrize("load", [4.0, 12.0, 20.0])
@pytest.mark.parametrize("law", LAWS.values(), ids=LAWS.keys())
def test_mmng_against_plain_quadrature(load: float, law: Any) -> None:
    """π density by plain trapezoids on a fine grid of the published formula (Zeltyn & Mandelbaum, 2005)."""
    n, within = 10, 0.25
    x = np.unique(np.concatenate([np.linspace(0, 30, 150_001), np.geomspace(1e-9, 1, 20_000), law.kinks]))
    mid, width = (x[1:] + x[:-1]) / 2, np.diff(x)
    phi = load * (mid - law.shortfall(mid)) - n * mid
    weights = load * np.exp(phi - phi.max()) * width
    scale = np.exp(-phi.max())
    idle = sum(math.prod((n - 1 - i) / load for i in range(k)) for k in range(n)) * scale
    total = idle + weights.sum()
    q = mmng(load, 1.0, n, patience=law, within=within)
    served = (idle + weights @ law.sf(mid)) / total
    soon = mid <= within
    assert q.p_wait == pytest.approx(weights.sum() / total, rel=1e-5)
    assert q.p_abandon == pytest.approx(weights @ law.cdf(mid) / total, rel=1e-4)
    assert q.mean_wait == pytest.approx(weights @ law.limited_mean(mid) / total, rel=1e-4)
    assert q.asa == pytest.approx(weights @ (mid * law.sf(mid)) / total / served, rel=1e-4)
    assert level(q) == pytest.approx((idle + weights[soon] @ law.sf(mid[soon])) / total, rel=1e-3)
    assert q.occupancy == pytest.approx(load * (1 - q.p_abandon) / n, rel=1e-9)
    assert q.mean_queue == pytest.approx(load * q.mean_wait, rel=1e-12)


@pytest.mark.parametrize("n", [1, 100, 10_000])
@pytest.mark.parametrize("share", [0.01, 0.5, 0.99, 1.0, 1.01, 2.0])
def test_any_size_and_load(n: int, share: float) -> None:
    load = n * share
    b = erlang_b(load, 1.0, n)
    assert 0 <= b.p_block <= 1 and b.carried_load == pytest.approx(load * (1 - b.p_block), rel=1e-9)
    for patience in (1e-4, 1.0, 1e4):
        q = erlang_a(load, 1.0, n, patience=patience, within=0.05)
        assert q.p_abandon == pytest.approx(q.mean_wait / patience, rel=1e-8)
        assert q.carried_load <= n * (1 + 1e-12)
        assert mmnkm(load, 1.0, n, patience=patience, lines=n).p_block == pytest.approx(b.p_block, rel=1e-9)
    if share < 1:
        c = erlang_c(load, 1.0, n)
        assert c.p_wait == pytest.approx(b.p_block / (1 - share * (1 - b.p_block)), rel=1e-9)


# Borders


def test_no_steady_state_is_an_error() -> None:
    with pytest.raises(StabilityError, match=r"15\.913 Erlangs offered to 14\.01 agents"):
        erlang_c(15.913, 1, 14.01)
    for call in (
        lambda: erlang_c(10, 1, 10),
        lambda: erlang_c([1, 20], 1, 10),
        lambda: erlang_c(1, 1, 0),
        lambda: erlang_a(10, 1, 10, patience=np.inf),
        lambda: mmng(10, 1, 3, patience=mixture([0.5, 0.5], [infinite(), exponential(1.0)])),
        lambda: mmnkm(10, 1, 0, patience=None, lines=4),
    ):
        with pytest.raises(StabilityError):
            call()


def test_without_agents_everybody_abandons() -> None:
    for q in (erlang_a(10, 1, 0, patience=2, within=1), mmng(10, 1, 0, patience=exponential(2.0), within=1)):
        assert (q.p_wait, q.p_abandon, q.mean_wait, q.mean_queue, q.carried_load) == (1, 1, 2, 20, 0)
        assert level(q) == 0 and level(q, "credit_T") == pytest.approx(1 - math.exp(-0.5))
        assert math.isnan(q.asa) and math.isnan(q.occupancy)
    k = mmnkm(10, 1, 0, patience=2, lines=5)
    assert k.p_abandon + k.p_block == pytest.approx(1) and math.isnan(k.asa)


def test_without_arrivals_nobody_waits() -> None:
    for q in (
        erlang_c(0, 1, 3, within=0),
        erlang_a(0, 1, 3, patience=1, within=0),
        mmnkm(0, 1, 3, patience=1, lines=5, within=0),
    ):
        assert (q.p_wait, q.mean_queue, q.occupancy, level(q)) == (0, 0, 0, 1)
    assert erlang_b(0, 1, 3).p_block == 0


def test_measures_that_a_model_lacks_are_none() -> None:
    b = erlang_b(5, 1, 5)
    assert (b.p_wait, b.p_abandon, b.mean_wait, b.service_level, b.mean_wait_admitted) == (None,) * 5
    assert erlang_c(5, 1, 6).service_level is None
    assert "p_wait" not in repr(b) and "offered=" in repr(erlang_c(5, 1, 6, within=1))


def test_arrays_broadcast_and_agree_with_scalars() -> None:
    rates, crews_, limits = np.array([1.0, 2.0, 3.0]), np.array([[3], [4]]), np.array([0.0, 0.1, 0.2])
    law = lognormal(mean=1.0, cv=1.0)
    for solve in (
        lambda r, n, t: erlang_c(r / 2, 1, n, within=t),
        lambda r, n, t: erlang_a(r, 1, n, patience=0.5, within=t),
        lambda r, n, t: mmng(r, 1, n, patience=law, within=t),
        lambda r, n, t: mmnkm(r, 1, n, patience=1, lines=n + 3, within=t),
    ):
        many = solve(rates, crews_, limits)
        one = solve(2.0, 4, 0.1)
        assert many.p_wait.shape == (2, 3) and level(many).shape == (2, 3)
        assert many.p_wait[1, 1] == pytest.approx(one.p_wait, rel=1e-13) and isinstance(one.p_wait, float)
        assert level(many)[1, 1] == pytest.approx(level(one), rel=1e-13)
    assert erlang_b(rates, 1, crews_).p_block.shape == (2, 3)


def test_every_bad_argument_is_named() -> None:
    with pytest.raises(ParameterError) as caught:
        erlang_a(-1, 0, "ten", patience=0, within=-5)
    text = str(caught.value)
    assert len(caught.value.problems) == 5
    for name in ("arrival_rate", "handle_time", "agents", "patience", "within"):
        assert f"The {name} parameter of erlang_a() must be" in text
    with pytest.raises(ParameterError, match="erlang_a"):
        mmng(1, 1, 1, patience=5)  # type: ignore[arg-type]
    with pytest.raises(ParameterError, match="whole number of waiting places"):
        mmnkm(1, 1, 5, patience=1, lines=4)
    with pytest.raises(ParameterError, match="broadcast"):
        erlang_b([1, 2], 1, [1, 2, 3])


# Least number of agents


def test_interval_plan() -> None:
    """A day of 24 hours at 80/20, occupancy at most 0.85 and shrinkage 0.3, in positions."""
    calls = [12, 8, 6, 5, 5, 8, 20, 45, 70, 85, 90, 88, 80, 78, 82, 80, 70, 60, 48, 40, 32, 26, 20, 15]
    patient = [5, 3, 3, 3, 3, 3, 5, 8, 12, 13, 13, 13, 12, 12, 12, 12, 12, 10, 9, 8, 6, 6, 5, 5]
    leaving = [3, 3, 3, 3, 3, 3, 5, 8, 10, 12, 13, 13, 12, 12, 12, 12, 10, 9, 8, 8, 6, 6, 5, 5]
    for patience, positions in ((None, patient), (480, leaving)):
        n = least_agents(np.array(calls) / 3600, 240, target=0.8, within=20, patience=patience, max_occupancy=0.85)
        assert np.ceil(n / 0.7).astype(int).tolist() == positions


def test_published_requirements() -> None:
    targets = [(0.8, 20), (0.9, 20), (0.9, 10), (0.8, 60), (0.8, 120)]
    for load, patient, leaving in (
        (50, [57, 59, 60, 55, 53], [52, 56, 58, 46]),
        (200, [210, 214, 217, 206, 204], [195, 203, 210, 169]),
    ):
        assert [least_agents(load / 300, 300, target=t, within=w) for t, w in targets] == patient
        assert [least_agents(load / 300, 300, target=t, within=w, patience=180) for t, w in targets[:4]] == leaving
    assert least_agents(25 / 600, 180, target=0.8, within=20) == 11
    assert least_agents(100 / 30, 3, target=0.8, within=0.33) == 14
    assert least_agents(100 / 30, 3, target=0.8, within=0.33, max_occupancy=0.7) == 15


@given(
    st.floats(0.05, 400.0),
    st.floats(0.01, 0.999),
    st.floats(0.0, 1.0),
    st.one_of(st.none(), st.floats(0.05, 30.0)),
    st.sampled_from(["offered", "excl_T", "credit_T", "answered", "virtual"]),
)
@settings(max_examples=80, deadline=None)
def test_least_is_least(load: float, target: float, within: float, patience: float | None, rule: str) -> None:
    n = least_agents(load, 1.0, target=target, within=within, patience=patience, counting=rule)

    def share(agents: int) -> float:
        try:
            return level(erlang_a(load, 1.0, agents, patience=patience or np.inf, within=within), rule)
        except StabilityError:
            return -1.0

    assert share(n) >= target
    assert n == 0 or not share(n - 1) >= target
    real = least_agents(load, 1.0, target=target, within=within, patience=patience, counting=rule, fractional=True)
    assert max(n - 1, 0) <= real <= n and level(
        erlang_a(load, 1.0, real, patience=patience or np.inf, within=within), rule
    ) >= target * (1 - 1e-9)


def test_other_metrics_and_models() -> None:
    rate, service = 50 / 300, 300
    for metric, target in (("p_abandon", 0.05), ("p_wait", 0.2), ("asa", 5.0)):
        n = least_agents(rate, service, target=target, metric=metric, patience=180)
        here, fewer = (getattr(erlang_a(rate, service, m, patience=180), metric) for m in (n, n - 1))
        assert here <= target < fewer
    law = lognormal(mean=180.0, cv=1.5)
    n = least_agents(rate, service, target=0.8, within=20, patience=law)
    assert (
        level(mmng(rate, service, n, patience=law, within=20))
        >= 0.8
        > level(mmng(rate, service, n - 1, patience=law, within=20))
    )
    n = least_agents(rate, service, target=0.8, within=20, patience=180, lines=60)
    fewer, here = (level(mmnkm(rate, service, m, patience=180, lines=60, within=20)) for m in (n - 1, n))
    assert here >= 0.8 > fewer
    assert least_agents(rate, service, target=0.8, within=20, patience=exponential(180.0)) == 52
    assert least_agents(rate, service, target=0.8, within=20, patience=infinite()) == 57


def test_targets_at_the_border() -> None:
    assert least_agents(10, 1, target=0, within=1) == 11
    assert least_agents(10, 1, target=0, within=1, patience=1) == 0
    assert least_agents(0, 1, target=0.9, within=1) == 0
    assert least_agents(10, 1, target=1 - 1e-12, within=0.1) < 40
    for kwargs, match in (
        ({"target": 1.0, "within": 1}, "ask for 0.999"),
        ({"target": 1.5, "within": 1}, "below 1"),
        ({"target": 0, "metric": "p_wait"}, "above 0"),
        ({"target": 0.8}, "within"),
        ({"target": 0.8, "within": 1, "lines": 5}, "cannot be reached with lines=5"),
        ({"target": 0.8, "within": 1, "counting": "offerd"}, "Did you mean 'offered'"),
        ({"target": 0.8, "within": 1, "counting": "admitted"}, "only with lines"),
        ({"target": 0.1, "metric": "wait"}, "one of service_level"),
        ({"target": 0.8, "within": 1, "max_occupancy": 1.2}, "max_occupancy"),
    ):
        with pytest.raises(ParameterError, match=match):
            least_agents(10, 1, **kwargs)


# Rules of thumb


def test_square_root_rules() -> None:
    assert square_root_staffing(np.array([100.0, 400.0]), 1.0).tolist() == [110.0, 420.0]
    for share in (0.01, 0.2, 0.5, 0.9):
        assert square_root_p_wait(square_root_beta(share)) == pytest.approx(share, rel=1e-9)
        for ratio in (0.1, 1.0, 5.0):
            beta = square_root_beta(share, patience_ratio=ratio)
            assert square_root_p_wait(beta, patience_ratio=ratio) == pytest.approx(share, rel=1e-9)
    # With patience equal to the handle time the number in system is Poisson: P(wait) → Φ(−β).
    assert square_root_p_wait(1.0, patience_ratio=1.0) == pytest.approx(0.15865525393145707)
    load = 1e6
    n = square_root_staffing(load, 0.7)
    assert erlang_c(load, 1.0, n).p_wait == pytest.approx(square_root_p_wait(0.7), rel=2e-3)
    assert erlang_a(load, 1.0, n, patience=2.0).p_wait == pytest.approx(
        square_root_p_wait(0.7, patience_ratio=2.0), rel=2e-3
    )
    with pytest.raises(StabilityError):
        square_root_p_wait(0.0)


@pytest.mark.parametrize(
    ("arguments", "queue"),
    [
        ((0.9, 1, 1, 1, 1), 8.1),
        ((1.8, 1, 1, 1, 2), 7.674),
        ((1.8, 1.25, 1, 1, 2), 1.55),
        ((0.9, 1, 1.5, 1, 1), 13.163),
        ((0.9, 1, 1, 1.5, 1), 13.163),
    ],
)
def test_allen_cunneen(arguments: tuple[float, ...], queue: float) -> None:
    assert allen_cunneen(*arguments) == pytest.approx(queue, rel=1e-3)
    assert allen_cunneen(1, 1.25, 1, 0, 1) == pytest.approx(1.6)
