"""What accounts does in the background: sending codes, notices and invitations, forgetting what has run out."""

from datetime import datetime
from uuid import UUID

from backend.accounts.services import codes, forgetting, invitations, notices, presence
from backend.core.jobs import OutsideCall, enqueue, job, outside_job
from backend.core.timetable import every
from shared_contracts.jobs import Queue


@outside_job("accounts.send_code", queue=Queue.PROMPT, max_attempts=6)
def send_code(*, now: datetime, key: str, code_id: str, **_: object) -> OutsideCall | None:
    """Make a code and send it to whom it was asked for."""
    return codes.prepare(code_id=UUID(code_id), key=key, now=now)


@outside_job("accounts.send_notice", queue=Queue.PROMPT)
def send_notice(
    *, key: str, user_id: int, kind: notices.Kind, to: str | None = None, language: str | None = None, **_: object
) -> OutsideCall | None:
    """Tell an account's owner what happened to it."""
    return notices.prepare(user_id=user_id, kind=kind, to=to, language=language, key=key)


@outside_job("accounts.send_invitation", queue=Queue.PROMPT)
def send_invitation(*, now: datetime, key: str, invitation_id: int, **_: object) -> OutsideCall | None:
    """Tell an e-mail address that it is invited."""
    return invitations.prepare(invitation_id=invitation_id, key=key, now=now)


@outside_job("accounts.forget_presence")
def forget_presence(*, user_id: int, **_: object) -> OutsideCall | None:
    """Forget when somebody who hides it was last connected; the nodes that hold their sockets do so themselves."""
    return presence.prepare_to_forget(user_id=user_id)


@job("accounts.purge", queue=Queue.BULK)
def purge(*, now: datetime, **_: object) -> None:
    """Forget a batch of each kind that has run out, and leave the rest to a job of its own."""
    if forgetting.forget(now=now):
        enqueue("accounts.purge", now=now)


every(name="accounts.purge", seconds=3600, job="accounts.purge")
