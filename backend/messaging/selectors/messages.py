"""Messages: of one conversation, of all of one's own, one alone; and how they are shown."""

from collections import defaultdict
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Exists, OuterRef, Q, QuerySet
from django.http import HttpRequest

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.files import link
from backend.core.hot import HotQuery, as_model, columns_of, run
from backend.core.pagination import feed, read_cursor
from backend.messaging.models import SEARCH_CONFIGURATION, Attachment, Member, Message
from backend.messaging.schemas import MessagesIn, OwnMessagesIn
from backend.messaging.selectors.membership import get_stay, seen_by
from shared_contracts.events import AttachmentOut, MessageOut, Person, SystemNote

LINK_LIVES = timedelta(hours=2)


def get_message_for(actor: Actor, message_id: int) -> tuple[Message, Member]:
    """A message that this person may see, and the stay that lets them. Raises NotFound. Two queries."""
    message = Message.objects.filter(pk=message_id).first()
    if message is None:
        raise NotFound
    stay = get_stay(actor, message.conversation_id)
    if message.pk <= stay.since_message_id or (message.is_withheld and message.sender_id != actor.id):
        raise NotFound
    return message, stay


def get_message_view_for(actor: Actor, message_id: int, *, now: datetime) -> MessageOut:
    """A message as this person sees it, its files with addresses. Raises NotFound. Four queries."""
    message, _ = get_message_for(actor, message_id)
    return views_of([message], linked_at=now)[0]


def list_messages_for(actor: Actor, conversation_id: int, *, search: str = "") -> QuerySet[Message]:
    """The messages of a conversation that a member may see. Raises NotFound. One query, and one when they are read."""
    return _containing(seen_by(get_stay(actor, conversation_id)), search)


def message_feed(
    *, actor: Actor, conversation_id: int, asked: MessagesIn, request: HttpRequest, now: datetime
) -> dict[str, Any]:
    """One part of a conversation as a `Feed[MessageOut]`; the request gives `next` and `previous` their address.

    Raises NotFound for all but members. Four queries.
    """
    messages = list_messages_for(actor, conversation_id, search=asked.search)
    out = partial(views_of, linked_at=now)
    return feed(request, messages, asked, newest_first=asked.order == "newest", out=out)


# The newest messages below an edge are those of the conversations whose newest one below it is newest: each of so many
# conversations contributes one at least. So one look per conversation finds these, and only they are read. `{order}`
# and `{comparison}` go from the edge. Whose search it is reads through the index of words instead.
_TALKS = """
    SELECT member.conversation_id, member.since_message_id, newest.id FROM messaging_member AS member
    CROSS JOIN LATERAL (
        SELECT message.id FROM messaging_message AS message
        WHERE message.conversation_id = member.conversation_id AND message.id {comparison} %(edge)s
            AND message.id > member.since_message_id
            AND (NOT message.is_withheld OR message.sender_id = %(user)s)
        ORDER BY message.id {order} LIMIT 1
    ) AS newest
    WHERE member.user_id = %(user)s AND member.left_at IS NULL
    ORDER BY newest.id {order} LIMIT %(count)s
"""
# Where there is no edge yet, the conversations know it themselves, as `membership.last_seen_by` says.
_LATEST_TALKS = """
    SELECT member.conversation_id, member.since_message_id FROM messaging_member AS member
    JOIN messaging_conversation AS talk ON talk.id = member.conversation_id
    WHERE member.user_id = %(user)s AND member.left_at IS NULL
        AND greatest(talk.last_message_id, member.withheld_message_id) > member.since_message_id
    ORDER BY greatest(talk.last_message_id, member.withheld_message_id) DESC LIMIT %(count)s
"""
_SAID = """
    SELECT said.id FROM ({talks}) AS talk
    CROSS JOIN LATERAL (
        SELECT message.id FROM messaging_message AS message
        WHERE message.conversation_id = talk.conversation_id AND message.id {comparison} %(edge)s
            AND message.id > talk.since_message_id
            AND (NOT message.is_withheld OR message.sender_id = %(user)s)
        ORDER BY message.id {order} LIMIT %(count)s
    ) AS said
    ORDER BY said.id {order} LIMIT %(count)s
"""

FEW = 2000
"""So many messages are searched word by word: everybody's index would hold those of everybody."""
_ALL = """
    SELECT message.id FROM messaging_member AS member
    JOIN messaging_message AS message ON message.conversation_id = member.conversation_id
    WHERE member.user_id = %s AND member.left_at IS NULL AND message.id > member.since_message_id
        AND (NOT message.is_withheld OR message.sender_id = %s)
    LIMIT %s
"""


def own_message_feed(*, actor: Actor, asked: OwnMessagesIn, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """One part of everything said in one's own conversations, newest first. Four queries."""
    if asked.search:
        messages = _containing(_own(actor), asked.search)
    else:
        backwards, edge = read_cursor(asked.cursor)
        words = {"order": "", "comparison": ">"} if backwards else {"order": "DESC", "comparison": "<"}
        talks = _LATEST_TALKS if edge is None else _TALKS.format(**words)
        values = {"user": actor.id, "edge": edge or 2**63 - 1, "count": asked.page_size + 1}
        ids = [row[0] for row in run(_SAID.format(talks=talks, **words), values)]
        messages = Message.objects.filter(pk__in=ids)
    return feed(request, messages, asked, out=partial(views_of, linked_at=now))


def _own(actor: Actor) -> QuerySet[Message]:
    """All that this person may see: a few as they are, many by a condition. One query."""
    ids = [pk for (pk,) in run(_ALL, [actor.id, actor.id, FEW + 1])]
    if len(ids) <= FEW:
        return Message.objects.filter(pk__any=ids)
    stays = Member.objects.filter(
        user_id=actor.id, conversation_id=OuterRef("conversation_id"), left_at=None, since_message_id__lt=OuterRef("pk")
    )
    return Message.objects.filter(Q(is_withheld=False) | Q(sender_id=actor.id), Exists(stays))


def _containing(messages: QuerySet[Message], search: str) -> QuerySet[Message]:
    """Those which hold these words; `"two words"`, `or` and `-not` mean what they mean to search engines."""
    if not search:
        return messages
    words = SearchQuery(search, config=SEARCH_CONFIGURATION, search_type="websearch")
    return messages.alias(words=SearchVector("content", config=SEARCH_CONFIGURATION)).filter(words=words)


def views_of(
    messages: Sequence[Message],
    *,
    linked_at: datetime | None = None,
    attachments: Sequence[Attachment] | None = None,
) -> list[MessageOut]:
    """Messages as members see them: with `linked_at` each attachment has its address.

    One query for the names of those who wrote, and one for attachments unless they are given; none for no messages.
    """
    if not messages:
        return []
    people = accounts.people(message.sender_id for message in messages if message.sender_id is not None)
    if attachments is None:
        attachments = attachments_of([message.pk for message in messages])
    attached: dict[int | None, list[AttachmentOut]] = defaultdict(list)
    for attachment in attachments:
        attached[attachment.message_id].append(show_attachment(attachment, linked_at=linked_at))
    return [
        MessageOut(
            id=message.pk,
            conversation_id=message.conversation_id,
            sender=None
            if message.sender_id is None
            else Person(id=message.sender_id, name=people[message.sender_id].name),
            content=message.content,
            client_id=message.client_id,
            reply_to=message.reply_to_id,
            created_at=message.created_at,
            attachments=attached[message.pk],
            version=message.version,
            edited_at=message.edited_at,
            deleted_at=message.deleted_at,
            system=SystemNote(code=message.system_code, parameters=message.parameters) if message.system_code else None,
        )
        for message in messages
    ]


_ATTACHED = HotQuery(
    lambda messages: (
        Attachment.objects.filter(message__pk__any=messages)
        .order_by("message_id", "position")
        .values_list(*columns_of(Attachment))
    ),
    messages=list,
)


def attachments_of(message_ids: Collection[int]) -> list[Attachment]:
    """What these messages carry, each message's in its order. One compiled query."""
    return [as_model(Attachment, row) for row in _ATTACHED.rows(messages=list(message_ids))]


def show_attachment(attachment: Attachment, *, linked_at: datetime | None) -> AttachmentOut:
    """With an address that stays the same within the hour and lives one to two, so that apps can keep the file."""
    url = None
    if linked_at is not None:
        suffix = attachment.file_key.rpartition(".")[2]
        url = link(
            attachment.file_key,
            name=f"attachment-{attachment.pk}.{suffix}",
            content_type=attachment.content_type,
            expires_at=linked_at.replace(minute=0, second=0, microsecond=0) + LINK_LIVES,
            now=linked_at,
        )
    return AttachmentOut(
        id=attachment.pk,
        name=attachment.name,
        content_type=attachment.content_type,
        size_bytes=attachment.size_bytes,
        url=url,
    )
