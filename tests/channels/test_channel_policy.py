"""Policies are dated data, and a mistake in one is named by file and line."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from shared.channels.policy import parse_policy
from shared.channels.whatsapp.policy import rules
from shared.errors import ConfigurationError

GOOD = """\
channel: example
channel_class: social
windows:
  - permission: human_agent
    opened_by: [message]
    length_seconds: 604800
    authors: [agent]
    valid_from: 2026-04-27
    valid_until: 2026-09-28
    source: Policy, 2026-09-28
limits:
  sends_per_second: 10
  source: Limits, 2026-09-28
"""


def test_a_row_holds_from_the_first_moment_of_its_first_day() -> None:
    """Dates become moments in UTC; the last day is exclusive."""
    document = parse_policy(GOOD, "policy.yaml")
    window = document.policy().windows[0]
    assert (window.valid_from, window.valid_until) == (datetime(2026, 4, 27, tzinfo=UTC), datetime(2026, 9, 28, tzinfo=UTC))
    assert window.authors == ("agent",)
    assert document.account_limits().sends_per_second == 10


@pytest.mark.parametrize(
    ("before", "after", "line", "word"),
    [
        ("length_seconds: 604800", "length_seconds: 0", 6, "length_seconds"),
        ("valid_until: 2026-09-28", "valid_until: 2026-01-01", 4, "valid_until must be after"),
        ("channel_class: social", "channel_class: fax", 2, "channel_class"),
        ("    source: Policy, 2026-09-28\n", "", 4, "source"),
        ("channel: example\n", "", 1, "channel"),
        ("channel: example", "channel: [", 3, "expected"),
        ("authors: [agent]", "authors: [agent]\n    length_hours: 3", 8, "length_hours"),
    ],
)
def test_a_mistake_is_named_by_file_and_line(before: str, after: str, line: int, word: str) -> None:
    """Whoever edits a policy is led to the row."""
    with pytest.raises(ConfigurationError) as raised:
        parse_policy(GOOD.replace(before, after, 1), "policy.yaml")
    mistake = raised.value.mistakes[0]
    assert (mistake.file, mistake.line) == ("policy.yaml", line)
    assert word in mistake.message


def test_whatsapp_is_open_for_a_day_after_a_message_and_knows_templates() -> None:
    """The customer's message opens 24 hours for everybody; nothing else does but a choice."""
    policy = rules().policy
    (window,) = policy.windows
    assert (window.permission, window.opened_by, window.length_seconds) == ("free_form", ("message", "choice"), 86400)
    assert policy.window_needed
    assert policy.templates
    assert all(row.source for row in policy.windows)
