"""Who is a member, and what members may see; conversations locked for those who change something in them."""

from datetime import datetime
from typing import NamedTuple

from django.db.models import Q, QuerySet

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery, as_model, columns_of, run
from backend.messaging.models import Conversation, Member, Message

_HELD = HotQuery(
    lambda user, conversation: (
        Conversation.objects.select_for_update(no_key=True)
        .filter(
            pk=conversation,
            pk__in=Member.objects.filter(user_id=user, conversation_id=conversation, left_at=None).values(
                "conversation_id"
            ),
        )
        .values_list(*columns_of(Conversation))
    ),
    user=int,
    conversation=int,
)
_HELD_BY_PLATFORM = HotQuery(
    lambda conversation: (
        Conversation.objects.select_for_update(no_key=True)
        .filter(pk=conversation)
        .values_list(*columns_of(Conversation))
    ),
    conversation=int,
)
_STAY = HotQuery(
    lambda user, conversation: Member.objects.filter(
        user_id=user, conversation_id=conversation, left_at=None
    ).values_list(*columns_of(Member)),
    user=int,
    conversation=int,
)


class Present(NamedTuple):
    """A member as sending a message sees them."""

    user_id: int
    name: str
    stay_id: int
    since_message_id: int
    unread_count: int
    is_muted: bool
    blocks_other: bool
    said_id: int | None
    """The message that whoever speaks has said here before under this name of theirs."""


_TALK = columns_of(Conversation)
_HOLD = f"""
    SELECT {", ".join(f"(talk).{column}" for column in _TALK)}, message_id, {", ".join(Present._fields)}
    FROM messaging_hold_to_speak(%s, %s, %s)
"""  # noqa: S608 - names of columns
_HOLD_SIGNED_IN = f"{_HOLD} WHERE {accounts.IS_SIGNED_IN}"


def get_stay(actor: Actor, conversation_id: int) -> Member:
    """What makes this person a member now. Raises NotFound. One query."""
    row = _STAY.row(user=actor.id, conversation=conversation_id)
    if row is None:
        raise NotFound
    return as_model(Member, row)


def hold_conversation_for(actor: Actor, conversation_id: int) -> tuple[Conversation, Member]:
    """The conversation of a member, locked until the end of the transaction, and their stay in it.

    Raises NotFound. Two queries.
    """
    row = _HELD.row(user=actor.id, conversation=conversation_id)
    if row is None:
        raise NotFound
    # Asked under the lock: who was removed while this waited is a member no longer, and what they read is settled.
    return as_model(Conversation, row), get_stay(actor, conversation_id)


def hold_to_speak(
    actor: Actor, conversation_id: int, client_id: str | None, *, signed_in_at: datetime | None = None
) -> tuple[int, Conversation, list[Present]]:
    """The same with the name of whoever speaks, first, and in a conversation of two the other's stay and name.

    And before it the id for the message; and which one they have said here before under this name of theirs.
    With `signed_in_at`, for an actor whose session nobody has looked at: not unless it is alive then.
    Raises NotFound. One query.
    """
    asked = [actor.id, conversation_id, client_id]
    if signed_in_at is None:
        rows = run(_HOLD, asked)
    else:
        rows = run(_HOLD_SIGNED_IN, [*asked, signed_in_at, actor.session_id, actor.id])
    present = sorted((Present(*row[len(_TALK) + 1 :]) for row in rows), key=lambda one: one.user_id != actor.id)
    if not present or present[0].user_id != actor.id:
        raise NotFound
    talk, message_id = rows[0][: len(_TALK)], rows[0][len(_TALK)]
    return message_id, as_model(Conversation, talk), present


def hold_conversation(conversation_id: int) -> Conversation:
    """The same for the platform. Raises NotFound. One query."""
    row = _HELD_BY_PLATFORM.row(conversation=conversation_id)
    if row is None:
        raise NotFound
    return as_model(Conversation, row)


def members_of(conversation_id: int) -> QuerySet[Member]:
    """Those who are members now."""
    return Member.objects.filter(conversation_id=conversation_id, left_at=None)


def seen_by(stay: Member) -> QuerySet[Message]:
    """The messages that this stay lets its person see."""
    return _seen(stay.conversation_id, stay.user_id, stay.since_message_id)


def _seen(conversation: int, user: int, since: int) -> QuerySet[Message]:
    return Message.objects.filter(Q(is_withheld=False) | Q(sender_id=user), conversation_id=conversation, pk__gt=since)


_SEEN = HotQuery(
    lambda message, conversation, user, since: _seen(conversation, user, since).filter(pk=message).values_list("pk"),
    message=int,
    conversation=int,
    user=int,
    since=int,
)


def is_seen(message_id: int, conversation_id: int, present: Present) -> bool:
    """Whether this member may see this message of the conversation. One compiled query."""
    asked = {"message": message_id, "conversation": conversation_id}
    return _SEEN.row(user=present.user_id, since=present.since_message_id, **asked) is not None


def last_seen_by(conversation: Conversation, stay: Member) -> int | None:
    """The id of the last message that this person may see."""
    seen = max(conversation.last_message_id or 0, stay.withheld_message_id or 0)
    return seen if seen > stay.since_message_id else None
