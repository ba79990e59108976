"""Every steady state of the table of exact values: B, C, A, K to 1e-9, G to 1e-6, and the least agents."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from bposim import erlang
from bposim.distributions import Distribution, deterministic, exponential, gamma, lognormal, uniform, weibull, with_zero

TABLE = Path(__file__).parents[2] / "../shared/oracles/queues_exact.json"
pytestmark = pytest.mark.skipif(not TABLE.exists(), reason="the table of exact values is not beside this repository")
DATA = json.loads(TABLE.read_text()) if TABLE.exists() else {"cases": [], "min_agents": []}

ATTRIBUTES = {
    "p_delay": "p_wait",
    "p_wait": "p_wait",
    "p_abandon": "p_abandon",
    "p_abandon_offered": "p_abandon",
    "p_block": "p_block",
    "mean_wait": "mean_wait",
    "mean_wait_all": "mean_wait",
    "mean_queue": "mean_queue",
    "occupancy": "occupancy",
    "carried_load": "carried_load",
    "p_wait_admitted": "p_wait_admitted",
    "mean_wait_admitted": "mean_wait_admitted",
    "p_abandon_admitted": "p_abandon_admitted",
}
LEVELS = {
    "sl": "offered",
    "sl_offered": "offered",
    "sl_answered": "answered",
    "sl_excl_short_ab": "excl_T",
    "sl_ab_as_good": "credit_T",
}


def patience_of(spec: dict[str, Any]) -> Distribution:
    mean = float(spec.get("mean", 0))
    return {
        "det": lambda: deterministic(mean),
        "erlang2": lambda: gamma(shape=2.0, scale=mean / 2),
        "lognormal": lambda: lognormal(mean=mean, cv=float(spec["cv"])),
        "weibull": lambda: weibull(mean=mean, shape=float(spec["shape"])),
        "uniform": lambda: uniform(0.0, 2 * mean),
        "balk_exp": lambda: with_zero(float(spec["p"]), exponential(float(spec["mean_if_stays"]))),
    }[spec["kind"]]()


def solve(model: str, p: dict[str, Any], within: float | None) -> erlang.QueueMeasures:
    if model == "B":
        return erlang.erlang_b(float(p["lam"]), 1 / float(p["mu"]), p["n"])
    if model == "C":
        return erlang.erlang_c(float(p["lam_per_s"]), float(p["aht_s"]), p["n"], within=within)
    if model == "A":
        patience = float(p["mean_patience"])
        return erlang.erlang_a(float(p["lam"]), float(p["mean_service"]), p["n"], patience=patience, within=within)
    if model == "K":
        return erlang.mmnkm(float(p["lam"]), 1 / float(p["mu"]), p["n"], patience=1 / float(p["theta"]), lines=p["K"])
    law = patience_of(p["patience"])
    return erlang.mmng(float(p["lam"]), 1 / float(p["mu"]), p["n"], patience=law, within=within)


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["id"])
def test_case(case: dict[str, Any]) -> None:
    rel = 1e-6 if case["model"] == "G" else 1e-9
    params, compared = case["params"], 0
    for within in params.get("T", params.get("T_s", [None])):
        q = solve(case["model"], params, within)
        for key, text in case["results"].items():
            want, name = float(text), key.removesuffix(f"_{within}")
            # Probabilities below 1e-50 are what is left of a difference at 60 digits; see test_erlang for one at 400.
            close = pytest.approx(want, rel=rel, abs=1e-50)
            if key in ATTRIBUTES:
                assert getattr(q, ATTRIBUTES[key]) == close, key
            elif name != key and name in LEVELS:
                assert q.service_level is not None and q.service_level[LEVELS[name]] == close, key
            elif name != key and name == "p_virtual_wait_gt":
                assert q.service_level is not None and 1 - q.service_level["virtual"] == close, key
            else:
                continue
            compared += 1
    assert compared >= 3


@pytest.mark.parametrize("case", DATA["min_agents"], ids=lambda case: f"{case['calls_per_half_hour']} calls")
def test_least_agents(case: dict[str, Any]) -> None:
    rate, service, target = case["calls_per_half_hour"] / 1800, case["aht_s"], float(case["target"])
    within, patience = case["T_s"], case["mean_patience_s"]
    patient = erlang.least_agents(rate, service, target=target, within=within)
    leaving = erlang.least_agents(rate, service, target=target, within=within, patience=patience)
    assert (patient, leaving) == (case["erlang_c_min_agents"], case["erlang_a_min_agents"])
    c = erlang.erlang_c(rate, service, patient, within=within)
    a = erlang.erlang_a(rate, service, leaving, patience=patience, within=within)
    assert c.service_level["offered"] == pytest.approx(float(case["erlang_c_sl"]), rel=1e-9)
    assert a.service_level["offered"] == pytest.approx(float(case["erlang_a_sl_offered"]), rel=1e-9)
    assert a.p_abandon == pytest.approx(float(case["erlang_a_p_abandon"]), rel=1e-9)
