"""The mechanics in a scenario file: read, written back, described, and refused with one sentence that names the line."""

import numpy as np
import pytest
import yaml

import bposim as bp
from bposim.errors import ScenarioError
from bposim.scenario.models import Operation

FULL = """\
name: mechanics
time_zone: UTC
start: 2026-06-01
days: 7
opening_hours: {daily: "08:00-12:00"}
trunks: 40
queue_limit: 30
contact_types:
  billing:
    arrivals: {rate: 60/h}
    handle_time: {exponential: {mean: 3min}}
    after_contact_work: {exponential: {mean: 45s}}
    handle_day_factor: {gamma: {cv: 0.1}}
    patience: {exponential: {mean: 2min}}
    credit: 20s
    queue_limit: 12
    balking: [{queue: 3, probability: 0.1}, {queue: 8, probability: "40%"}]
    redial: {after_abandonment: 0.5, after_blocking: 0.8, delay: {exponential: {mean: 5min}}, at_most: 3, to: sales}
    callback: {expected_wait: 2min, acceptance: 0.4, to: back}
    transfers:
      - {to: sales, probability: 0.1}
      - {to: tech, probability: 0.05, mode: warm, handover: 20s}
  sales:
    arrivals: {rate: 10/h}
    handle_time: {lognormal: {mean: 200s, cv: 0.8}}
    redial: {after_abandonment: 1, delay: {deterministic: {value: 1min}}}
  tech: {arrivals: {rate: 5/h}, handle_time: {exponential: {mean: 6min}}}
  back: {arrivals: {rate: 0.1/h}, handle_time: {exponential: {mean: 3min}}}
  chat: {channel: chat, arrivals: {rate: 30/h}, handle_time: {exponential: {mean: 5min}}}
agent_groups:
  tellers:
    skills: [billing, back]
    heads: 4
    site: manila
    reserve: {back: 1}
    absence: 0.05
    absence_correlation: 0.2
    adherence: 0.9
    breaks: [{at: "18:00", length: 15min, share: 0.5, days: mon-fri}]
  sellers: {skills: {sales: 1.0, billing: 1.2}, heads: 2, day_factor: {gamma: {cv: 0.1}}}
  chatters:
    skills: [chat]
    heads: 2
    concurrency: {contacts: 3, pace: [1.0, 0.8, 0.6]}
  experts:
    skills: [tech]
    absence: 0.1
    agents:
      ana: {speed: 0.9, schedule: {days: mon-thu, start: "08:00", end: "12:00"}}
      ben:
        schedule:
          - {start: "08:00", end: "10:00", breaks: [{at: "09:00", length: 10min}]}
          - {days: "sat,sun", start: "10:30", end: "12:00"}
routing:
  contact_choice: weighted-wait
  agent_choice: most-free
  preference: {billing: [tellers, sellers]}
  group_rank: {sales: {sellers: 2}}
  type_rank: {tellers: {billing: 2, back: 1}}
  weight: {billing: 2, back: {tellers: 3}}
  delay: {billing: {sellers: 30s}}
sites:
  manila:
    time_zone: Asia/Manila
    opening_hours: {daily: "16:00-20:00"}
    closed: [2026-06-05]
    outages:
      - {start: "2026-06-03 17:10", length: 20min, share: 0.5}
      - {every: {exponential: {mean: 30h}}, length: {lognormal: {mean: 20min, cv: 1}}}
"""


def problems_of(text):
    with pytest.raises(ScenarioError) as caught:
        bp.load_scenario(text)
    return caught.value.problems


def line_of(text, part):
    return next(k for k, line in enumerate(text.splitlines(), 1) if part in line)


@pytest.fixture(scope="module")
def full():
    return bp.load_scenario(FULL)


# Reading and writing ---------------------------------------------------------------------------------------------------


def test_every_key_is_read(full):
    billing = full.contact_types["billing"]
    assert [d.mean for d in billing.after_contact_work] == [45]
    assert billing.handle_day_factor.mean == pytest.approx(1)
    assert (billing.credit, billing.queue_limit) == (20, 12)
    assert [(b.queue, b.probability) for b in billing.balking] == [(3, 0.1), (8, 0.4)]
    redial = billing.redial
    assert (redial.after_abandonment, redial.after_blocking, redial.to, redial.at_most) == (0.5, 0.8, "sales", 3)
    assert redial.delay.mean == 300
    assert (billing.callback.expected_wait, billing.callback.acceptance, billing.callback.to) == (120, 0.4, "back")
    assert [(t.to, t.probability, t.mode, t.handover) for t in billing.transfers] == [
        ("sales", 0.1, "cold", 0), ("tech", 0.05, "warm", 20)
    ]  # fmt: skip
    sales = full.contact_types["sales"].redial
    assert (sales.to, sales.at_most, sales.after_blocking) == (None, 20, 0)
    tellers = full.agent_groups["tellers"]
    assert (tellers.site, tellers.reserve, tellers.adherence) == ("manila", {"back": 1}, 0.9)
    assert (tellers.absence, tellers.absence_correlation) == (0.05, 0.2)
    pause = tellers.breaks[0]
    assert (pause.at, pause.length, pause.share, pause.days) == (18 * 60, 900, 0.5, (0, 1, 2, 3, 4))
    assert full.agent_groups["sellers"].day_factor is not None
    many = full.agent_groups["chatters"].concurrency
    assert (many.contacts, many.pace) == (3, (1, 0.8, 0.6))
    ana, ben = full.agent_groups["experts"].agents.values()
    assert (ana.speed, len(ana.schedule), ana.schedule[0].days) == (0.9, 1, (0, 1, 2, 3))
    assert (ben.speed, len(ben.schedule), ben.schedule[0].breaks[0].length) == (1, 2, 600)
    site = full.sites["manila"]
    assert (site.time_zone, [str(d) for d in site.closed]) == ("Asia/Manila", ["2026-06-05"])
    given, random = site.outages
    assert (str(given.start), given.length.mean, given.share, given.every) == ("2026-06-03 17:10:00", 1200, 0.5, None)
    assert (random.start, random.every.mean, random.share) == (None, 108_000, 1)
    assert (full.trunks, full.queue_limit) == (40, 30)
    routing = full.routing
    assert (routing.contact_choice, routing.agent_choice) == ("weighted-wait", "most-free")
    assert routing.weight == {"billing": {"": 2}, "back": {"tellers": 3}}
    assert routing.delay == {"billing": {"sellers": 30}}
    assert (routing.group_rank, routing.type_rank) == (
        {"sales": {"sellers": 2}},
        {"tellers": {"billing": 2, "back": 1}},
    )


def test_round_trip(full, tmp_path):
    again = bp.load_scenario(full.to_yaml())
    assert again == full
    assert again.model_dump() == full.model_dump()
    assert again.hash == full.hash
    assert again.to_yaml() == full.to_yaml()
    assert full.diff(again).empty
    full.to_yaml(tmp_path / "copy.yaml")
    assert bp.load_scenario(tmp_path / "copy.yaml") == full


def test_defaults_are_not_written(full):
    """What is off is not in the file; what is on is, in the words in which it was given."""
    written = yaml.safe_load(full.to_yaml())
    assert written["contact_types"]["billing"]["transfers"][0] == {"to": "sales", "probability": 0.1}
    assert written["contact_types"]["tech"].keys() == {"arrivals", "handle_time", "priority"}
    assert written["routing"]["weight"] == {"billing": 2, "back": {"tellers": 3}}
    assert written["agent_groups"]["tellers"]["breaks"][0]["at"] == "18:00"
    ana = written["agent_groups"]["experts"]["agents"]["ana"]
    assert ana["speed"] == 0.9
    known = {f.alias or n for n, f in Operation.model_fields.items()}
    assert set(written) <= known


def test_every_key_changes_the_hash(full):
    """No key of the mechanics may be left out of what is compared."""
    changes = {
        "trunks": 41, "queue_limit": 31, "contact_types.billing.credit": "21s", "contact_types.billing.queue_limit": 13,
        "contact_types.billing.balking": [{"queue": 3, "probability": 0.2}], "contact_types.billing.redial.at_most": 4,
        "contact_types.billing.redial.to": None, "contact_types.billing.callback.acceptance": 0.5,
        "contact_types.billing.transfers": [], "contact_types.billing.after_contact_work": None,
        "contact_types.billing.handle_day_factor": None, "agent_groups.tellers.reserve": {}, "agent_groups.tellers.site": None,
        "agent_groups.tellers.absence": 0.06, "agent_groups.tellers.absence_correlation": 0.3,
        "agent_groups.tellers.adherence": 1, "agent_groups.tellers.breaks": [],
        "agent_groups.chatters.concurrency": None, "agent_groups.experts.agents.ana.speed": 1, "routing.weight": {},
        "routing.delay": {}, "routing.type_rank": {}, "routing.group_rank": {}, "routing.contact_choice": "fifo",
        "routing.agent_choice": "random", "sites.manila.closed": [], "sites.manila.outages": [],
        "sites.manila.time_zone": "UTC", "sites.manila.opening_hours": None,
    }  # fmt: skip
    hashes = {key: full.replace({key: value}).hash for key, value in changes.items()}
    assert full.hash not in hashes.values(), [k for k, h in hashes.items() if h == full.hash]
    assert len(set(hashes.values())) == len(changes)
    for key, value in changes.items():
        changed = full.replace({key: value})
        assert bp.load_scenario(changed.to_yaml()) == changed, key


def test_short_forms(full):
    one = FULL.replace("length: {lognormal: {mean: 20min, cv: 1}}", "length: 5min")
    assert bp.load_scenario(one).sites["manila"].outages[1].length.mean == 300
    spells = FULL.replace(
        'schedule: {days: mon-thu, start: "08:00", end: "12:00"}', 'schedule: [{start: "22:00", end: "06:00"}]'
    )
    assert bp.load_scenario(spells).agent_groups["experts"].agents["ana"].schedule[0].end == 360


def test_scheduled_heads_of_named_agents(full):
    heads = full.scheduled_heads("experts").reshape(7, 8)
    assert heads[0].tolist() == [2, 2, 2, 2, 1, 1, 1, 1]  # Monday: ana all morning, ben until ten
    assert heads[5].tolist() == [1, 1, 1, 1, 0, 1, 1, 1]  # Saturday: ben until ten and from half past
    assert np.array_equal(heads[4], [1, 1, 1, 1, 0, 0, 0, 0])


# Describing ------------------------------------------------------------------------------------------------------------


def test_describe(full):
    said = full.describe()
    assert list(said.types["contact_type"]) == list(full.contact_types)
    assert list(said.groups["agent_group"]) == list(full.agent_groups)
    experts = said.groups.set_index("agent_group").loc["experts"]
    assert experts["agent_hours"] == pytest.approx(full.scheduled_heads("experts").sum() / 2)


def test_describe_counts_after_contact_work_as_work():
    """Three minutes are three minutes of an agent, whether written as one handle time or as talk and work apart."""
    text = "contact_types: {{a: {{arrivals: {{rate: 60/h}}, {0}}}}}\nagent_groups: {{g: {{skills: [a], heads: 4}}}}\n"
    whole = bp.load_scenario(text.format("handle_time: {exponential: {mean: 3min}}")).describe()
    apart = bp.load_scenario(
        text.format("handle_time: {exponential: {mean: 2min}}, after_contact_work: {exponential: {mean: 1min}}")
    ).describe()
    assert apart.types["handle_time_s"].tolist() == whole.types["handle_time_s"].tolist() == [180]
    assert apart.load["workload_erlangs"].max() == pytest.approx(whole.load["workload_erlangs"].max())


def test_describe_tells_what_is_in_use(full):
    """Show the model before it runs: a reader must see that it has lines, redials, call-backs, transfers, sites, …"""
    said = str(full.describe()).lower().replace("-", "")
    words = ("lines", "redial", "callback", "transfer", "contacts at once", "asia/manila", "balk", "absence")
    assert [w for w in words if w not in said] == []


# Refusing --------------------------------------------------------------------------------------------------------------

WRONG = {
    # id: (good piece, wrong piece, what the message must say, text that marks the line)
    "redial to": ("at_most: 3, to: sales", "at_most: 3, to: sale", "redial.to", "to: sale}"),
    "callback to": ("acceptance: 0.4, to: back", "acceptance: 0.4, to: bakc", "callback.to", "bakc"),
    "transfer to": ("{to: sales, probability: 0.1}", "{to: saless, probability: 0.1}", "transfer", "saless"),
    "site": ("site: manila", "site: manilla", "Did you mean 'manila'", "site: manilla"),
    "reserve": ("reserve: {back: 1}", "reserve: {sales: 1}", "no skill of it", "reserve: {sales: 1}"),
    "group_rank type": ("group_rank: {sales:", "group_rank: {salse:", "routing.group_rank", "salse"),
    "group_rank group": ("{sellers: 2}}", "{seller: 2}}", "Did you mean 'sellers'", "{seller: 2}"),
    "type_rank group": ("type_rank: {tellers:", "type_rank: {teller:", "routing.type_rank", "{teller:"),
    "type_rank type": ("{billing: 2, back: 1}}", "{billing: 2, bak: 1}}", "Did you mean 'back'", "bak: 1"),
    "weight type": ("weight: {billing: 2,", "weight: {biling: 2,", "routing.weight", "biling: 2"),
    "weight group": ("back: {tellers: 3}", "back: {tellars: 3}", "Did you mean 'tellers'", "tellars"),
    "delay type": ("delay: {billing:", "delay: {biling:", "routing.delay", "delay: {biling"),
    "delay group": ("{sellers: 30s}", "{salers: 30s}", "Did you mean 'sellers'", "salers"),
    "delay unit": ("{sellers: 30s}", "{sellers: 30}", 'Write "30s"', "sellers: 30}"),
    "weight 0": ("weight: {billing: 2,", "weight: {billing: 0,", "greater than 0", "billing: 0,"),
    "balking": ("{queue: 3, probability: 0.1}", "{queue: 3, probability: 0.5}", "must rise", "balking"),
    "balking queue": ("{queue: 3, probability: 0.1}", "{queue: 8, probability: 0.1}", "must rise", "balking"),
    "transfers over 1": ("{to: sales, probability: 0.1}", "{to: sales, probability: 0.96}", "must not exceed 1", "transfers:"),
    "cold handover": ("mode: warm, handover", "mode: cold, handover", "belongs to a warm transfer", "mode: cold"),
    "mode": ("mode: warm, handover", "mode: hot, handover", "'cold' or 'warm'", "mode: hot"),
    "pace": ("pace: [1.0, 0.8, 0.6]", "pace: [1.0, 0.8]", "must list 3 numbers", "pace"),
    "one at a time": ("contacts: 3, pace: [1.0, 0.8, 0.6]", "contacts: 1, pace: [1.0]", "greater than or equal to 2", "pace"),
    "outage both": ("{every: {", '{start: "2026-06-04 17:00", every: {', "either start", "every"),
    "outage neither": ("{every: {exponential: {mean: 30h}}, ", "{", "either start", "lognormal: {mean: 20min"),
    "redial key": ("redial: {after_abandonment: 0.5,", "redial: {after_abandonement: 0.5,", "'after_abandonment'", "abandonement"),
    "callback key": ("callback: {expected_wait:", "callback: {expectd_wait:", "'expected_wait'", "expectd_wait"),
    "spell key": ("ana: {speed: 0.9", "ana: {sped: 0.9", "'speed'", "sped"),
    "outage key": ("length: 20min, share: 0.5}\n", "length: 20min, shares: 0.5}\n", "'share'", "shares"),
    "concurrency key": ("contacts: 3, pace", "contact: 3, pace", "'contacts'", "contact: 3"),
    "redial without delay": ("redial: {after_abandonment: 1, delay: {deterministic: {value: 1min}}}",
                             "redial: {after_abandonment: 1}", "delay is missing", "after_abandonment: 1}"),
    "probability": ("after_blocking: 0.8", "after_blocking: 80", "between 0 and 1", "after_blocking: 80"),
    "at_most": ("at_most: 3", "at_most: 0", "greater than or equal to 1", "at_most: 0"),
    "speed": ("speed: 0.9", "speed: 0", "greater than 0", "speed: 0"),
    "trunks": ("trunks: 40", "trunks: 0", "greater than or equal to 1", "trunks: 0"),
    "zone of a site": ("time_zone: Asia/Manila", "time_zone: Asia/Manilla", "Did you mean 'Asia/Manila'", "  manila:"),
    "no schedule": ('ana: {speed: 0.9, schedule: {days: mon-thu, start: "08:00", end: "12:00"}}', "ana: {schedule: []}",
                    "at least 1", "ana:"),
    "choice": ("agent_choice: most-free", "agent_choice: most-fre", "'most-free'", "most-fre"),
}  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG)
def test_one_fault_one_sentence_with_its_line(wrong):
    right, bad, said, mark = WRONG[wrong]
    text = FULL.replace(right, bad, 1)
    assert text != FULL
    found = problems_of(text)
    if wrong in ("callback key", "concurrency key"):  # keys without a default: the right one is missing as well
        found = [p for p in found if "is missing" not in p]
    assert len(found) == 1, found
    assert said in found[0]
    line = line_of(text, mark)
    assert found[0].endswith(f"(scenario text:{line})"), f"{found[0]} should point to line {line}"


def test_warm_transfers_and_several_contacts_at_once():
    text = FULL.replace("skills: [chat]", "skills: [chat, billing]")
    (said,) = problems_of(text)
    assert "warm transfer" in said
    assert "'chatters'" in said
    assert "Write mode: cold" in said
    assert said.endswith(f"(scenario text:{line_of(text, 'mode: warm')})")


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("heads: 3", "heads"),
        ('breaks: [{at: "09:00", length: 10min}]', "breaks"),
        ("adherence: 0.9", "adherence"),
        ("day_factor: {gamma: {cv: 0.1}}", "day_factor"),
        ("heads: [1, 1, 1, 1, 0, 0, 0, 0]", "heads"),
        ("shrinkage: 0.3", "shrinkage"),
    ],
)
def test_named_agents_are_not_counted_as_well(line, word):
    """What counts agents by number says nothing about named ones; unread, it would be a silent wrong answer."""
    text = FULL.replace("    absence: 0.1\n", f"    absence: 0.1\n    {line}\n")
    (said,) = problems_of(text)
    assert f"named agents and {word}" in said
    assert said.endswith(f"(scenario text:{line_of(text, 'experts:')})")


def test_a_plan_does_not_staff_named_agents(full):
    with pytest.raises(ScenarioError, match="named agents"):
        full.with_staffing({"experts": 3.0})


def test_a_named_agents_break_has_no_share():
    text = FULL.replace('breaks: [{at: "09:00", length: 10min}]', 'breaks: [{at: "09:00", length: 10min, share: 0.5}]')
    assert text != FULL
    (said,) = problems_of(text)
    assert "share" in said


def test_all_faults_are_reported_at_once():
    names = ["redial to", "callback to", "site", "reserve", "delay group", "redial key", "pace"]
    text = FULL
    for name in names:
        right, bad, _, _ = WRONG[name]
        text = text.replace(right, bad, 1)
    found = problems_of(text)
    for name in names:
        assert any(WRONG[name][2] in p for p in found), name
    assert len(found) == len(set(found)) == len(names)
