"""Passwords: what is good enough, how it is kept, and checking one in the same time whether or not there is any."""

import unicodedata

from django.contrib.auth.hashers import check_password, is_password_usable, make_password
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError

from backend.accounts.models import User
from backend.core.errors import ValidationFailed
from backend.core.passwords import decoy
from shared_contracts.errors import ErrorCode

LENGTHS = range(8, 129)
"""In characters. No rule asks for kinds of characters (NIST SP 800-63B-4, section 3.1.1.2)."""


def hash_password(password: str, *, person: User | None = None, field: str = "password") -> str:
    """The password as it is kept; takes some 15 ms, so call it outside transactions. Raises a 422 for a weak one.

    `person` is whose it is to be, saved or not: their names and addresses make no password. `field` is its name in the
    request's body.
    """
    check_strength(password, person=person, field=field)
    return make_password(_composed(password))


def check_strength(password: str, *, person: User | None, field: str) -> None:
    """Raises a 422 for a weak one. No hash."""
    password = _composed(password)
    if len(password) not in LENGTHS:
        raise _refused([f"{LENGTHS.start} to {LENGTHS.stop - 1} characters are wanted"], field)
    try:
        validate_password(password, person)
    except ValidationError as error:
        raise _refused(error.messages, field) from None


def is_password_of(user: User | None, password: str) -> bool:
    """Whether it is this person's password. Costs one hash for everyone, also for nobody."""
    usable = user is not None and is_password_usable(user.password)
    encoded = user.password if user is not None and usable else decoy()
    return check_password(_composed(password), encoded) and usable


def _composed(password: str) -> str:
    # The same accent arrives composed or not, depending on the keyboard (RFC 8265, section 4.2).
    return unicodedata.normalize("NFC", password)


def _refused(messages: list[str], field: str) -> ValidationFailed:
    return ValidationFailed(
        messages[0],
        errors=[
            {"field": f"body.{field}", "code": ErrorCode.VALIDATION_FAILED, "message": message} for message in messages
        ],
    )
