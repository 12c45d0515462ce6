"""Partitions of the log that do not acknowledge: their shards wait, the others go on."""

from __future__ import annotations

from shared.topics import COMMANDS
from tests.shared.engine.batch_world import World, a_world, keys_of_shards
from tests.shared.engine.counting import TIMER, command


async def two_shards() -> tuple[World, str, str]:
    """Return a world of two shards, and a key on each."""
    first, second = keys_of_shards(2)
    return await a_world(partitions=2), first, second


async def test_a_partition_that_does_not_acknowledge_holds_up_no_other() -> None:
    """Its shard is given back and waits; the other's work of the same batch is done, and so is all that comes meanwhile."""
    world, sick, healthy = await two_shards()
    world.publisher.sick = {0}
    for number in (1, 2):
        world.write(sick, command("a", event_id=str(number), key=sick))
        world.write(healthy, command("a", event_id=str(number), key=healthy))
        outcome = await world.turn()
        assert [shards for _, shards in outcome.failed] == [{0}]
        assert outcome.done == {(COMMANDS, 1): number}
    world.publisher.sick = set()
    await world.settle()
    assert [event.seq for event in world.events() if event.subject == healthy] == [1, 2]
    assert world.document(sick).emitted == 2


async def test_what_a_sick_partition_has_not_acknowledged_goes_out_again_before_anything_new() -> None:
    """Also after a restart, and from the first touch on: nothing new of the key is decided while its outbox waits."""
    world, sick, healthy = await two_shards()
    world.write(sick, command("a", event_id="1", key=sick))
    world.publisher.sick = {0}
    assert (await world.turn()).failed
    await world.restart()
    world.write(sick, command("a", event_id="2", key=sick))
    world.write(healthy, command("a", event_id="1", key=healthy))
    outcome = await world.turn()
    assert [shards for _, shards in outcome.failed] == [{0}]
    assert (outcome.done, world.document(sick).emitted) == ({(COMMANDS, 1): 1}, 1)
    world.publisher.sick = set()
    await world.settle()
    assert [event.seq for event in world.events() if event.subject == sick] == [1, 1, 1, 2]


async def test_what_timers_left_on_a_sick_partition_leaves_the_others_their_timers() -> None:
    """The flush after an assignment waits for its own shard alone, and is tried again."""
    world, sick, healthy = await two_shards()
    for key in (sick, healthy):
        world.write(key, command("timer", event_id=f"1/{key}", key=key))
    await world.settle()
    world.publisher.sick = {0}
    world.clock.advance(TIMER)
    assert [shards for _, shards in (await world.turn()).failed] == [{0}]
    await world.restart()
    world.write(healthy, command("a", event_id="2", key=healthy))
    assert [shards for _, shards in (await world.turn()).failed] == [{0}]
    assert world.document(healthy).emitted == 3
    world.publisher.sick = set()
    await world.settle()
    assert [world.document(key).dirty for key in (sick, healthy)] == [False, False]
    assert {event.seq for event in world.events() if event.subject == sick} == {1, 2}
