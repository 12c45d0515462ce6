"""Answer a customer: `python examples/publish.py whatsapp:100000000000001:351912000001 "Your parcel is on its way."`."""

import asyncio
import json
import os
import sys
from datetime import UTC, datetime
from uuid import uuid4

from aiokafka import AIOKafkaProducer

SERVERS = os.environ.get("KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:9092")
PREFIX = os.environ.get("PARLEY_TOPIC_PREFIX", "parley.")


async def main(thread: str, text: str) -> None:
    now, command_id = datetime.now(UTC).isoformat(timespec="milliseconds"), uuid4().hex
    author = {"kind": "integration", "id": "parcel-tracking"}
    data = {"author": author, "reply_id": command_id, "content": {"kind": "text", "text": text}}
    about = {"id": command_id, "source": "https://tracking.example", "type": "parley.reply.v1", "subject": thread, "time": now}
    command = {"specversion": "1.0", **about, "datacontenttype": "application/json", "data": data}
    async with AIOKafkaProducer(bootstrap_servers=SERVERS, acks="all", enable_idempotence=True) as producer:
        await producer.send_and_wait(f"{PREFIX}commands", json.dumps(command).encode(), key=thread.encode())
    print(command_id)


asyncio.run(main(sys.argv[1], sys.argv[2]))
