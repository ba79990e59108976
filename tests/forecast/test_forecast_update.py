"""Intraday update: the posterior is that of the model, and refusals say why."""

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import HOURS, nhpp
from scipy import stats

from bposim.errors import ParameterError
from bposim.forecast import forecast
from bposim.forecast._update import _rest


@pytest.fixture(scope="module")
def usual():
    return forecast(nhpp(140, 2, cv=0.25), days=7, samples=400, method="mean-4")


def came(ahead, factor):
    """Counts of the horizon at a multiple of the expectation."""
    return pd.DataFrame(
        {"contact_type": "calls", "interval_start": ahead.starts, "contacts": np.rint(ahead.expected[:, 0] * factor)}
    )


def test_the_posterior_of_a_day_factor_is_that_of_quadrature():
    # One factor for the whole day and no shape: a one-dimensional posterior that can be integrated.
    variance, expected, known = 0.05, np.array([30.0, 50.0, 40.0]), np.array([45.0, 0.0, 0.0])
    rest = _rest(
        np.array([[variance]]), np.full((3, 3), variance), expected, known[:1], np.zeros(3, dtype=int), 0, 0, slice(1, 3), 1
    )  # fmt: skip
    x = np.linspace(-2, 2, 40_001)
    weight = stats.norm.pdf(x, -variance / 2, np.sqrt(variance)) * stats.poisson.pmf(45, 30 * np.exp(x))
    weight /= weight.sum()
    mean = weight @ x
    assert rest.mean == pytest.approx([x[weight.argmax()]] * 2, abs=1e-4)
    assert (rest.root**2).sum(axis=1) == pytest.approx(weight @ (x - mean) ** 2, rel=0.03)
    assert rest.factor == pytest.approx(weight @ np.exp(x), rel=0.01)


def test_a_day_that_is_over_speaks_of_the_next_as_far_as_days_persist():
    between = np.array([[0.05, 0.03], [0.03, 0.05]])
    rest = _rest(between, np.zeros((0, 0)), np.array([1e5, 10.0]), np.array([1e5 * np.exp(0.2)]),
                 np.array([0, 1]), 1, 1, slice(1, 1), 1)  # fmt: skip
    # Counting noise is nothing: a normal conditional mean around the prior's −v/2.
    assert rest.mean == pytest.approx([-0.025 + 0.6 * (0.2 + 0.025)], abs=1e-3)
    assert (rest.root**2).sum() == pytest.approx(0.05 - 0.03**2 / 0.05, rel=1e-2)


def test_a_busy_morning_raises_the_rest_and_narrows_it(usual):
    noon = usual.starts[3] + pd.Timedelta(hours=1)
    busy, slow = (usual.update(came(usual, f), until=noon) for f in (1.4, 0.7))
    today = np.asarray(usual.starts.normalize() == usual.starts[0].normalize())
    rest = today & np.asarray(usual.starts >= noon)
    assert busy.expected[rest].sum() > 1.15 * usual.expected[rest].sum()
    assert slow.expected[rest].sum() < 0.90 * usual.expected[rest].sum()
    before, after = (f.array[:, rest, 0].sum(axis=1) for f in (usual, busy))
    assert after.std() / after.mean() < 0.8 * before.std() / before.mean()
    assert after.mean() == pytest.approx(busy.expected[rest].sum(), rel=0.03)


def test_known_intervals_hold_their_counts_in_every_path(usual):
    seen = came(usual, 1.1).iloc[:11]
    informed = usual.update(seen)
    assert (informed.array[:, :11, 0] == seen["contacts"].to_numpy()).all()
    assert informed.mean("day")["contacts"].iloc[0] == pytest.approx(seen["contacts"].iloc[:8].sum())
    assert (informed.more(50).array[:, :11, 0] == seen["contacts"].to_numpy()).all()
    assert any("+1" in n and "against the forecast" in n for n in informed.notes)
    assert usual.update(seen).array.tobytes() == informed.array.tobytes()


def test_an_interval_without_a_row_had_no_contacts(usual):
    seen = came(usual, 1.0).iloc[:1]
    silent = usual.update(seen, until=usual.starts[3])
    assert (silent.array[:, 1:3] == 0).all()
    assert silent.expected[3:8].sum() < 0.8 * usual.expected[3:8].sum()


def test_a_busy_day_without_contacts_says_nothing_of_the_others(usual):
    seen = came(usual, 1.1)
    days = usual.starts.normalize().unique()
    until = days[2] + pd.Timedelta(hours=23)
    gap = usual.update(seen[usual.starts.normalize() != days[1]], until=until)
    full = usual.update(seen, until=until)
    ahead = np.asarray(usual.starts.normalize() > days[2])
    assert (gap.array[:, usual.starts.normalize() == days[1]] == 0).all()
    assert gap.expected[ahead].sum() == pytest.approx(full.expected[ahead].sum(), rel=0.05)
    assert any(f"No contacts are known of {days[1].date()}" in n for n in gap.notes)
    assert not any("No contacts are known" in n for n in full.notes)


def test_rows_after_the_time_are_not_looked_at(usual):
    late = came(usual, 1.0).iloc[:5]
    late.loc[4, "interval_start"] = usual.starts[7] + pd.Timedelta(hours=2)  # nobody is open then
    with pytest.raises(ParameterError, match="when closed"):
        usual.update(late, until=usual.starts[9])
    assert usual.update(late, until=usual.starts[3]).array[:, :3, 0].sum() > 0


def test_what_cannot_be_is_refused(usual):
    with pytest.raises(ParameterError, match="counts of the horizon"):
        usual.update(nhpp(10, 1))
    with pytest.raises(ParameterError, match="of calls"):
        usual.update(came(usual, 1.0).assign(contact_type="chat"))
    night = came(usual, 1.0)
    night["interval_start"] += pd.Timedelta(hours=len(HOURS))
    with pytest.raises(ParameterError, match="when closed"):
        usual.update(night)
    with pytest.raises(ParameterError, match="updated already"):
        usual.update(came(usual, 1.0).iloc[:3]).update(came(usual, 1.0).iloc[:5])
    with pytest.raises(ParameterError, match="after the first interval"):
        usual.update(came(usual, 1.0), until=usual.starts[0])


def test_mornings_that_come_improve_the_rest_of_days():
    # Days with a strong factor: the error of the afternoon, the morning known, against the forecast of the evening before.
    past = nhpp(200, 4, cv=0.25)
    on = past["interval_start"].dt.date
    days = sorted(set(on))
    plain = informed = total = 0.0
    for day in days[-30:]:
        ahead = forecast(past[on < day], start=day, days=1, samples=2, method="mean-4")
        later = ahead.update(past[on == day], until=f"{day} 12:00")
        late = np.asarray(ahead.starts.hour >= 12)
        actual = past.loc[(on == day) & (past["interval_start"].dt.hour >= 12), "contacts"].to_numpy()
        plain += abs(ahead.expected[late, 0].sum() - actual.sum())
        informed += abs(later.expected[late, 0].sum() - actual.sum())
        total += actual.sum()
    assert plain / total > 0.12
    assert informed < 0.6 * plain
