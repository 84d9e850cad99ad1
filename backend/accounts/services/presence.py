"""That somebody is connected, and when they last were: kept in Redis alone, and not of those who hide it."""

from backend.accounts.models import User
from backend.core import live
from backend.core.jobs import NotDoneError, OutsideCall


def prepare_to_forget(*, user_id: int) -> OutsideCall | None:
    """The call that forgets it; None for who shows it again. One query."""

    def forget() -> None:
        if not live.forget_presence(user_id):
            raise NotDoneError("Redis is away")

    return forget if User.objects.filter(pk=user_id, hide_presence=True).exists() else None
