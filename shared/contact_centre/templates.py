"""An approved template filled in: what whoever sends it must give, and the content that comes of it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.contact_centre.models import HeaderOnFile, MessageTemplate, TemplateText
from shared.events.shapes import Media, Template, TemplateButton, TemplateHeader, TemplateHeaderText


class TemplateFillError(Exception):
    """The values do not fit the template; the message says what it takes, for whoever sends it."""


@dataclass(frozen=True, slots=True)
class TemplateValues:
    """What fills a template; the fields are those of the content `template`."""

    parameters: tuple[str, ...] = ()
    named_parameters: Mapping[str, str] = field(default_factory=dict)
    header: TemplateHeader | None = None
    buttons: tuple[TemplateButton, ...] = ()


NO_VALUES = TemplateValues()


def fill_template(template: MessageTemplate, language: str, values: TemplateValues = NO_VALUES) -> Template:
    """Return the content that sends `template` in `language` (one of its own) with `values`. Raises TemplateFillError."""
    text = template.languages[language]
    title = f"Template {template.name} in {language}"
    _check_body(text, values, title)
    _check_buttons(text, values.buttons, title)
    return Template(
        name=text.name or template.name,
        language=text.code or language,
        parameters=values.parameters,
        named_parameters=dict(values.named_parameters),
        header=_header(text.header, values.header, title),
        buttons=values.buttons,
    )


def _check_body(text: TemplateText, values: TemplateValues, title: str) -> None:
    """Refuse parameters that are not those of the body."""
    if len(values.parameters) != text.parameters:
        raise TemplateFillError(f"{title} takes {text.parameters} parameters; {len(values.parameters)} were given.")
    wanted, given = set(text.parameter_names), set(values.named_parameters)
    if wanted != given:
        names = ", ".join(text.parameter_names) or "none"
        raise TemplateFillError(f"{title} takes the named parameters {names}; given were {', '.join(sorted(given)) or 'none'}.")


def _header(on_file: HeaderOnFile | None, given: TemplateHeader | None, title: str) -> TemplateHeader | None:
    """Return the header to send: the given one, or the file that is kept with the template."""
    if on_file is None or (on_file.kind == "text" and not on_file.placeholders):
        if given is not None:
            raise TemplateFillError(f"{title} has no header that could be filled.")
        return None
    if given is None and on_file.kind in {"image", "video", "document"} and (on_file.media_id or on_file.url):
        return Media.model_validate(
            {"media_kind": on_file.kind, "media_id": on_file.media_id, "url": on_file.url, "filename": on_file.filename}
        )
    if given is None or _kind_of(given) != on_file.kind:
        was = "nothing" if given is None else _kind_of(given)
        raise TemplateFillError(f"{title} takes a header of the kind {on_file.kind}; {was} was given.")
    if isinstance(given, TemplateHeaderText):
        name = on_file.placeholders[0]
        return given.but(name=None if name.isdigit() else name)
    return given


def _kind_of(header: TemplateHeader) -> str:
    """Return the kind in the words of the configuration."""
    return header.media_kind if isinstance(header, Media) else header.kind


def _check_buttons(text: TemplateText, given: tuple[TemplateButton, ...], title: str) -> None:
    """Refuse values for buttons that are not there or take none, and buttons left without what they need."""
    by_index = {button.index: button for button in given}
    if len(by_index) < len(given):
        raise TemplateFillError(f"{title}: two values were given for one button.")
    for index, button in by_index.items():
        on_file = text.buttons[index] if index < len(text.buttons) else None
        if on_file is None:
            raise TemplateFillError(f"{title} has {len(text.buttons)} buttons; there is none with the index {index}.")
        if on_file.kind != button.kind or not on_file.takes_value:
            raise TemplateFillError(f"{title}: button {index} is of the kind {on_file.kind} and takes no {button.kind} value.")
    for index, on_file in enumerate(text.buttons):
        if on_file.needs_value and index not in by_index:
            raise TemplateFillError(f"{title}: button {index} ({on_file.kind}) needs a value.")
