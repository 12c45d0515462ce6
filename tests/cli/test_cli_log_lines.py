"""Log lines as people read them."""

from __future__ import annotations

from cli.log_lines import LogLines

LINE = (
    '{"event": "service.started", "service": "sla", "level": "info", "timestamp": "2026-11-22T09:07:36.588123Z", "port": 8, "left": null}'
)


def test_a_json_line_becomes_time_level_service_event_and_fields() -> None:
    """What every line has stands in columns, the rest as fields; what is null is left out."""
    assert LogLines().render("sla", LINE).plain == "09:07:36.588 info    sla       service.started port=8"


def test_what_is_no_json_stays_as_it_is_behind_the_name() -> None:
    """A traceback is readable, and whose it is."""
    lines = LogLines()
    assert lines.render("bot", "Traceback (most recent call last):").plain == "bot       Traceback (most recent call last):"
    assert lines.render("bot", "{broken").plain == "bot       {broken"
    assert lines.render("bot", "[1]").plain == "bot       [1]"


def test_lists_and_objects_stay_json() -> None:
    """A field that is not plain is written as JSON on the same line."""
    assert LogLines().render("bot", '{"event": "e", "shards": [0, 1]}').plain.endswith("e shards=[0,1]")


def test_square_brackets_are_no_markup() -> None:
    """What a line holds cannot change how it is drawn."""
    assert "[bold]x[/bold]" in LogLines().render("bot", '{"event": "[bold]x[/bold]"}').plain


def test_each_service_keeps_its_colour() -> None:
    """A service is recognised by its colour through the whole run."""
    lines = LogLines()
    first, second = lines.announce("bot", "x").style, lines.announce("sla", "x").style
    assert first != second
    assert lines.announce("bot", "y").style == first
