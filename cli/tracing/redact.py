"""Takes out of an event's JSON what nobody asked to see: what was written, and who the customer is. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cli.masking import mask_number
from cli.tracing.story import FACTS_SHOWN

TEXTS = frozenset(
    {
        "text", "caption", "body", "summary", "note", "description", "parameters", "named_parameters", "values", "value", "vcard", "title",
        "filename", "url",
    }
)  # fmt: skip
"""Fields that hold what somebody wrote, or lead to it."""
PERSONS = frozenset({"phone", "phones", "email", "emails", "display_name", "username", "name", "key"})
"""Fields that say who somebody is; the names of authors and of templates are kept."""
HIDDEN = "[hidden]"
_OURS = frozenset({"author", "by"})
"""Objects about people of ours."""


@dataclass(frozen=True, slots=True)
class Redactor:
    """Redacts documents of one thread. `customer` is the thread's customer part; where it is a phone number it is masked everywhere."""

    customer: str
    texts: bool
    persons: bool

    def of(self, value: Any, *, ours: bool = False) -> Any:
        """Return `value` without what is to be hidden; `ours`: names in it are those of our people and templates."""
        if isinstance(value, dict):
            inside = ours or value.get("kind") == "template"
            return {name: self._field(name, entry, ours=inside) for name, entry in value.items()}
        if isinstance(value, list):
            return [self.of(entry, ours=ours) for entry in value]
        return mask_number(value, self.customer) if isinstance(value, str) and self.persons else value

    def _field(self, name: str, value: Any, *, ours: bool) -> Any:
        if self.texts and name in TEXTS:
            return HIDDEN
        if self.texts and name == "changes":
            return {fact: self.of(change) if fact in FACTS_SHOWN else HIDDEN for fact, change in value.items()}
        if self.persons and name in PERSONS and not ours:
            return HIDDEN
        return self.of(value, ours=ours or name in _OURS)
