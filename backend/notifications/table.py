"""Which types of notification there are, and which event becomes which: who is told, and with which values.

Their words stand in `templates/notifications/texts/<type>.txt`: the first paragraph is the title, the rest the text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, TypeVar

from backend.core.models import StateChange
from backend.core.references import make_reference
from backend.notifications.values import Channel, Default, Kind, NotificationType, Telling
from shared_contracts.events import (
    AccountNotice,
    AssistanceStatus,
    DocumentExpiring,
    DocumentReviewed,
    Event,
)
from shared_contracts.rooms import Room, RoomKind

E = TypeVar("E", bound=Event)
T = NotificationType

_ON, _OFF, _ALWAYS = Default.ON, Default.OFF, Default.ALWAYS
_AT_ONCE = {Channel.IN_APP: _ON, Channel.PUSH: _ON, Channel.SMS: _OFF, Channel.EMAIL: _OFF}
_IN_WRITING = {Channel.IN_APP: _ON, Channel.PUSH: _ON, Channel.EMAIL: _ON}

KINDS: Mapping[NotificationType, Kind] = {
    kind.type: kind
    for kind in (
        Kind(T.ASSISTANCE_ACCEPTED, _AT_ONCE, is_urgent=True, is_needed=True),
        Kind(T.ASSISTANCE_ARRIVED, _AT_ONCE, is_urgent=True, is_needed=True),
        Kind(T.ASSISTANCE_COMPLETED, _IN_WRITING, is_urgent=True, is_needed=True),
        Kind(T.ASSISTANCE_CANCELED, _AT_ONCE, is_urgent=True, is_needed=True),
        Kind(T.ASSISTANCE_EXPIRED, _AT_ONCE, is_urgent=True, is_needed=True),
        Kind(T.ASSISTANCE_GIVEN_BACK, _AT_ONCE, is_urgent=True, is_needed=True),
        Kind(T.MESSAGE_CREATED, {Channel.IN_APP: _ON, Channel.PUSH: _ON, Channel.EMAIL: _OFF}),
        Kind(T.DOCUMENT_APPROVED, _IN_WRITING, is_needed=True),
        Kind(T.DOCUMENT_REJECTED, _IN_WRITING, is_needed=True),
        Kind(T.DOCUMENT_EXPIRING, {**_IN_WRITING, Channel.PUSH: _OFF}, is_needed=True),
        # Its e-mail is sent by accounts, in any case.
        Kind(T.ACCOUNT_NOTICE, {Channel.IN_APP: _ALWAYS, Channel.PUSH: _ON}, is_urgent=True, is_needed=True),
        Kind(T.ANNOUNCEMENT, _IN_WRITING),
    )
}


@dataclass(frozen=True, slots=True)
class Row(Generic[E]):
    """An event that people are told of."""

    event: type[E]
    tell: Callable[[E, Sequence[str]], Iterable[Telling]]
    """Who is told what, from the event and the names of its rooms."""
    when: Callable[[E], bool] | None = None
    """Without a yes it makes no job at all."""
    after: Callable[[], timedelta] = timedelta
    job: str = "notifications.tell_of_event"


def _people_of(rooms: Sequence[str]) -> list[int]:
    """Whose own rooms these are."""
    parsed = [Room.parse(name) for name in rooms]
    return [room.id for room in parsed if room.kind is RoomKind.USER]


_STATUS = {
    "accepted": T.ASSISTANCE_ACCEPTED,
    "ongoing": T.ASSISTANCE_ARRIVED,
    "completed": T.ASSISTANCE_COMPLETED,
    "canceled": T.ASSISTANCE_CANCELED,
    "expired": T.ASSISTANCE_EXPIRED,
    "requested": T.ASSISTANCE_GIVEN_BACK,
}


def _assistance(event: AssistanceStatus, _rooms: Sequence[str]) -> Iterator[Telling]:
    """The client; of what is canceled, the assistant too. Whoever did it knows."""
    reference = make_reference("assistance", event.assistance_id)
    told = [event.client, event.assistant] if event.status == "canceled" else [event.client]
    mover = StateChange.objects.filter(reference=reference, version=event.version).values_list("by_id", flat=True)
    moved_by = mover.first()
    price = event.total_price
    yield Telling(
        type=_STATUS[event.status],
        user_ids=[person.id for person in told if person is not None and person.id != moved_by],
        values={
            "assistant": event.assistant.name if event.assistant else "",
            "price": f"{price.amount} {price.currency}" if price else "",
            "reason": event.reason,
        },
        reference=reference,
    )


def _document(event: DocumentReviewed, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(
        type=T.DOCUMENT_APPROVED if event.status == "approved" else T.DOCUMENT_REJECTED,
        user_ids=_people_of(rooms),
        values={"document": event.document_type, "reason": event.reason},
        reference=make_reference("document", event.document_id),
    )


def _expiring(event: DocumentExpiring, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(
        type=T.DOCUMENT_EXPIRING,
        user_ids=_people_of(rooms),
        values={"document": event.document_type, "expires_on": event.expires_on, "is_tomorrow": event.days == 1},
        reference=make_reference("document", event.document_id),
    )


def _notice(event: AccountNotice, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(type=T.ACCOUNT_NOTICE, user_ids=_people_of(rooms), values={"kind": event.kind})


ROWS: tuple[Row[Any], ...] = (
    Row(
        AssistanceStatus,
        _assistance,
        # A request is no news to who made it; one with a later version was given back.
        when=lambda event: event.status in _STATUS and (event.status != "requested" or event.version > 1),
    ),
    Row(DocumentReviewed, _document),
    Row(DocumentExpiring, _expiring),
    Row(AccountNotice, _notice),
)
"""`assistance.offered` is not here on purpose: it is live or nothing."""
