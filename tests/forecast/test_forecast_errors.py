"""The error of day totals: told from earlier forecasts, with tails, and what bands of weeks then hold."""

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import WEEK
from scipy import optimize, stats

from bposim.forecast import forecast
from bposim.forecast._days import Error
from bposim.forecast._errors import _loss, fit_error, heavier, log_mean, missed
from bposim.forecast._profile import ShapeNoise


def own(**changes):
    flat = ShapeNoise(0.0, 0.0, 1.0, np.zeros(1), 60.0, np.zeros(1))
    return Error(**{"factor": 0.01, "persistence": 0.3, "drift": 1e-4, "shape": flat, "regular": False,
                    "regular_shape": False} | changes)  # fmt: skip


def forecasts(n, rng, *, level, drift, factor, rho, tail=None, days=56, mean=2000.0):
    """Earlier forecasts of constant expectation and what came."""
    out = []
    for _ in range(n):
        walk = np.sqrt(level) * rng.standard_normal() + np.cumsum(np.sqrt(drift) * rng.standard_normal(days))
        z = np.empty(days)
        z[0] = rng.standard_normal()
        for d in range(1, days):
            z[d] = rho * z[d - 1] + np.sqrt(1 - rho**2) * rng.standard_normal()
        shock = z if tail is None else rng.standard_t(tail, days) * np.sqrt((tail - 2) / tail)
        actual = rng.poisson(mean * np.exp(walk + np.sqrt(factor) * shock))
        out.append(missed(actual.astype(float), np.full(days, mean), np.arange(1, days + 1)))
    return out


def test_level_drift_and_factor_are_told_apart():
    rng = np.random.default_rng(5)
    truth = {"level": 0.004, "drift": 2e-4, "factor": 0.006, "rho": 0.4}
    found = [fit_error(own(), forecasts(13, rng, **truth)) for _ in range(12)]
    far = np.array([e.level + 28 * e.drift for e in found])
    assert np.median(far) == pytest.approx(0.004 + 28 * 2e-4, rel=0.3)
    assert np.median([e.factor for e in found]) == pytest.approx(0.006, rel=0.15)
    assert np.median([e.persistence for e in found]) == pytest.approx(0.4, abs=0.1)
    assert all(e.tail > 8 for e in found)


@pytest.mark.parametrize("x", [(-5.0, -8.0, -5.0, -0.5), (-4.0, -7.0, -6.0, 1.5), (-8.0, -6.0, -4.0, -2.9)])
def test_the_posterior_is_that_of_normal_gaps_and_its_gradient_is_exact(x):
    rng = np.random.default_rng(11)
    tried = forecasts(2, rng, level=0.004, drift=2e-4, factor=0.006, rho=0.4, days=9)
    tried.append(forecasts(1, rng, level=0.0, drift=0.0, factor=0.01, rho=0.0, days=4, mean=20.0)[0])
    first = [np.minimum.outer(t.lead, t.lead) for t in tried]
    centre, x = np.array([-6.0, -9.0, -4.5, 0.0]), np.array(x)

    def loss(x):
        return _loss(x, tried, [t.gap for t in tried], first, centre)

    def by_hand(x):
        level, drift, factor = np.exp(x[:3])
        rho = np.clip(1.05 / (1 + np.exp(-x[3])) - 0.05, 0.0, 0.95)
        told = ((x - centre) ** 2 / np.array([1.0, 1.0, 0.5, 1.0]) ** 2).sum() / 2
        for t in tried:
            day = np.arange(len(t.gap))
            cov = level + drift * np.minimum.outer(t.lead, t.lead) + factor * rho ** abs(np.subtract.outer(day, day))
            told -= stats.multivariate_normal.logpdf(t.gap, cov=cov + np.diag(t.noise))
            told -= len(day) * np.log(2 * np.pi) / 2
        return told

    assert loss(x)[0] == pytest.approx(by_hand(x), rel=1e-9)
    numeric = optimize.approx_fprime(x, lambda v: by_hand(v), 1e-6)
    assert loss(x)[1] == pytest.approx(numeric, abs=1e-3, rel=1e-4)


def test_a_perfect_forecast_is_told_as_one():
    rng = np.random.default_rng(6)
    error = fit_error(own(), forecasts(13, rng, level=0.0, drift=0.0, factor=0.0, rho=0.0))
    assert error.factor < 0.1 * own().factor
    assert error.level + 28 * error.drift < 0.002


def test_wild_days_raise_the_tails_and_not_the_middle():
    rng = np.random.default_rng(7)
    error = fit_error(own(), forecasts(13, rng, level=1e-6, drift=1e-7, factor=0.01, rho=0.0, tail=4))
    assert error.tail < 8
    z = np.random.default_rng(8).standard_normal(200_000)
    law = np.sqrt(error.factor) * heavier(z, error.tail)
    real = 0.1 * np.sqrt(0.5) * np.random.default_rng(9).standard_t(4, 200_000)
    for q in (0.1, 0.9):
        assert np.quantile(law, q) == pytest.approx(np.quantile(real, q), rel=0.12)


@pytest.mark.parametrize("freedom", [4.0, 8.0, 60.0])
def test_heavier_draws_keep_their_variance_and_their_mean_is_taken_off(freedom):
    z = np.random.default_rng(1).standard_normal(400_000)
    drawn = heavier(z, freedom)
    assert drawn.std() == pytest.approx(1.0, abs=0.03)
    assert (np.diff(heavier(np.linspace(-4, 4, 50), freedom)) > 0).all()
    assert np.exp(0.2 * drawn - log_mean(np.array(0.2), freedom)).mean() == pytest.approx(1.0, abs=2e-3)


def test_bands_of_weeks_hold_where_the_level_wanders():
    # 80 centres, 28 weeks known, 4 weeks ahead: the level walks, days vary about it.
    rng = np.random.default_rng(3)
    n_days, n = 28 * 7 + 28, 80
    days = pd.date_range("2023-01-02", periods=n_days)
    frames, weeks = [], {}
    for k in range(n):
        walk = np.cumsum(0.012 * rng.standard_normal(n_days))
        rate = 800 * WEEK[days.day_of_week] * np.exp(walk) * rng.gamma(1 / 0.06**2, 0.06**2, n_days)
        counts = rng.poisson(rate)
        weeks[f"c{k}"] = counts[-28:].reshape(4, 7).sum(axis=1)
        frames.append(pd.DataFrame({"contact_type": f"c{k}", "interval_start": days[:-28].tz_localize("UTC"), "contacts": counts[:-28]}))  # fmt: skip
    ahead = forecast(pd.concat(frames, ignore_index=True), days=28, method="mean-4", samples=400)
    came = np.array([weeks[t] for t in ahead.contact_types])
    inside = {}
    for cover in (0.80, 0.95):
        low, high = (
            ahead.quantiles(q, by="week")["contacts"].to_numpy().reshape(n, 4)
            for q in ((1 - cover) / 2, (1 + cover) / 2)
        )
        inside[cover] = ((came >= low) & (came <= high)).mean()
    # Four weeks of a centre are alike: some 120 independent ones, a standard error of 4 and 2 points.
    assert 0.72 <= inside[0.80] <= 0.90
    assert 0.90 <= inside[0.95] <= 0.99
