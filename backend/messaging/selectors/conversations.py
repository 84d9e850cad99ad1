"""Conversations as their members see them: the list, one, and who is blocked."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

from django.http import HttpRequest

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import NotFound
from backend.core.hot import HotQuery, run
from backend.core.pagination import paginate, paginate_found
from backend.core.references import make_reference, read_reference
from backend.messaging.models import Block, Member, Message
from backend.messaging.schemas import BlockOut, BlocksIn, ConversationsIn
from backend.messaging.selectors.messages import views_of
from shared_contracts.events import Person


class _Listed(NamedTuple):
    """A conversation in somebody's list, as `_LISTED` reads it."""

    id: int
    subject: str | None
    title: str
    is_closed: bool
    is_group: bool
    is_muted: bool
    opened_by: int | None
    unread_count: int
    created_at: datetime
    last_id: int | None
    """The last message that this person may see, as `membership.last_seen_by` says."""


# In one statement, and the sort carries two numbers and a time: the list of a person in thousands of conversations is
# put in order anew whenever it is read, since every message changes the order for all who get it.
_LISTED = """
    WITH mine AS (
        SELECT member.id, member.conversation_id, greatest(talk.last_message_at, member.withheld_message_at) AS said_at
        FROM messaging_member AS member JOIN messaging_conversation AS talk ON talk.id = member.conversation_id
        WHERE member.user_id = %(user)s AND member.left_at IS NULL {filters}
    ), page AS (
        SELECT * FROM mine ORDER BY said_at DESC, conversation_id DESC LIMIT %(size)s OFFSET %(start)s
    )
    SELECT (SELECT count(*) FROM mine), talk.id, talk.subject, talk.title, talk.closed_at IS NOT NULL,
        cardinality(talk.opened_with) <> 2, member.is_muted, talk.opened_by_id, member.unread_count, talk.created_at,
        nullif(greatest(talk.last_message_id, member.withheld_message_id, member.since_message_id),
            member.since_message_id)
    FROM (SELECT) AS always LEFT JOIN (
        page JOIN messaging_member AS member USING (id)
        JOIN messaging_conversation AS talk ON talk.id = member.conversation_id
    ) ON true
    ORDER BY page.said_at DESC, page.conversation_id DESC
"""
_PARTICIPANTS = HotQuery(
    lambda talks: (
        Member.objects.filter(conversation__pk__any=talks, left_at=None)
        .order_by("user_id")
        .values_list("conversation_id", "user_id", "user__name", "read_message_id", "delivered_message_id")
    ),
    talks=list,
)


def conversation_page(*, actor: Actor, asked: ConversationsIn, request: HttpRequest, now: datetime) -> dict[str, Any]:
    """A numbered page of one's own conversations, those where something was said last first. Five queries."""
    filters = ["AND member.is_listed"]
    if asked.is_unread is not None:
        filters.append(f"AND member.unread_count {'>' if asked.is_unread else '='} 0")
    subject = None
    if asked.subject is not None:
        filters.append("AND talk.subject = %(subject)s")
        subject = make_reference(*read_reference(asked.subject))

    def find(start: int, size: int) -> tuple[int, list[dict[str, Any]]]:
        values = {"user": actor.id, "size": size, "start": start, "subject": subject}
        count, listed = _read(" ".join(filters), values)
        return count, _show(listed, now=now)

    return paginate_found(request, asked, find)


def get_conversation_for(actor: Actor, conversation_id: int, *, now: datetime) -> dict[str, Any]:
    """One conversation as its member sees it. Raises NotFound. Five queries."""
    values = {"user": actor.id, "size": 1, "start": 0, "conversation": conversation_id}
    _, listed = _read("AND member.conversation_id = %(conversation)s", values)
    if not listed:
        raise NotFound
    return _show(listed, now=now)[0]


def _read(filters: str, values: Mapping[str, Any]) -> tuple[int, list[_Listed]]:
    """How many there are, and those of the page."""
    rows = run(_LISTED.format(filters=filters), values)
    return rows[0][0], [_Listed(*row[1:]) for row in rows if row[1] is not None]


def _show(listed: Sequence[_Listed], *, now: datetime) -> list[dict[str, Any]]:
    """As `ConversationOut`. Four queries: members, last messages, who wrote them and what they carry; none for none."""
    if not listed:
        return []
    participants = _participants([talk.id for talk in listed])
    last = Message.objects.filter(pk__any=[talk.last_id for talk in listed if talk.last_id is not None])
    views = {view.id: view for view in views_of(list(last), linked_at=now)}
    return [
        {
            **talk._asdict(),
            "participants": participants[talk.id],
            "last_message": views.get(talk.last_id or 0),
        }
        for talk in listed
    ]


def _participants(conversation_ids: Sequence[int]) -> dict[int, list[dict[str, Any]]]:
    shown = defaultdict(list)
    for conversation_id, user_id, name, read, delivered in _PARTICIPANTS.rows(talks=list(conversation_ids)):
        shown[conversation_id].append(
            {
                "id": user_id,
                "name": name,
                "read_message_id": read or None,
                "delivered_message_id": delivered or None,
            }
        )
    return shown


def block_page(*, actor: Actor, asked: BlocksIn, request: HttpRequest) -> dict[str, Any]:
    """Whom this person has blocked, the latest first. Three queries."""
    page = paginate(request, Block.objects.filter(blocker_id=actor.id).order_by("-pk"), asked)
    people = accounts.people(block.blocked_id for block in page["results"])
    return {**page, "results": list(map(partial(_show_block, people), page["results"]))}


def _show_block(people: dict[int, accounts.PersonView], block: Block) -> BlockOut:
    person = people[block.blocked_id]
    return BlockOut(user=Person(id=person.id, name=person.name), created_at=block.created_at)
