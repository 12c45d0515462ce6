"""Reads a channel's `policy.yaml`: the vendor's rules as dated data, so that a changed rule is a changed row and no code."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from importlib import resources
from typing import Annotated, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.channels.contract import Limits, Policy, WindowRule
from shared.errors import ConfigurationError, Mistake

POLICY_FILE = "policy.yaml"


class PolicyRow(BaseModel):
    """A row of a policy: frozen, and a field it does not know is a mistake. `source` is the vendor's page and its date."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str = Field(min_length=1)


class WindowRow(PolicyRow):
    """One window. It holds from the first moment (UTC) of `valid_from` until the first moment of `valid_until`."""

    permission: str
    opened_by: tuple[str, ...] = Field(min_length=1)
    length_seconds: int = Field(gt=0)
    authors: tuple[str, ...] = ("agent", "bot", "integration", "system")
    valid_from: date | None = None
    valid_until: date | None = None

    @model_validator(mode="after")
    def _in_order(self) -> WindowRow:
        """Refuse a row that ends before it begins."""
        if self.valid_from and self.valid_until and self.valid_until <= self.valid_from:
            message = "valid_until must be after valid_from"
            raise ValueError(message)
        return self

    def rule(self) -> WindowRule:
        """Return the row as sla reads it."""
        return WindowRule(
            permission=self.permission,
            opened_by=self.opened_by,
            length_seconds=self.length_seconds,
            authors=self.authors,
            valid_from=_first_moment(self.valid_from),
            valid_until=_first_moment(self.valid_until),
            source=self.source,
        )


class LimitsRow(PolicyRow):
    """What an account may send, where its own settings say nothing else."""

    sends_per_second: float = Field(gt=0)
    pair_interval_seconds: float = Field(default=0.0, ge=0)
    pair_burst: int = Field(default=1, ge=1)


class PolicyDocument(BaseModel):
    """A whole `policy.yaml`. `content` names the bounds of what the channel takes; what they mean is the channel's own."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    channel: str
    channel_class: Literal["messaging", "social", "live"]
    window_needed: bool = True
    templates: bool = False
    template_languages: tuple[str, ...] = ()
    template_languages_source: str = ""
    windows: tuple[WindowRow, ...] = ()
    limits: LimitsRow
    content: dict[str, Annotated[int, Field(gt=0)]] = Field(default_factory=dict)
    content_source: str = ""

    def policy(self) -> Policy:
        """Return the rules of windows and templates."""
        return Policy(
            channel=self.channel,
            channel_class=self.channel_class,
            windows=tuple(row.rule() for row in self.windows),
            window_needed=self.window_needed,
            templates=self.templates,
            template_languages=self.template_languages,
        )

    def account_limits(self) -> Limits:
        """Return what an account may send by default."""
        return Limits(self.limits.sends_per_second, self.limits.pair_interval_seconds, self.limits.pair_burst)


def _first_moment(day: date | None) -> datetime | None:
    """Return midnight (UTC) at which `day` begins."""
    return None if day is None else datetime.combine(day, time(), tzinfo=UTC)


def load_policy(package: str) -> PolicyDocument:
    """Return the policy of the channel in `package`. Raises ConfigurationError that names file, line and mistake."""
    return parse_policy(resources.files(package).joinpath(POLICY_FILE).read_text(encoding="utf-8"), f"{package}/{POLICY_FILE}")


def parse_policy(text: str, file: str) -> PolicyDocument:
    """Return the policy in `text`; `file` is named in the errors."""
    try:
        return PolicyDocument.model_validate(yaml.safe_load(text))
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigurationError("a channel's policy is no YAML", (Mistake(file, line, error.problem or "unreadable"),)) from None
    except ValidationError as error:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        mistakes = tuple(
            Mistake(file, _line_of(node, problem["loc"]), f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}")
            for problem in error.errors(include_url=False)
        )
        raise ConfigurationError("a channel's policy cannot be used", mistakes) from None


def _line_of(node: yaml.Node | None, path: tuple[int | str, ...]) -> int:
    """Return the line (from 1) of the innermost node on `path` that exists."""
    line = 1
    for part in path:
        if isinstance(node, yaml.MappingNode):
            found = next((value for key, value in node.value if key.value == part), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(part, int):
            found = node.value[part]
        else:
            found = None
        if found is None:
            break
        node, line = found, found.start_mark.line + 1
    return line
