"""WhatsApp's errors: what a code means for outbound, and in words an agent understands. The table is `errors.yaml`."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from shared.channels.whatsapp.reading import Json, UnreadableItemError, caption_in, integer_in, optional_text
from shared.errors import ConfigurationError
from shared.events.shapes import Failure, FailureClass

ERRORS_FILE = "errors.yaml"
DETAILS_CHARACTERS_MAX = 300
UNKNOWN_CODE = "unknown"
"""The code of a failure that names none."""


class ErrorRow(BaseModel):
    """One row: `codes` one by one, or all of `from_` to `until`. `source` where it differs from the table's."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    codes: tuple[int, ...] = ()
    from_: int | None = Field(default=None, alias="from")
    until: int | None = None
    class_: FailureClass = Field(alias="class")
    explanation: str = Field(min_length=1)
    retry_after_seconds: float | None = Field(default=None, gt=0)
    source: str | None = None

    @model_validator(mode="after")
    def _names_codes(self) -> ErrorRow:
        """Refuse a row that holds for no code."""
        if not self.all_codes():
            message = "a row needs codes, or from and until"
            raise ValueError(message)
        return self

    def all_codes(self) -> tuple[int, ...]:
        """Return every code of the row."""
        if self.from_ is None or self.until is None:
            return self.codes
        return (*self.codes, *range(self.from_, self.until + 1))


class _Table(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")
    source: str
    errors: tuple[ErrorRow, ...]


@dataclass(frozen=True, slots=True)
class ErrorRule:
    """What one code means."""

    class_: FailureClass
    explanation: str
    retry_after_seconds: float | None = None


@cache
def error_rules() -> dict[int, ErrorRule]:
    """Return the rule of every code in the table, read at the first call. Raises ConfigurationError."""
    text = resources.files(__package__).joinpath(ERRORS_FILE).read_text(encoding="utf-8")
    try:
        table = _Table.model_validate(yaml.safe_load(text))
    except (yaml.YAMLError, ValidationError) as error:
        raise ConfigurationError(f"{__package__}/{ERRORS_FILE} cannot be used: {error}") from None
    return {code: ErrorRule(row.class_, row.explanation, row.retry_after_seconds) for row in table.errors for code in row.all_codes()}


def rule_of(error: Json) -> ErrorRule | None:
    """Return what the vendor's `error` object means, or None for a code that the table does not have."""
    try:
        return error_rules().get(integer_in(error, "code"))
    except UnreadableItemError:
        return None


def failure_of(error: Json, otherwise: FailureClass = FailureClass.DEAD_LETTER) -> Failure:
    """Return the vendor's `error` object as a failure; a code that is not in the table has the class `otherwise`.

    Raises UnreadableItemError where the code is no code.
    """
    code = optional_text(error, "code")
    title = caption_in(error, "title") or caption_in(error, "message")
    subcode = optional_text(error, "error_subcode")
    rule = rule_of(error)
    if rule is None:
        sentence = "WhatsApp refused the message" + (f" with the code {code}." if code else " and named no reason.")
        return Failure(
            code=code or UNKNOWN_CODE, subcode=subcode, title=title, class_=otherwise, explanation=_with_details(sentence, error)
        )
    explanation = _with_details(rule.explanation, error) if rule.class_ is FailureClass.DEAD_LETTER else rule.explanation
    return Failure(code=code or UNKNOWN_CODE, subcode=subcode, title=title, class_=rule.class_, explanation=explanation)


def _with_details(sentence: str, error: Json) -> str:
    """Return `sentence` and the vendor's own words: who wrote the message needs them to repair it."""
    data = error.get("error_data")
    details = (caption_in(data, "details") if isinstance(data, dict) else None) or caption_in(error, "message")
    return f"{sentence} WhatsApp says: {details[:DETAILS_CHARACTERS_MAX]}" if details else sentence
