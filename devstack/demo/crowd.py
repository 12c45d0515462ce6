"""Customers beside the scenes, so that the day has some traffic: they ask what the FAQ knows, in every language, all at once."""

from __future__ import annotations

import asyncio
import random

from devstack.demo.day import Day
from shared.events.deliveries import SendAccepted

SEED = 7
CROWD = "Crowd"
DEPARTMENTS = ("sales", "support", "billing")
SPREAD_SECONDS = 8.0
"""Over how long the crowd arrives."""


async def crowd(day: Day, customers: int) -> str:
    """Let `customers` write, each once, at their own moments; return when everybody has an answer."""
    chance = random.Random(SEED)
    entries = [entry for entry in day.stack.centre.faq if entry.questions]

    async def one(number: int) -> None:
        language = chance.choice(day.stack.centre.languages)
        department = chance.choice(DEPARTMENTS)
        question = chance.choice(chance.choice(entries).questions[language])
        name = f"{CROWD} {number}"
        thread = await day.customer(name, f"+35193{number:07d}", department)
        await asyncio.sleep(chance.uniform(0, SPREAD_SECONDS))
        await day.writes(name, department, question)
        await day.until_event(thread, SendAccepted)

    await asyncio.gather(*(one(number) for number in range(customers)))
    return f"{customers} questions in {len(day.stack.centre.languages)} languages, {customers} answers"
