"""Loading the contact centre: what is right is read, and every mistake is named with its place and a way out."""

from __future__ import annotations

from datetime import date, time
from pathlib import Path

import pytest

from shared.contact_centre import loader, yaml_files
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import Calendar, Hours
from shared.errors import ConfigurationError

CENTRE = """\
name: House
languages: [no, en]
fallback_language: en
accounts:
  sms:1:
    title: One
    department: sales
    flow: main
    settings: {speed: 5, fast: true}
departments:
  sales:
    title: {en: Sales, no: Salg}
    pool: all
    keywords: {en: [buy]}
pools: {all: {}}
agents:
  desk:
    name: Desk
    pool: all
    languages: [no]
    departments: [sales]
    calendar: day
calendars:
  day:
    time_zone: Europe/Oslo
    holidays: [NO]
    closed: [2026-12-24]
    hours:
      - days: [mon, tue]
        from: 8:30
        until: 17:00
        breaks: [{from: 12:00, until: 12:30}]
promises:
  - name: hour
    calendar: day
    first_response: {target_minutes: 60, warn_before_minutes: [15]}
templates:
  - name: back
    channel: sms
    purpose: come_back
    category: utility
    accounts: ["sms:1"]
    languages: {en: {body: "Hi {{1}}", parameters: 1}}
windows: {sms: {}}
faq:
  - id: hours
    questions: {en: [when do you open]}
    answers: {en: At nine.}
flows:
  main:
    greeting: {en: Hello}
    away: {en: "Back {day} {time}"}
    faq: [hours]
    start: menu
    steps:
      menu:
        kind: menu
        text: {en: Choose}
        options:
          - {id: a, title: {en: A}, next: ask}
          - {id: b, title: {en: B}, next: listen}
      ask: {kind: question, text: {en: Why}, attribute: why, next: check}
      check: {kind: condition, attribute: why, equals: because, next: leave, otherwise: mark}
      mark: {kind: tag, tag: odd, next: note}
      note: {kind: set_attribute, attribute: odd, value: "yes", next: say}
      say: {kind: answer, text: {en: Well}, next: leave}
      leave: {kind: hand_off, department: sales}
      listen: {kind: faq, otherwise: bye}
      bye: {kind: close}
"""


def mistakes_of(directory: Path) -> list[str]:
    """Return the mistakes in `directory` as `file:line: message`, without the directory."""
    with pytest.raises(ConfigurationError) as caught:
        load_contact_centre(directory)
    return [str(mistake).removeprefix(f"{directory}/") for mistake in caught.value.mistakes]


def write(directory: Path, text: str, *, file: str = "centre.yaml") -> Path:
    """Write one file of the contact centre and return the directory."""
    (directory / file).write_text(text, "utf-8")
    return directory


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    """Norwegian is a language and not false, 8:30 and 12:00 are times and not numbers, a date is a date."""
    centre = load_contact_centre(write(tmp_path, CENTRE))
    assert centre.languages == ("no", "en")
    hours = centre.calendars["day"].hours[0]
    assert (hours.from_.hour, hours.from_.minute, hours.breaks[0].from_.hour) == (8, 30, 12)
    assert centre.calendars["day"].closed[0].isoformat() == "2026-12-24"
    assert centre.accounts["sms:1"].settings == {"speed": 5, "fast": True}
    assert centre.flows["main"].steps["note"].value == "yes"


def test_sections_may_be_spread_over_files(tmp_path: Path) -> None:
    """Entries of a mapping are joined, lists follow one another in the order of the files' names; lines are those of the file."""
    write(tmp_path, CENTRE, file="a.yaml")
    write(tmp_path, "pools:\n  other: {}\npromises:\n  - name: second\n    calendar: dya\n    channels: [sms]\n", file="b.yaml")
    assert mistakes_of(tmp_path) == [
        "b.yaml:4: this is never reached: 'hour' before it matches every conversation",
        "b.yaml:4: this promises nothing; give first_response, next_response or resolution",
        "b.yaml:5: unknown calendar 'dya'; did you mean 'day'?",
    ]


def test_what_stands_in_two_files_is_a_mistake(tmp_path: Path) -> None:
    """An entry of a mapping, or a value: the second place is named, and the first."""
    write(tmp_path, CENTRE, file="a.yaml")
    write(tmp_path, "name: Other\npools:\n  all: {}\n", file="b.yaml")
    assert mistakes_of(tmp_path) == [
        f"b.yaml:1: name stands twice; the first is in {tmp_path}/a.yaml:1",
        f"b.yaml:3: pools.all stands twice; the first is in {tmp_path}/a.yaml:15",
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        # one value
        ("name: Desk", "nme: Desk", ["17: agents.desk lacks 'name'", "18: unknown field 'nme'; did you mean 'name'?"]),
        ("name: House", "nmae: House", ["1: the contact centre lacks 'name'", "1: unknown field 'nmae'; did you mean 'name'?"]),
        ("from: 8:30", "from: 830", ["30: calendars.day.hours.0.from is 830; write a time of day as HH:MM, for example 08:30"]),
        ("from: 8:30", "from: 25:30", ["30: calendars.day.hours.0.from is '25:30'; input should be in a valid time format"]),
        ("[2026-12-24]", "[20261224]", ["27: calendars.day.closed.0 is 20261224; write a date as YYYY-MM-DD, for example 2026-12-24"]),
        ("[no, en]", "[no, en, Latvian]", ["2: 'Latvian' is no language; write its tag, for example pt or pt-BR"]),
        ("pools: {all", "pools: {My Pool: {}, all", ["15: 'My Pool' is no name; write lower case letters, digits, '_', '.' or '-'"]),
        ("calendar: day\ncal", "calendar:\ncal", ["22: agents.desk.calendar has no value"]),
        ("name: Desk", "name: [Desk]", ["18: agents.desk.name: Input should be a valid string"]),
        ("days: [mon, tue]", "days: []", ["29: calendars.day.hours.0.days"]),
        (
            "name: Desk",
            f"name: {'x' * 30}\n    skills: {'y' * 99}",
            [f"19: agents.desk.skills is '{'y' * 59}…; input should be a valid tuple"],
        ),
        # names that do not exist
        ("fallback_language: en", "fallback_language: es", ["3: unknown language 'es'; there is en, no"]),
        ("department: sales\n", "department: slaes\n", ["7: unknown department 'slaes'; did you mean 'sales'?"]),
        ("flow: main", "flow: mian", ["8: unknown flow 'mian'; did you mean 'main'?"]),
        ("flow: main", "language: es", ["8: unknown language 'es'; there is en, no"]),
        ("    pool: all\n    keyw", "    pool: al\n    keyw", ["13: unknown pool 'al'; did you mean 'all'?"]),
        ("{en: Sales, no", "{en: Sales, es", ["12: unknown language 'es'; there is en, no"]),
        ("keywords: {en", "keywords: {es", ["14: unknown language 'es'; there is en, no"]),
        ("calendar: day\ncal", "calendar: night\ncal", ["22: unknown calendar 'night'; there is day"]),
        ("languages: [no]\n", "languages: [no, de]\n", ["20: unknown language 'de'; there is en, no"]),
        ("departments: [sales]", "departments: [sale]", ["21: unknown department 'sale'; did you mean 'sales'?"]),
        ("Europe/Oslo", "Europe/Olso", ["25: unknown time zone 'Europe/Olso'; did you mean 'Europe/Oslo'?"]),
        ("[NO]", "[XX]", ["26: no holidays are known for country 'XX'; write its ISO 3166 code, for example LV"]),
        ("[NO]", "[US-CX]", ["26: no holidays are known for 'CX' in US"]),
        ("- name: hour", "- channels: [mail]\n    name: hour", ["34: unknown channel 'mail'; there is sms"]),
        ("- name: hour", "- departments: [a]\n    name: hour", ["34: unknown department 'a'; there is sales"]),
        ("channel: sms", "channel: smss", ["39: unknown channel 'smss'; did you mean 'sms'?", "42: unknown smss account 'sms:1'"]),
        ('["sms:1"]', '["sms:1", "sms:2"]', ["42: unknown sms account 'sms:2'; did you mean 'sms:1'?"]),
        ("{sms: {}}", "{sms: {}, fax: {}}", ["44: unknown channel 'fax'; there is sms"]),
        ("faq: [hours]", "faq: [hour]", ["53: unknown FAQ entry 'hour'; did you mean 'hours'?"]),
        ("start: menu", "start: mneu", ["54: unknown step 'mneu'; did you mean 'menu'?"]),
        (
            "next: listen}",
            "next: liste}",
            ["61: unknown step 'liste'; did you mean 'listen'?", "68: step 'listen' is never", "69: step 'bye' is"],
        ),
        ("otherwise: bye", "otherwise: by", ["68: unknown step 'by'; did you mean 'bye'?", "69: step 'bye' is never reached from 'menu'"]),
        ("{kind: hand_off, department: sales}", "{kind: hand_off, department: x}", ["67: unknown department 'x'; there is sales"]),
        ("name: House", "name: House\nday_names: {es: [a, b, c, d, e, f, g]}", ["2: unknown language 'es'; there is en, no"]),
        # parts that contradict each other
        ("[no, en]", "[no, en, no]", ["2: language 'no' stands twice"]),
        (
            "sms:1:",
            "sms1:",
            ["5: 'sms1' is no account; write <channel>:<account>", "39: unknown channel 'sms'; did", "42: unknown sms", "44: unk"],
        ),
        ("fast: true", "fast: yes", ["9: 'yes' is text here; write true or false"]),
        ("pools: {all: {}}", "pools: {all: {}, b: {}}\n#", []),
        ("[mon, tue]", "[mon, mon]", ["29: day 'mon' stands twice"]),
        ("until: 12:30", "until: 7:30", ["32: the break is not inside of 08:30 to 17:00"]),
        ("[15]", "[75]", ["36: warn between 0 and 60 minutes before"]),
        ("parameters: 1", "parameters: 2", ["43: parameters says 2, the body has 1; they count from 1"]),
        ("Hi {{1}}", "Hi", ["43: parameters says 1, the body has none; they count from 1"]),
        ("parameters: 1", "parameters: 1, parameter_names: [who]", ["43: placeholders are counted (parameters) or named"]),
        ('Hi {{1}}", parameters: 1', 'Hi", parameter_names: [who]', ["43: parameter_names says who, the body has none"]),
        ("parameters: 1", "parameters: 1, header: {kind: text}", ["43: a text header needs its text, and no other header has one"]),
        ("parameters: 1", "parameters: 1, header: {kind: image, text: Hi}", ["43: a text header needs its text, and no other"]),
        ("parameters: 1", "parameters: 1, header: {kind: text, text: '{{1}} {{2}}'}", ["43: a header has at most one placeholder"]),
        ("parameters: 1", "parameters: 1, header: {kind: location, url: x}", ["43: a location header has no file"]),
        ("parameters: 1", "parameters: 1, buttons: [{kind: url, text: Go}]", ["43: a url button needs its url, and no other"]),
        ("parameters: 1", "parameters: 1, buttons: [{kind: flow, text: Go, url: x}]", ["43: a url button needs its url, and no other"]),
        (
            "parameters: 1",
            "parameters: 1, buttons: [{kind: url, text: Go, url: 'a/{{1}}/b'}]",
            ["43: the placeholder of a web address stands"],
        ),
        ("parameters: 1}}", "parameters: 1}, no: {code: en, body: Hei}}", ["43: 'back' in en stands twice; a language without a code"]),
        ("parameters: 1}}", "parameters: 1}, no: {code: en, name: back_no, body: Hei}}", []),
        ("answers: {en", "answers: {no", ["47: 'hours' is asked in 'en', but answered neither in it nor in 'en'"]),
        ("greeting: {en", "greeting: {no", ["51: this is not written in the fallback language 'en'"]),
        ("{day} {time}", "{day} {tiem}", ["52: unknown placeholder {tiem}; there is {day}, {time}, {zone}"]),
        ("id: b", "id: a", ["61: option 'a' stands twice"]),
        ("kind: question, text: {en: Why}", "kind: question", ["62: a step of kind 'question' needs 'text'"]),
        (
            "attribute: why, next: check",
            "attribute: language, next: check",
            ["62: 'language' is built in and cannot be set; take another name"],
        ),
        ("tag: odd", "tag: odd, value: x", ["64: 'value' never counts in a step of kind 'tag'"]),
        ("text: {en: Well}, next: leave", "text: {en: Well}, next: note", ["65: step 'note' comes back to", "66: step 'say' comes back"]),
        ("otherwise: mark", "otherwise: leave", ["64: step 'mark' is never reached", "65: step 'note' is", "66: step 'say' is"]),
        ("title: {en: A}", f"title: {{en: {'A' * 21}}}", ["60: this has 21 characters; channels take 20 at most here"]),
        ("text: {en: Choose}", f"text: {{en: {'A' * 1001}}}", ["58: this has 1001 characters; channels take 1000 at most here"]),
    ],
)
def test_a_mistake_is_named_with_its_line(tmp_path: Path, old: str, new: str, expected: list[str]) -> None:
    """The line is the one on which it stands, and the message says what to write instead where that can be guessed."""
    assert old in CENTRE
    write(tmp_path, CENTRE.replace(old, new, 1))
    if not expected:
        load_contact_centre(tmp_path)
        return
    found = mistakes_of(tmp_path)
    assert len(found) == len(expected), found
    for mistake, start in zip(found, expected, strict=True):
        assert mistake.startswith(f"centre.yaml:{start}"), found


def test_an_agent_whose_department_waits_in_another_pool_is_a_mistake(tmp_path: Path) -> None:
    """Such work would never reach the agent."""
    text = CENTRE.replace("pools: {all: {}}", "pools: {all: {}, other: {}}").replace(
        "name: Desk\n    pool: all", "name: Desk\n    pool: other"
    )
    assert mistakes_of(write(tmp_path, text)) == ["centre.yaml:21: work of 'sales' waits in pool 'all', but the agent sits in 'other'"]


def test_a_menu_with_too_many_options_is_a_mistake(tmp_path: Path) -> None:
    """No channel shows eleven."""
    more = "".join(f"          - {{id: x{number}, title: {{en: X}}, next: ask}}\n" for number in range(9))
    text = CENTRE.replace("          - {id: b", f"{more}          - {{id: b")
    assert mistakes_of(write(tmp_path, text)) == ["centre.yaml:59: a menu has 10 options at most; lead from one to another"]


def test_all_mistakes_are_named_at_once(tmp_path: Path) -> None:
    """Wrong values do not hide wrong names, nor one file another; what is wrong only because of them is not reported."""
    text = (
        CENTRE.replace("calendar: day\ncal", "calendar: dya\ncal")
        .replace("name: hour", "name: HOUR")
        .replace("{kind: close}", "{kind: stop}")
        .replace("next: check}", "next: chekc}")
        .replace("from: 8:30", "from: 830")
    )
    write(tmp_path, text)
    write(tmp_path, "pools:\n  a: {}\n  a: {}\n", file="more.yaml")
    assert [found.split("; ")[0] for found in mistakes_of(tmp_path)] == [
        "centre.yaml:22: unknown calendar 'dya'",
        "centre.yaml:30: calendars.day.hours.0.from is 830",
        "centre.yaml:34: 'HOUR' is no name",
        "centre.yaml:62: unknown step 'chekc'",
        "centre.yaml:69: flows.main.steps.bye.kind is 'stop'",
        "more.yaml:3: pools.a stands twice",
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("name: [", "centre.yaml:1: this is no YAML: "),
        ("name: \x07", "centre.yaml:1: this is no YAML: "),
        ("- name", "centre.yaml:1: a file of the contact centre is sections"),
        ("[a]: b", "centre.yaml:1: a key is one word, not a list or a mapping"),
        ("name: &a [*a]", "centre.yaml:1: this is nested too deeply"),
        (f"name: {'[' * 500}{']' * 500}", "centre.yaml:1: this is nested too deeply"),
        ("a: b\n---\nc: d", "centre.yaml:2: this is no YAML: but found another document"),
    ],
)
def test_a_file_that_is_no_configuration_is_a_mistake(tmp_path: Path, text: str, expected: str) -> None:
    """Whatever stands in a file, the answer is a line and a sentence."""
    assert any(found.startswith(expected) for found in mistakes_of(write(tmp_path, text)))


def test_a_file_in_another_encoding_is_a_mistake(tmp_path: Path) -> None:
    """It says which encoding is wanted."""
    (tmp_path / "centre.yaml").write_bytes("name: Máquina".encode("latin-1"))
    assert "centre.yaml:1: this is no UTF-8 text (byte 7); save the file as UTF-8" in mistakes_of(tmp_path)


def test_a_file_that_cannot_be_opened_is_a_mistake(tmp_path: Path) -> None:
    """A directory in the place of a file is named as such."""
    (tmp_path / "centre.yaml").mkdir()
    assert "centre.yaml:1: this cannot be read: Is a directory" in mistakes_of(tmp_path)


def test_a_file_has_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither its size nor what its aliases unfold to can fill the memory."""
    unfolding = "a: &a [x, x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n"
    monkeypatch.setattr(yaml_files, "NODES_MAX", 20)
    assert any("repeats itself" in found for found in mistakes_of(write(tmp_path, unfolding)))
    monkeypatch.setattr(yaml_files, "FILE_BYTES_MAX", 10)
    assert any("more than 10 bytes" in found for found in mistakes_of(tmp_path))


def test_an_empty_file_and_an_empty_section_say_nothing(tmp_path: Path) -> None:
    """They are neither mistakes nor do they hide what other files say."""
    write(tmp_path, CENTRE)
    write(tmp_path, "", file="empty.yaml")
    write(tmp_path, "faq:\n", file="section.yaml")
    assert len(load_contact_centre(tmp_path).faq) == 1


def test_plain_values_have_their_kind(tmp_path: Path) -> None:
    """Numbers, true and null are what they look like, and text where they are quoted."""
    settings = '{a: 1, b: -2.5, c: true, d: "1", e: 1e3, f: 08, g: 2026-11-22, h: 12345678901234567890123}'
    centre = load_contact_centre(write(tmp_path, CENTRE.replace("{speed: 5, fast: true}", settings)))
    values = {"a": 1, "b": -2.5, "c": True, "d": "1", "e": 1000.0, "f": 8.0, "g": "2026-11-22", "h": 12345678901234567890123.0}
    assert centre.accounts["sms:1"].settings == values


def test_a_directory_without_configuration_says_so(tmp_path: Path) -> None:
    """Both a missing directory and an empty one name themselves."""
    with pytest.raises(ConfigurationError, match=r"holds no \*\.yaml file"):
        load_contact_centre(tmp_path)
    with pytest.raises(ConfigurationError, match="is no directory"):
        load_contact_centre(tmp_path / "absent")


def test_setting_parts_aside_has_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was found until then is reported."""
    monkeypatch.setattr(loader, "PRUNING_ROUNDS_MAX", 1)
    assert mistakes_of(write(tmp_path, CENTRE.replace("name: House", "name: 5")))[0].startswith("centre.yaml:1: name is 5")


def test_a_model_can_be_built_in_code() -> None:
    """Times and dates are taken as such, and fields by the names they have in Python."""
    hours = Hours(days=("mon",), from_=time(8), until=time(17))
    assert Calendar(time_zone="Etc/UTC", hours=(hours,), closed=(date(2026, 12, 24),)).hours[0].from_ == time(8)
