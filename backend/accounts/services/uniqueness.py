"""What is unique is decided by the database, so that of two who take it at once one is told.

Who is told learns that an account has the address, so how often one may try is limited (RELIABILITY.md A7).
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import psycopg
from django.db import IntegrityError, transaction

from backend.accounts.errors import EmailTaken, PhoneTaken, UsernameTaken
from backend.core import limits
from backend.core.errors import Problem, RateLimited, invalid_field
from backend.core.limits import Limit, whose_address
from backend.core.request_context import client_address

CHECKS = Limit("availability", 10, 60, strict=True)
"""Of one network: addresses and names looked up, and contacts changed."""
NEW_CONTACTS = Limit("contacts", 5, 86_400, strict=True)
"""Of one account, as many as codes for one address; those that another has, too."""

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


def count_new_contact(*, user_id: int) -> None:
    """Count a new e-mail address or phone number of this account before it is looked for. Raises RateLimited."""
    verdict = limits.check([(NEW_CONTACTS, str(user_id)), (CHECKS, whose_address(client_address()))])
    if verdict is not None and not verdict.allowed:
        raise RateLimited(headers={"Retry-After": str(max(1, verdict.retry_seconds))})
