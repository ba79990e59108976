"""Mechanics against queues whose steady state is known exactly.

Replications are independent, so each measure has a standard error; it agrees when the difference is within three of them.
Seeds were fixed beforehand: of some fifty comparisons a correct engine fails one with probability 0.13, once, for these
seeds. Every comparison also asserts that its standard error is small enough for a stated wrong answer to be seen.
"""

import numpy as np
import pytest
from scipy.linalg import null_space

import bposim as bp
from bposim import erlang
from bposim.engines import build_model, build_source, draw, play
from bposim.engines.records import ABANDONED, ANSWERED, BLOCKED

MIN = 60_000
WARM = 6 * 60 * MIN


class Runs:
    """Replications of a centre that never closes, without their first six hours and their last two."""

    def __init__(self, spec, replications, seed, engine="fast", days=4):
        base = {"opening_hours": {"daily": "00:00-24:00"}, "interval": "1h", "days": days}
        scenario = bp.load_scenario(base | spec)
        model, source = build_model(scenario), build_source(scenario)
        self.heads = sum(float(g.heads[0][0]) for g in scenario.agent_groups.values())
        self.end = days * 1440 * MIN - 120 * MIN
        self.minutes = (self.end - WARM) / MIN
        self.records = [play(model, draw(source, seed, k), engine) for k in range(replications)]

    def agrees(self, measure, exact, *, tells):
        """``measure`` gives a value for each replication's records; ``tells`` is a wrong value that would be seen."""
        values = np.array([measure(r, (r.arrived_ms >= WARM) & (r.arrived_ms < self.end)) for r in self.records])
        mean, se = values.mean(), values.std(ddof=1) / np.sqrt(len(values))
        assert abs(mean - exact) <= 3 * se, f"{mean:.6g} ± {se:.2g} against {exact:.6g}"
        assert abs(mean - tells) > 3 * se, f"{mean:.6g} ± {se:.2g} does not tell {exact:.6g} from {tells:.6g}"

    def rate(self, r, use):
        return use.sum() / self.minutes

    def parallel(self, r, use):
        """Mean number of contacts in service."""
        served = r.answered_ms >= 0
        begin, end = (np.clip(c[served], WARM, self.end) for c in (r.answered_ms, r.released_ms))
        return (end - begin).sum() / (self.end - WARM)

    def occupancy(self, r, use):
        return self.parallel(r, use) / self.heads


def share(outcome):
    return lambda r, use: (r.outcome[use] == outcome).mean()


def waited(r, use):
    return np.where(r.answered_ms >= 0, r.answered_ms, r.ended_ms)[use] - r.arrived_ms[use]


def p_wait(r, use):
    return (waited(r, use) > 0).mean()


def mean_wait(r, use):
    return waited(r, use).mean() / MIN


def of_type(k, measure):
    return lambda r, use: measure(r, use & (r.kind == k))


def exponential(minutes):
    return {"exponential": {"mean": f"{minutes * 60:.9g}s"}}


def line(rate, handle, heads, **extra):
    """One type and one group; minutes."""
    top = {k: extra.pop(k) for k in ("trunks", "queue_limit") if k in extra}
    many = {k: extra.pop(k) for k in ("concurrency",) if k in extra}
    kind = {"arrivals": {"rate": f"{rate}/min"}, "handle_time": exponential(handle)} | extra
    return {"contact_types": {"a": kind}, "agent_groups": {"g": {"skills": ["a"], "heads": heads} | many}} | top


# Redials ---------------------------------------------------------------------------------------------------------------


def retrials(probability, engine, replications, days=4):
    redial = {"after_abandonment": probability, "delay": exponential(5), "at_most": 100}
    return Runs(line(4.2, 2, 9, patience=exponential(1), redial=redial), replications, 21, engine, days)


def lost(r, use):
    """Share of clients, by their first attempt, of whom no attempt was answered."""
    served = np.zeros(int(r.client.max()) + 1, dtype=bool)
    served[r.client[r.outcome == ANSWERED]] = True
    return 1 - served[r.client[use & (r.attempt == 1)]].mean()


def test_retrials():
    runs = retrials(0.6, "fast", 60)
    runs.agrees(runs.rate, 4.709428, tells=4.709428 * 1.01)
    runs.agrees(share(ABANDONED), 0.180287, tells=0.180287 * 1.02)
    runs.agrees(lambda r, use: (r.attempt[use] > 1).mean(), 0.108172, tells=0.108172 * 1.02)
    runs.agrees(lost, 0.080862, tells=0.080862 * 1.04)
    runs.agrees(runs.occupancy, 0.857862, tells=0.857862 * 1.01)

    def orbit(r, use):
        """Clients between two attempts, by Little's law: rate of redials × 5 minutes."""
        return runs.rate(r, use & (r.attempt > 1)) * 5

    runs.agrees(orbit, 2.547141, tells=2.547141 * 1.04)


def test_retrials_in_the_reference_engine():
    runs = retrials(0.6, "reference", 8, days=1)
    runs.agrees(runs.rate, 4.709428, tells=4.2)
    runs.agrees(share(ABANDONED), 0.180287, tells=0.126107)
    runs.agrees(runs.occupancy, 0.857862, tells=0.815633)


def test_nobody_tries_again():
    runs = retrials(0, "fast", 60)
    runs.agrees(share(ABANDONED), 0.126107, tells=0.126107 * 1.02)
    runs.agrees(runs.occupancy, 0.815633, tells=0.815633 * 1.01)
    runs.agrees(runs.rate, 4.2, tells=4.2 * 1.01)


# Chats -----------------------------------------------------------------------------------------------------------------

ENGINE_RUNS = [("fast", 60, 40), ("reference", 24, 5)]


def chats(handle, pace, engine, replications, days):
    many = {"contacts": 3, "pace": pace}
    return Runs(line(0.25, handle, 1, channel="chat", concurrency=many), replications, 31, engine, days)


@pytest.mark.parametrize(("engine", "replications", "days"), ENGINE_RUNS)
def test_three_chats_that_slow_each_other_down(engine, replications, days):
    """One agent; a chat lasts 5, 7, 9 minutes on average with 1, 2, 3 in hand."""
    runs = chats(5, [1, 5 / 7, 5 / 9], engine, replications, days)
    runs.agrees(p_wait, 0.495283, tells=0.236842)
    runs.agrees(mean_wait, 5.943396, tells=0.947368)
    runs.agrees(lambda r, use: waited(r, use).sum() / MIN / runs.minutes, 1.485849, tells=1.0)
    runs.agrees(runs.parallel, 2.004717, tells=1.8)
    runs.agrees(lambda r, use: (r.ended_ms - r.answered_ms)[use].mean() / MIN, 8.018868, tells=7.5)

    def engaged(r, use):
        """Share of time with any chat in hand: 2.004717 of all are 2.361111 of the busy time."""
        spans = np.clip(np.stack([r.engaged_from_ms, r.engaged_to_ms]), WARM, runs.end)
        return (spans[1] - spans[0]).sum() / (runs.end - WARM)

    runs.agrees(engaged, 2.004717 / 2.361111, tells=0.8)


@pytest.mark.parametrize(("engine", "replications", "days"), ENGINE_RUNS)
def test_three_chats_at_a_constant_pace_are_three_agents(engine, replications, days):
    runs = chats(6, [1, 1, 1], engine, replications, days)
    runs.agrees(p_wait, 0.236842, tells=0.495283)
    runs.agrees(mean_wait, 0.947368, tells=1.3)
    runs.agrees(runs.parallel, 1.5, tells=1.65)


# Places ----------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "law", [exponential(2), {"lognormal": {"mean": "2min", "cv": 1.5}}], ids=["exponential", "lognormal"]
)
def test_lines_by_erlang_b(law):
    """More agents than lines; the handle time enters by its mean only."""
    spec = line(3, 2, 9, trunks=7)
    spec["contact_types"]["a"]["handle_time"] = law
    runs = Runs(spec, 40, 41)
    exact = erlang.erlang_b(3, 2, 7)
    runs.agrees(share(BLOCKED), exact.p_block, tells=exact.p_block * 1.03)
    runs.agrees(runs.parallel, exact.carried_load, tells=exact.carried_load * 1.01)


def test_lines_are_free_during_after_contact_work():
    """Talk 2 min holds a line, 1 min after it does not: Erlang B of the talk where agents are never short."""
    runs = Runs(line(3, 2, 40, trunks=7, after_contact_work=exponential(1)), 40, 42)
    exact, wrong = erlang.erlang_b(3, 2, 7), erlang.erlang_b(3, 3, 7)
    runs.agrees(share(BLOCKED), exact.p_block, tells=wrong.p_block)
    runs.agrees(runs.parallel, exact.carried_load * 1.5, tells=exact.carried_load)


def test_queue_limit_with_abandonment():
    runs = Runs(line(4.2, 2, 8, patience=exponential(1.5), queue_limit=3), 60, 43)
    exact = erlang.mmnkm(4.2, 2, 8, patience=1.5, lines=11, within=0.5)
    runs.agrees(share(BLOCKED), exact.p_block, tells=exact.p_block * 1.03)
    runs.agrees(share(ABANDONED), exact.p_abandon, tells=exact.p_abandon * 1.03)
    runs.agrees(runs.occupancy, exact.occupancy, tells=exact.occupancy * 1.01)
    runs.agrees(mean_wait, exact.mean_wait, tells=exact.mean_wait * 1.03)

    def good(r, use):
        return ((r.outcome[use] == ANSWERED) & (waited(r, use) <= MIN // 2)).mean()

    level = exact.service_level["offered"]
    runs.agrees(good, level, tells=level * 1.01)


def test_balking_by_the_length_of_the_queue():
    """Birth and death with arrivals thinned by the queue found: generator solved for its null space."""
    rate, n, top = 5.0, 4, 80
    steps = [(1, 0.2), (3, 0.5), (6, 0.9)]
    balk = np.array([max((p for q, p in steps if j - n >= q), default=0.0) for j in range(top)])
    up, down = rate * (1 - balk[:-1]), np.minimum(np.arange(1, top), n) * 1.0
    q = np.diag(up, 1) + np.diag(down, -1)
    q -= np.diag(q.sum(axis=1))
    p = null_space(q.T)[:, 0]
    p /= p.sum()
    listed = [{"queue": q, "probability": p} for q, p in steps]
    runs = Runs(line(5, 1, n, balking=listed), 60, 44)
    share_balking = float(p @ balk)
    queue = float(p @ np.maximum(np.arange(top) - n, 0))
    runs.agrees(share(ABANDONED), share_balking, tells=share_balking * 1.02)
    runs.agrees(runs.parallel, float(p @ np.minimum(np.arange(top), n)), tells=n * 0.95)
    runs.agrees(lambda r, use: waited(r, use).sum() / MIN / runs.minutes, queue, tells=queue * 1.02)


# Priorities, credits, transfers ----------------------------------------------------------------------------------------

FIFO, FIRST, SECOND = 0.5541126, 0.1583179, 0.7915894


def two_types(**changes):
    types = {
        name: {"arrivals": {"rate": f"{rate}/min"}, "handle_time": exponential(1), "priority": 1}
        | changes.get(name, {})
        for name, rate in (("a", 1.5), ("b", 2.5))
    }
    return {"contact_types": types, "agent_groups": {"g": {"skills": ["a", "b"], "heads": 5}}}


def pooled(runs):
    runs.agrees(mean_wait, FIFO, tells=FIFO * 1.06)  # whoever goes first: conservation


@pytest.mark.parametrize("ahead", ["priority", "a credit of a week"])
def test_priority(ahead):
    change = {"b": {"priority": 2}} if ahead == "priority" else {"a": {"credit": "168h"}}
    runs = Runs(two_types(**change), 60, 51)
    runs.agrees(of_type(0, mean_wait), FIRST, tells=FIRST * 1.03)
    runs.agrees(of_type(1, mean_wait), SECOND, tells=SECOND * 1.06)
    pooled(runs)


def test_a_small_credit_lies_between():
    runs = Runs(two_types(a={"credit": "30s"}), 60, 52)
    waits = [np.mean([mean_wait(r, (r.arrived_ms >= WARM) & (r.kind == k)) for r in runs.records]) for k in (0, 1)]
    assert FIRST * 1.3 < waits[0] < FIFO * 0.9
    assert FIFO * 1.05 < waits[1] < SECOND * 0.95
    pooled(runs)
    level = Runs(two_types(), 60, 53)
    level.agrees(of_type(0, mean_wait), FIFO, tells=FIFO * 1.06)
    level.agrees(of_type(1, mean_wait), FIFO, tells=FIFO * 1.06)


def test_transfers_are_a_tandem_of_queues():
    """What leaves M/M/n is Poisson (Burke 1956), so the second queue is M/M/m with the sum of the rates."""
    moved = {"transfers": [{"to": "b", "probability": 0.4}]}
    types = {
        "a": {"arrivals": {"rate": "3/min"}, "handle_time": exponential(1)} | moved,
        "b": {"arrivals": {"rate": "0.6/min"}, "handle_time": exponential(1.5)},
    }
    groups = {"x": {"skills": ["a"], "heads": 4}, "y": {"skills": ["b"], "heads": 4}}
    runs = Runs({"contact_types": types, "agent_groups": groups}, 60, 54)
    first, second = erlang.erlang_c(3, 1, 4), erlang.erlang_c(0.6 + 1.2, 1.5, 4)
    runs.agrees(lambda r, use: runs.rate(r, use & (r.kind == 1)), 1.8, tells=1.8 * 1.02)
    runs.agrees(of_type(0, mean_wait), first.mean_wait, tells=first.mean_wait * 1.06)
    runs.agrees(of_type(1, mean_wait), second.mean_wait, tells=second.mean_wait * 1.06)
    runs.agrees(of_type(1, p_wait), second.p_wait, tells=second.p_wait * 1.05)
