"""Which types of notification there are, and which event becomes which: who is told, and with which values.

Their words stand in `templates/notifications/texts/<type>.txt`: the first paragraph is the title, the rest the text.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Generic, TypeVar

from backend.accounts import public as accounts
from backend.core.environment import environment
from backend.core.models import StateChange
from backend.core.references import make_reference
from backend.notifications.values import Channel, Default, Kind, NotificationType, Telling
from backend.scheduling import public as scheduling
from shared_contracts.events import (
    AccountNotice,
    AssistanceStatus,
    BookingChange,
    BookingReminder,
    BookingUpdated,
    DocumentExpiring,
    DocumentReviewed,
    Event,
    ReviewCreated,
)
from shared_contracts.rooms import Room, RoomKind

E = TypeVar("E", bound=Event)
T = NotificationType

_ON, _OFF, _ALWAYS = Default.ON, Default.OFF, Default.ALWAYS
_AT_ONCE = {Channel.IN_APP: _ON, Channel.PUSH: _ON, Channel.SMS: _OFF, Channel.EMAIL: _OFF}
_IN_WRITING = {Channel.IN_APP: _ON, Channel.PUSH: _ON, Channel.EMAIL: _ON}
_IN_WRITING_OR_SMS = {**_IN_WRITING, Channel.SMS: _OFF}

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
        Kind(T.BOOKING_REQUESTED, _IN_WRITING_OR_SMS, is_needed=True),
        Kind(T.BOOKING_CONFIRMED, _IN_WRITING_OR_SMS, is_needed=True),
        Kind(T.BOOKING_UNCONFIRMED, _IN_WRITING_OR_SMS, is_needed=True),
        Kind(T.BOOKING_MOVED, _IN_WRITING_OR_SMS, is_needed=True),
        Kind(T.BOOKING_CANCELLED, _IN_WRITING_OR_SMS, is_needed=True),
        Kind(T.BOOKING_COMPLETED, _IN_WRITING, is_needed=True),
        Kind(T.BOOKING_NO_SHOW, _IN_WRITING, is_needed=True),
        Kind(T.BOOKING_EXPIRED, _IN_WRITING, is_needed=True),
        # After the quiet hours it would be too late.
        Kind(T.BOOKING_REMINDER, _IN_WRITING_OR_SMS, is_urgent=True, is_needed=True),
        Kind(T.REVIEW_CREATED, _IN_WRITING),
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


def _people_of(rooms: Sequence[str]) -> list[int]:
    """Whose own rooms these are."""
    parsed = [Room.parse(name) for name in rooms]
    return [room.id for room in parsed if room.kind is RoomKind.USER]


def _mover(reference: str, version: int) -> int | None:
    """Who brought the thing to this version, and need not be told; None: the timetable."""
    changes = StateChange.objects.filter(reference=reference, version=version)
    return changes.values_list("by_id", flat=True).first()


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
    moved_by = _mover(reference, event.version)
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
        values={"document_code": event.document_type, "reason": event.reason},
        reference=make_reference("document", event.document_id),
    )


def _expiring(event: DocumentExpiring, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(
        type=T.DOCUMENT_EXPIRING,
        user_ids=_people_of(rooms),
        values={
            "document_code": event.document_type,
            "expires_on": event.expires_on.isoformat(),
            "is_tomorrow": event.days == 1,
        },
        reference=make_reference("document", event.document_id),
    )


_BOOKING: Mapping[BookingChange, NotificationType] = {
    "requested": T.BOOKING_REQUESTED,
    "confirmed": T.BOOKING_CONFIRMED,
    "unconfirmed": T.BOOKING_UNCONFIRMED,
    "moved": T.BOOKING_MOVED,
    "cancelled": T.BOOKING_CANCELLED,
    "completed": T.BOOKING_COMPLETED,
    "no_show": T.BOOKING_NO_SHOW,
    "expired": T.BOOKING_EXPIRED,
}
"""What happened to a booking, where it is worth a word: an edited note is not."""


def _booking(event: BookingUpdated, rooms: Sequence[str]) -> Iterator[Telling]:
    """The client of every change of its state, also of their own doing; the others of what they did not do.

    A new one goes to the shop alone; what is over, or confirmed by itself, is news to the client alone.
    """
    reference = make_reference("booking", event.booking_id)
    about = Telling(
        type=_BOOKING[event.what],
        user_ids=[],
        values={
            "service": event.service_title,
            "provider": event.provider.name,
            "client": event.client.name,
            "starts_at": event.starts_at.isoformat(),
            "fee": f"{event.fee.amount} {event.fee.currency}" if event.fee else "",
            "reason": event.reason,
        },
        reference=reference,
    )
    moved_by = _mover(reference, event.version)
    people = [user_id for user_id in _people_of(rooms) if user_id != moved_by]
    if event.what != "requested":
        to_client = event.what in {"completed", "no_show"} or (event.what == "confirmed" and moved_by is None)
        others = [] if to_client else [user_id for user_id in people if user_id != event.client.id]
        yield replace(about, user_ids=[event.client.id, *others])
        return
    shop = {user_id for user_id in people if user_id != event.client.id}
    if environment().notify_managers_of_bookings:
        shop |= set(accounts.manager_ids()) - {moved_by}
    yield replace(
        about,
        user_ids=sorted(shop),
        addresses=scheduling.notify_emails_of(event.provider.id),
        addressed_by=event.provider.id,
    )


def _reminder(event: BookingReminder, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(
        type=T.BOOKING_REMINDER,
        user_ids=_people_of(rooms),
        values={
            "service": event.service_title,
            "provider": event.provider.name,
            "starts_at": event.starts_at.isoformat(),
            "address": event.address,
        },
        reference=make_reference("booking", event.booking_id),
    )


def _review(event: ReviewCreated, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(
        type=T.REVIEW_CREATED,
        user_ids=_people_of(rooms),
        values={"author": event.author.name, "rating": event.rating, "comment": event.comment},
        reference=make_reference("review", event.review_id),
    )


def _notice(event: AccountNotice, rooms: Sequence[str]) -> Iterator[Telling]:
    yield Telling(type=T.ACCOUNT_NOTICE, user_ids=_people_of(rooms), values={"kind_code": event.kind})


ROWS: tuple[Row[Any], ...] = (
    Row(
        AssistanceStatus,
        _assistance,
        # A request is no news to who made it; one with a later version was given back.
        when=lambda event: event.status in _STATUS and (event.status != "requested" or event.version > 1),
    ),
    Row(DocumentReviewed, _document),
    Row(DocumentExpiring, _expiring),
    Row(BookingUpdated, _booking, when=lambda event: event.what in _BOOKING),
    Row(BookingReminder, _reminder),
    Row(ReviewCreated, _review),
    Row(AccountNotice, _notice),
)
"""`assistance.offered` is not here on purpose: it is live or nothing. Of messages `services/messages.py` tells."""
