"""Saying something, changing it, taking it back."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import transaction

from backend.core.actor import Actor
from backend.core.errors import Forbidden, PreconditionFailed, invalid_field
from backend.core.hot import insert, run
from backend.core.outbox import emit_all
from backend.messaging.errors import ConversationClosed, MessageFixed
from backend.messaging.models import Conversation, Member, Message
from backend.messaging.selectors.membership import hold_conversation, hold_conversation_for, members_of, seen_by
from backend.messaging.selectors.messages import get_message_for, views_of
from backend.messaging.services import news
from backend.messaging.services.attachments import attach, detach
from shared_contracts.events import Event, MessageCreated, MessageOut, MessageUpdated
from shared_contracts.rooms import conversation_room, user_room

EDITABLE_FOR = timedelta(minutes=15)


@transaction.atomic
def send_message(
    *,
    actor: Actor,
    conversation_id: int,
    content: str,
    now: datetime,
    client_id: str | None = None,
    reply_to: int | None = None,
    attachments: Sequence[int] = (),
) -> MessageOut:
    """Say something. A `client_id` that this person used here before gives the message that was stored then.

    Raises NotFound (not a member), ConversationClosed, or a 422 for nothing to say, a reply to what is not in this
    conversation, or files that are not theirs.
    """
    # One sender at a time: the order of ids is the order of commits, and a repeated client_id sees the first.
    conversation, stay = hold_conversation_for(actor, conversation_id)
    stored = (
        Message.objects.filter(conversation=conversation, sender_id=actor.id, client_id=client_id).first()
        if client_id is not None
        else None
    )
    if stored is not None:
        return views_of([stored], linked_at=now)[0]
    if conversation.closed_at is not None:
        raise ConversationClosed
    if not content.strip() and not attachments:
        raise invalid_field("body.content", "there must be something to say, or something attached")
    if reply_to is not None and not seen_by(stay).filter(pk=reply_to).exists():
        raise invalid_field("body.reply_to", "there is no such message in this conversation")
    others = _count_unread(conversation, actor)
    message = Message(
        conversation=conversation,
        sender_id=actor.id,
        content=content,
        client_id=client_id,
        reply_to_id=reply_to,
        created_at=now,
        is_withheld=any(other.is_deaf for other in others),
    )
    insert([message])
    carried = attach(actor=actor, message_id=message.pk, attachment_ids=attachments, now=now) if attachments else []
    view = views_of([message], attachments=carried)[0]
    _tell(conversation, message, MessageCreated(message=view), stay, others, now=now)
    return views_of([message], attachments=carried, linked_at=now)[0] if carried else view


@dataclass(frozen=True, slots=True)
class _Other:
    """Another member after a message was sent: `is_deaf`, for having blocked its sender."""

    stay: Member
    is_deaf: bool


_COUNT = """
    UPDATE messaging_member
    SET unread_count = unread_count + (NOT blocks_other)::int, is_listed = is_listed OR NOT blocks_other
    WHERE conversation_id = %s AND user_id <> %s AND left_at IS NULL
    RETURNING user_id, unread_count, is_muted, blocks_other
"""


def _count_unread(conversation: Conversation, actor: Actor) -> list[_Other]:
    """One more for every other member, but for who has blocked the sender. One query."""
    return [
        _Other(Member(user_id=user_id, unread_count=unread_count, is_muted=is_muted), is_deaf)
        for user_id, unread_count, is_muted, is_deaf in run(_COUNT, [conversation.pk, actor.id])
    ]


_LAST = "UPDATE messaging_conversation SET last_message_id = %s, last_message_at = %s, news_at = %s WHERE id = %s"
_WITHHELD = "UPDATE messaging_member SET withheld_message_id = %s, withheld_message_at = %s WHERE id = %s"


def _tell(
    conversation: Conversation,
    message: Message,
    created: MessageCreated,
    stay: Member,
    others: Sequence[_Other],
    *,
    now: datetime,
) -> None:
    """Let it be the last message, and tell who may know: the room, and the lists of two at once, of more soon."""
    if message.is_withheld:
        run(_WITHHELD, [message.pk, now, stay.pk], wants_rows=False)
        told: list[news.Fact] = [(created, [user_room(stay.user_id)])]
        emit_all([*told, news.standing(conversation, stay, created.message)], now=now)
        return
    is_due = not conversation.is_pair and news.is_due(conversation, now=now)
    if is_due:
        conversation.news_at = news.next_news_at(conversation, now=now)
    conversation.last_message_id, conversation.last_message_at = message.pk, now
    run(_LAST, [message.pk, now, conversation.news_at, conversation.pk], wants_rows=False)
    facts: list[news.Fact] = [(created, [conversation_room(conversation.pk)])]
    if conversation.is_pair:
        listed = [stay, *(other.stay for other in others)]
        facts += [news.standing(conversation, member, created.message) for member in listed]
    emit_all(facts, now=now)
    if is_due:
        news.send_for_news(conversation, now=now)


def send_system_message(
    *, conversation_id: int, code: str, text: str, parameters: Mapping[str, str] | None = None, now: datetime
) -> MessageOut:
    """Say what happened to the subject, also when the conversation is closed. It counts as unread for nobody.

    In the transaction of what happened. Apps say `code` with its `parameters` in their reader's language; `text` is
    the sentence in English for the rest. Raises NotFound.
    """
    conversation = hold_conversation(conversation_id)
    message = Message.objects.create(
        conversation=conversation, content=text, system_code=code, parameters=dict(parameters or {}), created_at=now
    )
    conversation.last_message_id, conversation.last_message_at = message.pk, now
    conversation.save(update_fields=["last_message_id", "last_message_at"])
    view = views_of([message], attachments=[])[0]
    facts: list[news.Fact] = [(MessageCreated(message=view), [conversation_room(conversation.pk)])]
    if conversation.is_pair:
        facts += [news.standing(conversation, stay, view) for stay in _list_for_both(conversation)]
    emit_all(facts, now=now)
    if not conversation.is_pair:
        news.tell_group_soon(conversation, now=now)
    return view


@transaction.atomic
def say_about(
    *, subject: str, code: str, text: str, parameters: Mapping[str, str] | None = None, now: datetime
) -> None:
    """Say what happened to a subject in every open conversation about it, in the transaction of what happened.

    One query where nobody talks about it.
    """
    about = Conversation.objects.filter(subject=subject, closed_at=None).order_by("pk")
    for conversation_id in list(about.values_list("pk", flat=True)):
        send_system_message(conversation_id=conversation_id, code=code, text=text, parameters=parameters, now=now)


_LIST = """
    UPDATE messaging_member SET is_listed = true WHERE conversation_id = %s AND left_at IS NULL
    RETURNING user_id, unread_count, is_muted
"""


def _list_for_both(conversation: Conversation) -> list[Member]:
    """What the platform says is listed also where a blocked person had opened the conversation. One query."""
    return [
        Member(user_id=user_id, unread_count=unread_count, is_muted=is_muted)
        for user_id, unread_count, is_muted in sorted(run(_LIST, [conversation.pk]))
    ]


@transaction.atomic
def edit_message(
    *, actor: Actor, message_id: int, content: str, wanted_versions: Collection[int] | None, now: datetime
) -> MessageOut:
    """Let one's own message say something else, within 15 minutes.

    Raises NotFound, Forbidden, PreconditionFailed, ConversationClosed, MessageFixed, or a 422 for nothing to say.
    """
    conversation, message = _hold_own(actor, message_id)
    if wanted_versions is not None and message.version not in wanted_versions:
        raise PreconditionFailed
    if conversation.closed_at is not None:
        raise ConversationClosed
    if message.deleted_at is not None or now - message.created_at > EDITABLE_FOR:
        raise MessageFixed
    if not content.strip() and not message.attachments.exists():
        raise invalid_field("body.content", "there must be something to say, or something attached")
    if content != message.content:
        _change(conversation, message, {"content": content, "edited_at": now}, now=now)
    return views_of([message], linked_at=now)[0]


@transaction.atomic
def delete_message(*, actor: Actor, message_id: int, now: datetime) -> None:
    """Take one's own message back: a mark is left, the words and files are gone. Twice is once.

    Raises NotFound or Forbidden.
    """
    conversation, message = _hold_own(actor, message_id)
    if message.deleted_at is not None:
        return
    if not message.is_withheld:
        _uncount(message)
    detach([message.pk], now=now)
    _change(conversation, message, {"content": "", "deleted_at": now}, now=now)


_UNCOUNT = """
    UPDATE messaging_member AS member SET unread_count = unread_count - 1 FROM messaging_message AS message
    WHERE message.id = %s AND member.conversation_id = message.conversation_id AND member.left_at IS NULL
        AND member.user_id <> message.sender_id
        AND message.id > greatest(member.read_message_id, member.since_message_id)
"""


def _uncount(message: Message) -> None:
    """This message, which is about to be deleted, is unread no more."""
    run(_UNCOUNT, [message.pk], wants_rows=False)


def _hold_own(actor: Actor, message_id: int) -> tuple[Conversation, Message]:
    """One's own message as it stands under its conversation's lock. Raises NotFound, or Forbidden for another's."""
    seen, _ = get_message_for(actor, message_id)
    if seen.sender_id != actor.id:
        raise Forbidden("Whoever wrote a message may change it.")
    conversation, _ = hold_conversation_for(actor, seen.conversation_id)
    return conversation, Message.objects.get(pk=message_id)


def _change(conversation: Conversation, message: Message, values: Mapping[str, object], *, now: datetime) -> None:
    """Write it and tell the room, and the lists in which it may be the last message, or was unread."""
    for name, value in {**values, "version": message.version + 1}.items():
        setattr(message, name, value)
    message.save(update_fields=[*values, "version"])
    changed: Event = MessageUpdated(message=views_of([message])[0])
    if message.is_withheld:
        stays = [stay for stay in members_of(conversation.pk) if stay.user_id == message.sender_id]
        own = [user_room(stay.user_id) for stay in stays]
        emit_all([(changed, own), *news.standings(conversation, stays)], now=now)
    else:
        emit_all([(changed, [conversation_room(conversation.pk)])], now=now)
        news.tell_members(conversation, now=now)
