"""What is unique is decided by the database, so that of two who take it at once one is told.

Who is told that an address is taken is registering, or has just proved that it is theirs (RELIABILITY.md A7).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from django.db import IntegrityError, transaction

from backend.accounts.errors import EmailTaken, PhoneTaken, UsernameTaken
from backend.core.errors import Problem, invalid_field

_TAKEN: Mapping[str | None, type[Problem]] = {
    "user_email_once": EmailTaken,
    "user_phone_once": PhoneTaken,
    "user_username_once": UsernameTaken,
}


@contextmanager
def decided_by_the_database() -> Iterator[None]:
    """A savepoint in which a broken constraint of the user's table becomes the problem that it means.

    Raises EmailTaken, PhoneTaken, UsernameTaken, or a 422 when neither e-mail address nor phone number would be left.
    """
    try:
        with transaction.atomic():
            yield
    except IntegrityError as error:
        broken = error.__cause__.diag.constraint_name if isinstance(error.__cause__, psycopg.Error) else None
        if broken == "user_reachable":
            raise invalid_field("body.email", "an e-mail address or a phone number must be left") from None
        if broken in _TAKEN:
            raise _TAKEN[broken] from None
        raise
