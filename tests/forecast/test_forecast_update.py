"""Intraday update: the posterior is that of the model, and refusals say why."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from forecast_worlds import HOURS, day_counts, nhpp, volumes
from handle_worlds import contacts, log
from scipy import stats

from bposim.errors import ForecastWarning, ParameterError
from bposim.forecast import Analogy, Event, forecast
from bposim.forecast._posterior import posterior
from bposim.history import History

NONE = np.array([np.inf])


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
    mean, left = posterior(np.full((3, 3), variance), expected[:1], known[:1], np.array([0]), np.array([1, 2]), NONE)
    x = np.linspace(-2, 2, 40_001)
    weight = stats.norm.pdf(x, -variance / 2, np.sqrt(variance)) * stats.poisson.pmf(45, 30 * np.exp(x))
    weight /= weight.sum()
    centre = weight @ x
    assert mean == pytest.approx([x[weight.argmax()]] * 2, abs=1e-4)
    assert np.diag(left) == pytest.approx(weight @ (x - centre) ** 2, rel=0.03)
    assert np.exp(mean + np.diag(left) / 2) == pytest.approx(weight @ np.exp(x), rel=0.01)


def test_a_day_that_is_over_speaks_of_the_next_as_far_as_days_persist():
    between = np.array([[0.05, 0.03], [0.03, 0.05]])
    came = np.array([1e5 * np.exp(0.2)])
    mean, left = posterior(between, np.array([1e5]), came, np.array([0]), np.array([1]), NONE)
    # Counting noise is nothing: a normal conditional mean around the prior's −v/2.
    assert mean == pytest.approx([-0.025 + 0.6 * (0.2 + 0.025)], abs=1e-3)
    assert left[0, 0] == pytest.approx(0.05 - 0.03**2 / 0.05, rel=1e-2)


def test_a_wild_day_says_little_of_the_next_and_wild_days_that_agree_say_much():
    cov = 0.01 * (0.6 + 0.4 * np.eye(4))
    e, asked = np.full(3, 1e5), np.array([3])

    def told(gaps, tail):
        seen = np.arange(len(gaps))
        came = 1e5 * np.exp(np.array(gaps) - 0.005)
        return posterior(cov, e[: len(gaps)], came, seen, asked, np.full(len(gaps), tail))[0][0] + 0.005

    assert told([0.08], 4.0) == pytest.approx(0.6 * 0.08, rel=0.01)  # below one standard deviation: as it is
    # At z = 4, w = 5/20: three more variances of its own, and so a quarter of the gain.
    assert told([0.4], 4.0) == pytest.approx(0.6 * 0.4 / 4, rel=0.02)
    assert told([0.4], 4.0) < told([0.4], 10.0) < told([0.4], np.inf)
    # Of three days one is out of line: the other two are believed. Three that agree are a new level.
    assert told([0.02, 0.4, 0.02], 4.0) < 0.5 * told([0.02, 0.4, 0.02], np.inf)
    assert told([0.25, 0.25, 0.25], 4.0) > 0.8 * told([0.25, 0.25, 0.25], np.inf)


def together(seed=9, n=140):
    """Two contact types whose days have one factor, in whole days."""
    rng = np.random.default_rng(seed)
    factor = rng.lognormal(0, 0.2, n)
    return pd.concat(
        [volumes(rng.poisson(400 * factor)[:, None].astype(float), "2023-01-02", minutes=[0], kind=k) for k in "ab"]
    )


def first_day(ahead, **came):
    return pd.DataFrame(
        {"contact_type": list(came), "interval_start": [ahead.starts[0]] * len(came), "contacts": came.values()}
    )


def test_contact_types_stay_correlated_and_speak_of_each_other():
    ahead = forecast(together(), days=4, samples=3000, method="mean-4")
    usual = first_day(ahead, a=round(ahead.expected[0, 0]), b=round(ahead.expected[0, 1]))
    later = ahead.update(usual)
    before, after = (np.corrcoef(f.array[:, 3].T)[0, 1] for f in (ahead, later))
    assert before > 0.7 and after == pytest.approx(before, abs=0.06)
    # By hours: the morning of one type is missing its own news, the other's is not.
    rng = np.random.default_rng(3)
    factor = rng.lognormal(0, 0.25, 140)[:, None] * np.full(6, 1.0)
    history = pd.concat(
        [volumes(rng.poisson(c * factor).astype(float), "2023-01-02", minutes=range(480, 840, 60), kind=k)
         for k, c in (("big", 200), ("small", 3))]
    )  # fmt: skip
    ahead = forecast(history, days=1, samples=400, method="mean-4")
    big, small = (np.rint(ahead.expected[:3, j]) for j in range(2))
    busy = pd.DataFrame({"contact_type": np.repeat(["big", "small"], 3), "interval_start": [*ahead.starts[:3]] * 2,
                         "contacts": [*np.rint(1.5 * big), *small]})  # fmt: skip
    assert ahead.update(busy).expected[3:, 1].sum() > 1.2 * ahead.expected[3:, 1].sum()


def test_the_level_of_a_new_type_is_learnt_from_what_came():
    ahead = forecast(
        together(), days=4, samples=1500, method="mean-4", analogies={"chat": Analogy("a", 0.5, uncertainty=0.5)}
    )
    a, b, chat = np.rint(ahead.expected[0])
    later = ahead.update(first_day(ahead, a=a, b=b, chat=np.rint(1.8 * chat)))
    assert later.expected[1:, 2].sum() == pytest.approx(1.75 * ahead.expected[1:, 2].sum(), rel=0.08)
    assert later.expected[1:, 0].sum() == pytest.approx(ahead.expected[1:, 0].sum(), rel=0.08)
    assert later.array[:, 1:, 2].sum(axis=1).std() < 0.75 * ahead.array[:, 1:, 2].sum(axis=1).std()


def test_the_size_of_a_coming_event_stays_uncertain():
    history = together()
    start = pd.Timestamp(history["interval_start"].max()) + pd.Timedelta(days=3)
    event = Event("launch", start.date(), days=1, contacts=1500, uncertainty=0.8)
    ahead = forecast(history, days=4, samples=3000, method="mean-4", events=[event])
    later = ahead.update(first_day(ahead, a=round(ahead.expected[0, 0]), b=round(ahead.expected[0, 1])))
    cv = [f.array[:, 2].sum(axis=1).std() / f.array[:, 2].sum(axis=1).mean() for f in (ahead, later)]
    assert cv[0] > 0.35 and cv[1] == pytest.approx(cv[0], rel=0.15)
    assert later.expected[2].sum() == pytest.approx(ahead.expected[2].sum(), rel=0.05)


def test_paths_keep_their_tails(usual):
    kurt = []
    for tail in (4.0, 60.0):
        view = usual._parts.outlooks[0]
        error = replace(view.error, tail=tail, factor=0.1, level=0.0, drift=0.0, persistence=0.0)
        ahead = replace(usual, _parts=replace(usual._parts, outlooks=(replace(view, error=error),)))
        later = ahead.more(6000).update(came(usual, 1.0).iloc[:8])
        days = later.array[:, 8:, 0].reshape(len(later.array), -1, 8).sum(axis=2)
        kurt.append(stats.kurtosis(np.log(days + 0.5), axis=0).mean())
        assert days.mean() == pytest.approx(later.expected[8:].sum() / 6, rel=0.02)
    assert kurt[1] < 0.3 and kurt[0] > kurt[1] + 0.5


def test_an_outage_in_the_history_does_not_make_mornings_speak():
    # Days hardly vary; two days of the history broke down. What a morning says of the rest is then its chance alone.
    plain = informed = 0.0
    for seed in range(2):
        past = nhpp(170, 20 + seed, cv=0.03, scale=2.0)
        on = past["interval_start"].dt.date
        days = sorted(set(on))
        broken = on.isin([days[60], days[110], days[128]])
        past.loc[broken, "contacts"] = (past.loc[broken, "contacts"] * 0.15).astype(int)
        for day in days[-30:]:
            ahead = forecast(past[on < day], start=day, days=1, samples=2, method="level")
            later = ahead.update(past[on == day], until=f"{day} 11:00")
            late = np.asarray(ahead.starts.hour >= 11)
            actual = past.loc[(on == day) & (past["interval_start"].dt.hour >= 11), "contacts"].sum()
            plain += abs(ahead.expected[late, 0].sum() - actual)
            informed += abs(later.expected[late, 0].sum() - actual)
    assert informed < 1.06 * plain


def test_a_frame_ends_with_its_own_step(usual):
    fine = usual.starts[0] + pd.to_timedelta(np.arange(0, 65, 5), unit="min")  # 08:00 to 09:00, up to 09:05
    feed = pd.DataFrame({"contact_type": "calls", "interval_start": fine, "contacts": 2})
    later = usual.update(feed)
    assert later.provenance.inputs["known_intervals"] == 1
    assert any(f"last interval known is that of {usual.starts[0]}" in n for n in later.notes)
    sparse = came(usual, 1.0).iloc[[0, 3]]
    assert usual.update(sparse).provenance.inputs["known_intervals"] == 4
    assert usual.update(came(usual, 1.0).iloc[:1]).provenance.inputs["known_intervals"] == 1


def test_a_log_ends_before_the_interval_of_its_last_contact():
    frame, _ = contacts(100, 2, per_hour=30.0)
    day = frame["arrived"].dt.normalize().max()
    ahead = forecast(log(frame[frame["arrived"] < day]), days=1, samples=50, method="mean-4")
    seen = frame[(frame["arrived"] >= day) & (frame["arrived"] < day + pd.Timedelta(hours=10, minutes=50))]
    later = ahead.update(log(seen))
    assert later.provenance.inputs["known_intervals"] == int(
        (ahead.starts < day + pd.Timedelta(hours=10, minutes=30)).sum()
    )
    assert ahead.update(log(seen), until=day + pd.Timedelta(hours=11)).provenance.inputs["known_intervals"] == int(
        (ahead.starts < day + pd.Timedelta(hours=11)).sum()
    )


def test_a_report_ends_with_its_last_contact(usual):
    counts = came(usual, 1.0).set_index("interval_start")["contacts"].iloc[:8].rename("calls")
    counts.iloc[5:] = 0
    report = History.from_counts(counts, contact_type="calls", freq="1h")
    assert usual.update(report).provenance.inputs["known_intervals"] == 5


def test_hours_that_the_history_lacks_are_updated_too():
    ahead = forecast(nhpp(140, 2), days=3, samples=50, method="mean-4", opening_hours={"mon-sun": "08:00-18:00"})
    came = pd.DataFrame({"contact_type": "calls", "interval_start": ahead.starts[:3], "contacts": [30, 70, 90]})
    later = ahead.update(came)
    assert later.expected[3:8].sum() > ahead.expected[3:8].sum()
    assert (later.expected[8:10] == 0).all()
    evening = came.assign(interval_start=ahead.starts[[0, 1, 9]])
    assert (ahead.update(evening).array[:, 9, 0] == 90).all()


@pytest.mark.parametrize(("first", "hours"), [("2024-03-31", 23), ("2024-10-27", 25)])
def test_days_with_a_clock_change_end_with_their_last_hour(first, hours):
    days = pd.date_range(end=pd.Timestamp(first) - pd.Timedelta(days=2), periods=80)
    counts = day_counts(pd.Series(np.random.default_rng(1).poisson(300, 80), index=days), "Europe/Berlin")
    ahead = forecast(counts, days=4, samples=20, method="mean-4")
    assert ahead._parts.grid.hours[1] == hours
    seen = pd.DataFrame({"contact_type": "calls", "interval_start": ahead.starts[:2], "contacts": [500, 520]})
    end = ahead.starts[2]

    def known(until):
        return ahead.update(seen, until=until).provenance.inputs["known_intervals"]

    assert known(None) == known(end) == 2
    assert known(end - pd.Timedelta(hours=1)) == 1


def test_a_time_that_the_clock_repeats_or_skips_is_told():
    days = pd.date_range("2024-08-08", periods=80)
    counts = day_counts(pd.Series(np.random.default_rng(1).poisson(300, 80), index=days), "Europe/Berlin")
    ahead = forecast(counts, days=3, samples=20, method="mean-4")
    seen = pd.DataFrame({"contact_type": "calls", "interval_start": ahead.starts[:1], "contacts": [500]})
    with pytest.raises(ParameterError, match=r"clock repeats an hour.*\+02:00.*\+01:00"):
        ahead.update(seen, until="2024-10-27 02:30")
    with pytest.raises(ParameterError, match="clock skips"):
        ahead.update(seen, until="2025-03-30 02:30")
    with pytest.raises(ParameterError, match="a time with its day"):
        ahead.update(seen, until="noon")


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
    with pytest.warns(ForecastWarning, match="count as 0"):
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


@pytest.mark.parametrize("until", ["11:00", "05/06/2026 11:00", 11, "2031-01-01 11:00"])
def test_a_time_that_may_mean_another_day_is_refused(usual, until):
    with pytest.raises(ParameterError, match=r"with its day|within the horizon"):
        usual.update(came(usual, 1.0).iloc[:3], until=until)


def test_rows_that_end_before_until_are_told_as_a_silence(usual):
    with pytest.warns(ForecastWarning, match="later intervals before .* have none and count as 0"):
        usual.update(came(usual, 1.0).iloc[:2], until=usual.starts[6])


def test_a_contact_type_without_rows_is_no_silence():
    two = pd.concat([nhpp(84, 1), nhpp(84, 2, kind="chat")])
    ahead = forecast(two, days=7, samples=50, method="mean-4")
    only = pd.DataFrame({"contact_type": "calls", "interval_start": ahead.starts[:3], "contacts": [30, 40, 50]})
    with pytest.raises(ParameterError, match="no row of 'chat'"):
        ahead.update(only)
    given = pd.concat([only, only.assign(contact_type="chat", contacts=0)])
    assert ahead.update(given).array[:, :3, ahead.contact_types.index("chat")].sum() == 0
