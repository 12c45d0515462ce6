"""The vendor's rules, as pure functions."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devstack.emulator.whatsapp.requests import SendRequest, parse
from devstack.emulator.whatsapp.rules import Accept, Recipient, Refuse, Situation, decide, window_end
from devstack.emulator.whatsapp.settings import Limits, PhoneNumber, Template
from devstack.emulator.whatsapp.state import Bucket, Customer, Pacing

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
MOMENT = timedelta(microseconds=1)
LIMITS = Limits()
NUMBER = PhoneNumber(phone_number_id="1", waba_id="2", display_phone_number="351210000001")
CUSTOMER = Customer("ana", "Ana", "351912000001", "PT.1")


def situation(**changes: Any) -> Situation:
    """Return a situation in which a text passes, changed by the arguments."""
    defaults: dict[str, Any] = {
        "number": NUMBER,
        "limits": LIMITS,
        "recipient": Recipient("+351912000001", "phone", CUSTOMER, "351912000001"),
        "window_ends_at": NOON + timedelta(hours=1),
        "pair": Pacing(),
        "throughput": Bucket(),
        "closed_window": "answer",
    }
    return Situation(**{**defaults, **changes})


def text() -> SendRequest:
    """Return a well-formed text."""
    request = parse({"messaging_product": "whatsapp", "to": "+351912000001", "type": "text", "text": {"body": "Hi"}})
    assert isinstance(request, SendRequest)
    return request


def template_send(name: str = "t", *parameters: dict[str, Any]) -> SendRequest:
    """Return a template send with these body parameters."""
    components = [{"type": "body", "parameters": list(parameters)}] if parameters else []
    content = {"name": name, "language": {"code": "en"}, "components": components}
    request = parse({"messaging_product": "whatsapp", "to": "+351912000001", "type": "template", "template": content})
    assert isinstance(request, SendRequest)
    return request


def code(request: SendRequest, where: Situation, now: datetime = NOON) -> int | None:
    """Return the code of a refusal, None for an acceptance."""
    decision = decide(request, where, now)
    return decision.error.code if isinstance(decision, Refuse) else None


@pytest.mark.parametrize(("ends_in", "expected"), [(MOMENT, None), (timedelta(0), 131047), (-MOMENT, 131047), (timedelta(hours=24), None)])
def test_the_windows_end_is_outside(ends_in: timedelta, expected: int | None) -> None:
    """Free form passes until just before the end; at the end it is refused with 131047."""
    assert code(text(), situation(window_ends_at=NOON + ends_in)) == expected


def test_without_a_customers_message_there_is_no_window() -> None:
    """A customer who never wrote cannot be written to freely."""
    assert code(text(), situation(window_ends_at=None)) == 131047


def test_a_closed_window_may_also_come_as_a_failed_status() -> None:
    """In mode `status` the send is accepted and fails with 131047 afterwards."""
    decision = decide(text(), situation(window_ends_at=None, closed_window="status"), NOON)
    assert isinstance(decision, Accept)
    assert decision.fails_with == 131047


def test_a_template_needs_no_window() -> None:
    """An approved template passes at any time."""
    assert code(template_send(), situation(window_ends_at=None, template=Template(name="t", language="en"))) is None


@pytest.mark.parametrize(
    ("template", "parameters", "expected"),
    [
        (None, [], 132001),
        (Template(name="t", language="en", status="PENDING"), [], 132001),
        (Template(name="t", language="en", status="REJECTED"), [], 132001),
        (Template(name="t", language="en", status="PAUSED"), [], 132015),
        (Template(name="t", language="en", status="DISABLED"), [], 132016),
        (Template(name="t", language="en", body_parameters=1), [], 132000),
        (Template(name="t", language="en"), [{"type": "text", "text": "x"}], 132000),
        (Template(name="t", language="en", body_parameters=1), [{"type": "text", "text": "x"}], None),
        (Template(name="t", language="en", parameter_names=("who",)), [{"type": "text", "text": "x"}], 100),
        (Template(name="t", language="en", parameter_names=("who",)), [{"type": "text", "text": "x", "parameter_name": "whom"}], 132012),
        (Template(name="t", language="en", parameter_names=("who",)), [{"type": "text", "text": "x", "parameter_name": "who"}], None),
    ],
)
def test_a_template_must_be_approved_and_filled(template: Template | None, parameters: list[dict[str, Any]], expected: int | None) -> None:
    """Unknown, unapproved, paused, disabled and wrongly filled templates have a code each."""
    assert code(template_send("t", *parameters), situation(template=template)) == expected


def test_authentication_templates_need_a_phone() -> None:
    """To a business-scoped id an authentication template is refused with 131062; to a phone it passes."""
    template = Template(name="t", language="en", category="authentication")
    assert code(template_send(), situation(template=template, recipient=Recipient("PT.1", "bsuid", CUSTOMER))) == 131062
    assert code(template_send(), situation(template=template)) is None


@pytest.mark.parametrize(("state", "expected"), [("deleted", 33), ("unregistered", 133010), ("connected", None)])
def test_the_sending_number_must_be_connected(state: str, expected: int | None) -> None:
    """A deleted or unregistered number cannot send."""
    assert code(text(), situation(number=NUMBER.model_copy(update={"state": state}))) == expected


def test_a_number_cannot_write_to_itself() -> None:
    """The business's own number as recipient is refused with 131021."""
    assert code(text(), situation(recipient=Recipient("+351210000001", "phone", None, "351210000001"))) == 131021


@pytest.mark.parametrize(
    ("recipient", "fails_with"),
    [
        (Recipient("+351999", "phone", None, "351999"), 131026),
        (Recipient("PT.1", "mangled", None, "1"), 131026),
        (Recipient("+351912000001", "phone", Customer("a", "A", "351912000001", None, reachable=False), "351912000001"), 131026),
        (Recipient("+351912000001", "phone", CUSTOMER, "351912000001"), None),
    ],
)
def test_an_unreachable_recipient_fails_after_the_acceptance(recipient: Recipient, fails_with: int | None) -> None:
    """Nobody there, or a business-scoped id in `to`: accepted, then failed with 131026."""
    decision = decide(text(), situation(recipient=recipient), NOON)
    assert isinstance(decision, Accept)
    assert decision.fails_with == fails_with


@pytest.mark.parametrize(
    ("category", "stopped", "fails_with"), [("marketing", True, 131050), ("marketing", False, None), ("utility", True, None)]
)
def test_who_stopped_marketing_gets_none(category: str, fails_with: int | None, *, stopped: bool) -> None:
    """Marketing to someone who stopped it fails with 131050; utility still arrives, and others get their marketing."""
    recipient = Recipient("+1", "phone", Customer("a", "A", "1", None, stopped_marketing=stopped), "1")
    template = Template.model_validate({"name": "t", "language": "en", "category": category})
    decision = decide(template_send(), situation(recipient=recipient, template=template), NOON)
    assert isinstance(decision, Accept)
    assert decision.fails_with == fails_with


def sends_accepted(where: Situation, moments: list[datetime], *, keep: str) -> list[bool]:
    """Send at each moment, carrying the limit's state on; returns which were accepted."""
    results = []
    for now in moments:
        decision = decide(text(), where, now)
        results.append(isinstance(decision, Accept))
        if isinstance(decision, Accept):
            where = situation(limits=where.limits, window_ends_at=where.window_ends_at, **{keep: getattr(decision, keep)})
    return results


def test_a_burst_of_45_borrows_from_the_future() -> None:
    """45 at once to one customer pass, the 46th is refused with 131056, and one more passes each 6 s."""
    assert sends_accepted(situation(), [NOON] * 46, keep="pair") == [True] * 45 + [False]
    later = [NOON] * 45 + [NOON + timedelta(seconds=seconds) for seconds in (5.9, 6, 6.1, 12)]
    assert sends_accepted(situation(), later, keep="pair")[45:] == [False, True, False, True]
    assert code(text(), situation(pair=Pacing(NOON + timedelta(seconds=265)))) == 131056


def test_a_burst_of_20_takes_two_minutes_to_pay_back() -> None:
    """After 20 at once the debt is 120 s, as the vendor's page reckons."""
    pacing = Pacing()
    for _ in range(20):
        pacing = pacing.take(NOON, LIMITS)
    assert pacing.free_at == NOON + timedelta(minutes=2)


def test_a_number_sends_80_a_second() -> None:
    """The 81st message of a moment is refused with 130429; after a second all 80 are free again."""
    where = situation(limits=Limits(pair_interval_seconds=0))
    moments = [NOON] * 81 + [NOON + timedelta(seconds=1)] * 81
    assert sends_accepted(where, moments, keep="throughput") == ([True] * 80 + [False]) * 2
    full = Bucket(80, NOON)
    assert code(text(), situation(throughput=full)) == 130429


@given(st.lists(st.integers(0, 100_000), min_size=1, max_size=200))
def test_no_pair_ever_gets_more_than_the_burst_and_the_rate(seconds: list[int]) -> None:
    """In any span the accepted sends are at most 45 plus one per 6 s."""
    moments = [NOON + timedelta(seconds=second) for second in sorted(seconds)]
    accepted = [at for at, ok in zip(moments, pair_only(moments), strict=True) if ok]
    for first in range(len(accepted)):
        for last in range(first, len(accepted)):
            span = (accepted[last] - accepted[first]).total_seconds()
            assert last - first + 1 <= LIMITS.pair_burst + span / LIMITS.pair_interval_seconds


def pair_only(moments: list[datetime]) -> list[bool]:
    """Return which moments pass the pair limit alone."""
    pacing, results = Pacing(), []
    for now in moments:
        results.append(pacing.has_room(now, LIMITS))
        if results[-1]:
            pacing = pacing.take(now, LIMITS)
    return results


@given(st.permutations([0, 5, 5, 86_399, 86_400]))
def test_an_older_message_never_shortens_the_window(ages: list[int]) -> None:
    """Whatever the order of arrival, the window ends 24 h after the newest message."""
    end = None
    for age in ages:
        end = window_end(end, NOON - timedelta(seconds=age), LIMITS)
    assert end == NOON + timedelta(hours=24)


def test_a_refusal_uses_up_nothing() -> None:
    """A refused send leaves no trace in pacing or throughput: only an acceptance carries new states."""
    assert not hasattr(decide(text(), situation(window_ends_at=None), NOON), "pair")
