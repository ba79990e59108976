"""Distributions against their own cdf, moments and words; fits against what was planted."""

from __future__ import annotations

import itertools
import pickle
import warnings

import numpy as np
import pytest
from scipy import integrate, stats

from bposim.distributions import (
    KINDS,
    Distribution,
    day_factor,
    deterministic,
    distribution,
    empirical,
    exponential,
    fit,
    fit_best,
    gamma,
    hyperexponential,
    infinite,
    kaplan_meier,
    km_median,
    lognormal,
    mixture,
    piecewise_hazard,
    restricted_mean,
    uniform,
    weibull,
    with_zero,
)
from bposim.errors import CalibrationError, ParameterError, UnitError

CONTINUOUS: dict[str, Distribution] = {
    "exponential": exponential(420.0),
    "gamma": gamma(mean=180.0, cv=0.6),
    "gamma small shape": gamma(shape=0.3, scale=100.0),
    "lognormal": lognormal(mean=180.0, cv=1.2),
    "lognormal mu": lognormal(mu=4.8, sigma=0.93),
    "weibull": weibull(mean=300.0, cv=1.5),
    "weibull shape": weibull(shape=2.0, scale=60.0),
    "hyperexponential": hyperexponential(mean=200.0, cv=2.0),
    "hyperexponential phases": hyperexponential(probabilities=[0.3, 0.7], means=[10.0, 300.0]),
    "uniform": uniform(10.0, 60.0),
    "quantiles": empirical(quantiles=[0.0, 5.0, 20.0, 90.0, 400.0]),
    "piecewise": piecewise_hazard([0.0, 10.0, 60.0], [0.01, 0.0, 0.004]),
    "mixture": mixture([0.25, 0.75], [uniform(0.0, 10.0), lognormal(mean=100.0, cv=0.5)]),
}
ATOMIC: dict[str, Distribution] = {
    "zero": with_zero(0.1, exponential(1000.0)),
    "deterministic": deterministic(60.0),
    "empirical": empirical([3.0, 1.0, 4.0, 1.0, 5.0]),
    "mixture with a point": mixture([0.2, 0.8], [deterministic(30.0), exponential(60.0)]),
}
ALL = CONTINUOUS | ATOMIC
FALSE_FAIL = 1e-6


def by_name(table: dict[str, Distribution]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("law", table.values(), ids=table.keys())


def test_every_kind_is_tried() -> None:
    assert {law.kind for law in ALL.values()} | {"infinite"} == set(KINDS)


@by_name(CONTINUOUS)
def test_samples_follow_the_cdf(law: Distribution) -> None:
    sample = law.sample(np.random.default_rng(20_240), 20_000)
    assert stats.kstest(sample, law.cdf).pvalue > FALSE_FAIL
    # A scale that is 8 % off would be noticed.
    assert stats.kstest(sample * 1.08, law.cdf).pvalue < FALSE_FAIL


@by_name(ATOMIC)
def test_samples_with_points_follow_the_cdf(law: Distribution) -> None:
    sample = law.sample(np.random.default_rng(5), 20_000)
    # Dvoretzky–Kiefer–Wolfowitz bound, valid with jumps.
    bound = np.sqrt(np.log(2 / FALSE_FAIL) / (2 * len(sample)))
    points = np.unique(np.concatenate([sample, law.kinks, [0.0]]))
    share = np.searchsorted(np.sort(sample), points, side="right") / len(sample)
    assert np.max(np.abs(share - law.cdf(points))) < bound
    assert abs(np.mean(sample == 0) - law.zero) < bound


@by_name(ALL)
def test_moments_agree_with_the_survival_function(law: Distribution) -> None:
    top = float(law.quantile(1 - 1e-13))
    ends = np.unique(np.concatenate([[0.0], law.kinks, law.quantile(np.linspace(0.02, 0.98, 25)), [top]]))
    ends = np.unique(np.concatenate([ends, np.linspace(law.quantile(0.98), top, 60)]))
    first = second = 0.0
    for a, b in itertools.pairwise(ends):
        first += integrate.quad(law.sf, a, b)[0]
        second += integrate.quad(lambda x: 2 * x * law.sf(x), a, b)[0]
    assert first == pytest.approx(law.mean, rel=1e-6)
    assert second - first**2 == pytest.approx(law.variance, rel=1e-4, abs=1e-6)
    assert law.std == pytest.approx(np.sqrt(law.variance))
    assert law.cv == pytest.approx(law.std / law.mean)


@by_name(ALL)
def test_limited_mean_and_shortfall_are_areas(law: Distribution) -> None:
    for x in (7.0, 45.0, 333.0):
        kinks = [kink for kink in law.kinks if 0 < kink < x]
        ends = [0.0, *kinks, x]
        area = sum(integrate.quad(law.sf, a, b, limit=200)[0] for a, b in itertools.pairwise(ends))
        assert law.limited_mean(x) == pytest.approx(area, rel=1e-7)
        assert law.shortfall(x) == pytest.approx(x - area, rel=1e-6, abs=1e-9 * x)
    assert law.limited_mean(np.inf) == law.mean


@by_name(CONTINUOUS)
def test_quantile_inverts_the_cdf(law: Distribution) -> None:
    p = np.concatenate([[1e-9, 1e-4], np.linspace(0.01, 0.99, 99), [1 - 1e-6]])
    np.testing.assert_allclose(law.cdf(law.quantile(p)), p, rtol=1e-9, atol=1e-15)
    assert law.cdf(-1.0) == 0 and law.sf(-1.0) == 1 and law.pdf(-1.0) == 0


@by_name(ATOMIC)
def test_quantile_is_the_smallest_time_that_reaches_p(law: Distribution) -> None:
    p = np.linspace(0.005, 0.995, 100)
    x = law.quantile(p)
    assert np.all(law.cdf(x) >= p - 1e-12)
    inside = x > 0
    assert np.all(law.cdf(x[inside] * (1 - 1e-9)) < p[inside] + 1e-12)


@by_name(CONTINUOUS)
def test_density_and_hazard_are_derivatives(law: Distribution) -> None:
    x = law.quantile(np.array([0.07, 0.31, 0.52, 0.83]))
    h = 1e-5 * x
    slope = (law.cdf(x + h) - law.cdf(x - h)) / (2 * h)
    np.testing.assert_allclose(law.pdf(x), slope, rtol=1e-4, atol=1e-12)
    np.testing.assert_allclose(law.hazard(x), slope / law.sf(x), rtol=1e-4, atol=1e-12)


@by_name(ALL)
def test_words_round_trip_and_values_compare(law: Distribution) -> None:
    again = distribution(law.to_spec())
    assert again == law and hash(again) == hash(law) and again.to_spec() == law.to_spec()
    assert Distribution.from_spec(law.to_spec()) == law
    assert pickle.loads(pickle.dumps(law)) == law
    assert law.scaled(2.0) != law
    assert repr(law).startswith("Distribution(")


@by_name(ALL)
def test_scaling_scales_time(law: Distribution) -> None:
    twice = law.scaled(1.7)
    assert twice.mean == pytest.approx(1.7 * law.mean)
    assert twice.variance == pytest.approx(1.7**2 * law.variance)
    x = np.array([3.0, 40.0, 250.0])
    np.testing.assert_allclose(twice.cdf(1.7 * x * (1 + 1e-12)), law.cdf(x), rtol=1e-9)
    assert distribution(twice.to_spec()) == twice


def test_frozen() -> None:
    with pytest.raises(AttributeError):
        exponential(1.0).mean = 2.0  # type: ignore[misc]


def test_sampling_is_a_function_of_the_generator() -> None:
    draws = [lognormal(mean=5.0, cv=1.0).sample(np.random.default_rng(8), 5) for _ in range(2)]
    assert draws[0].tolist() == draws[1].tolist() and draws[0].dtype == float
    with pytest.raises(ParameterError, match="default_rng"):
        exponential(1.0).sample(np.random, 3)  # type: ignore[arg-type]


def test_infinite_patience() -> None:
    law = infinite()
    assert law == distribution("infinite") and law.never == 1 and law.mean == np.inf
    assert (
        law.sf(1e12) == 1 and law.quantile(0.5) == np.inf and np.all(np.isinf(law.sample(np.random.default_rng(1), 3)))
    )
    some = mixture([0.3, 0.7], [infinite(), exponential(60.0)])
    assert some.never == pytest.approx(0.3) and some.mean == np.inf and distribution(some.to_spec()) == some
    assert some.quantile(0.7 * 0.5) == pytest.approx(60 * np.log(2)) and some.quantile(0.75) == np.inf
    last = piecewise_hazard([0.0, 10.0], [0.1, 0.0])
    assert (
        last.never == pytest.approx(np.exp(-1))
        and last.mean == np.inf
        and last.cdf(1e9) == pytest.approx(1 - np.exp(-1))
    )


def test_zero_is_a_mass_beside_the_stated_mean() -> None:
    law = distribution({"exponential": {"mean": "1000s", "zero": 0.1}})
    assert law.kind == "exponential" and law.zero == pytest.approx(0.1) and law.mean == pytest.approx(900.0)
    parts = [{"weight": 0.1, "deterministic": {"value": "0s"}}, {"weight": 0.9, "exponential": {"mean": "1000s"}}]
    same = distribution({"mixture": parts})
    x = np.array([0.0, 1.0, 100.0, 5000.0])
    np.testing.assert_allclose(law.cdf(x), same.cdf(x), rtol=1e-15)
    assert same.zero == pytest.approx(0.1) and law.quantile(0.05) == 0 == same.quantile(0.05)


@pytest.mark.parametrize(
    ("spec", "mean"),
    [
        ("60s", 60.0),
        ("1.5min", 90.0),
        ({"gamma": {"shape": 2, "scale": "30s"}}, 60.0),
        ({"lognormal": {"mu": 4.0, "sigma": 1.0}}, np.exp(4.5)),
        ({"uniform": {"low": "10s", "high": "1min"}}, 35.0),
        ({"hyperexponential": {"probabilities": [0.5, 0.5], "means": ["10s", "300s"]}}, 155.0),
        ({"empirical": {"values": ["1s", "2s", "6s"]}}, 3.0),
        ({"piecewise_hazard": {"breaks": ["0s"], "rates": ["0.6/min"]}}, 100.0),
        ({"piecewise_hazard": {"breaks": ["0s"], "rates": [0.6], "unit": "min"}}, 100.0),
        ({"weibull": {"mean": "5min", "cv": 1}}, 300.0),
    ],
)
def test_words_of_the_scenario_file(spec: object, mean: float) -> None:
    assert distribution(spec).mean == pytest.approx(mean)


def test_all_problems_at_once_with_the_nearest_key() -> None:
    with pytest.raises(ParameterError) as caught:
        distribution({"lognormal": {"maen": "180s", "cv": "1.2", "mean": 180}}, what="handle_time")
    text = "\n".join(caught.value.problems)
    assert len(caught.value.problems) == 3
    assert "handle_time lognormal has the unknown key 'maen'. Did you mean 'mean'?" in text
    assert "handle_time lognormal.cv must be a number without a unit. Got '1.2'" in text
    assert 'handle_time lognormal.mean=180 has no unit. Write "180s" or "3min".' in text


@pytest.mark.parametrize(
    ("spec", "error", "match"),
    [
        ({"exponential": {"mean": 120}}, UnitError, "mean=120 has no unit"),
        (60, UnitError, "no unit"),
        ({"exponentail": {"mean": "1s"}}, ParameterError, "Did you mean 'exponential'"),
        ({"exponential": {}}, ParameterError, "lacks 'mean'"),
        ({"exponential": {"mean": "0s"}}, ParameterError, "above 0"),
        ({"gamma": {"mean": "1s", "cv": 1, "shape": 2}}, ParameterError, r"\(mean, cv\) or \(shape, scale\)"),
        ({"hyperexponential": {"mean": "1s", "cv": 0.5}}, ParameterError, "above 1"),
        ({"uniform": {"low": "9s", "high": "3s"}}, ParameterError, "low < high"),
        ({"empirical": {"values": []}}, ParameterError, "at least 1"),
        ({"empirical": {"values": ["1s", 2]}}, UnitError, r"values\[1\]=2 has no unit"),
        ({"piecewise_hazard": {"breaks": ["1s", "0s"], "rates": ["1/s", "1/s"]}}, ParameterError, "rising from 0"),
        ({"piecewise_hazard": {"breaks": ["0s"], "rates": [0.5]}}, UnitError, "no unit"),
        ({"mixture": [{"weight": 0.5, "deterministic": {"value": "1s"}}]}, ParameterError, "add up to 1"),
        ({"mixture": [{"exponential": {"mean": "1s"}}]}, ParameterError, "'weight'"),
        ({"exponential": {"mean": "1s", "zero": 1.0}}, ParameterError, "below 1"),
        ({"exponential": "60s"}, ParameterError, "mapping of mean"),
        ("exponential", ParameterError, "needs its parameters"),
        ({"a": 1, "b": 2}, ParameterError, "one kind"),
    ],
)
def test_messages(spec: object, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        distribution(spec)


def test_points_have_no_density() -> None:
    with pytest.raises(ParameterError, match="no pdf"):
        deterministic(3.0).pdf(1.0)
    assert with_zero(0.5, exponential(10.0)).pdf(10.0) == pytest.approx(0.5 * np.exp(-1) / 10)


def test_day_factor_has_mean_one() -> None:
    for spec, cv in (({"gamma": {"cv": 0.1}}, 0.1), ({"gamma": {"shape": 25}}, 0.2), ({"lognormal": {"cv": 0.3}}, 0.3)):
        law = day_factor(spec)
        assert law.mean == pytest.approx(1.0) and law.cv == pytest.approx(cv)
        assert law.to_spec() == spec and day_factor(law.to_spec()) == law
    assert day_factor(None) == day_factor("none") and day_factor("none").to_spec() == "none"
    assert day_factor({"lognormal": {"cv": 0.3}}).scaled(2.0).mean == pytest.approx(2.0)
    assert day_factor("none").sample(np.random.default_rng(1), 2).tolist() == [1.0, 1.0]
    for bad in (
        {"gamma": {"cv": -1}},
        {"gama": {"cv": 0.1}},
        {"gamma": {"cv": 0.1, "shape": 2}},
        3,
        {"gamma": {"cv": "1"}},
    ):
        with pytest.raises(ParameterError):
            day_factor(bad)
    with pytest.raises(ParameterError):
        day_factor(exponential(2.0))


# Fitting


def test_kaplan_meier_by_hand() -> None:
    km = kaplan_meier([1, 2, 3, 4, 5], [True, False, True, True, False])
    assert list(km.columns) == ["time", "at_risk", "events", "survival", "ci_low", "ci_high"]
    np.testing.assert_allclose(km["survival"], [0.8, 0.8, 0.8 * 2 / 3, 0.8 / 3, 0.8 / 3])
    assert km["at_risk"].tolist() == [5, 4, 3, 2, 1] and km["events"].tolist() == [1, 0, 1, 1, 0]
    assert restricted_mean(km, 5) == pytest.approx(3.4)
    assert restricted_mean(km, 2) == pytest.approx(1.8)
    assert km_median(km) == 4
    fitted = fit("exponential", [1, 2, 3, 4, 5], [True, False, True, True, False])
    assert fitted.distribution.mean == pytest.approx(5.0) and fitted.distribution.hazard(1.0) == pytest.approx(0.2)
    with pytest.raises(CalibrationError, match="known to 5"):
        restricted_mean(km, 6)
    assert np.isnan(km_median(kaplan_meier([1, 2, 3], [True, False, False])))


def test_kaplan_meier_agrees_with_scipy() -> None:
    rng = np.random.default_rng(4)
    t, c = np.round(rng.exponential(50, 400), 0), np.round(rng.exponential(70, 400), 0)
    seen = t <= c
    km = kaplan_meier(np.minimum(t, c), seen)
    data = stats.CensoredData(uncensored=t[seen], right=c[~seen])
    other = stats.ecdf(data).sf
    np.testing.assert_allclose(km["survival"], other.evaluate(km["time"]), atol=1e-12)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # undefined where the curve is at 1 or 0, as here
        interval = other.confidence_interval(0.95, method="log-log")
    inside = km["ci_low"].notna()
    np.testing.assert_allclose(km["ci_low"][inside], interval.low.evaluate(km["time"][inside]), atol=1e-9)


PLANTED = {
    "exponential": exponential(300.0),
    "gamma": gamma(shape=2.5, scale=120.0),
    "lognormal": lognormal(mu=5.2, sigma=0.9),
    "weibull": weibull(shape=0.7, scale=300.0),
    "hyperexponential": hyperexponential(probabilities=[0.6, 0.4], means=[60.0, 800.0]),
}
TRUTH = {
    "exponential": {"mean": 300.0},
    "gamma": {"shape": 2.5, "scale": 120.0},
    "lognormal": {"mu": 5.2, "sigma": 0.9},
    "weibull": {"shape": 0.7, "scale": 300.0},
    "hyperexponential": {"probability": 0.6, "mean_1": 60.0, "mean_2": 800.0},
}


def censored(law: Distribution, n: int, seed: int, cut: float = 400.0) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    t, c = law.sample(rng, n), rng.exponential(cut, n)
    return np.minimum(t, c), t <= c


@pytest.mark.parametrize("kind", PLANTED)
def test_planted_parameters_come_back(kind: str) -> None:
    """Coverage of the 95 % intervals over 60 histories: at 95 % true coverage fewer than 46 has probability < 1e-6."""
    repeats, inside, mean_inside = 60, dict.fromkeys(TRUTH[kind], 0), 0
    for seed in range(repeats):
        fitted = fit(kind, *censored(PLANTED[kind], 600, seed))
        low, high = fitted.mean_interval()
        mean_inside += low <= PLANTED[kind].mean <= high
        for name, value in TRUTH[kind].items():
            low, high = fitted.parameter_interval(name)
            inside[name] += low <= value <= high
    assert min(*inside.values(), mean_inside) >= 46
    # An interval three times too narrow would cover about half of the time.
    assert stats.binom.cdf(45, repeats, 0.49) > 0.99


@pytest.mark.parametrize("kind", PLANTED)
def test_fit_is_at_the_maximum(kind: str) -> None:
    t, seen = censored(PLANTED[kind], 4000, 77)
    fitted = fit(kind, t, seen)
    law, names = fitted.distribution, list(TRUTH[kind])
    direct = np.log(law.pdf(t[seen])).sum() + np.log(law.sf(t[~seen])).sum()
    assert fitted.log_likelihood == pytest.approx(direct, rel=1e-10)
    assert fitted.aic == pytest.approx(2 * len(names) - 2 * direct) and fitted.covariance.shape == (len(names),) * 2
    make = {"exponential": lambda mean: exponential(mean), "gamma": gamma, "lognormal": lognormal, "weibull": weibull}
    for name in names if kind != "hyperexponential" else []:
        for factor in (0.99, 1.01):
            other = make[kind](**(fitted.parameters | {name: fitted.parameters[name] * factor}))
            assert np.log(other.pdf(t[seen])).sum() + np.log(other.sf(t[~seen])).sum() < direct
    assert (fitted.n, fitted.events) == (4000, int(seen.sum()))


def test_uncensored_fits_have_their_closed_forms() -> None:
    t = lognormal(mean=100.0, cv=0.8).sample(np.random.default_rng(6), 500)
    logs = np.log(t)
    fitted = fit("lognormal", t)
    assert fitted.parameters == pytest.approx({"mu": logs.mean(), "sigma": logs.std()})
    low, high = fit("exponential", t).mean_interval()
    assert (low, high) == pytest.approx(
        (2 * t.sum() / stats.chi2.ppf(0.975, 1000), 2 * t.sum() / stats.chi2.ppf(0.025, 1000))
    )
    shape, _, scale = stats.gamma.fit(t, floc=0)
    assert fit("gamma", t).parameters == pytest.approx({"shape": shape, "scale": scale}, rel=1e-3)
    assert fitted.ks == pytest.approx(stats.kstest(t, fitted.distribution.cdf).statistic)


def test_mass_at_zero_is_estimated_apart() -> None:
    rng = np.random.default_rng(12)
    patience = with_zero(0.1, exponential(1000.0)).sample(rng, 20_000)
    offered_wait = np.where(rng.random(20_000) < 0.5, rng.exponential(60.0, 20_000), 0.0)
    t, seen = np.minimum(patience, offered_wait), (patience <= offered_wait) & (offered_wait > 0)
    fitted = fit("exponential", t, seen, zero=True)
    for name, truth in (("zero", 0.1), ("mean", 1000.0)):
        low, high = fitted.parameter_interval(name, confidence=1 - 1e-6)
        assert low < truth < high
    low, high = fitted.mean_interval(confidence=1 - 1e-6)
    assert low < 900 < high and fitted.distribution.zero == pytest.approx(fitted.parameters["zero"])
    with pytest.raises(CalibrationError, match="ended at 0"):
        fit("exponential", t, seen)


def test_best_fit_comes_first() -> None:
    t, seen = censored(PLANTED["lognormal"], 5000, 3)
    ranked = fit_best(t, seen)
    assert ranked[0].kind == "lognormal" and [f.aic for f in ranked] == sorted(f.aic for f in ranked)
    assert [f.ks for f in fit_best(t, seen, criterion="ks")] == sorted(f.ks for f in ranked)
    with pytest.raises(ParameterError, match="aic, bic, ks"):
        fit_best(t, seen, criterion="r2")


@pytest.mark.parametrize(
    ("call", "error", "match"),
    [
        (lambda: fit("gama", [1.0]), ParameterError, "one of exponential"),
        (lambda: fit("gamma", [1.0, -2.0, np.nan]), CalibrationError, r"2 of 3 durations .* \(rows 1, 2\)"),
        (lambda: fit("gamma", [5.0, 5.0]), CalibrationError, "All durations are 5 s"),
        (lambda: fit("weibull", [1.0, 2.0], [False, False]), CalibrationError, "None of the 2"),
        (lambda: fit("exponential", [1.0, 2.0], [True]), CalibrationError, "one flag each"),
        (lambda: fit("exponential", []), CalibrationError, "no durations"),
        (lambda: fit("exponential", [1.0], [2]), ParameterError, "True .* or False"),
        (lambda: fit("exponential", [1.0]).parameter_interval("rate"), ParameterError, "one of mean"),
        (lambda: fit_best([5.0, 5.0], kinds=("gamma", "weibull")), CalibrationError, "a weibull cannot"),
    ],
)
def test_fit_messages(call, error: type[Exception], match: str) -> None:
    with pytest.raises(error, match=match):
        call()


def test_inputs_are_left_alone() -> None:
    t, seen = np.array([3.0, 1.0, 2.0]), np.array([True, True, False])
    fit("weibull", t, seen)
    kaplan_meier(t, seen)
    assert t.tolist() == [3.0, 1.0, 2.0] and seen.tolist() == [True, True, False]
    with pytest.raises(ValueError):
        fit("exponential", t).covariance[0, 0] = 1.0
