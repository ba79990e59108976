"""The compiled engine plays the steady states of the table of exact values, up to 5,000 agents."""

from __future__ import annotations

import math

import pytest
from test_queues_exact import DATA, patience_of

import bposim as bp

pytestmark = pytest.mark.skipif(not DATA["cases"], reason="the table of exact values is not beside this repository")

LONGEST_DAYS = 700  # of a replication
REPLICATIONS = 8
#: Student's 97.5 % quantile at 7 degrees of freedom, and the errors that are forgiven: as rare at 7 degrees as 3.9 normal
#: ones. Of some 150 comparisons a correct engine fails one with probability 0.015, once, for these seeds.
QUANTILE, MOST_ERRORS = 2.3646, 7.9
CONTACTS = 120_000  # in a replication, at least
MOST = 6_000_000


def world(case):
    """Return the scenario of a case with its warm-up, and its threshold in seconds."""
    p, model = case["params"], case["model"]
    service = 1 / float(p["mu"]) if "mu" in p else float(p.get("mean_service", p.get("aht_s", 0)))
    load = float(p.get("lam", p.get("lam_per_s"))) * service
    service_s = 1000.0 if load > 20 else 20.0  # long enough that whole milliseconds do not show
    unit = service_s / service  # seconds in the case's unit of time
    rate = float(p.get("lam", p.get("lam_per_s"))) / unit
    n = p["n"]
    kind = {
        "arrivals": {"rate": f"{rate * 3600!r}/h"},
        "handle_time": {"exponential": {"mean": f"{service_s}s"}},
    }
    extra = {}
    if model == "A":
        kind["patience"] = {"exponential": {"mean": f"{float(p['mean_patience']) * unit!r}s"}}
    elif model == "G":
        kind["patience"] = patience_of(p["patience"]).scaled(unit).to_spec()
    elif model == "K":
        if float(p["theta"]) > 1e-9:
            kind["patience"] = {"exponential": {"mean": f"{unit / float(p['theta'])!r}s"}}
        extra["trunks"] = p["K"]
    elif model == "B":
        extra["trunks"] = n
    rho = load / n
    relax = service_s if model in "BKAG" or rho >= 1 else service_s / n / (1 - math.sqrt(rho)) ** 2
    warm = 10 * service_s + 10 * relax
    days = math.ceil((warm + max(min(CONTACTS / rate, (LONGEST_DAYS - 1) * 86_400 - warm), 100 * relax)) / 86_400)
    if days > LONGEST_DAYS:
        pytest.skip(f"{days:,} days a replication would be needed to forget the empty start")
    scenario = bp.load_scenario(
        {"days": days, "interval": "1h", "contact_types": {"a": kind},
         "agent_groups": {"g": {"skills": ["a"], "heads": n}}, **extra}
    )  # fmt: skip
    within = p.get("T", p.get("T_s", [None]))[0]
    return (
        scenario,
        math.ceil(warm / 3600),
        rate * 86_400 * days,
        None if within is None else round(within * unit, 3),
        unit,
        service_s,
    )


WANTED = {
    "p_abandon": "abandonment",
    "p_abandon_admitted": "abandonment",
    "mean_wait": "mean_wait",
    "mean_wait_all": "mean_wait",
    "mean_wait_admitted": "mean_wait",
    "occupancy": "occupancy",
    "p_block": "blocking",
    "sl": "service_level",
    "sl_offered": "service_level",
    "sl_ab_as_good": "service_level[credit_T]",
}


@pytest.mark.parametrize("case", DATA["cases"], ids=lambda case: case["id"])
def test_case_played(case):
    scenario, warm_h, contacts, within_s, unit, service_s = world(case)
    if contacts > MOST:
        pytest.skip(f"{contacts:,.0f} contacts a replication would be needed to forget the empty start")
    runs = bp.simulate(scenario, replications=REPLICATIONS, seed=20_26, warm_up=f"{warm_h}h", progress=False)
    played = 0
    for key, text in case["results"].items():
        name = key.rsplit("_", 1)[0] if key.startswith("sl") else key
        if name not in WANTED or (key.startswith("sl") and round(float(key.rsplit("_", 1)[1]) * unit, 3) != within_s):
            continue
        exact = float(text) * (unit if WANTED[name] == "mean_wait" else 1)
        if (
            not 1e-4
            < (exact / service_s if WANTED[name] == "mean_wait" else exact)
            < (math.inf if WANTED[name] == "mean_wait" else 1 - 1e-4)
        ):
            continue  # too rare to be seen in so many contacts
        row = runs.summary(metrics=WANTED[name], within=None if within_s is None else f"{within_s!r}s").iloc[0]
        error = max((row["ci_high"] - row["ci_low"]) / (2 * QUANTILE), 1e-12)
        away = abs(row["value"] - exact) / error
        assert away < MOST_ERRORS, f"{key}: {row['value']:.6g} against {exact:.6g}, {away:.1f} errors"
        played += 1
    assert played >= 1 or all(not 1e-4 < float(v) < 1 - 1e-4 for v in case["results"].values())


def test_a_wrong_value_would_be_seen():
    """A fifth more patience in case A12 is more than the comparison forgives."""
    (case,) = [c for c in DATA["cases"] if c["id"] == "A12"]
    wrong = case | {"params": case["params"] | {"mean_patience": 1.2}}
    with pytest.raises(AssertionError, match="errors"):
        test_case_played(wrong)
