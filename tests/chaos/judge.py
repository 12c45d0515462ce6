"""The equations that must hold after any fault, over plain counts. Pure, so that wrong counts can be fed to it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable

from devstack.demo.summary import Line
from tests.chaos.tally import Appended, Tally


def equations(tally: Tally) -> list[Line]:
    """Return what must be equal; see devstack.demo.summary for the counts of replies, which are the same there and here."""
    return [*_way_in(tally), *_order(tally), *_sends(tally), *_stores(tally), *_streams(tally)]


def _way_in(tally: Tally) -> list[Line]:
    received = [message for messages in tally.received.values() for message in messages]
    appended = Counter(one.message_id or "without an id" for one in tally.appended)
    return [
        Line("messages answered 200 = messages posted", len(tally.acknowledged), len(tally.posted)),
        _same("messages answered 200 = messages on `inbound`", tally.acknowledged, set(received)),
        _same("messages on `inbound` = messages appended", set(received), set(appended)),
        Line(
            "no message appended twice", sum(appended.values()), len(appended), _some(one for one, count in appended.items() if count > 1)
        ),
        Line("the channel's webhooks given up", tally.webhooks_given_up, 0),
        Line("statuses of the channel = statuses on `deliveries`", tally.statuses_made, tally.statuses_in),
    ]


def _order(tally: Tally) -> list[Line]:
    by_thread: dict[str, list[Appended]] = defaultdict(list)
    for one in tally.appended:
        by_thread[one.thread].append(one)
    in_order = {
        thread: tuple(one.message_id or "" for one in sorted(found, key=lambda one: one.position)) for thread, found in by_thread.items()
    }
    disordered = sorted(thread for thread, messages in tally.received.items() if in_order.get(thread, ()) != messages)
    broken = sorted(thread for thread, places in tally.positions.items() if sorted(places) != list(range(1, len(places) + 1)))
    return [
        Line("threads whose messages are not in the order of the log", len(disordered), 0, _some(disordered)),
        Line("threads whose places have a gap or a double", len(broken), 0, _some(broken)),
    ]


def _sends(tally: Tally) -> list[Line]:
    sends = tally.sends
    settled = sends.accepted | sends.refused | sends.unknown
    doubled = sorted(send for send, times in sends.times_accepted.items() if times > 1)
    unaccounted = set(sends.times_accepted) - sends.accepted - sends.unknown
    invented = sends.accepted - set(sends.times_accepted)
    contradictory = (sends.accepted & sends.refused) | (sends.refused & set(sends.times_accepted))
    detail = f"{len(sends.accepted)} accepted, {len(sends.refused)} refused, {len(sends.unknown - sends.accepted)} unknown"
    return [
        _same("sends requested = sends with an outcome", sends.requested, settled, detail),
        Line("sends that the channel got twice", len(doubled), 0, _some(doubled)),
        Line("sends at the channel that we know nothing of", len(unaccounted), 0, _some(unaccounted)),
        Line("sends said to be accepted that the channel never got", len(invented), 0, _some(invented)),
        Line("sends both refused and accepted", len(contradictory), 0, _some(contradictory)),
    ]


def _stores(tally: Tally) -> list[Line]:
    last = {thread: max(places) for thread, places in tally.positions.items() if places}
    differing = sorted(
        thread for thread in last.keys() | tally.stored_positions.keys() if last.get(thread) != tally.stored_positions.get(thread)
    )
    phases, sends = tally.stored_phases, tally.sends
    open_phases = {send for phase, found in phases.items() if phase not in {"accepted", "refused", "unknown"} for send in found}
    return [
        Line("threads whose last place differs between topic and store", len(differing), 0, _some(differing)),
        _same("sends accepted on the topic = in the ledger", sends.accepted, phases.get("accepted", frozenset())),
        _same("sends refused on the topic = in the ledger", sends.refused, phases.get("refused", frozenset())),
        _same("sends unknown on the topic = in the ledger", sends.unknown - sends.accepted, phases.get("unknown", frozenset())),
        Line("sends left without an outcome in the ledger", len(open_phases), 0, _some(open_phases)),
    ]


def _streams(tally: Tally) -> list[Line]:
    return [
        Line("emitting states with a gap in their seq", len(tally.seq_gaps), 0, _some(tally.seq_gaps)),
        Line("outputs repeated with other bytes", len(tally.differing), 0, _some(tally.differing)),
        Line("dead letters = those made on purpose", tally.dead_letters, tally.dead_letters_expected),
    ]


def _same(title: str, left: Iterable[str], right: Iterable[str], detail: str = "") -> Line:
    """Return the equation of two sets: their sizes, and where only the members differ, one side less."""
    first, second = set(left), set(right)
    if first == second:
        return Line(title, len(first), len(second), detail)
    only_first, only_second = first - second, second - first
    told = f"missing on the right: {_some(only_first) or 'none'}; on the left: {_some(only_second) or 'none'}"
    common = len(first & second)
    return Line(title, common + len(only_first), common - len(only_second), told)


def _some(names: Iterable[str]) -> str:
    """Return the first names of a few."""
    found = sorted(names)
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
