"""F1 to F6: what the provider, and the way from it to the log, may do."""

from __future__ import annotations

import time
from dataclasses import replace
from http import HTTPStatus
from itertools import pairwise

from devstack.emulator.whatsapp.envelope import headers
from devstack.faults.conditions import DOWN, Condition
from devstack.load.provider import NO_ANSWER
from devstack.load.requests import webhook
from shared.events.conversations import MessageAppended
from shared.events.deliveries import MessageDelivered, MessageRead, MessageSent
from shared.events.inbound import MessageReceived
from shared.events.rejected import WebhookRejected
from shared.events.sla import WindowOpened
from tests.chaos.trial import Fault, Trial

ANSWER_SECONDS_MAX = 3.0
"""How soon a webhook that cannot be stored must be answered, so that the provider comes again."""
BUSY_SECONDS = 2.0
"""What an answer may take longer where the machine does other work: it is measured at the provider, who waits for a core too."""
SECRET_TEXT = "chaos-must-not-be-logged"
WINDOW_SECONDS = 24 * 3600
OVERSIZED_BYTES = 4 * 1024 * 1024
PATIENCE_SECONDS = 60.0
HOLES_MAX = 4


async def redelivered(trial: Trial) -> None:
    """F1: every webhook three times."""
    house = trial.house
    before = house.gauges.total("parley_duplicates_total", labels='reducer="conversation"')
    known = set(house.provider.posts)
    house.provider.copies = lambda _number: 3
    trial.begins()
    await trial.last(trial.seconds(4, 10))
    house.provider.copies = lambda _number: 1
    trial.ends()
    posts = [post for message, post in house.provider.posts.items() if message not in known]
    await house.until(lambda: all(post.acknowledged_at for post in posts), PATIENCE_SECONDS)
    tripled = [post for post in posts if len(post.attempts) >= 3]
    ids = {event.data.message_id: event.id for event in house.records.events(MessageReceived)}

    def all_written() -> bool:
        ids.update({event.data.message_id: event.id for event in house.records.events(MessageReceived)})
        return all(house.records.written[ids.get(post.message_id, "")] >= 3 for post in tripled)

    await house.until(all_written, PATIENCE_SECONDS)
    statuses = {attempt.status for post in tripled for attempt in post.attempts}
    trial.check("three times 200 each", holds=bool(tripled) and statuses == {HTTPStatus.OK}, seen=f"{len(tripled)} messages, {statuses}")
    distinct = {ids.get(post.message_id) for post in tripled}
    trial.check("one event id each on the topic", holds=len(distinct) == len(tripled) and None not in distinct, seen=len(distinct))

    async def duplicates() -> float:
        await house.gauges.sample()
        return house.gauges.total("parley_duplicates_total", labels='reducer="conversation"') - before

    deadline = time.monotonic() + PATIENCE_SECONDS
    while (dropped := await duplicates()) < 2 * len(tripled) and time.monotonic() < deadline:
        await trial.last(0.2)
    trial.check("duplicates_total +2 each", holds=dropped >= 2 * len(tripled), seen=f"+{dropped:.0f} for {len(tripled)}")


async def out_of_order(trial: Trial) -> None:
    """F2: the newest message first, the others an hour and half an hour late; statuses overtake each other."""
    house = trial.house
    await house.emulator.behave(hold_probability=0.5, hold_seconds=[0.1, 1.5])
    trial.begins()
    customers = int(trial.seconds(6, 15))
    script = await house.new_customers(customers)
    newest: dict[str, str] = {}
    for number in range(customers):
        name, account = script.customer(number).id, script.account(number)
        for ago_seconds in (0, 3600, 1800):
            message = await house.emulator_writes(name, account, script.text(number), ago_seconds=ago_seconds, wait="acknowledged")
            newest.setdefault(script.customer(number).bsuid or "", message)
    board = house.records.board
    threads = {
        event.subject: event.data for event in house.records.events(MessageReceived) if event.data.message_id in set(newest.values())
    }
    await house.until(lambda: all(len(_inbound(trial, thread)) >= 3 for thread in threads), PATIENCE_SECONDS)
    trial.ends()
    appended = {thread: _inbound(trial, thread) for thread in threads}
    trial.check(
        "all are appended", holds=bool(threads) and all(len(found) == 3 for found in appended.values()), seen=f"{len(threads)} threads"
    )
    marked = all([one.late for one in sorted(found, key=lambda one: one.position)] == [False, True, True] for found in appended.values())
    trial.check("those that came late are marked late", holds=marked)
    backwards, wrong = 0, 0
    await house.until(lambda: all(board.of_thread(thread, WindowOpened) for thread in threads), PATIENCE_SECONDS)
    for thread, data in threads.items():
        ends = [event.data.ends_at.timestamp() for event in board.of_thread(thread, WindowOpened) if event.data.permission == "free_form"]
        backwards += any(later < earlier for earlier, later in pairwise(ends))
        wrong += not ends or max(ends) != data.sent_at.timestamp() + WINDOW_SECONDS
    trial.check("the window ends 24 h after the newest message", holds=wrong == 0, seen=f"{wrong} do not")
    trial.check("no window moves back", holds=backwards == 0, seen=backwards)
    await house.emulator.behave(hold_probability=0.0)


def _inbound(trial: Trial, thread: str) -> list[MessageAppended]:
    found = trial.house.records.board.of_thread(thread, MessageAppended)
    return [event.data for event in found if event.data.direction == "in"]


async def refused_bodies(trial: Trial) -> None:
    """F3: bodies that are forged, too large, or not what they should be."""
    house, provider = trial.house, trial.house.provider
    secret = house.stack.secrets["app_secret"]
    script = await house.new_customers(4)
    texts = tuple((f"{SECRET_TEXT} {line[0]}",) for line in script.texts)
    body, good = webhook(replace(script, texts=texts, run=f"{script.run}-forged"), 0, secret)
    large = b'{"object":"whatsapp_business_account","entry":[],"x":"' + SECRET_TEXT.encode() + b"x" * OVERSIZED_BYTES + b'"}'
    # Of this run alone: the same body again is a redelivery, known by its id.
    broken = f'{{"object": "{SECRET_TEXT} {script.run}", "entry": ['.encode()
    cases = {
        "a bad signature": (body, headers(body, secret, "bad"), {401}),
        "no signature": (body, headers(body, secret, "absent"), {401}),
        "an oversized body, or hung up on while it still comes": (large, headers(large, secret), {413, NO_ANSWER}),
        "no JSON": (broken, headers(broken, secret), {200, 400, 422}),
        "a body changed after signing": (body + b" ", good, {401}),
    }
    received, rejected = len(house.records.events(MessageReceived)), len(house.records.events(WebhookRejected))
    trial.begins()
    quarantined = 0
    for what, (data, signed, expected) in cases.items():
        attempt = await provider.attempt(data, signed)
        quarantined += attempt.status == HTTPStatus.OK
        trial.check(f"{what}: {' or '.join(map(str, sorted(expected)))}", holds=attempt.status in expected, seen=attempt.status)
    trial.ends()
    await trial.recovered()
    forged = [event for event in house.records.events(MessageReceived) if "forged" in event.data.message_id]
    trial.check(
        "nothing of them on `inbound`",
        holds=not forged,
        seen=f"{len(house.records.events(MessageReceived)) - received} others meanwhile",
    )
    await house.until(lambda: len(house.records.events(WebhookRejected)) - rejected >= quarantined, PATIENCE_SECONDS)
    new_rejected = len(house.records.events(WebhookRejected)) - rejected
    trial.check("what was signed and unreadable is quarantined", holds=new_rejected == quarantined, seen=new_rejected)
    await house.gauges.sample()
    counted = sum(house.gauges.total("parley_webhooks_total", labels=f'status="{status}"') for status in (401, 413))
    trial.check("counted by status", holds=counted >= 4, seen=f"{counted:.0f}")
    logs = [name for name in house.stack.children if SECRET_TEXT in house.log_of(name) and name != "emulator"]
    trial.check("no payload in a log", holds=not logs, seen=", ".join(logs) or "none")


async def broker_unreachable(trial: Trial) -> None:
    """F4: no byte passes between ingest and the broker; then connections are refused."""
    house = trial.house
    edge = house.edges.broker["ingest"]
    seconds = trial.seconds(4, 10)
    trial.begins()
    began = time.time()
    edge.set_both(Condition(black_hole=True))
    await trial.last(seconds)
    unready = await house.gauges.probe("ingest", "/ready")
    edge.refuse()
    await trial.last(seconds)
    until = time.time()
    edge.heal()
    trial.ends()
    back = await trial.recovered()
    attempts = [
        one
        for post in house.provider.posts.values()
        for one in post.attempts
        if began + 0.5 <= one.left_at <= until - ANSWER_SECONDS_MAX - BUSY_SECONDS
    ]
    slowest = max((one.seconds for one in attempts), default=0.0)
    statuses = {one.status for one in attempts}
    trial.check(
        "every webhook is answered 503", holds=statuses == {HTTPStatus.SERVICE_UNAVAILABLE}, seen=f"{len(attempts)} attempts, {statuses}"
    )
    trial.check("within 3 s", holds=0 < slowest <= ANSWER_SECONDS_MAX + BUSY_SECONDS, seen=f"{slowest:.1f} s at most")
    trial.check("not ready meanwhile", holds=unready[0] == HTTPStatus.SERVICE_UNAVAILABLE, seen=unready[1])
    trial.check("taken in again afterwards", holds=back)


async def answer_lost(trial: Trial) -> None:
    """F5: what ingest writes arrives, the broker's acknowledgements do not."""
    house = trial.house
    before, holes = _repeated(trial), 0
    while _repeated(trial) == before and holes < HOLES_MAX:
        holes += 1
        trial.begins()
        house.edges.broker["ingest"].set(DOWN, Condition(black_hole=True))
        await trial.last(trial.seconds(3, 15))
        house.edges.broker["ingest"].heal()
        trial.ends()
        back = await trial.recovered()
        await house.until(lambda: _repeated(trial) > before, PATIENCE_SECONDS / 10)
    trial.check("facts were written more than once", holds=_repeated(trial) > before, seen=f"{_repeated(trial) - before} facts")
    trial.check("taken in again afterwards", holds=back)


def _repeated(trial: Trial) -> int:
    """Return how many facts of ingest (messages and statuses: they carry no seq) stand on the topics more than once."""
    records = trial.house.records
    found = records.events(MessageReceived, MessageSent, MessageDelivered, MessageRead)
    return sum(records.written[event.id] > 1 for event in found)


async def killed_before_answering(trial: Trial) -> None:
    """F6: ingest is killed when the broker has the message and the provider has no answer."""
    house = trial.house
    edge = house.edges.broker["ingest"]
    caught: set[str] = set()
    for _ in range(int(trial.seconds(1, 3))):
        edge.set(DOWN, Condition(latency_seconds=1.0))
        await trial.last(1.5)
        caught_now = await _message_in_between(trial)
        trial.begins()
        house.stack.children["ingest"].kill()
        trial.ends()
        edge.heal()
        caught |= caught_now
        await house.until_restarted("ingest")
        await trial.recovered()
    posts = [house.provider.posts[message] for message in caught]
    await house.until(lambda: all(post.acknowledged_at for post in posts), PATIENCE_SECONDS)
    trial.check("killed between acknowledgement and answer", holds=bool(caught), seen=f"{len(caught)} messages")
    retried = [post for post in posts if NO_ANSWER in {attempt.status for attempt in post.attempts} and post.acknowledged_at]
    trial.check("the provider came again and was answered 200", holds=len(retried) == len(posts), seen=len(retried))

    def effects() -> list[str]:
        return [event.data.message_id for event in house.records.events(MessageAppended) if event.data.message_id in caught]

    await house.until(lambda: set(effects()) == caught, PATIENCE_SECONDS)
    trial.check("one effect each", holds=len(effects()) == len(caught), seen=len(effects()))


async def _message_in_between(trial: Trial) -> set[str]:
    """Wait for messages that are on the topic and not acknowledged to the provider; return them."""
    house = trial.house
    found: set[str] = set()

    def there() -> bool:
        posts = house.provider.posts
        waiting = {message for message, post in posts.items() if post.acknowledged_at is None}
        found.clear()
        found.update(e.data.message_id for e in house.records.events(MessageReceived) if e.data.message_id in waiting)
        return bool(found)

    await house.until(there, PATIENCE_SECONDS)
    return set(found)


FAULTS = (
    Fault("F1", "The provider sends every webhook three times", "3 × 2xx, one event id downstream, `duplicates_total` +2", redelivered),
    Fault(
        "F2",
        "Webhooks arrive out of order",
        "stored by provider time; the window follows the latest customer time; no state moves back",
        out_of_order,
    ),
    Fault("F3", "Forged, oversized and malformed bodies", "401/413/4xx, nothing in Kafka, counted, no payload in logs", refused_bodies),
    Fault("F4", "Kafka unreachable at ingest", "503 within 3 s, not ready, no 2xx without acknowledgement", broker_unreachable),
    Fault("F5", "Kafka's acknowledgement is lost", "a duplicate record with the same id, suppressed downstream", answer_lost),
    Fault("F6", "Ingest killed between acknowledgement and answer", "the provider comes again; one effect", killed_before_answering),
)
