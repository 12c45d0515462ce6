"""The example contact centre in config/: what the demo relies on holds at every hour."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre
from shared.contact_centre.staffing import Staffing
from shared.errors import ConfigurationError

CONFIG = Path(__file__).parents[3] / "config"
ACCOUNTS = {
    "whatsapp:100000000000001": "sales",
    "whatsapp:100000000000002": "support",
    "whatsapp:100000000000003": "billing",
    "whatsapp:100000000000004": "press",
}
A_FORTNIGHT = [datetime(2026, 12, 20, tzinfo=UTC) + timedelta(minutes=30 * step) for step in range(14 * 48)]
"""Over Christmas and the new year, every half hour."""


@pytest.fixture(scope="module")
def centre() -> ContactCentre:
    """Return the example contact centre."""
    return load_contact_centre(CONFIG)


@pytest.fixture(scope="module")
def staffing(centre: ContactCentre) -> Staffing:
    """Return its shifts."""
    return Staffing(centre)


def test_the_examples_of_the_readme_are_right(tmp_path: Path) -> None:
    """Put into one file, what they say is found, and nothing is wrong but the names that stand in the other files."""
    blocks = re.findall(r"```yaml\n(.*?)```", (CONFIG / "README.md").read_text("utf-8"), flags=re.DOTALL)
    names = "name: House\nlanguages: [en, es, lv]\nfallback_language: en\n"
    for number, block in enumerate([names, *blocks]):
        (tmp_path / f"{number}.yaml").write_text(block, "utf-8")
    with pytest.raises(ConfigurationError) as caught:
        load_contact_centre(tmp_path)
    wrong = [mistake.message for mistake in caught.value.mistakes]
    assert {message.partition("'")[0] for message in wrong} == {"unknown department ", "unknown calendar "}, wrong


def test_each_department_has_its_number(centre: ContactCentre) -> None:
    """Four accounts, four departments."""
    assert {name: account.department for name, account in centre.accounts.items()} == ACCOUNTS


@pytest.mark.parametrize("language", ["zh", "lv", "is"])
@pytest.mark.parametrize("department", ["sales", "support", "billing"])
def test_somebody_is_always_there_for_these_languages(staffing: Staffing, department: str, language: str) -> None:
    """Chinese, Latvian and Icelandic speakers reach somebody at any hour, also over the holidays."""
    assert all(staffing.agents_on_shift(moment, department=department, language=language) for moment in A_FORTNIGHT)


def test_at_any_hour_one_department_has_nobody_who_speaks_spanish(staffing: Staffing) -> None:
    """The Spanish desks never work at the same time, and each is known to come back."""
    for moment in A_FORTNIGHT:
        missing = [name for name in ("sales", "support") if not staffing.agents_on_shift(moment, department=name, language="es")]
        assert missing
        assert all(staffing.next_on_shift(moment, department=name, language="es") for name in missing)


def test_every_text_is_written_in_every_language(centre: ContactCentre) -> None:
    """Six languages for each question, answer, template and sentence of the flows."""
    languages = set(centre.languages)
    assert languages == {"pt", "zh", "lv", "is", "en", "es"}
    texts = [entry.answers for entry in centre.faq] + [template.languages for template in centre.templates]
    for flow in centre.flows.values():
        texts += [flow.greeting, flow.disclosure, flow.connecting, flow.away, flow.away_without_date]
        texts += [step.text for step in flow.steps.values() if step.text]
        texts += [option.title for step in flow.steps.values() for option in step.options]
    assert [text for text in texts if set(text) != languages] == []
    assert all(set(entry.questions) == languages and min(map(len, entry.questions.values())) >= 3 for entry in centre.faq)


def test_every_number_but_the_press_has_a_template_to_come_back(centre: ContactCentre) -> None:
    """So a late answer of the press office is withheld, and any other is sent as the template."""
    accounts = [account for template in centre.templates if template.purpose == "come_back" for account in template.accounts]
    assert accounts == list(ACCOUNTS)[:3]


def test_what_is_promised_on_whatsapp_is_an_hour(centre: ContactCentre) -> None:
    """First and next response in 60 minutes around the clock, a warning 15 minutes before; the press has office hours."""
    press, everyone = centre.promises
    assert press.departments == ("press",)
    for target in (everyone.first_response, everyone.next_response):
        assert target is not None
        assert (target.target_minutes, target.warn_before_minutes) == (60, (15,))


def test_shifts_are_in_two_zones_with_a_break_a_night_and_a_holiday(centre: ContactCentre) -> None:
    """The example shows what a calendar can say."""
    agents = {centre.calendars[agent.calendar].time_zone for agent in centre.agents.values()}
    assert {"Europe/Riga", "Atlantic/Reykjavik"} <= agents
    hours = [hours for calendar in centre.calendars.values() for hours in calendar.hours]
    assert any(hours.breaks for hours in hours)
    assert any(hours.until < hours.from_ and hours.until.hour for hours in hours)
    assert {code for calendar in centre.calendars.values() for code in calendar.holidays} == {"LV", "IS"}
