"""Print every message of every conversation, from the beginning: `python examples/consume.py`."""

import asyncio
import json
import os

from aiokafka import AIOKafkaConsumer

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
PREFIX = os.environ.get("PARLEY_TOPIC_PREFIX", "parley.")


async def main() -> None:
    group = f"{PREFIX}integrator.example"
    options = {"bootstrap_servers": SERVERS, "group_id": group, "auto_offset_reset": "earliest", "enable_auto_commit": False}
    async with AIOKafkaConsumer(f"{PREFIX}conversations", **options) as consumer:
        async for record in consumer:
            event = json.loads(record.value)
            if event["type"] == "parley.message.appended.v1":
                print(event["subject"], event["data"]["direction"], event["data"]["content"].get("text"), flush=True)
            await consumer.commit()  # after the work: a crash repeats the record, and `id` says that it is the same


asyncio.run(main())
