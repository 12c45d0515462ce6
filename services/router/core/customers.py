"""Who the customer is, and what they want to hear from us."""

from __future__ import annotations

from typing import Any

from services.router.core.turn import Turn
from shared.events.conversations import ConversationUpdated
from shared.events.inbound import CustomerIdentified, CustomerLeft, CustomerOptedIn, CustomerOptedOut, ThreadReferred
from shared.events.shapes import Customer

LEFT = "left"
OPTED_OUT = "opted_out"
CUSTOMER = "customer"


def merge(known: Customer | None, seen: Customer) -> Customer:
    """Return what is known of a customer after `seen`: what it does not say stays as it was."""
    if known is None or known == seen:
        return seen
    told = {name: value for name, value in seen if value is not None and value != getattr(known, name)}
    return known.model_copy(update=told) if told else known


def forget_ended(known: Customer, previous: Customer | None) -> Customer:
    """Return `known` without the aliases that ended."""
    if previous is None:
        return known
    ended = {name: None for name, value in previous if value is not None and name != "id" and value == getattr(known, name)}
    return known.model_copy(update=ended)


def as_json(value: Customer | None) -> dict[str, Any] | None:
    """Return a customer as it stands in `changes`."""
    return None if value is None else value.model_dump(mode="json", exclude_none=True)


def take_identification(turn: Turn, event: CustomerIdentified) -> None:
    """We learned more about who the customer is: old aliases end, new ones are added."""
    known = turn.state.customer
    remaining = None if known is None else forget_ended(known, event.previous)
    customer = merge(remaining, event.aliases)
    if customer != known:
        turn.update(customer=customer)
        _tell(turn, CUSTOMER, as_json(known), as_json(customer))


def take_referral(turn: Turn, event: ThreadReferred) -> None:
    """A customer came in through a link without writing yet: it is the origin of the conversation that follows."""
    known = turn.state.customer
    turn.update(customer=merge(known, event.customer))
    if turn.state.is_open:
        if event.origin != turn.state.origin:
            before = turn.state.origin
            turn.update(origin=event.origin)
            _tell(turn, "origin", before and before.model_dump(exclude_none=True), event.origin.model_dump(exclude_none=True))
    else:
        turn.update(origin=event.origin)


def take_leave(turn: Turn, _event: CustomerLeft) -> None:
    """The customer closed the thread for good; until they write again nothing can be sent."""
    if not turn.state.left:
        turn.update(left=True)
        _tell(turn, LEFT, False, True)


def take_opt_out(turn: Turn, event: CustomerOptedOut) -> None:
    """The customer does not want `scope` any more. It outlives the conversation."""
    before = turn.state.opted_out
    if event.scope not in before:
        _change_scopes(turn, tuple(sorted((*before, event.scope))))


def take_opt_in(turn: Turn, event: CustomerOptedIn) -> None:
    """The customer wants `scope` again; `all` takes every refusal back."""
    before = turn.state.opted_out
    after = () if event.scope == "all" else tuple(scope for scope in before if scope != event.scope)
    if after != before:
        _change_scopes(turn, after)


def _change_scopes(turn: Turn, scopes: tuple[str, ...]) -> None:
    """Remember and tell what the customer does not want; there are two scopes, so it is bounded."""
    before = turn.state.opted_out
    turn.update(opted_out=scopes)
    _tell(turn, OPTED_OUT, list(before), list(scopes))


def _tell(turn: Turn, name: str, before: Any, after: Any) -> None:
    """Publish a change, if the thread has a conversation that it can stand in."""
    if turn.state.number:
        turn.emit(ConversationUpdated(conversation_id=turn.conversation_id, changes={name: (before, after)}))
