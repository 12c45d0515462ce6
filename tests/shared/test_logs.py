"""Log lines hold no message text, no phone number and no secret, whoever wrote them and however."""

from __future__ import annotations

import asyncio
import gc
import ipaddress
import json
import logging
import re
import string
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from shared.errors import BrokerUnavailableError
from shared.events.shapes import Customer, Text
from shared.logs import REDACTED, SENSITIVE_FIELDS, configure_logs, mask_phones

WORDS = "a minha filha esta doente"
PHONE = "351912345678"


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    """Give the process its own logging back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    structlog.reset_defaults()
    structlog.contextvars.clear_contextvars()


@pytest.fixture
def lines() -> Written:
    """Log as a service does, into a list."""
    written = Written()
    written.configure("debug", "json")
    logging.getLogger().setLevel(logging.DEBUG)
    return written


class Written:
    """Standard error, kept."""

    def __init__(self) -> None:
        self.text = ""

    def configure(self, level: str, style: str) -> None:
        """Set logging up with this in the place of standard error."""
        before, sys.stderr = sys.stderr, self
        configure_logs(level=level, style=style, service="test")
        sys.stderr = before

    def write(self, text: str) -> int:
        """Keep `text`."""
        self.text += text
        return len(text)

    def flush(self) -> None:
        """Nothing waits."""

    @property
    def last(self) -> dict[str, Any]:
        """Return the last line."""
        return dict(json.loads(self.text.strip().split("\n")[-1]))


class Colour(StrEnum):
    """A name of ours."""

    RED = "red"


def test_a_line_is_an_event_with_fields(lines: Written) -> None:
    """`noun.past_tense`, when, how bad, and which service."""
    structlog.get_logger().info("batch.done", records=3, share=0.5, ok=True, nothing=None, colour=Colour.RED)
    line = lines.last
    assert datetime.fromisoformat(line.pop("timestamp")).tzinfo is not None
    assert line == {
        "event": "batch.done",
        "level": "info",
        "service": "test",
        "records": 3,
        "share": 0.5,
        "ok": True,
        "nothing": None,
        "colour": "red",
    }


def test_lines_below_the_level_are_not_written(lines: Written) -> None:
    """An operator chooses how much they read."""
    lines.configure("warning", "json")
    structlog.get_logger().info("batch.done")
    logging.getLogger("library").info("said")
    assert lines.text == ""


@pytest.mark.parametrize("name", sorted(SENSITIVE_FIELDS))
@pytest.mark.parametrize("spelling", [str.lower, str.upper, str.title])
def test_a_field_that_says_it_holds_content_is_never_written(lines: Written, name: str, spelling: Any) -> None:
    """Whatever is in it, on top or deep inside, however it is spelled."""
    structlog.get_logger().info("thing.happened", **{spelling(name): WORDS}, deep=[{"deeper": {spelling(name): [WORDS]}}])
    assert WORDS not in lines.text
    assert lines.last[spelling(name)] == REDACTED


@pytest.mark.parametrize("name", ["Authorization", "X-Hub-Signature-256", "access_tokens", "API-Key", "Set-Cookie", "client_secret"])
def test_a_header_with_a_secret_is_never_written(lines: Written, name: str) -> None:
    """Vendors name them as they like."""
    structlog.get_logger().info("request.refused", headers={name: "geheim", "content-length": "12"})
    assert "geheim" not in lines.text
    assert lines.last["headers"]["content-length"] == "12"


def is_address(text: str) -> bool:
    """Return whether `text` is an IP address: nobody can tell it from a number that is written in just such four groups."""
    try:
        ipaddress.IPv4Address(text)
    except ValueError:
        return False
    return True


phones = st.builds(
    lambda digits, plus, marks: (
        plus + "".join(digit + mark for digit, mark in zip(digits, marks, strict=False)).rstrip(" -./()\u00a0\u2011")
    ),
    st.text(string.digits, min_size=8, max_size=15),
    st.sampled_from(["", "+", "00"]),
    st.lists(st.sampled_from(["", "", "", "", " ", "-", ".", "/", "\u00a0", "\u2011"]), min_size=15, max_size=15),
).filter(lambda phone: not is_address(phone))
around = st.text(st.characters(exclude_categories=["Cs", "N"]), max_size=12)


def holds(text: str, phone: str) -> bool:
    """Return whether somebody could still read the number."""
    digits = re.sub(r"\D", "", phone)
    return digits[:-2] in re.sub(r"\D", "", text)


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=300)
@given(phones, around, around)
def test_no_phone_number_gets_through(lines: Written, phone: str, before: str, after: str) -> None:
    """However it is written and whatever stands around it: in the event, a field, a key, a list, a number, a library's record."""
    text = f"{before}{phone}{after}"
    assert not holds(mask_phones(text), phone)
    lines.text = ""
    structlog.get_logger().warning(text, thread=text, deep={text: [text, {"x": (text,)}]}, digits=int(re.sub(r"\D", "", "1" + phone)))
    logging.getLogger("library").warning("no answer from %s", text)
    for line in lines.text.strip().split("\n"):
        document = json.loads(line)
        del document["timestamp"]
        assert not any(holds(value, phone) for value in strings_of(document))


def strings_of(value: Any) -> list[str]:
    """Return every string and number in a line."""
    if isinstance(value, dict):
        return [found for key, entry in value.items() for found in (str(key), *strings_of(entry))]
    return [found for entry in value for found in strings_of(entry)] if isinstance(value, list) else [str(value)]


@pytest.mark.parametrize(
    "kept",
    [
        "0af7651916cd43dd8448eb211c80319c",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08",
        "2f1c1e2e-8a43-4a5e-9c2b-1f6f3c7d9e10",
        "conversation 12 of 345",
        "shared/engine/kafka.py:123 run",
    ],
)
def test_what_is_no_phone_number_stays(kept: str) -> None:
    """Traces, digests, places and counts are what people search for."""
    assert mask_phones(kept) == kept


@given(st.ip_addresses(v=4).map(str), st.none() | st.integers(1, 65535), st.sampled_from(["", "at ", "[", "kafka://", "a=", "("]))
def test_where_a_server_is_can_be_read(address: str, port: int | None, before: str) -> None:
    """An IP address with a port; one alone too, unless it is four pairs of digits, as some telephone numbers are written."""
    text = f"{before}{address}" + ("" if port is None else f":{port}")
    pairs = all(len(group) == 2 for group in address.split("."))
    assert (mask_phones(text) == text) is not (pairs and port is None)


@pytest.mark.parametrize(
    ("text", "masked"),
    [
        ("127.0.0.1:1", "127.0.0.1:1"),
        ("10.0.0.1:9092,10.20.30.40:9092 do not answer", "10.0.0.1:9092,10.20.30.40:9092 do not answer"),
        ("from 10.0.0.1 to 192.168.1.254.", "from 10.0.0.1 to 192.168.1.254."),
        (f"10.0.0.1 {PHONE}", "***78"),
        (f"10.0.0.1:9092 {PHONE}", "10.0.0.1:9092 ***78"),
        (f"10.0.0.1:{PHONE}", "10.0.0.1:***78"),
        ("+351 21.222.33.44", "***44"),
        ("+44.20.123.123", "***23"),
        ("12.34.56.78", "***78"),
        ("351.912.345.678", "***78"),
        ("1.2.3.4\u2011567", "***67"),
    ],
)
def test_an_address_hides_no_number(text: str, masked: str) -> None:
    """What looks like both is taken for the number, where digits stand beside it."""
    assert mask_phones(text) == masked


def test_a_number_beside_a_digest_is_masked_all_the_same() -> None:
    """Before it, after it, and between two."""
    digest = "b7ad6b7169203331"
    assert mask_phones(f"{PHONE} {digest} {PHONE} {digest} {PHONE}") == f"***78 {digest} ***78 {digest} ***78"


def test_offsets_and_accounts_stay(lines: Written) -> None:
    """Their digits are no telephone."""
    structlog.get_logger().info("record.put_aside", offset=123456789012, account="106540352242922", partition=3, seconds=12.25)
    assert (lines.last["offset"], lines.last["account"]) == (123456789012, "106540352242922")
    assert lines.last["seconds"] == 12.25


def test_of_a_model_or_bytes_only_the_type_is_told(lines: Written) -> None:
    """A careless line with a whole event in it says nothing about the customer."""
    structlog.get_logger().info(
        "reply.refused",
        reply=Text(text=WORDS),
        who=[Customer(id="1", display_name="Maria")],
        raw=WORDS.encode(),
        key=SecretStr("geheim"),
        error=ValueError(WORDS),
    )
    line = lines.last
    assert (line["reply"], line["who"], line["raw"], line["key"]) == ("Text", ["Customer"], "bytes", "SecretStr")
    assert line["error"] == "ValueError"


def test_plain_values_are_written_as_text(lines: Written) -> None:
    """Paths and times say nothing about anybody."""
    structlog.get_logger().info(
        "file.read", path=Path("config/agents.yaml"), took=timedelta(seconds=3), at=datetime(2026, 11, 22, tzinfo=UTC)
    )
    assert (lines.last["path"], lines.last["took"]) == ("config/agents.yaml", "0:00:03")


def failing(error: Exception) -> None:
    """Raise `error`."""
    raise error


def test_an_exception_is_its_type_and_its_places(lines: Written) -> None:
    """Its message may repeat a customer's words, and so may its causes'."""
    try:
        try:
            failing(ValueError(WORDS))
        except ValueError as error:
            raise RuntimeError(WORDS) from error
    except RuntimeError:
        structlog.get_logger().exception("rule.failed")
        logging.getLogger("library").exception("failed")
    assert WORDS not in lines.text
    first, second = (json.loads(line) for line in lines.text.strip().split("\n"))
    for line in (first, second):
        assert line["exception"] == "RuntimeError"
        assert line["raised_at"][-1].endswith("test_an_exception_is_its_type_and_its_places")
    assert re.search(r"shared/test_logs\.py:\d+ ", first["raised_at"][-1])


def test_our_own_errors_keep_their_message(lines: Written) -> None:
    """They say what to do, and their words are ours."""
    structlog.get_logger().error("broker.lost", exc_info=BrokerUnavailableError(f"Kafka does not answer; last was {PHONE}"))
    assert lines.last["detail"] == "Kafka does not answer; last was ***78"


def test_a_group_of_exceptions_tells_no_words(lines: Written) -> None:
    """A task group wraps what its tasks raised."""
    structlog.get_logger().error("service.failed", exc_info=ExceptionGroup(WORDS, [ValueError(WORDS)]))
    assert WORDS not in lines.text


def test_an_exception_among_a_librarys_arguments_is_its_type(lines: Written) -> None:
    """`log.error("failed: %s", error)` is how libraries write."""
    logging.getLogger("library").error("failed: %s after %d", ValueError(WORDS), 3)
    assert lines.last["event"] == "failed: ValueError after 3"


def test_arguments_that_do_not_fit_leave_the_template(lines: Written) -> None:
    """A library's slip is no reason to fail."""
    logging.getLogger("library").error("failed: %d", "three")
    assert lines.last["event"] == "failed: %d"
    logging.getLogger("library").error("%(who)s failed", {"who": "node"})
    assert lines.last["event"] == "node failed"


async def test_an_exception_that_nobody_awaited_tells_no_words(lines: Written) -> None:
    """The event loop writes the task, and with it the exception's words, below its first line."""

    async def fail() -> None:
        failing(ValueError(WORDS))

    task = asyncio.get_running_loop().create_task(fail())
    await asyncio.wait({task})
    del task
    gc.collect()
    assert lines.last["event"] == "Task exception was never retrieved"
    assert lines.last["exception"] == "ValueError"
    assert WORDS not in lines.text


def test_lines_for_people_are_redacted_likewise(lines: Written) -> None:
    """Colours change nothing about what may be written."""
    lines.configure("info", "console")
    structlog.get_logger().info("thing.happened", text=WORDS, thread=f"whatsapp:1:{PHONE}")
    logging.getLogger("library").warning("call from %s", PHONE)
    assert WORDS not in lines.text
    assert PHONE not in lines.text
    assert "thing.happened" in lines.text
