"""The agents of a run: they accept what they are given, answer, and close, so that slots become free for those who wait."""

from __future__ import annotations

import asyncio

from devstack.demo.day import INTEGRATOR, Day
from devstack.demo.desk import Desk, author
from shared.engine.records import Publication
from shared.errors import BrokerUnavailableError
from shared.events.commands import Close
from shared.events.envelope import EventData, new_event
from shared.ids import new_id
from shared.topics import COMMANDS, Topic

PUBLISH_PAUSE_SECONDS = 0.5


class PatientDay(Day):
    """A day whose integrators publish until the broker has acknowledged: again and again, the same event."""

    async def publish(self, topic: Topic, key: str, data: EventData) -> str:
        """Publish; return the event's id."""
        event = new_event(data, event_id=new_id(), source=INTEGRATOR, subject=key, time=self.clock.now())
        await self.publish_record(Publication(topic, key, event.to_json()))
        return event.id

    async def publish_record(self, publication: Publication) -> None:
        """Publish a record as it is."""
        while True:
            try:
                return await self.publisher.publish([publication])
            except BrokerUnavailableError:
                await asyncio.sleep(PUBLISH_PAUSE_SECONDS)


class ClosingDesk(Desk):
    """A desk that closes a conversation after it has answered."""

    async def answer(self, thread: str, agent: str, epoch: int) -> str:
        """Answer and close; return the reply's id."""
        reply_id = await super().answer(thread, agent, epoch)
        await self.day.publish(COMMANDS, thread, Close(author=author(self.day, agent), epoch=epoch, reason="answered"))
        return reply_id
