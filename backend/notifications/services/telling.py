"""Telling people: rows of their lists, events to their sockets, and what is to leave the house."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cache
from typing import Any, TypeVar

from django.db import transaction

from backend.accounts import public as accounts
from backend.accounts.public import RecipientView
from backend.core.environment import environment
from backend.core.hot import HotQuery, as_model, columns_of, run
from backend.core.jobs import enqueue
from backend.core.outbox import emit_all
from backend.notifications.models import Preferences
from backend.notifications.services import queueing
from backend.notifications.services.choices import language_of, wants
from backend.notifications.services.inboxes import lock_inboxes
from backend.notifications.services.writing import Words, write
from backend.notifications.table import KINDS
from backend.notifications.values import Channel, Kind, Telling
from shared_contracts.events import Event, NotificationCreated, NotificationOut
from shared_contracts.rooms import user_room

T = TypeVar("T")

MOST_AT_ONCE = 500
"""People in one transaction; more are several jobs."""

_INSERT = """
INSERT INTO notifications_notification
    (user_id, address, addressed_by_id, type, source, is_shown, title, body, reference, language, created_at)
SELECT new.user_id, new.address, CASE WHEN new.user_id IS NULL THEN %s::bigint END, %s::text, %s::text, new.is_shown,
    new.title, new.body, %s::text, new.language, %s::timestamptz
FROM unnest(%s::bigint[], %s::text[], %s::boolean[], %s::text[], %s::text[], %s::text[])
    AS new (user_id, address, is_shown, title, body, language)
ON CONFLICT DO NOTHING
RETURNING id, user_id, address
"""
_ONE_MORE = """
UPDATE notifications_inbox SET unread = unread + 1 WHERE user_id = ANY(%s::bigint[]) RETURNING user_id, unread
"""
_PREFERENCES = HotQuery(
    lambda people: Preferences.objects.filter(user__pk__any=people).values_list(*columns_of(Preferences)), people=list
)


@dataclass(frozen=True, slots=True)
class _Told:
    """One recipient of a telling, and how they want it."""

    recipient: RecipientView | None
    """None for a plain address."""
    address: str
    preferences: Preferences
    words: Words
    is_shown: bool

    @property
    def user_id(self) -> int | None:
        return self.recipient.id if self.recipient else None


def tell_all(tellings: Iterable[Telling], *, source: str, now: datetime) -> None:
    """Tell whom they name, in this transaction, or in jobs of 500 people where there are more."""
    for telling in tellings:
        if len(telling.user_ids) + len(telling.addresses) <= MOST_AT_ONCE:
            tell(telling, source=telling.source or source, now=now)
        else:
            fan_out(telling, source=telling.source or source, now=now)


@transaction.atomic
def fan_out(telling: Telling, *, source: str, now: datetime) -> None:
    """One job for each 500 of these people, and of these plain addresses.

    What leaves the house is paced, so that nobody else's waits behind it.
    """
    user_ids = sorted(set(telling.user_ids))
    addresses = sorted({address.lower() for address in telling.addresses})
    parts: list[tuple[list[int], list[str]]] = [(part, []) for part in _parts(user_ids)]
    parts += [([], part) for part in _parts(addresses)]
    rate = environment().fan_out_per_second
    start = 0
    for some_ids, some_addresses in parts:
        enqueue(
            "notifications.tell",
            now=now,
            type=telling.type,
            user_ids=some_ids,
            addresses=some_addresses,
            addressed_by=telling.addressed_by,
            values=dict(telling.values),
            reference=telling.reference,
            source=source,
            begin_at=(now + timedelta(seconds=start / rate)).isoformat(),
        )
        start += len(some_ids) + len(some_addresses)


def _parts(things: Sequence[T]) -> Iterator[list[T]]:
    for start in range(0, len(things), MOST_AT_ONCE):
        yield list(things[start : start + MOST_AT_ONCE])


@transaction.atomic(savepoint=False)
def tell(telling: Telling, *, source: str, now: datetime, begin_at: datetime | None = None) -> int:
    """Tell up to 500 people one thing; who was told of this source already is not told again. Returns how many were.

    What leaves the house does so from `begin_at` on, paced; at once without it.
    """
    recipients = accounts.hold_recipients(telling.user_ids)
    lock_inboxes(recipients)
    return tell_held(telling, recipients, source=source, now=now, begin_at=begin_at)


def tell_held(
    telling: Telling,
    recipients: Mapping[int, RecipientView],
    *,
    source: str,
    now: datetime,
    begin_at: datetime | None = None,
) -> int:
    """The same for people who are held already, and their inboxes."""
    kind = KINDS[telling.type]
    preferences = dict(_preferences(recipients)) if recipients else {}
    told = list(_told(telling, kind, recipients, preferences))
    new = _insert(telling, told, source=source, now=now)
    told = [one for one in told if (one.user_id, one.address) in new]
    _show(telling, told, new, now=now)
    queueing.send_out(
        kind,
        [queueing.Outgoing(new[one.user_id, one.address], one.recipient, one.preferences) for one in told],
        now=now,
        begin_at=begin_at,
    )
    return len(told)


def _preferences(people: Iterable[int]) -> Iterator[tuple[int, Preferences]]:
    for row in _PREFERENCES.rows(people=list(people)):
        chosen = as_model(Preferences, row)
        chosen.choices = json.loads(chosen.choices)
        yield chosen.user_id, chosen


def _told(
    telling: Telling, kind: Kind, recipients: Mapping[int, RecipientView], preferences: Mapping[int, Preferences]
) -> Iterator[_Told]:
    @cache
    def words(language: str, time_zone: str) -> Words:
        return write(telling.type, telling.values, language=language, time_zone=time_zone)

    by_clock = any(name.endswith("_at") for name in telling.values)
    for user_id, recipient in recipients.items():
        chosen = preferences.get(user_id) or Preferences(user_id=user_id)
        if not any(wants(chosen, kind, channel) for channel in Channel):
            continue
        said = words(language_of(chosen, recipient.language), recipient.time_zone if by_clock else "UTC")
        yield _Told(recipient, "", chosen, said, is_shown=wants(chosen, kind, Channel.IN_APP))
    if not telling.addresses or telling.addressed_by is None:
        return
    owner = accounts.hold_recipients([telling.addressed_by]).get(telling.addressed_by)
    if owner is not None:
        said = words(owner.language, owner.time_zone)
        for address in sorted({address.lower() for address in telling.addresses}):
            yield _Told(None, address, Preferences(language=owner.language), said, is_shown=False)


def _insert(
    telling: Telling, told: Sequence[_Told], *, source: str, now: datetime
) -> dict[tuple[int | None, str], int]:
    """The ids of the new rows by person and address."""
    if not told:
        return {}
    columns: list[list[Any]] = [
        [one.user_id for one in told],
        [one.address for one in told],
        [one.is_shown for one in told],
        [one.words.title for one in told],
        [one.words.body for one in told],
        [language_of(one.preferences, one.recipient.language if one.recipient else "en") for one in told],
    ]
    rows = run(_INSERT, [telling.addressed_by, telling.type, source, telling.reference, now, *columns])
    return {(user_id, address): pk for pk, user_id, address in rows}


def _show(telling: Telling, told: Sequence[_Told], ids: Mapping[Any, int], *, now: datetime) -> None:
    shown = {one.user_id: one for one in told if one.is_shown and one.user_id is not None}
    if not shown:
        return
    unread: dict[int, int] = dict(run(_ONE_MORE, [list(shown)]))
    facts: list[tuple[Event, list[str]]] = []
    for user_id, one in shown.items():
        notification = NotificationOut(
            id=ids[user_id, one.address],
            type=telling.type,
            title=one.words.title,
            body=one.words.body,
            reference=telling.reference,
            is_read=False,
            read_at=None,
            created_at=now,
        )
        event = NotificationCreated(notification=notification, unread_count=unread[user_id])
        facts.append((event, [user_room(user_id)]))
    emit_all(facts, now=now)
