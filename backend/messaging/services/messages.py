"""Saying something, changing it, taking it back."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta

from django.db import transaction

from backend.core.actor import Actor
from backend.core.errors import Forbidden, PreconditionFailed, invalid_field
from backend.core.hot import insert, run
from backend.core.outbox import Change, emit_all
from backend.messaging.errors import ConversationClosed, MessageFixed
from backend.messaging.models import Conversation, Member, Message
from backend.messaging.selectors.membership import (
    Present,
    hold_conversation,
    hold_conversation_for,
    hold_to_speak,
    is_seen,
    members_of,
)
from backend.messaging.selectors.messages import get_message_for, show_attachment, views_of
from backend.messaging.services import news
from backend.messaging.services.attachments import attach, detach
from shared_contracts.events import Event, MessageCreated, MessageOut, MessageUpdated, Person
from shared_contracts.rooms import conversation_room, user_room

EDITABLE_FOR = timedelta(minutes=15)


@transaction.atomic(savepoint=False)
def send_message(
    *,
    actor: Actor,
    conversation_id: int,
    content: str,
    now: datetime,
    client_id: str | None = None,
    reply_to: int | None = None,
    attachments: Sequence[int] = (),
    asks_session: bool = False,
) -> MessageOut:
    """Say something. A `client_id` that this person used here before gives the message that was stored then.

    With `asks_session` the actor's session, which nobody has looked at yet, is asked for in the same statement: where
    it has ended, there is no such conversation.

    Raises NotFound (not a member), ConversationClosed, or a 422 for nothing to say, a reply to what is not in this
    conversation, or files that are not theirs.
    """
    # One sender at a time: the order of ids is the order of commits, and a repeated client_id sees the first.
    message_id, conversation, (speaker, *others) = hold_to_speak(
        actor, conversation_id, client_id, signed_in_at=now if asks_session else None
    )
    if speaker.said_id is not None:
        return views_of([Message.objects.get(pk=speaker.said_id)], linked_at=now)[0]
    if conversation.closed_at is not None:
        raise ConversationClosed
    if not content.strip() and not attachments:
        raise invalid_field("body.content", "there must be something to say, or something attached")
    if reply_to is not None and not is_seen(reply_to, conversation_id, speaker):
        raise invalid_field("body.reply_to", "there is no such message in this conversation")
    is_due = not conversation.is_pair and news.is_due(conversation, now=now)
    if is_due:
        conversation.news_at = news.next_news_at(conversation, now=now)
    is_withheld = any(other.blocks_other for other in others)
    position = conversation.said_count + (not is_withheld)
    said = (message_id, conversation_id, actor.id, content, client_id, reply_to, position, now)
    if is_withheld:
        change: Change = (_WITHHOLD, [*said, message_id, now, speaker.stay_id])
    else:
        last = (message_id, now, conversation.news_at, position, conversation_id)
        change = (_SAY, [*said, conversation_id, actor.id, *last])
    carried = attach(actor=actor, message_id=message_id, attachment_ids=attachments, now=now) if attachments else []
    view = MessageOut(
        id=message_id,
        conversation_id=conversation_id,
        sender=Person(id=actor.id, name=speaker.name),
        content=content,
        client_id=client_id,
        reply_to=reply_to,
        created_at=now,
        attachments=[show_attachment(attachment, linked_at=None) for attachment in carried],
    )
    listeners = [other._replace(unread_count=other.unread_count + 1) for other in others]
    _tell(conversation, view, speaker, listeners, is_withheld=is_withheld, change=change, now=now)
    if is_due:
        news.send_for_news(conversation, now=now)
    if carried:
        linked = [show_attachment(attachment, linked_at=now) for attachment in carried]
        view = view.model_copy(update={"attachments": linked})
    return view


# The message; one more unread for everybody else in the conversation, who thereby has it in their list; and its place
# as the last one.
_SAY = """
    said AS (
        INSERT INTO messaging_message (id, conversation_id, sender_id, content, client_id, reply_to_id, position,
            created_at, is_withheld)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, false)
    ), unread AS (
        UPDATE messaging_member SET unread_count = unread_count + 1, is_listed = true
        WHERE conversation_id = %s AND user_id <> %s AND left_at IS NULL
    ), last AS (
        UPDATE messaging_conversation SET last_message_id = %s, last_message_at = %s, news_at = %s, said_count = %s
        WHERE id = %s
    )
"""
# The message, which the other never sees: it is the last one for its sender alone.
_WITHHOLD = """
    said AS (
        INSERT INTO messaging_message (id, conversation_id, sender_id, content, client_id, reply_to_id, position,
            created_at, is_withheld)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, true)
    ), last AS (
        UPDATE messaging_member SET withheld_message_id = %s, withheld_message_at = %s WHERE id = %s
    )
"""


def _tell(
    conversation: Conversation,
    message: MessageOut,
    speaker: Present,
    listeners: Sequence[Present],
    *,
    is_withheld: bool,
    change: Change,
    now: datetime,
) -> None:
    """Write it and tell who may know: the room and the lists of two at once, or the speaker alone.

    Lists of more follow by a job.
    """
    told = user_room(speaker.user_id) if is_withheld else conversation_room(conversation.pk)
    facts: list[news.Fact] = [(MessageCreated(message=message), [told])]
    if conversation.is_pair:
        listed = [speaker] if is_withheld else [speaker, *listeners]
        facts += [news.standing(conversation, member, message) for member in listed]
    emit_all(facts, now=now, change=change)


def send_system_message(
    *, conversation_id: int, code: str, text: str, parameters: Mapping[str, str] | None = None, now: datetime
) -> MessageOut:
    """Say what happened to the subject, also when the conversation is closed. It counts as unread for nobody.

    In the transaction of what happened. Apps say `code` with its `parameters` in their reader's language; `text` is
    the sentence in English for the rest. Raises NotFound.
    """
    conversation = hold_conversation(conversation_id)
    message = Message(
        conversation=conversation,
        content=text,
        system_code=code,
        parameters=dict(parameters or {}),
        position=conversation.said_count,
        created_at=now,
    )
    insert([message])
    run(_LAST, [message.pk, now, conversation.pk], wants_rows=False)
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


_LAST = "UPDATE messaging_conversation SET last_message_id = %s, last_message_at = %s WHERE id = %s"
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
