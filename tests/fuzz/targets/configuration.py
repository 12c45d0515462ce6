"""The contact centre's configuration, spoilt: `parley check` finds it right, or says each mistake with file and line."""

from __future__ import annotations

import random
import re
import tempfile
from functools import cache
from pathlib import Path

from cli.checking import mistakes
from tests.fuzz.canaries import planted_text
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.mutation import mutated_bytes
from tests.fuzz.nasties import OVERLONG
from tests.fuzz.oracle import BrokenPromiseError, Ending

GOOD = Path(__file__).resolve().parents[1] / "centre.yaml"
FILE = "centre.yaml"
PLACED = re.compile(rf"/{re.escape(FILE)}:[1-9][0-9]*: .")
"""How each mistake begins that has a place."""
SCALARS = (
    "", "~", "null", "yes", "no", "true", "0", "-1", "1e400", ".nan", ".inf", "0x7fffffff", "1_000", "2026-13-45", "25:61", "12:30:99",
    "'", '"', "*a", "&a x", "!!python/object/apply:os.system [id]", "!!binary x", "!!set {a}", "|", ">-", "{", "}", "[", "]", "[[[[[[",
    "{a: {a: {a: {}}}}", "? a : b", "<<: *a", "- - -", "%YAML 9", "---", "...", "\t", "\ufeff", "x" * 5_000, "9" * 500, "é", "a: b: c",
    "#", "@", "`", "\\x", '"\\ud800"', '"\\x00"', "[a, b", "{a: 1, a: 2}", "Europe/Nowhere", "../../etc/passwd", "{{1}}", "{0.__class__}",
    "{day", "mon", "[mon, mon]", "99999999999999999999",
)  # fmt: skip
RULES_BYTES = 12 * 1024 * 1024
"""What counts as the size of an input: a right one has the rules built, and a language model with them, which is large by itself."""
LAUGHS = "a0: &a0 [x, x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
"""Forty lines that would be a billion values if each were written out."""
LOOP = "a: &a\n  b: *a\n"
DEEP = "".join(f"{' ' * depth}a:\n" for depth in range(500))
WIDE = "faq:\n" + "".join(f"  - {{id: f{number}}}\n" for number in range(300))


@cache
def good() -> str:
    """Return the contact centre before it is spoilt."""
    return GOOD.read_text("utf-8")


class Configuration:
    """The configuration as `parley check` reads it."""

    name = "configuration"
    share = 0.02

    def make(self, seed: int, number: int) -> Case:
        """Return a spoilt file."""
        chance = chance_of(self.name, seed, number)
        kinds = (_whole, _bytes, _scalar, _scalar, _scalar, _lines, _lines, _name)
        kind = chance.choice(kinds)
        return Case(self.name, kind.__name__.strip("_"), kind(chance), {"size": RULES_BYTES}, seed, number)

    async def carry_out(self, case: Case) -> Ending:
        """Check a directory that holds the file and nothing else."""
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / FILE).write_bytes(case.body)
            centre, found = mistakes(Path(folder))
        if not found:
            if centre is None:
                raise BrokenPromiseError("vanished", "no contact centre, and no mistake")
            return Ending.EVENTS
        unplaced = [line for line in found if not PLACED.search(line)]
        if unplaced:
            raise BrokenPromiseError("place", f"a mistake without file and line: {unplaced[0]}")
        return Ending.REFUSED


def _whole(chance: random.Random) -> bytes:
    """Return a file that is no contact centre at all."""
    return chance.choice(("", "\n", "x", "[]", "- a", "{}", "null", LAUGHS, LOOP, DEEP, WIDE, good() * 2, "\x00", "%", "a: !x b")).encode()


def _bytes(chance: random.Random) -> bytes:
    """Return the file with damaged bytes."""
    body = mutated_bytes(good().encode(), chance)
    return body.replace(b"Desk", chance.choice(OVERLONG)) if chance.randrange(4) == 0 else body


def _scalar(chance: random.Random) -> bytes:
    """Return the file with one value replaced."""
    places = [match.span(1) for match in re.finditer(r": +([^\s{\[][^\n,}\]]*)", good())]
    start, end = chance.choice(places)
    value = chance.choice((*SCALARS, planted_text(chance)))
    return (good()[:start] + value + good()[end:]).encode("utf-8", "surrogatepass")


def _lines(chance: random.Random) -> bytes:
    """Return the file with lines left out, doubled, moved or indented."""
    lines = good().splitlines()
    for _ in range(chance.randrange(1, 4)):
        at = chance.randrange(len(lines))
        match chance.randrange(5):
            case 0:
                del lines[at : at + chance.randrange(1, 6)]
            case 1:
                lines.insert(chance.randrange(len(lines)), lines[at])
            case 2:
                lines[at] = "  " + lines[at]
            case 3:
                lines[at] = lines[at].replace(" ", "\t", 1) if chance.randrange(2) else lines[at].lstrip()
            case _:
                lines.insert(at, chance.choice(SCALARS))
        lines = lines or [""]
    return "\n".join(lines).encode("utf-8", "surrogatepass")


def _name(chance: random.Random) -> bytes:
    """Return the file with one name changed wherever it stands, or only where it is used."""
    name = chance.choice(
        ("sales", "all", "day", "main", "hours", "menu", "ask", "whatsapp", "en", "lv", "desk", "kind", "next", "title", "name")
    )
    places = [match.span() for match in re.finditer(rf"\b{name}\b", good())]
    start, end = chance.choice(places)
    other = chance.choice(("nobody", "", name.upper(), f"{name} ", "1", "true", planted_text(chance)))
    return (good().replace(name, other) if chance.randrange(3) == 0 else good()[:start] + other + good()[end:]).encode()
