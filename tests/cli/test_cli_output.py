"""What goes to the terminal: what others wrote is shown and never obeyed."""

from __future__ import annotations

import pytest
from rich.text import Text

from cli.output import table, visible


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("plain, até já, 你好 😀", "plain, até já, 你好 😀"),
        ("\x1b[2Jgone\x07", "␛[2Jgone␇"),
        ("one\ntwo\tthree\r", "one␊two␉three␍"),
        ("\x7f\x9b31m", "\ufffd\ufffd31m"),
        ("\u202egnp.exe\u2066", "\ufffdgnp.exe\ufffd"),
    ],
)
def test_what_steers_a_terminal_becomes_a_sign(written: str, shown: str) -> None:
    """Escapes, bells, line breaks, and what turns the direction of a text."""
    assert visible(written) == shown


def test_no_cell_of_a_table_steers_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Plain cells and coloured ones."""
    table(("a", "b"), [("x\x1b[31m", Text("y\x1b]0;title", "red"))])
    written = capsys.readouterr().out
    assert "\x1b" not in written
    assert "x␛[31m" in written
    assert "y␛]0;title" in written
