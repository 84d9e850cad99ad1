"""Blocking: what the blocked say in conversations of two reaches nobody, and they are not told."""

from datetime import datetime

from django.db import transaction

from backend.accounts import public as accounts
from backend.core.actor import Actor
from backend.core.errors import invalid_field
from backend.core.hot import run
from backend.core.outbox import emit
from backend.messaging.models import Block, Conversation, Member
from shared_contracts.events import AccessChanged
from shared_contracts.rooms import user_room


def hold_pair(one: int, other: int) -> None:
    """Let nobody else open or block anything between these two until the end of the transaction."""
    low, high = sorted((one, other))
    run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"messaging.pair {low} {high}"])


@transaction.atomic
def block(*, actor: Actor, user_id: int, now: datetime) -> None:
    """Hear nothing of this person any more in conversations of two; twice is once. Raises NotFound, or a 422."""
    if user_id == actor.id:
        raise invalid_field("path.user_id", "nobody blocks themselves")
    accounts.person(user_id)
    accounts.hold_active([actor.id])
    hold_pair(actor.id, user_id)
    Block.objects.bulk_create([Block(blocker_id=actor.id, blocked_id=user_id, created_at=now)], ignore_conflicts=True)
    _act_in_conversations(actor, user_id, blocks=True, now=now)


@transaction.atomic
def unblock(*, actor: Actor, user_id: int, now: datetime) -> None:
    """Hear them again, from now on: what they said meanwhile stays unheard. Twice is once. Raises NotFound."""
    accounts.person(user_id)
    hold_pair(actor.id, user_id)
    Block.objects.filter(blocker_id=actor.id, blocked_id=user_id).delete()
    _act_in_conversations(actor, user_id, blocks=False, now=now)


def _act_in_conversations(actor: Actor, user_id: int, *, blocks: bool, now: datetime) -> None:
    """Whoever is sending in one of them is waited for: what comes after this transaction obeys it."""
    mine = Member.objects.filter(user_id=actor.id).values("conversation_id")
    pairs = Conversation.objects.filter(pk__in=mine, opened_with=sorted((actor.id, user_id))).order_by("pk")
    held = list(pairs.select_for_update(no_key=True).values_list("pk", flat=True))
    stays = Member.objects.filter(user_id=actor.id, conversation_id__in=held).exclude(blocks_other=blocks)
    if stays.update(blocks_other=blocks):
        # The sidecar asks again for this person's rooms, and learns whom they hear.
        emit(AccessChanged(), rooms=[user_room(actor.id)], now=now)
