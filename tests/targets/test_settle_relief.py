"""Ledgers worked by hand: what relief leaves out, caps, scales and waives."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from contract_worlds import SPEED, cents, counts_table, days, deal, month_days, months, table

import bposim as bp
from bposim.errors import ParameterError

MISS = {"bands": [{"to": "expected", "credit": 1000}]}


def forecast(start, contacts, freq="D"):
    """Return a Volumes frame of one contact type."""
    starts = pd.date_range(start, periods=len(contacts), freq=freq, tz="UTC")
    return pd.DataFrame({"interval_start": starts, "contact_type": "calls", "contacts": contacts})


def speed(*relief, **more):
    return {"speed": SPEED | MISS | {"relief": list(relief)} | more}


def line(ledger):
    return ledger.lines.iloc[0]


def january(special, within):
    """Return January with 100 contacts a day but for some days, and those in time."""
    return days("2026-01-01", month_days("2026-01", 100, special), month_days("2026-01", 85, within))


FLAT = forecast("2026-01-01", [100.0] * 31)


def test_corridor_by_day_excludes_busy_and_quiet_days():
    # 28 days of 100 with 85 in time, day 7 with 150 (50 in time), day 8 with 110 (70: exactly on the edge stays), day 9 with 80.
    # All: 28 × 85 + 50 + 70 + 40 = 2,540 of 2,800 + 340 = 3,140: 80.89 %. To have a miss, day 7 has 10 in time: 2,500 / 3,140
    # = 79.6 %: 1,000. Out: day 7 (150 > 110) and day 9 (80 < 90): 28 × 85 + 70 = 2,450 of 2,910 = 84.19 %.
    source = january({7: 150, 8: 110, 9: 80}, {7: 10, 8: 70, 9: 40})
    plain = bp.settle(deal(speed()), source)
    assert (line(plain)["numerator"], line(plain)["denominator"]) == (2500, 3140)
    assert plain.amounts("credit") == cents(["1000"])
    eased = bp.settle(deal(speed({"volume": {"by": "day", "below": "90%", "above": "110%"}})), source, forecast=FLAT)
    assert line(eased)[["numerator", "denominator", "excluded"]].tolist() == [2450, 2910, 230]
    assert eased.amounts("credit") == cents(["0"])


def test_the_corridors_edges_belong_to_it():
    # 125 and 75 of 100 foreseen, corridor 75 to 125 %: both stay. 126 and 74 are out.
    corridor = {"volume": {"by": "day", "below": "75%", "above": "125%"}}
    within = bp.settle(deal(speed(corridor)), january({4: 125, 5: 75}, {}), forecast=FLAT)
    assert line(within)["excluded"] == 0
    beyond = bp.settle(deal(speed(corridor)), january({4: 126, 5: 74}, {5: 70}), forecast=FLAT)
    assert line(beyond)["excluded"] == 200
    handle = month_days("2026-01", 200, {2: 250, 3: 251})  # 200 s × 125 % = 250 s stays, 251 s does not
    source = days("2026-01-01", [100] * 31, [81] * 31, handle_s=handle)
    longer = {"handle_time": {"baseline": "200s", "by": "day", "above": "125%"}}
    assert line(bp.settle(deal(speed(longer)), source))["excluded"] == 100


def test_corridor_by_month_leaves_nothing_to_judge():
    # 31 × 120 = 3,720 against 3,100 foreseen: 120 %. The month is out, whatever it was.
    source = days("2026-01-01", [120] * 31, [10] * 31)
    ledger = bp.settle(deal(speed({"volume": {"by": "month", "above": "110%"}})), source, forecast=FLAT)
    assert line(ledger)["status"] == "relieved" and line(ledger)["excluded"] == 3720
    assert ledger.amounts("credit") == cents(["0"])


def test_corridor_around_the_contracts_own_volumes():
    # Contract: 3,000 a month; 3,720 is 124 %: out. Without a forecast a corridor by day has nothing to lie around.
    source = days("2026-01-01", [120] * 31, [10] * 31)
    contract = deal(speed({"volume": {"above": "110%"}}), volumes={"calls": 3000})
    assert line(bp.settle(contract, source))["status"] == "relieved"
    with pytest.raises(
        ParameterError, match=r"'speed' has a volume corridor by day, and there is no forecast.*forecast="
    ):
        bp.settle(deal(speed({"volume": {"by": "day", "above": "110%"}})), source)


def test_corridor_by_interval():
    # Two days of four 6-hour intervals, 50 foreseen in each. Interval 2 has 80 (8 in time): out. 7 × 50 = 350, 7 × 42 = 294: 84 %.
    # With it: 302 of 430 = 70.2 %.
    offered, within = [50, 80, *[50] * 6], [42, 8, *[42] * 6]
    source = days("2026-01-01", offered, within, freq="6h", hours=6.0)
    foreseen = forecast("2026-01-01", [50.0] * 8, freq="6h")
    ledger = bp.settle(deal(speed({"volume": {"by": "interval", "above": "120%"}})), source, forecast=foreseen)
    assert line(ledger)[["numerator", "denominator", "excluded", "credit"]].tolist() == [294, 350, 80, 0]
    assert bp.settle(deal(speed()), source).amounts("credit") == cents(["1000"])


def test_capped_volume_by_month():
    # 11,000 foreseen × 110 % = 12,100; 12,500 came: the 400 above are taken for the worst served. 9,700 of 12,500 = 77.6 %:
    # 2.4 points. Capped: 9,700 of 12,100 = 80.17 %: met.
    clause = SPEED | MISS | {"relief": [{"volume": {"above": "110%"}, "effect": "cap"}]}
    frame = counts_table("speed", [(9700, 12500)])
    with pytest.raises(ParameterError, match="no column 'offered'"):
        bp.settle(deal({"speed": clause}), frame)
    source = days("2026-01-01", [12500] + [0] * 30, [9700] + [0] * 30)
    ledger = bp.settle(deal({"speed": clause}), source, forecast=forecast("2026-01-01", [11000.0] + [0.0] * 30))
    assert line(ledger)[["numerator", "denominator", "excluded", "credit"]].tolist() == [9700, 12100, 400, 0]


def test_capped_volume_by_day_never_makes_good_what_was_late_elsewhere():
    # Days of 100; day 3 has 160 with 90 in time: 50 above 110 leave, its 70 late ones go down to 20: 90 of 110.
    # Day 4 has 130 with 125 in time: 20 above leave; only 5 were late, so 110 of 110.
    # Together 29 × 78 + 90 + 110 = 2,462 of 29 × 100 + 220 = 3,120: 78.9 %: missed all the same.
    source = january({3: 160, 4: 130}, {d: 78 for d in range(1, 32)} | {3: 90, 4: 125})
    ledger = bp.settle(deal(speed({"volume": {"by": "day", "above": "110%"}, "effect": "cap"})), source, forecast=FLAT)
    assert line(ledger)[["numerator", "denominator", "excluded", "credit"]].tolist() == [2462, 3120, 70, 1000]


def test_capped_volume_of_abandonment_takes_abandoned_contacts_off():
    # 130 came of 100 foreseen (cap 110), 12 hung up: the 20 above leave, the 12 among them first: 0 of 110.
    # The other 30 days 100 with 6 lost: 180 of 3,000. Together 180 of 3,110 = 5.79 %: above 5 %.
    lost = month_days("2026-01", 6, {2: 12})
    source = days("2026-01-01", month_days("2026-01", 100, {2: 130}), [0] * 31, abandoned=lost)
    clause = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude",
              "relief": [{"volume": {"by": "day", "above": "110%"}, "effect": "cap"}],
              "bands": [{"from": "expected", "credit": 1000}]}  # fmt: skip
    ledger = bp.settle(deal({"lost": clause}), source, forecast=FLAT)
    assert line(ledger)[["numerator", "denominator", "excluded", "credit"]].tolist() == [180, 3110, 20, 1000]


def test_capped_days_in_a_share_of_days():
    # 30 days of 85 of 100 pass. Day 9: 90 of 150 = 60 % fails; capped at 110: 90 of 110 = 81.8 % passes: 31 of 31.
    clause = {"aggregation": "share_of_days", "pass_level": "80%", "levels": {"expected": "100%"}}
    source = january({9: 150}, {9: 90})
    plain = bp.settle(deal(speed(**clause)), source)
    assert line(plain)[["numerator", "denominator", "credit"]].tolist() == [30, 31, 1000]
    eased = bp.settle(
        deal(speed({"volume": {"by": "day", "above": "110%"}, "effect": "cap"}, **clause)), source, forecast=FLAT
    )
    assert line(eased)[["numerator", "denominator", "credit"]].tolist() == [31, 31, 0]


def test_scaled_target():
    # 120 % of the forecast, corridor up to 110 %: 80 % × 110 / 120 = 73.33 %. 74 % is met; without relief it is missed.
    source = days("2026-01-01", [120] * 31, [88.8] * 31)
    ledger = bp.settle(deal(speed({"volume": {"above": "110%"}, "effect": "scale"})), source, forecast=FLAT)
    assert line(ledger)["level"] == pytest.approx(0.80 * 110 / 120, abs=1e-9)
    assert line(ledger)["value"] == pytest.approx(0.74)
    assert ledger.amounts("credit") == cents(["0"])
    assert bp.settle(deal(speed()), source).amounts("credit") == cents(["1000"])


def test_scaled_target_where_low_is_good():
    # 30 s × 120 / 110 = 32.73 s. At 32 s met; at 34 s: 34 − 32.727 = 1.27, one full second: 500.
    clause = {"metric": "asa", "window": "month", "levels": {"expected": "30s"}, "missing": "exclude",
              "relief": [{"volume": {"above": "110%"}, "effect": "scale"}], "linear": {"per": "1s", "credit": 500, "steps": "full"}}  # fmt: skip
    for wait, credit in ((32, "0"), (34, "500")):
        source = days("2026-01-01", [120] * 31, [0] * 31, wait_s=[wait] * 31)
        assert bp.settle(deal({"answer": clause}), source, forecast=FLAT).amounts("credit") == cents([credit])


def test_handle_time_corridor_excludes_days():
    # Day 2 has handle times of 360 s against 300 × 110 % = 330 s: out with its 100 contacts (20 in time).
    # 30 × 81 = 2,430 of 3,000 = 81 %; with it 2,450 of 3,100 = 79.03 %.
    handle = month_days("2026-01", 300, {2: 360})
    source = days("2026-01-01", [100] * 31, month_days("2026-01", 81, {2: 20}), handle_s=handle)
    corridor = {"handle_time": {"baseline": "300s", "by": "day", "above": "110%"}}
    ledger = bp.settle(deal(speed(corridor)), source)
    assert line(ledger)[["numerator", "denominator", "excluded", "credit"]].tolist() == [2430, 3000, 100, 0]
    assert bp.settle(deal(speed()), source).amounts("credit") == cents(["1000"])


def test_handle_time_corridor_scales_and_waives():
    # Month's mean 345 s against 330: 80 % × 330 / 345 = 76.52 %. 77 % met, 76 % missed; waived, neither costs.
    for within, credit in ((77, "0"), (76, "1000")):
        source = days("2026-01-01", [100] * 31, [within] * 31, handle_s=[345] * 31)
        corridor = {"handle_time": {"baseline": "300s", "above": "110%"}}
        assert bp.settle(deal(speed(corridor | {"effect": "scale"})), source).amounts("credit") == cents([credit])
        waived = bp.settle(deal(speed(corridor | {"effect": "waive"})), source)
        assert waived.amounts("credit") == cents(["0"]) and line(waived)["status"] == "waived"
        assert line(waived)["value"] == within / 100  # measured all the same


def test_outage_leaves_its_intervals_out():
    # Quarter days: 9 January 07:30 to 14:00 touches intervals 2 and 3 (06–12, 12–18) of that day; each 25 contacts, none in time.
    # 122 intervals of 25 with 20.25 in time: 2,470.5 of 3,050 = 81 %; with them 2,470.5 of 3,100 = 79.7 %.
    n = 31 * 4
    within = np.full(n, 20.25)
    within[8 * 4 + 1 : 8 * 4 + 3] = 0
    source = days("2026-01-01", [25] * n, within, freq="6h", hours=6.0)
    event = {"cause": "outage", "start": "2026-01-09 07:30", "end": "2026-01-09 14:00"}
    contract = deal(speed({"cause": "outage"}))
    eased = bp.settle(contract, source, events=[event])
    assert line(eased)[["numerator", "denominator", "excluded", "credit"]].tolist() == [2470.5, 3050, 50, 0]
    assert bp.settle(contract, source).amounts("credit") == cents(["1000"])
    other = {**event, "cause": "training"}
    assert bp.settle(contract, source, events=[other]).amounts("credit") == cents(["1000"])  # no relief for that


def test_what_the_client_caused_waives_the_month():
    source = days("2026-01-01", [100] * 59, [50] * 59)
    event = {"cause": "client_caused", "start": "2026-02-10", "end": "2026-02-12"}
    ledger = bp.settle(deal(speed({"cause": "client_caused", "effect": "waive"})), source, events=[event])
    assert ledger.amounts("credit") == cents(["1000", "0"])
    assert ledger.lines["status"].tolist() == ["missed", "waived"]
    assert ledger.settled.missed[0, :, 0].tolist() == [True, False]


def test_events_that_cannot_be_read_are_told_at_once():
    source = days("2026-01-01", [100] * 31, [50] * 31)
    wrong = [{"cause": "flood", "start": "2026-01-02", "end": "2026-01-03"}, {"cause": "outage", "start": "2026-01-05", "end": "2026-01-04"},
             {"cause": "outage", "start": "soon", "end": "2026-01-04"}]  # fmt: skip
    with pytest.raises(ParameterError) as error:
        bp.settle(deal(speed({"cause": "outage"})), source, events=wrong)
    assert len(error.value.problems) == 3


def test_a_forecast_with_holes_is_refused():
    source = days("2026-01-01", [100] * 31, [50] * 31)
    with pytest.raises(ParameterError, match=r"holds nothing of 11 of 31.*\(first 2026-01-21"):
        bp.settle(
            deal(speed({"volume": {"by": "day", "above": "110%"}})),
            source,
            forecast=forecast("2026-01-01", [100.0] * 20),
        )


def test_clause_hours_are_a_matter_of_scope_not_of_relief():
    # Only 06:00 to 18:00 counts: intervals 2 and 3 of four: 2 × 25 × 31 = 1,550; nothing of it is "excluded".
    n = 31 * 4
    within = np.tile([5.0, 22.0, 22.0, 5.0], 31)
    source = days("2026-01-01", [25] * n, within, freq="6h", hours=6.0)
    ledger = bp.settle(deal(speed(hours={"daily": "06:00-18:00"})), source)
    assert line(ledger)[["numerator", "denominator", "excluded"]].tolist() == [1364, 1550, 0]
    closed = bp.settle(deal(speed(hours={"daily": "06:00-18:00"}, closed=["2026-01-01"])), source)
    assert line(closed)["denominator"] == 1500


def test_relief_by_month_from_a_table():
    # January 120 % of the forecast: waived. February 105 %: missed, 1,000. Scaled, January's level is 80 × 110 / 120.
    wide = pd.DataFrame(
        {"month": months(2), "speed": [0.70, 0.70], "offered": [12000, 10500], "forecast": [10000, 10000]}
    )
    waived = bp.settle(deal(speed({"volume": {"above": "110%"}, "effect": "waive"})), wide)
    assert waived.amounts("credit") == cents(["0", "1000"])
    scaled = bp.settle(deal(speed({"volume": {"above": "110%"}, "effect": "scale"})), wide)
    assert scaled.lines["level"].round(6).tolist() == [0.733333, 0.8]
    gone = bp.settle(deal(speed({"volume": {"above": "110%"}})), wide)
    assert gone.lines["status"].tolist() == ["relieved", "missed"]


def test_a_table_that_tells_what_was_excluded():
    # Relief by day was laid on the counts before: 230 contacts are out, and the ledger says so.
    told = counts_table("speed", [(2450, 2910)], excluded=230)
    contract = deal(speed({"volume": {"by": "day", "above": "110%"}}))
    assert line(bp.settle(contract, told))[["numerator", "denominator", "excluded"]].tolist() == [2450, 2910, 230]
    with pytest.raises(ParameterError, match="relief by day, which a table by month does not tell"):
        bp.settle(contract, counts_table("speed", [(2450, 2910)]))


def quarters(special=None):
    """Return January in quarter days of 25 contacts with 20 in time, but for some."""
    offered = np.full(31 * 4, 25.0)
    for k, n in (special or {}).items():
        offered[k] = n
    return days("2026-01-01", offered, offered * 0.7, freq="6h", hours=6.0)


def test_a_corridor_within_hours_compares_the_hours_alone():
    # As foreseen in every quarter day: no relief. Nights (as many contacts again) belong to neither side.
    corridor = {"volume": {"by": "day", "below": "90%", "above": "110%"}}
    hours = {"hours": {"daily": "06:00-18:00"}}
    foreseen = forecast("2026-01-01", [25.0] * 124, freq="6h")
    ledger = bp.settle(deal(speed(corridor, **hours)), quarters(), forecast=foreseen)
    assert line(ledger)[["denominator", "excluded", "credit"]].tolist() == [1550, 0, 1000]
    # 3 January 06:00 has 31 for 25: 56 of 50 in the hours is 112 %, of the whole day 106 of 100.
    ledger = bp.settle(deal(speed(corridor, **hours)), quarters({9: 31}), forecast=foreseen)
    assert line(ledger)[["denominator", "excluded"]].tolist() == [1500, 56]
    with pytest.raises(ParameterError, match=r"coarser than the hours \(first 2026-01-01.*by interval"):
        bp.settle(deal(speed(corridor, **hours)), quarters(), forecast=FLAT)


def test_a_closed_day_belongs_to_neither_side():
    # The 1st is closed for the clause: 30 days of 100 against 30 × 100 foreseen; with it on one side 3,100 would be 103 %.
    clause = speed({"volume": {"above": "102%", "below": "98%"}}, closed=["2026-01-01"])
    ledger = bp.settle(deal(clause), days("2026-01-01", [100] * 31, [70] * 31), forecast=FLAT)
    assert line(ledger)[["denominator", "excluded", "status"]].tolist() == [3000, 0, "missed"]


def test_a_finer_forecast_is_added_up_to_the_counts():
    # Three-hour forecast of 12.5 against counts by six hours of 25: as foreseen.
    corridor = {"volume": {"by": "interval", "below": "90%", "above": "110%"}}
    fine = forecast("2026-01-01", [12.5] * 248, freq="3h")
    assert line(bp.settle(deal(speed(corridor)), quarters(), forecast=fine))["excluded"] == 0
    with pytest.raises(ParameterError, match=r"not all of it \(first 2026-01-02 00:00"):
        bp.settle(deal(speed(corridor)), quarters(), forecast=fine.drop(index=[8]))


def test_a_month_foreseen_in_part_is_refused():
    # 20 of 31 days foreseen: 3,100 of 2,000 would be 155 % and the month relieved.
    with pytest.raises(ParameterError, match=r"corridor by month.*not all of it.*2026-01-21"):
        bp.settle(
            deal(speed({"volume": {"above": "110%"}})),
            days("2026-01-01", [100] * 31, [50] * 31),
            forecast=forecast("2026-01-01", [100.0] * 20),
        )


def test_a_forecast_by_month_is_no_corridor_by_day():
    monthly = forecast("2026-01-01", [3100.0, 2800.0], freq="MS")
    source = days("2026-01-01", [100] * 59, [50] * 59)
    assert bp.settle(deal(speed({"volume": {"above": "110%"}})), source, forecast=monthly).amounts("credit") == cents(
        ["1000", "1000"]
    )
    with pytest.raises(ParameterError, match=r"coarser than that.*by day"):
        bp.settle(deal(speed({"volume": {"by": "day", "above": "110%"}})), source, forecast=monthly)


def test_unknown_contacts_count_on_neither_side_of_a_corridor():
    # Day 5 is not known: 30 days of 100 against 30 × 100. With 3,100 foreseen it would be 96.8 %, below 98 %.
    source = january({5: np.nan}, {5: np.nan})
    with pytest.warns(bp.errors.DataQualityWarning) as told:
        ledger = bp.settle(deal(speed({"volume": {"below": "98%"}}, levels={"expected": "90%"})), source, forecast=FLAT)
    assert any("left out of contacts and forecast" in str(w.message) for w in told)
    assert line(ledger)[["excluded", "credit"]].tolist() == [0, 1000]


def test_a_cap_takes_out_what_an_outage_left_above_the_corridor():
    # 100 a day, 50 foreseen a day: 1,550 × 110 % = 1,705, so 1,395 of 3,100 are above. The outage of days 1 to 15 leaves out 1,500,
    # and with them all that was above: 1,600 stay, 60 in time each day: 960 of 1,600.
    source = days("2026-01-01", [100] * 31, [60] * 31)
    half = forecast("2026-01-01", [50.0] * 31)
    cap, outage = {"volume": {"above": "110%"}, "effect": "cap"}, {"cause": "outage"}
    event = {"cause": "outage", "start": "2026-01-01", "end": "2026-01-16"}
    for relief in ([cap, outage], [outage, cap]):
        ledger = bp.settle(deal(speed(*relief)), source, forecast=half, events=[event])
        assert line(ledger)[["numerator", "denominator", "excluded"]].tolist() == [960, 1600, 1500]
    # An outage of five days leaves 895 above: 1,705 stay, of which 26 × 60 = 1,560 in time.
    event["end"] = "2026-01-06"
    ledger = bp.settle(deal(speed(cap, outage)), source, forecast=half, events=[event])
    assert line(ledger)[["numerator", "denominator", "excluded"]].tolist() == [1560, 1705, 1395]


def test_a_second_cap_is_refused():
    caps = [{"volume": {"by": by, "above": "110%"}, "effect": "cap"} for by in ("day", "month")]
    with pytest.raises(bp.errors.ScenarioError, match="reliefs 1 and 2 both cap the volume"):
        deal(speed(*caps))


def test_a_waived_month_keeps_its_bonus():
    clause = speed({"cause": "client_caused", "effect": "waive"})
    clause["speed"] |= {"linear": [], "bands": [{"to": "expected", "credit": 1000}, {"from": "90%", "bonus": 500}]}
    source = days("2026-01-01", [100] * 59, [95] * 31 + [50] * 28)
    events = [{"cause": "client_caused", "start": f"2026-0{m}-10", "end": f"2026-0{m}-12"} for m in (1, 2)]
    ledger = bp.settle(deal(clause), source, events=events)
    assert ledger.amounts("bonus") == cents(["500", "0"]) and ledger.amounts("credit") == cents(["0", "0"])


def test_a_scaled_target_is_no_easier_bonus():
    # 120 for 100 foreseen scale 80 % to 73.3 % and 90 % to 82.5 %: 85 % meets the target and earns nothing.
    clause = speed({"volume": {"above": "110%"}, "effect": "scale"})
    clause["speed"] |= {"linear": [], "bands": [{"to": "expected", "credit": 1000}, {"from": "90%", "bonus": 500}]}
    source = days("2026-01-01", [120] * 31, [120 * 0.85] * 31)
    ledger = bp.settle(deal(clause), source, forecast=FLAT)
    assert ledger.amounts("bonus") == cents(["0"]) and ledger.amounts("credit") == cents(["0"])


@pytest.mark.parametrize(
    ("wrong", "said"),
    [({"end": None}, "event 1 has no end"), ({"contact_type": "cals"}, "no contact type. Did you mean 'calls'")],
)
def test_an_event_that_could_not_apply_is_refused(wrong, said):
    event = {"cause": "outage", "start": "2026-01-02", "end": "2026-01-03"} | wrong
    with pytest.raises(ParameterError, match=said):
        bp.settle(deal(speed({"cause": "outage"})), january({}, {}), events=[event])


def test_a_tables_event_of_another_queue_does_not_count():
    clause = speed({"cause": "outage", "effect": "waive"})
    clause["speed"]["scope"] = {"contact_types": ["calls"]}
    event = {"cause": "outage", "start": "2026-01-02", "end": "2026-01-03", "contact_type": "mail"}
    frame = counts_table("speed", [(50, 100)])
    assert bp.settle(deal(clause), frame, events=[event]).lines["status"].tolist() == ["missed"]
    assert bp.settle(deal(clause), frame, events=[event | {"contact_type": "calls"}]).lines["status"].tolist() == [
        "waived"
    ]


def test_a_month_of_which_nothing_was_judged_is_not_met():
    clause = speed({"cause": "outage"})
    clause["speed"]["window"] = "day"
    event = {"cause": "outage", "start": "2026-01-01", "end": "2026-02-01"}
    ledger = bp.settle(deal(clause), january({}, {}), events=[event])
    assert ledger.lines["status"].tolist() == ["relieved"]


@pytest.mark.parametrize("hours", ["09:00-17:00", "06:00-13:00"])
def test_intervals_that_hours_cut_are_refused(hours):
    source = days("2026-01-01", [25] * 124, [20] * 124, freq="6h", hours=6.0)
    with pytest.raises(ParameterError, match=r"'speed' has hours of its own.*2026-01-01 (06|12):00 lies partly"):
        bp.settle(deal(speed(hours={"daily": hours})), source)
    with pytest.raises(ParameterError, match="partly within"):
        bp.settle(deal(speed(hours={"daily": hours})), january({}, {}))


@pytest.mark.parametrize(("counting", "kept", "of"), [("answered", 70, 100), ("offered", 70, 110)])
def test_a_cap_takes_out_first_what_the_rule_does_not_count(counting, kept, of):
    # Each day 160 come for 100 foreseen; 60 hang up, 70 of the 100 answered are in time. 50 lie above the corridor of 110. Of the
    # answered they are none: 70 of 100. Of the offered they are the late ones: 70 of 110.
    cap = {"volume": {"by": "day", "above": "110%"}, "effect": "cap"}
    source = days("2026-01-01", [160] * 31, 70, abandoned=[60] * 31)
    foreseen = pd.DataFrame({"interval_start": source.table.starts, "contact_type": "calls", "contacts": 100.0})
    ledger = bp.settle(deal({"speed": SPEED | {"counting": counting, "relief": [cap]}}), source, forecast=foreseen)
    line = ledger.lines.iloc[0]
    assert (line["numerator"], line["denominator"]) == (31 * kept, 31 * of)
    # The same by month, of a table with a row for each clause and month; a month within its corridor keeps its value.
    of = 31 * (100 if counting == "answered" else 160)
    told = counts_table("speed", [(2170, of), (1000, 2000)], offered=[4960, 2000], forecast=[3100, 2000])
    month = {"volume": {"by": "month", "above": "110%"}, "effect": "cap"}
    ledger = bp.settle(deal({"speed": SPEED | {"counting": counting, "relief": [month]}}), told)
    assert ledger.lines["denominator"].tolist() == [3100 if counting == "answered" else 3410, 2000]
    assert ledger.lines["value"].tolist() == pytest.approx([2170 / (3100 if counting == "answered" else 3410), 0.5])
    wide = table(speed=[0.7], offered=[900], forecast=[1000])
    missed = deal(
        {"speed": SPEED | {"counting": counting, "relief": [month], "bands": [{"to": "expected", "credit": 1000}]}}
    )
    assert bp.settle(missed, wide).total("credit") == 1000
    with pytest.raises(ParameterError, match="a row for each clause and month"):
        bp.settle(missed, table(speed=[0.7], offered=[1200], forecast=[1000]))


def test_a_scaled_target_earns_no_other_clauses_bonus_and_no_credit_back():
    # 70 % of 80 %, scaled to 80 × 1000/1200 = 66.7 % by the surge: no credit for speed, and no bonus elsewhere for it either.
    scale = {"volume": {"by": "window", "above": "100%"}, "effect": "scale"}
    speed = SPEED | {"relief": [scale], "bands": [{"to": "expected", "credit": 1000}], "earn_back": {"following": 1}}
    happy = {"metric": "csat", "window": "month", "levels": {"expected": "85%"}, "missing": "exclude",
             "bands": [{"from": "expected", "bonus": 500, "requires": {"speed": "expected"}}]}  # fmt: skip
    contract = deal({"speed": speed, "happy": happy})
    surge = {"offered": [1000, 1200], "forecast": [1000, 1000], "happy": [0.9, 0.9]}
    ledger = bp.settle(contract, table(speed=[0.7, 0.7], **surge))
    assert ledger.amounts("credit") == cents(["1000", "0"])
    assert ledger.amounts("bonus") == cents(["0", "0"]) and ledger.amounts("earn_back") == cents(["0", "0"])
    assert bp.settle(contract, table(speed=[0.7, 0.8], **surge)).amounts("earn_back") == cents(["0", "1000"])


@pytest.mark.parametrize("relief", [{"volume": {"by": "window", "above": "110%"}, "effect": "waive"},
                                    {"handle_time": {"by": "window", "above": "110%", "baseline": "300s"}, "effect": "waive"}])  # fmt: skip
def test_a_table_that_does_not_tell_what_a_corridor_needs_is_refused(relief):
    """A month without its forecast had no relief, in silence."""
    contract = deal({"speed": SPEED | {"relief": [relief], "bands": [{"to": "expected", "credit": 1000}]}})
    known = {"offered": [1200, 1200], "forecast": [1000, np.nan], "handle_time_s": [400, np.nan]}
    with pytest.raises(ParameterError, match=r"does not tell .* of 2026-02"):
        bp.settle(contract, table(speed=[0.7, 0.7], **known))
    assert bp.settle(contract, table(speed=[0.7, np.nan], **known)).total("credit") == 0  # nothing is judged there


def test_a_table_has_one_volume_for_all():
    relief = [{"volume": {"by": "window", "above": "110%"}, "effect": "waive"}]
    clauses = {n: SPEED | {"relief": relief, "scope": {"contact_types": [n]}} for n in ("voice", "chat")}
    with pytest.raises(ParameterError, match="clauses voice, chat have corridors about different contacts"):
        bp.settle(deal(clauses), table(voice=[0.7], chat=[0.9], offered=[1200], forecast=[1000]))
    each = pd.concat([counts_table("voice", [(70, 100)], offered=[1200], forecast=[1000]),
                      counts_table("chat", [(70, 100)], offered=[900], forecast=[1000])])  # fmt: skip
    assert bp.settle(deal(clauses), each).lines["status"].tolist() == ["waived", "missed"]
    slow = {"handle_time": {"by": "window", "above": "110%", "baseline": "300s"}, "effect": "waive"}
    mixed = deal(clauses | {"chat": clauses["chat"] | {"relief": [slow]}})
    both = table(voice=[0.7], chat=[0.7], offered=[1200], forecast=[1000], handle_time_s=[300])
    assert bp.settle(mixed, both).lines["status"].tolist() == ["waived", "missed"]


def test_a_scaled_year_brings_nothing_back_and_conditions_of_credits_are_scaled():
    # 60 % in January, then 72 % in a surge that scales 80 % to 66.7 %: the year's 71 % is below 80 %.
    scale = {"volume": {"by": "window", "above": "100%"}, "effect": "scale"}
    speed = SPEED | {"relief": [scale], "bands": [{"to": "70%", "credit": 1000}], "earn_back": {"over": "year"}}
    surge = {"offered": [1000] + [1200] * 11, "forecast": [1000] * 12}
    ledger = bp.settle(deal({"speed": speed}), table(speed=[0.6] + [0.72] * 11, **surge))
    assert ledger.total("credit") == 1000 and ledger.total("earn_back") == 0
    # A credit that is due only where speed was kept, as relief has it.
    lost = {"metric": "abandonment", "window": "month", "levels": {"expected": "5%"}, "missing": "exclude",
            "bands": [{"from": "expected", "credit": 300, "requires": {"speed": "expected"}}]}  # fmt: skip
    ledger = bp.settle(
        deal({"speed": SPEED | {"relief": [scale]}, "lost": lost}),
        table(speed=[0.7, 0.7], lost=[0.1, 0.1], offered=[1000, 1200], forecast=[1000, 1000]),
    )
    assert ledger.amounts("credit", "lost") == cents(["0", "300"])
