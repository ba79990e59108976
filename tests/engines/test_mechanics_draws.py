"""The luck of the mechanics: its distribution (false-fail rate 1e-6 a test), its streams, its pools of spare rows."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import integrate, stats
from worlds import ENGINES, World, build, contact, fixed, group, kind

import bposim as bp
from bposim.distributions import distribution
from bposim.engines import build_model, build_source, draw, play
from bposim.engines.chunks import CHUNK
from bposim.engines.compiled.kernels import merge_order, place
from bposim.engines.life import spare_rows
from bposim.engines.state import State, lay_state
from bposim.simulate import contact_log
from bposim.testing import assert_same_records, coarsen, random_scenario

ONCE = 1e-6
Z = 5.0  # two-sided 6e-7


def uniform(values):
    """Fail if values in [0, 1] are not uniform."""
    assert stats.kstest(values, "uniform").pvalue > ONCE


def moments(values, mean, variance):
    """Fail unless mean and variance lie within five standard errors."""
    n, centred = len(values), values - np.mean(values)
    assert abs(np.mean(values) - mean) < Z * np.sqrt(variance / n), f"mean {np.mean(values)} against {mean}"
    se = np.sqrt(max((centred**4).mean() - np.var(values) ** 2, 0) / n)
    assert abs(np.var(values) - variance) < Z * se, f"variance {np.var(values)} against {variance}"


# Arrivals --------------------------------------------------------------------------------------------------------------


def placed(place_them=place, n=20_000, rate=6.0, length=10_000_000):
    """Positions in (0, 1) of all contacts, and of the first one of each interval with its number of contacts."""
    rng = np.random.default_rng(3)
    count = rng.poisson(rate, n)
    start = np.arange(n, dtype=np.int64) * length
    at, interval = (np.empty(count.sum(), dtype=np.int64) for _ in range(2))
    place_them(rng.standard_exponential(len(at) + n), count, start, np.full(n, length), at, interval)
    assert np.array_equal(interval, np.repeat(np.arange(n), count))
    assert np.array_equal(at // length, interval)
    assert (np.diff(at) >= 0).all()
    u = (at - start[interval] + 0.5) / length
    first = np.flatnonzero(np.diff(interval, prepend=-1))
    return count, u, u[first], count[count > 0]


def test_instants_are_uniform_and_their_counts_poisson():
    count, u, first, c = placed()
    moments(count, 6, 6)
    uniform(u)
    uniform(1 - (1 - first) ** c)  # the first of c uniforms is Beta(1, c)


def stratified(gaps, count, start, length, at, interval):
    """Wrong: spread evenly, one in each c-th of the interval."""
    place(gaps, count, start, length, at, interval)
    first = np.concatenate([np.arange(c) for c in count])
    u = stats.expon.cdf(gaps[: len(at)])
    at[:] = start[interval] + ((first + u) / count[interval] * length[interval]).astype(np.int64)


def without_the_last_gap(gaps, count, start, length, at, interval):
    """Wrong: partial sums over the sum of as many gaps as contacts, so that the last one stands at the end."""
    place(gaps, count, start, length, at, interval)
    end = np.maximum.reduceat(at, np.append(0, np.cumsum(count[count > 0]))[:-1]).repeat(count[count > 0])
    at[:] = start[interval] + ((at - start[interval]) / (end - start[interval]) * (length[interval] - 1)).astype(
        np.int64
    )


@pytest.mark.parametrize("wrong", [stratified, without_the_last_gap])
def test_a_wrong_sampler_is_caught(wrong):
    _, u, first, c = placed(wrong)
    with pytest.raises(AssertionError):
        uniform(1 - (1 - first) ** c)
    if wrong is without_the_last_gap:
        with pytest.raises(AssertionError):
            uniform(u)


def test_counts_of_the_draws_are_poisson():
    scenario = build({"a": kind() | {"arrivals": {"rate": "180/h"}}}, {"g": group("a")}, minutes=60, days=60)
    grid = scenario.grid
    draws = draw(build_source(scenario), 4, 0)
    count = np.histogram(draws.arrival_ms, bins=np.append(grid.start_ms, grid.end_ms[-1]))[0]
    moments(count, 3, 3)
    uniform(((draws.arrival_ms % 60_000) + 0.5) / 60_000)


@pytest.mark.parametrize("k", [1, 2, 3, 5, 8, 13])
def test_merging_is_a_stable_sort(k):
    rng = np.random.default_rng(k)
    for _ in range(200):
        sizes = rng.integers(0, 12, k)
        sizes[rng.integers(k)] = 0 if k > 1 else 7
        at = np.concatenate([np.sort(rng.integers(0, 9, n)) for n in sizes]).astype(np.int64)
        order = np.empty(len(at), dtype=np.int64)
        if len(at):
            merge_order(at, np.append(0, np.cumsum(sizes)), order)
        assert np.array_equal(order, np.argsort(at, kind="stable"))


# Spare rows and replications -------------------------------------------------------------------------------------------


def lively(**extra):
    """Much becomes of contacts here: more than one chunk of each pool is needed."""
    expo = {"exponential": {"mean": "2min"}}
    types = {
        "a": {"arrivals": {"rate": "90/h"}, "handle_time": [expo, {"lognormal": {"mean": "1min", "cv": 1}}] * 12,
              "patience": {"exponential": {"mean": "30s"}}, "handle_day_factor": {"gamma": {"cv": 0.3}},
              "after_contact_work": {"exponential": {"mean": "20s"}},
              "redial": {"after_abandonment": 0.8, "after_blocking": 0.5, "delay": expo},
              "callback": {"expected_wait": "2min", "acceptance": 0.3, "to": "c"}},
        "b": {"arrivals": {"rate": "30/h"}, "handle_time": expo, "transfers": [{"to": "a", "probability": 0.5}],
              "balking": [{"queue": 1, "probability": 0.4}]},
        "c": {"arrivals": {"rate": "1/h"}, "handle_time": expo},
    }  # fmt: skip
    groups = {"g": {"skills": ["a", "b", "c"], "heads": 3, "absence": 0.1, "adherence": 0.9}}
    spec = {"interval": "1h", "opening_hours": {"daily": "00:00-24:00"}, "contact_types": types, "agent_groups": groups,
            "routing": {"agent_choice": "random"}}  # fmt: skip
    return bp.load_scenario(spec | extra)


def test_a_longer_pool_begins_like_a_shorter_one():
    short, long = build_source(lively()), build_source(lively())
    short.chunks[:], long.chunks[:] = 1, 4
    assert len(short.pools) == 25  # a by hour of the day, c at any time
    few, ends = spare_rows(short, 1, 0)
    many, far = spare_rows(long, 1, 0)
    assert (np.diff(ends) == CHUNK).all()
    assert (np.diff(far) == 8 * CHUNK).all(), "64, 64, 128, 256"
    for name, values in few.items():
        for p in range(len(short.pools)):
            mine = values[ends[p] : ends[p + 1]]
            assert np.array_equal(mine, many[name][far[p] : far[p] + CHUNK]), name
    handle = many["handle_ms"].reshape(-1, CHUNK)
    assert len(np.unique(handle, axis=0)) == len(handle), "no chunk repeats another"


@pytest.mark.parametrize("engine", ENGINES)
def test_an_exhausted_pool_is_played_again_and_chunks_do_not_matter(engine):
    scenario = lively()
    model, small, ample = build_model(scenario), build_source(scenario), build_source(scenario)
    small.chunks[:], ample.chunks[:] = 1, 6
    first = play(model, draw(small, 6, 0), engine)
    assert small.chunks.max() > 1, "the world must need more than one chunk, or this test shows nothing"
    assert (ample.chunks == 6).all()
    assert_same_records(first, play(model, draw(ample, 6, 0), engine))
    assert (ample.chunks == 6).all()
    assert (first.origin == 1).sum() > 100 and (first.origin == 2).any() and (first.origin == 3).any()


def test_both_engines_replay_alike():
    scenario = lively()
    model = build_model(scenario)
    one, other = (play(model, draw(build_source(scenario), 6, 1), engine) for engine in ENGINES)
    assert_same_records(one, other)


def test_a_replication_alone_is_the_same_among_many():
    scenario = lively()
    runs = bp.simulate(scenario, replications=6, seed=8)
    for k in (5, 2):
        draws = draw(build_source(scenario), 8, k)
        alone = contact_log(scenario, draws, play(build_model(scenario), draws), k)
        pd.testing.assert_frame_equal(runs.contacts(k).reset_index(drop=True), alone.reset_index(drop=True))
    assert not runs.contacts(5)["arrived"].equals(runs.contacts(2)["arrived"])


def test_a_new_mechanic_moves_no_other_stream():
    plain = build(
        {"a": kind() | {"arrivals": {"rate": "600/h"}, "handle_time": {"exponential": {"mean": "1min"}}}},
        {"g": group("a")},
    )
    more = plain.replace({"contact_types.a.redial": {"after_abandonment": 0.5, "delay": fixed(5)},
                          "contact_types.a.after_contact_work": fixed(9), "contact_types.a.balking": [{"queue": 1, "probability": 0.2}]})  # fmt: skip
    a, b = (draw(build_source(s), 3, 0) for s in (plain, more))
    for name in ("arrival_ms", "handle_ms", "patience_ms"):
        assert np.array_equal(getattr(a, name), getattr(b, name)[: b.n_first]), name


# Handle times and what contacts do -------------------------------------------------------------------------------------


def test_handle_day_factor_multiplies_talk_and_after_contact_work():
    body = kind(100, after_contact_work=fixed(10), handle_day_factor={"gamma": {"cv": 0.2}}) | {
        "arrivals": {"rate": "30/h"}
    }
    source = build_source(build({"a": body, "b": kind(100)}, {"g": group("a", "b")}, minutes=120, days=2000))
    draws, drift = draw(source, 5, 0), source.drift(5, 0)
    day = draws.arrival_ms // 86_400_000
    mine = draws.kind == 0
    assert np.array_equal(draws.handle_ms[mine], np.floor(100_000 * drift[0][day[mine]] + 0.5))
    assert np.array_equal(draws.after_ms[mine], np.floor(10_000 * drift[0][day[mine]] + 0.5))
    assert (draws.handle_ms[~mine] == 100_000).all()
    moments(drift[0], 1, 0.04)


@pytest.mark.parametrize("engine", ENGINES)
def test_handle_day_factor_holds_for_what_a_contact_becomes(engine):
    types = {
        "a": kind(transfers=[{"to": "b", "probability": 1}]),
        "b": kind(100, handle_day_factor={"gamma": {"cv": 0.2}}),
    }
    world = build(types, {"x": group("a"), "y": group("b")}, days=2)
    w = World(world, [contact(0), contact(86400)], engine)
    drift = build_source(world).drift(1, 0)[1]
    took = [round(w.ended[i] - w.answered[i], 3) for i in (2, 3)]
    assert took == [np.floor(100_000 * f + 0.5) / 1000 for f in drift[:2]]
    assert took[0] != took[1]


def test_shares_of_what_contacts_do():
    """Tolerance of the queue, and the uniforms that decide, each against its share."""
    types = {"a": {"arrivals": {"rate": "9000/h"}, "handle_time": fixed(1), "redial": {"after_abandonment": 0.3, "delay": fixed(5)},
                   "balking": [{"queue": 2, "probability": 0.1}, {"queue": 5, "probability": 0.45}]}}  # fmt: skip
    draws = draw(build_source(build(types, {"g": group("a")}, minutes=600, routing={"agent_choice": "random"})), 2, 0)
    first = slice(0, draws.n_first)
    n = draws.n_first
    assert n > 80_000
    for queue, p in ((2, 0.1), (5, 0.35), (1 << 40, 0.55)):
        assert stats.binomtest(int((draws.balk_at[first] == queue).sum()), n, p).pvalue > ONCE
    for column in ("redial_u", "pick"):
        uniform((getattr(draws, column)[first] + 0.5) / 2**32)


# Staffing --------------------------------------------------------------------------------------------------------------


def there(body, days=3000, seed=7, **extra):
    """Agents present each day, of a centre that is open for one interval a day."""
    scenario = build({"a": kind()}, {"g": body}, minutes=60, interval="1h", days=days, **extra)
    draws = draw(build_source(scenario), seed, 0)
    number = np.zeros(days, dtype=np.int64)
    assert not draws.leave.any()
    number[draws.change_ms // 86_400_000] = draws.join
    return number


def test_absence_is_binomial():
    moments(there(group("a", heads=20, absence=0.2)), 16, 20 * 0.2 * 0.8)


def test_absence_together_is_beta_binomial():
    n, p, rho = 20, 0.2, 0.3
    number = there(group("a", heads=n, absence=p, absence_correlation=rho))
    moments(number, n * (1 - p), n * p * (1 - p) * (1 + (n - 1) * rho))
    with pytest.raises(AssertionError):
        moments(number, n * (1 - p), n * p * (1 - p))


def test_absence_holds_all_day_and_for_named_agents():
    body = group("a", heads=[20] * 12, absence=0.3)
    scenario = build({"a": kind()}, {"g": body}, minutes=12, days=200)
    draws = draw(build_source(scenario), 1, 0)
    assert (draws.change_ms % 86_400_000 == 0).all(), "nobody comes or goes within a day"
    agents = {f"n{k}": {"schedule": {"start": "00:00", "end": "01:00"}} for k in range(10)}
    scenario = build({"a": kind()}, {"g": {"skills": ["a"], "agents": agents, "absence": 0.2}}, minutes=60, days=700)
    draws = draw(build_source(scenario), 7, 0)
    moments(np.bincount(draws.change_ms // 86_400_000, weights=draws.join, minlength=700), 8, 10 * 0.2 * 0.8)


def test_adherence_is_binomial():
    moments(there(group("a", heads=10, adherence=0.85)), 8.5, 10 * 0.85 * 0.15)


def test_absence_and_adherence_together():
    number = there(group("a", heads=20, absence=0.2, adherence=0.9))
    moments(number, 20 * 0.72, 20 * 0.72 * 0.28)


def test_day_factor_of_the_heads():
    """floor(10 f + u) has the mean of 10 f, and its variance and that of the rounding, E[{x}(1 − {x})]."""
    gamma = stats.gamma(25, scale=1 / 25)
    rounding = sum(
        integrate.quad(lambda x, k=k: (x - k) * (k + 1 - x) * gamma.pdf(x / 10) / 10, k, k + 1)[0] for k in range(40)
    )
    body = group("a", heads=10, day_factor={"gamma": {"cv": 0.2}})
    moments(there(body), 10, 100 * 0.04 + rounding)
    plan = build({"a": kind()}, {"g": body}, minutes=60, interval="1h", days=50)
    plan = plan.with_staffing({"g": 10.0})
    assert (draw(build_source(plan), 7, 0).join == 10).all(), "a plan says who is scheduled"


def test_random_outages_take_their_share_of_the_time():
    """Gaps of 3 h on average between outages of 30 min: 30/210 of the time half of the agents is away."""
    site = {"outages": [{"every": {"exponential": {"mean": "3h"}}, "length": "30min", "share": 0.5}]}
    scenario = build({"a": kind()}, {"g": group("a", heads=4, site="n")}, sites={"n": site}, days=800, interval="1h",
                     opening_hours={"daily": "00:00-24:00"})  # fmt: skip
    draws = draw(build_source(scenario), 3, 0)
    step = draws.join - draws.leave
    assert set(step[1:]) == {-2, 2}
    begin, end = draws.change_ms[1::2], draws.change_ms[2::2]
    assert (end - begin[: len(end)] == 1_800_000).all()
    gaps = (begin[1:] - end[: len(begin) - 1]) / 1000
    assert stats.kstest(gaps, stats.expon(scale=10_800).cdf).pvalue > ONCE


# A given state ---------------------------------------------------------------------------------------------------------


def started(types, **state):
    scenario = build(types, {"g": group("a", heads=5000)}, interval="30min")
    source = build_source(scenario)
    start = lay_state(State("2026-01-05 00:10", **state), scenario)
    return dataclasses.replace(draw(source, 9, 0, start=start), again=None)


@pytest.mark.parametrize("law", [{"exponential": {"mean": "100s"}}, fixed(100), {"uniform": {"low": "50s", "high": "90s"}}],
                         ids=["exponential", "deterministic", "uniform"])  # fmt: skip
def test_the_rest_of_a_service_met_at_a_random_moment(law):
    """Its distribution function is ∫ (1 − F) ÷ mean (Cox 1962)."""
    draws = started({"a": {**kind(), "handle_time": law}}, serving={"g": {"a": 3000}})
    rest = draws.handle_ms[draws.in_service >= 0] / 1000
    d = distribution(law)
    grid = np.linspace(0, 1500, 60_001)
    cdf = np.append(0, integrate.cumulative_trapezoid(d.sf(grid), grid)) / d.mean
    assert len(rest) == 3000
    assert stats.kstest(rest, lambda x: np.interp(x, grid, cdf)).pvalue > ONCE
    with pytest.raises(AssertionError):
        uniform(np.interp(rest * 1.2, grid, cdf))


def test_patience_and_service_exceed_what_has_passed():
    law = {"lognormal": {"mean": "60s", "cv": 1.2}}
    types = {"a": {**kind(), "handle_time": law, "patience": law}}
    draws = started(types, serving={"g": {"a": ["45s"] * 3000}}, waiting={"a": ["80s"] * 3000})
    d = distribution(law)
    served, waits = draws.in_service >= 0, np.flatnonzero(draws.in_service < 0)
    whole = draws.handle_ms[: len(served)][served] / 1000 + 45
    patience = draws.patience_ms[waits] / 1000
    assert whole.min() > 45
    assert patience.min() >= 80
    uniform((d.cdf(whole) - d.cdf(45)) / d.sf(45))
    uniform((d.cdf(patience) - d.cdf(80)) / d.sf(80))


def random_state(scenario, rng):
    """A moment inside open hours; those who wait, and contacts in service of groups counted by heads."""
    grid = scenario.grid
    moment = grid.starts[int(rng.integers(len(grid)))] + pd.Timedelta(minutes=int(rng.integers(0, 30)))

    def spans(n):
        return [f"{s}s" for s in rng.integers(1, 200, n)]

    return State(
        moment,
        waiting={t: spans(rng.integers(0, 4)) for t in scenario.contact_types},
        serving={
            g: {t: spans(rng.integers(0, 3)) for t in body.skills}
            for g, body in scenario.agent_groups.items()
            if not body.agents and body.concurrency is None
        },
    )


@pytest.mark.parametrize("named", [False, True], ids=["by number", "by name"])
def test_engines_agree_from_a_given_state(named):
    played = 0
    for seed in range(100):
        rng = np.random.default_rng(seed)
        scenario = random_scenario(rng)
        if named != any(body.agents for body in scenario.agent_groups.values()):
            continue
        start = lay_state(random_state(scenario, rng), scenario)
        draws = draw(build_source(scenario), seed, 0, start=start)
        draws = coarsen(draws, 30_000) if seed % 2 else draws
        model = build_model(scenario)
        reference, fast = (play(model, draws, engine) for engine in ENGINES)
        assert_same_records(reference, fast)
        assert (reference.presence_ms >= start.at_ms).all(), f"seed {seed}: somebody came before the run began"
        answered = reference.answered_ms >= 0
        assert (reference.answered_ms >= reference.arrived_ms)[answered].all()
        played += 1
    assert played > 10
