"""The profile within the day: how fast it forgets, and how far it may be off."""

import numpy as np
import pytest
from forecast_worlds import CURVE, HOURS, volumes

from bposim.forecast import forecast
from bposim.forecast._counts import read_counts
from bposim.forecast._profile import HALF_LIFE, fit_profile, half_life, shape_noise


def turning(seed: int, days: int = 300, speed: float = 1.0):
    """Counts whose busy hours move from morning to afternoon."""
    rng = np.random.default_rng(seed)
    t = speed * np.linspace(0, 1, days)[:, None]
    rate = 20 * ((1 - t) * CURVE + t * CURVE[::-1] ** 1.2)
    return volumes(rng.poisson(rate).astype(float), "2023-01-02", minutes=HOURS)


def chosen(frame):
    counts = read_counts(frame)
    return half_life(counts, 0, np.ones(len(counts.dates), dtype=bool))


def test_a_profile_that_turns_is_forgotten_faster_and_one_that_stands_is_not():
    assert [chosen(turning(s)) for s in range(4)] == [3.0] * 4
    still = [chosen(turning(s, speed=0.0)) for s in range(8)]
    assert 3.0 not in still
    assert set(still) <= {HALF_LIFE, 26.0}


def test_the_profile_error_is_that_of_repeated_histories():
    # The variance of the estimated shares over histories of the same truth, against what one history says of itself.
    shares, told = [], []
    for seed in range(60):
        counts = read_counts(turning(seed, days=28, speed=0.0))
        use = np.ones(28, dtype=bool)
        share = fit_profile(counts, 0, use)
        shares.append(share[0])
        told.append(shape_noise(counts, 0, share, use).profile)
    real = np.var(shares, axis=0) / np.mean(shares, axis=0) ** 2
    assert np.mean(told, axis=0) == pytest.approx(real, rel=0.5)
    assert np.mean(told) == pytest.approx(real.mean(), rel=0.25)


def test_an_interval_that_varies_more_has_a_wider_band():
    rng = np.random.default_rng(4)
    rate = 40 * CURVE * np.ones((200, 1))
    rate[:, 2] *= rng.gamma(1 / 0.4**2, 0.4**2, 200)
    ahead = forecast(volumes(rng.poisson(rate).astype(float), "2023-01-02", minutes=HOURS), days=7, samples=600)
    cv = (ahead.array[:, :, 0].std(axis=0) / ahead.array[:, :, 0].mean(axis=0)).reshape(7, 8).mean(axis=0)
    # Its swings move the days too, and those move every interval: not the whole of them can be its own.
    assert cv[2] > 1.4 * np.delete(cv, 2).max()
