"""What accounts holds of a person, how it is handed out and how it is forgotten."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from django.db.models import Q
from django.db.models.functions import Lower

from backend.accounts.models import (
    NOBODY,
    Address,
    AssistantProfile,
    ExternalIdentity,
    Invitation,
    RefreshToken,
    SecondFactor,
    Session,
    User,
    UserSkill,
)
from backend.accounts.services.assistants import tell_assistant_changed
from backend.accounts.services.delays import forget_account
from backend.accounts.services.profile import save_changes
from backend.core import personal_data
from backend.core.actor import Role
from backend.core.personal_data import Part, rows_of

PROFILE = (
    *("id", "username", "name", "first_name", "last_name", "email", "phone_number", "roles"),
    *("bio", "city", "country", "address", "lat", "lng", "time_zone", "language", "hide_presence"),
    *("is_verified", "email_verified_at", "phone_verified_at", "pending_email", "pending_phone_number"),
    *("created_at", "updated_at"),
)
ASSISTANT = (
    *("service_type", "vehicle_type", "vehicle_class", "vehicle_registration_number"),
    *("licence_category", "licence_number", "licence_expires_on", "updated_at"),
)
ADDRESS = ("street_address", "city", "state", "zip_code", "country", "is_primary", "created_at", "updated_at")
SESSION = ("id", "created_at", "last_seen_at", "expires_at", "ended_at", "end_reason", "client_address", "agent")


def export(user_id: int) -> Iterator[Part]:
    """No secret is in it: no password's hash, no seed, no digest of a token or code."""

    def part(name: str, found: Any, *columns: str) -> Part:
        return Part(name=f"accounts/{name}.json", rows=rows_of(found, *columns))

    mine = Q(user_id=user_id)
    yield part("profile", User.objects.filter(pk=user_id), *PROFILE)
    yield part("skills", UserSkill.objects.filter(mine), "skill__name")
    yield part("assistant", AssistantProfile.objects.filter(mine), *ASSISTANT)
    yield part("addresses", Address.objects.filter(mine), *ADDRESS)
    yield part("sessions", Session.objects.filter(mine), *SESSION)
    yield part("identities", ExternalIdentity.objects.filter(mine), "issuer", "subject", "created_at")
    yield part("two_factor", SecondFactor.objects.filter(mine), "created_at", "confirmed_at")
    invitations = Invitation.objects.filter(accepted_by_id=user_id)
    yield part("invitations", invitations, "email", "created_at", "accepted_at")


def erase(*, user_id: int, now: datetime) -> None:
    """The row becomes NOBODY's: e-mail address, phone number and username are free for whoever comes.

    The requests for codes keep their address until they are purged a day later: they limit how often it is written to,
    and serve nobody who is not active.
    """
    user = User.objects.get(pk=user_id)
    sessions = Session.objects.filter(user=user)
    forget_account(user_id=user_id, devices=sessions.values_list("agent", "client_address"))
    # They go with their chains at the next purge: one that is refreshed in this moment has a place to fail.
    sessions.update(agent="", client_address=None, expires_at=now)
    RefreshToken.objects.filter(session__user=user).update(device=b"")
    invited = Q(accepted_by=user) if user.email is None else Q(accepted_by=user) | Q(small=user.email.lower())
    Invitation.objects.alias(small=Lower("email")).filter(invited).delete()
    for model in (SecondFactor, ExternalIdentity, Address, AssistantProfile, UserSkill):
        model.objects.filter(user=user).delete()
    was_assistant = Role.ASSISTANT in user.roles
    if user.deleted_at is None:
        save_changes(user, {**NOBODY, "username": f"~{user.pk}", "deleted_at": now}, now=now)
    if was_assistant:
        tell_assistant_changed(user_id=user_id, now=now)


personal_data.holds("accounts", export=export, erase=erase)
