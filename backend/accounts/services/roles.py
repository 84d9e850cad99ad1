"""What people are: roles taken by themselves, given and withdrawn by admins, and accounts put out of use."""

from collections.abc import Collection
from datetime import datetime

from django.db import transaction

from backend.accounts.errors import RoleHeld
from backend.accounts.models import AssistantProfile, User
from backend.accounts.services.assistants import (
    AssistantFields,
    check_fields,
    save_profile,
    tell_assistant_changed,
    today_of,
)
from backend.accounts.services.ending import end_all_sessions
from backend.accounts.services.profile import lock_active, save_changes
from backend.core import audit
from backend.core.actor import MANAGERS, SELF_SERVICE, Actor, Role
from backend.core.errors import Forbidden, NotFound, invalid_field
from backend.core.outbox import emit
from backend.core.references import make_reference
from shared_contracts.events import AccessChanged
from shared_contracts.rooms import user_room


@transaction.atomic
def take_role(*, actor: Actor, role: Role, assistant: AssistantFields, now: datetime) -> User:
    """Hold one more role from now on. Raises Forbidden for one that is given, not taken, RoleHeld, or a 422."""
    if role not in SELF_SERVICE:
        raise Forbidden("Nobody makes themselves a manager.")
    user = lock_active(actor.id)
    if role in user.roles:
        raise RoleHeld
    check_fields(roles=[role], given=assistant, today=today_of(user, now=now))
    if role is Role.ASSISTANT:
        save_profile(user=user, given=assistant, now=now)
    save_roles(user, {*user.roles, role}, by=actor, now=now)
    return user


@transaction.atomic
def set_roles(*, actor: Actor, user_id: int, roles: Collection[Role], now: datetime) -> User:
    """Give a person exactly these roles; for admins. What the lost ones allowed ends at once.

    Raises Forbidden, NotFound, or a 422 for no role at all, or an assistant whose vehicle is not known.
    """
    if not actor.holds(Role.ADMIN):
        raise Forbidden
    if not roles:
        raise invalid_field("body.roles", "one role at least is wanted")
    user = lock_active(user_id)
    if Role.ASSISTANT in roles and not AssistantProfile.objects.filter(user=user).exists():
        raise invalid_field("body.roles", "they must give their vehicle and licence first")
    if set(roles) != set(user.roles):
        save_roles(user, roles, by=actor, now=now)
    return user


def save_roles(user: User, roles: Collection[str], *, by: Actor | None, now: datetime) -> None:
    """Give the person of this locked row exactly these roles. Whether `by` may is the caller's to judge."""
    before = set(user.roles)
    after = [role.value for role in Role if role in roles]
    save_changes(user, {"roles": after}, now=now)
    audit.record(
        actor=by,
        action="accounts.roles_changed",
        reference=make_reference("user", user.pk),
        changes={"added": sorted(set(after) - before), "removed": sorted(before - set(after))},
        now=now,
    )
    emit(AccessChanged(), rooms=[user_room(user.pk)], now=now)
    if Role.ASSISTANT in before.symmetric_difference(after):
        tell_assistant_changed(user_id=user.pk, now=now)


@transaction.atomic
def deactivate_user(*, actor: Actor, user_id: int, now: datetime) -> User:
    """Put an account out of use and end its sessions; for managers, and for admins where it is a manager's.

    Raises Forbidden or NotFound.
    """
    if not actor.is_manager:
        raise Forbidden
    # The strongest row lock: it waits for whoever opens something for this person (FOR KEY SHARE), and they for it.
    user = User.objects.select_for_update().filter(pk=user_id).first()
    if user is None:
        raise NotFound
    if not MANAGERS.isdisjoint(user.roles) and not actor.holds(Role.ADMIN):
        raise Forbidden("Only admins may do this to a manager.")
    if not user.is_active:
        return user
    save_changes(user, {"is_active": False}, now=now)
    audit.record(actor=actor, action="accounts.deactivated", reference=make_reference("user", user.pk), now=now)
    end_all_sessions(actor=actor, user_id=user.pk, reason="deactivated", now=now)
    if Role.ASSISTANT in user.roles:
        tell_assistant_changed(user_id=user.pk, now=now)
    return user
