"""Messages of customers, and the other things the vendor calls messages: reactions, edits, deletions, changes of number."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal

from shared.channels.contract import ItemIgnored
from shared.channels.whatsapp.contents import read_content
from shared.channels.whatsapp.facts import Fact, Found, Scope
from shared.channels.whatsapp.identity import CHANNEL_NAME, customer_of, phones_of, thread_of, to_e164
from shared.channels.whatsapp.reading import (
    Json,
    UnreadableItemError,
    list_in,
    moment_in,
    object_in,
    optional_object,
    optional_text,
    text_in,
)
from shared.events.inbound import CustomerIdentified, MessageDeleted, MessageEdited, MessageReceived, ReactionChanged
from shared.events.shapes import Customer, Origin
from shared.topics import INBOUND

NO_MESSAGE_ID = "M0"
"""What the context of an edit names instead of a message."""


def read_message(message: Json, scope: Scope) -> Found:
    """Return what one entry of `messages` says."""
    if message.get("group_id") is not None:
        # A group is no conversation with one customer: answering its members one by one would be wrong.
        return (ItemIgnored(scope.account, "group_message"),)
    return _READERS.get(text_in(message, "type"), _received)(message, scope)


def _sender(message: Json, scope: Scope) -> Customer:
    return customer_of(message, scope.profiles, parent="from_parent_user_id")


def _received(message: Json, scope: Scope) -> Found:
    customer = _sender(message, scope)
    message_id, sent_at = text_in(message, "id"), moment_in(message)
    data = MessageReceived(
        channel=CHANNEL_NAME,
        account=scope.account,
        message_id=message_id,
        customer=customer,
        content=read_content(message),
        sent_at=sent_at,
        received_at=scope.received_at,
        origin=_origin(message),
        **_context(message),
    )
    fact = Fact(INBOUND, customer.id, "message", message_id, data, sent_at)
    return (fact, *_shared_number(message, customer, scope))


def _context(message: Json) -> Json:
    """Return what the message answers or comes from: the fields of MessageReceived that are set.

    A forwarded message has a context without an id: it answers nothing.
    """
    if message.get("context") is None:
        return {}
    context = object_in(message, "context")
    reply_to = optional_text(context, "id")
    return {
        "reply_to": reply_to if reply_to and reply_to != NO_MESSAGE_ID else None,
        "forwarded": context.get("forwarded") is True or context.get("frequently_forwarded") is True,
        "referred_product": optional_text(optional_object(context, "referred_product"), "product_retailer_id"),
    }


def _origin(message: Json) -> Origin | None:
    """Return where the customer came from. An ad makes the conversation a candidate of the vendor's free entry point.

    The click id comes with ads only, and may be missing there. `payload` is the greeting that the ad showed.
    """
    if message.get("referral") is None:
        return None
    referral = object_in(message, "referral")
    click_id, source_type = optional_text(referral, "ctwa_clid"), optional_text(referral, "source_type")
    kind: Literal["ad", "post", "other"] = "ad" if click_id or source_type == "ad" else "post" if source_type == "post" else "other"
    media = (optional_text(referral, name) for name in ("image_url", "video_url", "thumbnail_url"))
    return Origin(
        kind=kind,
        id=optional_text(referral, "source_id"),
        url=optional_text(referral, "source_url"),
        title=optional_text(referral, "headline"),
        body=optional_text(referral, "body"),
        payload=optional_text(optional_object(referral, "welcome_message"), "text"),
        media_url=next((url for url in media if url), None),
        click_id=click_id,
    )


def _shared_number(message: Json, customer: Customer, scope: Scope) -> Found:
    """Return the phone number that the customer gave when we asked for it; a card of somebody else is only content.

    The vendor's pages put `origin` beside the cards or into the card.
    """
    if message.get("type") != "contacts":
        return ()
    cards = [card for card in list_in(message, "contacts") if isinstance(card, dict)]
    origin = optional_text(message, "origin") or (optional_text(cards[0], "origin") if len(cards) == 1 else None) or ""
    if not origin.startswith("contact_request") or len(cards) != 1:
        return ()
    phone = next((number for written in phones_of(cards[0]) if (number := to_e164(_digits(written)))), None)
    if phone is None:
        return ()
    data = CustomerIdentified(
        channel=CHANNEL_NAME,
        account=scope.account,
        aliases=customer.model_copy(update={"phone": phone}),
        reason="contact_shared",
        sent_at=moment_in(message),
    )
    return (Fact(INBOUND, customer.id, "contact_shared", text_in(message, "id"), data, data.sent_at),)


def _digits(written: str) -> str:
    """Return the digits of a phone number as people write it."""
    return "".join(character for character in written if character.isascii() and character.isdigit())


def _reaction(message: Json, scope: Scope) -> Found:
    """Return a reaction; one without an emoji takes the earlier one back."""
    reaction = object_in(message, "reaction")
    emoji = optional_text(reaction, "emoji") or None
    data = ReactionChanged(message_id=text_in(reaction, "message_id"), emoji=emoji, sent_at=moment_in(message))
    return (Fact(INBOUND, _sender(message, scope).id, "reaction", text_in(message, "id"), data, data.sent_at),)


def _edit(message: Json, scope: Scope) -> Found:
    """Return an edit; the new content is a whole message inside."""
    edit = object_in(message, "edit")
    content = read_content(object_in(edit, "message"))
    data = MessageEdited(message_id=text_in(edit, "original_message_id"), content=content, sent_at=moment_in(message))
    return (Fact(INBOUND, _sender(message, scope).id, "edit", text_in(message, "id"), data, data.sent_at),)


def _revoke(message: Json, scope: Scope) -> Found:
    """Return a deletion; its own id differs from the one of the message that is gone."""
    original = text_in(object_in(message, "revoke"), "original_message_id")
    data = MessageDeleted(message_id=original, sent_at=moment_in(message))
    return (Fact(INBOUND, _sender(message, scope).id, "revoke", text_in(message, "id"), data, data.sent_at),)


def _system(message: Json, scope: Scope) -> Found:
    """Return a change of number or id (changelog, 2026-08-11: also with `previous_user_id`); it is no message and opens nothing."""
    system = object_in(message, "system")
    match text_in(system, "type"):
        case "user_changed_number" | "customer_changed_number":
            return _changed(message, system, scope, "number_changed")
        case "user_changed_user_id":
            return _changed(message, system, scope, "id_changed")
        case "customer_identity_changed":
            return (ItemIgnored(scope.account, "customer_identity_changed"),)
        case _:
            raise UnreadableItemError("a kind of system message that is not known", "unknown_kind")


def _changed(message: Json, system: Json, scope: Scope, reason: Literal["number_changed", "id_changed"]) -> Found:
    """Return the new ids of the customer on the thread that the old ones led to."""
    old_phone, old_id = optional_text(message, "from"), optional_text(system, "previous_user_id")
    new_phone = optional_text(system, "wa_id") or optional_text(system, "new_wa_id")
    new_id = optional_text(system, "user_id")
    if not (new_phone or new_id):
        raise UnreadableItemError("neither a new number nor a new id")
    customer = old_id or _sender(message, scope).id
    previous = Customer(
        id=customer,
        phone=to_e164(old_phone) if reason == "number_changed" else None,
        business_scoped_id=old_id,
        parent_id=optional_text(system, "previous_parent_user_id"),
    )
    aliases = Customer(
        id=customer,
        phone=to_e164(new_phone),
        business_scoped_id=new_id,
        parent_id=optional_text(system, "parent_user_id"),
    )
    sent_at = moment_in(message)
    data = CustomerIdentified(
        channel=CHANNEL_NAME, account=scope.account, aliases=aliases, previous=previous, reason=reason, sent_at=sent_at
    )
    return (Fact(INBOUND, customer, reason, text_in(message, "id"), data, sent_at),)


def _request_welcome(_message: Json, scope: Scope) -> Found:
    """Return nothing of use: the chat was opened for the first time; the vendor has withdrawn the kind."""
    return (ItemIgnored(scope.account, "request_welcome"),)


def read_echo(echo: Json, scope: Scope) -> Found:
    """Return what the business wrote in its phone app (coexistence): outbound, so no work for anybody; its customer is `to`."""
    customer = customer_of(echo, scope.profiles, phone="to", scoped="to_user_id", parent="to_parent_user_id")
    return (ItemIgnored(scope.account, "message_echo", thread=thread_of(scope.account, customer.id)),)


_READERS: dict[str, Callable[[Json, Scope], Found]] = {
    "reaction": _reaction,
    "edit": _edit,
    "revoke": _revoke,
    "system": _system,
    "request_welcome": _request_welcome,
}
