"""Invitations: the only way in which somebody becomes a manager by themselves. There is none for admins.

One is for whoever shows its token when registering, or for whoever proves an e-mail address. It serves once.
An invited address gets a mail that says so; whoever is shown a token hands it on themselves.
"""

import hashlib
import secrets
from datetime import datetime, timedelta
from functools import partial

from django.db import transaction
from django.db.models import QuerySet, Value
from django.db.models.functions import Lower

from backend.accounts.models import Invitation, User
from backend.accounts.selectors import hold_active
from backend.accounts.services.roles import save_roles
from backend.core import audit, mail
from backend.core.actor import Actor, Role
from backend.core.environment import environment
from backend.core.errors import Forbidden, InvalidState, NotFound, invalid_field
from backend.core.jobs import OutsideCall, enqueue
from backend.core.references import make_reference

LIFE = timedelta(days=7)
TOKEN_BYTES = 32


@transaction.atomic
def invite(*, actor: Actor, email: str | None, now: datetime) -> tuple[Invitation, str | None]:
    """Invite whoever owns this e-mail address, or without one whoever gets the token, which is shown this once.

    An account that has proved the address already is a manager at once. For admins: raises Forbidden.
    """
    _check(actor)
    hold_active([actor.id])
    token = secrets.token_urlsafe(TOKEN_BYTES) if email is None else None
    invitation = Invitation.objects.create(
        email=email,
        token_digest=_digest(token) if token else None,
        invited_by_id=actor.id,
        created_at=now,
        expires_at=now + LIFE,
    )
    _note(actor, "invited", invitation, now=now)
    if email is not None:
        enqueue("accounts.send_invitation", now=now, invitation_id=invitation.pk)
        owners = User.objects.select_for_update(no_key=True).alias(small=Lower("email"))
        owner = owners.filter(small=Lower(Value(email)), is_active=True).first()
        if owner is not None and owner.owns_email:
            grant_for_verified_email(user=owner, now=now)
            invitation.refresh_from_db()
    return invitation, token


def prepare(*, invitation_id: int, key: str, now: datetime) -> OutsideCall | None:
    """The call that tells the invited address; None for an invitation that is gone. For the job.

    It is in the language of the account that has the address, or else of who invites.
    """
    invitation = Invitation.objects.select_related("invited_by").filter(pk=invitation_id, expires_at__gt=now).first()
    if invitation is None or invitation.email is None:
        return None
    owner = User.objects.alias(small=Lower("email")).filter(small=Lower(Value(invitation.email))).first()
    speaker = owner or invitation.invited_by
    context = {
        "inviter": invitation.invited_by.name if invitation.invited_by else "Callout",
        "is_accepted": invitation.accepted_at is not None,
        "email": invitation.email,
        "expires_on": invitation.expires_at.date(),
        "link": environment().app_url,
    }
    language = speaker.language if speaker else "en"
    message = mail.compose("accounts/mail/invitation", to=invitation.email, language=language, key=key, context=context)
    return partial(mail.deliver, message)


@transaction.atomic
def withdraw(*, actor: Actor, invitation_id: int, now: datetime) -> None:
    """Take an invitation back. For admins: raises Forbidden, NotFound, or InvalidState once it was accepted."""
    _check(actor)
    invitation = Invitation.objects.select_for_update().filter(pk=invitation_id).first()
    if invitation is None:
        raise NotFound
    if invitation.accepted_at is not None:
        raise InvalidState("It was accepted: take the role away instead.")
    _note(actor, "invitation_withdrawn", invitation, now=now)
    invitation.delete()


def is_email_invited(email: str, *, now: datetime) -> bool:
    """Whether the owner of this address may become a manager. One query."""
    return _open_for(email, now=now).exists()


def accept_token(*, token: str, user: User, now: datetime) -> None:
    """Use up the invitation with this token for a new account. Raises a 422 when it is not valid, or not any more."""
    mine = Invitation.objects.filter(token_digest=_digest(token), accepted_at=None, expires_at__gt=now)
    # Of many who show it at once, one changes the row.
    if not mine.update(accepted_at=now, accepted_by=user):
        raise invalid_field("body.invitation", "this invitation is not valid, or not any more")


def grant_for_verified_email(*, user: User, now: datetime) -> bool:
    """Make a manager of who has just proved an invited e-mail address; false when there is no invitation for it.

    To be called, with the user's row locked, wherever `email_verified_at` is set. One query without an invitation.
    """
    if user.email is None or not _open_for(user.email, now=now).update(accepted_at=now, accepted_by=user):
        return False
    if Role.MANAGER not in user.roles:
        save_roles(user, {*user.roles, Role.MANAGER}, by=None, now=now)
    return True


def _open_for(email: str, *, now: datetime) -> QuerySet[Invitation]:
    invitations = Invitation.objects.alias(small=Lower("email"))
    return invitations.filter(small=Lower(Value(email)), accepted_at=None, expires_at__gt=now)


def _check(actor: Actor) -> None:
    if not actor.holds(Role.ADMIN):
        raise Forbidden


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()


def _note(actor: Actor, what: str, invitation: Invitation, *, now: datetime) -> None:
    audit.record(
        actor=actor,
        action=f"accounts.{what}",
        reference=make_reference("invitation", invitation.pk),
        changes={"by": "token" if invitation.email is None else "email"},
        now=now,
    )
