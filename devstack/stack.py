"""The whole on one machine: broker, topics, emulator and the five services, each a process of its own.

`parley up`, the demo, the end-to-end tests and the benchmarks all stand on this one class.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp

from devstack.children import Child, ChildSpec
from devstack.kafka import kafka_bootstrap_servers
from devstack.ports import free_port
from shared.contact_centre.loader import load_contact_centre
from shared.contact_centre.models import ContactCentre, MessageTemplate, TemplateText
from shared.engine.topic_admin import TopicLayout, create_topics
from shared.errors import ParleyError
from shared.ids import new_id
from shared.topics import PARTITIONS_EMBEDDED, all_topics

SERVICES = ("ingest", "router", "bot", "sla", "outbound")
READERS = ("conversation", "dispatch", "bot", "sla", "outbound")
"""Reducers and workers: each has a dead-letter topic."""
READY_SECONDS_MAX = 60.0
READY_POLL_SECONDS = 0.1
EMULATED_CHANNEL = "whatsapp"
FIRST_INSTANCE = "0"
"""The instance of a service's first process; the settings' default."""


class StackError(ParleyError):
    """The stack could not be started; the message says which part, and where its log is."""


@dataclass(frozen=True, slots=True)
class StackOptions:
    """What is different from one stack to another. `environment` goes to every service; `emulator` onto the emulator's configuration."""

    directory: Path = Path("var/stack")
    config_directory: Path = Path("config")
    partitions: int = PARTITIONS_EMBEDDED
    services: tuple[str, ...] = SERVICES
    ingest_port: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    emulator: Mapping[str, Any] = field(default_factory=dict)
    emulated: bool = True
    """Whether the channels' side is the emulator; else the services have the channels' settings of this process's environment."""
    layout: TopicLayout | None = None
    """How topics are made; `partitions` without replicas where it is None."""
    emulator_port: int = 0
    broker: Callable[[Path], AbstractAsyncContextManager[str]] = kafka_bootstrap_servers
    """Starts the broker below a directory, ends it, and gives its bootstrap servers."""
    environment_of: Callable[[str], Mapping[str, str]] = lambda _service: {}
    """What the environment of one service has besides; asked for at each start of one."""
    command_of: Callable[[str], Sequence[str]] = lambda service: (sys.executable, "-m", f"services.{service}")
    on_line: Callable[[str, str], None] = lambda _name, _line: None
    on_step: Callable[[str], None] = lambda _step: None
    on_restart: Callable[[str, int], None] = lambda _name, _code: None


@dataclass(slots=True)
class Stack:
    """A running stack. `secrets` are what the channels' side and the services agree on in this run.

    `children` and `health_ports` are by process: the first of a service has the service's name, another one `<service>-<instance>`.
    """

    options: StackOptions
    centre: ContactCentre
    bootstrap_servers: str
    ingest_url: str
    emulator_url: str
    topic_prefix: str
    secrets: Mapping[str, str]
    children: dict[str, Child] = field(default_factory=dict)
    health_ports: dict[str, int] = field(default_factory=dict)

    @property
    def ingest_port(self) -> int:
        """Return the port on which webhooks are taken in."""
        return int(self.ingest_url.rsplit(":", 1)[1])

    async def start_service(self, service: str, *, instance: str = FIRST_INSTANCE) -> str:
        """Start another process of a service, or one that was stopped; return its name here. It is ready some time later."""
        name = service if instance == FIRST_INSTANCE else f"{service}-{instance}"
        self.health_ports[name] = free_port()
        environment = {**_environment(self, service), "PARLEY_HEALTH_PORT": str(self.health_ports[name]), "PARLEY_INSTANCE": instance}
        spec = ChildSpec(name, tuple(self.options.command_of(service)), environment, self.options.directory / f"{name}.log")
        child = Child(spec, on_line=self.options.on_line, on_restart=self.options.on_restart)
        self.children[name] = child
        await child.start()
        return name

    async def stop_service(self, name: str) -> None:
        """Stop a process in good order and forget it."""
        await self.children[name].stop()
        del self.children[name], self.health_ports[name]

    async def wait_until_ready(self, services: Sequence[str] | None = None) -> None:
        """Return when the services' probes say that they are ready; raise StackError when one is not within READY_SECONDS_MAX."""
        names = self.options.services if services is None else services
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            await asyncio.gather(*(self._wait_until_ready(session, name) for name in names))

    async def _wait_until_ready(self, session: aiohttp.ClientSession, name: str) -> None:
        explanation = "it does not answer"
        try:
            async with asyncio.timeout(READY_SECONDS_MAX):
                while True:
                    child = self.children[name]
                    if child.ended:
                        raise StackError(f"{name} ended at its start:\n" + "\n".join(child.last_lines[-5:]))
                    try:
                        async with session.get(f"http://127.0.0.1:{self.health_ports[name]}/ready") as answer:
                            if answer.status == 200:  # noqa: PLR2004 # HTTP's OK
                                return
                            explanation = (await answer.text()).strip()
                    except aiohttp.ClientError:
                        explanation = "it does not answer"
                    await asyncio.sleep(READY_POLL_SECONDS)
        except TimeoutError:
            message = f"{name} was not ready within {READY_SECONDS_MAX:.0f} s ({explanation}): see {self.children[name].spec.log_path}"
            raise StackError(message) from None


@asynccontextmanager
async def running_stack(options: StackOptions) -> AsyncIterator[Stack]:
    """Start everything in order, hand it over when it is ready, and stop everything in the opposite order."""
    centre = load_contact_centre(options.config_directory)
    options.directory.mkdir(parents=True, exist_ok=True)
    async with AsyncExitStack() as exits:
        options.on_step("Starting the broker")
        bootstrap = await exits.enter_async_context(options.broker(options.directory / "kafka"))
        prefix = options.environment.get("PARLEY_TOPIC_PREFIX", "parley.")
        options.on_step("Making the topics")
        await create_topics(bootstrap, prefix, all_topics(READERS), options.layout or TopicLayout(options.partitions))
        ingest_port = options.ingest_port or free_port()
        secrets = {name: new_id() for name in ("app_secret", "access_token", "verify_token")}
        stack = Stack(options, centre, bootstrap, f"http://127.0.0.1:{ingest_port}", "", prefix, secrets)
        if options.emulated:
            options.on_step("Starting the channels' side")
            stack.emulator_url = await _start_emulator(stack, exits)
        exits.push_async_callback(_stop_services, stack)
        options.on_step(f"Starting {len(options.services)} services")
        for name in options.services:
            await stack.start_service(name)
        await stack.wait_until_ready()
        yield stack
        options.on_step("Stopping")


async def _stop_services(stack: Stack) -> None:
    """Stop all processes of the services at once."""
    await asyncio.gather(*(child.stop() for name, child in stack.children.items() if name in stack.health_ports))


async def _start_emulator(stack: Stack, exits: AsyncExitStack) -> str:
    """Start the channels' side; return its address."""
    ready: asyncio.Future[str] = asyncio.get_running_loop().create_future()

    def on_line(name: str, line: str) -> None:
        if not ready.done() and line.startswith("{") and '"ready"' in line:
            ready.set_result(json.loads(line)["api_url"])
        stack.options.on_line(name, line)

    path = stack.options.directory / "emulator.json"
    path.write_text(json.dumps(emulator_settings(stack)), encoding="utf-8")
    command = (sys.executable, "-m", "devstack.emulator", "--port", str(stack.options.emulator_port), "--config", str(path))
    child = Child(ChildSpec("emulator", command, log_path=stack.options.directory / "emulator.log"), on_line=on_line)
    stack.children["emulator"] = child
    await child.start()
    exits.push_async_callback(child.stop)
    try:
        async with asyncio.timeout(READY_SECONDS_MAX):
            return await ready
    except TimeoutError:
        raise StackError(f"the emulator did not start: see {child.spec.log_path}") from None


def _environment(stack: Stack, service: str) -> dict[str, str]:
    """Return what a service's environment has besides ours."""
    options = stack.options
    emulated = {
        "PARLEY_WHATSAPP_APP_SECRET": stack.secrets["app_secret"],
        "PARLEY_WHATSAPP_VERIFY_TOKEN": stack.secrets["verify_token"],
        "PARLEY_WHATSAPP_ACCESS_TOKEN": stack.secrets["access_token"],
        "PARLEY_WHATSAPP_API_BASE_URL": stack.emulator_url,
    }
    return {
        "KAFKA_BOOTSTRAP_SERVERS": stack.bootstrap_servers,
        "PARLEY_DATA_DIRECTORY": str(options.directory / "data"),
        "PARLEY_CONFIG_DIRECTORY": str(options.config_directory),
        "PARLEY_PARTITIONS": str(options.partitions),
        "PARLEY_INGEST_PORT": str(stack.ingest_port),
        **(emulated if options.emulated else {}),
        **options.environment,
        **options.environment_of(service),
    }


def emulator_settings(stack: Stack) -> dict[str, Any]:
    """Return the emulator's configuration: the numbers and templates of the contact centre, as the vendor would have them on file."""
    accounts = {key.split(":", 1)[1]: account for key, account in stack.centre.accounts.items() if key.startswith(f"{EMULATED_CHANNEL}:")}
    templates = [
        on_file(template, language, text)
        for template in stack.centre.templates
        if template.channel == EMULATED_CHANNEL
        for language, text in template.languages.items()
    ]
    whatsapp: dict[str, Any] = {
        "webhook_url": f"{stack.ingest_url}/channels/{EMULATED_CHANNEL}",
        **stack.secrets,
        "phone_numbers": [
            {"phone_number_id": number, "waba_id": "200000000000001", "display_phone_number": f"1555010{index:04d}", "name": account.title}
            for index, (number, account) in enumerate(accounts.items())
        ],
        "templates": templates,
    }
    settings: dict[str, Any] = {"whatsapp": whatsapp}
    return _merged(settings, stack.options.emulator)


def on_file(template: MessageTemplate, language: str, text: TemplateText) -> dict[str, Any]:
    """Return a template in one language as the vendor has it on file: under its own names, codes and kinds of buttons."""
    header, buttons = text.header, text.buttons
    return {
        "name": text.name or template.name,
        "language": (text.code or language).replace("-", "_"),
        "category": template.category,
        "body": text.body,
        "body_parameters": text.parameters,
        "parameter_names": text.parameter_names,
        "header": {"format": header.kind.upper(), "text": header.text or ""} if header else None,
        "buttons": [{"type": button.kind.upper(), "text": button.text, "url": button.url or ""} for button in buttons],
    }


def _merged(base: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return `base` with `changes` laid over it, in depth."""
    merged = dict(base)
    for name, value in changes.items():
        current = merged.get(name)
        merged[name] = _merged(current, value) if isinstance(current, dict) and isinstance(value, Mapping) else value
    return merged
