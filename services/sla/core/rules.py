"""The configuration as the rules of this service need it: looked up by what an event knows, worked out once.

Channels' policies are dated data (see each channel's `policy.yaml`), promises and templates are the contact centre's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal, NamedTuple

from services.sla.state import Clock, ClockKind, SlaState
from shared.channels.contract import Policy, WindowRule
from shared.contact_centre.calendars import CompiledCalendar
from shared.contact_centre.models import WEEKDAYS, Calendar, ClockTarget, ContactCentre, Hours, MessageTemplate, Promise, WindowSettings
from shared.events.envelope import EventData
from shared.events.shapes import Template

COME_BACK = "come_back"
"""The purpose of the template that is sent in place of an answer when no window is open."""
SECONDS_PER_MINUTE = 60


class Change(NamedTuple):
    """What a rule decided: fields of the state that are new, and what is to be said, in order."""

    updates: dict[str, object]
    facts: list[EventData]

    def and_then(self, later: Change) -> Change:
        """Return both changes; where both set a field, `later` wins."""
        return Change(self.updates | later.updates, self.facts + later.facts)


def no_change() -> Change:
    """Return the change that changes nothing and says nothing."""
    return Change({}, [])


@dataclass(frozen=True, slots=True)
class Target:
    """One promise about one clock. `warn_before_seconds` are business seconds before the breach, the earliest warning first."""

    policy: str
    calendar: CompiledCalendar
    target_seconds: int
    warn_before_seconds: tuple[int, ...] = ()
    met_by: Literal["agent", "anyone"] = "agent"


@dataclass(frozen=True, slots=True)
class CompiledPromise:
    """A promise and the conversations it is for; an empty condition matches all."""

    promise: Promise
    targets: Mapping[ClockKind, Target]

    def matches(self, state: SlaState) -> bool:
        """Return whether this promise was made to the customer of this conversation."""
        promise = self.promise
        return (
            (not promise.channels or state.channel in promise.channels)
            and (not promise.departments or state.department in promise.departments)
            and state.priority >= promise.priority_from
        )


@dataclass(frozen=True, slots=True)
class ChannelRules:
    """What holds on one channel. `marks` are how long before a window's end we warn, the longest first."""

    policy: Policy
    margin: timedelta
    marks: tuple[timedelta, ...]
    come_back: tuple[MessageTemplate, ...]

    def serves(self, permission: str, author: str, now: datetime) -> bool:
        """Return whether the channel knows `permission` at `now`, for this kind of author: an abolished one is of no use, though open."""
        return any(rule.permission == permission and author in rule.authors and holds_at(rule, now) for rule in self.policy.windows)


@dataclass(frozen=True, slots=True)
class Rules:
    """Everything that is configured, ready to be asked."""

    channels: Mapping[str, ChannelRules]
    promises: tuple[CompiledPromise, ...]
    templates: Mapping[tuple[str, str], MessageTemplate]
    fallback_language: str
    always_open: CompiledCalendar
    targets: Mapping[tuple[str, ClockKind], Target] = field(default_factory=dict)

    def target_for(self, state: SlaState, kind: ClockKind) -> Target | None:
        """Return what was promised to this conversation about `kind`: the first promise that matches counts, also where it is silent."""
        promise = next((candidate for candidate in self.promises if candidate.matches(state)), None)
        return None if promise is None else promise.targets.get(kind)

    def target_of(self, clock: Clock) -> Target:
        """Return the target that `clock` runs for.

        A promise that has left the configuration since is kept as it was given, on a calendar that is always open.
        """
        known = self.targets.get((clock.policy, clock.kind))
        return known or Target(clock.policy, self.always_open, clock.target_seconds)

    def is_marketing(self, channel: str, template: Template) -> bool | None:
        """Return whether `template` is for marketing; None: the configuration does not know it."""
        known = self.templates.get((channel, template.name))
        return None if known is None else known.category == "marketing"


def holds_at(rule: WindowRule, at: datetime) -> bool:
    """Return whether the row of the policy holds at `at` (`valid_until` is the first moment at which it no longer does)."""
    return (rule.valid_from is None or rule.valid_from <= at) and (rule.valid_until is None or at < rule.valid_until)


def compile_rules(centre: ContactCentre, policies: Mapping[str, Policy], calendars: Mapping[str, CompiledCalendar]) -> Rules:
    """Return the rules of `centre` on channels with these policies. `calendars` holds at least those of the promises."""
    promises = tuple(_compile_promise(promise, calendars[promise.calendar]) for promise in centre.promises)
    return Rules(
        channels={name: _compile_channel(centre, policy) for name, policy in policies.items()},
        promises=promises,
        templates={
            (template.channel, name): template
            for template in centre.templates
            for name in (template.name, *(text.name for text in template.languages.values() if text.name))
        },
        fallback_language=centre.fallback_language,
        always_open=CompiledCalendar(
            Calendar(time_zone="UTC", hours=(Hours.model_validate({"days": WEEKDAYS, "from": "00:00", "until": "00:00"}),))
        ),
        targets={(promise.promise.name, kind): target for promise in promises for kind, target in promise.targets.items()},
    )


def _compile_channel(centre: ContactCentre, policy: Policy) -> ChannelRules:
    """Return the rules of one channel; where nothing is configured, the careful defaults of WindowSettings."""
    settings = centre.windows.get(policy.channel) or WindowSettings()
    return ChannelRules(
        policy=policy,
        margin=timedelta(seconds=settings.safety_margin_seconds),
        marks=tuple(timedelta(minutes=minutes) for minutes in sorted(set(settings.warn_before_minutes), reverse=True)),
        come_back=tuple(_of_purpose(centre.templates, policy.channel)) if policy.templates else (),
    )


def _of_purpose(templates: Iterable[MessageTemplate], channel: str) -> Iterable[MessageTemplate]:
    """Yield the templates that ask a customer of `channel` to come back."""
    return (template for template in templates if template.channel == channel and template.purpose == COME_BACK)


def _compile_promise(promise: Promise, calendar: CompiledCalendar) -> CompiledPromise:
    """Return `promise` with the targets that it sets."""
    configured: dict[ClockKind, ClockTarget | None] = {
        "first_response": promise.first_response,
        "next_response": promise.next_response,
        "resolution": promise.resolution,
    }
    targets = {kind: _compile_target(promise.name, target, calendar) for kind, target in configured.items() if target is not None}
    return CompiledPromise(promise, targets)


def _compile_target(policy: str, target: ClockTarget, calendar: CompiledCalendar) -> Target:
    """Return one target in whole seconds. A warning before the clock has begun would say nothing and is left out."""
    target_seconds = max(1, round(target.target_minutes * SECONDS_PER_MINUTE))
    warnings = {round(minutes * SECONDS_PER_MINUTE) for minutes in target.warn_before_minutes}
    return Target(
        policy=policy,
        calendar=calendar,
        target_seconds=target_seconds,
        warn_before_seconds=tuple(sorted((seconds for seconds in warnings if 0 < seconds < target_seconds), reverse=True)),
        met_by=target.met_by,
    )
