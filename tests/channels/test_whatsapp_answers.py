"""What the vendor's answers mean, and that every code of its table has a class and words for an agent."""

from __future__ import annotations

import json

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from shared.channels.contract import Accepted, Refused
from shared.channels.whatsapp import channel
from shared.channels.whatsapp.errors import ErrorRow, error_rules
from shared.channels.whatsapp.settings import WhatsAppSettings
from shared.errors import ConfigurationError
from shared.events.shapes import FailureClass

CHANNEL = channel(WhatsAppSettings())
C = FailureClass


def refusal(status: int, error: object, headers: dict[str, str] | None = None) -> Refused:
    """Return what an answer with this `error` means."""
    answer = CHANNEL.interpret(status, headers or {}, json.dumps({"error": error}).encode())
    assert isinstance(answer, Refused)
    return answer


def test_an_accepted_send_gives_the_message_its_id() -> None:
    """Held and paused messages are accepted too: statuses tell what becomes of them."""
    body = {
        "messaging_product": "whatsapp",
        "contacts": [{"input": "+351912000001"}],
        "messages": [{"id": "wamid.A", "message_status": "paused"}],
    }
    assert CHANNEL.interpret(200, {}, json.dumps(body).encode()) == Accepted("wamid.A")


@pytest.mark.parametrize(
    ("codes", "class_"),
    [
        ((0, 190, 10, 200, 250, 299, 131005, 131048, 133016, 130497, 131031, 368, 131042, 133010, 131045, 131037), C.STOP_ACCOUNT),
        ((4, 80007, 130429), C.SLOW_LANE),
        ((131056, 131049), C.WAIT),
        ((1, 2, 131000, 131016, 133004, 131057, 131053), C.RETRY),
        ((131047,), C.TEMPLATE_NEEDED),
        ((131026, 131062), C.OTHER_CHANNEL),
        ((131050,), C.SUPPRESS),
        ((130472, 100, 131008, 131009, 131021, 131051, 33, 131052, 132000, 132005, 132012, 132001), C.DEAD_LETTER),
        ((132007, 132015, 132016, 132068, 132069), C.DEAD_LETTER),
    ],
)
def test_each_code_of_the_table_has_its_class(codes: tuple[int, ...], class_: FailureClass) -> None:
    """The class follows from the code alone, whatever the HTTP status is, also when the code is written as a text."""
    for code in codes:
        assert refusal(500, {"code": code, "message": "x"}).failure.class_ is class_, code
        assert refusal(400, {"code": str(code)}).failure.class_ is class_, code


def test_every_explanation_is_a_sentence_for_an_agent() -> None:
    """It begins like a sentence, ends like one, and is not the vendor's code."""
    for code, rule in error_rules().items():
        assert rule.explanation[0].isupper(), code
        assert rule.explanation.endswith("."), code
        assert str(code) not in rule.explanation or code < 100, code


def test_a_refusal_keeps_the_vendors_code_and_words() -> None:
    """Whoever has to repair the message reads what the vendor says about it."""
    error = {"code": 132000, "error_subcode": 2494010, "message": "(#132000) Mismatch", "error_data": {"details": "expected 2, got 1"}}
    failure = refusal(400, error).failure
    assert (failure.code, failure.subcode, failure.title) == ("132000", "2494010", "(#132000) Mismatch")
    assert failure.explanation.endswith("WhatsApp says: expected 2, got 1")


def test_the_vendors_words_are_bounded() -> None:
    """A page of text from outside does not become the explanation."""
    failure = refusal(400, {"code": 100, "message": "x" * 5000}).failure
    assert len(failure.explanation) < 500


@pytest.mark.parametrize(("code", "seconds"), [(131056, 1), (131049, 86400), (130429, 1), (80007, 60), (131047, None)])
def test_a_documented_wait_is_handed_on(code: int, seconds: float | None) -> None:
    """The pair limit's first wait is 4 to the power of 0 seconds; a message held back must wait a day."""
    assert refusal(400, {"code": code}).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7), ("9999999", 86400), ("0", 1), ("Wed, 21 Oct 2026 07:28:00 GMT", 1), ("-3", 1), ("٣", 1), ("", 1)]
)
def test_the_retry_after_header_goes_before_the_rule(value: str, seconds: float) -> None:
    """Seconds count and are bounded; what is no number of seconds leaves the documented rule."""
    assert refusal(429, {"code": 131056}, {"Retry-After": value}).retry_after_seconds == seconds


@pytest.mark.parametrize(
    ("status", "class_"),
    [
        *((status, C.RETRY) for status in (500, 502, 503, 408)),
        *((status, C.DEAD_LETTER) for status in (400, 404, 301)),
        *((status, C.STOP_ACCOUNT) for status in (401, 403)),
        (429, C.SLOW_LANE),
    ],
)
def test_an_answer_without_a_known_code_is_judged_by_its_status(status: int, class_: FailureClass) -> None:
    """A gateway's page, a new code, or an error that is none: a 5xx is tried again, another 4xx is final."""
    for body in (b"<html>Bad Gateway</html>", b"", b"[]", b'{"error": "text"}', b'{"error": {"code": 999999}}', b'{"error": {"code": []}}'):
        answer = CHANNEL.interpret(status, {}, body)
        assert isinstance(answer, Refused)
        assert answer.failure.class_ is class_
        assert not answer.maybe_sent
        assert answer.failure.explanation.endswith(".")


def test_a_new_code_that_calls_itself_transient_is_tried_again() -> None:
    """The vendor's own flag goes before the HTTP status."""
    assert refusal(400, {"code": 999999, "is_transient": True}).failure.class_ is C.RETRY


@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b""), (200, b"cut off {"), (200, b"{}"), (200, b'{"messages": []}'), (200, b'{"messages": [{"id": []}]}'), (504, b"<html>")],
)
def test_an_answer_that_may_mean_sent_is_never_a_reason_to_send_again(status: int, body: bytes) -> None:
    """Without an idempotency key a second try could be a second message: the status will tell."""
    answer = CHANNEL.interpret(status, {}, body)
    assert isinstance(answer, Refused)
    assert answer.maybe_sent
    assert answer.failure.class_ is C.DEAD_LETTER


@given(st.integers(100, 599), st.dictionaries(st.text(max_size=12), st.text(max_size=12), max_size=3), st.binary(max_size=200))
def test_no_answer_raises(status: int, headers: dict[str, str], body: bytes) -> None:
    """Whatever stands in an answer, it means something."""
    CHANNEL.interpret(status, headers, body)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["code", "message", "error_data", "details", "id"]), inner, max_size=4)
    ),
    max_leaves=8,
)


@given(st.sampled_from([200, 400, 500]), JSON, JSON)
def test_no_json_raises(status: int, error: object, messages: object) -> None:
    """Wrong types anywhere in an error or a success are classified, not raised."""
    CHANNEL.interpret(status, {}, json.dumps({"error": error, "messages": messages}).encode())


def test_a_row_without_codes_and_a_broken_table_are_mistakes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A slip in the table is found when it is read."""
    with pytest.raises(ValueError, match="needs codes"):
        ErrorRow.model_validate({"class": "retry", "explanation": "x"})
    monkeypatch.setattr(yaml, "safe_load", lambda _text: {"errors": []})
    with pytest.raises(ConfigurationError, match=r"errors\.yaml"):
        error_rules.__wrapped__()
