"""A channel's webhooks, through ingest's real HTTP application: what is posted, and what must come of it."""

from __future__ import annotations

import base64
import random
import re
import zlib
from collections.abc import Sequence
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from services.ingest.body import IntakeLimits
from services.ingest.core import IntakeCounts
from services.ingest.http import create_app
from shared.clock import ManualClock
from shared.engine.records import Publication
from shared.errors import InvalidEventError
from shared.topics import RECORD_BYTES_MAX, REJECTED
from tests.channels.fixture_cases import RECEIVED_AT
from tests.fuzz.canaries import planted_phone, planted_text
from tests.fuzz.cases import Case, chance_of
from tests.fuzz.channels import TRUSTED, accounts, channels, good_trees, good_webhooks, sites, values_of
from tests.fuzz.mutation import mutated, mutated_bytes
from tests.fuzz.nasties import BODIES, LARGE_BODIES, any_value, squeezed
from tests.fuzz.oracle import BrokenPromiseError, Ending
from tests.fuzz.wire import Raw, write
from tests.services.ingest.ingest_world import call

DECODED_MAX = 50
"""Records of one webhook that are read back as a consumer reads them; of more, the first and the last ones."""
MANY_ITEMS = 10_000
ITEM_BYTES_MAX = 280
"""An item of which 10,000 make a webhook of less than 3 MB."""
LARGE_IN = 2_000
"""One in so many inputs, beside the first ones, is a large one."""
REFUSALS = range(400, 500)
RECIPES: tuple[tuple[str, int], ...] = (
    ("neighbour", 50), ("tree", 18), ("bytes", 12), ("request", 8), ("value", 5), ("squeezed", 5), ("unsigned", 2),
)  # fmt: skip
"""How inputs are made, and how many in a hundred."""
CONTENT_TYPES = (
    "application/json", "text/plain", "application/xml", "multipart/form-data", "", "application/json; charset=utf-16",
    "application/x-www-form-urlencoded", "image/png", "a" * 5_000,
)  # fmt: skip


@dataclass(slots=True)
class Intake:
    """What one application wrote and counted since the last look."""

    publications: list[Publication] = field(default_factory=list)
    items: int = 0
    ignored: int = 0

    def forget(self) -> None:
        """Begin anew."""
        self.publications, self.items, self.ignored = [], 0, 0

    async def publish(self, publications: Sequence[Publication]) -> None:
        """Take records as the broker would."""
        self.publications += publications

    def answered(self, *_: object) -> None:
        """Count nothing: the answer itself is judged."""

    def taken_in(self, channel: str, counts: IntakeCounts) -> None:  # noqa: ARG002 # the port names it
        """Count the items of one webhook."""
        self.ignored += counts.ignored.total()
        self.items += counts.accepted.total() + counts.ignored.total() + counts.rejected.total() + counts.duplicates


class Webhooks:
    """The webhooks of one channel."""

    share = 1.0

    def __init__(self, channel: str) -> None:
        self._channel = channel
        self._sites = sites(channel)
        self._others = values_of(channel)
        self._intake = Intake()
        self._app = create_app(
            channels=channels(),
            accounts=accounts(),
            publish=self._intake.publish,
            clock=ManualClock(RECEIVED_AT),
            metrics=self._intake,
            limits=IntakeLimits(),
        )
        self._first: tuple[tuple[str, bytes], ...] = tuple((name, make()) for name, make in BODIES)

    @property
    def name(self) -> str:
        """Return `webhooks:<channel>`."""
        return f"webhooks:{self._channel}"

    # --- inputs ---------------------------------------------------------------------------------------------------

    def make(self, seed: int, number: int) -> Case:
        """Return input `number`: first what is nasty for everybody, then what chance makes."""
        chance = chance_of(self.name, seed, number)
        fixed = len(self._first)
        if number < fixed:
            return self._case("body", self._first[number][1], seed, number, {})
        if number < fixed + len(LARGE_BODIES) + 1 or chance.randrange(LARGE_IN) == 0:
            return self._large(chance, seed, number, number - fixed)
        recipe = chance.choices([name for name, _ in RECIPES], [weight for _, weight in RECIPES])[0]
        body, parts = getattr(self, f"_{recipe}")(chance)
        return self._case(recipe, body, seed, number, parts)

    def _case(self, recipe: str, body: bytes, seed: int, number: int, parts: dict[str, Any]) -> Case:
        return Case(self.name, recipe, body, {"size": _inflated_size(body, parts), **parts}, seed, number)

    def _large(self, chance: random.Random, seed: int, number: int, which: int) -> Case:
        """Return a body at a bound; the last kind is a webhook of many good items."""
        if not 0 <= which <= len(LARGE_BODIES):
            which = chance.randrange(len(LARGE_BODIES) + 1)
        if which == len(LARGE_BODIES):
            body, parts = self._many(chance)
            return self._case("many items", body, seed, number, parts)
        name, make = LARGE_BODIES[which]
        return self._case(name, make(), seed, number, {})

    def _many(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return 10,000 items in one webhook; so many are not all read, but none may be lost."""
        site = chance.choice([one for one in self._sites if one.item_bytes <= ITEM_BYTES_MAX and one.identity] or self._sites)
        tree, items = site.tree()
        good = write(site.sentinel)
        identity = site.identity.encode()
        items[:] = [Raw(good.replace(identity, b"%b-%05d" % (identity, number))) for number in range(MANY_ITEMS)]
        return write(tree), {"identity": site.identity, "count": MANY_ITEMS} if identity else {}

    def _neighbour(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a spoilt item beside a good one: the good one must come through."""
        site = chance.choice(self._sites)
        tree, items = site.tree()
        bad = any_value(chance) if chance.randrange(8) == 0 else mutated(items[site.index], chance, self._others)
        items[site.index] = bad
        items.insert(chance.choice((0, site.index + 1, len(items))), site.sentinel)
        return write(tree), {"expected": sorted(site.expected)}

    def _tree(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a webhook with something wrong anywhere."""
        return write(mutated(orjson.loads(chance.choice(good_trees(self._channel))), chance, self._others)), {}

    def _bytes(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a webhook whose bytes were damaged."""
        return mutated_bytes(chance.choice(good_webhooks(self._channel)), chance), {}

    def _value(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a nasty value as the whole body."""
        return write(any_value(chance)), {}

    def _squeezed(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a compressed body."""
        encoding, body = squeezed(chance, chance.choice(good_webhooks(self._channel)))
        return body, {"headers": {"content-encoding": encoding}}

    def _request(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a webhook in a strange request: address, headers, pieces."""
        body, parts = self._neighbour(chance) if chance.randrange(2) else self._tree(chance)
        strange = chance.choice(("x\r\nX-Injected: 1", planted_text(chance), planted_phone(chance), "\x00", "é", "", "9" * 9_000))
        parts["headers"] = {
            "content-type": chance.choice(CONTENT_TYPES),
            chance.choice(
                ("content-length", "user-agent", "x-forwarded-for", "transfer-encoding", "cookie", "x-hub-signature-256")
            ): strange,
        }
        parts["account"] = chance.choice((None, "1", "x" * 3_000, "%00", "a:b", "..", planted_text(chance), "\ud7ff", "a\r\nb"))
        parts["pieces"] = chance.choice((1, 2, 7, 100))
        return body, parts

    def _unsigned(self, chance: random.Random) -> tuple[bytes, dict[str, Any]]:
        """Return a webhook that nobody signed, or signed wrongly."""
        signature = chance.choice(("", "sha256=", "sha256=" + "0" * 64, "sha1=x", planted_text(chance), "sha256=\xff", "é" * 100))
        headers = {"x-hub-signature-256": signature} if signature else {}
        return chance.choice(good_webhooks(self._channel)), {"headers": headers, "unsigned": True}

    # --- what comes of them ---------------------------------------------------------------------------------------

    async def carry_out(self, case: Case) -> Ending:
        """Post the case to ingest's application and look at everything that followed."""
        intake = self._intake
        intake.forget()
        parts = case.parts
        headers = {**({} if parts.get("unsigned") else {TRUSTED: "1"}), **parts.get("headers", {})}
        headers = {name: value.encode("latin-1", "replace").decode("latin-1") for name, value in headers.items()}
        account = parts.get("account")
        path = f"/channels/{self._channel}" + (f"/{account}" if account else "")
        size = max(1, len(case.body) // int(parts.get("pieces", 1)))
        pieces = [case.body[at : at + size] for at in range(0, len(case.body), size)] or [b""]
        answer = await call(self._app, "POST", path, headers, pieces)
        if "identity" in parts and answer.status == HTTPStatus.OK:
            _look_for(parts["identity"], parts["count"], intake.publications)
        return judged(answer.status, intake, frozenset(parts.get("expected", ())), unsigned=bool(parts.get("unsigned")))


def judged(status: int, intake: Intake, expected: frozenset[str], *, unsigned: bool = False) -> Ending:
    """Return how a webhook ended that was answered with `status`. Raises BrokenPromiseError."""
    if not (status == HTTPStatus.OK or status in REFUSALS):
        raise BrokenPromiseError("status", f"answered with {status}")
    if status != HTTPStatus.OK:
        if intake.publications:
            raise BrokenPromiseError("stored", f"answered with {status}, and {len(intake.publications)} records were written")
        if expected:
            raise BrokenPromiseError("neighbour", f"answered with {status}: a good item in the same webhook is lost")
        return Ending.REFUSED
    if unsigned:
        raise BrokenPromiseError("signature", "an unsigned webhook was taken in")
    if not intake.items:
        raise BrokenPromiseError("vanished", "answered with 200, and nothing of it was written or counted")
    kinds = _read_back(intake.publications)
    missing = expected - {identifier for identifier, _ in kinds}
    if missing:
        raise BrokenPromiseError("neighbour", f"{len(missing)} events of a good item in the same webhook are missing")
    if any(topic == "rejected" for _, topic in kinds):
        return Ending.QUARANTINED
    return Ending.EVENTS if kinds else Ending.IGNORED


def _look_for(identity: str, count: int, publications: list[Publication]) -> None:
    """Look for each of `count` items in what was written: as an event, or in a portion that was put aside."""
    pattern = re.compile(re.escape(identity.encode()) + rb"-([0-9]{5})")
    found: set[bytes] = set()
    for one in publications:
        found.update(pattern.findall(one.value))
        if one.topic == REJECTED:
            found.update(pattern.findall(base64.b64decode(one.topic.decode(one.value).data.body)))
    if len(found) != count:
        raise BrokenPromiseError("neighbour", f"{count - len(found)} of {count} items of one webhook are in no record")


def _read_back(publications: list[Publication]) -> set[tuple[str, str]]:
    """Return id and topic of every record, after reading them as whoever consumes them does."""
    for number, one in enumerate(publications):
        if len(one.value) > RECORD_BYTES_MAX:
            raise BrokenPromiseError("record", f"a record of {len(one.value)} bytes: no broker takes it")
        if number < DECODED_MAX or number >= len(publications) - DECODED_MAX:
            try:
                event = one.topic.decode(one.value)
            except InvalidEventError as error:
                raise BrokenPromiseError("record", f"a record on {one.topic.name} that nobody can read: {error}") from None
            if event.subject != one.key or not one.key.encode():
                raise BrokenPromiseError("record", f"a record on {one.topic.name} whose key is not its subject")
    return {(orjson.loads(one.value)["id"], one.topic.name) for one in publications}


def _inflated_size(body: bytes, parts: dict[str, Any]) -> int:
    """Return how many bytes the input has, after inflating as far as ingest inflates."""
    if parts.get("headers", {}).get("content-encoding") != "gzip":
        return len(body)
    try:
        plain = zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(body, IntakeLimits().inflated_bytes_max)
    except zlib.error:
        return len(body)
    return max(len(body), len(plain))
